//! Spikes over simulated months, fed as the engine feeds them.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::detect::stats::simulation::{Dice, office};

const HOUR: i64 = 3_600_000;
const LATENESS: i64 = 5 * 60_000;
/// A Monday, midnight.
const MONDAY: i64 = 1_767_571_200_000;

fn spec(of: SpikeOf, direction: Direction) -> SpikeSpec {
    let (bucket, history) = (Span(HOUR), Span::days(28));
    let spike = Spike { of, bucket, history, season: Season::Week, sensitivity: 0.1, direction, min: 1.0 };
    SpikeSpec { spike, lateness: Span(LATENESS) }
}

/// What was told: the start of the bucket, the value, the sentence.
#[derive(Debug, Default)]
struct Told {
    findings: Vec<(i64, f64, String)>,
    state: SpikeState,
}

impl Told {
    /// The buckets with findings, as hours from [`MONDAY`].
    fn hours(&self) -> Vec<i64> {
        let hours: BTreeSet<i64> = self.findings.iter().map(|(start, ..)| (start - MONDAY) / HOUR).collect();
        hours.into_iter().collect()
    }
}

/// Feeds events in their order of arrival and lets timers come due as the watermark passes; the log ends at `end`.
fn run(spec: &SpikeSpec, events: &[(i64, Option<String>)], end: i64) -> Told {
    let mut told = Told::default();
    let mut timers = BTreeSet::new();
    let mut newest = Timestamp::MIN;
    let take = |outcome: Outcome, told: &mut Told, timers: &mut BTreeSet<Timestamp>| {
        timers.extend(outcome.timer);
        told.findings.extend(outcome.completion.map(|found| (found.held[0].0.0, found.value, found.reason)));
    };
    for (position, (time, value)) in (1..).zip(events) {
        let hit = Hit {
            detector: 0,
            role: 0,
            key: "k".into(),
            value: value.as_deref().map(Into::into),
            time: Timestamp(*time),
            position,
        };
        let watermark = newest.minus(Span(LATENESS));
        assert!(hit.time >= watermark, "the test sends only what the engine would let through");
        let outcome = spec.on_hit(&mut told.state, &hit, watermark);
        take(outcome, &mut told, &mut timers);
        newest = newest.max(hit.time);
        while timers.first().is_some_and(|due| *due < newest.minus(Span(LATENESS))) {
            let outcome = timers.pop_first().map(|due| spec.on_timer(&mut told.state, due));
            take(outcome.unwrap(), &mut told, &mut timers);
        }
    }
    while timers.first().is_some_and(|due| due.0 < end) {
        let outcome = timers.pop_first().map(|due| spec.on_timer(&mut told.state, due));
        take(outcome.unwrap(), &mut told, &mut timers);
    }
    told
}

/// Events spread evenly over hours from [`MONDAY`] on, as many as each hour has.
fn events(counts: impl IntoIterator<Item = f64>) -> Vec<(i64, Option<String>)> {
    let mut events = Vec::new();
    for (hour, count) in (0..).zip(counts) {
        let count = count as i64;
        events.extend((0..count).map(|n| (MONDAY + hour * HOUR + n * HOUR / count, None)));
    }
    events
}

/// An office of `mean` events an hour for so many days, and what else there is.
fn weeks(days: i64, mean: f64, seed: u64, change: impl Fn(i64) -> f64) -> Vec<(i64, Option<String>)> {
    let mut dice = Dice::new(seed);
    events((0..days * 24).map(|hour| {
        // The office's own week begins on a Thursday, as that of the epoch.
        let expected = mean * office(hour + MONDAY / HOUR) * change(hour);
        if expected > 0.0 { dice.count(expected, 0.05) } else { 0.0 }
    }))
}

