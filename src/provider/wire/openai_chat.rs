//! `OpenAI` Chat Completions, as its originator and the many that are compatible with it speak it.

use super::Endpoint;
use super::draft::Draft;
use super::request::{Behind, Body, messages, push_message};
use crate::provider::Request;
use crate::value::Value;

pub(super) fn write(body: &mut Body<'_>, endpoint: &Endpoint, request: &Request, behind: Behind<'_>) {
    // The newer models of these hosts refuse the old name; compatible services may know only the old one.
    let host = endpoint.host().to_ascii_lowercase();
    let is_newer = host == "api.openai.com" || host.ends_with(".openai.azure.com");
    body.text("model", &endpoint.model);
    if !behind.tools.is_empty() {
        body.json("tools", behind.tools);
        body.json("tool_choice", "\"none\"");
    }
    let mut ours = messages(request, true, push_message);
    if !behind.messages.is_empty() {
        ours.insert_str(1, &[behind.messages, ","].concat());
    }
    body.json("messages", &ours);
    body.number(if is_newer { "max_completion_tokens" } else { "max_tokens" }, request.max_tokens.max(1));
    if endpoint.stream {
        body.json("stream", "true");
        body.object("stream_options", &[("include_usage", "true")]);
    }
}

pub(super) fn take(draft: &mut Draft, value: &Value<'_>) {
    draft.charge(value.get("usage"), &["prompt_tokens"], &["completion_tokens"]);
    let Some(choices) = value.get("choices").and_then(Value::as_array) else { return };
    draft.known = true;
    for choice in choices {
        if matches!(choice.get("index"), Some(Value::Number(index)) if *index > 0.0) {
            continue;
        }
        if let Some(delta) = choice.get_some("delta") {
            push_content(delta, draft);
            draft.refuse(text_of(delta, "refusal"));
        }
        // Some services end a stream with the whole message.
        if let Some(message) = choice.get_some("message") {
            let streamed = std::mem::take(&mut draft.text);
            push_content(message, draft);
            if draft.text.is_empty() {
                draft.text = streamed;
            }
            draft.refuse(text_of(message, "refusal"));
            draft.settle();
        }
        draft.ended(text_of(choice, "finish_reason"));
    }
}

