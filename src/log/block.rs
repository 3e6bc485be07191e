//! A block: the entries of one commit, or a part of them, encoded and compressed together.
//!
//! The stored bytes are, in this order:
//!
//! | length | what |
//! |---|---|
//! | 1 | 0: the entries follow as they are; 1: compressed with zstd |
//! | 4 | length of the entries before compression, little-endian |
//! | 4 | CRC-32 of all the other bytes, little-endian |
//! | rest | the entries, one [`Row`] after the other in postcard's encoding |
//!
//! The chain: `h(i) = BLAKE3(h(i-1) || encoded entry i)`, and `h(0)` is 32 zero bytes. A block can be decoded
//! alone; only checking the chain needs the block before it.

use std::sync::Arc;

use bytes::Bytes;
use flate2::Crc;
use serde::{Deserialize, Serialize, Serializer};
use zstd::bulk::{Compressor, Decompressor};

use super::{LogError, NewEvent};
use crate::event::{Entry, Event, Format, Position};
use crate::time::Timestamp;

/// A place in the chain.
pub(super) type Head = [u8; 32];

/// The chain before the first entry.
pub(super) const GENESIS: Head = [0; 32];

/// A block is closed when its entries reach one of these, so that reading one event decodes little more.
const ENTRIES_MAX: u64 = 16_384;
const BYTES_MAX: usize = 1 << 20;

/// Longer claims are damage: no entry can be that long, since SQLite would not have taken it.
const PLAIN_MAX: usize = 1 << 30;

const HEADER: usize = 9;
const PLAIN: u8 = 0;
const ZSTD: u8 = 1;
const ZSTD_LEVEL: i32 = 1;

/// One entry as it is encoded; new kinds go at the end, and fields never change.
#[derive(Serialize, Deserialize)]
enum Row<'a> {
    Event {
        received_at: i64,
        time: i64,
        source: &'a str,
        format: u8,
        #[serde(borrow)]
        type_hint: Option<&'a str>,
        #[serde(serialize_with = "as_bytes")]
        raw: &'a [u8],
    },
    Tick {
        at: i64,
    },
}

fn as_bytes<S: Serializer>(raw: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_bytes(raw)
}

/// A format's number in stored blocks; fixed for ever, unlike the order of the enum.
const fn code(format: Format) -> u8 {
    match format {
        Format::Gitlab => 0,
        Format::Github => 1,
        Format::AzureDevops => 2,
        Format::Bitbucket => 3,
        Format::Generic => 4,
    }
}

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
    pub bytes: Vec<u8>,
}

/// Gathers entries into blocks.
pub(super) struct Builder<'a> {
    compressor: &'a mut Compressor<'static>,
    done: Vec<Block>,
    plain: Vec<u8>,
    keys: Vec<u8>,
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
        self.head = link(&self.head, &self.plain[start..]);
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

fn encoding(error: impl std::fmt::Display) -> LogError {
    LogError::Database(format!("an event cannot be encoded: {error}"))
}

/// The chain after one more entry.
fn link(head: &Head, entry: &[u8]) -> Head {
    *blake3::Hasher::new().update(head).update(entry).finalize().as_bytes()
}

fn checksum(encoding: u8, length: [u8; 4], payload: &[u8]) -> [u8; 4] {
    let mut crc = Crc::new();
    crc.update(&[encoding]);
    crc.update(&length);
    crc.update(payload);
    crc.sum().to_le_bytes()
}

/// The stored form: compressed where that is shorter.
fn pack(plain: &[u8], compressor: &mut Compressor<'static>) -> Result<Vec<u8>, LogError> {
    let length = u32::try_from(plain.len()).map_err(encoding)?.to_le_bytes();
    let compressed = compressor.compress(plain).map_err(encoding)?;
    let (encoding, payload) =
        if compressed.len() < plain.len() { (ZSTD, compressed.as_slice()) } else { (PLAIN, plain) };
    let mut bytes = Vec::with_capacity(HEADER + payload.len());
    bytes.push(encoding);
    bytes.extend_from_slice(&length);
    bytes.extend_from_slice(&checksum(encoding, length, payload));
    bytes.extend_from_slice(payload);
    Ok(bytes)
}

