//! Plain, serialisable records: what was done, and how to do it again or take it back.

use serde::{Deserialize, Serialize};

use crate::fields::{self, FromValue, Read, Wrong, field};
use crate::format::Format;
use crate::transcript::layout::Layout;
use crate::value::Value;

/// One step of a path into a message's JSON.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Step {
    /// A position in a list.
    Index(usize),
    /// A field of an object.
    Key(String),
}

impl FromValue for Step {
    fn from_value(value: &Value<'_>) -> Read<Self> {
        match value {
            Value::String(key) => Ok(Self::Key(key.as_ref().to_owned())),
            other => FromValue::from_value(other).map(Self::Index),
        }
    }
}

/// Sets one field of a message to a text, or removes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// The field, from the message inwards.
    pub path: Vec<Step>,
    /// The new text; absent when the field is removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// True when the field is removed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub remove: bool,
}

fields::record!(Change { path: "path", value: "value" or default, remove: "remove" or default });

impl Change {
    /// Sets a field to a text.
    #[must_use]
    pub fn set(path: Vec<Step>, value: impl Into<String>) -> Self {
        Self { path, value: Some(value.into()), remove: false }
    }

    /// Removes a field.
    #[must_use]
    pub fn remove(path: Vec<Step>) -> Self {
        Self { path, value: None, remove: true }
    }
}

/// One reversible edit of a compaction. Indices are those of the messages given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", rename_all_fields = "camelCase")]
pub enum Edit {
    /// A tool result's payload was replaced by a placeholder.
    Prune {
        /// The message.
        index: usize,
        /// Its size before, tokens.
        tokens_before: u64,
        /// Its size after, tokens.
        tokens_after: u64,
        /// What to change in it.
        changes: Vec<Change>,
    },
    /// A message was cut to its head and tail.
    Shrink {
        /// The message.
        index: usize,
        /// Its size before, tokens.
        tokens_before: u64,
        /// Its size after, tokens.
        tokens_after: u64,
        /// What to change in it.
        changes: Vec<Change>,
    },
    /// Messages are hidden.
    Hide {
        /// The first one.
        from: usize,
        /// One past the last one.
        to: usize,
        /// Their size, tokens.
        tokens_before: u64,
    },
    /// A summary stands where hidden messages were.
    Insert {
        /// The first message that it stands for.
        before: usize,
        /// Role of the summary message.
        role: String,
        /// Its text.
        text: String,
        /// How many messages it stands for.
        covers: usize,
        /// Its size, tokens.
        tokens_after: u64,
    },
}

impl FromValue for Edit {
    fn from_value(value: &Value<'_>) -> Read<Self> {
        let kind = value.get("kind").and_then(Value::as_str);
        Ok(match kind {
            Some("prune" | "shrink") => {
                let index = field(value, "index")?;
                let tokens_before = field(value, "tokensBefore")?;
                let tokens_after = field(value, "tokensAfter")?;
                let changes = field(value, "changes")?;
                if kind == Some("prune") {
                    Self::Prune { index, tokens_before, tokens_after, changes }
                } else {
                    Self::Shrink { index, tokens_before, tokens_after, changes }
                }
            }
            Some("hide") => Self::Hide {
                from: field(value, "from")?,
                to: field(value, "to")?,
                tokens_before: field(value, "tokensBefore")?,
            },
            Some("insert") => Self::Insert {
                before: field(value, "before")?,
                role: field(value, "role")?,
                text: field(value, "text")?,
                covers: field(value, "covers")?,
                tokens_after: field(value, "tokensAfter")?,
            },
            _ => return Err(Wrong("kind")),
        })
    }
}

/// Something that the format's rules forbid.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Violation {
    /// Stable name of the rule, e.g. `C2`.
    pub rule: String,
    /// The offending message.
    pub index: usize,
    /// Field of that message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// What is wrong, in words.
    pub message: String,
}

/// What was done about a violation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Repair {
    /// Stable name of the rule.
    pub rule: String,
    /// `drop`, `move`, `insert` or `change`.
    pub action: String,
    /// The message that violated the rule.
    pub index: usize,
    /// Field of that message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// What is wrong and what was done, in words.
    pub message: String,
    /// Size of what was there, tokens.
    pub tokens_before: u64,
    /// Size of what is there now, tokens.
    pub tokens_after: u64,
}

fields::record!(Repair {
    rule: "rule",
    action: "action",
    index: "index",
    field: "field" or default,
    message: "message",
    tokens_before: "tokensBefore",
    tokens_after: "tokensAfter",
});

/// How far a compaction went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tier {
    /// Nothing to do.
    None,
    /// Only tool results were pruned.
    Soft,
    /// Messages were hidden or shrunk too.
    Hard,
}

fields::names!(Tier { None: "none", Soft: "soft", Hard: "hard" });

