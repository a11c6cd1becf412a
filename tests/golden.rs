//! The golden files, natively.
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

#[path = "golden/check.rs"]
mod check;

use std::collections::BTreeSet;
use std::path::PathBuf;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

#[test]
fn the_same_input_gives_the_same_bytes_as_everywhere() {
    for case in check::CASES {
        if std::env::var_os("EPITOME_BLESS").is_some() {
            std::fs::write(folder().join(format!("{}.output.json", case.0)), check::output_of(case.1)).unwrap();
            println!("{}: written", case.0);
        } else {
            check::check(*case);
        }
    }
}

#[test]
fn every_golden_file_is_checked() {
    let files: BTreeSet<String> = std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".json"))
        .collect();
    let listed: BTreeSet<String> = check::CASES
        .iter()
        .flat_map(|(name, ..)| [format!("{name}.input.json"), format!("{name}.output.json")])
        .collect();
    assert_eq!(files, listed);
}

#[test]
fn the_golden_cases_are_edited() {
    for (name, input, output) in check::CASES {
        let changed = !input.contains(output);
        assert_eq!(changed, *name != "fits", "{name}");
    }
}
