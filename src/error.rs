//! The one error type, with codes that never change.

use std::fmt::Arguments;

use serde::Serialize;

use crate::provider::ProviderError;

/// Everything that can go wrong, each with a stable [`code`](Error::code).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The input is not what the format prescribes.
    #[error("{}", at(*.index, .field.as_deref(), .reason))]
    InvalidInput {
        /// Message index, when one message is to blame.
        index: Option<usize>,
        /// Field of that message, e.g. `tool_calls[1].id`.
        field: Option<String>,
        /// What is wrong, as a sentence without a full stop.
        reason: String,
    },
    /// An option is missing or out of range.
    #[error("option `{option}`: {reason}")]
    InvalidOption {
        /// Name of the option, e.g. `budget`.
        option: String,
        /// What is wrong and what is allowed.
        reason: String,
    },
    /// The messages are in no format that this version reads.
    #[error("{reason}")]
    UnknownFormat {
        /// The message that gave it away.
        index: Option<usize>,
        /// The format that it looks like.
        looks_like: Option<String>,
        /// What was looked for.
        reason: String,
    },
    /// A field that must be read is nested deeper than [`MAX_DEPTH`](crate::value::MAX_DEPTH).
    #[error("message {index}: `{field}` is nested deeper than 128 levels")]
    TooDeep {
        /// Message index.
        index: usize,
        /// Field of that message.
        field: String,
    },
    /// The input is larger than the module accepts.
    #[error("the messages hold more than {limit} bytes of text")]
    TooLarge {
        /// The message at which the limit was passed.
        index: Option<usize>,
        /// Bytes seen until then.
        bytes: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// Nothing that may be edited is left and the rest is still over the limit.
    #[error(
        "the budget of {limit} tokens cannot be met: what may not be edited needs {required} \
         (system and tools given beside {}, system messages {}, pinned {}, last user message {}, \
         open tool calls {}, structure {})",
        .breakdown.overhead, .breakdown.system, .breakdown.pinned, .breakdown.last_user,
        .breakdown.open_tool_unit, .breakdown.structure
    )]
    IrreducibleBudget {
        /// The limit, tokens.
        limit: u64,
        /// The smallest size that these messages can be brought to, tokens.
        required: u64,
        /// What makes it up.
        breakdown: Breakdown,
    },
    /// The plan was made from other messages.
    #[error("the plan was made from other messages; make a new one")]
    StalePlan,
    /// The host gave up.
    #[error("aborted")]
    Aborted,
    /// A model failed, and the host wants to know instead of having a summary made without one.
    #[error("the provider failed: {}", .0.message)]
    Provider(ProviderError),
    /// The store could not do what was asked of it.
    #[cfg(any(not(target_family = "wasm"), feature = "session"))]
    #[error("the store failed: {}", .0.message)]
    Store(crate::store::StoreError),
    /// The session has been closed.
    #[cfg(any(not(target_family = "wasm"), feature = "session"))]
    #[error("the session has been closed")]
    Closed,
    /// The view was changed, or an original is missing.
    #[error("cannot undo: {reason}")]
    CannotUndo {
        /// The message at which the mismatch was found.
        index: Option<usize>,
        /// What does not match.
        reason: String,
    },
}

/// The parts of an irreducible size, in tokens. They add up to `required`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Breakdown {
    /// `system` and `tools` given beside the messages.
    pub overhead: u64,
    /// System and developer messages.
    pub system: u64,
    /// Pinned messages.
    pub pinned: u64,
    /// The last user message.
    pub last_user: u64,
    /// The open tool unit, its results shrunk as far as they may be.
    pub open_tool_unit: u64,
    /// What keeps the result valid: partners of pinned messages, stand-ins, placeholders.
    pub structure: u64,
}

impl Error {
    /// The stable code, as in the JavaScript API.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::InvalidInput { .. } => "invalid_input",
            Self::InvalidOption { .. } => "invalid_option",
            Self::UnknownFormat { .. } => "unknown_format",
            Self::TooDeep { .. } => "too_deep",
            Self::TooLarge { .. } => "too_large",
            Self::IrreducibleBudget { .. } => "irreducible_budget",
            Self::StalePlan => "stale_plan",
            Self::CannotUndo { .. } => "cannot_undo",
            Self::Aborted => "aborted",
            Self::Provider(error) => error.class.code(),
            #[cfg(any(not(target_family = "wasm"), feature = "session"))]
            Self::Store(error) => error.class.code(),
            #[cfg(any(not(target_family = "wasm"), feature = "session"))]
            Self::Closed => "closed",
        }
    }

    /// A fault in one field of one message. (Not generic and out of line: there are many callers, and none is hot.)
    #[cold]
    #[inline(never)]
    pub(crate) fn field(index: usize, field: Arguments<'_>, reason: Arguments<'_>) -> Box<Self> {
        let (field, reason) = (Some(field.to_string()), reason.to_string());
        Box::new(Self::InvalidInput { index: Some(index), field, reason })
    }

    /// A fault in the messages, or in one of them as a whole.
    #[cold]
    #[inline(never)]
    pub(crate) fn input(index: Option<usize>, reason: Arguments<'_>) -> Box<Self> {
        Box::new(Self::InvalidInput { index, field: None, reason: reason.to_string() })
    }

    /// A fault in an option.
    #[cold]
    #[inline(never)]
    pub(crate) fn option(option: &str, reason: Arguments<'_>) -> Box<Self> {
        Box::new(Self::InvalidOption { option: option.to_owned(), reason: reason.to_string() })
    }

    /// A view that cannot be taken apart.
    #[cold]
    #[inline(never)]
    pub(crate) fn cannot_undo(index: Option<usize>, reason: &str) -> Box<Self> {
        Box::new(Self::CannotUndo { index, reason: reason.to_owned() })
    }
}

fn at(index: Option<usize>, field: Option<&str>, reason: &str) -> String {
    match (index, field) {
        (Some(index), Some(field)) => format!("message {index}: `{field}` {reason}"),
        (Some(index), None) => format!("message {index} {reason}"),
        _ => reason.to_owned(),
    }
}

impl From<Box<Error>> for Error {
    fn from(error: Box<Error>) -> Self {
        *error
    }
}

/// What the functions of this crate return.
pub type Result<T> = std::result::Result<T, Error>;

/// What everything below the API returns: by value, the 72 bytes of an error would be moved at every `?`.
pub(crate) type Boxed<T> = std::result::Result<T, Box<Error>>;
