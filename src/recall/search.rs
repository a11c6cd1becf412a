//! Full-text search in one pass over the texts: what the query wants is known, so only texts that have some of it leave a
//! trace, and no index is kept. Scores are BM25 (Robertson and Zaragoza, "The Probabilistic Relevance Framework", 2009).

use std::collections::VecDeque;

use super::terms::{Kind, Term, read};
use crate::order::ascending;
use crate::prune::words::STOP_WORDS;
use crate::text::clip;

/// How soon more of the same term counts for little, and how much the length of a text matters.
const K1: f64 = 1.2;
const B: f64 = 0.75;

/// Most characters of a query that are looked at.
const LONGEST_QUERY: usize = 2_000;

/// What a term of the query counts by what it is, as a share of 20. Part of a name says less than a name. A word that says
/// nothing about what a text is about is only there to tell equals apart: in a small collection it may well be rare.
const WHOLE: u64 = 20;
const PART: u64 = 10;
const COMMON: u64 = 1;

/// English words below three letters, which the list of common words leaves out.
const SHORT_WORDS: &str = "a am an as at be by do go he i if in is it me my no of on or s so t to up us we";

/// A term of the query.
#[derive(Debug)]
struct Wanted {
    hash: u64,
    share: u64,
    /// In how many texts it occurs.
    holders: u32,
}

/// What is kept of a text that has a term of the query.
#[derive(Debug)]
struct Kept {
    id: u64,
    length: u32,
    /// One past its last entry in the list of occurrences.
    end: usize,
}

/// A text that was found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Hit {
    pub id: u64,
    /// Larger is better; comparable only within one search.
    pub score: f64,
}

/// A search under way.
#[derive(Debug)]
pub(crate) struct Search {
    /// By ascending hash.
    wanted: Vec<Wanted>,
    kept: Vec<Kept>,
    /// Of every text kept, one after the other: which term, and how often.
    occurrences: Vec<(usize, u32)>,
    texts: u32,
    words: u64,
    /// How often each term occurs in the text that is being read.
    counts: Vec<u32>,
}

impl Search {
    pub(crate) fn new(query: &str) -> Self {
        let mut common = Vec::new();
        for words in [STOP_WORDS, SHORT_WORDS] {
            read(words, &mut |term| common.push((term.hash, 0)));
        }
        let common = ascending(common);
        let mut terms = Vec::new();
        read(clip(query, LONGEST_QUERY), &mut |term| {
            let at = common.partition_point(|(hash, _)| *hash < term.hash);
            let is_common = common.get(at).is_some_and(|(hash, _)| *hash == term.hash);
            terms.push((term.hash, share(term.kind, is_common)));
        });
        let mut wanted: Vec<Wanted> = Vec::new();
        for (hash, share) in ascending(terms) {
            // The same term in several roles: the best of them comes last.
            match wanted.last_mut() {
                Some(last) if last.hash == hash => last.share = share,
                _ => wanted.push(Wanted { hash, share, holders: 0 }),
            }
        }
        let counts = vec![0; wanted.len()];
        Self { wanted, kept: Vec::new(), occurrences: Vec::new(), texts: 0, words: 0, counts }
    }

    /// Reads one text. Linear in its length; what is kept of it does not depend on that.
    pub(crate) fn add(&mut self, id: u64, text: &str) {
        let Self { wanted, counts, .. } = self;
        let mut length: u32 = 0;
        counts.fill(0);
        read(text, &mut |term| {
            length = length.saturating_add(u32::from(term.kind == Kind::Word));
            if let Some(count) = place(wanted, &term).and_then(|at| counts.get_mut(at)) {
                *count = count.saturating_add(1);
            }
        });
        self.texts = self.texts.saturating_add(1);
        self.words += u64::from(length);
        for (at, (wanted, count)) in self.wanted.iter_mut().zip(&self.counts).enumerate() {
            if *count > 0 {
                wanted.holders += 1;
                self.occurrences.push((at, *count));
            }
        }
        if self.kept.last().map_or(0, |kept| kept.end) < self.occurrences.len() {
            self.kept.push(Kept { id, length, end: self.occurrences.len() });
        }
    }

    /// The texts that fit the query best, the best first; of equals the one with the larger id.
    pub(crate) fn best(&self, limit: usize) -> Vec<Hit> {
        let mut ranks = Vec::with_capacity(self.kept.len());
        let mut start = 0;
        for kept in &self.kept {
            let score = self.score(kept.length, self.occurrences.get(start..kept.end).unwrap_or_default());
            start = kept.end;
            // Positive numbers are in the order of their bits.
            ranks.push((score.to_bits(), kept.id));
        }
        let ranked = ascending(ranks).into_iter().rev();
        ranked.take(limit).map(|(bits, id)| Hit { id, score: f64::from_bits(bits) }).collect()
    }

    #[allow(clippy::cast_precision_loss)]
    fn score(&self, length: u32, occurrences: &[(usize, u32)]) -> f64 {
        let mean = self.words as f64 / f64::from(self.texts.max(1));
        let norm = K1 * (1.0 - B + B * f64::from(length) / mean.max(1.0));
        let mut score = 0.0;
        for (at, count) in occurrences {
            let Some(wanted) = self.wanted.get(*at) else { continue };
            let count = f64::from(*count);
            score += self.weight(wanted) * count * (K1 + 1.0) / (count + norm);
        }
        score
    }

