//! JSON text: messages that keep theirs, and edits that touch no other byte.

mod read;
#[cfg(not(target_family = "wasm"))]
mod tree;
mod write;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::value::RawValue;

pub(crate) use read::is_cut_off;
use read::{RawField, raw_fields, raw_items};
#[cfg_attr(all(target_family = "wasm", not(feature = "session")), allow(unused_imports))]
pub(crate) use write::{Unsupported, text, text_beside};

use crate::error::{Boxed, Error, Result};
use crate::transcript::{Change, Inserted, Recipe, RecipeItem, Span, Step};
use crate::value::{MAX_DEPTH, Value};

/// Messages as JSON. Each keeps its own text, byte for byte.
#[derive(Debug, Clone, Default)]
pub struct Messages {
    raw: Vec<Raw>,
}

/// One JSON value as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Raw(Box<str>);

impl Raw {
    /// # Errors
    /// What is wrong, when the text is not JSON.
    pub(crate) fn checked(text: &str) -> std::result::Result<Self, String> {
        #[cfg(not(target_family = "wasm"))]
        let value = tree::check(text).map_err(|error| error.to_string());
        #[cfg(target_family = "wasm")]
        let value = read::check(text).ok_or_else(|| "the text cannot be read".to_owned());
        value.map(Self::known)
    }

    /// Of a text that is known to be JSON.
    pub(crate) fn known(text: &str) -> Self {
        Self(text.into())
    }

    pub(crate) fn get(&self) -> &str {
        &self.0
    }
}

/// For tests that compare what is read with what `serde` derives.
#[cfg(test)]
impl<'de> serde::Deserialize<'de> for Raw {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        Box::<RawValue>::deserialize(deserializer).map(|raw| Self::known(raw.get()))
    }
}

impl Messages {
    /// Reads a JSON array of messages. Only the array is parsed here; messages are kept as text.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] when the text is not a JSON array.
    pub fn from_json(text: &str) -> Result<Self> {
        let raw: Vec<&RawValue> = serde_json::from_str(text).map_err(|error| Error::InvalidInput {
            index: None,
            field: None,
            reason: format!("messages must be a JSON array: {error}"),
        })?;
        Ok(Self { raw: raw.into_iter().map(|raw| Raw::known(raw.get())).collect() })
    }

    /// Adds one message.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] when the text is not JSON.
    pub fn push_json(&mut self, text: &str) -> Result<()> {
        let index = self.raw.len();
        let raw = Raw::checked(text).map_err(|error| Error::InvalidInput {
            index: Some(index),
            field: None,
            reason: format!("is not JSON: {error}"),
        })?;
        self.raw.push(raw);
        Ok(())
    }

    /// The number of messages.
    #[must_use]
    pub fn len(&self) -> usize {
        self.raw.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.raw.is_empty()
    }

    /// The JSON text of each message.
    #[must_use]
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &str> {
        self.raw.iter().map(Raw::get)
    }

    /// The JSON text of one message.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<&str> {
        self.raw.get(index).map(Raw::get)
    }

    /// Adds messages at the end.
    pub(crate) fn extend(&mut self, more: &Self) {
        self.raw.extend_from_slice(&more.raw);
    }

    /// One message with changes, in its place.
    pub(crate) fn changed_text(text: &str, changes: &[Change]) -> Boxed<String> {
        let changes: Vec<Rest<'_>> = changes.iter().map(|change| (change.path.as_slice(), change)).collect();
        changed(text, &changes)
    }

    /// Some of them.
    pub(crate) fn slice(&self, range: std::ops::Range<usize>) -> Self {
        Self { raw: self.raw.get(range).unwrap_or_default().to_vec() }
    }

    /// All of them as one JSON array.
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut out = String::with_capacity(2 + self.iter().map(|text| text.len() + 1).sum::<usize>());
        out.push('[');
        for (index, text) in self.iter().enumerate() {
            if index > 0 {
                out.push(',');
            }
            out.push_str(text);
        }
        out.push(']');
        out
    }

    /// The messages as a neutral tree that borrows from the text.
    pub(crate) fn to_value(&self) -> Boxed<Value<'_>> {
        self.iter().enumerate().map(|(index, text)| parse(text, Some(index))).collect::<Boxed<_>>().map(Value::Array)
    }

    /// Carries a recipe out.
    pub(crate) fn cook(&self, recipe: &Recipe) -> Boxed<Self> {
        let mut raw = Vec::new();
        let lost = || Error::StalePlan;
        for item in &recipe.items {
            match item {
                RecipeItem::Keep(from, to) => raw.extend_from_slice(self.raw.get(*from..*to).ok_or_else(lost)?),
                RecipeItem::Edit(index, changes) => {
                    let text = self.get(*index).ok_or_else(lost)?;
                    let text = Self::changed_text(text, changes)?;
                    raw.push(Raw(text.into()));
                }
                RecipeItem::Insert { message, .. } => raw.push(inserted(message)?),
            }
        }
        Ok(Self { raw })
    }

    /// Puts a view and originals back together.
    pub(crate) fn restore(&self, spans: &[Span], originals: &Self) -> Boxed<Self> {
        let mut raw = Vec::new();
        for span in spans {
            match *span {
                Span::Given(from, to) => raw.extend_from_slice(self.raw.get(from..to).unwrap_or_default()),
                Span::Original(index) => {
                    raw.push(originals.raw.get(index).cloned().ok_or_else(|| Error::CannotUndo {
                        index: Some(index),
                        reason: format!("the original of message {index} is missing"),
                    })?);
                }
            }
        }
        Ok(Self { raw })
    }
}

