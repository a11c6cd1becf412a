//! Messages as the summarizer reads them (B-11): words, calls with their arguments, results with the name of their tool.

use std::borrow::Cow;

use super::arguments::flat;
use super::caps::cut_middle;
use super::offline::summary_text;
use super::record::body;
use crate::message::{Message, Part, PartKind, Path, Role};
use crate::order::Places;

/// The longest string among the arguments of a call, and the longest list of arguments, characters. What was written
/// into a file is rarely needed again; that it was written is.
const LONGEST_VALUE: usize = 300;
const LONGEST_ARGUMENTS: usize = 1_500;

/// What the summarizer is told that one message said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Piece<'m> {
    /// Who speaks, in the words of the prompt: `user`, `assistant`, `system`, `tool result`.
    pub role: &'static str,
    /// The tool of a result; empty for everything else.
    pub name: Cow<'m, str>,
    pub text: Cow<'m, str>,
    /// Whether this is the result of a tool, which may be left out when the prompt is too long.
    pub result: bool,
    /// Which part of a split message this is, from 1; 0 for a whole one.
    pub part: u32,
    /// The place of the message among those that were rendered.
    pub at: usize,
}

impl Piece<'_> {
    /// The piece with its label, as it is sent: `[tool result: read_file, part 2]: ...`.
    pub(crate) fn write(&self, out: &mut String) {
        out.push('[');
        out.push_str(self.role);
        if !self.name.is_empty() {
            out.push_str(": ");
            out.push_str(&self.name);
        }
        if self.part > 0 {
            out.push_str(", part ");
            out.push_str(&self.part.to_string());
        }
        out.push_str("]: ");
        out.push_str(&self.text);
    }
}

/// Pieces one after the other, with a blank line between them: what a prompt fences.
pub(crate) fn transcript(pieces: &[Piece<'_>]) -> String {
    let mut out = String::new();
    for piece in pieces {
        if !out.is_empty() {
            out.push_str(SEPARATOR);
        }
        piece.write(&mut out);
    }
    out
}

/// What stands between two pieces.
pub(crate) const SEPARATOR: &str = "\n\n";

/// A run of messages, ready for a prompt.
#[derive(Debug, Default)]
pub(crate) struct Rendered<'m> {
    /// What was said, in order: one piece for each message that says something, two for one that holds both results and
    /// words of its own.
    pub pieces: Vec<Piece<'m>>,
    /// What our earlier summaries say, oldest first. They are an input of their own, never conversation (B-36, B-47).
    pub earlier: Vec<String>,
}

/// Renders messages. Reasoning is left out.
pub(crate) fn pieces<'m>(messages: &[&'m Message<'_>]) -> Rendered<'m> {
    let mut rendered = Rendered::default();
    let mut open = Open::new(None);
    for (at, message) in messages.iter().enumerate() {
        let mut parts = message.parts.as_slice();
        if let Some(summary) = summary_text(message) {
            let said = body(summary);
            if !said.is_empty() {
                rendered.earlier.push(said.to_owned());
            }
            // A host may have put words of its own behind our summary.
            let ours = parts.iter().position(|part| part.text().is_some()).unwrap_or_default();
            parts = parts.get(ours + 1..).unwrap_or_default();
        }
        if message.role == Role::Assistant {
            open = Open::new(Some(message));
        }
        let (mut results, mut words) = (Cow::Borrowed(""), Cow::Borrowed(""));
        for part in parts {
            let of_result = message.role == Role::Tool || matches!(part.kind, PartKind::ToolResult(_));
            add(if of_result { &mut results } else { &mut words }, said(part));
        }
        if !results.is_empty() {
            let name = Cow::Borrowed(open.tool(message));
            rendered.pieces.push(Piece { role: "tool result", name, text: results, result: true, part: 0, at });
        }
        if !words.is_empty() {
            let role = role_label(message.role);
            rendered.pieces.push(Piece { role, name: Cow::Borrowed(""), text: words, result: false, part: 0, at });
        }
    }
    rendered
}

