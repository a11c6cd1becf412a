//! A conversation that outlives the program: transcript, compactions and life cycle over a [`Store`].
//!
//! Everything that was appended is kept for ever; a compaction is a record beside it, made, written down, and only then
//! shown. In memory is what the view needs and no more. Several sessions, in one program or in many, may work on one
//! conversation: whoever writes second sees what the first has written, and goes on from there.
//!
//! A session is used by one thread through shared references, and takes concurrent calls: they queue up. A future that
//! is dropped leaves the conversation either as it was or as it should be.

mod branches;
mod codec;
mod disk;
mod export;
mod history;
mod identity;
mod life;
mod queue;
mod recall;
mod retention;
mod sync;
mod types;
mod window;
mod write;

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use crate::conversation::{Conversation, State};
use crate::error::{Boxed, Error, Result};
use crate::format::Format;
use crate::json::Messages;
use crate::store::{Store, StoreError, StoreErrorClass};
use crate::tokens::TokenCounter;

use codec::{Head, Memory, VERSION};
use queue::{Pass, Turnstile};
use window::Window;

#[cfg(target_family = "wasm")]
pub(crate) use export::do_import;
pub use export::import;
pub use history::{HistoryEntry, Visibility};
pub use life::{Prepared, Usage};
pub use recall::{RECALL_DESCRIPTION, RECALL_PARAMETERS, Recalled};
pub use sync::Synced;
pub use types::{
    CompactionInfo, Election, EntryId, Meter, Overflow, Retention, SessionEvent, SessionHost, SessionOptions, ViewItem,
};

/// A conversation over a store.
#[allow(missing_debug_implementations)]
pub struct Session<'c> {
    options: SessionOptions,
    store: Rc<dyn Store + 'c>,
    counter: Rc<dyn TokenCounter + 'c>,
    host: Rc<dyn SessionHost + 'c>,
    /// Whoever reads or writes the conversation, one at a time.
    queue: Turnstile,
    /// Whoever compacts it, one at a time.
    jobs: Turnstile,
    inner: RefCell<Inner<'c>>,
    closed: Cell<bool>,
    /// Somebody else may have written.
    stale: Cell<bool>,
}

/// How things stand in the store, as far as is known.
#[derive(Debug, Clone)]
struct At {
    revision: u64,
    head: Head,
    memory: Memory,
}

struct Inner<'c> {
    at: At,
    /// XXH64 of the messages up to the tip.
    chain: u64,
    window: Window<'c>,
    /// The view that is sent while a summary is being written: compacted without a model, and not written down.
    interim: Option<Conversation<'c>>,
    /// Counts up whenever the view was made of something else.
    base: u64,
    /// A write is under way, or was given up halfway.
    doubt: bool,
    /// What was written calls for another window, which has not been read yet.
    torn: bool,
    /// What is remembered has changed since it was written.
    unwritten: bool,
    /// The size of what was sent last, tokens.
    sent: Option<u64>,
    /// What the provider counts for a token of ours, where that has not been written yet.
    reported: Option<f64>,
}

impl<'c> Session<'c> {
    /// Opens a conversation, or begins it. Nothing is written before the first message.
    ///
    /// What cannot be read is left out and reported as a warning ([`SessionEvent::Warning`]), as far as the rest is of
    /// use without it.
    ///
    /// # Errors
    /// [`Error::InvalidOption`], and [`Error::Store`]: among others
    /// [`StoreErrorClass::Newer`] for what a newer version has written.
    pub async fn open(
        options: SessionOptions,
        store: Rc<dyn Store + 'c>,
        counter: Rc<dyn TokenCounter + 'c>,
        host: Rc<dyn SessionHost + 'c>,
    ) -> Result<Self> {
        Ok(Self::do_open(options, store, counter, host).await?)
    }

