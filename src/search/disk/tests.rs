//! Searching a log that is sealed and merged on the way, against a look at every event.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::decode::decode;
use crate::event::{Catalogue, Format, canonical};
use crate::log::testing::SealedLog;
use crate::query::{Query, any_at, fold};
use crate::search::{Order, Searcher, TraceOptions, Unit};
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

fn any_body() -> impl Strategy<Value = Value> {
    let kind =
        prop::sample::select(vec!["user_created", "project_destroyed", "Own_Type", "merge_request_merged"]);
    let address = prop::sample::select(vec![json!("10.0.0.1"), json!("10.0.1.9"), json!("::1"), json!(null)]);
    let name = prop::sample::select(vec![json!("Ada"), json!("ada L"), json!("Bob"), json!(null)]);
    let note = prop::option::of("[a-c]{1,2}( [a-c]{1,2})?");
    (kind, address, name, 0..4_u32, 1..9_u32, note).prop_map(|(kind, address, name, id, day, note)| {
        let mut body = json!({
            "event_type": kind, "ip_address": address, "author_name": name, "author_id": id,
            "entity_type": "Project", "entity_id": day % 3, "entity_path": format!("g/p{}", day % 3),
            "created_at": format!("2026-03-0{day}T00:00:00Z"), "details": {"n": id},
        });
        if let Some(note) = note {
            body["details"]["note"] = note.into();
        }
        body
    })
}

/// One every hour.
fn events(numbers: std::ops::Range<u64>) -> Vec<Event> {
    let body = |number: u64| {
        let at = Timestamp::parse("2026-03-01T00:00:00Z").unwrap().plus(Span::hours(number.cast_signed()));
        json!({
            "id": format!("e{number}"), "author_id": number % 3, "author_name": format!("User {}", number % 3),
            "entity_type": "Project", "entity_id": number % 4, "entity_path": "g/p",
            "event_type": if number.is_multiple_of(2) { "user_created" } else { "project_destroyed" },
            "created_at": at.to_string(), "details": {"note": format!("the {} note", number % 5)},
        })
    };
    numbers.map(|number| event(&body(number))).collect()
}

/// What was appended, where it stands: a tick follows each batch.
fn placed(batches: &[Vec<Event>]) -> Vec<Event> {
    let mut next = 1;
    let mut all = Vec::new();
    for batch in batches {
        for event in batch {
            all.push(Event { position: next, ..event.clone() });
            next += 1;
        }
        next += 1;
    }
    all
}

/// Two sealed segments and a rest.
fn store(batches: &[Vec<Event>; 3]) -> SealedLog {
    let mut log = SealedLog::new(now());
    for (number, batch) in batches.iter().enumerate() {
        log.append(batch);
        if number < 2 {
            log.seal();
        }
    }
    log
}

fn searcher(log: &SealedLog) -> Searcher {
    Searcher::open(log.path(), catalogue()).unwrap()
}

fn all_pages<P: Parts>(
    searcher: &mut Searcher<P>,
    query: &Query,
    (limit, order): (usize, Order),
    mut between: impl FnMut(usize),
) -> Vec<Position> {
    let (mut found, mut cursor) = (Vec::new(), None);
    for number in 0.. {
        let page = searcher.page(query, cursor, (limit, order)).unwrap();
        found.extend(page.events.iter().map(|found| found.event.position));
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
        between(number);
    }
    found
}

