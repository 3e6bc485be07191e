//! What keeps an alert from being told.

use serde::{Deserialize, Serialize};

use super::case::{Case, Scene};
use super::condition::Reach;
use super::inhibitors::Inhibitors;
use super::matcher::Matchers;
use super::policy::{Inhibition, Policy, StormResponses};
use crate::alert::{Alert, AlertId};
use crate::time::Timestamp;

/// What holds back.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum HeldBy {
    /// A silence that somebody made.
    Silence,
    /// A maintenance window of the configuration.
    Maintenance,
    /// An open alert that says more.
    Inhibition,
    /// There were too many of the rule and source within an hour.
    Storm,
    /// It waits to be told with others.
    Group,
    /// The action does not want to hear of this occasion.
    Unwanted,
}

impl HeldBy {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Silence, Self::Maintenance, Self::Inhibition, Self::Storm, Self::Group, Self::Unwanted];

    /// The word for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Silence => "silence",
            Self::Maintenance => "maintenance",
            Self::Inhibition => "inhibition",
            Self::Storm => "storm",
            Self::Group => "group",
            Self::Unwanted => "unwanted",
        }
    }

    /// What has that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|by| by.name() == name)
    }
}

/// That one action was not set off for an alert, or not yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Held {
    /// The alert.
    pub alert: AlertId,
    /// The action's name.
    pub action: String,
    /// What held it back.
    pub by: HeldBy,
    /// Which: a silence's number, a window's name, the alert that inhibits, the message it waits for, the
    /// occasion.
    pub which: String,
    /// In a sentence.
    pub why: String,
    /// When.
    pub at: Timestamp,
}

/// What holds an alert back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    /// What.
    pub by: HeldBy,
    /// Which.
    pub which: String,
    /// In a sentence.
    pub why: String,
    /// Whether responses are made all the same.
    pub spares_responses: bool,
}

/// A silence that is in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quiet {
    /// Its number.
    pub id: i64,
    /// Which alerts.
    pub matchers: Matchers,
    /// Why.
    pub reason: String,
    /// Who answers for it.
    pub owner: String,
    /// Until when.
    pub until: Timestamp,
}

/// An alert that nobody has resolved and that was told.
#[derive(Debug, Clone, PartialEq)]
pub struct OpenAlert {
    /// The alert.
    pub alert: Alert,
    /// Where it happened.
    pub scene: Scene,
    /// When it last changed.
    pub changed_at: Timestamp,
}

/// What the store knows at this moment.
#[derive(Debug, Clone, Copy, Default)]
pub struct Facts<'a> {
    /// The silences that are in force.
    pub quiet: &'a [Quiet],
    /// Open alerts that were told, none where [`rivals`] asks for none.
    pub open: Option<&'a Inhibitors>,
    /// How many alerts of the same rule and source were committed within the hour before, but for those that something
    /// else than the storm guard held back.
    pub recent: u64,
}

/// The inhibitions that could hold this case back, with their numbers from 1: only then open alerts are asked for.
#[must_use]
pub fn rivals<'p>(policy: &'p Policy, case: &Case<'_>, at: Timestamp) -> Vec<(usize, &'p Inhibition)> {
    let all = (1..).zip(&policy.inhibit);
    all.filter(|(_, inhibition)| inhibition.hold.holds(case, at, Reach::All)).collect()
}

/// Everything that holds a case back at this moment, the first being what is said to; nothing where it is told.
#[must_use]
pub fn hold(policy: &Policy, case: &Case<'_>, facts: &Facts<'_>, at: Timestamp) -> Vec<Hold> {
    let mut holds = Vec::new();
    for quiet in facts.quiet.iter().filter(|quiet| quiet.matchers.hold(case)) {
        let Quiet { id, reason, owner, until, .. } = quiet;
        let why = format!("silence {id} of {owner} until {until}: {reason}");
        holds.push(Hold { by: HeldBy::Silence, which: id.to_string(), why, spares_responses: false });
    }
    for window in policy.maintenance.iter().filter(|window| window.holds(case, at)) {
        let why = format!("maintenance window {}: {}", window.name, window.reason);
        let (by, which) = (HeldBy::Maintenance, window.name.clone());
        holds.push(Hold { by, which, why, spares_responses: false });
    }
    for (number, inhibition) in rivals(policy, case, at) {
        let mut causes = facts.open.into_iter().flat_map(|open| open.of((number, inhibition), case));
        if let Some(other) = causes.find(|other| inhibits(inhibition, case, other, at)) {
            let id = other.alert.id.clone();
            let why = format!("inhibition {number}: alert {id} of {} is open", other.alert.rule);
            let (by, which) = (HeldBy::Inhibition, id.0);
            // It is the message that the other alert makes superfluous; what is to be done about this one is not done by
            // the other.
            holds.push(Hold { by, which, why, spares_responses: true });
        }
    }
    let rule = &case.alert.rule;
    if let Some(limit) = policy.storm.limit(rule).filter(|limit| facts.recent >= *limit) {
        let source = case.scene.source.as_deref().unwrap_or("no source");
        let why = format!("storm: {rule} raised more than {limit} alerts within an hour ({source})");
        let spares_responses = policy.storm.responses == StormResponses::Send;
        holds.push(Hold { by: HeldBy::Storm, which: rule.to_string(), why, spares_responses });
    }
    holds
}

/// Whether an open alert that may be a cause and has the same values holds the case back. Of two that could each hold the other back neither does.
fn inhibits(inhibition: &Inhibition, case: &Case<'_>, other: &OpenAlert, at: Timestamp) -> bool {
    let theirs = Case { alert: &other.alert, scene: &other.scene };
    let is_both = |case: &Case<'_>| {
        inhibition.when.holds(case, at, Reach::Any) && inhibition.hold.holds(case, at, Reach::All)
    };
    other.alert.id != case.alert.id
        && other.changed_at.plus(inhibition.within) > at
        && inhibition.when.hours.has(at)
        && !(is_both(case) && is_both(&theirs))
}
