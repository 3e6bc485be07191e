//! Reading a sealed segment.

use std::collections::BTreeMap;
use std::ops::{ControlFlow, Range};
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::dictionary::Dictionary;
use super::file::KEYS_IN_CHUNK;
use super::manifest::{FORMAT, SegmentInfo};
use super::{Positions, times};
use crate::event::{Catalogue, Entry, Event, Position};
use crate::index;
use crate::log::decoder::Decoder;
use crate::log::row::Head;
use crate::log::{LogError, TimeRange, hot};
use crate::time::Timestamp;

/// The positions of a block, and why it cannot be read or its entries.
type Decoded = (Positions, Result<Vec<Entry>, LogError>);

/// An open segment, and its index ([`Terms`](crate::index::Terms), [`Timed`](crate::index::Timed)). Event numbers are
/// positions less the segment's first one. The file is never changed, and stays readable here even when it is removed.
#[derive(Debug)]
pub struct Segment {
    info: SegmentInfo,
    path: PathBuf,
    connection: Connection,
    index_version: u32,
    /// Whether the index was made with this program's catalogue.
    has_own_catalogue: bool,
    /// One for each dictionary that was asked for, by its number.
    decoders: BTreeMap<i64, Decoder>,
    /// The block that was decoded last.
    cached: Option<(Positions, Vec<Entry>)>,
}

/// What a table row says of a block.
pub(in crate::log) struct StoredBlock {
    pub positions: Positions,
    pub times: (i64, i64),
    pub received_max: i64,
    pub kinds: i64,
    pub head: Head,
    pub event_times: Vec<u8>,
    /// The beginnings of the entries' digests, in order.
    pub marks: Vec<u8>,
    /// What it was compressed with; 0: without any.
    pub dictionary: i64,
    pub bytes: Vec<u8>,
}

impl StoredBlock {
    /// How many entries it has.
    pub(super) fn count(&self) -> usize {
        length(self.positions)
    }
}

/// As SQLite orders it: keys are unsigned, its numbers are not.
pub(in crate::log) const fn bias(key: u64) -> i64 {
    (key ^ 1 << 63).cast_signed()
}

/// Sorted keys in pieces of one page each. Equal keys never stand in two pieces.
pub(in crate::log) fn chunks(keys: &[u64]) -> impl Iterator<Item = &[u64]> {
    let mut rest = keys;
    std::iter::from_fn(move || {
        let mut end = KEYS_IN_CHUNK.min(rest.len());
        while end > 0 && end < rest.len() && rest.get(end) == rest.get(end - 1) {
            end += 1;
        }
        let (chunk, tail) = rest.split_at(end);
        rest = tail;
        (!chunk.is_empty()).then_some(chunk)
    })
}

const COLUMNS: &str =
    "first, last, time_min, time_max, received_max, kinds, head, times, marks, dictionary, bytes";

impl Segment {
    /// Opens the file of a segment.
    pub(in crate::log) fn open(path: &Path, info: SegmentInfo) -> Result<Self, LogError> {
        let corrupt = |reason: String| LogError::Corrupt { first: info.first, last: info.last, reason };
        let name = path.display().to_string();
        let opened = || -> rusqlite::Result<([i64; 3], u32, bool, Connection)> {
            let connection = hot::open_immutable(path)?;
            let number = |key: &str| connection.query_row(META, [key], |row| row.get::<_, i64>(0));
            let (format, first, last) = (number("format")?, number("first")?, number("last")?);
            let index = connection.query_row(META, ["index"], |row| row.get(0)).optional()?;
            let catalogue: Option<Vec<u8>> =
                connection.query_row(META, ["catalogue"], |row| row.get(0)).optional()?;
            let has_own = catalogue.is_some_and(|digest| digest == Catalogue::digest());
            Ok(([format, first, last], index.unwrap_or(0), has_own, connection))
        };
        let (says, index_version, has_own_catalogue, connection) =
            opened().map_err(|error| corrupt(format!("{name}: {error}")))?;
        let expected = [i64::from(FORMAT), info.first.cast_signed(), info.last.cast_signed()];
        if says != expected {
            return Err(corrupt(format!("{name} says something else of itself than its manifest")));
        }
        Ok(Self {
            info,
            path: path.to_owned(),
            connection,
            index_version,
            has_own_catalogue,
            decoders: BTreeMap::new(),
            cached: None,
        })
    }

    /// What is known of it.
    #[must_use]
    pub const fn info(&self) -> &SegmentInfo {
        &self.info
    }

    /// Its file.
    pub(in crate::log) fn path(&self) -> &Path {
        &self.path
    }

    /// Which version of the index it has ([`crate::index::VERSION`]); 0 where it does not say.
    #[must_use]
    pub const fn index_version(&self) -> u32 {
        self.index_version
    }

    /// Whether this program would make the same index: its version, and its catalogue, on which it depends what an event
    /// is called.
    pub(in crate::log) const fn is_current(&self) -> bool {
        self.index_version == index::VERSION && self.has_own_catalogue
    }

