//! Models behind an address, over `fetch`.
//!
//! Each request has an abort controller of its own; the host's signal never gets here. Redirects are not followed: a
//! browser or runtime that follows one to another host takes along every header it does not know, keys among them.

use std::ops::Deref;

use gloo_net::http::{Method, RequestBuilder};
use js_sys::{Array, Promise, Uint8Array};
use wasm_bindgen::{JsCast as _, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::RequestRedirect;

use crate::provider::wire::{Behind, Endpoint, Head, Outgoing, Reader, Wire, wait};
use crate::provider::{Answer, ErrorClass, Pending, Progress, Provider, ProviderError, Request, Runtime};
use crate::redact::Redaction;
use crate::text::find;
use crate::wasm::session::host::{Host, Rejection, Response, Scope, fetch_globally};

/// A model behind an address.
pub(crate) struct Fetch<'r> {
    pub host: Host,
    pub runtime: &'r dyn Runtime,
    pub name: String,
    /// Which of the call's providers it is, for the shell.
    pub at: usize,
    pub endpoint: Endpoint,
    /// Whether the host brings its own `fetch`.
    pub custom: bool,
    /// Longest silence within an answer, milliseconds.
    pub stall_ms: f64,
}

impl Provider for Fetch<'_> {
    fn complete<'p>(&'p self, request: &'p Request) -> Pending<'p> {
        Box::pin(async move {
            let mut secrets = Vec::new();
            let answer = self.exchange(request, &mut secrets).await;
            answer.map_err(|error| without(error, secrets))
        })
    }

    fn reads_prefix(&self) -> bool {
        // The chat's format has to be spoken; there is one so far.
        self.endpoint.wire == Wire::OpenaiChat
    }
}

impl Fetch<'_> {
    /// One request and its answer. `secrets` becomes what must not be in an error.
    async fn exchange(&self, request: &Request, secrets: &mut Vec<String>) -> Result<Answer, ProviderError> {
        let scope = Open::new(&self.host);
        scope.limit(f64::from(request.timeout_ms));
        let Outgoing { url, headers, body } = match request.prefix.map(|messages| self.host.shown(messages)) {
            None => self.endpoint.outgoing(request),
            Some(shown) => {
                let [messages, tools] = [shown.get(0), shown.get(1)].map(|text| text.as_string());
                let (Some(messages), Some(tools)) = (messages, tools) else {
                    let message = "the messages of the chat cannot be written as JSON";
                    return Err(ProviderError::new(ErrorClass::BadRequest, message));
                };
                self.endpoint.outgoing_behind(request, Behind { messages: &messages, tools: &tools })
            }
        };
        let query = self.endpoint.query.iter().filter(|(name, _)| is_credential(name));
        secrets.extend(query.map(|(_, value)| value.clone()));
        let of_host: Array = settled(scope.headers(self.at)).await?.unchecked_into();
        let mut texts = of_host.iter().filter_map(|text| text.as_string());
        let mut headers: Vec<(String, String)> =
            headers.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        while let (Some(name), Some(value)) = (texts.next(), texts.next()) {
            if is_credential(&name) {
                // `Bearer key`: either may turn up alone.
                secrets.extend(value.split(' ').map(str::to_owned));
                secrets.push(value.clone());
            }
            // Those of the host win over ours.
            headers.retain(|(known, _)| !known.eq_ignore_ascii_case(&name));
            headers.push((name, value));
        }
        let promise = if self.custom {
            let flat = headers.iter().flat_map(|(name, value)| [name, value]).map(JsValue::from);
            scope.fetch(self.at, &url, flat.collect(), &body)
        } else {
            send(&scope, &url, &headers, &body)?
        };
        let response: Response = settled(promise).await?.unchecked_into();
        self.read(&scope, &response, request).await
    }

    async fn read(&self, scope: &Scope, response: &Response, request: &Request) -> Result<Answer, ProviderError> {
        let status = response.status();
        if status == 0 || (300..400).contains(&status) {
            return Err(redirected(&response.header("location")));
        }
        let [kind, after, after_ms] =
            ["content-type", "retry-after", "retry-after-ms"].map(|name| response.header(name));
        let mut reader = Reader::new(
            self.endpoint.wire,
            &Head {
                status,
                content_type: &kind,
                retry_after: given(&after),
                retry_after_ms: given(&after_ms),
                now_ms: self.host.now(),
            },
        );
        let mut characters = 0;
        while !reader.is_complete() {
            let chunk = match settled(scope.read(response, self.stall_ms)).await {
                Ok(chunk) => chunk,
                // A connection that breaks after the end of the answer breaks nothing.
                Err(error) => return reader.finish().map_err(|_| error),
            };
            if chunk.is_undefined() {
                break;
            }
            let more = reader.push(&chunk.unchecked_into::<Uint8Array>().to_vec())?;
            if more > 0 {
                characters += more;
                let (provider, number, purpose) = (self.name.as_str(), request.number, request.purpose);
                self.runtime.progress(&Progress::Text { provider, number, purpose, characters });
            }
        }
        reader.finish()
    }
}

