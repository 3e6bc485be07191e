//! One try of one delivery: what is told is read, then the action is run.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::compose::{Told, compose};
use super::error::DeliveryError;
use super::retry::ATTEMPTS_MAX;
use super::worker::Worker;
use crate::action::{Action, GuardInput, Responding};
use crate::alert::{Alert, Occasion};
use crate::encode::{Card, CheckpointNote, Notification, Other, Place};
use crate::event::{Position, canonical};
use crate::log::{LogError, fault};
use crate::report::render::ReportMail;
use crate::respond::{self, Ended, Job, Policy};
use crate::store::{
    DeliveryKind, OutboxRow, Outcome, Store, StoreError, StoredAlert, checkpoint_named, notice_named,
};
use crate::time::Timestamp;

/// Evidence events that are read for one notification.
const EVIDENCE_MAX: usize = 50;

/// How a try ended. The outer error is ours (store, log), the inner one the delivery's.
pub(super) type Tried = Result<Result<Outcome, DeliveryError>, StoreError>;

/// Runs the action once; none where what it did is recorded already.
pub(super) async fn attempt(
    worker: &Arc<Worker>,
    row: &OutboxRow,
    now: Timestamp,
) -> Result<Option<Result<Outcome, DeliveryError>>, StoreError> {
    let actions = Arc::clone(&worker.actions.borrow());
    let action = actions.get(&row.action);
    if row.kind != DeliveryKind::Respond {
        return tell(worker, row, (action, now)).await.map(Some);
    }
    match &action {
        Some(action) if action.response().is_some() => respond(worker, row, action, actions.policy()).await,
        // There is nobody who could put anything back, and to tell of it is no undoing.
        _ if row.occasion == Occasion::Undo => {
            let is_there = action.is_some();
            respond::stranded(&worker.store, actions.policy(), (row, is_there), now).await.map(|()| None)
        }
        Some(action) if action.kind() == DeliveryKind::Respond => {
            tell(worker, row, (Some(Arc::clone(action)), now)).await.map(Some)
        }
        _ => nobody(worker, row, (actions.policy(), action.is_some()), now).await,
    }
}

/// There is no action that responds: it may come back, until the last try ends the response.
async fn nobody(
    worker: &Worker,
    row: &OutboxRow,
    (policy, is_there): (&Policy, bool),
    now: Timestamp,
) -> Result<Option<Result<Outcome, DeliveryError>>, StoreError> {
    let name = &row.action;
    let reason = if is_there {
        format!("the action `{name}` does not respond: let it, or let this be given up")
    } else {
        format!("no action `{name}` is configured: configure it, or let this be given up")
    };
    let tries = row.attempts.saturating_add(1);
    if tries >= ATTEMPTS_MAX {
        let why = format!("gave up after {tries} tries: {reason}");
        if respond::abandoned(&worker.store, policy, (row, &why), now).await? {
            return Ok(None);
        }
    }
    Ok(Some(Err(DeliveryError::retryable(reason))))
}

/// Runs a response, which records by itself what it decided and did.
async fn respond(
    worker: &Arc<Worker>,
    row: &OutboxRow,
    action: &Arc<Action>,
    policy: &Arc<Policy>,
) -> Result<Option<Result<Outcome, DeliveryError>>, StoreError> {
    let Some(Responding { responder, guards, by_hand }) = action.response() else { return Ok(None) };
    let told = {
        let (worker, row, action) = (Arc::clone(worker), row.clone(), Arc::clone(action));
        let now = worker.clock.now();
        blocking(move || prepare(&worker, &row, &action, now)).await?
    };
    let told = told.as_ref().map(|(told, _)| told);
    let (store, clock) = (&worker.store, &worker.clock);
    let job = Job { store, clock, policy, guards, responder, row, told, by_hand: by_hand.as_ref() };
    let ended =
        if row.occasion == Occasion::Undo { respond::undo(&job).await? } else { respond::run(&job).await? };
    Ok(match ended {
        Ended::Settled => None,
        Ended::Again(error) => Some(Err(error)),
    })
}

