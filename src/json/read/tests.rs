//! Both readers against each other, on every case that came to mind and on random texts.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::float_cmp,
    reason = "tests fail loudly"
)]

use std::borrow::Cow;

use super::super::{LEVELS, tree};
use super::{is_cut_off, read};
use crate::value::Value;

const REAL: [&str; 4] = [
    include_str!("../../../tests/data/chinese-dialogue.json"),
    include_str!("../../../tests/data/coding-agent.json"),
    include_str!("../../../tests/data/customer-service.json"),
    include_str!("../../../tests/data/mcp-agent.json"),
];

/// Both readers must make the same of a text.
fn compare(text: &str) {
    let (ours, theirs) = (read(text), tree::read(text));
    let same = match (&ours, &theirs) {
        (Some(ours), Ok(theirs)) => same(ours, theirs),
        (None, Err(_)) => true,
        _ => false,
    };
    let shown: String = text.chars().take(500).collect();
    assert!(same, "{shown}\nours: {ours:.300?}\ntheirs: {theirs:.300?}");
}

fn same(ours: &Value<'_>, theirs: &Value<'_>) -> bool {
    match (ours, theirs) {
        (Value::Number(ours), Value::Number(theirs)) => close(*ours, *theirs),
        (Value::Array(ours), Value::Array(theirs)) => {
            ours.len() == theirs.len() && ours.iter().zip(theirs).all(|(ours, theirs)| same(ours, theirs))
        }
        (Value::Object(ours), Value::Object(theirs)) => {
            ours.len() == theirs.len()
                && ours.iter().zip(theirs).all(|(ours, theirs)| ours.0 == theirs.0 && same(&ours.1, &theirs.1))
        }
        _ => ours == theirs,
    }
}

/// Theirs is a last digit off now and then, which ours is not below; the smallest doubles have few digits.
fn close(ours: f64, theirs: f64) -> bool {
    if theirs.is_nan() || theirs == 0.0 {
        return ours.is_nan() && theirs.is_nan()
            || (ours == theirs && ours.is_sign_negative() == theirs.is_sign_negative())
            || (theirs == 0.0 && ours.abs() < 1e-320);
    }
    (ours - theirs).abs() <= theirs.abs() * 1e-12 + 1e-320
}

