//! A history as units: the smallest groups that may be hidden together.

use std::ops::Range;

use crate::format::{Finding, Format, Mended, Placed};
use crate::message::{Message, Role};
use crate::summarize;
use crate::tokens::{TokenCounter, message_tokens};
use crate::transcript::{Change, Inserted, Repair};

/// In a list of known sizes: this one is not.
pub(crate) const UNKNOWN: u32 = u32::MAX;

/// One message of a mended history.
#[derive(Debug, Clone)]
pub(crate) struct Slot<'a> {
    /// The message as it stands now, mended and edited.
    pub message: Message<'a>,
    /// Where it comes from.
    pub source: Option<usize>,
    /// What has to be changed in the source message.
    pub changes: Vec<Change>,
    /// For messages that are not in the source.
    pub inserted: Option<Inserted>,
    /// Its size, tokens.
    pub tokens: u64,
    /// Whether it is a summary of ours, recognised by its header. That only takes privileges away.
    pub summary: bool,
}

/// What kind of unit, which decides what may be done to it and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum UnitKind {
    System,
    User,
    Assistant,
    /// An assistant message with calls, and all their results.
    Tools,
}

/// A run of slots that is hidden as a whole or not at all.
#[derive(Debug, Clone)]
pub(crate) struct Unit {
    pub slots: Range<usize>,
    pub kind: UnitKind,
}

/// A mended history: slots in order, grouped into units.
#[derive(Debug, Clone)]
pub(crate) struct Transcript<'a> {
    pub format: Format,
    /// How many source messages there are.
    pub sources: usize,
    /// Size of each source message as given, tokens.
    given: Vec<u64>,
    /// The same, all together.
    pub given_tokens: u64,
    pub slots: Vec<Slot<'a>>,
    pub units: Vec<Unit>,
    pub repairs: Vec<Repair>,
}

impl<'a> Transcript<'a> {
    /// Mends the messages, counts each once and groups them. `known` are the sizes of the
    /// first ones, [`UNKNOWN`] where they are not.
    pub(crate) fn new(format: Format, messages: Vec<Message<'a>>, counter: &dyn TokenCounter, known: &[u32]) -> Self {
        let mut given = Vec::with_capacity(messages.len());
        for (at, message) in messages.iter().enumerate() {
            given.push(size(known.get(at), counter, message));
        }
        Self::counted(format, messages, given, counter)
    }

    fn counted(format: Format, messages: Vec<Message<'a>>, given: Vec<u64>, counter: &dyn TokenCounter) -> Self {
        let sources = messages.len();
        let Mended { order, findings } = format.rules().mend(&messages);
        let mut messages: Vec<Option<Message<'a>>> = messages.into_iter().map(Some).collect();
        let mut slots: Vec<Slot<'a>> = Vec::with_capacity(order.len());
        for placed in order {
            let (message, source, changes, inserted) = match placed {
                Placed::Source(index) => {
                    let Some(message) = messages.get_mut(index).and_then(Option::take) else { continue };
                    let tokens = given.get(index).copied().unwrap_or_default();
                    slots.push(slot(message, Some(index), Vec::new(), None, tokens));
                    continue;
                }
                Placed::Changed { index, message, changes } => (message, Some(index), changes, None),
                Placed::Added { message, inserted } => (message, None, Vec::new(), Some(inserted)),
            };
            let tokens = message_tokens(counter, &message);
            slots.push(slot(message, source, changes, inserted, tokens));
        }
        let repairs = findings.into_iter().map(|finding| repair(finding, &given, &slots)).collect();
        let units = group(&slots);
        Self { format, sources, given_tokens: given.iter().sum(), given, slots, units, repairs }
    }

