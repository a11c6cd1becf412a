//! For hosts that own the array of messages: what is different in it becomes what has to be written.

use super::branches::Path;
use super::codec::{StoredEntry, decode};
use super::disk::{CHUNK, find, readable};
use super::identity;
use super::types::EntryId;
use super::write::Fresh;
use super::{Inner, Session};
use crate::error::{Boxed, Result};
use crate::json::Messages;
use crate::store::{Range, RecordKind};

/// What a host's array came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Synced {
    /// Entries that were appended.
    pub appended: Vec<EntryId>,
    /// Entries that are no longer on the branch. They are kept.
    pub replaced: Vec<EntryId>,
    /// The last entry that the old branch and the new one have in common, when there is a new one: `Some(None)` when they
    /// have none in common.
    pub branched_at: Option<Option<EntryId>>,
    /// The last entry, whose message has grown: it was written anew, under the same number.
    pub grown: Option<EntryId>,
}

/// Up to where the host's array and the branch are the same.
struct Common {
    /// How many messages.
    count: u64,
    /// The last of them.
    tip: Option<EntryId>,
    /// XXH64 of the messages up to it.
    chain: u64,
}

impl<'c> Session<'c> {
    /// Brings the conversation to what the host's array says, with as little as that takes: messages at the end are
    /// appended; a last message that its model is still writing grows under its number; where the array differs before
    /// that, a new branch begins, and what it leaves behind stays in the store. Messages are compared by what they say,
    /// not by the order of their keys.
    ///
    /// What it costs depends on what is different, but for one look at each message of the array.
    ///
    /// # Errors
    /// What reading them gives, with the index in `messages`; [`Error::Store`](crate::Error::Store),
    /// [`Error::Closed`](crate::Error::Closed). Nothing has changed then.
    pub async fn sync(&self, messages: &Messages) -> Result<Synced> {
        Ok(self.do_sync(messages).await?)
    }

    /// The same with errors that are cheap to pass on.
    pub(crate) async fn do_sync(&self, messages: &Messages) -> Boxed<Synced> {
        self.check(messages)?;
        let _pass = self.pass().await?;
        self.catch_up().await?;
        let mut chains = Vec::with_capacity(messages.len() + 1);
        let mut chain = 0;
        chains.push(chain);
        for text in messages.iter() {
            chain = identity::chained(chain, text);
            chains.push(chain);
        }
        // Others may write meanwhile: then what is common is looked for again.
        loop {
            let revision = self.revision();
            let path = self.whole_path();
            let common = self.common(&path, &chains).await?;
            if let Some(synced) = self.bring_to(messages, &path, &common, revision).await? {
                return Ok(synced);
            }
        }
    }

    pub(super) fn whole_path(&self) -> Path {
        let head = &self.inner.borrow().at.head;
        head.branches.path(head.tip)
    }

    /// The longest beginning that both have. Looks from the end: that is where things differ.
    async fn common(&self, path: &Path, chains: &[u64]) -> Boxed<Common> {
        let length = path.len();
        let mine = self.inner.borrow().chain;
        let at = |count: u64| usize::try_from(count).ok().and_then(|count| chains.get(count)).copied();
        if at(length) == Some(mine) {
            let tip = length.checked_sub(1).and_then(|last| path.at(last));
            return Ok(Common { count: length, tip, chain: mine });
        }
        let mut end = length.min(chains.len() as u64 - 1);
        let mut step = 8;
        while end > 0 {
            let from = end.saturating_sub(step);
            let ids: Vec<EntryId> = path.first(end).last(end - from).iter().collect();
            let records = self.read_entries(&ids).await?;
            for (id, position) in ids.iter().rev().zip((from..end).rev()) {
                // One that cannot be read is not what the host has: it is written anew, on a new branch.
                let entry = find(&records, *id).and_then(|record| decode::<StoredEntry>(record).ok());
                let Some(entry) = entry else { continue };
                let chain = identity::of_hex(&entry.chain).unwrap_or_default();
                if at(position + 1) == Some(chain) {
                    return Ok(Common { count: position + 1, tip: Some(*id), chain });
                }
            }
            end = from;
            step = (step * 2).min(CHUNK);
        }
        Ok(Common { count: 0, tip: None, chain: 0 })
    }

