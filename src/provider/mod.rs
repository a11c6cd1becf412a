//! The port to a model: one request in, text out.
//!
//! The core never reads a clock and never opens a connection: an adapter does, keeps to the deadline of a request, and
//! says in one of a few classes what went wrong.

#[cfg(all(target_family = "wasm", feature = "session"))]
pub(crate) mod callback;
mod calls;
mod context_length;
#[cfg(all(target_family = "wasm", feature = "session"))]
pub(crate) mod fetch;
mod guarded;
pub mod wire;

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use serde::{Deserialize, Serialize};

pub(crate) use calls::{Asked, Calls, NoText, Shown, in_order};
pub use guarded::{Fallback, Guarded, Limits, Progress, Runtime, Shared, Sleep};

/// A request under way. Dropping it is how the core gives up on it.
pub type Pending<'p> = Pin<Box<dyn Future<Output = std::result::Result<Answer, ProviderError>> + 'p>>;

/// Something that answers requests: a model behind an endpoint, a function of the host, a script in a test.
pub trait Provider {
    /// Asks the model.
    fn complete<'p>(&'p self, request: &'p Request) -> Pending<'p>;

    /// What the model reads and writes at most, tokens. Requests are kept within it.
    fn window(&self) -> u64 {
        DEFAULT_WINDOW
    }

    /// Whether it can put a request behind the beginning of the chat itself: it is the chat's own model, and knows the
    /// chat's messages. What its prompt cache holds of them is then read at a fraction of the price.
    fn reads_prefix(&self) -> bool {
        false
    }

    /// Whether it has sent a failed request again itself, where that might have helped.
    fn retries(&self) -> bool {
        false
    }
}

/// Small enough for every model that one would summarise with.
pub const DEFAULT_WINDOW: u64 = 16_000;

/// What a request is for; hosts may choose a model by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Purpose {
    /// A note that replaces a run of messages, or one chunk of it.
    Summary,
    /// One note made of several.
    Consolidation,
    /// A few sentences on a tool call and its result.
    ToolPair,
    /// What the user is working on.
    Goal,
    /// Which part of it is under way.
    Subgoal,
    /// What summaries should not leave out again.
    Guidelines,
}

impl Purpose {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Summary, Self::Consolidation, Self::ToolPair, Self::Goal, Self::Subgoal, Self::Guidelines];
}

/// One message of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestMessage {
    /// `user`, in all requests of this version.
    pub role: String,
    /// Its text.
    pub content: String,
}

/// One request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Request {
    /// Which request of the compaction this is, from 1; attempts at it have the same.
    pub number: u32,
    /// What it is for.
    pub purpose: Purpose,
    /// What the model reads.
    pub messages: Vec<RequestMessage>,
    /// Size of `messages` by the counter in use, tokens.
    pub tokens: u64,
    /// Longest answer that is of use, tokens.
    pub max_tokens: u64,
    /// Longest wait, milliseconds, for everything that it takes to get the answer. The adapter keeps it.
    pub timeout_ms: u32,
    /// Where given, `messages` come after so many of the messages that the chat's own model was sent last, as they were
    /// sent (what `previous` led to, and what was appended since). Only providers that
    /// [read them](Provider::reads_prefix) are asked so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<usize>,
}

/// What a model answered.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Answer {
    /// Its text.
    pub text: String,
    /// What it was charged for, where that is known.
    pub usage: Option<Usage>,
    /// Why it ends.
    pub stop: Stop,
}

/// Tokens by the provider's own count.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Usage {
    /// Read.
    pub input_tokens: u64,
    /// Written.
    pub output_tokens: u64,
}

/// Why an answer ends.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Stop {
    /// It was complete.
    #[default]
    End,
    /// `max_tokens` was reached.
    Length,
    /// The model or a filter refused.
    Refused,
}

/// What kind of failure, each with a stable name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ErrorClass {
    /// The request is longer than the model reads.
    ContextLength,
    /// Too many requests.
    RateLimited,
    /// The service is down or overloaded.
    Unavailable,
    /// The key is missing or wrong.
    Auth,
    /// The service does not take the request as it is.
    BadRequest,
    /// The model or a filter refused.
    Refused,
    /// The answer was cut off.
    Truncated,
    /// The answer holds no text.
    Blank,
    /// The answer cannot be read.
    Malformed,
    /// No answer in time.
    Timeout,
    /// The host does not want it any more.
    Aborted,
    /// The service cannot be reached.
    Network,
    /// The browser hides why.
    Opaque,
}

