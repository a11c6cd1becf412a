//! Other ways across the border, to be measured beside the one in use (`benches/border`). In no published build.

#![allow(unsafe_code)]

use std::borrow::Cow;
use std::fmt;

use serde::Serialize as _;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;

use crate::transcript::{Change, Edit, Step};
use crate::value::Value;
use crate::wasm::buffer::Input;
use crate::wasm::outward::out;
use crate::wasm::wire;

/// Inward, the way in use: the flat wire. Returns the number of values read, as do the others.
#[wasm_bindgen]
pub fn bench_in_wire(length: usize) -> Result<usize, JsValue> {
    let input = Input::take(length);
    wire::decode(&input).map(|value| size(&value)).map_err(|error| error.to_string().into())
}

/// Inward as JSON text: the shell stringifies and encodes, `serde_json` parses.
#[wasm_bindgen]
pub fn bench_in_json(length: usize) -> Result<usize, JsValue> {
    let input = Input::take(length);
    let text = std::str::from_utf8(&input).map_err(|error| error.to_string())?;
    crate::json::parse(text, None).map(|value| size(&value)).map_err(|error| error.to_string().into())
}

/// Inward with `serde-wasm-bindgen`: the object itself crosses and is read property by property.
#[wasm_bindgen]
pub fn bench_in_serde(value: JsValue) -> Result<usize, JsValue> {
    let tree: Tree = serde_wasm_bindgen::from_value(value)?;
    Ok(size(&tree.0))
}

/// Outward with `serde-wasm-bindgen`, which builds the objects property by property.
#[wasm_bindgen]
pub fn bench_out_serde(edits: usize) -> Result<JsValue, JsValue> {
    Ok(sample(edits).serialize(&serde_wasm_bindgen::Serializer::json_compatible())?)
}

/// Outward, the way in use: JSON text, which the engine parses.
#[wasm_bindgen]
pub fn bench_out_json(edits: usize) -> Result<JsValue, JsValue> {
    out(&sample(edits)).map_err(JsValue::from)
}

/// Edits as a long compaction has them.
fn sample(edits: usize) -> Vec<Edit> {
    (0..edits)
        .map(|index| Edit::Prune {
            index,
            tokens_before: 1_000,
            tokens_after: 12,
            changes: vec![Change::set(vec![Step::Key("content".into())], "[tool result of 988 tokens pruned]")],
        })
        .collect()
}

fn size(value: &Value<'_>) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(size).sum::<usize>(),
        Value::Object(fields) => 1 + fields.iter().map(|(_, value)| size(value)).sum::<usize>(),
        _ => 1,
    }
}

/// A [`Value`] that owns its text, as `serde-wasm-bindgen` can only give owned text.
struct Tree(Value<'static>);

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TreeVisitor).map(Tree)
    }
}

struct TreeVisitor;

impl<'de> Visitor<'de> for TreeVisitor {
    type Value = Value<'static>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Self::Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Self::Value, E> {
        Ok(Value::Number(value))
    }

    #[expect(clippy::cast_precision_loss, reason = "as in JavaScript")]
    fn visit_i64<E>(self, value: i64) -> Result<Self::Value, E> {
        Ok(Value::Number(value as f64))
    }

    #[expect(clippy::cast_precision_loss, reason = "as in JavaScript")]
    fn visit_u64<E>(self, value: u64) -> Result<Self::Value, E> {
        Ok(Value::Number(value as f64))
    }

    fn visit_str<E>(self, value: &str) -> Result<Self::Value, E> {
        Ok(Value::String(Cow::Owned(value.to_owned())))
    }

    fn visit_string<E>(self, value: String) -> Result<Self::Value, E> {
        Ok(Value::String(Cow::Owned(value)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut items = Vec::new();
        while let Some(Tree(item)) = seq.next_element()? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut fields = Vec::new();
        while let Some((key, Tree(value))) = map.next_entry::<String, Tree>()? {
            fields.push((Cow::Owned(key), value));
        }
        Ok(Value::Object(fields))
    }
}
