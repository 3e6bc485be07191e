//! One seal or one merge at a time, without the thread.

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension as _, params};

use super::input::{Chain, HotInput, SegmentsInput};
use super::schedule::next_merge;
use super::{SealOptions, SealerMetrics};
use crate::event::{Catalogue, Position};
use crate::log::checkpoint::{self, Checkpoint};
use crate::log::decoder::Decoder;
use crate::log::hex::Hex;
use crate::log::segment::{
    self, Listed, Manifest, Pace, Plan, Positions, Replaced, Segment, Shelf, Summary, folder,
};
use crate::log::signing::SigningKey;
use crate::log::{LogError, SegmentInfo, durable, fault, hot, seam};
use crate::time::{Span, Timestamp};

/// One seal takes no more than so many times `seal_entries`, where ingest has run far ahead.
const AT_ONCE: u64 = 8;

/// Makes segments.
pub(in crate::log) struct Worker {
    dir: PathBuf,
    options: SealOptions,
    catalogue: Arc<Catalogue>,
    key: SigningKey,
    shelf: Shelf,
    connection: Option<Connection>,
    /// Segments that could not be merged: not tried again before the next start.
    aside: BTreeSet<Positions>,
    /// Segments that were merged, and when: removed a little later, for searches that have just listed them.
    replaced: Vec<(Timestamp, Arc<Listed>)>,
    /// The entry of the last checkpoint in the folder's file; none until that is read.
    noted: Option<Position>,
}

/// How long merged segments stay.
const REPLACED_STAY: Span = Span::minutes(1);

