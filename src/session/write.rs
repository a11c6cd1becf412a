//! Writing: one batch, on top of whatever others have written meanwhile.

use std::future::Future;
use std::pin::Pin;

use super::codec::{Head, Memory, StoredEntry, StoredOverflow, VERSION, encode, encode_beside};
use super::identity;
use super::types::{EntryId, SessionEvent};
use super::window::Item;
use super::{At, Inner, Session, evicted, now};
use crate::error::{Boxed, Error, Result};
use crate::json::{Messages, Raw};
use crate::recall::overflow::shorten_results;
use crate::store::{About, Batch, Range, Record, RecordKind, StoreErrorClass};

/// How often somebody else may be faster. Each time somebody has got on, so this is not reached by bad luck.
const TRIES: u32 = 10_000;

/// What is to be written, and what comes of it.
pub(super) struct Draft<T> {
    pub head: Head,
    /// What is remembered, where that changes.
    pub memory: Option<Memory>,
    pub puts: Vec<Record>,
    pub deletes: Vec<Range>,
    /// The window has to be read anew afterwards.
    pub reshapes: bool,
    pub value: T,
}

impl<T> Draft<T> {
    pub(super) fn new(head: Head, value: T) -> Self {
        Self { head, memory: None, puts: Vec::new(), deletes: Vec::new(), reshapes: false, value }
    }

    fn apart(self) -> (Draft<()>, T) {
        let Self { head, memory, puts, deletes, reshapes, value } = self;
        (Draft { head, memory, puts, deletes, reshapes, value: () }, value)
    }
}

