//! The options of a fit, and how they are read from a neutral tree with exact names in every error.

use serde_json::value::RawValue;

use crate::budget::{Budget, MAX_TOKENS};
use crate::error::{Boxed, Error, Result};
use crate::format::Format;
use crate::policy::{Policy, Proactive, Strategy};
use crate::redact::Redaction;
use crate::text::{clip, joined};
use crate::transcript::Patch;
use crate::value::Value;

/// Options of [`fit`](crate::fit) and [`plan`](crate::plan).
#[derive(Debug, Clone)]
pub struct FitOptions {
    /// How many tokens the input may have.
    pub budget: Budget,
    /// Every tunable.
    pub policy: Policy,
    /// Messages that must never be edited, by index.
    pub pin: Vec<usize>,
    /// The patch of an earlier call whose messages are a prefix of these.
    pub previous: Option<Patch>,
    /// What the user is working on, for strategies that ask; what the user said last when `None`.
    pub goal: Option<String>,
    /// The format; detected when `None`.
    pub format: Option<Format>,
    /// A system prompt sent beside the messages, as JSON. Counted, never edited.
    pub system: Option<String>,
    /// Tool definitions sent beside the messages, as JSON. Counted, never edited.
    pub tools: Option<String>,
}

impl FitOptions {
    /// Defaults, with a hard limit of `tokens`.
    #[must_use]
    pub fn new(tokens: u64) -> Self {
        Self::with_budget(Budget::Limit(tokens))
    }

    /// Defaults, with this budget.
    #[must_use]
    pub fn with_budget(budget: Budget) -> Self {
        Self {
            budget,
            policy: Policy::default(),
            pin: Vec::new(),
            previous: None,
            goal: None,
            format: None,
            system: None,
            tools: None,
        }
    }

    /// Reads options as the JavaScript API takes them: `{ budget, policy?, pin?, format?, system?, tools?, previous? }`.
    ///
    /// # Errors
    /// [`Error::InvalidOption`] naming the option, for wrong types, wrong ranges and unknown names.
    pub fn from_json(text: &str) -> Result<Self> {
        #[derive(serde::Deserialize)]
        struct Beside<'j> {
            #[serde(borrow)]
            system: Option<&'j RawValue>,
            #[serde(borrow)]
            tools: Option<&'j RawValue>,
            previous: Option<Patch>,
        }
        let mut value =
            crate::json::parse(text, None).map_err(|error| Error::option("options", format_args!("{error}")))?;
        let beside: Beside<'_> = serde_json::from_str(text)
            .map_err(|error| Error::option("options", format_args!("cannot be read: {error}")))?;
        if let Value::Object(fields) = &mut value {
            fields.retain(|(name, _)| !["system", "tools", "previous"].contains(&name.as_ref()));
        }
        let mut options = Self::from_value(&value)?;
        options.system = beside.system.map(|raw| raw.get().to_owned());
        options.tools = beside.tools.map(|raw| raw.get().to_owned());
        options.previous = beside.previous;
        Ok(options)
    }

    /// Reads `{ budget, policy?, pin?, format?, model?, goal? }`.
    ///
    /// # Errors
    /// [`Error::InvalidOption`] naming the option, for wrong types, wrong ranges and unknown names.
    pub(crate) fn from_value(value: &Value<'_>) -> Boxed<Self> {
        let fields = object("options", value)?;
        let budget = value.get_some("budget").ok_or_else(|| {
            Error::option(
                "budget",
                format_args!("is missing; give a number of tokens or {{ window, reserve?, overhead? }}"),
            )
        })?;
        let mut options = Self::with_budget(read_budget(budget)?);
        for (name, value) in fields {
            if matches!(value, Value::Null) {
                continue;
            }
            match name.as_ref() {
                "budget" => {}
                "policy" => options.policy = read_policy(value)?,
                "pin" => options.pin = read_pins(value)?,
                "format" => options.format = Some(read_format(value)?),
                "goal" => options.goal = Some(string(name, value)?.to_owned()),
                "model" => {
                    string(name, value)?;
                }
                _ => {
                    return Err(unknown(
                        name,
                        "budget, system, tools, model, format, tokens, policy, goal, pin, previous, createMessage and patch",
                    ));
                }
            }
        }
        options.budget.checked_limit()?;
        options.policy.check()?;
        Ok(options)
    }
}

/// Reads a format's name.
pub(crate) fn read_format(value: &Value<'_>) -> Boxed<Format> {
    let name = string("format", value)?;
    Format::from_name(name).ok_or_else(|| {
        let known: Vec<String> = Format::ALL.iter().map(|format| format.name().to_owned()).collect();
        let (name, known) = (clip(name, 40), joined(&known, ", "));
        Box::new(Error::UnknownFormat {
            index: None,
            looks_like: None,
            reason: format!("unknown format \"{name}\"; this version reads {known}"),
        })
    })
}

