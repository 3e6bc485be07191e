//! Incidents: the alerts about one author or entity that came one after the other. All that is told of an incident is read
//! off its alerts; stored is only which alerts belong to it, and from when to when they reach in event time.

use std::collections::BTreeSet;

use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension as _, Row, Transaction, params, params_from_iter};

use super::alerts::{level_of, rank};
use super::{Changed, Deed, Store, StoreError, change, history};
use crate::alert::{Alert, AlertId, AlertState, Change, Level};
use crate::encode::Around;
use crate::time::{Span, Timestamp};

/// Alerts of one incident that are changed at once at most.
const ALERTS_MAX: usize = 10_000;

/// The alerts about one author or entity that came one after the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Incident {
    /// Derived from its first alert's id, or from the limit it is about.
    pub id: String,
    /// What its alerts have in common: `author_id = 7 at gitlab`.
    pub about: String,
    /// The title of its gravest alert, and how many rules more; or that responses have reached a limit.
    pub title: String,
    /// The gravest alert's.
    pub level: Level,
    /// Open as long as one of its alerts is; else acknowledged as long as one is.
    pub state: AlertState,
    /// How many alerts, those left out that went up in another.
    pub alerts: u64,
    /// How many of them stand where, in the order of [`AlertState::ALL`].
    pub states: [u64; 3],
    /// Event time of the first moment.
    pub first_at: Timestamp,
    /// Event time of the last finding.
    pub last_at: Timestamp,
    /// When its first alert was stored.
    pub created_at: Timestamp,
    /// Where its alerts went, if all of them went up in those of another.
    pub merged_into: Option<String>,
}

/// Which incidents to list; those whose last finding is newest first.
#[derive(Debug, Clone, Default)]
pub struct IncidentQuery {
    /// Only those that stand so.
    pub state: Option<AlertState>,
    /// Only of this level or graver.
    pub level: Option<Level>,
    /// Only those that come after this place in the list.
    pub after: Option<IncidentPlace>,
    /// At most so many; 0: all.
    pub limit: usize,
}

/// A place in the list of incidents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IncidentPlace {
    /// The incident's `last_at`.
    pub last_at: Timestamp,
    /// Its id.
    pub id: String,
}

const COLUMNS: &str = "SELECT i.id, i.about, i.first_at, i.last_at, i.created_at, i.merged_into, \
    coalesce(max(a.level), 0) AS level, count(a.id) AS alerts, coalesce(sum(coalesce(t.state, 'open') = 'open'), 0) AS open, \
    coalesce(sum(t.state = 'acknowledged'), 0) AS acknowledged, count(DISTINCT a.rule), \
    (SELECT json_extract(g.body, '$.title') FROM alert AS g WHERE g.incident = i.id AND g.merged_into IS NULL \
        ORDER BY g.level DESC, g.last_at DESC, g.id LIMIT 1), i.title \
    FROM incident AS i LEFT JOIN alert AS a ON a.incident = i.id AND a.merged_into IS NULL \
    LEFT JOIN triage AS t ON t.alert = a.id";

/// The rules of the gravest alerts of an incident, so many alerts.
pub(super) const COUNTED: &str =
    "SELECT rule FROM alert INDEXED BY alert_gravest WHERE incident = ?1 AND merged_into IS NULL LIMIT ?2";

/// The gravest alert of an incident, the newest of several.
pub(super) const GRAVEST: &str = "SELECT level, coalesce(json_extract(body, '$.title'), '') \
    FROM alert INDEXED BY alert_gravest WHERE incident = ?1 AND merged_into IS NULL \
    ORDER BY level DESC, last_at DESC, id LIMIT 1";

impl Store {
    /// Incidents, those whose last finding is newest first; without those that went up in another.
    pub fn incidents(&self, query: &IncidentQuery) -> Result<Vec<Incident>, StoreError> {
        let mut values: Vec<Value> = Vec::new();
        let mut conditions = String::from("i.merged_into IS NULL");
        if let Some(IncidentPlace { last_at, id }) = &query.after {
            conditions.push_str(" AND (i.last_at, i.id) < (?, ?)");
            values.extend([last_at.0.into(), id.clone().into()]);
        }
        let mut having = String::from("alerts > 0");
        having.push_str(match query.state {
            None => "",
            Some(AlertState::Open) => " AND open > 0",
            Some(AlertState::Acknowledged) => " AND open = 0 AND acknowledged > 0",
            Some(AlertState::Resolved) => " AND open = 0 AND acknowledged = 0",
        });
        if let Some(level) = query.level {
            having.push_str(" AND level >= ?");
            values.push(rank(level).into());
        }
        // SQLite reads a negative limit as none.
        values.push(Value::from(if query.limit == 0 { -1 } else { query.limit.cast_signed() as i64 }));
        let sql = format!(
            "{COLUMNS} WHERE {conditions} GROUP BY i.last_at, i.id HAVING {having} \
             ORDER BY i.last_at DESC, i.id DESC LIMIT ?"
        );
        self.read(|connection| {
            let mut statement = connection.prepare_cached(&sql)?;
            let rows = statement.query_map(params_from_iter(values), columns)?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        })
    }