    /// The same with errors that are cheap to pass on.
    pub(crate) async fn do_open(
        options: SessionOptions,
        store: Rc<dyn Store + 'c>,
        counter: Rc<dyn TokenCounter + 'c>,
        host: Rc<dyn SessionHost + 'c>,
    ) -> Boxed<Self> {
        options.check()?;
        let blank = At { revision: 0, head: blank_head(&options, &*host), memory: Memory::default() };
        let conversation = Conversation::begun(
            options.conversation.clone(),
            Rc::clone(&counter),
            Messages::default(),
            State::default(),
            &[],
        )?;
        let window = Window { conversation, items: Vec::new() };
        let inner = Inner {
            at: blank,
            chain: 0,
            window,
            interim: None,
            base: 0,
            doubt: false,
            torn: false,
            unwritten: false,
            sent: None,
            reported: None,
        };
        let session = Self {
            options,
            store,
            counter,
            host,
            queue: Turnstile::default(),
            jobs: Turnstile::default(),
            inner: RefCell::new(inner),
            closed: Cell::new(false),
            stale: Cell::new(false),
        };
        session.load().await?;
        session.sweep().await;
        Ok(session)
    }

    /// Name of the conversation.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.options.id
    }

    /// Revision of the conversation as it was last seen; 0 before anything was written.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.inner.borrow().at.revision
    }

    /// The same as long as no entry says something else under its number: a last message that grew, or another
    /// conversation of this name.
    #[must_use]
    pub fn edition(&self) -> u64 {
        let head = &self.inner.borrow().at.head;
        head.created.to_bits() ^ head.rewrites.rotate_left(48)
    }

    /// Somebody else may have written to the conversation: the next call looks.
    pub fn mark_stale(&self) {
        self.stale.set(true);
    }

    /// Looks whether somebody else has written to the conversation, and takes it in. Returns whether so.
    ///
    /// # Errors
    /// [`Error::Store`], [`Error::Closed`].
    pub async fn refresh(&self) -> Result<bool> {
        Ok(self.do_refresh().await?)
    }

    /// The same with errors that are cheap to pass on.
    pub(crate) async fn do_refresh(&self) -> Boxed<bool> {
        let _pass = self.pass().await?;
        self.catch_up().await
    }

    /// Deletes the conversation with everything that was kept of it, and closes the session.
    ///
    /// # Errors
    /// [`Error::Store`], [`Error::Closed`].
    pub async fn delete(&self) -> Result<()> {
        Ok(self.do_delete().await?)
    }

    /// The same with errors that are cheap to pass on.
    pub(crate) async fn do_delete(&self) -> Boxed<()> {
        let _pass = self.pass().await?;
        self.store.delete(&self.options.id).await?;
        self.close();
        Ok(())
    }

    /// Ends the session: calls that wait fail with [`Error::Closed`], and nothing is written any more, except what is
    /// being written just now. The store stays open, since others may use it.
    pub fn close(&self) {
        self.closed.set(true);
    }

    /// Whether it was closed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.closed.get()
    }

    /// Its turn to read or write.
    async fn pass(&self) -> Boxed<Pass<'_>> {
        self.open_still()?;
        let pass = self.queue.enter().await;
        self.open_still()?;
        Ok(pass)
    }

    fn open_still(&self) -> Boxed<()> {
        if self.closed.get() { Err(Error::Closed.into()) } else { Ok(()) }
    }

    fn format(&self) -> Format {
        self.options.conversation.format.unwrap_or(Format::OpenAiChat)
    }

    fn warn(&self, code: &str, message: String) {
        let warning = crate::transcript::Warning { code: code.to_owned(), message, index: None };
        self.host.event(&SessionEvent::Warning(warning));
    }
}

fn blank_head(options: &SessionOptions, host: &dyn SessionHost) -> Head {
    Head {
        v: VERSION,
        format: options.conversation.format.unwrap_or(Format::OpenAiChat),
        created: now(host),
        entries: 0,
        compactions: 0,
        tip: None,
        active: None,
        branches: branches::Branches::default(),
        rewrites: 0,
        overflow_bytes: 0,
        overflow_from: 0,
        overflow_since: 0.0,
        stamp: String::new(),
    }
}

/// The time; 0 for what is no time, since JSON has no word for that.
fn now(host: &dyn SessionHost) -> f64 {
    let now = host.now_ms();
    if now.is_finite() { now } else { 0.0 }
}

impl From<StoreError> for Box<Error> {
    fn from(error: StoreError) -> Self {
        Self::new(Error::Store(error))
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// The conversation was there, and is gone.
fn evicted() -> StoreError {
    StoreError::new(
        StoreErrorClass::Evicted,
        "the conversation is no longer in the store: the browser made room, or it was deleted elsewhere",
    )
}
