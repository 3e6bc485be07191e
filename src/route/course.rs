//! What becomes of alerts where nobody keeps a store: the same decisions, over a past, with what they need in memory.
//!
//! Nobody acknowledges or resolves anything and every message is delivered when it is due. Silences are not asked: people
//! make them for the time in which they are made.

use std::collections::{BTreeMap, VecDeque};

use super::group::{GroupState, Joined, join};
use super::hold::{Facts, Hold, OpenAlert, hold};
use super::tree::{Escalation, Passed, Route, Told, trace, way};
use super::{Case, HeldBy, Inhibitors, Policy};
use crate::alert::Alert;
use crate::time::{Span, Timestamp};

/// Of so many open alerts it is known whether they hold others back: the newest ones, as in the store.
const OPEN_MAX: usize = 1_000;
/// Rules and sources that the storm guard tells apart, and groups of alerts; beyond, all that is over is forgotten, and
/// what is new then is not held back, or told alone.
const PLACES_MAX: usize = 100_000;
/// The storm guard counts so far back.
const HOUR: Span = Span::hours(1);

/// What an action is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nature {
    /// It tells somebody.
    Tells,
    /// It changes something.
    Responds,
}

/// What becomes of one action of an alert.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// It is set off, for this alert alone.
    Alone,
    /// It tells of this alert and those that join it.
    Opens,
    /// It tells of this alert in a message that waits.
    Joins,
    /// It is not set off.
    Held,
}

/// What becomes of an alert.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Passage {
    /// The routes that it went, by their numbers from the root.
    pub routes: Vec<Vec<usize>>,
    /// Its actions, each once.
    pub told: Vec<(Told, Fate)>,
    /// Who is told later, if nobody acknowledges it.
    pub escalate: Vec<Escalation>,
    /// What holds it back.
    pub holds: Vec<Hold>,
    /// Whether it is the first that a storm holds back.
    pub begins_storm: bool,
}

/// What is known on the way through the past.
#[derive(Debug, Clone)]
pub struct Course {
    policy: Policy,
    routes: Vec<Route>,
    open: Inhibitors,
    /// When the newest alerts of a rule and source came that the storm guard counts, and the last that it held back.
    recent: BTreeMap<(String, String), (VecDeque<Timestamp>, Option<Timestamp>)>,
    groups: BTreeMap<String, GroupState>,
}

impl Course {
    /// By these routes and what holds back.
    #[must_use]
    pub fn new(policy: Policy, routes: Vec<Route>) -> Self {
        let open = Inhibitors::new(&policy, []);
        Self { policy, routes, open, recent: BTreeMap::new(), groups: BTreeMap::new() }
    }

    /// What becomes of a new alert at this moment, when its rule itself names these actions. Of an action whose nature is
    /// not known nothing is decided.
    pub fn decide(
        &mut self,
        case: &Case<'_>,
        named: &[String],
        nature: &dyn Fn(&str) -> Option<Nature>,
        at: Timestamp,
    ) -> Passage {
        let holds = self.holds(case, at);
        let first = holds.first().map(|hold| hold.by);
        let begins_storm = self.count(case, first, at);
        if first.is_none() {
            let (alert, scene) = (case.alert.clone(), case.scene.clone());
            self.open.push(&self.policy, OpenAlert { alert, scene, changed_at: at });
        }
        let found = way(&self.routes, named, case, at);
        let mut told = Vec::with_capacity(found.told.len());
        for one in found.told {
            let fate = match nature(&one.action) {
                None => Fate::Alone,
                Some(nature) if holds.iter().any(|hold| stops(hold, nature)) => Fate::Held,
                Some(Nature::Responds) => Fate::Alone,
                Some(Nature::Tells) => self.join(case, &one, at),
            };
            told.push((one, fate));
        }
        let is_matched = |passed: &Passed| *passed == Passed::Matched;
        let visits = trace(&self.routes, case, at).into_iter();
        let routes = visits.filter(|visit| is_matched(&visit.passed)).map(|visit| visit.path).collect();
        let escalate = if holds.is_empty() { found.escalate } else { Vec::new() };
        Passage { routes, told, escalate, holds, begins_storm }
    }

    /// An alert that there was has grown, or went up in another.
    pub fn changed(&mut self, alert: &Alert, at: Timestamp) {
        self.open.changed(&alert.id, at, alert.merged_into.is_some());
    }

    fn holds(&mut self, case: &Case<'_>, at: Timestamp) -> Vec<Hold> {
        let longest = self.policy.longest_inhibition().unwrap_or_default();
        if self.open.len() >= 2 * OPEN_MAX {
            self.open.keep(&self.policy, at.minus(longest), OPEN_MAX);
        }
        let recent = self.recent.get(&origin(case)).map_or(0, |(times, _)| {
            times.iter().filter(|time| **time > at.minus(HOUR) && **time <= at).count() as u64
        });
        hold(&self.policy, case, &Facts { quiet: &[], open: Some(&self.open), recent }, at)
    }

    /// Counts an alert for the storm guard; whether a storm begins with it.
    fn count(&mut self, case: &Case<'_>, first: Option<HeldBy>, at: Timestamp) -> bool {
        let Some(limit) = self.policy.storm.limit(&case.alert.rule) else { return false };
        if !matches!(first, None | Some(HeldBy::Storm)) {
            return false;
        }
        if self.recent.len() >= PLACES_MAX && !self.recent.contains_key(&origin(case)) {
            let since = at.minus(HOUR);
            self.recent.retain(|_, (times, _)| times.back().is_some_and(|time| *time > since));
            if self.recent.len() >= PLACES_MAX {
                return false;
            }
        }
        let (times, held) = self.recent.entry(origin(case)).or_default();
        times.push_back(at);
        while times.len() as u64 > limit {
            times.pop_front();
        }
        if first.is_none() {
            return false;
        }
        let is_new = held.is_none_or(|last| last.plus(HOUR) <= at);
        *held = (*held).max(Some(at));
        is_new
    }

    fn join(&mut self, case: &Case<'_>, told: &Told, at: Timestamp) -> Fate {
        let Some(group) = &told.manner.group else { return Fate::Alone };
        let id = format!("{}/{}", told.action, group.key(case));
        if self.groups.len() >= PLACES_MAX && !self.groups.contains_key(&id) {
            let since = at.minus(group.interval);
            self.groups.retain(|_, state| state.last_due > since);
            if self.groups.len() >= PLACES_MAX {
                return Fate::Alone;
            }
        }
        let mut state = self.groups.remove(&id);
        // Whatever was due before was told, and takes nothing more.
        if let Some(state) = state.as_mut().filter(|state| state.last_due < at) {
            (state.open, state.size) = (None, 0);
        }
        let (state, fate) = match (join(group, state.as_ref(), at), state) {
            (Joined::Waiting(_), Some(state)) => (GroupState { size: state.size + 1, ..state }, Fate::Joins),
            (Joined::New(last_due), _) => {
                (GroupState { open: Some(String::new()), size: 1, last_due }, Fate::Opens)
            }
            (Joined::Waiting(_), None) => return Fate::Alone,
        };
        self.groups.insert(id, state);
        fate
    }
}

/// Whether what holds an alert back holds such an action back.
fn stops(hold: &Hold, nature: Nature) -> bool {
    nature == Nature::Tells || !hold.spares_responses
}

fn origin(case: &Case<'_>) -> (String, String) {
    (case.alert.rule.to_string(), case.scene.source.clone().unwrap_or_default())
}
