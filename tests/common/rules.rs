//! The rules of OpenAI Chat Completions (`peers.md` 5.2, C1 to C6) and those of `eval`, judged on plain JSON.

use serde_json::Value;

use super::message::{Msg, short};

/// Everything that is wrong with these messages.
pub fn violations(messages: &[Msg]) -> Vec<String> {
    let mut found = Vec::new();
    // Calls that wait for their answer: (legacy, key).
    let mut open: Vec<(bool, String)> = Vec::new();
    let mut in_unit = false;
    for (index, message) in messages.iter().enumerate() {
        let role = message.role();
        let mut bad = |rule: &str, what: &str| {
            found.push(format!("{rule} message {index} ({role}): {what}: {}", short(&message.raw)))
        };
        if message.is_result() {
            let legacy = role == "function";
            let key = message.get(if legacy { "name" } else { "tool_call_id" });
            let Some(key) = key.as_str() else {
                bad("C1", "a result without the id of its call");
                continue;
            };
            match open.iter().position(|(of, id)| *of == legacy && id == key) {
                Some(at) => {
                    open.remove(at);
                }
                None if in_unit => bad("C1", "a result that no call before it asked for, or a second one"),
                None => bad("C1", "a result that does not follow a call"),
            }
            match message.get("content") {
                Value::String(_) => {}
                Value::Array(parts) if !parts.is_empty() => {
                    if parts.iter().any(|part| part["type"] != "text" || !part["text"].is_string()) {
                        bad("C6", "the content of a result is not text");
                    }
                }
                _ => bad("C4", "a result without content"),
            }
            continue;
        }
        if !open.is_empty() {
            bad("C2", &format!("calls before it are not answered: {:?}", open.iter().take(4).collect::<Vec<_>>()));
            open.clear();
        }
        in_unit = false;
        match role.as_str() {
            "system" | "developer" | "user" => match message.get("content") {
                Value::String(_) => {}
                Value::Array(parts) if !parts.is_empty() => {}
                _ => bad("C4", "no content"),
            },
            "assistant" => {
                let calls = message.calls();
                let list = message.get("tool_calls");
                if list.as_array().is_some_and(Vec::is_empty) {
                    bad("C2", "an empty list of calls");
                }
                if calls.is_empty() && is_empty(message) {
                    bad("C4", "an assistant message without anything");
                }
                if message.get("content").as_array().is_some_and(Vec::is_empty) {
                    bad("C4", "an empty list of parts");
                }
                in_unit = !calls.is_empty();
                open.extend(calls.into_iter().map(|(legacy, key, ..)| (legacy, key)));
            }
            other => bad("role", &format!("unknown role {other:?}")),
        }
    }
    if !open.is_empty() {
        found.push(format!("C2 at the end: calls are not answered: {:?}", open.iter().take(4).collect::<Vec<_>>()));
    }
    found
}

/// `eval` strips the text and asks whether anything is left; a refusal or audio is something too.
fn is_empty(message: &Msg) -> bool {
    let content = message.get("content");
    let words = match &content {
        Value::String(text) => !text.trim().is_empty(),
        Value::Array(parts) => parts.iter().any(|part| match part["type"].as_str() {
            Some("text") => part["text"].as_str().is_some_and(|text| !text.trim().is_empty()),
            Some("refusal") => part["refusal"].as_str().is_some_and(|text| !text.is_empty()),
            _ => true,
        }),
        _ => false,
    };
    let refusal = message.get("refusal").as_str().is_some_and(|text| !text.is_empty());
    !words && !refusal && !message.get("audio").is_object()
}

/// The role of the first message that is not the system's.
pub fn first_speaker(messages: &[Msg]) -> Option<String> {
    messages.iter().find(|message| !message.is_system()).map(Msg::role)
}

/// `eval`: system messages verbatim, the last user message verbatim, a user first if one was first.
pub fn broken_promises(before: &[Msg], after: &[Msg]) -> Vec<String> {
    let mut found = Vec::new();
    if first_speaker(before).as_deref() == Some("user") && first_speaker(after).as_deref() != Some("user") {
        found.push(format!("a user message came first, now it is {:?}", first_speaker(after)));
    }
    let systems = |messages: &[Msg]| -> Vec<(String, Vec<String>)> {
        messages.iter().filter(|message| message.is_system()).map(|message| (message.role(), message.texts())).collect()
    };
    let (given, kept) = (systems(before), systems(after));
    let mut rest = kept.iter();
    for system in &given {
        let empty = system.1.is_empty();
        if !rest.any(|kept| kept == system || (empty && kept.0 == system.0 && kept.1 == [""])) {
            found.push(format!("a system message is lost or out of order: {}", short(&format!("{system:?}"))));
        }
    }
    let last = |messages: &[Msg]| {
        messages.iter().rev().find(|message| message.role() == "user" && !message.looks_like_summary()).map(Msg::texts)
    };
    if let Some(words) = last(before) {
        let now = last(after);
        if now.as_ref() != Some(&words) && !(words.is_empty() && now == Some(vec![String::new()])) {
            found.push(format!(
                "the last user message was {}, now it is {}",
                short(&format!("{words:?}")),
                short(&format!("{now:?}"))
            ));
        }
    }
    found
}
