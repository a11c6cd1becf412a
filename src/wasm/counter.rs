//! A token counter that is a JavaScript function.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use js_sys::Function;
use twox_hash::XxHash64;
use wasm_bindgen::JsValue;

use crate::error::{Error, Result};
use crate::tokens::{Heuristic, TokenCounter};

/// The counter of one call: the built-in heuristic, or the host's function.
pub(super) enum Counter {
    Heuristic,
    Host(HostCounter),
}

/// Calls the host's function once per distinct text.
///
/// The shell wraps that function so that it never throws: what is not a count arrives as a negative number, and the
/// shell keeps the reason. From then on the host is not called again and the rest counts as nothing, so that the core
/// comes to its end; [`Counter::check`] then turns the whole call into an error.
pub(super) struct HostCounter {
    function: Function,
    /// Counts by (XXH64, length): exact enough for one call, and the texts need not be kept.
    seen: RefCell<BTreeMap<(u64, usize), u32>>,
    failed: Cell<bool>,
}

impl Counter {
    pub(super) fn new(function: Option<Function>) -> Self {
        match function {
            None => Self::Heuristic,
            Some(function) => Self::Host(HostCounter { function, seen: RefCell::default(), failed: Cell::new(false) }),
        }
    }

    /// `invalid_option` if the host's function did not give a count.
    pub(super) fn check(&self) -> Result<()> {
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
        let key = (XxHash64::oneshot(0, text.as_bytes()), text.len());
        // Nothing stays borrowed during the call: the host's function may call Epitome again.
        let seen = self.seen.borrow().get(&key).copied();
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
