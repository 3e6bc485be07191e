//! The way back: puts back exactly what was found, unless somebody has changed it meanwhile.

use serde_json::Value;

use super::act::seen;
use super::job::{Ended, Job};
use super::notices;
use super::sight::{Sight, Subject};
use crate::deliver::DeliveryError;
use crate::log::fault;
use crate::store::{Response, StoreError, UndoStatus, Undone};

/// Undoes a response once. The kill switch does not hold it up.
///
/// # Errors
/// When the store fails; it is then tried again.
pub async fn undo(job: &Job<'_>) -> Result<Ended, StoreError> {
    let now = job.clock.now();
    let delivery = job.row.id.clone();
    let response = job.ask(move |store| store.undo_begin(&delivery, now)).await?;
    if response.undo == UndoStatus::Undone {
        return end(job, response, (UndoStatus::Undone, "it was undone already".to_owned(), false)).await;
    }
    let subject: Option<Subject> =
        response.subject.clone().and_then(|subject| serde_json::from_value(subject).ok());
    let before = response.before.clone().unwrap_or(Value::Null);
    let Some(subject) = subject.filter(|_| response.undoable) else {
        let why = "nothing is kept that could be put back".to_owned();
        return end(job, response, (UndoStatus::Refused, why, false)).await;
    };
    let sight = match job.responder.look(&subject, now).await {
        Ok(sight) => sight,
        Err(error) => return again_or_failed(job, response, error).await,
    };
    let reads_back = job.responder.reads_back();
    if reads_back && sight.before == before {
        let summary = format!("{} is {} as before", sight.who, sight.state);
        return end(job, response, (UndoStatus::Undone, summary, job.row.attempts > 0)).await;
    }
    if let Some(why) = changed_meanwhile(&response, &sight).filter(|_| reads_back) {
        return end(job, response, (UndoStatus::Refused, why, false)).await;
    }
    fault::point("respond.before_undo");
    let receipt = match job.responder.undo(&subject, &before, job.clock.now()).await {
        Ok(receipt) => receipt,
        Err(error) => return again_or_failed(job, response, error).await,
    };
    fault::point("respond.after_undo");
    if !reads_back {
        let summary =
            format!("undone: {} was answered {}; it was not read back", receipt.request, receipt.answer);
        return end(job, response, (UndoStatus::Undone, summary, true)).await;
    }
    match seen(job, &subject, |sight| sight.before == before).await {
        Ok(sight) if sight.before == before => {
            let word = job.responder.verb().undo.unwrap_or("undo");
            let summary = format!("undone ({word}): {}; read back: {}", sight.who, sight.state);
            end(job, response, (UndoStatus::Undone, summary, true)).await
        }
        Ok(sight) => {
            let why = format!(
                "{} was answered {}, but {} is {}: a person must look",
                receipt.request, receipt.answer, sight.who, sight.state
            );
            end(job, response, (UndoStatus::Failed, why, false)).await
        }
        Err(error) => again_or_failed(job, response, error).await,
    }
}

/// Why what was done is not what is found, if so.
fn changed_meanwhile(response: &Response, sight: &Sight) -> Option<String> {
    let left = response.after.as_ref().unwrap_or(&Value::Null);
    let state = response.states.1.as_deref().unwrap_or_default();
    if sight.before == *left && sight.state == state {
        return None;
    }
    Some(format!(
        "{} is {}, and was {state} when Watchfire had {} it: somebody has changed it since; nothing is put back, a \
         person must decide",
        sight.who,
        sight.state,
        past(&response.verb)
    ))
}

fn past(verb: &str) -> String {
    format!("done `{verb}` to")
}

async fn again_or_failed(
    job: &Job<'_>,
    response: Response,
    error: DeliveryError,
) -> Result<Ended, StoreError> {
    if matches!(error, DeliveryError::Retryable { .. }) && !job.is_last() {
        return Ok(Ended::Again(error));
    }
    end(job, response, (UndoStatus::Failed, error.reason().to_owned(), false)).await
}

async fn end(
    job: &Job<'_>,
    response: Response,
    (status, summary, changed): (UndoStatus, String, bool),
) -> Result<Ended, StoreError> {
    let now = job.clock.now();
    let words = job.words(&response);
    tracing::info!(response.id, action = response.action, status = status.name(), "undoing: {summary}");
    let notice = if status == UndoStatus::Undone {
        None
    } else {
        notices::not_undone(job.policy, (&response, &words), &summary, now)
    };
    let undone = Undone { status, summary, changed, notice };
    job.ask(move |store| store.undo_end(&response, &undone, now)).await?;
    Ok(Ended::Settled)
}
