//! How far a check is, for who waits for it in another thread.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::event::Position;
use crate::log::LogError;

/// Shared by who checks and who waits.
#[derive(Debug, Default)]
pub struct Progress {
    entries: AtomicU64,
    done: AtomicU64,
    is_stopped: AtomicBool,
}

impl Progress {
    /// How many entries the log had when the check began; 0 before it did.
    #[must_use]
    pub fn entries(&self) -> u64 {
        self.entries.load(Ordering::Relaxed)
    }

    /// The last entry that was checked.
    #[must_use]
    pub fn done(&self) -> Position {
        self.done.load(Ordering::Relaxed)
    }

    /// Has the check end as soon as it can, with [`LogError::Stopped`].
    pub fn stop(&self) {
        self.is_stopped.store(true, Ordering::Relaxed);
    }

    pub(super) fn begin(&self, entries: u64) {
        self.entries.store(entries, Ordering::Relaxed);
    }

    pub(super) fn at(&self, position: Position) -> Result<(), LogError> {
        self.done.fetch_max(position, Ordering::Relaxed);
        if self.is_stopped.load(Ordering::Relaxed) { Err(LogError::Stopped) } else { Ok(()) }
    }
}
