//! The whole check, from the key to the last checkpoint.

use std::fs::File;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

use super::deletions::{Deletions, End};
use super::{Verified, VerifyOptions, hot, segment};
use crate::event::Position;
use crate::log::checkpoint::{self, Checkpoint, read_checkpoints};
use crate::log::durable::check_end;
use crate::log::row::{GENESIS, Head, Rows, link};
use crate::log::segment::{Listed, Manifest, Segment, digest};
use crate::log::signing::{self, PublicKey, SigningKey};
use crate::log::{LogError, Reader, deletion};
use crate::time::Timestamp;

pub(super) fn verify(reader: &mut Reader, options: &VerifyOptions) -> Result<Verified, LogError> {
    let dir = reader.dir.clone();
    let key = expected_key(&dir, options)?;
    let base = reader.base()?;
    options.progress.begin(reader.end()?.0);
    reader.sealed.refresh(base.0)?;
    let mut verified = Verified::default();
    let deletions = Deletions(deletion::verify(&dir, key)?);
    verified.deletions = deletions.0.len() as u64;
    let sealed = check_segments(reader, (base.0, key), &deletions, options, &mut verified)?;
    let head = if base.0 == sealed.0 { sealed.1 } else { head_at(reader, base.0)? };
    if head != base.1 || base.0 > sealed.0 {
        let reason = "the hot end does not go on where the last sealed segment ends".to_owned();
        return Err(LogError::Corrupt { first: base.0, last: base.0 + 1, reason });
    }
    hot::check(reader, (base, sealed), options, &mut verified)?;
    let own = checkpoint::path(&dir);
    if own.try_exists().map_err(LogError::file(&own))? {
        check_end(&own)?;
        let checkpoints = read_checkpoints(&own)?;
        check_checkpoints(reader, &checkpoints, (key, &deletions), &mut verified)?;
    }
    check_checkpoints(reader, &options.checkpoints, (key, &deletions), &mut verified)?;
    Ok(verified)
}

/// Whose signatures count. The folder's two halves must belong together, as far as the secret one may be read.
fn expected_key(dir: &Path, options: &VerifyOptions) -> Result<Option<PublicKey>, LogError> {
    let path = signing::public_path(dir);
    let own = match PublicKey::read(&path) {
        Err(LogError::File { source, .. }) if source.kind() == ErrorKind::NotFound => None,
        own => Some(own?),
    };
    match (own, SigningKey::load(dir)) {
        // Who checks need not be who signs.
        (_, Err(LogError::File { source, .. }))
            if matches!(source.kind(), ErrorKind::NotFound | ErrorKind::PermissionDenied) => {}
        (_, Err(error)) => return Err(error),
        (Some(own), Ok(secret)) if secret.public() == own => {}
        (None, Ok(_)) => {
            return Err(LogError::broken(&path, "the public key is missing, though the secret one is there"));
        }
        (Some(_), Ok(_)) => {
            return Err(LogError::broken(&path, "this is not the public half of the key beside it"));
        }
    }
    match (options.key, own) {
        (Some(wanted), Some(own)) if wanted != own => {
            Err(LogError::broken(&path, format!("this is not the expected key, which is {wanted}")))
        }
        (wanted, own) => Ok(wanted.or(own)),
    }
}