    /// `None` when somebody else has written meanwhile.
    async fn bring_to(
        &self,
        messages: &Messages,
        path: &Path,
        common: &Common,
        revision: u64,
    ) -> Boxed<Option<Synced>> {
        let count = usize::try_from(common.count).unwrap_or(usize::MAX);
        let rest = messages.slice(count..messages.len());
        let replaced: Vec<EntryId> = path.after(common.tip).iter().collect();
        let mut synced = Synced { replaced, ..Synced::default() };
        if synced.replaced.is_empty() && rest.is_empty() {
            return Ok(Some(synced));
        }
        if let [last] = synced.replaced[..]
            && let Some(first) = rest.get(0)
            && self.is_still_written(last, first).await?
        {
            return self.grow(last, &rest, common, revision).await;
        }
        if synced.replaced.is_empty() {
            return self.follow(&rest, common, revision).await;
        }
        let stays = path.before(synced.replaced.first().copied().unwrap_or_default());
        let active = self.inner.borrow().at.head.active;
        let active = self.standing_from(active, &stays).await?;
        synced.branched_at = Some(common.tip);
        let written = self
            .write(|inner| {
                if inner.at.revision != revision {
                    return Ok(None);
                }
                let mut head = inner.at.head.clone();
                (head.tip, head.active) = (common.tip, active);
                let (mut draft, fresh) = self.drafted(head, common.chain, &rest, inner)?;
                draft.memory = Some(inner.remembered());
                draft.reshapes = true;
                Ok(Some(draft.with(fresh)))
            })
            .await?;
        let Some(fresh) = written else { return Ok(None) };
        self.reload().await?;
        synced.appended = fresh.ids;
        Ok(Some(synced))
    }

    async fn follow(&self, rest: &Messages, common: &Common, revision: u64) -> Boxed<Option<Synced>> {
        let written = self
            .write(|inner| {
                if inner.at.revision != revision {
                    return Ok(None);
                }
                let (draft, fresh) = self.drafted(inner.at.head.clone(), common.chain, rest, inner)?;
                Ok(Some(draft.with(fresh)))
            })
            .await?;
        let Some(fresh) = written else { return Ok(None) };
        self.take(&fresh)?;
        Ok(Some(Synced { appended: fresh.ids, ..Synced::default() }))
    }

    /// Whether an entry is the last one that was written, no compaction has been made from it, and its model is still
    /// writing what the host has in its place.
    async fn is_still_written(&self, id: EntryId, now: &str) -> Boxed<bool> {
        let (is_last, active) = {
            let head = &self.inner.borrow().at.head;
            (head.tip == Some(id) && head.entries == id + 1, head.active)
        };
        if !is_last {
            return Ok(false);
        }
        if let Some(active) = active
            && readable(self.read_compaction(active).await)?.is_none_or(|made| made.through >= Some(id))
        {
            return Ok(false);
        }
        let Some((_, text)) = readable(self.read_whole(id).await)?.flatten() else { return Ok(false) };
        Ok(identity::has_grown(&text, now))
    }

    /// Writes the last entry anew, and appends what follows.
    async fn grow(&self, id: EntryId, rest: &Messages, common: &Common, revision: u64) -> Boxed<Option<Synced>> {
        let written = self
            .write(|inner: &Inner<'c>| {
                if inner.at.revision != revision {
                    return Ok(None);
                }
                let mut head = inner.at.head.clone();
                // As if it had not been written yet.
                head.entries = id;
                head.tip = common.tip;
                head.rewrites += 1;
                let (mut draft, fresh) = self.drafted(head, common.chain, rest, inner)?;
                draft.deletes.push(Range::one(RecordKind::Overflow, id));
                draft.reshapes = true;
                Ok(Some(draft.with(fresh)))
            })
            .await?;
        let Some(Fresh { ids, .. }) = written else { return Ok(None) };
        self.reload().await?;
        let appended = ids.into_iter().filter(|new| *new != id).collect();
        Ok(Some(Synced { appended, grown: Some(id), ..Synced::default() }))
    }

    /// A message as it was given, and its entry.
    pub(super) async fn read_whole(&self, id: EntryId) -> Boxed<Option<(StoredEntry, String)>> {
        let ranges = [Range::one(RecordKind::Entry, id), Range::one(RecordKind::Overflow, id)];
        let records = self.read(&ranges).await?.records;
        let Some(record) = records.iter().find(|record| record.kind == RecordKind::Entry) else { return Ok(None) };
        let entry: StoredEntry = decode(record)?;
        let whole = records.iter().find(|record| record.kind == RecordKind::Overflow);
        let text = match whole {
            Some(record) => decode::<super::codec::StoredOverflow>(record)?.message.get().to_owned(),
            None => entry.message.get().to_owned(),
        };
        Ok(Some((entry, text)))
    }
}
