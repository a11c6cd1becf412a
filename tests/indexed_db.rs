//! The store in IndexedDB, in a browser: what every store has to do, and what can go wrong with this one.
#![cfg(all(target_family = "wasm", feature = "session", feature = "store-contract"))]
#![allow(clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests fail loudly")]
// wasm-bindgen expands to the unsafe calls that a WebAssembly import takes; nothing here is unsafe by hand.
#![allow(unsafe_code)]

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;

use epitome::store::indexed_db::{Codec, Durability, Guard, IndexedDb, IndexedDbOptions};
use epitome::store::{
    About, Batch, Listed, Page, Range, Record, RecordKind, Store, StoreError, StoreErrorClass, contract,
};
use js_sys::{Array, Function, Object, Promise, Reflect};
use wasm_bindgen::JsCast as _;
use wasm_bindgen::prelude::{JsValue, wasm_bindgen};
use wasm_bindgen_futures::JsFuture;
use wasm_bindgen_test::{wasm_bindgen_test, wasm_bindgen_test_configure};

wasm_bindgen_test_configure!(run_in_browser);

#[wasm_bindgen(module = "/tests/indexed_db/hands.js")]
extern "C" {
    type Raw;

    #[wasm_bindgen(method)]
    fn close(this: &Raw);

    #[wasm_bindgen(js_name = open)]
    fn open_by_hand(name: &str, version: Option<u32>, stores: Array) -> Promise;

    fn remove(name: &str) -> Promise;

    fn version(name: &str) -> Promise;

    #[wasm_bindgen(js_name = put)]
    fn put_by_hand(name: &str, store: &str, pairs: Array) -> Promise;

    fn dump(name: &str) -> Promise;

    fn asked(name: &str) -> Promise;

    fn turns(count: u32) -> Promise;

    fn fault(fault: &str, name: &str) -> Function;

    fn shift(key: u8, waits: bool) -> JsValue;

    fn answers(what: &str) -> Function;

    fn fails(later: bool) -> Function;

    fn storage(answer: bool) -> JsValue;

    fn durabilities() -> Function;
}

// ------------------------------------------------------------------------------------------------- what the tests use

/// A database of one test, which is deleted before and after it.
struct Database(String);

impl Database {
    async fn new(name: &str) -> Self {
        let name = format!("test of {name}");
        await_js(remove(&name)).await;
        Self(name)
    }

    fn options(&self) -> IndexedDbOptions {
        IndexedDbOptions { name: self.0.clone(), ..IndexedDbOptions::default() }
    }

    fn store(&self) -> IndexedDb {
        IndexedDb::new(self.options())
    }

    /// By hand, as of an older or newer version of the library.
    async fn open(&self, version: u32, stores: &[&str]) -> Raw {
        let stores = stores.iter().map(|store| JsValue::from(*store)).collect();
        await_js(open_by_hand(&self.0, Some(version), stores)).await.unchecked_into()
    }

    async fn put(&self, store: &str, key: impl Into<JsValue>, value: impl Into<JsValue>) {
        let pairs = Array::of1(&Array::of2(&key.into(), &value.into()));
        await_js(put_by_hand(&self.0, store, pairs)).await;
    }

    async fn dump(&self) -> String {
        await_js(dump(&self.0)).await.as_string().expect("JSON")
    }

    async fn version(&self) -> f64 {
        await_js(version(&self.0)).await.as_f64().expect("a number")
    }

    /// Deletes it; tells whether nothing stood in the way.
    async fn remove(&self) -> bool {
        await_js(remove(&self.0)).await.is_truthy()
    }
}

async fn await_js(promise: Promise) -> JsValue {
    JsFuture::from(promise).await.expect("no error")
}

/// Mended when it is dropped.
struct Fault(Function);

impl Fault {
    fn new(what: &str, name: &str) -> Self {
        Self(fault(what, name))
    }
}

impl Drop for Fault {
    fn drop(&mut self) {
        self.0.call0(&JsValue::UNDEFINED).expect("mended");
    }
}

