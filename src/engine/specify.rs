//! From what a rule measures to the detector that measures it.

use std::sync::Arc;

use super::compile::Environment;
use crate::detect::{
    AbsenceSpec, BucketSpec, ChangeSpec, Detector, DormantSpec, FirstSeenSpec, Measure, RareSpec, RiskSpec,
    ScriptSpec, SequenceSpec, SpikeSpec, TravelSpec, UnusualHourSpec, WindowSpec,
};
use crate::matcher::BuildError;
use crate::rule::ast::{
    Aggregate, Behavior, Compare, Condition, Correlation, CorrelationKind, Detection, Kind, ScriptSource,
};
use crate::rule::print_condition;
use crate::script::{Program, ScriptError};

/// The detector of a behaviour.
pub(super) fn behavior_detector(
    detection: &Detection,
    behavior: &Behavior,
    environment: &Environment,
) -> Detector {
    let name = |selection: usize| {
        detection.selections.get(selection).map_or_else(String::new, |selection| selection.name.clone())
    };
    let (within, lateness, compare) = (behavior.within, environment.lateness, behavior.compare);
    let window = |measure, noun| Detector::Window(WindowSpec { measure, within, lateness, compare, noun });
    match &behavior.kind {
        Kind::Count | Kind::Script => window(Measure::Count, "events".to_owned()),
        Kind::Distinct(fields) => window(Measure::Distinct, format!("different {}", fields.join(", "))),
        Kind::Aggregate { of, field } => aggregate(*of, field, window),
        Kind::Ratio { of, to, min_events } => {
            let noun = WindowSpec::ratio_noun(&name(*of), &name(*to));
            window(Measure::Ratio { min_events: *min_events }, noun)
        }
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
        _ => of_the_past(behavior, environment),
    }
}

/// The detectors that remember for longer than a window.
fn of_the_past(behavior: &Behavior, environment: &Environment) -> Detector {
    let lateness = environment.lateness;
    match &behavior.kind {
        Kind::FirstSeen { fields, learn, forget } => {
            let (learn, forget) = (*learn, *forget);
            Detector::FirstSeen(FirstSeenSpec { fields: fields.join(", "), learn, forget, lateness })
        }
        Kind::Rare { fields, peers, history, below, min_events } => Detector::Rare(RareSpec {
            fields: fields.join(", "),
            peers: peers.join(", "),
            key_fields: behavior.by.len(),
            history: *history,
            below: *below,
            min_events: *min_events,
            lateness,
        }),
        Kind::Change(fields) => {
            Detector::Change(ChangeSpec { fields: fields.join(", "), within: behavior.within, lateness })
        }
        Kind::Spike(spike) => Detector::Spike(SpikeSpec { spike: spike.clone(), lateness }),
        Kind::UnusualHour { learn, sensitivity } => {
            Detector::UnusualHour(UnusualHourSpec { learn: *learn, sensitivity: *sensitivity, lateness })
        }
        Kind::Dormant(silence) => Detector::Dormant(DormantSpec { silence: *silence, lateness }),
        Kind::Travel { max_kmh, min_km, .. } => {
            Detector::Travel(TravelSpec { max_kmh: *max_kmh, min_km: *min_km, lateness })
        }
        Kind::Bucket { capacity, leak } => {
            Detector::Bucket(BucketSpec { capacity: *capacity, leak: *leak, lateness })
        }
        Kind::Risk { half_life } => {
            Detector::Risk(RiskSpec { half_life: *half_life, compare: behavior.compare, lateness })
        }
        _ => Detector::Single,
    }
}

/// A window over a field's numbers.
fn aggregate(of: Aggregate, field: &str, window: impl Fn(Measure, String) -> Detector) -> Detector {
    let measure = match of {
        Aggregate::Sum => Measure::Sum,
        Aggregate::Avg => Measure::Avg,
        Aggregate::Min => Measure::Min,
        Aggregate::Max => Measure::Max,
        Aggregate::Percentile(p) => Measure::Percentile(p),
    };
    window(measure, field.to_owned())
}

/// The detector of a script.
pub(super) fn script_detector(
    behavior: &Behavior,
    source: &ScriptSource,
    environment: &Environment,
) -> Result<Detector, BuildError> {
    let program = Program::compile(&environment.cage, &source.source, source.line)
        .map_err(|error| ScriptError { file: source.path.clone(), ..error })?;
    Ok(Detector::Script(ScriptSpec {
        cage: Arc::clone(&environment.cage),
        program: Arc::new(program),
        file: source.path.clone(),
        within: behavior.within,
    }))
}

/// The detector of a Sigma correlation.
pub(super) fn correlation_detector(correlation: &Correlation, environment: &Environment) -> Detector {
    let (within, lateness) = (correlation.within, environment.lateness);
    let otherwise = Compare::AtLeast(1.0);
    let compare = correlation.compare.unwrap_or(otherwise);
    let with =
        |measure, noun, compare| Detector::Window(WindowSpec { measure, within, lateness, compare, noun });
    let window = |measure, noun| with(measure, noun, compare);
    let field = correlation.fields.join(", ");
    match correlation.kind {
        CorrelationKind::EventCount => window(Measure::Count, "events".to_owned()),
        CorrelationKind::ValueCount => window(Measure::Distinct, format!("different {field}")),
        CorrelationKind::ValueSum => aggregate(Aggregate::Sum, &field, window),
        CorrelationKind::ValueAvg => aggregate(Aggregate::Avg, &field, window),
        CorrelationKind::ValueMedian => aggregate(Aggregate::Percentile(50.0), &field, window),
        CorrelationKind::ValuePercentile(p) => aggregate(Aggregate::Percentile(p), &field, window),
        CorrelationKind::Temporal => match (&correlation.expression, correlation.compare) {
            (None, Some(compare)) => with(Measure::Roles, "different rules".to_owned(), compare),
            (expression, _) => {
                let all = || Condition::And((0..correlation.rules.len()).map(Condition::Selection).collect());
                let expression = expression.clone().unwrap_or_else(all);
                let names: Vec<&str> = correlation.rules.iter().map(String::as_str).collect();
                let noun = print_condition(&expression, &names);
                with(Measure::Rules(expression), noun, otherwise)
            }
        },
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
