//! What is in memory of a conversation: the messages that its view is made of.

use std::rc::Rc;

use super::codec::{StoredEdit, StoredItem, corrupted};
use super::types::{EntryId, SessionOptions, ViewItem};
use crate::conversation::{Conversation, Rebased, State};
use crate::error::{Boxed, Error};
use crate::json::{self, Messages};
use crate::order;
use crate::store::{RecordKind, StoreError};
use crate::tokens::TokenCounter;
use crate::transcript::{Change, Edit, LayoutItem, Patch};

/// Messages, and where each comes from.
pub(super) struct Window<'c> {
    pub conversation: Conversation<'c>,
    /// One for each message of the conversation.
    pub items: Vec<Item>,
}

/// Where a message comes from.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Item {
    /// An entry, with sets of changes, one after the other. One that is `short` is shown shortened to begin with.
    Entry { id: EntryId, changes: Vec<Vec<Change>>, short: bool },
    /// A message of ours.
    Ours,
}

impl Item {
    pub(super) fn new(id: EntryId, short: bool) -> Self {
        Self::Entry { id, changes: Vec::new(), short }
    }

    pub(super) fn entry(&self) -> Option<EntryId> {
        match self {
            Self::Entry { id, .. } => Some(*id),
            Self::Ours => None,
        }
    }

    pub(super) fn is_whole(&self) -> bool {
        matches!(self, Self::Entry { changes, short: false, .. } if changes.is_empty())
    }
}

/// A message with its origin, as it goes into a window.
pub(super) struct Piece {
    pub item: Item,
    pub text: String,
    /// Its size where known, else [`crate::transcript::UNKNOWN`], tokens.
    pub tokens: u32,
}

impl<'c> Window<'c> {
    /// A window over these, with what is remembered of them. Messages in `state` go by entry.
    pub(super) fn new(
        options: &SessionOptions,
        counter: &Rc<dyn TokenCounter + 'c>,
        pieces: Vec<Piece>,
        state: &State,
        pins: &[EntryId],
    ) -> Boxed<Self> {
        let mut messages = Messages::default();
        let mut items = Vec::with_capacity(pieces.len());
        let mut sizes = Vec::with_capacity(pieces.len());
        for piece in pieces {
            if messages.push_json(&piece.text).is_err() {
                return Err(match piece.item.entry() {
                    Some(id) => corrupted(RecordKind::Entry, id).into(),
                    None => corrupted(RecordKind::Compaction, 0).into(),
                });
            }
            items.push(piece.item);
            sizes.push(piece.tokens);
        }
        let state = remembered(&items, state, pins);
        let mut conversation =
            Conversation::begun(options.conversation.clone(), Rc::clone(counter), messages, state, &sizes)?;
        // A message of ours is no tool result, so its label is never read.
        conversation.label(items.iter().map(|item| item.entry().unwrap_or_default()));
        Ok(Self { conversation, items })
    }

    /// Takes in entries that follow.
    pub(super) fn append(&mut self, items: &[Item], messages: &Messages, sizes: &[u32]) -> Boxed<()> {
        self.conversation.append_counted(messages, sizes)?;
        self.conversation.label(items.iter().map(|item| item.entry().unwrap_or_default()));
        self.items.extend_from_slice(items);
        Ok(())
    }

    /// What is remembered, with messages by entry.
    pub(super) fn state_by_entry(&self, state: &State) -> State {
        let of_index = |index: usize| {
            // A message of ours has no number: the next that has one stands for it.
            let number = self.items.get(index..).unwrap_or_default().iter().find_map(Item::entry);
            let last = || self.items.iter().rev().find_map(Item::entry).map_or(0, |last| last + 1);
            usize::try_from(number.unwrap_or_else(last)).unwrap_or(usize::MAX)
        };
        let mut state = state.renumbered(of_index);
        // Pins have a place of their own, and a compaction in force belongs to its window.
        state.pinned = Vec::new();
        state.patch = None;
        state
    }

    /// The view, message by message. Texts of whole messages are left empty where `has` says that the caller has them.
    pub(super) fn view_of(
        &self,
        conversation: &Conversation<'_>,
        has: &dyn Fn(EntryId) -> bool,
    ) -> Boxed<Vec<ViewItem>> {
        let messages = conversation.messages();
        let mut view = Vec::new();
        for (index, text) in conversation.view_items()? {
            let item = index.and_then(|index| self.items.get(index));
            let entry = item.and_then(Item::entry);
            let is_whole = text.is_none() && item.is_some_and(Item::is_whole);
            let text = match text {
                Some(text) => text,
                None if is_whole && entry.is_some_and(has) => String::new(),
                None => index.and_then(|index| messages.get(index)).unwrap_or_default().to_owned(),
            };
            view.push(ViewItem { entry, is_whole, text });
        }
        Ok(view)
    }

    /// The messages of this window that a patch over it does not keep as they are, with their indices.
    pub(super) fn originals(&self, patch: &Patch) -> Vec<(usize, ViewItem)> {
        let mut is_kept = vec![false; patch.source.messages.min(self.items.len())];
        for item in &patch.view.layout.0 {
            if let LayoutItem::Kept(from, to) = item {
                is_kept.iter_mut().take(*to).skip(*from).for_each(|kept| *kept = true);
            }
        }
        let messages = self.conversation.messages();
        let mut originals = Vec::new();
        for (index, item) in self.items.iter().enumerate().take(is_kept.len()) {
            if is_kept.get(index) == Some(&false) {
                let text = messages.get(index).unwrap_or_default().to_owned();
                originals.push((index, ViewItem { entry: item.entry(), is_whole: item.is_whole(), text }));
            }
        }
        originals
    }

