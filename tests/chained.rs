//! Fits after fits, over real conversations that go on: without a patch (only the messages survive), and with
//! `previous` while everything is sent again.
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

use common::check::{messages, size_of};
use common::dev::{self, Conversation};
use common::generate;
use common::message::Msg;
use common::rng::Rng;
use common::{HEADER, irreducible, rules};
use epitome::{Budget, Error, FitOptions, Heuristic, LayoutItem, Messages, Patch, count_messages, fit, fit_with, undo};

const ROUNDS: usize = 10;
const MORE: usize = 20;

/// Every real conversation that is long enough to go on for a while.
fn long_ones(least: usize) -> Vec<(String, Conversation)> {
    dev::SOURCES
        .iter()
        .filter_map(|source| dev::load(source).map(|all| (source, all)))
        .flat_map(|(source, all)| all.into_iter().map(move |one| ((*source).to_owned(), one)))
        .filter(|(_, one)| one.messages.len() >= least)
        .collect()
}

fn tokens(raws: &[String]) -> u64 {
    count_messages(&messages(raws), None, &Heuristic).unwrap()
}

/// A budget that the conversation outgrows but that always has room for what cannot be given up.
fn budget(raws: &[String], percent: u64) -> u64 {
    let sizes: Vec<u64> = raws.iter().map(|raw| size_of(raw, &Heuristic)).collect();
    let parsed = Msg::all(raws.iter().map(String::as_str));
    let system: u64 = parsed.iter().zip(&sizes).filter(|(message, _)| message.is_system()).map(|(_, size)| size).sum();
    let largest_user = parsed
        .iter()
        .zip(&sizes)
        .filter(|(message, _)| message.role() == "user")
        .map(|(_, size)| *size)
        .max()
        .unwrap_or(0);
    let all: u64 = sizes.iter().sum();
    system + largest_user + (all - system) * percent / 100
}

/// What may be wrong with a view, whatever led to it.
fn judge(place: &str, given: &[Msg], view: &[Msg], found: &mut Vec<String>) {
    let mut bad = |what: String| found.push(format!("{place}: {what}"));
    rules::violations(view).into_iter().for_each(&mut bad);
    rules::broken_promises(given, view).into_iter().for_each(&mut bad);
    for (at, message) in view.iter().enumerate() {
        if !message.looks_like_summary() {
            continue;
        }
        if at > 0 && view[at - 1].looks_like_summary() {
            bad(format!("two summaries stand in a row at {at}"));
        }
        let text = message.texts().concat();
        if text.matches(HEADER).count() != 1 {
            bad(format!("a summary holds another: {}", common::message::short(&text)));
        }
        if text.matches("<record ").count() > 1 {
            bad(format!("a summary holds the record of another: {}", common::message::short(&text)));
        }
    }
}

/// How many messages a summary says it stands for.
fn covers(message: &Msg) -> usize {
    let text = message.texts().concat();
    let digits: String = text[HEADER.len()..].chars().take_while(char::is_ascii_digit).collect();
    digits.parse().unwrap_or_else(|_| panic!("a summary without a number: {text}"))
}

