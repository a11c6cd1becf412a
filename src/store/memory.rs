//! A store in memory: for tests, and for conversations that nobody needs tomorrow.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::rc::Rc;

use super::{About, Batch, Listed, Loaded, Page, Range, Record, RecordKind, Store, StoreError, Stored};

/// Keeps conversations in memory. Clones share what they keep, and are closed together.
///
/// ```
/// use epitome::store::Memory;
///
/// let store = Memory::new();
/// let same_conversations = store.clone();
/// # let _ = same_conversations;
/// ```
#[derive(Debug, Clone, Default)]
pub struct Memory {
    kept: Rc<RefCell<Kept>>,
}

#[derive(Debug, Default)]
struct Kept {
    closed: bool,
    conversations: BTreeMap<String, Conversation>,
}

#[derive(Debug, Default)]
struct Conversation {
    revision: u64,
    about: About,
    records: BTreeMap<(RecordKind, u64), String>,
}

impl Memory {
    /// A store with nothing in it.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A call that is carried out when it is waited for, as a future has it, and is done then.
    fn call<'s, T: 's>(&'s self, action: impl FnOnce(&mut Kept) -> Result<T, StoreError> + 's) -> Stored<'s, T> {
        Box::pin(async move {
            let mut kept = self.kept.borrow_mut();
            if kept.closed { Err(StoreError::closed()) } else { action(&mut kept) }
        })
    }
}

impl Store for Memory {
    fn load<'s>(&'s self, conversation: &'s str, ranges: &'s [Range]) -> Stored<'s, Loaded> {
        self.call(move |kept| {
            Ok(kept.conversations.get(conversation).map(|found| found.read(ranges)).unwrap_or_default())
        })
    }

    fn list<'s>(&'s self, page: &'s Page) -> Stored<'s, Vec<Listed>> {
        self.call(move |kept| {
            let start = page.after.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
            let rest = kept.conversations.range::<str, _>((start, Bound::Unbounded));
            Ok(rest.take(page.limit).map(|(name, found)| found.listed(name)).collect())
        })
    }

    fn commit<'s>(&'s self, batch: &'s Batch) -> Stored<'s, u64> {
        self.call(move |kept| {
            let revision = kept.conversations.get(&batch.conversation).map_or(0, |found| found.revision);
            if revision != batch.expected {
                return Err(StoreError::conflict(revision));
            }
            Ok(kept.conversations.entry(batch.conversation.clone()).or_default().write(batch))
        })
    }

    fn delete<'s>(&'s self, conversation: &'s str) -> Stored<'s, ()> {
        self.call(move |kept| {
            kept.conversations.remove(conversation);
            Ok(())
        })
    }

    fn close(&self) -> Stored<'_, ()> {
        Box::pin(async move {
            *self.kept.borrow_mut() = Kept { closed: true, ..Kept::default() };
            Ok(())
        })
    }
}

impl Conversation {
    fn read(&self, ranges: &[Range]) -> Loaded {
        let mut records = Vec::new();
        for range in ranges.iter().filter(|range| range.from < range.to) {
            let found = self.records.range((range.kind, range.from)..(range.kind, range.to));
            records.extend(found.map(|((kind, number), text)| Record {
                kind: *kind,
                number: *number,
                text: text.clone(),
            }));
        }
        Loaded { revision: self.revision, records }
    }

    fn write(&mut self, batch: &Batch) -> u64 {
        for range in batch.deletes.iter().filter(|range| range.from < range.to) {
            let keys: Vec<_> =
                self.records.range((range.kind, range.from)..(range.kind, range.to)).map(|(key, _)| *key).collect();
            for key in keys {
                self.records.remove(&key);
            }
        }
        for record in &batch.puts {
            self.records.insert((record.kind, record.number), record.text.clone());
        }
        self.about = batch.about;
        self.revision += 1;
        self.revision
    }

    fn listed(&self, name: &str) -> Listed {
        Listed { conversation: name.to_owned(), revision: self.revision, about: self.about }
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;
    use crate::store::contract;

    fn done<T>(future: impl Future<Output = T>) -> T {
        match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(value) => value,
            Poll::Pending => panic!("memory makes nobody wait"),
        }
    }

    #[test]
    fn it_does_what_a_store_has_to_do() {
        let failures: Vec<String> = contract::CASES
            .iter()
            .filter_map(|case| {
                done(contract::run(case.name, &Memory::new())).err().map(|why| format!("{}: {why}", case.name))
            })
            .collect();
        assert!(failures.is_empty(), "{}", failures.join("\n"));
    }

    #[test]
    fn clones_share_their_conversations_and_are_closed_together() {
        for case in contract::PERSISTENT {
            let store = Memory::new();
            done(contract::before(case.name, &store.clone())).unwrap();
            done(contract::after(case.name, &store)).unwrap();
        }
        let (store, clone) = (Memory::new(), Memory::new());
        let shared = store.clone();
        done(store.close()).unwrap();
        assert!(done(shared.list(&Page { after: None, limit: 1 })).is_err());
        assert!(done(clone.list(&Page { after: None, limit: 1 })).is_ok());
    }
}
