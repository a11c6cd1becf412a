//! Conversations in files: one log each, that is only ever appended to. `docs/stores.md` says what is in it, and why that
//! holds against crashes and against other processes; the store for Node writes the same.

mod copy;
mod line;
mod list;
mod lock;
mod log;

use std::cell::{Cell, RefCell};
use std::fs::{self, File, OpenOptions};
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use line::{Head, Named, SEPARATOR, Written, encode};
use lock::Lock;
use log::Index;

use super::{Batch, Listed, Loaded, Page, Range, Store, StoreError, StoreErrorClass, Stored};

/// How often something is tried again that somebody else keeps from being done, and how long in between.
const TRIES: u32 = if cfg!(test) { 20 } else { 500 };
const PAUSE: Duration = Duration::from_millis(10);

/// Of how many conversations the store remembers where their records are.
const REMEMBERED: usize = 16;

/// Keeps conversations in a folder, durably: what is committed is on the disk, as far as the disk tells the truth.
///
/// Several stores, of several processes of one machine, may use the same folder at the same time. Its futures do not
/// wait: they are done when they are polled first, and the thread is blocked so long.
///
/// The first call for a conversation reads all of its log; after that only what was added to it is read.
///
/// ```no_run
/// use epitome::store::FileStore;
///
/// let store = FileStore::open("conversations")?;
/// # let _ = store;
/// # Ok::<(), epitome::store::StoreError>(())
/// ```
#[derive(Debug)]
pub struct FileStore {
    folder: Folder,
    closed: Cell<bool>,
    /// By key, what was used last coming first.
    indexes: RefCell<Vec<(String, Index)>>,
}

impl FileStore {
    /// The store in this folder, which is created if it does not exist.
    ///
    /// # Errors
    /// [`StoreErrorClass::Unavailable`] when there can be no such folder.
    pub fn open(folder: impl Into<PathBuf>) -> Result<Self, StoreError> {
        let folder = Folder { path: folder.into() };
        folder.create().map_err(|error| {
            let why = format!("the folder of the store cannot be opened: {error}");
            StoreError::new(StoreErrorClass::Unavailable, why)
        })?;
        Ok(Self { folder, closed: Cell::new(false), indexes: RefCell::default() })
    }

