//! Against naive recounts, in any order of arrival.

use proptest::prelude::*;

use super::super::Detector;
use super::super::shuffle::{KEY, LATE, Shown, Trial, arrivals, moments, union};
use super::*;

fn spec(learn: i64, forget: i64) -> FirstSeenSpec {
    FirstSeenSpec {
        fields: "ip_address".into(),
        learn: Span(learn),
        forget: Span(forget),
        lateness: Span(LATE),
    }
}

/// The moments at which some value was new.
fn naive(events: &[Shown], learn: i64, forget: i64) -> Vec<(i64, i64)> {
    let first = events.iter().map(|(time, ..)| *time).min().unwrap_or_default();
    let mut new = Vec::new();
    for value in 0..10 {
        let mut before: Option<i64> = None;
        for at in moments(events.iter().filter(|(_, shown, _)| *shown == value)) {
            let is_new = before.is_none_or(|before| forget > 0 && at - before >= forget);
            if is_new && at - first >= learn {
                new.push((at, at));
            }
            before = Some(at);
        }
    }
    new
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn first_sightings_equal_a_naive_recount(
        events in arrivals(200, 8),
        learn in prop_oneof![Just(0i64), 1i64..80],
        forget in prop_oneof![Just(0i64), 1i64..90],
        suppress in prop_oneof![Just(0i64), 1i64..30],
    ) {
        let trial = Trial { detector: Detector::FirstSeen(spec(learn, forget)), unit: 1, suppress };
        let found = trial.run(&events, |value| value.to_string());
        prop_assert_eq!(found, union(KEY, naive(&events, learn, forget), suppress));
    }
}

fn hit(time: i64, position: Position, value: &str) -> Hit {
    Hit { detector: 0, role: 0, key: KEY.into(), value: Some(value.into()), time: Timestamp(time), position }
}

#[test]
fn it_learns_first_and_forgets() {
    let fired = |events: &[(i64, &str)]| -> Vec<i64> {
        let spec = FirstSeenSpec { lateness: Span(0), ..spec(100, 1000) };
        let mut state = FirstSeenState::default();
        let mut fired = Vec::new();
        for (position, (time, value)) in (1..).zip(events) {
            let outcome = spec.on_hit(&mut state, &hit(*time, position, value), Timestamp(*time));
            fired.extend(outcome.completion.map(|completion| completion.time.0));
        }
        fired
    };
    assert_eq!(fired(&[(0, "a"), (50, "b"), (100, "c"), (110, "a"), (120, "c")]), [100]);
    assert_eq!(fired(&[(0, "a"), (500, "b"), (1000, "a"), (1400, "b"), (2000, "a")]), [500, 1000, 2000]);
}

#[test]
fn what_is_surely_new_is_told_at_once_and_moves() {
    let (spec, mut state) = (spec(0, 0), FirstSeenState::default());
    let found = spec.on_hit(&mut state, &hit(100, 1, "a\u{1f}b"), Timestamp::MIN).completion.unwrap();
    assert_eq!(
        found.reason,
        "ip_address a, b was never seen here before (0 known since 1970-01-01T00:00:00.100Z)"
    );
    let moved = spec.on_hit(&mut state, &hit(90, 2, "a\u{1f}b"), Timestamp(80)).completion.unwrap();
    assert_eq!(moved.held.as_slice(), [(Timestamp(90), Timestamp(100))]);
    assert_eq!(state.positions(), [2, 1]);
}

#[test]
fn showing_one_value_again_and_again_takes_no_memory() {
    let (spec, mut state) = (spec(0, 90), FirstSeenState::default());
    for position in 0..10_000 {
        let outcome =
            spec.on_hit(&mut state, &hit(position / 100, position as Position, "a"), Timestamp::MIN);
        assert_eq!(outcome.completion.is_some(), position == 0);
    }
    assert!(state.showings.all().len() < 10, "{}", state.showings.all().len());
}

#[test]
fn too_many_values_cost_the_oldest() {
    let (spec, mut state) = (spec(0, 0), FirstSeenState::default());
    let mut overflowed = 0;
    let count = VALUES_MAX as i64 + 5000;
    for time in 0..count {
        let outcome =
            spec.on_hit(&mut state, &hit(time, time as Position, &time.to_string()), Timestamp(time - 20));
        overflowed += u64::from(outcome.overflowed);
    }
    assert_eq!(overflowed, 1, "an eighth at a time");
    assert!(state.values.len() < VALUES_MAX);
    let again = |state: &mut FirstSeenState, value: i64| {
        let hit = hit(count, (count + value) as Position, &value.to_string());
        spec.on_hit(state, &hit, Timestamp(count - 20)).completion.is_some()
    };
    assert!(again(&mut state, 3), "forgotten");
    assert!(!again(&mut state, count - 1000), "known");
}
