//! The events a rule script may look back on: of each only what the script can ask for.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use rhai::{Array, Dynamic, Engine, ImmutableString};
use rustc_hash::FxHashSet;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::EventValue;
use super::meter::{self, Answer, charge};
use super::needs::Needs;
use super::object::Object;
use super::value::text_of;
use crate::event::{Catalogue, Event, Format, Position};
use crate::time::{Span, Timestamp};

/// The newest events of one key within the rule's time, in the order of the log, the current one last.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Window {
    seen: VecDeque<Seen>,
    /// What the events take beside the queue, in bytes.
    bytes: usize,
    /// The newest event time.
    newest: Timestamp,
    /// Whether some event is older than one before it.
    is_mixed: bool,
}

/// One event of a window.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Seen {
    time: Timestamp,
    position: Position,
    kept: Kept,
}

/// What is kept of an event.
#[derive(Debug, Clone, Serialize, Deserialize)]
enum Kept {
    Nothing,
    /// The texts of the fields the script asks the window for.
    Columns(Box<[Option<Box<str>>]>),
    Whole(Box<Whole>),
}

/// An event, to be read when the script asks for it.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Whole {
    received_at: Timestamp,
    time: Timestamp,
    source: Arc<str>,
    forge: Arc<str>,
    format: Format,
    type_hint: Option<Box<str>>,
    #[serde(serialize_with = "write_bytes", deserialize_with = "read_bytes")]
    raw: Bytes,
}

fn write_bytes<S: Serializer>(bytes: &Bytes, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_bytes(bytes)
}

fn read_bytes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Bytes, D::Error> {
    Vec::<u8>::deserialize(deserializer).map(Bytes::from)
}

impl Window {
    /// How many events of one key a script is shown; the newest ones.
    pub const EVENTS_MAX: usize = 1000;

    /// Takes in an event; those that are `within` or more older than the newest one go, as does the oldest of
    /// too many: then the answer is true. Without `within` only the current event stays. An event that comes
    /// late stays as long as it is the last, however old.
    pub(super) fn push(
        &mut self,
        needs: &Needs,
        event: &EventValue,
        (time, position): (Timestamp, Position),
        within: Span,
    ) -> bool {
        self.is_mixed |= time < self.newest && !self.seen.is_empty();
        self.newest = self.newest.max(time);
        let horizon = if within.0 == 0 { Timestamp::MAX } else { self.newest.minus(within) };
        while self.seen.front().is_some_and(|oldest| oldest.time <= horizon) {
            self.drop_oldest();
        }
        if self.is_mixed {
            self.sift(horizon);
        }
        let kept = Kept::new(needs, event);
        self.bytes += kept.bytes();
        self.seen.push_back(Seen { time, position, kept });
        let overflows = self.seen.len() > Self::EVENTS_MAX;
        if overflows {
            self.drop_oldest();
        }
        overflows
    }

    fn drop_oldest(&mut self) {
        if let Some(oldest) = self.seen.pop_front() {
            self.bytes -= oldest.kept.bytes();
        }
    }

    /// Drops the old ones wherever they stand.
    fn sift(&mut self, horizon: Timestamp) {
        let (mut newest, mut is_mixed, mut bytes) = (Timestamp::MIN, false, 0);
        self.seen.retain(|seen| {
            let stays = seen.time > horizon;
            if stays {
                is_mixed |= seen.time < newest;
                newest = newest.max(seen.time);
                bytes += seen.kept.bytes();
            }
            stays
        });
        self.is_mixed = is_mixed || newest < self.newest;
        self.bytes = bytes;
    }

    /// The places of its events in the log.
    pub fn positions(&self) -> impl ExactSizeIterator<Item = Position> + '_ {
        self.seen.iter().map(|seen| seen.position)
    }

    /// The newest event time it has seen.
    #[must_use]
    pub const fn newest(&self) -> Timestamp {
        self.newest
    }

    /// What it takes in memory, in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes + self.seen.len().next_power_of_two() * size_of::<Seen>()
    }
}

impl Kept {
    fn new(needs: &Needs, event: &EventValue) -> Self {
        match needs {
            Needs::Nothing => Self::Nothing,
            Needs::Columns(fields) => {
                meter::suspend();
                let text = |field: &str| {
                    let value = event.0.at(field).unwrap_or(Dynamic::UNIT);
                    text_of(&value).map(|text| text.as_str().into())
                };
                Self::Columns(fields.iter().map(|field| text(field)).collect())
            }
            Needs::Events => event.0.event().map_or(Self::Nothing, |event| {
                Self::Whole(Box::new(Whole {
                    received_at: event.received_at,
                    time: event.time,
                    source: Arc::clone(&event.source),
                    forge: Arc::clone(&event.forge),
                    format: event.format,
                    type_hint: event.type_hint.clone(),
                    // A copy: the event's own bytes may be part of a much larger block.
                    raw: Bytes::copy_from_slice(&event.raw),
                }))
            }),
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Nothing => 0,
            Self::Columns(texts) => {
                let text = |text: &Option<Box<str>>| 16 + text.as_ref().map_or(0, |text| text.len() + 16);
                texts.iter().map(text).sum()
            }
            Self::Whole(whole) => {
                size_of::<Whole>()
                    + 48
                    + whole.raw.len()
                    + whole.type_hint.as_ref().map_or(0, |hint| hint.len())
            }
        }
    }
}

