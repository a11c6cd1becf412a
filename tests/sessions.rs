//! Random conversations through sessions: several of them over one store that takes its time, operations that are given up
//! halfway or run at once, and beside them a tree of entries that says what has to be there. After every step every
//! promise is looked at.
//!
//! 400 cases, 20,000 with `EPITOME_FULL=1`. `EPITOME_SEED=17` repeats one, `EPITOME_SEED=200..300` a group;
//! `EPITOME_PRINT=1` prints every step.
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
#[path = "common/kept.rs"]
mod kept;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Mutex;

use common::check::{messages, size_of};
use common::message::{Msg, clip, short};
use common::rng::Rng;
use common::scripted::{Reply, Scripted, block_on, note};
use common::seeds::{self, SEPARATOR};
use common::{HEADER, generate, rules};
use epitome::store::{Memory, Record, RecordKind, Store};
use epitome::{
    Budget, ConversationOptions, Error, ErrorClass, GuidelinesPolicy, Heuristic, Meter, Overflow, Plan, Policy,
    Prepared, Proactive, Providers, Purpose, Session, SessionOptions, SessionUsage, Strategy, Synced, Visibility,
    count_messages, import, repair,
};
use kept::{Host, Slow, Tree, message_of, poll_times, records, together};
use serde_json::{Value, json};

const NAME: &str = "talk";

// -------------------------------------------------------------------------------------------------------- conversations

fn words(rng: &mut Rng, most: usize) -> String {
    const WORDS: [&str; 14] = [
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
        "and",
        "line\n",
    ];
    let count = rng.range(1, most.max(1));
    (0..count).map(|_| *rng.pick(&WORDS)).collect::<Vec<_>>().join(" ")
}

/// Messages that come one after the other, as long as one asks.
enum Source {
    Agent { size: usize, id: usize, waiting: Vec<String> },
    Given(Vec<String>),
}

impl Source {
    fn new(rng: &mut Rng, seed: u64) -> Self {
        if rng.chance(65) {
            return Self::Agent { size: *rng.pick(&[8, 30, 120, 400]), id: 0, waiting: Vec::new() };
        }
        let case = generate::case(30_000_000 + seed);
        let mut raws: Vec<String> = case.messages.into_iter().filter(|raw| raw.len() < 12_000).collect();
        raws.reverse();
        Self::Given(raws)
    }

    fn next(&mut self, rng: &mut Rng) -> String {
        match self {
            Self::Given(raws) => raws.pop().unwrap_or_else(|| user(&words(rng, 30))),
            Self::Agent { size, id, waiting } => {
                if waiting.is_empty() {
                    *waiting = turn(rng, *size, id);
                    waiting.reverse();
                }
                waiting.pop().expect("a turn has messages")
            }
        }
    }

    fn some(&mut self, rng: &mut Rng, count: usize) -> Vec<String> {
        (0..count).map(|_| self.next(rng)).collect()
    }
}

fn user(text: &str) -> String {
    json!({ "role": "user", "content": text }).to_string()
}

fn assistant(text: &str) -> String {
    json!({ "role": "assistant", "content": text }).to_string()
}

/// A question, some tool calls, and an answer.
fn turn(rng: &mut Rng, size: usize, id: &mut usize) -> Vec<String> {
    let mut out = Vec::new();
    if *id == 0 && rng.chance(60) {
        out.push(json!({ "role": "system", "content": words(rng, 30) }).to_string());
    }
    *id += 1;
    out.push(user(&format!("{} {id}", words(rng, 30))));
    for _ in 0..rng.below(5) {
        let mut calls = Vec::new();
        for _ in 0..*rng.pick(&[1, 1, 2, 3]) {
            *id += 1;
            let arguments = json!({ "path": format!("src/file_{}.rs", rng.below(9)), "n": id }).to_string();
            calls.push(json!({ "id": format!("call_{}", *id % 40), "type": "function",
                "function": { "name": *rng.pick(&["read_file", "search"]), "arguments": arguments } }));
        }
        out.push(json!({ "role": "assistant", "content": null, "tool_calls": calls }).to_string());
        for call in calls {
            out.push(json!({ "role": "tool", "tool_call_id": call["id"], "content": words(rng, size) }).to_string());
        }
    }
    if rng.chance(80) {
        out.push(assistant(&format!("{} {id}", words(rng, 50))));
    }
    out
}

fn options(rng: &mut Rng, raws: &[String]) -> SessionOptions {
    let sizes: Vec<u64> = raws.iter().map(|raw| size_of(raw, &Heuristic)).collect();
    let all: u64 = sizes.iter().sum();
    let largest = sizes.iter().max().copied().unwrap_or_default();
    let limit = if rng.chance(60) { largest + 300 } else { 300 } + all * *rng.pick(&[2, 5, 10, 20, 40, 200]) / 100;
    let mut options = ConversationOptions::new(Budget::Window { window: limit, reserve: Some(limit / 5), overhead: 0 });
    if rng.chance(15) {
        options.budget = Budget::Limit(limit);
    }
    if rng.chance(80) {
        options.policy = policy(rng, raws);
    }
    if rng.chance(15) {
        options.overhead = rng.below(60) as u64;
    }
    if rng.chance(20) {
        options.guidelines = GuidelinesPolicy { enabled: true, update_threshold: 1, ..GuidelinesPolicy::default() };
    }
    let mut options = SessionOptions::new(NAME, options);
    options.overflow = match rng.below(3) {
        0 => None,
        1 => Some(Overflow::default()),
        _ => Some(Overflow { threshold: rng.range(400, 2_000), keep: rng.range(200, 399) }),
    };
    options
}

