//! One transaction over both object stores.

// wasm-bindgen expands to the unsafe calls that a WebAssembly import takes; nothing here is unsafe by hand.
#![allow(unsafe_code)]

use idb::{Error as Thrown, ObjectStore};
use js_sys::{Array, Object, Reflect};
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen::{JsCast as _, JsValue};
use web_sys::{Event, IdbDatabase, IdbRequest, IdbTransaction};

use super::errors;
use super::options::{Guard, IndexedDbOptions};
use super::schema::{CONVERSATIONS, RECORDS, corrupted};
use super::waiting::{Settling, settled};
use crate::store::{StoreError, StoreErrorClass};

#[wasm_bindgen]
extern "C" {
    /// A connection whose transactions take options, which web-sys has not yet.
    type Connected;

    #[wasm_bindgen(method, catch)]
    fn transaction(this: &Connected, names: &Array, mode: &str, options: &JsValue) -> Result<IdbTransaction, JsValue>;
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Mode {
    Read,
    Write,
}

/// A transaction; dropped before it is finished, it is aborted.
#[derive(Debug)]
pub(super) struct Transaction {
    inner: IdbTransaction,
    ended: Settling,
    guard: Guard,
    is_over: bool,
}

impl Transaction {
    /// Begins. Fails as [`StoreErrorClass::Lost`] when the connection is closed.
    pub fn begin(database: &IdbDatabase, mode: Mode, options: &IndexedDbOptions) -> Result<Self, StoreError> {
        let names = Array::of2(&CONVERSATIONS.into(), &RECORDS.into());
        let durability = Object::new();
        // A new object takes every property.
        let _ = Reflect::set(&durability, &"durability".into(), &options.durability.name().into());
        let mode = match mode {
            Mode::Read => "readonly",
            Mode::Write => "readwrite",
        };
        let connected: &Connected = database.unchecked_ref();
        let inner = connected.transaction(&names, mode, &durability).map_err(|thrown| errors::of_exception(&thrown))?;
        let ended = Settling::new();
        inner.set_oncomplete(Some(&ended.settle));
        inner.set_onabort(Some(&ended.settle));
        Ok(Self { inner, ended, guard: options.guard.clone(), is_over: false })
    }

    /// Makes a request of one of its object stores. Its [`result`] is there when the transaction is finished, or when it was
    /// waited for.
    pub fn ask<R: Into<IdbRequest>>(
        &self,
        store: &str,
        request: impl FnOnce(&ObjectStore) -> Result<R, Thrown>,
    ) -> Result<IdbRequest, StoreError> {
        let asked = match self.inner.object_store(store) {
            Ok(store) => request(&ObjectStore::from(store)).map_err(errors::refused),
            Err(thrown) => Err(errors::of_exception(&thrown)),
        };
        // Of one that has just been aborted nothing can be asked; why it was is the better answer.
        let why = |error| self.inner.error().map_or(error, |exception| errors::of_exception(&exception));
        asked.map(Into::into).map_err(why)
    }

    /// Waits for one of its requests.
    pub async fn wait(&self, request: &IdbRequest) -> Result<JsValue, StoreError> {
        if request.ready_state() == web_sys::IdbRequestReadyState::Pending {
            let answered = Settling::new();
            request.set_onsuccess(Some(&answered.settle));
            request.set_onerror(Some(&answered.settle));
            settled(answered.promise, &self.guard).await;
        }
        // Its requests fail when a transaction is aborted, for whatever reason.
        result(request).map_err(|error| if error.class == StoreErrorClass::Lost { self.failure() } else { error })
    }

    /// Waits until everything is written (or read). There is nothing to ask for after that.
    pub async fn finish(mut self) -> Result<(), StoreError> {
        let event: Event = settled(self.ended.promise.clone(), &self.guard).await.unchecked_into();
        self.is_over = true;
        if event.type_() == "complete" {
            return Ok(());
        }
        Err(self.failure())
    }

    fn failure(&self) -> StoreError {
        match self.inner.error() {
            Some(exception) => errors::of_exception(&exception),
            None => StoreError::new(StoreErrorClass::Failed, "the transaction was aborted"),
        }
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        if !self.is_over {
            // Refused when it has just ended by itself.
            let _ = self.inner.abort();
        }
    }
}

/// The result of a request that has been answered.
pub(super) fn result(request: &IdbRequest) -> Result<JsValue, StoreError> {
    match request.error() {
        Ok(None) => request.result().map_err(|thrown| errors::of_exception(&thrown)),
        Ok(Some(exception)) => Err(errors::of_exception(&exception)),
        Err(thrown) => Err(errors::of_exception(&thrown)),
    }
}

/// The results of a request for many.
pub(super) fn results(request: &IdbRequest) -> Result<Array, StoreError> {
    result(request)?.dyn_into().map_err(|_| corrupted("what was read is not a list"))
}
