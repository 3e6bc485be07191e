//! Steps, against a naive search.

use super::*;

proptest! {
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
}}
