//! The offline ladder: what is given up, in which order, until a history fits.
//!
//! Each rung is taken only if the one before did not free enough: prune tool results, hide messages behind a summary,
//! shrink oversize messages of the tail, give up the tail oldest first, shrink the open tool unit. Sizes are kept up
//! to date with every edit, and every pass over the history is linear.

use std::ops::Range;

use crate::budget::Goal;
use crate::error::{Boxed, Breakdown, Error};
use crate::format::NO_RESULT;
use crate::message::{Message, Part, Role};
use crate::order::{Places, ascending, sorted_by};
use crate::policy::{Policy, RECALL, Strategy};
use crate::prune::placeholder::{is_placeholder, placeholder};
use crate::prune::stale::stale;
use crate::prune::{self, Aim, Block};
use crate::shrink::{self, head_and_tail};
use crate::summarize::{brief, harmless, record, reports_error, summarize};
use crate::text::joined;
use crate::tokens::{FRAME, TokenCounter, message_tokens};
use crate::transcript::{Change, SlotEdit, Stand, Standing, Tier, Transcript, Unit, UnitKind};

/// What may be done to a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hold {
    /// Anything, at its turn.
    Free,
    /// Anything, but late.
    Tail,
    /// Part of the open tool unit: its results may be shrunk last of all.
    Open,
    /// Nothing, but it is only a partner of a pinned message: a result's payload may be pruned.
    Partner,
    /// Nothing: system messages, pinned messages, the last user message.
    Fixed,
}

/// Tokens kept for the shortest notice of what is missing.
const NOTICE: u64 = 28;
/// A summary below this says less than its frame costs.
const SMALLEST_SUMMARY: u64 = 70;
/// Share of the room beside what is fixed that summaries may take, percent.
const SUMMARY_PERCENT: u64 = 15;
/// A message of the tail is shrunk to no less than this before older ones are given up, tokens.
const TAIL_MINIMUM: u64 = 160;
/// How often messages are cut further, until the last time leaves only the least of each.
const SHRINK_ROUNDS: usize = 6;
/// Room worth filling with part of a pruned result, tokens.
const WORTH_FILLING: u64 = 64;

/// A history being brought down to size.
pub(crate) struct Ladder<'t, 'a> {
    transcript: &'t Transcript<'a>,
    counter: &'t dyn TokenCounter,
    policy: &'t Policy,
    holds: Vec<Hold>,
    /// Messages that the host pinned.
    pinned: Vec<bool>,
    /// Results of tools that the policy protects, and what the model has just recalled; empty when there can be none.
    protected: Vec<bool>,
    /// By source index, the id by which a message can be recalled; 0, or nothing, where none is known.
    pub(crate) labels: &'t [u64],
    /// What it looks like by now.
    pub standing: Standing<'a>,
    /// Room of summaries, tokens, where it is not a share of the rest.
    pub summary_room: Option<u64>,
    /// Slots pruned in this pass, in that order.
    pruned: Vec<usize>,
    /// What stood for hidden slots before this pass.
    earlier: Vec<Stand>,
}

impl<'t, 'a> Ladder<'t, 'a> {
    /// Starts from how a history stands. `pinned` is by source index.
    pub(crate) fn new(
        transcript: &'t Transcript<'a>,
        standing: Standing<'a>,
        counter: &'t dyn TokenCounter,
        policy: &'t Policy,
        pinned: &[bool],
        limit: u64,
    ) -> Self {
        let pinned: Vec<bool> = transcript
            .slots
            .iter()
            .map(|slot| !slot.summary && slot.source.and_then(|at| pinned.get(at)).copied().unwrap_or(false))
            .collect();
        let holds = holds(transcript, policy, &pinned, limit);
        Self {
            transcript,
            counter,
            policy,
            holds,
            pinned,
            protected: protected(transcript, policy),
            labels: &[],
            standing,
            summary_room: None,
            pruned: Vec::new(),
            earlier: Vec::new(),
        }
    }

    /// Current size of a slot if it is visible.
    pub(crate) fn tokens(&self, at: usize) -> u64 {
        self.standing.tokens(self.transcript, at)
    }

    fn hold(&self, at: usize) -> Hold {
        self.holds.get(at).copied().unwrap_or(Hold::Fixed)
    }

    pub(crate) fn is_hidden(&self, at: usize) -> bool {
        self.standing.is_hidden(at)
    }

    /// Whether nothing of a slot may be edited.
    pub(crate) fn is_fixed(&self, at: usize) -> bool {
        let pinned = self.pinned.get(at).copied().unwrap_or(true);
        let last_user = self.transcript.slots.get(at).is_some_and(|slot| slot.message.role == Role::User);
        self.hold(at) == Hold::Fixed && (pinned || !(last_user && self.policy.shrink_last_user))
    }

    // ------------------------------------------------------------------------------------------------ single edits

    /// Puts an edit on a slot, whatever its hold: for edits that are taken over from a patch.
    pub(crate) fn put_edit(&mut self, at: usize, edit: Option<SlotEdit<'a>>) {
        let before = self.tokens(at);
        if let Some(place) = self.standing.edits.get_mut(at) {
            *place = edit;
        }
        if !self.is_hidden(at) {
            self.standing.total = self.standing.total - before + self.tokens(at);
        }
    }

