//! Alerts, by id.

use rusqlite::types::Value;
use rusqlite::{OptionalExtension as _, Row, Transaction, params, params_from_iter};

use super::{AlertPlace, AlertQuery, HeldFilter, RuleAlerts, Store, StoreError, StoredAlert};
use crate::alert::{Alert, AlertId, Level};
use crate::event::Position;
use crate::time::Timestamp;

const COLUMNS: &str = "SELECT id, body, created_at, updated_at FROM alert";

/// Something kept an action from the alert for good: what is told with others is told, and what an action does not want
/// to hear of is nobody's doing.
const KEPT_BACK: &str =
    "EXISTS (SELECT 1 FROM held AS h WHERE h.alert = alert.id AND h.by NOT IN ('group', 'unwanted'))";
const NOT_KEPT_BACK: &str =
    "NOT EXISTS (SELECT 1 FROM held AS h WHERE h.alert = alert.id AND h.by NOT IN ('group', 'unwanted'))";

/// What waits for somebody stands first.
const OPEN_FIRST: &str = "coalesce((SELECT CASE t.state WHEN 'open' THEN 0 WHEN 'acknowledged' THEN 1 ELSE 2 END \
    FROM triage AS t WHERE t.alert = alert.id), 0), ";

impl Store {
    /// Alerts by the event time of their last finding, newest first.
    pub fn alerts(&self, query: &AlertQuery) -> Result<Vec<StoredAlert>, StoreError> {
        let mut conditions: Vec<&str> = Vec::new();
        let mut values: Vec<Value> = Vec::new();
        if let Some(rule) = &query.rule {
            conditions.push("rule = ?");
            values.push(Value::from(rule.clone()));
        }
        if let Some(level) = query.level {
            conditions.push("level >= ?");
            values.push(Value::from(rank(level)));
        }
        if let Some(since) = query.since {
            conditions.push("last_at > ?");
            values.push(Value::from(since.0));
        }
        if let Some(until) = query.until {
            conditions.push("last_at < ?");
            values.push(Value::from(until.0));
        }
        if query.whole_only {
            conditions.push("merged_into IS NULL");
        }
        if let Some(state) = query.state {
            conditions
                .push("coalesce((SELECT t.state FROM triage AS t WHERE t.alert = alert.id), 'open') = ?");
            values.push(Value::from(state.name().to_owned()));
        }
        if let Some(verdict) = query.verdict {
            conditions.push("(SELECT t.verdict FROM triage AS t WHERE t.alert = alert.id) = ?");
            values.push(Value::from(verdict.name().to_owned()));
        }
        if let Some(assignee) = &query.assignee {
            conditions
                .push("coalesce((SELECT t.assignee FROM triage AS t WHERE t.alert = alert.id), '') = ?");
            values.push(Value::from(assignee.clone()));
        }
        if let Some(incident) = &query.incident {
            conditions.push("incident = ?");
            values.push(Value::from(incident.clone()));
        }
        match query.held {
            None => {}
            Some(HeldFilter::Any) => conditions.push(KEPT_BACK),
            Some(HeldFilter::Nothing) => conditions.push(NOT_KEPT_BACK),
            Some(HeldFilter::By(by)) => {
                conditions.push("EXISTS (SELECT 1 FROM held AS h WHERE h.alert = alert.id AND h.by = ?)");
                values.push(Value::from(by.name().to_owned()));
            }
            Some(HeldFilter::Suppressed) => conditions.push("findings > 1"),
        }
        if let Some(AlertPlace { last_at, position, id }) = &query.after {
            conditions.push("(last_at, position, id) < (?, ?, ?)");
            values.extend([last_at.0.into(), position.cast_signed().into(), id.clone().into()]);
        }
        let filter = if conditions.is_empty() { "" } else { " WHERE " };
        let conditions = conditions.join(" AND ");
        // SQLite reads a negative limit as none.
        values.push(Value::from(if query.limit == 0 { -1 } else { query.limit.cast_signed() as i64 }));
        let first = if query.open_first { OPEN_FIRST } else { "" };
        let sql = format!(
            "{COLUMNS}{filter}{conditions} ORDER BY {first}last_at DESC, position DESC, id DESC LIMIT ?"
        );
        self.read(|connection| {
            let mut statement = connection.prepare_cached(&sql)?;
            let rows = statement.query_map(params_from_iter(values), columns)?;
            rows.map(|row| parse(row?)).collect()
        })
    }

    /// The alert with this id.
    pub fn alert(&self, id: &AlertId) -> Result<Option<StoredAlert>, StoreError> {
        self.read(|connection| {
            let sql = format!("{COLUMNS} WHERE id = ?1");
            let row = connection.prepare_cached(&sql)?.query_row([&id.0], columns).optional()?;
            row.map(parse).transpose()
        })
    }

