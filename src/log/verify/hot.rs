//! The hot end: its chain, and the columns that are derived from entries.

use bytes::Bytes;
use rusqlite::Row as TableRow;

use super::culprit::{HotTraces, damage, rows};
use super::run::follow_to;
use super::terms::dedupe_key;
use super::{Verified, VerifyOptions};
use crate::event::{Entry, Position};
use crate::log::block::Block;
use crate::log::decoder::Decoder;
use crate::log::row::{Head, Row, link, mark};
use crate::log::{LogError, Reader};
use crate::time::Timestamp;

/// A position, and the chain after it.
type Place = (Position, Head);

/// Checks every block after `base`; where they overlap with what is `sealed`, both must say the same.
pub(super) fn check(
    reader: &mut Reader,
    (base, sealed): (Place, Place),
    options: &VerifyOptions,
    verified: &mut Verified,
) -> Result<(), LogError> {
    let with_keys = options.keys;
    let Some((connection, path)) = reader.database()? else { return Ok(()) };
    let failed = |error: rusqlite::Error| LogError::database(&path, &error);
    let mut end = base;
    let mut decoder = Decoder::default();
    let mut statement = connection.prepare(ROWS).map_err(failed)?;
    let mut rows = statement.query([]).map_err(failed)?;
    while let Some(row) = rows.next().map_err(failed)? {
        let (block, sum) = stored(row).map_err(failed)?;
        let expected = end.0 + 1;
        if block.first != expected || block.last < block.first {
            let (first, last) = (expected.min(block.first), expected.max(block.first).saturating_sub(1));
            return Err(LogError::Corrupt { first, last, reason: "entries are missing".to_owned() });
        }
        let corrupt = |reason: &str| {
            let reason = reason.to_owned();
            LogError::Corrupt { first: block.first, last: block.last, reason }
        };
        let plain = Bytes::from(decoder.plain((block.first, block.last), &block.bytes)?);
        let found = Found::of(&block, end.1, &plain, &mut decoder, with_keys)?;
        if found.head != block.head || (block.last == sealed.0 && found.head != sealed.1) {
            let reason = "the chain of hashes does not hold: it was changed after it was written";
            return Err(damage((block.first, block.last), &plain, &HotTraces(&block), reason));
        }
        if i64::from(block.sum()) != sum || !found.fits(&block) {
            return Err(corrupt("what the table says of these entries is not what was written"));
        }
        if with_keys && found.keys != block.keys {
            verified.other_keys += found.events;
        }
        verified.hot += block.last - block.first + 1;
        verified.bytes += block.bytes.len() as u64;
        end = (block.last, block.head);
        options.progress.hot(block.last - block.first + 1)?;
    }
    if end.0 < sealed.0 {
        let reason = "the hot end stops before the last sealed segment".to_owned();
        return Err(LogError::Corrupt { first: end.0 + 1, last: sealed.0, reason });
    }
    (verified.entries, verified.head) = end;
    Ok(())
}

const ROWS: &str = "SELECT first, last, time_min, time_max, received_max, kinds, head, keys, marks, bytes, sum \
    FROM block ORDER BY first";

/// The chain after an entry that the hot end has.
pub(super) fn head_at(reader: &mut Reader, position: Position) -> Result<Head, LogError> {
    let base = reader.base()?.1;
    let missing =
        || LogError::Corrupt { first: position, last: position, reason: "it is missing".to_owned() };
    let Some((connection, path)) = reader.database()? else { return Err(missing()) };
    let failed = |error: rusqlite::Error| LogError::database(&path, &error);
    let sql = "SELECT first, last, head, bytes FROM block WHERE first <= ?1 ORDER BY first DESC LIMIT 2";
    let mut statement = connection.prepare(sql).map_err(failed)?;
    let mut rows = statement.query([position.cast_signed()]).map_err(failed)?;
    let (positions, bytes): ((Position, Position), Vec<u8>) = {
        let row = rows.next().map_err(failed)?.ok_or_else(missing)?;
        let column = |index| row.get::<_, i64>(index).map(i64::cast_unsigned).map_err(failed);
        ((column(0)?, column(1)?), row.get(3).map_err(failed)?)
    };
    let before = match rows.next().map_err(failed)? {
        Some(row) => row.get(2).map_err(failed)?,
        None => base,
    };
    let plain = Decoder::default().plain(positions, &bytes)?;
    follow_to(before, &plain, positions, position)
}

fn stored(row: &TableRow<'_>) -> rusqlite::Result<(Block, i64)> {
    let block = Block {
        first: row.get::<_, i64>(0)?.cast_unsigned(),
        last: row.get::<_, i64>(1)?.cast_unsigned(),
        time_min: Timestamp(row.get(2)?),
        time_max: Timestamp(row.get(3)?),
        received_max: Timestamp(row.get(4)?),
        kinds: row.get(5)?,
        head: row.get(6)?,
        keys: row.get(7)?,
        marks: row.get(8)?,
        bytes: row.get(9)?,
    };
    Ok((block, row.get(10)?))
}

/// What the entries themselves say.
pub(super) struct Found {
    pub times: (i64, i64),
    pub received_max: i64,
    pub kinds: i64,
    pub events: u64,
    pub head: Head,
    pub marks: Vec<u8>,
    keys: Vec<u8>,
}

impl Found {
    fn of(
        block: &Block,
        head: Head,
        plain: &Bytes,
        decoder: &mut Decoder,
        with_keys: bool,
    ) -> Result<Self, LogError> {
        let mut own = Self::new(head);
        for row in rows(plain, (block.first, block.last)) {
            let (position, row, encoded) = row?;
            own.add(&row, encoded);
            if with_keys && let Some(Entry::Event(event)) = decoder.entry(position, &row, plain) {
                own.keys.extend_from_slice(&dedupe_key(&event).to_le_bytes());
            }
        }
        Ok(own)
    }

    pub(super) const fn new(head: Head) -> Self {
        Self {
            times: (i64::MAX, i64::MIN),
            received_max: i64::MIN,
            kinds: 0,
            events: 0,
            head,
            marks: Vec::new(),
            keys: Vec::new(),
        }
    }

    /// Notes a row.
    pub(super) fn add(&mut self, row: &Row<'_>, encoded: &[u8]) {
        let digest = row.digest(encoded);
        self.head = link(&self.head, &digest);
        self.marks.extend_from_slice(mark(&digest));
        match row {
            Row::Event { received_at, time, format, .. } => {
                self.times = (self.times.0.min(*time), self.times.1.max(*time));
                self.received_max = self.received_max.max(*received_at);
                self.kinds |= 2_i64.checked_shl(u32::from(*format)).unwrap_or(0);
                self.events += 1;
            }
            Row::Tick { .. } => self.kinds |= 1,
            Row::Deleted { .. } => {}
        }
    }

    fn fits(&self, block: &Block) -> bool {
        let columns = (block.time_min.0, block.time_max.0);
        self.times == columns
            && (self.received_max, self.kinds) == (block.received_max.0, block.kinds)
            && self.events * 16 == block.keys.len() as u64
            && self.marks == block.marks
    }
}
