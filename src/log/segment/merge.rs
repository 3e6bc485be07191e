//! One segment of several neighbours, without reading their events: blocks are carried over as they are, each with its
//! dictionary, and the index is made of theirs.
//!
//! Two things are compressed anew: small blocks, which are put together, and blocks whose dictionary is too small
//! for what the segment has now. As segments grow, that happens to an entry a few times while they are small.

use std::collections::BTreeMap;
use std::path::Path;

use zstd::bulk::Compressor;

use super::dictionary::Dictionary;
use super::file::Loose;
use super::open::{Segment, StoredBlock};
use super::write::{BLOCK_BYTES, BLOCK_ENTRIES, Summary, Written, guarded};
use super::{Input, Pace, Positions, times};
use crate::event::Position;
use crate::index::{self, ReadError};
use crate::log::packing::{pack, plain_length};
use crate::log::row::Head;
use crate::log::{LogError, fault};
use crate::time::Timestamp;

/// Blocks with fewer entries and bytes are put together.
const ENTRIES_MIN: usize = BLOCK_ENTRIES / 2;
const BYTES_MIN: usize = BLOCK_BYTES / 2;
/// What is put together has no more than this.
const ENTRIES_MAX: usize = BLOCK_ENTRIES * 3 / 2;
const BYTES_MAX: usize = BLOCK_BYTES * 3 / 2;

/// Writes and syncs the file of a segment that has all that these neighbours have, which must be what was written, with
/// indexes of this program's version and catalogue ([`Segment::is_current`]). What was half made is removed where it fails.
pub(in crate::log) fn merge(
    path: &Path,
    segments: &mut [Segment],
    head_before: Head,
    pace: &mut Pace<'_>,
) -> Result<Written, LogError> {
    guarded(path, pace, |pace| {
        let mut summary = summary(segments, head_before);
        let positions = (summary.first, summary.last);
        let (kept, made) = choose(segments, positions)?;
        let file = Loose::create(path, positions, &head_before)?;
        let compressor = made.compressor()?;
        let mut blocks = Blocks { file, kept, made, compressor, pending: None, head: head_before };
        blocks.carry(segments, pace)?;
        summary.head_after = blocks.head;
        let mut file = blocks.file;
        let mut keys = Vec::new();
        for segment in &*segments {
            keys.extend(segment.keys()?);
        }
        // Runs that are sorted already are what it is quick with.
        keys.sort();
        file.keys(&keys)?;
        fault::point("segment.before_index");
        merge_indexes(&mut file, segments, pace)?;
        file.pack(path, pace)?;
        Ok(summary)
    })
}

fn summary(segments: &[Segment], head_before: Head) -> Summary {
    let infos = || segments.iter().map(Segment::info);
    type Range = (Timestamp, Timestamp);
    let wider = |one: Range, other: Range| (one.0.min(other.0), one.1.max(other.1));
    Summary {
        first: infos().next().map_or(1, |info| info.first),
        last: infos().next_back().map_or(0, |info| info.last),
        events: infos().map(|info| info.events).sum(),
        deleted: infos().map(|info| info.deleted).sum(),
        times: infos().filter_map(|info| info.times).reduce(wider),
        received: infos().filter_map(|info| info.received).reduce(wider),
        head_before,
        head_after: head_before,
    }
}

/// The dictionaries that stay, with their new numbers and where they were; and the one for what is compressed anew.
fn choose(segments: &mut [Segment], positions: Positions) -> Result<(Kept, Made), LogError> {
    let entries = positions.1 + 1 - positions.0;
    let mut kept = Kept::default();
    for (index, segment) in segments.iter().enumerate() {
        for (number, dictionary) in segment.dictionaries()? {
            if dictionary.suits(entries) {
                kept.add((index, number), dictionary);
            }
        }
    }
    let best = (1..).zip(&kept.all).max_by_key(|(_, dictionary)| dictionary.entries);
    let made = match best {
        Some((number, dictionary)) => Made { number, dictionary: dictionary.clone(), is_new: false },
        None => {
            let dictionary = Dictionary::train(positions, &mut Entries(segments))?;
            let number = i64::from(!dictionary.bytes.is_empty());
            Made { number, dictionary, is_new: true }
        }
    };
    if made.number == 0 {
        // Without any, what had none stays as it is.
        kept.numbers.extend((0..segments.len()).map(|index| ((index, 0), 0)));
    }
    Ok((kept, made))
}

#[derive(Default)]
struct Kept {
    all: Vec<Dictionary>,
    /// By the segment and its number there.
    numbers: BTreeMap<(usize, i64), i64>,
}

impl Kept {
    fn add(&mut self, place: (usize, i64), dictionary: Dictionary) {
        let known = self.all.iter().position(|known| known.bytes == dictionary.bytes);
        let index = known.unwrap_or_else(|| {
            self.all.push(dictionary);
            self.all.len() - 1
        });
        self.numbers.insert(place, index as i64 + 1);
    }
}

/// With what blocks are compressed anew.
struct Made {
    number: i64,
    dictionary: Dictionary,
    is_new: bool,
}

impl Made {
    fn compressor(&self) -> Result<Compressor<'static>, LogError> {
        self.dictionary.compressor()
    }
}

/// The entries of several segments.
struct Entries<'a>(&'a mut [Segment]);

