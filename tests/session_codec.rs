//! The stored form of a conversation, held to files: what this version writes is `written.jsonl`, and every file in
//! `tests/data/stored` is read, with the view and the history beside it, for ever.
//!
//! `EPITOME_BLESS=1 cargo test --test session_codec` writes `written.jsonl` anew, and `first.jsonl` if it is not there:
//! that one is what the first version wrote, and is never written again.
#![cfg(not(target_family = "wasm"))]
#![allow(
    clippy::all,
    clippy::pedantic,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "tests fail loudly"
)]

mod common;
#[path = "common/kept.rs"]
mod kept;
#[path = "common/talk.rs"]
mod talk;

use std::path::{Path, PathBuf};
use std::rc::Rc;

use common::scripted::{Reply, Scripted, block_on};
use epitome::store::{About, Batch, Memory, Record, RecordKind, Store, StoreErrorClass};
use epitome::{Error, Heuristic, Overflow, Providers, Purpose, Session, SessionOptions, SessionUsage, import};
use kept::{Host, records};
use serde_json::Value;

const NAME: &str = "talk";

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/stored/v1")
}

fn options() -> SessionOptions {
    let mut options = SessionOptions::new(NAME, talk::options(1_600));
    options.overflow = Some(Overflow { threshold: 2_000, keep: 400 });
    options.conversation.policy.recall_declared = true;
    options.conversation.policy.tool_call_cutoff = 2;
    options.conversation.policy.tool_pair_share = 0.0;
    options.conversation.policy.preserve_tail_messages = 2;
    options.conversation.policy.protect_tail_tokens = 100;
    options
}

fn open(store: &Memory, host: &Rc<Host>) -> Result<Session<'static>, Error> {
    let store: Rc<dyn Store> = Rc::new(store.clone());
    block_on(Session::open(options(), store, Rc::new(Heuristic), host.clone()))
}

fn turn(n: usize) -> Vec<String> {
    let question = talk::user(&talk::words(&format!("question{n}"), 5));
    let size = if n == 3 { 400 } else { 30 };
    let [calls, result] = talk::unit(&format!("call_{n}"), &talk::words(&format!("result{n}"), size));
    vec![question, calls, result, talk::assistant(&talk::words(&format!("answer{n}"), 6))]
}

/// A conversation with a bit of everything: summaries, pruned results, pins, branches, a message that grew, a result
/// that is shown shortened, compactions that were taken back.
fn fixed() -> Memory {
    let store = Memory::new();
    let session = open(&store, &Rc::new(Host::new(5))).unwrap();
    let model = Scripted::new(|number, request| {
        Reply::Text(match request.purpose {
            Purpose::ToolPair => format!("read was called and said {number}."),
            _ => format!("1. User Intent: find out {number}\n3. Files & Code: src/engine.rs:42"),
        })
    });
    let append = |raws: &[String]| drop(block_on(session.append(&talk::messages(raws))).unwrap());
    append(&[talk::system("You are terse.")]);
    for n in 0..14 {
        append(&turn(n)[..1]);
        block_on(session.prepare(Providers::all(&model))).unwrap();
        append(&turn(n)[1..3]);
        block_on(session.prepare(Providers::all(&model))).unwrap();
        append(&turn(n)[3..]);
        match n {
            2 => block_on(session.pin(5)).unwrap(),
            6 => {
                block_on(session.report_usage(SessionUsage { input_tokens: session.meter().tokens * 21 / 20 })).unwrap()
            }
            9 => drop(block_on(session.undo(None)).unwrap()),
            10 => {
                block_on(session.branch(38)).unwrap();
                // Kept byte for byte, also over several lines.
                append(&["{\n  \"role\": \"user\",\n  \"content\": \"Wait: 1.0e0\",\n  \"x\": 1.0e0\n}".to_owned()]);
                append(&[talk::assistant("I am")]);
            }
            _ => {}
        }
        if n == 10 {
            let history = block_on(session.history(None, None, 1_000)).unwrap();
            let mut raws: Vec<String> = history.into_iter().map(|entry| entry.text).collect();
            *raws.last_mut().unwrap() = talk::assistant("I am waiting.");
            assert!(block_on(session.sync(&talk::messages(&raws))).unwrap().grown.is_some());
        }
    }
    store
}

