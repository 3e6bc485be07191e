//! Undoing: asked for by people or by a time limit, done by a delivery of its own.
//!
//! Most ways back let somebody in again. One that keeps somebody out once more, as the way back from `unblock` does, is harm
//! like any other: as many people must wish for it as must agree on the response, it is counted, and the kill switch holds it.

use rusqlite::{OptionalExtension as _, Transaction};

use super::super::{Deed, NewNotice, Outcome, Store, StoreError, audit, notice};
use super::decide::is_same;
use super::reserve::{Limit, Reserved, beyond};
use super::row::{Response, body_of, must_get, own, parse, put, step, undo_id};
use super::run::{begin_try, owe_undo, settle};
use super::status::{ResponseStatus, UndoStatus};
use super::stop::stopped;
use crate::log::fault;
use crate::time::{Span, Timestamp};

/// For so long a person's wish for an undoing waits for another person's.
const WISH: Span = Span::days(1);

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
    pub notices: Vec<NewNotice>,
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
                let mut refused = why_not(&response);
                if refused.is_none() && response.undo_harms {
                    refused = wish(transaction, &mut response, (reason, deed))?;
                }
                let what = format!("{} {}", response.verb, response.who.as_deref().unwrap_or("nobody"));
                let is_refused = refused.is_some();
                asked.push(UndoAsked { id: id.clone(), what, refused });
                if is_refused {
                    continue;
                }
                response.undo = UndoStatus::Due;
                response.undo_wishes.clear();
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

    /// A try to undo begins: counts it, puts it down, and gives what is known of the response that a delivery undoes.
    ///
    /// # Errors
    /// [`StoreError::Unknown`] when the delivery is not pending, or there is no such response.
    pub fn undo_begin(&self, delivery: &str, now: Timestamp) -> Result<Response, StoreError> {
        self.write(|transaction| {
            let tries = begin_try(transaction, delivery, now)?;
            let sql = "SELECT id, body FROM response WHERE undoing = ?1";
            let found = transaction.prepare_cached(sql)?.query_row([delivery], body_of).optional()?;
            let unknown =
                || StoreError::Unknown { what: format!("response that delivery {delivery} undoes") };
            let (id, body) = found.ok_or_else(unknown)?;
            let response = parse(&id, &body)?;
            let told = format!("try {tries} to undo it begins");
            step(transaction, &response, ("undo_begun", &told), &own(now, "undo"))?;
            Ok(response)
        })
    }

    /// Lets an undoing change something: from now on some of it may have been put back. With `limits` it is harm: then they
    /// and the kill switch are asked, and the response counts from now on.
    pub fn undo_reserve(
        &self,
        response: &mut Response,
        limits: Option<&[Limit]>,
        now: Timestamp,
    ) -> Result<Reserved, StoreError> {
        let (reserved, begun) = self.write(|transaction| {
            let mut begun = response.clone();
            if let Some(limits) = limits {
                if let Some(why) = why_wait(transaction, response, limits, now)? {
                    return Ok((why, None));
                }
                begun.counted_at = Some(now);
            }
            (begun.undo_begun, begun.updated_at) = (true, now);
            put(transaction, &begun)?;
            step(transaction, &begun, ("undo_acting", "puts back what was there"), &own(now, "undo"))?;
            fault::point("store.undo_reserved");
            Ok((Reserved::Go, Some(begun)))
        })?;
        if let Some(begun) = begun {
            *response = begun;
        }
        Ok(reserved)
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
            for owed in &undone.notices {
                notice::owe(transaction, owed)?;
            }
            fault::point("store.undo_ended");
            Ok(())
        })
    }
}

/// What keeps a way back that harms from being gone. Who let the response go beyond a limit did not speak of its undoing.
fn why_wait(
    transaction: &Transaction<'_>,
    response: &Response,
    limits: &[Limit],
    now: Timestamp,
) -> Result<Option<Reserved>, StoreError> {
    if let Some(stop) = stopped(transaction)? {
        return Ok(Some(Reserved::Stopped(stop)));
    }
    let Some(hit) = &response.hit else {
        return Err(StoreError::Unknown { what: "identity that the response hits".to_owned() });
    };
    let alone = Response { approvals: Vec::new(), ..response.clone() };
    Ok(beyond(transaction, (&alone, hit), limits, now)?.map(Reserved::Beyond))
}

/// Puts down a person's wish for a way back that harms; why it is not gone yet, if so.
fn wish(
    transaction: &Transaction<'_>,
    response: &mut Response,
    (reason, deed): (&str, &Deed),
) -> Result<Option<String>, StoreError> {
    if let Some(stop) = stopped(transaction)? {
        return Ok(Some(format!("it keeps somebody out again, and responses are stopped by {}", stop.by)));
    }
    let since = deed.at.minus(WISH);
    response.undo_wishes.retain(|(by, at)| *at > since && !is_same(by, &deed.author));
    response.undo_wishes.push((deed.author.clone(), deed.at));
    let wished = u32::try_from(response.undo_wishes.len()).unwrap_or(u32::MAX);
    let missing = response.approvals_needed.saturating_add(1).saturating_sub(wished);
    if missing == 0 {
        return Ok(None);
    }
    put(transaction, response)?;
    step(transaction, response, ("undo_wished", &format!("wished to be undone: {reason}")), deed)?;
    let more = if missing == 1 { "one more person".to_owned() } else { format!("{missing} more people") };
    Ok(Some(format!("it keeps somebody out again: {more} must ask for the same within {WISH}")))
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
