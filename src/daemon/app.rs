//! The daemon, built in one straight line and taken down in reverse.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};

use super::accounts::Learnt;
use super::detection::{Context as DetectionContext, Detection, DetectionError};
use super::forwarding::ConditionError;
use super::foundation::{Foundation, Shared};
use super::gaps;
use super::inbox::{Inbox, Teller};
use super::plan::Plan;
use super::reload::{Reloader, status, tell};
use super::responses::{self, Facts};
use super::retention::Keeper;
use super::rulebook::{Rulebook, RulebookConfig};
use super::tasks::{Group, start_intake, start_output};
use super::watching::Watching;
use crate::action::{ActionError, ActionSet};
use crate::api::Detection as Stage;
use crate::clock::Clock;
use crate::config::{self, Config, ConfigError};
use crate::deliver::BuildContext;
use crate::engine::RuleSet;
use crate::event::Catalogue;
use crate::forward::ForwardError;
use crate::log::{Log, LogError, Sealer};
use crate::reporting::Schedules;
use crate::retention::Policy;
use crate::route;
use crate::store::{Store, StoreError};

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
    #[error(transparent)]
    Log(#[from] LogError),
    /// The control store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// An action.
    #[error(transparent)]
    Action(#[from] ActionError),
    /// A forwarder.
    #[error(transparent)]
    Forward(#[from] ForwardError),
    /// A forwarder's condition.
    #[error(transparent)]
    Condition(#[from] ConditionError),
    /// Detection could not come to where it was.
    #[error(transparent)]
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

/// Why a configuration is not taken over; nothing has changed then.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// The file.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// An action.
    #[error(transparent)]
    Action(#[from] ActionError),
    /// The control store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A running daemon.
pub struct App {
    address: SocketAddr,
    config_path: PathBuf,
    env: Environ,
    clock: Clock,
    log: Log,
    sealer: Sealer,
    store: Store,
    stage: watch::Receiver<Stage>,
    intake: Group,
    output: Group,
    detection: Teller,
    detection_thread: Option<JoinHandle<Result<(), DetectionError>>>,
    reload: mpsc::Sender<()>,
    routers: watch::Sender<axum::Router>,
    actions: watch::Sender<Arc<ActionSet>>,
    schedules: watch::Sender<Arc<Schedules>>,
    rules: watch::Receiver<Arc<RuleSet>>,
    policy: watch::Sender<Arc<Policy>>,
    noise: watch::Sender<Arc<route::Policy>>,
    shared: Shared,
    facts: Facts,
}

impl App {
    /// Starts everything. When this returns, events are accepted and detection has come to where it was.
    pub async fn start(config: Config, options: Options) -> Result<Self, StartError> {
        let Options { config_path, clock, env, listener } = options;
        // A second installation fails, and the first is as good.
        drop(rustls::crypto::ring::default_provider().install_default());
        let is_held = listener.is_some();
        let (listener, address) = listen(listener, config.listen).await?;
        let mut base = Foundation::open(&config, clock)?;
        base.remember_sources(&config);
        let build = BuildContext { env: &*env, base: &config.base, egress: &config.egress };
        let facts = Facts::of(&base.store)?;
        let actions = responses::actions::<StartError>(&config, &build, (&base.store, &facts))?;
        let mut rulebook = rulebook(&config, &facts.learnt, &base.catalogue);
        let (reload, wanted) = mpsc::channel(1);
        let mut watching = Watching::new(reload.clone());
        watching.renew(rulebook.paths());
        let reading = rulebook.read(base.clock.now());
        tell(&reading, &base.metrics);
        let plan = Plan::new(&config, Arc::clone(&actions), &reading.rules);
        let (detection, inbox) = Inbox::new();
        let limits = config.limits.detection(config.lateness);
        let (context, stage) = base.detection_context((plan, inbox), limits)?;
        let detection_thread = start_detection(context, Arc::clone(&reading.rules)).await?;
        let (told, told_in) = watch::channel(Arc::new(status(&reading, base.clock.now())));
        let (rules, rules_in) = watch::channel(reading.rules);
        let (actions, actions_in) = watch::channel(actions);
        let rules_now = rules_in.clone();
        let (schedules, schedules_in) = watch::channel(Arc::new(config.schedules.clone()));
        let responses = base.responses(&config.data_dir, actions_in.clone(), Arc::clone(&facts.counted));
        let learner = base.learner(actions_in.clone(), &facts, reload.clone());
        let current = (actions_in, rules_in, schedules_in);
        let output = start_output(&mut base, &config, &build, current)?;
        let mut output = output.with(|stop| responses.run(stop)).with(|stop| learner.run(stop));
        let noise = base.follow_up(&config, &mut output);
        let (policy, policy_in) = watch::channel(Arc::new(config.retention.clone()));
        let (known, forwarders) = ((base.store.clone(), base.clock.clone()), base.forwarders.clone());
        let keeper = Keeper::new(known, &config, policy_in.clone(), rules_now.clone(), forwarders);
        base.sealer.board().answer_with(keeper.ask());
        let shared = base.share(&config.data_dir, stage.clone(), told_in, policy_in);
        let (routers, routers_in) = watch::channel(shared.router(&config));
        let (clock, metrics, detect) = (base.clock.clone(), base.metrics.clone(), detection.clone());
        let reloader =
            Reloader { rulebook, clock, detection: detect, rules, told, metrics, wanted, watching };
        // Nobody was heard until here: to recover may take minutes.
        base.note_gap(&config, is_held);
        let mut intake = start_intake(&base, &config, (listener, routers_in), &detection);
        intake.spawn(reloader.run(intake.stop.clone()));
        tracing::info!(%address, data = %config.data_dir.display(), "watchfire accepts events");
        Ok(Self {
            address,
            config_path,
            env,
            clock: base.clock,
            log: base.log,
            sealer: base.sealer,
            store: base.store,
            stage,
            intake,
            output,
            detection,
            detection_thread: Some(detection_thread),
            reload,
            routers,
            actions,
            schedules,
            rules: rules_now,
            policy,
            noise,
            shared,
            facts,
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

    /// Waits until each response's token was asked once whose account it is of. Nothing else waits for that.
    pub async fn tokens_asked(&self) {
        // The one who asks is there as long as `self`.
        self.facts.asked.subscribe().wait_for(|asked| *asked).await.ok();
    }

    /// Waits until detection ends, which it only does by itself when it has failed; why. Events are still taken then,
    /// but nobody judges them.
    pub async fn detection_ended(&self) -> String {
        ended(self.stage.clone()).await
    }

    /// Reads the configuration and the rules anew. A broken configuration changes nothing and is told; sources
    /// that are read rather than posted to, and forwarders, stay as they are until a restart.
    pub async fn reload(&self) -> Result<(), ReloadError> {
        let config = config::load(&self.config_path, &*self.env)?;
        let build = BuildContext { env: &*self.env, base: &config.base, egress: &config.egress };
        let actions = responses::actions::<ReloadError>(&config, &build, (&self.store, &self.facts))?;
        let plan = Plan::new(&config, Arc::clone(&actions), &self.rules.borrow());
        self.actions.send_replace(actions);
        self.schedules.send_replace(Arc::new(config.schedules.clone()));
        self.detection.plan(plan);
        self.noise.send_replace(Arc::new(config.noise.clone()));
        self.policy.send_replace(Arc::new(config.retention.clone()));
        drop(self.routers.send_replace(self.shared.router(&config)));
        // A full queue has a request waiting already.
        self.reload.try_send(()).ok();
        tracing::info!("the configuration was read anew");
        Ok(())
    }

    /// Stops in the order in which events flow: takes no more, judges what was accepted, delivers what is
    /// under way. What is not delivered by then stays in the outbox for the next start.
    pub async fn stop(mut self) -> Result<(), DetectionError> {
        // What is refused from here on belongs to the gap.
        let stopped_at = self.clock.now();
        self.shared.end_streams();
        self.intake.stop().await;
        let sealer = self.sealer;
        // It has told of a panic itself.
        drop(tokio::task::spawn_blocking(move || sealer.stop()).await);
        gaps::note_stop(&self.store, stopped_at).await;
        self.log.close().await;
        self.detection.stop();
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

async fn ended(mut stage: watch::Receiver<Stage>) -> String {
    match stage.wait_for(|stage| matches!(stage, Stage::Stopped { .. })).await.as_deref() {
        Ok(Stage::Stopped { reason }) => reason.clone(),
        Ok(_) | Err(_) => "its thread is gone".to_owned(),
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

fn rulebook(config: &Config, learnt: &Learnt, catalogue: &Arc<Catalogue>) -> Rulebook {
    let book = RulebookConfig {
        rules: config.rules.clone(),
        lists: config.lists.clone(),
        geo: config.geo.clone(),
        own: config.own.clone(),
        learnt: learnt.clone(),
        lateness: config.lateness,
    };
    Rulebook::new(book, Arc::clone(catalogue))
}

/// Recovers on the new thread, since that may take long, and answers once it has.
async fn start_detection(
    context: DetectionContext,
    rules: Arc<RuleSet>,
) -> Result<JoinHandle<Result<(), DetectionError>>, StartError> {
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
        detection.run().inspect_err(|error| tracing::error!(%error, "detection has ended"))
    };
    let thread = std::thread::Builder::new()
        .name("detection".to_owned())
        .spawn(run)
        .map_err(|error| StartError::System { what: "cannot start a thread".to_owned(), error })?;
    match recovered.await {
        Ok(result) => result?,
        Err(_) => tracing::error!("detection ended while it recovered"),
    }
    Ok(thread)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_end_of_detection_is_heard_of() {
        let (told, stage) = watch::channel(Stage::Running { position: 1 });
        let waiting = tokio::spawn(ended(stage.clone()));
        told.send_replace(Stage::CatchingUp { position: 1 });
        told.send_replace(Stage::Stopped { reason: "detection failed".to_owned() });
        assert_eq!(waiting.await.unwrap(), "detection failed");
        let (told, stage) = watch::channel(Stage::Starting);
        drop(told);
        assert!(ended(stage).await.contains("gone"), "a panic while it recovers says nothing itself");
    }
}
