//! What can go wrong with a backup.

use std::io;
use std::path::{Path, PathBuf};

use crate::log::LogError;
use crate::store::StoreError;

/// Why a backup could not be made, checked or restored.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// A file or folder could not be read or written.
    #[error("{}: {source}", .path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// There is something already.
    #[error("{} is not empty; choose a new folder", .0.display())]
    NotEmpty(PathBuf),
    /// There is nothing to back up, or it is no backup.
    #[error("{}", .0)]
    Nothing(String),
    /// The log could not be copied or read.
    #[error(transparent)]
    Log(#[from] LogError),
    /// Nor the control store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A file is not what was written.
    #[error("{} is not the file that was backed up: {reason}", .path.display())]
    Changed {
        /// Which.
        path: PathBuf,
        /// What differs.
        reason: String,
    },
}

impl BackupError {
    /// For `map_err`.
    pub(super) fn file(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File { path, source }
    }
}
