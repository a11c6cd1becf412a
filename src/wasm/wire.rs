//! The flat wire: one value in one buffer, written by `pkg/wire.js` and read here.
//!
//! Each value starts with a tag byte; lengths, counts and key ids are little-endian `u32`:
//!
//! | tag | value | what follows |
//! |--:|---|---|
//! | 0 | null | |
//! | 1, 2 | false, true | |
//! | 3 | number | `f64`, little-endian |
//! | 4 | string | length in bytes, UTF-8 |
//! | 5 | array | count, items |
//! | 6 | object | count, then per field: key id, value. The id of a new key is the number of keys seen so far; its length and UTF-8 bytes follow at once |
//! | 7 | host value | kind (`u8`), size in bytes |
//! | 8 | deeper than the shell goes | |
//!
//! The shell is trusted with the content, not with the form: a damaged buffer is an error, never a panic, and no count
//! in it is believed before the bytes behind it are there.

use std::borrow::Cow;

use crate::value::{HostKind, HostValue, MAX_DEPTH, Value};

/// Containers within containers: a message may nest [`MAX_DEPTH`] levels and sits in two lists.
const MAX_WIRE_DEPTH: usize = MAX_DEPTH + 2;

/// The most items that are allocated for before any of them has been read.
const MAX_PREALLOCATED: usize = 1024;

/// The buffer is not what the shell writes. Only a bug (or a foreign caller) leads here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum WireError {
    /// The buffer ends within a value.
    #[error("the input buffer ends within a value")]
    Truncated,
    /// A tag, kind or key id that does not exist.
    #[error("the input buffer holds an unknown tag")]
    UnknownTag,
    /// Bytes that are not UTF-8.
    #[error("the input buffer holds bytes that are not UTF-8")]
    NotUtf8,
    /// Deeper than the shell ever writes.
    #[error("the input buffer is nested too deeply")]
    TooDeep,
    /// Bytes after the end, or another number of roots than the call takes.
    #[error("the input buffer does not hold what this call takes")]
    WrongShape,
}

type Result<T> = std::result::Result<T, WireError>;

/// Decodes a buffer whose root is a list.
pub(crate) fn decode_roots(bytes: &[u8]) -> Result<Vec<Value<'_>>> {
    match decode(bytes)? {
        Value::Array(roots) => Ok(roots),
        _ => Err(WireError::WrongShape),
    }
}

/// The roots of a call that takes `N` of them.
pub(crate) fn exactly<const N: usize>(roots: Vec<Value<'_>>) -> Result<[Value<'_>; N]> {
    roots.try_into().map_err(|_| WireError::WrongShape)
}

/// Decodes one value that fills the whole buffer. Strings are borrowed from it.
pub(crate) fn decode(bytes: &[u8]) -> Result<Value<'_>> {
    let mut reader = Reader { rest: bytes, keys: Vec::new() };
    let value = reader.value(0)?;
    if reader.rest.is_empty() { Ok(value) } else { Err(WireError::WrongShape) }
}

struct Reader<'a> {
    rest: &'a [u8],
    keys: Vec<&'a str>,
}

