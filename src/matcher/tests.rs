//! The matcher against a reading of the same rules that has no index, no gate, no sharing and no cache.

use std::net::IpAddr;
use std::sync::Arc;

use proptest::prelude::*;
use serde_json::{Map, Value};

use super::{Builder, Matcher, Scratch, TargetId};
use crate::event::{Catalogue, Event, Format};
use crate::rule::ast::{Cmp, Glob, Node, Op, RefKind, Test};
use crate::script::{Cage, ListTable};
use crate::time::Timestamp;

const FIELDS: [&str; 5] = ["event_type", "a", "b", "c.d", "missing"];
const TEXTS: [&str; 23] = [
    "",
    "x",
    "X",
    "xy",
    "Xyz",
    "abcxyz",
    "Ä",
    "ä",
    "ß",
    "SS",
    "ς",
    "Σ",
    "ſ",
    "\u{212a}elvin",
    "10",
    " 10",
    "11\n",
    "inf",
    "1.5",
    "true",
    "10.0.0.7",
    "::ffff:10.0.0.9",
    "a\"b\\c",
];

/// Values in the order they stand in the event, arrays opened.
fn at_path<'v>(value: &'v Value, path: &[&str], found: &mut Vec<&'v Value>) {
    match (value, path) {
        (Value::Array(items), _) if !items.is_empty() => {
            items.iter().for_each(|item| at_path(item, path, found))
        }
        (_, []) => found.push(value),
        (Value::Object(object), [first, rest @ ..]) => {
            object.get(*first).into_iter().for_each(|inner| at_path(inner, rest, found));
        }
        _ => {}
    }
}

fn values<'v>(event: &'v Value, field: &str) -> Vec<&'v Value> {
    let mut found = Vec::new();
    at_path(event, &field.split('.').collect::<Vec<_>>(), &mut found);
    if field.contains('.') {
        at_path(event, &[field], &mut found);
    }
    found
}

