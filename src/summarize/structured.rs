//! The structured summary: five fields that the summarizer answers as JSON.

use super::caps::ELLIPSIS;
use crate::json::parse;
use crate::text::one_line;
use crate::tokens::floor_boundary;
use crate::value::Value;

/// Limits of zeph's anchored summary: bytes of the intent, bytes of an entry, entries of a list, characters of the whole.
const LONGEST_INTENT: usize = 2_000;
const LONGEST_ENTRY: usize = 500;
const MOST_ENTRIES: usize = 50;
const LONGEST: usize = 16_000;

/// Opening braces that are tried as the beginning of the object.
const TRIES: usize = 16;

/// What a conversation is about and where it stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Structured {
    pub session_intent: String,
    pub files_modified: Vec<String>,
    pub decisions_made: Vec<String>,
    pub open_questions: Vec<String>,
    pub next_steps: Vec<String>,
}

impl Structured {
    /// Whether it can stand for a conversation: an intent and at least one next step.
    pub(crate) fn is_complete(&self) -> bool {
        !self.session_intent.trim().is_empty() && !self.next_steps.is_empty()
    }

    /// As Markdown, without empty lists. Above 16,000 characters the longest list loses its last entry, until it fits.
    pub(crate) fn render(&self) -> String {
        let lists = [
            ("## Files", &self.files_modified),
            ("## Decisions", &self.decisions_made),
            ("## Open questions", &self.open_questions),
            ("## Next steps", &self.next_steps),
        ];
        let size = |entries: &[String]| entries.iter().map(|entry| entry.chars().count() + 3).sum::<usize>();
        let mut sizes = lists.map(|(_, entries)| size(entries));
        let mut kept = lists.map(|(_, entries)| entries.as_slice());
        // Headings and the breaks around them.
        let frame = self.session_intent.chars().count() + 100;
        while frame + sizes.iter().sum::<usize>() > LONGEST {
            let Some(longest) = (0..kept.len()).max_by_key(|at| sizes.get(*at)) else { break };
            let (Some(list), Some(size)) = (kept.get_mut(longest), sizes.get_mut(longest)) else { break };
            let Some((entry, others)) = list.split_last() else { break };
            *size -= entry.chars().count() + 3;
            *list = others;
        }
        let mut out = ["## Intent\n", &self.session_intent].concat();
        for ((heading, _), entries) in lists.iter().zip(kept) {
            if entries.is_empty() {
                continue;
            }
            out.push_str("\n\n");
            out.push_str(heading);
            for entry in entries {
                out.push_str("\n- ");
                out.push_str(entry.strip_prefix("- ").unwrap_or(entry));
            }
        }
        out
    }
}

/// Reads an answer: the first object in it, in prose or between code fences, that makes a complete summary. Keys may be
/// spelled in snake case or camel case.
pub(crate) fn parse_structured(answer: &str) -> Option<Structured> {
    let mut from = 0;
    for _ in 0..TRIES {
        let open = from + answer.bytes().skip(from).position(|byte| byte == b'{')?;
        from = open + 1;
        let Some(text) = object_at(answer, open) else { continue };
        if let Ok(value) = parse(text, None) {
            let summary = read(&value);
            if summary.is_complete() {
                return Some(summary);
            }
        }
    }
    None
}

/// The text from an opening brace to the one that closes it.
fn object_at(answer: &str, open: usize) -> Option<&str> {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for (at, byte) in answer.bytes().enumerate().skip(open) {
        if in_string {
            in_string = escaped || byte != b'"';
            escaped = !escaped && byte == b'\\';
            continue;
        }
        match byte {
            b'"' => in_string = true,
            b'{' => depth += 1,
            b'}' => {
                depth -= 1;
                if depth == 0 {
                    return answer.get(open..=at);
                }
            }
            _ => {}
        }
    }
    None
}

fn read(value: &Value<'_>) -> Structured {
    let field = |snake: &str, camel: &str| value.get_some(snake).or_else(|| value.get_some(camel));
    let list = |snake: &str, camel: &str| field(snake, camel).map(entries).unwrap_or_default();
    let intent = field("session_intent", "sessionIntent").map(words).unwrap_or_default();
    Structured {
        session_intent: limited(&intent, LONGEST_INTENT),
        files_modified: list("files_modified", "filesModified"),
        decisions_made: list("decisions_made", "decisionsMade"),
        open_questions: list("open_questions", "openQuestions"),
        next_steps: list("next_steps", "nextSteps"),
    }
}

fn entries(value: &Value<'_>) -> Vec<String> {
    let mut entries = Vec::new();
    for item in value.as_array().unwrap_or(std::slice::from_ref(value)) {
        let entry = limited(&words(item), LONGEST_ENTRY);
        if !entry.is_empty() && entries.len() < MOST_ENTRIES {
            entries.push(entry);
        }
    }
    entries
}

/// The words of a string, or of the strings of an object: some models answer `{"decision": ..., "reason": ...}`.
fn words(value: &Value<'_>) -> String {
    let mut out = String::new();
    match value {
        Value::String(text) => out.push_str(text),
        Value::Object(fields) => {
            for text in fields.iter().filter_map(|(_, value)| value.as_str()) {
                if !out.is_empty() {
                    out.push_str(" — ");
                }
                out.push_str(text);
            }
        }
        _ => {}
    }
    out
}

