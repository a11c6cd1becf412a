//! What the model has been working on, message by message, by its own account.

use serde::{Deserialize, Serialize};

use crate::fields;
use crate::text::{clip, one_line};

/// Subgoals that are remembered. The oldest is forgotten first; its messages then belong to none.
const MOST: usize = 64;

/// Characters of a description. It comes from a model and is persisted.
const LONGEST: usize = 500;

/// Whether a subgoal is still being worked on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum State {
    Active,
    Completed,
}

fields::names!(State { Active: "active", Completed: "completed" });

/// One thing to do on the way to the goal, and the messages that it took.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Subgoal {
    /// Counts up from 0 in a conversation.
    pub id: u64,
    /// In the words of the model, one line of at most 500 characters.
    pub description: String,
    pub state: State,
    /// First and last message, as source indices.
    pub first: usize,
    pub last: usize,
}

fields::record!(Subgoal { id: "id", description: "description", state: "state", first: "first", last: "last" });

/// The subgoals of a conversation, oldest first. Messages go by their source index.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Subgoals {
    subgoals: Vec<Subgoal>,
    next_id: u64,
}

fields::record!(Subgoals { subgoals: "subgoals" or default, next_id: "nextId" or default });

impl Subgoals {
    /// Before anything is known.
    pub(crate) const NONE: Self = Self { subgoals: Vec::new(), next_id: 0 };

    /// Starts a subgoal at a message. What was active until then is completed, up to the message before.
    pub(crate) fn push_active(&mut self, description: &str, at: usize) -> u64 {
        self.complete_active(at.saturating_sub(1));
        let id = self.next_id;
        self.next_id = id.wrapping_add(1);
        let description = clip(&one_line(description), LONGEST).to_owned();
        self.subgoals.push(Subgoal { id, description, state: State::Active, first: at, last: at });
        let excess = self.subgoals.len().saturating_sub(MOST);
        self.subgoals.drain(..excess);
        id
    }

    /// The subgoal that is being worked on.
    pub(crate) fn active(&self) -> Option<&Subgoal> {
        self.subgoals.iter().rfind(|subgoal| subgoal.state == State::Active)
    }

    /// The active subgoal goes on up to this message. Without an active one nothing happens.
    pub(crate) fn extend_active(&mut self, last: usize) {
        if let Some(subgoal) = self.subgoals.iter_mut().rfind(|subgoal| subgoal.state == State::Active) {
            subgoal.last = subgoal.last.max(last);
        }
    }

    /// The active subgoal, if any, was reached with this message.
    pub(crate) fn complete_active(&mut self, last: usize) {
        self.extend_active(last);
        for subgoal in &mut self.subgoals {
            subgoal.state = State::Completed;
        }
    }

    /// Gives earlier messages to the active subgoal as well: the first subgoal of a conversation is only known after a
    /// while. Messages of completed subgoals stay theirs.
    pub(crate) fn tag_range(&mut self, first: usize, last: usize) {
        let completed = self.subgoals.iter().filter(|subgoal| subgoal.state == State::Completed);
        let first = completed.map(|subgoal| subgoal.last.saturating_add(1)).fold(first, usize::max);
        if first > last {
            return;
        }
        if let Some(subgoal) = self.subgoals.iter_mut().rfind(|subgoal| subgoal.state == State::Active) {
            subgoal.first = subgoal.first.min(first);
            subgoal.last = subgoal.last.max(last);
        }
    }

    /// The state of the subgoal that a message belongs to: of the newest one, where one begins within another.
    pub(crate) fn state_of(&self, at: usize) -> Option<State> {
        let subgoal = self.subgoals.iter().rfind(|subgoal| (subgoal.first..=subgoal.last).contains(&at));
        subgoal.map(|subgoal| subgoal.state)
    }

    /// Forgets what was completed before message `end`, up to which the history was compacted. Indices stay: the
    /// transcript only ever grows.
    pub(crate) fn rebuild_after_compaction(&mut self, end: usize) {
        self.subgoals.retain(|subgoal| subgoal.state == State::Active || subgoal.last >= end);
    }

