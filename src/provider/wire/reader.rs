//! Reading a body in whatever pieces it comes.
//!
//! Proxies answer whole to who asked for a stream, and the other way round, so the body itself says what it is: events,
//! lines of JSON, or one piece of JSON. Each event, line or piece is a value that the wire reads by itself. Bytes become
//! text only where a line or the body is at its end, so no character is ever split.

use serde::de::IgnoredAny;

use super::draft::Draft;
use super::failure::{self, malformed, unreadable};
use super::openai_chat::text_of;
use super::{Head, Wire, wait};
use crate::json;
use crate::provider::{Answer, ErrorClass, ProviderError};
use crate::text::find;
use crate::value::Value;

/// Larger bodies are no answers, bytes.
const LARGEST_BODY: usize = 8 << 20;

/// Larger events and lines are no pieces of one, bytes.
const LARGEST_EVENT: usize = 4 << 20;

/// So much of an error is read, bytes. What it says comes first.
const LARGEST_ERROR: usize = 64 << 10;

/// What a model may well say twice in a row, characters.
const LONGEST_WORD: usize = 16;

/// How events begin.
const EVENT_FIELDS: [&[u8]; 5] = [b":", b"data:", b"event:", b"id:", b"retry:"];

const BOM: &[u8] = b"\xEF\xBB\xBF";

type Result<T> = std::result::Result<T, ProviderError>;

/// Reads one answer. Once it has failed, it stays so.
///
/// A connection that breaks or falls silent may be finished too: there is an answer if the service had come to its end,
/// which Gemini and some others do not announce by closing.
#[derive(Debug)]
pub struct Reader {
    wire: Wire,
    status: u16,
    content_type: String,
    wait: Option<u64>,
    /// Bytes so far.
    size: usize,
    form: Form,
    /// The body so far, where it is read at once; else the line that has no end yet.
    buffer: Vec<u8>,
    /// The last line ended in a carriage return: a line feed would belong to it.
    after_return: bool,
    event: Event,
    last: Last,
    draft: Draft,
    failed: Option<ProviderError>,
}

/// What a body turns out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Unknown,
    /// To be read at its end.
    Whole,
    /// Lines of JSON; `first` until one was read.
    Lines {
        first: bool,
    },
    Events,
}

/// The event that is being read.
#[derive(Debug, Default)]
struct Event {
    name: String,
    data: String,
}

/// What repeated events are recognised by.
#[derive(Debug, Default)]
struct Last {
    data: String,
    /// Events so far.
    count: usize,
    sequence: Option<u64>,
    /// The stream began with the same event twice: whoever passed it on repeats every event.
    doubled: bool,
    /// The last event was such a repetition.
    repeated: bool,
}

impl Reader {
    /// Prepares to read what comes after `head`.
    #[must_use]
    pub fn new(wire: Wire, head: &Head<'_>) -> Self {
        Self {
            wire,
            status: head.status,
            content_type: head.content_type.to_ascii_lowercase(),
            wait: wait::asked(head),
            size: 0,
            form: Form::Unknown,
            buffer: Vec::new(),
            after_return: false,
            event: Event::default(),
            last: Last::default(),
            draft: Draft::default(),
            failed: None,
        }
    }

