//! Labels: what the placeholders of a history say about the way back.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail loudly")]

use super::Ladder;
use crate::format::Format;
use crate::message::Message;
use crate::policy::Policy;
use crate::prune::Aim;
use crate::prune::subgoal::Subgoals;
use crate::transcript::{Standing, Transcript};

fn counter(text: &str) -> u32 {
    u32::try_from(text.split_ascii_whitespace().count()).unwrap()
}

/// A question, three calls with results of a hundred words, a question.
fn messages() -> Vec<Message<'static>> {
    let mut raws = vec![r#"{"role":"user","content":"begin"}"#.to_owned()];
    for id in ["a", "b", "c"] {
        let call = format!(r#"{{"id":"{id}","type":"function","function":{{"name":"read","arguments":"{{}}"}}}}"#);
        raws.push(format!(r#"{{"role":"assistant","tool_calls":[{call}]}}"#));
        let words = format!("word{id} ").repeat(100);
        raws.push(format!(r#"{{"role":"tool","tool_call_id":"{id}","content":"{words}"}}"#));
    }
    raws.push(r#"{"role":"user","content":"go on"}"#.to_owned());
    let parsed = |(at, raw): (usize, &String)| {
        let value = crate::json::parse(raw, Some(at)).unwrap();
        Format::OpenAiChat.rules().parse(at, value).unwrap().into_owned()
    };
    raws.iter().enumerate().map(parsed).collect()
}

/// The results of a history with these labels after pruning all of them.
fn pruned(messages: Vec<Message<'static>>, declared: bool, labels: &[u64]) -> Vec<Message<'static>> {
    let transcript = Transcript::new(Format::OpenAiChat, messages, &counter, &[]);
    let policy =
        Policy { preserve_tail_messages: 0, protect_tail_tokens: 0, recall_declared: declared, ..Policy::default() };
    let standing = Standing::new(&transcript, 0);
    let mut ladder = Ladder::new(&transcript, standing, &counter, &policy, &[], 1_000);
    ladder.labels = labels;
    let subgoals = Subgoals::default();
    ladder.prune(0, &Aim { goal: None, subgoals: &subgoals, messages: transcript.sources });
    (0..transcript.slots.len()).filter_map(|at| ladder.standing.message(&transcript, at).cloned()).collect()
}

fn results(messages: &[Message<'_>]) -> Vec<String> {
    [2, 4, 6].map(|at| messages[at].texts().collect::<String>()).to_vec()
}

#[test]
fn a_placeholder_names_the_label_of_its_message_where_there_is_one() {
    let bare = "[tool result of 100 tokens pruned]";
    let redeemable = |id: u64| format!("[tool result of 100 tokens pruned; recall \"{id}\" returns it]");
    let labels = [10, 11, 57, 13, 0, 15, 1_061];
    assert_eq!(results(&pruned(messages(), true, &labels)), [redeemable(57), bare.to_owned(), redeemable(1_061)]);
    // Unknown from here on.
    assert_eq!(results(&pruned(messages(), true, &labels[..3])), [&redeemable(57), bare, bare]);
    assert_eq!(results(&pruned(messages(), true, &[])), [bare; 3]);
    assert_eq!(results(&pruned(messages(), false, &labels)), [bare; 3]);
}

#[test]
fn what_was_pruned_with_a_label_is_not_pruned_again_with_another_or_none() {
    let labels: Vec<u64> = (50..58).collect();
    let once = pruned(messages(), true, &labels);
    for (declared, labels) in [(true, &labels[..]), (true, &[]), (true, &[1, 2, 3, 4, 5, 6, 7]), (false, &labels[..])] {
        assert_eq!(pruned(once.clone(), declared, labels), once);
    }
}
