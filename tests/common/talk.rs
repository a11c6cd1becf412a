//! Conversations for tests: short messages by hand, sizes that are exact, and what must hold after every step.
//!
//! Not part of `common` itself: a test file takes it in by `#[path = "common/talk.rs"]`.
#![allow(dead_code, reason = "every test binary uses a part")]

use epitome::{
    Budget, Conversation, ConversationOptions, Done, Edit, Messages, Policy, Providers, Request, Status,
    count_messages, repair, undo,
};
use serde_json::json;

use crate::common::message::Msg;
use crate::common::rules;
use crate::common::scripted::{Scripted, block_on};

/// One token per word, so that sizes are known beforehand. A message costs four more, a call four and its two words.
pub fn per_word(text: &str) -> u32 {
    text.split_ascii_whitespace().count() as u32
}

/// So many words without digits, and none that another seed has.
pub fn words(seed: &str, count: usize) -> String {
    let name = |at: usize| -> String {
        (0..3).map(|digit| char::from(b'a' + (at / 26_usize.pow(digit) % 26) as u8)).chain(seed.chars()).collect()
    };
    (0..count).map(name).collect::<Vec<_>>().join(" ")
}

pub fn system(text: &str) -> String {
    json!({"role": "system", "content": text}).to_string()
}

pub fn user(text: &str) -> String {
    json!({"role": "user", "content": text}).to_string()
}

pub fn assistant(text: &str) -> String {
    json!({"role": "assistant", "content": text}).to_string()
}

/// Parallel calls: ids, names, arguments.
pub fn calls(calls: &[(&str, &str, &str)]) -> String {
    let calls: Vec<_> = calls
        .iter()
        .map(|(id, name, arguments)| json!({"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}))
        .collect();
    json!({"role": "assistant", "content": null, "tool_calls": calls}).to_string()
}

pub fn result(id: &str, text: &str) -> String {
    json!({"role": "tool", "tool_call_id": id, "content": text}).to_string()
}

/// One call and its result: 10 tokens and those of the text, plus 4.
pub fn unit(id: &str, text: &str) -> [String; 2] {
    [calls(&[(id, "read", "{}")]), result(id, text)]
}

/// A window without reserve: the limit itself.
pub fn window(limit: u64) -> Budget {
    Budget::Window { window: limit, reserve: Some(0), overhead: 0 }
}

pub fn options(limit: u64) -> ConversationOptions {
    ConversationOptions::new(window(limit))
}

/// A policy under which nothing is protected but what always is.
pub fn bare() -> Policy {
    Policy { preserve_tail_messages: 0, protect_tail_tokens: 0, ..Policy::default() }
}

pub fn with_policy(limit: u64, policy: Policy) -> ConversationOptions {
    ConversationOptions { policy, ..options(limit) }
}

pub fn messages(raws: &[String]) -> Messages {
    Messages::from_json(&format!("[{}]", raws.join(","))).unwrap()
}

pub fn talk(options: ConversationOptions, raws: &[String]) -> Conversation<'static> {
    let mut talk = Conversation::new(options, &per_word).unwrap();
    talk.append(&messages(raws)).unwrap();
    talk
}

pub fn append(talk: &mut Conversation<'_>, raws: &[String]) {
    talk.append(&messages(raws)).unwrap();
}

pub fn turn(talk: &mut Conversation<'_>, model: &Scripted) -> Done {
    let done = block_on(talk.turn(Providers::all(model))).unwrap();
    sound(talk);
    done
}

/// A turn without a model.
pub fn turn_alone(talk: &mut Conversation<'_>) -> Done {
    let done = block_on(talk.turn(Providers::default())).unwrap();
    sound(talk);
    done
}

pub fn after_tools(talk: &mut Conversation<'_>, model: &Scripted) -> Done {
    let done = block_on(talk.after_tools(Providers::all(model))).unwrap();
    sound(talk);
    done
}

pub fn view(talk: &Conversation<'_>) -> Vec<Msg> {
    let view = talk.view().unwrap();
    Msg::all(view.iter())
}

/// The view as one text.
pub fn shown(talk: &Conversation<'_>) -> String {
    talk.view().unwrap().to_json()
}

/// The texts of the summaries in the view.
pub fn summaries(talk: &Conversation<'_>) -> Vec<String> {
    view(talk).iter().filter(|message| message.looks_like_summary()).map(|message| message.texts().concat()).collect()
}

/// What holds after every step: the size is that of the view by the same counter, the view is valid, keeps what was
/// promised, and leads back to what was given.
pub fn sound(talk: &Conversation<'_>) {
    sound_beside(talk, 0);
}

/// The same, with so many tokens beside the messages.
pub fn sound_beside(talk: &Conversation<'_>, overhead: u64) {
    let view = talk.view().unwrap();
    assert_eq!(count_messages(&view, None, &per_word).unwrap() + overhead, talk.tokens(), "size of the view");
    let (given, seen) = (Msg::all(talk.messages().iter()), Msg::all(view.iter()));
    let mut wrong = rules::violations(&seen);
    wrong.extend(rules::broken_promises(&given, &seen));
    assert!(wrong.is_empty(), "{wrong:#?}");
    match talk.patch() {
        Some(patch) => {
            let source = Messages::from_json(&format!(
                "[{}]",
                talk.messages().iter().take(patch.source.messages).collect::<Vec<_>>().join(",")
            ))
            .unwrap();
            let back = undo(&view, patch, &source).unwrap();
            assert!(back.to_json() == talk.messages().to_json(), "undo");
        }
        // Nothing was done but what the rules of the format force.
        None => assert!(view.to_json() == repair(talk.messages(), None).unwrap().0.to_json(), "nothing was done"),
    }
}

/// How far a step went, by what a host would show meanwhile.
pub fn tier(done: &Done) -> &'static str {
    let has = |status| done.events.contains(&status);
    match () {
        () if has(Status::Compacting) => "hard",
        () if has(Status::SoftCompacting) => "soft",
        () => "none",
    }
}

/// The indices of the messages that are edited, not hidden.
pub fn edited(talk: &Conversation<'_>) -> Vec<usize> {
    edits(talk)
        .iter()
        .filter_map(|edit| match edit {
            Edit::Prune { index, .. } | Edit::Shrink { index, .. } => Some(*index),
            _ => None,
        })
        .collect()
}

/// The indices of the messages that are hidden.
pub fn hidden(talk: &Conversation<'_>) -> Vec<usize> {
    edits(talk)
        .iter()
        .flat_map(|edit| match edit {
            Edit::Hide { from, to, .. } => *from..*to,
            _ => 0..0,
        })
        .collect()
}

pub fn edits(talk: &Conversation<'_>) -> Vec<Edit> {
    talk.patch().map(|patch| patch.edits.clone()).unwrap_or_default()
}

pub fn prompt(request: &Request) -> &str {
    &request.messages[0].content
}

/// All that a model was sent.
pub fn prompts(model: &Scripted) -> Vec<String> {
    model.requests.borrow().iter().map(|request| prompt(request).to_owned()).collect()
}

/// What stands between the marks of a tag.
pub fn fenced<'p>(prompt: &'p str, tag: &str) -> Option<&'p str> {
    let start = prompt.find(&format!("\n<{tag} "))? + tag.len() + 3;
    let (mark, rest) = prompt[start..].split_once(">\n")?;
    let (inside, _) = rest.split_once(&format!("\n</{tag} {mark}>"))?;
    Some(inside)
}
