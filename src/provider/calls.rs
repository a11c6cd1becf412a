//! Asking, within bounds: a cap on requests for each compaction, one place that keeps what went wrong.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::Pin;
use std::task::Poll;

use crate::error::{Boxed, Error};
use crate::policy::Policy;
use crate::provider::{ErrorClass, Provider, ProviderError, Providers, Purpose, Request, RequestMessage, Stop, Usage};
use crate::tokens::{TokenCounter, prose, suffix_within};
use crate::transcript::ModelUse;

/// The requests of one compaction.
pub(crate) struct Calls<'p> {
    pub policy: &'p Policy,
    counter: &'p dyn TokenCounter,
    providers: Providers<'p>,
    made: Cell<u32>,
    usage: Cell<Usage>,
    /// The host gave up: nothing more is asked.
    aborted: Cell<bool>,
    /// Whether something was not written by a model, though one was asked for it.
    gave_up: Cell<bool>,
    /// The failures that were met, the first of each class.
    failures: RefCell<Vec<ProviderError>>,
}

/// A beginning of what the chat's own model was sent last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shown {
    pub messages: usize,
    /// Its size, what is sent beside the messages included.
    pub tokens: u64,
}

/// Why there is no text.
#[derive(Debug)]
pub(crate) enum NoText {
    /// The request was longer than the model reads; its limit, where known.
    TooLong(Option<u64>),
    /// Something else; whether the same request may be sent again.
    Failed { again: bool },
    /// There is no model, or the cap is reached.
    NotAsked,
}

impl<'p> Calls<'p> {
    pub(crate) fn new(policy: &'p Policy, providers: Providers<'p>, counter: &'p dyn TokenCounter) -> Self {
        Self {
            policy,
            counter,
            providers,
            made: Cell::new(0),
            usage: Cell::default(),
            aborted: Cell::new(false),
            gave_up: Cell::new(false),
            failures: RefCell::default(),
        }
    }

    /// How many requests were made.
    pub(crate) fn made(&self) -> u32 {
        self.made.get()
    }

    /// What was asked and what it cost; `None` when nothing was.
    pub(crate) fn spent(&self) -> Option<ModelUse> {
        let Usage { input_tokens, output_tokens } = self.usage.get();
        Some(ModelUse { requests: self.made.get(), input_tokens, output_tokens }).filter(|spent| spent.requests > 0)
    }

    pub(crate) fn failures(&self) -> Vec<ProviderError> {
        self.failures.borrow().clone()
    }

