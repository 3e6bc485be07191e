//! The hours of the week at which somebody acts.

/// One hour of one day.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WeekHour {
    /// Days since the epoch.
    pub(crate) day: i64,
    /// 0 to 23, UTC.
    pub(crate) hour: i64,
}

/// When somebody acts, from the hours of the past that had an event.
#[derive(Debug)]
pub(crate) struct Rhythm {
    /// How many days had an event.
    pub(crate) active_days: usize,
    /// How many hours had one.
    pub(crate) active_hours: u32,
    /// How many days were watched.
    pub(crate) watched_days: i64,
    /// How many days had an event, by day of the week and hour of the day, each day counted at most once, and at hours
    /// nearby in part.
    near: [[f64; 24]; 7],
    /// How many days of each day of the week had one.
    by_day: [f64; 7],
    /// How many days had an event in each hour.
    by_hour: [u32; 24],
}

/// What an act counts for the hours around it, by their distance: a Gaussian kernel with a deviation of an hour and a
/// half. People are not punctual; five hours off is another life.
const KERNEL: [f64; 6] = [1.0, 0.8007, 0.4111, 0.1353, 0.0286, 0.0039];

impl Rhythm {
    /// Learns from days and their hours as bits, oldest first, over so many days.
    pub(crate) fn learn(days: &[(i64, u32)], watched_days: i64) -> Self {
        let mut rhythm = Self {
            active_days: 0,
            active_hours: 0,
            watched_days,
            near: [[0.0; 24]; 7],
            by_day: [0.0; 7],
            by_hour: [0; 24],
        };
        for (day, hours) in days.iter().filter(|(_, hours)| *hours != 0) {
            rhythm.active_days += 1;
            rhythm.active_hours += hours.count_ones();
            let weekday = weekday(*day);
            if let Some(count) = rhythm.by_day.get_mut(weekday) {
                *count += 1.0;
            }
            for (hour, place) in rhythm.near.get_mut(weekday).into_iter().flatten().enumerate() {
                *place += nearness(*hours, hour);
            }
            for (hour, count) in rhythm.by_hour.iter_mut().enumerate() {
                *count += (hours >> hour) & 1;
            }
        }
        rhythm
    }

    /// In which share of weeks an event is expected in an hour of the week.
    ///
    /// The mean of two estimates: how many of the days of this weekday are active times how many of the active days are
    /// active at this hour (the product of two margins, which borrow from one another), and how many of just these
    /// hours of the week were. Hours of the day are smoothed around the clock (a circular kernel; Fisher, *Statistical
    /// Analysis of Circular Data*, 1993, 2.2). A weekday is believed to be like the others as if it had been seen once
    /// more (a Beta prior): four silent Sundays do not prove the fifth.
    pub(crate) fn share(&self, at: WeekHour) -> f64 {
        let (weekday, hour) = (weekday(at.day), usize::try_from(at.hour).unwrap_or(0));
        let weeks = (self.watched_days as f64 / 7.0).max(1.0);
        let active_days = (self.active_days as f64).max(1.0);
        let mean = (active_days / self.watched_days.max(1) as f64).min(1.0);
        let by_day = self.by_day.get(weekday).copied().unwrap_or(0.0);
        let by_day = ((by_day + 0.5 * mean) / (weeks + 0.5)).min(1.0);
        let near = |weekday: usize| self.near.get(weekday).and_then(|hours| hours.get(hour)).copied();
        let by_hour = (0..7).filter_map(near).sum::<f64>() / active_days;
        let own = near(weekday).unwrap_or(0.0) / weeks;
        0.5 * (by_day * by_hour + own)
    }

    /// At least this is what [`Rhythm::share`] would answer, found without smoothing: most hours are usual, and need no
    /// more.
    pub(crate) fn least_share(days: &[(i64, u32)], watched_days: i64, at: WeekHour) -> f64 {
        let weeks = (watched_days as f64 / 7.0).max(1.0);
        let (mut active, mut by_day, mut by_hour, mut own) = (0.0, 0.0, 0.0, 0.0);
        for (day, hours) in days.iter().filter(|(_, hours)| *hours != 0) {
            let is_weekday = f64::from(u8::from(weekday(*day) == weekday(at.day)));
            let is_hour = f64::from((hours >> at.hour) & 1);
            active += 1.0;
            by_day += is_weekday;
            by_hour += is_hour;
            own += is_weekday * is_hour;
        }
        0.5 * ((by_day / (weeks + 0.5)).min(1.0) * by_hour / f64::max(active, 1.0) + own / weeks)
    }

    /// The shortest stretch of the day, as first hour and end, that nine of ten acts lie in.
    pub(crate) fn usual_hours(&self) -> (usize, usize) {
        let hour = |hour: usize| self.by_hour.get(hour % 24).copied().unwrap_or(0);
        let stretches = (1..=24).flat_map(|length| (0..24).map(move |start| (length, start)));
        let holds = |(length, start): &(usize, usize)| {
            (*start..start + length).map(hour).sum::<u32>() * 10 >= self.active_hours * 9
        };
        stretches.into_iter().find(holds).map_or((0, 24), |(length, start)| (start, (start + length) % 24))
    }
}

/// How near an hour is to one of those set, at most 1.
fn nearness(hours: u32, hour: usize) -> f64 {
    let near = |distance: usize| {
        let is_set = |at: usize| hours & (1 << (at % 24)) != 0;
        let sides =
            u32::from(is_set(hour + distance)) + u32::from(distance > 0 && is_set(hour + 24 - distance));
        f64::from(sides)
    };
    KERNEL.iter().enumerate().map(|(distance, weight)| weight * near(distance)).sum::<f64>().min(1.0)
}

fn weekday(day: i64) -> usize {
    usize::try_from(day.rem_euclid(7)).unwrap_or(0)
}
