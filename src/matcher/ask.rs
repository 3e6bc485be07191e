//! Whether one target's expression holds for one event. Each test is made at most once per event.

use super::TargetId;
use super::expr::Expr;
use super::predicate::{Check, Predicate, refers};
use super::run::{Matcher, Scratch, ScriptFailure};
use crate::event::{Event, Scalar};
use crate::script::EventValue;

/// One question about one event.
pub(super) struct Ask<'a> {
    pub(super) matcher: &'a Matcher,
    pub(super) event: &'a Event,
    pub(super) raw: &'a str,
    pub(super) scratch: &'a mut Scratch,
    pub(super) target: TargetId,
}

impl Ask<'_> {
    /// Whether the expression holds for the event.
    pub(super) fn holds(&mut self, expr: &Expr) -> bool {
        match expr {
            Expr::And(children) => children.iter().all(|child| self.holds(child)),
            Expr::Or(children) => children.iter().any(|child| self.holds(child)),
            Expr::Test(number, negated) => self.test(*number) != *negated,
            // A script that fails neither holds nor fails to hold: the rule does not fire.
            Expr::Script(number, negated) => self.script(*number).is_some_and(|holds| holds != *negated),
        }
    }

    fn test(&mut self, number: u32) -> bool {
        let (stamp, known) = self.scratch.memo[number as usize];
        if stamp == self.scratch.stamp {
            return known;
        }
        let predicate = &self.matcher.predicates[number as usize];
        if predicate.wants_folded() {
            self.fold(predicate);
        }
        let holds = self.evaluate(predicate);
        self.scratch.memo[number as usize] = (self.scratch.stamp, holds);
        holds
    }

    /// Folds the fields that a test looks at.
    fn fold(&mut self, predicate: &Predicate) {
        let Scratch { extracted, folds, .. } = &mut *self.scratch;
        match predicate.field {
            Some(field) => folds.fold(field, extracted.values(field, self.raw)),
            None => folds.fold(self.matcher.fields, extracted.all(self.raw)),
        }
        if let Check::FieldRef(other, _) = predicate.check {
            folds.fold(other, extracted.values(other, self.raw));
        }
    }

    fn evaluate(&self, predicate: &Predicate) -> bool {
        let Some(field) = predicate.field else { return self.keyword(predicate) };
        let mut values = self.scratch.extracted.values(field, self.raw);
        let is_folded = predicate.wants_folded();
        match &predicate.check {
            Check::Exists(wanted) => values.next().is_some() == *wanted,
            Check::Null => values.all(|value| value == Scalar::Null),
            Check::FieldRef(other, kind) => self.any(field, is_folded, &mut |_, left| {
                left.is_some_and(|left| {
                    self.any(*other, is_folded, &mut |_, right| {
                        right.is_some_and(|right| refers(*kind, left, right))
                    })
                })
            }),
            check => self.any(field, is_folded, &mut |value, text| check.passes(value, text)),
        }
    }

    /// Whether a value of a field passes, given with its text, folded or as it is.
    fn any(
        &self,
        field: usize,
        is_folded: bool,
        passes: &mut dyn FnMut(Scalar<'_>, Option<&str>) -> bool,
    ) -> bool {
        let mut values = self.scratch.extracted.values(field, self.raw);
        if is_folded {
            self.scratch.folds.texts(field, values).any(|(value, text)| passes(value, text))
        } else {
            values.any(|value| passes(value, value.text()))
        }
    }

    fn keyword(&self, predicate: &Predicate) -> bool {
        let mut values = self.scratch.extracted.all(self.raw);
        if predicate.wants_folded() {
            let mut texts = self.scratch.folds.texts(self.matcher.fields, values);
            texts.any(|(value, text)| predicate.check.passes(value, text))
        } else {
            values.any(|value| predicate.check.passes(value, value.text()))
        }
    }

    fn script(&mut self, number: u32) -> Option<bool> {
        let event = self
            .scratch
            .event_value
            .get_or_insert_with(|| EventValue::new(self.event, &self.matcher.catalogue));
        match self.matcher.scripts[number as usize].eval(&self.matcher.cage, event) {
            Ok(holds) => Some(holds),
            Err(error) => {
                self.scratch.failures.push(ScriptFailure { target: self.target, error });
                None
            }
        }
    }
}
