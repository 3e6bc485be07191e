//! A piece of time, fetched as a whole. The API gives the newest first and rules learn in the order of time, so a piece
//! must fit into memory; where more happened than fits, the piece is made shorter.

use bytes::Bytes;
use serde::Deserialize;

use super::access::Access;
use super::config::Target;
use super::pages::Pages;
use super::trouble::Trouble;
use crate::time::{Span, Timestamp};

/// A piece with more pages is fetched in shorter ones.
const PAGES_MAX: usize = 20;
/// The shortest piece cannot be made shorter: 100,000 events in a second are too many for anybody.
const PAGES_AT_ALL: usize = 1_000;
/// GitLab answers for 30 days at most.
const LONGEST: Span = Span::days(29);
const SHORTEST: Span = Span::seconds(1);

/// What happened in a piece.
pub(super) enum Fetched {
    /// All of it, the newest first.
    All(Vec<Bytes>),
    /// More than fits; so much came since this moment.
    TooMany(Timestamp),
}

/// How long pieces are.
pub(super) struct Pace(Span);

impl Default for Pace {
    fn default() -> Self {
        Self(Span::days(1))
    }
}

impl Pace {
    /// The end of the piece that begins at `from`.
    pub(super) fn end(&self, from: Timestamp, until: Timestamp) -> Timestamp {
        from.plus(self.0).min(until)
    }

    /// A piece fitted: the next may be longer.
    pub(super) fn fitted(&mut self) {
        self.0 = Span(self.0.0.saturating_mul(2)).min(LONGEST);
    }

    /// A piece did not fit: by how much shows in where its newest pages ended.
    pub(super) fn too_many(&mut self, piece: (Timestamp, Timestamp), oldest: Timestamp) {
        let length = piece.1.since(piece.0);
        let fits = piece.1.since(oldest);
        let shorter = Span((length.0 / 2).min(fits.0).max(SHORTEST.0) / 1000 * 1000);
        self.0 = shorter.max(SHORTEST);
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
    let max = if to.since(from) <= SHORTEST { PAGES_AT_ALL } else { PAGES_MAX };
    let mut pages = Pages::events(access, target.path(), (from, to));
    let (mut events, mut oldest) = (Vec::new(), to);
    for _ in 0..max {
        let Some(page) = pages.next().await? else { return Ok(Fetched::All(events)) };
        for object in &page {
            oldest = oldest.min(checked(object, (from, to))?);
        }
        events.extend(page);
    }
    if pages.is_over() {
        return Ok(Fetched::All(events));
    }
    if max == PAGES_AT_ALL {
        return Err(Trouble::lying(format!("GitLab has more than {} events for one second", max * 100)));
    }
    Ok(Fetched::TooMany(oldest))
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
                if fits {
                    pace.fitted();
                    from = end;
                } else {
                    let length = end.since(from);
                    let oldest = from.plus(Span(length.0 * i64::from(part) / 65_536));
                    pace.too_many((from, end), oldest);
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