#[rustfmt::skip]
const CASES: &[&str] = &[
    "", " ", "null", "true", "false", "nul", "nulll", "True", "NaN", "Infinity", "undefined", "'a'", "a", "\u{feff}1",
    "\u{feff}", "\u{a0}1", "\u{c}1", "1\0", "\0", " \t\r\n1 \t\r\n", "1 2", "1,", ",1", "//", "/**/1", "1 //",
    // Lists and objects.
    "[]", "[ ]", "[1]", "[1,]", "[,1]", "[,]", "[1 2]", "[1,,2]", "[", "[1", "[1,", "]", "[]]", "[}", "[[]",
    "[\"a\",1,null]", "{}", "{ }", "{\"a\":1}", "{\"a\":1,}", "{,}", "{,\"a\":1}", "{\"a\"}", "{\"a\":}",
    "{\"a\" : 1 , \"b\":2}", "{\"a\",1}", "{a:1}", "{1:1}", "{null:1}", "{\"a\":1 \"b\":2}", "{\"a\"::1}", "{", "{\"",
    "{\"a", "{\"a\"", "{\"a\":", "{\"a\":1", "{\"a\":1,", "}", "{]", "{\"a\":1]", "[1}",
    "{\"a\":1,\"a\":2,\"b\":3,\"a\":4}", "{\"\":0}", "{\"\\u0061\":1,\"a\":2}", "{\"\\ud800\":1}",
    "{\"a\\\"b\":[{}]}", "[[],{},[{}],{\"a\":[]}]",
    // Strings.
    r#""""#, r#""a""#, r#"""#, r#""\"#, r#""\""#, r#""\\""#, r#""\/\b\f\n\r\t\"""#, r#""\a""#, r#""\'""#, r#""\0""#,
    r#""\x41""#, r#""\U0041""#, r#""\u""#, r#""\u0""#, r#""\u004""#, r#""\u0041""#, r#""\u00e9\u00E9\uABCD\uabcd""#,
    r#""\u00g0""#, r#""\u+041""#, r#""\u-041""#, r#""\u 041""#, r#""\u0000""#, r#""\uffff""#, "\"\0\"", "\"\u{1f}\"",
    "\"\u{7f}\u{80}\u{2028}\"", "\"\n\"", "\"\t\"", "\"é漢😀\"", "\"é\\n漢\\t😀\"", "\"\\é\"", "\"\\u00é1\"", "é",
    "\"a\"b", "\"a\" \"b\"",
    // Halves of pairs.
    r#""\ud83d\ude00""#, r#""\uD83D\uDE00x""#, r#""\ud83d""#, r#""\ude00""#, r#""\ud83dx""#, r#""\ud83d\n""#,
    r#""\ud83d\u0041""#, r#""\ud83d\ud83d\ude00""#, r#""\ude00\ud83d""#, r#""\ud83d\ude00\ude00""#, r#""\ud83d\"#,
    r#""\ud83d\u"#, r#""\ud83d\ude0"#, r#""\ud83d\ude0g""#, r#""\ud83d\x""#, r#""\ud83d\\ude00""#,
    r#""\\ud83d\ude00""#, r#""\ud800\udc00\udbff\udfff""#, r#""\ud7ff\ue000""#, r#""\ud83d\u+e00""#, r"\ud800",
    r"[\ud800]",
    // Numbers.
    "0", "-0", "-0.0", "-0e0", "00", "01", "-01", "-", "--1", "+1", "1-", ".5", "-.5", "5.", "-5.", "5.e1", "1.5",
    "1.50", "0.1", "0x1", "1_0", "1e", "1e+", "1e-", "1e5", "1E5", "1e+5", "1E-5", "1e05", "1e-05", "1e5.5", "1e5e5",
    "1.e5", "1e 5", "1 e5", "1.5e300", "- 1", "1a", "1.a", "9007199254740991", "9007199254740992", "9007199254740993",
    "-9007199254740991", "18446744073709551609", "18446744073709551610", "18446744073709551615",
    "18446744073709551616", "-9223372036854775808", "-9223372036854775809", "-18446744073709551616",
    "123456789012345678901234567890", "123456789012345678901234567890.5e-3",
    "0.1234567890123456789012345678901234567890", "18446744073709551615.18446744073709551615e1", "3.141592653589793",
    "2.718281828459045e-5", "1.7976931348623157e308", "-1.7976931348623157e308", "1.7976931348623157e+308",
    "179769313486231570000e288", "1.79e308", "1.8e308", "1e308", "10e307", "1e309", "-1e309", "0.1e309", "0.01e310",
    "1e400", "-1e400", "0e400", "-0e400", "0.0e999999999999", "1e2147483647", "1e2147483648", "1e-2147483649",
    "1e99999999999999999999999", "1e-99999999999999999999999", "0e99999999999999999999999",
    "1e000000000000000000000000001", "2.2250738585072014e-308", "2.2250738585072011e-308", "5e-324",
    "4.9406564584124654e-324", "1e-323", "1e-324", "1e-400", "123456789e-320", "123456789012345678e-330", "0e-400",
    // Numbers that no double can hold, in each place.
    "{\"a\":1e999}", "{\"a\":1e999,\"b\":2}", "{\"b\":[1,{\"c\":-1e999}],\"a\":\"x\\n\"}", "[1e999]",
    "[{\"a\":1e999}]", "{\"a\":1e999,}", "{\"a\":1e999} x", "{\"a\":1e999,\"a\":1,\"a\":1e999}",
    "{\"a\":{\"a\":1e999},\"b\":{\"a\":1}}", "{\"\\ud800\":1e999,\"b\":\"\\udc00\"}",
];

