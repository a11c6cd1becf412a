//! Reading a body in whatever pieces it comes.
//!
//! Proxies answer whole to who asked for a stream, and the other way round, so the body itself says what it is: events,
//! lines of JSON, or one piece of JSON. Each event, line or piece is a value that the wire reads by itself. Bytes become
//! text only where a line or the body is at its end, so no character is ever split.

use super::draft::Draft;
use super::failure::{self, bare, malformed, unreadable};
use super::openai_chat::text_of;
use super::request::until;
use super::{Head, Wire, wait};
use crate::json;
use crate::provider::{Answer, ErrorClass, ProviderError};
use crate::text::find;
use crate::value::Value;

/// Larger bodies are no answers, nor are larger texts, bytes.
const LARGEST_BODY: usize = 2 << 20;

/// Nor are longer streams, bytes. A model that thinks aloud sends some three hundred for each token.
const LONGEST_STREAM: usize = 32 << 20;

/// Larger events and lines are no pieces of one, bytes.
const LARGEST_EVENT: usize = 2 << 20;

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
/// Where a connection breaks or falls silent the reader may be finished all the same: there is an answer if the service
/// had said how it ends. Gemini has no other last word than that, so its answers are complete only with the body.
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
            self.buffer.extend_from_slice(bytes);
            return Ok(());
        }
        let is_stream = matches!(self.form, Form::Events | Form::Lines { .. });
        if self.size > if is_stream { LONGEST_STREAM } else { LARGEST_BODY } || self.draft.text.len() > LARGEST_BODY {
            return Err(malformed("the answer is larger than an answer can be"));
        }
        match self.form {
            Form::Whole => self.buffer.extend_from_slice(bytes),
            Form::Events | Form::Lines { .. } => self.lines(bytes)?,
            Form::Unknown => {
                self.buffer.extend_from_slice(bytes);
                let rest = beginning(&self.buffer);
                self.form = form(rest, &self.content_type, self.wire);
                if rest.is_empty() {
                    self.buffer.clear();
                } else if matches!(self.form, Form::Events | Form::Lines { .. }) {
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
        if !bytes.is_empty() && std::mem::take(&mut self.after_return) {
            bytes = bytes.strip_prefix(b"\n").unwrap_or(bytes);
        }
        while !self.draft.complete {
            let end = bytes.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
            let (line, rest) = bytes.split_at(end.unwrap_or(bytes.len()));
            if self.buffer.len() + self.event.data.len() + line.len() > LARGEST_EVENT {
                return Err(malformed("one event of the answer is larger than 2 MiB"));
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
                self.event_line(&as_text(&line))?;
            } else if !self.json_line(&as_text(&line))? {
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
        let field = until(line, b":");
        let value = line.get(field.len() + 1..).unwrap_or_default();
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
            // Errors need not be JSON.
            Err(_) if name == "error" => self.value(&name, &Value::String(data.into())),
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
        let once = !(1..=LONGEST_WORD).contains(&self.draft.added)
            || text_of(value, "created_at").bytes().any(|byte| byte == b'.');
        last.doubled |= same && last.count == 2 && once;
        last.repeated = same && (self.draft.is_ended() || (last.doubled && !last.repeated));
        if !same {
            text.clone_into(&mut last.data);
        }
        last.repeated
    }

    /// Reads what is left at the end of the body.
    fn end(&mut self) -> Result<()> {
        let text = as_text(&std::mem::take(&mut self.buffer));
        let text = bare(&text);
        if !self.is_success() {
            return Err(failure::of_response(self.status, &self.content_type, text));
        }
        match self.form {
            // The first line may be the only one.
            Form::Unknown | Form::Whole | Form::Lines { first: true } => self.whole(text)?,
            Form::Lines { first: false } => self.last_line(text)?,
            Form::Events => {
                if !text.is_empty() {
                    self.event_line(text)?;
                }
                self.event_end(true)?;
            }
        }
        if self.draft.is_ended() {
            return Ok(());
        }
        let nothing = self.form == Form::Events && self.last.count == 0;
        if self.draft.known || nothing {
            return Err(cut_off());
        }
        Err(unreadable(&self.content_type, if self.form == Form::Events { &self.last.data } else { text }))
    }

    /// Reads the last line. One that cannot be read was cut off.
    fn last_line(&mut self, line: &str) -> Result<()> {
        json::parse(line, None).map_or(Ok(()), |value| self.piece("", line, &value))
    }

    /// Reads a body at once: one piece of JSON, or several, one on each line.
    fn whole(&mut self, text: &str) -> Result<()> {
        if text.is_empty() {
            let class = if is_stream(&self.content_type) { ErrorClass::Truncated } else { ErrorClass::Blank };
            return Err(ProviderError::new(class, "the answer is empty"));
        }
        if let Ok(value) = json::parse(text, None) {
            self.draft.whole = true;
            let pieces = value.as_array().unwrap_or(std::slice::from_ref(&value));
            return pieces.iter().try_for_each(|piece| self.value("", piece));
        }
        let first = until(text, b"\n");
        if first.starts_with('{') && json::parse(first, None).is_ok() {
            self.form = Form::Lines { first: false };
            self.lines(text.as_bytes())?;
            let rest = std::mem::take(&mut self.buffer);
            return self.last_line(&as_text(&rest));
        }
        let is_json = matches!(text.bytes().next(), Some(b'{' | b'['));
        if is_json && json::is_cut_off(text) {
            return Err(cut_off());
        }
        Err(unreadable(&self.content_type, text))
    }
}

/// Bytes as text, U+FFFD in place of what is none.
fn as_text(mut bytes: &[u8]) -> String {
    let mut out = String::new();
    loop {
        let (good, bad) = match std::str::from_utf8(bytes) {
            Ok(_) => (bytes.len(), 0),
            Err(error) => (error.valid_up_to(), error.error_len().unwrap_or(bytes.len())),
        };
        out.push_str(bytes.get(..good).and_then(|good| std::str::from_utf8(good).ok()).unwrap_or_default());
        if bad == 0 {
            return out;
        }
        out.push(char::REPLACEMENT_CHARACTER);
        bytes = bytes.get(good + bad..).unwrap_or_default();
    }
}

fn cut_off() -> ProviderError {
    ProviderError::new(ErrorClass::Truncated, "the answer ends before it is complete")
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

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::super::Wire;
    use super::super::testing::{class, head, read_as, read_json, read_pieces, read_stream, told};
    use super::{LARGEST_BODY, LARGEST_EVENT, LONGEST_STREAM, Reader};
    use crate::provider::ErrorClass;

    const CHUNK: &str = r#"{"choices":[{"index":0,"delta":{"content":"Grüße"}}]}"#;
    const LAST: &str = r#"{"choices":[{"index":0,"delta":{"content":"!"},"finish_reason":"stop"}]}"#;

    fn text(body: &str) -> String {
        told(read_stream(Wire::OpenaiChat, body)).0
    }

    #[test]
    fn lines_may_end_in_any_of_three_ways() {
        let stream = format!(": hello\nid: 7\nretry: 10\ndata: {CHUNK}\n\ndata: {LAST}\n\ndata: [DONE]\n\n");
        for end in ["\n", "\r", "\r\n"] {
            assert_eq!(text(&stream.replace('\n', end)), "Grüße!", "{end:?}");
        }
        let mixed = format!("data: {CHUNK}\r\n\ndata: {LAST}\r\r\ndata: [DONE]\n\r");
        let lines = format!("data: {}\n\ndata: {LAST}\n\n", CHUNK.replace(":[", ":\ndata: ["));
        assert_eq!(text(&lines.replace('\n', "\r\n")), "Grüße!", "one event of several lines");
        assert_eq!(text(&mixed), "Grüße!");
    }

    #[test]
    fn fields_are_read_as_the_standard_has_it() {
        for stream in [
            format!("\u{FEFF}data: {CHUNK}\n\ndata: {LAST}\n\n"),
            format!("\n \r\n\ndata: {CHUNK}\n\ndata: {LAST}\n\n"),
            format!("data:{CHUNK}\n\ndata:{LAST}\n\n"),
            format!("data:  {CHUNK}\n\ndata:\t{LAST}\n\n"),
            format!("data\nfoo: bar\n: data: x\ndata: {CHUNK}\n\nevent: x\n\nid\nretry: soon\ndata: {LAST}\n\n"),
            format!("data: {}\n\ndata: {LAST}\n\n", CHUNK.replace(":[", ":\ndata: [")),
            format!("event: ping\ndata: oops\n\ndata: \n\ndata: {CHUNK}\n\ndata: {LAST}"),
            format!("data: {CHUNK}\n\ndata: {LAST}\n\ndata: [DONE]"),
        ] {
            assert_eq!(text(&stream), "Grüße!", "{stream}");
        }
    }

    #[test]
    fn the_name_of_an_event_belongs_to_it_alone() {
        let stream = format!("event: error\n\ndata: {CHUNK}\n\ndata: {LAST}\n\n");
        assert_eq!(text(&stream), "Grüße!");
    }

    #[test]
    fn nothing_after_the_end_counts() {
        let stream = format!("data: {LAST}\n\ndata: [DONE]\n\ndata: {{\"error\":\"late\"}}\n\ndata: {CHUNK}\n\n");
        assert_eq!(text(&stream), "!");
        let mut reader = Reader::new(Wire::OpenaiChat, &head(200, "text/event-stream"));
        assert_eq!(reader.push(b"data: {\"choices\":[{\"delta\":{\"content\":\"\xC3\xA4\xC3\xB6\"}}]}\n"), Ok(0));
        assert_eq!(reader.push(b"\nda"), Ok(2), "two characters");
        assert!(!reader.is_complete());
        assert_eq!(reader.push(b"ta: [DONE]\n\n"), Ok(0));
        assert!(reader.is_complete());
        assert_eq!(reader.push(&vec![b'x'; LARGEST_BODY + 1]), Ok(0));
        assert_eq!(reader.finish().unwrap().text, "äö");
    }

    #[test]
    fn a_reader_that_failed_stays_so() {
        let mut head = head(200, "text/event-stream");
        head.retry_after = Some("2");
        let mut reader = Reader::new(Wire::OpenaiChat, &head);
        let failed = reader.push(b"data: {\"error\":\"gone\"}\n\n").unwrap_err();
        assert_eq!((failed.class, failed.retry_after_ms), (ErrorClass::Unavailable, Some(2_000)));
        assert_eq!(reader.push(format!("data: {LAST}\n\n").as_bytes()), Err(failed.clone()));
        assert_eq!(reader.finish(), Err(failed));
    }

    #[test]
    fn bytes_that_are_no_text_are_replaced() {
        let stream =
            [b"data: {\"choices\":[{\"delta\":{\"content\":\"a\xFFb\xC3\"},\"finish_reason\":\"stop\"}]}\n\n"
                .as_slice()];
        let answer = read_pieces(Wire::OpenaiChat, &head(200, "text/event-stream"), stream).unwrap();
        assert_eq!(answer.text, "a\u{FFFD}b\u{FFFD}");
        let body = [b"{\"choices\":[{\"message\":{\"content\":\"a\xFFb\xC3\"}}]}".as_slice()];
        let answer = read_pieces(Wire::OpenaiChat, &head(200, "application/json"), body).unwrap();
        assert_eq!(answer.text, "a\u{FFFD}b\u{FFFD}");
        let body = r#"{"choices":[{"message":{"content":"a\ud800b\ud83d\ude00"}}]}"#;
        assert_eq!(told(read_json(Wire::OpenaiChat, body)).0, "a\u{FFFD}b😀");
    }

    #[test]
    fn an_event_that_cannot_be_read_fails_unless_it_was_cut_off() {
        let read = |body: &str| class(read_as(Wire::OpenaiChat, "text/event-stream", body));
        assert_eq!(read(&format!("data: {CHUNK}\n\ndata: {{\"choi\n\n")), ErrorClass::Malformed);
        assert_eq!(read(&format!("data: {CHUNK}\n\ndata: {{\"choi\n")), ErrorClass::Truncated);
        assert_eq!(read(&format!("data: {CHUNK}\n\ndata: {{\"choi")), ErrorClass::Truncated);
    }

    #[test]
    fn an_error_need_not_be_json() {
        let failed =
            read_as(Wire::Anthropic, "text/event-stream", "event: error\ndata: all workers are busy\n\n").unwrap_err();
        assert_eq!(failed.class, ErrorClass::Unavailable);
        assert_eq!(failed.message, "the service is not available: all workers are busy");
    }

    #[test]
    fn a_body_without_end_is_given_up() {
        for (content_type, piece) in [
            ("application/json", "[ "),
            ("text/event-stream", ": more\n"),
            ("text/event-stream", "data: {}\n\n"),
            ("text/plain", "what "),
            ("application/x-ndjson", "{}\n"),
        ] {
            let mut reader = Reader::new(Wire::Ollama, &head(200, content_type));
            let piece = piece.repeat(1 << 14);
            let mut size = 0;
            let failed = loop {
                size += piece.len();
                if let Err(error) = reader.push(piece.as_bytes()) {
                    break error;
                }
            };
            assert_eq!(failed.class, ErrorClass::Malformed, "{content_type} {failed}");
            let is_stream = content_type.contains("event") || content_type.contains("ndjson");
            let most = if is_stream { LONGEST_STREAM } else { LARGEST_BODY };
            assert!((most..=most + piece.len()).contains(&size), "{content_type} {size}");
        }
    }

    #[test]
    fn a_model_may_think_for_megabytes_but_not_answer_so_much() {
        let thought = r#"{"choices":[{"index":0,"delta":{"reasoning_content":"Hm, let me see."}}]}"#;
        let said = CHUNK.replace("Grüße", &"words ".repeat(100));
        let stream = |chunk: &str| {
            let mut reader = Reader::new(Wire::OpenaiChat, &head(200, "text/event-stream"));
            let event = ["data: ", chunk, "\n\n"].concat().repeat(100);
            let pushed = (0..1_000).try_for_each(|_| reader.push(event.as_bytes()).map(|_| ()));
            pushed.and_then(|()| {
                reader.push(["data: ", CHUNK, "\n\ndata: ", LAST, "\n\n"].concat().as_bytes())?;
                reader.finish()
            })
        };
        assert_eq!(stream(thought).unwrap().text, "Grüße!");
        assert_eq!(stream(&said).unwrap_err().class, ErrorClass::Malformed);
    }

    #[test]
    fn an_event_without_end_is_given_up_even_over_many_lines() {
        for line in ["x".repeat(1 << 16), ["data: ", &"x".repeat(1 << 16), "\n"].concat()] {
            let mut reader = Reader::new(Wire::OpenaiChat, &head(200, "text/event-stream"));
            reader.push(b"data: ").unwrap();
            let mut size = 0;
            while reader.push(line.as_bytes()).is_ok() {
                size += line.len();
            }
            assert!((LARGEST_EVENT - 2 * line.len()..LARGEST_EVENT + 4096).contains(&size), "{size}");
        }
    }

    #[test]
    fn a_megabyte_byte_by_byte_takes_no_longer_than_it_must() {
        let events = [&format!("data: {CHUNK}\n\n").repeat(10_000), "data: ", LAST, "\n\n"].concat();
        let one = ["data: ", &CHUNK.replace("Grüße", &"x".repeat(1 << 20)), "\n\n", "data: ", LAST, "\n\n"].concat();
        let whole = LAST.replace('!', &"x".repeat(1 << 20));
        let blank = " \n".repeat(1 << 19) + LAST;
        for (content_type, body) in [
            ("text/event-stream", &events),
            ("text/event-stream", &one),
            ("application/json", &whole),
            ("application/x-ndjson", &whole),
            ("", &blank),
        ] {
            let start = clock();
            let answer = read_pieces(Wire::OpenaiChat, &head(200, content_type), body.as_bytes().chunks(1));
            assert!(answer.is_ok());
            // What looked at everything again with each byte would take minutes.
            assert!(start.elapsed() < Duration::from_secs(5), "{content_type}: {:?}", start.elapsed());
        }
    }

    #[allow(clippy::disallowed_methods, reason = "the time that reading takes")]
    fn clock() -> Instant {
        Instant::now()
    }

    #[test]
    fn damage_never_panics() {
        let mut state = 0x9E37_79B9_7F4A_7C15_u64;
        let mut random = move |most: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            usize::try_from(state >> 33).expect("31 bits") % most
        };
        let bodies = [
            format!("event: x\r\ndata: {CHUNK}\r\n\r\ndata: {LAST}\n\ndata: [DONE]\n\n"),
            "data: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"text\":\"é\"}}\n\ndata: {\"type\":\"message_stop\"}\n\n".to_owned(),
            "data: {\"type\":\"response.completed\",\"sequence_number\":1,\"response\":{\"output\":[{\"type\":\"message\",\"content\":[{\"type\":\"output_text\",\"text\":\"é\"}]}]}}\n\n".to_owned(),
            "[{\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"é\"}]},\"finishReason\":\"STOP\"}]}]".to_owned(),
            "{\"message\":{\"content\":\"é\"},\"done\":false}\n{\"message\":{},\"done\":true}\n".to_owned(),
            "{\"error\":{\"message\":\"{\\\"error\\\":\\\"x\\\"}\",\"code\":429,\"details\":[{\"retryDelay\":\"1s\"}]}}".to_owned(),
            "<html><title>502</title><p>é</html>".to_owned(),
        ];
        let wires = [Wire::OpenaiChat, Wire::OpenaiResponses, Wire::Anthropic, Wire::Gemini, Wire::Ollama];
        let types = ["text/event-stream", "application/json", "application/x-ndjson", "text/html", ""];
        let spice = b"{}[]\":,\\\n\r<> \xEF\xBB\xBF\xC3\xFFdata0-";
        for _ in 0..30_000 {
            let mut body = bodies[random(bodies.len())].clone().into_bytes();
            for _ in 0..random(4) {
                let at = random(body.len());
                body[at] = spice[random(spice.len())];
            }
            body.truncate(random(body.len() + 1).max(random(body.len() + 1)));
            let status = [200, 200, 200, 429, 500][random(5)];
            let head = head(status, types[random(types.len())]);
            let wire = wires[random(wires.len())];
            let pieces = body.chunks(1 + random(9));
            assert_eq!(
                read_pieces(wire, &head, pieces),
                read_pieces(wire, &head, [body.as_slice()]),
                "{wire:?} {head:?} {:?}",
                String::from_utf8_lossy(&body)
            );
        }
    }
}
