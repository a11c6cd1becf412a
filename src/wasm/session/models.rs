//! The models of a call: what the shell says of them, and what they share with other calls.

// wasm-bindgen expands to the unsafe exports that a WebAssembly host calls; nothing here is unsafe by hand.
#![allow(unsafe_code)]

use std::cell::RefCell;
use std::rc::Rc;

use wasm_bindgen::prelude::wasm_bindgen;

use crate::provider::callback::Callback;
use crate::provider::fetch::Fetch;
use crate::provider::wire::{Endpoint, Wire};
use crate::provider::{Fallback, Guarded, Limits, Provider, Runtime, Shared};
use crate::value::Value;
use crate::wasm::session::host::Host;
use crate::wasm::wire::WireError;

thread_local! {
    /// By the number that the shell gave a provider.
    static SHARED: RefCell<Vec<(u32, Rc<Shared>)>> = const { RefCell::new(Vec::new()) };
}

fn shared(number: u32) -> Rc<Shared> {
    SHARED.with_borrow_mut(|all| {
        if let Some((_, shared)) = all.iter().find(|(known, _)| *known == number) {
            return Rc::clone(shared);
        }
        let shared = Rc::<Shared>::default();
        all.push((number, Rc::clone(&shared)));
        shared
    })
}

/// Lets go of what the calls of a provider share: the host has no use for it any more.
#[wasm_bindgen]
pub fn forget_provider(number: u32) {
    SHARED.with_borrow_mut(|all| all.retain(|(known, _)| *known != number));
}

/// How many providers share something.
#[wasm_bindgen]
#[must_use]
pub fn provider_count() -> usize {
    SHARED.with_borrow(Vec::len)
}

/// The providers of one purpose, in order. `records` are those of all purposes, `list` says which.
pub(super) fn list<'p>(
    host: &Host,
    runtime: &'p dyn Runtime,
    records: &[Value<'_>],
    list: &Value<'_>,
) -> Result<Option<Fallback<'p>>, WireError> {
    let Some(list) = list.as_array() else { return Ok(None) };
    let mut providers = Vec::with_capacity(list.len());
    for item in list {
        let at = Record(item).whole()?;
        providers.push(provider(host, runtime, at, records.get(at).ok_or(WireError::WrongShape)?)?);
    }
    Ok(Some(Fallback::new(providers)))
}

fn provider<'p>(
    host: &Host,
    runtime: &'p dyn Runtime,
    at: usize,
    record: &Value<'_>,
) -> Result<Guarded<'p>, WireError> {
    let record = Record(record);
    let limits = Limits {
        attempts: record.get("attempts").small()?,
        timeout_ms: record.get("timeoutMs").given().map(Record::number).transpose()?,
        concurrency: record.get("concurrency").small()?,
        breaker_failures: record.get("breakerFailures").small()?,
        breaker_pause_ms: record.get("breakerPauseMs").number()?,
        window: record.get("window").whole()? as u64,
    };
    let name = record.get("name").text()?;
    let inner: Box<dyn Provider + 'p> = match record.get("endpoint").given() {
        None => Box::new(Callback::new(host.clone(), at)),
        Some(endpoint) => Box::new(Fetch {
            host: host.clone(),
            runtime,
            name: name.to_owned(),
            at,
            endpoint: read_endpoint(endpoint)?,
            custom: record.get("fetches").flag(),
            stall_ms: record.get("stallMs").number()?,
        }),
    };
    Ok(Guarded::new(name, inner, limits, shared(record.get("number").small()?), runtime))
}

fn read_endpoint(record: Record<'_, '_>) -> Result<Endpoint, WireError> {
    let mut query = Vec::new();
    for pair in record.get("query").0.as_array().unwrap_or_default() {
        let [name, value] = pair.as_array().unwrap_or_default() else { return Err(WireError::WrongShape) };
        query.push((Record(name).text()?.to_owned(), Record(value).text()?.to_owned()));
    }
    Ok(Endpoint {
        wire: Wire::from_name(record.get("wire").text()?).ok_or(WireError::WrongShape)?,
        base_url: record.get("baseUrl").text()?.to_owned(),
        model: record.get("model").text()?.to_owned(),
        query,
        body: record.get("body").given().map(|body| body.text().map(str::to_owned)).transpose()?,
        stream: record.get("stream").flag(),
    })
}

/// A value that the shell wrote: of the right form, or there is a bug.
#[derive(Clone, Copy)]
pub(super) struct Record<'v, 'a>(pub &'v Value<'a>);

impl<'v, 'a> Record<'v, 'a> {
    pub(super) fn get(self, name: &str) -> Record<'v, 'a> {
        Record(self.0.get(name).unwrap_or(&Value::Null))
    }

    pub(super) fn given(self) -> Option<Self> {
        (!matches!(self.0, Value::Null)).then_some(self)
    }

    pub(super) fn text(self) -> Result<&'v str, WireError> {
        self.0.as_str().ok_or(WireError::WrongShape)
    }

    pub(super) fn flag(self) -> bool {
        matches!(self.0, Value::Bool(true))
    }

    pub(super) fn number(self) -> Result<f64, WireError> {
        match self.0 {
            Value::Number(number) => Ok(*number),
            _ => Err(WireError::WrongShape),
        }
    }

    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a cast of a float stays in range")]
    pub(super) fn whole(self) -> Result<usize, WireError> {
        self.number().map(|number| number as usize)
    }

    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a cast of a float stays in range")]
    pub(super) fn small(self) -> Result<u32, WireError> {
        self.number().map(|number| number as u32)
    }
}
