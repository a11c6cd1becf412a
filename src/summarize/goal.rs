//! What the user is working on, for strategies that measure results against it.

use serde::{Deserialize, Serialize};

use super::clean::clean_all;
use super::prompts;
use crate::engine::last_words;
use crate::error::Boxed;
use crate::fields;
use crate::message::{Message, fingerprint};
use crate::policy::Strategy;
use crate::provider::{Calls, Purpose};
use crate::prune::subgoal::{Answer, Subgoals};
use crate::text::{clip, one_line};
use crate::transcript::Transcript;

/// The goal, and the words of the user that it was found in.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct TaskGoal {
    /// One sentence.
    text: Option<String>,
    /// XXH64 of the user's words, 16 hexadecimal digits; empty before the first.
    of: String,
    /// Attempts for these words that came to nothing.
    failed: u32,
}

fields::record!(TaskGoal { text: "text" or default, of: "of" or default, failed: "failed" or default });

/// How often a model is asked about the same words.
const ATTEMPTS: u32 = 2;
/// Longest goal, characters.
const LONGEST: usize = 500;
/// Messages that the model is shown, and characters of each. (zeph: 10 and 6 messages, 300 bytes.)
const SHOWN: usize = 10;
const SHOWN_FOR_SUBGOALS: usize = 6;
const SHOWN_CHARS: usize = 300;
const MAX_TOKENS: u64 = 200;
/// What a text can cost more where it meets another, tokens.
const MARGIN: u64 = 8;
/// Newest messages among which those are looked for.
const SEARCHED: usize = 100;

impl TaskGoal {
    pub(crate) fn text(&self) -> Option<&str> {
        self.text.as_deref()
    }
}

/// Finds the goal again if the user has said something since. Tool results are not the user's words (B-09); what was
/// known stays where a model fails.
///
/// # Errors
/// [`Aborted`](crate::Error::Aborted) only.
pub(crate) async fn refresh_goal(
    transcript: &Transcript<'_>,
    given: Option<&str>,
    calls: &Calls<'_>,
    goal: &mut TaskGoal,
    subgoals: &mut Subgoals,
) -> Boxed<()> {
    let by_subgoal = matches!(calls.policy.strategy, Strategy::Subgoal | Strategy::SubgoalMig);
    if by_subgoal {
        subgoals.extend_active(transcript.sources.saturating_sub(1));
    }
    if let Some(given) = given {
        goal.text = Some(given.to_owned());
        if !by_subgoal {
            return Ok(());
        }
    }
    let Some(words) = last_words(transcript) else { return Ok(()) };
    let of = format!("{:016x}", fingerprint(words));
    if goal.of != of {
        (goal.of, goal.failed) = (of, 0);
    } else if goal.failed == 0 || goal.failed >= ATTEMPTS {
        return Ok(());
    }
    let purpose = if by_subgoal { Purpose::Subgoal } else { Purpose::Goal };
    let Some(window) = calls.window(purpose) else {
        if given.is_none() {
            goal.text = Some(clip(&one_line(words), LONGEST).to_owned());
        }
        return Ok(());
    };
    let from = transcript.slots.len().saturating_sub(SEARCHED);
    let messages: Vec<&Message<'_>> =
        transcript.slots.get(from..).unwrap_or_default().iter().map(|slot| &slot.message).collect();
    let cleaned = clean_all(calls, &messages);
    let messages: Vec<&Message<'_>> = cleaned.iter().map(AsRef::as_ref).collect();
    let shown = if by_subgoal { SHOWN_FOR_SUBGOALS } else { SHOWN };
    let excerpt = prompts::excerpt(&messages, shown, SHOWN_CHARS);
    let prompt = if by_subgoal { prompts::subgoal } else { prompts::goal };
    let room = window.saturating_sub(MAX_TOKENS).saturating_sub(calls.tokens(&prompt("")) + MARGIN);
    let prompt = prompt(calls.newest(&excerpt, room));
    let Ok(answer) = calls.ask(purpose, prompt, MAX_TOKENS).await? else {
        goal.failed += 1;
        return Ok(());
    };
    goal.failed = 0;
    if by_subgoal {
        if let Some(answer) = Answer::parse(&answer) {
            found(&answer, transcript, subgoals);
        }
    } else {
        goal.text = Some(clip(&one_line(&answer), LONGEST).to_owned());
    }
    Ok(())
}

/// A subgoal begins with the user's last words; the first one takes in all that was before.
fn found(answer: &Answer, transcript: &Transcript<'_>, subgoals: &mut Subgoals) {
    let same = subgoals.active().is_some_and(|active| active.description == clip(&one_line(&answer.current), LONGEST));
    if same {
        return;
    }
    let last_user = transcript.last_user().and_then(|unit| transcript.units.get(unit));
    let at = last_user.and_then(|unit| transcript.slots.get(unit.slots.start)).and_then(|slot| slot.source);
    let first = subgoals.all().is_empty();
    let at = at.unwrap_or_default();
    subgoals.push_active(&answer.current, at);
    if first && answer.completed.is_none() {
        subgoals.tag_range(0, at);
    }
    subgoals.extend_active(transcript.sources.saturating_sub(1));
}
