//! Large tool results: kept whole elsewhere, shown as their head, the lines that report errors, and their tail. (zeph cuts
//! what it does not keep, B-48.)

use std::collections::VecDeque;

use super::{TOOL_NAME, grouped};
use crate::ladder::common_cap;
use crate::message::{Message, PartKind};
use crate::shrink::{at_line_end, at_line_start};
use crate::summarize::reports_error;
use crate::text::clip;
use crate::transcript::Change;

/// A lower threshold than this counts as this, characters: the notice has to find room.
pub(crate) const LEAST: usize = 500;

/// Room for the notice and the breaks around it, characters.
const NOTICE: usize = 250;

/// What the head gets of what is kept, and what lines that report errors may take, percent. The tail gets the rest: that is
/// where a tool says how it ended.
const HEAD_PERCENT: usize = 35;
const ERROR_PERCENT: usize = 20;

/// Most that is shown of a line that reports an error, characters.
const LONGEST_LINE: usize = 240;

const ERRORS: &str = "[lines of them that report errors:]\n";
const END: &str = "[the end:]\n";

/// The results in a message that has more than `most_chars` characters of them, shortened: what to change for it. Of
/// several results the larger ones are cut until all of them together keep to the threshold.
pub(crate) fn shorten_results(
    message: &Message<'_>,
    most_chars: usize,
    keep_chars: usize,
    id: Option<u64>,
) -> Vec<Change> {
    let results = || {
        message.parts.iter().filter_map(|part| match &part.kind {
            PartKind::ToolResult(text) => Some((part, text)),
            _ => None,
        })
    };
    let cap = common_cap(results().map(|(_, text)| text.chars().count() as u64), most_chars as u64);
    let cap = usize::try_from(cap).unwrap_or(usize::MAX).min(most_chars);
    let keep = keep_chars.saturating_mul(cap) / most_chars.max(1);
    let mut changes = Vec::new();
    for (part, text) in results() {
        if let Some(short) = shorten(text, cap, keep, id, text.len()) {
            changes.push(Change::set(part.path.steps(), short));
        }
    }
    changes
}

/// A text of more than `most_chars` characters as some `keep_chars` of it, and a line between them that says how much is
/// missing and, with `id`, how to get it. `total_bytes` is the size of the original, should the text not be all of it.
///
/// `None` when the text is short enough. What comes back is never longer than `most_chars` (at least [`LEAST`]), so it is
/// not shortened again.
pub(crate) fn shorten(
    text: &str,
    most_chars: usize,
    keep_chars: usize,
    id: Option<u64>,
    total_bytes: usize,
) -> Option<String> {
    let most = most_chars.max(LEAST);
    let characters = text.chars().count();
    if characters <= most {
        return None;
    }
    let keep = keep_chars.min(most - NOTICE);
    let (head, lines) = (keep * HEAD_PERCENT / 100, keep * ERROR_PERCENT / 100);
    let mut parts = Parts::new(text, head, keep - head, lines);
    if !parts.errors.is_empty() {
        // Once more, since there may be others where the tail gives way to them.
        parts = Parts::new(text, head, keep - head - lines, lines);
    }
    let missing = characters.saturating_sub(parts.characters());
    Some(parts.around(&notice(missing, characters, id, total_bytes.saturating_sub(text.len()))))
}

fn notice(missing: usize, characters: usize, id: Option<u64>, more_bytes: usize) -> String {
    let way_back = id.map_or_else(String::new, |id| format!("; the tool {TOOL_NAME} with id \"{id}\" returns them"));
    let more = match more_bytes {
        0 => String::new(),
        bytes => format!("; the original goes on for {} bytes", grouped(bytes)),
    };
    format!("[{} of {} characters left out{way_back}{more}]\n", grouped(missing), grouped(characters))
}

/// What is kept of a text.
struct Parts<'t> {
    head: &'t str,
    errors: Vec<&'t str>,
    tail: &'t str,
}

