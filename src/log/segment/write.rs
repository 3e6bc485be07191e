//! Making the file of a segment.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use rusqlite::{Connection, OpenFlags, params};
use zstd::bulk::Compressor;

use super::manifest::FORMAT;
use super::{Positions, bias, times};
use crate::event::{Catalogue, Entry, Position};
use crate::index;
use crate::log::decoder::Decoder;
use crate::log::packing::{encoding, pack};
use crate::log::row::{Head, Row, Rows, link};
use crate::log::{LogError, durable, fault};
use crate::time::Timestamp;

/// A block is closed when its entries reach one of these.
const BLOCK_ENTRIES: usize = 256;
const BLOCK_BYTES: usize = 1 << 20;
/// Slower than the hot end's by far, and a fifth smaller.
const ZSTD_LEVEL: i32 = 9;
/// Smaller than SQLite's own page size: half a page is lost for each block.
const PAGE: i64 = 1024;
/// So many 8-byte keys fill one page.
pub(super) const KEYS_IN_CHUNK: usize = 120;
/// The dictionary takes two bytes of each entry at most.
const DICTIONARY_MAX: usize = 112 << 10;
const DICTIONARY_MIN: usize = 2 << 10;
/// How many places are looked at for samples, and how many entries are taken at each.
const SAMPLE_PLACES: u64 = 512;
const SAMPLES_EACH: usize = 6;
const SAMPLE_BYTES_MAX: usize = 16 << 10;

const SCHEMA: &str = "
    CREATE TABLE meta (key TEXT PRIMARY KEY, value ANY NOT NULL) STRICT, WITHOUT ROWID;
    CREATE TABLE block (
        first        INTEGER PRIMARY KEY,
        last         INTEGER NOT NULL,
        time_min     INTEGER NOT NULL,
        time_max     INTEGER NOT NULL,
        received_max INTEGER NOT NULL,
        kinds        INTEGER NOT NULL,
        head         BLOB NOT NULL,
        times        BLOB NOT NULL,
        bytes        BLOB NOT NULL
    ) STRICT;
    CREATE TABLE key (first INTEGER PRIMARY KEY, keys BLOB NOT NULL) STRICT;
    CREATE TABLE term (
        field    INTEGER NOT NULL,
        value    BLOB NOT NULL,
        count    INTEGER NOT NULL,
        postings BLOB NOT NULL,
        PRIMARY KEY (field, value)
    ) STRICT, WITHOUT ROWID;";

/// Where the entries come from.
pub(in crate::log) trait Input {
    /// The block that has this position: its positions, and its rows one after the other.
    fn block(&mut self, position: Position) -> Result<(Positions, Vec<u8>), LogError>;
}

/// What is to be written.
pub(in crate::log) struct Plan<'a> {
    pub positions: Positions,
    pub head_before: Head,
    /// The first 8 bytes of the events' keys, in any order.
    pub keys: Vec<u64>,
    pub catalogue: &'a Catalogue,
}

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::log) struct Summary {
    pub first: Position,
    pub last: Position,
    pub events: u64,
    pub deleted: u64,
    pub times: Option<(Timestamp, Timestamp)>,
    pub received: Option<(Timestamp, Timestamp)>,
    pub head_before: Head,
    pub head_after: Head,
}

/// Called between blocks: waits while others need the machine, and may end the work.
pub(in crate::log) type Pace<'a> = dyn FnMut() -> Result<(), LogError> + 'a;

/// Writes and syncs the file of a segment; what was half made is removed where it fails. The answer has the file's
/// length and digest.
pub(in crate::log) fn write(
    path: &Path,
    plan: Plan<'_>,
    input: &mut dyn Input,
    pace: &mut Pace<'_>,
) -> Result<(Summary, (u64, [u8; 32])), LogError> {
    let loose = path.with_extension(format!("loose.{}", durable::TEMPORARY));
    let written = write_both(path, &loose, plan, input, pace);
    drop(durable::remove(&loose));
    if written.is_err() {
        drop(durable::remove(path));
    }
    written
}

fn write_both(
    path: &Path,
    loose: &Path,
    mut plan: Plan<'_>,
    input: &mut dyn Input,
    pace: &mut Pace<'_>,
) -> Result<(Summary, (u64, [u8; 32])), LogError> {
    durable::remove(path)?;
    durable::remove(loose)?;
    let keys = std::mem::take(&mut plan.keys);
    let mut writer = Writer::create(loose, &plan, dictionary(plan.positions, input)?)?;
    let mut next = plan.positions.0;
    while next <= plan.positions.1 {
        pace()?;
        let (positions, plain) = input.block(next)?;
        if positions.0 != next {
            let reason = "entries are missing".to_owned();
            return Err(LogError::Corrupt { first: next, last: positions.0.max(next + 1) - 1, reason });
        }
        writer.rows(positions, plain.into())?;
        next = positions.1 + 1;
    }
    fault::point("segment.before_index");
    let summary = writer.finish(keys, path, pace)?;
    let file = sync_and_digest(path).map_err(LogError::file(path))?;
    Ok((summary, file))
}