fn scalars<'v>(value: &'v Value, found: &mut Vec<&'v Value>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| scalars(item, found)),
        Value::Object(object) => object.values().for_each(|inner| scalars(inner, found)),
        scalar => found.push(scalar),
    }
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string().trim_end_matches(".0").to_owned()),
        Value::Bool(value) => Some(value.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

fn holds(node: &Node, event: &Value) -> bool {
    match node {
        Node::And(children) => children.iter().all(|child| holds(child, event)),
        Node::Or(children) => children.iter().any(|child| holds(child, event)),
        Node::Not(child) => !holds(child, event),
        Node::Test(test) => passes(test, event),
        Node::Script(_) => unreachable!("not generated"),
    }
}

fn passes(test: &Test, event: &Value) -> bool {
    let found = match &test.field {
        Some(field) => values(event, field),
        None => {
            let mut found = Vec::new();
            scalars(event, &mut found);
            found
        }
    };
    let fold = |text: &str| {
        if test.cased { text.to_owned() } else { text.to_lowercase().replace('ς', "σ") }
    };
    let texts: Vec<String> = found.iter().filter_map(|value| text(value)).collect();
    let any = |check: &dyn Fn(&str) -> bool| texts.iter().any(|text| check(&fold(text)));
    match &test.op {
        Op::Exact(wanted) => any(&|text| text == fold(wanted)),
        Op::Contains(part) => any(&|text| text.contains(&fold(part))),
        Op::StartsWith(start) => any(&|text| text.starts_with(&fold(start))),
        Op::EndsWith(end) => any(&|text| text.ends_with(&fold(end))),
        Op::Wildcard(globs) => {
            let globs: Vec<Glob> = globs
                .iter()
                .map(|glob| match glob {
                    Glob::Literal(text) => Glob::Literal(fold(text)),
                    other => other.clone(),
                })
                .collect();
            let ends = [Glob::Many];
            let globs = if test.field.is_none() { [&ends, &*globs, &ends].concat() } else { globs };
            any(&|text| glob(&globs, text))
        }
        Op::Regex(pattern) => {
            let regex = regex::Regex::new(pattern).unwrap();
            texts.iter().any(|text| regex.is_match(text))
        }
        Op::Cidr(network) => texts
            .iter()
            .filter_map(|text| text.parse::<IpAddr>().ok())
            .any(|address| network.contains(&address) || network.contains(&address.to_canonical())),
        Op::Number(cmp, right) => found
            .iter()
            .filter(|value| !value.is_boolean())
            .filter_map(|value| text(value)?.trim().parse::<f64>().ok().filter(|number| number.is_finite()))
            .any(|left| cmp.holds(left, *right)),
        Op::Null => found.iter().all(|value| value.is_null()),
        Op::Exists(wanted) => found.is_empty() != *wanted,
        Op::FieldRef(other, kind) => {
            let others: Vec<String> = values(event, other).into_iter().filter_map(text).collect();
            any(&|left| {
                others.iter().map(|right| fold(right)).any(|right| match kind {
                    RefKind::Equals => left == right,
                    RefKind::Contains => left.contains(&right),
                    RefKind::StartsWith => left.starts_with(&right),
                    RefKind::EndsWith => left.ends_with(&right),
                })
            })
        }
        Op::TimePart(..) => unreachable!("not generated"),
    }
}

fn glob(globs: &[Glob], text: &str) -> bool {
    let Some((first, rest)) = globs.split_first() else { return text.is_empty() };
    match first {
        Glob::Literal(literal) => text.strip_prefix(literal.as_str()).is_some_and(|tail| glob(rest, tail)),
        Glob::One => text.chars().next().is_some_and(|c| glob(rest, &text[c.len_utf8()..])),
        Glob::Many => {
            let places = text.char_indices().map(|(at, _)| at).chain([text.len()]);
            places.into_iter().any(|at| glob(rest, &text[at..]))
        }
    }
}

fn word() -> impl Strategy<Value = String> {
    prop::sample::select(&TEXTS[..]).prop_map(str::to_owned)
}

fn event_type() -> impl Strategy<Value = String> {
    prop::sample::select(&["one", "One", "two", "three", "ſix"][..]).prop_map(str::to_owned)
}

fn op() -> impl Strategy<Value = Op> {
    let literal = word().prop_filter("not empty", |text| !text.is_empty());
    let glob = prop_oneof![2 => literal.prop_map(Glob::Literal), 1 => Just(Glob::One), 1 => Just(Glob::Many)];
    let pattern = prop::sample::select(
        &["^xyz", "xyz$", "(?i)^abcx", "(?i)six", "^(abc|Xyz)", ".", "^$", "[0-9]+"][..],
    );
    let network = prop::sample::select(&["10.0.0.0/24", "0.0.0.0/0", "::/0"][..]);
    let kind = prop::sample::select(vec![
        RefKind::Equals,
        RefKind::Contains,
        RefKind::StartsWith,
        RefKind::EndsWith,
    ]);
    prop_oneof![
        6 => word().prop_map(Op::Exact),
        2 => word().prop_map(Op::Contains),
        2 => word().prop_map(Op::StartsWith),
        2 => word().prop_map(Op::EndsWith),
        2 => prop::collection::vec(glob, 1..5).prop_map(Op::Wildcard),
        2 => pattern.prop_map(|pattern| Op::Regex(pattern.to_owned())),
        1 => network.prop_map(|network| Op::Cidr(network.parse().unwrap())),
        1 => prop::sample::select(vec![Cmp::Eq, Cmp::Lt, Cmp::Gte]).prop_map(|cmp| Op::Number(cmp, 10.0)),
        1 => Just(Op::Null),
        1 => any::<bool>().prop_map(Op::Exists),
        1 => (prop::sample::select(&FIELDS[..]), kind).prop_map(|(field, kind)| Op::FieldRef(field.to_owned(), kind)),
    ]
}

fn test() -> impl Strategy<Value = Node> {
    let fixed = event_type().prop_map(|name| Test {
        field: Some("event_type".to_owned()),
        op: Op::Exact(name),
        cased: false,
    });
    let any = (prop::sample::select(&FIELDS[..]), op(), any::<bool>()).prop_map(|(field, op, cased)| Test {
        field: Some(field.to_owned()),
        op,
        cased,
    });
    let keyword = prop_oneof![
        word().prop_filter("not empty", |text| !text.is_empty()).prop_map(Op::Contains),
        Just(Op::Regex("^xyz".to_owned())),
        Just(Op::Wildcard(vec![Glob::Literal("a".to_owned()), Glob::One, Glob::Literal("c".to_owned())])),
    ];
    let keyword = keyword.prop_map(|op| Test { field: None, op, cased: false });
    prop_oneof![4 => fixed, 6 => any, 1 => keyword].prop_map(Node::Test)
}

fn node() -> impl Strategy<Value = Node> {
    test().prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            3 => prop::collection::vec(inner.clone(), 0..4).prop_map(Node::And),
            2 => prop::collection::vec(inner.clone(), 0..4).prop_map(Node::Or),
            1 => inner.prop_map(|inner| Node::Not(Box::new(inner))),
        ]
    })
}

