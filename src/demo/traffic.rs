//! The whole stream: ninety sparse days of the past, then one full week with the attacks in it.

use serde_json::Value;

use super::acts::{FETCH, MergeRequest, Moment, PUSH, robot};
use super::attacks::{self, Planted};
use super::dice::Dice;
use super::organisation::{Organisation, Part, SimUser};
use super::payload::Draft;
use super::rhythm::midnight;
use super::{people, quirks};
use crate::time::{Span, Timestamp};

/// One event as GitLab would post it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SimEvent {
    /// Its `created_at`.
    pub at: Timestamp,
    /// Its type, for the request's header.
    pub event_type: String,
    /// The author's number in the body; negative for keys, tokens and the unauthenticated.
    pub author_id: i64,
    /// The request body, one JSON object.
    pub body: Vec<u8>,
}

/// A simulated organisation's week with what led up to it.
#[derive(Debug, Clone)]
pub struct Simulation {
    /// Every event, in the order of time.
    pub events: Vec<SimEvent>,
    /// The attacks among them.
    pub planted: Vec<Planted>,
    /// The accounts as they are before the first event.
    pub users: Vec<SimUser>,
    /// Where the past ends and the week begins.
    pub week: Timestamp,
}

impl Simulation {
    /// The week begins at the midnight (UTC) at or before `start`; the past reaches 90 days further back.
    /// The same arguments give the same bytes.
    #[must_use]
    pub fn new(seed: u64, start: Timestamp) -> Self {
        let organisation = Organisation::new(seed);
        let week = midnight(start);
        let mut numbers = Numbers::new(seed);
        let mut events = numbers.number(past(&organisation, week, seed));
        let (drafts, planted) = self::week(&organisation, week, seed, 0);
        events.extend(numbers.number(drafts));
        Self { events, planted, users: organisation.users(), week }
    }

    /// How long the simulated time from the first event to the last is.
    #[must_use]
    pub fn length(&self) -> Span {
        match (self.events.first(), self.events.last()) {
            (Some(first), Some(last)) => last.at.since(first.at),
            _ => Span(0),
        }
    }
}

/// Gives events their ids: numbers that rise with time for stored ones, UUIDs for stream-only ones.
#[derive(Debug)]
pub(super) struct Numbers {
    next: u64,
    dice: Dice,
}

impl Numbers {
    pub(super) fn new(seed: u64) -> Self {
        Self { next: 48_001, dice: Dice::new(seed).fork("ids", 0) }
    }

    pub(super) fn number(&mut self, drafts: Vec<Draft>) -> Vec<SimEvent> {
        drafts.into_iter().map(|draft| self.event(&draft)).collect()
    }

    fn event(&mut self, draft: &Draft) -> SimEvent {
        let id = if draft.is_stream_only() {
            Value::from(self.dice.uuid())
        } else {
            self.next += 1;
            Value::from(self.next)
        };
        SimEvent {
            at: draft.at,
            event_type: draft.event_type.to_owned(),
            author_id: draft.author.id,
            body: draft.body(&id),
        }
    }
}

/// The ninety days before the week.
fn past(organisation: &Organisation, week: Timestamp, seed: u64) -> Vec<Draft> {
    let root = Dice::new(seed);
    let mut drafts = Vec::new();
    for (person, number) in organisation.people.iter().zip(0..) {
        drafts.extend(people::past(organisation, person, week, &mut root.fork("past", number)));
    }
    for (one, number) in organisation.robots.iter().zip(0..) {
        let mut dice = root.fork("robot's past", number);
        for days_ago in (1..=89).rev().step_by(4) {
            let at = week.minus(Span::days(days_ago)).plus(Span::millis(dice.between(0, 80_000_000)));
            drafts.push(robot(one, &organisation.projects[one.project], at, FETCH));
        }
    }
    // The audit stream itself was set up by an administrator.
    let admin = organisation.with_part(Part::Administrator);
    drafts.push(Moment::of(admin, week.minus(Span::days(80)).plus(Span::hours(14))).stream(
        "audit_events_streaming_instance_headers_create",
        (32, "AuditEvents::Streaming::InstanceHeader"),
        "Created custom HTTP header with key X-Stream-Key.",
    ));
    in_order(drafts, week.minus(Span::days(91)), week)
}

