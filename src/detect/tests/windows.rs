//! Every measure and comparison against a recount of every millisecond.

use super::*;
use crate::rule::ast::{Compare, Condition};

/// An event with its arrival: time, value, role, position.
type Arrival = (i64, u8, u16, u64);

/// What the values 0 to 5 stand for as numbers.
const AMOUNTS: [f64; 6] = [0.0, 0.1, 0.2, 1.5, 3.0, 1200.0];

fn window(measure: Measure, within: i64, compare: Compare) -> Detector {
    let noun = WindowSpec::ratio_noun("failed", "logins");
    let (within, lateness) = (Span(within), Span(LATENESS));
    Detector::Window(WindowSpec { measure, within, lateness, compare, noun })
}

fn condition() -> impl Strategy<Value = Condition> {
    let leaf = (0usize..3).prop_map(Condition::Selection);
    leaf.prop_recursive(2, 6, 2, |inner| {
        let pair = prop::collection::vec(inner.clone(), 1..3);
        prop_oneof![
            pair.clone().prop_map(Condition::And),
            pair.prop_map(Condition::Or),
            inner.prop_map(|one| Condition::Not(Box::new(one))),
        ]
    })
}

fn measure() -> impl Strategy<Value = Measure> {
    prop_oneof![
        Just(Measure::Count),
        Just(Measure::Distinct),
        Just(Measure::Sum),
        Just(Measure::Avg),
        Just(Measure::Min),
        Just(Measure::Max),
        prop_oneof![Just(50.0), Just(0.0), Just(95.0), Just(100.0), Just(33.3)].prop_map(Measure::Percentile),
        Just(Measure::Roles),
        (0u64..4).prop_map(|min_events| Measure::Ratio { min_events }),
        condition().prop_map(Measure::Rules),
    ]
}

fn limit(measure: &Measure) -> impl Strategy<Value = f64> + use<> {
    let limits: &[f64] = match measure {
        Measure::Count | Measure::Distinct | Measure::Roles => {
            &[0.0, 1.0, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0, 12.0]
        }
        Measure::Ratio { .. } => &[0.0, 0.1, 0.25, 0.5, 1.0, 2.0],
        Measure::Rules(_) => &[1.0],
        _ => &[-1.0, 0.0, 0.1, 0.2, 0.3, 1.5, 1.7, 3.0, 4.6, 6.0, 1200.0, 1203.2],
    };
    prop::sample::select(limits)
}

fn compare(measure: &Measure) -> impl Strategy<Value = Compare> + use<> {
    let is_rules = matches!(measure, Measure::Rules(_));
    (0u8..if is_rules { 1 } else { 7 }, limit(measure), limit(measure)).prop_map(|(kind, one, other)| {
        match kind {
            0 => Compare::AtLeast(one),
            1 => Compare::MoreThan(one),
            2 => Compare::AtMost(one),
            3 => Compare::FewerThan(one),
            4 => Compare::Between(one.min(other), one.max(other)),
            5 => Compare::Exactly(one),
            _ => Compare::NotEqual(one),
        }
    })
}

fn behaviour() -> impl Strategy<Value = (Measure, Compare)> {
    measure().prop_flat_map(|measure| {
        let compare = compare(&measure);
        (Just(measure), compare)
    })
}

/// Events that now and then have two roles, with an order of arrival within the lateness. `density` is how far
/// apart they lie: bursts and single events alike.
fn stream() -> impl Strategy<Value = Vec<Arrival>> {
    let event = (0i64..200, 0u8..6, 0u8..12, 0i64..LATENESS);
    let burst = (0i64..200, prop::collection::vec((0i64..12, 0u8..6, 0u8..12, 0i64..LATENESS), 0..40))
        .prop_map(|(start, events)| {
            events.into_iter().map(|(time, a, b, c)| ((start + time).min(199), a, b, c)).collect::<Vec<_>>()
        });
    (step(), prop::collection::vec(event, 1..60), burst).prop_map(|(step, mut events, burst)| {
        events.extend(burst);
        events.iter_mut().for_each(|(time, ..)| *time = *time / step * step);
        events.sort_by_key(|(time, _, _, delay)| (time + delay, *time));
        let mut arrivals = Vec::new();
        for (position, (time, value, role, _)) in (1..).zip(events) {
            arrivals.push((time, value, u16::from(role % 3), position));
            if role > 9 {
                arrivals.push((time, value, u16::from((role + 1) % 3), position));
            }
        }
        arrivals
    })
}

