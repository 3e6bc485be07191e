//! Reading the log: in order, one event, or newest first.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::block::Decoder;
use super::{LogError, hot};
use crate::event::{Entry, Event, Position};
use crate::time::Timestamp;

/// One read gives no more than the entry with which it comes to this many bytes.
const READ_BYTES_MAX: usize = 32 << 20;

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
}

/// Reads the log over a connection of its own, in any process. A log that is not there yet is empty; the
/// reader sees it once it is.
#[derive(Debug)]
pub struct Reader {
    dir: PathBuf,
    connection: Option<Connection>,
    decoder: Decoder,
    /// The block that was read last and may be asked for again, in order of position.
    cached: Vec<Entry>,
}

/// A block's place in the log.
type Positions = (Position, Position);

impl Reader {
    /// A reader of the log in this data folder. Where the folder may not be written and no daemon runs, it sees
    /// the log as it is now, and nothing of a daemon that starts later.
    pub fn open(dir: &Path) -> Result<Self, LogError> {
        let connection = hot::open_to_read(dir)?;
        Ok(Self { dir: dir.to_owned(), connection, decoder: Decoder::default(), cached: Vec::new() })
    }

    /// The entries after `position`, in order, at most `max` of them. There may be fewer although more
    /// follow (large ones are read in several steps); only an empty answer is the end of the log.
    pub fn read_after(&mut self, position: Position, max: usize) -> Result<Vec<Entry>, LogError> {
        let mut taken = Taken { next: position.saturating_add(1), max, bytes: 0, entries: Vec::new() };
        if let Some(start) = self.cached_at(taken.next) {
            taken.copy(&self.cached[start..]);
        }
        let Some(connection) = connection(&mut self.connection, &self.dir)? else { return Ok(Vec::new()) };
        if taken.is_full() {
            return Ok(taken.entries);
        }
        let failed = |error: rusqlite::Error| LogError::database(&hot::path(&self.dir), &error);
        let mut statement = connection.prepare_cached(BLOCKS_FROM).map_err(failed)?;
        let mut rows = statement.query(params![signed(taken.next)]).map_err(failed)?;
        while !taken.is_full()
            && let Some(row) = rows.next().map_err(failed)?
        {
            let positions = positions(row).map_err(failed)?;
            if positions.1 < taken.next {
                continue;
            }
            let stored = row.get_ref(2).and_then(|value| Ok(value.as_blob()?)).map_err(failed)?;
            let entries = match self.decoder.entries(positions, stored) {
                // What stands before the damage is given first.
                Err(_) if !taken.entries.is_empty() => break,
                decoded => decoded?,
            };
            if let Some(rest) = taken.take(entries) {
                self.cached = rest;
            }
        }
        Ok(taken.entries)
    }

    /// The event at a position; none where there is a tick or nothing.
    pub fn get(&mut self, position: Position) -> Result<Option<Event>, LogError> {
        if self.cached_at(position).is_none() && !self.load(position)? {
            return Ok(None);
        }
        let found = self.cached_at(position).and_then(|index| self.cached.get(index));
        let Some(Entry::Event(event)) = found else { return Ok(None) };
        // A copy: one event that is kept must not keep its whole block.
        Ok(Some(Event { raw: Bytes::copy_from_slice(&event.raw), ..event.clone() }))
    }

    /// Visits the events whose own time lies in `range`, by position descending, until `visit` breaks.
    /// Blocks without such an event are not decoded.
    pub fn newest_first(
        &mut self,
        range: TimeRange,
        visit: &mut dyn FnMut(Event) -> ControlFlow<()>,
    ) -> Result<(), LogError> {
        let mut before = Position::MAX;
        // A query for each block: a transaction held while a visitor takes its time would let the
        // write-ahead log grow.
        while let Some((positions, entries)) = self.block_before(before, range)? {
            before = positions.0;
            for entry in entries.into_iter().rev() {
                if let Entry::Event(event) = entry
                    && range.has(event.time)
                    && visit(event).is_break()
                {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// The last entry's position; 0 while there is none.
    pub fn last_position(&mut self) -> Result<Position, LogError> {
        let Some(connection) = connection(&mut self.connection, &self.dir)? else { return Ok(0) };
        let found = connection
            .prepare_cached("SELECT last FROM block ORDER BY first DESC LIMIT 1")
            .and_then(|mut statement| statement.query_row([], |row| row.get::<_, i64>(0)).optional());
        let last = found.map_err(|error| LogError::database(&hot::path(&self.dir), &error))?;
        Ok(last.unwrap_or(0).cast_unsigned())
    }

    /// The connection and where its file is, for the check of the chain.
    pub(super) fn database(&mut self) -> Result<Option<(&Connection, PathBuf)>, LogError> {
        let path = hot::path(&self.dir);
        Ok(connection(&mut self.connection, &self.dir)?.map(|connection| (connection, path)))
    }

    /// Where in the cached block the position is.
    fn cached_at(&self, position: Position) -> Option<usize> {
        let offset = position.checked_sub(self.cached.first()?.position())?;
        usize::try_from(offset).ok().filter(|index| *index < self.cached.len())
    }

    /// Caches the block that has this position; false if there is none.
    fn load(&mut self, position: Position) -> Result<bool, LogError> {
        let Some(connection) = connection(&mut self.connection, &self.dir)? else { return Ok(false) };
        let decoder = &mut self.decoder;
        let found = one_block(connection, BLOCK_WITH, params![signed(position)], decoder)
            .map_err(|error| LogError::database(&hot::path(&self.dir), &error))?;
        let Some((_, entries)) = found else { return Ok(false) };
        self.cached = entries?;
        Ok(true)
    }

    /// The last block before a position that has events in the range.
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

/// What one read has gathered.
struct Taken {
    next: Position,
    max: usize,
    bytes: usize,
    entries: Vec<Entry>,
}

impl Taken {
    fn is_full(&self) -> bool {
        self.entries.len() >= self.max || self.bytes >= READ_BYTES_MAX
    }

    fn push(&mut self, entry: Entry) {
        if let Entry::Event(event) = &entry {
            self.bytes += event.raw.len();
        }
        self.next = entry.position() + 1;
        self.entries.push(entry);
    }

    /// Takes from a block that stays cached.
    fn copy(&mut self, entries: &[Entry]) {
        for entry in entries {
            if self.is_full() {
                return;
            }
            self.push(entry.clone());
        }
    }

    /// Takes a block, without copying when all of it fits; gives it back if something is left in it.
    fn take(&mut self, entries: Vec<Entry>) -> Option<Vec<Entry>> {
        let starts_here = entries.first().is_some_and(|entry| entry.position() == self.next);
        let bytes: usize = entries.iter().map(size).sum();
        if starts_here
            && self.entries.len() + entries.len() <= self.max
            && self.bytes + bytes <= READ_BYTES_MAX
        {
            entries.into_iter().for_each(|entry| self.push(entry));
            return None;
        }
        let next = self.next;
        let start = entries.iter().position(|entry| entry.position() >= next).unwrap_or(entries.len());
        self.copy(&entries[start..]);
        Some(entries)
    }
}

fn size(entry: &Entry) -> usize {
    match entry {
        Entry::Event(event) => event.raw.len(),
        Entry::Tick { .. } => 0,
    }
}
