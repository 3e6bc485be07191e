//! The end of a response whose delivery is given up without its own run: its action is gone or tells by now, or its last try
//! broke off.

use super::job::{ask, words};
use super::notices;
use super::policy::Policy;
use super::undo;
use crate::alert::Occasion;
use crate::store::{Ending, OutboxRow, Outcome, Response, ResponseStatus, Store, StoreError, UNKNOWN};
use crate::time::Timestamp;

/// Ends it as failed, for this reason, and its delivery with it; people are told. False where nothing is kept of such a
/// response: then it never began.
///
/// # Errors
/// When the store fails; it is then tried again.
pub async fn abandoned(
    store: &Store,
    policy: &Policy,
    (row, why): (&OutboxRow, &str),
    now: Timestamp,
) -> Result<bool, StoreError> {
    if row.occasion == Occasion::Undo {
        undo::abandoned(store, policy, (row, why), now).await?;
        return Ok(true);
    }
    let id = row.id.clone();
    let Some(mut response) = ask(store, move |store| store.response(&id)).await? else { return Ok(false) };
    let why = if response.may_have_acted() { format!("{why}; {UNKNOWN}") } else { why.to_owned() };
    tracing::error!(response.id, action = response.action, "given up: {why}");
    response.status = ResponseStatus::Failed;
    response.summary.clone_from(&why);
    response.after = None;
    let ending = ending(policy, &response, why, now);
    ask(store, move |store| store.response_end(&response, &ending, now)).await?;
    Ok(true)
}

fn ending(policy: &Policy, response: &Response, why: String, now: Timestamp) -> Ending {
    let notices = notices::failed(policy, (response, &words(response)), &why, now);
    let dry_run = response.dry_run;
    let outcome = Outcome { changed: false, dry_run, summary: why.clone(), undo: None, needs_human: true };
    Ending { outcome, dead: Some(why), undo_at: None, notices }
}
