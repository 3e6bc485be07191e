//! Responses: what Watchfire changes in another system because of an alert, and what keeps it from harm.
//!
//! A *responder* knows one system: it says whom an alert is about, looks without touching, changes, looks again, and puts
//! back exactly what it found. Whether it may is not its business: the guards decide that, for all responders alike.

mod sight;
mod responder;

pub use responder::{Responder, Verb};
pub use sight::{Identity, Receipt, Sight, Standing, Subject, SubjectKind};
