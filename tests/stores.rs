//! Conversations in files, as a program sees them: cut off at every byte, damaged, shared with others, on a full disk.
//! (What every store has to do is tested beside each of them, with `store::contract`.)
#![cfg(not(target_family = "wasm"))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "tests fail loudly"
)]

use std::fs;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll, Waker};
use std::thread;

use epitome::store::{
    About, Batch, FileStore, Listed, Loaded, Page, Range, Record, RecordKind, Store, StoreError, StoreErrorClass,
};

fn block_on<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("files make the thread wait, not the future"),
    }
}

/// A folder that is gone afterwards.
struct Temporary(PathBuf);

impl Temporary {
    fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("epitome-stores-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        let _ = fs::remove_dir_all(&path);
        Self(path)
    }

    fn store(&self) -> FileStore {
        FileStore::open(&self.0).unwrap()
    }

    /// The one log that there is.
    fn log(&self) -> PathBuf {
        let mut logs = files(&self.0).into_iter().filter(|path| path.extension().is_some_and(|end| end == "log"));
        let log = logs.next().unwrap();
        assert!(logs.next().is_none());
        log
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect()
}

fn record(kind: RecordKind, number: u64, text: &str) -> Record {
    Record { kind, number, text: text.to_owned() }
}

/// A commit as a session makes them: an entry, and a head that says how many there are.
fn step(conversation: &str, expected: u64) -> Batch {
    let entry = format!("{{\"role\":\"user\",\"content\":\"message {expected}, \\\"quoted\\\" \u{1f600}\"}}");
    let puts = vec![
        record(RecordKind::Head, 0, &format!("{{\"entries\":{}}}", expected + 1)),
        record(RecordKind::Entry, expected, &entry),
    ];
    let about = About { created_ms: 1.0, updated_ms: 2.5, entries: expected + 1 };
    Batch { conversation: conversation.to_owned(), expected, puts, deletes: Vec::new(), about }
}

fn all(store: &FileStore, conversation: &str) -> Result<Loaded, StoreError> {
    block_on(store.load(conversation, &[Range::all(RecordKind::Head), Range::all(RecordKind::Entry)]))
}

/// What is there after so many steps.
fn after(steps: u64) -> Loaded {
    let entries = (0..steps).map(|expected| step("c", expected).puts.pop().unwrap());
    let head = (steps > 0).then(|| step("c", steps - 1).puts.remove(0));
    Loaded { revision: steps, records: head.into_iter().chain(entries).collect() }
}

fn list(store: &FileStore) -> Result<Vec<Listed>, StoreError> {
    block_on(store.list(&Page { after: None, limit: 100 }))
}

fn class<T>(outcome: Result<T, StoreError>) -> Option<StoreErrorClass> {
    outcome.err().map(|error| error.class)
}

#[test]
fn a_log_that_was_cut_off_anywhere_in_the_last_commit_is_the_one_before_and_goes_on() {
    for commits in [1, 2] {
        let whole = Temporary::new();
        let store = whole.store();
        let mut starts = vec![0];
        for expected in 0..commits {
            block_on(store.commit(&step("c", expected))).unwrap();
            starts.push(fs::metadata(whole.log()).unwrap().len());
        }
        let (from, bytes) = (usize::try_from(starts[starts.len() - 2]).unwrap(), fs::read(whole.log()).unwrap());
        for end in from..bytes.len() {
            // What a power failure leaves behind may also be zeros, or something else.
            for rest in [&b""[..], &[0; 700], b"x y\nz\n"] {
                if end % 7 != 0 && !rest.is_empty() {
                    continue;
                }
                fs::write(whole.log(), [&bytes[..end], rest].concat()).unwrap();
                let store = whole.store();
                assert_eq!(all(&store, "c").unwrap(), after(commits - 1), "{end} {rest:?}");
                assert_eq!(list(&store).unwrap().len() as u64, commits - 1, "{end} {rest:?}");
                for expected in [commits - 1, commits] {
                    let other = whole.store();
                    assert_eq!(block_on(other.commit(&step("c", expected))).unwrap(), expected + 1, "{end}");
                    assert_eq!(all(&store, "c").unwrap(), after(expected + 1), "{end} {rest:?}");
                }
                let listed = list(&whole.store()).unwrap();
                assert_eq!((listed[0].revision, listed[0].about.entries), (commits + 1, commits + 1));
            }
        }
    }
}

#[test]
fn a_commit_that_was_not_finished_is_not_finished_by_the_next() {
    let folder = Temporary::new();
    block_on(folder.store().commit(&step("c", 0))).unwrap();
    let one = fs::read(folder.log()).unwrap();
    block_on(folder.store().commit(&step("c", 1))).unwrap();
    let two = fs::read(folder.log()).unwrap();
    // All of it but the line feed.
    fs::write(folder.log(), &two[..two.len() - 1]).unwrap();
    let mut other = step("c", 1);
    other.puts[1].text = "\"another\"".to_owned();
    assert_eq!(block_on(folder.store().commit(&other)).unwrap(), 2);
    let loaded = all(&folder.store(), "c").unwrap();
    assert_eq!(loaded.records[2].text, "\"another\"");
    assert!(one.len() < two.len());
}

#[test]
fn every_damaged_byte_within_a_log_is_noticed_and_other_conversations_stay_usable() {
    let folder = Temporary::new();
    let store = folder.store();
    let mut ends = Vec::new();
    for expected in 0..3 {
        block_on(store.commit(&step("c", expected))).unwrap();
        ends.push(usize::try_from(fs::metadata(folder.log()).unwrap().len()).unwrap());
    }
    let (log, bytes) = (folder.log(), fs::read(folder.log()).unwrap());
    block_on(store.commit(&step("d", 0))).unwrap();
    for at in 0..ends[1] {
        // The bytes of the separators mean nothing.
        if [0, 1, ends[0], ends[0] + 1].contains(&at) {
            continue;
        }
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x15;
        fs::write(&log, &damaged).unwrap();
        let store = folder.store();
        let error = all(&store, "c").unwrap_err();
        assert_eq!(error.class, StoreErrorClass::Corrupted, "byte {at}");
        assert!(error.message.contains("can be read up to revision"), "{}", error.message);
        assert_eq!(class(block_on(store.commit(&step("c", 3)))), Some(StoreErrorClass::Corrupted));
        assert_eq!(all(&store, "d").unwrap().revision, 1);
        assert!(list(&store).unwrap().iter().any(|listed| listed.conversation == "d"));
    }
    fs::write(&log, &bytes[7..]).unwrap();
    block_on(store.delete("c")).unwrap();
    assert_eq!(all(&store, "c").unwrap(), after(0));
    assert_eq!(block_on(store.commit(&step("c", 0))).unwrap(), 1);
}

#[test]
fn a_record_that_changes_under_an_open_store_is_named() {
    let folder = Temporary::new();
    let store = folder.store();
    for expected in 0..3 {
        block_on(store.commit(&step("c", expected))).unwrap();
    }
    let text = String::from_utf8(fs::read(folder.log()).unwrap()).unwrap();
    fs::write(folder.log(), text.replacen("message 1", "message\n1", 1)).unwrap();
    let error = all(&store, "c").unwrap_err();
    assert_eq!((error.class, error.message.as_str()), (StoreErrorClass::Corrupted, "entry 1 is not what was written"));
    let head = block_on(store.load("c", &[Range::one(RecordKind::Head, 0)])).unwrap();
    assert_eq!(head.records.len(), 1);
}

#[test]
fn deleting_removes_every_file_of_a_conversation() {
    let folder = Temporary::new();
    let store = folder.store();
    let hidden = "a name that nobody may find";
    block_on(store.commit(&step(hidden, 0))).unwrap();
    let remains = folder.log().with_extension("0123456789abcdef.tmp");
    fs::write(&remains, "left behind by a crash").unwrap();
    assert!(files(&folder.0).iter().all(|path| !path.to_string_lossy().contains("name")));
    block_on(folder.store().delete(hidden)).unwrap();
    assert_eq!(files(&folder.0), Vec::<PathBuf>::new());
    assert_eq!(all(&store, hidden).unwrap().revision, 0);
    assert_eq!(block_on(store.commit(&step(hidden, 0))).unwrap(), 1);
}

#[test]
fn two_stores_of_one_folder_see_each_other() {
    let folder = Temporary::new();
    let (left, right) = (folder.store(), folder.store());
    for expected in 0..20 {
        let (first, second) = if expected % 2 == 0 { (&left, &right) } else { (&right, &left) };
        assert_eq!(block_on(first.commit(&step("c", expected))).unwrap(), expected + 1);
        let error = block_on(second.commit(&step("c", expected))).unwrap_err();
        assert_eq!((error.class, error.revision), (StoreErrorClass::Conflict, Some(expected + 1)));
        assert_eq!(all(second, "c").unwrap(), after(expected + 1));
    }
    block_on(left.delete("c")).unwrap();
    assert_eq!(all(&right, "c").unwrap(), after(0));
    assert_eq!(block_on(right.commit(&step("c", 20))).unwrap_err().revision, Some(0));
    block_on(right.commit(&step("c", 0))).unwrap();
    assert_eq!(all(&left, "c").unwrap(), after(1));
}

/// Appends so many entries of its own, numbered from `lane` million on, each as soon as it wins.
fn append(store: &FileStore, lane: u64, entries: u64) {
    let (mut revision, mut done) = (0, 0);
    while done < entries {
        // The head is long: what replaces it makes the log be copied now and then.
        let head = format!("\"{lane} {}\"", "-".repeat(10_000));
        let mut batch = step("c", revision);
        batch.puts = vec![
            record(RecordKind::Head, 0, &head),
            record(RecordKind::Entry, lane * 1_000_000 + done, &format!("\"{done}\"")),
        ];
        match block_on(store.commit(&batch)) {
            Ok(next) => (revision, done) = (next, done + 1),
            Err(StoreError { class: StoreErrorClass::Conflict, revision: Some(now), .. }) => revision = now,
            Err(error) => panic!("{error}"),
        }
    }
}

/// `lanes` times `entries` were appended: each is there once, and no commit went missing.
fn is_complete(folder: &Temporary, lanes: u64, entries: u64) {
    let loaded = block_on(folder.store().load("c", &[Range::all(RecordKind::Entry)])).unwrap();
    assert_eq!(loaded.revision, lanes * entries);
    let numbers: Vec<u64> = loaded.records.iter().map(|record| record.number).collect();
    let should: Vec<u64> = (0..lanes).flat_map(|lane| (0..entries).map(move |at| lane * 1_000_000 + at)).collect();
    assert_eq!(numbers, should);
    assert_eq!(list(&folder.store()).unwrap()[0].revision, lanes * entries);
    assert!(fs::metadata(folder.log()).unwrap().len() < 600_000, "it was copied");
    assert_eq!(files(&folder.0).len(), 1);
}

#[test]
fn threads_that_append_at_once_lose_nothing_and_double_nothing() {
    const LANES: u64 = 4;
    let folder = Temporary::new();
    thread::scope(|scope| {
        for lane in 0..LANES {
            let folder = &folder;
            scope.spawn(move || append(&folder.store(), lane, 60));
        }
    });
    is_complete(&folder, LANES, 60);
}

/// In a process of its own, started by the test below.
#[test]
#[ignore = "a part of the next test"]
fn append_for_another_process() {
    if let (Some(folder), Ok(lane)) = (std::env::var_os("EPITOME_FOLDER"), std::env::var("EPITOME_LANE")) {
        append(&FileStore::open(folder).unwrap(), lane.parse().unwrap(), 60);
    }
}

#[test]
fn processes_that_append_at_once_lose_nothing_and_double_nothing() {
    const LANES: u64 = 3;
    let folder = Temporary::new();
    let children: Vec<_> = (0..LANES)
        .map(|lane| {
            Command::new(std::env::current_exe().unwrap())
                .args(["--ignored", "--exact", "append_for_another_process"])
                .env("EPITOME_FOLDER", &folder.0)
                .env("EPITOME_LANE", lane.to_string())
                .stdout(std::process::Stdio::null())
                .spawn()
                .unwrap()
        })
        .collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    is_complete(&folder, LANES, 60);
}

#[test]
fn deleting_and_beginning_anew_beside_others_mixes_nothing() {
    let folder = Temporary::new();
    thread::scope(|scope| {
        for lane in 0..3 {
            let folder = &folder;
            scope.spawn(move || {
                let store = folder.store();
                for round in 0..40 {
                    if lane == 0 && round % 4 == 0 {
                        block_on(store.delete("c")).unwrap();
                    }
                    let loaded = all(&store, "c").unwrap();
                    assert_eq!(loaded, after(loaded.revision));
                    let outcome = block_on(store.commit(&step("c", loaded.revision)));
                    assert!(outcome.is_ok() || class(outcome) == Some(StoreErrorClass::Conflict));
                }
            });
        }
    });
    let loaded = all(&folder.store(), "c").unwrap();
    assert_eq!(loaded, after(loaded.revision));
}

#[test]
fn a_folder_that_cannot_be_is_unavailable_and_so_is_one_that_is_gone() {
    let folder = Temporary::new();
    let store = folder.store();
    let file = folder.0.join("file");
    fs::write(&file, "").unwrap();
    assert_eq!(class(FileStore::open(&file)), Some(StoreErrorClass::Unavailable));
    assert_eq!(class(FileStore::open(file.join("below"))), Some(StoreErrorClass::Unavailable));
    fs::remove_dir_all(&folder.0).unwrap();
    assert_eq!(class(all(&store, "c")), Some(StoreErrorClass::Unavailable));
    assert_eq!(class(block_on(store.commit(&step("c", 0)))), Some(StoreErrorClass::Unavailable));
    assert_eq!(class(list(&store)), Some(StoreErrorClass::Unavailable));
}

#[cfg(unix)]
#[test]
fn files_are_their_owners_alone() {
    use std::os::unix::fs::PermissionsExt as _;

    let folder = Temporary::new();
    block_on(folder.store().commit(&step("c", 0))).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&folder.log()), mode(&folder.0)), (0o600, 0o700));
}

