//! Every kind is read, and every mistake is named where it stands.

use crate::rule::Severity;
use crate::rule::ast::{Behavior, Body, Compare, Kind};
use crate::rule::tests::{diagnostics_of, rule_of};
use crate::time::Span;

const HEAD: &str = "title: T\nlogsource: {product: gitlab}\ndetection:\n  a: {x: 1}\n  b: {x: 2}\n  c: {x: 3}\n  condition: 1 of them\nbehavior:\n";

fn check(behavior: &str) -> Behavior {
    match rule_of(&format!("{HEAD}{behavior}")).body {
        Body::Behavior(_, behavior) => behavior,
        other => panic!("{other:?}"),
    }
}

fn fails(behavior: &str) -> Vec<String> {
    let text = format!("{HEAD}{behavior}");
    let found = diagnostics_of(&text).into_iter().filter(|d| d.severity == Severity::Error);
    found.map(|d| format!("{}:{}+{} {}: {}", d.line, d.column, d.width, d.code, d.message)).collect()
}

#[test]
fn each_kind_is_read() {
    let read = check("  {by: author_id, within: 10m, at_least: 5}");
    assert_eq!(read.by, ["author_id"]);
    assert_eq!((read.within, read.compare), (Span::minutes(10), Compare::AtLeast(5.0)));
    assert!(matches!(read.kind, Kind::Count) && !read.missing_is_a_group);

    let read = check("  {by: [a, b.c], missing: group, within: 1h, distinct: [d, e], between: [2, 4]}");
    assert!(matches!(read.kind, Kind::Distinct(fields) if fields == ["d", "e"]));
    assert_eq!(read.compare, Compare::Between(2.0, 4.0));
    assert!(read.missing_is_a_group && read.by == ["a", "b.c"]);

    let read = check("  {by: a, within: 1h, absence: {of: b, after: a}}");
    assert!(matches!(read.kind, Kind::Absence { of: Some(1), after: Some(0) }));
    let read = check("  {within: 1h, absence: }");
    assert!(matches!(read.kind, Kind::Absence { of: None, after: None }) && read.by.is_empty());

    let read = check("  {by: a, first_seen: ip_address, learn: 14d, forget: 90d}");
    let Kind::FirstSeen { fields, learn, forget } = read.kind else { panic!() };
    assert_eq!((fields, learn, forget), (vec!["ip_address".to_owned()], Span::days(14), Span::days(90)));

    assert!(matches!(check("  {by: a, dormant: 60d}").kind, Kind::Dormant(span) if span == Span::days(60)));
}

#[test]
fn every_mistake_is_named_where_it_stands() {
    for (behavior, expected) in [
        ("  {by: a, within: 10m}", "8:1+8 missing-key: `behavior` has no `at_least`"),
        ("  {by: a, at_least: 3}", "8:1+8 missing-key: `behavior` has no `within`"),
        ("  {within: 10m, atleast: 3}", "9:17+7 unknown-key: unknown key `atleast` in `behavior`"),
        ("  {within: 10, at_least: 3}", "9:12+2 bad-span: `within`"),
        ("  {within: 1h, at_least: 0}", "9:26+1 bad-value: `at_least` always holds"),
        ("  {within: 1h, at_least: 1.5}", "9:26+3 bad-value: `at_least` must be a whole number"),
        ("  {within: 1h, at_most: 0}", "9:25+1 bad-value: `at_most` asks for nothing"),
        ("  {within: 1h, between: [5, 2]}", "9:25+1 bad-value: `between` is empty"),
        ("  {within: 1h, between: 5}", "9:25+1 bad-value: `between` needs two numbers"),
        ("  {within: 1h, at_least: 1, at_most: 3}", "9:29+7 two-comparisons:"),
        ("  {within: 1h, count: 3}", "9:23+1 bad-value: `count` takes no value"),
        ("  {within: 1h, distinct: a, sequence: [a, b]}", "9:29+8 two-kinds:"),
        ("  {dormant: 1h, within: 3h}", "9:17+6 misplaced-key: `within` means nothing with `dormant`"),
        (
            "  {within: 1h, at_least: 2, learn: 3d}",
            "9:29+5 misplaced-key: `learn` means nothing with `count`",
        ),
        ("  {within: 1h, absence: {of: d}}", "9:30+1 unknown-selection: there is no selection `d`"),
        ("  {within: 1h, absence: {off: a}}", "9:26+3 unknown-key: unknown key `off` in `absence`"),
        ("  {spike: {of: cout}, history: 28d}", "9:16+4 bad-value: `cout` cannot be measured in a spike"),
        ("  {first_seen: []}", "9:16+1 bad-value: `first_seen` needs a field"),
        ("  {within: 1h, at_least: 2, missing: skip}", "9:38+4 bad-value: `missing` can only be `group`"),
        ("  5", "9:3+1 wrong-type: `behavior` must be a map, not a number"),
    ] {
        let found = fails(behavior);
        assert!(found.iter().any(|line| line.starts_with(expected)), "{behavior}: {found:#?}");
    }
}