#[test]
fn both_readers_make_the_same_of_every_case() {
    for case in CASES {
        compare(case);
        for around in
            [["[", "]"], ["{\"k\":", "}"], ["[1, ", " ,2]"], ["{\"n\":1e999,\"k\":", "}"], [" ", "x"], ["\"", "\""]]
        {
            compare(&around.join(case));
        }
        compare(&nested(LEVELS + 1, case));
        compare(&nested(LEVELS + 3, case));
    }
}

#[test]
fn numbers_are_as_exact_as_they_are_said_to_be() {
    for (text, number) in [
        ("9007199254740993", 9_007_199_254_740_992.0),
        ("-9007199254740991", -9_007_199_254_740_991.0),
        ("100.0e-2", 1.0),
        ("0.25", 0.25),
        ("12e22", 12e22),
        ("1.7976931348623157e308", f64::MAX),
    ] {
        let Some(Value::Number(read)) = read(text) else { panic!("{text}") };
        assert!((read - number).abs() <= number.abs() * 1e-15, "{text} is {read}");
    }
    for exponent in -345..=310 {
        for digits in ["1", "9.999", "1.7976931348623157", "4503599627370497", "18446744073709551615"] {
            compare(&format!("{digits}e{exponent}"));
        }
    }
}

#[test]
fn strings_without_escapes_are_borrowed() {
    let value = read(r#"{"plain":"text","es\u0063aped":"\n"}"#).unwrap();
    let Value::Object(fields) = value else { panic!("an object") };
    let is_borrowed = |text: &Cow<'_, str>| matches!(text, Cow::Borrowed(_));
    let borrowed = |(key, value): &(Cow<'_, str>, Value<'_>)| {
        (is_borrowed(key), matches!(value, Value::String(text) if is_borrowed(text)))
    };
    assert_eq!(fields.iter().map(borrowed).collect::<Vec<_>>(), [(true, true), (false, false)]);
}

fn nested(levels: usize, inside: &str) -> String {
    ["[".repeat(levels), inside.to_owned(), "]".repeat(levels)].concat()
}

#[test]
fn what_is_too_deep_is_skipped_at_the_same_level_and_still_checked() {
    for levels in [LEVELS - 1, LEVELS, LEVELS + 1, LEVELS + 2] {
        for inside in [
            "",
            "1",
            "1e999",
            "[1,]",
            "{\"a\":1e999,\"b\":[{}, 2]}",
            "{\"a\"}",
            "{1:2}",
            "\"\\ud800\"",
            "\"\\x\"",
            "01",
            "[}",
        ] {
            let list = nested(levels, inside);
            compare(&list);
            compare(&format!("{{\"n\":1e999,\"a\":{list},\"b\":1}}"));
            let object = ["{\"k\":".repeat(levels), format!("[{inside}]"), "}".repeat(levels)].concat();
            compare(&object);
            compare(&format!("{{\"n\":-1e999,\"a\":{object}}}"));
        }
    }
}

#[test]
fn a_million_levels_need_no_stack() {
    let deep = nested(1_000_000, "1");
    let objects = ["{\"a\":[".repeat(500_000), "]}".repeat(500_000)].concat();
    let thread = std::thread::Builder::new().stack_size(256 << 10);
    let texts = [&deep, &objects, &deep[..deep.len() - 1], &deep[..1_000_000], &deep.replace('1', "[}"), &objects[1..]];
    let texts = texts.map(str::to_owned);
    let read_all = move || texts.map(|text| (read(&text).is_some(), is_cut_off(&text)));
    let read = thread.spawn(read_all).unwrap().join().unwrap();
    let no = (false, false);
    assert_eq!(read, [(true, false), (true, false), (false, true), (false, true), no, no]);
    compare(&deep);
    compare(&objects);
}

#[test]
fn long_texts_are_read_in_one_go() {
    let long = "x".repeat(1 << 20);
    compare(&format!("\"{long}\""));
    compare(&format!("[\"{long}\\n{long}\",\"{long}\"]"));
    for piece in ["\\n", "\\ud83d", "\\ud83d\\ude00", "é\\u00e9", "\\\\"] {
        compare(&format!("{{\"a\":\"{}\"}}", piece.repeat(200_000)));
    }
    compare(&"1".repeat(1 << 20));
    compare(&format!("[0.{}1e1048577]", "0".repeat(1 << 20)));
    compare(&format!("[{}1]", "1,".repeat(300_000)));
    compare(&format!("{}1", " ".repeat(1 << 20)));
}

/// xorshift64*, so that a failure can be repeated.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % limit
    }

    fn one<'t, T: ?Sized>(&mut self, of: &[&'t T]) -> &'t T {
        of[self.below(of.len())]
    }

    fn json(&mut self, depth: usize, out: &mut String) {
        const SPACE: [&str; 6] = ["", "", "", " ", "\n\t", "\r"];
        out.push_str(self.one(&SPACE));
        match self.below(if depth == 0 { 6 } else { 10 }) {
            0..=1 => self.number(out),
            2..=4 => self.string(out),
            5 => out.push_str(self.one(&["null", "true", "false"])),
            kind => {
                let is_list = kind < 8;
                out.push(if is_list { '[' } else { '{' });
                for at in 0..self.below(5) {
                    out.push_str(if at > 0 { "," } else { "" });
                    if !is_list {
                        self.string(out);
                        out.push_str(self.one(&SPACE));
                        out.push(':');
                    }
                    self.json(depth - 1, out);
                }
                out.push(if is_list { ']' } else { '}' });
            }
        }
        out.push_str(self.one(&SPACE));
    }

    fn number(&mut self, out: &mut String) {
        out.push_str(self.one(&["", "-"]));
        out.push_str(self.one(&["0", "1", "7", "12", "9007199254740993", "123456789012345678901234"]));
        for _ in 0..self.below(3) * 9 {
            out.push_str(self.one(&[".", "0", "3", "5", "9"]).trim_start_matches('.'));
        }
        let fraction = self.one(&["", "", ".0", ".5", ".000123", ".98765432109876543210"]);
        out.push_str(fraction);
        out.push_str(self.one(&[
            "",
            "",
            "",
            "e3",
            "E-7",
            "e+22",
            "e-300",
            "e290",
            "e320",
            "e-99999999999",
            "e99999999999",
        ]));
    }

    fn string(&mut self, out: &mut String) {
        const PIECES: [&str; 18] = [
            "a",
            "key",
            "é",
            "漢字",
            "😀",
            " ",
            "/",
            "\\n",
            "\\\"",
            "\\\\",
            "\\/",
            "\\b",
            "\\u0041",
            "\\u00e9",
            "\\ud83d\\ude00",
            "\\ud83d",
            "\\ude00",
            "\u{7f}",
        ];
        out.push('"');
        for _ in 0..self.below(5) {
            out.push_str(self.one(&PIECES));
        }
        out.push('"');
    }

    /// A piece of real JSON, from a place where a value may begin.
    fn piece(&mut self, text: &str) -> String {
        let from = text.floor_char_boundary(self.below(text.len()));
        let from = from + text[from..].find(['{', '[']).unwrap_or_default();
        let to = text.floor_char_boundary((from + 20 + self.below(400)).min(text.len()));
        text[from..to.max(from)].to_owned()
    }

    fn mutate(&mut self, text: &mut String) {
        const PIECES: [&str; 30] = [
            "\"", "\\", "{", "}", "[", "]", ",", ":", " ", "\n", "0", "1", "-", "+", ".", "e", "1e999", "\\u",
            "\\ud800", "\\udc00", "null", "t", "\0", "\u{1f}", "\u{feff}", "é", "😀", "\"a\":", ",1", "/",
        ];
        let from = text.floor_char_boundary(self.below(text.len() + 1));
        let to = text.floor_char_boundary((from + self.below(4)).min(text.len())).max(from);
        let piece = self.one(&PIECES);
        match self.below(4) {
            0 => text.insert_str(from, piece),
            1 => text.replace_range(from..to, ""),
            2 => text.replace_range(from..to, piece),
            _ => text.truncate(from),
        }
    }
}

