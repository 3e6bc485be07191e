//! What we conclude: findings, the alerts they belong to, who is to be told, and what people make of them.

mod finding;
mod triage;
mod change;
mod gather;
mod moment;
mod quality;

pub use change::{Change, Happening, NAME_MAX, NOTE_MAX, Record, Refusal, Stance};
pub use finding::scalar;
pub use finding::{Alert, AlertId, Finding, Key, LedgerEntry, LedgerReason, Level};
pub use gather::about;
pub use moment::{Fate, Moment};
pub use quality::{Quality, median};
pub use triage::{AlertState, Occasion, Triage, Verdict};
