//! What is usual for a key: level, season and unsteadiness, from its own past.

use super::calendar::Calendar;
use super::level::{self, Level, Period};
use super::season::{Cell, season};
use super::shrink::Factor;

/// A key's past.
#[derive(Debug)]
pub(crate) struct Past<'a> {
    /// The bucket of the first count.
    pub(crate) start: i64,
    /// The counts, zeros included, oldest first.
    pub(crate) values: &'a [f64],
    /// Buckets that were out of line when they were judged, and the count they had to stay below; by bucket.
    pub(crate) caps: &'a [(i64, f64)],
}

/// What is usual.
#[derive(Debug)]
pub(crate) struct Baseline {
    level: Level,
    factors: Vec<Factor>,
    /// Of buckets whose mean is below the border, and of the others. They may differ much: different values run out in
    /// busy hours and not at night.
    quiet: Dispersion,
    busy: Dispersion,
    border: f64,
    calendar: Calendar,
}

/// The variance of counts beyond Poisson's.
#[derive(Debug, Clone, Copy)]
struct Dispersion {
    /// As a share of the mean's square.
    share: f64,
    /// The variance of that estimate.
    error: f64,
}

/// What is usual for one bucket.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Usual {
    /// The mean a high count is compared with.
    pub(crate) high: f64,
    /// The mean a low count is compared with.
    pub(crate) low: f64,
    /// The dispersion of the predictive distribution: the source's own, and what is not known of level and season.
    pub(crate) dispersion: f64,
}

/// Before so many of them had an event nothing is usual: buckets, and periods.
const BUSY_BUCKETS_MIN: usize = 5;
const BUSY_PERIODS_MIN: usize = 3;
/// The dispersion that is believed of a source before anything is known of it, and as how many pairs of counts with
/// the mean 1 that counts. An event a month says nothing about bursts; then they are thought possible.
const PRIOR_DISPERSION: f64 = 1.0;
const PRIOR_PAIRS: f64 = 1.0;

impl Baseline {
    /// Learns from the past; none if it is too short (less than a quarter of the history that the rule asks for, or than
    /// two weeks where the season is a week) or too empty.
    pub(crate) fn learn(past: &Past<'_>, calendar: &Calendar) -> Option<Self> {
        let mut periods = level::periods(past.start, past.values, calendar);
        let known = periods.iter().filter(|period| !period.is_gap).count();
        let busy = periods.iter().filter(|period| period.total > 0.0).count();
        // A quarter of the history, and two turns of a season of days: one turn does not tell it from chance.
        let quarter = usize::try_from(calendar.periods().div_euclid(4)).unwrap_or(0);
        let turns = if calendar.days() > 1 { 2 * calendar.days() } else { 0 };
        let needed = quarter.max(turns).max(BUSY_PERIODS_MIN);
        let busy_buckets = past.values.iter().filter(|value| **value > 0.0).count();
        if known < needed || busy < BUSY_PERIODS_MIN || busy_buckets < BUSY_BUCKETS_MIN {
            return None;
        }
        let mut level = level::follow(&mut periods, calendar);
        let cells = cells(past, &periods, &level, calendar);
        let guess = neighbours_dispersion(&cells, calendar);
        let factors = season(&cells, calendar, guess);
        let factor =
            |cell: &Cell| factors.get(calendar.slot_of(cell.bucket)).copied().unwrap_or(Factor::NONE);
        let seen: f64 = cells.iter().map(|cell| cell.seen).sum();
        let expected: f64 = cells.iter().map(|cell| cell.expected * factor(cell).mean).sum();
        let scale = if expected > 0.0 && seen > 0.0 { seen / expected } else { 1.0 };
        level.mean *= scale;
        let expect = |cell: &Cell| (cell.expected * factor(cell).mean * scale, factor(cell).variance);
        let (sum, squares) = cells
            .iter()
            .map(|cell| expect(cell).0)
            .fold((0.0, 0.0), |(sum, squares), mean| (sum + mean, squares + mean * mean));
        let border = if sum > 0.0 { 0.5 * squares / sum } else { 0.0 };
        let of = |is_quiet: bool| {
            let group = cells.iter().filter(|cell| (expect(cell).0 < border) == is_quiet);
            dispersion(group, &expect, guess)
        };
        let (quiet, busy) = (of(true), of(false));
        Some(Self { level, factors, quiet, busy, border, calendar: *calendar })
    }

    /// What is usual for a bucket, for a tail of the probability `level`.
    ///
    /// The predictive distribution is negative binomial with the mean m and the dispersion a + v + a·v, where v is the
    /// relative variance of what is known of m: the moments of a count whose mean is itself Gamma distributed.
    /// That a is an estimate as well, with the variance e, makes the tail heavier: where its logarithm is about
    /// ln p · m / (1 + a·m) steep in a, the mean of the tail over a normal error is that at a + e / 2 times that
    /// steepness (the mean of a lognormal number).
    pub(crate) fn usual(&self, bucket: i64, level: f64) -> Usual {
        let factor = self.factors.get(self.calendar.slot_of(bucket)).copied().unwrap_or(Factor::NONE);
        let unknown = self.level.variance + factor.variance;
        let mean = self.level.mean * factor.mean;
        let own = if mean * self.level.high < self.border { self.quiet } else { self.busy };
        let steepness = -libm::log(level.clamp(1e-300, 1.0)) * mean / (1.0 + own.share * mean);
        let dispersion = own.share + 0.5 * own.error * steepness;
        Usual {
            high: mean * self.level.high,
            low: mean * self.level.low,
            dispersion: dispersion + unknown + dispersion * unknown,
        }
    }
}

