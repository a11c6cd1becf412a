//! Batches: what they write, and when they are refused.

use super::{Verdict, batch, begin, conflicts, entry, holds, page, read, record, same, write};
use crate::store::{About, Batch, Range, RecordKind, Store};

pub(super) async fn unknown(store: &dyn Store) -> Verdict {
    holds(store, "nobody", 0, &[]).await?;
    begin(store, "somebody", vec![entry(0, "1")]).await?;
    holds(store, "nobody", 0, &[]).await
}

pub(super) async fn counting(store: &dyn Store) -> Verdict {
    let mut records = Vec::new();
    for expected in 0..5 {
        records.push(entry(expected, &format!("{{\"n\":{expected}}}")));
        let puts = records.last().cloned().into_iter().collect();
        write(store, &batch("c", expected, puts)).await?;
        holds(store, "c", expected + 1, &records).await?;
    }
    Ok(())
}

pub(super) async fn empty(store: &dyn Store) -> Verdict {
    begin(store, "c", Vec::new()).await?;
    holds(store, "c", 1, &[]).await?;
    write(store, &batch("c", 1, Vec::new())).await?;
    holds(store, "c", 2, &[]).await?;
    let listed = page(store, None, 10).await?;
    same("the number of conversations", &listed.len(), &1)
}

pub(super) async fn conflict(store: &dyn Store) -> Verdict {
    conflicts(store, &batch("c", 1, vec![entry(0, "1")]), 0).await?;
    conflicts(store, &batch("c", 9_007_199_254_740_990, vec![entry(0, "1")]), 0).await?;
    for expected in 0..3 {
        write(store, &batch("c", expected, vec![entry(expected, "1")])).await?;
    }
    for wrong in [0, 1, 2, 4, 1_000] {
        conflicts(store, &batch("c", wrong, vec![entry(7, "2")]), 3).await?;
    }
    write(store, &batch("c", 3, vec![entry(3, "1")])).await
}

pub(super) async fn conflict_writes_nothing(store: &dyn Store) -> Verdict {
    let puts = vec![record(RecordKind::Head, 0, "\"old\""), entry(1, "\"one\""), entry(2, "\"two\"")];
    begin(store, "c", puts.clone()).await?;
    let listed = page(store, None, 10).await?;
    let stale = Batch {
        conversation: "c".to_owned(),
        expected: 0,
        puts: vec![record(RecordKind::Head, 0, "\"new\""), entry(3, "\"three\"")],
        deletes: vec![Range::all(RecordKind::Entry)],
        about: About { created_ms: 5.0, updated_ms: 6.0, entries: 77 },
    };
    conflicts(store, &stale, 1).await?;
    holds(store, "c", 1, &puts).await?;
    same("what is listed after a conflict", &page(store, None, 10).await?, &listed)?;
    conflicts(store, &Batch { conversation: "d".to_owned(), expected: 1, ..stale }, 0).await?;
    holds(store, "d", 0, &[]).await?;
    same("what is listed after a conflict over a new one", &page(store, None, 10).await?, &listed)
}

pub(super) async fn replacing(store: &dyn Store) -> Verdict {
    begin(store, "c", vec![entry(1, "\"a longer text than the one that replaces it\""), entry(2, "2")]).await?;
    write(store, &batch("c", 1, vec![entry(1, "1")])).await?;
    holds(store, "c", 2, &[entry(1, "1"), entry(2, "2")]).await?;
    write(store, &batch("c", 2, vec![entry(1, "\"and a longer one again\"")])).await?;
    holds(store, "c", 3, &[entry(1, "\"and a longer one again\""), entry(2, "2")]).await
}

pub(super) async fn deletes_before_puts(store: &dyn Store) -> Verdict {
    begin(store, "c", vec![entry(1, "1"), entry(2, "2"), entry(3, "3")]).await?;
    let mut both = batch("c", 1, vec![entry(2, "\"new\""), entry(9, "9")]);
    both.deletes = vec![Range::all(RecordKind::Entry), Range::one(RecordKind::Entry, 9)];
    write(store, &both).await?;
    holds(store, "c", 2, &[entry(2, "\"new\""), entry(9, "9")]).await
}

pub(super) async fn mixed(store: &dyn Store) -> Verdict {
    let first = vec![
        record(RecordKind::Head, 0, "\"h1\""),
        record(RecordKind::State, 0, "\"s1\""),
        entry(1, "1"),
        entry(2, "2"),
        record(RecordKind::Overflow, 2, "\"o2\""),
        record(RecordKind::Compaction, 1, "\"c1\""),
    ];
    begin(store, "c", first.clone()).await?;
    holds(store, "c", 1, &first).await?;
    // In no order, as a batch may come.
    let mut second = batch(
        "c",
        1,
        vec![
            record(RecordKind::Compaction, 2, "\"c2\""),
            entry(4, "4"),
            entry(3, "3"),
            record(RecordKind::Head, 0, "\"h2\""),
        ],
    );
    second.deletes = vec![Range::one(RecordKind::Overflow, 2), Range { kind: RecordKind::Entry, from: 0, to: 2 }];
    write(store, &second).await?;
    let after = [
        record(RecordKind::Head, 0, "\"h2\""),
        record(RecordKind::State, 0, "\"s1\""),
        entry(2, "2"),
        entry(3, "3"),
        entry(4, "4"),
        record(RecordKind::Compaction, 1, "\"c1\""),
        record(RecordKind::Compaction, 2, "\"c2\""),
    ];
    holds(store, "c", 2, &after).await
}

pub(super) async fn apart(store: &dyn Store) -> Verdict {
    begin(store, "a", vec![entry(1, "\"of a\"")]).await?;
    begin(store, "b", vec![entry(1, "\"of b\""), entry(2, "\"of b\"")]).await?;
    write(store, &batch("b", 1, Vec::new())).await?;
    let mut emptied = batch("a", 1, Vec::new());
    emptied.deletes = vec![Range::all(RecordKind::Entry)];
    write(store, &emptied).await?;
    holds(store, "a", 2, &[]).await?;
    holds(store, "b", 2, &[entry(1, "\"of b\""), entry(2, "\"of b\"")]).await?;
    let alone = read(store, "b", &[Range::one(RecordKind::Entry, 2)]).await?;
    same("one record of b", &alone.records, &vec![entry(2, "\"of b\"")])
}
