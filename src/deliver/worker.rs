//! The worker: takes due rows from the outbox, runs their actions, records what came of it.
//!
//! A row is recorded after its effect, so a crash in between runs it again. That does no harm: the idempotency key
//! goes along to receivers, and accounts are looked at before they are changed.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::{Notify, watch};
use tokio::task::{Id, JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::action::ActionSet;
use crate::clock::{Clock, Steps};
use crate::encode::RuleText;
use crate::event::Catalogue;
use crate::log::{LogError, Reader, fault};
use crate::store::{OutboxRow, Settlement, Store, StoreError};
use crate::time::{Span, Timestamp};

use super::attempt::{attempt, in_store};
use super::due::{Desk, IDLE, settle};
use super::error::DeliveryError;
use super::retry::WAIT_MAX;

/// Rows asked for at once.
const ROWS_MAX: usize = 256;
/// How long to leave a store alone that does not answer.
const STORE_REST: Span = Span::seconds(5);
/// How long what is under way may take to end after a shutdown is asked for.
const DRAIN_MAX: Span = Span::seconds(10);

/// What a rule's file says, by rule id.
pub type RuleTextOf = Arc<dyn Fn(&str) -> RuleText + Send + Sync>;

/// All that delivering needs.
#[derive(Clone)]
pub struct Worker {
    /// The outbox.
    pub store: Store,
    /// Opens the log for one notification's evidence.
    pub open_log: Arc<dyn Fn() -> Result<Reader, LogError> + Send + Sync>,
    /// For the canonical form of the evidence; a reload brings another one.
    pub catalogue: Arc<dyn Fn() -> Arc<Catalogue> + Send + Sync>,
    /// The configured actions; a reload sends new ones.
    pub actions: watch::Receiver<Arc<ActionSet>>,
    /// The rules' texts.
    pub rule_text: RuleTextOf,
    /// When rows are due.
    pub clock: Clock,
    /// Woken with `notify_one` after each commit that wrote outbox rows, and after a redrive.
    pub wake: Arc<Notify>,
}

/// A delivery that ended.
struct Finished {
    action: String,
    cool_until: Option<Timestamp>,
}

/// Delivers until `shutdown`, then lets what is under way end, 10 s at most; the rest stays pending.
pub async fn work(worker: Worker, shutdown: CancellationToken) {
    let worker = Arc::new(worker);
    let mut desk = Desk::default();
    let mut jobs = JoinSet::new();
    let mut rows: HashMap<Id, OutboxRow> = HashMap::new();
    let mut clock_steps = Steps::new(worker.clock.clone());
    mind_clock(&worker, &mut desk, Span(0)).await;
    while !shutdown.is_cancelled() {
        if let Some(step) = clock_steps.taken() {
            mind_clock(&worker, &mut desk, Span(step.0.saturating_neg().max(0))).await;
        }
        let wake_at = match start_due(&worker, &mut desk).await {
            Ok((started, wake_at)) => {
                for row in started {
                    let job = deliver(Arc::clone(&worker), row.clone(), shutdown.clone());
                    rows.insert(jobs.spawn(job).id(), row);
                }
                wake_at
            }
            Err(error) => {
                tracing::error!(%error, "the outbox cannot be read");
                worker.clock.now().plus(STORE_REST)
            }
        };
        tokio::select! {
            Some(joined) = jobs.join_next_with_id() => finish(&worker, &mut desk, &mut rows, joined).await,
            () = worker.wake.notified() => {}
            // Never for longer: the clock may be set between one question and the next.
            () = worker.clock.sleep(wake_at.since(worker.clock.now()).min(IDLE)) => {}
            () = shutdown.cancelled() => {}
        }
    }
    tokio::select! {
        () = async { while jobs.join_next().await.is_some() {} } => {}
        () = worker.clock.sleep(DRAIN_MAX) => {
            tracing::warn!(count = jobs.len(), "deliveries did not end in time; they stay pending");
        }
    }
}

/// The clock was set, or it is not known whether it was: nothing waits longer for that.
async fn mind_clock(worker: &Worker, desk: &mut Desk, back: Span) {
    desk.end_rests();
    let now = worker.clock.now();
    let minded = in_store(worker, move |store| store.outbox_set_back(back, now, WAIT_MAX)).await;
    if let Err(error) = minded {
        tracing::error!(%error, "the outbox cannot follow the clock");
    }
}

/// What may start now, and when to look again if nothing else happens.
async fn start_due(worker: &Worker, desk: &mut Desk) -> Result<(Vec<OutboxRow>, Timestamp), StoreError> {
    let now = worker.clock.now();
    let mut started = Vec::new();
    if desk.room() > 0 {
        // The store gives every action its share, so rows of busy actions do not hide the others.
        let due = in_store(worker, move |store| store.outbox_due(now, ROWS_MAX)).await?;
        started = desk.start(due, now);
    }
    let next_due = in_store(worker, Store::outbox_next_due).await?;
    Ok((started, desk.wake_at(next_due, now)))
}

async fn finish(
    worker: &Worker,
    desk: &mut Desk,
    rows: &mut HashMap<Id, OutboxRow>,
    joined: Result<(Id, Finished), JoinError>,
) {
    match joined {
        Ok((id, finished)) => {
            rows.remove(&id);
            desk.finish(&finished.action, finished.cool_until);
        }
        Err(error) => {
            // A panic in an action: its row goes up the ladder like any other failure.
            let Some(row) = rows.remove(&error.id()) else { return };
            tracing::error!(action = row.action, alert.id = %row.alert, "an action panicked");
            let now = worker.clock.now();
            let failure = DeliveryError::retryable("the action ended abnormally; the log says more");
            let (settlement, _) = settle(Err(failure), row.attempts.saturating_add(1), now, rand::random());
            let is_recorded = record(worker, &row, settlement).await.is_ok();
            desk.finish(&row.action, (!is_recorded).then(|| now.plus(STORE_REST)));
        }
    }
}

/// One delivery, from reading the alert to recording what came of it.
async fn deliver(worker: Arc<Worker>, row: OutboxRow, shutdown: CancellationToken) -> Finished {
    let now = worker.clock.now();
    let result = match attempt(&worker, &row, now).await {
        Ok(Some(result)) => result,
        // It is recorded, together with what came of it.
        Ok(None) => return Finished { action: row.action, cool_until: None },
        Err(error) => {
            tracing::error!(action = row.action, alert.id = %row.alert, %error, "a delivery cannot be prepared");
            return Finished { action: row.action, cool_until: Some(now.plus(STORE_REST)) };
        }
    };
    let tries = row.attempts.saturating_add(1);
    let (settlement, cool_until) = settle(result, tries, worker.clock.now(), rand::random());
    tell(&row, tries, &settlement);
    // The effect has happened. Only recording it may be repeated, so the action stays busy until that is done.
    while let Err(error) = record(&worker, &row, settlement.clone()).await {
        tracing::error!(action = row.action, alert.id = %row.alert, %error, "what a delivery did cannot be recorded");
        tokio::select! {
            () = worker.clock.sleep(STORE_REST) => {}
            () = shutdown.cancelled() => break,
        }
    }
    fault::point("deliver.recorded");
    Finished { action: row.action, cool_until }
}

async fn record(worker: &Worker, row: &OutboxRow, settlement: Settlement) -> Result<(), StoreError> {
    let (id, now) = (row.id.clone(), worker.clock.now());
    in_store(worker, move |store| store.outbox_settle(&id, &settlement, now)).await
}

fn tell(row: &OutboxRow, tries: u32, settlement: &Settlement) {
    let (action, alert) = (row.action.as_str(), &row.alert);
    match settlement {
        Settlement::Done(outcome) => {
            tracing::info!(action, alert.id = %alert, outcome.changed, outcome.dry_run, "{}", outcome.summary);
        }
        Settlement::Retry { at, error } => {
            tracing::warn!(action, alert.id = %alert, tries, next = %at, "delivery failed: {error}");
        }
        Settlement::Dead { error } => {
            tracing::error!(action, alert.id = %alert, tries, "delivery given up: {error}");
        }
    }
}
