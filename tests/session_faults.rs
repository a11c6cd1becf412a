//! Faults at every call that a session makes to its store, and every record of a conversation broken in every way: typed
//! errors, nothing half written, nothing lost that was acknowledged, nothing doubled, and a session that goes on.
//! Every third call, all of them with `EPITOME_FULL=1`.
#![cfg(not(target_family = "wasm"))]
#![allow(
    clippy::all,
    clippy::pedantic,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "tests fail loudly"
)]

mod common;
#[path = "common/kept.rs"]
mod kept;
#[path = "common/talk.rs"]
mod talk;

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use common::message::Msg;
use common::rules;
use common::scripted::{Scripted, block_on};
use epitome::store::{
    About, Batch, Listed, Loaded, Memory, Page, Range, Record, RecordKind, Store, StoreError, StoreErrorClass, Stored,
};
use epitome::{Error, Heuristic, Overflow, Providers, Session, SessionOptions, SessionUsage, import};
use kept::{Host, Tree, poll_times, records};

const NAME: &str = "talk";

// --------------------------------------------------------------------------------------------------------------- faults

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// The call fails, and nothing was done.
    Fails(StoreErrorClass),
    /// The call was carried out, but whoever asked does not hear of it.
    LostAfter,
    /// A conflict, though nobody has written.
    Conflict,
    /// It never ends.
    Never,
    /// Everything is gone before it is carried out.
    Evicted,
    /// Records of this kind come back otherwise than they were written.
    Broken(RecordKind, Damage),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Damage {
    Garbage,
    Truncated,
    OtherType,
    Newer,
    Missing,
}

const DAMAGES: [Damage; 5] = [Damage::Garbage, Damage::Truncated, Damage::OtherType, Damage::Newer, Damage::Missing];

impl Damage {
    fn of(self, text: &str) -> Option<String> {
        let half = (0..=text.len() / 2).rev().find(|at| text.is_char_boundary(*at)).unwrap_or_default();
        match self {
            Self::Garbage => Some("\u{1}garbage".to_owned()),
            Self::Truncated => Some(text[..half].to_owned()),
            Self::OtherType => Some("[1,2,3]".to_owned()),
            Self::Newer => Some(text.replacen("\"v\":1", "\"v\":2", 1)),
            Self::Missing => None,
        }
    }
}

/// Counts the calls, and does something wrong in one of them.
struct Faulty {
    memory: Memory,
    calls: Cell<usize>,
    wrong: Cell<Option<(usize, Fault)>>,
    /// Whether it came to that.
    met: Cell<bool>,
    armed: Cell<bool>,
    /// What each call was.
    log: RefCell<Vec<&'static str>>,
}

impl Faulty {
    fn new(wrong: Option<(usize, Fault)>) -> Self {
        Self {
            memory: Memory::new(),
            calls: Cell::new(0),
            wrong: Cell::new(wrong),
            met: Cell::new(false),
            armed: Cell::new(true),
            log: RefCell::default(),
        }
    }

    fn next(&self, what: &'static str) -> Option<Fault> {
        let number = self.calls.get();
        self.calls.set(number + 1);
        self.log.borrow_mut().push(what);
        let fault = self.wrong.get().filter(|(at, _)| *at == number && self.armed.get()).map(|(_, fault)| fault);
        self.met.set(self.met.get() || fault.is_some());
        fault
    }

    async fn before(&self, fault: Option<Fault>) -> Result<(), StoreError> {
        match fault {
            Some(Fault::Fails(class)) => Err(StoreError::new(class, "it was made to fail")),
            Some(Fault::Never) => std::future::pending().await,
            Some(Fault::Evicted) => self.memory.delete(NAME).await,
            _ => Ok(()),
        }
    }
}

