//! Bad input is an error that says what, where and what would be right; never a panic, never a wrong answer.
#![cfg(not(target_family = "wasm"))]
#![allow(
    clippy::all,
    clippy::pedantic,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "tests fail loudly"
)]

use epitome::{
    Budget, Error, FitOptions, MAX_TOKENS, Messages, Policy, count_messages, detect_format, fit, plan, repair, validate,
};

const HELLO: &str = r#"[{"role":"user","content":"hello"}]"#;

fn options() -> FitOptions {
    FitOptions::new(1_000)
}

/// What fitting this text gives, whether it fails while reading or later.
fn fitted(text: &str) -> Result<String, Error> {
    let messages = Messages::from_json(text)?;
    fit(&messages, &options()).map(|fitted| fitted.messages.to_json())
}

/// Fitting fails, and so does everything else that reads messages, with the same error.
#[track_caller]
fn refused(text: &str, code: &str, index: Option<usize>, field: Option<&str>) -> String {
    let error = fitted(text).expect_err(text);
    assert_eq!(error.code(), code, "{error}");
    let place = match &error {
        Error::InvalidInput { index, field, .. } => (*index, field.as_deref()),
        Error::TooDeep { index, field } => (Some(*index), Some(field.as_str())),
        Error::UnknownFormat { index, .. } => (*index, None),
        _ => (None, None),
    };
    assert_eq!(place, (index, field), "{error}");
    let words = error.to_string();
    assert!(words.len() < 300, "too long to read: {words}");
    assert!(words.is_ascii() || text.chars().any(|c| !c.is_ascii()), "{words}");
    if let Some(index) = index
        && code != "unknown_format"
    {
        assert!(words.contains(&format!("message {index}")), "does not name the message: {words}");
    }
    if let Some(field) = field {
        assert!(words.contains(field), "does not name the field: {words}");
    }
    if let Ok(messages) = Messages::from_json(text) {
        assert_eq!(plan(&messages, &options()).expect_err("plan").code(), code);
        assert_eq!(validate(&messages, None).expect_err("validate").code(), code);
        assert_eq!(repair(&messages, None).expect_err("repair").code(), code);
        assert_eq!(count_messages(&messages, None, &epitome::Heuristic).expect_err("count").code(), code);
    }
    words
}

/// A budget or policy is refused, and the option is named.
#[track_caller]
fn wrong_option(json: &str, option: &str) -> String {
    let error = FitOptions::from_json(json).expect_err(json);
    assert_eq!(error.code(), "invalid_option", "{error}");
    let Error::InvalidOption { option: named, .. } = &error else { panic!("{error}") };
    assert_eq!(named, option, "{error}");
    let words = error.to_string();
    assert!(words.contains(option) && words.len() < 400, "{words}");
    words
}

#[test]
fn messages_that_are_no_array_are_refused() {
    for text in ["{}", "null", "\"messages\"", "17", "true", r#"{"messages":[]}"#] {
        let words = refused(text, "invalid_input", None, None);
        assert!(words.contains("array"), "{words}");
    }
}

#[test]
fn text_that_is_no_json_is_refused() {
    for text in [
        "",
        " ",
        "[",
        "[{",
        r#"[{"role":"user","content":"hel"#,
        "[}",
        "[1,]",
        "\u{feff}[]",
        "[]]",
        "[] x",
        r#"[{'role':'user'}]"#,
    ] {
        refused(text, "invalid_input", None, None);
    }
}

#[test]
fn json_cut_anywhere_is_refused_and_never_panics() {
    let text = r#"[{"role":"user","content":"h\u00e9llo \ud83d\ude00"},{"role":"assistant","content":null,"tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":"{\"x\":1}"}}]},{"role":"tool","tool_call_id":"a","content":[{"type":"text","text":"✓"}]}]"#;
    for end in 0..text.len() {
        if text.is_char_boundary(end) {
            assert!(fitted(&text[..end]).is_err(), "{}", &text[..end]);
        }
    }
    assert_eq!(fitted(text).unwrap(), text);
}

