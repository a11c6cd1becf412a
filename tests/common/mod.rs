//! What the tests of the core share. Nothing here asks the crate what is right: messages are read, judged and counted by
//! code of its own.
#![allow(dead_code, reason = "every test binary uses a part")]

pub mod check;
pub mod counting;
pub mod dev;
pub mod generate;
pub mod irreducible;
pub mod message;
pub mod rng;
pub mod rules;
pub mod seeds;

/// How every summary message of the crate begins. Written down here a second time on purpose.
pub const HEADER: &str = "[Conversation summary by Epitome: ";

/// Whether the long runs are asked for.
pub fn full() -> bool {
    std::env::var_os("EPITOME_FULL").is_some_and(|value| !value.is_empty() && value != "0")
}
pub mod scripted;