fn hits(events: &[Arrival]) -> Vec<Hit> {
    let amount = |value: u8| AMOUNTS[usize::from(value)].to_string();
    events.iter().map(|(time, value, role, at)| hit(*time, *at, *role, Some(&amount(*value)))).collect()
}

/// Nearest rank, told in words: the smallest amount that at least this share of the amounts do not exceed.
fn percentile(mut amounts: Vec<f64>, percent: f64) -> f64 {
    amounts.sort_by(f64::total_cmp);
    let reaches = |amount: f64| {
        let below = amounts.iter().filter(|other| **other <= amount).count() as f64;
        below / amounts.len() as f64 * 100.0 + 1e-9 >= percent
    };
    amounts.iter().copied().find(|amount| reaches(*amount)).unwrap()
}

/// A measure of a window's content, from scratch; none where there is nothing to say.
fn recount(measure: &Measure, window: &[Arrival]) -> Option<f64> {
    let amounts = || window.iter().map(|(_, value, ..)| AMOUNTS[usize::from(*value)]).collect::<Vec<_>>();
    let tenths = || amounts().iter().map(|amount| (amount * 10.0).round()).sum::<f64>();
    let of_role = |role: u16| window.iter().filter(|event| event.2 == role).count() as f64;
    fn holds(condition: &Condition, window: &[Arrival]) -> bool {
        match condition {
            Condition::And(all) => all.iter().all(|one| holds(one, window)),
            Condition::Or(any) => any.iter().any(|one| holds(one, window)),
            Condition::Not(one) => !holds(one, window),
            Condition::Selection(role) => window.iter().any(|event| usize::from(event.2) == *role),
        }
    }
    (!window.is_empty()).then_some(())?;
    Some(match measure {
        Measure::Count => window.len() as f64,
        Measure::Distinct => window.iter().map(|event| event.1).collect::<BTreeSet<_>>().len() as f64,
        Measure::Roles => window.iter().map(|event| event.2).collect::<BTreeSet<_>>().len() as f64,
        Measure::Sum => tenths() / 10.0,
        Measure::Avg => tenths() / (10.0 * window.len() as f64),
        Measure::Min => amounts().into_iter().fold(f64::INFINITY, f64::min),
        Measure::Max => amounts().into_iter().fold(f64::NEG_INFINITY, f64::max),
        Measure::Percentile(percent) => percentile(amounts(), *percent),
        Measure::Ratio { min_events } => {
            let all = of_role(1);
            (all >= *min_events as f64 && all > 0.0).then(|| of_role(0) / all)?
        }
        Measure::Rules(condition) => f64::from(u8::from(holds(condition, window))),
    })
}

fn content(events: &[Arrival], within: i64, now: i64) -> Vec<Arrival> {
    events.iter().filter(|(time, ..)| *time > now - within && *time <= now).copied().collect()
}

/// The stretches over which a behaviour holds, found by looking at every millisecond.
fn naive(events: &[Arrival], within: i64, (measure, compare): &(Measure, Compare)) -> Vec<(i64, i64)> {
    let mut stretches: Vec<(i64, i64)> = Vec::new();
    let mut is_open = false;
    for now in 0..=290 {
        let is_moment = events.iter().any(|(time, ..)| *time == now);
        let value = recount(measure, &content(events, within, now));
        let is_held = value.is_some_and(|value| compare.holds(value));
        match stretches.last_mut() {
            Some(last) if is_held && is_open && is_moment => last.1 = now,
            _ if is_held && !is_open && is_moment => stretches.push((now, now)),
            _ => {}
        }
        is_open = is_held && (is_open || is_moment);
    }
    stretches
}

