//! The detection thread: reads the log after its position, judges, and commits what it concluded in one go.
//!
//! The position itself is not committed with every batch: judging a stretch that concluded nothing again
//! concludes nothing again. Whatever was concluded is committed together with the position it was concluded at.

mod learning;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};

use super::inbox::{Inbox, Told};
use super::matching::Matching;
use super::metrics::{DetectionMetrics, LevelLabel, ReasonLabel, reason};
use super::plan::Plan;
use super::scenes::scenes;
use crate::alert::{Alert, AlertId};
use crate::api::Detection as Stage;
use crate::clock::{Clock, Steps};
use crate::engine::{Effects, Engine, Limits, RuleSet, SnapshotError};
use crate::event::{Entry, Position};
use crate::log::{LogError, Reader, fault};
use crate::pipeline::PipelineError;
use crate::source::Sink;
use crate::store::{Candidate, Commit, Progress, Routing, Store, StoreError};
use crate::time::{Span, Timestamp};

/// All that the thread needs.
pub(super) struct Context {
    pub(super) reader: Reader,
    pub(super) store: Store,
    pub(super) sink: Sink,
    pub(super) clock: Clock,
    pub(super) limits: Limits,
    pub(super) plan: Plan,
    pub(super) inbox: Arc<Inbox>,
    pub(super) metrics: DetectionMetrics,
    pub(super) stage: watch::Sender<Stage>,
    pub(super) wake_deliveries: Arc<Notify>,
    pub(super) runtime: tokio::runtime::Handle,
}

