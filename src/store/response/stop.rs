//! The kill switch: while it is on, no response acts.

use rusqlite::{Connection, OptionalExtension as _, params};

use super::super::{Deed, Store, StoreError, audit};
use crate::time::Timestamp;

/// Since when, by whom and why all responses are stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stop {
    /// Since when.
    pub at: Timestamp,
    /// By whom.
    pub by: String,
    /// Why.
    pub reason: String,
}

impl Store {
    /// Stops all responses: none acts once this has returned, but those whose call is under way. What was done can be
    /// undone all the while.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if they are stopped.
    pub fn responses_stop(&self, reason: &str, deed: &Deed) -> Result<(), StoreError> {
        self.write(|transaction| {
            if let Some(stop) = stopped(transaction)? {
                let what = format!("responses are stopped since {} by {}", stop.at, stop.by);
                return Err(StoreError::Conflict { what });
            }
            let sql = "INSERT INTO response_stop (stopped_at, stopped_by, reason) VALUES (?1, ?2, ?3)";
            transaction.prepare_cached(sql)?.execute(params![deed.at.0, deed.author, reason])?;
            audit::record(transaction, deed, "done")?;
            Ok(())
        })
    }

    /// Lets responses act again.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if they are not stopped.
    pub fn responses_resume(&self, deed: &Deed) -> Result<(), StoreError> {
        self.write(|transaction| {
            let sql = "UPDATE response_stop SET resumed_at = ?1, resumed_by = ?2 WHERE resumed_at IS NULL";
            if transaction.prepare_cached(sql)?.execute(params![deed.at.0, deed.author])? == 0 {
                return Err(StoreError::Conflict { what: "responses are not stopped".to_owned() });
            }
            audit::record(transaction, deed, "done")?;
            Ok(())
        })
    }

    /// Whether they are stopped.
    pub fn responses_stopped(&self) -> Result<Option<Stop>, StoreError> {
        self.read(stopped)
    }
}

pub(super) fn stopped(connection: &Connection) -> Result<Option<Stop>, StoreError> {
    let sql = "SELECT stopped_at, stopped_by, reason FROM response_stop WHERE resumed_at IS NULL ORDER BY id";
    let mut statement = connection.prepare_cached(sql)?;
    let stop = statement
        .query_row([], |row| Ok(Stop { at: Timestamp(row.get(0)?), by: row.get(1)?, reason: row.get(2)? }));
    Ok(stop.optional()?)
}
