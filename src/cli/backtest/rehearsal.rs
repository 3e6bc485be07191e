//! What the configured actions would have done about the alerts of a backtest, and what would have held them back.
//!
//! Nothing is called. An alert goes the way that it would go in the daemon, by the same tree, windows, inhibitions, storm
//! guard and groups, at the event time at which it opened, as if every delivery worked at once and nobody acknowledged
//! anything; limits count by that time. Silences of today are not asked. Guards decide as if nothing were a dry run.

mod rehearsed;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::passages::Passages;
use crate::action::{ActionConfig, Foreseen, SoFar};
use crate::alert::{Alert, Occasion, Triage};
use crate::cli::terminal::wrap;
use crate::config::Config;
use crate::encode::{Notification, Place, RuleText};
use crate::engine::{Effects, RuleSet};
use crate::event::{Catalogue, Event, Position, canonical};
use crate::respond::{Policy, Subject as Changed};
use crate::route::{Case, Course, Fate, Glimpse, HeldBy, Hold, Nature, Scene, scenes};
use crate::time::{Span, Timestamp};
use rehearsed::Rehearsed;

/// Of how many events the fields that guards look at are kept; beyond it those of the oldest are let go, and an action
/// that needs them says that it cannot tell whom an alert is about.
const EVENTS_MAX: usize = 500_000;
/// With more changes than this, those of more than so many days ago are let go: no limit is longer as a rule.
const HITS_MAX: usize = 100_000;
const HIT_DAYS: i64 = 31;
/// Over how many hours alerts are counted one by one, for the busiest.
const HOURS_MAX: usize = 100_000;

/// The actions and what became of them.
pub(in crate::cli) struct Rehearsal {
    path: PathBuf,
    course: Course,
    passages: Passages,
    actions: BTreeMap<String, Rehearsed>,
    /// What was changed: the state it was brought into, and until when it stays so by itself.
    changed: BTreeMap<Changed, (&'static str, Option<Timestamp>)>,
    /// Whom responses hit, and when.
    hit: Vec<(Timestamp, (String, String))>,
    policy: Policy,
    /// The fields of events that guards look at.
    fields: BTreeSet<String>,
    events: BTreeMap<Position, Noted>,
}

/// What is kept of an event.
struct Noted {
    place: Place,
    glimpse: Glimpse,
    fields: Map<String, Value>,
}

impl Rehearsal {
    pub(super) fn new(config: &Config, path: &Path, rules: &RuleSet) -> Self {
        let configured = config.actions.iter();
        let rehearsed =
            |action: &ActionConfig| Rehearsed { config: Some(action.clone()), ..Rehearsed::default() };
        Self {
            path: path.to_owned(),
            course: Course::new(config.noise.clone(), config.routes.clone()),
            passages: Passages::new(&config.routes),
            actions: configured.map(|(name, action)| (name.clone(), rehearsed(action))).collect(),
            changed: BTreeMap::new(),
            hit: Vec::new(),
            policy: Policy::new(config.responses.clone()),
            fields: looked_at(config, rules),
            events: BTreeMap::new(),
        }
    }

    /// An event that an alert may cite.
    pub(super) fn note(&mut self, event: &Event, catalogue: &Catalogue) {
        let mut fields = canonical(event, catalogue);
        let glimpse = Glimpse::of(event, &fields);
        fields.retain(|field, _| self.fields.contains(field));
        self.events.insert(event.position, Noted { place: Place::from(event), glimpse, fields });
        if self.events.len() > EVENTS_MAX {
            self.events.pop_first();
        }
    }

    /// An event that no later alert can cite.
    pub(super) fn forget(&mut self, position: Position) {
        self.events.remove(&position);
    }

    /// What an entry led to, right after it.
    pub(super) fn take(&mut self, effects: &Effects, rules: &RuleSet) {
        let new = scenes(effects, &|position| Some(&self.events.get(&position)?.glimpse));
        for (opened, scene) in new {
            self.alert(&opened.alert, &scene, rules);
        }
        for opened in effects.alerts.iter().filter(|opened| !opened.is_new) {
            self.course.changed(&opened.alert, opened.alert.last_at);
        }
    }

    /// The actions that alerts of a rule went to, whether they are configured or not.
    pub(in crate::cli) fn actions_of(&self, rule: &str) -> &[String] {
        self.passages.actions_of(rule)
    }

    fn alert(&mut self, alert: &Alert, scene: &Scene, rules: &RuleSet) {
        let named = rules.unit(&alert.rule).map(|unit| unit.rule.respond.as_slice()).unwrap_or_default();
        let actions = &self.actions;
        let nature = |name: &str| {
            let config = actions.get(name)?.config.as_ref()?;
            Some(if config.respond().is_some() { Nature::Responds } else { Nature::Tells })
        };
        let passage = self.course.decide(&Case { alert, scene }, named, &nature, alert.last_at);
        self.passages.add(alert, &passage);
        for action in passage.escalate.iter().flat_map(|step| &step.actions) {
            self.actions.entry(action.clone()).or_default().escalated += 1;
        }
        if passage.told.is_empty() {
            return;
        }
        let found = alert.evidence.iter().filter_map(|position| self.events.get(position));
        let (places, events): (Vec<Place>, Vec<_>) =
            found.map(|noted| (noted.place.clone(), noted.fields.clone())).unzip();
        let told = Notification {
            occasion: Occasion::Opened,
            triage: Triage::default(),
            others: Vec::new(),
            alert: alert.clone(),
            rule: RuleText::default(),
            events,
            places: places.into_iter().collect(),
            responses: Vec::new(),
            idempotency_key: String::new(),
            attempt: 1,
        };
        for (action, fate) in &passage.told {
            match fate {
                Fate::Held => self.hold(&action.action, alert, &passage.holds),
                _ => self.run(&action.action, (&told, fate)),
            }
        }
    }

