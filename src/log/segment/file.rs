//! The tables of a segment's file, while it is made.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags, ToSql, params};
use rustc_hash::FxHashMap;

use super::dictionary::Dictionary;
use super::manifest::FORMAT;
use super::open::StoredBlock;
use super::{Pace, Positions, bias};
use crate::event::Catalogue;
use crate::index::{self, Term};
use crate::log::row::Head;
use crate::log::{LogError, durable};

/// Smaller than SQLite's own page size: half a page is lost for each block.
const PAGE: i64 = 1024;
/// So much of the file is kept in memory while it is made.
const CACHE_KIB: i64 = 16 << 10;
/// So many 8-byte keys fill one page.
pub(super) const KEYS_IN_CHUNK: usize = 120;

const SCHEMA: &str = "
    CREATE TABLE meta (key TEXT PRIMARY KEY, value ANY NOT NULL) STRICT, WITHOUT ROWID;
    CREATE TABLE dictionary (
        id      INTEGER PRIMARY KEY,
        entries INTEGER NOT NULL,
        plain   INTEGER NOT NULL,
        packed  INTEGER NOT NULL,
        bytes   BLOB NOT NULL
    ) STRICT;
    CREATE TABLE block (
        first        INTEGER PRIMARY KEY,
        last         INTEGER NOT NULL,
        time_min     INTEGER NOT NULL,
        time_max     INTEGER NOT NULL,
        received_max INTEGER NOT NULL,
        kinds        INTEGER NOT NULL,
        head         BLOB NOT NULL,
        times        BLOB NOT NULL,
        marks        BLOB NOT NULL,
        dictionary   INTEGER NOT NULL,
        bytes        BLOB NOT NULL
    ) STRICT;
    CREATE TABLE key (first INTEGER PRIMARY KEY, keys BLOB NOT NULL) STRICT;
    CREATE TABLE term (
        field    INTEGER NOT NULL,
        value    BLOB NOT NULL,
        count    INTEGER NOT NULL,
        postings ANY NOT NULL,
        PRIMARY KEY (field, value)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE list (id INTEGER PRIMARY KEY, postings BLOB NOT NULL) STRICT;";

/// Lists from this length on stand in a table of their own, each once: an author's name, its words and the id have the
/// same events.
const LIST_BYTES: usize = 48;

/// A segment's file in the making, loosely filled; [`Loose::pack`] makes the final one of it.
pub(super) struct Loose {
    connection: Connection,
    path: PathBuf,
    /// The numbers of the long lists, by their digests.
    lists: FxHashMap<[u8; 16], i64>,
}

impl Loose {
    /// Under a name of its own beside the final one. What was left there is removed.
    pub(super) fn create(packed: &Path, positions: Positions, head_before: &Head) -> Result<Self, LogError> {
        let path = packed.with_extension(format!("loose.{}", durable::TEMPORARY));
        durable::remove(packed)?;
        durable::remove(&path)?;
        let connection = open(&path).map_err(|error| {
            drop(durable::remove(&path));
            LogError::database(&path, &error)
        })?;
        let own = Self { connection, path, lists: FxHashMap::default() };
        let put = |key: &str, value: &dyn ToSql| {
            own.connection.execute("INSERT INTO meta VALUES (?1, ?2)", params![key, value]).map(drop)
        };
        put("format", &FORMAT)
            .and_then(|()| put("first", &positions.0.cast_signed()))
            .and_then(|()| put("last", &positions.1.cast_signed()))
            .and_then(|()| put("head_before", head_before))
            .and_then(|()| put("index", &index::VERSION))
            .and_then(|()| put("catalogue", &Catalogue::digest()))
            .map_err(|error| own.failed(&error))?;
        Ok(own)
    }

    fn failed(&self, error: &rusqlite::Error) -> LogError {
        LogError::database(&self.path, error)
    }

    pub(super) fn dictionary(&self, number: i64, dictionary: &Dictionary) -> Result<(), LogError> {
        dictionary.insert(&self.connection, number).map_err(|error| self.failed(&error))
    }

    pub(super) fn block(&self, block: &StoredBlock) -> Result<(), LogError> {
        let inserted = self
            .connection
            .prepare_cached("INSERT INTO block VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)")
            .and_then(|mut statement| {
                statement.execute(params![
                    block.positions.0.cast_signed(),
                    block.positions.1.cast_signed(),
                    block.times.0,
                    block.times.1,
                    block.received_max,
                    block.kinds,
                    block.head,
                    block.event_times,
                    block.marks,
                    block.dictionary,
                    block.bytes,
                ])
            });
        inserted.map(drop).map_err(|error| self.failed(&error))
    }

    /// All keys, in order.
    pub(super) fn keys(&self, keys: &[u64]) -> Result<(), LogError> {
        let insert = || -> rusqlite::Result<()> {
            let mut statement = self.connection.prepare("INSERT OR IGNORE INTO key VALUES (?1, ?2)")?;
            for chunk in super::open::chunks(keys) {
                let bytes: Vec<u8> = chunk.iter().flat_map(|key| key.to_le_bytes()).collect();
                statement.execute(params![chunk.first().map(|key| bias(*key)), bytes])?;
            }
            Ok(())
        };
        insert().map_err(|error| self.failed(&error))
    }

    pub(super) fn term(&mut self, term: &Term) -> Result<(), LogError> {
        let list = if term.postings.len() < LIST_BYTES { None } else { Some(self.list(&term.postings)?) };
        let postings: &dyn ToSql = list.as_ref().map_or(&term.postings as &dyn ToSql, |list| list);
        let inserted = self.connection.prepare_cached("INSERT INTO term VALUES (?1, ?2, ?3, ?4)").and_then(
            |mut statement| statement.execute(params![term.field, term.value.as_ref(), term.count, postings]),
        );
        inserted.map(drop).map_err(|error| self.failed(&error))
    }

    /// The number of a long list, which is written when it is new.
    fn list(&mut self, postings: &[u8]) -> Result<i64, LogError> {
        let mut digest = [0; 16];
        blake3::Hasher::new().update(postings).finalize_xof().fill(&mut digest);
        if let Some(number) = self.lists.get(&digest) {
            return Ok(*number);
        }
        let inserted = self
            .connection
            .prepare_cached("INSERT INTO list (postings) VALUES (?1)")
            .and_then(|mut statement| statement.insert([postings]));
        let number = inserted.map_err(|error| self.failed(&error))?;
        self.lists.insert(digest, number);
        Ok(number)
    }

    /// Writes all of it once more, without gaps.
    pub(super) fn pack(&self, packed: &Path, pace: &mut Pace<'_>) -> Result<(), LogError> {
        self.connection.execute_batch("COMMIT").map_err(|error| self.failed(&error))?;
        pace()?;
        let target = packed.to_string_lossy();
        let vacuumed = self.connection.execute("VACUUM INTO ?1", [&target]);
        vacuumed.map(drop).map_err(|error| self.failed(&error))
    }
}

impl Drop for Loose {
    fn drop(&mut self) {
        drop(durable::remove(&self.path));
    }
}

/// Nobody else sees the file, and it is thrown away after a crash: neither a journal nor syncs are needed.
fn open(path: &Path) -> rusqlite::Result<Connection> {
    let flags =
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.pragma_update(None, "page_size", PAGE)?;
    connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
    connection.pragma_update(None, "auto_vacuum", "NONE")?;
    connection.pragma_update(None, "journal_mode", "OFF")?;
    connection.pragma_update(None, "synchronous", "OFF")?;
    connection.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
    connection.execute_batch(&format!("PRAGMA user_version = {FORMAT};"))?;
    #[cfg(test)]
    PAGES_MAX.with(|pages| match pages.get() {
        Some(pages) => connection.pragma_update(None, "max_page_count", pages),
        None => Ok(()),
    })?;
    connection.execute_batch(SCHEMA)?;
    connection.execute_batch("BEGIN")?;
    Ok(connection)
}

#[cfg(test)]
thread_local! {
    /// Makes the disk full for the segments of this thread.
    pub(in crate::log) static PAGES_MAX: std::cell::Cell<Option<i64>> = const { std::cell::Cell::new(None) };
}
