//! Plain records, read field by field from a neutral tree.
//!
//! They take what `Deserialize` takes and make the same of it; natively that is there as well. The code that it expands
//! to would be the larger part of a module that is downloaded, so there every record is read by the tables here. (They
//! are more lenient in one thing: `1.0` is a whole number.)

use crate::value::Value;

/// What is wrong: the innermost field that is not what it should be; empty for the record itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wrong(pub &'static str);

pub(crate) type Read<T> = Result<T, Wrong>;

/// What can be read from a tree.
pub(crate) trait FromValue: Sized {
    fn from_value(value: &Value<'_>) -> Read<Self>;

    /// What stands for a field that is not there, if it need not be.
    fn absent() -> Option<Self> {
        None
    }
}

/// A field of a record.
pub(crate) fn field<T: FromValue>(record: &Value<'_>, name: &'static str) -> Read<T> {
    match record.get(name) {
        Some(value) => within(name, T::from_value(value)),
        None => T::absent().ok_or(Wrong(name)),
    }
}

/// A field that a record need not have.
pub(crate) fn field_or_default<T: FromValue + Default>(record: &Value<'_>, name: &'static str) -> Read<T> {
    match record.get(name) {
        Some(value) => within(name, T::from_value(value)),
        None => Ok(T::default()),
    }
}

/// The field of that name is to blame, unless one within it is.
fn within<T>(name: &'static str, read: Read<T>) -> Read<T> {
    read.map_err(|wrong| if wrong.0.is_empty() { Wrong(name) } else { wrong })
}

/// Fails for what has no fields.
pub(crate) fn object(value: &Value<'_>) -> Read<()> {
    if matches!(value, Value::Object(_)) { Ok(()) } else { Err(Wrong("")) }
}

/// Reads a record: each field is there under its name, or takes its default where the table says `or default`.
macro_rules! record {
    ($type:ty { $($field:ident: $name:literal $(or $default:ident)?),+ $(,)? }) => {
        impl $crate::fields::FromValue for $type {
            fn from_value(value: &$crate::value::Value<'_>) -> $crate::fields::Read<Self> {
                $crate::fields::object(value)?;
                Ok(Self { $($field: $crate::fields::record!(@ value, $name $(, $default)?)),+ })
            }
        }
    };
    (@ $value:ident, $name:literal) => { $crate::fields::field($value, $name)? };
    (@ $value:ident, $name:literal, default) => { $crate::fields::field_or_default($value, $name)? };
}

/// Reads one of a few names.
macro_rules! names {
    ($type:ty { $($variant:ident: $name:literal),+ $(,)? }) => {
        impl $crate::fields::FromValue for $type {
            fn from_value(value: &$crate::value::Value<'_>) -> $crate::fields::Read<Self> {
                match value.as_str() {
                    $(Some($name) => Ok(Self::$variant),)+
                    _ => Err($crate::fields::Wrong("")),
                }
            }
        }
    };
}

pub(crate) use {names, record};

impl FromValue for bool {
    fn from_value(value: &Value<'_>) -> Read<Self> {
        match value {
            Value::Bool(flag) => Ok(*flag),
            _ => Err(Wrong("")),
        }
    }
}

impl FromValue for f64 {
    fn from_value(value: &Value<'_>) -> Read<Self> {
        match value {
            Value::Number(number) if number.is_finite() => Ok(*number),
            _ => Err(Wrong("")),
        }
    }
}

/// What is larger than 2^53 is read inexactly. Nothing that is counted comes near.
impl FromValue for u64 {
    fn from_value(value: &Value<'_>) -> Read<Self> {
        match value {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked")]
            Value::Number(number) if *number >= 0.0 && *number <= 2e19 && number.trunc().total_cmp(number).is_eq() => {
                Ok(*number as Self)
            }
            _ => Err(Wrong("")),
        }
    }
}

impl FromValue for i64 {
    fn from_value(value: &Value<'_>) -> Read<Self> {
        match value {
            #[expect(clippy::cast_possible_truncation, reason = "checked")]
            Value::Number(number) if number.abs() <= 9e18 && number.trunc().total_cmp(number).is_eq() => {
                Ok(*number as Self)
            }
            _ => Err(Wrong("")),
        }
    }
}

impl FromValue for u32 {
    fn from_value(value: &Value<'_>) -> Read<Self> {
        u64::from_value(value)?.try_into().map_err(|_| Wrong(""))
    }
}

impl FromValue for usize {
    fn from_value(value: &Value<'_>) -> Read<Self> {
        u64::from_value(value)?.try_into().map_err(|_| Wrong(""))
    }
}

impl FromValue for String {
    fn from_value(value: &Value<'_>) -> Read<Self> {
        value.as_str().map(str::to_owned).ok_or(Wrong(""))
    }
}

impl<T: FromValue> FromValue for Option<T> {
    fn from_value(value: &Value<'_>) -> Read<Self> {
        match value {
            Value::Null => Ok(None),
            value => T::from_value(value).map(Some),
        }
    }

    fn absent() -> Option<Self> {
        Some(None)
    }
}

impl<T: FromValue> FromValue for Vec<T> {
    fn from_value(value: &Value<'_>) -> Read<Self> {
        let items = value.as_array().ok_or(Wrong(""))?;
        // A plain loop: collecting into a `Result` would bring its machinery along once per kind of item.
        let mut list = Self::with_capacity(items.len());
        for item in items {
            list.push(T::from_value(item)?);
        }
        Ok(list)
    }
}

impl<A: FromValue, B: FromValue> FromValue for (A, B) {
    fn from_value(value: &Value<'_>) -> Read<Self> {
        match value.as_array() {
            Some([a, b]) => Ok((A::from_value(a)?, B::from_value(b)?)),
            _ => Err(Wrong("")),
        }
    }
}