impl Store for Faulty {
    fn load<'s>(&'s self, conversation: &'s str, ranges: &'s [Range]) -> Stored<'s, Loaded> {
        let fault = self.next("load");
        Box::pin(async move {
            self.before(fault).await?;
            let mut loaded = self.memory.load(conversation, ranges).await?;
            match fault {
                Some(Fault::LostAfter) => return Err(StoreError::new(StoreErrorClass::Lost, "the connection is lost")),
                Some(Fault::Broken(kind, damage)) => {
                    self.met.set(loaded.records.iter().any(|record| record.kind == kind));
                    loaded.records =
                        loaded.records.into_iter().filter_map(|record| broken(record, kind, damage)).collect();
                }
                _ => {}
            }
            Ok(loaded)
        })
    }

    fn list<'s>(&'s self, page: &'s Page) -> Stored<'s, Vec<Listed>> {
        self.memory.list(page)
    }

    fn commit<'s>(&'s self, batch: &'s Batch) -> Stored<'s, u64> {
        let fault = self.next("commit");
        Box::pin(async move {
            self.before(fault).await?;
            match fault {
                Some(Fault::Conflict) => return Err(StoreError::conflict(batch.expected)),
                Some(Fault::Broken(..)) => self.met.set(false),
                _ => {}
            }
            let written = self.memory.commit(batch).await;
            match fault {
                Some(Fault::LostAfter) => Err(StoreError::new(StoreErrorClass::Lost, "the connection is lost")),
                _ => written,
            }
        })
    }

    fn delete<'s>(&'s self, conversation: &'s str) -> Stored<'s, ()> {
        self.memory.delete(conversation)
    }

    fn close(&self) -> Stored<'_, ()> {
        self.memory.close()
    }
}

fn broken(record: Record, kind: RecordKind, damage: Damage) -> Option<Record> {
    if record.kind != kind {
        return Some(record);
    }
    damage.of(&record.text).map(|text| Record { text, ..record })
}

// --------------------------------------------------------------------------------------------------------------- script

#[derive(Debug, Clone)]
enum Step {
    Append(Vec<String>),
    Prepare,
    PrepareNow,
    CompactNow,
    PlanAndApply,
    Undo,
    Branch(u64),
    /// The array of the host, from what is there.
    Sync(fn(Vec<String>) -> Vec<String>),
    Pin(u64),
    Usage,
    Look,
    Reopen,
}

fn turn(n: usize) -> Vec<String> {
    let question = talk::user(&talk::words(&format!("question{n}"), 30));
    let [calls, result] =
        talk::unit(&format!("call_{n}"), &talk::words(&format!("result{n}"), if n == 2 { 900 } else { 200 }));
    vec![question, calls, result, talk::assistant(&talk::words(&format!("answer{n}"), 40))]
}

fn and(mut raws: Vec<String>, more: &str) -> Vec<String> {
    raws.push(talk::assistant(more));
    raws
}

/// Everything that a session does, on one conversation.
fn script() -> Vec<Step> {
    let mut steps = Vec::new();
    for n in 0..9 {
        steps.push(Step::Append(turn(n)[..1].to_vec()));
        steps.push(Step::Prepare);
        steps.push(Step::Append(turn(n)[1..].to_vec()));
        match n {
            3 => steps.push(Step::Pin(4)),
            5 => steps.extend([Step::Usage, Step::Undo, Step::Reopen, Step::Look]),
            7 => steps.extend([Step::PrepareNow, Step::Prepare]),
            _ => {}
        }
    }
    steps.extend([
        Step::CompactNow,
        Step::Sync(|raws| and(raws, "Let me")),
        Step::Sync(|mut raws| {
            raws.pop();
            and(raws, "Let me think")
        }),
        Step::Sync(|mut raws| {
            raws.truncate(30);
            and(raws, "Something else")
        }),
        Step::Look,
        Step::Branch(20),
        Step::Append(turn(20)),
        Step::PlanAndApply,
        Step::Branch(35),
        Step::Append(turn(21)),
        Step::Prepare,
        Step::Look,
        Step::Reopen,
        Step::Append(turn(22)),
    ]);
    steps
}

fn options() -> SessionOptions {
    let mut options = SessionOptions::new(NAME, talk::options(2_500));
    options.overflow = Some(Overflow { threshold: 3_000, keep: 800 });
    options
}

struct Run {
    store: Rc<Faulty>,
    host: Rc<Host>,
    session: Option<Session<'static>>,
    model: Scripted,
    found: Vec<String>,
    /// What went wrong, as it was heard.
    errors: Vec<Error>,
    evicted: bool,
}