/// The role as prompts name it.
pub(crate) fn role_label(role: Role) -> &'static str {
    match role {
        Role::System => "system",
        Role::User => "user",
        Role::Assistant => "assistant",
        Role::Tool => "tool result",
    }
}

fn said<'m>(part: &'m Part<'_>) -> Cow<'m, str> {
    match &part.kind {
        PartKind::Text(text) | PartKind::ToolResult(text) => Cow::Borrowed(text.trim()),
        PartKind::Hidden(text) if is_refusal(part.path) => Cow::Borrowed(text.trim()),
        PartKind::ToolCall { name, arguments, .. } => {
            let arguments = flat(arguments, LONGEST_VALUE);
            let tail = LONGEST_ARGUMENTS / 4;
            let arguments = cut_middle(&arguments, LONGEST_ARGUMENTS - tail, tail);
            Cow::Owned(["called ", name, "(", &arguments, ")"].concat())
        }
        PartKind::Attachment { tokens, .. } => {
            Cow::Owned(["[attachment, about ", &tokens.to_string(), " tokens]"].concat())
        }
        PartKind::Hidden(_) | PartKind::Other => Cow::Borrowed(""),
    }
}

/// A refusal is an answer; reasoning is not.
fn is_refusal(path: Path) -> bool {
    matches!(path, Path::Field("refusal") | Path::ItemField(_, _, "refusal"))
}

fn add<'m>(text: &mut Cow<'m, str>, more: Cow<'m, str>) {
    if more.is_empty() {
        return;
    }
    if text.is_empty() {
        *text = more;
    } else {
        let text = text.to_mut();
        text.push('\n');
        text.push_str(&more);
    }
}

/// The calls that the results after them answer. Parallel calls may share an id; they are answered in order.
struct Open<'m> {
    calls: Vec<(&'m str, &'m str)>,
    places: Places,
    /// How many calls of an id were answered, at the first row of that id.
    taken: Vec<usize>,
    /// The next call to be answered by a result that does not say which.
    next: usize,
}

impl<'m> Open<'m> {
    fn new(message: Option<&'m Message<'_>>) -> Self {
        let mut calls = Vec::new();
        if let Some(message) = message {
            for (id, name, _) in message.calls() {
                calls.push((id, name));
            }
        }
        let places = Places::new(calls.iter().map(|(id, _)| *id));
        Self { taken: vec![0; calls.len()], calls, places, next: 0 }
    }

    fn tool(&mut self, result: &'m Message<'_>) -> &'m str {
        let named = result.name.as_deref().unwrap_or("unknown tool");
        let Some(id) = result.answers.as_deref() else {
            self.next += 1;
            return self.calls.get(self.next - 1).map_or(named, |(_, name)| name);
        };
        if result.role_name == "function" {
            return id;
        }
        let row = self.places.first_row(id);
        let Some(taken) = self.taken.get_mut(row) else { return named };
        let at = self.places.at(row + *taken, id).or_else(|| self.places.at(row, id));
        *taken += 1;
        at.and_then(|at| self.calls.get(at)).map_or(named, |(_, name)| name)
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::super::record::record;
    use super::super::sample::{assistant, assistants, call, result, system, text, user, users};
    use super::{Rendered, pieces, transcript};
    use crate::message::{Message, PartKind, Path};

