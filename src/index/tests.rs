//! The index against a look at every event.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::testing::MemorySegment;
use super::*;
use crate::decode::decode;
use crate::enrich::Enrichment;
use crate::enrich::testing::{enrichment, people};
use crate::event::{Catalogue, Event, Format, canonical};
use crate::query::Query;

fn now() -> Timestamp {
    Timestamp::parse("2026-03-10T12:00:00Z").unwrap()
}

fn event(format: Format, source: &str, body: &Value) -> Event {
    decode(format, &source.into(), body.to_string().into(), None, now()).unwrap().event
}

fn segment(events: Vec<Event>, catalogue: &Catalogue) -> MemorySegment {
    let numbered = (5..).zip(events).map(|(position, event)| Event { position, ..event });
    MemorySegment::new(numbered.collect(), catalogue)
}

/// The numbers of the events that a look at each of them finds.
fn naive(query: &Query, segment: &MemorySegment, catalogue: &Catalogue) -> RoaringBitmap {
    let is_found = |event: &Event| query.finds(&canonical(event, catalogue), catalogue.enrichment());
    (0..).zip(&segment.events).filter(|(_, event)| is_found(event)).map(|(number, _)| number).collect()
}

fn check(text: &str, segment: &mut MemorySegment, catalogue: &Catalogue) -> Answer {
    let query = Query::parse(text, now()).unwrap();
    let found = naive(&query, segment, catalogue);
    let answer = evaluate(&query, segment, catalogue).unwrap();
    let shown =
        || segment.events.iter().map(|e| String::from_utf8_lossy(&e.raw).into_owned()).collect::<Vec<_>>();
    assert!(answer.sure.is_subset(&found), "{text}: sure of {:?}\n{:#?}", &answer.sure - &found, shown());
    assert!(
        found.is_subset(&answer.possible),
        "{text}: without {:?}\n{:#?}",
        &found - &answer.possible,
        shown()
    );
    answer
}

fn some_events() -> Vec<Event> {
    let mut events = Vec::new();
    for number in 0..300_u64 {
        let kind = ["project_destroyed", "user_created", "Odd_Type", "project_group_link_create"];
        let body = json!({
            "id": format!("0f{number:06x}-aaaa"), "author_id": number % 7, "author_name": format!("Ada {}", number % 7),
            "entity_id": number % 50, "entity_type": "Project", "entity_path": format!("Group/sub{}/p", number % 50),
            "target_details": if number % 10 == 0 { json!(null) } else { json!(format!("branch-{number}")) },
            "event_type": kind[(number % 4) as usize], "ip_address": format!("10.0.{}.{}", number % 3, number),
            "created_at": format!("2026-03-0{}T00:00:00Z", 1 + number % 9),
            "details": {"custom_message": {"action": "git-upload-pack"}, "ok": number % 2 == 0, "size": number},
        });
        events.push(event(Format::Gitlab, "gitlab", &body));
    }
    let github = json!({"action": "repo.destroy", "actor": "ada 1", "actor_id": 1, "created_at": 1_772_900_000_000_i64,
                        "repo": "group/sub1/p", "_document_id": "x", "source": "word", "category": "own"});
    events.push(event(Format::Github, "github", &github));
    let bitbucket = json!({"auditType": {"action": "x"}, "author": {"id": "7", "name": "Eve"}, "source": "10.0.0.9",
                           "affectedObjects": [{"id": "a", "name": "first"}, {"id": "b", "name": "second"}]});
    events.push(event(Format::Bitbucket, "bitbucket", &bitbucket));
    events
}

#[test]
fn the_index_alone_answers_most_questions() {
    let catalogue = Catalogue::built_in();
    let mut segment = segment(some_events(), &catalogue);
    for (text, count) in [
        ("", 302),
        ("author_id:3", 43),
        ("author:3", 43),
        ("author:\"ADA 1\"", 44),
        ("author:ada*", 301),
        ("-author:ada*", 1),
        ("type:project_destroyed", 75),
        ("type:project_group_link_created", 75),
        ("type:project_group_link_create", 0),
        ("type:odd_type", 75),
        ("type:*_created", 150),
        ("tier:destructive", 75),
        ("category:own", 1),
        ("-category:*", 76),
        ("entity:group/*", 301),
        ("entity:*/p entity:*sub1*", 67),
        ("target:branch-17", 1),
        ("-target:*", 31),
        ("target:*-1*", 100),
        ("ip:10.0.1.0/24", 85),
        ("ip:10.0.0.0/8 -ip:10.0.0.0/16", 0),
        ("ip:10.0.0.9", 2),
        ("author_id:>4", 86),
        ("author_id:2..3", 86),
        ("created:2026-03-05", 33),
        ("created:>2026-03-05 created:<=2026-03-07", 67),
        ("created:2026-03-0*", 301),
        ("source:github OR source:bit*", 2),
        ("position:5..9", 5),
        ("upload", 300),
        ("sub1", 7),
        ("sub1*", 67),
        ("0f000011", 1),
        ("*f00001*", 16),
        ("*", 302),
        ("second", 1),
        ("word", 0),
        ("entity_path:second", 0),
        ("-upload", 2),
    ] {
        let answer = check(text, &mut segment, &catalogue);
        assert!(answer.is_exact(), "{text}: doubtful {:?}", answer.doubtful().len());
        assert_eq!(answer.sure.len(), count, "{text}");
    }
}

