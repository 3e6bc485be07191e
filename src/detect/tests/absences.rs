//! What does not happen, against a naive search.

use super::*;

fn detector(after: Option<&str>, within: i64) -> Detector {
    let (within, lateness) = (Span(within), Span(LATENESS));
    Detector::Absence(AbsenceSpec { of: "b".into(), after: after.map(Into::into), within, lateness })
}

proptest! {
    /// Of the values 0 is what must come, 1 what it must follow, 2 is both.
    #[test]
    fn absences_are_found_in_any_arrival_order(events in arrivals(), within in length(60)) {
        let known: Vec<_> = events.iter().filter(|(_, value, _)| *value < 3).copied().collect();
        let hits: Vec<Hit> = known
            .iter()
            .flat_map(|(time, value, position)| {
                let roles: &[u16] = [&[0u16][..], &[1], &[0, 1]][usize::from(*value)];
                roles.iter().map(|role| hit(*time, *position, *role, None))
            })
            .collect();
        // Of events of one millisecond that are both the one that came last has to be followed by something else.
        let follows = |(a, _, open): (i64, u8, u64), (b, value, answer): (i64, u8, u64)| match value {
            1 => false,
            2 if a == b => answer > open,
            _ => (a..=a + within).contains(&b) && answer != open,
        };
        let missing = known.iter().filter(|open| open.1 > 0 && !known.iter().any(|one| follows(**open, *one)));
        let expected = union(missing.map(|(a, ..)| (a + within, a + within)));
        prop_assert_eq!(run(&detector(Some("a"), within), &hits), expected);
    }

    #[test]
    fn silences_are_found_in_any_arrival_order(events in arrivals(), within in length(60)) {
        let hits: Vec<Hit> =
            events.iter().map(|(time, _, position)| hit(*time, *position, 0, None)).collect();
        let is_last = |time: i64| !events.iter().any(|(other, ..)| *other > time && *other <= time + within);
        let silent = events.iter().map(|(time, ..)| *time).filter(|time| is_last(*time));
        prop_assert_eq!(run(&detector(None, within), &hits), union(silent.map(|t| (t + within, t + within))));
    }
}

/// What was followed is no longer waited for, even before the watermark has passed it.
#[test]
fn what_came_is_not_waited_for() {
    let detector = detector(Some("a"), 10);
    let mut key = Key::new(&detector);
    for (time, position, role) in [(0, 1, 1), (3, 2, 1), (5, 3, 0), (8, 4, 1)] {
        key.hit(&hit(time, position, role, None), Timestamp::MIN);
    }
    let known = |at: i64| detector.known(&key.state, Timestamp(at)).remove(0);
    let from = |time: i64| format!("a came at {}", Timestamp(time));
    assert!(known(4).starts_with(&format!("{} (and 1 earlier ones)", from(3))), "{}", known(4));
    assert!(known(6).starts_with("nothing is waited for"), "{}", known(6));
    assert!(known(9).starts_with(&format!("{}: b must follow", from(8))), "{}", known(9));
    assert!(known(19).starts_with("nothing is waited for"), "{}", known(19));
}

#[test]
fn a_silence_begins_after_the_last_events_even_if_they_share_a_millisecond() {
    let hits = [(0, 1), (5, 2), (5, 3), (5, 4)].map(|(time, position)| hit(time, position, 0, None));
    let found = completions(&detector(None, 10), &hits);
    assert_eq!(found.iter().map(|c| (c.time.0, c.position)).collect::<Vec<_>>(), [(15, 4)]);
}
