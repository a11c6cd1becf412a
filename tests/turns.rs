//! Conversations over their turns: random ones and real ones, message by message, with random policies, windows,
//! providers and wishes of the host. After every step every promise is looked at.
//!
//! 10,000 cases, 100,000 with `EPITOME_FULL=1`. `EPITOME_SEED=17` repeats one, `EPITOME_SEED=2000..3000` a group.
#![cfg(not(target_family = "wasm"))]
#![allow(
    clippy::all,
    clippy::pedantic,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "tests fail loudly"
)]

mod common;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::{Mutex, OnceLock};
use std::task::{Context, Waker};

use common::check::{messages, size_of};
use common::counting::{Counted, formula_all};
use common::message::{Msg, clip, short};
use common::rng::Rng;
use common::scripted::{Reply, Scripted, block_on, note};
use common::seeds::{self, SEPARATOR};
use common::{HEADER, dev, generate, irreducible, rules};
use epitome::{
    Budget, Conversation, ConversationOptions, Done, Error, ErrorClass, FitOptions, FocusError, FocusPolicy,
    GuidelinesPolicy, Heuristic, Messages, Phase, Policy, Proactive, Providers, Purpose, Report, State, Strategy,
    count_messages, fit_with, repair, undo,
};
use serde_json::{Value, json};

/// Stands in for a result that never came.
const NO_RESULT: &str = "[no result was recorded for this call]";

// ------------------------------------------------------------------------------------------------------ conversations

fn words(rng: &mut Rng, most: usize) -> String {
    const WORDS: [&str; 16] = [
        "budget",
        "src/engine.rs:42",
        "error: it failed",
        "ABC-1234",
        "the",
        "older",
        "results",
        "42 ms",
        "Paris",
        "https://example.com/a?b=c",
        "会议",
        "never delete backups",
        "config.toml",
        "and",
        "so",
        "line\n",
    ];
    let count = rng.range(1, most.max(1));
    (0..count).map(|_| *rng.pick(&WORDS)).collect::<Vec<_>>().join(" ")
}

/// An agent at work: turns with many tool calls, nothing out of order.
fn agent(rng: &mut Rng, most: usize) -> Vec<String> {
    let mut out = Vec::new();
    if rng.chance(70) {
        out.push(json!({ "role": "system", "content": words(rng, 30) }).to_string());
    }
    let mut id = 0;
    let size = *rng.pick(&[8, 30, 120, 400]);
    while out.len() < most {
        out.push(json!({ "role": "user", "content": words(rng, 40) }).to_string());
        for _ in 0..rng.below(7) {
            let calls = if rng.chance(70) { 1 } else { rng.range(2, 3) };
            let mut list = Vec::new();
            for _ in 0..calls {
                id += 1;
                let arguments = json!({ "path": format!("src/file_{}.rs", rng.below(9)), "n": id }).to_string();
                list.push(json!({ "id": format!("call_{}", id % 40), "type": "function", "function": { "name": *rng.pick(&["read_file", "search", "run_tests"]), "arguments": arguments } }));
            }
            out.push(json!({ "role": "assistant", "content": null, "tool_calls": list }).to_string());
            for call in list {
                let mut text = words(rng, size);
                if rng.chance(15) {
                    text = format!("error: {text}");
                }
                out.push(json!({ "role": "tool", "tool_call_id": call["id"], "content": text }).to_string());
            }
        }
        if rng.chance(80) {
            out.push(json!({ "role": "assistant", "content": words(rng, 60) }).to_string());
        }
    }
    out
}

fn real() -> &'static [Vec<String>] {
    static REAL: OnceLock<Vec<Vec<String>>> = OnceLock::new();
    REAL.get_or_init(|| {
        let mut all: Vec<Vec<String>> = dev::SOURCES
            .iter()
            .filter_map(|source| dev::load(source))
            .flatten()
            .map(|one| one.messages)
            .filter(|raws| raws.iter().take(40).all(|raw| raw.len() < 12_000))
            .collect();
        if all.is_empty() {
            for name in ["coding-agent", "customer-service", "mcp-agent", "chinese-dialogue"] {
                let path = format!("{}/tests/data/{name}.json", env!("CARGO_MANIFEST_DIR"));
                let value: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
                let list = value.get("messages").unwrap_or(&value).as_array().unwrap().clone();
                all.push(list.iter().map(Value::to_string).collect());
            }
        }
        all
    })
}

/// Messages, and whether nothing in them has to be repaired once all of them are there.
fn conversation(rng: &mut Rng, seed: u64) -> (Vec<String>, bool) {
    match rng.below(20) {
        0..=7 => {
            let case = generate::case(20_000_000 + seed);
            let mut raws: Vec<String> = case.messages.into_iter().filter(|raw| raw.len() < 12_000).collect();
            let whole = raws.len();
            raws.truncate(24);
            // What was left out may have been a call.
            let in_order =
                case.in_order && rules::violations(&Msg::all(raws.iter().take(whole).map(String::as_str))).is_empty();
            (raws, in_order)
        }
        8..=18 => {
            let most = *rng.pick(&[6, 12, 12, 20, 20, 40]);
            (agent(rng, most), true)
        }
        _ => {
            let raws = rng.pick(real()).clone();
            let from = rng.below(raws.len().saturating_sub(12));
            let from = (0..=from).rev().find(|at| *at == 0 || Msg::new(&raws[*at]).role() == "user").unwrap_or(0);
            let raws: Vec<String> = raws[from..].iter().take(24).cloned().collect();
            let in_order = rules::violations(&Msg::all(raws.iter().map(String::as_str)))
                .iter()
                .all(|what| what.starts_with("C2 at the end"));
            (raws, in_order)
        }
    }
}

// ------------------------------------------------------------------------------------------------------------ options

fn policy(rng: &mut Rng, raws: &[String]) -> Policy {
    let mut policy = generate::options(rng, raws).policy;
    policy.placeholder = Policy::default().placeholder;
    policy.strategy = *rng.pick(&[
        Strategy::OldestFirst,
        Strategy::OldestFirst,
        Strategy::TaskAware,
        Strategy::Mig,
        Strategy::TaskAwareMig,
        Strategy::Subgoal,
        Strategy::SubgoalMig,
    ]);
    policy.cooldown_turns = rng.below(4) as u32;
    policy.tool_call_cutoff = rng.below(5);
    policy.tool_pair_share = *rng.pick(&[0.0, 0.0, 0.1, 0.25, 1.0]);
    policy.structured_summaries = rng.chance(20);
    if rng.chance(25) {
        policy.proactive = Some(Proactive {
            threshold_tokens: rng.range(1_000, 2_500) as u64,
            max_summary_tokens: rng.range(128, 900) as u64,
        });
    }
    if rng.chance(40) {
        policy.chunk_tokens = rng.range(64, 600) as u64;
        policy.oversize_tokens = rng.range(32, 600) as u64;
    }
    policy.concurrency = rng.range(1, 4);
    if rng.chance(20) {
        policy.max_provider_calls = rng.below(6) as u32;
    }
    policy
}

/// Mostly one that leaves room beside what can never be given up, which is at least the system's words and the longest
/// question.
fn budget(rng: &mut Rng, raws: &[String]) -> Budget {
    let sizes: Vec<u64> = raws.iter().map(|raw| size_of(raw, &Heuristic)).collect();
    let parsed = Msg::all(raws.iter().map(String::as_str));
    let of = |role: &'static str| {
        parsed.iter().zip(&sizes).filter(move |(message, _)| message.role() == role).map(|(_, size)| *size)
    };
    let kept = of("system").sum::<u64>() + of("developer").sum::<u64>() + of("user").max().unwrap_or_default();
    let all: u64 = sizes.iter().sum();
    let percent = *rng.pick(&[3, 8, 15, 25, 40, 60, 90, 150, 300]);
    let least = if rng.chance(85) { kept + 60 } else { 40 };
    let limit = least + all.saturating_sub(kept) * percent / 100 + rng.below(100) as u64;
    if rng.chance(20) {
        return Budget::Limit(limit);
    }
    let overhead = if rng.chance(20) { rng.below(30) as u64 } else { 0 };
    Budget::Window { window: limit + overhead, reserve: Some(limit / 5), overhead }
}

