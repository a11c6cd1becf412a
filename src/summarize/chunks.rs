//! Cutting what has to be summarised into requests that fit.

use std::borrow::Cow;
use std::ops::Range;

use super::render::{Piece, SEPARATOR, transcript};
use crate::tokens::{TokenCounter, floor_boundary, prefix_within, prose};

/// Groups items of these sizes greedily and in order (zeph's `chunk_messages`): an item of at least `oversize` is a
/// chunk of its own, and a chunk that has something never grows above `budget`. No items are one empty chunk.
pub(crate) fn chunk(sizes: &[u64], budget: u64, oversize: u64) -> Vec<Range<usize>> {
    let mut chunks = Vec::new();
    let (mut start, mut held) = (0, 0_u64);
    for (at, size) in sizes.iter().enumerate() {
        if *size >= oversize {
            if at > start {
                chunks.push(start..at);
            }
            chunks.push(at..at + 1);
            (start, held) = (at + 1, 0);
            continue;
        }
        if at > start && held.saturating_add(*size) > budget {
            chunks.push(start..at);
            (start, held) = (at, 0);
        }
        held = held.saturating_add(*size);
    }
    if start < sizes.len() || chunks.is_empty() {
        chunks.push(start..sizes.len());
    }
    chunks
}

/// Cuts a text into pieces of at most `max` tokens (B-35), in the last half of each at the end of a paragraph, else of
/// a line, a sentence or a word, else between two characters. Together they are the text. A piece is larger only where
/// a single character is.
pub(crate) fn split<'t>(counter: &dyn TokenCounter, text: &'t str, max: u32) -> Vec<&'t str> {
    let mut pieces = Vec::new();
    let mut rest = text;
    let mut guess = prose(max);
    while !rest.is_empty() {
        let mut most = prefix_within(counter, rest, max, guess);
        if most == 0 {
            // A text much denser at its beginning than after it misleads the search: from below, then.
            most = prefix_within(counter, rest, max, max as usize / 2);
        }
        if most == 0 {
            most = rest.chars().next().map_or(rest.len(), char::len_utf8);
        }
        // The next piece is likely to be as dense.
        guess = most;
        let mut at = if most == rest.len() { most } else { good_end(rest, most) };
        // Less text can cost more tokens, where it ends inside one.
        if at < most && rest.get(..at).is_some_and(|piece| counter.count(piece) > max) {
            at = most;
        }
        let Some((piece, after)) = rest.split_at_checked(at) else { break };
        pieces.push(piece);
        rest = after;
    }
    pieces
}

/// The best place to cut at, at or before `most` and behind the half of it.
fn good_end(text: &str, most: usize) -> usize {
    let from = floor_boundary(text, most / 2);
    let window = text.get(from..most).unwrap_or_default();
    // The best end of each kind, as far as found: line, sentence, word. A paragraph ends the search.
    let mut ends = [None; 3];
    let mut after = text.get(most..).and_then(|rest| rest.chars().next()).unwrap_or('\n');
    for (at, char) in window.char_indices().rev() {
        let end = from + at + char.len_utf8();
        let kind = match char {
            '\n' if is_blank_before(text, from + at) => return end,
            '\n' => 0,
            '。' | '！' | '？' | '｡' | '．' | '।' | '؟' | '۔' => 1,
            '.' | '!' | '?' if after.is_whitespace() => 1,
            ' ' | '\t' | '\u{3000}' => 2,
            _ => 3,
        };
        if let Some(slot @ None) = ends.get_mut(kind) {
            *slot = Some(end);
        }
        after = char;
    }
    ends.into_iter().flatten().next().unwrap_or(most)
}

/// Whether the line that the line break at `at` ends is empty: then a paragraph ends here.
fn is_blank_before(text: &str, at: usize) -> bool {
    let before = text.get(..at).unwrap_or_default();
    before.strip_suffix('\r').unwrap_or(before).ends_with('\n')
}

/// Groups pieces into requests of at most `budget` tokens of text (zeph's 4,096, or what the summarizer's window leaves
/// beside prompt and reply), with a piece of at least `oversize` on its own. Sizes are those of the text that is sent,
/// labels included (B-11); a piece above the budget is split (B-35). No pieces are one empty request.
pub(crate) fn fit_pieces<'m>(
    counter: &dyn TokenCounter,
    pieces: Vec<Piece<'m>>,
    budget: u32,
    oversize: u32,
) -> Vec<Vec<Piece<'m>>> {
    let mut small = Vec::with_capacity(pieces.len());
    let mut sizes = Vec::with_capacity(pieces.len());
    for piece in pieces {
        for piece in within(counter, piece, budget) {
            sizes.push(u64::from(size(counter, &piece)));
            small.push(piece);
        }
    }
    let mut rest = small.into_iter();
    let mut requests = Vec::new();
    for range in chunk(&sizes, u64::from(budget), u64::from(oversize)) {
        let mut request = Vec::with_capacity(range.len());
        for piece in rest.by_ref().take(range.len()) {
            request.push(piece);
        }
        // Sizes were added up; together they can be a little more. Then each half is a request.
        let mut open = vec![request];
        while let Some(mut request) = open.pop() {
            if request.len() > 1 && counter.count(&transcript(&request)) > budget {
                let later = request.split_off(request.len() / 2);
                open.push(later);
                open.push(request);
            } else {
                requests.push(request);
            }
        }
    }
    requests
}

