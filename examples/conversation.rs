//! A conversation that keeps itself within a window, with a model behind a trait:
//! `cargo run --example conversation -- tests/data/coding-agent.json 12000`.
//!
//! The "model" here answers from a template, so that the example needs no key. A real one sends `request.messages` to an
//! endpoint and keeps to `request.timeout_ms`.

use std::error::Error;
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use epitome::{
    Answer, Budget, Conversation, ConversationOptions, Heuristic, Messages, Pending, Provider, Providers, Request,
};

struct Template;

impl Provider for Template {
    fn complete<'p>(&'p self, request: &'p Request) -> Pending<'p> {
        Box::pin(async move {
            let words =
                request.messages.iter().map(|message| message.content.split_whitespace().count()).sum::<usize>();
            let names = request.messages.iter().flat_map(|message| message.content.split_whitespace());
            let files: Vec<&str> = names.filter(|word| word.contains('/') && word.len() < 60).take(8).collect();
            let text = format!("1. User Intent: {words} words were read.\n3. Files & Code: {}", files.join(" "));
            Ok(Answer { text, ..Answer::default() })
        })
    }

    fn window(&self) -> u64 {
        32_000
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(file), Some(window)) = (arguments.next(), arguments.next()) else {
        return Err("usage: conversation CONVERSATION.json WINDOW".into());
    };
    let history = Messages::from_json(&std::fs::read_to_string(file)?)?;
    let budget = Budget::Window { window: window.parse()?, reserve: None, overhead: 0 };
    let mut talk = Conversation::new(ConversationOptions::new(budget), &Heuristic)?;
    for text in history.iter() {
        let mut message = Messages::default();
        message.push_json(text)?;
        talk.append(&message)?;
        let done = run(talk.turn(Providers::all(&Template)))?;
        if let Some(report) = done.report {
            println!(
                "{:3} messages: {:6} -> {:5} tokens, {:?}",
                talk.messages().len(),
                report.before,
                report.after,
                done.events
            );
        }
    }
    println!("{} tokens of {} go to the model", talk.tokens(), talk.limit());
    // Everything that has to be stored beside the messages.
    println!("{}", serde_json::to_string(&talk.state().guards)?);
    Ok(())
}

/// Enough of an executor for futures that never wait.
fn run<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(done) = future.as_mut().poll(&mut context) {
            return done;
        }
    }
}
