//! The machine: log entries in, findings, alerts and ledger entries out. No clock, no I/O, no randomness.
//!
//! `match` (in [`RuleSet::hits`]) is stateless and may run anywhere; `judge` (in [`Engine`]) owns the state.

mod aim;
mod chain;
mod compile;
mod conclude;
mod effects;
mod ghosts;
mod judge;
#[cfg(test)]
mod key_tests;
mod limits;
mod meaning;
mod reach;
mod room;
mod ruleset;
#[cfg(test)]
mod past_tests;
#[cfg(test)]
mod script_tests;
mod slot;
mod snapshot;
mod specify;
mod state;
mod table;
mod weave;
#[cfg(test)]
mod sigma_story;
#[cfg(test)]
mod sigma_points;
#[cfg(test)]
mod sigma_modifiers;
#[cfg(test)]
mod sigma_correlations;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

pub use aim::Aims;
pub use compile::{Compiled, Environment, compile};
pub use effects::{Effects, OpenedAlert};
pub use judge::Engine;
pub use limits::Limits;
pub use reach::Needs;
pub use ruleset::{Hits, Meaning, RuleSet, Unit};
pub use snapshot::SnapshotError;