/// The version of the library is the one thing that may change from one release to the next.
fn exported(store: &Memory) -> String {
    let session = open(store, &Rc::new(Host::new(6))).unwrap();
    let file = block_on(session.export()).unwrap();
    file.replace(&format!("\"engine\":\"{}\"", env!("CARGO_PKG_VERSION")), "\"engine\":\"0.1.0\"")
}

/// What a file is read as: the view, and the texts of the history.
fn shown(session: &Session<'_>) -> (String, String) {
    let lines = |texts: Vec<String>| {
        let lines: Vec<String> = texts.into_iter().map(|text| Value::from(text).to_string()).collect();
        format!("[\n{}\n]\n", lines.join(",\n"))
    };
    let view = session.view().unwrap().iter().map(str::to_owned).collect();
    let history = block_on(session.history(None, None, 10_000)).unwrap();
    (lines(view), lines(history.into_iter().map(|entry| entry.text).collect()))
}

fn imported(file: &str) -> Memory {
    let store = Memory::new();
    let port: Rc<dyn Store> = Rc::new(store.clone());
    block_on(import(file, NAME, &port, 1.0)).unwrap();
    store
}

fn write(name: &str, text: &str) {
    std::fs::create_dir_all(folder()).unwrap();
    std::fs::write(folder().join(name), text).unwrap();
}

fn bless() {
    let file = exported(&fixed());
    for name in ["written", "first"] {
        if name == "first" && folder().join("first.jsonl").exists() {
            continue;
        }
        let (view, history) = shown(&open(&imported(&file), &Rc::new(Host::new(6))).unwrap());
        write(&format!("{name}.jsonl"), &file);
        write(&format!("{name}.view.json"), &view);
        write(&format!("{name}.history.json"), &history);
    }
}

