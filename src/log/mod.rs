//! The event log: appended and synced before a sender is answered; everything downstream reads it.

mod stub;

pub use stub::{AppendError, Log, LogError, LogOptions, NewEvent, Reader, Receipt, TimeRange};
