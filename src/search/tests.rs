//! Searching a log in parts, against a look at every event.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::testing::Memory;
use super::*;
use crate::decode::decode;
use crate::event::{Catalogue, Event, Format, canonical};
use crate::query::{Query, any_at, fold, text};
use crate::time::{Span, Timestamp};

fn now() -> Timestamp {
    Timestamp::parse("2026-03-10T12:00:00Z").unwrap()
}

fn catalogue() -> Catalogue {
    static BUILT_IN: std::sync::LazyLock<Catalogue> = std::sync::LazyLock::new(Catalogue::built_in);
    BUILT_IN.clone()
}

fn event(body: &Value) -> Event {
    decode(Format::Gitlab, &"gitlab".into(), body.to_string().into(), None, now()).unwrap().event
}

fn query(text: &str) -> Query {
    Query::parse(text, now()).unwrap()
}

/// One every half hour.
fn events(count: u64) -> Vec<Event> {
    let kinds = ["user_created", "project_destroyed", "merge_request_merged"];
    let body = |number: u64| {
        let at = Timestamp::parse("2026-03-01T00:00:00Z").unwrap().plus(Span::minutes(30 * number as i64));
        json!({
            "id": format!("e{number}"), "author_id": number % 5, "author_name": format!("User {}", number % 5),
            "entity_id": number % 3, "entity_type": "Project", "entity_path": format!("g/p{}", number % 3),
            "target_type": "MergeRequest", "target_id": number % 4, "event_type": kinds[(number % 3) as usize],
            "created_at": at.to_string(), "correlation_id": format!("c{}", number / 2),
            "ip_address": format!("10.0.0.{}", number % 7), "details": {"note": format!("the {} note", number % 10)},
        })
    };
    (0..count).map(|number| event(&body(number))).collect()
}

fn searcher(count: u64, lengths: &[usize]) -> Searcher<Memory> {
    Searcher::new(Memory::new(events(count), lengths, &catalogue()), catalogue())
}

fn ids(page: &Page) -> Vec<u64> {
    page.events.iter().map(|found| found.event.position).collect()
}

