//! A copy of the log, also while a daemon writes it.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use super::{LogError, deletion, durable, hot};

/// Files that go along as they are, if they are there: they only ever grow, so what was read of them first is not
/// ahead of what is read of the logs afterwards.
const ALONG: [&str; 2] = ["key", "key.pub"];
const CHECKPOINTS: &str = "log/checkpoints.ndjson";
/// Sealed segments may be merged meanwhile, and then others have taken their place.
const TRIES: usize = 10;

/// Copies the log of a data folder into another one, where there is none yet: all that was durable when it began. The
/// hot part is a snapshot of one moment; sealed segments do not change, and are linked where the file system can.
pub fn copy(dir: &Path, target: &Path) -> Result<(), LogError> {
    if !target.join(CHECKPOINTS).exists() {
        copy_checkpoints(dir, target)?;
    }
    if let Some(connection) = hot::open_to_read(dir)? {
        let path = hot::path(target);
        // It only writes the copy; SQLite forbids even that where queries are all that is allowed.
        let copied = connection
            .pragma_update(None, "query_only", false)
            .and_then(|()| connection.execute("VACUUM INTO ?1", [path.to_string_lossy()]));
        copied.map_err(|error| LogError::database(&path, &error))?;
    }
    // After the hot part: what is sealed meanwhile is in both, never in none.
    let (from, to) = (dir.join("log/segments"), target.join("log/segments"));
    for _ in 0..TRIES {
        // A record stands before what it deletes: with none added meanwhile, those of before tell of all that is missing.
        let deletions = deletion::path(dir);
        let before = read_if_there(&deletions)?;
        if copy_segments(&from, &to)? && read_if_there(&deletions)? == before {
            return match before {
                Some(bytes) => durable::write(&deletion::path(target), &bytes),
                None => Ok(()),
            };
        }
    }
    Err(LogError::Database(format!("{}: segments change faster than they can be copied", from.display())))
}

/// Copies the checkpoints and the key. Before everything that they speak of: before [`copy`], and before the audit log.
pub fn copy_checkpoints(dir: &Path, target: &Path) -> Result<(), LogError> {
    hot::make_folder(target)?;
    for name in ALONG {
        copy_if_there(&dir.join(name), &target.join(name))?;
    }
    let (from, to) = (dir.join(CHECKPOINTS), target.join(CHECKPOINTS));
    match fs::read(&from) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(LogError::file(&from)(error)),
        Ok(mut bytes) => {
            // One that is being written goes into the next copy.
            bytes.truncate(memchr::memrchr(b'\n', &bytes).map_or(0, |end| end + 1));
            durable::write(&to, &bytes)
        }
    }
}

/// False if a file went away meanwhile: its events are in another one now.
fn copy_segments(from: &Path, to: &Path) -> Result<bool, LogError> {
    let entries = match fs::read_dir(from) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(true),
        Err(error) => return Err(LogError::file(from)(error)),
    };
    fs::create_dir_all(to).map_err(LogError::file(to))?;
    for entry in entries {
        let entry = entry.map_err(LogError::file(from))?;
        let target = to.join(entry.file_name());
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let is_sealed = [".db", ".json", ".next"].iter().any(|ending| name.ends_with(ending));
        if is_sealed && !target.exists() && !link(&entry.path(), &target)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Links or copies; false if the file is not there any more.
fn link(from: &Path, to: &Path) -> Result<bool, LogError> {
    if fs::hard_link(from, to).is_ok() {
        return Ok(true);
    }
    copy_if_there(from, to)
}

fn read_if_there(path: &Path) -> Result<Option<Vec<u8>>, LogError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(LogError::file(path)(error)),
    }
}

fn copy_if_there(from: &Path, to: &Path) -> Result<bool, LogError> {
    match fs::copy(from, to) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(LogError::file(from)(error)),
    }
}
