//! The search language from outside.

use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::*;
use crate::time::Timestamp;

fn now() -> Timestamp {
    Timestamp::parse("2026-03-10T12:00:00Z").unwrap()
}

fn parse(text: &str) -> Query {
    Query::parse(text, now()).unwrap_or_else(|error| panic!("{text}\n{error}"))
}

fn event() -> Map<String, Value> {
    let value = json!({
        "id": "e-1", "author_id": 7, "author_name": "Ada Lovelace", "entity_path": "Group/sub/project",
        "event_type": "project_destroyed", "created_at": "2026-03-09T23:59:59.500Z", "ip_address": "10.1.2.3",
        "tier": "destructive", "source": "gitlab", "entity_id": "0042", "target_details": null,
        "details": {"custom_message": {"action": "git-upload-pack", "size": 2.5}, "labels": ["red", {"k": "blue"}],
                    "ok": true, "from": "2026-01-01", "text": "a \"quoted\" *star* back\\slash"},
        "dotted.name": "d", "street": "STRASSE ÄÖ",
    });
    value.as_object().unwrap().clone()
}

#[test]
fn events_are_found() {
    let event = event();
    for text in [
        "",
        "  ",
        "author_id:7",
        "author_id:\"7\"",
        "author:7",
        "author:\"ada lovelace\"",
        "author:ada*",
        "AUTHOR_ID:8 OR ada",
        "lovelace",
        "\"ada lovelace\"",
        "ada\\ love*",
        "*vela*",
        "PROJECT_destroyed",
        "destr* type:project_destroyed",
        "group/sub",
        "sub/*",
        "group/*/project",
        "*",
        "entity_path:group/*/project",
        "entity_path:*",
        "details:*",
        "-target_details:*",
        "details.custom_message.action:git-upload-pack",
        "details.custom_message.action:*UPLOAD*",
        "details.labels:red",
        "details.labels.k:blue",
        "details.ok:true",
        "blue",
        "2.5",
        "dotted.name:d",
        "street:\"strasse äö\"",
        "ip:10.0.0.0/8",
        "ip_address:10.1.2.3",
        "-ip:192.168.0.0/16",
        "author_id:>=7 author_id:<=7 author_id:>6 author_id:<8",
        "author_id:1..7 author_id:7.. author_id:..7 author_id:7..*",
        "entity_id:>41 entity_id:42..42",
        "details.custom_message.size:2..3",
        "details.from:>=2025-12 details.from:<2026-02-01",
        "author_name:a..b OR author_name:ada..adb",
        "created_at:2026-03-09",
        "created_at:2026-03",
        "created_at:2026",
        "created_at:yesterday",
        "-created_at:today",
        "created_at:2026-03-09T23:59",
        "created_at:2026-03-09T23:59:59",
        "created_at:<=2026-03-09",
        "created_at:>=2026-03-09",
        "created_at:<2026-03-10 created_at:>2026-03-08",
        "created_at:2026-03-01..2026-03-09",
        "created_at:-7d",
        "created_at:-7d..",
        "created_at:-2d..now",
        "created:-13h",
        "created_at:2026-03-*",
        "tier:destructive (nothing OR (lovelace project))",
        "NOT nothing AND -(a_b OR c_d)",
        "- nothing OR lovelace",
        "\\\"quoted\\\" \\*star\\*",
        "\"*star*\" \"back\\\\slash\"",
        "details.text:*\\*star\\**",
    ] {
        if text.starts_with("- ") {
            assert!(Query::parse(text, now()).is_err());
            continue;
        }
        assert!(parse(text).matches(&event), "{text}");
    }
}

#[test]
fn other_events_are_not_found() {
    let event = event();
    for text in [
        "author_id:70",
        "author_name:ada",
        "author_name:\"ada*\"",
        "Author_id:7",
        "nothing",
        "love",
        "\"ada love\"",
        "\"ada love*\"",
        "destroyed_project",
        "group/project",
        "a*lovelace",
        "ada/*/lovelace",
        "lovelace/nothing*",
        "gitlab",
        "destructive",
        "true",
        "2026-03-09",
        "\"lovelace ada\"",
        "-lovelace",
        "lovelace nothing",
        "target_details:*",
        "target_details:\"\"",
        "target_details:null",
        "missing:\"\"",
        "missing:<5",
        "details.labels:*green*",
        "entity_path:group/*/x",
        "entity_path:*t/*t",
        "ip:10.0.0.0/16",
        "author_id:>7",
        "author_id:<7",
        "author_id:8..",
        "author_name:>5",
        "created_at:2026-03-10",
        "created_at:>2026-03-09",
        "created_at:<2026-03-09",
        "created_at:-12h",
        "created_at:today..",
        "created_at:2026-03-09T23:59:58",
    ] {
        assert!(!parse(text).matches(&event), "{text}");
    }
}