/// Tells somebody, by an action that is configured.
async fn tell(
    worker: &Arc<Worker>,
    row: &OutboxRow,
    (action, now): (Option<Arc<Action>>, Timestamp),
) -> Tried {
    let Some(action) = action else {
        let reason =
            format!("no action `{}` is configured: configure it, or let this be given up", row.action);
        return Ok(Err(DeliveryError::retryable(reason)));
    };
    if row.kind == DeliveryKind::Report {
        return report(worker, row, (&action, now)).await;
    }
    if let Some(place) = checkpoint_named(&row.alert.0) {
        return Ok(keep(worker, row, (&*action, place), now).await);
    }
    if let Some(id) = notice_named(&row.alert.0) {
        return notice(worker, row, (&action, now), id).await;
    }
    alert(worker, row, &action, now).await
}

/// Tells of an alert, or responds to it.
async fn alert(worker: &Arc<Worker>, row: &OutboxRow, action: &Arc<Action>, now: Timestamp) -> Tried {
    let prepared = {
        let (worker, row, action) = (Arc::clone(worker), row.clone(), Arc::clone(action));
        blocking(move || prepare(&worker, &row, &action, now)).await?
    };
    let Some((notification, guard)) = prepared else {
        return Ok(Err(DeliveryError::permanent("its alert is not in the store")));
    };
    if row.kind == DeliveryKind::Respond {
        let id = row.id.clone();
        in_store(worker, move |store| store.outbox_begin(&id, now)).await?;
    }
    fault::point("deliver.before_action");
    let result = action.run(&notification, &guard).await;
    fault::point("deliver.after_action");
    Ok(result)
}

/// Tells what is no alert.
async fn notice(
    worker: &Arc<Worker>,
    row: &OutboxRow,
    (action, now): (&Arc<Action>, Timestamp),
    id: &str,
) -> Tried {
    let own = id.to_owned();
    let Some(mut notice) = in_store(worker, move |store| store.notice(&own)).await? else {
        return Ok(Err(DeliveryError::permanent("what it is to tell is no longer in the store")));
    };
    if let Some(alert) = notice.alert.clone() {
        // Whoever is to decide something must know what it is about.
        let row = OutboxRow { alert, ..row.clone() };
        let (own, action, now) = (Arc::clone(worker), Arc::clone(action), now);
        let prepared = blocking(move || prepare(&own, &row, &action, now)).await?;
        let gist = prepared.into_iter().flat_map(|(told, _)| Card::of(&told).gist());
        drop(notice.lines.splice(..0, gist));
    }
    fault::point("deliver.before_action");
    let result = action.tell(&notice, &row.id, now).await;
    fault::point("deliver.after_action");
    Ok(result)
}

/// Sends a report's mail, which was written when it was due.
async fn report(worker: &Arc<Worker>, row: &OutboxRow, (action, now): (&Action, Timestamp)) -> Tried {
    let id = row.id.clone();
    let Some(bytes) = in_store(worker, move |store| store.report_mail(&id)).await? else {
        return Ok(Err(DeliveryError::permanent("its mail is no longer in the store")));
    };
    let mail: ReportMail = match serde_json::from_slice(&bytes) {
        Ok(mail) => mail,
        Err(error) => return Ok(Err(DeliveryError::permanent(format!("its mail cannot be read: {error}")))),
    };
    fault::point("deliver.before_action");
    let result = action.report(&mail, &row.id, now).await;
    fault::point("deliver.after_action");
    Ok(result)
}