/// In a process of its own, which may not write files beyond a size.
#[test]
#[ignore = "a part of the next test"]
fn fill_the_disk_for_another_process() {
    let Some(folder) = std::env::var_os("EPITOME_FOLDER") else { return };
    let store = FileStore::open(folder).unwrap();
    let mut large = step("c", 3);
    large.puts[1].text = format!("\"{}\"", "x".repeat(200_000));
    for _ in 0..2 {
        assert_eq!(class(block_on(store.commit(&large))), Some(StoreErrorClass::Quota));
        assert_eq!(all(&store, "c").unwrap(), after(3));
    }
    println!("it was full");
}

/// `ulimit -f` makes writes stop halfway, as a full disk does.
#[cfg(target_os = "linux")]
#[test]
fn a_commit_that_a_full_disk_cuts_off_is_not_there() {
    let folder = Temporary::new();
    let store = folder.store();
    for expected in 0..3 {
        block_on(store.commit(&step("c", expected))).unwrap();
    }
    let program = std::env::current_exe().unwrap();
    let limited =
        "trap '' XFSZ; ulimit -f 64; exec \"$0\" --ignored --exact fill_the_disk_for_another_process --nocapture";
    let mut command = Command::new("bash");
    let output = command.args(["-c", limited]).arg(program).env("EPITOME_FOLDER", &folder.0).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && text.contains("it was full"),
        "{text}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(fs::metadata(folder.log()).unwrap().len() > 32_768, "something was written");
    assert_eq!(all(&store, "c").unwrap(), after(3));
    assert_eq!(block_on(store.commit(&step("c", 3))).unwrap(), 4);
    assert_eq!(all(&folder.store(), "c").unwrap(), after(4));
}
