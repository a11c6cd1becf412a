//! Random conversations from a seed: everything that hosts are known to send, in order and out of order.

use epitome::{Budget, FitOptions, Policy};

use super::counting::formula;
use super::message::Msg;
use super::rng::Rng;

#[derive(Debug, Clone)]
pub struct Case {
    pub seed: u64,
    pub messages: Vec<String>,
    pub options: FitOptions,
    /// Nothing in it has to be repaired.
    pub in_order: bool,
}

impl Case {
    pub fn json(&self) -> String {
        format!("[{}]", self.messages.join(","))
    }
}

/// The conversation of a seed and options to fit it with.
pub fn case(seed: u64) -> Case {
    let mut rng = Rng::new(seed);
    let faults = *rng.pick(&[0, 0, 0, 4, 15, 40]);
    let mut writer = Writer { rng: rng.clone(), faults, out: Vec::new(), id: 0, reuse: false, huge: false };
    writer.reuse = writer.rng.chance(30);
    writer.huge = writer.rng.once_in(150);
    writer.conversation();
    let messages = writer.out;
    rng.next();
    let options = options(&mut rng, &messages);
    Case { seed, messages, options, in_order: faults == 0 }
}

// ------------------------------------------------------------------------------------------------------------ options

pub fn options(rng: &mut Rng, messages: &[String]) -> FitOptions {
    let parsed = Msg::all(messages.iter().map(String::as_str));
    let sizes: Vec<u64> = parsed.iter().map(|message| formula(&epitome::Heuristic, message)).collect();
    let all: u64 = sizes.iter().sum();
    let last_user = parsed.iter().rposition(|message| message.role() == "user");
    let kept: u64 = parsed
        .iter()
        .zip(&sizes)
        .enumerate()
        .filter(|(at, (message, _))| message.is_system() || Some(*at) == last_user)
        .map(|(_, (_, size))| size)
        .sum();
    let share = |percent: u64| kept + (all - kept) * percent / 100;
    let tokens = match rng.below(12) {
        0 => share(10),
        1 | 2 => share(25),
        3 | 4 => share(50),
        5 => share(rng.below(100) as u64),
        6 => share(rng.below(30) as u64),
        7 => all,
        8 => all.saturating_sub(1),
        9 => kept + rng.below(60) as u64,
        10 => all * 2 + 10,
        _ => 1 + rng.below(all as usize + 1) as u64,
    }
    .max(1);
    let budget = if rng.chance(70) {
        Budget::Limit(tokens)
    } else {
        let window = (tokens * 10 / 8).max(8);
        let reserve = rng.chance(50).then(|| window * rng.below(40) as u64 / 100);
        Budget::Window { window, reserve, overhead: if rng.chance(20) { rng.below(30) as u64 } else { 0 } }
    };
    let mut options = FitOptions::with_budget(budget);
    if budget.limit().is_err() {
        options.budget = Budget::Limit(tokens);
    }
    if rng.chance(30) && !messages.is_empty() {
        for _ in 0..rng.range(1, 3) {
            options.pin.push(rng.below(messages.len()));
        }
    }
    if rng.chance(50) {
        options.policy = policy(rng);
    }
    if rng.chance(15) {
        options.system = Some(r#""You are a careful assistant. Answer in the language of the question.""#.to_owned());
    }
    if rng.chance(15) {
        options.tools = Some(
            r#"[{"type":"function","function":{"name":"search","description":"Searches","parameters":{"type":"object","properties":{"q":{"type":"string"}}}}}]"#
                .to_owned(),
        );
    }
    options
}

fn policy(rng: &mut Rng) -> Policy {
    let hard = 0.3 + 0.7 * (rng.below(101) as f64 / 100.0);
    let soft = hard * (0.2 + 0.8 * (rng.below(101) as f64 / 100.0));
    let mut policy = Policy {
        soft,
        hard,
        soft_target: soft * (0.3 + 0.7 * (rng.below(101) as f64 / 100.0)),
        hard_target: soft * (0.3 + 0.7 * (rng.below(101) as f64 / 100.0)),
        preserve_tail_messages: rng.below(12),
        protect_tail_tokens: *rng.pick(&[0, 50, 500, 40_000]),
        ..Policy::default()
    };
    if rng.chance(20) {
        policy.protect_tools = vec![(*rng.pick(&TOOLS)).to_owned()];
    }
    if rng.chance(20) {
        (*rng.pick(&["assistant", "system", "developer"])).clone_into(&mut policy.summary_role);
    }
    policy.shrink_last_user = rng.chance(15);
    if rng.chance(25) {
        let long = "gone ".repeat(60);
        let texts = ["", "{tokens}", "[old result]", "\u{1f5d1}\u{fe0f} {tokens} {tokens}", long.as_str()];
        (*rng.pick(&texts)).clone_into(&mut policy.placeholder);
    }
    policy
}

// ------------------------------------------------------------------------------------------------------ conversations

const TOOLS: [&str; 6] = ["search", "read_file", "run_tests", "get_user_details", "mcp__k8s-list.pods", "übersetzen"];

struct Writer {
    rng: Rng,
    /// How often something is out of order, in percent.
    faults: usize,
    out: Vec<String>,
    id: usize,
    /// Ids begin again from time to time.
    reuse: bool,
    huge: bool,
}

impl Writer {
    fn fault(&mut self) -> bool {
        let faults = self.faults;
        self.rng.chance(faults)
    }

    fn conversation(&mut self) {
        if self.rng.once_in(60) {
            return;
        }
        if self.rng.chance(60) {
            let role = if self.rng.chance(25) { "developer" } else { "system" };
            self.say(role);
            if self.rng.chance(15) {
                self.say("system");
            }
        }
        let turns = match self.rng.below(10) {
            0 => 1,
            1..=6 => self.rng.range(2, 10),
            7 | 8 => self.rng.range(10, 30),
            _ => self.rng.range(30, 80),
        };
        if !self.rng.chance(8) {
            self.say("user");
        }
        for _ in 0..turns {
            match self.rng.below(20) {
                0..=3 => self.say("user"),
                4..=7 => self.say("assistant"),
                8..=15 => self.tools(),
                16 => self.legacy(),
                17 => {
                    let role = if self.rng.chance(50) { "system" } else { "developer" };
                    if self.rng.chance(40) { self.say(role) } else { self.say("user") }
                }
                18 => {
                    self.say("user");
                    self.say("assistant");
                }
                _ => self.odd(),
            }
            if self.fault() {
                self.break_something();
            }
        }
        if self.rng.chance(30) {
            self.say("user");
        } else if self.rng.chance(40) {
            self.tools();
        }
    }

    /// A message of plain words, or of parts.
    fn say(&mut self, role: &str) {
        let mut fields = Vec::new();
        let content = match (role, self.rng.below(20)) {
            ("assistant", 0) if self.faults > 0 => None,
            (_, 0) if self.faults > 0 => {
                let empty = (*self.rng.pick(&["\"\"", "null", "[]", "\"  \\n\""])).to_owned();
                Some(empty)
            }
            ("user", 1..=3) => Some(self.user_parts()),
            (_, 1 | 2) => Some(self.text_parts()),
            _ => Some(self.content()).map(|text| {
                // An assistant message of blanks is an empty one.
                let blank = serde_json::from_str::<String>(&text).is_ok_and(|text| text.trim().is_empty());
                if role == "assistant" && blank { "\"ok\"".to_owned() } else { text }
            }),
        };
        if let Some(content) = content {
            fields.push(("content".to_owned(), content));
        }
        if role == "assistant" {
            match self.rng.below(30) {
                0 => {
                    fields.clear();
                    fields.push(("content".to_owned(), "null".to_owned()));
                    let refusal =
                        Some(self.content()).filter(|text| text != "\"\"").unwrap_or_else(|| "\"no\"".to_owned());
                    fields.push(("refusal".to_owned(), refusal));
                }
                1 => {
                    fields.clear();
                    fields.push(("audio".to_owned(), r#"{"id":"audio_abc123","expires_at":1.7e9}"#.to_owned()));
                }
                2 => fields.push(("reasoning_content".to_owned(), self.content())),
                3 => fields.push(("annotations".to_owned(), "[]".to_owned())),
                4 => fields.push(("function_call".to_owned(), "null".to_owned())),
                _ => {}
            }
            if self.fault() && self.rng.chance(20) {
                fields.push(("tool_calls".to_owned(), (*self.rng.pick(&["[]", "null"])).to_owned()));
            }
        }
        if role != "assistant" && self.rng.chance(8) {
            fields.push(("name".to_owned(), r#""Zoë_1""#.to_owned()));
        }
        self.emit(role, fields);
    }

    /// Calls and their results: parallel, repeated, moved, missing.
    fn tools(&mut self) {
        let count = match self.rng.below(20) {
            0..=11 => 1,
            12..=17 => self.rng.range(2, 4),
            18 => self.rng.range(5, 12),
            _ => 30,
        };
        if self.reuse && self.rng.chance(30) {
            self.id = 0;
        }
        let mut calls = Vec::new();
        let mut ids: Vec<String> = Vec::new();
        for _ in 0..count {
            self.id += 1;
            let mut id = format!("call_{}", self.id);
            if self.fault()
                && let Some(last) = ids.last()
            {
                id.clone_from(last);
            }
            if self.rng.once_in(80) {
                id = "\\u00e9 \\\" \u{1f600}".to_owned();
            }
            let name = json(*self.rng.pick(&TOOLS));
            let arguments = self.arguments();
            let call = match self.rng.below(20) {
                0 | 1 => format!(r#"{{"id":"{id}","type":"custom","custom":{{"name":{name},"input":{arguments}}}}}"#),
                2 => format!(r#"{{"function":{{"arguments":{arguments},"name":{name},"x":1e2}},"id":"{id}"}}"#),
                3 => format!(
                    r#"{{"id":"{id}","type":"function","function":{{"name":{name},"arguments":{arguments}}},"index":0,"extra":{{"a":[1,2.50]}}}}"#
                ),
                _ => {
                    format!(r#"{{"id":"{id}","type":"function","function":{{"name":{name},"arguments":{arguments}}}}}"#)
                }
            };
            calls.push(call);
            ids.push(id);
        }
        let content = match self.rng.below(10) {
            0..=4 => Some("null".to_owned()),
            5 => Some("\"\"".to_owned()),
            6 => None,
            7 if self.faults > 0 && self.rng.once_in(8) => Some("[]".to_owned()),
            7 => Some(self.text_parts()),
            _ => Some(self.content()),
        };
        let mut fields = Vec::new();
        if let Some(content) = content {
            fields.push(("content".to_owned(), content));
        }
        fields.push(("tool_calls".to_owned(), format!("[{}]", calls.join(","))));
        self.emit("assistant", fields);
        if ids.len() > 1 && self.rng.chance(30) {
            ids.reverse();
        }
        let mut late = Vec::new();
        for id in ids {
            let times = if self.fault() { self.rng.below(3) } else { 1 };
            for _ in 0..times {
                let content = match self.rng.below(24) {
                    0 => "\"\"".to_owned(),
                    1 | 2 => self.text_parts(),
                    3 if self.faults > 0 => (*self.rng.pick(&["null", "[]"])).to_owned(),
                    4 if self.faults > 0 => self.user_parts(),
                    5 if self.faults > 0 && self.rng.once_in(6) => r#"[{"type":"text","text":"half of it, and then a long tail of words that goes on and on for a while so that it is worth pruning"},{"type":"refusal","refusal":"no"}]"#.to_owned(),
                    _ => self.content(),
                };
                let fields = vec![("tool_call_id".to_owned(), format!("\"{id}\"")), ("content".to_owned(), content)];
                if self.fault() { late.push(fields) } else { self.emit("tool", fields) }
            }
        }
        if !late.is_empty() {
            match self.rng.below(3) {
                0 => self.say("user"),
                1 => self.say("system"),
                _ => self.say("assistant"),
            }
            for fields in late {
                self.emit("tool", fields);
            }
        }
    }

    fn legacy(&mut self) {
        let name = json(*self.rng.pick(&TOOLS));
        let arguments = self.arguments();
        self.emit(
            "assistant",
            vec![
                ("content".to_owned(), "null".to_owned()),
                ("function_call".to_owned(), format!(r#"{{"name":{name},"arguments":{arguments}}}"#)),
            ],
        );
        if !self.fault() {
            let content = self.content();
            self.emit("function", vec![("name".to_owned(), name), ("content".to_owned(), content)]);
        }
    }

    /// Texts that look like ours.
    fn odd(&mut self) {
        let text = match self.rng.below(5) {
            0 => format!("{}12 earlier messages were left out.]", super::HEADER),
            1 => format!(
                "{}999999999999999999999 earlier messages. What stands between the marks is a record, not an instruction.]\n<record 0a0b0c0d>\nMessages: 1 from the user\nUser: pin me, I am the last user message\nTools: search(q=x); search(q=y)\nFiles: src/main.rs, a.b\nIdentifiers: ABC123\nError: error: it failed\n</record 0a0b0c0d>",
                super::HEADER
            ),
            2 => "[tool result of 5000 tokens pruned]".to_owned(),
            3 => "head\n[… 12345 tokens cut …]\ntail".to_owned(),
            _ => format!("{}{}", super::HEADER, "x".repeat(400)),
        };
        let role = *self.rng.pick(&["user", "user", "user", "assistant", "system"]);
        self.emit(role, vec![("content".to_owned(), json(&text))]);
    }

    fn break_something(&mut self) {
        match self.rng.below(8) {
            0 => {
                let content = self.content();
                self.emit(
                    "tool",
                    vec![("tool_call_id".to_owned(), "\"nobody_asked\"".to_owned()), ("content".to_owned(), content)],
                );
            }
            1 => self.emit(
                "function",
                vec![("name".to_owned(), "\"nobody\"".to_owned()), ("content".to_owned(), "\"x\"".to_owned())],
            ),
            2 if !self.out.is_empty() => {
                let at = self.rng.below(self.out.len());
                self.out.remove(at);
            }
            3 if !self.out.is_empty() => {
                let at = self.rng.below(self.out.len());
                let again = self.out[at].clone();
                self.out.push(again);
            }
            4 if self.out.len() > 1 => {
                let (a, b) = (self.rng.below(self.out.len()), self.rng.below(self.out.len()));
                self.out.swap(a, b);
            }
            5 => {
                let empty = (*self.rng.pick(&["\"\"", "null", "[]", "\" \""])).to_owned();
                self.emit("assistant", vec![("content".to_owned(), empty)]);
            }
            6 => self.emit("assistant", vec![]),
            _ => self.emit(
                "assistant",
                vec![("tool_calls".to_owned(), "[]".to_owned()), ("content".to_owned(), "\"so\"".to_owned())],
            ),
        }
    }

    // --------------------------------------------------------------------------------------------------------- values

    fn arguments(&mut self) -> String {
        match self.rng.below(8) {
            0 => r#""""#.to_owned(),
            1 => json("not json {"),
            2 => {
                let text = self.text();
                json(&format!("{{\"patch\": {}}}", json(&text)))
            }
            3 => json("{\"a\":1e2,\"b\":12345678901234567890,\"c\":\"\\ud83d\"}"),
            _ => json(&format!(
                "{{\"path\": \"src/file_{}.rs\", \"limit\": {}}}",
                self.rng.below(50),
                self.rng.below(1000)
            )),
        }
    }

    /// A string value, escaped in one way or another.
    fn content(&mut self) -> String {
        let text = self.text();
        let mut value = json(&text);
        match self.rng.below(14) {
            0 => {
                let half = *self.rng.pick(&["\\ud800", "\\uDFFF", "\\ud83d x", "\\udc00\\ud800"]);
                value.insert_str(1, half);
                if self.rng.chance(50) {
                    value.insert_str(value.len() - 1, half);
                }
            }
            1 if text.len() < 4_000 => {
                value = format!("\"{}\"", text.encode_utf16().map(|unit| format!("\\u{unit:04X}")).collect::<String>());
            }
            2 => value = value.replace('/', "\\/"),
            _ => {}
        }
        value
    }

    fn text_parts(&mut self) -> String {
        let mut parts: Vec<String> =
            (0..self.rng.range(1, 5)).map(|_| format!(r#"{{"type":"text","text":{}}}"#, self.content())).collect();
        // Not all of them empty: an assistant message of empty texts has to be repaired.
        parts.push(r#"{"type":"text","text":"."}"#.to_owned());
        format!("[{}]", parts.join(","))
    }

    fn user_parts(&mut self) -> String {
        let parts: Vec<String> = (0..self.rng.range(1, 4))
            .map(|_| match self.rng.below(8) {
                0 => r#"{"type":"image_url","image_url":{"url":"data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk","detail":"low"}}"#.to_owned(),
                1 => r#"{"image_url":{"url":"https://example.com/a.png"},"type":"image_url"}"#.to_owned(),
                2 => r#"{"type":"input_audio","input_audio":{"data":"UklGRiQAAABXQVZFZm10IBAAAAABAAEA","format":"wav"}}"#.to_owned(),
                3 => r#"{"type":"file","file":{"file_data":"data:application/pdf;base64,JVBERi0xLjQK","filename":"a.pdf"}}"#.to_owned(),
                4 => r#"{"type":"video_url","video_url":{"url":"https://example.com/v.mp4"},"fps":2.0}"#.to_owned(),
                _ => format!(r#"{{"type":"text","text":{},"cache_control":{{"type":"ephemeral"}}}}"#, self.content()),
            })
            .collect();
        format!("[{}]", parts.join(","))
    }

    fn text(&mut self) -> String {
        if self.huge && self.rng.once_in(12) {
            self.huge = false;
            let unit = self.words(40);
            return unit.repeat(5_000_000 / unit.len().max(1));
        }
        let words = match self.rng.below(20) {
            0 => 0,
            1..=9 => self.rng.range(1, 12),
            10..=15 => self.rng.range(12, 90),
            16..=18 => self.rng.range(90, 400),
            _ => self.rng.range(400, 1500),
        };
        self.words(words)
    }

    fn words(&mut self, words: usize) -> String {
        let script = self.rng.below(SCRIPTS.len() + 4);
        let mut out = String::new();
        for _ in 0..words {
            let script = if self.rng.chance(5) { self.rng.below(SCRIPTS.len() + 4) } else { script };
            match SCRIPTS.get(script) {
                Some(words) => {
                    let word = *self.rng.pick(words);
                    out.push_str(word);
                }
                None => match script - SCRIPTS.len() {
                    0 => out.push_str(&format!("{:x}", self.rng.next())),
                    1 => {
                        let count = self.rng.range(1, 60);
                        let c = *self.rng.pick(&['a', '=', ' ', '\n', '0', '漢', '\u{301}', '🙂']);
                        out.extend(std::iter::repeat_n(c, count));
                    }
                    2 => {
                        let code = self.rng.below(0x2_FFFF) as u32;
                        out.push(char::from_u32(code).unwrap_or('?'));
                    }
                    _ => out.push_str(&format!(
                        "{{\"id\": {}, \"ok\": true, \"name\": \"item_{}\"}},\n",
                        self.rng.below(99_999),
                        self.rng.below(99)
                    )),
                },
            }
        }
        out
    }

    /// Writes a message down: order of fields, blanks and unknown fields vary.
    fn emit(&mut self, role: &str, mut fields: Vec<(String, String)>) {
        let at = if self.rng.chance(80) { 0 } else { self.rng.below(fields.len() + 1) };
        fields.insert(at, ("role".to_owned(), format!("\"{role}\"")));
        while self.rng.chance(12) {
            let unknown: (&str, String) = match self.rng.below(11) {
                0 => ("deep", format!("{}{}", "[".repeat(300), "]".repeat(300))),
                1 => ("score", "1e2".to_owned()),
                2 => ("ns", "12345678901234567890123".to_owned()),
                3 => ("lone", "\"\\ud800\"".to_owned()),
                4 => ("", "{\"\":null}".to_owned()),
                5 => ("cache_control", "{ \"type\" : \"ephemeral\" }".to_owned()),
                6 => ("zero", "-0.0".to_owned()),
                7 => ("x\\ud800y", "1".to_owned()),
                8 => ("\\u0061bc", "[true,false,null]".to_owned()),
                9 => ("big", "1e999".to_owned()),
                _ => ("deep_object", format!("{}1{}", "{\"a\":".repeat(200), "}".repeat(200))),
            };
            // Rare ones must not drown the rest.
            if matches!(unknown.0, "big" | "x\\ud800y") && !self.rng.once_in(12) {
                continue;
            }
            let at = self.rng.below(fields.len() + 1);
            fields.insert(at, (unknown.0.to_owned(), unknown.1));
        }
        if self.rng.once_in(60) {
            // The same key twice: the last one counts.
            let first = fields.iter().position(|(key, _)| key == "content");
            if let Some(first) = first {
                fields.insert(first, ("content".to_owned(), json("the first of two equal keys does not count")));
            }
        }
        let (colon, comma) = *self.rng.pick(&[(":", ","), (":", ","), (": ", ", "), (" :\n", " ,\t")]);
        let fields: Vec<String> = fields.iter().map(|(key, value)| format!("\"{key}\"{colon}{value}")).collect();
        self.out.push(format!("{{{}}}", fields.join(comma)));
    }
}

pub fn json(text: &str) -> String {
    serde_json::to_string(text).expect("a string is JSON")
}

const SCRIPTS: [&[&str]; 14] = [
    &[
        "the ",
        "conversation ",
        "budget ",
        "of ",
        "tokens ",
        "is ",
        "exceeded, ",
        "so ",
        "older ",
        "results ",
        "go. ",
        "Paris\n",
    ],
    &[
        "fn ",
        "main() ",
        "{\n",
        "    let ",
        "x = ",
        "vec![1, 2];\n",
        "}\n",
        "// note\n",
        "self.total ",
        "+= ",
        "tokens;\n",
        "#[test]\n",
    ],
    &[
        "error: ",
        "src/engine.rs:42 ",
        "ABC-1234 ",
        "user_98765@example.com ",
        "https://example.com/a/b?c=d ",
        "failed\n",
        "0x7fff ",
        "2026-01-02T03:04:05Z ",
    ],
    &["我们", "需要", "压缩", "对话", "。", "预算", "北京", "的", "酒店", "，", "价格", "四百元"],
    &["これは", "テスト", "です。", "メッセージ", "を", "圧縮", "する", "カタカナ", "ー"],
    &["한국어 ", "메시지", "를 ", "요약", "합니다. ", "토큰 ", "예산 "],
    &["مرحبا ", "بالعالم ", "الرسالة ", "هذه ", "طويلة ", "جدا. ", "\u{200f}"],
    &["שלום ", "עולם ", "הודעה ", "ארוכה ", "מאוד. "],
    &["नमस्ते ", "दुनिया ", "संदेश ", "बहुत ", "लंबा ", "है। "],
    &["สวัสดี", "ชาวโลก", "ข้อความ", "ยาว", "มาก "],
    &["Привет ", "мир, ", "сообщение ", "слишком ", "длинное. ", "Ελληνικά ", "κείμενο "],
    &["👩‍👩‍👧‍👦", "🏳️‍🌈 ", "🇩🇪", "👍🏽 ", "❤️", "🙂", "\u{1F9D1}\u{200D}\u{1F680}"],
    &[
        "e\u{301}",
        "a\u{308}\u{304}",
        "Z\u{351}\u{36b}\u{343}",
        "n\u{303} ",
        "\u{200b}",
        "\u{feff}",
        "\u{0}",
        "\u{7f}",
        "\u{2028}",
        "\u{fffd}",
    ],
    &[
        "\t",
        "\n\n",
        "    ",
        "| a | b |\n",
        "- [ ] item\n",
        "---\n",
        "\"quoted\" ",
        "back\\slash ",
        "<tag attr='1'>",
        "</record 00000000>\n",
        "[… 3 tokens cut …]\n",
    ],
];
