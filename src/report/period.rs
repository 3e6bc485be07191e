//! Days, weeks and months of a time zone, and when what is due about them is due.

use std::fmt;
use std::str::FromStr;

use jiff::ToSpan as _;
use jiff::civil::{Date, Time};
use serde::{Deserialize, Serialize};

use super::Zone;
use crate::time::Timestamp;

/// How long a period is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Every {
    /// From midnight to midnight.
    Daily,
    /// From Monday on.
    Weekly,
    /// From the first on.
    Monthly,
}

impl Every {
    /// The word in configurations.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Daily => "daily",
            Self::Weekly => "weekly",
            Self::Monthly => "monthly",
        }
    }
}

/// One day, week or month in a time zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Period {
    every: Every,
    first: Date,
    zone: Zone,
}

impl Period {
    /// The period that has this day in it.
    #[must_use]
    pub fn with(every: Every, day: Date, zone: &Zone) -> Self {
        let first = match every {
            Every::Daily => day,
            Every::Weekly => {
                let back = i64::from(day.weekday().to_monday_zero_offset());
                day.checked_sub(back.days()).unwrap_or(day)
            }
            Every::Monthly => day.first_of_month(),
        };
        Self { every, first, zone: zone.clone() }
    }

    /// The period that has this moment in it.
    #[must_use]
    pub fn at(every: Every, moment: Timestamp, zone: &Zone) -> Self {
        Self::with(every, zone.civil(moment).date(), zone)
    }

    /// How long it is.
    #[must_use]
    pub const fn every(&self) -> Every {
        self.every
    }

    /// Where its midnights are.
    #[must_use]
    pub const fn zone(&self) -> &Zone {
        &self.zone
    }

    /// Its first moment.
    #[must_use]
    pub fn start(&self) -> Timestamp {
        midnight(self.first, &self.zone)
    }

    /// The first moment after it.
    #[must_use]
    pub fn end(&self) -> Timestamp {
        midnight(self.day_after(), &self.zone)
    }

    /// Whether a moment lies in it.
    #[must_use]
    pub fn has(&self, moment: Timestamp) -> bool {
        (self.start()..self.end()).contains(&moment)
    }

    /// The one before.
    #[must_use]
    pub fn previous(&self) -> Self {
        Self::with(self.every, self.first.yesterday().unwrap_or(self.first), &self.zone)
    }

    /// The one after.
    #[must_use]
    pub fn next(&self) -> Self {
        Self { first: self.day_after(), ..self.clone() }
    }

    fn day_after(&self) -> Date {
        let next = match self.every {
            Every::Daily => self.first.tomorrow(),
            Every::Weekly => self.first.checked_add(7.days()),
            Every::Monthly => self.first.checked_add(1.month()),
        };
        next.unwrap_or(self.first)
    }

    /// Its name in ids and files, in the order of time: `2026-11-22`, of a week its Monday, of a month `2026-11`.
    #[must_use]
    pub fn key(&self) -> String {
        match self.every {
            Every::Daily | Every::Weekly => self.first.to_string(),
            Every::Monthly => self.first.strftime("%Y-%m").to_string(),
        }
    }
}

impl fmt::Display for Period {
    /// `Sunday 22 November 2026`, `16 to 22 November 2026`, `November 2026`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |day: Date, form: &str| day.strftime(form).to_string();
        match self.every {
            Every::Daily => f.write_str(&shown(self.first, "%A %-d %B %Y")),
            Every::Monthly => f.write_str(&shown(self.first, "%B %Y")),
            Every::Weekly => {
                let last = self.day_after().yesterday().unwrap_or(self.first);
                let first = match (self.first.year() == last.year(), self.first.month() == last.month()) {
                    (true, true) => "%-d",
                    (true, false) => "%-d %B",
                    (false, _) => "%-d %B %Y",
                };
                write!(f, "{} to {}", shown(self.first, first), shown(last, "%-d %B %Y"))
            }
        }
    }
}

fn midnight(day: Date, zone: &Zone) -> Timestamp {
    moment(day, Time::midnight(), zone)
}