/// Checks the sealed segments; the last entry of them, and the chain after it.
fn check_segments(
    reader: &mut Reader,
    (base, key): (Position, Option<PublicKey>),
    deletions: &Deletions,
    options: &VerifyOptions,
    verified: &mut Verified,
) -> Result<(Position, Head), LogError> {
    let mut end = End::START;
    for listed in reader.sealed.listed().to_vec() {
        let (first, last) = listed.positions();
        let corrupt = |reason: &str| LogError::Corrupt { first, last, reason: reason.to_owned() };
        // About to be sealed: the hot end still has it.
        if listed.info.damage.is_some() && first > base {
            break;
        }
        deletions.pass(&mut end, verified)?;
        let Some(manifest) = listed.manifest.as_ref() else {
            return Err(corrupt(listed.info.damage.as_deref().unwrap_or("its manifest is missing")));
        };
        if manifest.signer().is_none_or(|signer| Some(signer) != key) {
            return Err(LogError::broken(
                &listed.manifest_path(),
                "its signature is not by the expected key",
            ));
        }
        if manifest.before != end.link {
            return Err(corrupt("its manifest is not linked to the one before: one was put in or taken out"));
        }
        if (manifest.first, manifest.head_before.0) != (end.position + 1, end.head) {
            return Err(corrupt("it does not go on where the one before ends"));
        }
        verified.deleted += deletions.check(manifest, &listed.info)?;
        let is_wanted = options.since.is_none_or(|since| is_since(&listed, since));
        if let Some(reason) = &listed.info.damage {
            // What is wrong inside says more than a wrong length.
            let mut segment = Segment::open(&listed.path, manifest.info()).map_err(|_| corrupt(reason))?;
            segment::check(&mut segment, manifest, (false, &options.progress))?;
            return Err(corrupt(reason));
        }
        if is_wanted {
            let is_compared = check_file(reader, &listed, manifest, options)?;
            verified.other_indexes += u64::from(!is_compared);
            verified.bytes += manifest.bytes;
        } else {
            verified.skipped += 1;
        }
        verified.segments += 1;
        verified.entries = manifest.last;
        options.progress.at(manifest.last)?;
        end = End::of(manifest);
        verified.head = end.head;
    }
    deletions.pass(&mut end, verified)?;
    Ok((end.position, end.head))
}

fn is_since(listed: &Arc<Listed>, since: Timestamp) -> bool {
    listed.info.received.is_none_or(|(_, max)| max >= since)
}

/// The digest of the file; with a wrong one, what is wrong inside. False where the index could not be compared.
fn check_file(
    reader: &mut Reader,
    listed: &Listed,
    manifest: &Manifest,
    options: &VerifyOptions,
) -> Result<bool, LogError> {
    let (first, last) = listed.positions();
    let corrupt = |reason: String| LogError::Corrupt { first, last, reason };
    let read = || File::open(&listed.path).and_then(|file| digest(&file));
    let found = read().map_err(|error| corrupt(format!("{}: {error}", listed.path.display())))?;
    let is_whole = found == (manifest.bytes, manifest.digest.0);
    let is_enough = is_whole && !options.deep;
    let is_compared =
        is_enough || segment::check(reader.sealed.with(first)?, manifest, (options.keys, &options.progress))?;
    if is_whole {
        return Ok(is_compared);
    }
    let path = listed.path.display();
    Err(corrupt(format!(
        "{path} is not what was signed, though its entries and its index are: bytes that hold nothing were changed"
    )))
}

fn check_checkpoints(
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
    let (base, (end, _)) = (reader.base()?.0, reader.end()?);
    reader.sealed.refresh(base)?;
    let deletions = Deletions(deletion::verify(&dir, key)?);
    agree(reader, checkpoint, (key, &deletions), end)
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

/// The chain after an entry.
fn head_at(reader: &mut Reader, position: Position) -> Result<Head, LogError> {
    if position == 0 {
        return Ok(GENESIS);
    }
    if position > reader.base()?.0 {
        return hot::head_at(reader, position);
    }
    let segment = reader.segment(position)?;
    let block = segment.block_with(position)?;
    if block.positions.1 == position {
        return Ok(block.head);
    }
    let plain = segment.plain(&block)?;
    let before = match block.positions.0 {
        first if first == segment.info().first => {
            let listed = reader.sealed.listed().iter().find(|listed| listed.info.first == first);
            listed
                .and_then(|listed| listed.manifest.as_ref())
                .map_or(GENESIS, |manifest| manifest.head_before.0)
        }
        first => segment.block_with(first - 1)?.head,
    };
    follow_to(before, &plain, block.positions, position)
}

/// The chain after one entry of a block.
pub(super) fn follow_to(
    mut head: Head,
    plain: &[u8],
    positions: (Position, Position),
    upto: Position,
) -> Result<Head, LogError> {
    for row in Rows::new(plain, positions) {
        let (position, row, encoded) = row?;
        head = link(&head, &row.digest(encoded));
        if position == upto {
            break;
        }
    }
    Ok(head)
}
