//! Making a backup.

use std::fs;
use std::path::Path;

use super::BackupError;
use super::files::{self, FORMAT, Listing};
use crate::log::{self, Hex, Reader, VerifyOptions};
use crate::store;
use crate::time::Timestamp;

/// Copies what is in a data folder into a new one, checks the copy's chain, and lists its files. A daemon may run on
/// the data folder meanwhile; what it stores after this began may or may not be in the copy.
pub fn make(dir: &Path, target: &Path, at: Timestamp) -> Result<Listing, BackupError> {
    if !dir.join("log").is_dir() {
        return Err(BackupError::Nothing(format!("{} has no log; is it the data folder?", dir.display())));
    }
    files::new_folder(target)?;
    log::copy_checkpoints(dir, target)?;
    store::copy(dir, target)?;
    log::copy(dir, target)?;
    let verified = Reader::open(target)?.verify_with(&VerifyOptions::default())?;
    let listing = Listing {
        format: FORMAT,
        made_at: at.to_string(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        position: verified.entries,
        head: Hex(verified.head).to_string(),
        files: files::list(target)?,
    };
    for file in &listing.files {
        files::sync(&target.join(&file.path))?;
    }
    let path = files::list_path(target);
    let text = serde_json::to_string_pretty(&listing).unwrap_or_default() + "\n";
    fs::write(&path, text).map_err(BackupError::file(&path))?;
    files::sync(&path)?;
    files::sync(target)?;
    Ok(listing)
}
