//! Every tunable, in one validated struct.

use serde::{Deserialize, Serialize};

use crate::error::{Boxed, Error, Result};

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
    /// Text left in place of a pruned tool result; `{tokens}` becomes its size.
    pub placeholder: String,
}

/// Which tool results go first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Strategy {
    /// The oldest.
    OldestFirst,
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
            placeholder: "[tool result of {tokens} tokens pruned]".to_owned(),
        }
    }
}

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
