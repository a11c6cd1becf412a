//! zeph's vectors (tests/vectors/zeph.json) through the public API.
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

use common::scripted::{Reply, Scripted, block_on, note};
use epitome::{
    Allocation, AllocationOptions, Budget, Conversation, ConversationOptions, Counters, Edit, Error, ErrorClass,
    GuidelinesPolicy, Phase, Policy, Proactive, Providers, Purpose, Redaction, State, Status, Strategy, count_messages,
    repair,
};
use serde_json::Value;
use talk::*;

fn vectors() -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/zeph.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// The rows of a table; a table without rows would prove nothing.
fn rows(table: &str) -> Vec<Value> {
    let rows = vectors()[table].as_array().unwrap_or_else(|| panic!("no table {table}")).clone();
    assert!(!rows.is_empty());
    rows
}

fn number(row: &Value, field: &str) -> u64 {
    row[field].as_u64().unwrap_or_else(|| panic!("no number {field} in {row}"))
}

fn text<'r>(row: &'r Value, field: &str) -> &'r str {
    row[field].as_str().unwrap_or_else(|| panic!("no text {field} in {row}"))
}

fn indices(row: &Value, field: &str) -> Vec<usize> {
    row[field].as_array().map(|all| all.iter().map(|one| one.as_u64().unwrap() as usize).collect()).unwrap_or_default()
}

fn phase(value: &Value) -> Phase {
    serde_json::from_value(value.clone()).unwrap()
}

/// A question, a long answer, a question: `tokens` together.
fn answer_of(tokens: u64) -> Vec<String> {
    let rest = tokens.checked_sub(5 + 4 + 6).expect("room for three messages");
    vec![user("start"), assistant(&"word ".repeat(rest as usize)), user("go on")]
}

/// The same with many answers of a thousand words, so that some can be hidden behind a summary.
fn answers_of(tokens: u64) -> Vec<String> {
    let mut raws = vec![user("start")];
    let mut rest = tokens - 5 - 6;
    while rest > 0 {
        let size = rest.min(1_004).max(5);
        raws.push(assistant(&words("answer", size as usize - 4)));
        rest -= size;
    }
    raws.push(user("go on"));
    raws
}

/// Units of one call and one result each, with a question at the end. A unit is `10 + 4 + tokens`.
fn units(count: usize, tokens: usize) -> Vec<String> {
    let mut raws = vec![system("be brief")];
    for at in 0..count {
        raws.extend(unit(&format!("call_{at}"), &words(&format!("unit{}", char::from(b'a' + at as u8)), tokens)));
    }
    raws.push(user("go on"));
    raws
}

/// The source index of the result of the unit.
fn result_of(unit: usize) -> usize {
    2 * unit + 2
}

// ------------------------------------------------------------------------------------------------------ the table itself

#[test]
fn every_row_has_a_section_and_every_difference_a_reason() {
    let mut count = 0;
    for (table, value) in vectors().as_object().unwrap() {
        let rows = match value {
            Value::Array(rows) => rows.clone(),
            Value::Object(_) => vec![value.clone()],
            _ => continue,
        };
        for row in rows {
            count += 1;
            assert!(text(&row, "section").starts_with("12."), "{table}: {row}");
            if !row["zeph"].is_null() {
                assert!(text(&row, "why").len() > 10, "{table}: {row}");
            }
        }
    }
    println!("{count} rows");
    assert!(count > 150);
}

#[test]
fn rows_of_internal_functions_name_a_test_that_exists() {
    for row in rows("units") {
        let (file, name) = text(&row, "by").split_once(' ').unwrap();
        let source = std::fs::read_to_string(format!("{}/{file}", env!("CARGO_MANIFEST_DIR"))).unwrap();
        assert!(
            source.contains(&format!("#[test]\n    fn {name}()")) || source.contains(&format!("#[test]\nfn {name}()")),
            "{row}"
        );
    }
}

// ----------------------------------------------------------------------------------------------------------------- 12.1

#[test]
fn messages_cost_what_the_table_says() {
    for row in rows("sizes") {
        let message = messages(&[row["message"].to_string()]);
        assert_eq!(count_messages(&message, None, &per_word).unwrap(), number(&row, "ours"), "{}", row["name"]);
    }
}

// ----------------------------------------------------------------------------------------------------------------- 12.2

