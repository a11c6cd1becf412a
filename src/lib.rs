//! Epitome keeps an LLM conversation inside its context window.
//!
//! Give it messages and a budget; get back messages that the provider accepts and that fit, with every untouched
//! message identical to the byte, and a way back to the original.
//!
//! ```
//! use epitome::{FitOptions, Messages, fit, undo};
//!
//! let history = Messages::from_json(r#"[
//!     {"role": "system", "content": "You are terse."},
//!     {"role": "user", "content": "What is the capital of France?"},
//!     {"role": "assistant", "content": "Paris."},
//!     {"role": "user", "content": "And of Peru?"}
//! ]"#)?;
//! let fitted = fit(&history, &FitOptions::new(8_000))?;
//! assert!(fitted.report.after <= 8_000);
//! assert_eq!(undo(&fitted.messages, &fitted.patch, &history)?, history);
//! # Ok::<(), epitome::Error>(())
//! ```
//!
//! Sizes are tokens by the [`TokenCounter`] in use; the built-in [`Heuristic`] errs on the safe side. Offsets never
//! appear in the API: an edit names a message and a field and carries the new text.

// Errors are boxed below the API (see `error::Boxed`), and so they are where they are made.
#![allow(clippy::unnecessary_box_returns)]

// Only the border calls these.
#[cfg(target_family = "wasm")]
mod api;
mod budget;
mod conversation;
mod engine;
mod error;
mod fields;
mod focus;
mod format;
mod guards;
mod guidelines;
mod json;
mod ladder;
mod message;
mod options;
mod order;
mod policy;
mod provider;
mod prune;
#[cfg(any(not(target_family = "wasm"), feature = "session"))]
mod recall;
mod redact;
#[cfg(any(not(target_family = "wasm"), feature = "session"))]
mod session;
mod shrink;
#[cfg(any(not(target_family = "wasm"), feature = "session"))]
pub mod store;
mod summarize;
mod text;
mod tokens;
mod transcript;
mod value;
// Natively only the wire format is compiled, for its tests.
#[cfg_attr(not(target_family = "wasm"), allow(dead_code))]
mod wasm;

/// The border to JavaScript, for its own tests; not part of the API.
#[cfg(target_family = "wasm")]
#[doc(hidden)]
pub use wasm::exports as border;

pub use budget::{Allocation, AllocationOptions, Budget, MAX_TOKENS};
pub use conversation::{Conversation, ConversationOptions, Done, State, Status};
pub use error::{Breakdown, Error, Result};
pub use focus::{Entry, FocusError, FocusPolicy, Knowledge, Source};
pub use format::Format;
pub use guards::{Counters, Guards, Phase};
pub use guidelines::{Category, FailurePair, Guidelines, GuidelinesPolicy};
pub use json::Messages;
pub use options::FitOptions;
pub use policy::{Policy, Proactive, Strategy};
pub use provider::{
    Answer, DEFAULT_WINDOW, ErrorClass, Fallback, Guarded, Limits, Pending, Progress, Provider, ProviderError,
    Providers, Purpose, Request, RequestMessage, Runtime, Shared, Sleep, Stop, Usage, wire,
};
pub use redact::Redaction;
#[cfg(any(not(target_family = "wasm"), feature = "session"))]
pub use session::{
    CompactionInfo, Election, EntryId, HistoryEntry, Meter, Overflow, Prepared, RECALL_DESCRIPTION, RECALL_PARAMETERS,
    Recalled, Retention, Session, SessionEvent, SessionHost, SessionOptions, Synced, Usage as SessionUsage, ViewItem,
    Visibility, import,
};
pub use tokens::{Heuristic, TokenCounter};
pub use transcript::{
    Change, Edit, Layout, LayoutItem, ModelUse, Patch, Plan, Repair, Report, SourceMark, Step, Summary, Tier, ViewMark,
    Violation, Warning,
};

/// What [`fit`] and [`apply`] return.
#[derive(Debug, Clone)]
pub struct Fitted {
    /// What to send.
    pub messages: Messages,
    /// What happened, in numbers.
    pub report: Report,
    /// The compaction as plain JSON: keep it for [`undo`] and as `previous` of the next call.
    pub patch: Patch,
}

/// Fits messages to a budget, with the built-in token counter.
///
/// # Errors
/// [`Error::InvalidInput`], [`Error::InvalidOption`], [`Error::UnknownFormat`], [`Error::TooDeep`], and
/// [`Error::IrreducibleBudget`] when what may not be edited is larger than the budget.
pub fn fit(messages: &Messages, options: &FitOptions) -> Result<Fitted> {
    fit_with(messages, options, &Heuristic)
}

/// Fits messages to a budget, with this token counter.
///
/// # Errors
/// As [`fit`].
pub fn fit_with(messages: &Messages, options: &FitOptions, counter: &dyn TokenCounter) -> Result<Fitted> {
    let outcome = engine::fit(input(messages, options)?, options, counter)?;
    Ok(Fitted { messages: messages.cook(&outcome.recipe)?, report: outcome.report, patch: outcome.patch })
}

/// What [`compact`] takes beside the messages.
#[derive(Debug, Clone)]
pub struct CompactOptions<'p> {
    /// As for [`fit`].
    pub fit: FitOptions,
    /// Who writes the summaries; without any this is [`fit`].
    pub providers: Providers<'p>,
    /// What every summary has to heed.
    pub instructions: Option<String>,
    /// Whether it is an error if a failure of the model left something without a summary of its own. If not (the default), the summary that was made without one stays, and
    /// a warning says what happened.
    pub fails_with_provider: bool,
    /// Ask the chat's own model behind the chat as it was sent to it, so that its prompt cache serves most of the request:
    /// for providers that [can](Provider::reads_prefix). Costs the whole prefix, at the price of cached input, for each
    /// summary, instead of what is summarised at full price; the model reads everything in its place; and nothing is
    /// redacted, since that would change the prefix, and the model has seen it.
    pub cached_prefix: bool,
}