fn read_budget(value: &Value<'_>) -> Boxed<Budget> {
    match value {
        Value::Number(_) => Ok(Budget::Limit(tokens("budget", value)?)),
        Value::Object(fields) => {
            let mut budget = (None, None, 0);
            for (name, value) in fields {
                if matches!(value, Value::Null) {
                    continue;
                }
                let option = format!("budget.{name}");
                match name.as_ref() {
                    "window" => budget.0 = Some(tokens(&option, value)?),
                    "reserve" => budget.1 = Some(tokens(&option, value)?),
                    "overhead" => budget.2 = tokens(&option, value)?,
                    _ => return Err(unknown(&option, "window, reserve and overhead")),
                }
            }
            let window = budget.0.ok_or_else(|| Error::option("budget.window", format_args!("is missing")))?;
            Ok(Budget::Window { window, reserve: budget.1, overhead: budget.2 })
        }
        other => Err(Error::option(
            "budget",
            format_args!(
                "is {}, but must be a number of tokens or {{ window, reserve?, overhead? }}",
                other.describe()
            ),
        )),
    }
}

/// A field to be read, by what it may hold.
enum Place<'p> {
    Share(&'p mut f64),
    Count(&'p mut usize),
    Small(&'p mut u32),
    Tokens(&'p mut u64),
    Flag(&'p mut bool),
    Text(&'p mut String),
    Names(&'p mut Vec<String>),
    Strategy(&'p mut Strategy),
    Proactive(&'p mut Option<Proactive>),
    Redaction(&'p mut Redaction),
}

const POLICY: &str = "soft, hard, softTarget, hardTarget, preserveTailMessages, protectTailTokens, protectTools, strategy, \
    summaryRole, shrinkLastUser, placeholder, recallDeclared, cooldownTurns, toolCallCutoff, toolPairShare, toolPairSummaryChars, \
    proactive, chunkTokens, oversizeTokens, concurrency, maxProviderCalls, llmTimeoutMs, goalTimeoutMs, \
    structuredSummaries and redact";

fn read_policy(value: &Value<'_>) -> Boxed<Policy> {
    let mut policy = Policy::default();
    for (name, value) in object("policy", value)? {
        if matches!(value, Value::Null) {
            continue;
        }
        let option = format!("policy.{name}");
        match place(&mut policy, name) {
            Some(place) => read_into(place, &option, value)?,
            None => return Err(unknown(&option, POLICY)),
        }
    }
    Ok(policy)
}

fn place<'p>(policy: &'p mut Policy, name: &str) -> Option<Place<'p>> {
    Some(match name {
        "soft" => Place::Share(&mut policy.soft),
        "hard" => Place::Share(&mut policy.hard),
        "softTarget" => Place::Share(&mut policy.soft_target),
        "hardTarget" => Place::Share(&mut policy.hard_target),
        "preserveTailMessages" => Place::Count(&mut policy.preserve_tail_messages),
        "protectTailTokens" => Place::Tokens(&mut policy.protect_tail_tokens),
        "protectTools" => Place::Names(&mut policy.protect_tools),
        "strategy" => Place::Strategy(&mut policy.strategy),
        "summaryRole" => Place::Text(&mut policy.summary_role),
        "shrinkLastUser" => Place::Flag(&mut policy.shrink_last_user),
        "placeholder" => Place::Text(&mut policy.placeholder),
        "recallDeclared" => Place::Flag(&mut policy.recall_declared),
        "cooldownTurns" => Place::Small(&mut policy.cooldown_turns),
        "toolCallCutoff" => Place::Count(&mut policy.tool_call_cutoff),
        "toolPairShare" => Place::Share(&mut policy.tool_pair_share),
        "toolPairSummaryChars" => Place::Count(&mut policy.tool_pair_summary_chars),
        "proactive" => Place::Proactive(&mut policy.proactive),
        "chunkTokens" => Place::Tokens(&mut policy.chunk_tokens),
        "oversizeTokens" => Place::Tokens(&mut policy.oversize_tokens),
        "concurrency" => Place::Count(&mut policy.concurrency),
        "maxProviderCalls" => Place::Small(&mut policy.max_provider_calls),
        "llmTimeoutMs" => Place::Small(&mut policy.llm_timeout_ms),
        "goalTimeoutMs" => Place::Small(&mut policy.goal_timeout_ms),
        "structuredSummaries" => Place::Flag(&mut policy.structured_summaries),
        "redact" => Place::Redaction(&mut policy.redact),
        _ => return None,
    })
}

fn read_into(place: Place<'_>, option: &str, value: &Value<'_>) -> Boxed<()> {
    match place {
        Place::Share(place) => *place = number(option, value)?,
        Place::Count(place) => *place = count(option, value)?,
        Place::Small(place) => *place = u32::try_from(count(option, value)?).unwrap_or(u32::MAX),
        Place::Tokens(place) => *place = tokens(option, value)?,
        Place::Flag(place) => match value {
            Value::Bool(flag) => *place = *flag,
            other => return Err(wrong(option, other, "true or false")),
        },
        Place::Text(place) => string(option, value)?.clone_into(place),
        Place::Names(place) => {
            for item in list(option, value)? {
                place.push(string(option, item)?.to_owned());
            }
        }
        Place::Strategy(place) => {
            let name = string(option, value)?;
            *place = Strategy::from_name(name).ok_or_else(|| {
                let known = "oldest-first, task-aware, mig, task-aware-mig, subgoal or subgoal-mig";
                Error::option(option, format_args!("must be {known}, but is \"{}\"", clip(name, 40)))
            })?;
        }
        Place::Proactive(place) => {
            let field = |name: &str| {
                let option = format!("{option}.{name}");
                tokens(&option, value.get(name).unwrap_or(&Value::Null))
            };
            object(option, value)?;
            let (threshold_tokens, max_summary_tokens) = (field("thresholdTokens")?, field("maxSummaryTokens")?);
            *place = Some(Proactive { threshold_tokens, max_summary_tokens });
        }
        Place::Redaction(place) => {
            for (name, value) in object(option, value)? {
                let option = format!("{option}.{name}");
                let place = match name.as_ref() {
                    "secrets" => Place::Flag(&mut place.secrets),
                    "paths" => Place::Flag(&mut place.paths),
                    "literals" => Place::Names(&mut place.literals),
                    _ => return Err(unknown(&option, "secrets, paths and literals")),
                };
                read_into(place, &option, value)?;
            }
        }
    }
    Ok(())
}

fn read_pins(value: &Value<'_>) -> Boxed<Vec<usize>> {
    let mut pins = Vec::new();
    for item in list("pin", value)? {
        pins.push(count("pin", item)?);
    }
    Ok(pins)
}

fn object<'v, 'a>(option: &str, value: &'v Value<'a>) -> Boxed<&'v [(std::borrow::Cow<'a, str>, Value<'a>)]> {
    match value {
        Value::Object(fields) => Ok(fields),
        other => Err(wrong(option, other, "an object")),
    }
}

fn list<'v, 'a>(option: &str, value: &'v Value<'a>) -> Boxed<&'v [Value<'a>]> {
    value.as_array().ok_or_else(|| wrong(option, value, "an array"))
}

fn string<'v>(option: &str, value: &'v Value<'_>) -> Boxed<&'v str> {
    value.as_str().ok_or_else(|| wrong(option, value, "a string"))
}

fn number(option: &str, value: &Value<'_>) -> Boxed<f64> {
    match value {
        Value::Number(number) => Ok(*number),
        other => Err(wrong(option, other, "a number")),
    }
}

/// A number of tokens: fractions are rounded down, since hosts compute budgets as shares.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
fn tokens(option: &str, value: &Value<'_>) -> Boxed<u64> {
    let tokens = number(option, value)?;
    if tokens >= 0.0 && tokens <= MAX_TOKENS as f64 {
        Ok(tokens as u64)
    } else {
        Err(Error::option(option, format_args!("must be a number of tokens from 1 to {MAX_TOKENS}")))
    }
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn count(option: &str, value: &Value<'_>) -> Boxed<usize> {
    let count = number(option, value)?;
    if count >= 0.0 && count <= f64::from(u32::MAX) && count.fract() == 0.0 {
        Ok(count as usize)
    } else {
        Err(Error::option(option, format_args!("must be a whole number, 0 or more")))
    }
}

fn wrong(option: &str, value: &Value<'_>, must: &str) -> Box<Error> {
    Error::option(option, format_args!("is {}, but must be {must}", value.describe()))
}

fn unknown(option: &str, known: &str) -> Box<Error> {
    match nearest(option, known) {
        Some(name) => Error::option(option, format_args!("is unknown; did you mean {name}?")),
        None => Error::option(option, format_args!("is unknown; there are {known}")),
    }
}

/// The name that differs only in how it is written, or that begins the same, if it is one of many.
fn nearest<'k>(option: &str, known: &'k str) -> Option<&'k str> {
    let given = option.rsplit('.').next()?;
    let mut best = None;
    let mut most = 4;
    for name in known.split([',', ' ']) {
        let mut left = name.bytes().filter(u8::is_ascii_alphanumeric);
        let mut right = given.bytes().filter(u8::is_ascii_alphanumeric);
        let mut same = 0;
        while let (Some(a), Some(b)) = (left.next(), right.next())
            && a.eq_ignore_ascii_case(&b)
        {
            same += 1;
        }
        if same > most {
            (best, most) = (Some(name), same);
        }
    }
    best
}
