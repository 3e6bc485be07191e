//! The daemon: the only owner of tasks, channels and signals.

mod rulebook;

pub use rulebook::{Reading, Rulebook, RulebookConfig};
