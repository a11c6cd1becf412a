//! Listing conversations, from the two ends of their logs.

use std::fs::{self, File};
use std::io;

use super::line::{self, Head, Line, Named, decode};
use super::log::{Index, Place, read_at};
use super::{Folder, failed, options};
use crate::store::{Listed, Page, StoreError, StoreErrorClass};

/// How much is read of either end, bytes. Enough for any name that a session takes, and for most batches.
const END: u64 = 16 << 10;

/// A page of what is in a folder.
pub(super) fn list(folder: &Folder, page: &Page) -> Result<Vec<Listed>, StoreError> {
    let unread = |error| failed("listing the folder", &error);
    let after = page.after.as_deref().map(line::key);
    let mut listed = Vec::new();
    for key in keys(folder).map_err(unread)? {
        if listed.len() == page.limit {
            break;
        }
        if after.as_ref().is_some_and(|after| key <= *after) {
            continue;
        }
        // Deleted meanwhile, if there is none.
        if let Some(mut file) = folder.opened(options().read(true), &key)?
            && let Some(found) = describe(&mut file, &key)?
        {
            listed.push(found);
        }
    }
    Ok(listed)
}

/// The keys of all logs, in order.
fn keys(folder: &Folder) -> io::Result<Vec<String>> {
    let mut keys = Vec::new();
    for entry in fs::read_dir(&folder.path)? {
        let name = entry?.file_name();
        keys.extend(name.to_str().and_then(|name| name.strip_suffix(".log")).map(str::to_owned));
    }
    keys.sort_unstable();
    Ok(keys)
}

/// What there is to tell of a log; nothing if no conversation is in it, or none whose name can be read.
fn describe(file: &mut File, key: &str) -> Result<Option<Listed>, StoreError> {
    let unread = |error| failed("reading the log", &error);
    if let Some(listed) = from_ends(file).map_err(unread)? {
        return Ok(Some(listed).filter(|listed| line::key(&listed.conversation) == key));
    }
    let mut index = Index::default();
    index.read_on(file, |_, _| {}).map_err(unread)?;
    let Some(named) = index.named() else { return Ok(None) };
    if let Err(error) = index.check(&named.conversation)
        && error.class == StoreErrorClass::Newer
    {
        return Err(error);
    }
    let listed = Listed { conversation: named.conversation.clone(), revision: index.revision, about: index.about };
    Ok(Some(listed).filter(|listed| listed.revision > 0 && line::key(&listed.conversation) == key))
}

/// The same, if the last line of the log is enough to know it.
fn from_ends(file: &mut File) -> io::Result<Option<Listed>> {
    let length = file.metadata()?.len();
    let start = read_at(file, Place { at: 0, length: END.min(length) })?;
    let Some(named) = first_name(&start).filter(|named| !named.is_newer()) else { return Ok(None) };
    let mut size = END.min(length);
    while size > 0 {
        let from = length - size;
        let tail = read_at(file, Place { at: from, length: size })?;
        if let Some(at) = last_line(&tail, from == 0) {
            let is_alone = |written: &super::Written| written.at == from + at as u64;
            return Ok(match decode(tail.get(at..).unwrap_or_default()) {
                Line::Good(Head::Batch(written), _) if is_alone(&written) => {
                    let (revision, about) = (written.revision, written.about);
                    Some(Listed { conversation: named.conversation, revision, about })
                }
                _ => None,
            });
        }
        size = if size == length { 0 } else { (size * 8).min(length) };
    }
    Ok(None)
}

fn first_name(start: &[u8]) -> Option<Named> {
    start.split_inclusive(|byte| *byte == b'\n').find_map(|line| match decode(line) {
        Line::Good(Head::File(named), _) => Some(named),
        _ => None,
    })
}

/// Where the last line begins, if its beginning is here.
fn last_line(tail: &[u8], is_all: bool) -> Option<usize> {
    let before = tail.strip_suffix(b"\n").unwrap_or(tail);
    let found = before.iter().rposition(|byte| *byte == b'\n').map(|at| at + 1);
    found.or(is_all.then_some(0))
}
