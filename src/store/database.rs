//! The store itself: its connections, its format, its transactions.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, OptionalExtension as _, Transaction, TransactionBehavior, params};

use super::{Commit, ForgeOf, OutboxRow, Routing, StoreError, ledger, life, outbox, progress, routing};
use crate::log::fault;
use crate::route::Policy;

/// The steps from one format to the next; the first makes the tables. Never changed, only added to.
const MIGRATIONS: [&str; 13] = [
    include_str!("migrations/1.sql"),
    include_str!("migrations/2.sql"),
    include_str!("migrations/3.sql"),
    include_str!("migrations/4.sql"),
    include_str!("migrations/5.sql"),
    include_str!("migrations/6.sql"),
    include_str!("migrations/7.sql"),
    include_str!("migrations/8.sql"),
    include_str!("migrations/9.sql"),
    include_str!("migrations/10.sql"),
    include_str!("migrations/11.sql"),
    include_str!("migrations/12.sql"),
    include_str!("migrations/13.sql"),
];

const SET_CHECKPOINT: &str = "INSERT INTO checkpoint (name, bytes) VALUES (?1, ?2) \
    ON CONFLICT (name) DO UPDATE SET bytes = excluded.bytes";

/// Connections that read at once.
const READERS: usize = 4;
/// How long to wait for a program that holds the database.
const BUSY: Duration = Duration::from_secs(5);
/// After a large snapshot the write-ahead log is cut back to this many bytes.
const WAL_BYTES_KEPT: i64 = 16 << 20;

/// A handle to `control.db`; clones share it.
#[derive(Debug, Clone)]
pub struct Store {
    connections: Arc<Connections>,
}

#[derive(Debug)]
struct Connections {
    /// None when the store was opened to read only.
    write: Option<Mutex<Connection>>,
    read: Readers,
}

impl Store {
    /// Opens the store in this data folder, making both where there are none and bringing older formats up
    /// to date. That no second daemon does so is the log's lock, not this one's.
    pub fn open(dir: &Path) -> Result<Self, StoreError> {
        let path = path(dir);
        if let Err(error) = DirBuilder::new().recursive(true).mode(0o700).create(dir) {
            return Err(StoreError::NotWritable {
                file: dir.display().to_string(),
                reason: error.to_string(),
            });
        }
        let mut write = open_to_write(&path).map_err(StoreError::opening(&path))?;
        migrate(&mut write, &path)?;
        let read = open_to_read(&path).map_err(StoreError::opening(&path))?;
        let mut readers = Readers::new(read);
        for _ in 1..READERS {
            readers.0.push(Mutex::new(open_to_read(&path).map_err(StoreError::opening(&path))?));
        }
        let connections = Connections { write: Some(Mutex::new(write)), read: readers };
        Ok(Self { connections: Arc::new(connections) })
    }

    /// Opens the store to look at it, beside a daemon or without one; writes are refused. A store that is not
    /// there is empty.
    pub fn open_read_only(dir: &Path) -> Result<Self, StoreError> {
        let path = path(dir);
        let read = if path.exists() { existing(&path)? } else { empty()? };
        Ok(Self { connections: Arc::new(Connections { write: None, read: Readers::new(read) }) })
    }

    /// Writes all that one step of detection changed, in one transaction that is synced before this returns.
    ///
    /// Alerts replace what was stored under their id. Outbox rows whose id exists are left as they are, so a
    /// step that is done again delivers nothing again. Ledger entries are added to what is there. Of the
    /// snapshots the newest two are kept.
    pub fn commit(&self, commit: &Commit<'_>) -> Result<(), StoreError> {
        let (candidates, policy) = (&[], &Policy::default());
        self.commit_routed(commit, &Routing { candidates, policy, suppressed: 0 }, &|_| None)
    }

    /// The same where it is known whose people and things the alerts are about, and decides in the same transaction what
    /// becomes of new alerts: told, told later or held back.
    pub fn commit_routed(
        &self,
        commit: &Commit<'_>,
        routing: &Routing<'_>,
        forge_of: &ForgeOf<'_>,
    ) -> Result<(), StoreError> {
        self.write(|transaction| {
            fault::point("store.begun");
            let fresh = routing::fresh(transaction, routing)?;
            life::take(transaction, commit, forge_of)?;
            fault::point("store.alerts_written");
            outbox::insert(transaction, commit.outbox)?;
            routing::settle(transaction, &fresh, routing, commit.at)?;
            fault::point("store.routed");
            fault::point("store.outbox_written");
            ledger::add(transaction, commit.ledger)?;
            fault::point("store.ledger_written");
            progress::advance(transaction, commit)?;
            fault::point("store.before_commit");
            Ok(())
        })?;
        fault::point("store.after_commit");
        Ok(())
    }

    /// What a reader kept under this name.
    pub fn checkpoint(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.read(|connection| {
            let mut statement = connection.prepare_cached("SELECT bytes FROM checkpoint WHERE name = ?1")?;
            Ok(statement.query_row([name], |row| row.get(0)).optional()?)
        })
    }

    /// Keeps where a reader stands, in its own format, in place of what it kept before.
    pub fn set_checkpoint(&self, name: &str, bytes: &[u8]) -> Result<(), StoreError> {
        self.write(|transaction| {
            transaction.prepare_cached(SET_CHECKPOINT)?.execute(params![name, bytes])?;
            fault::point("store.checkpoint_written");
            Ok(())
        })
    }

