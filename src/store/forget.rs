//! What is known of alerts goes a stated time after the last that happened to them: the alert, its history, its deliveries,
//! what was held back, its place in groups and incidents. Of what was done to accounts nothing goes: an alert that was
//! answered so stays, with all that is known of it.
//!
//! It goes in small transactions, oldest first, by indexes; each transaction leaves whole alerts. One that is stopped in
//! between goes on with what is left.

use rusqlite::{Connection, Row, Transaction, params};

use super::{Deed, Store, StoreError, audit};
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

/// How many alerts sweeps would remove.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Forgettable {
    /// Those that were looked at and would go, with those that went up in them.
    pub alerts: u64,
    /// Whether there are more that were not looked at.
    pub is_cut: bool,
    /// Whether a legal hold keeps them.
    pub is_held: bool,
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

/// Whether something speaks for keeping an alert: it went up in one that is there, something happened to it or was told of
/// it since, is still to be done or told, or was done to an account. What is to be told later of an alert, or of its group,
/// counts as long as the alert is not resolved.
const IS_KEPT: &str = "SELECT \
    EXISTS (SELECT 1 FROM alert AS a CROSS JOIN alert AS into_it ON into_it.id = a.merged_into WHERE a.id = ?1) \
    OR EXISTS (SELECT 1 FROM own CROSS JOIN alert AS a ON a.id = own.id WHERE a.updated_at >= ?2) \
    OR EXISTS (SELECT 1 FROM own CROSS JOIN alert_history AS h ON h.alert = own.id WHERE h.at >= ?2) \
    OR EXISTS (SELECT 1 FROM own CROSS JOIN outbox AS o ON o.alert = own.id \
               WHERE o.state IN (0, 3) OR o.created_at >= ?2 OR o.settled_at >= ?2) \
    OR EXISTS (SELECT 1 FROM own CROSS JOIN delivery_alert AS d ON d.alert = own.id \
               CROSS JOIN outbox AS o ON o.id = d.delivery \
               WHERE o.state = 0 OR o.created_at >= ?2 OR o.settled_at >= ?2) \
    OR EXISTS (SELECT 1 FROM own CROSS JOIN alert AS a ON a.id = own.id CROSS JOIN followup AS f ON f.about = own.id \
               WHERE a.resolved = 0 AND a.merged_into IS NULL) \
    OR EXISTS (SELECT 1 FROM own CROSS JOIN group_alert AS m ON m.alert = own.id \
               CROSS JOIN followup AS f ON f.about = m.grouped WHERE m.state <> 'resolved') \
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

/// Groups whose alerts are all gone; silences that ended; notices that no delivery tells any more.
const REST: [&str; 3] = [
    "DELETE FROM alert_group WHERE rowid IN (SELECT rowid FROM alert_group AS g WHERE g.open IS NULL \
     AND g.last_due < ?1 AND NOT EXISTS (SELECT 1 FROM group_alert AS m WHERE m.grouped = g.id) LIMIT ?2)",
    "DELETE FROM silence WHERE id IN (SELECT id FROM silence WHERE coalesce(ended_at, ends_at) < ?1 \
     AND ends_at < ?1 LIMIT ?2)",
    "DELETE FROM notice WHERE rowid IN (SELECT rowid FROM notice AS n WHERE n.created_at < ?1 \
     AND NOT EXISTS (SELECT 1 FROM outbox AS o WHERE o.alert = 'notice/' || n.id) LIMIT ?2)",
];

