//! Cutting a text to a number of characters (Unicode scalars), never inside one.

use std::borrow::Cow;

use crate::text::clip;

/// What stands for the rest of a cut text.
pub(crate) const ELLIPSIS: &str = "…";

/// The text itself, or its first `max` characters and an ellipsis: at most `max + 1` characters (zeph's `cap_summary`).
pub(crate) fn cap_chars(text: &str, max: usize) -> Cow<'_, str> {
    let kept = clip(text, max);
    if kept.len() == text.len() { Cow::Borrowed(text) } else { Cow::Owned([kept, ELLIPSIS].concat()) }
}

/// The text itself, or its first and last characters with an ellipsis between them. What is left out is more than the
/// ellipsis.
pub(crate) fn cut_middle(text: &str, head: usize, tail: usize) -> Cow<'_, str> {
    let most = head.saturating_add(tail).saturating_add(3);
    if clip(text, most).len() == text.len() {
        return Cow::Borrowed(text);
    }
    let end = match tail.checked_sub(1) {
        Some(last) => text.char_indices().rev().nth(last).and_then(|(at, _)| text.get(at..)).unwrap_or_default(),
        None => "",
    };
    Cow::Owned([clip(text, head).trim_end(), " … ", end.trim_start()].concat())
}

#[cfg(test)]
mod tests {
    use super::{cap_chars, cut_middle};

    #[test]
    fn a_cap_keeps_that_many_characters_and_an_ellipsis() {
        assert_eq!(cap_chars("hello world", 100), "hello world");
        assert_eq!(cap_chars("hello", 5), "hello");
        let capped = cap_chars(&"a".repeat(200), 10).into_owned();
        assert_eq!(capped, format!("{}…", "a".repeat(10)));
        assert_eq!(capped.chars().count(), 11);
        assert_eq!(cap_chars("hello", 0), "…");
        assert_eq!(cap_chars("", 0), "");
    }

    #[test]
    fn b07_cuts_fall_between_characters() {
        let long = "Привет".repeat(50);
        let cut = cap_chars(&long, 200);
        assert_eq!(cut.chars().count(), 201);
        assert!(cut.ends_with('…'));
        assert_eq!(cap_chars("🚀🚀🚀🚀🚀", 3), "🚀🚀🚀…");
    }

    #[test]
    fn the_middle_goes_only_where_that_is_shorter() {
        assert_eq!(cut_middle("日本語テキスト", 2, 2), "日本語テキスト");
        assert_eq!(cut_middle("日本語テキスト!", 2, 2), "日本 … ト!");
        assert_eq!(cut_middle("abcdefgh", 2, 0), "ab … ");
        assert_eq!(cut_middle("ab cd ef gh ij", 3, 3), "ab … ij");
        assert_eq!(cut_middle("abc", usize::MAX, usize::MAX), "abc");
    }
}
