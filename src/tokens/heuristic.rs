//! Token estimate without a vocabulary, calibrated on `o200k_base` to err on the high side.
//!
//! One pass cuts the text the way the `o200k_base` pre-tokeniser does (words with one leading character, digit groups,
//! punctuation runs, white space) and prices every piece, in chunks of at most [`CHUNK`] bytes, as a sum of small
//! weights: hashed four-byte contexts, a hash of the whole chunk, its length and case. A running average of the contexts
//! tells how unusual the text is and selects a multiplier, so that base64, random letters and rarely seen languages are
//! not priced like English. Characters beyond ASCII are priced one by one, by block. All arithmetic is integer, hence
//! equal on every platform.
//!
//! Every number in `heuristic/weights.bin` is fitted by `benches/calibrate`; `docs/tokens.md` has the measured errors.

// The module is built for size, where the compiler would turn the few instructions for each byte into calls.
#![allow(clippy::inline_always)]

/// Bytes after which a long piece is cut: bounds what one character can change, so that a prefix never costs noticeably
/// more than the whole. Every period up to 4, and 6, divides it: see [`Walk::run`].
const CHUNK: usize = 12;
/// Fixed-point scale of the weights: sixteenths of a token. Multipliers are in 1/64, so totals are in 1/1024 token.
pub(crate) const ONE: i32 = 16;

/// Bits of the hash tables; chosen by the calibration's size/error trade (see `docs/tokens.md`).
const CONTEXT_BITS: u32 = 12;
const WHOLE_BITS: u32 = 11;
const WIDE_BITS: u32 = 10;
/// Bits of the set of usual characters and pairs beyond ASCII.
pub(crate) const USUAL_BITS: u32 = 12;

// Index space of the weights. The first three tables are stored at two bits each, `PRICE` at four, the others at eight.
const CONTEXT: usize = 0;
pub(crate) const WHOLE: usize = CONTEXT + (1 << CONTEXT_BITS);
pub(crate) const WIDE: usize = WHOLE + (1 << WHOLE_BITS);
/// Four columns for each block: see [`Walk::wide`].
pub(crate) const PRICE: usize = WIDE + (1 << WIDE_BITS);
pub(crate) const LENGTH: usize = PRICE + 1024;
/// Rows of 16 lengths, words first: see [`Walk::run`].
pub(crate) const SPACES: usize = LENGTH + 24 * 16;
pub(crate) const WEIGHTS: usize = SPACES + 48;

/// Multipliers: 32 levels of the trend for words after a space, 32 for other words, 32 levels for punctuation, then one
/// each for white space, for characters beyond ASCII, and for what continues a long piece.
pub(crate) const MULTIPLIERS: usize = 99;
pub(crate) const USUAL_BYTES: usize = 1 << (USUAL_BITS - 3);

/// Sixteenths of a token for the four levels of `CONTEXT`, one in every four bits.
pub(crate) const CONTEXT_WORTH: i32 = 0xb520;
/// Sixteenths of a token per stored level of `WHOLE` and `WIDE`, and the level that stands for 0.
pub(crate) const UNITS: [(i32, i32); 2] = [(4, 1), (3, 1)];
/// Sixteenths of a token per stored level of `PRICE`.
pub(crate) static PRICES: [u8; 16] = [1, 2, 3, 4, 5, 6, 8, 10, 12, 14, 17, 21, 27, 36, 48, 64];

const PACKED: usize = (1 << (CONTEXT_BITS - 2)) + (1 << (WHOLE_BITS - 2)) + (1 << (WIDE_BITS - 2));
/// Bytes of `weights.bin`: the packed tables, `PRICE`, the other weights, the multipliers, the set of usual ones.
pub(crate) const BYTES: usize = PACKED + 512 + (WEIGHTS - LENGTH) + MULTIPLIERS + USUAL_BYTES;
static TABLES: &[u8; BYTES] = include_bytes!("heuristic/weights.bin");

/// Trend a text starts with: what the calibration's English, code and JSON settle at.
const TREND_START: i32 = 512;
const TREND_UP: u32 = 8;
const TREND_DOWN: u32 = 8;
const TREND_LEVEL: u32 = 5;

/// Estimates `o200k_base` tokens without a vocabulary.
///
/// ```
/// # use epitome::Heuristic;
/// assert_eq!(Heuristic::count(""), 0);
/// assert!(Heuristic::count("The quick brown fox jumps over the lazy dog.") >= 10);
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct Heuristic;

