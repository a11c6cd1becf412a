//! The cases notice what a store can do wrong.

use std::cell::Cell;
use std::future::poll_fn;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use super::*;
use crate::store::Memory;

/// A store in memory with something wrong with it.
struct Broken {
    memory: Memory,
    fault: &'static str,
    closed: Cell<bool>,
}

/// What is wrong, and a case that has to notice.
const FAULTS: &[(&str, &str)] = &[
    ("ranges end too late", "a deleted range begins with its first number and ends before its last"),
    ("ranges begin too late", "records come in the order of the ranges, and numbers as numbers"),
    ("numbers are sorted as text", "records come in the order of the ranges, and numbers as numbers"),
    ("ranges are merged", "ranges may overlap, be empty, or be the wrong way round"),
    ("numbers have 32 bits", "numbers reach up to 2^53 - 1"),
    ("ranges are read one after the other", "what is read is from one moment"),
    ("texts are trimmed", "texts come back to the byte"),
    ("byte order marks are taken away", "texts come back to the byte"),
    ("names are folded", "names are told apart to the byte"),
    ("names are cut", "names are told apart to the byte"),
    ("pages begin anew", "pages of any size name every conversation once, always in the same order"),
    ("pages have no end", "pages of any size name every conversation once, always in the same order"),
    ("pages begin after what is there", "a page may begin after a conversation that is gone"),
    ("nobody ever loses", "a batch with a wrong expectation is a conflict that says the revision"),
    ("nobody ever loses", "a conflict writes nothing"),
    ("the future is accepted", "a batch with a wrong expectation is a conflict that says the revision"),
    ("conflicts say nothing", "of two first commits at once one wins"),
    ("writes come before deletions", "deletions come before writes"),
    ("deletions are forgotten", "a whole kind can be deleted and the others stay"),
    ("empty batches are nothing", "an empty batch counts too"),
    ("the first word on it stays", "a listed conversation has its revision and what the last batch said about it"),
    ("it looks before it waits", "of two commits at once one wins"),
    ("it looks before it waits", "of twenty commits at once one wins, every time"),
    ("batches come in halves", "a commit that is dropped is there as a whole or not at all"),
    ("nothing is deleted", "deleting leaves nothing, and a new conversation begins anew"),
    ("what is unknown cannot be deleted", "deleting what does not exist is no error"),
    ("it never closes", "after closing every call fails as closed, and closing again does nothing"),
    ("it closes once", "after closing every call fails as closed, and closing again does nothing"),
];

impl Broken {
    fn is(&self, fault: &str) -> bool {
        self.fault == fault
    }

    fn name(&self, conversation: &str) -> String {
        match self.fault {
            "names are folded" => conversation.to_lowercase(),
            "names are cut" => conversation.chars().take(500).collect(),
            _ => conversation.to_owned(),
        }
    }

    fn range(&self, range: &Range) -> Range {
        match self.fault {
            "ranges end too late" => Range { to: range.to + 1, ..*range },
            "ranges begin too late" => Range { from: range.from + 1, ..*range },
            _ => *range,
        }
    }

    async fn read(&self, conversation: &str, ranges: &[Range]) -> Result<Loaded, StoreError> {
        let (name, ranges) =
            (self.name(conversation), ranges.iter().map(|range| self.range(range)).collect::<Vec<_>>());
        let mut loaded = self.memory.load(&name, &ranges).await?;
        if self.is("ranges are read one after the other") {
            loaded.records.clear();
            for range in ranges {
                loaded.records.append(&mut self.memory.load(&name, &[range]).await?.records);
                pause().await;
            }
        }
        match self.fault {
            "numbers are sorted as text" => {
                loaded.records.sort_by_key(|record| (record.kind, record.number.to_string()));
            }
            "ranges are merged" => {
                loaded.records.sort_by_key(|record| (record.kind, record.number));
                loaded.records.dedup_by_key(|record| (record.kind, record.number));
            }
            "batches come in halves" => loaded.revision = loaded.revision.div_ceil(2),
            _ => {}
        }
        Ok(loaded)
    }

    fn rewritten(&self, batch: &Batch, revision: u64) -> Batch {
        let mut batch = Batch { conversation: self.name(&batch.conversation), ..batch.clone() };
        batch.deletes = batch.deletes.iter().map(|range| self.range(range)).collect();
        match self.fault {
            "numbers have 32 bits" => batch.puts.iter_mut().for_each(|put| put.number &= 0xffff_ffff),
            "texts are trimmed" => batch.puts.iter_mut().for_each(|put| put.text = put.text.trim().to_owned()),
            "byte order marks are taken away" => {
                batch.puts.iter_mut().for_each(|put| put.text = put.text.trim_start_matches('\u{feff}').to_owned());
            }
            "nobody ever loses" => batch.expected = revision,
            "the future is accepted" => batch.expected = batch.expected.min(revision),
            "writes come before deletions" => {
                let Batch { puts, deletes, .. } = &mut batch;
                puts.retain(|put| !deletes.iter().any(|range| range.contains(put.kind, put.number)));
            }
            "deletions are forgotten" => batch.deletes.clear(),
            _ => {}
        }
        batch
    }