#[test]
fn for_the_rest_it_knows_few_that_must_be_looked_at() {
    let catalogue = Catalogue::built_in();
    let mut segment = segment(some_events(), &catalogue);
    for (text, possible) in [
        ("details.size:17", 6),
        ("details.custom_message.action:git-upload-pack author_id:1", 43),
        ("details.custom_message.action:git-up*", 300),
        ("-details.size:17", 302),
        ("git-upload-pack", 300),
        ("\"pack upload\"", 300),
        ("details.ok:true", 302),
        ("id:0f000011-aaaa", 1),
        ("id:0f00001*", 16),
        ("received_at:today", 302),
    ] {
        let answer = check(text, &mut segment, &catalogue);
        assert_eq!(answer.possible.len(), possible, "{text}");
        assert!(!answer.is_exact(), "{text}");
    }
}

#[test]
fn countries_come_from_the_addresses() {
    let catalogue = Catalogue::built_in().with(enrichment());
    let bodies = [
        json!({"author_id": 9, "entity_id": 1, "ip_address": "203.0.113.9"}),
        json!({"author_id": 9, "entity_id": 1, "ip_address": "198.51.100.200", "geo": {"country": "XX"}}),
        json!({"author_id": 9, "entity_id": 1, "ip_address": "10.0.0.1", "geo": {"country": "XX"}}),
        json!({"author_id": 9, "entity_id": 1, "geo.country": "DE", "author_name": "ann"}),
        json!({"author_id": 9, "entity_id": 1, "author_name": "bob", "author": {"team": "mine"}}),
    ];
    let mut segment =
        segment(bodies.iter().map(|body| event(Format::Gitlab, "g", body)).collect(), &catalogue);
    for (text, sure, possible) in [
        ("country:de", 1, 2),
        ("country:US", 1, 1),
        ("country:xx", 0, 2),
        ("-country:de", 3, 4),
        ("author.team:red", 0, 5),
        ("red", 0, 0),
        ("mine", 0, 1),
        ("self:true", 0, 5),
    ] {
        let answer = check(text, &mut segment, &catalogue);
        assert_eq!((answer.sure.len(), answer.possible.len()), (sure, possible), "{text}");
    }
}

#[test]
fn what_was_renamed_since_is_found_by_its_new_name_only() {
    let names = ["project_group_link_create", "project_group_link_created"];
    let events = names
        .map(|name| event(Format::Gitlab, "g", &json!({"event_type": name, "author_id": 1, "entity_id": 1})));
    let catalogue = Catalogue::built_in();
    // Sealed by a program that did not know the names.
    let mut segment = segment(events.into(), &Catalogue::default());
    for (text, count) in [
        ("type:project_group_link_created", 2),
        ("type:project_group_link_create", 0),
        ("type:*create", 0),
        ("category:*", 2),
    ] {
        assert_eq!(check(text, &mut segment, &catalogue).sure.len(), count, "{text}");
    }
}

#[test]
fn what_no_memory_was_left_for_is_looked_at() {
    let catalogue = Catalogue::built_in();
    let numbered = (5..).zip(some_events()).map(|(position, event)| Event { position, ..event });
    let builder = Builder::with_memory(20_000);
    let mut segment = MemorySegment::built(builder, numbered.collect(), &catalogue);
    for text in ["", "author_id:3", "-author_id:3", "created:2026-03-05", "sub1* OR -type:*"] {
        let answer = check(text, &mut segment, &catalogue);
        assert!((1..302).contains(&answer.doubtful().len()), "{text}: {}", answer.doubtful().len());
    }
}

#[test]
fn damage_is_told() {
    let catalogue = Catalogue::built_in();
    let mut segment = segment(some_events(), &catalogue);
    segment.damage();
    for text in ["author_id:3", "0f000011", "*f00001*", "-type:user_created"] {
        let answer = evaluate(&Query::parse(text, now()).unwrap(), &mut segment, &catalogue);
        assert!(matches!(answer, Err(ReadError::Damaged)), "{text}");
    }
}

