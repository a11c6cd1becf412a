//! What cannot be seen from outside: logs that are about to be replaced, locks, and failures in between.

use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll, Waker};

use super::*;
use crate::store::{About, Record, RecordKind, contract};

/// A folder that is gone afterwards.
struct Temporary(PathBuf);

impl Temporary {
    fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("epitome-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        let _ = fs::remove_dir_all(&path);
        Self(path)
    }

    fn store(&self) -> FileStore {
        FileStore::open(&self.0).unwrap()
    }

    fn folder(&self) -> Folder {
        Folder { path: self.0.clone() }
    }

    /// What is in it, apart from the key.
    fn files(&self) -> Vec<String> {
        let names = fs::read_dir(&self.0).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut ends: Vec<String> = names.map(|name| name.split_at(64).1.to_owned()).collect();
        ends.sort();
        ends
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn done<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("files make the thread wait, not the future"),
    }
}

fn batch(expected: u64, numbers: impl IntoIterator<Item = u64>, text: &str) -> Batch {
    let record = |number| Record { kind: RecordKind::Entry, number, text: text.to_owned() };
    let puts = numbers.into_iter().map(record).collect();
    Batch { conversation: "c".to_owned(), expected, puts, deletes: Vec::new(), about: About::default() }
}

fn all(store: &FileStore) -> Loaded {
    done(store.load("c", &[Range::all(RecordKind::Entry)])).unwrap()
}

fn log(temporary: &Temporary) -> PathBuf {
    temporary.folder().log(&line::key("c"))
}

/// Adds to the log what another process would have written.
fn add(temporary: &Temporary, bytes: &[u8]) {
    OpenOptions::new().append(true).open(log(temporary)).unwrap().write_all(bytes).unwrap();
}

fn seal() -> Vec<u8> {
    [SEPARATOR, &encode(&Head::Seal, &[]).unwrap()].concat()
}

#[test]
fn it_does_what_a_store_has_to_do() {
    let mut failures = Vec::new();
    for case in contract::CASES {
        let temporary = Temporary::new();
        failures.extend(done(contract::run(case.name, &temporary.store())).err().map(|why| (case.name, why)));
    }
    for case in contract::PERSISTENT {
        let temporary = Temporary::new();
        let outcome = done(async {
            let store = temporary.store();
            contract::before(case.name, &store).await?;
            store.close().await.map_err(|error| error.message)?;
            contract::after(case.name, &temporary.store()).await
        });
        failures.extend(outcome.err().map(|why| (case.name, why)));
    }
    assert!(failures.is_empty(), "{failures:#?}");
}

#[test]
fn a_log_that_is_mostly_remains_is_copied_and_says_the_same() {
    let temporary = Temporary::new();
    let (store, other) = (temporary.store(), temporary.store());
    let mut largest = 0;
    for expected in 0..200 {
        // One stays, one is replaced every time.
        let mut next = batch(expected, [0, expected + 1], &format!("\"{}\"", "x".repeat(100)));
        next.puts[0].text = format!("\"{expected} {}\"", "y".repeat(20_000));
        assert_eq!(done(store.commit(&next)).unwrap(), expected + 1);
        largest = largest.max(fs::metadata(log(&temporary)).unwrap().len());
        if expected % 50 == 0 {
            assert_eq!(all(&other).records.len() as u64, expected + 2);
        }
    }
    assert!(largest < 400_000, "{largest}");
    for store in [&store, &other, &temporary.store()] {
        let loaded = all(store);
        assert_eq!((loaded.revision, loaded.records.len()), (200, 201));
        assert!(loaded.records[0].text.starts_with("\"199 "));
        let listed = done(store.list(&Page { after: None, limit: 2 })).unwrap();
        assert_eq!((listed.len(), listed[0].revision), (1, 200));
    }
    assert_eq!(temporary.files(), [".log"]);
}

