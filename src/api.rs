//! What the border to JavaScript calls: neutral trees in, plain serialisable data out.

#[cfg(feature = "session")]
pub(crate) use crate::compacted as compact;
pub(crate) use crate::engine::{
    Input, Outcome, apply, count_messages, detect_format, fit, is_source, repair, undo, validate,
};
use crate::tokens::TokenCounter;

/// Counts one text.
pub(crate) fn count_text(text: &str, counter: &dyn TokenCounter) -> u64 {
    u64::from(counter.count(text))
}
