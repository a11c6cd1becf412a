//! A provider of one's own: an HTTP client in thirty lines, with attempts and limits around it.
//!
//! `cargo run --example provider -- tests/data/coding-agent.json http://127.0.0.1:11434/v1 qwen3`
//!
//! The client here is `std::net`, so that the example needs nothing else; it speaks plain HTTP and waits. Use the client
//! that you have: `Endpoint` says what to send, and `Reader` understands what comes back, in whatever pieces it comes.

use std::future::Future;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use epitome::wire::{Endpoint, Head, Reader, Wire};
use epitome::{
    Answer, CompactOptions, ErrorClass, Guarded, Heuristic, Limits, Messages, Pending, Progress, Provider,
    ProviderError, Providers, Request, Runtime, Shared, Sleep, compact, count_messages,
};

/// A model behind an address.
struct Http(Endpoint);

impl Provider for Http {
    fn complete<'p>(&'p self, request: &'p Request) -> Pending<'p> {
        Box::pin(async { self.ask(request) })
    }
}

impl Http {
    fn ask(&self, request: &Request) -> Result<Answer, ProviderError> {
        let outgoing = self.0.outgoing(request);
        let lost = |error: std::io::Error| ProviderError::new(ErrorClass::Network, error.to_string());
        let (host, path) = split(&outgoing.url);
        let mut stream = TcpStream::connect(&host).map_err(lost)?;
        stream.set_read_timeout(Some(Duration::from_millis(u64::from(request.timeout_ms)))).map_err(lost)?;
        write!(stream, "POST {path} HTTP/1.0\r\nhost: {host}\r\ncontent-length: {}\r\n", outgoing.body.len())
            .map_err(lost)?;
        for (name, value) in &outgoing.headers {
            write!(stream, "{name}: {value}\r\n").map_err(lost)?;
        }
        if let Ok(key) = std::env::var("EPITOME_API_KEY") {
            write!(stream, "authorization: Bearer {key}\r\n").map_err(lost)?;
        }
        write!(stream, "\r\n{}", outgoing.body).map_err(lost)?;
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).map_err(lost)?;
        let text = String::from_utf8_lossy(&bytes);
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let header = |name: &str| {
            let line = head.lines().find(|line| line.to_ascii_lowercase().starts_with(name));
            line.and_then(|line| line.split_once(':')).map(|(_, value)| value.trim())
        };
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        let mut reader = Reader::new(
            self.0.wire,
            &Head {
                status,
                content_type: header("content-type").unwrap_or_default(),
                retry_after: header("retry-after"),
                retry_after_ms: None,
                now_ms: 0.0,
            },
        );
        reader.push(body.as_bytes())?;
        reader.finish()
    }
}

fn split(url: &str) -> (String, String) {
    let rest = url.strip_prefix("http://").unwrap_or(url);
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    (host.to_owned(), format!("/{path}"))
}

/// Clock, timers and somebody who listens.
struct Terminal(Instant);

impl Runtime for Terminal {
    fn now_ms(&self) -> f64 {
        self.0.elapsed().as_secs_f64() * 1_000.0
    }

    fn random(&self) -> f64 {
        // Good enough to keep two programs from coming back at the same moment.
        f64::from(self.0.elapsed().subsec_nanos() % 1_000) / 1_000.0
    }

    fn sleep(&self, ms: f64) -> Sleep<'_> {
        Box::pin(async move { std::thread::sleep(Duration::from_secs_f64(ms / 1_000.0)) })
    }

    fn progress(&self, event: &Progress<'_>) {
        println!("  {event:?}");
    }
}

/// Everything above waits by itself, so that nothing is ever pending for long.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return value;
        }
    }
}

#[allow(clippy::disallowed_methods, reason = "a program has a clock; the crate has none")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, file, base_url, model] = arguments.as_slice() else {
        println!("usage: provider FILE http://HOST:PORT/v1 MODEL");
        return Ok(());
    };
    let messages = Messages::from_json(&std::fs::read_to_string(file)?)?;
    let endpoint = Endpoint {
        wire: Wire::OpenaiChat,
        base_url: base_url.clone(),
        model: model.clone(),
        query: Vec::new(),
        body: None,
        stream: false,
    };
    let terminal = Terminal(Instant::now());
    let limits = Limits { attempts: 2, ..Limits::default() };
    let model = Guarded::new(model, Box::new(Http(endpoint)), limits, Rc::<Shared>::default(), &terminal);

    let before = count_messages(&messages, None, &Heuristic)?;
    let options = CompactOptions::new(before / 16, Providers::all(&model));
    let fitted = block_on(compact(&messages, &options, &Heuristic))?;
    println!("{before} -> {} tokens, {:?}", fitted.report.after, fitted.report.models);
    for warning in &fitted.report.warnings {
        println!("note: {} ({})", warning.message, warning.code);
    }
    Ok(())
}
