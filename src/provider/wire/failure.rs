//! What went wrong, from what a service says of it.
//!
//! Services name errors in four places (the status, a type, a code, a sentence), and no two agree. The sentence tells
//! that a request was too long; then come names that mean the same everywhere; then the status; and for errors within
//! an answer, which have no status, the rest of the names.

use super::draft::Draft;
use super::openai_chat::text_of;
use super::request::until;
use super::wait;
use crate::json;
use crate::provider::context_length::overflow;
use crate::provider::{ErrorClass, ProviderError};
use crate::redact;
use crate::text::{clip, find, pieces, split_once};
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

/// What services say in words only, with the status of a bad request, and the name that others have for it.
const SENTENCES: &[(&str, &str)] = &[
    ("api key not valid", "invalid_api_key"),
    ("invalid api key", "invalid_api_key"),
    ("incorrect api key", "invalid_api_key"),
    ("credit balance is too low", "billing_error"),
];

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
    let body = bare(body);
    let mut told = Told::default();
    match json_in(body) {
        Some(value) => told = Told::of(&value),
        None if is_page(content_type, body) => page(body).clone_into(&mut told.message),
        None => {}
    }
    if told.message.is_empty() && body != "{}" && !body.starts_with('<') {
        body.clone_into(&mut told.message);
    }
    told.into_error(Some(status))
}

/// A text without what may stand around it.
pub(super) fn bare(text: &str) -> &str {
    text.strip_prefix('\u{FEFF}').unwrap_or(text).trim()
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
        None if is_page(content_type, body) => ("the answer is a web page", page(body).to_owned()),
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
            // A word that is cut could be a key that nobody recognises any more.
            while out.ends_with(|char: char| char.is_ascii_graphic()) {
                out.pop();
            }
            out.push('…');
            break;
        }
        out.push(char);
    }
    if out.ends_with(' ') {
        out.pop();
    }
    out
}

/// What happened, and what the service says of it.
fn with(what: &str, said: &str) -> String {
    let said = short(said);
    if said.is_empty() { what.to_owned() } else { [what, ": ", &said].concat() }
}

/// JSON, also where it comes as an event of a stream.
fn json_in(body: &str) -> Option<Value<'_>> {
    let event = || Some(until(bare(split_once(body, "data:")?.1), b"\r\n"));
    let value = json::parse(body, None).ok().or_else(|| json::parse(event()?, None).ok())?;
    matches!(value, Value::Object(_) | Value::Array(_)).then_some(value)
}

// --------------------------------------------------------------------------------------------------------------- pages

fn is_page(content_type: &str, body: &str) -> bool {
    body.starts_with('<') || find(&content_type.to_ascii_lowercase(), "html").is_some()
}

/// What a page calls itself, or the first that it says.
fn page(body: &str) -> &str {
    let body = clip(body, LOOKED_AT);
    let mut first = "";
    // From tag to tag: each piece is a tag and the text after it.
    for piece in pieces(body, "<") {
        let (tag, text) = split_once(piece, ">").unwrap_or_default();
        let is = |name: &str| tag.get(..name.len()).is_some_and(|tag| tag.eq_ignore_ascii_case(name));
        let text = text.trim();
        if is("title") && !text.is_empty() {
            return text;
        }
        if first.is_empty() && !is("style") && !is("script") {
            first = text;
        }
    }
    first
}

// --------------------------------------------------------------------------------------------------------------- words

/// What a service says of an error.
#[derive(Default)]
struct Told {
    message: String,
    /// Its types and codes in lower case, a blank around each.
    names: String,
    /// Sizes that are told apart from the message.
    sizes: String,
    status: Option<u16>,
    wait: Option<u64>,
}

