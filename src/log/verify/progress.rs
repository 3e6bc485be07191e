//! How far a check is, for who waits for it in another thread.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::event::Position;
use crate::log::LogError;

/// Shared by who checks and who waits.
#[derive(Debug, Default)]
pub struct Progress {
    entries: AtomicU64,
    /// The last one of the sealed segments that was checked.
    sealed: AtomicU64,
    /// How many of the hot end were; that is checked first.
    hot: AtomicU64,
    is_stopped: AtomicBool,
}

impl Progress {
    /// How many entries the log had when the check began; 0 before it did.
    #[must_use]
    pub fn entries(&self) -> u64 {
        self.entries.load(Ordering::Relaxed)
    }

    /// How many of them were checked.
    #[must_use]
    pub fn done(&self) -> u64 {
        let done = self.sealed.load(Ordering::Relaxed).saturating_add(self.hot.load(Ordering::Relaxed));
        // What is about to be removed from the hot end is in both.
        done.min(self.entries())
    }

    /// Has the check end as soon as it can, with [`LogError::Stopped`].
    pub fn stop(&self) {
        self.is_stopped.store(true, Ordering::Relaxed);
    }

    pub(super) fn begin(&self, entries: u64) {
        self.entries.store(entries, Ordering::Relaxed);
        self.hot.store(0, Ordering::Relaxed);
    }

    /// So many more of the hot end were checked.
    pub(super) fn hot(&self, count: u64) -> Result<(), LogError> {
        self.hot.fetch_add(count, Ordering::Relaxed);
        self.go_on()
    }

    /// The sealed ones were checked up to here.
    pub(super) fn at(&self, position: Position) -> Result<(), LogError> {
        self.sealed.fetch_max(position, Ordering::Relaxed);
        self.go_on()
    }

    fn go_on(&self) -> Result<(), LogError> {
        if self.is_stopped.load(Ordering::Relaxed) { Err(LogError::Stopped) } else { Ok(()) }
    }
}