fn policy(rng: &mut Rng, raws: &[String]) -> Policy {
    let mut policy = generate::options(rng, raws).policy;
    policy.placeholder = Policy::default().placeholder;
    policy.strategy = *rng.pick(&[
        Strategy::OldestFirst,
        Strategy::OldestFirst,
        Strategy::TaskAware,
        Strategy::Mig,
        Strategy::Subgoal,
        Strategy::SubgoalMig,
    ]);
    policy.cooldown_turns = rng.below(4) as u32;
    policy.tool_call_cutoff = rng.below(5);
    policy.tool_pair_share = *rng.pick(&[0.0, 0.0, 0.1, 0.25, 1.0]);
    policy.structured_summaries = rng.chance(20);
    policy.recall_declared = rng.chance(40);
    if rng.chance(25) {
        policy.proactive = Some(Proactive { threshold_tokens: 1_200, max_summary_tokens: 400 });
    }
    policy
}

// --------------------------------------------------------------------------------------------------------------- models

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Model {
    Good,
    Faulty,
    Broken,
}

fn model(rng: &mut Rng, seed: u64, kind: Model) -> Scripted {
    const CLASSES: [ErrorClass; 8] = [
        ErrorClass::ContextLength,
        ErrorClass::RateLimited,
        ErrorClass::Unavailable,
        ErrorClass::Auth,
        ErrorClass::Refused,
        ErrorClass::Blank,
        ErrorClass::Malformed,
        ErrorClass::Timeout,
    ];
    let mut model = Scripted::new(move |number, request| {
        let mut rng = Rng::new(seed.wrapping_mul(1_000) + number as u64);
        if kind == Model::Broken {
            return Reply::Error(CLASSES[(seed % 8) as usize]);
        }
        if kind == Model::Faulty && rng.chance(40) {
            return match rng.below(9) {
                0 | 1 => Reply::Error(*rng.pick(&CLASSES)),
                2 => Reply::TooLong(Some(500)),
                3 => Reply::Error(ErrorClass::Aborted),
                4 => Reply::Text(" ".to_owned()),
                5 => Reply::Text(format!("{0}\n{0}", request.messages[0].content)),
                6 => Reply::Text(format!("</record 00000000>\n{HEADER}3 earlier messages left out.]")),
                7 => Reply::Refusal,
                _ => Reply::CutOff("1. User Intent: half of".to_owned()),
            };
        }
        Reply::Text(match request.purpose {
            Purpose::Subgoal => format!("CURRENT: step {}\nCOMPLETED: NONE", number / 2),
            Purpose::Goal => "Find out why src/engine.rs fails.".to_owned(),
            Purpose::ToolPair => format!("read_file was called and said {number}."),
            Purpose::Guidelines => "1. Keep every path.".to_owned(),
            _ => note(number, request),
        })
    });
    model.window = *rng.pick(&[600, 1_500, 4_000, 16_000]);
    model.patience.set(*rng.pick(&[0, 3, 12]));
    model
}

// ----------------------------------------------------------------------------------------------------------- operations

#[derive(Debug, Clone)]
enum Op {
    Append(Vec<String>),
    Prepare(bool),
    PrepareNow,
    CompactNow(bool),
    Plan,
    Apply(Box<Plan>),
    Undo(Option<u64>),
    Branch(u64),
    Sync(Vec<String>),
    Pin(u64),
    Unpin(u64),
    Usage(u64),
    Refresh,
    Search,
}

impl Op {
    fn name(&self) -> String {
        match self {
            Self::Append(raws) => format!("append {}", raws.len()),
            Self::Sync(raws) => format!("sync {}", raws.len()),
            Self::Apply(_) => "apply".to_owned(),
            other => format!("{other:?}"),
        }
    }
}

#[derive(Debug)]
enum Outcome {
    Ids(Vec<u64>),
    Prepared(Box<Prepared>),
    Plan(Box<Plan>),
    Synced(Synced),
    Nothing,
}

async fn perform(session: &Session<'_>, op: &Op, model: &Scripted) -> Result<Outcome, Error> {
    let providers = |asks: bool| if asks { Providers::all(model) } else { Providers::default() };
    let prepared = |prepared| Outcome::Prepared(Box::new(prepared));
    Ok(match op {
        Op::Append(raws) => Outcome::Ids(session.append(&messages(raws)).await?),
        Op::Prepare(asks) => prepared(session.prepare(providers(*asks)).await?),
        Op::PrepareNow => prepared(session.prepare_now().await?),
        Op::CompactNow(asks) => prepared(session.compact_now(providers(*asks), None).await?),
        Op::Plan => Outcome::Plan(Box::new(session.plan(providers(false)).await?)),
        Op::Apply(plan) => prepared(session.apply(plan).await?),
        Op::Undo(compaction) => Outcome::Ids(session.undo(*compaction).await?),
        Op::Branch(entry) => {
            session.branch(*entry).await?;
            Outcome::Nothing
        }
        Op::Sync(raws) => Outcome::Synced(session.sync(&messages(raws)).await?),
        Op::Pin(entry) => {
            session.pin(*entry).await?;
            Outcome::Nothing
        }
        Op::Unpin(entry) => {
            session.unpin(*entry).await?;
            Outcome::Nothing
        }
        Op::Usage(input_tokens) => {
            session.report_usage(SessionUsage { input_tokens: *input_tokens }).await?;
            Outcome::Nothing
        }
        Op::Refresh => {
            session.refresh().await?;
            Outcome::Nothing
        }
        Op::Search => {
            session.search("budget src/engine.rs failed", 3).await?;
            Outcome::Nothing
        }
    })
}

