//! JSON as values of the interpreter, and what any value answers when a script asks it for a property.

use std::sync::Arc;

use rhai::{Array, Dynamic, Engine, ImmutableString, Map, Module};
use serde_json::{Number, Value};

use super::meter::{Answer, charge};
use super::object::Object;
use crate::event::{Catalogue, Event};

/// The value `event` of a script: the event in its canonical form, JSON null being `()`. Only the fields that
/// a script asks for are read. Cheap to clone. The default has no fields.
#[derive(Debug, Clone)]
pub struct EventValue(pub(super) Object);

impl EventValue {
    /// An event.
    #[must_use]
    pub fn new(event: &Event, catalogue: &Arc<Catalogue>) -> Self {
        Self(Object::of_event(event.clone(), Arc::clone(catalogue)))
    }

    /// An event that is at hand in its canonical form.
    #[must_use]
    pub fn from_json(object: &serde_json::Map<String, Value>) -> Self {
        Self(Object::of_map(from_map(object)))
    }
}

impl Default for EventValue {
    fn default() -> Self {
        Self(Object::of_map(Map::new()))
    }
}

pub(super) fn from_map(object: &serde_json::Map<String, Value>) -> Map {
    object.iter().map(|(name, value)| (name.as_str().into(), from_json(value))).collect()
}

pub(super) fn from_json(value: &Value) -> Dynamic {
    match value {
        Value::Array(items) => Dynamic::from_array(items.iter().map(from_json).collect()),
        Value::Object(object) => Dynamic::from(Object::of_map(from_map(object))),
        scalar => from_scalar(scalar),
    }
}

fn from_scalar(value: &Value) -> Dynamic {
    match value {
        Value::Bool(flag) => Dynamic::from_bool(*flag),
        Value::Number(number) => number
            .as_i64()
            .map_or_else(|| Dynamic::from_float(number.as_f64().unwrap_or(f64::MAX)), Dynamic::from_int),
        Value::String(text) => text.as_str().into(),
        Value::Null | Value::Array(_) | Value::Object(_) => Dynamic::UNIT,
    }
}

/// How deep state may nest: JSON parsers stop at 128.
pub(super) const DEPTH_MAX: usize = 32;

/// Why a value cannot be kept as JSON.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum NoJson {
    #[error("a value of type {0} cannot be kept in state; keep text, numbers, booleans, arrays or maps")]
    Type(String),
    #[error("a number that is infinite or not a number cannot be kept in state")]
    Number,
    #[error("state nests deeper than {DEPTH_MAX} levels")]
    Depth,
}

pub(super) fn map_to_json(map: &Map, depth: usize) -> Result<Value, NoJson> {
    let depth = depth.checked_sub(1).ok_or(NoJson::Depth)?;
    let fields = map.iter().map(|(name, value)| Ok((name.to_string(), to_json(value, depth)?)));
    fields.collect::<Result<serde_json::Map<_, _>, _>>().map(Value::Object)
}

fn array_to_json(items: &Array, depth: usize) -> Result<Value, NoJson> {
    let depth = depth.checked_sub(1).ok_or(NoJson::Depth)?;
    items.iter().map(|item| to_json(item, depth)).collect::<Result<Vec<_>, _>>().map(Value::Array)
}

fn to_json(value: &Dynamic, depth: usize) -> Result<Value, NoJson> {
    if value.is_unit() {
        return Ok(Value::Null);
    }
    if let Ok(flag) = value.as_bool() {
        return Ok(Value::Bool(flag));
    }
    if let Ok(number) = value.as_int() {
        return Ok(number.into());
    }
    if let Ok(number) = value.as_float() {
        return Number::from_f64(number).map(Value::Number).ok_or(NoJson::Number);
    }
    if let Some(text) = value.read_lock::<ImmutableString>() {
        return Ok(text.as_str().into());
    }
    if let Ok(letter) = value.as_char() {
        return Ok(letter.to_string().into());
    }
    if let Some(items) = value.read_lock::<Array>() {
        return array_to_json(&items, depth);
    }
    if let Some(map) = value.read_lock::<Map>() {
        return map_to_json(&map, depth);
    }
    if let Some(object) = value.read_lock::<Object>() {
        return map_to_json(object.complete(), depth);
    }
    Err(NoJson::Type(value.type_name().to_owned()))
}

