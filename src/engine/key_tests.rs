//! Whose an alert is: keys that senders cannot forge, amounts that are not cut, and what a changed rule forgets.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use super::*;
use crate::alert::{Alert, LedgerReason};
use crate::decode::decode;
use crate::event::{Catalogue, Entry, Event, Format};
use crate::time::{Span, Timestamp};

const START: Timestamp = Timestamp(1_790_000_000_000);

fn rules(texts: &[&str]) -> Arc<RuleSet> {
    testing::rules(texts, (Span::seconds(5), START))
}

/// A rule with this behaviour, over events of type `x`, and more of its keys.
fn rule(behavior: &str, more: &str) -> String {
    format!(
        "title: A rule\nid: a-rule\nlogsource: {{product: gitlab}}\ndetection:\n  a: {{event_type: x}}\n  \
         b: {{event_type: y}}\n  condition: a or b\nbehavior: {behavior}\n{more}"
    )
}

/// What a run found.
struct Found {
    alerts: Vec<Alert>,
    missed: Vec<LedgerReason>,
}

/// Runs a rule over events of type `x`, each given as its second and the fields it has beside.
fn run(text: &str, events: &[(i64, Value)]) -> Found {
    let raw = events.iter().map(|(second, fields)| (*second, fields.to_string())).collect::<Vec<_>>();
    run_raw(text, &raw)
}

fn run_raw(text: &str, events: &[(i64, String)]) -> Found {
    let limits = Limits { lateness: Span::seconds(5), ..Limits::default() };
    let mut engine = Engine::new(rules(&[text]), Arc::new(Catalogue::built_in()), limits);
    let (mut effects, mut alerts, mut missed) = (Effects::default(), BTreeMap::new(), Vec::new());
    let mut take = |effects: &mut Effects| {
        alerts.extend(effects.alerts.iter().map(|opened| (opened.alert.id.clone(), opened.alert.clone())));
        missed.extend(effects.ledger.iter().map(|entry| entry.reason));
        effects.clear();
    };
    for (position, (second, fields)) in (1..).zip(events) {
        let time = START.plus(Span::seconds(*second));
        let rest = fields.strip_prefix('{').unwrap();
        let kind = if fields.contains("event_type") { "" } else { "\"event_type\":\"x\"," };
        let body = format!("{{\"id\":\"e{position}\",{kind}\"created_at\":\"{time}\",{rest}");
        let source: Arc<str> = "gitlab".into();
        let event = decode(Format::Gitlab, &source, body.into_bytes().into(), None, time).unwrap().event;
        engine.handle(&Entry::Event(Event { position, ..event }), &mut effects);
        take(&mut effects);
    }
    engine.finish(START.plus(Span::days(2)), &mut effects);
    take(&mut effects);
    let alerts = alerts.into_values().filter(|alert| alert.merged_into.is_none()).collect();
    Found { alerts, missed }
}

fn keys(found: &Found) -> Vec<Value> {
    let mut alerts: Vec<&Alert> = found.alerts.iter().collect();
    alerts.sort_by_key(|alert| alert.started_at);
    alerts.iter().map(|alert| Value::Object(alert.key.to_json())).collect()
}

#[test]
fn a_text_cannot_say_whose_an_alert_is() {
    let text = rule("{by: [user_agent, author_id], within: 10s, at_least: 2}", "");
    let forged = json!({"user_agent": "x\u{1f}1", "author_id": 66});
    let found = run(&text, &[(0, forged.clone()), (1, forged.clone())]);
    assert_eq!(keys(&found), [forged]);
}

#[test]
fn parts_that_join_to_one_text_stay_apart() {
    let (left, right) = (("a", "b\u{1f}c"), ("a\u{1f}b", "c"));
    let event =
        |(agent, name): (&str, &str)| json!({"user_agent": agent, "author_name": name, "author_id": 7});
    let by = rule("{by: [user_agent, author_name], within: 10s, at_least: 2}", "");
    assert!(run(&by, &[(0, event(left)), (1, event(right))]).alerts.is_empty());
    let distinct = rule("{by: author_id, distinct: [user_agent, author_name], within: 10s, at_least: 2}", "");
    assert_eq!(run(&distinct, &[(0, event(left)), (1, event(right))]).alerts.len(), 1);
    let change = rule("{by: author_id, change: [user_agent, author_name]}", "");
    assert_eq!(run(&change, &[(0, event(left)), (1, event(right))]).alerts.len(), 1);
}

#[test]
fn the_rule_above_gets_the_key_as_it_is() {
    let inner = rule("{by: [user_agent, author_id], within: 10s, at_least: 2}", "");
    let outer = "title: Above\nid: above\ncorrelation: {type: event_count, rules: [a-rule], \
                 group-by: [author_id], timespan: 1h, condition: {gte: 1}}\n";
    let forged = json!({"user_agent": "x\u{1f}1\u{1b}", "author_id": 66});
    let found = run(&format!("{inner}---\n{outer}"), &[(0, forged.clone()), (1, forged)]);
    assert_eq!(keys(&found), [json!({"author_id": 66})]);
}