impl Heuristic {
    /// Estimated number of `o200k_base` tokens in `text`: 0 for the empty string, at least 1 for any other, saturating.
    ///
    /// Pure, allocation-free and linear in the length of `text`; the error distribution is in `docs/tokens.md`.
    #[must_use]
    pub fn count(text: &str) -> u32 {
        if text.is_empty() {
            return 0;
        }
        let mut sum = Sum(0);
        walk(text, &mut sum);
        // Rounded to nearest: rounding up would add half a token to every short message.
        let tokens = sum.0.saturating_add(512) >> 10;
        u32::try_from(tokens).unwrap_or(u32::MAX).max(1)
    }
}

/// What the walk asks and tells: the counter sums prices, the calibration records which weights a text uses.
pub(crate) trait Model {
    /// Stored level of a two-bit weight.
    fn level(&mut self, weight: usize) -> i32;
    /// Stored price of a character of a block in a column, as an index of [`PRICES`].
    fn price(&mut self, slot: usize) -> usize;
    /// Any other weight.
    fn weight(&mut self, weight: usize) -> i32;
    /// Whether a hashed character or pair beyond ASCII is usual.
    fn usual(&self, slot: usize) -> bool;
    /// A chunk ends: its price in sixteenths, its least price, the multiplier it uses, and the byte it ends at.
    fn close(&mut self, price: i32, floor: i32, multiplier: usize, end: usize);
    /// A chunk whose price is known, in 1/64 token.
    fn fixed(&mut self, price: i32, end: usize);
}

/// Sum in 1/1024 token.
struct Sum(u64);

fn table(index: usize) -> u8 {
    TABLES.get(index).copied().unwrap_or(0)
}

impl Model for Sum {
    #[inline(always)]
    fn level(&mut self, weight: usize) -> i32 {
        i32::from(table(weight >> 2) >> ((weight & 3) << 1) & 3)
    }
    #[inline(always)]
    fn price(&mut self, slot: usize) -> usize {
        usize::from(table(PACKED + ((slot & 1023) >> 1)) >> ((slot & 1) << 2) & 15)
    }
    #[inline(always)]
    fn weight(&mut self, weight: usize) -> i32 {
        i32::from(table((PACKED + 512).wrapping_add(weight.wrapping_sub(LENGTH))).cast_signed())
    }
    #[inline(always)]
    fn usual(&self, slot: usize) -> bool {
        let byte = table(BYTES - USUAL_BYTES + ((slot >> 3) & (USUAL_BYTES - 1)));
        (byte >> (slot & 7)) & 1 == 1
    }
    #[inline(always)]
    fn close(&mut self, price: i32, floor: i32, multiplier: usize, _end: usize) {
        let multiplier = table((PACKED + 512 + WEIGHTS - LENGTH).wrapping_add(multiplier));
        let scaled = price.max(floor).wrapping_mul(i32::from(multiplier));
        self.0 = self.0.wrapping_add(u64::from(scaled.unsigned_abs()));
    }
    #[inline(always)]
    fn fixed(&mut self, price: i32, _end: usize) {
        self.0 = self.0.wrapping_add(u64::from(price.unsigned_abs()) << 4);
    }
}

// Classes the pre-tokeniser tells apart, as bits: a piece goes on while the next class is among those it accepts.
const LOWER: u8 = 1;
const UPPER: u8 = 2;
const DIGIT: u8 = 4;
const SPACE: u8 = 8;
const NEWLINE: u8 = 16;
const PUNCT: u8 = 32;
const BEYOND: u8 = 64;
/// Beside `PUNCT`: may follow the newlines that end a run of punctuation.
const SLASH: u8 = 128;

/// Class of every byte.
static CLASSES: [u8; 256] = {
    let mut classes = [BEYOND; 256];
    let mut byte = 0_u8;
    while byte < 128 {
        // `Index` cannot fail: a `u8` never exceeds the 256 entries, and this runs at compile time.
        #[allow(clippy::indexing_slicing)]
        {
            classes[byte as usize] = match byte {
                b'A'..=b'Z' => UPPER,
                b'a'..=b'z' => LOWER,
                b'0'..=b'9' => DIGIT,
                b'\n' | b'\r' => NEWLINE,
                b' ' | b'\t' | 0x0b | 0x0c => SPACE,
                b'/' => PUNCT | SLASH,
                0..=31 | 127 => BEYOND,
                _ => PUNCT,
            };
        }
        byte = byte.wrapping_add(1);
    }
    classes
};