fn only_messages_survive(budget_of: &dyn Fn(u64) -> Budget, percent: u64) {
    let mut conversations = long_ones(80);
    conversations.retain(|(_, one)| common::full() || one.messages.iter().map(String::len).sum::<usize>() < 250_000);
    if conversations.is_empty() {
        return;
    }
    let mut found = Vec::new();
    let (mut passes, mut refused, mut summaries, mut uncounted) = (0, 0, 0, 0);
    for (source, conversation) in &conversations {
        let id = &conversation.id;
        let raws = &conversation.messages;
        let rounds = ROUNDS.min((raws.len() - 20) / MORE);
        let start = raws.len() - rounds * MORE;
        let limit = budget(raws, percent);
        let options = FitOptions::with_budget(budget_of(limit));
        let mut now: Vec<String> = raws[..start].to_vec();
        // Which original each message is, where it is one.
        let mut origin: Vec<Option<usize>> = (0..start).map(Some).collect();
        let mut end = start;
        for round in 0..=rounds {
            let place = format!("{source}/{id} round {round}");
            let given = messages(&now);
            let fitted = match fit(&given, &options) {
                Ok(fitted) => fitted,
                Err(Error::IrreducibleBudget { limit, required, .. }) => {
                    let mended = epitome::repair(&given, None).unwrap().0;
                    let parsed = Msg::all(mended.iter());
                    let facts = irreducible::Given {
                        placeholder: &options.policy.placeholder,
                        ..irreducible::Given::default()
                    };
                    let mine =
                        irreducible::tokens(&parsed, &facts, &Heuristic, &|message| size_of(&message.raw, &Heuristic));
                    if mine <= limit {
                        found.push(format!("{place}: refused at {limit} (required {required}), but {mine} would do"));
                    }
                    refused += 1;
                    break;
                }
                Err(error) => panic!("{place}: {error}"),
            };
            passes += 1;
            let view: Vec<Msg> = Msg::all(fitted.messages.iter());
            judge(&place, &Msg::all(now.iter().map(String::as_str)), &view, &mut found);
            if !undo(&fitted.messages, &fitted.patch, &given).is_ok_and(|back| back == given) {
                found.push(format!("{place}: undo is not exact"));
            }
            // Where each message of the view comes from: the patch says, the texts prove it.
            let mut next = Vec::new();
            for item in &fitted.patch.view.layout.0 {
                match item {
                    LayoutItem::Kept(from, to) => next.extend((*from..*to).map(|at| (origin[at], Some(at)))),
                    LayoutItem::Edited(at) => next.push((origin[*at], None)),
                    LayoutItem::Inserted => next.push((None, None)),
                }
            }
            for (message, (_, kept)) in view.iter().zip(&next) {
                if kept.is_some_and(|at| now[at] != message.raw) {
                    found.push(format!("{place}: a message said to be kept is another"));
                }
            }
            let surviving: Vec<usize> = next.iter().filter_map(|(origin, _)| *origin).collect();
            let moved = fitted.report.repairs.iter().any(|repair| repair.action == "move");
            if !moved && surviving.windows(2).any(|pair| pair[0] >= pair[1]) {
                found.push(format!("{place}: original messages are out of order: {surviving:?}"));
            }
            summaries += view.iter().filter(|message| message.looks_like_summary()).count();
            let accounted =
                surviving.len() + view.iter().filter(|message| message.looks_like_summary()).map(covers).sum::<usize>();
            let real = end;
            if accounted > real {
                found.push(format!("{place}: {} messages survive and summaries claim the rest, {accounted} in all, but there were {real}", surviving.len()));
            }
            uncounted += usize::from(accounted < real);
            if round == rounds {
                break;
            }
            now = fitted.messages.iter().map(str::to_owned).collect();
            origin = next.into_iter().map(|(origin, _)| origin).collect();
            now.extend_from_slice(&raws[end..end + MORE]);
            origin.extend((end..end + MORE).map(Some));
            end += MORE;
        }
    }
    println!(
        "{percent} % of {} conversations, {passes} passes, {refused} irreducible, {summaries} summaries seen, in {uncounted} views some messages are in no summary's count",
        conversations.len()
    );
    assert!(passes > conversations.len() * 3, "the budgets are too small to say anything");
    assert!(summaries > 0, "nothing was ever summarised");
    assert!(found.is_empty(), "{} broken promises:\n{:#?}", found.len(), &found[..found.len().min(20)]);
    assert!(refused * 50 <= passes, "{refused} of {passes} passes are irreducible");
}

#[test]
fn ten_fits_in_a_row_stay_valid_with_nothing_but_the_messages() {
    for percent in [8, 15, 30] {
        only_messages_survive(&Budget::Limit, percent);
    }
}

#[test]
fn ten_fits_in_a_row_to_a_window_stay_valid_with_nothing_but_the_messages() {
    for percent in [12, 30] {
        only_messages_survive(&|limit| Budget::Window { window: limit, reserve: Some(0), overhead: 0 }, percent);
    }
}

#[derive(Debug, Default)]
struct Turns {
    turns: usize,
    needed: usize,
    changed: usize,
    broken_needlessly: usize,
}

