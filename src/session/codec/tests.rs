//! The readers by hand against those that `serde` derives: the same of what is right, and an error where those have one.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::fmt::Debug;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::{Head, Memory, Stored, StoredCompaction, StoredEntry, StoredOverflow, VERSION, decode};
use crate::conversation::State;
use crate::fields::FromValue;
use crate::store::{Record, RecordKind, StoreErrorClass};
use crate::transcript::{Patch, Plan};

/// A record that is read both ways.
struct Both {
    by_hand: Option<String>,
    derived: Option<String>,
}

fn stored<T: Stored + DeserializeOwned + Debug>(value: &Value) -> Both {
    let text = value.to_string();
    // Which version it is comes first, for both.
    let is_known = value.get("v").and_then(Value::as_u64).is_some_and(|v| v <= u64::from(VERSION));
    let derived = serde_json::from_str::<T>(&text).ok().filter(|_| is_known);
    let record = Record { kind: RecordKind::Head, number: 0, text };
    Both {
        by_hand: decode::<T>(&record).ok().map(|read| format!("{read:?}")),
        derived: derived.map(|read| format!("{read:?}")),
    }
}

fn plain<T: FromValue + DeserializeOwned + Debug>(value: &Value) -> Both {
    let text = value.to_string();
    let tree = crate::json::parse(&text, None).unwrap();
    Both {
        by_hand: T::from_value(&tree).ok().map(|read| format!("{read:?}")),
        derived: serde_json::from_str::<T>(&text).ok().map(|read| format!("{read:?}")),
    }
}

fn patch() -> Value {
    json!({
        "version": 1, "format": "openai-chat",
        "source": {"messages": 9, "hash": "aa", "sizes": [1, 2], "probe": 20},
        "view": {"messages": 4, "hash": "bb", "layout": [[0, 2], null, 4, [8, 9]]},
        "edits": [
            {"kind": "prune", "index": 4, "tokensBefore": 90, "tokensAfter": 9,
             "changes": [{"path": ["content", 0, "text"], "value": "é"}]},
            {"kind": "shrink", "index": 4, "tokensBefore": 9, "tokensAfter": 8,
             "changes": [{"path": ["name"], "remove": true}]},
            {"kind": "hide", "from": 2, "to": 4, "tokensBefore": 50},
            {"kind": "insert", "before": 2, "role": "user", "text": "...", "covers": 2, "tokensAfter": 5},
        ],
        "repairs": [{"rule": "C1", "action": "drop", "index": 7, "field": "x", "message": "m", "tokensBefore": 1,
                     "tokensAfter": 0}],
    })
}

fn state() -> Value {
    json!({
        "patch": patch(),
        "guards": {
            "turn": 7, "phase": {"phase": "exhausted", "limit": 100, "messages": 3}, "warned": true,
            "turnsSinceHard": 4, "attempts": 1,
            "counters": {
                "contextCompactions": 1, "compactionHardCount": 2, "compactionTurnsAfterHard": [3, 4],
                "compressionEvents": 5, "compressionTokensSaved": 6, "toolOutputPrunes": 7, "toolPairSummaries": 8,
                "toolPairsApplied": 9, "toolPairsOrphaned": 10, "providerCalls": 11, "providerFailures": 12,
                "summariesRefused": 13, "offlineFallbacks": 14, "serverCompactionEvents": 15,
                "compactionLastBefore": 16, "compactionLastAfter": 17,
            },
        },
        "pinned": [2, 5],
        "deferred": [{"from": 3, "hash": "cc", "text": "did things"}],
        "goal": {"text": "to do things", "of": "dd", "failed": 1},
        "subgoals": {
            "subgoals": [
                {"id": 0, "description": "one", "state": "completed", "first": 0, "last": 2},
                {"id": 1, "description": "two", "state": "active", "first": 3, "last": 5},
            ],
            "nextId": 2,
        },
        "knowledge": {"entries": [{"source": "curated", "text": "a"}, {"source": "automatic", "text": "b"}]},
        "focus": {"active": {"scope": "s", "from": 4, "turn": 3}, "lastTurn": 3, "lastReminder": 2},
        "guidelines": {
            "version": 2, "text": "be brief",
            "pairs": [
                {"id": 1, "turn": 2, "category": "tool_output", "context": "c", "answer": "a"},
                {"id": 2, "turn": 3, "category": "assistant_reasoning", "context": "c", "answer": "a"},
                {"id": 3, "turn": 4, "category": "user_context", "context": "c", "answer": "a"},
                {"id": 4, "turn": 5, "category": "unknown", "context": "c", "answer": "a"},
            ],
            "nextId": 5, "wait": 10, "notBefore": 20,
        },
    })
}

