//! A message as its JSON text and, field by field, as plain JSON. Only the fields that the format names are parsed, so
//! that nesting, huge numbers and lone surrogates elsewhere do not stand in the way.

use serde_json::Value;
use serde_json::value::RawValue;

use super::HEADER;

#[derive(Debug, Clone)]
pub struct Msg {
    pub raw: String,
    /// Fields in order, as text, keys decoded; lone surrogates read as U+FFFD.
    pub fields: Vec<(String, String)>,
    role: String,
    summary: bool,
}

impl Msg {
    pub fn new(raw: &str) -> Self {
        let whole = without_lone_surrogates(raw);
        let fields: Fields = serde_json::from_str(&whole).unwrap_or_else(|error| panic!("{error} in {}", short(raw)));
        let mut message = Self { raw: raw.to_owned(), fields: fields.0, role: String::new(), summary: false };
        message.get("role").as_str().unwrap_or_default().clone_into(&mut message.role);
        message.summary =
            message.role == "user" && message.texts().first().is_some_and(|text| text.starts_with(HEADER));
        message
    }

    pub fn all<'r>(raws: impl IntoIterator<Item = &'r str>) -> Vec<Self> {
        raws.into_iter().map(Self::new).collect()
    }

    /// The last field of that name, as in JavaScript; null when absent.
    pub fn get(&self, key: &str) -> Value {
        self.raw_field(key).map_or(Value::Null, |text| {
            serde_json::from_str(text).unwrap_or_else(|error| panic!("{error} in `{key}` of {}", short(&self.raw)))
        })
    }

    pub fn raw_field(&self, key: &str) -> Option<&str> {
        self.fields.iter().rev().find(|(name, _)| name == key).map(|(_, text)| text.as_str())
    }

    pub fn role(&self) -> String {
        self.role.clone()
    }

    pub fn is_system(&self) -> bool {
        matches!(self.role.as_str(), "system" | "developer")
    }

    pub fn is_result(&self) -> bool {
        matches!(self.role.as_str(), "tool" | "function")
    }

    /// The texts of `content`, in order.
    pub fn texts(&self) -> Vec<String> {
        match self.get("content") {
            Value::String(text) => vec![text],
            Value::Array(parts) => parts
                .iter()
                .filter(|part| part["type"] == "text")
                .filter_map(|part| part["text"].as_str().map(str::to_owned))
                .collect(),
            _ => Vec::new(),
        }
    }

    /// (legacy, key, name, arguments) of every call. A legacy call is answered by name.
    pub fn calls(&self) -> Vec<(bool, String, String, String)> {
        let mut calls = Vec::new();
        for call in self.get("tool_calls").as_array().into_iter().flatten() {
            let (body, payload) =
                if call["type"] == "custom" { ("custom", "input") } else { ("function", "arguments") };
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let name = text(&call[body]["name"]);
            let id = text(&call["id"]);
            let legacy = id.is_empty();
            calls.push((legacy, if legacy { name.clone() } else { id }, name, text(&call[body][payload])));
        }
        let legacy = self.get("function_call");
        if legacy.is_object() {
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            calls.push((true, text(&legacy["name"]), text(&legacy["name"]), text(&legacy["arguments"])));
        }
        calls
    }

    pub fn has_calls(&self) -> bool {
        self.role() == "assistant" && !self.calls().is_empty()
    }

    /// A user message that begins like a summary of ours.
    pub fn looks_like_summary(&self) -> bool {
        self.summary
    }
}

pub fn short(text: &str) -> String {
    let head: String = text.chars().take(160).collect();
    if head.len() < text.len() { format!("{head}… ({} bytes)", text.len()) } else { head }
}

/// At most so many characters.
pub fn clip(text: &str, most: usize) -> String {
    text.chars().take(most).collect()
}

/// JSON allows escaped halves of surrogate pairs, UTF-8 does not; they become U+FFFD.
pub fn without_lone_surrogates(text: &str) -> String {
    if !text.contains("\\u") {
        return text.to_owned();
    }
    let chars: Vec<char> = text.chars().collect();
    let unit = |at: usize| -> Option<u32> {
        (chars.get(at) == Some(&'\\') && chars.get(at + 1) == Some(&'u'))
            .then(|| {
                chars.get(at + 2..at + 6).and_then(|hex| u32::from_str_radix(&hex.iter().collect::<String>(), 16).ok())
            })
            .flatten()
    };
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while at < chars.len() {
        if chars[at] != '\\' {
            out.push(chars[at]);
            at += 1;
            continue;
        }
        let step = match unit(at) {
            Some(high) if (0xD800..0xDC00).contains(&high) => {
                if unit(at + 6).is_some_and(|low| (0xDC00..0xE000).contains(&low)) { 12 } else { 0 }
            }
            Some(low) if (0xDC00..0xE000).contains(&low) => 0,
            Some(_) => 6,
            None => 2,
        };
        if step == 0 {
            out.push_str("\\uFFFD");
            at += 6;
        } else {
            out.extend(&chars[at..(at + step).min(chars.len())]);
            at += step;
        }
    }
    out
}

struct Fields(Vec<(String, String)>);

impl<'de> serde::Deserialize<'de> for Fields {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> serde::de::Visitor<'de> for Collect {
            type Value = Fields;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
                let mut fields = Vec::new();
                while let Some((key, value)) = map.next_entry::<String, Box<RawValue>>()? {
                    fields.push((key, value.get().to_owned()));
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(Collect)
    }
}
