//! Everything that was ever said: for the UI, and for a model that asks for something it no longer sees.

use serde::Serialize;

use super::codec::{StoredEntry, StoredOverflow, decode, missing};
use super::disk::{CHUNK, find};
use super::types::EntryId;
use super::{Inner, Session};
use crate::error::{Boxed, Error, Result};
use crate::order;
use crate::store::{Range, Record, RecordKind};

/// One message of a conversation, as it was given.
#[derive(Debug, Clone, PartialEq)]
pub struct HistoryEntry {
    /// Its number.
    pub id: EntryId,
    /// Its JSON text; shortened where [`is_shortened`](Self::is_shortened) says so.
    pub text: String,
    /// When it was appended, Unix time, milliseconds.
    pub time: f64,
    /// Its size as it was first shown, tokens.
    pub tokens: u32,
    /// Whether nothing of it is edited.
    pub is_pinned: bool,
    /// How the view shows it.
    pub visibility: Visibility,
    /// Its whole is no longer kept: this is what was shown of it.
    pub is_shortened: bool,
}

/// How a view shows an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Visibility {
    /// As it was given.
    Shown,
    /// Pruned or shortened.
    Edited,
    /// Not at all, or as part of a summary.
    Hidden,
}

impl Session<'_> {
    /// Entries of this branch in their order: at most `most`, beginning after `after`, ending before `before`.
    ///
    /// # Errors
    /// [`Error::Store`], [`Error::Closed`].
    pub async fn history(
        &self,
        after: Option<EntryId>,
        before: Option<EntryId>,
        most: usize,
    ) -> Result<Vec<HistoryEntry>> {
        Ok(self.do_history(after, before, most).await?)
    }

    /// The same with errors that are cheap to pass on.
    pub(crate) async fn do_history(
        &self,
        after: Option<EntryId>,
        before: Option<EntryId>,
        most: usize,
    ) -> Boxed<Vec<HistoryEntry>> {
        let _pass = self.pass().await?;
        self.catch_up_if_unsure().await?;
        let path = self.whole_path();
        let path = match before {
            Some(before) => path.before(before),
            None => path,
        };
        let ids: Vec<EntryId> = path.after(after).first(most as u64).iter().collect();
        self.read_history(&ids).await
    }

    /// The entry after which the last `count` entries before `before` begin.
    #[must_use]
    pub fn start_of_last(&self, before: Option<EntryId>, count: u64) -> Option<EntryId> {
        let path = self.whole_path();
        let path = match before {
            Some(before) => path.before(before),
            None => path,
        };
        path.len()
            .checked_sub(count.max(1))
            .and_then(|skipped| skipped.checked_sub(u64::from(count > 0)))
            .and_then(|at| path.at(at))
    }

    /// One entry, of whichever branch, as it was given.
    ///
    /// # Errors
    /// [`Error::InvalidOption`] when there is none of this number; [`Error::Store`], [`Error::Closed`].
    pub async fn recall(&self, id: EntryId) -> Result<HistoryEntry> {
        Ok(self.do_recall(id).await?)
    }

    /// The same with errors that are cheap to pass on.
    pub(crate) async fn do_recall(&self, id: EntryId) -> Boxed<HistoryEntry> {
        let _pass = self.pass().await?;
        self.catch_up_if_unsure().await?;
        let found = self.read_history(&[id]).await?.pop();
        found.ok_or_else(|| Error::option("id", format_args!("there is no entry {id}")))
    }

    /// Entries with their whole texts, in the order of `ids`. Those that cannot be read are left out with a warning.
    pub(super) async fn read_history(&self, ids: &[EntryId]) -> Boxed<Vec<HistoryEntry>> {
        let mut entries = Vec::with_capacity(ids.len());
        let shown = self.inner.borrow().shown();
        for chunk in ids.chunks(usize::try_from(CHUNK).unwrap_or(256)) {
            let records = self.read_entries(chunk).await?;
            for id in chunk {
                let Some(entry) = self.readable_entry(&records, *id) else { continue };
                let mut text = entry.message.get().to_owned();
                let mut is_shortened = false;
                if entry.whole.is_some() {
                    match self.read_overflow(*id).await? {
                        Some(whole) => text = whole,
                        None => is_shortened = true,
                    }
                }
                let inner = self.inner.borrow();
                let is_pinned = inner.at.memory.pins.binary_search(id).is_ok();
                let visibility = visibility(&shown, *id);
                let StoredEntry { time, tokens, .. } = entry;
                entries.push(HistoryEntry { id: *id, text, time, tokens, is_pinned, visibility, is_shortened });
            }
        }
        Ok(entries)
    }

    fn readable_entry(&self, records: &[Record], id: EntryId) -> Option<StoredEntry> {
        let record = find(records, id);
        if record.is_none() && id < self.inner.borrow().at.head.entries {
            let error = missing(RecordKind::Entry, id);
            self.warn(error.class.code(), format!("{error}; it is left out"));
        }
        record.and_then(|record| self.readable(record))
    }

    pub(super) fn readable<T: super::codec::Stored>(&self, record: &Record) -> Option<T> {
        decode(record).map_err(|error| self.warn(error.class.code(), format!("{error}; it is left out"))).ok()
    }

    pub(super) async fn read_overflow(&self, id: EntryId) -> Boxed<Option<String>> {
        let ranges = [Range::one(RecordKind::Overflow, id)];
        let records = self.read(&ranges).await?.records;
        let whole = records.first().and_then(|record| self.readable::<StoredOverflow>(record));
        Ok(whole.map(|whole| whole.message.get().to_owned()))
    }
}

impl Inner<'_> {
    /// Entries that the view shows, ascending, and whether each is shown as it was given.
    pub(super) fn shown(&self) -> Vec<(EntryId, bool)> {
        let conversation = self.interim.as_ref().unwrap_or(&self.window.conversation);
        let view = self.window.view_of(conversation, &|_| true).unwrap_or_default();
        let shown = view.iter().filter_map(|item| Some((item.entry?, u64::from(item.is_whole))));
        order::ascending(shown.collect()).into_iter().map(|(entry, is_whole)| (entry, is_whole > 0)).collect()
    }
}

fn visibility(shown: &[(EntryId, bool)], id: EntryId) -> Visibility {
    match shown.binary_search_by_key(&id, |(id, _)| *id).ok().and_then(|at| shown.get(at)) {
        None => Visibility::Hidden,
        Some((_, true)) => Visibility::Shown,
        Some((_, false)) => Visibility::Edited,
    }
}
