//! Native speed: `cargo bench --bench fit`. Throughput is in bytes of the conversation's JSON.
#![allow(missing_docs, reason = "criterion generates the entry point")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a benchmark fails loudly")]

use std::fmt::Write as _;
use std::future::Future as _;
use std::hint::black_box;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, SamplingMode, Throughput, criterion_group, criterion_main};
use epitome::{
    Budget, Conversation, ConversationOptions, FitOptions, Heuristic, Messages, Providers, TokenCounter,
    count_messages, fit, undo,
};

/// Sizes of the conversations, messages.
const SIZES: [usize; 2] = [2_000, 20_000];
/// The small budget, tokens; the other is a quarter of the conversation.
const SMALL: u64 = 8_000;

/// xorshift: the same conversations on every machine.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap_or(0) % end
    }

    fn word(&mut self) -> &'static str {
        const WORDS: [&str; 24] = [
            "request", "the", "cache", "of", "worker", "and", "index", "is", "query", "for", "timeout", "that",
            "deploy", "with", "schema", "not", "latency", "before", "payment", "from", "header", "while", "retry",
            "release",
        ];
        WORDS.get(self.below(WORDS.len())).copied().unwrap_or("word")
    }

    fn prose(&mut self, words: usize) -> String {
        (0..words).map(|_| self.word()).collect::<Vec<_>>().join(" ")
    }

    /// JSON records, log lines, source code or prose, escaped to stand in a JSON string.
    fn payload(&mut self) -> String {
        let mut text = String::new();
        match self.below(4) {
            0 => {
                for _ in 0..4 + self.below(11) {
                    let (id, amount) = (self.below(1 << 30), self.below(100_000));
                    let _ =
                        write!(text, r#"{{\"id\":\"{id:08x}\",\"name\":\"{}\",\"amount\":{amount}}},"#, self.prose(3));
                }
            }
            1 => {
                for _ in 0..6 + self.below(16) {
                    let (minute, id) = (10 + self.below(50), self.below(1 << 30));
                    let _ = write!(text, r"2026-11-12T10:{minute}:07.113Z INFO {} id={id:08x}\n", self.prose(9));
                }
            }
            2 => {
                for _ in 0..10 + self.below(34) {
                    let _ =
                        write!(text, r"  const {0} = await {0}.{1}({2});\n", self.word(), self.word(), self.below(900));
                }
            }
            _ => {
                let words = 120 + self.below(400);
                text = self.prose(words);
            }
        }
        text
    }
}

/// An agent conversation as JSON: a user's request, rounds of one tool call and its result, an answer.
fn conversation(count: usize) -> String {
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    let mut messages = vec![r#"{"role":"system","content":"You are a careful engineering agent."}"#.to_owned()];
    while messages.len() < count {
        messages.push(format!(r#"{{"role":"user","content":"{}?"}}"#, random.prose(60)));
        for _ in 0..4 {
            let id = messages.len();
            let (said, path) = (random.prose(30), random.word());
            messages.push(format!(
                r#"{{"role":"assistant","content":"{said}","tool_calls":[{{"id":"c{id}","type":"function","function":{{"name":"read_file","arguments":"{{\"path\":\"src/{path}_{id}.ts\"}}"}}}}]}}"#
            ));
            let payload = random.payload();
            messages.push(format!(r#"{{"role":"tool","tool_call_id":"c{id}","content":"{payload}"}}"#));
        }
        messages.push(format!(r#"{{"role":"assistant","content":"{}."}}"#, random.prose(140)));
    }
    messages.push(format!(r#"{{"role":"user","content":"{}?"}}"#, random.prose(30)));
    format!("[{}]", messages.join(","))
}

fn benchmarks(criterion: &mut Criterion) {
    for size in SIZES {
        let json = conversation(size);
        let messages = Messages::from_json(&json).expect("valid JSON");
        let tokens = count_messages(&messages, None, &Heuristic).expect("messages that can be read");

        let mut group = criterion.benchmark_group(format!("{size} messages"));
        group.throughput(Throughput::Bytes(json.len() as u64)).sampling_mode(SamplingMode::Flat);
        group.sample_size(10).warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(3));
        group.bench_function("parse", |bencher| bencher.iter(|| Messages::from_json(black_box(&json))));
        group.bench_function("count the text", |bencher| bencher.iter(|| Heuristic.count(black_box(&json))));
        group.bench_function("count the messages", |bencher| {
            bencher.iter(|| count_messages(black_box(&messages), None, &Heuristic));
        });
        for (name, budget) in [("8,000 tokens", SMALL), ("25 %", tokens / 4)] {
            let options = FitOptions::new(budget);
            group.bench_function(BenchmarkId::new("fit", name), |bencher| {
                bencher.iter(|| fit(black_box(&messages), &options));
            });
            let fitted = fit(&messages, &options).expect("it fits");
            group.bench_function(BenchmarkId::new("undo", name), |bencher| {
                bencher.iter(|| undo(black_box(&fitted.messages), &fitted.patch, &messages));
            });
        }
        group.finish();
    }
}

/// Messages of the conversation that goes on.
const LONG: usize = 10_000;

/// One more message in a long conversation, with nothing to compact, beside the first look at all of it.
fn turns(criterion: &mut Criterion) {
    let messages = Messages::from_json(&conversation(LONG)).expect("valid JSON");
    let window = Budget::Window { window: 100_000_000, reserve: None, overhead: 0 };
    let next = Messages::from_json(r#"[{"role":"user","content":"And the next one?"}]"#).expect("valid JSON");
    let mut longer = messages.clone();
    longer.push_json(r#"{"role":"user","content":"And the next one?"}"#).expect("valid JSON");
    let mut options = FitOptions::with_budget(window);
    let first = fit(&messages, &options).expect("it fits");

    let mut group = criterion.benchmark_group(format!("{LONG} messages, one more"));
    group.sampling_mode(SamplingMode::Flat);
    group.sample_size(10).warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(3));
    group.bench_function("first fit", |bencher| bencher.iter(|| fit(black_box(&longer), &options)));
    options.previous = Some(first.patch);
    group.bench_function("fit with previous", |bencher| bencher.iter(|| fit(black_box(&longer), &options)));
    let mut talk = Conversation::new(ConversationOptions::new(window), &Heuristic).expect("valid options");
    talk.append(&messages).expect("messages that can be read");
    group.bench_function("append and turn", |bencher| {
        bencher.iter(|| {
            talk.append(black_box(&next)).expect("a message that can be read");
            let mut turn = pin!(talk.turn(Providers::default()));
            let Poll::Ready(done) = turn.as_mut().poll(&mut Context::from_waker(Waker::noop())) else {
                panic!("nobody is asked, so there is nothing to wait for");
            };
            done
        });
    });
    group.finish();
}

criterion_group!(benches, benchmarks, turns);
criterion_main!(benches);
