//! The level of a source from period to period: what drifts, what steps, and what was only a holiday.
//!
//! A local level (random walk plus noise) followed by Kalman's filter (Harvey, *Forecasting, Structural Time Series
//! Models and the Kalman Filter*, 1989, chapter 4), made robust: a period more than [`OUTLYING`] standard deviations
//! away does not move it (a redescending weight, after Hampel 1974), and [`LASTING`] of them in a row on one side
//! are a new level.

use super::calendar::Calendar;
use super::shrink::{Group, factors};

/// One period of the past.
#[derive(Debug, Clone, Copy)]
pub(super) struct Period {
    /// Its number.
    pub(super) number: i64,
    /// The sum of its counts.
    pub(super) total: f64,
    /// Its largest count.
    pub(super) peak: f64,
    /// How many of its buckets are known.
    pub(super) buckets: f64,
    /// Nothing came for much longer than it ever does: nothing is learnt from it.
    pub(super) is_gap: bool,
    /// Far away from the level: a holiday or an incident.
    pub(super) is_outlying: bool,
    /// What it has by its day of the week, 1 on average.
    weight: f64,
    /// The level then, 1 on average.
    pub(super) level: f64,
}

/// The level at the end of the past, as a multiple of the mean.
#[derive(Debug, Clone, Copy)]
pub(super) struct Level {
    /// The mean count of a bucket.
    pub(super) mean: f64,
    /// What to compare a high count with: the highest level of the last fortnight, if it stepped.
    pub(super) high: f64,
    /// What to compare a low count with.
    pub(super) low: f64,
    /// How little is known of it, as a share of its square.
    pub(super) variance: f64,
}

/// How far a level wanders in a period: half a percent, some four percent in two months, or 2 % a week one way.
const DRIFT: f64 = 0.005 * 0.005;
/// Standard deviations beyond which a period says nothing of the level.
const OUTLYING: f64 = 4.0;
/// How many outlying periods in a row are a new level.
const LASTING: usize = 3;
/// For how many periods after a step the level before it still counts.
const REMEMBERED: i64 = 14;
/// So many empty periods may be a gap.
const GAP: usize = 4;

/// How many periods may be out of line before it is a habit: a tenth, three of 28.
pub(super) fn excusable(periods: usize) -> usize {
    (periods / 9).max(1)
}

/// Sums up counts from the bucket `start` on by period, and marks the gaps.
pub(super) fn periods(start: i64, values: &[f64], calendar: &Calendar) -> Vec<Period> {
    let mut periods: Vec<Period> = Vec::new();
    for (bucket, value) in (start..).zip(values) {
        let number = calendar.period_of(bucket);
        match periods.last_mut().filter(|last| last.number == number) {
            Some(last) => {
                last.total += value;
                last.peak = last.peak.max(*value);
                last.buckets += 1.0;
            }
            None => periods.push(Period {
                number,
                total: *value,
                peak: *value,
                buckets: 1.0,
                is_gap: false,
                is_outlying: false,
                weight: 1.0,
                level: 1.0,
            }),
        }
    }
    mark_gaps(&mut periods);
    periods
}

/// A run of empty periods is a gap if it is long, and more than twice as long as the third longest: who is silent
/// for a week again and again just is so.
fn mark_gaps(periods: &mut [Period]) {
    let mut runs: Vec<usize> = periods
        .chunk_by(|a, b| (a.total > 0.0) == (b.total > 0.0))
        .filter(|run| run.first().is_some_and(|first| first.total <= 0.0))
        .map(<[Period]>::len)
        .collect();
    runs.sort_unstable_by(|a, b| b.cmp(a));
    let usual = runs.get(2).copied().unwrap_or(0);
    for run in periods.chunk_by_mut(|a, b| (a.total > 0.0) == (b.total > 0.0)) {
        if run.first().is_some_and(|first| first.total <= 0.0) && run.len() >= GAP && run.len() > 2 * usual {
            run.iter_mut().for_each(|period| period.is_gap = true);
        }
    }
}

