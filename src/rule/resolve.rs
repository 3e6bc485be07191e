//! What only shows when all files are read: ids used twice, rules that refer to others.

use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};

use super::ast::{Body, Filter, Rule};
use super::correlation::References;
use super::document::Checked;
use super::report::Report;
use super::suggest::closest;
use super::yaml::Place;
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
    let mut rules = Vec::new();
    let mut filters = Vec::new();
    let mut lookups = Vec::new();
    let mut names = Names { left_out: read.left_out, ..Names::default() };
    for (file, checked) in read.documents {
        match checked {
            Checked::Filter(filter, references) => filters.push((file, filter, references)),
            Checked::Lookup(table, place) => lookups.push((file, table, place)),
            Checked::Rule(rule, place, references) => {
                let Some(report) = reports.get_mut(file) else { continue };
                if names.add(&rule, place, report) {
                    rules.push((file, rule, references));
                }
            }
        }
    }
    rules.retain_mut(|(file, rule, references)| {
        reports.get_mut(*file).is_some_and(|report| names.correlation(rule, references, report))
    });
    for (file, filter, references) in &mut filters {
        if let Some(report) = reports.get_mut(*file) {
            names.filter(filter, references, report);
        }
    }
    Resolved {
        rules: rules.into_iter().map(|(_, rule, _)| *rule).collect(),
        filters: filters.into_iter().map(|(_, filter, _)| *filter).collect(),
        lookups: super::lookup::settle(lookups, reports),
    }
}

/// Who may be referred to.
#[derive(Default)]
struct Names {
    known: FxHashMap<String, Known>,
    left_out: FxHashSet<String>,
}

struct Known {
    id: String,
    title: String,
    at: String,
    is_correlation: bool,
}

impl Names {
    /// False for a rule whose id or name is taken.
    fn add(&mut self, rule: &Rule, place: Place, report: &mut Report) -> bool {
        let own = [Some(rule.id.as_ref()), rule.name.as_deref()];
        for name in own.into_iter().flatten() {
            if let Some(other) = self.known.get(name) {
                let message = format!("`{name}` is already the rule `{}` ({})", other.title, other.at);
                report.error("duplicate-id", place, message).help("give one of them another `id`");
                self.left_out.insert(name.to_owned());
                return false;
            }
        }
        for name in own.into_iter().flatten() {
            let known = Known {
                id: rule.id.to_string(),
                title: rule.title.clone(),
                at: format!("{}:{}", rule.origin.path, rule.origin.line),
                is_correlation: matches!(rule.body, Body::Correlation(_)),
            };
            self.known.insert(name.to_owned(), known);
        }
        true
    }

    /// False for a correlation over rules that are not there.
    fn correlation(&self, rule: &mut Rule, references: &References, report: &mut Report) -> bool {
        let Body::Correlation(correlation) = &mut rule.body else { return true };
        let errors = report.errors();
        for (name, place) in references {
            match self.known.get(name) {
                None if self.left_out.contains(name) => {
                    let message = format!("the rule `{name}` is left out because of its own errors");
                    report.error("unknown-rule", *place, message).help("correct them first");
                }
                None => {
                    let message = format!("there is no rule with the id or name `{name}`");
                    report.error("unknown-rule", *place, message).maybe_help(self.near(name));
                }
                Some(known) if known.is_correlation => {
                    let message = format!("`{name}` is itself a correlation");
                    let help = "correlations over correlations are not available in this version";
                    report.error("unsupported", *place, message).help(help);
                }
                Some(_) => {}
            }
        }
        for name in
            correlation.rules.iter_mut().chain(correlation.aliases.iter_mut().map(|alias| &mut alias.1))
        {
            self.to_id(name);
        }
        report.errors() == errors
    }

    /// Filters are often shared for more rules than are loaded, so an unknown one is only a warning.
    fn filter(&self, filter: &mut Filter, references: &References, report: &mut Report) {
        for (name, place) in references {
            if !self.known.contains_key(name) && !self.left_out.contains(name) {
                let message = format!("there is no rule with the id or name `{name}`");
                report.warning("unknown-rule", *place, message).maybe_help(self.near(name));
            }
        }
        for name in &mut filter.rules {
            self.to_id(name);
        }
    }

    fn to_id(&self, name: &mut String) {
        if let Some(known) = self.known.get(name) {
            name.clone_from(&known.id);
        }
    }

    fn near(&self, name: &str) -> Option<String> {
        let mut names: Vec<&str> = self.known.keys().map(String::as_str).collect();
        names.sort_unstable();
        closest(name, names).map(|near| format!("did you mean `{near}`?"))
    }
}
