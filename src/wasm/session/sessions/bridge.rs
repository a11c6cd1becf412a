//! What a session needs of the world, from the shell (`pkg/session-bridge.js`).

// wasm-bindgen expands to the unsafe calls that a WebAssembly import takes; nothing here is unsafe by hand.
#![allow(unsafe_code)]

use std::any::Any;

use js_sys::Promise;
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen_futures::JsFuture;

use crate::session::{Election, SessionEvent, SessionHost};
use crate::wasm::outward::out;

#[wasm_bindgen]
extern "C" {
    /// The host of one session, as the shell has wrapped it: none of it throws.
    pub type Bridge;

    /// Something happened. The host hears of it later, when nothing of ours is on the stack.
    #[wasm_bindgen(method)]
    fn event(this: &Bridge, event: JsValue);

    /// Asks for the lock of the conversation; `undefined` where there are no locks.
    #[wasm_bindgen(method)]
    fn elect(this: &Bridge) -> Option<Lock>;

    /// A lock that was asked for.
    type Lock;

    /// Resolves when it is ours, or when nothing will come of it. Never rejects.
    #[wasm_bindgen(method, getter)]
    fn granted(this: &Lock) -> Promise;

    /// Lets go of it, or of the wish for it.
    #[wasm_bindgen(method)]
    fn end(this: &Lock);
}

impl SessionHost for Bridge {
    fn now_ms(&self) -> f64 {
        js_sys::Date::now()
    }

    fn random(&self) -> f64 {
        js_sys::Math::random()
    }

    fn elect<'h>(&'h self, _conversation: &'h str) -> Election<'h> {
        Box::pin(async move {
            let Some(lock) = Bridge::elect(self) else { return Box::new(()) as Box<dyn Any> };
            let wanted = Wanted(lock);
            let _ = JsFuture::from(wanted.0.granted()).await;
            Box::new(wanted) as Box<dyn Any>
        })
    }

    fn event(&self, event: &SessionEvent) {
        if let Ok(event) = out(event) {
            Bridge::event(self, event);
        }
    }
}

struct Wanted(Lock);

impl Drop for Wanted {
    fn drop(&mut self) {
        self.0.end();
    }
}
