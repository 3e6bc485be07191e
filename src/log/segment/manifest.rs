//! What is signed of a segment. The text is a function of the values, so that a changed byte never passes.
//!
//! Manifests are linked: each has the digest of the one before it, which is the BLAKE3 of that file's bytes. A merged
//! segment takes the place of several: it has the link of the first of them, names them all, and `ends_with` is the
//! digest that the next manifest was linked to before the merge.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::Positions;
use super::write::Summary;
use crate::event::Position;
use crate::log::LogError;
use crate::log::hex::Hex;
use crate::log::signing::{PublicKey, SigningKey};
use crate::time::Timestamp;

/// The format of the segment's file.
pub(in crate::log) const FORMAT: u32 = 3;

/// What is signed begins with this, so that no other signed thing can pass for it.
const PURPOSE: &str = "watchfire segment\n";

/// A manifest, as it stands in its file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::log) struct Manifest {
    pub format: u32,
    pub first: Position,
    pub last: Position,
    pub entries: u64,
    pub events: u64,
    /// Entries of which only the digest is left.
    pub deleted: u64,
    /// Milliseconds since 1970, UTC; none without events.
    pub time_min: Option<i64>,
    pub time_max: Option<i64>,
    pub received_min: Option<i64>,
    pub received_max: Option<i64>,
    pub head_before: Hex<32>,
    pub head_after: Hex<32>,
    /// Length and BLAKE3 of the database.
    pub bytes: u64,
    pub digest: Hex<32>,
    pub sealed_at: i64,
    /// The digest of the manifest before; none for the first.
    pub before: Option<Hex<32>>,
    /// The segments that were merged into this one.
    pub replaces: Vec<Replaced>,
    /// What the next manifest is linked to, where that is not this one's own digest.
    pub ends_with: Option<Hex<32>>,
    pub public_key: Hex<32>,
    /// Over this text with an empty signature.
    pub signature: Option<Hex<64>>,
}

/// A segment that was merged into another one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::log) struct Replaced {
    pub first: Position,
    pub last: Position,
    /// Of its manifest.
    pub manifest: Hex<32>,
}

/// What is known of a sealed segment without opening it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SegmentInfo {
    /// The first position.
    pub first: Position,
    /// The last position.
    pub last: Position,
    /// How many of the entries are events.
    pub events: u64,
    /// How many of the entries were deleted.
    pub deleted: u64,
    /// The length of the file.
    pub bytes: u64,
    /// Earliest and latest event time; none without events.
    pub times: Option<(Timestamp, Timestamp)>,
    /// Earliest and latest arrival; none without events.
    pub received: Option<(Timestamp, Timestamp)>,
    /// When it was sealed or merged.
    pub sealed_at: Timestamp,
    /// The format of the file.
    pub format: u32,
    /// Why it is set aside; none if it can be read as far as is known.
    pub damage: Option<String>,
}

impl Manifest {
    /// Of a new segment, signed.
    pub(in crate::log) fn sign(
        summary: &Summary,
        (bytes, digest): (u64, [u8; 32]),
        sealed_at: Timestamp,
        (before, merged): (Option<Hex<32>>, (Vec<Replaced>, Option<Hex<32>>)),
        key: &SigningKey,
    ) -> Self {
        let own = Self {
            format: FORMAT,
            first: summary.first,
            last: summary.last,
            entries: summary.last - summary.first + 1,
            events: summary.events,
            deleted: summary.deleted,
            time_min: summary.times.map(|times| times.0.0),
            time_max: summary.times.map(|times| times.1.0),
            received_min: summary.received.map(|times| times.0.0),
            received_max: summary.received.map(|times| times.1.0),
            head_before: Hex(summary.head_before),
            head_after: Hex(summary.head_after),
            bytes,
            digest: Hex(digest),
            sealed_at: sealed_at.0,
            before,
            replaces: merged.0,
            ends_with: merged.1,
            public_key: key.public().0,
            signature: None,
        };
        own.signed(key)
    }

    /// The same with this key's signature.
    pub(in crate::log) fn signed(mut self, key: &SigningKey) -> Self {
        self.signature = Some(key.sign(self.message().as_bytes()));
        self
    }

    /// The file's text.
    pub(in crate::log) fn text(&self) -> String {
        // Numbers, digits and lists of them: nothing in it can fail to be written.
        serde_json::to_string_pretty(self).unwrap_or_default() + "\n"
    }

    /// The digest of the file's text.
    pub(in crate::log) fn digest(&self) -> Hex<32> {
        Hex(*blake3::hash(self.text().as_bytes()).as_bytes())
    }

    /// What the next manifest has as `before`.
    pub(in crate::log) fn link(&self) -> Hex<32> {
        self.ends_with.unwrap_or_else(|| self.digest())
    }

    /// Reads a manifest whose text must be exactly what [`Manifest::text`] writes, about these positions.
    pub(in crate::log) fn read(path: &Path, (first, last): Positions) -> Result<Self, LogError> {
        let text = std::fs::read_to_string(path).map_err(LogError::file(path))?;
        let own: Self = serde_json::from_str(&text)
            .map_err(|error| LogError::broken(path, format!("this manifest cannot be read: {error}")))?;
        if own.format != FORMAT {
            let reason = format!("the segment has format {}, this program knows {FORMAT}", own.format);
            return Err(LogError::broken(path, reason));
        }
        let fits = (own.first, own.last, own.entries) == (first, last, last - first + 1);
        if own.text() == text && fits {
            Ok(own)
        } else {
            Err(LogError::broken(path, "this manifest is not what was written"))
        }
    }

    /// Who signed it, if the signature fits.
    pub(in crate::log) fn signer(&self) -> Option<PublicKey> {
        let key = PublicKey(self.public_key);
        let signed = self
            .signature
            .as_ref()
            .is_some_and(|signature| key.has_signed(self.message().as_bytes(), signature));
        signed.then_some(key)
    }

    fn message(&self) -> String {
        format!("{PURPOSE}{}", Self { signature: None, ..self.clone() }.text())
    }

    /// For those who ask.
    pub(in crate::log) fn info(&self) -> SegmentInfo {
        let pair = |a: Option<i64>, b: Option<i64>| a.map(Timestamp).zip(b.map(Timestamp));
        SegmentInfo {
            first: self.first,
            last: self.last,
            events: self.events,
            deleted: self.deleted,
            bytes: self.bytes,
            times: pair(self.time_min, self.time_max),
            received: pair(self.received_min, self.received_max),
            sealed_at: Timestamp(self.sealed_at),
            format: self.format,
            damage: None,
        }
    }
}