fn unpack(stored: &[u8], decompressor: &mut Option<Decompressor<'static>>) -> Result<Vec<u8>, String> {
    let (header, payload) = stored.split_at_checked(HEADER).ok_or("it is cut short")?;
    let [encoding, a, b, c, d, sum @ ..] = header else { return Err("it is cut short".to_owned()) };
    let length = [*a, *b, *c, *d];
    if checksum(*encoding, length, payload) != sum {
        return Err("its checksum does not fit its bytes".to_owned());
    }
    let length = u32::from_le_bytes(length) as usize;
    let plain = match *encoding {
        PLAIN => payload.to_vec(),
        ZSTD if length <= PLAIN_MAX => decompress(payload, length, decompressor)
            .map_err(|error| format!("it cannot be decompressed: {error}"))?,
        _ => return Err("it has an unknown encoding".to_owned()),
    };
    if plain.len() == length { Ok(plain) } else { Err("its length is not the one recorded".to_owned()) }
}

fn decompress(
    payload: &[u8],
    length: usize,
    decompressor: &mut Option<Decompressor<'static>>,
) -> std::io::Result<Vec<u8>> {
    match decompressor {
        Some(decompressor) => decompressor.decompress(payload, length),
        None => decompressor.insert(Decompressor::new()?).decompress(payload, length),
    }
}

/// Turns stored bytes back into entries. One per reader: it keeps the names of sources shared, and the
/// decompressor's tables, which take longer to make than a small block to decode.
#[derive(Default)]
pub(super) struct Decoder {
    sources: Vec<Arc<str>>,
    decompressor: Option<Decompressor<'static>>,
}

/// How many source names are shared at most; a configuration has a handful.
const SOURCES_MAX: usize = 64;

impl Decoder {
    /// The entries at positions `first` to `last`; the events' bytes are slices of one buffer.
    pub(super) fn entries(
        &mut self,
        (first, last): (Position, Position),
        stored: &[u8],
    ) -> Result<Vec<Entry>, LogError> {
        let corrupt = |reason: String| LogError::Corrupt { first, last, reason };
        let plain = Bytes::from(unpack(stored, &mut self.decompressor).map_err(corrupt)?);
        let mut rest = plain.as_ref();
        let mut entries = Vec::new();
        for position in first..=last {
            let (row, tail) = postcard::take_from_bytes::<Row<'_>>(rest)
                .map_err(|error| corrupt(format!("entry {position} cannot be decoded: {error}")))?;
            let entry = self
                .entry(position, &row, &plain)
                .ok_or_else(|| corrupt(format!("entry {position} has an unknown format")))?;
            entries.push(entry);
            rest = tail;
        }
        if rest.is_empty() { Ok(entries) } else { Err(corrupt("more entries than positions".to_owned())) }
    }

    fn entry(&mut self, position: Position, row: &Row<'_>, plain: &Bytes) -> Option<Entry> {
        Some(match row {
            Row::Event { received_at, time, source, format, type_hint, raw } => Entry::Event(Event {
                position,
                received_at: Timestamp(*received_at),
                time: Timestamp(*time),
                source: self.source(source),
                format: Format::ALL.into_iter().find(|known| code(*known) == *format)?,
                type_hint: type_hint.map(Box::from),
                raw: plain.slice_ref(raw),
            }),
            Row::Tick { at } => Entry::Tick { position, at: Timestamp(*at) },
        })
    }

    fn source(&mut self, name: &str) -> Arc<str> {
        if let Some(known) = self.sources.iter().find(|known| known.as_ref() == name) {
            return Arc::clone(known);
        }
        let new: Arc<str> = Arc::from(name);
        if self.sources.len() < SOURCES_MAX {
            self.sources.push(Arc::clone(&new));
        }
        new
    }

    /// The chain after the block at positions `first` to `last`, when it stood at `head` before.
    pub(super) fn follow(
        &mut self,
        mut head: Head,
        (first, last): (Position, Position),
        stored: &[u8],
    ) -> Result<Head, LogError> {
        let corrupt = |reason: String| LogError::Corrupt { first, last, reason };
        let plain = unpack(stored, &mut self.decompressor).map_err(corrupt)?;
        let mut rest = plain.as_slice();
        for position in first..=last {
            let (_, tail) = postcard::take_from_bytes::<Row<'_>>(rest)
                .map_err(|error| corrupt(format!("entry {position} cannot be decoded: {error}")))?;
            head = link(&head, &rest[..rest.len() - tail.len()]);
            rest = tail;
        }
        if rest.is_empty() { Ok(head) } else { Err(corrupt("more entries than positions".to_owned())) }
    }
}

impl std::fmt::Debug for Decoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Decoder").field("sources", &self.sources).finish_non_exhaustive()
    }
}