    pub(crate) fn set_hidden(&mut self, at: usize, hide: bool) {
        let tokens = self.tokens(at);
        if let Some(hidden) = self.standing.hidden.get_mut(at)
            && *hidden != hide
        {
            *hidden = hide;
            self.standing.total = if hide { self.standing.total - tokens } else { self.standing.total + tokens };
        }
    }

    fn hide_unit(&mut self, slots: Range<usize>, hide: bool) {
        for at in slots {
            self.set_hidden(at, hide);
        }
    }

    pub(crate) fn add_stand(&mut self, stand: Stand) {
        self.standing.total += stand.tokens;
        self.standing.stands.push(stand);
    }

    // ------------------------------------------------------------------------------------------------------- rungs

    /// Brings the view down to the goal. Returns the tier that it took.
    ///
    /// # Errors
    /// [`Error::IrreducibleBudget`] when the view cannot be brought down to `limit`.
    pub(crate) fn climb(&mut self, goal: Goal, limit: u64, overhead: u64, aim: &Aim<'_>) -> Boxed<Tier> {
        let (tier, target) = self.descend(goal, limit, overhead, aim)?;
        self.fill(target);
        Ok(tier)
    }

    /// The same without giving room back that is left: summaries may still change. Returns the target, too.
    ///
    /// # Errors
    /// As [`climb`](Self::climb).
    pub(crate) fn descend(&mut self, goal: Goal, limit: u64, overhead: u64, aim: &Aim<'_>) -> Boxed<(Tier, u64)> {
        if goal.tier == Tier::None {
            return Ok((Tier::None, 0));
        }
        let target = self.target(goal, limit, overhead);
        let mut tier = if self.prune(target, aim) > 0 { Tier::Soft } else { Tier::None };
        if self.standing.total > target && goal.tier == Tier::Hard {
            tier = Tier::Hard;
            self.hard(target, limit);
        }
        if self.standing.total > limit {
            return Err(self.irreducible(limit, overhead));
        }
        Ok((tier, target))
    }

    /// The size to come down to, where what cannot be given up is as large as it is here.
    pub(crate) fn target(&self, goal: Goal, limit: u64, overhead: u64) -> u64 {
        goal.target_above(overhead + self.tokens_of(|at| self.is_fixed(at)), limit)
    }

    /// Tokens of what could be hidden: what a summary can gain at most.
    pub(crate) fn gain(&self) -> u64 {
        self.tokens_of(|at| matches!(self.hold(at), Hold::Free | Hold::Tail))
    }

    /// Rung 1: tool results outside the tail lose their payload, in the order of the strategy, until the target is met.
    /// Returns how many.
    pub(crate) fn prune(&mut self, target: u64, aim: &Aim<'_>) -> usize {
        let before = self.pruned.len();
        if self.standing.total <= target {
            return 0;
        }
        for at in self.in_order(aim) {
            if self.standing.total <= target {
                break;
            }
            self.prune_slot(at);
        }
        self.pruned.len() - before
    }

    /// Prunes what a long tool loop has left behind, the oldest first and failures last, until the target is met.
    pub(crate) fn prune_stale(&mut self, target: u64, keep_recent: usize) -> usize {
        let before = self.pruned.len();
        let count = self.transcript.slots.len();
        let mut results = Vec::new();
        for (at, slot) in self.transcript.slots.iter().enumerate() {
            if matches!(self.hold(at), Hold::Free | Hold::Partner) && self.is_prunable(at) {
                results.push((at, self.tokens(at), slot.message.texts().next().is_some_and(reports_error)));
            }
        }
        for place in stale(&results, count, keep_recent) {
            if self.standing.total <= target {
                break;
            }
            if let Some((at, ..)) = results.get(place) {
                self.prune_slot(*at);
            }
        }
        self.pruned.len() - before
    }

    /// The slots that may be pruned, the first to go first.
    fn in_order(&self, aim: &Aim<'_>) -> Vec<usize> {
        let free = |at: &usize| matches!(self.hold(*at), Hold::Free | Hold::Partner) && self.is_prunable(*at);
        let slots: Vec<usize> = (0..self.transcript.slots.len()).filter(free).collect();
        if self.policy.strategy == Strategy::OldestFirst {
            return slots;
        }
        let blocks = blocks(self.transcript, &slots);
        let order = prune::order(self.policy.strategy, &blocks, aim);
        order.into_iter().filter_map(|place| slots.get(place).copied()).collect()
    }

    /// Whether a slot is a result that has its payload still, and may lose it.
    pub(crate) fn is_prunable(&self, at: usize) -> bool {
        let Some(slot) = self.transcript.slots.get(at) else { return false };
        let pruned_already = || {
            matches!(self.standing.edits.get(at), Some(Some(SlotEdit { prune: true, .. })))
                || slot
                    .message
                    .texts()
                    .next()
                    .is_some_and(|text| text == NO_RESULT || is_placeholder(self.policy, text))
        };
        // A stand-in for a result that never came is as small as it gets, also where it came back as a message, and it
        // has no source to edit where it did not.
        slot.message.role == Role::Tool
            && slot.source.is_some()
            && !self.is_hidden(at)
            && !self.is_protected(at)
            && !pruned_already()
    }

