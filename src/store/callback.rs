//! A store of the host, behind the part of the shell that checks it (`pkg/store-bridge.js`).
//!
//! Nothing of the host is awaited as it is: the shell hands out promises that settle when the call is over, answer with
//! lists of a known form only, and reject with a [`Refusal`] only.

// wasm-bindgen expands to the unsafe calls that a WebAssembly import takes; nothing here is unsafe by hand.
#![allow(unsafe_code)]

use std::cell::Cell;
use std::future::Future;
use std::ops::Deref;

use js_sys::{Array, Promise};
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen::{JsCast as _, JsValue};
use wasm_bindgen_futures::JsFuture;

use crate::store::{
    About, Batch, Listed, Loaded, Page, Range, Record, RecordKind, Store, StoreError, StoreErrorClass, Stored,
};

#[wasm_bindgen]
extern "C" {
    /// A store of the host as the shell has wrapped it.
    pub type Bridge;

    /// A new call of it.
    #[wasm_bindgen(method)]
    pub fn begin(this: &Bridge) -> Call;

    /// One call of a store, which makes one request.
    pub type Call;

    /// Ranges: kind, from and to in turn. Answers with the revision, then kind, number and text of every record in turn.
    #[wasm_bindgen(method)]
    pub fn load(this: &Call, conversation: &str, ranges: Array) -> Promise;

    /// Answers with name, revision, beginning, last time and number of messages of every conversation in turn.
    #[wasm_bindgen(method)]
    pub fn list(this: &Call, after: Option<String>, limit: f64) -> Promise;

    /// Puts: kind, number and text in turn; deletes: as the ranges of `load`; about: in the order of its fields. Answers
    /// with the new revision.
    #[wasm_bindgen(method)]
    pub fn commit(this: &Call, conversation: &str, expected: f64, puts: Array, deletes: Array, about: Array)
    -> Promise;

    /// Answers with nothing.
    #[wasm_bindgen(method)]
    pub fn delete(this: &Call, conversation: &str) -> Promise;

    /// Answers with nothing.
    #[wasm_bindgen(method)]
    pub fn close(this: &Call) -> Promise;

    /// Nobody waits any more.
    #[wasm_bindgen(method)]
    pub fn end(this: &Call);

    /// Why nothing came of a call.
    pub type Refusal;

    /// One of the codes of [`StoreErrorClass`].
    #[wasm_bindgen(method, getter)]
    pub fn code(this: &Refusal) -> String;

    /// The same in words.
    #[wasm_bindgen(method, getter)]
    pub fn message(this: &Refusal) -> String;

    /// For conflicts: the revision that the conversation has, where the host says so; else negative.
    #[wasm_bindgen(method, getter)]
    pub fn revision(this: &Refusal) -> f64;
}

/// A store of the host.
pub(crate) struct HostStore {
    bridge: Bridge,
    is_closed: Cell<bool>,
}

impl HostStore {
    pub(crate) fn new(bridge: Bridge) -> Self {
        Self { bridge, is_closed: Cell::new(false) }
    }

    fn begin(&self) -> Result<Open, StoreError> {
        if self.is_closed.get() { Err(StoreError::closed()) } else { Ok(Open(self.bridge.begin())) }
    }

    /// Not before it is polled: a future that nobody polls does nothing.
    async fn ask(&self, request: impl FnOnce(&Call) -> Promise) -> Result<JsValue, StoreError> {
        let call = self.begin()?;
        JsFuture::from(request(&call)).await.map_err(|refusal| error_of(&refusal.unchecked_into()))
    }

    async fn ask_for_list(&self, request: impl FnOnce(&Call) -> Promise) -> Result<Array, StoreError> {
        self.ask(request).await.map(JsValue::unchecked_into)
    }
}

