//! Hours of the day and days of the week, in a time zone.

use std::fmt;
use std::str::FromStr;

use jiff::civil::Weekday;
use serde::de::{Deserialize, Deserializer};

use super::text::parsed;
use crate::report::Zone;
use crate::time::Timestamp;

const DAYS: [(&str, Weekday); 7] = [
    ("mon", Weekday::Monday),
    ("tue", Weekday::Tuesday),
    ("wed", Weekday::Wednesday),
    ("thu", Weekday::Thursday),
    ("fri", Weekday::Friday),
    ("sat", Weekday::Saturday),
    ("sun", Weekday::Sunday),
];

/// Minutes of a day.
const DAY: u16 = 24 * 60;

/// From one minute of the day to another, which may be of the day after: `22:00-06:00`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stretch {
    from: u16,
    to: u16,
}

/// Days of the week: `mon`, or `mon-fri`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Days {
    first: usize,
    last: usize,
}

/// When: on these days (all, if there are none) within these hours (all day, if there are none).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hours {
    /// The hours. What runs past midnight belongs to the day on which it began.
    pub hours: Option<Stretch>,
    /// The days.
    pub days: Vec<Days>,
    /// Where that is.
    pub zone: Zone,
}

/// Text that is none of these.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HoursError {
    /// No hours.
    #[error(
        "`{0}` is no stretch of hours: write two times such as \"08:00-18:00\"; \"22:00-06:00\" runs past midnight"
    )]
    Stretch(String),
    /// No day.
    #[error(
        "`{0}` is no day of the week: write mon, tue, wed, thu, fri, sat, sun, or a stretch such as mon-fri"
    )]
    Day(String),
}

impl Hours {
    /// Whether it says nothing: any time will do.
    #[must_use]
    pub fn is_always(&self) -> bool {
        self.hours.is_none() && self.days.is_empty()
    }

    /// Whether a moment lies within.
    #[must_use]
    pub fn has(&self, at: Timestamp) -> bool {
        let civil = self.zone.civil(at);
        let minute = u16::from(civil.hour().unsigned_abs()) * 60 + u16::from(civil.minute().unsigned_abs());
        let today = usize::from(civil.weekday().to_monday_zero_offset().unsigned_abs());
        let is_day = |day: usize| self.days.is_empty() || self.days.iter().any(|days| days.has(day));
        match self.hours {
            None => is_day(today),
            Some(Stretch { from, to }) if from < to => is_day(today) && (from..to).contains(&minute),
            Some(Stretch { from, to }) => {
                (minute >= from && is_day(today)) || (minute < to && is_day((today + 6) % 7))
            }
        }
    }
}

impl Days {
    fn has(self, day: usize) -> bool {
        if self.first <= self.last {
            (self.first..=self.last).contains(&day)
        } else {
            day >= self.first || day <= self.last
        }
    }
}

impl fmt::Display for Hours {
    /// `mon-fri 08:00-18:00 Europe/Berlin`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let days: Vec<String> = self.days.iter().map(ToString::to_string).collect();
        let mut parts = vec![days.join(", ")];
        parts.extend(self.hours.map(|hours| hours.to_string()));
        parts.push(self.zone.to_string());
        parts.retain(|part| !part.is_empty());
        f.write_str(&parts.join(" "))
    }
}

impl fmt::Display for Stretch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { from, to } = self;
        write!(f, "{:02}:{:02}-{:02}:{:02}", from / 60, from % 60, to / 60, to % 60)
    }
}

impl fmt::Display for Days {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |day: usize| DAYS.get(day).map_or("", |(name, _)| name);
        f.write_str(name(self.first))?;
        if self.first == self.last { Ok(()) } else { write!(f, "-{}", name(self.last)) }
    }
}

impl FromStr for Stretch {
    type Err = HoursError;