/// A value as the text that rules compare: numbers and booleans as JSON writes them; `None` for `()`, arrays
/// and objects.
pub(super) fn text_of(value: &Dynamic) -> Option<ImmutableString> {
    if let Some(text) = value.read_lock::<ImmutableString>() {
        return Some(text.clone());
    }
    if let Ok(number) = value.as_int() {
        return Some(itoa::Buffer::new().format(number).into());
    }
    match to_json(value, 0).ok()? {
        Value::Null | Value::Array(_) | Value::Object(_) => None,
        Value::String(text) => Some(text.into()),
        scalar => Some(scalar.to_string().into()),
    }
}

/// Teaches the engine to read events.
pub(super) fn register(engine: &mut Engine) {
    engine.register_type_with_name::<Object>("Event");
    // The engine has a property `tag` on every value; here it is one like any other.
    engine.register_get("tag", |object: &mut Object| object.get("tag"));
    engine.register_indexer_get(|object: &mut Object, name: ImmutableString| object.get(&name));
    engine.register_fn("get", |object: &mut Object, name: ImmutableString| object.get(&name));
    engine.register_fn("contains", |object: &mut Object, name: ImmutableString| object.has(&name));
    engine.register_fn("keys", |object: &mut Object| -> Answer<Array> {
        let fields = object.complete();
        charge(1 + fields.len() as u64 / 4)?;
        Ok(fields.keys().map(|name| Dynamic::from(name.to_string())).collect())
    });
    engine.register_fn("values", |object: &mut Object| -> Answer<Array> {
        let fields = object.complete();
        charge(1 + fields.len() as u64 / 4)?;
        Ok(fields.values().cloned().collect())
    });
    engine.register_fn("len", |object: &mut Object| length(object.complete().len()));
    engine.register_fn("is_empty", |object: &mut Object| object.complete().is_empty());
    register_missing(engine);
}

/// Teaches a script's own library to read this property of events: spares the interpreter the way over an error
/// to the indexer.
pub(super) fn add_property(library: &mut Module, name: &ImmutableString) {
    let asked = name.clone();
    library.set_getter_fn(name.as_str(), move |object: &mut Object| object.get(&asked));
}

fn length(length: usize) -> i64 {
    i64::try_from(length).unwrap_or(i64::MAX)
}

/// What a field holds varies from event to event: text here, an object there, nothing in a third. Asking any
/// of them for a property gives `()` instead of an error, so that a script need not guard every step.
fn register_missing(engine: &mut Engine) {
    macro_rules! differs {
        ($($kind:ty),*) => { $(
            engine.register_fn("==", |_: &mut Object, _: $kind| false);
            engine.register_fn("!=", |_: &mut Object, _: $kind| true);
            engine.register_fn("==", |_: $kind, _: Object| false);
            engine.register_fn("!=", |_: $kind, _: Object| true);
        )* };
    }
    differs!((), bool, i64, f64, char, ImmutableString, Array);
    engine.register_indexer_get(property_of_any);

    // `()` counts as nothing in sums, contains nothing and is empty.
    engine.register_fn("+", |(): (), number: i64| number);
    engine.register_fn("+", |number: i64, (): ()| number);
    engine.register_fn("+", |(): (), number: f64| number);
    engine.register_fn("+", |number: f64, (): ()| number);
    engine.register_fn("-", |(): (), number: i64| number.saturating_neg());
    engine.register_fn("-", |number: i64, (): ()| number);
    engine.register_fn("-", |(): (), number: f64| -number);
    engine.register_fn("-", |number: f64, (): ()| number);
    for name in ["contains", "starts_with", "ends_with"] {
        engine.register_fn(name, |(): (), _: Dynamic| false);
    }
    engine.register_fn("len", |(): ()| 0_i64);
    engine.register_fn("is_empty", |(): ()| true);
}

/// For any type, since the engine refuses indexers for its own types, where `value[key]` has a meaning already;
/// `value.key` comes here.
fn property_of_any(value: &mut Dynamic, name: ImmutableString) -> Answer<Dynamic> {
    let is_data = value.is_unit()
        || value.is_bool()
        || value.is_int()
        || value.is_float()
        || value.is_char()
        || value.is_string()
        || value.is_array();
    if is_data {
        return Ok(Dynamic::UNIT);
    }
    let kind = value.type_name().rsplit("::").next().unwrap_or_default();
    Err(format!("a {kind} has no property `{name}`").into())
}
