//! Giving a finished segment its name, its manifest, and where events were left out of it their record.

use std::fs;
use std::path::{Path, PathBuf};

use super::Judged;
use crate::log::deletion::{self, Deletion};
use crate::log::hex::Hex;
use crate::log::sealer::worker::{Links, Worker};
use crate::log::segment::{Manifest, Summary, folder};
use crate::log::{LogError, durable, fault, read_deletions};
use crate::time::Timestamp;

/// The name that a manifest has until its record is durable.
const NEXT: &str = "next";

/// A segment whose file is written, under a temporary name.
pub(in crate::log::sealer) struct Publication<'a> {
    /// Where it is to be.
    pub path: PathBuf,
    pub summary: &'a Summary,
    /// Length and digest.
    pub file: (u64, [u8; 32]),
    pub links: Links,
    /// What was left out of it.
    pub dropped: Option<Dropped>,
}

/// Events that were left out, and where they were.
pub(in crate::log::sealer) struct Dropped {
    pub judged: Judged,
    /// The digests of the manifests that the new one replaces.
    pub manifests: Vec<Hex<32>>,
    pub bytes_before: u64,
}

impl Dropped {
    /// The record, without its number and signature.
    pub(super) fn record(&self, summary: &Summary, now: Timestamp) -> Deletion {
        Deletion {
            number: 0,
            at: now.0,
            first: summary.first,
            last: summary.last,
            removed: false,
            events: self.judged.due.len(),
            rules: self.judged.by.values().cloned().collect(),
            types: self.judged.types.clone(),
            bytes_before: self.bytes_before,
            bytes_after: 0,
            head_before: Hex(summary.head_before),
            head_after: Hex(summary.head_after),
            manifests: self.manifests.clone(),
            link_before: None,
            link_after: None,
            replaced_by: None,
            before: None,
            public_key: Hex([0; 32]),
            signature: None,
        }
    }
}

impl Worker {
    /// Gives a finished segment its name and its manifest; false if something was left out of it that may not be deleted
    /// any more: then the file is removed.
    pub(in crate::log::sealer) fn publish(
        &mut self,
        publication: Publication<'_>,
        now: Timestamp,
    ) -> Result<bool, LogError> {
        let Publication { path, summary, file, links, dropped } = publication;
        let temporary = durable::temporary(&path);
        if dropped.is_some() && !self.may_still_delete() {
            durable::remove(&temporary)?;
            return Ok(false);
        }
        fault::point("segment.before_rename");
        durable::rename(&temporary, &path)?;
        fault::point("segment.after_rename");
        let manifest = Manifest::sign(summary, file, now, links, &self.key);
        let (text, target) = (manifest.text(), path.with_extension("json"));
        if let Some(dropped) = dropped {
            let next = path.with_extension(NEXT);
            durable::write(&next, text.as_bytes())?;
            fault::point("retention.before_record");
            let mut record = dropped.record(summary, now);
            (record.bytes_after, record.replaced_by) = (file.0, Some(manifest.digest()));
            self.record(record)?;
            fault::point("retention.after_record");
            durable::rename(&next, &target)?;
        } else {
            durable::write(&target, text.as_bytes())?;
        }
        fault::point("segment.after_manifest");
        Ok(true)
    }

    /// Appends a record, and counts what it tells. Should that fail, it may be there or not; only the next start can tell, so
    /// nothing more is deleted before.
    pub(super) fn record(&mut self, record: Deletion) -> Result<(), LogError> {
        let (events, freed) = (record.events, record.freed());
        tracing::info!(
            first = record.first,
            last = record.last,
            events,
            removed = record.removed,
            "events that were kept long enough are deleted"
        );
        deletion::append(&self.dir, record, &self.key).map_err(|error| self.give_up(error))?;
        self.deleted.events += events;
        self.deleted.bytes += freed;
        Ok(())
    }
}

impl Worker {
    /// Nothing is deleted any more before the next start.
    pub(super) fn give_up(&mut self, error: LogError) -> LogError {
        self.unrecorded = Some(error.to_string());
        self.terms = None;
        error
    }
}

/// Gives manifests whose record is durable their name, and removes the others.
pub(in crate::log::sealer) fn finish_pending(dir: &Path) -> Result<(), LogError> {
    let folder = folder(dir);
    for entry in fs::read_dir(&folder).map_err(LogError::file(&folder))? {
        let path = entry.map_err(LogError::file(&folder))?.path();
        if path.extension().is_none_or(|extension| extension != NEXT) {
            continue;
        }
        let bytes = fs::read(&path).map_err(LogError::file(&path))?;
        let digest = Some(Hex(*blake3::hash(&bytes).as_bytes()));
        // Records that cannot be read are no reason not to start; the manifest stays until they can be.
        let Ok(records) = read_deletions(dir) else { continue };
        let target = path.with_extension("json");
        if !target.exists() && records.iter().any(|record| record.replaced_by == digest) {
            durable::rename(&path, &target)?;
        } else {
            durable::remove(&path)?;
        }
    }
    Ok(())
}
