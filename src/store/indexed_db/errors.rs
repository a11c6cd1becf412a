//! What the platform throws, as errors of the port.

use idb::Error as Thrown;
use js_sys::Reflect;
use wasm_bindgen::JsValue;

use crate::store::{StoreError, StoreErrorClass};

/// The error of something that IndexedDB refused at once.
pub(super) fn refused(error: Thrown) -> StoreError {
    of_exception(&thrown(error))
}

/// The error of a request or a transaction that failed.
pub(super) fn of_exception(exception: &JsValue) -> StoreError {
    let name = name(exception);
    let class = match name.as_str() {
        "QuotaExceededError" => StoreErrorClass::Quota,
        "SecurityError" => StoreErrorClass::Unavailable,
        // Every transaction is aborted with the first when its connection is closed by force. WebKit reports a database
        // process that went away with the second.
        "AbortError" | "UnknownError" => StoreErrorClass::Lost,
        // Of Chromium: the file of a large value is gone.
        "NotReadableError" => StoreErrorClass::Corrupted,
        _ => StoreErrorClass::Failed,
    };
    StoreError::new(class, in_words(&name, exception))
}

/// The error of a transaction that could not begin.
pub(super) fn of_beginning(exception: &JsValue) -> StoreError {
    let mut error = of_exception(exception);
    if name(exception) == "InvalidStateError" {
        error.class = StoreErrorClass::Lost;
    }
    error
}

/// The error of a database that could not be opened.
pub(super) fn of_opening(exception: &JsValue) -> StoreError {
    let mut error = of_exception(exception);
    match name(exception).as_str() {
        "VersionError" => error.class = StoreErrorClass::Newer,
        // What browsers say where they keep nothing: in private windows, in sandboxed frames.
        "InvalidStateError" | "NotSupportedError" | "NotAllowedError" => error.class = StoreErrorClass::Unavailable,
        "AbortError" => error.class = StoreErrorClass::Failed,
        _ => {}
    }
    error
}

/// There is no IndexedDB here.
pub(super) fn missing() -> StoreError {
    StoreError::new(StoreErrorClass::Unavailable, "there is no IndexedDB here")
}

/// The name of an exception, the empty string without.
pub(super) fn name(exception: &JsValue) -> String {
    text(exception, "name")
}

/// Browsers say nothing of what is stored in the messages of their exceptions.
fn in_words(name: &str, exception: &JsValue) -> String {
    let message = text(exception, "message");
    let message = message.trim_end_matches('.');
    match (name, message) {
        ("", "") => "IndexedDB failed".to_owned(),
        (name, "") | ("", name) => format!("IndexedDB failed: {name}"),
        (name, message) => format!("IndexedDB failed: {name}: {message}"),
    }
}

fn text(exception: &JsValue, property: &str) -> String {
    Reflect::get(exception, &property.into()).ok().and_then(|value| value.as_string()).unwrap_or_default()
}

/// What was thrown. The rest of idb's errors are its own, about values of types that IndexedDB never returns.
pub(super) fn thrown(error: Thrown) -> JsValue {
    match error {
        Thrown::DeleteFailed(value)
        | Thrown::GetAllFailed(value)
        | Thrown::GetAllKeysFailed(value)
        | Thrown::GetFailed(value)
        | Thrown::GetKeyFailed(value)
        | Thrown::IndexedDbNotFound(value)
        | Thrown::IndexedDbOpenFailed(value)
        | Thrown::KeyRangeCreateFailed(value)
        | Thrown::ObjectStoreCreateFailed(value)
        | Thrown::ObjectStoreNotFound(value)
        | Thrown::TransactionOpenFailed(value)
        | Thrown::UpdateFailed(value) => value,
        _ => JsValue::UNDEFINED,
    }
}
