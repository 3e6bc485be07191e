//! What to check, and what came of it.

use std::sync::Arc;

use super::Progress;
use crate::log::checkpoint::Checkpoint;
use crate::log::signing::PublicKey;
use crate::log::{LogError, Reader};
use crate::time::Timestamp;

/// How much is checked.
#[derive(Debug, Clone, Default)]
pub struct VerifyOptions {
    /// Recompute everything inside of sealed segments as well, not only the digest of the file.
    pub deep: bool,
    /// Recompute the keys of duplicates too, and count those that this program would not make.
    pub keys: bool,
    /// Leave the files of segments out whose last event arrived before this. Manifests are always checked.
    pub since: Option<Timestamp>,
    /// Who must have signed everything; else the key in `DIR/key.pub`.
    pub key: Option<PublicKey>,
    /// Checkpoints that were kept elsewhere.
    pub checkpoints: Vec<Checkpoint>,
    /// Where to tell how far it is.
    pub progress: Arc<Progress>,
}

/// A log that is what was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Verified {
    /// How many entries the log has.
    pub entries: u64,
    /// The chain after the last of them: equal for equal logs.
    pub head: [u8; 32],
    /// How many sealed segments there are, and how many of them were left out.
    pub segments: u64,
    /// Those that were left out.
    pub skipped: u64,
    /// How many have an index by another version or another catalogue, which only their digest says something of.
    pub other_indexes: u64,
    /// How many events are in segments, or in blocks of the hot end, whose keys of duplicates are by other rules.
    pub other_keys: u64,
    /// How many entries are in the hot end.
    pub hot: u64,
    /// How many checkpoints were compared.
    pub checkpoints: u64,
    /// How many records there are of what retention deleted.
    pub deletions: u64,
    /// How many entries are gone with their segments.
    pub gone: u64,
    /// How many entries are left as digests.
    pub deleted: u64,
    /// How many bytes of files were read.
    pub bytes: u64,
}

impl Reader {
    /// Recomputes the chain from the first entry, and all that is derived from entries. [`LogError::Corrupt`] names
    /// the positions of the first thing that was changed, or of the gap where something is missing.
    pub fn verify(&mut self) -> Result<Verified, LogError> {
        self.verify_with(&VerifyOptions { deep: true, ..VerifyOptions::default() })
    }

    /// Checks the log as far as asked. [`LogError::Corrupt`] names positions, [`LogError::Broken`] a file.
    pub fn verify_with(&mut self, options: &VerifyOptions) -> Result<Verified, LogError> {
        super::run::verify(self, options)
    }

    /// Whether the log still agrees with a checkpoint that was kept elsewhere, signed by `key` or else by the key in
    /// `DIR/key.pub`. It compares what the log says of itself: only together with a deep check does it prove anything
    /// against who has the key. [`LogError::Corrupt`] where it does not agree.
    pub fn agrees_with(&mut self, checkpoint: &Checkpoint, key: Option<PublicKey>) -> Result<(), LogError> {
        super::kept::compare(self, checkpoint, key)
    }
}