impl PartialEq for Messages {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

fn inserted(message: &Inserted) -> Boxed<Raw> {
    let text =
        text(message).map_err(|error| Error::InvalidInput { index: None, field: None, reason: error.to_string() })?;
    Ok(Raw(text.into()))
}

// ------------------------------------------------------------------------------------------------------------- editing

/// A change, as far as it is still to be followed.
type Rest<'c> = (&'c [Step], &'c Change);

/// The text with some fields set or removed. Every other byte of every other field stays as it is. Each object and list
/// is taken apart once, however many of its fields change.
fn changed(text: &str, changes: &[Rest<'_>]) -> Boxed<String> {
    let Some((step, _)) = changes.last().and_then(|(path, _)| path.split_first()) else {
        let value = changes.last().and_then(|(_, change)| change.value.as_deref());
        return Ok(quoted(value.unwrap_or_default()));
    };
    // Changes below each step, in order.
    let mut below: BTreeMap<&Step, Vec<Rest<'_>>> = BTreeMap::new();
    for (path, change) in changes {
        if let Some((step, rest)) = path.split_first() {
            below.entry(step).or_default().push((rest, change));
        }
    }
    match step {
        Step::Key(_) => changed_object(text, &below),
        Step::Index(_) => changed_list(text, &below),
    }
}

fn changed_object(text: &str, below: &BTreeMap<&Step, Vec<Rest<'_>>>) -> Boxed<String> {
    let fields = raw_fields(text).ok_or(Error::StalePlan)?;
    let steps: Vec<Step> = fields.iter().map(|field| Step::Key(field.key.as_ref().to_owned())).collect();
    let removes = |changes: &[Rest<'_>]| changes.iter().any(|(path, change)| path.is_empty() && change.remove);
    let mut out = String::with_capacity(text.len());
    let mut put = |name: &str, value: &str| {
        out.push(if out.is_empty() { '{' } else { ',' });
        out.push_str(name);
        out.push(':');
        out.push_str(value);
    };
    for (at, RawField { name, value, .. }) in fields.iter().enumerate() {
        let Some((step, changes)) = steps.get(at).and_then(|step| below.get_key_value(step)) else {
            put(name, value);
            continue;
        };
        // The last of two equal keys counts, so that one is edited and the others go.
        let last = steps.iter().rposition(|other| other == *step) == Some(at);
        if last && !removes(changes) {
            put(name, &changed(value, changes)?);
        }
    }
    for (step, changes) in below {
        if let Step::Key(key) = step
            && !steps.contains(step)
            && !removes(changes)
        {
            put(&quoted(key), &changed("null", changes)?);
        }
    }
    if out.is_empty() {
        out.push('{');
    }
    out.push('}');
    Ok(out)
}

fn changed_list(text: &str, below: &BTreeMap<&Step, Vec<Rest<'_>>>) -> Boxed<String> {
    let items = raw_items(text).ok_or(Error::StalePlan)?;
    let mut out = String::with_capacity(text.len());
    out.push('[');
    for (at, item) in items.iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        match below.get(&Step::Index(at)) {
            Some(changes) => out.push_str(&changed(item, changes)?),
            None => out.push_str(item),
        }
    }
    out.push(']');
    Ok(out)
}

/// A JSON string, escaped as `JSON.stringify` does it.
fn quoted(text: &str) -> String {
    let mut out = String::new();
    push_quoted(text, &mut out);
    out
}

// ------------------------------------------------------------------------------------------------------------- reading

/// Reads JSON text into a neutral tree.
pub(crate) fn parse(text: &str, index: Option<usize>) -> Boxed<Value<'_>> {
    #[cfg(not(target_family = "wasm"))]
    let value = tree::read(text);
    #[cfg(target_family = "wasm")]
    let value = read::read(text).ok_or("the text cannot be read");
    value.map_err(|error| {
        Error::InvalidInput {
            index,
            field: None,
            reason: if index.is_some() {
                format!("is not JSON that can be read: {error}")
            } else {
                format!("not JSON: {error}")
            },
        }
        .into()
    })
}

/// Reads the text of an object, but for the field `apart`, which is returned as it is written. `None` when it is no object.
#[cfg_attr(all(target_family = "wasm", not(feature = "session")), allow(dead_code))]
pub(crate) fn parse_beside<'a>(text: &'a str, apart: &str) -> Option<(Value<'a>, Option<&'a str>)> {
    let raws = raw_fields(text)?;
    let mut fields = Vec::with_capacity(raws.len());
    let mut kept = None;
    for RawField { key, value, .. } in raws {
        if key == apart {
            kept = Some(value);
        } else {
            // What cannot be read is in nobody's way as long as nobody reads it.
            fields.push((key, parse(value, None).unwrap_or(Value::TooDeep)));
        }
    }
    Some((Value::Object(fields), kept))
}