#[test]
fn tiers_begin_strictly_above_their_thresholds() {
    for row in rows("tiers") {
        let (limit, tokens) = (number(&row, "limit"), number(&row, "tokens"));
        let (soft, hard) = (row["soft"].as_f64().unwrap(), row["hard"].as_f64().unwrap());
        let low = soft.min(0.5);
        let policy = Policy { soft, hard, soft_target: low, hard_target: low, ..bare() };
        // Twice: as words of messages, where they are not too many, and beside them.
        let small = answer_of(60);
        let mut ways = vec![];
        if tokens <= 1_000_000 {
            ways.push((answer_of(tokens), 0));
        }
        if tokens > 60 {
            ways.push((small, tokens - 60));
        }
        for (raws, overhead) in ways {
            let options = ConversationOptions { overhead, ..with_policy(limit, policy.clone()) };
            let mut talk = talk(options, &raws);
            assert_eq!(talk.tokens(), tokens);
            let done = block_on(talk.compact_if_needed(Providers::default())).unwrap();
            sound_beside(&talk, overhead);
            assert_eq!(tier(&done), text(&row, "tier"), "{row} {overhead}");
        }
    }
}

#[test]
fn thresholds_are_shares_of_the_limit() {
    for row in rows("windows") {
        for (field, tiers) in [(0, ["none", "soft"]), (1, ["soft", "hard"])] {
            let at = row["ours"][field].as_u64().unwrap();
            for (more, expected) in tiers.iter().enumerate() {
                let budget = Budget::Window { window: number(&row, "window"), reserve: None, overhead: 0 };
                let mut talk = talk(ConversationOptions::new(budget), &answer_of(at + more as u64));
                let done = block_on(talk.compact_if_needed(Providers::default())).unwrap();
                assert_eq!(tier(&done), *expected, "{row}");
            }
        }
    }
}

#[test]
fn a_conversation_without_a_budget_cannot_be_had() {
    // zeph compacts nothing then; here a number of tokens is part of the question.
    for budget in [Budget::Limit(0), window(0)] {
        let error = Conversation::new(ConversationOptions::new(budget), &per_word).err().unwrap();
        assert_eq!(error.code(), "invalid_option");
    }
}

#[test]
fn proactive_compression_fires_strictly_above_its_threshold() {
    for row in rows("proactive") {
        let mut policy = bare();
        policy.proactive = row["threshold"]
            .as_u64()
            .map(|threshold_tokens| Proactive { threshold_tokens, max_summary_tokens: number(&row, "max") });
        let mut state = State::default();
        if row["compacted"] == true {
            state.guards.phase = Phase::Compacted { cooldown: 0 };
        }
        let raws = answers_of(number(&row, "tokens"));
        let mut talk = Conversation::restore(with_policy(400_000, policy), &per_word, messages(&raws), state).unwrap();
        let model = Scripted::good();
        let done = block_on(talk.compress_proactively(Providers::all(&model))).unwrap();
        let fires = row["fires"] == true;
        assert_eq!(done.events.first() == Some(&Status::Compressing), fires, "{row}");
        assert_eq!(talk.state().guards.counters.compression_events, u64::from(fires), "{row}");
        assert_eq!(talk.state().guards.is_compacted_this_turn(), fires || row["compacted"] == true, "{row}");
        assert_eq!(model.calls() > 0, fires, "{row}");
    }
}

#[test]
fn what_a_window_leaves_is_divided_as_zeph_does() {
    for row in rows("allocation") {
        let given = &row["options"];
        let options = AllocationOptions {
            reserve_percent: number(given, "reserve"),
            prompts: number(given, "prompts"),
            digest: number(given, "digest"),
            graph: given["graph"] == true,
            memory_first: given["memoryFirst"] == true,
        };
        let all = Allocation::of(number(&row, "window"), options);
        let slots = [
            all.summaries,
            all.semantic_recall,
            all.cross_session,
            all.code_context,
            all.graph_facts,
            all.recent_history,
        ];
        assert_eq!(all.response_reserve, number(&row, "reserve"), "{row}");
        assert_eq!(slots.map(|slot| slot as usize).to_vec(), indices(&row, "slots"), "{row}");
    }
}

#[test]
fn defaults_are_zephs() {
    let policy = serde_json::to_value(Policy::default()).unwrap();
    for (name, expected) in vectors()["defaults"].as_object().unwrap() {
        if name != "section" {
            assert_eq!(&policy[name], expected, "{name}");
        }
    }
    let talk = talk(options(1_000), &answer_of(20));
    assert_eq!(talk.state(), &State::default());
    assert_eq!(talk.state().guards.phase, Phase::Ready);
}

#[test]
fn a_new_turn_moves_the_state_machine_as_zephs() {
    for row in rows("phases") {
        let mut state = State::default();
        state.guards.phase = phase(&row["before"]);
        assert_eq!(state.guards.is_compacted_this_turn(), row["compactedThisTurn"] == true, "{row}");
        let raws = answer_of(20);
        let mut talk = Conversation::restore(options(1_000), &per_word, messages(&raws), state.clone()).unwrap();
        talk.advance_turn();
        assert_eq!(talk.state().guards.phase, phase(&row["after"]), "{row}");
        state.guards.turns_since_hard = Some(3);
        state.guards.reset();
        assert_eq!((state.guards.phase, state.guards.turns_since_hard), (Phase::Ready, None));
    }
}

