//! Event types: which are known, which were seen, and which rules look at them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::engine::RuleSet;
use crate::event::{Catalogue, Format};
use crate::matcher::TypeFacts;
use crate::time::Timestamp;

/// Events of one type that are in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenType {
    /// Of which forge.
    pub format: Format,
    /// Its name, folded.
    pub name: String,
    /// How many there are.
    pub events: u64,
    /// The earliest time of one of them.
    pub first: Timestamp,
    /// The latest.
    pub last: Timestamp,
}

/// What is known of the types of one forge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForgeReach {
    /// The forge.
    pub format: Format,
    /// How many of its types the catalogue knows; none: there is no list of this forge's types.
    pub known: Option<usize>,
    /// The rules that look at every type, by the order of their files.
    pub general: Vec<Arc<str>>,
    /// Every type that is known or was seen, by name.
    pub types: Vec<TypeReach>,
}

/// One event type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TypeReach {
    /// Its name.
    pub name: String,
    /// Whether the catalogue knows it.
    pub is_known: bool,
    /// The forge's own category, if it is known.
    pub category: Option<String>,
    /// What it can do, if it is known.
    pub tier: Option<&'static str>,
    /// What of it is in the log.
    pub seen: Option<SeenType>,
    /// The rules that look at it, without those that look at every type.
    pub rules: Vec<Arc<str>>,
}

impl ForgeReach {
    /// The types that were seen and that no rule looks at but those that look at everything.
    pub fn unwatched(&self) -> impl Iterator<Item = &TypeReach> {
        self.types.iter().filter(|of| of.seen.is_some() && of.rules.is_empty())
    }

    /// The types that were seen and that the catalogue does not know, where there is one.
    pub fn unknown(&self) -> impl Iterator<Item = &TypeReach> {
        self.types.iter().filter(|of| self.known.is_some() && of.seen.is_some() && !of.is_known)
    }
}

/// What these rules look at, for every forge that has a catalogue or was seen.
#[must_use]
pub fn reach(rules: &RuleSet, seen: &[SeenType]) -> Vec<ForgeReach> {
    let is_there = |format: &Format| {
        has_catalogue(rules.catalogue(), *format) || seen.iter().any(|seen| seen.format == *format)
    };
    Format::ALL.into_iter().filter(is_there).map(|format| of_forge(rules, format, seen)).collect()
}

fn has_catalogue(catalogue: &Catalogue, format: Format) -> bool {
    catalogue.types().iter().any(|known| catalogue.get(format, &known.name).is_some())
}

fn of_forge(rules: &RuleSet, format: Format, seen: &[SeenType]) -> ForgeReach {
    let catalogue = rules.catalogue();
    let known = has_catalogue(catalogue, format).then(|| catalogue.types().len());
    let seen: BTreeMap<&str, &SeenType> =
        seen.iter().filter(|seen| seen.format == format).map(|seen| (seen.name.as_str(), seen)).collect();
    let listed = catalogue.types().iter().filter(|_| known.is_some()).map(|known| known.name.as_str());
    let names: BTreeSet<&str> = listed.chain(seen.keys().copied()).collect();
    let aims = rules.aims(format);
    let id = |rule: usize| rules.units().get(rule).map(|unit| Arc::clone(unit.id()));
    let (general, special): (Vec<usize>, Vec<usize>) =
        (0..rules.units().len()).partition(|rule| aims.is_general(*rule));
    let of_type = |name: &str| {
        let known = catalogue.get(format, name);
        let category = known.map(|known| known.category.clone());
        let tier = known.map(|known| known.tier.name());
        let facts = TypeFacts { name, category: category.as_deref(), tier };
        let rules = special.iter().filter(|rule| aims.looks_at(**rule, facts));
        let rules = rules.filter_map(|rule| id(*rule)).collect();
        let seen = seen.get(name).map(|seen| (*seen).clone());
        TypeReach { name: name.to_owned(), is_known: known.is_some(), category, tier, seen, rules }
    };
    ForgeReach {
        format,
        known,
        types: names.into_iter().map(of_type).collect(),
        general: general.into_iter().filter_map(id).collect(),
    }
}
