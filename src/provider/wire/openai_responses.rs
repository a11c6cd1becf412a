//! `OpenAI` Responses.

use super::draft::Draft;
use super::openai_chat::text_of;
use super::request::{Body, messages, push_message};
use super::{Endpoint, failure};
use crate::provider::{ProviderError, Request};
use crate::value::Value;

pub(super) fn write(body: &mut Body<'_>, endpoint: &Endpoint, request: &Request) {
    body.text("model", &endpoint.model);
    body.json("input", &messages(request, true, push_message));
    body.number("max_output_tokens", request.max_tokens.max(1));
    body.json("store", "false");
    if endpoint.stream {
        body.json("stream", "true");
    }
}

pub(super) fn take(draft: &mut Draft, kind: &str, value: &Value<'_>) -> Result<(), ProviderError> {
    draft.known |= kind.starts_with("response.");
    match kind {
        "response.output_text.delta" => draft.add(text_of(value, "delta")),
        "response.refusal.delta" => draft.refuse(text_of(value, "delta")),
        "response.completed" | "response.incomplete" | "response.failed" => {
            let status = kind.strip_prefix("response.").unwrap_or_default();
            response(draft, status, value.get_some("response").unwrap_or(&Value::Null))?;
            draft.done();
        }
        _ if value.get("output").is_some() || text_of(value, "object") == "response" => {
            response(draft, text_of(value, "status"), value)?;
        }
        _ => {}
    }
    Ok(())
}

