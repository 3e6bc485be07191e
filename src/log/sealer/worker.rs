//! One seal or one merge at a time, without the thread.

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension as _, params};

use super::input::HotInput;
use super::retention::{
    Ask, Dropped, Dropping, Held, Looks, Publication, Retention, finish_pending, kept_keys,
};
use super::{SealOptions, SealerMetrics};
use crate::event::{Catalogue, Position};
use crate::log::checkpoint::{self, AuditMark, Checkpoint};
use crate::log::decoder::Decoder;
use crate::log::hex::Hex;
use crate::log::segment::{self, Listed, Pace, Plan, Positions, Replaced, Segment, Shelf, folder};
use crate::log::signing::SigningKey;
use crate::log::{LogError, durable, fault, hot, seam};
use crate::time::Timestamp;

/// One seal takes no more than so many times `seal_entries`, where ingest has run far ahead.
const AT_ONCE: u64 = 8;

/// Makes segments.
pub(in crate::log) struct Worker {
    pub(super) dir: PathBuf,
    pub(super) options: SealOptions,
    pub(super) catalogue: Arc<Catalogue>,
    pub(super) key: SigningKey,
    /// Where the audit log stands, for checkpoints.
    pub(super) audit: Option<AuditMark>,
    pub(super) shelf: Shelf,
    connection: Option<Connection>,
    /// Segments that could not be merged: not tried again before the next start.
    pub(super) aside: BTreeSet<Positions>,
    /// Segments that were merged, and when: removed a little later, for searches that have just listed them.
    pub(super) replaced: Vec<(Timestamp, Arc<Listed>)>,
    /// The entry of the last checkpoint in the folder's file; none until that is read.
    noted: Option<Position>,
    /// Who says what may be deleted; nobody: nothing.
    pub(super) ask: Option<Ask>,
    /// What was said last.
    pub(super) terms: Option<Arc<Retention>>,
    pub(super) looks: Looks,
    /// What was deleted since this was taken last.
    pub(super) deleted: Deleted,
    /// Why no record can be written: nothing is deleted any more before the next start.
    pub(super) unrecorded: Option<String>,
}

/// Deleted events, and the bytes that they took.
#[derive(Debug, Default)]
pub(super) struct Deleted {
    pub events: u64,
    pub bytes: u64,
}

/// The links of a new manifest: what it has as `before`, what it replaces, and what the next one is linked to.
pub(super) type Links = (Option<Hex<32>>, (Vec<Replaced>, Option<Hex<32>>));

impl Worker {
    /// Makes the folder and the key where there are none, and clears up what a crash has left. Only for who holds the
    /// folder's lock.
    pub(in crate::log) fn open(
        dir: &Path,
        options: SealOptions,
        catalogue: Arc<Catalogue>,
    ) -> Result<Self, LogError> {
        seam::check(dir)?;
        let folder = folder(dir);
        DirBuilder::new().recursive(true).mode(0o700).create(&folder).map_err(LogError::file(&folder))?;
        let key = SigningKey::load_or_make(dir)?;
        let mut own = Self {
            dir: dir.to_owned(),
            options,
            catalogue,
            key,
            audit: None,
            shelf: Shelf::new(dir),
            connection: None,
            aside: BTreeSet::new(),
            replaced: Vec::new(),
            noted: None,
            ask: None,
            terms: None,
            looks: Looks::default(),
            deleted: Deleted::default(),
            unrecorded: None,
        };
        own.tidy()?;
        Ok(own)
    }

    /// As if it had not looked at the hot end yet.
    #[cfg(test)]
    pub(in crate::log) fn blind(mut self) -> Self {
        self.connection = None;
        self
    }

    /// How many entries only the hot end has.
    pub(in crate::log) fn hot_entries(&mut self) -> Result<u64, LogError> {
        let (base, end) = self.ends()?;
        Ok(end.saturating_sub(base))
    }

    /// Tells how much is sealed.
    pub(super) fn report(&mut self, metrics: &SealerMetrics) -> Result<(), LogError> {
        let infos = || self.shelf.all().iter().map(|listed| &listed.info);
        let damaged = infos().filter(|info| info.damage.is_some()).count() + self.aside.len();
        metrics.segments.set(self.shelf.all().len() as u64);
        metrics.damaged.set(damaged as u64);
        metrics.sealed_entries.set(infos().map(|info| info.last - info.first + 1).sum());
        metrics.sealed_bytes.set(infos().map(|info| info.bytes).sum());
        metrics.hot_entries.set(self.hot_entries()?);
        let deleted = std::mem::take(&mut self.deleted);
        metrics.deleted.inc_by(deleted.events);
        metrics.freed.inc_by(deleted.bytes);
        metrics.held.set(self.retention(None).held);
        Ok(())
    }

