//! Lines of a log, as bytes: see `docs/stores.md`, "Lines".

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::store::{About, Batch};

/// What an append begins with: it spoils whatever a write before left unfinished.
pub(super) const SEPARATOR: &[u8] = b"-\n";
/// How many digits of a sum are written.
pub(super) const SUM: usize = 16;

const FORMAT: &str = "epitome-conversation";
const MAJOR: u64 = 1;
/// What is written here; see [`Named::minor`].
pub(super) const MINOR: u64 = 0;

/// The part of a line that says what it is.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub(super) enum Head {
    File(Named),
    Batch(Written),
    Seal,
    /// Of a newer version.
    #[serde(other)]
    Unknown,
}

/// Whose file this is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Named {
    pub format: String,
    pub major: u64,
    pub minor: u64,
    pub conversation: String,
    pub token: String,
}

impl Named {
    pub fn new(conversation: &str, token: String) -> Self {
        let (format, conversation) = (FORMAT.to_owned(), conversation.to_owned());
        Self { format, major: MAJOR, minor: MINOR, conversation, token }
    }

    pub fn is_newer(&self) -> bool {
        self.format == FORMAT && self.major > MAJOR
    }

    pub fn is_of(&self, conversation: &str) -> bool {
        self.format == FORMAT && self.conversation == conversation
    }
}

/// A commit. Kinds are text, since a newer version may know more of them.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Written {
    pub expected: u64,
    pub revision: u64,
    pub stamp: String,
    pub at: u64,
    pub about: About,
    pub deletes: Vec<(String, u64, u64)>,
    pub puts: Vec<(String, u64, u64)>,
}

impl Written {
    /// A batch as a line says it, and its texts.
    pub fn new(batch: &Batch, stamp: String) -> Result<(Self, Vec<u8>), serde_json::Error> {
        let mut texts = Vec::new();
        let mut puts = Vec::with_capacity(batch.puts.len());
        for record in &batch.puts {
            let before = texts.len();
            serde_json::to_writer(&mut texts, &record.text)?;
            puts.push((record.kind.name().to_owned(), record.number, (texts.len() - before) as u64));
        }
        let delete = |range: &crate::store::Range| (range.kind.name().to_owned(), range.from, range.to);
        let written = Self {
            expected: batch.expected,
            revision: batch.expected + 1,
            stamp,
            at: 0,
            about: sayable(batch.about),
            deletes: batch.deletes.iter().map(delete).collect(),
            puts,
        };
        Ok((written, texts))
    }
}

/// JSON has no word for what is not a number.
fn sayable(about: About) -> About {
    let sayable = |ms: f64| if ms.is_finite() { ms } else { 0.0 };
    About { created_ms: sayable(about.created_ms), updated_ms: sayable(about.updated_ms), ..about }
}

/// A line with its line feed.
pub(super) fn encode(head: &Head, texts: &[u8]) -> Result<Vec<u8>, serde_json::Error> {
    let head = serde_json::to_vec(head)?;
    let mut summed = format!("{} ", head.len()).into_bytes();
    summed.extend_from_slice(&head);
    summed.extend_from_slice(texts);
    let mut line = sum(&summed).into_bytes();
    line.push(b' ');
    line.append(&mut summed);
    line.push(b'\n');
    Ok(line)
}

/// What a line comes to.
pub(super) enum Line {
    /// It counts; its texts begin at this offset within it.
    Good(Head, usize),
    /// It says that it counts, but nobody can tell what it says.
    Strange,
    /// What is left of something.
    Skipped,
}

/// Reads a line, its line feed included.
pub(super) fn decode(line: &[u8]) -> Line {
    let Some((digits, summed)) = split_at_space(line.strip_suffix(b"\n").unwrap_or_default()) else {
        return Line::Skipped;
    };
    if digits.len() != SUM || sum(summed).as_bytes() != digits {
        return Line::Skipped;
    }
    read_head(summed).map_or(Line::Strange, |(head, start)| Line::Good(head, SUM + 1 + start))
}

/// The head, and where it ends.
fn read_head(summed: &[u8]) -> Option<(Head, usize)> {
    let (length, rest) = split_at_space(summed)?;
    let length: usize = str::from_utf8(length).ok()?.parse().ok()?;
    let head: Head = serde_json::from_slice(rest.get(..length)?).ok()?;
    let start = summed.len() - rest.len() + length;
    let texts = (summed.len() - start) as u64;
    match &head {
        Head::Batch(written)
            if written.puts.iter().try_fold(0, |sum: u64, put| sum.checked_add(put.2)) != Some(texts) =>
        {
            None
        }
        _ => Some((head, start)),
    }
}

fn split_at_space(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = bytes.iter().position(|byte| *byte == b' ')?;
    Some((bytes.get(..at)?, bytes.get(at + 1..)?))
}

pub(super) fn sum(bytes: &[u8]) -> String {
    hexadecimal(Sha256::digest(bytes).get(..SUM / 2).unwrap_or_default())
}

/// What the files of a conversation are called.
pub(super) fn key(conversation: &str) -> String {
    hexadecimal(&Sha256::digest(conversation.as_bytes()))
}

fn hexadecimal(bytes: &[u8]) -> String {
    use std::fmt::Write as _;

    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
