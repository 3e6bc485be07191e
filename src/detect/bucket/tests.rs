//! Against naive recounts, in any order of arrival.

use proptest::prelude::*;

use super::super::shuffle::{KEY, LATE, Shown, Trial, arrivals, union};
use super::super::{Detector, KeyState};
use super::*;

fn trial(capacity: u64, leak: i64) -> Trial {
    let detector = Detector::Bucket(BucketSpec { capacity, leak: Span(leak), lateness: Span(LATE) });
    Trial { detector, unit: 1, suppress: 0 }
}

/// Pours and leaks millisecond by millisecond.
fn naive(events: &[Shown], capacity: u64, leak: i64) -> Vec<(i64, i64)> {
    let brim = capacity as i64 * leak;
    let (mut debt, mut stretches, mut is_over) = (0, Vec::new(), false);
    for now in 0..400 {
        debt = (debt - 1).max(0);
        for _ in events.iter().filter(|(time, ..)| *time == now) {
            debt += leak;
            match (debt > brim, is_over, stretches.last_mut()) {
                (true, true, Some((_, end))) => *end = now,
                (true, ..) => stretches.push((now, now)),
                _ => {}
            }
            is_over = debt > brim;
            debt = debt.min(brim);
        }
    }
    stretches
}

proptest! {
    #[test]
    fn overflows_equal_a_naive_pouring(events in arrivals(150, 1), capacity in 1u64..6, leak in 1i64..30) {
        let found = trial(capacity, leak).run(&events, |_| String::new());
        prop_assert_eq!(found, union(KEY, naive(&events, capacity, leak), 0));
    }
}

#[test]
fn one_event_more_than_it_holds_overflows() {
    let spec = BucketSpec { capacity: 5, leak: Span::seconds(10), lateness: Span::minutes(5) };
    let hit = |second: i64, position| Hit {
        detector: 0,
        role: 0,
        key: KEY.into(),
        value: None,
        time: Timestamp(second * 1000),
        position,
    };
    let pour = |seconds: &[i64]| {
        let mut state = BucketState::default();
        let hits = (1..).zip(seconds).map(|(position, second)| hit(*second, position));
        let all: Vec<_> =
            hits.filter_map(|hit| spec.on_hit(&mut state, &hit, Timestamp::MIN).completion).collect();
        (all, state)
    };
    assert!(pour(&[0, 0, 0, 0, 0]).0.is_empty(), "five fit");
    assert!(pour(&[0, 0, 0, 0, 0, 10]).0.is_empty(), "one has leaked out");
    let (found, state) = pour(&[0, 1, 2, 3, 4, 5]);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].value, 6.0);
    assert_eq!(found[0].evidence.positions, [1, 2, 3, 4, 5, 6]);
    assert_eq!(found[0].reason, "6 events that had not leaked out at one every 10s (at most 5)");
    assert_eq!(KeyState::Bucket(state).positions(Span::days(1)), [1, 2, 3, 4, 5, 6]);
}

#[test]
fn a_flood_is_counted_and_not_kept() {
    let spec = BucketSpec { capacity: 5, leak: Span::seconds(10), lateness: Span::minutes(5) };
    let mut state = BucketState::default();
    let mut overflowed = 0;
    for position in 0..150_000 {
        let time = Timestamp(position as i64);
        let hit = Hit { detector: 0, role: 0, key: KEY.into(), value: None, time, position };
        let outcome = spec.on_hit(&mut state, &hit, Timestamp::MIN);
        overflowed += u64::from(outcome.overflowed);
        assert_eq!(outcome.completion.is_some(), position >= 5, "{position}");
    }
    assert_eq!((state.drops.len(), overflowed), (EVENTS_MAX, 50_000));
    let late =
        Hit { detector: 0, role: 0, key: KEY.into(), value: None, time: Timestamp(0), position: 200_000 };
    assert!(spec.on_hit(&mut state, &late, Timestamp::MIN).overflowed, "it is too late to be taken in");
}