#[inline(always)]
fn class_of(byte: u8) -> u8 {
    CLASSES.get(usize::from(byte)).copied().unwrap_or(0)
}

/// Block number of a character, below 256: 128 scalars each where scripts are small, coarser elsewhere.
fn block(scalar: u32) -> u32 {
    match scalar {
        0..=0x33ff => scalar >> 7,
        0x3400..=0x4dff => 104,
        0x4e00..=0x9fff => 185_u32.wrapping_add(scalar.wrapping_sub(0x4e00) >> 9),
        0xa000..=0xabff => 106_u32.wrapping_add(scalar.wrapping_sub(0xa000) >> 7),
        0xac00..=0xd7af => 226_u32.wrapping_add(scalar.wrapping_sub(0xac00) >> 9),
        0xd7b0..=0xf8ff => 131,
        0xf900..=0xffff => 132_u32.wrapping_add(scalar.wrapping_sub(0xf900) >> 7),
        0x1_f000..=0x1_faff => 146_u32.wrapping_add(scalar.wrapping_sub(0x1_f000) >> 7),
        0x2_0000..=0x3_ffff => 168,
        0x1_0000..=0x1_efff => 169_u32.wrapping_add(scalar.wrapping_sub(0x1_0000) >> 12),
        _ => 184,
    }
}

/// Multiplicative hash (Knuth's golden-ratio constant), top `bits` bits.
#[inline(always)]
const fn hash(key: u32, bits: u32) -> usize {
    (key.wrapping_mul(0x9E37_79B1) >> 32_u32.wrapping_sub(bits)) as usize
}

/// Key of two characters in a row; the multipliers only have to be odd and unrelated.
#[inline(always)]
const fn pair_key(before: u32, scalar: u32) -> u32 {
    scalar.wrapping_mul(0x85EB_CA6B) ^ before.wrapping_mul(0xC2B2_AE35).rotate_left(7)
}

/// What a long run of one byte costs for each byte, in 1/64 token.
fn run_price(byte: u32) -> i32 {
    match u8::try_from(byte).unwrap_or(0) {
        b'=' | b'-' | b'*' | b'#' | b'.' | b'/' | b'_' | b' ' => 2,
        b'~' | b'%' | b'+' | b'!' | b':' | b';' | b'\n' | b'\t' => 5,
        b'<' | b'>' | b'?' | b'@' | b'^' => 9,
        0..=31 | 127 => 64,
        _ => 33,
    }
}

/// What a word or a run of punctuation comes after, and where its row of [`LENGTH`] starts (three rows by case).
const AFTER_SPACE: usize = 0;
const AFTER_MARK: usize = 1;
const AFTER_BREAK: usize = 2;
const AFTER_WORD: usize = 3;
const AFTER_OTHER: usize = 4;
const CONTRACTION: usize = 5;
const CONTINUED: usize = 6;
const MARKS: usize = 21;

/// A chunk of a word or of a run of punctuation: its last four bytes, the worth of its contexts, the hash of all of it,
/// its number of upper-case letters and of bytes.
struct Chunk {
    context: u32,
    levels: i32,
    whole: u32,
    uppers: usize,
    taken: usize,
}

/// A chunk's length as a factor.
#[inline(always)]
fn length_of(taken: usize) -> i32 {
    i32::try_from(taken).unwrap_or(0)
}

struct Walk<'t, M> {
    bytes: &'t [u8],
    at: usize,
    model: &'t mut M,
    /// Running averages of how unusual the text is, ASCII words and characters beyond ASCII.
    trend: i32,
    wide_trend: i32,
    /// What the last piece was, one of `AFTER_...`.
    last: usize,
}