/// Most rules fix the event's type and something else.
fn rule() -> impl Strategy<Value = Node> {
    let usual = (event_type(), node()).prop_map(|(name, rest)| {
        let fixed = Test { field: Some("event_type".to_owned()), op: Op::Exact(name), cased: false };
        Node::And(vec![rest, Node::Test(fixed)])
    });
    prop_oneof![3 => usual, 1 => node()]
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        6 => word().prop_map(Value::from),
        1 => prop::sample::select(vec![Value::Null, true.into(), 10.into(), 1.5.into(), 2.0.into(), (-3).into()]),
    ];
    leaf.prop_recursive(2, 6, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            inner.prop_map(|inner| serde_json::json!({ "d": inner })),
        ]
    })
}

fn event() -> impl Strategy<Value = Value> {
    let kind = prop_oneof![4 => event_type().prop_map(Value::from), 1 => value()];
    let others =
        prop::collection::vec((prop::sample::select(&["a", "b", "c", "c.d", "other"][..]), value()), 0..6);
    (prop::option::weighted(0.9, kind), others).prop_map(|(kind, others)| {
        let mut object: Map<String, Value> =
            others.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        object.extend(kind.map(|kind| ("event_type".to_owned(), kind)));
        Value::Object(object)
    })
}

fn matched(matcher: &Matcher, raw: &str, scratch: &mut Scratch) -> Vec<TargetId> {
    let event = Event {
        position: 1,
        received_at: Timestamp(0),
        time: Timestamp(0),
        source: "test".into(),
        forge: "test".into(),
        format: Format::Generic,
        type_hint: None,
        raw: bytes::Bytes::copy_from_slice(raw.as_bytes()),
    };
    matcher.extract(&event, raw, scratch).unwrap();
    matcher.run(&event, raw, scratch);
    scratch.matched().to_vec()
}

fn build(rules: &[Node]) -> Matcher {
    let cage = Arc::new(Cage::new(Arc::new(ListTable::default())));
    let mut builder = Builder::new(Format::Generic, cage, Arc::new(Catalogue::default()));
    for rule in rules {
        let expr = builder.node(rule).unwrap();
        builder.target(expr);
    }
    builder.build().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn an_event_matches_what_a_plain_reading_of_the_rules_says(
        rules in prop::collection::vec(rule(), 1..40),
        events in prop::collection::vec((event(), any::<bool>()), 1..12),
    ) {
        let matcher = build(&rules);
        let mut scratch = Scratch::default();
        for (event, is_pretty) in &events {
            let raw = if *is_pretty { serde_json::to_string_pretty(event) } else { serde_json::to_string(event) };
            let expected: Vec<TargetId> =
                (0..).zip(&rules).filter(|(_, rule)| holds(rule, event)).map(|(number, _)| number).collect();
            prop_assert_eq!(matched(&matcher, &raw.unwrap(), &mut scratch), expected, "{}", event);
        }
    }
}

#[test]
fn many_rules_of_one_type_are_found_by_their_own_index() {
    let fixed = |field: &str, op| Node::Test(Test { field: Some(field.to_owned()), op, cased: false });
    let rules: Vec<Node> = (0..100)
        .map(|number| {
            let kind = fixed("event_type", Op::Exact(format!("type{}", number % 3)));
            Node::And(vec![kind, fixed("a", Op::EndsWith(format!("-{number}")))])
        })
        .collect();
    let matcher = build(&rules);
    let gate = matcher.gate.as_ref().unwrap();
    assert_eq!(gate.shelves.len(), 3);
    assert!(matcher.open.indexes.is_empty() && matcher.open.always.is_empty());
    let mut scratch = Scratch::default();
    let raw = r#"{"event_type":["TYPE1","type2"],"a":["x-1","y-2","z-3","w-4"]}"#;
    assert_eq!(matched(&matcher, raw, &mut scratch), [1, 2, 4]);
}
