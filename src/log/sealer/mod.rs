//! Turning the hot end into sealed segments, and small segments into larger ones.
//!
//! Sealing: the blocks are read like by any reader, the segment is made, its manifest too, and only then the writing
//! thread is asked to remove the blocks. In what order things become durable:
//!
//! 1. the database under another name, synced; renamed; the folder synced
//! 2. the manifest in the same way: from now on the segment counts
//! 3. the checkpoint
//! 4. the hot end's blocks are removed, or the merged segments' manifests and then their databases
//!
//! So a crash leaves entries in two places, never in none; [`Worker::tidy`] clears that up at the next start.

mod input;
mod merging;
mod metrics;
mod retention;
mod options;
mod schedule;
mod thread;
mod worker;

pub use metrics::SealerMetrics;
pub use options::SealOptions;
pub use retention::{Ask, Board, Forecast, Foreseen, HeldBack, Retention, RetentionState, forecast, slack};
pub use thread::Sealer;
#[cfg(test)]
pub(super) use worker::Worker;

#[cfg(test)]
mod tests;
