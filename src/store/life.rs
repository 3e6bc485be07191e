//! What a commit of detection means to the lives of its alerts: they open, grow, reopen and become one, and gather in
//! incidents.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension as _, Transaction};

use super::history::{self, Line};
use super::triage::{self, root, standing_of};
use super::{Commit, StoreError, alerts, change, incident, terms};
use crate::alert::{Alert, AlertId, AlertState, Happening, Stance, about};
use crate::time::{Span, Timestamp};

/// The forge whose people and things an alert is about, if it is known.
pub type ForgeOf<'a> = dyn Fn(&Alert) -> Option<Arc<str>> + 'a;

/// What was stored of an alert before.
struct Known {
    findings: i64,
    last_at: i64,
    merged_into: Option<String>,
}

/// Stores the alerts of a commit, and lives their lives. Within one commit the order in which they were found means
/// nothing: they are taken in the order of event time, and those that went up in another one last.
pub(super) fn take(
    transaction: &Transaction<'_>,
    commit: &Commit<'_>,
    forge_of: &ForgeOf<'_>,
) -> Result<(), StoreError> {
    let mut alerts: Vec<(&Alert, Option<Known>)> = Vec::with_capacity(commit.alerts.len());
    for alert in commit.alerts {
        alerts.push((alert, known(transaction, &alert.id)?));
    }
    alerts::upsert(transaction, commit.alerts, commit.at)?;
    alerts.sort_by_key(|(alert, _)| {
        (alert.merged_into.is_some(), alert.started_at, alert.position, alert.id.clone())
    });
    let gap = terms::incident_gap(transaction)?;
    for (alert, known) in alerts {
        if known.is_none() {
            open(transaction, alert, (gap, forge_of), commit.at)?;
        }
        match (&alert.merged_into, &known) {
            (Some(into), None) => merge(transaction, &alert.id, into, commit.at)?,
            (Some(into), Some(known)) if known.merged_into.is_none() => {
                merge(transaction, &alert.id, into, commit.at)?;
            }
            (None, Some(known)) if has_grown(alert, known) => grow(transaction, alert, commit.at)?,
            _ => {}
        }
    }
    Ok(())
}

fn known(connection: &Connection, alert: &AlertId) -> Result<Option<Known>, StoreError> {
    let sql = "SELECT findings, last_at, merged_into FROM alert WHERE id = ?1";
    let of = |row: &rusqlite::Row<'_>| {
        Ok(Known { findings: row.get(0)?, last_at: row.get(1)?, merged_into: row.get(2)? })
    };
    Ok(connection.prepare_cached(sql)?.query_row([&alert.0], of).optional()?)
}

fn has_grown(alert: &Alert, known: &Known) -> bool {
    alert.findings.cast_signed() != known.findings || alert.last_at.0 != known.last_at
}

fn open(
    transaction: &Transaction<'_>,
    alert: &Alert,
    (gap, forge_of): (Span, &ForgeOf<'_>),
    at: Timestamp,
) -> Result<(), StoreError> {
    let (from, to) = (Stance::default(), Stance::default());
    let line = Line { at, by: None, what: Happening::Opened, from, to, note: None, other: None };
    history::write(transaction, &alert.id, line)?;
    if alert.merged_into.is_some() {
        return Ok(());
    }
    let about = about(&alert.key, &alert.rule, forge_of(alert).as_deref());
    incident::gather(transaction, alert, (&about, gap), at)
}

/// More was found. What was resolved as harmful and goes on is open again.
fn grow(transaction: &Transaction<'_>, alert: &Alert, at: Timestamp) -> Result<(), StoreError> {
    history::mark(transaction, &alert.id)?;
    incident::extend(transaction, alert)?;
    let standing = standing_of(transaction, &alert.id)?;
    let from = standing.stance();
    let goes_on = triage::ended_at(transaction, &alert.id)?.is_some_and(|ended| alert.last_at > ended);
    if !from.reopens() || !goes_on {
        return Ok(());
    }
    let to = Stance { assignee: from.assignee.clone(), ..Stance::default() };
    let since = standing.findings_since;
    let note = format!("it goes on: {since} {} since", if since == 1 { "finding" } else { "findings" });
    let what = Happening::Reopened;
    let line = Line { at, by: None, what, from, to: to.clone(), note: Some(&note), other: None };
    let record = history::write(transaction, &alert.id, line)?;
    triage::set(transaction, &alert.id, &to, (at, "watchfire", Some(&note)))?;
    change::owe(transaction, &alert.id, (what, record.number), at)
}

/// Two alerts are one from now on: what people did with the one that goes up in the other is not lost, as long as nobody
/// did something with the other.
fn merge(
    transaction: &Transaction<'_>,
    alert: &AlertId,
    into: &AlertId,
    at: Timestamp,
) -> Result<(), StoreError> {
    let Some(into) = root(transaction, into)?.filter(|into| into != alert) else { return Ok(()) };
    let own = triage::own_stance(transaction, alert)?;
    let other = standing_of(transaction, &into)?;
    let from = other.stance();
    let mut to = from.clone();
    if from.state == AlertState::Open && own.state == AlertState::Acknowledged {
        to.state = AlertState::Acknowledged;
    }
    if from.state != AlertState::Resolved && from.assignee.is_none() {
        to.assignee.clone_from(&own.assignee);
    }
    let line = Line {
        at,
        by: None,
        what: Happening::Absorbed,
        from: from.clone(),
        to: to.clone(),
        note: None,
        other: Some(alert),
    };
    let record = history::write(transaction, &into, line)?;
    if to != from {
        triage::set(transaction, &into, &to, (at, "watchfire", None))?;
    }
    if to.state != from.state {
        change::owe(transaction, &into, (Happening::Acknowledged, record.number), at)?;
    }
    let line = Line { at, by: None, what: Happening::Merged, from: own, to, note: None, other: Some(&into) };
    history::write(transaction, alert, line)?;
    incident::follow(transaction, alert, &into)
}

#[cfg(test)]
mod tests;
