//! Running events through a matcher.

use std::sync::Arc;

use smallvec::SmallVec;

use super::TargetId;
use super::aim::TypeField;
use super::ask::Ask;
use super::expr::Expr;
use super::fold::Folds;
use super::gate::{Gate, Shelf};
use super::index::FieldIndex;
use super::predicate::Predicate;
use crate::event::{Catalogue, Event, ExtractError, Extracted, Format, Plan};
use crate::script::{Cage, EventValue, Predicate as ScriptPredicate, ScriptError};

/// All targets of one format, ready to run. Shared by threads; each brings its own [`Scratch`].
#[derive(Debug)]
pub struct Matcher {
    pub(super) format: Format,
    pub(super) catalogue: Arc<Catalogue>,
    pub(super) cage: Arc<Cage>,
    pub(super) plan: Plan,
    /// The fields that the event's type alone decides.
    pub(super) type_fields: Vec<(usize, TypeField)>,
    /// How many fields the plan has; the number behind the last one stands for all values, for keywords.
    pub(super) fields: usize,
    pub(super) gate: Option<Gate>,
    pub(super) open: Shelf,
    pub(super) predicates: Vec<Predicate>,
    pub(super) scripts: Vec<ScriptPredicate>,
    pub(super) targets: Vec<Expr>,
}

/// What one thread needs to run events through matchers; reused, so that it allocates nothing in the long run.
#[derive(Debug, Default)]
pub struct Scratch {
    pub(super) extracted: Extracted,
    pub(super) folds: Folds,
    /// The truth of each test, and the event for which it was found.
    pub(super) memo: Vec<(u32, bool)>,
    seen: Vec<u32>,
    /// Stands for the event in `memo` and `seen`.
    pub(super) stamp: u32,
    candidates: Vec<TargetId>,
    matched: Vec<TargetId>,
    pub(super) failures: Vec<ScriptFailure>,
    pub(super) event_value: Option<EventValue>,
}

/// A script predicate that failed; it counts as not matched.
#[derive(Debug, Clone)]
pub struct ScriptFailure {
    /// The target that asked.
    pub target: TargetId,
    /// What went wrong, with the line.
    pub error: ScriptError,
}

impl Scratch {
    /// The targets that the last event matched, ascending.
    #[must_use]
    pub fn matched(&self) -> &[TargetId] {
        &self.matched
    }

    /// The scripts that failed on the last event.
    #[must_use]
    pub fn failures(&self) -> &[ScriptFailure] {
        &self.failures
    }

    /// The fields of the last event; the first ones are those a decoder needs.
    #[must_use]
    pub const fn extracted(&self) -> &Extracted {
        &self.extracted
    }

    /// The last event's value of a field, by the builder's number: the first one with a text.
    #[must_use]
    pub fn text<'a>(&'a self, field: usize, raw: &'a str) -> Option<&'a str> {
        self.extracted.text(field, raw)
    }

    fn begin(&mut self, matcher: &Matcher) {
        if self.memo.len() < matcher.predicates.len() {
            self.memo.resize(matcher.predicates.len(), (0, false));
        }
        if self.seen.len() < matcher.targets.len() {
            self.seen.resize(matcher.targets.len(), 0);
        }
        self.stamp = self.stamp.wrapping_add(1);
        if self.stamp == 0 {
            self.memo.fill((0, false));
            self.seen.fill(0);
            self.stamp = 1;
        }
        self.folds.clear(matcher.fields + 1);
        self.candidates.clear();
        self.matched.clear();
        self.failures.clear();
        self.event_value = None;
    }
}

impl Matcher {
    /// Which format's events it is for.
    #[must_use]
    pub const fn format(&self) -> Format {
        self.format
    }

    /// Takes the fields out of an event, the first step; [`Matcher::run`] is the second. `raw` is the event's
    /// bytes as text. A scratch belongs to one matcher at a time: give it a new one when the matcher changes.
    pub fn extract(&self, event: &Event, raw: &str, scratch: &mut Scratch) -> Result<(), ExtractError> {
        self.plan.extract(event, raw, &self.catalogue, &mut scratch.extracted)
    }

    /// The time of arrival has changed since the fields were taken out.
    pub fn arrived(&self, event: &Event, raw: &str, scratch: &mut Scratch) {
        self.plan.arrived(event, raw, &self.catalogue, &mut scratch.extracted);
    }

    /// Runs the event whose fields were just extracted; the answer is in [`Scratch::matched`].
    pub fn run(&self, event: &Event, raw: &str, scratch: &mut Scratch) {
        scratch.begin(self);
        self.propose(raw, scratch);
        let mut candidates = std::mem::take(&mut scratch.candidates);
        candidates.sort_unstable();
        for target in &candidates {
            let mut ask = Ask { matcher: self, event, raw, scratch, target: *target };
            if ask.holds(&self.targets[*target as usize]) {
                scratch.matched.push(*target);
            }
        }
        scratch.candidates = candidates;
    }

    /// Collects the targets that may match, each once.
    fn propose(&self, raw: &str, scratch: &mut Scratch) {
        self.look_on(&self.open, raw, scratch);
        let Some(gate) = &self.gate else { return };
        let Scratch { extracted, folds, .. } = &mut *scratch;
        folds.fold(gate.field, extracted.values(gate.field, raw));
        let values = folds.texts(gate.field, extracted.values(gate.field, raw));
        let shelf = |(_, text): (_, Option<&str>)| gate.shelves.get(text?);
        let shelves: SmallVec<[&Shelf; 2]> = values.filter_map(shelf).collect();
        for shelf in shelves {
            self.look_on(shelf, raw, scratch);
        }
    }

    fn look_on(&self, shelf: &Shelf, raw: &str, scratch: &mut Scratch) {
        let Scratch { extracted, folds, seen, stamp, candidates, .. } = scratch;
        let mut fired = |target: TargetId| {
            let mark = &mut seen[target as usize];
            if *mark != *stamp {
                *mark = *stamp;
                candidates.push(target);
            }
        };
        shelf.always.iter().copied().for_each(&mut fired);
        let mut look_into = |(field, index): &(Option<usize>, FieldIndex)| {
            let mut look_up = |(_, text): (_, Option<&str>)| {
                if let Some(text) = text {
                    index.look_up(text, &mut fired);
                }
            };
            match *field {
                Some(field) => {
                    folds.fold(field, extracted.values(field, raw));
                    folds.texts(field, extracted.values(field, raw)).for_each(&mut look_up);
                }
                None => {
                    folds.fold(self.fields, extracted.all(raw));
                    folds.texts(self.fields, extracted.all(raw)).for_each(&mut look_up);
                }
            }
        };
        let found = extracted.filled().iter().filter_map(|slot| shelf.order.by_slot.get(usize::from(*slot)));
        for number in shelf.order.always.iter().chain(found.flatten()) {
            if let Some(index) = shelf.indexes.get(*number as usize) {
                look_into(index);
            }
        }
    }
}
