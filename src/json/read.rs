//! A reader of JSON for modules that are downloaded: a fraction of the code of `serde_json`, and no error texts.
//!
//! It takes the texts that `serde_json` takes and makes the same of them, but for the last digits of some numbers: those
//! of at most 19 digits before and behind the point are exact.

use std::borrow::Cow;

use super::LEVELS;
use crate::value::Value;

/// Powers of ten whose exponents are powers of two.
const POWERS: [f64; 9] = [1e1, 1e2, 1e4, 1e8, 1e16, 1e32, 1e64, 1e128, 1e256];

/// Reads JSON text into a neutral tree. `None` when it is no JSON.
///
/// An object with a number that no double can hold is read all the same; only the field that holds it is unreadable.
#[cfg_attr(not(target_family = "wasm"), allow(dead_code))]
pub(super) fn read(text: &str) -> Option<Value<'_>> {
    let mut reader = Reader::new(text);
    let value = reader.whole(1)?;
    match value {
        _ if !reader.lost => Some(value),
        // Once more, each field for itself: so `tree` does it, too.
        Value::Object(_) => Reader::new(text).whole(0),
        _ => None,
    }
}

/// The one JSON value of a text, as it is written. `None` when it is no JSON.
#[cfg_attr(not(target_family = "wasm"), allow(dead_code))]
pub(super) fn check(text: &str) -> Option<&str> {
    let mut reader = Reader::new(text);
    let value = reader.raw()?;
    reader.peek().is_none().then_some(value)
}

/// A field of an object as it is written: its name, what that says, and its value.
pub(super) struct RawField<'a> {
    pub name: &'a str,
    pub key: Cow<'a, str>,
    pub value: &'a str,
}

/// The fields of an object in order. `None` when the text is no object.
pub(super) fn raw_fields(text: &str) -> Option<Vec<RawField<'_>>> {
    let mut reader = Reader::new(text);
    let mut fields = Vec::new();
    reader.peek();
    reader.word("{")?;
    while reader.goes_on(b'}', fields.is_empty())? {
        reader.peek()?;
        let from = reader.at;
        let key = reader.key()?;
        let name = text.get(from..reader.at)?.trim_end_matches(':').trim_end();
        fields.push(RawField { name, key, value: reader.raw()? });
    }
    reader.peek().is_none().then_some(fields)
}

/// The items of a list in order. `None` when the text is no list.
pub(super) fn raw_items(text: &str) -> Option<Vec<&str>> {
    let mut reader = Reader::new(text);
    let mut items = Vec::new();
    reader.peek();
    reader.word("[")?;
    while reader.goes_on(b']', items.is_empty())? {
        items.push(reader.raw()?);
    }
    reader.peek().is_none().then_some(items)
}

/// Whether a text is only the beginning of JSON.
pub(crate) fn is_cut_off(text: &str) -> bool {
    let mut reader = Reader::new(text);
    reader.whole(1).is_none() && reader.at == text.len()
}

/// What is left of a text. On an error it stops before the first byte that cannot stand there.
struct Reader<'a> {
    text: &'a str,
    at: usize,
    /// Whether there was a number that no double can hold.
    lost: bool,
}

impl<'a> Reader<'a> {
    fn new(text: &'a str) -> Self {
        Self { text, at: 0, lost: false }
    }

