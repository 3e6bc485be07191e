//! Removing from the hot end what a sealed segment has.

use rusqlite::{Connection, TransactionBehavior, params};

use super::fault;
use super::row::Head;
use crate::event::Position;

/// One transaction removes no more than so many blocks, and no more once it has so many bytes: an append that waits
/// behind it waits a few milliseconds.
const BLOCKS_MAX: i64 = 64;
const BYTES_MAX: i64 = 1 << 20;

/// Removes some blocks that end at `upto` or before, and moves the base; the new base, and whether more are left.
pub(super) fn some(connection: &mut Connection, upto: Position) -> rusqlite::Result<(Position, bool)> {
    let upto = i64::try_from(upto).unwrap_or(i64::MAX);
    // Not worth a sync: whatever a crash undoes here is found in a segment as well.
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    let removed = remove(connection, upto);
    connection.pragma_update(None, "synchronous", "FULL")?;
    removed
}

fn remove(connection: &mut Connection, upto: i64) -> rusqlite::Result<(Position, bool)> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut end: Option<(i64, i64, Head)> = None;
    let (mut blocks, mut bytes) = (0, 0);
    {
        let mut statement = transaction.prepare_cached(
            "SELECT first, last, head, length(bytes) FROM block WHERE last <= ?1 ORDER BY first LIMIT ?2",
        )?;
        let mut rows = statement.query(params![upto, BLOCKS_MAX])?;
        while bytes < BYTES_MAX
            && let Some(row) = rows.next()?
        {
            end = Some((row.get(0)?, row.get(1)?, row.get(2)?));
            bytes += row.get::<_, i64>(3)?;
            blocks += 1;
        }
    }
    let Some((first, last, head)) = end else {
        let (base, _) = super::hot::base(&transaction)?;
        return Ok((base, false));
    };
    transaction.execute("DELETE FROM block WHERE first <= ?1", [first])?;
    transaction.execute("UPDATE base SET position = ?1, head = ?2", params![last, head])?;
    fault::point("log.before_forget");
    transaction.commit()?;
    fault::point("log.after_forget");
    Ok((last.cast_unsigned(), last < upto && (blocks == BLOCKS_MAX || bytes >= BYTES_MAX)))
}
