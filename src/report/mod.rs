//! What happened in a day, a week or a month, for people who do not look every day: who got access and who lost it,
//! tokens, deletions, sign-ins, alerts, what was done about them, and what could not be seen.
//!
//! Pure: a [`Draft`] is given events and rows in any order and becomes a [`Report`]; [`render`] makes text, HTML and CSV
//! of it. Numbers stand beside those of the period before. `kinds.csv` says which event types belong where. A report
//! about nothing says so: silence would look like failure.

mod zone;
mod period;
mod section;
mod kinds;
mod model;
mod facts;
mod sign_in;
mod draft;
pub mod render;
#[cfg(test)]
mod tests;

pub use draft::{AlertFact, CoverageFact, Draft, ROWS_KEPT, ResponseFact, Told};
pub use kinds::{query, sign_in_query};
pub use model::{Cell, Column, Report, Section};
pub use period::{Every, Period, Schedule, TimeOfDay};
pub use section::SectionKind;
pub use zone::{Zone, ZoneError};