#[test]
fn a_page_of_large_events_is_cut_by_bytes_and_the_next_one_goes_on() {
    let large = |number: u64| {
        let body = json!({
            "id": format!("e{number}"), "author_id": 1, "event_type": "user_created",
            "created_at": "2026-03-01T00:00:00Z", "details": {"note": "x".repeat(3 << 20)},
        });
        event(&body)
    };
    // Sealed and not yet sealed; one alone is larger than any page.
    let mut all: Vec<Event> = (0..16).map(large).collect();
    let huge = json!({"id": "huge", "created_at": "2026-03-01T00:00:00Z", "event_type": "x", "n": "x".repeat(20 << 20)});
    all.insert(5, event(&huge));
    let mut searcher = Searcher::new(Memory::new(all, &[10], &catalogue()), catalogue());
    for order in [Order::NewestFirst, Order::OldestFirst] {
        let (mut found, mut cursor, mut pages) = (Vec::new(), None, 0);
        loop {
            let before = searcher.parts.reads();
            let page = searcher.page(&query(""), cursor, (PAGE_MAX, order)).unwrap();
            let bytes: usize = page.events.iter().map(|found| found.event.raw.len()).sum();
            assert!(bytes <= 16 << 20 || page.events.len() == 1, "{bytes}");
            assert!(searcher.parts.reads() - before <= page.events.len() + 1, "no more is read than fits");
            found.extend(ids(&page));
            pages += 1;
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        if order == Order::NewestFirst {
            found.reverse();
        }
        assert_eq!(found, (1..=17).collect::<Vec<_>>());
        assert!(pages >= 5, "{pages}");
    }
}

#[test]
fn pages_follow_each_other_in_either_order() {
    let mut searcher = searcher(100, &[30, 40, 10]);
    for (text, step) in
        [("author_id:3", 5), ("\"3 note\"", 10), ("", 1), ("nothing", 1000), ("details.note:*3*", 10)]
    {
        let query = query(text);
        for order in [Order::NewestFirst, Order::OldestFirst] {
            for limit in [1, 7, 1000] {
                let (mut found, mut cursor) = (Vec::new(), None);
                loop {
                    let page = searcher.page(&query, cursor, (limit, order)).unwrap();
                    assert!(page.events.len() <= limit);
                    found.extend(ids(&page));
                    cursor = page.next.map(|next| Cursor::parse(&next.to_string()).unwrap());
                    if cursor.is_none() {
                        break;
                    }
                }
                let start = if step == 1000 {
                    2000
                } else if step == 1 {
                    1
                } else {
                    4
                };
                let mut expected: Vec<u64> = (start..=100).step_by(step).collect();
                if order == Order::NewestFirst {
                    expected.reverse();
                }
                assert_eq!(found, expected, "{text} {order:?} {limit}");
            }
        }
    }
    let page = searcher.page(&query("author_id:3"), None, (1, Order::NewestFirst)).unwrap();
    let wrong = searcher.page(&query("author_id:4"), page.next, (1, Order::NewestFirst));
    assert!(matches!(wrong, Err(SearchError::Cursor)));
}

#[test]
fn a_page_reads_only_what_it_shows() {
    let mut searcher = searcher(1000, &[500, 500]);
    let page = searcher.page(&query("author_id:3"), None, (10, Order::NewestFirst)).unwrap();
    assert_eq!((page.events.len(), page.events[0].event.position), (10, 999));
    assert!(searcher.parts.reads() <= 64, "{}", searcher.parts.reads());
    assert_eq!(searcher.count(&query("author_id:3 -ip:10.0.0.0/30")).unwrap().events, 86);
    assert_eq!(searcher.count(&query("created:<2026-03-02")).unwrap().events, 48);
    assert!(searcher.parts.reads() <= 64, "counting reads nothing");
}

#[test]
fn one_call_looks_at_a_limited_number_of_events() {
    let mut searcher = searcher(1000, &[900]).with_looks(150);
    let query = query("\"7 note\"");
    let first = searcher.page(&query, None, (100, Order::NewestFirst)).unwrap();
    assert_eq!(first.events.len(), 10 + 50, "{:?}", ids(&first));
    let second = searcher.page(&query, first.next, (100, Order::NewestFirst)).unwrap();
    assert_eq!((second.events.len(), second.next), (40, None));
    let count = searcher.count(&query).unwrap();
    assert_eq!(count, Count { events: 10 + 50, is_complete: false });
}

#[test]
fn values_are_counted_under_their_written_names() {
    let mut searcher = searcher(1000, &[600, 300]);
    let groups = searcher.count_by(&query("type:user_created"), "author", 3).unwrap();
    let shown: Vec<(&str, u64)> =
        groups.groups.iter().map(|group| (group.value.as_str(), group.events)).collect();
    assert_eq!(shown, [("User 0", 67), ("User 1", 67), ("User 3", 67)]);
    assert_eq!((groups.other_values, groups.other_events), (2, 133));
    assert_eq!(groups.total, Count { events: 334, is_complete: true });
    let tiers = searcher.count_by(&query(""), "tier", 10).unwrap();
    assert_eq!(tiers.groups.iter().map(|group| group.events).sum::<u64>(), 1000);
    assert!(tiers.groups.iter().any(|group| group.value == "destructive" && group.events == 333));
    let notes = searcher.count_by(&query("details.note:*1*"), "details.note", 10).unwrap();
    assert_eq!(notes.groups, [Group { value: "the 1 note".to_owned(), events: 100 }]);
}

#[test]
fn events_are_counted_in_time() {
    let mut searcher = searcher(200, &[100]);
    let days = searcher.per(&query("author_id:0"), Unit::Day).unwrap();
    let shown: Vec<u64> = days.stretches.iter().map(|(_, count)| *count).collect();
    assert_eq!(shown, [10, 10, 9, 10, 1]);
    assert_eq!(days.total, Count { events: 40, is_complete: true });
    let notes = searcher.per(&query("\"1 note\""), Unit::Month).unwrap();
    assert_eq!(notes.stretches, [(Timestamp::parse("2026-03-01").unwrap(), 20)]);
}

#[test]
fn a_trace_shows_what_happened_around() {
    let mut searcher = searcher(200, &[100, 20]);
    let event = searcher.named("e110").unwrap().unwrap();
    assert_eq!(searcher.named("111").unwrap().unwrap(), event);
    let options = TraceOptions { author: Span::hours(6), things: Span::hours(4), events: 2 };
    let trace = searcher.trace(event, options).unwrap();
    let show = |strand: &Option<Strand>| {
        let strand = strand.as_ref().unwrap();
        let positions =
            |events: &[Found]| events.iter().map(|found| found.event.position).collect::<Vec<_>>();
        let more = |is: bool| if is { " …" } else { "" };
        format!(
            "{}:{} {:?} {:?}{}",
            strand.query,
            more(strand.has_earlier),
            positions(&strand.before),
            positions(&strand.after),
            more(strand.has_later)
        )
    };
    insta::assert_snapshot!(
        [&trace.author, &trace.entity, &trace.target, &trace.request].map(show).join("\n"),
        @r#"
    author_id:0: [101, 106] [116, 121]
    entity_type:Project entity_id:2: [105, 108] [114, 117]
    target_type:MergeRequest target_id:2: [103, 107] [115, 119]
    correlation_id:c55: [] [112]
    "#
    );
    assert!(searcher.named("e9999").unwrap().is_none());
}

#[test]
fn a_log_on_the_disk_is_searched_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let log = crate::log::Log::open(
        dir.path(),
        crate::log::LogOptions::default(),
        crate::clock::Clock::fixed(now()),
    );
    let log = log.unwrap();
    let new = (1..).zip(events(100)).map(|(dedupe, event)| crate::log::NewEvent { event, dedupe });
    runtime.block_on(async {
        log.append(new.collect()).await.unwrap();
        log.close().await;
    });
    let mut here = Searcher::open(dir.path(), catalogue()).unwrap();
    let mut there = searcher(100, &[50]);
    for text in ["author_id:3", "created:2026-03-02 user_created", "\"3 note\" OR -type:*created"] {
        let query = query(text);
        for order in [Order::NewestFirst, Order::OldestFirst] {
            let first = here.page(&query, None, (5, order)).unwrap();
            assert_eq!(ids(&first), ids(&there.page(&query, None, (5, order)).unwrap()), "{text}");
            let (second, other) = (
                here.page(&query, first.next, (50, order)).unwrap(),
                there.page(&query, first.next, (50, order)).unwrap(),
            );
            assert_eq!(ids(&second), ids(&other), "{text}");
        }
        assert_eq!(here.count(&query).unwrap(), there.count(&query).unwrap());
        assert_eq!(here.per(&query, Unit::Hour).unwrap(), there.per(&query, Unit::Hour).unwrap());
        assert_eq!(here.count_by(&query, "entity", 9).unwrap(), there.count_by(&query, "entity", 9).unwrap());
    }
    let last = events(100).pop().map(|event| event.time);
    assert_eq!(here.newest().unwrap().map(|event| event.time), last);
}