/// The links of a new manifest: what it has as `before`, what it replaces, and what the next one is linked to.
type Links = (Option<Hex<32>>, (Vec<Replaced>, Option<Hex<32>>));

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
        let (shelf, dir) = (Shelf::new(dir), dir.to_owned());
        let (connection, aside, replaced, noted) = (None, BTreeSet::new(), Vec::new(), None);
        let mut own = Self { dir, options, catalogue, key, shelf, connection, aside, replaced, noted };
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
        let Some(connection) = self.connection.as_ref() else { return Ok(None) };
        let chain = Chain { position, head };
        let mut input =
            HotInput { connection, path: hot::path(&self.dir), decoder: Decoder::default(), chain };
        let keys = input.keys(upto)?;
        let plan = Plan { positions, head_before: head, keys, catalogue: &self.catalogue };
        let (summary, file) = segment::write(&temporary, plan, &mut input, pace)?;
        self.publish(&path, &summary, file, now, (before, (Vec::new(), None)))?;
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
            let checkpoint = Checkpoint::sign((manifest.last, manifest.head_after.0), now, &self.key);
            checkpoint::append(&self.dir, &checkpoint)?;
        }
        self.noted = Some(noted.max(manifest.last));
        Ok(())
    }

    /// Merges a run of neighbours, if there is one; true if it did.
    pub(in crate::log) fn merge(&mut self, now: Timestamp, pace: &mut Pace<'_>) -> Result<bool, LogError> {
        let (base, _) = self.ends()?;
        self.shelf.refresh(base)?;
        let infos: Vec<SegmentInfo> = self.shelf.all().iter().map(|listed| self.info(listed)).collect();
        let Some(run) = next_merge(&infos, &self.options, now) else { return Ok(false) };
        let run: Vec<Arc<Listed>> = self.shelf.all().get(run).unwrap_or_default().to_vec();
        let merged = self.merge_run(&run, now, pace);
        if let Err(LogError::Corrupt { first, .. }) = &merged
            && let Some(damaged) =
                run.iter().find(|listed| (listed.info.first..=listed.info.last).contains(first))
        {
            self.aside.insert(damaged.positions());
        }
        merged.map(|()| true)
    }

    /// Removes the segments that were merged a while ago. A clock that was set back removes them as well.
    pub(in crate::log) fn remove_replaced(&mut self, now: Timestamp) -> Result<(), LogError> {
        let stays = |(at, _): &(Timestamp, Arc<Listed>)| {
            let age = now.since(*at);
            age >= Span(0) && age < REPLACED_STAY
        };
        while let Some(replaced) = self.replaced.first().filter(|replaced| !stays(replaced)) {
            remove(&replaced.1)?;
            self.replaced.remove(0);
            fault::point("merge.after_remove");
        }
        Ok(())
    }

    fn info(&self, listed: &Listed) -> SegmentInfo {
        let mut info = listed.info.clone();
        if self.aside.contains(&listed.positions()) {
            info.damage.get_or_insert_default();
        }
        info
    }

    fn merge_run(
        &mut self,
        run: &[Arc<Listed>],
        now: Timestamp,
        pace: &mut Pace<'_>,
    ) -> Result<(), LogError> {
        let manifests: Vec<&Manifest> = run.iter().filter_map(|listed| listed.manifest.as_ref()).collect();
        let (Some(first), Some(last)) = (manifests.first(), manifests.last()) else { return Ok(()) };
        let open = |listed: &Arc<Listed>| Segment::open(&listed.path, listed.info.clone());
        let segments = run.iter().map(open).collect::<Result<Vec<_>, _>>()?;
        let chain = Chain { position: first.first - 1, head: first.head_before.0 };
        let mut input = SegmentsInput { segments, chain };
        let positions = (first.first, last.last);
        let path = self.shelf.path(positions);
        let keys = input.keys()?;
        let head_before = first.head_before.0;
        let plan = Plan { positions, head_before, keys, catalogue: &self.catalogue };
        let temporary = durable::temporary(&path);
        let (summary, file) = segment::write(&temporary, plan, &mut input, pace)?;
        if summary.head_after != last.head_after.0 {
            durable::remove(&temporary)?;
            let reason = "the chain of hashes does not end as its manifest says".to_owned();
            return Err(LogError::Corrupt { first: last.first, last: last.last, reason });
        }
        let replaced = |manifest: &&Manifest| Replaced {
            first: manifest.first,
            last: manifest.last,
            manifest: manifest.digest(),
        };
        let replaces = manifests.iter().map(replaced).collect();
        self.publish(&path, &summary, file, now, (first.before, (replaces, Some(last.link()))))?;
        self.replaced.extend(run.iter().map(|listed| (now, Arc::clone(listed))));
        Ok(())
    }

    /// Gives a finished segment its name and its manifest.
    fn publish(
        &self,
        path: &Path,
        summary: &Summary,
        file: (u64, [u8; 32]),
        now: Timestamp,
        links: Links,
    ) -> Result<(), LogError> {
        fault::point("segment.before_rename");
        durable::rename(&durable::temporary(path), path)?;
        fault::point("segment.after_rename");
        let manifest = Manifest::sign(summary, file, now, links, &self.key);
        durable::write(&path.with_extension("json"), manifest.text().as_bytes())?;
        fault::point("segment.after_manifest");
        Ok(())
    }

    /// What the next manifest is linked to; the segment before must end where the hot end begins.
    fn before(&self, position: Position, head: &Hex<32>) -> Result<Option<Hex<32>>, LogError> {
        if position == 0 {
            return Ok(None);
        }
        let Some(manifest) = self.shelf.with(position).and_then(|listed| listed.manifest.as_ref()) else {
            // A link left out now would be missing for good: what is sealed later is linked.
            let reason =
                "nothing is sealed behind it until its manifest can be read again: put the segment's two \
                files back from a backup"
                    .to_owned();
            let first = self.shelf.with(position).map_or(position, |listed| listed.info.first);
            return Err(LogError::Corrupt { first, last: position, reason });
        };
        if manifest.head_after == *head {
            return Ok(Some(manifest.link()));
        }
        let reason = "the hot end does not go on where the last segment ends".to_owned();
        Err(LogError::Corrupt { first: manifest.first, last: manifest.last, reason })
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
    fn ends(&mut self) -> Result<(Position, Position), LogError> {
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
        checkpoint::mend(&self.dir)?;
        self.shelf.refresh(base)?;
        for listed in self.shelf.everything()? {
            let (first, last) = listed.positions();
            let is_within = |wider: &Arc<Listed>| {
                let is_other = wider.positions() != (first, last);
                is_other
                    && wider.info.damage.is_none()
                    && wider.info.first <= first
                    && last <= wider.info.last
            };
            // A manifest that is there but cannot be read is damage, and no crash leaves that.
            let is_unfinished = first > base && last <= end && !listed.manifest_path().exists();
            if is_unfinished || self.shelf.all().iter().any(is_within) {
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
fn remove(listed: &Listed) -> Result<(), LogError> {
    durable::remove(&listed.manifest_path())?;
    fault::point("merge.between_removes");
    durable::remove(&listed.path)
}
