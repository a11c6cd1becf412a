//! Which results a long tool loop has left behind.

/// zeph: results up to this many tokens are left alone, they are hardly larger than what would replace them.
const SMALL: u64 = 20;

/// How many messages at the end stay as they are, when tool pairs beyond `cutoff` (`toolCallCutoff`) count as old: the
/// pairs and the one under way. zeph's 2 * cutoff + 2.
pub(crate) const fn keep_recent(cutoff: usize) -> usize {
    cutoff.saturating_mul(2).saturating_add(2)
}

/// Positions of the stale results, those to prune first first: results before the last `keep_recent` messages, of more
/// than 20 tokens, the oldest first; after all others those that report a failure, but never the last failure of all.
/// `blocks` are (place among the messages, tokens, reports a failure).
///
/// zeph prunes them in every iteration, at any fill level (B-33). Here it is up to the caller: under pressure only, and
/// then all in one batch, so that the prompt cache breaks once.
pub(crate) fn stale(blocks: &[(usize, u64, bool)], messages: usize, keep_recent: usize) -> Vec<usize> {
    let boundary = messages.saturating_sub(keep_recent);
    let last_error = blocks.iter().filter(|(_, _, error)| *error).map(|(at, _, _)| *at).max();
    let mut results = Vec::new();
    for (position, (at, tokens, error)) in blocks.iter().enumerate() {
        // zeph leaves the first message alone, and so it needs one more than it keeps.
        let old = (1..boundary).contains(at);
        if old && *tokens > SMALL && !(*error && Some(*at) == last_error) {
            results.push((position, *at, *error));
        }
    }
    // Places are far below the bit that sets failures behind all others.
    let sorted = crate::order::sorted_by(results, |(_, at, error)| *at as u64 | u64::from(*error) << 63);
    sorted.into_iter().map(|(position, _, _)| position).collect()
}

#[cfg(test)]
mod tests {
    use super::{keep_recent, stale};

    /// A system message and six results of so many tokens.
    fn loop_of(tokens: u64) -> Vec<(usize, u64, bool)> {
        (1..7).map(|at| (at, tokens, false)).collect()
    }

    #[test]
    fn all_but_the_recent_messages_are_stale() {
        // Messages 1 and 2.
        assert_eq!(stale(&loop_of(63), 7, 4), [0, 1]);
    }

    #[test]
    fn nothing_is_stale_in_a_short_history() {
        assert!(stale(&loop_of(63), 7, 6).is_empty());
        assert!(stale(&loop_of(63), 7, 7).is_empty());
        assert!(stale(&loop_of(63), 7, usize::MAX).is_empty());
        assert_eq!(stale(&loop_of(63), 7, 5), [0]);
        assert!(stale(&[], 0, 0).is_empty());
    }

    #[test]
    fn the_first_message_is_never_stale() {
        assert_eq!(stale(&[(0, 100, false), (1, 100, false)], 10, 4), [1]);
    }

    #[test]
    fn a_result_above_twenty_tokens_is_stale() {
        assert_eq!(stale(&[(1, 20, false), (2, 21, false)], 10, 4), [1]);
    }

    #[test]
    fn several_results_of_one_message_are_all_stale_in_their_order() {
        assert_eq!(stale(&[(3, 30, false), (2, 30, false), (3, 40, false), (2, 50, false)], 10, 4), [1, 3, 0, 2]);
    }

    #[test]
    fn b33_failures_go_after_all_others_and_the_last_one_never() {
        let blocks = [(1, 50, true), (2, 50, false), (3, 50, true), (4, 50, false), (5, 50, true), (6, 50, false)];
        assert_eq!(stale(&blocks, 20, 4), [1, 3, 5, 0, 2]);
        // The last failure is a recent one: the old ones may go.
        let blocks = [(1, 50, true), (2, 50, false), (17, 50, true)];
        assert_eq!(stale(&blocks, 20, 4), [1, 0]);
    }

    #[test]
    fn what_stays_is_zephs_number_of_messages() {
        assert_eq!(keep_recent(6), 14);
        assert_eq!(keep_recent(usize::MAX), usize::MAX);
    }
}
