//! What a set of events looks like: windows, sequences, absences, novelty. Knows hits, not rules or JSON.
//!
//! Each detector is a specification and, per key, a state that is plain data. A hit or a timer goes in, at most
//! one [`Completion`] comes out. Times are event times; timers come back once the watermark has passed them.

mod absence;
mod bucket;
mod change;
mod detector;
mod dormant;
mod episode;
mod first_seen;
mod hit;
mod rare;
mod risk;
mod script;
mod sequence;
mod showing;
pub(crate) mod size;
mod sorted;
mod spike;
mod stats;
mod travel;
mod unusual_hour;
mod window;
#[cfg(test)]
mod shuffle;
#[cfg(test)]
mod tests;

pub use absence::AbsenceSpec;
pub use bucket::BucketSpec;
pub use change::ChangeSpec;
pub use detector::{Detector, KeyState};
pub use dormant::DormantSpec;
pub use episode::{Episode, Episodes, Merge};
pub use first_seen::FirstSeenSpec;
pub use hit::{Completion, Evidence, Held, Hit, Outcome};
pub use rare::RareSpec;
pub use risk::RiskSpec;
pub use script::ScriptSpec;
pub use sequence::SequenceSpec;
pub use spike::SpikeSpec;
pub use travel::TravelSpec;
pub use unusual_hour::UnusualHourSpec;
pub use window::{Measure, WindowSpec};
