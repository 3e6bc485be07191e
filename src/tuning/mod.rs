//! Exceptions that are learnt from what people said of alerts: the smallest that takes the false positives away and leaves
//! every known true positive, tried on the log before it is offered. Nothing is ever applied by itself.
//!
//! In reading order: `case` reads alerts and their events, `condition` says what the false ones have in common, `document`
//! writes that as a Sigma filter, `trial` runs the rule with it over the log, and `propose` puts these together.

mod case;
mod condition;
mod document;
mod trial;
mod propose;
#[cfg(test)]
mod tests;

pub use propose::{Proof, Proposal, Proposed, TuneError, propose};
