//! What everything else stands on: log, store, clock, counters. Opened first, shared by all.

use std::path::Path;
use std::sync::Arc;

use prometheus_client::registry::Registry;
use tokio::sync::{Notify, mpsc, watch};

use super::accounts::Learner;
use super::app::StartError;
use super::detection::Context as DetectionContext;
use super::followups::Follower;
use super::gaps;
use super::inbox::Inbox;
use super::metrics::DetectionMetrics;
use super::plan::Plan;
use super::responses::{Counted, Facts, Keeper as ResponseKeeper, ResponseMetrics};
use super::tasks::Group;
use crate::action::ActionSet;
use crate::api::{
    Api, Control, ControlParts, Detection as Stage, Events, Guard, Health, Keeping, RulesStatus,
    ServerMetrics, router,
};
use crate::clock::Clock;
use crate::config::Config;
use crate::engine::Limits;
use crate::event::Catalogue;
use crate::forward::ForwardStatus;
use crate::log::{Log, Sealer, SealerMetrics};
use crate::retention::Policy;
use crate::route;
use crate::source::{Context as SourceContext, Sink, SourceMetrics, endpoints};
use crate::store::Store;
use crate::telemetry;

/// Log, store, clock, counters.
pub(super) struct Foundation {
    pub(super) log: Log,
    pub(super) sealer: Sealer,
    pub(super) store: Store,
    pub(super) clock: Clock,
    pub(super) catalogue: Arc<Catalogue>,
    pub(super) context: SourceContext,
    pub(super) metrics: DetectionMetrics,
    pub(super) server_metrics: ServerMetrics,
    pub(super) registry: Registry,
    /// Wakes the deliveries after a commit.
    pub(super) wake: Arc<Notify>,
    /// How far each forwarder is.
    pub(super) forwarders: Vec<Arc<ForwardStatus>>,
}

impl Foundation {
    /// Opens the data folder. A second daemon on it is refused here.
    pub(super) fn open(config: &Config, clock: Clock) -> Result<Self, StartError> {
        let log = Log::open(&config.data_dir, config.limits.log(), clock.clone())?;
        let store = Store::open(&config.data_dir)?;
        let audited = store.clone();
        log.audited_by(Box::new(move || audited.audit_mark().ok()));
        let mut registry = telemetry::registry();
        let catalogue = Arc::new(Catalogue::built_in());
        let sealing = SealerMetrics::register(&mut registry);
        let sealer = Sealer::start(&log, config.log.seal(), clock.clone(), Arc::clone(&catalogue), sealing)?;
        let context = SourceContext {
            sink: Sink::new(log.clone(), store.clone()),
            clock: clock.clone(),
            metrics: SourceMetrics::register(&mut registry),
            limits: config.limits.bodies(),
            in_flight: config.limits.in_flight(),
        };
        Ok(Self {
            log,
            sealer,
            store,
            clock,
            catalogue,
            context,
            metrics: DetectionMetrics::register(&mut registry),
            server_metrics: ServerMetrics::register(&mut registry),
            registry,
            wake: Arc::new(Notify::new()),
            forwarders: Vec::new(),
        })
    }

    /// Takes over when the sources were heard before. Without that it starts as well.
    pub(super) fn remember_sources(&self, config: &Config) {
        let names: Vec<&str> = config.sources.iter().map(|source| &*source.name).collect();
        if let Err(error) = self.context.metrics.heard().restore(&self.store, &names) {
            tracing::warn!(%error, "when the sources were heard before is not known");
        }
    }

    /// Keeps the gap since the daemon was last there. Without that it starts as well.
    pub(super) fn note_gap(&self, config: &Config, is_held: bool) {
        let noted = gaps::note_gap((&self.store, &self.log), &config.sources, self.clock.now(), is_held);
        if let Err(error) = noted {
            tracing::error!(%error, "the gap since the last stop could not be noted");
        }
    }

