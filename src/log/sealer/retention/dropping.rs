//! Entries as they are written anew: digests in place of what is deleted.

use roaring::RoaringBitmap;

use super::Judged;
use super::judge::each_event;
use crate::event::Position;
use crate::log::LogError;
use crate::log::packing::encoding;
use crate::log::recent::cut;
use crate::log::row::{Head, Row, Rows};
use crate::log::segment::{Input, Pace, Positions};
use crate::log::verify::dedupe_key;

/// Gives what another input gives, without the events that are due.
pub(in crate::log::sealer) struct Dropping<'a> {
    pub inner: &'a mut dyn Input,
    /// The position with the number 0.
    pub first: Position,
    pub due: Option<&'a RoaringBitmap>,
}

impl Input for Dropping<'_> {
    fn block(&mut self, position: Position) -> Result<(Positions, Vec<u8>), LogError> {
        let (positions, plain) = self.inner.block(position)?;
        let number =
            |position: Position| u32::try_from(position.saturating_sub(self.first)).unwrap_or(u32::MAX);
        let numbers = number(positions.0)..=number(positions.1);
        let Some(due) = self.due.filter(|due| due.range_cardinality(numbers) > 0) else {
            return Ok((positions, plain));
        };
        let mut left = Vec::with_capacity(plain.len());
        for row in Rows::new(&plain, positions) {
            let (position, row, encoded) = row?;
            if matches!(row, Row::Event { .. }) && due.contains(number(position)) {
                let digest = row.digest(encoded);
                left = postcard::to_extend(&Row::Deleted { digest }, left).map_err(encoding)?;
            } else {
                left.extend_from_slice(encoded);
            }
        }
        Ok((positions, left))
    }

    fn head(&self) -> Option<Head> {
        self.inner.head()
    }
}

/// The keys without those of what is due. Should a key not be found, because this program computes it otherwise than the
/// one that stored it, all are computed anew from the events that are kept.
pub(in crate::log::sealer) fn kept_keys(
    mut keys: Vec<u64>,
    judged: &mut Judged,
    (input, positions): (&mut dyn Input, Positions),
    pace: &mut Pace<'_>,
) -> Result<Vec<u64>, LogError> {
    let mut gone = std::mem::take(&mut judged.keys);
    keys.sort_unstable();
    gone.sort_unstable();
    let count = gone.len();
    let mut gone = gone.into_iter().peekable();
    let before = keys.len();
    keys.retain(|key| {
        while gone.peek().is_some_and(|gone| gone < key) {
            gone.next();
        }
        gone.next_if_eq(key).is_none()
    });
    if before - keys.len() == count {
        return Ok(keys);
    }
    let mut keys = Vec::new();
    each_event(input, positions, pace, &mut |position, event| {
        let is_due = u32::try_from(position - positions.0).is_ok_and(|number| judged.due.contains(number));
        if !is_due {
            keys.push(cut(dedupe_key(event)));
        }
    })?;
    Ok(keys)
}