async fn perform(session: &Session<'_>, step: &Step, array: &[String], model: &Scripted) -> Result<(), Error> {
    let providers = Providers { summary: Some(model), ..Providers::default() };
    match step {
        Step::Append(raws) => drop(session.append(&talk::messages(raws)).await?),
        Step::Prepare => drop(session.prepare(providers).await?),
        Step::PrepareNow => drop(session.prepare_now().await?),
        Step::CompactNow => drop(session.compact_now(providers, Some("keep every number")).await?),
        Step::PlanAndApply => {
            let plan = session.plan(providers).await?;
            drop(session.apply(&plan).await?);
        }
        Step::Undo => drop(session.undo(None).await?),
        Step::Branch(entry) => session.branch(*entry).await?,
        Step::Sync(_) => drop(session.sync(&talk::messages(array)).await?),
        Step::Pin(entry) => session.pin(*entry).await?,
        Step::Usage => session.report_usage(SessionUsage { input_tokens: session.meter().tokens * 11 / 10 }).await?,
        Step::Look => {
            session.history(None, None, 1_000).await?;
            session.search("result3 answer1", 5).await?;
            session.recall(0).await?;
            session.compactions().await?;
            session.export().await?;
        }
        Step::Reopen => {}
    }
    Ok(())
}

impl Run {
    fn new(wrong: Option<(usize, Fault)>, host: Host) -> Self {
        Self {
            store: Rc::new(Faulty::new(wrong)),
            host: Rc::new(host),
            session: None,
            model: Scripted::good(),
            found: Vec::new(),
            errors: Vec::new(),
            evicted: false,
        }
    }

    fn bad(&mut self, what: impl AsRef<str>) {
        if self.found.len() < 4 {
            let place = self.store.wrong.get();
            let call = place.and_then(|(at, _)| self.store.log.borrow().get(at).copied());
            self.found.push(format!("{place:?} ({call:?}): {}", what.as_ref()));
        }
    }

    fn tree(&self) -> Tree {
        Tree::of(&records(&self.store.memory, NAME).1)
    }

    /// Opens it, once more if that fails.
    fn open(&mut self) -> bool {
        for again in [false, true] {
            let store: Rc<dyn Store> = self.store.clone();
            let opening = Session::open(options(), store, Rc::new(Heuristic), self.host.clone());
            match poll_times(opening, 100) {
                Some(Ok(session)) => {
                    self.session = Some(session);
                    return true;
                }
                Some(Err(error)) => {
                    self.heard(&error);
                    if again {
                        self.bad(format!("does not open the second time: {error}"));
                    }
                }
                None => {}
            }
        }
        false
    }

    fn heard(&mut self, error: &Error) {
        self.errors.push(error.clone());
        let fault = self.store.wrong.get().map(|(_, fault)| fault);
        let is_expected = match (error, fault) {
            (Error::Store(error), Some(Fault::Fails(class))) => error.class == class,
            (Error::Store(error), Some(Fault::LostAfter)) => error.class == StoreErrorClass::Lost,
            (Error::Store(error), Some(Fault::Evicted)) => error.class == StoreErrorClass::Evicted,
            (Error::Store(error), Some(Fault::Broken(_, damage))) => {
                error.class == if damage == Damage::Newer { StoreErrorClass::Newer } else { StoreErrorClass::Corrupted }
            }
            // What a compaction made of it was not read.
            (Error::CannotUndo { .. } | Error::StalePlan, Some(Fault::Broken(..))) => true,
            // An entry that was not read cannot be recalled.
            (Error::InvalidOption { option, .. }, Some(Fault::Broken(RecordKind::Entry, _))) => option == "id",
            _ => false,
        };
        if !is_expected {
            self.bad(format!("{} {error}", error.code()));
        }
    }

    fn run(&mut self) -> &mut Self {
        if !self.open() {
            return self;
        }
        for (number, step) in script().iter().enumerate() {
            self.step(number, step);
            if !self.found.is_empty() || self.evicted {
                break;
            }
        }
        if !self.evicted && self.found.is_empty() {
            self.conclude();
        }
        self
    }

