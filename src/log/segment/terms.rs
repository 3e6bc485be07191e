//! The index of an open segment, as searches ask for it.

use std::ops::ControlFlow;

use roaring::RoaringBitmap;
use rusqlite::types::ValueRef;
use rusqlite::{OptionalExtension as _, Row, params};

use super::{Positions, Segment, times};
use crate::event::Position;
use crate::index::{Terms, Timed, Visit};
use crate::log::LogError;
use crate::time::Timestamp;

impl Terms for Segment {
    type Error = LogError;

    fn postings(&mut self, field: u8, value: &[u8]) -> Result<Option<Vec<u8>>, LogError> {
        let found = self
            .connection()
            .prepare_cached("SELECT postings FROM term WHERE field = ?1 AND value = ?2")
            .and_then(|mut statement| {
                statement.query_row(params![field, value], |row| row.get(0)).optional()
            });
        found.map_err(|error| self.failed(&error))
    }

    fn scan(&mut self, field: u8, from: &[u8], visit: &mut Visit<'_>) -> Result<(), LogError> {
        let sql = "SELECT value, count, postings FROM term WHERE field = ?1 AND value >= ?2 ORDER BY value";
        let read = |visit: &mut Visit<'_>| -> rusqlite::Result<()> {
            let mut statement = self.connection().prepare_cached(sql)?;
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
        self.each_time((from, to), &mut |number, time| {
            if from <= time && time <= to {
                found.insert(number);
            }
        })?;
        Ok(found)
    }

    fn times(&mut self, visit: &mut dyn FnMut(u32, Timestamp)) -> Result<(), LogError> {
        self.each_time((Timestamp(i64::MIN), Timestamp(i64::MAX)), visit)
    }
}

/// A block's positions, earliest and latest time, and its times as they are stored.
type BlockTimes<'a> = (Positions, &'a [u8]);

impl Segment {
    /// Visits the times of the blocks that have any between these two, both included.
    fn each_time(
        &self,
        (from, to): (Timestamp, Timestamp),
        visit: &mut dyn FnMut(u32, Timestamp),
    ) -> Result<(), LogError> {
        let first = self.info().first;
        self.each_block_times((from, to), &mut |(positions, bytes)| {
            let count = usize::try_from(positions.1 + 1 - positions.0).unwrap_or(usize::MAX);
            let Some(times) = times::decode(bytes, count) else { return ControlFlow::Break(positions) };
            let start = u32::try_from(positions.0 - first).unwrap_or(u32::MAX);
            for (number, time) in (start..).zip(times) {
                if let Some(time) = time {
                    visit(number, time);
                }
            }
            ControlFlow::Continue(())
        })
    }

    fn each_block_times(
        &self,
        (from, to): (Timestamp, Timestamp),
        visit: &mut dyn FnMut(BlockTimes<'_>) -> ControlFlow<Positions>,
    ) -> Result<(), LogError> {
        let sql =
            "SELECT first, last, times FROM block WHERE time_max >= ?1 AND time_min <= ?2 ORDER BY first";
        let mut read = || -> rusqlite::Result<ControlFlow<Positions>> {
            let mut statement = self.connection().prepare_cached(sql)?;
            let mut rows = statement.query(params![from.0, to.0])?;
            while let Some(row) = rows.next()? {
                if let broken @ ControlFlow::Break(_) = visit((positions(row)?, row.get_ref(2)?.as_blob()?)) {
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