/// Makes a draft of how things stand.
type Make<'w, 'c> = dyn FnMut(&Inner<'c>) -> Result<Option<Draft<()>>> + 'w;

/// New entries as they will be shown.
pub(super) struct Fresh {
    pub ids: Vec<EntryId>,
    pub items: Vec<Item>,
    pub messages: Messages,
    pub sizes: Vec<u32>,
    pub chain: u64,
}

impl<'c> Session<'c> {
    /// Writes what `make` makes of how things stand. When somebody else was faster, it is asked again. `None` means that
    /// there is nothing to write any more.
    pub(super) async fn write<T>(
        &self,
        mut make: impl FnMut(&Inner<'c>) -> Boxed<Option<Draft<T>>>,
    ) -> Boxed<Option<T>> {
        let mut kept = None;
        let mut make = |inner: &Inner<'c>| {
            let Some(draft) = make(inner)? else { return Ok(None) };
            let (draft, value) = draft.apart();
            kept = Some(value);
            Ok(Some(draft))
        };
        let is_written = self.write_draft(&mut make).await?;
        Ok(kept.filter(|_| is_written))
    }

    /// The same for drafts that are all of one type, so that there is one of it. Returns whether something was written.
    fn write_draft<'w>(&'w self, make: &'w mut Make<'w, 'c>) -> Pin<Box<dyn Future<Output = Result<bool>> + 'w>> {
        Box::pin(async move {
            self.catch_up_if_unsure().await?;
            for _ in 0..TRIES {
                let next = make(&self.inner.borrow())?;
                let Some(draft) = next else { return Ok(false) };
                self.open_still()?;
                let (batch, head, memory) = self.batch(&draft)?;
                self.inner.borrow_mut().doubt = true;
                match self.store.commit(&batch).await {
                    Ok(revision) => {
                        self.written(revision, head, memory, draft.reshapes);
                        return Ok(true);
                    }
                    Err(error) if error.class == StoreErrorClass::Conflict => {
                        if error.revision == Some(0) && batch.expected > 0 {
                            return Err(evicted().into());
                        }
                        self.catch_up().await?;
                    }
                    Err(error) if error.class == StoreErrorClass::Lost => {
                        // Whether it was written is not known, unless the store says so.
                        if !self.find_out(&head, &batch).await? {
                            return Err(error.into());
                        }
                        self.written(batch.expected + 1, head, memory, draft.reshapes);
                        return Ok(true);
                    }
                    Err(error) => {
                        self.inner.borrow_mut().doubt = false;
                        return Err(error.into());
                    }
                }
            }
            Err(crate::store::StoreError::conflict(self.revision()).into())
        })
    }

    fn batch(&self, draft: &Draft<()>) -> Boxed<(Batch, Head, Option<Memory>)> {
        let inner = self.inner.borrow();
        let mut head = draft.head.clone();
        head.v = VERSION;
        head.stamp = self.stamp();
        // What was remembered since the last write goes along.
        let unwritten = || inner.unwritten.then(|| inner.remembered());
        let memory = draft.memory.clone().or_else(unwritten);
        let mut puts = vec![encode(RecordKind::Head, 0, &head)?];
        if let Some(memory) = &memory {
            puts.push(encode(RecordKind::State, 0, memory)?);
        }
        puts.extend(draft.puts.iter().cloned());
        let about =
            About { created_ms: head.created, updated_ms: now(&*self.host).max(head.created), entries: head.entries };
        let conversation = self.options.id.clone();
        let batch = Batch { conversation, expected: inner.at.revision, puts, deletes: draft.deletes.clone(), about };
        Ok((batch, head, memory))
    }

    fn stamp(&self) -> String {
        format!("{:016x}", self.host.random().to_bits() ^ self.host.now_ms().to_bits().rotate_left(32))
    }

    fn written(&self, revision: u64, head: Head, memory: Option<Memory>, reshapes: bool) {
        {
            let mut inner = self.inner.borrow_mut();
            let memory = match memory {
                Some(memory) => {
                    inner.unwritten = false;
                    inner.reported = None;
                    memory
                }
                None => std::mem::take(&mut inner.at.memory),
            };
            inner.at = At { revision, head, memory };
            inner.doubt = false;
            // From here on, whoever goes on without reading the window anew goes on from another one than was written.
            inner.torn |= reshapes;
        }
        self.host.event(&SessionEvent::Changed { revision, local: true });
    }

    /// After the connection broke off: whether the batch was written nevertheless.
    async fn find_out(&self, head: &Head, batch: &Batch) -> Boxed<bool> {
        let loaded = self.read(&[Range::one(RecordKind::Head, 0)]).await?;
        let stored = loaded.records.first().and_then(|record| super::codec::decode::<Head>(record).ok());
        let is_ours = stored.is_some_and(|stored| stored.stamp == head.stamp);
        if !is_ours {
            // Ours, and somebody else's on top of it, or not at all: reading anew tells.
            self.inner.borrow_mut().doubt = loaded.revision != batch.expected;
        }
        Ok(is_ours)
    }

    // ------------------------------------------------------------------------------------------------------- appending

    /// Adds messages at the end. They are durable when it resolves. Returns their numbers.
    ///
    /// # Errors
    /// What reading them gives, with the index in `messages`; [`Error::Store`], [`Error::Closed`]. Nothing is taken in then.
    pub async fn append(&self, messages: &Messages) -> Result<Vec<EntryId>> {
        Ok(self.do_append(messages).await?)
    }

    /// The same with errors that are cheap to pass on.
    pub(crate) async fn do_append(&self, messages: &Messages) -> Boxed<Vec<EntryId>> {
        self.check(messages)?;
        let _pass = self.pass().await?;
        if messages.is_empty() {
            return Ok(Vec::new());
        }
        let fresh = self
            .write(|inner| {
                let (draft, fresh) = self.drafted(inner.at.head.clone(), inner.chain, messages, inner)?;
                Ok(Some(draft.with(fresh)))
            })
            .await?;
        let Some(fresh) = fresh else { return Ok(Vec::new()) };
        self.take(&fresh)?;
        if fresh.items.iter().any(|item| !item.is_whole()) {
            self.sweep().await;
        }
        Ok(fresh.ids)
    }

    /// Takes entries that were written at the end into memory.
    pub(super) fn take(&self, fresh: &Fresh) -> Boxed<()> {
        let mut inner = self.inner.borrow_mut();
        inner.chain = fresh.chain;
        Session::put(&mut inner, &fresh.items, &fresh.messages, &fresh.sizes)
    }

    /// Whether these are messages of the format.
    pub(super) fn check(&self, messages: &Messages) -> Boxed<()> {
        let rules = self.format().rules();
        for (index, text) in messages.iter().enumerate() {
            rules.parse(index, crate::json::parse(text, Some(index))?)?;
        }
        Ok(())
    }

    /// Entries for messages that follow the tip of `head`.
    pub(super) fn drafted(
        &self,
        mut head: Head,
        mut chain: u64,
        messages: &Messages,
        inner: &Inner<'c>,
    ) -> Boxed<(Draft<()>, Fresh)> {
        let time = now(&*self.host);
        let probe = inner.window.conversation.probe();
        let rules = self.format().rules();
        let mut fresh =
            Fresh { ids: Vec::new(), messages: Messages::default(), sizes: Vec::new(), items: Vec::new(), chain };
        let mut puts = Vec::new();
        for (index, text) in messages.iter().enumerate() {
            let id = head.entries;
            let begins = head.branches.append(head.tip, id);
            let after = begins.then(|| head.tip.map_or(-1, |tip| i64::try_from(tip).unwrap_or(-1)));
            let shortened = self.shortened(id, index, text)?;
            let shown = shortened.as_deref().unwrap_or(text);
            let message = rules.parse(index, crate::json::parse(shown, Some(index))?)?;
            let tokens = crate::tokens::message_tokens(&*self.counter, &message);
            let tokens = u32::try_from(tokens).unwrap_or(u32::MAX - 1);
            chain = identity::chained(chain, text);
            let whole = shortened.is_some().then_some(text.len() as u64);
            let raw =
                |text: &str| Raw::checked(text).map_err(|_| *Error::input(Some(index), format_args!("is not JSON")));
            let message = raw(shown)?;
            let entry =
                StoredEntry { v: VERSION, time, tokens, probe, chain: identity::hex(chain), after, whole, message };
            puts.push(encode_beside(RecordKind::Entry, id, &entry, &entry.message)?);
            if let Some(bytes) = whole {
                let overflow = StoredOverflow { v: VERSION, time, message: raw(text)? };
                puts.push(encode_beside(RecordKind::Overflow, id, &overflow, &overflow.message)?);
                if head.overflow_bytes == 0 {
                    (head.overflow_from, head.overflow_since) = (id, time);
                }
                head.overflow_bytes += bytes;
            }
            fresh.messages.push_json(shown)?;
            fresh.ids.push(id);
            fresh.items.push(Item::new(id, whole.is_some()));
            fresh.sizes.push(tokens);
            head.tip = Some(id);
            head.entries = id + 1;
        }
        fresh.chain = chain;
        let mut draft = Draft::new(head, ());
        draft.puts = puts;
        Ok((draft, fresh))
    }

    /// A message with tool results that are too long: as it is shown.
    fn shortened(&self, id: EntryId, index: usize, text: &str) -> Boxed<Option<String>> {
        let Some(overflow) = self.options.overflow else { return Ok(None) };
        // A character is a byte at least.
        if text.len() <= overflow.threshold {
            return Ok(None);
        }
        let message = self.format().rules().parse(index, crate::json::parse(text, Some(index))?)?;
        let label = self.options.conversation.policy.recall_declared.then_some(id);
        let changes = shorten_results(&message, overflow.threshold, overflow.keep, label);
        if changes.is_empty() { Ok(None) } else { Ok(Some(Messages::changed_text(text, &changes)?)) }
    }

    /// Takes entries that were written into memory.
    pub(super) fn put(inner: &mut Inner<'c>, items: &[Item], messages: &Messages, sizes: &[u32]) -> Boxed<()> {
        if let Some(interim) = &mut inner.interim {
            interim.append_counted(messages, sizes)?;
            interim.label(items.iter().map(|item| item.entry().unwrap_or_default()));
        }
        let Inner { window, .. } = inner;
        window.append(items, messages, sizes)
    }
}

impl Draft<()> {
    pub(super) fn with<T>(self, value: T) -> Draft<T> {
        let Self { head, memory, puts, deletes, reshapes, .. } = self;
        Draft { head, memory, puts, deletes, reshapes, value }
    }
}

impl Inner<'_> {
    /// Whether the view keeps to its limit.
    pub(super) fn fits(&self) -> bool {
        self.window.conversation.tokens() <= self.window.conversation.limit()
    }

    /// What is remembered now, to be written.
    pub(super) fn remembered(&self) -> Memory {
        let state = self.window.state_by_entry(self.window.conversation.state());
        Memory { v: VERSION, state, ..self.at.memory.clone() }
    }
}
