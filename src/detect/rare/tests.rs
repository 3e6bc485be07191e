//! Against naive recounts, in any order of arrival.

use proptest::prelude::*;

use super::super::Detector;
use super::super::shuffle::{Found, LATE, Shown, Trial, arrivals, union};
use super::*;

fn spec(history: i64, below: f64, min_events: u64) -> RareSpec {
    RareSpec {
        fields: "user_agent".into(),
        peers: "entity_path".into(),
        key_fields: 1,
        history: Span(history),
        below,
        min_events,
        lateness: Span(LATE),
    }
}

/// Two authors, three values.
fn value(number: u8) -> String {
    format!("author-{}\u{1f}agent {}", number % 2, number / 2)
}

/// For each event, a count of those before it.
fn naive(events: &[Shown], history: i64, below: f64, min_events: usize) -> Found {
    let slot = (history / 30).max(1);
    let mut found = Found::new();
    for author in 0..2u8 {
        let mut times = Vec::new();
        for (time, number, _) in events.iter().filter(|(_, number, _)| number % 2 == author) {
            let is_before = |other: &&Shown| other.0 < *time && other.0 / slot >= time / slot - 30;
            let before: Vec<u8> = events.iter().filter(is_before).map(|(_, number, _)| number / 2).collect();
            let seen = before.iter().filter(|value| **value == number / 2).count();
            let mut kinds = before.clone();
            kinds.push(number / 2);
            kinds.sort_unstable();
            kinds.dedup();
            let share = (seen as f64 + 0.5) / (before.len() as f64 + kinds.len() as f64 / 2.0);
            if before.len() >= min_events && share < below {
                times.push((*time, *time));
            }
        }
        found.extend(union(&format!("author-{author}\u{1f}"), times, 0));
    }
    found
}

proptest! {
    #[test]
    fn shares_equal_a_naive_count(
        events in arrivals(150, 6), history in 1i64..200, below in 5u8..60, min_events in 0u64..10,
    ) {
        let below = f64::from(below) / 100.0 + 0.0003;
        let detector = Detector::Rare(spec(history, below, min_events));
        let trial = Trial { detector, unit: 1, suppress: 0 };
        let found = trial.run(&events, value);
        prop_assert_eq!(found, naive(&events, history, below, min_events as usize));
    }
}

fn show(spec: &RareSpec, state: &mut RareState, at: i64, value: &str) -> Option<Completion> {
    let value = Some(value.into());
    let hit = Hit {
        detector: 0,
        role: 0,
        key: "g\u{1f}".into(),
        value,
        time: Timestamp(at),
        position: at as Position,
    };
    assert_eq!(spec.on_hit(state, &hit, Timestamp::MIN).timer, Some(hit.time));
    let outcome = spec.on_timer(state, hit.time);
    if outcome.completion.is_some() {
        assert!(spec.on_timer(state, hit.time).completion.is_none());
    }
    outcome.completion
}

#[test]
fn what_one_in_a_hundred_shows_is_rare_once_there_are_enough() {
    let (spec, mut state) = (spec(1_000_000, 0.01, 100), RareState::default());
    for at in 0..99 {
        assert!(show(&spec, &mut state, at, "7\u{1f}git/2.40").is_none());
    }
    assert!(show(&spec, &mut state, 99, "8\u{1f}curl/8.1").is_none(), "99 events are too few");
    let found = show(&spec, &mut state, 100, "9\u{1f}wget\u{1f}1.2").unwrap();
    assert_eq!(found.key.as_deref(), Some("9\u{1f}"));
    assert_eq!(
        found.reason,
        "user_agent \"wget, 1.2\" in 0 of 100 events of the same entity_path in 16m40s: \
         a share of about 0.49% (less than 1%)"
    );
    assert!(show(&spec, &mut state, 101, "8\u{1f}curl/8.1").is_none(), "one and a half in a hundred");
}

#[test]
fn many_values_are_lumped_and_the_common_ones_stay() {
    let (spec, mut state) = (spec(1_000_000_000, 0.001, 100), RareState::default());
    for at in 0..3 * VALUES_MAX as i64 {
        let value = if at % 2 == 0 { "7\u{1f}common".to_owned() } else { format!("7\u{1f}{at}") };
        let found = show(&spec, &mut state, at, &value);
        assert!(found.is_none_or(|found| !found.reason.contains("common")));
    }
    assert!(state.values.len() <= VALUES_MAX);
    assert_eq!(state.events, 3 * VALUES_MAX as u64, "others go on counting");
    let known: u64 = state.slots.iter().map(|slot| slot.values.len() as u64).sum();
    assert!(known <= 2 * VALUES_MAX as u64);
    assert!(show(&spec, &mut state, 3_000_000_000, "7\u{1f}new").is_none());
    assert_eq!((state.values.len(), state.events, state.texts), (1, 1, 0), "the history is over");
}

#[test]
fn shares_are_read_by_people() {
    let texts = [0.25, 0.0123, 0.01, 0.0049, 0.000_49, 0.000_049].map(percent);
    assert_eq!(texts, ["25%", "1.2%", "1%", "0.49%", "0.049%", "0.0049%"]);
}
