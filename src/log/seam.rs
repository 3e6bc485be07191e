//! Where the sealed segments end, the hot end must go on. A `hot.db` that is older than the segments, new, or another
//! log's would give positions a second time, and what it stored would be taken for what is sealed, and removed.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension as _};

use super::deletion::Gone;
use super::row::{GENESIS, Head};
use super::segment::{Listed, Shelf};
use super::{LogError, hot};
use crate::event::Position;

/// Refuses a data folder whose hot end does not belong to its segments; nothing was changed then. Also segments whose
/// manifest cannot be read must not reach further than the hot end.
pub(super) fn check(dir: &Path) -> Result<(), LogError> {
    let connection = hot::open_to_read(dir)?;
    let all = Shelf::new(dir).everything()?;
    let end = ends(dir, connection.as_ref())?.1;
    // Also those that retention has removed: their positions are not given again.
    let mut gone = Gone::default();
    gone.refresh(dir)?;
    let gone = gone.ranges().last().map(|range| range.positions.1);
    let last = all.iter().map(|listed| listed.info.last).max().max(gone);
    if let Some(beyond) = last.filter(|last| *last > end) {
        return Err(foreign(dir, beyond, connection.as_ref()));
    }
    check_last(dir, connection.as_ref(), all.iter().map(AsRef::as_ref))
}

/// The same of segments that are listed already.
pub(super) fn check_last<'a>(
    dir: &Path,
    connection: Option<&Connection>,
    listed: impl Iterator<Item = &'a Listed>,
) -> Result<(), LogError> {
    let Some(manifest) =
        listed.filter_map(|listed| listed.manifest.as_ref()).max_by_key(|manifest| manifest.last)
    else {
        return Ok(());
    };
    let (base, _) = ends(dir, connection)?;
    // Where entries before the base are missing, that is damage which is told elsewhere, and nothing is removed.
    if manifest.last < base.0 {
        return Ok(());
    }
    let head = if manifest.last == base.0 { Some(base.1) } else { head_at(dir, connection, manifest.last)? };
    if head == Some(manifest.head_after.0) { Ok(()) } else { Err(foreign(dir, manifest.last, connection)) }
}

/// The last entry that the hot end has no more and the chain after it, and the last entry of all.
fn ends(dir: &Path, connection: Option<&Connection>) -> Result<((Position, Head), Position), LogError> {
    let Some(connection) = connection else { return Ok(((0, GENESIS), 0)) };
    let read = || Ok((hot::base(connection)?, hot::end(connection)?.0));
    read().map_err(|error| LogError::database(&hot::path(dir), &error))
}

/// The chain after the hot block that ends here.
fn head_at(dir: &Path, connection: Option<&Connection>, last: Position) -> Result<Option<Head>, LogError> {
    let Some(connection) = connection else { return Ok(None) };
    let read = || {
        let sql = "SELECT head FROM block WHERE first <= ?1 AND last = ?1 ORDER BY first DESC LIMIT 1";
        connection.prepare_cached(sql)?.query_row([last.cast_signed()], |row| row.get(0)).optional()
    };
    read().map_err(|error| LogError::database(&hot::path(dir), &error))
}

