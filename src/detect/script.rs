//! A Rhai script decides; it sees the key's events in the order of the log.

use std::collections::VecDeque;
use std::sync::Arc;

use rhai::Dynamic;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use smallvec::smallvec;

use super::hit::{Completion, Evidence, Hit, Outcome};
use super::size;
use crate::event::Position;
use crate::script::{Cage, EventValue, Program, ScriptError, ScriptState as Memory, Window};
use crate::time::{Span, Timestamp};

/// A script behaviour.
#[derive(Debug, Clone)]
pub struct ScriptSpec {
    /// Where it runs.
    pub cage: Arc<Cage>,
    /// What runs.
    pub program: Arc<Program>,
    /// The window it is shown; zero: only the current event.
    pub within: Span,
}

/// How many events of one key's window a script is shown; the newest ones.
const WINDOW_EVENTS_MAX: usize = 1000;

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Seen {
    time: Timestamp,
    position: Position,
    json: String,
    #[serde(skip)]
    value: Option<Dynamic>,
}

/// One key's map and window.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct ScriptKeyState {
    memory: Memory,
    window: VecDeque<Seen>,
    bytes: usize,
    last: Timestamp,
}

impl ScriptSpec {
    /// Takes in an event, which `event` gives in its canonical form.
    pub(super) fn on_hit(
        &self,
        state: &mut ScriptKeyState,
        hit: &Hit,
        event: &Map<String, Value>,
    ) -> Result<Outcome, ScriptError> {
        let value = EventValue::from_json(event);
        state.last = state.last.max(hit.time);
        let overflowed = self.remember(state, hit, event, &value);
        let events: Vec<Dynamic> = state.window.iter_mut().map(Seen::value).collect();
        let window = Window::new(Arc::new(events), state.window.len() as u64);
        let found = self.program.run(&self.cage, &value, &mut state.memory, &window)?;
        let completion = found.map(|found| Completion {
            time: hit.time,
            position: hit.position,
            value: found.value.or(found.score).unwrap_or(1.0),
            reason: if found.reason.is_empty() { String::from("the script found it") } else { found.reason },
            evidence: Evidence::sample(state.window.iter().map(|seen| seen.position)),
            held: smallvec![(hit.time, hit.time)],
            score: found.score,
            key: None,
        });
        Ok(Outcome { completion, overflowed, timer: None })
    }

    fn remember(
        &self,
        state: &mut ScriptKeyState,
        hit: &Hit,
        event: &Map<String, Value>,
        value: &Dynamic,
    ) -> bool {
        let horizon = state.last.minus(self.within);
        while state.window.front().is_some_and(|oldest| oldest.time <= horizon) {
            state.forget_oldest();
        }
        if self.within.0 == 0 {
            while !state.window.is_empty() {
                state.forget_oldest();
            }
        }
        let json = Value::Object(event.clone()).to_string();
        state.bytes += json.len();
        let seen = Seen { time: hit.time, position: hit.position, json, value: Some(value.clone()) };
        state.window.push_back(seen);
        let overflowed = state.window.len() > WINDOW_EVENTS_MAX;
        if overflowed {
            state.forget_oldest();
        }
        overflowed
    }
}

impl Seen {
    /// The event as the script sees it; parsed again once after a restart.
    fn value(&mut self) -> Dynamic {
        let json = &self.json;
        let parse = || EventValue::from_json(&serde_json::from_str(json).unwrap_or_default());
        self.value.get_or_insert_with(parse).clone()
    }
}

impl ScriptKeyState {
    fn forget_oldest(&mut self) {
        if let Some(oldest) = self.window.pop_front() {
            self.bytes -= oldest.json.len();
        }
    }

    pub(super) fn last(&self) -> Timestamp {
        self.last
    }

    /// The parsed form of an event or a map takes about as much again as its text.
    pub(super) fn bytes(&self) -> usize {
        2 * self.bytes + size::queue(&self.window) + 2 * self.memory.bytes()
    }

    pub(super) fn positions(&self) -> Vec<Position> {
        self.window.iter().map(|seen| seen.position).collect()
    }
}
