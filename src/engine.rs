//! Fit, plan, apply, undo: from messages to a decision, and from a decision to messages.
//!
//! This module works on parsed messages and answers with [`Recipe`]s; carrying a recipe out on JSON text
//! ([`Messages`](crate::Messages)) or on host objects (the JavaScript shell) is the caller's part.

use std::ops::Range;

use serde::Serialize;

use crate::error::{Boxed, Error};
use crate::format::{self, Format};
use crate::ladder::Ladder;
use crate::message::{ContentHash, Message, Part};
use crate::options::FitOptions;
use crate::policy::Policy;
use crate::provider::{Calls, Shown};
use crate::prune::Aim;
use crate::prune::subgoal::Subgoals;
use crate::summarize::{Wishes, redraft};
use crate::tokens::{TokenCounter, message_tokens, probe};
use crate::transcript::{
    Change, Edit, Inserted, Layout, LayoutItem, Patch, Plan, RECORD_VERSION, Recipe, RecipeItem, Repair, Report, Slot,
    SlotEdit, SourceMark, Span, Stand, Standing, Summary, Tier, Transcript, ViewMark, Violation, Warning,
};
use crate::value::Value;

/// What a fit is computed from.
#[derive(Debug)]
pub(crate) struct Input<'a> {
    pub messages: Value<'a>,
    pub system: Option<Value<'a>>,
    pub tools: Option<Value<'a>>,
}

/// A compaction with everything needed to carry it out.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Outcome {
    pub report: Report,
    pub patch: Patch,
    pub recipe: Recipe,
}

/// A mended history with everything needed to carry it out.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Repaired {
    pub repairs: Vec<Repair>,
    pub recipe: Recipe,
}

/// How to take a view apart again.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Restore {
    pub restore: Vec<Span>,
}

// ------------------------------------------------------------------------------------------------------ entry points

/// Decides and carries out.
pub(crate) fn fit(input: Input<'_>, options: &FitOptions, counter: &dyn TokenCounter) -> Boxed<Outcome> {
    let begun = begin(input, options, counter)?;
    let (mut ladder, seen) = begun.ladder(options, counter)?;
    let goal = options.budget.goal(begun.limit, ladder.standing.total, &options.policy);
    let tier = ladder.climb(goal, begun.limit, begun.overhead, &begun.aim(options))?;
    Ok(begun.conclude(&ladder, tier, seen.as_ref(), Vec::new()))
}

/// The same, with summaries by models where there are any.
pub(crate) async fn compact(
    input: Input<'_>,
    options: &FitOptions,
    counter: &dyn TokenCounter,
    calls: &Calls<'_>,
    mut wishes: Wishes<'_>,
    cached_prefix: bool,
) -> Boxed<Outcome> {
    let begun = begin(input, options, counter)?;
    let (mut ladder, seen) = begun.ladder(options, counter)?;
    if cached_prefix {
        wishes.shown = shown(&begun, &ladder.standing);
    }
    let goal = options.budget.goal(begun.limit, ladder.standing.total, &options.policy);
    let (tier, target) = ladder.descend(goal, begun.limit, begun.overhead, &begun.aim(options))?;
    let written = redraft(&mut ladder, &begun.transcript, counter, calls, &wishes).await?;
    ladder.fill(target);
    Ok(begun.conclude(&ladder, tier, seen.as_ref(), written.warnings))
}

/// By slot, how much of what the model saw last ends with it. Nothing where the messages had to be mended: then nobody
/// knows what it saw.
fn shown(begun: &Begun<'_, '_>, standing: &Standing<'_>) -> Vec<Shown> {
    let transcript = &begun.transcript;
    if !transcript.repairs.is_empty() {
        return Vec::new();
    }
    let mut so_far = Shown { messages: 0, tokens: begun.overhead };
    let mut stands = standing.stands.iter().peekable();
    let mut shown = Vec::with_capacity(transcript.slots.len());
    for at in 0..transcript.slots.len() {
        while let Some(stand) = stands.next_if(|stand| stand.run.start <= at) {
            so_far.messages += 1;
            so_far.tokens += stand.tokens;
        }
        if !standing.is_hidden(at) {
            so_far.messages += 1;
            so_far.tokens += standing.tokens(transcript, at);
        }
        shown.push(so_far);
    }
    // A pin or another policy may have kept an edit of `previous` from being done again.
    if let Some(patch) = begun.previous {
        let source = |slot: &Slot<'_>| slot.source.is_some_and(|source| source < patch.source.messages);
        let covered = transcript.slots.iter().rposition(source).and_then(|last| shown.get(last));
        if covered.is_some_and(|covered| covered.messages != patch.view.messages) {
            return Vec::new();
        }
    }
    shown
}