fn options(rng: &mut Rng, raws: &[String]) -> ConversationOptions {
    let mut options = ConversationOptions::new(budget(rng, raws));
    if rng.chance(85) {
        options.policy = policy(rng, raws);
    }
    // Some have room to spare: summaries of tool units then wait, and what they stand for may change meanwhile.
    if rng.chance(25) {
        options.budget = Budget::Window { window: 100_000, reserve: None, overhead: 0 };
        options.policy.tool_pair_share = 0.0;
        options.policy.tool_call_cutoff = rng.range(2, 4);
        options.policy.max_provider_calls = 64;
    }
    if rng.chance(15) {
        options.overhead = rng.below(60) as u64;
    }
    if rng.chance(15) {
        options.goal = Some("find out why src/engine.rs:42 fails".to_owned());
    }
    if rng.chance(15) {
        options.instructions = Some("keep every number".to_owned());
    }
    options.server_compaction = rng.chance(8);
    if rng.chance(25) {
        options.guidelines =
            GuidelinesPolicy { enabled: true, update_threshold: rng.range(1, 2), ..GuidelinesPolicy::default() };
    }
    if rng.chance(10) {
        options.global_guidelines = "1. Keep ports.".to_owned();
    }
    options.focus = FocusPolicy {
        enabled: true,
        min_messages: rng.below(5),
        max_knowledge_tokens: rng.range(60, 400) as u32,
        ..FocusPolicy::default()
    };
    options
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    None,
    Good,
    Faulty,
    Broken,
}

fn provider(rng: &mut Rng, seed: u64, kind: Kind) -> Scripted {
    const CLASSES: [ErrorClass; 12] = [
        ErrorClass::ContextLength,
        ErrorClass::RateLimited,
        ErrorClass::Unavailable,
        ErrorClass::Auth,
        ErrorClass::BadRequest,
        ErrorClass::Refused,
        ErrorClass::Truncated,
        ErrorClass::Blank,
        ErrorClass::Malformed,
        ErrorClass::Timeout,
        ErrorClass::Network,
        ErrorClass::Opaque,
    ];
    let mut model = Scripted::new(move |number, request| {
        let mut rng = Rng::new(seed.wrapping_mul(1_000) + number as u64);
        if kind == Kind::Broken {
            return Reply::Error(CLASSES[(seed % 12) as usize]);
        }
        if kind == Kind::Faulty && rng.chance(40) {
            return match rng.below(12) {
                0 | 1 => Reply::Error(*rng.pick(&CLASSES)),
                2 => Reply::TooLong(None),
                3 => Reply::TooLong(Some(500)),
                4 => Reply::Error(ErrorClass::Aborted),
                5 => Reply::Text(" ".to_owned()),
                6 => Reply::Text("null".to_owned()),
                7 => Reply::Text(format!("{0}\n{0}", request.messages[0].content)),
                8 => Reply::Text(format!("</record 00000000>\n{HEADER}3 earlier messages left out.]")),
                9 => Reply::Refusal,
                10 => Reply::CutOff("1. User Intent: half of".to_owned()),
                _ => Reply::Text("好的，总结如下：无。".to_owned()),
            };
        }
        Reply::Text(match request.purpose {
            Purpose::Subgoal => {
                format!("CURRENT: step {}\nCOMPLETED: {}", number / 2, if number % 3 == 0 { "step 0" } else { "NONE" })
            }
            Purpose::Goal => "Find out why src/engine.rs fails.".to_owned(),
            Purpose::ToolPair => format!("read_file was called and said {number}."),
            Purpose::Guidelines => "1. Keep every path.\n2. Keep ports.".to_owned(),
            _ if number % 3 == 1 => format!(
                "{{\"session_intent\":\"find {number}\",\"files_modified\":[\"a.rs: read\"],\"decisions_made\":[],\"open_questions\":[],\"next_steps\":[\"go on\"]}}"
            ),
            _ => note(number, request),
        })
    });
    model.window = *rng.pick(&[600, 1_500, 4_000, 16_000]);
    model.patience.set(*rng.pick(&[0, 12, 100]));
    model
}

// ---------------------------------------------------------------------------------------------------------------- case

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Op {
    Turn,
    AfterTools,
    CompactIfNeeded,
    Proactive,
    Soft,
    ToolPairs,
    ApplyPairs,
    Now,
    Overflowed(Option<u64>),
    Guidelines,
}

async fn perform(talk: &mut Conversation<'_>, op: Op, providers: Providers<'_>) -> Result<Done, Error> {
    match op {
        Op::Turn => talk.turn(providers).await,
        Op::AfterTools => talk.after_tools(providers).await,
        Op::CompactIfNeeded => talk.compact_if_needed(providers).await,
        Op::Proactive => talk.compress_proactively(providers).await,
        Op::Soft => talk.soft_compact(providers).await,
        Op::ToolPairs => talk.summarize_tool_pairs(providers).await,
        Op::ApplyPairs => talk.apply_tool_summaries(),
        Op::Now => talk.compact_now(providers).await,
        Op::Overflowed(takes) => talk.overflowed(providers, takes).await.map(Option::unwrap_or_default),
        Op::Guidelines => talk.update_guidelines(providers).await.map(|_| Done::default()),
    }
}

/// How things stood.
struct Before {
    view: Vec<String>,
    tokens: u64,
    state: String,
    phase: Phase,
    calls: usize,
}

/// What happened in all cases, so that one sees what was tested.
#[derive(Debug, Default)]
struct Seen {
    steps: usize,
    passes: usize,
    hard: usize,
    requests: usize,
    aborted: usize,
    irreducible: usize,
    restored: usize,
    undone: usize,
    pairs: u64,
    applied: u64,
    orphaned: u64,
    focused: usize,
    guidelines: usize,
    dropped: usize,
    exhausted: usize,
    proactive: u64,
    overflowed: usize,
    cooled: usize,
}

impl Seen {
    fn add(&mut self, o: &Self) {
        self.steps += o.steps;
        self.passes += o.passes;
        self.hard += o.hard;
        self.requests += o.requests;
        self.aborted += o.aborted;
        self.irreducible += o.irreducible;
        self.restored += o.restored;
        self.undone += o.undone;
        self.pairs += o.pairs;
        self.applied += o.applied;
        self.orphaned += o.orphaned;
        self.focused += o.focused;
        self.guidelines += o.guidelines;
        self.dropped += o.dropped;
        self.exhausted += o.exhausted;
        self.proactive += o.proactive;
        self.overflowed += o.overflowed;
        self.cooled += o.cooled;
    }
}

struct Case {
    seed: u64,
    options: ConversationOptions,
    given: Vec<String>,
    input: Vec<Msg>,
    in_order: bool,
    talk: Conversation<'static>,
    model: Scripted,
    kind: Kind,
    /// Pinned while they were to be seen as given: nothing of them may change from then on.
    pinned: Vec<usize>,
    /// Every message that was ever seen in a view: read, its size, and its size by the formula.
    known: BTreeMap<String, (Msg, u64, u64)>,
    /// Requests that were judged already.
    judged: usize,
    step: String,
    found: Vec<String>,
    seen: Seen,
    print: bool,
}

static COUNTER: Heuristic = Heuristic;

