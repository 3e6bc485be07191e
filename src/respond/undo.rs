//! The way back: puts back exactly what was found, unless somebody has changed it meanwhile.
//!
//! A way back that keeps somebody out, as from `unblock`, is harm: nobody is touched whom no response touches, the kill
//! switch holds it, and it counts for the limits.

use serde_json::Value;

use super::act::seen;
use super::job::{Ended, Job, ask, words};
use super::notices;
use super::policy::Policy;
use super::run::{is_same_action, job_refuses, may_pass, rehearses};
use super::sight::{Sight, Standing, Subject};
use crate::deliver::DeliveryError;
use crate::log::fault;
use crate::store::{OutboxRow, Reserved, Response, Store, StoreError, UndoStatus, Undone};
use crate::time::Timestamp;

/// Undoes a response once. The kill switch does not hold it up unless it harms.
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
    if let Some(why) = not_asked_for(&response) {
        return end(job, response, (UndoStatus::Refused, why, false)).await;
    }
    if job.responder.verb().plain != response.verb {
        let does = format!("is to `{}` now", job.responder.verb().plain);
        let why = in_force(&response, &does);
        return end(job, response, (UndoStatus::Failed, why, false)).await;
    }
    if !is_same_action(job, &response) {
        let why = in_force(&response, "is aimed at something else now");
        return end(job, response, (UndoStatus::Failed, why, false)).await;
    }
    let subject: Option<Subject> =
        response.subject.clone().and_then(|subject| serde_json::from_value(subject).ok());
    let Some(subject) = subject.filter(|_| response.undoable) else {
        let why = "nothing is kept that could be put back".to_owned();
        return end(job, response, (UndoStatus::Refused, why, false)).await;
    };
    let sight = match job.responder.look(&subject, now).await {
        Ok(sight) => sight,
        Err(error) => return again_or_failed(job, response, error).await,
    };
    if let Some(why) = somebody_else(&response, &sight) {
        return end(job, response, (UndoStatus::Refused, why, false)).await;
    }
    let before = response.before.clone().unwrap_or(Value::Null);
    let reads_back = job.responder.reads_back();
    if reads_back && sight.before == before {
        let summary = format!("{} is {} as before", sight.who, sight.state);
        let has_changed = response.undo_begun;
        return end(job, response, (UndoStatus::Undone, summary, has_changed)).await;
    }
    // An earlier try that broke off may have left it so.
    let is_half_way = response.undo_begun && job.responder.is_half_way(&before, &sight);
    if let Some(why) = changed_meanwhile(&response, &sight).filter(|_| reads_back && !is_half_way) {
        return end(job, response, (UndoStatus::Refused, why, false)).await;
    }
    put_back(job, response, (&subject, &sight, &before)).await
}

