//! A log without sealed segments: every event is looked at.

use std::ops::ControlFlow;

use super::parts::{Bounds, Parts, Sealed, VisitEvent};
use crate::event::{Entry, Event, Position};
use crate::log::{LogError, Reader, TimeRange};

/// How many entries are read at once when going forward.
const READ: usize = 4096;

/// The log as its reader gives it.
#[derive(Debug)]
pub struct Unsealed {
    reader: Reader,
}

impl Unsealed {
    /// Reads through this reader.
    #[must_use]
    pub const fn new(reader: Reader) -> Self {
        Self { reader }
    }
}

impl Parts for Unsealed {
    fn segments(&mut self) -> Result<Vec<Bounds>, LogError> {
        Ok(Vec::new())
    }

    fn segment(&mut self, first: Position) -> Result<&mut dyn Sealed, LogError> {
        Err(LogError::Database(format!("there is no sealed segment at position {first}")))
    }

    fn backwards(
        &mut self,
        before: Position,
        range: TimeRange,
        visit: &mut VisitEvent<'_>,
    ) -> Result<(), LogError> {
        self.reader.newest_first(range, &mut |event| {
            if event.position < before { visit(event) } else { ControlFlow::Continue(()) }
        })
    }

    fn forwards(
        &mut self,
        mut after: Position,
        range: TimeRange,
        visit: &mut VisitEvent<'_>,
    ) -> Result<(), LogError> {
        loop {
            let entries = self.reader.read_after(after, READ)?;
            let Some(last) = entries.last() else { return Ok(()) };
            after = last.position();
            for entry in entries {
                let Entry::Event(event) = entry else { continue };
                if (range.from..range.to).contains(&event.time) && visit(event).is_break() {
                    return Ok(());
                }
            }
        }
    }

    fn get(&mut self, position: Position) -> Result<Option<Event>, LogError> {
        self.reader.get(position)
    }
}