    /// Seals what is due; up to where the hot end may be emptied, if there is anything to remove from it.
    pub(in crate::log) fn seal(
        &mut self,
        now: Timestamp,
        pace: &mut Pace<'_>,
    ) -> Result<Option<Position>, LogError> {
        let (base, end) = self.ends()?;
        self.shelf.refresh(base)?;
        self.note_checkpoint(now)?;
        // Sealed before a crash, and not removed from the hot end.
        if let Some(last) = self.shelf.all().last().map(|listed| listed.info.last).filter(|last| *last > base)
        {
            // Only if these are the same entries may the hot end's be removed.
            let all = self.shelf.all().iter().map(AsRef::as_ref);
            seam::check_last(&self.dir, self.connection.as_ref(), all)?;
            return Ok(Some(last));
        }
        let Some(upto) = self.due(base, end, now)? else { return Ok(None) };
        let (position, head) = self.read_hot(hot::base)?.unwrap_or((0, [0; 32]));
        let before = self.before(position, &Hex(head))?;
        let positions = (position + 1, upto);
        let path = self.shelf.path(positions);
        let temporary = durable::temporary(&path);
        let oldest = self.oldest(upto)?;
        let terms = self.terms_for(oldest, now);
        let Some(connection) = self.connection.as_ref() else { return Ok(None) };
        let (decoder, hot) = (Decoder::default(), hot::path(&self.dir));
        let mut input = HotInput { connection, path: hot, decoder, head };
        let mut keys = input.keys(upto)?;
        let mut judged = match &terms {
            Some(terms) => {
                let held = Held::without_index(terms);
                self.judge_along((&mut input, &held), positions, now, pace)?
            }
            None => None,
        };
        if let Some(judged) = &mut judged {
            keys = kept_keys(keys, judged, (&mut input, positions), pace)?;
        }
        let plan = Plan { positions, head_before: head, keys, catalogue: &self.catalogue };
        let due = judged.as_ref().map(|judged| &judged.due);
        let mut left = Dropping { inner: &mut input, first: positions.0, due };
        let segment_before = self.open_before(position);
        let (summary, file) =
            segment::write_after(&temporary, plan, segment_before.as_ref(), &mut left, pace)?;
        let dropped = judged.map(|judged| Dropped { judged, manifests: Vec::new(), bytes_before: 0 });
        let links = (before, (Vec::new(), None));
        if !self.publish(Publication { path, summary: &summary, file, links, dropped }, now)? {
            return Ok(None);
        }
        self.shelf.refresh(base)?;
        self.note_checkpoint(now)?;
        fault::point("seal.after_checkpoint");
        Ok(Some(upto))
    }

    /// Appends the checkpoint of the last sealed entry, unless the file has it: after each seal, and where a crash or a
    /// full disk came between the two.
    fn note_checkpoint(&mut self, now: Timestamp) -> Result<(), LogError> {
        let Some(manifest) = self.shelf.all().last().and_then(|listed| listed.manifest.as_ref()) else {
            return Ok(());
        };
        let noted = match self.noted {
            Some(noted) => noted,
            None => checkpoint::last_noted(&self.dir)?,
        };
        if noted < manifest.last {
            let checkpoint =
                Checkpoint::sign((manifest.last, manifest.head_after.0), self.audit, now, &self.key);
            checkpoint::append(&self.dir, &checkpoint)?;
        }
        self.noted = Some(noted.max(manifest.last));
        Ok(())
    }

    /// The segment that ends at a position, if it can be read.
    fn open_before(&self, position: Position) -> Option<Segment> {
        let listed = self.shelf.with(position).filter(|listed| listed.info.damage.is_none())?;
        Segment::open(&listed.path, listed.info.clone()).ok()
    }

    /// What the next manifest is linked to; the segment before must end where the hot end begins.
    fn before(&self, position: Position, head: &Hex<32>) -> Result<Option<Hex<32>>, LogError> {
        let manifest = self.shelf.with(position).and_then(|listed| listed.manifest.as_ref());
        let last = match (manifest, self.shelf.gone(position)) {
            (Some(last), _) => (last.head_after, Some(last.link()), (last.first, last.last)),
            (None, Some(last)) => (last.head_after, last.link_after, last.positions),
            (None, None) if position == 0 => return Ok(None),
            (None, None) => {
                // A link left out now would be missing for good: what is sealed later is linked.
                let reason = "nothing is sealed behind it until its manifest can be read again: put the segment's two \
                    files back from a backup"
                    .to_owned();
                let first = self.shelf.with(position).map_or(position, |listed| listed.info.first);
                return Err(LogError::Corrupt { first, last: position, reason });
            }
        };
        let (head_after, link, (first, last)) = last;
        if head_after == *head {
            return Ok(link);
        }
        let reason = "the hot end does not go on where the last segment ends".to_owned();
        Err(LogError::Corrupt { first, last, reason })
    }

