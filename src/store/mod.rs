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
mod filter;
mod alerts;
mod outbox;
mod report;
mod triage;
mod history;
mod change;
mod terms;
mod incident;
mod life;
mod quality;
mod notice;
mod settle;
mod breaker;
mod ledger;
mod rejected;
mod gap;
mod hold;
mod response;
mod own_account;
mod scene;
mod held;
mod silence;
mod group;
mod followup;
mod storm;
mod routing;
mod forget;
#[cfg(test)]
mod routing_tests;
#[cfg(test)]
mod cost_tests;
mod tokens;
mod audit;

pub use audit::{AuditQuery, AuditRow, AuditVerified, Deed, WrongRow};
pub use breaker::OpenBreaker;
pub use change::Changed;
pub use database::{Store, copy};
pub use error::StoreError;
pub use followup::{Followup, Kind as FollowupKind, REMINDERS_MAX};
pub use forget::{Forgettable, Sweep};
pub use gap::{Gap, GapState, NewGap};
pub use history::HISTORY_MAX;
pub use hold::{HOLDS_MAX, Hold, NewHold};
pub use incident::{Incident, IncidentPlace, IncidentQuery};
pub use life::ForgeOf;
pub use notice::{NewNotice, notice_named};
pub use outbox::{checkpoint_name, checkpoint_named};
pub use own_account::OwnAccount;
pub use response::{
    Approval, Decided, Decision, Ending, Hit, Limit, LimitOf, Parked, Reservation, Reserved, Response,
    ResponseCounts, ResponsePlace, ResponseQuery, ResponseStatus, Step, Stop, UNKNOWN, UndoAsked, UndoStatus,
    Undone, asked_id,
};
pub use routing::{Candidate, Routing};
pub use row::{
    AlertPlace, AlertQuery, Commit, DeliveryKind, HeldFilter, NewRejected, OutboxCounts, OutboxPlace,
    OutboxQuery, OutboxRow, OutboxState, Outcome, Progress, Rejected, RuleAlerts, SUPPRESSED, Settlement,
    Snapshot, StoredAlert,
};
pub use silence::{NewSilence, SILENCE_SPAN, SILENCE_SPAN_MAX, SILENCES_MAX, Silence, SilenceState};
pub use terms::{AlertTerms, NoResponse};
pub use tokens::{Role, TOKENS_MAX, TokenHash, TokenRow};
pub use triage::Standing;

#[cfg(test)]
mod tests;