/// The whole conversation is sent again on every turn, with the patch of the turn before.
fn everything_is_sent_again(
    name: &str,
    raws: &[String],
    ends: &[usize],
    budget: Budget,
    found: &mut Vec<String>,
) -> Turns {
    let limit = budget.limit().unwrap();
    let mut turns = Turns::default();
    let mut previous: Option<(Patch, Vec<String>, usize)> = None;
    let mut was_mended = false;
    for end in ends {
        let place = format!("{name} [..{end}]");
        let given = messages(&raws[..*end]);
        let mut options = FitOptions::with_budget(budget);
        options.previous = previous.as_ref().map(|(patch, ..)| {
            // As a stateless host would have it: through JSON.
            serde_json::from_str(&serde_json::to_string(patch).unwrap()).unwrap()
        });
        let fitted = match fit(&given, &options) {
            Ok(fitted) => fitted,
            Err(Error::IrreducibleBudget { .. }) => {
                // Judged elsewhere; the host would go on with what it has.
                continue;
            }
            Err(error) => {
                found.push(format!("{place}: {error}"));
                continue;
            }
        };
        turns.turns += 1;
        let view: Vec<String> = fitted.messages.iter().map(str::to_owned).collect();
        judge(
            &place,
            &Msg::all(raws[..*end].iter().map(String::as_str)),
            &Msg::all(view.iter().map(String::as_str)),
            found,
        );
        if fitted.report.after > limit {
            found.push(format!("{place}: {} tokens are over {limit}", fitted.report.after));
        }
        if !undo(&fitted.messages, &fitted.patch, &given).is_ok_and(|back| back == given) {
            found.push(format!("{place}: undo is not exact"));
        }
        if fitted.report.warnings.iter().any(|warning| warning.code == "previous_ignored") {
            found.push(format!("{place}: the patch of the turn before was ignored"));
        }
        if let Some((_, before, then)) = &previous {
            let new = &raws[*then..*end];
            let would_be: Vec<String> = before.iter().chain(new).cloned().collect();
            let size = tokens(&would_be);
            let trigger = match budget {
                Budget::Limit(limit) => limit,
                Budget::Window { .. } => (limit as f64 * options.policy.soft) as u64,
            };
            // A stand-in comes or goes: that has to change something.
            let mended = was_mended || !fitted.report.repairs.is_empty();
            let needed = size > trigger || mended;
            turns.needed += usize::from(needed);
            let same = before.iter().zip(&view).take_while(|(a, b)| a == b).count();
            let changed = same < before.len();
            turns.changed += usize::from(changed);
            if changed && !needed {
                turns.broken_needlessly += 1;
                found.push(format!(
                    "{place}: the prefix changes at {same} of {}, although {size} tokens are within {trigger}",
                    before.len()
                ));
            }
            if !needed && view != would_be {
                found.push(format!("{place}: nothing was needed, but the view is not the one before plus what is new"));
            }
            let claimed = fitted.report.first_changed_index;
            match claimed {
                Some(at) if at > same => found.push(format!("{place}: said to change at {at}, but does at {same}")),
                None if changed => {
                    found.push(format!("{place}: said not to change, but does at {same} of {}", before.len()))
                }
                Some(at) if !changed => found.push(format!("{place}: said to change at {at}, but does not")),
                _ => {}
            }
            let upto = claimed.unwrap_or(before.len()).min(view.len());
            let prefix = tokens(&view[..upto]);
            if fitted.report.prefix_tokens != prefix {
                found.push(format!(
                    "{place}: {} prefix tokens are reported, there are {prefix}",
                    fitted.report.prefix_tokens
                ));
            }
        }
        was_mended = !fitted.report.repairs.is_empty();
        previous = Some((fitted.patch.clone(), view, *end));
    }
    turns
}

/// Ends at which a model would be called: the next message is not a tool's.
fn turn_ends(raws: &[String], most: usize) -> Vec<usize> {
    let parsed = Msg::all(raws.iter().map(String::as_str));
    let ends: Vec<usize> = (2..=raws.len()).filter(|end| *end == raws.len() || !parsed[*end].is_result()).collect();
    ends[ends.len().saturating_sub(most)..].to_vec()
}

#[test]
fn over_100_growing_turns_the_prefix_changes_only_where_an_edit_was_needed() {
    // All of them with EPITOME_FULL; else those that are not too long to be sent a hundred times in a test.
    let size = |one: &Conversation| one.messages.iter().map(String::len).sum::<usize>();
    let mut conversations = long_ones(60);
    conversations.retain(|(_, one)| common::full() || size(one) < 160_000);
    let mut found = Vec::new();
    let mut long = 0;
    for window in [false, true] {
        for percent in [12, 35] {
            let (mut all, mut worst) = (Turns::default(), (0.0, String::new()));
            for (source, conversation) in &conversations {
                let raws = &conversation.messages;
                let ends = turn_ends(raws, 130);
                long += usize::from(ends.len() >= 100);
                let limit = budget(raws, percent);
                let budget = if window {
                    Budget::Window { window: limit, reserve: Some(0), overhead: 0 }
                } else {
                    Budget::Limit(limit)
                };
                let name =
                    format!("{source}/{} {} {percent} %", conversation.id, if window { "window" } else { "limit" });
                let turns = everything_is_sent_again(&name, raws, &ends, budget, &mut found);
                let share = turns.changed as f64 / turns.turns.max(1) as f64;
                if share > worst.0 {
                    worst = (share, name);
                }
                all.turns += turns.turns;
                all.needed += turns.needed;
                all.changed += turns.changed;
                all.broken_needlessly += turns.broken_needlessly;
            }
            println!(
                "{} {percent} %: {} turns of {} conversations, an edit was needed on {}, the prefix changed on {} ({:.1} %; worst {:.1} % in {}), needlessly on {}",
                if window { "window" } else { "limit " },
                all.turns,
                conversations.len(),
                all.needed,
                all.changed,
                100.0 * all.changed as f64 / all.turns.max(1) as f64,
                100.0 * worst.0,
                worst.1,
                all.broken_needlessly
            );
            // Hysteresis: a compaction leaves room for several turns.
            if window && percent == 35 && all.turns > 0 {
                assert!(all.changed * 5 < all.turns, "{all:?}");
            }
        }
    }
    assert!(conversations.is_empty() || long > 3 * 4, "only {long} conversations have 100 turns");
    assert!(found.is_empty(), "{} broken promises:\n{:#?}", found.len(), &found[..found.len().min(20)]);
}

