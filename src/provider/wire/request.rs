//! Requests: the address, and a body of our fields and those of the host.

use std::borrow::Cow;

use super::{Endpoint, Wire, anthropic, gemini, ollama, openai_chat, openai_responses};
use crate::json;
use crate::provider::{Request, RequestMessage};
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

/// Fields of a JSON object: names and JSON texts.
pub(super) type Fields<'f> = Vec<(Cow<'f, str>, Cow<'f, str>)>;

/// Objects that are joined with the host's field by field: who sets a temperature still wants the limits.
const JOINED: [&str; 3] = ["options", "generationConfig", "stream_options"];

/// A field of the host, and the field of ours that contradicts it.
const EXCLUDED: [(&str, &str); 3] =
    [("max_tokens", "max_completion_tokens"), ("max_completion_tokens", "max_tokens"), ("stream", "stream_options")];

impl Endpoint {
    /// The request for one completion.
    #[must_use]
    pub fn outgoing(&self, request: &Request) -> Outgoing {
        let ours = match self.wire {
            Wire::OpenaiChat => openai_chat::fields(self, request),
            Wire::OpenaiResponses => openai_responses::fields(self, request),
            Wire::Anthropic => anthropic::fields(self, request),
            Wire::Gemini => gemini::fields(request),
            Wire::Ollama => ollama::fields(self, request),
        };
        let accept = match (self.stream, self.wire) {
            (false, _) => "application/json",
            (true, Wire::Ollama) => "application/x-ndjson, application/json",
            (true, _) => "text/event-stream, application/json",
        };
        let mut headers = vec![("content-type", "application/json".to_owned()), ("accept", accept.to_owned())];
        if self.wire == Wire::Anthropic {
            headers.push(("anthropic-version", anthropic::VERSION.to_owned()));
        }
        Outgoing { url: self.url(), headers, body: joined(ours, self.body.as_deref()) }
    }

    /// The name of the host in the base address, without its port; empty for an address without a host.
    pub(super) fn host(&self) -> &str {
        let after = self.base_url.trim().split_once(':').and_then(|(_, rest)| rest.strip_prefix("//"));
        let authority = after.unwrap_or_default().split(['/', '?', '#']).next().unwrap_or_default();
        let host = authority.rsplit('@').next().unwrap_or_default();
        host.split(':').next().unwrap_or_default()
    }

    fn url(&self) -> String {
        let base = self.base_url.trim().split('#').next().unwrap_or_default();
        let (path, query) = base.split_once('?').unwrap_or((base, ""));
        let mut url = path.trim_end_matches('/').to_owned();
        self.push_path(&mut url);
        let mut mark = '?';
        let mut push = |text: &str| {
            url.push(mark);
            url.push_str(text);
            mark = '&';
        };
        if !query.is_empty() {
            push(query);
        }
        for (name, value) in &self.query {
            let mut pair = String::new();
            push_encoded(name, "", &mut pair);
            pair.push('=');
            push_encoded(value, "", &mut pair);
            push(&pair);
        }
        let given = |pair: &str| pair.starts_with("alt=");
        if self.wire == Wire::Gemini
            && path.ends_with(gemini::STREAM) | self.stream
            && !path.ends_with(gemini::WHOLE)
            && !query.split('&').any(given)
            && !self.query.iter().any(|(name, _)| name == "alt")
        {
            push("alt=sse");
        }
        url
    }

    /// Adds what the base address lacks of the path.
    fn push_path(&self, url: &mut String) {
        let last = url.rsplit('/').next().unwrap_or_default();
        let versioned = last.strip_prefix('v').is_some_and(|rest| rest.starts_with(|char: char| char.is_ascii_digit()));
        let (full, prefix) = match self.wire {
            Wire::OpenaiChat => ("/chat/completions", ""),
            Wire::OpenaiResponses => ("/responses", ""),
            Wire::Anthropic => ("/messages", if versioned { "" } else { "/v1" }),
            Wire::Ollama => ("/chat", if last == "api" { "" } else { "/api" }),
            Wire::Gemini => {
                if !url.ends_with(gemini::WHOLE) && !url.ends_with(gemini::STREAM) {
                    let prefix = if versioned || last == "google" { "" } else { "/v1beta" };
                    url.push_str(prefix);
                    gemini::push_path(&self.model, self.stream, url);
                }
                return;
            }
        };
        if !url.ends_with(full) {
            url.push_str(prefix);
            url.push_str(full);
        }
    }
}

