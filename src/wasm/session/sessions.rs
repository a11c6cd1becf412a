//! Sessions, by number. Each call begins a task, but for those that only look at what is in memory.
//!
//! Messages cross as JSON texts, since that is what is kept; those that the shell holds already do not cross again.

// wasm-bindgen expands to the unsafe exports that a WebAssembly host calls; nothing here is unsafe by hand.
#![allow(unsafe_code)]

mod bridge;
mod counting;
mod showing;
mod watched;

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use js_sys::{Array, Function};
use serde::Serialize;
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;

use crate::conversation::ConversationOptions;
use crate::engine::overhead;
use crate::error::Error;
use crate::json::Messages;
use crate::options::FitOptions;
use crate::session::{
    EntryId, HistoryEntry, Overflow, Prepared, RECALL_DESCRIPTION, RECALL_PARAMETERS, Recalled, Retention, Session,
    SessionOptions, Usage,
};
use crate::store::StoreError;
use crate::transcript::{Plan, Report};
use crate::value::Value;
use crate::wasm::buffer::Input;
use crate::wasm::exports::given;
use crate::wasm::outward::{Failure, SlimPatch, out};
use crate::wasm::records;
use crate::wasm::session::asking::asking;
use crate::wasm::session::host::Host;
use crate::wasm::session::models::Record;
use crate::wasm::session::{stores, tasks};
use crate::wasm::wire::{self, WireError};

use bridge::Bridge;
use counting::Counting;
use showing::Held;
use watched::{Calls, Watched};

type Answer = Result<JsValue, Failure>;

/// A session with what the border keeps of it.
struct Open {
    session: Session<'static>,
    held: Held,
    counter: Rc<Counting>,
    calls: Rc<Calls>,
    last_call: Cell<u64>,
}

struct Sessions {
    last: u32,
    all: Vec<(u32, Rc<Open>)>,
}

thread_local! {
    static SESSIONS: RefCell<Sessions> = const { RefCell::new(Sessions { last: 0, all: Vec::new() }) };
}

fn find(number: u32) -> Option<Rc<Open>> {
    SESSIONS
        .with_borrow(|sessions| sessions.all.iter().find(|known| known.0 == number).map(|known| Rc::clone(&known.1)))
}

// -------------------------------------------------------------------------------------------------- beginning and ending

/// Begins to open `[options, more, system, tools]`; returns the number of the task, whose result is that of the session.
#[wasm_bindgen]
#[must_use]
pub fn session_open(length: usize, counter: Option<Function>, bridge: Bridge, host: Host) -> u32 {
    let input = Input::take(length);
    let work = async move {
        let open = opened(&input, counter, bridge).await?;
        Ok(SESSIONS.with_borrow_mut(|sessions| {
            sessions.last = sessions.last.wrapping_add(1);
            sessions.all.push((sessions.last, Rc::new(open)));
            JsValue::from(sessions.last)
        }))
    };
    tasks::begin(host, Box::pin(work))
}

async fn opened(input: &[u8], function: Option<Function>, bridge: Bridge) -> Result<Open, Failure> {
    let [options, more, system, tools] = wire::exactly(wire::decode_roots(input)?)?;
    let more = Record(&more);
    let counter = Rc::new(Counting::new(function));
    let fit = FitOptions::from_value(&options)?;
    let mut conversation = ConversationOptions::new(fit.budget);
    conversation.policy = fit.policy;
    conversation.format = fit.format;
    conversation.goal = fit.goal;
    conversation.overhead = overhead(given(system).as_ref(), given(tools).as_ref(), &*counter);
    conversation.instructions = more.get("instructions").given().map(Record::text).transpose()?.map(str::to_owned);
    let mut options = SessionOptions::new(more.get("id").text()?, conversation);
    options.overflow = read_overflow(more.get("overflow"))?;
    options.retention = read_retention(more.get("retention"))?;
    let store = stores::store(more.get("store").small()?).ok_or(Error::Store(StoreError::closed()))?;
    let calls = Rc::<Calls>::default();
    let watched = Watched { store, calls: Rc::clone(&calls), counter: Rc::clone(&counter) };
    let opened = Session::do_open(options, Rc::new(watched), Rc::<Counting>::clone(&counter), Rc::new(bridge)).await;
    // A counter that failed explains whatever else went wrong.
    counter.settle()?;
    Ok(Open { session: opened?, held: Held::default(), counter, calls, last_call: Cell::new(0) })
}

