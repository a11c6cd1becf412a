//! Gemini `generateContent`.

use super::draft::Draft;
use super::openai_chat::text_of;
use super::request::{Fields, field, is_system, messages, push_encoded, push_quoted, quoted, system};
use crate::provider::{Request, RequestMessage};
use crate::value::Value;

/// What is asked of a model.
pub(super) const WHOLE: &str = ":generateContent";
/// The same, in pieces.
pub(super) const STREAM: &str = ":streamGenerateContent";

/// Adds the path of a model to a base address. Names may say already which collection they are of.
pub(super) fn push_path(model: &str, stream: bool, url: &mut String) {
    url.push('/');
    if !model.starts_with("models/") && !model.starts_with("tunedModels/") {
        url.push_str("models/");
    }
    push_encoded(model, "/@:", url);
    url.push_str(if stream { STREAM } else { WHOLE });
}

pub(super) fn fields(request: &Request) -> Fields<'static> {
    let mut limit = String::from(r#"{"maxOutputTokens":"#);
    limit.push_str(&request.max_tokens.max(1).to_string());
    limit.push('}');
    let mut fields = vec![
        field("contents", messages(&request.messages, |message| !is_system(message), push_message)),
        field("generationConfig", limit),
    ];
    if let Some(system) = system(&request.messages) {
        let mut instruction = String::from("{");
        push_parts(&system, &mut instruction);
        fields.push(field("systemInstruction", instruction));
    }
    fields
}

fn push_message(message: &RequestMessage, out: &mut String) {
    out.push_str(r#"{"role":"#);
    push_quoted(if message.role == "assistant" { "model" } else { "user" }, out);
    out.push(',');
    push_parts(&message.content, out);
}

fn push_parts(text: &str, out: &mut String) {
    out.push_str(r#""parts":[{"text":"#);
    out.push_str(&quoted(text));
    out.push_str("}]}");
}

pub(super) fn take(draft: &mut Draft, value: &Value<'_>) {
    let usage = value.get("usageMetadata");
    draft.charge(usage, &["promptTokenCount"], &["candidatesTokenCount", "thoughtsTokenCount"]);
    let feedback = value.get("promptFeedback");
    let candidates = value.get("candidates").and_then(Value::as_array);
    draft.known |= usage.is_some() || feedback.is_some() || candidates.is_some();
    draft.blocked(feedback.map_or("", |feedback| text_of(feedback, "blockReason")));
    if let Some(candidate) = candidates.and_then(<[_]>::first) {
        let parts = candidate.get("content").and_then(|content| content.get("parts")).and_then(Value::as_array);
        for part in parts.unwrap_or_default() {
            if !matches!(part.get("thought"), Some(Value::Bool(true))) {
                draft.add(text_of(part, "text"));
            }
        }
        draft.ended(text_of(candidate, "finishReason"));
    }
    // An answer in one piece is at its end whether it says so or not.
    if draft.known && draft.whole {
        draft.settle();
    }
}
