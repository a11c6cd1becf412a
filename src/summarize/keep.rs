//! What must outlive a summary (B-36): how to tell whether a text still says it, and how to put back what it lacks.

use crate::text::{find, split_once};
use crate::tokens::TokenCounter;

/// Kinds of things that are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A path or an address.
    File,
    /// A name made of letters and digits, a long number, a mail address.
    Id,
    /// A number with its unit.
    Figure,
    /// A line that speaks of an error.
    Error,
    /// What was decided, and why.
    Decision,
    /// Words of the user.
    Said,
}

/// Every kind, in the order in which they are written, and the label of its lines. The offline summary reads the same
/// labels.
pub(super) const LABELS: [(Kind, &str); 6] = [
    (Kind::Said, "User: "),
    (Kind::Decision, "Decision: "),
    (Kind::Error, "Error: "),
    (Kind::File, "Files: "),
    (Kind::Id, "Identifiers: "),
    (Kind::Figure, "Figures: "),
];

/// What stands above the lines that were put back.
const TITLE: &str = "Also on record:";

/// What stands between the items of a line.
pub(super) const BETWEEN: &str = ", ";

impl Kind {
    pub(super) fn label(self) -> &'static str {
        LABELS.iter().find(|(kind, _)| *kind == self).map_or("", |(_, label)| label)
    }

    /// Whether items of this kind are names that share a line; sentences have one each.
    pub(super) fn shares_a_line(self) -> bool {
        matches!(self, Self::File | Self::Id | Self::Figure)
    }
}

/// A text in which things are looked up.
#[derive(Debug)]
pub(super) struct Text {
    lower: String,
    figures: Vec<String>,
}

impl Text {
    pub(super) fn new(text: &str) -> Self {
        let mut found = Vec::new();
        for figure in figures(text) {
            found.push(plain(&figure));
        }
        Self { lower: text.to_ascii_lowercase(), figures: found }
    }

    /// Whether the text says this: names in full, a figure in any spelling, most words of a sentence.
    pub(super) fn says(&self, kind: Kind, item: &str) -> bool {
        let item = item.to_ascii_lowercase();
        match kind {
            Kind::File | Kind::Id => self.names(&item),
            Kind::Figure => self.figures.contains(&plain(&item)),
            Kind::Error | Kind::Decision | Kind::Said => self.says_most_of(&item),
        }
    }

    /// Whether the text at least alludes to this: the last name of a path is enough.
    pub(super) fn hints_at(&self, kind: Kind, item: &str) -> bool {
        let last = item.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
        self.says(kind, item) || (kind == Kind::File && last.len() >= 4 && self.names(&last.to_ascii_lowercase()))
    }

    /// Whether a name occurs that is not part of a longer one.
    fn names(&self, name: &str) -> bool {
        let mut rest = self.lower.as_str();
        let mut before = None;
        while let Some((head, after)) = split_once(rest, name) {
            let first = if head.is_empty() { before } else { head.bytes().last() };
            if !first.is_some_and(is_letter) && !after.bytes().next().is_some_and(is_letter) {
                return true;
            }
            before = name.bytes().last();
            rest = after;
        }
        false
    }

    /// Whether two thirds of the words occur; all of a text that has no words worth looking for.
    fn says_most_of(&self, sentence: &str) -> bool {
        let (mut words, mut found) = (0, 0);
        for word in words_of(sentence) {
            words += 1;
            found += usize::from(find(&self.lower, word).is_some());
        }
        if words == 0 { find(&self.lower, sentence.trim()).is_some() } else { found * 3 >= words * 2 }
    }
}

fn is_letter(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 128
}

/// Words to recognise a sentence by, at most 40: runs of at least four ASCII letters and digits or bytes of other
/// alphabets, and pairs of characters where words have no blanks between them.
fn words_of(sentence: &str) -> Vec<&str> {
    let mut words = Vec::new();
    // Where the current word and the ideograph before this character begin.
    let (mut word, mut ideograph) = (None, None);
    for (at, char) in sentence.char_indices().chain([(sentence.len(), ' ')]) {
        if words.len() >= 40 {
            break;
        }
        let joins = matches!(char, '\u{3040}'..='\u{9FFF}' | '\u{F900}'..='\u{FAFF}' | '\u{20000}'..='\u{3FFFF}');
        let letter = !joins && is_word(char);
        if let Some(start) = word.filter(|_| !letter) {
            words.extend(sentence.get(start..at).filter(|word| word.len() >= 4));
            word = None;
        }
        if letter && word.is_none() {
            word = Some(at);
        }
        if let Some(start) = ideograph.filter(|_| joins) {
            words.extend(sentence.get(start..at + char.len_utf8()));
        }
        ideograph = joins.then_some(at);
    }
    words
}

