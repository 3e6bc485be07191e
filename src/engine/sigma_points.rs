//! Where Sigma's specification is silent or says two things: one test for each row of the table in `docs/sigma.md`.

use serde_json::{Value, json};

use super::sigma_story::{at, first_diagnostic, matches, pair, rule_with, story};
use crate::alert::LedgerReason;

/// Events of author 7 with `f: 1`, at these seconds.
fn ones(seconds: &[i64]) -> Vec<Value> {
    seconds.iter().map(|second| at(*second, json!({"f": 1, "author_id": 7}))).collect()
}

fn counted(condition: &str) -> String {
    pair(&format!(
        "type: event_count\nrules: [one]\ngroup-by: [author_id]\ntimespan: 10s\ncondition: {condition}"
    ))
}

#[test]
fn sigma_point_01_a_percentile_is_that_of_numbers_and_names_its_rank() {
    let rule = |more: &str| {
        pair(&format!(
            "type: value_percentile\nrules: [one]\ngroup-by: [author_id]\ntimespan: 10m\n\
             condition: {{field: n, gte: 90{more}}}"
        ))
    };
    let events: Vec<Value> = (1..=100).map(|n| at(n, json!({"f": 1, "author_id": 7, "n": n}))).collect();
    assert_eq!(story(&rule(", percentile: 95"), &events).told(), ["both author_id = 7 94-100"]);
    assert_eq!(story(&rule(", percentile: 50"), &events).told(), [""; 0]);
    let warning = first_diagnostic(&rule("")).unwrap();
    assert_eq!(warning.code, "percentile-rank");
    assert_eq!(story(&rule(""), &events).told(), [""; 0]);
}

#[test]
fn sigma_point_02_thresholds_are_whole_for_counts_and_real_for_numbers() {
    assert_eq!(first_diagnostic(&counted("{gte: 1.5}")).unwrap().code, "bad-value");
    assert_eq!(story(&counted("{gt: 1, lt: 3}"), &ones(&[0, 1, 2])).told(), ["both author_id = 7 1-1"]);
    let average = pair(
        "type: value_avg\nrules: [one]\ngroup-by: [author_id]\ntimespan: 10s\ncondition: {field: n, gt: 1.5, lt: 1.75}",
    );
    let event = |second, n: f64| at(second, json!({"f": 1, "author_id": 7, "n": n}));
    // The means are 1, 1.5 and 1.6; an open bound leaves its number out.
    let told = story(&average, &[event(0, 1.0), event(1, 2.0), event(2, 1.8)]).told();
    assert_eq!(told, ["both author_id = 7 2-2"]);
}

#[test]
fn sigma_point_03_several_fields_of_a_value_count_are_a_tuple() {
    let rule = pair(
        "type: value_count\nrules: [one]\ngroup-by: [author_id]\ntimespan: 1m\ncondition: {field: [a, b], gte: 3}",
    );
    let event = |second, a: u8, b: u8| at(second, json!({"f": 1, "author_id": 7, "a": a, "b": b}));
    // Two values of each field make three combinations.
    let told = story(&rule, &[event(0, 1, 1), event(1, 1, 2), event(2, 1, 1), event(3, 2, 2)]).told();
    assert_eq!(told, ["both author_id = 7 3-3"]);
}

#[test]
fn sigma_point_04_one_event_counts_for_each_rule_it_matches_but_is_one_step_of_an_order() {
    let event = at(0, json!({"f": [1, 2], "author_id": 7}));
    let rule =
        |kind: &str| pair(&format!("type: {kind}\nrules: [one, two]\ngroup-by: [author_id]\ntimespan: 1m"));
    assert_eq!(story(&rule("temporal"), std::slice::from_ref(&event)).told(), ["both author_id = 7 0-0"]);
    assert_eq!(story(&rule("temporal_ordered"), std::slice::from_ref(&event)).told(), [""; 0]);
    let again = at(5, json!({"f": [1, 2], "author_id": 7}));
    assert_eq!(story(&rule("temporal_ordered"), &[event, again]).told(), ["both author_id = 7 0-5"]);
}

#[test]
fn sigma_point_05_events_of_one_millisecond_stand_in_either_order() {
    let rule = pair("type: temporal_ordered\nrules: [one, two]\ngroup-by: [author_id]\ntimespan: 1m");
    let event = |f: u8| at(3, json!({"f": f, "author_id": 7}));
    assert_eq!(story(&rule, &[event(1), event(2)]).told(), ["both author_id = 7 3-3"]);
    assert_eq!(story(&rule, &[event(2), event(1)]).told(), ["both author_id = 7 3-3"]);
    let later = |f: u8, second| at(second, json!({"f": f, "author_id": 7}));
    assert_eq!(story(&rule, &[later(2, 3), later(1, 4)]).told(), [""; 0]);
}