fn head() -> Value {
    json!({
        "v": 1, "format": "openai-chat", "created": 1_700_000_000_000.25, "entries": 9, "compactions": 2, "tip": 8,
        "active": 1, "branches": [[0, null], [3, 1]], "rewrites": 2, "overflowBytes": 100, "overflowFrom": 4,
        "overflowSince": 1_700_000_000_001.0, "stamp": "ee",
    })
}

fn compaction() -> Value {
    json!({
        "v": 1, "time": 1.5, "engine": "0.1.0", "parent": 0, "through": 8, "sourceHash": "ff", "tier": "hard",
        "tokensBefore": 100, "tokensAfter": 50, "undone": true, "requests": 2,
        "edits": [
            {"kind": "prune", "entry": 1, "tokensBefore": 9, "tokensAfter": 1},
            {"kind": "shrink", "entry": 2, "tokensBefore": 9, "tokensAfter": 1},
            {"kind": "hide", "from": 3, "to": 5, "tokensBefore": 9},
            {"kind": "insert", "tokensAfter": 4, "covers": 2},
            {"kind": "absorb", "tokensBefore": 4},
        ],
        "summary": "all is well",
        "items": [[0, 1], {"e": 2, "c": [[{"path": ["content"], "value": "x"}]]}, {"m": "{}"}],
    })
}

fn entry() -> Value {
    json!({
        "v": 1, "time": 5.0, "tokens": 3, "probe": 20, "chain": "ab", "after": -1, "whole": 70,
        "message": {"role": "user", "content": "hi"},
    })
}

fn plan() -> Value {
    json!({
        "version": 1, "patch": patch(),
        "report": {
            "format": "openai-chat", "tier": "soft", "before": 9, "after": 8, "limit": 7, "overhead": 1,
            "messagesBefore": 9, "messagesAfter": 4, "edits": [], "repairs": [], "firstChangedIndex": 2,
            "prefixTokens": 3, "summary": {"index": 1, "text": "t", "tokens": 4, "covers": 2},
            "models": {"requests": 1, "inputTokens": 2, "outputTokens": 3},
            "warnings": [{"code": "c", "message": "m", "index": 4}, {"code": "c", "message": "m"}],
        },
    })
}

/// Where something stands in a record.
fn places(value: &Value) -> Vec<String> {
    let mut places = vec![String::new()];
    let mut at = 0;
    while let Some(place) = places.get(at).cloned() {
        match value.pointer(&place).unwrap() {
            Value::Array(items) => places.extend((0..items.len()).map(|index| format!("{place}/{index}"))),
            Value::Object(fields) => places.extend(fields.keys().map(|key| format!("{place}/{key}"))),
            _ => {}
        }
        at += 1;
    }
    places
}

fn without(value: &Value, place: &str) -> Option<Value> {
    let (parent, key) = place.rsplit_once('/')?;
    let mut value = value.clone();
    match value.pointer_mut(parent)? {
        Value::Object(fields) => drop(fields.remove(key)?),
        Value::Array(items) => drop(items.remove(key.parse().ok()?)),
        _ => return None,
    }
    Some(value)
}

