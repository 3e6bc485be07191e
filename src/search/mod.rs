//! Finding events in the log: by query, by time, by what else happened around them.
//!
//! A [`Searcher`] asks the index of each sealed segment which events a query may find, and looks at the rest of the log
//! event by event. What comes out does not depend on where an event lies: the index only leaves out what cannot be
//! found, and what it is not sure of is looked at. A segment that cannot be read is set aside and named
//! ([`Searcher::take_damaged`]); the rest is found all the same.

mod count;
mod cursor;
mod disk;
mod error;
mod page;
mod parts;
mod per;
mod searcher;
mod seen;
mod trace;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

pub use count::{Count, GROUPS_MAX, Group, Groups};
pub use cursor::Cursor;
pub use disk::Disk;
pub use error::SearchError;
pub use page::{Found, Order, PAGE_MAX, Page};
pub use parts::{Bounds, Damage, Parts, Sealed};
pub use per::{Series, Unit};
pub use searcher::Searcher;
pub use seen::{Seen, SeenSource};
pub use trace::{Strand, Trace, TraceOptions};