/// Texts that are JSON, and as many that are nearly JSON.
fn random(seed: u64) -> String {
    let mut dice = Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    let mut text = String::new();
    if dice.below(4) == 0 {
        let real = dice.one(&REAL);
        text = dice.piece(real);
        if dice.below(2) == 0 {
            text = closed(&text);
        }
    } else {
        let depth = dice.below(6);
        dice.json(depth, &mut text);
    }
    for _ in 0..dice.below(2) * dice.below(4) {
        dice.mutate(&mut text);
    }
    text
}

/// The longest beginning of a text that can be closed to be JSON.
fn closed(text: &str) -> String {
    let (mut open, mut quoted, mut escaped, mut best) = (Vec::new(), false, false, String::new());
    for (at, char) in text.char_indices() {
        match char {
            _ if escaped => escaped = false,
            '\\' => escaped = quoted,
            '"' => quoted = !quoted,
            _ if quoted => {}
            '{' => open.push('}'),
            '[' => open.push(']'),
            '}' | ']' => {
                open.pop();
                best = text[..=at].chars().chain(open.iter().rev().copied()).collect();
                if open.is_empty() {
                    break;
                }
            }
            _ => {}
        }
    }
    best
}

#[test]
fn both_readers_make_the_same_of_100_000_random_texts() {
    let mut valid = 0;
    for seed in 1..=100_000 {
        let text = random(seed);
        compare(&text);
        valid += usize::from(read(&text).is_some());
    }
    // Neither kind may be rare, or the comparison would say little.
    assert!((30_000..90_000).contains(&valid), "{valid} valid texts");
    for text in REAL {
        compare(text);
    }
}

