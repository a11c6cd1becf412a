//! Every tunable, in one validated struct.

use serde::{Deserialize, Serialize};

use crate::error::{Boxed, Error, Result};
use crate::redact::Redaction;

/// The tunables. Defaults are zeph's numbers unless the field says otherwise.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Policy {
    /// Above this share of the limit, tool results are pruned. 0.6 (zeph: of the window).
    pub soft: f64,
    /// Above this share of the limit, messages are hidden too. 0.9 (zeph: of the window).
    pub hard: f64,
    /// Pruning stops at this share. 0.5: below `soft`, so that the next turn does not compact again.
    pub soft_target: f64,
    /// Hard compaction stops at this share. 0.55: below `soft`, for the same reason.
    pub hard_target: f64,
    /// The newest messages that are edited last. 6.
    pub preserve_tail_messages: usize,
    /// Tokens at the end that are edited last. 40,000, and at most 30 % of the limit.
    pub protect_tail_tokens: u64,
    /// Tools whose results are never pruned.
    pub protect_tools: Vec<String>,
    /// How tool results are chosen.
    pub strategy: Strategy,
    /// Role of summary messages. `user`: a summary is data, not an instruction of the host.
    pub summary_role: String,
    /// Whether the last user message may be shrunk when nothing else helps.
    pub shrink_last_user: bool,
    /// Text left in place of a pruned tool result; `{tokens}` becomes its size, `{id}` the id by which the tool `recall`
    /// returns the whole. Where no id is known, or `recall_declared` is false, a text with `{id}` gives way to the standard
    /// one, which names an id by itself where there is one.
    pub placeholder: String,
    /// Whether the model has the tool `recall`. Only then do placeholders say how a result can be had again, and results
    /// of that tool keep their payload until the user has said something else. False.
    pub recall_declared: bool,
    /// Turns after a hard compaction in which no model is asked for another. 2.
    pub cooldown_turns: u32,
    /// Tool units without a summary that may stand before the oldest are summarised. 6.
    pub tool_call_cutoff: usize,
    /// Share of the limit below which no tool unit is summarised, however many there are: in a large window that would
    /// be paid for nothing. 0.25 (zeph has no such gate).
    pub tool_pair_share: f64,
    /// Longest summary of a tool unit, characters. 8,000.
    pub tool_pair_summary_chars: usize,
    /// Summarise before the window fills; off by default.
    pub proactive: Option<Proactive>,
    /// Tokens of conversation that are summarised in one request. 4,096.
    pub chunk_tokens: u64,
    /// A message of this size is summarised in a request of its own, tokens. 2,048.
    pub oversize_tokens: u64,
    /// Requests that run at the same time. 4.
    pub concurrency: usize,
    /// Most requests of one compaction, retries included. 64 (zeph has no cap).
    pub max_provider_calls: u32,
    /// Longest wait for a summary, milliseconds. 120,000.
    pub llm_timeout_ms: u32,
    /// Longest wait for the goal, milliseconds. 5,000.
    pub goal_timeout_ms: u32,
    /// Whether summaries are asked for as JSON of five fields, with prose where that fails. False.
    pub structured_summaries: bool,
    /// What is taken out of a text before a model is asked to summarise it.
    pub redact: Redaction,
}

/// When to summarise before the window fills.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Proactive {
    /// A view above this is compacted, tokens. At least 1,000.
    pub threshold_tokens: u64,
    /// Room of its summary, tokens. At least 128.
    pub max_summary_tokens: u64,
}

/// Which tool results go first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Strategy {
    /// The oldest.
    OldestFirst,
    /// The least relevant to the goal; without a goal the oldest.
    TaskAware,
    /// Those with the least relevance to the goal (without a goal: the oldest) and the most in them that other results
    /// say too: relevance minus redundancy.
    Mig,
    /// Those that, alone, contribute the least to the goal: relevance and recency, times the share of a result that no
    /// other one repeats.
    TaskAwareMig,
    /// Those of no subgoal, then those of completed ones, then those of the active one.
    Subgoal,
    /// As `Subgoal`, minus redundancy.
    SubgoalMig,
}

