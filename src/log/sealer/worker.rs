//! One seal or one merge at a time, without the thread.

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension as _, params};

use super::input::{HotInput, SegmentsInput};
use super::retention::{
    Ask, Dropped, Dropping, Held, Judged, Looks, Publication, Retention, digests, finish_pending, kept_keys,
};
use super::schedule::next_merge;
use super::{SealOptions, SealerMetrics};
use crate::event::{Catalogue, Position};
use crate::index;
use crate::log::checkpoint::{self, AuditMark, Checkpoint};
use crate::log::decoder::Decoder;
use crate::log::hex::Hex;
use crate::log::segment::{self, Listed, Manifest, Pace, Plan, Positions, Replaced, Segment, Shelf, folder};
use crate::log::signing::SigningKey;
use crate::log::{LogError, SegmentInfo, durable, fault, hot};
use crate::time::{Span, Timestamp};

/// One seal takes no more than so many times `seal_entries`, where ingest has run far ahead.
const AT_ONCE: u64 = 8;

/// Makes segments.
pub(in crate::log) struct Worker {
    pub(super) dir: PathBuf,
    options: SealOptions,
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

/// How long merged segments stay.
const REPLACED_STAY: Span = Span::minutes(1);

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
            ask: None,
            terms: None,
            looks: Looks::default(),
            deleted: Deleted::default(),
            unrecorded: None,
        };
        own.tidy()?;
        Ok(own)
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
        // Sealed before a crash, and not removed from the hot end.
        if let Some(last) = self.shelf.all().last().map(|listed| listed.info.last).filter(|last| *last > base)
        {
            return Ok(Some(last.min(end)));
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
        let checkpoint = Checkpoint::sign((summary.last, summary.head_after), self.audit, now, &self.key);
        checkpoint::append(&self.dir, &checkpoint)?;
        fault::point("seal.after_checkpoint");
        self.shelf.refresh(base)?;
        Ok(Some(upto))
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
        let mut segments = run.iter().map(open).collect::<Result<Vec<_>, _>>()?;
        let path = self.shelf.path((first.first, last.last));
        let temporary = durable::temporary(&path);
        // What is made anew from its events is checked by the chain.
        let is_current = segments.iter().all(|segment| segment.index_version() == index::VERSION);
        for (listed, manifest) in run.iter().zip(&manifests).filter(|_| is_current) {
            check_whole(listed, manifest)?;
        }
        let judged = self.judge_run(&mut segments, first, now, pace)?;
        let (judged, (summary, file)) = if judged.is_none() && is_current {
            (None, segment::merge(&temporary, &mut segments, first.head_before.0, pace)?)
        } else {
            self.write_anew(&temporary, (segments, judged), first, pace)?
        };
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
        let links = (first.before, (replaces, Some(last.link())));
        let bytes_before = manifests.iter().map(|manifest| manifest.bytes).sum();
        let dropped = judged.map(|judged| Dropped { judged, manifests: digests(&manifests), bytes_before });
        if !self.publish(Publication { path, summary: &summary, file, links, dropped }, now)? {
            return Ok(());
        }
        self.replaced.extend(run.iter().map(|listed| (now, Arc::clone(listed))));
        Ok(())
    }

    /// What of a run may be deleted while it is merged.
    fn judge_run(
        &self,
        segments: &mut Vec<Segment>,
        first: &Manifest,
        now: Timestamp,
        pace: &mut Pace<'_>,
    ) -> Result<Option<Judged>, LogError> {
        let infos = segments.iter().map(Segment::info);
        let oldest = infos.filter_map(|info| info.received).map(|received| received.0).min();
        let Some(terms) = self.terms_for(oldest, now) else { return Ok(None) };
        let held = Held::of(&terms, segments)?;
        let mut input = SegmentsInput::of(std::mem::take(segments), first.head_before.0);
        let positions = input.positions();
        let judged = self.judge_along((&mut input, &held), positions, now, pace);
        *segments = input.segments;
        judged
    }

    /// From the events: where some are left out, or an index is of another version.
    fn write_anew(
        &self,
        temporary: &Path,
        (segments, mut judged): (Vec<Segment>, Option<Judged>),
        first: &Manifest,
        pace: &mut Pace<'_>,
    ) -> Result<(Option<Judged>, segment::Written), LogError> {
        let head_before = first.head_before.0;
        let mut input = SegmentsInput::of(segments, head_before);
        let positions = input.positions();
        let mut keys = input.keys()?;
        if let Some(judged) = &mut judged {
            keys = kept_keys(keys, judged, (&mut input, positions), pace)?;
        }
        let plan = Plan { positions, head_before, keys, catalogue: &self.catalogue };
        input.begin_again(head_before);
        let due = judged.as_ref().map(|judged| &judged.due);
        let mut left = Dropping { inner: &mut input, first: positions.0, due };
        let written = segment::write(temporary, plan, &mut left, pace)?;
        Ok((judged, written))
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
            (None, None) => return Ok(None),
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
    /// their manifest while the hot end still had their entries. Never anything that is nowhere else.
    fn tidy(&mut self) -> Result<(), LogError> {
        let (base, _) = self.ends()?;
        let folder = folder(&self.dir);
        for entry in fs::read_dir(&folder).map_err(LogError::file(&folder))? {
            let path = entry.map_err(LogError::file(&folder))?.path();
            if path.extension().is_some_and(|extension| extension == durable::TEMPORARY) {
                durable::remove(&path)?;
            }
        }
        finish_pending(&self.dir)?;
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
            let is_unfinished = listed.info.damage.is_some() && first > base;
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

/// Nothing is merged that is not what was sealed.
fn check_whole(listed: &Listed, manifest: &Manifest) -> Result<(), LogError> {
    let file = fs::File::open(&listed.path).map_err(LogError::file(&listed.path))?;
    let found = segment::digest(&file).map_err(LogError::file(&listed.path))?;
    if found == (manifest.bytes, manifest.digest.0) && manifest.signer().is_some() {
        return Ok(());
    }
    let reason = "it is not what was sealed: its digest is another one".to_owned();
    Err(LogError::Corrupt { first: manifest.first, last: manifest.last, reason })
}

/// The manifest first: while it is there, the database shall be.
fn remove(listed: &Listed) -> Result<(), LogError> {
    durable::remove(&listed.manifest_path())?;
    fault::point("merge.between_removes");
    durable::remove(&listed.path)
}