/// Cuts `text` and reports every chunk to `model`.
#[inline(always)]
pub(crate) fn walk<M: Model>(text: &str, model: &mut M) {
    let mut walk = Walk { bytes: text.as_bytes(), at: 0, model, trend: TREND_START, wide_trend: 0, last: AFTER_BREAK };
    while let Some(&first) = walk.bytes.get(walk.at) {
        let class = class_of(first);
        if class == DIGIT {
            walk.digits();
            continue;
        }
        let next = walk.bytes.get(walk.at.wrapping_add(1)).map_or(0, |&byte| class_of(byte));
        let takes_next = class & (SPACE | PUNCT) != 0 && next & (LOWER | UPPER | BEYOND) != 0;
        if class == BEYOND || takes_next && next == BEYOND {
            walk.at = walk.at.wrapping_add(usize::from(takes_next));
            walk.wide(first);
            continue;
        }
        let (kind, prefix) = if class & (LOWER | UPPER) != 0 {
            (walk.last, 0)
        } else if takes_next {
            let after = match first {
                b' ' => AFTER_SPACE,
                b'\'' if walk.last == AFTER_WORD => CONTRACTION,
                _ => AFTER_MARK,
            };
            (after, first)
        } else if class & PUNCT != 0 {
            (MARKS, 0)
        } else if next & PUNCT != 0 && first == b' ' {
            (MARKS + 1, first)
        } else {
            walk.spaces();
            continue;
        };
        walk.at = walk.at.wrapping_add(usize::from(prefix != 0));
        walk.run(kind, u32::from(prefix));
    }
}

