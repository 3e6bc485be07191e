//! What retention deleted, and whether each missing entry has a record.
//!
//! * A stretch without segments must be the stretches of removed segments, one after the other, each of which goes on
//!   where the one before ends: with the chain, and with the links of the manifests.
//! * A segment has as many deleted entries as the records say that lie within it. The last record alone may not have been
//!   carried out yet.

use super::Verified;
use crate::event::Position;
use crate::log::deletion::Deletion;
use crate::log::hex::Hex;
use crate::log::row::{GENESIS, Head};
use crate::log::segment::Manifest;
use crate::log::{LogError, SegmentInfo};

/// Where a check has come to.
#[derive(Debug, Clone, Copy)]
pub(super) struct End {
    pub position: Position,
    pub head: Head,
    /// What the next manifest is linked to.
    pub link: Option<Hex<32>>,
}

impl End {
    /// Before the first entry.
    pub(super) const START: Self = Self { position: 0, head: GENESIS, link: None };

    pub(super) fn of(manifest: &Manifest) -> Self {
        Self { position: manifest.last, head: manifest.head_after.0, link: Some(manifest.link()) }
    }

    /// That the log goes as far as here at least, which the hot end usually has said already.
    pub(super) const fn note(&self, verified: &mut Verified) {
        if verified.entries < self.position {
            (verified.entries, verified.head) = (self.position, self.head);
        }
    }
}

/// The records, checked.
pub(super) struct Deletions(pub Vec<Deletion>);

impl Deletions {
    /// The record of the removed segment that had a position.
    pub(super) fn removed(&self, position: Position) -> Option<&Deletion> {
        self.0.iter().find(|record| record.removed && (record.first..=record.last).contains(&position))
    }

    /// Goes over the removed segments that begin where the check has come to.
    pub(super) fn pass(&self, end: &mut End, verified: &mut Verified) -> Result<(), LogError> {
        while let Some(record) = self.removed(end.position + 1) {
            let expected = (end.position + 1, Hex(end.head), end.link);
            if (record.first, record.head_before, record.link_before) != expected {
                let reason = format!("what was before them is not what deletion {} says", record.number);
                return Err(LogError::Corrupt { first: record.first, last: record.last, reason });
            }
            verified.gone += record.last - record.first + 1;
            *end = End { position: record.last, head: record.head_after.0, link: record.link_after };
            end.note(verified);
        }
        Ok(())
    }

    /// Whether the deleted entries of a segment are those that records tell of.
    pub(super) fn check(&self, manifest: &Manifest, info: &SegmentInfo) -> Result<u64, LogError> {
        let within =
            |record: &&Deletion| !record.removed && info.first <= record.first && record.last <= info.last;
        let told: u64 = self.0.iter().filter(within).map(|record| record.events).sum();
        let pending = self.0.last().filter(within).filter(|last| last.replaced_by != Some(manifest.digest()));
        let is_told = manifest.deleted == told
            || pending.is_some_and(|pending| manifest.deleted + pending.events == told);
        if is_told {
            return Ok(manifest.deleted);
        }
        let (deleted, first, last) = (manifest.deleted, info.first, info.last);
        let reason = format!("{deleted} of them are deleted, but the records tell of {told}");
        Err(LogError::Corrupt { first, last, reason })
    }
}
