//! Carrying lists forward from one summary to the next (B-36): what an earlier summary recorded and the new one lacks
//! is put back, without a model, so that nothing fades over many compactions.

use super::facts::{Distinct, Facts};
use super::keep::{BETWEEN, Kind, LABELS, Text, put_back};
use crate::text::{clip, one_line, pieces};
use crate::tokens::TokenCounter;

/// Things of one kind that are carried forward, and the longest of them, characters.
const MOST: usize = 40;
const LONGEST: usize = 400;

/// Headings under which things stand, in the order of `LABELS` where they have a kind: those that the prompts ask for,
/// and those that models write in their place. The others end a list.
const HEADINGS: [(&str, Option<Kind>); 28] = [
    ("user messages", Some(Kind::Said)),
    ("constraints", Some(Kind::Said)),
    ("decisions", Some(Kind::Decision)),
    ("decisions made", Some(Kind::Decision)),
    ("key decisions", Some(Kind::Decision)),
    ("errors & fixes", Some(Kind::Error)),
    ("errors and fixes", Some(Kind::Error)),
    ("errors", Some(Kind::Error)),
    ("files & code", Some(Kind::File)),
    ("files and code", Some(Kind::File)),
    ("files modified", Some(Kind::File)),
    ("files", Some(Kind::File)),
    ("identifiers", Some(Kind::Id)),
    ("figures", Some(Kind::Figure)),
    ("user intent", None),
    ("intent", None),
    ("session intent", None),
    ("technical concepts", None),
    ("problem solving", None),
    ("pending tasks", None),
    ("current work", None),
    ("next step", None),
    ("next steps", None),
    ("open questions", None),
    ("also on record", None),
    ("messages", None),
    ("assistant", None),
    ("tools", None),
];

/// The new summary, followed by what the earlier ones (bodies, oldest first) recorded and it does not say, as far as all
/// of it has at most `max` tokens. Of what does not fit, that of the oldest summary goes first.
pub(crate) fn carry_forward(counter: &dyn TokenCounter, earlier: &[String], summary: &str, max: u32) -> String {
    let mut lists = Lists::default();
    for earlier in earlier.iter().rev() {
        lists.read(earlier);
    }
    let text = Text::new(summary);
    let mut lacking = Vec::new();
    for kind in [Kind::Decision, Kind::File, Kind::Said, Kind::Error, Kind::Id, Kind::Figure] {
        let items = lists.of(kind).map(Distinct::items).unwrap_or_default();
        for item in items.iter().take(MOST) {
            if !text.says(kind, item) {
                lacking.push((kind, item.clone()));
            }
        }
    }
    put_back(counter, summary, &lacking, max)
}

/// What summaries recorded, in the order of `LABELS`.
#[derive(Debug, Default)]
struct Lists([Distinct; LABELS.len()]);

impl Lists {
    fn of(&self, kind: Kind) -> Option<&Distinct> {
        self.0.get(LABELS.iter().position(|(other, _)| *other == kind)?)
    }

    fn add(&mut self, kind: Kind, item: &str) {
        let at = LABELS.iter().position(|(other, _)| *other == kind);
        if let Some(list) = at.and_then(|at| self.0.get_mut(at)) {
            list.add(&one_line(clip(item, LONGEST)));
        }
    }

    /// Reads one summary: lines with a label, and the lists under headings.
    fn read(&mut self, summary: &str) {
        let mut under = None;
        for line in summary.lines() {
            let line = line.trim();
            if let Some((kind, rest)) = labelled(line) {
                self.line(kind, rest, true);
                continue;
            }
            if let Some((kind, rest)) = heading(line) {
                under = kind;
                if let Some(kind) = kind {
                    self.line(kind, rest, false);
                }
                continue;
            }
            if line.starts_with('#') {
                under = None;
            } else if let Some(kind) = under {
                self.line(kind, line, false);
            }
        }
    }

    /// Reads what stands in one line, which is a plain list of names if it is `ours`.
    fn line(&mut self, kind: Kind, line: &str, ours: bool) {
        let line = unmarked(line);
        if line.is_empty() || NOTHING.iter().any(|nothing| nothing.eq_ignore_ascii_case(line.trim_end_matches('.'))) {
            return;
        }
        if !kind.shares_a_line() {
            self.add(kind, line);
        } else if ours {
            for item in pieces(line, BETWEEN) {
                self.add(kind, item);
            }
        } else {
            let mut facts = Facts::default();
            facts.read(line);
            let found = if kind == Kind::File { &facts.files } else { &facts.ids };
            for item in found.items() {
                self.add(kind, item);
            }
        }
    }
}

/// What models write where there is nothing to list.
const NOTHING: [&str; 5] = ["none", "n/a", "-", "nothing", "(none)"];

/// A line with one of our labels, after a bullet or not.
fn labelled(line: &str) -> Option<(Kind, &str)> {
    let line = unmarked(line);
    LABELS.iter().find_map(|(kind, label)| Some((*kind, line.strip_prefix(label)?.trim())))
}

