//! What cannot be given up, computed without the crate: system, developer and pinned messages, the last user message,
//! the open tool unit with its results cut to next to nothing, the partners of pinned messages with placeholders, and a
//! notice where a user message has to come first.

use epitome::TokenCounter;

use super::counting::formula;
use super::message::Msg;
use super::rules::first_speaker;

/// A result of the open tool unit can be cut to this many tokens of text: the mark and a few words.
pub const LEAST_RESULT: u64 = 24;
/// A notice that messages were left out, at the front.
pub const NOTICE: u64 = 32;

#[derive(Debug, Clone, Default)]
pub struct Given<'g> {
    /// Whether each message is pinned.
    pub pinned: Vec<bool>,
    /// Names of tools whose results may not be pruned.
    pub protected: &'g [String],
    pub placeholder: &'g str,
    /// The last user message may be shrunk.
    pub shrink_last_user: bool,
}

/// `messages` must be valid: mended. `size` gives the size of a whole message by the counter in use.
pub fn tokens(messages: &[Msg], given: &Given<'_>, counter: &dyn TokenCounter, size: &dyn Fn(&Msg) -> u64) -> u64 {
    let pinned = |at: usize| given.pinned.get(at).copied().unwrap_or(false) && !messages[at].looks_like_summary();
    let last_user = messages.iter().rposition(|message| message.role() == "user" && !message.looks_like_summary());
    // Units by adjacency.
    let mut units: Vec<std::ops::Range<usize>> = Vec::new();
    for (at, message) in messages.iter().enumerate() {
        match units.last_mut() {
            Some(unit) if message.is_result() => unit.end = at + 1,
            _ => units.push(at..at + 1),
        }
    }
    let open = units
        .iter()
        .rposition(|unit| !messages[unit.start].is_system())
        .filter(|unit| messages[units[*unit].start].has_calls());
    let mut total = 0;
    let mut kept = vec![false; messages.len()];
    for (number, unit) in units.iter().enumerate() {
        let whole_is_kept = unit.clone().any(pinned);
        let calls = messages[unit.start].calls();
        for at in unit.clone() {
            let message = &messages[at];
            let full = size(message);
            let protected = message.is_result() && {
                let key = message.get(if message.role() == "function" { "name" } else { "tool_call_id" });
                calls.iter().any(|(_, id, name, _)| Some(id.as_str()) == key.as_str() && given.protected.contains(name))
            };
            let least = if message.is_system() || pinned(at) {
                Some(full)
            } else if Some(at) == last_user {
                // Images and files are not shrunk, and something of each text is kept.
                let texts = message.texts().into_iter().map(|text| u64::from(counter.count(&text)));
                let cut: u64 = texts.map(|tokens| tokens.saturating_sub(LEAST_RESULT)).sum();
                Some(if given.shrink_last_user { full - cut } else { full })
            } else if Some(number) == open {
                Some(if message.is_result() { full.min(4 + LEAST_RESULT) } else { full })
            } else if whole_is_kept {
                let placeholder = given.placeholder.replace("{tokens}", &full.saturating_sub(4).to_string());
                let pruned = 4 + u64::from(counter.count(&placeholder));
                // Results of protected tools are never pruned, but shrunk where nothing else is left.
                let least = if protected { 4 + LEAST_RESULT } else { pruned };
                Some(if message.is_result() { full.min(least) } else { full })
            } else {
                None
            };
            if let Some(least) = least {
                kept[at] = true;
                total += least;
            }
        }
    }
    let left: Vec<Msg> =
        messages.iter().zip(&kept).filter(|(_, kept)| **kept).map(|(message, _)| message.clone()).collect();
    let any_user = messages.iter().any(|message| message.role() == "user");
    if any_user && first_speaker(&left).as_deref() != Some("user") {
        total += NOTICE;
    }
    total
}

/// The size of a message of plain text and calls, by `eval`'s formula.
pub fn plain_size(counter: &dyn TokenCounter) -> impl Fn(&Msg) -> u64 + '_ {
    move |message| formula(counter, message)
}