#[test]
fn countries_are_counted_however_an_address_is_written() {
    let catalogue = catalogue().with(crate::enrich::testing::enrichment());
    let addresses = [
        json!("203.0.113.9"),
        json!("::ffff:203.0.113.9"),
        json!(["198.51.100.1", "203.0.113.9"]),
        json!(["nowhere", "203.0.113.9"]),
        json!("nowhere"),
        json!("2001:DB8:0::1"),
        json!(null),
    ];
    let body = |address: &Value| {
        json!({
            "id": "1", "event_type": "user_created", "ip_address": address, "author_id": 1, "entity_id": 1,
            "created_at": "2026-03-01T00:00:00Z",
        })
    };
    let many: Vec<Event> = addresses.iter().cycle().take(700).map(|address| event(&body(address))).collect();
    let mut expected = BTreeMap::<String, u64>::new();
    for event in &many {
        any_at(&canonical(event, &catalogue), "geo.country", &mut |value| {
            *expected.entry(text_of(value).unwrap()).or_default() += 1;
            false
        });
    }
    assert!(expected["de"] >= 200, "{expected:?}");
    let mut searcher = Searcher::new(Memory::new(many, &[700], &catalogue), catalogue.clone());
    let counted = searcher.count_by(&query(""), "country", 10).unwrap();
    assert_eq!(counted.total, Count { events: 700, is_complete: true });
    let found: BTreeMap<String, u64> =
        counted.groups.into_iter().map(|group| (fold(&group.value), group.events)).collect();
    assert_eq!(found, expected);
}