/// Puts it back and looks, if it may.
async fn put_back(
    job: &Job<'_>,
    mut response: Response,
    (subject, sight, before): (&Subject, &Sight, &Value),
) -> Result<Ended, StoreError> {
    if let Some(why) = reserve(job, &mut response, sight).await? {
        return end(job, response, (UndoStatus::Refused, why, false)).await;
    }
    fault::point("respond.before_undo");
    let receipt = match job.responder.undo(subject, before, job.clock.now()).await {
        Ok(receipt) => receipt,
        Err(error) => return again_or_failed(job, response, error).await,
    };
    fault::point("respond.after_undo");
    if !job.responder.reads_back() {
        let summary =
            format!("undone: {} was answered {}; it was not read back", receipt.request, receipt.answer);
        return end(job, response, (UndoStatus::Undone, summary, true)).await;
    }
    match seen(job, subject, |sight| sight.before == *before).await {
        Ok(sight) if sight.before == *before => {
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

/// Puts down that something is put back from now on; why it must not be, if so.
async fn reserve(
    job: &Job<'_>,
    response: &mut Response,
    sight: &Sight,
) -> Result<Option<String>, StoreError> {
    let is_harm = job.responder.verb().undo_harms();
    if is_harm {
        job.policy.wait_for_accounts().await;
    }
    let now = job.clock.now();
    let word = job.responder.verb().undo.unwrap_or("undo");
    let refused = |why: &str| Some(format!("it was not to {word} {} again: {why}", sight.who));
    if is_harm && let Some(why) = job_refuses(job, sight, now) {
        return Ok(refused(&why));
    }
    if is_harm && rehearses(job, response) {
        return Ok(refused("it only rehearses (`dry_run`)"));
    }
    let limits = is_harm.then(|| job.policy.limits(job.guards));
    let mut asked = response.clone();
    let (reserved, begun) = job
        .ask(move |store| {
            let reserved = store.undo_reserve(&mut asked, limits.as_deref(), now)?;
            Ok((reserved, asked))
        })
        .await?;
    *response = begun;
    Ok(match reserved {
        Reserved::Go => None,
        Reserved::Stopped(stop) => {
            refused(&format!("all responses are stopped by {}: {}", stop.by, stop.reason))
        }
        Reserved::Beyond(limit) => refused(&format!("{}; a person must decide", limit.words)),
        Reserved::Cooling(until) => refused(&format!("it is left alone until {until}")),
    })
}

/// Ends an undoing whose action responds no longer: it is not there, or it tells. Nothing is delivered to it.
///
/// # Errors
/// When the store fails; it is then tried again.
pub async fn stranded(
    store: &Store,
    policy: &Policy,
    (row, is_there): (&OutboxRow, bool),
    now: Timestamp,
) -> Result<(), StoreError> {
    let delivery = row.id.clone();
    let response = ask(store, move |store| store.undo_begin(&delivery, now)).await?;
    if response.undo == UndoStatus::Undone {
        let how = (UndoStatus::Undone, "it was undone already".to_owned(), false);
        return record(store, policy, response, how, now).await;
    }
    let does = if is_there { "does not respond any more" } else { "is not configured any more" };
    let why = in_force(&response, does);
    record(store, policy, response, (UndoStatus::Failed, why, false), now).await
}

/// Ends an undoing whose delivery is given up for this reason.
pub(super) async fn abandoned(
    store: &Store,
    policy: &Policy,
    (row, why): (&OutboxRow, &str),
    now: Timestamp,
) -> Result<(), StoreError> {
    let delivery = row.id.clone();
    let response = ask(store, move |store| store.undo_begin(&delivery, now)).await?;
    record(store, policy, response, (UndoStatus::Failed, why.to_owned(), false), now).await
}

/// Why a delivery that was given up is not to go on. What keeps somebody out takes as many people as the response: one who
/// drives its delivery again is no more than one.
fn not_asked_for(response: &Response) -> Option<String> {
    (response.undo_harms && response.undo != UndoStatus::Due).then(|| {
        format!(
            "it keeps somebody out again, so it must be asked for anew: watchfire responses undo {} --reason TEXT",
            response.id
        )
    })
}

/// That it stays, and how it is undone once its action is what it was.
fn in_force(response: &Response, does: &str) -> String {
    let Response { id, action, verb, .. } = response;
    format!(
        "the action `{action}` {does}, so this response stays in force: let it `{verb}` as before in the configuration, then: \
         watchfire responses undo {id} --reason TEXT"
    )
}

/// That it belongs to another account than the one that was hit, if so.
fn somebody_else(response: &Response, sight: &Sight) -> Option<String> {
    let (hit, now) = (response.hit.as_ref()?, sight.identity.as_ref()?);
    (hit.forge != now.forge || hit.id != now.id).then(|| {
        format!(
            "{} belongs to account {} at {} now, and Watchfire had hit account {} at {}: nothing is put back, a person \
             must decide",
            sight.who, now.id, now.forge, hit.id, hit.forge
        )
    })
}

/// Why what was done is not what is found, if so. Of one of which nobody knows whether it was done, nothing but its aim
/// can be expected.
fn changed_meanwhile(response: &Response, sight: &Sight) -> Option<String> {
    if response.may_have_acted() && sight.standing == Standing::Already {
        return None;
    }
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
    if may_pass(job, &error) {
        return Ok(Ended::Again(error));
    }
    end(job, response, (UndoStatus::Failed, error.reason().to_owned(), false)).await
}

async fn end(
    job: &Job<'_>,
    response: Response,
    how: (UndoStatus, String, bool),
) -> Result<Ended, StoreError> {
    record(job.store, job.policy, response, how, job.clock.now()).await?;
    Ok(Ended::Settled)
}

async fn record(
    store: &Store,
    policy: &Policy,
    response: Response,
    (status, summary, changed): (UndoStatus, String, bool),
    now: Timestamp,
) -> Result<(), StoreError> {
    let words = words(&response);
    tracing::info!(response.id, action = response.action, status = status.name(), "undoing: {summary}");
    let told = if status == UndoStatus::Undone { notices::undone } else { notices::not_undone };
    let notices = told(policy, (&response, &words), &summary, now);
    let undone = Undone { status, summary, changed, notices };
    ask(store, move |store| store.undo_end(&response, &undone, now)).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::respond::Identity;
    use crate::store::{Hit, ResponseStatus};
    use crate::time::Timestamp;

    #[test]
    fn nothing_is_put_back_that_belongs_to_somebody_else_now() {
        let mut response = Response::new("a", "block", "block", Timestamp(0));
        let hit = |id: &str| Hit { forge: "gitlab".into(), id: id.into(), name: None };
        let mut sight = Sight {
            who: "token 5".into(),
            identity: Some(Identity { forge: "gitlab".into(), id: "7".into(), name: Some("eve".into()) }),
            state: "active".into(),
            standing: Standing::Already,
            obstacles: Vec::new(),
            before: Value::Null,
            page: None,
        };
        assert_eq!(somebody_else(&response, &sight), None, "nobody is known to be hit");
        response.hit = Some(hit("7"));
        assert_eq!(somebody_else(&response, &sight), None);
        response.hit = Some(hit("8"));
        assert!(somebody_else(&response, &sight).unwrap().contains("belongs to account 7"));
        sight.identity = None;
        assert_eq!(somebody_else(&response, &sight), None, "it is not known");
    }

    #[test]
    fn of_what_nobody_knows_the_aim_is_expected() {
        let mut response = Response::new("a", "block", "block", Timestamp(0));
        response.status = ResponseStatus::Failed;
        let mut sight = Sight {
            who: "user 7".into(),
            identity: None,
            state: "blocked".into(),
            standing: Standing::Already,
            obstacles: Vec::new(),
            before: serde_json::json!({"state": "blocked"}),
            page: None,
        };
        assert!(changed_meanwhile(&response, &sight).is_some(), "it changed nothing");
        response.counted_at = Some(Timestamp(0));
        assert_eq!(changed_meanwhile(&response, &sight), None);
        sight.standing = Standing::Impossible;
        assert!(changed_meanwhile(&response, &sight).is_some());
    }
}
