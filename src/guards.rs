//! What keeps compactions from following one another without end, as plain data.
//!
//! zeph's state machine (its section 3.10) with its defects mended: cooldown stops models, never the free steps (B-14);
//! `exhausted` belongs to one limit and one transcript and is looked at again when either changes (B-16); every trigger
//! passes the same guards (B-13).

use serde::{Deserialize, Serialize};

use crate::fields::{self, FromValue, Read, Wrong, field};
use crate::value::Value;

/// Where a conversation is between two compactions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "phase", rename_all = "camelCase")]
pub enum Phase {
    /// Nothing stands in the way.
    #[default]
    Ready,
    /// This turn has had its compaction.
    Compacted {
        /// Turns without a model that follow.
        cooldown: u32,
    },
    /// No model is asked for so many turns more.
    Cooling {
        /// How many.
        turns: u32,
    },
    /// Compacting would gain nothing, as long as these two are the same.
    Exhausted {
        /// The limit, tokens.
        limit: u64,
        /// Number of messages.
        messages: usize,
    },
}

impl FromValue for Phase {
    fn from_value(value: &Value<'_>) -> Read<Self> {
        Ok(match value.get("phase").and_then(Value::as_str) {
            Some("ready") => Self::Ready,
            Some("compacted") => Self::Compacted { cooldown: field(value, "cooldown")? },
            Some("cooling") => Self::Cooling { turns: field(value, "turns")? },
            Some("exhausted") => Self::Exhausted { limit: field(value, "limit")?, messages: field(value, "messages")? },
            _ => return Err(Wrong("")),
        })
    }
}

/// Everything that is counted. (zeph's section 10; prunes are counted by result, whatever the strategy, B-31.)
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Counters {
    /// Histories replaced by a summary, of whichever kind.
    pub context_compactions: u64,
    /// Hard compactions that did something.
    pub compaction_hard_count: u64,
    /// Turns between one hard compaction and the next, the newest 100.
    pub compaction_turns_after_hard: Vec<u64>,
    /// Proactive compactions.
    pub compression_events: u64,
    /// Tokens that those saved.
    pub compression_tokens_saved: u64,
    /// Results pruned.
    pub tool_output_prunes: u64,
    /// Summaries of tool units written.
    pub tool_pair_summaries: u64,
    /// Of those, put in place of their unit.
    pub tool_pairs_applied: u64,
    /// Of those, thrown away because their unit was hidden, pinned or changed.
    pub tool_pairs_orphaned: u64,
    /// Requests to models.
    pub provider_calls: u64,
    /// Requests that failed.
    pub provider_failures: u64,
    /// Summaries of models that were refused: blank, too long, or about something else.
    pub summaries_refused: u64,
    /// Summaries written without a model where one had been asked.
    pub offline_fallbacks: u64,
    /// Passes left to the compaction of the provider.
    pub server_compaction_events: u64,
    /// Size of the view before the last compaction, tokens.
    pub compaction_last_before: u64,
    /// And after it.
    pub compaction_last_after: u64,
}

fields::record!(Counters {
    context_compactions: "contextCompactions" or default,
    compaction_hard_count: "compactionHardCount" or default,
    compaction_turns_after_hard: "compactionTurnsAfterHard" or default,
    compression_events: "compressionEvents" or default,
    compression_tokens_saved: "compressionTokensSaved" or default,
    tool_output_prunes: "toolOutputPrunes" or default,
    tool_pair_summaries: "toolPairSummaries" or default,
    tool_pairs_applied: "toolPairsApplied" or default,
    tool_pairs_orphaned: "toolPairsOrphaned" or default,
    provider_calls: "providerCalls" or default,
    provider_failures: "providerFailures" or default,
    summaries_refused: "summariesRefused" or default,
    offline_fallbacks: "offlineFallbacks" or default,
    server_compaction_events: "serverCompactionEvents" or default,
    compaction_last_before: "compactionLastBefore" or default,
    compaction_last_after: "compactionLastAfter" or default,
});

/// The guards of one conversation.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Guards {
    /// Turns so far.
    pub turn: u64,
    /// Where it is.
    pub phase: Phase,
    /// Whether the host was told that it is exhausted.
    pub warned: bool,
    /// Passes since the last hard compaction; none before the first.
    pub turns_since_hard: Option<u64>,
    /// Forced compactions of this turn, after answers that the request was too long.
    pub attempts: u32,
    /// What was counted.
    pub counters: Counters,
}

fields::record!(Guards {
    turn: "turn" or default,
    phase: "phase" or default,
    warned: "warned" or default,
    turns_since_hard: "turnsSinceHard" or default,
    attempts: "attempts" or default,
    counters: "counters" or default,
});

/// Forced compactions in one turn. zeph's 2.
pub(crate) const MOST_ATTEMPTS: u32 = 2;
/// A summary by a model has to free this share of the limit, per mille; else the next turn would ask for another.
pub(crate) const MINIMUM_PROGRESS: u64 = 50;
/// Segments that are remembered.
const MOST_SEGMENTS: usize = 100;

impl Guards {
    /// A new turn of the user begins.
    pub fn advance_turn(&mut self) {
        self.turn += 1;
        self.attempts = 0;
        if let Phase::Compacted { cooldown } = self.phase {
            self.phase = if cooldown == 0 { Phase::Ready } else { Phase::Cooling { turns: cooldown } };
        }
    }

    /// Whether this turn has had its compaction.
    #[must_use]
    pub fn is_compacted_this_turn(&self) -> bool {
        matches!(self.phase, Phase::Compacted { .. })
    }

