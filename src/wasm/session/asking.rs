//! The models that a call may ask, and what they need of the host.

use wasm_bindgen_futures::JsFuture;

use crate::provider::fetch::Open;
use crate::provider::{Progress, Provider, Providers, Runtime, Sleep};
use crate::value::Value;
use crate::wasm::outward::{Failure, out};
use crate::wasm::session::events::Event;
use crate::wasm::session::host::Host;
use crate::wasm::session::models::{self, Record};

/// Does something with the providers that the shell has written down: `providers` (their records), lists of indices
/// (`summary`, `toolPair`, `goal`), `timeoutMs` and `redacts`.
pub(super) async fn asking<T>(
    host: &Host,
    more: Record<'_, '_>,
    work: impl AsyncFnOnce(Providers<'_>) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let total = more.get("timeoutMs").given().map(Record::number).transpose()?;
    let runtime = OfHost { host, deadline: total.map_or(f64::INFINITY, |ms| host.now() + ms) };
    let records = more.get("providers").0.as_array().unwrap_or_default();
    let list = |list: &Value<'_>| models::list(host, &runtime, records, list);
    let summary = list(more.get("summary").0)?;
    let tool_pair = list(more.get("toolPair").0)?;
    let goal = list(more.get("goal").0)?;
    let redact = |text: &str| host.redact(text);
    let providers = Providers {
        summary: summary.as_ref().map(|list| list as &dyn Provider),
        tool_pair: tool_pair.as_ref().map(|list| list as &dyn Provider),
        goal: goal.as_ref().map(|list| list as &dyn Provider),
        redact: more.get("redacts").flag().then_some(&redact),
    };
    work(providers).await
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
        let scope = Open::new(self.host);
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