    /// The event times of these entries, by their number in the segment; none for those that are no events.
    pub fn times_of(&mut self, numbers: Range<u32>) -> Result<Vec<Option<Timestamp>>, LogError> {
        let position = |number: u32| self.info.first + u64::from(number);
        let (from, to) = (position(numbers.start), position(numbers.end).min(self.info.last + 1));
        let mut found = Vec::with_capacity(numbers.len());
        let mut statement =
            self.connection.prepare_cached(TIMES_FROM).map_err(|error| self.failed(&error))?;
        let mut rows = statement
            .query(params![from.cast_signed(), to.cast_signed()])
            .map_err(|error| self.failed(&error))?;
        while let Some(row) = rows.next().map_err(|error| self.failed(&error))? {
            let (first, last) = positions(row).map_err(|error| self.failed(&error))?;
            let bytes = row.get_ref(2).and_then(|value| Ok(value.as_blob()?));
            let bytes = bytes.map_err(|error| self.failed(&error))?;
            let times = times::decode(bytes, length((first, last))).ok_or_else(|| {
                let reason = "the times of its events are not what was written".to_owned();
                LogError::Corrupt { first, last, reason }
            })?;
            let skip = usize::try_from(from.saturating_sub(first)).unwrap_or(usize::MAX);
            let take = length((from.max(first), last.min(to - 1)));
            found.extend(times.into_iter().skip(skip).take(take));
        }
        Ok(found)
    }

    /// Visits the events with these numbers, in this order, until `visit` breaks; those that are no events are left out.
    /// Neighbouring numbers in ascending or descending order cost one decoding for each block that is touched, and no
    /// more than one block is in memory. What was sent is a part of it: who keeps one event must copy that, not to keep
    /// its whole block.
    pub fn events(
        &mut self,
        numbers: &[u32],
        visit: &mut dyn FnMut(Event) -> ControlFlow<()>,
    ) -> Result<(), LogError> {
        for number in numbers {
            if let Some(event) = self.event(self.info.first + u64::from(*number))?
                && visit(event).is_break()
            {
                break;
            }
        }
        Ok(())
    }

    /// The event at a position.
    pub(in crate::log) fn event(&mut self, position: Position) -> Result<Option<Event>, LogError> {
        let entries = self.entries_with(position)?;
        let index = entries.binary_search_by_key(&position, Entry::position);
        match index.ok().and_then(|index| entries.get(index)) {
            Some(Entry::Event(event)) => Ok(Some(event.clone())),
            _ => Ok(None),
        }
    }

    /// The entries of the block that has this position.
    fn entries_with(&mut self, position: Position) -> Result<&[Entry], LogError> {
        let is_cached =
            self.cached.as_ref().is_some_and(|((first, last), _)| (*first..=*last).contains(&position));
        if !is_cached {
            self.cached = None;
            self.cached = Some(self.decoded_with(position)?);
        }
        Ok(self.cached.as_ref().map_or(&[], |(_, entries)| entries))
    }

    /// The block that has this position, decoded.
    pub(in crate::log) fn decoded_with(
        &mut self,
        position: Position,
    ) -> Result<(Positions, Vec<Entry>), LogError> {
        let block = self.block_with(position)?;
        let entries = self.decoder(block.dictionary)?.entries(block.positions, &block.bytes)?;
        Ok((block.positions, entries))
    }

    /// The block that has this position, as it is stored.
    pub(in crate::log) fn block_with(&self, position: Position) -> Result<StoredBlock, LogError> {
        let sql = format!("SELECT {COLUMNS} FROM block WHERE first <= ?1 ORDER BY first DESC LIMIT 1");
        let found = self
            .connection
            .prepare_cached(&sql)
            .and_then(|mut statement| statement.query_row([position.cast_signed()], stored).optional())
            .map_err(|error| self.failed(&error))?;
        found.filter(|block| block.positions.1 >= position).ok_or_else(|| LogError::Corrupt {
            first: position,
            last: position,
            reason: "its block is missing".to_owned(),
        })
    }

    /// The rows of a block, decompressed.
    pub(in crate::log) fn plain(&mut self, block: &StoredBlock) -> Result<Vec<u8>, LogError> {
        self.decoder(block.dictionary)?.plain(block.positions, &block.bytes)
    }

    /// What reads blocks that were compressed with this dictionary.
    fn decoder(&mut self, dictionary: i64) -> Result<&mut Decoder, LogError> {
        if !self.decoders.contains_key(&dictionary) {
            let bytes = if dictionary == 0 { Vec::new() } else { self.dictionary(dictionary)?.bytes };
            self.decoders.insert(dictionary, Decoder::with(bytes));
        }
        Ok(self.decoders.entry(dictionary).or_default())
    }

    /// What the last block was compressed with, if anything.
    pub(super) fn last_dictionary(&self) -> Result<Option<Dictionary>, LogError> {
        let number = self.block_with(self.info.last)?.dictionary;
        (number != 0).then(|| self.dictionary(number)).transpose()
    }