/// A time that a change of clocks leaves out is as much later as the clocks were put forward; one that it brings twice
/// is the first of the two (RFC 5545, section 3.3.5).
fn moment(day: Date, time: Time, zone: &Zone) -> Timestamp {
    let zoned = day.to_datetime(time).to_zoned(zone.tz().clone());
    Timestamp(zoned.map_or(0, |zoned| zoned.timestamp().as_millisecond()))
}

/// A time of day to the minute: `07:00`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeOfDay(pub Time);

impl Default for TimeOfDay {
    /// Seven in the morning.
    fn default() -> Self {
        Self(Time::constant(7, 0, 0, 0))
    }
}

impl FromStr for TimeOfDay {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split_once(':').filter(|(hour, minute)| hour.len() <= 2 && minute.len() == 2);
        let number =
            |part: &str| part.parse::<i8>().ok().filter(|_| part.bytes().all(|b| b.is_ascii_digit()));
        let time = parts.and_then(|(hour, minute)| Time::new(number(hour)?, number(minute)?, 0, 0).ok());
        time.map(Self)
            .ok_or_else(|| format!("`{text}` is no time of day: write hours and minutes, such as 07:00"))
    }
}

/// When what is made for each period is due: at a time of the day after its last one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    /// How long its periods are.
    pub every: Every,
    /// When on the day after.
    pub at: TimeOfDay,
    /// Where.
    pub zone: Zone,
}

impl Schedule {
    /// When what is made for this period is due.
    #[must_use]
    pub fn due_at(&self, period: &Period) -> Timestamp {
        moment(period.day_after(), self.at.0, &self.zone)
    }

    /// The newest period that is due.
    #[must_use]
    pub fn newest_due(&self, now: Timestamp) -> Period {
        let mut period = Period::at(self.every, now, &self.zone).previous();
        if self.due_at(&period) > now {
            period = period.previous();
        }
        period
    }

    /// The periods behind the one with this key that are due, oldest first; the newest `max` of them, and how many older
    /// ones there are besides. None where the key belongs to a period that is not due yet: the clock was set back.
    #[must_use]
    pub fn due_since(&self, key: &str, now: Timestamp, max: usize) -> (Vec<Period>, Vec<Period>) {
        let mut due = Vec::new();
        let mut period = self.newest_due(now);
        while period.key().as_str() > key && due.len() < MISSED_MAX {
            let previous = period.previous();
            due.push(period);
            period = previous;
        }
        let older = if due.len() > max { due.split_off(max) } else { Vec::new() };
        due.reverse();
        (due, older)
    }
}

/// Further back nothing is looked for: ten years of days.
const MISSED_MAX: usize = 3_660;

#[cfg(test)]
mod tests {
    use super::*;

    fn time(text: &str) -> Timestamp {
        Timestamp::parse(text).unwrap()
    }

    fn schedule(every: Every, at: &str, zone: &str) -> Schedule {
        Schedule { every, at: at.parse().unwrap(), zone: zone.parse().unwrap() }
    }

    #[test]
    fn periods_begin_where_people_say() {
        let berlin: Zone = "Europe/Berlin".parse().unwrap();
        // Half past eleven at night in London is the next day in Berlin.
        let moment = time("2026-11-29T23:30:00Z");
        for (every, key, name, start) in [
            (Every::Daily, "2026-11-30", "Monday 30 November 2026", "2026-11-29T23:00:00.000Z"),
            (Every::Weekly, "2026-11-30", "30 November to 6 December 2026", "2026-11-29T23:00:00.000Z"),
            (Every::Monthly, "2026-11", "November 2026", "2026-10-31T23:00:00.000Z"),
        ] {
            let period = Period::at(every, moment, &berlin);
            assert_eq!((period.key().as_str(), period.to_string().as_str()), (key, name));
            assert_eq!(period.start().to_string(), start);
            assert!(period.has(moment));
            assert_eq!(period.previous().end(), period.start());
            assert_eq!(period.next().previous(), period);
        }
        let across = Period::with(Every::Weekly, jiff::civil::date(2027, 1, 1), &berlin);
        assert_eq!(across.to_string(), "28 December 2026 to 3 January 2027");
    }

