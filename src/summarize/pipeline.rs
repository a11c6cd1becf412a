//! Summaries by models: what is asked, in which order, and what is done when an answer does not come or is of no use.
//!
//! Every summary has one without a model already in its place, written in the same pass. A model's takes its place only
//! if it is smaller, says what has to be said and fits; so nothing that a provider does can hurt (B-18).

use std::borrow::Cow;

use super::accept::{accept, harmless};
use super::anchors::Anchors;
use super::chunks::{chunk, fit_pieces};
use super::clean::clean_all;
use super::merge::carry_forward;
use super::metadata::metadata;
use super::middle_out::{STEPS, count, reduced, reducible};
use super::offline;
use super::prompts::{self, Extras};
use super::record::{body, frame_tokens, record};
use super::render::{Piece, pieces};
use super::structured::parse_structured;
use crate::error::Boxed;
use crate::ladder::Ladder;
use crate::message::Message;
use crate::provider::{Asked, Calls, NoText, ProviderError, Purpose, Shown, in_order};
use crate::text::{find, joined};
use crate::tokens::TokenCounter;
use crate::transcript::{Transcript, Warning};

/// What a summary has to heed beside the conversation.
#[derive(Debug, Clone, Default)]
pub(crate) struct Wishes<'w> {
    /// What earlier summaries left out and should not have.
    pub guidelines: Option<&'w str>,
    /// What the host asks for.
    pub instructions: Option<&'w str>,
    /// What is to be kept word for word, one thing each.
    pub knowledge: Vec<String>,
    /// By slot, what the chat's own model was sent last up to and with it, where summaries are to be asked for behind
    /// that.
    pub shown: Vec<Shown>,
}

/// What came of asking.
#[derive(Debug, Default)]
pub(crate) struct Written {
    /// Summaries of models now in place.
    pub by_model: u64,
    /// Answers that were of no use.
    pub refused: u64,
    /// Summaries that stay without a model's, though one was asked.
    pub offline: u64,
    pub warnings: Vec<Warning>,
}

/// A run to be summarised.
struct Job<'t, 'a> {
    number: usize,
    /// Everything that the summary stands for.
    run: Vec<&'t Message<'a>>,
    /// Of those, what no earlier summary stands for.
    fresh: Vec<&'t Message<'a>>,
    /// What earlier summaries say.
    earlier: Vec<String>,
    /// Tokens of text.
    room: u64,
    /// The chat up to the end of the run, where the model can be asked behind it.
    shown: Option<Shown>,
}

/// An answer, and where there is none, whether one was refused.
enum Note {
    Text(String),
    Refused,
    None,
}

/// What texts can cost more where they meet, tokens.
const MARGIN: u64 = 8;
/// Room for an answer of any use, tokens.
const LEAST_ANSWER: u64 = 64;
/// Fewest tokens of conversation in one request: a model with less room than that is of no use.
const LEAST_CHUNK: u64 = 128;

/// Requests that one is divided into at most, when it was too long.
const MOST_SMALLER: usize = 8;
/// Names and numbers that a summary is checked for.
const ANCHORS: usize = 40;

fn small(tokens: u64) -> u32 {
    u32::try_from(tokens).unwrap_or(u32::MAX)
}

