//! A session's way to its store: nothing goes there any more once the session is closed, and whoever waits for the store
//! is known, so that closing can let it come to its end.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use super::counting::Counting;
use crate::store::{Batch, Listed, Loaded, Page, Range, Store, StoreError, StoreErrorClass, Stored};

/// Which calls of a session wait for its store.
#[derive(Default)]
pub(super) struct Calls {
    is_closed: Cell<bool>,
    /// The call that is being polled.
    current: Cell<u64>,
    waiting: RefCell<Vec<u64>>,
}

impl Calls {
    pub(super) fn close(&self) {
        self.is_closed.set(true);
    }

    pub(super) fn is_closed(&self) -> bool {
        self.is_closed.get()
    }

    /// From now on this call is the one that goes on. Returns which one did: a function of the host may begin another.
    pub(super) fn go_on(&self, call: u64) -> u64 {
        self.current.replace(call)
    }

    pub(super) fn waits(&self, call: u64) -> bool {
        self.waiting.borrow().contains(&call)
    }

    fn begin(self: &Rc<Self>) -> Result<UnderWay, StoreError> {
        if self.is_closed() {
            return Err(StoreError::closed());
        }
        let call = self.current.get();
        self.waiting.borrow_mut().push(call);
        Ok(UnderWay { calls: Rc::clone(self), call })
    }
}

/// A call of the store, until it is over.
struct UnderWay {
    calls: Rc<Calls>,
    call: u64,
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let mut waiting = self.calls.waiting.borrow_mut();
        if let Some(at) = waiting.iter().position(|call| *call == self.call) {
            waiting.swap_remove(at);
        }
    }
}

/// The store of one session.
pub(super) struct Watched {
    pub(super) store: Rc<dyn Store>,
    pub(super) calls: Rc<Calls>,
    pub(super) counter: Rc<Counting>,
}

impl Store for Watched {
    fn load<'s>(&'s self, conversation: &'s str, ranges: &'s [Range]) -> Stored<'s, Loaded> {
        Box::pin(async move {
            let _under_way = self.calls.begin()?;
            self.store.load(conversation, ranges).await
        })
    }

    fn list<'s>(&'s self, page: &'s Page) -> Stored<'s, Vec<Listed>> {
        self.store.list(page)
    }

    fn commit<'s>(&'s self, batch: &'s Batch) -> Stored<'s, u64> {
        Box::pin(async move {
            // Sizes are part of what is kept, and these are wrong.
            if self.counter.has_failed() {
                return Err(StoreError::new(StoreErrorClass::Failed, "the token counter failed; nothing was written"));
            }
            let _under_way = self.calls.begin()?;
            self.store.commit(batch).await
        })
    }

    fn delete<'s>(&'s self, conversation: &'s str) -> Stored<'s, ()> {
        Box::pin(async move {
            let _under_way = self.calls.begin()?;
            self.store.delete(conversation).await
        })
    }

    fn close(&self) -> Stored<'_, ()> {
        self.store.close()
    }
}
