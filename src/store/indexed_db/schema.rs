//! The form of the database: its version, its object stores, the keys and the rows in them.

use idb::KeyRange;
use js_sys::{Array, Object, Reflect};
use wasm_bindgen::{JsCast as _, JsValue};

use super::errors;
use crate::store::{About, Listed, Range, RecordKind, StoreError, StoreErrorClass};

/// The version of the form that this code writes: a thousand times the major one, plus the minor one. A database of a newer
/// minor version can be read and written by this code, one of a newer major version cannot.
pub(super) const VERSION: u32 = 1_000;

/// One row per conversation, by its name.
pub(super) const CONVERSATIONS: &str = "conversations";
/// The records, by `[conversation, number of the kind, number]`.
pub(super) const RECORDS: &str = "records";

/// Whether this code can work on a database of that version.
pub(super) fn is_ours(version: u32) -> bool {
    version / 1_000 == VERSION / 1_000
}

/// What is kept of a conversation beside its records.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row {
    pub revision: u64,
    pub about: About,
}

const REVISION: &str = "revision";
const CREATED: &str = "createdMs";
const UPDATED: &str = "updatedMs";
const ENTRIES: &str = "entries";

impl Row {
    /// The row as it was read, if there is one.
    pub fn of(value: &JsValue) -> Result<Option<Self>, StoreError> {
        if value.is_undefined() {
            return Ok(None);
        }
        let number = |name: &str| Reflect::get(value, &name.into()).ok()?.as_f64();
        let row = || {
            Some(Self {
                revision: whole(number(REVISION)?).filter(|revision| *revision > 0)?,
                about: About {
                    created_ms: number(CREATED)?,
                    updated_ms: number(UPDATED)?,
                    entries: whole(number(ENTRIES)?)?,
                },
            })
        };
        row().map(Some).ok_or_else(|| corrupted("the row of the conversation is not what was written"))
    }

    /// The row as it is written.
    pub fn to_value(self) -> JsValue {
        let Self { revision, about: About { created_ms, updated_ms, entries } } = self;
        let object = Object::new();
        let numbers =
            [(REVISION, float(revision)), (CREATED, created_ms), (UPDATED, updated_ms), (ENTRIES, float(entries))];
        for (name, number) in numbers {
            // A new object takes every property.
            let _ = Reflect::set(&object, &name.into(), &number.into());
        }
        object.into()
    }
}

/// A conversation of a list.
pub(super) fn listed(key: &JsValue, row: &JsValue) -> Result<Listed, StoreError> {
    let conversation = key.as_string().ok_or_else(|| corrupted("the name of a conversation is not a text"))?;
    let Some(Row { revision, about }) = Row::of(row)? else {
        return Err(corrupted("a conversation has no row"));
    };
    Ok(Listed { conversation, revision, about })
}

/// The key of a record.
pub(super) fn key(conversation: &str, kind: RecordKind, number: u64) -> JsValue {
    Array::of3(&conversation.into(), &f64::from(kind as u8).into(), &float(number).into()).into()
}

/// The keys of a range that is not empty.
pub(super) fn keys_of(conversation: &str, range: &Range) -> Result<KeyRange, StoreError> {
    let [from, to] = [range.from, range.to].map(|number| key(conversation, range.kind, number));
    KeyRange::bound(&from, &to, Some(false), Some(true)).map_err(errors::refused)
}

/// The keys of all records of a conversation.
pub(super) fn everything_of(conversation: &str) -> Result<KeyRange, StoreError> {
    // In the order of IndexedDB every number comes before every array, and an array before those that it begins.
    let from = Array::of1(&conversation.into());
    let to = Array::of2(&conversation.into(), &Array::new());
    KeyRange::bound(&from, &to, Some(false), Some(false)).map_err(errors::refused)
}

/// The names of the conversations after this one.
pub(super) fn after(conversation: &str) -> Result<KeyRange, StoreError> {
    KeyRange::lower_bound(&conversation.into(), Some(true)).map_err(errors::refused)
}

/// The number in a key that was found in a range.
pub(super) fn number_of(key: &JsValue, range: &Range) -> Result<u64, StoreError> {
    let number = key.dyn_ref::<Array>().and_then(|key| whole(key.get(2).as_f64()?));
    number.ok_or_else(|| corrupted(format!("a record of kind {} has no number", range.kind.name())))
}

/// Records that belong to nobody.
pub(super) fn strays() -> StoreError {
    corrupted("there are records of a conversation that has no row; delete it to begin anew")
}

pub(super) fn corrupted(message: impl Into<String>) -> StoreError {
    StoreError::new(StoreErrorClass::Corrupted, message)
}

#[expect(clippy::cast_precision_loss, reason = "revisions and numbers stay below 2^53")]
fn float(number: u64) -> f64 {
    number as f64
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked")]
fn whole(number: f64) -> Option<u64> {
    let is_whole = number >= 0.0 && number < float(Range::END) && number.trunc().total_cmp(&number).is_eq();
    is_whole.then_some(number as u64)
}
