//! Steps, against a search that tries every combination.

use super::*;

/// An event: time, which steps it is (a bit each), its value, whether it is the one that must not come.
#[derive(Debug, Clone, Copy)]
struct Happening {
    time: i64,
    roles: u8,
    value: u8,
    is_unless: bool,
    position: u64,
}

#[derive(Debug, Clone, Copy)]
struct Shape {
    steps: usize,
    ordered: bool,
    unless: bool,
    different: bool,
    within: i64,
}

fn shape() -> impl Strategy<Value = Shape> {
    (2usize..5, any::<bool>(), any::<bool>(), any::<bool>(), 2i64..50).prop_map(
        |(steps, ordered, unless, different, within)| Shape { steps, ordered, unless, different, within },
    )
}

fn happenings() -> impl Strategy<Value = Vec<Happening>> {
    let event = (0i64..40, 1u8..16, 0u8..4, 0u8..8, 0i64..LATENESS, any::<bool>());
    prop::collection::vec(event, 1..12).prop_map(|mut events| {
        events.sort_by_key(|(time, .., delay, _)| (time + delay, *time));
        let happening = |(position, (time, roles, value, unless, _, is_single))| {
            // Half of the events are one step only.
            let roles: u8 = if is_single { 1u8 << (roles % 4) } else { roles };
            Happening { time, roles, value, is_unless: unless == 0, position }
        };
        (1..).zip(events).map(happening).collect()
    })
}

fn detector(shape: Shape) -> Detector {
    Detector::Sequence(SequenceSpec {
        steps: (0..shape.steps).map(|step| format!("s{step}")).collect(),
        ordered: shape.ordered,
        unless: shape.unless.then(|| "d".to_owned()),
        different: shape.different,
        within: Span(shape.within),
        lateness: Span(LATENESS),
    })
}

fn hits(events: &[Happening], shape: Shape) -> Vec<Hit> {
    let mut hits = Vec::new();
    for event in events {
        let value = event.value.to_string();
        let one = |role: usize| hit(event.time, event.position, role as u16, Some(&value));
        if event.is_unless {
            hits.extend(shape.unless.then(|| one(shape.steps)));
        } else {
            hits.extend((0..shape.steps).filter(|role| event.roles >> role & 1 == 1).map(one));
        }
    }
    hits
}

/// Every way to give each step an event of its own, with an end that is none of the later ones.
fn chains(events: &[Happening], shape: Shape, chain: &mut Vec<Happening>, out: &mut dyn FnMut(&[Happening])) {
    if chain.len() == shape.steps {
        out(chain);
        return;
    }
    let step = chain.len();
    for event in events.iter().filter(|event| !event.is_unless && event.roles >> step & 1 == 1) {
        let is_new = chain.iter().all(|known| {
            known.position != event.position && (!shape.different || known.value != event.value)
        });
        let is_later = chain.last().is_none_or(|last| !shape.ordered || last.time <= event.time);
        if is_new && is_later {
            chain.push(*event);
            chains(events, shape, chain, out);
            chain.pop();
        }
    }
}

fn naive(events: &[Happening], shape: Shape) -> Vec<(i64, i64)> {
    let mut best: std::collections::BTreeMap<u64, (i64, i64)> = std::collections::BTreeMap::new();
    chains(events, shape, &mut Vec::new(), &mut |chain| {
        let from = chain.iter().map(|event| event.time).min().unwrap();
        let to = chain.iter().map(|event| event.time).max().unwrap();
        let is_refuted =
            shape.unless && events.iter().any(|event| event.is_unless && (from..=to).contains(&event.time));
        if from <= to - shape.within || is_refuted {
            return;
        }
        let last = chain.last().unwrap().position;
        let ends =
            chain.iter().filter(|event| event.time == to && (!shape.ordered || event.position == last));
        for end in ends {
            let known = best.entry(end.position).or_insert((from, to));
            known.0 = if shape.unless { known.0.max(from) } else { known.0.min(from) };
        }
    });
    union(best.into_values())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn sequences_are_those_that_exist(events in happenings(), shape in shape()) {
        prop_assert_eq!(run(&detector(shape), &hits(&events, shape)), naive(&events, shape));
    }

    #[test]
    fn a_sequence_that_waits_is_read_back_the_same(events in happenings(), shape in shape()) {
        let detector = detector(shape);
        let hits = hits(&events, shape);
        let mut key = Key::new(&detector);
        let mut newest = Timestamp::MIN;
        for hit in &hits {
            key.state = postcard::from_bytes(&postcard::to_stdvec(&key.state).unwrap()).unwrap();
            key.hit(hit, newest.minus(Span(LATENESS)));
            newest = newest.max(hit.time);
            key.pass(newest.minus(Span(LATENESS)));
        }
        key.pass(Timestamp::MAX);
        prop_assert_eq!(key.completions, completions(&detector, &hits));
    }
}

/// Many events that could be any of many steps, at one moment and with few values: what would be tried without a
/// limit would take for ever.
#[test]
fn hostile_sequences_end() {
    for (ordered, different, unless) in [
        (true, false, false),
        (false, false, true),
        (true, true, false),
        (false, true, false),
        (true, true, true),
    ] {
        let shape = Shape { steps: 6, ordered, unless, different, within: 1000 };
        let detector = detector(shape);
        let mut key = Key::new(&detector);
        let mut overflowed = false;
        let events = if different { 40 } else { 270 };
        for position in 1..=events {
            for role in 0..6u16 {
                // The fourth step comes once, last of all and with the fifth, or there are too few values.
                if role == 3 && !different && ordered && position < 270 || role == 4 && !ordered && !different
                {
                    continue;
                }
                let value = (position % 5).to_string();
                let hit = hit(
                    if position == 270 { 500 } else { position / 20 },
                    position as u64,
                    role,
                    Some(&value),
                );
                let outcome =
                    detector.on_hit(&mut key.state, &hit, Timestamp::MIN, &EventValue::default).unwrap();
                overflowed |= outcome.overflowed;
                key.take(outcome);
            }
        }
        key.pass(Timestamp::MAX);
        assert_eq!(key.completions, [], "{shape:?}");
        // Few values may be ruled out before too much is tried.
        assert!(overflowed || different, "{shape:?}: too much was asked, or a step has more than 256 events");
    }
}

#[test]
fn events_of_one_millisecond_stand_in_either_order() {
    let shape = Shape { steps: 2, ordered: true, unless: false, different: false, within: 10 };
    let second_first = [hit(5, 1, 1, None), hit(5, 2, 0, None)];
    assert_eq!(run(&detector(shape), &second_first), [(5, 5)]);
    // But one event is not two steps.
    assert_eq!(run(&detector(shape), &[hit(5, 1, 0, None), hit(5, 1, 1, None)]), []);
}