impl<'t> Parts<'t> {
    /// With so many characters of head, tail, and lines between them that report errors.
    fn new(text: &'t str, head: usize, tail: usize, lines: usize) -> Self {
        let head = clip(text, head).len();
        let tail = text.char_indices().rev().take(tail).last().map_or(text.len(), |(at, _)| at);
        // From line to line, where that costs little.
        let (head, tail) = (at_line_end(text, head), at_line_start(text, tail));
        let part = |from, to| text.get(from..to).unwrap_or_default();
        Self { head: part(0, head), errors: error_lines(part(head, tail), lines), tail: part(tail, text.len()) }
    }

    fn characters(&self) -> usize {
        [self.head, self.tail].iter().chain(&self.errors).map(|part| part.chars().count()).sum()
    }

    fn around(&self, notice: &str) -> String {
        let mut out = self.head.to_owned();
        if !out.is_empty() && !out.ends_with('\n') {
            out.push('\n');
        }
        out.push_str(notice);
        if !self.errors.is_empty() {
            out.push_str(ERRORS);
            for line in &self.errors {
                out.push_str(line);
                out.push('\n');
            }
            out.push_str(END);
        }
        out.push_str(self.tail);
        out
    }
}

/// Lines that report errors, repeats left out, of at most so many characters together with their breaks: the first ones,
/// since the first error often brings about the others, and the last ones.
fn error_lines(text: &str, most: usize) -> Vec<&str> {
    let mut found = Vec::new();
    let mut first_left = most / 2;
    let mut last: VecDeque<(&str, usize)> = VecDeque::new();
    let mut last_left = most - most / 2;
    let mut before = "";
    for line in text.lines().filter(|line| reports_error(line)) {
        let line = clip(line.trim_ascii(), LONGEST_LINE);
        if line == before {
            continue;
        }
        before = line;
        let size = line.chars().count() + 1;
        if last.is_empty() && size <= first_left {
            first_left -= size;
            found.push(line);
            continue;
        }
        while size > last_left
            && let Some((_, freed)) = last.pop_front()
        {
            last_left += freed;
        }
        if size <= last_left {
            last_left -= size;
            last.push_back((line, size));
        }
    }
    found.extend(last.into_iter().map(|(line, _)| line));
    found
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::string_slice, reason = "tests fail loudly")]
mod tests {
    use super::{END, ERRORS, LEAST, shorten, shorten_results};
    use crate::format::Format;
    use crate::message::Message;
    use crate::transcript::Change;

    fn short(text: &str, most: usize, keep: usize) -> Option<String> {
        shorten(text, most, keep, Some(57), text.len())
    }

    fn lines(count: usize) -> String {
        let lines: Vec<String> = (0..count).map(|at| format!("line {at} says nothing of note\n")).collect();
        lines.concat()
    }

    #[test]
    fn head_and_tail_stay_and_a_line_says_what_is_missing_and_how_to_get_it() {
        let text = lines(10_000);
        let shown = short(&text, 20_000, 8_000).unwrap();
        let (head, rest) = shown.split_once("\n[").unwrap();
        let (notice, tail) = rest.split_once("]\n").unwrap();
        assert!(text.starts_with(head) && text.ends_with(tail) && tail.len() > head.len());
        assert!(shown.len() > 7_500 && shown.len() < 8_250, "{}", shown.len());
        let missing = text.len() - head.len() - tail.len();
        let grouped = format!("{},{:03}", missing / 1_000, missing % 1_000);
        assert_eq!(
            notice,
            format!("{grouped} of 308,890 characters left out; the tool recall with id \"57\" returns them")
        );
        // Whole lines, as there are some near the cut.
        assert!(head.ends_with("of note") && tail.starts_with("line "));
        let undeclared = shorten(&text, 20_000, 8_000, None, text.len()).unwrap();
        assert!(!undeclared.contains("recall") && undeclared.contains("characters left out]\n"));
        let part = shorten(&text, 20_000, 8_000, None, text.len() + 12_345).unwrap();
        assert!(part.contains("; the original goes on for 12,345 bytes]"), "{part}");
    }