// ----------------------------------------------------------------------------------------------------------------- 12.4

/// The largest limit under which a view of this size is one token above the soft threshold.
fn barely_soft(tokens: u64) -> u64 {
    let at = |limit: u64| (limit as f64 * 0.6) as u64;
    (1..tokens * 2).rev().find(|limit| at(*limit) == tokens - 1).unwrap()
}

#[test]
fn results_are_pruned_in_the_order_that_zeph_prunes_them() {
    for row in rows("pruning") {
        let mut raws = vec![system("be brief")];
        for (at, body) in row["bodies"].as_array().unwrap().iter().enumerate() {
            let body = body[0].as_str().unwrap().repeat(body[1].as_u64().unwrap() as usize);
            raws.extend(unit(&format!("call_{at}"), &body));
        }
        raws.push(user("go on"));
        let tokens = count_messages(&messages(&raws), None, &per_word).unwrap();
        let limit = barely_soft(tokens);
        // Half a result has to go, so that one of them suffices.
        let soft_target = (tokens - number(&row, "smallest") / 2) as f64 / limit as f64;
        let policy = Policy {
            soft_target,
            preserve_tail_messages: row["tail"].as_u64().unwrap_or(0) as usize,
            strategy: row["strategy"].as_str().map_or(Strategy::OldestFirst, |name| Strategy::from_name(name).unwrap()),
            ..bare()
        };
        let goal = row["goal"].as_str().map(str::to_owned);
        let options = ConversationOptions { goal, ..with_policy(limit, policy) };
        let mut talk = talk(options, &raws);
        for unit in indices(&row, "pinned") {
            talk.pin(result_of(unit)).unwrap();
        }
        let done = turn_alone(&mut talk);
        assert_eq!(tier(&done), "soft", "{row}");
        let expected: Vec<usize> = indices(&row, "edited").into_iter().map(result_of).collect();
        assert_eq!(edited(&talk), expected, "{}", row["name"]);
        assert!(hidden(&talk).is_empty());
        assert_eq!(talk.state().guards.counters.tool_output_prunes, expected.len() as u64);
        assert_eq!(talk.tokens() < tokens, !expected.is_empty());
        assert!(!talk.state().guards.is_compacted_this_turn());
    }
}

#[test]
fn a_long_tool_loop_loses_its_oldest_results_first() {
    for row in rows("stale") {
        let (count, size) = (number(&row, "units") as usize, number(&row, "tokens") as usize);
        let mut raws = units(count, size);
        // Something that outweighs all of it, and that may not be edited.
        raws.insert(1, user(&words("pinned", 1_000)));
        let tokens = count_messages(&messages(&raws), None, &per_word).unwrap();
        let policy = Policy {
            tool_call_cutoff: number(&row, "cutoff") as usize,
            placeholder: "gone".into(),
            soft_target: 0.01,
            hard_target: 0.01,
            // The other rung is to find nothing: it would go on where this one ends.
            preserve_tail_messages: 100,
            tool_pair_share: 1.0,
            ..bare()
        };
        let mut talk = talk(with_policy(barely_soft(tokens), policy.clone()), &raws);
        talk.pin(1).unwrap();
        let model = Scripted::good();
        after_tools(&mut talk, &model);
        let all_but_tail = edited(&talk);
        assert!(all_but_tail.is_empty(), "the tail is protected: {all_but_tail:?}");
        let mut talk =
            self::talk(with_policy(barely_soft(tokens), Policy { preserve_tail_messages: 0, ..policy }), &raws);
        talk.pin(1).unwrap();
        let before = talk.tokens();
        after_tools(&mut talk, &model);
        let expected: Vec<usize> = indices(&row, "stale").into_iter().map(|unit| result_of(unit) + 1).collect();
        for index in expected {
            assert!(edited(&talk).contains(&index), "{row}: {:?}", edited(&talk));
        }
        assert!(talk.tokens() <= before);
        assert_eq!(model.calls(), 0);
    }
}

// ----------------------------------------------------------------------------------------------------------------- 12.6