impl Store {
    /// Goes on with a sweep by one transaction, which looks at `max` rows at most: what nothing has happened to since
    /// `before` goes. While a legal hold is in force nothing does. How many alerts a transaction removed stands in the audit
    /// log with it, whatever stops the sweep behind it.
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
                Stage::Alerts => {
                    let removed = alerts(transaction, &mut sweep, before, limit)?;
                    note(transaction, removed, (before, now))?;
                    sweep.removed += removed;
                }
                Stage::Deliveries => deliveries(transaction, &mut sweep, before, limit)?,
                Stage::Rest => rest(transaction, &mut sweep, before, limit)?,
                Stage::Over => {}
            }
            Ok(sweep)
        })
    }

    /// How many alerts sweeps would remove, by what is known `now`: those to which nothing has happened since `before`. It
    /// looks at `max` alerts at most, the oldest ones, and changes nothing.
    pub fn forgettable(
        &self,
        (before, now): (Timestamp, Timestamp),
        max: usize,
    ) -> Result<Forgettable, StoreError> {
        self.read(|connection| {
            let mut found = Forgettable { is_held: is_held(connection, now)?, ..Forgettable::default() };
            let limit = max.cast_signed() as i64;
            let rows = oldest(connection, (i64::MIN, i64::MIN), before, limit.saturating_add(1))?;
            found.is_cut = rows.len() > max;
            let sql = format!("{OWN}SELECT count(*) FROM own");
            for (_, id) in rows.into_iter().take(max) {
                if !is_kept(connection, &id, before)? {
                    let count = |row: &Row<'_>| row.get::<_, i64>(0);
                    found.alerts += connection.prepare_cached(&sql)?.query_row([&id], count)?.cast_unsigned();
                }
            }
            Ok(found)
        })
    }
}

fn is_held(connection: &Connection, now: Timestamp) -> Result<bool, StoreError> {
    let sql = "SELECT 1 FROM hold WHERE ended_at IS NULL AND (until IS NULL OR until > ?1)";
    Ok(connection.prepare_cached(sql)?.exists([now.0])?)
}

/// A place among alerts, and whose it is.
type Placed = ((i64, i64), String);

fn oldest(
    connection: &Connection,
    behind: (i64, i64),
    before: Timestamp,
    limit: i64,
) -> Result<Vec<Placed>, StoreError> {
    let mut statement = connection.prepare_cached(ALERTS)?;
    let values = params![behind.0, behind.1, before.0, limit];
    let rows = statement.query_map(values, |row| Ok(((row.get(0)?, row.get(1)?), row.get(2)?)))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

fn alerts(
    transaction: &Transaction<'_>,
    sweep: &mut Sweep,
    before: Timestamp,
    limit: i64,
) -> Result<u64, StoreError> {
    let rows = oldest(transaction, sweep.alerts, before, limit)?;
    if rows.is_empty() {
        sweep.stage = Stage::Deliveries;
    }
    let mut removed = 0;
    for (place, id) in rows {
        sweep.alerts = place;
        if !is_kept(transaction, &id, before)? {
            removed += family(transaction, &id)?;
        }
    }
    Ok(removed)
}

/// Records in the audit log how many alerts a transaction removes; nothing where it removes none.
fn note(
    transaction: &Transaction<'_>,
    removed: u64,
    (before, now): (Timestamp, Timestamp),
) -> Result<(), StoreError> {
    if removed == 0 {
        return Ok(());
    }
    let asked = format!("alerts to which nothing has happened since {before}");
    let outcome = format!("{removed} alert{} removed", if removed == 1 { "" } else { "s" });
    audit::record(transaction, &Deed::new(now, "watchfire", "retention").asking(asked), &outcome)?;
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

/// Those without alerts: an incident, and what went up in it.
const EMPTY: &str = "WITH RECURSIVE own (id) AS \
    (SELECT id FROM incident WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM alert WHERE alert.incident = ?1) \
     UNION SELECT i.id FROM own CROSS JOIN incident AS i ON i.merged_into = own.id \
     WHERE NOT EXISTS (SELECT 1 FROM alert WHERE alert.incident = i.id)) \
    DELETE FROM incident WHERE id IN (SELECT id FROM own)";

/// An incident without alerts goes, with those that went up in it; never one that has any.
fn leave(transaction: &Transaction<'_>, incident: &str) -> Result<(), StoreError> {
    transaction.prepare_cached(EMPTY)?.execute([incident])?;
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
        if transaction.prepare_cached(DELIVERIES)?.execute([&place.1])? > 0 {
            transaction.prepare_cached("DELETE FROM report_mail WHERE id = ?1")?.execute([&place.1])?;
        }
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
