//! Which rules does this event touch? Stateless: an event goes in, the targets that match come out.
//!
//! Tests are shared between rules and indexed by the literal text they need, so that a rule is looked at only
//! when a test it cannot do without may pass; and the indexes stand on shelves, one for each value of the field that
//! most rules fix (the event's type). Shelves and indexes propose, `ask` decides.

mod aim;
mod ask;
mod builder;
mod expr;
mod fold;
mod gate;
mod index;
mod literal;
mod predicate;
mod run;
#[cfg(test)]
mod tests;

pub use aim::TypeFacts;
pub use builder::{BuildError, Builder};
pub use expr::Expr;
pub use fold::fold;
pub use run::{Matcher, Scratch, ScriptFailure};

/// A target's number, in the order they were added.
pub type TargetId = u32;