    /// An action that is not set off, by all that holds it back.
    fn hold(&mut self, name: &str, alert: &Alert, holds: &[Hold]) {
        let action = self.actions.entry(name.to_owned()).or_default();
        let responds = action.config.as_ref().is_some_and(|config| config.respond().is_some());
        let by: BTreeSet<HeldBy> =
            holds.iter().filter(|hold| !(responds && hold.spares_responses)).map(|hold| hold.by).collect();
        // What is said first is what held it: the others would have, too.
        if let Some(by) = by.into_iter().next() {
            action.held.entry(by).or_default().add(about(alert), alert.last_at);
        }
    }

    fn run(&mut self, name: &str, (told, fate): (&Notification, &Fate)) {
        let at = told.alert.last_at;
        let action = self.actions.entry(name.to_owned()).or_default();
        action.due += 1;
        let hour = at.0.div_euclid(Span::hours(1).0);
        if action.by_hour.len() < HOURS_MAX || action.by_hour.contains_key(&hour) {
            *action.by_hour.entry(hour).or_default() += 1;
        }
        match fate {
            Fate::Opens => action.grouped = (action.grouped.0 + 1, action.grouped.1 + 1),
            Fate::Joins => action.grouped.1 += 1,
            Fate::Alone | Fate::Held => {}
        }
        let Some(config) = &action.config else { return };
        let subject = config.subject(told);
        let state = subject.as_ref().and_then(|subject| self.changed.get(subject));
        let state = state.filter(|(_, until)| until.is_none_or(|until| until > at)).map(|(state, _)| *state);
        let identity = subject.as_ref().map(|subject| (subject.forge.clone(), subject.id.clone()));
        let same = action.acted.iter().filter(|(_, whom)| whom.is_some() && *whom == subject);
        let repeats = (same.clone().count() as u64, same.map(|(acted, _)| *acted).max());
        let hit = &self.hit;
        let others = |since: Timestamp| {
            let recent: BTreeSet<&(String, String)> =
                hit.iter().filter(|(acted, _)| *acted > since).map(|(_, whom)| whom).collect();
            let is_known = identity.as_ref().is_some_and(|identity| recent.contains(identity));
            (!is_known).then_some(recent.len() as u64)
        };
        let acted = &action.acted;
        let of_action = |since: Timestamp| acted.iter().filter(|(acted, _)| *acted > since).count() as u64;
        let (of_action, others) = (&of_action, &others);
        let so_far = SoFar { now: at, policy: &self.policy, of_action, others, state, repeats };
        let foresight = config.foresee(told, &so_far);
        if foresight.verdict == Foreseen::Acts {
            action.acted.push((at, subject.clone()));
            self.hit.extend(identity.map(|identity| (at, identity)));
            if let (Some(subject), Some(leaves)) = (subject, foresight.leaves) {
                self.changed.insert(subject, (leaves, foresight.lasts.map(|span| at.plus(span))));
            }
            if self.hit.len() > HITS_MAX {
                let kept = at.minus(Span::days(HIT_DAYS));
                self.hit.retain(|(acted, _)| *acted > kept);
            }
        }
        let who = foresight.subject.unwrap_or_else(|| about(&told.alert));
        action.outcomes.entry(foresight.verdict).or_default().add(who, at);
    }

    /// For people, under the alerts.
    pub(in crate::cli) fn text(&self, width: usize) -> String {
        let mut text = self.passages.text(width);
        let _ = writeln!(text, "what the actions of {} would have done", self.path.display());
        for (name, action) in self.actions.iter().filter(|(_, action)| !action.is_idle()) {
            action.text(name, width, &mut text);
        }
        let idle = self.actions.iter().filter(|(_, action)| action.is_idle()).map(|(name, _)| name.as_str());
        let idle: Vec<&str> = idle.collect();
        if !idle.is_empty() {
            text.push('\n');
            text.push_str(&wrap(&format!("never due: {}", idle.join(", ")), (2, 13), width));
        }
        if self.actions.is_empty() {
            text.push_str("  it configures none, and no rule that alerted names one\n");
        }
        text
    }

    /// For programs: a list, one object for each action.
    pub(in crate::cli) fn json(&self) -> Value {
        self.actions.iter().map(|(name, action)| action.json(name)).collect()
    }

    /// For programs: which way the alerts went.
    pub(in crate::cli) fn routes_json(&self) -> Value {
        self.passages.json()
    }
}

/// Whom an alert is about, where no action knows it better.
fn about(alert: &Alert) -> String {
    match alert.key.to_string() {
        key if key.is_empty() => "one group for all events".to_owned(),
        key => key,
    }
}

/// The fields that guards have to look for in events, since the key of a rule that gets them has none of that name.
fn looked_at(config: &Config, rules: &RuleSet) -> BTreeSet<String> {
    let mut fields = BTreeSet::new();
    for unit in rules.units() {
        let rule = &unit.rule;
        let ways = config.routes.iter().map(|route| route.may_set_off(&rule.id, rule.level, &rule.tags));
        let names = rule.respond.iter().map(String::as_str).chain(ways.flatten());
        let looked_at = names.filter_map(|name| config.actions.get(name)).flat_map(ActionConfig::looks_at);
        let missing = looked_at.filter(|field| !unit.key_names.iter().any(|name| name == field));
        fields.extend(missing.map(str::to_owned));
    }
    fields
}
