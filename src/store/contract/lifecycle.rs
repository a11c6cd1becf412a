//! The life of a conversation and of a store: deleting, closing, several at once, and calls that are given up.

use super::{
    Verdict, batch, begin, conflicts, entry, holds, in_words, nudged, page, read, record, same, same_records, together,
    write,
};
use crate::store::{Batch, Loaded, Page, Range, Record, RecordKind, Store, StoreError, StoreErrorClass};

pub(super) async fn delete(store: &dyn Store) -> Verdict {
    let puts = vec![
        record(RecordKind::Head, 0, "\"head\""),
        record(RecordKind::State, 0, "\"state\""),
        entry(1, "1"),
        record(RecordKind::Overflow, 1, "\"whole\""),
        record(RecordKind::Compaction, 1, "\"c\""),
    ];
    begin(store, "c", puts.clone()).await?;
    write(store, &batch("c", 1, vec![entry(2, "2")])).await?;
    begin(store, "d", puts.clone()).await?;
    store.delete("c").await.map_err(|error| in_words("deleting", &error))?;
    holds(store, "c", 0, &[]).await?;
    let names: Vec<String> = page(store, None, 10).await?.into_iter().map(|listed| listed.conversation).collect();
    same("what is listed after deleting c", &names, &vec!["d".to_owned()])?;
    conflicts(store, &batch("c", 2, vec![entry(3, "3")]), 0).await?;
    begin(store, "c", vec![entry(5, "\"new\"")]).await?;
    holds(store, "c", 1, &[entry(5, "\"new\"")]).await?;
    holds(store, "d", 1, &puts).await
}

pub(super) async fn delete_unknown(store: &dyn Store) -> Verdict {
    store.delete("nobody").await.map_err(|error| in_words("deleting an unknown conversation", &error))?;
    begin(store, "c", vec![entry(0, "0")]).await?;
    store.delete("nobody").await.map_err(|error| in_words("deleting an unknown conversation", &error))?;
    store.delete("c").await.map_err(|error| in_words("deleting", &error))?;
    store.delete("c").await.map_err(|error| in_words("deleting twice", &error))?;
    holds(store, "c", 0, &[]).await
}

/// The state of a conversation after so many batches of `numbered`.
fn numbered_records(revision: u64) -> Vec<Record> {
    let text = revision.to_string();
    if revision == 0 {
        return Vec::new();
    }
    vec![record(RecordKind::Head, 0, text.clone()), entry(0, &text), entry(500, &text), entry(revision + 1_000, &text)]
}

/// A batch whose records all say the revision that it gives, and that deletes one of the batch before.
fn numbered(conversation: &str, expected: u64) -> Batch {
    let mut next = batch(conversation, expected, numbered_records(expected + 1));
    next.deletes = vec![Range { kind: RecordKind::Entry, from: 1_000, to: Range::END }];
    next
}

fn is_whole(loaded: &Loaded) -> Verdict {
    same_records(&loaded.records, &numbered_records(loaded.revision))
        .map_err(|why| format!("at revision {} {why}", loaded.revision))
}

pub(super) async fn one_moment(store: &dyn Store) -> Verdict {
    for round in 0..10 {
        read_within_a_commit(store, 2 * round).await?;
        commit_within_a_read(store, 2 * round + 1, round % 5).await?;
    }
    Ok(())
}

const PARTS: [Range; 2] = [
    Range { kind: RecordKind::Head, from: 0, to: Range::END },
    Range { kind: RecordKind::Entry, from: 0, to: Range::END },
];

async fn read_within_a_commit(store: &dyn Store, expected: u64) -> Verdict {
    let next = numbered("c", expected);
    let mut commit = store.commit(&next);
    let mut committed = None;
    // Before it has begun, while it goes on, and after it.
    for _ in 0..4 {
        is_whole(&read(store, "c", &PARTS).await?)?;
        if committed.is_none() {
            committed = nudged(&mut commit).await;
        }
    }
    let outcome = match committed {
        Some(outcome) => outcome,
        None => commit.await,
    };
    same("the revision", &outcome.map_err(|error| in_words("a commit", &error))?, &(expected + 1))?;
    is_whole(&read(store, "c", &PARTS).await?)
}

async fn commit_within_a_read(store: &dyn Store, expected: u64, steps: u64) -> Verdict {
    let mut reading = store.load("c", &PARTS);
    let mut begun = None;
    for _ in 0..steps {
        if begun.is_none() {
            begun = nudged(&mut reading).await;
        }
    }
    write(store, &numbered("c", expected)).await?;
    let outcome = match begun {
        Some(outcome) => outcome,
        None => reading.await,
    };
    let loaded = outcome.map_err(|error| in_words("reading", &error))?;
    if loaded.revision != expected && loaded.revision != expected + 1 {
        return Err(format!("a read beside a commit that expects {expected} gives revision {}", loaded.revision));
    }
    is_whole(&loaded)
}

pub(super) async fn two_at_once(store: &dyn Store) -> Verdict {
    begin(store, "c", vec![entry(0, "0")]).await?;
    let left = batch("c", 1, vec![entry(1, "\"left\""), entry(2, "\"left\"")]);
    let right = batch("c", 1, vec![entry(1, "\"right\""), entry(3, "\"right\"")]);
    let outcomes = together(vec![store.commit(&left), store.commit(&right)]).await;
    let winner = one_winner(&outcomes, 2)?;
    let mut records = vec![entry(0, "0")];
    records.extend(if winner == 0 { left.puts } else { right.puts });
    holds(store, "c", 2, &records).await
}

