//! Conditions on alerts, as routes, inhibitions and maintenance windows have them.

use serde::Deserialize;

use super::case::{Case, Field};
use super::glob::Glob;
use super::hours::{Days, Hours, Stretch};
use super::text::parsed;
use crate::alert::Level;
use crate::report::Zone;
use crate::time::Timestamp;

/// How many of an alert's events must be as is asked, where they differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// One is enough: who is to be told shall be told.
    Any,
    /// All of them, and at least one: what is held back shall not hide anything else.
    All,
}

/// What an alert must be like. Conditions that are left out match everything; of those given each must hold; of several
/// values in one, one is enough.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Condition {
    /// The alert's level is one of these.
    pub levels: Vec<Level>,
    /// The rule has one of these tags.
    pub tags: Vec<String>,
    /// The rule's id is one of these.
    pub rules: Vec<Glob>,
    /// What the events are about, by path.
    pub entities: Vec<Glob>,
    /// The sources of the events.
    pub sources: Vec<Glob>,
    /// Their systems.
    pub forges: Vec<Glob>,
    /// Who did it, by id or name.
    pub authors: Vec<Glob>,
    /// When.
    pub hours: Hours,
}

/// A condition where it stands by itself in the configuration.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Written {
    levels: Vec<Level>,
    tags: Vec<String>,
    rules: Vec<Glob>,
    entities: Vec<Glob>,
    sources: Vec<Glob>,
    forges: Vec<Glob>,
    authors: Vec<Glob>,
    hours: Option<Stretch>,
    days: Vec<Days>,
    #[serde(deserialize_with = "parsed")]
    time_zone: Zone,
}

impl<'de> Deserialize<'de> for Condition {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Written { levels, tags, rules, entities, sources, forges, authors, hours, days, time_zone } =
            Written::deserialize(deserializer)?;
        let hours = Hours { hours, days, zone: time_zone };
        Ok(Self { levels, tags, rules, entities, sources, forges, authors, hours })
    }
}

impl Condition {
    /// Whether it asks for nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self
            == Self { hours: Hours { zone: self.hours.zone.clone(), ..Hours::default() }, ..Self::default() }
    }

    /// Whether it asks for anything that stands in events.
    #[must_use]
    pub fn looks_at_events(&self) -> bool {
        [&self.entities, &self.sources, &self.forges, &self.authors].iter().any(|list| !list.is_empty())
    }

    /// Whether alerts of such a rule can be meant, whatever their events and the hour are.
    #[must_use]
    pub fn allows(&self, rule: &str, level: Level, tags: &[String]) -> bool {
        (self.levels.is_empty() || self.levels.contains(&level))
            && (self.rules.is_empty() || self.rules.iter().any(|id| id.matches(rule)))
            && (self.tags.is_empty() || self.tags.iter().any(|tag| tags.contains(tag)))
    }

    /// Whether the case is as it asks.
    #[must_use]
    pub fn holds(&self, case: &Case<'_>, at: Timestamp, reach: Reach) -> bool {
        self.may_hold(case, reach) && self.hours.has(at)
    }

    /// Whether the case is as it asks at some hour.
    #[must_use]
    pub fn may_hold(&self, case: &Case<'_>, reach: Reach) -> bool {
        let alert = case.alert;
        self.allows(&alert.rule, alert.level, &alert.tags)
            && self.lists().iter().all(|(field, globs)| fits(field, globs, case, reach))
    }

    /// Why the case is not as it asks, in sentences; nothing where it is.
    #[must_use]
    pub fn why_not(&self, case: &Case<'_>, at: Timestamp, reach: Reach) -> Vec<String> {
        let mut reasons = Vec::new();
        let alert = case.alert;
        if !self.levels.is_empty() && !self.levels.contains(&alert.level) {
            let wanted = one_of(self.levels.iter().map(|level| level.name()));
            reasons.push(format!("the level is {}, not {wanted}", alert.level));
        }
        if !self.tags.is_empty() && !self.tags.iter().any(|tag| alert.tags.contains(tag)) {
            reasons
                .push(format!("the rule has not the tag {}", one_of(self.tags.iter().map(String::as_str))));
        }
        let rules = (Field::Rule, &self.rules);
        for (field, globs) in std::iter::once(rules).chain(self.lists()) {
            if !fits(&field, globs, case, reach) {
                let wanted = one_of(globs.iter().map(Glob::text));
                let of_all = if reach == Reach::All && field.is_of_events() { " in all events" } else { "" };
                let found = field.joined(case).unwrap_or_else(|| "not known".to_owned());
                reasons.push(format!("{} is {found}, not {wanted}{of_all}", field.name()));
            }
        }
        if !self.hours.has(at) {
            reasons.push(format!("it is {}, not within {}", self.hours.zone.minute(at), self.hours));
        }
        reasons
    }

    fn lists(&self) -> [(Field, &Vec<Glob>); 4] {
        [
            (Field::Entity, &self.entities),
            (Field::Source, &self.sources),
            (Field::Forge, &self.forges),
            (Field::Author, &self.authors),
        ]
    }
}

/// Whether the values of a field are among these; an empty list has them all.
fn fits(field: &Field, globs: &[Glob], case: &Case<'_>, reach: Reach) -> bool {
    if globs.is_empty() {
        return true;
    }
    let values = field.values(case);
    let fits = |names: &[&str; 2]| {
        let mut names = names.iter().filter(|name| !name.is_empty());
        names.any(|name| globs.iter().any(|glob| glob.matches(name)))
    };
    match reach {
        Reach::Any => values.iter().any(fits),
        Reach::All => !values.is_empty() && values.iter().all(fits),
    }
}

fn one_of<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.collect::<Vec<_>>().join(" or ")
}