/// Tokens of a piece as it is sent, with what sets it off from the next one.
fn size(counter: &dyn TokenCounter, piece: &Piece<'_>) -> u32 {
    let mut text = String::with_capacity(piece.text.len() + 64);
    piece.write(&mut text);
    text.push_str(SEPARATOR);
    counter.count(&text)
}

/// The piece, or the parts of it that fit.
fn within<'m>(counter: &dyn TokenCounter, piece: Piece<'m>, budget: u32) -> Vec<Piece<'m>> {
    if size(counter, &piece) <= budget {
        return vec![piece];
    }
    let part = |text: Cow<'m, str>, part: usize| Piece {
        text,
        name: piece.name.clone(),
        part: u32::try_from(part).unwrap_or(u32::MAX),
        ..piece
    };
    // The label of a part with a high number, and something for where texts meet.
    let label = size(counter, &part(Cow::Borrowed(""), 1_000_000));
    let mut max = budget.saturating_sub(label + 2).max(1);
    loop {
        let mut parts = Vec::new();
        let mut over = 0;
        for (at, text) in split(counter, &piece.text, max).into_iter().enumerate() {
            let part = part(Cow::Owned(text.to_owned()), at + 1);
            over = over.max(size(counter, &part).saturating_sub(budget));
            parts.push(part);
        }
        // A budget that is too small for the label alone cannot be kept to.
        if over == 0 || max <= over.max(max / 2) {
            return parts;
        }
        max -= over;
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;
    use std::cell::Cell;
    use std::ops::Range;

    use super::super::render::{Piece, transcript};
    use super::super::sample::quarter;
    use super::{chunk, fit_pieces, split};
    use crate::tokens::{Heuristic, TokenCounter};

    fn piece(text: &str, result: bool) -> Piece<'_> {
        let (role, name) = if result { ("tool result", "shell") } else { ("user", "") };
        Piece { role, name: Cow::Borrowed(name), text: Cow::Borrowed(text), result, part: 0, at: 0 }
    }

    #[test]
    fn chunks_are_greedy_and_in_order() {
        // Sizes, budget, oversize, and where chunks begin and end.
        for (sizes, budget, oversize, bounds) in [
            (vec![], 4_096, 2_048, vec![0, 0]),
            (vec![1_025], 4_096, 2_048, vec![0, 1]),
            (vec![2_000, 2_000, 2_000], 2_000, 4_096, vec![0, 1, 2, 3]),
            (vec![10, 2_048, 10], 4_096, 2_048, vec![0, 1, 2, 3]),
            (vec![10, 2_047, 10], 4_096, 2_048, vec![0, 3]),
            (vec![3_000, 3_000], 4_096, 2_048, vec![0, 1, 2]),
            (vec![2_000, 2_000, 96, 1], 4_096, 2_500, vec![0, 3, 4]),
            (vec![5, 5], 3, 100, vec![0, 1, 2]),
        ] {
            let expected: Vec<Range<usize>> = bounds.windows(2).map(|pair| pair[0]..pair[1]).collect();
            assert_eq!(chunk(&sizes, budget, oversize), expected, "{sizes:?}");
        }
    }

    #[test]
    fn a_split_text_is_whole_and_every_piece_fits() {
        let texts = [
            "One sentence. Another one! A third? ".repeat(300),
            "line of a log 12345\n".repeat(500),
            "第一句话。第二句话！第三句话？".repeat(200),
            "x".repeat(9_000),
            "🚀".repeat(900),
            format!("{}{}", "🦀7🦀".repeat(300), " ".repeat(20_000)),
        ];
        for text in &texts {
            for max in [7, 50, 400] {
                for counter in [&Heuristic as &dyn TokenCounter, &quarter] {
                    let pieces = split(counter, text, max);
                    assert_eq!(pieces.concat(), *text);
                    for piece in pieces {
                        assert!(counter.count(piece) <= max, "{max}: {piece:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn cuts_fall_where_something_ends() {
        let all = |text: &str, max: u32| split(&quarter, text, max).into_iter().map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(all("aaaa bbbb\n\ncccc\ndddd eeee", 5), ["aaaa bbbb\n\n", "cccc\ndddd eeee"]);
        assert_eq!(all("aaaa bbbb cccc\ndddd. eeee", 5), ["aaaa bbbb cccc\n", "dddd. eeee"]);
        assert_eq!(all("aaaa bbbb ccc. dddd eeee", 5), ["aaaa bbbb ccc.", " dddd eeee"]);
        assert_eq!(all("aaaaaaaaaa 1.5ccccc dddd", 5), ["aaaaaaaaaa 1.5ccccc ", "dddd"]);
        assert_eq!(all("今天很好。明天也好。", 6), ["今天很好。", "明天也好。"]);
        assert_eq!(all("aaaabbbbccccddddeeee", 3), ["aaaabbbbcccc", "ddddeeee"]);
        assert_eq!(all("aaaaa\r\n\r\nb\r\nccccc", 3), ["aaaaa\r\n\r\n", "b\r\nccccc"]);
        assert_eq!(all("", 5), Vec::<String>::new());
    }

    #[test]
    fn a_character_above_the_limit_is_passed_on_whole() {
        assert_eq!(split(&|text: &str| u32::try_from(text.len()).unwrap(), "🚀a🚀", 2), ["🚀", "a", "🚀"]);
        assert_eq!(split(&quarter, "ab", 0), ["a", "b"]);
    }

    #[test]
    fn splitting_counts_a_small_multiple_of_the_text() {
        for unit in ["word and word. ", "的", "a", "1"] {
            let text = unit.repeat(400_000 / unit.len());
            let bytes = Cell::new(0);
            let counter = |text: &str| {
                bytes.set(bytes.get() + text.len());
                Heuristic::count(text)
            };
            split(&counter, &text, 500);
            assert!(bytes.get() < 8 * text.len(), "{unit:?}: {} of {}", bytes.get(), text.len());
        }
    }

    #[test]
    fn b35_a_message_above_the_budget_is_split_and_nothing_is_lost() {
        let paste = "A line that was pasted, with words.\n".repeat(800);
        let pieces = vec![piece("before", false), piece(&paste, true), piece("after", false)];
        let requests = fit_pieces(&Heuristic, pieces, 1_000, 500);
        let all: Vec<&Piece<'_>> = requests.iter().flatten().collect();
        assert!(requests.len() > 5);
        assert_eq!(all.iter().filter(|piece| piece.result).map(|piece| &*piece.text).collect::<String>(), paste);
        let parts: Vec<u32> = all.iter().filter(|piece| piece.result).map(|piece| piece.part).collect();
        assert_eq!(parts, (1..=u32::try_from(parts.len()).unwrap()).collect::<Vec<_>>());
        assert_eq!((&*all[0].text, all[0].part, &*all[all.len() - 1].text), ("before", 0, "after"));
        assert!(transcript(&requests[1]).starts_with("[tool result: shell, part 1]: A line"));
        assert!(transcript(&requests[2]).starts_with("[tool result: shell, part 2]: "));
    }

    #[test]
    fn b11_what_is_measured_is_what_is_sent() {
        // Labels cost more than these texts.
        let pieces: Vec<Piece<'_>> = (0..500).map(|_| piece("ok", true)).collect();
        for counter in [&Heuristic as &dyn TokenCounter, &quarter] {
            let requests = fit_pieces(counter, pieces.clone(), 100, 50);
            assert_eq!(requests.iter().flatten().count(), 500);
            for request in &requests {
                assert!(!request.is_empty() && counter.count(&transcript(request)) <= 100);
            }
        }
    }

    #[test]
    fn requests_fit_whatever_the_texts_are() {
        let texts = ["короткий текст", "a", "\n", "🚀🚀", "SELECT * FROM t;", "第一句话。"].map(|text| text.repeat(37));
        let pieces: Vec<Piece<'_>> = texts.iter().cycle().take(120).map(|text| piece(text, false)).collect();
        let whole: String = pieces.iter().map(|piece| &*piece.text).collect();
        for (budget, oversize) in [(40, 20), (100, 1_000), (1_000, 500)] {
            let requests = fit_pieces(&Heuristic, pieces.clone(), budget, oversize);
            assert_eq!(requests.iter().flatten().map(|piece| &*piece.text).collect::<String>(), whole);
            for request in &requests {
                assert!(Heuristic::count(&transcript(request)) <= budget, "{budget}");
            }
        }
    }

    #[test]
    fn requests_fit_also_where_texts_cost_more_together_than_apart() {
        let counter = |text: &str| u32::try_from(text.len() * text.len() / 1_000).unwrap();
        let requests = fit_pieces(&counter, vec![piece("twelve bytes", false); 40], 40, 1_000);
        assert_eq!(requests.iter().flatten().count(), 40);
        assert!(requests.iter().all(|request| counter(&transcript(request)) <= 40));
    }

    #[test]
    fn no_pieces_are_one_empty_request() {
        assert_eq!(fit_pieces(&quarter, Vec::new(), 100, 50), [Vec::new()]);
    }

    #[test]
    fn a_budget_below_a_label_still_ends() {
        let requests = fit_pieces(&quarter, vec![piece("some words", false)], 1, 1);
        assert_eq!(requests.iter().flatten().map(|piece| &*piece.text).collect::<String>(), "some words");
    }
}
