//! Requests: the address, and a body of our fields and those of the host.

use super::{Endpoint, Wire, anthropic, gemini, ollama, openai_chat, openai_responses};
use crate::json;
use crate::provider::{Request, RequestMessage};
use crate::text::find;
use crate::value::Value;

/// A request, but for its credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outgoing {
    /// Where to, with the query.
    pub url: String,
    /// Names in lower case, and values. No credentials: the caller adds them.
    pub headers: Vec<(&'static str, String)>,
    /// JSON. The method is `POST`.
    pub body: String,
}

/// The beginning of the chat, as JSON texts; empty where there is none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Behind<'b> {
    /// Messages, joined by commas.
    pub messages: &'b str,
    /// The list of tools. They come before the messages in what a prompt cache holds.
    pub tools: &'b str,
}

impl Endpoint {
    /// The request for one completion.
    #[must_use]
    pub fn outgoing(&self, request: &Request) -> Outgoing {
        self.outgoing_behind(request, Behind::default())
    }

    /// The same behind the beginning of the chat, as it was sent: for the chat's own model, spoken to in the chat's own
    /// format. Only Chat Completions so far; the others leave it out.
    #[must_use]
    pub fn outgoing_behind(&self, request: &Request, behind: Behind<'_>) -> Outgoing {
        let mut body = Body::new(self.body.as_deref());
        match self.wire {
            Wire::OpenaiChat => openai_chat::write(&mut body, self, request, behind),
            Wire::OpenaiResponses => openai_responses::write(&mut body, self, request),
            Wire::Anthropic => anthropic::write(&mut body, self, request),
            Wire::Gemini => gemini::write(&mut body, request),
            Wire::Ollama => ollama::write(&mut body, self, request),
        }
        let accept = match (self.stream, self.wire) {
            (false, _) => "application/json",
            (true, Wire::Ollama) => "application/x-ndjson, application/json",
            (true, _) => "text/event-stream, application/json",
        };
        let mut headers = vec![("content-type", "application/json".to_owned()), ("accept", accept.to_owned())];
        if self.wire == Wire::Anthropic {
            headers.push(("anthropic-version", anthropic::VERSION.to_owned()));
        }
        Outgoing { url: self.url(), headers, body: body.finish() }
    }

    /// The name of the host in the base address, without its port; empty for an address without a host.
    pub(super) fn host(&self) -> &str {
        let base = self.base_url.trim();
        let after = base.get(until(base, b":").len()..).and_then(|rest| rest.strip_prefix("://"));
        let authority = until(after.unwrap_or_default(), b"/?#");
        until(last(authority, b'@'), b":")
    }

    fn url(&self) -> String {
        let base = until(self.base_url.trim(), b"#");
        let path = until(base, b"?");
        let query = base.get(path.len() + 1..).unwrap_or_default();
        let mut url = path.to_owned();
        while url.ends_with('/') {
            url.pop();
        }
        self.push_path(&mut url);
        let asks_for_events = self.wire == Wire::Gemini && url.ends_with(gemini::STREAM);
        let mut mark = '?';
        let mut push = |name: &str, value: Option<&str>| {
            url.push(mark);
            mark = '&';
            match value {
                None => url.push_str(name),
                Some(value) => {
                    push_encoded(name, b"", &mut url);
                    url.push('=');
                    push_encoded(value, b"", &mut url);
                }
            }
        };
        let mut has_alt = query.starts_with("alt=") || find(query, "&alt=").is_some();
        if !query.is_empty() {
            push(query, None);
        }
        for (name, value) in &self.query {
            has_alt |= name == "alt";
            push(name, Some(value));
        }
        if asks_for_events && !has_alt {
            push("alt", Some("sse"));
        }
        url
    }

