//! Doing it, and looking until it is seen.

use std::time::Duration;

use super::job::{Ended, Job};
use super::notices;
use super::run::{already, failed, is_other, know_way_back, lasts, may_pass};
use super::sight::{Receipt, Sight, Standing, Subject};
use crate::deliver::DeliveryError;
use crate::encode::notification_json;
use crate::log::fault;
use crate::store::{Ending, Outcome, Response, ResponseStatus, StoreError};

/// How long to wait before each look after a change: systems take a moment to show it.
const LOOKS_MS: [u64; 5] = if cfg!(test) { [0, 1, 1, 1, 1] } else { [0, 200, 500, 1_000, 2_000] };

/// What a response is about to change.
#[derive(Debug, Clone, Copy)]
pub(super) struct Aim<'a> {
    pub(super) subject: &'a Subject,
    /// What was found there a moment ago.
    pub(super) sight: &'a Sight,
    /// No earlier try may have changed anything.
    pub(super) is_first: bool,
}

/// How it is known that it is done.
#[derive(Debug, Clone, Copy)]
enum How<'a> {
    /// The other side has said so.
    Told(&'a Receipt),
    /// The call failed, and right after it a look found it done.
    Found,
    /// A look found it done after a try of which nobody heard how it ended: it may have been somebody else.
    Unsure,
}

/// Does it and looks. It is counted already, and allowed.
pub(super) async fn act(job: &Job<'_>, mut response: Response, aim: Aim<'_>) -> Result<Ended, StoreError> {
    let done = job.responder.act(aim.subject, aim.sight, job.clock.now()).await;
    fault::point("respond.after_act");
    let receipt = match done {
        Ok(receipt) => receipt,
        Err(error) => return not_done(job, response, aim, error).await,
    };
    response.receipt = Some((receipt.request.clone(), receipt.answer.clone()));
    if !job.responder.reads_back() {
        return acted(job, response, aim.sight, How::Told(&receipt)).await;
    }
    match seen(job, aim.subject, |sight| sight.standing == Standing::Already).await {
        Ok(sight) if sight.standing == Standing::Already => {
            acted(job, response, &sight, How::Told(&receipt)).await
        }
        Ok(sight) => {
            let why = format!(
                "{} was answered {}, but {} is still {}: a person must look",
                receipt.request, receipt.answer, sight.who, sight.state
            );
            // It may still come: it counts, and can be undone.
            failed(job, response, &why).await
        }
        // What was answered is kept; the next try looks whether it was done.
        Err(error) => failed_try(job, response, error, false).await,
    }
}

/// The call failed. Whether it was done all the same only a look can say, and only right after the call: what is found
/// later may be somebody else's.
async fn not_done(
    job: &Job<'_>,
    mut response: Response,
    aim: Aim<'_>,
    error: DeliveryError,
) -> Result<Ended, StoreError> {
    let status = error.answered();
    // What an earlier try asked for may come at any time: then nothing is certain.
    let is_refused = status.is_some_and(is_refusal);
    let has_ended = aim.is_first && status.is_some_and(is_end);
    let looked = if job.responder.reads_back() {
        job.responder.look(aim.subject, job.clock.now()).await.ok()
    } else {
        None
    };
    let found = looked.filter(|sight| !is_other(&response, aim.subject, sight));
    match found {
        Some(sight) if sight.standing == Standing::Already && is_refused && aim.is_first => {
            response.counted_at = None;
            already(job, response, &sight).await
        }
        Some(sight) if sight.standing == Standing::Already => {
            let is_unsent = status.is_none() && matches!(error, DeliveryError::Permanent { .. });
            let how = if is_refused || is_unsent { How::Unsure } else { How::Found };
            acted(job, response, &sight, how).await
        }
        Some(sight) if has_ended && response.before.as_ref() == Some(&sight.before) => {
            failed_try(job, response, error, true).await
        }
        _ => failed_try(job, response, error, false).await,
    }
}

