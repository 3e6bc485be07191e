//! The tree of routes: which actions an alert sets off, and in which manner each tells of it.

use serde::Deserialize;

use super::case::Case;
use super::condition::{Condition, Reach};
use super::glob::Glob;
use super::group::Group;
use super::hours::{Days, Hours, Stretch};
use super::text::{parsed, some_time, some_time_or_none};
use crate::alert::Level;
use crate::report::Zone;
use crate::time::{Span, Timestamp};

/// Adds actions to the alerts it matches, beside those that the rule itself names, and asks its children about them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Route {
    /// Which alerts.
    pub when: Condition,
    /// Names of configured actions.
    pub actions: Vec<String>,
    /// Routes that only alerts of this one come to.
    pub routes: Vec<Self>,
    /// Whether the routes behind this one, in the same list, are not asked about alerts that it matches.
    pub stop: bool,
    /// How its actions, and its children's, tell several alerts in one message.
    pub group: Option<Group>,
    /// How long after each message its actions, and its children's, tell it again while nobody acknowledged.
    pub repeat: Option<Span>,
    /// Who is told when nobody acknowledged for a while.
    pub escalate: Vec<Escalation>,
}

/// Who is told when nobody acknowledged an alert for a while.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Escalation {
    /// How long after the alert was committed.
    #[serde(deserialize_with = "some_time")]
    pub after: Span,
    /// Names of configured actions that tell somebody.
    pub actions: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(default)]
    levels: Vec<Level>,
    #[serde(default)]
    tags: Vec<String>,
    #[serde(default)]
    rules: Vec<Glob>,
    #[serde(default)]
    entities: Vec<Glob>,
    #[serde(default)]
    sources: Vec<Glob>,
    #[serde(default)]
    forges: Vec<Glob>,
    #[serde(default)]
    authors: Vec<Glob>,
    #[serde(default)]
    hours: Option<Stretch>,
    #[serde(default)]
    days: Vec<Days>,
    #[serde(default, deserialize_with = "parsed")]
    time_zone: Zone,
    #[serde(default)]
    actions: Vec<String>,
    #[serde(default)]
    routes: Vec<Route>,
    #[serde(default)]
    stop: bool,
    #[serde(default)]
    group: Option<Group>,
    #[serde(default, deserialize_with = "some_time_or_none")]
    repeat: Option<Span>,
    #[serde(default)]
    escalate: Vec<Escalation>,
}

impl<'de> Deserialize<'de> for Route {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let written = Written::deserialize(deserializer)?;
        Ok(Self {
            when: Condition {
                levels: written.levels,
                tags: written.tags,
                rules: written.rules,
                entities: written.entities,
                sources: written.sources,
                forges: written.forges,
                authors: written.authors,
                hours: Hours { hours: written.hours, days: written.days, zone: written.time_zone },
            },
            actions: written.actions,
            routes: written.routes,
            stop: written.stop,
            group: written.group,
            repeat: written.repeat,
            escalate: written.escalate,
        })
    }
}

impl Route {
    /// Whether alerts of such a rule may go this way.
    #[must_use]
    pub fn matches(&self, rule: &str, level: Level, tags: &[String]) -> bool {
        self.when.allows(rule, level, tags)
    }

    /// The names of all actions that it and its children may set off for alerts of such a rule.
    #[must_use]
    pub fn may_set_off<'r>(&'r self, rule: &str, level: Level, tags: &[String]) -> Vec<&'r str> {
        if !self.matches(rule, level, tags) {
            return Vec::new();
        }
        let steps = self.escalate.iter().flat_map(|step| &step.actions);
        let own = self.actions.iter().chain(steps).map(String::as_str);
        own.chain(self.routes.iter().flat_map(|child| child.may_set_off(rule, level, tags))).collect()
    }
}

/// The names of all actions that routes name, with their children.
#[must_use]
pub fn actions_in(routes: &[Route]) -> Vec<&str> {
    let mut names: Vec<&str> = Vec::new();
    for route in routes {
        names.extend(route.actions.iter().map(String::as_str));
        names.extend(route.escalate.iter().flat_map(|step| &step.actions).map(String::as_str));
        names.extend(actions_in(&route.routes));
    }
    names
}

