//! The text that pruning leaves in place of a result, and how it is recognised.

use crate::policy::{PLACEHOLDER, Policy};
use crate::text::split_once;

/// Takes the place of the standard text where the model can have the result back.
const REDEEMABLE: &str = "[tool result of {tokens} tokens pruned; recall \"{id}\" returns it]";

const TOKENS: &str = "{tokens}";
const ID: &str = "{id}";

/// The longest number that is recognised, digits.
const DIGITS: usize = 20;

/// What is left of a result of so many tokens. `label` is the id by which the model can have it back, 0 when none is
/// known: a text that promises more than there is would send the model on a search.
pub(crate) fn placeholder(policy: &Policy, tokens: u64, label: u64) -> String {
    let own = policy.placeholder.as_str();
    let template = match policy.recall_declared && label > 0 {
        true if own == PLACEHOLDER => REDEEMABLE,
        false if split_once(own, ID).is_some() => PLACEHOLDER,
        _ => own,
    };
    filled(&filled(template, TOKENS, tokens), ID, label)
}

fn filled(template: &str, mark: &str, number: u64) -> String {
    match split_once(template, mark) {
        Some((before, after)) => format!("{before}{number}{after}"),
        None => template.to_owned(),
    }
}

/// Whether a text is what pruning leaves under this policy, with a label or without: nothing is pruned twice.
pub(crate) fn is_placeholder(policy: &Policy, text: &str) -> bool {
    let own = policy.placeholder.as_str();
    let other = if own == PLACEHOLDER { Some(REDEEMABLE) } else { split_once(own, ID).map(|_| PLACEHOLDER) };
    is_filled(own, text) || other.is_some_and(|other| is_filled(other, text))
}

/// Whether a text is the template with digits, or nothing, in place of the marks.
fn is_filled(template: &str, text: &str) -> bool {
    let cut = |mark| split_once(template, mark);
    let (before, after, other) = match (cut(TOKENS), cut(ID)) {
        (Some((before, after)), Some((id, _))) if before.len() < id.len() => (before, after, ID),
        (_, Some((before, after))) => (before, after, TOKENS),
        (Some((before, after)), None) => (before, after, ID),
        (None, None) => return text == template,
    };
    let Some(text) = text.strip_prefix(before) else { return false };
    let Some((between, last)) = split_once(after, other) else {
        return text.strip_suffix(after).is_some_and(are_digits);
    };
    // The text between the numbers may begin with digits, so each end of the first number is tried.
    text.strip_suffix(last).is_some_and(|numbers| {
        (0..=DIGITS)
            .filter_map(|at| numbers.get(..at).zip(numbers.get(at..)))
            .any(|(first, rest)| are_digits(first) && rest.strip_prefix(between).is_some_and(are_digits))
    })
}

fn are_digits(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::{is_placeholder, placeholder};
    use crate::policy::Policy;

    fn policy(placeholder: &str, recall_declared: bool) -> Policy {
        Policy { placeholder: placeholder.to_owned(), recall_declared, ..Policy::default() }
    }

    #[test]
    fn the_standard_text_promises_a_way_back_only_where_there_is_one() {
        let (plain, declared) = (Policy::default(), Policy { recall_declared: true, ..Policy::default() });
        let bare = "[tool result of 1234 tokens pruned]";
        assert_eq!(placeholder(&plain, 1_234, 57), bare);
        assert_eq!(placeholder(&declared, 1_234, 0), bare);
        assert_eq!(placeholder(&declared, 1_234, 57), "[tool result of 1234 tokens pruned; recall \"57\" returns it]");
    }

    #[test]
    fn a_text_of_the_host_has_its_id_or_gives_way_to_the_standard_text() {
        let own = "<#{id} had {tokens}>";
        assert_eq!(placeholder(&policy(own, true), 9, 57), "<#57 had 9>");
        for (declared, label) in [(true, 0), (false, 57), (false, 0)] {
            assert_eq!(placeholder(&policy(own, declared), 9, label), "[tool result of 9 tokens pruned]");
        }
        // Without a mark it is as the host wants it.
        assert_eq!(placeholder(&policy("gone", true), 9, 57), "gone");
        assert_eq!(placeholder(&policy("{tokens} gone of {tokens}", true), 9, 57), "9 gone of {tokens}");
    }

    #[test]
    fn whatever_was_left_is_recognised_under_the_same_text() {
        let texts =
            ["{tokens}{id}", "{id}{tokens}", "{id}0{tokens}", "a{tokens}0{id}b", "<{id}>", "{tokens} gone", "gone"];
        for own in texts.into_iter().chain([super::PLACEHOLDER]) {
            for number in [0, 7, 10, 1_000_000, u64::MAX] {
                for (label, declared) in [(0, true), (1, false), (1, true), (10, true), (1 << 53, true)] {
                    let text = placeholder(&policy(own, declared), number, label);
                    for now in [true, false] {
                        assert!(is_placeholder(&policy(own, now), &text), "{own}: {text}");
                    }
                }
            }
        }
    }

    #[test]
    fn what_only_resembles_one_is_not_recognised() {
        let standard = Policy::default();
        for text in [
            "",
            "[tool result of many tokens pruned]",
            "[tool result of 5 tokens pruned] ",
            "[tool result of 5 tokens pruned; recall \"x\" returns it]",
            "[tool result of 5 tokens pruned; recall \"1\" returns it] and more",
            "[tool result of 5 tokens pruned; recall \"1\" or not \"2\" returns it]",
        ] {
            assert!(!is_placeholder(&standard, text), "{text}");
        }
        assert!(!is_placeholder(&policy("{tokens}{id}", true), &format!("{}x", "1".repeat(1_000_000))));
        assert!(!is_placeholder(&policy("gone", true), "[tool result of 5 tokens pruned]"));
    }
}
