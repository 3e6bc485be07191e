//! The daemon, built in one straight line and taken down in reverse.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;

use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::detection::{Context as DetectionContext, Detection, DetectionError, Input};
use super::forwarding::{ConditionError, ForwardMetrics, filter};
use super::metrics::DetectionMetrics;
use super::plan::Plan;
use super::reload::{Reloader, tell, watch_files};
use super::rulebook::{Rulebook, RulebookConfig};
use crate::action::{ActionError, ActionSet};
use crate::api::{self, Api, Detection as Stage, Health, RejectedApi, ServerMetrics, router};
use crate::clock::Clock;
use crate::config::{self, Config, ConfigError};
use crate::deliver::{BuildContext, RuleText, Worker, work};
use crate::engine::{Environment, Limits, RuleSet};
use crate::event::Catalogue;
use crate::forward::{self, ForwardError, Forwarder};
use crate::log::{Log, LogError, Reader};
use crate::script::{Cage, ListTable};
use crate::source::{self, Context as SourceContext, Sink, SourceMetrics, endpoints};
use crate::store::{Store, StoreError};
use crate::telemetry;
use crate::time::Span;

/// Looks environment variables up.
pub type Environ = Arc<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// What stands outside the configuration file.
pub struct Options {
    /// The configuration's file, read again on [`App::reload`].
    pub config_path: PathBuf,
    /// Tells the time.
    pub clock: Clock,
    /// Looks environment variables up.
    pub env: Environ,
    /// A socket that is open already (systemd's, or a test's).
    pub listener: Option<std::net::TcpListener>,
}

