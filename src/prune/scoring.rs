//! How relevant tool results are to a goal, and how much of one another repeats. Everything is integer arithmetic, so
//! the order is the same on every platform; the cost is linear in the texts.

use super::words::{Words, stop_words};

/// The score 1. Scores are in millionths (zeph: 32-bit floats).
pub(super) const ONE: u64 = 1_000_000;

/// Different words of a block that are compared with other blocks: those with the smallest hashes, which are the same
/// words in every block that holds them. All of a result of some 4 kB, a fair sample of a larger one.
const COMPARED: usize = 512;

/// A sample of fewer words than this says nothing.
const SMALLEST_SAMPLE: usize = 8;

/// A block is compared with those that hold one of its rarest words (so many of them), with so many that come directly
/// before it and after it for each of the words, and with so many in all.
const RAREST: usize = 8;
const BESIDE: usize = 2;
pub(super) const CANDIDATES: usize = 12;

/// What the results should be relevant to.
#[derive(Debug)]
pub(super) struct Goal {
    words: Words,
    /// In how many blocks each of the words occurs.
    holders: Vec<u64>,
}

/// What is kept of a block.
#[derive(Debug, Default)]
pub(super) struct Profile {
    /// Words of the block, repeated ones counted each time.
    total: u64,
    /// The words that the goal has too: which of the goal's, and how often.
    hits: Vec<(usize, u64)>,
    /// The smallest hashes of its words, ascending.
    sample: Vec<u64>,
    /// The largest hash that the sample was open to.
    horizon: u64,
}

/// What reads goals and blocks.
#[derive(Debug)]
pub(super) struct Reader {
    stop: Vec<(u64, u64)>,
}

impl Reader {
    pub(super) fn new() -> Self {
        Self { stop: stop_words() }
    }

    /// `None` if no word of the goal says what it is about.
    pub(super) fn goal(&self, text: &str) -> Option<Goal> {
        let words = Words::of(&[text], &self.stop);
        let holders = vec![0; words.counts.len()];
        (words.total > 0).then_some(Goal { words, holders })
    }

    pub(super) fn profile(&self, texts: &[&str], goal: Option<&mut Goal>) -> Profile {
        let words = Words::of(texts, &self.stop);
        let mut profile = Profile { total: words.total, horizon: u64::MAX, ..Profile::default() };
        if let Some(goal) = goal {
            for (at, ((hash, _), holders)) in goal.words.counts.iter().zip(&mut goal.holders).enumerate() {
                let count = words.count(*hash);
                if count > 0 {
                    profile.hits.push((at, count));
                    *holders += 1;
                }
            }
        }
        for (hash, _) in words.counts {
            if profile.sample.len() == COMPARED {
                profile.horizon = hash - 1;
                break;
            }
            profile.sample.push(hash);
        }
        profile
    }
}

/// What a word weighs that occurs in `holders` of so many blocks: more the rarer it is (inverse document frequency, with
/// a whole-number logarithm).
fn weight(blocks: usize, holders: u64) -> u64 {
    1 + (blocks as u64).checked_div(holders).map_or(0, |share| u64::from(share.max(1).ilog2()))
}

impl Goal {
    /// How similar a block is to the goal: weighted Jaccard, the sum of the smaller over the sum of the larger
    /// frequencies of each word, from 0 for nothing in common (or nothing at all) to [`ONE`] for the same words equally
    /// often. Words of the goal weigh by how rare they are among the blocks, others 1. (zeph's sums are asymmetric and
    /// unweighted, B-23.)
    pub(super) fn relevance(&self, profile: &Profile, blocks: usize) -> u64 {
        let (own, other) = (self.words.total, profile.total);
        // Frequencies are counts over totals; all are multiplied by both totals.
        let mut larger = own * other;
        for ((_, count), holders) in self.words.counts.iter().zip(&self.holders) {
            larger += weight(blocks, *holders) * count * other;
        }
        let mut smaller = 0;
        for (at, count) in &profile.hits {
            let Some(((_, wanted), holders)) = self.words.counts.get(*at).zip(self.holders.get(*at)) else { continue };
            let weight = weight(blocks, *holders);
            larger += (weight - 1) * count * own;
            smaller += weight * (wanted * other).min(count * own);
        }
        (smaller * ONE).checked_div(larger - smaller).unwrap_or(0)
    }
}

/// The least and the most lists of an index.
const SLOTS: (usize, usize) = (1 << 12, 1 << 20);