    /// A pass begins under this limit with so many messages. Returns whether a model may be asked in it.
    pub(crate) fn enter(&mut self, limit: u64, messages: usize) -> bool {
        if let Some(turns) = &mut self.turns_since_hard {
            *turns += 1;
        }
        let asks = self.may_ask(limit, messages);
        match self.phase {
            Phase::Cooling { turns } => {
                self.phase = if turns <= 1 { Phase::Ready } else { Phase::Cooling { turns: turns - 1 } };
            }
            Phase::Exhausted { .. } if asks => {
                self.phase = Phase::Ready;
                self.warned = false;
            }
            _ => {}
        }
        asks
    }

    /// Whether a model may be asked under this limit with so many messages. Looking changes nothing.
    pub(crate) fn may_ask(&self, limit: u64, messages: usize) -> bool {
        match self.phase {
            Phase::Ready => true,
            Phase::Compacted { .. } | Phase::Cooling { .. } => false,
            Phase::Exhausted { limit: then, messages: had } => then != limit || had != messages,
        }
    }

    /// A hard compaction was done.
    pub(crate) fn hard_done(&mut self) {
        if let Some(turns) = self.turns_since_hard.replace(0) {
            self.counters.compaction_turns_after_hard.push(turns);
            if self.counters.compaction_turns_after_hard.len() > MOST_SEGMENTS {
                self.counters.compaction_turns_after_hard.remove(0);
            }
        }
        self.counters.compaction_hard_count += 1;
    }

    /// A compaction was worth it.
    pub(crate) fn compacted(&mut self, cooldown: u32) {
        self.phase = Phase::Compacted { cooldown };
    }

    /// A compaction would be, or was, in vain.
    pub(crate) fn exhausted(&mut self, limit: u64, messages: usize) {
        self.phase = Phase::Exhausted { limit, messages };
    }

    /// Whether the host is to be told now that nothing more can be gained: once.
    pub(crate) fn warns(&mut self) -> bool {
        matches!(self.phase, Phase::Exhausted { .. }) && !std::mem::replace(&mut self.warned, true)
    }

    /// A new conversation, or `/clear`.
    pub fn reset(&mut self) {
        self.phase = Phase::Ready;
        self.warned = false;
        self.turns_since_hard = None;
        self.attempts = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::{Guards, Phase};

    fn in_phase(phase: Phase) -> Guards {
        Guards { phase, ..Guards::default() }
    }

    #[test]
    fn a_turn_ends_a_compaction_and_nothing_else() {
        for (before, after) in [
            (Phase::Compacted { cooldown: 3 }, Phase::Cooling { turns: 3 }),
            (Phase::Compacted { cooldown: 0 }, Phase::Ready),
            (Phase::Cooling { turns: 2 }, Phase::Cooling { turns: 2 }),
            (Phase::Exhausted { limit: 1, messages: 1 }, Phase::Exhausted { limit: 1, messages: 1 }),
            (Phase::Ready, Phase::Ready),
        ] {
            let mut guards = in_phase(before);
            guards.advance_turn();
            assert_eq!(guards.phase, after);
        }
    }

    #[test]
    fn two_turns_of_cooldown_keep_models_out_of_two_passes() {
        let mut guards = in_phase(Phase::Cooling { turns: 2 });
        assert_eq!([0; 3].map(|_| guards.enter(1, 1)), [false, false, true]);
    }

    #[test]
    fn only_a_compacted_turn_counts_as_one() {
        assert!(in_phase(Phase::Compacted { cooldown: 0 }).is_compacted_this_turn());
        for phase in [Phase::Ready, Phase::Cooling { turns: 1 }, Phase::Exhausted { limit: 1, messages: 1 }] {
            assert!(!in_phase(phase).is_compacted_this_turn());
        }
    }

    #[test]
    fn b16_exhausted_ends_when_limit_or_transcript_change() {
        for (limit, messages, asks) in [(100, 5, false), (101, 5, true), (100, 6, true)] {
            let mut guards = in_phase(Phase::Exhausted { limit: 100, messages: 5 });
            assert_eq!(guards.enter(limit, messages), asks);
            assert_eq!(guards.phase == Phase::Ready, asks);
        }
    }

    #[test]
    fn the_host_is_warned_once() {
        let mut guards = in_phase(Phase::Exhausted { limit: 100, messages: 5 });
        assert_eq!([guards.warns(), guards.warns()], [true, false]);
        guards.enter(200, 5);
        guards.exhausted(200, 5);
        assert!(guards.warns());
    }

    #[test]
    fn segments_between_hard_compactions_are_remembered() {
        let mut guards = Guards::default();
        guards.hard_done();
        assert_eq!(guards.turns_since_hard, Some(0));
        for _ in 0..4 {
            guards.enter(1, 1);
        }
        guards.hard_done();
        assert_eq!(guards.counters.compaction_turns_after_hard, [4]);
        assert_eq!(guards.counters.compaction_hard_count, 2);
        guards.enter(1, 1);
        guards.hard_done();
        assert_eq!(guards.counters.compaction_turns_after_hard, [4, 1]);
    }

    #[test]
    fn a_reset_leaves_only_what_was_counted() {
        let mut guards = in_phase(Phase::Exhausted { limit: 1, messages: 1 });
        guards.hard_done();
        guards.reset();
        assert_eq!((guards.phase, guards.turns_since_hard), (Phase::Ready, None));
        assert_eq!(guards.counters.compaction_hard_count, 1);
    }
}
