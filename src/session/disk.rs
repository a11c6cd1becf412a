//! Reading: what is in the store becomes what is in memory, whatever state it is in.

use super::branches::{Branches, Path};
use super::codec::{Head, Memory, StoredCompaction, StoredEntry, StoredItem, VERSION, decode, missing};
use super::identity;
use super::types::{EntryId, SessionEvent};
use super::window::{Item, Piece, Window, shown};
use super::{At, Session, blank_head, evicted};
use crate::error::{Boxed, Error};
use crate::json::Messages;
use crate::order;
use crate::store::{Loaded, Range, Record, RecordKind, StoreError, StoreErrorClass};
use crate::transcript::UNKNOWN;

/// How many entries are read at once where all of them have to be.
pub(super) const CHUNK: u64 = 256;

/// A window as it was read, and the XXH64 of all messages up to its end.
pub(super) struct Read<'c> {
    pub window: Window<'c>,
    pub chain: u64,
}

impl<'c> Session<'c> {
    /// Reads everything anew.
    pub(super) async fn load(&self) -> Boxed<()> {
        let mut at = self.read_at().await?;
        let read = self.read_window(&mut at).await?;
        let mut inner = self.inner.borrow_mut();
        inner.at = at;
        inner.chain = read.chain;
        inner.window = read.window;
        inner.interim = None;
        inner.base += 1;
        (inner.doubt, inner.torn, inner.unwritten) = (false, false, false);
        inner.reported = None;
        self.stale.set(false);
        Session::tighten(&mut inner);
        Ok(())
    }

    /// Reads head and memory.
    async fn read_at(&self) -> Boxed<At> {
        let stored = self.read_head_and_memory().await?;
        self.standing_at(stored).await
    }

    async fn read_head_and_memory(&self) -> Boxed<Loaded> {
        self.read(&[Range::one(RecordKind::Head, 0), Range::one(RecordKind::State, 0)]).await
    }

    /// Records of the conversation. Where there was one and is none, everything would be found missing.
    pub(super) async fn read(&self, ranges: &[Range]) -> Boxed<Loaded> {
        let loaded = self.store.load(&self.options.id, ranges).await?;
        if loaded.revision == 0 && self.revision() > 0 { Err(evicted().into()) } else { Ok(loaded) }
    }

    async fn standing_at(&self, stored: Loaded) -> Boxed<At> {
        let revision = stored.revision;
        if revision == 0 {
            return Ok(At { revision, head: blank_head(&self.options, &*self.host), memory: Memory::default() });
        }
        let of = |kind: RecordKind| stored.records.iter().find(|record| record.kind == kind);
        let head = stored.head().unwrap_or_else(|| Err(missing(RecordKind::Head, 0)));
        let head = match head {
            Ok(head) if head.is_sound() => head,
            Err(error) if error.class == StoreErrorClass::Newer => return Err(error.into()),
            _ => self.recovered_head().await?,
        };
        if head.format != self.format() {
            let text = format_args!("the conversation was begun as {}", head.format.name());
            return Err(Error::option("format", text));
        }
        let memory = match of(RecordKind::State).map(decode::<Memory>) {
            None => Memory::default(),
            Some(Ok(memory)) => memory,
            Some(Err(error)) if error.class == StoreErrorClass::Newer => return Err(error.into()),
            Some(Err(error)) => {
                self.warn(error.class.code(), format!("{error}; pins and counters begin anew"));
                Memory::default()
            }
        };
        Ok(At { revision, head, memory })
    }