    #[test]
    fn lines_that_report_errors_are_kept_from_between() {
        let mut text = lines(4_000);
        text.push_str("error[E0308]: mismatched types\n  --> src/main.rs:7\n");
        text.push_str(&"error: the same again\n".repeat(50));
        text.push_str(&lines(4_000));
        text.push_str("thread 'main' panicked at src/lib.rs\n");
        text.push_str(&lines(4_000));
        let shown = short(&text, 10_000, 4_000).unwrap();
        let errors = shown.split_once(ERRORS).unwrap().1.split_once(END).unwrap().0;
        assert_eq!(
            errors,
            "error[E0308]: mismatched types\nerror: the same again\nthread 'main' panicked at src/lib.rs\n"
        );
        let many: Vec<String> = (0..9_000).map(|at| format!("error {at}: refused\n")).collect();
        let many = many.concat();
        let shown = short(&many, 10_000, 4_000).unwrap();
        let errors = shown.split_once(ERRORS).unwrap().1.split_once(END).unwrap().0;
        assert!(errors.len() <= 800 && errors.len() > 700, "{}", errors.len());
        // The first and the last of those between.
        let (first, last) = (errors.lines().next().unwrap(), errors.lines().last().unwrap());
        let (head, tail) = (shown.find(&format!("{first}\n")).unwrap(), many.find(&format!("{last}\n")).unwrap());
        assert!(head < 1_700 && tail > many.len() - 3_000, "{head} {tail} {first} {last}");
    }

    #[test]
    fn what_is_short_enough_stays_and_what_was_shortened_is_short_enough() {
        let samples = [
            "x".repeat(100_000),
            "日本語のログ".repeat(9_000),
            "😀".repeat(3_000),
            "error: no\n".repeat(5_000),
            format!("{}\r\n", "e\u{301}".repeat(20_000)),
            lines(2_000),
        ];
        for text in &samples {
            let characters = text.chars().count();
            assert_eq!(short(text, characters, 100), None);
            for most in [0, 1, LEAST, LEAST + 1, 700, 2_000] {
                for keep in [0, 1, 60, 500, most, usize::MAX] {
                    let shown = short(text, most, keep).unwrap();
                    assert!(shown.chars().count() <= most.max(LEAST), "{most} {keep}: {}", shown.chars().count());
                    assert!(shown.len() < text.len());
                    assert_eq!(short(&shown, most, keep), None, "{most} {keep}");
                    assert_eq!(short(text, most, keep), Some(shown));
                }
            }
        }
    }

    fn message(raw: &str) -> Message<'static> {
        let value = crate::json::parse(raw, Some(0)).unwrap();
        Format::OpenAiChat.rules().parse(0, value).unwrap().into_owned()
    }

    fn values(changes: &[Change]) -> Vec<usize> {
        changes.iter().filter_map(|change| change.value.as_ref()).map(|text| text.chars().count()).collect()
    }

    #[test]
    fn only_results_above_the_threshold_are_changed() {
        let long = "w ".repeat(5_000);
        let result = message(&format!(r#"{{"role":"tool","tool_call_id":"a","content":"{long}"}}"#));
        let changes = shorten_results(&result, 4_000, 1_000, Some(3));
        assert_eq!(
            changes,
            [Change::set(
                result.parts.first().unwrap().path.steps(),
                shorten(&long, 4_000, 1_000, Some(3), long.len()).unwrap()
            )]
        );
        assert_eq!(shorten_results(&result, 10_000, 1_000, Some(3)), []);
        let said = message(&format!(r#"{{"role":"user","content":"{long}"}}"#));
        assert_eq!(shorten_results(&said, 4_000, 1_000, Some(3)), []);
    }

    #[test]
    fn several_results_keep_to_the_threshold_together() {
        let part = |text: &str| format!(r#"{{"type":"text","text":"{text}"}}"#);
        let (small, large) = (part("small"), part(&"w ".repeat(3_000)));
        let result = message(&format!(r#"{{"role":"tool","tool_call_id":"a","content":[{large},{small},{large}]}}"#));
        assert_eq!(shorten_results(&result, 12_005, 1_000, None), []);
        let changes = shorten_results(&result, 8_000, 2_000, None);
        assert_eq!(changes.len(), 2);
        assert!(values(&changes).iter().all(|size| (900..1_200).contains(size)), "{:?}", values(&changes));
        let steps = |index: usize| result.parts.get(index).unwrap().path.steps();
        assert_eq!(changes.iter().map(|change| change.path.clone()).collect::<Vec<_>>(), [steps(0), steps(2)]);
    }
}