    fn from_str(text: &str) -> Result<Self, HoursError> {
        let error = || HoursError::Stretch(text.to_owned());
        let (from, to) = text.split_once('-').ok_or_else(error)?;
        let minute = |text: &str| {
            let (hour, minute) = text.trim().split_once(':')?;
            let (hour, minute): (u16, u16) = (hour.parse().ok()?, minute.parse().ok()?);
            (hour * 60 + minute <= DAY && minute < 60).then_some(hour * 60 + minute)
        };
        let (from, to) = minute(from).zip(minute(to)).ok_or_else(error)?;
        if from == to || from == DAY {
            return Err(error());
        }
        Ok(Self { from, to })
    }
}

impl FromStr for Days {
    type Err = HoursError;

    fn from_str(text: &str) -> Result<Self, HoursError> {
        let error = || HoursError::Day(text.to_owned());
        let day = |name: &str| {
            let name = name.trim().to_ascii_lowercase();
            DAYS.iter().position(|(known, day)| *known == name || is_whole(*day, &name)).ok_or_else(error)
        };
        match text.split_once('-') {
            Some((first, last)) => Ok(Self { first: day(first)?, last: day(last)? }),
            None => day(text).map(|only| Self { first: only, last: only }),
        }
    }
}

/// Whether it is the day's whole name.
fn is_whole(day: Weekday, name: &str) -> bool {
    format!("{day:?}").to_ascii_lowercase() == name
}

impl<'de> Deserialize<'de> for Stretch {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        parsed(deserializer)
    }
}

impl<'de> Deserialize<'de> for Days {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        parsed(deserializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hours(hours: &str, days: &[&str], zone: &str) -> Hours {
        Hours {
            hours: (!hours.is_empty()).then(|| hours.parse().unwrap()),
            days: days.iter().map(|day| day.parse().unwrap()).collect(),
            zone: zone.parse().unwrap(),
        }
    }

    fn at(text: &str) -> Timestamp {
        Timestamp::parse(text).unwrap()
    }

    #[test]
    fn hours_are_those_of_the_place() {
        // A Friday in winter: 08:30 in Berlin is 07:30 UTC.
        let office = hours("08:00-18:00", &["mon-fri"], "Europe/Berlin");
        assert!(office.has(at("2026-01-09T07:00:00Z")) && !office.has(at("2026-01-09T06:59:59Z")));
        assert!(!office.has(at("2026-01-09T17:00:00Z")) && !office.has(at("2026-01-10T09:00:00Z")));
        // In summer an hour earlier.
        assert!(office.has(at("2026-07-10T06:00:00Z")));
        assert_eq!(office.to_string(), "mon-fri 08:00-18:00 Europe/Berlin");
    }

    #[test]
    fn a_night_belongs_to_the_day_on_which_it_began() {
        let night = hours("22:00-06:00", &["fri"], "UTC");
        assert!(night.has(at("2026-01-09T22:00:00Z")) && night.has(at("2026-01-10T05:59:00Z")));
        assert!(!night.has(at("2026-01-09T05:00:00Z")) && !night.has(at("2026-01-10T22:00:00Z")));
        let weekend = hours("", &["sat-sun"], "UTC");
        assert!(weekend.has(at("2026-01-11T00:00:00Z")) && !weekend.has(at("2026-01-12T00:00:00Z")));
        assert!(hours("", &["sun-mon"], "UTC").has(at("2026-01-12T10:00:00Z")));
        assert!(hours("00:00-24:00", &[], "UTC").has(at("2026-01-12T23:59:00Z")));
        assert!(Hours::default().is_always() && Hours::default().has(Timestamp(0)));
    }

    #[test]
    fn what_is_no_time_says_so() {
        for text in ["", "8-18", "08:00", "08:00-08:00", "25:00-26:00", "24:00-06:00", "08:60-09:00"] {
            assert!(text.parse::<Stretch>().is_err(), "{text}");
        }
        for text in ["", "mo", "mon-", "weekend"] {
            assert!(text.parse::<Days>().is_err(), "{text}");
        }
        assert_eq!("Monday".parse::<Days>().unwrap().to_string(), "mon");
    }
}