/// Follows the level, and writes it into the periods.
pub(super) fn follow(periods: &mut [Period], calendar: &Calendar) -> Level {
    weigh_days(periods, calendar);
    let mean = typical(periods.iter().filter(|p| !p.is_gap).map(|p| (p.total, p.weight * p.buckets)));
    let mut filter = Filter { mean, noise: noise(periods, mean), ..Filter::default() };
    for index in 0..periods.len() {
        filter.step(periods, index);
    }
    filter.smooth(periods);
    let now = periods.last().map_or(0, |last| last.number) + 1;
    let recent = || filter.steps.iter().filter(|(at, _)| now - at <= REMEMBERED).map(|(_, level)| *level);
    let variance = (filter.variance + DRIFT) / (filter.level * filter.level).max(1e-6);
    Level {
        mean,
        high: recent().fold(filter.level, f64::max),
        low: recent().fold(filter.level, f64::min),
        variance,
    }
}

/// What days of the week have, where the season is a week of days.
fn weigh_days(periods: &mut [Period], calendar: &Calendar) {
    let days = calendar.days();
    if days < 2 || calendar.period != calendar.slots_a_day {
        return;
    }
    let day = |period: &Period| usize::try_from(period.number.rem_euclid(days as i64)).unwrap_or(0);
    let mut rates: Vec<Vec<f64>> = vec![Vec::new(); days];
    for period in periods.iter().filter(|period| !period.is_gap) {
        if let Some(rates) = rates.get_mut(day(period)) {
            rates.push(period.total / period.buckets);
        }
    }
    let mut squares: Vec<f64> =
        rates.iter().flat_map(|rates| rates.windows(2)).map(|pair| half_square(pair[0] - pair[1])).collect();
    let noise = clipped_mean(&mut squares, 2 * excusable(periods.len()));
    let middles: Vec<(f64, f64)> =
        rates.iter_mut().map(|rates| (middle(rates), rates.len() as f64)).collect();
    let known = middles.iter().filter(|(_, count)| *count > 0.0);
    let mean = known.clone().map(|(middle, _)| middle).sum::<f64>() / (known.count() as f64).max(1.0);
    if mean <= 0.0 {
        return;
    }
    // A group whose noise is what was found: it is all counted as dispersion.
    let dispersion = noise / (mean * mean);
    let group = |(middle, count): &(f64, f64)| {
        let expected = 1e9;
        Group { seen: middle / mean * expected, expected, squares: expected * expected / count.max(0.1) }
    };
    let groups: Vec<Group> = middles.iter().map(group).collect();
    let factors = factors(&groups, dispersion.max(1e-9));
    for period in periods.iter_mut() {
        period.weight = factors.get(day(period)).map_or(1.0, |factor| factor.mean.max(1e-3));
    }
}

/// The mean without the highest and the lowest, where there are enough.
fn middle(values: &mut [f64]) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    let cut = usize::from(values.len() >= 4);
    let inner = values.get(cut..values.len() - cut).unwrap_or_default();
    inner.iter().sum::<f64>() / (inner.len() as f64).max(1.0)
}

/// The mean rate of (total, weight), whose highest totals may be out of line.
fn typical(totals: impl Iterator<Item = (f64, f64)>) -> f64 {
    let mut rates: Vec<(f64, f64)> =
        totals.filter(|(_, w)| *w > 0.0).map(|(total, weight)| (total / weight, weight)).collect();
    rates.sort_unstable_by(|a, b| b.0.total_cmp(&a.0));
    let excused = excusable(rates.len());
    let cap = rates.get(excused).map_or(f64::MAX, |(rate, _)| 2.0 * rate);
    let cap = if cap > 0.0 { cap } else { f64::MAX };
    let (sum, weights) =
        rates.iter().fold((0.0, 0.0), |(sum, weights), (rate, w)| (sum + rate.min(cap) * w, weights + w));
    if weights > 0.0 { sum / weights } else { 0.0 }
}

/// The variance of a period's total around the level, as a share of the level's square: half the mean square of
/// differences between neighbours (von Neumann 1941), which neither drift nor a step touches much.
fn noise(periods: &[Period], mean: f64) -> f64 {
    let ratios: Vec<f64> = periods
        .iter()
        .filter(|period| period.says_something())
        .map(|period| period.total / (mean * period.weight * period.buckets).max(1e-12))
        .collect();
    let mut squares: Vec<f64> = ratios.windows(2).map(|pair| half_square(pair[0] - pair[1])).collect();
    clipped_mean(&mut squares, 2 * excusable(periods.len()))
}

