//! The stored form: what the records of a conversation say. Version 1.
//!
//! Fields may be added without a new version: older libraries ignore what they do not know. A record with a higher
//! version than [`VERSION`] is refused as [`StoreErrorClass::Newer`], anything that is not such a record as
//! [`StoreErrorClass::Corrupted`]. `docs/stores.md` describes the fields; `tests/data/stored` has examples that every
//! later version has to read.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::branches::Branches;
use crate::conversation::State;
use crate::format::Format;
use crate::store::{Record, RecordKind, StoreError, StoreErrorClass};
use crate::transcript::{Change, Tier};

/// Version of every record.
pub(crate) const VERSION: u32 = 1;

/// Where a conversation stands. Written with every batch, so it is small.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
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

/// One message.
#[derive(Debug, Clone, Serialize, Deserialize)]
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
    pub message: Box<RawValue>,
}

/// The whole of a message that is shown shortened.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct StoredOverflow {
    pub v: u32,
    /// When it was appended, Unix time, milliseconds.
    pub time: f64,
    pub message: Box<RawValue>,
}

/// A compaction that was made: enough to make its view without asking anybody, and to tell what it did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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

/// One edit of a compaction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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

/// One piece of a stored view.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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

/// A record's own account of its version.
#[derive(Deserialize)]
struct Versioned {
    v: u32,
}

/// A record's text, from what it says.
pub(crate) fn encode<T: Serialize>(kind: RecordKind, number: u64, value: &T) -> Result<Record, StoreError> {
    let text = serde_json::to_string(value).map_err(|error| {
        StoreError::new(StoreErrorClass::Failed, format!("{} cannot be written: {error}", named(kind, number)))
    })?;
    Ok(Record { kind, number, text })
}

/// What a record says.
pub(crate) fn decode<T: DeserializeOwned>(record: &Record) -> Result<T, StoreError> {
    let (kind, number) = (record.kind, record.number);
    let read = serde_json::from_str::<Versioned>(&record.text).map(|record| record.v);
    match read {
        Ok(v) if v > VERSION => {
            let message = format!("{} was written by a newer version of Epitome", named(kind, number));
            return Err(StoreError::new(StoreErrorClass::Newer, message));
        }
        Ok(_) => {}
        Err(_) => return Err(corrupted(kind, number)),
    }
    // The reader's own words could quote the message.
    serde_json::from_str(&record.text).map_err(|_| {
        if of_unknown_format(record) {
            let message = "the conversation is in a format that this version does not read";
            return StoreError::new(StoreErrorClass::Newer, message);
        }
        corrupted(kind, number)
    })
}

/// Whether it is a head that names a format of a later version.
fn of_unknown_format(record: &Record) -> bool {
    #[derive(Deserialize)]
    struct Named {
        format: String,
    }
    record.kind == RecordKind::Head
        && serde_json::from_str::<Named>(&record.text).is_ok_and(|head| Format::from_name(&head.format).is_none())
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
