//! What only the module `epitome/session` has: calls that wait for somebody.

mod asking;
mod compact;
#[cfg(feature = "store-contract")]
mod contract;
mod events;
pub(crate) mod host;
mod models;
mod sessions;
pub(crate) mod stores;
mod tasks;
