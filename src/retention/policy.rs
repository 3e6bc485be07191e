//! Which rule decides, and what it says.

use std::fmt;

use super::coverage::Coverage;
use crate::event::{Catalogue, Format, Tier};
use crate::time::Span;

/// What of an event a policy looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kind<'a> {
    /// The name of the configured source.
    pub source: &'a str,
    /// The current name of its type; none where it has none.
    pub event_type: Option<&'a str>,
    /// The catalogue's category.
    pub category: Option<&'a str>,
    /// The catalogue's tier.
    pub tier: Option<Tier>,
}

impl<'a> Kind<'a> {
    /// What the catalogue knows of a type.
    #[must_use]
    pub fn of(
        catalogue: &'a Catalogue,
        format: Format,
        source: &'a str,
        event_type: Option<&'a str>,
    ) -> Self {
        let known = event_type.and_then(|name| catalogue.get(format, name));
        Self {
            source,
            event_type: known.map(|known| known.name.as_str()).or(event_type),
            category: known.map(|known| known.category.as_str()),
            tier: known.map(|known| known.tier),
        }
    }
}

/// How long events are kept, from their arrival.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// So long.
    For(Span),
    /// Only as long as detection may look back: judged and forwarded, not stored.
    ToJudge,
}

impl fmt::Display for Keep {
    /// As it is written: `7y`, `90d`, `store: no`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ToJudge => f.write_str("store: no"),
            Self::For(span) if span.0 > 0 && span.0 % Span::years(1).0 == 0 => {
                write!(f, "{}y", span.0 / Span::years(1).0)
            }
            Self::For(span) => span.fmt(f),
        }
    }
}

/// What is kept for how long. Conditions that are empty match everything; of those given, each must hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// By which the record of a deletion names it.
    pub name: String,
    /// Names of configured sources.
    pub sources: Vec<String>,
    /// Event types; a `*` at the end stands for any ending.
    pub types: Vec<String>,
    /// Categories of the catalogue.
    pub categories: Vec<String>,
    /// Tiers.
    pub tiers: Vec<Tier>,
    /// What it says.
    pub keep: Keep,
}

/// All of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Where no rule matches.
    pub default: Span,
    /// The first that matches decides.
    pub rules: Vec<Rule>,
    /// Decides where no rule does.
    pub coverage: Coverage,
    /// How long after the last that happened to an alert all that is known of it is kept.
    pub alerts: Span,
}

/// What a policy says, and which part of it said so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict<'a> {
    /// How long.
    pub keep: Keep,
    /// The rule's name, `coverage`, or `default`.
    pub by: &'a str,
}

impl Default for Policy {
    /// Seven years, of everything.
    fn default() -> Self {
        let (default, alerts) = (Span::years(7), Span::years(7));
        Self { default, rules: Vec::new(), coverage: Coverage::default(), alerts }
    }
}

impl Policy {
    /// How long events of this kind are kept.
    #[must_use]
    pub fn verdict(&self, kind: &Kind<'_>) -> Verdict<'_> {
        if let Some(rule) = self.rules.iter().find(|rule| rule.matches(kind)) {
            return Verdict { keep: rule.keep, by: &rule.name };
        }
        if !self.coverage.level(kind.category).stores(kind.tier) {
            return Verdict { keep: Keep::ToJudge, by: "coverage" };
        }
        Verdict { keep: Keep::For(self.default), by: "default" }
    }

    /// The shortest time after which anything at all may be deleted, if events that are only judged are kept for
    /// `to_judge`: what is younger need not be looked at.
    #[must_use]
    pub fn shortest(&self, to_judge: Span) -> Span {
        let span = |keep: Keep| match keep {
            Keep::For(span) => span,
            Keep::ToJudge => to_judge,
        };
        let rules = self.rules.iter().map(|rule| span(rule.keep));
        rules.chain(self.is_partial().then_some(to_judge)).fold(self.default, Ord::min)
    }

    /// The shortest time for which an event of this kind may be kept, from whichever source it is.
    #[must_use]
    pub fn shortest_for(&self, kind: &Kind<'_>, to_judge: Span) -> Span {
        let span = |keep: Keep| match keep {
            Keep::For(span) => span,
            Keep::ToJudge => to_judge,
        };
        let mut shortest: Option<Span> = None;
        for rule in self.rules.iter().filter(|rule| rule.fits(kind)) {
            shortest = Some(shortest.map_or(span(rule.keep), |known| known.min(span(rule.keep))));
            if rule.sources.is_empty() {
                return shortest.unwrap_or(self.default);
            }
        }
        let is_stored = self.coverage.level(kind.category).stores(kind.tier);
        let last = if is_stored { self.default } else { to_judge };
        shortest.map_or(last, |known| known.min(last))
    }

    /// Whether any events are only judged.
    #[must_use]
    pub fn is_partial(&self) -> bool {
        let mut levels = self.coverage.categories.values().chain([&self.coverage.default]);
        levels.any(|level| *level != super::Level::Full)
            || self.rules.iter().any(|rule| rule.keep == Keep::ToJudge)
    }
}

impl Rule {
    fn matches(&self, kind: &Kind<'_>) -> bool {
        let is_source = self.sources.is_empty() || self.sources.iter().any(|name| name == kind.source);
        is_source && self.fits(kind)
    }