/// Whether a header or parameter of this name carries a secret.
fn is_credential(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["auth", "key", "token", "secret", "cookie", "password", "credential"]
        .iter()
        .any(|part| find(&name, part).is_some())
}

/// Whether a header is one that every `fetch` takes: a name of token characters, a value without breaks and of bytes.
fn can_be_sent(name: &str, value: &str) -> bool {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !name.is_empty()
        && name.bytes().all(is_token)
        && value.chars().all(|char| char == '\t' || (' '..='\u{ff}').contains(&char) && char != '\u{7f}')
}

/// Sends a request through the global `fetch`.
fn send(scope: &Scope, url: &str, headers: &[(String, String)], body: &str) -> Result<Promise, ProviderError> {
    let mut request = RequestBuilder::new(url)
        .method(Method::POST)
        .redirect(RequestRedirect::Manual)
        .abort_signal(Some(&scope.signal()));
    for (name, value) in headers {
        // gloo panics where the platform refuses.
        if !can_be_sent(name, value) {
            let message = format!("the header `{name}` holds characters that no header can");
            return Err(ProviderError::new(ErrorClass::BadRequest, message));
        }
        request = request.header(name, value);
    }
    let request: web_sys::Request = request
        .body(body)
        .map_err(|error| ProviderError::new(ErrorClass::BadRequest, format!("the request cannot be made: {error}")))?
        .into();
    // Not gloo's own `send`: it panics where a promise was rejected with something else than an error.
    Ok(match fetch_globally(&request) {
        Ok(promise) => scope.sent(url, &request, promise, false),
        Err(thrown) => scope.sent(url, &request, thrown, true),
    })
}

fn redirected(location: &str) -> ProviderError {
    let to = if location.is_empty() { "elsewhere".to_owned() } else { format!("to {}", without_query(location)) };
    let message = format!("the address redirects {to}; that is not followed: give the final address as `baseUrl`");
    ProviderError::new(ErrorClass::BadRequest, message)
}

/// A header that is there.
fn given(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

fn without_query(url: &str) -> &str {
    url.split(['?', '#']).next().unwrap_or_default()
}

/// An error without the host's keys, also where a service repeats one.
pub(super) fn without(mut error: ProviderError, mut secrets: Vec<String>) -> ProviderError {
    secrets.retain(|secret| secret.len() >= 6);
    let redaction = Redaction { literals: secrets, ..Redaction::default() };
    error.message = redaction.apply(&error.message).into_owned();
    error
}

/// A scope that is closed when nobody waits any more.
pub(crate) struct Open(Scope);

impl Open {
    pub(crate) fn new(host: &Host) -> Self {
        Self(host.scope())
    }
}

impl Deref for Open {
    type Target = Scope;

    fn deref(&self) -> &Scope {
        &self.0
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// What a promise of a scope comes to.
pub(crate) async fn settled(promise: Promise) -> Result<JsValue, ProviderError> {
    JsFuture::from(promise).await.map_err(|rejection| failure(&rejection.unchecked_into()))
}

fn failure(rejection: &Rejection) -> ProviderError {
    let message = rejection.message();
    let class = match rejection.kind().as_str() {
        "timeout" | "stall" => ErrorClass::Timeout,
        "aborted" => ErrorClass::Aborted,
        "opaque" => ErrorClass::Opaque,
        "malformed" => ErrorClass::Malformed,
        "option" => ErrorClass::BadRequest,
        "error" => return of_host(rejection, &message),
        _ => ErrorClass::Network,
    };
    ProviderError::new(class, message)
}

/// What a function of the host threw; SDKs put the status and the headers of the service into their errors.
fn of_host(rejection: &Rejection, message: &str) -> ProviderError {
    let status = Some(rejection.rejected_status()).filter(|status| *status > 0);
    let error = ProviderError::from_response(status, message);
    let class =
        if status.is_none() && error.class == ErrorClass::Network { ErrorClass::Unavailable } else { error.class };
    let retry_after_ms = error.retry_after_ms.or_else(|| wait::seconds(&rejection.retry_after()));
    ProviderError { class, retry_after_ms, ..error }
}
