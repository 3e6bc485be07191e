//! What legal holds find in segments: by their indexes, and by a look at what those are not sure of.

use super::Retention;
use crate::event::{Event, Position, canonical};
use crate::index::{Answer, ReadError, evaluate};
use crate::log::LogError;
use crate::log::segment::{Positions, Segment};

/// What the holds find in some segments.
pub(in crate::log::sealer) struct Held<'a> {
    terms: &'a Retention,
    /// One answer for each hold, where the index was asked.
    known: Vec<(Positions, Vec<Answer>)>,
}

impl<'a> Held<'a> {
    /// Where there is no index: every event is looked at.
    pub(in crate::log::sealer) const fn without_index(terms: &'a Retention) -> Self {
        Self { terms, known: Vec::new() }
    }

    /// Asks the indexes of these segments, which stand in order.
    pub(in crate::log::sealer) fn of(
        terms: &'a Retention,
        segments: &mut [Segment],
    ) -> Result<Self, LogError> {
        let mut known = Vec::new();
        for segment in segments {
            let (first, last) = (segment.info().first, segment.info().last);
            if !segment.is_current() {
                continue;
            }
            let ask = |hold: &super::HeldBack| {
                evaluate(&hold.query, segment, &terms.catalogue).map_err(|error| match error {
                    ReadError::Terms(error) => error,
                    ReadError::Damaged => {
                        let reason = "its index is damaged".to_owned();
                        LogError::Corrupt { first, last, reason }
                    }
                })
            };
            let answers = terms.holds.iter().map(ask).collect::<Result<Vec<_>, _>>()?;
            known.push(((first, last), answers));
        }
        Ok(Self { terms, known })
    }

    /// Whether any hold finds this event.
    pub(super) fn has(&self, position: Position, event: &Event) -> bool {
        if self.terms.holds.is_empty() {
            return false;
        }
        let index = self.known.partition_point(|((_, last), _)| *last < position);
        let known = self.known.get(index).filter(|((first, _), _)| *first <= position);
        let answer = |number: usize| {
            let ((first, _), answers) = known?;
            Some((answers.get(number)?, u32::try_from(position - first).ok()?))
        };
        let mut doubtful = Vec::new();
        for (number, hold) in self.terms.holds.iter().enumerate() {
            match answer(number) {
                Some((answer, event)) if answer.sure.contains(event) => return true,
                Some((answer, event)) if !answer.possible.contains(event) => {}
                _ => doubtful.push(hold),
            }
        }
        if doubtful.is_empty() {
            return false;
        }
        let shown = canonical(event, &self.terms.catalogue);
        doubtful.iter().any(|hold| hold.query.finds(&shown, self.terms.catalogue.enrichment()))
    }
}