    /// The same, and adds deliveries, in one transaction; one whose id is there already is left as it is.
    pub fn note_with_deliveries(
        &self,
        name: &str,
        bytes: &[u8],
        deliveries: &[OutboxRow],
    ) -> Result<(), StoreError> {
        self.write(|transaction| {
            outbox::insert(transaction, deliveries)?;
            transaction.prepare_cached(SET_CHECKPOINT)?.execute(params![name, bytes])?;
            Ok(())
        })
    }

    /// Runs a query.
    pub(super) fn read<T>(
        &self,
        query: impl FnOnce(&Connection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.connections.read.ask(query)
    }

    /// Runs changes in a transaction, which is synced when this returns and undone when they fail.
    pub(super) fn write<T>(
        &self,
        change: impl FnOnce(&Transaction<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let Some(write) = &self.connections.write else {
            let reason = "it was opened to read only".to_owned();
            return Err(StoreError::NotWritable { file: "control.db".to_owned(), reason });
        };
        let mut connection = write.lock().unwrap_or_else(PoisonError::into_inner);
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let result = change(&transaction)?;
        transaction.commit()?;
        Ok(result)
    }
}

/// Connections that only read: a long list does not keep a token from being looked up.
#[derive(Debug)]
struct Readers(Vec<Mutex<Connection>>, AtomicUsize);

impl Readers {
    fn new(first: Connection) -> Self {
        Self(vec![Mutex::new(first)], AtomicUsize::new(0))
    }

    /// By the first that is free, or else by the next in turn.
    fn ask<T>(&self, query: impl FnOnce(&Connection) -> Result<T, StoreError>) -> Result<T, StoreError> {
        if let Some(free) = self.0.iter().find_map(|reader| reader.try_lock().ok()) {
            return query(&free);
        }
        let turn = self.1.fetch_add(1, Ordering::Relaxed) % self.0.len().max(1);
        let Some(reader) = self.0.get(turn) else {
            return Err(StoreError::Database("there is no connection to read by".to_owned()));
        };
        // A panic while it was held leaves no half-done work: SQLite rolls an open transaction back.
        query(&reader.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Copies the store of a data folder into another one, as it is at one moment, also while a daemon writes it. Where
/// there is none, none is made.
pub fn copy(dir: &Path, target: &Path) -> Result<(), StoreError> {
    let (from, to) = (path(dir), path(target));
    if !from.exists() {
        return Ok(());
    }
    let connection = existing(&from)?;
    // It only writes the copy; SQLite forbids even that where queries are all that is allowed.
    let copied = connection
        .pragma_update(None, "query_only", false)
        .and_then(|()| connection.execute("VACUUM INTO ?1", [to.to_string_lossy()]));
    copied.map(drop).map_err(StoreError::opening(&to))
}

fn path(dir: &Path) -> PathBuf {
    dir.join("control.db")
}

fn version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}

const fn newest() -> i64 {
    MIGRATIONS.len().cast_signed() as i64
}

fn open_to_write(path: &Path) -> rusqlite::Result<Connection> {
    let flags =
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY)?;
    connection.set_prepared_statement_cache_capacity(64);
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "journal_size_limit", WAL_BYTES_KEPT)?;
    Ok(connection)
}

/// A connection that cannot write, though it shares the write-ahead log's index with those that do.
fn open_to_read(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY)?;
    connection.set_prepared_statement_cache_capacity(64);
    connection.pragma_update(None, "query_only", true)?;
    // Opening touches no file yet; the first read does.
    connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
    Ok(connection)
}

/// Where the folder may not be written and no daemon runs, nothing changes the file: it is read as it is.
fn open_immutable(path: &Path) -> rusqlite::Result<Connection> {
    let flags =
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let escaped = path.to_string_lossy().replace('%', "%25").replace('?', "%3f").replace('#', "%23");
    Connection::open_with_flags(format!("file:{escaped}?immutable=1"), flags)
}

fn existing(path: &Path) -> Result<Connection, StoreError> {
    let connection = match open_to_read(path) {
        Err(_) if !path.with_extension("db-wal").exists() => open_immutable(path),
        shared => shared,
    };
    let connection = connection.map_err(StoreError::opening(path))?;
    match version(&connection).map_err(StoreError::opening(path))? {
        // Made by a daemon that has not come to its first table yet.
        0 => empty(),
        found if found == newest() => Ok(connection),
        found => Err(StoreError::Version { path: path.to_owned(), found, known: newest() }),
    }
}

fn empty() -> Result<Connection, StoreError> {
    let mut connection = Connection::open_in_memory()?;
    migrate(&mut connection, Path::new(":memory:"))?;
    Ok(connection)
}

fn migrate(connection: &mut Connection, path: &Path) -> Result<(), StoreError> {
    let failed = || StoreError::opening(path);
    let found = version(connection).map_err(failed())?;
    let done = usize::try_from(found).ok().filter(|done| *done <= MIGRATIONS.len());
    let Some(done) = done else {
        return Err(StoreError::Version { path: path.to_owned(), found, known: newest() });
    };
    for (number, sql) in (1_i64..).zip(MIGRATIONS).skip(done) {
        let step = |connection: &mut Connection| {
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            transaction.execute_batch(sql)?;
            transaction.pragma_update(None, "user_version", number)?;
            transaction.commit()
        };
        step(connection).map_err(failed())?;
    }
    Ok(())
}
