//! Messages as they may leave: without secrets.

use std::borrow::Cow;

use crate::message::{Message, PartKind};
use crate::provider::Calls;

/// A message without what the policy takes out. Whole texts are cleaned, before any of them is cut: half a key is no
/// longer recognised as one.
pub(crate) fn clean<'m, 'a>(calls: &Calls<'_>, message: &'m Message<'a>) -> Cow<'m, Message<'a>> {
    let mut cleaned = Cow::Borrowed(message);
    for (at, part) in message.parts.iter().enumerate() {
        let text = match &part.kind {
            PartKind::Text(text) | PartKind::ToolResult(text) | PartKind::Hidden(text) => text,
            PartKind::ToolCall { arguments, .. } => arguments,
            PartKind::Attachment { .. } | PartKind::Other => continue,
        };
        let Cow::Owned(without) = calls.redacted(text) else { continue };
        if let Some(part) = cleaned.to_mut().parts.get_mut(at)
            && let PartKind::Text(text)
            | PartKind::ToolResult(text)
            | PartKind::Hidden(text)
            | PartKind::ToolCall { arguments: text, .. } = &mut part.kind
        {
            *text = Cow::Owned(without);
        }
    }
    cleaned
}

/// The same for many.
pub(crate) fn clean_all<'m, 'a>(calls: &Calls<'_>, messages: &[&'m Message<'a>]) -> Vec<Cow<'m, Message<'a>>> {
    messages.iter().map(|message| clean(calls, message)).collect()
}
