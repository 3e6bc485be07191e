//! A generated stream of audit events in which behaviours happen by chance, the same for the same seed.

use serde_json::{Value, json};
use watchfire::time::{Span, Timestamp};

use crate::harness::{START, clone, deed};

/// A small random generator (splitmix64): seeded, and the same on every machine.
pub struct Dice(u64);

impl Dice {
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// From 0 to `below`, which is left out.
    pub fn roll(&mut self, below: u64) -> u64 {
        self.next() % below
    }
}

/// The authors of the stream; their ids are 10 to 49.
pub const AUTHORS: u64 = 40;

/// So many events, one a second on average, of authors who clone, fail to sign in, open and close branches, and delete;
/// a day before, each signs in once.
pub fn stream(seed: u64, count: usize) -> Vec<(Timestamp, Value)> {
    let mut dice = Dice::new(seed);
    let mut time = START;
    let mut events: Vec<(Timestamp, Value)> = (0..AUTHORS.cast_signed()).map(first_day).collect();
    for number in 0..count {
        time = time.plus(Span::millis(1 + dice.roll(2000).cast_signed()));
        let author = 10 + dice.roll(AUTHORS).cast_signed();
        let mut event = match dice.roll(100) {
            0..50 => clone(author, 100 + dice.roll(30).cast_signed(), time),
            50..65 => deed("login_failed_with_standard_authentication", author, time),
            65..75 => deed("user_sign_in", author, time),
            75..84 => deed("protected_branch_removed", author, time),
            84..92 => deed("protected_branch_created", author, time),
            92..95 => deed("personal_access_token_created", author, time),
            95..96 => deed("project_destroyed", author, time),
            _ => deed("member_created", author, time),
        };
        event["id"] = json!(number + 1);
        // In the first five of each twenty minutes an author may come from one other address.
        let (part, minute) = (time.since(START).0 / 1_200_000, time.since(START).0 / 60_000 % 20);
        let is_away = minute < 5 && dice.roll(2) == 0;
        let host = if is_away { 100 + (part + author) % 100 } else { author };
        event["ip_address"] = format!("192.0.2.{host}").into();
        event["user_agent"] = format!("browser {}", dice.roll(50).saturating_sub(45)).into();
        event["bytes"] = json!(dice.roll(1000));
        // Most are at home in one city; now and then one seems to be on the other side of the world.
        let longitude = if dice.roll(300) == 0 { -120.0 } else { 13.4 };
        event["geo"] = json!({"latitude": 52.5, "longitude": longitude, "accuracy_km": 20});
        events.push((time, event));
    }
    events
}

fn first_day(number: i64) -> (Timestamp, Value) {
    let (author, time) = (10 + number, START.minus(Span::days(1)).plus(Span::seconds(number)));
    let mut event = deed("user_sign_in", author, time);
    event["ip_address"] = format!("192.0.2.{author}").into();
    (time, event)
}

/// What comes last, so that everything before it is judged: one event, a day later.
pub fn closing(events: &[(Timestamp, Value)]) -> (Timestamp, Value) {
    let time = events.last().map_or(START, |(time, _)| *time).plus(Span::days(1));
    (time, deed("group_created", 9, time))
}

fn rule(id: &str, detection: &str, behavior: &str, more: &str) -> (String, String) {
    let text = format!(
        "title: {id}\nid: {id}\nlevel: high\nlogsource: {{product: gitlab}}\n\
         detection: {detection}\nbehavior: {behavior}\n{more}"
    );
    (format!("{id}.yml"), text)
}

/// Rules that are judged when an event arrives, so that the clock plays no part in them.
pub fn prompt_rules() -> Vec<(String, String)> {
    const CLONED: &str = "{s: {event_type: repository_git_operation}, condition: s}";
    const FAILED: &str = "{s: {event_type: login_failed_with_standard_authentication}, condition: s}";
    let steps = "{failed: {event_type: login_failed_with_standard_authentication}, \
                 in: {event_type: user_sign_in}, token: {event_type: personal_access_token_created}, \
                 condition: 1 of *}";
    let sign_in = "{s: {event_type: user_sign_in}, condition: s}";
    vec![
        rule("it-count", FAILED, "{by: author_id, within: 10m, at_least: 5}", ""),
        rule(
            "it-distinct",
            CLONED,
            "{by: author_id, distinct: entity_id, within: 10m, at_least: 11}",
            "suppress: 5m\n",
        ),
        rule(
            "it-sequence",
            steps,
            "{by: author_id, sequence: [failed, in, token], within: 15m}",
            "suppress: 1h\n",
        ),
        rule(
            "it-together",
            steps,
            "{by: author_id, sequence: [failed, in, token], ordered: false, within: 5m}",
            "",
        ),
        rule("it-new", sign_in, "{by: author_id, first_seen: ip_address, learn: 12h}", ""),
    ]
}

/// Rules that wait for the watermark.
pub fn waiting_rules() -> Vec<(String, String)> {
    let branch = "{opened: {event_type: protected_branch_removed}, closed: {event_type: protected_branch_created}, \
                  failed: {event_type: login_failed_with_standard_authentication}, \
                  in: {event_type: user_sign_in}, condition: 1 of *}";
    vec![
        rule(
            "it-left-open",
            branch,
            "{by: author_id, absence: {of: closed, after: opened}, within: 20m}",
            "",
        ),
        rule(
            "it-quietly",
            branch,
            "{by: author_id, sequence: [opened, closed], unless: in, within: 10m}",
            "",
        ),
        rule("it-few", branch, "{by: author_id, within: 10m, at_most: 1}", ""),
    ]
}