/// Has the summaries of a pass written anew by a model.
///
/// # Errors
/// [`Aborted`](crate::Error::Aborted) only.
pub(crate) async fn redraft(
    ladder: &mut Ladder<'_, '_>,
    transcript: &Transcript<'_>,
    counter: &dyn TokenCounter,
    calls: &Calls<'_>,
    wishes: &Wishes<'_>,
) -> Boxed<Written> {
    let mut written = Written::default();
    let Some(window) = calls.window(Purpose::Summary) else { return Ok(written) };
    let kept = knowledge(ladder, wishes).map_or(0, |known| u64::from(counter.count(&known)) + MARGIN);
    let shown = if calls.reads_prefix(Purpose::Summary) { wishes.shown.as_slice() } else { &[] };
    let mut jobs = jobs(ladder, transcript, counter, shown);
    if let Some(first) = jobs.first_mut() {
        first.room = first.room.saturating_sub(kept);
    }
    let lanes = (calls.policy.concurrency / jobs.len().max(1)).max(1);
    let mut asked: Vec<Asked<'_, Note>> = Vec::with_capacity(jobs.len());
    for job in &jobs {
        let writer = Writer { counter, calls, wishes, window, lanes, room: job.room };
        asked.push(Box::pin(writer.note(job)));
    }
    let notes = in_order(asked, calls.policy.concurrency).await;
    let mut bare = Vec::new();
    for (job, note) in jobs.iter().zip(notes) {
        match note? {
            Note::Text(text) if ladder.redraft(job.number, record(&job.run, &text)) => written.by_model += 1,
            Note::None => bare.push(job),
            Note::Text(_) | Note::Refused => {
                written.refused += 1;
                bare.push(job);
            }
        }
    }
    written.offline = bare.len() as u64;
    for job in bare {
        without_secrets(ladder, job, counter, calls);
    }
    if written.refused > 0 {
        let message = "an answer of the model was of no use as a summary; one was made without it".to_owned();
        written.warnings.push(Warning { code: "summary_refused".to_owned(), message, index: None });
    }
    written.warnings.extend(calls.failures().iter().map(warning));
    Ok(written)
}

/// Where a model was to read a run, what stands for it holds no secrets, even if the model never did: later requests
/// will show it, and hosts keep it.
fn without_secrets(ladder: &mut Ladder<'_, '_>, job: &Job<'_, '_>, counter: &dyn TokenCounter, calls: &Calls<'_>) {
    let cleaned = clean_all(calls, &job.run);
    if cleaned.iter().all(|message| matches!(message, Cow::Borrowed(_))) {
        return;
    }
    let run: Vec<&Message<'_>> = cleaned.iter().map(AsRef::as_ref).collect();
    let room = job.room + frame_tokens(counter, &run);
    let text = offline::summarize(counter, &run, room);
    ladder.redraft(job.number, text.unwrap_or_else(|| offline::brief(&run)));
}

/// What is to be kept word for word and stands nowhere yet.
fn knowledge(ladder: &Ladder<'_, '_>, wishes: &Wishes<'_>) -> Option<String> {
    let stands = &ladder.standing.stands;
    let missing = |known: &&String| stands.iter().all(|stand| find(&stand.text, &harmless(known)).is_none());
    let missing: Vec<String> = wishes.knowledge.iter().filter(missing).map(|known| harmless(known)).collect();
    (!missing.is_empty()).then(|| joined(&missing, "\n\n"))
}

/// Puts it into the first summary of this pass, whoever wrote that; the summary itself gives way as far as it must.
pub(crate) fn keep_knowledge(
    ladder: &mut Ladder<'_, '_>,
    transcript: &Transcript<'_>,
    counter: &dyn TokenCounter,
    wishes: &Wishes<'_>,
) {
    let Some(known) = knowledge(ladder, wishes) else { return };
    let Some((number, run, room)) = ladder.drafts().first().map(|draft| (draft.number, draft.run.clone(), draft.room))
    else {
        return;
    };
    let run: Vec<&Message<'_>> = transcript.slots_in(&run).iter().map(|slot| &slot.message).collect();
    let said = ladder.standing.stands.get(number).map(|stand| body(&stand.text).to_owned()).unwrap_or_default();
    if ladder.redraft(number, record(&run, &format!("{known}\n\n{said}"))) {
        return;
    }
    let left = room.saturating_sub(u64::from(counter.count(&known)) + MARGIN);
    let shorter = offline::summarize(counter, &run, left);
    let said = shorter.as_deref().map(body).unwrap_or_default();
    if !ladder.redraft(number, record(&run, &format!("{known}\n\n{said}"))) {
        ladder.redraft(number, record(&run, &known));
    }
}

/// A failure that stopped nothing.
pub(crate) fn warning(error: &ProviderError) -> Warning {
    Warning { code: error.class.code().to_owned(), message: error.message.clone(), index: None }
}

