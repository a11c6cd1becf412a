//! A conversation over its turns: what is done before each request, in zeph's order, with the guards in between.
//!
//! [`Conversation`] keeps the messages it was given, how they stand, and a serialisable [`State`]. What a turn costs
//! depends on what is new in it: messages are read and counted once, and nothing else is looked at until there is
//! something to do.

mod rebase;

use std::rc::Rc;

use serde::{Deserialize, Serialize};

use crate::budget::{Budget, Goal, share};
use crate::engine::{self, Facts, Seen};
use crate::error::{Boxed, Error, Result};
use crate::fields;
use crate::focus::{Focus, FocusError, FocusPolicy, Knowledge};
use crate::format::Format;
use crate::guards::{Guards, MINIMUM_PROGRESS, MOST_ATTEMPTS};
use crate::guidelines::{Guidelines, GuidelinesPolicy};
use crate::json::Messages;
use crate::ladder::Ladder;
use crate::message::{ContentHash, Message};
use crate::order::sorted_by;
use crate::policy::{Policy, Strategy};
use crate::provider::{Calls, Providers, Purpose};
use crate::prune::Aim;
use crate::prune::stale::keep_recent;
use crate::prune::subgoal::Subgoals;
use crate::summarize::{self, Deferred, TaskGoal, Wishes};
use crate::tokens::{TokenCounter, probe};
use crate::transcript::{Patch, Report, Slot, Standing, Tier, Transcript, Warning};

pub(crate) use rebase::Rebased;

/// What a conversation is held to.
#[derive(Debug, Clone)]
pub struct ConversationOptions {
    /// How many tokens the input may have.
    pub budget: Budget,
    /// Every tunable.
    pub policy: Policy,
    /// The format; OpenAI Chat Completions, the one there is so far, when `None`.
    pub format: Option<Format>,
    /// Size of what is sent beside the messages (system prompt, tool definitions), tokens.
    pub overhead: u64,
    /// What the user is working on; found out when `None` and a strategy asks for it.
    pub goal: Option<String>,
    /// What the host wants every summary to heed.
    pub instructions: Option<String>,
    /// The provider compacts by itself: only a view above 95 % of the limit is touched.
    pub server_compaction: bool,
    /// Learning from answers that show what a summary left out; off by default.
    pub guidelines: GuidelinesPolicy,
    /// Guidelines for conversations that have none of their own.
    pub global_guidelines: String,
    /// Knowledge that is kept word for word; off by default.
    pub focus: FocusPolicy,
}

impl ConversationOptions {
    /// Defaults, with this budget.
    #[must_use]
    pub fn new(budget: Budget) -> Self {
        Self {
            budget,
            policy: Policy::default(),
            format: None,
            overhead: 0,
            goal: None,
            instructions: None,
            server_compaction: false,
            guidelines: GuidelinesPolicy::default(),
            global_guidelines: String::new(),
            focus: FocusPolicy::default(),
        }
    }
}

/// Everything that a conversation remembers beside its messages, as plain data.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct State {
    /// The compaction in force.
    pub patch: Option<Patch>,
    /// Cooldown, exhaustion, counters.
    pub guards: Guards,
    /// Messages that may not be edited, by index, in order.
    pub pinned: Vec<usize>,
    /// Summaries of tool units that are not yet in place.
    pub(crate) deferred: Vec<Deferred>,
    /// What the user is working on.
    pub(crate) goal: TaskGoal,
    /// Which part of it.
    pub(crate) subgoals: Subgoals,
    /// What the model is to know word for word.
    pub knowledge: Knowledge,
    /// The part of the conversation that is under focus.
    pub(crate) focus: Focus,
    /// What summaries should not leave out again.
    pub guidelines: Guidelines,
}

fields::record!(State {
    patch: "patch" or default,
    guards: "guards" or default,
    pinned: "pinned" or default,
    deferred: "deferred" or default,
    goal: "goal" or default,
    subgoals: "subgoals" or default,
    knowledge: "knowledge" or default,
    focus: "focus" or default,
    guidelines: "guidelines" or default,
});

/// What a host may show while it waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Status {
    /// Results are pruned; no model is asked.
    SoftCompacting,
    /// Older messages are summarised.
    Compacting,
    /// The same, before the window is full.
    Compressing,
    /// Tool units are summarised for later.
    SummarizingTools,
    /// Nothing more can be gained; said once.
    Exhausted,
    /// Done.
    Idle,
}

/// What one step did.
#[derive(Debug, Clone, Default)]
pub struct Done {
    /// What changed; `None` when nothing did.
    pub report: Option<Report>,
    /// In order.
    pub events: Vec<Status>,
    /// What went wrong without stopping anything.
    pub warnings: Vec<Warning>,
}

impl Done {
    fn merge(&mut self, mut other: Self) {
        let earlier = self.report.take();
        let spent = earlier.as_ref().and_then(|report| report.models);
        self.report = other.report.take();
        if let (Some(report), Some(spent)) = (&mut self.report, spent) {
            report.models.get_or_insert_default().add(spent);
        }
        self.report = self.report.take().or(earlier);
        self.events.append(&mut other.events);
        self.warnings.append(&mut other.warnings);
    }
}

