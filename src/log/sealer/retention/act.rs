//! What the sealer does about one segment.

use std::sync::Arc;

use super::glance;
use super::schedule::Decision;
use super::terms::after;
use super::{Ask, Dropped, Dropping, Held, Judged, Publication, Retention, RetentionState, judge, kept_keys};
use crate::log::deletion::Deletion;
use crate::log::hex::Hex;
use crate::log::sealer::input::SegmentsInput;
use crate::log::sealer::worker::Worker;
use crate::log::segment::{self, Input, Listed, Manifest, Name, Pace, Plan, Positions, Replaced, Segment};
use crate::log::{LogError, durable, fault, read_deletions};
use crate::time::Timestamp;

impl Worker {
    /// Asks what may be deleted, for all that is done until this is called again. Why nothing may be, if that cannot be
    /// said.
    pub(in crate::log) fn ask(&mut self, ask: Option<Ask>) -> Result<(), String> {
        let answer = ask.as_ref().map(|ask| ask()).transpose();
        self.ask = ask;
        let answer = match &self.unrecorded {
            Some(reason) => {
                Err(format!("what is deleted cannot be recorded; start the daemon anew: {reason}"))
            }
            None => answer,
        };
        let terms = match answer {
            Ok(terms) => terms,
            Err(reason) => {
                self.terms = None;
                return Err(reason);
            }
        };
        let agrees = match (&self.terms, &terms) {
            (Some(known), Some(new)) => known.agrees(new),
            _ => false,
        };
        if !agrees {
            self.looks.clear();
        }
        self.terms = terms.map(Arc::new);
        Ok(())
    }

    /// How deleting goes.
    pub(in crate::log::sealer) fn retention(&self, trouble: Option<String>) -> RetentionState {
        let terms = self.terms.as_ref();
        RetentionState {
            next_look: self.looks.next(),
            held: self.looks.held(),
            settled: terms.map_or(0, |terms| terms.settled),
            to_judge: terms.map(|terms| terms.to_judge),
            longest: terms.and_then(|terms| terms.needs.as_ref()).map(|needs| needs.longest()),
            at_least: terms.map(|terms| terms.at_least),
            trouble,
        }
    }

    /// Looks at one segment that may have something to delete, and deletes it; false if no segment has.
    pub(in crate::log) fn retain(&mut self, now: Timestamp, pace: &mut Pace<'_>) -> Result<bool, LogError> {
        let Some(terms) = self.terms.clone() else { return Ok(false) };
        let (base, _) = self.ends()?;
        self.shelf.refresh(base)?;
        self.looks.keep(&self.shelf);
        let shortest = terms.shortest();
        for listed in self.shelf.all().to_vec() {
            let is_whole = listed.info.damage.is_none() && !self.aside.contains(&listed.positions());
            let is_settled = listed.info.last <= base.min(terms.settled);
            if !is_whole || !is_settled || !self.looks.is_due(listed.name(), now) {
                continue;
            }
            let oldest = listed.info.received.map(|(min, _)| after(min, shortest));
            if let Some(oldest) = oldest.filter(|oldest| *oldest > now) {
                self.looks.set(listed.name(), oldest, 0);
                continue;
            }
            let looked = self.look(&listed, &terms, now, pace);
            if let Err(LogError::Corrupt { .. }) = &looked {
                self.aside.insert(listed.positions());
            }
            return looked.map(|()| true);
        }
        Ok(false)
    }

    fn look(
        &mut self,
        listed: &Arc<Listed>,
        terms: &Retention,
        now: Timestamp,
        pace: &mut Pace<'_>,
    ) -> Result<(), LogError> {
        let Some(manifest) = listed.manifest.as_ref() else { return Ok(()) };
        if manifest.events == 0 {
            // Ticks alone, and digests.
            let due = after(listed.info.sealed_at, terms.policy.default);
            if manifest.deleted > 0 || due <= now {
                return self.remove_whole(listed, manifest, Judged::default(), now);
            }
            self.looks.set(listed.name(), due, 0);
            return Ok(());
        }
        let mut segment = Segment::open(&listed.path, listed.info.clone())?;
        let shortest = glance::shortest(&mut segment, terms)?;
        let oldest = listed.info.received.zip(shortest).map(|((min, _), shortest)| after(min, shortest));
        if let Some(oldest) = oldest.filter(|oldest| *oldest > now) {
            self.looks.set(listed.name(), oldest, 0);
            return Ok(());
        }
        let mut input = SegmentsInput::of(vec![segment], manifest.head_before.0);
        let held = Held::of(terms, &mut input.segments)?;
        let judged = judge(&mut input, listed.positions(), (terms, &held), now, pace)?;
        match judged.schedule.decide(judged.events, judged.held > 0, now) {
            Decision::Wait(next) => {
                self.looks.set(listed.name(), next, judged.held);
                Ok(())
            }
            Decision::Remove => self.remove_whole(listed, manifest, judged, now),
            Decision::Rewrite => {
                input.begin_again(manifest.head_before.0);
                self.rewrite(listed, (input, judged), now, pace)
            }
        }
    }