/// A value is what a recount of the events known at the time gives.
fn near(value: f64, recounted: Option<f64>) -> bool {
    recounted.is_some_and(|recounted| (value - recounted).abs() < 1e-9)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn every_measure_equals_a_naive_recount(events in stream(), within in length(90), of in behaviour()) {
        let detector = window(of.0.clone(), within, of.1);
        prop_assert_eq!(run(&detector, &hits(&events)), naive(&events, within, &of));
    }

    /// What is said to be the value at a moment is that of the events that had come until then.
    #[test]
    fn values_and_evidence_are_those_of_the_window(events in stream(), within in length(90), of in behaviour()) {
        let detector = window(of.0.clone(), within, of.1);
        let hits = hits(&events);
        let mut key = Key::new(&detector);
        let mut newest = Timestamp::MIN;
        for (index, hit) in hits.iter().enumerate() {
            let before = key.completions.len();
            key.hit(hit, newest.minus(Span(LATENESS)));
            newest = newest.max(hit.time);
            key.pass(newest.minus(Span(LATENESS)));
            for completion in &key.completions[before..] {
                let content = content(&events[..=index], within, completion.time.0);
                prop_assert!(near(completion.value, recount(&of.0, &content)), "{completion:?} of {content:?}");
                let all: BTreeSet<(i64, u64)> = content.iter().map(|event| (event.0, event.3)).collect();
                let all: Vec<u64> = all.into_iter().map(|(_, position)| position).collect();
                prop_assert_eq!(&completion.evidence, &Evidence::sample(all.into_iter()));
            }
        }
    }

    #[test]
    fn a_known_event_changes_nothing(events in stream(), within in length(90), of in behaviour(), again in 1usize..9) {
        let detector = window(of.0, within, of.1);
        let once = hits(&events);
        // Each comes again some events later, as long as it is not too late.
        let mut twice = Vec::new();
        let mut newest = i64::MIN;
        for (index, hit) in once.iter().enumerate() {
            twice.push(hit.clone());
            newest = newest.max(hit.time.0);
            twice.extend(index.checked_sub(again).map(|known| once[known].clone())
                .filter(|known| known.time.0 >= newest - LATENESS));
        }
        prop_assert_eq!(completions(&detector, &twice), completions(&detector, &once));
    }

    #[test]
    fn a_state_read_back_goes_on_the_same(events in stream(), within in length(90), of in behaviour()) {
        let detector = window(of.0, within, of.1);
        let hits = hits(&events);
        let mut key = Key::new(&detector);
        let mut newest = Timestamp::MIN;
        for hit in &hits {
            let bytes = postcard::to_stdvec(&key.state).unwrap();
            key.state = postcard::from_bytes(&bytes).unwrap();
            key.hit(hit, newest.minus(Span(LATENESS)));
            newest = newest.max(hit.time);
            key.pass(newest.minus(Span(LATENESS)));
        }
        key.pass(Timestamp::MAX);
        prop_assert_eq!(key.completions, completions(&detector, &hits));
    }

    /// Two sources, each in its own pace: the slower one's events meet the faster one's while they can matter.
    #[test]
    fn a_slow_source_finds_what_a_fast_one_sent(
        fast in stream(), slow in stream(), lag in 0usize..200, within in length(90), of in behaviour(),
    ) {
        let detector = window(of.0.clone(), within, of.1);
        let slow: Vec<Arrival> = slow.into_iter().map(|(t, v, r, p)| (t, v, r, p + 1000)).collect();
        let mut queue: Vec<(usize, usize, Arrival)> =
            fast.iter().enumerate().map(|(at, event)| (at, 0, *event)).collect();
        queue.extend(slow.iter().enumerate().map(|(at, event)| (at + lag, 1, *event)));
        queue.sort_by_key(|(at, source, _)| (*at, *source));
        let mut key = Key::new(&detector);
        // Both have spoken before.
        let mut newest = [Timestamp(0); 2];
        for (_, source, event) in queue {
            let hit = &hits(&[event])[0];
            let slowest = newest[0].min(newest[1]).minus(Span(LATENESS));
            key.hit(hit, slowest);
            newest[source] = newest[source].max(hit.time);
            key.pass(newest[0].min(newest[1]).minus(Span(LATENESS)));
        }
        key.pass(Timestamp::MAX);
        let all: Vec<Arrival> = fast.into_iter().chain(slow).collect();
        prop_assert_eq!(key.stretches(), naive(&all, within, &of));
    }
}