    /// Replaces a result by the placeholder, where that makes it smaller.
    fn prune_slot(&mut self, at: usize) {
        let Some(slot) = self.transcript.slots.get(at) else { return };
        let payload = slot.tokens.saturating_sub(u64::from(FRAME));
        let label = slot.source.and_then(|at| self.labels.get(at)).copied().unwrap_or_default();
        let text = placeholder(self.policy, payload, label);
        let (message, changes) = self.transcript.format.rules().with_result(&slot.message, &text);
        let tokens = message_tokens(self.counter, &message);
        if tokens >= self.tokens(at) {
            return;
        }
        self.put_edit(at, Some(SlotEdit { prune: true, changes, message, tokens }));
        self.pruned.push(at);
    }

    fn is_protected(&self, at: usize) -> bool {
        self.protected.get(at).copied().unwrap_or(false)
    }

    /// Rungs 2 to 5.
    pub(crate) fn hard(&mut self, target: u64, limit: u64) {
        // Summaries of earlier passes make room and are written anew over everything that is then hidden.
        self.earlier = std::mem::take(&mut self.standing.stands);
        let need = self.standing.total.saturating_sub(target);
        let mut released: u64 = self.earlier.iter().map(|stand| stand.tokens).sum();
        self.standing.total -= released;
        for unit in &self.transcript.units {
            let at = unit.slots.start;
            if self.transcript.slots.get(at).is_some_and(|slot| slot.summary) && !self.is_hidden(at) {
                released += self.tokens(at);
                self.set_hidden(at, true);
            }
        }
        let room = target
            .saturating_sub(self.tokens_of(|at| matches!(self.hold(at), Hold::Fixed | Hold::Partner | Hold::Open)));
        // What an earlier summary said is to find room in the next one, however tight it is.
        let smallest = if released > 0 { SMALLEST_SUMMARY + NOTICE } else { NOTICE };
        let reserve = match self.summary_room {
            Some(asked) => asked.min(room / 2),
            None => (need / 3).max(released).min(room * SUMMARY_PERCENT / 100),
        };
        let reserve = reserve.max(smallest);
        let goal = target.saturating_sub(reserve);
        let others = self.hide(Hold::Free, false, goal);
        let users = self.hide(Hold::Free, true, goal);
        self.show_part(users.or(others), goal);
        // The tail is worth more than a long summary, but some room for one is kept.
        let least = target.saturating_sub((reserve / 2).max(smallest));
        if self.standing.total > least {
            self.give_up_tail(least);
        }
        let notice = if self.needs_user_first().is_some() { NOTICE } else { 0 };
        if self.standing.total + notice > target {
            self.shrink_open(target.saturating_sub(notice));
        }
        if self.standing.total + notice > target && self.policy.shrink_last_user {
            self.shrink_last_user(target.saturating_sub(notice));
        }
        self.summarize(target.max(self.standing.total + notice).min(limit), limit);
    }

    /// Size of the visible slots of some kind.
    fn tokens_of(&self, kind: impl Fn(usize) -> bool) -> u64 {
        (0..self.holds.len()).filter(|at| kind(*at) && !self.is_hidden(*at)).map(|at| self.tokens(at)).sum()
    }

    /// Rung 2: hides whole units outside the tail, oldest first; users' words only after everything else. Returns the
    /// last one.
    fn hide(&mut self, hold: Hold, users: bool, target: u64) -> Option<Range<usize>> {
        let transcript = self.transcript;
        let mut last = None;
        for unit in &transcript.units {
            if self.standing.total <= target {
                break;
            }
            if (unit.kind == UnitKind::User) == users && self.may_hide(unit.slots.clone(), hold) {
                self.hide_unit(unit.slots.clone(), true);
                last = Some(unit.slots.clone());
            }
        }
        last
    }

    /// Shows a unit again, cut to the room that hiding it left, where that room is worth it.
    fn show_part(&mut self, unit: Option<Range<usize>>, target: u64) {
        let Some(unit) = unit else { return };
        let smallest: u64 = unit.clone().map(|at| self.smallest(at, TAIL_MINIMUM)).sum();
        if self.standing.total + smallest.max(WORTH_FILLING) <= target {
            self.hide_unit(unit.clone(), false);
            self.shrink_to_fit(&unit.clone().collect::<Vec<_>>(), target, TAIL_MINIMUM);
            if self.standing.total > target {
                self.hide_unit(unit, true);
            }
        }
    }

    fn may_hide(&self, mut slots: Range<usize>, hold: Hold) -> bool {
        let first = slots.start;
        !self.is_hidden(first) && slots.all(|at| self.hold(at) == hold)
    }