fn jobs<'t, 'a>(
    ladder: &Ladder<'_, '_>,
    transcript: &'t Transcript<'a>,
    counter: &dyn TokenCounter,
    shown: &[Shown],
) -> Vec<Job<'t, 'a>> {
    let mut jobs = Vec::new();
    for draft in ladder.drafts() {
        let shown = draft.run.end.checked_sub(1).and_then(|last| shown.get(last)).copied();
        let mut job = Job {
            number: draft.number,
            run: Vec::new(),
            fresh: Vec::new(),
            earlier: Vec::new(),
            room: draft.room,
            shown,
        };
        // Both are in order.
        let mut earlier = draft.earlier.iter().peekable();
        for at in draft.run.clone() {
            let Some(slot) = transcript.slots.get(at) else { continue };
            job.run.push(&slot.message);
            while earlier.next_if(|stand| stand.run.end <= at).is_some() {}
            match earlier.peek().filter(|stand| stand.run.contains(&at)) {
                None => job.fresh.push(&slot.message),
                Some(stand) if stand.run.start == at => job.earlier.push(body(&stand.text).to_owned()),
                Some(_) => {}
            }
        }
        job.room = job.room.saturating_sub(frame_tokens(counter, &job.run));
        if !job.fresh.is_empty() {
            jobs.push(job);
        }
    }
    jobs
}

/// One summary in the making.
struct Writer<'w> {
    counter: &'w dyn TokenCounter,
    calls: &'w Calls<'w>,
    wishes: &'w Wishes<'w>,
    /// What the model reads and writes, tokens.
    window: u64,
    /// Requests at the same time.
    lanes: usize,
    /// Longest text, tokens.
    room: u64,
}

