//! From rules as written to a [`RuleSet`]: filters applied, correlations linked, scripts compiled.

use std::sync::Arc;

use rustc_hash::FxHashMap;
use smallvec::SmallVec;

use super::ruleset::{Emit, Lane, Missing, RuleSet, Unit};
use crate::detect::{
    AbsenceSpec, Detector, DormantSpec, FirstSeenSpec, Measure, ScriptSpec, SequenceSpec, WindowSpec,
};
use crate::event::{Catalogue, Format};
use crate::matcher::{BuildError, Builder, Expr, TargetId};
use crate::rule::ast::{
    Behavior, Body, Compare, Condition, Correlation, CorrelationKind, Detection, Filter, Kind, Node, Rule,
    ScriptSource, Sequence,
};
use crate::rule::{Diagnostic, Severity};
use crate::script::{Cage, Program, ScriptError};
use crate::time::{Span, Timestamp};

/// What rules are compiled against.
#[derive(Debug, Clone)]
pub struct Environment {
    /// The known event types.
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
        match unit(rule.clone(), &filters, environment) {
            Ok(unit) => units.push(unit),
            Err(error) => diagnostics.push(diagnostic(&rule, &error)),
        }
    }
    mark_silent(&mut units);
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
    Compiled { rules: RuleSet { units, lanes, numbers }, diagnostics }
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

fn diagnostic(rule: &Rule, error: &BuildError) -> Diagnostic {
    let line = match error {
        BuildError::Script(ScriptError { line, .. }) if *line > 0 => *line,
        _ => rule.origin.line,
    };
    Diagnostic {
        severity: Severity::Error,
        code: "does-not-compile",
        message: format!("`{}`: {error}", rule.title),
        help: None,
        path: Arc::clone(&rule.origin.path),
        line,
        column: 1,
        width: 1,
    }
}

fn unit(rule: Rule, filters: &[&Filter], environment: &Environment) -> Result<Unit, BuildError> {
    let (detector, key_names) = match &rule.body {
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
    };
    let applied: Vec<String> =
        filters_of(&rule, filters).map(|filter| format!("{:?}", filter.detection)).collect();
    let meaning = format!(
        "{:?} {:?} {:?} {} {applied:?}",
        rule.body, rule.logsource, rule.suppress, environment.lateness
    );
    let mut fingerprint = [0; 16];
    blake3::Hasher::new().update(meaning.as_bytes()).finalize_xof().fill(&mut fingerprint);
    Ok(Unit { rule, detector, key_names, fingerprint, is_silent: false })
}

fn behavior_detector(detection: &Detection, behavior: &Behavior, environment: &Environment) -> Detector {
    let name = |selection: usize| {
        detection.selections.get(selection).map_or_else(String::new, |selection| selection.name.clone())
    };
    let (within, lateness) = (behavior.within, environment.lateness);
    let window = |measure, noun| {
        Detector::Window(WindowSpec { measure, within, lateness, compare: behavior.compare, noun })
    };
    match &behavior.kind {
        Kind::Count | Kind::Script => window(Measure::Count, "events".to_owned()),
        Kind::Distinct(fields) => window(Measure::Distinct, format!("different {}", fields.join(", "))),
        Kind::Sequence(sequence) => Detector::Sequence(SequenceSpec {
            steps: sequence.steps.iter().map(|step| name(step.selection)).collect(),
            ordered: sequence.ordered,
            unless: sequence.unless.map(name),
            different: !sequence.different.is_empty(),
            within,
            lateness,
        }),
        Kind::Absence { of, after } => Detector::Absence(AbsenceSpec {
            of: of.map_or_else(|| "event".to_owned(), name),
            after: after.map(name),
            within,
            lateness,
        }),
        Kind::FirstSeen { fields, learn, forget } => {
            Detector::FirstSeen(FirstSeenSpec { fields: fields.join(", "), learn: *learn, forget: *forget })
        }
        Kind::Dormant(silence) => Detector::Dormant(DormantSpec { silence: *silence }),
    }
}

fn script_detector(
    behavior: &Behavior,
    source: &ScriptSource,
    environment: &Environment,
) -> Result<Detector, BuildError> {
    let program = Program::compile(&environment.cage, &source.source, source.line)?;
    Ok(Detector::Script(ScriptSpec {
        cage: Arc::clone(&environment.cage),
        program: Arc::new(program),
        within: behavior.within,
    }))
}

fn correlation_detector(correlation: &Correlation, environment: &Environment) -> Detector {
    let (within, lateness) = (correlation.within, environment.lateness);
    let all = Compare::AtLeast(correlation.rules.len() as f64);
    let compare = correlation.compare.unwrap_or(all);
    let window = |measure, noun| Detector::Window(WindowSpec { measure, within, lateness, compare, noun });
    match correlation.kind {
        CorrelationKind::EventCount => window(Measure::Count, "events".to_owned()),
        CorrelationKind::ValueCount => {
            window(Measure::Distinct, format!("different {}", correlation.fields.join(", ")))
        }
        CorrelationKind::Temporal => window(Measure::Distinct, "different rules".to_owned()),
        CorrelationKind::TemporalOrdered => Detector::Sequence(SequenceSpec {
            steps: correlation.rules.clone(),
            ordered: true,
            unless: None,
            different: false,
            within,
            lateness,
        }),
    }
}