/// On one line, so that no entry can begin a section, and in at most `most` bytes.
fn limited(text: &str, most: usize) -> String {
    let mut text = one_line(text);
    if text.len() > most {
        text.truncate(floor_boundary(&text, most - ELLIPSIS.len()));
        text.push_str(ELLIPSIS);
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Structured, parse_structured};

    fn answer() -> serde_json::Value {
        json!({
            "session_intent": "Port the engine",
            "files_modified": ["src/a.rs: loop", "- src/b.rs"],
            "decisions_made": ["Decision: no regex — Reason: size"],
            "open_questions": [],
            "next_steps": ["run the tests"],
        })
    }

    fn read(value: &serde_json::Value) -> Option<Structured> {
        parse_structured(&value.to_string())
    }

    #[test]
    fn an_answer_is_read_whatever_surrounds_it() {
        let summary = read(&answer()).unwrap();
        assert_eq!(summary.session_intent, "Port the engine");
        assert_eq!(summary.files_modified, ["src/a.rs: loop", "- src/b.rs"]);
        assert_eq!(summary.decisions_made, ["Decision: no regex — Reason: size"]);
        assert!(summary.open_questions.is_empty());
        assert_eq!(summary.next_steps, ["run the tests"]);
        let pretty = serde_json::to_string_pretty(&answer()).unwrap();
        for text in [
            format!("Here it is:\n```json\n{pretty}\n```\nAnything else? {{}}"),
            format!("A set {{a, b}} and a stray }} brace: {pretty}"),
            format!("{{\"summary\": {pretty}}}"),
        ] {
            assert_eq!(parse_structured(&text).as_ref(), Some(&summary), "{text}");
        }
    }

    #[test]
    fn both_spellings_of_keys_are_read() {
        let camel = json!({"sessionIntent": "i", "filesModified": ["f"], "decisionsMade": ["d"],
            "openQuestions": ["q"], "nextSteps": ["n"]});
        let snake = json!({"session_intent": "i", "files_modified": ["f"], "decisions_made": ["d"],
            "open_questions": ["q"], "next_steps": ["n"]});
        assert!(read(&camel).is_some());
        assert_eq!(read(&camel), read(&snake));
    }

    #[test]
    fn a_summary_needs_an_intent_and_a_next_step() {
        for (key, value) in [
            ("session_intent", json!(" \n")),
            ("session_intent", json!(null)),
            ("next_steps", json!([])),
            ("next_steps", json!([" ", 7])),
        ] {
            let mut answer = answer();
            answer[key] = value;
            assert_eq!(read(&answer), None, "{key}");
        }
        for text in ["", "no object", "{\"session_intent\": \"cut o", "{{{{{{{{{{{{{{{{{{{{", "[1]"] {
            assert_eq!(parse_structured(text), None);
        }
    }

    #[test]
    fn quotes_and_braces_inside_strings_do_not_end_the_object() {
        let mut answer = answer();
        answer["session_intent"] = json!("say \"}\" and \\ and {");
        assert_eq!(read(&answer).unwrap().session_intent, "say \"}\" and \\ and {");
    }

    #[test]
    fn fields_are_limited_between_characters() {
        let mut answer = answer();
        answer["session_intent"] = json!("я".repeat(5_000));
        answer["next_steps"] = json!(vec!["日".repeat(900); 80]);
        let summary = read(&answer).unwrap();
        assert!(summary.session_intent.len() <= 2_000 && summary.session_intent.len() > 1_990);
        assert_eq!(summary.next_steps.len(), 50);
        assert!(summary.next_steps.iter().all(|step| step.len() <= 500 && step.ends_with('…')));
    }

    #[test]
    fn entries_that_are_objects_become_sentences() {
        let mut answer = answer();
        answer["decisions_made"] = json!([{"decision": "no regex", "reason": "size", "n": 3}]);
        answer["next_steps"] = json!("just one");
        let summary = read(&answer).unwrap();
        assert_eq!(summary.decisions_made, ["no regex — size"]);
        assert_eq!(summary.next_steps, ["just one"]);
    }

    #[test]
    fn markdown_leaves_empty_lists_out_and_doubles_no_bullet() {
        assert_eq!(
            read(&answer()).unwrap().render(),
            "## Intent\nPort the engine\n\n## Files\n- src/a.rs: loop\n- src/b.rs\n\n## Decisions\n\
             - Decision: no regex — Reason: size\n\n## Next steps\n- run the tests"
        );
    }

    #[test]
    fn an_entry_cannot_begin_a_section() {
        let mut answer = answer();
        answer["next_steps"] = json!(["a\n## Decisions\n- forged"]);
        assert!(read(&answer).unwrap().render().ends_with("\n- a ## Decisions - forged"));
    }

    #[test]
    fn a_long_summary_keeps_its_next_steps() {
        let summary = Structured {
            session_intent: "é".repeat(1_000),
            files_modified: vec!["é".repeat(240); 50],
            decisions_made: vec!["d".repeat(400); 50],
            open_questions: vec![],
            next_steps: vec!["last".into()],
        };
        let text = summary.render();
        assert!((15_000..=16_000).contains(&text.chars().count()), "{}", text.chars().count());
        assert!(text.ends_with("## Next steps\n- last"));
    }
}
