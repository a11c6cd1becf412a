//! Where the messages of a view come from: enough to take a view apart again.

use serde::de::{Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::{Boxed, Error};
use crate::fields::{FromValue, Read};
use crate::value::Value;

/// In view order, where each message comes from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Layout(pub Vec<LayoutItem>);

/// One item of a [`Layout`]: in JSON `[from, to]`, an index, or `null`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LayoutItem {
    /// Source messages `from..to`, untouched.
    Kept(usize, usize),
    /// One source message, edited.
    Edited(usize),
    /// A message that is not in the source.
    Inserted,
}

impl Serialize for LayoutItem {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        match self {
            Self::Kept(from, to) => (from, to).serialize(serializer),
            Self::Edited(index) => index.serialize(serializer),
            Self::Inserted => serializer.serialize_none(),
        }
    }
}

impl<'de> Deserialize<'de> for LayoutItem {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct Item;
        impl<'de> Visitor<'de> for Item {
            type Value = LayoutItem;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("[from, to], an index or null")
            }
            fn visit_u64<E: serde::de::Error>(self, v: u64) -> std::result::Result<LayoutItem, E> {
                usize::try_from(v).map(LayoutItem::Edited).map_err(E::custom)
            }
            fn visit_i64<E: serde::de::Error>(self, v: i64) -> std::result::Result<LayoutItem, E> {
                usize::try_from(v).map(LayoutItem::Edited).map_err(E::custom)
            }
            fn visit_f64<E: serde::de::Error>(self, v: f64) -> std::result::Result<LayoutItem, E> {
                // JavaScript numbers arrive as doubles; only whole ones in range are indices.
                #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
                if v >= 0.0 && v.fract() == 0.0 && v <= f64::from(u32::MAX) {
                    Ok(LayoutItem::Edited(v as usize))
                } else {
                    Err(E::custom("not an index"))
                }
            }
            fn visit_none<E>(self) -> std::result::Result<LayoutItem, E> {
                Ok(LayoutItem::Inserted)
            }
            fn visit_unit<E>(self) -> std::result::Result<LayoutItem, E> {
                Ok(LayoutItem::Inserted)
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> std::result::Result<LayoutItem, A::Error> {
                let from: usize = seq.next_element()?.ok_or_else(|| A::Error::custom("missing `from`"))?;
                let to: usize = seq.next_element()?.ok_or_else(|| A::Error::custom("missing `to`"))?;
                Ok(LayoutItem::Kept(from, to))
            }
        }
        deserializer.deserialize_any(Item)
    }
}

impl FromValue for Layout {
    fn from_value(value: &Value<'_>) -> Read<Self> {
        FromValue::from_value(value).map(Self)
    }
}

impl FromValue for LayoutItem {
    fn from_value(value: &Value<'_>) -> Read<Self> {
        Ok(match value {
            Value::Null => Self::Inserted,
            Value::Array(_) => {
                let (from, to) = FromValue::from_value(value)?;
                Self::Kept(from, to)
            }
            other => Self::Edited(FromValue::from_value(other)?),
        })
    }
}

impl Layout {
    /// Adds an untouched source message, joining it to the range before where it continues it.
    pub(crate) fn keep(&mut self, index: usize) {
        if let Some(LayoutItem::Kept(_, to)) = self.0.last_mut()
            && *to == index
        {
            *to += 1;
        } else {
            self.0.push(LayoutItem::Kept(index, index + 1));
        }
    }

    /// One item for each message of the view: ranges have one message each.
    pub(crate) fn items(&self) -> impl Iterator<Item = LayoutItem> {
        self.0.iter().flat_map(|item| {
            let (kept, other) = match *item {
                LayoutItem::Kept(from, to) => (from..to, None),
                other => (0..0, Some(other)),
            };
            kept.map(|index| LayoutItem::Kept(index, index + 1)).chain(other)
        })
    }

    /// How to rebuild `sources` messages from a view of this layout that holds `given` messages: those after the
    /// view's end were appended later and stay at the end.
    pub(crate) fn restore(&self, sources: usize, given: usize) -> Boxed<Vec<Span>> {
        let broken = || Error::cannot_undo(None, "the patch contradicts itself");
        // `sources` comes from a patch that may have been tampered with: a patch cannot have left out more than it lists.
        let mut place: Vec<Option<usize>> = Vec::new();
        if sources > (1 << 26) {
            return Err(broken());
        }
        place.resize(sources, None);
        let mut at = 0;
        for item in &self.0 {
            match *item {
                LayoutItem::Kept(from, to) => {
                    let range = place.get_mut(from..to).ok_or_else(broken)?;
                    for slot in range {
                        if slot.replace(at).is_some() {
                            return Err(broken());
                        }
                        at += 1;
                    }
                }
                LayoutItem::Edited(index) if index < sources => at += 1,
                LayoutItem::Edited(_) => return Err(broken()),
                LayoutItem::Inserted => at += 1,
            }
        }
        if at > given {
            return Err(Error::cannot_undo(None, "messages of the view are missing"));
        }
        let mut spans = Vec::new();
        for (index, view) in place.into_iter().enumerate() {
            match view {
                None => spans.push(Span::Original(index)),
                Some(view) => push_given(&mut spans, view, view + 1),
            }
        }
        if at < given {
            push_given(&mut spans, at, given);
        }
        Ok(spans)
    }
}

fn push_given(spans: &mut Vec<Span>, from: usize, to: usize) {
    if let Some(Span::Given(_, end)) = spans.last_mut()
        && *end == from
    {
        *end = to;
    } else {
        spans.push(Span::Given(from, to));
    }
}

/// One step of an undo: in JSON `[from, to]` or an index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Span {
    /// Messages `from..to` of the view given.
    Given(usize, usize),
    /// The original of this source index.
    Original(usize),
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        match self {
            Self::Given(from, to) => (from, to).serialize(serializer),
            Self::Original(index) => index.serialize(serializer),
        }
    }
}
