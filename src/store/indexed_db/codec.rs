//! From the texts of records to what is stored, and back: as they are, or by way of the host's codec.

use js_sys::{Array, Function, Promise, Reflect, Uint8Array};
use wasm_bindgen::{JsCast as _, JsValue};

use super::options::{Guard, IndexedDbOptions};
use super::schema::corrupted;
use super::{errors, waiting};
use crate::store::{Record, RecordKind, StoreError, StoreErrorClass};

/// A record as it is stored.
#[derive(Debug)]
pub(super) struct Encoded {
    pub kind: RecordKind,
    pub number: u64,
    pub value: JsValue,
}

/// What is stored for these records, in their order.
pub(super) async fn encode(options: &IndexedDbOptions, records: &[Record]) -> Result<Vec<JsValue>, StoreError> {
    let texts = records.iter().map(|record| JsValue::from(&record.text));
    let Some(codec) = &options.codec else { return Ok(texts.collect()) };
    let failed = |why: String| StoreError::new(StoreErrorClass::Failed, format!("the codec could not encode: {why}"));
    let encoded = through(&codec.encode, texts, &options.guard).await;
    let checked = encoded.into_iter().map(|value| match value {
        Ok(value) if value.is_string() || value.is_instance_of::<Uint8Array>() => Ok(value),
        Ok(_) => Err(failed("it returned neither a string nor a Uint8Array".to_owned())),
        Err(why) => Err(failed(why)),
    });
    checked.collect()
}

/// The records of what is stored.
pub(super) async fn decode(options: &IndexedDbOptions, stored: Vec<Encoded>) -> Result<Vec<Record>, StoreError> {
    let values: Vec<Result<JsValue, String>> = match &options.codec {
        None => stored.iter().map(|record| Ok(record.value.clone())).collect(),
        Some(codec) => {
            let values = stored.iter().map(|record| record.value.clone());
            through(&codec.decode, values, &options.guard).await
        }
    };
    let records = stored.into_iter().zip(values).map(|(Encoded { kind, number, .. }, value)| {
        let named = |why: &str| corrupted(format!("record {} {number} {why}", kind.name()));
        match value {
            Ok(value) => {
                let text = value.as_string().ok_or_else(|| named("is not a text"))?;
                Ok(Record { kind, number, text })
            }
            Err(why) => Err(named(&format!("could not be decoded: {why}"))),
        }
    });
    records.collect()
}

/// What a function of the host makes of each value: or, in words, what went wrong. All are under way at once.
async fn through(
    function: &Function,
    values: impl Iterator<Item = JsValue>,
    guard: &Guard,
) -> Vec<Result<JsValue, String>> {
    let promises: Array = values
        .map(|value| match function.call1(&JsValue::UNDEFINED, &value) {
            Ok(returned) => Promise::resolve(&returned),
            Err(thrown) => Promise::reject(&thrown),
        })
        .collect();
    let outcomes = waiting::settled(Promise::all_settled(&promises), guard).await;
    outcomes.unchecked_into::<Array>().iter().map(|outcome| of_outcome(&outcome)).collect()
}

/// The name of what was thrown is all that is told: its message may have words of the conversation in it.
fn of_outcome(outcome: &JsValue) -> Result<JsValue, String> {
    let get = |name: &str| Reflect::get(outcome, &name.into()).unwrap_or_default();
    if get("status").as_string().as_deref() == Some("fulfilled") {
        return Ok(get("value"));
    }
    let name = errors::name(&get("reason"));
    Err(if name.is_empty() { "it failed".to_owned() } else { name })
}
