//! The names and numbers that a summary should not lose, checked without a model (B-18, B-36).

use super::arguments::flat;
use super::facts::Facts;
use super::keep::{Kind, Text, figures, put_back};
use super::offline::summary_text;
use super::record::body;
use crate::message::{Message, fingerprint};
use crate::order::ascending;
use crate::tokens::{TokenCounter, ceil_boundary, floor_boundary};

/// Text that is searched, bytes: in all, newest messages first, and at both ends of one text.
const SEARCHED: usize = 400_000;
const SEARCHED_HEAD: usize = 8_000;
const SEARCHED_TAIL: usize = 2_000;

/// Fewer anchors than this say nothing about a summary that has none of them.
const TELLING: usize = 3;

/// Names and numbers of a run of messages, the most important first.
#[derive(Debug, Default)]
pub(crate) struct Anchors {
    items: Vec<(Kind, String)>,
}

impl Anchors {
    /// The `most` anchors that the most messages name, or the latest ones: each message that names it counts half as
    /// much as having been named at the very end instead of at the very beginning.
    pub(crate) fn of(messages: &[&Message<'_>], most: usize) -> Self {
        let mut search = Search { left: SEARCHED, found: Vec::new() };
        for (age, message) in messages.iter().rev().enumerate() {
            let age = (8 * age / messages.len().max(1)) as u64;
            search.message(message, age);
        }
        search.ranked(most)
    }

    /// Those that a summary does not name.
    #[cfg(test)]
    pub(crate) fn missing(&self, summary: &str) -> Vec<&str> {
        self.lacking(&Text::new(summary)).map(|(_, text)| text.as_str()).collect()
    }

    /// The summary, followed by those that it does not name, as far as all of it has at most `max` tokens.
    pub(crate) fn repaired(&self, summary: &str, counter: &dyn TokenCounter, max: u32) -> String {
        let missing: Vec<(Kind, String)> = self.lacking(&Text::new(summary)).cloned().collect();
        put_back(counter, summary, &missing, max)
    }

    /// Whether there are enough anchors to tell, and the summary does not even allude to one.
    pub(crate) fn lost_all(&self, summary: &str) -> bool {
        let text = Text::new(summary);
        self.items.len() >= TELLING && !self.items.iter().any(|(kind, item)| text.hints_at(*kind, item))
    }

    fn lacking(&self, text: &Text) -> impl Iterator<Item = &(Kind, String)> {
        self.items.iter().filter(|(kind, item)| !text.says(*kind, item))
    }
}

struct Found {
    kind: Kind,
    text: String,
    /// In eighths of the run, from its end.
    age: u64,
}

struct Search {
    left: usize,
    /// One for each message and thing that it names, newest first.
    found: Vec<Found>,
}

impl Search {
    fn message(&mut self, message: &Message<'_>, age: u64) {
        if self.left == 0 {
            return;
        }
        let (mut facts, mut numbers) = (Facts::default(), Vec::new());
        for text in message.texts() {
            self.text(if summary_text(message).is_some() { body(text) } else { text }, &mut facts, &mut numbers);
        }
        for (_, _, arguments) in message.calls() {
            // Decoded: in JSON, a line break before a path would be part of it.
            self.text(&flat(arguments, usize::MAX), &mut facts, &mut numbers);
        }
        let mut seen: Vec<u64> = Vec::new();
        let kinds = [
            (Kind::Figure, numbers.as_slice()),
            (Kind::File, facts.files.items()),
            (Kind::Id, facts.ids.items()),
            (Kind::Error, facts.errors.items()),
        ];
        for (kind, items) in kinds {
            for text in items {
                let print = fingerprint(text);
                if seen.contains(&print) || text.as_bytes().contains(&b'\\') {
                    continue;
                }
                seen.push(print);
                self.found.push(Found { kind, text: text.clone(), age });
            }
        }
    }

    fn text(&mut self, text: &str, facts: &mut Facts, numbers: &mut Vec<String>) {
        let head = text.get(..word_end(text, SEARCHED_HEAD.min(self.left))).unwrap_or_default();
        self.left -= head.len().min(self.left);
        let rest = text.get(head.len()..).unwrap_or_default();
        let tail = rest.get(word_start(rest, rest.len().saturating_sub(SEARCHED_TAIL.min(self.left)))..);
        let tail = tail.unwrap_or_default();
        self.left -= tail.len().min(self.left);
        for part in [head, tail] {
            facts.read(part);
            for figure in figures(part) {
                if numbers.len() < MOST_FIGURES {
                    numbers.push(figure);
                }
            }
        }
    }

