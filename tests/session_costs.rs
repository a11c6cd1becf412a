//! What sessions ask of their store, counted: appending costs the same however long the conversation is, and opening it
//! reads what its view shows.
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

use std::cell::Cell;
use std::rc::Rc;

use common::scripted::block_on;
use epitome::store::{Batch, Listed, Loaded, Memory, Page, Range, Store, Stored};
use epitome::{Heuristic, Providers, Session, SessionOptions};
use kept::Host;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Counts {
    loads: usize,
    /// Records that were handed back.
    read: usize,
    commits: usize,
    /// Records that were written.
    written: usize,
    bytes: usize,
}

#[derive(Default)]
struct Counting {
    memory: Memory,
    counts: Cell<Counts>,
}

impl Counting {
    fn count(&self, change: impl FnOnce(&mut Counts)) {
        let mut counts = self.counts.get();
        change(&mut counts);
        self.counts.set(counts);
    }
}

impl Store for Counting {
    fn load<'s>(&'s self, conversation: &'s str, ranges: &'s [Range]) -> Stored<'s, Loaded> {
        Box::pin(async move {
            let loaded = self.memory.load(conversation, ranges).await;
            let read = loaded.as_ref().map_or(0, |loaded| loaded.records.len());
            self.count(|counts| (counts.loads, counts.read) = (counts.loads + 1, counts.read + read));
            loaded
        })
    }

    fn list<'s>(&'s self, page: &'s Page) -> Stored<'s, Vec<Listed>> {
        self.memory.list(page)
    }

    fn commit<'s>(&'s self, batch: &'s Batch) -> Stored<'s, u64> {
        self.count(|counts| {
            counts.commits += 1;
            counts.written += batch.puts.len();
            counts.bytes += batch.puts.iter().map(|record| record.text.len()).sum::<usize>();
        });
        self.memory.commit(batch)
    }

    fn delete<'s>(&'s self, conversation: &'s str) -> Stored<'s, ()> {
        self.memory.delete(conversation)
    }

    fn close(&self) -> Stored<'_, ()> {
        self.memory.close()
    }
}

fn open(store: &Rc<Counting>, limit: u64) -> Session<'static> {
    let options = SessionOptions::new("talk", talk::options(limit));
    block_on(Session::open(options, store.clone(), Rc::new(Heuristic), Rc::new(Host::new(1)))).unwrap()
}

/// What one thing costs.
fn costs<T>(store: &Counting, thing: impl Future<Output = T>) -> (Counts, T) {
    store.counts.set(Counts::default());
    let result = block_on(thing);
    (store.counts.get(), result)
}

fn append(session: &Session<'_>, raws: &[String]) {
    block_on(session.append(&talk::messages(raws))).unwrap();
}

/// Turns of four messages as a host has them: each is appended and prepared for.
fn talk_on(session: &Session<'_>, turns: std::ops::Range<usize>) {
    for n in turns {
        let [calls, result] = talk::unit(&format!("call_{n}"), &talk::words("result", 60));
        append(session, &[talk::user(&format!("question {n}"))]);
        block_on(session.prepare(Providers::default())).unwrap();
        append(session, &[calls, result]);
        append(session, &[talk::assistant(&format!("answer {n}"))]);
    }
}

/// A session with so many entries, most of which are hidden.
fn after(entries: usize) -> (Rc<Counting>, Session<'static>) {
    let store = Rc::new(Counting::default());
    let session = open(&store, 3_000);
    talk_on(&session, 0..entries / 4);
    assert_eq!(session.meter().entries, entries as u64);
    assert!(entries < 1_000 || session.meter().hidden > entries as u64 * 9 / 10);
    (store, session)
}

#[test]
fn an_append_costs_the_same_however_much_there_is() {
    let mut bytes = Vec::new();
    for entries in [100, 20_000] {
        let (store, session) = after(entries);
        let message = [talk::user("What now?")];
        let (first, _) = costs(&store, session.append(&talk::messages(&message)));
        let (second, _) = costs(&store, session.append(&talk::messages(&message)));
        for counts in [first, second] {
            assert_eq!((counts.loads, counts.commits), (0, 1), "{entries}: {counts:?}");
        }
        // Head and entry; what is remembered goes along where it has changed since.
        assert!(first.written <= 3 && second.written == 2, "{entries}: {first:?} {second:?}");
        assert!(second.bytes < message[0].len() + 700, "{entries}: {second:?}");
        block_on(session.prepare(Providers::default())).unwrap();
        let (third, _) = costs(&store, session.append(&talk::messages(&message)));
        assert!(third.loads == 0 && third.written <= 3, "{entries}: {third:?}");
        bytes.push((second.bytes, third.bytes));
        println!("{entries} entries: {first:?} {second:?} {third:?}");
    }
    let (few, many) = (bytes[0], bytes[1]);
    assert!(many.0 <= few.0 + 64 && many.1 <= few.1 + 1_024, "{bytes:?}");
}

#[test]
fn opening_reads_what_the_view_shows_and_four_records_more() {
    let (store, session) = after(20_000);
    let shown = session.meter().messages;
    drop(session);
    let (counts, session) = costs(&store, async { open(&store, 3_000) });
    println!("{shown} messages are shown: {counts:?}");
    assert_eq!(session.meter().messages, shown);
    assert!(shown < 200, "{shown}");
    assert!(counts.read <= shown + 4 && counts.loads <= 4, "{counts:?} for {shown} messages");
    assert_eq!(counts.commits, 0);
}

#[test]
fn preparing_with_nothing_to_do_reads_two_records() {
    for entries in [100, 20_000] {
        let store = Rc::new(Counting::default());
        let session = open(&store, 100_000_000);
        for n in 0..entries / 100 {
            append(&session, &vec![talk::user(&format!("question {n}")); 100]);
        }
        let (counts, prepared) = costs(&store, session.prepare(Providers::default()));
        assert_eq!(prepared.unwrap().compaction, None);
        assert_eq!((counts.loads, counts.commits), (1, 0), "{entries}: {counts:?}");
        assert!(counts.read <= 2, "{entries}: {counts:?}");
    }
}

#[test]
fn an_array_that_is_the_same_but_for_its_end_is_not_read() {
    let (store, session) = after(4_000);
    let history = block_on(session.history(None, None, 10_000)).unwrap();
    let mut raws: Vec<String> = history.into_iter().map(|entry| entry.text).collect();
    let (counts, _) = costs(&store, session.sync(&talk::messages(&raws)));
    assert_eq!((counts.loads, counts.read, counts.commits), (1, 2, 0), "{counts:?}");
    raws.push(talk::user("And now?"));
    let (counts, synced) = costs(&store, session.sync(&talk::messages(&raws)));
    assert_eq!(synced.unwrap().appended, [4_000]);
    assert!(counts.read < 16 && counts.loads <= 3, "{counts:?}");
    // A page of the history is read as a page.
    let (counts, page) = costs(&store, session.history(session.start_of_last(None, 20), None, 20));
    assert_eq!((page.unwrap().len(), counts.read), (20, 20));
}