fn half_square(difference: f64) -> f64 {
    0.5 * difference * difference
}

/// The mean, with at most so many of the largest clipped to what chance makes likely: nine times the variance that
/// the median implies (0.455 is the median of the square of a standard normal number).
fn clipped_mean(squares: &mut [f64], clipped: usize) -> f64 {
    squares.sort_unstable_by(|a, b| b.total_cmp(a));
    let median = squares.get(squares.len() / 2).copied().unwrap_or(0.0);
    let usual = squares.get(clipped).copied().unwrap_or(0.0);
    let cap = (9.0 * median / 0.455).max(usual);
    let sum: f64 = squares.iter().map(|square| square.min(cap)).sum();
    sum / (squares.len() as f64).max(1.0)
}

impl Period {
    /// Whether it has enough of the week's weight to tell the level from.
    fn says_something(&self) -> bool {
        !self.is_gap && self.weight > 0.2
    }
}

#[derive(Debug)]
struct Filter {
    mean: f64,
    noise: f64,
    level: f64,
    variance: f64,
    /// Outlying periods in a row: their indexes and ratios, and on which side.
    run: Vec<(usize, f64)>,
    is_run_high: bool,
    /// The variance after each period; a step or a gap cuts the smoothing.
    variances: Vec<f64>,
    /// After which period the level stepped, and from where.
    steps: Vec<(i64, f64)>,
    cuts: Vec<usize>,
}

impl Default for Filter {
    fn default() -> Self {
        Self {
            mean: 0.0,
            noise: 0.0,
            level: 1.0,
            variance: 1.0,
            run: Vec::new(),
            is_run_high: false,
            variances: Vec::new(),
            steps: Vec::new(),
            cuts: Vec::new(),
        }
    }
}

impl Filter {
    fn step(&mut self, periods: &mut [Period], index: usize) {
        self.variance += DRIFT;
        if let Some(period) = periods.get(index).copied().filter(Period::says_something) {
            let expected = (self.mean * period.weight * period.buckets).max(1e-12);
            let ratio = period.total / expected;
            let noise = self.noise.max(self.level / expected);
            let spread = libm::sqrt(self.variance + noise);
            let distance = (ratio - self.level) / spread;
            let is_outlying = distance.abs() > OUTLYING;
            if is_outlying {
                self.outlying(periods, index, ratio, noise);
            } else {
                self.run.clear();
                let gain = self.variance / (self.variance + noise);
                self.level = (self.level + gain * (ratio - self.level)).max(1e-6);
                self.variance *= 1.0 - gain;
            }
        }
        self.variances.push(self.variance);
        if let Some(period) = periods.get_mut(index) {
            period.level = self.level;
        }
    }

    /// A period far away is kept out, until there were several in a row.
    fn outlying(&mut self, periods: &mut [Period], index: usize, ratio: f64, noise: f64) {
        let is_high = ratio > self.level;
        if self.is_run_high != is_high {
            self.run.clear();
        }
        self.is_run_high = is_high;
        self.run.push((index, ratio));
        if let Some(period) = periods.get_mut(index) {
            period.is_outlying = true;
        }
        if self.run.len() < LASTING {
            return;
        }
        let first = self.run.first().map_or(index, |(first, _)| *first);
        self.steps.push((periods.get(first).map_or(0, |period| period.number), self.level));
        self.cuts.push(first);
        self.level = (self.run.iter().map(|(_, ratio)| ratio).sum::<f64>() / self.run.len() as f64).max(1e-6);
        self.variance = noise.max(self.level * self.level * 0.01) / self.run.len() as f64;
        for (index, _) in self.run.drain(..) {
            if let Some(period) = periods.get_mut(index) {
                period.is_outlying = false;
                period.level = self.level;
            }
        }
    }

    /// Looks back: what came later says something of an earlier level too (Rauch, Tung and Striebel 1965).
    fn smooth(&self, periods: &mut [Period]) {
        for index in (1..periods.len()).rev() {
            if self.cuts.contains(&index) {
                continue;
            }
            let next = periods.get(index).map_or(1.0, |period| period.level);
            let variance = self.variances.get(index - 1).copied().unwrap_or(0.0);
            if let Some(period) = periods.get_mut(index - 1) {
                period.level += variance / (variance + DRIFT) * (next - period.level);
            }
        }
    }
}
