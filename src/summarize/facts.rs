//! Finding, without a model, the strings of a text that later turns are likely to need: paths, identifiers, errors.

use crate::message::fingerprint;
use crate::text::{clip, find};

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
        let print = fingerprint(item);
        if self.items.len() < MOST && !self.seen.contains(&print) {
            self.seen.push(print);
            self.items.push(item.to_owned());
        }
    }

    pub(super) fn items(&self) -> &[String] {
        &self.items
    }
}

impl Facts {
    /// Reads one text. The cost is linear in its length.
    pub(super) fn read(&mut self, text: &str) {
        for line in text.lines() {
            let line = line.trim();
            if is_error(line) {
                self.errors.add(clip(line, 160));
            }
            for word in line.split(|c: char| c.is_whitespace() || "\"'`,;()[]{}<>|=".contains(c)) {
                let word = word.trim_end_matches(['.', ':', '!', '?']).trim_start_matches([':', '.', '#', '*']);
                if !(4..=120).contains(&word.len()) || !word.is_ascii() {
                    continue;
                }
                if is_path(word) {
                    self.files.add(word);
                } else if is_id(word) {
                    self.ids.add(word);
                }
            }
        }
    }
}

fn is_error(line: &str) -> bool {
    let head = clip(line, 200).to_ascii_lowercase();
    ["error", "exception", "traceback", "failed", "fatal", "panicked"].iter().any(|word| find(&head, word).is_some())
}

/// A URL, or names joined by slashes of which the last has an extension or which begins at a root.
fn is_path(word: &str) -> bool {
    if find(word, "://").is_some() {
        return true;
    }
    let allowed = |c: char| c.is_ascii_alphanumeric() || "/._-+@~\\".contains(c);
    if !word.chars().all(allowed) || !word.chars().any(|c| c.is_ascii_alphabetic()) {
        return false;
    }
    let dot = word.bytes().rposition(|byte| byte == b'.').and_then(|at| word.get(..at).zip(word.get(at + 1..)));
    let extension = dot.is_some_and(|(stem, ext)| {
        !stem.is_empty()
            && (1..=5).contains(&ext.len())
            && ext.chars().all(|c| c.is_ascii_alphanumeric())
            && ext.chars().any(|c| c.is_ascii_alphabetic())
    });
    let rooted = word.starts_with(['/', '~']) || word.starts_with("./") || word.starts_with("../");
    if word.contains('/') { extension || rooted } else { extension && !word.contains('@') }
}

/// Letters with digits, long numbers, mail addresses.
fn is_id(word: &str) -> bool {
    let digits = word.chars().filter(char::is_ascii_digit).count();
    let letters = word.chars().filter(char::is_ascii_alphabetic).count();
    let mail = word.contains('@') && word.contains('.') && letters > 3;
    let joined = word.chars().all(|c| c.is_ascii_alphanumeric() || "_-.@#".contains(c));
    mail || (joined && ((digits >= 2 && letters >= 1 && word.len() >= 5) || (digits >= 5 && letters == 0)))
}
