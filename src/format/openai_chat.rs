//! OpenAI Chat Completions.
//!
//! Rules (names as in the documentation): C1 a tool message answers a call of the assistant message before it, with
//! only tool messages between. C2 every call is answered before the next message of another kind. C3 parallel calls
//! and their answers stand together (that is C1 and C2 again). C4 `content` is missing only beside calls, a refusal
//! or audio, so an assistant message without anything is refused. C5 system messages stay where they are. C6 the
//! content of tool messages is text.

use std::borrow::Cow;
use std::fmt::Arguments;

use super::{Action, Finding, Mended, NO_RESULT, Placed, Rules, attachment};
use crate::error::{Boxed, Error};
use crate::message::{Message, Part, PartKind, Path, Role};
use crate::order::{Places, sorted_by};
use crate::text::clip;
use crate::transcript::{Change, Inserted};
use crate::value::Value;

pub(super) struct OpenAiChat;

impl Rules for OpenAiChat {
    fn parse<'a>(&self, index: usize, value: Value<'a>) -> Boxed<Message<'a>> {
        parse(index, value)
    }

    fn mend<'a>(&self, messages: &[Message<'a>]) -> Mended<'a> {
        Mender::new(messages).run()
    }

    fn with_result<'a>(&self, message: &Message<'a>, text: &str) -> (Message<'a>, Vec<Change>) {
        let mut edited = message.clone();
        let mut text_part = Some(Part { kind: PartKind::ToolResult(Cow::Owned(text.to_owned())), path: CONTENT });
        // One text in place of all payload parts, where the first of them was.
        edited.parts = message
            .parts
            .iter()
            .filter_map(|part| if is_content(part.path) { text_part.take() } else { Some(part.clone()) })
            .collect();
        (edited, vec![Change::set(CONTENT.steps(), text)])
    }

    fn text_message(&self, role: &str, text: &str) -> (Message<'static>, Inserted) {
        let message = Message {
            role: role_of(role).unwrap_or(Role::User),
            role_name: Cow::Owned(role.to_owned()),
            parts: vec![Part { kind: PartKind::Text(Cow::Owned(text.to_owned())), path: CONTENT }],
            answers: None,
            name: None,
        };
        (message, Inserted { role: role.to_owned(), content: text.to_owned(), tool_call_id: None, name: None })
    }
}

const CONTENT: Path = Path::Field("content");
const TOOL_CALLS: Path = Path::Field("tool_calls");
const REASONING: [&str; 2] = ["reasoning_content", "reasoning"];

fn role_of(name: &str) -> Option<Role> {
    Some(match name {
        "system" | "developer" => Role::System,
        "user" => Role::User,
        "assistant" => Role::Assistant,
        "tool" | "function" => Role::Tool,
        _ => return None,
    })
}

// ---------------------------------------------------------------------------------------------------------- parsing

/// The fields that are read; everything else is only echoed.
const FIELDS: [&str; 10] = [
    "role",
    "content",
    "tool_calls",
    "tool_call_id",
    "name",
    "function_call",
    "refusal",
    "audio",
    "reasoning_content",
    "reasoning",
];

/// Their values, in that order. (A list, since ten fields of a struct would be dropped one by one on every way out.)
#[derive(Default)]
struct Read<'a>([Option<Value<'a>>; FIELDS.len()]);

impl<'a> Read<'a> {
    fn new(index: usize, fields: Vec<(Cow<'a, str>, Value<'a>)>) -> Boxed<Self> {
        let mut read = Self::default();
        // In order, so that the last of two equal keys counts, as in JavaScript.
        for (name, value) in fields {
            let Some(place) = read.place(&name) else { continue };
            if is_too_deep(&value) {
                return Err(Error::TooDeep { index, field: name.into_owned() }.into());
            }
            *place = if matches!(value, Value::Null) { None } else { Some(value) };
        }
        Ok(read)
    }

    fn place(&mut self, name: &str) -> Option<&mut Option<Value<'a>>> {
        let at = FIELDS.iter().position(|field| *field == name)?;
        self.0.get_mut(at)
    }

    #[inline(never)]
    fn take(&mut self, name: &str) -> Option<Value<'a>> {
        self.place(name)?.take()
    }
}

