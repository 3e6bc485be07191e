//! Making a segment of entries.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use bytes::Bytes;
use zstd::bulk::Compressor;

use super::dictionary::Dictionary;
use super::file::Loose;
use super::open::{Segment, StoredBlock};
use super::{Positions, times};
use crate::event::{Catalogue, Entry, Position};
use crate::index;
use crate::log::decoder::Decoder;
use crate::log::packing::pack;
use crate::log::row::{Head, Row, Rows, link, mark};
use crate::log::{LogError, durable, fault};
use crate::time::Timestamp;

/// A block is closed when its entries reach one of these.
pub(super) const BLOCK_ENTRIES: usize = 256;
pub(super) const BLOCK_BYTES: usize = 1 << 20;
/// How much of a finished file is synced at once.
const STEP_BYTES: usize = 2 << 20;
/// The dictionary of a segment that is made of entries; 0 where it has none.
const DICTIONARY: i64 = 1;

/// Where the entries come from.
pub(in crate::log) trait Input {
    /// The block that has this position: its positions, and its rows one after the other.
    fn block(&mut self, position: Position) -> Result<(Positions, Vec<u8>), LogError>;

    /// What the chain must be after the block that was given last; none where the input compares that itself.
    fn head(&self) -> Option<Head> {
        None
    }
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
) -> Result<Written, LogError> {
    let dictionary = Dictionary::train(plan.positions, input)?;
    guarded(path, pace, |pace| write_all(path, plan, dictionary, input, pace))
}

/// As [`write`], of entries that follow a segment: its dictionary is used where it fits.
pub(in crate::log) fn write_after(
    path: &Path,
    plan: Plan<'_>,
    before: Option<&Segment>,
    input: &mut dyn Input,
    pace: &mut Pace<'_>,
) -> Result<Written, LogError> {
    let known = before.map(Segment::last_dictionary).transpose()?.flatten();
    let dictionary = Dictionary::choose(known, plan.positions, input)?;
    guarded(path, pace, |pace| write_all(path, plan, dictionary, input, pace))
}

/// What was written, the file's length and its digest.
pub(in crate::log) type Written = (Summary, (u64, [u8; 32]));

/// Removes what is half made where it fails.
pub(super) fn guarded(
    path: &Path,
    pace: &mut Pace<'_>,
    make: impl FnOnce(&mut Pace<'_>) -> Result<Summary, LogError>,
) -> Result<Written, LogError> {
    let made = make(pace).and_then(|summary| Ok((summary, sync_in_steps(path, pace)?)));
    if made.is_err() {
        drop(durable::remove(path));
    }
    made
}

fn write_all(
    path: &Path,
    mut plan: Plan<'_>,
    dictionary: Dictionary,
    input: &mut dyn Input,
    pace: &mut Pace<'_>,
) -> Result<Summary, LogError> {
    let keys = std::mem::take(&mut plan.keys);
    let mut writer = Writer::create(path, &plan, dictionary)?;
    let mut next = plan.positions.0;
    while next <= plan.positions.1 {
        pace()?;
        let (positions, plain) = input.block(next)?;
        if positions.0 != next {
            let reason = "entries are missing".to_owned();
            return Err(LogError::Corrupt { first: next, last: positions.0.max(next + 1) - 1, reason });
        }
        writer.rows(positions, plain.into())?;
        if input.head().is_some_and(|head| head != writer.summary.head_after) {
            let reason = "the chain of hashes does not hold: it was changed after it was written".to_owned();
            return Err(LogError::Corrupt { first: positions.0, last: positions.1, reason });
        }
        next = positions.1 + 1;
    }
    fault::point("segment.before_index");
    writer.finish(keys, path, pace)
}

/// Writes the file once more, a little at a time and each of it synced: one sync of a hundred megabytes has everybody wait
/// who syncs something small meanwhile, and the log does for each answer. Its length and digest.
fn sync_in_steps(path: &Path, pace: &mut Pace<'_>) -> Result<(u64, [u8; 32]), LogError> {
    let loose = durable::temporary(path);
    std::fs::rename(path, &loose).map_err(LogError::file(path))?;
    let copied = copy_in_steps(&loose, path, pace);
    durable::remove(&loose)?;
    copied
}

fn copy_in_steps(from: &Path, to: &Path, pace: &mut Pace<'_>) -> Result<(u64, [u8; 32]), LogError> {
    let failed = |error| LogError::file(to)(error);
    let source = File::open(from).map_err(failed)?;
    let mut target = File::create_new(to).map_err(failed)?;
    let (mut hasher, mut length) = (blake3::Hasher::new(), 0);
    let mut step = Vec::with_capacity(STEP_BYTES);
    loop {
        step.clear();
        let read = (&source).take(STEP_BYTES as u64).read_to_end(&mut step).map_err(failed)?;
        if read == 0 {
            break;
        }
        hasher.update(&step);
        length += read as u64;
        target.write_all(&step).and_then(|()| target.sync_data()).map_err(failed)?;
        pace()?;
    }
    let mode = std::fs::Permissions::from_mode(0o400);
    target.set_permissions(mode).and_then(|()| target.sync_all()).map_err(failed)?;
    Ok((length, *hasher.finalize().as_bytes()))
}

/// Length and BLAKE3 of a file.
pub(in crate::log) fn digest(file: &File) -> std::io::Result<(u64, [u8; 32])> {
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(file)?;
    Ok((hasher.count(), *hasher.finalize().as_bytes()))
}

/// Writes entries in order.
struct Writer<'a> {
    file: Loose,
    dictionary: Dictionary,
    is_new_dictionary: bool,
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
    marks: Vec<u8>,
    received_max: Option<Timestamp>,
    kinds: i64,
}

