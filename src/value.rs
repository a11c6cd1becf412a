//! The neutral tree that every format is read from.
//!
//! JSON text (natively) and host objects (across the JavaScript border) both become a [`Value`]; formats read fields
//! from it and never see where it came from. Text is borrowed wherever the source allows it.

use std::borrow::Cow;

/// How deep a field that is read may be nested: 128 levels, the limit `serde_json` uses too.
pub const MAX_DEPTH: usize = 128;

/// One value of a message.
#[derive(Debug, Clone, PartialEq)]
pub enum Value<'a> {
    /// JSON `null`.
    Null,
    /// JSON `true` or `false`.
    Bool(bool),
    /// A JSON number. Numbers are only echoed, never computed with, so a double is enough here.
    Number(f64),
    /// Text. A lone surrogate of the source reads as U+FFFD.
    String(Cow<'a, str>),
    /// A list.
    Array(Vec<Value<'a>>),
    /// Fields in source order. When a key occurs twice the last one counts, as in JavaScript.
    Object(Vec<(Cow<'a, str>, Value<'a>)>),
    #[cfg_attr(not(target_family = "wasm"), allow(dead_code))]
    /// Something that JSON cannot express; the host keeps it and gets the same reference back.
    Host(HostValue),
    /// The source goes on below [`MAX_DEPTH`]; an error only if a format has to read it.
    TooDeep,
}

/// A stand-in for a host value that is not JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HostValue {
    /// What it is.
    pub kind: HostKind,
    /// Size in bytes of binary data; 0 for everything else.
    pub bytes: u32,
}

/// Kinds of host values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(not(target_family = "wasm"), allow(dead_code))]
pub enum HostKind {
    /// `ArrayBuffer`, typed arrays, `DataView`, `Blob`.
    Binary,
    /// `URL`.
    Url,
    /// `Date`.
    Date,
    /// `BigInt`.
    BigInt,
    /// Functions and symbols.
    Function,
    /// Any other class instance (`Map`, `Set`, host classes).
    Instance,
}

impl HostKind {
    /// The name used in error messages.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Binary => "binary data",
            Self::Url => "a URL object",
            Self::Date => "a Date",
            Self::BigInt => "a BigInt",
            Self::Function => "a function or symbol",
            Self::Instance => "a class instance",
        }
    }
}

impl<'a> Value<'a> {
    /// The field `key` of an object; `None` when absent or when this is no object.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Value<'a>> {
        match self {
            Self::Object(fields) => fields.iter().rev().find(|(k, _)| k == key).map(|(_, v)| v),
            _ => None,
        }
    }

    /// Like [`get`](Self::get), but a field that is `null` counts as absent.
    #[must_use]
    pub fn get_some(&self, key: &str) -> Option<&Value<'a>> {
        self.get(key).filter(|v| !matches!(v, Self::Null))
    }

    /// The text of a string.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// The items of a list.
    #[must_use]
    pub fn as_array(&self) -> Option<&[Value<'a>]> {
        match self {
            Self::Array(items) => Some(items),
            _ => None,
        }
    }

    /// What this is, in words for an error message.
    #[must_use]
    pub fn describe(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Number(_) => "a number",
            Self::String(_) => "a string",
            Self::Array(_) => "an array",
            Self::Object(_) => "an object",
            Self::Host(host) => host.kind.name(),
            Self::TooDeep => "nested too deeply",
        }
    }
}