    /// What a compaction of the first messages of this window made of them: pieces of the new window, pieces as they are
    /// stored, and the edits by entry.
    pub(super) fn compacted(&self, copy: &Conversation<'_>, patch: &Patch) -> Boxed<Compacted> {
        let messages = copy.messages();
        let sizes = copy.sizes();
        let mut compacted = Compacted { edits: self.edits_by_entry(patch), ..Compacted::default() };
        for rebased in copy.rebased() {
            let (index, changes) = match rebased {
                Rebased::Stand(message) => {
                    let text = json::text(&message).map_err(|_| Error::StalePlan)?;
                    compacted.push(Piece { item: Item::Ours, text, tokens: crate::transcript::UNKNOWN });
                    continue;
                }
                Rebased::Source(index, changes) => (index, changes),
            };
            let text = messages.get(index).unwrap_or_default();
            let Some(item) = self.items.get(index) else { continue };
            let mut item = item.clone();
            let (text, tokens) = if changes.is_empty() {
                (text.to_owned(), sizes.get(index).copied().unwrap_or(crate::transcript::UNKNOWN))
            } else {
                (Messages::changed_text(text, &changes)?, crate::transcript::UNKNOWN)
            };
            if let Item::Entry { changes: sets, .. } = &mut item
                && !changes.is_empty()
            {
                // What is changed again was changed for nothing.
                let again = |change: &Change| changes.iter().any(|later| later.path == change.path);
                sets.retain(|set| !set.iter().all(again));
                sets.push(changes);
            }
            compacted.push(Piece { item, text, tokens });
        }
        Ok(compacted)
    }

    fn edits_by_entry(&self, patch: &Patch) -> Vec<StoredEdit> {
        let entry = |index: usize| self.items.get(index).and_then(Item::entry);
        let mut edits = Vec::new();
        for edit in &patch.edits {
            match *edit {
                Edit::Prune { index, tokens_before, tokens_after, .. } => {
                    edits.extend(entry(index).map(|entry| StoredEdit::Prune { entry, tokens_before, tokens_after }));
                }
                Edit::Shrink { index, tokens_before, tokens_after, .. } => {
                    edits.extend(entry(index).map(|entry| StoredEdit::Shrink { entry, tokens_before, tokens_after }));
                }
                Edit::Hide { from, to, .. } => self.hidden(from, to, patch, &mut edits),
                Edit::Insert { tokens_after, covers, .. } => {
                    edits.push(StoredEdit::Insert { tokens_after, covers: covers as u64 });
                }
            }
        }
        edits
    }

    /// Entries of hidden messages as ranges; summaries of ours among them are absorbed.
    fn hidden(&self, from: usize, to: usize, patch: &Patch, edits: &mut Vec<StoredEdit>) {
        let size = |index: usize| u64::from(patch.source.sizes.get(index).copied().unwrap_or_default());
        for index in from..to {
            match self.items.get(index).and_then(Item::entry) {
                None => edits.push(StoredEdit::Absorb { tokens_before: size(index) }),
                Some(id) => match edits.last_mut() {
                    Some(StoredEdit::Hide { to, tokens_before, .. }) if *to == id => {
                        *to += 1;
                        *tokens_before += size(index);
                    }
                    _ => edits.push(StoredEdit::Hide { from: id, to: id + 1, tokens_before: size(index) }),
                },
            }
        }
    }
}

/// What is remembered, with messages by their place in a window.
pub(super) fn remembered(items: &[Item], state: &State, pins: &[EntryId]) -> State {
    let mut by_entry: Vec<(EntryId, u64)> = Vec::with_capacity(items.len());
    for (at, item) in items.iter().enumerate() {
        by_entry.extend(item.entry().map(|id| (id, at as u64)));
    }
    let by_entry = order::ascending(by_entry);
    let index = |at: u64| usize::try_from(at).unwrap_or(usize::MAX);
    let mut renumbered = state.renumbered(|entry| {
        let at = by_entry.partition_point(|(id, _)| *id < entry as u64);
        by_entry.get(at).map_or(items.len(), |(_, at)| index(*at))
    });
    let place = |pin: &EntryId| {
        let at = by_entry.binary_search_by_key(pin, |(id, _)| *id).ok()?;
        by_entry.get(at).map(|(_, at)| *at)
    };
    renumbered.pinned = order::numbers(pins.iter().filter_map(place)).into_iter().map(index).collect();
    renumbered
}

/// Pins as places in a window.
pub(super) fn pinned_places(items: &[Item], pins: &[EntryId]) -> Vec<usize> {
    remembered(items, &State::default(), pins).pinned
}

/// What a compaction made of a window.
#[derive(Default)]
pub(super) struct Compacted {
    pub pieces: Vec<Piece>,
    pub items: Vec<StoredItem>,
    pub edits: Vec<StoredEdit>,
}

impl Compacted {
    fn push(&mut self, piece: Piece) {
        match (&piece.item, self.items.last_mut()) {
            (Item::Ours, _) => self.items.push(StoredItem::Ours { m: piece.text.clone() }),
            (Item::Entry { id, changes, .. }, last) if changes.is_empty() => match last {
                Some(StoredItem::Kept(_, to)) if *to == *id => *to += 1,
                _ => self.items.push(StoredItem::Kept(*id, *id + 1)),
            },
            (Item::Entry { id, changes, .. }, _) => self.items.push(StoredItem::Edited { e: *id, c: changes.clone() }),
        }
        self.pieces.push(piece);
    }
}

/// A message as a stored item shows it.
pub(super) fn shown(text: &str, id: EntryId, changes: &[Vec<Change>]) -> std::result::Result<String, StoreError> {
    let mut text = text.to_owned();
    for set in changes {
        text = Messages::changed_text(&text, set).map_err(|_| corrupted(RecordKind::Entry, id))?;
    }
    Ok(text)
}
