//! One provider message, as far as it has to be understood.
//!
//! A [`Message`] is what a format read from the host's JSON. It never replaces that JSON: edits are expressed as
//! [`Change`](crate::transcript::Change)s on the original, so whatever Epitome does not know about is carried along.

use std::borrow::Cow;
use std::hash::Hasher as _;

use twox_hash::XxHash64;

use crate::transcript::Step;

/// Who speaks, in words common to all formats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Instructions of the host: `system` and `developer`.
    System,
    /// The person (or program) that asks.
    User,
    /// The model.
    Assistant,
    /// The result of a tool call.
    Tool,
}

/// Where a part sits in the message's JSON, e.g. `content[1].text`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Path {
    /// A field of the message.
    Field(&'static str),
    /// An item of a list in a field.
    Item(&'static str, usize),
    /// A field of such an item.
    ItemField(&'static str, usize, &'static str),
}

impl Path {
    /// Whether these steps lead here.
    pub(crate) fn is(self, steps: &[Step]) -> bool {
        let key = |step: &Step, name: &str| matches!(step, Step::Key(key) if key == name);
        match (self, steps) {
            (Self::Field(field), [a]) => key(a, field),
            (Self::Item(field, index), [a, b]) => key(a, field) && *b == Step::Index(index),
            (Self::ItemField(field, index, inner), [a, b, c]) => {
                key(a, field) && *b == Step::Index(index) && key(c, inner)
            }
            _ => false,
        }
    }

    /// The same as steps from the message inwards.
    #[must_use]
    pub fn steps(self) -> Vec<Step> {
        let key = |name: &str| Step::Key(name.to_owned());
        match self {
            Self::Field(field) => vec![key(field)],
            Self::Item(field, index) => vec![key(field), Step::Index(index)],
            Self::ItemField(field, index, inner) => vec![key(field), Step::Index(index), key(inner)],
        }
    }
}

/// One piece of a message.
#[derive(Debug, Clone, PartialEq)]
pub struct Part<'a> {
    /// What it is.
    pub kind: PartKind<'a>,
    /// Where its text is, for parts whose text may be replaced.
    pub path: Path,
}

impl Part<'_> {
    /// The text that the model reads here, where it may be replaced.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        match &self.kind {
            PartKind::Text(text) | PartKind::ToolResult(text) => Some(text),
            _ => None,
        }
    }

    /// Replaces that text.
    pub(crate) fn set_text(&mut self, text: String) {
        if let PartKind::Text(old) | PartKind::ToolResult(old) = &mut self.kind {
            *old = Cow::Owned(text);
        }
    }
}

