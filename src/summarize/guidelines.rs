//! The request for guidelines: what summaries should not leave out again.

use super::prompts;
use crate::guidelines::{GuidelinesPolicy, Lesson};
use crate::provider::{Calls, Purpose};

/// The prompt, and the last failure that it shows: as many as the model has room for, the oldest first. `None` where
/// it has room for none.
pub(crate) fn lesson(lesson: &Lesson<'_>, policy: &GuidelinesPolicy, calls: &Calls<'_>) -> Option<(String, u64)> {
    let window = calls.window(Purpose::Guidelines)?;
    let clean = |text: &str| calls.redacted(text).into_owned();
    let current = Some(lesson.guidelines).filter(|text| !text.trim().is_empty());
    let mut failures: Vec<(String, String)> =
        lesson.pairs.iter().map(|pair| (clean(&pair.context), clean(&pair.answer))).collect();
    loop {
        let prompt = prompts::guidelines(current, &failures, policy.max_tokens);
        if calls.tokens(&prompt) + u64::from(policy.max_tokens) <= window {
            let last = lesson.pairs.get(failures.len().checked_sub(1)?)?;
            return Some((prompt, last.id));
        }
        failures.pop()?;
    }
}
