//! What every store has to do, as tests that any store can be put through: natively, in a browser, in a Worker.
//!
//! Give each of [`CASES`] a store of its own with nothing in it, and run it; what is not as it should be comes back in
//! words. For stores that outlive a program there are also the cases of [`PERSISTENT`], in two parts: the first writes,
//! then the same storage is opened anew, then the second part looks. Nothing here depends on a platform.
//!
//! ```
//! # async fn test<S: epitome::store::Store>(fresh: impl Fn() -> S) -> Result<(), String> {
//! use epitome::store::contract;
//!
//! for case in contract::CASES {
//!     contract::run(case.name, &fresh()).await.map_err(|why| format!("{}: {why}", case.name))?;
//! }
//! # Ok(()) }
//! ```

mod commits;
mod lifecycle;
mod listing;
mod records;
mod reopening;

use std::fmt::Debug;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;

use super::{
    About, Batch, Listed, Loaded, Page, Range, Record, RecordKind, Store, StoreError, StoreErrorClass, Stored,
};

/// What a case comes to: nothing, or what was wrong, in words.
pub type Verdict = Result<(), String>;

type Checking<'s> = Pin<Box<dyn Future<Output = Verdict> + 's>>;

/// One thing that a store has to do.
#[derive(Debug, Clone, Copy)]
pub struct Case {
    /// What, as a sentence.
    pub name: &'static str,
    check: for<'s> fn(&'s dyn Store) -> Checking<'s>,
}

/// One thing that has to be so after the storage was closed and opened anew.
#[derive(Debug, Clone, Copy)]
pub struct Persistence {
    /// What, as a sentence.
    pub name: &'static str,
    before: for<'s> fn(&'s dyn Store) -> Checking<'s>,
    after: for<'s> fn(&'s dyn Store) -> Checking<'s>,
}

macro_rules! cases {
    ($($name:literal => $check:path,)*) => {
        &[$(Case { name: $name, check: |store| Box::pin($check(store)) }),*]
    };
}

macro_rules! persistence {
    ($($name:literal => $before:path, $after:path,)*) => {
        &[$(Persistence {
            name: $name,
            before: |store| Box::pin($before(store)),
            after: |store| Box::pin($after(store)),
        }),*]
    };
}

/// Everything that one store object can show. Each wants a store with nothing in it.
pub const CASES: &[Case] = cases! {
    "an unknown conversation has revision 0 and no records" => commits::unknown,
    "the first batch expects 0 and gives 1, the next gives 2" => commits::counting,
    "an empty batch counts too" => commits::empty,
    "a batch with a wrong expectation is a conflict that says the revision" => commits::conflict,
    "a conflict writes nothing" => commits::conflict_writes_nothing,
    "a put replaces" => commits::replacing,
    "deletions come before writes" => commits::deletes_before_puts,
    "a batch of everything at once is there as a whole" => commits::mixed,
    "conversations do not see each other" => commits::apart,
    "a deleted range begins with its first number and ends before its last" => records::delete_bounds,
    "ranges that hit nothing delete nothing" => records::delete_nothing,
    "a whole kind can be deleted and the others stay" => records::delete_kind,
    "records come in the order of the ranges, and numbers as numbers" => records::order,
    "ranges may overlap, be empty, or be the wrong way round" => records::odd_ranges,
    "numbers reach up to 2^53 - 1" => records::large_numbers,
    "no ranges read the revision alone" => records::no_ranges,
    "texts come back to the byte" => records::texts,
    "a text of a megabyte comes back" => records::large_text,
    "a batch may hold 5,000 records" => records::many,
    "an empty store lists nothing" => listing::nothing,
    "a listed conversation has its revision and what the last batch said about it" => listing::about,
    "pages of any size name every conversation once, always in the same order" => listing::pages,
    "names are told apart to the byte" => listing::names,
    "a page may begin after a conversation that is gone" => listing::after_a_gone_one,
    "deleting leaves nothing, and a new conversation begins anew" => lifecycle::delete,
    "deleting what does not exist is no error" => lifecycle::delete_unknown,
    "what is read is from one moment" => lifecycle::one_moment,
    "of two commits at once one wins" => lifecycle::two_at_once,
    "of twenty commits at once one wins, every time" => lifecycle::twenty_at_once,
    "of two first commits at once one wins" => lifecycle::two_beginnings,
    "a commit that is dropped is there as a whole or not at all" => lifecycle::dropped,
    "calls that are dropped leave the store usable" => lifecycle::dropped_reads,
    "after closing every call fails as closed, and closing again does nothing" => lifecycle::closed,
};

/// What has to outlive the store object.
pub const PERSISTENT: &[Persistence] = persistence! {
    "everything is there after opening anew" => reopening::write_all, reopening::read_all,
    "after opening anew the revision goes on" => reopening::write_some, reopening::goes_on,
    "what was deleted stays away after opening anew" => reopening::write_and_delete, reopening::stays_away,
    "every name is found after opening anew" => reopening::write_names, reopening::find_names,
    "a conflict leaves nothing behind to be found after opening anew" => reopening::lose, reopening::find_the_winner,
};

/// Puts a store with nothing in it through one of [`CASES`].
///
/// # Errors
/// What is not as it should be; or that there is no such case.
pub async fn run(case: &str, store: &dyn Store) -> Verdict {
    match CASES.iter().find(|known| known.name == case) {
        Some(known) => (known.check)(store).await,
        None => Err(format!("there is no case {case:?}")),
    }
}