impl Input for Entries<'_> {
    fn block(&mut self, position: Position) -> Result<(Positions, Vec<u8>), LogError> {
        let index = self.0.partition_point(|segment| segment.info().last < position);
        let missing = || LogError::Corrupt { first: position, last: position, reason: MISSING.to_owned() };
        let segment = self.0.get_mut(index).ok_or_else(missing)?;
        let block = segment.block_with(position)?;
        let plain = segment.plain(&block)?;
        Ok((block.positions, plain))
    }
}

const MISSING: &str = "entries are missing";

/// Writes blocks in order.
struct Blocks {
    file: Loose,
    kept: Kept,
    made: Made,
    compressor: Compressor<'static>,
    pending: Option<Pending>,
    head: Head,
}

/// Blocks that are put together.
struct Pending {
    /// Of all of them, but for the bytes and the event times.
    row: StoredBlock,
    plain: Vec<u8>,
    event_times: Vec<Option<Timestamp>>,
}

impl Blocks {
    fn carry(&mut self, segments: &mut [Segment], pace: &mut Pace<'_>) -> Result<(), LogError> {
        for (index, segment) in segments.iter_mut().enumerate() {
            let (mut next, last) = (segment.info().first, segment.info().last);
            while next <= last {
                pace()?;
                let block = segment.block_with(next)?;
                if block.positions.0 != next {
                    let last = block.positions.0.max(next + 1) - 1;
                    return Err(LogError::Corrupt { first: next, last, reason: MISSING.to_owned() });
                }
                next = block.positions.1 + 1;
                self.head = block.head;
                self.block((index, segment), block)?;
            }
        }
        self.flush()?;
        for (number, dictionary) in (1..).zip(&self.kept.all) {
            self.file.dictionary(number, dictionary)?;
        }
        if self.made.is_new && self.made.number != 0 {
            self.file.dictionary(self.made.number, &self.made.dictionary)?;
        }
        Ok(())
    }

    fn block(&mut self, (index, segment): (usize, &mut Segment), block: StoredBlock) -> Result<(), LogError> {
        let (count, length) = (block.count(), plain_length(&block.bytes));
        let is_full = |pending: &Pending| {
            pending.event_times.len() + count > ENTRIES_MAX || pending.plain.len() + length > BYTES_MAX
        };
        if self.pending.as_ref().is_some_and(is_full) {
            self.flush()?;
        }
        let is_small = count < ENTRIES_MIN && length < BYTES_MIN;
        let number = self.kept.numbers.get(&(index, block.dictionary)).copied();
        if let (None, false, Some(dictionary)) = (&self.pending, is_small, number) {
            return self.file.block(&StoredBlock { dictionary, ..block });
        }
        let plain = segment.plain(&block)?;
        let event_times = times::decode(&block.event_times, count).ok_or_else(|| LogError::Corrupt {
            first: block.positions.0,
            last: block.positions.1,
            reason: "the times of its events are not what was written".to_owned(),
        })?;
        match &mut self.pending {
            Some(pending) => pending.add(&block, &plain, event_times),
            empty => *empty = Some(Pending { row: block, plain, event_times }),
        }
        let is_enough =
            |pending: &Pending| pending.event_times.len() >= ENTRIES_MIN || pending.plain.len() >= BYTES_MIN;
        if self.pending.as_ref().is_some_and(is_enough) { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), LogError> {
        let Some(Pending { row, plain, event_times }) = self.pending.take() else { return Ok(()) };
        let bytes = pack(&plain, &mut self.compressor)?;
        if self.made.is_new {
            self.made.dictionary.note(&plain, &bytes);
        }
        let event_times = times::encode(&event_times);
        self.file.block(&StoredBlock { bytes, event_times, dictionary: self.made.number, ..row })
    }
}

impl Pending {
    fn add(&mut self, block: &StoredBlock, plain: &[u8], event_times: Vec<Option<Timestamp>>) {
        self.plain.extend_from_slice(plain);
        self.event_times.extend(event_times);
        let row = &mut self.row;
        row.positions.1 = block.positions.1;
        row.times = (row.times.0.min(block.times.0), row.times.1.max(block.times.1));
        row.received_max = row.received_max.max(block.received_max);
        row.kinds |= block.kinds;
        row.marks.extend_from_slice(&block.marks);
        row.head = block.head;
    }
}

fn merge_indexes(file: &mut Loose, segments: &[Segment], pace: &mut Pace<'_>) -> Result<(), LogError> {
    let (first, last) = match segments {
        [first, .., last] => (first.info().first, last.info().last),
        _ => return Ok(()),
    };
    let number = |segment: &Segment| u32::try_from(segment.info().first - first).unwrap_or(u32::MAX);
    let sources: Vec<(u32, &Segment)> = segments.iter().map(|segment| (number(segment), segment)).collect();
    let mut count = 0_u64;
    let merged = index::merge(&sources, &mut |term| {
        count += 1;
        if count.is_multiple_of(1024) {
            pace()?;
        }
        file.term(&term)
    });
    merged.map_err(|error| match error {
        ReadError::Terms(error) => error,
        ReadError::Damaged => {
            LogError::Corrupt { first, last, reason: "its index is not what was written".to_owned() }
        }
    })
}
