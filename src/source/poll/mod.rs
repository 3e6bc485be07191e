//! GitLab's audit events, fetched through its REST API: for editions that do not stream, beside a stream that may lose
//! events, and for what happened while nobody listened.
//!
//! The API gives the newest events first, in pages. So time is taken in pieces, oldest first: a piece is fetched as a
//! whole, put in order, appended; then the position moves on. Neighbouring looks overlap, since an event may appear
//! later than its time says; what is known already the log does not take again.

mod access;
mod board;
mod config;
mod fetch;
mod fill;
mod pages;
mod progress;
mod round;
mod run;
mod targets;
#[cfg(test)]
mod tests;
mod trouble;

pub use board::{Board, PollReport, PollState};
pub use config::{Name, Polled, Target};
pub(super) use config::{check, unused};
pub use run::Poller;