    fn call<'s, T: 's>(&'s self, action: impl FnOnce() -> Result<T, StoreError> + 's) -> Stored<'s, T> {
        Box::pin(async move { if self.closed.get() { Err(StoreError::closed()) } else { action() } })
    }

    fn load_now(&self, conversation: &str, ranges: &[Range]) -> Result<Loaded, StoreError> {
        let key = line::key(conversation);
        let Some(mut file) = self.folder.opened(options().read(true), &key)? else {
            self.forget(&key);
            return Ok(Loaded::default());
        };
        let index = self.indexed(&mut file, &key, conversation)?;
        let loaded = index.load(&mut file, ranges);
        self.remember(key, index);
        loaded
    }

    fn commit_now(&self, batch: &Batch) -> Result<u64, StoreError> {
        let key = line::key(&batch.conversation);
        for _ in 0..TRIES {
            match self.attempt(&key, batch)? {
                Attempt::Won(is_due) => {
                    if is_due && !matches!(copy::copy(&self.folder, &key), Ok(true)) {
                        self.have_patience(&key);
                    }
                    return Ok(batch.expected + 1);
                }
                Attempt::Torn => {}
                Attempt::Sealed => {
                    if !copy::copy(&self.folder, &key).map_err(|error| failed("copying the log", &error))? {
                        thread::sleep(PAUSE);
                    }
                }
            }
        }
        Err(blocked())
    }

    /// Appends a batch, and looks whether it counts.
    fn attempt(&self, key: &str, batch: &Batch) -> Result<Attempt, StoreError> {
        let is_first = batch.expected == 0;
        let Some(mut file) = self.folder.opened(options().read(true).append(true).create(is_first), key)? else {
            self.forget(key);
            return Err(StoreError::conflict(0));
        };
        let mut index = self.indexed(&mut file, key, &batch.conversation)?;
        if index.sealed {
            return Ok(Attempt::Sealed);
        }
        if index.revision != batch.expected {
            let revision = index.revision;
            self.remember(key.to_owned(), index);
            return Err(StoreError::conflict(revision));
        }
        let block = Block::new(&index, batch).map_err(|error| failed("writing down the batch", &error.into()))?;
        file.write_all(&block.bytes).map_err(|error| failed("appending to the log", &error))?;
        self.make_durable(&file, is_first)?;
        let attempt = settle(&mut file, &mut index, &block)?;
        self.remember(key.to_owned(), index);
        Ok(attempt)
    }

    fn make_durable(&self, file: &File, is_first: bool) -> Result<(), StoreError> {
        let synced = file.sync_data().and_then(|()| if is_first { self.folder.sync() } else { Ok(()) });
        synced.map_err(|error| {
            StoreError::new(StoreErrorClass::Lost, format!("whether the batch is on the disk is not known: {error}"))
        })
    }

    fn delete_now(&self, conversation: &str) -> Result<(), StoreError> {
        let key = line::key(conversation);
        self.forget(&key);
        for _ in 0..TRIES {
            if let Some(lock) = Lock::take(&self.folder, &key).map_err(|error| failed("locking the log", &error))? {
                let removed = self.folder.remove(&key).map_err(|error| failed("deleting the log", &error));
                drop(lock);
                return removed;
            }
            thread::sleep(PAUSE);
        }
        Err(blocked())
    }

    /// What is known of a log, brought up to date.
    fn indexed(&self, file: &mut File, key: &str, conversation: &str) -> Result<Index, StoreError> {
        let unread = |error| failed("reading the log", &error);
        let mut index = match self.forget(key) {
            Some(index) if index.is_of(file).map_err(unread)? => index,
            _ => Index::default(),
        };
        index.read_on(file, |_, _| {}).map_err(unread)?;
        index.check(conversation)?;
        Ok(index)
    }

    fn remember(&self, key: String, index: Index) {
        let mut indexes = self.indexes.borrow_mut();
        indexes.truncate(REMEMBERED - 1);
        indexes.insert(0, (key, index));
    }

    /// Copying can be done another time, too.
    fn have_patience(&self, key: &str) {
        if let Some(mut index) = self.forget(key) {
            index.copy_above = index.seen * 2;
            self.remember(key.to_owned(), index);
        }
    }

    fn forget(&self, key: &str) -> Option<Index> {
        let mut indexes = self.indexes.borrow_mut();
        let at = indexes.iter().position(|(known, _)| known == key)?;
        Some(indexes.remove(at).1)
    }
}

impl Store for FileStore {
    fn load<'s>(&'s self, conversation: &'s str, ranges: &'s [Range]) -> Stored<'s, Loaded> {
        self.call(move || self.load_now(conversation, ranges))
    }

    fn list<'s>(&'s self, page: &'s Page) -> Stored<'s, Vec<Listed>> {
        self.call(move || list::list(&self.folder, page))
    }

    fn commit<'s>(&'s self, batch: &'s Batch) -> Stored<'s, u64> {
        self.call(move || self.commit_now(batch))
    }

    fn delete<'s>(&'s self, conversation: &'s str) -> Stored<'s, ()> {
        self.call(move || self.delete_now(conversation))
    }

    fn close(&self) -> Stored<'_, ()> {
        Box::pin(async move {
            self.closed.set(true);
            self.indexes.borrow_mut().clear();
            Ok(())
        })
    }
}

/// What became of an append.
enum Attempt {
    /// It counts; whether the log should be copied.
    Won(bool),
    /// Another writer wrote into it.
    Torn,
    /// The log is about to be replaced.
    Sealed,
}

/// What is appended at once.
struct Block {
    bytes: Vec<u8>,
    expected: u64,
    stamp: String,
}

