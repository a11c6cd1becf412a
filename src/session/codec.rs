//! The stored form: what the records of a conversation say. Version 1.
//!
//! Fields may be added without a new version: older libraries ignore what they do not know. A record with a higher
//! version than [`VERSION`] is refused as [`StoreErrorClass::Newer`], anything that is not such a record as
//! [`StoreErrorClass::Corrupted`]. `docs/stores.md` describes the fields; `tests/data/stored` has examples that every
//! later version has to read.

use serde::Serialize;

use super::branches::Branches;
use crate::conversation::State;
use crate::fields::{self, FromValue, Read, Wrong, field};
use crate::format::Format;
use crate::json::{self, Raw, Unsupported};
use crate::store::{Record, RecordKind, StoreError, StoreErrorClass};
use crate::transcript::{Change, Tier};
use crate::value::Value;

/// Version of every record.
pub(crate) const VERSION: u32 = 1;

/// Where a conversation stands. Written with every batch, so it is small.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(serde::Deserialize))]
#[serde(rename_all = "camelCase")]
pub(crate) struct Head {
    pub v: u32,
    pub format: Format,
    /// Unix time, milliseconds.
    pub created: f64,
    /// How many entries there are, on all branches.
    pub entries: u64,
    /// How many compactions there are, undone ones included.
    pub compactions: u64,
    /// The entry that the conversation ends with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tip: Option<u64>,
    /// The compaction in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active: Option<u64>,
    #[serde(default)]
    pub branches: Branches,
    /// How often the last entry was written anew, because the message grew.
    #[serde(default)]
    pub rewrites: u64,
    /// Whole messages that are kept beside their shortened form: how many bytes, and the first that may still be there.
    #[serde(default)]
    pub overflow_bytes: u64,
    #[serde(default)]
    pub overflow_from: u64,
    /// When the first of those was written, Unix time, milliseconds.
    #[serde(default)]
    pub overflow_since: f64,
    /// Different for every batch: tells whether a batch whose outcome is not known was written.
    pub stamp: String,
}

fields::record!(Head {
    v: "v",
    format: "format",
    created: "created",
    entries: "entries",
    compactions: "compactions",
    tip: "tip" or default,
    active: "active" or default,
    branches: "branches" or default,
    rewrites: "rewrites" or default,
    overflow_bytes: "overflowBytes" or default,
    overflow_from: "overflowFrom" or default,
    overflow_since: "overflowSince" or default,
    stamp: "stamp",
});

impl Head {
    /// Whether it does not contradict itself.
    pub(crate) fn is_sound(&self) -> bool {
        let is_below = |number: Option<u64>, end: u64| number.is_none_or(|number| number < end);
        (self.entries == 0 || self.branches.is_sound(self.entries))
            && is_below(self.tip, self.entries)
            && is_below(self.active, self.compactions)
    }
}

/// What is remembered beside the messages.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[cfg_attr(test, derive(serde::Deserialize))]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Memory {
    pub v: u32,
    /// Pinned entries, ascending.
    pub pins: Vec<u64>,
    /// The entry that the conversation ended with when it was last prepared.
    pub prepared: Option<u64>,
    /// What the provider counts for a token of ours; at least 1, 0 when not known.
    pub ratio: f64,
    /// What the engine remembers. Messages go by the number of their entry.
    pub state: State,
}

fields::record!(Memory {
    v: "v" or default,
    pins: "pins" or default,
    prepared: "prepared" or default,
    ratio: "ratio" or default,
    state: "state" or default,
});

/// One message. It is written with [`encode_beside`].
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(serde::Deserialize))]
#[serde(rename_all = "camelCase")]
pub(crate) struct StoredEntry {
    pub v: u32,
    /// When it was appended, Unix time, milliseconds.
    pub time: f64,
    /// Its size as it is shown, tokens.
    pub tokens: u32,
    /// What the counter made of a fixed text: the size is by that counter.
    pub probe: u32,
    /// XXH64 of the messages up to this one, 16 hexadecimal digits.
    pub chain: String,
    /// For the first entry of a segment: the entry that it follows, -1 for none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<i64>,
    /// The message is shown shortened; its whole has that many bytes and is a record of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub whole: Option<u64>,
    #[serde(skip_serializing)]
    pub message: Raw,
}

