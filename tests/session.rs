//! Sessions over a store in memory: what is appended stays, what is compacted can be taken back, and whoever opens the
//! conversation again sees the same.
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
#[path = "common/talk.rs"]
mod talk;

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use common::scripted::{Scripted, block_on};
use epitome::store::{Memory, Store};
use epitome::{
    Error, Heuristic, Overflow, Providers, Retention, Session, SessionEvent, SessionHost, SessionOptions, SessionUsage,
    Status, Visibility, import,
};

/// A clock that counts, and chance that does not repeat itself.
#[derive(Default)]
struct Host {
    now: Cell<f64>,
    chance: Cell<u64>,
    events: RefCell<Vec<SessionEvent>>,
}

thread_local! {
    static HOSTS: Cell<u64> = const { Cell::new(0) };
}

impl SessionHost for Host {
    fn now_ms(&self) -> f64 {
        self.now.set(self.now.get() + 1.0);
        1_700_000_000_000.0 + self.now.get()
    }

    fn random(&self) -> f64 {
        if self.chance.get() == 0 {
            HOSTS.with(|hosts| hosts.set(hosts.get() + 1));
            self.chance.set(HOSTS.with(Cell::get) * 1_000_003);
        }
        self.chance.set(self.chance.get() + 1);
        self.chance.get() as f64 / 1e15
    }

    fn event(&self, event: &SessionEvent) {
        self.events.borrow_mut().push(event.clone());
    }
}

fn options(limit: u64) -> SessionOptions {
    SessionOptions::new("talk", talk::options(limit))
}

fn open_with(options: SessionOptions, store: &Memory) -> Session<'static> {
    let store: Rc<dyn Store> = Rc::new(store.clone());
    block_on(Session::open(options, store, Rc::new(Heuristic), Rc::new(Host::default()))).expect("opens")
}

fn open(limit: u64, store: &Memory) -> Session<'static> {
    open_with(options(limit), store)
}

fn append(session: &Session<'_>, raws: &[String]) -> Vec<u64> {
    block_on(session.append(&talk::messages(raws))).expect("appends")
}

fn shown(session: &Session<'_>) -> String {
    session.view().expect("a view").to_json()
}

fn turns(from: usize, to: usize) -> Vec<String> {
    (from..to)
        .flat_map(|n| {
            let question = talk::user(&talk::words(&format!("question{n}"), 30));
            let [calls, result] = talk::unit(&format!("call_{n}"), &talk::words(&format!("result{n}"), 200));
            [question, calls, result, talk::assistant(&talk::words(&format!("answer{n}"), 40))]
        })
        .collect()
}

#[test]
fn what_is_appended_is_there_when_it_is_opened_again() {
    let store = Memory::new();
    let session = open(100_000, &store);
    assert_eq!(append(&session, &turns(0, 3)), (0..12).collect::<Vec<u64>>());
    assert_eq!(append(&session, &turns(3, 4)), (12..16).collect::<Vec<u64>>());
    let again = open(100_000, &store);
    assert_eq!(shown(&again), shown(&session));
    assert_eq!(shown(&again), talk::messages(&turns(0, 4)).to_json());
    assert_eq!(again.meter(), session.meter());
}

#[test]
fn a_compaction_is_seen_by_whoever_opens_it_again_and_can_be_taken_back() {
    let store = Memory::new();
    let session = open(4_000, &store);
    let model = Scripted::good();
    for n in 0..24 {
        append(&session, &turns(n, n + 1)[..1]);
        let prepared = block_on(session.prepare(Providers { summary: Some(&model), ..Providers::default() })).unwrap();
        assert!(prepared.report.after <= 4_000);
        assert_eq!(prepared.messages().unwrap().to_json(), shown(&session));
        let again = open(4_000, &store);
        assert_eq!(shown(&again), shown(&session), "turn {n}");
        append(&session, &turns(n, n + 1)[1..]);
    }
    let infos = block_on(session.compactions()).unwrap();
    assert!(infos.len() >= 3, "{infos:#?}");
    assert!(infos.iter().all(|info| info.in_force));
    assert!(infos.iter().any(|info| info.summary.is_some()));
    // All of them back, one by one: then everything is there again.
    for left in (0..infos.len()).rev() {
        assert_eq!(block_on(session.undo(None)).unwrap(), [left as u64]);
        assert_eq!(shown(&open(4_000, &store)), shown(&session));
    }
    assert_eq!(shown(&session), talk::messages(&turns(0, 24)).to_json());
    assert!(matches!(block_on(session.undo(None)), Err(Error::CannotUndo { .. })));
}

