//! Turning a run of messages into a short text.

mod facts;
mod offline;

pub(crate) use offline::{brief, summarize, summary_text};