    /// The earliest arrival in the hot end up to a position, at the latest.
    fn oldest(&mut self, upto: Position) -> Result<Option<Timestamp>, LogError> {
        let oldest = self.read_hot(|connection| {
            let sql = "SELECT min(received_max) FROM block WHERE last <= ?1 AND kinds > 1";
            connection.query_row(sql, [upto.cast_signed()], |row| row.get::<_, Option<i64>>(0))
        })?;
        Ok(oldest.flatten().map(Timestamp))
    }

    /// Up to where is to be sealed now, if anywhere.
    fn due(&mut self, base: Position, end: Position, now: Timestamp) -> Result<Option<Position>, LogError> {
        let count = end.saturating_sub(base);
        let old = now.minus(self.options.seal_after).0;
        let oldest = self.read_hot(|connection| {
            let sql = "SELECT received_max FROM block WHERE kinds > 1 ORDER BY first LIMIT 1";
            connection.query_row(sql, [], |row| row.get::<_, i64>(0)).optional()
        })?;
        let is_old = oldest.flatten().is_some_and(|received| received < old);
        if count == 0 || (count < self.options.seal_entries && !is_old) {
            return Ok(None);
        }
        let most = self.options.seal_entries.saturating_mul(AT_ONCE).min(self.options.segment_entries);
        let most = base.saturating_add(most.max(self.options.seal_entries));
        let last = self.read_hot(|connection| {
            let sql = "SELECT coalesce((SELECT max(last) FROM block WHERE last <= ?1), min(last)) FROM block";
            connection.query_row(sql, params![i64::try_from(most).unwrap_or(i64::MAX)], |row| {
                row.get::<_, Option<i64>>(0)
            })
        })?;
        Ok(last.flatten().map(i64::cast_unsigned))
    }

    /// The last entry that the hot end has no more, and the last of all.
    pub(super) fn ends(&mut self) -> Result<(Position, Position), LogError> {
        let ends = self.read_hot(|connection| Ok((hot::base(connection)?.0, hot::end(connection)?.0)))?;
        Ok(ends.unwrap_or((0, 0)))
    }

    fn read_hot<T>(
        &mut self,
        read: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<Option<T>, LogError> {
        if self.connection.is_none() {
            self.connection = hot::open_to_read(&self.dir)?;
        }
        let failed = |error: rusqlite::Error| LogError::database(&hot::path(&self.dir), &error);
        self.connection.as_ref().map(|connection| read(connection).map_err(failed)).transpose()
    }

    /// Removes what a crash has left: half-made files, segments that were merged, and those that were about to get
    /// their manifest while the hot end still has their entries. Never anything that is nowhere else.
    fn tidy(&mut self) -> Result<(), LogError> {
        let (base, end) = self.ends()?;
        let folder = folder(&self.dir);
        for entry in fs::read_dir(&folder).map_err(LogError::file(&folder))? {
            let path = entry.map_err(LogError::file(&folder))?.path();
            if path.extension().is_some_and(|extension| extension == durable::TEMPORARY) {
                durable::remove(&path)?;
            }
        }
        finish_pending(&self.dir)?;
        checkpoint::mend(&self.dir)?;
        self.shelf.refresh(base)?;
        for listed in self.shelf.everything()? {
            let (first, last) = listed.positions();
            let is_gone = self.shelf.gone(first).is_some();
            let is_within = |wider: &Arc<Listed>| {
                wider.path != listed.path
                    && wider.info.damage.is_none()
                    && wider.info.first <= first
                    && last <= wider.info.last
            };
            // A manifest that is there but cannot be read is damage, and no crash leaves that.
            let is_unfinished = first > base && last <= end && !listed.manifest_path().exists();
            if is_gone || is_unfinished || self.shelf.all().iter().any(is_within) {
                tracing::info!(first, last, "removes what a crash has left of a segment");
                remove(&listed)?;
            }
        }
        for listed in self.shelf.all().iter().filter(|listed| listed.info.damage.is_some()) {
            let (first, last) = listed.positions();
            let reason = listed.info.damage.as_deref().unwrap_or_default();
            tracing::error!(first, last, reason, "a sealed segment is set aside");
        }
        self.shelf.refresh(base)
    }
}

/// The manifest first: while it is there, the database shall be.
pub(super) fn remove(listed: &Listed) -> Result<(), LogError> {
    durable::remove(&listed.manifest_path())?;
    fault::point("merge.between_removes");
    durable::remove(&listed.path)
}
