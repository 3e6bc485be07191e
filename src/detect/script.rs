//! A Rhai script decides; it sees the key's events in the order of the log.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::hit::{Completion, Evidence, Hit, Outcome, shown};
use crate::event::Position;
use crate::script::{Cage, EventValue, Program, ScriptError, ScriptState, Window};
use crate::time::{Span, Timestamp};

/// A script behaviour.
#[derive(Debug, Clone)]
pub struct ScriptSpec {
    /// Where it runs.
    pub cage: Arc<Cage>,
    /// What runs.
    pub program: Arc<Program>,
    /// The file it stands in, where that is not the rule's own: its errors name it.
    pub file: Option<Arc<str>>,
    /// The window it is shown; zero: only the current event.
    pub within: Span,
}

/// One key's map and window.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct ScriptKeyState {
    memory: ScriptState,
    window: Window,
}

impl ScriptSpec {
    /// Takes in an event. One that the script fails on stays in the window: the next run sees that it happened.
    pub(super) fn on_hit(
        &self,
        state: &mut ScriptKeyState,
        hit: &Hit,
        event: &EventValue,
    ) -> Result<Outcome, ScriptError> {
        let ScriptKeyState { memory, window } = state;
        let overflowed = self.program.look_at(window, event, (hit.time, hit.position), self.within);
        let found = self
            .program
            .run(&self.cage, event, memory, window)
            .map_err(|error| ScriptError { file: self.file.clone(), ..error })?;
        let completion = found.map(|found| {
            let reason = found.reason;
            let reason = if reason.is_empty() { String::from("the script found it") } else { reason };
            let value = found.value.or(found.score).unwrap_or(1.0);
            let evidence = Evidence::sample(window.positions());
            Completion { score: found.score, ..Completion::at(hit, value, reason, evidence) }
        });
        Ok(Outcome { completion, overflowed, timer: None })
    }
}

impl ScriptSpec {
    /// The map that the script keeps of the key, and how much its window holds.
    pub(super) fn known(&self, state: &ScriptKeyState) -> Vec<String> {
        let map = if state.memory.is_empty() {
            String::from("the script's state is empty")
        } else {
            format!("the script's state is {}", shown(&state.memory.json()))
        };
        let window = (self.within.0 > 0).then(|| {
            let count = state.window.positions().len();
            format!("its window of {} holds {count} event{}", self.within, if count == 1 { "" } else { "s" })
        });
        std::iter::once(map).chain(window).collect()
    }
}

impl ScriptKeyState {
    pub(super) fn last(&self) -> Timestamp {
        self.window.newest()
    }

    pub(super) fn bytes(&self) -> usize {
        self.memory.bytes() + self.window.bytes()
    }

    pub(super) fn positions(&self) -> Vec<Position> {
        self.window.positions().collect()
    }
}