fn entry(number: u64, text: &str) -> Record {
    Record { kind: RecordKind::Entry, number, text: text.to_owned() }
}

fn batch(expected: u64, puts: &[Record]) -> Batch {
    Batch {
        conversation: "the one".to_owned(),
        expected,
        puts: puts.to_vec(),
        deletes: Vec::new(),
        about: About { created_ms: 1.0, updated_ms: 2.5, entries: puts.len() as u64 },
    }
}

/// The revision of the conversation, and the texts of its entries.
async fn entries(store: &IndexedDb) -> Result<(u64, Vec<String>), StoreError> {
    let loaded = store.load("the one", &[Range::all(RecordKind::Entry)]).await?;
    Ok((loaded.revision, loaded.records.into_iter().map(|record| record.text).collect()))
}

async fn assert_entries(store: &IndexedDb, revision: u64, texts: &[&str]) {
    assert_eq!(entries(store).await, Ok((revision, texts.iter().map(|&text| text.to_owned()).collect())));
}

#[track_caller]
fn class<T: std::fmt::Debug>(outcome: Result<T, StoreError>) -> StoreErrorClass {
    let error = outcome.expect_err("an error");
    assert!(!error.message.contains("secret"), "{error}");
    error.class
}

/// A key of the object store `records`.
fn key(number: impl Into<JsValue>) -> Array {
    Array::of3(&"the one".into(), &2.into(), &number.into())
}

fn row(revision: impl Into<JsValue>) -> JsValue {
    let row = Object::new();
    let set = |name: &str, value: JsValue| assert!(Reflect::set(&row, &name.into(), &value).expect("an object"));
    set("revision", revision.into());
    set("createdMs", 1.into());
    set("updatedMs", 2.5.into());
    set("entries", 1.into());
    row.into()
}

// ---------------------------------------------------------------------------------------- what every store has to do

#[wasm_bindgen_test]
async fn it_does_what_every_store_has_to_do() {
    let mut failures = Vec::new();
    for case in contract::CASES {
        let database = Database::new("the contract").await;
        let store = database.store();
        if let Err(why) = contract::run(case.name, &store).await {
            failures.push(format!("{}: {why}", case.name));
        }
    }
    assert!(failures.is_empty(), "{failures:#?}");
}

#[wasm_bindgen_test]
async fn with_a_codec_that_takes_its_time_it_does_so_too() {
    let mut failures = Vec::new();
    for case in contract::CASES {
        let database = Database::new("the contract with a codec").await;
        let codec = Some(codec(3, true));
        let store = IndexedDb::new(IndexedDbOptions { codec, ..database.options() });
        if let Err(why) = contract::run(case.name, &store).await {
            failures.push(format!("{}: {why}", case.name));
        }
    }
    assert!(failures.is_empty(), "{failures:#?}");
}

#[wasm_bindgen_test]
async fn what_has_to_outlive_the_store_does() {
    let mut failures = Vec::new();
    for case in contract::PERSISTENT {
        let database = Database::new("persistence").await;
        let store = database.store();
        let mut verdict = contract::before(case.name, &store).await;
        store.close().await.expect("closed");
        if verdict.is_ok() {
            verdict = contract::after(case.name, &database.store()).await;
        }
        if let Err(why) = verdict {
            failures.push(format!("{}: {why}", case.name));
        }
    }
    assert!(failures.is_empty(), "{failures:#?}");
}

#[wasm_bindgen_test]
async fn of_two_tabs_that_write_at_once_one_wins() {
    let database = Database::new("two tabs").await;
    let tabs = [database.store(), database.store()];
    for round in 0..20 {
        let batches = ["a", "b"].map(|text| batch(round, &[entry(round, text)]));
        let [a, b] = both(tabs[0].commit(&batches[0]), tabs[1].commit(&batches[1])).await;
        let (winner, loser) = if a.is_ok() { (a, b) } else { (b, a) };
        assert_eq!(winner, Ok(round + 1));
        assert_eq!(loser.expect_err("a conflict").revision, Some(round + 1));
    }
}

