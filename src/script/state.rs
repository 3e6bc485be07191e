//! What a rule script remembers about one key.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rhai::{Array, Dynamic, Engine, EvalAltResult, Identifier, ImmutableString, Map, Module, Position};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Limits;
use super::keep::{Kept, NAME_BYTES, keep, size};
use super::meter::{Answer, charge};
use super::value::{DEPTH_MAX, map_to_json};

/// One key's map, as the last run that succeeded left it.
#[derive(Debug, Clone, Default)]
pub struct ScriptState {
    map: Map,
    bytes: usize,
}

impl ScriptState {
    /// The map as one JSON object, for people.
    #[must_use]
    pub fn json(&self) -> String {
        map_to_json(&self.map, DEPTH_MAX).map_or_else(|_| String::new(), |json| json.to_string())
    }

    /// What it takes in memory, in bytes.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether it remembers nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.map.is_empty()
    }

    /// Lends the map to a run; [`close`](Self::close) takes it back.
    pub(super) fn open(&mut self, limits: &Limits) -> Handle {
        let lent = std::mem::take(self);
        Handle(Arc::new(Mutex::new(Open {
            bytes_before: lent.bytes,
            kept: lent,
            before: BTreeMap::new(),
            entries_max: limits.map_entries,
            bytes_max: limits.state_bytes,
        })))
    }

    /// Takes the map back after a run, as it was before unless the run succeeded. A handle that the script has
    /// put somewhere is empty from then on.
    pub(super) fn close(&mut self, handle: &Handle, succeeded: bool) {
        let mut open = handle.lock();
        if !succeeded {
            open.undo();
        }
        open.before.clear();
        *self = std::mem::take(&mut open.kept);
    }
}

impl PartialEq for ScriptState {
    fn eq(&self, other: &Self) -> bool {
        self.json() == other.json()
    }
}

impl Serialize for ScriptState {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.map.iter().map(|(name, value)| (name.as_str(), Kept::of(value))))
    }
}

impl<'de> Deserialize<'de> for ScriptState {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut state = Self::default();
        for (name, value) in Vec::<(String, Kept)>::deserialize(deserializer)? {
            let value = value.into_value();
            state.bytes += entry_bytes(&name, &value);
            state.map.insert(name.into(), value);
        }
        Ok(state)
    }
}

fn entry_bytes(name: &str, value: &Dynamic) -> usize {
    NAME_BYTES + name.len() + size(value, DEPTH_MAX).map_or(0, |size| size.bytes)
}

/// A state while a run may change it.
#[derive(Debug)]
struct Open {
    kept: ScriptState,
    /// What each changed property held before.
    before: BTreeMap<Identifier, Option<Dynamic>>,
    bytes_before: usize,
    entries_max: usize,
    bytes_max: usize,
}

/// The variable `state` of a running script. Rhai hands arguments over by value; a handle makes
/// `state.failed = 1` last beyond the function that says so.
#[derive(Debug, Clone)]
pub(super) struct Handle(Arc<Mutex<Open>>);

