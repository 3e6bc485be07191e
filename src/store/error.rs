//! What can go wrong with the store.

use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;

/// Why the store could not be opened, read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database failed.
    #[error("{0}")]
    Database(String),
    /// The file, its folder or its disk takes no writes: full, read-only, or not ours.
    #[error("{file} is not writable: {reason}")]
    NotWritable {
        /// The database file.
        file: String,
        /// Why.
        reason: String,
    },
    /// Another program holds the database for longer than is worth waiting for.
    #[error("{file} is locked by another program; is a second daemon running on this folder?")]
    Locked {
        /// The database file.
        file: String,
    },
    /// A stored row cannot be read back.
    #[error("{what} in control.db is damaged: {reason}")]
    Corrupt {
        /// Which row: `alert 01ab…`.
        what: String,
        /// What does not fit.
        reason: String,
    },
    /// Written by a newer Watchfire, or opened to read before an older file was brought up to date.
    #[error("{} has format {found}, this program has {known}; {}", .path.display(), advice(*found, *known))]
    Version {
        /// The database.
        path: PathBuf,
        /// Its format number.
        found: i64,
        /// The number of this program's format.
        known: i64,
    },
    /// There is no such row.
    #[error("there is no {what}")]
    Unknown {
        /// Which row: `delivery 01ab…`.
        what: String,
    },
    /// It does not go together with what is there.
    #[error("{what}")]
    Conflict {
        /// What is in the way, and what to do.
        what: String,
    },
    /// It was changed since whoever wants to change it has seen it.
    #[error("{what}: look again")]
    Outdated {
        /// What was changed, by whom.
        what: String,
    },
}

const fn advice(found: i64, known: i64) -> &'static str {
    if found > known { "use a newer program" } else { "start the daemon once, which updates it" }
}

impl StoreError {
    /// What a database error means for the person who reads it.
    pub(super) fn database(file: &str, error: &rusqlite::Error) -> Self {
        let file = file.to_owned();
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::NotWritable { file, reason: "the disk is full".to_owned() },
            Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
                Self::NotWritable { file, reason: error.to_string() }
            }
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Locked { file },
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::Database(format!(
                "{file} is damaged ({error}); keep a copy of it, and put a backup in its place. Without this file \
                 everything is judged anew from the log, and delivered again with the same keys"
            )),
            _ => Self::Database(format!("{file}: {error}")),
        }
    }

    /// The same for errors at opening, with the whole path.
    pub(super) fn opening(path: &Path) -> impl FnOnce(rusqlite::Error) -> Self {
        let file = path.display().to_string();
        move |error| Self::database(&file, &error)
    }

    /// A row that cannot be read back.
    pub(super) fn corrupt(what: impl Into<String>, reason: impl std::fmt::Display) -> Self {
        Self::Corrupt { what: what.into(), reason: reason.to_string() }
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        Self::database("control.db", &error)
    }
}
