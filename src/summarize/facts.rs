//! Finding, without a model, the strings of a text that later turns are likely to need: paths, identifiers, errors.

use crate::message::fingerprint;
use crate::text::{clip, find};
use crate::tokens::floor_boundary;

/// Strings that look like they name something.
#[derive(Debug, Default)]
pub(super) struct Facts {
    pub files: Distinct,
    pub ids: Distinct,
    pub errors: Distinct,
}

/// A list without repeats, in order of arrival, bounded.
#[derive(Debug, Default)]
pub(super) struct Distinct {
    items: Vec<String>,
    seen: Vec<u64>,
}

/// More would never fit into a summary.
const MOST: usize = 120;

impl Distinct {
    pub(super) fn add(&mut self, item: &str) {
        if !self.has_room() {
            return;
        }
        let print = fingerprint(item);
        if !self.seen.contains(&print) {
            self.seen.push(print);
            self.items.push(item.to_owned());
        }
    }

    fn has_room(&self) -> bool {
        self.items.len() < MOST
    }

    pub(super) fn items(&self) -> &[String] {
        &self.items
    }
}

/// What a byte means to the search.
const DELIMITER: u8 = 1;
const LINE_END: u8 = 2;
/// Paths, identifiers and addresses hold at least one of these.
const TELLING: u8 = 4;
const NOT_ASCII: u8 = 8;

const CLASSES: [u8; 256] = {
    let mut classes = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        #[allow(clippy::cast_possible_truncation)]
        let char = byte as u8;
        // The index runs over the array's own length.
        #[allow(clippy::indexing_slicing)]
        {
            classes[byte] = match char {
                b'\n' => DELIMITER | LINE_END,
                b' ' | b'\t' | b'\r' | b'"' | b'\'' | b'`' | b',' | b';' | b'(' | b')' | b'[' | b']' | b'{' | b'}'
                | b'<' | b'>' | b'|' | b'=' => DELIMITER,
                b'0'..=b'9' | b'/' | b'.' | b'@' => TELLING,
                128.. => NOT_ASCII,
                _ => 0,
            };
        }
        byte += 1;
    }
    classes
};

impl Facts {
    /// Reads one text, in one pass over its bytes: most words hold nothing telling and cost no more than that.
    pub(super) fn read(&mut self, text: &str) {
        let (mut line, mut word, mut seen, mut error) = (0, 0, 0, false);
        // A line end after the last byte closes what is open.
        for (at, byte) in text.bytes().chain([b'\n']).enumerate() {
            let class = CLASSES.get(usize::from(byte)).copied().unwrap_or_default();
            if class & DELIMITER == 0 {
                seen |= class;
                continue;
            }
            if at > word && seen & NOT_ASCII == 0 {
                error |= self.word(text.get(word..at).unwrap_or_default(), seen & TELLING != 0);
            }
            (word, seen) = (at + 1, 0);
            if class & LINE_END != 0 {
                if error {
                    self.errors.add(clip(text.get(line..at).unwrap_or_default().trim_ascii(), 160));
                }
                (line, error) = (at + 1, false);
            }
        }
    }

    /// Files a word away; returns whether it speaks of an error.
    fn word(&mut self, word: &str, telling: bool) -> bool {
        let word = word.trim_end_matches(['.', ':', '!', '?']);
        if telling && (4..=120).contains(&word.len()) {
            let word = word.trim_start_matches([':', '.', '#', '*']);
            if self.files.has_room() && is_path(word) {
                self.files.add(word);
            } else if self.ids.has_room() && is_id(word) {
                self.ids.add(word);
            }
        }
        word.len() >= 5 && is_error(word)
    }
}

/// Whether a text speaks of an error where one would say so: in its first lines.
pub(crate) fn reports_error(text: &str) -> bool {
    let head = text.get(..floor_boundary(text, 400)).unwrap_or_default();
    head.split(|char: char| !char.is_ascii_alphanumeric()).any(|word| word.len() >= 5 && is_error(word))
}

/// Whether a word ends like one of an error. The last letter rules most words out.
fn is_error(word: &str) -> bool {
    let ending: &[&str] = match word.bytes().last() {
        Some(b'r' | b'R') => &["error"],
        Some(b's' | b'S') => &["errors", "exceptions"],
        Some(b'n' | b'N') => &["exception"],
        Some(b'd' | b'D') => &["failed", "panicked"],
        Some(b'e' | b'E') => &["failure"],
        Some(b'l' | b'L') => &["fatal"],
        Some(b'k' | b'K') => &["traceback"],
        _ => return false,
    };
    ending.iter().any(|ending| {
        let tail = word.len().checked_sub(ending.len()).and_then(|at| word.get(at..));
        tail.is_some_and(|tail| tail.eq_ignore_ascii_case(ending))
    })
}

/// Whether a word is made of letters, digits and these marks. (Searching bytes: `str::contains` brings the matcher for
/// substrings and its error messages along.)
fn consists_of(word: &str, marks: &[u8]) -> bool {
    word.bytes().all(|byte| byte.is_ascii_alphanumeric() || marks.contains(&byte))
}

fn holds(word: &str, mark: u8) -> bool {
    word.as_bytes().contains(&mark)
}

/// A URL, or names joined by slashes of which the last has an extension or which begins at a root.
fn is_path(word: &str) -> bool {
    if find(word, "://").is_some() {
        return true;
    }
    let letter = |text: &str| text.bytes().any(|byte| byte.is_ascii_alphabetic());
    if !consists_of(word, b"/._-+@~\\") || !letter(word) {
        return false;
    }
    let dot = word.bytes().rposition(|byte| byte == b'.').and_then(|at| word.get(..at).zip(word.get(at + 1..)));
    let extension = dot.is_some_and(|(stem, ext)| {
        !stem.is_empty() && (1..=5).contains(&ext.len()) && consists_of(ext, b"") && letter(ext)
    });
    let rooted = word.starts_with(['/', '~']) || word.starts_with("./") || word.starts_with("../");
    if holds(word, b'/') { extension || rooted } else { extension && !holds(word, b'@') }
}

/// Letters with digits, long numbers, mail addresses.
fn is_id(word: &str) -> bool {
    let digits = word.bytes().filter(u8::is_ascii_digit).count();
    let letters = word.bytes().filter(u8::is_ascii_alphabetic).count();
    let mail = holds(word, b'@') && holds(word, b'.') && letters > 3;
    let joined = consists_of(word, b"_-.@#");
    mail || (joined && ((digits >= 2 && letters >= 1 && word.len() >= 5) || (digits >= 5 && letters == 0)))
}