/// Letters and digits; beyond ASCII, everything but the blocks of punctuation.
fn is_word(char: char) -> bool {
    match char {
        '\0'..='\u{7F}' => char.is_ascii_alphanumeric(),
        '\u{80}'..='\u{BF}' | '\u{2000}'..='\u{206F}' | '\u{3000}'..='\u{303F}' | '\u{FF00}'..='\u{FF0F}' => false,
        _ => true,
    }
}

// ----------------------------------------------------------------------------------------------------------- figures

/// Units that stand directly behind a number or, all but the one-letter ones, after a blank.
const UNITS: [&str; 56] = [
    "%", "percent", "ms", "us", "µs", "ns", "s", "sec", "second", "seconds", "m", "min", "minute", "minutes", "h",
    "hour", "hours", "day", "days", "week", "weeks", "month", "months", "year", "years", "b", "kb", "mb", "gb", "tb",
    "kib", "mib", "gib", "byte", "bytes", "token", "tokens", "px", "usd", "eur", "gbp", "dollars", "euros", "mm", "cm",
    "km", "kg", "g", "°c", "°f", "hz", "khz", "mhz", "ghz", "miles", "items",
];

/// Numbers with their units, as they are written: `30 seconds`, `16GB`, `$129.99`, `15%`.
pub(super) fn figures(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    // A number that may have its unit in the next word.
    let mut number: Option<&str> = None;
    for word in text.split_ascii_whitespace() {
        let word = trimmed(word);
        if let Some(number) = number.take()
            && word.chars().nth(1).is_some_and(|_| is_unit(word))
        {
            found.push([number, " ", word].concat());
            continue;
        }
        let digits = word.trim_start_matches(['$', '€', '£', '¥', '₹']);
        let end = digits.bytes().take_while(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b',')).count();
        let (Some(value), Some(unit)) = (digits.get(..end), digits.get(end..)) else { continue };
        if !value.starts_with(|first: char| first.is_ascii_digit()) || word.len() > 40 {
            continue;
        }
        if digits.len() < word.len() {
            if unit.is_empty() {
                found.push(word.to_owned());
            }
        } else if unit.is_empty() {
            number = Some(word);
        } else if is_unit(unit) {
            found.push(word.to_owned());
        }
    }
    found
}

fn is_unit(word: &str) -> bool {
    UNITS.iter().any(|unit| unit.eq_ignore_ascii_case(word))
}

/// A word without the punctuation around it.
fn trimmed(word: &str) -> &str {
    const MARKS: [char; 15] = ['.', ',', ';', ':', '!', '?', '(', ')', '[', ']', '{', '}', '"', '\'', '*'];
    word.trim_matches(MARKS.as_slice()).trim_matches('`')
}

/// A figure without what may be spelled differently.
fn plain(figure: &str) -> String {
    let mut plain = figure.to_ascii_lowercase();
    plain.retain(|char| char != ',' && char != ' ');
    plain
}

// ------------------------------------------------------------------------------------------------------- putting back

/// The summary with these things behind it, under a title and one line for each kind or sentence, as many of them in
/// this order as fit: the whole has at most `max` tokens if the summary has.
pub(super) fn put_back(counter: &dyn TokenCounter, summary: &str, items: &[(Kind, String)], max: u32) -> String {
    let mut left = max.saturating_sub(counter.count(summary)).saturating_sub(counter.count(TITLE) + 3);
    let mut taken: Vec<&(Kind, String)> = Vec::new();
    for item in items {
        let (kind, text) = item;
        let labelled = kind.shares_a_line() && taken.iter().any(|(other, _)| other == kind);
        let label = if labelled { 0 } else { counter.count(kind.label()) + 1 };
        let cost = counter.count(text) + 1 + label;
        if cost <= left {
            left -= cost;
            taken.push(item);
        }
    }
    // Costs were added up; the whole can differ a little.
    while !taken.is_empty() {
        let text = with(summary, &taken);
        if counter.count(&text) <= max {
            return text;
        }
        taken.truncate(taken.len() - taken.len().div_ceil(8));
    }
    summary.to_owned()
}