/// The whole of a message that is shown shortened. It is written with [`encode_beside`].
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(serde::Deserialize))]
#[serde(rename_all = "camelCase")]
pub(crate) struct StoredOverflow {
    pub v: u32,
    /// When it was appended, Unix time, milliseconds.
    pub time: f64,
    #[serde(skip_serializing)]
    pub message: Raw,
}

/// A compaction that was made: enough to make its view without asking anybody, and to tell what it did.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(serde::Deserialize))]
#[serde(rename_all = "camelCase")]
pub(crate) struct StoredCompaction {
    pub v: u32,
    /// When, Unix time, milliseconds.
    pub time: f64,
    /// Version of Epitome that made it.
    pub engine: String,
    /// The compaction whose view it was made from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<u64>,
    /// The last entry of the view that it was made from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub through: Option<u64>,
    /// XXH64 of the messages that it was made from.
    pub source_hash: String,
    pub tier: Tier,
    pub tokens_before: u64,
    pub tokens_after: u64,
    /// It was taken back.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub undone: bool,
    /// Requests to models that it took.
    #[serde(default)]
    pub requests: u32,
    /// What it did, by entry.
    pub edits: Vec<StoredEdit>,
    /// The text of its newest summary.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
    /// The view: what it shows of the entries up to `through`.
    pub items: Vec<StoredItem>,
}

fields::record!(StoredCompaction {
    v: "v",
    time: "time",
    engine: "engine",
    parent: "parent" or default,
    through: "through" or default,
    source_hash: "sourceHash",
    tier: "tier",
    tokens_before: "tokensBefore",
    tokens_after: "tokensAfter",
    undone: "undone" or default,
    requests: "requests" or default,
    edits: "edits",
    summary: "summary" or default,
    items: "items",
});

/// One edit of a compaction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(serde::Deserialize))]
#[serde(tag = "kind", rename_all = "lowercase", rename_all_fields = "camelCase")]
pub(crate) enum StoredEdit {
    Prune {
        entry: u64,
        tokens_before: u64,
        tokens_after: u64,
    },
    Shrink {
        entry: u64,
        tokens_before: u64,
        tokens_after: u64,
    },
    /// Entries `from..to`, as far as they are on the branch and were still shown.
    Hide {
        from: u64,
        to: u64,
        tokens_before: u64,
    },
    /// A summary or a message in place of hidden ones.
    Insert {
        tokens_after: u64,
        covers: u64,
    },
    /// An earlier summary that a newer one took in.
    Absorb {
        tokens_before: u64,
    },
}

impl FromValue for StoredEdit {
    fn from_value(value: &Value<'_>) -> Read<Self> {
        let kind = value.get("kind").and_then(Value::as_str);
        Ok(match kind {
            Some("prune" | "shrink") => {
                let entry = field(value, "entry")?;
                let tokens_before = field(value, "tokensBefore")?;
                let tokens_after = field(value, "tokensAfter")?;
                if kind == Some("prune") {
                    Self::Prune { entry, tokens_before, tokens_after }
                } else {
                    Self::Shrink { entry, tokens_before, tokens_after }
                }
            }
            Some("hide") => Self::Hide {
                from: field(value, "from")?,
                to: field(value, "to")?,
                tokens_before: field(value, "tokensBefore")?,
            },
            Some("insert") => {
                Self::Insert { tokens_after: field(value, "tokensAfter")?, covers: field(value, "covers")? }
            }
            Some("absorb") => Self::Absorb { tokens_before: field(value, "tokensBefore")? },
            _ => return Err(Wrong("kind")),
        })
    }
}

/// One piece of a stored view.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(serde::Deserialize))]
#[serde(untagged)]
pub(crate) enum StoredItem {
    /// Entries `from..to` as they are.
    Kept(u64, u64),
    /// An entry with changes, one set after the other.
    Edited {
        /// Which.
        e: u64,
        /// The sets.
        c: Vec<Vec<Change>>,
    },
    /// A message of ours, as JSON text.
    Ours {
        /// The text.
        m: String,
    },
}

impl FromValue for StoredItem {
    fn from_value(value: &Value<'_>) -> Read<Self> {
        if let Value::Array(_) = value {
            return FromValue::from_value(value).map(|(from, to)| Self::Kept(from, to));
        }
        match (field(value, "e"), field(value, "c")) {
            (Ok(e), Ok(c)) => Ok(Self::Edited { e, c }),
            _ => Ok(Self::Ours { m: field(value, "m")? }),
        }
    }
}