fn read_overflow(record: Record<'_, '_>) -> Result<Option<Overflow>, WireError> {
    let Some(record) = record.given() else { return Ok(None) };
    Ok(Some(Overflow { threshold: record.get("threshold").whole()?, keep: record.get("keep").whole()? }))
}

fn read_retention(record: Record<'_, '_>) -> Result<Option<Retention>, WireError> {
    let Some(record) = record.given() else { return Ok(None) };
    let number = |name: &str| record.get(name).given().map(Record::number).transpose();
    Ok(Some(Retention { max_age_ms: number("maxAgeMs")?, max_bytes: number("maxBytes")?.map(natural) }))
}

/// Closes a session: its calls fail as soon as they do not wait for the store any more, and nothing new goes there.
#[wasm_bindgen]
pub fn session_close(number: u32) {
    // Dropped outside of the borrow: it may be the last one to hold what calls the shell when it goes.
    let closed = SESSIONS.with_borrow_mut(|sessions| {
        let at = sessions.all.iter().position(|known| known.0 == number)?;
        Some(sessions.all.swap_remove(at).1)
    });
    if let Some(open) = closed {
        open.calls.close();
        open.session.close();
    }
}

/// How many sessions there are.
#[wasm_bindgen]
#[must_use]
pub fn session_count() -> usize {
    SESSIONS.with_borrow(|sessions| sessions.all.len())
}

/// Begins to write an exported conversation to a store; returns the number of the task, which has no result.
#[wasm_bindgen]
#[must_use]
pub fn session_import(store: u32, length: usize, host: Host) -> u32 {
    let input = Input::take(length);
    stores::on_store(store, host, async move |store| {
        let [id, file] = wire::exactly(wire::decode_roots(&input)?)?;
        crate::session::do_import(Record(&file).text()?, Record(&id).text()?, &store, js_sys::Date::now()).await?;
        Ok(JsValue::UNDEFINED)
    })
}

// ------------------------------------------------------------------------------------------------------------ at a glance

/// The view as things stand; `undefined` when there is no such session.
#[wasm_bindgen]
pub fn session_view(number: u32) -> Result<JsValue, JsValue> {
    let Some(open) = find(number) else { return Ok(JsValue::UNDEFINED) };
    let edition = open.session.edition();
    let items = open.session.view_without(&|entry| open.held.has(entry, edition)).map_err(Failure::from)?;
    Ok(shown(&open.held.view(&items, edition), edition))
}

/// How large the view is; `undefined` when there is no such session.
#[wasm_bindgen]
pub fn session_meter(number: u32) -> Result<JsValue, JsValue> {
    let Some(open) = find(number) else { return Ok(JsValue::UNDEFINED) };
    Ok(out(&open.session.meter())?)
}

/// Revision of the conversation as it was last seen.
#[wasm_bindgen]
#[must_use]
pub fn session_revision(number: u32) -> f64 {
    find(number).map_or(0.0, |open| showing::float(open.session.revision()))
}

/// Somebody else may have written.
#[wasm_bindgen]
pub fn session_mark_stale(number: u32) {
    if let Some(open) = find(number) {
        open.session.mark_stale();
    }
}

/// What the shell was told last may not have arrived: it holds nothing.
#[wasm_bindgen]
pub fn session_let_go(number: u32) {
    if let Some(open) = find(number) {
        open.held.forget();
    }
}

fn told(open: &Open, entries: &[HistoryEntry]) -> JsValue {
    shown(&open.held.history(entries), open.session.edition())
}

