//! What a set of events looks like: windows, sequences, absences, novelty. Knows hits, not rules or JSON.
//!
//! Each detector is a specification and, per key, a state that is plain data. A hit or a timer goes in, at most
//! one [`Completion`] comes out. Times are event times; timers come back once the watermark has passed them.

mod absence;
mod detector;
mod episode;
mod hit;
mod novelty;
mod script;
mod sequence;
pub(crate) mod size;
mod sorted;
mod window;
#[cfg(test)]
mod tests;

pub use absence::AbsenceSpec;
pub use detector::{Detector, KeyState};
pub use episode::{Episode, Episodes, Merge};
pub use hit::{Completion, Evidence, Held, Hit, Outcome};
pub use novelty::{DormantSpec, FirstSeenSpec};
pub use script::ScriptSpec;
pub use sequence::SequenceSpec;
pub use window::{Measure, WindowSpec};
