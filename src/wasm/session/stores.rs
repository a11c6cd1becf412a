//! The stores that sessions use, by number: each is there once, however many sessions share it.

// wasm-bindgen expands to the unsafe exports that a WebAssembly host calls; nothing here is unsafe by hand.
#![allow(unsafe_code)]

use std::cell::RefCell;
use std::rc::Rc;

use serde::Serialize;
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;

use crate::error::Error;
use crate::store::callback::{Bridge, HostStore};
use crate::store::{About, Listed, Page, Store, StoreError};
use crate::wasm::outward::{Failure, out};
use crate::wasm::session::host::Host;
use crate::wasm::session::tasks;

#[derive(Default)]
struct Stores {
    last: u32,
    all: Vec<(u32, Rc<dyn Store>)>,
}

thread_local! {
    static STORES: RefCell<Stores> = const { RefCell::new(Stores { last: 0, all: Vec::new() }) };
}

fn register(store: Rc<dyn Store>) -> u32 {
    STORES.with_borrow_mut(|stores| {
        stores.last = stores.last.wrapping_add(1);
        stores.all.push((stores.last, store));
        stores.last
    })
}

/// The store of this number; `None` when the host has no use for it any more.
pub(crate) fn store(number: u32) -> Option<Rc<dyn Store>> {
    STORES.with_borrow(|stores| {
        let (_, store) = stores.all.iter().find(|(known, _)| *known == number)?;
        Some(Rc::clone(store))
    })
}

/// Registers a store of the host; returns its number.
#[wasm_bindgen]
#[must_use]
pub fn store_of_host(bridge: Bridge) -> u32 {
    register(Rc::new(HostStore::new(bridge)))
}

/// Lets go of a store: the host has no use for it any more. Sessions that have it keep it.
#[wasm_bindgen]
pub fn store_forget(number: u32) {
    // Dropped outside of the borrow: a store may call the shell then.
    let forgotten = STORES.with_borrow_mut(|stores| {
        let at = stores.all.iter().position(|(known, _)| *known == number)?;
        Some(stores.all.swap_remove(at))
    });
    drop(forgotten);
}

/// How many stores there are.
#[wasm_bindgen]
#[must_use]
pub fn store_count() -> usize {
    STORES.with_borrow(|stores| stores.all.len())
}

/// Begins to list conversations; returns the number of the task, whose result is the page.
#[wasm_bindgen]
#[must_use]
pub fn store_list(number: u32, after: Option<String>, limit: usize, host: Host) -> u32 {
    on_store(number, host, async move |store| {
        let listed = store.list(&Page { after, limit }).await.map_err(failed)?;
        out(&listed.iter().map(Line::from).collect::<Vec<_>>())
    })
}

/// Begins to delete a conversation; returns the number of the task, which has no result.
#[wasm_bindgen]
#[must_use]
pub fn store_delete(number: u32, conversation: String, host: Host) -> u32 {
    on_store(number, host, async move |store| {
        store.delete(&conversation).await.map_err(failed)?;
        Ok(JsValue::UNDEFINED)
    })
}

/// Begins to close a store; returns the number of the task, which has no result.
#[wasm_bindgen]
#[must_use]
pub fn store_close(number: u32, host: Host) -> u32 {
    on_store(number, host, async move |store| {
        store.close().await.map_err(failed)?;
        Ok(JsValue::UNDEFINED)
    })
}

fn on_store(
    number: u32,
    host: Host,
    work: impl AsyncFnOnce(Rc<dyn Store>) -> Result<JsValue, Failure> + 'static,
) -> u32 {
    tasks::begin(
        host,
        Box::pin(async move {
            let store = store(number).ok_or_else(|| failed(StoreError::closed()))?;
            work(store).await
        }),
    )
}

pub(super) fn failed(error: StoreError) -> Failure {
    Failure::Core(Box::new(Error::Store(error)))
}

/// One conversation of a page.
#[derive(Serialize)]
struct Line<'l> {
    conversation: &'l str,
    revision: u64,
    about: &'l About,
}

impl<'l> From<&'l Listed> for Line<'l> {
    fn from(Listed { conversation, revision, about }: &'l Listed) -> Self {
        Self { conversation, revision: *revision, about }
    }
}
