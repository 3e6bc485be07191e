//! What the run of a response keeps: that it begins, that it waits, and how it ends. Each is one transaction over the
//! response, its delivery, the steps, the audit log and the notices that are owed.

use rusqlite::{OptionalExtension as _, Transaction, params};

use super::super::{
    DeliveryKind, NewNotice, OutboxRow, OutboxState, Outcome, Store, StoreError, incident, notice, outbox,
    scene,
};
use super::row::{Response, get, own, put, step, undo_id};
use super::status::{ResponseStatus, UndoStatus};
use crate::alert::{AlertId, Occasion};
use crate::log::fault;
use crate::time::{Span, Timestamp};

/// How the run of a response ended.
#[derive(Debug, Clone)]
pub struct Ending {
    /// What its delivery says.
    pub outcome: Outcome,
    /// Its delivery was given up, for this reason.
    pub dead: Option<String>,
    /// When it undoes itself.
    pub undo_at: Option<Timestamp>,
    /// People are told.
    pub notices: Vec<NewNotice>,
}

/// A response that waits for people.
#[derive(Debug, Clone)]
pub struct Parked {
    /// Until when.
    pub until: Timestamp,
    /// They are told.
    pub notices: Vec<NewNotice>,
    /// The limit it would go beyond, by its name and its time: of those that wait for the same, within that time only one tells.
    pub limit: Option<(String, Span)>,
}

impl Store {
    /// A try of a response begins: counts it, puts it down, and gives what is known of the response; `new` where it is the
    /// first one. One that had failed or ended begins anew: who approved it approved the run that has ended. It still counts
    /// for the limits unless it is known that it changed nothing. One that somebody had undone stays as it is.
    ///
    /// # Errors
    /// [`StoreError::Unknown`] when its delivery is not pending.
    pub fn response_begin(&self, new: &Response, now: Timestamp) -> Result<Response, StoreError> {
        self.write(|transaction| {
            let tries = begin_try(transaction, &new.id, now)?;
            let mut response = get(transaction, &new.id)?.unwrap_or_else(|| new.clone());
            if let Some(alert) = &new.alert {
                response.rule_rehearses |= scene::rehearses(transaction, alert)?;
            }
            if response.dry_run {
                // What was counted only rehearsed.
                response.counted_at = None;
            }
            let told = if response.is_taken_back() {
                "begins, though somebody had it undone".to_owned()
            } else if matches!(response.status, ResponseStatus::Begun | ResponseStatus::Acting) {
                if tries > 1 { format!("try {tries} begins") } else { "begins".to_owned() }
            } else {
                let was = response.status;
                begin_anew(&mut response);
                format!("begins anew, after it was {}", was.name())
            };
            response.updated_at = now;
            put(transaction, &response)?;
            step(transaction, &response, (ResponseStatus::Begun.name(), &told), &own(now, "response"))?;
            Ok(response)
        })
    }

    /// A try has failed, and there will be another one. Where it is known that it `changed_nothing` it counts no longer, and
    /// the next try is like the first one.
    pub fn response_failed_try(
        &self,
        response: &Response,
        (why, changed_nothing): (&str, bool),
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.write(|transaction| {
            let mut response = response.clone();
            response.updated_at = now;
            if changed_nothing {
                (response.status, response.counted_at) = (ResponseStatus::Begun, None);
            }
            put(transaction, &response)?;
            step(transaction, &response, (response.status.name(), why), &own(now, "response"))?;
            Ok(())
        })
    }

    /// It waits for people from now on; its delivery with it.
    pub fn response_park(
        &self,
        response: &Response,
        parked: &Parked,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.write(|transaction| {
            let sql = "UPDATE outbox SET state = ?2, due_at = ?3, settled_at = NULL, last_error = ?4 \
                       WHERE id = ?1 AND state = 0";
            let state = outbox::state_code(OutboxState::Waiting);
            let values = params![response.id, state, parked.until.0, response.summary];
            if transaction.prepare_cached(sql)?.execute(values)? == 0 {
                return Ok(());
            }
            let mut response = response.clone();
            response.status = ResponseStatus::Waiting;
            (response.expires_at, response.updated_at) = (Some(parked.until), now);
            put(transaction, &response)?;
            let told = (ResponseStatus::Waiting.name(), response.summary.as_str());
            step(transaction, &response, told, &own(now, "response"))?;
            let is_told = match &parked.limit {
                Some((name, per)) => is_first(transaction, (name, *per), now)?,
                None => true,
            };
            let incident = match &parked.limit {
                Some((name, _)) => gathered(transaction, &response, name, now)?,
                None => None,
            };
            for owed in parked.notices.iter().filter(|_| is_told) {
                let mut owed = owed.clone();
                owed.notice.lines.extend(incident.iter().map(|id| format!("incident: {id}")));
                notice::owe(transaction, &owed)?;
            }
            fault::point("store.response_parked");
            Ok(())
        })
    }