impl<M: Model> Walk<'_, M> {
    fn digits(&mut self) {
        for _ in 0..3 {
            if self.bytes.get(self.at).is_none_or(|byte| !byte.is_ascii_digit()) {
                break;
            }
            self.at = self.at.wrapping_add(1);
        }
        self.last = AFTER_OTHER;
        self.model.fixed(64, self.at);
    }

    /// A word (upper-case letters, then lower-case ones) or a run of punctuation (then newlines and slashes). `first` is
    /// the character before it that belongs to it, already passed.
    #[inline(always)]
    fn run(&mut self, kind: usize, first: u32) {
        let word = kind < MARKS;
        let mut accept = if word { LOWER | UPPER } else { PUNCT | NEWLINE | SLASH };
        let mut context = first;
        let mut seed = u32::try_from(kind).unwrap_or(0);
        let mut before = None;
        loop {
            let from = self.at;
            let (mut levels, mut whole, mut uppers) = (0_i32, seed, 0_u32);
            let chunk = self.bytes.get(from..).unwrap_or_default();
            let mut at = from;
            for &byte in chunk.iter().take(CHUNK) {
                let class = class_of(byte);
                if class & accept == 0 {
                    break;
                }
                if class & (LOWER | NEWLINE) != 0 {
                    accept &= LOWER | NEWLINE | SLASH;
                }
                let upper = class & UPPER;
                uppers = uppers.wrapping_add(u32::from(upper));
                let folded = u32::from(byte | (upper << 4));
                context = context << 8 | folded;
                let level = self.model.level(CONTEXT.wrapping_add(hash(context, CONTEXT_BITS)));
                levels = levels.wrapping_add(CONTEXT_WORTH >> (level << 2) & 15);
                whole = (whole ^ folded).wrapping_mul(0x0100_0193);
                at = at.wrapping_add(1);
            }
            self.at = at;
            let taken = at.wrapping_sub(from);
            if taken == 0 {
                break;
            }
            let uppers = uppers as usize >> 1;
            self.price(kind, before, &Chunk { context, levels, whole, uppers, taken });
            if taken < CHUNK {
                break;
            }
            before = Some(context);
            seed = 99;
        }
        self.last = if word { AFTER_WORD } else { AFTER_OTHER };
    }

    /// Prices what only the whole chunk tells: its hash, length, case, and the trend it stands in. `before` is the
    /// context that the chunk before it in the same piece ended with.
    #[inline(always)]
    fn price(&mut self, kind: usize, before: Option<u32>, chunk: &Chunk) {
        let &Chunk { context, levels, whole, uppers, taken } = chunk;
        let word = kind < MARKS;
        let mut floor = ONE;
        let row = if let Some(before) = before {
            let byte = context & 0xff;
            if context == byte.wrapping_mul(0x0101_0101) && context == before {
                self.model.fixed(run_price(byte).wrapping_mul(length_of(taken)), self.at);
                return;
            }
            if context == before && taken == CHUNK {
                // A period that divides the chunk: the worst of them have one token for each byte.
                self.model.fixed(length_of(CHUNK) << 6, self.at);
                return;
            }
            if word { CONTINUED * 3 } else { MARKS + 2 }
        } else if !word {
            kind
        } else if kind == CONTRACTION && taken > 2 {
            AFTER_MARK * 3
        } else {
            if kind == CONTRACTION {
                floor = 0;
            }
            kind.wrapping_mul(3)
        };
        let row = if !word || uppers == 0 {
            row
        } else if uppers == taken && uppers > 1 {
            row.wrapping_add(1)
        } else {
            row.wrapping_add(2)
        };
        let length = self.model.weight(LENGTH.wrapping_add(row << 4).wrapping_add(taken));
        let whole = self.model.level(WHOLE.wrapping_add(hash(whole, WHOLE_BITS)));
        let price = ONE
            .wrapping_add(length)
            .wrapping_add(levels)
            .wrapping_add(whole.wrapping_sub(UNITS[0].1).wrapping_mul(UNITS[0].0));
        let multiplier = if word {
            // Average level of a letter, in 1/1024: up and down as fast, by letters.
            let step = (levels << 8).wrapping_sub(self.trend.wrapping_mul(length_of(taken)));
            self.trend = self.trend.wrapping_add(step >> if step > 0 { TREND_UP } else { TREND_DOWN });
            let level = (self.trend >> TREND_LEVEL).clamp(0, 31).unsigned_abs() as usize;
            if kind == AFTER_SPACE { level } else { level | 32 }
        } else {
            (levels >> 2).clamp(0, 31).unsigned_abs() as usize | 64
        };
        self.model.close(price, floor, if before.is_some() { 98 } else { multiplier }, self.at);
    }

    /// White space up to its last newline; without a newline, all of it except one character for the next piece.
    fn spaces(&mut self) {
        let (mut end, mut newline_end) = (self.at, 0);
        while let Some(&byte) = self.bytes.get(end) {
            let class = class_of(byte);
            if class & (SPACE | NEWLINE) == 0 {
                break;
            }
            end = end.wrapping_add(1);
            if class == NEWLINE {
                newline_end = end;
            }
        }
        let length = end.wrapping_sub(self.at);
        let (row, stop) = if newline_end > 0 {
            (16, newline_end)
        } else if end == self.bytes.len() || length == 1 {
            (0, end)
        } else {
            (0, end.wrapping_sub(1))
        };
        let piece = self.bytes.get(self.at..stop).unwrap_or_default();
        let mut price = self.model.weight(SPACES.wrapping_add(row).wrapping_add(piece.len().min(15)));
        let mut before = None;
        for (index, &byte) in piece.iter().enumerate() {
            if before.is_some_and(|before| before != byte) && (byte, before) != (b'\n', Some(b'\r')) {
                price = price.wrapping_add(self.model.weight(SPACES + 32));
            } else if index > 15 {
                price = price.wrapping_add(run_price(byte.into()) >> 2);
            }
            before = Some(byte);
        }
        self.at = stop;
        self.last = AFTER_BREAK;
        self.model.close(ONE.wrapping_add(price), ONE, 96, stop);
    }

    /// Up to eight characters beyond ASCII or control characters; `first` is the space or mark before them, already passed, or their own first byte.
    #[inline(never)]
    fn wide(&mut self, first: u8) {
        let own = class_of(first) == BEYOND;
        let mut price = if own { 0 } else { self.model.weight(SPACES + 33 + usize::from(first != b' ')) };
        let mut before = if own { 0 } else { u32::from(first) };
        let mut floor = 0;
        for _ in 0..8 {
            let Some(&lead) = self.bytes.get(self.at) else { break };
            if class_of(lead) != BEYOND {
                break;
            }
            // The text is valid UTF-8, so the lead byte decides.
            let tail =
                |offset: usize| u32::from(self.bytes.get(self.at.wrapping_add(offset)).copied().unwrap_or(0) & 0x3f);
            let bits = u32::from(lead);
            let (len, scalar) = if lead < 0x80 {
                (1, bits)
            } else if lead < 0xe0 {
                (2, (bits & 0x1f) << 6 | tail(1))
            } else if lead < 0xf0 {
                (3, (bits & 0x0f) << 12 | tail(1) << 6 | tail(2))
            } else {
                (4, (bits & 0x07) << 18 | tail(1) << 12 | tail(2) << 6 | tail(3))
            };
            self.at = self.at.wrapping_add(len);
            // Han and Hangul stand alone, others with the letter before: an alphabet's letters are all usual, only their
            // order tells text from noise.
            let alone = before < 128 || (0x3400..0xa000).contains(&scalar) || (0xac00..0xd7b0).contains(&scalar);
            let usual = self.model.usual(hash(pair_key(if alone { 0 } else { before }, scalar), USUAL_BITS));
            let unusual: i32 = if usual { 0 } else { 1024 };
            self.wide_trend = self.wide_trend.wrapping_add(unusual.wrapping_sub(self.wide_trend) >> 4);
            let column =
                if usual { usize::from(self.wide_trend > 448) } else { 2 | usize::from(self.wide_trend > 560) };
            let cell = self.model.price((block(scalar) as usize) << 2 | column);
            let level = self.model.level(WIDE.wrapping_add(hash(pair_key(before, scalar), WIDE_BITS)));
            let base = i32::from(PRICES.get(cell & 15).copied().unwrap_or(0));
            let extra = level.wrapping_sub(UNITS[1].1).wrapping_mul(UNITS[1].0);
            price = price.wrapping_add(base.wrapping_add(extra).max(1));
            if scalar > 0x20ff {
                // Symbols do not join letters.
                floor = ONE;
            }
            before = scalar;
        }
        self.last = AFTER_OTHER;
        self.model.close(price, floor, 97, self.at);
    }
}
#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::string_slice)]
mod tests {
    use std::path::Path;