    /// Reads what the view needs. A compaction that cannot be read is passed over for an earlier one.
    pub(super) async fn read_window(&self, at: &mut At) -> Boxed<Read<'c>> {
        let path = at.head.branches.path(at.head.tip);
        let compaction = self.read_compaction_in_force(at, &path).await?;
        let pieces = plan_pieces(&path, compaction.as_ref());
        let mut wanted: Vec<EntryId> = pieces.iter().filter_map(Item::entry).collect();
        wanted.extend(at.head.tip);
        let records = self.read_entries(&wanted).await?;
        let chain = match at.head.tip {
            None => 0,
            Some(tip) => match find(&records, tip).map(decode::<StoredEntry>) {
                Some(Ok(entry)) => identity::of_hex(&entry.chain).unwrap_or_default(),
                _ => 0,
            },
        };
        let mut ours = compaction.iter().flat_map(|compaction| &compaction.items).filter_map(|item| match item {
            StoredItem::Ours { m } => Some(m),
            _ => None,
        });
        let probe = self.inner.borrow().window.conversation.probe();
        let mut made = Vec::with_capacity(pieces.len());
        for item in pieces {
            let Item::Entry { id, changes, .. } = &item else {
                let text = ours.next().cloned().unwrap_or_default();
                made.push(Piece { item, text, tokens: UNKNOWN });
                continue;
            };
            let entry = find(&records, *id).map_or_else(|| Err(missing(RecordKind::Entry, *id)), decode::<StoredEntry>);
            let entry = entry.and_then(|entry| {
                let text = shown(entry.message.get(), *id, changes)?;
                let is_counted = entry.probe == probe && changes.is_empty();
                self.check_readable(*id, &text)?;
                let item = Item::Entry { id: *id, changes: changes.clone(), short: entry.whole.is_some() };
                Ok(Piece { item, text, tokens: if is_counted { entry.tokens } else { UNKNOWN } })
            });
            match entry {
                Ok(piece) => made.push(piece),
                Err(error) if error.class == StoreErrorClass::Newer => return Err(error.into()),
                Err(error) => self.warn(error.class.code(), format!("{error}; the view is made without it")),
            }
        }
        let window = Window::new(&self.options, &self.counter, made, &at.memory.state, &at.memory.pins)?;
        Ok(Read { window, chain })
    }

    /// Whether a text is a message of the format at all.
    fn check_readable(&self, id: EntryId, text: &str) -> std::result::Result<(), StoreError> {
        let value = crate::json::parse(text, None).map_err(|_| super::codec::corrupted(RecordKind::Entry, id))?;
        let parsed = self.format().rules().parse(0, value);
        parsed.map(|_| ()).map_err(|_| super::codec::corrupted(RecordKind::Entry, id))
    }

    /// The records of these entries, by number.
    pub(super) async fn read_entries(&self, ids: &[EntryId]) -> Boxed<Vec<Record>> {
        let mut ranges: Vec<Range> = Vec::new();
        for id in order::numbers(ids.iter().copied()) {
            match ranges.last_mut() {
                Some(range) if id < range.to => {}
                Some(range) if range.to == id => range.to += 1,
                _ => ranges.push(Range::one(RecordKind::Entry, id)),
            }
        }
        if ranges.is_empty() {
            return Ok(Vec::new());
        }
        Ok(self.read(&ranges).await?.records)
    }

    async fn read_compaction_in_force(&self, at: &mut At, path: &Path) -> Boxed<Option<StoredCompaction>> {
        let Some(active) = at.head.active else { return Ok(None) };
        match self.read_compaction(active).await {
            Ok(compaction) => return Ok(Some(compaction)),
            Err(error) => {
                let error = of_corrupted(error)?;
                self.warn(error.class.code(), format!("{error}; the view is made from an earlier one"));
            }
        }
        let found = self.newest_compaction(active, path).await?;
        at.head.active = found.as_ref().map(|(id, _)| *id);
        Ok(found.map(|(_, compaction)| compaction))
    }

    pub(super) async fn read_compaction(&self, id: u64) -> Boxed<StoredCompaction> {
        let ranges = [Range::one(RecordKind::Compaction, id)];
        let records = self.read(&ranges).await?.records;
        let record = records.first().ok_or_else(|| missing(RecordKind::Compaction, id))?;
        Ok(decode(record)?)
    }

    /// The newest compaction below a number that was made from entries of this path and not taken back.
    pub(super) async fn newest_compaction(&self, below: u64, path: &Path) -> Boxed<Option<(u64, StoredCompaction)>> {
        for id in (0..below).rev() {
            let Some(compaction) = readable(self.read_compaction(id).await)? else { continue };
            if !compaction.undone && compaction.through.is_none_or(|last| path.contains(last)) {
                return Ok(Some((id, compaction)));
            }
        }
        Ok(None)
    }

    /// The first that is in force on this path, of a compaction and those that it was made from.
    pub(super) async fn standing_from(&self, newest: Option<u64>, path: &Path) -> Boxed<Option<u64>> {
        let mut next = newest;
        while let Some(id) = next {
            // Nobody knows what one was made from that cannot be read.
            let Some(compaction) = readable(self.read_compaction(id).await)? else {
                return Ok(self.newest_compaction(id, path).await?.map(|(id, _)| id));
            };
            if !compaction.undone && compaction.through.is_none_or(|last| path.contains(last)) {
                return Ok(Some(id));
            }
            next = compaction.parent.filter(|parent| *parent < id);
        }
        Ok(None)
    }

    /// A head from what else there is: entries say which of them they follow.
    async fn recovered_head(&self) -> Boxed<Head> {
        let mut head = blank_head(&self.options, &*self.host);
        let mut tip: Option<u64> = None;
        let mut branches = Branches::default();
        let mut from = 0;
        let mut gap = 0;
        // Entries have no gaps, but some may be lost; far beyond the last one there are none.
        while gap < 16 {
            let ranges = [Range { kind: RecordKind::Entry, from, to: from + CHUNK }];
            let records = self.read(&ranges).await?.records;
            gap = if records.is_empty() { gap + 1 } else { 0 };
            for record in records {
                let entry = decode::<StoredEntry>(&record).ok();
                if let Some(entry) = &entry {
                    head.created = if record.number == 0 { entry.time } else { head.created };
                    if let Some(whole) = entry.whole {
                        head.overflow_bytes += whole;
                    }
                    if let Some(after) = entry.after {
                        tip = u64::try_from(after).ok();
                    }
                }
                branches.append(tip, record.number);
                tip = Some(record.number);
            }
            from += CHUNK;
        }
        head.entries = tip.map_or(0, |tip| tip + 1);
        head.tip = tip;
        head.branches = branches;
        let path = head.branches.path(tip);
        let all = [Range::all(RecordKind::Compaction)];
        let compactions = self.read(&all).await?.records;
        head.compactions = compactions.last().map_or(0, |record| record.number + 1);
        head.active = self.newest_compaction(head.compactions, &path).await?.map(|(id, _)| id);
        head.v = VERSION;
        self.warn(
            StoreErrorClass::Corrupted.code(),
            "the record `head` of the conversation is not what was written; it was made anew from the entries"
                .to_owned(),
        );
        Ok(head)
    }

    /// The same, if there is a reason to ask.
    pub(super) async fn catch_up_if_unsure(&self) -> Boxed<()> {
        let is_unsure = {
            let inner = self.inner.borrow();
            inner.doubt || inner.torn
        };
        if is_unsure || self.stale.get() {
            self.catch_up().await?;
        }
        Ok(())
    }

    /// Looks whether others have written, and takes it in. Returns whether they have.
    pub(super) async fn catch_up(&self) -> Boxed<bool> {
        if self.inner.borrow().torn {
            self.load().await?;
            return Ok(true);
        }
        let stored = self.read_head_and_memory().await?;
        let (known, head) = {
            let inner = self.inner.borrow();
            (inner.at.revision, inner.at.head.clone())
        };
        // The same number of batches, but of another conversation: it was deleted, and begun anew. A head that cannot be
        // read tells nothing; the one in memory is better.
        if stored.revision == known
            && stored.head().and_then(std::result::Result::ok).is_none_or(|now| now.stamp == head.stamp)
        {
            self.inner.borrow_mut().doubt = false;
            self.stale.set(false);
            return Ok(false);
        }
        let fresh = self.standing_at(stored).await?;
        self.take_in(fresh, &head).await?;
        let revision = self.revision();
        self.host.event(&SessionEvent::Changed { revision, local: false });
        Ok(true)
    }

    /// Takes in what others have written: entries that follow are added, anything else is read anew.
    async fn take_in(&self, mut fresh: At, head: &Head) -> Boxed<()> {
        let path = fresh.head.branches.path(fresh.head.tip);
        // Another beginning: it was deleted, and begun anew.
        let known = self.revision();
        let is_same = known == 0 || (fresh.revision > known && fresh.head.created.total_cmp(&head.created).is_eq());
        let follows = is_same && head.tip.is_none_or(|tip| path.contains(tip));
        if !follows || fresh.head.active != head.active || fresh.head.rewrites != head.rewrites {
            let read = self.read_window(&mut fresh).await?;
            let mut inner = self.inner.borrow_mut();
            inner.window = read.window;
            inner.chain = read.chain;
            inner.interim = None;
            inner.base += 1;
            self.adopt(&mut inner, fresh);
            return Ok(());
        }
        let ids: Vec<EntryId> = path.after(head.tip).iter().collect();
        let new = self.read_new(&ids).await?;
        let mut inner = self.inner.borrow_mut();
        let probe = inner.window.conversation.probe();
        let (mut messages, mut items, mut sizes) = (Messages::default(), Vec::new(), Vec::new());
        for (id, entry) in new {
            inner.chain = identity::of_hex(&entry.chain).unwrap_or_default();
            messages.push_json(entry.message.get())?;
            items.push(Item::new(id, entry.whole.is_some()));
            sizes.push(if entry.probe == probe { entry.tokens } else { UNKNOWN });
        }
        Session::put(&mut inner, &items, &messages, &sizes)?;
        if inner.unwritten {
            // What is remembered here has not been written yet, and goes with the next batch.
            let Memory { pins, ratio, .. } = fresh.memory;
            let reported = inner.reported;
            let ratio = reported.unwrap_or(ratio);
            fresh.memory = Memory { pins, ratio, ..inner.at.memory.clone() };
            let pins = super::window::pinned_places(&inner.window.items, &fresh.memory.pins);
            inner.window.conversation.set_pins(pins);
            self.adopt(&mut inner, fresh);
            (inner.unwritten, inner.reported) = (true, reported);
        } else {
            let state = super::window::remembered(&inner.window.items, &fresh.memory.state, &fresh.memory.pins);
            inner.window.conversation.set_state(state);
            self.adopt(&mut inner, fresh);
        }
        Ok(())
    }

    /// Entries that others have written, as far as they can be read.
    async fn read_new(&self, ids: &[EntryId]) -> Boxed<Vec<(EntryId, StoredEntry)>> {
        let records = self.read_entries(ids).await?;
        let mut new = Vec::with_capacity(ids.len());
        for id in ids {
            let entry = find(&records, *id).map_or_else(|| Err(missing(RecordKind::Entry, *id)), decode::<StoredEntry>);
            match entry.and_then(|entry| self.check_readable(*id, entry.message.get()).map(|()| entry)) {
                Ok(entry) => new.push((*id, entry)),
                Err(error) if error.class == StoreErrorClass::Newer => return Err(error.into()),
                Err(error) => self.warn(error.class.code(), format!("{error}; the view is made without it")),
            }
        }
        Ok(new)
    }

    fn adopt(&self, inner: &mut super::Inner<'c>, fresh: At) {
        inner.at = fresh;
        (inner.doubt, inner.torn, inner.unwritten) = (false, false, false);
        inner.reported = None;
        Session::tighten(inner);
        self.stale.set(false);
    }
}

