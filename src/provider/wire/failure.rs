//! What went wrong, from what a service says of it.
//!
//! Services name errors in four places (the status, a type, a code, a sentence), and no two agree. The sentence tells
//! that a request was too long; then come names that mean the same everywhere; then the status; and for errors within
//! an answer, which have no status, the rest of the names.

use super::draft::Draft;
use super::openai_chat::text_of;
use super::wait;
use crate::json;
use crate::provider::context_length::overflow;
use crate::provider::{ErrorClass, ProviderError};
use crate::redact;
use crate::text::{clip, find, joined};
use crate::value::Value;

/// What a service says is given in so many characters at most.
const LONGEST: usize = 300;

/// What is looked at to get there, characters: there may be markup and secrets among them.
const LOOKED_AT: usize = 4_000;

/// Names that mean the same whatever the status.
const CERTAIN: &[(&str, ErrorClass)] = &[
    ("context_length_exceeded", ErrorClass::ContextLength),
    ("exceed_context_size_error", ErrorClass::ContextLength),
    ("request_too_large", ErrorClass::ContextLength),
    ("tokens_limit_reached", ErrorClass::ContextLength),
    ("insufficient_quota", ErrorClass::RateLimited),
    ("rate_limit_error", ErrorClass::RateLimited),
    ("rate_limit_exceeded", ErrorClass::RateLimited),
    ("rate_limit_reached", ErrorClass::RateLimited),
    ("resource_exhausted", ErrorClass::RateLimited),
    ("too_many_requests", ErrorClass::RateLimited),
    ("overloaded_error", ErrorClass::Unavailable),
    ("api_key_invalid", ErrorClass::Auth),
    ("invalid_api_key", ErrorClass::Auth),
    ("authentication_error", ErrorClass::Auth),
    ("unauthenticated", ErrorClass::Auth),
    ("permission_error", ErrorClass::Auth),
    ("permission_denied", ErrorClass::Auth),
    ("billing_error", ErrorClass::Auth),
    ("content_filter", ErrorClass::Refused),
    ("content_policy_violation", ErrorClass::Refused),
    ("responsibleaipolicyviolation", ErrorClass::Refused),
    ("data_inspection_failed", ErrorClass::Refused),
    ("model_not_found", ErrorClass::BadRequest),
    ("not_found_error", ErrorClass::BadRequest),
    ("timeout_error", ErrorClass::Timeout),
    ("deadline_exceeded", ErrorClass::Timeout),
];

/// Names that count where there is no status to go by.
const LIKELY: &[(&str, ErrorClass)] = &[
    ("invalid_request_error", ErrorClass::BadRequest),
    ("invalid_argument", ErrorClass::BadRequest),
    ("invalid_prompt", ErrorClass::BadRequest),
    ("failed_precondition", ErrorClass::BadRequest),
    ("not_found", ErrorClass::BadRequest),
];

/// Sentences about keys that come with the status of a bad request.
const KEYS: [&str; 3] = ["api key not valid", "invalid api key", "incorrect api key"];

/// The class that an HTTP status tells of.
pub(crate) fn class_of(status: u16) -> ErrorClass {
    match status {
        // 402: whoever owns the key has to act, as with a wrong one; asking again is no use.
        401..=403 | 407 => ErrorClass::Auth,
        408 | 504 | 522 | 524 => ErrorClass::Timeout,
        425 | 429 => ErrorClass::RateLimited,
        400..=499 | 501 | 505 => ErrorClass::BadRequest,
        500..=599 => ErrorClass::Unavailable,
        204 | 205 => ErrorClass::Blank,
        _ => ErrorClass::Malformed,
    }
}

/// The failure that a response is which is no success.
pub(super) fn of_response(status: u16, content_type: &str, body: &str) -> ProviderError {
    let body = body.trim_matches(['\u{FEFF}', ' ', '\t', '\r', '\n']);
    let told = if let Some(value) = json_in(body) {
        let mut told = Told::of(&value);
        if told.message.is_empty() && !matches!(&value, Value::Object(fields) if fields.is_empty()) {
            body.clone_into(&mut told.message);
        }
        told
    } else {
        let text = if is_page(content_type, body) { page(body) } else { body.to_owned() };
        Told { words: text.clone(), message: text, ..Told::default() }
    };
    told.into_error(Some(status))
}

/// The failure that a piece of an answer is, if it is one. `kind` is what the piece calls itself.
pub(super) fn told_in(value: &Value<'_>, kind: &str) -> Option<ProviderError> {
    let is_error = match value.get("error") {
        Some(Value::String(text)) => !text.is_empty(),
        Some(Value::Object(fields)) => !fields.is_empty(),
        Some(Value::Bool(flag)) => *flag,
        _ => matches!(kind, "error" | "failed") || text_of(value, "object") == "error",
    };
    is_error.then(|| Told::of(value).into_error(None))
}

