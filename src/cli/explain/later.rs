//! What came of an event that is judged only once no late event can change it: the history goes on until then.

use std::ops::ControlFlow;

use super::case::{Case, Judge};
use super::past::Past;
use crate::alert::{Finding, Key};
use crate::detect::{Detector, Hit};
use crate::engine::{Effects, Engine, Hits, Unit};
use crate::event::{Entry, Event};
use crate::time::{Span, Timestamp};

/// What the history says of a rule after the event.
#[derive(Debug, Default)]
struct Sequel {
    finding: Option<Finding>,
    /// When a sequence that it is a step of was complete, and nothing ruled it out.
    completed_at: Option<Timestamp>,
    /// When an event came that rules out the sequences around it.
    refuted_at: Option<Timestamp>,
}

/// Whether what a rule says of a moment may wait for later events.
pub(super) fn waits(detector: &Detector) -> bool {
    match detector {
        Detector::Window(spec) => spec.waits(),
        Detector::Sequence(spec) => spec.unless.is_some(),
        Detector::Absence(_) | Detector::FirstSeen(_) | Detector::Dormant(_) => true,
        Detector::Change(_) | Detector::Rare(_) | Detector::Spike(_) | Detector::UnusualHour(_) => true,
        Detector::Single | Detector::Script(_) => false,
        Detector::Bucket(_) | Detector::Travel(_) | Detector::Risk(_) => false,
    }
}

/// Whether a finding is what became of an event: the history after it, or what waited before it, has others.
pub(super) fn is_about(finding: &Finding, unit: &Unit, event: &Event, keys: &[Key]) -> bool {
    let is_its_moment = finding.time == event.judged_at() && keys.contains(&finding.key);
    let opened_it =
        matches!(unit.detector, Detector::Absence(_)) && finding.evidence.contains(&event.position);
    !waits(&unit.detector) || finding.position == event.position || is_its_moment || opened_it
}

/// When there is no more to learn of an event from what came after it.
fn over_at(unit: &Unit, at: Timestamp) -> Timestamp {
    match &unit.detector {
        Detector::Sequence(spec) => at.plus(spec.within),
        _ => decided_at(unit, at),
    }
}

/// When a rule has said what there is to say of a moment, for all that the event decides.
fn decided_at(unit: &Unit, at: Timestamp) -> Timestamp {
    match &unit.detector {
        Detector::Absence(spec) => at.plus(spec.within),
        Detector::Spike(_) | Detector::UnusualHour(_) => at.plus(Span::days(2)),
        _ => at,
    }
}

impl Judge<'_, '_> {
    /// Goes on with the history after the event until the rules that wait have judged it, or the history ends.
    pub(super) fn go_on(
        &self,
        cases: &mut [Case<'_>],
        engine: &mut Engine,
        past: &mut Past,
    ) -> anyhow::Result<()> {
        let event = self.event;
        let mut open: Vec<&mut Case<'_>> = cases.iter_mut().filter(|case| case.is_open).collect();
        let until = open.iter().map(|case| over_at(case.unit, event.judged_at())).max();
        let Some(until) = until else { return Ok(()) };
        let mut sequels: Vec<Sequel> = open.iter().map(|_| Sequel::default()).collect();
        let (mut hits, mut effects) = (Hits::default(), Effects::default());
        past.after(event.position, &mut |entry| {
            if let Entry::Event(later) = entry {
                self.reading.rules.hits(later, &mut hits);
                let all = open.iter().zip(&mut sequels);
                all.for_each(|(case, sequel)| self.notice(case, &hits.hits, sequel));
            }
            engine.handle(entry, &mut effects);
            self.keep(&open, &mut sequels, &mut effects);
            let is_over = engine.watermark(&event.source) > until;
            if is_over { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        if let (Past::Events(_), Some(newest)) = (&*past, engine.newest()) {
            // As a backtest of the file does.
            engine.finish(newest.plus(Span::millis(1)), &mut effects);
            self.keep(&open, &mut sequels, &mut effects);
        }
        let watermark = engine.watermark(&event.source);
        for (case, sequel) in open.iter_mut().zip(sequels) {
            let is_decided = watermark > decided_at(case.unit, event.judged_at());
            conclude(case, sequel, is_decided);
        }
        Ok(())
    }

    /// An event of the `unless` selection that comes late, but not too late.
    fn notice(&self, case: &Case<'_>, hits: &[Hit], sequel: &mut Sequel) {
        let Detector::Sequence(spec) = &case.unit.detector else { return };
        let Some(number) = self.reading.rules.number(&case.unit.rule.id) else { return };
        let at = self.event.judged_at();
        let is_near = |hit: &&Hit| {
            hit.detector as usize == number
                && usize::from(hit.role) == spec.steps.len()
                && hit.time > at.minus(spec.within)
                && hit.time <= at
                && case.groups.contains(&case.unit.key(&hit.key))
        };
        sequel.refuted_at = hits.iter().find(is_near).map(|hit| hit.time).or(sequel.refuted_at);
    }

    fn keep(&self, open: &[&mut Case<'_>], sequels: &mut [Sequel], effects: &mut Effects) {
        for (case, sequel) in open.iter().zip(sequels) {
            let mut own = effects.findings.iter().filter(|finding| finding.rule == case.unit.rule.id);
            if matches!(case.unit.detector, Detector::Sequence(_)) && sequel.completed_at.is_none() {
                let with_it = own.clone().find(|finding| finding.evidence.contains(&self.event.position));
                sequel.completed_at = with_it.map(|finding| finding.time);
            }
            if sequel.finding.is_none() {
                sequel.finding = own.find(|one| is_about(one, case.unit, self.event, &case.groups)).cloned();
            }
        }
        effects.clear();
    }
}

/// The verdict after the history that followed.
fn conclude(case: &mut Case<'_>, sequel: Sequel, is_decided: bool) {
    if let Some(finding) = sequel.finding {
        case.fires = true;
        let silent = if case.unit.is_silent { " (counts in correlations only)" } else { "" };
        case.verdict = format!("{}{silent}", finding.reason);
        return;
    }
    if let Some(at) = sequel.completed_at {
        case.verdict = format!("a step is met; the rule fires at the last one, at {at}");
        return;
    }
    case.verdict = match (&case.unit.detector, sequel.refuted_at) {
        (Detector::Window(_) | Detector::Sequence(_) | Detector::Absence(_), _) if !is_decided => {
            format!("{}; the history does not go that far yet", case.verdict)
        }
        (Detector::Window(_), _) => "counted; when no late event could change it, it did not hold".to_owned(),
        (Detector::Sequence(spec), Some(at)) => {
            let unless = spec.unless.as_deref().unwrap_or_default();
            format!("a step is met, but {unless} came late, at {at}, and rules out every sequence it lies in")
        }
        (Detector::Sequence(spec), None) => {
            let unless = spec.unless.as_deref().unwrap_or_default();
            format!("a step is met; others are missing, or {unless} came in between")
        }
        (Detector::Absence(spec), _) => {
            format!("taken in; {} came in time, or is not missed after it", spec.of)
        }
        _ => return,
    };
}
