//! Deliveries: how a try ended.

use rusqlite::{Transaction, params};

use super::outbox::state_code;
use super::{Deed, OutboxState, Outcome, Settlement, Store, StoreError, audit, group, response};
use crate::log::fault;
use crate::time::{Span, Timestamp};

impl Store {
    /// Records how a try of a delivery ended, and counts the try. One that is settled already stays as it
    /// is; an id that was never stored is [`StoreError::Unknown`].
    pub fn outbox_settle(&self, id: &str, settlement: &Settlement, now: Timestamp) -> Result<(), StoreError> {
        self.write(|transaction| {
            let changed = match settlement {
                Settlement::Done(outcome) => {
                    transaction.prepare_cached("DELETE FROM report_mail WHERE id = ?1")?.execute([id])?;
                    done(transaction, id, outcome, now)?
                }
                Settlement::Retry { at, error } => retry(transaction, id, *at, error)?,
                Settlement::Dead { error } => dead(transaction, id, error, now)?,
            };
            // Whatever came of it: a message that was tried, or that nobody is there for, takes no further alerts.
            group::close(transaction, id)?;
            if changed == 0 && !exists(transaction, id)? {
                return Err(StoreError::Unknown { what: format!("delivery {id}") });
            }
            fault::point("store.settlement_written");
            Ok(())
        })
    }

    /// A try begins that may change something: it is counted before, so that one whose end nobody hears of (a crash,
    /// a power cut) is not taken for none. Its settlement then does not count it again.
    pub fn outbox_begin(&self, id: &str, now: Timestamp) -> Result<(), StoreError> {
        self.write(|transaction| {
            let sql =
                "UPDATE outbox SET attempts = attempts + 1, settled_at = ?2 WHERE id = ?1 AND state = 0";
            if transaction.prepare_cached(sql)?.execute(params![id, now.0])? == 0 {
                return Err(StoreError::Unknown { what: format!("pending delivery {id}") });
            }
            Ok(())
        })
    }

    /// Minds a clock that was set back by `by`: pending deliveries are due as much earlier. None is due later than
    /// `longest` from now, whatever the clock showed when it was put off.
    pub fn outbox_set_back(&self, by: Span, now: Timestamp, longest: Span) -> Result<(), StoreError> {
        self.write(|transaction| {
            // What is undone after a set time is due as late as it says.
            let sql = "UPDATE outbox SET created_at = created_at - ?1, \
                       due_at = CASE occasion WHEN 'undo' THEN due_at - ?1 ELSE min(due_at - ?1, ?2) END \
                       WHERE state = 0 AND (?1 > 0 OR (due_at > ?2 AND occasion <> 'undo'))";
            transaction.prepare_cached(sql)?.execute(params![by.0, now.plus(longest).0])?;
            Ok(())
        })
    }

    /// The receiver is back: what was put off because it was away is due now. How many.
    pub fn outbox_hasten(&self, action: &str, now: Timestamp) -> Result<usize, StoreError> {
        self.write(|transaction| {
            let sql = "UPDATE outbox SET due_at = ?2 WHERE state = 0 AND action = ?1 AND due_at > ?2 AND attempts > 0";
            Ok(transaction.prepare_cached(sql)?.execute(params![action, now.0])?)
        })
    }

    /// Makes everything pending again that this action gave up, as [`Store::redrive`] does; how much that was. Who did it is
    /// recorded in the same transaction, if it was anything.
    pub fn redrive_action(&self, action: &str, deed: &Deed) -> Result<usize, StoreError> {
        self.write(|transaction| {
            response::asked_again(transaction, ("action", action), deed)?;
            let sql = "UPDATE outbox SET state = ?2, due_at = ?3, attempts = 0, settled_at = NULL \
                       WHERE action = ?1 AND state = ?4";
            let values =
                params![action, state_code(OutboxState::Pending), deed.at.0, state_code(OutboxState::Dead)];
            let count = transaction.prepare_cached(sql)?.execute(values)?;
            if count > 0 {
                audit::record(transaction, deed, "done")?;
            }
            Ok(count)
        })
    }

    /// Makes a delivery that was given up pending again, due at once and with its tries counted anew; false
    /// if there is none that was given up under this id. Who did it is recorded in the same transaction.
    pub fn redrive(&self, id: &str, deed: &Deed) -> Result<bool, StoreError> {
        self.write(|transaction| {
            response::asked_again(transaction, ("id", id), deed)?;
            let sql = "UPDATE outbox SET state = ?2, due_at = ?3, attempts = 0, settled_at = NULL \
                       WHERE id = ?1 AND state = ?4";
            let values =
                params![id, state_code(OutboxState::Pending), deed.at.0, state_code(OutboxState::Dead)];
            let is_done = transaction.prepare_cached(sql)?.execute(values)? > 0;
            if is_done {
                audit::record(transaction, deed, "done")?;
            }
            Ok(is_done)
        })
    }
}

fn done(
    transaction: &Transaction<'_>,
    id: &str,
    outcome: &Outcome,
    now: Timestamp,
) -> Result<usize, StoreError> {
    let text = serde_json::to_string(outcome)
        .map_err(|error| StoreError::Database(format!("delivery {id}: {error}")))?;
    let sql = "UPDATE outbox SET state = 1, attempts = attempts + (settled_at IS NULL), last_error = NULL, outcome = ?2, \
               changed = ?3, settled_at = ?4 WHERE id = ?1 AND state = 0";
    Ok(transaction.prepare_cached(sql)?.execute(params![id, text, outcome.changed, now.0])?)
}

fn retry(transaction: &Transaction<'_>, id: &str, at: Timestamp, error: &str) -> Result<usize, StoreError> {
    let sql = "UPDATE outbox SET attempts = attempts + (settled_at IS NULL), settled_at = NULL, due_at = ?2, \
               last_error = ?3 \
               WHERE id = ?1 AND state = 0";
    Ok(transaction.prepare_cached(sql)?.execute(params![id, at.0, error])?)
}

fn dead(transaction: &Transaction<'_>, id: &str, error: &str, now: Timestamp) -> Result<usize, StoreError> {
    let sql = "UPDATE outbox SET state = 2, attempts = attempts + (settled_at IS NULL), last_error = ?2, settled_at = ?3 \
               WHERE id = ?1 AND state = 0";
    Ok(transaction.prepare_cached(sql)?.execute(params![id, error, now.0])?)
}

fn exists(transaction: &Transaction<'_>, id: &str) -> Result<bool, StoreError> {
    Ok(transaction.prepare_cached("SELECT 1 FROM outbox WHERE id = ?1")?.exists([id])?)
}
