//! The index of an open segment, as searches ask for it.

use std::collections::VecDeque;
use std::ops::{ControlFlow, Range};

use roaring::RoaringBitmap;
use rusqlite::types::ValueRef;
use rusqlite::{OptionalExtension as _, Row, params};

use super::{Positions, Segment, times};
use crate::event::Position;
use crate::index::{Source, Term, Terms, Timed, Visit};
use crate::log::LogError;
use crate::time::Timestamp;

/// Short lists stand in the table of terms, long ones in one of their own.
const ONE: &str = "SELECT coalesce(list.postings, term.postings) \
    FROM term LEFT JOIN list ON list.id = term.postings WHERE field = ?1 AND value = ?2";
const FROM: &str = "SELECT value, count, coalesce(list.postings, term.postings) \
    FROM term LEFT JOIN list ON list.id = term.postings WHERE field = ?1 AND value >= ?2 ORDER BY value";
const AFTER: &str = "SELECT value, count, coalesce(list.postings, term.postings) \
    FROM term LEFT JOIN list ON list.id = term.postings WHERE field = ?1 AND value > ?2 ORDER BY value";
/// So much of an index is read at once.
const PORTION_BYTES: usize = 64 << 10;

impl Source for &Segment {
    type Error = LogError;

    fn terms(&self, field: u8, after: Option<&[u8]>) -> Result<VecDeque<Term>, LogError> {
        let read = || -> rusqlite::Result<VecDeque<Term>> {
            let mut statement =
                self.connection().prepare_cached(if after.is_some() { AFTER } else { FROM })?;
            let mut rows = statement.query(params![field, after.unwrap_or_default()])?;
            let (mut terms, mut bytes) = (VecDeque::new(), 0);
            while bytes < PORTION_BYTES
                && let Some(row) = rows.next()?
            {
                let value: Box<[u8]> = row.get_ref(0)?.as_blob()?.into();
                let postings = row.get_ref(2)?.as_blob()?.to_vec();
                bytes += value.len() + postings.len();
                terms.push_back(Term { field, value, count: row.get(1)?, postings });
            }
            Ok(terms)
        };
        read().map_err(|error| self.failed(&error))
    }
}

impl Terms for Segment {
    type Error = LogError;

    fn postings(&mut self, field: u8, value: &[u8]) -> Result<Option<Vec<u8>>, LogError> {
        let found = self.connection().prepare_cached(ONE).and_then(|mut statement| {
            statement.query_row(params![field, value], |row| row.get(0)).optional()
        });
        found.map_err(|error| self.failed(&error))
    }

    fn scan(&mut self, field: u8, from: &[u8], visit: &mut Visit<'_>) -> Result<(), LogError> {
        let read = |visit: &mut Visit<'_>| -> rusqlite::Result<()> {
            let mut statement = self.connection().prepare_cached(FROM)?;
            let mut rows = statement.query(params![field, from])?;
            while let Some(row) = rows.next()? {
                let (ValueRef::Blob(value), ValueRef::Blob(postings)) = (row.get_ref(0)?, row.get_ref(2)?)
                else {
                    return Err(rusqlite::Error::InvalidQuery);
                };
                if visit(value, row.get(1)?, postings).is_break() {
                    break;
                }
            }
            Ok(())
        };
        read(visit).map_err(|error| self.failed(&error))
    }
}

impl Timed for Segment {
    fn first(&self) -> Position {
        self.info().first
    }

    fn between(&mut self, from: Timestamp, to: Timestamp) -> Result<RoaringBitmap, LogError> {
        let mut found = RoaringBitmap::new();
        let length = self.info().last - self.info().first + 1;
        if self.info().times.is_some_and(|(min, max)| from <= min && max <= to) {
            found.insert_range(..u32::try_from(length).unwrap_or(u32::MAX));
            return Ok(found);
        }
        self.each_block((from, to), true, &mut |numbers, times| match times {
            None => {
                found.insert_range(numbers);
            }
            Some(times) => {
                let is_in = |time: Timestamp| from <= time && time <= to;
                let known = numbers.zip(times);
                found.extend(known.filter(|(_, time)| time.is_some_and(is_in)).map(|(number, _)| number));
            }
        })?;
        Ok(found)
    }

    fn times(&mut self, visit: &mut dyn FnMut(u32, Timestamp)) -> Result<(), LogError> {
        self.each_block((Timestamp(i64::MIN), Timestamp(i64::MAX)), false, &mut |numbers, times| {
            for (number, time) in numbers.zip(times.unwrap_or_default()) {
                if let Some(time) = time {
                    visit(number, time);
                }
            }
        })
    }
}

/// A block's positions, and its times as they are stored, if they are of interest.
type BlockTimes<'a> = (Positions, Option<&'a [u8]>);
/// What visits the numbers of a block's entries, and their times where not all of them fit.
type VisitBlock<'a> = dyn FnMut(Range<u32>, Option<Vec<Option<Timestamp>>>) + 'a;

impl Segment {
    /// Visits the blocks that have any times between these two, both included. Those of blocks that lie between them
    /// as a whole are only read if wanted.
    fn each_block(
        &self,
        range: (Timestamp, Timestamp),
        skips_whole: bool,
        visit: &mut VisitBlock<'_>,
    ) -> Result<(), LogError> {
        let first = self.info().first;
        let number = |position: Position| u32::try_from(position.saturating_sub(first)).unwrap_or(u32::MAX);
        self.each_block_times(range, skips_whole, &mut |(positions, bytes)| {
            let count = usize::try_from((positions.1 + 1).saturating_sub(positions.0)).unwrap_or(usize::MAX);
            let times = match bytes.map(|bytes| times::decode(bytes, count)) {
                Some(None) => return ControlFlow::Break(positions),
                times => times.flatten(),
            };
            visit(number(positions.0)..number(positions.1 + 1), times);
            ControlFlow::Continue(())
        })
    }

    fn each_block_times(
        &self,
        (from, to): (Timestamp, Timestamp),
        skips_whole: bool,
        visit: &mut dyn FnMut(BlockTimes<'_>) -> ControlFlow<Positions>,
    ) -> Result<(), LogError> {
        // The times stand behind the first page of a block: not to read them is most of the gain.
        let sql = "SELECT first, last, CASE WHEN ?3 AND time_min >= ?1 AND time_max <= ?2 THEN NULL ELSE times END \
            FROM block WHERE time_max >= ?1 AND time_min <= ?2 ORDER BY first";
        let mut read = || -> rusqlite::Result<ControlFlow<Positions>> {
            let mut statement = self.connection().prepare_cached(sql)?;
            let mut rows = statement.query(params![from.0, to.0, skips_whole])?;
            while let Some(row) = rows.next()? {
                let times = row.get_ref(2)?.as_blob_or_null()?;
                if let broken @ ControlFlow::Break(_) = visit((positions(row)?, times)) {
                    return Ok(broken);
                }
            }
            Ok(ControlFlow::Continue(()))
        };
        match read().map_err(|error| self.failed(&error))? {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break((first, last)) => {
                let reason = "the times of its events are not what was written".to_owned();
                Err(LogError::Corrupt { first, last, reason })
            }
        }
    }
}

fn positions(row: &Row<'_>) -> rusqlite::Result<Positions> {
    Ok((row.get::<_, i64>(0)?.cast_unsigned(), row.get::<_, i64>(1)?.cast_unsigned()))
}
