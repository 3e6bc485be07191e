//! The database under the log: `DIR/log/hot.db`, one table of blocks.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::LogError;

/// The format of the database, in `user_version`.
const VERSION: i64 = 1;

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
        keys         BLOB NOT NULL,
        bytes        BLOB NOT NULL
    ) STRICT;
    PRAGMA user_version = 1;";

/// After a burst the write-ahead log is cut back to this many bytes.
const WAL_BYTES_KEPT: i64 = 64 << 20;
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

/// The connection that writes; makes the database where there is none. SQLite's own page size (4 KiB) and
/// checkpoint (at 4 MiB) are kept: larger ones store no faster and make the longest wait longer.
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
        pragma("journal_size_limit", &WAL_BYTES_KEPT)
    };
    prepare().map_err(failed)?;
    check_version(&connection, &path)?;
    connection.execute_batch(SCHEMA).map_err(failed)?;
    Ok(connection)
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

fn open_immutable(path: &Path) -> rusqlite::Result<Connection> {
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
    if found > VERSION {
        return Err(LogError::Version { path: path.to_owned(), found, known: VERSION });
    }
    Ok(found)
}