/// A history that was read, and what it is measured against.
struct Begun<'a, 'o> {
    transcript: Transcript<'a>,
    /// What the counter makes of a fixed text.
    probe: u32,
    source_hash: String,
    /// By source index.
    pinned: Vec<bool>,
    limit: u64,
    overhead: u64,
    /// An earlier patch that belongs to these messages.
    previous: Option<&'o Patch>,
    warnings: Vec<Warning>,
}

fn begin<'a, 'o>(input: Input<'a>, options: &'o FitOptions, counter: &dyn TokenCounter) -> Boxed<Begun<'a, 'o>> {
    let limit = options.budget.checked_limit()?;
    options.policy.check()?;
    let (format, messages) = parse(input.messages, options.format)?;
    let mut pinned = vec![false; messages.len()];
    for pin in &options.pin {
        let Some(place) = pinned.get_mut(*pin) else {
            return Err(Error::option("pin", format_args!("there is no message {pin}; there are {}", messages.len())));
        };
        *place = true;
    }
    let overhead = overhead(input.system.as_ref(), input.tools.as_ref(), counter);
    let mut warnings = Vec::new();
    let mut previous = options.previous.as_ref();
    let (hash, of_prefix) = hashes(&messages, previous.map_or(0, |patch| patch.source.messages));
    if let Some(problem) = previous.and_then(|patch| mismatch(patch, format, messages.len(), &of_prefix)) {
        warnings.push(Warning { code: "previous_ignored".into(), message: problem.into(), index: None });
        previous = None;
    }
    let probe = probe(counter);
    let known = previous.map_or(&[][..], |patch| patch.source.known(probe));
    let transcript = Transcript::new(format, messages, counter, known);
    Ok(Begun { transcript, probe, source_hash: hash.hex(), pinned, limit, overhead, previous, warnings })
}

impl<'a> Begun<'a, '_> {
    /// A ladder with what `previous` did, and what the model saw then.
    fn ladder<'t>(
        &'t self,
        options: &'t FitOptions,
        counter: &'t dyn TokenCounter,
    ) -> Boxed<(Ladder<'t, 'a>, Option<Seen>)> {
        let transcript = &self.transcript;
        let standing = Standing::new(transcript, self.overhead);
        let mut ladder = Ladder::new(transcript, standing, counter, &options.policy, &self.pinned, self.limit);
        let Some(patch) = self.previous else { return Ok((ladder, None)) };
        take_over(&mut ladder, transcript, &patch.edits, counter, false, true)?;
        let seen = seen(transcript, &ladder.standing, patch);
        Ok((ladder, Some(seen)))
    }

    /// What results are measured against: the goal that the host gave, else what the user said last.
    fn aim<'s>(&'s self, options: &'s FitOptions) -> Aim<'s> {
        let goal = options.goal.as_deref().or_else(|| last_words(&self.transcript));
        Aim { goal, subgoals: &NO_SUBGOALS, messages: self.transcript.sources }
    }

    fn conclude(&self, ladder: &Ladder<'_, 'a>, tier: Tier, seen: Option<&Seen>, mut more: Vec<Warning>) -> Outcome {
        let mut warnings = self.warnings.clone();
        warnings.append(&mut more);
        let facts = Facts {
            tier,
            limit: self.limit,
            overhead: self.overhead,
            source_hash: self.source_hash.clone(),
            probe: self.probe,
            warnings,
        };
        conclude(&self.transcript, &ladder.standing, facts, seen)
    }
}

static NO_SUBGOALS: Subgoals = Subgoals::NONE;

/// What the last user message says.
pub(crate) fn last_words<'t>(transcript: &'t Transcript<'_>) -> Option<&'t str> {
    let unit = transcript.units.get(transcript.last_user()?)?;
    transcript.slots.get(unit.slots.start)?.message.texts().find(|text| !text.trim().is_empty())
}