fn parse(index: usize, value: Value<'_>) -> Boxed<Message<'_>> {
    let Value::Object(fields) = value else {
        let what = value.describe();
        return Err(Error::input(Some(index), format_args!("is {what}, but a message must be an object")));
    };
    let mut read = Read::new(index, fields)?;
    let missing =
        |field: &str, why: &str| Error::field(index, format_args!("{field}"), format_args!("is missing{why}"));

    let role_name = text(index, "role", read.take("role"))?.ok_or_else(|| missing("role", ""))?;
    let role = role_of(&role_name).ok_or_else(|| {
        let known = "system, developer, user, assistant, tool or function";
        let found = clip(&role_name, 40);
        Error::field(index, format_args!("role"), format_args!("is \"{found}\", but must be {known}"))
    })?;
    let name = text(index, "name", read.take("name"))?;

    let mut parts = Vec::new();
    // Reasoning that compatible providers want back is part of what the model reads.
    for field in REASONING {
        if let Some(Value::String(text)) = read.take(field) {
            parts.push(Part { kind: PartKind::Hidden(text), path: Path::Field(field) });
        }
    }
    if let Some(value) = read.take("content") {
        parse_content(index, role, value, &mut parts)?;
    }
    if let Some(text) = text(index, "refusal", read.take("refusal"))? {
        parts.push(Part { kind: PartKind::Hidden(text), path: Path::Field("refusal") });
    }
    if let Some(audio) = read.take("audio") {
        parts.push(Part { kind: attachment::spoken(&audio), path: Path::Field("audio") });
    }
    if let Some(calls) = read.take("tool_calls") {
        if role != Role::Assistant {
            let field = format_args!("tool_calls");
            return Err(Error::field(index, field, format_args!("is allowed only in assistant messages")));
        }
        parse_calls(index, calls, &mut parts)?;
    }
    if let Some(call) = read.take("function_call") {
        // A legacy call has no id; its answer refers to it by name.
        let id = Cow::Borrowed("");
        let name = required(index, &call, "name", format_args!("function_call.name"))?;
        let arguments = required(index, &call, "arguments", format_args!("function_call.arguments"))?;
        let kind = PartKind::ToolCall { id, name, arguments };
        parts.push(Part { kind, path: Path::Field("function_call") });
    }

    let answers = if role != Role::Tool {
        None
    } else if role_name == "function" {
        Some(name.clone().ok_or_else(|| missing("name", "; a function message needs the name of the function"))?)
    } else {
        let id = text(index, "tool_call_id", read.take("tool_call_id"))?;
        let why = "; a tool result needs the id of the call that it answers";
        Some(id.ok_or_else(|| missing("tool_call_id", why))?)
    };
    Ok(Message { role, role_name, parts, answers, name })
}

/// Whether the source went on below the depth limit anywhere in a value. The value itself is at most that deep.
fn is_too_deep(value: &Value<'_>) -> bool {
    match value {
        Value::TooDeep => true,
        Value::Array(items) => items.iter().any(is_too_deep),
        Value::Object(fields) => fields.iter().any(|(_, value)| is_too_deep(value)),
        _ => false,
    }
}

#[cold]
#[inline(never)]
fn wrong(index: usize, field: Arguments<'_>, value: &Value<'_>, must: &str) -> Box<Error> {
    Error::field(index, field, format_args!("is {}, but must be {must}", value.describe()))
}

fn text<'a>(index: usize, field: &str, value: Option<Value<'a>>) -> Boxed<Option<Cow<'a, str>>> {
    match value {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(other) => Err(wrong(index, format_args!("{field}"), &other, "a string")),
    }
}

/// The text of a field that has to be there.
fn required<'a>(index: usize, owner: &Value<'a>, name: &str, field: Arguments<'_>) -> Boxed<Cow<'a, str>> {
    match owner.get(name) {
        Some(Value::String(text)) => Ok(text.clone()),
        Some(other) => Err(wrong(index, field, other, "a string")),
        None => Err(Error::field(index, field, format_args!("is missing"))),
    }
}

