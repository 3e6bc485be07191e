//! The way of one response: what is asked, in which order, before anything is changed.
//!
//! kill switch, subject, look, what must not be touched, nothing to do, cool-down, limits, approval; then it is counted and
//! allowed in one transaction, done, and looked at until it is seen. Each step may end the process: the next try begins
//! anew, and one that had been allowed first looks whether it was done.

use super::act::{Aim, act, recover};
use super::job::{Ended, Job};
use super::notices;
use super::sight::{Sight, Standing, Subject};
use crate::deliver::DeliveryError;
use crate::log::fault;
use crate::store::{
    Ending, Hit, Limit, LimitOf, Outcome, Parked, Reservation, Reserved, Response, ResponseStatus, Stop,
    StoreError, UNKNOWN,
};
use crate::time::{Span, Timestamp};

/// With more than so many waiting, no message is sent for each.
const WAITING_MAX: u64 = 20;

/// Runs a response once.
///
/// # Errors
/// When the store fails; the response is then tried again.
pub async fn run(job: &Job<'_>) -> Result<Ended, StoreError> {
    // Until then it is not known of everybody whether it is Watchfire itself.
    job.policy.wait_for_accounts().await;
    let now = job.clock.now();
    let mut response = begin(job, now).await?;
    // One that is counted may have been done by an earlier try of which nobody heard how it ended.
    let is_resumed = response.status == ResponseStatus::Acting || response.counted_at.is_some();
    if response.is_taken_back() {
        return taken_back(job, response).await;
    }
    if is_resumed && !is_same_action(job, &response) {
        let why = "its action does something else by now, or does it to another system";
        return held(job, response, why).await;
    }
    if is_resumed {
        know_way_back(job, &mut response);
    }
    if !is_resumed && let Some(stop) = job.ask(crate::store::Store::responses_stopped).await? {
        return stopped(job, response, &stop).await;
    }
    let subject = match subject(job, &response) {
        Ok(subject) => subject,
        Err(why) => return held(job, response, &why).await,
    };
    let sight = match job.responder.look(&subject, now).await {
        Ok(sight) => sight,
        Err(error) => return again_or_failed(job, response, error).await,
    };
    if is_resumed && sight.standing == Standing::Already && !is_other(&response, &subject, &sight) {
        return recover(job, response, &subject, sight).await;
    }
    see(&mut response, &subject, &sight);
    if is_resumed && let Some(stop) = job.ask(crate::store::Store::responses_stopped).await? {
        return stopped(job, response, &stop).await;
    }
    if is_resumed && rehearses(job, &response) && !response.dry_run {
        return held(job, response, "it is to rehearse by now (`dry_run`)").await;
    }
    if let Some(why) = job_refuses(job, &sight, now) {
        return held(job, response, &why).await;
    }
    if sight.standing == Standing::Already {
        return already(job, response, &sight).await;
    }
    if let Some(ended) = wait_or_go(job, &mut response, now).await? {
        return Ok(ended);
    }
    fault::point("respond.before_act");
    act(job, response, Aim { subject: &subject, sight: &sight, is_first: !is_resumed }).await
}

/// Counts the try, and gives what is known of the response.
async fn begin(job: &Job<'_>, now: Timestamp) -> Result<Response, StoreError> {
    let row = job.row;
    let mut new = Response::new(row.id.clone(), row.action.clone(), job.responder.verb().plain, now);
    if let Some(told) = job.told {
        new.alert = Some(told.alert.id.clone());
        new.rule = Some(told.alert.rule.to_string());
        new.rule_version.clone_from(&told.rule.version);
        new.evidence.clone_from(&told.alert.evidence);
    }
    let told = new.clone();
    let mut response = job.ask(move |store| store.response_begin(&new, now)).await?;
    // Asked for by a person: what the alert says comes now.
    if response.rule.is_none() {
        (response.rule, response.rule_version, response.evidence) =
            (told.rule, told.rule_version, told.evidence);
    }
    let aim = job.responder.aim();
    if !response.is_of(&told.verb, &aim) && !response.may_have_acted() {
        // Who approved something else did not approve this.
        forget_approvals(&mut response);
        response.verb.clone_from(&told.verb);
        response.aim = Some(aim);
    } else if response.aim.is_none() {
        response.aim = Some(aim);
    }
    response.approvals_needed = u32::from(job.guards.approvals);
    // What may have been done in earnest is no rehearsal, whatever is said of it later.
    response.dry_run = rehearses(job, &response) && !response.may_have_acted();
    Ok(response)
}