/// Everything that differs from the record in one place.
fn neighbours(value: &Value) -> Vec<(String, Value)> {
    let others = [
        json!(null),
        json!(true),
        json!(-1),
        json!(1.5),
        json!(7),
        json!(5_000_000_000_u64),
        json!("x"),
        json!("ready"),
        json!([]),
        json!([1]),
        json!([1, 2]),
        json!([1, 2, 3]),
        Value::Object(Map::new()),
        json!({"kind": "hide"}),
        json!({"phase": "ready"}),
        json!({"phase": "compacted", "cooldown": 1}),
        json!({"phase": "cooling", "turns": 1}),
    ];
    let mut all = vec![("as it is".to_owned(), value.clone())];
    for place in places(value) {
        let old = value.pointer(&place).unwrap();
        if let Some(other) = without(value, &place) {
            all.push((format!("without {place}"), other));
        }
        if let Value::Object(fields) = old {
            let mut more = fields.clone();
            more.insert("unknown".to_owned(), json!({"of": [1, "later", 1.5]}));
            let mut other = value.clone();
            *other.pointer_mut(&place).unwrap() = Value::Object(more);
            all.push((format!("more in {place}"), other));
        }
        for new in &others {
            // Derived readers take a list of the fields for a record, which nothing ever wrote.
            if old.is_object() && new.is_array() {
                continue;
            }
            let mut other = value.clone();
            *other.pointer_mut(&place).unwrap() = new.clone();
            all.push((format!("{place} = {new}"), other));
        }
    }
    all
}

#[test]
fn what_is_read_by_hand_is_what_derived_readers_read() {
    let memory = json!({"v": 1, "pins": [1, 4], "prepared": 8, "ratio": 1.25, "state": state()});
    let overflow = json!({"v": 1, "time": 5.0, "message": {"role": "tool"}});
    for (name, value, read) in [
        ("head", head(), stored::<Head> as fn(&Value) -> Both),
        ("memory", memory, stored::<Memory>),
        ("entry", entry(), stored::<StoredEntry>),
        ("overflow", overflow, stored::<StoredOverflow>),
        ("compaction", compaction(), stored::<StoredCompaction>),
        ("state", state(), plain::<State>),
        ("patch", patch(), plain::<Patch>),
        ("plan", plan(), plain::<Plan>),
    ] {
        let Both { by_hand, derived } = read(&value);
        assert!(by_hand.is_some() && by_hand == derived, "{name} as it is");
        let mut right = 0;
        let neighbours = neighbours(&value);
        let total = neighbours.len();
        for (what, value) in neighbours {
            let Both { by_hand, derived } = read(&value);
            right += usize::from(derived.is_some());
            assert_eq!(by_hand, derived, "{name}: {what}");
        }
        assert!(right > 5 && right < total, "{name}: {right} of {total} are right");
    }
}

#[test]
fn a_message_keeps_its_bytes() {
    let message = "{ \"role\":\"user\", \"content\":\"\\u00e9\", \"n\":1.0e2 }";
    let text = format!(r#"{{"v":1,"time":1,"tokens":2,"probe":3,"chain":"0a","message": {message} }}"#);
    let record = Record { kind: RecordKind::Entry, number: 0, text };
    assert_eq!(decode::<StoredEntry>(&record).unwrap().message.get(), message);
}

#[test]
fn times_and_ratios_are_read_as_they_were_written() {
    for time in [0.0, 1_700_000_000_000.0, 1_795_196_671_135.250_2, 0.1, 1e-7, 1_795_196_671_135.000_2] {
        let mut value = head();
        value["created"] = json!(time);
        let record = Record { kind: RecordKind::Head, number: 0, text: value.to_string() };
        assert_eq!(decode::<Head>(&record).unwrap().created.to_bits(), f64::to_bits(time));
    }
}

#[test]
fn what_a_newer_version_wrote_is_refused_as_such() {
    let class = |place: &str, new: Value| {
        let mut value = head();
        value[place] = new;
        let record = Record { kind: RecordKind::Head, number: 0, text: value.to_string() };
        decode::<Head>(&record).unwrap_err().class
    };
    assert_eq!(class("v", json!(2)), StoreErrorClass::Newer);
    assert_eq!(class("format", json!("of-later")), StoreErrorClass::Newer);
    assert_eq!(class("format", json!(7)), StoreErrorClass::Corrupted);
    assert_eq!(class("v", json!("1")), StoreErrorClass::Corrupted);
}
