//! Undoing: asked for by people or by a time limit, done by a delivery of its own.

use rusqlite::OptionalExtension as _;

use super::super::{Deed, NewNotice, Outcome, Store, StoreError, audit, notice};
use super::row::{Response, ResponseStatus, UndoStatus, body_of, must_get, own, parse, put, step, undo_id};
use super::run::{owe_undo, settle};
use crate::log::fault;
use crate::time::Timestamp;

/// What became of the wish to have a response undone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UndoAsked {
    /// The response.
    pub id: String,
    /// For people: `block user 7 (alice)`.
    pub what: String,
    /// Why it is not undone; none: it will be at once.
    pub refused: Option<String>,
}

/// How an undoing ended.
#[derive(Debug, Clone)]
pub struct Undone {
    /// Undone, refused or failed.
    pub status: UndoStatus,
    /// In a sentence.
    pub summary: String,
    /// Whether the world is different now.
    pub changed: bool,
    /// People are told.
    pub notice: Option<NewNotice>,
}

impl Store {
    /// Asks for responses to be undone, all of them in one transaction; what becomes of each.
    ///
    /// # Errors
    /// [`StoreError::Unknown`] if there is no response of one of these ids: then nothing is undone.
    pub fn responses_undo(
        &self,
        ids: &[String],
        reason: &str,
        deed: &Deed,
    ) -> Result<Vec<UndoAsked>, StoreError> {
        self.write(|transaction| {
            let mut asked: Vec<UndoAsked> = Vec::new();
            for id in ids {
                let mut response = must_get(transaction, id)?;
                let refused = why_not(&response);
                let what = format!("{} {}", response.verb, response.who.as_deref().unwrap_or("nobody"));
                asked.push(UndoAsked { id: id.clone(), what, refused: refused.clone() });
                if refused.is_some() {
                    continue;
                }
                response.undo = UndoStatus::Due;
                response.undo_at = Some(deed.at);
                response.undo_by = Some((deed.author.clone(), reason.to_owned()));
                response.updated_at = deed.at;
                put(transaction, &response)?;
                owe_undo(transaction, &response, (deed.at, deed.at))?;
                let told = format!("to be undone: {reason}");
                step(transaction, &response, ("undo_asked", &told), deed)?;
            }
            if asked.iter().all(|asked| asked.refused.is_some()) {
                audit::record(transaction, deed, "nothing to undo")?;
            }
            Ok(asked)
        })
    }

    /// A try to undo begins: counts it, and gives what is known of the response that a delivery undoes.
    ///
    /// # Errors
    /// [`StoreError::Unknown`] when the delivery is not pending, or there is no such response.
    pub fn undo_begin(&self, delivery: &str, now: Timestamp) -> Result<Response, StoreError> {
        self.outbox_begin(delivery, now)?;
        self.read(|connection| {
            let sql = "SELECT id, body FROM response WHERE undoing = ?1";
            let found = connection.prepare_cached(sql)?.query_row([delivery], body_of).optional()?;
            let unknown =
                || StoreError::Unknown { what: format!("response that delivery {delivery} undoes") };
            let (id, body) = found.ok_or_else(unknown)?;
            parse(&id, &body)
        })
    }

    /// An undoing has ended, and its delivery with it.
    pub fn undo_end(&self, response: &Response, undone: &Undone, now: Timestamp) -> Result<(), StoreError> {
        self.write(|transaction| {
            let needs_human = undone.status != UndoStatus::Undone;
            let outcome = Outcome {
                changed: undone.changed,
                dry_run: false,
                summary: undone.summary.clone(),
                undo: None,
                needs_human,
            };
            let dead = (undone.status == UndoStatus::Failed).then_some(undone.summary.as_str());
            if !settle(transaction, &undo_id(&response.id), (&outcome, dead), now)? {
                return Ok(());
            }
            let mut response = response.clone();
            (response.undo, response.updated_at) = (undone.status, now);
            response.undo_at = Some(now);
            response.undo_summary = Some(undone.summary.clone());
            put(transaction, &response)?;
            let status = format!("undo_{}", undone.status.name());
            step(transaction, &response, (&status, &undone.summary), &own(now, "undo"))?;
            if let Some(owed) = &undone.notice {
                notice::owe(transaction, owed)?;
            }
            fault::point("store.undo_ended");
            Ok(())
        })
    }
}

/// Why a response cannot be undone, or need not be.
fn why_not(response: &Response) -> Option<String> {
    match (response.status, response.undo) {
        (ResponseStatus::Acting, _) => Some("it is being done now: ask again in a moment".to_owned()),
        (ResponseStatus::Begun | ResponseStatus::Waiting, _) if response.may_have_acted() => {
            Some(format!("it has not ended: it is {}", response.status.name()))
        }
        (status, undo) if status == ResponseStatus::Acted || response.may_have_acted() => match undo {
            UndoStatus::Undone => Some("it was undone already".to_owned()),
            _ if !response.undoable => {
                Some("there is no way back from it; what can be done by hand is in its notes".to_owned())
            }
            _ => None,
        },
        (status, _) => Some(format!("it has changed nothing: it is {}", status.name())),
    }
}