    use serde_json::Value;

    use super::*;

    /// No conversation may be counted dearer than this.
    const WORST_CONVERSATION: f64 = 1.14;

    fn vectors(name: &str) -> Value {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors").join(name);
        serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
    }

    fn exact(value: &Value) -> u32 {
        u32::try_from(value.as_u64().unwrap()).unwrap()
    }

    /// Small deterministic generator of characters of every kind.
    fn noise(seed: u64, chars: usize) -> String {
        let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        let mut next = |below: u64| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 11) % below
        };
        let mode = next(5);
        (0..chars)
            .map(|_| {
                let scalar = match if mode == 4 { next(4) } else { mode } {
                    0 => 97 + next(26),
                    1 => 32 + next(95),
                    2 => 0x80 + next(0x3000),
                    _ => next(0x11_0000),
                };
                char::from_u32(u32::try_from(scalar).unwrap()).unwrap_or('\n')
            })
            .collect()
    }

    #[test]
    fn the_empty_string_is_nothing_and_any_other_is_something() {
        assert_eq!(Heuristic::count(""), 0);
        for text in ["a", " ", "\n", "\0", ".", "7", "\u{fffd}", "\u{301}", "\u{200d}", "\u{10ffff}"] {
            assert!(Heuristic::count(text) >= 1, "{text:?}");
        }
    }

    #[test]
    fn short_texts_are_close_to_the_exact_count() {
        for vector in vectors("tokens.json")["plain"].as_array().unwrap() {
            let (text, exact) = (vector[0].as_str().unwrap(), exact(&vector[1]));
            let estimate = Heuristic::count(text);
            // A short greeting in Korean or Japanese is one or two tokens that only a vocabulary knows.
            let top = if text.is_ascii() { 2 * exact + 4 } else { 5 * exact };
            assert!(estimate + 2 >= exact && estimate <= top, "{text:?}: {estimate}, exact {exact}");
        }
    }

    #[test]
    fn no_script_and_no_noise_is_undercounted() {
        for vector in vectors("tokens.json")["samples"].as_array().unwrap() {
            let (name, text, exact) = (&vector[1], vector[2].as_str().unwrap(), exact(&vector[3]));
            let estimate = Heuristic::count(text);
            let ratio = f64::from(estimate) / f64::from(exact);
            let name = name.as_str().unwrap();
            // Random letters in words raise the price only after some hundred letters; Burmese text pays for Burmese noise.
            let floor = match name {
                "random mixed case" | "random words" => 0.88,
                _ if exact < 200 => 0.93,
                _ => 0.97,
            };
            let top = if name.starts_with("mya") { 2.6 } else { 2.1 };
            assert!((floor..top).contains(&ratio), "{name}: {estimate}, exact {exact}");
        }
    }

    #[test]
    fn a_prefix_costs_at_most_two_tokens_more_than_the_whole() {
        for seed in 1..400 {
            let text = noise(seed, 60);
            let whole = Heuristic::count(&text);
            for (end, _) in text.char_indices() {
                let prefix = Heuristic::count(&text[..end]);
                assert!(prefix <= whole + 2, "{prefix} > {whole} + 2 at {end} of {text:?}");
            }
        }
    }

    #[test]
    fn the_walk_visits_every_byte_once_and_in_order() {
        struct Ends(usize);
        impl Model for Ends {
            fn level(&mut self, weight: usize) -> i32 {
                assert!(weight < PRICE);
                0
            }
            fn price(&mut self, slot: usize) -> usize {
                assert!(PRICE + slot < LENGTH);
                0
            }
            fn weight(&mut self, weight: usize) -> i32 {
                assert!((LENGTH..WEIGHTS).contains(&weight));
                0
            }
            fn usual(&self, slot: usize) -> bool {
                assert!(slot < USUAL_BYTES * 8);
                false
            }
            fn close(&mut self, _: i32, _: i32, multiplier: usize, end: usize) {
                assert!(multiplier < MULTIPLIERS && end > self.0);
                self.0 = end;
            }
            fn fixed(&mut self, price: i32, end: usize) {
                assert!(price > 0 && end > self.0);
                self.0 = end;
            }
        }
        for seed in 1..400 {
            let text = noise(seed, 200);
            let mut ends = Ends(0);
            walk(&text, &mut ends);
            assert_eq!(ends.0, text.len());
        }
    }

    #[test]
    fn long_runs_of_one_character_take_linear_work_and_do_not_overflow() {
        for unit in ["a", " ", "\n", " \n", "=", "1", "的", "😀", "\r\n\t", "'s", "aA"] {
            let short = u64::from(Heuristic::count(&unit.repeat(10_000)));
            let long = u64::from(Heuristic::count(&unit.repeat(100_000)));
            assert!(long <= short * 11 && long + 16 >= short * 9, "{unit:?}: {short} and {long}");
        }
    }

    #[test]
    fn no_run_of_whole_messages_is_noticeably_undercounted() {
        let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/dev");
        if !data.is_dir() {
            eprintln!("skipped: no conversations at {}", data.display());
            return;
        }
        let exact_counts = vectors("dev_o200k.json");
        let (mut runs, mut under, mut ratios) = (0_u32, 0_u32, vec![]);
        for (source, conversations) in exact_counts.as_object().unwrap() {
            let lines = std::fs::read_to_string(data.join(format!("{source}.jsonl"))).unwrap();
            for (line, exact_conversation) in lines.lines().zip(conversations.as_array().unwrap()) {
                let conversation: Value = serde_json::from_str(line).unwrap();
                let id = &conversation["id"];
                assert_eq!(*id, exact_conversation["id"]);
                let estimate_of = |message: &Value| {
                    let mut estimate = 4 + Heuristic::count(message["content"].as_str().unwrap_or_default());
                    for call in message["tool_calls"].as_array().into_iter().flatten() {
                        let part = |name: &str| Heuristic::count(call["function"][name].as_str().unwrap());
                        estimate += 4 + part("name") + part("arguments");
                    }
                    estimate
                };
                let messages = conversation["messages"].as_array().unwrap();
                let exact_tokens = exact_conversation["tokens_by_message"].as_array().unwrap();
                let counts: Vec<_> = messages
                    .iter()
                    .zip(exact_tokens)
                    .map(|(message, tokens)| (estimate_of(message), exact(tokens)))
                    .collect();
                for start in 0..counts.len() {
                    let (mut estimate, mut real) = (0_u32, 0_u32);
                    for (message_estimate, message_real) in &counts[start..] {
                        estimate += message_estimate;
                        real += message_real;
                        if real >= 300 {
                            runs += 1;
                            under += u32::from(estimate < real);
                            assert!(estimate * 50 >= real * 49, "{id} from {start}: {estimate} of {real}");
                        }
                    }
                    if start == 0 {
                        let ratio = f64::from(estimate) / f64::from(real);
                        assert!((1.02..WORST_CONVERSATION).contains(&ratio), "{id}: {estimate} of {real}");
                        ratios.push(ratio);
                    }
                }
            }
        }
        assert!(under * 2000 <= runs, "{under} of {runs} runs under");
        let mean = ratios.iter().sum::<f64>() / f64::from(u32::try_from(ratios.len()).unwrap());
        assert!(mean <= 1.07, "mean {mean}");
    }
}