/// Compares everything that can be asked with a look at every event.
fn check(searcher: &mut Searcher, all: &[Event], text: &str) {
    let (query, catalogue) = (query(text), catalogue());
    let shown: Vec<_> = all.iter().map(|event| (event, canonical(event, &catalogue))).collect();
    let is_found = |shown: &_| query.finds(shown, catalogue.enrichment());
    let found: Vec<_> = shown.iter().filter(|(_, shown)| is_found(shown)).collect();
    let mut positions: Vec<Position> = found.iter().map(|(event, _)| event.position).collect();
    assert_eq!(all_pages(searcher, &query, (7, Order::OldestFirst), |_| ()), positions, "{text}");
    positions.reverse();
    assert_eq!(all_pages(searcher, &query, (1000, Order::NewestFirst), |_| ()), positions, "{text}");
    assert_eq!(searcher.count(&query).unwrap().events, positions.len() as u64, "{text}");
    for field in ["author_name", "event_type", "ip_address", "details.note", "tier"] {
        let mut expected = BTreeMap::<String, u64>::new();
        for (_, shown) in &found {
            any_at(shown, field, &mut |value| {
                let value = crate::query::text(value).map(|text| fold(&text));
                value.into_iter().for_each(|value| *expected.entry(value).or_default() += 1);
                false
            });
        }
        let groups = searcher.count_by(&query, field, 100).unwrap().groups;
        let counted: BTreeMap<_, _> = groups.into_iter().map(|g| (fold(&g.value), g.events)).collect();
        assert_eq!(counted, expected, "{text} by {field}");
    }
    let mut days = BTreeMap::<Timestamp, u64>::new();
    for (event, _) in &found {
        *days.entry(Unit::Day.start(event.time)).or_default() += 1;
    }
    let series = searcher.per(&query, Unit::Day).unwrap();
    assert_eq!(series.stretches, days.into_iter().collect::<Vec<_>>(), "{text}");
}

const QUERIES: [&str; 12] = [
    "",
    "ada",
    "-author:ada* type:user_created",
    "tier:destructive OR \"a b\"",
    "created:2026-03-03..2026-03-05",
    "author_id:>1 -note",
    "details.note:*b* created:<2026-03-04",
    "ip:10.0.0.0/23",
    "type:own_type OR (author:bob -ip:*)",
    "b*",
    "entity:g/p1 author_id:2 created:>=2026-03-02",
    "nothing",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    #[test]
    fn sealed_or_not_every_query_finds_the_same(
        bodies in prop::collection::vec(any_body(), 3..90),
        (cut, next) in (1..30_usize, 1..30_usize),
    ) {
        let mut events: Vec<Event> = bodies.iter().map(event).collect();
        let rest = events.split_off((cut + next).min(events.len()));
        let second = events.split_off(cut.min(events.len() - 1));
        let batches = [events, second, rest];
        let all = placed(&batches);
        let mut log = store(&batches);
        assert_eq!(log.segments().len(), 2);
        let mut searcher = searcher(&log);
        QUERIES.iter().for_each(|text| check(&mut searcher, &all, text));
        log.merge();
        assert_eq!(log.segments().len(), 1);
        QUERIES.iter().step_by(3).for_each(|text| check(&mut searcher, &all, text));
        for event in &all {
            let found = searcher.get(event.position).unwrap();
            prop_assert_eq!(found.as_ref(), Some(event));
        }
        prop_assert_eq!(searcher.take_damaged(), []);
    }
}

#[test]
fn pages_stay_where_they_were_while_segments_are_sealed_and_merged() {
    for order in [Order::NewestFirst, Order::OldestFirst] {
        let mut batches = vec![events(0..40), events(40..90), events(90..120)];
        let mut log = store(&[batches[0].clone(), batches[1].clone(), batches[2].clone()]);
        let mut searcher = searcher(&log);
        let before = placed(&batches);
        let text = "type:user_created \"note\"";
        let found = all_pages(&mut searcher, &query(text), (4, order), |number| match number {
            0 | 5 => log.seal(),
            1 | 6 => log.merge(),
            2..=4 => {
                let start = 120 + 10 * number as u64;
                batches.push(events(start..start + 10));
                log.append(&batches[batches.len() - 1]);
            }
            _ => {}
        });
        let is_wanted = |event: &&Event| canonical(event, &catalogue())["event_type"] == "user_created";
        let positions = |events: &[Event]| -> Vec<Position> {
            events.iter().filter(is_wanted).map(|event| event.position).collect()
        };
        let mut expected = positions(&if order == Order::NewestFirst { before } else { placed(&batches) });
        if order == Order::NewestFirst {
            expected.reverse();
        }
        assert_eq!(found, expected, "{order:?}");
        assert_eq!(log.segments().len(), 1);
    }
}

