//! The lock of those who copy or delete a log: a file that exists. See `docs/stores.md`, "The lock".

use std::fs;
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Folder, token};

const ABANDONED: Duration = Duration::from_secs(30);

/// Held until it is dropped.
#[derive(Debug)]
pub(super) struct Lock {
    path: PathBuf,
    owner: Owner,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Owner {
    pid: u32,
    place: String,
    token: String,
}

impl Lock {
    /// Takes the lock of this key, unless somebody has it.
    pub fn take(folder: &Folder, key: &str) -> io::Result<Option<Self>> {
        let lock = Self { path: folder.lock(key), owner: Owner::new() };
        if lock.create()? {
            return Ok(Some(lock));
        }
        if is_abandoned(&lock.path)? {
            set_aside(&lock.path, &folder.temporary(key));
            if lock.create()? {
                return Ok(Some(lock));
            }
        }
        Ok(None)
    }

    /// Whether nobody took it away, thinking that it was abandoned.
    pub fn is_held(&self) -> bool {
        owner(&self.path).is_some_and(|owner| owner == self.owner)
    }

    fn create(&self) -> io::Result<bool> {
        match super::options().write(true).create_new(true).open(&self.path) {
            Ok(mut file) => {
                let text = serde_json::to_vec(&self.owner)?;
                file.write_all(&text)?;
                Ok(true)
            }
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
            Err(error) => Err(error),
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        if self.is_held() {
            let _ = fs::remove_file(&self.path);
        }
    }
}

impl Owner {
    fn new() -> Self {
        Self { pid: std::process::id(), place: place(), token: token() }
    }
}

/// Where a process number means the same process: nowhere that is known, outside of Linux.
fn place() -> String {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id");
    let namespace = fs::read_link("/proc/self/ns/pid");
    match (boot, namespace) {
        (Ok(boot), Ok(namespace)) => format!("{} {}", boot.trim_end(), namespace.display()),
        _ => String::new(),
    }
}

fn owner(path: &Path) -> Option<Owner> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

fn is_abandoned(path: &Path) -> io::Result<bool> {
    let is_gone = |owner: Owner| !owner.place.is_empty() && owner.place == place() && !process_exists(owner.pid);
    if owner(path).is_some_and(is_gone) {
        return Ok(true);
    }
    match fs::metadata(path) {
        Ok(metadata) => Ok(metadata.modified()?.elapsed().is_ok_and(|age| age > ABANDONED)),
        // Given back meanwhile.
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(true),
        Err(error) => Err(error),
    }
}

fn process_exists(pid: u32) -> bool {
    Path::new("/proc").join(pid.to_string()).exists()
}

/// Takes an abandoned lock out of the way: renamed first, since of several who try only one can do that.
fn set_aside(path: &Path, aside: &Path) {
    if fs::rename(path, aside).is_ok() {
        let _ = fs::remove_file(aside);
    }
}