fn sync_and_digest(path: &Path) -> std::io::Result<(u64, [u8; 32])> {
    use std::os::unix::fs::PermissionsExt as _;
    let file = File::open(path)?;
    file.set_permissions(std::fs::Permissions::from_mode(0o400))?;
    file.sync_all()?;
    digest(&file)
}

/// Length and BLAKE3 of a file.
pub(in crate::log) fn digest(file: &File) -> std::io::Result<(u64, [u8; 32])> {
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(file)?;
    Ok((hasher.count(), *hasher.finalize().as_bytes()))
}

/// A dictionary trained on entries from all over the segment; empty where it would not be worth its room.
fn dictionary((first, last): Positions, input: &mut dyn Input) -> Result<Vec<u8>, LogError> {
    let entries = last - first + 1;
    let size = usize::try_from(entries * 2).unwrap_or(DICTIONARY_MAX).min(DICTIONARY_MAX);
    if size < DICTIONARY_MIN {
        return Ok(Vec::new());
    }
    let places: BTreeSet<Position> =
        (0..SAMPLE_PLACES).map(|place| first + entries * place / SAMPLE_PLACES).collect();
    let mut samples: Vec<Vec<u8>> = Vec::new();
    for place in places {
        let (positions, plain) = input.block(place)?;
        for row in Rows::new(&plain, positions) {
            let (position, _, encoded) = row?;
            if position >= place && position < place + SAMPLES_EACH as u64 {
                samples.push(encoded.get(..SAMPLE_BYTES_MAX).unwrap_or(encoded).to_vec());
            }
        }
    }
    // It fails where the samples are too few or too much alike; then there is little to gain.
    Ok(zstd::dict::from_samples(&samples, size).unwrap_or_default())
}

/// Writes entries in order.
pub(in crate::log) struct Writer<'a> {
    connection: Connection,
    path: PathBuf,
    compressor: Compressor<'static>,
    catalogue: &'a Catalogue,
    decoder: Decoder,
    index: index::Builder,
    summary: Summary,
    block: Gathered,
}

/// The entries of the block that is being filled.
#[derive(Default)]
struct Gathered {
    plain: Vec<u8>,
    times: Vec<Option<Timestamp>>,
    received_max: Option<Timestamp>,
    kinds: i64,
}

impl<'a> Writer<'a> {
    fn create(path: &Path, plan: &Plan<'a>, dictionary: Vec<u8>) -> Result<Self, LogError> {
        let failed = |error: rusqlite::Error| LogError::database(path, &error);
        let connection = open(path).map_err(failed)?;
        let compressor = Compressor::with_dictionary(ZSTD_LEVEL, &dictionary).map_err(encoding)?;
        let (first, last) = plan.positions;
        let put = |key: &str, value: &dyn rusqlite::ToSql| {
            connection.execute("INSERT INTO meta VALUES (?1, ?2)", params![key, value]).map(drop)
        };
        put("format", &FORMAT)
            .and_then(|()| put("first", &first.cast_signed()))
            .and_then(|()| put("last", &last.cast_signed()))
            .and_then(|()| put("head_before", &plan.head_before))
            .and_then(|()| put("index", &index::VERSION))
            .and_then(|()| put("catalogue", &Catalogue::digest()))
            .and_then(|()| put("dictionary", &dictionary))
            .map_err(failed)?;
        let summary = Summary {
            first,
            last: first - 1,
            events: 0,
            deleted: 0,
            times: None,
            received: None,
            head_before: plan.head_before,
            head_after: plan.head_before,
        };
        Ok(Self {
            connection,
            path: path.to_owned(),
            compressor,
            catalogue: plan.catalogue,
            decoder: Decoder::default(),
            index: index::Builder::default(),
            summary,
            block: Gathered::default(),
        })
    }

    /// Adds the rows of a block.
    fn rows(&mut self, positions: Positions, plain: Bytes) -> Result<(), LogError> {
        for row in Rows::new(&plain, positions) {
            let (position, row, encoded) = row?;
            let time = self.note(position, &row, &plain);
            let block = &mut self.block;
            block.plain.extend_from_slice(encoded);
            block.times.push(time);
            self.summary.last = position;
            self.summary.head_after = link(&self.summary.head_after, &row.digest(encoded));
            if block.times.len() >= BLOCK_ENTRIES || block.plain.len() >= BLOCK_BYTES {
                self.flush()?;
            }
        }
        Ok(())
    }