fn parse_content<'a>(index: usize, role: Role, value: Value<'a>, parts: &mut Vec<Part<'a>>) -> Boxed<()> {
    let wrap = |text| if role == Role::Tool { PartKind::ToolResult(text) } else { PartKind::Text(text) };
    let items = match value {
        Value::String(text) => {
            parts.push(Part { kind: wrap(text), path: CONTENT });
            return Ok(());
        }
        Value::Array(items) => items,
        other => {
            let must = "a string, an array of parts or null";
            return Err(wrong(index, format_args!("content"), &other, must));
        }
    };
    if items.is_empty() {
        // Kept as a mark for the mender: providers refuse an empty list.
        parts.push(Part { kind: PartKind::Other, path: CONTENT });
    }
    for (at, item) in items.into_iter().enumerate() {
        if !matches!(item, Value::Object(_)) {
            return Err(wrong(index, format_args!("content[{at}]"), &item, "an object"));
        }
        let whole = Path::Item("content", at);
        let (kind, path) = match item.get("type").and_then(Value::as_str) {
            Some("text") => {
                let text = required(index, &item, "text", format_args!("content[{at}].text"))?;
                (wrap(text), Path::ItemField("content", at, "text"))
            }
            Some("refusal") => {
                let text = required(index, &item, "refusal", format_args!("content[{at}].refusal"))?;
                (PartKind::Hidden(text), Path::ItemField("content", at, "refusal"))
            }
            Some("image_url") => (attachment::image(&item), whole),
            Some("input_audio") => (attachment::audio(&item), whole),
            Some("file") => (attachment::file(&item), whole),
            Some(_) => (PartKind::Other, whole),
            None => {
                let field = format_args!("content[{at}].type");
                return Err(Error::field(index, field, format_args!("must be a string")));
            }
        };
        parts.push(Part { kind, path });
    }
    Ok(())
}

fn parse_calls<'a>(index: usize, value: Value<'a>, parts: &mut Vec<Part<'a>>) -> Boxed<()> {
    let Value::Array(calls) = value else {
        return Err(wrong(index, format_args!("tool_calls"), &value, "an array"));
    };
    if calls.is_empty() {
        // Kept as a mark for the mender: providers refuse an empty list.
        parts.push(Part { kind: PartKind::Other, path: TOOL_CALLS });
    }
    for (at, call) in calls.into_iter().enumerate() {
        if !matches!(call, Value::Object(_)) {
            return Err(wrong(index, format_args!("tool_calls[{at}]"), &call, "an object"));
        }
        let id = required(index, &call, "id", format_args!("tool_calls[{at}].id"))?;
        let (inner, payload) = match call.get("type").and_then(Value::as_str) {
            Some("custom") => ("custom", "input"),
            // Some compatible providers leave `type` out.
            Some("function") | None => ("function", "arguments"),
            Some(other) => {
                let (field, other) = (format_args!("tool_calls[{at}].type"), clip(other, 40));
                let reason = format_args!("is \"{other}\", but must be function or custom");
                return Err(Error::field(index, field, reason));
            }
        };
        let Some(body) = call.get(inner) else {
            return Err(Error::field(index, format_args!("tool_calls[{at}].{inner}"), format_args!("is missing")));
        };
        let name = required(index, body, "name", format_args!("tool_calls[{at}].{inner}.name"))?;
        let arguments = required(index, body, payload, format_args!("tool_calls[{at}].{inner}.{payload}"))?;
        parts.push(Part { kind: PartKind::ToolCall { id, name, arguments }, path: Path::Item("tool_calls", at) });
    }
    Ok(())
}

// ---------------------------------------------------------------------------------------------------------- mending

/// What an answer has to refer to.
#[derive(Clone, Copy)]
struct Wanted<'m> {
    legacy: bool,
    key: &'m str,
}

/// The calls that wait for answers. Parallel calls may share an id; they are answered in order.
struct Open<'w, 'm> {
    wanted: &'w [Wanted<'m>],
    places: Places,
    /// How many of an id were answered, at the first row of that id.
    taken: Vec<usize>,
}

impl<'w, 'm> Open<'w, 'm> {
    fn new(wanted: &'w [Wanted<'m>]) -> Self {
        let places = Places::new(wanted.iter().map(|wanted| wanted.key));
        Self { wanted, places, taken: vec![0; wanted.len()] }
    }
}

struct Mender<'m, 'a> {
    messages: &'m [Message<'a>],
    /// Messages that stand elsewhere already: answers that were pulled up to their call, and stand-ins that were
    /// replaced by the real answer.
    used: Vec<bool>,
    mended: Mended<'a>,
}