/// What a record of the store can say.
pub(crate) trait Stored: Sized {
    /// `message` is the text of the field of that name, which `fields` does not have.
    fn of(fields: &Value<'_>, message: Option<&str>) -> Read<Self>;
}

impl Stored for Head {
    fn of(fields: &Value<'_>, _: Option<&str>) -> Read<Self> {
        Self::from_value(fields)
    }
}

impl Stored for Memory {
    fn of(fields: &Value<'_>, _: Option<&str>) -> Read<Self> {
        Self::from_value(fields)
    }
}

impl Stored for StoredCompaction {
    fn of(fields: &Value<'_>, _: Option<&str>) -> Read<Self> {
        Self::from_value(fields)
    }
}

impl Stored for StoredEntry {
    fn of(fields: &Value<'_>, message: Option<&str>) -> Read<Self> {
        Ok(Self {
            v: field(fields, "v")?,
            time: field(fields, "time")?,
            tokens: field(fields, "tokens")?,
            probe: field(fields, "probe")?,
            chain: field(fields, "chain")?,
            after: field(fields, "after")?,
            whole: field(fields, "whole")?,
            message: message.map(Raw::known).ok_or(Wrong("message"))?,
        })
    }
}

impl Stored for StoredOverflow {
    fn of(fields: &Value<'_>, message: Option<&str>) -> Read<Self> {
        let message = message.map(Raw::known).ok_or(Wrong("message"))?;
        Ok(Self { v: field(fields, "v")?, time: field(fields, "time")?, message })
    }
}

/// A record's text, from what it says.
pub(crate) fn encode<T: Serialize>(kind: RecordKind, number: u64, value: &T) -> Result<Record, StoreError> {
    written(kind, number, json::text(value))
}

/// The same for a record that ends with a message.
pub(crate) fn encode_beside<T: Serialize>(
    kind: RecordKind,
    number: u64,
    value: &T,
    message: &Raw,
) -> Result<Record, StoreError> {
    written(kind, number, json::text_beside(value, "message", message.get()))
}

fn written(kind: RecordKind, number: u64, text: Result<String, Unsupported>) -> Result<Record, StoreError> {
    let failed =
        |error| StoreError::new(StoreErrorClass::Failed, format!("{} cannot be written: {error}", named(kind, number)));
    Ok(Record { kind, number, text: text.map_err(failed)? })
}

/// What a record says.
pub(crate) fn decode<T: Stored>(record: &Record) -> Result<T, StoreError> {
    let (fields, message) = opened(record)?;
    // The reader's own words could quote the message.
    T::of(&fields, message).map_err(|_| unreadable(record, &fields))
}

/// The fields of a record, if it is one of this version.
#[inline(never)]
fn opened(record: &Record) -> Result<(Value<'_>, Option<&str>), StoreError> {
    let (kind, number) = (record.kind, record.number);
    let opened = json::parse_beside(&record.text, "message").ok_or_else(|| corrupted(kind, number))?;
    match field::<u32>(&opened.0, "v") {
        Ok(..=VERSION) => Ok(opened),
        Ok(_) => {
            let message = format!("{} was written by a newer version of Epitome", named(kind, number));
            Err(StoreError::new(StoreErrorClass::Newer, message))
        }
        Err(_) => Err(corrupted(kind, number)),
    }
}

#[cold]
#[inline(never)]
fn unreadable(record: &Record, fields: &Value<'_>) -> StoreError {
    let format = fields.get("format").and_then(Value::as_str);
    // A head that names a format of a later version.
    if record.kind == RecordKind::Head && format.is_some_and(|name| Format::from_name(name).is_none()) {
        let message = "the conversation is in a format that this version does not read";
        return StoreError::new(StoreErrorClass::Newer, message);
    }
    corrupted(record.kind, record.number)
}

/// What was read is no such record.
pub(crate) fn corrupted(kind: RecordKind, number: u64) -> StoreError {
    StoreError::new(StoreErrorClass::Corrupted, format!("{} is not what was written", named(kind, number)))
}

/// A record that has to be there is not.
pub(crate) fn missing(kind: RecordKind, number: u64) -> StoreError {
    StoreError::new(StoreErrorClass::Corrupted, format!("{} is missing", named(kind, number)))
}

fn named(kind: RecordKind, number: u64) -> String {
    match kind {
        RecordKind::Head | RecordKind::State => format!("the record `{}` of the conversation", kind.name()),
        _ => format!("{} {number} of the conversation", kind.name()),
    }
}

#[cfg(test)]
mod tests;
