//! The life cycle of a turn over store and provider: a step is made on a copy, written down, and only then shown.

use std::cell::Cell;
use std::rc::Rc;

use super::codec::{Memory, StoredCompaction, StoredEdit, VERSION, encode};
use super::types::{CompactionInfo, EntryId, Meter, SessionEvent, SessionHost, ViewItem};
use super::window::{Compacted, Item, Piece, Window};
use super::write::Draft;
use super::{At, Inner, Session, now};
use crate::budget::{Budget, share};
use crate::conversation::{Conversation, Done, State, Status};
use crate::error::{Boxed, Error, Result};
use crate::guards::Phase;
use crate::json::Messages;
use crate::provider::Providers;
use crate::store::RecordKind;
use crate::transcript::{Patch, Plan, RECORD_VERSION, Report, UNKNOWN};

/// What to send, and what was done for it.
#[derive(Debug, Clone)]
pub struct Prepared {
    /// The view.
    pub items: Vec<ViewItem>,
    /// What happened, in numbers; indices are those of the view before.
    pub report: Report,
    /// The compaction as plain JSON, over the view before.
    pub patch: Patch,
    /// The number of the compaction, if one was made.
    pub compaction: Option<u64>,
    /// The messages of the view before, by entry: what the indices of report and patch mean.
    pub before: Vec<Option<EntryId>>,
    /// Those of them that the view does not hold as they are, with their indices: what undoing the patch takes.
    pub originals: Vec<(usize, ViewItem)>,
    /// A compaction is worth its while, and has not been made: see [`Session::prepare_now`].
    pub behind: bool,
}

impl Prepared {
    /// The view as messages.
    ///
    /// # Errors
    /// Only a bug leads to one.
    pub fn messages(&self) -> Result<Messages> {
        let mut messages = Messages::default();
        for item in &self.items {
            messages.push_json(&item.text)?;
        }
        Ok(messages)
    }
}

/// What the provider says a request has cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Tokens that it read, cached ones included.
    pub input_tokens: u64,
}

/// What a step does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// The user has said something.
    Turn,
    /// Tools have run.
    AfterTools,
    /// Only what has to be done.
    IfNeeded,
    /// Whatever the thresholds say.
    Now,
}

/// A step under way.
struct Step<'c> {
    kind: Kind,
    copy: Conversation<'c>,
    /// What it was made from.
    base: u64,
    /// How many messages of the window that is.
    length: usize,
    /// The last entry of those.
    tip: Option<EntryId>,
}

/// Says what a step does, and that it does nothing any more when it is over, however it ends.
struct Busy<'c> {
    host: Rc<dyn SessionHost + 'c>,
    said: Cell<bool>,
}

impl Busy<'_> {
    fn say(&self, status: Status) {
        self.said.set(true);
        self.host.event(&SessionEvent::Status { status });
    }
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        if self.said.get() {
            self.host.event(&SessionEvent::Status { status: Status::Idle });
        }
    }
}

/// The most that a provider's count may say about ours. Beyond it, it counts something else.
const MOST_RATIO: f64 = 4.0;

/// How often a step is begun anew because somebody else has changed what it was made from.
const TRIES: u32 = 4;

impl<'c> Session<'c> {
    /// What is done before a request to the model: the history is compacted where it has grown too large, and the view
    /// to send is returned. After a message of the user a new turn begins; after results of tools only those are pruned,
    /// unless the view does not fit otherwise.
    ///
    /// # Errors
    /// [`Error::IrreducibleBudget`], [`Error::Aborted`], [`Error::Store`], [`Error::Closed`]. Nothing has changed then.
    pub async fn prepare(&self, providers: Providers<'_>) -> Result<Prepared> {
        Ok(self.do_prepare(providers).await?)
    }

    /// The same with errors that are cheap to pass on.
    pub(crate) async fn do_prepare(&self, providers: Providers<'_>) -> Boxed<Prepared> {
        let _job = self.jobs.enter().await;
        Box::pin(self.step(None, providers)).await
    }

