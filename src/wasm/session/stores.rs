//! The stores that sessions use, by number: each is there once, however many sessions share it.

// wasm-bindgen expands to the unsafe exports that a WebAssembly host calls; nothing here is unsafe by hand.
#![allow(unsafe_code)]

use std::cell::RefCell;
use std::rc::Rc;

use js_sys::{Array, Function, Promise};
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;

use crate::error::Error;
use crate::store::callback::{Bridge, HostStore};
use crate::store::indexed_db::{Codec, Durability, Guard, IndexedDb, IndexedDbOptions};
use crate::store::{Listed, Page, Store, StoreError};
use crate::wasm::outward::Failure;
use crate::wasm::session::host::Host;
use crate::wasm::session::tasks;

struct Stores {
    last: u32,
    all: Vec<Registered>,
}

struct Registered {
    number: u32,
    store: Rc<dyn Store>,
    /// The same, if it is one.
    indexed_db: Option<Rc<IndexedDb>>,
}

thread_local! {
    static STORES: RefCell<Stores> = const { RefCell::new(Stores { last: 0, all: Vec::new() }) };
}

fn register(store: Rc<dyn Store>, indexed_db: Option<Rc<IndexedDb>>) -> u32 {
    STORES.with_borrow_mut(|stores| {
        stores.last = stores.last.wrapping_add(1);
        stores.all.push(Registered { number: stores.last, store, indexed_db });
        stores.last
    })
}

fn with<T>(number: u32, get: impl FnOnce(&Registered) -> T) -> Option<T> {
    STORES.with_borrow(|stores| stores.all.iter().find(|known| known.number == number).map(get))
}

/// The store of this number; `None` when the host has no use for it any more.
pub(crate) fn store(number: u32) -> Option<Rc<dyn Store>> {
    with(number, |known| Rc::clone(&known.store))
}

/// Registers a store of the host; returns its number.
#[wasm_bindgen]
#[must_use]
pub fn store_of_host(bridge: Bridge) -> u32 {
    register(Rc::new(HostStore::new(bridge)), None)
}

/// What the shell says of a store in IndexedDB.
#[wasm_bindgen]
extern "C" {
    /// The options of one, as the shell has checked them.
    pub type Chosen;

    /// Of the database.
    #[wasm_bindgen(method, getter)]
    fn name(this: &Chosen) -> Option<String>;

    /// Whether a write counts before the disk has it.
    #[wasm_bindgen(method, getter)]
    fn relaxed(this: &Chosen) -> bool;

    /// Whether to ask the browser not to make room with it.
    #[wasm_bindgen(method, getter)]
    fn persist(this: &Chosen) -> bool;

    /// One half of the host's codec.
    #[wasm_bindgen(method, getter)]
    fn encode(this: &Chosen) -> Option<Function>;

    /// The other half.
    #[wasm_bindgen(method, getter)]
    fn decode(this: &Chosen) -> Option<Function>;

    /// A promise that settles as this one does, and never once the module has trapped.
    #[wasm_bindgen(method)]
    fn guarded(this: &Chosen, promise: Promise) -> Promise;
}

/// Registers a store in IndexedDB, which opens when it is first used; returns its number.
#[wasm_bindgen]
#[must_use]
pub fn store_indexed_db(chosen: Chosen) -> u32 {
    let defaults = IndexedDbOptions::default();
    let codec = chosen.encode().zip(chosen.decode()).map(|(encode, decode)| Codec { encode, decode });
    let options = IndexedDbOptions {
        name: chosen.name().unwrap_or(defaults.name),
        durability: if chosen.relaxed() { Durability::Relaxed } else { Durability::Strict },
        persist: chosen.persist(),
        codec,
        guard: Guard::new(move |promise| chosen.guarded(promise)),
        open_ms: defaults.open_ms,
    };
    let store = Rc::new(IndexedDb::new(options));
    register(Rc::<IndexedDb>::clone(&store), Some(store))
}

/// Lets go of a store: the host has no use for it any more. Sessions that have it keep it.
#[wasm_bindgen]
pub fn store_forget(number: u32) {
    // Dropped outside of the borrow: a store may call the shell then.
    let forgotten = STORES.with_borrow_mut(|stores| {
        let at = stores.all.iter().position(|known| known.number == number)?;
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

/// Begins to list conversations; returns the number of the task, whose result has name, revision, beginning, last time
/// and number of messages of every conversation in turn.
#[wasm_bindgen]
#[must_use]
pub fn store_list(number: u32, after: Option<String>, limit: usize, host: Host) -> u32 {
    on_store(number, host, async move |store| {
        let listed = store.list(&Page { after, limit }).await.map_err(failed)?;
        Ok(listed.iter().flat_map(line).collect::<Array>().into())
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

/// Begins to ask whether the browser keeps what is in a database; returns the number of the task, whose result is yes or
/// no.
#[wasm_bindgen]
#[must_use]
pub fn store_persisted(number: u32, host: Host) -> u32 {
    let work = async move {
        let store = with(number, |known| known.indexed_db.clone()).flatten();
        let store = store.ok_or_else(|| failed(StoreError::closed()))?;
        store.persisted().await.map(JsValue::from).map_err(failed)
    };
    tasks::begin(host, Box::pin(work))
}

#[expect(clippy::cast_precision_loss, reason = "nothing here is above 2^53")]
fn line(Listed { conversation, revision, about }: &Listed) -> [JsValue; 5] {
    let [revision, entries] = [*revision as f64, about.entries as f64];
    let numbers = [revision, about.created_ms, about.updated_ms, entries].map(JsValue::from);
    let [revision, created, updated, entries] = numbers;
    [conversation.into(), revision, created, updated, entries]
}

pub(super) fn on_store(
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

fn failed(error: StoreError) -> Failure {
    Failure::Core(Box::new(Error::Store(error)))
}
