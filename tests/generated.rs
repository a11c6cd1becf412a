//! Every promise of an offline fit, over random conversations. `EPITOME_FULL=1` runs 10,000 instead of 1,000;
//! `EPITOME_SEED=n` runs one, and prints it with `EPITOME_PRINT=1`; `EPITOME_SEED=a..b` runs those.
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
use common::counting::O200k;
use common::generate::case;
use epitome::{Heuristic, TokenCounter};

/// Longer conversations are not counted exactly: it takes too long.
const COUNTED_EXACTLY: usize = 200_000;

fn run(seeds: impl Iterator<Item = u64>, counter: &dyn TokenCounter, name: &str, most_bytes: usize) {
    let chosen = std::env::var("EPITOME_SEED").ok().map(|chosen| match chosen.split_once("..") {
        Some((from, to)) => seed(from)..seed(to),
        None => seed(&chosen)..seed(&chosen) + 1,
    });
    let seeds: Vec<u64> = chosen.clone().map_or_else(|| seeds.collect(), Iterator::collect);
    println!("{name}: seeds {:?} to {:?}", seeds.first(), seeds.last());
    let (mut fits, mut untouched, mut refused, mut summaries, mut repaired, mut skipped) = (0, 0, 0, 0, 0, 0);
    let mut kinds: BTreeMap<String, Vec<(usize, String)>> = BTreeMap::new();
    let mut failed = 0;
    for seed in &seeds {
        let case = case(*seed);
        let bytes: usize = case.messages.iter().map(String::len).sum();
        if bytes > most_bytes {
            skipped += 1;
            continue;
        }
        if chosen.is_some() && std::env::var_os("EPITOME_PRINT").is_some() {
            println!("seed {seed}: {:?}\n{}", case.options, case.json());
        }
        let run = || {
            check(&Check {
                messages: &case.messages,
                options: &case.options,
                counter,
                exact: bytes < COUNTED_EXACTLY,
                seed: *seed,
            })
        };
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)).unwrap_or_else(|panic| {
            let what = panic
                .downcast_ref::<String>()
                .cloned()
                .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            Err(vec![format!("panic: {}", what.unwrap_or_default())])
        });
        match outcome {
            Ok(Outcome::Fits { summaries: some, repairs, edits, .. }) => {
                fits += 1;
                untouched += usize::from(edits == 0);
                summaries += usize::from(some > 0);
                repaired += usize::from(repairs > 0);
                if case.in_order && repairs > 0 {
                    let done =
                        epitome::repair(&common::check::messages(&case.messages), None).map(|(_, repairs)| repairs);
                    kinds
                        .entry("repairs where nothing is out of order".into())
                        .or_default()
                        .push((bytes, format!("seed {seed}: {done:?}")));
                }
            }
            Ok(Outcome::Irreducible { .. }) => refused += 1,
            Err(found) => {
                failed += 1;
                for what in found {
                    kinds.entry(kind(&what)).or_default().push((
                        bytes,
                        format!("seed {seed} ({} messages, {bytes} bytes): {what}", case.messages.len()),
                    ));
                }
            }
        }
    }
    println!(
        "{name}: {} conversations: {fits} fit ({untouched} without an edit, {summaries} with a summary, {repaired} repaired), \
         {refused} irreducible, {skipped} too large for this counter, {failed} failed",
        seeds.len()
    );
    let report: Vec<String> = kinds
        .into_iter()
        .map(|(kind, mut some)| {
            // The smallest are the easiest to read.
            some.sort();
            let shown: Vec<String> = some.iter().take(3).map(|(_, what)| what.clone()).collect();
            format!("== {} x {kind}\n   {}", some.len(), shown.join("\n   "))
        })
        .collect();
    assert!(
        report.is_empty(),
        "{failed} of {} conversations break a promise (EPITOME_SEED=n repeats one):\n{}",
        seeds.len(),
        report.join("\n")
    );
    assert!(
        chosen.is_some() || (refused * 3 < seeds.len() && summaries * 20 > seeds.len()),
        "the generator makes too few interesting conversations"
    );
}

fn seed(text: &str) -> u64 {
    text.trim().parse().unwrap_or_else(|_| panic!("EPITOME_SEED takes a number or a range such as 10..20, not {text}"))
}

/// Failures of one kind differ in their numbers only.
fn kind(what: &str) -> String {
    let words: Vec<&str> = what
        .split(|c: char| c.is_ascii_digit() || c == '"' || c == '{')
        .next()
        .unwrap_or_default()
        .split(' ')
        .collect();
    words.join(" ").chars().take(60).collect()
}

fn count() -> u64 {
    if common::full() { 10_000 } else { 1_000 }
}

#[test]
fn random_conversations_fit_with_the_built_in_counter() {
    run(0..count(), &Heuristic, "heuristic", usize::MAX);
}

#[test]
fn random_conversations_fit_with_exact_counts() {
    run(1_000_000..1_000_000 + count() / 5, &O200k, "o200k", COUNTED_EXACTLY);
}
