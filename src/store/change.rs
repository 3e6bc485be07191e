//! What people do with alerts: the change, its line of history, what is owed for it and its row of the audit log are one
//! transaction.

use rusqlite::{Connection, Transaction, params};

use super::history::{self, HISTORY_MAX, Line};
use super::triage::{self, Standing, root, standing_of};
use super::{Deed, DeliveryKind, OutboxRow, Store, StoreError, audit, outbox};
use crate::alert::{AlertId, Change, Happening, Occasion, Record, Stance};
use crate::time::Timestamp;

/// Duplicates of duplicates that are followed to see whether they lead back.
const DUPLICATES_MAX: usize = 64;

/// What came of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed {
    /// The alert it was made to: the one that the named one went up in, or itself.
    pub alert: AlertId,
    /// The new line of its history; none: it was so already.
    pub record: Option<Record>,
}

impl Store {
    /// Changes an alert. `seen` is the [`Standing::revision`] that whoever asks for this has seen; what is so already is
    /// no change and never outdated.
    ///
    /// [`StoreError::Unknown`] if there is no such alert, [`StoreError::Outdated`] if it was changed since,
    /// [`StoreError::Conflict`] if the change does not go with where it stands.
    pub fn change(
        &self,
        alert: &AlertId,
        change: &Change,
        seen: Option<u64>,
        deed: &Deed,
    ) -> Result<Changed, StoreError> {
        self.write(|transaction| apply(transaction, alert, (change, seen), deed))
    }

    /// Changes several, all or none.
    pub fn change_all(
        &self,
        alerts: &[(AlertId, Option<u64>)],
        change: &Change,
        deed: &Deed,
    ) -> Result<Vec<Changed>, StoreError> {
        self.write(|transaction| {
            let one =
                |(alert, seen): &(AlertId, Option<u64>)| apply(transaction, alert, (change, *seen), deed);
            alerts.iter().map(one).collect()
        })
    }
}

/// Changes an alert within a transaction.
pub(super) fn apply(
    transaction: &Transaction<'_>,
    alert: &AlertId,
    (change, seen): (&Change, Option<u64>),
    deed: &Deed,
) -> Result<Changed, StoreError> {
    let unknown = |alert: &AlertId| StoreError::Unknown { what: format!("alert {alert}") };
    let alert = root(transaction, alert)?.ok_or_else(|| unknown(alert))?;
    let standing = standing_of(transaction, &alert)?;
    let from = standing.stance();
    let refused = |why: String| StoreError::Conflict { what: format!("alert {alert}: {why}") };
    let change = &with_root(transaction, &alert, change)?;
    let to = from.after(change).map_err(|refusal| refused(refusal.to_string()))?;
    if is_so_already(transaction, (&alert, &standing), (change, &to), deed)? {
        audit::record(transaction, &about(deed, &alert, &from, &to), "nothing to do: it is so already")?;
        return Ok(Changed { alert, record: None });
    }
    if seen.is_some_and(|seen| seen != standing.revision) {
        return Err(outdated(transaction, &alert)?);
    }
    if history::count(transaction, &alert)? >= HISTORY_MAX {
        return Err(refused(format!("its history has {HISTORY_MAX} lines of people: no more are taken")));
    }
    let (by, note) = (deed.author.as_str(), change.note());
    let line = Line {
        at: deed.at,
        by: Some(by),
        what: change.what(),
        from: from.clone(),
        to: to.clone(),
        note,
        other: None,
    };
    let record = history::write(transaction, &alert, line)?;
    match change {
        Change::Comment { .. } => {}
        Change::Assign { to } => triage::set_assignee(transaction, &alert, to.as_deref(), (deed.at, by))?,
        _ => triage::set(transaction, &alert, &to, (deed.at, by, note))?,
    }
    owe(transaction, &alert, (record.what, record.number), deed.at)?;
    audit::record(transaction, &about(deed, &alert, &from, &to), "done")?;
    Ok(Changed { alert, record: Some(record) })
}

fn about(deed: &Deed, alert: &AlertId, from: &Stance, to: &Stance) -> Deed {
    let asked = if deed.request.is_empty() { String::new() } else { format!("; {}", deed.request) };
    deed.clone().asking(format!("alert {alert}: {from} -> {to}{asked}"))
}

/// Whether nothing would be different; for a comment: whether the same person has just said the same.
fn is_so_already(
    connection: &Connection,
    (alert, standing): (&AlertId, &Standing),
    (change, to): (&Change, &Stance),
    deed: &Deed,
) -> Result<bool, StoreError> {
    if let Change::Comment { text } = change {
        let last = history::last_record(connection, alert)?;
        return Ok(last.is_some_and(|last| {
            last.what == Happening::Commented
                && last.by.as_deref() == Some(&deed.author)
                && last.note.as_deref() == Some(text)
        }));
    }
    let note = change.note();
    Ok(standing.stance() == *to && (note.is_none() || note == standing.triage.note.as_deref()))
}