    fn step(&mut self, number: usize, step: &Step) {
        if matches!(step, Step::Reopen) {
            self.session = None;
            self.open();
            return;
        }
        if self.is_gone() {
            // It went before it was opened: it begins anew then, as far as anybody can know.
            self.evicted = true;
            return;
        }
        let before = self.tree();
        let array = match step {
            Step::Sync(change) => change(before.texts()),
            _ => Vec::new(),
        };
        for again in [false, true] {
            let errors = self.errors.len();
            let session = self.session.as_ref().expect("it is open");
            let result = poll_times(perform(session, step, &array, &self.model), 10_000);
            let now = self.tree();
            if self.is_gone() {
                return self.evict(step, result);
            }
            self.sound(number, step);
            match result {
                Some(Ok(())) => {
                    if let Step::Append(raws) = step {
                        let mut expected = before.clone();
                        expected.append(raws);
                        if now != expected {
                            self.bad(format!("step {number} {step:?}: not what was appended, or not once"));
                        }
                    }
                    if let Step::Sync(_) = step
                        && now.texts() != array
                    {
                        self.bad(format!("step {number} {step:?}: not what the host has"));
                    }
                    return;
                }
                Some(Err(error)) => {
                    self.heard(&error);
                    // A branch may have been written though its window could not be read.
                    let is_written = match step {
                        Step::Sync(_) => now.texts() == array,
                        Step::Branch(entry) => now.tip == Some(*entry as usize),
                        _ => false,
                    };
                    if now != before && !is_written {
                        self.bad(format!("step {number} {step:?}: failed, but something was written"));
                    }
                    let has_gone_on = matches!(error, Error::CannotUndo { .. });
                    if has_gone_on {
                        return;
                    }
                    if again {
                        self.bad(format!("step {number} {step:?}: fails the second time, too: {error}"));
                    }
                }
                // Given up: then it was either written or not.
                None => {
                    if now != before {
                        return;
                    }
                    if again {
                        self.bad(format!("step {number} {step:?}: waits for ever"));
                    }
                }
            }
            if self.errors.len() == errors && again {
                return;
            }
        }
    }

    fn is_gone(&self) -> bool {
        self.store.met.get() && matches!(self.store.wrong.get(), Some((_, Fault::Evicted)))
    }

    /// The conversation is gone: whoever has it open is told so, and nothing comes back by halves.
    fn evict(&mut self, step: &Step, result: Option<Result<(), Error>>) {
        self.evicted = true;
        if let Some(Err(error)) = &result {
            self.heard(error);
        }
        let session = self.session.as_ref().expect("it is open");
        match block_on(session.append(&talk::messages(&[talk::user("Are you there?")]))) {
            Err(Error::Store(error)) if error.class == StoreErrorClass::Evicted => {}
            other => {
                let what = format!("after {step:?} ({result:?}) an append comes to {other:?}");
                self.bad(what);
            }
        }
        if records(&self.store.memory, NAME) != (0, Vec::new()) {
            self.bad(format!("after {step:?} something is written of what is gone"));
        }
        self.session = None;
        if self.open() {
            let session = self.session.as_ref().unwrap();
            let appended = block_on(session.append(&talk::messages(&turn(0))));
            if appended.as_deref() != Ok(&[0, 1, 2, 3]) {
                self.bad(format!("it does not begin anew: {appended:?}"));
            }
        }
    }

    /// The view of the open session is one that a provider accepts, whatever has happened.
    fn sound(&mut self, number: usize, step: &Step) {
        let view = self.session.as_ref().expect("it is open").view();
        let wrong = match view {
            Ok(view) => rules::violations(&Msg::all(view.iter())),
            Err(error) => vec![error.to_string()],
        };
        if !wrong.is_empty() {
            self.bad(format!("step {number} {step:?}: {wrong:?}"));
        }
    }