/// Which blocks hold a word: a table of lists, by the low bits of the word's hash. Words that share a list only make
/// each other seem less rare.
#[derive(Debug)]
pub(super) struct Index<'p> {
    profiles: &'p [Profile],
    mask: u64,
    starts: Vec<usize>,
    lists: Vec<usize>,
}

/// Words of a block, each with its weight.
type Weighed = Vec<(u64, u64)>;

impl<'p> Index<'p> {
    pub(super) fn new(profiles: &'p [Profile]) -> Self {
        let words: usize = profiles.iter().map(|profile| profile.sample.len()).sum();
        let slots = (words * 8).next_power_of_two().clamp(SLOTS.0, SLOTS.1);
        let mask = slots as u64 - 1;
        let mut index = Self { profiles, mask, starts: vec![0; slots + 1], lists: vec![0; words] };
        // First the lengths of the lists, then where they end, then, from the last block back, where they start.
        for hash in profiles.iter().flat_map(|profile| &profile.sample) {
            let slot = index.slot(*hash);
            if let Some(length) = index.starts.get_mut(slot) {
                *length += 1;
            }
        }
        let mut end = 0;
        for start in &mut index.starts {
            end += *start;
            *start = end;
        }
        for (at, profile) in profiles.iter().enumerate().rev() {
            for hash in &profile.sample {
                let slot = index.slot(*hash);
                let Some(start) = index.starts.get_mut(slot) else { continue };
                *start -= 1;
                if let Some(place) = index.lists.get_mut(*start) {
                    *place = at;
                }
            }
        }
        index
    }

    fn slot(&self, hash: u64) -> usize {
        usize::try_from(hash & self.mask).unwrap_or(0)
    }

    /// The blocks that hold a word, in order.
    fn holders(&self, hash: u64) -> &[usize] {
        let slot = self.slot(hash);
        let range = self.starts.get(slot).zip(self.starts.get(slot + 1));
        range.and_then(|(start, end)| self.lists.get(*start..*end)).unwrap_or_default()
    }

    /// The blocks that repeat some of this block, each with the share of it that they repeat; and how many were compared.
    pub(super) fn repeats(&self, at: usize) -> (Vec<(usize, u64)>, usize) {
        let Some(profile) = self.profiles.get(at) else { return (Vec::new(), 0) };
        let mut weighed: Weighed = Vec::with_capacity(profile.sample.len());
        // The words with the shortest lists, the shortest first.
        let mut rarest: Vec<(usize, u64)> = Vec::with_capacity(RAREST + 1);
        for hash in &profile.sample {
            let holders = self.holders(*hash).len();
            weighed.push((*hash, weight(self.profiles.len(), holders as u64)));
            if holders > 1 && (rarest.len() < RAREST || rarest.last().is_some_and(|(most, _)| holders < *most)) {
                let place = rarest.partition_point(|(fewer, _)| *fewer <= holders);
                rarest.insert(place, (holders, *hash));
                rarest.truncate(RAREST);
            }
        }
        let mut candidates: Vec<usize> = Vec::with_capacity(CANDIDATES);
        for (_, hash) in rarest {
            let holders = self.holders(hash);
            let first = holders.partition_point(|other| *other < at);
            let after = holders.partition_point(|other| *other <= at);
            for other in holders.iter().skip(after).take(BESIDE).chain(holders.iter().take(first).rev().take(BESIDE)) {
                if candidates.len() < CANDIDATES && !candidates.contains(other) {
                    candidates.push(*other);
                }
            }
        }
        let compared = candidates.len();
        let mut repeats = Vec::with_capacity(compared);
        for other in candidates {
            if let Some(profile) = self.profiles.get(other) {
                repeats.push((other, contained(&weighed, profile)));
            }
        }
        (repeats, compared)
    }
}

/// The share of a block's different words, by weight, that another block holds too. Not symmetric, on purpose: what is
/// contained is redundant, what contains it is not (B-23). Each word counts once: saying it again adds nothing.
fn contained(block: &Weighed, other: &Profile) -> u64 {
    let (mut whole, mut shared, mut sampled) = (0, 0, 0);
    let mut rest = other.sample.iter().peekable();
    for (hash, weight) in block {
        if *hash > other.horizon {
            break;
        }
        while rest.next_if(|other| *other < hash).is_some() {}
        whole += weight;
        shared += if rest.peek() == Some(&hash) { *weight } else { 0 };
        sampled += 1;
    }
    if sampled < block.len().min(SMALLEST_SAMPLE) { 0 } else { (shared * ONE).checked_div(whole).unwrap_or(0) }
}