impl Case {
    fn new(seed: u64) -> (Self, Vec<String>, Rng) {
        let mut rng = Rng::new(seed ^ 0x7071);
        let (raws, in_order) = conversation(&mut rng, seed);
        let options = options(&mut rng, &raws);
        let kind = *rng.pick(&[Kind::None, Kind::Good, Kind::Good, Kind::Faulty, Kind::Faulty, Kind::Broken]);
        let model = provider(&mut rng, seed, kind);
        let talk = Conversation::new(options.clone(), &COUNTER).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        let case = Self {
            seed,
            options,
            given: Vec::new(),
            input: Vec::new(),
            in_order,
            talk,
            model,
            kind,
            pinned: Vec::new(),
            known: BTreeMap::new(),
            judged: 0,
            step: String::new(),
            found: Vec::new(),
            seen: Seen::default(),
            print: std::env::var_os("EPITOME_PRINT").is_some(),
        };
        (case, raws, rng)
    }

    fn bad(&mut self, what: impl AsRef<str>) {
        if self.found.len() < 6 {
            self.found.push(format!(
                "seed {} after {} messages, {}{SEPARATOR}{}",
                self.seed,
                self.given.len(),
                self.step,
                clip(what.as_ref(), 320)
            ));
        }
    }

    fn view(&mut self) -> Vec<String> {
        match self.talk.view() {
            Ok(view) => view.iter().map(str::to_owned).collect(),
            Err(error) => {
                self.bad(format!("no view: {error}"));
                Vec::new()
            }
        }
    }

    fn state(&self) -> String {
        serde_json::to_string(self.talk.state()).unwrap()
    }

    fn before(&mut self) -> Before {
        Before {
            view: self.view(),
            tokens: self.talk.tokens(),
            state: self.state(),
            phase: self.talk.state().guards.phase,
            calls: self.model.calls(),
        }
    }

    // --------------------------------------------------------------------------------------------------------- steps

    fn append(&mut self, more: &[String]) {
        self.step = format!("append {}", more.len());
        let before = self.before();
        let batch = messages(more);
        if let Err(error) = self.talk.append(&batch) {
            self.bad(format!("fails: {error}"));
            return;
        }
        self.given.extend_from_slice(more);
        self.input.extend(Msg::all(more.iter().map(String::as_str)));
        let view = self.view();
        if self.in_order {
            let (was, is) = (self.without_stand_ins(&before.view), self.without_stand_ins(&view));
            if is.len() != was.len() + more.len() || is[..was.len()] != was[..] {
                let same = was.iter().zip(&is).take_while(|(a, b)| a == b).count();
                self.bad(format!(
                    "append: the view changes at {same} of {} (now {}): {} -> {}",
                    was.len(),
                    is.len(),
                    was.get(same).map_or_else(String::new, |raw| short(raw)),
                    is.get(same).map_or_else(String::new, |raw| short(raw))
                ));
            } else if is[was.len()..] != *more {
                self.bad("append: the new messages are not there as they are");
            }
        }
        // Where a stand-in gives way to what it stood for, the patch has to speak of the view as it is now.
        let last_unit =
            before.view.iter().rposition(|raw| raw.contains("_call") && Msg::new(raw).has_calls()).unwrap_or_default();
        let gives_way =
            before.view.get(last_unit..).is_some_and(|unit| self.without_stand_ins(unit).len() < unit.len());
        let state = self.state();
        let differ = differences(&before.state, &state);
        if !differ.is_empty() && !(gives_way && differ.len() == 1 && differ[0].starts_with("patch ")) {
            self.bad(format!("append: the state changes: {}", differ.join(", ")));
        }
        self.audit(&view);
    }

    /// The view without stand-ins for results that may still come.
    fn without_stand_ins(&self, view: &[String]) -> Vec<String> {
        let stand_in = |raw: &String| raw.contains(NO_RESULT) && !self.given.contains(raw);
        view.iter().filter(|raw| !stand_in(raw)).cloned().collect()
    }

    fn operate(&mut self, op: Op, rng: &mut Rng) {
        self.step = format!("{op:?}");
        let before = self.before();
        let drops = rng.once_in(10);
        // The model is taken out, so that the conversation may be borrowed for the time being.
        let model = std::mem::replace(&mut self.model, Scripted::good());
        let providers = match self.kind {
            Kind::None => Providers::default(),
            _ if self.seed % 11 == 3 => {
                Providers { tool_pair: Some(&model), goal: Some(&model), ..Providers::default() }
            }
            _ => Providers::all(&model),
        };
        let result = if drops {
            let mut result = None;
            let mut future = pin!(perform(&mut self.talk, op, providers));
            let mut context = Context::from_waker(Waker::noop());
            for _ in 0..rng.range(1, 9) {
                if let std::task::Poll::Ready(ready) = future.as_mut().poll(&mut context) {
                    result = Some(ready);
                    break;
                }
            }
            result
        } else {
            Some(block_on(perform(&mut self.talk, op, providers)))
        };
        self.model = model;
        self.requests(op, &before);
        let view = self.view();
        match result {
            None => {
                // Given up in the middle: whatever was done is whole.
                self.seen.dropped += 1;
                self.model.running.set(0);
            }
            Some(Ok(done)) => self.done(op, &before, &view, &done),
            Some(Err(error)) => self.failed(&before, &view, &error),
        }
        self.audit(&view);
    }

    fn done(&mut self, op: Op, before: &Before, view: &[String], done: &Done) {
        self.seen.exhausted += usize::from(done.events.contains(&epitome::Status::Exhausted));
        let limit = self.talk.limit();
        let must_fit = matches!(op, Op::Turn | Op::AfterTools | Op::CompactIfNeeded | Op::Now | Op::Soft);
        if must_fit && self.talk.tokens() > limit {
            self.bad(format!("fits: {} tokens, the limit is {limit}", self.talk.tokens()));
        }
        if self.talk.tokens() > before.tokens && !matches!(op, Op::Guidelines) {
            self.bad(format!("smaller: {} -> {} tokens", before.tokens, self.talk.tokens()));
        }
        match &done.report {
            None => {
                if *view != before.view[..] || self.talk.tokens() != before.tokens {
                    self.bad("no report, but the view changes");
                }
            }
            Some(report) => {
                self.seen.passes += 1;
                self.seen.hard += usize::from(report.tier == epitome::Tier::Hard);
                self.seen.overflowed += usize::from(matches!(op, Op::Overflowed(_)));
                self.report(report, before, view);
            }
        }
        for warning in &done.warnings {
            let known = warning.code.starts_with("provider_")
                || ["summary_refused", "summary_left_out"].contains(&warning.code.as_str());
            if !known {
                self.bad(format!("an unknown warning: {}", warning.code));
            }
        }
        let counted = self.talk.state().guards.counters.provider_calls;
        let was: State = serde_json::from_str(&before.state).unwrap();
        let made = (self.model.calls() - before.calls) as u64;
        if counted - was.guards.counters.provider_calls != made {
            self.bad(format!("{made} requests, {} were counted", counted - was.guards.counters.provider_calls));
        }
        if op == Op::Turn && self.talk.state().guards.turn != was.guards.turn + 1 {
            self.bad("a turn is not counted as one");
        }
    }

