//! What only shows when all files are read: ids used twice, rules that refer to others.

use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};

use super::ast::{Body, Filter, Rule};
use super::chain::{self, CHAIN_MAX, Knot};
use super::correlation::Links;
use super::document::Checked;
use super::report::Report;
use super::suggest::closest;
use super::yaml::Place;
use super::{filter, link};
use crate::enrich::Table;

/// Everything that was read, with the number of its file.
pub(super) struct Read {
    pub(super) documents: Vec<(usize, Checked)>,
    /// The names of documents that were left out.
    pub(super) left_out: FxHashSet<String>,
}

/// What stands.
pub(super) struct Resolved {
    pub(super) rules: Vec<Rule>,
    pub(super) filters: Vec<Filter>,
    pub(super) lookups: Vec<Arc<Table>>,
}

/// What stands, references turned into ids. One report for each file.
pub(super) fn resolve(read: Read, reports: &mut [Report]) -> Resolved {
    let mut filters = Vec::new();
    let mut lookups = Vec::new();
    let mut all = Documents { left_out: read.left_out, ..Documents::default() };
    for (file, checked) in read.documents {
        let Some(report) = reports.get_mut(file) else { continue };
        match checked {
            Checked::Lookup(table, place) => lookups.push((file, table, place)),
            Checked::Filter(filter, links) => filters.push((file, filter, links)),
            Checked::Rule(rule, place, links) => all.add((file, *rule, links), place, report),
        }
    }
    all.correlations(reports);
    for (file, filter, links) in &mut filters {
        if let Some(report) = reports.get_mut(*file) {
            all.filter(filter, links, report);
        }
    }
    let rules = all.entries.into_iter().filter(|entry| !entry.is_broken).map(|entry| entry.rule);
    Resolved {
        rules: rules.collect(),
        filters: filters.into_iter().map(|(_, filter, _)| *filter).collect(),
        lookups: super::lookup::settle(lookups, reports),
    }
}

/// The rules, and who may be referred to.
#[derive(Default)]
struct Documents {
    entries: Vec<Entry>,
    /// Numbers of entries by id and by name.
    known: FxHashMap<String, usize>,
    left_out: FxHashSet<String>,
}

struct Entry {
    file: usize,
    rule: Rule,
    links: Links,
    /// Whether an error was found only now.
    is_broken: bool,
}

impl Documents {
    /// A rule whose id or name is taken is left out.
    fn add(&mut self, (file, rule, links): (usize, Rule, Links), place: Place, report: &mut Report) {
        let own = [Some(rule.id.as_ref()), rule.name.as_deref()];
        for name in own.into_iter().flatten() {
            if let Some(other) = self.known.get(name).and_then(|number| self.entries.get(*number)) {
                let at = format!("{}:{}", other.rule.origin.path, other.rule.origin.line);
                let message = format!("`{name}` is already the rule `{}` ({at})", other.rule.title);
                report.error("duplicate-id", place, message).help("give one of them another `id`");
                self.left_out.insert(name.to_owned());
                return;
            }
        }
        for name in own.into_iter().flatten() {
            self.known.insert(name.to_owned(), self.entries.len());
        }
        self.entries.push(Entry { file, rule, links, is_broken: false });
    }

    /// Links correlations to their rules, inner ones first, and breaks those that cannot be.
    fn correlations(&mut self, reports: &mut [Report]) {
        let mut over = Vec::with_capacity(self.entries.len());
        for number in 0..self.entries.len() {
            over.push(self.references(number, reports));
        }
        let order = chain::order(&over);
        for (number, knot) in order.knots {
            self.knot(number, &knot, &over, reports);
        }
        for number in order.sorted {
            let inner = over.get(number).map(Vec::as_slice).unwrap_or_default();
            self.link(number, inner, reports);
        }
    }

    /// The entries that a correlation is over; it is broken if one is not there.
    fn references(&mut self, number: usize, reports: &mut [Report]) -> Vec<usize> {
        let Some(entry) = self.entries.get(number) else { return Vec::new() };
        let Some(report) = reports.get_mut(entry.file) else { return Vec::new() };
        if !matches!(entry.rule.body, Body::Correlation(_)) {
            return Vec::new();
        }
        let mut found = Vec::new();
        let errors = report.errors();
        for (name, place) in &entry.links.rules {
            match self.known.get(name) {
                Some(number) if found.contains(number) => {
                    let message = format!("`{name}` is a rule that stands in `rules` already");
                    report
                        .error("duplicate-rule", *place, message)
                        .help("name it once, by its id or its name");
                }
                Some(number) => found.push(*number),
                None if self.left_out.contains(name) => left_out(name, *place, report),
                None => {
                    let message = format!("there is no rule with the id or name `{name}`");
                    report.error("unknown-rule", *place, message).maybe_help(self.near(name));
                }
            }
        }
        let is_broken = report.errors() > errors;
        if let Some(entry) = self.entries.get_mut(number) {
            entry.is_broken = is_broken;
        }
        if is_broken { Vec::new() } else { found }
    }