    /// Rungs 3 and 4: as few units of the tail are hidden as possible, oldest first, such that what remains of it fits
    /// when its largest messages are cut to a common size.
    fn give_up_tail(&mut self, target: u64) {
        let transcript = self.transcript;
        let tail: Vec<usize> =
            (0..transcript.slots.len()).filter(|at| self.hold(*at) == Hold::Tail && !self.is_hidden(*at)).collect();
        let floor = |ladder: &Self, at: usize| ladder.smallest(at, TAIL_MINIMUM);
        let mut smallest = self.standing.total - tail.iter().map(|at| self.tokens(*at) - floor(self, *at)).sum::<u64>();
        for users in [false, true] {
            for unit in &transcript.units {
                if smallest <= target {
                    break;
                }
                if (unit.kind == UnitKind::User) == users && self.may_hide(unit.slots.clone(), Hold::Tail) {
                    smallest -= unit.slots.clone().map(|at| floor(self, at)).sum::<u64>();
                    self.hide_unit(unit.slots.clone(), true);
                }
            }
        }
        let left: Vec<usize> = tail.into_iter().filter(|at| !self.is_hidden(*at)).collect();
        self.shrink_to_fit(&left, target, TAIL_MINIMUM);
        // Messages of many parts keep something of each, which is more than was reckoned with.
        self.hide(Hold::Tail, false, target);
        self.hide(Hold::Tail, true, target);
    }

    /// Rung 5: the open tool unit, and what stands beside a pinned message, the largest first.
    fn shrink_open(&mut self, target: u64) {
        let open: Vec<usize> = (0..self.transcript.slots.len())
            .filter(|at| matches!(self.hold(*at), Hold::Open | Hold::Partner))
            .collect();
        self.shrink_to_fit(&open, target, u64::from(shrink::LEAST));
    }

    fn shrink_last_user(&mut self, target: u64) {
        let Some(unit) = self.transcript.last_user().and_then(|unit| self.transcript.units.get(unit)) else { return };
        let slots: Vec<usize> =
            unit.slots.clone().filter(|at| !self.pinned.get(*at).copied().unwrap_or(true)).collect();
        let excess = self.standing.total.saturating_sub(target);
        for at in slots {
            let texts = self.text_tokens(at);
            self.shrink_slot(at, texts.saturating_sub(excess).max(u64::from(shrink::LEAST)));
        }
    }

    /// Cuts the largest of these messages to a common size, the largest size with which the view fits, but none below
    /// `least` text tokens.
    fn shrink_to_fit(&mut self, slots: &[usize], target: u64, least: u64) {
        // A message of several parts keeps something of each and may stay above the common size; then the others have to
        // give more.
        for round in 0..SHRINK_ROUNDS {
            if self.standing.total <= target {
                return;
            }
            let mut sizes: Vec<(usize, u64)> = Vec::new();
            for at in slots.iter().filter(|at| self.may_shrink(**at)) {
                sizes.push((*at, self.text_tokens(*at)));
            }
            let texts: u64 = sizes.iter().map(|(_, size)| size).sum();
            let room = (target + texts).saturating_sub(self.standing.total);
            let cap = common_cap(sizes.iter().map(|(_, size)| *size), room).max(least);
            let final_round = round + 1 == SHRINK_ROUNDS || cap == least;
            let cap = if final_round { least } else { cap };
            // In the end all are cut anew, so that what comes out at the least does not depend on the rounds before.
            sizes.retain(|(_, size)| final_round || *size > cap);
            for (at, _) in sizes {
                self.shrink_slot(at, cap);
            }
            if final_round {
                return;
            }
        }
    }

    /// In the open unit only results are shrunk. Results of protected tools are shrunk on the last rung only: in the
    /// open unit and beside pinned messages.
    fn may_shrink(&self, at: usize) -> bool {
        let Some(slot) = self.transcript.slots.get(at).filter(|slot| slot.source.is_some()) else { return false };
        match self.hold(at) {
            Hold::Open => slot.message.role == Role::Tool,
            Hold::Partner => true,
            _ => !self.is_protected(at),
        }
    }

    /// Tokens of the texts of a slot as it stands.
    fn text_tokens(&self, at: usize) -> u64 {
        self.standing
            .message(self.transcript, at)
            .map_or(0, |message| message.texts().map(|text| u64::from(self.counter.count(text))).sum())
    }

    /// The size that a slot can be shrunk to when its texts keep `least` tokens.
    fn smallest(&self, at: usize, least: u64) -> u64 {
        let tokens = self.tokens(at);
        if !self.may_shrink(at) {
            return tokens;
        }
        // Only messages above the floor are counted again.
        if tokens <= least + u64::from(FRAME) {
            return tokens;
        }
        let texts = self.text_tokens(at);
        tokens - texts.saturating_sub(least)
    }

    /// Cuts the texts of one message so that they have at most `max` tokens together.
    fn shrink_slot(&mut self, at: usize, max: u64) {
        // From the original, also when it was edited before: cuts of cuts would leave marks of marks.
        let Some(mut edited) = self.transcript.slots.get(at).map(|slot| slot.message.clone()) else { return };
        let sizes: Vec<u32> = edited.parts.iter().filter_map(Part::text).map(|text| self.counter.count(text)).collect();
        let cap = common_cap(sizes.iter().map(|size| u64::from(*size)), max);
        let cap = u32::try_from(cap).unwrap_or(u32::MAX);
        // Below the least size there would be nothing left of a part but the mark: a result then becomes one text.
        if cap < shrink::LEAST && edited.role == Role::Tool && sizes.len() > 1 {
            self.shrink_result(at, u32::try_from(max).unwrap_or(u32::MAX).max(shrink::LEAST));
            return;
        }
        let small = cap.max(shrink::LEAST);
        let mut changes = Vec::new();
        for (part, size) in edited.parts.iter_mut().filter(|part| part.text().is_some()).zip(sizes) {
            if size > small
                && let Some(short) = part.text().and_then(|text| head_and_tail(self.counter, text, size, small))
            {
                changes.push(Change::set(part.path.steps(), short.clone()));
                part.set_text(short);
            }
        }
        self.put_shorter(at, edited, changes);
    }

