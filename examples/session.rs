//! A conversation that outlives the program, in files:
//! `cargo run --example session -- target/conversations talk tests/data/coding-agent.json 12000`.
//!
//! Run it twice: the second time nothing is appended, because the conversation is there already, and the view is the same.
//! Without a model summaries are written offline; `conversation.rs` shows how to ask one.

use std::error::Error;
use std::future::Future;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::SystemTime;

use epitome::store::FileStore;
use epitome::{
    Budget, ConversationOptions, Heuristic, Messages, Providers, Session, SessionEvent, SessionHost, SessionOptions,
};

/// The clock, chance and the log of this program.
struct Host;

impl SessionHost for Host {
    #[expect(clippy::disallowed_methods, reason = "the library has no clock, a program has")]
    fn now_ms(&self) -> f64 {
        SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64() * 1_000.0)
    }

    fn random(&self) -> f64 {
        // Different for every program and every call: a crate like `rand` does it better.
        let nanoseconds = self.now_ms().fract();
        (nanoseconds + f64::from(std::process::id()) / 4_194_304.0).fract()
    }

    fn event(&self, event: &SessionEvent) {
        if let SessionEvent::Compaction(made) = event {
            println!("compaction {}: {} -> {} tokens", made.id, made.tokens_before, made.tokens_after);
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, name, file, window] = &arguments[..] else {
        return Err("usage: session FOLDER NAME CONVERSATION.json WINDOW".into());
    };
    let budget = Budget::Window { window: window.parse()?, reserve: None, overhead: 0 };
    let options = SessionOptions::new(name, ConversationOptions::new(budget));
    let store = Rc::new(FileStore::open(folder)?);
    let session = run(Session::open(options, store, Rc::new(Heuristic), Rc::new(Host)))?;

    let history = Messages::from_json(&std::fs::read_to_string(file)?)?;
    let known = session.meter().entries;
    for text in history.iter().skip(usize::try_from(known)?) {
        let mut message = Messages::default();
        message.push_json(text)?;
        // It is on the disk when this returns.
        run(session.append(&message))?;
        run(session.prepare(Providers::default()))?;
    }

    let meter = session.meter();
    println!(
        "{} messages, of which {} are hidden; {} of {} tokens",
        meter.entries, meter.hidden, meter.tokens, meter.limit
    );
    for made in run(session.compactions())? {
        println!("compaction {} hid {:?} and edited {:?}", made.id, made.hidden, made.edited);
    }
    for found in run(session.search("error", 3))? {
        println!("found in message {}: {:.60}", found.entry.id, found.excerpt.replace('\n', " "));
    }
    Ok(())
}

/// Files answer at once, so a loop is executor enough.
fn run<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return value;
        }
    }
}
