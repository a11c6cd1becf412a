//! What goes over the line to a model and what comes back, for each kind of service: pure reading and writing of text.
//!
//! An [`Endpoint`] makes a request; a [`Reader`] takes the answer in whatever pieces it comes. Neither opens a
//! connection nor knows the time, and no credentials pass through here: the adapter adds its headers itself.

mod anthropic;
mod draft;
mod failure;
mod gemini;
mod ollama;
mod openai_chat;
mod openai_responses;
mod reader;
mod request;
#[cfg(test)]
mod testing;
pub(crate) mod wait;

use std::fmt;

pub(crate) use failure::class_of;
pub use reader::Reader;
pub use request::{Behind, Outgoing};

use crate::provider::ProviderError;
use crate::value::Value;
use draft::Draft;

/// How a service is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wire {
    /// `OpenAI` Chat Completions, and everything that calls itself compatible with it.
    OpenaiChat,
    /// `OpenAI` Responses.
    OpenaiResponses,
    /// Anthropic Messages.
    Anthropic,
    /// Gemini `generateContent`.
    Gemini,
    /// Ollama `/api/chat`.
    Ollama,
}

const NAMES: [(&str, Wire); 5] = [
    ("openai-chat", Wire::OpenaiChat),
    ("openai-responses", Wire::OpenaiResponses),
    ("anthropic", Wire::Anthropic),
    ("gemini", Wire::Gemini),
    ("ollama", Wire::Ollama),
];

impl Wire {
    /// Its name, e.g. `openai-chat`.
    #[must_use]
    pub fn name(self) -> &'static str {
        NAMES.iter().find(|(_, wire)| *wire == self).map_or("", |(name, _)| name)
    }

    /// The one that has this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        NAMES.iter().find(|(known, _)| *known == name).map(|(_, wire)| *wire)
    }

    /// Reads a whole answer, or one piece of a stream. `kind` is what the piece calls itself, if it does.
    fn take(self, draft: &mut Draft, kind: &str, value: &Value<'_>) -> Result<(), ProviderError> {
        match self {
            Self::OpenaiChat => openai_chat::take(draft, value),
            Self::OpenaiResponses => return openai_responses::take(draft, kind, value),
            Self::Anthropic => anthropic::take(draft, kind, value),
            Self::Gemini => gemini::take(draft, value),
            Self::Ollama => ollama::take(draft, value),
        }
        Ok(())
    }
}

/// Where a model is, and how it is asked.
#[derive(Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// How the service is spoken to.
    pub wire: Wire,
    /// Where the service is, e.g. `https://api.openai.com/v1`, with or without a slash at the end. An address that
    /// ends in the path of the wire already (`.../chat/completions`) is taken as it is.
    ///
    /// Where services differ in what they call their base, both forms are understood: Anthropic with and without
    /// `/v1`, Gemini with and without `/v1beta`, Ollama with and without `/api`.
    pub base_url: String,
    /// The model, by the name that the service gives it.
    pub model: String,
    /// Added to the address, percent-encoded (Azure's `api-version`).
    pub query: Vec<(String, String)>,
    /// Text of a JSON object: fields that are added to every request. They take the place of ours, except that
    /// `options`, `generationConfig` and `stream_options` are joined field by field; `null` takes a field out. Anything
    /// but an object adds nothing.
    pub body: Option<String>,
    /// Whether the answer shall come in pieces.
    pub stream: bool,
}

/// Addresses and queries may hold keys, so they are not shown.
impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Endpoint {{ wire: {}, model: {}, stream: {}, .. }}", self.wire.name(), self.model, self.stream)
    }
}

/// What comes before a body.
#[derive(Debug, Clone, Copy)]
pub struct Head<'h> {
    /// The HTTP status.
    pub status: u16,
    /// The header `content-type`; empty when there is none.
    pub content_type: &'h str,
    /// The header `retry-after`.
    pub retry_after: Option<&'h str>,
    /// The header `retry-after-ms`.
    pub retry_after_ms: Option<&'h str>,
    /// The time, milliseconds since 1970, to which dates in headers are compared.
    pub now_ms: f64,
}

#[cfg(test)]
mod tests {
    use super::{Endpoint, NAMES, Wire};

    #[test]
    fn every_wire_is_found_by_its_name() {
        for (name, wire) in NAMES {
            assert_eq!(wire.name(), name);
            assert_eq!(Wire::from_name(name), Some(wire));
        }
        assert_eq!(Wire::from_name("openai"), None);
    }

    #[test]
    fn an_endpoint_shows_no_address_and_no_query() {
        let endpoint = Endpoint {
            wire: Wire::Gemini,
            base_url: "https://user:secret@example.com".to_owned(),
            model: "m".to_owned(),
            query: vec![("key".to_owned(), "secret".to_owned())],
            body: Some(r#"{"token":"secret"}"#.to_owned()),
            stream: true,
        };
        assert_eq!(format!("{endpoint:?}"), "Endpoint { wire: gemini, model: m, stream: true, .. }");
    }
}
