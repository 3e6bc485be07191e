//! The event log: appended and synced before a sender is answered; everything downstream reads it.
//!
//! * One thread owns the writing connection to `DIR/log/hot.db`. It takes everything that waits, drops what
//!   it has seen before, writes the rest in one transaction, and answers once that is on the disk.
//! * Entries are kept in compressed blocks. Every entry goes into a BLAKE3 chain, and a block records
//!   where the chain stands after it, so a change to the past is found by [`Reader::verify`].
//! * A [`Reader`] has a connection of its own, in any process, whether or not a daemon runs.

mod error;
pub(crate) mod fault;
mod hex;
mod row;
mod packing;
mod decoder;
mod block;
mod hot;
mod durable;
mod signing;
mod deletion;
mod segment;
mod sealed;
mod checkpoint;
mod seam;
mod pidfile;
mod recent;
mod archive;
mod forget;
mod appender;
mod backfill;
mod writer;
mod handle;
mod taken;
mod reader;
mod sealer;
mod verify;
mod copy;

pub use checkpoint::{
    AskAudit, AuditMark, Checkpoint, find_checkpoints, newest_checkpoints, own_checkpoints, read_checkpoints,
};
pub use copy::{copy, copy_checkpoints};
pub use deletion::{DeletedBy, Deletion, read_deletions};
pub use error::{AppendError, LogError};
pub use handle::{Log, LogOptions, NewEvent, Receipt};
pub use hex::Hex;
pub use reader::{Reader, TimeRange};
pub use sealer::{
    Ask, Board, Forecast, Foreseen, HeldBack, Retention, RetentionState, SealOptions, Sealer, SealerMetrics,
    forecast, slack,
};
pub use segment::{Segment, SegmentInfo};
pub use signing::PublicKey;
pub use verify::{Progress, Verified, VerifyOptions};

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
