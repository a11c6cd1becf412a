//! What the tests of sessions share: a clock, stores that take their time, and what a store holds, read without the crate's
//! codec.
//!
//! Not part of `common` itself: a test file takes it in by `#[path = "common/kept.rs"]`.
#![allow(dead_code, reason = "every test binary uses a part")]

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use epitome::store::{Batch, Listed, Loaded, Memory, Page, Range, Record, RecordKind, Store, Stored};
use epitome::{SessionEvent, SessionHost, Warning};
use serde_json::Value;

use crate::common::rng::Rng;
use crate::common::scripted::block_on;

// --------------------------------------------------------------------------------------------------------------- host

/// A clock that counts, and chance that does not repeat itself.
pub struct Host {
    pub now: Cell<f64>,
    /// What each look at the clock adds, milliseconds.
    pub step: Cell<f64>,
    chance: RefCell<Rng>,
    pub events: RefCell<Vec<SessionEvent>>,
}

impl Host {
    pub fn new(seed: u64) -> Self {
        Self {
            now: Cell::new(1_700_000_000_000.0),
            step: Cell::new(1.0),
            chance: RefCell::new(Rng::new(seed)),
            events: RefCell::default(),
        }
    }

    pub fn warnings(&self) -> Vec<Warning> {
        let events = self.events.borrow();
        events
            .iter()
            .filter_map(|event| if let SessionEvent::Warning(warning) = event { Some(warning.clone()) } else { None })
            .collect()
    }
}

impl SessionHost for Host {
    fn now_ms(&self) -> f64 {
        self.now.set(self.now.get() + self.step.get());
        self.now.get()
    }

    fn random(&self) -> f64 {
        (self.chance.borrow_mut().next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn event(&self, event: &SessionEvent) {
        self.events.borrow_mut().push(event.clone());
    }
}

// ------------------------------------------------------------------------------------------------------------- waiting

/// Not ready for so many looks.
pub struct Later(pub usize);

impl Future for Later {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.0 == 0 {
            return Poll::Ready(());
        }
        self.0 -= 1;
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

/// Looks at a future so many times at most, and drops it.
pub fn poll_times<T>(future: impl Future<Output = T>, times: usize) -> Option<T> {
    let mut future = Box::pin(future);
    let mut context = Context::from_waker(Waker::noop());
    for _ in 0..times {
        if let Poll::Ready(value) = future.as_mut().poll(&mut context) {
            return Some(value);
        }
    }
    None
}

/// Two at once, by turns as chance has it.
pub fn together<A, B>(rng: &mut Rng, a: impl Future<Output = A>, b: impl Future<Output = B>) -> (A, B) {
    let (mut a, mut b) = (Box::pin(a), Box::pin(b));
    let (mut of_a, mut of_b) = (None, None);
    let mut context = Context::from_waker(Waker::noop());
    for _ in 0..1_000_000 {
        if of_a.is_none() && (of_b.is_some() || rng.chance(50)) {
            if let Poll::Ready(value) = a.as_mut().poll(&mut context) {
                of_a = Some(value);
            }
        } else if of_b.is_none() {
            if let Poll::Ready(value) = b.as_mut().poll(&mut context) {
                of_b = Some(value);
            }
        }
        if of_a.is_some() && of_b.is_some() {
            break;
        }
    }
    (of_a.expect("the first never came to its end"), of_b.expect("the second never came to its end"))
}

/// A store in memory that lets everybody wait, before and after each call is carried out.
pub struct Slow {
    pub memory: Memory,
    pub rng: RefCell<Rng>,
    /// The longest wait, looks.
    pub most: Cell<usize>,
}

impl Slow {
    pub fn new(memory: Memory, seed: u64) -> Self {
        Self { memory, rng: RefCell::new(Rng::new(seed)), most: Cell::new(3) }
    }

    fn wait(&self) -> Later {
        Later(self.rng.borrow_mut().below(self.most.get() + 1))
    }
}

impl Store for Slow {
    fn load<'s>(&'s self, conversation: &'s str, ranges: &'s [Range]) -> Stored<'s, Loaded> {
        Box::pin(async move {
            self.wait().await;
            let loaded = self.memory.load(conversation, ranges).await;
            self.wait().await;
            loaded
        })
    }

    fn list<'s>(&'s self, page: &'s Page) -> Stored<'s, Vec<Listed>> {
        self.memory.list(page)
    }

    fn commit<'s>(&'s self, batch: &'s Batch) -> Stored<'s, u64> {
        Box::pin(async move {
            self.wait().await;
            let written = self.memory.commit(batch).await;
            self.wait().await;
            written
        })
    }

    fn delete<'s>(&'s self, conversation: &'s str) -> Stored<'s, ()> {
        Box::pin(async move {
            self.wait().await;
            let deleted = self.memory.delete(conversation).await;
            self.wait().await;
            deleted
        })
    }

    fn close(&self) -> Stored<'_, ()> {
        self.memory.close()
    }
}