#[test]
fn a_copy_of_much_has_several_lines_and_no_more_than_there_were_commits() {
    for (commits, lines) in [(1, 1), (3, 3), (100, 4)] {
        let temporary = Temporary::new();
        let store = temporary.store();
        for expected in 0..commits {
            let numbers = (expected * 4_000 / commits)..((expected + 1) * 4_000 / commits);
            done(store.commit(&batch(expected, numbers, &format!("\"{}\"", "z".repeat(998))))).unwrap();
        }
        let before = all(&store);
        assert!(copy::copy(&temporary.folder(), &line::key("c")).unwrap());
        assert_eq!(all(&store), before);
        assert_eq!(all(&temporary.store()), before);
        let text = fs::read_to_string(log(&temporary)).unwrap();
        assert_eq!(text.lines().count(), 1 + lines, "{commits} commits");
        assert_eq!(done(temporary.store().commit(&batch(commits, [9_999], "1"))).unwrap(), commits + 1);
    }
}

#[test]
fn a_log_whose_copy_died_is_read_and_then_copied() {
    let temporary = Temporary::new();
    let store = temporary.store();
    done(store.commit(&batch(0, 0..3, "1"))).unwrap();
    let key = line::key("c");
    // As a process leaves it that is killed between sealing and renaming.
    let dead = fs::read_to_string("/proc/sys/kernel/pid_max").map_or(4_194_304, |text| text.trim().parse().unwrap());
    let lock = Lock::take(&temporary.folder(), &key).unwrap().unwrap();
    let text = fs::read_to_string(temporary.folder().lock(&key)).unwrap();
    let mine = format!("\"pid\":{}", std::process::id());
    assert!(text.contains(&mine), "{text}");
    fs::write(temporary.folder().lock(&key), text.replace(&mine, &format!("\"pid\":{dead}"))).unwrap();
    assert!(!lock.is_held());
    drop(lock);
    fs::write(temporary.folder().temporary(&key), "half a copy").unwrap();
    add(&temporary, &seal());
    // One that came too late.
    let (written, texts) = Written::new(&batch(1, [7], "\"late\""), token()).unwrap();
    add(&temporary, &[SEPARATOR, &encode(&Head::Batch(written), &texts).unwrap()].concat());
    for store in [&store, &temporary.store()] {
        assert_eq!((all(store).revision, all(store).records.len()), (1, 3));
    }
    let listed = done(store.list(&Page { after: None, limit: 2 })).unwrap();
    assert_eq!(listed[0].revision, 1);
    if cfg!(target_os = "linux") {
        assert_eq!(done(store.commit(&batch(1, [3], "2"))).unwrap(), 2);
        assert_eq!(temporary.files(), [".log"]);
        assert_eq!(all(&temporary.store()).records.len(), 4);
    }
}

#[test]
fn a_held_lock_keeps_others_from_copying_and_deleting_but_not_from_committing() {
    let temporary = Temporary::new();
    let store = temporary.store();
    let key = line::key("c");
    done(store.commit(&batch(0, 0..3, "1"))).unwrap();
    let lock = Lock::take(&temporary.folder(), &key).unwrap().unwrap();
    assert!(Lock::take(&temporary.folder(), &key).unwrap().is_none());
    assert!(!copy::copy(&temporary.folder(), &key).unwrap());
    assert_eq!(done(store.commit(&batch(1, [3], "1"))).unwrap(), 2);
    assert_eq!(done(store.delete("c")).unwrap_err().class, StoreErrorClass::Blocked);
    add(&temporary, &seal());
    assert_eq!(done(store.commit(&batch(2, [4], "1"))).unwrap_err().class, StoreErrorClass::Blocked);
    assert_eq!(all(&store).revision, 2);
    drop(lock);
    assert_eq!(done(store.commit(&batch(2, [4], "1"))).unwrap(), 3);
    done(store.delete("c")).unwrap();
    assert_eq!(temporary.files(), [""; 0]);
}

#[test]
fn an_old_lock_is_taken_away_and_its_owner_notices() {
    let temporary = Temporary::new();
    let store = temporary.store();
    let key = line::key("c");
    done(store.commit(&batch(0, 0..3, "1"))).unwrap();
    let slow = Lock::take(&temporary.folder(), &key).unwrap().unwrap();
    let file = OpenOptions::new().write(true).open(temporary.folder().lock(&key)).unwrap();
    let now = file.metadata().unwrap().modified().unwrap();
    file.set_modified(now - Duration::from_secs(31)).unwrap();
    let quick = Lock::take(&temporary.folder(), &key).unwrap().unwrap();
    assert!(quick.is_held() && !slow.is_held());
    drop(slow);
    assert!(quick.is_held());
    drop(quick);
    assert_eq!(temporary.files(), [".log"]);
}

