//! What a rule script remembers about one key.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rhai::{Array, Dynamic, Engine, EvalAltResult, ImmutableString, Map, Position};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::Value;

use super::meter::{Answer, charge};
use super::value::{DEPTH_MAX, NoJson, map_to_json, plain_map, weigh};

/// One key's map, as the last run that succeeded left it. Serialises as JSON text, also in formats that do
/// not describe themselves.
#[derive(Debug, Clone, Default)]
pub struct ScriptState {
    map: Map,
    json: String,
}

/// A text that is no state.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a script's state must be a JSON object")]
pub struct StateError;

impl ScriptState {
    /// Reads what [`json`](Self::json) wrote.
    ///
    /// # Errors
    ///
    /// The text is no JSON object.
    pub fn from_json(text: &str) -> Result<Self, StateError> {
        if text.is_empty() {
            return Ok(Self::default());
        }
        match serde_json::from_str(text) {
            Ok(Value::Object(object)) => Ok(Self { map: plain_map(&object), json: text.to_owned() }),
            _ => Err(StateError),
        }
    }

    /// The map as one JSON object; empty text for a state that was never written.
    #[must_use]
    pub fn json(&self) -> &str {
        &self.json
    }

    /// How much it remembers, in bytes of JSON.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.json.len()
    }

    /// Whether it remembers nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.map.is_empty()
    }

    pub(super) fn open(&self) -> Handle {
        Handle(Arc::new(Mutex::new(self.map.clone())))
    }

    /// The state after a run. It goes through JSON at once and not only when it is saved, so that the next run
    /// sees the same values whether or not a restart lies between. Properties set to `()` are forgotten.
    pub(super) fn close(handle: &Handle) -> Result<Self, NoJson> {
        let Value::Object(mut object) = map_to_json(&handle.lock(), DEPTH_MAX)? else {
            return Ok(Self::default());
        };
        object.retain(|_, value| !value.is_null());
        if object.is_empty() {
            return Ok(Self::default());
        }
        let map = plain_map(&object);
        Ok(Self { map, json: Value::Object(object).to_string() })
    }
}

impl PartialEq for ScriptState {
    fn eq(&self, other: &Self) -> bool {
        self.json == other.json
    }
}

impl Serialize for ScriptState {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.json)
    }
}

impl<'de> Deserialize<'de> for ScriptState {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::from_json(&String::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

/// The variable `state` of a running script. Rhai hands arguments over by value; a handle makes
/// `state.failed = 1` last beyond the function that says so.
#[derive(Debug, Clone)]
pub(super) struct Handle(Arc<Mutex<Map>>);

impl Handle {
    fn lock(&self) -> MutexGuard<'_, Map> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Teaches the engine to read and write state.
pub(super) fn register(engine: &mut Engine, entries_max: usize) {
    engine.register_type_with_name::<Handle>("State");
    engine.register_indexer_get(get);
    engine.register_fn("get", get);
    engine.register_indexer_set(move |state: &mut Handle, name: ImmutableString, value: Dynamic| {
        set(state, &name, value, entries_max)
    });
    // The engine has a property `tag` on every value; here it is one like any other.
    engine.register_get("tag", |state: &mut Handle| get(state, "tag".into()));
    engine
        .register_set("tag", move |state: &mut Handle, value: Dynamic| set(state, "tag", value, entries_max));
    engine.register_fn("contains", |state: &mut Handle, name: ImmutableString| {
        state.lock().contains_key(name.as_str())
    });
    engine.register_fn("keys", |state: &mut Handle| -> Array {
        state.lock().keys().map(|name| Dynamic::from(name.to_string())).collect()
    });
    engine.register_fn("len", |state: &mut Handle| i64::try_from(state.lock().len()).unwrap_or(i64::MAX));
    engine.register_fn("is_empty", |state: &mut Handle| state.lock().is_empty());
    engine.register_fn("remove", |state: &mut Handle, name: ImmutableString| {
        state.lock().remove(name.as_str()).unwrap_or(Dynamic::UNIT)
    });
    engine.register_fn("clear", |state: &mut Handle| state.lock().clear());
}

fn get(state: &mut Handle, name: ImmutableString) -> Answer<Dynamic> {
    let map = state.lock();
    let Some(value) = map.get(name.as_str()) else { return Ok(Dynamic::UNIT) };
    charge(weigh(value, DEPTH_MAX).unwrap_or(1) / 4)?;
    Ok(value.clone())
}

/// What cannot be kept is refused here and not only at the end, where the line would not be known; besides, a
/// state that held its own handle would never be freed.
fn set(state: &Handle, name: &str, value: Dynamic, entries_max: usize) -> Answer<()> {
    let weight = weigh(&value, DEPTH_MAX).map_err(|error| error.to_string())?;
    charge(weight / 4)?;
    let mut map = state.lock();
    if map.len() >= entries_max && !map.contains_key(name) {
        let error =
            EvalAltResult::ErrorDataTooLarge("number of properties of state".to_owned(), Position::NONE);
        return Err(error.into());
    }
    map.insert(name.into(), value);
    Ok(())
}
