//! Bodies that could not be decoded: kept, looked at, replayed.

use rusqlite::{OptionalExtension as _, Row, Transaction, params};

use super::{Deed, NewRejected, Rejected, Store, StoreError, audit};
use crate::time::Timestamp;

/// How much is kept: beyond either, the oldest that were replayed go first, then the oldest.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub rows: i64,
    pub bytes: i64,
}

const LIMITS: Limits = Limits { rows: 100_000, bytes: 1 << 30 };

const COLUMNS: &str =
    "SELECT id, source, received_at, reason, type_hint, replayed_at, size, body FROM rejected";

/// Of longer bodies a list has only so many bytes: a body may have megabytes.
const LISTED: &str = "SELECT id, source, received_at, reason, type_hint, replayed_at, size, substr(body, 1, 4096) \
                      FROM rejected WHERE id < ?1 ORDER BY id DESC LIMIT ?2";

impl Store {
    /// Keeps a body that could not be decoded, and tells its number.
    ///
    /// At most 100,000 bodies or 1 GiB are kept. Beyond that the oldest that were replayed go first, then
    /// the oldest; the one just added always stays.
    pub fn reject(&self, rejected: &NewRejected) -> Result<i64, StoreError> {
        self.reject_within(rejected, LIMITS)
    }

    /// The same, with other limits.
    pub(super) fn reject_within(&self, rejected: &NewRejected, limits: Limits) -> Result<i64, StoreError> {
        self.write(|transaction| {
            let sql = "INSERT INTO rejected (source, received_at, reason, type_hint, size, body) \
                       VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
            let id = transaction.prepare_cached(sql)?.insert(params![
                rejected.source,
                rejected.received_at.0,
                rejected.reason,
                rejected.type_hint,
                rejected.body.len().cast_signed() as i64,
                rejected.body,
            ])?;
            while is_over(transaction, limits)? && drop_one(transaction, id)? {}
            Ok(id)
        })
    }

    /// The newest `limit` bodies before a number, or of all, newest first, replayed ones included; of each the
    /// first 4 KiB.
    pub fn rejected(&self, before: Option<i64>, limit: usize) -> Result<Vec<Rejected>, StoreError> {
        self.read(|connection| {
            let mut statement = connection.prepare_cached(LISTED)?;
            let values = params![before.unwrap_or(i64::MAX), limit.cast_signed() as i64];
            let rows = statement.query_map(values, columns)?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        })
    }

    /// The body with this number.
    pub fn rejected_get(&self, id: i64) -> Result<Option<Rejected>, StoreError> {
        self.read(|connection| {
            let sql = format!("{COLUMNS} WHERE id = ?1");
            Ok(connection.prepare_cached(&sql)?.query_row([id], columns).optional()?)
        })
    }

    /// Marks a body as replayed, and records who did it; an unknown number is [`StoreError::Unknown`].
    pub fn rejected_settle(&self, id: i64, deed: &Deed, outcome: &str) -> Result<(), StoreError> {
        self.write(|transaction| {
            let sql = "UPDATE rejected SET replayed_at = ?2 WHERE id = ?1";
            if transaction.prepare_cached(sql)?.execute(params![id, deed.at.0])? == 0 {
                return Err(StoreError::Unknown { what: format!("rejected body {id}") });
            }
            audit::record(transaction, deed, outcome)?;
            Ok(())
        })
    }

    /// How many kept bodies were not replayed.
    pub fn rejected_count(&self) -> Result<u64, StoreError> {
        self.read(|connection| {
            let sql = "SELECT count(*) FROM rejected WHERE replayed_at IS NULL";
            let count: i64 = connection.prepare_cached(sql)?.query_row([], |row| row.get(0))?;
            Ok(count.cast_unsigned())
        })
    }
}

fn columns(row: &Row<'_>) -> rusqlite::Result<Rejected> {
    Ok(Rejected {
        id: row.get(0)?,
        rejected: NewRejected {
            source: row.get(1)?,
            received_at: Timestamp(row.get(2)?),
            reason: row.get(3)?,
            type_hint: row.get(4)?,
            body: row.get(7)?,
        },
        replayed_at: row.get::<_, Option<i64>>(5)?.map(Timestamp),
        size: row.get::<_, i64>(6)?.cast_unsigned(),
    })
}

fn is_over(transaction: &Transaction<'_>, limits: Limits) -> Result<bool, StoreError> {
    let sql = "SELECT count > ?1 OR bytes > ?2 FROM rejected_total";
    Ok(transaction.prepare_cached(sql)?.query_row([limits.rows, limits.bytes], |row| row.get(0))?)
}

/// Removes the one that matters least, but not `newest`; false when nothing else is left.
fn drop_one(transaction: &Transaction<'_>, newest: i64) -> Result<bool, StoreError> {
    let sql = "DELETE FROM rejected WHERE id < ?1 AND id = coalesce( \
               (SELECT min(id) FROM rejected WHERE replayed_at IS NOT NULL), (SELECT min(id) FROM rejected))";
    Ok(transaction.prepare_cached(sql)?.execute([newest])? > 0)
}
