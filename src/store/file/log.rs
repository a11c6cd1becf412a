//! What a log says, and where in it: kept in memory, so that only what was added has to be read again.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};

use super::line::{Head, Line, MINOR, Named, Written, decode};
use super::{corrupted, failed};
use crate::store::{About, Loaded, Range, Record, RecordKind, StoreError, StoreErrorClass};

/// What a record costs beside its text, roughly, bytes.
const RECORD: u64 = 32;

type Key = (RecordKind, u64);

/// A piece of the file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub at: u64,
    pub length: u64,
}

#[derive(Debug, Default)]
pub(super) struct Index {
    /// The line that says whose file this is, and where it is.
    named: Option<(Named, u64, Vec<u8>)>,
    /// Behind the last line that counts.
    end: u64,
    /// How far the file was read; from `end` on there was nothing but remains.
    pub seen: u64,
    pub revision: u64,
    pub about: About,
    pub sealed: bool,
    pub records: BTreeMap<Key, Place>,
    /// How much of the file its records need.
    pub live: u64,
    /// Below this size it is not copied, bytes.
    pub copy_above: u64,
    /// Why it cannot be used.
    damage: Option<StoreError>,
}

impl Index {
    /// Whether this is (still) an index of that file.
    pub fn is_of(&self, file: &mut File) -> io::Result<bool> {
        let Some((_, at, line)) = &self.named else { return Ok(false) };
        if file.metadata()?.len() < self.end {
            return Ok(false);
        }
        Ok(read_at(file, Place { at: *at, length: line.len() as u64 })? == *line)
    }

    pub fn named(&self) -> Option<&Named> {
        self.named.as_ref().map(|(named, ..)| named)
    }

    pub fn is_newer_minor(&self) -> bool {
        self.named().is_some_and(|named| named.minor > MINOR)
    }

    /// Reads what was added; `counts` hears of every batch that counts, and of its line.
    pub fn read_on(&mut self, file: &mut File, mut counts: impl FnMut(&Written, Place)) -> io::Result<()> {
        const MOST: u64 = 1 << 18;
        let rest = file.metadata()?.len().saturating_sub(self.end);
        file.seek(SeekFrom::Start(self.end))?;
        let capacity = usize::try_from(rest.clamp(1 << 10, MOST)).unwrap_or(1 << 10);
        let mut reader = BufReader::with_capacity(capacity, file);
        let (mut at, mut line) = (self.end, Vec::new());
        while !self.sealed {
            line.clear();
            let length = reader.read_until(b'\n', &mut line)? as u64;
            if length == 0 {
                break;
            }
            match decode(&line) {
                Line::Good(head, texts) => self.add(head, &line, at, texts as u64, &mut counts),
                Line::Strange => self.damage("a line says nothing that can be read"),
                Line::Skipped => {}
            }
            at += length;
        }
        self.seen = at;
        Ok(())
    }

    /// Takes note of a line that counts, at this offset of the file and with its texts at that one of the line.
    fn add(&mut self, head: Head, line: &[u8], at: u64, texts: u64, counts: &mut impl FnMut(&Written, Place)) {
        let place = Place { at, length: line.len() as u64 };
        self.end = at + place.length;
        match head {
            Head::File(named) if self.named.is_none() => self.named = Some((named, at, line.to_vec())),
            Head::Batch(_) if self.named.is_none() => self.damage("its name is missing"),
            Head::Batch(written) if written.expected > self.revision => {
                self.damage("a batch after it is missing");
            }
            Head::Batch(written) if written.expected == self.revision => {
                self.write(&written, at + texts);
                counts(&written, place);
            }
            Head::Seal => self.sealed = true,
            Head::File(_) | Head::Batch(_) | Head::Unknown => {}
        }
    }

    /// Takes note of a batch that counts, whose texts begin at this offset of the file.
    fn write(&mut self, written: &Written, texts: u64) {
        for (kind, from, to) in &written.deletes {
            if let Some(kind) = RecordKind::of_name(kind) {
                self.remove(Range { kind, from: *from, to: *to });
            }
        }
        let mut at = texts;
        for (kind, number, length) in &written.puts {
            if let Some(kind) = RecordKind::of_name(kind) {
                self.put((kind, *number), Place { at, length: *length });
            }
            at += length;
        }
        self.revision = written.revision;
        self.about = written.about;
    }

    fn remove(&mut self, range: Range) {
        let keys: Vec<Key> = self.range(range).map(|(key, _)| key).collect();
        for key in keys {
            if let Some(place) = self.records.remove(&key) {
                self.live -= place.length + RECORD;
            }
        }
    }

    fn put(&mut self, key: Key, place: Place) {
        self.live += place.length + RECORD;
        if let Some(old) = self.records.insert(key, place) {
            self.live -= old.length + RECORD;
        }
    }

    fn range(&self, range: Range) -> impl Iterator<Item = (Key, Place)> {
        let to = range.to.max(range.from);
        self.records.range((range.kind, range.from)..(range.kind, to)).map(|(key, place)| (*key, *place))
    }

    fn damage(&mut self, why: &str) {
        let revision = self.revision;
        self.damage.get_or_insert_with(|| {
            corrupted(format!(
                "the log of the conversation is damaged: it can be read up to revision {revision}; {why}"
            ))
        });
    }

    /// Whether it can be used, for this conversation.
    pub fn check(&self, conversation: &str) -> Result<(), StoreError> {
        match (self.named(), &self.damage) {
            (Some(named), _) if named.is_newer() => {
                let why = format!("the conversation is kept in version {} of the files", named.major);
                Err(StoreError::new(StoreErrorClass::Newer, why))
            }
            (Some(named), _) if !named.is_of(conversation) => {
                Err(corrupted("the log of the conversation says that it is that of another one"))
            }
            (_, Some(damage)) => Err(damage.clone()),
            _ => Ok(()),
        }
    }

    pub fn load(&self, file: &mut File, ranges: &[Range]) -> Result<Loaded, StoreError> {
        let mut records = Vec::new();
        for range in ranges {
            for ((kind, number), place) in self.range(*range) {
                let bytes = read_at(file, place).map_err(|error| failed("reading a record", &error))?;
                let text = serde_json::from_slice(&bytes)
                    .map_err(|_| corrupted(format!("{} {number} is not what was written", kind.name())))?;
                records.push(Record { kind, number, text });
            }
        }
        Ok(Loaded { revision: self.revision, records })
    }
}

/// These bytes; fewer if the file ends before.
pub(super) fn read_at(file: &mut File, place: Place) -> io::Result<Vec<u8>> {
    file.seek(SeekFrom::Start(place.at))?;
    let mut bytes = Vec::with_capacity(usize::try_from(place.length).unwrap_or_default());
    file.take(place.length).read_to_end(&mut bytes)?;
    Ok(bytes)
}