#[test]
fn tool_units_beyond_the_cutoff_are_summarised_for_later() {
    for row in rows("toolPairs") {
        let (count, written) = (number(&row, "units") as usize, number(&row, "written"));
        let policy =
            Policy { tool_call_cutoff: number(&row, "cutoff") as usize, tool_pair_share: 0.0, ..Policy::default() };
        let mut talk = talk(with_policy(10_000, Policy { preserve_tail_messages: 0, ..policy }), &units(count, 100));
        let fails = row["fails"] == true;
        let model = Scripted::new(move |_, _| match fails {
            true => Reply::Error(ErrorClass::Unavailable),
            false => Reply::Text("It read a file of a hundred words.".into()),
        });
        let before = shown(&talk);
        block_on(talk.summarize_tool_pairs(Providers::all(&model))).unwrap();
        let counters = &talk.state().guards.counters;
        assert_eq!(counters.tool_pair_summaries, written, "{row}");
        assert_eq!(shown(&talk), before, "nothing changes yet");
        let requests = model.requests.borrow();
        assert!(requests.iter().all(|request| request.purpose == Purpose::ToolPair));
        for (at, request) in requests.iter().enumerate() {
            let mark = words(&format!("unit{}", char::from(b'a' + at as u8)), 1);
            assert!(prompt(request).contains(&mark), "the oldest first: {mark} in {row}");
        }
        drop(requests);
        // What has a summary is not counted again.
        block_on(talk.summarize_tool_pairs(Providers::all(&model))).unwrap();
        assert_eq!(talk.state().guards.counters.tool_pair_summaries, written, "{row}");
    }
}

/// A conversation of so many tokens in which so many summaries of tool units wait.
fn waiting(row: &Value) -> Conversation<'static> {
    let (count, cutoff) = (number(row, "waiting") as usize, number(row, "cutoff") as usize);
    let mut raws = units(cutoff + count, 100);
    let beside = number(row, "tokens") - count_messages(&messages(&raws), None, &per_word).unwrap();
    raws.insert(1, user(&"word ".repeat(beside as usize - 4)));
    let policy =
        Policy { soft: row["soft"].as_f64().unwrap(), tool_call_cutoff: cutoff, tool_pair_share: 0.0, ..bare() };
    let mut talk = talk(with_policy(number(row, "limit"), policy), &raws);
    assert_eq!(talk.tokens(), number(row, "tokens"));
    let model = Scripted::new(|_, _| Reply::Text("It read a file.".into()));
    block_on(talk.summarize_tool_pairs(Providers::all(&model))).unwrap();
    assert_eq!(talk.state().guards.counters.tool_pair_summaries, count as u64);
    talk
}

#[test]
fn waiting_summaries_are_put_in_place_under_pressure() {
    for row in rows("tierZero") {
        let mut talk = waiting(&row);
        let before = talk.tokens();
        talk.apply_tool_summaries().unwrap();
        sound(&talk);
        let applied = row["applied"] == true;
        let count = if applied { number(&row, "waiting") } else { 0 };
        assert_eq!(talk.state().guards.counters.tool_pairs_applied, count, "{row}");
        assert_eq!(summaries(&talk).len() as u64, count);
        assert_eq!(talk.tokens() < before, applied);
        assert!(!talk.state().guards.is_compacted_this_turn());
        // Each stands exactly where its unit stood, and for the unit alone.
        if applied {
            let expected: Vec<usize> = (0..count as usize).flat_map(|unit| [2 * unit + 2, 2 * unit + 3]).collect();
            assert_eq!(hidden(&talk), expected);
            for edit in edits(&talk) {
                if let Edit::Insert { covers, role, .. } = edit {
                    assert_eq!((covers, role.as_str()), (2, "user"));
                }
            }
        }
        // What was applied is not applied again; what was not still waits.
        assert!(talk.apply_tool_summaries().unwrap().report.is_none());
        assert_eq!(summaries(&talk).len() as u64, count);
    }
}

// ----------------------------------------------------------------------------------------------------------------- 12.7

/// A system message, a question, a number of answers of `tokens` words each (and some more), a question. In one run, so
/// that it takes one summary.
fn exchanges(count: usize, tokens: usize) -> Vec<String> {
    let mut raws = vec![system("be brief"), user("please begin")];
    for at in 0..count {
        raws.push(assistant(&format!("answer {at} {}", words(&format!("a{}", char::from(b'a' + at as u8)), tokens))));
    }
    raws.push(user("go on"));
    raws
}

#[test]
fn system_message_and_tail_are_preserved() {
    let raws = exchanges(8, 100);
    let policy = Policy { preserve_tail_messages: 2, protect_tail_tokens: 0, ..Policy::default() };
    let mut talk = talk(with_policy(900, policy), &raws);
    let model = Scripted::good();
    let done = turn(&mut talk, &model);
    assert_eq!(tier(&done), "hard");
    let view = view(&talk);
    assert_eq!(view[0].raw, raws[0]);
    let tail: Vec<&String> = view.iter().rev().take(2).map(|message| &message.raw).rev().collect();
    assert_eq!(tail, raws[raws.len() - 2..].iter().collect::<Vec<_>>());
    assert_eq!(
        summaries(&talk).len(),
        done.report.unwrap().edits.iter().filter(|edit| matches!(edit, Edit::Insert { .. })).count()
    );
    assert!(summaries(&talk).concat().contains("1. User Intent: note"));
    assert_eq!(talk.state().guards.counters.context_compactions, 1);
}