    /// Takes in messages that follow. Only the last unit is read anew with them, since they may hold results for it:
    /// `last` are its messages as given, from the joint on; `known` are sizes of the new ones. Returns the slot from which on everything is new; `None`
    /// where something reaches further back (an answer to an earlier call), and all has to be read anew.
    pub(crate) fn extend(
        &mut self,
        last: Vec<Message<'a>>,
        messages: Vec<Message<'a>>,
        known: &[u32],
        counter: &dyn TokenCounter,
    ) -> Option<usize> {
        let (slot, source) = self.joint();
        let mut given = self.given.get(source..).unwrap_or_default().to_vec();
        let mut suffix = last;
        for (at, message) in messages.into_iter().enumerate() {
            given.push(size(known.get(at), counter, &message));
            suffix.push(message);
        }
        let mut read = Self::counted(self.format, suffix, given, counter);
        let reaches_back = |repair: &Repair| repair.rule == "C1" && repair.action == "drop";
        if self.repairs.iter().any(|repair| repair.action == "move") || read.repairs.iter().any(reaches_back) {
            return None;
        }
        let old: u64 = self.given.drain(source..).sum();
        self.given_tokens = self.given_tokens - old + read.given_tokens;
        self.given.append(&mut read.given);
        self.slots.truncate(slot);
        while self.units.pop_if(|unit| unit.slots.start >= slot).is_some() {}
        while self.repairs.pop_if(|repair| repair.index >= source).is_some() {}
        for mut added in read.slots {
            added.source = added.source.map(|at| at + source);
            self.slots.push(added);
        }
        for unit in read.units {
            self.units.push(Unit { slots: unit.slots.start + slot..unit.slots.end + slot, kind: unit.kind });
        }
        for mut repair in read.repairs {
            repair.index += source;
            self.repairs.push(repair);
        }
        self.sources = source + read.sources;
        Some(slot)
    }

    /// Where appended messages join: the slot and the source at which the last unit begins, if results may still come
    /// for it, else the ends.
    pub(crate) fn joint(&self) -> (usize, usize) {
        match self.units.last() {
            Some(unit) if unit.kind == UnitKind::Tools => {
                let source = self.slots.get(unit.slots.start).and_then(|slot| slot.source);
                (unit.slots.start, source.unwrap_or(self.sources))
            }
            _ => (self.slots.len(), self.sources),
        }
    }

    /// Size of each source message as given, tokens.
    pub(crate) fn sizes(&self) -> Vec<u32> {
        self.given.iter().map(|size| u32::try_from(*size).unwrap_or(u32::MAX)).collect()
    }

    /// The slots of a unit, or of any other range.
    pub(crate) fn slots_in(&self, range: &Range<usize>) -> &[Slot<'a>] {
        self.slots.get(range.clone()).unwrap_or_default()
    }

    /// The last unit, if it holds tool calls: the model has not spoken since.
    pub(crate) fn open_tool_unit(&self) -> Option<usize> {
        let last = self.units.iter().rposition(|unit| unit.kind != UnitKind::System)?;
        (self.units.get(last)?.kind == UnitKind::Tools).then_some(last)
    }

    /// The unit of the last message that a user wrote.
    pub(crate) fn last_user(&self) -> Option<usize> {
        self.units.iter().rposition(|unit| {
            unit.kind == UnitKind::User && self.slots.get(unit.slots.start).is_some_and(|slot| !slot.summary)
        })
    }
}

/// A known size, else what the counter says, tokens.
fn size(known: Option<&u32>, counter: &dyn TokenCounter, message: &Message<'_>) -> u64 {
    match known {
        Some(size) if *size != UNKNOWN => u64::from(*size),
        _ => message_tokens(counter, message),
    }
}

fn slot(
    message: Message<'_>,
    source: Option<usize>,
    changes: Vec<Change>,
    inserted: Option<Inserted>,
    tokens: u64,
) -> Slot<'_> {
    let summary = summarize::summary_text(&message).is_some();
    Slot { message, source, changes, inserted, tokens, summary }
}

fn repair(finding: Finding, given: &[u64], slots: &[Slot<'_>]) -> Repair {
    let before = given.get(finding.index).copied().unwrap_or_default();
    let after = finding.placed.and_then(|at| slots.get(at)).map_or(0, |slot| slot.tokens);
    let inserts = finding.action == crate::format::Action::Insert;
    Repair {
        rule: finding.rule.to_owned(),
        action: finding.action.name().to_owned(),
        index: finding.index,
        field: finding.field,
        message: format!("{}: {}", finding.problem, finding.remedy),
        tokens_before: if inserts { 0 } else { before },
        tokens_after: after,
    }
}

/// Groups by adjacency, never by ids: ids repeat.
fn group(slots: &[Slot<'_>]) -> Vec<Unit> {
    let mut units: Vec<Unit> = Vec::with_capacity(slots.len());
    for (at, slot) in slots.iter().enumerate() {
        let kind = match slot.message.role {
            Role::Tool => {
                if let Some(unit) = units.last_mut() {
                    unit.slots.end = at + 1;
                }
                continue;
            }
            Role::System => UnitKind::System,
            Role::User => UnitKind::User,
            Role::Assistant if slot.message.has_calls() => UnitKind::Tools,
            Role::Assistant => UnitKind::Assistant,
        };
        units.push(Unit { slots: at..at + 1, kind });
    }
    units
}
