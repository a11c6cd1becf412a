//! Ollama `/api/chat`.

use super::Endpoint;
use super::draft::Draft;
use super::openai_chat::text_of;
use super::request::{Fields, field, messages, push_message, text_field};
use crate::provider::Request;
use crate::value::Value;

/// Windows are asked for in steps of so many tokens, so that requests of about the same size need no reloading.
const STEP: u64 = 1024;

pub(super) fn fields(endpoint: &Endpoint, request: &Request) -> Fields<'static> {
    let max_tokens = request.max_tokens.max(1);
    // Unless it is told how large a window is needed, Ollama cuts prompts to a small one and says nothing.
    let window = request.tokens.saturating_add(max_tokens).div_ceil(STEP).saturating_mul(STEP);
    let mut options = String::from(r#"{"num_predict":"#);
    options.push_str(&max_tokens.to_string());
    options.push_str(r#","num_ctx":"#);
    options.push_str(&window.to_string());
    options.push('}');
    vec![
        text_field("model", &endpoint.model),
        field("messages", messages(&request.messages, |_| true, push_message)),
        field("stream", if endpoint.stream { "true" } else { "false" }),
        field("options", options),
    ]
}

pub(super) fn take(draft: &mut Draft, value: &Value<'_>) {
    let message = value.get("message");
    let done = value.get_some("done");
    draft.known |= message.is_some() || done.is_some();
    draft.add(message.map_or("", |message| text_of(message, "content")));
    draft.charge(Some(value), &["prompt_eval_count"], &["eval_count"]);
    if message.is_some() && !matches!(done, Some(Value::Bool(false))) {
        draft.ended(text_of(value, "done_reason"));
        draft.done();
    }
}