    /// Cuts a result of several texts, taken as one, to at most `max` tokens.
    fn shrink_result(&mut self, at: usize, max: u32) {
        let Some(slot) = self.transcript.slots.get(at) else { return };
        let texts: Vec<String> = slot.message.texts().map(str::to_owned).collect();
        let whole = joined(&texts, "\n");
        let size = texts.iter().map(|text| self.counter.count(text)).sum();
        let short = if size > max { head_and_tail(self.counter, &whole, size, max) } else { Some(whole) };
        if let Some(short) = short {
            let (message, changes) = self.transcript.format.rules().with_result(&slot.message, &short);
            self.put_shorter(at, message, changes);
        }
    }

    /// Puts a cut message in place of what is there, if it is smaller.
    fn put_shorter(&mut self, at: usize, message: Message<'a>, changes: Vec<Change>) {
        let tokens = message_tokens(self.counter, &message);
        if tokens < self.tokens(at) {
            self.put_edit(at, Some(SlotEdit { prune: false, changes, message, tokens }));
        }
    }

    // --------------------------------------------------------------------------------------------------- summaries

    /// The run that a user message has to stand for, because else the first message after the system's would be no
    /// user's although something was taken away before it.
    fn needs_user_first(&self) -> Option<usize> {
        let slots = &self.transcript.slots;
        let first = slots.iter().position(|slot| slot.message.role != Role::System)?;
        if !self.is_hidden(first) || !slots.iter().any(|slot| slot.message.role == Role::User) {
            return None;
        }
        let visible = (first..slots.len())
            .find(|at| !self.is_hidden(*at) && slots.get(*at).is_some_and(|slot| slot.message.role != Role::System));
        match visible.and_then(|at| slots.get(at)) {
            Some(slot) if slot.message.role == Role::User => None,
            _ => Some(first),
        }
    }

    /// Puts summaries in place of the hidden runs, within `target`. Each must be smaller than what it stands for.
    /// Summaries that are there already may stay up to `limit`: taking one away for itself would gain nothing.
    fn summarize(&mut self, target: u64, limit: u64) {
        let only_summaries =
            |ladder: &Self, run: &Range<usize>| ladder.transcript.slots_in(run).iter().all(|slot| slot.summary);
        // Room for the message that has to come first goes before all others.
        let needed = self.needs_user_first();
        let notice = |run: &Range<usize>| if needed.is_some_and(|first| !run.contains(&first)) { NOTICE } else { 0 };
        // An old summary to which nothing was added stays as it is, if it still fits.
        for run in self.standing.runs() {
            if only_summaries(self, &run) {
                let tokens: u64 = run.clone().map(|at| self.tokens(at)).sum();
                if self.standing.total + tokens + notice(&run) <= limit {
                    self.hide_unit(run, false);
                }
            }
        }
        let first = self.needs_user_first();
        let runs = self.standing.runs();
        let mut fresh: Vec<(Range<usize>, u64)> = Vec::new();
        for run in runs {
            if let Some(stands) = self.earlier_stands(&run) {
                let tokens: u64 = stands.iter().map(|stand| stand.tokens).sum();
                if self.standing.total + tokens + notice(&run) <= limit {
                    for stand in stands {
                        self.add_stand(stand);
                    }
                    continue;
                }
            }
            let tokens = self.transcript.slots_in(&run).iter().map(|slot| slot.tokens).sum();
            fresh.push((run, tokens));
        }
        // All of them together get no more than was asked for.
        let mut cap = self.summary_room.unwrap_or(u64::MAX);
        // The user message that has to come first takes its room before the others.
        if let Some(first) = first
            && let Some(at) = fresh.iter().position(|(run, _)| run.contains(&first))
        {
            let (run, tokens) = fresh.remove(at);
            let all: u64 = tokens + fresh.iter().map(|(_, tokens)| *tokens).sum::<u64>();
            let room = target.saturating_sub(self.standing.total);
            let fair = room.min(cap).saturating_mul(tokens) / all.max(1);
            let before = self.standing.total;
            self.stand_for(run, tokens, fair.max(SMALLEST_SUMMARY).min(room).min(tokens * 3 / 5), room, true);
            cap = cap.saturating_sub(self.standing.total - before);
        }
        // Room is shared among the largest runs, in proportion to what they held.
        let mut by_size =
            sorted_by((0..fresh.len()).collect(), |at| u64::MAX - fresh.get(*at).map_or(0, |(_, tokens)| *tokens));
        let room = target.saturating_sub(self.standing.total).min(cap);
        let many = usize::try_from(room / SMALLEST_SUMMARY).unwrap_or(usize::MAX);
        by_size.truncate(many);
        by_size.retain(|at| fresh.get(*at).is_some_and(|(_, tokens)| *tokens > SMALLEST_SUMMARY * 3 / 2));
        let all: u64 = by_size.iter().filter_map(|at| fresh.get(*at)).map(|(_, tokens)| *tokens).sum();
        let spare = room.saturating_sub(SMALLEST_SUMMARY * by_size.len() as u64);
        for at in sorted_by(by_size, |at| *at as u64) {
            let Some((run, tokens)) = fresh.get(at).cloned() else { continue };
            let fair = SMALLEST_SUMMARY + spare.saturating_mul(tokens) / all.max(1);
            let most = fair.min(target.saturating_sub(self.standing.total)).min(tokens * 3 / 5);
            self.stand_for(run, tokens, most, target.saturating_sub(self.standing.total), false);
        }
        // Where not even one summary fits, a bare notice of the largest run may.
        if self.standing.stands.is_empty()
            && let Some((run, tokens)) = fresh.iter().max_by_key(|(_, tokens)| *tokens).cloned()
        {
            self.stand_for(run, tokens, 0, target.saturating_sub(self.standing.total), false);
        }
        self.standing.stands = sorted_by(std::mem::take(&mut self.standing.stands), |stand| stand.run.start as u64);
        self.settle_rooms(target);
    }

