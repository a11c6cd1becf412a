//! Asking with patience, but not too much of it: attempts with growing pauses, deadlines, a limit on requests at the same
//! time, and a circuit breaker; and a list of providers, each asked when the one before it failed.
//!
//! Nothing here waits for somebody else's event: a request that finds no free place looks again after a while, on a
//! timer of its own. In Cloudflare Workers what was made for one incoming request must not wake another.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;

use crate::provider::{Answer, ErrorClass, Pending, Provider, ProviderError, Purpose, Request};

/// A wait.
pub type Sleep<'r> = Pin<Box<dyn Future<Output = ()> + 'r>>;

/// What the core does not have: a clock, timers, chance, and somebody who wants to know.
pub trait Runtime {
    /// Milliseconds since any fixed moment.
    fn now_ms(&self) -> f64;

    /// Something from 0 to 1, different every time.
    fn random(&self) -> f64;

    /// Waits that many milliseconds.
    fn sleep(&self, ms: f64) -> Sleep<'_>;

    /// When everything has to be over, by the same clock.
    fn deadline_ms(&self) -> f64 {
        f64::INFINITY
    }

    /// Takes note of what goes on.
    fn progress(&self, _event: &Progress<'_>) {}
}

/// What goes on.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Progress<'e> {
    /// A request is sent.
    Request {
        /// Whom it is sent to.
        provider: &'e str,
        /// Which request of the compaction it is, from 1.
        number: u32,
        /// What for.
        purpose: Purpose,
        /// 1 for the first time.
        attempt: u32,
        /// Size of what is sent, tokens.
        tokens: u64,
    },
    /// More of an answer has come.
    Text {
        /// Where from.
        provider: &'e str,
        /// Which request it answers.
        number: u32,
        /// What the request was for.
        purpose: Purpose,
        /// How much there is so far, Unicode scalars.
        characters: usize,
    },
    /// An answer is complete.
    Answer {
        /// Where from.
        provider: &'e str,
        /// Which request it answers.
        number: u32,
        /// What the request was for.
        purpose: Purpose,
        /// How long it took, milliseconds.
        ms: f64,
    },
    /// A request failed.
    Failure {
        /// Whose.
        provider: &'e str,
        /// Which request it was.
        number: u32,
        /// What the request was for.
        purpose: Purpose,
        /// Why.
        error: &'e ProviderError,
        /// How long until it is sent again, milliseconds; `None` when it is not.
        retry_in_ms: Option<f64>,
    },
}

/// How much patience a provider deserves.
#[derive(Debug, Clone, PartialEq)]
pub struct Limits {
    /// How often a request is sent at most. Default 3.
    pub attempts: u32,
    /// Longest wait for one attempt, milliseconds. Default: all the time that the request has.
    pub timeout_ms: Option<f64>,
    /// Requests at the same time, over all that share this provider. Default 8.
    pub concurrency: u32,
    /// Failures in a row after which the provider is left alone for a while; 0 for never. Default 5.
    pub breaker_failures: u32,
    /// How long it is left alone, milliseconds. Default 30,000.
    pub breaker_pause_ms: f64,
    /// What the model reads and writes at most, tokens.
    pub window: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            attempts: 3,
            timeout_ms: None,
            concurrency: 8,
            breaker_failures: 5,
            breaker_pause_ms: 30_000.0,
            window: super::DEFAULT_WINDOW,
        }
    }
}

/// First pause between two attempts, milliseconds. Each later one is twice as long, up to [`LONGEST_PAUSE`]; half of
/// every pause is left to chance, so that those who failed together do not come back together.
const FIRST_PAUSE: f64 = 500.0;
const LONGEST_PAUSE: f64 = 30_000.0;

/// How long a request without a free place waits before it looks again, milliseconds: at first, and at most.
const FIRST_LOOK: f64 = 4.0;
const LONGEST_LOOK: f64 = 100.0;

/// What a place is kept beyond its time, milliseconds: timers are late.
const GRACE: f64 = 1_000.0;

/// How long what a service says of its window is believed, milliseconds: behind an address models come and go.
const BELIEVED: f64 = 600_000.0;

