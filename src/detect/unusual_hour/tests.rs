//! People with habits, over simulated years.

use proptest::prelude::*;

use super::*;
use crate::detect::stats::simulation::Dice;

/// Two days in 2026 and before: a Thursday, as the epoch.
const START: i64 = 20_454;
const LATENESS: i64 = 5 * 60_000;

fn spec(sensitivity: f64) -> UnusualHourSpec {
    UnusualHourSpec { learn: Span::days(28), sensitivity, lateness: Span(LATENESS) }
}

fn hit(time: i64, position: u64) -> Hit {
    Hit { detector: 0, role: 0, key: "k".into(), value: None, time: Timestamp(time), position }
}

/// The hours told of, as (day, hour).
fn told(spec: &UnusualHourSpec, times: &[i64]) -> Vec<(i64, i64)> {
    let mut state = UnusualHourState::default();
    let outcomes =
        times.iter().zip(1..).map(|(time, n)| spec.on_hit(&mut state, &hit(*time, n), Timestamp::MIN));
    let held = outcomes.filter_map(|outcome| outcome.completion).map(|found| found.held[0].0.0 / HOUR);
    held.map(|hour| (hour.div_euclid(HOURS) - START, hour.rem_euclid(HOURS))).collect()
}

/// The events of a person who works on weekdays from about nine to about five, UTC, for so many days.
fn clerk(days: i64, seed: u64) -> Vec<i64> {
    let mut dice = Dice::new(seed);
    let mut times = Vec::new();
    for day in (START..START + days).filter(|day| !is_weekend(*day)) {
        let (from, to) = (8.0 + 2.0 * dice.uniform(), 16.0 + 2.5 * dice.uniform());
        let mut at = from;
        while at < to && dice.uniform() > 0.01 {
            times.push((day * HOURS * HOUR) + (at * HOUR as f64) as i64);
            at += 0.1 + 0.8 * dice.uniform();
        }
    }
    times
}

fn is_weekend(day: i64) -> bool {
    matches!(day.rem_euclid(7), 2 | 3)
}

fn with(mut times: Vec<i64>, acts: &[(i64, i64)]) -> Vec<i64> {
    times.extend(acts.iter().map(|(day, hour)| ((START + day) * HOURS + hour) * HOUR + 1234));
    times.sort_unstable();
    times
}

#[test]
fn a_night_is_unusual_for_who_works_by_day() {
    assert_eq!(told(&spec(0.1), &clerk(200, 1)), []);
    assert_eq!(told(&spec(0.1), &with(clerk(60, 1), &[(50, 2), (50, 3)])), [(50, 2), (50, 3)]);
    assert_eq!(told(&spec(0.1), &with(clerk(60, 1), &[(20, 2)])), [], "still learning");
    let state_and_reason = {
        let mut state = UnusualHourState::default();
        let times = with(clerk(60, 1), &[(50, 2)]);
        let hits = times.iter().zip(1..).map(|(time, n)| hit(*time, n));
        hits.filter_map(|hit| spec(0.1).on_hit(&mut state, &hit, hit.time).completion).next().unwrap().reason
    };
    assert!(
        state_and_reason.contains("2026-02-20T02:00Z, which it practically never does"),
        "{state_and_reason}"
    );
    assert!(state_and_reason.contains("once in 10 years"), "{state_and_reason}");
}

#[test]
fn the_time_zone_is_learnt() {
    let shifted: Vec<i64> = clerk(60, 2).into_iter().map(|time| time + 11 * HOUR).collect();
    let at_noon_and_at_night = with(shifted, &[(48, 1), (49, 10)]);
    assert_eq!(
        told(&spec(0.1), &at_noon_and_at_night),
        [(49, 10)],
        "there it is night at ten UTC, and noon at one"
    );
}

#[test]
fn a_quiet_weekend_is_unusual_after_two_months() {
    let saturday = (0..).find(|day| *day > 100 && (START + day).rem_euclid(7) == 2).unwrap();
    assert_eq!(told(&spec(0.1), &with(clerk(120, 3), &[(saturday, 12)])), [(saturday, 12)]);
    let early = saturday - 70;
    assert_eq!(told(&spec(0.1), &with(clerk(120, 3), &[(early, 12)])), [], "five Saturdays prove nothing");
}

#[test]
fn a_robot_around_the_clock_has_no_unusual_hour() {
    for pause in [1.0, 7.0, 40.0] {
        let mut dice = Dice::new(4);
        let mut at = 0.0;
        let mut times = Vec::new();
        while at < 400.0 * 24.0 {
            at += -pause * libm::log(dice.uniform());
            times.push(START * HOURS * HOUR + (at * HOUR as f64) as i64);
        }
        let mut told = told(&spec(0.1), &times);
        told.dedup_by_key(|(day, _)| *day);
        assert!(told.len() <= 1, "every {pause} hours: {told:?}");
    }
}

/// Clerks who now and then do something at an odd hour, at so many days a year: however often, the days told of stay
/// within twice the sensitivity.
#[test]
fn odd_hours_are_told_of_no_more_often_than_asked() {
    for (sensitivity, keys, years) in [(0.5, 4, 6), (2.0, 3, 4)] {
        for odd_days in [0.5, 4.0, 40.0] {
            let mut days = 0;
            for key in 0..keys {
                let mut dice = Dice::new(77 + key);
                let mut acts = Vec::new();
                for day in 0..365 * years {
                    if dice.uniform() < odd_days / 365.0 {
                        acts.push((day, (dice.uniform() * 7.0) as i64));
                    }
                }
                let mut found = told(&spec(sensitivity), &with(clerk(365 * years, key), &acts));
                found.dedup_by_key(|(day, _)| *day);
                days += found.len();
            }
            let rate = days as f64 / (keys * years as u64) as f64;
            assert!(
                rate <= 2.0 * sensitivity,
                "{odd_days} odd days a year: told {rate} a year, asked {sensitivity}"
            );
            // Who is irregular from the beginning is not told of at all.
            let possible = if odd_days > 10.0 { 0.0 } else { f64::min(odd_days, sensitivity) };
            assert!(rate >= 0.3 * possible, "{odd_days} odd days a year: told {rate} a year of {possible}");
        }
    }
}

#[test]
fn a_key_takes_a_kilobyte_and_a_half() {
    let mut state = UnusualHourState::default();
    let spec = spec(0.1);
    for (time, n) in clerk(400, 5).iter().zip(1..) {
        spec.on_hit(&mut state, &hit(*time, n), Timestamp(*time));
    }
    assert!((500..2600).contains(&state.bytes()), "{}", state.bytes());
    assert!(postcard::to_stdvec(&state).unwrap().len() < 700);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn the_order_of_arrival_does_not_matter(
        seed in 0u64..100,
        acts in prop::collection::vec((0i64..90, 0i64..24), 0..6),
        delays in prop::collection::vec(0..=LATENESS, 64),
    ) {
        let times = with(clerk(90, seed), &acts);
        let mut shuffled: Vec<(i64, i64)> =
            times.iter().enumerate().map(|(n, time)| (time + delays[n % 64], *time)).collect();
        shuffled.sort_unstable();
        let shuffled: Vec<i64> = shuffled.into_iter().map(|(_, time)| time).collect();
        let (mut expected, mut found) = (told(&spec(0.5), &times), told(&spec(0.5), &shuffled));
        expected.sort_unstable();
        found.sort_unstable();
        prop_assert_eq!(expected, found);
    }
}
