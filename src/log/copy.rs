//! A copy of the log, also while a daemon writes it.

use std::fs::{self, DirBuilder};
use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;

use super::segment::Shelf;
use super::{LogError, deletion, durable, hot};
use crate::event::Position;

/// Files that go along as they are, if they are there.
const ALONG: [&str; 2] = ["key", "key.pub"];
/// It only ever grows, so what was read of it first is not ahead of what is read of the logs afterwards.
const CHECKPOINTS: &str = "log/checkpoints.ndjson";
/// Sealed segments may be merged meanwhile, and then others have taken their place; or sealed beyond the end of the hot
/// part's copy. A later try only copies what came since.
const TRIES: usize = 10;

/// Copies the log of a data folder into another one, where there is none yet: all that was durable when it began. The
/// hot part is a snapshot of one moment; sealed segments do not change, and are linked where the file system can.
pub fn copy(dir: &Path, target: &Path) -> Result<(), LogError> {
    copy_beside(dir, target, &mut || ())
}

/// The same; `meanwhile` is called between the hot part and the segments.
fn copy_beside(dir: &Path, target: &Path, meanwhile: &mut dyn FnMut()) -> Result<(), LogError> {
    if !target.join(CHECKPOINTS).exists() {
        copy_checkpoints(dir, target)?;
    }
    let (from, to) = (dir.join("log/segments"), target.join("log/segments"));
    for _ in 0..TRIES {
        // A record stands before what it deletes: with none added meanwhile, those of before tell of all that is missing.
        let deletions = deletion::path(dir);
        let before = read_if_there(&deletions)?;
        let end = copy_hot(dir, target)?;
        meanwhile();
        // After the hot part: what is sealed meanwhile is in both, never in none.
        if copy_segments(&from, &to)? && !is_beyond(target, end)? && read_if_there(&deletions)? == before {
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

/// Copies the hot part, in place of an earlier copy; the last entry in it, past all others where there is none.
fn copy_hot(dir: &Path, target: &Path) -> Result<Position, LogError> {
    let Some(connection) = hot::open_to_read(dir)? else { return Ok(Position::MAX) };
    let path = hot::path(target);
    durable::remove(&path)?;
    // It only writes the copy; SQLite forbids even that where queries are all that is allowed.
    let copied = connection
        .pragma_update(None, "query_only", false)
        .and_then(|()| connection.execute("VACUUM INTO ?1", [path.to_string_lossy()]))
        .and_then(|_| hot::open_immutable(&path))
        .and_then(|copy| hot::end(&copy));
    copied.map(|(end, _)| end).map_err(|error| LogError::database(&path, &error))
}

/// Whether a copied segment has entries that the hot part's copy does not reach.
fn is_beyond(target: &Path, end: Position) -> Result<bool, LogError> {
    Ok(Shelf::new(target).everything()?.iter().any(|listed| listed.info.last > end))
}

/// False if a file went away meanwhile: its events are in another one now.
fn copy_segments(from: &Path, to: &Path) -> Result<bool, LogError> {
    let entries = match fs::read_dir(from) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(true),
        Err(error) => return Err(LogError::file(from)(error)),
    };
    DirBuilder::new().recursive(true).mode(0o700).create(to).map_err(LogError::file(to))?;
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::clock::Clock;
    use crate::event::Catalogue;
    use crate::log::appender::{Appender, Work};
    use crate::log::sealer::Worker;
    use crate::log::tests::{NOW, events};
    use crate::log::{LogOptions, Reader, SealOptions};

    #[test]
    fn a_copy_of_a_log_that_is_sealed_and_merged_meanwhile_is_whole() {
        let (dir, target) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        hot::make_folder(dir.path()).unwrap();
        let mut appender = Appender::open(dir.path(), LogOptions::default(), Clock::fixed(NOW)).unwrap();
        let options = SealOptions { seal_entries: 50, segment_entries: 700, ..SealOptions::default() };
        let mut worker = Worker::open(dir.path(), options, Arc::new(Catalogue::built_in())).unwrap();
        let (mut number, mut calls) = (0, 0);
        let mut busy = |appender: &mut Appender| {
            appender.commit(&[Work::Batch(events(number..number + 60))]).unwrap();
            number += 60;
            let upto = worker.seal(NOW, &mut || Ok(())).unwrap().unwrap();
            while appender.forget(upto).unwrap() {}
            while worker.merge(NOW, &mut || Ok(())).unwrap() {}
            worker.remove_replaced(NOW.minus(crate::time::Span::days(1))).unwrap();
        };
        busy(&mut appender);
        let mut meanwhile = || {
            calls += 1;
            if calls <= 3 {
                busy(&mut appender);
            }
        };
        copy_beside(dir.path(), target.path(), &mut meanwhile).unwrap();
        assert_eq!(calls, 4);
        let verified = Reader::open(target.path()).unwrap().verify().unwrap();
        assert_eq!(verified.entries, 240);
    }
}
