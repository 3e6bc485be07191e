//! Checking a backup, and the way back.

use std::fs;
use std::path::Path;

use super::BackupError;
use super::files::{self, FORMAT, Listed, Listing};
use crate::log::{Hex, Reader, VerifyOptions};

/// Compares every file of a backup with its digest, and the log's chain with the head that was noted.
pub fn check(backup: &Path) -> Result<Listing, BackupError> {
    let path = files::list_path(backup);
    let text = fs::read_to_string(&path).map_err(|error| {
        BackupError::Nothing(format!(
            "{} is no finished backup: {}: {error}",
            backup.display(),
            path.display()
        ))
    })?;
    let listing: Listing = serde_json::from_str(&text)
        .map_err(|error| BackupError::Nothing(format!("{} cannot be read: {error}", path.display())))?;
    if listing.format != FORMAT {
        let (found, known) = (listing.format, FORMAT);
        let message = format!("{} has format {found}, this program knows {known}", path.display());
        return Err(BackupError::Nothing(message));
    }
    let found = files::list(backup)?;
    for listed in &listing.files {
        let changed = |reason: &str| BackupError::Changed {
            path: backup.join(&listed.path),
            reason: reason.to_owned(),
        };
        let file = found.iter().find(|file| file.path == listed.path).ok_or_else(|| changed("it is gone"))?;
        if file != listed {
            return Err(changed("its content differs"));
        }
    }
    if let Some(extra) = found.iter().find(|file| !is_known(&listing, file)) {
        return Err(BackupError::Changed {
            path: backup.join(&extra.path),
            reason: "it was not there then".to_owned(),
        });
    }
    // What is in the files is what was signed; what this program would make of the events is no matter here.
    let verified = Reader::open(backup)?.verify_with(&VerifyOptions::default())?;
    let head = Hex(verified.head).to_string();
    if (verified.entries, &head) != (listing.position, &listing.head) {
        let reason = format!("its log ends at {} with the head {head}", verified.entries);
        return Err(BackupError::Changed { path: path.clone(), reason });
    }
    Ok(listing)
}

/// What reading a database leaves beside it is no part of a backup, and does no harm.
fn is_known(listing: &Listing, file: &Listed) -> bool {
    let is_trace = file.path.ends_with("-shm") || file.path.ends_with("-wal") && file.bytes == 0;
    is_trace || listing.files.iter().any(|listed| listed.path == file.path)
}

/// Checks a backup and copies it into a data folder that is new or empty.
pub fn restore(backup: &Path, dir: &Path) -> Result<Listing, BackupError> {
    let listing = check(backup)?;
    files::new_folder(dir)?;
    for listed in &listing.files {
        let (from, to) = (backup.join(&listed.path), dir.join(&listed.path));
        if let Some(parent) = to.parent() {
            files::own_folder(parent)?;
        }
        fs::copy(&from, &to).map_err(BackupError::file(&from))?;
        files::sync(&to)?;
    }
    if files::list(dir)? != listing.files {
        let reason = "what was written differs from what was read".to_owned();
        return Err(BackupError::Changed { path: dir.to_owned(), reason });
    }
    Ok(listing)
}
