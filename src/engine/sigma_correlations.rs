//! Correlations, chains of them and filters, from the text of the rules to the alerts.

use std::path::Path;

use serde_json::{Value, json};

use super::sigma_story::{START, at, compiled, compiled_on, first_diagnostic, pair, story, tell};
use crate::alert::LedgerReason;
use crate::event::Format;
use crate::rule::{Lists, RuleFile, load};
use crate::time::Span;

fn event(second: i64, f: u8, author: u8, n: Value) -> Value {
    at(second, json!({"f": f, "author_id": author, "n": n}))
}

/// A correlation of this type over rule `one`, for each author, within ten seconds.
fn over_values(kind: &str, condition: &str) -> String {
    pair(&format!(
        "type: {kind}\nrules: [one]\ngroup-by: [author_id]\ntimespan: 10s\ncondition: {{field: n, {condition}}}"
    ))
}

#[test]
fn every_type_over_values_is_computed() {
    let numbers = [4.0, 1.0, 10.0, 3.0, 2.5];
    let events: Vec<Value> = (0..).zip(numbers).map(|(second, n)| event(second, 1, 7, json!(n))).collect();
    for (kind, condition, expected) in [
        // 4, 5, 15, 18, 20.5
        ("value_sum", "gte: 15", "2-4"),
        ("value_sum", "gt: 18", "4-4"),
        // 4, 2.5, 5, 4.5, 4.1
        ("value_avg", "lt: 4.2, gt: 2.6", "0-0 4-4"),
        ("value_avg", "gte: 4.5", "2-3"),
        // The (lower) middle of 4; 1 and 4; 1, 4, 10; 1, 3, 4, 10; 1, 2.5, 3, 4, 10.
        ("value_median", "eq: 3", "3-4"),
        ("value_percentile", "percentile: 100, gte: 10", "2-4"),
        ("value_percentile", "percentile: 0, lte: 1", "1-4"),
        ("value_count", "gte: 4", "3-4"),
    ] {
        let told = story(&over_values(kind, condition), &events).told();
        let expected: Vec<String> =
            expected.split(' ').map(|stretch| format!("both author_id = 7 {stretch}")).collect();
        assert_eq!(told, expected, "{kind} {condition}");
    }
}

#[test]
fn what_is_no_number_is_told_and_not_added() {
    let events = [event(0, 1, 7, json!("5")), event(1, 1, 7, json!("many")), event(2, 1, 7, json!(5))];
    let told = story(&over_values("value_sum", "gte: 10"), &events);
    assert_eq!(told.told(), ["both author_id = 7 2-2"]);
    assert_eq!(told.missed("both", LedgerReason::NotANumber), 1);
}

#[test]
fn a_condition_over_rules_is_judged_in_every_window() {
    let rule = |condition: &str| {
        pair(&format!(
            "type: temporal\nrules: [one, two]\ngroup-by: [author_id]\ntimespan: 10s\ncondition: {condition}"
        ))
    };
    let one = |second| event(second, 1, 7, json!(0));
    let two = |second| event(second, 2, 7, json!(0));
    assert_eq!(story(&rule("one or two"), &[one(0), two(30)]).told().len(), 2);
    assert_eq!(story(&rule("one and two"), &[one(0), two(30), one(35)]).told(), ["both author_id = 7 35-35"]);
    // `not` waits until nothing that would refute it can come any more, in whatever order it comes.
    assert_eq!(story(&rule("one and not two"), &[one(100), two(95)]).told(), [""; 0]);
    assert_eq!(story(&rule("one and not two"), &[two(85), one(100)]).told(), ["both author_id = 7 100-100"]);
}

const CHAIN: &str = "\
title: Failed
name: failed
logsource: {product: generic}
detection: {s: {event_type: failed}, condition: s}
---
title: Many failed
name: many
correlation: {type: event_count, rules: [failed], group-by: [ip_address], timespan: 1m, condition: {gte: 3}}
---
title: Then one that worked
name: worked
logsource: {product: generic}
detection: {s: {event_type: worked}, condition: s}
---
title: Many failed, then one worked
name: guessed
correlation:
  type: temporal_ordered
  rules: [many, worked]
  group-by: [address]
  aliases: {address: {many: ip_address, worked: from}}
  timespan: 10m
";

fn tried(second: i64, event_type: &str, address: &str) -> Value {
    at(second, json!({"event_type": event_type, "ip_address": address, "from": address, "author_id": second}))
}

#[test]
fn a_correlation_over_a_correlation_counts_its_alerts_once() {
    let failed = |second| tried(second, "failed", "192.0.2.1");
    let mut events: Vec<Value> = (0..20).map(failed).collect();
    events.push(tried(60, "worked", "192.0.2.9"));
    let quiet = story(CHAIN, &events);
    // The inner correlation only feeds the outer one.
    assert_eq!(quiet.told(), [""; 0]);
    assert!(!quiet.of("many").is_empty());
    events.push(tried(90, "worked", "192.0.2.1"));
    assert_eq!(story(CHAIN, &events).told(), ["guessed address = 192.0.2.1 2-90"]);
    // Eighteen findings of one stretch are one alert, so they count once.
    let twice = CHAIN.replace("type: temporal_ordered", "type: event_count\n  condition: {gte: 2}");
    let twice = twice.replace("rules: [many, worked]", "rules: [many]").replace(", worked: from", "");
    assert_eq!(story(&twice, &events).told().len(), 20 - 18);
}

