//! Records as JSON text: for the engine's own `JSON.parse`, and for stores. The same bytes as `serde_json` writes.
//!
//! One serializer without generic parts, for the shapes that our records have and no others: a general one
//! (`serde_json`, `serde-wasm-bindgen`) is several times the code.

use std::fmt::{self, Write as _};

use serde::ser::{Error, Impossible, Serialize, SerializeSeq, SerializeStruct, SerializeTuple, Serializer};

use super::push_quoted;

/// The JSON text of a record.
pub(crate) fn text<T: Serialize>(value: &T) -> Result<String, Unsupported> {
    let mut json = Json { out: String::new() };
    value.serialize(&mut json)?;
    Ok(json.out)
}

/// A shape that none of our records has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a record of a shape that the border does not know")]
pub(crate) struct Unsupported;

impl Error for Unsupported {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self
    }
}

/// The same with one more field at the end, `raw`, whose text is JSON already.
#[cfg_attr(all(target_family = "wasm", not(feature = "session")), allow(dead_code))]
pub(crate) fn text_beside<T: Serialize>(value: &T, name: &'static str, raw: &str) -> Result<String, Unsupported> {
    let mut text = text(value)?;
    text.pop();
    let mut json = Json { out: text };
    json.key(name);
    json.out.push_str(raw);
    json.out.push('}');
    Ok(json.out)
}

type Written = Result<(), Unsupported>;

struct Json {
    out: String,
}

impl Json {
    /// A comma, unless the list or object has just begun. (A text ends with its quotation mark.)
    #[inline(never)]
    fn next(&mut self) {
        if !matches!(self.out.as_bytes().last(), Some(b'[' | b'{')) {
            self.out.push(',');
        }
    }

    #[inline(never)]
    fn key(&mut self, key: &str) {
        self.next();
        self.text(key);
        self.out.push(':');
    }

    #[inline(never)]
    fn text(&mut self, text: &str) {
        push_quoted(text, &mut self.out);
    }

    #[inline(never)]
    fn number(&mut self, number: u64) {
        let _ = write!(self.out, "{number}");
    }
}

impl Serializer for &mut Json {
    type Ok = ();
    type Error = Unsupported;
    type SerializeSeq = Self;
    type SerializeTuple = Self;
    type SerializeTupleStruct = Impossible<(), Unsupported>;
    type SerializeTupleVariant = Impossible<(), Unsupported>;
    type SerializeMap = Impossible<(), Unsupported>;
    type SerializeStruct = Self;
    type SerializeStructVariant = Impossible<(), Unsupported>;

    fn serialize_bool(self, flag: bool) -> Written {
        self.out.push_str(if flag { "true" } else { "false" });
        Ok(())
    }

    fn serialize_u8(self, number: u8) -> Written {
        self.serialize_u64(u64::from(number))
    }

    fn serialize_u16(self, number: u16) -> Written {
        self.serialize_u64(u64::from(number))
    }

    fn serialize_u32(self, number: u32) -> Written {
        self.serialize_u64(u64::from(number))
    }

    fn serialize_u64(self, number: u64) -> Written {
        self.number(number);
        Ok(())
    }

    fn serialize_i8(self, _: i8) -> Written {
        Err(Unsupported)
    }

    fn serialize_i16(self, _: i16) -> Written {
        Err(Unsupported)
    }

    fn serialize_i32(self, _: i32) -> Written {
        Err(Unsupported)
    }

    fn serialize_i64(self, number: i64) -> Written {
        if number < 0 {
            self.out.push('-');
        }
        self.serialize_u64(number.unsigned_abs())
    }

    fn serialize_f32(self, _: f32) -> Written {
        Err(Unsupported)
    }

    // Only records of sessions have fractions, and there the general writer of numbers is linked anyway.
    #[cfg(any(not(target_family = "wasm"), feature = "session"))]
    fn serialize_f64(self, number: f64) -> Written {
        self.out.push_str(&serde_json::to_string(&number).map_err(|_| Unsupported)?);
        Ok(())
    }