    /// Adds what the base address lacks of the path.
    fn push_path(&self, url: &mut String) {
        let last = last(url, b'/');
        let versioned = matches!(last.as_bytes(), [b'v', b'0'..=b'9', ..]);
        let (full, prefix) = match self.wire {
            Wire::OpenaiChat => ("/chat/completions", ""),
            Wire::OpenaiResponses => ("/responses", ""),
            Wire::Anthropic => ("/messages", if versioned { "" } else { "/v1" }),
            Wire::Ollama => ("/chat", if last == "api" { "" } else { "/api" }),
            Wire::Gemini => (gemini::WHOLE, if versioned || last == "google" { "" } else { "/v1beta" }),
        };
        if url.ends_with(full) || (self.wire == Wire::Gemini && url.ends_with(gemini::STREAM)) {
            return;
        }
        url.push_str(prefix);
        if self.wire == Wire::Gemini {
            gemini::push_path(&self.model, self.stream, url);
        } else {
            url.push_str(full);
        }
    }
}

/// A field of the host, and the field of ours that contradicts it.
const EXCLUDED: [(&str, &str); 3] =
    [("max_tokens", "max_completion_tokens"), ("max_completion_tokens", "max_tokens"), ("stream", "stream_options")];

/// What a host writes to have a field left out.
const NONE: &str = "null";

/// A JSON object: our fields, but for those that the host gives, and the host's as it wrote them.
pub(super) struct Body<'h> {
    out: String,
    host: Vec<(&'h str, &'h str)>,
}

impl<'h> Body<'h> {
    fn new(host: Option<&'h str>) -> Self {
        Self { out: String::from("{"), host: host.and_then(entries).unwrap_or_default() }
    }

    fn host(&self, name: &str) -> Option<&'h str> {
        self.host.iter().find(|(known, _)| *known == name).map(|(_, json)| *json)
    }

    /// One of our fields, as JSON text.
    pub(super) fn json(&mut self, name: &str, json: &str) {
        let excluded = |(theirs, ours): &(&str, &str)| *ours == name && self.host(theirs).is_some();
        if self.host(name).is_none() && !EXCLUDED.iter().any(excluded) {
            self.push(name, json);
        }
    }

    /// One of our fields that is a text.
    pub(super) fn text(&mut self, name: &str, text: &str) {
        self.json(name, &quoted(text));
    }

    /// One of our fields that is a number.
    pub(super) fn number(&mut self, name: &str, number: u64) {
        self.json(name, &number.to_string());
    }

    /// One of our fields that is an object of these fields. It is joined with the host's field by field: who sets a
    /// temperature still wants the limits.
    pub(super) fn object(&mut self, name: &str, fields: &[(&str, &str)]) {
        let host = self.host(name);
        let mut inner = Body::new(host);
        for (name, json) in fields {
            inner.json(name, json);
        }
        let json = inner.finish();
        let given = self.host.iter_mut().find(|(known, host)| *known == name && host.starts_with('{'));
        if let Some((_, host)) = given {
            *host = NONE;
            self.push(name, &json);
        } else {
            self.json(name, &json);
        }
    }

    fn push(&mut self, name: &str, json: &str) {
        if self.out.len() > 1 {
            self.out.push(',');
        }
        for part in ["\"", name, "\":", json] {
            self.out.push_str(part);
        }
    }

    fn finish(mut self) -> String {
        for (name, json) in std::mem::take(&mut self.host) {
            if json != NONE {
                self.push(name, json);
            }
        }
        self.out.push('}');
        self.out
    }
}

/// The fields of a JSON object, names and values as they are written. `None` when the text is no JSON object.
fn entries(text: &str) -> Option<Vec<(&str, &str)>> {
    let Ok(Value::Object(_)) = json::parse(text, None) else { return None };
    let mut rest = text.trim().strip_prefix('{')?.strip_suffix('}')?;
    let mut fields: Vec<(&str, &str)> = Vec::new();
    while !rest.trim_ascii().is_empty() {
        let end = outside(rest, b',').unwrap_or(rest.len());
        let field = rest.get(..end)?;
        let colon = outside(field, b':')?;
        let name = field.get(..colon)?.trim_ascii().strip_prefix('"')?.strip_suffix('"')?;
        let json = field.get(colon + 1..)?.trim_ascii();
        match fields.iter_mut().find(|(known, _)| *known == name) {
            // The last of two equal names counts.
            Some(field) => field.1 = json,
            None => fields.push((name, json)),
        }
        rest = rest.get(end + 1..).unwrap_or_default();
    }
    Some(fields)
}

