//! Helpers for the tests of the wires.

use super::{Endpoint, Head, Reader, Wire};
use crate::provider::{Answer, ErrorClass, ProviderError, Purpose, Request, RequestMessage, Usage};

/// A head of this status and content type.
pub(crate) fn head(status: u16, content_type: &str) -> Head<'_> {
    Head { status, content_type, retry_after: None, retry_after_ms: None, now_ms: 0.0 }
}

/// Reads a body that comes in these pieces.
pub(crate) fn read_pieces<'b>(
    wire: Wire,
    head: &Head<'_>,
    pieces: impl IntoIterator<Item = &'b [u8]>,
) -> Result<Answer, ProviderError> {
    let mut reader = Reader::new(wire, head);
    for piece in pieces {
        reader.push(piece)?;
    }
    reader.finish()
}

/// Reads a body at once.
pub(crate) fn read_as(wire: Wire, content_type: &str, body: &str) -> Result<Answer, ProviderError> {
    read_pieces(wire, &head(200, content_type), [body.as_bytes()])
}

/// Reads an answer of JSON.
pub(crate) fn read_json(wire: Wire, body: &str) -> Result<Answer, ProviderError> {
    read_as(wire, "application/json", body)
}

/// Reads a stream of events, whole, in two pieces cut anywhere, and byte by byte: it must make no difference.
pub(crate) fn read_stream(wire: Wire, body: &str) -> Result<Answer, ProviderError> {
    let head = head(200, "text/event-stream; charset=utf-8");
    let whole = read_pieces(wire, &head, [body.as_bytes()]);
    for at in 0..=body.len() {
        let (first, second) = body.as_bytes().split_at(at);
        assert_eq!(read_pieces(wire, &head, [first, second]), whole, "cut at {at}");
    }
    assert_eq!(read_pieces(wire, &head, body.as_bytes().chunks(1)), whole, "byte by byte");
    whole
}

/// The text, usage and end of an answer; panics where there is none.
pub(crate) fn told(answer: Result<Answer, ProviderError>) -> (String, Option<(u64, u64)>, crate::provider::Stop) {
    let Answer { text, usage, stop } = answer.expect("an answer");
    (text, usage.map(|Usage { input_tokens, output_tokens }| (input_tokens, output_tokens)), stop)
}

pub(crate) fn class(answer: Result<Answer, ProviderError>) -> ErrorClass {
    answer.expect_err("no answer").class
}

/// Every beginning of a stream is the whole answer or a failure: nothing that is cut off passes for an answer.
pub(crate) fn check_every_beginning(wire: Wire, content_type: &str, body: &str) {
    let whole = read_as(wire, content_type, body);
    assert!(whole.is_ok());
    for at in 0..body.len() {
        let cut = read_pieces(wire, &head(200, content_type), [&body.as_bytes()[..at]]);
        match &cut {
            Ok(answer) => assert_eq!(answer.text, whole.as_ref().unwrap().text, "cut at {at}"),
            Err(error) => assert!(
                matches!(error.class, ErrorClass::Truncated | ErrorClass::Blank | ErrorClass::Malformed),
                "cut at {at}: {error}"
            ),
        }
    }
}

pub(crate) fn message(role: &str, content: &str) -> RequestMessage {
    RequestMessage { role: role.to_owned(), content: content.to_owned() }
}

pub(crate) fn request(messages: Vec<RequestMessage>) -> Request {
    Request {
        number: 1,
        purpose: Purpose::Summary,
        messages,
        tokens: 3_000,
        max_tokens: 512,
        timeout_ms: 1_000,
        prefix: None,
    }
}

pub(crate) fn endpoint(wire: Wire, base_url: &str) -> Endpoint {
    Endpoint {
        wire,
        base_url: base_url.to_owned(),
        model: "some-model".to_owned(),
        query: Vec::new(),
        body: None,
        stream: false,
    }
}

/// The body of a request for one user message.
pub(crate) fn body_of(endpoint: &Endpoint) -> String {
    endpoint.outgoing(&request(vec![message("user", "Hi \"you\"\n\u{1}é")])).body
}