    /// The incident of this id.
    pub fn incident(&self, id: &str) -> Result<Option<Incident>, StoreError> {
        self.read(|connection| {
            let sql = format!("{COLUMNS} WHERE i.id = ?1 GROUP BY i.id");
            Ok(connection.prepare_cached(&sql)?.query_row([id], columns).optional()?)
        })
    }

    /// What a message about one of its alerts says of an incident; none if there is no other alert in it. That costs no more
    /// than [`Around::ALERTS_MAX`] steps of an index, however many alerts it has.
    pub fn around(&self, id: &str) -> Result<Option<Around>, StoreError> {
        self.read(|connection| {
            let sql = "SELECT about, title FROM incident WHERE id = ?1";
            let of = |row: &Row<'_>| Ok((row.get::<_, String>(0)?, row.get::<_, Option<String>>(1)?));
            let Some((about, own)) = connection.prepare_cached(sql)?.query_row([id], of).optional()? else {
                return Ok(None);
            };
            let limit = Around::ALERTS_MAX.cast_signed() + 1;
            let mut counted = connection.prepare_cached(COUNTED)?;
            let (mut alerts, mut rules) = (0, BTreeSet::new());
            for rule in counted.query_map(params![id, limit], |row| row.get::<_, String>(0))? {
                rules.insert(rule?);
                alerts += 1;
            }
            if alerts < 2 {
                return Ok(None);
            }
            let of = |row: &Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?));
            let (level, title) = connection.prepare_cached(GRAVEST)?.query_row([id], of)?;
            let title = own.unwrap_or_else(|| entitled(title, rules.len() as u64));
            Ok(Some(Around { id: id.to_owned(), about, alerts, level: level_of(level), title }))
        })
    }

    /// Ids that begin so, at most five.
    pub fn incidents_named(&self, beginning: &str) -> Result<Vec<String>, StoreError> {
        self.read(|connection| {
            let sql = "SELECT id FROM incident WHERE id >= ?1 AND id < ?1 || '~' ORDER BY id LIMIT 5";
            let mut statement = connection.prepare_cached(sql)?;
            let rows = statement.query_map([beginning], |row| row.get(0))?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        })
    }

    /// Changes all alerts of an incident that this means something to, or none: those that nobody has taken up are
    /// acknowledged, those that are not resolved are, those that are resolved are opened again; all are assigned.
    ///
    /// [`StoreError::Unknown`] if there is no such incident; else as [`Store::change`].
    pub fn change_incident(
        &self,
        id: &str,
        change: &Change,
        deed: &Deed,
    ) -> Result<Vec<Changed>, StoreError> {
        self.write(|transaction| {
            if !transaction.prepare_cached("SELECT 1 FROM incident WHERE id = ?1")?.exists([id])? {
                return Err(StoreError::Unknown { what: format!("incident {id}") });
            }
            let meant = match change {
                Change::Acknowledge { .. } => "= 'open'",
                Change::Resolve { .. } => "!= 'resolved'",
                Change::Reopen { .. } => "= 'resolved'",
                Change::Assign { .. } | Change::Comment { .. } => "IS NOT NULL",
            };
            let alerts = alerts_of(transaction, id, meant)?;
            let deed = deed.clone().asking(format!("incident {id}"));
            alerts.iter().map(|alert| change::apply(transaction, alert, (change, None), &deed)).collect()
        })
    }
}

