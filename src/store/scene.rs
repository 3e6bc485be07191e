//! Where the events of alerts happened, and what is known of other alerts when one is decided about.

use rusqlite::{Connection, OptionalExtension as _, Row, Transaction, params};

use super::{Store, StoreError};
use crate::alert::{Alert, AlertId};
use crate::route::{HeldBy, OpenAlert, Scene};
use crate::time::{Span, Timestamp};

/// How far back the storm guard counts.
pub(super) const HOUR: Span = Span::hours(1);
/// Of open alerts so many are looked at, the newest ones.
const OPEN_MAX: i64 = 1_000;
/// Of the alerts of the past so many are looked at, the newest ones.
const PAST_MAX: i64 = 100_000;

impl Store {
    /// Where the events of an alert happened; none for alerts from before that was kept.
    pub fn scene(&self, alert: &AlertId) -> Result<Option<Scene>, StoreError> {
        self.read(|connection| {
            let sql = "SELECT body FROM scene WHERE alert = ?1";
            let body: Option<String> =
                connection.prepare_cached(sql)?.query_row([&alert.0], |row| row.get(0)).optional()?;
            body.map(|body| parse(&body, &alert.0)).transpose()
        })
    }

    /// Visits the alerts that were committed after this moment, with where they happened, the newest first and at most
    /// 100,000.
    pub fn scenes_since(
        &self,
        since: Timestamp,
        mut visit: impl FnMut(&Alert, &Scene),
    ) -> Result<(), StoreError> {
        self.read(|connection| {
            let sql = "SELECT alert.id, alert.body, scene.body, scene.at FROM scene \
                       JOIN alert ON alert.id = scene.alert \
                       WHERE scene.at > ?1 AND alert.merged_into IS NULL ORDER BY scene.at DESC LIMIT ?2";
            let mut statement = connection.prepare_cached(sql)?;
            let rows = statement.query_map(params![since.0, PAST_MAX], columns)?;
            for row in rows {
                let OpenAlert { alert, scene, .. } = whole(row?)?;
                visit(&alert, &scene);
            }
            Ok(())
        })
    }

    /// The open alerts that were told and changed after this moment: those that may hold others back. The newest 1,000.
    pub fn open_alerts(&self, since: Timestamp) -> Result<Vec<OpenAlert>, StoreError> {
        self.read(|connection| open_since(connection, since))
    }

    /// How many alerts of a rule and source the storm guard counts at this moment.
    pub fn recent_alerts(&self, rule: &str, source: Option<&str>, at: Timestamp) -> Result<u64, StoreError> {
        self.read(|connection| recent(connection, (rule, source), at, u64::MAX))
    }
}

/// Keeps where an alert's events happened, whether responses to it only rehearse, and what held it back.
pub(super) fn insert(
    transaction: &Transaction<'_>,
    (alert, scene, rehearses): (&Alert, &Scene, bool),
    held: Option<HeldBy>,
    at: Timestamp,
) -> Result<(), StoreError> {
    let body = serde_json::to_string(scene)
        .map_err(|error| StoreError::Database(format!("scene of alert {}: {error}", alert.id)))?;
    let sql = "INSERT INTO scene (alert, rule, source, at, held, counted, body, rehearses) \
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT (alert) DO NOTHING";
    let source = scene.source.as_deref().unwrap_or_default();
    let counted = matches!(held, None | Some(HeldBy::Storm));
    let held = held.map(HeldBy::name);
    let values = params![alert.id.0, alert.rule, source, at.0, held, counted, body, rehearses];
    transaction.prepare_cached(sql)?.execute(values)?;
    Ok(())
}

/// Whether responses to this alert only rehearse, by what its rule said when it was committed.
pub(super) fn rehearses(connection: &Connection, alert: &AlertId) -> Result<bool, StoreError> {
    let sql = "SELECT 1 FROM scene WHERE alert = ?1 AND rehearses";
    Ok(connection.prepare_cached(sql)?.exists([&alert.0])?)
}

/// Whether it was decided about this alert before, or it was there before decisions were kept.
pub(super) fn is_known(connection: &Connection, alert: &AlertId) -> Result<bool, StoreError> {
    Ok(connection.prepare_cached("SELECT 1 FROM alert WHERE id = ?1")?.exists([&alert.0])?)
}

/// How many alerts of a rule and source were committed within the hour before, but for those that something else than
/// the storm guard held back; it counts to `most`, not further: in a storm there are many. What a clock that was set back
/// makes lie in the future does not count.
pub(super) fn recent(
    connection: &Connection,
    (rule, source): (&str, Option<&str>),
    at: Timestamp,
    most: u64,
) -> Result<u64, StoreError> {
    let sql = "SELECT count(*) FROM (SELECT 1 FROM scene WHERE rule = ?1 AND source = ?2 AND counted = 1 \
               AND at > ?3 AND at <= ?4 LIMIT ?5)";
    let limit = i64::try_from(most).unwrap_or(i64::MAX);
    let values = params![rule, source.unwrap_or_default(), at.minus(HOUR).0, at.0, limit];
    let count: i64 = connection.prepare_cached(sql)?.query_row(values, |row| row.get(0))?;
    Ok(count.cast_unsigned())
}

/// The open alerts that were told and changed after this moment, the newest ones. One that was itself held back by another
/// is none of them: two inhibitions would keep each other's alerts from everybody in turn.
pub(super) fn open_since(connection: &Connection, since: Timestamp) -> Result<Vec<OpenAlert>, StoreError> {
    let sql = "SELECT alert.id, alert.body, scene.body, alert.updated_at FROM alert \
               JOIN scene ON scene.alert = alert.id LEFT JOIN triage ON triage.alert = alert.id \
               WHERE alert.updated_at > ?1 AND alert.merged_into IS NULL \
               AND scene.held IS NULL \
               AND coalesce(triage.state, 'open') <> 'resolved' ORDER BY alert.updated_at DESC LIMIT ?2";
    let mut statement = connection.prepare_cached(sql)?;
    let rows = statement.query_map(params![since.0, OPEN_MAX], columns)?;
    rows.map(|row| whole(row?)).collect()
}

type Columns = (String, String, String, i64);

fn columns(row: &Row<'_>) -> rusqlite::Result<Columns> {
    Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
}

fn whole((id, alert, scene, at): Columns) -> Result<OpenAlert, StoreError> {
    let scene = parse(&scene, &id)?;
    let alert =
        serde_json::from_str(&alert).map_err(|error| StoreError::corrupt(format!("alert {id}"), error))?;
    Ok(OpenAlert { alert, scene, changed_at: Timestamp(at) })
}

fn parse(body: &str, id: &str) -> Result<Scene, StoreError> {
    serde_json::from_str(body).map_err(|error| StoreError::corrupt(format!("scene of alert {id}"), error))
}
