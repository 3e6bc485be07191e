//! What the API's handlers work with.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use tokio::sync::{Notify, watch};

use super::health::Health;
use super::lookup::Events;
use super::problem::Problem;
use super::proof::unreadable;
use super::rate::Pace;
use super::rules::RulesStatus;
use super::{ApiConfig, Guard, Keeping, Verifications};
use crate::clock::Clock;
use crate::log::LogError;
use crate::search::SearchError;
use crate::source::{Context, Input, Intake, Source, Tokens};
use crate::store::{Store, StoreError};

/// What stands behind `/api/v1`.
#[derive(Debug)]
pub struct Control {
    /// Alerts, deliveries, tokens and so on.
    pub store: Store,
    /// Finds events.
    pub events: Arc<Events>,
    /// How the rule files were read last.
    pub rules: watch::Receiver<Arc<RulesStatus>>,
    /// How the daemon is.
    pub health: Health,
    /// Wakes the deliveries.
    pub wake: Arc<Notify>,
    /// Counts calls.
    pub guard: Arc<Guard>,
    /// How deleting goes.
    pub keeping: Keeping,
    /// Checks of the logs.
    pub verifications: Arc<Verifications>,
    /// Tells the time.
    pub clock: Clock,
    /// The administrator's token of the configuration, if there is one.
    pub administrators: Option<Tokens>,
    pub(super) intakes: BTreeMap<String, Intake>,
    /// The sources that another one fetches things for.
    pub(super) filled: BTreeSet<String>,
    /// Through which the past is imported.
    pub(super) door: Context,
    pub(super) pace: Pace,
}

/// The parts of [`Control`] that stay the same for the life of the daemon.
#[derive(Debug, Clone)]
pub struct ControlParts {
    /// Alerts, deliveries, tokens and so on.
    pub store: Store,
    /// Finds events.
    pub events: Arc<Events>,
    /// How the rule files were read last.
    pub rules: watch::Receiver<Arc<RulesStatus>>,
    /// Wakes the deliveries.
    pub wake: Arc<Notify>,
    /// Counts calls.
    pub guard: Arc<Guard>,
    /// How deleting goes.
    pub keeping: Keeping,
    /// Checks of the logs.
    pub verifications: Arc<Verifications>,
}

impl Control {
    /// Brings the parts together with what a configuration says: who may administrate, how often a token may call, and
    /// the sources, through whose way in rejected bodies are replayed.
    #[must_use]
    pub fn new(
        parts: &ControlParts,
        health: Health,
        (administrators, rate): (Option<Tokens>, u32),
        (sources, context): (&[Source], &Context),
    ) -> Self {
        let intake = |source: &Source| (source.name.to_string(), Intake::new(source, context));
        let ControlParts { store, events, rules, wake, guard, keeping, verifications } = parts.clone();
        let intakes = sources.iter().map(intake).collect();
        let filled = |source: &Source| match &source.input {
            Input::Api(polled) => polled.fills.iter().map(ToString::to_string).collect(),
            _ => Vec::new(),
        };
        let filled = sources.iter().flat_map(filled).collect();
        let (clock, pace) = (context.clock.clone(), ApiConfig::pace(rate));
        let door = context.clone();
        Self {
            store,
            events,
            rules,
            health,
            wake,
            guard,
            keeping,
            verifications,
            clock,
            administrators,
            intakes,
            filled,
            door,
            pace,
        }
    }

    /// Asks the store, on a thread that may wait for the disk.
    pub(super) async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Store) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, Problem> {
        let store = self.store.clone();
        let asked = tokio::task::spawn_blocking(move || question(&store));
        Ok(asked.await.map_err(|error| lost(&error))??)
    }

    /// Asks for events, on a thread that may wait for the disk, and look at many of them; so many questions are
    /// answered at once, so many others wait, and further ones are refused. Who goes away no longer waits, but what has
    /// begun keeps its turn until it has ended.
    pub(super) async fn find<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Events) -> Result<T, SearchError> + Send + 'static,
    ) -> Result<T, Problem> {
        let place = self.guard.waiting.try_acquire();
        let Ok(place) = place else {
            return Err(Problem::unavailable("too many searches wait already; ask again in a moment"));
        };
        let turn = Arc::clone(&self.guard.searches).acquire_owned().await.map_err(|_| Problem::internal())?;
        drop(place);
        let events = Arc::clone(&self.events);
        let asked = tokio::task::spawn_blocking(move || {
            let answer = question(&events);
            drop(turn);
            answer
        });
        Ok(asked.await.map_err(|error| lost(&error))??)
    }
}

/// Reading the files of the log.
impl Control {
    /// Looks into the data folder, on a thread that may wait for the disk.
    pub(super) async fn in_log<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Path) -> Result<T, LogError> + Send + 'static,
    ) -> Result<T, Problem> {
        let events = Arc::clone(&self.events);
        let looked = tokio::task::spawn_blocking(move || look(events.dir())).await;
        looked.map_err(|error| lost(&error))?.map_err(|error| unreadable(&error))
    }
}

/// The thread of a question was lost: it panicked.
pub(super) fn lost(error: &tokio::task::JoinError) -> Problem {
    tracing::error!(%error, "a question to the store ended early");
    Problem::internal()
}
