//! What a session takes and tells.

use std::any::Any;
use std::future::Future;
use std::pin::Pin;

use serde::Serialize;

use crate::conversation::{ConversationOptions, Status};
use crate::error::{Boxed, Error};
use crate::transcript::{Tier, Warning};

/// Number of an entry: counts up from 0 in the order in which messages were written, and never changes.
pub type EntryId = u64;

/// What a session is.
#[derive(Debug, Clone)]
pub struct SessionOptions {
    /// Name of the conversation: 1 to 1,000 characters, none of them NUL. Stores keep it readable.
    pub id: String,
    /// What it is held to.
    pub conversation: ConversationOptions,
    /// Which tool results are shown shortened; none when `None`.
    pub overflow: Option<Overflow>,
    /// How long the whole of those is kept; for ever when `None`.
    pub retention: Option<Retention>,
}

impl SessionOptions {
    /// Defaults.
    #[must_use]
    pub fn new(id: impl Into<String>, conversation: ConversationOptions) -> Self {
        Self { id: id.into(), conversation, overflow: Some(Overflow::default()), retention: None }
    }

    pub(super) fn check(&self) -> Boxed<()> {
        check_id(&self.id)?;
        if let Some(overflow) = self.overflow
            && (overflow.keep < 200 || overflow.keep >= overflow.threshold)
        {
            let text = format_args!("`keep` must be 200 or more and below `threshold`");
            return Err(Error::option("overflow", text));
        }
        if let Some(retention) = self.retention
            && retention.max_age_ms.is_some_and(|age| age.is_nan() || age < 0.0)
        {
            return Err(Error::option("retention.maxAgeMs", format_args!("must be 0 or more")));
        }
        Ok(())
    }
}

/// Whether a conversation may have this name.
pub(super) fn check_id(id: &str) -> Boxed<()> {
    let characters = id.chars().take(1_001).count();
    if (1..=1_000).contains(&characters) && !id.contains('\0') {
        return Ok(());
    }
    Err(Error::option("id", format_args!("must have 1 to 1,000 characters, none of them NUL")))
}

/// Tool results that are kept whole and shown shortened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Overflow {
    /// Longer results are, Unicode scalars. 50,000 (zeph: bytes).
    pub threshold: usize,
    /// How much of them is shown, Unicode scalars. 8,000.
    pub keep: usize,
}

impl Default for Overflow {
    fn default() -> Self {
        Self { threshold: 50_000, keep: 8_000 }
    }
}

/// How long the whole of a shortened result is kept. What is shown stays for ever, and so does the whole of a result whose
/// shortened form the view shows: a model may still ask for it.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Retention {
    /// Milliseconds; for ever when `None`.
    pub max_age_ms: Option<f64>,
    /// Bytes, all of them together; without bound when `None`.
    pub max_bytes: Option<u64>,
}

/// Holds off everybody else who would compact the same conversation, until it is dropped.
pub type Election<'h> = Pin<Box<dyn Future<Output = Box<dyn Any>> + 'h>>;

/// What a session needs of the world.
pub trait SessionHost {
    /// Unix time, milliseconds. May go backwards: nothing is ordered by it.
    fn now_ms(&self) -> f64;

    /// A number from 0 to 1, different for every program: tells two writers apart.
    fn random(&self) -> f64;

    /// Waits until nobody else compacts the conversation of this name. By default nobody else does.
    fn elect<'h>(&'h self, _conversation: &'h str) -> Election<'h> {
        Box::pin(std::future::ready(Box::new(()) as Box<dyn Any>))
    }

    /// Something happened.
    fn event(&self, _event: &SessionEvent) {}
}

/// What happened in a session.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
#[non_exhaustive]
pub enum SessionEvent {
    /// What it does just now, or `idle`.
    Status {
        /// What.
        status: Status,
    },
    /// A compaction is in force.
    Compaction(CompactionInfo),
    /// Something that is no error.
    Warning(Warning),
    /// The conversation was written to.
    Changed {
        /// Its revision.
        revision: u64,
        /// By this session (and not by another one).
        local: bool,
    },
}

/// One compaction, as it was made.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CompactionInfo {
    /// Its number; counts up from 0.
    pub id: u64,
    /// The compaction whose view it was made from.
    pub parent: Option<u64>,
    /// The last entry of that view.
    pub through: Option<EntryId>,
    /// Whether the view is made by it, or by one that was made from it.
    pub in_force: bool,
    /// Whether it was taken back.
    pub undone: bool,
    /// When, Unix time, milliseconds.
    pub time: f64,
    /// How far it went.
    pub tier: Tier,
    /// Size of the view before, tokens.
    pub tokens_before: u64,
    /// Size of the view after, tokens.
    pub tokens_after: u64,
    /// Entries that it hid, as ranges `from..to`: those in between that are on no branch of it, or were hidden before, do
    /// not count.
    pub hidden: Vec<(EntryId, EntryId)>,
    /// Entries that it edited.
    pub edited: Vec<EntryId>,
    /// The text of its newest summary.
    pub summary: Option<String>,
    /// Requests to models that it took.
    pub requests: u32,
    /// Version of Epitome that made it.
    pub engine: String,
    /// XXH64 of the messages that it was made from, 16 hexadecimal digits.
    pub source_hash: String,
}

/// One message of a view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ViewItem {
    /// The entry that it shows; `None` for a message of ours.
    pub entry: Option<EntryId>,
    /// Whether it is that entry's message as it was given.
    pub is_whole: bool,
    /// Its JSON text.
    pub text: String,
}

/// Sizes, tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Meter {
    /// Size of the view, with what is sent beside it.
    pub tokens: u64,
    /// What it must not exceed.
    pub limit: u64,
    /// What is left.
    pub free: u64,
    /// From here on results are pruned.
    pub soft: u64,
    /// From here on messages are summarised.
    pub hard: u64,
    /// What is sent beside the messages: system prompt, tool definitions.
    pub overhead: u64,
    /// System messages.
    pub system: u64,
    /// Messages of the user.
    pub user: u64,
    /// Words of the model.
    pub assistant: u64,
    /// Its tool calls.
    pub tool_calls: u64,
    /// Results of tools.
    pub tool_results: u64,
    /// Summaries.
    pub summaries: u64,
    /// How many entries the conversation has on this branch.
    pub entries: u64,
    /// How many messages the view has.
    pub messages: usize,
    /// How many entries the view does not show.
    pub hidden: u64,
    /// What the provider counts for a token of ours; `None` when it did not say.
    pub ratio: Option<f64>,
}