#[test]
fn the_index_is_small_and_takes_little_memory() {
    let catalogue = Catalogue::built_in();
    let mut text = Vec::new();
    crate::demo::generate(10_000, 3, &mut text).unwrap();
    let mut builder = Builder::default();
    let lines: Vec<&[u8]> = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).collect();
    for (number, line) in (0..).zip(&lines) {
        let raw = bytes::Bytes::copy_from_slice(line);
        let decoded = decode(Format::Gitlab, &"gitlab".into(), raw, None, now()).unwrap();
        builder.add(number, &decoded.event, &catalogue);
    }
    let bytes: usize = builder.finish().map(|term| term.value.len() + term.postings.len() + 8).sum();
    assert!(bytes / lines.len() <= 100, "{} bytes per event", bytes / lines.len());
}

fn word() -> impl Strategy<Value = String> {
    prop_oneof![
        "[ab]{1,2}",
        "[aB]-[ab]",
        "a{64,66}",
        Just("b".repeat(260)),
        "10\\.[01]\\.0\\.[0-2]",
        Just("2001:DB8::1".to_owned()),
        Just("::ffff:10.0.0.1".to_owned()),
        "[0-3]",
        Just("project_destroyed".to_owned()),
        Just("project_group_link_create".to_owned()),
        Just("ÄB ä".to_owned()),
        Just("<a>".to_owned()),
    ]
}

fn value() -> impl Strategy<Value = Value> {
    let scalar = prop_oneof![
        1 => Just(Value::Null),
        1 => any::<bool>().prop_map(Value::from),
        3 => (0..4_i64).prop_map(Value::from),
        1 => Just(json!(2.5)),
        1 => Just(json!(2.0)),
        8 => word().prop_map(Value::from),
    ];
    let several = prop::collection::vec(scalar.clone(), 0..3).prop_map(Value::from);
    let object = prop::collection::btree_map("[ab]", scalar.clone(), 0..2).prop_map(|map| json!(map));
    prop_oneof![8 => scalar, 1 => several, 1 => object]
}

const NAMES: [&str; 28] = [
    "id",
    "author_id",
    "author_name",
    "entity_id",
    "entity_type",
    "entity_path",
    "target_id",
    "target_details",
    "event_type",
    "ip_address",
    "created_at",
    "category",
    "tier",
    "source",
    "position",
    "time",
    "actor",
    "actor_id",
    "action",
    "actor_ip",
    "a",
    "a.b",
    "details.author_name",
    "geo.country",
    "self",
    "affectedObjects",
    "author",
    "correlation_id",
];

fn any_event() -> impl Strategy<Value = Event> {
    let name = prop::sample::select(NAMES.to_vec());
    let inner =
        prop::sample::select(vec!["a", "author_name", "ip_address", "event_name", "id", "name", "country"]);
    let outer = prop::sample::select(vec!["details", "geo", "author", "x"]);
    let nested = prop::collection::btree_map(inner, value(), 0..3);
    let nested = prop::option::of((outer, nested, any::<bool>()));
    let fields = prop::collection::btree_map(name, value(), 0..7);
    let hint = prop::option::weighted(0.1, Just("user_created"));
    let times = prop::sample::select(vec!["2026-03-01T00:00:00Z", "2026-03-02T10:00:00.000Z"]);
    (prop::sample::select(Format::ALL.to_vec()), fields, nested, hint, times).prop_map(
        |(format, fields, nested, hint, time)| {
            let mut body: Map<String, Value> =
                fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
            if let Some((outer, inner, is_list)) = nested {
                body.insert(outer.to_owned(), if is_list { json!([inner]) } else { json!(inner) });
            }
            Event {
                position: 0,
                received_at: now(),
                time: Timestamp::parse(time).unwrap(),
                source: "ab".into(),
                forge: "ab".into(),
                format,
                type_hint: hint.map(Into::into),
                raw: Value::from(body).to_string().into(),
            }
        },
    )
}

