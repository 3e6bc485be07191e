//! The daemon: the only owner of tasks, threads, channels and signals.
//!
//! [`App::start`] builds everything in one straight line and [`App::stop`] takes it down in reverse order.
//! Detection has a thread of its own (`detection`); all else is tasks.

mod accounts;
mod app;
mod detection;
mod files;
mod forges;
mod followups;
mod forwarding;
mod foundation;
mod gaps;
mod geo_files;
mod held_metrics;
mod inbox;
mod listening;
mod matching;
mod metrics;
mod outbox_metrics;
mod plan;
mod reports;
mod reload;
mod responses;
mod retention;
mod rulebook;
mod scenes;
mod tasks;
mod terms;
mod watching;
mod witness;

pub use accounts::Learnt;
pub use app::{App, Options, ReloadError, StartError};
pub use plan::actions_of;
pub use retention::retention_of;
pub use rulebook::{Reading, Rulebook, RulebookConfig};