    async fn write(&self, batch: &Batch) -> Result<u64, StoreError> {
        let revision = self.memory.load(&self.name(&batch.conversation), &[]).await?.revision;
        let mut batch = self.rewritten(batch, revision);
        match self.fault {
            "empty batches are nothing" if batch.puts.is_empty() && revision == batch.expected => {
                return Ok(revision + 1);
            }
            "it looks before it waits" if revision == batch.expected => {
                pause().await;
                batch.expected = self.memory.load(&batch.conversation, &[]).await?.revision;
                self.memory.commit(&batch).await?;
                return Ok(revision + 1);
            }
            "the first word on it stays" if revision > 0 => {
                let page = Page { after: None, limit: usize::MAX };
                let mut listed = self.memory.list(&page).await?;
                listed.retain(|listed| listed.conversation == batch.conversation);
                batch.about = listed[0].about;
            }
            "batches come in halves" => return self.write_halves(batch).await,
            _ => {}
        }
        let outcome = self.memory.commit(&batch).await;
        outcome.map_err(|error| {
            let revision = error.revision.filter(|_| !self.is("conflicts say nothing"));
            StoreError { revision, ..error }
        })
    }

    async fn write_halves(&self, batch: Batch) -> Result<u64, StoreError> {
        let given = batch.expected + 1;
        let first = Batch { expected: batch.expected * 2, puts: batch.puts[..1].to_vec(), ..batch.clone() };
        let second = Batch { expected: first.expected + 1, deletes: Vec::new(), ..batch };
        self.memory.commit(&first).await?;
        pause().await;
        self.memory.commit(&second).await?;
        Ok(given)
    }

    async fn pages(&self, page: &Page) -> Result<Vec<Listed>, StoreError> {
        let mut page = page.clone();
        let all = self.memory.list(&Page { after: None, limit: usize::MAX }).await?;
        match self.fault {
            "pages begin anew" => page.after = None,
            "pages have no end" => page.limit = usize::MAX,
            "pages begin after what is there" => {
                let is_there = |after: &String| all.iter().any(|listed| listed.conversation == *after);
                if !page.after.as_ref().is_none_or(is_there) {
                    return Ok(Vec::new());
                }
            }
            _ => {}
        }
        self.memory.list(&page).await
    }

    async fn remove(&self, conversation: &str) -> Result<(), StoreError> {
        let name = self.name(conversation);
        let is_unknown = self.memory.load(&name, &[]).await?.revision == 0;
        if self.is("what is unknown cannot be deleted") && is_unknown {
            return Err(StoreError::new(StoreErrorClass::Failed, "there is no such conversation"));
        }
        if self.is("nothing is deleted") { Ok(()) } else { self.memory.delete(&name).await }
    }
}

impl Store for Broken {
    fn load<'s>(&'s self, conversation: &'s str, ranges: &'s [Range]) -> Stored<'s, Loaded> {
        Box::pin(self.read(conversation, ranges))
    }

    fn list<'s>(&'s self, page: &'s Page) -> Stored<'s, Vec<Listed>> {
        Box::pin(self.pages(page))
    }

    fn commit<'s>(&'s self, batch: &'s Batch) -> Stored<'s, u64> {
        Box::pin(self.write(batch))
    }

    fn delete<'s>(&'s self, conversation: &'s str) -> Stored<'s, ()> {
        Box::pin(self.remove(conversation))
    }

    fn close(&self) -> Stored<'_, ()> {
        if self.is("it never closes") {
            return Box::pin(async { Ok(()) });
        }
        if self.closed.replace(true) && self.is("it closes once") {
            return Box::pin(async { Err(StoreError::closed()) });
        }
        self.memory.close()
    }
}

/// Lets others go first.
async fn pause() {
    let mut waited = false;
    poll_fn(|_| if std::mem::replace(&mut waited, true) { Poll::Ready(()) } else { Poll::Pending }).await;
}

/// Polls until it is done; nothing here waits for longer.
fn done<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    for _ in 0..1_000_000 {
        if let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return value;
        }
    }
    panic!("it never ends");
}

fn broken(fault: &'static str) -> Broken {
    Broken { memory: Memory::new(), fault, closed: Cell::new(false) }
}

#[test]
fn a_store_with_nothing_wrong_passes() {
    for case in CASES {
        assert_eq!(done(run(case.name, &broken(""))), Ok(()), "{}", case.name);
    }
}

#[test]
fn every_fault_is_noticed_by_its_case() {
    let unnoticed: Vec<_> = FAULTS.iter().filter(|(fault, case)| done(run(case, &broken(fault))).is_ok()).collect();
    assert!(unnoticed.is_empty(), "{unnoticed:#?}");
}

#[test]
fn a_store_that_forgets_fails_all_cases_of_persistent_ones() {
    for case in PERSISTENT {
        assert_eq!(done(before(case.name, &Memory::new())), Ok(()), "{}", case.name);
        assert!(done(after(case.name, &Memory::new())).is_err(), "{}", case.name);
    }
}

#[test]
fn names_of_cases_are_not_ambiguous_and_unknown_ones_are_refused() {
    let mut names: Vec<&str> =
        CASES.iter().map(|case| case.name).chain(PERSISTENT.iter().map(|case| case.name)).collect();
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count);
    assert!(done(run("nothing", &Memory::new())).is_err() && done(before("nothing", &Memory::new())).is_err());
}
