//! The way back: exact, through JSON, after the conversation went on; and refused where it would not be.
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

mod common;

use common::check::messages;
use common::generate;
use epitome::{Edit, Error, FitOptions, Fitted, Messages, Patch, Plan, apply, fit, plan, repair, undo};

/// A conversation in which everything that a fit can do is done: repaired, pruned, hidden, summarised, shrunk.
fn conversation() -> Vec<String> {
    let words = |n: usize| "several words of no importance ".repeat(n);
    let mut out = vec![
        r#"{"role":"system","content":"You are terse.","x":1e2}"#.to_owned(),
        r#"{"role":"user","content":"Find the bug in src/main.rs"}"#.to_owned(),
        r#"{"role":"tool","tool_call_id":"nobody","content":"an orphan"}"#.to_owned(),
    ];
    for n in 0..12 {
        out.push(format!(r#"{{"role":"assistant","content":null,"tool_calls":[{{"id":"c{n}","type":"function","function":{{"name":"read","arguments":"{{\"n\":{n}}}"}}}}]}}"#));
        out.push(format!(r#"{{"role":"tool","tool_call_id":"c{n}","content":"{}","keep":[1, 2.50]}}"#, words(20)));
        out.push(format!(r#"{{"role":"assistant","content":"{}"}}"#, words(3)));
        out.push(format!(r#"{{"role":"user","content":"And number {n}?"}}"#));
    }
    out.push(format!(r#"{{"role":"assistant","content":"{}"}}"#, words(200)));
    out.push(r#"{"role":"assistant","content":null,"tool_calls":[{"id":"z","type":"function","function":{"name":"read","arguments":"{}"}}]}"#.to_owned());
    out.push(r#"{"role":"user","content":"Where is it?"}"#.to_owned());
    out.push(r#"{"role":"tool","tool_call_id":"z","content":"late"}"#.to_owned());
    out
}

fn fitted(tokens: u64) -> (Messages, Fitted) {
    let given = messages(&conversation());
    let done = fit(&given, &FitOptions::new(tokens)).unwrap();
    (given, done)
}

#[test]
fn the_conversation_of_these_tests_is_edited_in_every_way() {
    let kinds = |tokens: u64| {
        let (_, done) = fitted(tokens);
        let mut kinds = [0; 4];
        for edit in &done.patch.edits {
            kinds[match edit {
                Edit::Prune { .. } => 0,
                Edit::Hide { .. } => 1,
                Edit::Insert { .. } => 2,
                Edit::Shrink { .. } => 3,
            }] += 1;
        }
        assert!(done.report.repairs.iter().any(|repair| repair.action == "drop"), "{:?}", done.report.repairs);
        assert!(done.report.repairs.iter().any(|repair| repair.action == "move"), "{:?}", done.report.repairs);
        kinds
    };
    let all: Vec<[usize; 4]> = [1_800, 900, 500, 300].into_iter().map(kinds).collect();
    for kind in 0..4 {
        assert!(all.iter().any(|kinds| kinds[kind] > 0), "no edit of kind {kind}: {all:?}");
    }
}

#[test]
fn undo_is_exact_at_every_budget() {
    let given = messages(&conversation());
    let mut fits = 0;
    for tokens in (20..3_000).step_by(7) {
        let Ok(done) = fit(&given, &FitOptions::new(tokens)) else { continue };
        fits += 1;
        assert!(undo(&done.messages, &done.patch, &given).unwrap() == given, "at {tokens}");
    }
    assert!(fits > 300, "only {fits} budgets could be met");
}

#[test]
fn a_patch_and_a_plan_survive_json() {
    for tokens in [2_500, 900, 300] {
        let (given, done) = fitted(tokens);
        let patch: Patch = serde_json::from_str(&serde_json::to_string(&done.patch).unwrap()).unwrap();
        assert_eq!(patch, done.patch);
        let pretty: Patch = serde_json::from_str(&serde_json::to_string_pretty(&done.patch).unwrap()).unwrap();
        assert_eq!(pretty, done.patch);
        let again = plan(&given, &FitOptions::new(tokens)).unwrap();
        assert_eq!(again.patch, done.patch);
        let copy: Plan = serde_json::from_str(&serde_json::to_string(&again).unwrap()).unwrap();
        assert_eq!(copy, again);
        let applied = apply(&given, &copy).unwrap();
        assert!(applied.messages == done.messages && applied.patch == done.patch && applied.report == done.report);
        assert!(undo(&done.messages, &patch, &given).unwrap() == given);
    }
}

#[test]
fn what_was_appended_since_stays_at_the_end_as_it_is() {
    let (given, done) = fitted(400);
    for more in [
        vec![r#"{"role":"assistant","content":"Found it."}"#],
        vec![
            r#"{"role":"assistant","content":"x"}"#,
            r#"{ "role" : "user" , "content" : [] }"#,
            "null",
            "{\"deep\":[[[[1e2]]]]}",
        ],
    ] {
        let mut grown = done.messages.clone();
        let mut wanted = given.clone();
        for raw in more {
            grown.push_json(raw).unwrap();
            wanted.push_json(raw).unwrap();
        }
        assert!(undo(&grown, &done.patch, &given).unwrap() == wanted);
    }
}

#[test]
fn a_view_that_was_tampered_with_cannot_be_undone() {
    let (given, done) = fitted(400);
    let view: Vec<String> = done.messages.iter().map(str::to_owned).collect();
    let refused = |what: &str, view: &[String]| match undo(&messages(view), &done.patch, &given) {
        Err(error @ Error::CannotUndo { .. }) => assert_eq!(error.code(), "cannot_undo"),
        other => panic!("{what}: {:?}", other.map(|back| back.len())),
    };
    for at in 0..view.len() {
        let mut removed = view.clone();
        removed.remove(at);
        refused(&format!("{at} removed"), &removed);
        let mut doubled = view.clone();
        doubled.insert(at, r#"{"role":"user","content":"one more in the middle"}"#.to_owned());
        refused(&format!("one added before {at}"), &doubled);
        if at > 0 && view[at] != view[at - 1] {
            let mut swapped = view.clone();
            swapped.swap(at, at - 1);
            refused(&format!("{at} swapped"), &swapped);
        }
        for (from, to) in [
            ("words", "werds"),
            ("read", "reed"),
            ("\"assistant\"", "\"user\""),
            ("terse", "wordy"),
            ("\"id\":\"c", "\"id\":\"d"),
        ] {
            let changed = view[at].replace(from, to);
            if changed != view[at] && !(changed.contains("tool_calls") && changed.contains("\"user\"")) {
                let mut other = view.clone();
                other[at] = changed;
                refused(&format!("{from} -> {to} in {at}"), &other);
            }
        }
    }
    refused("empty", &[]);
}

#[test]
fn other_originals_cannot_be_put_back() {
    let (given, done) = fitted(400);
    let mut other = conversation();
    other.pop();
    assert_eq!(undo(&done.messages, &done.patch, &messages(&other)).unwrap_err().code(), "cannot_undo");
    let mut other = conversation();
    other[5] = r#"{"role":"assistant","content":"forged"}"#.to_owned();
    assert_eq!(undo(&done.messages, &done.patch, &messages(&other)).unwrap_err().code(), "cannot_undo");
    assert_eq!(undo(&done.messages, &done.patch, &Messages::default()).unwrap_err().code(), "cannot_undo");
    // A patch of another compaction of the same messages.
    let (_, wider) = fitted(900);
    assert_ne!(wider.patch, done.patch);
    assert_eq!(undo(&done.messages, &wider.patch, &given).unwrap_err().code(), "cannot_undo");
}

#[test]
fn a_plan_is_stale_once_the_messages_changed() {
    let given = messages(&conversation());
    let made = plan(&given, &FitOptions::new(400)).unwrap();
    assert!(apply(&given, &made).is_ok());
    let mut raws = conversation();
    raws.push(r#"{"role":"user","content":"more"}"#.to_owned());
    assert_eq!(apply(&messages(&raws), &made).unwrap_err(), Error::StalePlan);
    let mut raws = conversation();
    raws.pop();
    assert_eq!(apply(&messages(&raws), &made).unwrap_err(), Error::StalePlan);
    for at in 0..conversation().len() {
        let mut raws = conversation();
        raws[at] = r#"{"role":"user","content":"changed"}"#.to_owned();
        assert_eq!(apply(&messages(&raws), &made).unwrap_err(), Error::StalePlan, "message {at}");
    }
    assert_eq!(apply(&Messages::default(), &made).unwrap_err(), Error::StalePlan);
}

#[test]
fn the_input_is_not_touched() {
    let given = messages(&conversation());
    let before = given.to_json();
    let done = fit(&given, &FitOptions::new(300)).unwrap();
    let view = done.messages.to_json();
    let _ = undo(&done.messages, &done.patch, &given).unwrap();
    let _ = repair(&given, None).unwrap();
    assert_eq!(given.to_json(), before);
    assert_eq!(done.messages.to_json(), view);
}

#[test]
fn repairing_twice_changes_nothing_more() {
    for seed in 0..300 {
        let case = generate::case(9_000_000 + seed);
        let given = messages(&case.messages);
        let Ok((mended, _)) = repair(&given, None) else { panic!("seed {seed}") };
        let (again, repairs) = repair(&mended, None).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        assert!(repairs.is_empty(), "seed {seed}: {repairs:?}");
        assert!(again == mended, "seed {seed}");
    }
}
