//! Reports and exports of a day, a week or a month: their settings, what they are made from, and the files.
//!
//! [`make`] reads the log and the store for a [`crate::report::Report`]; [`write_export`] writes the events of a period
//! into a file. When either is due, and that it happens once, is the daemon's to see to.

mod config;
mod make;
mod beside;
mod export;
mod file;
#[cfg(feature = "parquet")]
mod parquet;
#[cfg(test)]
mod tests;

pub use config::{ExportConfig, ExportFormat, ReportConfig, Schedules, is_name};
pub use export::{ExportError, Written, encode, extension, write_export};
pub use file::EventFile;
pub use make::{Asked, GoOn, ReportError, make};