    /// All dictionaries and their numbers.
    pub(super) fn dictionaries(&self) -> Result<Vec<(i64, Dictionary)>, LogError> {
        let numbers = || -> rusqlite::Result<Vec<i64>> {
            let mut statement = self.connection.prepare_cached("SELECT id FROM dictionary ORDER BY id")?;
            statement.query_map([], |row| row.get(0))?.collect()
        };
        let numbers = numbers().map_err(|error| self.failed(&error))?;
        numbers.into_iter().map(|number| Ok((number, self.dictionary(number)?))).collect()
    }

    /// A dictionary by its number.
    pub(super) fn dictionary(&self, number: i64) -> Result<Dictionary, LogError> {
        Dictionary::read(&self.connection, number).map_err(|error| self.failed(&error))
    }

    /// The last block before a position that has events in the range: its first position, and why it cannot be
    /// read or its entries.
    pub(in crate::log) fn block_before(
        &mut self,
        before: Position,
        range: TimeRange,
    ) -> Result<Option<Decoded>, LogError> {
        let before = i64::try_from(before).unwrap_or(i64::MAX);
        let found = self
            .connection
            .prepare_cached(BLOCK_BEFORE)
            .and_then(|mut statement| {
                let read =
                    |row: &Row<'_>| Ok((positions(row)?, row.get::<_, i64>(2)?, row.get::<_, Vec<u8>>(3)?));
                statement.query_row(params![before, range.from.0, range.to.0], read).optional()
            })
            .map_err(|error| self.failed(&error))?;
        let Some((positions, dictionary, bytes)) = found else { return Ok(None) };
        let entries = self.decoder(dictionary).and_then(|decoder| decoder.entries(positions, &bytes));
        Ok(Some((positions, entries)))
    }

    /// All keys, sorted.
    pub(in crate::log) fn keys(&self) -> Result<Vec<u64>, LogError> {
        let read = || -> rusqlite::Result<Vec<u64>> {
            let mut statement = self.connection.prepare_cached("SELECT keys FROM key ORDER BY first")?;
            let mut rows = statement.query([])?;
            let mut keys = Vec::new();
            while let Some(row) = rows.next()? {
                let chunk = row.get_ref(0)?.as_blob()?;
                keys.extend(chunk.as_chunks::<8>().0.iter().map(|key| u64::from_le_bytes(*key)));
            }
            Ok(keys)
        };
        read().map_err(|error| self.failed(&error))
    }

    /// Whether an event has this key.
    pub(in crate::log) fn has_key(&self, key: u64) -> Result<bool, LogError> {
        let found = self
            .connection
            .prepare_cached("SELECT keys FROM key WHERE first <= ?1 ORDER BY first DESC LIMIT 1")
            .and_then(|mut statement| {
                let search = |row: &Row<'_>| {
                    let chunk = row.get_ref(0)?.as_blob()?.as_chunks::<8>().0;
                    Ok(chunk.binary_search_by_key(&key, |bytes| u64::from_le_bytes(*bytes)).is_ok())
                };
                statement.query_row([bias(key)], search).optional()
            });
        Ok(found.map_err(|error| self.failed(&error))?.unwrap_or(false))
    }

    /// What a failure of the database means: the file is not what was written.
    pub(in crate::log) fn failed(&self, error: &rusqlite::Error) -> LogError {
        let reason = format!("{}: {error}", self.path.display());
        LogError::Corrupt { first: self.info.first, last: self.info.last, reason }
    }

    /// For checks that look at tables as they are.
    pub(in crate::log) const fn connection(&self) -> &Connection {
        &self.connection
    }
}

const META: &str = "SELECT value FROM meta WHERE key = ?1";
const TIMES_FROM: &str = "SELECT first, last, times FROM block \
    WHERE first >= coalesce((SELECT max(first) FROM block WHERE first <= ?1), 0) AND first < ?2 ORDER BY first";
const BLOCK_BEFORE: &str = "SELECT first, last, dictionary, bytes FROM block \
    WHERE first < ?1 AND time_max >= ?2 AND time_min < ?3 ORDER BY first DESC LIMIT 1";

fn positions(row: &Row<'_>) -> rusqlite::Result<Positions> {
    Ok((row.get::<_, i64>(0)?.cast_unsigned(), row.get::<_, i64>(1)?.cast_unsigned()))
}

/// How many positions there are.
fn length((first, last): Positions) -> usize {
    usize::try_from((last + 1).saturating_sub(first)).unwrap_or(usize::MAX)
}

fn stored(row: &Row<'_>) -> rusqlite::Result<StoredBlock> {
    Ok(StoredBlock {
        positions: positions(row)?,
        times: (row.get(2)?, row.get(3)?),
        received_max: row.get(4)?,
        kinds: row.get(5)?,
        head: row.get(6)?,
        event_times: row.get(7)?,
        marks: row.get(8)?,
        dictionary: row.get(9)?,
        bytes: row.get(10)?,
    })
}