impl Store for HostStore {
    fn load<'s>(&'s self, conversation: &'s str, ranges: &'s [Range]) -> Stored<'s, Loaded> {
        boxed(async move {
            let answer = self.ask_for_list(|call| call.load(conversation, flat_ranges(ranges))).await?;
            let mut items = answer.iter();
            let revision = items.next().as_ref().map(whole).unwrap_or_default();
            let mut records = Vec::with_capacity(items.len() / 3);
            while let (Some(kind), Some(number), Some(text)) = (items.next(), items.next(), items.next()) {
                let kind = kind_of(whole(&kind))?;
                records.push(Record { kind, number: whole(&number), text: text.as_string().unwrap_or_default() });
            }
            Ok(Loaded { revision, records })
        })
    }

    fn list<'s>(&'s self, page: &'s Page) -> Stored<'s, Vec<Listed>> {
        boxed(async move {
            #[expect(clippy::cast_precision_loss, reason = "nobody lists 2^53 conversations")]
            let limit = page.limit as f64;
            let answer = self.ask_for_list(|call| call.list(page.after.clone(), limit)).await?;
            let mut items = answer.iter();
            let mut listed = Vec::with_capacity(items.len() / 5);
            while let Some(conversation) = items.next() {
                let mut number = || items.next().unwrap_or_default();
                let revision = whole(&number());
                let [created_ms, updated_ms] = [number(), number()].map(|ms| ms.as_f64().unwrap_or_default());
                let about = About { created_ms, updated_ms, entries: whole(&number()) };
                listed.push(Listed { conversation: conversation.as_string().unwrap_or_default(), revision, about });
            }
            Ok(listed)
        })
    }

    fn commit<'s>(&'s self, batch: &'s Batch) -> Stored<'s, u64> {
        boxed(async move {
            let About { created_ms, updated_ms, entries } = batch.about;
            let about = [created_ms, updated_ms, float(entries)].into_iter().map(JsValue::from).collect();
            let puts = batch.puts.iter().flat_map(|Record { kind, number, text }| {
                [JsValue::from(*kind as u8), JsValue::from(float(*number)), JsValue::from(text)]
            });
            let (puts, deletes) = (puts.collect(), flat_ranges(&batch.deletes));
            let commit = |call: &Call| call.commit(&batch.conversation, float(batch.expected), puts, deletes, about);
            let revision = self.ask(commit).await?;
            Ok(whole(&revision))
        })
    }

    fn delete<'s>(&'s self, conversation: &'s str) -> Stored<'s, ()> {
        boxed(async move { self.ask(|call| call.delete(conversation)).await.map(drop) })
    }

    fn close(&self) -> Stored<'_, ()> {
        boxed(async move {
            let Ok(call) = self.begin() else { return Ok(()) };
            self.is_closed.set(true);
            JsFuture::from(call.close()).await.map(drop).map_err(|refusal| error_of(&refusal.unchecked_into()))
        })
    }
}

/// (So that the kind of future is named once.)
fn boxed<'s, T>(future: impl Future<Output = Result<T, StoreError>> + 's) -> Stored<'s, T> {
    Box::pin(future)
}

/// A call that is over when nobody waits for it any more.
struct Open(Call);

impl Deref for Open {
    type Target = Call;

    fn deref(&self) -> &Call {
        &self.0
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.end();
    }
}

fn error_of(refusal: &Refusal) -> StoreError {
    let class = StoreErrorClass::of_code(&refusal.code()).unwrap_or(StoreErrorClass::Failed);
    let revision = Some(refusal.revision()).filter(|revision| *revision >= 0.0).map(|revision| whole(&revision.into()));
    match revision {
        Some(revision) if class == StoreErrorClass::Conflict => StoreError::conflict(revision),
        _ => StoreError::new(class, refusal.message()),
    }
}

fn flat_ranges(ranges: &[Range]) -> Array {
    let numbers = ranges.iter().flat_map(|Range { kind, from, to }| [f64::from(*kind as u8), float(*from), float(*to)]);
    numbers.map(JsValue::from).collect()
}

fn kind_of(number: u64) -> Result<RecordKind, StoreError> {
    let kind = usize::try_from(number).ok().and_then(|number| RecordKind::ALL.get(number));
    kind.copied().ok_or_else(|| StoreError::new(StoreErrorClass::Corrupted, "a record has a kind that is not known"))
}

#[expect(clippy::cast_precision_loss, reason = "nothing here is above 2^53")]
fn float(number: u64) -> f64 {
    number as f64
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a cast of a float stays in range")]
fn whole(number: &JsValue) -> u64 {
    number.as_f64().unwrap_or_default() as u64
}
