//! What responses need beside the deliveries: their end when nobody approves them, their way into the log, how many
//! identities there are, and a word before somebody is no longer protected.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::gauge::ConstGauge;
use serde_json::json;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use super::accounts::Learnt;
use super::terms;
use crate::action::{ActionError, ActionSet};
use crate::alert::Level;
use crate::clock::Clock;
use crate::config::Config;
use crate::decode::{Origin, decode_from};
use crate::deliver::BuildContext;
use crate::encode::Notice;
use crate::enrich::OWN_SOURCE;
use crate::event::{Catalogue, Format};
use crate::log::{NewEvent, fault};
use crate::query::Query;
use crate::respond::{Known, Policy, Protected, Signer, expired};
use crate::search::Searcher;
use crate::source::Sink;
use crate::store::{NewNotice, Response, ResponseStatus, Step, Store, StoreError};
use crate::time::{Span, Timestamp};

/// How often it is looked whether there is something to do.
const LOOK: Span = Span::seconds(5);
/// How often identities are counted.
const COUNTED_EVERY: Span = Span::hours(6);
/// How soon it is tried again where that failed, or was not wanted.
const COUNTED_AGAIN: Span = Span::minutes(1);
/// How often it is looked who is soon no longer protected.
const WARNED_EVERY: Span = Span::hours(1);
/// Under this name it is kept which step was told last.
const TOLD: &str = "respond/told";
/// Steps told at once.
const STEPS_MAX: usize = 200;

/// How many identities were active in the last 30 days; below zero: not known yet.
pub(super) type Counted = Arc<AtomicI64>;

/// All that is needed.
pub(super) struct Keeper {
    pub(super) store: Store,
    pub(super) clock: Clock,
    pub(super) sink: Sink,
    pub(super) actions: watch::Receiver<Arc<ActionSet>>,
    pub(super) counted: Counted,
    pub(super) data_dir: PathBuf,
    pub(super) catalogue: Arc<Catalogue>,
    /// Wakes the deliveries.
    pub(super) wake: Arc<Notify>,
    /// The stop that was told last, by its time.
    pub(super) stop_told: AtomicI64,
}

/// What responses go by that only a running daemon knows.
pub(super) struct Facts {
    pub(super) counted: Counted,
    pub(super) learnt: Learnt,
    /// Whether each token was asked once whose it is.
    pub(super) asked: watch::Sender<bool>,
}

impl Facts {
    /// Nobody is counted; the accounts are those that were kept.
    pub(super) fn of(store: &Store) -> Result<Self, StoreError> {
        let (counted, learnt) = (Counted::new((-1).into()), Learnt::of(store)?);
        Ok(Self { counted, learnt, asked: watch::Sender::new(false) })
    }
}

/// The configured actions, with what holds for all responses.
pub(super) fn actions<E: From<ActionError> + From<StoreError>>(
    config: &Config,
    build: &BuildContext<'_>,
    (store, facts): (&Store, &Facts),
) -> Result<Arc<ActionSet>, E> {
    let policy = policy(config, store, facts)?;
    let actions = ActionSet::build(&config.actions, build)?.under(policy);
    terms::keep(store, config.incident_gap, &actions)?;
    Ok(Arc::new(actions))
}

/// What holds for all responses, as configured, with what only the daemon knows.
fn policy(config: &Config, store: &Store, facts: &Facts) -> Result<Policy, StoreError> {
    let (counted, is_own) = (Arc::clone(&facts.counted), facts.learnt.is_own(config.own.clone()));
    let known: Known = Arc::new(move || u64::try_from(counted.load(Ordering::Relaxed)).ok());
    Ok(Policy::new(config.responses.clone()).with(known, Some(Signer::of(store)?)).sparing(is_own))
}

impl Keeper {
    /// Works until it is to stop.
    pub(super) async fn run(self, stop: CancellationToken) {
        let own = Arc::new(self);
        let (mut counted_at, mut warned_at, mut is_counted) = (None, None, false);
        loop {
            let now = own.clock.now();
            own.in_store("expire responses", move |own| own.expire(now)).await;
            own.in_store("tell that responses are stopped", move |own| own.tell_stop(now)).await;
            own.tell().await;
            if is_due(&mut warned_at, WARNED_EVERY, now) {
                own.in_store("warn of entries that end", move |own| own.warn(now)).await;
            }
            let every = if is_counted { COUNTED_EVERY } else { COUNTED_AGAIN };
            if is_due(&mut counted_at, every, now) {
                let counting = Arc::clone(&own);
                is_counted = tokio::task::spawn_blocking(move || counting.count(now)).await.unwrap_or(false);
            }
            tokio::select! {
                () = own.clock.sleep(LOOK) => {}
                () = stop.cancelled() => return,
            }
        }
    }