#[test]
fn too_few_messages_are_left_alone() {
    let mut talk = talk(options(10_000), &exchanges(1, 20));
    let model = Scripted::good();
    let done = turn(&mut talk, &model);
    assert!(done.report.is_none() && done.events.is_empty());
    assert_eq!(talk.state().guards.counters, Counters::default());
}

#[test]
fn pinned_messages_survive_in_their_place() {
    let raws = exchanges(8, 100);
    let mut talk = talk(with_policy(900, bare()), &raws);
    talk.pin(2).unwrap();
    talk.pin(5).unwrap();
    turn(&mut talk, &Scripted::good());
    let places: Vec<usize> =
        [2, 5].map(|at| view(&talk).iter().position(|message| message.raw == raws[at]).unwrap()).to_vec();
    assert!(places[0] < places[1]);
    assert!(!hidden(&talk).is_empty() && !hidden(&talk).contains(&2) && !hidden(&talk).contains(&5));
}

#[test]
fn pruning_that_suffices_asks_no_model_and_counts_as_the_compaction_of_the_turn() {
    let mut talk = talk(with_policy(700, bare()), &units(6, 100));
    let model = Scripted::good();
    let done = turn(&mut talk, &model);
    assert_eq!((tier(&done), model.calls()), ("hard", 0));
    assert_eq!(talk.state().guards.counters.context_compactions, 0);
    assert!(talk.state().guards.is_compacted_this_turn());
    assert!(hidden(&talk).is_empty() && !edited(&talk).is_empty());
}

#[test]
fn pruning_that_does_not_suffice_is_followed_by_a_summary() {
    let mut raws = units(2, 30);
    raws.splice(1..1, exchanges(8, 100).into_iter().skip(1).take(9));
    let mut talk = talk(with_policy(950, bare()), &raws);
    let model = Scripted::good();
    turn(&mut talk, &model);
    assert_eq!(talk.state().guards.counters.context_compactions, 1);
    assert!(model.calls() > 0);
}

#[test]
fn a_summarizer_that_finds_every_request_too_long_is_asked_five_times() {
    // Results that may not be pruned, so that they are what is summarised.
    let policy = Policy {
        protect_tools: vec!["read".into()],
        soft: 0.3,
        soft_target: 0.2,
        hard_target: 0.2,
        chunk_tokens: 100_000,
        oversize_tokens: 100_000,
        ..bare()
    };
    let mut raws = units(10, 150);
    raws.insert(1, user("please read ten files"));
    let mut talk = talk(with_policy(1_800, policy), &raws);
    let model = Scripted::new(|_, _| Reply::TooLong(None));
    let done = turn(&mut talk, &model);
    assert_eq!(tier(&done), "hard");
    let sizes: Vec<u32> = prompts(&model).iter().map(|prompt| per_word(prompt)).collect();
    assert_eq!(sizes.len(), 5, "{sizes:?}");
    assert!(sizes.windows(2).all(|pair| pair[1] < pair[0]), "{sizes:?}");
    // The one without a model stands.
    assert!(!summaries(&talk).is_empty());
    assert_eq!(talk.state().guards.counters.offline_fallbacks, 1);
    assert!(done.warnings.iter().any(|warning| warning.code == "provider_context_length"));
}

#[test]
fn another_failure_is_tried_once_more_and_stops_nothing() {
    // zeph returns the error and leaves the messages as they were, too large.
    for (class, calls) in [(ErrorClass::Unavailable, 2), (ErrorClass::Auth, 1)] {
        let mut talk = talk(with_policy(900, bare()), &exchanges(8, 100));
        let model = Scripted::new(move |_, _| Reply::Error(class));
        let done = turn(&mut talk, &model);
        assert_eq!(model.calls(), calls, "{class:?}");
        assert!(done.warnings.iter().any(|warning| warning.code == class.code()));
        assert_eq!(talk.state().guards.counters.context_compactions, 1);
        assert!(!summaries(&talk).is_empty());
    }
}

#[test]
fn two_turns_of_cooldown_follow_a_hard_compaction() {
    let raws = exchanges(8, 100);
    let mut state = State::default();
    state.guards.phase = Phase::Cooling { turns: 2 };
    let mut talk = Conversation::restore(with_policy(900, bare()), &per_word, messages(&raws), state).unwrap();
    let model = Scripted::good();
    let mut seen = Vec::new();
    for _ in 0..3 {
        turn(&mut talk, &model);
        seen.push((talk.state().guards.phase, talk.state().guards.counters.context_compactions, model.calls() > 0));
    }
    assert_eq!(
        seen,
        [
            (Phase::Cooling { turns: 1 }, 0, false),
            (Phase::Ready, 0, false),
            (Phase::Compacted { cooldown: 2 }, 1, true)
        ]
    );
    talk.advance_turn();
    assert_eq!(talk.state().guards.phase, Phase::Cooling { turns: 2 });
}

