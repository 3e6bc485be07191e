//! Reading the log: in order, one event, or newest first; sealed segments and the hot end alike.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::decoder::Decoder;
use super::row::{GENESIS, Head};
use super::sealed::Sealed;
use super::segment::{Positions, Segment, SegmentInfo};
use super::taken::Taken;
use super::{LogError, hot};
use crate::event::{Entry, Event, Position};
use crate::time::Timestamp;

/// Event times from `from` (included) to `to` (excluded).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeRange {
    /// The first moment that belongs to it.
    pub from: Timestamp,
    /// The first one that does not any more.
    pub to: Timestamp,
}

impl TimeRange {
    fn has(&self, time: Timestamp) -> bool {
        self.from <= time && time < self.to
    }

    /// Visits the events of a block that lie in the range, the newest first.
    fn visit(&self, entries: Vec<Entry>, visit: &mut dyn FnMut(Event) -> ControlFlow<()>) -> ControlFlow<()> {
        for entry in entries.into_iter().rev() {
            if let Entry::Event(event) = entry
                && self.has(event.time)
            {
                visit(event)?;
            }
        }
        ControlFlow::Continue(())
    }
}

/// Reads the log over a connection of its own, in any process: sealed segments and the hot end as one. A log that is
/// not there yet is empty; the reader sees it once it is.
#[derive(Debug)]
pub struct Reader {
    pub(super) dir: PathBuf,
    connection: Option<Connection>,
    decoder: Decoder,
    pub(super) sealed: Sealed,
    /// The block that was read last and may be asked for again, in order of position.
    cached: Vec<Entry>,
}

/// Where a read has to go on.
enum Found {
    /// In the hot end, again.
    Here,
    /// In a segment: the hot end has it no more.
    Sealed,
    /// Nowhere: that was the last entry.
    End,
}

impl Reader {
    /// A reader of the log in this data folder. Where the folder may not be written and no daemon runs, it sees
    /// the log as it is now, and nothing of a daemon that starts later.
    pub fn open(dir: &Path) -> Result<Self, LogError> {
        let connection = hot::open_to_read(dir)?;
        let sealed = Sealed::new(dir);
        Ok(Self { dir: dir.to_owned(), connection, decoder: Decoder::default(), sealed, cached: Vec::new() })
    }

    /// The entries after `position`, in order, at most `max` of them. There may be fewer although more
    /// follow (large ones are read in several steps); only an empty answer is the end of the log.
    /// [`LogError::Corrupt`] names the positions that cannot be read: a block's, or those of a whole segment.
    pub fn read_after(&mut self, position: Position, max: usize) -> Result<Vec<Entry>, LogError> {
        let mut taken = Taken { next: position.saturating_add(1), max, bytes: 0, entries: Vec::new() };
        let cached = self.cached_from(taken.next);
        taken.copy(self.cached.get(cached..).unwrap_or_default());
        while !taken.is_full() {
            let found = self.take_hot(&mut taken)?;
            let read = match found {
                Found::End => break,
                Found::Here => continue,
                Found::Sealed => self.take_sealed(&mut taken),
            };
            match read {
                Ok(()) => {}
                // What stands before the damage is given first.
                Err(_) if !taken.entries.is_empty() => break,
                Err(error) => return Err(error),
            }
        }
        Ok(taken.entries)
    }

    /// Reads on in the hot end.
    fn take_hot(&mut self, taken: &mut Taken) -> Result<Found, LogError> {
        let Some(connection) = connection(&mut self.connection, &self.dir)? else { return Ok(Found::End) };
        let failed = |error: rusqlite::Error| LogError::database(&hot::path(&self.dir), &error);
        let mut statement = connection.prepare_cached(BLOCKS_FROM).map_err(failed)?;
        let mut rows = statement.query(params![signed(taken.next)]).map_err(failed)?;
        let mut is_first = true;
        while !taken.is_full() {
            let Some(row) = rows.next().map_err(failed)? else { break };
            let positions = positions(row).map_err(failed)?;
            if positions.1 < taken.next {
                continue;
            }
            // Looked at after the block: blocks are only removed once a segment has them.
            if std::mem::take(&mut is_first)
                && positions.0 > taken.next
                && hot::base(connection).map_err(failed)?.0 >= taken.next
            {
                return Ok(Found::Sealed);
            }
            let stored = row.get_ref(2).and_then(|value| Ok(value.as_blob()?)).map_err(failed)?;
            let entries = match self.decoder.entries(positions, stored) {
                Err(_) if !taken.entries.is_empty() => return Ok(Found::End),
                decoded => decoded?,
            };
            self.cached = taken.take(entries, positions.1).unwrap_or_default();
        }
        let is_sealed = is_first && hot::base(connection).map_err(failed)?.0 >= taken.next;
        Ok(if is_sealed {
            Found::Sealed
        } else if taken.is_full() {
            Found::Here
        } else {
            Found::End
        })
    }

