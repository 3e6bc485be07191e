//! Keys that wake after a long silence.
//!
//! The awakening is the first event after the silence, in whatever order events arrive: one that arrives later but lies
//! before it takes its place. Where a late event could still show that the silence was too short, the awakening waits
//! for the watermark.

use serde::{Deserialize, Serialize};
use smallvec::smallvec;

use super::hit::{Completion, Evidence, Hit, Outcome};
use super::showing::{New, Newness, Showings, Taken};
use crate::event::Position;
use crate::time::{Span, Timestamp};

/// The first event of a key after a silence.
#[derive(Debug, Clone)]
pub struct DormantSpec {
    /// How long the silence must be.
    pub silence: Span,
    /// How late an event may still count.
    pub lateness: Span,
}

/// When one key was last heard.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct DormantState {
    last: Option<Timestamp>,
    /// The last event before which none can come any more.
    settled: Option<(Timestamp, Position)>,
    showings: Showings,
}

/// A key shows but one thing: that it is there.
const PRESENT: u64 = 0;

impl DormantSpec {
    const fn newness(&self) -> Newness {
        Newness { gap: self.silence, is_first_new: false, lateness: self.lateness }
    }

    /// Takes in an event.
    pub(super) fn on_hit(&self, state: &mut DormantState, hit: &Hit, watermark: Timestamp) -> Outcome {
        state.last = state.last.max(Some(hit.time));
        let horizon = state.last().minus(self.lateness).min(watermark);
        let mut settled = state.settled;
        let overflowed = state.showings.settle((self.newness(), horizon), |showing| {
            settled = settled.max(Some((showing.time, showing.position)));
        });
        state.settled = settled;
        let before = settled.map(|(time, _)| time);
        let showing = (PRESENT, hit.time, hit.position);
        match state.showings.take(self.newness(), showing, before, (true, true)) {
            Taken::Known => Outcome { overflowed, ..Outcome::default() },
            Taken::New(new) => Outcome { completion: self.completion(state, &new), overflowed, timer: None },
            Taken::Waits => Outcome { timer: Some(hit.time), overflowed, completion: None },
        }
    }

    /// Judges what waited at a moment.
    pub(super) fn on_timer(&self, state: &mut DormantState, at: Timestamp) -> Outcome {
        let before = state.settled.map(|(time, _)| time);
        let judged = state.showings.judge(self.newness(), at, |_| before);
        Outcome::completed(judged.and_then(|(_, new)| self.completion(state, &new?)))
    }

    /// When it was last heard, and from when on an event is an awakening.
    pub(super) fn known(&self, state: &DormantState, at: Timestamp) -> Vec<String> {
        let Some(last) = state.last else { return vec![String::from("it was never heard")] };
        let silent = Span(at.since(last).0.max(0));
        vec![
            format!("last heard at {last}, silent for {} since then", whole(silent)),
            format!(
                "an event from {} on would be an awakening, after {} of silence",
                last.plus(self.silence),
                self.silence
            ),
        ]
    }

    fn completion(&self, state: &DormantState, new: &New) -> Option<Completion> {
        let before = new.before?;
        let known = state.showings.all().iter().map(|showing| (showing.time, showing.position));
        let of_before =
            known.chain(state.settled).find(|(time, _)| *time == before).map(|(_, position)| position);
        let evidence: Vec<Position> = of_before.into_iter().chain([new.position]).collect();
        let days = new.time.since(before).0 as f64 / 86_400_000.0;
        Some(Completion {
            time: new.time,
            position: new.position,
            value: days.floor(),
            reason: format!("first event after {days:.0} days of silence (at least {})", self.silence),
            evidence: Evidence::sample(evidence.into_iter()),
            held: smallvec![(new.time, new.instead_of)],
            score: None,
            key: None,
        })
    }
}

/// Without what nobody counts: of days no minutes, of minutes no milliseconds.
fn whole(span: Span) -> Span {
    let unit = if span >= Span::days(1) { Span::hours(1) } else { Span::seconds(1) };
    Span(span.0 / unit.0 * unit.0)
}

impl DormantState {
    pub(super) fn last(&self) -> Timestamp {
        self.last.unwrap_or(Timestamp::MIN)
    }

    pub(super) fn bytes(&self) -> usize {
        self.showings.bytes()
    }

    /// The last events, for `explain`.
    pub(super) fn positions(&self) -> Vec<Position> {
        let settled = self.settled.map(|(_, position)| position);
        settled.into_iter().chain(self.showings.positions()).collect()
    }
}

#[cfg(test)]
mod tests;