/// Writes down what came out, and where it differs from what the model saw last.
pub(crate) fn conclude<'a>(
    transcript: &Transcript<'a>,
    standing: &Standing<'a>,
    mut facts: Facts,
    seen: Option<&Seen>,
) -> Outcome {
    let bare = if facts.tier == Tier::Hard && standing.stands.is_empty() { standing.runs().len() } else { 0 };
    if bare > 0 {
        facts.warnings.push(Warning {
            code: "summary_left_out".into(),
            message: format!("{bare} hidden runs have no summary: it would not have been smaller than they are"),
            index: None,
        });
    }
    let overhead = facts.overhead;
    let mut outcome = finish(transcript, standing, facts);
    mark_change(&mut outcome.report, transcript, standing, seen, overhead);
    outcome
}

/// Decides only.
pub(crate) fn plan(input: Input<'_>, options: &FitOptions, counter: &dyn TokenCounter) -> Boxed<Plan> {
    let outcome = fit(input, options, counter)?;
    Ok(Plan { version: RECORD_VERSION, patch: outcome.patch, report: outcome.report })
}

/// Carries out the patch of a plan of this version. Its sizes are those of the plan: nothing is counted again, so no
/// counter is needed.
pub(crate) fn apply(messages: Value<'_>, version: u32, patch: &Patch) -> Boxed<Recipe> {
    if version != RECORD_VERSION || patch.version != RECORD_VERSION {
        return Err(Error::option("plan", format_args!("was made by another version of Epitome; make a new one")));
    }
    let (format, messages) = parse(messages, Some(patch.format)).map_err(|_| Box::new(Error::StalePlan))?;
    let source_hash = hash(messages.iter());
    if messages.len() != patch.source.messages || source_hash != patch.source.hash {
        return Err(Error::StalePlan.into());
    }
    let uncounted = |_: &str| 0;
    let transcript = Transcript::new(format, messages, &uncounted, &[]);
    let policy = Policy::default();
    let mut ladder = Ladder::new(&transcript, Standing::new(&transcript, 0), &uncounted, &policy, &[], 0);
    take_over(&mut ladder, &transcript, &patch.edits, &uncounted, true, false)?;
    let facts = Facts { tier: Tier::None, limit: 0, overhead: 0, source_hash, probe: 0, warnings: Vec::new() };
    let outcome = finish(&transcript, &ladder.standing, facts);
    if outcome.patch.view != patch.view {
        return Err(Error::option("plan", format_args!("does not lead to the view that it claims; make a new one")));
    }
    Ok(outcome.recipe)
}

/// How to take a view apart again.
pub(crate) fn undo(messages: Value<'_>, patch: &Patch) -> Boxed<Restore> {
    if patch.version != RECORD_VERSION {
        return Err(Error::cannot_undo(None, "the patch is of another version"));
    }
    let Value::Array(mut given) = messages else {
        return Err(not_an_array(&messages));
    };
    let count = given.len();
    // What was appended since may be of any kind; only the view itself is looked at.
    given.truncate(patch.view.messages);
    let cannot = |index, reason: &str| Error::cannot_undo(index, reason);
    if given.len() < patch.view.messages {
        return Err(cannot(None, "messages of the view are missing"));
    }
    let (_, view) = parse(Value::Array(given), Some(patch.format)).map_err(|error| match *error {
        Error::InvalidInput { index, .. } => cannot(index, "a message of the view was changed"),
        other => Box::new(other),
    })?;
    if hash(view.iter()) != patch.view.hash {
        return Err(cannot(None, "the messages are not the view that this patch led to"));
    }
    Ok(Restore { restore: patch.view.layout.restore(patch.source.messages, count)? })
}

/// Whether messages are those that a patch was computed from.
pub(crate) fn is_source(messages: Value<'_>, patch: &Patch) -> bool {
    parse(messages, Some(patch.format)).is_ok_and(|(_, messages)| {
        messages.len() == patch.source.messages && hash(messages.iter()) == patch.source.hash
    })
}

/// Lists violations.
pub(crate) fn validate(messages: Value<'_>, format: Option<Format>) -> Boxed<Vec<Violation>> {
    let (format, messages) = parse(messages, format)?;
    let mended = format.rules().mend(&messages);
    Ok(mended
        .findings
        .into_iter()
        .map(|finding| Violation {
            rule: finding.rule.to_owned(),
            index: finding.index,
            field: finding.field,
            message: finding.problem.into_owned(),
        })
        .collect())
}

