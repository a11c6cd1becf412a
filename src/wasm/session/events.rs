//! What goes on, as the host hears of it.

use serde::Serialize;

use crate::provider::{Progress, Purpose};

/// One event, as an object of the API.
#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Event<'e> {
    #[serde(rename = "type")]
    kind: &'e str,
    provider: &'e str,
    request: u32,
    purpose: Option<Purpose>,
    #[serde(skip_serializing_if = "Option::is_none")]
    attempt: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    characters: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'e str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'e str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_in_ms: Option<u64>,
}

impl<'e> From<&Progress<'e>> for Event<'e> {
    fn from(progress: &Progress<'e>) -> Self {
        let none = Self::default();
        match progress {
            Progress::Request { provider, number, purpose, attempt, tokens } => Self {
                kind: "request",
                provider,
                request: *number,
                purpose: Some(*purpose),
                attempt: Some(*attempt),
                tokens: Some(*tokens),
                ..none
            },
            Progress::Text { provider, number, purpose, characters } => Self {
                kind: "text",
                provider,
                request: *number,
                purpose: Some(*purpose),
                characters: Some(*characters),
                ..none
            },
            Progress::Answer { provider, number, purpose, ms } => Self {
                kind: "answer",
                provider,
                request: *number,
                purpose: Some(*purpose),
                ms: Some(whole(*ms)),
                ..none
            },
            Progress::Failure { provider, number, purpose, error, retry_in_ms } => Self {
                kind: "failure",
                provider,
                request: *number,
                purpose: Some(*purpose),
                code: Some(error.class.code()),
                message: Some(&error.message),
                retry_in_ms: retry_in_ms.map(whole),
                ..none
            },
        }
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a cast of a float stays in range")]
fn whole(ms: f64) -> u64 {
    ms.round() as u64
}
