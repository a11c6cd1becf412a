//! Ollama `/api/chat`.

use super::Endpoint;
use super::draft::Draft;
use super::openai_chat::text_of;
use super::request::{Body, messages, push_message};
use crate::provider::Request;
use crate::value::Value;

/// Windows are asked for in steps of so many tokens, so that requests of about the same size need no reloading.
const STEP: u64 = 1024;

pub(super) fn write(body: &mut Body<'_>, endpoint: &Endpoint, request: &Request) {
    let max_tokens = request.max_tokens.max(1);
    // Unless it is told how large a window is needed, Ollama cuts prompts to a small one and says nothing.
    let window = request.tokens.saturating_add(max_tokens).div_ceil(STEP).saturating_mul(STEP);
    body.text("model", &endpoint.model);
    body.json("messages", &messages(request, true, push_message));
    body.json("stream", if endpoint.stream { "true" } else { "false" });
    body.object("options", &[("num_predict", &max_tokens.to_string()), ("num_ctx", &window.to_string())]);
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

#[cfg(test)]
mod tests {
    use super::super::Wire::Ollama;
    use super::super::testing::{
        body_of, check_every_beginning, class, endpoint, head, message, read_as, read_json, read_pieces, request, told,
    };
    use crate::provider::{ErrorClass, Stop};

    const LINES: &str = concat!(
        r#"{"model":"llama3.2","created_at":"2026-01-01T00:00:00.0000001Z","message":{"role":"assistant","content":"Grüße "},"done":false}"#,
        "\n",
        r#"{"model":"llama3.2","created_at":"2026-01-01T00:00:00.0000002Z","message":{"role":"assistant","content":"","thinking":"Hm."},"done":false}"#,
        "\n",
        r#"{"model":"llama3.2","created_at":"2026-01-01T00:00:00.0000003Z","message":{"role":"assistant","content":"ha"},"done":false}"#,
        "\n",
        r#"{"model":"llama3.2","created_at":"2026-01-01T00:00:00.0000004Z","message":{"role":"assistant","content":"ha"},"done":false}"#,
        "\n",
        r#"{"model":"llama3.2","created_at":"2026-01-01T00:00:00.0000005Z","message":{"role":"assistant","content":""},"done_reason":"stop","done":true,"total_duration":1,"prompt_eval_count":26,"eval_count":29}"#,
        "\n",
    );

    fn whole(content: &str, reason: &str) -> String {
        [
            r#"{"model":"llama3.2","created_at":"2026-01-01T00:00:00.1Z","message":{"role":"assistant","content":""#,
            content,
            r#""},"done_reason":""#,
            reason,
            r#"","done":true,"prompt_eval_count":26,"eval_count":29}"#,
        ]
        .concat()
    }

    #[test]
    fn a_request_asks_for_a_window_that_holds_it() {
        let mut endpoint = endpoint(Ollama, "http://localhost:11434");
        assert_eq!(
            body_of(&endpoint),
            r#"{"model":"some-model","messages":[{"role":"user","content":"Hi \"you\"\n\u0001é"}],"stream":false,"options":{"num_predict":512,"num_ctx":4096}}"#
        );
        endpoint.stream = true;
        assert!(body_of(&endpoint).contains(r#","stream":true,"#));
        let window = |tokens| {
            let mut request = request(vec![message("user", "Hi")]);
            request.tokens = tokens;
            endpoint.outgoing(&request).body.split_once(r#""num_ctx":"#).unwrap().1.to_owned()
        };
        assert_eq!([window(512), window(513)], ["1024}}", "2048}}"]);
        assert!(window(u64::MAX).ends_with("}}"), "no overflow");
    }

    #[test]
    fn a_whole_answer_is_read_with_its_usage_and_end() {
        let hello = |stop| ("Hello".to_owned(), Some((26, 29)), stop);
        assert_eq!(told(read_json(Ollama, &whole("Hello", "stop"))), hello(Stop::End));
        assert_eq!(told(read_json(Ollama, &whole("Hello", "length"))), hello(Stop::Length));
        let pretty = whole("Hello", "stop").replace(",\"", ",\n  \"").replace("{\"model", "{\n  \"model");
        assert_eq!(told(read_json(Ollama, &pretty)), hello(Stop::End), "over several lines");
        assert_eq!(
            told(read_json(Ollama, r#"{"message":{"content":"Hello"}}"#)),
            ("Hello".to_owned(), None, Stop::End)
        );
    }

    #[test]
    fn what_is_no_answer_has_its_class() {
        for (body, expected) in [
            (whole("", "load"), ErrorClass::Blank),
            (whole("", "length"), ErrorClass::Truncated),
            (r#"{"error":"model requires more system memory"}"#.to_owned(), ErrorClass::Unavailable),
            (r#"{"error":"the input length exceeds the context length"}"#.to_owned(), ErrorClass::ContextLength),
            (r#"{"model":"llama3.2","message":{"content":"Hel"},"done":false}"#.to_owned(), ErrorClass::Truncated),
            (r#"{"models":[]}"#.to_owned(), ErrorClass::Malformed),
        ] {
            assert_eq!(class(read_json(Ollama, &body)), expected, "{body}");
        }
    }

    #[test]
    fn lines_are_read_wherever_they_are_cut() {
        let expected = ("Grüße haha".to_owned(), Some((26, 29)), Stop::End);
        for content_type in ["application/x-ndjson", "application/json", ""] {
            let head = head(200, content_type);
            for at in 0..=LINES.len() {
                let (first, second) = LINES.as_bytes().split_at(at);
                assert_eq!(told(read_pieces(Ollama, &head, [first, second])), expected, "cut at {at}");
            }
            assert_eq!(told(read_pieces(Ollama, &head, LINES.as_bytes().chunks(1))), expected);
            check_every_beginning(Ollama, content_type, LINES);
        }
        let events = LINES.replace("{\"model", "data: {\"model").replace('\n', "\n\n");
        assert_eq!(told(read_as(Ollama, "application/x-ndjson", &events)), expected, "as events");
    }

    #[test]
    fn lines_that_come_twice_say_nothing_new() {
        let doubled: String = LINES.split_inclusive('\n').flat_map(|line| [line, line]).collect();
        let answer = told(read_as(Ollama, "application/x-ndjson", &doubled));
        assert_eq!(answer, ("Grüße haha".to_owned(), Some((26, 29)), Stop::End));
    }

    #[test]
    fn an_error_among_the_lines_is_no_answer() {
        let first = LINES.split_inclusive('\n').next().unwrap();
        let body = [first, r#"{"error":"an error was encountered while running the model"}"#].concat();
        assert_eq!(class(read_as(Ollama, "application/x-ndjson", &body)), ErrorClass::Unavailable);
        assert_eq!(class(read_as(Ollama, "application/x-ndjson", first)), ErrorClass::Truncated);
        assert_eq!(class(read_as(Ollama, "application/x-ndjson", &[first, "oops\n"].concat())), ErrorClass::Malformed);
    }
}