    /// Whether it matches if the source is one of its.
    fn fits(&self, kind: &Kind<'_>) -> bool {
        let fits = |pattern: &String, name: &str| {
            pattern.strip_suffix('*').map_or(pattern == name, |start| name.starts_with(start))
        };
        let named = |names: &[String], name: Option<&str>| {
            names.is_empty() || name.is_some_and(|name| names.iter().any(|pattern| fits(pattern, name)))
        };
        let equal = |names: &[String], name: Option<&str>| {
            names.is_empty() || name.is_some_and(|name| names.iter().any(|known| known == name))
        };
        named(&self.types, kind.event_type)
            && equal(&self.categories, kind.category)
            && (self.tiers.is_empty() || kind.tier.is_some_and(|tier| self.tiers.contains(&tier)))
    }
}

#[cfg(test)]
mod tests {
    use super::super::Level;
    use super::*;

    fn rule(name: &str, keep: Keep) -> Rule {
        Rule {
            name: name.to_owned(),
            sources: Vec::new(),
            types: Vec::new(),
            categories: Vec::new(),
            tiers: Vec::new(),
            keep,
        }
    }

    fn of<'a>(catalogue: &'a Catalogue, event_type: &'a str) -> Kind<'a> {
        Kind::of(catalogue, Format::Gitlab, "gitlab", Some(event_type))
    }

    #[test]
    fn the_first_rule_that_matches_decides() {
        let catalogue = Catalogue::built_in();
        let short = Keep::For(Span::days(90));
        let policy = Policy {
            rules: vec![
                Rule { types: vec!["user_*".into()], ..rule("people", Keep::For(Span::years(10))) },
                Rule { tiers: vec![Tier::Routine], ..rule("routine", short) },
                Rule { sources: vec!["other".into()], ..rule("other", Keep::ToJudge) },
            ],
            ..Policy::default()
        };
        assert_eq!(policy.verdict(&of(&catalogue, "user_created")).by, "people");
        assert_eq!(policy.verdict(&of(&catalogue, "project_destroyed")).by, "default");
        let routine = catalogue.types().iter().find(|known| known.tier == Tier::Routine).unwrap();
        assert_eq!(policy.verdict(&of(&catalogue, &routine.name)), Verdict { keep: short, by: "routine" });
        let other = Kind { source: "other", ..of(&catalogue, "project_destroyed") };
        assert_eq!(policy.verdict(&other), Verdict { keep: Keep::ToJudge, by: "other" });
        let shortest = |name| policy.shortest_for(&of(&catalogue, name), Span::hours(1));
        assert_eq!(shortest("user_created"), Span::years(10));
        assert_eq!(shortest("project_destroyed"), Span::hours(1), "it may be from the other source");
        assert_eq!(shortest(&routine.name), Span::days(90));
        assert_eq!(policy.shortest(Span::hours(1)), Span::hours(1));
        assert_eq!(policy.shortest(Span::days(900)), Span::days(90));
        assert_eq!(Policy::default().shortest(Span::hours(1)), Span::years(7));
    }

    #[test]
    fn what_is_said_is_shown_as_it_is_written() {
        let shown = [Span::years(7), Span::days(90), Span::hours(36)].map(|span| Keep::For(span).to_string());
        assert_eq!(shown, ["7y", "90d", "1d12h"]);
        assert_eq!(Keep::ToJudge.to_string(), "store: no");
    }

    #[test]
    fn coverage_decides_where_no_rule_does() {
        let catalogue = Catalogue::built_in();
        let secret = catalogue.types().iter().find(|known| known.tier == Tier::Secret).unwrap();
        let coverage =
            Coverage { categories: [(secret.category.clone(), Level::Base)].into(), ..Coverage::default() };
        let policy = Policy { coverage, ..Policy::default() };
        assert_eq!(
            policy.verdict(&of(&catalogue, &secret.name)),
            Verdict { keep: Keep::ToJudge, by: "coverage" }
        );
        assert_eq!(policy.verdict(&of(&catalogue, "nobody_knows")).by, "default");
        assert_eq!(policy.shortest(Span::days(2)), Span::days(2));
    }
}