    /// Compacts now, whatever the thresholds and guards say.
    ///
    /// # Errors
    /// As [`prepare`](Self::prepare).
    pub async fn compact_now(&self, providers: Providers<'_>, instructions: Option<&str>) -> Result<Prepared> {
        Ok(self.do_compact_now(providers, instructions).await?)
    }

    /// The same with errors that are cheap to pass on.
    pub(crate) async fn do_compact_now(&self, providers: Providers<'_>, instructions: Option<&str>) -> Boxed<Prepared> {
        let _job = self.jobs.enter().await;
        Box::pin(self.step(Some((Kind::Now, instructions)), providers)).await
    }

    /// What to send now, without waiting for anybody: when the view is too large, it is compacted without a model, and
    /// what that leads to is not written down. [`Prepared::behind`] says whether [`prepare`](Self::prepare) should be
    /// called meanwhile: what comes of it takes the place of that view, if the conversation is still the same.
    ///
    /// # Errors
    /// As [`prepare`](Self::prepare).
    pub async fn prepare_now(&self) -> Result<Prepared> {
        Ok(self.do_prepare_now().await?)
    }

    /// The same with errors that are cheap to pass on.
    pub(crate) async fn do_prepare_now(&self) -> Boxed<Prepared> {
        let _pass = self.pass().await?;
        self.catch_up().await?;
        let mut copy = {
            let inner = self.inner.borrow();
            let conversation = inner.interim.as_ref().unwrap_or(&inner.window.conversation);
            if conversation.tokens() <= conversation.limit() {
                let behind = inner.window.conversation.may_be_due();
                let prepared = Prepared { behind, ..Session::as_it_stands(&inner, conversation)? };
                drop(inner);
                self.inner.borrow_mut().sent = Some(prepared.report.after);
                return Ok(prepared);
            }
            conversation.copied()
        };
        let done = copy.compact_if_needed(Providers::default()).await?;
        let mut inner = self.inner.borrow_mut();
        let mut prepared = Prepared { behind: true, ..Session::as_it_stands(&inner, &copy)? };
        if let (Some(report), Some(patch)) = (done.report, copy.patch()) {
            prepared.originals = inner.window.originals(patch);
            (prepared.report, prepared.patch) = (report, patch.clone());
        }
        inner.sent = Some(copy.tokens());
        inner.interim = Some(copy);
        Ok(prepared)
    }

    /// One step, begun anew if somebody else gets in its way.
    async fn step(&self, mut forced: Option<(Kind, Option<&str>)>, providers: Providers<'_>) -> Boxed<Prepared> {
        for _ in 0..TRIES {
            if let Some(prepared) = self.nothing_to_do(forced.is_some()).await? {
                return Ok(prepared);
            }
            let elected = self.host.elect(&self.options.id).await;
            let Some(mut step) = self.begin_step(forced).await? else { continue };
            let done = self.run(&mut step, providers).await?;
            let settled = Box::pin(self.settle(step, done)).await?;
            drop(elected);
            if let Some(prepared) = settled {
                if self.inner.borrow().fits() {
                    return Ok(prepared);
                }
                // With what was appended meanwhile it is too large again: once more, for that.
                forced = None;
            }
        }
        // Whoever was faster each time has seen to it, or the next call will.
        self.do_prepare_now().await
    }

    /// The view as it is, if there is nothing to do about it.
    async fn nothing_to_do(&self, forced: bool) -> Boxed<Option<Prepared>> {
        let _pass = self.pass().await?;
        self.catch_up().await?;
        let mut inner = self.inner.borrow_mut();
        if forced || inner.window.conversation.may_be_due() {
            return Ok(None);
        }
        if Session::kind(&inner) == Kind::Turn {
            inner.window.conversation.advance_turn();
        }
        inner.interim = None;
        inner.at.memory.prepared = inner.at.head.tip;
        inner.unwritten = true;
        inner.sent = Some(inner.window.conversation.tokens());
        Session::as_it_stands(&inner, &inner.window.conversation).map(Some)
    }