    fn report(&mut self, report: &Report, before: &Before, view: &[String]) {
        if report.before != before.tokens || report.after != self.talk.tokens() || report.limit != self.talk.limit() {
            self.bad(format!(
                "report: {} -> {} of {}, but it was {} -> {} of {}",
                report.before,
                report.after,
                report.limit,
                before.tokens,
                self.talk.tokens(),
                self.talk.limit()
            ));
        }
        if report.messages_before != self.given.len() || report.messages_after != view.len() {
            self.bad("report: the numbers of messages are wrong");
        }
        let same = before.view.iter().zip(view).take_while(|(a, b)| a == b).count();
        match report.first_changed_index {
            Some(at) if at > same => self.bad(format!("prefix: said to change at {at}, but does at {same}")),
            None if same < before.view.len() => {
                self.bad(format!("prefix: said to be whole, but changes at {same} of {}", before.view.len()))
            }
            Some(at) if same == before.view.len() && same == view.len() => {
                self.bad(format!("prefix: said to change at {at}, but nothing does"));
            }
            Some(at) => {
                let tokens = count(&view[..at.min(view.len())]) + self.options.overhead;
                if report.prefix_tokens != tokens {
                    self.bad(format!(
                        "prefix: {} tokens are reported before {at}, there are {tokens}",
                        report.prefix_tokens
                    ));
                }
            }
            None => {}
        }
        if self.talk.patch().is_none_or(|patch| patch.edits != report.edits) {
            self.bad("report: its edits are not those of the patch in force");
        }
    }

    fn failed(&mut self, before: &Before, view: &[String], error: &Error) {
        match error {
            Error::Aborted => {
                self.seen.aborted += 1;
                if self.kind != Kind::Faulty {
                    self.bad("aborted, though nobody did");
                }
            }
            Error::IrreducibleBudget { limit, required, breakdown } => {
                self.seen.irreducible += 1;
                let b = breakdown;
                let sum = b.overhead + b.system + b.pinned + b.last_user + b.open_tool_unit + b.structure;
                if *limit != self.talk.limit() || required <= limit || sum != *required {
                    self.bad(format!("irreducible: {error}"));
                }
                self.irreducible(*limit, *required);
            }
            other => self.bad(format!("fails: {} {other}", other.code())),
        }
        if *view != before.view[..] || self.talk.tokens() != before.tokens {
            self.bad(format!("after {}: the view is not as it was", error.code()));
        }
        let state = self.state();
        if state != before.state {
            let differ = differences(&before.state, &state);
            self.bad(format!("after {}: the state is not as it was: {}", error.code(), differ.join(", ")));
        }
    }

    /// Refused only where what cannot be given up is too large.
    fn irreducible(&mut self, limit: u64, required: u64) {
        let (mended, repairs) = repair(&messages(&self.given), None).unwrap();
        let pins = &self.talk.state().pinned;
        if !pins.is_empty() && !repairs.is_empty() {
            return;
        }
        let mended = Msg::all(mended.iter());
        let policy = &self.options.policy;
        let facts = irreducible::Given {
            pinned: (0..mended.len()).map(|at| pins.contains(&at)).collect(),
            protected: &policy.protect_tools,
            placeholder: &policy.placeholder,
            shrink_last_user: policy.shrink_last_user,
        };
        let size = |message: &Msg| size_of(&message.raw, &Heuristic);
        let mine = self.options.overhead + irreducible::tokens(&mended, &facts, &Heuristic, &size);
        if mine <= limit {
            self.bad(format!("irreducible: refused at {limit} (required {required}), but {mine} would do"));
        }
    }

    fn requests(&mut self, op: Op, before: &Before) {
        let policy = self.options.policy.clone();
        let requests: Vec<_> = self.model.requests.borrow()[self.judged..].to_vec();
        self.judged = self.model.calls();
        self.seen.requests += requests.len();
        let passes = if op == Op::Turn { 2 } else { 1 };
        // Tool units and the passes after them are asked about on their own.
        let passes = if op == Op::AfterTools { 2 } else { passes };
        if requests.len() > policy.max_provider_calls as usize * passes {
            self.bad(format!("bounded: {} requests, the cap is {} a pass", requests.len(), policy.max_provider_calls));
        }
        if self.model.most_running.get() > policy.concurrency {
            self.bad(format!(
                "bounded: {} requests at a time, allowed are {}",
                self.model.most_running.get(),
                policy.concurrency
            ));
        }
        self.model.most_running.set(self.model.running.get());
        for request in &requests {
            let size = u64::from(Heuristic::count(&request.messages[0].content));
            if size + request.max_tokens > self.model.window {
                self.bad(format!(
                    "bounded: a request ({:?}) of {size} tokens that asks for {}, the window is {}",
                    request.purpose, request.max_tokens, self.model.window
                ));
            }
        }
        let of = |purposes: &[Purpose]| requests.iter().filter(|request| purposes.contains(&request.purpose)).count();
        let summaries = of(&[Purpose::Summary, Purpose::Consolidation]);
        // What `advance_turn` makes of the phase; then models are asked only where nothing stands in the way.
        let phase = match before.phase {
            Phase::Compacted { cooldown: 0 } if op == Op::Turn => Phase::Ready,
            Phase::Compacted { cooldown } if op == Op::Turn => Phase::Cooling { turns: cooldown },
            other => other,
        };
        let may = match phase {
            Phase::Ready => true,
            Phase::Exhausted { limit, messages } => limit != self.talk.limit() || messages != self.given.len(),
            _ => false,
        };
        if matches!(op, Op::Turn | Op::CompactIfNeeded | Op::Proactive) && !may {
            self.seen.cooled += 1;
            if summaries > 0 {
                self.bad(format!("guards: {summaries} summaries are asked for in {phase:?}"));
            }
        }
        if matches!(op, Op::AfterTools | Op::Soft | Op::ToolPairs | Op::ApplyPairs) && summaries > 0 {
            self.bad(format!("{summaries} summaries of the history are asked for"));
        }
        if matches!(op, Op::Soft | Op::ApplyPairs) && !requests.is_empty() {
            self.bad(format!("a model is asked: {:?}", requests[0].purpose));
        }
        if op == Op::ToolPairs && of(&[Purpose::ToolPair]) != requests.len() {
            self.bad("something else than tool units is asked about");
        }
    }

    // --------------------------------------------------------------------------------------------------------- wishes

    fn wish(&mut self, rng: &mut Rng) {
        let before = self.before();
        match rng.below(10) {
            0 | 1 if !self.given.is_empty() => {
                // Half of them where a summary of a tool unit waits: it has to be given up then.
                let state = serde_json::to_value(self.talk.state()).unwrap();
                let waiting: Vec<usize> = state["deferred"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|one| one["from"].as_u64().unwrap() as usize)
                    .collect();
                let at = if !waiting.is_empty() && rng.chance(60) {
                    *rng.pick(&waiting)
                } else {
                    rng.below(self.given.len())
                };
                self.step = format!("pin {at}");
                if let Err(error) = self.talk.pin(at) {
                    self.bad(format!("{error}"));
                }
                // Where the same message stands twice, one cannot tell which of them is to be seen.
                let raw = &self.given[at];
                let there = before.view.contains(raw) && self.given.iter().filter(|given| *given == raw).count() == 1;
                // Repairs may move or drop it in a conversation that is out of order.
                if there && self.in_order && !self.input[at].looks_like_summary() && !self.pinned.contains(&at) {
                    self.pinned.push(at);
                }
                if self.talk.state().pinned.binary_search(&at).is_err() {
                    self.bad("is not among the pins");
                }
            }
            2 if !self.given.is_empty() => {
                let at = rng.below(self.given.len());
                self.step = format!("unpin {at}");
                self.talk.unpin(at).unwrap();
                self.pinned.retain(|pin| *pin != at);
            }
            3 => {
                let budget = budget(rng, &self.given);
                self.step = format!("set_budget {budget:?}");
                self.options.budget = budget;
                self.talk.set_budget(budget).unwrap();
                if self.talk.limit() != budget.limit().unwrap() {
                    self.bad("another limit");
                }
            }
            4 | 5 => {
                self.step = "begin_focus".to_owned();
                let active = serde_json::to_value(self.talk.state()).unwrap()["focus"]["active"].is_object();
                match self.talk.begin_focus("look into src/engine.rs") {
                    Ok(()) if !active => {}
                    Err(FocusError::Active) if active => {}
                    other => self.bad(format!("{other:?} while active is {active}")),
                }
            }
            6..=8 => self.complete_focus(rng, &before),
            _ => {
                self.step = "observe_answer".to_owned();
                let kept =
                    self.talk.observe_answer("I don't have access to the earlier conversation. Could you remind me?");
                self.seen.guidelines += usize::from(kept);
            }
        }
        let view = self.view();
        if !self.step.starts_with("complete") && (view != before.view || self.talk.tokens() != before.tokens) {
            self.bad("the view changes");
        }
        self.audit(&view);
    }

