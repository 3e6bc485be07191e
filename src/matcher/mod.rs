//! Which rules does this event touch? Stateless: an event goes in, the targets that match come out.
//!
//! Tests are shared between rules and indexed by the literal text they need, so that a rule is looked at only
//! when a test it cannot do without has fired. The index proposes, [`expr`] decides.

mod expr;
mod fold;
mod index;
mod predicate;
mod run;

pub use expr::Expr;
pub use fold::fold;
pub use run::{BuildError, Builder, Matcher, Scratch, ScriptFailure, TargetId};