#[test]
fn growing_message_by_message_also_between_calls_and_results_stays_valid() {
    // Between a call and its results the call is unanswered, so a stand-in comes and goes: nothing else may change.
    let conversations = long_ones(60);
    let mut found = Vec::new();
    for (source, conversation) in
        conversations.iter().filter(|(source, _)| source == "toolathlon" || source == "specstory").take(8)
    {
        let raws = &conversation.messages;
        let ends: Vec<usize> = (raws.len().saturating_sub(60)..=raws.len()).collect();
        everything_is_sent_again(
            &format!("{source}/{}", conversation.id),
            raws,
            &ends,
            Budget::Limit(budget(raws, 20)),
            &mut found,
        );
    }
    assert!(found.is_empty(), "{} broken promises:\n{:#?}", found.len(), &found[..found.len().min(20)]);
}

#[test]
fn random_conversations_that_go_on_stay_valid() {
    let seeds = if common::full() { 0..2_000 } else { 0..150 };
    let one = std::env::var("EPITOME_SEED").ok().and_then(|seed| seed.parse::<u64>().ok());
    let mut found = Vec::new();
    let mut passes = 0;
    for seed in seeds {
        if one.is_some_and(|one| one != seed) {
            continue;
        }
        let first = generate::case(5_000_000 + seed * 4);
        let mut options = first.options.clone();
        options.pin.clear();
        let mut now = messages(&first.messages);
        let mut rng = Rng::new(seed);
        for round in 0..4 {
            let given: Vec<Msg> = Msg::all(now.iter());
            let place = format!("seed {seed} round {round}");
            match fit(&now, &options) {
                Ok(fitted) => {
                    passes += 1;
                    let view: Vec<Msg> = Msg::all(fitted.messages.iter());
                    if options.policy.shrink_last_user || options.policy.summary_role != "user" {
                        rules::violations(&view).into_iter().for_each(|what| found.push(format!("{place}: {what}")));
                    } else {
                        let mut judged = Vec::new();
                        judge(&place, &given, &view, &mut judged);
                        // Texts of the generator that look like summaries may stand in a row or hold anything.
                        judged.retain(|what| !what.contains("in a row") && !what.contains("a summary holds"));
                        found.extend(judged);
                    }
                    if !undo(&fitted.messages, &fitted.patch, &now).is_ok_and(|back| back == now) {
                        found.push(format!("{place}: undo is not exact"));
                    }
                    now = fitted.messages;
                }
                Err(Error::IrreducibleBudget { .. }) => {}
                Err(error) => found.push(format!("{place}: {error}")),
            }
            let more = generate::case(5_000_001 + seed * 4 + round);
            let from = rng.below(more.messages.len().max(1));
            let mut grown: Vec<String> = now.iter().map(str::to_owned).collect();
            grown.extend(more.messages.iter().skip(from).take(20).cloned());
            now = messages(&grown);
        }
    }
    assert!(passes > 0 || one.is_some());
    assert!(
        found.is_empty(),
        "{} broken promises (EPITOME_SEED=n repeats one):\n{:#?}",
        found.len(),
        &found[..found.len().min(15)]
    );
}