#[test]
fn anything_but_an_object_among_the_messages_is_named_with_its_index() {
    for (text, what) in [("17", "number"), ("null", "null"), ("\"hi\"", "string"), ("true", "boolean"), ("[]", "array")]
    {
        let words = refused(
            &format!(r#"[{{"role":"user","content":"a"}},{{"role":"assistant","content":"b"}},{text}]"#),
            "invalid_input",
            Some(2),
            None,
        );
        assert!(words.contains(what) && words.contains("object"), "{words}");
    }
}

#[test]
fn an_unknown_or_missing_role_is_named() {
    let words = refused(
        r#"[{"role":"user","content":"a"},{"role":"wizard","content":"b"}]"#,
        "invalid_input",
        Some(1),
        Some("role"),
    );
    assert!(words.contains("wizard") && words.contains("assistant"), "{words}");
    refused(r#"[{"content":"b"}]"#, "invalid_input", Some(0), Some("role"));
    refused(r#"[{"role":null,"content":"b"}]"#, "invalid_input", Some(0), Some("role"));
    refused(r#"[{"role":7,"content":"b"}]"#, "invalid_input", Some(0), Some("role"));
    refused(r#"[{"role":"User","content":"b"}]"#, "invalid_input", Some(0), Some("role"));
    refused(r#"[{"role":"","content":"b"}]"#, "invalid_input", Some(0), Some("role"));
    refused(r#"[{}]"#, "invalid_input", Some(0), Some("role"));
    let long = "w".repeat(100_000);
    refused(&format!(r#"[{{"role":"{long}","content":"b"}}]"#), "invalid_input", Some(0), Some("role"));
}

#[test]
fn a_tool_result_without_the_id_of_its_call_is_named() {
    let call = r#"{"role":"assistant","content":null,"tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":"{}"}}]}"#;
    for result in [
        r#"{"role":"tool","content":"x"}"#,
        r#"{"role":"tool","content":"x","tool_call_id":null}"#,
        r#"{"role":"tool","content":"x","tool_call_id":5}"#,
    ] {
        refused(&format!("[{call},{result}]"), "invalid_input", Some(1), Some("tool_call_id"));
    }
    refused(r#"[{"role":"function","content":"x"}]"#, "invalid_input", Some(0), Some("name"));
}

#[test]
fn content_of_the_wrong_kind_is_named() {
    refused(r#"[{"role":"user","content":17}]"#, "invalid_input", Some(0), Some("content"));
    refused(r#"[{"role":"user","content":{"type":"text","text":"x"}}]"#, "invalid_input", Some(0), Some("content"));
    refused(r#"[{"role":"user","content":["x"]}]"#, "invalid_input", Some(0), Some("content[0]"));
    refused(
        r#"[{"role":"user","content":[{"type":"text","text":"a"},{"type":"text"}]}]"#,
        "invalid_input",
        Some(0),
        Some("content[1].text"),
    );
    refused(r#"[{"role":"user","content":[{"text":"a"}]}]"#, "invalid_input", Some(0), Some("content[0].type"));
    refused(r#"[{"role":"user","content":[{"type":3}]}]"#, "invalid_input", Some(0), Some("content[0].type"));
    refused(r#"[{"role":"user","content":"x","name":5}]"#, "invalid_input", Some(0), Some("name"));
    refused(r#"[{"role":"assistant","content":"x","refusal":5}]"#, "invalid_input", Some(0), Some("refusal"));
}

#[test]
fn broken_tool_calls_are_named_to_the_field() {
    let call = |call: &str| {
        format!(r#"[{{"role":"user","content":"q"}},{{"role":"assistant","content":null,"tool_calls":{call}}}]"#)
    };
    for (json, field) in [
        ("{}", "tool_calls"),
        ("\"x\"", "tool_calls"),
        ("[17]", "tool_calls[0]"),
        (r#"[{"type":"function","function":{"name":"f","arguments":"{}"}}]"#, "tool_calls[0].id"),
        (r#"[{"id":3,"type":"function","function":{"name":"f","arguments":"{}"}}]"#, "tool_calls[0].id"),
        (r#"[{"id":"a","type":"function"}]"#, "tool_calls[0].function"),
        (r#"[{"id":"a","type":"function","function":{"arguments":"{}"}}]"#, "tool_calls[0].function.name"),
        (
            r#"[{"id":"a","type":"function","function":{"name":"f","arguments":{}}}]"#,
            "tool_calls[0].function.arguments",
        ),
        (r#"[{"id":"a","type":"function","function":{"name":"f"}}]"#, "tool_calls[0].function.arguments"),
        (r#"[{"id":"a","type":"custom","custom":{"name":"f"}}]"#, "tool_calls[0].custom.input"),
        (r#"[{"id":"a","type":"mystery","mystery":{}}]"#, "tool_calls[0].type"),
        (
            r#"[{"id":"a","type":"function","function":{"name":"f","arguments":"{}"}},{"id":"b"}]"#,
            "tool_calls[1].function",
        ),
    ] {
        refused(&call(json), "invalid_input", Some(1), Some(field));
    }
    refused(
        r#"[{"role":"user","content":"q","tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":"{}"}}]}]"#,
        "invalid_input",
        Some(0),
        Some("tool_calls"),
    );
    refused(
        r#"[{"role":"assistant","content":null,"function_call":{"name":"f"}}]"#,
        "invalid_input",
        Some(0),
        Some("function_call.arguments"),
    );
}

#[test]
fn messages_of_another_format_are_named_as_such() {
    for (text, format) in [
        (
            r#"[{"role":"user","content":"a"},{"role":"assistant","content":[{"type":"tool_use","id":"a","name":"f","input":{}}]}]"#,
            "anthropic",
        ),
        (r#"[{"role":"user","parts":[{"text":"a"}]}]"#, "gemini"),
        (r#"[{"type":"function_call","call_id":"a","name":"f","arguments":"{}"}]"#, "openai-responses"),
        (
            r#"[{"lc":1,"type":"constructor","id":["langchain_core","messages","HumanMessage"],"kwargs":{"content":"a"}}]"#,
            "langchain",
        ),
    ] {
        let messages = Messages::from_json(text).unwrap();
        let error = fit(&messages, &options()).unwrap_err();
        assert_eq!(error.code(), "unknown_format", "{error}");
        assert!(error.to_string().contains(format), "{error}");
        assert_eq!(detect_format(&messages).unwrap_err().code(), "unknown_format");
    }
}

#[test]
fn budgets_that_cannot_be_are_refused() {
    for budget in ["0", "-1", "-0.5", "0.5", "1e10", "1e300", "\"1000\"", "true", "[]", "{}", "null"] {
        let option = if budget == "{}" { "budget.window" } else { "budget" };
        wrong_option(&format!(r#"{{"budget":{budget}}}"#), option);
    }
    wrong_option("{}", "budget");
    wrong_option(r#"{"budget":{"window":0}}"#, "budget.window");
    wrong_option(r#"{"budget":{"window":-5}}"#, "budget.window");
    wrong_option(r#"{"budget":{"window":100,"reserve":-1}}"#, "budget.reserve");
    wrong_option(r#"{"budget":{"window":100,"reserve":100}}"#, "budget");
    wrong_option(r#"{"budget":{"window":100,"reserve":50,"overhead":50}}"#, "budget");
    wrong_option(r#"{"budget":{"window":100,"reserv":5}}"#, "budget.reserv");
    // A number that no double holds.
    assert_eq!(FitOptions::from_json(r#"{"budget":1e999}"#).unwrap_err().code(), "invalid_option");
    let messages = Messages::from_json(HELLO).unwrap();
    for budget in [
        Budget::Limit(0),
        Budget::Limit(MAX_TOKENS + 1),
        Budget::Limit(u64::MAX),
        Budget::Window { window: u64::MAX, reserve: Some(u64::MAX), overhead: u64::MAX },
        Budget::Window { window: 10, reserve: Some(u64::MAX), overhead: u64::MAX },
        Budget::Window { window: 10, reserve: None, overhead: 8 },
    ] {
        assert_eq!(
            fit(&messages, &FitOptions::with_budget(budget)).unwrap_err().code(),
            "invalid_option",
            "{budget:?}"
        );
    }
    assert!(fit(&messages, &FitOptions::new(MAX_TOKENS)).is_ok());
    assert_eq!(FitOptions::from_json(r#"{"budget":1e3}"#).unwrap().budget, Budget::Limit(1_000));
    assert_eq!(FitOptions::from_json(r#"{"budget":1000.9}"#).unwrap().budget, Budget::Limit(1_000));
}

#[test]
fn unknown_and_wrong_options_are_named() {
    let words = wrong_option(r#"{"budget":100,"polcy":{}}"#, "polcy");
    assert!(words.contains("policy"), "does not say what there is: {words}");
    let words =
        wrong_option(r#"{"budget":100,"policy":{"preserve_tail_messages":3}}"#, "policy.preserve_tail_messages");
    assert!(words.contains("preserveTailMessages"), "{words}");
    for (policy, option) in [
        (r#"{"soft":0}"#, "policy.soft"),
        (r#"{"soft":1.5}"#, "policy.soft"),
        (r#"{"soft":"x"}"#, "policy.soft"),
        (r#"{"hard":-0.1}"#, "policy.hard"),
        (r#"{"softTarget":0.7}"#, "policy.softTarget"),
        (r#"{"soft":0.95}"#, "policy.soft"),
        (r#"{"preserveTailMessages":-1}"#, "policy.preserveTailMessages"),
        (r#"{"preserveTailMessages":1.5}"#, "policy.preserveTailMessages"),
        (r#"{"protectTailTokens":-1}"#, "policy.protectTailTokens"),
        (r#"{"protectTools":"search"}"#, "policy.protectTools"),
        (r#"{"protectTools":[1]}"#, "policy.protectTools"),
        (r#"{"strategy":"newest-first"}"#, "policy.strategy"),
        (r#"{"summaryRole":"tool"}"#, "policy.summaryRole"),
        (r#"{"shrinkLastUser":"yes"}"#, "policy.shrinkLastUser"),
        (r#"{"placeholder":7}"#, "policy.placeholder"),
        ("[]", "policy"),
    ] {
        wrong_option(&format!(r#"{{"budget":100,"policy":{policy}}}"#), option);
    }
    wrong_option(
        &format!(r#"{{"budget":100,"policy":{{"placeholder":"{}"}}}}"#, "x".repeat(2_000)),
        "policy.placeholder",
    );
    wrong_option(r#"{"budget":100,"pin":3}"#, "pin");
    wrong_option(r#"{"budget":100,"pin":[-1]}"#, "pin");
    wrong_option(r#"{"budget":100,"pin":[0.5]}"#, "pin");
    wrong_option("[]", "options");
    wrong_option("17", "options");
    wrong_option("{", "options");
    assert_eq!(FitOptions::from_json(r#"{"budget":100,"format":"gpt"}"#).unwrap_err().code(), "unknown_format");
    assert_eq!(FitOptions::from_json(r#"{"budget":100,"previous":17}"#).unwrap_err().code(), "invalid_option");
    assert_eq!(
        FitOptions::from_json(r#"{"budget":100,"previous":{"version":1}}"#).unwrap_err().code(),
        "invalid_option"
    );
}

#[test]
fn a_policy_with_numbers_that_are_none_is_refused() {
    let messages = Messages::from_json(HELLO).unwrap();
    for share in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0] {
        for field in 0..4 {
            let mut policy = Policy::default();
            *[&mut policy.soft, &mut policy.hard, &mut policy.soft_target, &mut policy.hard_target][field] = share;
            let options = FitOptions { policy, ..options() };
            assert_eq!(fit(&messages, &options).unwrap_err().code(), "invalid_option", "{share} in {field}");
        }
    }
}

#[test]
fn a_pin_beyond_the_messages_is_refused() {
    let messages = Messages::from_json(HELLO).unwrap();
    let error = fit(&messages, &FitOptions { pin: vec![0, 1], ..options() }).unwrap_err();
    assert_eq!(error.code(), "invalid_option");
    assert!(error.to_string().contains("pin"), "{error}");
    assert!(fit(&messages, &FitOptions { pin: vec![0, 0], ..options() }).is_ok());
    assert!(fit(&messages, &FitOptions { pin: vec![usize::MAX], ..options() }).is_err());
}

#[test]
fn nesting_in_a_field_that_is_read_is_refused_beyond_128_levels() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    for (field, text) in [
        (
            "content",
            format!(r#"[{{"role":"user","content":[{{"type":"text","text":"x","annotations":{}}}]}}]"#, nested(300)),
        ),
        ("content", format!(r#"[{{"role":"user","content":{}}}]"#, nested(100_000))),
        (
            "tool_calls",
            format!(
                r#"[{{"role":"assistant","content":"x","tool_calls":[{{"id":"a","function":{{"name":"f","arguments":"{{}}","x":{}}}}}]}}]"#,
                nested(200)
            ),
        ),
    ] {
        refused(&text, "too_deep", Some(0), Some(field));
    }
    let shallow =
        format!(r#"[{{"role":"user","content":[{{"type":"text","text":"x","annotations":{}}}]}}]"#, nested(100));
    assert_eq!(fitted(&shallow).unwrap(), shallow);
    // The messages themselves may not be the nesting.
    let words = refused(&nested(100_000), "invalid_input", Some(0), None);
    assert!(words.contains("array"), "{words}");
}

#[test]
fn nesting_in_a_field_that_is_only_echoed_comes_back_identical() {
    let deep = 100_000;
    for nested in [
        format!("{}{}", "[".repeat(deep), "]".repeat(deep)),
        format!("{}1{}", r#"{"a":"#.repeat(deep), "}".repeat(deep)),
    ] {
        let text = format!(
            r#"[{{"role":"user","content":"x","extra":{nested}}},{{"extra":{nested},"role":"assistant","content":"y"}}]"#
        );
        assert!(fitted(&text).unwrap() == text, "{deep} levels did not come back");
    }
}

#[test]
fn numbers_and_lone_surrogates_that_are_only_echoed_come_back_identical() {
    for value in [
        "1e2",
        "12345678901234567890",
        "-0.0",
        "1.50",
        "1E+2",
        "1e999",
        "-1e-999",
        "0.1000",
        r#""\ud800""#,
        r#""\uDFFF\ud800""#,
        r#"{"\ud800":1}"#,
        "[ 1 ,\n2 ]",
        r#"{"a":1,"a":2}"#,
    ] {
        let text = format!(
            r#"[{{"role":"user","x":{value},"content":"\udc00 x \ud83d"}},{{"role":"assistant","content":"y", "z" : {value} }}]"#
        );
        assert_eq!(fitted(&text).unwrap_or_else(|error| panic!("{error}: {text}")), text);
    }
}

#[test]
fn an_edited_message_keeps_its_other_fields_as_they_were() {
    let long = "word ".repeat(3_000);
    for field in [
        r#""x":1e2"#,
        r#""x":12345678901234567890"#,
        r#""x":"\ud800""#,
        r#""\ud800":1"#,
        r#""\u0061":1"#,
        r#""x":{"a":1,"a":2}"#,
        r#""x":1e999"#,
    ] {
        let text = format!(
            r#"[{{"role":"user","content":"q"}},{{"role":"assistant","content":"{long}",{field}}},{{"role":"user","content":"go on"}}]"#
        );
        let messages = Messages::from_json(&text).unwrap();
        let mut options = FitOptions::new(400);
        // A tail that is shrunk, not hidden.
        options.policy.preserve_tail_messages = 3;
        let done = fit(&messages, &options).unwrap_or_else(|error| panic!("{error} for {field}"));
        let edited = done.messages.get(1).unwrap();
        assert!(
            edited.len() < 5_000 && edited.contains(field),
            "{field}: {}",
            edited.chars().take(200).collect::<String>()
        );
    }
}

#[test]
fn no_messages_are_no_error() {
    assert_eq!(fitted("[]").unwrap(), "[]");
    assert_eq!(fitted(" [ ] ").unwrap(), "[]");
    let empty = Messages::from_json("[]").unwrap();
    assert!(validate(&empty, None).unwrap().is_empty());
    assert_eq!(count_messages(&empty, None, &epitome::Heuristic).unwrap(), 0);
}

#[test]
fn every_irreducible_budget_says_what_it_is_made_of() {
    let text = r#"[{"role":"system","content":"You are a careful and friendly assistant of the airline."},{"role":"user","content":"Please cancel my flight, the one to Lima, and tell me what I get back."}]"#;
    let messages = Messages::from_json(text).unwrap();
    let error = fit(&messages, &FitOptions::new(5)).unwrap_err();
    let Error::IrreducibleBudget { limit, required, breakdown } = &error else { panic!("{error}") };
    assert_eq!(*limit, 5);
    assert_eq!(breakdown.system + breakdown.last_user, *required);
    assert!(breakdown.system > 5 && breakdown.last_user > 5);
    assert!(fit(&messages, &FitOptions::new(*required)).is_ok());
    assert_eq!(fit(&messages, &FitOptions::new(*required - 1)).unwrap_err().code(), "irreducible_budget");
    let words = error.to_string();
    assert!(words.contains(&required.to_string()) && words.contains("system") && words.contains('5'), "{words}");
}

#[test]
fn a_plan_that_was_tampered_with_is_refused_or_does_what_it_says() {
    let text = format!(
        "[{}]",
        (0..40)
            .map(|n| format!(
                r#"{{"role":"{}","content":"message number {n} with some words in it"}}"#,
                if n % 2 == 0 { "user" } else { "assistant" }
            ))
            .collect::<Vec<_>>()
            .join(",")
    );
    let messages = Messages::from_json(&text).unwrap();
    let plan = epitome::plan(&messages, &FitOptions::new(200)).unwrap();
    let json = serde_json::to_value(&plan).unwrap();
    for (path, value) in [
        ("/patch/view/layout/0", serde_json::json!([0, 100_000_000_000_u64])),
        ("/patch/view/layout/0", serde_json::json!([5, 2])),
        ("/patch/view/messages", serde_json::json!(3)),
        ("/patch/source/messages", serde_json::json!(usize::MAX)),
        ("/patch/source/hash", serde_json::json!("0000000000000000")),
        ("/patch/edits", serde_json::json!([{"kind":"hide","from":0,"to":usize::MAX,"tokensBefore":1}])),
        ("/patch/edits", serde_json::json!([{"kind":"hide","from":9,"to":2,"tokensBefore":1}])),
        (
            "/patch/edits",
            serde_json::json!([{"kind":"insert","before":99,"role":"wizard","text":"","covers":1,"tokensAfter":1}]),
        ),
        (
            "/patch/edits",
            serde_json::json!([{"kind":"shrink","index":1,"tokensBefore":9,"tokensAfter":1,"changes":[{"path":["content",3,"text"],"value":"x"}]}]),
        ),
        (
            "/patch/edits",
            serde_json::json!([{"kind":"shrink","index":1,"tokensBefore":9,"tokensAfter":1,"changes":[{"path":[],"value":"x"}]}]),
        ),
        ("/version", serde_json::json!(99)),
        ("/patch/version", serde_json::json!(99)),
    ] {
        let mut json = json.clone();
        *json.pointer_mut(path).unwrap() = value.clone();
        let Ok(tampered) = serde_json::from_value::<epitome::Plan>(json) else { continue };
        let applied = epitome::apply(&messages, &tampered);
        assert!(applied.is_err(), "{path} = {value} was carried out: {:?}", applied.map(|done| done.messages.len()));
        if tampered.patch != plan.patch {
            assert!(epitome::undo(&messages, &tampered.patch, &messages).is_err(), "{path} = {value} was undone");
        }
        // As `previous` it is ignored or does no harm.
        let options = FitOptions { previous: Some(tampered.patch), ..FitOptions::new(200) };
        if let Ok(done) = epitome::fit(&messages, &options) {
            assert!(done.report.after <= 200, "{path} = {value}");
            assert!(validate(&done.messages, None).unwrap().is_empty(), "{path} = {value}");
        }
    }
}
