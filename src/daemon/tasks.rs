//! The tasks, in the two groups in which they are stopped: what takes events in, and what passes things on.

use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::app::StartError;
use super::forwarding::{ForwardMetrics, filter};
use super::foundation::Foundation;
use super::gaps::{self, GapMetrics};
use super::held_metrics::HeldMetrics;
use super::inbox::Teller;
use super::listening::{SilenceMetrics, listen};
use super::outbox_metrics::OutboxMetrics;
use super::reports::Reporter;
use super::witness::{Witness, witness};
use crate::action::ActionSet;
use crate::api;
use crate::clock::Clock;
use crate::config::Config;
use crate::deliver::{BuildContext, RuleText, Worker, work};
use crate::engine::{Environment, RuleSet};
use crate::forward::{self, Forwarder};
use crate::log::Reader;
use crate::reporting::Schedules;
use crate::script::{Cage, ListTable};
use crate::source;
use crate::time::Span;

/// Tasks that are stopped together.
#[derive(Default)]
pub(super) struct Group {
    pub(super) stop: CancellationToken,
    tasks: JoinSet<()>,
}

impl Group {
    pub(super) fn spawn(&mut self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(task);
    }

    /// With one more, which is told when to stop.
    pub(super) fn with<F: Future<Output = ()> + Send + 'static>(
        mut self,
        task: impl FnOnce(CancellationToken) -> F,
    ) -> Self {
        let stop = self.stop.clone();
        self.spawn(task(stop));
        self
    }

    /// Asks all to stop, and waits until they have.
    pub(super) async fn stop(&mut self) {
        self.stop.cancel();
        while self.tasks.join_next().await.is_some() {}
    }
}

/// The newest actions, rules and schedules.
type Current =
    (watch::Receiver<Arc<ActionSet>>, watch::Receiver<Arc<RuleSet>>, watch::Receiver<Arc<Schedules>>);

/// Starts what passes things on: deliveries, forwarders, reports and exports.
pub(super) fn start_output(
    base: &mut Foundation,
    config: &Config,
    build: &BuildContext<'_>,
    (actions, rules, schedules): Current,
) -> Result<Group, StartError> {
    let mut output = Group::default();
    let data_dir = config.data_dir.clone();
    let (rules_seen, rules_shown) = (rules.clone(), rules.clone());
    let reporter = Reporter {
        store: base.store.clone(),
        data_dir: config.data_dir.clone(),
        catalogue: Arc::new(move || Arc::clone(rules_shown.borrow().catalogue())),
        clock: base.clock.clone(),
        schedules,
        wake: Arc::clone(&base.wake),
        stop: output.stop.clone(),
    };
    let worker = Worker {
        store: base.store.clone(),
        open_log: Arc::new(move || Reader::open(&data_dir)),
        catalogue: Arc::new(move || Arc::clone(rules_seen.borrow().catalogue())),
        actions,
        rule_text: Arc::new(move |id| rule_text(&rules.borrow(), id)),
        clock: base.clock.clone(),
        wake: Arc::clone(&base.wake),
    };
    let stop = output.stop.clone();
    output.spawn(work(worker, stop));
    output.spawn(reporter.run());
    let mut statuses = Vec::new();
    let (stream, lines) = watch::channel(None);
    let keeps = |name: &str| config.checkpoints.to.iter().any(|keeper| keeper == name);
    for forwarder in forwarders(base, config, build)? {
        let is_keeper = keeps(forwarder.name());
        let forwarder = if is_keeper { forwarder.with_lines(lines.clone()) } else { forwarder };
        statuses.push((forwarder.name().to_owned(), forwarder.status()));
        base.forwarders.push(forwarder.status());
        let (reader, growth, store) = (base.log.reader()?, base.log.watch(), base.store.clone());
        let stop = output.stop.clone();
        output.spawn(forward::run(forwarder, reader, growth, store, stop));
    }
    drop(lines);
    let witnessed = Witness {
        log: base.log.clone(),
        store: base.store.clone(),
        clock: base.clock.clone(),
        every: config.checkpoints.every.0,
        actions: config.actions.keys().filter(|name| keeps(name)).cloned().collect(),
        stream,
        wake: Arc::clone(&base.wake),
    };
    output.spawn(witness(witnessed, output.stop.clone()));
    base.registry.register_collector(Box::new(ForwardMetrics(statuses)));
    base.registry.register_collector(Box::new(OutboxMetrics(base.store.clone())));
    base.registry.register_collector(Box::new(HeldMetrics(base.store.clone())));
    base.registry.register_collector(Box::new(GapMetrics(base.store.clone())));
    let heard = base.context.metrics.heard().clone();
    base.registry.register_collector(Box::new(SilenceMetrics(heard, base.clock.clone())));
    Ok(output)
}