#[test]
fn what_cannot_gain_anything_is_exhausted_and_says_so_once() {
    // Two messages, both of them to be kept.
    let raws = vec![system(&words("sys", 900)), user(&words("ask", 40))];
    let mut talk = talk(options(1_000), &raws);
    let model = Scripted::good();
    let mut warned = 0;
    for _ in 0..4 {
        let done = turn(&mut talk, &model);
        warned += done.events.iter().filter(|event| **event == Status::Exhausted).count();
        assert_eq!(talk.state().guards.phase, Phase::Exhausted { limit: 1_000, messages: 2 });
    }
    assert_eq!((warned, model.calls()), (1, 0));
}

#[test]
fn only_pinned_messages_are_not_worth_a_model() {
    let raws = exchanges(4, 200);
    let mut talk = talk(with_policy(900, bare()), &raws);
    assert_eq!(talk.pin_where(|_, _| true), raws.len());
    let model = Scripted::good();
    turn(&mut talk, &model);
    assert_eq!(model.calls(), 0);
    assert!(matches!(talk.state().guards.phase, Phase::Exhausted { .. }));
}

#[test]
fn turns_between_hard_compactions_are_counted() {
    let mut talk = talk(with_policy(900, Policy { cooldown_turns: 0, ..bare() }), &exchanges(8, 100));
    let model = Scripted::good();
    turn(&mut talk, &model);
    for _ in 0..3 {
        append(&mut talk, &[assistant("yes"), user("and then")]);
        turn(&mut talk, &model);
    }
    append(&mut talk, &[assistant(&words("later", 600)), user("and now")]);
    turn(&mut talk, &model);
    let counters = &talk.state().guards.counters;
    // The pass that compacts counts itself, as in zeph.
    assert_eq!((counters.compaction_hard_count, counters.compaction_turns_after_hard.as_slice()), (2, [4].as_slice()));
    append(&mut talk, &[assistant(&words("again", 600)), user("and again")]);
    turn(&mut talk, &model);
    assert_eq!(talk.state().guards.counters.compaction_turns_after_hard, [4, 1]);
}

#[test]
fn turns_are_counted_while_nothing_more_can_be_gained() {
    let raws = vec![system(&words("sys", 900)), user(&words("ask", 40))];
    let mut state = State::default();
    state.guards.phase = Phase::Exhausted { limit: 1_000, messages: 2 };
    state.guards.turns_since_hard = Some(0);
    let mut talk = Conversation::restore(options(1_000), &per_word, messages(&raws), state).unwrap();
    turn_alone(&mut talk);
    assert_eq!(talk.state().guards.turns_since_hard, Some(1));
}

#[test]
fn a_provider_that_compacts_by_itself_is_waited_for() {
    for row in rows("server") {
        let mut raws = exchanges(0, 0);
        raws.insert(1, user("a long question"));
        let tokens = number(&row, "percent") * 20;
        let rest = tokens - count_messages(&messages(&raws), None, &per_word).unwrap();
        raws.insert(2, assistant(&"word ".repeat(rest as usize - 4)));
        let proactive = Some(Proactive { threshold_tokens: 1_000, max_summary_tokens: 128 });
        for policy in [bare(), Policy { proactive, hard: 0.4, soft: 0.4, soft_target: 0.3, hard_target: 0.3, ..bare() }]
        {
            let options = ConversationOptions { server_compaction: true, ..with_policy(2_000, policy) };
            let mut talk = talk(options, &raws);
            assert_eq!(talk.tokens(), tokens);
            let model = Scripted::good();
            turn(&mut talk, &model);
            assert_eq!(talk.patch().is_none(), row["left"] == true, "{row}");
            block_on(talk.soft_compact(Providers::all(&model))).unwrap();
            assert_eq!(talk.patch().is_none(), row["left"] == true, "{row}");
        }
    }
}