/// A prompt of so many tokens is large enough to tell whether the service has read all of it.
const TELLING: u64 = 1_000;

/// What all requests to one provider share, however many compactions they belong to.
#[derive(Debug, Default)]
pub struct Shared {
    /// The places that are taken: number, and when each is given back at the latest. Whoever took it may be gone without a
    /// word: in Cloudflare Workers nothing of a request goes on once its client has left.
    places: RefCell<Vec<(u64, f64)>>,
    last: Cell<u64>,
    failures: Cell<u32>,
    /// Until then nothing is sent: the service asked for it, or it failed too often.
    closed_until: Cell<f64>,
    why_closed: RefCell<Option<ProviderError>>,
    /// Until then somebody is trying whether the service is well again.
    trying_until: Cell<f64>,
    /// What the model reads, as it has said itself, tokens; and until when that is believed.
    window: Cell<Option<(u64, f64)>>,
}

impl Shared {
    /// How many requests are running.
    fn running(&self, now: f64) -> usize {
        let mut places = self.places.borrow_mut();
        places.retain(|(_, until)| *until > now);
        places.len()
    }

    fn take(&self, until: f64, trial: bool) -> Place<'_> {
        let number = self.last.get() + 1;
        self.last.set(number);
        self.places.borrow_mut().push((number, until));
        if trial {
            self.trying_until.set(until);
        }
        Place { shared: self, number, trial }
    }
}

/// A place among the running requests, given back when dropped.
struct Place<'s> {
    shared: &'s Shared,
    number: u64,
    trial: bool,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.shared.places.borrow_mut().retain(|(number, _)| *number != self.number);
        if self.trial {
            self.shared.trying_until.set(0.0);
        }
    }
}

/// A provider with limits.
pub struct Guarded<'p> {
    name: String,
    inner: Box<dyn Provider + 'p>,
    limits: Limits,
    shared: Rc<Shared>,
    runtime: &'p dyn Runtime,
}

impl std::fmt::Debug for Guarded<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Guarded").field("name", &self.name).field("limits", &self.limits).finish_non_exhaustive()
    }
}

impl<'p> Guarded<'p> {
    /// Guards a provider. `shared` belongs to the provider, not to one compaction: keep it as long.
    #[must_use]
    pub fn new(
        name: &str,
        inner: Box<dyn Provider + 'p>,
        limits: Limits,
        shared: Rc<Shared>,
        runtime: &'p dyn Runtime,
    ) -> Self {
        Self { name: name.to_owned(), inner, limits, shared, runtime }
    }

    async fn ask(&self, request: &Request) -> Result<Answer, ProviderError> {
        let now = self.runtime.now_ms();
        let end = (now + f64::from(request.timeout_ms)).min(self.runtime.deadline_ms());
        let mut attempt = 1;
        loop {
            let place = self.place(end).await?;
            let error = match self.attempt(request, attempt, end).await {
                Ok(answer) => {
                    self.shared.failures.set(0);
                    *self.shared.why_closed.borrow_mut() = None;
                    return Ok(answer);
                }
                Err(error) => error,
            };
            drop(place);
            self.note(&error);
            let pause = self.pause(attempt, &error);
            // A browser that hides why may do so for good.
            let most =
                if error.class == ErrorClass::Opaque { self.limits.attempts.min(2) } else { self.limits.attempts };
            let again = attempt < most
                && may_pass(error.class)
                && self.runtime.now_ms() + pause < end
                && self.closed().is_none_or(|until| until <= self.runtime.now_ms() + pause);
            self.runtime.progress(&Progress::Failure {
                provider: &self.name,
                number: request.number,
                purpose: request.purpose,
                error: &error,
                retry_in_ms: again.then_some(pause),
            });
            if !again {
                return Err(error);
            }
            self.runtime.sleep(pause).await;
            attempt += 1;
        }
    }