    /// 29 March 2026, 02:30 does not exist in Berlin; 25 October 2026, 02:30 is there twice.
    #[test]
    fn what_is_due_when_clocks_change_is_due_once() {
        let daily = schedule(Every::Daily, "02:30", "Europe/Berlin");
        let due = |day: &str| {
            let period = Period::with(Every::Daily, day.parse().unwrap(), &daily.zone);
            daily.due_at(&period).to_string()
        };
        assert_eq!(due("2026-03-27"), "2026-03-28T01:30:00.000Z");
        assert_eq!(due("2026-03-28"), "2026-03-29T01:30:00.000Z", "03:30 of summer time");
        assert_eq!(due("2026-10-24"), "2026-10-25T00:30:00.000Z", "the first 02:30");
        for (from, to) in [
            ("2026-03-27T00:00:00Z", "2026-03-31T00:00:00Z"),
            ("2026-10-23T00:00:00Z", "2026-10-28T00:00:00Z"),
        ] {
            // Asked every minute, each period becomes the newest one once, in order.
            let (mut now, mut seen): (Timestamp, Vec<String>) = (time(from), Vec::new());
            while now < time(to) {
                let key = daily.newest_due(now).key();
                if seen.last() != Some(&key) {
                    seen.push(key);
                }
                now = now.plus(crate::time::Span::minutes(1));
            }
            assert!(seen.windows(2).all(|pair| pair[0] < pair[1]), "{seen:?}");
            assert!(seen.len() >= 5, "{seen:?}");
        }
        // Days of 23 and of 25 hours.
        let hours = |day: &str| {
            let period = Period::with(Every::Daily, day.parse().unwrap(), &daily.zone);
            period.end().since(period.start()).0 / 3_600_000
        };
        assert_eq!((hours("2026-03-29"), hours("2026-10-25"), hours("2026-06-01")), (23, 25, 24));
    }

    #[test]
    fn what_was_missed_is_known() {
        let daily = schedule(Every::Daily, "07:00", "UTC");
        let keys = |(due, older): (Vec<Period>, Vec<Period>)| {
            let keys = |periods: Vec<Period>| periods.iter().map(Period::key).collect::<Vec<_>>().join(" ");
            (keys(due), keys(older))
        };
        let now = time("2026-11-22T06:59:00Z");
        assert_eq!(daily.newest_due(now).key(), "2026-11-20");
        assert_eq!(keys(daily.due_since("2026-11-20", now, 4)), (String::new(), String::new()));
        assert_eq!(keys(daily.due_since("2026-11-19", now, 4)).0, "2026-11-20");
        let now = time("2026-11-22T07:00:00Z");
        let expected = ("2026-11-18 2026-11-19 2026-11-20 2026-11-21", "2026-11-17 2026-11-16");
        assert_eq!(
            keys(daily.due_since("2026-11-15", now, 4)),
            (expected.0.to_owned(), expected.1.to_owned())
        );
        assert_eq!(keys(daily.due_since("2030-01-01", now, 4)).0, "");
        assert_eq!(daily.due_since("", now, 4).1.len(), MISSED_MAX - 4);
        let monthly = schedule(Every::Monthly, "00:00", "UTC");
        assert_eq!(monthly.newest_due(time("2026-11-30T23:59:59Z")).key(), "2026-10");
        assert_eq!(monthly.newest_due(time("2026-12-01T00:00:00Z")).key(), "2026-11");
        let weekly = schedule(Every::Weekly, "7:30", "UTC");
        assert_eq!(weekly.newest_due(time("2026-11-23T07:30:00Z")).key(), "2026-11-16");
    }

    #[test]
    fn times_of_day_are_strict() {
        for text in ["07:00", "7:05", "23:59", "00:00"] {
            assert!(text.parse::<TimeOfDay>().is_ok(), "{text}");
        }
        for text in ["", "7", "24:00", "07:60", "7:0", "-1:00", "07:00:00", "+7:00", "seven"] {
            let error = text.parse::<TimeOfDay>().unwrap_err();
            assert!(error.contains("such as 07:00"), "{error}");
        }
    }
}
