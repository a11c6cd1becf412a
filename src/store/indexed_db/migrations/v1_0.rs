//! 1.0: conversations and their records, both under keys of their own.

use idb::{Database, Error, ObjectStoreParams};

pub(super) fn run(database: &Database) -> Result<(), Error> {
    for name in ["conversations", "records"] {
        database.create_object_store(name, ObjectStoreParams::new())?;
    }
    Ok(())
}
