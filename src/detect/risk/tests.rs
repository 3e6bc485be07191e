//! Against naive recounts, in any order of arrival.

use proptest::prelude::*;

use super::super::Detector;
use super::super::shuffle::{KEY, LATE, Shown, Trial, arrivals, moments, union};
use super::*;

/// With plain numbers; the lines and scores are such that none is met exactly.
fn naive(events: &[Shown], half_life: i64, line: f64) -> Vec<(i64, i64)> {
    let sum = |at: i64, until: i64| -> f64 {
        let known = events.iter().filter(|(time, ..)| *time <= until && at - time <= 20 * half_life);
        known
            .map(|(time, value, _)| amount_of(*value) * 0.5f64.powf((at - time) as f64 / half_life as f64))
            .sum()
    };
    let mut stretches: Vec<(i64, i64)> = Vec::new();
    let mut before = None;
    for at in moments(events) {
        let is_held = sum(at, at) >= line;
        let goes_on = before.is_some() && sum(at, at - 1) >= line;
        match stretches.last_mut() {
            Some(last) if is_held && goes_on => last.1 = at,
            _ if is_held => stretches.push((at, at)),
            _ => {}
        }
        before = is_held.then_some(at);
    }
    stretches
}

fn amount_of(value: u8) -> f64 {
    f64::from(value) * 7.3 + 1.1
}

proptest! {
    #[test]
    fn sums_equal_a_naive_recount(events in arrivals(200, 6), half_life in 1i64..40, line in 3u8..90) {
        let line = f64::from(line) + 0.047;
        let detector = Detector::Risk(RiskSpec {
            half_life: Span(half_life), compare: Compare::AtLeast(line), lateness: Span(LATE),
        });
        let trial = Trial { detector, unit: 1, suppress: 0 };
        let found = trial.run(&events, |value| format!("{}\u{1f}rule-{value}", amount_of(value)));
        prop_assert_eq!(found, union(KEY, naive(&events, half_life, line), 0));
    }
}

fn spec(line: f64) -> RiskSpec {
    RiskSpec { half_life: Span::hours(24), compare: Compare::AtLeast(line), lateness: Span::minutes(5) }
}

fn add(
    spec: &RiskSpec,
    state: &mut RiskState,
    (hour, position): (i64, Position),
    value: &str,
) -> Option<Completion> {
    let time = Timestamp(hour * 3_600_000);
    let value = Some(value.into());
    let hit = Hit { detector: 0, role: 0, key: KEY.into(), value, time, position };
    spec.on_hit(state, &hit, Timestamp::MIN).completion
}

#[test]
fn the_alert_lists_what_it_is_made_of() {
    let (spec, mut state) = (spec(100.0), RiskState::default());
    assert!(add(&spec, &mut state, (0, 1), "40\u{1f}rule-a").is_none());
    assert!(add(&spec, &mut state, (0, 2), "40\u{1f}rule-b").is_none());
    let found = add(&spec, &mut state, (0, 3), "40\u{1f}rule-b").unwrap();
    assert_eq!(found.reason, "risk 120 (at least 100): 80 from rule-b (2 times), 40 from rule-a");
    assert_eq!((found.value, found.evidence.positions.as_slice()), (120.0, [1, 2, 3].as_slice()));
    assert_eq!(state.positions(), [1, 2, 3]);
}

#[test]
fn a_score_counts_half_after_its_half_life() {
    let (spec, mut state) = (spec(100.0), RiskState::default());
    assert!(add(&spec, &mut state, (0, 1), "60\u{1f}a").is_none());
    assert!(add(&spec, &mut state, (24, 2), "69.9\u{1f}b").is_none(), "30 + 69.9 are too few");
    assert_eq!(add(&spec, &mut state, (24, 3), "0.1\u{1f}c").unwrap().value, 100.0);
}

#[test]
fn two_rules_may_score_for_one_event_and_nothing_adds_nothing() {
    let (spec, mut state) = (spec(10.0), RiskState::default());
    assert!(add(&spec, &mut state, (0, 1), "5\u{1f}a").is_none());
    for useless in ["0\u{1f}b", "-5\u{1f}b", "nan\u{1f}b", "much\u{1f}b", "5"] {
        assert!(add(&spec, &mut state, (0, 1), useless).is_none(), "{useless}");
    }
    assert!(add(&spec, &mut state, (0, 1), "5\u{1f}b").is_some());
}

#[test]
fn old_scores_become_one_sum() {
    let (spec, mut state) = (spec(1e6), RiskState::default());
    for position in 0..2000 {
        add(&spec, &mut state, (0, position), "1\u{1f}a");
    }
    assert_eq!(state.scores.len(), SCORES_MAX);
    let found =
        add(&RiskSpec { compare: Compare::AtLeast(2000.0), ..spec }, &mut state, (0, 9999), "1\u{1f}b");
    let found = found.unwrap();
    assert_eq!(found.value, 2001.0);
    assert_eq!(
        found.reason,
        "risk 2,001 (at least 2,000): 512 from a (512 times), 1 from b, 1,488 from earlier alerts"
    );
}
