//! An answer in the making.

use super::failure::short;
use crate::provider::{Answer, ErrorClass, ProviderError, Stop, Usage};
use crate::value::Value;

/// What has been read of an answer.
#[derive(Debug, Default)]
pub(super) struct Draft {
    pub text: String,
    /// What the model said instead of an answer.
    pub refusal: String,
    /// Something was read that belongs to this wire.
    pub known: bool,
    /// The body is one piece of JSON, and all of it is there.
    pub whole: bool,
    /// Nothing more is to come.
    pub complete: bool,
    /// Blocks so far that have ended (Anthropic).
    pub closed: u64,
    /// Characters of text that were added, also those that were replaced since.
    pub added: usize,
    usage: Option<Usage>,
    end: Option<(End, String)>,
}

/// Why an answer ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Stop,
    Length,
    Refused,
    Full,
    Failed,
}

/// What services call the end of an answer, any case. Words that are not listed mean that it is complete.
const ENDS: &[(&str, End)] = &[
    ("length", End::Length),
    ("max_tokens", End::Length),
    ("max_output_tokens", End::Length),
    ("model_length", End::Length),
    ("incomplete", End::Length),
    ("content_filter", End::Refused),
    ("refusal", End::Refused),
    ("safety", End::Refused),
    ("image_safety", End::Refused),
    ("recitation", End::Refused),
    ("blocklist", End::Refused),
    ("prohibited_content", End::Refused),
    ("spii", End::Refused),
    ("sensitive", End::Refused),
    ("model_context_window_exceeded", End::Full),
    ("error", End::Failed),
    ("network_error", End::Failed),
    ("insufficient_system_resource", End::Failed),
    ("abort", End::Failed),
    ("cancelled", End::Failed),
];

impl Draft {
    /// More text of the answer. Some services say with every piece that it is the last: what is followed by text was
    /// not the end.
    pub(super) fn add(&mut self, text: &str) {
        if !text.is_empty() {
            self.text.push_str(text);
            self.added += text.chars().count();
            self.end = None;
        }
    }

    /// More of what the model says instead of an answer.
    pub(super) fn refuse(&mut self, text: &str) {
        self.refusal.push_str(text);
    }

    /// The service names the end of the answer. No name, no end.
    pub(super) fn ended(&mut self, word: &str) {
        if !word.is_empty() && word != "null" {
            let end =
                ENDS.iter().find(|(known, _)| known.eq_ignore_ascii_case(word)).map_or(End::Stop, |(_, end)| *end);
            self.end = Some((end, word.to_owned()));
        }
    }

    /// The request itself was blocked, for a reason that has a name.
    pub(super) fn blocked(&mut self, word: &str) {
        if !word.is_empty() {
            self.end = Some((End::Refused, word.to_owned()));
        }
    }

    /// The answer is there, whether its end has a name or not.
    pub(super) fn settle(&mut self) {
        self.end.get_or_insert_with(|| (End::Stop, String::new()));
    }

    /// The service says that nothing more is to come.
    pub(super) fn done(&mut self) {
        self.known = true;
        self.complete = true;
        self.settle();
    }

    /// Whether the end of the answer was seen.
    pub(super) fn is_ended(&self) -> bool {
        self.end.is_some()
    }

    /// Counts of tokens, each the sum of these fields. Counts only grow while a stream goes on, so the largest is the
    /// last, whichever piece repeats them.
    pub(super) fn charge(&mut self, counts: Option<&Value<'_>>, read: &[&str], written: &[&str]) {
        let Some(counts) = counts else { return };
        let sum = |keys: &[&str]| {
            let numbers = keys.iter().filter_map(|key| Self::number(counts, key));
            numbers.fold(None, |sum: Option<u64>, number| Some(sum.unwrap_or(0).saturating_add(number)))
        };
        let (input, output) = (sum(read), sum(written));
        if input.is_some() || output.is_some() {
            let usage = self.usage.get_or_insert_default();
            usage.input_tokens = usage.input_tokens.max(input.unwrap_or(0));
            usage.output_tokens = usage.output_tokens.max(output.unwrap_or(0));
        }
    }

    /// A field that is a whole number, not below 0.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    pub(super) fn number(value: &Value<'_>, key: &str) -> Option<u64> {
        match value.get(key) {
            Some(Value::Number(number)) if *number >= 0.0 => Some(*number as u64),
            _ => None,
        }
    }

    /// The answer, once its end was seen.
    ///
    /// # Errors
    /// Refusals are errors, whoever refuses; so is an answer that says nothing.
    pub(super) fn into_answer(self) -> Result<Answer, ProviderError> {
        let (end, word) = self.end.unwrap_or((End::Stop, String::new()));
        let named = |text: &str| if word.is_empty() { text.to_owned() } else { [text, " (", &word, ")"].concat() };
        let blank = self.text.trim().is_empty();
        let (class, message) = match end {
            End::Refused => (ErrorClass::Refused, named("the service refused to answer")),
            _ if !self.refusal.trim().is_empty() => {
                (ErrorClass::Refused, ["the model refused: ", &short(&self.refusal)].concat())
            }
            End::Full => (ErrorClass::ContextLength, named("the answer ran into the end of the model's window")),
            End::Failed => (ErrorClass::Unavailable, named("the service broke the answer off")),
            End::Length if blank => (ErrorClass::Truncated, named("the answer was cut off before its first word")),
            End::Stop if blank => (ErrorClass::Blank, named("the answer holds no text")),
            End::Length | End::Stop => {
                let stop = if end == End::Length { Stop::Length } else { Stop::End };
                return Ok(Answer { text: self.text, usage: self.usage, stop });
            }
        };
        Err(ProviderError::new(class, message))
    }
}