    /// At the end: whoever opens it anew has everything, and the same view.
    fn conclude(&mut self) {
        self.store.armed.set(false);
        let tree = self.tree();
        let store: Rc<dyn Store> = Rc::new(self.store.memory.clone());
        let host = Rc::new(Host::new(3));
        let fresh = block_on(Session::open(options(), store, Rc::new(Heuristic), host.clone())).unwrap();
        let session = self.session.take().expect("it is open");
        if let Err(error) = block_on(session.refresh()) {
            return self.bad(format!("refresh: {error}"));
        }
        let is_broken = self.store.met.get() && matches!(self.store.wrong.get(), Some((_, Fault::Broken(..))));
        // Who was given a broken record works without it until it is opened again.
        if !is_broken && session.view().unwrap() != fresh.view().unwrap() {
            self.bad("opened anew, it has another view");
        }
        let history = block_on(fresh.history(None, None, 1_000)).unwrap();
        let texts: Vec<&str> = history.iter().map(|entry| entry.text.as_str()).collect();
        if texts != tree.texts() {
            self.bad("the history is not complete");
        }
        if !host.warnings().is_empty() {
            self.bad(format!("opened anew with {:?}", host.warnings()));
        }
        let wrong = rules::violations(&Msg::all(fresh.view().unwrap().iter()));
        if !wrong.is_empty() {
            self.bad(format!("{wrong:?}"));
        }
        let infos = block_on(fresh.compactions()).unwrap();
        if infos.iter().any(|info| info.tokens_after >= info.tokens_before || (info.in_force && info.undone)) {
            self.bad("a compaction that is none");
        }
        // Every one of them can be taken back.
        while let Ok(undone) = block_on(fresh.undo(None)) {
            if undone.is_empty() {
                break;
            }
        }
        if fresh.meter().hidden != 0 {
            self.bad("undone, but something is hidden");
        }
    }
}

fn calm() -> Run {
    let mut run = Run::new(None, Host::new(7));
    run.run();
    assert!(run.found.is_empty(), "{:#?}", run.found);
    run
}

/// All calls in the long run, else every third.
fn some(calls: usize) -> impl Iterator<Item = usize> {
    (0..calls).step_by(if common::full() { 1 } else { 3 })
}

fn report(found: Vec<String>) {
    assert!(found.is_empty(), "{} broken promises:\n{:#?}", found.len(), &found[..found.len().min(12)]);
}

#[test]
fn a_fault_at_any_call_leaves_everything_as_it_was_or_as_it_should_be() {
    let calm = calm();
    let calls = calm.store.calls.get();
    let expected = calm.tree().texts();
    assert!(calls > 120, "{calls}");
    let kinds: Vec<RecordKind> = records(&calm.store.memory, NAME).1.iter().map(|record| record.kind).collect();
    assert!(RecordKind::ALL.iter().all(|kind| kinds.contains(kind)), "the script makes records of every kind");
    let mut found = Vec::new();
    let mut faults: Vec<Fault> = [
        StoreErrorClass::Quota,
        StoreErrorClass::Failed,
        StoreErrorClass::Closed,
        StoreErrorClass::Blocked,
        StoreErrorClass::Unavailable,
        StoreErrorClass::Lost,
    ]
    .map(Fault::Fails)
    .to_vec();
    faults.extend([Fault::LostAfter, Fault::Conflict, Fault::Never, Fault::Evicted]);
    for fault in faults {
        let mut heard = 0;
        for at in some(calls) {
            let mut run = Run::new(Some((at, fault)), Host::new(7));
            run.run();
            heard += run.errors.len();
            if run.found.is_empty() && !run.evicted && run.tree().texts() != expected {
                run.bad("it ends otherwise");
            }
            found.append(&mut run.found);
        }
        println!("{fault:?}: {heard} errors in {calls} runs");
        let is_mended = matches!(fault, Fault::Conflict | Fault::Never);
        assert!(is_mended || heard > calls / 5, "{fault:?} was heard of {heard} times only");
    }
    report(found);
}