/// Whether the action is still the one that this was for: then it knows whether that was done, and the way back.
pub(super) fn is_same_action(job: &Job<'_>, response: &Response) -> bool {
    response.is_of(job.responder.verb().plain, &job.responder.aim())
}

/// Whether it is only to rehearse. A rule may say so as it was when the alert was committed, or as it is now.
pub(super) fn rehearses(job: &Job<'_>, response: &Response) -> bool {
    let rule_says = response.rule_rehearses || job.told.is_some_and(|told| told.rule.dry_run);
    rule_says || job.policy.rehearses(response.rule.as_deref(), job.guards)
}

fn subject(job: &Job<'_>, response: &Response) -> Result<Subject, String> {
    match (&response.user, job.told) {
        (Some(user), _) => job.responder.named(user),
        (None, Some(told)) => job.responder.subject(told),
        (None, None) => Err("neither a person nor an alert says whom it is about".to_owned()),
    }
}

/// Takes over what was seen. Who approved something else did not approve this.
fn see(response: &mut Response, subject: &Subject, sight: &Sight) {
    if is_other(response, subject, sight) {
        forget_approvals(response);
    }
    response.subject = serde_json::to_value(subject).ok();
    // What an earlier call was answered says nothing of what is still to be done.
    response.receipt = None;
    response.hit = hit(sight);
    response.who = Some(sight.who.clone());
    response.page.clone_from(&sight.page);
    response.before = Some(sight.before.clone());
    response.states.0 = Some(sight.state.clone());
}

fn hit(sight: &Sight) -> Option<Hit> {
    sight.identity.as_ref().map(|identity| Hit {
        forge: identity.forge.clone(),
        id: identity.id.clone(),
        name: identity.name.clone(),
    })
}

/// Whether what was seen is about something or somebody else than what is kept.
pub(super) fn is_other(response: &Response, subject: &Subject, sight: &Sight) -> bool {
    let is_else = hit(sight).is_some_and(|hit| response.hit.as_ref().map(Hit::key) != Some(hit.key()));
    is_else || response.subject != serde_json::to_value(subject).ok()
}

fn forget_approvals(response: &mut Response) {
    response.approvals.clear();
    (response.beyond, response.limit) = (None, None);
}

/// Why it must not be done. What protects people comes before what saves work.
pub(super) fn job_refuses(job: &Job<'_>, sight: &Sight, now: Timestamp) -> Option<String> {
    if sight.standing == Standing::Missing {
        return Some(sight.state.clone());
    }
    let Some(identity) = &sight.identity else {
        return Some("it cannot be looked up whom this hits".to_owned());
    };
    if !sight.obstacles.is_empty() {
        return Some(sight.obstacles.join("; "));
    }
    if let Some(why) = job.policy.protects(identity, job.guards, now) {
        return Some(why);
    }
    (sight.standing == Standing::Impossible)
        .then(|| format!("it is {}, which this cannot follow", sight.state))
}

/// Ends it here for the cool-down, the limits, an approval that is missing, or since it only rehearses; none: it is
/// counted and may act.
async fn wait_or_go(
    job: &Job<'_>,
    response: &mut Response,
    now: Timestamp,
) -> Result<Option<Ended>, StoreError> {
    let limits = job.policy.limits(job.guards);
    let reservation = Reservation { limits, cool_down: job.guards.cool_down };
    let needs_people = !response.dry_run && !response.is_allowed(None);
    if !response.dry_run {
        // From the moment it counts it may be undone, also by somebody who no longer has this action.
        know_way_back(job, response);
    }
    response.summary = format!("is to {}", job.words(response));
    let (mut asked, wanted) = (response.clone(), reservation.clone());
    let reserved = if needs_people {
        let found = job.ask(move |store| store.response_beyond(&asked, &wanted, now)).await?;
        match found {
            Some(reserved) => reserved,
            None => return park(job, response.clone(), None, now).await.map(Some),
        }
    } else {
        let (reserved, counted) = job
            .ask(move |store| {
                let reserved = store.response_reserve(&mut asked, &wanted, now)?;
                Ok((reserved, asked))
            })
            .await?;
        *response = counted;
        reserved
    };
    let ended = match reserved {
        Reserved::Go if response.dry_run => rehearsed(job, response.clone(), now).await?,
        Reserved::Go => return Ok(None),
        Reserved::Stopped(stop) => stopped(job, response.clone(), &stop).await?,
        Reserved::Cooling(until) => {
            let why = format!("it was done to the same one before, who is left alone until {until}");
            held(job, response.clone(), &why).await?
        }
        Reserved::Beyond(limit) if response.dry_run => held(job, response.clone(), &limit.words).await?,
        Reserved::Beyond(limit) => park(job, response.clone(), Some(limit), now).await?,
    };
    Ok(Some(ended))
}

