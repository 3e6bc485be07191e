//! What each behaviour says it knew of a key: read by people, so shown whole.

use std::fmt::Write as _;
use std::fs;

use super::*;
use crate::time::Span;

const RULES: &str = "\
title: count
id: count
logsource: {product: gitlab}
detection: {a: {event_type: project_destroyed}, condition: a}
behavior: {by: author_id, within: 1h, at_least: 5}
---
title: distinct
id: distinct
logsource: {product: gitlab}
detection: {a: {event_type: project_destroyed}, condition: a}
behavior: {by: author_id, distinct: entity_id, within: 1h, at_least: 2}
---
title: average
id: average
logsource: {product: gitlab}
detection: {a: {event_type: project_destroyed}, condition: a}
behavior: {by: author_id, avg: details.size, within: 1h, at_least: 90}
---
title: ratio
id: ratio
logsource: {product: gitlab}
detection: {a: {event_type: project_destroyed}, b: {event_type: [project_destroyed, project_created]}, condition: b}
behavior: {by: author_id, ratio: {of: a, to: b, min_events: 9}, within: 1h, at_least: 50%}
---
title: sequence
id: sequence
logsource: {product: gitlab}
detection: {a: {event_type: project_created}, b: {event_type: project_destroyed}, c: {event_type: user_destroyed}, d: {event_type: user_created}}
behavior: {by: author_id, sequence: [a, b, c], unless: d, within: 2h}
---
title: any order
id: unordered
logsource: {product: gitlab}
detection: {a: {event_type: project_created}, b: {event_type: project_destroyed}, c: {event_type: user_destroyed}}
behavior: {by: author_id, sequence: [a, b, c], ordered: false, within: 2h}
---
title: absence
id: absence
logsource: {product: gitlab}
detection: {a: {event_type: project_created}, b: {event_type: user_destroyed}}
behavior: {by: author_id, absence: {of: b, after: a}, within: 3h}
---
title: silence
id: silence
logsource: {product: gitlab}
detection: {a: {event_type: project_created}, condition: a}
behavior: {by: author_id, absence: {of: a}, within: 3d}
---
title: first seen
id: first_seen
logsource: {product: gitlab}
detection: {a: {event_type: project_created}, condition: a}
behavior: {by: author_id, first_seen: ip_address, learn: 14d, forget: 90d}
---
title: still learning
id: learning
logsource: {product: gitlab}
detection: {a: {event_type: project_destroyed}, condition: a}
behavior: {by: author_id, first_seen: ip_address, learn: 14d}
---
title: dormant
id: dormant
logsource: {product: gitlab}
detection: {a: {event_type: project_created}, condition: a}
behavior: {by: author_id, dormant: 60d}
---
title: change
id: change
logsource: {product: gitlab}
detection: {a: {event_type: project_created}, condition: a}
behavior: {by: author_id, change: ip_address, within: 30d}
---
title: bucket
id: bucket
logsource: {product: gitlab}
detection: {a: {event_type: project_destroyed}, condition: a}
behavior: {by: author_id, bucket: {capacity: 5, leak: 30m}}
---
title: rare
id: rare
logsource: {product: gitlab}
detection: {a: {event_type: project_created}, condition: a}
behavior: {by: author_id, rare: ip_address, peers: entity_id, history: 28d, below: 2%, min_events: 50}
---
title: travel
id: travel
logsource: {product: gitlab}
detection: {a: {event_type: project_created}, condition: a}
behavior: {by: author_id, travel: {field: ip_address, max_kmh: 900}}
---
title: scored
id: scored
level: low
score: 40
logsource: {product: gitlab}
detection: {a: {event_type: project_destroyed}, condition: a}
---
title: risk
id: risk
logsource: {product: gitlab}
behavior: {by: author_id, risk: {half_life: 24h}, at_least: 200}
---
title: spike
id: spike
logsource: {product: gitlab}
detection: {a: {event_type: project_created}, condition: a}
behavior: {by: author_id, spike: {of: count, bucket: 1h, history: 28d, season: week, direction: both}}
---
title: spike without a past
id: new_spike
logsource: {product: gitlab}
detection: {a: {event_type: project_destroyed}, condition: a}
behavior: {by: author_id, spike: {of: distinct entity_id, bucket: 1h, history: 28d, season: none}}
---
title: unusual hour
id: unusual_hour
logsource: {product: gitlab}
detection: {a: {event_type: project_created}, condition: a}
behavior: {by: author_id, unusual_hour: {learn: 28d}}
";

