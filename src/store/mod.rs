//! The control store: what was concluded and what is still to be done. One SQLite file, `control.db`.
//!
//! * What one step of detection changes is one transaction, [`Store::commit`]: after a crash either all of it
//!   is there or nothing.
//! * Every write is synced before its call returns. Calls block: async callers use `spawn_blocking`.
//! * One connection writes and another reads, so that a long list does not hold up detection.
//! * One file for each group of tables; the tables themselves are in `migrations`.

mod row;
mod error;
mod database;
mod progress;
mod alerts;
mod outbox;
mod report;
mod triage;
mod notice;
mod settle;
mod breaker;
mod ledger;
mod rejected;
mod gap;
mod hold;
mod tokens;
mod audit;

pub use audit::{AuditQuery, AuditRow, AuditVerified, Deed, WrongRow};
pub use breaker::OpenBreaker;
pub use database::{Store, copy};
pub use error::StoreError;
pub use gap::{Gap, GapState, NewGap};
pub use hold::{HOLDS_MAX, Hold, NewHold};
pub use notice::{NewNotice, notice_named};
pub use outbox::{checkpoint_name, checkpoint_named};
pub use row::{
    AlertPlace, AlertQuery, Commit, DeliveryKind, NewRejected, OutboxCounts, OutboxPlace, OutboxQuery,
    OutboxRow, OutboxState, Outcome, Progress, Rejected, RuleAlerts, Settlement, Snapshot, StoredAlert,
};
pub use tokens::{Role, TOKENS_MAX, TokenHash, TokenRow};

#[cfg(test)]
mod tests;