/// The buckets that something is learnt from: those of gaps are not, nor those of outlying periods, unless there are
/// so many that they are a habit.
fn cells(past: &Past<'_>, periods: &[Period], level: &Level, calendar: &Calendar) -> Vec<Cell> {
    let outlying = periods.iter().filter(|period| period.is_outlying).count();
    let excusable = level::excusable(periods.len());
    let is_kept = |period: &Period| !period.is_gap && (!period.is_outlying || outlying > excusable);
    let mut peaks: Vec<f64> = periods.iter().filter(|p| is_kept(p)).map(|period| period.peak).collect();
    peaks.sort_unstable_by(|a, b| b.total_cmp(a));
    // The highest periods may have a burst in them: what is far above the others is clipped.
    let usual_peak = peaks.get(excusable).copied().unwrap_or(f64::MAX);
    let cap = (2.0 * usual_peak).max(usual_peak + 5.0);
    let first = periods.first().map_or(0, |period| period.number);
    let mut cells = Vec::with_capacity(past.values.len());
    for (bucket, value) in (past.start..).zip(past.values) {
        let index = usize::try_from(calendar.period_of(bucket) - first).unwrap_or(usize::MAX);
        let Some(period) = periods.get(index).filter(|period| is_kept(period)) else { continue };
        cells.push(Cell { bucket, seen: value.min(cap), expected: level.mean * period.level });
    }
    clip(&mut cells, past.caps, &is_stepped(periods, calendar));
    cells
}

/// Whether a bucket lies in a period whose level was found to be far from 1: there an alarm was the first of a new
/// habit.
fn is_stepped<'a>(periods: &'a [Period], calendar: &'a Calendar) -> impl Fn(i64) -> bool + 'a {
    let first = periods.first().map_or(0, |period| period.number);
    let last = periods.last().map_or(1.0, |period| period.level);
    move |bucket| {
        let index = usize::try_from(calendar.period_of(bucket) - first).unwrap_or(usize::MAX);
        let level = periods.get(index).map_or(1.0, |period| period.level);
        let lowest = periods.iter().map(|period| period.level).fold(f64::MAX, f64::min);
        level > 0.7 * last && level > 1.5 * lowest
    }
}

/// Buckets that raised an alarm count as what they had to stay below.
fn clip(cells: &mut [Cell], caps: &[(i64, f64)], is_excepted: &impl Fn(i64) -> bool) {
    for (bucket, cap) in caps.iter().filter(|(bucket, _)| !is_excepted(*bucket)) {
        if let Ok(index) = cells.binary_search_by_key(bucket, |cell| cell.bucket)
            && let Some(cell) = cells.get_mut(index)
        {
            cell.seen = cell.seen.min(*cap);
        }
    }
}

/// A first guess at the dispersion, from counts a season apart: E[(x - y)² / 2] = m + a·m² and E[x·y] = m². The
/// season need not be known for it.
fn neighbours_dispersion(cells: &[Cell], calendar: &Calendar) -> f64 {
    let lag = if calendar.slots > 1 { calendar.slots } else { 1 };
    let (mut excess, mut squares) = (0.0, 0.0);
    let mut earlier = cells.iter().peekable();
    for cell in cells {
        while earlier.next_if(|other| other.bucket < cell.bucket - lag).is_some() {}
        let Some(other) = earlier.peek().filter(|other| other.bucket == cell.bucket - lag) else { continue };
        let (x, y) = (cell.seen, other.seen * cell.expected / other.expected.max(1e-12));
        excess += 0.5 * (x - y) * (x - y) - 0.5 * (x + y);
        squares += x * y;
    }
    ((excess + PRIOR_PAIRS * PRIOR_DISPERSION) / (squares + PRIOR_PAIRS)).max(0.0)
}

/// The dispersion by the method of moments, Σw((x - m)² - m) / Σwm² (Anscombe 1950; Bliss and Fisher 1953), and the
/// variance of that. The weights w make each square count as much as it is precise. A square is divided by the share
/// that fitting the season left of it, 1 less the leverage, which is the variance of the fitted mean by that of the
/// count. `expect` gives a cell's mean and how little is known of it. The square of a count's deviation varies by
/// 2 s⁴ (1 + 3a), s² = m + a·m², as of a Gamma distributed number.
fn dispersion<'a>(
    cells: impl Iterator<Item = &'a Cell>,
    expect: &impl Fn(&Cell) -> (f64, f64),
    guess: f64,
) -> Dispersion {
    let (mut excess, mut squares, mut error) = (0.0, 0.0, 0.0);
    for cell in cells {
        let (mean, unknown) = expect(cell);
        let weight = 1.0 / ((1.0 + guess * mean) * (1.0 + guess * mean));
        let leverage = unknown * mean / (1.0 + guess * mean);
        let square = (cell.seen - mean) * (cell.seen - mean) / (1.0 - leverage).max(0.25);
        excess += weight * (square - mean);
        squares += weight * mean * mean / (1.0 + unknown);
        // weight · s² = mean / (1 + guess · mean)
        let spread = mean / (1.0 + guess * mean);
        error += 2.0 * spread * spread * (1.0 + 3.0 * guess);
    }
    let known = squares + PRIOR_PAIRS;
    let share = ((excess + PRIOR_PAIRS * PRIOR_DISPERSION) / known).max(0.0);
    Dispersion { share, error: error / (known * known) }
}
