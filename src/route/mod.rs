//! Who is told of an alert, when, and what holds that back.
//!
//! Everything here is a function of the alert, the configuration, the moment, and facts that somebody else read from the
//! store: a [`Case`] is what conditions look at, [`way`] walks the tree of routes, [`hold`] says what keeps an alert from
//! being told, and [`join`] into which message of a group it goes. The store does what they say in the transaction that
//! commits the alert; a [`Course`] does it for a past that nobody stored.

mod case;
mod glob;
mod text;
mod hours;
mod condition;
mod matcher;
mod tree;
mod group;
mod hold;
mod inhibitors;
mod policy;
mod course;
mod scenes;
mod dead_end;

#[cfg(test)]
mod tests;

pub use case::{Case, Field, Glimpse, Scene};
pub use condition::{Condition, Reach};
pub use course::{Course, Fate, Nature, Passage};
pub use dead_end::{DeadEnd, dead_ends};
pub use glob::Glob;
pub use group::{Group, GroupState, Joined, join};
pub use hold::{Facts, Held, HeldBy, Hold, OpenAlert, Quiet, hold, rivals};
pub use hours::Hours;
pub use inhibitors::Inhibitors;
pub use matcher::{MATCHERS_MAX, Matcher, MatcherError, Matchers};
pub use policy::{Inhibition, Notices, Policy, Storm, StormResponses, Window};
pub use scenes::{cited, scenes};
pub use tree::{Escalation, Manner, Passed, Route, Told, Visit, Way, actions_in, trace, way};