    /// Gives each new summary the room it has and an equal part of what is left, so that all of them together stay within
    /// `target` when others take their place.
    fn settle_rooms(&mut self, target: u64) {
        let left = target.saturating_sub(self.standing.total);
        let fresh = self.standing.stands.iter().filter(|stand| stand.room.is_some()).count() as u64;
        for stand in &mut self.standing.stands {
            if let Some(room) = &mut stand.room {
                *room = (*room).max(stand.tokens).min(stand.tokens + left / fresh.max(1));
            }
        }
    }

    /// What stood for exactly these slots, all of them, before this pass.
    fn earlier_stands(&self, run: &Range<usize>) -> Option<Vec<Stand>> {
        let mut next = run.start;
        let mut stands = Vec::new();
        for stand in earlier_in(&self.earlier, run) {
            if stand.run.start != next {
                return None;
            }
            next = stand.run.end;
            let mut stand = Stand { room: None, ..stand.clone() };
            // What was hidden before it may have left it in front.
            if stand.role != "user" && self.role_at(stand.run.start) == "user" {
                "user".clone_into(&mut stand.role);
                stand.tokens = self.size("user", &stand.text);
            }
            stands.push(stand);
        }
        (next == run.end && !stands.is_empty()).then_some(stands)
    }

    /// One summary: as much as fits into `most`, else the shortest notice where that is smaller than what is hidden and
    /// fits into `room`, or where something is `required` to stand here.
    fn stand_for(&mut self, run: Range<usize>, hidden: u64, most: u64, room: u64, required: bool) {
        let messages: Vec<&Message<'a>> = self.transcript.slots_in(&run).iter().map(|slot| &slot.message).collect();
        let role = self.role_at(run.start);
        let full = most
            .checked_sub(u64::from(FRAME))
            .filter(|_| most >= SMALLEST_SUMMARY)
            .and_then(|most| summarize(self.counter, &messages, most));
        let text = full.unwrap_or_else(|| brief(&messages));
        let tokens = self.size(&role, &text);
        if required || (tokens < hidden && tokens <= room) {
            self.add_stand(Stand { run, role, text, tokens, room: Some(most) });
        }
    }

    /// The role of what stands for slots from `start` on. What stands before everything else but the system's has to be
    /// the user's.
    fn role_at(&self, start: usize) -> String {
        let mut front = self.transcript.slots.iter().take(start).enumerate();
        let leads = front.all(|(at, slot)| slot.message.role == Role::System || self.is_hidden(at));
        if leads { "user".to_owned() } else { self.policy.summary_role.clone() }
    }

    fn size(&self, role: &str, text: &str) -> u64 {
        let (message, _) = self.transcript.format.rules().text_message(role, text);
        message_tokens(self.counter, &message)
    }

    // ------------------------------------------------------------------------------------------------------- models

    /// Whether a text may take the place of a whole unit.
    pub(crate) fn may_stand_in(&self, unit: Range<usize>) -> bool {
        self.may_hide(unit.clone(), Hold::Free) || self.may_hide(unit, Hold::Tail)
    }

    /// Hides a whole unit behind a text of its own, if nothing forbids it and the text is smaller.
    pub(crate) fn stand_in(&mut self, unit: Range<usize>, text: &str) -> bool {
        let role = self.role_at(unit.start);
        let tokens = self.size(&role, text);
        if !self.may_stand_in(unit.clone()) || tokens >= unit.clone().map(|at| self.tokens(at)).sum() {
            return false;
        }
        self.hide_unit(unit.clone(), true);
        self.insert_stand(Stand { run: unit, role, text: text.to_owned(), tokens, room: None });
        true
    }

    /// Hides the tool units and the model's words among these source messages, with a text in place of the first run of
    /// them. The text is there even where nothing can be hidden for it, as long as the view gets no larger.
    pub(crate) fn hide_for(&mut self, transcript: &Transcript<'_>, sources: Range<usize>, text: &str) {
        let within = |slot: usize| {
            let source = transcript.slots.get(slot).and_then(|slot| slot.source);
            source.is_some_and(|source| sources.contains(&source))
        };
        let mut first: Option<Range<usize>> = None;
        for unit in &transcript.units {
            let own = matches!(unit.kind, UnitKind::Tools | UnitKind::Assistant);
            if own && within(unit.slots.start) && self.may_stand_in(unit.slots.clone()) {
                self.hide_unit(unit.slots.clone(), true);
                match &mut first {
                    None => first = Some(unit.slots.clone()),
                    Some(run) if run.end == unit.slots.start => run.end = unit.slots.end,
                    Some(_) => {}
                }
            }
        }
        let Some(run) = first else { return };
        let role = self.role_at(run.start);
        let messages: Vec<&Message<'_>> = transcript.slots_in(&run).iter().map(|slot| &slot.message).collect();
        let text = record(&messages, &harmless(text));
        let tokens = self.size(&role, &text);
        self.insert_stand(Stand { run, role, text, tokens, room: None });
    }

