//! Messages on their way out: as texts, but for those that the shell has already.

use std::cell::{Cell, RefCell};

use js_sys::Array;
use wasm_bindgen::JsValue;

use crate::message::fingerprint;
use crate::order;
use crate::session::{EntryId, HistoryEntry, ViewItem, Visibility};

/// The entries whose messages the shell holds, and what they say.
#[derive(Default)]
pub(super) struct Held {
    /// Ascending.
    entries: RefCell<Vec<(EntryId, u64)>>,
    /// Of the conversation, when that was so.
    edition: Cell<u64>,
}

impl Held {
    /// Whether the text of an entry need not be looked at.
    pub(super) fn has(&self, entry: EntryId, edition: u64) -> bool {
        self.edition.get() == edition && self.mark(entry).is_some()
    }

    fn mark(&self, entry: EntryId) -> Option<u64> {
        let entries = self.entries.borrow();
        let at = entries.binary_search_by_key(&entry, |held| held.0).ok()?;
        entries.get(at).map(|held| held.1)
    }

    /// The shell holds this, too.
    pub(super) fn add(&self, entry: EntryId, text: &str) {
        let mut entries = self.entries.borrow_mut();
        let held = (entry, fingerprint(text));
        match entries.binary_search_by_key(&entry, |held| held.0) {
            Ok(at) => {
                if let Some(place) = entries.get_mut(at) {
                    *place = held;
                }
            }
            Err(at) => entries.insert(at, held),
        }
    }

    /// The shell is sure of nothing any more.
    pub(super) fn forget(&self) {
        self.entries.borrow_mut().clear();
    }

    /// The text of an entry, or `undefined` where the shell has it.
    fn unless_held(&self, entry: Option<EntryId>, text: &str) -> JsValue {
        match entry.and_then(|entry| self.mark(entry)) {
            Some(mark) if mark == fingerprint(text) => JsValue::UNDEFINED,
            _ => JsValue::from_str(text),
        }
    }

    /// A view, three values for each message: entry (or -1), whether it is whole, text. From now on the
    /// shell holds what is whole in it, and nothing else.
    pub(super) fn view(&self, items: &[ViewItem], edition: u64) -> Array {
        let flat = Array::new();
        let mut held = Vec::with_capacity(items.len());
        for ViewItem { entry, is_whole, text } in items {
            flat.push(&number(entry.map_or(-1.0, float)));
            flat.push(&JsValue::from_bool(*is_whole));
            let Some(entry) = entry.filter(|_| *is_whole) else {
                flat.push(&JsValue::from_str(text));
                continue;
            };
            // An empty text was left out, since the shell has it.
            let known = if text.is_empty() { self.mark(entry) } else { None };
            let mark = known.unwrap_or_else(|| fingerprint(text));
            flat.push(&if known.is_some() { JsValue::UNDEFINED } else { self.unless_held(Some(entry), text) });
            held.push((entry, mark));
        }
        *self.entries.borrow_mut() = order::ascending(held);
        self.edition.set(edition);
        flat
    }

    /// Messages of an earlier view, four values for each: index, entry (or -1), whether it is whole, text.
    pub(super) fn originals(&self, originals: &[(usize, ViewItem)]) -> Array {
        let flat = Array::new();
        for (index, ViewItem { entry, is_whole, text }) in originals {
            flat.push(&number(float(*index as u64)));
            flat.push(&number(entry.map_or(-1.0, float)));
            flat.push(&JsValue::from_bool(*is_whole));
            flat.push(&self.unless_held(entry.filter(|_| *is_whole), text));
        }
        flat
    }

    /// Entries, seven values for each: number, text, time, tokens, pinned, visibility, shortened.
    pub(super) fn history(&self, entries: &[HistoryEntry]) -> Array {
        let flat = Array::new();
        for HistoryEntry { id, text, time, tokens, is_pinned, visibility, is_shortened } in entries {
            flat.push(&number(float(*id)));
            flat.push(&self.unless_held(Some(*id), text));
            flat.push(&number(*time));
            flat.push(&number(f64::from(*tokens)));
            flat.push(&JsValue::from_bool(*is_pinned));
            flat.push(&JsValue::from_str(match visibility {
                Visibility::Shown => "shown",
                Visibility::Edited => "edited",
                Visibility::Hidden => "hidden",
            }));
            flat.push(&JsValue::from_bool(*is_shortened));
        }
        flat
    }
}

pub(super) fn ids(entries: &[EntryId]) -> Array {
    entries.iter().map(|entry| number(float(*entry))).collect()
}

fn number(number: f64) -> JsValue {
    JsValue::from_f64(number)
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
pub(super) fn float(number: u64) -> f64 {
    number as f64
}