#[cfg(test)]
mod tests {
    use super::{CANDIDATES, COMPARED, Index, ONE, Profile, Reader, contained, weight};

    /// Similarity of two texts, each word as common as the other.
    fn similarity(goal: &str, text: &str) -> u64 {
        let reader = Reader::new();
        let mut goal = reader.goal(goal);
        let profile = reader.profile(&[text], goal.as_mut());
        goal.map_or(0, |goal| goal.relevance(&profile, 1))
    }

    fn profiles(texts: &[&str]) -> Vec<Profile> {
        let reader = Reader::new();
        texts.iter().map(|text| reader.profile(&[text], None)).collect()
    }

    /// Share of the first text that the second repeats.
    fn repeated(texts: [&str; 2]) -> u64 {
        let profiles = profiles(&texts);
        let (repeats, _) = Index::new(&profiles).repeats(0);
        repeats.iter().find(|(other, _)| *other == 1).map_or(0, |(_, share)| *share)
    }

    #[test]
    fn similarity_is_one_for_the_same_words_and_zero_for_others_or_none() {
        let text = "authentication middleware session";
        assert_eq!(similarity(text, text), ONE);
        assert_eq!(similarity(text, "session authentication middleware session middleware authentication"), ONE);
        assert_eq!(similarity(text, "database schema table"), 0);
        assert_eq!(similarity(text, ""), 0);
        assert_eq!(similarity("", text), 0);
        assert_eq!(similarity("", ""), 0);
    }

    #[test]
    fn similarity_to_a_goal_is_that_of_zeph() {
        let goal = "authentication session token";
        // 0.33333337 and 0
        assert_eq!(similarity(goal, "read authentication middleware session token implementation "), 333_333);
        assert_eq!(similarity(goal, "read database schema migration foreign key index "), 0);
        // 0.6622517
        let body = "authentication middleware session token implementation ".repeat(50);
        assert_eq!(similarity("authentication middleware session token", &format!("read {body}")), 662_251);
        // 0.3311259
        let body = "authentication token session middleware ".repeat(50);
        assert_eq!(similarity("authentication token", &format!("read {body}")), 331_125);
        // 0.24193546 and 0.26785716
        let part = "authentication session token middleware implementation login logout ".repeat(10);
        let whole = format!("{part} extra unique content for higher relevance boost");
        assert_eq!(similarity(goal, &format!("read {whole}")), 241_935);
        assert_eq!(similarity(goal, &format!("read {part}")), 267_857);
    }

    #[test]
    fn b23_similarity_is_symmetric() {
        for (one, other) in [
            ("token token session", "token session session login"),
            ("alpha beta gamma gamma", "gamma delta"),
            ("認証トークン", "認証の検証"),
        ] {
            assert_eq!(similarity(one, other), similarity(other, one));
            assert!(similarity(one, other) > 0);
        }
    }

    #[test]
    fn b23_a_goal_in_a_script_without_spaces_finds_its_result() {
        assert!(similarity("認証トークンの検証を直す", "関数 verify: 認証トークンが無効です") > 0);
        assert_eq!(similarity("認証トークンの検証を直す", "画面背景色変更"), 0);
    }

    #[test]
    fn a_word_of_the_goal_that_few_blocks_hold_weighs_more() {
        assert_eq!([weight(8, 8), weight(8, 4), weight(8, 1), weight(8, 0), weight(1, 1)], [1, 2, 4, 1, 1]);
        let reader = Reader::new();
        let mut goal = reader.goal("src login");
        let common: Vec<Profile> = (0..7).map(|_| reader.profile(&["src main plain text"], goal.as_mut())).collect();
        let rare = reader.profile(&["login main plain text"], goal.as_mut());
        let goal = goal.unwrap();
        assert!(goal.relevance(&rare, 8) > goal.relevance(&common[0], 8));
    }

    #[test]
    fn the_weight_of_a_word_counts_on_both_sides() {
        let reader = Reader::new();
        let body = "authentication middleware session token implementation ".repeat(50);
        let mut goal = reader.goal("authentication middleware session token");
        let relevant = reader.profile(&["read", &body], goal.as_mut());
        reader.profile(&["read", "database schema"], goal.as_mut());
        // Words of the goal weigh 2, so of 2 * 200/251 shared the union is 2 + (2 * 200 + 51)/251 less what is shared.
        assert_eq!(goal.unwrap().relevance(&relevant, 2), 400 * ONE / (502 + 451 - 400));
    }

