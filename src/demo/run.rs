//! The demo itself: the stand-ins, the real daemon between them, and the story from its first event to the report.

use std::cell::RefCell;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::setup::{
    ADMIN_TOKEN, CONFIG_NAME, FORWARDERS, GITLAB_TOKEN, INGEST_PATH, Scenery, environment, write,
};
use super::watcher::{Watcher, alerts};
use super::{
    Arrived, DemoError, DemoEvent, GitlabApi, HookSink, MailSink, Pace, Places, Report, Schedule, Sender,
    Sent, SimUser, Simulation, WATCHFIRE_USER,
};
use crate::api::Detection as Stage;
use crate::clock::Clock;
use crate::config;
use crate::daemon::{App, Options};
use crate::event::Position;
use crate::log::Reader;
use crate::time::{Span, Timestamp};

/// How often it looks for news.
const LOOK: Span = Span::millis(150);
/// How long the end of deliveries and forwarding is waited for.
const SETTLE_MAX: Span = Span::seconds(60);

/// A demo that has been set up.
pub struct Demo {
    app: App,
    clock: Clock,
    folder: PathBuf,
    scenery: Scenery,
    simulation: Arc<Simulation>,
    client: reqwest::Client,
}

/// Told what happens, as it happens.
pub type Tell<'a> = dyn FnMut(&DemoEvent) -> io::Result<()> + 'a;

impl Demo {
    /// Writes rules and a configuration into `folder`, which should be empty, and starts the stand-ins and the
    /// daemon. The simulated week is the one that ended this midnight (UTC).
    ///
    /// # Errors
    /// When the folder cannot be written, or something does not start.
    pub async fn start(folder: &Path, seed: u64, clock: Clock) -> Result<Self, DemoError> {
        drop(rustls::crypto::ring::default_provider().install_default());
        let simulation = Arc::new(Simulation::new(seed, clock.now().minus(Span::days(7))));
        let folder = folder.canonicalize();
        let folder = folder.map_err(|source| DemoError::File { path: PathBuf::from("."), source })?;
        let scenery = Scenery {
            gitlab: GitlabApi::start(&simulation.users, &[(ADMIN_TOKEN, WATCHFIRE_USER)]).await?,
            mails: MailSink::start(&folder.join("mails"), None).await?,
            hooks: HookSink::start().await?,
        };
        let config_path = write(&folder, &simulation.users, &scenery)?;
        let env = environment();
        let config = config::load(&config_path, &*env)?;
        let options = Options { config_path, clock: clock.clone(), env, listener: None };
        let client = reqwest::Client::builder().no_proxy().build().map_err(DemoError::Client)?;
        let app = App::start(config, options).await?;
        Ok(Self { app, clock, folder, scenery, simulation, client })
    }

    /// What runs where.
    #[must_use]
    pub fn places(&self) -> Places {
        Places {
            ingest: self.ingest(),
            gitlab: self.scenery.gitlab.url(),
            mails: self.folder.join("mails"),
            data: self.folder.join("data"),
            config: self.folder.join(CONFIG_NAME),
            metrics: self.metrics(),
        }
    }

    /// The simulated accounts.
    #[must_use]
    pub fn users(&self) -> &[SimUser] {
        &self.simulation.users
    }

    fn ingest(&self) -> String {
        format!("http://{}{INGEST_PATH}", self.app.address())
    }

    fn metrics(&self) -> String {
        format!("http://{}/metrics", self.app.address())
    }

    /// Plays the week: as fast as it goes, or, `shown`, so that a person can follow. Comes back when everything
    /// is judged, delivered and forwarded.
    ///
    /// # Errors
    /// When the daemon refuses an event or stops, its store cannot be read, or `tell` fails.
    pub async fn play(&self, shown: bool, tell: &mut Tell<'_>) -> Result<Report, DemoError> {
        tell(&DemoEvent::Started(self.places())).map_err(DemoError::Output)?;
        let (gitlab, mails) = (self.scenery.gitlab.clone(), self.scenery.mails.clone());
        let mut watcher = Watcher::new(self.app.store().clone(), gitlab, mails);
        self.post(shown, &mut watcher, tell).await?;
        self.settle(&mut watcher, tell).await?;
        let report = self.report().await?;
        tell(&DemoEvent::Finished(Box::new(report.clone()))).map_err(DemoError::Output)?;
        Ok(report)
    }

    /// Takes the daemon down, and then the stand-ins.
    ///
    /// # Errors
    /// When detection had failed.
    pub async fn stop(self) -> Result<(), DemoError> {
        self.app.stop().await.map_err(|error| DemoError::Detection(error.to_string()))
    }

