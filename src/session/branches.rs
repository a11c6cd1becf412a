//! Which entries follow one another: a tree of entries, kept as a few segments.
//!
//! Entries are numbered in the order in which they were written, and never move. As long as each follows the one before
//! it, they are one segment; where a conversation goes on from an earlier entry, a new segment begins.

use std::ops::Range;

use serde::Serialize;

use crate::fields::{FromValue, Read};
use crate::value::Value;

/// Entries that follow one another, from `start` to where the next segment starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(serde::Deserialize))]
#[serde(into = "(u64, Option<u64>)", from = "(u64, Option<u64>)")]
pub(crate) struct Segment {
    /// Its first entry.
    pub start: u64,
    /// The entry that it follows; `None` at the beginning of the conversation.
    pub after: Option<u64>,
}

impl From<Segment> for (u64, Option<u64>) {
    fn from(segment: Segment) -> Self {
        (segment.start, segment.after)
    }
}

impl From<(u64, Option<u64>)> for Segment {
    fn from((start, after): (u64, Option<u64>)) -> Self {
        Self { start, after }
    }
}

/// All segments, by their start.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(serde::Deserialize))]
#[serde(transparent)]
pub(crate) struct Branches(Vec<Segment>);

impl FromValue for Segment {
    fn from_value(value: &Value<'_>) -> Read<Self> {
        <(u64, Option<u64>)>::from_value(value).map(Self::from)
    }
}

impl FromValue for Branches {
    fn from_value(value: &Value<'_>) -> Read<Self> {
        FromValue::from_value(value).map(Self)
    }
}

impl Branches {
    /// Takes in entries from number `count` on, which follow `tip`. Returns whether a segment begins with them.
    pub(crate) fn append(&mut self, tip: Option<u64>, count: u64) -> bool {
        let continues = match tip {
            None => false,
            Some(tip) => tip + 1 == count,
        };
        if continues {
            return false;
        }
        // A segment without entries gives way: nothing was written since it began.
        while self.0.pop_if(|segment| segment.start >= count).is_some() {}
        self.0.push(Segment { start: count, after: tip });
        true
    }

    /// The entries on the way to `tip`, oldest first. Where the segments contradict themselves the way ends.
    pub(crate) fn path(&self, tip: Option<u64>) -> Path {
        let mut ranges = Vec::new();
        let mut next = tip;
        while let Some(last) = next {
            let at = self.0.partition_point(|segment| segment.start <= last);
            let Some(segment) = at.checked_sub(1).and_then(|at| self.0.get(at)) else { break };
            ranges.push(segment.start..last + 1);
            next = segment.after.filter(|after| *after < segment.start);
        }
        ranges.reverse();
        Path(ranges)
    }

    /// What each segment follows, for checks.
    pub(crate) fn is_sound(&self, count: u64) -> bool {
        let ordered = self.0.windows(2).all(|pair| matches!(pair, [a, b] if a.start < b.start));
        let starts = self.0.first().is_none_or(|segment| segment.start == 0);
        let follow = |segment: &Segment| segment.after.is_none_or(|after| after < segment.start);
        ordered && starts && self.0.iter().all(|segment| segment.start < count && follow(segment))
    }
}

/// Entries in the order of a conversation, as ranges of numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Path(pub Vec<Range<u64>>);

impl Path {
    /// How many entries.
    pub(crate) fn len(&self) -> u64 {
        self.0.iter().map(|range| range.end - range.start).sum()
    }

    /// Whether an entry is on it.
    pub(crate) fn contains(&self, entry: u64) -> bool {
        // Later segments have higher numbers, so the ranges ascend.
        let at = self.0.partition_point(|range| range.end <= entry);
        self.0.get(at).is_some_and(|range| range.contains(&entry))
    }

    /// What comes after an entry; everything when there is none.
    pub(crate) fn after(&self, entry: Option<u64>) -> Self {
        let Some(entry) = entry else { return self.clone() };
        let later = self.0.iter().filter(|range| range.end > entry + 1);
        Self(later.map(|range| range.start.max(entry + 1)..range.end).collect())
    }

