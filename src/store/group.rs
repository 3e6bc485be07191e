//! Several alerts in one delivery.

use rusqlite::{Connection, OptionalExtension as _, Row, Transaction, params};

use super::followup::{self, Followup, Kind};
use super::{DeliveryKind, OutboxRow, Store, StoreError, outbox};
use crate::alert::{Alert, AlertId, AlertState};
use crate::route::{Case, GroupState, Joined, Manner, join};
use crate::time::Timestamp;

/// Alerts in one reminder of a group, the newest ones.
const REMINDED_MAX: usize = 200;

impl Store {
    /// The further alerts that a delivery tells, in the order in which they joined. From now on no alert joins it: it is
    /// asked before the first try, and every later try gets the same answer.
    pub fn told_with(&self, delivery: &OutboxRow) -> Result<Vec<Alert>, StoreError> {
        let sql = "SELECT 1 FROM delivery_alert WHERE delivery = ?1";
        if !self.read(|connection| Ok(connection.prepare_cached(sql)?.exists([&delivery.id])?))? {
            return Ok(Vec::new());
        }
        self.write(|transaction| {
            close(transaction, &delivery.id)?;
            let sql = "SELECT alert.id, alert.body FROM delivery_alert JOIN alert ON alert.id = delivery_alert.alert \
                       WHERE delivery = ?1 AND delivery_alert.alert <> ?2 ORDER BY number";
            let mut statement = transaction.prepare_cached(sql)?;
            let rows = statement.query_map([&delivery.id, &delivery.alert.0], |row| {
                Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?))
            })?;
            rows.map(|row| {
                let (id, body) = row?;
                serde_json::from_str(&body).map_err(|error| StoreError::corrupt(format!("alert {id}"), error))
            })
            .collect()
        })
    }

    /// The ids of the alerts that each delivery of this alert's groups tells, by delivery.
    pub fn told_together(&self, delivery: &str) -> Result<Vec<AlertId>, StoreError> {
        self.read(|connection| {
            let sql = "SELECT alert FROM delivery_alert WHERE delivery = ?1 ORDER BY number";
            let mut statement = connection.prepare_cached(sql)?;
            let rows = statement.query_map([delivery], |row| Ok(AlertId(row.get(0)?)))?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        })
    }
}

/// Lets an alert be told with the others of its group. Answers the delivery, and when it is due.
pub(super) fn tell(
    transaction: &Transaction<'_>,
    case: &Case<'_>,
    (action, manner): (&str, &Manner),
    at: Timestamp,
) -> Result<(String, Timestamp), StoreError> {
    let Some(group) = &manner.group else { return Ok((String::new(), at)) };
    let key = group.key(case);
    let id = name(&format!("group/{action}/{key}"));
    let state = state(transaction, &id)?;
    match join(group, state.as_ref(), at) {
        Joined::Waiting(delivery) => {
            let size = state.as_ref().map_or(0, |state| state.size);
            add(transaction, &delivery, (size, &case.alert.id), &id)?;
            enter(transaction, &id, &case.alert.id)?;
            let sql = "UPDATE alert_group SET size = size + 1 WHERE id = ?1";
            transaction.prepare_cached(sql)?.execute([&id])?;
            let due_at = state.map_or(at, |state| state.last_due);
            Ok((delivery, due_at))
        }
        Joined::New(due_at) => {
            let unique = format!("group/{id}/{}", case.alert.id);
            let row = OutboxRow::owed(DeliveryKind::Notify, (case.alert.id.clone(), action), &unique, at);
            let row = OutboxRow { due_at, ..row };
            owe(transaction, &row, &id)?;
            add(transaction, &row.id, (0, &case.alert.id), &id)?;
            enter(transaction, &id, &case.alert.id)?;
            let sql = "INSERT INTO alert_group (id, action, key, open, size, last_due) VALUES (?1, ?2, ?3, ?4, 1, ?5) \
                       ON CONFLICT (id) DO UPDATE SET open = excluded.open, size = 1, last_due = excluded.last_due";
            transaction.prepare_cached(sql)?.execute(params![id, action, key, row.id, due_at.0])?;
            repeat(transaction, (&id, action), manner, due_at)?;
            Ok((row.id, due_at))
        }
    }
}

/// Lets no further alert join a delivery.
pub(super) fn close(transaction: &Transaction<'_>, delivery: &str) -> Result<(), StoreError> {
    let sql = "UPDATE alert_group SET open = NULL, size = 0 WHERE open = ?1";
    transaction.prepare_cached(sql)?.execute([delivery])?;
    Ok(())
}

/// Has a group told again: while any of its alerts is unresolved, where the group says so; while any is open, where
/// the route does.
fn repeat(
    transaction: &Transaction<'_>,
    (id, action): (&str, &str),
    manner: &Manner,
    last_due: Timestamp,
) -> Result<(), StoreError> {
    let of_group = manner.group.as_ref().and_then(|group| group.repeat);
    let (kind, span) = match (of_group, manner.repeat) {
        (Some(span), _) => (Kind::Group, span),
        (None, Some(span)) => (Kind::GroupOpen, span),
        (None, None) => return Ok(()),
    };
    let (id, about, action) = (format!("again/{id}"), id.to_owned(), action.to_owned());
    followup::put(
        transaction,
        &Followup { id, kind, about, action, step: 0, span, due_at: last_due.plus(span) },
    )
}