    fn knot(&mut self, number: usize, knot: &Knot, over: &[Vec<usize>], reports: &mut [Report]) {
        let Some(entry) = self.entries.get(number) else { return };
        let Some(report) = reports.get_mut(entry.file) else { return };
        let inner = over.get(number).map(Vec::as_slice).unwrap_or_default();
        let written = |wanted: Option<usize>| {
            let place = inner.iter().position(|inner| Some(*inner) == wanted).unwrap_or_default();
            entry.links.rules.get(place)
        };
        match knot {
            Knot::Circle(circle) => {
                let place = written(circle.get(1).or(circle.first()).copied());
                let id = |number: usize| self.entries.get(number).map_or("?", |entry| entry.rule.id.as_ref());
                let message = format!("correlations in a circle: {}", chain::shown(circle, id));
                report
                    .error("circle", place.map_or(Place::FILE, |(_, place)| *place), message)
                    .help("take one of them out of the `rules` of another");
            }
            Knot::TooDeep => {
                let place = entry.links.rules.first().map_or(Place::FILE, |(_, place)| *place);
                let message = format!("more than {CHAIN_MAX} correlations stand on top of each other");
                report.error("chain-too-deep", place, message);
            }
            Knot::Behind => {
                let is_knot = |number: &usize| !over.get(*number).is_none_or(Vec::is_empty);
                if let Some((name, place)) = written(inner.iter().copied().find(is_knot)) {
                    left_out(name, *place, report);
                }
            }
        }
        if let Some(entry) = self.entries.get_mut(number) {
            entry.is_broken = true;
        }
    }

    /// Turns names into ids; all that it is over are linked already.
    fn link(&mut self, number: usize, inner: &[usize], reports: &mut [Report]) {
        let Some(entry) = self.entries.get(number) else { return };
        let Some(report) = reports.get_mut(entry.file) else { return };
        let Body::Correlation(correlation) = &entry.rule.body else { return };
        let entries: Vec<&Entry> = inner.iter().filter_map(|inner| self.entries.get(*inner)).collect();
        let broken = entries.iter().zip(&entry.links.rules).find(|(inner, _)| inner.is_broken);
        let linked = match broken {
            Some((_, (name, place))) => {
                left_out(name, *place, report);
                None
            }
            None => {
                let rules: Vec<&Rule> = entries.iter().map(|entry| &entry.rule).collect();
                link::link(correlation, &entry.links, &rules, report)
            }
        };
        let Some(entry) = self.entries.get_mut(number) else { return };
        match linked {
            Some(linked) => entry.rule.body = Body::Correlation(linked),
            None => entry.is_broken = true,
        }
    }

    /// Filters are often shared for more rules than are loaded, so an unknown one is only a warning.
    fn filter(&self, filter: &mut Filter, links: &Links, report: &mut Report) {
        for ((name, place), written) in links.rules.iter().zip(&mut filter.rules) {
            match self.known.get(name).and_then(|number| self.entries.get(*number)) {
                Some(entry) => {
                    filter::check_reach(&filter.logsource, &entry.rule, (name, *place), report);
                    written.clear();
                    written.push_str(&entry.rule.id);
                }
                None if self.left_out.contains(name) => {}
                None => {
                    let message = format!("there is no rule with the id or name `{name}`");
                    report.warning("unknown-rule", *place, message).maybe_help(self.near(name));
                }
            }
        }
    }

    fn near(&self, name: &str) -> Option<String> {
        let mut names: Vec<&str> = self.known.keys().map(String::as_str).collect();
        names.sort_unstable();
        closest(name, names).map(|near| format!("did you mean `{near}`?"))
    }
}

fn left_out(name: &str, place: Place, report: &mut Report) {
    let message = format!("the rule `{name}` is left out because of its own errors");
    report.error("unknown-rule", place, message).help("correct them first");
}
