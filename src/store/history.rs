//! The history of alerts: every change has a number, rising over all alerts in the order in which they were committed.

use rusqlite::{Connection, OptionalExtension as _, Row, Transaction, params};
use serde::{Deserialize, Serialize};

use super::{OutboxState, Store, StoreError, outbox};
use crate::alert::{AlertId, Fate, Happening, Moment, Record, Stance};
use crate::time::Timestamp;

/// Lines that people may add to one alert; beyond, changes are refused.
pub const HISTORY_MAX: u64 = 1_000;

/// A line of history to be written.
pub(super) struct Line<'a> {
    pub(super) at: Timestamp,
    /// None: Watchfire itself.
    pub(super) by: Option<&'a str>,
    pub(super) what: Happening,
    pub(super) from: Stance,
    pub(super) to: Stance,
    pub(super) note: Option<&'a str>,
    pub(super) other: Option<&'a AlertId>,
}

#[derive(Serialize, Deserialize, Default)]
#[serde(default)]
struct Body {
    from: Stance,
    to: Stance,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    other: Option<AlertId>,
}

const COLUMNS: &str = "SELECT h.number, h.at, h.author, h.what, h.body FROM alert_history AS h";

impl Store {
    /// The history of an alert, in order.
    pub fn history(&self, alert: &AlertId) -> Result<Vec<Record>, StoreError> {
        self.read(|connection| {
            let sql = format!("{COLUMNS} WHERE h.alert = ?1 ORDER BY h.number");
            let mut statement = connection.prepare_cached(&sql)?;
            let rows = statement.query_map([&alert.0], columns)?;
            rows.map(|row| parse(row?)).collect()
        })
    }

    /// The newest lines of history of an incident's alerts, with the alert of each; in order, at most so many.
    pub fn incident_history(
        &self,
        incident: &str,
        limit: usize,
    ) -> Result<Vec<(AlertId, Record)>, StoreError> {
        self.read(|connection| {
            let sql = "SELECT h.number, h.at, h.author, h.what, h.body, h.alert FROM alert AS a \
                       JOIN alert_history AS h ON h.alert = a.id WHERE a.incident = ?1 ORDER BY h.number DESC LIMIT ?2";
            let mut statement = connection.prepare_cached(sql)?;
            let of = |row: &Row<'_>| Ok((columns(row)?, AlertId(row.get(5)?)));
            let rows = statement.query_map(params![incident, limit.cast_signed() as i64], of)?;
            let mut found: Vec<(AlertId, Record)> = Vec::new();
            for row in rows {
                let (row, alert) = row?;
                found.push((alert, parse(row)?));
            }
            found.reverse();
            Ok(found)
        })
    }

    /// All that happened around an alert: its history, who was told, what was done.
    pub fn timeline(&self, alert: &AlertId) -> Result<Vec<Moment>, StoreError> {
        let records = self.history(alert)?;
        let mut moments: Vec<Moment> =
            records.into_iter().map(|record| Moment::Record(Box::new(record))).collect();
        moments.extend(self.deliveries(alert)?);
        Moment::sort(&mut moments);
        Ok(moments)
    }

    fn deliveries(&self, alert: &AlertId) -> Result<Vec<Moment>, StoreError> {
        let rows = self.outbox_of(alert)?;
        let mut moments = Vec::with_capacity(rows.len());
        for row in rows {
            let settled = self.read(|connection| outbox::settled_at(connection, &row.id))?;
            let (fate, at) = match row.state {
                OutboxState::Pending | OutboxState::Waiting => (Fate::Waiting, row.due_at),
                OutboxState::Done => (Fate::Done, settled.unwrap_or(row.created_at)),
                OutboxState::Dead => (Fate::Dead, settled.unwrap_or(row.created_at)),
            };
            let text = row.outcome.map(|outcome| outcome.summary).or(row.last_error).unwrap_or_default();
            let responds = row.kind == super::DeliveryKind::Respond;
            let (action, occasion) = (row.action, row.occasion);
            moments.push(Moment::Delivery { at, action, occasion, responds, fate, text });
        }
        Ok(moments)
    }