/// A try has failed: what is known of it is put down for the next one, or it ends.
async fn failed_try(
    job: &Job<'_>,
    mut response: Response,
    error: DeliveryError,
    changed_nothing: bool,
) -> Result<Ended, StoreError> {
    if !may_pass(job, &error) {
        if changed_nothing {
            response.counted_at = None;
        }
        return failed(job, response, error.reason()).await;
    }
    let known = if changed_nothing { "it changed nothing" } else { "it is not known what it changed" };
    let (why, now) = (format!("{error}; {known}; it is tried again"), job.clock.now());
    job.ask(move |store| store.response_failed_try(&response, (&why, changed_nothing), now)).await?;
    Ok(Ended::Again(error))
}

/// Whether an answer says that it was not done. One of success that its documentation does not know, or a redirect, does
/// not: somebody may have done something.
const fn is_refusal(status: u16) -> bool {
    status >= 400 && status < 500 && status != 408
}

/// Whether nothing comes after an answer. What stands between us and the other side gives up waiting with 502 and 504, while
/// that one goes on.
const fn is_end(status: u16) -> bool {
    is_refusal(status) || matches!(status, 500 | 501 | 503)
}

/// It was allowed before, nobody heard how it ended, and it is as wanted. It is ours where the other side had said so;
/// otherwise nobody can tell.
pub(super) async fn recover(
    job: &Job<'_>,
    mut response: Response,
    subject: &Subject,
    sight: Sight,
) -> Result<Ended, StoreError> {
    response.subject = serde_json::to_value(subject).ok();
    response.dry_run = false;
    let told = response.receipt.clone().filter(|_| response.status == ResponseStatus::Acting);
    match told.map(|(request, answer)| Receipt { request, answer }) {
        Some(receipt) => acted(job, response, &sight, How::Told(&receipt)).await,
        None => acted(job, response, &sight, How::Unsure).await,
    }
}

/// It is done, and seen to be.
async fn acted(
    job: &Job<'_>,
    mut response: Response,
    sight: &Sight,
    how: How<'_>,
) -> Result<Ended, StoreError> {
    let now = job.clock.now();
    response.status = ResponseStatus::Acted;
    response.acted_at = Some(now);
    response.states.1 = Some(sight.state.clone());
    response.after = Some(sight.before.clone());
    know_way_back(job, &mut response);
    let mut summary = summary(job, sight, how);
    let lasts = if response.undoable { lasts(job, &response).await? } else { None };
    let is_unsure = matches!(how, How::Unsure);
    let undo_at = lasts.filter(|_| !is_unsure).map(|span| now.plus(span));
    if let Some(at) = undo_at {
        summary.push_str(&format!("; undone by itself at {at}"));
    }
    let words = job.words(&response);
    let notices = if let Some(span) = lasts.filter(|_| is_unsure) {
        summary.push_str(&format!(
            "; so it is not undone after {span} by itself: a person must decide (watchfire responses undo {})",
            response.id
        ));
        notices::not_undone(job.policy, (&response, &words), &summary, now)
    } else {
        notices::done(job.policy, (&response, &words), &summary, now)
    };
    let by_hand = by_hand(job, &response, sight);
    response.undo_by_hand.clone_from(&by_hand);
    response.summary.clone_from(&summary);
    tracing::info!(response.id, action = response.action, "{summary}");
    let needs_human = is_unsure && lasts.is_some();
    let outcome = Outcome { changed: true, dry_run: false, summary, undo: by_hand, needs_human };
    let ending = Ending { outcome, dead: None, undo_at, notices };
    job.ask(move |store| store.response_end(&response, &ending, now)).await?;
    Ok(Ended::Settled)
}

/// What was done, in a sentence.
fn summary(job: &Job<'_>, sight: &Sight, how: How<'_>) -> String {
    let Sight { who, state, .. } = sight;
    let past = job.responder.verb().past;
    match how {
        How::Told(receipt) if !job.responder.reads_back() => {
            let Receipt { request, answer } = receipt;
            format!("{request} was answered {answer} for {who}; whether it is done was not read back")
        }
        How::Told(_) => format!("{past} {who}; read back: {state}"),
        How::Found => format!("{who} is already {state}: the call failed, and had {past} it all the same"),
        How::Unsure => {
            format!(
                "{who} is already {state}: an earlier try may have {past} it, or somebody else; nobody knows"
            )
        }
    }
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
