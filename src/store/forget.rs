//! What is known of alerts goes a stated time after the last that happened to them: the alert, its history, its deliveries,
//! what was held back, its place in groups and incidents. Of what was done to accounts nothing goes: an alert that was
//! answered so stays, with all that is known of it.
//!
//! It goes in small transactions, oldest first, by indexes; each transaction leaves whole alerts. One that is stopped in
//! between goes on with what is left.

use rusqlite::{Connection, Transaction, params};

use super::{Store, StoreError};
use crate::time::Timestamp;

/// How far a sweep is. A new one begins at the oldest.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sweep {
    alerts: (i64, i64),
    deliveries: (i64, String),
    stage: Stage,
    /// How many alerts it has removed.
    pub removed: u64,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Stage {
    #[default]
    Alerts,
    Deliveries,
    Rest,
    Over,
}

impl Sweep {
    /// Whether it is through.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.stage == Stage::Over
    }
}

/// The oldest alerts behind a place.
const ALERTS: &str = "SELECT updated_at, rowid, id FROM alert WHERE (updated_at, rowid) > (?1, ?2) AND updated_at < ?3 \
    ORDER BY updated_at, rowid LIMIT ?4";

/// An alert and those that went up in it.
const OWN: &str = "WITH RECURSIVE own (id) AS \
    (VALUES (?1) UNION SELECT alert.id FROM own CROSS JOIN alert ON alert.merged_into = own.id) ";

/// Whether something speaks for keeping an alert: it went up in one that is there, something happened to it since, is
/// still to be done or told, or was done to an account.
const IS_KEPT: &str = "SELECT \
    EXISTS (SELECT 1 FROM alert AS a CROSS JOIN alert AS into_it ON into_it.id = a.merged_into WHERE a.id = ?1) \
    OR EXISTS (SELECT 1 FROM own CROSS JOIN alert AS a ON a.id = own.id WHERE a.updated_at >= ?2) \
    OR EXISTS (SELECT 1 FROM own CROSS JOIN alert_history AS h ON h.alert = own.id WHERE h.at >= ?2) \
    OR EXISTS (SELECT 1 FROM own CROSS JOIN outbox AS o ON o.alert = own.id WHERE o.state IN (0, 3)) \
    OR EXISTS (SELECT 1 FROM own CROSS JOIN delivery_alert AS d ON d.alert = own.id \
               CROSS JOIN outbox AS o ON o.id = d.delivery WHERE o.state = 0) \
    OR EXISTS (SELECT 1 FROM own CROSS JOIN response AS r ON r.alert = own.id \
               WHERE r.dry_run = 0 AND (r.acted_at IS NOT NULL OR r.counted_at IS NOT NULL))";

/// All that an alert leaves behind, itself last. Its deliveries go afterwards, as all do that are old.
const OF_ALERT: [&str; 9] = [
    "DELETE FROM response_step WHERE response IN (SELECT id FROM response WHERE alert = ?1)",
    "DELETE FROM response WHERE alert = ?1",
    "DELETE FROM followup WHERE about = ?1",
    "DELETE FROM group_alert WHERE alert = ?1",
    "DELETE FROM delivery_alert WHERE alert = ?1",
    "DELETE FROM held WHERE alert = ?1",
    "DELETE FROM scene WHERE alert = ?1",
    "DELETE FROM triage WHERE alert = ?1",
    "DELETE FROM alert_history WHERE alert = ?1",
];

/// Settled deliveries of nothing that is still there. A delivery that tells of several stays while one of them does; one
/// that a response is about stays with it.
const DELIVERIES: &str = "DELETE FROM outbox WHERE id = ?1 AND state IN (1, 2) \
    AND NOT EXISTS (SELECT 1 FROM alert WHERE alert.id = outbox.alert) \
    AND NOT EXISTS (SELECT 1 FROM delivery_alert AS d WHERE d.delivery = outbox.id) \
    AND NOT EXISTS (SELECT 1 FROM response WHERE response.id = outbox.id) \
    AND NOT EXISTS (SELECT 1 FROM response WHERE response.undoing = outbox.id)";

/// The oldest deliveries behind a place.
const OLD_DELIVERIES: &str = "SELECT created_at, id FROM outbox WHERE (created_at, id) > (?1, ?2) \
    AND created_at < ?3 ORDER BY created_at, id LIMIT ?4";

/// Groups whose alerts are all gone; silences that ended.
const REST: [&str; 2] = [
    "DELETE FROM alert_group WHERE rowid IN (SELECT rowid FROM alert_group AS g WHERE g.open IS NULL \
     AND g.last_due < ?1 AND NOT EXISTS (SELECT 1 FROM group_alert AS m WHERE m.grouped = g.id) LIMIT ?2)",
    "DELETE FROM silence WHERE id IN (SELECT id FROM silence WHERE coalesce(ended_at, ends_at) < ?1 \
     AND ends_at < ?1 LIMIT ?2)",
];

