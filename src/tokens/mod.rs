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

pub(crate) fn part_tokens(counter: &dyn TokenCounter, kind: &PartKind<'_>) -> u64 {
    match kind {
        PartKind::Text(text) | PartKind::ToolResult(text) | PartKind::Hidden(text) => u64::from(counter.count(text)),
        PartKind::ToolCall { name, arguments, .. } => {
            u64::from(FRAME) + u64::from(counter.count(name)) + u64::from(counter.count(arguments))
        }
        PartKind::Attachment { tokens, .. } => u64::from(*tokens),
        PartKind::Other => 0,
    }
}

/// What a counter makes of a text on which hardly two agree: tells whether sizes come from this one.
pub(crate) fn probe(counter: &dyn TokenCounter) -> u32 {
    counter.count("Probe: na\u{EF}ve \u{6771}\u{4EAC} 0x1F4A9 {\"id\": [1, 22, 333]} \u{2014} unbelievably\n\tso")
}

/// Bytes that a number of tokens takes up in prose: the first guess where nothing is known of a text.
pub(crate) fn prose(tokens: u32) -> usize {
    (tokens as usize).saturating_mul(4)
}

/// The longest prefix of `text`, in bytes at a character boundary, that costs at most `max` tokens. The nearer `guess`,
/// in bytes, the fewer counts it takes.
///
/// Works with any counter, and counts a small multiple of the result's length, not of the text's.
#[must_use]
pub(crate) fn prefix_within(counter: &dyn TokenCounter, text: &str, max: u32, guess: usize) -> usize {
    let size = size_within(text.len(), max, guess, |size| {
        let at = floor_boundary(text, size);
        text.get(..at).map_or(0, |head| counter.count(head))
    });
    floor_boundary(text, size)
}

/// Like [`prefix_within`] from the end: the start of the longest suffix that costs at most `max` tokens.
#[must_use]
pub(crate) fn suffix_within(counter: &dyn TokenCounter, text: &str, max: u32, guess: usize) -> usize {
    let len = text.len();
    let kept = size_within(len, max, guess, |size| {
        let at = ceil_boundary(text, len - size);
        text.get(at..).map_or(0, |tail| counter.count(tail))
    });
    ceil_boundary(text, len - kept)
}

/// A size (bytes, up to `len`) whose cost is at most `max` and close to it: guesses in proportion to the last one, so
/// that a few counts of about that size do.
fn size_within(len: usize, max: u32, guess: usize, cost: impl Fn(usize) -> u32) -> usize {
    let (mut good, mut bad) = (0, len + 1);
    let mut guess = guess.min(len);
    for _ in 0..TRIES {
        let price = cost(guess);
        if price <= max {
            good = good.max(guess);
            // Within a thirty-second it is not worth another count.
            if guess == len || u64::from(price) * 32 >= u64::from(max) * 31 {
                break;
            }
        } else {
            bad = bad.min(guess);
        }
        let scaled = guess as u64 * u64::from(max) / u64::from(price.max(1));
        let aimed = usize::try_from(scaled - scaled / 64).unwrap_or(len).min(len);
        guess = if aimed > good && aimed < bad { aimed } else { good + (bad - good) / 2 };
        if guess == good {
            break;
        }
    }
    good
}

/// Counts spent on one cut. Texts whose density is even need two or three.
const TRIES: usize = 8;

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