/// Mends violations.
pub(crate) fn repair(messages: Value<'_>, format: Option<Format>, counter: &dyn TokenCounter) -> Boxed<Repaired> {
    let (format, messages) = parse(messages, format)?;
    let transcript = Transcript::new(format, messages, counter, &[]);
    let mut recipe = Recipe::default();
    for slot in &transcript.slots {
        put(&mut recipe, slot.source, &slot.changes, slot.inserted.as_ref());
    }
    Ok(Repaired { repairs: transcript.repairs, recipe })
}

/// Counts one message or a list of them.
pub(crate) fn count_messages(value: Value<'_>, format: Option<Format>, counter: &dyn TokenCounter) -> Boxed<u64> {
    let list = match value {
        Value::Array(_) => value,
        one => Value::Array(vec![one]),
    };
    let (_, messages) = parse(list, format)?;
    Ok(messages.iter().map(|message| message_tokens(counter, message)).sum())
}

/// Tells the format.
pub(crate) fn detect_format(messages: Value<'_>) -> Boxed<Format> {
    match messages {
        Value::Array(items) => {
            all_objects(&items)?;
            format::detect(&items)
        }
        other => Err(not_an_array(&other)),
    }
}

// ------------------------------------------------------------------------------------------------------------ parsing

fn not_an_array(value: &Value<'_>) -> Box<Error> {
    Error::input(None, format_args!("messages must be an array, but this is {}", value.describe()))
}

fn all_objects(items: &[Value<'_>]) -> Boxed<()> {
    match items.iter().position(|item| !matches!(item, Value::Object(_))) {
        None => Ok(()),
        Some(index) => {
            let what = items.get(index).map_or("missing", Value::describe);
            Err(Error::input(Some(index), format_args!("is {what}, but must be an object")))
        }
    }
}

fn parse(messages: Value<'_>, format: Option<Format>) -> Boxed<(Format, Vec<Message<'_>>)> {
    let Value::Array(items) = messages else {
        return Err(not_an_array(&messages));
    };
    all_objects(&items)?;
    let format = match format {
        Some(format) => format,
        None => format::detect(&items)?,
    };
    let rules = format.rules();
    let mut messages = Vec::with_capacity(items.len());
    for (index, value) in items.into_iter().enumerate() {
        messages.push(rules.parse(index, value)?);
    }
    Ok((format, messages))
}

/// Tokens of what is sent beside the messages: a system prompt as a message, tools as their JSON. Providers render tool
/// schemas more compactly than JSON, so this errs on the safe side.
pub(crate) fn overhead(system: Option<&Value<'_>>, tools: Option<&Value<'_>>, counter: &dyn TokenCounter) -> u64 {
    let mut text = String::new();
    let mut total = 0;
    for (value, frame) in [(system, crate::tokens::FRAME), (tools, crate::tokens::FRAME * 2)] {
        match value {
            None | Some(Value::Null) => {}
            Some(Value::String(words)) => total += u64::from(counter.count(words)) + u64::from(frame),
            Some(value) => {
                text.clear();
                crate::json::write_value(value, &mut text);
                total += u64::from(counter.count(&text)) + u64::from(frame);
            }
        }
    }
    total
}

/// The running hash of all messages, and the hash of the first `prefix` of them.
pub(crate) fn hashes(messages: &[Message<'_>], prefix: usize) -> (ContentHash, String) {
    let mut hash = ContentHash::new();
    let mut of_prefix = hash.hex();
    for (at, message) in messages.iter().enumerate() {
        hash.add(message);
        if at + 1 == prefix {
            of_prefix = hash.hex();
        }
    }
    (hash, of_prefix)
}

fn hash<'m, 'a: 'm>(messages: impl Iterator<Item = &'m Message<'a>>) -> String {
    let mut hash = ContentHash::new();
    messages.for_each(|message| hash.add(message));
    hash.hex()
}

/// Why a patch does not belong to this many messages, if so, of which those that it covers have this hash.
fn mismatch(patch: &Patch, format: Format, messages: usize, of_prefix: &str) -> Option<&'static str> {
    if patch.version != RECORD_VERSION {
        return Some("`previous` is of another version");
    }
    if patch.format != format {
        return Some("`previous` is of another format");
    }
    if patch.source.messages > messages {
        return Some("`previous` covers more messages than there are");
    }
    (of_prefix != patch.source.hash).then_some("the messages that `previous` was computed from were changed")
}

// ------------------------------------------------------------------------------------------ edits, from a patch and back

