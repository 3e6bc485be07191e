//! Doing it, and looking until it is seen.

use std::time::Duration;

use super::job::{Ended, Job};
use super::run::{again_or_failed, failed, lasts};
use super::sight::{Receipt, Sight, Standing, Subject};
use crate::deliver::DeliveryError;
use crate::encode::notification_json;
use crate::log::fault;
use crate::store::{Ending, Outcome, Response, ResponseStatus, StoreError};

/// How long to wait before each look after a change: systems take a moment to show it.
const LOOKS_MS: [u64; 5] = if cfg!(test) { [0, 1, 1, 1, 1] } else { [0, 200, 500, 1_000, 2_000] };

/// Does it and looks. It is counted already, and allowed.
pub(super) async fn act(
    job: &Job<'_>,
    mut response: Response,
    (subject, sight): (&Subject, &Sight),
) -> Result<Ended, StoreError> {
    let done = job.responder.act(subject, sight, job.clock.now()).await;
    fault::point("respond.after_act");
    let receipt = match done {
        Ok(receipt) => receipt,
        Err(error) => return not_done(job, response, subject, error).await,
    };
    response.receipt = Some((receipt.request.clone(), receipt.answer.clone()));
    if !job.responder.reads_back() {
        return acted(job, response, sight, Some(&receipt)).await;
    }
    match seen(job, subject, |sight| sight.standing == Standing::Already).await {
        Ok(sight) if sight.standing == Standing::Already => {
            acted(job, response, &sight, Some(&receipt)).await
        }
        Ok(sight) => {
            let why = format!(
                "{} was answered {}, but {} is still {}: a person must look",
                receipt.request, receipt.answer, sight.who, sight.state
            );
            // It may still come: it counts, and can be undone.
            failed(job, response, &why).await
        }
        // It is allowed and counted; the next try looks whether it was done.
        Err(error) => again_or_failed(job, response, error).await,
    }
}

/// The call failed. Whether it was done all the same only a look can say, and only where no try comes after that is it
/// looked for now.
async fn not_done(
    job: &Job<'_>,
    mut response: Response,
    subject: &Subject,
    error: DeliveryError,
) -> Result<Ended, StoreError> {
    if matches!(error, DeliveryError::Retryable { .. }) && !job.is_last() {
        return Ok(Ended::Again(error));
    }
    if let Ok(sight) = job.responder.look(subject, job.clock.now()).await {
        if sight.standing == Standing::Already {
            return acted(job, response, &sight, None).await;
        }
        if is_refusal(&error) && job.responder.reads_back() && response.before.as_ref() == Some(&sight.before)
        {
            response.counted_at = None;
        }
    }
    failed(job, response, error.reason()).await
}

/// Whether the other side refused for good, so that nothing comes after. An answer of success that its documentation does
/// not know, or a redirect, is none: somebody may have done something.
fn is_refusal(error: &DeliveryError) -> bool {
    matches!(error, DeliveryError::Permanent { reason }
        if !reason.contains(" answered 2") && !reason.contains(" answered 3"))
}

/// It was allowed before, and nobody heard how it ended: it is as wanted, so it counts as done.
pub(super) async fn recover(
    job: &Job<'_>,
    mut response: Response,
    subject: &Subject,
    sight: Sight,
) -> Result<Ended, StoreError> {
    response.subject = serde_json::to_value(subject).ok();
    response.dry_run = false;
    acted(job, response, &sight, None).await
}

/// It is done, and seen to be.
async fn acted(
    job: &Job<'_>,
    mut response: Response,
    sight: &Sight,
    receipt: Option<&Receipt>,
) -> Result<Ended, StoreError> {
    let now = job.clock.now();
    let verb = job.responder.verb();
    response.status = ResponseStatus::Acted;
    response.acted_at = Some(now);
    response.states.1 = Some(sight.state.clone());
    response.after = Some(sight.before.clone());
    response.undoable = verb.undo.is_some();
    let mut summary = match receipt {
        Some(receipt) if !job.responder.reads_back() => {
            let (request, answer) = (&receipt.request, &receipt.answer);
            format!("{request} was answered {answer} for {}; whether it is done was not read back", sight.who)
        }
        Some(_) => format!("{} {}; read back: {}", verb.past, sight.who, sight.state),
        None => format!("{} is already {}: an earlier try had {} it", sight.who, sight.state, verb.past),
    };
    let lasts = if response.undoable { lasts(job, &response).await? } else { None };
    let undo_at = lasts.map(|span| now.plus(span));
    if let Some(at) = undo_at {
        summary.push_str(&format!("; undone by itself at {at}"));
    }
    let by_hand = by_hand(job, &response, sight);
    response.undo_by_hand.clone_from(&by_hand);
    response.summary.clone_from(&summary);
    tracing::info!(response.id, action = response.action, "{summary}");
    let outcome = Outcome { changed: true, dry_run: false, summary, undo: by_hand, needs_human: false };
    let ending = Ending { outcome, dead: None, undo_at, notices: Vec::new() };
    job.ask(move |store| store.response_end(&response, &ending, now)).await?;
    Ok(Ended::Settled)
}

/// How a person undoes it.
fn by_hand(job: &Job<'_>, response: &Response, sight: &Sight) -> Option<String> {
    if let (Some(template), Some(told)) = (job.by_hand, job.told) {
        return template.render(&notification_json(told)).ok();
    }
    let page = sight.page.as_ref().map(|page| format!("\nin the browser: {page}")).unwrap_or_default();
    response.undoable.then(|| format!("watchfire responses undo {} --reason TEXT{page}", response.id))
}

/// Looks until what is wanted is seen, a few times within seconds; the last look.
pub(super) async fn seen(
    job: &Job<'_>,
    subject: &Subject,
    wanted: impl Fn(&Sight) -> bool,
) -> Result<Sight, DeliveryError> {
    let mut last = Err(DeliveryError::retryable("nobody looked"));
    for wait in LOOKS_MS {
        tokio::time::sleep(Duration::from_millis(wait)).await;
        last = job.responder.look(subject, job.clock.now()).await;
        if last.as_ref().is_ok_and(&wanted) {
            return last;
        }
    }
    last
}
