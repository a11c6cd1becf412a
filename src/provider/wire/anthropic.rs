//! Anthropic Messages.

use super::Endpoint;
use super::draft::Draft;
use super::openai_chat::text_of;
use super::request::{Body, messages, push_message, system};
use crate::provider::Request;
use crate::value::Value;

/// Names the version of the API whose shapes these are.
pub(super) const VERSION: &str = "2023-06-01";

/// What was read from a cache or written to one was read all the same.
const READ: [&str; 3] = ["input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens"];

pub(super) fn write(body: &mut Body<'_>, endpoint: &Endpoint, request: &Request) {
    body.text("model", &endpoint.model);
    body.number("max_tokens", request.max_tokens.max(1));
    body.json("messages", &messages(request, false, push_message));
    let system = system(request);
    if !system.is_empty() {
        body.text("system", &system);
    }
    if endpoint.stream {
        body.json("stream", "true");
    }
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

#[cfg(test)]
mod tests {
    use super::super::Wire::Anthropic;
    use super::super::testing::{
        body_of, check_every_beginning, class, endpoint, message, read_json, read_stream, request, told,
    };
    use crate::provider::{ErrorClass, Stop};

    const STREAM: &str = concat!(
        "event: message_start\n",
        r#"data: {"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","content":[],"model":"claude-sonnet-4-5","stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":25,"cache_creation_input_tokens":100,"cache_read_input_tokens":1000,"output_tokens":1}}}"#,
        "\n\n",
        "event: content_block_start\n",
        r#"data: {"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":"","signature":""}}"#,
        "\n\n",
        "event: ping\n",
        r#"data: {"type":"ping"}"#,
        "\n\n",
        "event: content_block_delta\n",
        r#"data: {"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"Hm."}}"#,
        "\n\n",
        "event: content_block_delta\n",
        r#"data: {"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"RXJy"}}"#,
        "\n\n",
        "event: content_block_stop\n",
        r#"data: {"type":"content_block_stop","index":0}"#,
        "\n\n",
        "event: content_block_start\n",
        r#"data: {"type":"content_block_start","index":1,"content_block":{"type":"text","text":""}}"#,
        "\n\n",
        "event: content_block_delta\n",
        r#"data: {"type":"content_block_delta","index":1,"delta":{"type":"text_delta","text":"Grüße ha"}}"#,
        "\n\n",
        "event: content_block_delta\n",
        r#"data: {"type":"content_block_delta","index":1,"delta":{"type":"text_delta","text":"ha"}}"#,
        "\n\n",
        "event: content_block_stop\n",
        r#"data: {"type":"content_block_stop","index":1}"#,
        "\n\n",
        "event: message_delta\n",
        r#"data: {"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":15}}"#,
        "\n\n",
        "event: message_stop\n",
        r#"data: {"type":"message_stop"}"#,
        "\n\n",
    );

    fn whole(content: &str, stop: &str) -> String {
        [
            r#"{"id":"msg_1","type":"message","role":"assistant","model":"claude-sonnet-4-5","content":"#,
            content,
            r#","stop_reason":"#,
            stop,
            r#","stop_sequence":null,"usage":{"input_tokens":25,"cache_creation_input_tokens":100,"cache_read_input_tokens":1000,"output_tokens":15,"service_tier":"standard"}}"#,
        ]
        .concat()
    }

    const HELLO: &str = r#"[{"type":"thinking","thinking":"Hm.","signature":"RXJy"},{"type":"text","text":"Hel"},{"type":"text","text":"lo"}]"#;

    #[test]
    fn a_request_has_the_messages_the_limit_and_the_version() {
        let mut endpoint = endpoint(Anthropic, "https://api.anthropic.com");
        assert_eq!(
            body_of(&endpoint),
            r#"{"model":"some-model","max_tokens":512,"messages":[{"role":"user","content":"Hi \"you\"\n\u0001é"}]}"#
        );
        let headers = endpoint.outgoing(&request(vec![message("user", "Hi")])).headers;
        assert!(headers.contains(&("anthropic-version", "2023-06-01".to_owned())), "{headers:?}");
        endpoint.stream = true;
        assert!(body_of(&endpoint).ends_with(r#"}],"stream":true}"#));
    }

    #[test]
    fn what_the_system_says_goes_apart() {
        let messages = vec![
            message("system", "Be terse."),
            message("user", "Hi"),
            message("assistant", "Hello"),
            message("developer", "Be kind."),
            message("user", "And?"),
        ];
        assert_eq!(
            endpoint(Anthropic, "").outgoing(&request(messages)).body,
            r#"{"model":"some-model","max_tokens":512,"messages":[{"role":"user","content":"Hi"},{"role":"assistant","content":"Hello"},{"role":"user","content":"And?"}],"system":"Be terse.\n\nBe kind."}"#
        );
    }

    #[test]
    fn a_whole_answer_is_read_with_all_that_was_read_for_it() {
        for (reason, stop) in [
            (r#""end_turn""#, Stop::End),
            (r#""stop_sequence""#, Stop::End),
            (r#""max_tokens""#, Stop::Length),
            (r#""some_new_reason""#, Stop::End),
            ("null", Stop::End),
        ] {
            let answer = told(read_json(Anthropic, &whole(HELLO, reason)));
            assert_eq!(answer, ("Hello".to_owned(), Some((1_125, 15)), stop), "{reason}");
        }
    }

    #[test]
    fn what_is_no_answer_has_its_class() {
        for (content, reason, expected) in [
            (HELLO, r#""refusal""#, ErrorClass::Refused),
            (HELLO, r#""model_context_window_exceeded""#, ErrorClass::ContextLength),
            ("[]", r#""end_turn""#, ErrorClass::Blank),
            (r#"[{"type":"thinking","thinking":"Hm."}]"#, r#""max_tokens""#, ErrorClass::Truncated),
            (r#"[{"type":"tool_use","id":"t","name":"n","input":{"text":"x"}}]"#, r#""tool_use""#, ErrorClass::Blank),
        ] {
            assert_eq!(class(read_json(Anthropic, &whole(content, reason))), expected, "{content} {reason}");
        }
    }

    #[test]
    fn a_stream_is_read_wherever_it_is_cut() {
        assert_eq!(told(read_stream(Anthropic, STREAM)), ("Grüße haha".to_owned(), Some((1_125, 15)), Stop::End));
        check_every_beginning(Anthropic, "text/event-stream", STREAM);
    }

    #[test]
    fn data_without_a_type_goes_by_the_name_of_its_event() {
        let untyped: String = STREAM
            .lines()
            .map(|line| match line.strip_prefix(r#"data: {"type":""#).and_then(|rest| rest.split_once('"')) {
                Some((_, rest)) => format!("data: {{{}\n", rest.trim_start_matches(',')),
                None => format!("{line}\n"),
            })
            .collect();
        assert!(untyped.contains(r#"data: {"message":{"#), "{untyped}");
        assert_eq!(told(read_stream(Anthropic, &untyped)).0, "Grüße haha");
    }

    #[test]
    fn events_that_come_twice_say_nothing_new() {
        let events: Vec<&str> = STREAM.split_inclusive("\n\n").collect();
        let doubled: String = events.iter().flat_map(|event| [*event, *event]).collect();
        assert_eq!(told(read_stream(Anthropic, &doubled)), ("Grüße haha".to_owned(), Some((1_125, 15)), Stop::End));
        // A block that has ended comes once more.
        let again: String = events[..10].iter().chain(&events[6..]).copied().collect();
        assert_eq!(told(read_stream(Anthropic, &again)).0, "Grüße haha");
    }

    #[test]
    fn a_stream_that_fails_or_has_no_end_is_no_answer() {
        let begun = STREAM.split("event: message_delta").next().unwrap();
        for (last, expected) in [
            ("", ErrorClass::Truncated),
            (r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#, ErrorClass::Unavailable),
            (
                r#"{"type":"error","error":{"type":"api_error","message":"Internal server error"}}"#,
                ErrorClass::Unavailable,
            ),
            (r#"{"type":"error","error":{"type":"rate_limit_error","message":"Slow down"}}"#, ErrorClass::RateLimited),
            (r#"{"type":"error","error":{"type":"timeout_error","message":"Timed out"}}"#, ErrorClass::Timeout),
            (
                r#"{"type":"error","error":{"type":"authentication_error","message":"invalid x-api-key"}}"#,
                ErrorClass::Auth,
            ),
            (
                r#"{"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long: 213462 tokens > 200000 maximum"}}"#,
                ErrorClass::ContextLength,
            ),
            (r#"{"type":"message_delta","delta":{"stop_reason":"refusal"}}"#, ErrorClass::Refused),
        ] {
            let stream = [
                begun,
                "event: ",
                if last.contains("error") { "error" } else { "message_delta" },
                "\ndata: ",
                last,
                "\n\n",
            ]
            .concat();
            assert_eq!(
                class(read_stream(Anthropic, if last.is_empty() { begun } else { &stream })),
                expected,
                "{last}"
            );
        }
    }
}