/// Puts the edits of a patch on a history. With `exact` (a plan) every edit must find its message; without (an earlier
/// patch) edits that no longer apply are left out, with `pins` also those of messages that are pinned now.
pub(crate) fn take_over<'a>(
    ladder: &mut Ladder<'_, 'a>,
    transcript: &Transcript<'a>,
    edits: &[Edit],
    counter: &dyn TokenCounter,
    exact: bool,
    pins: bool,
) -> Boxed<()> {
    let mut slot_of: Vec<Option<usize>> = vec![None; transcript.sources];
    for (at, slot) in transcript.slots.iter().enumerate() {
        if let Some(place) = slot.source.and_then(|source| slot_of.get_mut(source)) {
            *place = Some(at);
        }
    }
    let find = |index: usize| slot_of.get(index).copied().flatten();
    let broken = || Error::option("plan", format_args!("does not fit these messages; make a new one"));
    let mut inserts = Vec::new();
    for edit in edits {
        match edit {
            Edit::Prune { index, changes, .. } | Edit::Shrink { index, changes, .. } => {
                let Some(at) = find(*index) else {
                    if exact {
                        return Err(broken());
                    }
                    continue;
                };
                if pins && ladder.is_fixed(at) {
                    continue;
                }
                let prune = matches!(edit, Edit::Prune { .. });
                let edited =
                    transcript.slots.get(at).and_then(|slot| edited(transcript.format, &slot.message, changes));
                match edited {
                    Some(message) => {
                        let tokens = message_tokens(counter, &message);
                        ladder.put_edit(at, Some(SlotEdit { prune, changes: changes.clone(), message, tokens }));
                    }
                    None if exact => return Err(broken()),
                    None => {}
                }
            }
            Edit::Hide { from, to, .. } => {
                if *to > transcript.sources || from > to {
                    if exact {
                        return Err(broken());
                    }
                    continue;
                }
                for at in (*from..*to).filter_map(find) {
                    ladder.set_hidden(at, true);
                }
            }
            Edit::Insert { before, role, text, .. } => inserts.push((find(*before), role, text)),
        }
    }
    // Units stay whole: a stand-in has no index of its own, a late answer was not known to the patch.
    for unit in &transcript.units {
        let mut slots = unit.slots.clone();
        if slots.clone().any(|at| ladder.is_hidden(at)) {
            let fixed = pins && slots.any(|at| ladder.is_fixed(at));
            for at in unit.slots.clone() {
                ladder.set_hidden(at, !fixed);
            }
        }
    }
    let runs = ladder.standing.runs();
    for (at, role, text) in inserts {
        let run = at.and_then(|at| {
            let found = runs.binary_search_by(|run: &Range<usize>| {
                if run.end <= at {
                    std::cmp::Ordering::Less
                } else if run.start > at {
                    std::cmp::Ordering::Greater
                } else {
                    std::cmp::Ordering::Equal
                }
            });
            found.ok().and_then(|found| runs.get(found))
        });
        let Some(run) = run else {
            if exact {
                return Err(broken());
            }
            continue;
        };
        // Several may stand side by side for parts of one run, each from its first message on.
        let start = match (ladder.standing.stands.last(), at) {
            (Some(stand), Some(at)) if run.contains(&stand.run.start) => at.max(stand.run.start),
            _ => run.start,
        };
        // Out of order, or twice: only a patch that was tampered with has that.
        if ladder.standing.stands.last().is_some_and(|stand| stand.run.start >= start) {
            continue;
        }
        let (message, _) = transcript.format.rules().text_message(role, text);
        let tokens = message_tokens(counter, &message);
        ladder.add_stand(Stand { run: start..run.end, role: role.clone(), text: text.clone(), tokens, room: None });
    }
    // Each ends where the next begins.
    let mut next = usize::MAX;
    for stand in ladder.standing.stands.iter_mut().rev() {
        stand.run.end = stand.run.end.min(next);
        next = stand.run.start;
    }
    Ok(())
}

