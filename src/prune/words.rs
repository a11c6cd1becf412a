//! Texts as the words they consist of, for comparing what they are about.

use crate::order::ascending;
use crate::tokens::{ceil_boundary, floor_boundary};

/// Words that say nothing about what a text is about: zeph's list (Rust's keywords, what its tools print) and common
/// English ones. Those that are too short to be kept anyway are left out.
pub(crate) const STOP_WORDS: &str = include_str!("stop_words.txt");

/// Fewer characters make no word (zeph counts bytes, B-23).
const SHORTEST: u32 = 3;

/// Bytes that are read of the texts of one block together. Of what is longer, three quarters are read from its head and
/// one from its tail. Bounds a block to 22,000 words.
const READ: usize = 64_000;

/// The words of a text without stop words, as hashes.
#[derive(Debug, Default)]
pub(super) struct Words {
    /// Hash and number of occurrences, by ascending hash.
    pub counts: Vec<(u64, u64)>,
    /// Sum of the occurrences.
    pub total: u64,
}

/// The hashes of the stop words, in ascending order.
pub(super) fn stop_words() -> Vec<(u64, u64)> {
    let mut words = Vec::new();
    read(STOP_WORDS, &mut words);
    ascending(words)
}

impl Words {
    /// Reads the texts of a block. `stop` is from [`stop_words`].
    pub(super) fn of(texts: &[&str], stop: &[(u64, u64)]) -> Self {
        let mut found = Vec::new();
        let mut left = READ;
        for text in texts {
            if text.len() <= left {
                left -= text.len();
                read(text, &mut found);
                continue;
            }
            let head = floor_boundary(text, left - left / 4);
            let tail = ceil_boundary(text, text.len() - left / 4);
            left = 0;
            read(text.get(..head).unwrap_or_default(), &mut found);
            read(text.get(tail..).unwrap_or_default(), &mut found);
        }
        let mut words = Self::default();
        let mut stop = stop.iter().map(|(hash, _)| *hash).peekable();
        for (hash, count) in ascending(found) {
            while stop.next_if(|stop| *stop < hash).is_some() {}
            if stop.peek() == Some(&hash) {
                continue;
            }
            words.total += count;
            match words.counts.last_mut() {
                Some((last, counted)) if *last == hash => *counted += count,
                _ => words.counts.push((hash, count)),
            }
        }
        words
    }

    /// How often a word occurs.
    pub(super) fn count(&self, hash: u64) -> u64 {
        let at = self.counts.partition_point(|(other, _)| *other < hash);
        self.counts.get(at).filter(|(other, _)| *other == hash).map_or(0, |(_, count)| *count)
    }
}

/// What a character is part of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// What separates words.
    Gap,
    /// A letter, digit or `_` of a script that is written with spaces.
    Letter,
    /// A character of a script without spaces, or of one with short words: every two in a row are taken for a word.
    Dense,
}

/// Adds the words of a text, each with a count of 1, in order.
fn read(text: &str, words: &mut Vec<(u64, u64)>) {
    let mut word = Word::default();
    for char in text.chars() {
        let scalar = folded(char);
        match class(scalar) {
            Class::Gap => word.end(words),
            Class::Letter => {
                word.hash = step(word.hash, scalar);
                word.letters += 1;
            }
            Class::Dense => {
                // This also ends a run of dense characters that letters have cut off.
                if word.letters > 0 {
                    word.end(words);
                }
                if word.dense > 0 {
                    words.push((finish(step(step(0, word.last), scalar)), 1));
                }
                word.dense += 1;
                word.last = scalar;
            }
        }
    }
    word.end(words);
}

/// The word that is being read.
#[derive(Debug, Default)]
struct Word {
    hash: u64,
    letters: u32,
    /// Length of the run of dense characters, and the last of them.
    dense: u32,
    last: u32,
}