/// Starts what takes events in: the server, the sources that are read, and what keeps detection awake.
pub(super) fn start_intake(
    base: &Foundation,
    config: &Config,
    (listener, routers): (TcpListener, watch::Receiver<axum::Router>),
    detection: &Teller,
) -> Group {
    let mut intake = Group::default();
    let (limits, metrics) = (config.limits.server(), base.server_metrics.clone());
    let stop = intake.stop.clone();
    intake.spawn(async move {
        if let Err(error) = api::serve(listener, routers, limits, metrics, stop).await {
            tracing::warn!(%error, "the server stopped");
        }
    });
    for source in config.sources.clone() {
        let (name, context, stop) = (source.name.clone(), base.context.clone(), intake.stop.clone());
        intake.spawn(async move {
            if let Err(error) = source::run(source, context, stop).await {
                tracing::error!(source.name = %name, %error, "the source ended");
            }
        });
    }
    intake.spawn(gaps::beat(base.store.clone(), base.clock.clone(), intake.stop.clone()));
    let heard = base.context.metrics.heard().clone();
    intake.spawn(listen(heard, base.store.clone(), base.clock.clone(), intake.stop.clone()));
    intake.spawn(tell_of_growth(base.log.watch(), detection.clone(), intake.stop.clone()));
    intake.spawn(tick(base.clock.clone(), detection.clone(), intake.stop.clone()));
    intake
}

fn forwarders(
    base: &Foundation,
    config: &Config,
    build: &BuildContext<'_>,
) -> Result<Vec<Forwarder>, StartError> {
    let environment = Environment {
        catalogue: Arc::clone(&base.catalogue),
        cage: Arc::new(Cage::new(Arc::new(ListTable::default()))),
        lateness: config.lateness,
        today: base.clock.now(),
    };
    let mut forwarders = Vec::new();
    for settings in &config.forward {
        let condition = settings.condition();
        let filter =
            condition.map(|condition| filter(settings.name(), condition, &environment)).transpose()?;
        let (catalogue, clock) = (Arc::clone(&base.catalogue), base.clock.clone());
        forwarders.push(Forwarder::build(settings, filter, catalogue, clock, build)?);
    }
    Ok(forwarders)
}

fn rule_text(rules: &RuleSet, id: &str) -> RuleText {
    let unit = rules.unit(id);
    let rule = unit.map(|unit| &unit.rule);
    RuleText {
        version: unit.map(|unit| unit.fingerprint.iter().map(|byte| format!("{byte:02x}")).collect()),
        description: rule.and_then(|rule| rule.description.clone()),
        references: rule.map(|rule| rule.references.clone()).unwrap_or_default(),
        falsepositives: rule.map(|rule| rule.falsepositives.clone()).unwrap_or_default(),
        dry_run: rule.is_some_and(|rule| rule.dry_run),
    }
}

/// Wakes detection whenever the log has grown.
async fn tell_of_growth(mut growth: watch::Receiver<u64>, detection: Teller, stop: CancellationToken) {
    loop {
        tokio::select! {
            changed = growth.changed() => if changed.is_err() { return },
            () = stop.cancelled() => return,
        }
        detection.grown();
    }
}

async fn tick(clock: Clock, detection: Teller, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = clock.sleep(Span::seconds(1)) => detection.tick(),
            () = stop.cancelled() => return,
        }
    }
}
