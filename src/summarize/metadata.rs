//! The last rung when no summary can be had: counts, and what was said last.

use super::caps::cap_chars;
use super::offline::summary_text;
use crate::message::{Message, Role};
use crate::text::{clip, one_line};

/// Characters of the last words that are quoted (zeph's number).
const PREVIEW: usize = 200;

/// How many messages there were and by whom, and the last words of the user and of the assistant, each on one line and
/// cut after 200 characters. Earlier summaries are counted as what they are, messages of ours, and never quoted.
pub(crate) fn metadata(messages: &[&Message<'_>]) -> String {
    // In the order of the roles below.
    let mut counts = [0_usize; 5];
    let (mut user, mut assistant) = (None, None);
    for message in messages {
        let summary = summary_text(message).is_some();
        let at = match message.role {
            Role::User if summary => 4,
            Role::User => 0,
            Role::Assistant => 1,
            Role::System => 2,
            Role::Tool => 3,
        };
        if let Some(count) = counts.get_mut(at) {
            *count += 1;
        }
        let words = message.texts().find(|text| !text.trim().is_empty());
        match message.role {
            Role::User if !summary => user = words.or(user),
            Role::Assistant => assistant = words.or(assistant),
            _ => {}
        }
    }
    let mut out = ["No summary could be made. Messages left out: ", &messages.len().to_string(), " ("].concat();
    let names = ["user", "assistant", "system", "tool", "summary"];
    for (at, (name, count)) in names.iter().zip(counts).enumerate() {
        if at > 2 && count == 0 {
            continue;
        }
        if at > 0 {
            out.push_str(", ");
        }
        out.push_str(&count.to_string());
        out.push(' ');
        out.push_str(name);
    }
    out.push(')');
    for (label, words) in [("\nUser: ", user), ("\nAssistant: ", assistant)] {
        if let Some(words) = words {
            out.push_str(label);
            out.push_str(&preview(words, PREVIEW));
        }
    }
    out
}

/// Words on one line, at most `max` characters of them and an ellipsis; reads no more of a long text than it may need.
pub(super) fn preview(words: &str, max: usize) -> String {
    let words = words.trim();
    if max == 0 {
        return String::new();
    }
    // Blanks shrink to one, so a little more is read than is kept.
    let read = clip(words, max.saturating_mul(4));
    let flat = one_line(read);
    if read.len() == words.len() {
        cap_chars(&flat, max).into_owned()
    } else {
        // The rest was not read, so even what seems to fit is cut.
        let kept = flat.chars().count().min(max);
        cap_chars(&[&flat, "…"].concat(), kept).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::super::record::record;
    use super::super::sample::{assistant, assistants, call, result, system, user};
    use super::{metadata, preview};

    #[test]
    fn messages_are_counted_by_who_speaks() {
        let run = [user("a"), assistant("b"), user("c")];
        assert_eq!(
            metadata(&run.iter().collect::<Vec<_>>()),
            "No summary could be made. Messages left out: 3 (2 user, 1 assistant, 0 system)\nUser: c\nAssistant: b"
        );
        assert_eq!(metadata(&[]), "No summary could be made. Messages left out: 0 (0 user, 0 assistant, 0 system)");
        let all = [system("s"), assistants(vec![call("a", "f", "{}")]), result("a", "r")];
        assert_eq!(
            metadata(&all.iter().collect::<Vec<_>>()),
            "No summary could be made. Messages left out: 3 (0 user, 1 assistant, 1 system, 1 tool)"
        );
    }

    #[test]
    fn b07_previews_are_at_most_200_characters_of_any_alphabet() {
        for unit in ["я", "🚀", "日本 ", "a\n\n\n\n"] {
            let long = unit.repeat(2_000);
            let run = [user(&long), assistant(&long)];
            let text = metadata(&run.iter().collect::<Vec<_>>());
            for line in text.lines().skip(1) {
                let words = line.split_once(": ").unwrap().1;
                assert!(words.chars().count() <= 201 && words.ends_with('…'), "{words}");
            }
            assert_eq!(text.lines().count(), 3);
        }
        assert_eq!(preview(&"x".repeat(200), 200), "x".repeat(200));
        assert_eq!(preview(&"x".repeat(201), 200), format!("{}…", "x".repeat(200)));
        assert_eq!(preview(&format!("a{}b", " ".repeat(900)), 200), "a…");
        assert_eq!(preview("a", 0), "");
    }

    #[test]
    fn blank_messages_and_our_own_summaries_are_not_last_words() {
        let question = user("real words");
        let written = record(&[&question], "an earlier record");
        let run = [question, user(&written), user(" \n")];
        assert_eq!(
            metadata(&run.iter().collect::<Vec<_>>()),
            "No summary could be made. Messages left out: 3 (2 user, 0 assistant, 0 system, 1 summary)\n\
             User: real words"
        );
    }
}
