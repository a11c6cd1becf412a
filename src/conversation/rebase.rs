//! From one compaction to the next: what a view consists of becomes the messages that the next compaction starts from.
//!
//! A session keeps only what its view needs in memory. So once a compaction is written down, the conversation goes on
//! from the view: its summaries are messages like others then, recognised by their header.

use std::rc::Rc;

use super::{Conversation, State, Status};
use crate::budget::{Budget, share};
use crate::engine::{self, Facts};
use crate::error::{Boxed, Error};
use crate::json::Messages;
use crate::message::{PartKind, Role};
use crate::transcript::{Change, Inserted, Patch, RecipeItem, Report, Tier};

/// One message that a view is made of.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Rebased {
    /// A message as it was given, or with changes.
    Source(usize, Vec<Change>),
    /// A summary, in front of the message that it stands for first.
    Stand(Inserted),
}

/// The sizes of a view, tokens, by what they are spent on. They add up to the size of the view.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Weights {
    pub overhead: u64,
    pub system: u64,
    pub user: u64,
    pub assistant: u64,
    pub tool_calls: u64,
    pub tool_results: u64,
    pub summaries: u64,
}

impl<'c> Conversation<'c> {
    /// The same conversation once more, as it stands between two steps.
    pub(crate) fn copied(&self) -> Self {
        Self {
            options: self.options.clone(),
            counter: Rc::clone(&self.counter),
            probe: self.probe,
            limit: self.limit,
            messages: self.messages.clone(),
            transcript: self.transcript.clone(),
            standing: self.standing.clone(),
            pinned: self.pinned.clone(),
            labels: self.labels.clone(),
            hash: self.hash.clone(),
            state: self.state.clone(),
            step: None,
            told: None,
        }
    }

    /// Whether a step could do anything at all. Costs next to nothing.
    pub(crate) fn may_be_due(&self) -> bool {
        let policy = &self.options.policy;
        let of_limit = share(self.limit, policy.soft.min(policy.hard).min(policy.tool_pair_share));
        let least = policy.proactive.map_or(of_limit, |proactive| of_limit.min(proactive.threshold_tokens));
        !self.state.deferred.is_empty() || self.standing.total > least
    }

    /// What the view is made of, in its order. Left out are messages that the format's rules drop, and stand-ins that
    /// they force: those are found again from what is there.
    pub(crate) fn rebased(&self) -> Vec<Rebased> {
        let mut made_of = Vec::new();
        let mut stands = self.standing.stands.iter().peekable();
        for (at, slot) in self.transcript.slots.iter().enumerate() {
            if let Some(stand) = stands.next_if(|stand| stand.run.start == at) {
                let (_, inserted) = self.transcript.format.rules().text_message(&stand.role, &stand.text);
                made_of.push(Rebased::Stand(inserted));
            }
            if self.standing.is_hidden(at) {
                continue;
            }
            if let Some(source) = slot.source {
                let edit = self.standing.edits.get(at).and_then(Option::as_ref);
                made_of.push(Rebased::Source(source, edit.map(|edit| edit.changes.clone()).unwrap_or_default()));
            }
        }
        made_of
    }

    /// How things stand, as the report and patch of a step that changed nothing.
    pub(crate) fn as_it_stands(&self) -> (Report, Patch) {
        let facts = Facts {
            tier: Tier::None,
            limit: self.limit,
            overhead: self.options.overhead,
            source_hash: self.hash.hex(),
            probe: self.probe,
            warnings: Vec::new(),
        };
        let seen = engine::seen_now(&self.transcript, &self.standing);
        let outcome = engine::conclude(&self.transcript, &self.standing, facts, Some(&seen));
        (outcome.report, outcome.patch)
    }

    /// XXH64 of all messages, 16 hexadecimal digits.
    pub(crate) fn hash(&self) -> String {
        self.hash.hex()
    }

    /// What the counter makes of a fixed text: sizes belong to one counter.
    pub(crate) fn probe(&self) -> u32 {
        self.probe
    }

    /// Size of each message as given, tokens.
    pub(crate) fn sizes(&self) -> Vec<u32> {
        self.transcript.sizes()
    }

