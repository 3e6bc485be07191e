//! Against naive recounts, in any order of arrival.

use proptest::prelude::*;

use super::super::Detector;
use super::super::shuffle::{KEY, LATE, Shown, Trial, arrivals, union};
use super::*;

/// Addresses and where they are: Berlin, a suburb, Hamburg, New York, Sydney, and a country only.
const PLACES: [(&str, f64, f64, &str); 6] = [
    ("192.0.2.1", 52.52, 13.40, "20"),
    ("192.0.2.2", 52.40, 13.06, "20"),
    ("198.51.100.1", 53.55, 9.99, ""),
    ("203.0.113.1", 40.71, -74.01, "10"),
    ("203.0.113.2", -33.87, 151.21, "100"),
    ("198.51.100.9", 51.0, 10.0, "1000"),
];

fn value(place: u8) -> String {
    let (address, latitude, longitude, radius) = PLACES[usize::from(place)];
    [address, &latitude.to_string(), &longitude.to_string(), radius].join("\u{1f}")
}

/// The angle between two vectors from the middle of the Earth.
fn apart(left: u8, right: u8) -> f64 {
    let vector = |place: u8| {
        let (_, latitude, longitude, _) = PLACES[usize::from(place)];
        let (north, east) = (latitude.to_radians(), longitude.to_radians());
        [north.cos() * east.cos(), north.cos() * east.sin(), north.sin()]
    };
    let (left, right) = (vector(left), vector(right));
    let dot: f64 = left.iter().zip(right).map(|(left, right)| left * right).sum();
    dot.clamp(-1.0, 1.0).acos() * 6371.0088
}

const TEN_MINUTES: i64 = 600_000;

/// All pairs.
fn naive(events: &[Shown], max_kmh: f64, min_km: f64) -> Vec<(i64, i64)> {
    let radius = |place: u8| PLACES[usize::from(place)].3.parse().unwrap_or(50.0);
    let is_found = |(to, there, _): &Shown| {
        events.iter().any(|(from, here, _)| {
            let km = apart(*here, *there) - radius(*here) - radius(*there);
            let hours = ((to - from) as f64 / 6.0).max(1.0 / 3600.0);
            from <= to && here != there && km > min_km && km / hours > max_kmh
        })
    };
    let mut found: Vec<i64> = events.iter().filter(|event| is_found(event)).map(|(time, ..)| *time).collect();
    found.sort_unstable();
    found.into_iter().map(|at| (at, at)).collect()
}

proptest! {
    #[test]
    fn journeys_equal_a_naive_comparison_of_all_pairs(events in arrivals(300, 6), max_kmh in 50u16..1500, min_km in 0u16..400) {
        let (max_kmh, min_km) = (f64::from(max_kmh) + 0.37, f64::from(min_km));
        let detector = Detector::Travel(TravelSpec { max_kmh, min_km, lateness: Span(LATE * TEN_MINUTES) });
        let trial = Trial { detector, unit: TEN_MINUTES, suppress: 0 };
        let found = trial.run(&events, value);
        let half_a_day = TravelSpec::JOURNEY.0 / TEN_MINUTES;
        prop_assert_eq!(found, union(KEY, naive(&events, max_kmh, min_km), half_a_day));
    }
}

fn spec() -> TravelSpec {
    TravelSpec { max_kmh: 900.0, min_km: 100.0, lateness: Span::minutes(5) }
}

fn go(
    spec: &TravelSpec,
    state: &mut TravelState,
    (minute, position): (i64, Position),
    place: u8,
) -> Option<Completion> {
    let (time, value) = (Timestamp(minute * 60_000), Some(value(place).into()));
    let hit = Hit { detector: 0, role: 0, key: KEY.into(), value, time, position };
    spec.on_hit(state, &hit, Timestamp::MIN).completion
}

#[test]
fn nobody_is_in_berlin_and_an_hour_later_in_new_york() {
    let (spec, mut state) = (spec(), TravelState::default());
    assert!(go(&spec, &mut state, (0, 1), 0).is_none());
    assert!(go(&spec, &mut state, (1, 2), 1).is_none(), "a suburb is the same place");
    assert!(go(&spec, &mut state, (70, 3), 0).is_none());
    let found = go(&spec, &mut state, (140, 4), 3).unwrap();
    assert_eq!(
        found.reason,
        "at least 6,350 km in 1h10m (5,447 km/h; at most 900) from 192.0.2.1 to 203.0.113.1"
    );
    assert_eq!(found.evidence.positions, [3, 4]);
    assert!(go(&spec, &mut state, (141, 5), 3).is_some(), "it still contradicts");
    assert!(go(&spec, &mut state, (9 * 60, 6), 3).is_none(), "by now one could have got there");
    assert!(go(&spec, &mut state, (30 * 60, 7), 0).is_none());
}

#[test]
fn a_place_that_is_not_sure_proves_little() {
    let (spec, mut state) = (spec(), TravelState::default());
    assert!(go(&spec, &mut state, (0, 1), 0).is_none());
    assert!(go(&spec, &mut state, (0, 2), 5).is_none(), "anywhere within a thousand kilometres");
    assert!(go(&spec, &mut state, (0, 3), 2).is_some(), "Hamburg at the same time");
}

#[test]
fn distances_are_those_of_the_great_circle() {
    for (left, right) in [(0, 2), (0, 3), (3, 4), (0, 4)] {
        let places = [left, right].map(place_of);
        let km = distance_km(&places[0], &places[1]);
        assert!((km - apart(left, right)).abs() < 0.01, "{left} {right}: {km}");
    }
}

fn place_of(number: u8) -> Place {
    place(&value(number)).unwrap()
}

#[test]
fn what_has_no_place_changes_nothing_and_there_is_a_limit() {
    let (spec, mut state) = (spec(), TravelState::default());
    for value in ["192.0.2.1", "192.0.2.1\u{1f}\u{1f}\u{1f}", "192.0.2.1\u{1f}north\u{1f}east\u{1f}"] {
        let value = Some(value.into());
        let hit = Hit { detector: 0, role: 0, key: KEY.into(), value, time: Timestamp(0), position: 1 };
        assert!(spec.on_hit(&mut state, &hit, Timestamp::MIN).completion.is_none());
    }
    assert!(state.places.is_empty());
    let mut overflowed = 0;
    for number in 0..PLACES_MAX as u64 + 10 {
        let value = Some(format!("10.0.0.{number}\u{1f}1\u{1f}1\u{1f}1").into());
        let hit = Hit { detector: 0, role: 0, key: KEY.into(), value, time: Timestamp(0), position: number };
        overflowed += u64::from(spec.on_hit(&mut state, &hit, Timestamp::MIN).overflowed);
    }
    assert_eq!((state.places.len(), overflowed), (PLACES_MAX, 10));
}