impl Block {
    fn new(index: &Index, batch: &Batch) -> serde_json::Result<Self> {
        let (expected, stamp) = (batch.expected, token());
        let mut bytes = SEPARATOR.to_vec();
        if index.named().is_none() {
            bytes.append(&mut encode(&Head::File(Named::new(&batch.conversation, token())), &[])?);
        }
        let (mut written, texts) = Written::new(batch, stamp.clone())?;
        written.at = index.seen + bytes.len() as u64;
        bytes.append(&mut encode(&Head::Batch(written), &texts)?);
        Ok(Self { bytes, expected, stamp })
    }
}

/// Finds out whether what was appended counts.
fn settle(file: &mut File, index: &mut Index, block: &Block) -> Result<Attempt, StoreError> {
    let mut won = false;
    index.read_on(file, |written, _| won |= written.stamp == block.stamp).map_err(|error| {
        StoreError::new(StoreErrorClass::Lost, format!("the batch was written, but could not be found again: {error}"))
    })?;
    if won {
        return Ok(Attempt::Won(copy::is_due(index)));
    }
    if index.revision > block.expected {
        return Err(StoreError::conflict(index.revision));
    }
    Ok(if index.sealed { Attempt::Sealed } else { Attempt::Torn })
}

/// Where the files are.
#[derive(Debug)]
struct Folder {
    path: PathBuf,
}

impl Folder {
    fn create(&self) -> io::Result<()> {
        if !self.path.is_dir() {
            let mut builder = fs::DirBuilder::new();
            #[cfg(unix)]
            std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
            builder.recursive(true).create(&self.path)?;
            if let Some(parent) = self.path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
                sync(parent)?;
            }
        }
        fs::read_dir(&self.path).map(|_| ())
    }

    fn log(&self, key: &str) -> PathBuf {
        self.path.join(format!("{key}.log"))
    }

    fn lock(&self, key: &str) -> PathBuf {
        self.path.join(format!("{key}.lock"))
    }

    fn temporary(&self, key: &str) -> PathBuf {
        self.path.join(format!("{key}.{}.tmp", token()))
    }

    /// The log of this key, if there is one.
    fn opened(&self, options: &OpenOptions, key: &str) -> Result<Option<File>, StoreError> {
        match options.open(self.log(key)) {
            Ok(file) => Ok(Some(file)),
            Err(error) if error.kind() == ErrorKind::NotFound && self.path.is_dir() => Ok(None),
            Err(error) => Err(failed("opening the log", &error)),
        }
    }

    /// Removes everything of this key but its lock.
    fn remove(&self, key: &str) -> io::Result<()> {
        match fs::remove_file(self.log(key)) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        self.remove_temporaries(key)?;
        self.sync()
    }

    fn remove_temporaries(&self, key: &str) -> io::Result<()> {
        for entry in fs::read_dir(&self.path)? {
            let name = entry?.file_name();
            if name.to_str().and_then(|name| name.strip_suffix(".tmp")).is_some_and(|name| name.starts_with(key)) {
                let _ = fs::remove_file(self.path.join(name));
            }
        }
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        sync(&self.path)
    }
}

/// Makes durable which files a folder has. Where folders cannot be opened, the system does that.
fn sync(folder: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}

/// For files that are their owner's alone.
fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// 16 hexadecimal digits that nobody else has.
fn token() -> String {
    format!("{:016x}", RandomState::new().build_hasher().finish())
}

fn failed(what: &str, error: &io::Error) -> StoreError {
    let class = match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => StoreErrorClass::Quota,
        ErrorKind::NotFound
        | ErrorKind::PermissionDenied
        | ErrorKind::ReadOnlyFilesystem
        | ErrorKind::NotADirectory => StoreErrorClass::Unavailable,
        _ => StoreErrorClass::Failed,
    };
    StoreError::new(class, format!("{what} failed: {error}"))
}

fn corrupted(why: impl Into<String>) -> StoreError {
    StoreError::new(StoreErrorClass::Corrupted, why)
}

fn blocked() -> StoreError {
    StoreError::new(StoreErrorClass::Blocked, "another process is doing something to the conversation")
}

#[cfg(test)]
mod tests;
