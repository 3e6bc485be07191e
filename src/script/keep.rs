//! The form in which values are kept in state: what they cost, and what they are after a restart.

use rhai::{Array, Dynamic, ImmutableString, Map};
use serde::{Deserialize, Serialize};

use super::object::Object;
use super::value::NoJson;

/// What the name of a property takes, beside its letters, with its share of the map.
pub(super) const NAME_BYTES: usize = 32;
/// A value by itself; numbers and booleans are nothing more.
const VALUE_BYTES: usize = 16;
/// What text, an array or a map has beside its content: allocations and counters.
const BOX_BYTES: usize = 48;

/// What it takes to keep or copy a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Size {
    /// In memory.
    pub bytes: usize,
    /// Units of work.
    pub work: u64,
    /// Whether it is of the kinds that are kept, with nothing to change.
    is_plain: bool,
}

impl Size {
    const fn new(bytes: usize, is_plain: bool) -> Self {
        Self { bytes, work: 0, is_plain }
    }
}

/// What it takes to keep a value.
///
/// # Errors
///
/// It has a part that cannot be kept, or nests too deep.
pub(super) fn size(value: &Dynamic, depth: usize) -> Result<Size, NoJson> {
    let mut size = measure(value, depth)?;
    size.work = size.bytes as u64 / 64;
    Ok(size)
}

fn measure(value: &Dynamic, depth: usize) -> Result<Size, NoJson> {
    if value.is_int() || value.is_unit() || value.is_bool() {
        return Ok(Size::new(VALUE_BYTES, true));
    }
    if let Some(text) = value.read_lock::<ImmutableString>() {
        return Ok(Size::new(VALUE_BYTES + BOX_BYTES + text.len(), true));
    }
    if let Ok(number) = value.as_float() {
        return if number.is_finite() { Ok(Size::new(VALUE_BYTES, true)) } else { Err(NoJson::Number) };
    }
    if value.is_char() {
        return Ok(Size::new(VALUE_BYTES + BOX_BYTES + 4, false));
    }
    let depth = depth.checked_sub(1).ok_or(NoJson::Depth)?;
    let mut sum = Size::new(VALUE_BYTES + BOX_BYTES, true);
    let mut add = |name: usize, value: &Dynamic| {
        let part = measure(value, depth)?;
        sum.bytes += name + part.bytes;
        sum.is_plain &= part.is_plain;
        Ok(())
    };
    if let Some(items) = value.read_lock::<Array>() {
        items.iter().try_for_each(|item| add(0, item))?;
    } else if let Some(map) = value.read_lock::<Map>() {
        map.iter().try_for_each(|(name, value)| add(NAME_BYTES + name.len(), value))?;
    } else if let Some(object) = value.read_lock::<Object>() {
        object.complete().iter().try_for_each(|(name, value)| add(NAME_BYTES + name.len(), value))?;
        sum.is_plain = false;
    } else {
        return Err(NoJson::Type(value.type_name().to_owned()));
    }
    Ok(sum)
}

/// A value in the form in which it is kept, and what that takes: letters as text, parts of events as maps.
///
/// # Errors
///
/// As [`size`].
pub(super) fn keep(value: Dynamic, depth: usize) -> Result<(Dynamic, Size), NoJson> {
    let found = size(&value, depth)?;
    if found.is_plain {
        return Ok((value, found));
    }
    let value = Kept::of(&value).into_value();
    let found = size(&value, depth)?;
    Ok((value, found))
}

/// A value of state as it is written into snapshots.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) enum Kept {
    Unit,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    Array(Vec<Self>),
    Map(Vec<(String, Self)>),
}

impl Kept {
    /// The form of a value whose [`size`] could be told; other values become `Unit`.
    pub(super) fn of(value: &Dynamic) -> Self {
        if let Ok(flag) = value.as_bool() {
            return Self::Bool(flag);
        }
        if let Ok(number) = value.as_int() {
            return Self::Int(number);
        }
        if let Ok(number) = value.as_float() {
            return Self::Float(number);
        }
        if let Some(text) = value.read_lock::<ImmutableString>() {
            return Self::Text(text.to_string());
        }
        if let Ok(letter) = value.as_char() {
            return Self::Text(letter.to_string());
        }
        if let Some(items) = value.read_lock::<Array>() {
            return Self::Array(items.iter().map(Self::of).collect());
        }
        if let Some(map) = value.read_lock::<Map>() {
            return Self::map(&map);
        }
        value.read_lock::<Object>().map_or(Self::Unit, |object| Self::map(object.complete()))
    }

    fn map(map: &Map) -> Self {
        Self::Map(map.iter().map(|(name, value)| (name.to_string(), Self::of(value))).collect())
    }

    pub(super) fn into_value(self) -> Dynamic {
        match self {
            Self::Unit => Dynamic::UNIT,
            Self::Bool(flag) => Dynamic::from_bool(flag),
            Self::Int(number) => Dynamic::from_int(number),
            Self::Float(number) => Dynamic::from_float(number),
            Self::Text(text) => text.into(),
            Self::Array(items) => Dynamic::from_array(items.into_iter().map(Self::into_value).collect()),
            Self::Map(entries) => Dynamic::from_map(
                entries.into_iter().map(|(name, value)| (name.into(), value.into_value())).collect(),
            ),
        }
    }
}