    /// What a term is worth: its share, times the more the fewer texts have it. The logarithm is of more than 1, so that a
    /// term that most texts have does not count against them.
    #[allow(clippy::cast_precision_loss)]
    fn weight(&self, wanted: &Wanted) -> f64 {
        let holders = f64::from(wanted.holders);
        let rarity = 1.0 + (f64::from(self.texts) - holders + 0.5) / (holders + 0.5);
        wanted.share as f64 / WHOLE as f64 * logarithm(rarity)
    }

    /// The passage of a text that has the most of the query, at most `characters` long, with `…` where it was cut. The
    /// beginning of a text that has nothing of it.
    pub(crate) fn excerpt(&self, text: &str, characters: usize) -> String {
        if text.char_indices().nth(characters).is_none() {
            return text.to_owned();
        }
        let room = characters.saturating_sub(2);
        let (start, end) = self.densest(text, room);
        passage(text, start, end, room)
    }

    /// Where the terms stand that are worth the most together and no further apart than `room` bytes.
    fn densest(&self, text: &str, room: usize) -> (usize, usize) {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let worths: Vec<u64> = self.wanted.iter().map(|wanted| (self.weight(wanted) * 1_000.0) as u64 + 1).collect();
        let worth = |at: usize| worths.get(at).copied().unwrap_or_default();
        let mut counts = vec![0_u32; worths.len()];
        let mut near: VecDeque<(usize, Term)> = VecDeque::new();
        let (mut sum, mut best, mut found) = (0, (0, 0), (0, 0));
        read(text, &mut |term| {
            let Some(at) = place(&self.wanted, &term) else { return };
            near.push_back((at, term));
            if let Some(count) = counts.get_mut(at) {
                *count += 1;
                sum += if *count == 1 { worth(at) } else { 0 };
            }
            while let Some((at, _)) = near.pop_front_if(|(_, first)| term.end - first.start > room) {
                if let Some(count) = counts.get_mut(at) {
                    *count -= 1;
                    sum -= if *count == 0 { worth(at) } else { 0 };
                }
            }
            if let Some((_, first)) = near.front()
                && (sum, near.len()) > best
            {
                (best, found) = ((sum, near.len()), (first.start, term.end));
            }
        });
        found
    }
}

fn share(kind: Kind, is_common: bool) -> u64 {
    match kind {
        _ if is_common => COMMON,
        Kind::Part => PART,
        Kind::Word | Kind::Joined => WHOLE,
    }
}

fn place(wanted: &[Wanted], term: &Term) -> Option<usize> {
    let at = wanted.partition_point(|wanted| wanted.hash < term.hash);
    wanted.get(at).filter(|wanted| wanted.hash == term.hash).map(|_| at)
}

/// `room` characters around a place in a text that is longer than that, from word to word.
fn passage(text: &str, start: usize, end: usize, room: usize) -> String {
    let inside = text.get(start..end).unwrap_or_default().chars().count();
    let around = room.saturating_sub(inside);
    let back = |from: usize, count: usize| {
        let head = text.get(..from).unwrap_or_default();
        count.checked_sub(1).map_or(from, |last| head.char_indices().rev().nth(last).map_or(0, |(at, _)| at))
    };
    let mut from = back(start, around / 2);
    let mut to = from + clip(text.get(from..).unwrap_or_default(), room).len();
    if to == text.len() {
        from = back(to, room);
    }
    if from > 0 {
        let head = text.get(from..start).unwrap_or_default().bytes().take(LONGEST_WORD);
        from += head.enumerate().find(|(_, byte)| byte.is_ascii_whitespace()).map_or(0, |(at, _)| at + 1);
    }
    if to < text.len() {
        let tail = text.get(end.max(from)..to).unwrap_or_default().bytes().rev().take(LONGEST_WORD);
        to -= tail.enumerate().find(|(_, byte)| byte.is_ascii_whitespace()).map_or(0, |(at, _)| at + 1);
    }
    let (before, after) = (if from > 0 { "…" } else { "" }, if to < text.len() { "…" } else { "" });
    [before, text.get(from..to).unwrap_or_default(), after].concat()
}

/// Half a word of more bytes than this may stand at the edge of a passage.
const LONGEST_WORD: usize = 24;

/// The natural logarithm of a finite number of at least 1, right to eleven digits. By arithmetic alone: the standard
/// library's differs from one platform to the next in the last digit, and with it the order of hits.
fn logarithm(number: f64) -> f64 {
    // In two factors: a power of two, and what is left, between the square roots of a half and of two.
    let bits = number.max(1.0).to_bits();
    let mut exponent = f64::from(u32::try_from(bits >> 52).unwrap_or_default()) - 1_023.0;
    let mut rest = f64::from_bits(bits & 0x000f_ffff_ffff_ffff | 0x3ff0_0000_0000_0000);
    if rest > std::f64::consts::SQRT_2 {
        (rest, exponent) = (rest / 2.0, exponent + 1.0);
    }
    // Its logarithm is twice the area tangent of this ratio, of which the series needs few terms.
    let ratio = (rest - 1.0) / (rest + 1.0);
    let mut series = 0.0;
    for odd in [13.0, 11.0, 9.0, 7.0, 5.0, 3.0, 1.0] {
        series = series * ratio * ratio + 1.0 / odd;
    }
    exponent * std::f64::consts::LN_2 + 2.0 * ratio * series
}

#[cfg(test)]
mod tests;