    /// Adds a stand at its place.
    fn insert_stand(&mut self, stand: Stand) {
        self.standing.total += stand.tokens;
        let stands = &mut self.standing.stands;
        let place = stands.partition_point(|other| other.run.start < stand.run.start);
        stands.insert(place, stand);
    }

    /// Summaries that were written in this pass, for a better one to take their place: number, slots, room in tokens
    /// without the frame of the message, and what stood for some of the slots before.
    pub(crate) fn drafts(&self) -> Vec<Draft<'_>> {
        let mut drafts = Vec::new();
        for (number, stand) in self.standing.stands.iter().enumerate() {
            let room = stand.room.unwrap_or_default().saturating_sub(u64::from(FRAME));
            if room + u64::from(FRAME) >= SMALLEST_SUMMARY {
                drafts.push(Draft {
                    number,
                    run: stand.run.clone(),
                    room,
                    earlier: earlier_in(&self.earlier, &stand.run),
                });
            }
        }
        drafts
    }

    /// Puts a text in place of a summary, if it has room. Returns whether it had.
    pub(crate) fn redraft(&mut self, number: usize, text: String) -> bool {
        let Some(stand) = self.standing.stands.get(number) else { return false };
        let (role, room, before) = (stand.role.clone(), stand.room.unwrap_or_default(), stand.tokens);
        let tokens = self.size(&role, &text);
        if tokens > room {
            return false;
        }
        self.standing.total = self.standing.total - before + tokens;
        if let Some(stand) = self.standing.stands.get_mut(number) {
            (stand.text, stand.tokens) = (text, tokens);
        }
        true
    }

    // --------------------------------------------------------------------------------------------------------- fill

    /// Room that is left is given back to what was pruned last: whole results, and a part of one.
    pub(crate) fn fill(&mut self, target: u64) {
        while let Some(at) = self.pruned.pop() {
            let room = target.saturating_sub(self.standing.total);
            if room < WORTH_FILLING {
                return;
            }
            if self.is_hidden(at) {
                continue;
            }
            let Some(slot) = self.transcript.slots.get(at) else { continue };
            let now = self.tokens(at);
            if slot.tokens <= now + room {
                self.put_edit(at, None);
                continue;
            }
            let Some(pruned) = self.standing.edits.get(at).cloned().flatten() else { continue };
            self.put_edit(at, None);
            let texts = self.text_tokens(at);
            let frame = slot.tokens.saturating_sub(texts);
            self.shrink_slot(at, (now + room).saturating_sub(frame));
            if self.standing.total > target {
                self.put_edit(at, Some(pruned));
            }
            return;
        }
    }

    // -------------------------------------------------------------------------------------------------- irreducible

    /// The error that says what cannot be given up, with its sizes.
    pub(crate) fn irreducible(&self, limit: u64, overhead: u64) -> Box<Error> {
        let mut breakdown = Breakdown { overhead, ..Breakdown::default() };
        let last_user = self.transcript.last_user();
        for (number, unit) in self.transcript.units.iter().enumerate() {
            for at in unit.slots.clone() {
                if self.is_hidden(at) {
                    continue;
                }
                let tokens = self.tokens(at);
                let part = match self.hold(at) {
                    Hold::Open => &mut breakdown.open_tool_unit,
                    Hold::Fixed if unit.kind == UnitKind::System => &mut breakdown.system,
                    Hold::Fixed if Some(number) == last_user => &mut breakdown.last_user,
                    Hold::Fixed => &mut breakdown.pinned,
                    Hold::Partner | Hold::Free | Hold::Tail => &mut breakdown.structure,
                };
                *part += tokens;
            }
        }
        breakdown.structure += self.standing.stands.iter().map(|stand| stand.tokens).sum::<u64>();
        Box::new(Error::IrreducibleBudget { limit, required: self.standing.total, breakdown })
    }
}

/// A summary to be written anew by a model.
#[derive(Debug)]
pub(crate) struct Draft<'l> {
    pub number: usize,
    pub run: Range<usize>,
    pub room: u64,
    pub earlier: &'l [Stand],
}

/// Those of `stands`, which are in order, that lie within a run.
fn earlier_in<'s>(stands: &'s [Stand], run: &Range<usize>) -> &'s [Stand] {
    let from = stands.partition_point(|stand| stand.run.start < run.start);
    let to = stands.partition_point(|stand| stand.run.end <= run.end);
    stands.get(from..to.max(from)).unwrap_or_default()
}

