//! Cutting a text to its head and tail.

use crate::tokens::{TokenCounter, prefix_within, suffix_within};

/// The smallest size, tokens, that a text can be cut to with something of it left: the mark and a few words.
pub(crate) const LEAST: u32 = 24;

/// Cuts `text`, which has `size` tokens, to at most `max` tokens: two thirds of the room for its head, one third for
/// its tail, and a line between them that says how much is missing. `None` when `max` is too small for that.
pub(crate) fn head_and_tail(counter: &dyn TokenCounter, text: &str, size: u32, max: u32) -> Option<String> {
    let mut room = max.checked_sub(counter.count(&mark(size)))?;
    loop {
        let head = at_line_end(text, prefix_within(counter, text, room - room / 3));
        let tail = at_line_start(text, suffix_within(counter, text, room / 3)).max(head);
        let (head, tail) = (text.get(..head)?, text.get(tail..)?);
        let cut = size.saturating_sub(counter.count(head)).saturating_sub(counter.count(tail));
        let short = format!("{head}{}{tail}", mark(cut));
        let cost = counter.count(&short);
        if cost <= max {
            return Some(short);
        }
        // Pieces can cost a little more together than apart.
        room = room.checked_sub((cost - max).max(1)).filter(|room| *room > 2)?;
    }
}

fn mark(tokens: u32) -> String {
    format!("\n[… {tokens} tokens cut …]\n")
}

/// Moves a cut back to the end of a line, when one ends in the last fifth of what is kept; else to the end of a word.
fn at_line_end(text: &str, at: usize) -> usize {
    let kept = text.get(..at).unwrap_or_default();
    let nearby = |found: usize| (found > at - at / 5).then_some(found);
    let last = |mark: u8| kept.bytes().rposition(|byte| byte == mark);
    last(b'\n').and_then(nearby).or_else(|| last(b' ').and_then(nearby)).unwrap_or(at)
}

/// The same for the tail: forward to the start of a line or word.
fn at_line_start(text: &str, at: usize) -> usize {
    let kept = text.get(at..).unwrap_or_default();
    let nearby = |found: usize| (found < kept.len() / 5).then_some(at + found + 1);
    let first = |mark: u8| kept.bytes().position(|byte| byte == mark);
    first(b'\n').and_then(nearby).or_else(|| first(b' ').and_then(nearby)).unwrap_or(at)
}