impl<'a> Writer<'a> {
    fn create(path: &Path, plan: &Plan<'a>, dictionary: Dictionary) -> Result<Self, LogError> {
        let first = plan.positions.0;
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
            file: Loose::create(path, plan.positions, &plan.head_before)?,
            compressor: dictionary.compressor()?,
            is_new_dictionary: dictionary.plain == 0,
            dictionary,
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
            let digest = row.digest(encoded);
            block.marks.extend_from_slice(mark(&digest));
            self.summary.last = position;
            self.summary.head_after = link(&self.summary.head_after, &digest);
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
        if self.is_new_dictionary {
            self.dictionary.note(&block.plain, &bytes);
        }
        let known = || block.times.iter().flatten();
        self.file.block(&StoredBlock {
            positions: (self.summary.last + 1 - block.times.len() as u64, self.summary.last),
            times: (
                known().min().map_or(i64::MAX, |time| time.0),
                known().max().map_or(i64::MIN, |time| time.0),
            ),
            received_max: block.received_max.map_or(i64::MIN, |time| time.0),
            kinds: block.kinds,
            head: self.summary.head_after,
            event_times: times::encode(&block.times),
            marks: block.marks,
            dictionary: if self.dictionary.bytes.is_empty() { 0 } else { DICTIONARY },
            bytes,
        })
    }

    /// Writes the keys and the index, and all of it once more, packed.
    fn finish(mut self, mut keys: Vec<u64>, packed: &Path, pace: &mut Pace<'_>) -> Result<Summary, LogError> {
        self.flush()?;
        if !self.dictionary.bytes.is_empty() {
            self.file.dictionary(DICTIONARY, &self.dictionary)?;
        }
        keys.sort_unstable();
        self.file.keys(&keys)?;
        for (count, term) in self.index.finish().enumerate() {
            if count % 1024 == 0 {
                pace()?;
            }
            self.file.term(&term)?;
        }
        self.file.pack(packed, pace)?;
        Ok(self.summary)
    }
}

fn widen(range: &mut Option<(Timestamp, Timestamp)>, time: Timestamp) {
    *range = Some(range.map_or((time, time), |(min, max)| (min.min(time), max.max(time))));
}