/// In which manner an action tells of alerts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Manner {
    /// With others in one message.
    pub group: Option<Group>,
    /// Again, while nobody acknowledged.
    pub repeat: Option<Span>,
}

/// One action that is to tell of an alert, or to respond to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// Its configured name.
    pub action: String,
    /// In which manner.
    pub manner: Manner,
}

/// All that an alert sets off.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Way {
    /// Its actions, each once, in the order rule, routes.
    pub told: Vec<Told>,
    /// Who is told later, each action once for each time.
    pub escalate: Vec<Escalation>,
}

/// How a route was passed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Passed {
    /// It matched.
    Matched,
    /// It did not, for these reasons.
    Unmatched(Vec<String>),
    /// Nobody asked it: a route before it in the list has `stop`.
    Stopped,
}

/// One route on the way through the tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Visit<'r> {
    /// Its numbers from the root, each from 1.
    pub path: Vec<usize>,
    /// The route.
    pub route: &'r Route,
    /// How it was passed.
    pub passed: Passed,
}

/// What an alert sets off that goes this way at this moment, when its rule itself names these actions. An action that both
/// the rule and a route name is told in the manner of the first route that names it.
#[must_use]
pub fn way(routes: &[Route], named: &[String], case: &Case<'_>, at: Timestamp) -> Way {
    let mut way = Way::default();
    for name in named {
        way.tell(name, None);
    }
    gather(routes, (case, at), &Manner::default(), &mut way);
    way
}

/// Every route that was come to, in order, with how it was passed. The children of one that did not match are left out.
#[must_use]
pub fn trace<'r>(routes: &'r [Route], case: &Case<'_>, at: Timestamp) -> Vec<Visit<'r>> {
    let mut visits = Vec::new();
    follow(routes, (case, at), &[], &mut visits);
    visits
}

fn follow<'r>(
    routes: &'r [Route],
    (case, at): (&Case<'_>, Timestamp),
    above: &[usize],
    visits: &mut Vec<Visit<'r>>,
) {
    let mut is_stopped = false;
    for (number, route) in (1..).zip(routes) {
        let path: Vec<usize> = above.iter().copied().chain([number]).collect();
        let passed = if is_stopped {
            Passed::Stopped
        } else {
            let reasons = route.when.why_not(case, at, Reach::Any);
            if reasons.is_empty() { Passed::Matched } else { Passed::Unmatched(reasons) }
        };
        let is_matched = passed == Passed::Matched;
        visits.push(Visit { path: path.clone(), route, passed });
        if is_matched {
            follow(&route.routes, (case, at), &path, visits);
            is_stopped |= route.stop;
        }
    }
}

fn gather(routes: &[Route], (case, at): (&Case<'_>, Timestamp), above: &Manner, way: &mut Way) {
    for route in routes.iter().filter(|route| route.when.holds(case, at, Reach::Any)) {
        let manner = Manner {
            group: route.group.clone().or_else(|| above.group.clone()),
            repeat: route.repeat.or(above.repeat),
        };
        for name in &route.actions {
            way.tell(name, Some(&manner));
        }
        for step in &route.escalate {
            way.escalate(step);
        }
        gather(&route.routes, (case, at), &manner, way);
        if route.stop {
            return;
        }
    }
}

impl Way {
    fn tell(&mut self, name: &str, manner: Option<&Manner>) {
        match (self.told.iter_mut().find(|told| told.action == name), manner) {
            (None, manner) => {
                self.told.push(Told { action: name.to_owned(), manner: manner.cloned().unwrap_or_default() });
            }
            // Named by the rule, which says nothing of manners.
            (Some(told), Some(manner)) if told.manner == Manner::default() => told.manner = manner.clone(),
            (Some(_), _) => {}
        }
    }

    fn escalate(&mut self, step: &Escalation) {
        let is_known = |name: &&String| {
            !self.escalate.iter().any(|known| known.after == step.after && known.actions.contains(name))
        };
        let actions: Vec<String> = step.actions.iter().filter(is_known).cloned().collect();
        if !actions.is_empty() {
            self.escalate.push(Escalation { after: step.after, actions });
        }
    }
}