    /// The one value of the text. At depth 0 stands an object whose fields are read each for itself.
    fn whole(&mut self, depth: usize) -> Option<Value<'a>> {
        let value = self.value(depth)?;
        self.peek().is_none().then_some(value)
    }

    fn value(&mut self, depth: usize) -> Option<Value<'a>> {
        let value = match self.peek()? {
            b'[' | b'{' if depth > LEVELS => {
                self.skip()?;
                Value::TooDeep
            }
            b'[' => self.list(depth)?,
            b'{' => self.object(depth)?,
            _ => {
                let value = self.scalar()?;
                self.lost |= matches!(value, Value::Number(number) if number.is_infinite());
                value
            }
        };
        Some(value)
    }

    /// A value as it is written.
    fn raw(&mut self) -> Option<&'a str> {
        let is_open = matches!(self.peek()?, b'[' | b'{');
        let from = self.at;
        if is_open {
            self.skip()?;
        } else {
            self.scalar()?;
        }
        self.text.get(from..self.at)
    }

    fn list(&mut self, depth: usize) -> Option<Value<'a>> {
        self.at += 1;
        let mut items = Vec::new();
        while self.goes_on(b']', items.is_empty())? {
            items.push(self.value(depth + 1)?);
        }
        Some(Value::Array(items))
    }

    fn object(&mut self, depth: usize) -> Option<Value<'a>> {
        self.at += 1;
        let mut fields = Vec::new();
        while self.goes_on(b'}', fields.is_empty())? {
            let key = self.key()?;
            let mut value = self.value(depth + 1)?;
            if depth == 0 && std::mem::take(&mut self.lost) {
                value = Value::Number(f64::NAN);
            }
            fields.push((key, value));
        }
        Some(Value::Object(fields))
    }

    /// Checks a list or an object that is not read. There is no limit to how deep it goes, so there is no recursion.
    fn skip(&mut self) -> Option<()> {
        let mut open = Vec::new();
        loop {
            let close = match self.peek()? {
                b'[' => b']',
                b'{' => b'}',
                _ => 0,
            };
            if close == 0 {
                self.scalar()?;
            } else {
                self.at += 1;
                open.push(close);
            }
            let mut first = close != 0;
            while !self.goes_on(*open.last()?, first)? {
                open.pop();
                first = false;
                if open.is_empty() {
                    return Some(());
                }
            }
            if open.last() == Some(&b'}') {
                self.key()?;
            }
        }
    }

    /// Whether a list or an object goes on. Reads what stands between two values, or the end.
    fn goes_on(&mut self, close: u8, first: bool) -> Option<bool> {
        if self.peek()? == close {
            self.at += 1;
            return Some(false);
        }
        if !first {
            self.word(",")?;
        }
        Some(true)
    }

    /// The name of a field and the colon after it.
    fn key(&mut self) -> Option<Cow<'a, str>> {
        self.peek();
        self.word("\"")?;
        let key = self.string()?;
        self.peek();
        self.word(":")?;
        Some(key)
    }

    fn scalar(&mut self) -> Option<Value<'a>> {
        let (word, value) = match self.peek()? {
            b'"' => {
                self.at += 1;
                return self.string().map(Value::String);
            }
            b'n' => ("null", Value::Null),
            b't' => ("true", Value::Bool(true)),
            b'f' => ("false", Value::Bool(false)),
            _ => return self.number().map(Value::Number),
        };
        self.word(word)?;
        Some(value)
    }

    /// A string up to its closing quotation mark; borrowed where it has no escapes.
    fn string(&mut self) -> Option<Cow<'a, str>> {
        let mut out = String::new();
        let mut from = self.at;
        loop {
            let byte = self.byte()?;
            if byte == b'"' || byte == b'\\' {
                let piece = self.text.get(from..self.at)?;
                self.at += 1;
                // Whatever is escaped leaves something in `out`.
                if byte == b'"' && out.is_empty() {
                    return Some(Cow::Borrowed(piece));
                }
                out.push_str(piece);
                if byte == b'"' {
                    return Some(Cow::Owned(out));
                }
                out.push(self.escaped()?);
                from = self.at;
            } else if byte < b' ' {
                return None;
            } else {
                self.at += 1;
            }
        }
    }

    /// What stands after a backslash.
    fn escaped(&mut self) -> Option<char> {
        let char = match self.byte()? {
            byte @ (b'"' | b'\\' | b'/') => char::from(byte),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => return self.unicode(),
            _ => return None,
        };
        self.at += 1;
        Some(char)
    }

    /// One or two units of UTF-16. Half a pair, which JSON allows and UTF-8 does not have, reads as U+FFFD.
    fn unicode(&mut self) -> Option<char> {
        let unit = self.unit()?;
        let next = self.at;
        if (0xD800..0xDC00).contains(&unit) && self.word("\\").is_some() && self.byte() == Some(b'u') {
            let low = self.unit()?;
            if (0xDC00..0xE000).contains(&low) {
                return char::from_u32((unit << 10) + low - ((0xD800 << 10) + 0xDC00 - 0x1_0000));
            }
        }
        self.at = next;
        Some(char::from_u32(unit).unwrap_or(char::REPLACEMENT_CHARACTER))
    }

    /// The letter `u` and four digits.
    fn unit(&mut self) -> Option<u32> {
        self.at += 1;
        let mut unit = 0;
        for _ in 0..4 {
            unit = unit * 16 + char::from(self.byte()?).to_digit(16)?;
            self.at += 1;
        }
        Some(unit)
    }

    /// A number: whole ones exactly as far as doubles go, others to some fifteen digits. Infinite if it is too large.
    fn number(&mut self) -> Option<f64> {
        let is_negative = self.word("-").is_some();
        let mut digits = 0;
        let mut exponent = 0;
        if self.word("0").is_none() {
            exponent += self.digits(&mut digits)?.1;
        }
        if self.word(".").is_some() {
            exponent -= self.digits(&mut digits)?.0;
        }
        if let Some(b'e' | b'E') = self.byte() {
            self.at += 1;
            let is_negative = self.word("-").is_some();
            if !is_negative {
                self.word("+");
            }
            let mut power = 0;
            self.digits(&mut power)?;
            // No text is long enough to make up for more.
            let power = i64::try_from(power).unwrap_or(i64::MAX).min(1 << 60);
            exponent += if is_negative { -power } else { power };
        }
        let value = scaled(digits, exponent);
        Some(if is_negative { -value } else { value })
    }

    /// Digits, one at least, added to a number as long as it has room: how many were added and how many were not.
    fn digits(&mut self, number: &mut u64) -> Option<(i64, i64)> {
        let mut counts = (0, 0);
        while let Some(byte @ b'0'..=b'9') = self.byte() {
            self.at += 1;
            if *number < u64::MAX / 10 {
                *number = *number * 10 + u64::from(byte - b'0');
                counts.0 += 1;
            } else {
                counts.1 += 1;
            }
        }
        (counts != (0, 0)).then_some(counts)
    }

    /// Reads what must stand here, up to where it does not.
    fn word(&mut self, word: &str) -> Option<()> {
        for byte in word.bytes() {
            (self.byte()? == byte).then_some(())?;
            self.at += 1;
        }
        Some(())
    }

    /// The first byte after white space.
    fn peek(&mut self) -> Option<u8> {
        while let b' ' | b'\n' | b'\t' | b'\r' = self.byte()? {
            self.at += 1;
        }
        self.byte()
    }

    /// The next byte.
    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }
}