/// A message with the changes of an edit. `None` when they do not match its shape.
fn edited<'a>(format: Format, message: &Message<'a>, changes: &[Change]) -> Option<Message<'a>> {
    let mut message = message.clone();
    let mut next = 0;
    for change in changes {
        let text = change.value.as_deref()?;
        // Changes mostly come in the order of the parts, so the search goes on where it ended.
        let leads = |part: &Part<'_>| part.path.is(&change.path);
        let ahead = message.parts.iter().skip(next).position(leads).map(|found| next + found);
        match ahead.or_else(|| message.parts.iter().position(leads)) {
            Some(at) => {
                message.parts.get_mut(at)?.set_text(text.to_owned());
                next = at + 1;
            }
            // Several parts were replaced by one text.
            None => message = format.rules().with_result(&message, text).0,
        }
    }
    Some(message)
}

/// What came out besides the edits themselves.
pub(crate) struct Facts {
    pub tier: Tier,
    pub limit: u64,
    pub overhead: u64,
    pub source_hash: String,
    pub probe: u32,
    pub warnings: Vec<Warning>,
}

/// How to make the view.
pub(crate) fn recipe<'a>(transcript: &Transcript<'a>, standing: &Standing<'a>) -> Recipe {
    let facts =
        Facts { tier: Tier::None, limit: 0, overhead: 0, source_hash: String::new(), probe: 0, warnings: Vec::new() };
    finish(transcript, standing, facts).recipe
}

/// Writes how a history stands down as edits, recipe and report.
fn finish<'a>(transcript: &Transcript<'a>, standing: &Standing<'a>, facts: Facts) -> Outcome {
    let mut recipe = Recipe::default();
    let mut layout = Layout::default();
    let mut view_hash = ContentHash::new();
    let mut view_len = 0;
    let mut edits = Vec::new();
    let mut summary = None;
    let mut stands = standing.stands.iter().peekable();
    for (at, slot) in transcript.slots.iter().enumerate() {
        if let Some(stand) = stands.next_if(|stand| stand.run.start == at) {
            let (message, inserted) = transcript.format.rules().text_message(&stand.role, &stand.text);
            view_hash.add(&message);
            recipe.items.push(RecipeItem::Insert { message: inserted, summary: true });
            layout.0.push(LayoutItem::Inserted);
            let covers = stand.run.len();
            summary = Some(Summary { index: view_len, text: stand.text.clone(), tokens: stand.tokens, covers });
            view_len += 1;
            edits.push(Edit::Insert {
                before: slot.source.unwrap_or_default(),
                role: stand.role.clone(),
                text: stand.text.clone(),
                covers,
                tokens_after: stand.tokens,
            });
        }
        if standing.is_hidden(at) {
            if let Some(index) = slot.source {
                match edits.last_mut() {
                    Some(Edit::Hide { to, tokens_before, .. })
                        if *to == index && standing.is_hidden(at.saturating_sub(1)) =>
                    {
                        *to += 1;
                        *tokens_before += slot.tokens;
                    }
                    _ => edits.push(Edit::Hide { from: index, to: index + 1, tokens_before: slot.tokens }),
                }
            }
            continue;
        }
        view_len += 1;
        let edit = standing.edits.get(at).and_then(Option::as_ref);
        view_hash.add(edit.map_or(&slot.message, |edit| &edit.message));
        let mut changes = slot.changes.clone();
        if let Some(edit) = edit {
            changes.extend(edit.changes.iter().cloned());
            let (index, tokens_before, tokens_after) = (slot.source.unwrap_or_default(), slot.tokens, edit.tokens);
            let changes = edit.changes.clone();
            edits.push(if edit.prune {
                Edit::Prune { index, tokens_before, tokens_after, changes }
            } else {
                Edit::Shrink { index, tokens_before, tokens_after, changes }
            });
        }
        put(&mut recipe, slot.source, &changes, slot.inserted.as_ref());
        match slot.source {
            Some(source) if changes.is_empty() => layout.keep(source),
            Some(source) => layout.0.push(LayoutItem::Edited(source)),
            None => layout.0.push(LayoutItem::Inserted),
        }
    }
    let patch = Patch {
        version: RECORD_VERSION,
        format: transcript.format,
        source: SourceMark {
            messages: transcript.sources,
            hash: facts.source_hash,
            sizes: transcript.sizes(),
            probe: facts.probe,
        },
        view: ViewMark { messages: view_len, hash: view_hash.hex(), layout },
        edits: edits.clone(),
        repairs: transcript.repairs.clone(),
    };
    let report = Report {
        format: transcript.format,
        tier: facts.tier,
        before: facts.overhead + transcript.given_tokens,
        after: standing.total,
        limit: facts.limit,
        overhead: facts.overhead,
        messages_before: transcript.sources,
        messages_after: view_len,
        edits,
        repairs: transcript.repairs.clone(),
        first_changed_index: None,
        prefix_tokens: standing.total,
        summary,
        models: None,
        warnings: facts.warnings,
    };
    Outcome { report, patch, recipe }
}