/// The variable `window` of a running script; the key's window is lent to it for the run.
#[derive(Debug, Clone)]
pub(super) struct Handle(Arc<Mutex<Lent>>);

#[derive(Debug)]
struct Lent {
    window: Window,
    fields: Box<[Box<str>]>,
    catalogue: Arc<Catalogue>,
}

impl Window {
    pub(super) fn open(&mut self, needs: &Needs, event: &EventValue) -> Handle {
        let fields = match needs {
            Needs::Columns(fields) => fields.clone(),
            Needs::Nothing | Needs::Events => Box::default(),
        };
        let catalogue = event.0.catalogue().cloned().unwrap_or_default();
        let lent = Lent { window: std::mem::take(self), fields, catalogue };
        Handle(Arc::new(Mutex::new(lent)))
    }

    pub(super) fn close(&mut self, handle: &Handle) {
        *self = std::mem::take(&mut handle.lock().window);
    }
}

impl Handle {
    fn lock(&self) -> MutexGuard<'_, Lent> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lent {
    fn cost(&self) -> u64 {
        1 + self.window.seen.len() as u64
    }

    fn event(&self, seen: &Seen) -> Dynamic {
        let Kept::Whole(whole) = &seen.kept else { return Dynamic::UNIT };
        let event = Event {
            position: seen.position,
            received_at: whole.received_at,
            time: whole.time,
            source: Arc::clone(&whole.source),
            forge: Arc::clone(&whole.forge),
            format: whole.format,
            type_hint: whole.type_hint.clone(),
            raw: whole.raw.clone(),
        };
        Dynamic::from(Object::of_event(event, Arc::clone(&self.catalogue)))
    }

    /// Calls `tell` with the text of a field of each event that has it.
    fn each_text<'a>(&'a self, field: &str, mut tell: impl FnMut(Cow<'a, str>)) -> Answer<()> {
        charge(self.cost())?;
        let column = self.fields.iter().position(|known| **known == *field);
        for seen in &self.window.seen {
            match (&seen.kept, column) {
                (Kept::Columns(texts), Some(column)) => {
                    if let Some(Some(text)) = texts.get(column) {
                        tell(Cow::Borrowed(text));
                    }
                }
                (Kept::Whole(_), _) => {
                    let event = self.event(seen);
                    let value =
                        event.read_lock::<Object>().map_or(Ok(Dynamic::UNIT), |event| event.at(field))?;
                    if let Some(text) = text_of(&value) {
                        tell(Cow::Owned(text.to_string()));
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn distinct(&self, field: &str) -> Answer<i64> {
        let mut different = FxHashSet::default();
        self.each_text(field, |text| {
            different.insert(text);
        })?;
        Ok(i64::try_from(different.len()).unwrap_or(i64::MAX))
    }

    /// Whole as long as every value is, and as long as the sum fits; numbers written as text count too.
    fn sum(&self, field: &str) -> Answer<Dynamic> {
        let (mut whole, mut real) = (Some(0_i64), 0.0);
        self.each_text(field, |text| {
            if let Ok(number) = text.trim().parse::<i64>() {
                whole = whole.and_then(|sum| sum.checked_add(number));
                real += number as f64;
            } else if let Some(number) = crate::event::number(&text) {
                whole = None;
                real += number;
            }
        })?;
        Ok(whole.map_or_else(|| Dynamic::from_float(real), Dynamic::from_int))
    }
}

/// Teaches the engine the window's methods. `events()` gives the newest `items_max`, as many as an array holds.
pub(super) fn register(engine: &mut Engine, items_max: usize) {
    engine.register_type_with_name::<Handle>("Window");
    engine.register_fn("count", |window: &mut Handle| {
        i64::try_from(window.lock().window.seen.len()).unwrap_or(i64::MAX)
    });
    engine.register_fn("distinct", |window: &mut Handle, field: ImmutableString| {
        window.lock().distinct(&field)
    });
    engine.register_fn("sum", |window: &mut Handle, field: ImmutableString| window.lock().sum(&field));
    engine.register_fn("first", |window: &mut Handle| {
        let lent = window.lock();
        lent.window.seen.front().map_or(Dynamic::UNIT, |seen| lent.event(seen))
    });
    engine.register_fn("last", |window: &mut Handle| {
        let lent = window.lock();
        lent.window.seen.back().map_or(Dynamic::UNIT, |seen| lent.event(seen))
    });
    engine.register_fn("events", move |window: &mut Handle| -> Answer<Array> {
        let lent = window.lock();
        charge(lent.cost())?;
        let skipped = lent.window.seen.len().saturating_sub(items_max);
        Ok(lent.window.seen.iter().skip(skipped).map(|seen| lent.event(seen)).collect())
    });
}