impl Word {
    fn end(&mut self, words: &mut Vec<(u64, u64)>) {
        if self.letters >= SHORTEST {
            words.push((finish(self.hash), 1));
        }
        // One that stands alone has nothing to pair with.
        if self.dense == 1 {
            words.push((finish(step(0, self.last)), 1));
        }
        *self = Self::default();
    }
}

/// In the manner of FNV-1a, over characters instead of bytes.
pub(crate) fn step(hash: u64, scalar: u32) -> u64 {
    (hash ^ 0xcbf2_9ce4_8422_2325 ^ u64::from(scalar)).wrapping_mul(0x0100_0000_01b3)
}

/// Spreads a hash over all its bits (the finaliser of `SplitMix64`): its low bits are taken for a table.
pub(crate) fn finish(hash: u64) -> u64 {
    let hash = (hash ^ hash >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let hash = (hash ^ hash >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ hash >> 31
}

/// A character in lower case, full-width Latin as the plain one. (By range: the table of the standard library costs the
/// WebAssembly module ten kilobytes. What is folded together is one letter but for a few rare ones.)
pub(crate) fn folded(char: char) -> u32 {
    let scalar = u32::from(char);
    if scalar < 0x80 {
        return u32::from(char.to_ascii_lowercase());
    }
    match scalar {
        0xff01..=0xff5e => folded(char::from_u32(scalar - 0xfee0).unwrap_or(char)),
        // Latin-1, Greek, Cyrillic
        0xc0..=0xd6 | 0xd8..=0xde | 0x391..=0x3ab | 0x410..=0x42f => scalar + 0x20,
        0x386 => 0x3ac,
        0x388..=0x38a => scalar + 37,
        0x38c => 0x3cc,
        0x38e | 0x38f => scalar + 63,
        // The sigma at the end of a word.
        0x3c2 => 0x3c3,
        0x400..=0x40f => scalar + 0x50,
        // Armenian, Georgian
        0x531..=0x556 => scalar + 0x30,
        0x1c90..=0x1cba | 0x1cbd..=0x1cbf => scalar - 0xbc0,
        0x178 => 0xff,
        0x4c0 => 0x4cf,
        // Blocks in which upper and lower case alternate, the upper one even or odd.
        0x100..=0x137
        | 0x14a..=0x177
        | 0x218..=0x21f
        | 0x222..=0x233
        | 0x460..=0x481
        | 0x48a..=0x4bf
        | 0x4d0..=0x52f
        | 0x1e00..=0x1e95
        | 0x1ea0..=0x1eff => scalar | 1,
        0x139..=0x148 | 0x179..=0x17e | 0x4c1..=0x4ce => (scalar - 1) | 1,
        _ => scalar,
    }
}

/// Scripts whose characters are paired: Thai and Lao, Myanmar, Hangul, Khmer, kana, Han.
const DENSE: [(u32, u32); 16] = [
    (0x0e01, 0x0e3a),
    (0x0e40, 0x0eff),
    (0x1000, 0x1049),
    (0x1050, 0x109f),
    (0x1100, 0x11ff),
    (0x1780, 0x17d3),
    (0x17d7, 0x17d7),
    (0x17dc, 0x17ff),
    (0x3005, 0x3007),
    (0x3031, 0x312f),
    (0x31a0, 0x31ff),
    (0x3400, 0x9fff),
    (0xac00, 0xd7ff),
    (0xf900, 0xfaff),
    (0xff66, 0xffdc),
    (0x2_0000, 0x3_ffff),
];

/// What is neither letter nor digit beyond ASCII: punctuation, symbols, emoji, private use.
const GAPS: [(u32, u32); 45] = [
    (0x80, 0xa9),
    (0xab, 0xb1),
    (0xb4, 0xb4),
    (0xb6, 0xb8),
    (0xbb, 0xbb),
    (0xbf, 0xbf),
    (0xd7, 0xd7),
    (0xf7, 0xf7),
    (0x2c2, 0x2c5),
    (0x37e, 0x37e),
    (0x387, 0x387),
    (0x55a, 0x55f),
    (0x589, 0x58a),
    (0x5be, 0x5be),
    (0x5c0, 0x5c0),
    (0x5c3, 0x5c3),
    (0x5f3, 0x5f4),
    (0x600, 0x60f),
    (0x61b, 0x61f),
    (0x66a, 0x66d),
    (0x6d4, 0x6d4),
    (0x700, 0x70d),
    (0x964, 0x965),
    (0xe3b, 0xe3f),
    (0x104a, 0x104f),
    (0x1361, 0x1368),
    (0x1680, 0x1680),
    (0x17d4, 0x17d6),
    (0x17d8, 0x17db),
    (0x2000, 0x2070),
    (0x207a, 0x207e),
    (0x208a, 0x208e),
    (0x20a0, 0x20ff),
    (0x2190, 0x2bff),
    (0x2e00, 0x2e7f),
    (0x2ff0, 0x3004),
    (0x3008, 0x3020),
    (0x3030, 0x3030),
    (0xd800, 0xf8ff),
    (0xfd3e, 0xfd3f),
    (0xfe00, 0xfe6f),
    (0xfeff, 0xff20),
    (0xff3b, 0xff65),
    (0xffe0, 0xffff),
    (0x1_f000, 0x1_ffff),
];

/// Takes folded characters.
pub(crate) fn class(scalar: u32) -> Class {
    if scalar < 0x80 {
        let byte = u8::try_from(scalar).unwrap_or(0);
        return if byte.is_ascii_alphanumeric() || byte == b'_' { Class::Letter } else { Class::Gap };
    }
    // Most of what is not ASCII.
    if scalar < 0x370 && scalar > 0xf7 && !within(&GAPS, scalar) {
        return Class::Letter;
    }
    if within(&DENSE, scalar) {
        Class::Dense
    } else if within(&GAPS, scalar) || scalar > 0x3_ffff {
        Class::Gap
    } else {
        Class::Letter
    }
}

fn within(ranges: &[(u32, u32)], scalar: u32) -> bool {
    let at = ranges.partition_point(|(_, last)| *last < scalar);
    ranges.get(at).is_some_and(|(first, _)| *first <= scalar)
}

#[cfg(test)]
mod tests {
    use super::{Class, DENSE, GAPS, READ, STOP_WORDS, Words, class, folded, read, stop_words};

    fn words(text: &str) -> Vec<(u64, u64)> {
        Words::of(&[text], &stop_words()).counts
    }

    fn one(word: &str) -> u64 {
        let mut found = Vec::new();
        read(word, &mut found);
        assert_eq!(found.len(), 1, "{word}");
        found[0].0
    }

    #[test]
    fn stop_words_and_words_below_three_characters_are_dropped() {
        assert_eq!(words("fn main() { let x = 5; }"), [(one("main"), 1)]);
        assert_eq!(words("the error was: to be or not to be"), []);
        let kept = Words::of(&["authentication middleware session"], &stop_words());
        assert_eq!(kept.total, 3);
        for word in ["authentication", "middleware", "session"] {
            assert_eq!(kept.count(one(word)), 1);
        }
        assert_eq!(kept.count(one("database")), 0);
    }

    #[test]
    fn occurrences_are_counted_whatever_their_case() {
        let counted = Words::of(&["Token token", "TOKEN; жетон ЖЕТОН, Ｔｏｋｅｎ Größe GRÖßE"], &stop_words());
        assert_eq!(counted.count(one("token")), 4);
        assert_eq!(counted.count(one("жетон")), 2);
        assert_eq!(counted.count(one("größe")), 2);
        assert_eq!(counted.total, 8);
    }

    #[test]
    fn names_stay_whole_at_underscores_and_split_at_other_marks() {
        assert_eq!(words("read_file"), [(one("read_file"), 1)]);
        assert_eq!(words("src/auth.rs:12"), {
            let mut both = vec![(one("src"), 1), (one("auth"), 1)];
            both.sort_unstable();
            both
        });
    }

    #[test]
    fn b23_the_shortest_word_is_measured_in_characters() {
        // Two Cyrillic letters have four bytes.
        assert_eq!(words("но да"), []);
        assert_eq!(words("код"), [(one("код"), 1)]);
    }

    #[test]
    fn b23_scripts_without_spaces_are_read_in_pairs() {
        let pairs = |text: &str| Words::of(&[text], &[]);
        for (text, pair, count) in [
            ("認証トークンの検証", "認証", 8),
            ("ตรวจสอบโทเค็น", "ตร", 12),
            ("ກວດສອບ", "ກວ", 5),
            ("ពិនិត្យ", "ពិ", 6),
            ("စစ်ဆေး", "စစ", 5),
            ("인증 토큰", "토큰", 2),
        ] {
            let read = pairs(text);
            assert_eq!(read.total, count, "{text}");
            assert_eq!(read.count(one(pair)), 1, "{text}");
        }
        assert_eq!(pairs("字").total, 1);
        assert_eq!(pairs("Rust言語rust").count(one("rust")), 2);
        // Characters that letters stand between make no pair.
        let apart = pairs("言ab語rust字");
        assert_eq!((apart.total, apart.count(one("言語")), apart.count(one("rust"))), (4, 0, 1));
    }

    #[test]
    fn every_letter_and_digit_belongs_to_a_word_and_common_marks_do_not() {
        for char in (0x80..=0x3_ffff).filter_map(char::from_u32) {
            // Letters in circles and squares are symbols here.
            let enclosed = matches!(u32::from(char), 0x2190..=0x2bff | 0x1_f000..=0x1_ffff);
            let known = matches!(u32::from(char), 0x2e2f | 0xfe73 | 0xffe0..=0xffff) || enclosed;
            if char.is_alphabetic() && !known {
                assert_ne!(class(folded(char)), Class::Gap, "{char} {:x}", u32::from(char));
            }
        }
        for char in "  –—‘’“”„«»…·•→─█✓€°§¿¡、。「」・！？，：（）।،؛؟។၊😀🦀️\u{feff}".chars()
        {
            if char != '・' {
                assert_eq!(class(folded(char)), Class::Gap, "{char} {:x}", u32::from(char));
            }
        }
    }

    #[test]
    fn folding_agrees_with_the_lower_case_of_unicode_in_common_scripts() {
        for char in (0x41..0x590).chain(0x1c90..0x1cc0).chain(0x1e00..0x1f00).filter_map(char::from_u32) {
            let mut lower = char.to_lowercase();
            // Letters of phonetic alphabets and of languages out of use.
            let rare = matches!(u32::from(char), 0x130 | 0x180..=0x217 | 0x220 | 0x234..=0x385 | 0x3cf..=0x3ff | 0x1e96..=0x1e9f);
            if let (Some(lower), None) = (lower.next(), lower.next())
                && !rare
            {
                assert_eq!(folded(char), folded(lower), "{char} {:x}", u32::from(char));
            }
        }
    }

    #[test]
    fn the_tables_are_in_order() {
        for table in [&DENSE[..], &GAPS[..]] {
            assert!(table.iter().all(|(first, last)| first <= last));
            assert!(table.windows(2).all(|pair| pair[0].1 < pair[1].0));
        }
        // None of them is dropped for its length.
        assert_eq!(stop_words().len(), STOP_WORDS.split_ascii_whitespace().count());
    }

    #[test]
    fn of_a_long_text_head_and_tail_are_read_and_cuts_fall_between_characters() {
        let middle = "жетон ".repeat(READ);
        let text = format!("beginning {middle} end_of_it");
        let read = Words::of(&["tool_name", &text, "afterwards"], &stop_words());
        for word in ["tool_name", "beginning", "end_of_it"] {
            assert_eq!(read.count(one(word)), 1, "{word}");
        }
        assert_eq!(read.count(one("afterwards")), 0);
        assert!(read.total < 22_000);
        assert!((READ / 12..=READ / 11).contains(&usize::try_from(read.count(one("жетон"))).unwrap()));
    }
}
