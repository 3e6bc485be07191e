//! Episodes: the unbroken stretches over which a behaviour held for one key. One episode is one alert.
//!
//! Stretches that overlap, or lie no further apart than `suppress`, are one episode. The union does not depend
//! on the order in which stretches arrive, so neither does the set of alerts.

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
    /// The highest score a finding of it gave itself, in thousandths; 0: none did.
    pub score: u32,
    /// Whether the rules that count this rule's alerts have been told of it.
    pub told: bool,
}

/// The open episodes of one key. Most keys never have any: who holds this holds it in a box.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Episodes {
    open: Vec<Episode>,
}

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
                merged.start = merged.start.min(episode.start);
                merged.end = merged.end.max(episode.end);
                merged.findings += episode.findings;
                merged.score = merged.score.max(episode.score);
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

    /// The episode that begins at this moment and that nobody was told of; it counts as told from now on.
    pub fn tell(&mut self, start: Timestamp) -> Option<Episode> {
        let episode = self.open.iter_mut().find(|episode| episode.start == start && !episode.told)?;
        episode.told = true;
        Some(episode.clone())
    }

    /// Forgets the episodes that ended so long before the watermark that nothing can join them any more.
    pub fn close(&mut self, watermark: Timestamp, reach: Span) {
        self.open.retain(|episode| episode.end.plus(reach) >= watermark);
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
        size::boxed::<Self>() + size::list::<Episode>(self.open.len()) + ids
    }

    /// The open episodes.
    #[must_use]
    pub fn open(&self) -> &[Episode] {
        &self.open
    }
}