impl<'p> CompactOptions<'p> {
    /// Defaults, with a hard limit of `tokens`.
    #[must_use]
    pub fn new(tokens: u64, providers: Providers<'p>) -> Self {
        Self {
            fit: FitOptions::new(tokens),
            providers,
            instructions: None,
            fails_with_provider: false,
            cached_prefix: false,
        }
    }
}

/// Fits messages to a budget as [`fit_with`] does, with summaries written by models.
///
/// At most [`Policy::max_provider_calls`] requests are made, retries included. Whatever they come to, the messages fit.
///
/// # Errors
/// As [`fit`]; [`Error::Aborted`]; with `fails_with_provider` also [`Error::Provider`].
pub async fn compact(messages: &Messages, options: &CompactOptions<'_>, counter: &dyn TokenCounter) -> Result<Fitted> {
    let outcome = compacted(input(messages, &options.fit)?, options, counter).await?;
    Ok(Fitted { messages: messages.cook(&outcome.recipe)?, report: outcome.report, patch: outcome.patch })
}

/// [`compact`] below the API: from a neutral tree to a decision.
pub(crate) async fn compacted(
    input: engine::Input<'_>,
    options: &CompactOptions<'_>,
    counter: &dyn TokenCounter,
) -> error::Boxed<engine::Outcome> {
    let calls = provider::Calls::new(&options.fit.policy, options.providers, counter);
    let wishes = summarize::Wishes { instructions: options.instructions.as_deref(), ..summarize::Wishes::default() };
    let mut outcome = engine::compact(input, &options.fit, counter, &calls, wishes, options.cached_prefix).await?;
    if options.fails_with_provider
        && let Some(failure) = calls.fatal()
    {
        return Err(Box::new(Error::Provider(failure)));
    }
    outcome.report.models = calls.spent();
    Ok(outcome)
}

/// The same decision as [`fit`], not yet carried out.
///
/// # Errors
/// As [`fit`].
pub fn plan(messages: &Messages, options: &FitOptions) -> Result<Plan> {
    plan_with(messages, options, &Heuristic)
}

/// The same decision as [`fit_with`], not yet carried out.
///
/// # Errors
/// As [`fit`].
pub fn plan_with(messages: &Messages, options: &FitOptions, counter: &dyn TokenCounter) -> Result<Plan> {
    Ok(engine::plan(input(messages, options)?, options, counter)?)
}

/// Carries a plan out.
///
/// # Errors
/// [`Error::StalePlan`] when the messages are no longer those that the plan was made from.
pub fn apply(messages: &Messages, plan: &Plan) -> Result<Fitted> {
    let recipe = engine::apply(messages.to_value()?, plan.version, &plan.patch)?;
    Ok(Fitted { messages: messages.cook(&recipe)?, report: plan.report.clone(), patch: plan.patch.clone() })
}

/// The messages as they were before a patch. `view` may have grown at its end; `originals` are the messages that the
/// patch was made from.
///
/// # Errors
/// [`Error::CannotUndo`] when the view was changed or an original is missing.
pub fn undo(view: &Messages, patch: &Patch, originals: &Messages) -> Result<Messages> {
    if !engine::is_source(originals.to_value()?, patch) {
        return Err(Error::CannotUndo { index: None, reason: "these are not the originals of the patch".into() });
    }
    let restore = engine::undo(view.to_value()?, patch)?;
    Ok(view.restore(&restore.restore, originals)?)
}

/// Lists what the format's rules forbid in these messages.
///
/// # Errors
/// [`Error::InvalidInput`], [`Error::UnknownFormat`], [`Error::TooDeep`].
pub fn validate(messages: &Messages, format: Option<Format>) -> Result<Vec<Violation>> {
    Ok(engine::validate(messages.to_value()?, format)?)
}

/// Mends what [`validate`] finds, with the smallest change that the format allows.
///
/// # Errors
/// As [`validate`].
pub fn repair(messages: &Messages, format: Option<Format>) -> Result<(Messages, Vec<Repair>)> {
    let repaired = engine::repair(messages.to_value()?, format, &Heuristic)?;
    Ok((messages.cook(&repaired.recipe)?, repaired.repairs))
}

/// Tokens of messages, structure included.
///
/// # Errors
/// As [`validate`].
pub fn count_messages(messages: &Messages, format: Option<Format>, counter: &dyn TokenCounter) -> Result<u64> {
    Ok(engine::count_messages(messages.to_value()?, format, counter)?)
}

/// Tells the format of messages.
///
/// # Errors
/// [`Error::InvalidInput`], [`Error::UnknownFormat`].
pub fn detect_format(messages: &Messages) -> Result<Format> {
    Ok(engine::detect_format(messages.to_value()?)?)
}

fn input<'a>(messages: &'a Messages, options: &'a FitOptions) -> Result<engine::Input<'a>> {
    let beside = |option: &str, text: Option<&'a String>| {
        text.map(|text| json::parse(text, None).map_err(|error| *Error::option(option, format_args!("{error}"))))
            .transpose()
    };
    Ok(engine::Input {
        messages: messages.to_value()?,
        system: beside("system", options.system.as_ref())?,
        tools: beside("tools", options.tools.as_ref())?,
    })
}