#[test]
fn within_a_turn_results_are_pruned_and_nothing_is_counted_as_a_compaction() {
    for row in rows("midIteration") {
        let mut raws = units(20, 1_000);
        let beside = number(&row, "tokens") - count_messages(&messages(&raws), None, &per_word).unwrap();
        raws.insert(1, assistant(&"word ".repeat(beside as usize - 4)));
        let mut state = State::default();
        if row["compacted"] == true {
            state.guards.phase = Phase::Compacted { cooldown: 2 };
        }
        let policy = Policy { tool_pair_share: 1.0, ..bare() };
        let mut talk =
            Conversation::restore(with_policy(100_000, policy), &per_word, messages(&raws), state.clone()).unwrap();
        let model = Scripted::good();
        after_tools(&mut talk, &model);
        let prunes = row["prunes"] == true;
        assert_eq!(!edited(&talk).is_empty(), prunes, "{row}");
        assert!(hidden(&talk).is_empty());
        let mut guards = talk.state().guards.clone();
        guards.counters = Counters::default();
        assert_eq!(guards, state.guards, "{row}");
        assert_eq!((model.calls(), talk.state().guards.counters.context_compactions), (0, 0));
    }
}

#[test]
fn a_refused_request_is_made_smaller_at_most_twice_in_a_turn() {
    let mut talk = talk(with_policy(4_000, bare()), &exchanges(10, 200));
    let model = Scripted::good();
    turn(&mut talk, &model);
    assert!(talk.patch().is_none());
    let mut sizes = vec![talk.tokens()];
    for takes in [Some(2_000), None] {
        let done = block_on(talk.overflowed(Providers::all(&model), takes)).unwrap();
        sound(&talk);
        assert!(done.is_some());
        sizes.push(talk.tokens());
    }
    assert!(sizes[1] <= 2_000 && sizes[2] < sizes[1], "{sizes:?}");
    let calls = model.calls();
    assert!(block_on(talk.overflowed(Providers::all(&model), None)).unwrap().is_none());
    assert_eq!(model.calls(), calls);
    // A new turn may again.
    talk.advance_turn();
    append(&mut talk, &[assistant(&words("more", 800)), user("go on")]);
    assert!(block_on(talk.overflowed(Providers::all(&model), Some(900))).unwrap().is_some());
}

#[test]
fn a_refused_request_that_cannot_be_made_smaller_is_not_sent_again() {
    let mut talk = talk(options(1_000), &[system(&words("sys", 300)), user(&words("ask", 40))]);
    let model = Scripted::good();
    assert!(block_on(talk.overflowed(Providers::all(&model), None)).unwrap().is_none());
    assert_eq!(model.calls(), 0);
}

#[test]
fn compacting_on_demand_does_not_wait_for_a_threshold() {
    // Half full: nothing would be done by itself.
    let mut talk = talk(with_policy(4_000, bare()), &exchanges(8, 200));
    let model = Scripted::good();
    turn(&mut talk, &model);
    assert!(talk.patch().is_none());
    let before = talk.tokens();
    assert!(before > 1_600 && before < 2_000, "{before}");
    let done = block_on(talk.compact_now(Providers::all(&model))).unwrap();
    sound(&talk);
    assert!(done.report.is_some() && talk.tokens() < before, "{before} -> {}", talk.tokens());
}

// ----------------------------------------------------------------------------------------------------------------- 12.8

#[test]
fn broken_histories_are_mended() {
    for row in rows("repairs") {
        let raws: Vec<String> = row["messages"].as_array().unwrap().iter().map(Value::to_string).collect();
        let (mended, repairs) = repair(&messages(&raws), None).unwrap();
        let roles: Vec<String> =
            common::message::Msg::all(mended.iter()).iter().map(|message| message.role()).collect();
        assert_eq!(
            roles,
            row["roles"].as_array().unwrap().iter().map(|role| role.as_str().unwrap()).collect::<Vec<_>>()
        );
        assert_eq!(repairs.len() as u64, number(&row, "repairs"), "{row}");
        if repairs.is_empty() {
            assert_eq!(mended.to_json(), messages(&raws).to_json());
        }
    }
}

#[test]
fn policies_are_checked() {
    for row in rows("policies") {
        let policy: Policy = serde_json::from_value(row["policy"].clone()).unwrap();
        let valid = row["valid"] == true;
        assert_eq!(policy.validate().is_ok(), valid, "{row}");
        assert_eq!(Conversation::new(with_policy(1_000, policy), &per_word).is_ok(), valid);
    }
}

#[test]
fn strategies_have_zephs_names() {
    for row in rows("strategies") {
        let strategy = Strategy::from_name(text(&row, "name"));
        assert_eq!(serde_json::to_value(strategy).unwrap(), row["strategy"], "{row}");
    }
}

