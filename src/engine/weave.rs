//! From rules to the targets of one format's matcher: filters applied, correlations linked to their rules.

use std::sync::Arc;

use rustc_hash::FxHashMap;
use smallvec::SmallVec;

use super::compile::{Environment, diagnostic};
use super::ruleset::{Emit, Lane, Missing, Number, Unit};
use crate::event::Format;
use crate::matcher::{BuildError, Builder, Expr, TargetId};
use crate::rule::Diagnostic;
use crate::rule::ast::{
    Aggregate, Behavior, Body, Condition, Correlation, CorrelationKind, Detection, Filter, Kind, Node, Rule,
    Sequence, Spike, SpikeOf,
};

/// The matcher of one format; none if it does not build, which is reported.
pub(super) fn lane(
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
        risks: super::chain::risks(units),
    };
    for (number, unit) in (0..).zip(units) {
        let sees = unit.rule.logsource.product.as_deref().is_none_or(|product| format.is_product(product));
        if sees && let Err(error) = weaver.add(number, unit, filters) {
            diagnostics.push(diagnostic(&unit.rule, &error));
        }
    }
    let called = by_name(units);
    for (number, unit) in (0..).zip(units) {
        if let Body::Correlation(correlation) = &unit.rule.body {
            weaver.correlate(number, correlation, &called);
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

/// Rules and their numbers, by id and by name.
pub(super) type Called<'u> = FxHashMap<&'u str, (u32, &'u Unit)>;

/// Where two have one name, the first one is called.
pub(super) fn by_name(units: &[Unit]) -> Called<'_> {
    let mut called = Called::default();
    for (number, unit) in (0..).zip(units) {
        for name in [Some(&*unit.rule.id), unit.rule.name.as_deref()].into_iter().flatten() {
            called.entry(name).or_insert((number, unit));
        }
    }
    called
}

pub(super) fn is_called(rule: &Rule, name: &str) -> bool {
    &*rule.id == name || rule.name.as_deref() == Some(name)
}

/// The filters that hold for a rule.
pub(super) fn filters_of<'f>(rule: &Rule, filters: &[&'f Filter]) -> impl Iterator<Item = &'f Filter> {
    filters.iter().copied().filter(|filter| {
        let fits = crate::rule::fits(&filter.logsource, &rule.logsource);
        let names = filter.rules.is_empty() || filter.rules.iter().any(|name| is_called(rule, name));
        fits && names
    })
}

/// Adds rules to one format's matcher and remembers what their targets mean.
struct Weaver {
    builder: Builder,
    emits: Vec<Vec<Emit>>,
    /// The target of each rule without behaviour, for correlations.
    bases: FxHashMap<u32, TargetId>,
    /// The rules that add up scores, and their keys.
    risks: Vec<(u32, Vec<String>)>,
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
                self.add_scores(target, unit);
            }
            Body::Behavior(detection, behavior) | Body::Script(detection, behavior, _) => {
                self.behavior(number, detection, behavior, &guards)?;
            }
        }
        Ok(())
    }

    /// A match of a rule that has a score, and whose every match is an alert, adds to risks at once.
    fn add_scores(&mut self, target: TargetId, unit: &Unit) {
        let Some(value) = super::chain::score_at_once(unit) else { return };
        for (number, by) in self.risks.clone() {
            let keys = self.fields(&by);
            self.emit(target, Emit { fixed: Some(value.clone()), ..plain(number, keys) });
        }
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
                self.roles(detection, (base.clone(), *of, 0), guards)?;
                match after {
                    Some(_) => self.roles(detection, (base, *after, 1), guards),
                    None => Ok(()),
                }
            }
            Kind::Ratio { of, to, .. } => {
                self.roles(detection, (base.clone(), Some(*of), 0), guards)?;
                self.roles(detection, (base, Some(*to), 1), guards)
            }
            Kind::Risk { .. } => Ok(()),
            _ => {
                let emit = self.measured(behavior, base);
                self.whole(detection, emit, guards)
            }
        }
    }

    /// With the fields whose values the behaviour looks at.
    fn measured(&mut self, behavior: &Behavior, base: Emit) -> Emit {
        let values = |weaver: &mut Self, fields: &[String]| weaver.fields(fields).into_iter().collect();
        let amount = |of: Aggregate| if of == Aggregate::Sum { Number::NotNegative } else { Number::Any };
        match &behavior.kind {
            Kind::Distinct(fields) | Kind::FirstSeen { fields, .. } | Kind::Change(fields) => {
                Emit { values: values(self, fields), ..base }
            }
            Kind::Aggregate { of, field } => {
                Emit { values: values(self, std::slice::from_ref(field)), number: amount(*of), ..base }
            }
            Kind::Rare { fields, peers, .. } => {
                let of_whom: Vec<String> = behavior.by.iter().chain(fields).cloned().collect();
                // Whose the event is stands in the value; among whom it is rare must be known.
                let optional = if base.missing == Missing::Group { 0..behavior.by.len() } else { 0..0 };
                let (keys, values) = (self.fields(peers), values(self, &of_whom));
                Emit { keys, values, optional, missing: Missing::Ledger, ..base }
            }
            Kind::Spike(Spike { of: SpikeOf::Distinct(fields), .. }) => {
                Emit { values: values(self, fields), ..base }
            }
            Kind::Spike(Spike { of: SpikeOf::Sum(field), .. }) => Emit {
                values: values(self, std::slice::from_ref(field)),
                number: Number::NotNegative,
                ..base
            },
            Kind::Travel { field, .. } => {
                let places = ["geo.latitude", "geo.longitude", "geo.accuracy_km"].map(str::to_owned);
                let fields: Vec<String> = std::iter::once(field.clone()).chain(places).collect();
                Emit { values: values(self, &fields), optional: 3..4, ..base }
            }
            _ => base,
        }
    }

    /// One target for one part that a selection plays.
    fn roles(
        &mut self,
        detection: &Detection,
        (base, selection, role): (Emit, Option<usize>, u16),
        guards: &[Expr],
    ) -> Result<(), BuildError> {
        let expr = self.selected(detection, selection)?;
        let target = self.target(guarded(expr, guards));
        self.emit(target, Emit { role, ..base });
        Ok(())
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
    fn correlate(&mut self, number: u32, correlation: &Correlation, called: &Called<'_>) {
        for (role, name) in (0..).zip(&correlation.rules) {
            let Some((base, unit)) = called.get(name.as_str()) else { continue };
            let Some(target) = self.bases.get(base).copied() else { continue };
            let field_in_base = |field: &String| {
                let alias = correlation
                    .aliases
                    .iter()
                    .find(|(alias, rule, _)| alias == field && is_called(&unit.rule, rule));
                alias.map_or_else(|| field.clone(), |(_, _, original)| original.clone())
            };
            let names: Vec<String> = correlation.by.iter().map(field_in_base).collect();
            let values: Vec<String> = correlation.fields.iter().map(field_in_base).collect();
            let amount = match correlation.kind {
                CorrelationKind::ValueSum => Number::NotNegative,
                CorrelationKind::ValueAvg
                | CorrelationKind::ValueMedian
                | CorrelationKind::ValuePercentile(_) => Number::Any,
                _ => Number::No,
            };
            let emit = Emit {
                role,
                values: self.fields(&values).into_iter().collect(),
                number: amount,
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
    Emit {
        detector,
        role: 0,
        keys,
        values: SmallVec::new(),
        optional: 0..0,
        number: Number::No,
        fixed: None,
        missing: Missing::Ledger,
    }
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