fn with(summary: &str, items: &[&(Kind, String)]) -> String {
    let mut out = summary.trim_end().to_owned();
    if !out.lines().any(|line| line == TITLE) {
        out.push_str("\n\n");
        out.push_str(TITLE);
    }
    for (kind, label) in LABELS {
        let mut first = true;
        for (_, text) in items.iter().filter(|(other, _)| *other == kind) {
            if first || !kind.shares_a_line() {
                out.push('\n');
                out.push_str(label);
            } else {
                out.push_str(BETWEEN);
            }
            out.push_str(text);
            first = false;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::sample::quarter;
    use super::{Kind, Text, figures, put_back};

    #[test]
    fn numbers_are_found_with_their_units() {
        let text = "It took 30 seconds (at 16GB), cost $129.99, up 15% from 1,200 ms; 3 apples, v2 and 7. Then 5 m.";
        assert_eq!(figures(text), ["30 seconds", "16GB", "$129.99", "15%", "1,200 ms"]);
    }

    #[test]
    fn a_figure_is_recognised_in_another_spelling() {
        let text = Text::new("limits: 200 ms and 1,500 MB");
        assert!(text.says(Kind::Figure, "200ms") && text.says(Kind::Figure, "1500 mb"));
        assert!(!text.says(Kind::Figure, "20 ms") && !text.says(Kind::Figure, "500 MB"));
    }

    #[test]
    fn a_name_inside_a_longer_one_does_not_count() {
        let text = Text::new("see src/main.rs.bak2, ABC-1234 and `lib/a.py`");
        assert!(!text.says(Kind::Id, "ABC-123"));
        assert!(text.says(Kind::Id, "abc-1234") && text.says(Kind::File, "lib/a.py"));
        assert!(Text::new("b/a.rs a.rs").says(Kind::File, "a.rs"));
        assert!(!Text::new("xa.rs").says(Kind::File, "a.rs") && !Text::new("a.rsa.rs").says(Kind::File, "a.rs"));
        assert!(!text.says(Kind::File, "src/a.py") && text.hints_at(Kind::File, "src/a.py"));
    }

    #[test]
    fn a_sentence_is_kept_when_most_of_its_words_are() {
        let text = Text::new("The build failed: cannot find crate `serde`. 用户要求使用深色主题。");
        assert!(text.says(Kind::Error, "error: cannot find crate serde"));
        assert!(!text.says(Kind::Error, "error: missing lifetime specifier"));
        assert!(!text.says(Kind::Error, "error: cannot find lifetime"));
        assert!(text.says(Kind::Said, "使用深色主题"));
        assert!(!text.says(Kind::Said, "不要修改数据库"));
    }

    #[test]
    fn what_is_put_back_is_labelled_and_fits() {
        let items = [
            (Kind::File, "src/a.rs".to_owned()),
            (Kind::Decision, "use B-trees".to_owned()),
            (Kind::File, "src/b.rs".to_owned()),
            (Kind::Id, "ABC-1".to_owned()),
        ];
        let all = put_back(&quarter, "Summary.", &items, 100);
        assert_eq!(
            all,
            "Summary.\n\nAlso on record:\nDecision: use B-trees\nFiles: src/a.rs, src/b.rs\nIdentifiers: ABC-1"
        );
        // A second time under the same title.
        assert_eq!(put_back(&quarter, &all, &[(Kind::Error, "E".into())], 100), format!("{all}\nError: E"));
        for max in 0..40 {
            let some = put_back(&quarter, "Summary.", &items, max);
            assert!(quarter(&some) <= max.max(2), "{max}: {some}");
            assert!(some.starts_with("Summary."));
        }
        assert_eq!(put_back(&quarter, "Summary.", &items, 10), "Summary.");
        // Also where texts cost more together than apart.
        let counter = |text: &str| u32::try_from(text.len() * text.len() / 100).unwrap();
        let some = put_back(&counter, "Summary.", &items, 60);
        assert!(counter(&some) <= 60 && some.contains("src/a.rs"), "{some}");
    }
}
