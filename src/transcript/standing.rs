//! What is done to the slots of a transcript: the state behind a view.

use std::ops::Range;

use crate::message::Message;
use crate::transcript::{Change, Transcript};

/// An edit of one message.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct SlotEdit<'a> {
    pub prune: bool,
    pub changes: Vec<Change>,
    /// The message as it then reads.
    pub message: Message<'a>,
    pub tokens: u64,
}

/// A message in place of a run of hidden slots.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stand {
    /// The hidden slots it stands for.
    pub run: Range<usize>,
    pub role: String,
    pub text: String,
    pub tokens: u64,
    /// For a summary that was written in this pass: the room that it has, tokens. A better one may take its place.
    pub room: Option<u64>,
}

/// Edits, hidden slots and what stands in their place.
#[derive(Debug, Clone, Default)]
pub(crate) struct Standing<'a> {
    /// Size of the view, overhead included, tokens.
    pub total: u64,
    /// By slot.
    pub edits: Vec<Option<SlotEdit<'a>>>,
    /// By slot.
    pub hidden: Vec<bool>,
    /// In order.
    pub stands: Vec<Stand>,
}

impl<'a> Standing<'a> {
    /// The whole transcript, untouched.
    pub(crate) fn new(transcript: &Transcript<'a>, overhead: u64) -> Self {
        let mut standing = Self { total: overhead, ..Self::default() };
        standing.follow(transcript);
        standing
    }

    /// Takes in what was appended to the transcript.
    pub(crate) fn follow(&mut self, transcript: &Transcript<'a>) {
        for slot in transcript.slots.get(self.hidden.len()..).unwrap_or_default() {
            self.total += slot.tokens;
            self.edits.push(None);
            self.hidden.push(false);
        }
    }

    /// Lets go of the slots from `from` on, before they are read anew.
    pub(crate) fn let_go(&mut self, transcript: &Transcript<'a>, from: usize) {
        for at in from..self.hidden.len() {
            if !self.is_hidden(at) {
                self.total -= self.tokens(transcript, at);
            }
        }
        while let Some(stand) = self.stands.pop_if(|stand| stand.run.end > from) {
            self.total -= stand.tokens;
        }
        self.edits.truncate(from);
        self.hidden.truncate(from);
    }

    /// What was done to the messages from `from` on: their source, how they read before, and the edit.
    pub(crate) fn edits_from(
        &self,
        transcript: &Transcript<'a>,
        from: usize,
    ) -> Vec<(usize, Message<'a>, SlotEdit<'a>)> {
        let slots = transcript.slots.get(from..).unwrap_or_default();
        let edits = self.edits.get(from..).unwrap_or_default();
        let mut done = Vec::new();
        for (slot, edit) in slots.iter().zip(edits) {
            if let (Some(source), Some(edit)) = (slot.source, edit) {
                done.push((source, slot.message.clone(), edit.clone()));
            }
        }
        done
    }

    /// Does it again where the message is still the same.
    pub(crate) fn redo(
        &mut self,
        transcript: &Transcript<'a>,
        from: usize,
        done: Vec<(usize, Message<'a>, SlotEdit<'a>)>,
    ) {
        let slots = transcript.slots.get(from..).unwrap_or_default();
        let mut next = 0;
        for (source, message, edit) in done {
            // Both are in order, so the search goes on where it ended.
            let rest = slots.get(next..).unwrap_or_default();
            let Some(ahead) = rest.iter().position(|slot| slot.source == Some(source) && slot.message == message)
            else {
                continue;
            };
            let at = from + next + ahead;
            next += ahead + 1;
            if let Some(place) = self.edits.get_mut(at) {
                let before = transcript.slots.get(at).map_or(0, |slot| slot.tokens);
                self.total = self.total - before + edit.tokens;
                *place = Some(edit);
            }
        }
    }

    /// Size of a slot as it stands, if it is visible.
    pub(crate) fn tokens(&self, transcript: &Transcript<'a>, at: usize) -> u64 {
        match self.edits.get(at) {
            Some(Some(edit)) => edit.tokens,
            _ => transcript.slots.get(at).map_or(0, |slot| slot.tokens),
        }
    }

    /// The message of a slot as it stands.
    pub(crate) fn message<'s>(&'s self, transcript: &'s Transcript<'a>, at: usize) -> Option<&'s Message<'a>> {
        match self.edits.get(at) {
            Some(Some(edit)) => Some(&edit.message),
            _ => transcript.slots.get(at).map(|slot| &slot.message),
        }
    }

    pub(crate) fn is_hidden(&self, at: usize) -> bool {
        self.hidden.get(at).copied().unwrap_or(true)
    }

    /// Runs of hidden slots with nothing visible between.
    pub(crate) fn runs(&self) -> Vec<Range<usize>> {
        let mut runs: Vec<Range<usize>> = Vec::new();
        for at in 0..self.hidden.len() {
            if !self.is_hidden(at) {
                continue;
            }
            match runs.last_mut() {
                Some(run) if run.end == at => run.end += 1,
                _ => runs.push(at..at + 1),
            }
        }
        runs
    }
}