#[test]
fn no_model_is_sent_a_secret() {
    for row in rows("redaction") {
        let mut policy = bare();
        policy.redact = Redaction { secrets: row["off"] != true, paths: row["paths"] == true, literals: Vec::new() };
        policy.tool_pair_share = 0.0;
        policy.tool_call_cutoff = 0;
        policy.strategy = Strategy::TaskAware;
        policy.protect_tools = vec!["write".into()];
        let secret = text(&row, "text");
        let mut raws = exchanges(12, 100);
        raws.insert(1, user(secret));
        raws.insert(2, assistant(secret));
        raws.insert(3, calls(&[("x", "read", &serde_json::json!({ "text": secret }).to_string())]));
        raws.insert(4, result("x", &format!("{secret}\n{}", words("file", 100))));
        raws.push(user(secret));
        let mut talk = talk(with_policy(1_200, policy), &raws);
        let model = Scripted::good();
        block_on(talk.summarize_tool_pairs(Providers::all(&model))).unwrap();
        turn(&mut talk, &model);
        let mut purposes: Vec<String> =
            model.requests.borrow().iter().map(|request| format!("{:?}", request.purpose)).collect();
        purposes.dedup();
        assert_eq!(purposes, ["ToolPair", "Goal", "Summary"]);
        let sent = prompts(&model);
        for gone in row["gone"].as_array().unwrap() {
            assert!(!sent.concat().contains(gone.as_str().unwrap()), "{gone} of {row}");
        }
        for stays in row["stays"].as_array().unwrap() {
            assert!(sent.concat().contains(stays.as_str().unwrap()), "{stays} of {row}");
        }
    }
}

#[test]
fn answers_that_miss_something_are_learned_from() {
    let after_hard = |turns: Option<u64>, enabled: bool| {
        let mut state = State::default();
        state.guards.turns_since_hard = turns;
        let guidelines = GuidelinesPolicy { enabled, ..GuidelinesPolicy::default() };
        let options = ConversationOptions { guidelines, ..options(1_000) };
        Conversation::restore(options, &per_word, messages(&answer_of(20)), state).unwrap()
    };
    for row in rows("guidelines") {
        let (answer, lost) = (text(&row, "answer"), row["lost"] == true);
        assert_eq!(after_hard(Some(10), true).observe_answer(answer), lost, "{row}");
        for (turns, enabled) in [(Some(10), false), (None, true), (Some(11), true)] {
            assert!(!after_hard(turns, enabled).observe_answer(answer));
        }
    }
}

#[test]
fn structured_summaries_are_asked_for_and_prose_where_that_fails() {
    let json = r#"{"session_intent": "Mend the parser.", "files_modified": ["- src/parse.rs: rewritten"], "decisions_made": [], "open_questions": [], "next_steps": ["run the tests"]}"#;
    for (answer, structured) in
        [(json, true), ("{\"session_intent\": \"Mend it.\", \"next_steps\": []}", false), ("no json", false)]
    {
        let answer = answer.to_owned();
        let model = Scripted::new(move |number, request| match number {
            0 => Reply::Text(answer.clone()),
            _ => Reply::Text(note(number, request)),
        });
        let mut talk = talk(with_policy(900, Policy { structured_summaries: true, ..bare() }), &exchanges(8, 100));
        turn(&mut talk, &model);
        assert!(prompts(&model)[0].contains("session_intent"));
        assert_eq!(model.calls(), if structured { 1 } else { 2 });
        let summary = summaries(&talk).concat();
        assert_eq!(summary.contains("## Files\n- src/parse.rs: rewritten"), structured, "{summary}");
        assert_eq!(summary.contains("1. User Intent: note"), !structured, "{summary}");
        assert!(!summary.contains("## Decisions"));
    }
}

#[test]
fn a_focus_ends_with_its_summary_in_place_of_its_messages() {
    let mut talk = talk(with_policy(10_000, bare()), &exchanges(2, 50));
    assert!(talk.complete_focus("nothing").is_err());
    talk.begin_focus("the parser").unwrap();
    assert!(talk.begin_focus("another").is_err());
    for at in 0..6 {
        append(&mut talk, &unit(&format!("f{at}"), &words("found", 100)));
    }
    append(&mut talk, &[assistant("I know now.")]);
    let before = talk.tokens();
    let report = talk.complete_focus("The parser recurses.").unwrap().unwrap();
    sound(&talk);
    assert!(report.after < before && talk.tokens() == report.after);
    assert_eq!(summaries(&talk).len(), 1);
    assert!(summaries(&talk)[0].contains("The parser recurses."));
    assert_eq!(talk.state().knowledge.entries.len(), 1);
    assert!(talk.state().guards.is_compacted_this_turn());
}

#[test]
fn a_failure_can_be_an_error_that_changes_nothing() {
    let raws = exchanges(20, 100);
    let model = Scripted::new(|_, _| Reply::Error(ErrorClass::Auth));
    let mut options = epitome::CompactOptions::new(1_000, Providers::all(&model));
    options.fails_with_provider = true;
    let error = block_on(epitome::compact(&messages(&raws), &options, &per_word)).err().unwrap();
    assert!(matches!(error, Error::Provider(_)), "{error}");
    assert_eq!(error.code(), "provider_auth");
}
