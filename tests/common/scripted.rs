//! A provider that answers by a script, and an executor for tests: no clock, no thread, no network.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use epitome::{Answer, ErrorClass, Pending, Provider, ProviderError, Request, Stop};

/// What comes back for one request.
#[derive(Debug, Clone)]
pub enum Reply {
    Text(String),
    /// A text, but the model ran into its limit.
    CutOff(String),
    Refusal,
    Error(ErrorClass),
    /// Too long; the provider may say what it takes.
    TooLong(Option<u64>),
}

type Script = dyn Fn(usize, &Request) -> Reply;

pub struct Scripted {
    script: Box<Script>,
    pub window: u64,
    /// Every request, in order of sending.
    pub requests: RefCell<Vec<Request>>,
    /// How often each answer is not there yet when it is looked for; answers come in reverse order of asking when high.
    pub patience: Cell<usize>,
    /// Requests under way, and the most there ever were.
    pub running: Cell<usize>,
    pub most_running: Cell<usize>,
}

impl Scripted {
    /// `script` gets the number of the request, from 0, and the request.
    pub fn new(script: impl Fn(usize, &Request) -> Reply + 'static) -> Self {
        Self {
            script: Box::new(script),
            window: epitome::DEFAULT_WINDOW,
            requests: RefCell::default(),
            patience: Cell::new(0),
            running: Cell::new(0),
            most_running: Cell::new(0),
        }
    }

    /// A model that summarises well: it names what it was shown, briefly.
    pub fn good() -> Self {
        Self::new(|number, request| Reply::Text(note(number, request)))
    }

    pub fn calls(&self) -> usize {
        self.requests.borrow().len()
    }
}

/// A short note that names what a reader would look for: paths, numbers, identifiers of the prompt.
pub fn note(number: usize, request: &Request) -> String {
    let prompt = &request.messages[0].content;
    let telling = |word: &&str| {
        word.len() >= 4
            && word.len() <= 60
            && !word.starts_with('<')
            && word.chars().any(|char| char.is_ascii_digit() || matches!(char, '/' | '.' | '_'))
    };
    let words = prompt.split_whitespace().map(|word| word.trim_matches([',', '.', ':', ';', '(', ')', '"', '`']));
    let mut names: Vec<&str> = words.filter(telling).collect();
    names.dedup();
    let middle = names.len() / 2;
    let some: Vec<&str> = names.iter().take(6).chain(&names[middle..]).take(14).copied().collect();
    format!("1. User Intent: note {number}\n3. Files & Code: {}", some.join(" "))
}

/// An answer that comes after some polls.
struct Later<'p> {
    polls: usize,
    result: Option<Result<Answer, ProviderError>>,
    provider: &'p Scripted,
}

impl Future for Later<'_> {
    type Output = Result<Answer, ProviderError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if self.polls > 0 {
            self.polls -= 1;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.provider.running.set(self.provider.running.get() - 1);
        Poll::Ready(self.result.take().unwrap())
    }
}

impl Provider for Scripted {
    fn complete<'p>(&'p self, request: &'p Request) -> Pending<'p> {
        let number = self.requests.borrow().len();
        self.requests.borrow_mut().push(request.clone());
        self.running.set(self.running.get() + 1);
        self.most_running.set(self.most_running.get().max(self.running.get()));
        let result = match (self.script)(number, request) {
            Reply::Text(text) => Ok(Answer { text, ..Answer::default() }),
            Reply::CutOff(text) => Ok(Answer { text, stop: Stop::Length, ..Answer::default() }),
            Reply::Refusal => Ok(Answer { stop: Stop::Refused, text: "I cannot help with that.".into(), usage: None }),
            Reply::Error(class) => Err(ProviderError::new(class, "scripted")),
            Reply::TooLong(limit) => {
                Err(ProviderError { limit, ..ProviderError::new(ErrorClass::ContextLength, "too long") })
            }
        };
        // The later a request, the sooner its answer: whoever relies on the order of arrival gets it wrong.
        let polls = self.patience.get().saturating_sub(number);
        Box::pin(Later { polls, result: Some(result), provider: self })
    }

    fn window(&self) -> u64 {
        self.window
    }
}

/// Runs a future to its end on this thread.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    for _ in 0..1_000_000 {
        if let Poll::Ready(result) = future.as_mut().poll(&mut context) {
            return result;
        }
    }
    panic!("the future never came to its end");
}
