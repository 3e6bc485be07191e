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

/// A stateless rule; its alerts block their authors.
pub fn deleted_rule() -> (String, String) {
    let text = "title: Deleted\nid: it-deleted\nlevel: critical\nlogsource: {product: gitlab}\n\
                detection: {s: {event_type: project_destroyed}, condition: s}\nsuppress: 365d\nrespond: [block]\n";
    ("it-deleted.yml".to_owned(), text.to_owned())
}