#[test]
fn a_record_that_comes_back_broken_is_told_and_passed_over() {
    let calm = calm();
    let calls = calm.store.calls.get();
    let mut found = Vec::new();
    for kind in RecordKind::ALL {
        for damage in DAMAGES {
            let (mut met, mut told) = (0, 0);
            for at in some(calls) {
                if calm.store.log.borrow()[at] != "load" {
                    continue;
                }
                let mut run = Run::new(Some((at, Fault::Broken(kind, damage))), Host::new(7));
                run.run();
                met += usize::from(run.store.met.get());
                told += usize::from(!run.errors.is_empty() || !run.host.warnings().is_empty());
                found.append(&mut run.found);
            }
            println!("{kind:?} {damage:?}: met {met} times, told {told} times");
        }
    }
    report(found);
}

// -------------------------------------------------------------------------------------------------------- what is stored

/// The same conversation in another store, with these records.
fn store_of(records: Vec<Record>) -> Memory {
    let store = Memory::new();
    let about = About::default();
    let batch = Batch { conversation: NAME.to_owned(), expected: 0, puts: records, deletes: Vec::new(), about };
    block_on(store.commit(&batch)).unwrap();
    store
}

fn open(store: &Memory, host: &Rc<Host>) -> Result<Session<'static>, Error> {
    let store: Rc<dyn Store> = Rc::new(store.clone());
    block_on(Session::open(options(), store, Rc::new(Heuristic), host.clone()))
}

#[test]
fn a_conversation_with_any_record_broken_opens_and_goes_on() {
    let calm = calm();
    let whole = records(&calm.store.memory, NAME).1;
    let tree = calm.tree();
    let path = tree.path();
    let mut found = Vec::new();
    for (at, record) in whole.iter().enumerate() {
        for damage in DAMAGES {
            let mut all = whole.clone();
            match damage.of(&record.text) {
                Some(text) => all[at].text = text,
                None => drop(all.remove(at)),
            }
            let store = store_of(all);
            let place = format!("{:?} {} {damage:?}", record.kind, record.number);
            if let Err(what) = goes_on(&store, record, damage, &tree, &path) {
                found.push(format!("{place}: {what}"));
            }
        }
    }
    report(found);
}

fn goes_on(store: &Memory, record: &Record, damage: Damage, tree: &Tree, path: &[usize]) -> Result<(), String> {
    let host = Rc::new(Host::new(4));
    let opened = open(store, &host);
    let session = match opened {
        Ok(session) => session,
        // What a newer version has written is left alone.
        Err(Error::Store(error)) if error.class == StoreErrorClass::Newer && damage == Damage::Newer => return Ok(()),
        Err(error) => return Err(format!("does not open: {error}")),
    };
    let said = |error: Error| format!("{} {error}", error.code());
    let sound = |session: &Session<'_>| {
        let wrong = rules::violations(&Msg::all(session.view().unwrap().iter()));
        if wrong.is_empty() { Ok(()) } else { Err(format!("{wrong:?}")) }
    };
    sound(&session)?;
    let of_entry = record.kind == RecordKind::Entry;
    let lost = |id: usize| of_entry && id as u64 == record.number;
    let history = block_on(session.history(None, None, 1_000)).map_err(said)?;
    let is: Vec<usize> = history.iter().map(|entry| entry.id as usize).collect();
    let expected: Vec<usize> = path.iter().copied().filter(|id| !lost(*id)).collect();
    if is != expected {
        return Err(format!("the history is {is:?}, expected {expected:?}"));
    }
    for entry in &history {
        let is_given = entry.text == tree.entries[entry.id as usize].0;
        let is_cut = record.kind == RecordKind::Overflow && entry.id == record.number;
        if is_given == is_cut || entry.is_shortened != is_cut {
            return Err(format!("entry {} is {}", entry.id, entry.text));
        }
    }
    // It goes on: with messages, with another session, with the host's array, in another place.
    let ids = block_on(session.append(&talk::messages(&turn(30)))).map_err(said)?;
    if ids[0] != tree.entries.len() as u64 && !(of_entry && record.number + 1 == tree.entries.len() as u64) {
        return Err(format!("appended as {ids:?}"));
    }
    block_on(session.prepare(Providers::default())).map_err(said)?;
    sound(&session)?;
    block_on(session.undo(None)).map(|_| ()).or_else(|error| match error {
        Error::CannotUndo { .. } => Ok(()),
        error => Err(said(error)),
    })?;
    sound(&session)?;
    let is_told = !host.warnings().is_empty();
    let is_used = match record.kind {
        RecordKind::Head | RecordKind::State => true,
        RecordKind::Entry | RecordKind::Overflow => path.contains(&(record.number as usize)),
        _ => false,
    };
    // A state that is not there was never written.
    let may_miss = damage == Damage::Missing && matches!(record.kind, RecordKind::State | RecordKind::Overflow);
    if is_used && !is_told && !may_miss {
        return Err("nobody was told".to_owned());
    }
    let again = open(store, &host).map_err(said)?;
    if again.view().unwrap() != session.view().unwrap() {
        return Err("opened again, it has another view".to_owned());
    }
    let file = block_on(again.export()).map_err(said)?;
    let other: Rc<dyn Store> = Rc::new(Memory::new());
    match block_on(import(&file, NAME, &other, 1.0)) {
        Ok(()) => {}
        Err(_) if damage == Damage::Newer => {}
        Err(error) => return Err(format!("import: {error}")),
    }
    let mut array = tree.texts();
    array.extend(turn(31));
    block_on(again.sync(&talk::messages(&array))).map_err(said)?;
    let history = block_on(again.history(None, None, 1_000)).map_err(said)?;
    // What is lost in the middle stays lost: the array is compared by what each entry says of all before it.
    let texts: Vec<&String> = history.iter().map(|entry| &entry.text).collect();
    let with_loss: Vec<&String> = array
        .iter()
        .enumerate()
        .filter(|(at, _)| path.get(*at).is_none_or(|id| !lost(*id)))
        .map(|(_, raw)| raw)
        .collect();
    if texts != array.iter().collect::<Vec<_>>()
        && texts != with_loss
        && !history.iter().any(|entry| entry.is_shortened)
    {
        return Err("it is not what the host has".to_owned());
    }
    sound(&again)
}

