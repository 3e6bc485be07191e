//! Against naive recounts, in any order of arrival.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::super::Detector;
use super::super::shuffle::{KEY, LATE, Shown, Trial, arrivals, moments, union};
use super::*;

fn spec(within: i64) -> ChangeSpec {
    ChangeSpec { fields: "details.visibility".into(), within: Span(within), lateness: Span(LATE) }
}

/// Each moment against the one before it.
fn naive(events: &[Shown], within: i64) -> Vec<i64> {
    let shown_at = |moment: i64| -> BTreeSet<u8> {
        events.iter().filter(|(time, ..)| *time == moment).map(|(_, value, _)| *value).collect()
    };
    let moments = moments(events);
    let mut changes = Vec::new();
    for (index, moment) in moments.iter().enumerate() {
        let before = index.checked_sub(1).map(|before| moments[before]);
        let before = before.filter(|before| within == 0 || moment - before < within);
        let now = shown_at(*moment);
        let is_other = before.is_some_and(|before| !now.is_subset(&shown_at(before)));
        if is_other || now.len() > 1 {
            changes.push(*moment);
        }
    }
    changes
}

proptest! {
    #[test]
    fn changes_equal_a_naive_comparison(events in arrivals(150, 3), within in 0i64..30) {
        let trial = Trial { detector: Detector::Change(spec(within)), unit: 1, suppress: 0 };
        let found = trial.run(&events, |value| value.to_string());
        let expected = naive(&events, within).into_iter().map(|at| (at, at));
        prop_assert_eq!(found, union(KEY, expected, 0));
    }
}

fn hit(time: i64, position: Position, value: &str) -> Hit {
    Hit { detector: 0, role: 0, key: KEY.into(), value: Some(value.into()), time: Timestamp(time), position }
}

#[test]
fn the_reason_names_the_old_and_the_new_value() {
    let (spec, mut state) = (spec(0), ChangeState::default());
    for (time, position, value) in [(0, 1, "private"), (5, 2, "private"), (1000, 3, "public")] {
        let outcome = spec.on_hit(&mut state, &hit(time, position, value), Timestamp::MIN);
        assert_eq!(outcome.timer, Some(Timestamp(time)));
    }
    assert!(spec.on_timer(&mut state, Timestamp(0)).completion.is_none(), "the first value is no change");
    assert!(spec.on_timer(&mut state, Timestamp(5)).completion.is_none());
    let found = spec.on_timer(&mut state, Timestamp(1000)).completion.unwrap();
    assert_eq!(found.reason, "details.visibility changed from \"private\" to \"public\"");
    assert_eq!(found.evidence.positions, [2, 3]);
    assert_eq!(state.positions(), [3], "only the last value is kept");
    assert_eq!(state.texts.len(), 1);
}

#[test]
fn long_values_are_compared_whole_and_shown_in_part() {
    let (spec, mut state) = (spec(0), ChangeState::default());
    let long = "x".repeat(5000);
    for (time, value) in [(0, format!("{long}a")), (1, format!("{long}b"))] {
        spec.on_hit(&mut state, &hit(time, time as Position, &value), Timestamp::MIN);
        let found = spec.on_timer(&mut state, Timestamp(time)).completion;
        assert_eq!(found.is_some(), time == 1);
        assert!(found.is_none_or(|found| found.reason.len() < 1000));
    }
}

#[test]
fn a_flood_gives_up_the_oldest_and_says_so() {
    let (spec, mut state) = (spec(0), ChangeState::default());
    let count = EVENTS_MAX as i64 + 5;
    let overflowed = (0..count).filter(|time| {
        spec.on_hit(&mut state, &hit(*time, *time as Position, &time.to_string()), Timestamp::MIN).overflowed
    });
    assert_eq!(overflowed.count(), 5);
    assert_eq!((state.events.len(), state.texts.len()), (EVENTS_MAX, EVENTS_MAX));
}