#[test]
fn what_was_committed_while_a_copy_was_made_is_in_it() {
    let temporary = Temporary::new();
    let store = temporary.store();
    done(store.commit(&batch(0, 0..3, "1"))).unwrap();
    let key = line::key("c");
    let mut file = OpenOptions::new().read(true).append(true).open(log(&temporary)).unwrap();
    let mut index = Index::default();
    index.read_on(&mut file, |_, _| {}).unwrap();
    // Another handle commits between the copy's two readings.
    done(temporary.store().commit(&batch(1, [9], "\"in between\""))).unwrap();
    let path = temporary.folder().temporary(&key);
    let mut target = options().write(true).create_new(true).open(&path).unwrap();
    let named = index.named().unwrap().clone();
    copy::write_all(&mut target, &mut file, &index, named).unwrap();
    copy::add_rest(&mut target, &mut file, &mut index).unwrap();
    fs::rename(path, log(&temporary)).unwrap();
    for store in [&store, &temporary.store()] {
        assert_eq!((all(store).revision, all(store).records.len()), (2, 4));
    }
}

#[test]
fn only_the_first_name_counts_and_another_conversations_is_refused() {
    let temporary = Temporary::new();
    let store = temporary.store();
    done(store.commit(&batch(0, 0..3, "1"))).unwrap();
    let named = Head::File(Named::new("d", token()));
    add(&temporary, &[SEPARATOR, &encode(&named, &[]).unwrap()].concat());
    assert_eq!(all(&temporary.store()).revision, 1);
    fs::copy(log(&temporary), temporary.folder().log(&line::key("d"))).unwrap();
    let error = done(store.load("d", &[])).unwrap_err();
    assert_eq!(error.class, StoreErrorClass::Corrupted);
    assert_eq!(done(store.list(&Page { after: None, limit: 9 })).unwrap().len(), 1);
}

#[test]
fn newer_files_are_read_if_only_a_little_newer() {
    for (major, minor, class) in [(2, 0, Some(StoreErrorClass::Newer)), (1, 3, None)] {
        let temporary = Temporary::new();
        let store = temporary.store();
        let named = Named { major, minor, ..Named::new("c", token()) };
        let mut bytes = encode(&Head::File(named), &[]).unwrap();
        let head = r#"{"kind":"unheard of","a":1}"#;
        let summed = format!("{} {head}\"text\"", head.len()).into_bytes();
        bytes.extend_from_slice(line::sum(&summed).as_bytes());
        bytes.extend_from_slice(&[b" ", &summed[..], b"\n"].concat());
        fs::write(log(&temporary), bytes).unwrap();
        let loaded = done(store.load("c", &[]));
        let written = done(store.commit(&batch(0, [0], "1")));
        assert_eq!(loaded.err().map(|error| error.class), class);
        assert_eq!(written.err().map(|error| error.class), class);
        if class.is_none() {
            assert_eq!(all(&temporary.store()).records.len(), 1);
            assert!(copy::copy(&temporary.folder(), &line::key("c")).is_err());
            assert_eq!(temporary.files(), [".log"]);
        } else {
            assert_eq!(done(store.list(&Page { after: None, limit: 1 })).err().map(|error| error.class), class);
        }
    }
}

#[test]
fn a_full_disk_is_told_from_other_failures() {
    for (kind, class) in [
        (ErrorKind::StorageFull, StoreErrorClass::Quota),
        (ErrorKind::QuotaExceeded, StoreErrorClass::Quota),
        (ErrorKind::FileTooLarge, StoreErrorClass::Quota),
        (ErrorKind::PermissionDenied, StoreErrorClass::Unavailable),
        (ErrorKind::InvalidData, StoreErrorClass::Failed),
    ] {
        assert_eq!(failed("writing", &kind.into()).class, class);
    }
}

#[test]
fn what_is_no_number_is_kept_as_none() {
    let temporary = Temporary::new();
    let store = temporary.store();
    let about = About { created_ms: f64::NAN, updated_ms: f64::INFINITY, entries: 1 };
    done(store.commit(&Batch { about, ..batch(0, [0], "1") })).unwrap();
    let listed = done(temporary.store().list(&Page { after: None, limit: 1 })).unwrap();
    assert_eq!(listed[0].about, About { created_ms: 0.0, updated_ms: 0.0, entries: 1 });
}