#[test]
fn a_clock_that_goes_astray_changes_nothing_else() {
    let expected = calm().tree();
    for (start, step) in [
        (1_700_000_000_000.0, -1_000.0),
        (0.0, 0.0),
        (f64::NAN, 1.0),
        (f64::INFINITY, 1.0),
        (-1e300, -1e299),
        (f64::MAX, 1.0),
    ] {
        let host = Host::new(7);
        host.now.set(start);
        host.step.set(step);
        let mut run = Run::new(None, host);
        run.run();
        assert!(run.found.is_empty(), "{start} {step}: {:#?}", run.found);
        assert_eq!(run.tree(), expected, "{start} {step}");
        let warnings = run.host.warnings();
        assert!(warnings.is_empty(), "{start} {step}: {warnings:?}");
    }
}

#[test]
fn a_conversation_that_was_deleted_and_begun_anew_is_not_taken_for_the_old_one() {
    let store = Memory::new();
    let host = Rc::new(Host::new(1));
    let old = open(&store, &host).unwrap();
    block_on(old.append(&talk::messages(&turn(0)))).unwrap();
    let other = open(&store, &Rc::new(Host::new(2))).unwrap();
    block_on(other.delete()).unwrap();
    let new = open(&store, &Rc::new(Host::new(3))).unwrap();
    // As many batches, of as many messages.
    block_on(new.append(&talk::messages(&turn(1)))).unwrap();
    assert_eq!(old.revision(), new.revision());
    assert!(block_on(old.refresh()).unwrap());
    assert_eq!(old.view().unwrap(), new.view().unwrap());
}

#[test]
fn a_format_of_a_later_version_is_left_alone() {
    let whole = records(&calm().store.memory, NAME).1;
    let later: Vec<Record> = whole
        .into_iter()
        .map(|record| Record { text: record.text.replacen("\"openai-chat\"", "\"telepathy\"", 1), ..record })
        .collect();
    let store = store_of(later.clone());
    let opened = open(&store, &Rc::new(Host::new(1)));
    assert!(matches!(opened.err(), Some(Error::Store(error)) if error.class == StoreErrorClass::Newer));
    assert_eq!(records(&store, NAME).1, later);
}