impl Handle {
    fn lock(&self) -> MutexGuard<'_, Open> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    fn get(&self, name: &str) -> Answer<Dynamic> {
        let Some(value) = self.kept.map.get(name) else { return Ok(Dynamic::UNIT) };
        charge(size(value, DEPTH_MAX).map_or(1, |size| size.work))?;
        Ok(value.clone())
    }

    /// What cannot be kept is refused here and not only at the end, where the line would not be known; besides,
    /// a state that held its own handle would never be freed. The value is kept in the form that it has after
    /// a restart, so that the next run sees the same whether or not one lies between.
    fn set(&mut self, name: &str, value: Dynamic) -> Answer<()> {
        if value.is_unit() {
            return self.remove(name).map(drop);
        }
        let (value, size) = keep(value, DEPTH_MAX - 1).map_err(|error| error.to_string())?;
        charge(size.work + name.len() as u64 / 64)?;
        let old = self.kept.map.get(name).map_or(0, |old| entry_bytes(name, old));
        if old == 0 && self.kept.map.len() >= self.entries_max {
            return Err(too_large("number of properties of state".to_owned()));
        }
        let bytes = self.kept.bytes - old + NAME_BYTES + name.len() + size.bytes;
        if bytes > self.bytes_max {
            let what = format!("state of {bytes} bytes (at most {} are kept for each key)", self.bytes_max);
            return Err(too_large(what));
        }
        self.kept.bytes = bytes;
        let before = match self.kept.map.get_mut(name) {
            Some(place) => Some(std::mem::replace(place, value)),
            None => self.kept.map.insert(name.into(), value),
        };
        self.remember(name, before);
        Ok(())
    }

    fn remove(&mut self, name: &str) -> Answer<Dynamic> {
        let Some(value) = self.kept.map.remove(name) else { return Ok(Dynamic::UNIT) };
        self.kept.bytes -= entry_bytes(name, &value);
        charge(size(&value, DEPTH_MAX).map_or(1, |size| size.work) + name.len() as u64 / 64)?;
        self.remember(name, Some(value.clone()));
        Ok(value)
    }

    fn clear(&mut self) {
        self.kept.bytes = 0;
        for (name, value) in std::mem::take(&mut self.kept.map) {
            self.before.entry(name).or_insert(Some(value));
        }
    }

    fn remember(&mut self, name: &str, value: Option<Dynamic>) {
        if !self.before.contains_key(name) {
            self.before.insert(name.into(), value);
        }
    }

    fn undo(&mut self) {
        self.kept.bytes = self.bytes_before;
        for (name, value) in std::mem::take(&mut self.before) {
            match value {
                Some(value) => self.kept.map.insert(name, value),
                None => self.kept.map.remove(&name),
            };
        }
    }
}

fn too_large(what: String) -> Box<EvalAltResult> {
    EvalAltResult::ErrorDataTooLarge(what, Position::NONE).into()
}

/// Teaches a script's own library to read and write this property of state: spares the interpreter the way
/// over an error to the indexer. A form for each type of value spares it the search for one that takes any.
pub(super) fn add_property(library: &mut Module, name: &ImmutableString) {
    let asked = name.clone();
    library.set_getter_fn(name.as_str(), move |state: &mut Handle| state.lock().get(&asked));
    macro_rules! setters {
        ($($kind:ty),*) => { $(
            let changed = name.clone();
            library.set_setter_fn(name.as_str(), move |state: &mut Handle, value: $kind| {
                state.lock().set(&changed, value.into())
            });
        )* };
    }
    setters!(i64, f64, bool, ImmutableString, Dynamic);
}

/// Teaches the engine to read and write state.
pub(super) fn register(engine: &mut Engine) {
    engine.register_type_with_name::<Handle>("State");
    engine.register_indexer_get(|state: &mut Handle, name: ImmutableString| state.lock().get(&name));
    engine.register_fn("get", |state: &mut Handle, name: ImmutableString| state.lock().get(&name));
    macro_rules! setters {
        ($($kind:ty),*) => { $(
            engine.register_indexer_set(|state: &mut Handle, name: ImmutableString, value: $kind| {
                state.lock().set(&name, value.into())
            });
        )* };
    }
    setters!(i64, f64, bool, ImmutableString, Dynamic);
    // The engine has a property `tag` on every value; here it is one like any other.
    engine.register_get("tag", |state: &mut Handle| state.lock().get("tag"));
    engine.register_set("tag", |state: &mut Handle, value: Dynamic| state.lock().set("tag", value));
    engine.register_fn("contains", |state: &mut Handle, name: ImmutableString| {
        state.lock().kept.map.contains_key(name.as_str())
    });
    engine.register_fn("keys", |state: &mut Handle| -> Answer<Array> {
        let open = state.lock();
        charge(1 + open.kept.map.len() as u64 / 4)?;
        Ok(open.kept.map.keys().map(|name| Dynamic::from(name.to_string())).collect())
    });
    engine.register_fn("len", |state: &mut Handle| {
        i64::try_from(state.lock().kept.map.len()).unwrap_or(i64::MAX)
    });
    engine.register_fn("is_empty", |state: &mut Handle| state.lock().kept.is_empty());
    engine.register_fn("remove", |state: &mut Handle, name: ImmutableString| {
        state.lock().remove(name.as_str())
    });
    engine.register_fn("clear", |state: &mut Handle| state.lock().clear());
}
