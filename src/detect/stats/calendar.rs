//! Where a bucket of time stands: its period (a day, mostly) and its slot in the season.

const DAY: i64 = 86_400_000;

/// How time is cut. All lengths in milliseconds, all cuts aligned to the epoch, UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Calendar {
    /// The length of a bucket.
    pub(crate) bucket: i64,
    /// How many buckets the past has.
    pub(crate) buckets: i64,
    /// How many buckets the season has; 1: there is none.
    pub(crate) slots: i64,
    /// How many of them make a day, if the season is a week of days; else 1.
    pub(crate) slots_a_day: i64,
    /// How many buckets make a period, after which the model is fitted anew.
    pub(crate) period: i64,
}

impl Calendar {
    /// Cuts `history` into buckets with a season of `season` milliseconds (zero: none). A period is a day, or of a
    /// short history a 28th.
    pub(crate) fn new(bucket: i64, history: i64, season: i64) -> Self {
        let bucket = bucket.max(1);
        let buckets = (history / bucket).max(1);
        let slots = if season % bucket == 0 { (season / bucket).max(1) } else { 1 };
        let has_days = season > DAY && DAY % bucket == 0;
        let slots_a_day = if has_days { DAY / bucket } else { 1 };
        let day = (DAY / bucket).max(1);
        let period = if slots > 1 || history >= 7 * DAY { day } else { (buckets / 28).max(1) };
        Self { bucket, buckets, slots, slots_a_day, period }
    }

    /// The bucket of a time.
    pub(crate) fn bucket_of(&self, time: i64) -> i64 {
        time.div_euclid(self.bucket)
    }

    /// The first millisecond of a bucket.
    pub(crate) fn start_of(&self, bucket: i64) -> i64 {
        bucket.saturating_mul(self.bucket)
    }

    /// The period of a bucket.
    pub(crate) fn period_of(&self, bucket: i64) -> i64 {
        bucket.div_euclid(self.period)
    }

    /// The slot of a bucket in the season, from 0.
    pub(crate) fn slot_of(&self, bucket: i64) -> usize {
        usize::try_from(bucket.rem_euclid(self.slots)).unwrap_or(0)
    }

    /// How many days the season has, if it is made of days; else 1.
    pub(crate) fn days(&self) -> usize {
        if self.slots_a_day > 1 { usize::try_from(self.slots / self.slots_a_day).unwrap_or(1) } else { 1 }
    }

    /// How many periods the past has.
    pub(crate) fn periods(&self) -> i64 {
        (self.buckets / self.period).max(1)
    }
}
