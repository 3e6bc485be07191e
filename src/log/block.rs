//! A block: the entries of one commit, or a part of them, encoded and compressed together. It can be decoded alone;
//! only checking the chain needs the block before it.

use zstd::bulk::Compressor;

use super::packing::{checksum, encoding, pack};
use super::row::{Head, Row, code, link, mark};
use super::{LogError, NewEvent};
use crate::event::Position;
use crate::time::Timestamp;

/// A block is closed when its entries reach one of these, so that reading one event decodes little more.
const ENTRIES_MAX: u64 = 16_384;
const BYTES_MAX: usize = 1 << 20;

const ZSTD_LEVEL: i32 = 1;

/// A finished block, with what its table row says about it.
#[derive(Debug)]
pub(super) struct Block {
    pub first: Position,
    pub last: Position,
    /// Earliest and latest event time; the latest before the earliest when there are only ticks.
    pub time_min: Timestamp,
    pub time_max: Timestamp,
    /// The latest arrival.
    pub received_max: Timestamp,
    /// Bit 0: has ticks; bit 1 + n: has events whose format has the code n.
    pub kinds: i64,
    pub head: Head,
    /// 16 bytes per event, in order: what its duplicates are known by, little-endian.
    pub keys: Vec<u8>,
    /// The beginnings of the entries' digests, in order: 4 bytes each.
    pub marks: Vec<u8>,
    pub bytes: Vec<u8>,
}

impl Block {
    /// CRC-32 of the columns beside `bytes`, which have a checksum of their own.
    pub(super) fn sum(&self) -> u32 {
        let numbers = [
            self.first.cast_signed(),
            self.last.cast_signed(),
            self.time_min.0,
            self.time_max.0,
            self.received_max.0,
            self.kinds,
        ];
        let numbers: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
        checksum(&[&numbers, &self.head, &self.keys, &self.marks])
    }
}

/// Gathers entries into blocks.
pub(super) struct Builder<'a> {
    compressor: &'a mut Compressor<'static>,
    done: Vec<Block>,
    plain: Vec<u8>,
    keys: Vec<u8>,
    marks: Vec<u8>,
    head: Head,
    first: Position,
    next: Position,
    times: (i64, i64),
    received_max: i64,
    kinds: i64,
}

/// A compressor for [`Builder`]; made once, since its tables are large.
pub(super) fn compressor() -> std::io::Result<Compressor<'static>> {
    Compressor::new(ZSTD_LEVEL)
}

impl<'a> Builder<'a> {
    /// Starts after the entry at `position`, where the chain stands at `head`.
    pub(super) fn new(compressor: &'a mut Compressor<'static>, position: Position, head: Head) -> Self {
        Self {
            compressor,
            done: Vec::new(),
            plain: Vec::new(),
            keys: Vec::new(),
            marks: Vec::new(),
            head,
            first: position + 1,
            next: position + 1,
            times: (i64::MAX, i64::MIN),
            received_max: i64::MIN,
            kinds: 0,
        }
    }

    /// The position of the last entry so far.
    pub(super) const fn position(&self) -> Position {
        self.next - 1
    }

    /// Appends an event.
    pub(super) fn event(&mut self, new: &NewEvent) -> Result<(), LogError> {
        let event = &new.event;
        let format = code(event.format);
        self.row(&Row::Event {
            received_at: event.received_at.0,
            time: event.time.0,
            source: &event.source,
            forge: (event.forge != event.source).then_some(&*event.forge),
            format,
            type_hint: event.type_hint.as_deref(),
            raw: &event.raw,
        })?;
        self.keys.extend_from_slice(&new.dedupe.to_le_bytes());
        self.times = (self.times.0.min(event.time.0), self.times.1.max(event.time.0));
        self.received_max = self.received_max.max(event.received_at.0);
        self.kinds |= 2 << format;
        self.seal_if_full()
    }

    /// Appends a tick.
    pub(super) fn tick(&mut self, at: Timestamp) -> Result<(), LogError> {
        self.row(&Row::Tick { at: at.0 })?;
        self.kinds |= 1;
        self.seal_if_full()
    }

    /// The blocks, and where the chain stands after them.
    pub(super) fn finish(mut self) -> Result<(Vec<Block>, Head), LogError> {
        self.seal()?;
        Ok((self.done, self.head))
    }

    fn row(&mut self, row: &Row<'_>) -> Result<(), LogError> {
        let start = self.plain.len();
        self.plain = postcard::to_extend(row, std::mem::take(&mut self.plain)).map_err(encoding)?;
        let digest = row.digest(self.plain.get(start..).unwrap_or_default());
        self.head = link(&self.head, &digest);
        self.marks.extend_from_slice(mark(&digest));
        self.next += 1;
        Ok(())
    }

    fn seal_if_full(&mut self) -> Result<(), LogError> {
        let is_full = self.plain.len() >= BYTES_MAX || self.next - self.first >= ENTRIES_MAX;
        if is_full { self.seal() } else { Ok(()) }
    }

    fn seal(&mut self) -> Result<(), LogError> {
        if self.next == self.first {
            return Ok(());
        }
        let bytes = pack(&self.plain, self.compressor)?;
        self.done.push(Block {
            first: self.first,
            last: self.next - 1,
            time_min: Timestamp(self.times.0),
            time_max: Timestamp(self.times.1),
            received_max: Timestamp(self.received_max),
            kinds: self.kinds,
            head: self.head,
            keys: std::mem::take(&mut self.keys),
            marks: std::mem::take(&mut self.marks),
            bytes,
        });
        self.plain.clear();
        self.first = self.next;
        self.times = (i64::MAX, i64::MIN);
        self.received_max = i64::MIN;
        self.kinds = 0;
        Ok(())
    }
}