/// A whole response. What it holds counts, not what came before in pieces; but there are services that leave it empty.
fn response(draft: &mut Draft, status: &str, value: &Value<'_>) -> Result<(), ProviderError> {
    draft.known = true;
    draft.charge(value.get("usage"), &["input_tokens"], &["output_tokens"]);
    if let Some(error) = failure::told_in(value, status) {
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
    if !matches!(status, "queued" | "in_progress") {
        draft.ended(status);
        draft.ended(value.get("incomplete_details").map_or("", |why| text_of(why, "reason")));
        draft.settle();
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

#[cfg(test)]
mod tests {
    use super::super::Wire::OpenaiResponses;
    use super::super::testing::{body_of, check_every_beginning, class, endpoint, read_json, read_stream, told};
    use crate::provider::{ErrorClass, Stop};

    fn response(status: &str, details: &str, content: &str) -> String {
        [
            r#"{"id":"resp_1","object":"response","created_at":1,"status":""#,
            status,
            r#"","error":null,"incomplete_details":"#,
            details,
            r#","model":"gpt-5-mini","output":[{"id":"rs_1","type":"reasoning","summary":[{"type":"summary_text","text":"Hm."}],"content":[{"type":"reasoning_text","text":"Hm."}]},{"id":"msg_1","type":"message","status":"completed","role":"assistant","content":"#,
            content,
            r#"}],"usage":{"input_tokens":36,"input_tokens_details":{"cached_tokens":0},"output_tokens":87,"output_tokens_details":{"reasoning_tokens":0},"total_tokens":123}}"#,
        ]
        .concat()
    }

    const HELLO: &str = r#"[{"type":"output_text","text":"Grüße ha","annotations":[]},{"type":"output_text","text":"ha","annotations":[]}]"#;

    fn event(kind: &str, fields: &str) -> String {
        ["event: ", kind, "\ndata: {\"type\":\"", kind, "\",", fields, "}\n\n"].concat()
    }

    fn stream(last: &str) -> String {
        let delta = |number: &str, text: &str| {
            let fields = [
                r#""item_id":"msg_1","output_index":1,"content_index":0,"delta":""#,
                text,
                r#"","sequence_number":"#,
                number,
            ];
            event("response.output_text.delta", &fields.concat())
        };
        [
            &event("response.created", r#""sequence_number":0,"response":{"id":"resp_1","object":"response","status":"in_progress","output":[],"error":null,"usage":null}"#),
            &event("response.in_progress", r#""sequence_number":1,"response":{"id":"resp_1","status":"in_progress","output":[]}"#),
            &event("response.output_item.added", r#""sequence_number":2,"output_index":1,"item":{"id":"msg_1","type":"message","role":"assistant","content":[]}"#),
            &event("response.reasoning_text.delta", r#""sequence_number":3,"delta":"Hm.""#),
            &delta("4", "Grüße "),
            &delta("5", "ha"),
            &delta("6", "ha"),
            &event("response.output_text.done", r#""sequence_number":7,"text":"Grüße haha""#),
            last,
        ]
        .concat()
    }

    fn last(kind: &str, response: &str) -> String {
        event(kind, &[r#""sequence_number":8,"response":"#, response].concat())
    }

    #[test]
    fn a_request_has_the_messages_and_the_limit_and_is_not_kept() {
        let mut endpoint = endpoint(OpenaiResponses, "https://api.openai.com/v1");
        assert_eq!(
            body_of(&endpoint),
            r#"{"model":"some-model","input":[{"role":"user","content":"Hi \"you\"\n\u0001é"}],"max_output_tokens":512,"store":false}"#
        );
        endpoint.stream = true;
        assert!(body_of(&endpoint).ends_with(r#","store":false,"stream":true}"#));
    }

    #[test]
    fn a_whole_answer_is_read_with_its_usage_and_end() {
        let body = response("completed", "null", HELLO);
        assert_eq!(told(read_json(OpenaiResponses, &body)), ("Grüße haha".to_owned(), Some((36, 87)), Stop::End));
        let body = response("incomplete", r#"{"reason":"max_output_tokens"}"#, HELLO);
        assert_eq!(told(read_json(OpenaiResponses, &body)), ("Grüße haha".to_owned(), Some((36, 87)), Stop::Length));
    }

    #[test]
    fn what_is_no_answer_has_its_class() {
        let refusal = r#"[{"type":"refusal","refusal":"I can't help with that."}]"#;
        for (status, details, content, expected) in [
            ("completed", "null", refusal, ErrorClass::Refused),
            ("completed", "null", "[]", ErrorClass::Blank),
            ("incomplete", r#"{"reason":"content_filter"}"#, HELLO, ErrorClass::Refused),
            ("incomplete", r#"{"reason":"max_output_tokens"}"#, "[]", ErrorClass::Truncated),
            ("incomplete", "null", "[]", ErrorClass::Truncated),
            ("in_progress", "null", HELLO, ErrorClass::Truncated),
            ("cancelled", "null", HELLO, ErrorClass::Unavailable),
            ("failed", "null", HELLO, ErrorClass::Unavailable),
        ] {
            let body = response(status, details, content);
            assert_eq!(class(read_json(OpenaiResponses, &body)), expected, "{status} {details}");
        }
    }

    #[test]
    fn a_stream_is_read_wherever_it_is_cut() {
        let stream = stream(&last("response.completed", &response("completed", "null", HELLO)));
        assert_eq!(told(read_stream(OpenaiResponses, &stream)), ("Grüße haha".to_owned(), Some((36, 87)), Stop::End));
        check_every_beginning(OpenaiResponses, "text/event-stream", &stream);
    }

    #[test]
    fn a_last_event_without_the_text_leaves_what_came_before() {
        let empty =
            r#"{"object":"response","status":"completed","output":[],"usage":{"input_tokens":1,"output_tokens":2}}"#;
        let answer = told(read_stream(OpenaiResponses, &stream(&last("response.completed", empty))));
        assert_eq!(answer, ("Grüße haha".to_owned(), Some((1, 2)), Stop::End));
        let answer = told(read_stream(OpenaiResponses, &stream(&last("response.incomplete", "null"))));
        assert_eq!(answer, ("Grüße haha".to_owned(), None, Stop::Length));
    }

    #[test]
    fn events_that_come_twice_say_nothing_new() {
        // The last event holds no text, so that what came before counts.
        let stream = stream(&last("response.completed", r#"{"status":"completed"}"#));
        let events: Vec<&str> = stream.split_inclusive("\n\n").collect();
        let doubled: String = events.iter().flat_map(|event| [*event, *event]).collect();
        assert_eq!(told(read_stream(OpenaiResponses, &doubled)).0, "Grüße haha");
        // One delta twice, and two that come again later.
        let mut some = events.clone();
        some.insert(5, events[4]);
        some.splice(8..8, [events[4], events[5]]);
        assert_eq!(told(read_stream(OpenaiResponses, &some.concat())).0, "Grüße haha");
    }

    #[test]
    fn a_service_that_numbers_all_events_alike_is_read_all_the_same() {
        let stream = stream(&last("response.completed", r#"{"status":"completed"}"#))
            .replace("\"sequence_number\":6", "\"sequence_number\":5,\"logprobs\":[]");
        assert_eq!(told(read_stream(OpenaiResponses, &stream)).0, "Grüße haha");
    }

    #[test]
    fn a_stream_that_fails_or_has_no_end_is_no_answer() {
        for (last, expected) in [
            (String::new(), ErrorClass::Truncated),
            (
                last(
                    "response.failed",
                    r#"{"status":"failed","error":{"code":"server_error","message":"The model failed."}}"#,
                ),
                ErrorClass::Unavailable,
            ),
            (
                last(
                    "response.failed",
                    r#"{"status":"failed","error":{"code":"rate_limit_exceeded","message":"Slow down."}}"#,
                ),
                ErrorClass::RateLimited,
            ),
            (last("response.failed", "{}"), ErrorClass::Unavailable),
            (
                event(
                    "error",
                    r#""code":"rate_limit_exceeded","message":"Slow down.","param":null,"sequence_number":8"#,
                ),
                ErrorClass::RateLimited,
            ),
            (
                event(
                    "error",
                    r#""error":{"type":"invalid_request_error","code":"context_length_exceeded","message":"Your input exceeds the context window of this model."},"sequence_number":8"#,
                ),
                ErrorClass::ContextLength,
            ),
            (
                last("response.incomplete", &response("incomplete", r#"{"reason":"content_filter"}"#, HELLO)),
                ErrorClass::Refused,
            ),
            (
                event("response.refusal.delta", r#""delta":"I can't.","sequence_number":8"#)
                    + &event("response.completed", r#""response":{"status":"completed"},"sequence_number":9"#),
                ErrorClass::Refused,
            ),
        ] {
            assert_eq!(class(read_stream(OpenaiResponses, &stream(&last))), expected, "{last}");
        }
    }
}