/// Why detection ended.
#[derive(Debug, thiserror::Error)]
pub enum DetectionError {
    /// The log.
    #[error("the log cannot be read: {0}")]
    Log(#[from] LogError),
    /// The store.
    #[error("the store failed: {0}")]
    Store(#[from] StoreError),
    /// The state.
    #[error("{0}")]
    Snapshot(#[from] SnapshotError),
    /// The threads that match.
    #[error("matching failed: {0}")]
    Matching(#[from] PipelineError),
    /// Told to stop before new rules had learnt. They learn after the next start.
    #[error("told to stop while new rules learnt")]
    Interrupted,
}

/// Entries judged between two commits at most.
const BATCH: usize = 4096;
/// A snapshot is due after so many entries …
const SNAPSHOT_ENTRIES: u64 = 500_000;
/// … or so much time, if there was an entry at all.
const SNAPSHOT_PAUSE: Span = Span::seconds(60);
/// How long to wait before a failed commit is tried again, or a failed reading for the first time …
const RETRY_PAUSE: Duration = Duration::from_secs(1);
/// … and a reading that goes on failing at most.
const RETRY_PAUSE_MAX: Duration = Duration::from_secs(30);
/// Once it has come to the end of the log: farther behind than this it is catching up again. A burst is less, judged
/// in a second or so.
const BEHIND: u64 = 50_000;

/// Detection on its thread.
pub(super) struct Detection {
    context: Context,
    engine: Engine,
    matching: Matching,
    effects: Effects,
    snapshot_position: Position,
    /// By [`Clock::uptime`], as is `settling_since`.
    snapshot_at: Span,
    /// When it started, or was last cut off from what its sources sent.
    settling_since: Span,
    clock_steps: Steps,
    /// Whether it has come to the end of the log once.
    has_caught_up: bool,
}

impl Detection {
    /// Comes to where it was: restores the newest snapshot, and judges from there to the committed position
    /// without effects, since those are committed already.
    pub(super) fn recover(mut context: Context, rules: Arc<RuleSet>) -> Result<Self, DetectionError> {
        let Progress { position, snapshot } = context.store.progress()?;
        let mut engine = match &snapshot {
            Some(snapshot) => restore(&context, &rules, &snapshot.bytes),
            None => Engine::new(Arc::clone(&rules), Arc::clone(rules.catalogue()), context.limits),
        };
        let snapshot_position = engine.position();
        let (mut effects, mut matching) = (Effects::default(), Matching::default());
        while engine.position() < position {
            let entries = context.reader.read_after(engine.position(), BATCH)?;
            if !matching.judge_until(position, entries, &mut engine, &mut effects)? {
                break;
            }
            effects.clear();
        }
        let now = context.clock.uptime();
        let clock_steps = Steps::new(context.clock.clone());
        let mut own = Self {
            context,
            engine,
            matching,
            effects,
            snapshot_position,
            snapshot_at: now,
            settling_since: now,
            clock_steps,
            has_caught_up: false,
        };
        if own.warm_up()? {
            own.keep_warmth()?;
        }
        own.report();
        Ok(own)
    }

    /// Runs until told to stop. However it ends, readiness hears of it.
    pub(super) fn run(mut self) -> Result<(), DetectionError> {
        let mut farewell =
            Farewell { stage: self.context.stage.clone(), reason: "detection ended in a panic" };
        let ended = match self.work() {
            Err(DetectionError::Interrupted) => Ok(()),
            ended => ended,
        };
        farewell.reason =
            if ended.is_ok() { "the daemon is stopping" } else { "detection failed; see the log" };
        ended
    }

    fn work(&mut self) -> Result<(), DetectionError> {
        self.catch_up()?;
        let inbox = Arc::clone(&self.context.inbox);
        loop {
            let told = inbox.wait();
            let (tick, stop) = (told.tick, told.stop);
            self.obey(told)?;
            if stop {
                break;
            }
            if tick {
                self.tick()?;
            }
            self.catch_up()?;
        }
        self.catch_up()?;
        self.commit(true)
    }

    /// Takes over what is told of rules and plan.
    fn obey(&mut self, told: Told) -> Result<(), DetectionError> {
        if let Some(plan) = told.plan {
            self.context.plan = *plan;
        }
        match told.rules {
            Some(rules) => self.replace_rules(rules),
            None => Ok(()),
        }
    }

    /// Judges to the end of the log. Between two batches it does what it is told.
    fn catch_up(&mut self) -> Result<(), DetectionError> {
        loop {
            self.show();
            let entries = self.read(self.engine.position())?;
            if entries.is_empty() {
                self.has_caught_up = true;
                self.show();
                return Ok(());
            }
            self.matching.judge(entries, &mut self.engine, &mut self.effects)?;
            let is_due = self.is_snapshot_due();
            self.commit(is_due)?;
            self.report();
            let told = self.context.inbox.look();
            if told.tick {
                self.notice_gaps();
            }
            self.obey(told)?;
        }
    }

    /// Reads what follows on this position. A log that cannot be read is tried again until it can be or the daemon
    /// stops: the disk may be busy, or too many files open.
    fn read(&mut self, after: Position) -> Result<Vec<Entry>, DetectionError> {
        let mut pause = RETRY_PAUSE;
        loop {
            let error = match self.context.reader.read_after(after, BATCH) {
                Ok(entries) => return Ok(entries),
                Err(error) => error,
            };
            self.context.metrics.read_failures.inc();
            tracing::error!(%error, "the log cannot be read, and nothing is judged; it will be tried again");
            self.context.stage.send_replace(Stage::CatchingUp { position: self.engine.position() });
            if self.context.inbox.is_stopped_within(pause) {
                return Err(error.into());
            }
            pause = pause.saturating_mul(2).min(RETRY_PAUSE_MAX);
        }
    }

    /// Says how far it is.
    fn show(&self) {
        let position = self.engine.position();
        let behind = self.context.sink.position().saturating_sub(position);
        let is_behind = if self.has_caught_up { behind > BEHIND } else { behind > 0 };
        let stage = if is_behind { Stage::CatchingUp { position } } else { Stage::Running { position } };
        self.context.stage.send_replace(stage);
    }

    fn is_snapshot_due(&self) -> bool {
        let moved = self.engine.position() - self.snapshot_position;
        let is_old = self.context.clock.uptime().0 - self.snapshot_at.0 >= SNAPSHOT_PAUSE.0;
        moved >= SNAPSHOT_ENTRIES || (moved > 0 && is_old)
    }

    /// A second has passed: if a timer would come due, the clock goes into the log, so that a replay sees it.
    /// Not in the first minutes: sources still read what they missed, and being down is not being idle.
    fn tick(&mut self) -> Result<(), DetectionError> {
        // Read first: a step after this is noticed the next time, and makes nothing late now.
        let (now, uptime) = (self.context.clock.now(), self.context.clock.uptime());
        self.notice_gaps();
        let is_settled = uptime.0 - self.settling_since.0 >= self.context.limits.lateness.0;
        if is_settled
            && self.engine.wants_tick(now)
            && let Err(error) = self.context.runtime.block_on(self.context.sink.tick(now))
        {
            tracing::warn!(%error, "the clock could not be written to the log; it will be tried again");
        }
        self.catch_up()?;
        if self.is_snapshot_due() {
            self.commit(true)?;
        }
        Ok(())
    }

    /// A log that takes no events, and a clock that was set, are like having been down. The log is asked every second
    /// whether it takes events again: nobody may be sending any while it says that it is not ready.
    fn notice_gaps(&mut self) {
        let step = self.clock_steps.taken();
        if let Some(step) = step {
            tracing::warn!(%step, "the clock was set; timers wait a while");
        }
        let is_in_trouble = self.context.sink.trouble().is_some();
        if is_in_trouble {
            // Said when it began, and said when it ends.
            drop(self.context.runtime.block_on(self.context.sink.probe()));
        }
        if is_in_trouble || step.is_some() {
            self.settling_since = self.context.clock.uptime();
        }
    }

    /// Commits what was concluded, if anything was or a snapshot is due. A store that fails is tried again
    /// until it works or the daemon stops: nothing that was concluded is let go.
    fn commit(&mut self, with_snapshot: bool) -> Result<(), DetectionError> {
        if self.effects.alerts.is_empty() && self.effects.ledger.is_empty() && !with_snapshot {
            self.count();
            return Ok(());
        }
        let snapshot = if with_snapshot { Some(self.engine.snapshot()?) } else { None };
        let now = self.context.clock.now();
        let alerts: Vec<Alert> = self.effects.alerts.iter().map(|opened| opened.alert.clone()).collect();
        let candidates = self.candidates(now);
        let new = self.effects.alerts.iter().filter(|opened| opened.is_new).count();
        let suppressed = self.effects.findings.iter().filter(|finding| finding.alert.is_some()).count();
        let suppressed = suppressed.saturating_sub(new) as u64;
        let routing = Routing { candidates: &candidates, policy: self.context.plan.policy(), suppressed };
        let commit = Commit {
            position: self.engine.position(),
            at: now,
            alerts: &alerts,
            outbox: &[],
            ledger: &self.effects.ledger,
            snapshot: snapshot.as_deref(),
        };
        fault::point("detection.judged");
        let of_new =
            candidates.iter().filter_map(|new| Some((&new.alert.id, Arc::from(new.scene.forge.as_deref()?))));
        let forges: BTreeMap<&AlertId, Arc<str>> = of_new.collect();
        let forge_of = |alert: &Alert| forges.get(&alert.id).cloned();
        while let Err(error) = self.context.store.commit_routed(&commit, &routing, &forge_of) {
            self.context.metrics.commit_failures.inc();
            tracing::error!(%error, "what was detected cannot be stored; it will be tried again");
            if self.context.inbox.is_stopped_within(RETRY_PAUSE) {
                return Err(error.into());
            }
        }
        if with_snapshot {
            self.snapshot_position = self.engine.position();
            self.snapshot_at = self.context.clock.uptime();
        }
        fault::point("detection.committed");
        if !candidates.is_empty() {
            self.context.wake_deliveries.notify_one();
        }
        self.count();
        Ok(())
    }

    /// The new alerts, and what is to be set off for each.
    fn candidates(&mut self, now: Timestamp) -> Vec<Candidate> {
        let rules = self.engine.rules();
        let new = scenes(&self.effects, &mut self.context.reader, rules.catalogue());
        let plan = &self.context.plan;
        new.into_iter().map(|(opened, scene)| plan.candidate(&opened.alert, scene, rules, now)).collect()
    }

    /// Counts what was just concluded, and makes room for what comes next.
    fn count(&mut self) {
        let metrics = &self.context.metrics;
        metrics.findings.inc_by(self.effects.findings.len() as u64);
        for opened in self.effects.alerts.iter().filter(|opened| opened.is_new) {
            let alert = &opened.alert;
            metrics.alerts.get_or_create(&LevelLabel { level: alert.level.name() }).inc();
            tracing::info!(
                alert.id = %alert.id, rule.id = %alert.rule, level = %alert.level, key = %alert.key,
                reason = %alert.reason, "alert"
            );
        }
        for entry in &self.effects.ledger {
            metrics.unjudged.get_or_create(&ReasonLabel { reason: reason(entry.reason) }).inc_by(entry.count);
        }
        self.effects.clear();
    }

    fn report(&self) {
        let metrics = &self.context.metrics;
        metrics.position.set(self.engine.position());
        metrics.state_bytes.set(self.engine.state_bytes() as u64);
        metrics.keys.set(self.engine.keys() as u64);
        metrics.rules.set(self.engine.rules().units().len() as u64);
    }
}

/// Says that detection has ended, also when it panicked.
struct Farewell {
    stage: watch::Sender<Stage>,
    reason: &'static str,
}

impl Drop for Farewell {
    fn drop(&mut self) {
        self.stage.send_replace(Stage::Stopped { reason: self.reason.to_owned() });
    }
}

/// A snapshot that cannot be read is no disaster: the log is judged again from its beginning.
fn restore(context: &Context, rules: &Arc<RuleSet>, bytes: &[u8]) -> Engine {
    let catalogue = || Arc::clone(rules.catalogue());
    match Engine::restore(Arc::clone(rules), catalogue(), context.limits, bytes) {
        Ok(engine) => engine,
        Err(error) => {
            tracing::warn!(%error, "the state is rebuilt from the log");
            Engine::new(Arc::clone(rules), catalogue(), context.limits)
        }
    }
}

#[cfg(test)]
mod tests;
