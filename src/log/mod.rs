//! The event log: appended and synced before a sender is answered; everything downstream reads it.
//!
//! * One thread owns the writing connection to `DIR/log/hot.db`. It takes everything that waits, drops what
//!   it has seen before, writes the rest in one transaction, and answers once that is on the disk.
//! * Entries are kept in compressed blocks. Every entry goes into a BLAKE3 chain, and a block records
//!   where the chain stands after it, so a change to the past is found by [`Reader::verify`].
//! * A [`Reader`] has a connection of its own, in any process, whether or not a daemon runs.

mod block;
mod error;
pub(crate) mod fault;
mod hot;
mod pidfile;
mod recent;
mod appender;
mod writer;
mod handle;
mod reader;
mod verify;
mod copy;

pub use copy::copy;
pub use error::{AppendError, LogError};
pub use handle::{Log, LogOptions, NewEvent, Receipt};
pub use reader::{Reader, TimeRange};
pub use verify::Verified;

#[cfg(test)]
mod tests;
