//! What only the module `epitome/session` has: calls that wait for somebody.

mod compact;
mod events;
pub(crate) mod host;
mod models;
pub(crate) mod stores;
mod tasks;