// ------------------------------------------------------------------------------------------------- what a store holds

/// Every record of a conversation, and its revision.
pub fn records(store: &dyn Store, conversation: &str) -> (u64, Vec<Record>) {
    let ranges: Vec<Range> = RecordKind::ALL.into_iter().map(Range::all).collect();
    let loaded = block_on(store.load(conversation, &ranges)).expect("the store can be read");
    (loaded.revision, loaded.records)
}

/// Entries as a tree: the text of each and what it follows.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Tree {
    pub entries: Vec<(String, Option<usize>)>,
    pub tip: Option<usize>,
}

impl Tree {
    /// The entries on the way to the tip, oldest first.
    pub fn path(&self) -> Vec<usize> {
        let mut path = Vec::new();
        let mut next = self.tip;
        while let Some(at) = next {
            path.push(at);
            next = self.entries[at].1;
        }
        path.reverse();
        path
    }

    pub fn texts(&self) -> Vec<String> {
        self.path().into_iter().map(|at| self.entries[at].0.clone()).collect()
    }

    /// Takes in messages at the end. Returns their numbers.
    pub fn append(&mut self, raws: &[String]) -> Vec<u64> {
        raws.iter()
            .map(|raw| {
                self.entries.push((raw.clone(), self.tip));
                self.tip = Some(self.entries.len() - 1);
                self.entries.len() as u64 - 1
            })
            .collect()
    }

    /// From the records, read by hand.
    pub fn of(records: &[Record]) -> Self {
        let parsed = |record: &Record| -> Value { serde_json::from_str(&record.text).expect("a record is JSON") };
        let Some(head) = records.iter().find(|record| record.kind == RecordKind::Head).map(parsed) else {
            assert!(records.is_empty(), "records without a head");
            return Self::default();
        };
        let wholes: BTreeMap<u64, String> = records
            .iter()
            .filter(|record| record.kind == RecordKind::Overflow)
            .map(|record| (record.number, message_of(&record.text)))
            .collect();
        let starts: BTreeMap<u64, Option<usize>> = head["branches"]
            .as_array()
            .expect("branches")
            .iter()
            .map(|segment| (segment[0].as_u64().unwrap(), segment[1].as_u64().map(|after| after as usize)))
            .collect();
        let mut tree = Self::default();
        for (at, record) in records.iter().filter(|record| record.kind == RecordKind::Entry).enumerate() {
            assert_eq!(record.number, at as u64, "entries are numbered without gaps");
            let after = starts.get(&record.number).copied().unwrap_or(at.checked_sub(1));
            let text = wholes.get(&record.number).cloned().unwrap_or_else(|| message_of(&record.text));
            tree.entries.push((text, after));
        }
        assert_eq!(head["entries"].as_u64(), Some(tree.entries.len() as u64), "the head counts the entries");
        tree.tip = head["tip"].as_u64().map(|tip| tip as usize);
        tree
    }
}

/// The text of a record's field `message`, byte for byte.
pub fn message_of(record: &str) -> String {
    #[derive(serde::Deserialize)]
    struct Holds<'r> {
        #[serde(borrow)]
        message: &'r serde_json::value::RawValue,
    }
    serde_json::from_str::<Holds<'_>>(record).expect("a record with a message").message.get().to_owned()
}
