//! One action of a backtest: what became of it, and how that is shown.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use super::Changed;
use crate::action::{ActionConfig, Foreseen};
use crate::cli::backtest::progress::grouped;
use crate::cli::terminal::{clean, wrap};
use crate::route::HeldBy;
use crate::time::{Span, Timestamp};

/// How many accounts or keys of one outcome are told apart; further ones are only counted.
const SUBJECTS_MAX: usize = 1000;
/// How many of them the text names.
const NAMED_MAX: usize = 6;

/// One action.
#[derive(Default)]
pub(super) struct Rehearsed {
    /// None: a rule names it, and nobody configured it.
    pub(super) config: Option<ActionConfig>,
    pub(super) due: u64,
    pub(super) by_hour: BTreeMap<i64, u64>,
    /// What held it back, by the word for it.
    pub(super) held: BTreeMap<HeldBy, Outcome>,
    /// Messages with several alerts, and how many alerts these tell of.
    pub(super) grouped: (u64, u64),
    /// How many alerts it would be told of later, if nobody acknowledged them.
    pub(super) escalated: u64,
    pub(super) outcomes: BTreeMap<Foreseen, Outcome>,
    /// When it acted, and on whom.
    pub(super) acted: Vec<(Timestamp, Option<Changed>)>,
}

/// What became of those that came to one end.
#[derive(Default)]
pub(super) struct Outcome {
    count: u64,
    subjects: BTreeMap<String, Subject>,
}

#[derive(Clone, Copy)]
struct Subject {
    count: u64,
    first: Timestamp,
}

impl Outcome {
    /// One more.
    pub(super) fn add(&mut self, who: String, at: Timestamp) {
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
    /// Whether no alert came to it at all.
    pub(super) fn is_idle(&self) -> bool {
        self.due == 0 && self.held.is_empty() && self.escalated == 0
    }

    /// What held it back on the way, and what comes later.
    fn around(&self, line: &mut dyn FnMut(String)) {
        for (by, outcome) in &self.held {
            let why = match by {
                HeldBy::Maintenance => "by a maintenance window",
                HeldBy::Inhibition => "by another alert that was open (`inhibit`)",
                HeldBy::Storm => "by the storm guard, which tells of them in summaries",
                HeldBy::Silence | HeldBy::Group | HeldBy::Unwanted => by.name(),
            };
            line(format!("held back {} {why}: {}", times(outcome.count), outcome.names()));
        }
        let (messages, alerts) = self.grouped;
        if messages > 0 {
            let messages = if messages == 1 {
                "1 message".to_owned()
            } else {
                format!("{} messages", grouped(messages))
            };
            line(format!("together: {} alerts in {messages}", grouped(alerts)));
        }
        if self.escalated > 0 {
            line(format!("later: told {} more, if nobody acknowledged", times(self.escalated)));
        }
    }

    /// For people.
    pub(super) fn text(&self, name: &str, width: usize, text: &mut String) {
        let Some(config) = &self.config else {
            let _ = writeln!(text, "\n  {}  not configured", clean(name));
            let one = self.due == 1;
            let due =
                if one { "1 alert names".to_owned() } else { format!("{} alerts name", grouped(self.due)) };
            text.push_str(&wrap(&format!("{due} it: it is passed over, nothing happens"), (4, 4), width));
            return;
        };
        let dry = if config.is_dry_run() { ", dry_run" } else { "" };
        let _ = writeln!(text, "\n  {}  ({}{dry})", clean(name), clean(&config.words()));
        let mut line = |said: String| text.push_str(&wrap(&clean(&said), (4, 6), width));
        let busiest = self.busiest().filter(|(_, count)| *count > 1).map(|(hour, count)| {
            let hour: String = hour.to_string().chars().take(13).collect();
            format!(", at most {} within an hour (from {hour}:00Z)", grouped(count))
        });
        line(format!("due {}{}", times(self.due), busiest.unwrap_or_default()));
        self.around(&mut line);
        if config.is_dry_run() {
            line("dry_run is on: nothing is changed. Without it:".to_owned());
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

    /// For programs.
    pub(super) fn json(&self, name: &str) -> Value {
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
            "held": self.held.iter().map(|(by, outcome)| (by.name().to_owned(), outcome.count.into())).collect::<Map<_, _>>(),
            "grouped": {"alerts": self.grouped.1, "messages": self.grouped.0},
            "escalated": self.escalated,
            "busiest_hour": self.busiest().map(|(hour, count)| json!({"from": hour.to_string(), "due": count})),
            "outcomes": outcomes,
            "unknown": self.config.as_ref().and_then(ActionConfig::asks),
        })
    }
}

/// `once`, `2 times`.
fn times(count: u64) -> String {
    match count {
        0 => "never".to_owned(),
        1 => "once".to_owned(),
        count => format!("{} times", grouped(count)),
    }
}

#[cfg(test)]
mod tests;
