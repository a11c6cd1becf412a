//! Every promise of an offline fit, over every real conversation: whole and where `eval` cuts it, at budgets of what is
//! pinned and 10, 25 and 50 % of the rest, with the built-in counter and with exact counts.
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

use std::collections::BTreeMap;

use common::check::{Check, Outcome, check};
use common::counting::{O200k, counters, formula_all};
use common::dev;
use common::message::Msg;
use epitome::{Budget, FitOptions, TokenCounter};

#[derive(Debug, Default)]
struct Row {
    runs: usize,
    refused: usize,
    failed: usize,
    summaries: usize,
    edits: usize,
    used: Vec<f64>,
}

/// Messages, pinned tokens and the rest, as `eval` has them: system messages and the last user message are pinned.
fn pinned_and_rest(history: &[Msg], counter: &dyn TokenCounter) -> (u64, u64) {
    let last_user = history.iter().rposition(|message| message.role() == "user");
    let mut sums = (0, 0);
    for (at, message) in history.iter().enumerate() {
        let size = common::counting::formula(counter, message);
        if message.is_system() || Some(at) == last_user { sums.0 += size } else { sums.1 += size }
    }
    sums
}

/// All runs over one source: the table and what went wrong.
fn run(source: &str) -> (BTreeMap<String, Row>, Vec<String>) {
    let Some(conversations) = dev::load(source) else { return Default::default() };
    assert!(!conversations.is_empty());
    let mut table: BTreeMap<String, Row> = BTreeMap::new();
    let mut failures = Vec::new();
    for conversation in &conversations {
        let parsed = Msg::all(conversation.messages.iter().map(String::as_str));
        let roles: Vec<String> = parsed.iter().map(Msg::role).collect();
        let mut ends = dev::cuts(&roles);
        ends.push(parsed.len());
        for end in ends {
            let history = &parsed[..end];
            for (name, counter) in counters() {
                // `eval` counts exactly, whatever the compactor counts with; hosts count with what they have.
                let bases: &[(&str, &dyn TokenCounter)] =
                    if name == "o200k" { &[("o200k", &O200k)] } else { &[("o200k", &O200k), ("heuristic", counter)] };
                for (base, base_counter) in bases {
                    let (pinned, rest) = pinned_and_rest(history, *base_counter);
                    for ratio in [10, 25, 50] {
                        let limit = pinned + rest * ratio / 100;
                        let modes = [
                            ("limit", Budget::Limit(limit)),
                            (
                                "window",
                                Budget::Window {
                                    window: limit * 5 / 4,
                                    reserve: Some(limit * 5 / 4 - limit),
                                    overhead: 0,
                                },
                            ),
                        ];
                        for (mode, budget) in modes {
                            if mode == "window" && *base != name {
                                continue;
                            }
                            let row = table
                                .entry(format!(
                                    "{source:12} budget by {base:9} counted by {name:9} {mode:6} {ratio:2} %"
                                ))
                                .or_default();
                            row.runs += 1;
                            let options = FitOptions::with_budget(budget);
                            match check(&Check {
                                messages: &conversation.messages[..end],
                                options: &options,
                                counter,
                                exact: true,
                                seed: end as u64,
                            }) {
                                Ok(Outcome::Fits { after, limit, summaries, repairs, edits, .. }) => {
                                    row.used.push(after as f64 / limit as f64);
                                    row.summaries += usize::from(summaries > 0);
                                    row.edits += usize::from(edits > 0);
                                    if repairs > 0 && end < parsed.len() {
                                        failures.push(format!(
                                            "{} [..{end}]: repairs where nothing is wrong",
                                            conversation.id
                                        ));
                                    }
                                }
                                Ok(Outcome::Irreducible { .. }) => row.refused += 1,
                                Err(found) => {
                                    row.failed += 1;
                                    for what in found {
                                        failures.push(format!(
                                            "{} [..{end}] {mode} {limit} ({ratio} %, {base}) by {name}: {what}",
                                            conversation.id
                                        ));
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
    (table, failures)
}

#[test]
fn every_real_conversation_fits_or_cannot() {
    let sources = std::sync::Mutex::new(dev::SOURCES.to_vec());
    let done = std::sync::Mutex::new((BTreeMap::new(), Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(source) = { sources.lock().unwrap().pop() } {
                    let (table, failures) = run(source);
                    let mut done = done.lock().unwrap();
                    done.0.extend(table);
                    done.1.extend(failures);
                }
            });
        }
    });
    let (mut table, failures) = done.into_inner().unwrap();
    let (mut runs, mut refused, mut loose) = (0, 0, Vec::new());
    for (name, row) in &mut table {
        row.used.sort_by(f64::total_cmp);
        let at = |share: usize| row.used.get(row.used.len().saturating_sub(1) * share / 100).copied().unwrap_or(0.0);
        let mean = row.used.iter().sum::<f64>() / row.used.len().max(1) as f64;
        println!(
            "{name}: {:4} runs, used min {:.3} p10 {:.3} median {:.3} mean {mean:.3} max {:.3}, edited {:3}, with summary {:3}, irreducible {}, failed {}",
            row.runs,
            at(0),
            at(10),
            at(50),
            at(100),
            row.edits,
            row.summaries,
            row.refused,
            row.failed
        );
        runs += row.runs;
        refused += row.refused;
        // A plain limit is filled.
        if name.contains(" limit ") && at(50) < 0.95 {
            loose.push(format!("{name}: half of the runs use less than {:.3} of the limit", at(50)));
        }
    }
    println!(
        "{runs} runs, {refused} irreducible ({:.2} %), {} broken promises",
        100.0 * refused as f64 / f64::from(runs.max(1) as u32),
        failures.len()
    );
    let shown: Vec<&String> = failures.iter().take(25).collect();
    assert!(failures.is_empty(), "{} promises broken:\n{shown:#?}", failures.len());
    assert!(loose.is_empty(), "{loose:#?}");
    assert!(refused * 100 <= runs * 2, "{refused} of {runs} runs are irreducible");
}

#[test]
fn the_independent_count_agrees_with_the_exact_counter() {
    let Some(conversations) = dev::load("tau_airline") else { return };
    for conversation in conversations {
        let parsed = Msg::all(conversation.messages.iter().map(String::as_str));
        let counted = epitome::count_messages(&common::check::messages(&conversation.messages), None, &O200k).unwrap();
        assert_eq!(counted, formula_all(&O200k, &parsed), "{}", conversation.id);
    }
}