/// Figures, shares, buckets, values that change or are rare, places.
pub fn measuring_rules() -> Vec<(String, String)> {
    const CLONED: &str = "{s: {event_type: repository_git_operation}, condition: s}";
    let sign_in = "{failed: {event_type: login_failed_with_standard_authentication}, \
                   in: {event_type: user_sign_in}, condition: 1 of *}";
    let figure = |id, behavior| rule(id, CLONED, behavior, "");
    vec![
        figure("it-sum", "{by: author_id, sum: bytes, within: 10m, at_least: 6000}"),
        figure("it-avg", "{by: author_id, avg: bytes, within: 5m, at_least: 800}"),
        figure("it-min", "{by: author_id, min: bytes, within: 5m, at_least: 400}"),
        figure("it-max", "{by: author_id, max: bytes, within: 5m, at_least: 990}"),
        figure("it-median", "{by: author_id, median: bytes, within: 10m, between: [100, 250]}"),
        figure(
            "it-percentile",
            "{by: author_id, percentile: {field: bytes, p: 90}, within: 10m, fewer_than: 500}",
        ),
        figure("it-bucket", "{by: author_id, bucket: {capacity: 4, leak: 60s}}"),
        figure("it-change", "{by: entity_id, change: user_agent, within: 5m}"),
        figure("it-rare", "{by: author_id, rare: user_agent, history: 10h, below: 3%, min_events: 50}"),
        figure("it-travel", "{by: author_id, travel: {field: ip_address}}"),
        rule(
            "it-ratio",
            sign_in,
            "{by: author_id, ratio: {of: failed, to: in, min_events: 2}, within: 20m, more_than: 150%}",
            "",
        ),
    ]
}

/// Rules over rules: three in one file.
pub fn chained_rules() -> (String, String) {
    let text = "\
title: Many failures
id: it-failures
logsource: {product: gitlab}
detection: {s: {event_type: login_failed_with_standard_authentication}, condition: s}
behavior: {by: author_id, within: 10m, at_least: 4}
score: 40
---
title: A token
id: it-token
score: 25
logsource: {product: gitlab}
detection: {s: {event_type: personal_access_token_created}, condition: s}
---
title: Failures, then a token
id: it-chain
correlation:
  type: temporal_ordered
  rules: [it-failures, it-token]
  group-by: [author_id]
  timespan: 30m
  generate: true
score: 30
---
title: Failures and tokens of several kinds
id: it-chains
correlation: {type: event_count, rules: [it-chain, it-failures], group-by: [author_id], timespan: 1h, condition: {gte: 2}, generate: true}
---
title: Failures without a token
id: it-neither
correlation:
  type: temporal
  rules: [it-failures, it-token]
  group-by: [author_id]
  timespan: 10m
  condition: it-failures and not it-token
  generate: true
---
title: Together too much
id: it-risk
logsource: {product: gitlab}
behavior: {by: author_id, risk: {at_least: 80, half_life: 30m}}
";
    ("it-chains.yml".to_owned(), text.to_owned())
}

/// What is learnt over weeks.
pub fn learning_rules() -> Vec<(String, String)> {
    const ACTED: &str = "{s: {event_type: repository_git_operation}, condition: s}";
    vec![
        rule(
            "it-spike",
            ACTED,
            "{by: author_id, spike: {of: count, history: 14d, season: none, direction: both}}",
            "",
        ),
        rule(
            "it-spike-weekly",
            ACTED,
            "{by: author_id, spike: {of: distinct entity_id, history: 21d, season: week, min: 8}}",
            "",
        ),
        rule(
            "it-spike-sum",
            ACTED,
            "{by: author_id, spike: {of: sum bytes, bucket: 2h, history: 14d, season: day}}",
            "",
        ),
        rule("it-hour", ACTED, "{by: author_id, unusual_hour: {learn: 21d, sensitivity: once a year}}", ""),
        rule("it-dormant", ACTED, "{by: author_id, dormant: 5d}", ""),
    ]
}

/// Nine weeks of six authors who work from nine to five and now and then do something else: far too much, nothing for a
/// week, or something at night.
pub fn weeks(seed: u64) -> Vec<(Timestamp, Value)> {
    let mut dice = Dice::new(seed);
    let mut events = Vec::new();
    for hour in 0..63 * 24_i64 {
        let (day, of_day) = (hour / 24, hour % 24);
        let is_work = day % 7 < 5 && (9..17).contains(&of_day);
        for author in 10..16_i64 {
            let is_away = author == 15 && (30..37).contains(&day);
            let burst = u64::from(day > 40 && dice.roll(400) == 0) * 60;
            let night = u64::from(!is_work && day > 35 && dice.roll(700) == 0);
            let usual = if is_work && !is_away { dice.roll(6) } else { 0 };
            for _ in 0..usual + night + if is_work { burst } else { 0 } {
                let time = START.plus(Span::millis(hour * 3_600_000 + dice.roll(3_600_000).cast_signed()));
                let mut event = clone(author, 100 + dice.roll(30).cast_signed(), time);
                event["bytes"] = json!(dice.roll(1000));
                events.push((time, event));
            }
        }
    }
    events.sort_by_key(|(time, _)| *time);
    for (number, (_, event)) in events.iter_mut().enumerate() {
        event["id"] = json!(number + 1);
    }
    events
}

/// A stateless rule; its alerts block their authors.
pub fn deleted_rule() -> (String, String) {
    let text = "title: Deleted\nid: it-deleted\nlevel: critical\nlogsource: {product: gitlab}\n\
                detection: {s: {event_type: project_destroyed}, condition: s}\nsuppress: 365d\nrespond: [block]\n";
    ("it-deleted.yml".to_owned(), text.to_owned())
}
