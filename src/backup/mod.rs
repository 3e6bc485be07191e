//! A copy of everything a daemon knows, made while it runs, and the way back.
//!
//! A backup is a folder like a data folder, with a list of its files and their BLAKE3 digests in `backup.json`, which is
//! written last: a folder without it is no backup. The control store is copied before the log, so that what it has
//! concluded is never ahead of what the log has; a daemon started on the copy goes on as after a crash.

mod error;
mod files;
mod make;
mod restore;

pub use error::BackupError;
pub use files::{Listed, Listing};
pub use make::make;
pub use restore::{check, restore};

#[cfg(test)]
mod tests;