    /// Sends every event, and tells what comes of it meanwhile.
    async fn post(&self, shown: bool, watcher: &mut Watcher, tell: &mut Tell<'_>) -> Result<(), DemoError> {
        let sender = Sender::new(&self.ingest(), GITLAB_TOKEN, self.clock.clone())?;
        let simulation = Arc::clone(&self.simulation);
        let pace = if shown { Pace::Shown(schedule(&simulation)) } else { Pace::Full };
        let (progress, sent) = watch::channel(Sent { count: 0, at: Timestamp::MIN });
        // A task, since telling takes time; it is aborted with this set.
        let mut sending = JoinSet::new();
        sending.spawn(async move {
            let mut progress = |sent| {
                progress.send_replace(sent);
            };
            sender.send(&simulation.events, &pace, &mut progress).await
        });
        loop {
            let ended = tokio::select! {
                ended = sending.join_next() => ended,
                () = self.clock.sleep(LOOK) => None,
            };
            let Sent { count, at } = *sent.borrow();
            if count > 0 {
                let now = self.clock.now();
                tell(&DemoEvent::Received { count, at, now }).map_err(DemoError::Output)?;
            }
            self.tell_news(watcher, tell).await?;
            match ended {
                Some(Ok(result)) => return result.map(drop),
                Some(Err(_)) => return Err(DemoError::Cut),
                None => {}
            }
        }
    }

    async fn tell_news(&self, watcher: &mut Watcher, tell: &mut Tell<'_>) -> Result<(), DemoError> {
        for news in watcher.look().await? {
            tell(&news).map_err(DemoError::Output)?;
        }
        Ok(())
    }

    /// Waits until all that was sent is judged, delivered and forwarded. What takes too long is left out: the
    /// report counts what has arrived.
    async fn settle(&self, watcher: &mut Watcher, tell: &mut Tell<'_>) -> Result<(), DemoError> {
        let last = self.app.log().position();
        let until = self.clock.now().plus(SETTLE_MAX);
        loop {
            let is_settled = self.is_settled(last).await?;
            self.tell_news(watcher, tell).await?;
            if is_settled {
                return Ok(());
            }
            if self.clock.now() >= until {
                tracing::warn!(
                    "after {SETTLE_MAX} not everything is delivered; see `watchfire_outbox` in /metrics"
                );
                return Ok(());
            }
            self.clock.sleep(LOOK).await;
        }
    }

    /// Asked in the order in which events flow, so that nothing can come after the answer.
    async fn is_settled(&self, last: Position) -> Result<bool, DemoError> {
        let judged = match &*self.app.stage().borrow() {
            Stage::Running { position } => *position >= last,
            Stage::Stopped { reason } => return Err(DemoError::Detection(reason.clone())),
            Stage::Starting | Stage::CatchingUp { .. } => false,
        };
        if !judged {
            return Ok(false);
        }
        let store = self.app.store().clone();
        let counts = tokio::task::spawn_blocking(move || store.outbox_counts()).await;
        let pending = counts.map_or(Ok(0), |counts| counts.map(|counts| counts.pending))?;
        Ok(pending == 0 && self.is_forwarded(last).await)
    }

    /// Asks the daemon as its operator would, by its metrics. Not to be had counts as no.
    async fn is_forwarded(&self, last: Position) -> bool {
        let Ok(answer) = self.client.get(self.metrics()).send().await else { return false };
        let text = answer.text().await.unwrap_or_default();
        let positions: Vec<Option<Position>> = text
            .lines()
            .filter(|line| line.contains("forward_position{"))
            .map(|line| line.rsplit(' ').next()?.parse().ok())
            .collect();
        positions.len() == FORWARDERS && positions.iter().all(|position| position.is_some_and(|p| p >= last))
    }

    async fn report(&self) -> Result<Report, DemoError> {
        let arrived = Arrived {
            blocked: self.scenery.gitlab.blocked(),
            mails: self.scenery.mails.mails().len() as u64,
            webhooks: self.scenery.hooks.webhooks(),
            forwarded: self.scenery.hooks.forwarded(),
        };
        let (store, reader) = (self.app.store().clone(), self.app.log().reader()?);
        let simulation = Arc::clone(&self.simulation);
        let build = move || {
            let alerts = alerts(&store)?;
            let reader = RefCell::new(reader);
            let author_of = |position| author(&mut reader.borrow_mut(), position);
            Ok(Report::build(&simulation, &alerts, arrived, &author_of))
        };
        // The task ends early only together with the runtime.
        tokio::task::spawn_blocking(build).await.unwrap_or(Err(DemoError::Cut))
    }
}

fn schedule(simulation: &Simulation) -> Schedule {
    let end = simulation.events.last().map_or(simulation.week, |event| event.at);
    Schedule::new(simulation.week, end, &simulation.planted)
}

/// The author of a stored event.
fn author(reader: &mut Reader, position: Position) -> Option<i64> {
    let event = reader.get(position).ok().flatten()?;
    let body: Value = serde_json::from_slice(&event.raw).ok()?;
    body.get("author_id").and_then(Value::as_i64)
}