/// A rule that only feeds correlations does not alert, unless one of them says `generate: true`.
fn mark_silent(units: &mut [Unit]) {
    let mut silent = Vec::new();
    let mut generating = Vec::new();
    for unit in &*units {
        if let Body::Correlation(correlation) = &unit.rule.body {
            let list = if correlation.generate { &mut generating } else { &mut silent };
            list.extend(correlation.rules.iter().cloned());
        }
    }
    let is_named = |unit: &Unit, names: &[String]| names.iter().any(|name| is_called(&unit.rule, name));
    for unit in units {
        unit.is_silent = is_named(unit, &silent) && !is_named(unit, &generating);
    }
}

fn is_called(rule: &Rule, name: &str) -> bool {
    &*rule.id == name || rule.name.as_deref() == Some(name)
}

fn filters_of<'f>(rule: &Rule, filters: &[&'f Filter]) -> impl Iterator<Item = &'f Filter> {
    filters.iter().copied().filter(|filter| {
        let fits = filter.logsource.product.is_none() || filter.logsource.product == rule.logsource.product;
        let names = filter.rules.is_empty() || filter.rules.iter().any(|name| is_called(rule, name));
        fits && names
    })
}

/// The matcher of one format; none if it does not build, which is reported.
fn lane(
    format: Format,
    units: &[Unit],
    filters: &[&Filter],
    environment: &Environment,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<Lane> {
    let mut weaver = Weaver {
        builder: Builder::new(format, Arc::clone(&environment.cage), Arc::clone(&environment.catalogue)),
        emits: Vec::new(),
        bases: FxHashMap::default(),
    };
    for (number, unit) in (0..).zip(units) {
        let sees = unit.rule.logsource.product.as_deref().is_none_or(|product| format.is_product(product));
        if sees && let Err(error) = weaver.add(number, unit, filters) {
            diagnostics.push(diagnostic(&unit.rule, &error));
        }
    }
    for (number, unit) in (0..).zip(units) {
        if let Body::Correlation(correlation) = &unit.rule.body {
            weaver.correlate(number, correlation, units);
        }
    }
    match weaver.builder.build() {
        Ok(matcher) => Some(Lane { number: 0, matcher, emits: weaver.emits }),
        Err(error) => {
            diagnostics.extend(units.first().map(|unit| diagnostic(&unit.rule, &error)));
            None
        }
    }
}

/// Adds rules to one format's matcher and remembers what their targets mean.
struct Weaver {
    builder: Builder,
    emits: Vec<Vec<Emit>>,
    /// The target of each rule without behaviour, for correlations.
    bases: FxHashMap<u32, TargetId>,
}

impl Weaver {
    fn add(&mut self, number: u32, unit: &Unit, filters: &[&Filter]) -> Result<(), BuildError> {
        let mut guards = Vec::new();
        for filter in filters_of(&unit.rule, filters) {
            let negated = Condition::Not(Box::new(filter.detection.condition.clone()));
            guards.push(self.builder.condition(&filter.detection, &negated)?);
        }
        match &unit.rule.body {
            Body::Correlation(_) => {}
            Body::Single(detection) => {
                let expr = self.builder.condition(detection, &detection.condition)?;
                let keys = self.fields(&unit.key_names);
                let target = self.target(guarded(expr, &guards));
                self.bases.insert(number, target);
                self.emit(target, Emit { missing: Missing::Group, ..plain(number, keys) });
            }
            Body::Behavior(detection, behavior) | Body::Script(detection, behavior, _) => {
                self.behavior(number, detection, behavior, &guards)?;
            }
        }
        Ok(())
    }

    fn behavior(
        &mut self,
        number: u32,
        detection: &Detection,
        behavior: &Behavior,
        guards: &[Expr],
    ) -> Result<(), BuildError> {
        let missing = if behavior.missing_is_a_group { Missing::Group } else { Missing::Ledger };
        let keys = self.fields(&behavior.by);
        let base = Emit { missing, ..plain(number, keys) };
        match &behavior.kind {
            Kind::Sequence(sequence) => {
                self.sequence((number, missing), detection, (behavior, sequence), guards)
            }
            Kind::Absence { of, after } => {
                for (role, selection) in [(0, *of), (1, *after)] {
                    if selection.is_none() && role == 1 {
                        continue;
                    }
                    let expr = self.selected(detection, selection)?;
                    let target = self.target(guarded(expr, guards));
                    self.emit(target, Emit { role, ..base.clone() });
                }
                Ok(())
            }
            Kind::Count | Kind::Dormant(_) | Kind::Script => self.whole(detection, base, guards),
            Kind::Distinct(fields) | Kind::FirstSeen { fields, .. } => {
                let values = self.fields(fields).into_iter().collect();
                self.whole(detection, Emit { values, ..base }, guards)
            }
        }
    }

    /// One target for the whole condition.
    fn whole(&mut self, detection: &Detection, emit: Emit, guards: &[Expr]) -> Result<(), BuildError> {
        let expr = self.builder.condition(detection, &detection.condition)?;
        let target = self.target(guarded(expr, guards));
        self.emit(target, emit);
        Ok(())
    }

    /// One target per step, and one for `unless`. The fields of `same` become part of the key.
    fn sequence(
        &mut self,
        (number, missing): (u32, Missing),
        detection: &Detection,
        (behavior, sequence): (&Behavior, &Sequence),
        guards: &[Expr],
    ) -> Result<(), BuildError> {
        for (role, step) in (0..).zip(&sequence.steps) {
            let renamed = |name: &String| {
                let found = step.rename.iter().find(|(field, _)| field == name);
                found.map_or_else(|| name.clone(), |(_, carrier)| carrier.clone())
            };
            let names: Vec<String> = behavior.by.iter().chain(&sequence.same).map(renamed).collect();
            let different: Vec<String> = sequence.different.iter().map(renamed).collect();
            let keys = self.fields(&names);
            let values = self.fields(&different).into_iter().collect();
            let expr = self.selected(detection, Some(step.selection))?;
            let target = self.target(guarded(expr, guards));
            self.emit(target, Emit { role, values, missing, ..plain(number, keys) });
        }
        if let Some(unless) = sequence.unless {
            let names: Vec<String> = behavior.by.iter().chain(&sequence.same).cloned().collect();
            let keys = self.fields(&names);
            let role = u16::try_from(sequence.steps.len()).unwrap_or(u16::MAX);
            let expr = self.selected(detection, Some(unless))?;
            let target = self.target(expr.clone());
            self.emit(target, Emit { role, missing, ..plain(number, keys) });
        }
        Ok(())
    }

    /// A selection that a behaviour names: alone if the condition does not mention it, else only where the
    /// condition holds too. None: the condition.
    fn selected(&mut self, detection: &Detection, selection: Option<usize>) -> Result<Expr, BuildError> {
        let Some(index) = selection else {
            return self.builder.condition(detection, &detection.condition);
        };
        let node = detection.selections.get(index).map_or(Node::Or(Vec::new()), |found| found.node.clone());
        let alone = self.builder.node(&node)?;
        if !mentions(&detection.condition, index) {
            return Ok(alone);
        }
        let condition = self.builder.condition(detection, &detection.condition)?;
        Ok(Expr::And(vec![alone, condition]))
    }

    /// Lets the matches of the rules a correlation names count in it.
    fn correlate(&mut self, number: u32, correlation: &Correlation, units: &[Unit]) {
        for (role, name) in (0..).zip(&correlation.rules) {
            let base = (0..).zip(units).find(|(_, unit)| is_called(&unit.rule, name));
            let Some((base, unit)) = base else { continue };
            let Some(target) = self.bases.get(&base).copied() else { continue };
            let field_in_base = |field: &String| {
                let alias = correlation
                    .aliases
                    .iter()
                    .find(|(alias, rule, _)| alias == field && is_called(&unit.rule, rule));
                alias.map_or_else(|| field.clone(), |(_, _, original)| original.clone())
            };
            let names: Vec<String> = correlation.by.iter().map(field_in_base).collect();
            let values: Vec<String> = match correlation.kind {
                CorrelationKind::ValueCount => correlation.fields.iter().map(field_in_base).collect(),
                _ => Vec::new(),
            };
            let is_temporal = correlation.kind == CorrelationKind::Temporal;
            let emit = Emit {
                role,
                values: self.fields(&values).into_iter().collect(),
                fixed: is_temporal.then(|| role.to_string().into()),
                ..plain(number, self.fields(&names))
            };
            self.emit(target, emit);
        }
    }

    fn fields(&mut self, names: &[String]) -> SmallVec<[usize; 2]> {
        names.iter().map(|name| self.builder.field(name)).collect()
    }

    fn target(&mut self, expr: Expr) -> TargetId {
        self.emits.push(Vec::new());
        self.builder.target(expr)
    }

    fn emit(&mut self, target: TargetId, emit: Emit) {
        if let Some(emits) = self.emits.get_mut(target as usize) {
            emits.push(emit);
        }
    }
}

fn plain(detector: u32, keys: SmallVec<[usize; 2]>) -> Emit {
    Emit { detector, role: 0, keys, values: SmallVec::new(), fixed: None, missing: Missing::Ledger }
}

fn guarded(expr: Expr, guards: &[Expr]) -> Expr {
    if guards.is_empty() {
        return expr;
    }
    Expr::And(std::iter::once(expr).chain(guards.iter().cloned()).collect())
}

fn mentions(condition: &Condition, selection: usize) -> bool {
    match condition {
        Condition::And(children) | Condition::Or(children) => {
            children.iter().any(|child| mentions(child, selection))
        }
        Condition::Not(child) => mentions(child, selection),
        Condition::Selection(index) => *index == selection,
    }
}