// -------------------------------------------------------------------------------------------------- branches and arrays

#[test]
fn a_branch_goes_on_from_an_earlier_message_and_the_old_one_can_be_gone_back_to() {
    let store = Memory::new();
    let session = open(100_000, &store);
    append(&session, &turns(0, 3));
    block_on(session.branch(3)).unwrap();
    assert_eq!(shown(&session), talk::messages(&turns(0, 1)).to_json());
    assert_eq!(append(&session, &turns(7, 8)), [12, 13, 14, 15]);
    let both = [turns(0, 1), turns(7, 8)].concat();
    assert_eq!(shown(&session), talk::messages(&both).to_json());
    assert_eq!(shown(&open(100_000, &store)), shown(&session));
    block_on(session.branch(11)).unwrap();
    assert_eq!(shown(&session), talk::messages(&turns(0, 3)).to_json());
    assert!(matches!(block_on(session.branch(16)), Err(Error::InvalidOption { .. })));
}

#[test]
fn an_array_of_the_host_is_brought_in_with_as_little_as_it_takes() {
    let store = Memory::new();
    let session = open(100_000, &store);
    let sync = |raws: &[String]| block_on(session.sync(&talk::messages(raws))).unwrap();
    let first = turns(0, 2);
    assert_eq!(sync(&first).appended, (0..8).collect::<Vec<u64>>());
    assert_eq!(sync(&first), Default::default());
    // The model goes on writing its last message, then there is another one.
    let mut growing = first.clone();
    growing.push(talk::assistant("Let me"));
    assert_eq!(sync(&growing).appended, [8]);
    growing[8] = talk::assistant("Let me think.");
    let grown = sync(&growing);
    assert_eq!((grown.grown, grown.appended.len(), grown.replaced.len()), (Some(8), 0, 0));
    growing[8] = talk::assistant("Let me think. Done.");
    growing.push(talk::user("Thanks"));
    let grown = sync(&growing);
    assert_eq!((grown.grown, grown.appended), (Some(8), vec![9]));
    assert_eq!(shown(&session), talk::messages(&growing).to_json());
    assert_eq!(shown(&open(100_000, &store)), shown(&session));
    // Another answer to the second question.
    let mut other = growing[..5].to_vec();
    other.push(talk::assistant("Something else"));
    let branched = sync(&other);
    assert_eq!(branched.branched_at, Some(Some(4)));
    assert_eq!(branched.replaced, [5, 6, 7, 8, 9]);
    assert_eq!(branched.appended, [10]);
    assert_eq!(shown(&session), talk::messages(&other).to_json());
    // All of it is still there.
    block_on(session.branch(9)).unwrap();
    assert_eq!(shown(&session), talk::messages(&growing).to_json());
    // Only the beginning.
    let cut = sync(&growing[..4]);
    assert_eq!((cut.branched_at, cut.appended.len(), cut.replaced.len()), (Some(Some(3)), 0, 6));
    assert_eq!(shown(&session), talk::messages(&growing[..4]).to_json());
    assert_eq!(shown(&open(100_000, &store)), shown(&session));
}

#[test]
fn an_array_that_was_compacted_is_still_recognised() {
    let store = Memory::new();
    let session = open(3_000, &store);
    let mut host = Vec::new();
    for n in 0..12 {
        host.extend_from_slice(&turns(n, n + 1)[..1]);
        block_on(session.sync(&talk::messages(&host))).unwrap();
        block_on(session.prepare(Providers::default())).unwrap();
        host.extend_from_slice(&turns(n, n + 1)[1..]);
    }
    assert!(!block_on(session.compactions()).unwrap().is_empty());
    let synced = block_on(session.sync(&talk::messages(&host))).unwrap();
    assert_eq!(synced.appended.len(), 3);
    let again = open(3_000, &store);
    assert_eq!(block_on(again.sync(&talk::messages(&host))).unwrap(), Default::default());
    // An edit far back, in what is hidden.
    let mut edited = host[..5].to_vec();
    edited[4] = talk::user("Something quite different");
    let synced = block_on(again.sync(&talk::messages(&edited))).unwrap();
    assert_eq!(synced.branched_at, Some(Some(3)));
    assert_eq!(shown(&again), talk::messages(&edited).to_json());
}

// ---------------------------------------------------------------------------------------------------- what is not shown

fn small() -> SessionOptions {
    let mut options = options(3_000);
    options.overflow = Some(Overflow { threshold: 3_000, keep: 800 });
    options.conversation.policy.recall_declared = true;
    options
}