fn put(recipe: &mut Recipe, source: Option<usize>, changes: &[Change], inserted: Option<&Inserted>) {
    match (source, inserted) {
        (Some(source), _) if changes.is_empty() => recipe.keep(source),
        (Some(source), _) => recipe.items.push(RecipeItem::Edit(source, changes.to_vec())),
        (None, Some(message)) => recipe.items.push(RecipeItem::Insert { message: message.clone(), summary: false }),
        (None, None) => {}
    }
}

// ---------------------------------------------------------------------------------------------------------- cache prefix

/// One message of a view, as far as needed to see whether it is the same in another view.
#[derive(Debug, Clone, PartialEq)]
enum Sign {
    Message(Option<usize>, Vec<Change>),
    Stand(String),
}

/// The view that the model saw last: its messages as far as they are still the same, and how many there were.
#[derive(Debug)]
pub(crate) struct Seen {
    signs: Vec<(Sign, u64)>,
    messages: usize,
}

/// What the model sees as things stand.
pub(crate) fn seen_now<'a>(transcript: &Transcript<'a>, standing: &Standing<'a>) -> Seen {
    let signs = signature(transcript, standing);
    let messages = signs.len();
    Seen { signs, messages }
}

/// What the model saw of these messages when `patch` was made, whose edits were taken over. Where the mended
/// history itself has changed since, such as a stand-in that gave way to the real result, it saw something else.
pub(crate) fn seen<'a>(transcript: &Transcript<'a>, standing: &Standing<'a>, patch: &Patch) -> Seen {
    let signs = signature(transcript, standing);
    let agrees = |(item, (sign, _)): &(LayoutItem, &(Sign, u64))| match (item, sign) {
        (LayoutItem::Kept(index, _), Sign::Message(source, changes)) => *source == Some(*index) && changes.is_empty(),
        (LayoutItem::Edited(index), Sign::Message(source, changes)) => *source == Some(*index) && !changes.is_empty(),
        (LayoutItem::Inserted, Sign::Message(source, _)) => source.is_none(),
        (LayoutItem::Inserted, Sign::Stand(_)) => true,
        _ => false,
    };
    let same = patch.view.layout.items().zip(&signs).take_while(agrees).count();
    Seen { signs: signs.into_iter().take(same).collect(), messages: patch.view.messages }
}

fn signature<'a>(transcript: &Transcript<'a>, standing: &Standing<'a>) -> Vec<(Sign, u64)> {
    let mut signs = Vec::new();
    let mut stands = standing.stands.iter().peekable();
    for (at, slot) in transcript.slots.iter().enumerate() {
        if let Some(stand) = stands.next_if(|stand| stand.run.start == at) {
            signs.push((Sign::Stand(stand.text.clone()), stand.tokens));
        }
        if standing.is_hidden(at) {
            continue;
        }
        let mut changes = slot.changes.clone();
        if let Some(edit) = standing.edits.get(at).and_then(Option::as_ref) {
            changes.extend(edit.changes.iter().cloned());
        }
        signs.push((Sign::Message(slot.source, changes), standing.tokens(transcript, at)));
    }
    signs
}

/// Finds the first message that differs from what the model saw last: the view of `previous` where it was taken over,
/// else the messages as given.
fn mark_change<'a>(
    report: &mut Report,
    transcript: &Transcript<'a>,
    standing: &Standing<'a>,
    seen: Option<&Seen>,
    overhead: u64,
) {
    let now = signature(transcript, standing);
    let mut prefix = overhead;
    let (same, end) = if let Some(seen) = seen {
        (now.iter().zip(&seen.signs).take_while(|(now, before)| now.0 == before.0).count(), seen.messages)
    } else {
        let untouched = |at: usize, sign: &Sign| *sign == Sign::Message(Some(at), Vec::new());
        let same = now.iter().enumerate().take_while(|(at, (sign, _))| untouched(*at, sign)).count();
        (same, transcript.sources)
    };
    prefix += now.iter().take(same).map(|(_, tokens)| tokens).sum::<u64>();
    report.prefix_tokens = prefix;
    report.first_changed_index = (same < end).then_some(same);
}
