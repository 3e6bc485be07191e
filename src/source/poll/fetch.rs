//! A piece of time, fetched as a whole. The API gives the newest first and rules learn in the order of time, so a piece
//! must fit into memory; where more happened than fits, the piece is made shorter.

use std::collections::VecDeque;

use bytes::Bytes;
use serde::Deserialize;

use super::access::Access;
use super::config::Target;
use super::pages::Pages;
use super::trouble::Trouble;
use crate::time::{Span, Timestamp};

/// So many pages are in memory at once, and as many again while they come.
const PAGES_KEPT: usize = 20;
/// A piece with more pages than this is fetched in shorter ones; a second cannot be made shorter, and 100,000 events in
/// a second are too many for anybody.
const PAGES_AT_ALL: usize = 1_000;
/// GitLab answers for 30 days at most.
const LONGEST: Span = Span::days(29);
const SHORTEST: Span = Span::seconds(1);

/// What happened in a piece.
pub(super) enum Fetched {
    /// All of it.
    All(Vec<Bytes>),
    /// Of more than fits, all that happened before the last of these moments, each of which has about as much behind
    /// it as fits; the newest moment first.
    Beginning(Vec<Bytes>, Vec<Timestamp>),
    /// Far more than fits; so much came since this moment.
    TooMany(Timestamp),
}

/// How long pieces are.
pub(super) struct Pace {
    length: Span,
    /// Where the next pieces end, the nearest last, if that was found out.
    marks: Vec<Timestamp>,
}

impl Default for Pace {
    fn default() -> Self {
        Self { length: Span::days(1), marks: Vec::new() }
    }
}

impl Pace {
    /// The end of the piece that begins at `from`.
    pub(super) fn end(&mut self, from: Timestamp, until: Timestamp) -> Timestamp {
        while self.marks.last().is_some_and(|mark| *mark <= from) {
            self.marks.pop();
        }
        let end = self.marks.last().copied().unwrap_or_else(|| from.plus(self.length));
        end.min(until)
    }

    /// A piece fitted: the next may be longer.
    pub(super) fn fitted(&mut self) {
        if self.marks.is_empty() {
            self.length = Span(self.length.0.saturating_mul(2)).min(LONGEST);
        }
    }

    /// Of a piece only the beginning fitted: the next ones end at these moments.
    pub(super) fn began(&mut self, marks: Vec<Timestamp>) {
        self.marks = marks;
    }

    /// A piece did not fit: by how much shows in where its newest pages ended.
    pub(super) fn too_many(&mut self, (from, to): (Timestamp, Timestamp), oldest: Timestamp) {
        let (length, fits) = (to.since(from), to.since(oldest));
        let shorter = Span((length.0 / 2).min(fits.0) / 1000 * 1000);
        self.length = shorter.max(SHORTEST);
        self.marks.clear();
    }
}

#[derive(Deserialize)]
struct Stamped {
    created_at: String,
}

/// What a target has of a piece, both ends included, in whole seconds.
pub(super) async fn fetch(
    access: &Access,
    target: &Target,
    (from, to): (Timestamp, Timestamp),
) -> Result<Fetched, Trouble> {
    let is_shortest = to.since(from) <= SHORTEST;
    let kept_max = if is_shortest { PAGES_AT_ALL } else { 2 * PAGES_KEPT };
    let mut pages = Pages::events(access, target.path(), (from, to));
    let mut kept: VecDeque<(Timestamp, Vec<Bytes>)> = VecDeque::new();
    let (mut marks, mut earliest) = (Vec::new(), to);
    for _ in 0..PAGES_AT_ALL {
        let Some(page) = pages.next().await? else { return Ok(gathered(kept, marks)) };
        let mut oldest = to;
        for object in &page {
            oldest = oldest.min(checked(object, (from, to))?);
        }
        kept.push_back((oldest, page));
        if kept.len() >= kept_max && !pages.is_over() {
            // Ids are in the order of time only nearly: nothing before the earliest of what is let go was let go.
            for (oldest, _) in kept.drain(..PAGES_KEPT) {
                earliest = earliest.min(oldest);
            }
            let mark = Timestamp(earliest.0.div_euclid(1000) * 1000);
            if is_shortest || mark <= from {
                break;
            }
            marks.push(mark);
        }
    }
    if pages.is_over() {
        return Ok(gathered(kept, marks));
    }
    if is_shortest {
        let many = PAGES_AT_ALL * 100;
        return Err(Trouble::lying(format!("GitLab has more than {many} events for one second")));
    }
    Ok(Fetched::TooMany(kept.back().map_or(earliest, |(oldest, _)| earliest.min(*oldest))))
}

fn gathered(kept: VecDeque<(Timestamp, Vec<Bytes>)>, marks: Vec<Timestamp>) -> Fetched {
    let events = kept.into_iter().flat_map(|(_, page)| page).collect();
    if marks.is_empty() { Fetched::All(events) } else { Fetched::Beginning(events, marks) }
}

/// When an event happened, which must be when it was asked for.
fn checked(object: &Bytes, (from, to): (Timestamp, Timestamp)) -> Result<Timestamp, Trouble> {
    let stamped: Option<Stamped> = serde_json::from_slice(object).ok();
    let time = stamped.and_then(|stamped| Timestamp::parse(&stamped.created_at).ok());
    let Some(time) = time else {
        return Err(Trouble::lying("GitLab gives an event without `created_at`"));
    };
    if time < from || time > to.plus(Span::seconds(1)) {
        return Err(Trouble::lying(format!(
            "GitLab gives an event of {time} although it was asked for {from} to {to}"
        )));
    }
    Ok(time)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Whatever fits and does not, time goes on and no piece is longer than GitLab allows.
        #[test]
        fn pieces_cover_all_time(steps in prop::collection::vec(any::<(bool, u16)>(), 0..200), days in 1_i64..400) {
            let (mut pace, mut from) = (Pace::default(), Timestamp(0));
            let until = from.plus(Span::days(days));
            for (fits, part) in steps {
                let end = pace.end(from, until);
                prop_assert!(end > from && end <= until && end.since(from) <= Span::days(30));
                prop_assert_eq!(end.0 % 1000, 0);
                let length = end.since(from);
                let moment = from.plus(Span(length.0 * i64::from(part) / 65_536 / 1000 * 1000));
                if fits {
                    pace.fitted();
                    from = end;
                } else if part % 2 == 0 && moment > from {
                    let between = Timestamp((moment.0 + end.0) / 2 / 1000 * 1000);
                    pace.began(vec![between, moment]);
                    from = moment;
                } else {
                    pace.too_many((from, end), moment);
                    let next = pace.end(from, until).since(from);
                    prop_assert!(next < length || length <= Span::seconds(1));
                }
                if from >= until {
                    break;
                }
            }
        }
    }
}
