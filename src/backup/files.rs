//! The files of a backup and their digests.

use std::fs::{self, File};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::BackupError;
use crate::event::Position;

/// The list's file name.
pub(super) const NAME: &str = "backup.json";
/// The format of the list.
pub(super) const FORMAT: u32 = 1;

/// What a backup consists of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listing {
    /// The number of this layout.
    pub format: u32,
    /// When it was made; RFC 3339.
    pub made_at: String,
    /// The program's version that made it.
    pub version: String,
    /// The last entry of the log in it.
    pub position: Position,
    /// The chain of hashes after that entry, in hex.
    pub head: String,
    /// Every file but the list, by path.
    pub files: Vec<Listed>,
}

/// One file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listed {
    /// Below the folder, with slashes.
    pub path: String,
    /// Its length.
    pub bytes: u64,
    /// Of its content, in hex.
    pub blake3: String,
}

/// The files below a folder but the list, with their digests.
pub(super) fn list(folder: &Path) -> Result<Vec<Listed>, BackupError> {
    let mut open = vec![folder.to_owned()];
    let mut files = Vec::new();
    while let Some(here) = open.pop() {
        for entry in fs::read_dir(&here).map_err(BackupError::file(&here))? {
            let path = entry.map_err(BackupError::file(&here))?.path();
            if path.is_dir() {
                open.push(path);
            } else if path != folder.join(NAME) {
                files.push(digest(folder, &path)?);
            }
        }
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}

fn digest(folder: &Path, path: &Path) -> Result<Listed, BackupError> {
    let mut hasher = blake3::Hasher::new();
    let read = File::open(path).and_then(|file| hasher.update_reader(file).map(drop));
    read.map_err(BackupError::file(path))?;
    let below = path.strip_prefix(folder).unwrap_or(path);
    Ok(Listed {
        path: below.to_string_lossy().into_owned(),
        bytes: hasher.count(),
        blake3: hasher.finalize().to_hex().to_string(),
    })
}

/// Makes a folder that only its owner may enter; it may be there already if it is empty, and belongs to its owner alone
/// then as well.
pub(super) fn new_folder(path: &Path) -> Result<(), BackupError> {
    own_folder(path)?;
    let mut entries = fs::read_dir(path).map_err(BackupError::file(path))?;
    if entries.next().is_some() {
        return Err(BackupError::NotEmpty(path.to_owned()));
    }
    fs::set_permissions(path, fs::Permissions::from_mode(0o700)).map_err(BackupError::file(path))
}

/// Makes a folder that only its owner may enter, where there is none.
pub(super) fn own_folder(path: &Path) -> Result<(), BackupError> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(BackupError::file(path))
}

/// Puts a file's content onto the disk, not only into its cache.
pub(super) fn sync(path: &Path) -> Result<(), BackupError> {
    File::open(path).and_then(|file| file.sync_all()).map_err(BackupError::file(path))
}

/// Where the list is.
pub(super) fn list_path(folder: &Path) -> PathBuf {
    folder.join(NAME)
}