fn alerts_of(connection: &Connection, id: &str, meant: &str) -> Result<Vec<AlertId>, StoreError> {
    let sql = format!(
        "SELECT a.id FROM alert AS a LEFT JOIN triage AS t ON t.alert = a.id \
         WHERE a.incident = ?1 AND a.merged_into IS NULL AND coalesce(t.state, 'open') {meant} \
         ORDER BY a.started_at, a.position, a.id LIMIT ?2"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let limit = (ALERTS_MAX + 1).cast_signed() as i64;
    let rows = statement.query_map(params![id, limit], |row| row.get(0).map(AlertId))?;
    let found: Vec<AlertId> = rows.collect::<rusqlite::Result<_>>()?;
    if found.len() > ALERTS_MAX {
        let what = format!("incident {id} has more than {ALERTS_MAX} such alerts: change them one by one");
        return Err(StoreError::Conflict { what });
    }
    Ok(found)
}

/// What an incident is called by its gravest alert, and how many rules it has.
fn entitled(title: String, rules: u64) -> String {
    match rules {
        0 | 1 => title,
        2 => format!("{title}, and one rule more"),
        more => format!("{title}, and {} rules more", more - 1),
    }
}

fn columns(row: &Row<'_>) -> rusqlite::Result<Incident> {
    let count = |index| row.get::<_, i64>(index).map(i64::cast_unsigned);
    let (alerts, open, acknowledged, rules) = (count(7)?, count(8)?, count(9)?, count(10)?);
    let title: String = row.get::<_, Option<String>>(11)?.unwrap_or_default();
    let own: Option<String> = row.get(12)?;
    let title = own.unwrap_or_else(|| entitled(title, rules));
    let state = match (open, acknowledged) {
        (1.., _) => AlertState::Open,
        (0, 1..) => AlertState::Acknowledged,
        (0, 0) => AlertState::Resolved,
    };
    Ok(Incident {
        id: row.get(0)?,
        about: row.get(1)?,
        title,
        level: level_of(row.get(6)?),
        state,
        alerts,
        states: [open, acknowledged, alerts.saturating_sub(open + acknowledged)],
        first_at: Timestamp(row.get(2)?),
        last_at: Timestamp(row.get(3)?),
        created_at: Timestamp(row.get(4)?),
        merged_into: row.get(5)?,
    })
}

/// The newest incident about something that is not resolved: whether it is takes one step of an index, however many
/// alerts it has.
pub(super) const GATHERS: &str = "SELECT id FROM incident AS i WHERE about = ?1 AND merged_into IS NULL \
    AND last_at >= ?2 AND first_at <= ?3 AND EXISTS (SELECT 1 FROM alert AS a INDEXED BY alert_unresolved \
        WHERE a.incident = i.id AND a.resolved = 0 AND a.merged_into IS NULL) \
    ORDER BY last_at DESC, id DESC LIMIT 1";

/// Puts a new alert into the newest incident about the same that is not resolved and that it comes no more than the gap
/// after, or before; or into one of its own.
pub(super) fn gather(
    transaction: &Transaction<'_>,
    alert: &Alert,
    (about, gap): (&str, Span),
    at: Timestamp,
) -> Result<(), StoreError> {
    let (from, to) = (alert.started_at.minus(gap), alert.last_at.plus(gap));
    let open: Option<String> = transaction
        .prepare_cached(GATHERS)?
        .query_row(params![about, from.0, to.0], |row| row.get(0))
        .optional()?;
    let id = match open {
        Some(id) => id,
        None => begin(transaction, alert, about, at)?,
    };
    transaction
        .prepare_cached("UPDATE alert SET incident = ?2 WHERE id = ?1")?
        .execute(params![alert.id.0, id])?;
    extend(transaction, alert)
}

/// An incident's id is derived, and one of that id may be there: the alert was forgotten and what it began with others is
/// not, or all that it had went elsewhere. It is the same incident then, and goes on.
const TAKEN_UP: &str = "ON CONFLICT (id) DO UPDATE SET merged_into = NULL, \
    first_at = CASE WHEN merged_into IS NULL THEN min(first_at, excluded.first_at) ELSE excluded.first_at END, \
    last_at = CASE WHEN merged_into IS NULL THEN max(last_at, excluded.last_at) ELSE excluded.last_at END";

fn begin(
    transaction: &Transaction<'_>,
    alert: &Alert,
    about: &str,
    at: Timestamp,
) -> Result<String, StoreError> {
    let id: String =
        blake3::hash(format!("incident\0{}", alert.id).as_bytes()).to_hex().chars().take(32).collect();
    let sql = format!(
        "INSERT INTO incident (id, about, first_at, last_at, created_at) VALUES (?1, ?2, ?3, ?4, ?5) {TAKEN_UP}"
    );
    let values = params![id, about, alert.started_at.0, alert.last_at.0, at.0];
    transaction.prepare_cached(&sql)?.execute(values)?;
    Ok(id)
}

/// Puts an alert into the incident about a limit of responses that was reached; `began` is when that time of the limit
/// began, so that there is one for it however many follow. The incident's id.
pub(super) fn beyond(
    transaction: &Transaction<'_>,
    alert: &AlertId,
    (limit, began): (&str, Timestamp),
    at: Timestamp,
) -> Result<Option<String>, StoreError> {
    // One that went up in another is where that one is.
    let sql = "SELECT coalesce(merged_into, id) FROM alert WHERE id = ?1";
    let found: Option<String> =
        transaction.prepare_cached(sql)?.query_row([&alert.0], |row| row.get(0)).optional()?;
    let Some(alert) = found.map(AlertId) else { return Ok(None) };
    let unique = format!("incident\0limit\0{limit}\0{}", began.0);
    let id: String = blake3::hash(unique.as_bytes()).to_hex().chars().take(32).collect();
    let sql = format!(
        "INSERT INTO incident (id, about, first_at, last_at, created_at, title) \
         SELECT ?1, ?2, started_at, last_at, ?3, ?4 FROM alert WHERE id = ?5 {TAKEN_UP}"
    );
    let (about, title) =
        (format!("limit of responses = {limit}"), format!("Responses have reached a limit: {limit}"));
    transaction.prepare_cached(&sql)?.execute(params![id, about, at.0, title, alert.0])?;
    move_to(transaction, &alert, &id)?;
    let sql = "UPDATE incident SET first_at = min(i.first_at, a.started_at), last_at = max(i.last_at, a.last_at) \
               FROM incident AS i, alert AS a WHERE incident.id = ?1 AND i.id = ?1 AND a.id = ?2";
    transaction.prepare_cached(sql)?.execute(params![id, alert.0])?;
    history::mark(transaction, &alert)?;
    Ok(Some(id))
}

/// An alert's incident reaches as far as the alert does.
pub(super) fn extend(transaction: &Transaction<'_>, alert: &Alert) -> Result<(), StoreError> {
    let sql = "UPDATE incident SET first_at = min(first_at, ?2), last_at = max(last_at, ?3) \
               WHERE id = (SELECT incident FROM alert WHERE id = ?1)";
    let values = params![alert.id.0, alert.started_at.0, alert.last_at.0];
    transaction.prepare_cached(sql)?.execute(values)?;
    Ok(())
}

/// An alert that went up in another belongs where that one does. An incident that has no alert of its own left went up in
/// that incident; another reaches as far as those that it has left.
pub(super) fn follow(
    transaction: &Transaction<'_>,
    alert: &AlertId,
    into: &AlertId,
) -> Result<(), StoreError> {
    let new = incident_of(transaction, into)?;
    match new {
        Some(new) => move_to(transaction, alert, &new),
        None => Ok(()),
    }
}

/// Puts an alert into this incident. What it leaves without an alert of its own went up in it, and reaches as far as what
/// it has left otherwise.
fn move_to(transaction: &Transaction<'_>, alert: &AlertId, new: &str) -> Result<(), StoreError> {
    let old = incident_of(transaction, alert)?;
    if old.as_deref() == Some(new) {
        return Ok(());
    }
    transaction
        .prepare_cached("UPDATE alert SET incident = ?2 WHERE id = ?1")?
        .execute(params![alert.0, new])?;
    let sql = "UPDATE incident SET merged_into = ?2 WHERE id = ?1 AND NOT EXISTS \
               (SELECT 1 FROM alert WHERE incident = ?1 AND merged_into IS NULL)";
    transaction.prepare_cached(sql)?.execute(params![old, new])?;
    let sql = "UPDATE incident SET (first_at, last_at) = \
               (SELECT min(started_at), max(last_at) FROM alert WHERE incident = ?1 AND merged_into IS NULL) \
               WHERE id = ?1 AND merged_into IS NULL";
    transaction.prepare_cached(sql)?.execute(params![old])?;
    Ok(())
}

fn incident_of(connection: &Connection, alert: &AlertId) -> Result<Option<String>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT incident FROM alert WHERE id = ?1")?;
    Ok(statement.query_row([&alert.0], |row| row.get(0)).optional()?.flatten())
}
