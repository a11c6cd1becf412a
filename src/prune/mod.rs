//! In which order tool results are pruned. Pure functions: the caller decides what may be pruned at all and evicts one
//! result after the other until there is room.

pub(crate) mod placeholder;
mod scoring;
pub(crate) mod stale;
pub(crate) mod subgoal;
pub(crate) mod words;

use std::collections::BinaryHeap;

use crate::order::sorted_by;
use crate::policy::Strategy;
use scoring::{Goal, Index, ONE, Profile, Reader};
use subgoal::{State, Subgoals};

/// A tool result that may be pruned.
#[derive(Debug, Clone)]
pub(crate) struct Block<'t> {
    /// Its place among the messages, for recency and ties.
    pub at: usize,
    /// Name of the tool, the arguments of its call, the payload: what it is about.
    pub texts: Vec<&'t str>,
    /// It reports a failure.
    pub error: bool,
}

/// What the conversation is about.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Aim<'g> {
    /// What the user wants, in words.
    pub goal: Option<&'g str>,
    pub subgoals: &'g Subgoals,
    /// Number of messages, that [`Block::at`] is a place among.
    pub messages: usize,
}

/// What a result that reports a failure is worth beyond others of its score (B-33). As much as the whole of the recency
/// in a subgoal's score; with it, less than what sets an active, a completed and no subgoal apart.
const ERROR_BONUS: u64 = ONE / 20;

/// zeph's worth of a result by the state of its subgoal; and of being the newest, on top.
const ACTIVE: u64 = ONE;
const COMPLETED: u64 = ONE * 3 / 10;
const UNTAGGED: u64 = ONE / 10;
const NEWEST: u64 = ONE / 20;

