//! `compact`: as `fit`, with summaries by models.

// wasm-bindgen expands to the unsafe exports that a WebAssembly host calls; nothing here is unsafe by hand.
#![allow(unsafe_code)]

use js_sys::Function;
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;

use crate::CompactOptions;
use crate::api;
use crate::options::FitOptions;
use crate::wasm::buffer::Input;
use crate::wasm::counter::Counter;
use crate::wasm::exports::given;
use crate::wasm::outward::{Failure, Slim, out};
use crate::wasm::session::asking::asking;
use crate::wasm::session::host::Host;
use crate::wasm::session::models::Record;
use crate::wasm::session::tasks;
use crate::wasm::{records, wire};

/// Begins a compaction of `[messages, system, tools, options, previous, more]`; returns the number of its task, whose
/// result is that of `fit`.
#[wasm_bindgen]
#[must_use]
pub fn compact(length: usize, counter: Option<Function>, host: Host) -> u32 {
    let input = Input::take(length);
    let counter = Counter::new(counter);
    let of_task = host.clone();
    let running = async move {
        let answer = run(&input, &counter, &host).await;
        // A counter that failed explains whatever else went wrong.
        counter.check().map_err(Failure::from).and(answer)
    };
    tasks::begin(of_task, Box::pin(running))
}

async fn run(input: &[u8], counter: &Counter, host: &Host) -> Result<JsValue, Failure> {
    let roots = wire::decode_roots(input)?;
    let [messages, system, tools, options, previous, more] = wire::exactly(roots)?;
    let mut fit = FitOptions::from_value(&options)?;
    fit.previous = given(previous).map(|patch| records::patch("previous", &patch)).transpose()?;
    let input = api::Input { messages, system: given(system), tools: given(tools) };

    let more = Record(&more);
    let instructions = more.get("instructions").given().map(|text| text.text().map(str::to_owned)).transpose()?;
    asking(host, more, async |providers| {
        let fails_with_provider = more.get("throws").flag();
        let cached_prefix = more.get("cachedPrefix").flag();
        let options = CompactOptions { fit, providers, instructions, fails_with_provider, cached_prefix };
        out(&Slim::from(&api::compact(input, &options, counter).await?))
    })
    .await
}
