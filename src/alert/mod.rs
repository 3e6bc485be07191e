//! What we conclude: findings, the alerts they belong to, and who is to be told.

mod finding;
mod triage;

pub use finding::scalar;
pub use finding::{Alert, AlertId, Finding, Key, LedgerEntry, LedgerReason, Level};
pub use triage::{AlertState, Occasion, Triage, Verdict};
