//! Leaving tool results out of a prompt that is too long for the summarizer, those in the middle first: the beginning
//! says what was wanted, the end where things stand.

use std::borrow::Cow;

use super::render::Piece;

/// Shares of the results that are left out, one attempt after the other, each from the whole prompt (zeph's 10, 20, 50
/// and 100 %).
pub(crate) const STEPS: [u32; 4] = [100, 200, 500, 1_000];

/// What stands for a result that was left out.
const LEFT_OUT: &str = "[left out]";

/// The places of `n` items from the middle outwards: right first, then left (zeph's order).
pub(crate) fn order(n: usize) -> Vec<usize> {
    let mut order = Vec::with_capacity(n);
    let (mut left, mut right) = (n / 2, n / 2);
    while order.len() < n {
        if right < n {
            order.push(right);
            right += 1;
        }
        if left > 0 {
            left -= 1;
            order.push(left);
        }
    }
    order
}

/// How many of `n` items a share is, rounded up.
pub(crate) fn count(n: usize, permille: u32) -> usize {
    let count = (n as u64).saturating_mul(u64::from(permille)).div_ceil(1_000);
    usize::try_from(count).unwrap_or(n).min(n)
}

/// How many results may be left out: without any, a shorter prompt cannot be had this way.
pub(crate) fn reducible(pieces: &[Piece<'_>]) -> usize {
    pieces.iter().filter(|piece| is_reducible(piece)).count()
}

/// The pieces with a share of their results left out. Never longer than before, and nothing is left out twice.
pub(crate) fn reduced<'m>(pieces: &[Piece<'m>], permille: u32) -> Vec<Piece<'m>> {
    let mut reduced = pieces.to_vec();
    let mut candidates = Vec::new();
    for (at, piece) in pieces.iter().enumerate() {
        if is_reducible(piece) {
            candidates.push(at);
        }
    }
    for place in order(candidates.len()).into_iter().take(count(candidates.len(), permille)) {
        if let Some(piece) = candidates.get(place).and_then(|at| reduced.get_mut(*at)) {
            piece.text = Cow::Borrowed(LEFT_OUT);
        }
    }
    reduced
}

fn is_reducible(piece: &Piece<'_>) -> bool {
    piece.result && piece.text.len() > LEFT_OUT.len()
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::super::render::Piece;
    use super::{LEFT_OUT, STEPS, count, order, reduced, reducible};

    fn piece(text: &str, result: bool) -> Piece<'_> {
        let role = if result { "tool result" } else { "user" };
        Piece { role, name: Cow::Borrowed("t"), text: Cow::Borrowed(text), result, part: 0, at: 0 }
    }

    #[test]
    fn the_order_runs_from_the_middle_outwards() {
        let orders: [&[usize]; 8] = [
            &[],
            &[0],
            &[1, 0],
            &[1, 0, 2],
            &[2, 1, 3, 0],
            &[2, 1, 3, 0, 4],
            &[3, 2, 4, 1, 5, 0],
            &[3, 2, 4, 1, 5, 0, 6],
        ];
        for (n, expected) in orders.iter().enumerate() {
            assert_eq!(order(n), *expected);
        }
        assert_eq!(order(10), [5, 4, 6, 3, 7, 2, 8, 1, 9, 0]);
    }

    #[test]
    fn shares_are_rounded_up_without_errors_of_floats() {
        let table = [
            (10, [1, 2, 5, 10]),
            (5, [1, 1, 3, 5]),
            (3, [1, 1, 2, 3]),
            (4, [1, 1, 2, 4]),
            (7, [1, 2, 4, 7]),
            (20, [2, 4, 10, 20]),
            (30, [3, 6, 15, 30]),
            (1, [1, 1, 1, 1]),
            (0, [0, 0, 0, 0]),
        ];
        for (n, expected) in table {
            assert_eq!(STEPS.map(|step| count(n, step)), expected, "{n}");
        }
        assert_eq!((count(5, 400), count(5, 600), count(9, 0), count(5, 2_000)), (2, 3, 0, 5));
    }

    #[test]
    fn a_fifth_of_five_results_is_the_one_in_the_middle() {
        let long = "x".repeat(100);
        let mut pieces = vec![piece("q", false)];
        pieces.extend((0..5).map(|_| piece(&long, true)));
        let after = reduced(&pieces, 200);
        let out: Vec<usize> = (0..after.len()).filter(|at| after[*at].text == LEFT_OUT).collect();
        assert_eq!(out, [3]);
        assert!(after.iter().zip(&pieces).all(|(a, b)| a.role == b.role && a.name == b.name));
        assert_eq!(reducible(&reduced(&pieces, 1_000)), 0);
        assert_eq!(reduced(&pieces, 0), pieces);
    }

    #[test]
    fn words_and_short_results_stay() {
        let long = "x".repeat(100);
        let pieces = [piece(&long, false), piece("ok", true), piece("exactly10.", true)];
        assert_eq!(reduced(&pieces, 1_000), pieces);
        assert_eq!(reducible(&pieces), 0);
        let once = reduced(&[piece(&long, true)], 1_000);
        assert_eq!(reduced(&once, 1_000), once);
    }
}