/// Hands a checkpoint on, as the folder's own file has it.
async fn keep(
    worker: &Arc<Worker>,
    row: &OutboxRow,
    (action, (position, at)): (&Action, (Position, Timestamp)),
    now: Timestamp,
) -> Result<Outcome, DeliveryError> {
    let own = Arc::clone(worker);
    let line = blocking(move || (own.open_log)()?.kept_checkpoint(position, at)).await;
    let line = line.map_err(|error| DeliveryError::retryable(error.to_string()))?;
    let line = line.ok_or_else(|| DeliveryError::permanent("this checkpoint is not in its file any more"))?;
    let note = CheckpointNote { line, position, at, idempotency_key: row.id.clone() };
    fault::point("deliver.before_action");
    let result = action.keep(&note, now).await;
    fault::point("deliver.after_action");
    result
}

/// Reads what the action is to be told; nothing if the alert is gone. Of several that are told together, the first that is
/// still there stands for those that were removed after their time.
fn prepare(
    worker: &Worker,
    row: &OutboxRow,
    action: &Action,
    now: Timestamp,
) -> Result<Option<(Notification, GuardInput)>, StoreError> {
    let Some(stored) = first_left(&worker.store, row)? else { return Ok(None) };
    let row = &OutboxRow { alert: stored.alert.id.clone(), ..row.clone() };
    let siblings = worker.store.outbox_of(&row.alert)?;
    let recent = match action.limit_span() {
        Some(span) => worker.store.responses_since(&row.action, now.minus(span))?,
        None => 0,
    };
    let events = evidence(worker, &stored.alert.evidence);
    let rule = (worker.rule_text)(&stored.alert.rule);
    let standing = worker.store.standing(&row.alert)?;
    let told = Told { alert: stored.alert, triage: standing.triage, rule };
    let mut notification = compose(told, row, &siblings, events);
    // Only people are told of it.
    let incident = standing.incident.filter(|_| row.kind != DeliveryKind::Respond);
    notification.incident = incident.map(|id| worker.store.around(&id)).transpose()?.flatten();
    let others = worker.store.told_with(row)?.into_iter();
    notification.others = others.map(|alert| other(worker, alert)).collect::<Result<_, StoreError>>()?;
    Ok(Some((notification, GuardInput { recent, now })))
}

/// The alert that a delivery is about; of several the first that is left.
fn first_left(store: &Store, row: &OutboxRow) -> Result<Option<StoredAlert>, StoreError> {
    if let Some(stored) = store.alert(&row.alert)? {
        return Ok(Some(stored));
    }
    for alert in store.told_together(&row.id)? {
        if let Some(stored) = store.alert(&alert)? {
            return Ok(Some(stored));
        }
    }
    Ok(None)
}

/// An alert that is told with others, as it stands now.
fn other(worker: &Worker, alert: Alert) -> Result<Other, StoreError> {
    let (triage, rule) = (worker.store.triage(&alert.id)?, (worker.rule_text)(&alert.rule));
    Ok(Other { alert, triage, rule })
}

/// Canonical events, and where they happened.
type Evidence = (Vec<Map<String, Value>>, BTreeSet<Place>);

/// The evidence of an alert. Without the log the alert is told all the same.
fn evidence(worker: &Worker, positions: &[Position]) -> Evidence {
    let read = || -> Result<Evidence, LogError> {
        let mut log = (worker.open_log)()?;
        let catalogue = (worker.catalogue)();
        let (mut events, mut places) = Evidence::default();
        for position in positions.iter().take(EVIDENCE_MAX) {
            let Some(event) = log.get(*position)? else { continue };
            places.insert(Place::from(&event));
            events.push(canonical(&event, &catalogue));
        }
        Ok((events, places))
    };
    read().unwrap_or_else(|error| {
        tracing::warn!(%error, "an alert is told without its evidence: the log cannot be read");
        Evidence::default()
    })
}

/// Asks the store beside the async threads.
pub(super) async fn in_store<T: Send + 'static>(
    worker: &Worker,
    read: impl FnOnce(&Store) -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    let store = worker.store.clone();
    blocking(move || read(&store)).await
}

/// Runs what blocks beside the async threads; a panic in it goes on in the caller.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(value) => value,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime is going down; nothing after this matters.
            Err(_) => std::future::pending().await,
        },
    }
}