/// (The edition as a text: it is larger than numbers of JavaScript are exact.)
fn shown(view: &Array, edition: u64) -> JsValue {
    Array::of2(&JsValue::from(edition.to_string()), view).into()
}

// ------------------------------------------------------------------------------------------------------------------ calls

/// Begins to append `[messages]`, JSON texts; the result is their numbers.
#[wasm_bindgen]
#[must_use]
pub fn session_append(number: u32, length: usize, host: Host) -> u32 {
    let input = Input::take(length);
    begin(number, host, async move |open, _| {
        let [texts] = wire::exactly(wire::decode_roots(&input)?)?;
        let messages = messages_of(&texts)?;
        let ids = open.session.do_append(&messages).await?;
        for (id, text) in ids.iter().zip(messages.iter()) {
            open.held.add(*id, text);
        }
        Ok(showing::ids(&ids).into())
    })
}

/// Begins to bring the conversation to `[messages]`, JSON texts.
#[wasm_bindgen]
#[must_use]
pub fn session_sync(number: u32, length: usize, host: Host) -> u32 {
    let input = Input::take(length);
    begin(number, host, async move |open, _| {
        let [texts] = wire::exactly(wire::decode_roots(&input)?)?;
        let messages = messages_of(&texts)?;
        let synced = open.session.do_sync(&messages).await?;
        // What is new are the last ones, and before them the one that has grown.
        let fresh: Vec<EntryId> = synced.grown.iter().chain(&synced.appended).copied().collect();
        for (id, text) in fresh.iter().zip(messages.iter().skip(messages.len().saturating_sub(fresh.len()))) {
            open.held.add(*id, text);
        }
        out(&SyncedOut {
            appended: &synced.appended,
            replaced: &synced.replaced,
            branched: synced.branched_at.is_some(),
            branched_at: synced.branched_at.flatten(),
            grown: synced.grown,
        })
    })
}

/// Begins `[more]`: a step of the life cycle, as `more.mode` says: `auto`, `never` (waits for no model) or `now`.
#[wasm_bindgen]
#[must_use]
pub fn session_prepare(number: u32, length: usize, host: Host) -> u32 {
    let input = Input::take(length);
    begin(number, host, async move |open, host| {
        let [more] = wire::exactly(wire::decode_roots(&input)?)?;
        let more = Record(&more);
        let how = more.get("mode").text()?;
        if how == "never" {
            return prepared(&open, &open.session.do_prepare_now().await?);
        }
        asking(&host, more, async |providers| {
            let done = if how == "now" {
                let instructions = more.get("instructions").given().map(Record::text).transpose()?;
                open.session.do_compact_now(providers, instructions).await?
            } else {
                open.session.do_prepare(providers).await?
            };
            prepared(&open, &done)
        })
        .await
    })
}

/// Begins to make a plan with `[more]`.
#[wasm_bindgen]
#[must_use]
pub fn session_plan(number: u32, length: usize, host: Host) -> u32 {
    let input = Input::take(length);
    begin(number, host, async move |open, host| {
        let [more] = wire::exactly(wire::decode_roots(&input)?)?;
        asking(&host, Record(&more), async |providers| {
            let Plan { patch, report, .. } = open.session.do_plan(providers).await?;
            out(&PlanOut { report: &report, patch: SlimPatch::from(&patch) })
        })
        .await
    })
}

/// Begins to carry out `[plan]`, a JSON text.
#[wasm_bindgen]
#[must_use]
pub fn session_apply(number: u32, length: usize, host: Host) -> u32 {
    let input = Input::take(length);
    begin(number, host, async move |open, _| {
        let [plan] = wire::exactly(wire::decode_roots(&input)?)?;
        let plan = records::plan_text(Record(&plan).text()?)?;
        prepared(&open, &open.session.do_apply(&plan).await?)
    })
}