/// The text of a field; empty without one.
pub(super) fn text_of<'v>(value: &'v Value<'_>, key: &str) -> &'v str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// Content is a text, or a list of parts of which some are text.
fn push_content(message: &Value<'_>, draft: &mut Draft) {
    match message.get("content") {
        Some(Value::String(text)) => draft.add(text),
        Some(Value::Array(parts)) => {
            for part in parts {
                match text_of(part, "type") {
                    "text" | "output_text" => draft.add(text_of(part, "text")),
                    "refusal" => draft.refuse(text_of(part, "refusal")),
                    _ => draft.add(part.as_str().unwrap_or_default()),
                }
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::super::Wire::OpenaiChat;
    use super::super::testing::{
        body_of, check_every_beginning, class, endpoint, message, read_as, read_json, read_stream, request, told,
    };
    use super::Behind;
    use crate::provider::{ErrorClass, Stop};

    const STREAM: &str = concat!(
        ": OPENROUTER PROCESSING\n\n",
        r#"data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"gpt-5-mini","choices":[{"index":0,"delta":{"role":"assistant","content":"","refusal":null},"logprobs":null,"finish_reason":null}],"usage":null}"#,
        "\n\n",
        r#"data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"gpt-5-mini","choices":[{"index":0,"delta":{"reasoning_content":"Hm."},"finish_reason":null}],"usage":null}"#,
        "\n\n",
        r#"data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"gpt-5-mini","choices":[{"index":0,"delta":{"content":"Grüße "},"finish_reason":null}],"usage":null}"#,
        "\n\n",
        r#"data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"gpt-5-mini","choices":[{"index":0,"delta":{"content":"ha"},"finish_reason":null}],"usage":null}"#,
        "\n\n",
        r#"data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"gpt-5-mini","choices":[{"index":0,"delta":{"content":"ha"},"finish_reason":null}],"usage":null}"#,
        "\n\n",
        r#"data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"gpt-5-mini","choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":null}"#,
        "\n\n",
        r#"data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"gpt-5-mini","choices":[],"usage":{"prompt_tokens":19,"completion_tokens":10,"total_tokens":29,"prompt_tokens_details":{"cached_tokens":4}}}"#,
        "\n\n",
        "data: [DONE]\n\n",
    );

    fn whole(message: &str, finish: &str) -> String {
        [
            r#"{"id":"chatcmpl-1","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":"#,
            message,
            r#","logprobs":null,"finish_reason":"#,
            finish,
            r#"}],"usage":{"prompt_tokens":19,"completion_tokens":10,"total_tokens":29},"service_tier":"default"}"#,
        ]
        .concat()
    }

    #[test]
    fn a_request_may_stand_behind_the_beginning_of_the_chat() {
        let behind =
            Behind { messages: r#"{"role":"system","content":"S"},{"role":"user","content":"U"}"#, tools: "[{}]" };
        let outgoing =
            endpoint(OpenaiChat, "http://x/v1").outgoing_behind(&request(vec![message("user", "Hi")]), behind);
        assert_eq!(
            outgoing.body,
            r#"{"model":"some-model","tools":[{}],"tool_choice":"none","messages":[{"role":"system","content":"S"},{"role":"user","content":"U"},{"role":"user","content":"Hi"}],"max_tokens":512}"#
        );
    }

    #[test]
    fn a_request_has_the_messages_and_the_limit() {
        assert_eq!(
            body_of(&endpoint(OpenaiChat, "http://localhost:8000/v1")),
            r#"{"model":"some-model","messages":[{"role":"user","content":"Hi \"you\"\n\u0001é"}],"max_tokens":512}"#
        );
    }

    #[test]
    fn a_stream_is_asked_to_end_with_its_usage() {
        let mut endpoint = endpoint(OpenaiChat, "http://localhost:8000/v1");
        endpoint.stream = true;
        assert!(
            body_of(&endpoint).ends_with(r#","max_tokens":512,"stream":true,"stream_options":{"include_usage":true}}"#)
        );
    }

    #[test]
    fn the_hosts_that_have_a_new_name_for_the_limit_get_it() {
        for base in [
            "https://api.openai.com/v1",
            "https://API.OpenAI.com:443/v1/chat/completions",
            "https://me.openai.azure.com/openai/deployments/d",
        ] {
            assert!(body_of(&endpoint(OpenaiChat, base)).contains(r#","max_completion_tokens":512"#), "{base}");
        }
        for base in [
            "https://api.openai.com.example/v1",
            "https://example.com/api.openai.com",
            "/api.openai.com/v1",
            "https://api.openai.com@example.com",
        ] {
            assert!(body_of(&endpoint(OpenaiChat, base)).contains(r#","max_tokens":512"#), "{base}");
        }
    }

    #[test]
    fn a_whole_answer_is_read_with_its_usage_and_end() {
        for (finish, stop) in [
            (r#""stop""#, Stop::End),
            (r#""length""#, Stop::Length),
            (r#""model_length""#, Stop::Length),
            (r#""tool_calls""#, Stop::End),
            ("null", Stop::End),
        ] {
            let body =
                whole(r#"{"role":"assistant","content":"Hello","reasoning_content":"Hm.","refusal":null}"#, finish);
            assert_eq!(told(read_json(OpenaiChat, &body)), ("Hello".to_owned(), Some((19, 10)), stop), "{finish}");
        }
    }

    #[test]
    fn content_may_be_a_list_of_parts() {
        let body = whole(
            r#"{"role":"assistant","content":[{"type":"thinking","thinking":[{"type":"text","text":"Hm."}]},{"type":"text","text":"Hel"},{"type":"text","text":"lo"}]}"#,
            r#""stop""#,
        );
        assert_eq!(told(read_json(OpenaiChat, &body)).0, "Hello");
    }

    #[test]
    fn what_is_no_answer_has_its_class() {
        for (message, finish, expected) in [
            (r#"{"content":null,"refusal":"I can't help with that."}"#, r#""stop""#, ErrorClass::Refused),
            (r#"{"content":"Half of"}"#, r#""content_filter""#, ErrorClass::Refused),
            (r#"{"content":""}"#, r#""length""#, ErrorClass::Truncated),
            (r#"{"content":" \n"}"#, r#""stop""#, ErrorClass::Blank),
            (r#"{"content":null,"tool_calls":[]}"#, r#""tool_calls""#, ErrorClass::Blank),
            (r#"{"content":"Half of"}"#, r#""error""#, ErrorClass::Unavailable),
            (r#"{"content":"Half of"}"#, r#""model_context_window_exceeded""#, ErrorClass::ContextLength),
        ] {
            assert_eq!(class(read_json(OpenaiChat, &whole(message, finish))), expected, "{message} {finish}");
        }
    }

    #[test]
    fn a_stream_is_read_wherever_it_is_cut() {
        assert_eq!(told(read_stream(OpenaiChat, STREAM)), ("Grüße haha".to_owned(), Some((19, 10)), Stop::End));
        check_every_beginning(OpenaiChat, "text/event-stream", STREAM);
    }

    #[test]
    fn a_stream_need_not_say_that_it_is_done() {
        let stream = STREAM.replace("data: [DONE]\n\n", "");
        assert_eq!(told(read_stream(OpenaiChat, &stream)).0, "Grüße haha");
        let stream = STREAM.replace(r#""stop""#, "null");
        assert_eq!(told(read_stream(OpenaiChat, &stream)).0, "Grüße haha", "[DONE] is an end, too");
    }

    #[test]
    fn a_stream_without_an_end_is_no_answer() {
        let stream = STREAM.replace("data: [DONE]\n\n", "").replace(r#""stop""#, "null");
        assert_eq!(class(read_stream(OpenaiChat, &stream)), ErrorClass::Truncated);
    }

    #[test]
    fn events_that_come_twice_say_nothing_new() {
        let events: Vec<&str> = STREAM.split_inclusive("\n\n").collect();
        let doubled: String = events.iter().flat_map(|event| [*event, *event]).collect();
        assert_eq!(told(read_stream(OpenaiChat, &doubled)), ("Grüße haha".to_owned(), Some((19, 10)), Stop::End));
        let last_three: String = events.iter().chain(&events[events.len() - 3..]).copied().collect();
        assert_eq!(told(read_stream(OpenaiChat, &last_three)), ("Grüße haha".to_owned(), Some((19, 10)), Stop::End));
    }

    #[test]
    fn words_may_come_twice_from_the_first_one_on() {
        let words = ["ha", "ha", "no", "no"].map(|word| {
            ["data: {\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"", word, "\"}}]}\n\n"].concat()
        });
        assert_eq!(told(read_stream(OpenaiChat, &[&words.concat(), "data: [DONE]\n\n"].concat())).0, "hahanono");
    }

    #[test]
    fn no_reason_to_end_may_be_written_as_one() {
        for reason in ["null", "\"null\"", "\"\""] {
            let chunk =
                ["data: {\"choices\":[{\"delta\":{\"content\":\"Hel\"},\"finish_reason\":", reason, "}]}\n\n"].concat();
            assert_eq!(class(read_stream(OpenaiChat, &chunk)), ErrorClass::Truncated, "{reason}");
        }
    }

    #[test]
    fn an_end_that_comes_with_text_and_comes_twice_counts_once() {
        let last =
            concat!(r#"data: {"choices":[{"index":0,"delta":{"content":"Hello"},"finish_reason":"stop"}]}"#, "\n\n");
        assert_eq!(told(read_stream(OpenaiChat, &[last, last].concat())).0, "Hello");
    }

    #[test]
    fn a_message_at_the_end_of_a_stream_takes_the_place_of_its_pieces() {
        let stream = concat!(
            r#"data: {"choices":[{"index":0,"delta":{"content":"Hel"}}]}"#,
            "\n\n",
            r#"data: {"choices":[{"index":0,"delta":{"content":"lo"}}]}"#,
            "\n\n",
            r#"data: {"object":"chat.completion","choices":[{"index":0,"finish_reason":"stop","message":{"content":"Hello"}}]}"#,
            "\n\n",
        );
        assert_eq!(told(read_stream(OpenaiChat, stream)).0, "Hello");
    }

    #[test]
    fn only_the_first_of_several_choices_is_read() {
        let stream = concat!(
            r#"data: {"choices":[{"index":0,"delta":{"content":"Hello"},"finish_reason":"stop"},{"index":1,"delta":{"content":"Goodbye"},"finish_reason":"length"}]}"#,
            "\n\n",
        );
        assert_eq!(told(read_stream(OpenaiChat, stream)), ("Hello".to_owned(), None, Stop::End));
    }

    #[test]
    fn an_error_in_a_stream_has_its_class() {
        let begun = concat!(r#"data: {"choices":[{"index":0,"delta":{"content":"Hel"}}]}"#, "\n\n");
        for (error, expected) in [
            (
                r#"data: {"error":{"message":"The server had an error","type":"server_error","code":null}}"#,
                ErrorClass::Unavailable,
            ),
            (
                r#"data: {"id":"gen-1","error":{"code":502,"message":"Provider disconnected"},"choices":[{"delta":{"content":""},"finish_reason":"error"}]}"#,
                ErrorClass::Unavailable,
            ),
            (r#"data: {"error":{"code":429,"message":"Slow down"}}"#, ErrorClass::RateLimited),
            (r#"data: {"error":"upstream is gone"}"#, ErrorClass::Unavailable),
            ("event: error\ndata: {\"message\":\"no\",\"type\":\"invalid_request_error\"}", ErrorClass::BadRequest),
            (
                r#"data: {"error":{"message":"This model's maximum context length is 8192 tokens. However, your messages resulted in 8545 tokens.","code":"context_length_exceeded"}}"#,
                ErrorClass::ContextLength,
            ),
        ] {
            assert_eq!(class(read_stream(OpenaiChat, &[begun, error, "\n\n"].concat())), expected, "{error}");
        }
    }

    #[test]
    fn answers_come_whole_to_who_asked_for_a_stream_and_the_other_way_round() {
        let body = whole(r#"{"content":"Hello"}"#, r#""stop""#);
        for content_type in ["text/event-stream", "text/plain", "", "application/x-ndjson"] {
            assert_eq!(told(read_as(OpenaiChat, content_type, &body)).0, "Hello", "{content_type}");
        }
        for content_type in ["application/json", "text/plain", ""] {
            assert_eq!(told(read_as(OpenaiChat, content_type, STREAM)).0, "Grüße haha", "{content_type}");
        }
        let lines = STREAM
            .replace("data: ", "")
            .replace("\n\n", "\n")
            .replace("[DONE]\n", "")
            .replace(": OPENROUTER PROCESSING\n", "");
        for content_type in ["application/json", "application/x-ndjson"] {
            assert_eq!(told(read_as(OpenaiChat, content_type, &lines)).0, "Grüße haha", "{content_type}");
        }
    }
}