const SCRIPT: &str = "\
/*
title: script
id: script
logsource: {product: gitlab}
detection: {a: {event_type: project_destroyed}, condition: a}
behavior: {by: author_id, within: 1h}
*/
fn on_event(event, state, window) {
    state.seen = (state.seen ?? 0) + 1;
    ()
}
";

/// Six weeks of one who creates projects on weekdays from 8 to 16 UTC, and on the last day destroys three.
fn history() -> String {
    let start = Timestamp::parse("2026-01-05T00:00:00Z").unwrap();
    let (mut lines, mut number) = (String::new(), 0);
    let mut line = |at: Timestamp, kind: &str, entity: u32| {
        number += 1;
        let address = if number % 2 == 0 { "203.0.113.9" } else { "198.51.100.7" };
        let (latitude, longitude) = if number % 2 == 0 { (48.1, 11.6) } else { (48.2, 11.5) };
        writeln!(
            lines,
            r#"{{"id":"e{number}","created_at":"{at}","event_type":"{kind}","author_id":7,"entity_id":{entity},"entity_type":"Project","ip_address":"{address}","geo":{{"latitude":{latitude},"longitude":{longitude},"accuracy_km":20}},"details":{{"size":{number}}}}}"#
        )
        .unwrap();
    };
    for day in (0..42).filter(|day| day % 7 < 5) {
        for hour in 8..16 {
            for minute in 0..(2 + (day + hour) % 3) {
                let at = start.plus(Span::days(day)).plus(Span::hours(hour)).plus(Span::minutes(7 * minute));
                line(at, "project_created", 1);
            }
        }
    }
    let last = start.plus(Span::days(39)).plus(Span::hours(15)).plus(Span::minutes(30));
    for minute in [0, 4, 8] {
        line(last.plus(Span::minutes(minute)), "project_destroyed", 50);
    }
    line(last.plus(Span::minutes(9)), "user_created", 3);
    let mut lines: Vec<&str> = lines.lines().collect();
    lines.sort_by_key(|line| {
        serde_json::from_str::<serde_json::Value>(line).unwrap()["created_at"].to_string()
    });
    lines.join("\n")
}

fn knew(at: &str) -> String {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("rules.yml"), RULES).unwrap();
    fs::write(dir.path().join("script.rhai"), SCRIPT).unwrap();
    let basis = rules::JudgeArgs::default().settle(&[dir.path().to_owned()]).unwrap();
    let reading = basis.read(Timestamp::parse("2026-06-01").unwrap()).unwrap();
    assert!(!reading.has_errors(), "{}", reading.render(false));
    let mut told = String::new();
    for unit in reading.rules.units().iter().filter(|unit| unit.detector.is_stateful()) {
        let mut past = Past::text(&history(), None).unwrap();
        let key = vec![("author_id".to_owned(), "7".to_owned())];
        let at = Timestamp::parse(at).unwrap();
        let moment = Moment { reading: &reading, unit, key, at, limits: basis.limits };
        let text = moment.tell(&mut past, (Paint::plain(), 100)).unwrap();
        writeln!(told, "{}", unit.rule.id).unwrap();
        let knew = text.lines().skip_while(|line| !line.starts_with("  knew"));
        let knew = knew.take_while(|line| line.starts_with("  knew") || line.starts_with("     "));
        knew.for_each(|line| writeln!(told, "{}", line.get(6..).unwrap()).unwrap());
    }
    told
}

