//! The steps from one form of the database to the next, a file each. They run in order, all that are newer than the
//! database, within the one transaction that the browser gives to an upgrade: it comes to all of them or to none.
//!
//! A step is never changed once it has been released. A new minor version only adds what older code can do without.

mod v1_0;

use idb::{Database, Error};

/// A step that makes a database of its version.
type Step = fn(&Database) -> Result<(), Error>;

const STEPS: [(u32, Step); 1] = [(1_000, v1_0::run)];

/// Brings a database from this version to that of the code.
pub(super) fn run(database: &Database, from: u32) -> Result<(), Error> {
    STEPS.iter().filter(|(version, _)| *version > from).try_for_each(|(_, step)| step(database))
}
