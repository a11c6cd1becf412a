//! The port to storage: records of conversations, read in ranges and written in atomic batches.
//!
//! A store knows nothing of what it keeps. A [`Record`] is a text under a kind and a number; which texts those are is
//! the business of the session's codec. The port is coarse on purpose: each call is one transaction, and whatever it
//! needs is handed over at its beginning, so no adapter ever has to wait for anybody between two requests of one
//! transaction.
//!
//! Every adapter passes the same tests, `store::contract` (feature `store-contract`).

#[cfg(all(target_family = "wasm", feature = "session"))]
pub(crate) mod callback;
#[cfg(any(test, feature = "store-contract"))]
pub mod contract;
#[cfg(not(target_family = "wasm"))]
mod file;
#[cfg(all(target_family = "wasm", feature = "session"))]
pub mod indexed_db;
mod memory;

use std::future::Future;
use std::pin::Pin;

use serde::{Deserialize, Serialize};

use crate::fields::{FromValue, Read, Wrong};
use crate::value::Value;

#[cfg(not(target_family = "wasm"))]
pub use file::FileStore;
pub use memory::Memory;

/// What a store's functions return: a future that borrows from the store.
pub type Stored<'s, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + 's>>;

/// Keeps conversations.
///
/// Implementations are used by one thread, through shared references and by several sessions at once. A future that is
/// dropped halfway leaves a batch either written as a whole or not at all.
pub trait Store {
    /// Reads records of one conversation, all of them from one moment: in the order of `ranges`, and within a range by
    /// number. Numbers that do not exist are left out. A conversation that does not exist has revision 0 and no records.
    fn load<'s>(&'s self, conversation: &'s str, ranges: &'s [Range]) -> Stored<'s, Loaded>;

    /// The conversations that there are, at most `page.limit` of them, in an order of the store's own that stays the same,
    /// beginning after `page.after`.
    fn list<'s>(&'s self, page: &'s Page) -> Stored<'s, Vec<Listed>>;

    /// Writes a batch, all of it or nothing, if the conversation still has the revision that the batch expects (0: it
    /// does not exist). Returns its new revision, which is one more. It is durable then, as far as the adapter promises.
    ///
    /// # Errors
    /// [`StoreErrorClass::Conflict`], with the revision that it has, when somebody else was faster.
    fn commit<'s>(&'s self, batch: &'s Batch) -> Stored<'s, u64>;

    /// Deletes a conversation with everything that was ever kept of it. One that does not exist is no error.
    fn delete<'s>(&'s self, conversation: &'s str) -> Stored<'s, ()>;

    /// Lets go of whatever is held open. Every call after that fails with [`StoreErrorClass::Closed`]; closing again does
    /// nothing.
    fn close(&self) -> Stored<'_, ()>;
}

/// What a record is for. The number of each is part of the stored form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum RecordKind {
    /// One per conversation, number 0: where it stands.
    Head = 0,
    /// One per conversation, number 0: what is remembered beside its messages.
    State = 1,
    /// A message, by its number in the transcript.
    Entry = 2,
    /// The whole of a message that is shown shortened, by the same number.
    Overflow = 3,
    /// A compaction, by its own number.
    Compaction = 4,
}

impl RecordKind {
    /// All of them, by their number.
    pub const ALL: [Self; 5] = [Self::Head, Self::State, Self::Entry, Self::Overflow, Self::Compaction];

    /// Its name in the stored form: the variant in lower case.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Head => "head",
            Self::State => "state",
            Self::Entry => "entry",
            Self::Overflow => "overflow",
            Self::Compaction => "compaction",
        }
    }

    /// The kind of this name.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

impl FromValue for RecordKind {
    fn from_value(value: &Value<'_>) -> Read<Self> {
        value.as_str().and_then(Self::of_name).ok_or(Wrong(""))
    }
}

/// One text under its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// What it is for.
    pub kind: RecordKind,
    /// Which one of its kind; below 2^53.
    pub number: u64,
    /// JSON.
    pub text: String,
}

/// The records of one kind with numbers `from..to`; none, and no error, where `to` is not above `from`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// The kind.
    pub kind: RecordKind,
    /// The first number.
    pub from: u64,
    /// One past the last number; at most 2^53.
    pub to: u64,
}

impl Range {
    /// Beyond the number of any record.
    pub const END: u64 = 1 << 53;

    /// The record of this number.
    #[must_use]
    pub fn one(kind: RecordKind, number: u64) -> Self {
        Self { kind, from: number, to: number + 1 }
    }