    fn rendered<'m>(messages: &'m [Message<'_>]) -> Rendered<'m> {
        pieces(&messages.iter().collect::<Vec<_>>())
    }

    #[test]
    fn b11_calls_show_their_arguments_and_results_their_tool() {
        let run = [
            system("Be brief."),
            user(" Fix it.\n"),
            assistants(vec![
                text("I look."),
                call("a", "read_file", r#"{"path": "src/main.rs"}"#),
                call("b", "shell", "ls -l"),
            ]),
            result("b", "total 0"),
            result("a", "fn main() {}"),
            assistant("Done."),
        ];
        assert_eq!(
            transcript(&rendered(&run).pieces),
            "[system]: Be brief.\n\n[user]: Fix it.\n\n\
             [assistant]: I look.\ncalled read_file(path: src/main.rs)\ncalled shell(ls -l)\n\n\
             [tool result: shell]: total 0\n\n[tool result: read_file]: fn main() {}\n\n[assistant]: Done."
        );
    }

    #[test]
    fn results_are_paired_by_adjacency_when_ids_repeat() {
        let run = [
            assistants(vec![call("call_0", "first", "{}")]),
            result("call_0", "1"),
            assistants(vec![call("call_0", "second", "{}"), call("call_0", "third", "{}")]),
            result("call_0", "2"),
            result("call_0", "3"),
            result("call_0", "4"),
            result("gone", "5"),
        ];
        let rendered = rendered(&run);
        let names: Vec<&str> = rendered.pieces.iter().filter(|piece| piece.result).map(|piece| &*piece.name).collect();
        assert_eq!(names, ["first", "second", "third", "second", "unknown tool"]);
    }

    #[test]
    fn legacy_function_results_name_their_function() {
        let mut answer = result("weather", "sunny");
        answer.role_name = Cow::Borrowed("function");
        assert_eq!(transcript(&rendered(&[answer]).pieces), "[tool result: weather]: sunny");
    }

    #[test]
    fn reasoning_is_left_out_and_refusals_are_not() {
        let mut refused = assistants(vec![
            PartKind::Hidden(Cow::Borrowed("let me think")),
            PartKind::Hidden(Cow::Borrowed("I will not.")),
        ]);
        refused.parts[1].path = Path::Field("refusal");
        assert_eq!(transcript(&rendered(&[refused]).pieces), "[assistant]: I will not.");
    }

    #[test]
    fn attachments_say_how_large_they_are() {
        let picture = PartKind::Attachment { tokens: 1_445, fingerprint: 7 };
        let run = [users(vec![text("See:"), picture])];
        assert_eq!(transcript(&rendered(&run).pieces), "[user]: See:\n[attachment, about 1445 tokens]");
    }

    #[test]
    fn b47_earlier_summaries_are_an_input_of_their_own() {
        let question = user("q");
        let (first, second) = (record(&[&question], "Files: a.rs"), record(&[&question], "Files: b.rs"));
        let run = [users(vec![text(&first), text("And now?")]), user(&second), user("go on")];
        let rendered = rendered(&run);
        assert_eq!(rendered.earlier, ["Files: a.rs", "Files: b.rs"]);
        assert_eq!(transcript(&rendered.pieces), "[user]: And now?\n\n[user]: go on");
    }

    #[test]
    fn words_beside_a_result_are_a_piece_of_their_own() {
        let run = [users(vec![PartKind::ToolResult(Cow::Borrowed("out")), text("and my words")])];
        let pieces = rendered(&run).pieces;
        assert_eq!(pieces.len(), 2);
        assert!(pieces[0].result && !pieces[1].result && pieces[1].text == "and my words");
        assert_eq!((pieces[0].at, pieces[1].at), (0, 0));
    }

    #[test]
    fn messages_that_say_nothing_have_no_piece() {
        let run = [user("  \n"), assistant("x")];
        let pieces = rendered(&run).pieces;
        assert_eq!(pieces.len(), 1);
        assert_eq!(pieces[0].at, 1);
    }

    #[test]
    fn b07_a_long_list_of_arguments_is_cut_between_characters() {
        let fields: Vec<String> = (0..400).map(|at| format!("\"k{at}\": \"日本語\"")).collect();
        let arguments = format!("{{{}}}", fields.join(","));
        let run = [assistants(vec![call("a", "write", &arguments)])];
        let text = rendered(&run).pieces[0].text.clone().into_owned();
        assert!(text.starts_with("called write(k0: 日本語, k1: ") && text.ends_with("k399: 日本語)"));
        assert_eq!(text.chars().count(), "called write()".len() + 1_500 + 3);
    }
}