    async fn attempt(&self, request: &Request, attempt: u32, end: f64) -> Result<Answer, ProviderError> {
        let began = self.runtime.now_ms();
        let time = self.time(began, end);
        // In range: at most what `request.timeout_ms` was.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped by f64-to-int casts")]
        let request = Request { timeout_ms: time.max(1.0) as u32, ..request.clone() };
        let (provider, number, purpose) = (self.name.as_str(), request.number, request.purpose);
        self.runtime.progress(&Progress::Request { provider, number, purpose, attempt, tokens: request.tokens });
        let answer = self.inner.complete(&request).await.inspect_err(|error| self.learn(error))?;
        if let Some(error) = read_in_part(&request, &answer) {
            return Err(error);
        }
        self.runtime.progress(&Progress::Answer { provider, number, purpose, ms: self.runtime.now_ms() - began });
        Ok(answer)
    }

    /// How long an attempt may take, milliseconds.
    fn time(&self, now: f64, end: f64) -> f64 {
        (end - now).min(self.limits.timeout_ms.unwrap_or(f64::INFINITY))
    }

    /// Waits for a free place.
    async fn place(&self, end: f64) -> Result<Place<'_>, ProviderError> {
        let mut look = FIRST_LOOK;
        loop {
            let now = self.runtime.now_ms();
            if now >= end {
                return Err(ProviderError::new(ErrorClass::Timeout, "no time was left to send the request"));
            }
            let wait = match self.closed() {
                Some(until) if until > now => {
                    if until >= end || self.broken() {
                        return Err(self.why_closed());
                    }
                    // The service said when to come back.
                    until - now
                }
                closed if self.shared.running(now) < self.limits.concurrency.max(1) as usize => {
                    // After a pause one request goes ahead, the others wait for what becomes of it.
                    let trial = closed.is_some() && self.broken();
                    if !(trial && self.shared.trying_until.get() > now) {
                        return Ok(self.shared.take(now + self.time(now, end) + GRACE, trial));
                    }
                    look
                }
                _ => look,
            };
            look = (look * 1.5).min(LONGEST_LOOK);
            self.runtime.sleep(wait.min(end - now)).await;
        }
    }

    /// Until when nothing is sent, if that was ever so.
    fn closed(&self) -> Option<f64> {
        self.shared.why_closed.borrow().is_some().then(|| self.shared.closed_until.get())
    }

    /// What the model has said that it reads, tokens.
    fn known_window(&self) -> Option<u64> {
        self.shared.window.get().filter(|(_, until)| *until > self.runtime.now_ms()).map(|(window, _)| window)
    }

    fn broken(&self) -> bool {
        self.limits.breaker_failures > 0 && self.shared.failures.get() >= self.limits.breaker_failures
    }

    fn why_closed(&self) -> ProviderError {
        let error = self.shared.why_closed.borrow().clone();
        let error = error.unwrap_or_else(|| ProviderError::new(ErrorClass::Unavailable, "the provider is left alone"));
        let wait = (self.shared.closed_until.get() - self.runtime.now_ms()).max(0.0);
        let message = if self.broken() {
            format!(
                "not asked for another {} s after {} failures in a row; the last: {}",
                seconds(wait),
                self.shared.failures.get(),
                error.message
            )
        } else {
            error.message
        };
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "not negative")]
        let retry_after_ms = Some(wait as u64);
        ProviderError { message, retry_after_ms, ..error }
    }

    /// Remembers what a service says of its window. (What an answer was charged for only tells of that answer: there are
    /// services that leave out what their cache held.)
    fn learn(&self, error: &ProviderError) {
        if error.class == ErrorClass::ContextLength
            && let Some(limit) = error.limit
        {
            let known = self.known_window().unwrap_or(u64::MAX);
            self.shared.window.set(Some((limit.min(known), self.runtime.now_ms() + BELIEVED)));
        }
    }

    /// Remembers what a failure says about the provider.
    fn note(&self, error: &ProviderError) {
        let failures = if says_service_is_ill(error.class) { self.shared.failures.get().saturating_add(1) } else { 0 };
        self.shared.failures.set(failures);
        let asked = error.retry_after_ms.filter(|_| says_service_is_ill(error.class)).map_or(0.0, as_ms);
        let pause = if self.broken() { asked.max(self.limits.breaker_pause_ms) } else { asked };
        if pause > 0.0 {
            let until = (self.runtime.now_ms() + pause).max(self.shared.closed_until.get());
            self.shared.closed_until.set(until);
            *self.shared.why_closed.borrow_mut() = Some(error.clone());
        } else if failures == 0 {
            *self.shared.why_closed.borrow_mut() = None;
        }
    }

    /// How long to wait before the next attempt, milliseconds.
    fn pause(&self, attempt: u32, error: &ProviderError) -> f64 {
        let doubled = FIRST_PAUSE * f64::from(1_u32 << (attempt - 1).min(16));
        let longest = doubled.min(LONGEST_PAUSE);
        let pause = longest / 2.0 + longest / 2.0 * self.runtime.random();
        // What the service asks for, and a little, so that not all of those whom it asked come back at once.
        error.retry_after_ms.map_or(pause, |asked| as_ms(asked) + pause.min(FIRST_PAUSE) * self.runtime.random())
    }
}

