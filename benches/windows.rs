//! How many events a second one key's window takes, in order and with a tenth of them late:
//! `cargo bench --bench windows`.

#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a program that prints figures")]

use std::time::Instant;

use watchfire::detect::{Detector, Hit, Measure, WindowSpec};
use watchfire::rule::ast::Compare;
use watchfire::script::EventValue;
use watchfire::time::{Span, Timestamp};

/// Events in the window, all different.
const IN_WINDOW: i64 = 100_000;
const EVENTS: i64 = 1_000_000;
/// Milliseconds between two events.
const PACE: i64 = 6;
const LATENESS: Span = Span(300_000);

fn main() {
    println!("{:<34} {:>9} {:>14} {:>14} {:>8}", "", "fires", "in order", "10 % late", "MB");
    let at_least = Compare::AtLeast;
    let size = IN_WINDOW as f64;
    for (name, measure, compare) in [
        ("count >= 20", Measure::Count, at_least(20.0)),
        ("count >= 90 % of the window", Measure::Count, at_least(size * 0.9)),
        ("distinct >= 20", Measure::Distinct, at_least(20.0)),
        ("distinct >= 99.99 % of the window", Measure::Distinct, at_least(size * 0.9999)),
        ("distinct >= more than ever come", Measure::Distinct, at_least(size * 2.0)),
        ("distinct <= 20", Measure::Distinct, Compare::AtMost(20.0)),
        ("sum >= out of reach", Measure::Sum, at_least(1e15)),
        ("max >= out of reach", Measure::Max, at_least(1e15)),
        ("avg >= out of reach", Measure::Avg, at_least(1e15)),
        ("percentile 95 >= out of reach", Measure::Percentile(95.0), at_least(1e15)),
    ] {
        let within = Span(IN_WINDOW * PACE);
        let noun = "different entity_id".to_owned();
        let detector = Detector::Window(WindowSpec { measure, within, lateness: LATENESS, compare, noun });
        let (in_order, _, _) = rate(&detector, 0);
        let (late, fires, bytes) = rate(&detector, 10);
        let megabytes = bytes as f64 / 1e6;
        println!("{name:<34} {fires:>9} {in_order:>12.0}/s {late:>12.0}/s {megabytes:>8.1}");
    }
}

/// Events a second, how many completed the behaviour, and the state's size.
fn rate(detector: &Detector, percent_late: i64) -> (f64, usize, usize) {
    let hits = stream(percent_late);
    let mut state = detector.fresh().unwrap();
    let mut timers = std::collections::BTreeSet::new();
    let (mut newest, mut fires) = (Timestamp::MIN, 0);
    let begun = Instant::now();
    for hit in &hits {
        let outcome = detector.on_hit(&mut state, hit, newest.minus(LATENESS), &EventValue::default).unwrap();
        fires += usize::from(outcome.completion.is_some());
        timers.extend(outcome.timer);
        newest = newest.max(hit.time);
        while timers.first().is_some_and(|due| *due < newest.minus(LATENESS)) {
            let due = timers.pop_first().unwrap();
            fires += usize::from(detector.on_timer(&mut state, due).completion.is_some());
        }
    }
    (hits.len() as f64 / begun.elapsed().as_secs_f64(), fires, state.bytes())
}

/// A stream of events with values of their own, of which some come up to the lateness behind.
fn stream(percent_late: i64) -> Vec<Hit> {
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut draw = |below: i64| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        (seed % below.unsigned_abs()).cast_signed()
    };
    let mut arrivals: Vec<(i64, i64)> = Vec::new();
    for number in 0..EVENTS {
        let delay = if draw(100) < percent_late { draw(LATENESS.0) } else { 0 };
        arrivals.push((number * PACE + delay, number * PACE));
    }
    arrivals.sort_unstable();
    let hit = |(position, (_, time)): (u64, &(i64, i64))| Hit {
        detector: 0,
        role: 0,
        key: "1\u{1f}".into(),
        value: Some(time.to_string().into()),
        time: Timestamp(*time),
        position,
    };
    (1..).zip(&arrivals).map(hit).collect()
}
