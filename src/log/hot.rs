//! The hot end of the log: `DIR/log/hot.db`, a table of blocks and where they begin.
//!
//! The file never shrinks: it stays as large as the largest rest that was not sealed yet, and its free pages are used again.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, OptionalExtension as _};

use super::LogError;
use super::row::Head;
use crate::event::Position;

/// The format of the database, in `user_version`.
const VERSION: i64 = 3;

/// `base`: the last entry that is not here any more since it is in a sealed segment, and the chain after it.
/// `sum`: CRC-32 of the columns beside `bytes`, which have one of their own.
/// The small columns stand first: a scan over times must not walk through the overflow pages of `bytes`.
const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS block (
        first        INTEGER PRIMARY KEY,
        last         INTEGER NOT NULL,
        time_min     INTEGER NOT NULL,
        time_max     INTEGER NOT NULL,
        received_max INTEGER NOT NULL,
        kinds        INTEGER NOT NULL,
        head         BLOB NOT NULL,
        sum          INTEGER NOT NULL,
        keys         BLOB NOT NULL,
        marks        BLOB NOT NULL,
        bytes        BLOB NOT NULL
    ) STRICT;
    CREATE TABLE IF NOT EXISTS base (
        id       INTEGER PRIMARY KEY CHECK (id = 0),
        position INTEGER NOT NULL,
        head     BLOB NOT NULL
    ) STRICT;
    INSERT OR IGNORE INTO base VALUES (0, 0, zeroblob(32));
    PRAGMA user_version = 3;";

/// After so many pages, 64 MiB, whoever commits carries them over into the database himself; usually most of it is done
/// by then, see [`super::backfill`]. A log that was once so long is written anew from its beginning, which costs the
/// file system less than one that grows.
pub(super) const WAL_PAGES_MAX: i64 = 16_384;
/// After a burst the write-ahead log is cut back to this many bytes.
const WAL_BYTES_KEPT: i64 = WAL_PAGES_MAX << 12;
/// How long to wait for a program that holds the database, such as a reader that cleans up as it leaves.
const BUSY: Duration = Duration::from_secs(5);

/// Where the database is.
pub(super) fn path(dir: &Path) -> PathBuf {
    dir.join("log").join("hot.db")
}

/// Makes the folder for it, which only its owner may enter.
pub(super) fn make_folder(dir: &Path) -> Result<(), LogError> {
    let folder = dir.join("log");
    DirBuilder::new().recursive(true).mode(0o700).create(&folder).map_err(LogError::file(&folder))
}

/// A connection that writes; makes the database where there is none. SQLite's own page size (4 KiB) is kept: larger ones
/// store no faster.
pub(super) fn open_to_write(dir: &Path) -> Result<Connection, LogError> {
    let path = path(dir);
    let failed = |error: rusqlite::Error| LogError::database(&path, &error);
    let flags =
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(&path, flags).map_err(failed)?;
    let pragma = |name: &str, value: &dyn rusqlite::ToSql| connection.pragma_update(None, name, value);
    let prepare = || {
        connection.busy_timeout(BUSY)?;
        pragma("journal_mode", &"WAL")?;
        pragma("synchronous", &"FULL")?;
        pragma("wal_autocheckpoint", &WAL_PAGES_MAX)?;
        pragma("journal_size_limit", &WAL_BYTES_KEPT)
    };
    prepare().map_err(failed)?;
    if check_version(&connection, &path)? == 0 {
        connection.execute_batch(&format!("BEGIN IMMEDIATE; {SCHEMA} COMMIT;")).map_err(failed)?;
    }
    Ok(connection)
}

/// The last entry that is only in sealed segments, and the chain after it.
pub(super) fn base(connection: &Connection) -> rusqlite::Result<(Position, Head)> {
    let mut statement = connection.prepare_cached("SELECT position, head FROM base")?;
    // Exactly one row: a page that claims more is damaged.
    statement.query_one([], |row| Ok((row.get::<_, i64>(0)?.cast_unsigned(), row.get(1)?)))
}

/// The last entry of the log, and the chain after it.
pub(super) fn end(connection: &Connection) -> rusqlite::Result<(Position, Head)> {
    let mut statement =
        connection.prepare_cached("SELECT last, head FROM block ORDER BY first DESC LIMIT 1")?;
    let last = statement
        .query_row([], |row| Ok((row.get::<_, i64>(0)?.cast_unsigned(), row.get::<_, Head>(1)?)))
        .optional()?;
    match last {
        Some(end) => Ok(end),
        None => base(connection),
    }
}

/// A connection that only reads; `None` while there is no log.
///
/// Beside a daemon, or where the folder may be written, SQLite shares the write-ahead log's index. Where it
/// may not and no daemon runs, nothing changes the file, so it is read as it is.
pub(super) fn open_to_read(dir: &Path) -> Result<Option<Connection>, LogError> {
    let path = path(dir);
    if !path.try_exists().map_err(LogError::file(&path))? {
        return Ok(None);
    }
    let shared = open_shared(&path);
    let connection = match shared {
        Ok(connection) => connection,
        Err(error) if path.with_extension("db-wal").exists() => {
            return Err(LogError::database(&path, &error));
        }
        Err(_) => open_immutable(&path).map_err(|error| LogError::database(&path, &error))?,
    };
    if check_version(&connection, &path)? == 0 {
        return Ok(None);
    }
    Ok(Some(connection))
}

fn open_shared(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY)?;
    connection.pragma_update(None, "query_only", true)?;
    // Opening touches no file yet; the first read does.
    connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
    Ok(connection)
}

/// Opens a file that nobody changes.
pub(super) fn open_immutable(path: &Path) -> rusqlite::Result<Connection> {
    let flags =
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let escaped = path.to_string_lossy().replace('%', "%25").replace('?', "%3f").replace('#', "%23");
    Connection::open_with_flags(format!("file:{escaped}?immutable=1"), flags)
}

/// The format number; 0 when the table is not there yet.
fn check_version(connection: &Connection, path: &Path) -> Result<i64, LogError> {
    let found: i64 = connection
        .pragma_query_value(None, "user_version", |row| row.get(0))
        .map_err(|error| LogError::database(path, &error))?;
    if found != 0 && found < VERSION {
        return Err(LogError::Old { path: path.to_owned(), found, known: VERSION });
    }
    if found > VERSION {
        return Err(LogError::Version { path: path.to_owned(), found, known: VERSION });
    }
    Ok(found)
}