    /// Messages go by other numbers from now on.
    pub(crate) fn renumber(&mut self, number: impl Fn(usize) -> usize) {
        for subgoal in &mut self.subgoals {
            subgoal.first = number(subgoal.first);
            subgoal.last = number(subgoal.last);
        }
    }

    /// All that are remembered, oldest first.
    pub(crate) fn all(&self) -> &[Subgoal] {
        &self.subgoals
    }
}

/// What the model says it is working on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub current: String,
    /// What it has just finished.
    pub completed: Option<String>,
}

impl Answer {
    /// Reads `CURRENT: ...` and `COMPLETED: ...` (or `NONE`), a line each. Without a current subgoal in that form the
    /// whole answer is taken for it, and nothing for completed. `None` for a blank answer.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let field = |label: &str| text.lines().find_map(|line| after(line, label));
        let text = text.trim();
        match field("current:").filter(|current| !current.is_empty()) {
            Some(current) => {
                let completed = field("completed:").filter(|of| !of.is_empty() && !of.eq_ignore_ascii_case("none"));
                Some(Self { current: current.to_owned(), completed: completed.map(str::to_owned) })
            }
            None => (!text.is_empty()).then(|| Self { current: text.to_owned(), completed: None }),
        }
    }
}

/// What follows a label at the start of a line. Models put stars around labels and dashes before them.
fn after<'l>(line: &'l str, label: &str) -> Option<&'l str> {
    let line = line.trim_matches([' ', '\t', '\r', '*', '-']);
    let (head, rest) = line.split_at_checked(label.len())?;
    head.eq_ignore_ascii_case(label).then(|| rest.trim_matches([' ', '\t', '*']))
}

#[cfg(test)]
mod tests {
    use super::{Answer, LONGEST, MOST, State, Subgoals};

    /// What is read as current and as completed.
    fn parsed(text: &str) -> (String, Option<String>) {
        let answer = Answer::parse(text).unwrap();
        (answer.current, answer.completed)
    }

    fn pair(current: &str, completed: Option<&str>) -> (String, Option<String>) {
        (current.to_owned(), completed.map(str::to_owned))
    }

    fn tagged(subgoals: &Subgoals, messages: usize) -> Vec<usize> {
        (0..messages).filter(|at| subgoals.state_of(*at).is_some()).collect()
    }

    #[test]
    fn both_lines_are_read() {
        let text = "CURRENT: Implement login\nCOMPLETED: Setup database";
        assert_eq!(parsed(text), pair("Implement login", Some("Setup database")));
        let decorated = "Here you are.\r\n- **Current:** Implement login\r\n- **Completed:** Setup database\r\n";
        assert_eq!(parsed(decorated), pair("Implement login", Some("Setup database")));
    }

    #[test]
    fn none_means_that_nothing_was_completed() {
        for none in ["NONE", "none", "None", ""] {
            let text = format!("CURRENT: Implement login\nCOMPLETED: {none}");
            assert_eq!(parsed(&text), pair("Implement login", None));
        }
        assert_eq!(parsed("CURRENT: Implement login"), pair("Implement login", None));
    }

    #[test]
    fn without_a_current_subgoal_the_whole_answer_is_it() {
        assert_eq!(parsed("  Implement login \n"), pair("Implement login", None));
        assert_eq!(parsed("CURRENT: \nCOMPLETED: Setup"), pair("CURRENT: \nCOMPLETED: Setup", None));
        assert_eq!(Answer::parse(" \n "), None);
    }

    #[test]
    fn b07_labels_are_looked_for_at_character_boundaries() {
        assert_eq!(parsed("curreñt: é"), pair("curreñt: é", None));
        assert_eq!(parsed("日本語日本語"), pair("日本語日本語", None));
        let mut subgoals = Subgoals::default();
        subgoals.push_active(&"語".repeat(LONGEST + 1), 0);
        assert_eq!(subgoals.all()[0].description, "語".repeat(LONGEST));
    }

