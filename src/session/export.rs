//! A conversation as one file: JSON Lines, a header and then every record.

use std::collections::BTreeSet;
use std::rc::Rc;

use serde::Serialize;

use super::Session;
use super::codec::{Head, StoredCompaction, StoredEntry, StoredOverflow, VERSION, decode};
use super::disk::CHUNK;
use crate::error::{Boxed, Error, Result};
use crate::fields::{self, FromValue, field};
use crate::json::{self, Unsupported};
use crate::store::{About, Batch, Range, Record, RecordKind, Store, StoreError, StoreErrorClass};

/// The first line.
#[derive(Serialize)]
struct Header {
    /// `session`.
    epitome: String,
    v: u32,
    /// Name of the conversation.
    id: String,
    /// How many lines follow.
    records: u64,
}

fields::record!(Header { epitome: "epitome", v: "v", id: "id", records: "records" });

/// Every other line: the record as it is, in the field `record`, or as a string where it goes over several lines.
#[derive(Serialize)]
struct LineOut<'r> {
    kind: RecordKind,
    number: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'r str>,
}

fn line_of(record: &Record) -> std::result::Result<String, Unsupported> {
    let Record { kind, number, ref text } = *record;
    if text.contains(['\n', '\r']) {
        json::text(&LineOut { kind, number, text: Some(text) })
    } else {
        json::text_beside(&LineOut { kind, number, text: None }, "record", text.trim())
    }
}

/// The record that a line says.
fn record_of(line: &str) -> Option<Record> {
    let (fields, record) = json::parse_beside(line, "record")?;
    let text: Option<String> = field(&fields, "text").ok()?;
    let text = text.or_else(|| record.filter(|raw| *raw != "null").map(str::to_owned))?;
    Some(Record { kind: field(&fields, "kind").ok()?, number: field(&fields, "number").ok()?, text })
}

impl Session<'_> {
    /// The conversation with everything that is kept of it, as JSON Lines.
    ///
    /// # Errors
    /// [`Error::Store`], [`Error::Closed`].
    pub async fn export(&self) -> Result<String> {
        Ok(self.do_export().await?)
    }

    /// The same with errors that are cheap to pass on.
    pub(crate) async fn do_export(&self) -> Boxed<String> {
        let _pass = self.pass().await?;
        self.catch_up().await?;
        let (head, memory) = {
            let inner = self.inner.borrow();
            (inner.at.head.clone(), inner.remembered())
        };
        let mut lines = String::new();
        let mut count = 0;
        let put = |lines: &mut String, count: &mut u64, record: &Record| -> Result<()> {
            // What cannot be read was reported when it was read; whoever imports the rest has no use for it.
            if matches!(check(record), Err(error) if error.class == StoreErrorClass::Corrupted) {
                return Ok(());
            }
            lines.push_str(&line_of(record).map_err(|_| broken(0, "cannot be written"))?);
            lines.push('\n');
            *count += 1;
            Ok(())
        };
        put(&mut lines, &mut count, &super::codec::encode(RecordKind::Head, 0, &head)?)?;
        put(&mut lines, &mut count, &super::codec::encode(RecordKind::State, 0, &memory)?)?;
        for (kind, end) in [
            (RecordKind::Entry, head.entries),
            (RecordKind::Overflow, head.entries),
            (RecordKind::Compaction, head.compactions),
        ] {
            let mut from = 0;
            while from < end {
                let to = end.min(from + CHUNK);
                for record in self.read(&[Range { kind, from, to }]).await?.records {
                    put(&mut lines, &mut count, &record)?;
                }
                from = to;
            }
        }
        let header = Header { epitome: "session".to_owned(), v: VERSION, id: self.options.id.clone(), records: count };
        let header = json::text(&header).map_err(|_| broken(0, "cannot be written"))?;
        Ok(format!("{header}\n{lines}"))
    }
}

/// Writes an exported conversation to a store, under this name.
///
/// # Errors
/// [`Error::InvalidInput`] naming the line when it is no such file or not all of it; [`Error::InvalidOption`] when there
/// is such a conversation already; [`Error::Store`].
pub async fn import(file: &str, id: &str, store: &Rc<dyn Store + '_>, now_ms: f64) -> Result<()> {
    Ok(do_import(file, id, store, now_ms).await?)
}

/// The same with errors that are cheap to pass on.
pub(crate) async fn do_import(file: &str, id: &str, store: &Rc<dyn Store + '_>, now_ms: f64) -> Boxed<()> {
    super::types::check_id(id)?;
    let mut lines = file.split('\n').enumerate().filter(|(_, line)| !line.trim().is_empty());
    let header = lines.next().and_then(|(_, line)| Header::from_value(&json::parse(line, None).ok()?).ok());
    let header = header
        .filter(|header| header.epitome == "session")
        .ok_or_else(|| broken(1, "is not the first line of an exported session"))?;
    if header.v > VERSION {
        return Err(broken(1, "was written by a newer version of Epitome"));
    }
    let (mut puts, mut seen, mut head) = (Vec::new(), BTreeSet::new(), None);
    for (at, line) in lines {
        let record = record_of(line).ok_or_else(|| broken(at + 1, "is not a record"))?;
        if !seen.insert((record.kind, record.number)) {
            return Err(broken(at + 1, "is a record that an earlier line has"));
        }
        check(&record).map_err(|error| broken(at + 1, &format!("cannot be read: {error}")))?;
        if record.kind == RecordKind::Head {
            head = Some(decode::<Head>(&record)?);
        }
        puts.push(record);
    }
    if puts.len() as u64 != header.records {
        return Err(broken(1, &format!("promises {} records, but {} follow", header.records, puts.len())));
    }
    let head = head.ok_or_else(|| broken(1, "is followed by no head"))?;
    // Some may have been lost before it was exported, but there cannot be others.
    let fits = |record: &Record| match record.kind {
        RecordKind::Head | RecordKind::State => record.number == 0,
        RecordKind::Entry | RecordKind::Overflow => record.number < head.entries,
        RecordKind::Compaction => record.number < head.compactions,
    };
    if !head.is_sound() || !puts.iter().all(fits) {
        return Err(broken(1, "is followed by a head that does not fit the records"));
    }
    let about = About { created_ms: head.created, updated_ms: now_ms.max(head.created), entries: head.entries };
    let batch = Batch { conversation: id.to_owned(), expected: 0, puts, deletes: Vec::new(), about };
    match store.commit(&batch).await {
        Ok(_) => Ok(()),
        Err(error) if error.class == StoreErrorClass::Conflict => Err(Error::option(
            "id",
            format_args!("there is a conversation of this name already; delete it first, or import it under another"),
        )),
        Err(error) => Err(error.into()),
    }
}

/// Whether a record says what its kind should.
fn check(record: &Record) -> std::result::Result<(), StoreError> {
    match record.kind {
        RecordKind::Head => decode::<Head>(record).map(|_| ()),
        RecordKind::State => decode::<super::codec::Memory>(record).map(|_| ()),
        RecordKind::Entry => decode::<StoredEntry>(record).map(|_| ()),
        RecordKind::Overflow => decode::<StoredOverflow>(record).map(|_| ()),
        RecordKind::Compaction => decode::<StoredCompaction>(record).map(|_| ()),
    }
}

fn broken(line: usize, reason: &str) -> Box<Error> {
    Error::InvalidInput { index: None, field: None, reason: format!("line {line} of the file {reason}") }.into()
}