/// The first part of one of [`PERSISTENT`], on a store with nothing in it. Close it afterwards, and open the same storage
/// for [`after`].
///
/// # Errors
/// As [`run`].
pub async fn before(case: &str, store: &dyn Store) -> Verdict {
    (persistent(case)?.before)(store).await
}

/// The second part.
///
/// # Errors
/// As [`run`].
pub async fn after(case: &str, store: &dyn Store) -> Verdict {
    (persistent(case)?.after)(store).await
}

fn persistent(case: &str) -> Result<&'static Persistence, String> {
    PERSISTENT.iter().find(|known| known.name == case).ok_or_else(|| format!("there is no case {case:?}"))
}

// ------------------------------------------------------------------------------------------ what the cases are made of

/// Every kind whole, in their order.
const EVERYTHING: [Range; 5] = [
    Range { kind: RecordKind::Head, from: 0, to: Range::END },
    Range { kind: RecordKind::State, from: 0, to: Range::END },
    Range { kind: RecordKind::Entry, from: 0, to: Range::END },
    Range { kind: RecordKind::Overflow, from: 0, to: Range::END },
    Range { kind: RecordKind::Compaction, from: 0, to: Range::END },
];

fn record(kind: RecordKind, number: u64, text: impl Into<String>) -> Record {
    Record { kind, number, text: text.into() }
}

fn entry(number: u64, text: &str) -> Record {
    record(RecordKind::Entry, number, text)
}

/// A batch that says something else about the conversation each time.
fn batch(conversation: &str, expected: u64, puts: Vec<Record>) -> Batch {
    let about = About { created_ms: 1_700_000_000_000.0, updated_ms: 1_700_000_000_000.5, entries: expected + 1 };
    Batch { conversation: conversation.to_owned(), expected, puts, deletes: Vec::new(), about }
}

/// Writes a batch that has to succeed.
async fn write(store: &dyn Store, batch: &Batch) -> Verdict {
    let revision = store.commit(batch).await.map_err(|error| in_words("a commit", &error))?;
    same("the revision that a commit gave", &revision, &(batch.expected + 1))
}

/// Writes records to a new conversation.
async fn begin(store: &dyn Store, conversation: &str, puts: Vec<Record>) -> Verdict {
    write(store, &batch(conversation, 0, puts)).await
}

async fn read(store: &dyn Store, conversation: &str, ranges: &[Range]) -> Result<Loaded, String> {
    store.load(conversation, ranges).await.map_err(|error| in_words("reading", &error))
}

async fn page(store: &dyn Store, after: Option<&str>, limit: usize) -> Result<Vec<Listed>, String> {
    let page = Page { after: after.map(str::to_owned), limit };
    store.list(&page).await.map_err(|error| in_words("listing", &error))
}

/// Everything that there is of a conversation has to be this; the records by kind and number.
async fn holds(store: &dyn Store, conversation: &str, revision: u64, records: &[Record]) -> Verdict {
    let loaded = read(store, conversation, &EVERYTHING).await?;
    same(&format!("the revision of {}", shown(&conversation)), &loaded.revision, &revision)?;
    same_records(&loaded.records, records)
}

fn same_records(are: &[Record], should: &[Record]) -> Verdict {
    same("the number of records", &are.len(), &should.len()).map_err(|why| {
        let keys: Vec<_> = are.iter().take(20).map(|record| (record.kind, record.number)).collect();
        format!("{why}; there are {keys:?}")
    })?;
    for (at, (is, should)) in are.iter().zip(should).enumerate() {
        same(&format!("record {at} of what was read"), is, should)?;
    }
    Ok(())
}

/// A commit has to be refused because the conversation has this revision.
async fn conflicts(store: &dyn Store, batch: &Batch, revision: u64) -> Verdict {
    let outcome = store.commit(batch).await;
    let what = format!("a commit that expects {} at revision {revision}", batch.expected);
    match outcome {
        Ok(given) => Err(format!("{what} succeeded and gave {given}")),
        Err(error) => {
            same(&format!("the class of {what}"), &error.class, &StoreErrorClass::Conflict)?;
            same(&format!("the revision that {what} was told"), &error.revision, &Some(revision))
        }
    }
}

fn same<T: PartialEq + Debug>(what: &str, is: &T, should: &T) -> Verdict {
    if is == should { Ok(()) } else { Err(format!("{what} is {}, not {}", shown(is), shown(should))) }
}

fn in_words(what: &str, error: &StoreError) -> String {
    format!("{what} failed: {} ({})", error.message, error.class.code())
}

/// As Rust would write it, but never long.
fn shown(value: &impl Debug) -> String {
    const MOST: usize = 300;
    let text = format!("{value:?}");
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}… ({} bytes)", text.get(..end).unwrap_or_default(), text.len()),
        None => text,
    }
}

/// Waits for all of them, all under way at once.
async fn together<T>(mut futures: Vec<Stored<'_, T>>) -> Vec<Result<T, StoreError>> {
    let mut results: Vec<Option<Result<T, StoreError>>> = futures.iter().map(|_| None).collect();
    poll_fn(|context| {
        for (future, result) in futures.iter_mut().zip(&mut results) {
            if result.is_none()
                && let Poll::Ready(value) = future.as_mut().poll(context)
            {
                *result = Some(value);
            }
        }
        if results.iter().all(Option::is_some) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    results.into_iter().flatten().collect()
}

/// Lets a future go on once, and comes back at once.
async fn nudged<T>(future: &mut Stored<'_, T>) -> Option<Result<T, StoreError>> {
    poll_fn(|context| match future.as_mut().poll(context) {
        Poll::Ready(value) => Poll::Ready(Some(value)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}

#[cfg(test)]
mod tests;