    /// A text as it may leave: without what the policy and the host take out.
    pub(crate) fn redacted<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let cleaned = self.policy.redact.apply(text);
        let Some(redact) = self.providers.redact else { return cleaned };
        let twice = redact(&cleaned);
        if twice == text { Cow::Borrowed(text) } else { Cow::Owned(twice) }
    }

    /// Tokens of a text.
    pub(crate) fn tokens(&self, text: &str) -> u64 {
        u64::from(self.counter.count(text))
    }

    /// The newest part of a text that has so many tokens at most.
    pub(crate) fn newest<'t>(&self, text: &'t str, most: u64) -> &'t str {
        let most = u32::try_from(most).unwrap_or(u32::MAX);
        text.get(suffix_within(self.counter, text, most, prose(most))..).unwrap_or_default()
    }

    /// Whether the model for a purpose can be asked behind the beginning of the chat.
    pub(crate) fn reads_prefix(&self, purpose: Purpose) -> bool {
        self.providers.of(purpose).is_some_and(Provider::reads_prefix)
    }

    /// What the model for a purpose reads and writes, tokens; `None` without one.
    pub(crate) fn window(&self, purpose: Purpose) -> Option<u64> {
        Some(self.providers.of(purpose)?.window().max(1))
    }

    /// Sends one request.
    ///
    /// # Errors
    /// [`Error::Aborted`] when the host gave up; everything else is a [`NoText`].
    pub(crate) async fn ask(
        &self,
        purpose: Purpose,
        prompt: String,
        max_tokens: u64,
    ) -> Boxed<std::result::Result<String, NoText>> {
        self.ask_after(None, purpose, prompt, max_tokens).await
    }

    /// The same behind the beginning of the chat, for a provider that reads it.
    pub(crate) async fn ask_after(
        &self,
        shown: Option<Shown>,
        purpose: Purpose,
        prompt: String,
        max_tokens: u64,
    ) -> Boxed<std::result::Result<String, NoText>> {
        if self.aborted.get() {
            return Err(Box::new(Error::Aborted));
        }
        let Some(provider) = self.providers.of(purpose) else { return Ok(Err(NoText::NotAsked)) };
        // What would not fit is not sent: every caller keeps to the window, this holds them to it.
        let tokens = u64::from(self.counter.count(&prompt)) + shown.map_or(0, |shown| shown.tokens);
        if self.made.get() >= self.policy.max_provider_calls || tokens.saturating_add(max_tokens) > provider.window() {
            return Ok(Err(NoText::NotAsked));
        }
        self.made.set(self.made.get() + 1);
        let timeout_ms = match purpose {
            Purpose::Goal | Purpose::Subgoal => self.policy.goal_timeout_ms,
            _ => self.policy.llm_timeout_ms,
        };
        let messages = vec![RequestMessage { role: "user".to_owned(), content: prompt }];
        let prefix = shown.map(|shown| shown.messages);
        let number = self.made.get();
        let request = Request { number, purpose, messages, tokens, max_tokens, timeout_ms, prefix };
        let result = provider.complete(&request).await;
        if let Some(usage) = result.as_ref().ok().and_then(|answer| answer.usage) {
            let Usage { input_tokens, output_tokens } = self.usage.get();
            self.usage.set(Usage {
                input_tokens: input_tokens.saturating_add(usage.input_tokens),
                output_tokens: output_tokens.saturating_add(usage.output_tokens),
            });
        }
        let error = match result {
            Ok(answer) if answer.stop == Stop::Refused => ProviderError::new(ErrorClass::Refused, "the model refused"),
            Ok(answer) if answer.text.trim().is_empty() && answer.stop == Stop::Length => {
                ProviderError::new(ErrorClass::Truncated, "the answer ends before its first word")
            }
            Ok(answer) if answer.text.trim().is_empty() => {
                ProviderError::new(ErrorClass::Blank, "the answer holds no text")
            }
            // An answer that ran into its limit still says most of what it would have said.
            Ok(answer) => return Ok(Ok(answer.text)),
            Err(error) => error,
        };
        let class = error.class;
        if class == ErrorClass::Aborted {
            self.aborted.set(true);
            return Err(Box::new(Error::Aborted));
        }
        let no_text = match class {
            ErrorClass::ContextLength => NoText::TooLong(error.limit),
            // Whoever guards a provider has tried again; what it was answered in vain may still be asked once more.
            _ => NoText::Failed { again: class.may_pass() && !(provider.retries() && class.is_no_answer()) },
        };
        self.fail(error);
        Ok(Err(no_text))
    }

    /// Keeps a failure, if it is the first of its class.
    fn fail(&self, error: ProviderError) {
        let mut failures = self.failures.borrow_mut();
        if failures.iter().all(|failure| failure.class != error.class) {
            failures.push(error);
        }
    }

    /// The model reads too little to be asked at all.
    pub(crate) fn is_too_small(&self, window: u64) {
        let message = format!("the model reads only {window} tokens, too little to summarise with");
        self.fail(ProviderError { limit: Some(window), ..ProviderError::new(ErrorClass::ContextLength, message) });
        self.give_up();
    }

    /// Something was not written by a model, though one was asked for it.
    pub(crate) fn give_up(&self) {
        self.gave_up.set(true);
    }

    /// The failure that something was not written for.
    pub(crate) fn fatal(&self) -> Option<ProviderError> {
        self.failures().into_iter().next().filter(|_| self.gave_up.get())
    }
}

/// Something that waits for answers.
pub(crate) type Asked<'f, T> = Pin<Box<dyn Future<Output = Boxed<T>> + 'f>>;

/// Runs futures, at most `most` at a time, and gives their results in the order of the futures (B-10).
pub(crate) async fn in_order<T>(futures: Vec<Pin<Box<dyn Future<Output = T> + '_>>>, most: usize) -> Vec<T> {
    let mut waiting: Vec<_> = futures.into_iter().map(Some).collect();
    let mut done: Vec<Option<T>> = waiting.iter().map(|_| None).collect();
    std::future::poll_fn(move |context| {
        let mut running = 0;
        for (future, place) in waiting.iter_mut().zip(&mut done) {
            let Some(pending) = future else { continue };
            if running == most.max(1) {
                break;
            }
            match pending.as_mut().poll(context) {
                Poll::Ready(result) => {
                    *place = Some(result);
                    *future = None;
                }
                Poll::Pending => running += 1,
            }
        }
        if waiting.iter().any(Option::is_some) {
            return Poll::Pending;
        }
        Poll::Ready(done.iter_mut().filter_map(Option::take).collect())
    })
    .await
}