/// What a tree may be after an operation that was carried out.
fn after(tree: &Tree, op: &Op) -> Vec<Tree> {
    let mut next = tree.clone();
    match op {
        Op::Append(raws) => {
            next.append(raws);
            vec![next]
        }
        Op::Branch(entry) => {
            if (*entry as usize) < next.entries.len() {
                next.tip = Some(*entry as usize);
            }
            vec![next]
        }
        Op::Sync(raws) => synced(tree, raws),
        _ => vec![next],
    }
}

/// Where the array differs in nothing but a last message that may have grown, both are right: that it grew, and that
/// it is another one.
fn synced(tree: &Tree, raws: &[String]) -> Vec<Tree> {
    let (path, texts) = (tree.path(), tree.texts());
    let common = texts.iter().zip(raws).take_while(|(a, b)| a == b).count();
    let mut branched = tree.clone();
    branched.tip = common.checked_sub(1).map(|at| path[at]);
    branched.append(&raws[common..]);
    let mut trees = vec![branched];
    if path.len() == common + 1 && raws.len() > common && path[common] + 1 == tree.entries.len() {
        let mut grown = tree.clone();
        grown.entries.pop();
        grown.tip = common.checked_sub(1).map(|at| path[at]);
        grown.append(&raws[common..]);
        trees.push(grown);
    }
    trees
}

// ------------------------------------------------------------------------------------------------------------------ case

#[derive(Debug, Default)]
struct Seen {
    steps: usize,
    appended: usize,
    compactions: usize,
    dropped: usize,
    irreducible: usize,
    aborted: usize,
    undone: usize,
    branched: usize,
    grown: usize,
    replaced: usize,
    interim: usize,
    behind: usize,
    stale: usize,
    imported: usize,
    overflowed: usize,
    hidden: usize,
}

impl Seen {
    fn add(&mut self, o: &Self) {
        self.steps += o.steps;
        self.appended += o.appended;
        self.compactions += o.compactions;
        self.dropped += o.dropped;
        self.irreducible += o.irreducible;
        self.aborted += o.aborted;
        self.undone += o.undone;
        self.branched += o.branched;
        self.grown += o.grown;
        self.replaced += o.replaced;
        self.interim += o.interim;
        self.behind += o.behind;
        self.stale += o.stale;
        self.imported += o.imported;
        self.overflowed += o.overflowed;
        self.hidden += o.hidden;
    }
}

struct Tab {
    session: Session<'static>,
    host: Rc<Host>,
    plan: Option<Box<Plan>>,
    /// It may show a view that is not written down.
    interim: bool,
    /// It was told what its provider counts, which is written with the next batch.
    counted: bool,
}

struct Case {
    seed: u64,
    rng: Rng,
    options: SessionOptions,
    memory: Memory,
    source: Source,
    tabs: Vec<Tab>,
    model: Scripted,
    tree: Tree,
    step: String,
    found: Vec<String>,
    seen: Seen,
    sizes: BTreeMap<String, u64>,
    print: bool,
}

/// Between the place and what is wrong there.