/// Tool results as the strategies see them: the name of the tool, the arguments of the call, the payload.
fn blocks<'t>(transcript: &'t Transcript<'_>, slots: &[usize]) -> Vec<Block<'t>> {
    let mut blocks = Vec::with_capacity(slots.len());
    let mut units = transcript.units.iter();
    let mut unit = units.next();
    let mut calls: Option<Calls<'t>> = None;
    for at in slots.iter().copied() {
        while let Some(passed) = unit
            && passed.slots.end <= at
        {
            unit = units.next();
            calls = None;
        }
        let mut block = Block { at, texts: Vec::new(), error: false };
        if let (Some(slot), Some(unit)) = (transcript.slots.get(at), unit) {
            block.at = slot.source.unwrap_or(at);
            let calls = calls.get_or_insert_with(|| Calls::of(transcript, unit));
            if let Some((name, arguments)) = slot.message.answers.as_deref().and_then(|id| calls.find(id)) {
                block.texts = vec![name, arguments];
            }
            block.texts.extend(slot.message.texts());
            block.error = slot.message.texts().next().is_some_and(reports_error);
        }
        blocks.push(block);
    }
    blocks
}

/// The calls of a unit, to be found by what their results refer to.
struct Calls<'t> {
    calls: Vec<(&'t str, &'t str, &'t str)>,
    places: Places,
}

impl<'t> Calls<'t> {
    fn of(transcript: &'t Transcript<'_>, unit: &Unit) -> Self {
        let slots = transcript.slots_in(&unit.slots);
        let calls: Vec<_> = slots
            .iter()
            .flat_map(|slot| slot.message.calls())
            .map(|(id, name, arguments)| (if id.is_empty() { name } else { id }, name, arguments))
            .collect();
        let places = Places::new(calls.iter().map(|(key, _, _)| *key));
        Self { calls, places }
    }

    /// Name and arguments. Parallel calls that share an id are about the same thing: the first stands for all.
    fn find(&self, answers: &str) -> Option<(&'t str, &'t str)> {
        let at = self.places.at(self.places.first_row(answers), answers)?;
        self.calls.get(at).map(|(_, name, arguments)| (*name, *arguments))
    }
}

/// The largest common cap with which sizes cut to it add up to at most `room`.
pub(crate) fn common_cap(sizes: impl Iterator<Item = u64>, room: u64) -> u64 {
    let sizes = ascending(sizes.map(|size| (size, 0)).collect());
    let mut left = room;
    let mut count = sizes.len() as u64;
    for (size, _) in sizes {
        if size * count > left {
            return left / count;
        }
        left -= size;
        count -= 1;
    }
    u64::MAX
}

/// What may be done to each slot. `pinned` is by slot.
fn holds(transcript: &Transcript<'_>, policy: &Policy, pinned: &[bool], limit: u64) -> Vec<Hold> {
    let slots = &transcript.slots;
    let last_user = transcript.last_user();
    let open = transcript.open_tool_unit();
    let mut holds = vec![Hold::Free; slots.len()];
    let is_pinned = |at: usize| pinned.get(at).copied().unwrap_or(false);
    let tail_tokens = policy.tail_tokens(limit);
    let by_count = slots.len().saturating_sub(policy.preserve_tail_messages);
    let mut behind = 0;
    for (number, unit) in transcript.units.iter().enumerate().rev() {
        let size: u64 = transcript.slots_in(&unit.slots).iter().map(|slot| slot.tokens).sum();
        behind += size;
        // A unit that only begins in the tail counts as part of it: units are never split.
        let tail = unit.slots.end > by_count || behind <= tail_tokens;
        let any_pinned = unit.slots.clone().any(is_pinned);
        for at in unit.slots.clone() {
            let summary = slots.get(at).is_some_and(|slot| slot.summary);
            let hold = if unit.kind == UnitKind::System || is_pinned(at) || Some(number) == last_user {
                Hold::Fixed
            } else if Some(number) == open {
                Hold::Open
            } else if any_pinned {
                Hold::Partner
            } else if tail && !summary {
                Hold::Tail
            } else {
                Hold::Free
            };
            if let Some(place) = holds.get_mut(at) {
                *place = hold;
            }
        }
    }
    holds
}

/// Which slots are results of tools that the policy protects, or of the tool `recall` since the user spoke last: what the
/// model has asked for would else be gone before it could use it. The name is that of the call that a result answers.
fn protected(transcript: &Transcript<'_>, policy: &Policy) -> Vec<bool> {
    if policy.protect_tools.is_empty() && !policy.recall_declared {
        return Vec::new();
    }
    let slots = &transcript.slots;
    let mut protected = vec![false; slots.len()];
    let spoken = transcript.last_user();
    for (number, unit) in transcript.units.iter().enumerate().filter(|(_, unit)| unit.kind == UnitKind::Tools) {
        let recalls = policy.recall_declared && Some(number) > spoken;
        let calls = Calls::of(transcript, unit);
        for at in unit.slots.clone() {
            let answers = slots.get(at).and_then(|slot| slot.message.answers.as_deref());
            if let Some(place) = protected.get_mut(at) {
                let name = answers.and_then(|id| calls.find(id)).map(|(name, _)| name);
                let is_protected =
                    |name: &str| policy.protect_tools.iter().any(|tool| tool == name) || (recalls && name == RECALL);
                *place = name.is_some_and(is_protected);
            }
        }
    }
    protected
}

#[cfg(test)]
mod tests;