/// Pruning that frees less than this share of the limit is not done, per mille.
const LEAST_PRUNED: u64 = 20;

/// What a pass may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// Everything.
    Free,
    /// Everything, whatever it gains.
    Forced,
    /// No model is asked, and messages are hidden only where the view does not fit otherwise.
    Cooling,
    /// The same within a turn: results that a long tool loop has left behind go first.
    InTurn,
}

/// One pass: how far it may go.
#[derive(Debug, Clone, Copy)]
struct Pass {
    goal: Goal,
    mode: Mode,
    /// What the view must not exceed, tokens.
    limit: u64,
    /// Room of its summaries, tokens.
    summary_room: Option<u64>,
    status: Status,
}

impl Pass {
    fn new(goal: Goal, limit: u64, status: Status) -> Self {
        Self { goal, mode: Mode::Free, limit, summary_room: None, status }
    }

    fn asks(self) -> bool {
        matches!(self.mode, Mode::Free | Mode::Forced)
    }
}

/// Messages, how they stand, and what is remembered of them.
#[allow(missing_debug_implementations)]
pub struct Conversation<'c> {
    options: ConversationOptions,
    counter: Rc<dyn TokenCounter + 'c>,
    /// What it makes of a fixed text.
    probe: u32,
    limit: u64,
    messages: Messages,
    transcript: Transcript<'static>,
    standing: Standing<'static>,
    /// By source index.
    pinned: Vec<bool>,
    /// By source index, what a placeholder calls a message; none where nobody could ask for it.
    labels: Vec<u64>,
    /// Of all messages.
    hash: ContentHash,
    state: State,
    /// How things were when the step under way began.
    step: Option<Before>,
    /// Who is told what is being done, as it begins.
    told: Option<Rc<dyn Fn(Status) + 'c>>,
}

/// How things were when a step began, for the case that it fails, and for its report.
struct Before {
    guards: Guards,
    deferred: Vec<Deferred>,
    goal: TaskGoal,
    subgoals: Subgoals,
    /// Only from the first change on.
    changed: Option<Changed>,
}

struct Changed {
    standing: Standing<'static>,
    patch: Option<Patch>,
    /// The view that the model saw.
    seen: Seen,
}

impl<'c> Conversation<'c> {
    /// An empty conversation.
    ///
    /// # Errors
    /// [`Error::InvalidOption`].
    pub fn new(options: ConversationOptions, counter: &'c dyn TokenCounter) -> Result<Self> {
        Self::restore(options, counter, Messages::default(), State::default())
    }

    /// A conversation as it was when its state was written. What was appended since is taken in.
    ///
    /// # Errors
    /// [`Error::InvalidOption`], and what reading the messages gives. A patch that does not belong to these messages is
    /// [`Error::StalePlan`].
    pub fn restore(
        options: ConversationOptions,
        counter: &'c dyn TokenCounter,
        messages: Messages,
        state: State,
    ) -> Result<Self> {
        Ok(Self::begun(options, Rc::new(move |text: &str| counter.count(text)), messages, state, &[])?)
    }

    /// The same, with sizes of the first messages that are known, tokens.
    pub(crate) fn begun(
        options: ConversationOptions,
        counter: Rc<dyn TokenCounter + 'c>,
        messages: Messages,
        state: State,
        known: &[u32],
    ) -> Boxed<Self> {
        let limit = options.budget.checked_limit()?;
        options.policy.check()?;
        let format = options.format.unwrap_or(Format::OpenAiChat);
        let transcript = Transcript::new(format, Vec::new(), &*counter, &[]);
        let standing = Standing::new(&transcript, options.overhead);
        let mut conversation = Self {
            options,
            probe: probe(&*counter),
            counter,
            limit,
            messages,
            transcript,
            standing,
            pinned: Vec::new(),
            labels: Vec::new(),
            hash: ContentHash::new(),
            state,
            step: None,
            told: None,
        };
        conversation.pinned = vec![false; conversation.messages.len()];
        for pin in &conversation.state.pinned {
            if let Some(place) = conversation.pinned.get_mut(*pin) {
                *place = true;
            }
        }
        conversation.read_all(known)?;
        Ok(conversation)
    }

    // ------------------------------------------------------------------------------------------------------ messages

    /// Takes in messages that follow.
    ///
    /// # Errors
    /// What reading them gives; nothing is taken in then.
    pub fn append(&mut self, messages: &Messages) -> Result<()> {
        Ok(self.append_counted(messages, &[])?)
    }

