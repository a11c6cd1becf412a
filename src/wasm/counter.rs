//! A token counter that is a JavaScript function.

use std::cell::{Cell, RefCell};

use js_sys::Function;
use wasm_bindgen::JsValue;

use crate::error::{Boxed, Error};
use crate::message::fingerprint;
use crate::tokens::{Heuristic, TokenCounter};

/// The counter of one call: the built-in heuristic, or the host's function.
pub(super) enum Counter {
    Heuristic,
    Host(HostCounter),
}

/// What identifies a text: XXH64 and length. Exact enough for one call, and the texts need not be kept.
type Key = (u64, usize);

/// Counts by text: a hash table with linear probing, since the maps of the standard library are ten times its code.
#[derive(Default)]
struct Seen {
    /// A power of two, at most three quarters of them taken.
    places: Vec<Option<(Key, u32)>>,
    taken: usize,
}

impl Seen {
    fn get(&self, key: Key) -> Option<u32> {
        let at = self.place(key)?;
        self.places.get(at).copied().flatten().map(|(_, count)| count)
    }

    /// The place of a key, or the empty one where it belongs; `None` while there are no places.
    fn place(&self, key: Key) -> Option<usize> {
        let last = self.places.len().checked_sub(1)?;
        // The key is a hash, so its low bits are as good as any.
        #[expect(clippy::cast_possible_truncation, reason = "only the low bits count")]
        let mut at = key.0 as usize & last;
        while self.places.get(at).copied().flatten().is_some_and(|(other, _)| other != key) {
            at = (at + 1) & last;
        }
        Some(at)
    }

    fn insert(&mut self, key: Key, count: u32) {
        if self.taken * 4 >= self.places.len() * 3 {
            let size = (self.places.len() * 2).max(64);
            for (key, count) in std::mem::replace(&mut self.places, vec![None; size]).into_iter().flatten() {
                self.put(key, count);
            }
        }
        self.put(key, count);
        self.taken += 1;
    }

    fn put(&mut self, key: Key, count: u32) {
        if let Some(place) = self.place(key).and_then(|at| self.places.get_mut(at)) {
            *place = Some((key, count));
        }
    }
}

/// Calls the host's function once per distinct text.
///
/// The shell wraps that function so that it never throws: what is not a count arrives as a negative number, and the
/// shell keeps the reason. From then on the host is not called again and the rest counts as nothing, so that the core
/// comes to its end; [`Counter::check`] then turns the whole call into an error.
pub(super) struct HostCounter {
    function: Function,
    seen: RefCell<Seen>,
    failed: Cell<bool>,
}

impl Counter {
    pub(super) fn new(function: Option<Function>) -> Self {
        match function {
            None => Self::Heuristic,
            Some(function) => Self::Host(HostCounter { function, seen: RefCell::default(), failed: Cell::new(false) }),
        }
    }

    /// Whether the host's function did not give a count, so that no other one is right either.
    #[cfg(feature = "session")]
    pub(super) fn has_failed(&self) -> bool {
        matches!(self, Self::Host(host) if host.failed.get())
    }

    /// `invalid_option` if the host's function did not give a count.
    pub(super) fn check(&self) -> Boxed<()> {
        match self {
            Self::Host(host) if host.failed.get() => {
                Err(Error::option("tokens", format_args!("must return a number of tokens, 0 or more, for every text")))
            }
            _ => Ok(()),
        }
    }
}

impl TokenCounter for Counter {
    fn count(&self, text: &str) -> u32 {
        match self {
            Self::Heuristic => Heuristic.count(text),
            Self::Host(host) => host.count(text),
        }
    }
}

impl HostCounter {
    fn count(&self, text: &str) -> u32 {
        if text.is_empty() || self.failed.get() {
            return 0;
        }
        let key = (fingerprint(text), text.len());
        // Nothing stays borrowed during the call: the host's function may call Epitome again.
        let seen = self.seen.borrow().get(key);
        if let Some(count) = seen {
            return count;
        }
        let Some(count) = self.ask(text) else {
            self.failed.set(true);
            return 0;
        };
        self.seen.borrow_mut().insert(key, count);
        count
    }

    fn ask(&self, text: &str) -> Option<u32> {
        let answer = self.function.call1(&JsValue::UNDEFINED, &JsValue::from_str(text)).ok()?;
        let count = answer.as_f64().filter(|count| *count >= 0.0 && *count <= f64::from(u32::MAX))?;
        // A fraction of a token needs a whole one.
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "checked to be in range just above"
        )]
        let count = count.ceil() as u32;
        Some(count)
    }
}
