//! The mathematics of `spike` and `unusual_hour`: counts, their tails, and what is usual. Pure functions of numbers;
//! nothing here knows events.
//!
//! Logarithms and exponentials come from `libm`, not from `f64`'s methods: those call the system's library, whose
//! last digit differs between machines, and a threshold that lies on that digit would differ with it.

mod baseline;
mod calendar;
mod level;
mod rhythm;
mod season;
mod series;
mod shrink;
mod tail;
#[cfg(test)]
pub(super) mod simulation;
#[cfg(test)]
mod tests;

pub(super) use baseline::{Baseline, Past};
pub(super) use calendar::Calendar;
pub(super) use rhythm::{Rhythm, WeekHour};
pub(super) use series::Series;
pub(super) use tail::{lower_limit, upper_limit};
