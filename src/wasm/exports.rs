//! The functions of the module. Each takes the length of the input that the shell wrote (see [`buffer`]).
//!
//! Roots of the inputs: `fit` `[messages, system, tools, options, previous]`, `apply`, `undo` and `is_source`
//! `[messages, record]` (a plan or a patch), the others `[messages, format]`.

// wasm-bindgen expands to the unsafe exports that a WebAssembly host calls; nothing here is unsafe by hand.
#![allow(unsafe_code)]
// Every one of them fails with what `outward` makes of an error, and for the reasons that the core documents.
#![allow(clippy::missing_errors_doc)]

use js_sys::Function;
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;

use crate::api;
use crate::error::Error;
use crate::format::Format;
use crate::options::{self, FitOptions};
use crate::value::Value;
use crate::wasm::buffer::{self, Input};
use crate::wasm::counter::Counter;
use crate::wasm::outward::{Failure, Slim, out};
use crate::wasm::{records, wire};

type Answer = Result<JsValue, JsValue>;

/// Makes a trap, should there ever be one, leave a readable message on the console.
#[wasm_bindgen(start)]
pub fn start() {
    console_error_panic_hook::set_once();
}

/// Version of the crate.
#[wasm_bindgen]
#[must_use]
pub fn version() -> String {
    env!("CARGO_PKG_VERSION").to_owned()
}

/// Makes room for an input of `bytes` bytes, keeping what was written; returns its address in wasm memory.
#[wasm_bindgen]
#[must_use]
pub fn input_reserve(bytes: usize) -> *const u8 {
    buffer::reserve(bytes)
}

/// `fit` and `plan`: report, patch and recipe.
#[wasm_bindgen]
pub fn fit(length: usize, counter: Option<Function>) -> Answer {
    let input = Input::take(length);
    let counter = Counter::new(counter);
    answer(|| {
        let [messages, system, tools, options, previous] = wire::decode_roots(&input)?;
        let mut options = FitOptions::from_value(&options)?;
        options.previous = given(previous).map(|patch| records::patch("previous", &patch)).transpose()?;
        let input = api::Input { messages, system: given(system), tools: given(tools) };
        let outcome = api::fit(input, &options, &counter);
        // A counter that failed explains whatever else went wrong.
        counter.check()?;
        out(&Slim::from(&outcome?))
    })
}

/// `apply`: the recipe of a plan, whose report and patch the shell has.
#[wasm_bindgen]
pub fn apply(length: usize) -> Answer {
    let input = Input::take(length);
    answer(|| {
        let [messages, plan] = wire::decode_roots(&input)?;
        out(&api::apply(messages, &records::plan(&plan)?)?)
    })
}

/// `undo`: where each original message comes from.
#[wasm_bindgen]
pub fn undo(length: usize) -> Answer {
    let input = Input::take(length);
    answer(|| {
        let [messages, patch] = wire::decode_roots(&input)?;
        out(&api::undo(messages, &records::current_patch(&patch)?)?)
    })
}

/// Whether these are the messages that a patch was made from.
#[wasm_bindgen]
pub fn is_source(length: usize) -> Result<bool, JsValue> {
    let input = Input::take(length);
    let asked = || -> Result<bool, Failure> {
        let [messages, patch] = wire::decode_roots(&input)?;
        Ok(api::is_source(messages, &records::current_patch(&patch)?))
    };
    Ok(asked()?)
}

/// `validate`: violations.
#[wasm_bindgen]
pub fn validate(length: usize) -> Answer {
    let input = Input::take(length);
    answer(|| {
        let [messages, format] = wire::decode_roots(&input)?;
        out(&api::validate(messages, read_format(&format)?)?)
    })
}

/// `repair`: repairs and recipe.
#[wasm_bindgen]
pub fn repair(length: usize) -> Answer {
    let input = Input::take(length);
    answer(|| {
        let [messages, format] = wire::decode_roots(&input)?;
        out(&api::repair(messages, read_format(&format)?, &Counter::new(None))?)
    })
}

/// `countTokens`: tokens of a text, a message or messages.
#[wasm_bindgen]
pub fn count(length: usize, counter: Option<Function>) -> Result<f64, JsValue> {
    let input = Input::take(length);
    let counter = Counter::new(counter);
    let tokens = || -> Result<f64, Failure> {
        let [value, format] = wire::decode_roots(&input)?;
        let format = read_format(&format)?;
        let tokens = match &value {
            Value::String(text) => api::count_text(text, &counter),
            _ => api::count_messages(value, format, &counter)?,
        };
        counter.check()?;
        #[expect(clippy::cast_precision_loss, reason = "the input is far too small for 2^53 tokens")]
        let tokens = tokens as f64;
        Ok(tokens)
    };
    Ok(tokens()?)
}

/// `detectFormat`: the name of the format.
#[wasm_bindgen]
pub fn detect_format(length: usize) -> Answer {
    let input = Input::take(length);
    answer(|| {
        let [messages] = wire::decode_roots(&input)?;
        out(&api::detect_format(messages)?)
    })
}

/// Traps on purpose, so that a test can prove that the host recovers.
#[cfg(feature = "trap")]
#[wasm_bindgen]
#[expect(clippy::panic, clippy::missing_panics_doc, reason = "that is the point")]
pub fn trap() {
    panic!("a deliberate trap");
}

fn answer(call: impl FnOnce() -> Result<JsValue, Failure>) -> Answer {
    call().map_err(JsValue::from)
}

fn given(value: Value<'_>) -> Option<Value<'_>> {
    if matches!(value, Value::Null) { None } else { Some(value) }
}

fn read_format(name: &Value<'_>) -> Result<Option<Format>, Error> {
    if matches!(name, Value::Null) { Ok(None) } else { options::read_format(name).map(Some) }
}