#[test]
fn a_rule_with_a_behaviour_may_be_correlated() {
    let rules = "\
title: Many of one author
name: busy
logsource: {product: generic}
detection: {s: {f: 1}, condition: s}
behavior: {by: author_id, within: 10s, at_least: 3}
---
title: Three busy authors
name: crowd
correlation: {type: value_count, rules: [busy], timespan: 1m, condition: {field: author_id, gte: 3}}
";
    let authors =
        |count: i64| (0..count * 3).map(|n| event(n, 1, (n % count) as u8, json!(0))).collect::<Vec<_>>();
    assert_eq!(story(rules, &authors(2)).told(), [""; 0]);
    assert_eq!(story(rules, &authors(3)).told().len(), 1);
    assert_eq!(story(rules, &authors(3)).alerts[0].rule.as_ref(), "crowd");
}

const FILTERED: &str = "\
title: Any
id: any-f
logsource: {product: generic, service: audit}
detection: {s: {f: '*'}, condition: s}
---
title: Many
id: many
correlation: {type: event_count, rules: [any-f], timespan: 1m, condition: {gte: 2}, generate: true}
---
title: Robots may
logsource: {product: generic}
owner: platform
expires: 2026-01-05
filter:
  rules: [any-f]
  robot: {author_class: robot}
  night: {f: 9}
  condition: robot and not night
";

#[test]
fn a_filter_takes_events_from_its_rules_and_from_what_counts_them() {
    let robot = |second, f: u8| at(second, json!({"f": f, "author_class": "robot"}));
    let human = |second| at(second, json!({"f": 1}));
    let told = story(FILTERED, &[robot(0, 1), robot(1, 1), human(2), robot(3, 9)]);
    assert_eq!(told.of("any-f").len(), 2);
    assert_eq!(told.of("many").len(), 1);
    for other in [
        FILTERED.replace("logsource: {product: generic}\nowner", "logsource: {product: gitlab}\nowner"),
        FILTERED.replace("logsource: {product: generic}\nowner", "logsource: {service: other}\nowner"),
        FILTERED.replace("  rules: [any-f]", "  rules: [another]"),
    ] {
        assert_eq!(story(&other, &[robot(0, 1), human(1)]).of("any-f").len(), 2, "{other}");
    }
    let any = FILTERED.replace("rules: [any-f]\n  robot", "rules: any\n  robot");
    assert_eq!(story(&any, &[robot(0, 1)]).of("any-f").len(), 0);
}

#[test]
fn an_expired_filter_no_longer_applies_and_is_reported() {
    let robot = at(0, json!({"f": 1, "author_class": "robot"}));
    let last_moment = compiled_on(FILTERED, START.plus(Span::hours(14)));
    assert_eq!(last_moment.diagnostics, []);
    assert_eq!(tell(last_moment, Format::Generic, std::slice::from_ref(&robot)).findings, []);
    let expired = compiled_on(FILTERED, START.plus(Span::hours(15)));
    let found: Vec<(&str, u32)> = expired.diagnostics.iter().map(|found| (found.code, found.line)).collect();
    assert_eq!(found, [("expired-filter", 10)]);
    assert_eq!(tell(expired, Format::Generic, &[robot]).findings.len(), 1);
}

#[test]
fn a_circle_is_refused_before_it_reaches_the_engine() {
    let circle = CHAIN.replace("rules: [failed]", "rules: [guessed]");
    let found = first_diagnostic(&circle).unwrap();
    assert_eq!((found.code, found.line), ("circle", 8));
}

/// Every published rule that lies beside the checkout is compiled, and looks at an event of each format.
#[test]
fn published_sigma_rules_compile() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut folders: Vec<_> = here
        .ancestors()
        .skip(1)
        .map(|above| above.join("shared/sigma/rules"))
        .filter(|it| it.is_dir())
        .collect();
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            match entry.path() {
                path if path.is_dir() => folders.push(path),
                path => files.push(RuleFile {
                    path: path.to_string_lossy().into(),
                    text: std::fs::read_to_string(&path).unwrap(),
                }),
            }
        }
    }
    if files.is_empty() {
        println!("skipped: there are no rules in ../shared/sigma");
        return;
    }
    let loaded = load(&files, &Lists::new());
    assert_eq!((loaded.rules.len(), loaded.diagnostics.as_slice()), (652, [].as_slice()));
    // Most are for products that Watchfire has no format for; without a product each one reaches every matcher.
    let mut rules = loaded.rules;
    rules.iter_mut().for_each(|rule| rule.logsource.product = None);
    let environment = super::Environment {
        catalogue: std::sync::Arc::new(crate::event::Catalogue::built_in()),
        cage: std::sync::Arc::new(crate::script::Cage::new(std::sync::Arc::default())),
        lateness: Span::minutes(5),
        today: START,
    };
    let compiled = super::compile(rules, &loaded.filters, &environment);
    assert_eq!((compiled.rules.units().len(), compiled.diagnostics.as_slice()), (652, [].as_slice()));
    let told = tell(compiled, Format::Generic, &[at(0, json!({"eventName": "x", "author_id": 1}))]);
    assert!(told.findings.len() < 652);
}

#[test]
fn a_rule_set_without_correlations_is_not_silent() {
    assert!(compiled(FILTERED).rules.units().iter().all(|unit| !unit.is_silent));
}