fn any_query() -> impl Strategy<Value = String> {
    let name = prop::sample::select(
        [
            &NAMES[..],
            &["author", "type", "entity", "target", "ip", "country", "details.a", "x.a", "received_at"],
        ]
        .concat(),
    );
    let pattern = prop_oneof![
        word().prop_map(|word| format!("\"{word}\"")),
        "[ab]{0,2}\\*[ab]?",
        "\\*[ab]",
        Just("*".to_owned()),
    ];
    let compare =
        prop::sample::select(vec![">1", "<=2", "1..2", "..b", ">=a", "-7d", "2026-03-01", "<2026-03-02"]);
    let network = prop::sample::select(vec!["10.0.0.0/16", "10.1.0.0/30", "2001:db8::/32", "::/0"]);
    let time = prop::sample::select(vec!["2026-03-01", "<2026-03-02", "-30d", "2026-03-02..", "2026-03-0*"]);
    let term = prop_oneof![
        4 => (name.clone(), pattern.clone()).prop_map(|(name, pattern)| format!("{name}:{pattern}")),
        3 => pattern,
        1 => (name, compare).prop_map(|(name, compare)| format!("{name}:{compare}")),
        1 => network.prop_map(|network| format!("ip:{network}")),
        1 => time.prop_map(|time| format!("created:{time}")),
        1 => Just("a-b*".to_owned()),
        1 => Just("category:project* tier:destructive".to_owned()),
    ];
    let term =
        (term, any::<bool>()).prop_map(|(term, is_not)| if is_not { format!("-({term})") } else { term });
    let joint = prop::sample::select(vec![" ", " OR "]);
    prop::collection::vec((term, joint), 1..4)
        .prop_map(|terms| terms.into_iter().map(|(t, j)| format!("{t}{j}")).collect::<String>() + "*")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn the_index_agrees_with_a_look_at_every_event(
        events in prop::collection::vec(any_event(), 1..12),
        text in any_query(),
        has_more in any::<bool>(),
    ) {
        let enrichment = if has_more { enrichment().with_tables(vec![people("a,red,dev\n")]) } else { Enrichment::default() };
        static BUILT_IN: std::sync::LazyLock<Catalogue> = std::sync::LazyLock::new(Catalogue::built_in);
        let catalogue = BUILT_IN.with(enrichment);
        let mut segment = segment(events, &catalogue);
        if Query::parse(&text, now()).is_ok() {
            check(&text, &mut segment, &catalogue);
        }
    }
}

/// What merging the indexes of these pieces gives, in order.
fn merged(pieces: &[Vec<Event>], catalogue: &Catalogue) -> Vec<Term> {
    let mut sources = Vec::new();
    let mut offset = 0;
    for piece in pieces {
        sources.push((offset, MemorySegment::new(piece.clone(), catalogue)));
        offset += u32::try_from(piece.len()).unwrap();
    }
    let mut terms = Vec::new();
    let mut take = |term| {
        terms.push(term);
        Ok(())
    };
    merge(&sources, &mut take).unwrap();
    let field_and_value = |term: &Term| (term.field, term.value.clone());
    assert!(terms.iter().filter(|term| term.field < 128).map(field_and_value).is_sorted());
    terms.sort_by_key(field_and_value);
    terms
}

fn split(mut events: Vec<Event>, cuts: &[prop::sample::Index]) -> Vec<Vec<Event>> {
    let mut pieces = Vec::new();
    for cut in cuts {
        let tail = events.split_off(cut.index(events.len() + 1));
        pieces.insert(0, tail);
    }
    pieces.insert(0, events);
    pieces
}

fn same_terms(merged: &[Term], rebuilt: &[Term]) {
    for (one, other) in merged.iter().zip(rebuilt) {
        assert_eq!(one, other);
    }
    assert_eq!(merged.len(), rebuilt.len());
}

proptest! {
    #[test]
    fn merged_indexes_are_the_index_of_all_events(
        events in prop::collection::vec(any_event(), 1..40),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
    ) {
        let catalogue = Catalogue::built_in();
        let rebuilt = MemorySegment::new(events.clone(), &catalogue).all_terms();
        same_terms(&merged(&split(events, &cuts), &catalogue), &rebuilt);
    }
}

#[test]
fn merged_indexes_pack_rare_values_anew() {
    let catalogue = Catalogue::built_in();
    let mut text = Vec::new();
    crate::demo::generate(6_000, 3, &mut text).unwrap();
    let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let events: Vec<Event> = lines
        .map(|line| {
            let raw = bytes::Bytes::copy_from_slice(line);
            decode(Format::Gitlab, &"gitlab".into(), raw, None, now()).unwrap().event
        })
        .collect();
    let rebuilt = MemorySegment::new(events.clone(), &catalogue).all_terms();
    assert!(rebuilt.iter().filter(|term| term.field >= 128).count() > 50);
    let pieces: Vec<Vec<Event>> = events.chunks(977).map(<[Event]>::to_vec).collect();
    same_terms(&merged(&pieces, &catalogue), &rebuilt);
}

#[test]
fn damaged_indexes_are_not_merged() {
    let catalogue = Catalogue::built_in();
    let whole = MemorySegment::new(some_events(), &catalogue);
    let mut damaged = MemorySegment::new(some_events(), &catalogue);
    damaged.damage();
    let sources = [(0, whole), (302, damaged)];
    assert!(matches!(merge(&sources, &mut |_| Ok(())), Err(ReadError::Damaged)));
    // Lists that do not follow each other.
    let sources = [302, 0].map(|offset| (offset, MemorySegment::new(some_events(), &catalogue)));
    assert!(matches!(merge(&sources, &mut |_| Ok(())), Err(ReadError::Damaged)));
}