/// Where a byte first stands outside of strings, lists and objects.
fn outside(text: &str, wanted: u8) -> Option<usize> {
    let (mut depth, mut quoted, mut escaped) = (0, false, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = quoted,
            b'"' => quoted = !quoted,
            _ if quoted => {}
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth -= 1,
            _ if depth == 0 && byte == wanted => return Some(at),
            _ => {}
        }
    }
    None
}

/// A JSON list of messages, each written by `write`; with or without what the system says.
pub(super) fn messages(request: &Request, all: bool, write: fn(&RequestMessage, &mut String)) -> String {
    let mut out = String::from("[");
    for message in &request.messages {
        if all || !is_system(message) {
            if out.len() > 1 {
                out.push(',');
            }
            write(message, &mut out);
        }
    }
    out.push(']');
    out
}

/// `{"role": ..., "content": ...}`.
pub(super) fn push_message(message: &RequestMessage, out: &mut String) {
    for part in [r#"{"role":"#, &quoted(&message.role), r#","content":"#, &quoted(&message.content), "}"] {
        out.push_str(part);
    }
}

/// Whether a message instructs rather than talks; some services take such messages apart from the others.
fn is_system(message: &RequestMessage) -> bool {
    message.role == "system" || message.role == "developer"
}

/// The texts of all system messages, a blank line between them.
pub(super) fn system(request: &Request) -> String {
    let mut out = String::new();
    for message in &request.messages {
        if is_system(message) {
            if !out.is_empty() {
                out.push_str("\n\n");
            }
            out.push_str(&message.content);
        }
    }
    out
}

/// A text as a JSON string.
pub(super) fn quoted(text: &str) -> String {
    let mut out = String::new();
    json::push_quoted(text, &mut out);
    out
}

/// Percent-encodes everything but what RFC 3986 calls unreserved and the characters in `also`.
pub(super) fn push_encoded(text: &str, also: &[u8], out: &mut String) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) || also.contains(&byte) {
            out.push(char::from(byte));
            continue;
        }
        out.push('%');
        for digit in [byte >> 4, byte & 15] {
            out.push(char::from(if digit < 10 { b'0' + digit } else { b'A' - 10 + digit }));
        }
    }
}

/// The text before the first of these bytes, which are ASCII.
pub(super) fn until<'t>(text: &'t str, stops: &[u8]) -> &'t str {
    let end = text.bytes().position(|byte| stops.contains(&byte));
    end.and_then(|end| text.get(..end)).unwrap_or(text)
}