    fn complete_focus(&mut self, rng: &mut Rng, before: &Before) {
        self.step = "complete_focus".to_owned();
        let found = match rng.below(5) {
            0 => String::new(),
            1 => format!("{HEADER}9 earlier messages left out.]\n</record 00000000>\nThe cause was line 42."),
            2 => "The cause was line 42. ".repeat(80),
            _ => "The cause was line 42 of src/engine.rs.".to_owned(),
        };
        let result = self.talk.complete_focus(&found);
        let view = self.view();
        match result {
            Ok(Some(report)) => {
                self.seen.focused += 1;
                self.report(&report, before, &view);
                if self.talk.tokens() >= before.tokens {
                    self.bad("smaller: a focus is completed, but the view is not smaller");
                }
                // What the user said since is still there.
                let gone: Vec<String> = self
                    .input
                    .iter()
                    .filter(|message| message.role() == "user" && !message.looks_like_summary())
                    .filter(|message| before.view.contains(&message.raw) && !view.contains(&message.raw))
                    .map(|message| short(&message.raw))
                    .collect();
                for raw in gone {
                    self.bad(format!("kept: a focus hides the user's words {raw}"));
                }
            }
            Ok(None) => {
                if view != before.view {
                    self.bad("no report, but the view changes");
                }
            }
            Err(_) => {
                if view != before.view || self.state() != before.state {
                    self.bad("a focus that cannot be completed changes something");
                }
            }
        }
    }

    // ---------------------------------------------------------------------------------------------------------- audit

    fn audit(&mut self, view: &[String]) {
        self.seen.steps += 1;
        let (mut parsed, mut counted, mut least) = (Vec::new(), self.options.overhead, self.options.overhead);
        for raw in view {
            if !self.known.contains_key(raw) {
                let message = Msg::new(raw);
                let least = formula_all(&Heuristic, std::slice::from_ref(&message));
                self.known.insert(raw.clone(), (message, size_of(raw, &Heuristic), least));
            }
            let (message, size, formula) = &self.known[raw];
            parsed.push(message.clone());
            counted += size;
            least += formula;
        }
        if self.print {
            println!(
                "seed {} {} messages, {}: {} of {} tokens, {:?}",
                self.seed,
                self.given.len(),
                self.step,
                self.talk.tokens(),
                self.talk.limit(),
                self.talk.state().guards.phase
            );
            for raw in view {
                println!("    {}", short(raw).chars().take(110).collect::<String>().replace('\n', " "));
            }
        }
        for what in rules::violations(&parsed) {
            self.bad(format!("valid: {what}"));
        }
        for what in rules::broken_promises(&self.input, &parsed) {
            if !(self.options.policy.shrink_last_user && what.starts_with("the last user message")) {
                self.bad(format!("kept: {what}"));
            }
        }
        for pin in self.pinned.clone() {
            if !view.contains(&self.given[pin]) {
                self.bad(format!("kept: pinned message {pin} is gone or changed: {}", short(&self.given[pin])));
            }
        }
        if counted != self.talk.tokens() || least > counted {
            self.bad(format!(
                "count: {} tokens by the conversation, {counted} by the view, {least} by the formula",
                self.talk.tokens()
            ));
        }
        let state: Value = serde_json::from_str(&self.state()).unwrap();
        let waiting = state["deferred"].as_array().map_or(0, Vec::len) as u64;
        let counters = &self.talk.state().guards.counters;
        let (made, applied, orphaned) =
            (counters.tool_pair_summaries, counters.tool_pairs_applied, counters.tool_pairs_orphaned);
        if made != applied + orphaned + waiting {
            self.bad(format!("deferred: {made} were written, {applied} applied, {orphaned} orphaned, {waiting} wait"));
        }
        if let Some(patch) = self.talk.patch().cloned()
            && patch.source.messages == self.given.len()
        {
            self.seen.undone += 1;
            match undo(&messages(view), &patch, &messages(&self.given)) {
                Ok(back) if back.iter().eq(self.given.iter().map(String::as_str)) => {}
                other => self.bad(format!("undo: {:?}", other.map(|back| back.len()))),
            }
        }
    }

    /// From its state, written down and read again, it is the same.
    fn restore(&mut self) {
        self.step = format!("{}, restored", self.step);
        let json = self.state();
        let state: State = match serde_json::from_str(&json) {
            Ok(state) => state,
            Err(error) => return self.bad(format!("restore: the state cannot be read: {error}")),
        };
        if state != *self.talk.state() {
            self.bad("restore: the state is not the same after JSON");
        }
        match Conversation::restore(self.options.clone(), &COUNTER, messages(&self.given), state) {
            Ok(other) => {
                self.seen.restored += 1;
                let (is, was) = (other.view().unwrap(), self.talk.view().unwrap());
                if is != was || other.tokens() != self.talk.tokens() {
                    let same = was.iter().zip(is.iter()).take_while(|(a, b)| a == b).count();
                    let at = |view: &Messages| view.get(same).map_or_else(String::new, |raw| clip(raw, 90));
                    self.bad(format!(
                        "restore: another view from {same} of {} ({}) on, {} -> {} tokens: {} -> {}",
                        was.len(),
                        is.len(),
                        self.talk.tokens(),
                        other.tokens(),
                        at(&was),
                        at(&is)
                    ));
                } else {
                    self.talk = other;
                }
            }
            Err(error) => self.bad(format!("restore: {error}")),
        }
    }
}

/// Between the place and what is wrong there.

fn count(view: &[String]) -> u64 {
    count_messages(&messages(view), None, &Heuristic).unwrap_or_else(|error| panic!("{error}"))
}

/// Which fields of two states differ.
fn differences(a: &str, b: &str) -> Vec<String> {
    if a == b {
        return Vec::new();
    }
    let (a, b): (Value, Value) = (serde_json::from_str(a).unwrap(), serde_json::from_str(b).unwrap());
    let mut out = Vec::new();
    for (key, value) in a.as_object().unwrap() {
        if b[key] == *value {
            continue;
        }
        match value.as_object().filter(|_| key == "guards") {
            Some(fields) => {
                for (field, value) in fields.iter().filter(|(field, value)| b[key][field.as_str()] != **value) {
                    out.push(format!(
                        "{key}.{field} {} -> {}",
                        clip(&value.to_string(), 60),
                        clip(&b[key][field.as_str()].to_string(), 60)
                    ));
                }
            }
            None => out.push(format!("{key} {} -> {}", clip(&value.to_string(), 40), clip(&b[key].to_string(), 40))),
        }
    }
    out
}

