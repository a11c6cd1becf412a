//! Sorting, once. Every distinct sort of the standard library costs the WebAssembly module two kilobytes or more; here
//! all go through one heap, of pairs of a key and the position, so that ties keep their order on every runtime.

use std::collections::BinaryHeap;

use crate::message::fingerprint;

/// Pairs in ascending order.
pub(crate) fn ascending(pairs: Vec<(u64, u64)>) -> Vec<(u64, u64)> {
    BinaryHeap::from(pairs).into_sorted_vec()
}

/// Numbers in ascending order.
#[cfg_attr(all(target_family = "wasm", not(feature = "session")), allow(dead_code))]
pub(crate) fn numbers(numbers: impl Iterator<Item = u64>) -> Vec<u64> {
    ascending(numbers.map(|number| (number, 0)).collect()).into_iter().map(|(number, _)| number).collect()
}

/// The items by ascending key; equal keys keep their order.
pub(crate) fn sorted_by<T>(mut items: Vec<T>, key: impl Fn(&T) -> u64) -> Vec<T> {
    let mut keys = Vec::with_capacity(items.len());
    for (at, item) in items.iter().enumerate() {
        keys.push((key(item), at as u64));
    }
    for (at, from) in swaps(keys) {
        items.swap(at, from);
    }
    items
}

/// What to swap, one pair after the other, so that items with these keys and positions are in order. (Apart from
/// `sorted_by`, which is compiled once for each kind of item.)
fn swaps(keys: Vec<(u64, u64)>) -> Vec<(usize, usize)> {
    // Which item is at a place by now, and at which place an item is.
    let mut here: Vec<usize> = (0..keys.len()).collect();
    let mut place = here.clone();
    let mut swaps = Vec::with_capacity(keys.len());
    for (at, (_, item)) in ascending(keys).into_iter().enumerate() {
        let item = usize::try_from(item).unwrap_or(usize::MAX);
        let (Some(&from), Some(&other)) = (place.get(item), here.get(at)) else { continue };
        swaps.push((at, from));
        if let (Some(here), Some(place)) = (here.get_mut(from), place.get_mut(other)) {
            (*here, *place) = (other, from);
        }
    }
    swaps
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
