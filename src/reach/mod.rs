//! What the rules reach, and who tells of it: which event types are known, seen, and looked at by a rule; and when each
//! source was heard, against its own rhythm. Pure: who asks brings what was seen and what time it is.

mod arrivals;
mod report;
mod rhythm;
mod types;

pub use arrivals::{Arrivals, ArrivalsError};
pub use report::{ForgeReport, HeardSource, Report, SourceReport, SourceState, Totals, TypeReport};
pub use rhythm::{Rhythm, Silence};
pub use types::{ForgeReach, SeenType, TypeReach, reach};
