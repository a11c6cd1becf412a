//! Sessions over a store in memory: what is appended stays, what is compacted can be taken back, and whoever opens the
//! conversation again sees the same.
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
#[path = "common/talk.rs"]
mod talk;

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use common::scripted::{Scripted, block_on};
use epitome::store::{Memory, Store};
use epitome::{Error, Heuristic, Providers, Session, SessionEvent, SessionHost, SessionOptions};

/// A clock that counts, and chance that does not repeat itself.
#[derive(Default)]
struct Host {
    now: Cell<f64>,
    chance: Cell<u64>,
    events: RefCell<Vec<SessionEvent>>,
}

thread_local! {
    static HOSTS: Cell<u64> = const { Cell::new(0) };
}

impl SessionHost for Host {
    fn now_ms(&self) -> f64 {
        self.now.set(self.now.get() + 1.0);
        1_700_000_000_000.0 + self.now.get()
    }

    fn random(&self) -> f64 {
        if self.chance.get() == 0 {
            HOSTS.with(|hosts| hosts.set(hosts.get() + 1));
            self.chance.set(HOSTS.with(Cell::get) * 1_000_003);
        }
        self.chance.set(self.chance.get() + 1);
        self.chance.get() as f64 / 1e15
    }

    fn event(&self, event: &SessionEvent) {
        self.events.borrow_mut().push(event.clone());
    }
}

fn options(limit: u64) -> SessionOptions {
    SessionOptions::new("talk", talk::options(limit))
}

fn open_with(options: SessionOptions, store: &Memory) -> Session<'static> {
    let store: Rc<dyn Store> = Rc::new(store.clone());
    block_on(Session::open(options, store, Rc::new(Heuristic), Rc::new(Host::default()))).expect("opens")
}

fn open(limit: u64, store: &Memory) -> Session<'static> {
    open_with(options(limit), store)
}

fn append(session: &Session<'_>, raws: &[String]) -> Vec<u64> {
    block_on(session.append(&talk::messages(raws))).expect("appends")
}

fn shown(session: &Session<'_>) -> String {
    session.view().expect("a view").to_json()
}

fn turns(from: usize, to: usize) -> Vec<String> {
    (from..to)
        .flat_map(|n| {
            let question = talk::user(&talk::words(&format!("question{n}"), 30));
            let [calls, result] = talk::unit(&format!("call_{n}"), &talk::words(&format!("result{n}"), 200));
            [question, calls, result, talk::assistant(&talk::words(&format!("answer{n}"), 40))]
        })
        .collect()
}

#[test]
fn what_is_appended_is_there_when_it_is_opened_again() {
    let store = Memory::new();
    let session = open(100_000, &store);
    assert_eq!(append(&session, &turns(0, 3)), (0..12).collect::<Vec<u64>>());
    assert_eq!(append(&session, &turns(3, 4)), (12..16).collect::<Vec<u64>>());
    let again = open(100_000, &store);
    assert_eq!(shown(&again), shown(&session));
    assert_eq!(shown(&again), talk::messages(&turns(0, 4)).to_json());
    assert_eq!(again.meter(), session.meter());
}

#[test]
fn a_compaction_is_seen_by_whoever_opens_it_again_and_can_be_taken_back() {
    let store = Memory::new();
    let session = open(4_000, &store);
    let model = Scripted::good();
    for n in 0..24 {
        append(&session, &turns(n, n + 1)[..1]);
        let prepared = block_on(session.prepare(Providers { summary: Some(&model), ..Providers::default() })).unwrap();
        assert!(prepared.report.after <= 4_000);
        assert_eq!(prepared.messages().unwrap().to_json(), shown(&session));
        let again = open(4_000, &store);
        assert_eq!(shown(&again), shown(&session), "turn {n}");
        append(&session, &turns(n, n + 1)[1..]);
    }
    let infos = block_on(session.compactions()).unwrap();
    assert!(infos.len() >= 3, "{infos:#?}");
    assert!(infos.iter().all(|info| info.in_force));
    assert!(infos.iter().any(|info| info.summary.is_some()));
    // All of them back, one by one: then everything is there again.
    for left in (0..infos.len()).rev() {
        assert_eq!(block_on(session.undo(None)).unwrap(), [left as u64]);
        assert_eq!(shown(&open(4_000, &store)), shown(&session));
    }
    assert_eq!(shown(&session), talk::messages(&turns(0, 24)).to_json());
    assert!(matches!(block_on(session.undo(None)), Err(Error::CannotUndo { .. })));
}