impl Case {
    fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed ^ 0x5e55);
        let mut source = Source::new(&mut rng, seed);
        // What is to come, roughly: the budget is chosen by it.
        let sample = Source::new(&mut rng.clone(), seed).some(&mut rng.clone(), 40);
        let options = options(&mut rng, &sample);
        let kind = *rng.pick(&[Model::Good, Model::Good, Model::Faulty, Model::Faulty, Model::Broken]);
        let model = model(&mut rng, seed, kind);
        if rng.chance(10) {
            source = Source::Agent { size: 1_500, id: 0, waiting: Vec::new() };
        }
        let mut case = Self {
            seed,
            options,
            memory: Memory::new(),
            source,
            tabs: Vec::new(),
            model,
            tree: Tree::default(),
            step: "open".to_owned(),
            found: Vec::new(),
            seen: Seen::default(),
            sizes: BTreeMap::new(),
            print: std::env::var_os("EPITOME_PRINT").is_some(),
            rng,
        };
        let tabs = *case.rng.pick(&[1, 1, 2, 3]);
        for number in 0..tabs {
            let tab = case.open(number as u64);
            case.tabs.push(tab);
        }
        case
    }

    fn bad(&mut self, what: impl AsRef<str>) {
        if self.found.len() < 6 {
            let place = format!("seed {} with {} entries, {}", self.seed, self.tree.entries.len(), self.step);
            self.found.push(format!("{place}{SEPARATOR}{}", clip(what.as_ref(), 400)));
        }
    }

    fn open(&mut self, number: u64) -> Tab {
        let host = Rc::new(Host::new(self.rng.next() ^ number));
        let store: Rc<dyn Store> = Rc::new(Slow::new(self.memory.clone(), self.rng.next()));
        let opened = block_on(Session::open(self.options.clone(), store, Rc::new(Heuristic), host.clone()));
        let session = opened.unwrap_or_else(|error| panic!("seed {}, {}: {error}", self.seed, self.step));
        Tab { session, host, plan: None, interim: false, counted: false }
    }

    /// A session that has just been opened, over the store itself.
    fn fresh(&self, id: &str) -> (Session<'static>, Rc<Host>) {
        let host = Rc::new(Host::new(1));
        let store: Rc<dyn Store> = Rc::new(self.memory.clone());
        let options = SessionOptions { id: id.to_owned(), ..self.options.clone() };
        let opened = block_on(Session::open(options, store, Rc::new(Heuristic), host.clone()));
        (opened.unwrap_or_else(|error| panic!("seed {}, {}: {error}", self.seed, self.step)), host)
    }

    // --------------------------------------------------------------------------------------------------------- choosing

    fn choose(&mut self, at: usize) -> Op {
        let entries = self.tree.entries.len();
        match self.rng.below(40) {
            0..=11 => {
                let count = *self.rng.pick(&[1, 1, 1, 2, 3, 6]);
                Op::Append(self.source.some(&mut self.rng, count))
            }
            12..=19 => Op::Prepare(self.rng.chance(70)),
            20 | 21 => Op::PrepareNow,
            22 => Op::CompactNow(self.rng.chance(50)),
            23 => Op::Plan,
            24 => self.tabs[at].plan.clone().map_or(Op::Plan, Op::Apply),
            25 | 26 => Op::Undo(self.rng.chance(30).then(|| self.rng.below(6) as u64)),
            27 | 28 if entries > 0 => Op::Branch(self.rng.below(entries) as u64),
            29..=32 => Op::Sync(self.array()),
            33 | 34 if entries > 0 => {
                let path = self.tree.path();
                if path.is_empty() { Op::Refresh } else { Op::Pin(*self.rng.pick(&path) as u64) }
            }
            35 if entries > 0 => {
                let path = self.tree.path();
                if path.is_empty() { Op::Refresh } else { Op::Unpin(*self.rng.pick(&path) as u64) }
            }
            36 => Op::Usage(self.tabs[at].session.meter().tokens * self.rng.range(80, 130) as u64 / 100),
            37 => Op::Search,
            _ => Op::Refresh,
        }
    }

    /// What a host may have in its array: what is there, with something done to it.
    fn array(&mut self) -> Vec<String> {
        let mut raws = self.tree.texts();
        let marked = |rng: &mut Rng, what: &str| format!("{what} {} {}", rng.below(1_000_000), words(rng, 20));
        match self.rng.below(10) {
            0..=2 => {
                let count = self.rng.below(3);
                raws.extend(self.source.some(&mut self.rng, count));
            }
            3..=5 => {
                // A last message that is still being written.
                let last =
                    raws.last().map(|raw| Msg::new(raw)).filter(|last| last.role() == "assistant" && !last.has_calls());
                match last.map(|last| last.get("content")) {
                    Some(Value::String(text)) => {
                        raws.pop();
                        let more = marked(&mut self.rng, "and");
                        raws.push(assistant(&format!("{text}{more}")));
                    }
                    _ => raws.push(assistant(&marked(&mut self.rng, "Let me"))),
                }
                if self.rng.chance(25) {
                    raws.push(user(&marked(&mut self.rng, "thanks")));
                }
            }
            6 if !raws.is_empty() => {
                let at = self.rng.below(raws.len());
                raws[at] = user(&marked(&mut self.rng, "edited"));
                if self.rng.chance(70) {
                    raws.truncate(at + 1);
                }
            }
            7 if !raws.is_empty() => {
                raws.pop();
                raws.push(assistant(&marked(&mut self.rng, "regenerated")));
            }
            8 => raws.truncate(self.rng.below(raws.len() + 1)),
            _ => {}
        }
        raws
    }

    // ---------------------------------------------------------------------------------------------------------- running

    fn run(&mut self) {
        let steps = self.rng.range(8, 40);
        for _ in 0..steps {
            let at = self.rng.below(self.tabs.len());
            let op = self.choose(at);
            match self.rng.below(100) {
                0..=11 => self.drop_halfway(at, op),
                12..=26 => self.two_at_once(at, op),
                27..=31 => self.reopen(at),
                32..=34 => self.carry_over(),
                _ => self.alone(at, op),
            }
            self.audit();
            if self.found.len() >= 6 {
                return;
            }
        }
        self.undo_everything();
        self.step = "delete".to_owned();
        if self.tree.entries.is_empty() {
            return;
        }
        if let Err(error) = block_on(self.tabs[0].session.delete()) {
            self.bad(format!("{error}"));
        }
        if records(&self.memory, NAME) != (0, Vec::new()) {
            self.bad("something is left of it");
        }
    }

    fn alone(&mut self, at: usize, op: Op) {
        self.step = format!("tab {at} {}", op.name());
        self.say();
        let before = self.tabs[at].session.view().map(|view| view.to_json()).unwrap_or_default();
        let refreshed = self.fresh(NAME).0.view().unwrap().to_json();
        let result = block_on(perform(&self.tabs[at].session, &op, &self.model));
        self.settle(vec![vec![op.clone()]], &result);
        match &result {
            Ok(Outcome::Prepared(prepared)) => self.prepared(at, &op, prepared),
            Ok(Outcome::Synced(synced)) => self.arrived(synced),
            Err(error) => {
                self.failed(&op, error);
                let now = self.tabs[at].session.view().map(|view| view.to_json()).unwrap_or_default();
                if now != before && now != refreshed {
                    self.bad(format!("after {}: another view", error.code()));
                }
            }
            _ => {}
        }
        self.heard(at, &op, result);
    }

    fn two_at_once(&mut self, at: usize, op: Op) {
        let other = self.rng.below(self.tabs.len());
        // An array of the host would undo what is appended meanwhile: which of the two was first would be all.
        let op = if matches!(op, Op::Sync(_)) { Op::PrepareNow } else { op };
        let second = match self.choose(other) {
            Op::Sync(_) => Op::Append(self.source.some(&mut self.rng, 1)),
            op => op,
        };
        self.step = format!("tab {at} {} with tab {other} {}", op.name(), second.name());
        self.say();
        let (a, b) = {
            let (a, b) = (&self.tabs[at].session, &self.tabs[other].session);
            together(&mut self.rng, perform(a, &op, &self.model), perform(b, &second, &self.model))
        };
        // Whatever failed is as if it had not been asked for.
        let done: Vec<&Op> =
            [(&op, &a), (&second, &b)].into_iter().filter(|(_, result)| result.is_ok()).map(|(op, _)| op).collect();
        let orders = match done[..] {
            [a, b] => vec![vec![a.clone(), b.clone()], vec![b.clone(), a.clone()]],
            [a] => vec![vec![a.clone()]],
            _ => vec![Vec::new()],
        };
        self.settle(orders, &Ok(Outcome::Nothing));
        let interim = [(at, &op), (other, &second)].map(|(at, op)| matches!(op, Op::PrepareNow).then_some(at));
        for (at, op, result) in [(at, op, a), (other, second, b)] {
            if let Err(error) = &result {
                self.failed(&op, error);
            }
            self.heard(at, &op, result);
        }
        // Whichever of the two was first.
        for at in interim.into_iter().flatten() {
            self.tabs[at].interim = true;
        }
    }

    fn drop_halfway(&mut self, at: usize, op: Op) {
        let times = self.rng.below(14);
        self.step = format!("tab {at} {} given up after {times}", op.name());
        self.say();
        let result = poll_times(perform(&self.tabs[at].session, &op, &self.model), times);
        self.model.running.set(0);
        match result {
            Some(result) => {
                self.settle(vec![vec![op.clone()]], &result);
                if let Err(error) = &result {
                    self.failed(&op, error);
                }
                self.heard(at, &op, result);
            }
            None => {
                self.seen.dropped += 1;
                self.settle(vec![Vec::new(), vec![op]], &Ok(Outcome::Nothing));
                (self.tabs[at].interim, self.tabs[at].counted) = (true, true);
            }
        }
    }

    fn reopen(&mut self, at: usize) {
        self.step = format!("tab {at} is closed and opened");
        self.say();
        self.tabs[at].session.close();
        if !matches!(block_on(self.tabs[at].session.append(&messages(&[user("too late")]))), Err(Error::Closed)) {
            self.bad("a closed session takes messages");
        }
        self.tabs[at] = self.open(at as u64);
    }

    fn carry_over(&mut self) {
        self.step = "export and import".to_owned();
        self.say();
        if self.tree.entries.is_empty() {
            return;
        }
        let (session, _) = self.fresh(NAME);
        let file = block_on(session.export()).unwrap();
        let store: Rc<dyn Store> = Rc::new(self.memory.clone());
        if let Err(error) = block_on(import(&file, "copy", &store, 5.0)) {
            return self.bad(format!("import: {error}"));
        }
        self.seen.imported += 1;
        let (copy, host) = self.fresh("copy");
        if copy.view().unwrap() != session.view().unwrap() || copy.meter() != session.meter() {
            self.bad("the imported conversation has another view or size");
        }
        if block_on(copy.history(None, None, usize::MAX)) != block_on(session.history(None, None, usize::MAX)) {
            self.bad("the imported conversation has another history");
        }
        if !host.warnings().is_empty() {
            self.bad(format!("imported with {:?}", host.warnings()));
        }
        if block_on(copy.export()).unwrap().lines().skip(1).ne(file.lines().skip(1)) {
            self.bad("exported again, it is another file");
        }
        if block_on(import(&file, "copy", &store, 5.0)).is_ok() {
            self.bad("imported over another one");
        }
        block_on(copy.delete()).unwrap();
    }

    fn undo_everything(&mut self) {
        self.step = "undo everything".to_owned();
        self.say();
        let tab = self.open(9);
        for _ in 0..1_000 {
            match block_on(tab.session.undo(None)) {
                Ok(undone) if undone.len() == 1 => self.seen.undone += 1,
                Ok(undone) => self.bad(format!("{undone:?} are undone at once")),
                Err(Error::CannotUndo { .. }) => break,
                Err(error) => return self.bad(format!("{error}")),
            }
        }
        // As it is shown: some results are shown shortened to begin with.
        let all = records(&self.memory, NAME).1;
        let entries: Vec<&Record> = of_kind(&all, RecordKind::Entry).collect();
        let given: Vec<String> = self.tree.path().into_iter().map(|at| message_of(&entries[at].text)).collect();
        let given = messages(&given);
        let view = tab.session.view().unwrap();
        if view != repair(&given, None).unwrap().0 {
            self.bad("not everything is back");
        }
    }

    fn say(&self) {
        if self.print {
            println!("seed {} {} entries, tip {:?}: {}", self.seed, self.tree.entries.len(), self.tree.tip, self.step);
        }
    }

    // ---------------------------------------------------------------------------------------------------------- judging

    /// The tree is now what one of these sequences makes of it.
    fn settle(&mut self, orders: Vec<Vec<Op>>, result: &Result<Outcome, Error>) {
        let is = Tree::of(&records(&self.memory, NAME).1);
        let orders = if result.is_err() { vec![Vec::new()] } else { orders };
        let mut may: Vec<Tree> = Vec::new();
        for order in &orders {
            let mut trees = vec![self.tree.clone()];
            for op in order {
                trees = trees.iter().flat_map(|tree| after(tree, op)).collect();
            }
            may.append(&mut trees);
        }
        if let (Ok(Outcome::Ids(ids)), Some(Op::Append(raws))) =
            (result, orders.first().and_then(|order| order.first()))
        {
            self.seen.appended += ids.len();
            let expected = self.tree.clone().append(raws);
            if *ids != expected {
                self.bad(format!("appended as {ids:?}, expected {expected:?}"));
            }
        }
        if !may.contains(&is) {
            let expected = &may[0];
            self.bad(format!(
                "the store has {} entries, tip {:?}; expected {}, tip {:?}; {}",
                is.entries.len(),
                is.tip,
                expected.entries.len(),
                expected.tip,
                is.entries
                    .iter()
                    .zip(&expected.entries)
                    .enumerate()
                    .find(|(_, (is, expected))| is != expected)
                    .map_or_else(String::new, |(at, (is, expected))| format!(
                        "entry {at} is {:?} {}, expected {:?} {}",
                        is.1,
                        short(&is.0),
                        expected.1,
                        short(&expected.0)
                    ))
            ));
        }
        self.tree = is;
    }

    fn arrived(&mut self, synced: &Synced) {
        self.seen.grown += usize::from(synced.grown.is_some());
        self.seen.replaced += synced.replaced.len();
        let path = self.tree.path();
        let ends: Vec<u64> = path.iter().rev().take(synced.appended.len()).rev().map(|id| *id as u64).collect();
        if synced.appended != ends {
            self.bad(format!("said to have appended {:?}, but the path ends in {ends:?}", synced.appended));
        }
        if synced.replaced.iter().any(|id| path.contains(&(*id as usize))) {
            self.bad(format!("{:?} are said to be replaced", synced.replaced));
        }
        if synced.branched_at.is_some() != !synced.replaced.is_empty() {
            self.bad(format!("{synced:?}"));
        }
    }

    fn prepared(&mut self, at: usize, op: &Op, prepared: &Prepared) {
        let tab = &self.tabs[at];
        let meter = tab.session.meter();
        let items = tab.session.view_without(&|_| false).unwrap();
        let same = items == prepared.items && prepared.messages().unwrap() == tab.session.view().unwrap();
        if !same {
            self.bad("what is prepared is not the view");
        }
        if meter.tokens > meter.limit && !matches!(op, Op::Apply(_)) {
            self.bad(format!("fits: {} tokens, the limit is {}", meter.tokens, meter.limit));
        }
        let report = &prepared.report;
        // Only a repair may add something.
        if report.after != meter.tokens || (report.before < report.after && report.repairs.is_empty()) {
            self.bad(format!("reported {} -> {}, it is {}", report.before, report.after, meter.tokens));
        }
        self.seen.behind += usize::from(prepared.behind);
        self.seen.compactions += usize::from(prepared.compaction.is_some());
    }

    fn failed(&mut self, op: &Op, error: &Error) {
        let is_known = match error {
            Error::IrreducibleBudget { limit, required, .. } => {
                self.seen.irreducible += 1;
                required > limit
                    && matches!(op, Op::Prepare(_) | Op::PrepareNow | Op::CompactNow(_) | Op::Plan | Op::Apply(_))
            }
            Error::Aborted => {
                self.seen.aborted += 1;
                matches!(op, Op::Prepare(true) | Op::CompactNow(true))
            }
            Error::StalePlan => {
                self.seen.stale += 1;
                matches!(op, Op::Apply(_))
            }
            Error::CannotUndo { .. } => matches!(op, Op::Undo(_)),
            // The other of two operations has gone to another branch.
            Error::InvalidOption { .. } => matches!(op, Op::Pin(_) | Op::Unpin(_)) && self.step.contains(" with "),
            _ => false,
        };
        if !is_known {
            self.bad(format!("{} {error}", error.code()));
        }
    }

    fn heard(&mut self, at: usize, op: &Op, result: Result<Outcome, Error>) {
        self.seen.branched += usize::from(matches!(op, Op::Branch(_)));
        self.seen.undone += usize::from(matches!(op, Op::Undo(_)) && result.is_ok());
        let tab = &mut self.tabs[at];
        match (op, result) {
            (Op::Plan, Ok(Outcome::Plan(plan))) => tab.plan = Some(plan),
            (Op::PrepareNow, Ok(_)) => {
                tab.interim = true;
                self.seen.interim += 1;
            }
            (Op::Prepare(_) | Op::CompactNow(_) | Op::Undo(_) | Op::Branch(_), Ok(_)) => tab.interim = false,
            (Op::Usage(_), Ok(_)) => tab.counted = true,
            _ => {}
        }
    }

    // ------------------------------------------------------------------------------------------------------------ audit

    fn audit(&mut self) {
        self.seen.steps += 1;
        let revision = records(&self.memory, NAME).0;
        let (fresh, host) = self.fresh(NAME);
        if let Some(warning) = host.warnings().first() {
            self.bad(format!("opened with {warning:?}"));
        }
        let (view, meter) = (fresh.view().unwrap().to_json(), fresh.meter());
        self.judge("opened", &fresh);
        self.history(&fresh);
        self.compactions(&fresh);
        for at in 0..self.tabs.len() {
            // What is remembered of a tab's own turns is written with whatever it writes next.
            let tab = &self.tabs[at];
            if let Err(error) = block_on(tab.session.refresh()) {
                self.bad(format!("tab {at} refreshes: {error}"));
                continue;
            }
            let (its_view, its_meter) = (tab.session.view().unwrap().to_json(), tab.session.meter());
            if tab.interim && its_view == view {
                self.tabs[at].interim = false;
            } else if !tab.interim && its_view != view {
                let (a, b) = (Value::to_string(&json!(its_view)), Value::to_string(&json!(view)));
                let same = a.chars().zip(b.chars()).take_while(|(a, b)| a == b).count();
                let from = |text: &str| text.chars().skip(same.saturating_sub(30)).take(130).collect::<String>();
                self.bad(format!("tab {at} sees another view from {same} on: {} but opened {}", from(&a), from(&b)));
            }
            let (interim, counted) = (self.tabs[at].interim, self.tabs[at].counted);
            if !interim && sizes(&its_meter) != sizes(&meter) {
                self.bad(format!("tab {at} sees other sizes: {its_meter:?} but opened {meter:?}"));
            }
            if !interim && !counted && (its_meter.limit, its_meter.ratio) != (meter.limit, meter.ratio) {
                self.bad(format!("tab {at} has another limit: {its_meter:?} but opened {meter:?}"));
            }
            if self.tabs[at].interim {
                let name = format!("tab {at}");
                let tabs = std::mem::take(&mut self.tabs);
                self.judge(&name, &tabs[at].session);
                self.tabs = tabs;
            }
            let odd: Vec<_> = self.tabs[at].host.warnings();
            for warning in odd {
                let is_known = warning.code.starts_with("provider_")
                    || ["summary_refused", "summary_left_out"].contains(&warning.code.as_str());
                if !is_known {
                    self.bad(format!("tab {at} warns {warning:?}"));
                }
            }
            self.tabs[at].host.events.borrow_mut().clear();
        }
        if records(&self.memory, NAME).0 != revision {
            self.bad("looking has written something");
        }
    }

    /// The view by itself, and beside what was given.
    fn judge(&mut self, who: &str, session: &Session<'_>) {
        let items = session.view_without(&|_| false).unwrap();
        let view = session.view().unwrap();
        if !view.iter().eq(items.iter().map(|item| item.text.as_str())) {
            self.bad(format!("{who}: the items are not the view"));
        }
        let seen = Msg::all(view.iter());
        for what in rules::violations(&seen) {
            self.bad(format!("{who}: valid: {what}"));
        }
        let path = self.tree.path();
        let given = Msg::all(path.iter().map(|at| self.tree.entries[*at].0.as_str()));
        for what in rules::broken_promises(&given, &seen) {
            if !(self.options.conversation.policy.shrink_last_user && what.starts_with("the last user message")) {
                self.bad(format!("{who}: kept: {what}"));
            }
        }
        for item in &items {
            let Some(entry) = item.entry else { continue };
            if !path.contains(&(entry as usize)) {
                self.bad(format!("{who}: entry {entry} is not on the path"));
            } else if item.is_whole && item.text != self.tree.entries[entry as usize].0 {
                self.bad(format!("{who}: entry {entry} is not what was given: {}", short(&item.text)));
            } else if !item.is_whole && item.text == self.tree.entries[entry as usize].0 {
                self.bad(format!("{who}: entry {entry} is said to be edited: {}", short(&item.text)));
            }
        }
        let meter = session.meter();
        let mut counted = self.options.conversation.overhead;
        for raw in view.iter() {
            counted += *self
                .sizes
                .entry(raw.to_owned())
                .or_insert_with(|| count_messages(&messages(&[raw.to_owned()]), None, &Heuristic).unwrap_or_default());
        }
        if counted != meter.tokens {
            self.bad(format!("{who}: {} tokens, counted {counted}", meter.tokens));
        }
        let m = &meter;
        let parts = m.overhead + m.system + m.user + m.assistant + m.tool_calls + m.tool_results + m.summaries;
        let shown = items.iter().filter(|item| item.entry.is_some()).count() as u64;
        if parts != m.tokens
            || m.entries != path.len() as u64
            || m.messages != items.len()
            || m.hidden + shown != m.entries
        {
            self.bad(format!("{who}: {path:?} {shown} shown of {meter:?}"));
        }
        self.seen.hidden += meter.hidden as usize;
    }

    fn history(&mut self, session: &Session<'_>) {
        let history = block_on(session.history(None, None, usize::MAX)).unwrap();
        let is: Vec<(usize, &str)> = history.iter().map(|entry| (entry.id as usize, entry.text.as_str())).collect();
        let path = self.tree.path();
        let expected: Vec<(usize, &str)> = path.iter().map(|at| (*at, self.tree.entries[*at].0.as_str())).collect();
        if is != expected {
            self.bad(format!("the history has {} entries, expected {}", is.len(), expected.len()));
        }
        let items = session.view_without(&|_| false).unwrap();
        for entry in &history {
            let item = items.iter().find(|item| item.entry == Some(entry.id));
            let visibility = match item {
                None => Visibility::Hidden,
                Some(item) if item.is_whole => Visibility::Shown,
                Some(_) => Visibility::Edited,
            };
            if entry.visibility != visibility || entry.is_shortened {
                self.bad(format!("entry {} is said to be {:?}, it is {visibility:?}", entry.id, entry.visibility));
            }
        }
        if path.len() > 2 {
            let (at, most) = (self.rng.below(path.len()), self.rng.range(1, 4));
            let before = Some(path[at] as u64);
            let part = block_on(session.history(session.start_of_last(before, most as u64), before, most)).unwrap();
            let is: Vec<usize> = part.iter().map(|entry| entry.id as usize).collect();
            if is != path[at.saturating_sub(most)..at] {
                self.bad(format!("the {most} before {before:?} are {is:?} of {path:?}"));
            }
        }
    }

    fn compactions(&mut self, session: &Session<'_>) {
        let infos = block_on(session.compactions()).unwrap();
        let path = self.tree.path();
        let entries = self.tree.entries.len() as u64;
        let all = records(&self.memory, NAME).1;
        self.seen.overflowed += all.iter().filter(|record| record.kind == RecordKind::Overflow).count();
        let numbers: Vec<u64> = of_kind(&all, RecordKind::Compaction).map(|record| record.number).collect();
        if infos.iter().map(|info| info.id).ne(numbers.iter().copied())
            || numbers.iter().copied().ne(0..numbers.len() as u64)
        {
            self.bad(format!("compactions {numbers:?}"));
        }
        for info in &infos {
            let on_path = |entry: &u64| path.contains(&(*entry as usize));
            let mut wrong = Vec::new();
            if info.tokens_after >= info.tokens_before {
                wrong.push("not smaller");
            }
            if info.hidden.iter().any(|(from, to)| from >= to || *to > entries)
                || info.edited.iter().any(|id| *id >= entries)
            {
                wrong.push("speaks of entries that there are not");
            }
            if info.parent.is_some_and(|parent| parent >= info.id) {
                wrong.push("older than its parent");
            }
            if info.in_force {
                if info.undone {
                    wrong.push("in force, and undone");
                }
                if !info.through.iter().all(on_path) || !info.edited.iter().all(on_path) {
                    wrong.push("in force on another branch");
                }
                if !info.hidden.iter().all(|(from, to)| (*from..*to).all(|id| on_path(&id))) {
                    wrong.push("hides entries of another branch");
                }
            }
            if !wrong.is_empty() {
                self.bad(format!("compaction {}: {}: {info:?}", info.id, wrong.join(", ")));
            }
        }
    }
}