/// One week of work with its attacks; `number` tells the weeks of an endless stream apart.
pub(super) fn week(
    organisation: &Organisation,
    start: Timestamp,
    seed: u64,
    number: u64,
) -> (Vec<Draft>, Vec<Planted>) {
    let root = Dice::new(seed).fork("week", number);
    let mut drafts = quirks::all(organisation, start);
    for (person, who) in organisation.people.iter().zip(0..) {
        let mut dice = root.fork("person", who);
        let first_day = match person.part {
            Part::Sleeper => continue,
            // Their first days are told by the quirks.
            Part::NewColleague | Part::BackFromLeave => 4,
            _ => 0,
        };
        for day in first_day..7 {
            let midnight = start.plus(Span::days(day));
            drafts.extend(people::day(organisation, person, midnight, &mut dice));
        }
    }
    for (one, who) in organisation.robots.iter().zip(0..) {
        drafts.extend(robots_week(organisation, one, start, &mut root.fork("robot", who)));
    }
    drafts.extend(nightly(organisation, start, &mut root.fork("nightly", 0)));
    let attacks = attacks::all(organisation, start);
    // Who was caught is locked out: nothing ordinary comes from the account after its attack.
    drafts.retain(|draft| !attacks.iter().any(|(p, _)| p.author_id == draft.author.id && draft.at >= p.from));
    let mut planted = Vec::new();
    for (attack, events) in attacks {
        drafts.extend(events);
        planted.push(attack);
    }
    (in_order(drafts, start, start.plus(Span::days(7))), planted)
}

fn robots_week(
    organisation: &Organisation,
    one: &super::organisation::Robot,
    start: Timestamp,
    dice: &mut Dice,
) -> Vec<Draft> {
    let project = &organisation.projects[one.project];
    let mut drafts = Vec::new();
    let mut at = start;
    let end = start.plus(Span::days(7));
    loop {
        at = at.plus(Span(dice.between(one.every.0 / 2, one.every.0 * 3 / 2)));
        if at >= end {
            return drafts;
        }
        // Only a bot account writes: it opens updates and merges them itself.
        let writes = one.author.id > 0 && dice.chance(150);
        drafts.push(robot(one, project, at, if writes { PUSH } else { FETCH }));
        if writes && dice.chance(300) {
            let id = dice.between(10_000, 90_000);
            let request = MergeRequest { id, title: "Update dependencies", project };
            drafts.push(request.merged_by_robot(one, at.plus(Span::minutes(4))));
        }
    }
}

/// The nightly pipelines: within ten minutes of two o'clock most projects are cloned, each by its deploy key.
fn nightly(organisation: &Organisation, start: Timestamp, dice: &mut Dice) -> Vec<Draft> {
    let Some(runner) = organisation.robots.first() else { return Vec::new() };
    let mut drafts = Vec::new();
    for day in 0..7 {
        let two = start.plus(Span::days(day)).plus(Span::hours(2));
        for project in
            organisation.projects.iter().step_by(3).chain(organisation.projects.iter().skip(1).step_by(3))
        {
            let mut draft = robot(runner, project, two.plus(Span::millis(dice.between(0, 600_000))), FETCH);
            draft.author.name = format!("ci-{}", project.name).into();
            drafts.push(draft);
        }
    }
    drafts
}

/// Sorted by time, and only what lies within the two points.
fn in_order(mut drafts: Vec<Draft>, from: Timestamp, to: Timestamp) -> Vec<Draft> {
    drafts.retain(|draft| draft.at >= from && draft.at < to);
    drafts.sort_by_key(|draft| draft.at);
    drafts
}