    /// Counts and indexes a row; its time if it is an event.
    fn note(&mut self, position: Position, row: &Row<'_>, plain: &Bytes) -> Option<Timestamp> {
        match row {
            Row::Event { received_at, time, format, .. } => {
                let (time, received) = (Timestamp(*time), Timestamp(*received_at));
                self.block.kinds |= 2 << *format;
                self.block.received_max = self.block.received_max.max(Some(received));
                self.summary.events += 1;
                widen(&mut self.summary.times, time);
                widen(&mut self.summary.received, received);
                if let Some(Entry::Event(event)) = self.decoder.entry(position, row, plain) {
                    let number = u32::try_from(position - self.summary.first).unwrap_or(u32::MAX);
                    self.index.add(number, &event, self.catalogue);
                }
                Some(time)
            }
            Row::Tick { .. } => {
                self.block.kinds |= 1;
                None
            }
            Row::Deleted { .. } => {
                self.summary.deleted += 1;
                None
            }
        }
    }

    fn flush(&mut self) -> Result<(), LogError> {
        let block = std::mem::take(&mut self.block);
        if block.times.is_empty() {
            return Ok(());
        }
        let bytes = pack(&block.plain, &mut self.compressor)?;
        let first = self.summary.last + 1 - block.times.len() as u64;
        let known = || block.times.iter().flatten();
        let inserted = self
            .connection
            .prepare_cached("INSERT INTO block VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)")
            .and_then(|mut statement| {
                statement.execute(params![
                    first.cast_signed(),
                    self.summary.last.cast_signed(),
                    known().min().map_or(i64::MAX, |time| time.0),
                    known().max().map_or(i64::MIN, |time| time.0),
                    block.received_max.map_or(i64::MIN, |time| time.0),
                    block.kinds,
                    self.summary.head_after,
                    times::encode(&block.times),
                    bytes,
                ])
            });
        inserted.map(drop).map_err(|error| LogError::database(&self.path, &error))
    }

    /// Writes the keys and the index, and all of it once more, packed.
    fn finish(mut self, mut keys: Vec<u64>, packed: &Path, pace: &mut Pace<'_>) -> Result<Summary, LogError> {
        self.flush()?;
        keys.sort_unstable();
        let failed = |error: rusqlite::Error| LogError::database(&self.path, &error);
        insert_keys(&self.connection, &keys).map_err(failed)?;
        {
            let mut statement =
                self.connection.prepare("INSERT INTO term VALUES (?1, ?2, ?3, ?4)").map_err(failed)?;
            for (count, term) in self.index.finish().enumerate() {
                if count % 1024 == 0 {
                    pace()?;
                }
                let values = params![term.field, term.value.as_ref(), term.count, term.postings];
                statement.execute(values).map_err(failed)?;
            }
        }
        self.connection.execute_batch("COMMIT").map_err(failed)?;
        pace()?;
        let target = packed.to_string_lossy();
        self.connection.execute("VACUUM INTO ?1", [&target]).map_err(failed)?;
        Ok(self.summary)
    }
}

fn widen(range: &mut Option<(Timestamp, Timestamp)>, time: Timestamp) {
    *range = Some(range.map_or((time, time), |(min, max)| (min.min(time), max.max(time))));
}

fn insert_keys(connection: &Connection, keys: &[u64]) -> rusqlite::Result<()> {
    let mut statement = connection.prepare("INSERT OR IGNORE INTO key VALUES (?1, ?2)")?;
    for chunk in super::open::chunks(keys) {
        let bytes: Vec<u8> = chunk.iter().flat_map(|key| key.to_le_bytes()).collect();
        statement.execute(params![chunk.first().map(|key| bias(*key)), bytes])?;
    }
    Ok(())
}

/// Nobody else sees the file, and it is thrown away after a crash: neither a journal nor syncs are needed.
fn open(path: &Path) -> rusqlite::Result<Connection> {
    let flags =
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.pragma_update(None, "page_size", PAGE)?;
    connection.pragma_update(None, "auto_vacuum", "NONE")?;
    connection.pragma_update(None, "journal_mode", "OFF")?;
    connection.pragma_update(None, "synchronous", "OFF")?;
    connection.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
    connection.execute_batch(&format!("PRAGMA user_version = {FORMAT};"))?;
    #[cfg(test)]
    PAGES_MAX.with(|pages| match pages.get() {
        Some(pages) => connection.pragma_update(None, "max_page_count", pages),
        None => Ok(()),
    })?;
    connection.execute_batch(SCHEMA)?;
    connection.execute_batch("BEGIN")?;
    Ok(connection)
}

#[cfg(test)]
thread_local! {
    /// Makes the disk full for the segments of this thread.
    pub(in crate::log) static PAGES_MAX: std::cell::Cell<Option<i64>> = const { std::cell::Cell::new(None) };
}
