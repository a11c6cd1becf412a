//! Turning a run of messages into a short text: by a model, or without one.

mod accept;
mod anchors;
mod arguments;
mod caps;
mod chunks;
mod clean;
mod facts;
mod goal;
mod guidelines;
mod keep;
mod merge;
mod metadata;
mod middle_out;
mod offline;
mod pipeline;
mod prompts;
mod record;
mod render;
#[cfg(test)]
mod sample;
mod structured;
mod tool_pairs;

pub(crate) use accept::harmless;
pub(crate) use facts::reports_error;
pub(crate) use goal::{TaskGoal, refresh_goal};
pub(crate) use guidelines::lesson;
pub(crate) use offline::{brief, fence, summarize, summary_text};
pub(crate) use pipeline::{Wishes, Written, keep_knowledge, redraft, warning};
pub(crate) use record::record;
pub(crate) use tool_pairs::{Deferred, backlog, tool_pairs};