#[test]
fn sigma_point_06_an_event_without_the_key_is_not_counted_and_the_ledger_says_so() {
    let mut events = ones(&[0, 1]);
    events.extend((2..8).map(|second| at(second, json!({"f": 1}))));
    let story = story(&counted("{gte: 3}"), &events);
    assert!(story.of("both").is_empty());
    assert_eq!(story.missed("both", LedgerReason::MissingKey), 6);
}

#[test]
fn sigma_point_07_order_within_the_lateness_changes_nothing_and_later_events_go_to_the_ledger() {
    let in_order = story(&counted("{gte: 3}"), &ones(&[100, 104, 108, 150]));
    let shuffled = story(&counted("{gte: 3}"), &ones(&[150, 108, 100, 104]));
    assert_eq!(in_order.told(), ["both author_id = 7 108-108"]);
    assert_eq!(in_order.told(), shuffled.told());
    let late = story(&counted("{gte: 3}"), &ones(&[100, 104, 1000, 108]));
    assert_eq!(late.told(), [""; 0]);
    assert_eq!(late.missed("both", LedgerReason::TooLate), 1);
}

#[test]
fn sigma_point_08_one_stretch_is_one_alert_and_what_may_be_refuted_waits() {
    let story_of = |condition: &str, seconds: &[i64]| story(&counted(condition), &ones(seconds));
    // Each further event is a finding of the same alert; after a gap there is a new one.
    let told = story_of("{gte: 3}", &[0, 1, 2, 3, 4, 60, 61, 62]);
    assert_eq!(told.told(), ["both author_id = 7 2-4", "both author_id = 7 62-62"]);
    assert_eq!(told.of("both").len(), 4);
    // `lte` and `eq` are true on the way up; they are judged when no event can come any more.
    let eq = story_of("{eq: 2}", &[0, 1, 2]);
    assert_eq!(eq.told(), ["both author_id = 7 1-1"]);
    let refuted = story_of("{lte: 1}", &[5, 20, 21, 4]);
    assert_eq!(refuted.told(), ["both author_id = 7 20-20", "both author_id = 7 4-4"]);
    // The window is half-open: what is exactly ten seconds old has left it.
    assert_eq!(story_of("{gte: 2}", &[0, 10]).told(), [""; 0]);
    assert_eq!(story_of("{gte: 2}", &[0, 9]).told(), ["both author_id = 7 9-9"]);
}

#[test]
fn sigma_point_09_null_is_null_and_missing() {
    assert!(matches("f: null", json!({"g": 1})));
    assert!(matches("f: null", json!({"f": null})));
    assert!(!matches("f: null", json!({"f": ""})));
    assert!(!matches("f: ''", json!({"f": null})));
    assert!(matches("f: ''", json!({"f": ""})));
    // `exists` tells them apart: a null is there.
    assert!(matches("f|exists: true", json!({"f": null})));
    assert!(matches("f|exists: false", json!({"g": 1})));
}

#[test]
fn sigma_point_10_neq_is_plain_negation_so_a_missing_field_differs() {
    assert!(matches("f|neq: a", json!({"g": 1})));
    assert!(matches("f|neq: a", json!({"f": "b"})));
    assert!(!matches("f|neq: [a, b]", json!({"f": "B"})));
    assert!(!matches("f|neq: a\nf|exists: true", json!({"g": 1})));
    // Of an array no element may be equal.
    assert!(!matches("f|neq: a", json!({"f": ["b", "a"]})));
}

#[test]
fn sigma_point_11_regular_expressions_are_unanchored_linear_and_without_look_around() {
    assert!(matches("f|re: 'b+'", json!({"f": "abbc"})));
    assert!(!matches("f|re: '^b+$'", json!({"f": "abbc"})));
    assert!(!matches("f|re: 'B'", json!({"f": "abbc"})));
    let refused = |pattern: &str| first_diagnostic(&rule_with(&format!("f|re: '{pattern}'"))).unwrap().code;
    assert_eq!(refused("a(?=b)"), "bad-regex");
    assert_eq!(refused(r"(a)\1"), "bad-regex");
    // What takes a backtracking engine for ever is judged at once.
    assert!(!matches("f|re: '^(a+)+$'", json!({"f": format!("{}b", "a".repeat(5000))})));
}

