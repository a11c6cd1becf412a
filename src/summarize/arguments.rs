//! Arguments of tool calls on one line.

use super::caps::cut_middle;
use crate::json::parse;
use crate::text::one_line;
use crate::value::Value;

/// JSON arguments as `key: value, other: value`; nested lists and objects keep their brackets. Strings longer than
/// `longest` characters lose their middle. Text that is not JSON is only put on one line and cut in the same way.
pub(crate) fn flat(arguments: &str, longest: usize) -> String {
    flattened(arguments, longest).unwrap_or_else(|| shortened(arguments, longest))
}

/// The text is read, not the tree: a tree of doubles would change the digits of long numbers.
fn flattened(arguments: &str, longest: usize) -> Option<String> {
    parse(arguments, None).ok()?;
    let bytes = arguments.as_bytes();
    let mut out = String::with_capacity(arguments.len().min(longest));
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        at += 1;
        match byte {
            b'"' => {
                let end = string_end(bytes, at);
                if let Ok(Value::String(text)) = parse(arguments.get(at - 1..end)?, None) {
                    out.push_str(if text.is_empty() { "\"\"" } else { "" });
                    out.push_str(&shortened(&text, longest));
                }
                at = end;
            }
            b'{' | b'[' => {
                if depth > 0 {
                    out.push(char::from(*byte));
                }
                depth += 1;
            }
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                if depth > 0 {
                    out.push(char::from(*byte));
                }
            }
            b',' => out.push_str(", "),
            b':' => out.push_str(": "),
            b' ' | b'\n' | b'\r' | b'\t' => {}
            // Numbers, `true`, `false`, `null`: JSON has no other bytes outside strings.
            other => out.push(char::from(*other)),
        }
    }
    Some(out)
}

/// The place after the closing quote of a string whose text begins at `at`.
fn string_end(bytes: &[u8], mut at: usize) -> usize {
    while let Some(byte) = bytes.get(at) {
        at += 1;
        match byte {
            b'\\' => at += 1,
            b'"' => break,
            _ => {}
        }
    }
    at.min(bytes.len())
}

fn shortened(text: &str, longest: usize) -> String {
    let tail = longest / 4;
    let flat = one_line(text);
    cut_middle(&flat, longest - tail, tail).into_owned()
}

#[cfg(test)]
mod tests {
    use super::flat;

    #[test]
    fn objects_become_keys_and_values() {
        let json = "{\"path\": \"src/main.rs\",\n \"lines\": [1, 2.50], \"deep\": {\"all\": true, \"none\": null}}";
        assert_eq!(flat(json, 100), "path: src/main.rs, lines: [1, 2.50], deep: {all: true, none: null}");
        assert_eq!(flat("{}", 100), "");
        assert_eq!(flat("{\"q\": \"\"}", 100), "q: \"\"");
    }

    #[test]
    fn long_numbers_keep_every_digit() {
        assert_eq!(
            flat("{\"order\": 1234567890123456789, \"sum\": 0.1234567890123}", 100),
            "order: 1234567890123456789, sum: 0.1234567890123"
        );
    }

    #[test]
    fn strings_are_decoded_and_put_on_one_line() {
        assert_eq!(
            flat(r#"{"command": "echo \"hi\"\nls\t-l", "name": "caf\u00e9 \ud83d\ude80"}"#, 100),
            "command: echo \"hi\" ls -l, name: café 🚀"
        );
    }

    #[test]
    fn long_strings_lose_their_middle() {
        let json = format!("{{\"content\": \"{}END\", \"path\": \"a.txt\"}}", "é".repeat(5_000));
        assert_eq!(flat(&json, 12), format!("content: {} … END, path: a.txt", "é".repeat(9)));
    }

    #[test]
    fn what_is_not_json_stays_as_it_is_written() {
        assert_eq!(flat("ls -l\n  /tmp", 100), "ls -l /tmp");
        assert_eq!(flat("{\"broken\": ", 100), "{\"broken\":");
        assert_eq!(flat("", 100), "");
        assert_eq!(flat("plain text that goes on and on", 8), "plain … on");
    }

    #[test]
    fn depth_needs_no_stack() {
        let deep = format!("{}{}", "[".repeat(200_000), "]".repeat(200_000));
        assert_eq!(flat(&deep, 40).len(), deep.len() - 2);
    }
}