    /// The same, with sizes that are known, tokens.
    pub(crate) fn append_counted(&mut self, messages: &Messages, known: &[u32]) -> Boxed<()> {
        let from = self.messages.len();
        let fresh = self.parsed(messages, from)?;
        let (slot, joint) = self.transcript.joint();
        let last = self.parsed(&self.messages.slice(joint..from), joint)?;
        for message in &fresh {
            self.hash.add(message);
        }
        self.messages.extend(messages);
        self.pinned.resize(self.messages.len(), false);
        // What is read anew is let go of first, while its sizes are known; what was done to it is done again.
        let stands_in = |slot: &Slot<'_>| slot.source.is_none();
        let gives_way = self.transcript.slots.get(slot..).unwrap_or_default().iter().any(stands_in);
        let edits = self.standing.edits_from(&self.transcript, slot);
        self.standing.let_go(&self.transcript, slot);
        if self.transcript.extend(last, fresh, known, &*self.counter).is_none() {
            return self.read_all(&[]);
        }
        self.standing.follow(&self.transcript);
        self.standing.redo(&self.transcript, slot, edits);
        // The compaction in force speaks of a view with a stand-in that has given way: it has to speak of this one.
        if gives_way && self.state.patch.is_some() {
            let (limit, overhead) = (self.limit, self.options.overhead);
            let facts = Facts {
                tier: Tier::None,
                limit,
                overhead,
                source_hash: self.hash.hex(),
                probe: self.probe,
                warnings: Vec::new(),
            };
            self.state.patch = Some(engine::conclude(&self.transcript, &self.standing, facts, None).patch);
        }
        Ok(())
    }

    fn parsed(&self, messages: &Messages, from: usize) -> Boxed<Vec<Message<'static>>> {
        let rules = self.transcript.format.rules();
        let mut parsed = Vec::with_capacity(messages.len());
        for (at, text) in messages.iter().enumerate() {
            let value = crate::json::parse(text, Some(from + at))?;
            parsed.push(rules.parse(from + at, value)?.into_owned());
        }
        Ok(parsed)
    }

    /// Reads everything anew and puts the compaction in force on it.
    fn read_all(&mut self, known: &[u32]) -> Boxed<()> {
        let parsed = self.parsed(&self.messages, 0)?;
        let patch = self.state.patch.as_ref();
        let covered = patch.map_or(0, |patch| patch.source.messages);
        let (hash, of_covered) = engine::hashes(&parsed, covered);
        if patch.is_some_and(|patch| covered > parsed.len() || of_covered != patch.source.hash) {
            return Err(Error::StalePlan.into());
        }
        let known = patch.map_or(known, |patch| patch.source.known(self.probe));
        let transcript = Transcript::new(self.transcript.format, parsed, &*self.counter, known);
        let standing = Standing::new(&transcript, self.options.overhead);
        let mut ladder =
            Ladder::new(&transcript, standing, &*self.counter, &self.options.policy, &self.pinned, self.limit);
        if let Some(patch) = patch {
            // As it was made, whatever was pinned since: pins count from the next compaction on.
            engine::take_over(&mut ladder, &transcript, &patch.edits, &*self.counter, false, false)?;
        }
        self.standing = ladder.standing;
        self.transcript = transcript;
        self.hash = hash;
        Ok(())
    }

    /// The messages as they were given, all of them.
    #[must_use]
    pub fn messages(&self) -> &Messages {
        &self.messages
    }

    /// What goes to the model.
    ///
    /// # Errors
    /// Only a bug leads to one.
    pub fn view(&self) -> Result<Messages> {
        let recipe = engine::recipe(&self.transcript, &self.standing);
        Ok(self.messages.cook(&recipe)?)
    }

    /// Size of what goes to the model, tokens.
    #[must_use]
    pub fn tokens(&self) -> u64 {
        self.standing.total
    }

    /// What it must not exceed, tokens.
    #[must_use]
    pub fn limit(&self) -> u64 {
        self.limit
    }

    /// What is remembered beside the messages. Store it with them.
    #[must_use]
    pub fn state(&self) -> &State {
        &self.state
    }

    /// The compaction in force, for [`undo`](crate::undo) and as `previous` of a stateless call.
    #[must_use]
    pub fn patch(&self) -> Option<&Patch> {
        self.state.patch.as_ref()
    }
}

// ------------------------------------------------------------------------------------------------------------- life cycle

