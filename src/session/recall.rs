//! What a model asks for because it no longer sees it: a message by its number, or a search over what is not shown.

use std::borrow::Cow;

use super::Session;
use super::codec::StoredEntry;
use super::disk::{CHUNK, find};
use super::history::HistoryEntry;
use super::types::EntryId;
use crate::error::{Boxed, Result};
use crate::message::{Message, Role};
use crate::recall::search::Search;
use crate::recall::text::readable;
use crate::recall::tool::{self, Arguments, Found};

/// What to tell a model about the tool `recall`.
pub const RECALL_DESCRIPTION: &str = tool::DESCRIPTION;

/// JSON Schema of the tool's parameters.
pub const RECALL_PARAMETERS: &str = tool::PARAMETERS;

/// Most of a message that is shown of a match, characters.
const EXCERPT: usize = 600;

/// Matches that a model is shown.
const SHOWN: usize = 5;

/// What was found of what a view no longer shows.
#[derive(Debug, Clone, PartialEq)]
pub struct Recalled {
    /// The message.
    pub entry: HistoryEntry,
    /// How well it fits, BM25. Comparable within one search.
    pub score: f64,
    /// The passage that fits best, at most 600 characters.
    pub excerpt: String,
}

impl Session<'_> {
    /// Searches everything on this branch that the view shows edited or not at all, the best match first. Reads all of it,
    /// a few hundred messages at a time.
    ///
    /// # Errors
    /// [`Error::Store`](crate::Error::Store), [`Error::Closed`](crate::Error::Closed).
    pub async fn search(&self, query: &str, limit: usize) -> Result<Vec<Recalled>> {
        Ok(self.do_search(query, limit).await?)
    }

    /// The same with errors that are cheap to pass on.
    pub(crate) async fn do_search(&self, query: &str, limit: usize) -> Boxed<Vec<Recalled>> {
        let pass = self.pass().await?;
        self.catch_up_if_unsure().await?;
        drop(pass);
        let path = self.whole_path();
        let shown = self.inner.borrow().shown();
        let ids: Vec<EntryId> = path.iter().filter(|id| shown.binary_search(&(*id, true)).is_err()).collect();
        let mut search = Search::new(query);
        for chunk in ids.chunks(usize::try_from(CHUNK).unwrap_or(256)) {
            self.open_still()?;
            let records = self.read_entries(chunk).await?;
            for id in chunk {
                let Some(entry) = find(&records, *id).and_then(|record| self.readable::<StoredEntry>(record)) else {
                    continue;
                };
                let whole = if entry.whole.is_some() { self.read_overflow(*id).await? } else { None };
                let text = whole.as_deref().unwrap_or(entry.message.get());
                if let Some(message) = self.understood(text) {
                    search.add(*id, &readable(&message));
                }
            }
        }
        let mut found = Vec::new();
        for hit in search.best(limit) {
            let Some(entry) = self.read_history(&[hit.id]).await?.pop() else { continue };
            let message = self.understood(&entry.text);
            let excerpt = message.map(|message| search.excerpt(&readable(&message), EXCERPT)).unwrap_or_default();
            found.push(Recalled { entry, score: hit.score, excerpt });
        }
        Ok(found)
    }

    /// Answers a call of the tool `recall`. `arguments` are those of the call, as JSON; the answer has at most `room`
    /// characters and is meant for the model, also where its arguments make no sense. Only what is on this branch is found.
    ///
    /// # Errors
    /// [`Error::Store`](crate::Error::Store), [`Error::Closed`](crate::Error::Closed).
    pub async fn answer_recall(&self, arguments: &str, room: usize) -> Result<String> {
        Ok(self.do_answer_recall(arguments, room).await?)
    }

    /// The same with errors that are cheap to pass on.
    pub(crate) async fn do_answer_recall(&self, arguments: &str, room: usize) -> Boxed<String> {
        // An answer that is shown shortened in its turn would be no answer.
        let room = self.options.overflow.map_or(room, |overflow| room.min(overflow.threshold));
        match Arguments::parse(arguments) {
            Err(advice) => Ok(advice),
            Ok(Arguments::Entry { id, from }) => {
                let pass = self.pass().await?;
                self.catch_up_if_unsure().await?;
                drop(pass);
                let is_here = self.whole_path().contains(id);
                let entry = if is_here { self.read_history(&[id]).await?.pop() } else { None };
                let Some(entry) = entry else { return Ok(tool::render_missing(id)) };
                let message = self.understood(&entry.text);
                let (role, text) = message
                    .as_ref()
                    .map_or((Role::User, Cow::Borrowed("")), |message| (message.role, readable(message)));
                Ok(tool::render_entry(id, role, &text, from, room))
            }
            Ok(Arguments::Search { query }) => {
                let hits = self.do_search(&query, SHOWN).await?;
                let found: Vec<Found<'_>> = hits
                    .iter()
                    .map(|hit| Found {
                        id: hit.entry.id,
                        role: self.understood(&hit.entry.text).map_or(Role::User, |message| message.role),
                        excerpt: Cow::Borrowed(&hit.excerpt),
                    })
                    .collect();
                Ok(tool::render_hits(&query, &found))
            }
        }
    }

    fn understood<'t>(&self, text: &'t str) -> Option<Message<'t>> {
        self.format().rules().parse(0, crate::json::parse(text, None).ok()?).ok()
    }
}