    /// The record, and from then on the segment is gone for readers; its files are removed a little later.
    fn remove_whole(
        &mut self,
        listed: &Arc<Listed>,
        manifest: &Manifest,
        judged: Judged,
        now: Timestamp,
    ) -> Result<(), LogError> {
        if !self.may_still_delete() {
            return Ok(());
        }
        let manifests = vec![manifest.digest()];
        let dropped = Dropped { judged, manifests, bytes_before: manifest.bytes };
        let summary = manifest.summary();
        let (link_before, link_after) = (manifest.before, Some(manifest.link()));
        let record = Deletion { removed: true, link_before, link_after, ..dropped.record(&summary, now) };
        fault::point("retention.before_record");
        self.record(record)?;
        fault::point("retention.after_record");
        let (base, _) = self.ends()?;
        self.shelf.refresh(base)?;
        self.replaced.push((now, Arc::clone(listed)));
        Ok(())
    }

    fn rewrite(
        &mut self,
        listed: &Arc<Listed>,
        (mut input, mut judged): (SegmentsInput, Judged),
        now: Timestamp,
        pace: &mut Pace<'_>,
    ) -> Result<(), LogError> {
        let Some(manifest) = listed.manifest.as_ref() else { return Ok(()) };
        let positions = listed.positions();
        let records = read_deletions(&self.dir).map_err(|error| self.give_up(error))?;
        let edition = records.len() as u64 + 1;
        let path = self.shelf.path_of(Name { positions, edition });
        let keys = input.keys()?;
        let keys = kept_keys(keys, &mut judged, (&mut input, positions), pace)?;
        let head_before = manifest.head_before.0;
        input.begin_again(head_before);
        let plan = Plan { positions, head_before, keys, catalogue: &self.catalogue };
        let temporary = durable::temporary(&path);
        let mut dropping = Dropping { inner: &mut input, first: positions.0, due: Some(&judged.due) };
        let (summary, file) = segment::write(&temporary, plan, &mut dropping, pace)?;
        if summary.head_after != manifest.head_after.0 {
            durable::remove(&temporary)?;
            let reason = "the chain of hashes does not end as its manifest says".to_owned();
            return Err(LogError::Corrupt { first: positions.0, last: positions.1, reason });
        }
        let digest = manifest.digest();
        let replaces = vec![Replaced { first: positions.0, last: positions.1, manifest: digest }];
        let links = (manifest.before, (replaces, Some(manifest.link())));
        let dropped = Dropped { judged, manifests: vec![digest], bytes_before: manifest.bytes };
        let publication = Publication { path, summary: &summary, file, links, dropped: Some(dropped) };
        if self.publish(publication, now)? {
            self.replaced.push((now, Arc::clone(listed)));
        }
        Ok(())
    }

    /// What of some entries is due while they are written anyway; none if nothing is. The oldest arrival among them says
    /// whether they need a look at all.
    pub(in crate::log::sealer) fn judge_along(
        &self,
        (input, held): (&mut dyn Input, &Held<'_>),
        positions: Positions,
        now: Timestamp,
        pace: &mut Pace<'_>,
    ) -> Result<Option<Judged>, LogError> {
        let Some(terms) = &self.terms else { return Ok(None) };
        let judged = judge(input, positions, (terms, held), now, pace)?;
        Ok(Some(judged).filter(|judged| !judged.due.is_empty()))
    }

    /// What may be deleted, if anything that arrived so early may be.
    pub(in crate::log::sealer) fn terms_for(
        &self,
        oldest: Option<Timestamp>,
        now: Timestamp,
    ) -> Option<Arc<Retention>> {
        let terms = self.terms.as_ref()?;
        let is_due = oldest.is_some_and(|oldest| after(oldest, terms.shortest()) <= now);
        is_due.then(|| Arc::clone(terms))
    }

    /// Whether what was judged may still be deleted: a hold may have been made meanwhile.
    pub(super) fn may_still_delete(&self) -> bool {
        let (Some(ask), Some(terms)) = (&self.ask, &self.terms) else { return self.terms.is_some() };
        ask().is_ok_and(|fresh| fresh.agrees(terms))
    }
}

impl Manifest {
    /// What was written of the segment.
    fn summary(&self) -> segment::Summary {
        segment::Summary {
            first: self.first,
            last: self.last,
            events: self.events,
            deleted: self.deleted,
            times: None,
            received: None,
            head_before: self.head_before.0,
            head_after: self.head_after.0,
        }
    }
}

/// The digests of manifests.
pub(in crate::log::sealer) fn digests(manifests: &[&Manifest]) -> Vec<Hex<32>> {
    manifests.iter().map(|manifest| manifest.digest()).collect()
}
