//! Anthropic Messages.

use super::Endpoint;
use super::draft::Draft;
use super::openai_chat::text_of;
use super::request::{Fields, field, is_system, messages, push_message, system, text_field};
use crate::provider::Request;
use crate::value::Value;

/// Names the version of the API whose shapes these are.
pub(super) const VERSION: &str = "2023-06-01";

/// What was read from a cache or written to one was read all the same.
const READ: [&str; 3] = ["input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens"];

pub(super) fn fields(endpoint: &Endpoint, request: &Request) -> Fields<'static> {
    let mut fields = vec![
        text_field("model", &endpoint.model),
        field("max_tokens", request.max_tokens.max(1).to_string()),
        field("messages", messages(&request.messages, |message| !is_system(message), push_message)),
    ];
    if let Some(system) = system(&request.messages) {
        fields.push(text_field("system", &system));
    }
    if endpoint.stream {
        fields.push(field("stream", "true"));
    }
    fields
}

pub(super) fn take(draft: &mut Draft, kind: &str, value: &Value<'_>) {
    match kind {
        "message" => message(draft, value),
        "message_start" => {
            draft.charge(value.get("message").and_then(|message| message.get("usage")), &READ, &["output_tokens"]);
        }
        "content_block_start" if is_open(draft, value) => {
            draft.add(value.get("content_block").map_or("", |block| text_of(block, "text")));
        }
        "content_block_delta" if is_open(draft, value) => {
            draft.add(value.get("delta").map_or("", |delta| text_of(delta, "text")));
        }
        "content_block_stop" => draft.closed = draft.closed.max(index(value)),
        "message_delta" => {
            draft.charge(value.get("usage"), &READ, &["output_tokens"]);
            draft.ended(value.get("delta").map_or("", |delta| text_of(delta, "stop_reason")));
        }
        "message_stop" => draft.done(),
        _ => return,
    }
    draft.known = true;
}

/// A whole message.
fn message(draft: &mut Draft, value: &Value<'_>) {
    draft.charge(value.get("usage"), &READ, &["output_tokens"]);
    for block in value.get("content").and_then(Value::as_array).unwrap_or_default() {
        if text_of(block, "type") == "text" {
            draft.add(text_of(block, "text"));
        }
    }
    draft.ended(text_of(value, "stop_reason"));
    draft.settle();
}

/// Blocks come one after the other: what belongs to a block that has ended came before.
fn is_open(draft: &Draft, value: &Value<'_>) -> bool {
    index(value) > draft.closed
}

/// The number of a block, from 1.
fn index(value: &Value<'_>) -> u64 {
    Draft::number(value, "index").map_or(u64::MAX, |index| index.saturating_add(1))
}