/// The text after the last of these bytes, which is ASCII.
fn last(text: &str, byte: u8) -> &str {
    let at = text.bytes().rposition(|other| other == byte);
    at.and_then(|at| text.get(at + 1..)).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{body_of, endpoint, message, request};
    use super::super::{Endpoint, Wire};
    use super::entries;

    fn url(endpoint: &Endpoint) -> String {
        endpoint.outgoing(&request(vec![message("user", "Hi")])).url
    }

    #[test]
    fn an_address_gets_the_path_that_it_lacks() {
        use Wire::{Anthropic, Gemini, Ollama, OpenaiChat, OpenaiResponses};
        for (wire, base, expected) in [
            (OpenaiChat, "https://api.openai.com/v1", "https://api.openai.com/v1/chat/completions"),
            (OpenaiChat, " https://api.openai.com/v1// ", "https://api.openai.com/v1/chat/completions"),
            (OpenaiChat, "https://api.perplexity.ai", "https://api.perplexity.ai/chat/completions"),
            (OpenaiChat, "https://x.example/y/chat/completions", "https://x.example/y/chat/completions"),
            (OpenaiChat, "https://x.example/y/chat/completions/", "https://x.example/y/chat/completions"),
            (OpenaiChat, "/api/model#top", "/api/model/chat/completions"),
            (OpenaiChat, "", "/chat/completions"),
            (OpenaiChat, "https://x.example/v1?api-version=1", "https://x.example/v1/chat/completions?api-version=1"),
            (OpenaiResponses, "https://api.openai.com/v1", "https://api.openai.com/v1/responses"),
            (OpenaiResponses, "https://api.openai.com/v1/responses", "https://api.openai.com/v1/responses"),
            (Anthropic, "https://api.anthropic.com", "https://api.anthropic.com/v1/messages"),
            (Anthropic, "https://api.anthropic.com/v1/", "https://api.anthropic.com/v1/messages"),
            (Anthropic, "https://api.deepseek.com/anthropic", "https://api.deepseek.com/anthropic/v1/messages"),
            (Anthropic, "https://x.example/v1/messages", "https://x.example/v1/messages"),
            (Ollama, "http://localhost:11434", "http://localhost:11434/api/chat"),
            (Ollama, "http://localhost:11434/api/", "http://localhost:11434/api/chat"),
            (Ollama, "http://localhost:11434/api/chat", "http://localhost:11434/api/chat"),
            (Gemini, "https://g.example", "https://g.example/v1beta/models/some-model:generateContent"),
            (Gemini, "https://g.example/v1", "https://g.example/v1/models/some-model:generateContent"),
            (
                Gemini,
                "https://g.example/v1/publishers/google",
                "https://g.example/v1/publishers/google/models/some-model:generateContent",
            ),
            (Gemini, "https://g.example/m:generateContent", "https://g.example/m:generateContent"),
        ] {
            assert_eq!(url(&endpoint(wire, base)), expected, "{wire:?} {base}");
        }
    }

    #[test]
    fn a_stream_of_gemini_has_an_address_of_its_own() {
        for (base, model, expected) in [
            ("https://g.example/v1beta", "models/m", "https://g.example/v1beta/models/m:streamGenerateContent?alt=sse"),
            (
                "https://g.example/v1beta",
                "tunedModels/ä b",
                "https://g.example/v1beta/tunedModels/%C3%A4%20b:streamGenerateContent?alt=sse",
            ),
            (
                "https://g.example/v1beta?key=k",
                "m",
                "https://g.example/v1beta/models/m:streamGenerateContent?key=k&alt=sse",
            ),
            (
                "https://g.example/v1beta?alt=json",
                "m",
                "https://g.example/v1beta/models/m:streamGenerateContent?alt=json",
            ),
            ("https://g.example/m:streamGenerateContent", "m", "https://g.example/m:streamGenerateContent?alt=sse"),
            ("https://g.example/m:generateContent", "m", "https://g.example/m:generateContent"),
        ] {
            let endpoint = Endpoint { model: model.to_owned(), stream: true, ..endpoint(Wire::Gemini, base) };
            assert_eq!(url(&endpoint), expected, "{base}");
        }
    }

    #[test]
    fn a_query_is_encoded_and_added() {
        let mut endpoint = endpoint(Wire::OpenaiChat, "https://x.example/v1?a=b#c");
        endpoint.query =
            vec![("api-version".to_owned(), "2024-10-21".to_owned()), ("q q".to_owned(), "ä&=/?".to_owned())];
        assert_eq!(
            url(&endpoint),
            "https://x.example/v1/chat/completions?a=b&api-version=2024-10-21&q%20q=%C3%A4%26%3D%2F%3F"
        );
    }

    #[test]
    fn hosts_are_found_in_addresses() {
        for (base, expected) in [
            ("https://api.openai.com/v1", "api.openai.com"),
            ("http://user:pass@host.example:8080?x", "host.example"),
            ("//host.example", ""),
            ("/api:v1//x", ""),
            ("", ""),
        ] {
            assert_eq!(endpoint(Wire::OpenaiChat, base).host(), expected, "{base}");
        }
    }

    #[test]
    fn what_is_sent_and_wanted_is_said_in_headers() {
        for (wire, stream, accept) in [
            (Wire::OpenaiChat, false, "application/json"),
            (Wire::OpenaiChat, true, "text/event-stream, application/json"),
            (Wire::Ollama, true, "application/x-ndjson, application/json"),
        ] {
            let endpoint = Endpoint { stream, ..endpoint(wire, "") };
            let headers = endpoint.outgoing(&request(vec![message("user", "Hi")])).headers;
            assert_eq!(headers, [("content-type", "application/json".to_owned()), ("accept", accept.to_owned())]);
        }
    }

    fn chat(stream: bool, host: &str) -> String {
        body_of(&Endpoint {
            stream,
            body: Some(host.to_owned()),
            ..endpoint(Wire::OpenaiChat, "https://api.openai.com")
        })
        .replace(r#""messages":[{"role":"user","content":"Hi \"you\"\n\u0001é"}]"#, "M")
    }

    #[test]
    fn fields_of_the_host_come_as_they_are_written_and_win() {
        for (host, expected) in [
            (
                r#"{"temperature":0.10,"n":12345678901234567890}"#,
                r#"{"model":"some-model",M,"max_completion_tokens":512,"temperature":0.10,"n":12345678901234567890}"#,
            ),
            (
                " { \"model\" : \"other\" , \"a,\\\"}\":[1 , {\"b\":\"]\\\\\"}] } ",
                r#"{M,"max_completion_tokens":512,"model":"other","a,\"}":[1 , {"b":"]\\"}]}"#,
            ),
            (r#"{"max_tokens":9}"#, r#"{"model":"some-model",M,"max_tokens":9}"#),
            (r#"{"max_completion_tokens":9}"#, r#"{"model":"some-model",M,"max_completion_tokens":9}"#),
            (r#"{"max_tokens":1,"max_tokens":2}"#, r#"{"model":"some-model",M,"max_tokens":2}"#),
            (r#"{"max_completion_tokens":null}"#, r#"{"model":"some-model",M}"#),
            ("{ }", r#"{"model":"some-model",M,"max_completion_tokens":512}"#),
            ("", r#"{"model":"some-model",M,"max_completion_tokens":512}"#),
            ("[1]", r#"{"model":"some-model",M,"max_completion_tokens":512}"#),
            (r#"{"a":1"#, r#"{"model":"some-model",M,"max_completion_tokens":512}"#),
        ] {
            assert_eq!(chat(false, host), expected, "{host}");
        }
    }

    #[test]
    fn who_does_not_want_a_stream_is_not_asked_how() {
        assert_eq!(
            chat(true, r#"{"stream":false}"#),
            r#"{"model":"some-model",M,"max_completion_tokens":512,"stream":false}"#
        );
        assert!(chat(true, r#"{"stream_options":null}"#).ends_with(r#""max_completion_tokens":512,"stream":true}"#));
    }

    #[test]
    fn options_are_joined_field_by_field() {
        let mut endpoint = endpoint(Wire::Ollama, "");
        endpoint.body = Some(r#"{"options":{"temperature":0,"num_ctx":8192},"keep_alive":"5m"}"#.to_owned());
        assert!(body_of(&endpoint).ends_with(
            r#","stream":false,"options":{"num_predict":512,"temperature":0,"num_ctx":8192},"keep_alive":"5m"}"#
        ));
        endpoint.wire = Wire::Gemini;
        endpoint.body = Some(r#"{"generationConfig":{"temperature":0},"systemInstruction":{"parts":[]}}"#.to_owned());
        assert!(body_of(&endpoint).ends_with(
            r#"],"generationConfig":{"maxOutputTokens":512,"temperature":0},"systemInstruction":{"parts":[]}}"#
        ));
    }

    #[test]
    fn an_object_is_taken_apart_where_json_says() {
        assert_eq!(
            entries(r#" {"\"":"\\", "b" : {"c":[1,2,"}"]} ,"d":1e5}"#),
            Some(vec![("\\\"", r#""\\""#), ("b", r#"{"c":[1,2,"}"]}"#), ("d", "1e5")])
        );
        for text in ["", "null", "{", "{\"a\"}", "{}x", "[{}]"] {
            assert_eq!(entries(text), None, "{text}");
        }
    }
}
