//! The detection thread: reads the log after its position, judges, and commits what it concluded in one go.
//!
//! The position itself is not committed with every batch: judging a stretch that concluded nothing again
//! concludes nothing again. Whatever was concluded is committed together with the position it was concluded at.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};

use tokio::sync::{Notify, watch};

use super::matching::Matching;
use super::metrics::{DetectionMetrics, LevelLabel, ReasonLabel};
use super::plan::Plan;
use crate::alert::{Alert, LedgerReason};
use crate::api::Detection as Stage;
use crate::clock::{Clock, Steps};
use crate::engine::{Effects, Engine, Limits, RuleSet, SnapshotError};
use crate::event::Position;
use crate::log::{LogError, Reader, fault};
use crate::pipeline::PipelineError;
use crate::source::Sink;
use crate::store::{Commit, OutboxRow, Progress, Store, StoreError};
use crate::time::{Span, Timestamp};

/// What the thread is told.
pub(super) enum Input {
    /// The log has grown.
    Appended,
    /// A second has passed.
    Tick,
    /// Run these rules from here on.
    Rules(Arc<RuleSet>),
    /// Send alerts these ways from here on.
    Plan(Box<Plan>),
    /// Judge what is in the log, write a snapshot, end.
    Stop,
}

/// All that the thread needs.
pub(super) struct Context {
    pub(super) reader: Reader,
    pub(super) store: Store,
    pub(super) sink: Sink,
    pub(super) clock: Clock,
    pub(super) limits: Limits,
    pub(super) plan: Plan,
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
}

