//! Tails of the negative binomial distribution: how improbable a count is.
//!
//! A count with mean m and dispersion a has the variance m + a·m²; a = 0 is Poisson's. It is what a Poisson count
//! becomes when its rate is itself uncertain, Gamma distributed with the relative variance a (Greenwood and Yule
//! 1920; Johnson, Kemp and Kotz, *Univariate Discrete Distributions*, 3rd edition, chapter 5). So one number
//! carries both how unsteady a source is and how little is known of it.

use libm::{exp, lgamma, log, log1p, sqrt};

/// Below this a count is as good as Poisson's, and the formulas keep their digits.
const DISPERSION_MIN: f64 = 1e-6;
/// Means below this are taken for it: nothing is known to be impossible.
const MEAN_MIN: f64 = 1e-9;
/// Steps of the continued fraction; it needs the root of its larger argument, and stops when it stands still.
const STEPS_MAX: usize = 20_000;

/// The probability of a count of at least `count`.
///
/// P(X ≥ k) = I(q; k, 1/a) with q = a·m / (1 + a·m), the regularised incomplete beta function (Abramowitz and
/// Stegun 26.5.24).
pub(crate) fn upper_tail(count: f64, mean: f64, dispersion: f64) -> f64 {
    if count <= 0.0 {
        return 1.0;
    }
    let (mean, dispersion) = (mean.max(MEAN_MIN), dispersion.max(DISPERSION_MIN));
    let odds = dispersion * mean;
    beta(count, 1.0 / dispersion, odds / (1.0 + odds), 1.0 / (1.0 + odds))
}

/// The probability of a count of at most `count`.
pub(crate) fn lower_tail(count: f64, mean: f64, dispersion: f64) -> f64 {
    if count < 0.0 {
        return 0.0;
    }
    let (mean, dispersion) = (mean.max(MEAN_MIN), dispersion.max(DISPERSION_MIN));
    let odds = dispersion * mean;
    beta(1.0 / dispersion, count + 1.0, 1.0 / (1.0 + odds), odds / (1.0 + odds))
}

/// The least count whose upper tail is at most `level`.
pub(crate) fn upper_limit(mean: f64, dispersion: f64, level: f64) -> f64 {
    let is_beyond = |count: f64| upper_tail(count, mean, dispersion) <= level;
    let mut step = sqrt(mean + dispersion * mean * mean).max(1.0);
    let (mut low, mut high) = (0.0, libm::ceil(mean + 2.0 * step));
    while !is_beyond(high) && high < f64::from(u32::MAX) * 1e6 {
        low = high;
        step *= 1.5;
        high = libm::ceil(high + step);
    }
    narrow(low, high, is_beyond)
}

/// The greatest count whose lower tail is at most `level`; none if even zero is not that improbable.
pub(crate) fn lower_limit(mean: f64, dispersion: f64, level: f64) -> Option<f64> {
    if lower_tail(0.0, mean, dispersion) > level {
        return None;
    }
    let is_likely = |count: f64| lower_tail(count, mean, dispersion) > level;
    Some(narrow(0.0, libm::ceil(mean), is_likely) - 1.0)
}

/// The least whole number in `(low, high]` for which something holds that holds for all above it. Beyond a million
/// to seven digits.
fn narrow(low: f64, high: f64, holds: impl Fn(f64) -> bool) -> f64 {
    let (mut low, mut high) = (low, high);
    while high - low > (1e-6 * high).max(1.0) {
        let middle = libm::floor(f64::midpoint(low, high));
        if holds(middle) { high = middle } else { low = middle }
    }
    high
}

/// The regularised incomplete beta function I(x; a, b); `rest` is 1 - x, which the caller knows to more digits.
///
/// By the continued fraction (DLMF 8.17.22) in Lentz's modified form (Thompson and Barnett 1986; *Numerical
/// Recipes*, 3rd edition, 6.4); where it converges slowly, by I(x; a, b) = 1 - I(1-x; b, a).
fn beta(a: f64, b: f64, x: f64, rest: f64) -> f64 {
    if x <= 0.0 || rest <= 0.0 {
        return if x <= 0.0 { 0.0 } else { 1.0 };
    }
    let log_x = if x < 0.5 { log(x) } else { log1p(-rest) };
    let log_rest = if rest < 0.5 { log(rest) } else { log1p(-x) };
    let front = exp(a * log_x + b * log_rest - log_beta(a, b));
    if x < (a + 1.0) / (a + b + 2.0) {
        front * fraction(a, b, x) / a
    } else {
        1.0 - front * fraction(b, a, rest) / b
    }
}

/// ln B(a, b). Of a large and a small argument by Stirling's series for the difference (DLMF 5.11.1): the difference
/// of two logarithms of Gamma would leave too few digits.
fn log_beta(a: f64, b: f64) -> f64 {
    let (small, large) = if a < b { (a, b) } else { (b, a) };
    if large < 1000.0 {
        return lgamma(small) + lgamma(large) - lgamma(small + large);
    }
    let sum = small + large;
    let series = |z: f64| 1.0 / (12.0 * z) - 1.0 / (360.0 * z * z * z);
    // ln Γ(large) - ln Γ(sum)
    let difference =
        -(large - 0.5) * log1p(small / large) - small * log(sum) + small + series(large) - series(sum);
    lgamma(small) + difference
}

fn fraction(a: f64, b: f64, x: f64) -> f64 {
    let guard = |value: f64| if value.abs() < 1e-300 { 1e-300 } else { value };
    let mut c = 1.0;
    let mut d = 1.0 / guard(1.0 - (a + b) * x / (a + 1.0));
    let mut result = d;
    for step in 1..STEPS_MAX {
        let m = step as f64;
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        d = 1.0 / guard(1.0 + even * d);
        c = guard(1.0 + even / c);
        result *= d * c;
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        d = 1.0 / guard(1.0 + odd * d);
        c = guard(1.0 + odd / c);
        let change = d * c;
        result *= change;
        if (change - 1.0).abs() < 1e-12 {
            break;
        }
    }
    result
}