/// Levels that are read; `serde_json` itself refuses the 128th, below that it only skips, which needs no recursion.
const LEVELS: usize = MAX_DEPTH - 2;

// ------------------------------------------------------------------------------------------------------------- writing

/// Writes a neutral tree as compact JSON. Host values become a short note: this text is only counted.
pub(crate) fn write_value(value: &Value<'_>, out: &mut String) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(flag) => out.push_str(if *flag { "true" } else { "false" }),
        Value::Number(number) => write_number(*number, out),
        Value::String(text) => write_text(text, out),
        Value::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write_value(item, out);
            }
            out.push(']');
        }
        Value::Object(fields) => {
            out.push('{');
            for (index, (key, value)) in fields.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write_text(key, out);
                out.push(':');
                write_value(value, out);
            }
            out.push('}');
        }
        Value::Host(host) => {
            let _ = write!(out, "[{}]", host.kind.name());
        }
        Value::TooDeep => out.push_str("[nested too deeply]"),
    }
}

/// Whole numbers exactly, others with six decimals: enough to count by, without the code that prints doubles.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn write_number(number: f64, out: &mut String) {
    let whole = number.trunc();
    if whole.abs() >= 1e15 {
        out.push_str("1000000000000000");
        return;
    }
    let _ = write!(out, "{}", whole as i64);
    let rest = (number - whole).abs();
    if rest > 0.0 {
        let _ = write!(out, ".{:06}", (rest * 1e6) as u32);
    }
}

fn write_text(text: &str, out: &mut String) {
    out.push('"');
    for char in text.chars() {
        match char {
            '"' | '\\' => out.extend(['\\', char]),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            other => out.push(other),
        }
    }
    out.push('"');
}

/// Writes a JSON string, escaped as `JSON.stringify` does it.
pub(crate) fn push_quoted(text: &str, out: &mut String) {
    out.push('"');
    let mut rest = text;
    // What has to be escaped is ASCII, so cutting there never splits a character.
    while let Some(at) = rest.bytes().position(|byte| byte < b' ' || byte == b'"' || byte == b'\\') {
        out.push_str(rest.get(..at).unwrap_or_default());
        out.push('\\');
        match rest.as_bytes().get(at).copied().unwrap_or_default() {
            b'\n' => out.push('n'),
            b'\r' => out.push('r'),
            b'\t' => out.push('t'),
            8 => out.push('b'),
            12 => out.push('f'),
            byte @ 0..b' ' => {
                out.push_str(if byte < 16 { "u000" } else { "u001" });
                out.extend(char::from_digit(u32::from(byte & 15), 16));
            }
            byte => out.push(char::from(byte)),
        }
        rest = rest.get(at + 1..).unwrap_or_default();
    }
    out.push_str(rest);
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn strings_are_escaped_as_serde_json_escapes_them() {
        let all: String = (0..0x300).filter_map(char::from_u32).chain("\u{2028}漢😀".chars()).collect();
        for text in ["", "\"", "plain", "\\\n", &all] {
            assert_eq!(quoted(text), serde_json::to_string(text).unwrap_or_default());
        }
    }
}