async fn both<T>(a: impl Future<Output = T>, b: impl Future<Output = T>) -> [T; 2] {
    let (mut a, mut b) = (pin!(a), pin!(b));
    let (mut of_a, mut of_b) = (None, None);
    poll_fn(|context| {
        if of_a.is_none() {
            of_a = ready(a.as_mut().poll(context));
        }
        if of_b.is_none() {
            of_b = ready(b.as_mut().poll(context));
        }
        match (of_a.take(), of_b.take()) {
            (Some(a), Some(b)) => Poll::Ready([a, b]),
            (a, b) => {
                (of_a, of_b) = (a, b);
                Poll::Pending
            }
        }
    })
    .await
}

fn ready<T>(poll: Poll<T>) -> Option<T> {
    match poll {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
}

#[wasm_bindgen_test]
async fn deleting_leaves_nothing_in_the_whole_database() {
    let database = Database::new("deleting").await;
    let store = database.store();
    let empty = {
        assert_entries(&store, 0, &[]).await;
        database.dump().await
    };
    let records = RecordKind::ALL.map(|kind| Record { kind, number: 0, text: "what was said".to_owned() });
    store.commit(&batch(0, &records)).await.expect("written");
    let all = database.dump().await;
    assert!(all.contains("the one") && all.contains("what was said"), "{all}");
    store.delete("the one").await.expect("deleted");
    assert_eq!(database.dump().await, empty);
}

#[wasm_bindgen_test]
async fn no_key_says_what_only_the_content_may_say() {
    let database = Database::new("keys").await;
    let store = database.store();
    let records = RecordKind::ALL.map(|kind| Record { kind, number: 7, text: "what was said".to_owned() });
    store.commit(&batch(0, &records)).await.expect("written");
    let expected = r#"{"conversations":[["the one",{"revision":1,"createdMs":1,"updatedMs":2.5,"entries":5}]],"records":[[["the one",0,7],"what was said"],[["the one",1,7],"what was said"],[["the one",2,7],"what was said"],[["the one",3,7],"what was said"],[["the one",4,7],"what was said"]]}"#;
    assert_eq!(database.dump().await, expected);
}

// ------------------------------------------------------------------------------------------------ forms of the database

const STORES: [&str; 2] = ["conversations", "records"];

/// A database of version 1.0, written by hand: what every later version has to read. Never to be changed.
async fn of_1_0(database: &Database) {
    database.open(1_000, &STORES).await.close();
    database.put("conversations", "the one", row(3)).await;
    database.put("records", key(0), r#"{"role":"user"}"#).await;
    database.put("records", key(1), r#"{"role":"assistant"}"#).await;
}

#[wasm_bindgen_test]
async fn a_database_of_version_1_0_can_be_read_and_written() {
    let database = Database::new("version 1.0").await;
    of_1_0(&database).await;
    let store = database.store();
    assert_entries(&store, 3, &[r#"{"role":"user"}"#, r#"{"role":"assistant"}"#]).await;
    let listed = store.list(&Page { after: None, limit: 9 }).await.expect("a list");
    let about = About { created_ms: 1.0, updated_ms: 2.5, entries: 1 };
    assert_eq!(listed, [Listed { conversation: "the one".to_owned(), revision: 3, about }]);
    assert_eq!(store.commit(&batch(3, &[entry(2, "more")])).await, Ok(4));
}

#[wasm_bindgen_test]
async fn a_new_database_has_version_1_0() {
    // To be changed together with the version and a fixture like the one above, never alone.
    let database = Database::new("a new one").await;
    assert_entries(&database.store(), 0, &[]).await;
    assert_eq!(database.version().await.to_string(), "1000");
    assert_eq!(database.dump().await, r#"{"conversations":[],"records":[]}"#);
}

#[wasm_bindgen_test]
async fn a_database_of_a_newer_minor_version_can_be_read_and_written() {
    let database = Database::new("a newer minor").await;
    of_1_0(&database).await;
    database.open(1_999, &["something new"]).await.close();
    let store = database.store();
    assert_eq!(store.commit(&batch(3, &[entry(1, "changed")])).await, Ok(4));
    assert_entries(&database.store(), 4, &[r#"{"role":"user"}"#, "changed"]).await;
    assert_eq!(database.version().await.to_string(), "1999");
}

#[wasm_bindgen_test]
async fn a_database_of_a_newer_major_version_is_refused_and_left_alone() {
    let database = Database::new("a newer major").await;
    of_1_0(&database).await;
    database.open(2_000, &["something new"]).await.close();
    let before = database.dump().await;
    let store = database.store();
    assert_eq!(class(entries(&store).await), StoreErrorClass::Newer);
    assert_eq!(class(store.commit(&batch(3, &[])).await), StoreErrorClass::Newer);
    assert_eq!(class(store.delete("the one").await), StoreErrorClass::Newer);
    assert_eq!(database.dump().await, before);
    assert!(database.remove().await, "it stays open");
}

#[wasm_bindgen_test]
async fn a_database_of_an_earlier_version_is_brought_to_this_one() {
    let database = Database::new("an earlier one").await;
    database.open(1, &["something else"]).await.close();
    let store = database.store();
    assert_eq!(store.commit(&batch(0, &[entry(0, "first")])).await, Ok(1));
    assert_eq!(database.version().await.to_string(), "1000");
}

#[wasm_bindgen_test]
async fn an_upgrade_that_fails_leaves_the_database_as_it_was() {
    let database = Database::new("a failing upgrade").await;
    // Stands in the way of the object store that the upgrade makes.
    database.open(1, &["records"]).await.close();
    let store = database.store();
    assert_eq!(class(entries(&store).await), StoreErrorClass::Failed);
    assert_eq!(database.version().await.to_string(), "1");
    assert_eq!(database.dump().await, r#"{"records":[]}"#);
    assert!(database.remove().await, "it stays open");
    assert_entries(&store, 0, &[]).await;
}

#[wasm_bindgen_test]
async fn a_database_of_somebody_else_is_corrupted() {
    let database = Database::new("somebody else").await;
    database.open(1_000, &["records"]).await.close();
    assert_eq!(class(entries(&database.store()).await), StoreErrorClass::Corrupted);
    assert!(database.remove().await, "it stays open");
}

// ----------------------------------------------------------------------------------------------------------- other tabs

#[wasm_bindgen_test]
async fn a_database_that_another_tab_deletes_is_given_up_and_made_anew() {
    let database = Database::new("deleted by another tab").await;
    let store = database.store();
    store.commit(&batch(0, &[entry(0, "first")])).await.expect("written");
    assert!(database.remove().await, "the store stood in the way");
    assert_entries(&store, 0, &[]).await;
    assert_eq!(store.commit(&batch(0, &[entry(0, "again")])).await, Ok(1));
}

#[wasm_bindgen_test]
async fn a_database_that_another_tab_brings_to_a_newer_form_is_given_up() {
    let database = Database::new("upgraded by another tab").await;
    let store = database.store();
    store.commit(&batch(0, &[entry(0, "first")])).await.expect("written");
    database.open(1_001, &[]).await.close();
    assert_entries(&store, 1, &["first"]).await;
    database.open(2_000, &[]).await.close();
    assert_eq!(class(entries(&store).await), StoreErrorClass::Newer);
}

#[wasm_bindgen_test]
async fn a_tab_that_holds_on_to_an_older_form_blocks_until_it_lets_go() {
    let database = Database::new("blocked").await;
    let other = database.open(1, &[]).await;
    let store = IndexedDb::new(IndexedDbOptions { open_ms: 30.0, ..database.options() });
    for _ in 0..2 {
        assert_eq!(class(entries(&store).await), StoreErrorClass::Blocked);
    }
    other.close();
    let patient = IndexedDb::new(IndexedDbOptions { open_ms: 1e12, ..database.options() });
    assert_entries(&patient, 0, &[]).await;
    assert_entries(&store, 0, &[]).await;
}

#[wasm_bindgen_test]
async fn a_store_that_is_closed_or_dropped_lets_go_of_the_database() {
    let database = Database::new("letting go").await;
    let store = database.store();
    assert_entries(&store, 0, &[]).await;
    store.close().await.expect("closed");
    assert_eq!(open_connections(&database).await, 0);
    assert_eq!(class(entries(&store).await), StoreErrorClass::Closed);
    assert_eq!(class(store.list(&Page { after: None, limit: 0 }).await), StoreErrorClass::Closed);
    let store = database.store();
    assert_entries(&store, 0, &[]).await;
    drop(store);
    assert_eq!(open_connections(&database).await, 0);
}

/// How many connections have been asked to make way for another one.
async fn open_connections(database: &Database) -> JsValue {
    await_js(asked(&database.0)).await
}

#[wasm_bindgen_test]
async fn an_open_store_is_asked_to_make_way() {
    // That the count above counts.
    let database = Database::new("making way").await;
    let store = database.store();
    assert_entries(&store, 0, &[]).await;
    assert_eq!(open_connections(&database).await, 1);
}

#[wasm_bindgen_test]
async fn a_store_that_is_closed_while_it_opens_lets_go_of_the_database() {
    let database = Database::new("closed while opening").await;
    let other = database.open(1, &[]).await;
    let store = IndexedDb::new(IndexedDbOptions { open_ms: 30.0, ..database.options() });
    assert_eq!(class(entries(&store).await), StoreErrorClass::Blocked);
    store.close().await.expect("closed");
    assert_eq!(class(entries(&store).await), StoreErrorClass::Closed);
    other.close();
    // Opened after the one of the store, and so after it was closed again.
    assert_entries(&database.store(), 0, &[]).await;
    assert_eq!(open_connections(&database).await, 0);
}

// --------------------------------------------------------------------------------------------------------------- faults

/// Commits to a store with one entry and a fault; checks that nothing was written, and that the next commit is.
async fn commit_under(what: &str, name: &str) -> StoreErrorClass {
    let database = Database::new("faults of a commit").await;
    let store = database.store();
    store.commit(&batch(0, &[entry(0, "first")])).await.expect("written");
    let mut wanted = batch(1, &[entry(0, "changed"), entry(1, "second")]);
    wanted.deletes = vec![Range::one(RecordKind::Entry, 0)];
    let fault = Fault::new(what, name);
    let outcome = store.commit(&wanted).await;
    drop(fault);
    assert_entries(&store, 1, &["first"]).await;
    assert_eq!(store.commit(&wanted).await, Ok(2));
    assert_entries(&store, 2, &["changed", "second"]).await;
    class(outcome)
}

#[wasm_bindgen_test]
async fn without_room_nothing_is_written() {
    for what in [
        "put throws",
        "put of a row throws",
        "put aborts",
        "the transaction is aborted after the last put",
        "the transaction is aborted when its row is read",
    ] {
        assert_eq!(commit_under(what, "QuotaExceededError").await, StoreErrorClass::Quota, "{what}");
    }
}

#[wasm_bindgen_test]
async fn an_aborted_transaction_writes_nothing() {
    for what in [
        "put aborts",
        "the transaction is aborted after the last put",
        "the transaction is aborted when its row is read",
    ] {
        assert_eq!(commit_under(what, "").await, StoreErrorClass::Failed, "{what}");
    }
    for name in ["DataError", "TransactionInactiveError", "Whatever"] {
        assert_eq!(commit_under("put throws", name).await, StoreErrorClass::Failed, "{name}");
    }
}

#[wasm_bindgen_test]
async fn a_connection_that_breaks_off_during_a_commit_is_lost_and_made_anew() {
    for name in ["AbortError", "UnknownError"] {
        let what = "the transaction is aborted after the last put";
        assert_eq!(commit_under(what, name).await, StoreErrorClass::Lost, "{name}");
    }
}

#[wasm_bindgen_test]
async fn a_connection_that_breaks_off_while_reading_is_made_anew() {
    let database = Database::new("breaking off").await;
    let store = database.store();
    store.commit(&batch(0, &[entry(0, "first")])).await.expect("written");
    for name in ["AbortError", "UnknownError"] {
        let _fault = Fault::new("the transaction is aborted when its row is read", name);
        assert_entries(&store, 1, &["first"]).await;
    }
}

#[wasm_bindgen_test]
async fn a_connection_that_was_closed_is_made_anew() {
    let database = Database::new("closed by the browser").await;
    let store = database.store();
    store.commit(&batch(0, &[entry(0, "first")])).await.expect("written");
    {
        let _fault = Fault::new("the connection is closed", "");
        assert_entries(&store, 1, &["first"]).await;
    }
    {
        let _fault = Fault::new("the connection is closed", "");
        assert_eq!(store.commit(&batch(1, &[entry(1, "second")])).await, Ok(2));
    }
    {
        let _fault = Fault::new("every connection is closed", "");
        assert_eq!(class(entries(&store).await), StoreErrorClass::Lost);
        assert_eq!(class(store.commit(&batch(2, &[])).await), StoreErrorClass::Lost);
        assert_eq!(class(store.list(&Page { after: None, limit: 1 }).await), StoreErrorClass::Lost);
        assert_eq!(class(store.delete("the one").await), StoreErrorClass::Lost);
    }
    assert_entries(&store, 2, &["first", "second"]).await;
}

#[wasm_bindgen_test]
async fn where_there_is_no_storage_it_is_unavailable_until_there_is() {
    let database = Database::new("unavailable").await;
    let store = database.store();
    let faults = [
        ("indexedDB is missing", "", StoreErrorClass::Unavailable),
        ("indexedDB throws", "SecurityError", StoreErrorClass::Unavailable),
        ("open throws", "SecurityError", StoreErrorClass::Unavailable),
        ("open throws", "InvalidStateError", StoreErrorClass::Unavailable),
        ("open throws", "QuotaExceededError", StoreErrorClass::Quota),
        ("open throws", "UnknownError", StoreErrorClass::Lost),
    ];
    for (what, name, expected) in faults {
        let _fault = Fault::new(what, name);
        assert_eq!(class(entries(&store).await), expected, "{what}: {name}");
        assert_eq!(class(store.persisted().await), expected, "{what}: {name}");
    }
    assert_entries(&store, 0, &[]).await;
}

#[wasm_bindgen_test]
async fn a_call_that_is_dropped_leaves_all_or_nothing_and_blocks_nobody() {
    let database = Database::new("dropped calls").await;
    let (mut whole, mut none) = (0, 0);
    for turn in 0..60 {
        let store = database.store();
        let wanted = batch(0, &[entry(0, "a"), entry(1, "b")]);
        let dropped = unless(store.commit(&wanted), turns(turn)).await;
        match entries(&store).await.expect("read") {
            (0, texts) if texts.is_empty() => {
                assert_ne!(dropped, Some(Ok(1)));
                none += 1;
            }
            (1, texts) if texts == ["a", "b"] => whole += 1,
            other => panic!("after {turn} turns: {other:?}"),
        }
        assert!(unless(entries(&store), turns(turn)).await.is_none_or(|outcome| outcome.is_ok()));
        store.delete("the one").await.expect("deleted");
    }
    assert!(none > 0, "none was dropped in time");
    wasm_bindgen_test::console_log!("{whole} whole, {none} not at all");
}

/// The output of a future, unless the promise was faster: then it is dropped.
async fn unless<T>(future: impl Future<Output = T>, faster: Promise) -> Option<T> {
    let (mut future, mut faster) = (pin!(future), JsFuture::from(faster));
    poll_fn(|context| match future.as_mut().poll(context) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => pin!(&mut faster).poll(context).map(|_| None),
    })
    .await
}

// ----------------------------------------------------------------------------------------------------------- corruption

#[wasm_bindgen_test]
async fn a_record_of_the_wrong_type_is_corrupted_by_name() {
    let database = Database::new("a wrong record").await;
    of_1_0(&database).await;
    database.put("records", key(1), 7).await;
    let store = database.store();
    let error = entries(&store).await.expect_err("corrupted");
    assert_eq!(error.class, StoreErrorClass::Corrupted);
    assert!(error.message.contains("entry 1"), "{error}");
    let others = store.load("the one", &[Range::one(RecordKind::Entry, 0)]).await.expect("the others");
    assert_eq!(others.records, [entry(0, r#"{"role":"user"}"#)]);
}

#[wasm_bindgen_test]
async fn a_record_with_a_key_that_no_record_has_is_corrupted() {
    for odd in [JsValue::from(0.5), JsValue::from(-0.5)] {
        let database = Database::new("a wrong key").await;
        of_1_0(&database).await;
        database.put("records", key(odd.clone()), "a text").await;
        let all = entries(&database.store()).await;
        // What comes before all numbers is in nobody's way.
        if odd.as_f64() > Some(0.0) {
            assert_eq!(class(all), StoreErrorClass::Corrupted);
        } else {
            assert!(all.is_ok());
        }
    }
}

#[wasm_bindgen_test]
async fn a_row_that_is_not_one_is_corrupted() {
    for odd in [JsValue::NULL, 7.into(), "row".into(), Object::new().into(), row("3"), row(0), row(-1), row(1.5)] {
        let database = Database::new("a wrong row").await;
        of_1_0(&database).await;
        database.put("conversations", "the one", odd).await;
        let store = database.store();
        assert_eq!(class(entries(&store).await), StoreErrorClass::Corrupted);
        assert_eq!(class(store.commit(&batch(3, &[])).await), StoreErrorClass::Corrupted);
        assert_eq!(class(store.list(&Page { after: None, limit: 9 }).await), StoreErrorClass::Corrupted);
        store.delete("the one").await.expect("deleted");
        assert_eq!(store.commit(&batch(0, &[entry(0, "anew")])).await, Ok(1));
    }
}

#[wasm_bindgen_test]
async fn records_without_a_row_are_corrupted_until_they_are_deleted() {
    let database = Database::new("no row").await;
    of_1_0(&database).await;
    database.put("conversations", "the one", JsValue::UNDEFINED).await;
    let store = database.store();
    assert_eq!(class(entries(&store).await), StoreErrorClass::Corrupted);
    assert_eq!(class(store.commit(&batch(0, &[entry(5, "anew")])).await), StoreErrorClass::Corrupted);
    store.delete("the one").await.expect("deleted");
    assert_eq!(store.commit(&batch(0, &[entry(5, "anew")])).await, Ok(1));
    assert_entries(&store, 1, &["anew"]).await;
}

// ---------------------------------------------------------------------------------------------------------------- codec

fn codec(shift_by: u8, waits: bool) -> Codec {
    let functions = shift(shift_by, waits);
    let function = |name: &str| Reflect::get(&functions, &name.into()).expect("an object").unchecked_into();
    Codec { encode: function("encode"), decode: function("decode") }
}

#[wasm_bindgen_test]
async fn with_a_codec_no_text_is_in_the_database() {
    let database = Database::new("a codec").await;
    for waits in [false, true] {
        let store = IndexedDb::new(IndexedDbOptions { codec: Some(codec(5, waits)), ..database.options() });
        store.commit(&batch(0, &[entry(0, "what was said"), entry(1, "")])).await.expect("written");
        let all = database.dump().await;
        assert!(all.contains("the one") && !all.contains("what was said"), "{all}");
        assert_entries(&store, 1, &["what was said", ""]).await;
        store.delete("the one").await.expect("deleted");
    }
}

#[wasm_bindgen_test]
async fn a_codec_may_store_texts_instead_of_texts() {
    let database = Database::new("a codec of texts").await;
    let codec = Codec { encode: answers("text"), decode: answers("text") };
    let store = IndexedDb::new(IndexedDbOptions { codec: Some(codec), ..database.options() });
    store.commit(&batch(0, &[entry(0, "what was said")])).await.expect("written");
    assert!(database.dump().await.contains(r#"[["the one",2,0],"a text"]"#));
    assert_entries(&store, 1, &["a text"]).await;
}

#[wasm_bindgen_test]
async fn what_cannot_be_encoded_is_not_written() {
    let database = Database::new("a codec that fails").await;
    let odd = ["null", "number", "object", "undefined"].map(answers);
    for encode in odd.into_iter().chain([fails(false), fails(true)]) {
        let codec = Codec { encode, decode: answers("text") };
        let store = IndexedDb::new(IndexedDbOptions { codec: Some(codec), ..database.options() });
        let outcome = store.commit(&batch(0, &[entry(0, "the secret word")])).await;
        assert_eq!(class(outcome), StoreErrorClass::Failed);
        assert_entries(&store, 0, &[]).await;
    }
}

#[wasm_bindgen_test]
async fn what_cannot_be_decoded_is_corrupted_by_name() {
    let database = Database::new("a codec of another key").await;
    let with = |codec| IndexedDb::new(IndexedDbOptions { codec, ..database.options() });
    with(Some(codec(5, true))).commit(&batch(0, &[entry(9, "the secret word")])).await.expect("written");
    let odd = ["null", "number", "object", "undefined"].map(answers);
    let decoders = odd.into_iter().chain([fails(false), fails(true)]);
    let codecs = decoders.map(|decode| Some(Codec { encode: answers("text"), decode }));
    for codec in codecs.chain([None, Some(codec(6, false)), Some(codec(6, true))]) {
        let error = entries(&with(codec)).await.expect_err("corrupted");
        assert!(error.message.contains("entry 9") && !error.message.contains("secret"), "{error}");
        assert_eq!(error.class, StoreErrorClass::Corrupted);
    }
}

// -------------------------------------------------------------------------------------------------------------- options

#[wasm_bindgen_test]
async fn the_browser_is_asked_once_to_keep_what_is_stored_and_only_if_that_is_wanted() {
    let database = Database::new("persist").await;
    for (persist, answer, questions) in
        [(true, true, "persist"), (true, false, "persist"), (false, true, "persisted,persisted")]
    {
        let storage = storage(answer);
        let get = |name: &str| Reflect::get(&storage, &name.into()).expect("an object");
        let store = IndexedDb::new(IndexedDbOptions { persist, ..database.options() });
        assert_eq!(store.persisted().await, Ok(persist && answer));
        assert_eq!(store.persisted().await, Ok(persist && answer));
        assert_eq!(String::from(get("asked").unchecked_into::<Array>().join(",")), questions);
        get("mend").unchecked_into::<Function>().call0(&JsValue::UNDEFINED).expect("mended");
    }
}

#[wasm_bindgen_test]
async fn what_is_awaited_passes_through_the_guard() {
    let database = Database::new("the guard").await;
    let passed = Rc::new(Cell::new(0));
    let of_guard = Rc::clone(&passed);
    let guard = Guard::new(move |promise| {
        of_guard.set(of_guard.get() + 1);
        promise
    });
    let store = IndexedDb::new(IndexedDbOptions { guard, ..database.options() });
    store.commit(&batch(0, &[entry(0, "first")])).await.expect("written");
    // The opening, and the end of the transaction.
    assert_eq!(passed.get(), 2);
}

#[wasm_bindgen_test]
async fn a_batch_counts_as_written_when_it_is_on_the_disk_unless_that_is_not_wanted() {
    let database = Database::new("durability").await;
    for (durability, name) in
        [(Durability::default(), "strict"), (Durability::Strict, "strict"), (Durability::Relaxed, "relaxed")]
    {
        let heard = durabilities();
        let store = IndexedDb::new(IndexedDbOptions { durability, ..database.options() });
        store.commit(&batch(0, &[entry(0, "first")])).await.expect("written");
        store.delete("the one").await.expect("deleted");
        let heard = heard.call0(&JsValue::UNDEFINED).expect("a list").unchecked_into::<Array>();
        assert_eq!(String::from(heard.join(",")), format!("{name},{name}"));
    }
}
