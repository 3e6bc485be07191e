//! The events a rule script may look back on.

use std::collections::BTreeSet;
use std::sync::Arc;

use rhai::{Array, Dynamic, Engine, ImmutableString};

use super::meter::{Answer, charge};
use super::value::{Object, text_of};

/// The key's events within the rule's time, read-only, the oldest first and the current one last. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Window {
    events: Arc<Vec<Dynamic>>,
    count: i64,
}

impl Window {
    /// A window over values of [`EventValue::from_json`](super::EventValue::from_json). `count` is how many
    /// events there were; more than `events` where the caller keeps only the newest.
    #[must_use]
    pub fn new(events: Arc<Vec<Dynamic>>, count: u64) -> Self {
        Self { events, count: i64::try_from(count).unwrap_or(i64::MAX) }
    }

    fn values<'a>(&'a self, field: &'a str) -> impl Iterator<Item = Dynamic> + 'a {
        self.events.iter().filter_map(|event| event.read_lock::<Object>().map(|event| event.at(field)))
    }

    fn distinct(&self, field: &str) -> i64 {
        let different: BTreeSet<ImmutableString> =
            self.values(field).filter_map(|value| text_of(&value)).collect();
        i64::try_from(different.len()).unwrap_or(i64::MAX)
    }

    /// Whole as long as every value is, and as long as the sum fits; numbers written as text count too.
    fn sum(&self, field: &str) -> Dynamic {
        let (mut whole, mut real) = (Some(0_i64), 0.0);
        for value in self.values(field) {
            let Some(text) = text_of(&value) else { continue };
            if let Ok(number) = text.parse::<i64>() {
                whole = whole.and_then(|sum| sum.checked_add(number));
                real += number as f64;
            } else if let Some(number) = text.parse::<f64>().ok().filter(|number| number.is_finite()) {
                whole = None;
                real += number;
            }
        }
        whole.map_or_else(|| Dynamic::from_float(real), Dynamic::from_int)
    }

    fn cost(&self) -> u64 {
        1 + self.events.len() as u64
    }
}

/// Teaches the engine the window's methods. `events()` gives the newest `items_max`, as many as an array holds.
pub(super) fn register(engine: &mut Engine, items_max: usize) {
    engine.register_type_with_name::<Window>("Window");
    engine.register_fn("count", |window: &mut Window| window.count);
    engine.register_fn("distinct", |window: &mut Window, field: ImmutableString| -> Answer<i64> {
        charge(window.cost())?;
        Ok(window.distinct(&field))
    });
    engine.register_fn("sum", |window: &mut Window, field: ImmutableString| -> Answer<Dynamic> {
        charge(window.cost())?;
        Ok(window.sum(&field))
    });
    engine
        .register_fn("first", |window: &mut Window| window.events.first().cloned().unwrap_or(Dynamic::UNIT));
    engine.register_fn("last", |window: &mut Window| window.events.last().cloned().unwrap_or(Dynamic::UNIT));
    engine.register_fn("events", move |window: &mut Window| -> Answer<Array> {
        charge(window.cost())?;
        let skipped = window.events.len().saturating_sub(items_max);
        Ok(window.events.iter().skip(skipped).cloned().collect())
    });
}