/// An answer that cannot be read: a page of somebody in between, or text of another kind.
pub(super) fn unreadable(content_type: &str, body: &str) -> ProviderError {
    let (what, said) = match json_in(body) {
        Some(value) => ("the answer is JSON of another kind", Told::of(&value).message),
        None if is_page(content_type, body) => ("the answer is a web page", page(body)),
        None => ("the answer is not JSON", body.to_owned()),
    };
    malformed(&with(what, &said))
}

pub(super) fn malformed(message: &str) -> ProviderError {
    ProviderError::new(ErrorClass::Malformed, message)
}

/// What a service says, as one line that is fit to be shown: without control characters, secrets and great length.
pub(super) fn short(text: &str) -> String {
    let text = clip(text, LOOKED_AT);
    let text = redact::secrets(text).unwrap_or_else(|| text.to_owned());
    let mut out = String::new();
    let mut length = 0;
    for char in text.chars() {
        // Besides control characters: what has no width, and what turns the direction of writing.
        let hidden =
            matches!(char, '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{2069}' | '\u{FEFF}');
        let char = if char.is_control() || char.is_whitespace() || hidden { ' ' } else { char };
        if char == ' ' && (out.is_empty() || out.ends_with(' ')) {
            continue;
        }
        length += 1;
        if length > LONGEST {
            out.pop();
            out.push('…');
            break;
        }
        out.push(char);
    }
    out.truncate(out.trim_end().len());
    out
}

/// What happened, and what the service says of it.
fn with(what: &str, said: &str) -> String {
    let said = short(said);
    if said.is_empty() { what.to_owned() } else { [what, ": ", &said].concat() }
}

/// JSON, also where it comes as an event of a stream.
fn json_in(body: &str) -> Option<Value<'_>> {
    let event = || body.lines().find_map(|line| line.strip_prefix("data:"));
    let value = json::parse(body, None).ok().or_else(|| json::parse(event()?.trim(), None).ok())?;
    matches!(value, Value::Object(_) | Value::Array(_)).then_some(value)
}

// --------------------------------------------------------------------------------------------------------------- pages

fn is_page(content_type: &str, body: &str) -> bool {
    body.starts_with('<') || find(&content_type.to_ascii_lowercase(), "html").is_some()
}

/// What a page calls itself, or the first that it says.
fn page(body: &str) -> String {
    let body = clip(body, LOOKED_AT);
    let lower = body.to_ascii_lowercase();
    let mut first = "";
    let mut at = 0;
    // From tag to tag: each piece is a tag and the text after it.
    while let Some(open) = lower.get(at..).and_then(|rest| find(rest, "<")) {
        let tag = lower.get(at + open + 1..).unwrap_or_default();
        let Some(close) = find(tag, ">") else { break };
        let from = at + open + 1 + close + 1;
        let text = body.get(from..).unwrap_or_default();
        let text = text.split('<').next().unwrap_or_default().trim();
        if tag.starts_with("title") && !text.is_empty() {
            return text.to_owned();
        }
        let is_code = tag.starts_with("style") || tag.starts_with("script");
        if first.is_empty() && !is_code {
            first = text;
        }
        at = from;
    }
    if first.is_empty() && !body.starts_with('<') { body.to_owned() } else { first.to_owned() }
}

// --------------------------------------------------------------------------------------------------------------- words

/// What a service says of an error.
#[derive(Default)]
struct Told {
    message: String,
    /// Its types and codes, in lower case.
    names: Vec<String>,
    /// All of that, to look for what is said of the length of the request.
    words: String,
    status: Option<u16>,
    wait: Option<u64>,
}

impl Told {
    fn of(value: &Value<'_>) -> Self {
        let value = value.as_array().and_then(<[_]>::first).unwrap_or(value);
        let error = value.get_some("error").filter(|error| matches!(error, Value::Object(_)));
        let mut told = Self::default();
        for source in [error, Some(value)].into_iter().flatten() {
            told.read(source);
        }
        told.message = message(error.unwrap_or(value), 4).unwrap_or_default();
        if told.message.is_empty() {
            told.message = message(value, 4).unwrap_or_default();
        }
        // Services that pass requests on say in here what the other one said.
        let raw = error.and_then(|error| error.get("metadata")).map_or("", |metadata| text_of(metadata, "raw"));
        if !raw.is_empty() {
            told.message = [&told.message, ": ", &inner(raw, 4)].concat();
        }
        told.words = [&told.message, " ", &joined(&told.names, " "), &told.words].concat();
        told
    }

