//! Whether the log agrees with checkpoints.

use std::path::Path;

use super::deletions::Deletions;
use super::run::{expected_key, head_at, undisturbed};
use super::{Verified, VerifyOptions};
use crate::log::checkpoint::{self, Checkpoint, read_checkpoints};
use crate::log::durable::check_end;
use crate::log::signing::PublicKey;
use crate::log::{LogError, Reader, deletion};
use crate::time::Timestamp;

/// Read before anything else: what is appended later may tell of entries that are later than what is checked.
pub(super) fn own_checkpoints(dir: &Path) -> Result<Vec<Checkpoint>, LogError> {
    let own = checkpoint::path(dir);
    if !own.try_exists().map_err(LogError::file(&own))? {
        return Ok(Vec::new());
    }
    check_end(&own)?;
    read_checkpoints(&own)
}

/// Compares all of them.
pub(super) fn check_checkpoints(
    reader: &mut Reader,
    checkpoints: &[Checkpoint],
    (key, deletions): (Option<PublicKey>, &Deletions),
    verified: &mut Verified,
) -> Result<(), LogError> {
    for checkpoint in checkpoints {
        agree(reader, checkpoint, (key, deletions), verified.entries)?;
        verified.checkpoints += 1;
    }
    Ok(())
}

/// One checkpoint without the rest of the check.
pub(super) fn compare(
    reader: &mut Reader,
    checkpoint: &Checkpoint,
    key: Option<PublicKey>,
) -> Result<(), LogError> {
    let dir = reader.dir.clone();
    let key = expected_key(&dir, &VerifyOptions { key, ..VerifyOptions::default() })?;
    undisturbed(reader, &mut |reader| {
        let end = reader.end()?.0;
        let deletions = Deletions(deletion::verify(&dir, key)?);
        agree(reader, checkpoint, (key, &deletions), end)
    })
}

fn agree(
    reader: &mut Reader,
    checkpoint: &Checkpoint,
    (key, deletions): (Option<PublicKey>, &Deletions),
    entries: u64,
) -> Result<(), LogError> {
    let position = checkpoint.position;
    let corrupt = |reason: &str| {
        let at = Timestamp(checkpoint.at);
        let reason = format!("the checkpoint of {at} {reason}");
        LogError::Corrupt { first: position, last: position, reason }
    };
    if Some(PublicKey(checkpoint.public_key)) != key {
        return Err(corrupt("is not signed by the expected key"));
    }
    if position > entries {
        return Err(corrupt("tells of entries that are gone"));
    }
    let head = match deletions.removed(position) {
        Some(record) if record.last == position => record.head_after.0,
        // The chain within is gone with the segment.
        Some(_) => return Ok(()),
        None => head_at(reader, position)?,
    };
    if head != checkpoint.head.0 {
        return Err(corrupt("says something else: this entry or one before it was changed"));
    }
    Ok(())
}