/// Positions into `blocks`, the first to prune first.
///
/// With the strategies that look at redundancy, a block is redundant by the largest share of it that one of the blocks
/// *after it in this order* repeats: when a block is pruned, those that were redundant only because of it no longer are.
/// (zeph compares with all that are more relevant, also with those already pruned.) Blocks that may not be pruned can be
/// given too and be skipped in the order: until it has passed them, they make redundant what they repeat.
pub(crate) fn order(strategy: Strategy, blocks: &[Block<'_>], aim: &Aim<'_>) -> Vec<usize> {
    ranked(strategy, blocks, aim).0
}

/// The order, and how many pairs of blocks were compared for it.
fn ranked(strategy: Strategy, blocks: &[Block<'_>], aim: &Aim<'_>) -> (Vec<usize>, usize) {
    let place = |at: &usize| blocks.get(*at).map_or(0, |block| block.at as u64);
    let oldest: Vec<usize> = sorted_by((0..blocks.len()).collect(), place);
    if strategy == Strategy::OldestFirst {
        return (oldest, 0);
    }
    let reader = Reader::new();
    let mut goal = match strategy {
        Strategy::TaskAware | Strategy::Mig | Strategy::TaskAwareMig => aim.goal.and_then(|text| reader.goal(text)),
        _ => None,
    };
    if strategy == Strategy::TaskAware && goal.is_none() {
        return (oldest, 0);
    }
    // From here on blocks go by age, the oldest is 0.
    let blocks: Vec<&Block<'_>> = oldest.iter().filter_map(|at| blocks.get(*at)).collect();
    let profiles: Vec<Profile> = match strategy {
        Strategy::Subgoal => Vec::new(),
        _ => blocks.iter().map(|block| reader.profile(&block.texts, goal.as_mut())).collect(),
    };
    let worths = worths(strategy, &blocks, &profiles, goal.as_ref(), aim);
    let (mut repeats, mut compared) = (vec![Vec::new(); blocks.len()], 0);
    if matches!(strategy, Strategy::Mig | Strategy::TaskAwareMig | Strategy::SubgoalMig) {
        let index = Index::new(&profiles);
        for (at, repeats) in repeats.iter_mut().enumerate() {
            let (found, looked) = index.repeats(at);
            *repeats = found;
            compared += looked;
        }
    }
    let order = evictions(&worths, &repeats, |at, redundancy| {
        let bonus = if blocks.get(at).is_some_and(|block| block.error) { ERROR_BONUS } else { 0 };
        let worth = worths.get(at).copied().unwrap_or(0);
        let novelty = ONE.saturating_sub(redundancy);
        bonus + if strategy == Strategy::TaskAwareMig { worth * novelty / ONE } else { worth + novelty }
    });
    (order.into_iter().filter_map(|at| oldest.get(at).copied()).collect(), compared)
}

/// What each block is worth, whatever others say.
fn worths(
    strategy: Strategy,
    blocks: &[&Block<'_>],
    profiles: &[Profile],
    goal: Option<&Goal>,
    aim: &Aim<'_>,
) -> Vec<u64> {
    let recency =
        |block: &Block<'_>| (block.at.min(aim.messages) as u64).saturating_mul(ONE).checked_div(aim.messages as u64);
    let ages = blocks.iter().map(|block| recency(block).unwrap_or(0));
    match strategy {
        Strategy::Subgoal | Strategy::SubgoalMig => {
            let mut worths = Vec::with_capacity(blocks.len());
            for (block, recency) in blocks.iter().zip(ages) {
                let state = match aim.subgoals.state_of(block.at) {
                    Some(State::Active) => ACTIVE,
                    Some(State::Completed) => COMPLETED,
                    None => UNTAGGED,
                };
                worths.push(state + recency * NEWEST / ONE);
            }
            worths
        }
        _ => {
            let mut relevances: Vec<u64> = Vec::new();
            if let Some(goal) = goal {
                relevances = profiles.iter().map(|profile| goal.relevance(profile, blocks.len())).collect();
            }
            if strategy == Strategy::TaskAwareMig {
                // Relative to the most relevant one, and with some recency, so that what is not relevant at all goes by
                // age and by what is new in it.
                let most = relevances.iter().copied().max().unwrap_or(0);
                relevances.resize(blocks.len(), 0);
                let relative = |relevance: u64| (relevance * ONE).checked_div(most).unwrap_or(0);
                return relevances.into_iter().zip(ages).map(|(of, recency)| relative(of) + recency / 4).collect();
            }
            if goal.is_some() { relevances } else { ages.collect() }
        }
    }
}

/// The blocks by what they score at the time that they are the lowest left; ties go to the older. `repeats` names for
/// each block those that repeat a share of it; `score` may only fall with redundancy, the largest share of those left.
fn evictions(worths: &[u64], repeats: &[Vec<(usize, u64)>], score: impl Fn(usize, u64) -> u64) -> Vec<usize> {
    let mut left = vec![true; worths.len()];
    let now = |left: &[bool], at: usize| {
        let others = repeats.get(at).map(Vec::as_slice).unwrap_or_default();
        let those = others.iter().filter(|(other, _)| left.get(*other) == Some(&true));
        score(at, those.map(|(_, share)| *share).max().unwrap_or(0))
    };
    // The heap gives the largest first, so keys are turned round.
    let mut heap: BinaryHeap<(u64, u64)> = (0..worths.len()).map(|at| (!now(&left, at), !(at as u64))).collect();
    let mut order = Vec::with_capacity(worths.len());
    while let Some((key, turned)) = heap.pop() {
        let at = usize::try_from(!turned).unwrap_or(usize::MAX);
        // Scores only rise when others go, so one that was too low is met here, never passed.
        let current = !now(&left, at);
        if current != key {
            heap.push((current, turned));
            continue;
        }
        if let Some(left) = left.get_mut(at) {
            *left = false;
        }
        order.push(at);
    }
    order
}

#[cfg(test)]
mod tests {
    use super::scoring::CANDIDATES;
    use super::{Aim, Block, order, ranked};
    use crate::policy::Strategy;
    use crate::prune::subgoal::Subgoals;

    const ALL: [Strategy; 6] = [
        Strategy::OldestFirst,
        Strategy::TaskAware,
        Strategy::Mig,
        Strategy::TaskAwareMig,
        Strategy::Subgoal,
        Strategy::SubgoalMig,
    ];

    fn block(at: usize, text: &str) -> Block<'_> {
        Block { at, texts: vec!["read", text], error: false }
    }

    /// Blocks at 1, 2, ...
    fn blocks<'t>(texts: &[&'t str]) -> Vec<Block<'t>> {
        texts.iter().zip(1..).map(|(text, at)| block(at, text)).collect()
    }

    fn ordered(strategy: Strategy, goal: Option<&str>, blocks: &[Block<'_>]) -> Vec<usize> {
        order(strategy, blocks, &Aim { goal, subgoals: &Subgoals::default(), messages: blocks.len() + 1 })
    }

    /// Texts of words that no other one holds.
    fn unlike(at: usize) -> String {
        let words: Vec<String> = (0..12).map(|word| format!("word{at}_{word}")).collect();
        words.join(" ")
    }

    #[test]
    fn the_oldest_go_first_wherever_they_stand_in_the_list() {
        let blocks = [block(7, "a"), block(3, "b"), block(5, "c"), block(3, "d")];
        assert_eq!(ordered(Strategy::OldestFirst, Some("irrelevant"), &blocks), [1, 3, 2, 0]);
    }

    #[test]
    fn the_least_relevant_go_first() {
        let relevant = "authentication middleware session token implementation ".repeat(50);
        let other = "database schema table column index key ".repeat(50);
        let goal = Some("authentication middleware session token");
        for strategy in [Strategy::TaskAware, Strategy::Mig, Strategy::TaskAwareMig] {
            assert_eq!(ordered(strategy, goal, &blocks(&[&relevant, &other])), [1, 0], "{strategy:?}");
            assert_eq!(ordered(strategy, goal, &blocks(&[&other, &relevant])), [0, 1], "{strategy:?}");
        }
    }

    #[test]
    fn with_relevance_minus_redundancy_what_does_not_concern_the_goal_goes_first() {
        let relevant = "authentication token session middleware ".repeat(50);
        let other = "database schema table column index ".repeat(50);
        assert_eq!(ordered(Strategy::Mig, Some("authentication token"), &blocks(&[&relevant, &other])), [1, 0]);
    }

    #[test]
    fn without_a_goal_that_says_anything_the_oldest_go_first() {
        let texts: Vec<String> = (0..4).map(unlike).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let mut blocks = blocks(&texts);
        blocks.swap(0, 2);
        for strategy in [Strategy::TaskAware, Strategy::Mig, Strategy::TaskAwareMig] {
            for goal in [None, Some(""), Some("and now do it")] {
                assert_eq!(ordered(strategy, goal, &blocks), [2, 1, 0, 3], "{strategy:?}");
            }
        }
        // Also when it reports a failure.
        blocks[1].error = true;
        blocks[1].at = 1;
        assert_eq!(ordered(Strategy::TaskAware, None, &blocks), [1, 2, 0, 3]);
    }

    #[test]
    fn b23_a_block_does_not_lose_against_its_own_subset() {
        let part = "authentication session token middleware implementation login logout ".repeat(10);
        let whole = format!("{part} extra unique content for higher relevance boost");
        for goal in [Some("authentication session token"), None] {
            for strategy in [Strategy::Mig, Strategy::TaskAwareMig] {
                assert_eq!(ordered(strategy, goal, &blocks(&[&whole, &part])), [1, 0], "{strategy:?}");
                assert_eq!(ordered(strategy, goal, &blocks(&[&part, &whole])), [0, 1], "{strategy:?}");
            }
        }
        assert_eq!(ordered(Strategy::SubgoalMig, None, &blocks(&[&whole, &part])), [1, 0]);
    }

    #[test]
    fn b23_ties_go_to_the_older_every_time() {
        let blocks = [block(4, "same text here"), block(2, "same text here"), block(9, "same text here")];
        for strategy in ALL {
            assert_eq!(ordered(strategy, Some("an unrelated matter"), &blocks), [1, 0, 2], "{strategy:?}");
        }
    }

    #[test]
    fn b23_results_in_a_script_without_spaces_are_relevant_too() {
        let blocks = blocks(&["関数 verify: 認証トークンが無効です", "画面の背景色を変更しました"]);
        assert_eq!(ordered(Strategy::TaskAware, Some("認証トークンの検証を直す"), &blocks), [1, 0]);
    }

    #[test]
    fn a_block_is_redundant_only_while_another_that_repeats_it_is_left() {
        // Three times the same, and three that nothing repeats.
        let (same, texts) = (unlike(9), [unlike(0), unlike(1), unlike(2)]);
        let blocks = blocks(&[&texts[0], &same, &texts[1], &same, &texts[2], &same]);
        // All but the last of the three go before the others, which go by age; so does then the last.
        assert_eq!(ordered(Strategy::Mig, None, &blocks), [1, 3, 0, 2, 4, 5]);
    }

    #[test]
    fn b23_the_combined_strategy_is_neither_of_the_two_it_combines() {
        let goal = Some("login token session");
        let core = "login token session handler check expiry refresh ";
        let newer = format!("{core} cookie");
        let (shared, half, unrelated) = ("zeta eta theta iota kappa lambda", unlike(2), unlike(3));
        let partly = format!("login token session {shared} alpha beta gamma delta epsilon");
        let other = format!("{shared} {half}");
        let blocks = blocks(&[core, &partly, &unrelated, &other, &newer]);
        let [task, mig, both] = [Strategy::TaskAware, Strategy::Mig, Strategy::TaskAwareMig]
            .map(|strategy| ordered(strategy, goal, &blocks));
        // By relevance alone the repeated answer (0) outlasts all that concerns the goal less.
        assert_eq!(task, [2, 3, 1, 4, 0]);
        // By the difference what concerns the goal and is partly repeated (1) goes before what does not concern it.
        assert_eq!(mig, [0, 1, 2, 3, 4]);
        // What is repeated goes first, but what is left of the relevant ones outlasts the others.
        assert_eq!(both, [0, 2, 3, 1, 4]);
    }

    #[test]
    fn what_belongs_to_no_subgoal_goes_before_completed_and_active_ones() {
        let mut subgoals = Subgoals::default();
        subgoals.push_active("one", 2);
        subgoals.complete_active(3);
        subgoals.push_active("two", 4);
        subgoals.extend_active(5);
        let texts: Vec<String> = (0..6).map(unlike).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let mut blocks = blocks(&texts);
        let aim = Aim { goal: None, subgoals: &subgoals, messages: 7 };
        for strategy in [Strategy::Subgoal, Strategy::SubgoalMig] {
            assert_eq!(order(strategy, &blocks, &aim), [0, 5, 1, 2, 3, 4], "{strategy:?}");
        }
        // However new, and a failure: the state of the subgoal decides.
        blocks[5].error = true;
        blocks[2].error = true;
        assert_eq!(order(Strategy::Subgoal, &blocks, &aim), [0, 5, 1, 2, 3, 4]);
        // A part of the active subgoal that a newer result repeats whole is not worth keeping.
        blocks[3].texts = blocks[4].texts.clone();
        assert_eq!(order(Strategy::SubgoalMig, &blocks, &aim)[0], 3);
        assert_eq!(order(Strategy::Subgoal, &blocks, &aim), [0, 5, 1, 2, 3, 4]);
    }

    #[test]
    fn among_results_of_equal_state_recency_outweighs_a_little_redundancy() {
        // Of the newest, one word in thirteen is said elsewhere, too.
        let (newest, oldest, other) = (format!("{} shared", unlike(0)), unlike(1), format!("{} shared", unlike(2)));
        let texts = [oldest.as_str(), other.as_str(), newest.as_str()];
        let mut blocks = blocks(&texts);
        (blocks[1].at, blocks[2].at) = (60, 99);
        let mut subgoals = Subgoals::default();
        subgoals.push_active("another", 60);
        subgoals.complete_active(60);
        let aim = Aim { goal: None, subgoals: &subgoals, messages: 100 };
        assert_eq!(order(Strategy::SubgoalMig, &blocks, &aim), [0, 2, 1]);
    }

    #[test]
    fn b33_a_failure_is_kept_longer_than_others_of_its_score() {
        let texts: Vec<String> = (0..3).map(unlike).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let mut blocks = blocks(&texts);
        blocks[0].error = true;
        let goal = Some("an unrelated matter");
        for strategy in [Strategy::TaskAware, Strategy::Mig, Strategy::Subgoal, Strategy::SubgoalMig] {
            assert_eq!(ordered(strategy, goal, &blocks), [1, 2, 0], "{strategy:?}");
        }
        // Recency is a quarter here: an eighth between the first and the last of three among four.
        assert_eq!(ordered(Strategy::TaskAwareMig, goal, &blocks), [0, 1, 2]);
        assert_eq!(ordered(Strategy::OldestFirst, goal, &blocks), [0, 1, 2]);
    }

    #[test]
    fn b33_of_a_repeated_failure_the_last_occurrence_is_kept() {
        let (failure, other) = (unlike(0), unlike(1));
        let mut blocks = blocks(&[&failure, &failure, &other]);
        (blocks[0].error, blocks[1].error) = (true, true);
        assert_eq!(ordered(Strategy::Mig, Some("an unrelated matter"), &blocks), [0, 2, 1]);
    }

    #[test]
    fn strategies_are_known_by_the_name_that_is_written_and_by_zephs() {
        for strategy in ALL {
            let written = serde_json::to_value(strategy).unwrap();
            assert_eq!(Strategy::from_name(written.as_str().unwrap()), Some(strategy));
        }
        let zeph = ["reactive", "task_aware", "mig", "task_aware_mig", "subgoal", "subgoal_mig"];
        assert_eq!(zeph.map(Strategy::from_name), ALL.map(Some));
        assert_eq!(Strategy::from_name("newest-first"), None);
    }

    #[test]
    fn every_block_is_in_the_order_once_whatever_it_holds() {
        let long = "日本語 слово word ".repeat(9_000);
        let mut blocks = blocks(&["", "\u{0}", &long, "🦀🦀🦀", "x", &long, "same", "same"]);
        blocks[3].at = usize::MAX;
        blocks.push(Block { at: 0, texts: Vec::new(), error: true });
        for strategy in ALL {
            for (goal, messages) in [(None, 0), (Some("слово"), 3), (Some(long.as_str()), usize::MAX)] {
                let mut order = order(strategy, &blocks, &Aim { goal, subgoals: &Subgoals::default(), messages });
                order.sort_unstable();
                assert_eq!(order, (0..blocks.len()).collect::<Vec<_>>(), "{strategy:?}");
            }
        }
        assert!(ALL.into_iter().all(|strategy| ordered(strategy, Some("goal"), &[]).is_empty()));
    }

    #[test]
    fn b23_ten_thousand_blocks_are_compared_with_a_dozen_others_each() {
        // 2 kB each, of words that a hundred others hold, and again of the very same words.
        let text = |at: usize| {
            let word = |word: usize| format!("word{}", at % 100 * 1_000 + (at * 7_919 + word * 104_729) % 700);
            let words: Vec<String> = (0..200).map(word).collect();
            words.join(" ")
        };
        for texts in [(0..10_000).map(text).collect::<Vec<_>>(), vec![text(0); 10_000]] {
            let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
            let blocks = blocks(&texts);
            let aim = Aim { goal: Some("word77 word78"), subgoals: &Subgoals::default(), messages: 10_001 };
            let (order, compared) = ranked(Strategy::Mig, &blocks, &aim);
            assert_eq!(order.len(), blocks.len());
            assert!(compared <= CANDIDATES * blocks.len(), "{compared}");
            assert!(compared >= blocks.len(), "{compared}");
            assert_eq!(ranked(Strategy::TaskAware, &blocks, &aim).1, 0);
        }
    }
}