    /// Reads on in the segment that has the next entry, to its end.
    fn take_sealed(&mut self, taken: &mut Taken) -> Result<(), LogError> {
        if let Some(last) = self.gone(taken.next)? {
            taken.next = last + 1;
            return Ok(());
        }
        let segment = self.sealed.with(taken.next)?;
        let last = segment.info().last;
        while !taken.is_full() && taken.next <= last {
            let (positions, entries) = segment.decoded_with(taken.next)?;
            self.cached = taken.take(entries, positions.1).unwrap_or_default();
        }
        Ok(())
    }

    /// The event at a position; none where there is a tick, nothing, or something that was deleted.
    pub fn get(&mut self, position: Position) -> Result<Option<Event>, LogError> {
        let has = |cached: &[Entry]| {
            let index = cached.binary_search_by_key(&position, Entry::position).ok()?;
            cached.get(index).cloned()
        };
        let mut found = has(&self.cached);
        if found.is_none() && !self.load(position)? {
            let (base, _) = self.base()?;
            if position > base || position == 0 {
                return Ok(None);
            }
            if self.gone(position)?.is_some() {
                return Ok(None);
            }
            self.cached = self.sealed.with(position)?.decoded_with(position)?.1;
        }
        found = found.or_else(|| has(&self.cached));
        let Some(Entry::Event(event)) = found else { return Ok(None) };
        // A copy: one event that is kept must not keep its whole block.
        Ok(Some(Event { raw: Bytes::copy_from_slice(&event.raw), ..event }))
    }

    /// Visits the events whose own time lies in `range`, by position descending, until `visit` breaks.
    /// Blocks without such an event are not decoded. What is damaged in sealed segments is left out, and
    /// [`Reader::segments`] says so afterwards.
    pub fn newest_first(
        &mut self,
        range: TimeRange,
        visit: &mut dyn FnMut(Event) -> ControlFlow<()>,
    ) -> Result<(), LogError> {
        self.newest_between((1, Position::MAX), range, visit)
    }

    /// The same from the first position (included) to the second one (excluded).
    pub fn newest_between(
        &mut self,
        (from, mut before): Positions,
        range: TimeRange,
        visit: &mut dyn FnMut(Event) -> ControlFlow<()>,
    ) -> Result<(), LogError> {
        // A query for each block: a transaction held while a visitor takes its time would let the
        // write-ahead log grow.
        while let Some((positions, mut entries)) = self.block_before(before, range)? {
            if positions.1 < from {
                break;
            }
            entries.retain(|entry| (from..before).contains(&entry.position()));
            before = positions.0;
            if range.visit(entries, visit).is_break() {
                return Ok(());
            }
        }
        let (base, _) = self.base()?;
        before = before.min(base.saturating_add(1));
        if before <= from {
            return Ok(());
        }
        self.sealed.refresh(base)?;
        for listed in self.sealed.listed().to_vec().into_iter().rev() {
            let info = &listed.info;
            let is_wanted = info.times.is_some_and(|(min, max)| max >= range.from && min < range.to);
            if info.first >= before || info.last < from || info.damage.is_some() || !is_wanted {
                continue;
            }
            match self.newest_in_segment(info.first, (from, before), range, visit)? {
                // A merged one may begin earlier than the one that was listed.
                ControlFlow::Continue(first) => before = first.min(info.first),
                ControlFlow::Break(()) => return Ok(()),
            }
        }
        Ok(())
    }

    /// Goes through the segment that has a position; where that one begins, unless the visitor broke off.
    fn newest_in_segment(
        &mut self,
        position: Position,
        (from, mut before): Positions,
        range: TimeRange,
        visit: &mut dyn FnMut(Event) -> ControlFlow<()>,
    ) -> Result<ControlFlow<(), Position>, LogError> {
        // One that cannot be opened has been set aside by that.
        let Ok(segment) = self.sealed.with(position) else { return Ok(ControlFlow::Continue(position)) };
        let (first, last) = (segment.info().first, segment.info().last);
        loop {
            let found = match self.sealed.with(position) {
                Ok(segment) => segment.block_before(before, range),
                Err(_) => return Ok(ControlFlow::Continue(first)),
            };
            let (positions, entries) = match found {
                Ok(Some(found)) if found.0.1 >= from => found,
                Ok(_) => return Ok(ControlFlow::Continue(first)),
                Err(error) => {
                    self.sealed.set_aside((first, last), &error);
                    return Ok(ControlFlow::Continue(first));
                }
            };
            match entries {
                Ok(mut entries) => {
                    entries.retain(|entry| (from..before).contains(&entry.position()));
                    if range.visit(entries, visit).is_break() {
                        return Ok(ControlFlow::Break(()));
                    }
                }
                Err(error) => self.sealed.note((first, last), &error),
            }
            before = positions.0;
        }
    }

    /// The last entry's position; 0 while there is none.
    pub fn last_position(&mut self) -> Result<Position, LogError> {
        Ok(self.end()?.0)
    }

    /// The sealed segments in order of position, as they are now.
    pub fn segments(&mut self) -> Result<Vec<SegmentInfo>, LogError> {
        let (base, _) = self.base()?;
        self.sealed.refresh(base)?;
        Ok(self.sealed.infos())
    }

