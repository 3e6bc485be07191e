//! Against naive recounts, in any order of arrival.

use proptest::prelude::*;

use super::super::Detector;
use super::super::shuffle::{KEY, LATE, Shown, Trial, arrivals, moments, union};
use super::*;

fn naive(events: &[Shown], silence: i64) -> Vec<(i64, i64)> {
    let moments = moments(events);
    let pairs = moments.windows(2).filter(|pair| pair[1] - pair[0] >= silence);
    pairs.map(|pair| (pair[1], pair[1])).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn awakenings_equal_a_naive_recount(
        events in arrivals(1500, 1), silence in 1i64..150, suppress in prop_oneof![Just(0i64), 1i64..60],
    ) {
        let detector = Detector::Dormant(DormantSpec { silence: Span(silence), lateness: Span(LATE) });
        let found = Trial { detector, unit: 1, suppress }.run(&events, |_| String::new());
        prop_assert_eq!(found, union(KEY, naive(&events, silence), suppress));
    }
}

#[test]
fn a_key_is_dormant_only_after_it_was_heard() {
    let spec = DormantSpec { silence: Span::days(60), lateness: Span::minutes(5) };
    let mut state = DormantState::default();
    let day = |day: i64| day * 86_400_000;
    let mut wakes = Vec::new();
    for (position, time) in (1..).zip([day(0), day(59), day(120), day(120) + 5, day(120) - 7, day(200)]) {
        let hit = Hit { detector: 0, role: 0, key: KEY.into(), value: None, time: Timestamp(time), position };
        let found = spec.on_hit(&mut state, &hit, Timestamp(time).minus(Span::minutes(5))).completion;
        wakes.extend(
            found.map(|found| (found.held[0].0.0, found.held[0].1.0, found.value, found.evidence.positions)),
        );
    }
    let expected = [
        (day(120), day(120), 61.0, vec![2, 3]),
        (day(120) - 7, day(120), 60.0, vec![2, 5]),
        (day(200), day(200), 79.0, vec![4, 6]),
    ];
    assert_eq!(wakes, expected);
}

#[test]
fn a_silence_that_may_prove_too_short_waits() {
    let spec = DormantSpec { silence: Span(100), lateness: Span(LATE) };
    let mut state = DormantState::default();
    let hit = |time, position| Hit {
        detector: 0,
        role: 0,
        key: KEY.into(),
        value: None,
        time: Timestamp(time),
        position,
    };
    assert!(spec.on_hit(&mut state, &hit(0, 1), Timestamp::MIN).timer.is_none());
    let outcome = spec.on_hit(&mut state, &hit(110, 2), Timestamp(-20));
    assert!(outcome.completion.is_none());
    assert_eq!(outcome.timer, Some(Timestamp(110)));
    spec.on_hit(&mut state, &hit(95, 3), Timestamp(90));
    assert!(spec.on_timer(&mut state, Timestamp(110)).completion.is_none(), "it was 95 and 15");
}
