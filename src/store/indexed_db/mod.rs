//! Conversations in IndexedDB, the browser's own database.
//!
//! What is stored where is written down in `docs/stores-indexed-db.md`; the code for it is in `schema`.
//!
//! Three rules keep a transaction from coming apart. All that a transaction needs is made before it begins (the codec is
//! asked first), and none waits for anything but its own requests. What a transaction came to is known when the
//! *transaction* says so, not its last request. And one that is not finished properly is aborted: when an error turns up,
//! and when nobody waits for it any more.

mod codec;
mod connection;
mod errors;
mod migrations;
mod options;
mod schema;
mod transaction;
mod waiting;

use idb::{KeyRange, ObjectStore};
use js_sys::Array;
use wasm_bindgen::JsValue;

pub use self::options::{Codec, Durability, Guard, IndexedDbOptions};

use self::codec::Encoded;
use self::connection::Connection;
use self::schema::{CONVERSATIONS, RECORDS, Row};
use self::transaction::{Asking, Mode, Transaction};
use crate::store::{Batch, Listed, Loaded, Page, Range, Store, StoreError, StoreErrorClass, Stored};

/// A [`Store`] in IndexedDB. It opens its database when it is first used; all sessions share the one connection.
///
/// The connection is given up whenever another tab wants to delete the database or to bring it to a newer form, or when the
/// browser closes it, and made anew when it is needed next.
#[derive(Debug)]
pub struct IndexedDb {
    options: IndexedDbOptions,
    connection: Connection,
}

impl IndexedDb {
    /// A store that has not been opened yet.
    #[must_use]
    pub fn new(options: IndexedDbOptions) -> Self {
        let connection = Connection::new(&options);
        Self { options, connection }
    }

    /// Whether the browser keeps what is stored here until the user deletes it, instead of making room with it when it needs
    /// some. With [`IndexedDbOptions::persist`] this is the answer to the request; the browser may ask the user first, and
    /// this waits for the answer.
    ///
    /// # Errors
    /// Those of opening the database.
    pub async fn persisted(&self) -> Result<bool, StoreError> {
        self.connection.open().await?;
        Ok(self.connection.persisted().await)
    }

    /// Reads, and once more if the connection broke off: reading twice hurts nobody.
    async fn twice<T>(&self, attempt: impl AsyncFn() -> Result<T, StoreError>) -> Result<T, StoreError> {
        match attempt().await {
            Err(error) if error.class == StoreErrorClass::Lost => {
                self.connection.forget();
                attempt().await
            }
            outcome => outcome,
        }
    }

    /// A transaction over everything. A connection that turns out to be closed is made anew, once.
    async fn begin(&self, mode: Mode) -> Result<Transaction, StoreError> {
        let database = self.connection.open().await?;
        match Transaction::begin(&database, mode, &self.options) {
            Err(error) if error.class == StoreErrorClass::Lost => self.connection.forget(),
            begun => return begun,
        }
        let database = self.connection.open().await?;
        Transaction::begin(&database, mode, &self.options)
    }

    async fn read(&self, conversation: &str, ranges: &[Range]) -> Result<Loaded, StoreError> {
        let ranges: Vec<Range> = ranges.iter().copied().filter(|range| range.from < range.to).collect();
        let (revision, encoded) = self.twice(async || self.read_once(conversation, &ranges).await).await?;
        let records = codec::decode(&self.options, encoded).await?;
        Ok(Loaded { revision, records })
    }

    async fn read_once(&self, conversation: &str, ranges: &[Range]) -> Result<(u64, Vec<Encoded>), StoreError> {
        let transaction = self.begin(Mode::Read).await?;
        let row = transaction.ask(CONVERSATIONS, |store| store.get(JsValue::from(conversation)))?;
        let mut asked = Vec::with_capacity(ranges.len());
        for range in ranges {
            let keys = schema::keys_of(conversation, range)?;
            let values = keys.clone();
            let keys = transaction.ask(RECORDS, |store| store.get_all_keys(Some(keys.into()), None))?;
            let values = transaction.ask(RECORDS, |store| store.get_all(Some(values.into()), None))?;
            asked.push((keys, values));
        }
        transaction.finish().await?;

        let revision = Row::of(&transaction::result(&row)?)?.map_or(0, |row| row.revision);
        let mut records = Vec::new();
        for (range, (keys, values)) in ranges.iter().zip(&asked) {
            let [keys, values] = [transaction::results(keys)?, transaction::results(values)?];
            for (key, value) in keys.iter().zip(values.iter()) {
                let number = schema::number_of(&key, range)?;
                records.push(Encoded { kind: range.kind, number, value });
            }
        }
        if revision == 0 && !records.is_empty() {
            return Err(schema::strays());
        }
        Ok((revision, records))
    }

    async fn write(&self, batch: &Batch) -> Result<u64, StoreError> {
        let values = codec::encode(&self.options, &batch.puts).await?;
        let outcome = self.write_once(batch, values).await;
        if let Err(error) = &outcome
            && error.class == StoreErrorClass::Lost
        {
            self.connection.forget();
        }
        outcome
    }