#[test]
fn a_burst_is_told_of_at_once_and_in_words() {
    let burst = 35 * 24 + 10;
    let events = weeks(40, 20.0, 1, |hour| if hour == burst { 5.0 } else { 1.0 });
    let told = run(&spec(SpikeOf::Count, Direction::Up), &events, i64::MAX);
    assert_eq!(told.hours(), [burst]);
    let (_, value, reason) = &told.findings[0];
    assert!(
        (60.0..200.0).contains(value),
        "told when the limit was passed, not when the hour was over: {value}"
    );
    assert!(
        reason.contains("events in the hour from 2026-02-09T10:00Z; usual for this hour of the week is ")
    );
    assert!(reason.ends_with("once in 10 years)"), "{reason}");
    let at_night = run(
        &spec(SpikeOf::Count, Direction::Up),
        &weeks(40, 20.0, 1, |hour| if hour == burst - 7 { 12.0 } else { 1.0 }),
        i64::MAX,
    );
    assert_eq!(
        at_night.hours(),
        [burst - 7],
        "forty at three in the morning, which at noon would be nothing"
    );
}

#[test]
fn nothing_is_told_before_something_is_known() {
    let spec = spec(SpikeOf::Count, Direction::Both);
    let told = run(&spec, &events(std::iter::once(10_000.0)), i64::MAX);
    assert_eq!(told.hours(), [0i64; 0], "a key's first hour");
    let told =
        run(&spec, &weeks(13, 20.0, 2, |hour| if hour == 300 { 30.0 } else { 1.0 }), MONDAY + 312 * HOUR);
    assert_eq!(told.hours(), [0i64; 0], "less than two weeks");
    let rare = |hour: i64| f64::from(u8::from(hour % 300 == 5)) + if hour == 1400 { 200.0 } else { 0.0 };
    let told = run(&spec, &events((0..1500).map(rare)), MONDAY + 1500 * HOUR);
    assert_eq!(told.hours(), [0i64; 0], "two events a month are no history");
}

#[test]
fn drift_gaps_and_holidays_raise_nothing() {
    let spec = spec(SpikeOf::Count, Direction::Up);
    let drifting = |hour: i64| 1.02f64.powf(hour as f64 / 168.0);
    assert_eq!(run(&spec, &weeks(180, 20.0, 3, drifting), i64::MAX).hours(), [0i64; 0]);
    let away = |hour: i64| if (45..59).contains(&(hour / 24)) { 0.0 } else { 1.0 };
    assert_eq!(run(&spec, &weeks(100, 20.0, 4, away), i64::MAX).hours(), [0i64; 0], "two weeks away");
    let holiday = |hour: i64| if matches!(hour / 24, 44 | 45 | 52 | 70..77) { 0.1 } else { 1.0 };
    assert_eq!(run(&spec, &weeks(100, 20.0, 5, holiday), i64::MAX).hours(), [0i64; 0], "holidays");
}

#[test]
fn a_lasting_level_is_learnt_within_days() {
    let spec = spec(SpikeOf::Count, Direction::Up);
    let told = run(&spec, &weeks(80, 20.0, 6, |hour| if hour >= 42 * 24 { 4.0 } else { 1.0 }), i64::MAX);
    let hours = told.hours();
    assert!(!hours.is_empty() && hours.iter().all(|hour| (42 * 24..47 * 24).contains(hour)), "{hours:?}");
    let burst = |hour: i64| if hour / 24 == 42 || hour == 50 * 24 + 9 { 5.0 } else { 1.0 };
    let hours = run(&spec, &weeks(60, 20.0, 7, burst), i64::MAX).hours();
    assert!(hours.contains(&(50 * 24 + 9)), "one bad day does not hide the next burst: {hours:?}");
}

#[test]
fn silence_is_told_of_for_a_while() {
    let spec = spec(SpikeOf::Count, Direction::Down);
    let events = weeks(42, 200.0, 8, |hour| if hour >= 37 * 24 + 9 { 0.0 } else { 1.0 });
    let told = run(&spec, &events, MONDAY + 90 * 24 * HOUR);
    let hours = told.hours();
    assert_eq!(hours.first(), Some(&(37 * 24 + 9)), "{:?}", told.findings.first());
    assert!(hours.iter().all(|hour| *hour < 46 * 24), "a week later it is told no more: {hours:?}");
    assert!(
        told.findings[0].2.starts_with("0 events in the hour from 2026-02-11T09:00Z; usual for this hour")
    );
}