    /// The sealed segment that has this position. [`LogError::Corrupt`] where it is set aside, cannot be opened, or no
    /// segment has the position.
    pub fn segment(&mut self, position: Position) -> Result<&mut Segment, LogError> {
        self.list_if_missing(position)?;
        self.sealed.with(position)
    }

    /// The first position that no segment of the last [`Reader::segments`] has, so that nothing is indexed from there
    /// on; one after the last position if there is none. What lies there may be sealed meanwhile, and
    /// [`Reader::read_after`] finds it all the same.
    #[must_use]
    pub fn first_unsealed(&self) -> Position {
        self.sealed.last() + 1
    }

    /// The last entry and the chain after it.
    pub fn end(&mut self) -> Result<(Position, Head), LogError> {
        let Some(connection) = connection(&mut self.connection, &self.dir)? else { return Ok((0, GENESIS)) };
        hot::end(connection).map_err(|error| LogError::database(&hot::path(&self.dir), &error))
    }

    /// The last entry that the hot end has no more, and the chain after it.
    pub(super) fn base(&mut self) -> Result<(Position, Head), LogError> {
        let Some(connection) = connection(&mut self.connection, &self.dir)? else { return Ok((0, GENESIS)) };
        hot::base(connection).map_err(|error| LogError::database(&hot::path(&self.dir), &error))
    }

    /// Another process may have sealed or merged since the last listing.
    pub(super) fn list_if_missing(&mut self, position: Position) -> Result<(), LogError> {
        if self.sealed.has(position) || self.sealed.gone(position).is_some() {
            return Ok(());
        }
        let (base, _) = self.base()?;
        self.sealed.refresh(base)
    }

    /// The connection and where its file is, for the check of the chain.
    pub(super) fn database(&mut self) -> Result<Option<(&Connection, PathBuf)>, LogError> {
        let path = hot::path(&self.dir);
        Ok(connection(&mut self.connection, &self.dir)?.map(|connection| (connection, path)))
    }

    /// Where the cached block has this position or the next one after it; its end if it does not reach there, or
    /// begins later.
    fn cached_from(&self, position: Position) -> usize {
        match self.cached.first() {
            Some(first) if first.position() <= position => {
                self.cached.partition_point(|entry| entry.position() < position)
            }
            _ => self.cached.len(),
        }
    }

    /// Caches the hot block that has this position; false if there is none.
    fn load(&mut self, position: Position) -> Result<bool, LogError> {
        let Some(connection) = connection(&mut self.connection, &self.dir)? else { return Ok(false) };
        let decoder = &mut self.decoder;
        let found = one_block(connection, BLOCK_WITH, params![signed(position)], decoder)
            .map_err(|error| LogError::database(&hot::path(&self.dir), &error))?;
        let Some((positions, entries)) = found else { return Ok(false) };
        self.cached = entries?;
        Ok(positions.1 >= position)
    }

    /// The last hot block before a position that has events in the range.
    fn block_before(
        &mut self,
        before: Position,
        range: TimeRange,
    ) -> Result<Option<(Positions, Vec<Entry>)>, LogError> {
        let Some(connection) = connection(&mut self.connection, &self.dir)? else { return Ok(None) };
        let values = params![signed(before), range.from.0, range.to.0];
        let found = one_block(connection, BLOCK_BEFORE, values, &mut self.decoder)
            .map_err(|error| LogError::database(&hot::path(&self.dir), &error))?;
        found.map(|(positions, entries)| Ok((positions, entries?))).transpose()
    }
}

const BLOCKS_FROM: &str = "SELECT first, last, bytes FROM block \
    WHERE first >= coalesce((SELECT max(first) FROM block WHERE first <= ?1), 0) ORDER BY first";
const BLOCK_WITH: &str = "SELECT first, last, bytes FROM block WHERE first <= ?1 ORDER BY first DESC LIMIT 1";
const BLOCK_BEFORE: &str = "SELECT first, last, bytes FROM block \
    WHERE first < ?1 AND time_max >= ?2 AND time_min < ?3 ORDER BY first DESC LIMIT 1";

fn connection<'a>(slot: &'a mut Option<Connection>, dir: &Path) -> Result<Option<&'a Connection>, LogError> {
    if slot.is_none() {
        *slot = hot::open_to_read(dir)?;
    }
    Ok(slot.as_ref())
}

/// A position as SQLite compares it.
fn signed(position: Position) -> i64 {
    i64::try_from(position).unwrap_or(i64::MAX)
}

fn positions(row: &Row<'_>) -> rusqlite::Result<Positions> {
    Ok((row.get::<_, i64>(0)?.cast_unsigned(), row.get::<_, i64>(1)?.cast_unsigned()))
}

type Decoded = (Positions, Result<Vec<Entry>, LogError>);

fn one_block(
    connection: &Connection,
    sql: &str,
    values: &[&dyn rusqlite::ToSql],
    decoder: &mut Decoder,
) -> rusqlite::Result<Option<Decoded>> {
    let mut statement = connection.prepare_cached(sql)?;
    let decode = |row: &Row<'_>| {
        let positions = positions(row)?;
        Ok((positions, decoder.entries(positions, row.get_ref(2)?.as_blob()?)))
    };
    statement.query_row(values, decode).optional()
}