    #[test]
    fn a_new_subgoal_completes_the_one_before() {
        let mut subgoals = Subgoals::default();
        subgoals.push_active("one", 1);
        subgoals.push_active("two", 4);
        let states: Vec<_> = subgoals.all().iter().map(|subgoal| (subgoal.id, subgoal.state)).collect();
        assert_eq!(states, [(0, State::Completed), (1, State::Active)]);
        assert_eq!(subgoals.active().unwrap().description, "two");
        // What came between belongs to the first.
        assert_eq!(subgoals.state_of(3), Some(State::Completed));
        assert_eq!(subgoals.state_of(4), Some(State::Active));
        subgoals.extend_active(9);
        subgoals.push_active("three", 8);
        assert_eq!(subgoals.state_of(8), Some(State::Active));
    }

    #[test]
    fn the_active_subgoal_grows() {
        let mut subgoals = Subgoals::default();
        subgoals.extend_active(9);
        assert!(tagged(&subgoals, 12).is_empty());
        subgoals.push_active("one", 3);
        subgoals.extend_active(5);
        subgoals.extend_active(7);
        subgoals.extend_active(6);
        assert_eq!(tagged(&subgoals, 12), [3, 4, 5, 6, 7]);
    }

    #[test]
    fn messages_before_and_after_all_subgoals_belong_to_none() {
        let mut subgoals = Subgoals::default();
        subgoals.push_active("one", 1);
        subgoals.extend_active(5);
        subgoals.complete_active(5);
        assert_eq!(subgoals.active(), None);
        subgoals.push_active("two", 6);
        subgoals.extend_active(9);
        assert_eq!((subgoals.state_of(0), subgoals.state_of(10)), (None, None));
        assert!((1..=5).all(|at| subgoals.state_of(at) == Some(State::Completed)));
        assert!((6..=9).all(|at| subgoals.state_of(at) == Some(State::Active)));
    }

    #[test]
    fn the_first_subgoal_takes_what_came_before_it_but_nothing_of_another() {
        let mut subgoals = Subgoals::default();
        subgoals.push_active("one", 6);
        subgoals.tag_range(1, 5);
        assert_eq!(tagged(&subgoals, 12), [1, 2, 3, 4, 5, 6]);
        subgoals.push_active("two", 8);
        subgoals.tag_range(1, 9);
        subgoals.tag_range(usize::MAX, 0);
        assert_eq!(subgoals.state_of(7), Some(State::Completed));
        assert_eq!(subgoals.state_of(9), Some(State::Active));
        assert_eq!(tagged(&subgoals, 12).len(), 9);
    }

    #[test]
    fn a_compaction_forgets_what_was_completed_before_it() {
        let mut subgoals = Subgoals::default();
        subgoals.push_active("one", 1);
        subgoals.complete_active(5);
        subgoals.push_active("two", 6);
        subgoals.extend_active(9);
        let before = subgoals.clone();
        subgoals.rebuild_after_compaction(5);
        assert_eq!(subgoals, before);
        subgoals.rebuild_after_compaction(6);
        assert_eq!(tagged(&subgoals, 12), [6, 7, 8, 9]);
        // The active one stays however much was compacted.
        subgoals.rebuild_after_compaction(50);
        assert_eq!(subgoals.active().map(|subgoal| subgoal.id), Some(1));
    }

    #[test]
    fn the_oldest_are_forgotten_when_there_are_too_many() {
        let mut subgoals = Subgoals::default();
        for at in 0..MOST + 3 {
            subgoals.push_active("next", at);
        }
        assert_eq!(subgoals.all().len(), MOST);
        assert_eq!(subgoals.all()[0].id, 3);
        assert_eq!(subgoals.active().map(|subgoal| subgoal.first), Some(MOST + 2));
    }

    #[test]
    fn subgoals_survive_being_written_and_read() {
        let mut subgoals = Subgoals::default();
        subgoals.push_active("one", 1);
        subgoals.push_active("two", 4);
        let text = serde_json::to_string(&subgoals).unwrap();
        assert!(text.contains(r#""state":"completed""#) && text.contains(r#""nextId":2"#), "{text}");
        assert_eq!(serde_json::from_str::<Subgoals>(&text).unwrap(), subgoals);
        assert_eq!(serde_json::from_str::<Subgoals>("{}").unwrap(), Subgoals::default());
    }
}
