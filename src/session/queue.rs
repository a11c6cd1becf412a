//! One after the other: whoever comes first goes first.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

/// Lets one pass at a time, in the order in which they came. For one thread.
#[derive(Debug, Default)]
pub(crate) struct Turnstile(RefCell<Inner>);

#[derive(Debug, Default)]
struct Inner {
    held: bool,
    last: u64,
    waiting: VecDeque<(u64, Option<Waker>)>,
}

impl Inner {
    /// Whoever is first may look again.
    fn call_next(&mut self) -> Option<Waker> {
        if self.held { None } else { self.waiting.front_mut().and_then(|(_, waker)| waker.take()) }
    }
}

impl Turnstile {
    /// Waits for its turn, which lasts until the pass is dropped. The place in the queue is taken now.
    pub(crate) fn enter(&self) -> Enter<'_> {
        let mut inner = self.0.borrow_mut();
        inner.last += 1;
        let number = inner.last;
        inner.waiting.push_back((number, None));
        Enter { turnstile: self, number }
    }
}

/// A place in the queue.
#[derive(Debug)]
pub(crate) struct Enter<'t> {
    turnstile: &'t Turnstile,
    /// 0 once it has passed.
    number: u64,
}

impl<'t> Future for Enter<'t> {
    type Output = Pass<'t>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Pass<'t>> {
        let turnstile = self.turnstile;
        let mut inner = turnstile.0.borrow_mut();
        let is_first = inner.waiting.front().is_some_and(|(number, _)| *number == self.number);
        if is_first && !inner.held {
            inner.waiting.pop_front();
            inner.held = true;
            self.number = 0;
            return Poll::Ready(Pass(turnstile));
        }
        let own = self.number;
        if let Some((_, waker)) = inner.waiting.iter_mut().find(|(number, _)| *number == own) {
            *waker = Some(context.waker().clone());
        }
        Poll::Pending
    }
}

impl Drop for Enter<'_> {
    fn drop(&mut self) {
        let next = {
            let mut inner = self.turnstile.0.borrow_mut();
            inner.waiting.retain(|(number, _)| *number != self.number);
            inner.call_next()
        };
        // Outside of the borrow: a waker may run anything.
        if let Some(waker) = next {
            waker.wake();
        }
    }
}

/// The turn itself.
#[derive(Debug)]
pub(crate) struct Pass<'t>(&'t Turnstile);

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        let next = {
            let mut inner = self.0.0.borrow_mut();
            inner.held = false;
            inner.call_next()
        };
        if let Some(waker) = next {
            waker.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::{Pin, pin};
    use std::task::{Context, Poll, Waker};

    use super::Turnstile;

    fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
        future.poll(&mut Context::from_waker(Waker::noop()))
    }

    fn ready<T>(poll: Poll<T>) -> T {
        match poll {
            Poll::Ready(value) => value,
            Poll::Pending => panic!("it was its turn"),
        }
    }

    #[test]
    fn whoever_comes_first_goes_first() {
        let turnstile = Turnstile::default();
        let (mut a, mut b, mut c) = (pin!(turnstile.enter()), pin!(turnstile.enter()), pin!(turnstile.enter()));
        assert!(poll(b.as_mut()).is_pending(), "not before the first");
        let pass = ready(poll(a.as_mut()));
        assert!(poll(b.as_mut()).is_pending() && poll(c.as_mut()).is_pending());
        drop(pass);
        assert!(poll(c.as_mut()).is_pending(), "the second is before the third");
        assert!(poll(b.as_mut()).is_ready());
        // What is ready is dropped at once above, so the third is next.
        assert!(poll(c.as_mut()).is_ready());
        assert!(!turnstile.0.borrow().held && turnstile.0.borrow().waiting.is_empty());
    }

    #[test]
    fn who_gives_up_does_not_hold_up_the_others() {
        let turnstile = Turnstile::default();
        let first = turnstile.enter();
        let second = turnstile.enter();
        let mut third = pin!(turnstile.enter());
        assert!(poll(third.as_mut()).is_pending());
        drop(second);
        drop(first);
        assert!(poll(third.as_mut()).is_ready());
    }

    #[test]
    fn a_waker_is_woken_when_its_turn_comes() {
        use std::sync::Arc;
        use std::sync::atomic::{AtomicUsize, Ordering};
        use std::task::Wake;
        struct Count(AtomicUsize);
        impl Wake for Count {
            fn wake(self: Arc<Self>) {
                self.0.fetch_add(1, Ordering::Relaxed);
            }
        }
        let count = Arc::new(Count(AtomicUsize::new(0)));
        let waker = Waker::from(Arc::clone(&count));
        let turnstile = Turnstile::default();
        let mut first = pin!(turnstile.enter());
        let pass = ready(poll(first.as_mut()));
        let mut second = pin!(turnstile.enter());
        assert!(second.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        assert_eq!(count.0.load(Ordering::Relaxed), 0);
        drop(pass);
        assert_eq!(count.0.load(Ordering::Relaxed), 1);
    }
}
