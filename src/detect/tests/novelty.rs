//! New values and long silences.

use super::*;

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