/// The change with the duplicate's other one as it is now: the alert that it went up in. It must be there, and must not
/// lead back.
fn with_root(connection: &Connection, alert: &AlertId, change: &Change) -> Result<Change, StoreError> {
    let Change::Resolve { verdict, of: Some(of), note } = change else { return Ok(change.clone()) };
    let unknown =
        || StoreError::Conflict { what: format!("there is no alert {of} that this could be a duplicate of") };
    let of = root(connection, of)?.ok_or_else(unknown)?;
    let mut at = Some(of.clone());
    for _ in 0..DUPLICATES_MAX {
        let Some(next) = at else { break };
        if next == *alert {
            let what = format!("alert {of} is this one, or a duplicate of it: resolve that one first");
            return Err(StoreError::Conflict { what });
        }
        at = standing_of(connection, &next)?.duplicate_of;
    }
    Ok(Change::Resolve { verdict: *verdict, of: Some(of), note: note.clone() })
}

fn outdated(connection: &Connection, alert: &AlertId) -> Result<StoreError, StoreError> {
    let last = history::last_record(connection, alert)?;
    let by = last.map_or_else(String::new, |last| {
        let who = last.by.unwrap_or_else(|| "watchfire".to_owned());
        format!(": {who} {} it at {}", last.what.name(), last.at)
    });
    Ok(StoreError::Outdated { what: format!("alert {alert} has changed since you looked{by}") })
}

/// Owes a delivery to each action that was told of the alert, or of one that went up in it, and wants to hear of this.
pub(super) fn owe(
    transaction: &Transaction<'_>,
    alert: &AlertId,
    (what, number): (Happening, u64),
    at: Timestamp,
) -> Result<(), StoreError> {
    let Some(occasion) = what.occasion() else { return Ok(()) };
    let rows: Vec<OutboxRow> = told(transaction, alert, occasion)?
        .into_iter()
        .map(|(alert, action)| {
            let unique = format!("{alert}\0{action}\0{}\0{number}", occasion.name());
            OutboxRow { occasion, ..OutboxRow::owed(DeliveryKind::Notify, (alert, &action), &unique, at) }
        })
        .collect();
    outbox::insert(transaction, &rows)
}

/// An alert and those that went up in it, by whoever is told of each: in a message of its own, in one with others, or
/// of what becomes of it only. The joins are in the order in which indexes lead from one to the next.
const TOLD: &str = "WITH RECURSIVE own (id) AS \
        (VALUES (?1) UNION SELECT alert.id FROM own CROSS JOIN alert ON alert.merged_into = own.id) \
    SELECT own.id, o.action FROM own CROSS JOIN outbox AS o ON o.alert = own.id AND o.kind = 1 AND o.state != 2 \
        CROSS JOIN action_wants AS w ON w.action = o.action AND w.occasion = ?2 \
    UNION \
    SELECT own.id, o.action FROM own CROSS JOIN delivery_alert AS d ON d.alert = own.id \
        CROSS JOIN outbox AS o ON o.id = d.delivery AND o.kind = 1 AND o.state != 2 \
        CROSS JOIN action_wants AS w ON w.action = o.action AND w.occasion = ?2 \
    UNION \
    SELECT own.id, h.action FROM own CROSS JOIN held AS h ON h.alert = own.id AND h.by = 'unwanted' AND h.which = 'opened' \
        CROSS JOIN action_wants AS w ON w.action = h.action AND w.occasion = ?2 \
    ORDER BY 1, 2";

/// Who was told, or will be, of an alert and of those that went up in it, and wants this occasion.
fn told(
    connection: &Connection,
    alert: &AlertId,
    occasion: Occasion,
) -> Result<Vec<(AlertId, String)>, StoreError> {
    let mut statement = connection.prepare_cached(TOLD)?;
    let rows = statement
        .query_map(params![alert.0, occasion.name()], |row| Ok((AlertId(row.get(0)?), row.get(1)?)))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// With ten thousands of deliveries a change must not look at each.
    #[test]
    fn who_was_told_is_found_by_indexes_alone() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let plan: Vec<String> = store
            .read(|connection| {
                let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {TOLD}"))?;
                let rows = statement.query_map(params!["a", "resolved"], |row| row.get(3))?;
                Ok(rows.collect::<rusqlite::Result<_>>()?)
            })
            .unwrap();
        assert!(plan.iter().any(|step| step.contains("alert_merged")), "{plan:#?}");
        let is_walked = |step: &String| {
            let walked = step.strip_prefix("SCAN ").and_then(|rest| rest.split(' ').next());
            step.contains("AUTOMATIC")
                || walked.is_some_and(|table| ["o", "d", "h", "w", "alert"].contains(&table))
        };
        assert!(!plan.iter().any(is_walked), "{plan:#?}");
    }
}
