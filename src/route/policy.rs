//! What holds alerts back by configuration: inhibition, maintenance windows, the storm guard.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::Error as _;

use super::Case;
use super::case::Field;
use super::condition::{Condition, Reach};
use super::hours::{Days, Hours, Stretch};
use super::text::{parsed, some_time};
use crate::report::Zone;
use crate::time::{Span, Timestamp};

/// A dated maintenance window is no longer.
const WINDOW_MAX: Span = Span::days(90);

/// All of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Policy {
    /// Alerts that hold others back.
    pub inhibit: Vec<Inhibition>,
    /// When what is known to come is not told.
    pub maintenance: Vec<Window>,
    /// How many alerts of a rule are told one by one.
    pub storm: Storm,
    /// Who hears of silences that end.
    pub notices: Notices,
}

/// While an open alert of one kind exists, alerts of another kind with the same values are not told.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Inhibition {
    /// The alerts that hold back.
    pub when: Condition,
    /// Those that are held back.
    pub hold: Condition,
    /// The fields that both must have, with the same values.
    #[serde(deserialize_with = "fields")]
    pub equal: Vec<Field>,
    /// How long after it last changed an open alert holds others back.
    #[serde(rename = "for", default = "a_day", deserialize_with = "some_time")]
    pub within: Span,
}

const fn a_day() -> Span {
    Span::days(1)
}

fn fields<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<Field>, D::Error> {
    let names = Vec::<String>::deserialize(deserializer)?;
    Ok(names.iter().map(|name| Field::named(name)).collect())
}

impl Inhibition {
    /// The case's values of the fields that must be equal, in their order; none if it lacks one: what is missing is not
    /// equal.
    #[must_use]
    pub fn values(&self, case: &Case<'_>) -> Option<Vec<String>> {
        self.equal.iter().map(|field| field.joined(case)).collect()
    }
}

/// A time in which what is known to come is not told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    /// Its name.
    pub name: String,
    /// Why, for people.
    pub reason: String,
    /// Which alerts; all, if it asks for nothing.
    pub covers: Condition,
    /// Every week.
    pub weekly: Hours,
    /// Once: from, until.
    pub dated: Option<(Timestamp, Timestamp)>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenWindow {
    name: String,
    reason: String,
    #[serde(rename = "match", default)]
    covers: Condition,
    #[serde(default)]
    days: Vec<Days>,
    #[serde(default)]
    hours: Option<Stretch>,
    #[serde(default)]
    from: Option<String>,
    #[serde(default)]
    until: Option<String>,
    #[serde(default, deserialize_with = "parsed")]
    time_zone: Zone,
}

impl<'de> Deserialize<'de> for Window {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let WrittenWindow { name, reason, covers, days, hours, from, until, time_zone } =
            WrittenWindow::deserialize(deserializer)?;
        let wrong = |text: String| D::Error::custom(format!("the window `{name}` {text}"));
        if name.is_empty() || reason.trim().is_empty() {
            return Err(wrong("needs a name and a reason".to_owned()));
        }
        let moment = |text: &String| {
            time_zone.moment(text).map_err(|error| wrong(format!("has no such time: {error}")))
        };
        let dated = from.as_ref().zip(until.as_ref());
        let dated = dated.map(|(from, until)| Ok((moment(from)?, moment(until)?))).transpose()?;
        let weekly = Hours { hours, days, zone: time_zone.clone() };
        match (dated, weekly.is_always(), from.is_some() || until.is_some()) {
            (Some((from, until)), true, _) if from >= until => Err(wrong("ends before it begins".to_owned())),
            (Some((from, until)), true, _) if until.since(from) > WINDOW_MAX => Err(wrong(format!(
                "is longer than {WINDOW_MAX}: make a rule or a filter of what is never to be told"
            ))),
            (Some(_), true, _) | (None, false, false) => Ok(Self { name, reason, covers, weekly, dated }),
            (None, false, true) | (Some(_), false, _) => {
                Err(wrong("is either weekly (`days`, `hours`) or dated (`from` and `until`)".to_owned()))
            }
            (None, true, _) => {
                Err(wrong("needs a time: `days` and `hours` every week, or `from` and `until`".to_owned()))
            }
        }
    }
}

impl Window {
    /// Whether it is that time.
    #[must_use]
    pub fn is_open(&self, at: Timestamp) -> bool {
        self.dated.map_or_else(|| self.weekly.has(at), |(from, until)| from <= at && at < until)
    }

    /// Whether it holds a case back at this moment.
    #[must_use]
    pub fn holds(&self, case: &Case<'_>, at: Timestamp) -> bool {
        self.is_open(at) && self.covers.holds(case, at, Reach::All)
    }
}

/// How many alerts of one rule, from one source, within an hour are told one by one.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Storm {
    /// So many; 0: all.
    pub per_hour: u32,
    /// Otherwise for these rules, by id.
    pub rules: BTreeMap<String, u32>,
    /// What becomes of the responses of further ones.
    pub responses: StormResponses,
}

/// What becomes of the responses to alerts of a storm.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StormResponses {
    /// They are held back like the messages: a rule that fires so often is more likely wrong than right about everybody, and
    /// what an account is blocked for wrongly is worse than what a person does a few minutes later.
    #[default]
    Hold,
    /// They are made; their own guards are all that bounds them.
    Send,
}

impl Default for Storm {
    fn default() -> Self {
        Self { per_hour: 100, rules: BTreeMap::new(), responses: StormResponses::default() }
    }
}

impl Storm {
    /// How many alerts of this rule are told one by one; none: all.
    #[must_use]
    pub fn limit(&self, rule: &str) -> Option<u64> {
        let limit = self.rules.get(rule).copied().unwrap_or(self.per_hour);
        (limit > 0).then_some(limit.into())
    }
}

/// Who is told of what is no alert.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Notices {
    /// Names of configured actions that tell somebody.
    pub actions: Vec<String>,
}