/// A heading with or without number and marks, and what follows it on its line.
fn heading(line: &str) -> Option<(Option<Kind>, &str)> {
    // Not `contains`, which brings in all of std's search for strings in strings.
    let line = line.trim_start_matches(|char: char| matches!(char, '0'..='9' | '#' | '*' | '.' | ')' | ' '));
    let end = line.bytes().position(|byte| byte == b':').unwrap_or(line.len());
    let name = line.get(..end)?.trim_end_matches(['*', ' ']);
    let (_, kind) = HEADINGS.iter().find(|(heading, _)| heading.eq_ignore_ascii_case(name))?;
    Some((*kind, line.get(end + 1..).unwrap_or_default().trim_matches(['*', ' '])))
}

/// A line without its bullet or number.
fn unmarked(line: &str) -> &str {
    for bullet in ["- ", "* ", "• "] {
        if let Some(rest) = line.strip_prefix(bullet) {
            return rest.trim();
        }
    }
    let rest = line.trim_start_matches(|char: char| char.is_ascii_digit());
    let number = rest.len() < line.len();
    rest.strip_prefix(". ").or_else(|| rest.strip_prefix(") ")).filter(|_| number).unwrap_or(line).trim()
}

#[cfg(test)]
mod tests {
    use super::super::record::body;
    use super::super::sample::{assistants, call, quarter, result, user};
    use super::super::summarize;
    use super::carry_forward;
    use crate::tokens::Heuristic;

    const NINE: &str = "1. User Intent\nShip it.\n\n## 3. Files & Code\n- `src/engine.rs`: the loop\n* src/b.rs (new)\n\n\
        **4. Errors & Fixes**\n- error[E0432]: unresolved import; added the crate\n5. Problem Solving\n\
        - Decision: keep the old format — Reason: patches must load\n6. User Messages:\n1. \"Never touch the database.\"\n\
        7. Pending Tasks\n- src/not_a_file_list.rs is mentioned here";

    fn carried(earlier: &[&str], summary: &str) -> String {
        let earlier: Vec<String> = earlier.iter().map(|text| (*text).to_owned()).collect();
        carry_forward(&quarter, &earlier, summary, 1_000)
    }

    #[test]
    fn b36_lists_of_the_nine_sections_are_carried_forward() {
        assert_eq!(
            carried(&[NINE], "New summary."),
            "New summary.\n\nAlso on record:\nUser: \"Never touch the database.\"\n\
             Decision: keep the old format — Reason: patches must load\n\
             Error: error[E0432]: unresolved import; added the crate\nFiles: src/engine.rs, src/b.rs"
        );
    }

    #[test]
    fn b36_nothing_fades_over_many_summaries() {
        let mut text = NINE.to_owned();
        for round in 0..20 {
            text = carried(&[&text], &format!("Summary of round {round}."));
        }
        for kept in ["src/engine.rs, src/b.rs", "Never touch the database", "keep the old format", "E0432"] {
            assert_eq!(text.matches(kept).count(), 1, "{kept}: {text}");
        }
    }

    #[test]
    fn b36_lists_of_an_offline_summary_are_carried_forward() {
        let run = [
            user("Book it for anna.k_77@mail.com, please."),
            assistants(vec![call("a", "read", r#"{"path": "src/a.rs"}"#)]),
            result("a", "error: no such seat 17C99"),
        ];
        let offline = summarize(&Heuristic, &run.iter().collect::<Vec<_>>(), 300).unwrap();
        let text = carried(&[body(&offline)], "New summary.");
        for kept in ["User: Book it", "Error: error: no such seat 17C99", "Files: src/a.rs", "anna.k_77@mail.com"] {
            assert!(text.contains(kept), "{kept}: {text}");
        }
    }

    #[test]
    fn lists_of_the_structured_summary_are_carried_forward() {
        let text = carried(
            &["## Files\n- a/b.rs\n\n## Decisions\n- Decision: x over y — Reason: z\n\n## Next steps\n- c/d.rs"],
            "New.",
        );
        assert_eq!(text, "New.\n\nAlso on record:\nDecision: x over y — Reason: z\nFiles: a/b.rs");
    }

    #[test]
    fn what_the_new_summary_says_is_not_repeated() {
        let new = "Still: never touch the database. Kept the old format since patches must load. src/engine.rs has the \
                   loop, src/b.rs is new. E0432, an unresolved import, was fixed by adding the crate (error gone).";
        assert_eq!(carried(&[NINE, NINE], new), new);
    }

    #[test]
    fn the_newest_summary_goes_first_and_the_whole_fits() {
        let earlier = ["Files: old/one.rs".to_owned(), "Files: new/two.rs, none".to_owned()];
        assert_eq!(
            carry_forward(&quarter, &earlier, "S.", 100),
            "S.\n\nAlso on record:\nFiles: new/two.rs, none, old/one.rs"
        );
        for max in 0..30 {
            assert!(quarter(&carry_forward(&quarter, &earlier, "S.", max)) <= max.max(1));
        }
    }

    #[test]
    fn empty_lists_and_unknown_headings_carry_nothing() {
        let earlier = "## Files\n- None.\n### Errors\nn/a\n## Weather\n- src/x.rs\n## Decisions\n";
        assert_eq!(carried(&[earlier], "S."), "S.");
        assert_eq!(carried(&[], "S."), "S.");
    }
}
