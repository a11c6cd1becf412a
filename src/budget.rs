//! Budgets: how many tokens there are, and when and how far to compact.

use crate::error::{Boxed, Error, Result};
use crate::policy::Policy;
use crate::transcript::Tier;

/// More than any model's window by far; a larger number is a mistake in the host's arithmetic.
pub const MAX_TOKENS: u64 = 1_000_000_000;

/// Share of the window that is kept free for the answer when the host does not say: zeph's 20 %.
const DEFAULT_RESERVE_PERCENT: u64 = 20;

/// How many tokens the model's input may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Budget {
    /// A hard limit on the whole input: nothing is edited when it fits, else the limit is filled.
    Limit(u64),
    /// A window with thresholds, so that a compaction leaves room to grow.
    Window {
        /// Size of the context window, tokens.
        window: u64,
        /// Tokens kept free for the answer; `None` is 20 % of the window.
        reserve: Option<u64>,
        /// Tokens that the host adds besides.
        overhead: u64,
    },
}

impl Budget {
    /// What the input may have at most: the number itself, or `window - reserve - overhead`.
    ///
    /// # Errors
    /// [`Error::InvalidOption`] for 0, for more than [`MAX_TOKENS`], and when nothing is left.
    pub fn limit(self) -> Result<u64> {
        Ok(self.checked_limit()?)
    }

    /// The same, below the API.
    pub(crate) fn checked_limit(self) -> Boxed<u64> {
        match self {
            Self::Limit(limit) => in_range("budget", limit),
            Self::Window { window, reserve, overhead } => {
                let window = in_range("budget.window", window)?;
                let reserve = reserve.unwrap_or(window * DEFAULT_RESERVE_PERCENT / 100);
                let limit = window.saturating_sub(reserve).saturating_sub(overhead);
                if limit == 0 {
                    return Err(Error::option(
                        "budget",
                        format_args!("window {window} - reserve {reserve} - overhead {overhead} leaves no tokens"),
                    ));
                }
                Ok(limit)
            }
        }
    }

    /// What a history of `tokens` calls for: the tier, and the size to bring it down to.
    pub(crate) fn goal(self, limit: u64, tokens: u64, policy: &Policy) -> Goal {
        match self {
            Self::Limit(_) if tokens <= limit => Goal { tier: Tier::None, target: limit, soft: limit, hard: limit },
            Self::Limit(_) => Goal { tier: Tier::Hard, target: limit, soft: limit, hard: limit },
            Self::Window { .. } => {
                // Strictly greater, as zeph has it.
                let (soft, hard) = (share(limit, policy.soft), share(limit, policy.hard));
                if tokens > hard {
                    Goal { tier: Tier::Hard, target: share(limit, policy.hard_target), soft, hard }
                } else if tokens > soft {
                    Goal { tier: Tier::Soft, target: share(limit, policy.soft_target), soft, hard }
                } else {
                    Goal { tier: Tier::None, target: limit, soft: limit, hard: limit }
                }
            }
        }
    }
}

/// How a host may divide what a window leaves beside answer, system prompt and skills among what it injects. zeph's table
/// (its section 3.1), in whole percent, so that nothing is lost to rounding before the last step (B-31).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Allocation {
    /// Kept free for the answer, tokens.
    pub response_reserve: u64,
    /// For summaries of earlier conversations, tokens.
    pub summaries: u64,
    /// For what was found by meaning, tokens.
    pub semantic_recall: u64,
    /// For what other conversations said, tokens.
    pub cross_session: u64,
    /// For code, tokens.
    pub code_context: u64,
    /// For facts of a graph, tokens.
    pub graph_facts: u64,
    /// For the conversation itself, tokens.
    pub recent_history: u64,
}

/// Which row of the table.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AllocationOptions {
    /// Share of the window that is kept free for the answer, percent. zeph's default is 20.
    pub reserve_percent: u64,
    /// Tokens of system prompt and skills.
    pub prompts: u64,
    /// Tokens of the digest of an earlier session.
    pub digest: u64,
    /// There is a graph of facts.
    pub graph: bool,
    /// Memory instead of recent history.
    pub memory_first: bool,
}

impl Allocation {
    /// The shares of a window of this size, tokens. All zero for an empty window.
    #[must_use]
    pub fn of(window: u64, options: AllocationOptions) -> Self {
        // Summaries, recall, other sessions, code, graph, history.
        let percent: [u64; 6] = match (options.memory_first, options.graph) {
            (false, false) => [8, 8, 4, 30, 0, 50],
            (false, true) => [7, 7, 3, 29, 4, 50],
            (true, false) => [25, 25, 15, 35, 0, 0],
            (true, true) => [22, 22, 12, 38, 6, 0],
        };
        let response_reserve = window.saturating_mul(options.reserve_percent) / 100;
        let available = window.saturating_sub(response_reserve).saturating_sub(options.prompts);
        let available = available - options.digest.min(available);
        let [summaries, semantic_recall, cross_session, code_context, graph_facts, recent_history] =
            percent.map(|percent| available.saturating_mul(percent) / 100);
        Self { response_reserve, summaries, semantic_recall, cross_session, code_context, graph_facts, recent_history }
    }
}

/// What to aim at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Goal {
    /// How far the compaction may go.
    pub tier: Tier,
    /// Size to bring the view down to, tokens.
    pub target: u64,
    /// The size above which tool results are pruned, tokens.
    pub soft: u64,
    /// The size above which messages are hidden, tokens.
    pub hard: u64,
}

impl Goal {
    /// The target where `fixed` tokens cannot be given up: the same share of the room above them. Else a history with a
    /// large fixed part would be compacted a little on every turn, in vain. The result never calls for another pass: it
    /// is below the soft trigger, and where what is fixed is above that trigger, only the hard one counts.
    pub(crate) fn target_above(self, fixed: u64, limit: u64) -> u64 {
        let ceiling = if fixed < self.soft {
            self.soft
        } else if self.tier == Tier::Soft {
            return limit;
        } else if fixed < self.hard {
            self.hard
        } else {
            limit
        };
        let above = ceiling.saturating_sub(fixed).saturating_mul(self.target) / ceiling.max(1);
        self.target.max(fixed.saturating_add(above)).min(limit)
    }
}

fn in_range(option: &str, tokens: u64) -> Boxed<u64> {
    if (1..=MAX_TOKENS).contains(&tokens) {
        Ok(tokens)
    } else {
        Err(Error::option(option, format_args!("must be a number of tokens from 1 to {MAX_TOKENS}, but is {tokens}")))
    }
}

/// `share` of `limit`, rounded down. Shares are validated to lie in 0..=1, so the cast is exact enough and in range.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
pub(crate) fn share(limit: u64, share: f64) -> u64 {
    (limit as f64 * share) as u64
}