/// Our fields without those that the host gives, and the host's, as it wrote them.
fn joined(ours: Fields<'_>, host: Option<&str>) -> String {
    let host = host.and_then(entries).unwrap_or_default();
    let given = |name: &str| host.iter().find(|(key, _)| key == name);
    let mut all = Fields::new();
    for (name, value) in ours {
        let excluded = EXCLUDED.iter().any(|(theirs, ours)| *ours == name && given(theirs).is_some());
        match given(&name) {
            Some((_, theirs)) if JOINED.contains(&&*name) && theirs.starts_with('{') => {
                let inner = entries(&value).unwrap_or_default();
                all.push((name, Cow::Owned(joined(inner, Some(theirs)))));
            }
            None if !excluded => all.push((name, value)),
            _ => {}
        }
    }
    for (name, value) in &host {
        if value != "null" && all.iter().all(|(ours, _)| ours != name) {
            all.push((Cow::Borrowed(name), Cow::Borrowed(value)));
        }
    }
    object(&all)
}

/// The fields of a JSON object, their values as they are written. `None` when the text is no JSON object.
fn entries(text: &str) -> Option<Fields<'_>> {
    let Ok(Value::Object(_)) = json::parse(text, None) else { return None };
    let mut rest = text.trim().strip_prefix('{')?.strip_suffix('}')?;
    let mut fields = Fields::new();
    while !rest.trim_ascii().is_empty() {
        let end = outside(rest, b',').unwrap_or(rest.len());
        let field = rest.get(..end)?;
        let colon = outside(field, b':')?;
        let Ok(Value::String(name)) = json::parse(field.get(..colon)?, None) else { return None };
        let value = Cow::Borrowed(field.get(colon + 1..)?.trim_ascii());
        match fields.iter_mut().find(|(known, _)| *known == name) {
            // The last of two equal names counts.
            Some(known) => known.1 = value,
            None => fields.push((name, value)),
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

/// A JSON object.
pub(super) fn object(fields: &[(Cow<'_, str>, Cow<'_, str>)]) -> String {
    let mut out = String::from("{");
    for (at, (name, value)) in fields.iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        push_quoted(name, &mut out);
        out.push(':');
        out.push_str(value);
    }
    out.push('}');
    out
}

/// A field whose value is JSON text already.
pub(super) fn field(name: &'static str, json: impl Into<Cow<'static, str>>) -> (Cow<'static, str>, Cow<'static, str>) {
    (Cow::Borrowed(name), json.into())
}

/// A field that is a text.
pub(super) fn text_field(name: &'static str, text: &str) -> (Cow<'static, str>, Cow<'static, str>) {
    field(name, quoted(text))
}

/// A JSON list of messages, each written by `write`.
pub(super) fn messages(
    messages: &[RequestMessage],
    wanted: fn(&RequestMessage) -> bool,
    write: fn(&RequestMessage, &mut String),
) -> String {
    let mut out = String::from("[");
    for message in messages.iter().filter(|message| wanted(message)) {
        if out.len() > 1 {
            out.push(',');
        }
        write(message, &mut out);
    }
    out.push(']');
    out
}

/// `{"role": ..., "content": ...}`.
pub(super) fn push_message(message: &RequestMessage, out: &mut String) {
    out.push_str(r#"{"role":"#);
    push_quoted(&message.role, out);
    out.push_str(r#","content":"#);
    push_quoted(&message.content, out);
    out.push('}');
}

/// Whether a message instructs rather than talks; some services take such messages apart from the others.
pub(super) fn is_system(message: &RequestMessage) -> bool {
    message.role == "system" || message.role == "developer"
}

/// The texts of all system messages, a blank line between them; `None` without any.
pub(super) fn system(messages: &[RequestMessage]) -> Option<String> {
    let mut out: Option<String> = None;
    for message in messages.iter().filter(|message| is_system(message)) {
        let out = out.get_or_insert_default();
        if !out.is_empty() {
            out.push_str("\n\n");
        }
        out.push_str(&message.content);
    }
    out
}

pub(super) fn quoted(text: &str) -> String {
    serde_json::to_string(text).unwrap_or_default()
}

pub(super) fn push_quoted(text: &str, out: &mut String) {
    out.push_str(&quoted(text));
}

/// Percent-encodes everything but what RFC 3986 calls unreserved and the characters in `also`.
pub(super) fn push_encoded(text: &str, also: &str, out: &mut String) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) || also.as_bytes().contains(&byte) {
            out.push(char::from(byte));
            continue;
        }
        out.push('%');
        for digit in [byte >> 4, byte & 15] {
            out.extend(char::from_digit(u32::from(digit), 16).map(|digit| digit.to_ascii_uppercase()));
        }
    }
}
