//! Whether two messages are the same, and whether one is the other, further along.

use std::collections::BinaryHeap;
use std::hash::Hasher;

use twox_hash::XxHash64;

use crate::json;
use crate::value::Value;

/// XXH64 of everything up to and with this message, given that of everything before it. Two texts that differ only in
/// white space or in the order of keys count as the same message.
pub(crate) fn chained(before: u64, text: &str) -> u64 {
    let mut hasher = XxHash64::with_seed(before);
    match json::parse(text, None) {
        Ok(value) if is_read_whole(&value) => feed(&value, &mut hasher),
        // Deeper than it is read: then it goes by its text.
        _ => hasher.write(text.as_bytes()),
    }
    hasher.finish()
}

/// A chain value in the stored form.
pub(crate) fn hex(chain: u64) -> String {
    format!("{chain:016x}")
}

/// From the stored form.
pub(crate) fn of_hex(text: &str) -> Option<u64> {
    u64::from_str_radix(text, 16).ok()
}

/// Depth is bounded by [`crate::value::MAX_DEPTH`].
fn is_read_whole(value: &Value<'_>) -> bool {
    match value {
        Value::TooDeep => false,
        Value::Array(items) => items.iter().all(is_read_whole),
        Value::Object(fields) => fields.iter().all(|(_, value)| is_read_whole(value)),
        _ => true,
    }
}

/// Depth is bounded by [`crate::value::MAX_DEPTH`].
fn feed(value: &Value<'_>, hasher: &mut XxHash64) {
    match value {
        Value::Null | Value::TooDeep | Value::Host(_) => hasher.write(&[0]),
        Value::Bool(value) => hasher.write(&[1, u8::from(*value)]),
        Value::Number(number) => {
            hasher.write(&[2]);
            hasher.write(&number.to_bits().to_le_bytes());
        }
        Value::String(text) => {
            hasher.write(&[3]);
            feed_text(text, hasher);
        }
        Value::Array(items) => {
            hasher.write(&[4]);
            hasher.write(&(items.len() as u64).to_le_bytes());
            for item in items {
                feed(item, hasher);
            }
        }
        Value::Object(fields) => {
            // (A sort of the standard library is twice the code.)
            let order: BinaryHeap<(&str, usize)> = fields.iter().zip(0..).map(|(field, at)| (&*field.0, at)).collect();
            hasher.write(&[5]);
            hasher.write(&(fields.len() as u64).to_le_bytes());
            for (key, value) in order.into_sorted_vec().into_iter().filter_map(|(_, at)| fields.get(at)) {
                feed_text(key, hasher);
                feed(value, hasher);
            }
        }
    }
}

fn feed_text(text: &str, hasher: &mut XxHash64) {
    hasher.write(&(text.len() as u64).to_le_bytes());
    hasher.write(text.as_bytes());
}

/// Whether the second message is the first, further along: what a model is still writing. That is so when no user wrote
/// it and both carry the same `id`, or when everything that the first says is said by the second, which goes on.
pub(crate) fn has_grown(old: &str, new: &str) -> bool {
    let (Ok(old), Ok(new)) = (json::parse(old, None), json::parse(new, None)) else { return false };
    let role = |message: &Value<'_>| message.get("role").and_then(Value::as_str).map(str::to_owned);
    let (was, is) = (role(&old), role(&new));
    if was != is || matches!(was.as_deref(), None | Some("user" | "system" | "developer")) {
        return false;
    }
    match (old.get_some("id"), new.get_some("id")) {
        (Some(was), Some(is)) => was == is,
        _ => goes_on(&old, &new),
    }
}

/// Whether everything in the first is in the second, as it is or longer. Depth is bounded as above.
fn goes_on(old: &Value<'_>, new: &Value<'_>) -> bool {
    match (old, new) {
        // What a model says last is often null at first.
        (Value::Null, _) => true,
        (Value::String(old), Value::String(new)) => new.starts_with(old.as_ref()),
        (Value::Array(old), Value::Array(new)) => {
            old.len() <= new.len() && old.iter().zip(new).all(|(old, new)| goes_on(old, new))
        }
        (Value::Object(old), new @ Value::Object(_)) => {
            old.iter().all(|(key, old)| new.get(key).is_some_and(|new| goes_on(old, new)))
        }
        (old, new) => old == new,
    }
}

#[cfg(test)]
mod tests {
    use super::{chained, has_grown};

    #[test]
    fn white_space_and_the_order_of_keys_make_no_difference() {
        let a = chained(7, r#"{"role":"user","content":"hi","x":[1,2]}"#);
        assert_eq!(a, chained(7, r#"{ "x": [1, 2.0], "content": "h\u0069", "role": "user" }"#));
        assert_ne!(a, chained(8, r#"{"role":"user","content":"hi","x":[1,2]}"#));
        assert_ne!(a, chained(7, r#"{"role":"user","content":"hi","x":[2,1]}"#));
        assert_ne!(a, chained(7, r#"{"role":"user","content":"hi","x":[1,2],"y":null}"#));
    }

    #[test]
    fn what_lies_deep_makes_a_difference() {
        let deep = |inner: &str| {
            format!(r#"{{"role":"user","content":"hi","x":{}{inner}{}}}"#, "[".repeat(300), "]".repeat(300))
        };
        assert_eq!(chained(0, &deep("1")), chained(0, &deep("1")));
        assert_ne!(chained(0, &deep("1")), chained(0, &deep("2")));
    }

    #[test]
    fn a_message_grows_by_what_its_model_adds() {
        let grown = |old, new| has_grown(old, new);
        assert!(grown(r#"{"role":"assistant","content":"Hel"}"#, r#"{"role":"assistant","content":"Hello"}"#));
        assert!(grown(
            r#"{"role":"assistant","content":null}"#,
            r#"{"role":"assistant","content":"x","tool_calls":[]}"#
        ));
        assert!(!grown(r#"{"role":"assistant","content":"Hello"}"#, r#"{"role":"assistant","content":"Help"}"#));
        assert!(!grown(r#"{"role":"user","content":"Hel"}"#, r#"{"role":"user","content":"Hello"}"#));
        assert!(!grown(r#"{"role":"assistant","content":"a"}"#, r#"{"role":"tool","content":"ab"}"#));
    }

    #[test]
    fn a_message_with_an_id_is_the_same_as_long_as_the_id_is() {
        let message = |id: &str, state: &str| {
            format!(r#"{{"id":"{id}","role":"assistant","parts":[{{"type":"text","text":"x","state":"{state}"}}]}}"#)
        };
        assert!(has_grown(&message("a", "streaming"), &message("a", "done")));
        assert!(!has_grown(&message("a", "streaming"), &message("b", "streaming")));
    }
}