    /// A copy to work on. `None` when there is nothing to do any more.
    async fn begin_step(&self, forced: Option<(Kind, Option<&str>)>) -> Boxed<Option<Step<'c>>> {
        let _pass = self.pass().await?;
        self.catch_up().await?;
        let inner = self.inner.borrow();
        if forced.is_none() && !inner.window.conversation.may_be_due() {
            return Ok(None);
        }
        let mut copy = inner.window.conversation.copied();
        let busy = Busy { host: Rc::clone(&self.host), said: Cell::new(false) };
        copy.tell(Rc::new(move |status| busy.say(status)));
        let kind = match forced {
            Some((kind, instructions)) => {
                if instructions.is_some() {
                    copy.set_instructions(instructions.map(str::to_owned));
                }
                kind
            }
            None => Session::kind(&inner),
        };
        let length = inner.window.items.len();
        Ok(Some(Step { kind, copy, base: inner.base, length, tip: inner.at.head.tip }))
    }

    /// What is called for by what has been appended since the last time.
    fn kind(inner: &Inner<'c>) -> Kind {
        let At { head, memory, .. } = &inner.at;
        let path = head.branches.path(head.tip);
        let known = memory.prepared.filter(|prepared| path.contains(*prepared));
        let new = path.after(known);
        let items = inner.window.items.iter().enumerate().rev();
        let of_new = items.take_while(|(_, item)| item.entry().is_some_and(|id| new.contains(id)));
        let mut is_new = false;
        for (index, _) in of_new {
            is_new = true;
            if inner.window.conversation.is_of_user(index) {
                return Kind::Turn;
            }
        }
        if is_new { Kind::AfterTools } else { Kind::IfNeeded }
    }

    async fn run(&self, step: &mut Step<'c>, providers: Providers<'_>) -> Boxed<Done> {
        self.open_still()?;
        let done = match step.kind {
            Kind::Turn => step.copy.turn(providers).await?,
            Kind::AfterTools => step.copy.after_tools(providers).await?,
            Kind::IfNeeded => step.copy.compact_if_needed(providers).await?,
            Kind::Now => step.copy.compact_now(providers).await?,
        };
        if done.events.contains(&Status::Exhausted) {
            self.host.event(&SessionEvent::Status { status: Status::Exhausted });
        }
        for warning in &done.warnings {
            self.host.event(&SessionEvent::Warning(warning.clone()));
        }
        Ok(done)
    }

    /// Writes down what a step came to, and shows it. `None` when it was made from something that is no longer so.
    async fn settle(&self, mut step: Step<'c>, done: Done) -> Boxed<Option<Prepared>> {
        step.copy.set_instructions(self.options.conversation.instructions.clone());
        let _pass = self.pass().await?;
        let patch = step.copy.patch().cloned();
        let (Some(report), Some(patch)) = (done.report, patch) else {
            return self.remember(&step);
        };
        self.commit_step(step, report, &patch).await
    }

    /// After a step that changed nothing: what it has learnt is remembered.
    fn remember(&self, step: &Step<'c>) -> Boxed<Option<Prepared>> {
        let mut inner = self.inner.borrow_mut();
        // What was appended meanwhile may have made it too large.
        if inner.base != step.base || !inner.fits() {
            return Ok(None);
        }
        inner.window.conversation.set_state(step.copy.state().clone());
        inner.interim = None;
        inner.at.memory.prepared = step.tip;
        inner.unwritten = true;
        inner.sent = Some(inner.window.conversation.tokens());
        Session::as_it_stands(&inner, &inner.window.conversation).map(Some)
    }

    /// Writes a compaction down: first the record, then the view.
    async fn commit_step(&self, step: Step<'c>, report: Report, patch: &Patch) -> Boxed<Option<Prepared>> {
        let written = self
            .write(|inner| {
                if inner.base != step.base {
                    return Ok(None);
                }
                let compacted = inner.window.compacted(&step.copy, patch)?;
                let record = self.record(inner, &step, &report, &compacted);
                let mut head = inner.at.head.clone();
                let id = head.compactions;
                head.compactions += 1;
                head.active = Some(id);
                let mut state = inner.window.state_by_entry(step.copy.state());
                let messages = compacted.pieces.len() + inner.window.items.len().saturating_sub(step.length);
                if let Phase::Exhausted { messages: counted, .. } = &mut state.guards.phase {
                    // It is the same conversation, of another number of messages.
                    *counted = messages;
                }
                let memory = Memory { v: VERSION, prepared: step.tip, state, ..inner.at.memory.clone() };
                let puts = vec![encode(RecordKind::Compaction, id, &record)?];
                let value = (id, record, compacted.pieces, memory.clone());
                Ok(Some(Draft { memory: Some(memory), puts, ..Draft::new(head, value) }))
            })
            .await?;
        let Some((id, record, pieces, memory)) = written else { return Ok(None) };
        let (originals, fitted) = {
            let window = &self.inner.borrow().window;
            let has_grown = window.items.len() > step.length;
            let fitted = has_grown.then(|| window.view_of(&step.copy, &|_| false)).transpose()?;
            (window.originals(patch), fitted)
        };
        let before = self.show(&step, pieces, &memory)?;
        let info = info(id, &record, true);
        let items = {
            let inner = self.inner.borrow();
            match fitted {
                // What was appended meanwhile is too much: the next step is about that.
                Some(fitted) if !inner.fits() => fitted,
                _ => inner.window.view_of(&inner.window.conversation, &|_| false)?,
            }
        };
        self.host.event(&SessionEvent::Compaction(info));
        let patch = patch.clone();
        Ok(Some(Prepared { items, report, patch, compaction: Some(id), before, originals, behind: false }))
    }

    fn record(&self, inner: &Inner<'c>, step: &Step<'c>, report: &Report, compacted: &Compacted) -> StoredCompaction {
        StoredCompaction {
            v: VERSION,
            time: now(&*self.host),
            engine: env!("CARGO_PKG_VERSION").to_owned(),
            parent: inner.at.head.active,
            through: step.tip,
            source_hash: step.copy.hash(),
            tier: report.tier,
            tokens_before: report.before,
            tokens_after: report.after,
            undone: false,
            requests: report.models.map_or(0, |models| models.requests),
            edits: compacted.edits.clone(),
            summary: report.summary.as_ref().map(|summary| summary.text.clone()),
            items: compacted.items.clone(),
        }
    }

    /// The view is what the step made of it, and what was appended since. Returns what it was made of before.
    fn show(&self, step: &Step<'c>, mut pieces: Vec<Piece>, memory: &Memory) -> Boxed<Vec<Option<EntryId>>> {
        let mut inner = self.inner.borrow_mut();
        let before = inner.window.items.iter().take(step.length).map(Item::entry).collect();
        let sizes = inner.window.conversation.sizes();
        let later = inner.window.items.iter().enumerate().skip(step.length);
        for (index, item) in later {
            let text = inner.window.conversation.messages().get(index).unwrap_or_default().to_owned();
            let tokens = sizes.get(index).copied().unwrap_or(UNKNOWN);
            pieces.push(Piece { item: item.clone(), text, tokens });
        }
        let counter = Rc::clone(&self.counter);
        inner.window = Window::new(&self.options, &counter, pieces, &memory.state, &memory.pins)?;
        inner.interim = None;
        inner.base += 1;
        Session::tighten(&mut inner);
        inner.sent = Some(inner.window.conversation.tokens());
        Ok(before)
    }

    /// The view of a conversation over the window, with a report that nothing was done.
    fn as_it_stands(inner: &Inner<'c>, conversation: &Conversation<'_>) -> Boxed<Prepared> {
        let (report, patch) = conversation.as_it_stands();
        let items = inner.window.view_of(conversation, &|_| false)?;
        let before = inner.window.items.iter().map(Item::entry).collect();
        let originals = inner.window.originals(&patch);
        Ok(Prepared { items, report, patch, compaction: None, before, originals, behind: false })
    }

    // ------------------------------------------------------------------------------------------------------ as it stands

    /// What goes to the model, as things stand. Texts of whole messages are left empty where `has` says so.
    ///
    /// # Errors
    /// Only a bug leads to one.
    pub fn view_without(&self, has: &dyn Fn(EntryId) -> bool) -> Result<Vec<ViewItem>> {
        let inner = self.inner.borrow();
        let conversation = inner.interim.as_ref().unwrap_or(&inner.window.conversation);
        Ok(inner.window.view_of(conversation, has)?)
    }

    /// What goes to the model, as things stand.
    ///
    /// # Errors
    /// Only a bug leads to one.
    pub fn view(&self) -> Result<Messages> {
        let inner = self.inner.borrow();
        inner.interim.as_ref().unwrap_or(&inner.window.conversation).view()
    }

    /// How large the view is, and what its size is spent on.
    #[must_use]
    pub fn meter(&self) -> Meter {
        let inner = self.inner.borrow();
        let conversation = inner.interim.as_ref().unwrap_or(&inner.window.conversation);
        let weights = conversation.weights();
        let policy = &self.options.conversation.policy;
        let limit = conversation.limit();
        let thresholds = match conversation.budget() {
            Budget::Limit(_) => (limit, limit),
            Budget::Window { .. } => (share(limit, policy.soft), share(limit, policy.hard)),
        };
        let head = &inner.at.head;
        let path = head.branches.path(head.tip);
        let items = conversation.view_items().unwrap_or_default();
        let of_entry = |(index, _): &&(Option<usize>, Option<String>)| {
            index.and_then(|index| inner.window.items.get(index)).and_then(Item::entry).is_some()
        };
        let shown = items.iter().filter(of_entry).count() as u64;
        let ratio = inner.at.memory.ratio;
        Meter {
            tokens: conversation.tokens(),
            limit,
            free: limit.saturating_sub(conversation.tokens()),
            soft: thresholds.0,
            hard: thresholds.1,
            overhead: weights.overhead,
            system: weights.system,
            user: weights.user,
            assistant: weights.assistant,
            tool_calls: weights.tool_calls,
            tool_results: weights.tool_results,
            summaries: weights.summaries,
            entries: path.len(),
            messages: items.len(),
            hidden: path.len().saturating_sub(shown),
            ratio: (ratio > 0.0).then_some(ratio),
        }
    }

    /// The provider has counted what was sent last. Where it counts more than we do, the limit is lowered by as much from
    /// now on; where it counts less, nothing changes. Counts that cannot be of the same thing are ignored.
    ///
    /// # Errors
    /// [`Error::Closed`].
    pub async fn report_usage(&self, usage: Usage) -> Result<()> {
        Ok(self.do_report_usage(usage).await?)
    }

    /// The same with errors that are cheap to pass on.
    pub(crate) async fn do_report_usage(&self, usage: Usage) -> Boxed<()> {
        let _pass = self.pass().await?;
        let mut inner = self.inner.borrow_mut();
        let Some(sent) = inner.sent.filter(|sent| *sent > 0 && usage.input_tokens > 0) else { return Ok(()) };
        #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
        let ratio = usage.input_tokens as f64 / sent as f64;
        if ratio > MOST_RATIO {
            return Ok(());
        }
        inner.at.memory.ratio = ratio;
        inner.reported = Some(ratio);
        inner.unwritten = true;
        Session::tighten(&mut inner);
        Ok(())
    }

    /// The limit is as far below that of the budget as the provider counts more than we do.
    pub(super) fn tighten(inner: &mut Inner<'c>) {
        let Ok(limit) = inner.window.conversation.budget().limit() else { return };
        let ratio = inner.at.memory.ratio.clamp(1.0, MOST_RATIO);
        let limit = share(limit, 1.0 / ratio);
        inner.window.conversation.set_limit(limit);
        if let Some(interim) = &mut inner.interim {
            interim.set_limit(limit);
        }
    }

    // ------------------------------------------------------------------------------------------------------- by the host

    /// What compacting now would do. Nothing changes.
    ///
    /// # Errors
    /// As [`prepare`](Self::prepare).
    pub async fn plan(&self, providers: Providers<'_>) -> Result<Plan> {
        Ok(self.do_plan(providers).await?)
    }

    /// The same with errors that are cheap to pass on.
    pub(crate) async fn do_plan(&self, providers: Providers<'_>) -> Boxed<Plan> {
        let Some(mut step) = self.begin_step(Some((Kind::Now, None))).await? else { return Err(Error::Closed.into()) };
        self.open_still()?;
        let done = step.copy.compact_now(providers).await?;
        let (report, patch) = match (done.report, step.copy.patch()) {
            (Some(report), Some(patch)) => (report, patch.clone()),
            _ => step.copy.as_it_stands(),
        };
        Ok(Plan { version: RECORD_VERSION, patch, report })
    }

    /// Carries a plan out.
    ///
    /// # Errors
    /// [`Error::StalePlan`] when the view is no longer the one that the plan was made from, [`Error::Store`],
    /// [`Error::Closed`].
    pub async fn apply(&self, plan: &Plan) -> Result<Prepared> {
        Ok(self.do_apply(plan).await?)
    }

    /// The same with errors that are cheap to pass on.
    pub(crate) async fn do_apply(&self, plan: &Plan) -> Boxed<Prepared> {
        let _job = self.jobs.enter().await;
        let Some(mut step) = self.begin_step(Some((Kind::Now, None))).await? else { return Err(Error::Closed.into()) };
        crate::engine::apply(step.copy.messages().to_value()?, plan.version, &plan.patch)?;
        if plan.patch.edits.is_empty() {
            let _pass = self.pass().await?;
            let inner = self.inner.borrow();
            return Session::as_it_stands(&inner, &inner.window.conversation);
        }
        let state = State { patch: Some(plan.patch.clone()), ..step.copy.state().clone() };
        let messages = step.copy.messages().clone();
        let options = self.options.conversation.clone();
        step.copy = Conversation::begun(options, Rc::clone(&self.counter), messages, state, &[])?;
        let _pass = self.pass().await?;
        self.commit_step(step, plan.report.clone(), &plan.patch).await?.ok_or_else(|| Error::StalePlan.into())
    }

    /// Keeps a message from being edited from now on. What is hidden or edited already stays so.
    ///
    /// # Errors
    /// [`Error::InvalidOption`] when it is no entry of this branch; [`Error::Store`], [`Error::Closed`].
    pub async fn pin(&self, entry: EntryId) -> Result<()> {
        Ok(self.do_pin(entry).await?)
    }

    /// The same with errors that are cheap to pass on.
    pub(crate) async fn do_pin(&self, entry: EntryId) -> Boxed<()> {
        self.set_pin(entry, true).await
    }

    /// Takes a pin off.
    ///
    /// # Errors
    /// As [`pin`](Self::pin).
    pub async fn unpin(&self, entry: EntryId) -> Result<()> {
        Ok(self.do_unpin(entry).await?)
    }

    /// The same with errors that are cheap to pass on.
    pub(crate) async fn do_unpin(&self, entry: EntryId) -> Boxed<()> {
        self.set_pin(entry, false).await
    }

    async fn set_pin(&self, entry: EntryId, pin: bool) -> Boxed<()> {
        let _pass = self.pass().await?;
        self.catch_up().await?;
        self.write(|inner| {
            Session::on_path(inner, "id", entry)?;
            let mut memory = inner.remembered();
            match memory.pins.binary_search(&entry) {
                Ok(at) if !pin => drop(memory.pins.remove(at)),
                Err(at) if pin => memory.pins.insert(at, entry),
                _ => return Ok(None),
            }
            Ok(Some(Draft { memory: Some(memory), ..Draft::new(inner.at.head.clone(), ()) }))
        })
        .await?;
        let mut inner = self.inner.borrow_mut();
        let pins = super::window::pinned_places(&inner.window.items, &inner.at.memory.pins);
        inner.window.conversation.set_pins(pins);
        Ok(())
    }

    pub(super) fn on_path(inner: &Inner<'c>, option: &str, entry: EntryId) -> Boxed<()> {
        let head = &inner.at.head;
        if head.branches.path(head.tip).contains(entry) {
            return Ok(());
        }
        let entries = head.entries;
        let text =
            format_args!("there is no entry {entry} on this branch; entries are numbered from 0 to below {entries}");
        Err(Error::option(option, text))
    }

    /// Takes a compaction back, by default the newest, and with it those that were made from it. The view is what it was
    /// before, with everything that was appended since. Returns the numbers of those that were taken back, newest first.
    ///
    /// # Errors
    /// [`Error::CannotUndo`] when it is not in force; [`Error::Store`], [`Error::Closed`].
    pub async fn undo(&self, compaction: Option<u64>) -> Result<Vec<u64>> {
        Ok(self.do_undo(compaction).await?)
    }

    /// The same with errors that are cheap to pass on.
    pub(crate) async fn do_undo(&self, compaction: Option<u64>) -> Boxed<Vec<u64>> {
        let _job = self.jobs.enter().await;
        let _pass = self.pass().await?;
        self.catch_up().await?;
        let (undone, records) = self.chain_down_to(compaction).await?;
        let parent = records.last().and_then(|record| record.parent);
        let parent = self.standing_from(parent, &self.whole_path()).await?;
        let active = self.inner.borrow().at.head.active;
        let written = self
            .write(|inner| {
                if inner.at.head.active != active {
                    return Err(Error::cannot_undo(None, "another compaction was made meanwhile"));
                }
                let mut puts = Vec::new();
                for (id, record) in undone.iter().zip(&records) {
                    let record = StoredCompaction { undone: true, ..record.clone() };
                    puts.push(encode(RecordKind::Compaction, *id, &record)?);
                }
                let mut head = inner.at.head.clone();
                head.active = parent;
                let mut memory = inner.remembered();
                // Whoever takes it back does not want it again at once.
                memory.state.guards.compacted(self.options.conversation.policy.cooldown_turns);
                Ok(Some(Draft { memory: Some(memory), puts, reshapes: true, ..Draft::new(head, ()) }))
            })
            .await?;
        if written.is_some() {
            self.reload().await?;
        }
        Ok(undone)
    }

    /// The compactions from the one in force down to this one, with their records.
    async fn chain_down_to(&self, compaction: Option<u64>) -> Boxed<(Vec<u64>, Vec<StoredCompaction>)> {
        let active = self.inner.borrow().at.head.active;
        let Some(newest) = active else {
            return Err(Error::cannot_undo(None, "no compaction is in force"));
        };
        let down_to = compaction.unwrap_or(newest);
        let path = self.whole_path();
        let (mut ids, mut records) = (Vec::new(), Vec::new());
        let mut next = Some(newest);
        while let Some(id) = self.standing_from(next, &path).await? {
            let record = self.read_compaction(id).await?;
            next = record.parent.filter(|parent| *parent < id);
            ids.push(id);
            records.push(record);
            if id == down_to {
                return Ok((ids, records));
            }
        }
        let reason = format!("compaction {down_to} is not in force");
        Err(Error::CannotUndo { index: None, reason }.into())
    }

    /// Goes back to an entry, or over to one on another branch: the conversation ends with it now, and what is appended
    /// follows it. Nothing is lost: what came after it stays, and can be gone back to in the same way.
    ///
    /// # Errors
    /// [`Error::InvalidOption`] when there is no such entry; [`Error::Store`], [`Error::Closed`].
    pub async fn branch(&self, entry: EntryId) -> Result<()> {
        Ok(self.do_branch(entry).await?)
    }

    /// The same with errors that are cheap to pass on.
    pub(crate) async fn do_branch(&self, entry: EntryId) -> Boxed<()> {
        let _job = self.jobs.enter().await;
        let _pass = self.pass().await?;
        self.catch_up().await?;
        // Whoever compacts meanwhile may make what is to be in force.
        while self.go_to(entry).await?.is_none() {
            self.catch_up().await?;
        }
        self.reload().await
    }

    /// Writes that the conversation ends with an entry. `None` when there are other compactions by now.
    async fn go_to(&self, entry: EntryId) -> Boxed<Option<()>> {
        let (path, compactions) = {
            let inner = self.inner.borrow();
            let head = &inner.at.head;
            if entry >= head.entries {
                let entries = head.entries;
                let text = format_args!("there is no entry {entry}; entries are numbered from 0 to below {entries}");
                return Err(Error::option("entryId", text));
            }
            (head.branches.path(Some(entry)), head.compactions)
        };
        let active = self.newest_compaction(compactions, &path).await?.map(|(id, _)| id);
        self.write(|inner| {
            let mut head = inner.at.head.clone();
            if head.compactions != compactions {
                return Ok(None);
            }
            (head.tip, head.active) = (Some(entry), active);
            Ok(Some(Draft { memory: Some(inner.remembered()), reshapes: true, ..Draft::new(head, ()) }))
        })
        .await
    }

    /// Reads the window anew, after a write that changed what it is made of.
    pub(super) async fn reload(&self) -> Boxed<()> {
        let mut at = self.inner.borrow().at.clone();
        let read = self.read_window(&mut at).await?;
        let mut inner = self.inner.borrow_mut();
        inner.at.head.active = at.head.active;
        inner.window = read.window;
        inner.chain = read.chain;
        inner.interim = None;
        inner.base += 1;
        inner.torn = false;
        Session::tighten(&mut inner);
        Ok(())
    }

    /// All compactions that were ever made, oldest first.
    ///
    /// # Errors
    /// [`Error::Store`], [`Error::Closed`].
    pub async fn compactions(&self) -> Result<Vec<CompactionInfo>> {
        Ok(self.do_compactions().await?)
    }

    /// The same with errors that are cheap to pass on.
    pub(crate) async fn do_compactions(&self) -> Boxed<Vec<CompactionInfo>> {
        let _pass = self.pass().await?;
        self.catch_up().await?;
        let (count, active) = {
            let head = &self.inner.borrow().at.head;
            (head.compactions, head.active)
        };
        let mut infos = Vec::new();
        let mut from = 0;
        while from < count {
            let to = count.min(from + 64);
            let ranges = [crate::store::Range { kind: RecordKind::Compaction, from, to }];
            for record in self.read(&ranges).await?.records {
                match super::codec::decode::<StoredCompaction>(&record) {
                    Ok(stored) => infos.push(info(record.number, &stored, false)),
                    Err(error) => self.warn(error.class.code(), error.to_string()),
                }
            }
            from = to;
        }
        let mut next = active;
        for info in infos.iter_mut().rev() {
            if next == Some(info.id) {
                info.in_force = !info.undone;
                next = info.parent;
            }
        }
        Ok(infos)
    }
}

pub(super) fn info(id: u64, record: &StoredCompaction, in_force: bool) -> CompactionInfo {
    let mut hidden = Vec::new();
    let mut edited = Vec::new();
    for edit in &record.edits {
        match edit {
            StoredEdit::Hide { from, to, .. } => hidden.push((*from, *to)),
            StoredEdit::Prune { entry, .. } | StoredEdit::Shrink { entry, .. } => edited.push(*entry),
            StoredEdit::Insert { .. } | StoredEdit::Absorb { .. } => {}
        }
    }
    CompactionInfo {
        id,
        parent: record.parent,
        through: record.through,
        in_force,
        undone: record.undone,
        time: record.time,
        tier: record.tier,
        tokens_before: record.tokens_before,
        tokens_after: record.tokens_after,
        hidden,
        edited,
        summary: record.summary.clone(),
        requests: record.requests,
        engine: record.engine.clone(),
        source_hash: record.source_hash.clone(),
    }
}
