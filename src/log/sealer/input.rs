//! Where a segment's entries come from: the hot end, or segments that are merged.

use std::path::PathBuf;

use rusqlite::{Connection, OptionalExtension as _};

use crate::event::Position;
use crate::log::LogError;
use crate::log::decoder::Decoder;
use crate::log::recent::cut;
use crate::log::row::{Head, follow};
use crate::log::segment::{Input, Positions, Segment};

/// The hot end.
pub(super) struct HotInput<'a> {
    pub connection: &'a Connection,
    pub path: PathBuf,
    pub decoder: Decoder,
    /// The chain after the block that was given last.
    pub head: Head,
}

/// Follows the chain as blocks are taken in order, so that nothing is merged that is not what was written.
struct Chain {
    position: Position,
    head: Head,
}

impl Chain {
    /// Blocks that are looked at out of order are not followed.
    fn follow(&mut self, positions: Positions, plain: &[u8], head: &Head) -> Result<(), LogError> {
        if positions.0 != self.position + 1 {
            return Ok(());
        }
        self.head = follow(self.head, plain, positions)?;
        self.position = positions.1;
        if self.head == *head {
            return Ok(());
        }
        let reason = "the chain of hashes does not hold: it was changed after it was written".to_owned();
        Err(LogError::Corrupt { first: positions.0, last: positions.1, reason })
    }
}

impl HotInput<'_> {
    /// The cut keys of all blocks up to a position.
    pub(super) fn keys(&self, upto: Position) -> Result<Vec<u64>, LogError> {
        let read = || -> rusqlite::Result<Vec<u64>> {
            let sql = "SELECT keys FROM block WHERE last <= ?1 ORDER BY first";
            let mut statement = self.connection.prepare_cached(sql)?;
            let mut rows = statement.query([upto.cast_signed()])?;
            let mut keys = Vec::new();
            while let Some(row) = rows.next()? {
                let stored = row.get_ref(0)?.as_blob()?.as_chunks::<16>().0;
                keys.extend(stored.iter().map(|key| cut(u128::from_le_bytes(*key))));
            }
            Ok(keys)
        };
        read().map_err(|error| LogError::database(&self.path, &error))
    }
}

impl Input for HotInput<'_> {
    fn block(&mut self, position: Position) -> Result<(Positions, Vec<u8>), LogError> {
        let sql = "SELECT first, last, head, bytes FROM block WHERE first <= ?1 ORDER BY first DESC LIMIT 1";
        let found = self.connection.prepare_cached(sql).and_then(|mut statement| {
            let read = |row: &rusqlite::Row<'_>| {
                let positions =
                    (row.get::<_, i64>(0)?.cast_unsigned(), row.get::<_, i64>(1)?.cast_unsigned());
                Ok((positions, row.get::<_, Head>(2)?, row.get::<_, Vec<u8>>(3)?))
            };
            statement.query_row([position.cast_signed()], read).optional()
        });
        let found = found.map_err(|error| LogError::database(&self.path, &error))?;
        let Some((positions, head, bytes)) = found.filter(|(positions, ..)| positions.1 >= position) else {
            let reason = "entries are missing".to_owned();
            return Err(LogError::Corrupt { first: position, last: position, reason });
        };
        self.head = head;
        Ok((positions, self.decoder.plain(positions, &bytes)?))
    }

    fn head(&self) -> Option<Head> {
        Some(self.head)
    }
}

/// Neighbouring segments.
pub(super) struct SegmentsInput {
    pub segments: Vec<Segment>,
    chain: Chain,
}

impl SegmentsInput {
    /// Of segments in order, the first of which begins where the chain stood so.
    pub(super) fn of(segments: Vec<Segment>, head_before: Head) -> Self {
        let mut own = Self { segments, chain: Chain { position: 0, head: head_before } };
        own.begin_again(head_before);
        own
    }

    /// The first and the last position.
    pub(super) fn positions(&self) -> Positions {
        let info =
            |segment: Option<&Segment>| segment.map(|segment| (segment.info().first, segment.info().last));
        let (first, last) = (info(self.segments.first()), info(self.segments.last()));
        (first.unwrap_or_default().0, last.unwrap_or_default().1)
    }

    /// Before the blocks are taken once more.
    pub(super) fn begin_again(&mut self, head_before: Head) {
        self.chain = Chain { position: self.positions().0.saturating_sub(1), head: head_before };
    }

    /// All their keys.
    pub(super) fn keys(&self) -> Result<Vec<u64>, LogError> {
        let mut keys = Vec::new();
        for segment in &self.segments {
            keys.extend(segment.keys()?);
        }
        Ok(keys)
    }
}

impl Input for SegmentsInput {
    fn block(&mut self, position: Position) -> Result<(Positions, Vec<u8>), LogError> {
        let index = self.segments.partition_point(|segment| segment.info().last < position);
        let Some(segment) = self.segments.get_mut(index) else {
            let reason = "entries are missing".to_owned();
            return Err(LogError::Corrupt { first: position, last: position, reason });
        };
        let block = segment.block_with(position)?;
        let plain = segment.plain(&block)?;
        self.chain.follow(block.positions, &plain, &block.head)?;
        Ok((block.positions, plain))
    }
}
