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
use crate::error::Boxed;
use crate::format::Format;
use crate::options::{self, FitOptions};
use crate::value::Value;
use crate::wasm::buffer::{self, Input};
use crate::wasm::counter::Counter;
use crate::wasm::outward::{Failure, Slim, out};
use crate::wasm::{records, wire};

type Answer = Result<JsValue, JsValue>;

#[global_allocator]
static ALLOCATOR: talc::wasm::WasmDynamicTalc = talc::wasm::new_wasm_dynamic_allocator();

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
    call(length, counter, |roots, counter| {
        let [messages, system, tools, options, previous] = wire::exactly(roots)?;
        let mut options = FitOptions::from_value(&options)?;
        options.previous = given(previous).map(|patch| records::patch("previous", &patch)).transpose()?;
        let input = api::Input { messages, system: given(system), tools: given(tools) };
        out(&Slim::from(&api::fit(input, &options, counter)?))
    })
}

/// `apply`: the recipe of a plan, whose report and patch the shell has.
#[wasm_bindgen]
pub fn apply(length: usize) -> Answer {
    call(length, None, |roots, _| {
        let [messages, plan] = wire::exactly(roots)?;
        let (version, patch) = records::plan(&plan)?;
        out(&api::apply(messages, version, &patch)?)
    })
}

/// `undo`: where each original message comes from.
#[wasm_bindgen]
pub fn undo(length: usize) -> Answer {
    call(length, None, |roots, _| {
        let [messages, patch] = wire::exactly(roots)?;
        out(&api::undo(messages, &records::current_patch(&patch)?)?)
    })
}

/// Whether these are the messages that a patch was made from.
#[wasm_bindgen]
pub fn is_source(length: usize) -> Answer {
    call(length, None, |roots, _| {
        let [messages, patch] = wire::exactly(roots)?;
        Ok(JsValue::from_bool(api::is_source(messages, &records::current_patch(&patch)?)))
    })
}

/// `validate`: violations.
#[wasm_bindgen]
pub fn validate(length: usize) -> Answer {
    call(length, None, |roots, _| {
        let [messages, format] = wire::exactly(roots)?;
        out(&api::validate(messages, read_format(&format)?)?)
    })
}

/// `repair`: repairs and recipe.
#[wasm_bindgen]
pub fn repair(length: usize) -> Answer {
    call(length, None, |roots, counter| {
        let [messages, format] = wire::exactly(roots)?;
        out(&api::repair(messages, read_format(&format)?, counter)?)
    })
}

/// `countTokens`: tokens of a text, a message or messages.
#[wasm_bindgen]
pub fn count(length: usize, counter: Option<Function>) -> Answer {
    call(length, counter, |roots, counter| {
        let [value, format] = wire::exactly(roots)?;
        let format = read_format(&format)?;
        let tokens = match &value {
            Value::String(text) => api::count_text(text, counter),
            _ => api::count_messages(value, format, counter)?,
        };
        #[expect(clippy::cast_precision_loss, reason = "the input is far too small for 2^53 tokens")]
        let tokens = tokens as f64;
        Ok(JsValue::from_f64(tokens))
    })
}

/// `detectFormat`: the name of the format.
#[wasm_bindgen]
pub fn detect_format(length: usize) -> Answer {
    call(length, None, |roots, _| {
        let [messages] = wire::exactly(roots)?;
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

/// One call, with what all of them have in common. (Not generic, so that it is there once.)
#[inline(never)]
fn call(
    length: usize,
    counter: Option<Function>,
    run: fn(Vec<Value<'_>>, &Counter) -> Result<JsValue, Failure>,
) -> Answer {
    let input = Input::take(length);
    let counter = Counter::new(counter);
    let answer = wire::decode_roots(&input).map_err(Failure::from).and_then(|roots| run(roots, &counter));
    // A counter that failed explains whatever else went wrong.
    counter.check().map_err(Failure::from).and(answer).map_err(JsValue::from)
}

pub(super) fn given(value: Value<'_>) -> Option<Value<'_>> {
    if matches!(value, Value::Null) { None } else { Some(value) }
}

fn read_format(name: &Value<'_>) -> Boxed<Option<Format>> {
    if matches!(name, Value::Null) { Ok(None) } else { options::read_format(name).map(Some) }
}
