//! What the configured actions would have done about the alerts of a backtest, and what would have held them back.
//!
//! Nothing is called. An alert gets the actions that its rule and the routes name, at the event time at which it opened,
//! as if every delivery worked at once; limits count by that time. Guards decide as if nothing were a dry run.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use super::progress::grouped;
use crate::action::{ActionConfig, Foreseen, SoFar};
use crate::alert::{Alert, Occasion, Triage};
use crate::cli::terminal::{clean, wrap};
use crate::config::{Config, Route};
use crate::daemon::actions_of;
use crate::encode::{Notification, Place, RuleText};
use crate::engine::{Effects, RuleSet};
use crate::event::{Catalogue, Event, Position, canonical};
use crate::respond::{Policy, Subject as Changed};
use crate::time::{Span, Timestamp};

/// How many accounts or keys of one outcome are told apart; further ones are only counted.
const SUBJECTS_MAX: usize = 1000;
/// How many of them the text names.
const NAMED_MAX: usize = 6;
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
    routes: Vec<Route>,
    actions: BTreeMap<String, Rehearsed>,
    /// What was changed: the state it was brought into, and until when it stays so by itself.
    changed: BTreeMap<Changed, (&'static str, Option<Timestamp>)>,
    /// Whom responses hit, and when.
    hit: Vec<(Timestamp, (String, String))>,
    policy: Policy,
    /// Whether a guard asks where events happened.
    asks_where: bool,
    /// The fields of events that guards look at.
    fields: BTreeSet<String>,
    events: BTreeMap<Position, (Place, Map<String, Value>)>,
}

/// One action.
#[derive(Default)]
struct Rehearsed {
    /// None: a rule names it, and nobody configured it.
    config: Option<ActionConfig>,
    due: u64,
    /// How often only in rehearsal, since the rule says `dry_run`.
    by_rule: u64,
    by_hour: BTreeMap<i64, u64>,
    outcomes: BTreeMap<Foreseen, Outcome>,
    /// When it acted, and on whom.
    acted: Vec<(Timestamp, Option<Changed>)>,
}

#[derive(Default)]
struct Outcome {
    count: u64,
    subjects: BTreeMap<String, Subject>,
}

#[derive(Clone, Copy)]
struct Subject {
    count: u64,
    first: Timestamp,
}

impl Rehearsal {
    pub(super) fn new(config: &Config, path: &Path, rules: &RuleSet) -> Self {
        let configured = config.actions.iter();
        let rehearsed =
            |action: &ActionConfig| Rehearsed { config: Some(action.clone()), ..Rehearsed::default() };
        Self {
            path: path.to_owned(),
            routes: config.routes.clone(),
            actions: configured.map(|(name, action)| (name.clone(), rehearsed(action))).collect(),
            changed: BTreeMap::new(),
            hit: Vec::new(),
            policy: Policy::new(config.responses.clone()),
            fields: looked_at(config, rules),
            asks_where: config.actions.values().any(|action| action.respond().is_some()),
            events: BTreeMap::new(),
        }
    }

    /// An event that an alert may cite.
    pub(super) fn note(&mut self, event: &Event, catalogue: &Catalogue) {
        if self.fields.is_empty() && !self.asks_where {
            return;
        }
        let mut kept = Map::new();
        if !self.fields.is_empty() {
            kept = canonical(event, catalogue);
            kept.retain(|field, _| self.fields.contains(field));
        }
        self.events.insert(event.position, (Place::from(event), kept));
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
        for opened in
            effects.alerts.iter().filter(|opened| opened.is_new && opened.alert.merged_into.is_none())
        {
            self.alert(&opened.alert, rules);
        }
    }

    /// The actions that an alert gets, whether they are configured or not.
    pub(in crate::cli) fn actions_of(&self, alert: &Alert, rules: &RuleSet) -> Vec<String> {
        actions_of(alert, rules, &self.routes)
    }

