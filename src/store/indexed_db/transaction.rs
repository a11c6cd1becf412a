//! One transaction over both object stores.

// wasm-bindgen expands to the unsafe calls that a WebAssembly import takes; nothing here is unsafe by hand.
#![allow(unsafe_code)]

use std::cell::Cell;
use std::ops::Deref;
use std::rc::Rc;

use idb::request::GetStoreRequest;
use idb::{Error as Thrown, ObjectStore, Request as _};
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
    asking: Asking,
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
        let inner = connected.transaction(&names, mode, &durability).map_err(|thrown| errors::of_beginning(&thrown))?;
        let ended = Settling::new();
        inner.set_oncomplete(Some(&ended.settle));
        inner.set_onabort(Some(&ended.settle));
        Ok(Self { asking: Asking(inner), ended, guard: options.guard.clone(), is_over: false })
    }

    /// Goes on when one of its requests has been answered, or is aborted if that fails. Returns what it came to, once
    /// [finished](Self::finish); hold on to it until then.
    ///
    /// It goes on within the event itself. A transaction that has nothing to do ends, so it must not depend on when
    /// somebody polls the future that waits for it.
    pub fn then(
        &self,
        request: &IdbRequest,
        go_on: impl FnOnce(&Asking) -> Result<(), StoreError> + 'static,
    ) -> Continuation {
        let mut request = GetStoreRequest::from(request.clone());
        let outcome: Rc<Cell<_>> = Rc::default();
        let of_event = Rc::clone(&outcome);
        let asking = self.asking.clone();
        // Boxed, because what is called back is compiled twice.
        let on_success: Box<dyn FnOnce()> = Box::new(move || {
            let went_on = go_on(&asking);
            if went_on.is_err() {
                asking.abort();
            }
            of_event.set(Some(went_on));
        });
        request.on_success(|_| on_success());
        Continuation { _request: request, outcome }
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
}

impl Deref for Transaction {
    type Target = Asking;

    fn deref(&self) -> &Asking {
        &self.asking
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        if !self.is_over {
            self.asking.abort();
        }
    }
}

/// The part of a transaction that takes requests.
#[derive(Debug, Clone)]
pub(super) struct Asking(IdbTransaction);

impl Asking {
    /// Makes a request of one of its object stores. Its [`result`] is there when the transaction is finished, or when it was
    /// answered before.
    pub fn ask<R: Into<IdbRequest>>(
        &self,
        store: &str,
        request: impl FnOnce(&ObjectStore) -> Result<R, Thrown>,
    ) -> Result<IdbRequest, StoreError> {
        request(&self.store(store)?).map(Into::into).map_err(|thrown| self.why(errors::refused(thrown)))
    }

    fn store(&self, name: &str) -> Result<ObjectStore, StoreError> {
        let store = self.0.object_store(name).map_err(|thrown| self.why(errors::of_exception(&thrown)))?;
        Ok(store.into())
    }

    /// Of a transaction that has just been aborted nothing can be asked; why it was is the better answer.
    fn why(&self, error: StoreError) -> StoreError {
        self.0.error().map_or(error, |exception| errors::of_exception(&exception))
    }

    fn abort(&self) {
        // Refused when it has just ended by itself.
        let _ = self.0.abort();
    }

    fn failure(&self) -> StoreError {
        match self.0.error() {
            Some(exception) => errors::of_exception(&exception),
            None => StoreError::new(StoreErrorClass::Failed, "the transaction was aborted"),
        }
    }
}

/// What goes on with a transaction when one of its requests has been answered.
pub(super) struct Continuation {
    _request: GetStoreRequest,
    outcome: Rc<Cell<Option<Result<(), StoreError>>>>,
}

impl Continuation {
    /// What it came to, if it did.
    pub fn outcome(self) -> Option<Result<(), StoreError>> {
        self.outcome.take()
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