#[test]
fn different_values_and_sums_spike_too() {
    let plain = weeks(36, 20.0, 9, |_| 1.0);
    let spike = 35 * 24 + 10;
    let with_values = |wild: bool, value: fn(i64, bool) -> String| -> Vec<(i64, Option<String>)> {
        let is_spike = |time: i64| wild && (time - MONDAY) / HOUR == spike;
        plain.iter().zip(0..).map(|((time, _), n)| (*time, Some(value(n, is_spike(*time))))).collect()
    };
    let fields = vec!["entity_id".to_owned()];
    let distinct = spec(SpikeOf::Distinct(fields), Direction::Up);
    let names: fn(i64, bool) -> String = |n, wild| if wild { n.to_string() } else { (n % 4).to_string() };
    assert_eq!(run(&distinct, &with_values(false, names), i64::MAX).hours(), [0i64; 0]);
    let told = run(&distinct, &with_values(true, names), i64::MAX);
    assert_eq!(told.hours(), [spike]);
    assert!(told.findings[0].2.contains("different entity_id in the hour"));
    let sum = spec(SpikeOf::Sum("bytes".to_owned()), Direction::Up);
    let sizes: fn(i64, bool) -> String =
        |n, wild| format!("{}", if wild { 8000.5 } else { 500.25 + (n % 7) as f64 });
    assert_eq!(run(&sum, &with_values(false, sizes), i64::MAX).hours(), [0i64; 0]);
    let told = run(&sum, &with_values(true, sizes), i64::MAX);
    assert_eq!(told.hours(), [spike]);
    assert!(told.findings[0].2.contains("bytes in all in the hour"));
}

#[test]
fn a_person_takes_a_kilobyte_or_two() {
    let told = run(&spec(SpikeOf::Count, Direction::Up), &weeks(60, 3.0, 10, |_| 1.0), i64::MAX);
    let bytes = told.state.bytes();
    assert!((300..2500).contains(&bytes), "{bytes}");
    let written = postcard::to_stdvec(&told.state).unwrap();
    assert!(written.len() < 2000, "{}", written.len());
    let read: SpikeState = postcard::from_bytes(&written).unwrap();
    assert_eq!(postcard::to_stdvec(&read).unwrap(), written);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn the_order_of_arrival_does_not_matter(
        seed in 0u64..1000,
        both in any::<bool>(),
        delays in prop::collection::vec(0..=LATENESS, 64),
        bursts in prop::collection::vec(380i64..700, 6),
    ) {
        let spec = spec(SpikeOf::Count, if both { Direction::Both } else { Direction::Up });
        let events = weeks(30, 2.0, seed, |hour| if bursts.contains(&hour) { 25.0 } else { 1.0 });
        let mut shuffled: Vec<(i64, usize)> =
            events.iter().enumerate().map(|(n, (time, _))| (time + delays[n % 64], n)).collect();
        shuffled.sort_unstable();
        let shuffled: Vec<_> = shuffled.into_iter().map(|(_, n)| events[n].clone()).collect();
        let end = MONDAY + 30 * 24 * HOUR;
        let (expected, found) = (run(&spec, &events, end), run(&spec, &shuffled, end));
        prop_assert_eq!(expected.hours(), found.hours());
        prop_assert_eq!(expected.state.past, found.state.past);
        prop_assert_eq!(expected.state.caps, found.state.caps);
    }

    #[test]
    fn a_crash_in_between_changes_nothing(seed in 0u64..1000, cut in 0usize..2000) {
        let spec = spec(SpikeOf::Count, Direction::Up);
        let events = weeks(20, 4.0, seed, |hour| if hour == 440 { 9.0 } else { 1.0 });
        let mut through = SpikeState::default();
        let mut resumed = SpikeState::default();
        for (n, (time, _)) in events.iter().enumerate() {
            let hit = Hit {
                detector: 0, role: 0, key: "k".into(), value: None, time: Timestamp(*time), position: n as u64,
            };
            let (a, b) = (spec.on_hit(&mut through, &hit, hit.time), spec.on_hit(&mut resumed, &hit, hit.time));
            prop_assert_eq!(a.completion, b.completion);
            if n == cut {
                resumed = postcard::from_bytes(&postcard::to_stdvec(&resumed).unwrap()).unwrap();
            }
        }
        prop_assert_eq!(postcard::to_stdvec(&through).unwrap(), postcard::to_stdvec(&resumed).unwrap());
    }
}
