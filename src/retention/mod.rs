//! How long each kind of event is kept.
//!
//! A [`Policy`] answers from what is known of an event's kind alone (its source, type, category and tier), so that
//! a whole segment can be judged by its index, without reading the events. Pure: what deletes is the log.

mod coverage;
mod policy;

pub use coverage::{Coverage, Level};
pub use policy::{Keep, Kind, Policy, Rule, Verdict};