impl<'m, 'a> Mender<'m, 'a> {
    fn new(messages: &'m [Message<'a>]) -> Self {
        Self { messages, used: vec![false; messages.len()], mended: Mended::default() }
    }

    fn run(mut self) -> Mended<'a> {
        for (index, message) in self.messages.iter().enumerate() {
            if self.used.get(index).copied().unwrap_or(true) {
                continue;
            }
            match message.role {
                Role::Tool => {
                    let what = if message.role_name == "function" { "function call" } else { "tool call" };
                    self.find(
                        "C1",
                        Action::Drop,
                        index,
                        Some("tool_call_id"),
                        format!("a tool result without the {what} that it answers"),
                        "hidden",
                        None,
                    );
                }
                Role::Assistant => self.assistant(index, message),
                Role::System | Role::User => self.place(index, message),
            }
        }
        self.mended
    }

    fn assistant(&mut self, index: usize, message: &'m Message<'a>) {
        if is_empty(message) {
            self.find(
                "C4",
                Action::Drop,
                index,
                Some("content"),
                "an assistant message without text, calls or refusal",
                "hidden",
                None,
            );
            return;
        }
        self.place(index, message);
        let wanted: Vec<Wanted<'m>> = message
            .calls()
            .map(
                |(id, name, _)| {
                    if id.is_empty() { Wanted { legacy: true, key: name } } else { Wanted { legacy: false, key: id } }
                },
            )
            .collect();
        if wanted.is_empty() {
            return;
        }
        // Answers are looked for up to the next message that asks for tools; where nothing is wrong the very next
        // messages are the answers and the search ends there.
        let mut answers: Vec<Option<usize>> = vec![None; wanted.len()];
        let mut open = Open::new(&wanted);
        let mut contiguous = index + 1;
        let mut missing = wanted.len();
        for (at, candidate) in self.messages.iter().enumerate().skip(index + 1) {
            if candidate.has_calls() || (missing == 0 && at > contiguous) {
                break;
            }
            let Some(slot) = self.slot_for(candidate, &mut open, &answers) else {
                continue;
            };
            if at == contiguous {
                contiguous += 1;
            }
            if let Some(answer) = answers.get_mut(slot)
                && answer.replace(at).is_none()
            {
                missing -= 1;
            }
        }
        let mut expected = index + 1;
        for at in sorted_by(answers.iter().copied().flatten().collect(), |at| *at as u64) {
            let Some(answer) = self.messages.get(at) else { continue };
            if let Some(used) = self.used.get_mut(at) {
                *used = true;
            }
            if at == expected {
                expected += 1;
            } else {
                let placed = self.mended.order.len();
                let problem = "a tool result that does not stand right after its call";
                self.find("C2", Action::Move, at, None, problem, "moved up to it", Some(placed));
            }
            self.place(at, answer);
        }
        for (wanted, answer) in wanted.iter().zip(&answers) {
            if answer.is_none() {
                self.stand_in(index, *wanted);
            }
        }
    }

    /// Which open call this message answers. Our own stand-in gives way to a real answer that comes later.
    fn slot_for(
        &self,
        candidate: &'m Message<'a>,
        open: &mut Open<'_, 'm>,
        answers: &[Option<usize>],
    ) -> Option<usize> {
        let key = candidate.answers.as_deref()?;
        let legacy = candidate.role_name == "function";
        let first = open.places.first_row(key);
        let next = open.taken.get_mut(first)?;
        let row = first + *next;
        if let Some(slot) = open
            .places
            .at(row, key)
            .filter(|slot| open.wanted.get(*slot).is_some_and(|wanted| wanted.legacy == legacy && wanted.key == key))
        {
            *next += 1;
            return Some(slot);
        }
        let last = open.places.at(row.checked_sub(1)?, key)?;
        let earlier = answers.get(last).copied().flatten().and_then(|at| self.messages.get(at))?;
        earlier.texts().eq([NO_RESULT]).then_some(last)
    }

    fn stand_in(&mut self, index: usize, wanted: Wanted<'m>) {
        let owned = wanted.key.to_owned();
        let (role, id, name) =
            if wanted.legacy { ("function", None, Some(owned.clone())) } else { ("tool", Some(owned.clone()), None) };
        let placed = self.mended.order.len();
        self.mended.order.push(Placed::Added {
            message: Message {
                role: Role::Tool,
                role_name: Cow::Borrowed(role),
                parts: vec![Part { kind: PartKind::ToolResult(Cow::Borrowed(NO_RESULT)), path: CONTENT }],
                answers: Some(Cow::Owned(owned)),
                name: name.clone().map(Cow::Owned),
            },
            inserted: Inserted { role: role.to_owned(), content: NO_RESULT.to_owned(), tool_call_id: id, name },
        });
        let what = format!("the call \"{}\" has no result", wanted.key);
        self.find("C2", Action::Insert, index, Some("tool_calls"), what, "a stand-in was added", Some(placed));
    }

    /// Places a source message, with its fields mended where the rules ask for it.
    fn place(&mut self, index: usize, message: &'m Message<'a>) {
        let placed = Some(self.mended.order.len());
        let mut mended: Option<Message<'a>> = None;
        let mut changes = Vec::new();
        if message.parts.contains(&Part { kind: PartKind::Other, path: TOOL_CALLS }) {
            let problem = "an empty list of tool calls";
            self.find("C2", Action::Change, index, Some("tool_calls"), problem, "the field was removed", placed);
            mended.get_or_insert_with(|| message.clone()).parts.retain(|part| part.path != TOOL_CALLS);
            changes.push(Change::remove(TOOL_CALLS.steps()));
        }
        let lacks_content = !message.parts.iter().any(|part| is_content(part.path) && !is_empty_list(part));
        if message.role == Role::Assistant {
            if message.parts.iter().any(is_empty_list) {
                let problem = "content is an empty list";
                self.find("C4", Action::Change, index, Some("content"), problem, "set to an empty text", placed);
                let parts = &mut mended.get_or_insert_with(|| message.clone()).parts;
                for part in parts.iter_mut().filter(|part| is_empty_list(part)) {
                    part.kind = PartKind::Text(Cow::Borrowed(""));
                }
                changes.push(Change::set(CONTENT.steps(), ""));
            }
        } else if lacks_content {
            let problem = "content is missing";
            self.find("C4", Action::Change, index, Some("content"), problem, "set to an empty text", placed);
            let kind = if message.role == Role::Tool {
                PartKind::ToolResult(Cow::Borrowed(""))
            } else {
                PartKind::Text(Cow::Borrowed(""))
            };
            let parts = &mut mended.get_or_insert_with(|| message.clone()).parts;
            parts.retain(|part| !is_empty_list(part));
            parts.push(Part { kind, path: CONTENT });
            changes.push(Change::set(CONTENT.steps(), ""));
        } else if message.role == Role::Tool
            && message.parts.iter().any(|part| is_content(part.path) && !matches!(part.kind, PartKind::ToolResult(_)))
        {
            let problem = "the content of a tool result must be text";
            self.find("C6", Action::Change, index, Some("content"), problem, "other parts became notes", placed);
            let (with_text, set) = OpenAiChat.with_result(message, &texts_and_notes(message));
            mended = Some(with_text);
            changes = set;
        }
        self.mended.order.push(match mended {
            Some(message) => Placed::Changed { index, message, changes },
            None => Placed::Source(index),
        });
    }

    #[allow(clippy::too_many_arguments)]
    fn find(
        &mut self,
        rule: &'static str,
        action: Action,
        index: usize,
        field: Option<&str>,
        problem: impl Into<Cow<'static, str>>,
        remedy: &'static str,
        placed: Option<usize>,
    ) {
        self.mended.findings.push(Finding {
            rule,
            action,
            index,
            field: field.map(str::to_owned),
            problem: problem.into(),
            remedy,
            placed,
        });
    }
}

