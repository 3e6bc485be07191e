//! Merging neighbours, and clearing away what was merged.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use super::input::SegmentsInput;
use super::retention::{Dropped, Dropping, Held, Judged, Publication, digests, kept_keys};
use super::schedule::next_merge;
use super::worker::{Worker, remove};
use crate::log::segment::{self, Listed, Manifest, Pace, Plan, Replaced, Segment};
use crate::log::{LogError, SegmentInfo, durable, fault};
use crate::time::{Span, Timestamp};

/// How long merged segments stay.
const REPLACED_STAY: Span = Span::minutes(1);

impl Worker {
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
        let is_current = segments.iter().all(Segment::is_current);
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
