//! Texts as search terms: words, the parts of names that are made of several, and names that are joined by marks.
//!
//! `getUserName` is found by `username` only as a whole, but by `user`, too; `src/store/mod.rs` by each of its words and,
//! exactly, by itself. Scripts without spaces are read in pairs of characters.

use crate::prune::words::{Class, class, finish, folded, step};

/// One term of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Term {
    pub hash: u64,
    pub kind: Kind,
    /// Where it stands, bytes. Terms come in the order of their ends.
    pub start: usize,
    pub end: usize,
}

/// What a term is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Letters, digits and `_` between other marks, or a pair of characters.
    Word,
    /// Part of such a word.
    Part,
    /// Several words with one mark between each two: a path, a date, a version, an address.
    Joined,
}

/// Hands over the terms of a text, in one pass and without keeping any of it.
pub(super) fn read(text: &str, found: &mut dyn FnMut(Term)) {
    let mut reader =
        Reader { text, found, word: Piece::default(), mixed: false, joined: Joined::default(), dense: None };
    for (at, char) in text.char_indices() {
        let scalar = folded(char);
        match class(scalar) {
            Class::Letter => reader.letter(at, scalar, scalar != u32::from(char)),
            Class::Dense => reader.dense(at, scalar, at + char.len_utf8()),
            Class::Gap => reader.gap(at, scalar),
        }
    }
    reader.gap(text.len(), 0);
}

/// Fewer letters are no part of a name: `x_1` is found as a whole.
const SHORTEST_PART: usize = 2;

const LOW_LINE: u32 = 0x5f;

/// A run of letters that is being read.
#[derive(Debug, Clone, Copy, Default)]
struct Piece {
    start: usize,
    letters: usize,
    hash: u64,
    /// The hash without the last letter.
    before: u64,
}

impl Piece {
    fn push(&mut self, at: usize, scalar: u32) {
        if self.letters == 0 {
            self.start = at;
        }
        self.before = self.hash;
        self.hash = step(self.hash, scalar);
        self.letters += 1;
    }

    /// One hash for one thing and for several of them: an `s` at the end of a longer word does not count, unless it belongs
    /// to the word (`class`, `status`, `analysis`). `text` is what the piece was read from.
    fn hash_of(&self, text: &str) -> u64 {
        let mut ends = text.bytes().rev();
        let (Some(b's' | b'S'), Some(last_but_one)) = (ends.next(), ends.next()) else { return finish(self.hash) };
        let of_capitals = self.letters >= 3 && last_but_one.is_ascii_uppercase() && text.ends_with('s');
        let plural = self.letters >= 4 && !b"sui_".contains(&last_but_one.to_ascii_lowercase());
        finish(if of_capitals || plural { self.before } else { self.hash })
    }
}

/// Words with one mark between them.
#[derive(Debug, Default)]
struct Joined {
    start: usize,
    end: usize,
    hash: u64,
    words: u32,
    /// The mark behind the last word.
    mark: Option<u32>,
}

struct Reader<'t, 'f> {
    text: &'t str,
    found: &'f mut dyn FnMut(Term),
    word: Piece,
    /// Whether the word may have several parts.
    mixed: bool,
    joined: Joined,
    /// The last character of a script without spaces, where it stands, and whether it is in a pair already.
    dense: Option<(u32, usize, bool)>,
}

impl Reader<'_, '_> {
    fn letter(&mut self, at: usize, scalar: u32, capital: bool) {
        if self.word.letters == 0 {
            self.end_dense(at);
            match self.joined.mark.take() {
                Some(mark) => self.joined.hash = step(self.joined.hash, mark),
                None => self.joined = Joined { start: at, ..Joined::default() },
            }
        }
        self.mixed |= scalar == LOW_LINE || (capital && self.word.letters > 0);
        self.word.push(at, scalar);
    }

    fn dense(&mut self, at: usize, scalar: u32, end: usize) {
        self.end_word(at);
        self.end_joined();
        if let Some((last, start, _)) = self.dense {
            self.emit(finish(step(step(0, last), scalar)), Kind::Word, start, end);
        }
        self.dense = Some((scalar, at, self.dense.is_some()));
    }

    fn gap(&mut self, at: usize, scalar: u32) {
        self.end_dense(at);
        if self.end_word(at) && is_one_of(b"./-:@#+", scalar) {
            self.joined.mark = Some(scalar);
        } else {
            self.end_joined();
        }
    }

    /// A character that stands alone has nothing to pair with.
    fn end_dense(&mut self, at: usize) {
        if let Some((last, start, false)) = self.dense.take() {
            self.emit(finish(step(0, last)), Kind::Word, start, at);
        }
    }

    /// Returns whether there was a word.
    fn end_word(&mut self, at: usize) -> bool {
        let word = std::mem::take(&mut self.word);
        let text = self.text.get(word.start..at).unwrap_or_default();
        let mixed = std::mem::take(&mut self.mixed);
        // A line of `_` is no word.
        if word.letters == 0 || (mixed && text.bytes().all(|byte| u32::from(byte) == LOW_LINE)) {
            return false;
        }
        if mixed {
            self.parts(text, word.start);
        }
        self.emit(word.hash_of(text), Kind::Word, word.start, at);
        self.joined.hash = finish(self.joined.hash ^ word.hash);
        self.joined.words += 1;
        self.joined.end = at;
        true
    }