impl Told {
    fn of(value: &Value<'_>) -> Self {
        let value = value.as_array().and_then(<[_]>::first).unwrap_or(value);
        let error = match value.get("error") {
            Some(error @ Value::Object(_)) => error,
            _ => value,
        };
        let mut told = Self::default();
        for source in [error, value] {
            told.read(source);
            if told.message.is_empty() {
                told.message = message(source, 4).unwrap_or_default();
            }
        }
        // Services that pass requests on say in here what the other one said.
        let raw = error.get("metadata").map_or("", |metadata| text_of(metadata, "raw"));
        if !raw.is_empty() {
            told.message = [&told.message, ": ", &inner(raw, 4)].concat();
        }
        told
    }

    fn read(&mut self, source: &Value<'_>) {
        for key in ["code", "type", "status"] {
            self.name(text_of(source, key));
            let number = Draft::number(source, key).and_then(|number| u16::try_from(number).ok());
            self.status = self.status.or(number.filter(|status| (400..600).contains(status)));
        }
        for detail in source.get("details").and_then(Value::as_array).unwrap_or_default() {
            self.name(text_of(detail, "reason"));
            self.wait = self.wait.or_else(|| wait::duration(text_of(detail, "retryDelay")));
        }
        // llama.cpp gives sizes as numbers of their own.
        for key in ["n_prompt_tokens", "n_ctx"] {
            if let Some(number) = Draft::number(source, key) {
                self.sizes = [&self.sizes, " ", key, " ", &number.to_string()].concat();
            }
        }
    }

    fn name(&mut self, name: &str) {
        self.names = [&self.names, " ", &name.to_ascii_lowercase(), " "].concat();
    }

    fn has(&self, name: &str) -> bool {
        find(&self.names, &[" ", name, " "].concat()).is_some()
    }

    fn class(&self, status: Option<u16>) -> ErrorClass {
        let listed =
            |list: &[(&str, ErrorClass)]| list.iter().find(|(name, _)| self.has(name)).map(|(_, class)| *class);
        listed(CERTAIN).or_else(|| status.map(class_of)).or_else(|| listed(LIKELY)).unwrap_or(ErrorClass::Unavailable)
    }

