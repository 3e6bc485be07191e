//! The shortest time for which anything in a segment is kept, by its index: most segments need no more than this.

use std::ops::ControlFlow;

use super::Retention;
use crate::event::Format;
use crate::index::{self, Dictionary, Field, ReadError};
use crate::log::LogError;
use crate::log::segment::Segment;
use crate::retention::Kind;
use crate::time::Span;

/// None where the index does not tell: then the events do.
pub(super) fn shortest(segment: &mut Segment, terms: &Retention) -> Result<Option<Span>, LogError> {
    if !segment.is_current() {
        return Ok(None);
    }
    let (first, last) = (segment.info().first, segment.info().last);
    let failed = |error: ReadError<LogError>| match error {
        ReadError::Terms(error) => error,
        ReadError::Damaged => LogError::Corrupt { first, last, reason: "its index is damaged".to_owned() },
    };
    let mut dictionary = Dictionary::new(segment);
    let mut is_known = dictionary.present(Field::Unindexed).map_err(failed)?.is_empty();
    // Types of other forges, and those with capitals, stand in another form there.
    is_known &= dictionary.present(Field::OtherType).map_err(failed)?.is_empty();
    let span = |event_type: Option<&str>| {
        let kind = Kind::of(&terms.catalogue, Format::Gitlab, "", event_type);
        terms.policy.shortest_for(&kind, terms.to_judge)
    };
    let events = dictionary.all().map_err(failed)?.len();
    let are_all_typed = dictionary.present(Field::EventType).map_err(failed)?.len() == events;
    let mut shortest = if are_all_typed { Span(i64::MAX) } else { span(None) };
    let mut visit = |value: &[u8], _: index::Numbers<'_>| {
        match std::str::from_utf8(value) {
            Ok(name) => shortest = shortest.min(span(Some(name))),
            // That the field is there at all has a row too; a name that was cut off says nothing.
            Err(_) => is_known &= value.len() == 1,
        }
        ControlFlow::Continue(())
    };
    dictionary.visit(Field::EventType, b"", &mut visit).map_err(failed)?;
    Ok(is_known.then(|| shortest.max(terms.at_least)))
}
