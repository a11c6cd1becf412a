//! The tests that every store has to pass, for stores that only JavaScript can make. Test builds only.

// wasm-bindgen expands to the unsafe exports that a WebAssembly host calls; nothing here is unsafe by hand.
#![allow(unsafe_code)]

use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;

use crate::store::contract::{self, CASES, PERSISTENT, Verdict};
use crate::wasm::session::host::Host;
use crate::wasm::session::stores::on_store;

/// The names of the cases that every store passes on its own.
#[wasm_bindgen]
#[must_use]
pub fn store_contract_cases() -> Vec<String> {
    CASES.iter().map(|case| case.name.to_owned()).collect()
}

/// The names of those in two parts, with the storage opened anew between them.
#[wasm_bindgen]
#[must_use]
pub fn store_contract_persistent() -> Vec<String> {
    PERSISTENT.iter().map(|case| case.name.to_owned()).collect()
}

/// Begins a case on a store with nothing in it; returns the number of the task, whose result is what was wrong, if
/// anything was.
#[wasm_bindgen]
#[must_use]
pub fn store_contract(number: u32, case: String, host: Host) -> u32 {
    on_store(number, host, async move |store| Ok(told(contract::run(&case, &*store).await)))
}

/// As `store_contract`, the first part of one of the others.
#[wasm_bindgen]
#[must_use]
pub fn store_contract_before(number: u32, case: String, host: Host) -> u32 {
    on_store(number, host, async move |store| Ok(told(contract::before(&case, &*store).await)))
}

/// The second part.
#[wasm_bindgen]
#[must_use]
pub fn store_contract_after(number: u32, case: String, host: Host) -> u32 {
    on_store(number, host, async move |store| Ok(told(contract::after(&case, &*store).await)))
}

fn told(verdict: Verdict) -> JsValue {
    verdict.err().map_or(JsValue::UNDEFINED, JsValue::from)
}
