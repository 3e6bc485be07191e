//! What is remembered at the limits: how much, what gives way, and that a restart forgets the same.

use std::sync::{Arc, LazyLock};

use proptest::prelude::*;

use super::slot::Slot;
use super::state::{Memory, TIMER_BYTES};
use super::*;
use crate::alert::LedgerReason;
use crate::detect::Hit;
use crate::event::{Catalogue, Event, Format};
use crate::rule::{Lists, RuleFile, load};
use crate::script::{Cage, ListTable};
use crate::time::{Span, Timestamp};

const HOUR: i64 = 3_600_000;
const KIB: usize = 1 << 10;

const COUNT: &str = "{by: author_id, within: 24h, at_least: 5}";
const SILENCE: &str = "{by: author_id, within: 30d, absence: {of: sel}}";

/// Rules with these behaviours, named `rule0`, `rule1` …
fn rules(behaviors: &[&str]) -> Arc<RuleSet> {
    let file = |(number, behavior): (usize, &&str)| {
        let text = format!(
            "title: Rule {number}\nid: rule{number}\nstatus: test\nlevel: high\n\
            logsource: {{product: gitlab, service: audit}}\ndetection:\n  \
            sel: {{event_type: user_sign_in}}\n  other: {{event_type: user_created}}\n  \
            condition: sel or other\nbehavior: {behavior}\n"
        );
        RuleFile { path: format!("{number}.yml").into(), text }
    };
    let files: Vec<RuleFile> = behaviors.iter().enumerate().map(file).collect();
    let loaded = load(&files, &Lists::new());
    let environment = Environment {
        catalogue: Arc::new(Catalogue::built_in()),
        cage: Arc::new(Cage::new(Arc::new(ListTable::default()))),
        lateness: Span::minutes(5),
        today: Timestamp(0),
    };
    let compiled = compile(loaded.rules, &[], &environment);
    let problems = (loaded.diagnostics, compiled.diagnostics);
    assert_eq!(compiled.rules.units().len(), behaviors.len(), "{problems:?}");
    Arc::new(compiled.rules)
}

fn limits(all: usize, each: usize) -> Limits {
    Limits { state_bytes_max: all, rule_bytes_max: each, ..Limits::default() }
}

/// An engine that is fed with hits, and what came of them.
struct Feed {
    engine: Engine,
    rules: Arc<RuleSet>,
    limits: Limits,
    position: u64,
    effects: Effects,
    found: Vec<(String, u64, u64)>,
    evicted: Vec<u64>,
    most: usize,
}

impl Feed {
    fn new(rules: Arc<RuleSet>, limits: Limits) -> Self {
        let engine = Engine::new(Arc::clone(&rules), Arc::default(), limits);
        let evicted = vec![0; rules.units().len()];
        let (found, effects) = (Vec::new(), Effects::default());
        Self { engine, rules, limits, position: 0, effects, found, evicted, most: 0 }
    }

    fn hit(&mut self, detector: u32, key: &str, time: i64) {
        self.hit_as(detector, 0, (key, "v"), time);
    }

    fn hit_as(&mut self, detector: u32, role: u16, (key, value): (&str, &str), time: i64) {
        self.position += 1;
        let (time, position) = (Timestamp(time), self.position);
        let event = Event {
            position,
            received_at: time,
            time,
            source: "gitlab".into(),
            forge: "gitlab".into(),
            format: Format::Gitlab,
            type_hint: None,
            raw: bytes::Bytes::new(),
        };
        let key = crate::tuple::key([key]).into();
        let mut hits = Hits::default();
        hits.hits.push(Hit { detector, role, key, value: Some(value.into()), time, position });
        self.engine.judge(&event, &hits, &mut self.effects);
        for finding in &self.effects.findings {
            self.found.push((finding.key.to_string(), finding.position, finding.evidence_count));
        }
        for entry in self.effects.ledger.iter().filter(|entry| entry.reason == LedgerReason::Evicted) {
            self.evicted[self.rules.number(&entry.rule).unwrap()] += entry.count;
        }
        self.effects.clear();
        self.most = self.most.max(self.engine.state_bytes());
    }

    fn restart(&mut self) {
        let bytes = self.engine.snapshot().unwrap();
        let engine = Engine::restore(Arc::clone(&self.rules), Arc::default(), self.limits, &bytes).unwrap();
        assert!(engine.snapshot().unwrap() == bytes, "another state was read than was written");
        assert_eq!(engine.state_bytes(), self.engine.state_bytes());
        self.engine = engine;
    }

    fn finds(&self, key: &str) -> usize {
        let key = format!("author_id = {key}");
        self.found.iter().filter(|(found, ..)| *found == key).count()
    }