    /// Replaces what is remembered beside the messages, where that says nothing of a compaction in force.
    pub(crate) fn set_state(&mut self, state: State) {
        self.state = State { patch: self.state.patch.take(), ..state };
        self.set_pins(self.state.pinned.clone());
    }

    /// Exactly these are pinned.
    pub(crate) fn set_pins(&mut self, pins: Vec<usize>) {
        self.pinned.fill(false);
        for pin in &pins {
            if let Some(place) = self.pinned.get_mut(*pin) {
                *place = true;
            }
        }
        self.state.pinned = pins;
    }

    /// Who is told what is being done, as it begins.
    pub(crate) fn tell(&mut self, told: Rc<dyn Fn(Status) + 'c>) {
        self.told = Some(told);
    }

    /// What placeholders call the messages from now on, by index.
    pub(crate) fn label(&mut self, labels: impl Iterator<Item = u64>) {
        self.labels.extend(labels);
    }

    /// What summaries are to heed from now on.
    pub(crate) fn set_instructions(&mut self, instructions: Option<String>) {
        self.options.instructions = instructions;
    }

    /// The limit is this, whatever the budget says, tokens.
    pub(crate) fn set_limit(&mut self, limit: u64) {
        self.limit = limit.max(1);
    }

    /// What it is held to.
    pub(crate) fn budget(&self) -> &Budget {
        &self.options.budget
    }

    /// What the view's size is spent on.
    pub(crate) fn weights(&self) -> Weights {
        let mut weights = Weights { overhead: self.options.overhead, ..Weights::default() };
        weights.summaries = self.standing.stands.iter().map(|stand| stand.tokens).sum();
        for (at, slot) in self.transcript.slots.iter().enumerate() {
            if self.standing.is_hidden(at) {
                continue;
            }
            let tokens = self.standing.tokens(&self.transcript, at);
            let place = match slot.message.role {
                _ if slot.summary => &mut weights.summaries,
                Role::System => &mut weights.system,
                Role::User => &mut weights.user,
                Role::Tool => &mut weights.tool_results,
                Role::Assistant if slot.message.has_calls() => {
                    let calls = slot.message.parts.iter().filter(|part| matches!(part.kind, PartKind::ToolCall { .. }));
                    let of_calls: u64 = calls
                        .map(|part| crate::tokens::part_tokens(&*self.counter, &part.kind))
                        .sum::<u64>()
                        .min(tokens);
                    weights.tool_calls += of_calls;
                    weights.assistant += tokens - of_calls;
                    continue;
                }
                Role::Assistant => &mut weights.assistant,
            };
            *place += tokens;
        }
        weights
    }

    /// Whether a user wrote the message of this index.
    pub(crate) fn is_of_user(&self, index: usize) -> bool {
        let mut slots = self.transcript.slots.iter().rev();
        slots.any(|slot| slot.source == Some(index) && slot.message.role == Role::User && !slot.summary)
    }

    /// The view, message by message: the index of the message that it is or was made from, if any, and its text where
    /// it is not just that.
    pub(crate) fn view_items(&self) -> Boxed<Vec<(Option<usize>, Option<String>)>> {
        let mut items = Vec::new();
        for item in engine::recipe(&self.transcript, &self.standing).items {
            match item {
                RecipeItem::Keep(from, to) => items.extend((from..to).map(|index| (Some(index), None))),
                RecipeItem::Edit(index, changes) => {
                    let text = self.messages.get(index).ok_or(Error::StalePlan)?;
                    items.push((Some(index), Some(Messages::changed_text(text, &changes)?)));
                }
                RecipeItem::Insert { message, .. } => {
                    items.push((None, Some(crate::json::text(&message).map_err(|_| Error::StalePlan)?)));
                }
            }
        }
        Ok(items)
    }
}

impl State {
    /// The same, speaking of messages by other numbers.
    pub(crate) fn renumbered(&self, number: impl Fn(usize) -> usize) -> Self {
        let mut state = self.clone();
        for pin in &mut state.pinned {
            *pin = number(*pin);
        }
        for deferred in &mut state.deferred {
            deferred.from = number(deferred.from);
        }
        state.subgoals.renumber(&number);
        if let Some(active) = &mut state.focus.active {
            active.from = number(active.from);
        }
        state
    }
}