    /// Takes the next bytes of the body. Returns how many characters of text are new; a body that is not a stream has
    /// none before its end.
    ///
    /// # Errors
    /// What the service says of an error, or that the body is too large or of another kind.
    pub fn push(&mut self, bytes: &[u8]) -> Result<usize> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        if self.is_complete() {
            return Ok(0);
        }
        let before = self.draft.added;
        self.read(bytes).map_err(|error| self.fail(error))?;
        Ok(self.draft.added - before)
    }

    /// The service has said that the answer is complete, or enough of its error was read: nothing else need be awaited.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.draft.complete || (!self.is_success() && self.size >= LARGEST_ERROR)
    }

    /// The body is at its end.
    ///
    /// # Errors
    /// Whatever is no answer with text in it.
    pub fn finish(mut self) -> Result<Answer> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        let end = if self.draft.complete { Ok(()) } else { self.end() };
        end.and_then(|()| std::mem::take(&mut self.draft).into_answer()).map_err(|error| self.fail(error))
    }

    fn is_success(&self) -> bool {
        // 204 and 205 have no body.
        matches!(self.status, 200..=299) && !matches!(self.status, 204 | 205)
    }

    /// Keeps an error, with the wait that the headers ask for.
    fn fail(&mut self, mut error: ProviderError) -> ProviderError {
        error.retry_after_ms = self.wait.or(error.retry_after_ms);
        self.failed = Some(error.clone());
        error
    }

    fn read(&mut self, bytes: &[u8]) -> Result<()> {
        self.size = self.size.saturating_add(bytes.len());
        if !self.is_success() {
            let room = LARGEST_ERROR.saturating_sub(self.buffer.len());
            self.buffer.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
            return Ok(());
        }
        if self.size > LARGEST_BODY {
            return Err(malformed("the answer is larger than 8 MiB"));
        }
        match self.form {
            Form::Whole => self.buffer.extend_from_slice(bytes),
            Form::Events | Form::Lines { .. } => self.lines(bytes)?,
            Form::Unknown => {
                self.buffer.extend_from_slice(bytes);
                let rest = beginning(&self.buffer);
                self.form = form(rest, &self.content_type, self.wire);
                if matches!(self.form, Form::Events | Form::Lines { .. }) {
                    let rest = rest.to_vec();
                    self.buffer.clear();
                    self.lines(&rest)?;
                }
            }
        }
        Ok(())
    }

    /// Cuts bytes into lines. They end in a line feed, a carriage return, or both.
    fn lines(&mut self, mut bytes: &[u8]) -> Result<()> {
        while !self.draft.complete {
            if std::mem::take(&mut self.after_return)
                && let Some(rest) = bytes.strip_prefix(b"\n")
            {
                bytes = rest;
            }
            let end = bytes.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
            let (line, rest) = bytes.split_at(end.unwrap_or(bytes.len()));
            if self.buffer.len() + self.event.data.len() + line.len() > LARGEST_EVENT {
                return Err(malformed("one event of the answer is larger than 4 MiB"));
            }
            self.buffer.extend_from_slice(line);
            let Some((byte, rest)) = rest.split_first() else { break };
            bytes = rest;
            self.after_return = *byte == b'\r' && bytes.is_empty();
            if *byte == b'\r' {
                bytes = bytes.strip_prefix(b"\n").unwrap_or(bytes);
            }
            let line = std::mem::take(&mut self.buffer);
            if self.form == Form::Events {
                self.event_line(&String::from_utf8_lossy(&line))?;
            } else if !self.json_line(&String::from_utf8_lossy(&line))? {
                // The first line is no JSON by itself: it is JSON over several lines.
                self.form = Form::Whole;
                self.buffer = [&line, b"\n".as_slice(), bytes].concat();
                return Ok(());
            }
        }
        Ok(())
    }

    /// Reads a line of an event stream, as the HTML standard has it.
    fn event_line(&mut self, line: &str) -> Result<()> {
        if line.is_empty() {
            return self.event_end(false);
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "data" => {
                self.event.data.push_str(value);
                self.event.data.push('\n');
            }
            "event" => value.clone_into(&mut self.event.name),
            _ => {}
        }
        Ok(())
    }

    /// An event is at its end. With the `last` one the body is, too: that event may be cut off.
    fn event_end(&mut self, last: bool) -> Result<()> {
        let Event { name, data } = std::mem::take(&mut self.event);
        let data = data.strip_suffix('\n').unwrap_or(&data);
        if data.trim().is_empty() {
            return Ok(());
        }
        if data.trim() == "[DONE]" {
            self.draft.done();
            return Ok(());
        }
        match json::parse(data, None) {
            Ok(value) => self.piece(&name, data, &value),
            Err(_) if last || matches!(name.as_str(), "ping" | "keepalive" | "heartbeat") => Ok(()),
            Err(_) => Err(unreadable("", data)),
        }
    }

    /// Reads one line of JSON. `false` when it was the first and is none.
    fn json_line(&mut self, line: &str) -> Result<bool> {
        if line.trim().is_empty() {
            return Ok(true);
        }
        let first = self.form == Form::Lines { first: true };
        self.form = Form::Lines { first: false };
        match json::parse(line, None) {
            Ok(value) => self.piece("", line, &value).map(|()| true),
            Err(_) if first => Ok(false),
            Err(_) => Err(unreadable("", line)),
        }
    }

    /// Reads one piece of a stream, unless it is the one before once more.
    fn piece(&mut self, event: &str, text: &str, value: &Value<'_>) -> Result<()> {
        if self.is_repeated(text, value) { Ok(()) } else { self.value(event, value) }
    }

    /// Reads one value of the answer.
    fn value(&mut self, event: &str, value: &Value<'_>) -> Result<()> {
        if self.draft.complete {
            return Ok(());
        }
        let kind = match text_of(value, "type") {
            _ if event == "error" => event,
            "" => event,
            kind => kind,
        };
        if let Some(error) = failure::told_in(value, kind) {
            return Err(error);
        }
        self.wire.take(&mut self.draft, kind, value)
    }

    /// Whether an event came before: by its number where it has one, else where it can come only once. Two pieces of
    /// text may well be equal, but not two that say who speaks, or when, or that are sentences.
    fn is_repeated(&mut self, text: &str, value: &Value<'_>) -> bool {
        let last = &mut self.last;
        let same = last.data == text;
        last.count += 1;
        let sequence = Draft::number(value, "sequence_number");
        if let (Some(now), Some(before)) = (sequence, last.sequence)
            && (now < before || (now == before && same))
        {
            return true;
        }
        last.sequence = sequence.or(last.sequence);
        let once = !(1..=LONGEST_WORD).contains(&self.draft.added) || text_of(value, "created_at").contains('.');
        last.doubled |= same && last.count == 2 && once;
        last.repeated = same && (self.draft.is_ended() || (last.doubled && !last.repeated));
        if !same {
            text.clone_into(&mut last.data);
        }
        last.repeated
    }

    /// Reads what is left at the end of the body.
    fn end(&mut self) -> Result<()> {
        let rest = std::mem::take(&mut self.buffer);
        let text = String::from_utf8_lossy(&rest);
        if !self.is_success() {
            return Err(failure::of_response(self.status, &self.content_type, &text));
        }
        match self.form {
            // The first line may be the only one.
            Form::Unknown | Form::Whole | Form::Lines { first: true } => self.whole(&text)?,
            // What cannot be read below was cut off.
            Form::Events => {
                if !text.is_empty() {
                    self.event_line(&text)?;
                }
                self.event_end(true)?;
            }
            Form::Lines { first: false } => {
                if let Ok(value) = json::parse(&text, None) {
                    self.piece("", &text, &value)?;
                }
            }
        }
        if self.draft.is_ended() {
            return Ok(());
        }
        let nothing = matches!(self.form, Form::Events) && self.last.count == 0;
        if self.draft.known || nothing {
            return Err(ProviderError::new(ErrorClass::Truncated, "the answer ends before it is complete"));
        }
        Err(unreadable(&self.content_type, if self.form == Form::Events { &self.last.data } else { &text }))
    }

    /// Reads a body at once: one piece of JSON, or several, one on each line.
    fn whole(&mut self, text: &str) -> Result<()> {
        let text = text.trim_matches(['\u{FEFF}', ' ', '\t', '\r', '\n']);
        if text.is_empty() {
            let class = if is_stream(&self.content_type) { ErrorClass::Truncated } else { ErrorClass::Blank };
            return Err(ProviderError::new(class, "the answer is empty"));
        }
        if let Ok(value) = json::parse(text, None) {
            self.draft.whole = true;
            let pieces = value.as_array().unwrap_or(std::slice::from_ref(&value));
            return pieces.iter().try_for_each(|piece| self.value("", piece));
        }
        let mut lines = text.lines().peekable();
        if lines.peek().is_some_and(|line| line.starts_with('{') && json::parse(line, None).is_ok()) {
            self.form = Form::Lines { first: false };
            while let Some(line) = lines.next() {
                // The last line may be cut off.
                if lines.peek().is_some() || json::parse(line, None).is_ok() {
                    self.json_line(line)?;
                }
            }
            return Ok(());
        }
        if text.starts_with(['{', '[']) && serde_json::from_str::<IgnoredAny>(text).is_err_and(|error| error.is_eof()) {
            return Err(ProviderError::new(ErrorClass::Truncated, "the answer ends before it is complete"));
        }
        Err(unreadable(&self.content_type, text))
    }
}