    fn ranked(self, most: usize) -> Anchors {
        let Self { found, .. } = self;
        let mut prints = Vec::with_capacity(found.len());
        for (at, found) in found.iter().enumerate() {
            prints.push((fingerprint(&found.text), at as u64));
        }
        let prints = ascending(prints);
        let mut ranks = Vec::new();
        for same in prints.chunk_by(|(a, _), (b, _)| a == b) {
            let Some((_, at)) = same.first() else { continue };
            let age = found.get(usize::try_from(*at).unwrap_or(usize::MAX)).map_or(0, |found| found.age);
            ranks.push((64 + age - 4 * same.len().min(8) as u64, *at));
        }
        let mut anchors = Anchors::default();
        let mut errors = 0;
        for (_, at) in ascending(ranks) {
            let Some(found) = found.get(usize::try_from(at).unwrap_or(usize::MAX)) else { continue };
            if anchors.items.len() >= most {
                break;
            }
            if found.kind == Kind::Error {
                errors += 1;
                if errors > MOST_ERRORS {
                    continue;
                }
            }
            anchors.items.push((found.kind, found.text.clone()));
        }
        anchors
    }
}

/// Figures of one message, and error lines of all.
const MOST_FIGURES: usize = 120;
const MOST_ERRORS: usize = 5;

/// The end of the last word that ends at or before `at`: half a word would be an anchor that nobody named.
fn word_end(text: &str, at: usize) -> usize {
    if at >= text.len() {
        return text.len();
    }
    let head = text.get(..floor_boundary(text, at)).unwrap_or_default();
    head.bytes().rposition(|byte| byte.is_ascii_whitespace()).unwrap_or(0)
}

/// The start of the first word that begins at or after `at`.
fn word_start(text: &str, at: usize) -> usize {
    let from = ceil_boundary(text, at);
    let tail = text.get(from..).unwrap_or_default();
    tail.bytes().position(|byte| byte.is_ascii_whitespace()).map_or(text.len(), |blank| from + blank)
}

#[cfg(test)]
mod tests {
    use super::super::record::record;
    use super::super::sample::{assistant, assistants, call, quarter, result, user};
    use super::{Anchors, Message};

    fn anchors(messages: &[Message<'_>], most: usize) -> Anchors {
        Anchors::of(&messages.iter().collect::<Vec<_>>(), most)
    }

    fn names(anchors: &Anchors) -> Vec<&str> {
        anchors.items.iter().map(|(_, text)| text.as_str()).collect()
    }

    fn run() -> Vec<Message<'static>> {
        vec![
            user("Fix src/old.rs, ticket ABC-1234."),
            assistants(vec![call("a", "edit", r#"{"text": "see\nsrc/engine.rs", "limit": "30 seconds"}"#)]),
            result("a", "error: cannot find crate serde"),
            assistant("src/engine.rs is edited."),
            user("Good. Now src/new.rs."),
        ]
    }

    #[test]
    fn anchors_named_often_or_lately_come_first() {
        let anchors = anchors(&run(), 10);
        assert_eq!(
            names(&anchors),
            ["src/engine.rs", "src/new.rs", "error: cannot find crate serde", "30 seconds", "src/old.rs", "ABC-1234"]
        );
        assert_eq!(names(&super::tests::anchors(&run(), 2)), ["src/engine.rs", "src/new.rs"]);
    }

    #[test]
    fn an_anchor_named_at_the_end_comes_before_one_named_twice_at_the_beginning() {
        let mut run: Vec<Message<'_>> = (0..10).map(|_| user("words")).collect();
        (run[0], run[1], run[9]) = (user("src/early.rs"), user("src/early.rs"), user("src/late.rs"));
        assert_eq!(names(&anchors(&run, 10)), ["src/late.rs", "src/early.rs"]);
        run[4] = user("src/early.rs");
        assert_eq!(names(&anchors(&run, 10)), ["src/early.rs", "src/late.rs"]);
    }

    #[test]
    fn b36_what_a_summary_lacks_is_put_back() {
        let anchors = anchors(&run(), 10);
        let summary = "Edited src/engine.rs for ABC-1234; the crate serde was not found (cannot find).";
        assert_eq!(anchors.missing(summary), ["src/new.rs", "30 seconds", "src/old.rs"]);
        let repaired = anchors.repaired(summary, &quarter, 100);
        assert_eq!(
            repaired,
            format!("{summary}\n\nAlso on record:\nFiles: src/new.rs, src/old.rs\nFigures: 30 seconds")
        );
        assert_eq!(anchors.repaired(&repaired, &quarter, 100), repaired);
        assert_eq!(anchors.repaired(summary, &quarter, 22), summary);
        let some = anchors.repaired(summary, &quarter, 36);
        assert!(some.ends_with("Files: src/new.rs") && quarter(&some) <= 36, "{some}");
    }

    #[test]
    fn b18_a_summary_that_names_nothing_has_lost_all() {
        let anchors = anchors(&run(), 10);
        assert!(anchors.lost_all("The user asked for help and it was given."));
        assert!(!anchors.lost_all("engine.rs was edited."));
        let two = super::tests::anchors(&[user("src/a.rs and src/b.rs")], 10);
        assert!(!two.lost_all("Nothing."));
    }

    #[test]
    fn what_an_earlier_summary_names_is_an_anchor() {
        let question = user("q");
        let written = record(&[&question], "Files: src/kept.rs");
        assert_eq!(names(&anchors(&[user(&written)], 10)), ["src/kept.rs"]);
    }

    #[test]
    fn the_search_is_bounded_and_cuts_no_name() {
        let long = "word/name.rs ".repeat(400_000);
        let text = format!("{}{}/path/to/file.txt", "a ".repeat(3_997), "b".repeat(20));
        let found = anchors(&[user(&text), user(&long)], 50);
        assert_eq!(names(&found), ["word/name.rs", "bbbbbbbbbbbbbbbbbbbb/path/to/file.txt"]);
        let many: Vec<String> = (0..3_000).map(|at| format!("file{at}.rs ").repeat(50)).collect();
        let messages: Vec<Message<'_>> = many.iter().map(|text| user(text)).collect();
        assert_eq!(names(&anchors(&messages, 40)).len(), 40);
        assert!(!names(&anchors(&messages, 9_999)).contains(&"file0.rs"));
    }
}
