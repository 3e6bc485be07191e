//! What was held back, by what.

use rusqlite::{Connection, Transaction, params};

use super::{SUPPRESSED, Store, StoreError, terms};
use crate::alert::{AlertId, Occasion};
use crate::route::{Held, HeldBy};
use crate::time::Timestamp;

impl Store {
    /// What was held back of an alert, in the order of time.
    pub fn held_of(&self, alert: &AlertId) -> Result<Vec<Held>, StoreError> {
        self.read(|connection| {
            let sql =
                "SELECT action, by, which, why, at FROM held WHERE alert = ?1 ORDER BY at, action, by, which";
            let mut statement = connection.prepare_cached(sql)?;
            let rows = statement.query_map([&alert.0], |row| {
                let by: String = row.get(1)?;
                let held = Held {
                    alert: alert.clone(),
                    action: row.get(0)?,
                    by: HeldBy::Silence,
                    which: row.get(2)?,
                    why: row.get(3)?,
                    at: Timestamp(row.get(4)?),
                };
                Ok((by, held))
            })?;
            let named = |(by, held): (String, Held)| {
                let by = HeldBy::named(&by);
                let by = by.ok_or_else(|| {
                    StoreError::corrupt(format!("what held alert {alert}"), "an unknown word")
                })?;
                Ok(Held { by, ..held })
            };
            rows.map(|row| named(row?)).collect()
        })
    }

    /// How often something was held back, by the word for what held it: those of [`HeldBy`], and `suppressed` for findings
    /// that went up in an alert which was told already.
    pub fn held_totals(&self) -> Result<Vec<(String, u64)>, StoreError> {
        self.read(|connection| {
            let mut statement = connection.prepare_cached("SELECT by, count FROM held_total ORDER BY by")?;
            let rows =
                statement.query_map([], |row| Ok((row.get(0)?, row.get::<_, i64>(1)?.cast_unsigned())))?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        })
    }
}

/// What ever held something of an alert back, each once, in the order of [`HeldBy::ALL`].
pub(super) fn marks(connection: &Connection, alert: &AlertId) -> Result<Vec<HeldBy>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT DISTINCT by FROM held WHERE alert = ?1")?;
    let rows = statement.query_map([&alert.0], |row| row.get::<_, String>(0))?;
    let names = rows.collect::<rusqlite::Result<Vec<String>>>()?;
    Ok(HeldBy::ALL.into_iter().filter(|by| names.iter().any(|name| name == by.name())).collect())
}

/// Notes and counts what was held back.
pub(super) fn note(transaction: &Transaction<'_>, held: &Held) -> Result<(), StoreError> {
    if insert(transaction, held)? { count(transaction, held.by.name(), 1) } else { Ok(()) }
}

/// Notes what was held back, for somebody who counts it; false if that was noted before.
pub(super) fn insert(transaction: &Transaction<'_>, held: &Held) -> Result<bool, StoreError> {
    let sql = "INSERT INTO held (alert, action, by, which, why, at) VALUES (?1, ?2, ?3, ?4, ?5, ?6) \
               ON CONFLICT (alert, action, by, which) DO NOTHING";
    let values = params![held.alert.0, held.action, held.by.name(), held.which, held.why, held.at.0];
    Ok(transaction.prepare_cached(sql)?.execute(values)? > 0)
}

/// That an action does not want to hear of an alert on this occasion.
pub(super) fn unwanted((alert, action): (AlertId, &str), occasion: Occasion, at: Timestamp) -> Held {
    let why = format!("`{action}` is not told of this: its occasions leave out `{}`", occasion.name());
    let (action, which) = (action.to_owned(), occasion.name().to_owned());
    Held { alert, action, by: HeldBy::Unwanted, which, why, at }
}

/// Whether an action wants to hear of an alert on this occasion; if not, that is noted.
pub(super) fn is_wanted(
    transaction: &Transaction<'_>,
    (alert, action): (&AlertId, &str),
    occasion: Occasion,
    at: Timestamp,
) -> Result<bool, StoreError> {
    if terms::wants(transaction, action, occasion)? {
        return Ok(true);
    }
    note(transaction, &unwanted((alert.clone(), action), occasion, at))?;
    Ok(false)
}

/// Counts findings that went up in alerts which were told already.
pub(super) fn suppressed(transaction: &Transaction<'_>, findings: u64) -> Result<(), StoreError> {
    if findings == 0 { Ok(()) } else { count(transaction, SUPPRESSED, findings) }
}

/// Adds to how often something held back.
pub(super) fn count(connection: &Connection, by: &str, more: u64) -> Result<(), StoreError> {
    let sql = "INSERT INTO held_total (by, count) VALUES (?1, ?2) \
               ON CONFLICT (by) DO UPDATE SET count = count + excluded.count";
    connection.prepare_cached(sql)?.execute(params![by, more.cast_signed()])?;
    Ok(())
}
