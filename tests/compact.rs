//! Compaction with a model, on a real coding session: what a user of the crate does first.
#![cfg(not(target_family = "wasm"))]
#![allow(
    clippy::all,
    clippy::pedantic,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail loudly"
)]

mod common;

use common::scripted::{Scripted, block_on};
use epitome::{
    Budget, CompactOptions, Conversation, ConversationOptions, Heuristic, Messages, Providers, Status, Tier, compact,
    count_messages, fit, undo,
};

fn coding() -> Messages {
    Messages::from_json(include_str!("data/coding-agent.json")).unwrap()
}

#[test]
fn a_model_writes_the_summary_and_all_can_be_undone() {
    let model = Scripted::good();
    let messages = coding();
    let limit = count_messages(&messages, None, &Heuristic).unwrap() / 12;
    let options = CompactOptions::new(limit, Providers::all(&model));
    let fitted = block_on(compact(&messages, &options, &Heuristic)).unwrap();
    assert!(fitted.report.after <= limit && fitted.report.tier == Tier::Hard);
    assert!(fitted.messages.to_json().contains("1. User Intent: note"));
    assert!(fitted.report.warnings.is_empty(), "{:?}", fitted.report.warnings);
    assert_eq!(undo(&fitted.messages, &fitted.patch, &messages).unwrap(), messages);
}

#[test]
fn without_a_model_compacting_is_fitting() {
    let messages = coding();
    let options = CompactOptions::new(4_000, Providers::default());
    let compacted = block_on(compact(&messages, &options, &Heuristic)).unwrap();
    assert_eq!(compacted.messages, fit(&messages, &options.fit).unwrap().messages);
}

#[test]
fn a_conversation_keeps_itself_within_its_window_turn_by_turn() {
    let model = Scripted::good();
    let messages = coding();
    let options = ConversationOptions::new(Budget::Window { window: 12_000, reserve: None, overhead: 0 });
    let mut talk = Conversation::new(options, &Heuristic).unwrap();
    let mut seen = Vec::new();
    for text in messages.iter() {
        let mut one = Messages::default();
        one.push_json(text).unwrap();
        talk.append(&one).unwrap();
        let done = block_on(talk.turn(Providers::all(&model))).unwrap();
        assert!(talk.tokens() <= talk.limit());
        assert_eq!(count_messages(&talk.view().unwrap(), None, &Heuristic).unwrap(), talk.tokens());
        seen.extend(done.events);
    }
    assert_eq!(talk.messages(), &messages);
    assert!(seen.contains(&Status::Compacting) && seen.contains(&Status::SoftCompacting), "{seen:?}");
    let counters = &talk.state().guards.counters;
    assert_eq!(counters.provider_calls, model.calls() as u64);
    assert!(counters.compaction_hard_count > 0 && counters.tool_output_prunes > 0, "{counters:?}");
}

#[test]
fn what_a_host_takes_out_never_leaves() {
    let model = Scripted::good();
    let messages = coding();
    let limit = count_messages(&messages, None, &Heuristic).unwrap() / 12;
    let words = |text: &str| text.replace("cobra", "[FRAMEWORK]");
    let plain = CompactOptions::new(limit, Providers::all(&model));
    block_on(compact(&messages, &plain, &Heuristic)).unwrap();
    let sent = |model: &Scripted, what: &str| {
        model.requests.borrow().iter().filter(|request| request.messages[0].content.contains(what)).count()
    };
    assert!(sent(&model, "cobra") > 0 && sent(&model, "watch.go") > 0);
    let model = Scripted::good();
    let mut options = CompactOptions::new(limit, Providers { redact: Some(&words), ..Providers::all(&model) });
    options.fit.policy.redact.literals = vec!["watch.go".to_owned()];
    let fitted = block_on(compact(&messages, &options, &Heuristic)).unwrap();
    assert!(model.calls() > 0 && sent(&model, "[FRAMEWORK]") > 0);
    assert_eq!((sent(&model, "cobra"), sent(&model, "watch.go")), (0, 0));
    // What is stored stays as it was.
    assert_eq!(undo(&fitted.messages, &fitted.patch, &messages).unwrap(), messages);
}