pub(super) async fn two_beginnings(store: &dyn Store) -> Verdict {
    let batches = [batch("c", 0, vec![entry(0, "0")]), batch("c", 0, vec![entry(1, "1")])];
    let outcomes = together(batches.iter().map(|batch| store.commit(batch)).collect()).await;
    let winner = one_winner(&outcomes, 1)?;
    let records = batches.into_iter().nth(winner).map(|batch| batch.puts).unwrap_or_default();
    holds(store, "c", 1, &records).await
}

pub(super) async fn twenty_at_once(store: &dyn Store) -> Verdict {
    let mut records = Vec::new();
    for round in 0..8 {
        let racing = |lane: u64| batch("c", round, vec![entry(round * 100 + lane, &lane.to_string())]);
        let batches: Vec<Batch> = (0..20).map(racing).collect();
        let outcomes = together(batches.iter().map(|batch| store.commit(batch)).collect()).await;
        let winner = one_winner(&outcomes, round + 1)?;
        records.extend(batches.into_iter().nth(winner).into_iter().flat_map(|batch| batch.puts));
        holds(store, "c", round + 1, &records).await?;
    }
    Ok(())
}

/// Which of them succeeded; all others were told the revision that it made.
fn one_winner(outcomes: &[Result<u64, StoreError>], revision: u64) -> Result<usize, String> {
    let mut winner = None;
    for (at, outcome) in outcomes.iter().enumerate() {
        match outcome {
            Ok(given) => {
                same("the revision that the winner was given", given, &revision)?;
                if let Some(first) = winner.replace(at) {
                    return Err(format!("commits {first} and {at} both succeeded"));
                }
            }
            Err(error) => {
                same(&format!("the class of the failure of commit {at}"), &error.class, &StoreErrorClass::Conflict)?;
                same(&format!("the revision that commit {at} was told"), &error.revision, &Some(revision))?;
            }
        }
    }
    winner.ok_or_else(|| "no commit succeeded".to_owned())
}

pub(super) async fn dropped(store: &dyn Store) -> Verdict {
    begin(store, "other", vec![entry(0, "0")]).await?;
    for polls in 0..12 {
        let before = read(store, "c", &[]).await?.revision;
        let next = numbered("c", before);
        let mut commit = store.commit(&next);
        for _ in 0..polls {
            if nudged(&mut commit).await.is_some() {
                break;
            }
            // Time passes for whatever is under way.
            read(store, "other", &[Range::all(RecordKind::Entry)]).await?;
        }
        drop(commit);
        let after = read(store, "c", &[Range::all(RecordKind::Head), Range::all(RecordKind::Entry)]).await?;
        is_whole(&after).map_err(|why| format!("dropped after {polls} steps: {why}"))?;
        if after.revision != before && after.revision != before + 1 {
            return Err(format!("dropped after {polls} steps at revision {before}: now it has {}", after.revision));
        }
        goes_on(store).await.map_err(|why| format!("after one that was dropped after {polls} steps: {why}"))?;
    }
    Ok(())
}

/// The next commit succeeds, unless the one that was dropped was carried out just now.
async fn goes_on(store: &dyn Store) -> Verdict {
    let revision = read(store, "c", &[]).await?.revision;
    let revision = match store.commit(&numbered("c", revision)).await {
        Ok(given) => given,
        Err(StoreError { class: StoreErrorClass::Conflict, revision: Some(now), .. }) => {
            store.commit(&numbered("c", now)).await.map_err(|error| in_words("a second try", &error))?
        }
        Err(error) => return Err(in_words("a commit", &error)),
    };
    holds(store, "c", revision, &numbered_records(revision)).await
}

pub(super) async fn dropped_reads(store: &dyn Store) -> Verdict {
    begin(store, "c", numbered_records(1)).await?;
    let ranges = [Range::all(RecordKind::Entry)];
    let first = Page { after: None, limit: 10 };
    for _ in 0..5 {
        let (mut reading, mut listing, mut deleting) =
            (store.load("c", &ranges), store.list(&first), store.delete("nobody"));
        nudged(&mut reading).await;
        nudged(&mut listing).await;
        nudged(&mut deleting).await;
        drop(store.load("c", &ranges));
    }
    holds(store, "c", 1, &numbered_records(1)).await?;
    write(store, &numbered("c", 1)).await?;
    holds(store, "c", 2, &numbered_records(2)).await
}

pub(super) async fn closed(store: &dyn Store) -> Verdict {
    begin(store, "c", vec![entry(0, "0")]).await?;
    store.close().await.map_err(|error| in_words("closing", &error))?;
    store.close().await.map_err(|error| in_words("closing again", &error))?;
    refused("reading", store.load("c", &[Range::all(RecordKind::Entry)]).await)?;
    refused("listing", store.list(&Page { after: None, limit: 10 }).await)?;
    refused("a commit", store.commit(&batch("c", 1, Vec::new())).await)?;
    refused("deleting", store.delete("c").await)?;
    store.close().await.map_err(|error| in_words("closing once more", &error))
}

fn refused<T>(what: &str, outcome: Result<T, StoreError>) -> Verdict {
    match outcome {
        Ok(_) => Err(format!("{what} succeeded though the store is closed")),
        Err(error) => same(&format!("the class of {what} after closing"), &error.class, &StoreErrorClass::Closed),
    }
}