#[test]
fn a_rare_value_is_told_of_whose_it_is() {
    let text =
        rule("{by: [user_agent, author_id], rare: author_name, history: 1d, below: 50%, min_events: 3}", "");
    let mut events: Vec<(i64, Value)> = (0..9)
        .map(|second| (second, json!({"user_agent": "git", "author_id": 1, "author_name": "ann"})))
        .collect();
    let forged = json!({"user_agent": "x\u{1f}1", "author_id": 66, "author_name": "bob"});
    events.push((60, forged));
    assert_eq!(keys(&run(&text, &events)), [json!({"user_agent": "x\u{1f}1", "author_id": 66})]);
}

#[test]
fn whole_numbers_beyond_64_bits_are_not_rounded_into_one() {
    let text = rule("{by: author_id, within: 10s, at_least: 2}", "");
    let event = |second: i64, id: &str| (second, format!("{{\"author_id\":{id}}}"));
    let (one, other) = ("123456789012345678901234567890123", "123456789012345678901234567890124");
    assert!(run_raw(&text, &[event(0, one), event(1, other)]).alerts.is_empty());
    let found = run_raw(&text, &[event(0, one), event(1, one)]);
    assert_eq!(keys(&found), [json!({"author_id": one})]);
}

#[test]
fn amounts_are_counted_exactly_or_not_at_all() {
    let event = |amount: Value| (0, json!({"author_id": 7, "details": {"v": amount}}));
    let max = rule("{by: author_id, max: details.v, within: 10s, at_least: 9000000000000}", "");
    let sum = rule("{by: author_id, sum: details.v, within: 10s, at_least: 10000000000000}", "");
    for amount in [json!(10_000_000_000_000_u64), json!(1e13), json!("1e13"), json!("10000000000000")] {
        for text in [&max, &sum] {
            let found = run(text, &[event(amount.clone())]);
            assert_eq!(
                (found.alerts.len(), &*found.missed),
                (0, &[LedgerReason::OutOfRange][..]),
                "{amount}"
            );
        }
    }
    let half = event(json!(5_000_000_000_000_u64));
    assert_eq!(run(&sum, &[half.clone(), half]).alerts.len(), 1);
    let spike = rule("{by: author_id, spike: {of: sum details.v, bucket: 1h, history: 14d}}", "");
    assert_eq!(run(&spike, &[event(json!(1e13))]).missed, [LedgerReason::OutOfRange]);
}

#[test]
fn a_number_among_blanks_is_a_number() {
    let text = rule("{by: author_id, sum: details.n, within: 10s, at_least: 5}", "");
    for amount in [" 5", "5 ", "5\n", "+5"] {
        let found = run(&text, &[(0, json!({"author_id": 7, "details": {"n": amount}}))]);
        assert_eq!((found.alerts.len(), found.missed.len()), (1, 0), "{amount:?}");
    }
    for amount in ["inf", "nan", "5 5"] {
        let found = run(&text, &[(0, json!({"author_id": 7, "details": {"n": amount}}))]);
        assert_eq!(found.missed, [LedgerReason::NotANumber], "{amount:?}");
    }
}

#[test]
fn nobody_forms_a_group_of_their_own_for_what_is_rare_too() {
    let text = |missing: &str| {
        rule(
            &format!(
                "{{by: author_name, rare: user_agent, history: 1d, below: 50%, min_events: 3{missing}}}"
            ),
            "",
        )
    };
    let mut events: Vec<(i64, Value)> =
        (0..9).map(|second| (second, json!({"author_name": "ann", "user_agent": "git"}))).collect();
    events.push((60, json!({"user_agent": "curl"})));
    let found = run(&text(", missing: group"), &events);
    assert_eq!((keys(&found), found.missed.len()), (vec![json!({})], 0));
    let found = run(&text(""), &events);
    assert_eq!((found.alerts.len(), &*found.missed), (0, &[LedgerReason::MissingKey][..]));
    let peers = rule(
        "{by: author_name, rare: user_agent, peers: entity_path, history: 1d, below: 50%, min_events: 3, missing: group}",
        "",
    );
    assert_eq!(run(&peers, &events).missed.len(), 10, "among whom it is rare must be known");
}