impl Writer<'_> {
    async fn note(self, job: &Job<'_, '_>) -> Boxed<Note> {
        let cleaned = clean_all(self.calls, &job.fresh);
        let fresh: Vec<&Message<'_>> = cleaned.iter().map(AsRef::as_ref).collect();
        let mut rendered = pieces(&fresh);
        let mut earlier = job.earlier.clone();
        earlier.append(&mut rendered.earlier);
        for text in &mut earlier {
            if let Cow::Owned(redacted) = self.calls.redacted(text) {
                *text = redacted;
            }
        }
        if rendered.pieces.is_empty() && earlier.len() < 2 {
            return Ok(Note::None);
        }
        let input: u64 = job.run.iter().flat_map(|message| message.texts()).map(|text| self.tokens(text)).sum();
        let answer = match self.behind(job, &earlier).await? {
            None => self.summary(&fresh, rendered.pieces, &earlier).await?,
            answer => answer,
        };
        let Some(answer) = answer else { return Ok(Note::None) };
        let anchors = Anchors::of(&fresh, ANCHORS);
        let Ok(text) = accept(&answer, input, self.room, &anchors, self.counter) else { return Ok(Note::Refused) };
        let room = small(self.room);
        let text = carry_forward(self.counter, &earlier, &text, room);
        let text = anchors.repaired(&text, self.counter, room);
        // An answer may put together what was sent apart.
        let text = self.calls.redacted(&text).into_owned();
        Ok(Note::Text(text))
    }

    /// The text of the chat's own model, asked behind the chat as it was sent to it: one request, most of which its
    /// prompt cache holds. What it says is judged like every answer; where none comes, it is asked as others are.
    async fn behind(&self, job: &Job<'_, '_>, earlier: &[String]) -> Boxed<Option<String>> {
        let Some(shown) = job.shown else { return Ok(None) };
        let first = job.run.first().and_then(|message| message.texts().find(|text| !text.trim().is_empty()));
        let prompt = prompts::behind(first, &self.extras(earlier));
        let answer = self.room.min(self.window / 4).max(LEAST_ANSWER);
        let answer = self.calls.ask_after(Some(shown), Purpose::Summary, prompt, answer).await?;
        Ok(answer.ok())
    }

    /// The model's text: in one request where the conversation fits into one, else one for each chunk and one for all.
    async fn summary(
        &self,
        messages: &[&Message<'_>],
        pieces: Vec<Piece<'_>>,
        earlier: &[String],
    ) -> Boxed<Option<String>> {
        let extras = self.extras(earlier);
        let frame = self.tokens(&prompts::note(&[], &extras));
        let answer = self.room.min(self.window / 4).max(LEAST_ANSWER);
        let room = self.window.saturating_sub(frame).saturating_sub(answer);
        if room < LEAST_CHUNK {
            self.calls.is_too_small(self.window);
            return Ok(None);
        }
        let budget = self.calls.policy.chunk_tokens.min(room);
        let oversize = self.calls.policy.oversize_tokens.min(budget);
        let chunks = fit_pieces(self.counter, pieces, small(budget), small(oversize));
        if let [only] = chunks.as_slice() {
            if self.calls.policy.structured_summaries
                && let Some(text) = self.structured(only, &extras, answer).await?
            {
                return Ok(Some(text));
            }
            return self.chunk(only, &extras, answer).await;
        }
        // Only the note that all of them end in needs what was there before.
        let bare = self.extras(&[]);
        let each = (answer * 2 / chunks.len() as u64).clamp(LEAST_ANSWER, answer);
        let mut asked: Vec<Asked<'_, Option<String>>> = Vec::new();
        for chunk in &chunks {
            asked.push(Box::pin(self.chunk(chunk, &bare, each)));
        }
        let mut partials = Vec::with_capacity(chunks.len());
        let mut any = false;
        for (chunk, answer) in chunks.iter().zip(in_order(asked, self.lanes).await) {
            let answer = answer?.and_then(|answer| self.accepted(messages, chunk, &answer, each));
            any |= answer.is_some();
            // One that failed is summarised without a model, alone: the others are not lost with it.
            partials.extend(answer.or_else(|| self.without_model(messages, chunk, each)));
        }
        if !any {
            return Ok(None);
        }
        self.consolidated(partials, &extras, room, answer).await.map(Some)
    }

    /// One request, and what else is tried when it fails: once more where that may help; with ever fewer tool results
    /// where it was too long, those in the middle first.
    async fn chunk(&self, pieces: &[Piece<'_>], extras: &Extras<'_>, max_tokens: u64) -> Boxed<Option<String>> {
        let mut answer = self.ask(Purpose::Summary, prompts::note(pieces, extras), max_tokens).await?;
        if let Err(NoText::TooLong(Some(limit))) = answer
            && let Some(text) = self.in_smaller(pieces, extras, max_tokens, limit).await?
        {
            return Ok(Some(text));
        }
        let candidates = reducible(pieces);
        let mut left_out = 0;
        for step in STEPS {
            match answer {
                Ok(text) => return Ok(Some(text)),
                Err(NoText::TooLong(_)) => {}
                Err(_) => break,
            }
            // The same prompt once more would be as long.
            if count(candidates, step) > left_out {
                left_out = count(candidates, step);
                let prompt = prompts::note(&reduced(pieces, step), extras);
                answer = self.calls.ask(Purpose::Summary, prompt, max_tokens).await?;
            }
        }
        if answer.is_err() {
            self.calls.give_up();
        }
        Ok(answer.ok())
    }

    /// One request, and once more where that may help.
    async fn ask(
        &self,
        purpose: Purpose,
        prompt: String,
        max_tokens: u64,
    ) -> Boxed<std::result::Result<String, NoText>> {
        match self.calls.ask(purpose, prompt.clone(), max_tokens).await? {
            Err(NoText::Failed { again: true }) => self.calls.ask(purpose, prompt, max_tokens).await,
            answer => Ok(answer),
        }
    }

    /// The same in requests that fit, where the provider said what does (B-27). `None` where that is no help.
    async fn in_smaller(
        &self,
        pieces: &[Piece<'_>],
        extras: &Extras<'_>,
        max_tokens: u64,
        limit: u64,
    ) -> Boxed<Option<String>> {
        let frame = self.tokens(&prompts::note(&[], extras));
        // The provider counts in its own way: nine tenths of what it says.
        let room = (limit - limit / 10).saturating_sub(frame).saturating_sub(max_tokens);
        let requests = fit_pieces(self.counter, pieces.to_vec(), small(room), small(room));
        if room < LEAST_CHUNK || requests.len() < 2 || requests.len() > MOST_SMALLER {
            return Ok(None);
        }
        let mut texts = Vec::with_capacity(requests.len());
        for request in &requests {
            let prompt = prompts::note(request, extras);
            match self.calls.ask(Purpose::Summary, prompt, max_tokens).await? {
                Ok(text) => texts.push(text),
                Err(_) => return Ok(None),
            }
        }
        Ok(Some(texts.join("\n\n")))
    }

    async fn structured(&self, pieces: &[Piece<'_>], extras: &Extras<'_>, max_tokens: u64) -> Boxed<Option<String>> {
        let prompt = prompts::structured(pieces, extras);
        if self.tokens(&prompt) + max_tokens > self.window {
            return Ok(None);
        }
        let answer = self.calls.ask(Purpose::Summary, prompt, max_tokens).await?;
        Ok(answer.ok().and_then(|answer| parse_structured(&answer)).map(|parsed| parsed.render()))
    }

    /// One note of several, by several rounds where they are too long for one request.
    async fn consolidated(
        &self,
        mut partials: Vec<String>,
        extras: &Extras<'_>,
        room: u64,
        max_tokens: u64,
    ) -> Boxed<String> {
        loop {
            let sizes: Vec<u64> = partials.iter().map(|partial| self.tokens(partial) + 8).collect();
            let groups = chunk(&sizes, room, room);
            if groups.len() >= partials.len() && groups.len() > 1 {
                // Not one of them leaves room for another: they stand one after the other.
                return Ok(partials.join("\n\n"));
            }
            let last = groups.len() == 1;
            let bare = self.extras(&[]);
            let mut fewer = Vec::with_capacity(groups.len());
            for group in groups {
                let group = partials.get(group).unwrap_or_default();
                if let [only] = group {
                    fewer.push(only.clone());
                    continue;
                }
                let prompt = prompts::consolidation(group, if last { extras } else { &bare });
                let answer = self.ask(Purpose::Consolidation, prompt, max_tokens).await?;
                fewer.push(answer.unwrap_or_else(|_| {
                    self.calls.give_up();
                    group.join("\n\n")
                }));
            }
            partials = fewer;
            if last {
                return Ok(partials.join("\n\n"));
            }
        }
    }

    /// What a chunk's note says, unless it is of no use: then the chunk counts as failed.
    fn accepted(&self, messages: &[&Message<'_>], chunk: &[Piece<'_>], answer: &str, most: u64) -> Option<String> {
        let shown = messages.get(chunk.first()?.at..=chunk.last()?.at)?;
        let input: u64 = chunk.iter().map(|piece| self.tokens(&piece.text)).sum();
        accept(answer, input, most, &Anchors::of(shown, ANCHORS), self.counter).ok()
    }

    fn without_model(&self, messages: &[&Message<'_>], pieces: &[Piece<'_>], max_tokens: u64) -> Option<String> {
        let (first, last) = (pieces.first()?.at, pieces.last()?.at);
        let messages = messages.get(first..=last)?;
        // Only what stands within the frame is used.
        let room = max_tokens + frame_tokens(self.counter, messages);
        let text = offline::summarize(self.counter, messages, room);
        Some(text.map_or_else(|| metadata(messages), |text| body(&text).to_owned()))
    }

    fn extras<'e>(&'e self, earlier: &'e [String]) -> Extras<'e> {
        Extras {
            guidelines: self.wishes.guidelines,
            instructions: self.wishes.instructions,
            earlier,
            // Three words are about four tokens.
            max_words: small(self.room * 3 / 4),
        }
    }

    fn tokens(&self, text: &str) -> u64 {
        u64::from(self.counter.count(text))
    }
}