    /// What the engine takes, counted again from nothing.
    fn counted(&self) -> usize {
        let slots = |memory: &Memory| memory.keys.iter().map(|slot| slot.weight() as usize).sum::<usize>();
        let state = &self.engine.state;
        let timers: usize = state.sources.values().map(|source| source.timers.len()).sum();
        let keys: usize = state.memories.iter().map(slots).sum();
        state.ghosts.bytes() + keys + timers * TIMER_BYTES
    }
}

/// So many keys `times` each, a thousand events apart, evenly over a day; attackers come every so many hours.
fn flood(events: usize, times: usize, all: usize, restarts: &[usize]) -> Feed {
    let mut feed = Feed::new(rules(&[COUNT]), limits(all, all));
    let mut due = [HOUR, 2 * HOUR, 3 * HOUR];
    for number in 0..events {
        let time = (number as i64) * 24 * HOUR / events as i64;
        for (every, due) in (1..).zip(&mut due) {
            if *due <= time {
                feed.hit(0, &format!("every{every}h"), time);
                *due += every * HOUR;
            }
        }
        let key = if times == 1 || number / 1000 % 2 == 0 { number } else { number - 1000 };
        feed.hit(0, &key.to_string(), time);
        if restarts.contains(&number) {
            feed.restart();
        }
    }
    feed
}

#[test]
fn a_flood_of_keys_stays_within_the_limit_and_hides_nobody_who_comes_back() {
    let limit = 2048 * KIB;
    let feed = flood(200_000, 1, limit, &[]);
    assert!(feed.most <= limit, "{} bytes", feed.most);
    assert!(feed.engine.keys() < 20_000, "so few keys fit that the order of arrival alone would lose them");
    // 23 events: one is lost before he is recognised, and the fifth of the others is the first finding.
    assert!(feed.finds("every1h") >= 23 - 5, "{}", feed.finds("every1h"));
    assert!(feed.finds("every2h") >= 11 - 5, "{}", feed.finds("every2h"));
    assert!(feed.finds("every3h") >= 7 - 5, "{}", feed.finds("every3h"));
    assert!(feed.found.iter().all(|(key, ..)| key.contains("every")), "nobody else did it");
    let entered = feed.engine.keys() as u64 + feed.evicted[0];
    assert!((200_003..200_010).contains(&entered), "each key is kept or in the ledger: {entered}");
}

#[test]
fn a_flood_of_keys_that_come_twice_stays_within_the_limit_and_is_in_the_ledger() {
    let limit = 2048 * KIB;
    let feed = flood(200_000, 2, limit, &[]);
    assert!(feed.most <= limit, "{} bytes", feed.most);
    assert!(feed.evicted[0] > 80_000, "{} evicted", feed.evicted[0]);
    assert!(feed.finds("every1h") > 0, "who comes back sooner than the protected keys turn over is caught");
}

#[test]
fn a_restart_forgets_the_same() {
    let whole = flood(30_000, 1, 512 * KIB, &[]);
    let parts = flood(30_000, 1, 512 * KIB, &[70, 9_999, 10_000, 23_456]);
    assert_eq!(whole.found, parts.found);
    assert_eq!(whole.evicted, parts.evicted);
    assert!(whole.engine.snapshot().unwrap() == parts.engine.snapshot().unwrap());
}

#[test]
fn a_rule_does_not_drive_out_another_ones_keys() {
    let mut feed = Feed::new(rules(&[COUNT, COUNT, COUNT]), limits(512 * KIB, 512 * KIB));
    for number in 0..400 {
        feed.hit(1, &format!("small{number}"), number);
    }
    for number in 0..20_000 {
        feed.hit(0, &format!("flood{number}"), 1000 + number);
        feed.hit(2, &format!("flood{number}"), 1000 + number);
    }
    assert!(feed.most <= 512 * KIB);
    assert!(feed.evicted[0] > 10_000 && feed.evicted[2] > 10_000);
    assert_eq!(feed.evicted[1], 0, "it takes less than an equal share");
    let bytes: Vec<usize> = feed.engine.state.memories.iter().map(Memory::bytes).collect();
    assert!(bytes[0].abs_diff(bytes[2]) < 32 * KIB, "{bytes:?}");
}

#[test]
fn a_rule_keeps_to_its_own_limit_while_memory_is_free() {
    let mut feed = Feed::new(rules(&[COUNT, COUNT]), limits(4096 * KIB, 256 * KIB));
    for number in 0..10_000 {
        feed.hit(0, &number.to_string(), number);
        assert!(feed.engine.state.memories[0].bytes() <= 256 * KIB);
    }
    assert!(feed.evicted[0] > 5_000);
    assert!(feed.engine.state_bytes() < 1024 * KIB);
}

