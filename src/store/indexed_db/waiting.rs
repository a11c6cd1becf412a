//! Promises that the platform settles by itself.
//!
//! The events of IndexedDB call functions of the platform (those that settle a promise) and not ours, so that none of them
//! can meet a module that is no longer there. None of the promises is ever rejected: nobody would hear of it when the call
//! that awaits it has been given up.

// wasm-bindgen expands to the unsafe calls that a WebAssembly import takes; nothing here is unsafe by hand.
#![allow(unsafe_code)]

use js_sys::{Function, Promise};
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen::{JsCast as _, JsValue};
use wasm_bindgen_futures::JsFuture;

use super::options::Guard;

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_name = setTimeout, catch)]
    fn set_timeout(then: &Function, ms: f64) -> Result<JsValue, JsValue>;

    #[wasm_bindgen(js_name = clearTimeout)]
    fn clear_timeout(timer: &JsValue);
}

/// A promise, and the function that settles it.
#[derive(Debug)]
pub(super) struct Settling {
    pub promise: Promise,
    pub settle: Function,
}

impl Settling {
    pub fn new() -> Self {
        let mut settle = None;
        let promise = Promise::new(&mut |resolve, _| settle = Some(resolve));
        // A promise calls its executor at once.
        // (The default of a function would be made by `new Function`, which pages forbid.)
        let settle = settle.unwrap_or_else(|| JsValue::UNDEFINED.unchecked_into());
        Self { promise, settle }
    }

    /// Settles it.
    pub fn now(&self) {
        let _ = self.settle.call0(&JsValue::UNDEFINED);
    }
}

/// Waits for a promise that is never rejected.
pub(super) async fn settled(promise: Promise, guard: &Guard) -> JsValue {
    JsFuture::from(guard.guarded(promise)).await.unwrap_or_default()
}

/// Waits for a promise, but not longer than that.
pub(super) async fn within(ms: f64, promise: &Promise, guard: &Guard) {
    let timer = Timer::new(ms);
    settled(Promise::race(&js_sys::Array::of2(promise, &timer.over.promise)), guard).await;
}

/// Dropped, it is over.
struct Timer {
    over: Settling,
    timer: Option<JsValue>,
}

impl Timer {
    fn new(ms: f64) -> Self {
        /// Beyond this a timer fires at once.
        const LONGEST: f64 = 2_147_483_647.0;
        let over = Settling::new();
        let timer = set_timeout(&over.settle, ms.min(LONGEST)).ok();
        Self { over, timer }
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        if let Some(timer) = &self.timer {
            clear_timeout(timer);
        }
        self.over.now();
    }
}