fn any_body() -> impl Strategy<Value = Value> {
    let kind = prop::sample::select(vec!["user_created", "project_destroyed", "Own_Type", "x"]);
    let address =
        prop::option::of(prop::sample::select(vec![json!("10.0.0.1"), json!(["10.0.0.2", "10.0.0.1"])]));
    let name = prop::sample::select(vec![
        json!("Ada"),
        json!("ada"),
        json!("Bob"),
        json!(null),
        json!(["Bob", "Eve"]),
    ]);
    (kind, address, name, 0..4_u32, 1..9_u32, prop::option::of("[a-c]{1,2}")).prop_map(
        |(kind, address, name, id, day, category)| {
            let mut body = json!({
                "event_type": kind, "ip_address": address, "author_name": name, "author_id": id, "entity_id": 1,
                "created_at": format!("2026-03-0{day}T00:00:00Z"),
            });
            if let Some(category) = category {
                body["category"] = category.into();
            }
            body
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn counts_agree_with_a_look_at_every_event(
        bodies in prop::collection::vec(any_body(), 1..40),
        text in prop::sample::select(vec!["", "ada", "-author:ada", "tier:destructive OR category:a*", "created:2026-03-03..", "author_id:>1"]),
        field in prop::sample::select(vec!["author_name", "category", "tier", "type", "ip", "author_id", "country", "missing"]),
        cut in 0..30_usize,
    ) {
        let events: Vec<Event> = bodies.iter().map(event).collect();
        // So many more that the dictionary is asked.
        let many: Vec<Event> = events.iter().cycle().take(600 + events.len()).cloned().collect();
        let mut searcher = Searcher::new(Memory::new(many.clone(), &[600, cut], &catalogue()), catalogue());
        let query = query(text);
        let name = match field { "type" => "event_type", "ip" => "ip_address", "country" => "geo.country", other => other };
        let (mut total, mut groups) = (0, BTreeMap::<String, u64>::new());
        for event in &many {
            let shown = canonical(event, &catalogue());
            if query.matches(&shown) {
                total += 1;
                let mut values = Vec::new();
                any_at(&shown, name, &mut |value| {
                    values.extend(text_of(value));
                    false
                });
                values.sort();
                values.dedup();
                values.into_iter().for_each(|value| *groups.entry(value).or_default() += 1);
            }
        }
        prop_assert_eq!(searcher.count(&query).unwrap(), Count { events: total, is_complete: true });
        let counted = searcher.count_by(&query, field, 100).unwrap();
        prop_assert_eq!(counted.total.events, total);
        let counted: BTreeMap<String, u64> =
            counted.groups.into_iter().map(|group| (fold(&group.value), group.events)).collect();
        prop_assert_eq!(counted, groups);
        let series: u64 = searcher.per(&query, Unit::Day).unwrap().stretches.iter().map(|(_, count)| count).sum();
        prop_assert_eq!(series, total);
    }
}

fn text_of(value: &Value) -> Option<String> {
    text(value).map(|text| fold(&text))
}
