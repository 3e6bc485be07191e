//! The whole check, from the key to the last checkpoint.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

use super::deletions::{Deletions, End};
use super::kept::{check_checkpoints, own_checkpoints};
use super::segment::Others;
use super::{Verified, VerifyOptions, hot, segment};
use crate::event::Position;
use crate::log::checkpoint;
use crate::log::row::{GENESIS, Head, Rows, link};
use crate::log::segment::{Listed, Manifest, Segment, digest};
use crate::log::signing::{self, PublicKey, SigningKey};
use crate::log::{Hex, LogError, Reader, deletion};
use crate::time::Timestamp;

/// How often it begins anew since the log was sealed or merged under it. What was checked is not read again.
const TRIES: usize = 50;

/// The files of segments that were found whole, by the digest of their manifest: what of them is by
/// another version.
type Whole = BTreeMap<[u8; 32], Others>;

pub(super) fn verify(reader: &mut Reader, options: &VerifyOptions) -> Result<Verified, LogError> {
    verify_beside(reader, options, &mut || ())
}

/// The same; `meanwhile` is called between the check of the hot end and that of the segments.
pub(in crate::log) fn verify_beside(
    reader: &mut Reader,
    options: &VerifyOptions,
    meanwhile: &mut dyn FnMut(),
) -> Result<Verified, LogError> {
    let mut whole = Whole::new();
    undisturbed(reader, &mut |reader| verify_once(reader, options, (&mut whole, meanwhile)))
}

/// Does it again where it fails and something was sealed, merged or deleted meanwhile. The listing is that of the
/// beginning.
pub(super) fn undisturbed<T>(
    reader: &mut Reader,
    check: &mut dyn FnMut(&mut Reader) -> Result<T, LogError>,
) -> Result<T, LogError> {
    for _ in 1..TRIES {
        let before = state(reader)?;
        match check(reader) {
            Err(LogError::Stopped) => return Err(LogError::Stopped),
            Err(_) if state(reader)? != before => {}
            checked => return checked,
        }
    }
    state(reader)?;
    check(reader)
}

/// What a daemon changes while it seals, merges and deletes: a fault that is found counts if this is as before. The
/// lengths are those of the checkpoints and of the records of what was deleted.
type State = (Position, Vec<(Position, Position, Option<Hex<32>>)>, [Option<u64>; 2]);

fn state(reader: &mut Reader) -> Result<State, LogError> {
    let (base, _) = reader.base()?;
    reader.sealed.refresh(base)?;
    let digest = |listed: &Arc<Listed>| {
        let (first, last) = listed.positions();
        (first, last, listed.manifest.as_ref().map(Manifest::digest))
    };
    let listed = reader.sealed.listed().iter().map(digest).collect();
    let length = |path: &Path| std::fs::metadata(path).ok().map(|file| file.len());
    let lengths = [length(&checkpoint::path(&reader.dir)), length(&deletion::path(&reader.dir))];
    Ok((base, listed, lengths))
}

fn verify_once(
    reader: &mut Reader,
    options: &VerifyOptions,
    (whole, meanwhile): (&mut Whole, &mut dyn FnMut()),
) -> Result<Verified, LogError> {
    let own = own_checkpoints(&reader.dir);
    let key = expected_key(&reader.dir, options)?;
    options.progress.begin(reader.end()?.0);
    let mut verified = Verified::default();
    let deletions = Deletions(deletion::verify(&reader.dir, key)?);
    verified.deletions = deletions.0.len() as u64;
    // The hot end first, as it is now: it is small, and what is sealed while the segments are read is in it.
    let listed = reader.sealed.listed().to_vec();
    let base = in_one_moment(reader, |reader| {
        let base = reader.base()?;
        hot::check(reader, (base, sealed_end(&listed, base)), options, &mut verified)?;
        Ok(base)
    })?;
    meanwhile();
    let owned = (key, &deletions);
    let sealed = check_segments(reader, (&listed, base.0), owned, options, (&mut verified, whole))?;
    let head = if base.0 == sealed.0 { sealed.1 } else { head_at(reader, base.0)? };
    if head != base.1 || base.0 > sealed.0 {
        let reason = "the hot end does not go on where the last sealed segment ends".to_owned();
        return Err(LogError::Corrupt { first: base.0, last: base.0 + 1, reason });
    }
    check_checkpoints(reader, &own?, owned, &mut verified)?;
    check_checkpoints(reader, &options.checkpoints, owned, &mut verified)?;
    Ok(verified)
}