fn read(name: &str) -> String {
    let path = folder().join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn what_is_written_has_not_changed() {
    if std::env::var_os("EPITOME_BLESS").is_some() {
        bless();
    }
    let store = fixed();
    let kinds: Vec<RecordKind> = records(&store, NAME).1.iter().map(|record| record.kind).collect();
    assert!(RecordKind::ALL.iter().all(|kind| kinds.contains(kind)), "records of every kind");
    let (is, expected) = (exported(&store), read("written.jsonl"));
    for (number, (is, expected)) in is.lines().zip(expected.lines()).enumerate() {
        assert_eq!(is, expected, "line {}", number + 1);
    }
    assert_eq!(is.lines().count(), expected.lines().count());
}

#[test]
fn a_file_has_a_bit_of_everything() {
    let file = read("first.jsonl");
    for what in [
        "\"kind\":\"prune\"",
        "\"kind\":\"hide\"",
        "\"kind\":\"insert\"",
        "\"undone\":true",
        "\"whole\":",
        "\"after\":",
        "\"rewrites\":1",
        "\"pins\":[5]",
        "\"active\":",
        "\"text\":\"{",
        "\"summary\":\"",
    ] {
        assert!(file.contains(what), "{what}");
    }
}

#[test]
fn every_file_that_was_ever_written_is_read_as_it_was() {
    let mut read_some = 0;
    for entry in std::fs::read_dir(folder()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let Some(name) = name.strip_suffix(".jsonl") else { continue };
        read_some += 1;
        let host = Rc::new(Host::new(6));
        let session = open(&imported(&read(&format!("{name}.jsonl"))), &host).unwrap();
        let (view, history) = shown(&session);
        assert_eq!(view, read(&format!("{name}.view.json")), "{name}");
        assert_eq!(history, read(&format!("{name}.history.json")), "{name}");
        assert_eq!(host.warnings(), [], "{name}");
        // And it goes on.
        block_on(session.append(&talk::messages(&turn(40)))).unwrap();
        block_on(session.prepare(Providers::default())).unwrap();
        while block_on(session.undo(None)).is_ok() {}
        assert_eq!(session.meter().hidden, 0, "{name}");
    }
    assert!(read_some >= 2, "{read_some} files");
}

/// The same records, one kind of them changed.
fn changed(kind: RecordKind, change: impl Fn(&str) -> String) -> Memory {
    let whole = records(&imported(&read("first.jsonl")), NAME).1;
    let puts = whole
        .into_iter()
        .map(|record| if record.kind == kind { Record { text: change(&record.text), ..record } } else { record })
        .collect();
    let store = Memory::new();
    let batch =
        Batch { conversation: NAME.to_owned(), expected: 0, puts, deletes: Vec::new(), about: About::default() };
    block_on(store.commit(&batch)).unwrap();
    store
}

#[test]
fn a_record_of_a_later_version_is_refused_and_left_alone() {
    for kind in RecordKind::ALL {
        let store = changed(kind, |text| text.replacen("\"v\":1", "\"v\":2", 1));
        let before = records(&store, NAME);
        let host = Rc::new(Host::new(6));
        match open(&store, &host) {
            Err(Error::Store(error)) => assert_eq!(error.class, StoreErrorClass::Newer, "{kind:?}"),
            Ok(session) => {
                // Only what the view does not need may be of a later version.
                assert_eq!(kind, RecordKind::Overflow);
                assert!(block_on(session.history(None, None, 1_000)).unwrap().iter().any(|entry| entry.is_shortened));
                assert!(host.warnings().iter().all(|warning| warning.code == "store_newer"));
                assert!(!host.warnings().is_empty());
            }
            Err(error) => panic!("{kind:?}: {error}"),
        }
        assert_eq!(records(&store, NAME), before, "{kind:?}");
    }
    let file = read("first.jsonl").replacen("\"v\":1", "\"v\":2", 1);
    let store: Rc<dyn Store> = Rc::new(Memory::new());
    let refused = block_on(import(&file, NAME, &store, 1.0));
    assert!(matches!(refused, Err(Error::InvalidInput { reason, .. }) if reason.contains("newer version")));
}

#[test]
fn fields_that_are_not_known_make_no_difference() {
    let (view, history) = (read("first.view.json"), read("first.history.json"));
    for kind in RecordKind::ALL {
        let store = changed(kind, |text| text.replacen("\"v\":1", "\"v\":1,\"later\":{\"x\":[1]}", 1));
        let host = Rc::new(Host::new(6));
        let session = open(&store, &host).unwrap();
        assert_eq!(shown(&session), (view.clone(), history.clone()), "{kind:?}");
        assert_eq!(host.warnings(), [], "{kind:?}");
    }
}

#[test]
fn a_file_that_is_not_whole_or_holds_something_else_is_refused() {
    let file = read("first.jsonl");
    let lines: Vec<&str> = file.lines().collect();
    let joined = |lines: &[&str]| lines.join("\n");
    let doubled = |at: usize| {
        let mut lines = lines.clone();
        lines[at - 1] = lines[at];
        joined(&lines)
    };
    for (what, file) in [
        ("cut short", joined(&lines[..lines.len() - 1])),
        ("without its first line", joined(&lines[1..])),
        ("without its head", file.replacen("\"kind\":\"head\"", "\"kind\":\"state\"", 1)),
        ("a record twice", doubled(8)),
        ("no JSON", file.replacen("{\"kind\":\"entry\"", "{kind:entry", 1)),
        ("an entry that is none", file.replacen("\"chain\":", "\"chian\":", 1)),
        ("another kind", file.replacen("\"kind\":\"entry\"", "\"kind\":\"exit\"", 1)),
        ("empty", String::new()),
    ] {
        let store: Rc<dyn Store> = Rc::new(Memory::new());
        let refused = block_on(import(&file, NAME, &store, 1.0));
        assert!(matches!(&refused, Err(Error::InvalidInput { .. })), "{what}: {refused:?}");
    }
    let store: Rc<dyn Store> = Rc::new(Memory::new());
    assert!(matches!(block_on(import(&file, "", &store, 1.0)), Err(Error::InvalidOption { .. })));
    // White space at the ends of lines is none of its business.
    block_on(import(&format!("{}\r\n\n", file.trim_end().replace('\n', "\r\n")), NAME, &store, 1.0)).unwrap();
}
