//! How far detection came, and its snapshots.

use rusqlite::{Connection, OptionalExtension as _, Transaction, params};
use zstd::bulk::{Compressor, decompress};
use zstd::zstd_safe::CParameter;

use super::{Commit, Progress, Snapshot, Store, StoreError};
use crate::log::fault;

const ZSTD_LEVEL: i32 = 1;
const SNAPSHOTS_KEPT: i64 = 2;

impl Store {
    /// How far detection came, with the newest snapshot that can be read. One that cannot is passed over: an
    /// older one, or the whole log, leads to the same state, only more slowly.
    pub fn progress(&self) -> Result<Progress, StoreError> {
        self.read(|connection| {
            let position: i64 =
                connection.query_row("SELECT position FROM progress", [], |row| row.get(0))?;
            let position = position.cast_unsigned();
            Ok(Progress { position, snapshot: newest_readable(connection, position.cast_signed())? })
        })
    }
}

impl Store {
    /// From where detection goes on after a crash: the newest snapshot's position.
    pub fn settled(&self) -> Result<u64, StoreError> {
        self.read(|connection| {
            let mut statement =
                connection.prepare_cached("SELECT coalesce(max(position), 0) FROM snapshot")?;
            Ok(statement.query_row([], |row| row.get::<_, i64>(0))?.cast_unsigned())
        })
    }
}

fn newest_readable(connection: &Connection, until: i64) -> Result<Option<Snapshot>, StoreError> {
    let mut before = until.saturating_add(1);
    let mut statement = connection.prepare_cached(
        "SELECT position, length, bytes FROM snapshot WHERE position < ?1 ORDER BY position DESC LIMIT 1",
    )?;
    loop {
        let found = statement
            .query_row([before], |row| {
                let (position, length): (i64, i64) = (row.get(0)?, row.get(1)?);
                let bytes = decompress(row.get_ref(2)?.as_blob()?, usize::try_from(length).unwrap_or(0));
                Ok((position, length, bytes))
            })
            .optional()?;
        match found {
            None => return Ok(None),
            Some((position, length, Ok(bytes))) if i64::try_from(bytes.len()) == Ok(length) => {
                return Ok(Some(Snapshot { position: position.cast_unsigned(), bytes }));
            }
            Some((position, ..)) => {
                tracing::warn!(position, "a snapshot in control.db is damaged; an older one is used");
                before = position;
            }
        }
    }
}

/// Moves detection's position on, and keeps its snapshot if it has one.
pub(super) fn advance(transaction: &Transaction<'_>, commit: &Commit<'_>) -> Result<(), StoreError> {
    let position = commit.position.cast_signed();
    transaction
        .prepare_cached("UPDATE progress SET position = ?1, at = ?2")?
        .execute(params![position, commit.at.0])?;
    fault::point("store.position_written");
    let Some(plain) = commit.snapshot else { return Ok(()) };
    let bytes = compress(plain).map_err(|error| StoreError::Database(format!("snapshot: {error}")))?;
    let length = plain.len().cast_signed() as i64;
    transaction
        .prepare_cached("INSERT OR REPLACE INTO snapshot (position, length, bytes) VALUES (?1, ?2, ?3)")?
        .execute(params![position, length, bytes])?;
    fault::point("store.snapshot_written");
    let sql = "DELETE FROM snapshot WHERE position NOT IN \
               (SELECT position FROM snapshot ORDER BY position DESC LIMIT ?1)";
    transaction.prepare_cached(sql)?.execute([SNAPSHOTS_KEPT])?;
    transaction.prepare_cached("UPDATE progress SET snapshot_position = ?1")?.execute([position])?;
    fault::point("store.older_snapshots_dropped");
    Ok(())
}

fn compress(plain: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut compressor = Compressor::new(ZSTD_LEVEL)?;
    compressor.set_parameter(CParameter::ChecksumFlag(true))?;
    compressor.compress(plain)
}