#[test]
fn what_steps_have_in_common_does_not_split_alerts() {
    let text =
        |suppress: &str| rule("{by: entity_id, sequence: [a, b], same: author_id, within: 10s}", suppress);
    let step = |kind: &str, author: u8| json!({"event_type": kind, "author_id": author, "entity_id": 5});
    let events =
        [(0, step("x", 1)), (1, step("y", 1)), (20, step("x", 2)), (21, step("y", 2)), (22, step("y", 1))];
    let found = run(&text("suppress: 1h\n"), &events);
    assert_eq!(keys(&found), [json!({"entity_id": 5})]);
    assert_eq!(found.alerts[0].findings, 2);
    assert_eq!(run(&text(""), &events).alerts.len(), 2, "further apart than `suppress`");
    let crossed = [(0, step("x", 1)), (1, step("y", 2))];
    assert!(run(&text(""), &crossed).alerts.is_empty());
}

#[test]
fn an_alert_is_joined_by_what_begins_within_suppress_however_long_it_takes() {
    let text = rule("{by: entity_id, sequence: [a, b], within: 10m}", "suppress: 1h\n");
    let step = |kind: &str, entity: u8| json!({"event_type": kind, "entity_id": entity});
    let mut events = vec![(0, step("x", 5)), (60, step("y", 5)), (2800, step("x", 9)), (3640, step("x", 5))];
    // Others go on meanwhile, and what is over is swept out.
    events.extend((3650..4230).step_by(10).map(|second| (second, step("x", 9))));
    events.push((4230, step("y", 5)));
    let found = run(&text, &events);
    assert_eq!(found.alerts.len(), 1, "{:#?}", found.alerts);
    assert_eq!(found.alerts[0].findings, 2);
}

const INNER: &str = "title: Inner\nid: inner\nname: inner\nlogsource: {product: gitlab}\n\
                     detection: {a: {event_type: x}, condition: a}\n";

fn above(id: &str, below: &str) -> String {
    format!(
        "title: Rule {id}\nid: {id}\nname: {id}\ncorrelation: {{type: event_count, rules: [{below}], \
         group-by: [author_id], timespan: 1h, condition: {{gte: 2}}}}\n"
    )
}

const RISK: &str = "title: Risk\nid: risk\nlogsource: {product: gitlab}\n\
                    behavior: {by: author_id, risk: {half_life: 1d, at_least: 100}}\n";

/// The ids of the rules that mean something else in the second set.
fn changed(before: &[&str], after: &[&str]) -> Vec<String> {
    let (before, after) = (rules(before), rules(after));
    let is_new = |unit: &&Unit| before.unit(unit.id()).is_none_or(|old| old.fingerprint != unit.fingerprint);
    after.units().iter().filter(is_new).map(|unit| unit.id().to_string()).collect()
}

#[test]
fn a_rule_over_rules_changes_with_all_that_lie_below() {
    let (middle, top, other) = (
        above("middle", "inner"),
        above("top", "middle"),
        rule("{by: author_id, within: 1h, at_least: 3}", ""),
    );
    for texts in [[&*middle, &top], [&*top, &middle]] {
        let before = [INNER, texts[0], texts[1], &other];
        let inner = INNER.replace("event_type: x", "event_type: z");
        let mut expected = vec!["inner".to_owned(), "middle".to_owned(), "top".to_owned()];
        let mut found = changed(&before, &[&inner, texts[0], texts[1], &other]);
        expected.sort();
        found.sort();
        assert_eq!(found, expected);
        let filter = "title: Not ours\nid: not-ours\nlogsource: {product: gitlab}\n\
                      filter: {rules: [inner], selection: {author_id: 1}, condition: not selection}\n";
        let mut found = changed(&before, &[INNER, texts[0], texts[1], &other, filter]);
        found.sort();
        assert_eq!(found, expected);
        assert!(
            changed(&before, &[&other, texts[1], texts[0], INNER]).is_empty(),
            "their order means nothing"
        );
    }
}

#[test]
fn a_risk_changes_with_what_it_adds_up() {
    let scored = format!("{INNER}score: 10\n");
    let more = format!("{INNER}score: 20\n");
    let other = rule("{by: author_id, within: 1h, at_least: 3}", "score: 5\n");
    let unscored = rule("{by: author_id, within: 1h, at_least: 3}", "");
    let before = [&*scored, &other, RISK];
    assert!(changed(&before, &[RISK, &other, &scored]).is_empty());
    assert_eq!(changed(&before, &[&more, &other, RISK]), ["risk"]);
    assert_eq!(changed(&before, &[&scored, &unscored, RISK]), ["risk"]);
    assert_eq!(changed(&before, &[&scored.replace("type: x", "type: z"), &other, RISK]), ["inner", "risk"]);
    assert_eq!(
        changed(&before, &[&scored, &other.replace("least: 3", "least: 4"), RISK]),
        ["a-rule", "risk"]
    );
    let quiet = INNER.replace("inner", "quiet");
    assert_eq!(changed(&before, &[&scored, &other, &quiet, RISK]), ["quiet"]);
}
