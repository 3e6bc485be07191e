//! Windows, sequences and the rest against naive recounts, in any arrival order within the lateness.

use proptest::prelude::*;

use super::*;
use crate::alert::AlertId;
use crate::rule::ast::Compare;
use crate::time::{Span, Timestamp};

const LATENESS: i64 = 20;

fn hit(time: i64, position: u64, role: u16, value: Option<&str>) -> Hit {
    Hit { detector: 0, role, key: "k".into(), value: value.map(Into::into), time: Timestamp(time), position }
}

/// Events as `(time, value)`, and an order of arrival in which none comes more than the lateness behind.
fn arrivals() -> impl Strategy<Value = Vec<(i64, u8, u64)>> {
    let event = (0i64..200, 0u8..6, 0i64..LATENESS);
    prop::collection::vec(event, 1..60).prop_map(|events| {
        let mut sorted = events;
        sorted.sort_by_key(|(time, ..)| *time);
        let mut numbered: Vec<(i64, i64, u8)> =
            sorted.iter().map(|(time, value, delay)| (time + delay, *time, *value)).collect();
        numbered.sort_by_key(|(arrival, ..)| *arrival);
        (1..).zip(numbered).map(|(position, (_, time, value))| (time, value, position)).collect()
    })
}

/// Stretches as a union of what completions reported.
fn union(held: impl IntoIterator<Item = (i64, i64)>) -> Vec<(i64, i64)> {
    let mut episodes = Episodes::default();
    let mut all: Vec<(i64, i64)> = Vec::new();
    for (number, (start, end)) in held.into_iter().enumerate() {
        let name = |_| AlertId(number.to_string());
        episodes.hold(&[(Timestamp(start), Timestamp(end))], Span::default(), (number as u64, 0), name);
    }
    all.extend(episodes.open().iter().map(|episode| (episode.start.0, episode.end.0)));
    all.sort_unstable();
    all
}

/// The stretches over which a measure holds, found by looking at every millisecond.
fn naive(events: &[(i64, u8, u64)], within: i64, holds: impl Fn(&[u8]) -> bool) -> Vec<(i64, i64)> {
    let mut stretches: Vec<(i64, i64)> = Vec::new();
    let mut is_open = false;
    for now in 0..=260 {
        let window: Vec<u8> = events
            .iter()
            .filter(|(time, ..)| *time > now - within && *time <= now)
            .map(|(_, v, _)| *v)
            .collect();
        let is_moment = events.iter().any(|(time, ..)| *time == now);
        let is_held = holds(&window);
        match stretches.last_mut() {
            Some(last) if is_held && is_open && is_moment => last.1 = now,
            _ if is_held && !is_open && is_moment => stretches.push((now, now)),
            _ => {}
        }
        is_open = is_held && (is_open || is_moment);
    }
    stretches
}

fn distinct(window: &[u8]) -> usize {
    window.iter().collect::<std::collections::BTreeSet<_>>().len()
}

fn window(measure: Measure, within: i64, compare: Compare) -> Detector {
    Detector::Window(WindowSpec {
        measure,
        within: Span(within),
        lateness: Span(LATENESS),
        compare,
        noun: "events".to_owned(),
    })
}

/// Feeds events to a detector, lets timers come due as the watermark passes, and gives the stretches.
fn run(detector: &Detector, hits: &[Hit]) -> Vec<(i64, i64)> {
    let mut state = detector.fresh().unwrap();
    let mut timers = std::collections::BTreeSet::new();
    let mut held = Vec::new();
    let mut newest = Timestamp::MIN;
    let mut take = |outcome: Outcome, timers: &mut std::collections::BTreeSet<Timestamp>| {
        timers.extend(outcome.timer);
        held.extend(outcome.completion.into_iter().flat_map(|c| c.held).map(|(a, b)| (a.0, b.0)));
    };
    for hit in hits {
        take(
            detector.on_hit(&mut state, hit, newest.minus(Span(LATENESS)), &serde_json::Map::new).unwrap(),
            &mut timers,
        );
        newest = newest.max(hit.time);
        while timers.first().is_some_and(|due| *due < newest.minus(Span(LATENESS))) {
            let due = timers.pop_first().unwrap();
            take(detector.on_timer(&mut state, due), &mut timers);
        }
    }
    while let Some(due) = timers.pop_first() {
        take(detector.on_timer(&mut state, due), &mut timers);
    }
    union(held)
}