/// Digits times a power of ten.
#[allow(clippy::cast_precision_loss)]
fn scaled(digits: u64, exponent: i64) -> f64 {
    let value = digits as f64;
    let bits = exponent.unsigned_abs();
    if digits == 0 {
        value
    } else if exponent >= 0 {
        // The power as a whole comes first: so the largest of all doubles is not rounded beyond them.
        value * power(bits)
    } else if digits >> f64::MANTISSA_DIGITS > 0 && bits <= MOST_DIVIDED {
        divided(digits, bits)
    } else {
        value / power(bits & 255) / power(bits & !255)
    }
}

/// The last power of ten that has room in 64 bits.
const MOST_DIVIDED: u64 = 19;

/// More digits than a double has, divided by a power of ten: to the last bit, since what is stored has to stay the same
/// when it is read and written again.
#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation)]
fn divided(digits: u64, exponent: u64) -> f64 {
    let divisor = 10u128.pow(exponent as u32);
    // As many bits as there is room for. A remainder counts as one more, below all that matter.
    let room = digits.leading_zeros();
    let dividend = u128::from(digits) << room << 64;
    let quotient = (dividend / divisor) | u128::from(!dividend.is_multiple_of(divisor));
    quotient as f64 * f64::from_bits(u64::from(1023 - 64 - room) << 52)
}

fn power(exponent: u64) -> f64 {
    if exponent >> POWERS.len() > 0 {
        return f64::INFINITY;
    }
    let is_set = |bit: usize| exponent >> bit & 1 > 0;
    POWERS.iter().enumerate().filter(|(bit, _)| is_set(*bit)).map(|(_, power)| power).product()
}

#[cfg(test)]
mod tests;
