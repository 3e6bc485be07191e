//! Files that are there whole or not at all: written under another name, synced, renamed, the folder synced.

use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use super::LogError;

/// What ends with this is half made; whoever finds it when nobody makes it may remove it.
pub(super) const TEMPORARY: &str = "tmp";

/// The name under which a file is made, in the folder where it will be.
pub(super) fn temporary(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".");
    name.push(TEMPORARY);
    path.with_file_name(name)
}

/// Writes a file that only its owner may read; what stood there before is replaced at once.
pub(super) fn write(path: &Path, bytes: &[u8]) -> Result<(), LogError> {
    let temporary = temporary(path);
    let written = || {
        let mut options = OpenOptions::new();
        let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()
    };
    if let Err(error) = written() {
        // A full disk: what was written so far takes room for nothing.
        drop(fs::remove_file(&temporary));
        return Err(LogError::file(path)(error));
    }
    rename(&temporary, path)
}

/// Gives a synced file its name for good.
pub(super) fn rename(from: &Path, to: &Path) -> Result<(), LogError> {
    fs::rename(from, to).map_err(LogError::file(to))?;
    sync_folder(to)
}

/// Removes a file for good; one that is gone already is fine.
pub(super) fn remove(path: &Path) -> Result<(), LogError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(LogError::file(path)(error)),
        _ => Ok(()),
    }
}

/// Cuts off an unfinished line that a crash left.
pub(super) fn cut_unfinished(path: &Path) -> Result<(), LogError> {
    let cut = || {
        let mut file = OpenOptions::new().read(true).write(true).open(path)?;
        if cut_end(&mut file)? { file.sync_all() } else { Ok(()) }
    };
    cut().map_err(LogError::file(path))
}

/// True if there was something to cut off.
fn cut_end(file: &mut File) -> std::io::Result<bool> {
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    let whole = memchr::memrchr(b'\n', &bytes).map_or(0, |end| end + 1);
    if whole < bytes.len() {
        file.set_len(whole as u64)?;
    }
    Ok(whole < bytes.len())
}

/// Appends a line and syncs it. An unfinished line that a crash left is cut off first.
pub(super) fn append_line(path: &Path, line: &str) -> Result<(), LogError> {
    let is_new = !path.exists();
    let appended = || {
        let mut options = OpenOptions::new();
        let mut file = options.append(true).read(true).create(true).mode(0o600).open(path)?;
        cut_end(&mut file)?;
        file.write_all(format!("{line}\n").as_bytes())?;
        file.sync_all()
    };
    appended().map_err(LogError::file(path))?;
    if is_new { sync_folder(path) } else { Ok(()) }
}

/// The last line must have been written to its end; a file that is not there has none.
pub(super) fn check_end(path: &Path) -> Result<(), LogError> {
    let bytes = match fs::read(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        bytes => bytes.map_err(LogError::file(path))?,
    };
    if bytes.last().is_none_or(|byte| *byte == b'\n') {
        return Ok(());
    }
    let reason = "the last line has no end: it was changed, or a crash came while it was written (the next start mends that)";
    Err(LogError::broken(path, reason))
}

/// Syncs the folder in which a file is, so that its name lasts.
pub(super) fn sync_folder(path: &Path) -> Result<(), LogError> {
    let folder = path.parent().unwrap_or(Path::new("."));
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(LogError::file(folder))
}