/// Kinds of parts.
#[derive(Debug, Clone, PartialEq)]
pub enum PartKind<'a> {
    /// Words of the user, the model or the host.
    Text(Cow<'a, str>),
    /// The payload of a tool result; a result may consist of several.
    ToolResult(Cow<'a, str>),
    /// The model asks for a tool.
    ToolCall {
        /// What the result refers to; empty for calls that are paired by name.
        id: Cow<'a, str>,
        /// Name of the tool.
        name: Cow<'a, str>,
        /// Arguments as text.
        arguments: Cow<'a, str>,
    },
    /// Words of the model that are sent back but not shown: reasoning, refusals.
    Hidden(Cow<'a, str>),
    /// Image, audio or file: `tokens` is an estimate, `fingerprint` identifies the data.
    Attachment {
        /// Estimated size, tokens.
        tokens: u32,
        /// XXH64 of what identifies the data.
        fingerprint: u64,
    },
    /// Anything else; carried along and not counted.
    Other,
}

/// One message as its format read it.
#[derive(Debug, Clone, PartialEq)]
pub struct Message<'a> {
    /// Who speaks.
    pub role: Role,
    /// The role as the provider spells it, e.g. `developer` or `function`.
    pub role_name: Cow<'a, str>,
    /// The pieces, in order.
    pub parts: Vec<Part<'a>>,
    /// For tool results: the call that this answers (a call id, or a name for legacy functions).
    pub answers: Option<Cow<'a, str>>,
    /// The `name` field.
    pub name: Option<Cow<'a, str>>,
}

impl Message<'_> {
    /// The same, with text of its own.
    pub(crate) fn into_owned(self) -> Message<'static> {
        let own = |text: Cow<'_, str>| Cow::<'static, str>::Owned(text.into_owned());
        let parts = self.parts.into_iter().map(|Part { kind, path }| {
            let kind = match kind {
                PartKind::Text(text) => PartKind::Text(own(text)),
                PartKind::ToolResult(text) => PartKind::ToolResult(own(text)),
                PartKind::Hidden(text) => PartKind::Hidden(own(text)),
                PartKind::ToolCall { id, name, arguments } => {
                    PartKind::ToolCall { id: own(id), name: own(name), arguments: own(arguments) }
                }
                PartKind::Attachment { tokens, fingerprint } => PartKind::Attachment { tokens, fingerprint },
                PartKind::Other => PartKind::Other,
            };
            Part { kind, path }
        });
        Message {
            role: self.role,
            role_name: own(self.role_name),
            parts: parts.collect(),
            answers: self.answers.map(own),
            name: self.name.map(own),
        }
    }

    /// Texts of this message that the model reads, in order.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(Part::text)
    }

    /// The tool calls of this message: id, name, arguments.
    pub fn calls(&self) -> impl Iterator<Item = (&str, &str, &str)> {
        self.parts.iter().filter_map(|part| match &part.kind {
            PartKind::ToolCall { id, name, arguments } => Some((id.as_ref(), name.as_ref(), arguments.as_ref())),
            _ => None,
        })
    }

    /// Whether this message asks for tools.
    #[must_use]
    pub fn has_calls(&self) -> bool {
        self.calls().next().is_some()
    }

    /// Feeds everything that distinguishes this message into a hash. Where a text sits does not count, what it says
    /// does, so a host may reorder keys without losing its patch.
    pub(crate) fn hash_into(&self, hasher: &mut XxHash64) {
        text_into(hasher, 0, &self.role_name);
        if let Some(answers) = &self.answers {
            text_into(hasher, 1, answers);
        }
        if let Some(name) = &self.name {
            text_into(hasher, 2, name);
        }
        for part in &self.parts {
            match &part.kind {
                PartKind::Text(text) => text_into(hasher, 3, text),
                PartKind::ToolResult(text) => text_into(hasher, 4, text),
                PartKind::ToolCall { id, name, arguments } => {
                    text_into(hasher, 5, id);
                    text_into(hasher, 6, name);
                    text_into(hasher, 7, arguments);
                }
                PartKind::Hidden(text) => text_into(hasher, 8, text),
                PartKind::Attachment { fingerprint, .. } => {
                    hasher.write(&[9]);
                    hasher.write(&fingerprint.to_le_bytes());
                }
                PartKind::Other => hasher.write(&[10]),
            }
        }
        hasher.write(&[255]);
    }
}

/// Tag and length keep neighbouring texts apart: ("ab", "c") must not hash like ("a", "bc").
fn text_into(hasher: &mut XxHash64, tag: u8, text: &str) {
    hasher.write(&[tag]);
    hasher.write(&(text.len() as u64).to_le_bytes());
    hasher.write(text.as_bytes());
}

/// XXH64 of messages in order: the content hash of patches.
#[derive(Debug, Clone)]
pub(crate) struct ContentHash(XxHash64);

impl ContentHash {
    pub(crate) fn new() -> Self {
        Self(XxHash64::with_seed(0))
    }

    pub(crate) fn add(&mut self, message: &Message<'_>) {
        message.hash_into(&mut self.0);
    }

    /// 16 lowercase hexadecimal digits.
    pub(crate) fn hex(&self) -> String {
        format!("{:016x}", self.0.finish())
    }
}

/// XXH64 of a text.
pub(crate) fn fingerprint(text: &str) -> u64 {
    XxHash64::oneshot(0, text.as_bytes())
}