/// Why the daemon does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The event log.
    #[error("{0}")]
    Log(#[from] LogError),
    /// The control store.
    #[error("{0}")]
    Store(#[from] StoreError),
    /// An action.
    #[error("{0}")]
    Action(#[from] ActionError),
    /// A forwarder.
    #[error("{0}")]
    Forward(#[from] ForwardError),
    /// A forwarder's condition.
    #[error("{0}")]
    Condition(#[from] ConditionError),
    /// Detection could not come to where it was.
    #[error("{0}")]
    Detection(#[from] DetectionError),
    /// The socket or a thread.
    #[error("{what}: {error}")]
    System {
        /// What was tried.
        what: String,
        /// What the system said.
        error: std::io::Error,
    },
}

/// A running daemon.
pub struct App {
    address: SocketAddr,
    config_path: PathBuf,
    env: Environ,
    log: Log,
    store: Store,
    stage: watch::Receiver<Stage>,
    intake: Group,
    output: Group,
    detection: SyncSender<Input>,
    detection_thread: Option<JoinHandle<Result<(), DetectionError>>>,
    reload: mpsc::Sender<()>,
    routers: watch::Sender<axum::Router>,
    actions: watch::Sender<Arc<ActionSet>>,
    shared: Shared,
}

/// Tasks that are stopped together.
#[derive(Default)]
struct Group {
    stop: CancellationToken,
    tasks: JoinSet<()>,
}

impl Group {
    fn spawn(&mut self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(task);
    }

    /// Asks all to stop, and waits until they have.
    async fn stop(&mut self) {
        self.stop.cancel();
        while self.tasks.join_next().await.is_some() {}
    }
}

/// What routers are built from.
#[derive(Clone)]
struct Shared {
    context: SourceContext,
    registry: Arc<Registry>,
    stage: watch::Receiver<Stage>,
}

impl App {
    /// Starts everything. When this returns, events are accepted and detection has caught up to where it was.
    pub async fn start(config: Config, options: Options) -> Result<Self, StartError> {
        let Options { config_path, clock, env, listener } = options;
        // A second installation fails, and the first is as good.
        drop(rustls::crypto::ring::default_provider().install_default());
        let (listener, address) = listen(listener, config.listen).await?;
        let catalogue = Arc::new(Catalogue::built_in());
        let log = Log::open(&config.data_dir, config.limits.log(), clock.clone())?;
        let store = Store::open(&config.data_dir)?;
        let mut registry = telemetry::registry();
        let metrics = DetectionMetrics::register(&mut registry);
        let server_metrics = ServerMetrics::register(&mut registry);
        let sink = Sink::new(log.clone(), store.clone());
        let context = SourceContext {
            sink: sink.clone(),
            clock: clock.clone(),
            metrics: SourceMetrics::register(&mut registry),
            limits: config.limits.bodies(),
            in_flight: config.limits.in_flight(),
        };
        let build = BuildContext { env: &*env, base: &config.base };
        let actions = Arc::new(ActionSet::build(&config.actions, &build)?);

        let mut rulebook = Rulebook::new(rulebook_config(&config), Arc::clone(&catalogue));
        let reading = rulebook.read(clock.now());
        tell(&reading, &metrics);
        let plan = plan(&config, &actions, &reading.rules);
        let (stage_out, stage) = watch::channel(Stage::Starting);
        let wake = Arc::new(Notify::new());
        let limits = Limits { lateness: config.lateness, ..Limits::default() };
        let detection_context = DetectionContext {
            reader: log.reader()?,
            store: store.clone(),
            sink,
            clock: clock.clone(),
            catalogue: Arc::clone(&catalogue),
            limits,
            plan,
            metrics: metrics.clone(),
            stage: stage_out,
            wake_deliveries: Arc::clone(&wake),
            runtime: tokio::runtime::Handle::current(),
        };
        let (detection, detection_thread) =
            start_detection(detection_context, Arc::clone(&reading.rules)).await?;

        let mut output = Group::default();
        let (rules_out, rules) = watch::channel(Arc::clone(&reading.rules));
        let (actions_out, actions_in) = watch::channel(actions);
        let data_dir = config.data_dir.clone();
        let worker = Worker {
            store: store.clone(),
            open_log: Arc::new(move || Reader::open(&data_dir)),
            catalogue: Arc::clone(&catalogue),
            actions: actions_in,
            rule_text: Arc::new(move |id| rule_text(&rules.borrow(), id)),
            clock: clock.clone(),
            wake: Arc::clone(&wake),
        };
        let stop = output.stop.clone();
        output.spawn(work(worker, stop));
        let mut statuses = Vec::new();
        for forwarder in forwarders(&config, &catalogue, &clock, &build)? {
            statuses.push((forwarder.name().to_owned(), forwarder.status()));
            let task =
                forward::run(forwarder, log.reader()?, log.watch(), store.clone(), output.stop.clone());
            output.spawn(task);
        }
        registry.register_collector(Box::new(ForwardMetrics(statuses)));

        let mut intake = Group::default();
        let shared = Shared { context: context.clone(), registry: Arc::new(registry), stage: stage.clone() };
        let (routers, routers_in) = watch::channel(shared.router(&config));
        let (stop, bounds) = (intake.stop.clone(), config.limits.server());
        intake.spawn(async move {
            if let Err(error) = api::serve(listener, routers_in, bounds, server_metrics, stop).await {
                tracing::warn!(%error, "the server stopped");
            }
        });
        for source in config.sources.clone() {
            let (name, context, stop) = (source.name.clone(), context.clone(), intake.stop.clone());
            intake.spawn(async move {
                if let Err(error) = source::run(source, context, stop).await {
                    tracing::error!(source.name = %name, %error, "the source ended");
                }
            });
        }
        intake.spawn(tell_of_growth(log.watch(), detection.clone(), intake.stop.clone()));
        intake.spawn(tick(clock.clone(), detection.clone(), intake.stop.clone()));
        let (reload, wanted) = mpsc::channel(1);
        let paths: Vec<PathBuf> = rulebook.paths().map(PathBuf::from).collect();
        let watcher = watch_files(&paths, reload.clone());
        let reloader =
            Reloader { rulebook, clock, detection: detection.clone(), rules: rules_out, metrics, wanted };
        let stop = intake.stop.clone();
        intake.spawn(reloader.run(watcher, stop));
        tracing::info!(%address, data = %config.data_dir.display(), "watchfire accepts events");
        Ok(Self {
            address,
            config_path,
            env,
            log,
            store,
            stage,
            intake,
            output,
            detection,
            detection_thread: Some(detection_thread),
            reload,
            routers,
            actions: actions_out,
            shared,
        })
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The control store.
    #[must_use]
    pub const fn store(&self) -> &Store {
        &self.store
    }

    /// The event log.
    #[must_use]
    pub const fn log(&self) -> &Log {
        &self.log
    }

    /// What detection is doing.
    #[must_use]
    pub fn stage(&self) -> watch::Receiver<Stage> {
        self.stage.clone()
    }

    /// Reads the configuration and the rules anew. A broken configuration changes nothing and is told; sources
    /// that are read rather than posted to, and forwarders, stay as they are until a restart.
    pub async fn reload(&self) -> Result<(), ConfigError> {
        let config = config::load(&self.config_path, &*self.env)?;
        let build = BuildContext { env: &*self.env, base: &config.base };
        match ActionSet::build(&config.actions, &build) {
            Ok(actions) => {
                let actions = Arc::new(actions);
                let plan = Plan { routes: config.routes.clone(), actions: Arc::clone(&actions) };
                self.actions.send_replace(actions);
                drop(self.detection.send(Input::Plan(Box::new(plan))));
            }
            Err(error) => tracing::error!(%error, "the actions stay as they were"),
        }
        drop(self.routers.send_replace(self.shared.router(&config)));
        // A full queue has a request waiting already.
        self.reload.try_send(()).ok();
        tracing::info!("the configuration was read anew");
        Ok(())
    }

    /// Stops in the order in which events flow: takes no more, judges what was accepted, delivers what is
    /// under way. What is not delivered by then stays in the outbox for the next start.
    pub async fn stop(mut self) -> Result<(), DetectionError> {
        self.intake.stop().await;
        self.log.close().await;
        drop(self.detection.send(Input::Stop));
        let thread = self.detection_thread.take();
        let ended = match thread {
            Some(thread) => tokio::task::spawn_blocking(move || thread.join()).await,
            None => return Ok(()),
        };
        self.output.stop().await;
        tracing::info!("watchfire has stopped");
        match ended {
            Ok(Ok(result)) => result,
            Ok(Err(_)) | Err(_) => {
                tracing::error!(
                    "detection ended in a panic; it goes on from its last commit at the next start"
                );
                Ok(())
            }
        }
    }
}

impl Shared {
    fn router(&self, config: &Config) -> axum::Router {
        let administration = config.administrators.clone();
        router(Api {
            endpoints: endpoints(&config.sources, &self.context),
            health: Health { sink: self.context.sink.clone(), detection: self.stage.clone() },
            registry: Arc::clone(&self.registry),
            rejected: administration.map(|tokens| RejectedApi::new(tokens, &config.sources, &self.context)),
        })
    }
}

async fn listen(
    given: Option<std::net::TcpListener>,
    address: SocketAddr,
) -> Result<(TcpListener, SocketAddr), StartError> {
    let failed = |error| StartError::System { what: format!("cannot listen on {address}"), error };
    let listener = match given {
        Some(listener) => {
            listener.set_nonblocking(true).map_err(failed)?;
            TcpListener::from_std(listener).map_err(failed)?
        }
        None => TcpListener::bind(address).await.map_err(failed)?,
    };
    let address = listener.local_addr().map_err(failed)?;
    Ok((listener, address))
}

fn rulebook_config(config: &Config) -> RulebookConfig {
    RulebookConfig { rules: config.rules.clone(), lists: config.lists.clone(), lateness: config.lateness }
}

fn plan(config: &Config, actions: &Arc<ActionSet>, rules: &RuleSet) -> Plan {
    let plan = Plan { routes: config.routes.clone(), actions: Arc::clone(actions) };
    for (action, rules) in plan.unknown_actions(rules) {
        tracing::warn!(action, rules, "rules name an action that is not configured; it is passed over");
    }
    plan
}

/// Recovers on the new thread, since that may take long, and answers once it has.
async fn start_detection(
    context: DetectionContext,
    rules: Arc<RuleSet>,
) -> Result<(SyncSender<Input>, JoinHandle<Result<(), DetectionError>>), StartError> {
    let (sender, inputs) = sync_channel(64);
    let (recovered_out, recovered) = tokio::sync::oneshot::channel();
    let run = move || {
        let detection = match Detection::recover(context, rules) {
            Ok(detection) => detection,
            Err(error) => {
                drop(recovered_out.send(Err(error)));
                return Ok(());
            }
        };
        drop(recovered_out.send(Ok(())));
        detection.run(&inputs).inspect_err(|error| tracing::error!(%error, "detection has ended"))
    };
    let thread = std::thread::Builder::new()
        .name("detection".to_owned())
        .spawn(run)
        .map_err(|error| StartError::System { what: "cannot start a thread".to_owned(), error })?;
    match recovered.await {
        Ok(result) => result?,
        Err(_) => tracing::error!("detection ended while it recovered"),
    }
    Ok((sender, thread))
}

fn forwarders(
    config: &Config,
    catalogue: &Arc<Catalogue>,
    clock: &Clock,
    build: &BuildContext<'_>,
) -> Result<Vec<Forwarder>, StartError> {
    let environment = Environment {
        catalogue: Arc::clone(catalogue),
        cage: Arc::new(Cage::new(Arc::new(ListTable::default()))),
        lateness: config.lateness,
        today: clock.now(),
    };
    let mut forwarders = Vec::new();
    for settings in &config.forward {
        let condition = settings.condition();
        let filter =
            condition.map(|condition| filter(settings.name(), condition, &environment)).transpose()?;
        forwarders.push(Forwarder::build(settings, filter, Arc::clone(catalogue), clock.clone(), build)?);
    }
    Ok(forwarders)
}

fn rule_text(rules: &RuleSet, id: &str) -> RuleText {
    let rule = rules.unit(id).map(|unit| &unit.rule);
    RuleText {
        description: rule.and_then(|rule| rule.description.clone()),
        references: rule.map(|rule| rule.references.clone()).unwrap_or_default(),
        falsepositives: rule.map(|rule| rule.falsepositives.clone()).unwrap_or_default(),
    }
}

/// Wakes detection whenever the log has grown. A full queue wakes it anyway.
async fn tell_of_growth(
    mut growth: watch::Receiver<u64>,
    detection: SyncSender<Input>,
    stop: CancellationToken,
) {
    loop {
        tokio::select! {
            changed = growth.changed() => if changed.is_err() { return },
            () = stop.cancelled() => return,
        }
        drop(detection.try_send(Input::Appended));
    }
}

async fn tick(clock: Clock, detection: SyncSender<Input>, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = clock.sleep(Span::seconds(1)) => drop(detection.try_send(Input::Tick)),
            () = stop.cancelled() => return,
        }
    }
}
