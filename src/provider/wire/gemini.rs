//! Gemini `generateContent`.

use super::draft::Draft;
use super::openai_chat::text_of;
use super::request::{Body, messages, push_encoded, quoted, system};
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
    push_encoded(model, b"/@:", url);
    url.push_str(if stream { STREAM } else { WHOLE });
}

pub(super) fn write(body: &mut Body<'_>, request: &Request) {
    body.json("contents", &messages(request, false, push_message));
    body.object("generationConfig", &[("maxOutputTokens", &request.max_tokens.max(1).to_string())]);
    let system = system(request);
    if !system.is_empty() {
        let mut instruction = String::from("{");
        push_parts(&system, &mut instruction);
        body.json("systemInstruction", &instruction);
    }
}

fn push_message(message: &RequestMessage, out: &mut String) {
    out.push_str(if message.role == "assistant" { r#"{"role":"model","# } else { r#"{"role":"user","# });
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

#[cfg(test)]
mod tests {
    use super::super::Wire::Gemini;
    use super::super::testing::{
        body_of, check_every_beginning, class, endpoint, message, read_json, read_stream, request, told,
    };
    use crate::provider::{ErrorClass, Stop};

    const CHUNKS: [&str; 3] = [
        r#"{"candidates":[{"content":{"parts":[{"text":"Hm.","thought":true},{"text":"Grüße "}],"role":"model"},"index":0}],"usageMetadata":{"promptTokenCount":12,"totalTokenCount":40,"thoughtsTokenCount":28},"modelVersion":"gemini-2.5-flash","responseId":"r"}"#,
        r#"{"candidates":[{"content":{"parts":[{"text":"ha"},{"text":"ha"}],"role":"model"},"index":0}],"usageMetadata":{"promptTokenCount":12,"candidatesTokenCount":3,"totalTokenCount":43,"thoughtsTokenCount":28},"modelVersion":"gemini-2.5-flash","responseId":"r"}"#,
        r#"{"candidates":[{"content":{"parts":[{"text":""}],"role":"model"},"finishReason":"STOP","index":0}],"usageMetadata":{"promptTokenCount":12,"candidatesTokenCount":4,"totalTokenCount":44,"thoughtsTokenCount":28},"modelVersion":"gemini-2.5-flash","responseId":"r"}"#,
    ];

    fn events(chunks: &[&str]) -> String {
        chunks.iter().map(|chunk| ["data: ", chunk, "\r\n\r\n"].concat()).collect()
    }

    fn whole(content: &str, finish: &str) -> String {
        [
            r#"{"candidates":[{"content":"#,
            content,
            r#","finishReason":""#,
            finish,
            r#"","index":0,"safetyRatings":[]}],"usageMetadata":{"promptTokenCount":12,"candidatesTokenCount":4}}"#,
        ]
        .concat()
    }

    const HELLO: &str = r#"{"parts":[{"text":"Hel"},{"text":"lo"}],"role":"model"}"#;

    #[test]
    fn a_request_has_contents_and_the_limit() {
        let mut endpoint = endpoint(Gemini, "https://generativelanguage.googleapis.com");
        let expected = r#"{"contents":[{"role":"user","parts":[{"text":"Hi \"you\"\n\u0001é"}]}],"generationConfig":{"maxOutputTokens":512}}"#;
        assert_eq!(body_of(&endpoint), expected);
        endpoint.stream = true;
        assert_eq!(body_of(&endpoint), expected, "the address says that it is a stream");
    }

    #[test]
    fn models_and_systems_have_names_of_their_own() {
        let messages = vec![
            message("system", "Be terse."),
            message("user", "Hi"),
            message("assistant", "Hello"),
            message("user", "And?"),
        ];
        assert_eq!(
            endpoint(Gemini, "").outgoing(&request(messages)).body,
            r#"{"contents":[{"role":"user","parts":[{"text":"Hi"}]},{"role":"model","parts":[{"text":"Hello"}]},{"role":"user","parts":[{"text":"And?"}]}],"generationConfig":{"maxOutputTokens":512},"systemInstruction":{"parts":[{"text":"Be terse."}]}}"#
        );
    }

    #[test]
    fn a_whole_answer_is_read_with_its_usage_and_end() {
        let hello = |stop| ("Hello".to_owned(), Some((12, 4)), stop);
        assert_eq!(told(read_json(Gemini, &whole(HELLO, "STOP"))), hello(Stop::End));
        assert_eq!(told(read_json(Gemini, &whole(HELLO, "MAX_TOKENS"))), hello(Stop::Length));
        assert_eq!(told(read_json(Gemini, &whole(HELLO, ""))), hello(Stop::End));
    }

    #[test]
    fn what_is_no_answer_has_its_class() {
        for reason in ["SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII"] {
            assert_eq!(class(read_json(Gemini, &whole(HELLO, reason))), ErrorClass::Refused, "{reason}");
        }
        for (body, expected) in [
            (whole(r#"{"role":"model"}"#, "MAX_TOKENS"), ErrorClass::Truncated),
            (whole(r#"{"parts":[{"text":"Hm.","thought":true}]}"#, "STOP"), ErrorClass::Blank),
            (whole("{}", "MALFORMED_FUNCTION_CALL"), ErrorClass::Blank),
            (
                r#"{"promptFeedback":{"blockReason":"OTHER"},"usageMetadata":{"promptTokenCount":12}}"#.to_owned(),
                ErrorClass::Refused,
            ),
            (r#"{"usageMetadata":{"promptTokenCount":12}}"#.to_owned(), ErrorClass::Blank),
            (
                r#"[{"error":{"code":503,"message":"The model is overloaded.","status":"UNAVAILABLE"}}]"#.to_owned(),
                ErrorClass::Unavailable,
            ),
        ] {
            assert_eq!(class(read_json(Gemini, &body)), expected, "{body}");
        }
    }

    #[test]
    fn a_stream_is_read_wherever_it_is_cut() {
        let stream = events(&CHUNKS);
        assert_eq!(told(read_stream(Gemini, &stream)), ("Grüße haha".to_owned(), Some((12, 32)), Stop::End));
        check_every_beginning(Gemini, "text/event-stream", &stream);
    }

    #[test]
    fn a_stream_may_be_a_list_of_chunks() {
        let list = ["[", &CHUNKS.join("\n,\r\n"), "\n]\n"].concat();
        assert_eq!(told(read_json(Gemini, &list)), ("Grüße haha".to_owned(), Some((12, 32)), Stop::End));
        check_every_beginning(Gemini, "application/json", &list);
    }

    #[test]
    fn older_models_say_that_they_stop_with_every_chunk() {
        let stopping = CHUNKS.map(|chunk| chunk.replace(r#""index":0}]"#, r#""finishReason":"STOP","index":0}]"#));
        let stopping: Vec<&str> = stopping.iter().map(String::as_str).collect();
        assert_eq!(told(read_stream(Gemini, &events(&stopping))).0, "Grüße haha");
        let list = ["[", &stopping.join(","), "]"].concat();
        assert_eq!(told(read_json(Gemini, &list)).0, "Grüße haha");
    }

    #[test]
    fn a_stop_before_the_text_is_not_the_end() {
        let stop = r#"{"candidates":[{"content":{"parts":[]},"finishReason":"STOP"}]}"#;
        assert_eq!(told(read_stream(Gemini, &events(&[stop, stop, CHUNKS[0], CHUNKS[1], stop]))).0, "Grüße haha");
        assert_eq!(class(read_stream(Gemini, &events(&[stop, CHUNKS[0], CHUNKS[1]]))), ErrorClass::Truncated);
    }

    #[test]
    fn a_last_chunk_that_comes_twice_says_nothing_new() {
        let last = r#"{"candidates":[{"content":{"parts":[{"text":" end"}]},"finishReason":"STOP"}]}"#;
        assert_eq!(told(read_stream(Gemini, &events(&[CHUNKS[0], last, last]))).0, "Grüße  end");
    }

    #[test]
    fn a_stream_that_fails_or_has_no_end_is_no_answer() {
        assert_eq!(class(read_stream(Gemini, &events(&CHUNKS[..2]))), ErrorClass::Truncated);
        let error = r#"{"error":{"code":429,"message":"Quota exceeded","status":"RESOURCE_EXHAUSTED","details":[{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"12.5s"}]}}"#;
        let failed = read_stream(Gemini, &events(&[CHUNKS[0], error])).unwrap_err();
        assert_eq!((failed.class, failed.retry_after_ms), (ErrorClass::RateLimited, Some(12_500)));
    }
}
