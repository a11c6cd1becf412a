//! The cost of a fit grows as the conversation does, not faster: counted in calls and bytes of the token counter, for
//! plain conversations and for the shapes that tend to break that. Seconds are printed, not judged.
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

use std::time::Instant;

use common::counting::Counted;
use common::{full, message::Msg, rules};
use epitome::{Budget, Error, FitOptions, Fitted, Messages, Patch, fit_with, undo};

/// Ten times the messages may cost this many times the work.
const MOST: f64 = 12.0;

#[derive(Debug, Clone, Copy)]
struct Work {
    calls: u64,
    bytes: u64,
    seconds: f64,
}

// Numbers have the same width everywhere: a text must not grow because there are more of them.
fn user(n: usize) -> String {
    format!(r#"{{"role":"user","content":"Question {n:07}: what about item {n:07}?"}}"#)
}

fn assistant(n: usize) -> String {
    format!(r#"{{"role":"assistant","content":"Answer {n:07}: it is fine, see file_{n:07}.rs"}}"#)
}

fn call(ids: impl Iterator<Item = usize>) -> String {
    let calls: Vec<String> = ids
        .map(|id| {
            format!(
                r#"{{"id":"c{id:07}","type":"function","function":{{"name":"read_file","arguments":"{{\"path\":\"f{id:07}\"}}"}}}}"#
            )
        })
        .collect();
    format!(r#"{{"role":"assistant","content":null,"tool_calls":[{}]}}"#, calls.join(","))
}

fn result(id: usize) -> String {
    format!(
        r#"{{"role":"tool","tool_call_id":"c{id:07}","content":"contents of file {id:07}: some lines of text that are long enough to be pruned away or to be cut to their head and tail, because they are many and say little, line after line after line"}}"#
    )
}

/// A mixed conversation of `n` messages.
fn mixed(n: usize) -> Vec<String> {
    let mut out = vec![r#"{"role":"system","content":"You are terse."}"#.to_owned()];
    let mut turn = 0;
    while out.len() < n {
        turn += 1;
        out.push(user(turn));
        out.push(call(std::iter::once(turn)));
        out.push(result(turn));
        out.push(assistant(turn));
    }
    out
}

fn messages(raws: &[String]) -> Messages {
    Messages::from_json(&format!("[{}]", raws.join(","))).unwrap()
}

/// Fits to `percent` of the conversation's size; a refusal is work too.
fn work(name: &str, raws: &[String], percent: u64, change: &dyn Fn(&mut FitOptions)) -> (Work, Option<Fitted>) {
    let given = messages(raws);
    let whole =
        epitome::count_messages(&given, None, &epitome::Heuristic).unwrap_or_else(|error| panic!("{name}: {error}"));
    let mut options = FitOptions::new((whole * percent / 100).max(1));
    change(&mut options);
    let counter = Counted::default();
    let start = Instant::now();
    let fitted = fit_with(&given, &options, &counter);
    let seconds = start.elapsed().as_secs_f64();
    let work = Work { calls: counter.calls.get(), bytes: counter.bytes.get(), seconds };
    let outcome = match &fitted {
        Ok(done) => {
            format!("{} -> {} tokens, {} edits", done.report.before, done.report.after, done.report.edits.len())
        }
        Err(error) => error.code().to_owned(),
    };
    println!(
        "{name:46} {:>7} messages {:>9} bytes at {percent:2} %: {:>9} calls, {:>10} bytes counted, {seconds:7.3} s: {outcome}",
        raws.len(),
        raws.iter().map(String::len).sum::<usize>(),
        work.calls,
        work.bytes
    );
    match fitted {
        Ok(done) => {
            let view: Vec<Msg> = Msg::all(done.messages.iter());
            let found = rules::violations(&view);
            assert!(found.is_empty(), "{name}: {:?}", &found[..found.len().min(3)]);
            assert!(done.report.after <= done.report.limit, "{name}");
            let start = Instant::now();
            assert!(
                undo(&done.messages, &done.patch, &given).unwrap_or_else(|error| panic!("{name}: {error}")) == given,
                "{name}: undo"
            );
            if start.elapsed().as_secs_f64() > 1.0 {
                println!("   undo took {:.2} s", start.elapsed().as_secs_f64());
            }
            (work, Some(done))
        }
        Err(Error::IrreducibleBudget { .. }) => (work, None),
        Err(error) => panic!("{name}: {error}"),
    }
}

fn grows_with_the_input(name: &str, small: Work, large: Work) {
    let ratio = |large: u64, small: u64| large as f64 / small.max(1) as f64;
    let (calls, bytes) = (ratio(large.calls, small.calls), ratio(large.bytes, small.bytes));
    println!(
        "   {name}: ten times the messages: {calls:.1} x the calls, {bytes:.1} x the bytes, {:.1} x the seconds",
        large.seconds / small.seconds.max(1e-6)
    );
    assert!(calls <= MOST && bytes <= MOST, "{name}: {small:?} -> {large:?}");
}

/// `n` and `10 n` messages of a shape, at a small, a middle and a large budget.
fn shape(name: &str, n: usize, make: &dyn Fn(usize) -> Vec<String>, change: &dyn Fn(&mut FitOptions)) {
    let (small, large) = (make(n), make(n * 10));
    for percent in [3, 30, 80] {
        let (few, _) = work(name, &small, percent, change);
        let (many, _) = work(name, &large, percent, change);
        grows_with_the_input(name, few, many);
    }
}

fn size() -> usize {
    if full() { 5_000 } else { 1_000 }
}

#[test]
fn ten_times_the_messages_cost_at_most_twelve_times_the_work() {
    let mut sizes = vec![2_000, 20_000];
    if full() || !cfg!(debug_assertions) {
        sizes.push(200_000);
    }
    for percent in [5, 30, 70] {
        for budget in ["limit", "window"] {
            let runs: Vec<Work> = sizes
                .iter()
                .map(|n| {
                    work(&format!("mixed, {budget}"), &mixed(*n), percent, &|options| {
                        if budget == "window" {
                            let Budget::Limit(limit) = options.budget else { return };
                            options.budget = Budget::Window { window: limit, reserve: Some(0), overhead: 0 };
                        }
                    })
                    .0
                })
                .collect();
            for pair in runs.windows(2) {
                grows_with_the_input(budget, pair[0], pair[1]);
            }
        }
    }
}

#[test]
fn many_parallel_calls_in_one_message_are_linear() {
    let make = |n: usize| {
        let mut out = vec![user(1), call(0..n)];
        out.extend((0..n).map(result));
        out.push(assistant(1));
        out.push(user(2));
        out
    };
    shape("parallel calls", size() * 2, &make, &|_| {});
    let reversed = |n: usize| {
        let mut out = vec![user(1), call(0..n)];
        out.extend((0..n).rev().map(result));
        out
    };
    shape("parallel calls, answered in reverse, open", size() * 2, &reversed, &|_| {});
    let same_id = |n: usize| {
        let mut out = vec![user(1), call((0..n).map(|_| 7))];
        out.extend((0..n).map(|_| result(7)));
        out.push(user(2));
        out
    };
    shape("parallel calls of one id", size() * 2, &same_id, &|_| {});
    let unanswered = |n: usize| vec![user(1), call(0..n), user(2), assistant(2), user(3)];
    shape("parallel calls, none answered", size() * 2, &unanswered, &|_| {});
}

#[test]
fn many_pins_are_linear() {
    shape("every other message pinned", size() * 2, &mixed, &|_| {});
    let n = size() * 2;
    for percent in [40, 90] {
        let runs: Vec<Work> = [n, n * 10]
            .iter()
            .map(|n| {
                work("every third pinned", &mixed(*n), percent, &|options| options.pin = (0..*n).step_by(3).collect()).0
            })
            .collect();
        grows_with_the_input("every third pinned", runs[0], runs[1]);
        let runs: Vec<Work> = [n, n * 10]
            .iter()
            .map(|n| work("everything pinned", &mixed(*n), percent, &|options| options.pin = (0..*n).collect()).0)
            .collect();
        grows_with_the_input("everything pinned", runs[0], runs[1]);
    }
}

#[test]
fn one_huge_message_is_linear_in_its_length() {
    for role in ["user", "assistant", "tool"] {
        for unit in [
            "one line of text that goes on\\n",
            "nospacesatallbutletters",
            "漢字仮名交じり文。",
            "🙂",
            "\\u0041\\n",
            "a",
        ] {
            let make = |bytes: usize| {
                let text = unit.repeat(bytes / unit.len());
                let mut out = vec![user(1)];
                if role == "tool" {
                    out.push(call(std::iter::once(1)));
                    out.push(format!(r#"{{"role":"tool","tool_call_id":"c0000001","content":"{text}"}}"#));
                } else {
                    out.push(format!(r#"{{"role":"{role}","content":"{text}"}}"#));
                    out.push(user(2));
                }
                out
            };
            let large = if full() { 5_000_000 } else { 1_000_000 };
            for percent in [5, 50] {
                let name = format!("one {role} message of {:?}", unit.chars().take(6).collect::<String>());
                let (small, _) = work(&name, &make(large / 10), percent, &|_| {});
                let (large, _) = work(&name, &make(large), percent, &|_| {});
                grows_with_the_input(&name, small, large);
            }
        }
    }
}

#[test]
fn only_user_messages_are_linear() {
    shape("all users", size() * 2, &|n| (0..n).map(user).collect(), &|_| {});
    shape("all assistants", size() * 2, &|n| (0..n).map(assistant).collect(), &|_| {});
    shape(
        "all system",
        size() * 2,
        &|n| (0..n).map(|n| format!(r#"{{"role":"system","content":"rule {n:07}"}}"#)).collect(),
        &|_| {},
    );
}

#[test]
fn alternating_hidden_runs_are_linear() {
    // A system message between any two that can be hidden: as many runs as messages.
    let make = |n: usize| {
        let mut out = Vec::new();
        for at in 0..n / 2 {
            out.push(if at % 2 == 0 { user(at) } else { assistant(at) });
            out.push(r#"{"role":"system","content":"x"}"#.to_owned());
        }
        out
    };
    shape("system messages between", size() * 2, &make, &|_| {});
    let long = |n: usize| {
        let mut out = Vec::new();
        for at in 0..n / 2 {
            out.push(format!(r#"{{"role":"assistant","content":"{}"}}"#, format!("long answer {at:07} ").repeat(30)));
            out.push(r#"{"role":"developer","content":"x"}"#.to_owned());
        }
        out
    };
    shape("system messages between long ones", size(), &long, &|_| {});
}

#[test]
fn many_orphans_and_missing_results_are_linear() {
    let orphans = |n: usize| {
        let mut out = vec![user(1)];
        out.extend((0..n).map(result));
        out.push(user(2));
        out
    };
    shape("orphans", size() * 2, &orphans, &|_| {});
    let after_one_call = |n: usize| {
        let mut out = vec![user(1), call(std::iter::once(999_999_999))];
        out.extend((0..n).map(result));
        out.push(user(2));
        out
    };
    shape("orphans after an unanswered call", size() * 2, &after_one_call, &|_| {});
    let missing = |n: usize| {
        let mut out = vec![user(1)];
        out.extend((0..n).map(|id| call(std::iter::once(id))));
        out
    };
    shape("calls without results", size() * 2, &missing, &|_| {});
    // Every call waits for a result that comes at the very end.
    let late = |n: usize| {
        let mut out = vec![user(1)];
        out.extend((0..n / 2).map(|id| call(std::iter::once(id))));
        out.extend((0..n / 2).map(result));
        out
    };
    shape("results all at the end", size() * 2, &late, &|_| {});
    let chatter = |n: usize| {
        let mut out = vec![user(1), call(0..n / 2)];
        out.extend((0..n / 2).flat_map(|id| [user(id), result(id)]));
        out
    };
    shape("users between results", size() * 2, &chatter, &|_| {});
    let empty = |n: usize| {
        let mut out = vec![user(1)];
        out.extend((0..n).map(|_| r#"{"role":"assistant","content":""}"#.to_owned()));
        out
    };
    shape("empty assistants", size() * 2, &empty, &|_| {});
}

#[test]
fn many_summaries_and_many_parts_are_linear() {
    let summaries = |n: usize| {
        (0..n)
            .map(|at| {
                if at % 2 == 0 {
                    format!(r#"{{"role":"user","content":"{}{at:07} earlier messages were left out.]\nFiles: a{at:07}.rs, b{at:07}.rs\nTools: t{at:07}(x); u{at:07}(y)"}}"#, common::HEADER)
                } else {
                    assistant(at)
                }
            })
            .chain(std::iter::once(user(n)))
            .collect()
    };
    shape("summaries of ours", size() * 2, &summaries, &|_| {});
    let parts = |n: usize| {
        let part = |at: usize| {
            format!(
                r#"{{"type":"text","text":"part {at:07} of a message with very many parts, each with a few words in it"}}"#
            )
        };
        let list = |n: usize| (0..n).map(part).collect::<Vec<_>>().join(",");
        vec![
            user(1),
            format!(r#"{{"role":"assistant","content":[{}]}}"#, list(n / 2)),
            call(std::iter::once(1)),
            format!(r#"{{"role":"tool","tool_call_id":"c0000001","content":[{}]}}"#, list(n / 2)),
            user(2),
        ]
    };
    shape("parts in one message", size(), &parts, &|_| {});
    let fields = |n: usize| {
        let extra: Vec<String> = (0..n).map(|at| format!(r#""f{at:07}":{at}"#)).collect();
        vec![
            user(1),
            format!(r#"{{"role":"assistant","content":"{}",{}}}"#, "long ".repeat(2_000), extra.join(",")),
            user(2),
        ]
    };
    shape("fields in one message", size(), &fields, &|_| {});
}

#[test]
fn an_earlier_patch_of_many_edits_is_linear() {
    for percent in [20, 60] {
        let runs: Vec<Work> = [size() * 2, size() * 20]
            .iter()
            .map(|n| {
                let mut raws = mixed(*n);
                let (_, first) = work("first pass", &raws, percent, &|_| {});
                let patch = first.unwrap().patch;
                println!("   a patch of {} edits", patch.edits.len());
                for at in 0..20 {
                    raws.push(user(1_000_000 + at));
                    raws.push(assistant(1_000_000 + at));
                }
                // With the sizes of its messages next to nothing is counted again; without, all of it.
                let mut bare = patch.clone();
                bare.source.sizes.clear();
                let with = |patch: &Patch| {
                    work("with an earlier patch", &raws, percent, &|options| options.previous = Some(patch.clone())).0
                };
                let (known, counted) = (with(&patch), with(&bare));
                assert!(known.bytes * 10 <= counted.bytes, "{known:?} with sizes, {counted:?} without");
                counted
            })
            .collect();
        grows_with_the_input("with an earlier patch", runs[0], runs[1]);
    }
    // Tail given up message by message: shrinks, not one large hidden run.
    let long = |n: usize| -> Vec<String> {
        (0..n)
            .map(|at| {
                format!(
                    r#"{{"role":"{}","content":"{}"}}"#,
                    if at % 2 == 0 { "user" } else { "assistant" },
                    format!("words of message {at:07} ").repeat(100)
                )
            })
            .collect()
    };
    shape("a tail of long messages, all protected", size() / 2, &long, &|options| {
        options.policy.preserve_tail_messages = usize::MAX;
    });
}
