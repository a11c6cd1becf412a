//! Provider formats: how their messages are read, what their rules are, how broken histories are mended.

mod attachment;
mod openai_chat;

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::error::{Boxed, Error};
use crate::fields::{FromValue, Read, Wrong};
use crate::message::Message;
use crate::transcript::{Change, Inserted};
use crate::value::Value;

/// Stands in for a result that never came.
pub(crate) const NO_RESULT: &str = "[no result was recorded for this call]";

/// The message formats of this version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Format {
    /// OpenAI Chat Completions, and everything compatible with it.
    #[serde(rename = "openai-chat")]
    OpenAiChat,
}

impl Format {
    /// All formats, in the order of detection.
    pub const ALL: &[Self] = &[Self::OpenAiChat];

    /// The name used in options and reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::OpenAiChat => "openai-chat",
        }
    }

    /// The format of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|format| format.name() == name)
    }

    pub(crate) fn rules(self) -> &'static dyn Rules {
        match self {
            Self::OpenAiChat => &openai_chat::OpenAiChat,
        }
    }
}

impl FromValue for Format {
    fn from_value(value: &Value<'_>) -> Read<Self> {
        value.as_str().and_then(Self::from_name).ok_or(Wrong(""))
    }
}

/// A message's place in a mended history.
#[derive(Debug, Clone)]
pub(crate) enum Placed<'a> {
    /// A source message as it is.
    Source(usize),
    /// A source message with some fields changed.
    Changed { index: usize, message: Message<'a>, changes: Vec<Change> },
    /// A message that had to be added.
    Added { message: Message<'a>, inserted: Inserted },
}

/// One violation and what is done about it.
#[derive(Debug, Clone)]
pub(crate) struct Finding {
    pub rule: &'static str,
    pub action: Action,
    pub index: usize,
    pub field: Option<String>,
    pub problem: Cow<'static, str>,
    pub remedy: &'static str,
    /// Where in the mended history the result stands, if anywhere.
    pub placed: Option<usize>,
}

/// How a violation is mended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    Drop,
    Move,
    Insert,
    Change,
}

impl Action {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Drop => "drop",
            Self::Move => "move",
            Self::Insert => "insert",
            Self::Change => "change",
        }
    }
}

/// A history that satisfies the rules of its format, and what had to be done for it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Mended<'a> {
    pub order: Vec<Placed<'a>>,
    pub findings: Vec<Finding>,
}

/// What a format has to know.
pub(crate) trait Rules: Sync {
    /// Reads one message. An error names the message and the field.
    fn parse<'a>(&self, index: usize, value: Value<'a>) -> Boxed<Message<'a>>;

    /// Puts messages in an order and shape that the provider accepts. A history that is in order comes back as it is.
    fn mend<'a>(&self, messages: &[Message<'a>]) -> Mended<'a>;

    /// The message with its tool result replaced by `text`, and the changes that do so.
    fn with_result<'a>(&self, message: &Message<'a>, text: &str) -> (Message<'a>, Vec<Change>);

    /// A new message of plain text.
    fn text_message(&self, role: &str, text: &str) -> (Message<'static>, Inserted);
}

/// Tells the format of messages.
///
/// # Errors
/// [`Error::UnknownFormat`] when they are in none that this version reads; it says which one they look like.
pub(crate) fn detect(messages: &[Value<'_>]) -> Boxed<Format> {
    for (index, message) in messages.iter().enumerate() {
        if let Some(other) = looks_like(message) {
            return Err(Box::new(Error::UnknownFormat {
                index: Some(index),
                looks_like: Some(other.to_owned()),
                reason: format!(
                    "message {index} looks like the format {other}, which this version does not read; \
                     it reads {}",
                    Format::OpenAiChat.name()
                ),
            }));
        }
    }
    Ok(Format::OpenAiChat)
}

/// The foreign format that a message gives away, if any.
fn looks_like(message: &Value<'_>) -> Option<&'static str> {
    if message.get("role").is_none() {
        if message.get("lc").is_some() || message.get("lc_kwargs").is_some() || message.get("_getType").is_some() {
            return Some("langchain");
        }
        return match message.get("type").and_then(Value::as_str) {
            Some("human" | "ai") => Some("langchain"),
            Some(_) => Some("openai-responses"),
            None => None,
        };
    }
    if message.get("parts").and_then(Value::as_array).is_some() {
        let gemini = message.get("role").and_then(Value::as_str) == Some("model") || message.get("id").is_none();
        return Some(if gemini { "gemini" } else { "ai-sdk-ui" });
    }
    let parts = message.get("content").and_then(Value::as_array)?;
    parts.iter().find_map(|part| match part.get("type").and_then(Value::as_str)? {
        "tool_use" | "tool_result" | "thinking" | "redacted_thinking" | "server_tool_use" | "document" => {
            Some("anthropic")
        }
        "image" if part.get("source").is_some() => Some("anthropic"),
        "tool-call" | "tool-result" | "reasoning" | "image" | "tool-approval-request" => Some("ai-sdk"),
        "input_text" | "output_text" | "input_image" | "input_file" => Some("openai-responses"),
        _ => None,
    })
}