/// Begins to read entries: at most `most`, beginning after `after`, ending before `before`; where `last` is given, the last
/// ones, that many.
#[wasm_bindgen]
#[must_use]
pub fn session_history(
    number: u32,
    after: Option<f64>,
    before: Option<f64>,
    last: Option<f64>,
    most: usize,
    host: Host,
) -> u32 {
    begin(number, host, async move |open, _| {
        let before = before.map(natural);
        let after = match last {
            Some(last) => open.session.start_of_last(before, natural(last)),
            None => after.map(natural),
        };
        let entries = open.session.do_history(after, before, most).await?;
        Ok(told(&open, &entries))
    })
}

/// Begins to read an entry.
#[wasm_bindgen]
#[must_use]
pub fn session_recall(number: u32, entry: f64, host: Host) -> u32 {
    begin(number, host, async move |open, _| {
        let entry = open.session.do_recall(natural(entry)).await?;
        Ok(told(&open, &[entry]))
    })
}

/// Begins to search what the view does not show: entries, then as many scores and excerpts in turn.
#[wasm_bindgen]
#[must_use]
pub fn session_search(number: u32, query: String, limit: usize, host: Host) -> u32 {
    begin(number, host, async move |open, _| {
        let found = open.session.do_search(&query, limit).await?;
        let ranked = Array::new();
        for Recalled { score, excerpt, .. } in &found {
            ranked.push(&JsValue::from_f64(*score));
            ranked.push(&JsValue::from_str(excerpt));
        }
        let entries: Vec<HistoryEntry> = found.into_iter().map(|found| found.entry).collect();
        Ok(Array::of2(&told(&open, &entries), &ranked).into())
    })
}

/// Begins to answer a call of the tool `recall` with at most `room` characters.
#[wasm_bindgen]
#[must_use]
pub fn session_answer_recall(number: u32, arguments: String, room: usize, host: Host) -> u32 {
    begin(number, host, async move |open, _| {
        open.session.do_answer_recall(&arguments, room).await.map(JsValue::from).map_err(Failure::from)
    })
}

/// The tool `recall`: its description, and the JSON Schema of its parameters.
#[wasm_bindgen]
#[must_use]
pub fn recall_tool() -> Vec<String> {
    vec![RECALL_DESCRIPTION.to_owned(), RECALL_PARAMETERS.to_owned()]
}

/// Begins to list compactions.
#[wasm_bindgen]
#[must_use]
pub fn session_compactions(number: u32, host: Host) -> u32 {
    begin(number, host, async move |open, _| out(&open.session.do_compactions().await?))
}

/// Begins to pin an entry, or to take the pin off.
#[wasm_bindgen]
#[must_use]
pub fn session_pin(number: u32, entry: f64, pin: bool, host: Host) -> u32 {
    begin(number, host, async move |open, _| {
        let entry = natural(entry);
        if pin {
            open.session.do_pin(entry).await?;
        } else {
            open.session.do_unpin(entry).await?;
        }
        Ok(JsValue::UNDEFINED)
    })
}

/// Begins to take a compaction back; the result is the numbers of those that were.
#[wasm_bindgen]
#[must_use]
pub fn session_undo(number: u32, compaction: Option<f64>, host: Host) -> u32 {
    begin(number, host, async move |open, _| {
        let undone = open.session.do_undo(compaction.map(natural)).await?;
        Ok(showing::ids(&undone).into())
    })
}

/// Begins to go to an entry.
#[wasm_bindgen]
#[must_use]
pub fn session_branch(number: u32, entry: f64, host: Host) -> u32 {
    begin(number, host, async move |open, _| {
        open.session.do_branch(natural(entry)).await?;
        Ok(JsValue::UNDEFINED)
    })
}

/// Begins to take in what the provider counted.
#[wasm_bindgen]
#[must_use]
pub fn session_report_usage(number: u32, input_tokens: f64, host: Host) -> u32 {
    begin(number, host, async move |open, _| {
        open.session.do_report_usage(Usage { input_tokens: natural(input_tokens) }).await?;
        Ok(JsValue::UNDEFINED)
    })
}

/// Begins to look whether somebody else has written; the result is whether so.
#[wasm_bindgen]
#[must_use]
pub fn session_refresh(number: u32, host: Host) -> u32 {
    begin(number, host, async move |open, _| Ok(JsValue::from_bool(open.session.do_refresh().await?)))
}