    /// What the detection thread needs, and where it will tell how far it is.
    pub(super) fn detection_context(
        &self,
        (plan, inbox): (Plan, Arc<Inbox>),
        limits: Limits,
    ) -> Result<(DetectionContext, watch::Receiver<Stage>), StartError> {
        let (stage, stage_in) = watch::channel(Stage::Starting);
        let context = DetectionContext {
            reader: self.log.reader()?,
            store: self.store.clone(),
            sink: self.context.sink.clone(),
            clock: self.clock.clone(),
            limits,
            plan,
            inbox,
            metrics: self.metrics.clone(),
            stage,
            wake_deliveries: Arc::clone(&self.wake),
            runtime: tokio::runtime::Handle::current(),
        };
        Ok((context, stage_in))
    }

    /// Starts what tells what is due later; it goes by the newest policy.
    pub(super) fn follow_up(&self, config: &Config, output: &mut Group) -> watch::Sender<Arc<route::Policy>> {
        let (newest, policy) = watch::channel(Arc::new(config.noise.clone()));
        let wake = Arc::clone(&self.wake);
        let follower = Follower { store: self.store.clone(), clock: self.clock.clone(), policy, wake };
        output.spawn(follower.run(output.stop.clone()));
        newest
    }

    /// What responses need beside the deliveries.
    pub(super) fn responses(
        &mut self,
        data_dir: &Path,
        actions: watch::Receiver<Arc<ActionSet>>,
        counted: Counted,
    ) -> ResponseKeeper {
        self.registry.register_collector(Box::new(ResponseMetrics(self.store.clone())));
        ResponseKeeper {
            store: self.store.clone(),
            clock: self.clock.clone(),
            sink: self.context.sink.clone(),
            actions,
            counted,
            data_dir: data_dir.to_owned(),
            catalogue: Arc::clone(&self.catalogue),
            wake: Arc::clone(&self.wake),
            stop_told: 0.into(),
        }
    }

    /// What finds out which accounts are Watchfire's own.
    pub(super) fn learner(
        &self,
        actions: watch::Receiver<Arc<ActionSet>>,
        facts: &Facts,
        reload: mpsc::Sender<()>,
    ) -> Learner {
        let (store, clock) = (self.store.clone(), self.clock.clone());
        Learner { store, clock, actions, learnt: facts.learnt.clone(), reload, asked: facts.asked.clone() }
    }

    /// What routers are built from, now that all metrics are registered.
    pub(super) fn share(
        &mut self,
        data_dir: &Path,
        stage: watch::Receiver<Stage>,
        rules: watch::Receiver<Arc<RulesStatus>>,
        policy: watch::Receiver<Arc<Policy>>,
    ) -> Shared {
        let registry = Arc::new(std::mem::take(&mut self.registry));
        let control = ControlParts {
            store: self.store.clone(),
            events: Arc::new(Events::new(data_dir, rules.clone())),
            rules,
            wake: Arc::clone(&self.wake),
            guard: Arc::new(Guard::default()),
            keeping: Keeping { dir: data_dir.to_owned(), policy, board: self.sealer.board() },
            verifications: Arc::default(),
        };
        Shared { context: self.context.clone(), registry, stage, control }
    }
}

/// What routers are built from, at the start and at each reload.
pub(super) struct Shared {
    context: SourceContext,
    registry: Arc<Registry>,
    stage: watch::Receiver<Stage>,
    control: ControlParts,
}

impl Shared {
    /// Streams of alerts end, so that the server can.
    pub(super) fn end_streams(&self) {
        self.control.guard.end_streams();
    }

    /// The paths of a configuration.
    pub(super) fn router(&self, config: &Config) -> axum::Router {
        let health = Health {
            sink: self.context.sink.clone(),
            detection: self.stage.clone(),
            polls: self.context.metrics.polls().clone(),
            store: self.control.store.clone(),
        };
        let access = (config.administrators.clone(), config.api_rate);
        let sources = (config.sources.as_slice(), &self.context);
        router(Api {
            endpoints: endpoints(&config.sources, &self.context),
            health: health.clone(),
            registry: Arc::clone(&self.registry),
            control: Control::new(&self.control, health, access, sources),
        })
    }
}
