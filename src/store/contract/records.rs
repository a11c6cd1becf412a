//! Records: ranges of them, their order, and what their texts may be.

use super::{Verdict, batch, begin, entry, holds, read, record, same, same_records, write};
use crate::store::{Range, Record, RecordKind, Store};

fn entries(numbers: impl IntoIterator<Item = u64>) -> Vec<Record> {
    numbers.into_iter().map(|number| entry(number, &number.to_string())).collect()
}

fn range(from: u64, to: u64) -> Range {
    Range { kind: RecordKind::Entry, from, to }
}

pub(super) async fn delete_bounds(store: &dyn Store) -> Verdict {
    begin(store, "c", entries(0..20)).await?;
    let mut some = batch("c", 1, Vec::new());
    some.deletes = vec![range(3, 6), range(9, 11), Range::one(RecordKind::Entry, 19)];
    write(store, &some).await?;
    holds(store, "c", 2, &entries([0, 1, 2, 6, 7, 8, 11, 12, 13, 14, 15, 16, 17, 18])).await
}

pub(super) async fn delete_nothing(store: &dyn Store) -> Verdict {
    begin(store, "c", entries([5, 6])).await?;
    let mut none = batch("c", 1, Vec::new());
    none.deletes = vec![range(0, 5), range(7, Range::END), range(6, 6), range(6, 5), Range::all(RecordKind::Head)];
    write(store, &none).await?;
    holds(store, "c", 2, &entries([5, 6])).await
}

pub(super) async fn delete_kind(store: &dyn Store) -> Verdict {
    let mut puts = entries(0..4);
    puts.extend((0..4).map(|number| record(RecordKind::Overflow, number, "\"whole\"")));
    puts.push(record(RecordKind::Compaction, 0, "\"c\""));
    begin(store, "c", puts.clone()).await?;
    let mut kind = batch("c", 1, Vec::new());
    kind.deletes = vec![Range::all(RecordKind::Overflow)];
    write(store, &kind).await?;
    puts.retain(|record| record.kind != RecordKind::Overflow);
    holds(store, "c", 2, &puts).await
}

pub(super) async fn order(store: &dyn Store) -> Verdict {
    let numbers = [10, 2, 1, 100, 9, 20, 11, 3];
    let mut puts = entries(numbers);
    puts.push(record(RecordKind::Head, 0, "\"head\""));
    puts.push(record(RecordKind::Compaction, 7, "\"seven\""));
    begin(store, "c", puts).await?;
    let asked = [range(9, 21), Range::all(RecordKind::Compaction), Range::one(RecordKind::Head, 0), range(0, 3)];
    let loaded = read(store, "c", &asked).await?;
    let mut should = entries([9, 10, 11, 20]);
    should.push(record(RecordKind::Compaction, 7, "\"seven\""));
    should.push(record(RecordKind::Head, 0, "\"head\""));
    should.extend(entries([1, 2]));
    same_records(&loaded.records, &should)?;
    let all = read(store, "c", &[Range::all(RecordKind::Entry)]).await?;
    same_records(&all.records, &entries([1, 2, 3, 9, 10, 11, 20, 100]))
}

pub(super) async fn odd_ranges(store: &dyn Store) -> Verdict {
    begin(store, "c", entries(0..6)).await?;
    let asked = [range(1, 4), range(2, 3), range(5, 5), range(4, 2), range(3, 100), range(1, 4)];
    let loaded = read(store, "c", &asked).await?;
    same_records(&loaded.records, &entries([1, 2, 3, 2, 3, 4, 5, 1, 2, 3]))?;
    let nothing = read(store, "c", &[range(6, 7), Range::all(RecordKind::State), range(0, 0)]).await?;
    same("the revision beside nothing", &nothing.revision, &1)?;
    same_records(&nothing.records, &[])
}

pub(super) async fn large_numbers(store: &dyn Store) -> Verdict {
    let numbers = [0, 1, 255, 256, 65_535, 1 << 31, (1 << 32) - 1, 1 << 32, (1 << 53) - 2, (1 << 53) - 1];
    begin(store, "c", entries(numbers)).await?;
    holds(store, "c", 1, &entries(numbers)).await?;
    let last = read(store, "c", &[range((1 << 53) - 1, Range::END)]).await?;
    same_records(&last.records, &entries([(1 << 53) - 1]))?;
    let middle = read(store, "c", &[range(1 << 31, 1 << 32)]).await?;
    same_records(&middle.records, &entries([1 << 31, (1 << 32) - 1]))?;
    let mut most = batch("c", 1, Vec::new());
    most.deletes = vec![range(256, (1 << 53) - 1)];
    write(store, &most).await?;
    holds(store, "c", 2, &entries([0, 1, 255, (1 << 53) - 1])).await
}

pub(super) async fn no_ranges(store: &dyn Store) -> Verdict {
    begin(store, "c", entries(0..3)).await?;
    let loaded = read(store, "c", &[]).await?;
    same("the revision", &loaded.revision, &1)?;
    same_records(&loaded.records, &[])
}

pub(super) async fn texts(store: &dyn Store) -> Verdict {
    let texts = [
        "",
        " ",
        "null",
        "\"\"",
        "\"a \\\"quoted\\\" word and a back\\\\slash\"",
        "\"half a pair: \\ud800, the other half: \\udc00\"",
        "\"an escaped end: \\u0000\"",
        "\"line\u{2028}and paragraph\u{2029}separators\"",
        "{\n\t\"lines\": \"of more than one kind\"\r\n}\r",
        "\n",
        "\u{feff}\"behind a byte order mark\"",
        "\"e\u{301} is not \u{e9}\"",
        "\"\u{1f469}\u{200d}\u{1f4bb} and \u{10ffff} and \u{fffd}\"",
        "'; DROP TABLE records; --",
        "-\n0123456789abcdef 2 {}\n",
        "[1e400,-0,1.0,12345678901234567890,0.1000]",
    ];
    let records: Vec<Record> = (0..).zip(texts).map(|(number, text)| entry(number, text)).collect();
    begin(store, "c", records.clone()).await?;
    holds(store, "c", 1, &records).await
}

pub(super) async fn large_text(store: &dyn Store) -> Verdict {
    let mut text = String::from("\"");
    while text.len() < 1_000_000 {
        text.push_str("two bytes: \u{e9}, three: \u{20ac}, four: \u{1f600}, escaped: \\n; ");
    }
    text.push('"');
    let records = [entry(0, "\"before\""), record(RecordKind::Overflow, 0, text), record(RecordKind::Overflow, 1, "1")];
    begin(store, "c", records.to_vec()).await?;
    holds(store, "c", 1, &records).await
}

pub(super) async fn many(store: &dyn Store) -> Verdict {
    begin(store, "c", entries(0..5_000)).await?;
    holds(store, "c", 1, &entries(0..5_000)).await?;
    let some = read(store, "c", &[range(4_321, 4_324)]).await?;
    same_records(&some.records, &entries(4_321..4_324))
}