impl Provider for Guarded<'_> {
    fn complete<'r>(&'r self, request: &'r Request) -> Pending<'r> {
        Box::pin(self.ask(request))
    }

    fn window(&self) -> u64 {
        self.known_window().unwrap_or(u64::MAX).min(self.limits.window).max(1)
    }

    fn reads_prefix(&self) -> bool {
        self.inner.reads_prefix()
    }

    fn retries(&self) -> bool {
        true
    }
}

/// Providers in the order in which they are asked.
#[derive(Debug)]
pub struct Fallback<'p> {
    providers: Vec<Guarded<'p>>,
}

impl<'p> Fallback<'p> {
    /// The first is asked first.
    #[must_use]
    pub fn new(providers: Vec<Guarded<'p>>) -> Self {
        Self { providers }
    }

    async fn ask(&self, request: &Request) -> Result<Answer, ProviderError> {
        let mut first = None;
        for provider in &self.providers {
            // What the first is asked fits it; another may read less.
            if request.prefix.is_some() && !provider.reads_prefix() {
                continue;
            }
            if first.is_some() && request.tokens.saturating_add(request.max_tokens) > provider.window() {
                continue;
            }
            match provider.ask(request).await {
                Err(error) if error.class != ErrorClass::Aborted => first = first.or(Some(error)),
                answer => return answer,
            }
        }
        Err(first.unwrap_or_else(|| ProviderError::new(ErrorClass::Unavailable, "there is no provider")))
    }
}

impl Provider for Fallback<'_> {
    fn complete<'r>(&'r self, request: &'r Request) -> Pending<'r> {
        Box::pin(self.ask(request))
    }

    fn window(&self) -> u64 {
        self.providers.first().map_or(super::DEFAULT_WINDOW, Guarded::window)
    }

    fn reads_prefix(&self) -> bool {
        self.providers.first().is_some_and(Guarded::reads_prefix)
    }

    fn retries(&self) -> bool {
        true
    }
}

/// Whether the same request may succeed a moment later.
fn may_pass(class: ErrorClass) -> bool {
    says_service_is_ill(class) || class == ErrorClass::Truncated
}

/// Whether others who ask the same service will fare no better.
fn says_service_is_ill(class: ErrorClass) -> bool {
    matches!(
        class,
        ErrorClass::RateLimited
            | ErrorClass::Unavailable
            | ErrorClass::Timeout
            | ErrorClass::Network
            | ErrorClass::Opaque
    )
}

/// Some services cut off what is too long, say nothing, and answer what is left; their own count gives it away. A third is
/// outside of what two ways of counting differ by, also for scripts that one of them knows and the other does not.
fn read_in_part(request: &Request, answer: &Answer) -> Option<ProviderError> {
    let read = answer.usage?.input_tokens;
    if request.tokens < TELLING || read == 0 || read >= request.tokens / 3 {
        return None;
    }
    let message = format!("the service read only {read} of about {} tokens", request.tokens);
    Some(ProviderError { limit: Some(read), ..ProviderError::new(ErrorClass::ContextLength, message) })
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
fn as_ms(ms: u64) -> f64 {
    ms as f64
}

/// Whole seconds, rounded up.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "not negative, and for people")]
fn seconds(ms: f64) -> u64 {
    (ms / 1_000.0) as u64 + 1
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::float_cmp)]
mod tests {
    use std::cell::{Cell, RefCell};
    use std::future::Future;
    use std::pin::Pin;
    use std::rc::Rc;
    use std::task::{Context, Poll, Waker};