proptest! {
    /// Few events on a coarse grid: moments exactly one window, and exactly the lateness, apart.
    #[test]
    fn windows_that_touch_equal_a_naive_recount(
        events in prop::collection::vec((0i64..20, 0u8..3, 0i64..2), 2..12), within in 1i64..9, limit in 1u8..4,
        measure in prop::sample::select(vec![Measure::Count, Measure::Distinct, Measure::Roles]),
    ) {
        let mut events = events;
        events.sort_by_key(|(time, _, delay)| (time + delay, *time));
        let events: Vec<Arrival> = (1..)
            .zip(events)
            .map(|(position, (time, value, _))| (time * 10, value, u16::from(value), position))
            .collect();
        let of = (measure.clone(), Compare::AtMost(f64::from(limit)));
        let detector = window(measure, within * 10, of.1);
        prop_assert_eq!(run(&detector, &hits(&events)), naive(&events, within * 10, &of));
    }
}

/// Two events exactly one window apart, the watermark exactly at the second: the window before it was not empty.
#[test]
fn what_held_before_the_watermark_goes_on_at_it() {
    for busy in [0, 10] {
        let detector = window(Measure::Count, 100, Compare::FewerThan(2.0 + busy as f64));
        let times = [0, 10, 110, 130, 140, 199].into_iter();
        let more = (0..busy).map(|n| 110 + n % 2);
        let mut times: Vec<i64> = times.chain(more).collect();
        times.sort_unstable();
        let events: Vec<Arrival> = (1..).zip(times).map(|(position, time)| (time, 0, 0, position)).collect();
        let of = (Measure::Count, Compare::FewerThan(2.0 + busy as f64));
        assert_eq!(run(&detector, &hits(&events)), naive(&events, 100, &of), "{busy}");
    }
}

/// However many there are, an event is one event, whichever of the roles it has.
#[test]
fn a_ratio_counts_each_of_its_events_once() {
    let detector = window(Measure::Ratio { min_events: 1 }, 1000, Compare::AtLeast(0.1));
    for count in 2..80u64 {
        let apart: Vec<Arrival> = (0..count).map(|n| (n.cast_signed(), 0, (n % 2) as u16, n + 1)).collect();
        let both =
            apart.iter().flat_map(|(time, value, _, at)| [(*time, *value, 1, *at), (*time, *value, 0, *at)]);
        for events in [apart.clone(), both.collect()] {
            let found = completions(&detector, &hits(&events));
            let evidence = &found.last().unwrap().evidence;
            assert_eq!(evidence, &Evidence::sample((1..=count).collect::<Vec<_>>().into_iter()));
        }
    }
}

fn reasons(detector: &Detector, events: &[Arrival]) -> Vec<String> {
    completions(detector, &hits(events)).into_iter().map(|completion| completion.reason).collect()
}

#[test]
fn reasons_read_well() {
    let minute = 60_000;
    let spec = |measure, compare, noun: &str| {
        let (within, lateness) = (Span(10 * minute), Span(LATENESS));
        Detector::Window(WindowSpec { measure, within, lateness, compare, noun: noun.to_owned() })
    };
    let big = [(0, 5, 0, 1)];
    let sum = spec(Measure::Sum, Compare::AtLeast(1000.0), "sum of details.size");
    assert_eq!(reasons(&sum, &big), ["sum of details.size is 1,200 within 10m (at least 1,000)"]);
    let median = spec(Measure::Percentile(50.0), Compare::MoreThan(0.5), "median of details.size");
    assert_eq!(reasons(&median, &big), ["median of details.size is 1,200 within 10m (more than 0.5)"]);
    let rules = spec(Measure::Rules(Condition::Selection(0)), Compare::AtLeast(1.0), "a and b");
    assert_eq!(reasons(&rules, &big), ["a and b within 10m"]);
    let noun = WindowSpec::ratio_noun("failed", "logins");
    let ratio = spec(Measure::Ratio { min_events: 3 }, Compare::AtLeast(0.5), &noun);
    let logins = [(0, 0, 1, 1), (1, 0, 1, 2), (2, 0, 1, 3), (2, 0, 0, 3), (3, 0, 1, 4), (3, 0, 0, 4)];
    assert_eq!(reasons(&ratio, &logins), ["50 % of logins were failed (2 of 4) within 10m (at least 50 %)"]);
}

