//! `compact`: as `fit`, with summaries by models.

// wasm-bindgen expands to the unsafe exports that a WebAssembly host calls; nothing here is unsafe by hand.
#![allow(unsafe_code)]

use js_sys::Function;
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen_futures::JsFuture;

use crate::CompactOptions;
use crate::api;
use crate::options::FitOptions;
use crate::provider::{Progress, Provider, Providers, Runtime, Sleep};
use crate::wasm::buffer::Input;
use crate::wasm::counter::Counter;
use crate::wasm::exports::given;
use crate::wasm::outward::{Failure, Slim, out};
use crate::wasm::session::events::Event;
use crate::wasm::session::host::Host;
use crate::wasm::session::models::{self, Record};
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
    let total = more.get("timeoutMs").given().map(Record::number).transpose()?;
    let runtime = OfHost { host, deadline: total.map_or(f64::INFINITY, |ms| host.now() + ms) };
    let records = more.get("providers").0.as_array().unwrap_or_default();
    let list = |name: &str| models::list(host, &runtime, records, more.get(name).0);
    let [summary, tool_pair, goal] = [list("summary")?, list("toolPair")?, list("goal")?];
    let redact = |text: &str| host.redact(text);
    let providers = Providers {
        summary: summary.as_ref().map(|list| list as &dyn Provider),
        tool_pair: tool_pair.as_ref().map(|list| list as &dyn Provider),
        goal: goal.as_ref().map(|list| list as &dyn Provider),
        redact: more.get("redacts").flag().then_some(&redact),
    };
    let options = CompactOptions {
        fit,
        providers,
        instructions: more.get("instructions").given().map(|text| text.text().map(str::to_owned)).transpose()?,
        fails_with_provider: more.get("throws").flag(),
        cached_prefix: more.get("cachedPrefix").flag(),
    };
    out(&Slim::from(&api::compact(input, &options, counter).await?))
}

/// The host's clock, timers, chance and interest.
struct OfHost<'h> {
    host: &'h Host,
    deadline: f64,
}

impl Runtime for OfHost<'_> {
    fn now_ms(&self) -> f64 {
        self.host.now()
    }

    fn random(&self) -> f64 {
        self.host.random()
    }

    fn sleep(&self, ms: f64) -> Sleep<'_> {
        let scope = crate::provider::fetch::Open::new(self.host);
        Box::pin(async move {
            let _ = JsFuture::from(scope.sleep(ms)).await;
        })
    }

    fn deadline_ms(&self) -> f64 {
        self.deadline
    }

    fn progress(&self, event: &Progress<'_>) {
        if let Ok(event) = out(&Event::from(event)) {
            self.host.progress(&event);
        }
    }
}
