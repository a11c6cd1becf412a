//! How results and errors leave.

// wasm-bindgen expands to the unsafe calls that a WebAssembly import takes; nothing here is unsafe by hand.
#![allow(unsafe_code)]

use serde::Serialize;
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;

use crate::api;
use crate::error::{Breakdown, Error};
use crate::format::Format;
use crate::json::{self, Unsupported};
use crate::transcript::{Patch, Recipe, Report, SourceMark, ViewMark};
use crate::wasm::wire::WireError;

#[wasm_bindgen]
extern "C" {
    /// The engine's reader. It gets only what `json` wrote.
    #[wasm_bindgen(js_namespace = JSON)]
    fn parse(text: &str) -> JsValue;
}

/// Why a call failed.
pub(crate) enum Failure {
    /// Something the caller can act on.
    Core(Box<Error>),
    /// A bug on our side.
    Internal(String),
}

impl From<Box<Error>> for Failure {
    fn from(error: Box<Error>) -> Self {
        Self::Core(error)
    }
}

#[cfg(feature = "session")]
impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Core(Box::new(error))
    }
}

impl From<WireError> for Failure {
    fn from(error: WireError) -> Self {
        Self::Internal(error.to_string())
    }
}

impl From<Unsupported> for Failure {
    fn from(error: Unsupported) -> Self {
        Self::Internal(error.to_string())
    }
}

/// Hands a result to JavaScript as the object that its JSON stands for (`docs/border.md` compares the ways).
pub(crate) fn out<T: Serialize>(value: &T) -> Result<JsValue, Failure> {
    Ok(parse(&json::text(value)?))
}

/// An outcome without what it says twice: a patch has the edits and repairs of its report.
#[derive(Serialize)]
pub(super) struct Slim<'a> {
    report: &'a Report,
    patch: SlimPatch<'a>,
    recipe: &'a Recipe,
}

/// A patch without what its report says.
#[derive(Serialize)]
pub(super) struct SlimPatch<'a> {
    version: u32,
    format: Format,
    source: &'a SourceMark,
    view: &'a ViewMark,
}

impl<'a> From<&'a api::Outcome> for Slim<'a> {
    fn from(outcome: &'a api::Outcome) -> Self {
        let api::Outcome { report, patch, recipe } = outcome;
        Self { report, patch: SlimPatch::from(patch), recipe }
    }
}

impl<'a> From<&'a Patch> for SlimPatch<'a> {
    fn from(Patch { version, format, source, view, .. }: &'a Patch) -> Self {
        Self { version: *version, format: *format, source, view }
    }
}

/// What the shell makes an `EpitomeError` of.
#[derive(Serialize)]
struct Thrown<'a> {
    code: &'a str,
    message: String,
    details: Details<'a>,
}

/// The details of every code together; each has its own few.
#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Details<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    index: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    option: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    looks_like: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<u64>,
    #[cfg(feature = "session")]
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_ms: Option<u64>,
    #[cfg(feature = "session")]
    #[serde(skip_serializing_if = "Option::is_none")]
    revision: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    required: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    breakdown: Option<Breakdown>,
}

impl From<Failure> for JsValue {
    fn from(failure: Failure) -> Self {
        let thrown = match &failure {
            Failure::Core(error) => Thrown { code: error.code(), message: error.to_string(), details: details(error) },
            Failure::Internal(message) => {
                Thrown { code: "internal", message: message.clone(), details: Details::default() }
            }
        };
        out(&thrown).unwrap_or(Self::NULL)
    }
}

fn details(error: &Error) -> Details<'_> {
    let none = Details::default();
    match error {
        Error::InvalidInput { index, field, .. } => Details { index: *index, field: field.as_deref(), ..none },
        Error::InvalidOption { option, .. } => Details { option: Some(option), ..none },
        Error::UnknownFormat { index, looks_like, .. } => {
            Details { index: *index, looks_like: looks_like.as_deref(), ..none }
        }
        Error::TooDeep { index, field } => Details { index: Some(*index), field: Some(field), ..none },
        Error::TooLarge { index, bytes, limit } => {
            Details { index: *index, bytes: Some(*bytes), limit: Some(*limit), ..none }
        }
        Error::IrreducibleBudget { limit, required, breakdown } => {
            Details { limit: Some(*limit), required: Some(*required), breakdown: Some(*breakdown), ..none }
        }
        Error::CannotUndo { index, .. } => Details { index: *index, ..none },
        #[cfg(feature = "session")]
        Error::Provider(error) => Details { limit: error.limit, retry_after_ms: error.retry_after_ms, ..none },
        #[cfg(feature = "session")]
        Error::Store(error) => Details { revision: error.revision, ..none },
        // The last two come from models, which only the module `session` asks.
        _ => none,
    }
}
