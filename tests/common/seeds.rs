//! Cases by the number of their seed: which ones are asked for, and what is said of those that broke a promise.

use std::collections::BTreeMap;
use std::ops::Range;

use super::message::clip;

/// Between where a promise was broken and what was wrong.
pub const SEPARATOR: &str = " => ";

/// The seeds that are asked for.
pub fn asked(all: u64) -> Range<u64> {
    let Ok(asked) = std::env::var("EPITOME_SEED") else { return 0..all };
    let number = |text: &str| text.trim().parse::<u64>().unwrap_or_else(|_| panic!("EPITOME_SEED={asked}"));
    match asked.split_once("..") {
        Some((from, to)) => number(from)..number(to),
        None => number(&asked)..number(&asked) + 1,
    }
}

/// Fails unless nothing was found; what was is sorted by seed and by kind, with three examples of each.
pub fn none_broken(mut found: Vec<String>) {
    found.sort_by_key(|what| {
        what.trim_start_matches("seed ").split(' ').next().and_then(|seed| seed.parse::<u64>().ok())
    });
    let mut kinds = BTreeMap::<String, (usize, Vec<&String>)>::new();
    for what in &found {
        let kind = what.split_once(SEPARATOR).map_or(what.as_str(), |(_, rest)| rest);
        let kind = clip(&kind.chars().filter(|c| !c.is_ascii_digit()).collect::<String>(), 36);
        let entry = kinds.entry(kind).or_default();
        entry.0 += 1;
        if entry.1.len() < 3 {
            entry.1.push(what);
        }
    }
    assert!(found.is_empty(), "{} broken promises (EPITOME_SEED=n repeats one):\n{kinds:#?}", found.len());
}