/// Asks whether an alert may be told.
pub(super) type Asking<'a> = dyn Fn(&AlertId) -> Result<bool, StoreError> + 'a;

/// Tells a group again; none of its alerts is left if it answers no. While a message of it waits, or is tried again, it is
/// not told now.
pub(super) fn remind(
    transaction: &Transaction<'_>,
    due: &Followup,
    (at, is_told): (Timestamp, &Asking<'_>),
    row_of: impl Fn(&AlertId) -> OutboxRow,
) -> Result<bool, StoreError> {
    if state(transaction, &due.about)?.is_some_and(|state| state.open.is_some()) {
        return Ok(true);
    }
    let mut alerts = left(transaction, &due.about, due.kind)?;
    if alerts.is_empty() {
        return Ok(false);
    }
    if is_pending(transaction, &due.about)? {
        return Ok(true);
    }
    alerts.reverse();
    let mut told = Vec::with_capacity(alerts.len());
    for alert in alerts {
        if is_told(&alert)? {
            told.push(alert);
        }
    }
    // What a silence holds back may be told the next time.
    let Some(first) = told.first() else { return Ok(true) };
    let row = row_of(first);
    owe(transaction, &row, &due.about)?;
    for (number, alert) in (0..).zip(&told) {
        add(transaction, &row.id, (number, alert), &due.about)?;
    }
    let sql = "UPDATE alert_group SET last_due = ?2 WHERE id = ?1";
    transaction.prepare_cached(sql)?.execute(params![due.about, at.0])?;
    Ok(true)
}

/// The alerts of a group in one state, the newest first: one step of an index for each, however many it ever had.
pub(super) const LEFT: &str =
    "SELECT number, alert FROM group_alert WHERE grouped = ?1 AND state = ?2 ORDER BY number DESC LIMIT ?3";

/// The alerts of a group that it is told again for, the newest first.
fn left(connection: &Connection, group: &str, kind: Kind) -> Result<Vec<AlertId>, StoreError> {
    let wanted: &[AlertState] =
        if kind == Kind::Group { &[AlertState::Open, AlertState::Acknowledged] } else { &[AlertState::Open] };
    let mut statement = connection.prepare_cached(LEFT)?;
    let limit = REMINDED_MAX.cast_signed() as i64;
    let mut found: Vec<(i64, AlertId)> = Vec::new();
    for state in wanted {
        let of = |row: &Row<'_>| Ok((row.get(0)?, AlertId(row.get(1)?)));
        for row in statement.query_map(params![group, state.name(), limit], of)? {
            found.push(row?);
        }
    }
    found.sort_by_key(|(number, _)| std::cmp::Reverse(*number));
    found.truncate(REMINDED_MAX);
    Ok(found.into_iter().map(|(_, alert)| alert).collect())
}

/// Whether a message of the group is still to be told.
pub(super) const PENDING: &str = "SELECT 1 FROM outbox WHERE grouped = ?1 AND state = 0";

fn is_pending(connection: &Connection, group: &str) -> Result<bool, StoreError> {
    Ok(connection.prepare_cached(PENDING)?.exists([group])?)
}

/// Owes a message of a group.
fn owe(transaction: &Transaction<'_>, row: &OutboxRow, group: &str) -> Result<(), StoreError> {
    outbox::insert(transaction, std::slice::from_ref(row))?;
    let sql = "UPDATE outbox SET grouped = ?2 WHERE id = ?1";
    transaction.prepare_cached(sql)?.execute([&row.id, group])?;
    Ok(())
}

/// A new alert belongs to a group from now on. Where it stands is kept by the database itself.
fn enter(transaction: &Transaction<'_>, group: &str, alert: &AlertId) -> Result<(), StoreError> {
    let sql = "INSERT INTO group_alert (grouped, alert, state) \
               VALUES (?1, ?2, coalesce((SELECT state FROM triage WHERE alert = ?2), 'open')) \
               ON CONFLICT (alert, grouped) DO NOTHING";
    transaction.prepare_cached(sql)?.execute([group, &alert.0])?;
    Ok(())
}

fn add(
    transaction: &Transaction<'_>,
    delivery: &str,
    (number, alert): (u32, &AlertId),
    group: &str,
) -> Result<(), StoreError> {
    let sql = "INSERT INTO delivery_alert (delivery, number, alert, grouped) VALUES (?1, ?2, ?3, ?4) \
               ON CONFLICT (delivery, number) DO NOTHING";
    transaction.prepare_cached(sql)?.execute(params![delivery, number, alert.0, group])?;
    Ok(())
}

fn state(connection: &Connection, id: &str) -> Result<Option<GroupState>, StoreError> {
    let sql = "SELECT open, size, last_due FROM alert_group WHERE id = ?1";
    let mut statement = connection.prepare_cached(sql)?;
    let found = statement.query_row([id], |row| {
        Ok(GroupState { open: row.get(0)?, size: row.get(1)?, last_due: Timestamp(row.get(2)?) })
    });
    Ok(found.optional()?)
}

/// 16 bytes of BLAKE3, in hex.
pub(super) fn name(unique: &str) -> String {
    blake3::hash(unique.as_bytes()).to_hex().chars().take(32).collect()
}