    /// Alerts that were opened or changed after this number, with the number of each one's last change; in the order of
    /// those, at most so many. An alert that changed twice comes once, as it is now.
    pub fn alerts_changed_after(&self, number: u64, limit: usize) -> Result<Vec<(u64, AlertId)>, StoreError> {
        self.read(|connection| {
            let sql = "SELECT changed, id FROM alert WHERE changed > ?1 ORDER BY changed LIMIT ?2";
            let mut statement = connection.prepare_cached(sql)?;
            let values = params![number.cast_signed(), limit.cast_signed() as i64];
            let of = |row: &Row<'_>| Ok((row.get::<_, i64>(0)?.cast_unsigned(), AlertId(row.get(1)?)));
            Ok(statement.query_map(values, of)?.collect::<rusqlite::Result<_>>()?)
        })
    }

    /// The number of the newest change of any alert.
    pub fn alerts_changed(&self) -> Result<u64, StoreError> {
        self.read(|connection| {
            let mut statement = connection.prepare_cached("SELECT number FROM alert_sequence")?;
            Ok(statement.query_row([], |row| row.get::<_, i64>(0))?.cast_unsigned())
        })
    }
}

/// Marks an alert as changed, and answers the change's number.
pub(super) fn mark(transaction: &Transaction<'_>, alert: &AlertId) -> Result<u64, StoreError> {
    let sql = "UPDATE alert_sequence SET number = number + 1 RETURNING number";
    let number: i64 = transaction.prepare_cached(sql)?.query_row([], |row| row.get(0))?;
    transaction
        .prepare_cached("UPDATE alert SET changed = ?2 WHERE id = ?1")?
        .execute(params![alert.0, number])?;
    Ok(number.cast_unsigned())
}

/// Adds a line to an alert's history, and marks it as changed.
pub(super) fn write(
    transaction: &Transaction<'_>,
    alert: &AlertId,
    line: Line<'_>,
) -> Result<Record, StoreError> {
    let number = mark(transaction, alert)?;
    let Line { at, by, what, from, to, note, other } = line;
    let body = Body { from, to, note: note.map(str::to_owned), other: other.cloned() };
    let text = serde_json::to_string(&body)
        .map_err(|error| StoreError::Database(format!("the history of alert {alert}: {error}")))?;
    let sql =
        "INSERT INTO alert_history (number, alert, at, author, what, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    let values = params![number.cast_signed(), alert.0, at.0, by, what.name(), text];
    transaction.prepare_cached(sql)?.execute(values)?;
    let Body { from, to, note, other } = body;
    Ok(Record { number, at, by: by.map(str::to_owned), what, from, to, note, other })
}

/// The number of the last line of an alert's history; 0 without one.
pub(super) fn last(connection: &Connection, alert: &AlertId) -> Result<u64, StoreError> {
    let sql = "SELECT coalesce(max(number), 0) FROM alert_history WHERE alert = ?1";
    let number: i64 = connection.prepare_cached(sql)?.query_row([&alert.0], |row| row.get(0))?;
    Ok(number.cast_unsigned())
}

/// The last line itself.
pub(super) fn last_record(connection: &Connection, alert: &AlertId) -> Result<Option<Record>, StoreError> {
    let sql = format!("{COLUMNS} WHERE h.alert = ?1 ORDER BY h.number DESC LIMIT 1");
    let row = connection.prepare_cached(&sql)?.query_row([&alert.0], columns).optional()?;
    row.map(parse).transpose()
}

/// How many lines of it are people's.
pub(super) fn count(connection: &Connection, alert: &AlertId) -> Result<u64, StoreError> {
    let sql = "SELECT count(*) FROM alert_history WHERE alert = ?1 AND author IS NOT NULL";
    let count: i64 = connection.prepare_cached(sql)?.query_row([&alert.0], |row| row.get(0))?;
    Ok(count.cast_unsigned())
}

type Columns = (i64, i64, Option<String>, String, String);

fn columns(row: &Row<'_>) -> rusqlite::Result<Columns> {
    Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?))
}

fn parse((number, at, by, what, body): Columns) -> Result<Record, StoreError> {
    let place = || format!("line {number} of the history of alerts");
    let what = Happening::named(&what).ok_or_else(|| StoreError::corrupt(place(), "an unknown word"))?;
    let body: Body = serde_json::from_str(&body).map_err(|error| StoreError::corrupt(place(), error))?;
    let Body { from, to, note, other } = body;
    Ok(Record { number: number.cast_unsigned(), at: Timestamp(at), by, what, from, to, note, other })
}