/// Nothing that the provider would accept as an assistant's turn.
fn is_empty(message: &Message<'_>) -> bool {
    message.parts.iter().all(|part| match &part.kind {
        PartKind::Text(text) => text.trim().is_empty(),
        // Reasoning beside the content does not make a turn; a refusal does.
        PartKind::Hidden(text) => {
            text.is_empty() || matches!(part.path, Path::Field(field) if REASONING.contains(&field))
        }
        PartKind::Other => part.path == TOOL_CALLS || is_empty_list(part),
        _ => false,
    })
}

/// Whether a part stands in the content.
fn is_content(path: Path) -> bool {
    matches!(path, Path::Field("content") | Path::Item("content", _) | Path::ItemField("content", ..))
}

/// The mark of an empty list as content.
fn is_empty_list(part: &Part<'_>) -> bool {
    part.kind == PartKind::Other && part.path == CONTENT
}

fn texts_and_notes(message: &Message<'_>) -> String {
    let mut out = String::new();
    for part in message.parts.iter().filter(|part| is_content(part.path)) {
        let piece = match &part.kind {
            PartKind::ToolResult(text) | PartKind::Hidden(text) => text.as_ref(),
            PartKind::Attachment { .. } => "[an attachment that tool results cannot carry]",
            _ => "[a part that tool results cannot carry]",
        };
        if !out.is_empty() {
            out.push('\n');
        }
        out.push_str(piece);
    }
    out
}
