//! In which minutes a source was heard: all that its rhythm needs, in a few kilobytes.

use roaring::RoaringBitmap;

use crate::time::{Span, Timestamp};

/// How far back it is remembered.
pub(super) const KEPT: Span = Span::days(30);
const MINUTE: i64 = 60_000;

/// The minutes of the last 30 days in which events of one source arrived.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Arrivals {
    /// Minutes since 1970.
    minutes: RoaringBitmap,
    /// The last arrival, to the millisecond.
    last: Option<Timestamp>,
    /// The last minute that was noted, since the next arrival is mostly in it too.
    noted: Option<u32>,
}

/// What is no list of minutes.
#[derive(Debug, thiserror::Error)]
#[error("these are no arrivals: {0}")]
pub struct ArrivalsError(String);

impl Arrivals {
    /// Something arrived. What came longer ago than is remembered is forgotten.
    pub fn note(&mut self, at: Timestamp) {
        self.last = self.last.max(Some(at));
        let minute = minute_of(at);
        if self.noted == Some(minute) {
            return;
        }
        self.noted = Some(minute);
        if self.minutes.insert(minute) {
            self.minutes.remove_range(..minute_of(at.minus(KEPT)));
        }
    }

    /// The last arrival.
    #[must_use]
    pub const fn last(&self) -> Option<Timestamp> {
        self.last
    }

    /// The minutes with arrivals from 30 days before `now` up to it, in order: minutes since 1970.
    pub(super) fn minutes(&self, now: Timestamp) -> impl Iterator<Item = u32> {
        let (from, to) = (minute_of(now.minus(KEPT)), minute_of(now));
        self.minutes.iter().skip_while(move |minute| *minute < from).take_while(move |minute| *minute <= to)
    }

    /// For keeping: 8 bytes of the last arrival, then the minutes as a roaring bitmap in its portable form.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.last.map_or(i64::MIN, |last| last.0).to_le_bytes().to_vec();
        // Writing into memory does not fail.
        self.minutes.serialize_into(&mut bytes).ok();
        bytes
    }

    /// Reads what [`Arrivals::to_bytes`] wrote.
    ///
    /// # Errors
    /// For anything else.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ArrivalsError> {
        let wrong = |reason: &str| ArrivalsError(reason.to_owned());
        let (last, rest) = bytes.split_first_chunk::<8>().ok_or_else(|| wrong("too short"))?;
        let last = i64::from_le_bytes(*last);
        let minutes =
            RoaringBitmap::deserialize_from(rest).map_err(|error| ArrivalsError(error.to_string()))?;
        Ok(Self { minutes, last: (last != i64::MIN).then_some(Timestamp(last)), noted: None })
    }
}

/// The minute since 1970 that a time lies in; the nearest one there is for times out of all range.
pub(super) fn minute_of(time: Timestamp) -> u32 {
    u32::try_from(time.0.div_euclid(MINUTE).max(0)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_comes_back() {
        let now = Timestamp(1_772_452_800_000);
        let mut arrivals = Arrivals::default();
        assert_eq!(Arrivals::from_bytes(&arrivals.to_bytes()).unwrap(), arrivals);
        for seconds in [0, 1, 59, 60, 600] {
            arrivals.note(now.plus(Span::seconds(seconds)));
        }
        let back = Arrivals::from_bytes(&arrivals.to_bytes()).unwrap();
        assert_eq!((back.last(), back.minutes.len()), (Some(now.plus(Span::seconds(600))), 3));
        assert!(Arrivals::from_bytes(b"").is_err() && Arrivals::from_bytes(b"12345678abc").is_err());
    }

    #[test]
    fn a_month_is_remembered_and_no_more() {
        let start = Timestamp(1_772_452_800_000);
        let mut arrivals = Arrivals::default();
        for hour in 0..24 * 60 {
            arrivals.note(start.plus(Span::hours(hour)));
        }
        assert_eq!(arrivals.minutes.len(), 24 * 30 + 1);
        // A clock that was set back adds, and takes nothing away that is not too old.
        arrivals.note(start);
        assert_eq!(arrivals.last(), Some(start.plus(Span::hours(24 * 60 - 1))));
        assert_eq!(arrivals.minutes(start.plus(Span::days(60))).count(), 24 * 30);
    }
}