/// One conversation from its first message to its last.
fn run(seed: u64) -> (Vec<String>, Seen, String) {
    let (mut case, raws, mut rng) = Case::new(seed);
    let whole_units = rng.chance(50);
    let mut at = 0;
    while at < raws.len() || case.step.is_empty() {
        let mut more = rng.range(1, 4);
        if whole_units {
            while at + more < raws.len() && raws[at + more].contains("\"tool_call_id\"") {
                more += 1;
            }
        }
        let to = (at + more).min(raws.len());
        case.append(&raws[at..to]);
        at = to;
        let op = match rng.below(26) {
            0..=8 => Op::Turn,
            9..=12 => Op::AfterTools,
            13 => Op::CompactIfNeeded,
            14 => Op::Proactive,
            15 => Op::Soft,
            16 => Op::ToolPairs,
            17 => Op::ApplyPairs,
            18 => Op::Now,
            19 => Op::Overflowed(rng.chance(50).then(|| rng.below(1_500) as u64)),
            20 => Op::Guidelines,
            _ => {
                case.wish(&mut rng);
                continue;
            }
        };
        case.operate(op, &mut rng);
        if rng.chance(25) {
            case.restore();
        }
        if case.found.len() >= 6 {
            break;
        }
    }
    let counters = case.talk.state().guards.counters.clone();
    case.seen.pairs = counters.tool_pair_summaries;
    case.seen.applied = counters.tool_pairs_applied;
    case.seen.orphaned = counters.tool_pairs_orphaned;
    case.seen.proactive = counters.compression_events;
    let end = format!("{}{}", case.state(), case.talk.view().unwrap().to_json());
    (case.found, case.seen, end)
}

fn caught(seed: u64) -> (Vec<String>, Seen, String) {
    catch_unwind(AssertUnwindSafe(|| run(seed)))
        .unwrap_or_else(|_| (vec![format!("seed {seed}{SEPARATOR}a panic, see above")], Seen::default(), String::new()))
}

#[test]
fn whatever_happens_to_a_conversation_every_promise_holds_after_every_step() {
    const GROUP: u64 = 500;
    let seeds = seeds::asked(if common::full() { 100_000 } else { 10_000 });
    let next = Mutex::new(seeds.clone().step_by(GROUP as usize));
    let done = Mutex::new((Vec::new(), Seen::default()));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(from) = { next.lock().unwrap().next() } {
                    let to = (from + GROUP).min(seeds.end);
                    let (mut found, mut seen) = (Vec::new(), Seen::default());
                    for seed in from..to {
                        let (mut wrong, what, end) = caught(seed);
                        if seed % 16 == 0 && wrong.is_empty() && caught(seed).2 != end {
                            wrong.push(format!(
                                "seed {seed}{SEPARATOR}deterministic: the second time it ends otherwise"
                            ));
                        }
                        found.append(&mut wrong);
                        seen.add(&what);
                    }
                    println!(
                        "EPITOME_SEED={from}..{to}: {} steps, {} passes, {} broken promises",
                        seen.steps,
                        seen.passes,
                        found.len()
                    );
                    let mut done = done.lock().unwrap();
                    done.0.append(&mut found);
                    done.1.add(&seen);
                }
            });
        }
    });
    let (found, seen) = done.into_inner().unwrap();
    println!("seeds {seeds:?}: {seen:?}");
    seeds::none_broken(found);
    if seeds.end - seeds.start >= 5_000 {
        // What is never met is not tested.
        for (what, count) in [
            ("hard compactions", seen.hard),
            ("requests", seen.requests),
            ("aborted", seen.aborted),
            ("irreducible", seen.irreducible),
            ("restored", seen.restored),
            ("undone", seen.undone),
            ("pairs applied", seen.applied as usize),
            ("focused", seen.focused),
            ("guidelines", seen.guidelines),
            ("dropped", seen.dropped),
            ("exhausted", seen.exhausted),
            ("proactive", seen.proactive as usize),
            ("overflowed", seen.overflowed),
            ("cooled", seen.cooled),
        ] {
            assert!(count > 50, "{what} was met {count} times only: {seen:?}");
        }
    }
}

// ------------------------------------------------------------------------------------------------------------- orphans

/// Eight closed tool units, of which two have summaries that wait.
fn waiting() -> Conversation<'static> {
    let mut options = ConversationOptions::new(window(100_000));
    options.policy.tool_pair_share = 0.0;
    options.policy.tool_call_cutoff = 6;
    options.focus = FocusPolicy { enabled: true, min_messages: 0, ..FocusPolicy::default() };
    let mut talk = Conversation::new(options, &COUNTER).unwrap();
    talk.begin_focus("files").unwrap();
    talk.append(&messages(&mixed(1 + 8 * 4))).unwrap();
    let model = Scripted::new(|_, _| Reply::Text("read_file said little.".to_owned()));
    let done = block_on(talk.after_tools(Providers::all(&model))).unwrap();
    assert!(done.report.is_none() && model.calls() == 2, "{} requests", model.calls());
    assert_eq!(orphans(&talk), (2, 0, 0));
    talk
}

/// Summaries of tool units: written, applied, orphaned.
fn orphans(talk: &Conversation<'_>) -> (u64, u64, u64) {
    let counters = &talk.state().guards.counters;
    (counters.tool_pair_summaries, counters.tool_pairs_applied, counters.tool_pairs_orphaned)
}

#[test]
fn b19_a_summary_whose_unit_was_pinned_or_hidden_is_counted_and_given_up() {
    let model = Scripted::new(|_, _| Reply::Text("read_file said little.".to_owned()));
    let press = |talk: &mut Conversation<'_>| {
        let tokens = talk.tokens();
        talk.set_budget(window(tokens * 100 / 70)).unwrap();
        talk.apply_tool_summaries().unwrap()
    };
    let mut talk = waiting();
    assert!(press(&mut talk).report.is_some());
    assert_eq!(orphans(&talk), (2, 2, 0));
    // Pinned: the call, or its result.
    for pin in [2, 3] {
        let mut talk = waiting();
        talk.pin(pin).unwrap();
        assert!(press(&mut talk).report.is_some());
        assert_eq!(orphans(&talk), (2, 1, 1));
        assert!(press(&mut talk).report.is_none(), "what was given up must not come again");
    }
    // Everything is pinned.
    let mut talk = waiting();
    for at in 0..talk.messages().len() {
        talk.pin(at).unwrap();
    }
    assert!(press(&mut talk).report.is_none());
    assert_eq!(orphans(&talk), (2, 0, 2));
    // A turn that is pressed does the same on its way.
    let mut talk = waiting();
    talk.pin(2).unwrap();
    let tokens = talk.tokens();
    talk.set_budget(window(tokens * 100 / 95)).unwrap();
    assert!(block_on(talk.turn(Providers::all(&model))).unwrap().report.is_some());
    assert_eq!(orphans(&talk), (2, 1, 1));
    let state = serde_json::to_value(talk.state()).unwrap();
    assert_eq!(state["deferred"], json!([]));
}

// ------------------------------------------------------------------------------------------------------------- dropped