#[test]
fn random_conversations_keep_their_prefix_while_it_fits() {
    let seeds = if common::full() { 0..1_500 } else { 0..120 };
    let one = std::env::var("EPITOME_SEED").ok().and_then(|seed| seed.parse::<u64>().ok());
    let mut found = Vec::new();
    let mut turns = Turns::default();
    for seed in seeds {
        if one.is_some_and(|one| one != seed) {
            continue;
        }
        let case = generate::case(7_000_000 + seed);
        if !case.in_order || case.messages.len() < 6 || case.messages.iter().map(String::len).sum::<usize>() > 400_000 {
            continue;
        }
        let ends = turn_ends(&case.messages, 30);
        let budget = match case.options.budget {
            // Small limits refuse every turn and say nothing.
            Budget::Limit(limit) if limit < tokens(&case.messages) / 4 => Budget::Limit(tokens(&case.messages) / 2),
            budget => budget,
        };
        let some = everything_is_sent_again(&format!("seed {seed}"), &case.messages, &ends, budget, &mut found);
        turns.turns += some.turns;
        turns.needed += some.needed;
        turns.changed += some.changed;
    }
    // What looks like a summary in these is the generator's.
    found.retain(|what| !what.contains("a summary holds") && !what.contains("in a row"));
    println!("{turns:?}");
    assert!(turns.turns > 0 || one.is_some());
    assert!(
        found.is_empty(),
        "{} broken promises (EPITOME_SEED=n repeats one):\n{:#?}",
        found.len(),
        &found[..found.len().min(15)]
    );
}

#[test]
fn a_patch_of_other_messages_is_ignored_with_a_warning() {
    let raws: Vec<String> = (0..30)
        .map(|n| {
            format!(
                r#"{{"role":"{}","content":"message number {n} with a few more words than needed"}}"#,
                if n % 2 == 0 { "user" } else { "assistant" }
            )
        })
        .collect();
    let options = FitOptions::new(200);
    let fitted = fit(&messages(&raws), &options).unwrap();
    let mut other = raws.clone();
    other[3] = r#"{"role":"assistant","content":"something else"}"#.to_owned();
    let shorter = raws[..20].to_vec();
    for changed in [other, shorter] {
        let with = FitOptions { previous: Some(fitted.patch.clone()), ..options.clone() };
        let done = fit(&messages(&changed), &with).unwrap();
        assert_eq!(done.report.warnings.iter().filter(|warning| warning.code == "previous_ignored").count(), 1);
        let without = fit(&messages(&changed), &options).unwrap();
        assert!(done.messages == without.messages, "an ignored patch must not matter");
    }
    let mut empty = Messages::default();
    empty.push_json(r#"{"role":"user","content":"new"}"#).unwrap();
    assert!(fit(&empty, &FitOptions { previous: Some(fitted.patch), ..options }).is_ok());
}

/// Counts what it is asked to count.
struct Counting(std::cell::Cell<usize>);

impl epitome::TokenCounter for Counting {
    fn count(&self, text: &str) -> u32 {
        self.0.set(self.0.get() + text.len());
        Heuristic.count(text)
    }
}

#[test]
fn with_previous_only_what_is_new_is_counted() {
    let word = |at: usize| format!("message {at}: {}", "some words that say next to nothing ".repeat(8));
    let mut raws: Vec<String> = (0..10_000)
        .map(|at| {
            let role = if at % 2 == 0 { "user" } else { "assistant" };
            serde_json::json!({ "role": role, "content": word(at) }).to_string()
        })
        .collect();
    for budget in [Budget::Limit(8_000), Budget::Window { window: 2_000_000, reserve: None, overhead: 0 }] {
        let counter = Counting(std::cell::Cell::new(0));
        let mut options = FitOptions::with_budget(budget);
        let first = fit_with(&messages(&raws), &options, &counter).unwrap();
        let all = counter.0.replace(0);
        raws.push(serde_json::json!({ "role": "user", "content": "go on" }).to_string());
        options.previous = Some(first.patch);
        let next = fit_with(&messages(&raws), &options, &counter).unwrap();
        let new = counter.0.replace(0);
        println!("{budget:?}: {all} bytes counted, then {new}");
        assert!(next.report.warnings.is_empty(), "{:?}", next.report.warnings);
        assert!(new * 100 <= all, "{all} bytes were counted at first, then {new}");
        // The sizes are those that counting gives.
        options.previous.as_mut().unwrap().source.sizes.clear();
        let counted = fit_with(&messages(&raws), &options, &counter).unwrap();
        assert_eq!((counted.messages, counted.report), (next.messages, next.report));
        // Another counter does not take them for its own.
        let other = |text: &str| u32::try_from(text.len()).unwrap();
        options.previous = Some(next.patch);
        if let Ok(fitted) = fit_with(&messages(&raws), &options, &other) {
            let sizes = &fitted.patch.source.sizes;
            assert_eq!(sizes[0], u32::try_from(word(0).len()).unwrap() + 4);
        }
        raws.pop();
    }
}