    /// Hands over the parts of a word that starts at `start`, if it has several.
    fn parts(&mut self, word: &str, start: usize) {
        let mut part = Piece::default();
        // Of the last letter and the one before, in this part; and where the last one is.
        let (mut capital, mut capital_before, mut last) = (false, false, (0, 0));
        let mut several = false;
        for (at, char) in word.char_indices() {
            let scalar = folded(char);
            let is_capital = scalar != u32::from(char);
            // fooBar
            let begins = is_capital && !capital;
            // HTMLPage
            let began = !is_capital && capital && capital_before && !is_one_of(b"0123456789", scalar);
            if part.letters > 0 && (scalar == LOW_LINE || begins) {
                self.end_part(&part, word, start, at);
            } else if began {
                let acronym = Piece { hash: part.before, letters: part.letters - 1, ..part };
                self.end_part(&acronym, word, start, last.0);
            }
            let first = scalar == LOW_LINE || (part.letters > 0 && begins) || began;
            if first {
                several = true;
                part = Piece::default();
                if began {
                    part.push(last.0, last.1);
                }
            }
            if scalar == LOW_LINE {
                (capital, capital_before) = (false, false);
                continue;
            }
            capital_before = capital && part.letters > 0;
            capital = is_capital;
            last = (at, scalar);
            part.push(at, scalar);
        }
        if several {
            self.end_part(&part, word, start, word.len());
        }
    }

    fn end_part(&mut self, part: &Piece, word: &str, start: usize, end: usize) {
        if part.letters >= SHORTEST_PART {
            let hash = part.hash_of(word.get(part.start..end).unwrap_or_default());
            self.emit(hash, Kind::Part, start + part.start, start + end);
        }
    }

    fn end_joined(&mut self) {
        let joined = std::mem::take(&mut self.joined);
        if joined.words >= 2 {
            self.emit(joined.hash, Kind::Joined, joined.start, joined.end);
        }
    }

    fn emit(&mut self, hash: u64, kind: Kind, start: usize, end: usize) {
        (self.found)(Term { hash, kind, start, end });
    }
}

fn is_one_of(letters: &[u8], scalar: u32) -> bool {
    letters.iter().any(|letter| u32::from(*letter) == scalar)
}

#[cfg(test)]
#[allow(clippy::string_slice, reason = "tests fail loudly")]
mod tests {
    use super::{Kind, Term, read};

    /// The terms of a text as they stand in it, joined words first, then parts, then words.
    fn terms(text: &str) -> Vec<&str> {
        let mut found: Vec<Term> = Vec::new();
        read(text, &mut |term| found.push(term));
        found.sort_by_key(|term| match term.kind {
            Kind::Joined => 0,
            Kind::Part => 1,
            Kind::Word => 2,
        });
        found.iter().map(|term| &text[term.start..term.end]).collect()
    }

    fn hashes(text: &str) -> Vec<u64> {
        let mut found = Vec::new();
        read(text, &mut |term| found.push(term.hash));
        found
    }

    #[test]
    fn names_are_found_as_a_whole_and_by_their_parts() {
        assert_eq!(terms("getUserName"), ["get", "User", "Name", "getUserName"]);
        assert_eq!(terms("parseHTMLPage v2Beta"), ["parse", "HTML", "Page", "v2", "Beta", "parseHTMLPage", "v2Beta"]);
        assert_eq!(
            terms("user_id __init__ MAX_SIZE"),
            ["user", "id", "init", "MAX", "SIZE", "user_id", "__init__", "MAX_SIZE"]
        );
        assert_eq!(terms("____ x_1 README"), ["x_1", "README"]);
    }

    #[test]
    fn words_with_one_mark_between_them_are_found_together_and_alone() {
        assert_eq!(
            terms("see src/lib.rs. Then 2024-05-01!"),
            ["src/lib.rs", "2024-05-01", "see", "src", "lib", "rs", "Then", "2024", "05", "01"]
        );
        assert_eq!(terms("a::b c, d...e"), ["a", "b", "c", "d", "e"]);
        assert_eq!(terms("me@x.org 10.5"), ["me@x.org", "10.5", "me", "x", "org", "10", "5"]);
    }

    #[test]
    fn scripts_without_spaces_are_read_in_pairs() {
        assert_eq!(terms("认证令牌"), ["认证", "证令", "令牌"]);
        assert_eq!(terms("用Rust写"), ["用", "Rust", "写"]);
        assert_eq!(terms("価格は100円"), ["価格", "格は", "100", "円"]);
    }

    #[test]
    fn case_width_and_number_make_no_difference() {
        for (one, other) in [
            ("Token", "TOKEN"),
            ("Größe", "GRÖSSE".replace("SS", "ß").as_str()),
            ("ПОРТ", "порт"),
            ("Ｔｏｋｅｎ", "tokens"),
            ("policies", "policie"),
            ("URLs", "url"),
            ("user_ids", "user_id"),
        ] {
            let last = |text: &str| hashes(text).pop();
            assert_eq!(last(one), last(other), "{one} {other}");
        }
        for (one, other) in [("class", "clas"), ("status", "statu"), ("gas", "ga"), ("analysis", "analysi")] {
            assert_ne!(hashes(one), hashes(other), "{one} {other}");
        }
    }

    #[test]
    fn terms_come_in_the_order_of_their_ends_and_lie_between_characters() {
        let text = "αβ getURLs_for/这是路径/x-1…日本語ABCd:é_ü ends-";
        let mut last = 0;
        read(text, &mut |term| {
            assert!(term.start < term.end && term.end >= last, "{term:?}");
            assert!(text.get(term.start..term.end).is_some());
            last = term.end;
        });
        assert_eq!(last, text.len() - 1);
    }
}