    fn alert(&mut self, alert: &Alert, rules: &RuleSet) {
        let named = actions_of(alert, rules, &self.routes);
        if named.is_empty() {
            return;
        }
        let dry_run = rules.unit(&alert.rule).is_some_and(|unit| unit.rule.dry_run);
        let found = alert.evidence.iter().filter_map(|position| self.events.get(position).cloned());
        let (places, events): (Vec<Place>, Vec<_>) = found.unzip();
        let told = Notification {
            occasion: Occasion::Opened,
            triage: Triage::default(),
            others: Vec::new(),
            alert: alert.clone(),
            rule: RuleText { dry_run, ..RuleText::default() },
            events,
            places: places.into_iter().collect(),
            responses: Vec::new(),
            idempotency_key: String::new(),
            attempt: 1,
        };
        for name in named {
            self.run(&name, &told);
        }
    }

    fn run(&mut self, name: &str, told: &Notification) {
        let at = told.alert.last_at;
        let action = self.actions.entry(name.to_owned()).or_default();
        action.due += 1;
        let responds = action.config.as_ref().is_some_and(|config| config.respond().is_some());
        action.by_rule += u64::from(told.rule.dry_run && responds);
        let hour = at.0.div_euclid(Span::hours(1).0);
        if action.by_hour.len() < HOURS_MAX || action.by_hour.contains_key(&hour) {
            *action.by_hour.entry(hour).or_default() += 1;
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
        let who = foresight.subject.unwrap_or_else(|| match told.alert.key.to_string() {
            key if key.is_empty() => "one group for all events".to_owned(),
            key => key,
        });
        action.outcomes.entry(foresight.verdict).or_default().add(who, at);
    }

    /// For people, under the alerts.
    pub(in crate::cli) fn text(&self, width: usize) -> String {
        let mut text = format!("what the actions of {} would have done\n", self.path.display());
        for (name, action) in self.actions.iter().filter(|(_, action)| action.due > 0) {
            action.text(name, width, &mut text);
        }
        let idle = self.actions.iter().filter(|(_, action)| action.due == 0).map(|(name, _)| name.as_str());
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

impl Outcome {
    fn add(&mut self, who: String, at: Timestamp) {
        self.count += 1;
        if let Some(known) = self.subjects.get_mut(&who) {
            known.count += 1;
        } else if self.subjects.len() < SUBJECTS_MAX {
            self.subjects.insert(who, Subject { count: 1, first: at });
        }
    }

    /// The most frequent first, then those that came first.
    fn in_order(&self) -> Vec<(&str, Subject)> {
        let mut subjects: Vec<(&str, Subject)> =
            self.subjects.iter().map(|(who, subject)| (who.as_str(), *subject)).collect();
        subjects.sort_by_key(|(_, subject)| (std::cmp::Reverse(subject.count), subject.first));
        subjects
    }

    fn names(&self) -> String {
        let subjects = self.in_order();
        let name = |(who, subject): &(&str, Subject)| {
            if subject.count > 1 { format!("{who} ({} times)", subject.count) } else { (*who).to_owned() }
        };
        let named: Vec<String> = subjects.iter().take(NAMED_MAX).map(name).collect();
        let more = subjects.len().saturating_sub(NAMED_MAX);
        let beyond = if subjects.len() == SUBJECTS_MAX { " or more" } else { "" };
        let more = if more > 0 { format!(" and {more}{beyond} others") } else { String::new() };
        // Keys of several fields have commas of their own.
        let joint = if named.iter().any(|name| name.contains(", ")) { "; " } else { ", " };
        format!("{}{more}", named.join(joint))
    }
}

impl Rehearsed {
    /// Of one that nobody configured.
    fn unknown(&self, name: &str, width: usize, text: &mut String) {
        let _ = writeln!(text, "\n  {}  not configured", clean(name));
        let due = match self.due {
            1 => "1 alert names".to_owned(),
            more => format!("{} alerts name", grouped(more)),
        };
        text.push_str(&wrap(&format!("{due} it: it is passed over, nothing happens"), (4, 4), width));
    }

    fn text(&self, name: &str, width: usize, text: &mut String) {
        let times =
            |count: u64| if count == 1 { "once".to_owned() } else { format!("{} times", grouped(count)) };
        let Some(config) = &self.config else {
            return self.unknown(name, width, text);
        };
        let dry = if config.is_dry_run() { ", dry_run" } else { "" };
        let _ = writeln!(text, "\n  {}  ({}{dry})", clean(name), clean(&config.words()));
        let mut line = |said: String| text.push_str(&wrap(&clean(&said), (4, 6), width));
        let busiest = self.busiest().filter(|(_, count)| *count > 1).map(|(hour, count)| {
            let hour: String = hour.to_string().chars().take(13).collect();
            format!(", at most {} within an hour (from {hour}:00Z)", grouped(count))
        });
        line(format!("due {}{}", times(self.due), busiest.unwrap_or_default()));
        if config.is_dry_run() {
            line("dry_run is on: nothing is changed. Without it:".to_owned());
        } else if self.by_rule > 0 {
            let said = "only in rehearsal, since the rule says dry_run. Without it:";
            line(format!("{} {said}", times(self.by_rule)));
        }
        let is_account = config.is_of_account();
        for (verdict, outcome) in &self.outcomes {
            let count = times(outcome.count);
            let names = match outcome.names() {
                names if !is_account || *verdict == Foreseen::Nobody => names,
                names if outcome.subjects.len() == 1 => format!("account {names}"),
                names => format!("accounts {names}"),
            };
            match verdict {
                Foreseen::Tells => line(format!("told {count}: {names}")),
                Foreseen::Acts => line(format!("acts {count}: {names}")),
                Foreseen::Already => {
                    line(format!("nothing to do {count}, it was done for an earlier alert: {names}"))
                }
                Foreseen::Never => line(format!("held back {count}, on `never`: {names}")),
                Foreseen::Limited => {
                    let limit = config.at_most().unwrap_or_default();
                    line(format!(
                        "held back {count} by the limit of {} per {}: {names}",
                        limit.count, limit.per
                    ));
                }
                Foreseen::Waits => {
                    line(format!(
                        "waits for approval {count} (the rest is shown as if nobody approved): {names}"
                    ));
                }
                Foreseen::Beyond => {
                    line(format!(
                        "held back {count} by `responses.at_most`, which counts all responses: {names}"
                    ));
                }
                Foreseen::Cooling => line(format!("held back {count} by `cool_down`: {names}")),
                Foreseen::Nobody => {
                    line(format!("held back {count}, as the alert is about no one account: {names}"));
                }
                Foreseen::Elsewhere => {
                    line(format!("held back {count}, with an event of another forge: {names}"));
                }
                Foreseen::Impossible => {
                    line(format!("held back {count}, as an earlier action had changed the account: {names}"));
                }
            }
        }
        if let Some(asks) = config.asks() {
            line(asks);
        }
    }

    /// The hour in which it was due most often; of several the first.
    fn busiest(&self) -> Option<(Timestamp, u64)> {
        let most = self.by_hour.iter().max_by_key(|(hour, count)| (**count, -**hour));
        most.map(|(hour, count)| (Timestamp(hour * Span::hours(1).0), *count))
    }

    fn json(&self, name: &str) -> Value {
        let outcomes: Map<String, Value> = Foreseen::ALL
            .into_iter()
            .filter_map(|verdict| Some((verdict, self.outcomes.get(&verdict)?)))
            .map(|(verdict, outcome)| {
                let who = |(who, subject): (&str, Subject)| {
                    json!({"who": who, "count": subject.count, "first": subject.first.to_string()})
                };
                let whom: Vec<Value> = outcome.in_order().into_iter().map(who).collect();
                (verdict.name().to_owned(), json!({"count": outcome.count, "whom": whom}))
            })
            .collect();
        json!({
            "action": name,
            "configured": self.config.is_some(),
            "dry_run": self.config.as_ref().is_some_and(ActionConfig::is_dry_run),
            "due": self.due,
            "rehearsed_by_rule": self.by_rule,
            "busiest_hour": self.busiest().map(|(hour, count)| json!({"from": hour.to_string(), "due": count})),
            "outcomes": outcomes,
            "unknown": self.config.as_ref().and_then(ActionConfig::asks),
        })
    }
}

#[cfg(test)]
mod tests;
