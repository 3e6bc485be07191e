//! Signatures only; the real log replaces this file.
#![allow(clippy::all, clippy::unimplemented, clippy::allow_attributes, unused, missing_docs)]
use std::ops::ControlFlow;
use std::path::Path;

use tokio::sync::watch;

use crate::clock::Clock;
use crate::event::{Entry, Event, Position};
use crate::time::{Span, Timestamp};

/// An event to be appended, and the key by which its duplicates are known.
#[derive(Debug, Clone)]
pub struct NewEvent {
    pub event: Event,
    pub dedupe: u128,
}
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipt {
    pub stored: u64,
    pub duplicates: u64,
    pub last: Position,
}
#[derive(Debug, Clone, thiserror::Error)]
pub enum AppendError {
    #[error("overloaded")]
    Overloaded,
    #[error("{0}")]
    Unavailable(String),
    #[error("closed")]
    Closed,
}
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    #[error("{0}")]
    Database(String),
}
/// Limits of the log.
#[derive(Debug, Clone)]
pub struct LogOptions {
    /// How long a duplicate is recognised.
    pub dedupe_horizon: Span,
    /// How many recent keys are kept at most.
    pub dedupe_max: usize,
    /// How many bytes may wait to be written; beyond it [`AppendError::Overloaded`].
    pub queue_bytes_max: usize,
}
impl Default for LogOptions {
    fn default() -> Self {
        Self { dedupe_horizon: Span::days(1), dedupe_max: 4_000_000, queue_bytes_max: 64 << 20 }
    }
}
/// Event times from `from` (included) to `to` (excluded).
#[derive(Debug, Clone, Copy)]
pub struct TimeRange {
    pub from: Timestamp,
    pub to: Timestamp,
}
#[derive(Debug, Clone)]
pub struct Log;
impl Log {
    pub fn open(dir: &Path, options: LogOptions, clock: Clock) -> Result<Self, LogError> {
        unimplemented!()
    }
    pub async fn append(&self, batch: Vec<NewEvent>) -> Result<Receipt, AppendError> {
        unimplemented!()
    }
    pub async fn tick(&self, at: Timestamp) -> Result<Position, AppendError> {
        unimplemented!()
    }
    pub fn position(&self) -> Position {
        unimplemented!()
    }
    pub fn watch(&self) -> watch::Receiver<Position> {
        unimplemented!()
    }
    pub fn reader(&self) -> Result<Reader, LogError> {
        unimplemented!()
    }
    pub async fn close(&self) {
        unimplemented!()
    }
}
#[derive(Debug)]
pub struct Reader;
impl Reader {
    pub fn open(dir: &Path) -> Result<Self, LogError> {
        unimplemented!()
    }
    pub fn read_after(&mut self, position: Position, max: usize) -> Result<Vec<Entry>, LogError> {
        unimplemented!()
    }
    pub fn get(&mut self, position: Position) -> Result<Option<Event>, LogError> {
        unimplemented!()
    }
    pub fn newest_first(
        &mut self,
        range: TimeRange,
        visit: &mut dyn FnMut(Event) -> ControlFlow<()>,
    ) -> Result<(), LogError> {
        unimplemented!()
    }
    pub fn last_position(&mut self) -> Result<Position, LogError> {
        unimplemented!()
    }
}