    #[test]
    fn b23_what_is_contained_is_redundant_and_what_contains_it_is_not() {
        let part = "authentication session token middleware implementation login logout ".repeat(10);
        let whole = format!("{part} extra unique content for higher relevance boost");
        assert_eq!(repeated([&part, &whole]), ONE);
        // Seven words that both have weigh 1 each, six that one has weigh 2.
        assert_eq!(repeated([&whole, &part]), 7 * ONE / 19);
        assert_eq!(repeated([&part, &part]), ONE);
        assert_eq!(repeated([&part, "database schema"]), 0);
    }

    #[test]
    fn common_words_make_less_redundant_than_rare_ones() {
        let texts = ["login alpha", "login beta", "login", "login", "login", "login", "login zeta", "alpha eta"];
        let profiles = profiles(&texts);
        let (repeats, _) = Index::new(&profiles).repeats(0);
        let share = |of: usize| repeats.iter().find(|(other, _)| *other == of).map(|(_, share)| *share);
        // "login" is in seven of eight blocks and weighs 1, "alpha" is in two and weighs 3.
        assert_eq!((share(1), share(7)), (Some(ONE / 4), Some(ONE * 3 / 4)));
        // Of those that hold no more than "login" the next two are looked at.
        assert_eq!(repeats.len(), 3);
    }

    #[test]
    fn long_blocks_are_compared_by_samples_that_agree() {
        let words = |range: std::ops::Range<u32>| {
            let words: Vec<String> = range.map(|word| format!("word{word}")).collect();
            words.join(" ")
        };
        let whole = words(0..6_000);
        // Half of it and as much that is new; a part of it that is complete in the sample; two that are not.
        let half = words(3_000..9_000);
        let profiles = profiles(&[&whole, &half, &words(0..400), &words(0..60), &words(9_100..9_103)]);
        assert!(profiles.iter().all(|profile| profile.sample.len() <= COMPARED));
        let weighed = |at: usize| profiles[at].sample.iter().map(|hash| (*hash, 1)).collect();
        let share = |one: usize, other: usize| contained(&weighed(one), &profiles[other]);
        assert!((ONE * 2 / 5..ONE * 3 / 5).contains(&share(0, 1)), "{}", share(0, 1));
        assert!((ONE * 2 / 5..ONE * 3 / 5).contains(&share(1, 0)), "{}", share(1, 0));
        assert_eq!(share(2, 0), ONE);
        // What is left of a small block within the sample of a large one says too little.
        assert_eq!((share(3, 0), share(4, 0)), (0, 0));
        assert!(share(0, 2) < ONE / 10);
        assert_eq!(share(3, 2), ONE);
    }

    #[test]
    fn a_block_is_compared_with_those_that_hold_its_rarest_words() {
        let words: Vec<String> = (0..11).map(|word| format!("word{word}")).collect();
        for rare in 0..words.len() {
            // Ten words that all others hold, and one that only the last of them does.
            let common = words.iter().enumerate().filter(|(word, _)| *word != rare).map(|(_, word)| word.as_str());
            let common = common.collect::<Vec<_>>().join(" ");
            let all = words.join(" ");
            let mut texts = vec![all.as_str()];
            texts.extend([common.as_str(); 20]);
            texts.push(&all);
            let profiles = profiles(&texts);
            let (repeats, _) = Index::new(&profiles).repeats(0);
            assert!(repeats.contains(&(21, ONE)), "{rare}: {repeats:?}");
            // The next two hold all of the common words, and are looked at once.
            let mut others: Vec<usize> = repeats.iter().map(|(other, _)| *other).collect();
            others.sort_unstable();
            assert_eq!(others, [1, 2, 21]);
        }
    }

    #[test]
    fn a_block_is_compared_with_no_more_than_a_dozen_others() {
        // Eight words, each of which four others hold, two before and two after.
        let words: Vec<String> = (0..8).map(|word| format!("word{word}")).collect();
        let all = words.join(" ");
        let pairs = words.iter().flat_map(|word| [word.as_str(); 2]);
        let mut texts: Vec<&str> = pairs.clone().collect();
        texts.push(&all);
        texts.extend(pairs);
        let profiles = profiles(&texts);
        let (repeats, compared) = Index::new(&profiles).repeats(16);
        assert_eq!((repeats.len(), compared), (CANDIDATES, CANDIDATES));
        assert!(repeats.iter().all(|(other, _)| *other != 16));
    }
}