/// The body without what may stand before it.
fn beginning(body: &[u8]) -> &[u8] {
    body.strip_prefix(BOM).unwrap_or(body).trim_ascii_start()
}

/// What a body is that begins like this.
fn form(beginning: &[u8], content_type: &str, wire: Wire) -> Form {
    let lines = || wire == Wire::Ollama || (is_stream(content_type) && find(content_type, "event-stream").is_none());
    match beginning.first() {
        None => Form::Unknown,
        Some(b'{') if lines() => Form::Lines { first: true },
        Some(b'{' | b'[' | b'<') => Form::Whole,
        Some(_) if BOM.starts_with(beginning) => Form::Unknown,
        Some(_) if find(content_type, "event-stream").is_some() => Form::Events,
        Some(_) if EVENT_FIELDS.iter().any(|field| beginning.starts_with(field)) => Form::Events,
        Some(_) if EVENT_FIELDS.iter().any(|field| field.starts_with(beginning)) => Form::Unknown,
        Some(_) => Form::Whole,
    }
}

/// Whether a content type is one of streams.
fn is_stream(content_type: &str) -> bool {
    ["event-stream", "ndjson", "jsonl", "json-lines", "stream+json", "json-seq"]
        .iter()
        .any(|kind| find(content_type, kind).is_some())
}