#[test]
fn mistakes_are_shown_at_their_place() {
    for (text, shown) in [
        ("a (b", "this bracket is not closed\n  a (b\n    ^\nhelp: add `)`"),
        (
            "a) b",
            "this bracket closes nothing\n  a) b\n   ^\nhelp: take it away, or write \"…\" around text with brackets in it",
        ),
        ("ä \"b", "this quote is not closed\n  ä \"b\n    ^\nhelp: add `\"`"),
        ("a OR", "a term is missing here\n  a OR\n      ^\nhelp: such as author_id:7, or some \"text\""),
        ("()", "a term is missing here\n  ()\n   ^\nhelp: such as author_id:7, or some \"text\""),
        (
            "OR a",
            "OR needs a term on both sides\n  OR a\n  ^^\nhelp: write \"OR\" in quotes to search for the word",
        ),
        ("a AND", "a term is missing here\n  a AND\n       ^\nhelp: such as author_id:7, or some \"text\""),
        (
            "a AND OR b",
            "OR needs a term on both sides\n  a AND OR b\n        ^^\nhelp: write \"OR\" in quotes to search for the word",
        ),
        ("a -", "there is nothing to negate here\n  a -\n    ^\nhelp: write -term"),
        (
            "tier: x",
            "`tier` has no value here\n  tier: x\n       ^\nhelp: write tier:* for any value, tier:\"\" for the empty one",
        ),
        ("n:>", "`>` compares with nothing\n  n:>\n    ^\nhelp: write a value after it"),
        ("n:..", "a range needs at least one end\n  n:..\n    ^^\nhelp: write 5..9, 5.. or ..9"),
        (
            "n:>a*",
            "there can be no wildcard in a comparison\n  n:>a*\n     ^^\nhelp: compare with a whole value, or leave one end of a range away",
        ),
        (
            "created_at:>=soon x",
            "`soon` is no time\n  created_at:>=soon x\n               ^^^^\nhelp: write 2026-01-31, 2026-01-31T09:00, 2026-01, today, or -7d for seven days ago",
        ),
        (
            "ip:10.0.0.0/99",
            "`10.0.0.0/99` is no network\n  ip:10.0.0.0/99\n     ^^^^^^^^^^^\nhelp: write an address and a length, such as 10.0.0.0/8",
        ),
        (
            "a \"--\"",
            "there is no word to look for in this\n  a \"--\"\n    ^^^^\nhelp: words are made of letters and digits; a field's value may be anything: field:\"…\"",
        ),
        ("a\\", "nothing follows this backslash\n  a\\\n   ^\nhelp: write \\\\ for a backslash itself"),
    ] {
        assert_eq!(Query::parse(text, now()).unwrap_err().to_string(), shown, "{text}");
    }
    let deep = format!("{}a{}", "(".repeat(5000), ")".repeat(5000));
    assert!(Query::parse(&deep, now()).unwrap_err().message.contains("nest deeper"));
    assert!(Query::parse(&"-".repeat(5000), now()).is_err());
    assert!(Query::parse(&"a ".repeat(20_000), now()).unwrap_err().message.contains("bytes"));
}

#[test]
fn the_qualifiers_that_people_know_are_understood() {
    let value = json!({
        "author_name": "alice", "event_type": "project_destroyed", "category": "projects", "tier": "destructive",
        "entity_path": "group/project", "target_details": "group/project", "ip_address": "10.1.2.3",
        "geo": {"country": "DE"}, "created_at": "2026-03-09T10:00:00.000Z",
        "details": {"custom_message": {"action": "git-upload-pack"}},
    });
    for text in [
        "author:alice -author:bot*",
        "type:project_destroyed",
        "category:projects tier:destructive",
        "entity:group/project",
        "entity:group/*",
        "target:group/project",
        "ip:10.0.0.0/8",
        "country:de",
        "created:>=2026-01-01",
        "created:-7d..",
        "created:-7d",
        "-created:2026-03-10",
        "details.custom_message.action:git-upload-pack",
        "(author:bob OR author:alice) \"group/project\"",
    ] {
        assert!(parse(text).matches(value.as_object().unwrap()), "{text}");
    }
}

