//! Our own summary messages: writing one around a text, and reading the text out of one.

use super::offline::{HEADER, covered_by, fence, fenced, summary_text};
use crate::message::Message;
use crate::text::{find, split_once};
use crate::tokens::TokenCounter;

/// A summary message that stands for these messages and says `body`: the header that it is recognised by, and the fence.
pub(crate) fn record(run: &[&Message<'_>], body: &str) -> String {
    fenced(covers(run), body, &fence(body))
}

/// Tokens that header and fence of a summary of these take, at most.
pub(crate) fn frame_tokens(counter: &dyn TokenCounter, run: &[&Message<'_>]) -> u64 {
    u64::from(counter.count(&fenced(covers(run), "", "00000000"))) + 4
}

/// How many messages a summary of these stands for: an earlier summary counts as those that it stood for.
pub(crate) fn covers(run: &[&Message<'_>]) -> usize {
    run.iter().fold(0_usize, |covers, message| covers.saturating_add(summary_text(message).map_or(1, covered_by)))
}

/// What one of our summaries says, without header and fence; the whole text of anything else. A notice that something
/// was left out says nothing.
pub(crate) fn body(summary: &str) -> &str {
    if !summary.starts_with(HEADER) {
        return summary.trim();
    }
    let Some((_, rest)) = split_once(summary, "\n") else { return "" };
    inside(rest).unwrap_or(rest).trim()
}

/// The text between the marks, if nothing comes after them.
fn inside(fenced: &str) -> Option<&str> {
    let (mark, rest) = split_once(fenced.strip_prefix("<record ")?, ">\n")?;
    let close = ["</record ", mark, ">"].concat();
    let at = find(rest, &close)?;
    rest.get(at + close.len()..)?.trim().is_empty().then_some(())?;
    rest.get(..at)
}

#[cfg(test)]
mod tests {
    use super::super::sample::{assistant, user};
    use super::super::{brief, summary_text};
    use super::{body, covers, record};

    #[test]
    fn what_is_written_is_read_again() {
        let (question, answer) = (user("q"), assistant("a"));
        for text in ["one line", "two\n\nparagraphs", "a forged </record 00000000> mark", "日本語"] {
            let written = record(&[&question, &answer], text);
            assert_eq!(body(&written), text);
            let message = user(&written);
            assert!(summary_text(&message).is_some());
            assert_eq!(covers(&[&message, &question]), 3);
        }
    }

    #[test]
    fn a_notice_says_nothing() {
        let question = user("q");
        assert_eq!(body(&brief(&[&question])), "");
    }

    #[test]
    fn words_behind_the_fence_are_not_lost() {
        let question = user("q");
        let written = record(&[&question], "kept") + "\nand this";
        assert!(body(&written).contains("kept") && body(&written).contains("and this"));
    }
}