    async fn in_store(
        self: &Arc<Self>,
        what: &'static str,
        work: impl FnOnce(&Self) -> Result<bool, StoreError> + Send + 'static,
    ) {
        let own = Arc::clone(self);
        match tokio::task::spawn_blocking(move || work(&own)).await {
            Ok(Ok(true)) => self.wake.notify_one(),
            Ok(Ok(false)) => {}
            Ok(Err(error)) => tracing::error!(%error, "cannot {what}"),
            Err(error) => tracing::error!(%error, "to {what} ended early"),
        }
    }

    /// Ends what nobody approved in time.
    fn expire(&self, now: Timestamp) -> Result<bool, StoreError> {
        if self.store.responses_next_expiry()?.is_none_or(|at| at > now) {
            return Ok(false);
        }
        let policy = Arc::clone(self.actions.borrow().policy());
        let count = self.store.responses_expire(now, |late| expired(&policy, late, now))?;
        Ok(count > 0)
    }

    /// Tells those who are asked for approval that all responses are stopped: once for each stop.
    fn tell_stop(&self, now: Timestamp) -> Result<bool, StoreError> {
        let actions = self.actions.borrow().policy().config.approval.actions.clone();
        let Some(stop) = self.store.responses_stopped()?.filter(|_| !actions.is_empty()) else {
            return Ok(false);
        };
        if self.stop_told.swap(stop.at.0, Ordering::Relaxed) == stop.at.0 {
            return Ok(false);
        }
        let lines = vec![
            format!("since: {}", stop.at),
            format!("by: {}", stop.by),
            format!("reason: {}", stop.reason),
            "None acts until somebody lets them: watchfire respond resume --reason TEXT".to_owned(),
        ];
        let notice = Notice {
            kind: "responses_stopped".to_owned(),
            title: "All responses are stopped".to_owned(),
            level: Level::High,
            lines,
            links: Vec::new(),
            alert: None,
            at: now,
        };
        let unique = format!("responses_stopped\0{}", stop.at.0);
        self.store.notice_owe(&NewNotice { unique, notice, actions })?;
        Ok(true)
    }

    /// Says a week and a day before that somebody is no longer protected.
    fn warn(&self, now: Timestamp) -> Result<bool, StoreError> {
        let policy = Arc::clone(self.actions.borrow().policy());
        let actions = &policy.config.approval.actions;
        let mut is_told = false;
        for entry in &policy.config.never {
            let Some((until, ahead)) = entry.until.and_then(|until| Some((until, ahead(until, now)?))) else {
                continue;
            };
            if !actions.is_empty() {
                let unique = format!("never\0{}\0{}\0{ahead}", entry.words(), until.0);
                let notice = ends_soon(entry, until, now);
                self.store.notice_owe(&NewNotice { unique, notice, actions: actions.clone() })?;
                is_told = true;
            }
        }
        Ok(is_told)
    }

    /// Counts who was active in the last 30 days; false: they are not known.
    fn count(&self, now: Timestamp) -> bool {
        let wants = |bound: &crate::respond::Bound| bound.percent.is_some();
        if !self.actions.borrow().policy().config.at_most.0.iter().any(wants) {
            return false;
        }
        let counted = || {
            let query = Query::parse(&format!("created_at:>={}", now.minus(Span::days(30))), now).ok()?;
            let mut searcher = Searcher::open(&self.data_dir, Arc::clone(&self.catalogue)).ok()?;
            let groups = searcher.count_by(&query, "author_id", 0).ok()?;
            i64::try_from(groups.groups.len() as u64 + groups.other_values).ok()
        };
        let count = counted();
        match count {
            Some(count) => self.counted.store(count, Ordering::Relaxed),
            None => tracing::warn!("the active identities cannot be counted; it is tried again"),
        }
        count.is_some()
    }

    /// Puts the steps of responses into the log, as events. The log knows what it has: one that is put there twice after
    /// a crash is there once.
    async fn tell(self: &Arc<Self>) {
        if !self.actions.borrow().policy().config.in_log.unwrap_or(true) {
            return;
        }
        loop {
            let own = Arc::clone(self);
            let read = tokio::task::spawn_blocking(move || own.untold()).await;
            let steps = match read {
                Ok(Ok(steps)) => steps,
                Ok(Err(error)) => return tracing::error!(%error, "the steps of responses cannot be read"),
                Err(error) => return tracing::error!(%error, "reading the steps of responses ended early"),
            };
            let Some(last) = steps.last().map(|(step, _)| step.number) else { return };
            let now = self.clock.now();
            let events: Vec<NewEvent> = steps.iter().filter_map(|(step, of)| event(step, of, now)).collect();
            if let Err(error) = self.sink.append(events).await {
                return tracing::warn!(%error, "the steps of responses wait for the log");
            }
            fault::point("responses.told");
            self.in_store("keep which steps were told", move |own| {
                own.store.set_checkpoint(TOLD, &last.to_le_bytes()).map(|()| false)
            })
            .await;
            if steps.len() < STEPS_MAX {
                return;
            }
        }
    }

