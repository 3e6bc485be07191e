//! From rules as written to a [`RuleSet`]: what each of them measures.

use std::sync::Arc;

use rustc_hash::FxHashSet;

use super::meaning::{asks_self, fingerprint, include_bases, pass_on_self};
use super::ruleset::{Lane, RuleSet, Unit};
use super::specify::{behavior_detector, correlation_detector, script_detector};
use super::weave::lane;
use crate::detect::Detector;
use crate::event::{Catalogue, Format};
use crate::matcher::BuildError;
use crate::rule::ast::{Body, Filter, Rule};
use crate::rule::{Diagnostic, Severity};
use crate::script::{Cage, ScriptError};
use crate::time::{Span, Timestamp};

/// What rules are compiled against.
#[derive(Debug, Clone)]
pub struct Environment {
    /// The known event types, and what events are enriched with.
    pub catalogue: Arc<Catalogue>,
    /// Where scripts run.
    pub cage: Arc<Cage>,
    /// How late an event may come.
    pub lateness: Span,
    /// Filters that expired before this no longer apply.
    pub today: Timestamp,
}

/// A rule set, and what had to be left out of it.
#[derive(Debug)]
pub struct Compiled {
    /// Without the rules that have errors.
    pub rules: RuleSet,
    /// The errors and warnings.
    pub diagnostics: Vec<Diagnostic>,
}

/// Compiles rules. A rule that does not compile is left out and reported; it harms no other.
pub fn compile(rules: Vec<Rule>, filters: &[Filter], environment: &Environment) -> Compiled {
    let mut diagnostics = Vec::new();
    let filters: Vec<&Filter> =
        filters.iter().filter(|filter| is_current(filter, environment.today, &mut diagnostics)).collect();
    let mut units = Vec::new();
    for rule in rules {
        match detector(&rule, environment) {
            Ok((detector, key_names)) => {
                let fingerprint = fingerprint(&rule, &filters, environment);
                let (is_silent, rank, followers) = (false, 0, Vec::new());
                let asks_self = asks_self(&rule, &filters);
                units.push(Unit {
                    rule,
                    detector,
                    key_names,
                    fingerprint,
                    is_silent,
                    rank,
                    followers,
                    asks_self,
                });
            }
            Err(error) => {
                let found = [Some(diagnostic(&rule, &error)), left_out(&rule, &error)];
                // Rules that share a script all find the same mistake in it.
                let new = found.into_iter().flatten().filter(|found| !diagnostics.contains(found));
                diagnostics.extend(new.collect::<Vec<_>>());
            }
        }
    }
    mark_silent(&mut units);
    pass_on_self(&mut units);
    include_bases(&mut units);
    super::chain::link(&mut units, &mut diagnostics);
    let mut lanes = Vec::new();
    for format in Format::ALL {
        lanes.push(lane(format, &units, &filters, environment, &mut diagnostics));
    }
    let mut lanes: Vec<Lane> = lanes.into_iter().flatten().collect();
    for (number, lane) in lanes.iter_mut().enumerate() {
        lane.number = number;
    }
    let numbers =
        units.iter().enumerate().map(|(number, unit)| (Arc::clone(&unit.rule.id), number)).collect();
    let catalogue = Arc::clone(&environment.catalogue);
    Compiled { rules: RuleSet { units, lanes, numbers, catalogue }, diagnostics }
}

fn is_current(filter: &Filter, today: Timestamp, diagnostics: &mut Vec<Diagnostic>) -> bool {
    let Some(expires) = filter.expires.filter(|expires| *expires <= today) else { return true };
    diagnostics.push(Diagnostic {
        severity: Severity::Warning,
        code: "expired-filter",
        message: format!("the exception `{}` expired at {expires} and no longer applies", filter.title),
        help: Some("remove it, or set a later `expires` if it is still right".to_owned()),
        path: Arc::clone(&filter.origin.path),
        line: filter.origin.line,
        column: 1,
        width: 1,
    });
    false
}

pub(super) fn diagnostic(rule: &Rule, error: &BuildError) -> Diagnostic {
    let diagnostic = Diagnostic {
        severity: Severity::Error,
        code: "does-not-compile",
        message: format!("`{}`: {error}", rule.title),
        help: None,
        path: Arc::clone(&rule.origin.path),
        line: rule.origin.line,
        column: 1,
        width: 1,
    };
    let BuildError::Script(script) = error else { return diagnostic };
    Diagnostic {
        code: "script",
        message: script.message.clone(),
        help: script.help.clone(),
        path: script.file.clone().unwrap_or(diagnostic.path),
        line: script.line,
        column: script.column,
        width: script.width,
        ..diagnostic
    }
}

/// That a rule is missing because of a mistake in another file: without this, the rule's own file would count as good.
fn left_out(rule: &Rule, error: &BuildError) -> Option<Diagnostic> {
    let BuildError::Script(ScriptError { file: Some(file), .. }) = error else { return None };
    let message = format!("`{}` is left out because of its script {file}", rule.title);
    Some(Diagnostic {
        severity: Severity::Error,
        code: "script",
        message,
        help: Some("correct the script first".to_owned()),
        path: Arc::clone(&rule.origin.path),
        line: rule.origin.line,
        column: 1,
        width: 1,
    })
}

/// What a rule measures, and the names of its key fields.
fn detector(rule: &Rule, environment: &Environment) -> Result<(Detector, Vec<String>), BuildError> {
    Ok(match &rule.body {
        Body::Single(_) => (Detector::Single, vec!["author_id".to_owned()]),
        Body::Behavior(detection, behavior) => {
            (behavior_detector(detection, behavior, environment), behavior.by.clone())
        }
        Body::Correlation(correlation) => {
            (correlation_detector(correlation, environment), correlation.by.clone())
        }
        Body::Script(_, behavior, source) => {
            (script_detector(behavior, source, environment)?, behavior.by.clone())
        }
    })
}

/// A rule that only feeds correlations does not alert, unless one of them says `generate: true`.
fn mark_silent(units: &mut [Unit]) {
    let mut silent = FxHashSet::default();
    let mut generating = FxHashSet::default();
    for unit in &*units {
        if let Body::Correlation(correlation) = &unit.rule.body {
            let names = if correlation.generate { &mut generating } else { &mut silent };
            names.extend(correlation.rules.iter().cloned());
        }
    }
    let is_named = |rule: &Rule, names: &FxHashSet<String>| {
        names.contains(&*rule.id) || rule.name.as_ref().is_some_and(|name| names.contains(name))
    };
    for unit in units {
        unit.is_silent = is_named(&unit.rule, &silent) && !is_named(&unit.rule, &generating);
    }
}