    /// Ids that begin so, at most five.
    pub fn alerts_named(&self, beginning: &str) -> Result<Vec<AlertId>, StoreError> {
        self.read(|connection| {
            let sql = "SELECT id FROM alert WHERE id >= ?1 AND id < ?1 || '~' ORDER BY id LIMIT 5";
            let mut statement = connection.prepare_cached(sql)?;
            let rows = statement.query_map([beginning], |row| row.get(0).map(AlertId))?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        })
    }

    /// The newest 100 alerts that ended after `since` and have the event at this position among their evidence.
    pub fn alerts_citing(
        &self,
        position: Position,
        since: Timestamp,
    ) -> Result<Vec<StoredAlert>, StoreError> {
        self.read(|connection| {
            let sql = format!(
                "{COLUMNS} WHERE last_at > ?1 AND merged_into IS NULL AND (position = ?2 OR EXISTS \
                 (SELECT 1 FROM json_each(alert.body, '$.evidence') AS cited WHERE cited.value = ?2)) \
                 ORDER BY last_at DESC, position DESC LIMIT 100"
            );
            let mut statement = connection.prepare_cached(&sql)?;
            let rows = statement.query_map(params![since.0, position.cast_signed()], columns)?;
            rows.map(|row| parse(row?)).collect()
        })
    }

    /// How many alerts each rule has raised, by rule; rules without one are left out.
    pub fn alerts_by_rule(&self) -> Result<Vec<RuleAlerts>, StoreError> {
        self.read(|connection| {
            let sql = "SELECT rule, count(*), max(last_at) FROM alert WHERE merged_into IS NULL \
                       GROUP BY rule ORDER BY rule";
            let mut statement = connection.prepare_cached(sql)?;
            let rows = statement.query_map([], |row| {
                let count = row.get::<_, i64>(1)?.cast_unsigned();
                Ok(RuleAlerts { rule: row.get(0)?, count, last_at: Timestamp(row.get(2)?) })
            })?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        })
    }

    /// How many findings all alerts gathered; those of alerts that went up in another are counted there.
    pub fn findings_total(&self) -> Result<u64, StoreError> {
        self.read(|connection| {
            let sql = "SELECT coalesce(sum(findings), 0) FROM alert WHERE merged_into IS NULL";
            let total: i64 = connection.prepare_cached(sql)?.query_row([], |row| row.get(0))?;
            Ok(total.cast_unsigned())
        })
    }
}

type Columns = (String, String, i64, i64);

fn columns(row: &Row<'_>) -> rusqlite::Result<Columns> {
    Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
}

fn parse((id, body, created_at, updated_at): Columns) -> Result<StoredAlert, StoreError> {
    let alert: Alert =
        serde_json::from_str(&body).map_err(|error| StoreError::corrupt(format!("alert {id}"), error))?;
    Ok(StoredAlert { alert, created_at: Timestamp(created_at), updated_at: Timestamp(updated_at) })
}

/// A level's number in the table.
pub(super) const fn rank(level: Level) -> i64 {
    match level {
        Level::Informational => 0,
        Level::Low => 1,
        Level::Medium => 2,
        Level::High => 3,
        Level::Critical => 4,
    }
}

/// The level of this number; one that is unknown is taken for the gravest.
pub(super) fn level_of(number: i64) -> Level {
    Level::ALL.into_iter().find(|level| rank(*level) == number).unwrap_or(Level::Critical)
}

/// Stores alerts, each in place of what had its id.
pub(super) fn upsert(
    transaction: &Transaction<'_>,
    alerts: &[Alert],
    at: Timestamp,
) -> Result<(), StoreError> {
    let mut statement = transaction.prepare_cached(
        "INSERT INTO alert (id, rule, level, position, started_at, last_at, key, findings, merged_into, body, \
                            created_at, updated_at) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?11) \
         ON CONFLICT (id) DO UPDATE SET rule = excluded.rule, level = excluded.level, \
             position = excluded.position, started_at = excluded.started_at, last_at = excluded.last_at, \
             key = excluded.key, findings = excluded.findings, merged_into = excluded.merged_into, \
             body = excluded.body, updated_at = excluded.updated_at",
    )?;
    for alert in alerts {
        let body = serde_json::to_string(alert)
            .map_err(|error| StoreError::Database(format!("alert {}: {error}", alert.id)))?;
        statement.execute(params![
            alert.id.0,
            alert.rule,
            rank(alert.level),
            alert.position.cast_signed(),
            alert.started_at.0,
            alert.last_at.0,
            alert.key.to_string(),
            alert.findings.cast_signed(),
            alert.merged_into.as_ref().map(|id| &id.0),
            body,
            at.0,
        ])?;
    }
    Ok(())
}
