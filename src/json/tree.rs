//! JSON text read by `serde_json`, whose errors say what is wrong and where.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::LEVELS;
use crate::value::Value;

/// Reads JSON text into a neutral tree.
pub(super) fn read(text: &str) -> Result<Value<'_>, serde_json::Error> {
    if let Some(whole) = without_lone_surrogates(text) {
        return tree(&whole).or_else(|_| fields(&whole)).map(into_owned);
    }
    tree(text).or_else(|_| fields(text))
}

/// The one JSON value of a text, as it is written.
pub(super) fn check(text: &str) -> Result<&str, serde_json::Error> {
    serde_json::from_str::<&RawValue>(text).map(RawValue::get)
}

/// JSON allows numbers that no double can hold; an object with such a one is read field by field, so that only the
/// field that holds it is unreadable. It is echoed all the same.
fn fields(text: &str) -> Result<Value<'_>, serde_json::Error> {
    let fields: Vec<(&RawValue, &RawValue)> = serde_json::from_str::<Raws<'_>>(text)?.0;
    let value = |raw: &RawValue| tree(raw.get()).map_or(Value::Number(f64::NAN), into_owned);
    Ok(Value::Object(
        fields
            .into_iter()
            .map(|(key, raw)| Ok((Cow::Owned(serde_json::from_str(key.get())?), value(raw))))
            .collect::<Result<_, serde_json::Error>>()?,
    ))
}

fn tree(text: &str) -> Result<Value<'_>, serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let value = Tree { depth: 0 }.deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(value)
}

/// Escaped halves of surrogate pairs without their other half, which JSON allows and UTF-8 does not have, replaced by
/// U+FFFD. `None` when there are none.
fn without_lone_surrogates(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let unit = |at: usize| -> Option<u16> {
        if bytes.get(at) != Some(&b'\\') || bytes.get(at + 1) != Some(&b'u') {
            return None;
        }
        u16::from_str_radix(text.get(at + 2..at + 6)?, 16).ok()
    };
    let mut out: Option<String> = None;
    let mut copied = 0;
    let mut at = 0;
    while let Some(found) = text.get(at..)?.find('\\') {
        at += found;
        match unit(at) {
            Some(high @ 0xD800..=0xDBFF) if matches!(unit(at + 6), Some(0xDC00..=0xDFFF)) => {
                let _ = high;
                at += 12;
            }
            Some(0xD800..=0xDFFF) => {
                let out = out.get_or_insert_with(String::new);
                out.push_str(text.get(copied..at)?);
                out.push_str("\\ufffd");
                at += 6;
                copied = at;
            }
            Some(_) => at += 6,
            // A backslash and what it escapes; the next character may be longer than a byte.
            None => at += 1 + text.get(at + 1..).and_then(|rest| rest.chars().next()).map_or(0, char::len_utf8),
        }
    }
    let mut out = out?;
    out.push_str(text.get(copied..)?);
    Some(out)
}

fn into_owned(value: Value<'_>) -> Value<'static> {
    match value {
        Value::Null => Value::Null,
        Value::Bool(flag) => Value::Bool(flag),
        Value::Number(number) => Value::Number(number),
        Value::String(text) => Value::String(Cow::Owned(text.into_owned())),
        Value::Array(items) => Value::Array(items.into_iter().map(into_owned).collect()),
        Value::Object(fields) => Value::Object(
            fields.into_iter().map(|(key, value)| (Cow::Owned(key.into_owned()), into_owned(value))).collect(),
        ),
        Value::Host(host) => Value::Host(host),
        Value::TooDeep => Value::TooDeep,
    }
}

#[derive(Clone, Copy)]
struct Tree {
    depth: usize,
}

impl<'de> DeserializeSeed<'de> for Tree {
    type Value = Value<'de>;
    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Value<'de>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

/// A key, borrowed where it has no escapes.
struct Key;

impl<'de> DeserializeSeed<'de> for Key {
    type Value = Cow<'de, str>;
    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Key {
    type Value = Cow<'de, str>;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }
    fn visit_borrowed_str<E>(self, v: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(v))
    }
    fn visit_str<E>(self, v: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(v.to_owned()))
    }
}

impl<'de> Visitor<'de> for Tree {
    type Value = Value<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }
    fn visit_unit<E>(self) -> Result<Value<'de>, E> {
        Ok(Value::Null)
    }
    fn visit_bool<E>(self, v: bool) -> Result<Value<'de>, E> {
        Ok(Value::Bool(v))
    }
    fn visit_f64<E>(self, v: f64) -> Result<Value<'de>, E> {
        Ok(Value::Number(v))
    }
    #[allow(clippy::cast_precision_loss)]
    fn visit_u64<E>(self, v: u64) -> Result<Value<'de>, E> {
        Ok(Value::Number(v as f64))
    }
    #[allow(clippy::cast_precision_loss)]
    fn visit_i64<E>(self, v: i64) -> Result<Value<'de>, E> {
        Ok(Value::Number(v as f64))
    }
    fn visit_borrowed_str<E>(self, v: &'de str) -> Result<Value<'de>, E> {
        Ok(Value::String(Cow::Borrowed(v)))
    }
    fn visit_str<E>(self, v: &str) -> Result<Value<'de>, E> {
        Ok(Value::String(Cow::Owned(v.to_owned())))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value<'de>, A::Error> {
        if self.depth >= LEVELS {
            while seq.next_element::<IgnoredAny>()?.is_some() {}
            return Ok(Value::TooDeep);
        }
        let mut items = Vec::new();
        while let Some(item) = seq.next_element_seed(Tree { depth: self.depth + 1 })? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value<'de>, A::Error> {
        if self.depth >= LEVELS {
            while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            return Ok(Value::TooDeep);
        }
        let mut fields = Vec::new();
        while let Some(key) = map.next_key_seed(Key)? {
            fields.push((key, map.next_value_seed(Tree { depth: self.depth + 1 })?));
        }
        Ok(Value::Object(fields))
    }
}

/// The fields of an object in order, keys and values as they are written.
struct Raws<'a>(Vec<(&'a RawValue, &'a RawValue)>);

impl<'de> Deserialize<'de> for Raws<'de> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Raws<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Raws<'de>, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Raws(fields))
            }
        }
        deserializer.deserialize_map(Collect)
    }
}