#[test]
fn a_turn_that_is_dropped_in_the_middle_has_no_part_in_what_comes_after() {
    let views = |talk: &Conversation<'_>| (talk.view().unwrap().to_json(), talk.tokens());
    for polls in 1..6 {
        let slow = Scripted::good();
        slow.patience.set(1_000);
        let aborting = Scripted::new(|_, _| Reply::Error(ErrorClass::Aborted));
        let mut talk = waiting();
        let tokens = talk.tokens();
        talk.set_budget(window(tokens * 100 / 110)).unwrap();
        {
            // It has put the summaries that waited in their place and asks for one of the rest.
            let mut turn = pin!(talk.turn(Providers::all(&slow)));
            let mut context = Context::from_waker(Waker::noop());
            for _ in 0..polls {
                assert!(turn.as_mut().poll(&mut context).is_pending());
            }
        }
        assert!(slow.calls() > 0);
        let more = [
            r#"{"role":"user","content":"Go on."}"#.to_owned(),
            r#"{"role":"assistant","content":"Well."}"#.to_owned(),
        ];
        talk.append(&messages(&more)).unwrap();
        let before = views(&talk);
        assert!(before.0.contains("Go on."), "what was appended is to be seen");
        // One that fails puts back what was there before it, not before the dropped one.
        assert_eq!(block_on(talk.turn(Providers::all(&aborting))).unwrap_err(), Error::Aborted);
        assert_eq!(views(&talk), before, "after {polls} polls");
        // A report is about what the view was before it.
        let report = talk.complete_focus("The cause was line 42.").unwrap().expect("most of it is hidden");
        assert_eq!(report.before, before.1, "after {polls} polls");
        let again = Conversation::restore(
            ConversationOptions::new(window(tokens * 100 / 110)),
            &COUNTER,
            talk.messages().clone(),
            serde_json::from_str(&serde_json::to_string(talk.state()).unwrap()).unwrap(),
        )
        .unwrap();
        assert_eq!(views(&again), views(&talk));
        // The same without the failure between.
        let mut talk = waiting();
        talk.set_budget(window(tokens * 100 / 110)).unwrap();
        {
            let mut turn = pin!(talk.turn(Providers::all(&slow)));
            let mut context = Context::from_waker(Waker::noop());
            assert!(turn.as_mut().poll(&mut context).is_pending());
        }
        let before = talk.tokens();
        let report = talk.complete_focus("The cause was line 42.").unwrap().expect("most of it is hidden");
        assert_eq!(report.before, before);
    }
}

// ---------------------------------------------------------------------------------------------------------------- work

fn work(counter: &Counted, then: (u64, u64)) -> (u64, u64) {
    (counter.calls.get() - then.0, counter.bytes.get() - then.1)
}

fn so_far(counter: &Counted) -> (u64, u64) {
    (counter.calls.get(), counter.bytes.get())
}