/// It waits for people.
async fn park(
    job: &Job<'_>,
    mut response: Response,
    limit: Option<Limit>,
    now: Timestamp,
) -> Result<Ended, StoreError> {
    let until = now.plus(job.policy.config.approval.expires);
    let words = job.words(&response);
    (response.beyond, response.limit) =
        limit.as_ref().map(|limit| (limit.words.clone(), limit.name.clone())).unzip();
    let parked = if let Some(limit) = limit {
        response.summary = format!("waits to {words}: {}; a person must decide", limit.words);
        let told = notices::beyond(job.policy, (&response, &words), (&limit.words, until), now);
        let name = match limit.of {
            LimitOf::Action => format!("{}: {}", response.action, limit.name),
            LimitOf::Identities => limit.name,
        };
        Parked { until, notices: told, limit: Some((name, limit.per)) }
    } else {
        let people = if response.approvals_needed > 1 { "two people" } else { "a person" };
        response.summary = format!("waits to {words}: {people} must approve it until {until}");
        let waiting = job.ask(|store| store.responses_waiting(WAITING_MAX)).await?;
        if waiting >= WAITING_MAX {
            let told = notices::many_wait(job.policy, &response, now);
            Parked { until, notices: told, limit: Some(("approvals".to_owned(), Span::hours(1))) }
        } else {
            let told = notices::wanted(job.policy, (&response, &words), until, now);
            Parked { until, notices: told, limit: None }
        }
    };
    tracing::info!(response.id, action = response.action, "{}", response.summary);
    job.ask(move |store| store.response_park(&response, &parked, now)).await?;
    Ok(Ended::Settled)
}

async fn stopped(job: &Job<'_>, response: Response, stop: &Stop) -> Result<Ended, StoreError> {
    let summary = format!(
        "did not {}: all responses are stopped by {}: {}",
        job.words(&response),
        stop.by,
        stop.reason
    );
    end(job, response, (ResponseStatus::Stopped, summary, true)).await
}

/// Somebody had undone what an earlier run had done, or may have done.
async fn taken_back(job: &Job<'_>, response: Response) -> Result<Ended, StoreError> {
    let by = response.undo_by.as_ref().map_or("somebody", |(by, _)| by.as_str());
    let summary = format!(
        "did not {}: {by} had it undone; if it is wanted all the same, ask for it anew",
        job.words(&response)
    );
    settle(job, response, (ResponseStatus::Held, summary, true)).await
}

async fn held(job: &Job<'_>, response: Response, why: &str) -> Result<Ended, StoreError> {
    let summary = format!("did not {}: {why}; a person must decide", job.words(&response));
    let at = response.page.as_ref().map(|page| format!(" at {page}")).unwrap_or_default();
    end(job, response, (ResponseStatus::Held, format!("{summary}{at}"), true)).await
}

pub(super) async fn already(job: &Job<'_>, response: Response, sight: &Sight) -> Result<Ended, StoreError> {
    let summary = format!("{} is already {}", sight.who, sight.state);
    end(job, response, (ResponseStatus::Already, summary, false)).await
}

async fn rehearsed(job: &Job<'_>, response: Response, now: Timestamp) -> Result<Ended, StoreError> {
    let state = response.states.0.as_deref().unwrap_or("unknown");
    let mut summary = format!("would {}, now {state}", job.words(&response));
    match job.guards.approvals {
        0 => {}
        1 => summary.push_str("; a person would have to approve it"),
        _ => summary.push_str("; two people would have to approve it"),
    }
    if job.guards.lasts.ends() {
        let span = lasts(job, &response).await?;
        if let Some(span) = span {
            summary.push_str(&format!("; it would end by itself at {}", now.plus(span)));
        }
    }
    end(job, response, (ResponseStatus::Rehearsed, summary, false)).await
}