#[test]
fn a_query_is_made_of_values_as_they_are() {
    let query = Query::all_of(&[("entity_path", "a \"b\"*"), ("author_id", "-3")]);
    assert_eq!(query.to_string(), r#"entity_path:"a \"b\"*" author_id:"-3""#);
    assert_eq!(parse(&query.to_string()), query);
    assert_eq!(Query::all_of(&[("a", "b")]), parse("a:b"));
    assert_eq!(Query::all_of(&[]), parse(""));
    let query = query.between(now(), now().plus(crate::time::Span::days(1)));
    assert_eq!(parse(&query.to_string()), query);
    let (from, to) = query.time_range();
    assert_eq!((from, to), (now(), now().plus(crate::time::Span::days(1))));
}

#[test]
fn names_that_look_like_slips_are_hinted_at() {
    assert_eq!(
        parse("auther_id:7 OR -evnt_type:x").hints(),
        [
            "no canonical field is called `auther_id`; did you mean `author_id`?",
            "no canonical field is called `evnt_type`; did you mean `event_type`?",
        ]
    );
    assert!(parse("author:7 ip:1 details.x:1 operation:x text tier:x").hints().is_empty());
}

#[test]
fn times_bound_what_must_be_read() {
    let range = |text: &str| {
        let (from, to) = parse(text).time_range();
        let show = |time: Timestamp| match time {
            Timestamp::MIN | Timestamp::MAX => String::new(),
            time => time.to_string(),
        };
        format!("{} {}", show(from), show(to))
    };
    assert_eq!(range(""), " ");
    assert_eq!(range("x created_at:2026-03-09"), "2026-03-09T00:00:00.000Z 2026-03-09T23:59:59.999Z");
    assert_eq!(range("created:-1d x"), "2026-03-09T12:00:00.000Z ");
    assert_eq!(
        range("created_at:>=2026-01 created_at:<2026-02"),
        "2026-01-01T00:00:00.000Z 2026-02-28T23:59:59.999Z"
    );
    assert_eq!(
        range("created_at:2026-01 OR created_at:2026-03-01"),
        "2026-01-01T00:00:00.000Z 2026-03-01T23:59:59.999Z"
    );
    assert_eq!(range("created_at:2026-01 OR x"), " ");
    assert_eq!(range("-created_at:2026-01 received_at:2026-01"), " ");
}

#[test]
fn needles_are_only_what_must_be_in_the_bytes() {
    for (text, needle) in [
        ("author_name:Ada", Some("ada")),
        ("author:ada x", Some("ada")),
        ("author_id:7 entity_path:group", Some("group")),
        ("entity_path:*long-name*x", Some("long-name")),
        ("author_id:1.5", None),
        ("author_id:1e3", None),
        ("author_id:*00", None),
        ("entity_path:a/b", None),
        ("entity_path:a/*bcd", Some("bcd")),
        ("author_name:äda", None),
        ("ada", Some("ada")),
        ("ada-lovelace*", Some("lovelace")),
        ("*vela*", Some("vela")),
        ("created", None),
        ("tier:destructive", None),
        ("source:gitlab", None),
        ("type:project_destroyed", Some("project_destroyed")),
        ("type:project_group_link_created", None),
        ("type:*_created", None),
        ("geo.country:france", None),
        ("-author_name:ada", None),
        ("author_name:ada OR author_name:bob", None),
        ("(author_name:ada OR x) author_name:bob", Some("bob")),
        ("author_name:*", None),
        ("author_name:\"\"", None),
        ("author_id:>5", None),
    ] {
        assert_eq!(parse(text).raw_needle(), needle, "{text}");
    }
    let sent = |raw: &str| crate::event::Event {
        raw: raw.to_owned().into(),
        ..crate::decode::blank(crate::event::Format::Gitlab, &"g".into(), now())
    };
    let query = parse("author_name:Ada");
    assert!(!query.is_ruled_out(&sent("{\"author_name\":\"ADA\"}")));
    assert!(!query.is_ruled_out(&sent("{\"author_name\":\"\\u0061da\"}")));
    assert!(query.is_ruled_out(&sent("{\"author_name\":\"ad\"}")));
    let hinted = crate::event::Event { type_hint: Some("ada".into()), ..sent("{}") };
    assert!(query.is_ruled_out(&hinted) && !parse("ada").is_ruled_out(&hinted));
    let number = parse("author_id:1000");
    assert!(!number.is_ruled_out(&sent("{\"author_id\": 1e3}")));
    assert!(number.is_ruled_out(&sent("{\"id\":\"4e3\",\"a\":\"x1E3\"}")));
    // KELVIN SIGN: its lower case is the ASCII letter k.
    let kelvin = json!({"author_name": "\u{212a}im"});
    assert!(!parse("author_name:kim").matches(kelvin.as_object().unwrap()));
}

/// What a query means, said as plainly as possible: every value of the event as (path, text), and for each term
/// a look through all of them.
fn naive(node: &Node, leaves: &BTreeSet<(String, String)>) -> bool {
    match node {
        Node::And(nodes) => !nodes.iter().any(|node| !naive(node, leaves)),
        Node::Or(nodes) => nodes.iter().any(|node| naive(node, leaves)),
        Node::Not(node) => !naive(node, leaves),
        Node::Term(Term::Anywhere(phrase)) => {
            const INSIDE: &str = r"[\p{Alphabetic}\p{N}]";
            const BETWEEN: &str = r"[^\p{Alphabetic}\p{N}]";
            let word = |parts: &WordPattern| {
                parts.iter().map(|part| regex::escape(part)).collect::<Vec<_>>().join(&format!("{INSIDE}*"))
            };
            let words: Vec<String> = phrase.words.iter().map(word).collect();
            let regex = format!("(?s)(?:^|{BETWEEN}){}(?:{BETWEEN}|$)", words.join(&format!("{BETWEEN}+")));
            let is_hidden = |path: &str| NOT_FREE_TEXT.contains(&path.split('.').next().unwrap());
            let is_bool = |text: &str| matches!(text, "true" | "false");
            phrase.words.is_empty()
                || leaves
                    .iter()
                    .any(|(path, text)| !is_hidden(path) && !is_bool(text) && is_match(&regex, text))
        }
        Node::Term(Term::Field(name, test)) => leaves
            .iter()
            .filter(|(path, _)| fields(name).any(|field| field == path))
            .any(|(_, text)| naive_test(test, text)),
    }
}

fn naive_test(test: &Test, text: &str) -> bool {
    let compare = |cmp: Cmp, operand: &Operand| match &operand.kind {
        OperandKind::Number(number) => text.parse::<f64>().is_ok_and(|value| match cmp {
            Cmp::Lt => value < *number,
            Cmp::Lte => value <= *number,
            Cmp::Gt => value > *number,
            Cmp::Gte => value >= *number,
        }),
        OperandKind::Time(from, to) => {
            let time = text.parse::<i64>().map(Timestamp).or_else(|_| Timestamp::parse(text));
            time.is_ok_and(|value| match cmp {
                Cmp::Lt => value < *from,
                Cmp::Lte => value < *to,
                Cmp::Gt => value >= *to,
                Cmp::Gte => value >= *from,
            })
        }
        OperandKind::Text(operand) => match cmp {
            Cmp::Lt => fold(text) < *operand,
            Cmp::Lte => fold(text) <= *operand,
            Cmp::Gt => fold(text) > *operand,
            Cmp::Gte => fold(text) >= *operand,
        },
    };
    match test {
        Test::Like(pattern) => is_match(&format!("(?s)^(?:{})$", regex_of(&pattern.written)), text),
        Test::Network(network, written) => {
            text.parse().is_ok_and(|address: std::net::IpAddr| network.contains(&address)) || text == written
        }
        Test::Within(operand) => compare(Cmp::Gte, operand) && compare(Cmp::Lte, operand),
        Test::Compare(cmp, operand) => compare(*cmp, operand),
        Test::Range(low, high) => {
            low.as_ref().is_none_or(|low| compare(Cmp::Gte, low))
                && high.as_ref().is_none_or(|high| compare(Cmp::Lte, high))
        }
    }
}

fn regex_of(parts: &[String]) -> String {
    parts.iter().map(|part| regex::escape(&fold(part))).collect::<Vec<_>>().join(".*")
}

fn is_match(regex: &str, text: &str) -> bool {
    regex::Regex::new(regex).unwrap().is_match(&fold(text))
}

fn leaves(path: &str, value: &Value, into: &mut BTreeSet<(String, String)>) {
    match value {
        Value::Null => {}
        Value::Array(items) => items.iter().for_each(|item| leaves(path, item, into)),
        Value::Object(object) => object.iter().for_each(|(name, value)| {
            leaves(&if path.is_empty() { name.clone() } else { format!("{path}.{name}") }, value, into);
        }),
        Value::String(text) => {
            into.insert((path.to_owned(), text.clone()));
        }
        other => {
            into.insert((path.to_owned(), other.to_string()));
        }
    }
}

fn value() -> impl Strategy<Value = Value> {
    let scalar = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (0..12_i64).prop_map(Value::from),
        Just(json!(2.5)),
        "[abB. *-]{0,4}".prop_map(Value::from),
        "10\\.[01]\\.0\\.[0-9]".prop_map(Value::from),
        "2026-0[1-3]-0[1-9]T0[0-9]:00:00\\.000Z".prop_map(Value::from),
    ];
    scalar.prop_recursive(2, 8, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::btree_map("[ab]", inner, 0..3)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

fn any_event() -> impl Strategy<Value = Map<String, Value>> {
    let name = prop::sample::select(vec!["a", "b", "author_id", "author_name", "created_at", "ip_address"]);
    prop::collection::btree_map(name, value(), 0..5)
        .prop_map(|map| map.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

/// Texts that are mostly queries.
fn any_query() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "a",
        "b",
        "ab",
        "B*",
        "*a",
        "a*b",
        "\"a b\"",
        "a-b*",
        "a/*/b",
        "7",
        "2.5",
        "-",
        "-a",
        "--b",
        "NOT ",
        "(",
        ")",
        " OR ",
        " AND ",
        "OR",
        "a:a",
        "a:*",
        "a:b*",
        "b:\"a*\"",
        "a.b:a",
        "a.a.b:>3",
        "author:7",
        "author:a",
        "author_id:>=5",
        "author_id:2..9",
        "author_id:..a",
        "created_at:2026-02",
        "created_at:>2026-02-03",
        "created_at:-30d",
        "created_at:2026-01-02..2026-02-04",
        "ip:10.0.0.0/16",
        "ip_address:10.1.0.*",
        "a:>b",
        "b:a..b",
        "a:\"..\"",
        "a:\">5\"",
        "a:-7d",
        "x:http://y",
        "::",
        "fe80::1",
        "\"",
        "\\",
        "ä",
        "AND",
        "a:",
    ]);
    prop::collection::vec(piece, 0..8).prop_map(|pieces| pieces.join(" "))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn the_parser_never_panics(text in "\\PC*|[a-b:.*()\"\\\\<>=\\- ORANDT]{0,30}") {
        if let Ok(query) = Query::parse(&text, now()) {
            let printed = query.to_string();
            prop_assert_eq!(Query::parse(&printed, now()), Ok(query), "{}", printed);
        } else {
            let error = Query::parse(&text, now()).unwrap_err();
            prop_assert!(text.is_char_boundary(error.at) && error.width >= 1);
            prop_assert!(error.to_string().contains('^'));
        }
    }

    #[test]
    fn printed_queries_parse_back_to_the_same(text in any_query()) {
        if let Ok(query) = Query::parse(&text, now()) {
            let printed = query.to_string();
            prop_assert_eq!(Query::parse(&printed, now()), Ok(query), "{}", printed);
        }
    }

    #[test]
    fn matching_agrees_with_the_plain_reading(text in any_query(), event in any_event()) {
        if let Ok(query) = Query::parse(&text, now()) {
            // `*` for objects is the one thing that leaves do not show.
            prop_assume!(!text.contains("a:*"));
            let mut all = BTreeSet::new();
            leaves("", &Value::Object(event.clone()), &mut all);
            prop_assert_eq!(query.matches(&event), naive(&query.root, &all), "{} on {:?}", text, event);
        }
    }

    #[test]
    fn what_is_left_unread_could_not_be_found(text in any_query(), event in any_event()) {
        let found = Query::parse(&text, now()).ok().filter(|query| query.matches(&event));
        if let Some(query) = found {
            let raw = serde_json::to_vec(&event).unwrap();
            let blank = crate::decode::blank(crate::event::Format::Generic, &"g".into(), now());
            let sent = crate::event::Event { raw: raw.into(), ..blank };
            prop_assert!(!query.is_ruled_out(&sent), "{}", text);
            if let Some(Ok(time)) = event.get("created_at").and_then(Value::as_str).map(Timestamp::parse) {
                let (from, to) = query.time_range();
                prop_assert!(from <= time && time <= to, "{}", text);
            }
        }
    }
}