#[test]
fn what_waits_for_forgotten_keys_does_not_pile_up() {
    let mut feed = Feed::new(rules(&[SILENCE]), limits(256 * KIB, 256 * KIB));
    for number in 0..30_000 {
        feed.hit(0, &number.to_string(), number * 1000);
        let timers = feed.engine.state.sources["gitlab"].timers.len();
        assert!(timers <= 2048 + feed.engine.keys(), "{timers} timers for {} keys", feed.engine.keys());
    }
    assert!(feed.most <= 256 * KIB);
    assert_eq!(feed.counted(), feed.engine.state_bytes());
}

#[test]
fn keys_whose_time_is_over_are_not_in_the_ledger() {
    let mut feed = Feed::new(rules(&[COUNT]), limits(128 * KIB, 128 * KIB));
    for day in 0..20 {
        for number in 0..400 {
            feed.hit(0, &format!("{day} {number}"), day * 25 * HOUR + number * 1000);
        }
    }
    assert_eq!(feed.evicted[0], 0);
    assert!(feed.engine.keys() <= 800, "{}", feed.engine.keys());
}

#[test]
fn one_key_larger_than_the_limit_is_given_up() {
    let distinct = "{by: author_id, within: 24h, distinct: target_id, at_least: 1000000}";
    let mut feed = Feed::new(rules(&[distinct]), limits(64 * KIB, 64 * KIB));
    for number in 0..20_000 {
        feed.hit_as(0, 0, ("big", &number.to_string()), number);
        assert!(feed.engine.state_bytes() <= 64 * KIB);
    }
    assert!(feed.evicted[0] > 1);
}

#[test]
fn other_limits_after_a_restart_are_kept_at_once() {
    let mut feed = flood(10_000, 1, 1024 * KIB, &[]);
    feed.limits = limits(300 * KIB, 300 * KIB);
    let bytes = feed.engine.snapshot().unwrap();
    feed.engine = Engine::restore(Arc::clone(&feed.rules), Arc::default(), feed.limits, &bytes).unwrap();
    feed.hit(0, "next", 24 * HOUR);
    assert!(feed.engine.state_bytes() <= 300 * KIB, "{}", feed.engine.state_bytes());
}

#[test]
fn a_key_costs_little() {
    let mut feed = Feed::new(rules(&[COUNT]), Limits::default());
    for number in 0..1000 {
        feed.hit(0, &(10_000_000 + number).to_string(), number);
    }
    let each = feed.engine.state_bytes() / 1000;
    assert!(each <= 300, "{each} bytes");
    assert!(size_of::<Slot>() <= 192, "{} bytes", size_of::<Slot>());
}

const BEHAVIORS: [&str; 7] = [
    COUNT,
    SILENCE,
    "{by: author_id, within: 2h, distinct: target_id, at_least: 3}",
    "{by: author_id, within: 2h, at_most: 3}",
    "{by: author_id, first_seen: ip_address, learn: 1h}",
    "{by: author_id, dormant: 1h}",
    "{by: author_id, within: 1h, sequence: [sel, other]}",
];

static MANY: LazyLock<Arc<RuleSet>> = LazyLock::new(|| rules(&BEHAVIORS));

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever came and however little room there is: the limit holds, the count is right, and a restart at any
    /// point changes nothing.
    #[test]
    fn the_count_is_right_and_restarts_change_nothing(
        events in prop::collection::vec((0u32..7, 0u16..2, 0u8..40, 0u8..12, 0i64..600_000), 1..400),
        room in 4usize..200,
        restart_at in 0usize..400,
    ) {
        let limits = limits(room * KIB, room * KIB / 2);
        let run = |restart: Option<usize>| {
            let mut feed = Feed::new(Arc::clone(&MANY), limits);
            let mut time = 0;
            for (number, (detector, role, key, value, step)) in events.iter().enumerate() {
                time += step;
                let role = if *detector == 6 { *role } else { 0 };
                feed.hit_as(*detector, role, (&key.to_string(), &value.to_string()), time);
                if restart == Some(number) {
                    feed.restart();
                }
                assert_eq!(feed.counted(), feed.engine.state_bytes());
            }
            feed
        };
        let whole = run(None);
        prop_assert!(whole.most <= limits.state_bytes_max);
        let parts = run(Some(restart_at));
        prop_assert_eq!(&whole.found, &parts.found);
        prop_assert_eq!(&whole.evicted, &parts.evicted);
        prop_assert!(whole.engine.snapshot().unwrap() == parts.engine.snapshot().unwrap());
    }
}