    /// What comes before an entry.
    pub(crate) fn before(&self, entry: u64) -> Self {
        let earlier = self.0.iter().filter(|range| range.start < entry);
        Self(earlier.map(|range| range.start..range.end.min(entry)).collect())
    }

    /// The last entries, that many.
    pub(crate) fn last(&self, count: u64) -> Self {
        let mut left = count;
        let mut ranges = Vec::new();
        for range in self.0.iter().rev() {
            let take = left.min(range.end - range.start);
            if take == 0 {
                break;
            }
            ranges.push(range.end - take..range.end);
            left -= take;
        }
        ranges.reverse();
        Self(ranges)
    }

    /// The first entries, that many.
    pub(crate) fn first(&self, count: u64) -> Self {
        let mut left = count;
        let mut ranges = Vec::new();
        for range in &self.0 {
            let take = left.min(range.end - range.start);
            if take == 0 {
                break;
            }
            ranges.push(range.start..range.start + take);
            left -= take;
        }
        Self(ranges)
    }

    /// The entry at a position.
    pub(crate) fn at(&self, position: u64) -> Option<u64> {
        let mut left = position;
        for range in &self.0 {
            let length = range.end - range.start;
            if left < length {
                return Some(range.start + left);
            }
            left -= length;
        }
        None
    }

    /// Each entry.
    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = u64> + '_ {
        self.0.iter().flat_map(Clone::clone)
    }
}

#[cfg(test)]
mod tests {
    use super::{Branches, Path};

    fn numbers(path: &Path) -> Vec<u64> {
        path.iter().collect()
    }

    #[test]
    fn entries_that_follow_one_another_are_one_segment() {
        let mut branches = Branches::default();
        assert!(branches.append(None, 0));
        assert!(!branches.append(Some(0), 1));
        assert!(!branches.append(Some(1), 2));
        assert_eq!(branches.0.len(), 1);
        assert_eq!(numbers(&branches.path(Some(2))), [0, 1, 2]);
        assert_eq!(numbers(&branches.path(None)), [0; 0]);
        assert!(branches.is_sound(3));
    }

    #[test]
    fn a_branch_goes_on_from_an_earlier_entry() {
        let mut branches = Branches::default();
        branches.append(None, 0);
        // Entries 0 to 4, then 5 and 6 follow 2, then 7 follows 5, and 8 begins anew.
        assert!(branches.append(Some(2), 5));
        assert!(branches.append(Some(5), 7));
        assert!(branches.append(None, 8));
        assert_eq!(numbers(&branches.path(Some(4))), [0, 1, 2, 3, 4]);
        assert_eq!(numbers(&branches.path(Some(6))), [0, 1, 2, 5, 6]);
        assert_eq!(numbers(&branches.path(Some(7))), [0, 1, 2, 5, 7]);
        assert_eq!(numbers(&branches.path(Some(8))), [8]);
        assert!(branches.is_sound(9));
        assert!(!branches.is_sound(8), "a segment without entries");
        let path = branches.path(Some(7));
        assert_eq!(path.len(), 5);
        assert!(path.contains(5) && !path.contains(6) && !path.contains(3) && !path.contains(8));
        assert_eq!(numbers(&path.after(Some(1))), [2, 5, 7]);
        assert_eq!(numbers(&path.after(None)), numbers(&path));
        assert_eq!(numbers(&path.after(Some(7))), [0; 0]);
        assert_eq!(numbers(&path.before(5)), [0, 1, 2]);
        assert_eq!(numbers(&path.before(0)), [0; 0]);
        assert_eq!(numbers(&path.last(2)), [5, 7]);
        assert_eq!(numbers(&path.last(4)), [1, 2, 5, 7]);
        assert_eq!(numbers(&path.last(9)), numbers(&path));
        assert_eq!(numbers(&path.first(4)), [0, 1, 2, 5]);
        assert_eq!((path.at(0), path.at(3), path.at(4), path.at(5)), (Some(0), Some(5), Some(7), None));
    }

    #[test]
    fn segments_that_contradict_themselves_end_the_way() {
        let branches: Branches = serde_json::from_str("[[0,null],[3,9]]").expect("segments");
        assert!(!branches.is_sound(20));
        assert_eq!(numbers(&branches.path(Some(4))), [3, 4]);
    }
}
