//! Messages for the tests of this folder.

use std::borrow::Cow;

use crate::message::{Message, Part, PartKind, Path, Role};

fn message<'a>(role: Role, name: &'a str, parts: Vec<PartKind<'a>>) -> Message<'a> {
    let path = Path::Field("content");
    let parts = parts.into_iter().map(|kind| Part { kind, path }).collect();
    Message { role, role_name: Cow::Borrowed(name), parts, answers: None, name: None }
}

pub(super) fn text(text: &str) -> PartKind<'_> {
    PartKind::Text(Cow::Borrowed(text))
}

pub(super) fn call<'a>(id: &'a str, name: &'a str, arguments: &'a str) -> PartKind<'a> {
    let [id, name, arguments] = [id, name, arguments].map(Cow::Borrowed);
    PartKind::ToolCall { id, name, arguments }
}

pub(super) fn system(words: &str) -> Message<'_> {
    message(Role::System, "system", vec![text(words)])
}

pub(super) fn user(words: &str) -> Message<'_> {
    message(Role::User, "user", vec![text(words)])
}

pub(super) fn users(parts: Vec<PartKind<'_>>) -> Message<'_> {
    message(Role::User, "user", parts)
}

pub(super) fn assistant(words: &str) -> Message<'_> {
    message(Role::Assistant, "assistant", vec![text(words)])
}

pub(super) fn assistants(parts: Vec<PartKind<'_>>) -> Message<'_> {
    message(Role::Assistant, "assistant", parts)
}

pub(super) fn result<'a>(id: &'a str, payload: &'a str) -> Message<'a> {
    let mut message = message(Role::Tool, "tool", vec![PartKind::ToolResult(Cow::Borrowed(payload))]);
    message.answers = Some(Cow::Borrowed(id));
    message
}

/// A counter that is easy to compute by: a token for every four bytes begun.
pub(super) fn quarter(text: &str) -> u32 {
    u32::try_from(text.len().div_ceil(4)).unwrap_or(u32::MAX)
}
