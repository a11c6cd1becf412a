//! A function of the host that answers requests.

use wasm_bindgen::JsCast as _;

use crate::provider::fetch::{Open, settled, without};
use crate::provider::{Answer, ErrorClass, Pending, Provider, ProviderError, Request, Stop, Usage};
use crate::wasm::outward::out;
use crate::wasm::session::host::{Host, Reply};

/// One of the call's functions, by its number.
pub(crate) struct Callback {
    host: Host,
    at: usize,
}

impl Callback {
    pub(crate) fn new(host: Host, at: usize) -> Self {
        Self { host, at }
    }

    async fn ask(&self, request: &Request) -> Result<Answer, ProviderError> {
        let scope = Open::new(&self.host);
        scope.limit(f64::from(request.timeout_ms));
        let request =
            out(request).map_err(|_| ProviderError::new(ErrorClass::BadRequest, "the request cannot be written"))?;
        let reply: Reply = settled(scope.complete(self.at, &request)).await?.unchecked_into();
        let stop = match reply.stop().as_str() {
            "length" => Stop::Length,
            "refused" => Stop::Refused,
            _ => Stop::End,
        };
        Ok(Answer { text: reply.text(), usage: usage(reply.input_tokens(), reply.output_tokens()), stop })
    }
}

impl Provider for Callback {
    fn complete<'p>(&'p self, request: &'p Request) -> Pending<'p> {
        // Whatever its error says: what looks like a key goes no further.
        Box::pin(async { self.ask(request).await.map_err(|error| without(error, Vec::new())) })
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a cast of a float stays in range")]
fn usage(input: f64, output: f64) -> Option<Usage> {
    (input >= 0.0 && output >= 0.0).then_some(Usage { input_tokens: input as u64, output_tokens: output as u64 })
}