impl ErrorClass {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::ContextLength,
        Self::RateLimited,
        Self::Unavailable,
        Self::Auth,
        Self::BadRequest,
        Self::Refused,
        Self::Truncated,
        Self::Blank,
        Self::Malformed,
        Self::Timeout,
        Self::Aborted,
        Self::Network,
        Self::Opaque,
    ];

    /// Its name, e.g. `rate_limited`.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.code().get("provider_".len()..).unwrap_or_default()
    }

    /// Its code as an error, e.g. `provider_rate_limited`.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::ContextLength => "provider_context_length",
            Self::RateLimited => "provider_rate_limited",
            Self::Unavailable => "provider_unavailable",
            Self::Auth => "provider_auth",
            Self::BadRequest => "provider_bad_request",
            Self::Refused => "provider_refused",
            Self::Truncated => "provider_truncated",
            Self::Blank => "provider_blank",
            Self::Malformed => "provider_malformed",
            Self::Timeout => "provider_timeout",
            Self::Aborted => "provider_aborted",
            Self::Network => "provider_network",
            Self::Opaque => "provider_opaque",
        }
    }

    /// Whether it says that no answer came, rather than that the answer is of no use.
    pub(crate) fn is_no_answer(self) -> bool {
        matches!(self, Self::RateLimited | Self::Unavailable | Self::Timeout | Self::Network | Self::Truncated)
    }

    /// Whether the same request may succeed a moment later.
    pub(crate) fn may_pass(self) -> bool {
        matches!(
            self,
            Self::RateLimited
                | Self::Unavailable
                | Self::Truncated
                | Self::Blank
                | Self::Malformed
                | Self::Timeout
                | Self::Network
        )
    }
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProviderError {
    /// What kind of failure.
    pub class: ErrorClass,
    /// The same in words.
    pub message: String,
    /// For `context_length`: what the model reads at most, tokens, where the service says so.
    pub limit: Option<u64>,
    /// How long the service asks to wait before the next request, milliseconds.
    pub retry_after_ms: Option<u64>,
}

impl ProviderError {
    /// A failure of this class.
    #[must_use]
    pub fn new(class: ErrorClass, message: impl Into<String>) -> Self {
        Self { class, message: message.into(), limit: None, retry_after_ms: None }
    }

    /// The failure that a service's answer tells of: a request that was too long is recognised by its words, whatever
    /// the service and its status.
    #[must_use]
    pub fn from_response(status: Option<u16>, message: &str) -> Self {
        if let Some(overflow) = context_length::overflow(status, message) {
            let error = Self::new(ErrorClass::ContextLength, message);
            return Self { limit: overflow.limit, ..error };
        }
        Self::new(status.filter(|status| *status != 0).map_or(ErrorClass::Network, wire::class_of), message)
    }
}

impl fmt::Display for ProviderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.class.name(), self.message)
    }
}

/// The models of a host. Those for tool units and for the goal fall back to the one for summaries.
#[derive(Clone, Copy, Default)]
pub struct Providers<'p> {
    /// For summaries.
    pub summary: Option<&'p dyn Provider>,
    /// For summaries of tool units.
    pub tool_pair: Option<&'p dyn Provider>,
    /// For goals and subgoals.
    pub goal: Option<&'p dyn Provider>,
    /// What the host takes out of every text before it leaves, after [`Policy::redact`](crate::Policy) has been applied.
    pub redact: Option<&'p dyn Fn(&str) -> String>,
}

impl<'p> Providers<'p> {
    /// One model for everything.
    #[must_use]
    pub fn all(provider: &'p dyn Provider) -> Self {
        Self { summary: Some(provider), ..Self::default() }
    }

    /// The model for a purpose.
    pub(crate) fn of(&self, purpose: Purpose) -> Option<&'p dyn Provider> {
        match purpose {
            Purpose::ToolPair => self.tool_pair.or(self.summary),
            Purpose::Goal | Purpose::Subgoal => self.goal.or(self.summary),
            _ => self.summary,
        }
    }
}

impl fmt::Debug for Providers<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let set = |provider: Option<&dyn Provider>| provider.is_some();
        write!(
            f,
            "Providers {{ summary: {}, tool_pair: {}, goal: {}, redact: {} }}",
            set(self.summary),
            set(self.tool_pair),
            set(self.goal),
            self.redact.is_some()
        )
    }
}