    #[cfg(all(target_family = "wasm", not(feature = "session")))]
    fn serialize_f64(self, _: f64) -> Written {
        Err(Unsupported)
    }

    fn serialize_char(self, _: char) -> Written {
        Err(Unsupported)
    }

    fn serialize_str(self, text: &str) -> Written {
        self.text(text);
        Ok(())
    }

    fn serialize_bytes(self, _: &[u8]) -> Written {
        Err(Unsupported)
    }

    fn serialize_none(self) -> Written {
        self.out.push_str("null");
        Ok(())
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Written {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Written {
        self.serialize_none()
    }

    fn serialize_unit_struct(self, _: &'static str) -> Written {
        self.serialize_none()
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Written {
        self.serialize_str(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Written {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Written {
        Err(Unsupported)
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Self, Unsupported> {
        self.out.push('[');
        Ok(self)
    }

    fn serialize_tuple(self, _: usize) -> Result<Self, Unsupported> {
        self.out.push('[');
        Ok(self)
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Self::SerializeTupleStruct, Unsupported> {
        Err(Unsupported)
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleVariant, Unsupported> {
        Err(Unsupported)
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Self::SerializeMap, Unsupported> {
        Err(Unsupported)
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Self, Unsupported> {
        self.out.push('{');
        Ok(self)
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeStructVariant, Unsupported> {
        Err(Unsupported)
    }
}

impl SerializeSeq for &mut Json {
    type Ok = ();
    type Error = Unsupported;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Written {
        self.next();
        value.serialize(&mut **self)
    }

    fn end(self) -> Written {
        self.out.push(']');
        Ok(())
    }
}

impl SerializeTuple for &mut Json {
    type Ok = ();
    type Error = Unsupported;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Written {
        SerializeSeq::serialize_element(self, value)
    }

    fn end(self) -> Written {
        SerializeSeq::end(self)
    }
}

impl SerializeStruct for &mut Json {
    type Ok = ();
    type Error = Unsupported;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Written {
        self.key(key);
        value.serialize(&mut **self)
    }

    fn end(self) -> Written {
        self.out.push('}');
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Unsupported, text};
    use crate::{FitOptions, Messages};

    #[test]
    fn texts_are_escaped_so_that_they_read_the_same() {
        let odd: String = (0..=0x2ff).filter_map(char::from_u32).chain("\u{2028}語😀\"\\\\".chars()).collect();
        let json = text(&[odd.as_str(), "", "["]).expect("a list of texts");
        let read: Vec<String> = serde_json::from_str(&json).expect("JSON");
        assert_eq!(read, [odd.as_str(), "", "["]);
    }

    #[test]
    fn a_record_reads_as_what_serde_json_writes_of_it() {
        let message = |index: usize| {
            let role = if index.is_multiple_of(2) { "user" } else { "assistant" };
            format!(r#"{{"role":"{role}","content":"{}"}}"#, "some \\\"words\\\" of it. ".repeat(40))
        };
        let messages = format!("[{}]", (0..40).map(message).collect::<Vec<_>>().join(","));
        let messages = Messages::from_json(&messages).expect("messages");
        let plan = crate::plan(&messages, &FitOptions::new(3_000)).expect("it fits");
        assert!(!plan.patch.edits.is_empty());
        assert_eq!(text(&plan).expect("a record"), serde_json::to_string(&plan).expect("JSON"));
        assert_eq!(text(&(1_u8, None::<u8>, true)).as_deref(), Ok("[1,null,true]"));
        assert_eq!(text(&(-1_i64, i64::MIN, 7_i64)).as_deref(), Ok("[-1,-9223372036854775808,7]"));
        assert_eq!(text(&(1.5, 1.7e12, f64::NAN)).as_deref(), Ok("[1.5,1700000000000.0,null]"));
    }

    #[test]
    fn what_no_record_holds_is_refused() {
        assert_eq!(text(&1.5_f32), Err(Unsupported));
        assert_eq!(text(&std::collections::BTreeMap::from([(1, 2)])), Err(Unsupported));
    }
}
