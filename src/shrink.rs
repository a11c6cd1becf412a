//! Cutting a text to its head and tail.

use crate::tokens::{TokenCounter, prefix_within, suffix_within};

/// The smallest size, tokens, that a text can be cut to with something of it left: the mark and a few words.
pub(crate) const LEAST: u32 = 24;

/// Cuts `text`, which has `size` tokens, to at most `max` tokens: two thirds of the room for its head, one third for
/// its tail, and a line between them that says how much is missing; that line alone where no more has room. `None` when
/// not even that has.
pub(crate) fn head_and_tail(counter: &dyn TokenCounter, text: &str, size: u32, max: u32) -> Option<String> {
    let mut room = max.checked_sub(counter.count(&mark(size)))?;
    // Most texts are as dense throughout.
    let bytes = |tokens: u32| share(text.len(), tokens, size);
    while room > 2 {
        let (first, last) = (room - room / 3, room / 3);
        let head = at_line_end(text, prefix_within(counter, text, first, bytes(first)));
        let tail = at_line_start(text, suffix_within(counter, text, last, bytes(last))).max(head);
        let (head, tail) = (text.get(..head)?, text.get(tail..)?);
        let cut = size.saturating_sub(counter.count(head)).saturating_sub(counter.count(tail));
        let short = format!("{head}{}{tail}", mark(cut));
        let cost = counter.count(&short);
        if cost <= max {
            return Some(short);
        }
        // Pieces can cost a little more together than apart.
        room = room.saturating_sub(cost - max);
    }
    Some(mark(size))
}

/// `part / whole` of `len`, a little less so that it is rarely too much.
fn share(len: usize, part: u32, whole: u32) -> usize {
    let share = len as u64 * u64::from(part) / u64::from(whole.max(1));
    usize::try_from(share - share / 64).unwrap_or(len)
}

fn mark(tokens: u32) -> String {
    format!("\n[… {tokens} tokens cut …]\n")
}

/// Moves a cut back to the end of a line, when one ends in the last fifth of what is kept; else to the end of a word.
pub(crate) fn at_line_end(text: &str, at: usize) -> usize {
    let kept = text.get(..at).unwrap_or_default();
    let nearby = |found: usize| (found > at - at / 5).then_some(found);
    let last = |mark: u8| kept.bytes().rposition(|byte| byte == mark);
    last(b'\n').and_then(nearby).or_else(|| last(b' ').and_then(nearby)).unwrap_or(at)
}

/// The same for the tail: forward to the start of a line or word.
pub(crate) fn at_line_start(text: &str, at: usize) -> usize {
    let kept = text.get(at..).unwrap_or_default();
    let nearby = |found: usize| (found < kept.len() / 5).then_some(at + found + 1);
    let first = |mark: u8| kept.bytes().position(|byte| byte == mark);
    first(b'\n').and_then(nearby).or_else(|| first(b' ').and_then(nearby)).unwrap_or(at)
}