/// Begins to export; the result is the text of the file.
#[wasm_bindgen]
#[must_use]
pub fn session_export(number: u32, host: Host) -> u32 {
    begin(number, host, async move |open, _| Ok(JsValue::from(open.session.do_export().await?)))
}

/// Begins to delete the conversation.
#[wasm_bindgen]
#[must_use]
pub fn session_delete(number: u32, host: Host) -> u32 {
    begin(number, host, async move |open, _| {
        open.session.do_delete().await?;
        Ok(JsValue::UNDEFINED)
    })
}

// --------------------------------------------------------------------------------------------------------- what they share

fn begin<F>(number: u32, host: Host, work: impl FnOnce(Rc<Open>, Host) -> F) -> u32
where
    F: Future<Output = Answer> + 'static,
{
    match find(number) {
        Some(open) => launch(Rc::clone(&open), host.clone(), Box::pin(work(open, host))),
        None => tasks::begin(host, Box::pin(std::future::ready(Err(closed())))),
    }
}

/// (Not generic, so that it is there once.)
#[inline(never)]
fn launch(open: Rc<Open>, host: Host, running: Pin<Box<dyn Future<Output = Answer>>>) -> u32 {
    let number = open.last_call.get().wrapping_add(1);
    open.last_call.set(number);
    tasks::begin(host, Box::pin(Call { open, number, running }))
}

/// A call of a session. It ends when the session is closed, unless it waits for the store just then.
struct Call {
    open: Rc<Open>,
    number: u64,
    running: Pin<Box<dyn Future<Output = Answer>>>,
}

impl Future for Call {
    type Output = Answer;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Answer> {
        let before = self.open.calls.go_on(self.number);
        let polled = self.running.as_mut().poll(context);
        self.open.calls.go_on(before);
        let is_closed = self.open.calls.is_closed();
        match polled {
            Poll::Ready(answer) => {
                // A counter that failed explains whatever else went wrong.
                let answer = self.open.counter.settle().map_err(Failure::from).and(answer);
                Poll::Ready(if is_closed { answer.map_err(|_| closed()) } else { answer })
            }
            Poll::Pending if is_closed && !self.open.calls.waits(self.number) => Poll::Ready(Err(closed())),
            Poll::Pending => Poll::Pending,
        }
    }
}

fn closed() -> Failure {
    Failure::from(Error::Closed)
}

fn messages_of(texts: &Value<'_>) -> Result<Messages, Failure> {
    let mut messages = Messages::default();
    for text in texts.as_array().unwrap_or_default() {
        messages.push_json(Record(text).text()?)?;
    }
    Ok(messages)
}

/// What the shell makes a result of: a record, the originals of its patch, and the view.
fn prepared(open: &Open, prepared: &Prepared) -> Answer {
    let Prepared { items, report, patch, compaction, before, originals, behind } = prepared;
    let patch = SlimPatch::from(patch);
    let record = out(&PreparedOut { report, patch, compaction: *compaction, behind: *behind, entries: before })?;
    let edition = open.session.edition();
    // First: what is asked for here may be let go of by the view.
    let originals = open.held.originals(originals);
    let view = shown(&open.held.view(items, edition), edition);
    Ok(Array::of3(&record, &originals, &view).into())
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PreparedOut<'p> {
    report: &'p Report,
    patch: SlimPatch<'p>,
    compaction: Option<u64>,
    behind: bool,
    entries: &'p [Option<EntryId>],
}

#[derive(Serialize)]
struct PlanOut<'p> {
    report: &'p Report,
    patch: SlimPatch<'p>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SyncedOut<'s> {
    appended: &'s [EntryId],
    replaced: &'s [EntryId],
    branched: bool,
    branched_at: Option<EntryId>,
    grown: Option<EntryId>,
}

/// A number that the shell has checked to be whole and not negative.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a cast of a float stays in range")]
fn natural(number: f64) -> u64 {
    number as u64
}
