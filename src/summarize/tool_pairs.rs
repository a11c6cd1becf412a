//! Summaries of tool units, written ahead: a few sentences that take the place of a call and its results once there is
//! pressure. Until then nothing changes, so the prompt cache of the provider stays whole.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::accept::accept;
use super::anchors::Anchors;
use super::caps::cap_chars;
use super::clean::clean_all;
use super::prompts;
use super::record::record;
use super::render::{Piece, pieces, transcript as written};
use crate::error::Boxed;
use crate::fields;
use crate::ladder::Ladder;
use crate::message::{ContentHash, Message};
use crate::provider::{Asked, Calls, NoText, Purpose, in_order};
use crate::shrink::head_and_tail;
use crate::tokens::TokenCounter;
use crate::transcript::{Transcript, Unit, UnitKind};

/// The summary of a tool unit, not yet in its place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Deferred {
    /// Index of the message with the calls.
    pub from: usize,
    /// XXH64 of what is summarised.
    pub hash: String,
    /// The message that takes its place.
    pub text: String,
}

fields::record!(Deferred { from: "from", hash: "hash", text: "text" });

/// Units below this are left alone: a summary would hardly be smaller, tokens.
const WORTH_SUMMARISING: u64 = 64;
/// What the prompt takes beside what it shows, tokens.
const PROMPT: u64 = 400;

impl Deferred {
    /// The slots that this stands for, if they are still what was summarised.
    pub(crate) fn unit(&self, transcript: &Transcript<'_>) -> Option<Range<usize>> {
        // Units are in the order of the messages that they begin with.
        let found = transcript.units.binary_search_by_key(&Some(self.from), |unit| source(transcript, unit)).ok()?;
        let unit = transcript.units.get(found)?;
        (hash(transcript, &unit.slots) == self.hash).then(|| unit.slots.clone())
    }
}

/// The oldest tool units without a summary, as many as there are more of them than `cutoff`. What counts and what is
/// chosen goes by one rule (B-20): closed, visible, not pinned, with results that were not pruned, and large enough.
pub(crate) fn backlog(
    ladder: &Ladder<'_, '_>,
    transcript: &Transcript<'_>,
    deferred: &[Deferred],
    cutoff: usize,
) -> Vec<Range<usize>> {
    let open = transcript.open_tool_unit();
    let mut units = Vec::new();
    for (number, unit) in transcript.units.iter().enumerate() {
        let waits = source(transcript, unit)
            .is_some_and(|source| deferred.binary_search_by_key(&source, |deferred| deferred.from).is_ok());
        if unit.kind == UnitKind::Tools
            && Some(number) != open
            && !waits
            && ladder.may_stand_in(unit.slots.clone())
            && unit.slots.clone().any(|at| ladder.is_prunable(at))
            && unit.slots.clone().map(|at| ladder.tokens(at)).sum::<u64>() >= WORTH_SUMMARISING
        {
            units.push(unit.slots.clone());
        }
    }
    units.truncate(units.len().saturating_sub(cutoff));
    units
}

/// Has these units summarised. What failed, or came out larger than the unit, is left out and tried again later.
///
/// # Errors
/// [`Aborted`](crate::Error::Aborted) only.
pub(crate) async fn tool_pairs(
    transcript: &Transcript<'_>,
    units: &[Range<usize>],
    calls: &Calls<'_>,
    counter: &dyn TokenCounter,
) -> Boxed<Vec<Deferred>> {
    let window = calls.window(Purpose::ToolPair).unwrap_or_default();
    let mut asked: Vec<Asked<'_, std::result::Result<String, NoText>>> = Vec::new();
    for unit in units {
        let messages: Vec<&Message<'_>> = transcript.slots_in(unit).iter().map(|slot| &slot.message).collect();
        let cleaned = clean_all(calls, &messages);
        let messages: Vec<&Message<'_>> = cleaned.iter().map(AsRef::as_ref).collect();
        let rendered = pieces(&messages).pieces;
        let (results, request): (Vec<Piece<'_>>, Vec<Piece<'_>>) = rendered.into_iter().partition(|piece| piece.result);
        let room = window.saturating_sub(PROMPT) / 2;
        let request = shown(&request, room / 2, counter);
        let response = shown(&results, room, counter);
        let max_tokens = (window / 8).clamp(64, 2_000);
        asked.push(Box::pin(calls.ask(Purpose::ToolPair, prompts::tool_pair(&request, &response), max_tokens)));
    }
    let mut summaries = Vec::new();
    for (unit, answer) in units.iter().zip(in_order(asked, calls.policy.concurrency).await) {
        let Ok(answer) = answer? else { continue };
        let messages: Vec<&Message<'_>> = transcript.slots_in(unit).iter().map(|slot| &slot.message).collect();
        let size: u64 = transcript.slots_in(unit).iter().map(|slot| slot.tokens).sum();
        let Ok(answer) = accept(&answer, size, size, &Anchors::default(), counter) else { continue };
        let answer = calls.redacted(&answer).into_owned();
        let text = record(&messages, &cap_chars(&answer, calls.policy.tool_pair_summary_chars));
        let source = transcript.slots.get(unit.start).and_then(|slot| slot.source);
        if let Some(from) = source
            && u64::from(counter.count(&text)) < size
        {
            summaries.push(Deferred { from, hash: hash(transcript, unit), text });
        }
    }
    Ok(summaries)
}

/// Pieces as text, head and tail where they are too long for the model.
fn shown(pieces: &[Piece<'_>], room: u64, counter: &dyn TokenCounter) -> String {
    let text = written(pieces);
    let room = u32::try_from(room).unwrap_or(u32::MAX);
    let size = counter.count(&text);
    if size > room { head_and_tail(counter, &text, size, room).unwrap_or_default() } else { text }
}

/// The message that a unit begins with.
fn source(transcript: &Transcript<'_>, unit: &Unit) -> Option<usize> {
    transcript.slots.get(unit.slots.start).and_then(|slot| slot.source)
}

fn hash(transcript: &Transcript<'_>, unit: &Range<usize>) -> String {
    let mut hash = ContentHash::new();
    transcript.slots_in(unit).iter().for_each(|slot| hash.add(&slot.message));
    hash.hex()
}