#[test]
fn what_is_sealed_after_the_listing_is_still_the_rest() {
    let batches = [events(0..40), events(40..90), events(90..120)];
    let mut log = store(&batches);
    let mut disk = Disk::new(Reader::open(log.path()).unwrap());
    let listed = disk.segments().unwrap();
    let bounds: Vec<_> = listed.iter().map(|bounds| (bounds.first, bounds.last)).collect();
    assert_eq!(bounds, [(1, 41), (42, 92)]);
    log.seal();
    let always = TimeRange { from: Timestamp::MIN, to: Timestamp::MAX };
    let mut found = Vec::new();
    let mut visit = |event: Event| {
        found.push(event.position);
        ControlFlow::Continue(())
    };
    disk.backwards(100, always, &mut visit).unwrap();
    disk.forwards(110, always, &mut visit).unwrap();
    disk.backwards(93, always, &mut visit).unwrap();
    let expected: Vec<Position> = (93..100).rev().chain(111..=122).collect();
    assert_eq!(found, expected);
    assert_eq!(disk.segment(42).unwrap().first(), 42);
    log.merge();
    // The first one was never opened, and its file is gone.
    assert!(matches!(disk.segment(1), Err(SearchError::Moved)));
    assert_eq!(disk.segments().unwrap().len(), 1);
    assert_eq!(disk.segment(1).unwrap().first(), 1);
}

/// Merges when a segment is asked for the first time.
struct Merging {
    disk: Disk,
    log: Option<SealedLog>,
    /// Keeps the folder.
    done: Option<SealedLog>,
}

impl Parts for Merging {
    fn segments(&mut self) -> Result<Vec<Bounds>, LogError> {
        self.disk.segments()
    }

    fn segment(&mut self, first: Position) -> Result<&mut dyn Sealed, SearchError> {
        if let Some(mut log) = self.log.take() {
            log.merge();
            self.done = Some(log);
        }
        self.disk.segment(first)
    }

    fn damaged(&self) -> &[Damage] {
        self.disk.damaged()
    }

    fn backwards(
        &mut self,
        at: Position,
        range: TimeRange,
        visit: &mut VisitEvent<'_>,
    ) -> Result<(), LogError> {
        self.disk.backwards(at, range, visit)
    }

    fn forwards(
        &mut self,
        at: Position,
        range: TimeRange,
        visit: &mut VisitEvent<'_>,
    ) -> Result<(), LogError> {
        self.disk.forwards(at, range, visit)
    }

    fn get(&mut self, position: Position) -> Result<Option<Event>, LogError> {
        self.disk.get(position)
    }
}

#[test]
fn a_merge_under_a_search_counts_nothing_twice() {
    for asked in 0..3 {
        let batches = [events(0..40), events(40..90), events(90..120)];
        let log = store(&batches);
        let disk = Disk::new(Reader::open(log.path()).unwrap());
        let mut searcher = Searcher::new(Merging { disk, log: Some(log), done: None }, catalogue());
        let query = query("author_id:1");
        match asked {
            0 => assert_eq!(searcher.count(&query).unwrap().events, 40),
            1 => assert_eq!(searcher.count_by(&query, "author", 9).unwrap().groups[0].events, 40),
            _ => assert_eq!(all_pages(&mut searcher, &query, (1000, Order::NewestFirst), |_| ()).len(), 40),
        }
        assert_eq!(searcher.parts.done.as_ref().unwrap().segments().len(), 1);
        assert_eq!(searcher.take_damaged(), []);
    }
}

#[test]
fn a_trace_goes_through_sealed_segments() {
    let batches = [events(0..40), events(40..90), events(90..120)];
    let mut unsealed = SealedLog::new(now());
    batches.iter().for_each(|batch| unsealed.append(batch));
    let sealed = store(&batches);
    for name in ["e5", "e39", "e60", "e91", "e119"] {
        let [here, there] = [&sealed, &unsealed].map(|log| {
            let mut searcher = searcher(log);
            let event = searcher.named(name).unwrap().unwrap();
            let options = TraceOptions { author: Span::hours(30), events: 6, ..TraceOptions::default() };
            searcher.trace(event, options).unwrap()
        });
        assert_eq!(here, there, "{name}");
        assert!(here.author.is_some_and(|strand| !strand.is_empty()), "{name}");
    }
}

