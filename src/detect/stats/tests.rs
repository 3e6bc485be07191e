//! Tails against known values, rows against plain vectors, and false alarms over simulated years.

use proptest::prelude::*;

use super::simulation::{Dice, office};
use super::tail::{lower_limit, lower_tail, upper_limit, upper_tail};
use super::*;

const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;

fn is_close(found: f64, expected: f64) -> bool {
    (found - expected).abs() <= 1e-6 * expected
}

#[test]
fn tails_equal_sums_of_probabilities() {
    for (mean, dispersion) in [(0.2, 0.0), (0.2, 1.5), (3.0, 0.4), (12.0, 0.1), (40.0, 2.0), (300.0, 0.01)] {
        let shape = 1.0 / f64::max(dispersion, 1e-6);
        let odds = mean / (shape + mean);
        let mut probability = libm::exp(-shape * libm::log1p(mean / shape));
        let (mut below, mut count) = (0.0, 0.0);
        while count < 3.0 * mean + 20.0 {
            assert!(
                (upper_tail(count, mean, dispersion) - (1.0 - below)).abs() < 1e-6,
                "{mean} {dispersion} {count}"
            );
            below += probability;
            assert!(is_close(lower_tail(count, mean, dispersion), below), "{mean} {dispersion} {count}");
            probability *= odds * (count + shape) / (count + 1.0);
            count += 1.0;
        }
    }
}

/// From SciPy 1.11: `poisson.sf(k - 1, m)`, `nbinom.sf(k - 1, 1/a, 1/(1 + a*m))`.
#[test]
fn far_tails_have_their_digits() {
    // P(X >= k) of a geometric distribution with mean 1 is 2^-k.
    assert!(is_close(upper_tail(40.0, 1.0, 1.0), libm::exp2(-40.0)));
    // e^-1 (1/10! + 1/11! + …), Poisson.
    let poisson: f64 = (10..40).map(|k| libm::exp(-1.0 - libm::lgamma(f64::from(k) + 1.0))).sum();
    assert!((upper_tail(10.0, 1.0, 0.0) / poisson - 1.0).abs() < 1e-3);
    assert!(is_close(lower_tail(0.0, 30.0, 0.5), 16f64.powi(-2)));
}

proptest! {
    #[test]
    fn limits_are_where_the_tail_passes_the_level(
        mean in prop_oneof![0.001f64..5.0, 5.0f64..5000.0],
        dispersion in 0.0f64..3.0,
        exponent in 1.0f64..7.0,
    ) {
        let level = libm::exp10(-exponent);
        let limit = upper_limit(mean, dispersion, level);
        prop_assert!(upper_tail(limit, mean, dispersion) <= level);
        prop_assert!(upper_tail(limit - 1.0, mean, dispersion) > level);
        match lower_limit(mean, dispersion, level) {
            Some(limit) => {
                prop_assert!(lower_tail(limit, mean, dispersion) <= level);
                prop_assert!(lower_tail(limit + 1.0, mean, dispersion) > level);
            }
            None => prop_assert!(lower_tail(0.0, mean, dispersion) > level),
        }
    }

    #[test]
    fn rows_hold_what_was_put_in(
        counts in prop::collection::vec(prop_oneof![3 => Just(0u64), 2 => 1..200u64, 1 => any::<u64>()], 0..80),
        start in -5i64..5, cut in 0i64..90, at in 0i64..90, more in 0..1000u64,
    ) {
        let mut row = Series::starting_at(start);
        counts.iter().for_each(|count| row.push(*count));
        let mut plain: Vec<f64> = counts.iter().map(|count| *count as f64).collect();
        prop_assert_eq!(row.values(i64::MIN / 2, i64::MAX / 2), plain.clone());
        prop_assert_eq!(row.end(), start + counts.len() as i64);
        if row.add(start + at, more) {
            plain[at as usize] = counts[at as usize].saturating_add(more) as f64;
        }
        row.extend_to(row.end() + 7);
        plain.resize(plain.len() + 7, 0.0);
        row.forget_before(start + cut);
        let cut = (cut as usize).min(plain.len());
        prop_assert_eq!(row.values(i64::MIN / 2, i64::MAX / 2), plain[cut..].to_vec());
    }
}