#[test]
fn sigma_point_12_values_compare_by_their_text() {
    assert!(matches("f: 10", json!({"f": "10"})) && matches("f: '10'", json!({"f": 10})));
    assert!(matches("f: 1*", json!({"f": 10})) && matches("f|contains: 0", json!({"f": 10})));
    assert!(matches("f: true", json!({"f": "True"})) && matches("f: 0x10", json!({"f": 16})));
    // A number with a fraction finds the number, however it is written, and the same text.
    for event in [json!({"f": 1.0}), json!({"f": 1}), json!({"f": "1.0"})] {
        assert!(matches("f: 1.0", event.clone()), "{event}");
    }
    assert!(matches("f: 1e3", json!({"f": 1000})) && !matches("f: 1.0", json!({"f": "1.00"})));
    assert!(matches("f|gte: 10", json!({"f": "10"})) && !matches("f|gte: 10", json!({"f": "ten"})));
    assert!(!matches("f|lt: 10", json!({"f": true})) && !matches("f|lt: 10", json!({"f": null})));
    assert_eq!(first_diagnostic(&rule_with("f|gte: '10'")).unwrap().code, "bad-value");
}

#[test]
fn sigma_point_13_weeks_go_to_53_in_utc_and_times_come_in_several_forms() {
    assert!(matches("f|week: 53", json!({"f": "2026-12-31T23:00:00Z"})));
    assert!(matches("f|week: 53", json!({"f": "2027-01-03"})));
    assert!(matches("f|week: 1", json!({"f": "2027-01-04"})));
    assert_eq!(first_diagnostic(&rule_with("f|week: 54")).unwrap().code, "bad-value");
    for (time, is_hit) in [
        (json!("2026-01-05T23:30:00+01:00"), true),
        (json!("2026-01-05 22:30:00"), true),
        (json!("2026-01-05 22:30:00 UTC"), true),
        (json!(1_767_652_200), true),
        (json!(1_767_652_200_123_i64), true),
        (json!("1767652200"), true),
        (json!("2026-01-05T23:30:00Z"), false),
        (json!("yesterday at 22:30"), false),
        (json!(null), false),
    ] {
        assert_eq!(matches("f|hour: 22", json!({"f": time})), is_hit, "{time}");
    }
}

#[test]
fn sigma_point_14_windash_has_a_bound() {
    for dash in ["-", "/", "–", "—", "―"] {
        assert!(matches("f|windash|contains: ' -enc'", json!({"f": format!("x {dash}enc y")})), "{dash}");
        assert!(matches(&format!("f|windash|contains: ' {dash}enc'"), json!({"f": "x -enc y"})), "{dash}");
    }
    // Only a dash before a word is one.
    assert!(!matches("f|windash: 'a-b'", json!({"f": "a/b"})));
    assert!(matches("f|windash: '-a -b -c -d'", json!({"f": "/a –b —c ―d"})));
    assert_eq!(first_diagnostic(&rule_with("f|windash: '-a -b -c -d -e'")).unwrap().code, "too-many-values");
}

#[test]
fn sigma_point_15_dots_go_into_objects_and_any_element_of_an_array_will_do() {
    assert!(matches("a.b: x", json!({"a": {"b": "x"}})));
    assert!(matches("a.b: x", json!({"a.b": "x"})));
    assert!(matches("a.b: x", json!({"a": [{"b": "y"}, {"b": ["z", "x"]}]})));
    assert!(matches("a|contains|all: [x, y]", json!({"a": ["x1", "y1"]})));
    assert!(!matches("a.b: x", json!({"b": "x"})));
    assert!(!matches("a: x", json!({"a": {"b": "x"}})));
}

#[test]
fn sigma_point_16_a_list_of_conditions_is_an_or() {
    let rule = "title: T\nlogsource: {product: generic}\ndetection:\n  a: {f: 1}\n  b: {f: 2}\n  c: {g: 1}\n  \
                condition: [a and c, b]\n";
    let hits = |event| story(rule, &[at(0, event)]).findings.len();
    assert_eq!([hits(json!({"f": 1})), hits(json!({"f": 1, "g": 1})), hits(json!({"f": 2}))], [0, 1, 1]);
    // An event that meets both is one finding.
    assert_eq!(hits(json!({"f": [1, 2], "g": 1})), 1);
}

#[test]
fn sigma_point_17_case_is_that_of_unicode_one_character_at_a_time() {
    assert!(matches("f: ÄRGER", json!({"f": "ärger"})));
    assert!(matches("f: 'ΟΔΟΣ'", json!({"f": "οδος"})));
    assert!(matches("f|contains: 'привет'", json!({"f": "ПРИВЕТ!"})));
    assert!(!matches("f: strasse", json!({"f": "straße"})));
    assert!(!matches("f|cased: ÄRGER", json!({"f": "ärger"})));
}