impl Store {
    /// Goes on with a sweep by one transaction, which looks at `max` rows at most: what nothing has happened to since
    /// `before` goes. While a legal hold is in force nothing does.
    pub fn forget(
        &self,
        sweep: &Sweep,
        (before, now): (Timestamp, Timestamp),
        max: usize,
    ) -> Result<Sweep, StoreError> {
        self.write(|transaction| {
            let mut sweep = sweep.clone();
            if is_held(transaction, now)? {
                sweep.stage = Stage::Over;
                return Ok(sweep);
            }
            let limit = max.cast_signed() as i64;
            match sweep.stage {
                Stage::Alerts => alerts(transaction, &mut sweep, before, limit)?,
                Stage::Deliveries => deliveries(transaction, &mut sweep, before, limit)?,
                Stage::Rest => rest(transaction, &mut sweep, before, limit)?,
                Stage::Over => {}
            }
            Ok(sweep)
        })
    }
}

fn is_held(connection: &Connection, now: Timestamp) -> Result<bool, StoreError> {
    let sql = "SELECT 1 FROM hold WHERE ended_at IS NULL AND (until IS NULL OR until > ?1)";
    Ok(connection.prepare_cached(sql)?.exists([now.0])?)
}

fn alerts(
    transaction: &Transaction<'_>,
    sweep: &mut Sweep,
    before: Timestamp,
    limit: i64,
) -> Result<(), StoreError> {
    let mut statement = transaction.prepare_cached(ALERTS)?;
    let values = params![sweep.alerts.0, sweep.alerts.1, before.0, limit];
    let rows = statement
        .query_map(values, |row| Ok(((row.get(0)?, row.get(1)?), row.get::<_, String>(2)?)))?
        .collect::<rusqlite::Result<Vec<((i64, i64), String)>>>()?;
    if rows.is_empty() {
        sweep.stage = Stage::Deliveries;
    }
    for (place, id) in rows {
        sweep.alerts = place;
        if !is_kept(transaction, &id, before)? {
            sweep.removed += family(transaction, &id)?;
        }
    }
    Ok(())
}

fn is_kept(connection: &Connection, id: &str, before: Timestamp) -> Result<bool, StoreError> {
    let sql = format!("{OWN}{IS_KEPT}");
    Ok(connection.prepare_cached(&sql)?.query_row(params![id, before.0], |row| row.get(0))?)
}

/// Removes an alert and those that went up in it; how many they are. Incidents that they leave empty go, too.
fn family(transaction: &Transaction<'_>, id: &str) -> Result<u64, StoreError> {
    let sql = format!("{OWN}SELECT own.id, a.incident FROM own CROSS JOIN alert AS a ON a.id = own.id");
    let own = transaction
        .prepare_cached(&sql)?
        .query_map([id], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<rusqlite::Result<Vec<(String, Option<String>)>>>()?;
    for (id, _) in &own {
        for sql in OF_ALERT {
            transaction.prepare_cached(sql)?.execute([id])?;
        }
        transaction.prepare_cached("DELETE FROM alert WHERE id = ?1")?.execute([id])?;
    }
    for incident in own.iter().filter_map(|(_, incident)| incident.as_deref()) {
        leave(transaction, incident)?;
    }
    Ok(own.len() as u64)
}

/// An incident without alerts goes, with those that went up in it.
fn leave(transaction: &Transaction<'_>, incident: &str) -> Result<(), StoreError> {
    let sql = "WITH RECURSIVE own (id) AS \
               (SELECT id FROM incident WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM alert WHERE alert.incident = ?1) \
                UNION SELECT incident.id FROM own CROSS JOIN incident ON incident.merged_into = own.id) \
               DELETE FROM incident WHERE id IN (SELECT id FROM own)";
    transaction.prepare_cached(sql)?.execute([incident])?;
    Ok(())
}

fn deliveries(
    transaction: &Transaction<'_>,
    sweep: &mut Sweep,
    before: Timestamp,
    limit: i64,
) -> Result<(), StoreError> {
    let mut statement = transaction.prepare_cached(OLD_DELIVERIES)?;
    let values = params![sweep.deliveries.0, sweep.deliveries.1, before.0, limit];
    let rows = statement
        .query_map(values, |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<rusqlite::Result<Vec<(i64, String)>>>()?;
    if rows.is_empty() {
        sweep.stage = Stage::Rest;
    }
    for place in rows {
        transaction.prepare_cached(DELIVERIES)?.execute([&place.1])?;
        sweep.deliveries = place;
    }
    Ok(())
}

fn rest(
    transaction: &Transaction<'_>,
    sweep: &mut Sweep,
    before: Timestamp,
    limit: i64,
) -> Result<(), StoreError> {
    let mut gone = 0;
    for sql in REST {
        gone += transaction.prepare_cached(sql)?.execute(params![before.0, limit])?;
    }
    if gone == 0 {
        sweep.stage = Stage::Over;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
