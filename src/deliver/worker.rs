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
use crate::alert::AlertId;
use crate::clock::{Clock, Steps};
use crate::encode::RuleText;
use crate::event::Catalogue;
use crate::log::{LogError, Reader, fault};
use crate::respond::abandoned;
use crate::store::{DeliveryKind, OpenBreaker, OutboxRow, Outcome, Settlement, Store, StoreError};
use crate::time::{Span, Timestamp};

use super::attempt::{attempt, in_store};
use super::breaker::{Breakers, Change, FAILURES_MAX, Sign};
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
    alert: AlertId,
    cool_until: Option<Timestamp>,
    sign: Sign,
}

/// What one loop knows of its actions.
#[derive(Debug, Default)]
struct Table {
    desk: Desk,
    breakers: Breakers,
}

/// Delivers until `shutdown`, then lets what is under way end, 10 s at most; the rest stays pending.
pub async fn work(worker: Worker, shutdown: CancellationToken) {
    let worker = Arc::new(worker);
    let mut table = Table::default();
    let mut jobs = JoinSet::new();
    let mut rows: HashMap<Id, OutboxRow> = HashMap::new();
    let mut clock_steps = Steps::new(worker.clock.clone());
    mind_clock(&worker, &mut table.desk, Span(0)).await;
    // What was known of receivers has gone with the one before.
    keep(&worker, |store| store.breaker_closed(None)).await;
    while !shutdown.is_cancelled() {
        if let Some(step) = clock_steps.taken() {
            mind_clock(&worker, &mut table.desk, Span(step.0.saturating_neg().max(0))).await;
        }
        let wake_at = match start_due(&worker, &mut table).await {
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
            Some(joined) = jobs.join_next_with_id() => finish(&worker, &mut table, &mut rows, joined).await,
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
async fn start_due(worker: &Worker, table: &mut Table) -> Result<(Vec<OutboxRow>, Timestamp), StoreError> {
    let now = worker.clock.now();
    let mut started = Vec::new();
    let Table { desk, breakers } = table;
    if desk.room() > 0 {
        // The store gives every action its share, so rows of busy actions do not hide the others.
        let due = in_store(worker, move |store| store.outbox_due(now, ROWS_MAX)).await?;
        let actions = Arc::clone(&worker.actions.borrow());
        let most = |action: &str| match actions.get(action) {
            Some(action) if !breakers.is_open(action.name()) => action.parallel(),
            _ => 1,
        };
        started = desk.start(due, now, most);
    }
    let next_due = in_store(worker, Store::outbox_next_due).await?;
    Ok((started, desk.wake_at(next_due, now)))
}

async fn finish(
    worker: &Worker,
    table: &mut Table,
    rows: &mut HashMap<Id, OutboxRow>,
    joined: Result<(Id, Finished), JoinError>,
) {
    match joined {
        Ok((id, finished)) => {
            rows.remove(&id);
            heard(worker, table, finished).await;
        }
        Err(error) => {
            // A panic in an action: its row goes up the ladder like any other failure.
            let Some(row) = rows.remove(&error.id()) else { return };
            tracing::error!(action = row.action, alert.id = %row.alert, "an action panicked");
            let now = worker.clock.now();
            let failure = DeliveryError::retryable("the action ended abnormally; the log says more");
            let (settlement, _) = settle(Err(failure), row.attempts.saturating_add(1), now, rand::random());
            let is_recorded = record_panic(worker, &row, settlement, now).await.is_ok();
            table.desk.finish(&row.action, &row.alert, (!is_recorded).then(|| now.plus(STORE_REST)));
        }
    }
}

/// The last try of a response ends the response, too.
async fn record_panic(
    worker: &Worker,
    row: &OutboxRow,
    settlement: Settlement,
    now: Timestamp,
) -> Result<(), StoreError> {
    let actions = Arc::clone(&worker.actions.borrow());
    if let Settlement::Dead { error } = &settlement
        && row.kind == DeliveryKind::Respond
        && abandoned(&worker.store, actions.policy(), (row, error), now).await?
    {
        return Ok(());
    }
    record(worker, row, settlement).await
}

/// What a delivery's end says about its receiver.
async fn heard(worker: &Worker, table: &mut Table, finished: Finished) {
    let Finished { action, alert, cool_until, sign } = finished;
    let now = worker.clock.now();
    let (change, rest) = table.breakers.heard(&action, &sign, now);
    table.desk.finish(&action, &alert, cool_until.max(rest));
    match (change, sign) {
        (Some(Change::Opened), Sign::Away(error)) => {
            tracing::warn!(
                action,
                "the receiver failed {FAILURES_MAX} times in a row; it is only probed until it answers"
            );
            keep(worker, move |store| store.breaker_opened(&OpenBreaker { action, since: now, error })).await;
        }
        (Some(Change::Closed), _) => {
            tracing::info!(action, "the receiver is back; what waited for it is delivered");
            keep(worker, move |store| {
                store.outbox_hasten(&action, now)?;
                store.breaker_closed(Some(&action))
            })
            .await;
        }
        _ => {}
    }
}

/// Writes what only helps: without it everything goes on all the same.
async fn keep(worker: &Worker, write: impl FnOnce(&Store) -> Result<(), StoreError> + Send + 'static) {
    if let Err(error) = in_store(worker, write).await {
        tracing::error!(%error, "what is known of receivers cannot be written");
    }
}

/// A response says nothing about a receiver: what keeps it from acting is mostly not the network.
fn sign_of(row: &OutboxRow, result: &Result<Outcome, DeliveryError>) -> Sign {
    match result {
        _ if row.kind == DeliveryKind::Respond => Sign::Silent,
        Ok(_) | Err(DeliveryError::Permanent { .. }) => Sign::There,
        Err(DeliveryError::Retryable { reason, .. }) => Sign::Away(reason.clone()),
    }
}

/// One delivery, from reading the alert to recording what came of it.
async fn deliver(worker: Arc<Worker>, row: OutboxRow, shutdown: CancellationToken) -> Finished {
    let now = worker.clock.now();
    let result = match attempt(&worker, &row, now).await {
        Ok(Some(result)) => result,
        // It is recorded, together with what came of it.
        Ok(None) => {
            return Finished { action: row.action, alert: row.alert, cool_until: None, sign: Sign::Silent };
        }
        Err(error) => {
            tracing::error!(action = row.action, alert.id = %row.alert, %error, "a delivery cannot be prepared");
            let cool_until = Some(now.plus(STORE_REST));
            return Finished { action: row.action, alert: row.alert, cool_until, sign: Sign::Silent };
        }
    };
    let tries = row.attempts.saturating_add(1);
    let sign = sign_of(&row, &result);
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
    Finished { action: row.action, alert: row.alert, cool_until, sign }
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