impl<'a> Reader<'a> {
    /// Reads one value. Recursion is bounded by [`MAX_WIRE_DEPTH`].
    fn value(&mut self, depth: usize) -> Result<Value<'a>> {
        match self.byte()? {
            0 => Ok(Value::Null),
            1 => Ok(Value::Bool(false)),
            2 => Ok(Value::Bool(true)),
            3 => Ok(Value::Number(f64::from_le_bytes(self.fixed()?))),
            4 => Ok(Value::String(Cow::Borrowed(self.text()?))),
            5 => self.array(depth + 1),
            6 => self.object(depth + 1),
            7 => self.host(),
            8 => Ok(Value::TooDeep),
            _ => Err(WireError::UnknownTag),
        }
    }

    fn array(&mut self, depth: usize) -> Result<Value<'a>> {
        let count = self.count(depth)?;
        let mut items = Vec::with_capacity(count.min(MAX_PREALLOCATED));
        for _ in 0..count {
            items.push(self.value(depth)?);
        }
        Ok(Value::Array(items))
    }

    fn object(&mut self, depth: usize) -> Result<Value<'a>> {
        let count = self.count(depth)?;
        let mut fields = Vec::with_capacity(count.min(MAX_PREALLOCATED));
        for _ in 0..count {
            let key = self.key()?;
            fields.push((Cow::Borrowed(key), self.value(depth)?));
        }
        Ok(Value::Object(fields))
    }

    fn key(&mut self) -> Result<&'a str> {
        let id = self.size()?;
        if id == self.keys.len() {
            let key = self.text()?;
            self.keys.push(key);
            return Ok(key);
        }
        self.keys.get(id).copied().ok_or(WireError::UnknownTag)
    }

    fn host(&mut self) -> Result<Value<'a>> {
        let kind = match self.byte()? {
            0 => HostKind::Binary,
            1 => HostKind::Url,
            2 => HostKind::Date,
            3 => HostKind::BigInt,
            4 => HostKind::Function,
            5 => HostKind::Instance,
            _ => return Err(WireError::UnknownTag),
        };
        Ok(Value::Host(HostValue { kind, bytes: u32::from_le_bytes(self.fixed()?) }))
    }

    fn text(&mut self) -> Result<&'a str> {
        let length = self.size()?;
        let (text, rest) = self.rest.split_at_checked(length).ok_or(WireError::Truncated)?;
        self.rest = rest;
        std::str::from_utf8(text).map_err(|_| WireError::NotUtf8)
    }

    /// The count of a container at `depth`. Every item takes at least one byte, so a larger count is a lie.
    fn count(&mut self, depth: usize) -> Result<usize> {
        if depth > MAX_WIRE_DEPTH {
            return Err(WireError::TooDeep);
        }
        let count = self.size()?;
        if count > self.rest.len() { Err(WireError::Truncated) } else { Ok(count) }
    }

    fn size(&mut self) -> Result<usize> {
        usize::try_from(u32::from_le_bytes(self.fixed()?)).map_err(|_| WireError::Truncated)
    }

    fn byte(&mut self) -> Result<u8> {
        let (&byte, rest) = self.rest.split_first().ok_or(WireError::Truncated)?;
        self.rest = rest;
        Ok(byte)
    }

    fn fixed<const N: usize>(&mut self) -> Result<[u8; N]> {
        let (bytes, rest) = self.rest.split_first_chunk::<N>().ok_or(WireError::Truncated)?;
        self.rest = rest;
        Ok(*bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::{MAX_WIRE_DEPTH, WireError, decode, decode_roots, exactly};
    use crate::value::{HostKind, HostValue, MAX_DEPTH, Value};

    fn u32_bytes(number: usize) -> [u8; 4] {
        u32::try_from(number).expect("small").to_le_bytes()
    }

    fn string(text: &str) -> Vec<u8> {
        [&[4][..], &u32_bytes(text.len()), text.as_bytes()].concat()
    }

    fn array(items: &[Vec<u8>]) -> Vec<u8> {
        [&[5][..], &u32_bytes(items.len()), &items.concat()].concat()
    }

    fn nested_arrays(depth: usize) -> Vec<u8> {
        let mut bytes: Vec<u8> = (1..depth).flat_map(|_| [5, 1, 0, 0, 0]).collect();
        bytes.extend([5, 0, 0, 0, 0]);
        bytes
    }

    /// `[{"role":"user","n":1.5},{"role":null},<binary 7>,<too deep>,true]`
    fn sample() -> Vec<u8> {
        let mut first = vec![6];
        first.extend(u32_bytes(2));
        first.extend(u32_bytes(0)); // new key 0
        first.extend(u32_bytes(4));
        first.extend(b"role");
        first.extend(string("user"));
        first.extend(u32_bytes(1)); // new key 1
        first.extend(u32_bytes(1));
        first.extend(b"n");
        first.push(3);
        first.extend(1.5f64.to_le_bytes());
        let mut second = vec![6];
        second.extend(u32_bytes(1));
        second.extend(u32_bytes(0)); // key 0 again
        second.push(0);
        array(&[first, second, vec![7, 0, 7, 0, 0, 0], vec![8], vec![2]])
    }

    #[test]
    fn every_kind_of_value_is_read() {
        let bytes = sample();
        let expected = Value::Array(vec![
            Value::Object(vec![("role".into(), Value::String("user".into())), ("n".into(), Value::Number(1.5))]),
            Value::Object(vec![("role".into(), Value::Null)]),
            Value::Host(HostValue { kind: HostKind::Binary, bytes: 7 }),
            Value::TooDeep,
            Value::Bool(true),
        ]);
        assert_eq!(decode(&bytes), Ok(expected));
    }

    #[test]
    fn a_call_gets_exactly_the_roots_it_takes() {
        let bytes = array(&[vec![0], string("é")]);
        let roots = decode_roots(&bytes).expect("a list");
        assert_eq!(exactly::<2>(roots.clone()), Ok([Value::Null, Value::String("é".into())]));
        assert_eq!(exactly::<3>(roots), Err(WireError::WrongShape));
        assert_eq!(decode_roots(&string("x")), Err(WireError::WrongShape));
    }

    #[test]
    fn every_prefix_of_a_buffer_is_refused() {
        let bytes = sample();
        for end in 0..bytes.len() {
            assert!(decode(&bytes[..end]).is_err(), "prefix of {end} bytes");
        }
        assert_eq!(decode(&[&bytes[..], &[0]].concat()), Err(WireError::WrongShape));
    }

    #[test]
    fn a_count_that_lies_allocates_nothing() {
        for tag in [4, 5, 6] {
            assert_eq!(decode(&[tag, 255, 255, 255, 255, 0, 0, 0]), Err(WireError::Truncated), "tag {tag}");
        }
        assert_eq!(decode(&[6, 1, 0, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255, 0]), Err(WireError::Truncated));
    }

    #[test]
    fn a_key_that_was_never_written_is_refused() {
        assert_eq!(decode(&[6, 1, 0, 0, 0, 7, 0, 0, 0, 0]), Err(WireError::UnknownTag));
    }

    #[test]
    fn text_that_is_not_utf8_is_refused() {
        assert_eq!(decode(&[4, 3, 0, 0, 0, 0xED, 0xA0, 0x80]), Err(WireError::NotUtf8));
    }

    #[test]
    fn nesting_is_read_to_the_limit_and_no_further() {
        assert_eq!(MAX_WIRE_DEPTH, MAX_DEPTH + 2);
        assert!(decode(&nested_arrays(MAX_WIRE_DEPTH)).is_ok());
        assert_eq!(decode(&nested_arrays(MAX_WIRE_DEPTH + 1)), Err(WireError::TooDeep));
        assert_eq!(decode(&nested_arrays(1_000_000)), Err(WireError::TooDeep));
    }

    #[test]
    fn damaged_buffers_never_panic() {
        let bytes = sample();
        let mut state = 0x9E37_79B9_7F4A_7C15_u64;
        let mut random = move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            usize::try_from(state >> 33).expect("31 bits")
        };
        for _ in 0..200_000 {
            let mut damaged = bytes.clone();
            for _ in 0..=random() % 4 {
                let at = random() % damaged.len();
                damaged[at] = u8::try_from(random() % 256).expect("a byte");
            }
            damaged.truncate(random() % (damaged.len() + 1));
            let _ = decode(&damaged);
        }
    }
}
