//! The control store: what was concluded and what is still to be done. One SQLite file, `control.db`.

mod row;
mod stub;

pub use row::{
    AlertQuery, Commit, DeliveryKind, NewRejected, OutboxCounts, OutboxRow, OutboxState, Outcome, Progress,
    Rejected, Settlement, Snapshot, StoredAlert,
};
pub use stub::{Store, StoreError};