fn of_kind(records: &[Record], kind: RecordKind) -> impl Iterator<Item = &Record> {
    records.iter().filter(move |record| record.kind == kind)
}

/// A meter without what depends on the provider's counts.
fn sizes(meter: &Meter) -> Meter {
    Meter { limit: 0, free: 0, soft: 0, hard: 0, ratio: None, ..*meter }
}

/// One conversation from its first message to its deletion.
fn run(seed: u64) -> (Vec<String>, Seen) {
    let mut case = Case::new(seed);
    case.run();
    (case.found, case.seen)
}

fn caught(seed: u64) -> (Vec<String>, Seen) {
    catch_unwind(AssertUnwindSafe(|| run(seed)))
        .unwrap_or_else(|_| (vec![format!("seed {seed}{SEPARATOR}a panic, see above")], Seen::default()))
}

#[test]
fn whatever_happens_to_a_session_every_promise_holds_after_every_step() {
    const GROUP: u64 = 50;
    let seeds = seeds::asked(if common::full() { 20_000 } else { 400 });
    let next = Mutex::new(seeds.clone().step_by(GROUP as usize));
    let done = Mutex::new((Vec::new(), Seen::default()));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(from) = { next.lock().unwrap().next() } {
                    let to = (from + GROUP).min(seeds.end);
                    let (mut found, mut seen) = (Vec::new(), Seen::default());
                    for seed in from..to {
                        let (mut wrong, what) = caught(seed);
                        found.append(&mut wrong);
                        seen.add(&what);
                    }
                    println!(
                        "EPITOME_SEED={from}..{to}: {} steps, {} compactions, {} broken promises",
                        seen.steps,
                        seen.compactions,
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
    if seeds.end - seeds.start >= 400 {
        // What is never met is not tested.
        for (what, count) in [
            ("appended", seen.appended),
            ("compactions", seen.compactions),
            ("dropped", seen.dropped),
            ("irreducible", seen.irreducible),
            ("undone", seen.undone),
            ("branched", seen.branched),
            ("grown", seen.grown),
            ("replaced", seen.replaced),
            ("interim", seen.interim),
            ("behind", seen.behind),
            ("stale", seen.stale),
            ("imported", seen.imported),
            ("overflowed", seen.overflowed),
            ("hidden", seen.hidden),
        ] {
            assert!(count > 5, "{what} was met {count} times only: {seen:?}");
        }
    }
}