/// Alarms as multiples of the sensitivity, high and low, over keys that are learnt anew every day for a year.
fn false_alarms(season: i64, keys: u64, count: impl Fn(i64, &mut Dice) -> f64) -> (f64, f64) {
    const SENSITIVITY: f64 = 12.0;
    let calendar = Calendar::new(HOUR, 28 * DAY, season);
    let level = SENSITIVITY / (365.25 * 24.0);
    let (mut high, mut low, mut judged) = (0.0, 0.0, 0.0);
    for key in 0..keys {
        let mut dice = Dice::new(1000 + key);
        let mut counts: Vec<f64> = (0..28 * 24).map(|hour| count(hour, &mut dice)).collect();
        for day in 28..28 + 365 {
            let end = day * 24 - 1;
            let values = &counts[end - 671..end];
            let past = Past { start: end as i64 - 671, values, caps: &[] };
            let baseline = Baseline::learn(&past, &calendar);
            for hour in day as i64 * 24..(day as i64 + 1) * 24 {
                let seen = count(hour, &mut dice);
                counts.push(seen);
                judged += 1.0;
                let Some(usual) = baseline.as_ref().map(|baseline| baseline.usual(hour, level)) else {
                    continue;
                };
                // Only what is far out is worth the arithmetic.
                if seen > usual.high {
                    high += f64::from(u8::from(upper_tail(seen, usual.high, usual.dispersion) <= level));
                } else {
                    low += f64::from(u8::from(lower_tail(seen, usual.low, usual.dispersion) <= level));
                }
            }
        }
    }
    let expected = SENSITIVITY * judged / (365.25 * 24.0);
    assert!(expected >= 60.0, "too few to say anything: {expected}");
    (high / expected, low / expected)
}

#[test]
fn steady_sources_alarm_as_often_as_asked() {
    for (mean, dispersion) in [(0.2, 1.0), (3.0, 0.5), (20.0, 0.3), (500.0, 0.02)] {
        let (high, low) = false_alarms(0, 6, |_, dice| dice.count(mean, dispersion));
        let least = if mean < 1.0 { 0.3 } else { 0.5 };
        assert!((least..=2.0).contains(&high), "{mean} {dispersion}: {high} times as often");
        assert!(low <= 2.0, "{mean} {dispersion}: {low} times as often, low");
    }
}

#[test]
fn weekly_sources_alarm_as_often_as_asked() {
    for (mean, dispersion) in [(0.2, 1.0), (3.0, 0.5), (20.0, 0.3), (500.0, 0.02)] {
        let (high, low) = false_alarms(7 * DAY, 6, |hour, dice| dice.count(mean * office(hour), dispersion));
        let least = if mean < 1.0 { 0.3 } else { 0.5 };
        assert!((least..=2.0).contains(&high), "{mean} {dispersion}: {high} times as often");
        assert!(low <= 2.0, "{mean} {dispersion}: {low} times as often, low");
    }
}

/// Different values that run out in busy hours: there the counts are steady, and at night they are not.
#[test]
fn values_that_run_out_alarm_little_more_often() {
    let (high, _) = false_alarms(7 * DAY, 6, |hour, dice| dice.count(50.0 * office(hour), 0.1).min(20.0));
    assert!(high <= 2.0, "{high} times as often");
}

/// Counts are whole: where one more makes a tail ten times smaller, the level cannot be met, only kept below.
#[test]
fn poisson_sources_alarm_no_more_often_than_asked() {
    for (mean, least) in [(0.02, 0.0), (0.2, 0.0), (3.0, 0.2), (20.0, 0.3), (500.0, 0.4)] {
        let (high, low) = false_alarms(0, 6, |_, dice| dice.count(mean, 0.0));
        assert!((least..=2.0).contains(&high), "{mean}: {high} times as often");
        assert!(low <= 2.0, "{mean}: {low} times as often, low");
    }
}
