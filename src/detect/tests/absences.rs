//! What does not happen, against a naive search.

use super::*;

proptest! {
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