    use super::{Fallback, Guarded, Limits, Progress, Runtime, Shared, Sleep};
    use crate::provider::{
        Answer, ErrorClass, Pending, Provider, ProviderError, Purpose, Request, RequestMessage, Usage,
    };

    /// Time that passes only while everybody waits.
    #[derive(Default)]
    struct World {
        now: Cell<f64>,
        alarms: RefCell<Vec<f64>>,
        deadline: Cell<Option<f64>>,
        events: RefCell<Vec<String>>,
    }

    struct Alarm<'w>(&'w World, f64);

    impl Future for Alarm<'_> {
        type Output = ();

        fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
            if self.0.now.get() >= self.1 {
                return Poll::Ready(());
            }
            self.0.alarms.borrow_mut().push(self.1);
            Poll::Pending
        }
    }

    impl Runtime for World {
        fn now_ms(&self) -> f64 {
            self.now.get()
        }

        fn random(&self) -> f64 {
            1.0
        }

        fn sleep(&self, ms: f64) -> Sleep<'_> {
            Box::pin(Alarm(self, self.now.get() + ms))
        }

        fn deadline_ms(&self) -> f64 {
            self.deadline.get().unwrap_or(f64::INFINITY)
        }

        fn progress(&self, event: &Progress<'_>) {
            let line = match event {
                Progress::Request { provider, attempt, .. } => format!("{provider} {attempt}"),
                Progress::Failure { provider, error, retry_in_ms, .. } => {
                    format!("{provider} {} {retry_in_ms:?}", error.class.name())
                }
                Progress::Answer { provider, ms, .. } => format!("{provider} done {ms}"),
                Progress::Text { .. } => "text".to_owned(),
            };
            self.events.borrow_mut().push(line);
        }
    }

    /// Runs everything to its end; the results in order.
    fn all<T>(world: &World, futures: Vec<Pin<Box<dyn Future<Output = T> + '_>>>) -> Vec<T> {
        let mut futures: Vec<_> = futures.into_iter().map(Some).collect();
        let mut done: Vec<Option<T>> = futures.iter().map(|_| None).collect();
        while futures.iter().any(Option::is_some) {
            world.alarms.borrow_mut().clear();
            let mut moved = false;
            for (at, slot) in futures.iter_mut().enumerate() {
                let Some(future) = slot else { continue };
                if let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                    (done[at], *slot, moved) = (Some(value), None, true);
                }
            }
            if !moved {
                let next = world.alarms.borrow().iter().copied().fold(f64::INFINITY, f64::min);
                assert!(next.is_finite(), "everybody waits for nothing");
                world.now.set(next);
            }
        }
        done.into_iter().map(Option::unwrap).collect()
    }

    /// Answers after 10 ms by a script; when it has run out, well.
    struct Script<'w> {
        world: &'w World,
        answers: RefCell<Vec<Result<Answer, ProviderError>>>,
        times: RefCell<Vec<f64>>,
        running: Cell<u32>,
        most: Cell<u32>,
        timeouts: RefCell<Vec<u32>>,
    }

    impl<'w> Script<'w> {
        fn new(world: &'w World, script: Vec<Result<Answer, ProviderError>>) -> Rc<Self> {
            Rc::new(Self {
                world,
                answers: RefCell::new(script),
                times: RefCell::default(),
                running: Cell::new(0),
                most: Cell::new(0),
                timeouts: RefCell::default(),
            })
        }

        fn calls(&self) -> usize {
            self.times.borrow().len()
        }
    }

    impl Provider for Rc<Script<'_>> {
        fn complete<'p>(&'p self, request: &'p Request) -> Pending<'p> {
            self.times.borrow_mut().push(self.world.now.get());
            self.timeouts.borrow_mut().push(request.timeout_ms);
            self.running.set(self.running.get() + 1);
            self.most.set(self.most.get().max(self.running.get()));
            let result =
                if self.answers.borrow().is_empty() { Ok(answer("well")) } else { self.answers.borrow_mut().remove(0) };
            Box::pin(async move {
                self.world.sleep(10.0).await;
                self.running.set(self.running.get() - 1);
                result
            })
        }
    }

    fn answer(text: &str) -> Answer {
        Answer { text: text.to_owned(), ..Answer::default() }
    }

    fn fails(class: ErrorClass) -> Result<Answer, ProviderError> {
        Err(ProviderError::new(class, "scripted"))
    }

    fn request(timeout_ms: u32) -> Request {
        let messages = vec![RequestMessage { role: "user".to_owned(), content: "hello".to_owned() }];
        Request {
            number: 1,
            purpose: Purpose::Summary,
            messages,
            tokens: 2_000,
            max_tokens: 100,
            timeout_ms,
            prefix: None,
        }
    }

    fn guarded<'w>(world: &'w World, script: &Rc<Script<'w>>, limits: Limits) -> Guarded<'w> {
        Guarded::new("model", Box::new(Rc::clone(script)), limits, Rc::default(), world)
    }

    fn one(world: &World, provider: &dyn Provider, request: &Request) -> Result<Answer, ProviderError> {
        all(world, vec![provider.complete(request)]).remove(0)
    }

    #[test]
    fn what_may_pass_is_tried_again_after_growing_pauses() {
        let world = World::default();
        let script = Script::new(&world, vec![fails(ErrorClass::Unavailable), fails(ErrorClass::Network)]);
        let answer = one(&world, &guarded(&world, &script, Limits::default()), &request(60_000)).unwrap();
        assert_eq!(answer.text, "well");
        assert_eq!(*script.times.borrow(), [0.0, 510.0, 1_520.0]);
        assert_eq!(
            *world.events.borrow(),
            [
                "model 1",
                "model unavailable Some(500.0)",
                "model 2",
                "model network Some(1000.0)",
                "model 3",
                "model done 10"
            ]
        );
    }

    #[test]
    fn what_cannot_pass_is_not_tried_again() {
        for class in [ErrorClass::Auth, ErrorClass::BadRequest, ErrorClass::Refused, ErrorClass::Blank] {
            let world = World::default();
            let script = Script::new(&world, vec![fails(class)]);
            let error = one(&world, &guarded(&world, &script, Limits::default()), &request(60_000)).unwrap_err();
            assert_eq!((error.class, script.calls()), (class, 1));
        }
        let world = World::default();
        let script = Script::new(&world, (0..9).map(|_| fails(ErrorClass::Opaque)).collect());
        assert!(one(&world, &guarded(&world, &script, Limits::default()), &request(60_000)).is_err());
        assert_eq!(script.calls(), 2, "what a browser hides may pass, or not");
    }

    #[test]
    fn attempts_end() {
        let world = World::default();
        let script = Script::new(&world, (0..9).map(|_| fails(ErrorClass::Unavailable)).collect());
        let limits = Limits { attempts: 4, ..Limits::default() };
        assert!(one(&world, &guarded(&world, &script, limits), &request(600_000)).is_err());
        assert_eq!(script.calls(), 4);
    }

    #[test]
    fn nothing_is_sent_that_could_not_be_answered_in_time() {
        let world = World::default();
        let script = Script::new(&world, (0..9).map(|_| fails(ErrorClass::Unavailable)).collect());
        let error = one(&world, &guarded(&world, &script, Limits::default()), &request(700)).unwrap_err();
        assert_eq!((error.class, script.calls()), (ErrorClass::Unavailable, 2));
        assert!(world.now.get() < 700.0);
        assert_eq!(*script.timeouts.borrow(), [700, 190]);

        let world = World::default();
        world.deadline.set(Some(300.0));
        let script = Script::new(&world, vec![fails(ErrorClass::Unavailable)]);
        let model = guarded(&world, &script, Limits::default());
        assert!(one(&world, &model, &request(60_000)).is_err());
        assert_eq!((script.calls(), script.timeouts.borrow()[0]), (1, 300));
        world.now.set(300.0);
        assert_eq!(one(&world, &model, &request(60_000)).unwrap_err().class, ErrorClass::Timeout);
        assert_eq!(script.calls(), 1);
    }

    #[test]
    fn a_wait_that_the_service_asks_for_is_kept_by_all() {
        let world = World::default();
        let wait =
            ProviderError { retry_after_ms: Some(3_000), ..ProviderError::new(ErrorClass::RateLimited, "slow down") };
        let script = Script::new(&world, vec![Err(wait)]);
        let model = guarded(&world, &script, Limits { concurrency: 1, ..Limits::default() });
        let request = request(60_000);
        let results = all(&world, (0..3).map(|_| model.complete(&request)).collect());
        assert!(results.iter().all(Result::is_ok));
        assert_eq!(script.times.borrow()[0], 0.0);
        assert!(script.times.borrow()[1..].iter().all(|time| *time >= 3_010.0), "{:?}", script.times);
    }

    #[test]
    fn a_wait_longer_than_the_time_left_is_not_waited_for() {
        let world = World::default();
        let wait =
            ProviderError { retry_after_ms: Some(90_000), ..ProviderError::new(ErrorClass::RateLimited, "slow down") };
        let script = Script::new(&world, vec![Err(wait)]);
        let model = guarded(&world, &script, Limits::default());
        for _ in 0..2 {
            let error = one(&world, &model, &request(60_000)).unwrap_err();
            assert_eq!(error.class, ErrorClass::RateLimited);
            assert!(error.retry_after_ms.unwrap() > 80_000);
        }
        assert_eq!((script.calls(), world.now.get()), (1, 10.0));
    }

    #[test]
    fn no_more_requests_run_than_are_allowed() {
        let world = World::default();
        let script = Script::new(&world, Vec::new());
        let shared = Rc::<Shared>::default();
        let limits = Limits { concurrency: 3, ..Limits::default() };
        let models: Vec<_> = (0..20)
            .map(|_| Guarded::new("model", Box::new(Rc::clone(&script)), limits.clone(), Rc::clone(&shared), &world))
            .collect();
        let request = request(60_000);
        let results = all(&world, models.iter().map(|model| model.complete(&request)).collect());
        assert!(results.iter().all(Result::is_ok));
        assert_eq!((script.calls(), script.most.get(), shared.running(0.0)), (20, 3, 0));
    }

    #[test]
    fn a_dropped_request_gives_its_place_back() {
        let world = World::default();
        let script = Script::new(&world, Vec::new());
        let model = guarded(&world, &script, Limits { concurrency: 1, ..Limits::default() });
        let request = request(60_000);
        let mut pending = model.complete(&request);
        assert!(pending.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        assert_eq!(model.shared.running(0.0), 1);
        drop(pending);
        assert_eq!(model.shared.running(0.0), 0);
    }

    #[test]
    fn the_place_of_somebody_who_is_gone_is_free_once_its_time_is_over() {
        let world = World::default();
        let script = Script::new(&world, Vec::new());
        let model = guarded(&world, &script, Limits { concurrency: 1, timeout_ms: Some(5_000.0), ..Limits::default() });
        let request = request(60_000);
        let mut gone = model.complete(&request);
        assert!(gone.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        // Neither polled nor dropped.
        std::mem::forget(gone);
        assert!(one(&world, &model, &request).is_ok());
        let waited = script.times.borrow()[1];
        assert!((6_000.0..6_200.0).contains(&waited), "{waited}");
    }

    #[test]
    fn what_a_service_says_of_its_window_is_believed_for_a_while() {
        let world = World::default();
        let too_long =
            |limit| ProviderError { limit: Some(limit), ..ProviderError::new(ErrorClass::ContextLength, "no") };
        let script = Script::new(&world, vec![Err(too_long(4_000)), Err(too_long(8_000))]);
        let model = guarded(&world, &script, Limits::default());
        assert!(one(&world, &model, &request(60_000)).is_err());
        assert_eq!(model.window(), 4_000);
        assert!(one(&world, &model, &request(60_000)).is_err());
        assert_eq!(model.window(), 4_000, "the least counts");
        world.now.set(world.now.get() + 600_000.0);
        assert_eq!(model.window(), 16_000);
    }

    #[test]
    fn who_fails_too_often_is_left_alone_and_then_tried_by_one() {
        let world = World::default();
        let script = Script::new(&world, (0..5).map(|_| fails(ErrorClass::Unavailable)).collect());
        let limits = Limits { attempts: 1, breaker_failures: 5, breaker_pause_ms: 1_000.0, ..Limits::default() };
        let model = guarded(&world, &script, limits);
        let request = request(60_000);
        for _ in 0..5 {
            assert!(one(&world, &model, &request).is_err());
        }
        let error = one(&world, &model, &request).unwrap_err();
        assert_eq!((error.class, script.calls()), (ErrorClass::Unavailable, 5));
        assert!(error.message.contains("after 5 failures in a row; the last: scripted"), "{}", error.message);
        world.now.set(world.now.get() + 1_000.0);
        // One goes ahead; it fails, so the others are turned away.
        *script.answers.borrow_mut() = vec![fails(ErrorClass::Timeout)];
        let results = all(&world, (0..4).map(|_| model.complete(&request)).collect());
        assert!(results.iter().all(Result::is_err));
        assert_eq!(script.calls(), 6);
        world.now.set(world.now.get() + 1_000.0);
        let results = all(&world, (0..4).map(|_| model.complete(&request)).collect());
        assert!(results.iter().all(Result::is_ok));
        assert_eq!((script.calls(), model.shared.failures.get()), (10, 0));
    }

    #[test]
    fn errors_that_are_the_requests_own_fault_do_not_count_against_the_service() {
        let world = World::default();
        let script = Script::new(&world, (0..20).map(|_| fails(ErrorClass::BadRequest)).collect());
        let model = guarded(&world, &script, Limits { attempts: 1, ..Limits::default() });
        for _ in 0..20 {
            assert!(one(&world, &model, &request(60_000)).is_err());
        }
        assert_eq!(script.calls(), 20);
    }

    #[test]
    fn a_prompt_that_was_read_only_in_part_is_too_long() {
        let world = World::default();
        let usage = |input_tokens| Some(Usage { input_tokens, output_tokens: 5 });
        let cut = Answer { usage: usage(600), ..answer("about the end") };
        let whole = Answer { usage: usage(700), ..answer("about all") };
        let script = Script::new(&world, vec![Ok(cut), Ok(whole)]);
        let model = guarded(&world, &script, Limits::default());
        assert_eq!(model.window(), 16_000);
        let error = one(&world, &model, &request(60_000)).unwrap_err();
        assert_eq!((error.class, error.limit), (ErrorClass::ContextLength, Some(600)));
        assert_eq!(model.window(), 16_000, "one answer says nothing about the next");
        assert_eq!(one(&world, &model, &request(60_000)).unwrap().text, "about all");
    }

    #[test]
    fn the_next_is_asked_when_one_fails() {
        let world = World::default();
        let bad =
            Script::new(&world, vec![fails(ErrorClass::Auth), fails(ErrorClass::Auth), fails(ErrorClass::Aborted)]);
        let small = Script::new(&world, Vec::new());
        let good = Script::new(&world, vec![Ok(answer("from the third")), fails(ErrorClass::Blank)]);
        let list = Fallback::new(vec![
            guarded(&world, &bad, Limits::default()),
            guarded(&world, &small, Limits { window: 2_050, ..Limits::default() }),
            guarded(&world, &good, Limits::default()),
        ]);
        let request = request(60_000);
        assert_eq!(one(&world, &list, &request).unwrap().text, "from the third");
        assert_eq!(one(&world, &list, &request).unwrap_err().class, ErrorClass::Auth, "the first one's");
        assert_eq!(one(&world, &list, &request).unwrap_err().class, ErrorClass::Aborted);
        assert_eq!((bad.calls(), small.calls(), good.calls()), (3, 0, 2));
    }
}
