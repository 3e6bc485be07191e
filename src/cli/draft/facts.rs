//! What example events have in common, and how much of that the history has too.

use std::collections::{BTreeMap, BTreeSet};

use rustc_hash::FxHashMap;
use serde_json::{Map, Value};

use crate::event::{Catalogue, Event, canonical};

/// One thing that all examples have in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fact {
    /// Dotted field.
    pub(super) field: String,
    pub(super) what: What,
    bit: u32,
}

/// What a field's value is in all of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum What {
    /// One of these.
    OneOf(BTreeSet<String>),
    /// Something that starts so.
    StartsWith(String),
}

/// Facts, and how often they come together in the history.
pub(super) struct Facts {
    facts: Vec<Fact>,
    /// How many events of the history have exactly these facts.
    masks: FxHashMap<u64, u64>,
    met: u64,
}

/// As many facts as a mask has bits.
const FACTS_MAX: usize = 64;
/// More values than these are no list that a person would write.
const VALUES_MAX: usize = 5;
/// Most tests of a draft.
const CHOSEN_MAX: usize = 5;
/// A shorter beginning says too little.
const PREFIX_MIN: usize = 4;

/// Fields that say who, where, when or on what, alone or in `details`; a rule is about what was done.
const IDENTITY: [&str; 16] = [
    "forge",
    "id",
    "created_at",
    "received_at",
    "position",
    "source",
    "correlation_id",
    "author_id",
    "author_name",
    "author_email",
    "entity_id",
    "entity_path",
    "target_id",
    "target_details",
    "ip_address",
    "user_agent",
];

impl Facts {
    /// What all of these have in common.
    pub(super) fn of(examples: &[Event], keep: &[String], catalogue: &Catalogue) -> Self {
        let all: Vec<BTreeMap<String, String>> =
            examples.iter().map(|event| flat(&canonical(event, catalogue))).collect();
        let mut facts = Vec::new();
        let fields = all.first().into_iter().flat_map(|event| event.keys());
        let mut fields: Vec<&String> = fields.filter(|field| is_about_the_deed(field, keep)).collect();
        // What was done comes first, so that it wins where another fact says as much.
        fields.sort_by_key(|field| (*field != "event_type", field.matches('.').count(), field.as_str()));
        for field in fields {
            let values: Option<BTreeSet<&String>> = all.iter().map(|event| event.get(field)).collect();
            let Some(what) = values.and_then(common) else { continue };
            let Ok(bit) = u32::try_from(facts.len()) else { break };
            if facts.len() < FACTS_MAX {
                facts.push(Fact { field: field.clone(), what, bit });
            }
        }
        Self { facts, masks: FxHashMap::default(), met: 0 }
    }

    /// Takes in an event of the history.
    pub(super) fn meet(&mut self, event: &Event, catalogue: &Catalogue) {
        let flat = flat(&canonical(event, catalogue));
        let held = self.facts.iter().filter(|fact| fact.holds(&flat));
        let mask = held.fold(0, |mask, fact| mask | (1 << fact.bit));
        *self.masks.entry(mask).or_default() += 1;
        self.met += 1;
    }

    /// How many events of history were met.
    pub(super) fn met(&self) -> u64 {
        self.met
    }

    /// How many of them have all of these facts.
    pub(super) fn remaining(&self, chosen: &[&Fact]) -> u64 {
        let wanted = chosen.iter().fold(0u64, |mask, fact| mask | (1 << fact.bit));
        self.masks.iter().filter(|(mask, _)| *mask & wanted == wanted).map(|(_, count)| count).sum()
    }

    /// The facts that together leave least of the history, each one worth its line.
    pub(super) fn choose(&self) -> Vec<&Fact> {
        let mut chosen: Vec<&Fact> = self.facts.iter().filter(|fact| fact.field == "event_type").collect();
        while chosen.len() < CHOSEN_MAX {
            let now = if chosen.is_empty() { self.met } else { self.remaining(&chosen) };
            let left = |fact: &Fact| {
                let mut with: Vec<&Fact> = chosen.clone();
                with.extend(self.facts.iter().filter(|known| *known == fact));
                self.remaining(&with)
            };
            let best = self.facts.iter().filter(|fact| !chosen.contains(fact)).min_by_key(|fact| left(fact));
            // A test that rules out less than a tenth is not worth reading.
            match best {
                Some(best) if (now > 0 && left(best) * 10 <= now * 9) || chosen.is_empty() => {
                    chosen.push(best)
                }
                _ => break,
            }
        }
        chosen
    }
}

impl Fact {
    /// Whether an event has it.
    pub(super) fn holds(&self, event: &BTreeMap<String, String>) -> bool {
        let Some(value) = event.get(&self.field) else { return false };
        match &self.what {
            What::OneOf(values) => values.contains(value),
            What::StartsWith(start) => value.starts_with(start.as_str()),
        }
    }
}

/// What these values have in common.
fn common(values: BTreeSet<&String>) -> Option<What> {
    if values.len() <= VALUES_MAX && values.iter().all(|value| value.len() <= 200) {
        return Some(What::OneOf(values.into_iter().cloned().collect()));
    }
    let first = values.first()?;
    let ends = values.iter().map(|value| {
        first
            .char_indices()
            .zip(value.chars())
            .find(|((_, a), b)| a != b)
            .map_or(first.len().min(value.len()), |((at, _), _)| at)
    });
    let end = ends.min()?;
    let start = first.get(..end)?;
    (start.len() >= PREFIX_MIN).then(|| What::StartsWith(start.to_owned()))
}

fn is_about_the_deed(field: &str, keep: &[String]) -> bool {
    let name = field.strip_prefix("details.").unwrap_or(field);
    keep.iter().any(|kept| kept == field) || (!IDENTITY.contains(&name) && !field.starts_with("geo."))
}

/// The scalars of an event by their dotted names.
pub(super) type Flat = BTreeMap<String, String>;

/// The scalars of an event; of an array those of its first element.
pub(super) fn flat(event: &Map<String, Value>) -> Flat {
    fn walk(name: &str, value: &Value, out: &mut BTreeMap<String, String>) {
        match value {
            Value::Object(object) => {
                for (key, value) in object {
                    walk(&format!("{name}.{key}"), value, out);
                }
            }
            Value::Array(items) => items.first().into_iter().for_each(|item| walk(name, item, out)),
            Value::String(text) => drop(out.insert(name.to_owned(), text.clone())),
            Value::Null => {}
            Value::Bool(_) | Value::Number(_) => drop(out.insert(name.to_owned(), value.to_string())),
        }
    }
    let mut out = BTreeMap::new();
    for (key, value) in event {
        walk(key, value, &mut out);
    }
    out
}
