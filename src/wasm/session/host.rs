//! The part of the shell that a waiting call uses (`pkg/task.js`).
//!
//! Nothing of the host is awaited as it is: the shell wraps every promise so that it settles when its [`Scope`] ends,
//! never throws, and rejects with a [`Rejection`] only.

// wasm-bindgen expands to the unsafe calls that a WebAssembly import takes; nothing here is unsafe by hand.
#![allow(unsafe_code)]

use js_sys::{Array, Promise};
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;
use web_sys::AbortSignal;

#[wasm_bindgen]
extern "C" {
    /// One call of the host that waits.
    #[derive(Clone)]
    pub type Host;

    /// The call can go on.
    #[wasm_bindgen(method)]
    pub fn wake(this: &Host);

    /// Unix time, milliseconds.
    #[wasm_bindgen(method)]
    pub fn now(this: &Host) -> f64;

    /// From 0 to 1.
    #[wasm_bindgen(method)]
    pub fn random(this: &Host) -> f64;

    /// Tells the host what goes on.
    #[wasm_bindgen(method)]
    pub fn progress(this: &Host, event: &JsValue);

    /// Takes out of a text what the host does not want to leave. The shell keeps what it throws.
    #[wasm_bindgen(method)]
    pub fn redact(this: &Host, text: &str) -> String;

    /// The first messages that the chat's own model was sent last, and the tools: JSON texts, or `null`.
    #[wasm_bindgen(method)]
    pub fn shown(this: &Host, messages: usize) -> Array;

    /// A new scope.
    #[wasm_bindgen(method)]
    pub fn scope(this: &Host) -> Scope;

    /// Timers, one abort controller, and at most one promise that is awaited.
    pub type Scope;

    /// What tells the other side that nobody waits any more.
    #[wasm_bindgen(method, getter)]
    pub fn signal(this: &Scope) -> AbortSignal;

    /// From now on the scope ends after that many milliseconds.
    #[wasm_bindgen(method)]
    pub fn limit(this: &Scope, ms: f64);

    /// Waits that many milliseconds.
    #[wasm_bindgen(method)]
    pub fn sleep(this: &Scope, ms: f64) -> Promise;

    /// The headers of a provider: names and values in turn.
    #[wasm_bindgen(method)]
    pub fn headers(this: &Scope, provider: usize) -> Promise;

    /// Sends a request through the host's own `fetch`: a [`Response`].
    #[wasm_bindgen(method)]
    pub fn fetch(this: &Scope, provider: usize, url: &str, headers: Array, body: &str) -> Promise;

    /// What a request of the global `fetch` comes to, a [`Response`]: its promise, or what it threw. The scope keeps the
    /// request: Node.js cannot abort one that nobody holds any more.
    #[wasm_bindgen(method)]
    pub fn sent(this: &Scope, url: &str, request: &web_sys::Request, promise: JsValue, threw: bool) -> Promise;

    /// The next bytes of a body: `Uint8Array`, or `undefined` at its end. Ends the scope after `stall` milliseconds.
    #[wasm_bindgen(method)]
    pub fn read(this: &Scope, response: &Response, stall: f64) -> Promise;

    /// Asks a function of the host: a [`Reply`].
    #[wasm_bindgen(method)]
    pub fn complete(this: &Scope, provider: usize, request: &JsValue) -> Promise;

    /// Nobody waits any more.
    #[wasm_bindgen(method)]
    pub fn close(this: &Scope);

    /// A response as the shell has checked it.
    pub type Response;

    /// Its status; 0 where the browser hides it.
    #[wasm_bindgen(method, getter)]
    pub fn status(this: &Response) -> u16;

    /// One of its headers; the empty string without.
    #[wasm_bindgen(method)]
    pub fn header(this: &Response, name: &str) -> String;

    /// The answer of a function of the host, as the shell has checked it.
    pub type Reply;

    /// Its text.
    #[wasm_bindgen(method, getter)]
    pub fn text(this: &Reply) -> String;

    /// Tokens read; negative when not known.
    #[wasm_bindgen(method, getter, js_name = inputTokens)]
    pub fn input_tokens(this: &Reply) -> f64;

    /// Tokens written; negative when not known.
    #[wasm_bindgen(method, getter, js_name = outputTokens)]
    pub fn output_tokens(this: &Reply) -> f64;

    /// `end`, `length` or `refused`.
    #[wasm_bindgen(method, getter)]
    pub fn stop(this: &Reply) -> String;

    /// Why nothing came of something.
    pub type Rejection;

    /// `timeout`, `stall`, `aborted`, `opaque`, `network`, `malformed`, or `error` for what the host threw itself.
    #[wasm_bindgen(method, getter)]
    pub fn kind(this: &Rejection) -> String;

    /// The same in words.
    #[wasm_bindgen(method, getter)]
    pub fn message(this: &Rejection) -> String;

    /// The status of a service that the host's error carries; 0 without.
    #[wasm_bindgen(method, getter, js_name = status)]
    pub fn rejected_status(this: &Rejection) -> u16;

    /// The header `retry-after` that the host's error carries; the empty string without.
    #[wasm_bindgen(method, getter, js_name = retryAfter)]
    pub fn retry_after(this: &Rejection) -> String;

    /// The global `fetch`, whatever became of it.
    #[wasm_bindgen(js_name = fetch, catch)]
    pub fn fetch_globally(request: &web_sys::Request) -> Result<JsValue, JsValue>;
}
