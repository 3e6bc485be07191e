//! How long events are kept.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _};

use super::error::Findings;
use super::suggest;
use super::tree::Node;
use super::units::Length;
use crate::event::{Catalogue, Tier};
use crate::retention::{Coverage, Keep, Level, Policy, Rule};
use crate::time::Span;

/// The section `retention`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RetentionConfig {
    /// What no rule says otherwise about.
    pub keep: Length,
    /// The first that matches decides.
    pub rules: Vec<RuleConfig>,
    /// Which categories are stored at all.
    pub coverage: CoverageConfig,
    /// How long alerts are kept, from the last that happened to them.
    pub alerts: Length,
}

/// One rule; each condition that is given must hold.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RuleConfig {
    /// For the records of what was deleted.
    pub name: Option<String>,
    #[serde(default)]
    pub sources: Vec<String>,
    #[serde(default)]
    pub types: Vec<String>,
    #[serde(default)]
    pub categories: Vec<String>,
    #[serde(default)]
    pub tiers: Vec<TierName>,
    pub keep: Option<Length>,
    /// `no`: judged and forwarded, not kept.
    pub store: Option<Switch>,
}

/// The levels of categories.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct CoverageConfig {
    pub default: LevelName,
    pub categories: BTreeMap<String, LevelName>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TierName(pub Tier);

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct LevelName(pub Level);

/// Yes or no, in any of YAML's spellings: to its newer version `no` is a text, and `off` a level.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Switch(pub bool);

impl<'de> Deserialize<'de> for TierName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        let known = Tier::ALL.map(Tier::name);
        let found = Tier::ALL.into_iter().find(|tier| tier.name() == name);
        found.map(Self).ok_or_else(|| unknown(&name, "tier", &known))
    }
}

impl<'de> Deserialize<'de> for LevelName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        let known = Level::ALL.map(Level::name);
        Level::named(&name).map(Self).ok_or_else(|| unknown(&name, "level", &known))
    }
}

impl<'de> Deserialize<'de> for Switch {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let word = String::deserialize(deserializer)?;
        match word.to_ascii_lowercase().as_str() {
            "yes" | "true" | "on" => Ok(Self(true)),
            "no" | "false" | "off" => Ok(Self(false)),
            _ => Err(D::Error::custom(format!("`{word}` is neither `yes` nor `no`"))),
        }
    }
}

fn unknown<E: serde::de::Error>(name: &str, what: &str, known: &[&str]) -> E {
    E::custom(format!("there is no {what} `{name}`: {}", suggest::help(name, &format!("{what}s"), known)))
}

/// No policy keeps anything shorter or longer.
const KEEP_MIN: Span = Span::hours(1);
const KEEP_MAX: Span = Span::years(99);
/// What is told again, approved or undone refers to its alert for weeks.
const ALERTS_MIN: Span = Span::days(30);

impl Default for RetentionConfig {
    fn default() -> Self {
        Self {
            keep: Length(Policy::default().default),
            rules: Vec::new(),
            coverage: CoverageConfig::default(),
            alerts: Length(Policy::default().alerts),
        }
    }
}

impl RetentionConfig {
    /// What it means. A rule that says nothing says what the default says; [`meaning`] has told of it.
    pub(super) fn policy(&self) -> Policy {
        let rule = |(number, rule): (usize, &RuleConfig)| Rule {
            name: rule.name.clone().unwrap_or_else(|| format!("rule {number}")),
            sources: rule.sources.clone(),
            types: rule.types.clone(),
            categories: rule.categories.clone(),
            tiers: rule.tiers.iter().map(|tier| tier.0).collect(),
            keep: match rule.store {
                Some(Switch(false)) => Keep::ToJudge,
                _ => Keep::For(rule.keep.unwrap_or(self.keep).0),
            },
        };
        let categories = self.coverage.categories.iter();
        Policy {
            default: self.keep.0,
            rules: (1..).zip(&self.rules).map(rule).collect(),
            coverage: Coverage {
                default: self.coverage.default.0,
                categories: categories.map(|(name, level)| (name.clone(), level.0)).collect(),
            },
            alerts: self.alerts.0,
        }
    }
}

/// Finds what is written as it should be and cannot be meant.
pub(super) fn meaning(
    config: &RetentionConfig,
    sources: &[&str],
    section: &Node,
    findings: &mut Findings<'_>,
) {
    let mut report = |node: &Node, message: String, help: String| {
        findings.add("retention", Some(node.place), message, Some(help));
    };
    span(config.keep, section.get("keep"), &mut report);
    if let (Some(node), false) = (section.get("alerts"), (ALERTS_MIN..=KEEP_MAX).contains(&config.alerts.0)) {
        let help = "between `30d` and `99y` after the last that happened to one".to_owned();
        report(node, format!("alerts cannot be kept for {}", config.alerts.0), help);
    }
    let items = section.get("rules").map(Node::items).unwrap_or_default();
    let catalogue = Catalogue::built_in();
    let mut categories: Vec<&str> = catalogue.types().iter().map(|known| known.category.as_str()).collect();
    categories.retain(|name| !name.is_empty());
    categories.sort_unstable();
    categories.dedup();
    for (rule, node) in config.rules.iter().zip(items) {
        let what = "write how long (`keep: 90d`), or `store: no` for what is only judged and forwarded";
        match (rule.keep, rule.store) {
            (None, None | Some(Switch(true))) => {
                report(node, "this rule says nothing".to_owned(), what.to_owned());
            }
            (Some(_), Some(Switch(false))) => {
                report(node, "what is not stored is not kept".to_owned(), what.to_owned());
            }
            (Some(keep), _) => span(keep, node.get("keep"), &mut report),
            (None, Some(Switch(false))) => {}
        }
        for (key, what, known) in [("sources", "sources", sources), ("categories", "categories", &categories)]
        {
            for item in node.get(key).map(Node::items).unwrap_or_default() {
                let Some(name) = item.text().filter(|name| !known.contains(name)) else { continue };
                report(
                    item,
                    format!("there is no `{name}` among the {what}"),
                    suggest::help(name, what, known),
                );
            }
        }
    }
    let levels = section.get("coverage").and_then(|coverage| coverage.get("categories"));
    for name in config.coverage.categories.keys().filter(|name| !categories.contains(&name.as_str())) {
        if let Some(node) = levels.and_then(|levels| levels.get(name)) {
            let help = suggest::help(name, "categories", &categories);
            report(node, format!("there is no category `{name}`"), help);
        }
    }
}

fn span(keep: Length, node: Option<&Node>, report: &mut impl FnMut(&Node, String, String)) {
    if let (Some(node), false) = (node, (KEEP_MIN..=KEEP_MAX).contains(&keep.0)) {
        let help = "between `1h` and `99y`; what shall not be stored at all is `store: no`".to_owned();
        report(node, format!("events cannot be kept for {}", keep.0), help);
    }
}
