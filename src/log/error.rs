//! What can go wrong with the log.

use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;

use crate::event::Position;

/// Why a batch was not stored; nothing of it was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// Too much waits to be written already: try again in a moment.
    #[error("too many events wait to be written; try again in a moment")]
    Overloaded,
    /// The log cannot be written now; says why. The next append tries again.
    #[error("{0}")]
    Unavailable(String),
    /// The log was closed: the daemon stops.
    #[error("the event log is closed, the daemon is stopping")]
    Closed,
}

/// Why the log could not be opened or read.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The database, or the disk under it, failed; names the file.
    #[error("{0}")]
    Database(String),
    /// Another daemon works on this folder.
    #[error("{} is in use by the daemon with process id {pid}; stop it first, or choose another folder", .dir.display())]
    Locked {
        /// The other daemon's process id; 0 when it could not be read.
        pid: u32,
        /// The data folder.
        dir: PathBuf,
    },
    /// A file or folder could not be made or opened.
    #[error("{}: {source}", .path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Written by a newer Watchfire.
    #[error("{} has format {found}, this program knows up to {known}; use a newer one", .path.display())]
    Version {
        /// The database.
        path: PathBuf,
        /// Its format number.
        found: i64,
        /// The highest number known here.
        known: i64,
    },
    /// Written by a Watchfire from before the format was fixed.
    #[error(
        "{} has format {found}, which this program does not read any more (it knows {known}); move the data folder \
         away and begin with an empty one, or use the program that wrote it", .path.display()
    )]
    Old {
        /// The database.
        path: PathBuf,
        /// Its format number.
        found: i64,
        /// The one known here.
        known: i64,
    },
    /// A file beside the entries is not what was written: a manifest, a checkpoint, the key.
    #[error("{}: {reason}", .path.display())]
    Broken {
        /// Which.
        path: PathBuf,
        /// What does not fit.
        reason: String,
    },
    /// Work in the background was told to stop.
    #[error("stopped")]
    Stopped,
    /// Stored entries cannot be read: the bytes on disk are not those that were written.
    #[error("the log is damaged at positions {first} to {last}: {reason}")]
    Corrupt {
        /// The first position that cannot be trusted.
        first: Position,
        /// The last one.
        last: Position,
        /// What does not fit.
        reason: String,
    },
}

impl LogError {
    /// What a database error means for the person who reads it.
    pub(super) fn database(path: &Path, error: &rusqlite::Error) -> Self {
        let path = path.display();
        let text = match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => format!("the disk is full: {path} cannot grow"),
            Some(ErrorCode::ReadOnly) => format!("{path} is not writable: {error}"),
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
                format!("{path} is locked by another program for too long: {error}")
            }
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                format!(
                    "{path} is damaged ({error}); keep a copy of it, and restore a whole backup into a new \
                     folder (watchfire restore): a hot.db from another day does not fit the sealed segments"
                )
            }
            _ => format!("{path}: {error}"),
        };
        Self::Database(text)
    }

    /// A file that is not what was written.
    pub(super) fn broken(path: &Path, reason: impl Into<String>) -> Self {
        Self::Broken { path: path.to_owned(), reason: reason.into() }
    }

    /// A file error, with its path.
    pub(super) fn file(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File { path, source }
    }
}