fn with_result(n: usize, size: usize) -> Vec<String> {
    let text =
        format!("{} the needle is zebra{n} {}", talk::words(&format!("before{n}"), size), talk::words("after", size));
    let [calls, result] = talk::unit(&format!("call_{n}"), &text);
    vec![talk::user(&format!("question {n}")), calls, result, talk::assistant(&format!("answer {n}"))]
}

#[test]
fn a_large_result_is_kept_whole_and_shown_shortened() {
    let store = Memory::new();
    let session = open_with(small(), &store);
    let raws = with_result(1, 2_000);
    append(&session, &raws);
    let view = session.view().unwrap();
    let result = view.get(2).unwrap();
    assert!(result.len() < 3_200 && result.contains("recall") && result.contains(r#"id \"2\""#), "{result}");
    assert!(!result.contains("needle"));
    let history = block_on(session.history(None, None, 10)).unwrap();
    assert_eq!(history[2].text, raws[2]);
    assert_eq!(history[2].visibility, Visibility::Edited);
    assert_eq!(history[1].visibility, Visibility::Shown);
    let again = open_with(small(), &store);
    assert_eq!(shown(&again), shown(&session));
    assert_eq!(block_on(again.recall(2)).unwrap().text, raws[2]);
    let answer = block_on(again.answer_recall(r#"{"query":"needle"}"#, 5_000)).unwrap();
    assert!(answer.contains("the needle is zebra1"), "{answer}");
    // An answer keeps below what would be shortened in its turn, and says how to go on.
    let answer = block_on(again.answer_recall(r#"{"id":"2"}"#, 100_000)).unwrap();
    assert!(answer.chars().count() <= 3_000 && answer.contains("There is more"), "{answer}");
    let answer = block_on(again.answer_recall(r#"{"id":"2","from":21000}"#, 100_000)).unwrap();
    assert!(answer.contains("the needle is zebra1"), "{answer}");
    let items = again.view_without(&|_| false).unwrap();
    assert_eq!(items.iter().map(|item| item.is_whole).collect::<Vec<_>>(), [true, true, false, true]);
}

#[test]
fn what_is_hidden_is_found_by_what_it_says() {
    let store = Memory::new();
    let session = open_with(SessionOptions { overflow: None, ..small() }, &store);
    for n in 0..20 {
        append(&session, &with_result(n, 200)[..1]);
        block_on(session.prepare(Providers::default())).unwrap();
        append(&session, &with_result(n, 200)[1..]);
    }
    assert!(!block_on(session.compactions()).unwrap().is_empty());
    let found = block_on(session.search("where is zebra3", 3)).unwrap();
    assert_eq!(found[0].entry.id, 14, "{found:#?}");
    assert_ne!(found[0].entry.visibility, Visibility::Shown);
    assert!(found[0].excerpt.contains("the needle is zebra3"));
}

#[test]
fn the_whole_of_old_results_is_let_go_of_but_not_while_the_view_shows_them() {
    let store = Memory::new();
    let retention = Some(Retention { max_age_ms: None, max_bytes: Some(60_000) });
    let mut options = SessionOptions { retention, ..small() };
    options.conversation.budget = talk::window(1_200);
    let session = open_with(options, &store);
    let mut ids = Vec::new();
    for n in 0..60 {
        append(&session, &with_result(n, 1_000)[..1]);
        block_on(session.prepare(Providers::default())).unwrap();
        ids.push(append(&session, &with_result(n, 1_000)[1..])[1]);
    }
    let entries: Vec<_> = ids.iter().map(|id| block_on(session.recall(*id)).unwrap()).collect();
    let gone = entries.iter().filter(|entry| entry.is_shortened).count();
    assert!(gone > 5, "{gone} are gone");
    assert!(entries.iter().filter(|entry| entry.is_shortened).all(|entry| entry.visibility == Visibility::Hidden));
    assert!(!entries.last().unwrap().is_shortened);
    let bytes: usize = entries.iter().filter(|entry| !entry.is_shortened).map(|entry| entry.text.len()).sum();
    assert!(bytes <= 60_000 + 20_000, "{bytes}");
    // Compactions can be taken back all the same.
    for _ in block_on(session.compactions()).unwrap() {
        block_on(session.undo(None)).unwrap();
    }
    assert_eq!(session.meter().hidden, 0);
}

// ------------------------------------------------------------------------------------------------------------- together

#[test]
fn two_sessions_on_one_conversation_see_each_others_messages() {
    let store = Memory::new();
    let (a, b) = (open(100_000, &store), open(100_000, &store));
    let mut all = Vec::new();
    for n in 0..6 {
        let session = if n % 2 == 0 { &a } else { &b };
        append(session, &turns(n, n + 1));
        all.extend(turns(n, n + 1));
    }
    assert!(block_on(a.refresh()).unwrap());
    assert_eq!(shown(&a), talk::messages(&all).to_json());
    assert_eq!(shown(&b), shown(&a));
}

#[test]
fn a_compaction_of_another_session_is_taken_over() {
    let store = Memory::new();
    let (a, b) = (open(4_000, &store), open(4_000, &store));
    append(&a, &turns(0, 12));
    let prepared = block_on(a.prepare(Providers::default())).unwrap();
    assert!(prepared.compaction.is_some());
    append(&b, &[talk::user("And now?")]);
    assert_eq!(block_on(b.prepare(Providers::default())).unwrap().compaction, None, "there is nothing left to do");
    block_on(a.refresh()).unwrap();
    assert_eq!(shown(&a), shown(&b));
}

#[test]
fn a_summary_is_written_behind_a_view_that_is_sent_at_once() {
    let store = Memory::new();
    let session = open(4_000, &store);
    append(&session, &turns(0, 14));
    let now = block_on(session.prepare_now()).unwrap();
    assert!(now.behind && now.compaction.is_none());
    assert!(now.report.after <= 4_000);
    assert_eq!(open(4_000, &store).meter().hidden, 0, "nothing is written down");
    // It goes on from there meanwhile, without another change of what was sent.
    append(&session, &turns(14, 15)[..1]);
    let next = block_on(session.prepare_now()).unwrap();
    let (now, next) = (now.messages().unwrap(), next.messages().unwrap());
    assert!(now.iter().eq(next.iter().take(now.len())));
    let model = Scripted::good();
    let behind = block_on(session.prepare(Providers { summary: Some(&model), ..Providers::default() })).unwrap();
    assert!(behind.compaction.is_some() && model.calls() > 0);
    assert_eq!(shown(&session), behind.messages().unwrap().to_json());
    assert_eq!(shown(&open(4_000, &store)), shown(&session));
}

#[test]
fn a_provider_that_counts_more_than_we_do_lowers_the_limit() {
    let store = Memory::new();
    let session = open(10_000, &store);
    append(&session, &turns(0, 2));
    let sent = block_on(session.prepare(Providers::default())).unwrap().report.after;
    block_on(session.report_usage(SessionUsage { input_tokens: sent * 5 / 4 })).unwrap();
    assert!((7_990..=8_010).contains(&session.meter().limit), "{}", session.meter().limit);
    append(&session, &turns(2, 3));
    assert_eq!(open(10_000, &store).meter().limit, session.meter().limit, "it is remembered");
    let sent = block_on(session.prepare(Providers::default())).unwrap().report.after;
    block_on(session.report_usage(SessionUsage { input_tokens: sent / 2 })).unwrap();
    assert_eq!(session.meter().limit, 10_000);
    block_on(session.report_usage(SessionUsage { input_tokens: sent * 100 })).unwrap();
    assert_eq!(session.meter().limit, 10_000, "that cannot be of the same view");
}

#[test]
fn a_plan_is_carried_out_only_on_what_it_was_made_from() {
    let store = Memory::new();
    let session = open(100_000, &store);
    append(&session, &turns(0, 6));
    let plan = block_on(session.plan(Providers::default())).unwrap();
    assert_eq!(session.meter().hidden, 0);
    let before = session.meter().tokens;
    let applied = block_on(session.apply(&plan)).unwrap();
    assert!(applied.compaction.is_some() && session.meter().tokens < before);
    assert_eq!(session.meter().tokens, plan.report.after);
    assert!(matches!(block_on(session.apply(&plan)), Err(Error::StalePlan)));
    let plan = block_on(session.plan(Providers::default())).unwrap();
    append(&session, &turns(6, 7));
    assert!(matches!(block_on(session.apply(&plan)), Err(Error::StalePlan)));
}

#[test]
fn a_pinned_message_stays() {
    let store = Memory::new();
    let session = open(4_000, &store);
    append(&session, &turns(0, 3));
    block_on(session.pin(4)).unwrap();
    for n in 3..16 {
        append(&session, &turns(n, n + 1)[..1]);
        block_on(session.prepare(Providers::default())).unwrap();
        append(&session, &turns(n, n + 1)[1..]);
    }
    assert!(session.meter().hidden > 10);
    let again = open(4_000, &store);
    assert!(again.view_without(&|_| false).unwrap().iter().any(|item| item.entry == Some(4) && item.is_whole));
    assert!(block_on(again.history(Some(3), None, 1)).unwrap()[0].is_pinned);
    block_on(again.unpin(4)).unwrap();
    assert!(!block_on(again.history(Some(3), None, 1)).unwrap()[0].is_pinned);
    assert!(matches!(block_on(again.pin(9_999)), Err(Error::InvalidOption { .. })));
}

#[test]
fn a_conversation_is_the_same_after_a_journey_through_a_file() {
    let store = Memory::new();
    let session = open_with(small(), &store);
    for n in 0..8 {
        append(&session, &with_result(n, 700)[..1]);
        block_on(session.prepare(Providers::default())).unwrap();
        append(&session, &with_result(n, 700)[1..]);
    }
    block_on(session.pin(0)).unwrap();
    let file = block_on(session.export()).unwrap();
    let elsewhere = Memory::new();
    let target: Rc<dyn Store> = Rc::new(elsewhere.clone());
    block_on(import(&file, "talk", &target, 1.0)).unwrap();
    let there = open_with(small(), &elsewhere);
    assert_eq!(shown(&there), shown(&session));
    assert_eq!(block_on(there.history(None, None, 100)).unwrap(), block_on(session.history(None, None, 100)).unwrap());
    assert_eq!(block_on(there.export()).unwrap(), file);
    assert!(matches!(block_on(import(&file, "talk", &target, 1.0)), Err(Error::InvalidOption { .. })), "it is taken");
    let cut = file.lines().take(5).collect::<Vec<_>>().join("\n");
    let error = block_on(import(&cut, "other", &target, 1.0)).unwrap_err();
    assert_eq!(error.code(), "invalid_input");
    assert!(error.to_string().contains("promises"), "{error}");
}

#[test]
fn nothing_is_left_of_a_conversation_that_was_deleted() {
    let store = Memory::new();
    let session = open(4_000, &store);
    append(&session, &turns(0, 12));
    block_on(session.prepare(Providers::default())).unwrap();
    let other = open(4_000, &store);
    block_on(session.delete()).unwrap();
    assert!(matches!(block_on(session.append(&talk::messages(&turns(0, 1)))), Err(Error::Closed)));
    let error = block_on(other.append(&talk::messages(&turns(0, 1)))).unwrap_err();
    assert_eq!(error.code(), "store_evicted");
    assert_eq!(shown(&open(4_000, &store)), "[]");
}

#[test]
fn a_message_that_is_edited_again_is_stored_with_its_last_edit_alone() {
    let store = Memory::new();
    let session = open(3_000, &store);
    append(&session, &with_result(0, 1_500)[..3]);
    block_on(session.prepare(Providers::default())).unwrap();
    for n in 0..4 {
        append(&session, &[talk::assistant(&format!("done {n}")), talk::user(&talk::words(&format!("next{n}"), 60))]);
    }
    block_on(session.prepare(Providers::default())).unwrap();
    let edited = block_on(session.compactions()).unwrap().iter().filter(|made| made.edited.contains(&2)).count();
    assert!(edited >= 2, "it is edited twice: {:#?}", block_on(session.compactions()).unwrap());
    let file = block_on(session.export()).unwrap();
    let last = file.lines().rfind(|line| line.contains(r#""kind":"compaction""#)).unwrap();
    assert_eq!(last.matches(r#""path":["content"]"#).count(), 1, "{last}");
    assert_eq!(shown(&open(3_000, &store)), shown(&session));
}

#[test]
fn whoever_is_told_that_something_is_done_is_told_when_it_is_over() {
    let store: Rc<dyn Store> = Rc::new(Memory::new());
    let host = Rc::new(Host::default());
    let session = block_on(Session::open(options(4_000), store, Rc::new(Heuristic), host.clone())).unwrap();
    // Above the soft threshold, and nothing that could be pruned: a step that comes to nothing.
    append(&session, &[talk::user(&talk::words("question", 1_700))]);
    let prepared = block_on(session.prepare(Providers::default())).unwrap();
    assert!(prepared.compaction.is_none() && prepared.report.after > 2_400, "{:?}", prepared.report);
    let said = |event: &SessionEvent| matches!(event, SessionEvent::Status { status } if *status != Status::Idle);
    let idle = |event: &SessionEvent| matches!(event, SessionEvent::Status { status: Status::Idle });
    let events = host.events.borrow();
    assert!(events.iter().any(said));
    assert!(events.last().is_some_and(idle), "{events:?}");
}