#[test]
fn a_text_is_cut_off_where_it_could_go_on() {
    let mut cuts = 0;
    for seed in 1..=2_000 {
        let text = random(seed);
        if read(&text).is_none() {
            continue;
        }
        for (at, _) in text.char_indices() {
            let start = &text[..at];
            assert_eq!(is_cut_off(start), read(start).is_none(), "{start}");
            cuts += usize::from(is_cut_off(start));
            // A byte that JSON has nowhere, and whatever follows it.
            assert!(!is_cut_off(&format!("{start}\u{1}")), "{start}");
            assert!(!is_cut_off(&format!("{start}\u{1}{}", &text[at..])), "{start}");
        }
        assert!(!is_cut_off(&text), "{text}");
    }
    assert!(cuts > 10_000, "{cuts}");
}

#[test]
fn what_serde_json_calls_cut_off_is_cut_off() {
    for seed in 1..=20_000 {
        let text = random(seed);
        let theirs = serde_json::from_str::<serde::de::IgnoredAny>(&text).is_err_and(|error| error.is_eof());
        // It does not look at digits of an escape before all four are there, nor at numbers that stop halfway.
        let is_escape = text.char_indices().rev().take(5).any(|(at, _)| text[at..].starts_with("\\u"));
        let is_number = text.ends_with(['-', '+', '.', 'e', 'E']);
        assert!(theirs == is_cut_off(&text) || is_escape || is_number, "{text}");
    }
}

#[test]
fn numbers_of_up_to_19_digits_are_read_to_the_last_bit() {
    let mut random = 7_u64;
    let mut next = || {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        random >> 11
    };
    for _ in 0..100_000 {
        let digits = (next() % 10_u64.pow(1 + (next() % 18) as u32)).to_string();
        let places = next() as usize % 19;
        let padded = format!("{digits:0>20}");
        let (whole, fraction) = padded.split_at(20 - places);
        let whole = whole.trim_start_matches('0');
        let whole = if whole.is_empty() { "0" } else { whole };
        let text = if places == 0 { whole.to_owned() } else { format!("{whole}.{fraction}") };
        assert_eq!(read(&text), Some(Value::Number(text.parse().unwrap())), "{text}");
        let value = f64::from_bits(0x3FF0_0000_0000_0000 | next() >> 1) * next() as f64;
        assert_eq!(read(&value.to_string()), Some(Value::Number(value)), "{value}");
    }
}