#[test]
#[expect(clippy::too_many_lines, reason = "what people read, whole")]
fn every_behaviour_tells_what_it_knows_and_what_is_missing() {
    insta::assert_snapshot!(knew("2026-02-13T15:45:00Z"), @r#"
    count
         3 events within 1h (at least 5); 2 more are missing
         the oldest of the 3 events leaves the window at 2026-02-13T16:30:00.000Z
    distinct
         1 different entity_id within 1h (at least 2); 1 more is missing
         the oldest of the 3 events leaves the window at 2026-02-13T16:30:00.000Z
    average
         details.size is 722 within 1h (at least 90): that is enough
         the oldest of the 3 events leaves the window at 2026-02-13T16:30:00.000Z
    ratio
         5 b and 3 a within 1h; a share is only taken of at least 9
         the oldest of the 8 events leaves the window at 2026-02-13T16:00:00.000Z
    sequence
         2 of 3 steps are met: a at 2026-02-13T15:07:00.000Z, then b at 2026-02-13T15:38:00.000Z
         c is missing; it would have to come before 2026-02-13T17:07:00.000Z
         d came at 2026-02-13T15:39:00.000Z, and rules out every sequence that it lies in
    unordered
         in the 2h before it has a, b; missing: c
    absence
         a came at 2026-02-13T15:07:00.000Z (and 8 earlier ones): b must follow by
         2026-02-13T18:07:00.000Z
    silence
         it fires when there is no a from 2026-02-13T15:07:00.000Z to 2026-02-16T15:07:00.000Z
    first_seen
         2 different ip_address known since 2026-01-05T08:00:00.000Z, the last one shown at
         2026-02-13T15:07:00.000Z
         it fires for the next ip_address that is not among them
         one that is not shown for 90d counts as new again
    learning
         2 different ip_address known since 2026-02-13T15:30:00.000Z, the last one shown at
         2026-02-13T15:38:00.000Z
         it is still learning, until 2026-02-27T15:30:00.000Z: nothing is new before that
    dormant
         last heard at 2026-02-13T15:07:00.000Z, silent for 38m since then
         an event from 2026-04-14T15:07:00.000Z on would be an awakening, after 60d of silence
    change
         ip_address was last "203.0.113.9", at 2026-02-13T15:07:00.000Z
         it fires at an event with another value before 2026-03-15T15:07:00.000Z
    bucket
         the bucket holds 2.5 of 5 events; one leaks out every 30m
         3 more events at once would overflow it
         without further events it is empty at 2026-02-13T17:00:00.000Z
    rare
         506 events of the same entity_id with 2 different ip_address are known of the last 4w
         a value shown by fewer than 10 of them is rare (less than 2%)
    travel
         203.0.113.9 (48.1, 11.6, give or take 20 km), last at 2026-02-13T15:07:00.000Z; by now up
         to 570 km from there is possible
         198.51.100.7 (48.2, 11.5, give or take 20 km), last at 2026-02-13T15:00:00.000Z; by now
         up to 675 km from there is possible
         it fires for an event from farther away than that, at 900 km/h
    risk
         risk 119.4 (at least 200): 119.4 from scored (3 times)
         80.7 more are missing
         each score counts half after 1d
    spike
         2 events in the hour from 2026-02-13T15:00Z up to then
         usual for this hour of the week is 3; a spike from 16 on; too little to be a dip (beyond
         that once in 10 years)
    new_spike
         1 different entity_id in the hour from 2026-02-13T15:00Z up to then
         there is no baseline (nothing is closed yet): it takes 1w of history, with events in at
         least 3 days and 5 stretches
    unusual_hour
         events came in 232 hours of 29 days in 5 weeks, mostly between 08:00 and 16:00 UTC
         the hour from 15:00 UTC is usual: an event in it is expected in 91.4 % of weeks (odd
         below 2 %)
    script
         the script's state is {"seen":3}
         its window of 1h holds 3 events
    "#);
}