/// Something the host should know that is not an error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Warning {
    /// Stable code, e.g. `previous_ignored`.
    pub code: String,
    /// The same in words.
    pub message: String,
    /// The message it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index: Option<usize>,
}

fields::record!(Warning { code: "code", message: "message", index: "index" or default });

/// The newest inserted summary.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// Where it stands among the returned messages.
    pub index: usize,
    /// Its text.
    pub text: String,
    /// Its size, tokens.
    pub tokens: u64,
    /// How many messages it stands for.
    pub covers: usize,
}

fields::record!(Summary { index: "index", text: "text", tokens: "tokens", covers: "covers" });

/// What models were asked, and what they say it cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ModelUse {
    /// Requests whose answer, or failure, was awaited.
    pub requests: u32,
    /// Tokens read, as far as the models say.
    pub input_tokens: u64,
    /// Tokens written, as far as the models say.
    pub output_tokens: u64,
}

fields::record!(ModelUse { requests: "requests", input_tokens: "inputTokens", output_tokens: "outputTokens" });

impl ModelUse {
    /// Takes in what another step has cost.
    pub(crate) fn add(&mut self, other: Self) {
        self.requests += other.requests;
        self.input_tokens += other.input_tokens;
        self.output_tokens += other.output_tokens;
    }
}

/// What happened, in numbers. Sizes are tokens by the counter in use, `system` and `tools` included.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Format of the messages.
    pub format: Format,
    /// How far the compaction went.
    pub tier: Tier,
    /// Size of what was given.
    pub before: u64,
    /// Size of what came back.
    pub after: u64,
    /// What `after` must not exceed.
    pub limit: u64,
    /// The part of both sizes that `system` and `tools` make up.
    pub overhead: u64,
    /// Number of messages given.
    pub messages_before: usize,
    /// Number of messages that came back.
    pub messages_after: usize,
    /// Every edit in force, those taken over from `previous` included.
    pub edits: Vec<Edit>,
    /// What had to be mended before anything else.
    pub repairs: Vec<Repair>,
    /// First returned message that differs from what the model saw last.
    pub first_changed_index: Option<usize>,
    /// Tokens before it: what a prompt cache can still serve.
    pub prefix_tokens: u64,
    /// The newest inserted summary.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<Summary>,
    /// What models were asked for it; `None` when none was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub models: Option<ModelUse>,
    /// What else there is to know.
    pub warnings: Vec<Warning>,
}

fields::record!(Report {
    format: "format",
    tier: "tier",
    before: "before",
    after: "after",
    limit: "limit",
    overhead: "overhead",
    messages_before: "messagesBefore",
    messages_after: "messagesAfter",
    edits: "edits",
    repairs: "repairs",
    first_changed_index: "firstChangedIndex",
    prefix_tokens: "prefixTokens",
    summary: "summary" or default,
    models: "models" or default,
    warnings: "warnings",
});

/// How many messages, the hash of their contents, and their sizes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceMark {
    /// Number of messages.
    pub messages: usize,
    /// XXH64 of their contents, 16 hexadecimal digits.
    pub hash: String,
    /// Size of each, tokens: what was counted once is not counted again when this is `previous`.
    #[serde(default)]
    pub sizes: Vec<u32>,
    /// What the counter makes of a fixed text: sizes are those of one counter.
    #[serde(default)]
    pub probe: u32,
}

fields::record!(SourceMark {
    messages: "messages",
    hash: "hash",
    sizes: "sizes" or default,
    probe: "probe" or default,
});

impl SourceMark {
    /// The sizes, if they come from the counter with this probe.
    pub(crate) fn known(&self, probe: u32) -> &[u32] {
        if self.probe == probe && self.sizes.len() == self.messages { &self.sizes } else { &[] }
    }
}

/// The same for a view, and where each of its messages comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ViewMark {
    /// Number of messages.
    pub messages: usize,
    /// XXH64 of their contents, 16 hexadecimal digits.
    pub hash: String,
    /// Where each message comes from.
    pub layout: Layout,
}

fields::record!(ViewMark { messages: "messages", hash: "hash", layout: "layout" });

/// A compaction as plain JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Patch {
    /// Version of this record; 1.
    pub version: u32,
    /// Format of the messages.
    pub format: Format,
    /// What it was computed from.
    pub source: SourceMark,
    /// What it leads to.
    pub view: ViewMark,
    /// The edits.
    pub edits: Vec<Edit>,
    /// The repairs.
    pub repairs: Vec<Repair>,
}

fields::record!(Patch {
    version: "version",
    format: "format",
    source: "source",
    view: "view",
    edits: "edits",
    repairs: "repairs",
});

/// A compaction that has not been applied yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Version of this record; 1.
    pub version: u32,
    /// What it would do.
    pub patch: Patch,
    /// The same in numbers.
    pub report: Report,
}

fields::record!(Plan { version: "version", patch: "patch", report: "report" });

/// Version of [`Patch`] and [`Plan`].
pub const RECORD_VERSION: u32 = 1;