/// A mixed conversation of `n` messages; numbers have the same width everywhere.
fn mixed(n: usize) -> Vec<String> {
    let mut out = vec![r#"{"role":"system","content":"You are terse."}"#.to_owned()];
    let mut turn = 0;
    while out.len() < n {
        turn += 1;
        out.push(format!(r#"{{"role":"user","content":"Question {turn:07}: what about item {turn:07}?"}}"#));
        out.push(format!(r#"{{"role":"assistant","content":null,"tool_calls":[{{"id":"c{turn:07}","type":"function","function":{{"name":"read_file","arguments":"{{\"path\":\"f{turn:07}\"}}"}}}}]}}"#));
        out.push(format!(
            r#"{{"role":"tool","tool_call_id":"c{turn:07}","content":"{}"}}"#,
            format!("contents of file {turn:07}: a line that says little, ").repeat(6)
        ));
        out.push(format!(r#"{{"role":"assistant","content":"Answer {turn:07}: it is fine, see file_{turn:07}.rs"}}"#));
    }
    out
}

fn window(limit: u64) -> Budget {
    Budget::Window { window: limit, reserve: Some(0), overhead: 0 }
}

#[test]
fn a_turn_with_nothing_to_do_costs_a_hundredth_of_the_first_fit() {
    let raws = mixed(10_000);
    let given = messages(&raws);
    let total = count_messages(&given, None, &Heuristic).unwrap();
    let answer = r#"{"role":"assistant","content":"One more answer, of a few words."}"#.to_owned();
    let question = r#"{"role":"user","content":"And one more question?"}"#.to_owned();
    let strategies = [Strategy::OldestFirst, Strategy::TaskAware, Strategy::Mig, Strategy::Subgoal];
    // Far below the thresholds; between them, with nothing left to prune; after a hard compaction.
    for (name, limit, prune) in
        [("far below", total * 3, true), ("just below", total * 100 / 59, true), ("compacted", total / 3, true)]
    {
        let counter = Counted::default();
        let fitted = fit_with(&given, &FitOptions::with_budget(window(limit)), &counter);
        let first = so_far(&counter);
        assert!(fitted.is_ok(), "{name}");
        for strategy in strategies {
            let counter = Counted::default();
            let model = Scripted::good();
            let mut options = ConversationOptions::new(window(limit));
            options.policy.strategy = strategy;
            options.policy.tool_pair_share = 1.0;
            options.policy.cooldown_turns = 0;
            options.focus.enabled = true;
            options.guidelines.enabled = true;
            let mut talk = Conversation::new(options, &counter).unwrap();
            talk.append(&given).unwrap();
            if prune && limit < total {
                block_on(talk.turn(Providers::all(&model))).unwrap();
                assert!(talk.tokens() < limit);
            }
            for raw in [&answer, &question, &answer, &question] {
                let then = so_far(&counter);
                talk.append(&messages(std::slice::from_ref(raw))).unwrap();
                let append = work(&counter, then);
                let then = so_far(&counter);
                let done = block_on(talk.turn(Providers::all(&model))).unwrap();
                let turn = work(&counter, then);
                assert!(done.report.is_none(), "{name}: something had to be done");
                println!(
                    "{name}, {strategy:?}: the first fit {first:?} (calls, bytes), an append {append:?}, a turn {turn:?}"
                );
                for (what, work) in [("append", append), ("turn", turn)] {
                    assert!(
                        work.0 * 100 <= first.0 && work.1 * 100 <= first.1,
                        "{name}, {what}: {work:?} of {first:?}"
                    );
                }
            }
            let then = so_far(&counter);
            block_on(talk.after_tools(Providers::all(&model))).unwrap();
            let after = work(&counter, then);
            assert!(
                after.0 * 100 <= first.0 && after.1 * 100 <= first.1,
                "{name}, after tools: {after:?} of {first:?}"
            );
        }
    }
}

#[test]
fn a_turn_that_can_gain_nothing_costs_a_hundredth_too() {
    // Above the soft threshold, but there is nothing that may be pruned; above the hard one, but all is pinned.
    let n = 10_000;
    let raws: Vec<String> = (0..n)
        .map(|at| {
            format!(
                r#"{{"role":"{}","content":"Words number {at:07} that are neither long nor short."}}"#,
                if at % 2 == 0 { "user" } else { "assistant" }
            )
        })
        .collect();
    let given = messages(&raws);
    let total = count_messages(&given, None, &Heuristic).unwrap();
    let counter = Counted::default();
    fit_with(&given, &FitOptions::with_budget(window(total * 2)), &counter).unwrap();
    let first = so_far(&counter);
    for (name, limit, pins) in [("soft", total * 100 / 75, false), ("hard, pinned", total * 100 / 95, true)] {
        let counter = Counted::default();
        let mut talk = Conversation::new(ConversationOptions::new(window(limit)), &counter).unwrap();
        talk.append(&given).unwrap();
        if pins {
            talk.pin_where(|_, _| true);
        }
        for round in 0..4 {
            let raw = r#"{"role":"user","content":"Go on."}"#.to_owned();
            talk.append(&messages(&[raw])).unwrap();
            let then = so_far(&counter);
            let done = block_on(talk.turn(Providers::default())).unwrap();
            let turn = work(&counter, then);
            println!("{name}, turn {round}: the first fit {first:?}, a turn {turn:?}, {:?}", done.events);
            assert!(done.report.is_none(), "{name}");
            assert!(turn.0 * 100 <= first.0 && turn.1 * 100 <= first.1, "{name}: {turn:?} of {first:?}");
        }
    }
}

#[test]
fn a_turn_that_compacts_costs_at_most_twelve_times_as_much_in_ten_times_the_messages() {
    let sizes: &[usize] = if common::full() { &[1_000, 10_000, 100_000] } else { &[1_000, 10_000] };
    for percent in [20, 60, 95] {
        for asks in [false, true] {
            for strategy in [Strategy::OldestFirst, Strategy::TaskAware, Strategy::Mig, Strategy::SubgoalMig] {
                if common::full() && strategy != Strategy::OldestFirst && percent != 60 {
                    continue;
                }
                let mut costs = Vec::new();
                for n in sizes {
                    let given = messages(&mixed(*n));
                    let total = count_messages(&given, None, &Heuristic).unwrap();
                    let counter = Counted::default();
                    let model = Scripted::good();
                    let mut options = ConversationOptions::new(window(total * percent / 100));
                    options.policy.strategy = strategy;
                    options.policy.max_provider_calls = 100_000;
                    let mut talk = Conversation::new(options, &counter).unwrap();
                    talk.append(&given).unwrap();
                    let then = so_far(&counter);
                    let providers = if asks { Providers::all(&model) } else { Providers::default() };
                    let done = block_on(talk.turn(providers)).unwrap();
                    assert!(done.report.is_some());
                    assert!(!asks || percent > 60 || model.calls() > 0);
                    costs.push(work(&counter, then));
                    println!(
                        "{percent} % {strategy:?} asks {asks}: {n} messages: {:?} (calls, bytes), {} requests",
                        costs.last().unwrap(),
                        model.calls()
                    );
                }
                for pair in costs.windows(2) {
                    let most = |a: u64, b: u64| b <= a * 12;
                    assert!(
                        most(pair[0].0, pair[1].0) && most(pair[0].1, pair[1].1),
                        "{percent} % {strategy:?} asks {asks}: {pair:?}"
                    );
                }
            }
        }
    }
}

#[test]
fn appending_message_by_message_is_linear() {
    let mut costs = Vec::new();
    for n in [1_000, 10_000] {
        let counter = Counted::default();
        let mut talk = Conversation::new(ConversationOptions::new(window(100_000_000)), &counter).unwrap();
        let raws = mixed(n);
        for raw in &raws {
            talk.append(&messages(std::slice::from_ref(raw))).unwrap();
        }
        costs.push(so_far(&counter));
        assert_eq!(talk.tokens(), count_messages(&messages(&raws), None, &Heuristic).unwrap());
    }
    println!("{costs:?}");
    assert!(costs[1].0 <= costs[0].0 * 12 && costs[1].1 <= costs[0].1 * 12, "{costs:?}");
}

// ------------------------------------------------------------------------------------------------------------- secrets

#[test]
fn no_request_of_any_kind_holds_a_secret_also_where_a_text_is_cut() {
    let key = "sk-ant-api03-Xk7Qm2Rv9Lp4Tz8Wb3Nc6Hd1Jf5Gs0Ya7Ue2Io9Pq4Rt8Mw3Zx6Cv1Bn5Kj0Hg7Fd2Sa9Ql4Ew8Ry3Tu6AA";
    let token = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiI4ODE3MjM0NTY3IiwibmFtZSI6Ikphbm5hIFNlY3JldCIsImFkbWluIjp0cnVlfQ.Qm9vV3k3c2RmNzY4eWhnc2RmN2FzZGZoamtsMjM0OHNkZmtqaA";
    let mut leaks = BTreeMap::new();
    let mut asked = [0; 6];
    for strategy in [Strategy::TaskAware, Strategy::Subgoal] {
        for before in (0..420).step_by(20) {
            // Where the secret begins moves over every place at which something is cut.
            let filler: String = "abc d ".chars().cycle().take(before).collect();
            let said = |secret: &str| format!("{filler} {secret} is what I use");
            let model = Scripted::new(|number, request| {
                Reply::Text(match request.purpose {
                    Purpose::Subgoal => "CURRENT: go on\nCOMPLETED: NONE".to_owned(),
                    Purpose::Guidelines => "1. Keep paths.".to_owned(),
                    _ => note(number, request),
                })
            });
            let mut options = ConversationOptions::new(window(1_500));
            options.policy.strategy = strategy;
            options.policy.tool_pair_share = 0.0;
            options.policy.tool_call_cutoff = 0;
            options.policy.cooldown_turns = 0;
            options.guidelines = GuidelinesPolicy { enabled: true, update_threshold: 1, ..GuidelinesPolicy::default() };
            let mut talk = Conversation::new(options, &Heuristic).unwrap();
            for turn in 0..4 {
                let long = "line of a file that is rather long\n".repeat(40);
                let arguments = json!({ "text": said(token) }).to_string();
                let batch = [
                    json!({ "role": "user", "content": said(if turn % 2 == 0 { key } else { token }) }).to_string(),
                    json!({ "role": "assistant", "content": null, "tool_calls": [{ "id": format!("a{turn}"), "type": "function", "function": { "name": "write", "arguments": arguments } }] }).to_string(),
                    json!({ "role": "tool", "tool_call_id": format!("a{turn}"), "content": format!("{long}{}{long}", said(key)) }).to_string(),
                    json!({ "role": "assistant", "content": said(key) }).to_string(),
                ];
                talk.append(&messages(&batch)).unwrap();
                block_on(talk.after_tools(Providers::all(&model))).unwrap();
                block_on(talk.turn(Providers::all(&model))).unwrap();
                talk.observe_answer(&format!("I don't have access to the earlier conversation about {}", said(key)));
                block_on(talk.update_guidelines(Providers::all(&model))).unwrap();
            }
            for request in model.requests.borrow().iter() {
                asked[request.purpose as usize] += 1;
                let prompt = &request.messages[0].content;
                for secret in [&key[13..], token.split('.').nth(1).unwrap(), token.split('.').nth(2).unwrap()] {
                    let leaked =
                        (0..secret.len() - 16).step_by(4).find(|from| prompt.contains(&secret[*from..from + 16]));
                    if let Some(from) = leaked {
                        let entry =
                            leaks.entry(format!("{:?} {}", request.purpose, &secret[..6])).or_insert((0, before, from));
                        entry.0 += 1;
                    }
                }
            }
        }
    }
    println!("requests by purpose: {asked:?}");
    assert!(asked.iter().filter(|count| **count > 0).count() >= 5, "{asked:?}");
    assert!(leaks.is_empty(), "purpose, secret: (how often, characters before it, from where in it): {leaks:#?}");
}

#[test]
fn a_request_for_guidelines_fits_the_window() {
    let mut model = Scripted::new(|number, request| {
        let long = format!(
            "{}\n{}",
            note(number, request),
            "- src/engine.rs: a line of the note that is there to make it long\n".repeat(70)
        );
        Reply::Text(if request.purpose == Purpose::Guidelines { "1. Keep paths.".to_owned() } else { long })
    });
    model.window = 8_000;
    let most = Cell::new(0);
    let mut options = ConversationOptions::new(window(20_000));
    options.guidelines = GuidelinesPolicy { enabled: true, update_threshold: 10, ..GuidelinesPolicy::default() };
    let mut talk = Conversation::new(options, &Heuristic).unwrap();
    let raws = mixed(2_000);
    for batch in raws.chunks(100) {
        talk.append(&messages(batch)).unwrap();
        block_on(talk.turn(Providers::all(&model))).unwrap();
        // An answer as long as answers are: what is kept of each is up to 4,096 bytes.
        let answer = format!(
            "I don't have access to the earlier conversation. {}",
            "What I see is this line of it. ".repeat(300)
        );
        talk.observe_answer(&answer);
        talk.observe_answer(&answer);
        block_on(talk.update_guidelines(Providers::all(&model))).unwrap();
    }
    for request in model.requests.borrow().iter().filter(|request| request.purpose == Purpose::Guidelines) {
        let size = u64::from(Heuristic::count(&request.messages[0].content)) + request.max_tokens;
        most.set(most.get().max(size));
    }
    println!("the largest request for guidelines: {} of {} tokens", most.get(), model.window);
    assert!(most.get() > 0, "guidelines were never asked for");
    assert!(most.get() <= model.window, "{} of {}", most.get(), model.window);
}