proptest! {
    #[test]
    fn counts_equal_a_naive_recount(events in arrivals(), within in 1i64..60, limit in 1u8..6) {
        let detector = window(Measure::Count, within, Compare::AtLeast(f64::from(limit)));
        let hits: Vec<Hit> = events.iter().map(|(time, _, position)| hit(*time, *position, 0, None)).collect();
        prop_assert_eq!(run(&detector, &hits), naive(&events, within, |w| w.len() >= usize::from(limit)));
    }

    #[test]
    fn distinct_counts_equal_a_naive_recount(events in arrivals(), within in 1i64..60, limit in 1u8..6) {
        let detector = window(Measure::Distinct, within, Compare::MoreThan(f64::from(limit)));
        let texts: Vec<String> = (0..6).map(|value| value.to_string()).collect();
        let hits: Vec<Hit> = events.iter()
            .map(|(time, value, position)| hit(*time, *position, 0, Some(&texts[usize::from(*value)]))).collect();
        prop_assert_eq!(run(&detector, &hits), naive(&events, within, |w| distinct(w) > usize::from(limit)));
    }

    #[test]
    fn what_late_events_could_refute_waits(events in arrivals(), within in 1i64..60, limit in 1u8..5) {
        let detector = window(Measure::Count, within, Compare::AtMost(f64::from(limit)));
        let hits: Vec<Hit> = events.iter().map(|(time, _, position)| hit(*time, *position, 0, None)).collect();
        let expected = naive(&events, within, |w| (1..=usize::from(limit)).contains(&w.len()));
        let moments = |stretches: &[(i64, i64)]| -> Vec<i64> {
            let times = events.iter().map(|(time, ..)| *time);
            let mut held: Vec<i64> = times.filter(|t| stretches.iter().any(|(a, b)| (a..=b).contains(&t))).collect();
            held.sort_unstable();
            held.dedup();
            held
        };
        prop_assert_eq!(moments(&run(&detector, &hits)), moments(&expected));
    }

    #[test]
    fn sequences_are_found_in_any_arrival_order(events in arrivals(), within in 2i64..60, with_unless in any::<bool>()) {
        let spec = SequenceSpec {
            steps: vec!["a".into(), "b".into(), "c".into()],
            ordered: true,
            unless: with_unless.then(|| "d".to_owned()),
            different: false,
            within: Span(within),
            lateness: Span(LATENESS),
        };
        let known: Vec<_> = events.iter().filter(|(_, value, _)| *value < 4).copied().collect();
        let hits: Vec<Hit> = known.iter().map(|(time, value, position)| hit(*time, *position, u16::from(*value), None))
            .filter(|hit| with_unless || hit.role < 3).collect();
        let mut stretches = Vec::new();
        let of = |role: u8| known.iter().filter(move |(_, value, _)| *value == role);
        for (c, _, _) in of(2) {
            let mut starts = Vec::new();
            for (b, _, _) in of(1).filter(|(b, ..)| b <= c) {
                starts.extend(of(0).map(|(a, ..)| *a).filter(|a| a <= b && *a > c - within));
            }
            let best = if with_unless { starts.iter().max() } else { starts.iter().min() }.copied();
            let refuted = |a: i64| with_unless && of(3).any(|(d, ..)| (a..=*c).contains(d));
            stretches.extend(best.filter(|a| !refuted(*a)).map(|a| (a, *c)));
        }
        prop_assert_eq!(run(&Detector::Sequence(spec), &hits), union(stretches));
    }

    #[test]
    fn absences_are_found_in_any_arrival_order(events in arrivals(), within in 1i64..60) {
        let spec = AbsenceSpec {
            of: "b".into(), after: Some("a".into()), within: Span(within), lateness: Span(LATENESS),
        };
        let known: Vec<_> = events.iter().filter(|(_, value, _)| *value < 2).copied().collect();
        let hits: Vec<Hit> =
            known.iter().map(|(time, value, position)| hit(*time, *position, u16::from(*value), None)).collect();
        let missing = known.iter().filter(|(_, value, _)| *value == 1).filter(|(a, ..)| {
            !known.iter().any(|(b, value, _)| *value == 0 && (*a..=a + within).contains(b))
        });
        let expected = union(missing.map(|(a, ..)| (a + within, a + within)));
        prop_assert_eq!(run(&Detector::Absence(spec), &hits), expected);
    }
}

#[test]
fn first_seen_learns_first_and_forgets() {
    let spec = FirstSeenSpec { fields: "ip_address".into(), learn: Span(100), forget: Span(1000) };
    let detector = Detector::FirstSeen(spec);
    let fired = |events: &[(i64, &str)]| -> Vec<i64> {
        let mut state = detector.fresh().unwrap();
        let hits = (1..).zip(events).map(|(position, (time, value))| hit(*time, position, 0, Some(value)));
        hits.filter_map(|hit| {
            detector.on_hit(&mut state, &hit, Timestamp::MIN, &serde_json::Map::new).unwrap().completion
        })
        .map(|completion| completion.time.0)
        .collect()
    };
    assert_eq!(fired(&[(0, "a"), (50, "b"), (100, "c"), (110, "a"), (120, "c")]), [100]);
    assert_eq!(fired(&[(0, "a"), (500, "b"), (1000, "a"), (1400, "b"), (2000, "a")]), [500, 1000, 2000]);
}

#[test]
fn a_key_is_dormant_only_after_it_was_heard() {
    let detector = Detector::Dormant(DormantSpec { silence: Span::days(60) });
    let mut state = detector.fresh().unwrap();
    let day = |day: i64| day * 86_400_000;
    let mut wakes = Vec::new();
    for (position, time) in (1..).zip([day(0), day(59), day(119), day(119) + 5, day(118), day(200)]) {
        let hit = hit(time, position, 0, None);
        let outcome = detector.on_hit(&mut state, &hit, Timestamp::MIN, &serde_json::Map::new).unwrap();
        wakes.extend(outcome.completion.map(|completion| (completion.time.0, completion.value)));
    }
    assert_eq!(wakes, [(day(119), 60.0), (day(200), 80.0)]);
}