#[test]
fn sigma_point_18_what_is_no_address_is_in_no_network() {
    assert!(matches("f|cidr: 10.0.0.0/8", json!({"f": "10.1.2.3"})));
    assert!(matches("f|cidr: 10.0.0.0/8", json!({"f": "::ffff:10.1.2.3"})));
    assert!(matches("f|cidr: 10.9.9.9/8", json!({"f": "10.1.2.3"})));
    assert!(matches("f|cidr: 'fd00::/8'", json!({"f": "FD00:0::1"})));
    assert!(matches("f|cidr: 10.0.0.1", json!({"f": "10.0.0.1"})));
    for text in ["10.1.2", "10.1.2.3:22", "host", "", "10.1.2.3/32", " 10.1.2.3"] {
        assert!(!matches("f|cidr: 0.0.0.0/0", json!({"f": text})), "{text}");
    }
    assert!(matches("f|cidr|neq: 0.0.0.0/0", json!({"f": "host"})));
}

#[test]
fn sigma_point_19_a_reference_to_a_missing_field_is_false() {
    assert!(matches("f|fieldref: g", json!({"f": "A", "g": "a"})));
    for event in [json!({"f": "a"}), json!({"g": "a"}), json!({"h": 1}), json!({"f": null, "g": null})] {
        assert!(!matches("f|fieldref: g", event.clone()), "{event}");
        assert!(matches("f|fieldref|neq: g", event.clone()), "{event}");
    }
}

#[test]
fn sigma_point_20_temporal_without_a_condition_wants_all_rules() {
    let rule = |more: &str| {
        pair(&format!("type: temporal\nrules: [one, two]\ngroup-by: [author_id]\ntimespan: 1m{more}"))
    };
    let event = |second, f: u8| at(second, json!({"f": f, "author_id": 7}));
    let (only, both) = ([event(0, 1), event(1, 1)], [event(0, 2), event(1, 1)]);
    assert_eq!(story(&rule(""), &only).told(), [""; 0]);
    assert_eq!(story(&rule(""), &both).told(), ["both author_id = 7 1-1"]);
    assert_eq!(story(&rule("\ncondition: {gte: 1}"), &only).told(), ["both author_id = 7 0-1"]);
    assert_eq!(story(&rule("\ncondition: {gte: 2}"), &both).told(), ["both author_id = 7 1-1"]);
}

#[test]
fn sigma_point_21_generate_stands_inside_or_beside() {
    let rule =
        pair("type: event_count\nrules: [one]\ngroup-by: [author_id]\ntimespan: 1m\ncondition: {gte: 2}");
    let alerts = |rule: &str| story(rule, &ones(&[0, 1])).told().len();
    assert_eq!(alerts(&rule), 1);
    assert_eq!(alerts(&format!("{rule}  generate: true\n")), 3);
    assert_eq!(alerts(&format!("{rule}generate: true\n")), 3);
    assert_eq!(alerts(&format!("{rule}  generate: true\ngenerate: true\n")), 3);
    let two = format!("{rule}  generate: true\ngenerate: false\n");
    assert_eq!(first_diagnostic(&two).unwrap().code, "two-answers");
}

/// Beside the 21: an event may hold what no tree of JSON can. It is judged all the same.
#[test]
fn an_event_with_half_a_character_or_an_endless_number_is_judged() {
    let tree =
        json!({"f": "x", "odd": "ODD", "created_at": "2026-01-05T09:00:00Z", "author_id": 7}).to_string();
    let deep = format!("{}1{}", "[".repeat(300), "]".repeat(300));
    for odd in [r#""a\ud83d""#, "1e999", deep.as_str()] {
        let event = tree.replace("\"ODD\"", odd);
        for entry in ["f: x", "f: x\nodd|exists: true", "f: x\nscript: event.f == \"x\"", "f: x\nodd|neq: 1"]
        {
            let told = super::sigma_story::tell_raw(&rule_with(entry), &event);
            assert_eq!(told.findings.len(), 1, "{entry} {odd}");
        }
    }
    let event = tree.replace("\"ODD\"", r#""a\ud83d""#);
    assert_eq!(super::sigma_story::tell_raw(&rule_with("odd: 'a\u{FFFD}'"), &event).findings.len(), 1);
    assert_eq!(
        super::sigma_story::tell_raw(&rule_with("odd|gte: 5"), &tree.replace("\"ODD\"", "1e999"))
            .findings
            .len(),
        1
    );
}
