//! Rhai scripts in a cage: predicates in selections and whole rules, deterministic and bounded.
//!
//! A script sees events, its key's state and its window, and nothing else: no clock, no random, no I/O. Every
//! run ends after a counted number of steps. Same input, same output, also after a restart.

mod error;
mod limits;
mod lists;
mod code;
mod cage;
mod predicate;
mod program;
mod state;
mod window;
mod keep;
mod needs;
mod object;
mod index;
mod value;
mod nested;
mod helpers;
mod reference;
mod text;
mod meter;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod tests;

pub use cage::Cage;
pub use error::{ScriptError, ScriptErrorKind};
pub use limits::Limits;
pub use lists::ListTable;
pub use predicate::Predicate;
pub use program::{Program, ScriptFinding};
pub use reference::{HELPERS, Helper};
pub use state::ScriptState;
pub use value::EventValue;
pub use window::Window;