    fn into_error(mut self, status: Option<u16>) -> ProviderError {
        let known = status.or(self.status);
        if known == Some(400) {
            let message = self.message.to_ascii_lowercase();
            for (sentence, name) in SENTENCES {
                if find(&message, sentence).is_some() {
                    self.name(name);
                }
            }
        }
        let overflow = overflow(known, &[self.message.as_str(), &self.names, &self.sizes].concat());
        let class = if overflow.is_some() { ErrorClass::ContextLength } else { self.class(known) };
        let mut what = self.what(class, known).to_owned();
        if let Some(status) = status {
            what = [&what, " (status ", &u64::from(status).to_string(), ")"].concat();
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
        let is_json = depth > 0 && matches!(text.trim_start().bytes().next(), Some(b'{' | b'['));
        let value = is_json.then(|| json::parse(text, None).ok())??;
        message(&value, depth - 1)
    };
    nested().unwrap_or_else(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::Wire;
    use super::super::testing::{head, read_pieces};
    use super::short;
    use crate::provider::{ErrorClass, ProviderError};

    fn error(status: u16, content_type: &str, body: &str) -> ProviderError {
        let failed = read_pieces(Wire::OpenaiChat, &head(status, content_type), [body.as_bytes()]);
        failed.expect_err("no answer")
    }

    fn json(status: u16, body: &str) -> (ErrorClass, String) {
        let ProviderError { class, message, .. } = error(status, "application/json", body);
        (class, message)
    }

    /// Status, body, class, message.
    const TOLD: &[(u16, &str, ErrorClass, &str)] = &[
        // OpenAI.
        (
            401,
            r#"{"error":{"message":"You didn't provide an API key.","type":"invalid_request_error","param":null,"code":null}}"#,
            ErrorClass::Auth,
            "the key is missing or wrong (status 401): You didn't provide an API key.",
        ),
        (
            400,
            r#"{"error":{"message":"Key is no good.","type":"invalid_request_error","code":"invalid_api_key"}}"#,
            ErrorClass::Auth,
            "the key is missing or wrong (status 400): Key is no good.",
        ),
        (
            404,
            r#"{"error":{"message":"The model `gpt-9` does not exist.","type":"invalid_request_error","code":"model_not_found"}}"#,
            ErrorClass::BadRequest,
            "there is no such model or address (status 404): The model `gpt-9` does not exist.",
        ),
        (
            429,
            r#"{"error":{"message":"You exceeded your current quota, please check your plan.","type":"insufficient_quota","code":"insufficient_quota"}}"#,
            ErrorClass::RateLimited,
            "the quota of this account is used up (status 429): You exceeded your current quota, please check your plan.",
        ),
        (
            429,
            r#"{"error":{"message":"Rate limit reached for gpt-5 on tokens per min (TPM): Limit 30000, Used 29000, Requested 4000.","type":"tokens","code":"rate_limit_exceeded"}}"#,
            ErrorClass::RateLimited,
            "too many requests (status 429): Rate limit reached for gpt-5 on tokens per min (TPM): Limit 30000, Used 29000, Requested 4000.",
        ),
        (
            500,
            r#"{"error":{"message":"The server had an error","type":"server_error","param":null,"code":null}}"#,
            ErrorClass::Unavailable,
            "the service is not available (status 500): The server had an error",
        ),
        (
            400,
            r#"{"error":{"message":"The response was filtered","code":"content_filter","status":400,"innererror":{"code":"ResponsibleAIPolicyViolation"}}}"#,
            ErrorClass::Refused,
            "the service refused to answer (status 400): The response was filtered",
        ),
        (
            400,
            r#"{"error":{"message":"Unsupported parameter: 'max_tokens'.","type":"invalid_request_error","code":"unsupported_parameter"}}"#,
            ErrorClass::BadRequest,
            "the service does not take the request (status 400): Unsupported parameter: 'max_tokens'.",
        ),
        // Anthropic.
        (
            529,
            r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"},"request_id":"req_1"}"#,
            ErrorClass::Unavailable,
            "the service is overloaded (status 529): Overloaded",
        ),
        (
            429,
            r#"{"type":"error","error":{"type":"rate_limit_error","message":"Slow down"}}"#,
            ErrorClass::RateLimited,
            "too many requests (status 429): Slow down",
        ),
        (
            401,
            r#"{"type":"error","error":{"type":"authentication_error","message":"invalid x-api-key"}}"#,
            ErrorClass::Auth,
            "the key is missing or wrong (status 401): invalid x-api-key",
        ),
        (
            403,
            r#"{"type":"error","error":{"type":"permission_error","message":"Not for you"}}"#,
            ErrorClass::Auth,
            "this key may not do that (status 403): Not for you",
        ),
        (
            402,
            r#"{"type":"error","error":{"type":"billing_error","message":"Pay first"}}"#,
            ErrorClass::Auth,
            "the service asks for payment (status 402): Pay first",
        ),
        (
            400,
            r#"{"type":"error","error":{"type":"invalid_request_error","message":"Your credit balance is too low to access the API."}}"#,
            ErrorClass::Auth,
            "the service asks for payment (status 400): Your credit balance is too low to access the API.",
        ),
        (
            404,
            r#"{"type":"error","error":{"type":"not_found_error","message":"model: claude-9"}}"#,
            ErrorClass::BadRequest,
            "there is no such model or address (status 404): model: claude-9",
        ),
        (
            413,
            r#"{"type":"error","error":{"type":"request_too_large","message":"Request exceeds the maximum size"}}"#,
            ErrorClass::ContextLength,
            "the request is longer than the model reads (status 413): Request exceeds the maximum size",
        ),
        (
            500,
            r#"{"type":"error","error":{"type":"api_error","message":"Internal server error"}}"#,
            ErrorClass::Unavailable,
            "the service is not available (status 500): Internal server error",
        ),
        (
            504,
            r#"{"type":"error","error":{"type":"timeout_error","message":"Timed out"}}"#,
            ErrorClass::Timeout,
            "the service took too long (status 504): Timed out",
        ),
        // Gemini.
        (
            429,
            r#"[{"error":{"code":429,"message":"Resource has been exhausted.","status":"RESOURCE_EXHAUSTED"}}]"#,
            ErrorClass::RateLimited,
            "too many requests (status 429): Resource has been exhausted.",
        ),
        (
            503,
            r#"{"error":{"code":503,"message":"The model is overloaded.","status":"UNAVAILABLE"}}"#,
            ErrorClass::Unavailable,
            "the service is not available (status 503): The model is overloaded.",
        ),
        (
            403,
            r#"{"error":{"code":403,"message":"Not enabled.","status":"PERMISSION_DENIED"}}"#,
            ErrorClass::Auth,
            "this key may not do that (status 403): Not enabled.",
        ),
        (
            401,
            r#"{"error":{"code":401,"message":"No credentials.","status":"UNAUTHENTICATED"}}"#,
            ErrorClass::Auth,
            "the key is missing or wrong (status 401): No credentials.",
        ),
        (
            400,
            r#"{"error":{"code":400,"message":"API key not valid. Please pass a valid API key.","status":"INVALID_ARGUMENT"}}"#,
            ErrorClass::Auth,
            "the key is missing or wrong (status 400): API key not valid. Please pass a valid API key.",
        ),
        (
            400,
            r#"{"error":{"code":400,"message":"Renew it.","status":"INVALID_ARGUMENT","details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"API_KEY_INVALID"}]}}"#,
            ErrorClass::Auth,
            "the key is missing or wrong (status 400): Renew it.",
        ),
        (
            400,
            r#"{"error":{"code":400,"message":"Invalid role.","status":"INVALID_ARGUMENT"}}"#,
            ErrorClass::BadRequest,
            "the service does not take the request (status 400): Invalid role.",
        ),
        (
            504,
            r#"{"error":{"code":504,"message":"Deadline expired.","status":"DEADLINE_EXCEEDED"}}"#,
            ErrorClass::Timeout,
            "the service took too long (status 504): Deadline expired.",
        ),
        // Ollama, and servers that are like it.
        (
            404,
            r#"{"error":"model 'llama9' not found"}"#,
            ErrorClass::BadRequest,
            "there is no such model or address (status 404): model 'llama9' not found",
        ),
        (
            500,
            r#"{"error":"the input length exceeds the context length"}"#,
            ErrorClass::ContextLength,
            "the request is longer than the model reads (status 500): the input length exceeds the context length",
        ),
        (
            422,
            r#"{"detail":[{"loc":["body","messages"],"msg":"field required","input":"prompt is too long"}]}"#,
            ErrorClass::BadRequest,
            "the service does not take the request (status 422): field required",
        ),
        (
            404,
            r#"{"detail":"Not Found"}"#,
            ErrorClass::BadRequest,
            "there is no such model or address (status 404): Not Found",
        ),
        (
            400,
            r#"{"object":"error","message":"Bad field","type":"BadRequestError","code":400}"#,
            ErrorClass::BadRequest,
            "the service does not take the request (status 400): Bad field",
        ),
        (
            403,
            r#"{"success":false,"errors":[{"code":10000,"message":"Authentication error"}]}"#,
            ErrorClass::Auth,
            "this key may not do that (status 403): Authentication error",
        ),
        // What one service says of another.
        (
            400,
            r#"{"error":{"message":"Provider returned error","code":400,"metadata":{"raw":"{\"error\":{\"message\":\"prompt is too long: 213462 tokens > 200000 maximum\"}}"}}}"#,
            ErrorClass::ContextLength,
            "the request is longer than the model reads (status 400): Provider returned error: prompt is too long: 213462 tokens > 200000 maximum",
        ),
        (
            400,
            r#"{"error":{"message":"{\"error\":{\"message\":\"Too hot\"}}"}}"#,
            ErrorClass::BadRequest,
            "the service does not take the request (status 400): Too hot",
        ),
        // An event of a stream.
        (
            503,
            "event: error\ndata: {\"error\":{\"message\":\"Gone\"}}\n\n",
            ErrorClass::Unavailable,
            "the service is not available (status 503): Gone",
        ),
        // Nothing, and nothing of use.
        (429, "", ErrorClass::RateLimited, "too many requests (status 429)"),
        (400, "{}", ErrorClass::BadRequest, "the service does not take the request (status 400)"),
        (413, "{}", ErrorClass::ContextLength, "the request is longer than the model reads (status 413)"),
        (500, r#"{"a":1}"#, ErrorClass::Unavailable, r#"the service is not available (status 500): {"a":1}"#),
        (500, "null", ErrorClass::Unavailable, "the service is not available (status 500): null"),
    ];

    #[test]
    fn every_error_has_its_class_and_says_what_happened_first() {
        for (status, body, class, message) in TOLD {
            assert_eq!(json(*status, body), (*class, (*message).to_owned()), "{body}");
        }
    }

    #[test]
    fn every_status_has_a_class() {
        for (status, class) in [
            (101, ErrorClass::Malformed),
            (204, ErrorClass::Blank),
            (205, ErrorClass::Blank),
            (303, ErrorClass::Malformed),
            (307, ErrorClass::Malformed),
            (400, ErrorClass::BadRequest),
            (401, ErrorClass::Auth),
            (402, ErrorClass::Auth),
            (403, ErrorClass::Auth),
            (404, ErrorClass::BadRequest),
            (405, ErrorClass::BadRequest),
            (407, ErrorClass::Auth),
            (408, ErrorClass::Timeout),
            (410, ErrorClass::BadRequest),
            (413, ErrorClass::BadRequest),
            (422, ErrorClass::BadRequest),
            (425, ErrorClass::RateLimited),
            (429, ErrorClass::RateLimited),
            (500, ErrorClass::Unavailable),
            (501, ErrorClass::BadRequest),
            (502, ErrorClass::Unavailable),
            (503, ErrorClass::Unavailable),
            (504, ErrorClass::Timeout),
            (505, ErrorClass::BadRequest),
            (522, ErrorClass::Timeout),
            (524, ErrorClass::Timeout),
            (529, ErrorClass::Unavailable),
            (600, ErrorClass::Malformed),
        ] {
            let failed = error(status, "text/plain", "no");
            assert_eq!(failed.class, class, "{status}");
            assert!(failed.message.ends_with(&format!("(status {status}): no")), "{}", failed.message);
            assert_eq!(ProviderError::from_response(Some(status), "no").class, class, "{status}");
        }
        assert_eq!(json(307, "").1, "the service points to another address (status 307)");
        assert_eq!(json(204, "").1, "the answer holds no text (status 204)");
        assert_eq!(ProviderError::from_response(None, "no").class, ErrorClass::Network);
        assert_eq!(ProviderError::from_response(Some(0), "no").class, ErrorClass::Network);
    }

    #[test]
    fn a_page_is_told_by_its_title_or_its_first_words() {
        for (page, said) in [
            (
                "<!DOCTYPE html>\n<html><head><TITLE lang=en>\n 502 Bad\tGateway</title></head><body>x",
                "502 Bad Gateway",
            ),
            ("<html><style>p {}</style><script>1</script><h1> Oops </h1><p>x", "Oops"),
            ("<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code></Error>", "AccessDenied"),
            ("<html", ""),
            ("<", ""),
            ("<title></title><title>É", "É"),
        ] {
            let message = error(502, "text/html; charset=utf-8", page).message;
            let expected = if said.is_empty() { String::new() } else { [": ", said].concat() };
            assert_eq!(message, ["the service is not available (status 502)", &expected].concat(), "{page}");
        }
        assert_eq!(
            error(502, "text/html", "nginx is down").message,
            "the service is not available (status 502): nginx is down"
        );
    }

    #[test]
    fn a_success_that_is_no_answer_says_what_it_is() {
        for (content_type, body, message) in [
            ("text/html", "<title>Sign in</title>", "the answer is a web page: Sign in"),
            ("application/json", "<title>Sign in</title>", "the answer is a web page: Sign in"),
            ("application/json", "upstream gone", "the answer is not JSON: upstream gone"),
            (
                "application/json",
                r#"{"message":"no Route matched"}"#,
                "the answer is JSON of another kind: no Route matched",
            ),
            ("application/json", r#"{"a":[]}"#, "the answer is JSON of another kind"),
            ("application/json", r#"{"choices":7}"#, "the answer is JSON of another kind"),
            ("application/json", "[]", "the answer is JSON of another kind"),
            ("application/json", r#""Hello""#, r#"the answer is not JSON: "Hello""#),
            ("text/event-stream", "data: {\"type\":\"message_start\"}\n\n", "the answer is JSON of another kind"),
            ("text/event-stream", "data: oops\n\ndata: x", "the answer is not JSON: oops"),
            ("text/event-stream", "data: oops\ndata: more\n\n", "the answer is not JSON: oops more"),
        ] {
            let failed = error(200, content_type, body);
            assert_eq!((failed.class, failed.message.as_str()), (ErrorClass::Malformed, message), "{body}");
        }
        assert_eq!(json(200, " \n").0, ErrorClass::Blank);
        assert_eq!(error(200, "text/event-stream", "\n").class, ErrorClass::Truncated);
        assert_eq!(error(200, "text/event-stream", ": wait\n\n").class, ErrorClass::Truncated);
        assert_eq!(json(200, r#"{"choices":[{"message":{"content":"Hel"#).0, ErrorClass::Truncated);
        assert_eq!(json(200, r#"{"choices":[}"#).0, ErrorClass::Malformed);
    }

    #[test]
    fn the_limit_of_the_window_is_told() {
        let body = r#"{"error":{"code":400,"message":"the request exceeds the available context size, try increasing it","type":"exceed_context_size_error","n_prompt_tokens":9001,"n_ctx":8192}}"#;
        let failed = error(400, "application/json", body);
        assert_eq!((failed.class, failed.limit), (ErrorClass::ContextLength, Some(8_192)));
    }

    #[test]
    fn a_wait_in_the_body_counts_where_the_headers_ask_for_none() {
        let body = br#"{"error":{"code":429,"message":"Slow","status":"RESOURCE_EXHAUSTED","details":[{"@type":"x"},{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"12s"}]}}"#;
        let mut head = head(429, "application/json");
        let wait = |head| read_pieces(Wire::Gemini, &head, [body.as_slice()]).unwrap_err().retry_after_ms;
        assert_eq!(wait(head), Some(12_000));
        head.retry_after = Some("3");
        assert_eq!(wait(head), Some(3_000));
    }

    #[test]
    fn what_is_shown_is_one_line_without_secrets_and_of_bounded_length() {
        assert_eq!(short(" a\r\n\tb\u{0}\u{1b}[31mc\u{202E}d\u{200B} \u{2028}e\u{FEFF} "), "a b [31mc d e");
        let shown = short("Incorrect API key provided: sk-proj-4fQ8zLr2Xn7TgVb1Kc9WmYd3Hs6JpA0e.");
        assert_eq!(shown, "Incorrect API key provided: [REDACTED].");
        let long = short(&"é".repeat(10_000));
        assert_eq!((long.chars().count(), long.ends_with('…')), (300, true));
        assert_eq!(short(&"é".repeat(300)).chars().last(), Some('é'));
        assert_eq!(
            short(&["word ".repeat(59).as_str(), "half-a-key"].concat()),
            ["word ".repeat(59).as_str(), "…"].concat()
        );
    }

    #[test]
    fn of_an_error_without_end_the_beginning_is_read() {
        let mut reader = super::super::Reader::new(Wire::OpenaiChat, &head(500, "text/plain"));
        for _ in 0..100 {
            assert_eq!(reader.push(&[b'x'; 1_000]), Ok(0));
        }
        assert!(reader.is_complete());
        let failed = reader.finish().unwrap_err();
        assert_eq!(failed.class, ErrorClass::Unavailable);
        assert!(failed.message.len() < 400);
    }
}