    async fn write_once(&self, batch: &Batch, values: Vec<JsValue>) -> Result<u64, StoreError> {
        let change = Change::new(batch, values)?;
        let revision = change.row.revision;
        let everything = schema::everything_of(&batch.conversation)?;
        let transaction = self.begin(Mode::Write).await?;
        let stray = transaction.ask(RECORDS, |store| store.get_key(everything))?;
        let row = transaction.ask(CONVERSATIONS, |store| store.get(change.id.clone()))?;
        let answered = row.clone();
        let continuation = transaction.then(&row, move |transaction| {
            let has = Row::of(&transaction::result(&answered)?)?.map_or(0, |row| row.revision);
            // Requests are answered in their order.
            if has == 0 && !transaction::result(&stray)?.is_undefined() {
                return Err(schema::strays());
            }
            change.carry_out(transaction, has)
        });
        let ended = transaction.finish().await;
        match continuation.outcome() {
            Some(went_on) => went_on.and(ended)?,
            None => ended.and(Err(StoreError::new(StoreErrorClass::Failed, "the transaction did not go on")))?,
        }
        Ok(revision)
    }

    async fn list_once(&self, after: Option<&str>, limit: u32) -> Result<Vec<Listed>, StoreError> {
        let transaction = self.begin(Mode::Read).await?;
        let query = || after.map(schema::after).transpose();
        let (of_keys, of_rows) = (query()?, query()?);
        let ask_keys = |store: &ObjectStore| store.get_all_keys(of_keys.map(Into::into), Some(limit));
        let keys = transaction.ask(CONVERSATIONS, ask_keys)?;
        let rows = transaction.ask(CONVERSATIONS, |store| store.get_all(of_rows.map(Into::into), Some(limit)))?;
        transaction.finish().await?;

        let [keys, rows]: [Array; 2] = [transaction::results(&keys)?, transaction::results(&rows)?];
        keys.iter().zip(rows.iter()).map(|(key, row)| schema::listed(&key, &row)).collect()
    }

    async fn delete_once(&self, conversation: &str) -> Result<(), StoreError> {
        let transaction = self.begin(Mode::Write).await?;
        let everything = schema::everything_of(conversation)?;
        transaction.ask(RECORDS, |store| store.delete(everything))?;
        transaction.ask(CONVERSATIONS, |store| store.delete(JsValue::from(conversation)))?;
        transaction.finish().await
    }
}

/// A batch in the form in which it is written, made before its transaction begins.
struct Change {
    id: JsValue,
    expected: u64,
    deletes: Vec<KeyRange>,
    /// Keys and values.
    puts: Vec<(JsValue, JsValue)>,
    row: Row,
}

impl Change {
    fn new(batch: &Batch, values: Vec<JsValue>) -> Result<Self, StoreError> {
        let Batch { conversation, expected, puts, deletes, about } = batch;
        let ranges = deletes.iter().filter(|range| range.from < range.to);
        let keys = puts.iter().map(|record| schema::key(conversation, record.kind, record.number));
        Ok(Self {
            id: conversation.into(),
            expected: *expected,
            deletes: ranges.map(|range| schema::keys_of(conversation, range)).collect::<Result<_, _>>()?,
            puts: keys.zip(values).collect(),
            row: Row { revision: expected.saturating_add(1), about: *about },
        })
    }

    /// Writes it, if the conversation has the revision that it expects.
    fn carry_out(self, transaction: &Asking, has: u64) -> Result<(), StoreError> {
        if has != self.expected {
            return Err(StoreError::conflict(has));
        }
        for range in self.deletes {
            transaction.ask(RECORDS, |store| store.delete(range))?;
        }
        for (key, value) in &self.puts {
            transaction.ask(RECORDS, |store| store.put(value, Some(key)))?;
        }
        transaction.ask(CONVERSATIONS, |store| store.put(&self.row.to_value(), Some(&self.id)))?;
        Ok(())
    }
}

impl Store for IndexedDb {
    fn load<'s>(&'s self, conversation: &'s str, ranges: &'s [Range]) -> Stored<'s, Loaded> {
        Box::pin(self.read(conversation, ranges))
    }

    fn list<'s>(&'s self, page: &'s Page) -> Stored<'s, Vec<Listed>> {
        Box::pin(async {
            let limit = u32::try_from(page.limit).unwrap_or(u32::MAX);
            if limit == 0 {
                // To IndexedDB, none is no limit at all; but a store that is closed says so.
                self.connection.open().await?;
                return Ok(Vec::new());
            }
            self.twice(async || self.list_once(page.after.as_deref(), limit).await).await
        })
    }

    fn commit<'s>(&'s self, batch: &'s Batch) -> Stored<'s, u64> {
        Box::pin(self.write(batch))
    }

    fn delete<'s>(&'s self, conversation: &'s str) -> Stored<'s, ()> {
        Box::pin(async { self.twice(async || self.delete_once(conversation).await).await })
    }

    fn close(&self) -> Stored<'_, ()> {
        Box::pin(async {
            self.connection.close();
            Ok(())
        })
    }
}
