//! What is left when a storage is closed and opened anew.

use super::listing::{has_names, odd_names};
use super::{Verdict, batch, begin, conflicts, entry, holds, in_words, page, record, same, write};
use crate::store::{About, Batch, Listed, Range, Record, RecordKind, Store};

fn last_about() -> About {
    About { created_ms: 1_700_000_000_001.5, updated_ms: 1_700_000_123_456.0, entries: 42 }
}

fn kept() -> Vec<Record> {
    vec![
        record(RecordKind::Head, 0, "\"second\""),
        record(RecordKind::State, 0, "{\"quoted\":\"\\\"\\\\\u{2028}\"}"),
        entry(2, "2"),
        entry(10, "10"),
        record(RecordKind::Overflow, 10, format!("\"{}\"", "whole \u{1f600} ".repeat(20_000))),
        record(RecordKind::Compaction, 1, ""),
    ]
}

pub(super) async fn write_all(store: &dyn Store) -> Verdict {
    begin(store, "c", vec![record(RecordKind::Head, 0, "\"first\""), entry(1, "1"), entry(2, "2")]).await?;
    let puts = kept().into_iter().filter(|record| (record.kind, record.number) != (RecordKind::Entry, 2)).collect();
    let deletes = vec![Range::one(RecordKind::Entry, 1)];
    write(store, &Batch { conversation: "c".to_owned(), expected: 1, puts, deletes, about: last_about() }).await
}

pub(super) async fn read_all(store: &dyn Store) -> Verdict {
    holds(store, "c", 2, &kept()).await?;
    let should = Listed { conversation: "c".to_owned(), revision: 2, about: last_about() };
    same("what is listed", &page(store, None, 10).await?, &vec![should])
}

pub(super) async fn write_some(store: &dyn Store) -> Verdict {
    for expected in 0..3 {
        write(store, &batch("c", expected, vec![entry(expected, "1")])).await?;
    }
    Ok(())
}

pub(super) async fn goes_on(store: &dyn Store) -> Verdict {
    for wrong in [0, 2, 4] {
        conflicts(store, &batch("c", wrong, Vec::new()), 3).await?;
    }
    write(store, &batch("c", 3, vec![entry(3, "1")])).await?;
    holds(store, "c", 4, &[entry(0, "1"), entry(1, "1"), entry(2, "1"), entry(3, "1")]).await
}

pub(super) async fn write_and_delete(store: &dyn Store) -> Verdict {
    for name in ["gone", "kept", "anew"] {
        begin(store, name, vec![entry(0, "\"first\""), entry(1, "\"first\"")]).await?;
    }
    for name in ["gone", "anew"] {
        store.delete(name).await.map_err(|error| in_words("deleting", &error))?;
    }
    begin(store, "anew", vec![entry(0, "\"second\"")]).await
}

pub(super) async fn stays_away(store: &dyn Store) -> Verdict {
    holds(store, "gone", 0, &[]).await?;
    holds(store, "kept", 1, &[entry(0, "\"first\""), entry(1, "\"first\"")]).await?;
    holds(store, "anew", 1, &[entry(0, "\"second\"")]).await?;
    same("the number of conversations", &page(store, None, 10).await?.len(), &2)
}

pub(super) async fn write_names(store: &dyn Store) -> Verdict {
    for name in odd_names() {
        begin(store, &name, vec![entry(0, &format!("{:?}", name.len()))]).await?;
    }
    Ok(())
}

pub(super) async fn find_names(store: &dyn Store) -> Verdict {
    has_names(store, &odd_names()).await
}

pub(super) async fn lose(store: &dyn Store) -> Verdict {
    begin(store, "c", vec![entry(0, "\"winner\"")]).await?;
    conflicts(store, &batch("c", 0, vec![entry(0, "\"loser\""), entry(1, "\"loser\"")]), 1).await?;
    conflicts(store, &batch("d", 1, vec![entry(0, "\"loser\"")]), 0).await
}

pub(super) async fn find_the_winner(store: &dyn Store) -> Verdict {
    holds(store, "c", 1, &[entry(0, "\"winner\"")]).await?;
    holds(store, "d", 0, &[]).await?;
    same("the number of conversations", &page(store, None, 10).await?.len(), &1)
}
