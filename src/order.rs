//! Sorting, once. Every distinct sort of the standard library costs the WebAssembly module two kilobytes or more; here
//! all go through one heap, of pairs of a key and the position, so that ties keep their order on every runtime.

use std::collections::BinaryHeap;

use crate::message::fingerprint;

/// Pairs in ascending order.
pub(crate) fn ascending(pairs: Vec<(u64, u64)>) -> Vec<(u64, u64)> {
    BinaryHeap::from(pairs).into_sorted_vec()
}

/// The items by ascending key; equal keys keep their order.
pub(crate) fn sorted_by<T>(items: Vec<T>, key: impl Fn(&T) -> u64) -> Vec<T> {
    let pairs = ascending(items.iter().enumerate().map(|(at, item)| (key(item), at as u64)).collect());
    let mut items: Vec<Option<T>> = items.into_iter().map(Some).collect();
    pairs
        .into_iter()
        .filter_map(|(_, at)| items.get_mut(usize::try_from(at).unwrap_or(usize::MAX)).and_then(Option::take))
        .collect()
}

/// Where texts occur in a list: a sorted table of fingerprints, built once and searched by bisection.
#[derive(Debug)]
pub(crate) struct Places {
    table: Vec<(u64, u64)>,
}

impl Places {
    pub(crate) fn new<'t>(texts: impl Iterator<Item = &'t str>) -> Self {
        Self { table: ascending(texts.zip(0..).map(|(text, at)| (fingerprint(text), at)).collect()) }
    }

    /// The first row of a text, without looking how many there are.
    pub(crate) fn first_row(&self, text: &str) -> usize {
        let print = fingerprint(text);
        self.table.partition_point(|(row, _)| *row < print)
    }

    /// The position in the list that a row stands for, if the row is of this text.
    pub(crate) fn at(&self, row: usize, text: &str) -> Option<usize> {
        let (print, at) = self.table.get(row)?;
        (*print == fingerprint(text)).then(|| usize::try_from(*at).unwrap_or(usize::MAX))
    }
}