fn write(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    let mut bytes = fs::read(path).unwrap();
    change(&mut bytes);
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_damaged_segment_does_not_hide_the_others() {
    type Damaging = (&'static str, fn(&Path));
    let ways: [Damaging; 5] = [
        ("no manifest", |path| fs::remove_file(path.with_extension("json")).unwrap()),
        ("no database", |path| fs::remove_file(path).unwrap()),
        ("shorter", |path| write(path, |bytes| bytes.truncate(1024))),
        ("nothing but zeros", |path| write(path, |bytes| bytes.fill(0))),
        ("all but the beginning", |path| write(path, |bytes| bytes[2048..].fill(0xa5))),
    ];
    for (how, damage) in ways {
        for order in [Order::NewestFirst, Order::OldestFirst] {
            let log = store(&[events(0..40), events(40..90), events(90..120)]);
            damage(&log.segments()[0]);
            let mut searcher = searcher(&log);
            let found = all_pages(&mut searcher, &query("author_id:1"), (5, order), |_| ());
            assert!(found.is_sorted() || found.is_sorted_by(|a, b| a > b), "{how}");
            assert_eq!(found.iter().filter(|position| **position > 41).count(), 27, "{how} {found:?}");
            let damaged = searcher.take_damaged();
            assert_eq!((damaged.len(), damaged[0].first, damaged[0].last), (1, 1, 41), "{how} {damaged:?}");
            assert!(damaged[0].to_string().contains("positions 1 to 41"), "{how}");
            let count = searcher.count(&query("author_id:1")).unwrap();
            assert!(count.is_complete && (27..=40).contains(&count.events), "{how} {count:?}");
            assert_eq!(searcher.take_damaged().len(), 1, "{how}");
            let days = searcher.per(&query("author_id:1 created:>=2026-03-04"), Unit::Month).unwrap();
            assert_eq!(days.total.events, 16, "{how}");
        }
    }
}

#[test]
fn an_index_of_another_version_is_not_asked() {
    let batches = [events(0..40), events(40..90), events(90..120)];
    let log = store(&batches);
    let path = log.segments().remove(1);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    let database = rusqlite::Connection::open(&path).unwrap();
    database
        .execute_batch("UPDATE meta SET value = 77 WHERE key = 'index'; UPDATE term SET postings = zeroblob(length(postings))")
        .unwrap();
    drop(database);
    let mut searcher = searcher(&log);
    for text in ["", "author_id:1", "created:2026-03-03 \"3 note\"", "-type:user_created", "note*"] {
        check(&mut searcher, &placed(&batches), text);
    }
    assert_eq!(searcher.take_damaged(), []);
}

#[test]
fn what_is_deleted_is_found_no_more_and_the_rest_is() {
    use crate::retention::{Keep, Policy, Rule};
    let batches = [events(0..300), events(300..600), events(600..650)];
    let mut log = store(&batches);
    let all = placed(&batches);
    let mut early = searcher(&log);
    let is_user = |event: &Event| std::str::from_utf8(&event.raw).unwrap().contains("user_created");
    let check = |searcher: &mut Searcher, is_left: &dyn Fn(&Event) -> bool| {
        for text in ["", "event_type:user_created", "the note author_id:1", "-author_id:1", "entity_id:2"] {
            let query = query(text);
            let found = all_pages(searcher, &query, (17, Order::OldestFirst), |_| {});
            let finds = |event: &&Event| query.matches(&canonical(event, &catalogue())) && is_left(event);
            let expected: Vec<Position> = all.iter().filter(finds).map(|event| event.position).collect();
            assert_eq!(found, expected, "{text}");
            let mut newest = all_pages(searcher, &query, (17, Order::NewestFirst), |_| {});
            newest.reverse();
            assert_eq!(newest, expected, "{text}");
        }
        assert_eq!(searcher.take_damaged(), []);
    };
    check(&mut early, &|_| true);
    let users = Rule {
        name: "users".into(),
        sources: Vec::new(),
        types: vec!["user_*".into()],
        categories: Vec::new(),
        tiers: Vec::new(),
        keep: Keep::For(Span::years(10)),
    };
    let policy = Policy { rules: vec![users], default: Span::days(30), ..Policy::default() };
    log.retain(policy.clone(), now().plus(Span::days(40)));
    let is_left = |event: &Event| is_user(event) || event.position > 602;
    check(&mut searcher(&log), &is_left);
    // It has the old segments open.
    check(&mut early, &is_left);
    log.retain(Policy { rules: Vec::new(), ..policy }, now().plus(Span::days(90)));
    assert_eq!(log.segments().len(), 0);
    check(&mut early, &|event: &Event| event.position > 602);
    check(&mut searcher(&log), &|event: &Event| event.position > 602);
}