    fn untold(&self) -> Result<Vec<(Step, Option<Response>)>, StoreError> {
        let told = self.store.checkpoint(TOLD)?.and_then(|bytes| <[u8; 8]>::try_from(bytes).ok());
        let told = told.map_or(0, u64::from_le_bytes);
        let steps = self.store.response_steps_after(told, STEPS_MAX)?;
        steps.into_iter().map(|step| self.store.response(&step.response).map(|of| (step, of))).collect()
    }
}

fn is_due(last: &mut Option<Timestamp>, every: Span, now: Timestamp) -> bool {
    // A clock that was set back makes nobody wait.
    let is_due = last.is_none_or(|last| now < last || now.since(last) >= every);
    if is_due {
        *last = Some(now);
    }
    is_due
}

/// How many days ahead it is told of: seven, or one.
fn ahead(until: Timestamp, now: Timestamp) -> Option<u8> {
    let left = until.0.saturating_sub(now.0);
    match left {
        left if left <= 0 => None,
        left if left <= Span::days(1).0 => Some(1),
        left if left <= Span::days(7).0 => Some(7),
        _ => None,
    }
}

fn ends_soon(entry: &Protected, until: Timestamp, now: Timestamp) -> Notice {
    Notice {
        kind: "never_ends".to_owned(),
        title: format!("Soon no longer protected from responses: {}", entry.words()),
        level: Level::Medium,
        lines: vec![
            format!("until: {until}"),
            format!("owner: {}", entry.owner),
            format!("reason: {}", entry.reason),
            "Set a later `until` in `responses.never` if it is still right.".to_owned(),
        ],
        links: Vec::new(),
        alert: None,
        at: now,
    }
}

/// A step as an event of Watchfire's own.
fn event(step: &Step, of: &Option<Response>, now: Timestamp) -> Option<NewEvent> {
    let unique = format!("{}\0{}\0{}\0{}", step.response, step.number, step.at.0, step.status);
    let id: String = blake3::hash(unique.as_bytes()).to_hex().chars().take(32).collect();
    let of = of.as_ref();
    let hit = of.and_then(|of| of.hit.as_ref());
    let raw = json!({
        "id": id,
        "created_at": step.at.to_string(),
        "event_type": format!("response_{}", step.status),
        "author_name": step.author,
        "self": true,
        "entity_type": "Response",
        "entity_id": step.response,
        "target_type": "User",
        "target_id": hit.map(|hit| hit.id.as_str()),
        "target_details": of.and_then(|of| of.who.as_deref()),
        "details": {
            "summary": step.summary,
            "action": of.map(|of| of.action.as_str()),
            "verb": of.map(|of| of.verb.as_str()),
            "dry_run": of.map(|of| of.dry_run),
            "rule": of.and_then(|of| of.rule.as_deref()),
            "rule_version": of.and_then(|of| of.rule_version.as_deref()),
            "alert": of.and_then(|of| of.alert.as_ref()).map(|alert| alert.0.as_str()),
            "requested_by": of.map(|of| of.requested_by.as_str()),
            "approved_by": of.map(|of| of.approvals.iter().map(|given| given.by.as_str()).collect::<Vec<_>>()),
            "forge": hit.map(|hit| hit.forge.as_str()),
        },
    });
    let own: Arc<str> = OWN_SOURCE.into();
    let origin = Origin { source: &own, forge: &own };
    let decoded = decode_from(Format::Generic, origin, raw.to_string().into(), None, now).ok()?;
    Some(NewEvent { event: decoded.event, dedupe: decoded.dedupe })
}

/// How many responses stand where, and whether they are stopped.
#[derive(Debug)]
pub(super) struct ResponseMetrics(pub(super) Store);

impl Collector for ResponseMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let (Ok(counts), Ok(stop)) = (self.0.response_counts(), self.0.responses_stopped()) else {
            return Ok(());
        };
        let of = |wanted: ResponseStatus| -> u64 {
            let real = counts.by_status.iter().filter(|(status, dry, _)| *status == wanted && !dry);
            real.map(|(.., count)| count).sum()
        };
        let figures = [
            ("responses_stopped", "Whether all responses are stopped", u64::from(stop.is_some())),
            ("responses_waiting", "Responses that wait for people", of(ResponseStatus::Waiting)),
            ("responses_acted", "Responses that were done", of(ResponseStatus::Acted)),
            ("responses_held", "Responses that a guard held back", of(ResponseStatus::Held)),
            ("responses_failed", "Responses that failed", of(ResponseStatus::Failed)),
            ("responses_in_force", "Responses that were done and are not undone", counts.in_force),
        ];
        for (name, help, figure) in figures {
            let gauge = ConstGauge::new(figure);
            let descriptor = encoder.encode_descriptor(name, help, None, gauge.metric_type())?;
            gauge.encode(descriptor)?;
        }
        Ok(())
    }
}
