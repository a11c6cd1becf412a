//! Counting tokens: the port, and the built-in heuristic.

mod heuristic;

pub use heuristic::Heuristic;

use crate::message::{Message, PartKind};

/// Counts the tokens of one text. Pure: the same text always gives the same number.
pub trait TokenCounter {
    /// Tokens of `text`; 0 for the empty text.
    fn count(&self, text: &str) -> u32;
}

impl TokenCounter for Heuristic {
    fn count(&self, text: &str) -> u32 {
        Self::count(text)
    }
}

impl<F: Fn(&str) -> u32> TokenCounter for F {
    fn count(&self, text: &str) -> u32 {
        self(text)
    }
}

/// Tokens that a chat format spends on the frame of one message, and again on the frame of one tool call. OpenAI's
/// published counting code charges 3 per message and 3 for priming the answer; 4 per message covers both.
pub const FRAME: u32 = 4;

/// Tokens of one message: its frame, its texts, its calls (each framed), its attachments.
#[must_use]
pub fn message_tokens(counter: &dyn TokenCounter, message: &Message<'_>) -> u64 {
    let parts: u64 = message.parts.iter().map(|part| part_tokens(counter, &part.kind)).sum();
    // A tool result names its call by id, which costs nothing; any other name is spelled out, plus one to set it off.
    let name = match &message.name {
        Some(name) if message.answers.is_none() => 1 + u64::from(counter.count(name)),
        _ => 0,
    };
    u64::from(FRAME) + parts + name
}

fn part_tokens(counter: &dyn TokenCounter, kind: &PartKind<'_>) -> u64 {
    match kind {
        PartKind::Text(text) | PartKind::ToolResult(text) | PartKind::Hidden(text) => u64::from(counter.count(text)),
        PartKind::ToolCall { name, arguments, .. } => {
            u64::from(FRAME) + u64::from(counter.count(name)) + u64::from(counter.count(arguments))
        }
        PartKind::Attachment { tokens, .. } => u64::from(*tokens),
        PartKind::Other => 0,
    }
}

/// The longest prefix of `text`, in bytes at a character boundary, that costs at most `max` tokens.
///
/// Works with any counter: guesses from the average so far and corrects, so it counts a small multiple of the result's
/// length and not of the text's.
#[must_use]
pub(crate) fn prefix_within(counter: &dyn TokenCounter, text: &str, max: u32) -> usize {
    cut_within(text, max, |at| text.get(..at).map_or(0, |head| counter.count(head)))
}

/// Like [`prefix_within`] from the end: the start of the longest suffix that costs at most `max` tokens.
#[must_use]
pub(crate) fn suffix_within(counter: &dyn TokenCounter, text: &str, max: u32) -> usize {
    let len = text.len();
    let kept = cut_within_by(len, max, |size| {
        let at = ceil_boundary(text, len - size);
        text.get(at..).map_or(0, |tail| counter.count(tail))
    });
    ceil_boundary(text, len - kept)
}

fn cut_within(text: &str, max: u32, cost: impl Fn(usize) -> u32) -> usize {
    let size = cut_within_by(text.len(), max, |size| cost(floor_boundary(text, size)));
    floor_boundary(text, size)
}

/// The largest size (bytes, up to `len`) whose cost is at most `max`, found by galloping and bisection.
fn cut_within_by(len: usize, max: u32, cost: impl Fn(usize) -> u32) -> usize {
    if max == 0 {
        return 0;
    }
    // Gallop: no script costs less than one token per 64 bytes for long, so this starts below the answer mostly.
    let mut good = 0;
    let mut step = (max as usize).saturating_mul(3).max(8);
    let mut bad = loop {
        let size = good + step;
        if size >= len {
            if cost(len) <= max {
                return len;
            }
            break len;
        }
        if cost(size) <= max {
            good = size;
            step = step.saturating_mul(2);
        } else {
            break size;
        }
    };
    // Bisect to within a few bytes; exactness below a word is worth no further counting.
    while bad - good > 4 {
        let middle = good + (bad - good) / 2;
        if cost(middle) <= max {
            good = middle;
        } else {
            bad = middle;
        }
    }
    good
}

/// The nearest character boundary at or before `at`.
pub(crate) fn floor_boundary(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

/// The nearest character boundary at or after `at`.
pub(crate) fn ceil_boundary(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at += 1;
    }
    at
}
