//! Copying a log when most of it is of no use any more. See `docs/stores.md`, "Copying and deleting".

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write as _};
use std::path::Path;

use super::line::{Head, Named, SEPARATOR, Written, encode};
use super::lock::Lock;
use super::log::{Index, Place, read_at};
use super::{Folder, token};
use crate::store::RecordKind;

/// Logs below this size are left as they are, bytes.
const LEAST: u64 = 256 << 10;
/// The size of a line, bytes.
const LINE: u64 = 1 << 20;

/// Whether more than half of a log is of no use.
pub(super) fn is_due(index: &Index) -> bool {
    index.seen > LEAST.max(index.copy_above) && index.live * 2 < index.seen
}

/// Puts a copy in the place of a log, unless somebody else does something to it; says whether that was so.
pub(super) fn copy(folder: &Folder, key: &str) -> io::Result<bool> {
    let Some(lock) = Lock::take(folder, key)? else { return Ok(false) };
    folder.remove_temporaries(key)?;
    let path = folder.temporary(key);
    let copied = copy_to(&path, folder, key, &lock);
    if copied.is_err() {
        let _ = fs::remove_file(&path);
    }
    copied.map(|()| true)
}

fn copy_to(path: &Path, folder: &Folder, key: &str, lock: &Lock) -> io::Result<()> {
    let mut log = match super::options().read(true).append(true).open(folder.log(key)) {
        Ok(log) => log,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    let mut index = Index::default();
    index.read_on(&mut log, |_, _| {})?;
    let Some(named) = index.named().cloned().filter(|named| index.check(&named.conversation).is_ok()) else {
        return Err(io::Error::other("the log is damaged, or of a newer version"));
    };
    if index.is_newer_minor() {
        return Err(io::Error::other("the log is of a newer version"));
    }
    let mut copy = super::options().write(true).create_new(true).open(path)?;
    write_all(&mut copy, &mut log, &index, named)?;
    if !index.sealed {
        add_rest(&mut copy, &mut log, &mut index)?;
    }
    copy.sync_all()?;
    if !lock.is_held() {
        return Err(io::Error::other("the lock was taken away"));
    }
    fs::rename(path, folder.log(key))?;
    folder.sync()
}

/// Everything that an index knows of.
pub(super) fn write_all(copy: &mut File, log: &mut File, index: &Index, named: Named) -> io::Result<()> {
    let mut end = 0;
    let named = Named { token: token(), ..named };
    append(copy, &mut end, &encode(&Head::File(named), &[])?)?;
    let portions = portions(index);
    let mut expected = 0;
    for (number, portion) in (1..).zip(&portions) {
        let mut texts = Vec::new();
        for (_, place) in portion {
            texts.append(&mut read_at(log, *place)?);
        }
        let revision = index.revision - portions.len() as u64 + number;
        let put =
            |((kind, number), place): &((RecordKind, u64), Place)| (kind.name().to_owned(), *number, place.length);
        let written = Written {
            expected,
            revision,
            stamp: token(),
            at: end,
            about: index.about,
            deletes: Vec::new(),
            puts: portion.iter().map(put).collect(),
        };
        append(copy, &mut end, &encode(&Head::Batch(written), &texts)?)?;
        expected = revision;
    }
    Ok(())
}

fn append(copy: &mut File, end: &mut u64, line: &[u8]) -> io::Result<()> {
    copy.write_all(line)?;
    *end += line.len() as u64;
    Ok(())
}

/// The records in as many lines as there are revisions, at most.
fn portions(index: &Index) -> Vec<Vec<((RecordKind, u64), Place)>> {
    if index.revision == 0 {
        return Vec::new();
    }
    let most = LINE.max(index.live / index.revision + 1);
    let (mut portions, mut portion, mut size) = (Vec::new(), Vec::new(), 0);
    for (key, place) in &index.records {
        if size >= most {
            portions.push(std::mem::take(&mut portion));
            size = 0;
        }
        portion.push((*key, *place));
        size += place.length;
    }
    portions.push(portion);
    portions
}

/// Ends the log, and copies what has come since it was read.
pub(super) fn add_rest(copy: &mut File, log: &mut File, index: &mut Index) -> io::Result<()> {
    log.write_all(&[SEPARATOR, &encode(&Head::Seal, &[])?].concat())?;
    let mut lines = Vec::new();
    index.read_on(log, |_, place| lines.push(place))?;
    if !index.sealed {
        return Err(io::Error::other("the log could not be sealed"));
    }
    for place in lines {
        copy.write_all(&read_at(log, place)?)?;
    }
    Ok(())
}