/// Entries judged between two commits at most.
const BATCH: usize = 4096;
/// A snapshot is due after so many entries …
const SNAPSHOT_ENTRIES: u64 = 500_000;
/// … or so much time, if there was an entry at all.
const SNAPSHOT_PAUSE: Span = Span::seconds(60);
/// How long to wait before a failed commit is tried again.
const RETRY_PAUSE: std::time::Duration = std::time::Duration::from_secs(1);

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
    /// What was asked for while a commit was being tried again.
    postponed: VecDeque<Input>,
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
        replay((&mut context.reader, &mut matching), &mut engine, position, &mut effects)?;
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
            postponed: VecDeque::new(),
        };
        if own.warm_up()? {
            own.keep_warmth()?;
        }
        own.report();
        Ok(own)
    }

    /// Runs until told to stop. However it ends, readiness hears of it.
    pub(super) fn run(mut self, inputs: &Receiver<Input>) -> Result<(), DetectionError> {
        let mut farewell =
            Farewell { stage: self.context.stage.clone(), reason: "detection ended in a panic" };
        let ended = self.work(inputs);
        farewell.reason =
            if ended.is_ok() { "the daemon is stopping" } else { "detection failed; see the log" };
        ended
    }

    fn work(&mut self, inputs: &Receiver<Input>) -> Result<(), DetectionError> {
        self.catch_up(inputs)?;
        while let Some(input) = self.postponed.pop_front().or_else(|| inputs.recv().ok()) {
            match input {
                Input::Appended => self.catch_up(inputs)?,
                Input::Tick => self.tick(inputs)?,
                Input::Rules(rules) => self.replace_rules(rules, inputs)?,
                Input::Plan(plan) => self.context.plan = *plan,
                Input::Stop => break,
            }
        }
        self.catch_up(inputs)?;
        self.commit(true, inputs)
    }

    /// Judges to the end of the log.
    fn catch_up(&mut self, inputs: &Receiver<Input>) -> Result<(), DetectionError> {
        loop {
            let entries = self.context.reader.read_after(self.engine.position(), BATCH)?;
            if entries.is_empty() {
                let position = self.engine.position();
                self.context.stage.send_replace(Stage::Running { position });
                return Ok(());
            }
            self.matching.judge(entries, &mut self.engine, &mut self.effects)?;
            let is_due = self.is_snapshot_due();
            self.commit(is_due, inputs)?;
            self.report();
        }
    }

    fn is_snapshot_due(&self) -> bool {
        let moved = self.engine.position() - self.snapshot_position;
        let is_old = self.context.clock.uptime().0 - self.snapshot_at.0 >= SNAPSHOT_PAUSE.0;
        moved >= SNAPSHOT_ENTRIES || (moved > 0 && is_old)
    }

    /// A second has passed: if a timer would come due, the clock goes into the log, so that a replay sees it.
    /// Not in the first minutes: sources still read what they missed, and being down is not being idle.
    fn tick(&mut self, inputs: &Receiver<Input>) -> Result<(), DetectionError> {
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
        self.catch_up(inputs)?;
        if self.is_snapshot_due() {
            self.commit(true, inputs)?;
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

    /// Other rules: those that mean the same keep their state, new ones learn from the stored log. The snapshot
    /// that is written at once makes a restart come to the same point with the same rules.
    fn replace_rules(&mut self, rules: Arc<RuleSet>, inputs: &Receiver<Input>) -> Result<(), DetectionError> {
        self.engine.replace_rules(rules)?;
        self.warm_up()?;
        self.commit(true, inputs)?;
        self.report();
        Ok(())
    }

    /// Lets rules without a past judge the stored log without effects, and takes over what they learnt.
    /// Answers whether there were any.
    fn warm_up(&mut self) -> Result<bool, DetectionError> {
        let newcomers = self.engine.newcomers().to_vec();
        let position = self.engine.position();
        if newcomers.is_empty() || position == 0 {
            self.engine.settle_newcomers();
            return Ok(false);
        }
        tracing::info!(rules = newcomers.len(), entries = position, "new rules learn from the stored log");
        let rules = Arc::clone(self.engine.rules());
        let catalogue = Arc::clone(rules.catalogue());
        let mut learner = Engine::new(rules, catalogue, self.context.limits);
        let mut ignored = Effects::default();
        let source = (&mut self.context.reader, &mut self.matching);
        replay(source, &mut learner, position, &mut ignored)?;
        self.engine.adopt(learner, &newcomers);
        Ok(true)
    }

    /// Writes a snapshot of what newcomers learnt: without it they would be newcomers again after a crash, and
    /// forget which alerts they opened since.
    fn keep_warmth(&mut self) -> Result<(), DetectionError> {
        let snapshot = self.engine.snapshot()?;
        let (position, at) = (self.engine.position(), self.context.clock.now());
        let commit =
            Commit { position, at, alerts: &[], outbox: &[], ledger: &[], snapshot: Some(&snapshot) };
        self.context.store.commit(&commit)?;
        self.snapshot_position = position;
        Ok(())
    }

    /// Commits what was concluded, if anything was or a snapshot is due. A store that fails is tried again
    /// until it works or the daemon stops: nothing that was concluded is let go.
    fn commit(&mut self, with_snapshot: bool, inputs: &Receiver<Input>) -> Result<(), DetectionError> {
        if self.effects.alerts.is_empty() && self.effects.ledger.is_empty() && !with_snapshot {
            self.count();
            return Ok(());
        }
        let snapshot = if with_snapshot { Some(self.engine.snapshot()?) } else { None };
        let now = self.context.clock.now();
        let alerts: Vec<Alert> = self.effects.alerts.iter().map(|opened| opened.alert.clone()).collect();
        let outbox = self.deliveries(now);
        let commit = Commit {
            position: self.engine.position(),
            at: now,
            alerts: &alerts,
            outbox: &outbox,
            ledger: &self.effects.ledger,
            snapshot: snapshot.as_deref(),
        };
        fault::point("detection.judged");
        while let Err(error) = self.context.store.commit(&commit) {
            self.context.metrics.commit_failures.inc();
            tracing::error!(%error, "what was detected cannot be stored; it will be tried again");
            match inputs.recv_timeout(RETRY_PAUSE) {
                Ok(Input::Stop) | Err(RecvTimeoutError::Disconnected) => return Err(error.into()),
                Ok(Input::Appended | Input::Tick) | Err(RecvTimeoutError::Timeout) => {}
                Ok(later) => self.postponed.push_back(later),
            }
        }
        if with_snapshot {
            self.snapshot_position = self.engine.position();
            self.snapshot_at = self.context.clock.uptime();
        }
        fault::point("detection.committed");
        if !outbox.is_empty() {
            self.context.wake_deliveries.notify_one();
        }
        self.count();
        Ok(())
    }

    fn deliveries(&self, now: Timestamp) -> Vec<OutboxRow> {
        let new =
            self.effects.alerts.iter().filter(|opened| opened.is_new && opened.alert.merged_into.is_none());
        new.flat_map(|opened| self.context.plan.deliveries(&opened.alert, self.engine.rules(), now)).collect()
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

/// Judges up to a position; what it concludes is known already and let go.
fn replay(
    (reader, matching): (&mut Reader, &mut Matching),
    engine: &mut Engine,
    until: Position,
    effects: &mut Effects,
) -> Result<(), DetectionError> {
    while engine.position() < until {
        let mut entries = reader.read_after(engine.position(), BATCH)?;
        if entries.is_empty() {
            break;
        }
        entries.retain(|entry| entry.position() <= until);
        if entries.is_empty() {
            // What was left was deleted.
            break;
        }
        matching.judge(entries, engine, effects)?;
        effects.clear();
    }
    Ok(())
}

const fn reason(reason: LedgerReason) -> &'static str {
    match reason {
        LedgerReason::TooLate => "too_late",
        LedgerReason::Evicted => "evicted",
        LedgerReason::MissingKey => "missing_key",
        LedgerReason::ScriptFailed => "script_failed",
        LedgerReason::WindowFull => "window_full",
        LedgerReason::NotANumber => "not_a_number",
        LedgerReason::OutOfRange => "out_of_range",
    }
}