    fn read(&mut self, source: &Value<'_>) {
        for key in ["code", "type", "status"] {
            self.name(text_of(source, key));
            let number = Draft::number(source, key).or_else(|| text_of(source, key).parse().ok());
            let status =
                number.and_then(|number| u16::try_from(number).ok()).filter(|status| (400..600).contains(status));
            self.status = self.status.or(status);
        }
        self.name(source.get("innererror").map_or("", |inner| text_of(inner, "code")));
        for detail in source.get("details").and_then(Value::as_array).unwrap_or_default() {
            self.name(text_of(detail, "reason"));
            self.wait = self.wait.or_else(|| wait::duration(text_of(detail, "retryDelay")));
        }
        // llama.cpp gives sizes as numbers of their own.
        for key in ["n_prompt_tokens", "n_ctx"] {
            if let Some(number) = Draft::number(source, key) {
                self.words = [&self.words, " ", key, " ", &number.to_string()].concat();
            }
        }
    }

    fn name(&mut self, name: &str) {
        if !name.is_empty() {
            self.names.push(name.to_ascii_lowercase());
        }
    }

    fn has(&self, name: &str) -> bool {
        self.names.iter().any(|known| known == name)
    }

    fn class(&self, status: Option<u16>) -> ErrorClass {
        let listed =
            |list: &[(&str, ErrorClass)]| list.iter().find(|(name, _)| self.has(name)).map(|(_, class)| *class);
        let about_key = |message: &str| KEYS.iter().any(|phrase| find(message, phrase).is_some());
        listed(CERTAIN)
            .or_else(|| (status? < 500 && about_key(&self.message.to_ascii_lowercase())).then_some(ErrorClass::Auth))
            .or_else(|| status.map(class_of))
            .or_else(|| listed(LIKELY))
            .unwrap_or(ErrorClass::Unavailable)
    }

    fn into_error(self, status: Option<u16>) -> ProviderError {
        let known = status.or(self.status);
        let overflow = overflow(known, &self.words);
        let class = if overflow.is_some() { ErrorClass::ContextLength } else { self.class(known) };
        let mut what = self.what(class, known).to_owned();
        if let Some(status) = status {
            what = [&what, " (status ", &status.to_string(), ")"].concat();
        }
        let mut error = ProviderError::new(class, with(&what, &self.message));
        error.limit = overflow.and_then(|overflow| overflow.limit);
        error.retry_after_ms = self.wait;
        error
    }

    /// A class in the words of somebody who sees only these.
    fn what(&self, class: ErrorClass, status: Option<u16>) -> &'static str {
        match class {
            ErrorClass::ContextLength => "the request is longer than the model reads",
            ErrorClass::RateLimited if self.has("insufficient_quota") => "the quota of this account is used up",
            ErrorClass::RateLimited => "too many requests",
            ErrorClass::Unavailable if status == Some(529) || self.has("overloaded_error") => {
                "the service is overloaded"
            }
            ErrorClass::Unavailable => "the service is not available",
            ErrorClass::Auth if status == Some(402) || self.has("billing_error") => "the service asks for payment",
            ErrorClass::Auth if status == Some(403) => "this key may not do that",
            ErrorClass::Auth => "the key is missing or wrong",
            ErrorClass::BadRequest if status == Some(404) || self.has("model_not_found") => {
                "there is no such model or address"
            }
            ErrorClass::BadRequest => "the service does not take the request",
            ErrorClass::Refused => "the service refused to answer",
            ErrorClass::Timeout => "the service took too long",
            ErrorClass::Blank => "the answer holds no text",
            _ if matches!(status, Some(300..=399)) => "the service points to another address",
            _ => "the answer cannot be read",
        }
    }
}

/// Where services put what they say, the likeliest place first.
const PLACES: [&str; 9] =
    ["message", "detail", "error", "msg", "error_description", "errors", "title", "description", "reason"];

/// What a value says, no more than so many objects deep.
fn message(value: &Value<'_>, depth: usize) -> Option<String> {
    match value {
        Value::String(text) if !text.trim().is_empty() => Some(inner(text, depth)),
        Value::Object(_) if depth > 0 => PLACES.iter().find_map(|place| message(value.get(place)?, depth - 1)),
        Value::Array(items) if depth > 0 => message(items.first()?, depth - 1),
        _ => None,
    }
}

/// A text, or what is said in the JSON that it is.
fn inner(text: &str, depth: usize) -> String {
    let nested = || {
        let is_json = depth > 0 && text.trim_start().starts_with(['{', '[']);
        let value = is_json.then(|| json::parse(text, None).ok())??;
        message(&value, depth - 1)
    };
    nested().unwrap_or_else(|| text.to_owned())
}