impl Conversation<'_> {
    /// What is done before a request to the model: a new turn begins, summaries of tool units are put in place, and the
    /// history is compacted where it has grown too large. (zeph's section 3.5, steps 3 to 6; the new user message is
    /// there already, so that it counts and its goal is known.)
    ///
    /// # Errors
    /// [`Error::IrreducibleBudget`] and [`Error::Aborted`]. The conversation is then as it was.
    pub async fn turn(&mut self, providers: Providers<'_>) -> Result<Done> {
        self.begin();
        let done = self.do_turn(providers).await;
        Ok(self.end(done)?)
    }

    async fn do_turn(&mut self, providers: Providers<'_>) -> Boxed<Done> {
        self.advance_turn();
        let mut step = self.do_apply_tool_summaries();
        step.merge(self.do_compress_proactively(providers).await?);
        step.merge(self.do_compact_if_needed(providers).await?);
        Ok(step)
    }

    /// What is done within a turn, after tools have run: tool units are summarised and put in place, and results are
    /// pruned where the view has grown too large. No summary of the history is made here.
    ///
    /// # Errors
    /// As [`turn`](Self::turn).
    pub async fn after_tools(&mut self, providers: Providers<'_>) -> Result<Done> {
        self.begin();
        let done = self.do_after_tools(providers).await;
        Ok(self.end(done)?)
    }

    async fn do_after_tools(&mut self, providers: Providers<'_>) -> Boxed<Done> {
        let mut step = self.do_summarize_tool_pairs(providers).await?;
        step.merge(self.do_apply_tool_summaries());
        step.merge(self.do_soft_compact(providers).await?);
        Ok(step)
    }

    /// A new turn of the user begins: the compaction of the last one is over, its cooldown begins.
    pub fn advance_turn(&mut self) {
        self.state.guards.advance_turn();
    }

    /// Puts the summaries of tool units in place of their units, if there is pressure: the view is above the soft
    /// threshold, or as many summaries wait as tool units may stand unsummarised. (Tier 0.)
    ///
    /// # Errors
    /// Only a bug leads to one.
    pub fn apply_tool_summaries(&mut self) -> Result<Done> {
        self.begin();
        let done = self.do_apply_tool_summaries();
        Ok(self.end(Ok(done))?)
    }

    fn do_apply_tool_summaries(&mut self) -> Done {
        let waiting = self.state.deferred.len();
        let pressed = self.goal().tier != Tier::None || waiting >= self.options.policy.tool_call_cutoff.max(1);
        if waiting == 0 || !pressed {
            return Done::default();
        }
        let mut ladder = self.ladder();
        let (applied, orphaned) = place_deferred(&mut ladder, &self.transcript, &self.state.deferred);
        let standing = ladder.standing;
        let counters = &mut self.state.guards.counters;
        counters.tool_pairs_applied += applied;
        counters.tool_pairs_orphaned += orphaned;
        self.state.deferred.clear();
        if applied == 0 {
            return Done::default();
        }
        Done { report: Some(self.commit(standing, Tier::Soft, Vec::new())), ..Done::default() }
    }

    /// Summarises before the window is full, where the policy asks for it.
    ///
    /// # Errors
    /// As [`turn`](Self::turn).
    pub async fn compress_proactively(&mut self, providers: Providers<'_>) -> Result<Done> {
        self.begin();
        let done = self.do_compress_proactively(providers).await;
        Ok(self.end(done)?)
    }

    async fn do_compress_proactively(&mut self, providers: Providers<'_>) -> Boxed<Done> {
        let Some(proactive) = self.options.policy.proactive else { return Ok(Done::default()) };
        let before = self.standing.total;
        if before <= proactive.threshold_tokens
            || !self.state.guards.may_ask(self.limit, self.messages.len())
            || self.leaves_it_to_the_server()
            || !self.is_worth_it(&self.ladder())
        {
            return Ok(Done::default());
        }
        let policy = &self.options.policy;
        // As far below its trigger as the soft target is below the soft threshold.
        let target = share(proactive.threshold_tokens, policy.soft_target / policy.soft);
        let threshold = proactive.threshold_tokens;
        let goal = Goal { tier: Tier::Hard, target: target.min(self.limit), soft: threshold, hard: threshold };
        let pass = Pass {
            summary_room: Some(proactive.max_summary_tokens),
            ..Pass::new(goal, self.limit, Status::Compressing)
        };
        let step = self.pass(providers, pass).await?;
        let after = self.standing.total;
        let counters = &mut self.state.guards.counters;
        if after < before {
            counters.compression_events += 1;
            counters.compression_tokens_saved += before - after;
        }
        self.conclude_hard(before, proactive.threshold_tokens, 0);
        Ok(step)
    }

    /// Compacts what has grown above a threshold: results are pruned above the soft one, messages are summarised above
    /// the hard one.
    ///
    /// # Errors
    /// As [`turn`](Self::turn).
    pub async fn compact_if_needed(&mut self, providers: Providers<'_>) -> Result<Done> {
        self.begin();
        let done = self.do_compact_if_needed(providers).await;
        Ok(self.end(done)?)
    }

    async fn do_compact_if_needed(&mut self, providers: Providers<'_>) -> Boxed<Done> {
        if self.state.guards.is_compacted_this_turn() && self.standing.total <= self.limit {
            return Ok(Done::default());
        }
        let goal = self.goal();
        if goal.tier != Tier::None && self.leaves_it_to_the_server() {
            self.state.guards.counters.server_compaction_events += 1;
            return Ok(Done::default());
        }
        let asks = self.state.guards.enter(self.limit, self.messages.len());
        let mut step = Done::default();
        match goal.tier {
            Tier::None => {}
            Tier::Soft => {
                let pass = Pass::new(goal, self.limit, Status::SoftCompacting);
                step = self.pass(providers, pass).await?;
            }
            Tier::Hard => {
                let before = self.standing.total;
                let pass = Pass {
                    mode: if asks { Mode::Free } else { Mode::Cooling },
                    ..Pass::new(goal, self.limit, Status::Compacting)
                };
                step = self.pass(providers, pass).await?;
                if step.report.as_ref().is_some_and(|report| report.tier == Tier::Hard) {
                    self.state.guards.hard_done();
                }
                if asks {
                    self.conclude_hard(before, goal.hard, self.options.policy.cooldown_turns);
                }
            }
        }
        if self.state.guards.warns() {
            step.events.push(Status::Exhausted);
        }
        Ok(step)
    }

    /// Compacts now, whatever the thresholds and guards say.
    ///
    /// # Errors
    /// As [`turn`](Self::turn).
    pub async fn compact_now(&mut self, providers: Providers<'_>) -> Result<Done> {
        self.begin();
        let done = self.do_compact_now(providers).await;
        Ok(self.end(done)?)
    }

    async fn do_compact_now(&mut self, providers: Providers<'_>) -> Boxed<Done> {
        let policy = &self.options.policy;
        let before = self.standing.total;
        // Below the thresholds, too, the view is brought down to that share of what it is.
        let target = share(self.limit.min(before), policy.hard_target);
        let goal = Goal { tier: Tier::Hard, target, soft: self.limit, hard: self.limit };
        let pass = Pass { mode: Mode::Forced, ..Pass::new(goal, self.limit, Status::Compacting) };
        let step = self.pass(providers, pass).await?;
        if self.standing.total < before {
            self.state.guards.hard_done();
            self.state.guards.compacted(self.options.policy.cooldown_turns);
        }
        Ok(step)
    }

    /// The model's provider refused a request as too long: compacts to what it said it takes (`None`: not known, then
    /// to nine tenths), at most twice a turn. Returns `None` when that is used up or nothing became smaller: sending
    /// the same again would fail again (B-27).
    ///
    /// # Errors
    /// As [`turn`](Self::turn).
    pub async fn overflowed(&mut self, providers: Providers<'_>, takes: Option<u64>) -> Result<Option<Done>> {
        self.begin();
        let done = self.do_overflowed(providers, takes).await;
        Ok(self.end(done)?)
    }

    async fn do_overflowed(&mut self, providers: Providers<'_>, takes: Option<u64>) -> Boxed<Option<Done>> {
        if self.state.guards.attempts >= MOST_ATTEMPTS {
            return Ok(None);
        }
        self.state.guards.attempts += 1;
        let before = self.standing.total;
        let tenths = share(before, 0.9);
        let limit = takes.map_or(tenths, |takes| takes.min(tenths)).min(self.limit).max(1);
        let target = share(limit, self.options.policy.hard_target);
        let goal = Goal { tier: Tier::Hard, target, soft: limit, hard: limit };
        let pass = Pass { mode: Mode::Forced, ..Pass::new(goal, limit, Status::Compacting) };
        let step = self.pass(providers, pass).await?;
        if self.standing.total >= before {
            self.put_back();
            return Ok(None);
        }
        self.state.guards.hard_done();
        Ok(Some(step))
    }

    /// Prunes within a turn. No model is asked, no counter of turns moves.
    ///
    /// # Errors
    /// As [`turn`](Self::turn).
    pub async fn soft_compact(&mut self, providers: Providers<'_>) -> Result<Done> {
        self.begin();
        let done = self.do_soft_compact(providers).await;
        Ok(self.end(done)?)
    }

    async fn do_soft_compact(&mut self, providers: Providers<'_>) -> Boxed<Done> {
        let mut goal = self.goal();
        let compacted = self.state.guards.is_compacted_this_turn() && self.standing.total <= self.limit;
        if goal.tier == Tier::None || compacted || self.leaves_it_to_the_server() {
            return Ok(Done::default());
        }
        if goal.tier == Tier::Hard && goal.soft < goal.hard {
            let policy = &self.options.policy;
            goal.target = share(self.limit, policy.soft_target);
        }
        let pass = Pass { mode: Mode::InTurn, ..Pass::new(goal, self.limit, Status::SoftCompacting) };
        self.pass(providers, pass).await
    }

    /// Summarises tool units that have piled up, the oldest first, for later: nothing changes yet in the view.
    ///
    /// # Errors
    /// [`Error::Aborted`].
    pub async fn summarize_tool_pairs(&mut self, providers: Providers<'_>) -> Result<Done> {
        self.begin();
        let done = self.do_summarize_tool_pairs(providers).await;
        Ok(self.end(done)?)
    }

    async fn do_summarize_tool_pairs(&mut self, providers: Providers<'_>) -> Boxed<Done> {
        let policy = &self.options.policy;
        if self.standing.total <= share(self.limit, policy.tool_pair_share) {
            return Ok(Done::default());
        }
        let calls = Calls::new(policy, providers, &*self.counter);
        let ladder = self.ladder();
        let backlog = summarize::backlog(&ladder, &self.transcript, &self.state.deferred, policy.tool_call_cutoff);
        if backlog.is_empty() || providers.of(Purpose::ToolPair).is_none() {
            return Ok(Done::default());
        }
        self.say(Status::SummarizingTools);
        let written = summarize::tool_pairs(&self.transcript, &backlog, &calls, &*self.counter).await?;
        drop(ladder);
        let (made, failures) = (calls.made(), calls.failures());
        self.count_calls(made, failures.len());
        self.state.guards.counters.tool_pair_summaries += written.len() as u64;
        self.state.deferred.extend(written);
        let deferred = std::mem::take(&mut self.state.deferred);
        self.state.deferred = sorted_by(deferred, |deferred| deferred.from as u64);
        let warnings = failures.iter().map(summarize::warning).collect();
        Ok(Done { report: None, events: vec![Status::SummarizingTools, Status::Idle], warnings })
    }

    // --------------------------------------------------------------------------------------------------- host's wishes

    /// Keeps a message from now on: nothing of it is edited, and if it is a tool result, its whole unit stays. What is
    /// hidden or edited already stays so. A summary of ours is never pinned.
    ///
    /// # Errors
    /// [`Error::InvalidOption`] when there is no such message.
    pub fn pin(&mut self, index: usize) -> Result<()> {
        Ok(self.set_pin(index, true)?)
    }

    /// Takes a pin off.
    ///
    /// # Errors
    /// [`Error::InvalidOption`] when there is no such message.
    pub fn unpin(&mut self, index: usize) -> Result<()> {
        Ok(self.set_pin(index, false)?)
    }

    /// Pins every message, as JSON, that a predicate picks. Returns how many.
    pub fn pin_where(&mut self, picks: impl Fn(usize, &str) -> bool) -> usize {
        let picked: Vec<usize> =
            self.messages.iter().enumerate().filter(|(at, text)| picks(*at, text)).map(|(at, _)| at).collect();
        picked.into_iter().filter(|at| self.set_pin(*at, true).is_ok()).count()
    }

    fn set_pin(&mut self, index: usize, pin: bool) -> Boxed<()> {
        let count = self.pinned.len();
        let Some(place) = self.pinned.get_mut(index) else {
            return Err(Error::option("pin", format_args!("there is no message {index}; there are {count}")));
        };
        *place = pin;
        let pins = &mut self.state.pinned;
        match pins.binary_search(&index) {
            Ok(at) if !pin => drop(pins.remove(at)),
            Err(at) if pin => pins.insert(at, index),
            _ => {}
        }
        Ok(())
    }

    /// The limit from now on, as when the model changes.
    ///
    /// # Errors
    /// [`Error::InvalidOption`].
    pub fn set_budget(&mut self, budget: Budget) -> Result<()> {
        self.limit = budget.checked_limit()?;
        self.options.budget = budget;
        Ok(())
    }

    /// Begins work on one thing: what is said about it from here on may later be replaced by what was found out.
    ///
    /// # Errors
    /// [`FocusError::Active`].
    pub fn begin_focus(&mut self, scope: &str) -> std::result::Result<(), FocusError> {
        self.state.focus.begin(scope, self.messages.len(), self.state.guards.turn)
    }

    /// Ends it: `summary` is kept word for word, and the tool units and the model's own words since the beginning are
    /// hidden behind it, as whole units. What the user said, what is pinned and the open tool unit stay (B-25).
    ///
    /// # Errors
    /// [`FocusError`]; nothing changes then.
    pub fn complete_focus(&mut self, summary: &str) -> std::result::Result<Option<Report>, FocusError> {
        let (turn, policy) = (self.state.guards.turn, &self.options.focus);
        let mut focus = self.state.focus.clone();
        let mut knowledge = self.state.knowledge.clone();
        let covered = focus.complete(&mut knowledge, summary, self.messages.len(), turn, policy, &*self.counter)?;
        let mut ladder = self.ladder();
        let before = ladder.standing.total;
        let text = knowledge.entries.last().map_or("", |entry| entry.text.as_str());
        ladder.hide_for(&self.transcript, covered, text);
        let standing = ladder.standing;
        self.state.focus = focus;
        self.state.knowledge = knowledge;
        if standing.total >= before {
            return Ok(None);
        }
        self.state.guards.compacted(0);
        // A step of its own: one that was dropped halfway may have left its beginning behind.
        self.begin();
        let report = self.commit(standing, Tier::Hard, Vec::new());
        self.step = None;
        Ok(Some(report))
    }

    /// Gives a focus up; nothing is hidden for it.
    pub fn abandon_focus(&mut self) {
        self.state.focus.abandon();
    }

    /// Whether the model should be reminded to focus, or to complete what it began. Counts as a reminder.
    pub fn reminds_of_focus(&mut self) -> bool {
        let turn = self.state.guards.turn;
        let reminds = self.state.focus.should_remind(&self.options.focus, turn);
        if reminds {
            self.state.focus.reminded(turn);
        }
        reminds
    }

    /// Looks at the final answer of a turn: one that misses what was said before a hard compaction is remembered, and
    /// teaches later summaries. Returns whether it was one.
    pub fn observe_answer(&mut self, answer: &str) -> bool {
        // One that an earlier view was brought to is a message like others by now.
        let earlier = self.transcript.slots.iter().rev().find(|slot| slot.summary);
        let earlier = earlier.and_then(|slot| slot.message.texts().next()).unwrap_or_default();
        let summary = self.standing.stands.last().map_or(earlier, |stand| stand.text.as_str());
        let guards = &self.state.guards;
        let policy = &self.options.guidelines;
        self.state.guidelines.observe(policy, guards.turns_since_hard, guards.turn, summary, answer)
    }

    /// Has the guidelines written anew, if enough was remembered.
    ///
    /// # Errors
    /// [`Error::Aborted`].
    pub async fn update_guidelines(&mut self, providers: Providers<'_>) -> Result<bool> {
        let turn = self.state.guards.turn;
        let policy = &self.options.guidelines;
        if !self.state.guidelines.due(policy, turn) {
            return Ok(false);
        }
        let calls = Calls::new(&self.options.policy, providers, &*self.counter);
        let Some((prompt, through)) = summarize::lesson(&self.state.guidelines.lesson(policy), policy, &calls) else {
            return Ok(false);
        };
        let answer = calls.ask(Purpose::Guidelines, prompt, u64::from(policy.max_tokens)).await?;
        let written = if let Ok(answer) = answer {
            self.state.guidelines.accept(policy, turn, through, &answer, &*self.counter)
        } else {
            self.state.guidelines.failed(turn);
            false
        };
        let (made, failures) = (calls.made(), calls.failures().len());
        self.count_calls(made, failures);
        Ok(written)
    }

    // ---------------------------------------------------------------------------------------------------------- passes

    fn say(&self, status: Status) {
        if let Some(told) = &self.told {
            told(status);
        }
    }

    fn goal(&self) -> Goal {
        self.options.budget.goal(self.limit, self.standing.total, &self.options.policy)
    }

    /// Whether there is enough to summarise: what frees next to nothing is worth neither a model's time nor the prompt
    /// cache, and would be done again on the next turn.
    fn is_worth_it(&self, ladder: &Ladder<'_, '_>) -> bool {
        ladder.gain() * 1_000 >= self.limit * MINIMUM_PROGRESS
    }

    /// The provider compacts by itself, and the view is not so large that one must not wait for it: at most 95 %.
    fn leaves_it_to_the_server(&self) -> bool {
        self.options.server_compaction && self.standing.total * 100 <= self.limit * 95
    }

    fn ladder(&self) -> Ladder<'_, 'static> {
        let policy = &self.options.policy;
        let standing = self.standing.clone();
        let mut ladder = Ladder::new(&self.transcript, standing, &*self.counter, policy, &self.pinned, self.limit);
        ladder.labels = &self.labels;
        ladder
    }

    /// One pass over a copy of how things stand; what it leads to is only kept when all of it is done.
    async fn pass(&mut self, providers: Providers<'_>, pass: Pass) -> Boxed<Done> {
        let policy = &self.options.policy;
        let calls = Calls::new(policy, providers, &*self.counter);
        self.say(pass.status);
        let mut events = vec![pass.status];
        let mut goal_of_task = self.state.goal.clone();
        let mut subgoals = self.state.subgoals.clone();
        if policy.strategy != Strategy::OldestFirst && pass.asks() {
            let given = self.options.goal.as_deref();
            summarize::refresh_goal(&self.transcript, given, &calls, &mut goal_of_task, &mut subgoals).await?;
        }
        let mut ladder = self.ladder();
        ladder.summary_room = pass.summary_room;
        let (applied, orphaned) = place_deferred(&mut ladder, &self.transcript, &self.state.deferred);
        let target = ladder.target(pass.goal, pass.limit, self.options.overhead);
        let aim = Aim { goal: goal_of_task.text(), subgoals: &subgoals, messages: self.transcript.sources };
        let mut pruned = 0;
        if pass.mode == Mode::InTurn {
            pruned += ladder.prune_stale(target, keep_recent(policy.tool_call_cutoff));
        }
        pruned += ladder.prune(target, &aim);
        let mut tier = if pruned > 0 || applied > 0 { Tier::Soft } else { Tier::None };
        let over = ladder.standing.total > pass.limit;
        let worth = pass.mode == Mode::Forced || self.is_worth_it(&ladder);
        let hard = pass.goal.tier == Tier::Hard && ladder.standing.total > target && worth && pass.asks();
        let mut warnings = Vec::new();
        let mut written = summarize::Written::default();
        if hard || over {
            tier = Tier::Hard;
            ladder.hard(target, pass.limit);
            if ladder.standing.total > self.limit {
                return Err(ladder.irreducible(self.limit, self.options.overhead));
            }
            let guidelines = self.state.guidelines.in_force(&self.options.global_guidelines);
            let wishes = Wishes {
                guidelines: (!guidelines.is_empty()).then_some(guidelines),
                instructions: self.options.instructions.as_deref(),
                knowledge: self.state.knowledge.entries.iter().map(|entry| entry.text.clone()).collect(),
                ..Wishes::default()
            };
            if pass.asks() && worth {
                written = summarize::redraft(&mut ladder, &self.transcript, &*self.counter, &calls, &wishes).await?;
                warnings.append(&mut written.warnings);
            }
            summarize::keep_knowledge(&mut ladder, &self.transcript, &*self.counter, &wishes);
        }
        // Only now: a summary may have taken more of its room than the draft did, or less.
        ladder.fill(target);
        let standing = ladder.standing;
        let (made, failures, spent) = (calls.made(), calls.failures(), calls.spent());
        self.count_calls(made, failures.len());
        self.state.goal = goal_of_task;
        self.state.subgoals = subgoals;
        // Next to nothing is not worth the prompt cache either (B-34): things stay as they were.
        let freed = self.standing.total.saturating_sub(standing.total);
        let had_to = pass.mode == Mode::Forced || self.standing.total > self.limit;
        let next_to_nothing =
            tier == Tier::Soft && applied == 0 && !had_to && freed * 1_000 < self.limit * LEAST_PRUNED;
        if next_to_nothing || standing.total >= self.standing.total {
            events.push(Status::Idle);
            return Ok(Done { report: None, events, warnings });
        }
        let counters = &mut self.state.guards.counters;
        counters.tool_output_prunes += pruned as u64;
        counters.tool_pairs_applied += applied;
        counters.tool_pairs_orphaned += orphaned;
        counters.summaries_refused += written.refused;
        counters.offline_fallbacks += written.offline;
        self.state.deferred.clear();
        events.push(Status::Idle);
        if tier == Tier::Hard {
            self.state.guards.counters.context_compactions += 1;
            // What was completed before the first message that is still there is of no use any more.
            let end =
                standing.runs().first().and_then(|run| self.transcript.slots.get(run.end)).and_then(|slot| slot.source);
            self.state.subgoals.rebuild_after_compaction(end.unwrap_or_default());
        }
        let mut report = self.commit(standing, tier, warnings.clone());
        report.models = spent;
        Ok(Done { report: Some(report), events, warnings })
    }

    /// Cooldown after a hard pass that gained something; else nothing more can be gained for now.
    fn conclude_hard(&mut self, before: u64, trigger: u64, cooldown: u32) {
        let after = self.standing.total;
        let guards = &mut self.state.guards;
        let progress = before.saturating_sub(after) * 1_000 >= self.limit * MINIMUM_PROGRESS;
        if after > trigger || !progress {
            guards.exhausted(self.limit, self.messages.len());
        } else {
            guards.compacted(cooldown);
        }
    }

    fn count_calls(&mut self, made: u32, failures: usize) {
        let counters = &mut self.state.guards.counters;
        counters.provider_calls += u64::from(made);
        counters.provider_failures += failures as u64;
    }

    fn begin(&mut self) {
        let State { guards, deferred, goal, subgoals, .. } = &self.state;
        self.step = Some(Before {
            guards: guards.clone(),
            deferred: deferred.clone(),
            goal: goal.clone(),
            subgoals: subgoals.clone(),
            changed: None,
        });
    }

    /// The end of a step: after a failure everything is as it was.
    fn end<T>(&mut self, done: Boxed<T>) -> Boxed<T> {
        if done.is_err() {
            self.put_back();
        }
        if let Some(before) = self.step.take()
            && done.is_err()
        {
            (self.state.guards, self.state.deferred) = (before.guards, before.deferred);
            (self.state.goal, self.state.subgoals) = (before.goal, before.subgoals);
        }
        done
    }

    /// Makes the view what it was when the step began.
    fn put_back(&mut self) {
        if let Some(changed) = self.step.as_mut().and_then(|step| step.changed.take()) {
            (self.standing, self.state.patch) = (changed.standing, changed.patch);
        }
    }

    /// Keeps what a pass led to. What the model saw last is how things stood before the step, however many passes it has.
    fn commit(&mut self, standing: Standing<'static>, tier: Tier, warnings: Vec<Warning>) -> Report {
        let old = std::mem::replace(&mut self.standing, standing);
        let patch = self.state.patch.take();
        let earlier = self.step.as_mut().and_then(|step| step.changed.take());
        let changed = earlier.unwrap_or_else(|| {
            let seen = engine::seen_now(&self.transcript, &old);
            Changed { standing: old, patch, seen }
        });
        let before = changed.standing.total;
        let (limit, overhead) = (self.limit, self.options.overhead);
        let facts = Facts { tier, limit, overhead, source_hash: self.hash.hex(), probe: self.probe, warnings };
        let mut outcome = engine::conclude(&self.transcript, &self.standing, facts, Some(&changed.seen));
        outcome.report.before = before;
        if let Some(step) = &mut self.step {
            step.changed = Some(changed);
        }
        let counters = &mut self.state.guards.counters;
        counters.compaction_last_before = before;
        counters.compaction_last_after = self.standing.total;
        self.state.patch = Some(outcome.patch);
        outcome.report
    }
}

/// Puts summaries of tool units in place. Returns how many, and how many no longer have a unit to stand for.
fn place_deferred(ladder: &mut Ladder<'_, '_>, transcript: &Transcript<'_>, deferred: &[Deferred]) -> (u64, u64) {
    let (mut applied, mut orphaned) = (0, 0);
    for deferred in deferred {
        match deferred.unit(transcript) {
            Some(unit) if ladder.stand_in(unit.clone(), &deferred.text) => applied += 1,
            _ => orphaned += 1,
        }
    }
    (applied, orphaned)
}