impl Strategy {
    /// The strategy of a name, as policies spell it or as zeph's configuration does (`task_aware`; `reactive` is oldest
    /// first).
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "oldest-first" | "reactive" => Self::OldestFirst,
            "task-aware" | "task_aware" => Self::TaskAware,
            "mig" => Self::Mig,
            "task-aware-mig" | "task_aware_mig" => Self::TaskAwareMig,
            "subgoal" => Self::Subgoal,
            "subgoal-mig" | "subgoal_mig" => Self::SubgoalMig,
            _ => return None,
        })
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            soft: 0.60,
            hard: 0.90,
            soft_target: 0.50,
            hard_target: 0.55,
            preserve_tail_messages: 6,
            protect_tail_tokens: 40_000,
            protect_tools: Vec::new(),
            strategy: Strategy::OldestFirst,
            summary_role: "user".to_owned(),
            shrink_last_user: false,
            placeholder: PLACEHOLDER.to_owned(),
            recall_declared: false,
            cooldown_turns: 2,
            tool_call_cutoff: 6,
            tool_pair_share: 0.25,
            tool_pair_summary_chars: 8_000,
            proactive: None,
            chunk_tokens: 4_096,
            oversize_tokens: 2_048,
            concurrency: 4,
            max_provider_calls: 64,
            llm_timeout_ms: 120_000,
            goal_timeout_ms: 5_000,
            structured_summaries: false,
            redact: Redaction::default(),
        }
    }
}

/// The standard text in place of a pruned tool result.
pub(crate) const PLACEHOLDER: &str = "[tool result of {tokens} tokens pruned]";

/// Name of the tool that returns what was pruned or hidden.
pub(crate) const RECALL: &str = "recall";

/// Largest share of the limit that the token-based tail may take, so that it scales down with the window. zeph protects
/// 40,000 tokens whatever the window, which in a small one protects everything (B-40).
const TAIL_SHARE: f64 = 0.30;

impl Policy {
    /// Checks every range.
    ///
    /// # Errors
    /// [`Error::InvalidOption`] naming the field.
    pub fn validate(&self) -> Result<()> {
        Ok(self.check()?)
    }

    /// The same, below the API.
    pub(crate) fn check(&self) -> Boxed<()> {
        let shares = [
            ("policy.soft", self.soft),
            ("policy.hard", self.hard),
            ("policy.softTarget", self.soft_target),
            ("policy.hardTarget", self.hard_target),
        ];
        for (name, share) in shares {
            if !(share > 0.0 && share <= 1.0) {
                return Err(Error::option(name, format_args!("must be above 0 and at most 1")));
            }
        }
        let ordered = [
            ("policy.softTarget", self.soft_target, "policy.soft", self.soft),
            // Else a hard compaction would be followed by a soft one at once.
            ("policy.hardTarget", self.hard_target, "policy.soft", self.soft),
        ];
        for (target, low, trigger, high) in ordered {
            if low > high {
                return Err(Error::option(target, format_args!("must not be above {trigger}")));
            }
        }
        if self.soft > self.hard {
            return Err(Error::option("policy.soft", format_args!("must not be above policy.hard")));
        }
        if !["user", "assistant", "system", "developer"].contains(&self.summary_role.as_str()) {
            return Err(Error::option(
                "policy.summaryRole",
                format_args!("must be user, assistant, system or developer, but is \"{}\"", self.summary_role),
            ));
        }
        if !(0.0..=1.0).contains(&self.tool_pair_share) {
            return Err(Error::option("policy.toolPairShare", format_args!("must be from 0 to 1")));
        }
        let least: [(&str, u64, u64); 6] = [
            ("policy.chunkTokens", self.chunk_tokens, 64),
            ("policy.oversizeTokens", self.oversize_tokens, 32),
            ("policy.concurrency", self.concurrency as u64, 1),
            ("policy.toolPairSummaryChars", self.tool_pair_summary_chars as u64, 40),
            (
                "policy.proactive.thresholdTokens",
                self.proactive.map_or(1_000, |proactive| proactive.threshold_tokens),
                1_000,
            ),
            (
                "policy.proactive.maxSummaryTokens",
                self.proactive.map_or(128, |proactive| proactive.max_summary_tokens),
                128,
            ),
        ];
        for (name, given, least) in least {
            if given < least {
                return Err(Error::option(name, format_args!("must be at least {least}, but is {given}")));
            }
        }
        if self.placeholder.len() > 1_000 {
            return Err(Error::option("policy.placeholder", format_args!("must be at most 1,000 bytes long")));
        }
        Ok(())
    }

    /// Tokens of the protected tail under this limit.
    pub(crate) fn tail_tokens(&self, limit: u64) -> u64 {
        self.protect_tail_tokens.min(crate::budget::share(limit, TAIL_SHARE))
    }
}