/// What a view consists of: what the compaction in force says, then every entry since.
fn plan_pieces(path: &Path, compaction: Option<&StoredCompaction>) -> Vec<Item> {
    let mut pieces = Vec::new();
    for item in compaction.iter().flat_map(|compaction| &compaction.items) {
        match item {
            StoredItem::Kept(from, to) => pieces.extend((*from..*to).map(|id| Item::new(id, false))),
            StoredItem::Edited { e, c } => pieces.push(Item::Entry { id: *e, changes: c.clone(), short: false }),
            StoredItem::Ours { .. } => pieces.push(Item::Ours),
        }
    }
    let rest = match compaction {
        Some(compaction) => path.after(compaction.through),
        None => path.clone(),
    };
    pieces.extend(rest.iter().map(|id| Item::new(id, false)));
    pieces
}

impl Loaded {
    /// The head among these records.
    fn head(&self) -> Option<std::result::Result<Head, StoreError>> {
        self.records.iter().find(|record| record.kind == RecordKind::Head).map(decode::<Head>)
    }
}

pub(super) fn find(records: &[Record], number: u64) -> Option<&Record> {
    let at = records.binary_search_by_key(&number, |record| record.number).ok()?;
    records.get(at)
}

/// `None` for what is not what was written; any other failure stays one.
pub(super) fn readable<T>(read: Boxed<T>) -> Boxed<Option<T>> {
    match read {
        Ok(read) => Ok(Some(read)),
        Err(error) => of_corrupted(error).map(|_| None),
    }
}

fn of_corrupted(error: Box<Error>) -> Boxed<StoreError> {
    match *error {
        Error::Store(error) if error.class == StoreErrorClass::Corrupted => Ok(error),
        _ => Err(error),
    }
}
