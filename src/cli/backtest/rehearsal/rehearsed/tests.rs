use super::*;

fn outcome(subjects: u32) -> Outcome {
    let mut outcome = Outcome::default();
    for subject in 0..subjects {
        outcome.add(format!("s{subject:04}"), Timestamp(i64::from(subject)));
    }
    outcome
}

#[test]
fn few_subjects_are_named_and_a_crowd_is_counted() {
    let mut few = outcome(3);
    few.add("s0002".into(), Timestamp(9));
    assert_eq!(few.names(), "s0002 (2 times), s0000, s0001");
    few.add("a = 1, b = 2".into(), Timestamp(9));
    assert_eq!(few.names(), "s0002 (2 times); s0000; s0001; a = 1, b = 2");
    assert!(outcome(8).names().ends_with("s0005 and 2 others"));
    let crowd = outcome(5000);
    assert_eq!((crowd.count, crowd.subjects.len()), (5000, SUBJECTS_MAX));
    assert!(crowd.names().ends_with("and 994 or more others"), "{}", crowd.names());
}

#[test]
fn the_busiest_hour_is_the_first_of_equals() {
    let hour = |hour: i64, count| (hour, count);
    let action = Rehearsed { by_hour: [hour(5, 2), hour(3, 2), hour(4, 1)].into(), ..Rehearsed::default() };
    assert_eq!(action.busiest(), Some((Timestamp(3 * 3_600_000), 2)));
}