    /// All records of a kind.
    #[must_use]
    pub fn all(kind: RecordKind) -> Self {
        Self { kind, from: 0, to: Self::END }
    }

    /// Whether this is one of them.
    #[must_use]
    pub fn contains(&self, kind: RecordKind, number: u64) -> bool {
        kind == self.kind && (self.from..self.to).contains(&number)
    }
}

/// What was read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Loaded {
    /// How many batches the conversation has had; 0 when it does not exist.
    pub revision: u64,
    /// The records.
    pub records: Vec<Record>,
}

/// What is written at once. Deletions come before writes: a record that is in both is there afterwards.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// The conversation: 1 to 1,000 Unicode scalars, none of them NUL. The name is kept as it is, so it should not say what
    /// only the content may say.
    pub conversation: String,
    /// The revision that it must have; 0 when it must not exist yet.
    pub expected: u64,
    /// Records to write, each key at most once; those that exist are replaced.
    pub puts: Vec<Record>,
    /// Records to delete.
    pub deletes: Vec<Range>,
    /// What [`Store::list`] says of it from now on.
    pub about: About,
}

/// What a store tells of a conversation without reading it. Nothing of its content.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct About {
    /// When it began, Unix time, milliseconds.
    pub created_ms: f64,
    /// When it was written to last, Unix time, milliseconds.
    pub updated_ms: f64,
    /// How many messages it has, those of abandoned branches included.
    pub entries: u64,
}

/// One conversation of a store.
#[derive(Debug, Clone, PartialEq)]
pub struct Listed {
    /// Its name.
    pub conversation: String,
    /// Its revision.
    pub revision: u64,
    /// What else there is to tell.
    pub about: About,
}

/// Which conversations to list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The last one of the page before, which may be gone by now.
    pub after: Option<String>,
    /// How many at most.
    pub limit: usize,
}

/// Why a store could not do something.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct StoreError {
    /// What kind of failure.
    pub class: StoreErrorClass,
    /// In words, as a sentence without a full stop. Nothing of the conversations' content.
    pub message: String,
    /// For conflicts: the revision that the conversation has.
    pub revision: Option<u64>,
}

impl StoreError {
    /// A failure of this kind.
    #[must_use]
    pub fn new(class: StoreErrorClass, message: impl Into<String>) -> Self {
        Self { class, message: message.into(), revision: None }
    }

    /// Somebody else was faster.
    #[must_use]
    pub fn conflict(revision: u64) -> Self {
        let message = format!("the conversation has been written to meanwhile; it has revision {revision}");
        Self { class: StoreErrorClass::Conflict, message, revision: Some(revision) }
    }

    /// The store has been closed.
    #[must_use]
    pub fn closed() -> Self {
        Self::new(StoreErrorClass::Closed, "the store has been closed")
    }
}

/// Kinds of failures, each with a stable code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreErrorClass {
    /// The conversation has another revision than the batch expects.
    Conflict,
    /// There is no room left; nothing was written.
    Quota,
    /// Another tab or process keeps the store from being opened; worth trying again.
    Blocked,
    /// The connection broke off, and could not be made anew. Whether a batch under way was written is not known.
    Lost,
    /// There is no such storage here: private browsing, an insecure origin, no permission, no such folder.
    Unavailable,
    /// The conversation was there, and is gone: the browser made room, or somebody deleted it.
    Evicted,
    /// What was read is not what was written.
    Corrupted,
    /// The store was written by a newer version of Epitome, which this one cannot read.
    Newer,
    /// Anything else, such as a transaction that was aborted; nothing was written.
    Failed,
    /// The store has been closed.
    Closed,
}

impl StoreErrorClass {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Conflict,
        Self::Quota,
        Self::Blocked,
        Self::Lost,
        Self::Unavailable,
        Self::Evicted,
        Self::Corrupted,
        Self::Newer,
        Self::Failed,
        Self::Closed,
    ];

    /// The stable code, as in the JavaScript API.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Conflict => "store_conflict",
            Self::Quota => "store_quota",
            Self::Blocked => "store_blocked",
            Self::Lost => "store_lost",
            Self::Unavailable => "store_unavailable",
            Self::Evicted => "store_evicted",
            Self::Corrupted => "store_corrupted",
            Self::Newer => "store_newer",
            Self::Failed => "store_failed",
            Self::Closed => "store_closed",
        }
    }

    /// The class of this code, with or without `store_` in front.
    #[must_use]
    pub fn of_code(code: &str) -> Option<Self> {
        let bare = code.strip_prefix("store_").unwrap_or(code);
        Self::ALL.into_iter().find(|class| class.code().strip_prefix("store_") == Some(bare))
    }
}
