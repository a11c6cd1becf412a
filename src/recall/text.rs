//! What of a message is searched and returned.

use std::borrow::Cow;

use crate::message::{Message, PartKind};

/// The readable text of a message: its texts and results, and its calls as `name(arguments)`, a line each. Reasoning is
/// not for the model to find again, and what is in an image cannot be.
pub(crate) fn readable<'m>(message: &'m Message<'_>) -> Cow<'m, str> {
    let mut text = Cow::Borrowed("");
    for part in &message.parts {
        let piece = match &part.kind {
            PartKind::Text(piece) | PartKind::ToolResult(piece) => Cow::Borrowed(piece.as_ref()),
            PartKind::ToolCall { name, arguments, .. } => Cow::Owned([name.as_ref(), "(", arguments, ")"].concat()),
            PartKind::Hidden(_) | PartKind::Attachment { .. } | PartKind::Other => continue,
        };
        // Most messages have one piece, which may be large.
        if text.is_empty() {
            text = piece;
        } else if !piece.is_empty() {
            let text = text.to_mut();
            text.push('\n');
            text.push_str(&piece);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::readable;
    use crate::format::Format;
    use crate::message::Message;

    fn message(raw: &str) -> Option<Message<'static>> {
        let value = crate::json::parse(raw, Some(0)).ok()?;
        Format::OpenAiChat.rules().parse(0, value).ok().map(Message::into_owned)
    }

    fn text(raw: &str) -> Option<String> {
        message(raw).map(|message| readable(&message).into_owned())
    }

    #[test]
    fn texts_calls_and_results_are_read_and_reasoning_is_not() {
        let spoken = r#"{"role":"assistant","reasoning_content":"hm","content":"I look.","tool_calls":[
            {"id":"a","type":"function","function":{"name":"read","arguments":"{\"path\":\"a.rs\"}"}},
            {"id":"b","type":"function","function":{"name":"list","arguments":"{}"}}]}"#;
        assert_eq!(text(spoken).as_deref(), Some("I look.\nread({\"path\":\"a.rs\"})\nlist({})"));
        let result = r#"{"role":"tool","tool_call_id":"a","content":[{"type":"text","text":"one"},{"type":"text","text":"two"}]}"#;
        assert_eq!(text(result).as_deref(), Some("one\ntwo"));
        let image =
            r#"{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:image/png;base64,AAAA"}}]}"#;
        assert_eq!(text(image).as_deref(), Some(""));
        for role in ["system", "developer", "user", "assistant"] {
            assert_eq!(text(&format!(r#"{{"role":"{role}","content":"said"}}"#)).as_deref(), Some("said"));
        }
    }

    #[test]
    fn a_text_alone_is_not_copied() {
        let one = message(r#"{"role":"user","content":"said"}"#);
        assert!(one.is_some_and(|one| matches!(readable(&one), Cow::Borrowed("said"))));
    }
}