#[test]
fn a_sum_does_not_depend_on_the_order_even_where_floats_would() {
    let detector = window(Measure::Sum, 50, Compare::AtLeast(0.6));
    let values = ["0.1", "1e-6", "0.2", "0.3", "9e300", "1e-9"];
    for first in 0..3 {
        let mut hits: Vec<Hit> = (1..)
            .zip([values[0], values[2], values[3]])
            .map(|(position, value)| hit(position, position as u64, 0, Some(value)))
            .collect();
        hits.rotate_left(first);
        let fired = completions(&detector, &hits);
        assert_eq!(fired.last().unwrap().value, 0.6, "{hits:?}");
    }
}

/// One key gives up its oldest events at its limit, says so, and counts on with the rest.
#[test]
fn too_many_events_give_up_the_oldest() {
    for measure in [Measure::Count, Measure::Distinct, Measure::Sum, Measure::Max, Measure::Avg] {
        let detector = window(measure.clone(), 1_000_000, Compare::AtLeast(1.0));
        let mut key = Key::new(&detector);
        let mut overflowed = 0;
        let value = |position: i64| position.to_string();
        for position in 1..=500i64 {
            let hit = hit(position, position as u64, 0, Some(&value(position)));
            let outcome =
                detector.on_hit(&mut key.state, &hit, Timestamp::MIN, &EventValue::default).unwrap();
            overflowed += usize::from(outcome.overflowed);
            key.take(outcome);
        }
        assert_eq!(overflowed, 300, "{measure:?}");
        key.pass(Timestamp::MAX);
        let expected = match measure {
            Measure::Count | Measure::Distinct | Measure::Roles => 201.0,
            Measure::Sum => (300..=500).sum::<i64>() as f64,
            Measure::Max => 500.0,
            _ => (301..=500).sum::<i64>() as f64 / 200.0,
        };
        assert_eq!(key.completions.last().unwrap().value, expected, "{measure:?}");
    }
}

/// What the watermark has passed by more than a window is let go, whatever the measure.
#[test]
fn a_window_does_not_grow_with_the_stream() {
    for (measure, compare) in [
        (Measure::Count, Compare::AtLeast(3.0)),
        (Measure::Distinct, Compare::AtLeast(3.0)),
        (Measure::Avg, Compare::AtLeast(3.0)),
        (Measure::Percentile(95.0), Compare::AtLeast(3.0)),
        (Measure::Count, Compare::AtMost(3.0)),
    ] {
        let detector = window(measure, 20, compare);
        let mut key = Key::new(&detector);
        let mut most = [0, 0];
        for time in 0..4000i64 {
            let watermark = Timestamp(time - 1 - LATENESS);
            key.pass(watermark);
            key.hit(&hit(time, time as u64 + 1, 0, Some(&(time % 7).to_string())), watermark);
            let half = usize::from(time >= 2000);
            most[half] = most[half].max(key.state.bytes());
        }
        assert!(most[1] <= most[0], "{most:?}");
        assert_eq!(key.state.positions(Span(20)).len(), 20);
    }
}

/// A busy key that becomes quiet takes little again.
#[test]
fn a_key_that_was_busy_becomes_small_again() {
    let detector = window(Measure::Count, 20, Compare::AtLeast(100.0));
    let mut key = Key::new(&detector);
    let fresh = key.state.bytes();
    for time in 0..100i64 {
        key.hit(&hit(time, time as u64, 0, None), Timestamp(time - LATENESS));
    }
    assert!(key.state.bytes() > fresh + 500);
    for time in [1000i64, 2000, 3000] {
        key.hit(&hit(time, time as u64, 0, None), Timestamp(time - LATENESS));
    }
    assert_eq!(key.state.bytes(), fresh);
}
