//! Imported events teach the rules and raise no alerts, in a backtest they do.

use std::sync::Arc;

use serde_json::json;

use super::*;
use crate::decode::decode;
use crate::event::{Catalogue, Entry, Event, Format};
use crate::rule::{Lists, RuleFile, load};
use crate::script::Cage;
use crate::time::{Span, Timestamp};

const RULES: [&str; 2] = [
    "title: Deleted\nid: deleted\nlogsource: {product: gitlab}\n\
     detection: {any: {event_type: project_destroyed}, condition: any}\n",
    "title: New address\nid: address\nlogsource: {product: gitlab}\n\
     detection: {any: {event_type: user_created}, condition: any}\n\
     behavior: {by: author_id, first_seen: ip_address, learn: 1d, forget: 90d}\n",
];

fn engine(judges_past: bool) -> Engine {
    let files = RULES.map(|text| RuleFile { path: format!("{}.yml", text.len()).into(), text: text.into() });
    let loaded = load(&files, &Lists::default());
    let environment = Environment {
        catalogue: Arc::new(Catalogue::built_in()),
        cage: Arc::new(Cage::new(Arc::default())),
        lateness: Span::minutes(5),
        today: Timestamp(0),
    };
    let compiled = compile(loaded.rules, &[], &environment);
    assert_eq!(compiled.rules.units().len(), 2, "{:?}", loaded.diagnostics);
    let limits = Limits { judges_past, ..Limits::default() };
    Engine::new(Arc::new(compiled.rules), Arc::new(Catalogue::built_in()), limits)
}

/// Rule and position of each alert that these events raise; `(source, event type, address, day)`.
fn alerts(engine: &mut Engine, events: &[(&str, &str, &str, i64)]) -> Vec<(String, u64)> {
    let mut effects = Effects::default();
    for (position, (source, kind, address, day)) in (engine.position() + 1..).zip(events) {
        let time = Timestamp(1_760_000_000_000).plus(Span::days(*day));
        let body = json!({
            "id": position, "author_id": 7, "entity_id": 5, "event_type": kind, "ip_address": address,
            "created_at": time.to_string(),
        });
        let now = Timestamp(1_770_000_000_000);
        let decoded =
            decode(Format::Gitlab, &Arc::from(*source), body.to_string().into(), None, now).unwrap();
        engine.handle(&Entry::Event(Event { position, ..decoded.event }), &mut effects);
    }
    effects.alerts.iter().map(|opened| (opened.alert.rule.to_string(), opened.alert.position)).collect()
}

const HISTORY: [(&str, &str, &str, i64); 4] = [
    ("past/import", "project_destroyed", "192.0.2.1", 1),
    ("past/import", "user_created", "192.0.2.1", 2),
    ("past/import", "user_created", "192.0.2.2", 3),
    ("past/import", "user_created", "192.0.2.1", 4),
];

#[test]
fn the_past_teaches_and_raises_no_alerts() {
    let mut engine = engine(false);
    assert_eq!(alerts(&mut engine, &HISTORY), []);
    let live = [
        ("gitlab", "user_created", "192.0.2.2", 20),
        ("gitlab", "user_created", "192.0.2.9", 21),
        ("gitlab", "project_destroyed", "192.0.2.1", 22),
    ];
    let expected = [("address".to_owned(), 6), ("deleted".to_owned(), 7)];
    assert_eq!(alerts(&mut engine, &live), expected, "the address of day 3 is known, that of day 21 is not");
}

#[test]
fn a_backtest_judges_the_past() {
    let mut engine = engine(true);
    assert_eq!(alerts(&mut engine, &HISTORY).first(), Some(&("deleted".to_owned(), 1)));
}

#[test]
fn what_the_past_found_is_no_part_of_what_goes_on() {
    let mut engine = engine(false);
    let mut events = HISTORY.to_vec();
    events.push(("gitlab", "user_created", "192.0.2.9", 5));
    events.push(("past/import", "user_created", "192.0.2.10", 5));
    assert_eq!(alerts(&mut engine, &events), [("address".to_owned(), 5)]);
    let bytes = engine.snapshot().unwrap();
    let again = Engine::restore(
        Arc::clone(engine.rules()),
        Arc::new(Catalogue::built_in()),
        Limits::default(),
        &bytes,
    )
    .unwrap();
    assert!(again.snapshot().unwrap() == bytes);
}
