//! The same input gives the same bytes everywhere. Each case is `NAME.input.json` (`{messages, options}`, written as
//! `JSON.stringify` writes it) and `NAME.output.json`, the exact text of the fitted messages. The same files are
//! checked natively, in browsers, in Node and in workerd. `EPITOME_BLESS=1 cargo test --test golden` writes outputs.
#![allow(clippy::expect_used, clippy::panic, reason = "tests fail loudly")]

use epitome::{FitOptions, Messages, fit};
use serde_json::value::RawValue;

/// Name, input, expected output.
pub type Case = (&'static str, &'static str, &'static str);

macro_rules! cases {
    ($($name:literal),+ $(,)?) => {
        &[$(($name, include_str!(concat!($name, ".input.json")), include_str!(concat!($name, ".output.json")))),+]
    };
}

pub const CASES: &[Case] = cases![
    "agent",
    "chinese",
    "fits",
    "long-message",
    "open-unit",
    "parts",
    "pins",
    "repairs",
    "scripts",
    "service",
    "summaries",
    "window",
];

/// What fitting an input gives.
pub fn output_of(input: &str) -> String {
    #[derive(serde::Deserialize)]
    struct Input<'j> {
        #[serde(borrow)]
        messages: &'j RawValue,
        #[serde(borrow)]
        options: &'j RawValue,
    }
    let input: Input<'_> = serde_json::from_str(input).expect("an input is {messages, options}");
    let messages = Messages::from_json(input.messages.get()).expect("messages");
    let options = FitOptions::from_json(input.options.get()).expect("options");
    let fitted = fit(&messages, &options).expect("it fits");
    fitted.messages.to_json()
}

/// Compares one case.
pub fn check((name, input, expected): Case) {
    let output = output_of(input);
    if output != expected {
        let at = output.bytes().zip(expected.bytes()).take_while(|(a, b)| a == b).count();
        let around = |text: &str| -> String {
            let bytes = text.as_bytes();
            String::from_utf8_lossy(bytes.get(at.saturating_sub(40)..(at + 80).min(bytes.len())).unwrap_or_default())
                .into_owned()
        };
        panic!("{name}: differs at byte {at}:\n  here     {}\n  expected {}", around(&output), around(expected));
    }
}
