//! Episodes: the unbroken stretches over which a behaviour held for one key. One episode is one alert.
//!
//! Stretches that overlap, or lie no further apart than `suppress`, are one episode. The union does not depend
//! on the order in which stretches arrive, so neither does the set of alerts.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use super::hit::Held;
use super::size;
use crate::alert::AlertId;
use crate::time::{Span, Timestamp};

/// One open episode.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Episode {
    /// Its alert.
    pub alert: AlertId,
    /// First moment the behaviour held.
    pub start: Timestamp,
    /// Last moment known.
    pub end: Timestamp,
    /// Log position of the event that opened it.
    pub position: u64,
    /// How many findings it gathered.
    pub findings: u64,
    /// The score that a finding at its start gave itself, the highest of several, in thousandths; 0: none did. Only
    /// those at the start have all come when the alert is counted, whatever the order of arrival.
    pub score: u32,
    /// Whether the rules that count this rule's alerts have been told of it.
    pub told: bool,
}

/// The open episodes of one key. Most keys never have any: who holds this holds it in a box.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Episodes {
    open: Vec<Episode>,
    /// Of what is found in moments that may still move: the moments that make up the open episodes, in order.
    moments: Vec<Timestamp>,
}

/// How many moments of a key may still move; beyond it the oldest stay where they are.
const MOMENTS_MAX: usize = 1024;

/// What a stretch did to the episodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Merge {
    /// The episode it now belongs to.
    pub episode: Episode,
    /// Episodes that turned out to be the same one; the alert that was opened first stays.
    pub absorbed: Vec<Episode>,
}

impl Episodes {
    /// Takes in the stretches of one finding: each joins the episodes it touches, or opens one named by
    /// `alert`. The finding is counted in the last of them.
    pub fn hold(
        &mut self,
        held: &[Held],
        suppress: Span,
        (position, score): (u64, u32),
        alert: impl Fn(usize) -> AlertId,
    ) -> Vec<Merge> {
        let mut merges = Vec::with_capacity(held.len());
        for (index, (start, end)) in held.iter().enumerate() {
            let (start, end) = (*start, *end);
            let mut merged =
                Episode { alert: alert(index), start, end, position, findings: 0, score, told: false };
            let mut touched: SmallVec<[Episode; 2]> = SmallVec::new();
            let mut rest = Vec::with_capacity(self.open.len() + 1);
            for episode in self.open.drain(..) {
                let is_near = episode.start <= end.plus(suppress) && start <= episode.end.plus(suppress);
                if is_near { touched.push(episode) } else { rest.push(episode) }
            }
            touched.sort_by_key(|episode| episode.position);
            if let Some(first) = touched.first() {
                merged.alert = first.alert.clone();
                merged.position = first.position;
            }
            for episode in &touched {
                merged.score = match episode.start.cmp(&merged.start) {
                    Ordering::Less => episode.score,
                    Ordering::Equal => merged.score.max(episode.score),
                    Ordering::Greater => merged.score,
                };
                merged.start = merged.start.min(episode.start);
                merged.end = merged.end.max(episode.end);
                merged.findings += episode.findings;
                merged.told |= episode.told;
            }
            if index + 1 == held.len() {
                merged.findings += 1;
            }
            rest.push(merged.clone());
            self.open = rest;
            merges.push(Merge { episode: merged, absorbed: touched.into_iter().skip(1).collect() });
        }
        merges
    }

    /// Takes in a moment that takes the place of a later one (or of itself, if it is new), as if the later one had
    /// never been: an episode without its beginning is shorter, one without a bridge is two.
    pub fn moment(
        &mut self,
        (at, instead_of): Held,
        suppress: Span,
        opened_by: (u64, u32),
        alert: impl Fn(usize) -> AlertId,
    ) -> Vec<Merge> {
        let mut rest = if at == instead_of { Vec::new() } else { self.withdraw(instead_of, suppress) };
        for (index, piece) in rest.iter_mut().enumerate().skip(1) {
            (piece.alert, piece.position, piece.findings) = (alert(index), opened_by.0, 1);
        }
        if let [piece] = rest.as_mut_slice()
            && piece.start > piece.end
        {
            (piece.start, piece.end) = (at, at);
        }
        self.open.extend(rest.iter().cloned());
        let place = self.moments.partition_point(|moment| *moment <= at);
        self.moments.insert(place, at);
        if self.moments.len() > MOMENTS_MAX {
            self.moments.remove(0);
        }
        let held = self.hold(&[(at, at)], suppress, opened_by, alert);
        rest.retain(|piece| self.open.contains(piece));
        let whole = rest.into_iter().map(|episode| Merge { episode, absorbed: Vec::new() });
        whole.chain(held).collect()
    }

    /// Takes back a moment, and its episode with it; answers what is left of that, oldest first. If nothing is, one
    /// that ends before it starts.
    fn withdraw(&mut self, moment: Timestamp, suppress: Span) -> Vec<Episode> {
        let is_it = |episode: &Episode| (episode.start..=episode.end).contains(&moment);
        let Some(place) = self.open.iter().position(is_it) else { return Vec::new() };
        let Ok(known) = self.moments.binary_search(&moment) else { return Vec::new() };
        let episode = self.open.remove(place);
        let own = |moment: &Timestamp| (episode.start..=episode.end).contains(moment);
        // The oldest moments are not kept; the episode is taken to be unbroken up to the first that is.
        let is_whole = self.moments.binary_search(&episode.start).is_ok();
        self.moments.remove(known);
        let first = (!is_whole).then_some(episode.start);
        let mut pieces: Vec<Episode> = Vec::new();
        for at in first.into_iter().chain(self.moments.iter().copied().filter(own)) {
            match pieces.last_mut() {
                Some(piece) if at <= piece.end.plus(suppress) || Some(piece.end) == first => piece.end = at,
                _ => pieces.push(Episode { start: at, end: at, ..episode.clone() }),
            }
        }
        if pieces.is_empty() {
            let (start, end) = (episode.end, episode.end.minus(Span(1)));
            pieces.push(Episode { start, end, ..episode });
        }
        pieces
    }

    /// The episode that begins at this moment and that nobody was told of; it counts as told from now on.
    pub fn tell(&mut self, start: Timestamp) -> Option<Episode> {
        let episode = self.open.iter_mut().find(|episode| episode.start == start && !episode.told)?;
        episode.told = true;
        Some(episode.clone())
    }

    /// Forgets the episodes that ended so long before the watermark that nothing can join them any more.
    pub fn close(&mut self, watermark: Timestamp, reach: Span) {
        self.open.retain(|episode| episode.end.plus(reach) >= watermark);
        let oldest = self.open.iter().map(|episode| episode.start).min().unwrap_or(Timestamp::MAX);
        self.moments.retain(|moment| *moment >= oldest);
    }

    /// Whether none is open.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// What they take on the heap in bytes, the box they stand in included.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let ids: usize = self.open.iter().map(|episode| size::block(episode.alert.0.len())).sum();
        let moments = size::list::<Timestamp>(self.moments.len());
        size::boxed::<Self>() + size::list::<Episode>(self.open.len()) + ids + moments
    }

    /// The open episodes.
    #[must_use]
    pub fn open(&self) -> &[Episode] {
        &self.open
    }
}