/// How long a response holds, by how often its action hit the same identity before.
pub(super) async fn lasts(job: &Job<'_>, response: &Response) -> Result<Option<Span>, StoreError> {
    let Some(hit) = response.hit.clone().filter(|_| job.guards.lasts.ends()) else { return Ok(None) };
    let (action, id) = (response.action.clone(), response.id.clone());
    let before = job.ask(move |store| store.response_repeats(&action, &hit, &id)).await?;
    Ok(job.guards.lasts.after(before))
}

/// It ends without this try having changed anything.
async fn end(
    job: &Job<'_>,
    mut response: Response,
    (status, summary, needs_human): (ResponseStatus, String, bool),
) -> Result<Ended, StoreError> {
    let summary =
        unknown(job, &mut response).map_or(summary.clone(), |unknown| format!("{summary}; {unknown}"));
    settle(job, response, (status, summary, needs_human)).await
}

/// Puts down that it ends so.
async fn settle(
    job: &Job<'_>,
    mut response: Response,
    (status, summary, needs_human): (ResponseStatus, String, bool),
) -> Result<Ended, StoreError> {
    tracing::info!(response.id, action = response.action, status = status.name(), "{summary}");
    response.status = status;
    response.summary.clone_from(&summary);
    let dry_run = response.dry_run;
    let outcome = Outcome { changed: false, dry_run, summary, undo: None, needs_human };
    let ending = Ending { outcome, dead: None, undo_at: None, notices: Vec::new() };
    let now = job.clock.now();
    job.ask(move |store| store.response_end(&response, &ending, now)).await?;
    Ok(Ended::Settled)
}

/// Whether a failure may pass, and there is another try.
pub(super) const fn may_pass(job: &Job<'_>, error: &DeliveryError) -> bool {
    matches!(error, DeliveryError::Retryable { .. }) && !job.is_last()
}

/// A failure that may pass is tried again; one that stays, and the last one, end it.
pub(super) async fn again_or_failed(
    job: &Job<'_>,
    response: Response,
    error: DeliveryError,
) -> Result<Ended, StoreError> {
    if may_pass(job, &error) {
        return Ok(Ended::Again(error));
    }
    failed(job, response, error.reason()).await
}

/// Puts down whether there is a way back, and whether that harms.
pub(super) fn know_way_back(job: &Job<'_>, response: &mut Response) {
    let verb = job.responder.verb();
    (response.undoable, response.undo_harms) = (verb.undo.is_some(), verb.undo_harms());
}

/// What is said of one that is counted and ends otherwise than done. It goes on counting, and can be undone.
fn unknown(job: &Job<'_>, response: &mut Response) -> Option<&'static str> {
    if response.dry_run || response.counted_at.is_none() {
        return None;
    }
    if is_same_action(job, response) {
        know_way_back(job, response);
    }
    response.after = None;
    Some(UNKNOWN)
}

/// It could not be done, and people are told.
pub(super) async fn failed(job: &Job<'_>, mut response: Response, why: &str) -> Result<Ended, StoreError> {
    let now = job.clock.now();
    let words = job.words(&response);
    let why = if job.is_last() {
        format!("gave up after {} tries: {why}", job.row.attempts + 1)
    } else {
        why.to_owned()
    };
    let why = unknown(job, &mut response).map_or(why.clone(), |unknown| format!("{why}; {unknown}"));
    tracing::error!(response.id, action = response.action, "{words} failed: {why}");
    response.status = ResponseStatus::Failed;
    response.summary.clone_from(&why);
    let dry_run = response.dry_run;
    let outcome = Outcome { changed: false, dry_run, summary: why.clone(), undo: None, needs_human: true };
    let notices = notices::failed(job.policy, (&response, &words), &why, now);
    let ending = Ending { outcome, dead: Some(why), undo_at: None, notices };
    job.ask(move |store| store.response_end(&response, &ending, now)).await?;
    Ok(Ended::Settled)
}