fn foreign(dir: &Path, sealed: Position, connection: Option<&Connection>) -> LogError {
    let has = match connection.map(|connection| (hot::base(connection), hot::end(connection))) {
        None => "it is missing".to_owned(),
        Some((Ok(base), Ok(end))) if end.0 > base.0 => {
            format!("it has the entries {} to {}", base.0 + 1, end.0)
        }
        Some(_) => "it is empty".to_owned(),
    };
    let reason = format!(
        "this is not the end of the log whose sealed segments go up to entry {sealed}: {has}. Was it taken away, made \
         anew, or put here from a backup alone? Nothing was changed. Put the hot.db back that belongs to these segments, \
         or restore the whole backup into a new folder (watchfire restore): a part of one does not do"
    );
    LogError::broken(&hot::path(dir), reason)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tempfile::TempDir;

    use super::*;
    use crate::clock::Clock;
    use crate::event::Catalogue;
    use crate::log::appender::{Appender, Work};
    use crate::log::sealer::Worker;
    use crate::log::segment::folder;
    use crate::log::tests::{NOW, events, read_all};
    use crate::log::{Log, LogOptions, Reader, SealOptions};

    fn worker(dir: &Path) -> Result<Worker, LogError> {
        let options = SealOptions { seal_entries: 50, ..SealOptions::default() };
        Worker::open(dir, options, Arc::new(Catalogue::built_in()))
    }

    fn append(dir: &Path, numbers: std::ops::Range<u64>) {
        let mut appender = Appender::open(dir, LogOptions::default(), Clock::fixed(NOW)).unwrap();
        appender.commit(&[Work::Batch(events(numbers))]).unwrap();
    }

    fn seal(dir: &Path) {
        let mut appender = Appender::open(dir, LogOptions::default(), Clock::fixed(NOW)).unwrap();
        let upto = worker(dir).unwrap().seal(NOW, &mut || Ok(())).unwrap().unwrap();
        while appender.forget(upto).unwrap() {}
    }

    fn copy_hot(from: &Path, to: &Path) {
        let connection = hot::open_to_read(from).unwrap().unwrap();
        connection.pragma_update(None, "query_only", false).unwrap();
        drop(std::fs::remove_file(to));
        connection.execute("VACUUM INTO ?1", [to.to_string_lossy()]).unwrap();
    }

    fn put_hot(dir: &Path, from: Option<&Path>) {
        let path = hot::path(dir);
        for extension in ["db", "db-wal", "db-shm"] {
            drop(std::fs::remove_file(path.with_extension(extension)));
        }
        from.map(|from| std::fs::copy(from, path).unwrap());
    }

    fn names(dir: &TempDir) -> Vec<String> {
        let entries = std::fs::read_dir(folder(dir.path())).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// Sealed up to 200, and what the hot end was when that went up to 100 and it had 50 more.
    fn store() -> (TempDir, std::path::PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        hot::make_folder(dir.path()).unwrap();
        append(dir.path(), 0..100);
        seal(dir.path());
        append(dir.path(), 100..150);
        let old = dir.path().join("yesterday.db");
        copy_hot(dir.path(), &old);
        append(dir.path(), 150..200);
        seal(dir.path());
        (dir, old)
    }

    #[test]
    fn a_hot_end_that_is_not_the_segments_own_is_refused_and_nothing_is_removed() {
        let (dir, old) = store();
        let before = names(&dir);
        for hot in [Some(old.as_path()), None] {
            put_hot(dir.path(), hot);
            for refused in [
                Log::open(dir.path(), LogOptions::default(), Clock::fixed(NOW)).map(drop).unwrap_err(),
                worker(dir.path()).map(drop).unwrap_err(),
            ] {
                let text = refused.to_string();
                assert!(text.contains("hot.db") && text.contains("restore the whole backup"), "{text}");
                assert!(text.contains("up to entry 200"), "{text}");
            }
            assert_eq!(names(&dir), before);
        }
    }

    #[test]
    fn what_was_stored_over_sealed_positions_is_not_removed() {
        let (dir, old) = store();
        // The file is exchanged below a running daemon, which looks into it only afterwards and goes on past what is
        // sealed.
        let mut running = worker(dir.path()).unwrap().blind();
        put_hot(dir.path(), Some(&old));
        append(dir.path(), 1000..1100);
        assert!(running.seal(NOW, &mut || Ok(())).unwrap_err().to_string().contains("hot.db"));
        assert_eq!(hot::end(&hot::open_to_read(dir.path()).unwrap().unwrap()).unwrap().0, 250);
        assert!(worker(dir.path()).is_err());
        assert!(Log::open(dir.path(), LogOptions::default(), Clock::fixed(NOW)).is_err());
    }

    #[test]
    fn a_segment_whose_manifest_cannot_be_read_is_kept_and_holds_its_positions() {
        let (dir, old) = store();
        let manifest = folder(dir.path()).join(names(&dir).pop().unwrap());
        assert!(manifest.ends_with("00000000000000000101-00000000000000000200.json"), "{manifest:?}");
        std::fs::write(&manifest, "{}").unwrap();
        put_hot(dir.path(), Some(&old));
        let before = names(&dir);
        assert!(worker(dir.path()).is_err());
        assert!(Log::open(dir.path(), LogOptions::default(), Clock::fixed(NOW)).is_err());
        // Even where the hot end reaches as far.
        append(dir.path(), 1000..1100);
        drop(worker(dir.path()).unwrap());
        assert_eq!(names(&dir), before);
    }

    #[test]
    fn a_hot_end_from_before_what_was_sealed_was_removed_from_it_is_fine() {
        let dir = tempfile::tempdir().unwrap();
        hot::make_folder(dir.path()).unwrap();
        append(dir.path(), 0..100);
        let whole = dir.path().join("whole.db");
        copy_hot(dir.path(), &whole);
        seal(dir.path());
        put_hot(dir.path(), Some(&whole));
        let mut again = worker(dir.path()).unwrap();
        assert_eq!(again.seal(NOW, &mut || Ok(())).unwrap(), Some(100));
        drop(Log::open(dir.path(), LogOptions::default(), Clock::fixed(NOW)).unwrap());
        assert_eq!(read_all(&mut Reader::open(dir.path()).unwrap(), 30).len(), 100);
    }
}