    /// It has ended, and its delivery with it: `response` says how. Nothing happens where the delivery has ended before.
    pub fn response_end(
        &self,
        response: &Response,
        ending: &Ending,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.write(|transaction| {
            if !settle(transaction, &response.id, (&ending.outcome, ending.dead.as_deref()), now)? {
                return Ok(());
            }
            let mut response = response.clone();
            response.updated_at = now;
            if let Some(at) = ending.undo_at {
                (response.undo, response.undo_at) = (UndoStatus::Due, Some(at));
                owe_undo(transaction, &response, (at, now))?;
            }
            put(transaction, &response)?;
            let told = (response.status.name(), response.summary.as_str());
            step(transaction, &response, told, &own(now, "response"))?;
            for owed in &ending.notices {
                notice::owe(transaction, owed)?;
            }
            fault::point("store.response_ended");
            Ok(())
        })
    }
}

/// Nothing of the run that has ended holds for this one, but that it counts.
fn begin_anew(response: &mut Response) {
    response.status = ResponseStatus::Begun;
    response.approvals.clear();
    response.receipt = None;
    (response.beyond, response.limit, response.expires_at) = (None, None, None);
    (response.undo, response.undo_at, response.undo_by) = (UndoStatus::None, None, None);
    response.undo_wishes.clear();
    (response.undo_begun, response.undo_summary) = (false, None);
}

/// A try of a delivery begins: which one it is, from 1.
pub(super) fn begin_try(transaction: &Transaction<'_>, id: &str, now: Timestamp) -> Result<u32, StoreError> {
    let sql = "UPDATE outbox SET attempts = attempts + 1, settled_at = ?2 WHERE id = ?1 AND state = 0 \
               RETURNING attempts";
    let tries =
        transaction.prepare_cached(sql)?.query_row(params![id, now.0], |row| row.get(0)).optional()?;
    tries.ok_or_else(|| StoreError::Unknown { what: format!("pending delivery {id}") })
}

/// Ends a delivery; false if it had ended.
pub(super) fn settle(
    transaction: &Transaction<'_>,
    id: &str,
    (outcome, dead): (&Outcome, Option<&str>),
    now: Timestamp,
) -> Result<bool, StoreError> {
    let text = serde_json::to_string(outcome)
        .map_err(|error| StoreError::Database(format!("delivery {id}: {error}")))?;
    let state = if dead.is_some() { OutboxState::Dead } else { OutboxState::Done };
    let outcome_kept = dead.is_none().then_some(text);
    let changed = dead.is_none() && outcome.changed;
    let sql = "UPDATE outbox SET state = ?2, last_error = ?3, outcome = ?4, changed = ?5, settled_at = ?6 \
               WHERE id = ?1 AND state IN (0, 3)";
    let values = params![id, outbox::state_code(state), dead, outcome_kept, changed, now.0];
    Ok(transaction.prepare_cached(sql)?.execute(values)? > 0)
}

/// Owes the delivery that undoes a response, or makes it due at this time if it is owed.
pub(super) fn owe_undo(
    transaction: &Transaction<'_>,
    response: &Response,
    (at, now): (Timestamp, Timestamp),
) -> Result<(), StoreError> {
    let id = undo_id(&response.id);
    let sql = "UPDATE outbox SET state = 0, due_at = ?2, attempts = 0, settled_at = NULL, last_error = NULL, \
               outcome = NULL, changed = 0 WHERE id = ?1";
    if transaction.prepare_cached(sql)?.execute(params![id, at.0])? > 0 {
        return Ok(());
    }
    let about = response.alert.clone().unwrap_or_else(|| AlertId(response_name(&response.id)));
    let row = OutboxRow {
        id,
        due_at: at,
        occasion: Occasion::Undo,
        ..OutboxRow::owed(DeliveryKind::Respond, (about, &response.action), "", now)
    };
    outbox::insert(transaction, &[row])
}

/// What stands in place of an alert's id where a person asked for a response without one.
#[must_use]
pub(super) fn response_name(id: &str) -> String {
    format!("response/{id}")
}

/// Gathers the alert of what a limit holds back in the limit's incident, of which there is one for each time of the limit.
fn gathered(
    transaction: &Transaction<'_>,
    response: &Response,
    limit: &str,
    now: Timestamp,
) -> Result<Option<String>, StoreError> {
    // That many wait for approval is no limit of what responses may do.
    let Some(alert) = response.alert.as_ref().filter(|_| response.beyond.is_some()) else { return Ok(None) };
    let sql = "SELECT noticed_at FROM response_limit WHERE name = ?1";
    let began: i64 = transaction.prepare_cached(sql)?.query_row([limit], |row| row.get(0))?;
    incident::beyond(transaction, alert, (limit, Timestamp(began)), now)
}

/// Whether nobody was told of this limit within its own time; if so, somebody is now.
fn is_first(
    transaction: &Transaction<'_>,
    (name, per): (&str, Span),
    now: Timestamp,
) -> Result<bool, StoreError> {
    let sql = "INSERT INTO response_limit (name, noticed_at) VALUES (?1, ?2) \
               ON CONFLICT (name) DO UPDATE SET noticed_at = excluded.noticed_at \
               WHERE noticed_at <= ?3 OR noticed_at > ?2";
    let values = params![name, now.0, now.minus(per).0];
    Ok(transaction.prepare_cached(sql)?.execute(values)? > 0)
}