/// One story for all tests of this folder: making it takes a debug build a second.
#[cfg(test)]
pub(super) static STORY: std::sync::LazyLock<Simulation> =
    std::sync::LazyLock::new(|| Simulation::new(7, Timestamp(1_772_442_000_000)));

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use crate::event::{Catalogue, Format};

    fn field<'a>(body: &'a Value, path: &str) -> &'a Value {
        body.pointer(path).unwrap_or(&Value::Null)
    }

    #[test]
    fn one_seed_gives_one_story_and_another_seed_another() {
        assert_eq!(STORY.week.to_string(), "2026-03-02T00:00:00.000Z");
        let again = Simulation::new(7, STORY.week);
        assert!(STORY.events == again.events, "same seed, same bytes");
        let other = Simulation::new(8, STORY.week);
        assert!(STORY.events != other.events);
    }

    #[test]
    fn the_stream_is_in_order_of_the_asked_size_and_every_type_is_a_known_one() {
        let simulation = &*STORY;
        let count = simulation.events.len();
        assert!((15_000..=25_000).contains(&count), "{count} events");
        assert!(simulation.events.is_sorted_by_key(|event| event.at));
        let catalogue = Catalogue::built_in();
        let mut ids = BTreeSet::new();
        for event in &simulation.events {
            let body: Value = serde_json::from_slice(&event.body).unwrap();
            let known = catalogue.get(Format::Gitlab, &event.event_type).expect("a catalogued type");
            assert_eq!(known.name, event.event_type, "the current name");
            assert_eq!(known.is_stored_by_forge, field(&body, "/id").is_u64(), "{}", event.event_type);
            assert_eq!(field(&body, "/event_type"), event.event_type.as_str());
            assert_eq!(field(&body, "/created_at"), event.at.to_string().as_str());
            assert_eq!(field(&body, "/author_id"), event.author_id);
            assert!(ids.insert(field(&body, "/id").to_string()), "ids are used once");
        }
    }

    #[test]
    fn the_bodies_have_the_documented_keys_in_the_documented_order() {
        let simulation = &*STORY;
        let git = simulation.events.iter().find(|event| event.author_id == -3).unwrap();
        let text = String::from_utf8(git.body.clone()).unwrap();
        let keys = [
            "{\"id\":",
            ",\"author_id\":-3",
            ",\"entity_id\":",
            ",\"entity_type\":\"Project\"",
            ",\"details\":{\"author_name\":",
            ",\"author_class\":\"DeployKey\"",
            ",\"target_id\":",
            ",\"target_type\":\"Project\"",
            ",\"target_details\":",
            ",\"custom_message\":{\"protocol\":\"ssh\",\"action\":\"git-upload-pack\"}",
            ",\"ip_address\":",
            ",\"entity_path\":",
            "},\"ip_address\":",
            ",\"author_name\":",
            ",\"entity_path\":",
            ",\"target_details\":",
            ",\"created_at\":",
            ",\"target_type\":",
            ",\"target_id\":",
            ",\"event_type\":\"repository_git_operation\"}",
        ];
        let mut rest = text.as_str();
        for key in keys {
            let (_, after) = rest.split_once(key).unwrap_or_else(|| panic!("{key} not in {rest}"));
            rest = after;
        }
        assert_eq!(rest, "");
    }

    #[test]
    fn each_attack_has_an_account_of_its_own_that_falls_silent_afterwards() {
        let simulation = &*STORY;
        assert_eq!(simulation.planted.len(), 6);
        let authors: BTreeSet<i64> = simulation.planted.iter().map(|planted| planted.author_id).collect();
        assert_eq!(authors.len(), 6);
        for planted in &simulation.planted {
            let user = simulation.users.iter().find(|user| user.id == planted.author_id).unwrap();
            assert_eq!(user.is_admin, planted.name == "audit-stream-deleted", "{}", planted.name);
            assert_eq!(user.username, planted.username);
            let own = |event: &&SimEvent| event.author_id == planted.author_id;
            assert_eq!(simulation.events.iter().rfind(own).unwrap().at, planted.to);
            let during =
                simulation.events.iter().filter(own).filter(|event| event.at >= planted.from).count();
            assert!(during >= 2, "{} has {during} events", planted.name);
        }
    }

    #[test]
    fn the_attacks_are_what_they_are_called() {
        let simulation = &*STORY;
        let bodies = |name: &str, event_type: &str| -> Vec<Value> {
            let planted = simulation.planted.iter().find(|planted| planted.name == name).unwrap();
            let within = |event: &&SimEvent| (planted.from..=planted.to).contains(&event.at);
            let bodies =
                simulation.events.iter().filter(within).filter(|event| event.event_type == event_type);
            let parsed = bodies.map(|event| serde_json::from_slice::<Value>(&event.body).unwrap());
            parsed.filter(|body| field(body, "/ip_address") == planted.address.as_str()).collect()
        };
        let different = |bodies: &[Value], path: &str| {
            bodies.iter().map(|body| field(body, path).to_string()).collect::<BTreeSet<_>>().len()
        };
        assert_eq!(different(&bodies("mass-clone", "repository_git_operation"), "/entity_id"), 40);
        let deleted = bodies("project-deletion-spree", "project_destroyed");
        assert_eq!((different(&deleted, "/target_id"), different(&deleted, "/entity_id")), (8, 2));
        let failed = bodies("token-after-failed-sign-ins", "login_failed_with_standard_authentication");
        assert_eq!((failed.len(), field(&failed[0], "/author_id").as_i64()), (9, Some(-1)));
        let merged = bodies("approval-rule-loosened-self-merge", "merge_request_merged");
        assert_eq!(field(&merged[0], "/details/approving_author"), true);
        assert_eq!(bodies("dormant-account-new-address", "authenticated_with_password").len(), 1);
        let gone = bodies("audit-stream-deleted", "deleted_instance_audit_event_streaming_destination");
        assert_eq!(gone.len(), 1);
    }

    #[test]
    fn only_the_sleeper_was_silent_for_two_months() {
        let simulation = &*STORY;
        let sleeper = simulation.planted.iter().find(|p| p.name == "dormant-account-new-address").unwrap();
        let mut seen: BTreeMap<i64, Timestamp> = BTreeMap::new();
        let mut silent = BTreeSet::new();
        let mut addresses = BTreeSet::new();
        for event in &simulation.events {
            if let Some(last) = seen.insert(event.author_id, event.at)
                && event.at.since(last) > Span::days(60)
            {
                silent.insert(event.author_id);
            }
            if event.author_id == sleeper.author_id && event.at < sleeper.from {
                let body: Value = serde_json::from_slice(&event.body).unwrap();
                addresses.insert(field(&body, "/ip_address").to_string());
            }
        }
        assert_eq!(silent, BTreeSet::from([sleeper.author_id]));
        assert!(!addresses.is_empty() && !addresses.contains(&format!("\"{}\"", sleeper.address)));
    }
    #[test]
    fn nobody_but_the_planted_comes_near_their_numbers() {
        let ten_minutes = Span::minutes(10);
        let mut clones: BTreeMap<i64, Vec<(Timestamp, i64)>> = BTreeMap::new();
        let mut failures: BTreeMap<String, Vec<Timestamp>> = BTreeMap::new();
        let quiet = |event: &&SimEvent| {
            !STORY.planted.iter().any(|planted| (planted.from..=planted.to).contains(&event.at))
        };
        for event in STORY.events.iter().filter(quiet) {
            let body: Value = serde_json::from_slice(&event.body).unwrap();
            match event.event_type.as_str() {
                "repository_git_operation" if event.author_id > 0 => {
                    let project = field(&body, "/entity_id").as_i64().unwrap();
                    clones.entry(event.author_id).or_default().push((event.at, project));
                }
                "login_failed_with_standard_authentication" => {
                    failures.entry(field(&body, "/ip_address").to_string()).or_default().push(event.at);
                }
                _ => (),
            }
        }
        for (author, clones) in clones {
            for (at, _) in &clones {
                let near =
                    clones.iter().filter(|(other, _)| (Span(0)..=ten_minutes).contains(&other.since(*at)));
                let projects: BTreeSet<i64> = near.map(|(_, project)| *project).collect();
                assert!(projects.len() <= 15, "{author} at {at}: {} projects", projects.len());
            }
        }
        for (address, times) in failures {
            for at in &times {
                let near = times.iter().filter(|other| (Span(0)..=ten_minutes).contains(&other.since(*at)));
                assert!(near.count() <= 3, "{address} at {at}");
            }
        }
    }
}
