//! `OpenAI` Responses.

use super::draft::Draft;
use super::openai_chat::text_of;
use super::request::{Fields, field, messages, push_message, text_field};
use super::{Endpoint, failure};
use crate::provider::{ProviderError, Request};
use crate::value::Value;

pub(super) fn fields(endpoint: &Endpoint, request: &Request) -> Fields<'static> {
    let mut fields = vec![
        text_field("model", &endpoint.model),
        field("input", messages(&request.messages, |_| true, push_message)),
        field("max_output_tokens", request.max_tokens.max(1).to_string()),
        field("store", "false"),
    ];
    if endpoint.stream {
        fields.push(field("stream", "true"));
    }
    fields
}

pub(super) fn take(draft: &mut Draft, kind: &str, value: &Value<'_>) -> Result<(), ProviderError> {
    draft.known |= kind.starts_with("response.");
    match kind {
        "response.output_text.delta" => draft.add(text_of(value, "delta")),
        "response.refusal.delta" => draft.refuse(text_of(value, "delta")),
        "response.completed" | "response.incomplete" | "response.failed" => {
            response(draft, value.get_some("response").unwrap_or(&Value::Null))?;
            draft.settle();
            draft.complete = true;
        }
        _ if value.get("output").is_some() || text_of(value, "object") == "response" => response(draft, value)?,
        _ => {}
    }
    Ok(())
}

/// A whole response. What it holds counts, not what came before in pieces; but there are services that leave it empty.
fn response(draft: &mut Draft, value: &Value<'_>) -> Result<(), ProviderError> {
    draft.known = true;
    draft.charge(value.get("usage"), &["input_tokens"], &["output_tokens"]);
    if let Some(error) = failure::told_in(value, text_of(value, "status")) {
        return Err(error);
    }
    let (text, refusal) = (std::mem::take(&mut draft.text), std::mem::take(&mut draft.refusal));
    for item in value.get("output").and_then(Value::as_array).unwrap_or_default() {
        if text_of(item, "type") == "message" {
            content(draft, item.get("content"));
        }
    }
    if draft.text.is_empty() && draft.refusal.is_empty() {
        (draft.text, draft.refusal) = (text, refusal);
    }
    match text_of(value, "status") {
        "queued" | "in_progress" => {}
        "incomplete" => draft.ended(value.get("incomplete_details").map_or("", |why| text_of(why, "reason"))),
        "cancelled" => draft.ended("cancelled"),
        _ => draft.settle(),
    }
    Ok(())
}

fn content(draft: &mut Draft, parts: Option<&Value<'_>>) {
    for part in parts.and_then(Value::as_array).unwrap_or_default() {
        match text_of(part, "type") {
            "output_text" => draft.add(text_of(part, "text")),
            "refusal" => draft.refuse(text_of(part, "refusal")),
            _ => {}
        }
    }
}