/// Does something that sees the hot end as it is at one moment, whatever is written meanwhile; not for long, as the
/// write-ahead log grows until it is done.
fn in_one_moment<T>(
    reader: &mut Reader,
    work: impl FnOnce(&mut Reader) -> Result<T, LogError>,
) -> Result<T, LogError> {
    let run = |reader: &mut Reader, sql: &str| match reader.database()? {
        Some((connection, path)) => {
            connection.execute_batch(sql).map_err(|error| LogError::database(&path, &error))
        }
        None => Ok(()),
    };
    run(reader, "BEGIN")?;
    let done = work(reader);
    // Nothing was written; where even this fails, what was read tells more.
    drop(run(reader, "ROLLBACK"));
    done
}

/// Where the sealed segments end, as far as they say so themselves.
fn sealed_end(listed: &[Arc<Listed>], base: (Position, Head)) -> (Position, Head) {
    let last = listed.iter().rev().find_map(|listed| listed.manifest.as_ref());
    last.filter(|last| last.last >= base.0).map_or(base, |last| (last.last, last.head_after.0))
}

/// Whose signatures count. The folder's two halves must belong together, as far as the secret one may be read.
pub(super) fn expected_key(dir: &Path, options: &VerifyOptions) -> Result<Option<PublicKey>, LogError> {
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
    (listed, base): (&[Arc<Listed>], Position),
    (key, deletions): (Option<PublicKey>, &Deletions),
    options: &VerifyOptions,
    (verified, whole): (&mut Verified, &mut Whole),
) -> Result<(Position, Head), LogError> {
    let mut end = End::START;
    for listed in listed {
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
        let is_wanted = options.since.is_none_or(|since| is_since(listed, since));
        if let Some(reason) = &listed.info.damage {
            // What is wrong inside says more than a wrong length.
            let mut segment = Segment::open(&listed.path, manifest.info()).map_err(|_| corrupt(reason))?;
            segment::check(&mut segment, manifest, (false, &options.progress))?;
            return Err(corrupt(reason));
        }
        if is_wanted {
            let others = match whole.get(&manifest.digest().0) {
                Some(others) => *others,
                None => check_file(reader, listed, manifest, options)?,
            };
            whole.insert(manifest.digest().0, others);
            verified.other_indexes += u64::from(others.index);
            verified.other_keys += others.keys;
            verified.bytes += manifest.bytes;
        } else {
            verified.skipped += 1;
        }
        verified.segments += 1;
        options.progress.at(manifest.last)?;
        end = End::of(manifest);
        end.note(verified);
    }
    deletions.pass(&mut end, verified)?;
    Ok((end.position, end.head))
}

fn is_since(listed: &Arc<Listed>, since: Timestamp) -> bool {
    listed.info.received.is_none_or(|(_, max)| max >= since)
}

/// The digest of the file; with a wrong one, what is wrong inside.
fn check_file(
    reader: &mut Reader,
    listed: &Listed,
    manifest: &Manifest,
    options: &VerifyOptions,
) -> Result<Others, LogError> {
    let (first, last) = listed.positions();
    let corrupt = |reason: String| LogError::Corrupt { first, last, reason };
    let read = || File::open(&listed.path).and_then(|file| digest(&file));
    let found = read().map_err(|error| corrupt(format!("{}: {error}", listed.path.display())))?;
    let is_whole = found == (manifest.bytes, manifest.digest.0);
    if is_whole && !options.deep {
        return Ok(Others::default());
    }
    let how = (options.keys, &*options.progress);
    let others = segment::check(reader.sealed.with(first)?, manifest, how)?;
    if is_whole {
        return Ok(others);
    }
    let path = listed.path.display();
    Err(corrupt(format!(
        "{path} is not what was signed, though its entries and its index are: bytes that hold nothing were changed"
    )))
}

/// The chain after an entry.
pub(super) fn head_at(reader: &mut Reader, position: Position) -> Result<Head, LogError> {
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
