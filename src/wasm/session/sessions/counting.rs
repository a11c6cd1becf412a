//! The token counter of a session, which outlives the calls that a host's function may fail.

use std::cell::RefCell;
use std::rc::Rc;

use js_sys::Function;

use crate::error::Boxed;
use crate::tokens::TokenCounter;
use crate::wasm::counter::Counter;

/// A counter that begins anew after each call: what it remembers of texts does not add up. Once it has failed, no size of
/// the session can be relied on, and every call fails: the shell opens it anew.
pub(super) struct Counting {
    function: Option<Function>,
    current: RefCell<Rc<Counter>>,
}

impl Counting {
    pub(super) fn new(function: Option<Function>) -> Self {
        let current = RefCell::new(Rc::new(Counter::new(function.clone())));
        Self { function, current }
    }

    pub(super) fn has_failed(&self) -> bool {
        self.current.borrow().has_failed()
    }

    /// Ends a call: `invalid_option` if the host's function failed in it.
    pub(super) fn settle(&self) -> Boxed<()> {
        if !self.has_failed() {
            self.current.replace(Rc::new(Counter::new(self.function.clone())));
        }
        self.current.borrow().check()
    }
}

impl TokenCounter for Counting {
    fn count(&self, text: &str) -> u32 {
        // Not borrowed during the call: the host's function may call Epitome again.
        let current = Rc::clone(&self.current.borrow());
        current.count(text)
    }
}
