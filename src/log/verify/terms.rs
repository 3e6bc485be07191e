//! What is recomputed of the index and of the keys of duplicates.

use rusqlite::OptionalExtension as _;
use rusqlite::types::ValueRef;

use crate::decode::decode;
use crate::event::{Catalogue, Event};
use crate::index;
use crate::log::LogError;
use crate::log::segment::Segment;

/// The key by which an event's duplicates are known. Every stored event was decoded once; should this program not be
/// able to any more, it has no key, and none that fits.
pub(super) fn dedupe_key(event: &Event) -> u128 {
    let hint = event.type_hint.as_deref();
    let decoded = decode(event.format, &event.source, event.raw.clone(), hint, event.received_at);
    decoded.map_or(0, |decoded| decoded.dedupe)
}

/// Whether the index was made with the catalogue of this program: what an event is called depends on it.
pub(super) fn has_own_catalogue(segment: &Segment) -> Result<bool, LogError> {
    let sql = "SELECT value FROM meta WHERE key = 'catalogue'";
    let found: Option<Vec<u8>> = segment
        .connection()
        .query_row(sql, [], |row| row.get(0))
        .optional()
        .map_err(|error| segment.failed(&error))?;
    Ok(found.is_some_and(|found| found == Catalogue::digest()))
}

/// Compares the stored index with what the events give.
pub(super) fn check_index(segment: &Segment, index: index::Builder) -> Result<(), LogError> {
    let (first, last) = (segment.info().first, segment.info().last);
    let wrong = || {
        let reason = "its index is not the one of its events".to_owned();
        LogError::Corrupt { first, last, reason }
    };
    let failed = |error: rusqlite::Error| segment.failed(&error);
    let sql = "SELECT field, value, count, postings FROM term ORDER BY field, value";
    let mut statement = segment.connection().prepare(sql).map_err(failed)?;
    let mut rows = statement.query([]).map_err(failed)?;
    for term in index.finish() {
        let row = rows.next().map_err(failed)?.ok_or_else(wrong)?;
        let blob = |column: usize, expected: &[u8]| {
            row.get_ref(column).is_ok_and(|value| matches!(value, ValueRef::Blob(blob) if blob == expected))
        };
        let numbers = (row.get::<_, u8>(0).map_err(failed)?, row.get::<_, u32>(2).map_err(failed)?);
        if numbers != (term.field, term.count) || !blob(1, &term.value) || !blob(3, &term.postings) {
            return Err(wrong());
        }
    }
    if rows.next().map_err(failed)?.is_some() { Err(wrong()) } else { Ok(()) }
}
