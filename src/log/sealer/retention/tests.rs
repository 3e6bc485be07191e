//! Deleting against a plain list of events, with crashes at every named place.

use std::path::Path;
use std::sync::{Arc, Mutex};

use proptest::prelude::*;
use tempfile::TempDir;

use super::{HeldBack, Retention, slack};
use crate::clock::Clock;
use crate::decode::decode;
use crate::event::{Catalogue, Entry, Event, Format, Position};
use crate::log::appender::{Appender, Work};
use crate::log::sealer::{SealOptions, Worker};
use crate::log::segment::folder;
use crate::log::tests::{ALWAYS, NOW, read_all};
use crate::log::verify::verify_beside;
use crate::log::{
    LogError, LogOptions, NewEvent, Reader, Verified, VerifyOptions, deletion, fault, forecast, hot,
    read_deletions,
};
use crate::query::Query;
use crate::retention::{Keep, Policy, Rule};
use crate::time::{Span, Timestamp};

const OPTIONS: SealOptions = SealOptions { seal_entries: 8, seal_after: Span::days(1), segment_entries: 400 };
const TYPES: [&str; 4] = ["user_created", "project_destroyed", "repository_git_operation", "unheard_of"];
const TO_JUDGE: Span = Span::hours(6);

/// A log without threads, and the events that it was given.
struct Store {
    dir: TempDir,
    appender: Appender,
    worker: Worker,
    clock: Clock,
    given: Vec<Event>,
    /// What was deleted before a hold was made.
    gone_before: Vec<Position>,
    retention: Arc<Mutex<Result<Retention, String>>>,
}

fn open_worker(dir: &Path) -> Worker {
    Worker::open(dir, OPTIONS, Arc::new(Catalogue::built_in())).unwrap()
}

fn retention(policy: Policy) -> Retention {
    Retention {
        policy: Arc::new(policy),
        to_judge: TO_JUDGE,
        needs: None,
        lateness: Span(0),
        at_least: Span(0),
        settled: Position::MAX,
        holds: Vec::new(),
        catalogue: Arc::new(Catalogue::built_in()),
    }
}

fn rule(types: &[&str], keep: Keep) -> Rule {
    Rule {
        name: types.join(" "),
        sources: Vec::new(),
        types: types.iter().map(|name| (*name).to_owned()).collect(),
        categories: Vec::new(),
        tiers: Vec::new(),
        keep,
    }
}

/// Ninety days, but ten years of users and nothing of clones.
fn policy() -> Policy {
    Policy {
        default: Span::days(90),
        rules: vec![
            rule(&["user_*"], Keep::For(Span::years(10))),
            rule(&["repository_git_operation"], Keep::ToJudge),
        ],
        ..Policy::default()
    }
}

impl Store {
    fn new(policy: Policy) -> Self {
        let dir = tempfile::tempdir().unwrap();
        hot::make_folder(dir.path()).unwrap();
        let clock = Clock::fixed(NOW);
        let options = LogOptions { dedupe_horizon: Span(1), ..LogOptions::default() };
        let appender = Appender::open(dir.path(), options, clock.clone()).unwrap();
        let worker = open_worker(dir.path());
        let retention = Arc::new(Mutex::new(Ok(retention(policy))));
        let (given, gone_before) = (Vec::new(), Vec::new());
        Self { dir, appender, worker, clock, given, gone_before, retention }
    }

    fn append(&mut self, types: &[&str]) {
        let now = self.clock.now();
        let first = self.appender.position();
        let new = |(number, name): (usize, &&str)| {
            let id = first + number as u64 + 1;
            let raw = format!(
                r#"{{"id":{id},"author_id":{},"entity_id":{id},"event_type":"{name}","created_at":"{now}"}}"#,
                id % 5
            );
            let decoded = decode(Format::Gitlab, &"gitlab".into(), raw.into(), None, now).unwrap();
            NewEvent { event: decoded.event, dedupe: decoded.dedupe }
        };
        let batch: Vec<NewEvent> = types.iter().enumerate().map(new).collect();
        for (position, new) in (first + 1..).zip(&batch) {
            self.given.push(Event { position, ..new.event.clone() });
        }
        let receipts = self.appender.commit(&[Work::Batch(batch), Work::Tick(now)]).unwrap();
        assert_eq!(receipts[0].duplicates, 0);
    }

    fn ask(&mut self) -> Result<(), String> {
        let retention = Arc::clone(&self.retention);
        self.worker.ask(Some(Arc::new(move || retention.lock().unwrap().clone())))
    }

    fn seal(&mut self) {
        self.ask().ok();
        if let Some(upto) = self.worker.seal(self.clock.now(), &mut || Ok(())).unwrap() {
            while self.appender.forget(upto).unwrap() {}
        }
    }

    fn merge(&mut self) -> bool {
        self.ask().ok();
        self.worker.merge(self.clock.now(), &mut || Ok(())).unwrap()
    }

    /// Deletes all that is to be deleted now.
    fn retain(&mut self) {
        self.ask().ok();
        let mut steps = 0;
        while self.worker.retain(self.clock.now(), &mut || Ok(())).unwrap() {
            steps += 1;
            assert!(steps < 1000, "it never comes to an end");
        }
        self.worker.remove_replaced(self.clock.now().plus(Span::hours(1))).unwrap();
    }

    fn reopen(&mut self) {
        let options = LogOptions { dedupe_horizon: Span(1), ..LogOptions::default() };
        self.appender = Appender::open(self.dir.path(), options, self.clock.clone()).unwrap();
        self.worker = open_worker(self.dir.path());
    }

    fn wait(&self, span: Span) {
        self.clock.set(self.clock.now().plus(span));
    }

    fn reader(&self) -> Reader {
        Reader::open(self.dir.path()).unwrap()
    }

    fn verify(&self) -> Verified {
        let options = VerifyOptions { deep: true, keys: true, ..VerifyOptions::default() };
        self.reader().verify_with(&options).unwrap()
    }

    fn change(&self, change: impl FnOnce(&mut Retention)) {
        change(self.retention.lock().unwrap().as_mut().unwrap());
    }

    fn hold(&mut self, text: &str) {
        if self.retention.lock().unwrap().as_ref().unwrap().holds.is_empty() {
            let left = self.left();
            let gone = self.given.iter().map(|event| event.position);
            self.gone_before = gone.filter(|position| left.binary_search(position).is_err()).collect();
        }
        let query = Query::parse(text, NOW).unwrap();
        self.change(|retention| retention.holds.push(HeldBack { id: 1, query }));
    }

    /// The positions of the events that are there, the same for every way of reading them.
    fn left(&self) -> Vec<Position> {
        let mut reader = self.reader();
        let events: Vec<Event> = read_all(&mut reader, 7)
            .into_iter()
            .filter_map(|entry| match entry {
                Entry::Event(event) => Some(event),
                Entry::Tick { .. } => None,
            })
            .collect();
        for event in &events {
            let given = self.given.iter().find(|given| given.position == event.position);
            assert_eq!(given, Some(event));
            assert_eq!(reader.get(event.position).unwrap().as_ref(), given);
        }
        let left: Vec<Position> = events.iter().map(|event| event.position).collect();
        for given in &self.given {
            let is_there = left.binary_search(&given.position).is_ok();
            assert_eq!(reader.get(given.position).unwrap().is_some(), is_there, "{}", given.position);
        }
        let mut newest = Vec::new();
        reader
            .newest_first(ALWAYS, &mut |event| {
                newest.push(event.position);
                std::ops::ControlFlow::Continue(())
            })
            .unwrap();
        newest.reverse();
        assert_eq!(newest, left);
        assert!(reader.segments().unwrap().iter().all(|info| info.damage.is_none()));
        left
    }

    /// What must be there, and what may be: events that are due for less than the slack and an hour.
    fn check(&self) {
        let left = self.left();
        let retention = self.retention.lock().unwrap().clone().unwrap();
        let now = self.clock.now();
        let sealed = self.reader().first_unsealed();
        for event in &self.given {
            let name = TYPES
                .into_iter()
                .find(|name| std::str::from_utf8(&event.raw).unwrap().contains(&format!("\"{name}\"")));
            let (keep, _) = retention.keep(event, name, &mut crate::engine::Hits::default());
            let is_there = left.binary_search(&event.position).is_ok();
            let due = event.received_at.plus(keep);
            let author = format!("\"author_id\":{},", event.position % 5);
            assert!(std::str::from_utf8(&event.raw).unwrap().contains(&author));
            let is_held = !retention.holds.is_empty()
                && event.position % 5 == 3
                && !self.gone_before.contains(&event.position);
            if due > now || is_held {
                assert!(is_there, "{} is deleted too early", event.position);
            } else if due.plus(slack(keep)) <= now && event.position < sealed {
                assert!(!is_there, "{} is still there", event.position);
            }
        }
        let verified = self.verify();
        assert_eq!(verified.entries, self.reader().last_position().unwrap());
    }
}

#[test]
fn what_is_due_is_deleted_and_the_rest_is_proven() {
    let mut store = Store::new(policy());
    for _ in 0..3 {
        store.append(&["user_created", "project_destroyed", "repository_git_operation", "unheard_of"]);
        store.append(&["project_destroyed"; 7]);
        store.seal();
        store.wait(Span::days(1));
    }
    store.append(&["user_created"]);
    store.retain();
    store.check();
    // Clones went, by writing anew.
    let records = read_deletions(store.dir.path()).unwrap();
    assert_eq!(records.len(), 3);
    assert!(records.iter().all(|record| !record.removed && record.events == 1));
    assert_eq!(records[0].rules[0].said, "store: no");
    assert_eq!(records[0].types.keys().collect::<Vec<_>>(), ["repository_git_operation"]);
    store.wait(Span::days(120));
    let before = store.left();
    store.retain();
    store.check();
    assert_eq!(store.left().len(), before.len() - 3 * 9);
    // Only users are left; in ten years whole segments go.
    store.wait(Span::years(10));
    store.retain();
    store.check();
    assert_eq!(store.left(), [40]);
    let records = read_deletions(store.dir.path()).unwrap();
    assert_eq!(records.iter().filter(|record| record.removed).count(), 3);
    assert_eq!(records.iter().map(|record| record.events).sum::<u64>(), 33);
    assert_eq!(std::fs::read_dir(folder(store.dir.path())).unwrap().count(), 0);
    // The log goes on behind what is gone.
    let verified = store.verify();
    assert_eq!((verified.gone, verified.deleted, verified.hot), (39, 0, 2));
    store.append(&["user_created"; 9]);
    store.seal();
    store.check();
    // The one that had been left was due by then.
    store.reopen();
    store.check();
    assert_eq!(store.left().len(), 9);
}

#[test]
fn what_is_merged_or_sealed_loses_what_is_due_for_free() {
    let mut store = Store::new(policy());
    for _ in 0..8 {
        store.append(&["repository_git_operation"; 2]);
        store.append(&["project_destroyed"; 9]);
        store.seal();
    }
    store.wait(Span::hours(7));
    assert!(store.merge());
    store.worker.remove_replaced(Timestamp::MAX).unwrap();
    store.check();
    assert_eq!(store.left().len(), 72);
    let records = read_deletions(store.dir.path()).unwrap();
    assert_eq!((records.len(), records[0].events, records[0].manifests.len()), (1, 16, 8));
    // These were never sealed.
    store.append(&["repository_git_operation"; 9]);
    store.wait(Span::days(2));
    store.seal();
    store.check();
    assert_eq!(store.left().len(), 72);
    assert_eq!(read_deletions(store.dir.path()).unwrap()[1].bytes_before, 0);
    assert_eq!(store.verify().deleted, 25);
    // A segment of digests alone is of no use.
    store.retain();
    store.check();
    assert_eq!(store.verify().gone, 10);
}

#[test]
fn a_hold_keeps_what_it_finds_and_unreadable_holds_keep_everything() {
    let mut store = Store::new(policy());
    store.append(&["project_destroyed"; 20]);
    store.seal();
    store.wait(Span::days(200));
    store.hold("author_id:3");
    store.retain();
    store.check();
    assert_eq!(store.left(), [3, 8, 13, 18]);
    assert_eq!(store.worker.retention(None).held, 4);
    let known = store.retention.lock().unwrap().clone().unwrap();
    *store.retention.lock().unwrap() = Err("the store is away".to_owned());
    assert_eq!(store.ask(), Err("the store is away".to_owned()));
    store.retain();
    assert_eq!(store.left().len(), 4);
    *store.retention.lock().unwrap() = Ok(Retention { holds: Vec::new(), ..known });
    store.retain();
    store.check();
    assert_eq!(store.left(), [0; 0]);
}

#[test]
fn a_hold_made_while_a_segment_is_written_counts() {
    let mut store = Store::new(policy());
    store.append(&["project_destroyed"; 20]);
    store.seal();
    store.wait(Span::days(200));
    store.ask().unwrap();
    store.hold("author_id:3");
    let retained = store.worker.retain(store.clock.now(), &mut || Ok(())).unwrap();
    assert!(retained && store.left().len() == 20);
    store.retain();
    assert_eq!(store.left(), [3, 8, 13, 18]);
}

#[test]
fn what_detection_has_yet_to_see_stays() {
    let mut store = Store::new(policy());
    store.append(&["project_destroyed"; 20]);
    store.seal();
    store.append(&["project_destroyed"; 20]);
    store.seal();
    store.wait(Span::days(200));
    store.change(|retention| retention.settled = 30);
    store.retain();
    assert_eq!(store.left(), (22..42).collect::<Vec<_>>());
    store.change(|retention| retention.settled = 42);
    store.retain();
    assert_eq!(store.left(), [0; 0]);
}

#[test]
fn a_forecast_changes_nothing() {
    let mut store = Store::new(policy());
    store.append(&["project_destroyed"; 20]);
    store.append(&["user_created"; 5]);
    store.seal();
    store.append(&["repository_git_operation"; 3]);
    store.wait(Span::days(70));
    store.hold("author_id:3");
    let terms = store.retention.lock().unwrap().clone().unwrap();
    let now = store.clock.now();
    let forecast = forecast(store.dir.path(), &terms, (now, now.plus(Span::days(30)))).unwrap();
    let [default, clones] = forecast.rules.as_slice() else { panic!("{forecast:?}") };
    assert_eq!((default.name.as_str(), default.now.0, default.later.0), ("default", 0, 16));
    assert_eq!((clones.said.as_str(), clones.now.0, clones.later.0), ("store: no", 2, 0));
    assert_eq!((forecast.held, forecast.looked_at), (5, 1));
    assert_eq!(read_deletions(store.dir.path()).unwrap(), []);
}

const PLACES: [&str; 9] = [
    "segment.before_index",
    "segment.before_rename",
    "segment.after_rename",
    "retention.before_record",
    "retention.after_record",
    "segment.after_manifest",
    "merge.between_removes",
    "merge.after_remove",
    "seal.after_checkpoint",
];

#[test]
fn a_crash_at_each_place_is_put_right() {
    for place in PLACES {
        for passes in 0..4 {
            let mut store = Store::new(policy());
            for _ in 0..8 {
                store.append(&["repository_git_operation", "user_created"]);
                store.append(&["project_destroyed"; 9]);
                store.seal();
            }
            store.append(&["project_destroyed"; 20]);
            store.seal();
            store.append(&["repository_git_operation"; 9]);
            store.wait(Span::days(200));
            let done = fault::crash(place, passes, || {
                store.seal();
                store.retain();
                while store.merge() {}
                store.retain();
            });
            assert!(done.is_none() || passes > 0, "{place} is never reached");
            store.left();
            store.verify();
            store.reopen();
            store.check_nothing_half_made(place);
            store.left();
            store.verify();
            store.seal();
            store.retain();
            while store.merge() {}
            store.retain();
            store.check();
            assert_eq!(store.left().len(), 8, "{place}");
        }
    }
}

impl Store {
    fn check_nothing_half_made(&self, place: &str) {
        for entry in std::fs::read_dir(folder(self.dir.path())).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            assert!(name.ends_with(".db") || name.ends_with(".json"), "{place}: {name}");
        }
    }
}

#[derive(Debug, Clone)]
enum Step {
    Append(Vec<usize>),
    Wait(i64),
    Seal,
    Merge,
    Retain,
    Reopen,
    Hold,
    Crash(usize, u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => prop::collection::vec(0..TYPES.len(), 1..40).prop_map(Step::Append),
        3 => (1_i64..60 * 24).prop_map(Step::Wait),
        3 => Just(Step::Seal),
        2 => Just(Step::Merge),
        3 => Just(Step::Retain),
        1 => Just(Step::Reopen),
        1 => Just(Step::Hold),
        2 => (0..PLACES.len(), 0_u64..3).prop_map(|(place, passes)| Step::Crash(place, passes)),
    ]
}

fn any_policy() -> impl Strategy<Value = Policy> {
    let keep =
        prop_oneof![Just(Keep::ToJudge), (1_i64..2_000).prop_map(|hours| Keep::For(Span::hours(hours)))];
    let rule = (0..TYPES.len(), keep).prop_map(|(index, keep)| rule(&[TYPES[index]], keep));
    (1_i64..5_000, prop::collection::vec(rule, 0..4)).prop_map(|(hours, rules)| Policy {
        default: Span::hours(hours),
        rules,
        ..Policy::default()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn whatever_happens_what_shall_be_there_is_there(
        policy in any_policy(),
        steps in prop::collection::vec(step(), 1..40),
    ) {
        let mut store = Store::new(policy);
        for step in steps {
            match step {
                Step::Append(types) => {
                    store.append(&types.iter().map(|index| TYPES[*index]).collect::<Vec<_>>());
                }
                Step::Wait(hours) => store.wait(Span::hours(hours)),
                Step::Seal => store.seal(),
                Step::Merge => drop(store.merge()),
                Step::Retain => store.retain(),
                Step::Reopen => store.reopen(),
                Step::Hold => store.hold("author_id:3"),
                Step::Crash(place, passes) => {
                    let done = fault::crash(PLACES[place], passes, || {
                        store.seal();
                        store.merge();
                        store.retain();
                    });
                    if done.is_none() {
                        store.left();
                        store.reopen();
                        // The thread's first step after a start: what is recorded as deleted leaves the hot end too.
                        store.seal();
                    }
                }
            }
        }
        store.seal();
        while store.merge() {}
        store.retain();
        store.check();
        // The command line sees the same.
        store.reopen();
        store.check();
    }
}

#[test]
fn what_is_missing_without_a_record_is_found() {
    let mut store = Store::new(policy());
    for _ in 0..3 {
        store.append(&["project_destroyed", "repository_git_operation"]);
        store.append(&["project_destroyed"; 8]);
        store.seal();
    }
    store.wait(Span::days(1));
    store.retain();
    store.wait(Span::days(100));
    store.append(&["user_created"; 20]);
    store.seal();
    store.retain();
    let verified = store.verify();
    assert_eq!((verified.gone, verified.segments), (36, 1));
    let dir = store.dir.path();
    let path = deletion::path(dir);
    let whole = std::fs::read(&path).unwrap();
    for index in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[index] ^= 1 << (index % 7);
        std::fs::write(&path, bytes).unwrap();
        assert!(store.reader().verify_with(&VerifyOptions::default()).is_err(), "byte {index}");
    }
    // Without the last records, or without any.
    let lines: Vec<&[u8]> = whole.split_inclusive(|byte| *byte == b'\n').collect();
    for kept in 0..lines.len() {
        std::fs::write(&path, lines[..kept].concat()).unwrap();
        let error = store.reader().verify_with(&VerifyOptions::default()).unwrap_err();
        assert!(matches!(error, LogError::Corrupt { .. }), "{kept}: {error}");
    }
    std::fs::remove_file(&path).unwrap();
    assert!(store.reader().verify().is_err());
    std::fs::write(&path, &whole).unwrap();
    store.verify();
    // A segment that somebody took away.
    for entry in std::fs::read_dir(folder(dir)).unwrap() {
        std::fs::remove_file(entry.unwrap().path()).unwrap();
    }
    assert!(matches!(store.reader().verify(), Err(LogError::Corrupt { first: 37, .. })));
}

#[test]
fn a_segment_put_back_is_found() {
    let mut store = Store::new(policy());
    store.append(&["project_destroyed", "repository_git_operation"]);
    store.append(&["project_destroyed"; 8]);
    store.seal();
    let files: Vec<_> = std::fs::read_dir(folder(store.dir.path()))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.clone(), std::fs::read(path).unwrap()))
        .collect();
    store.wait(Span::days(1));
    store.retain();
    store.verify();
    for entry in std::fs::read_dir(folder(store.dir.path())).unwrap() {
        std::fs::remove_file(entry.unwrap().path()).unwrap();
    }
    for (path, bytes) in files {
        std::fs::write(path, bytes).unwrap();
    }
    // The last record may be waiting to be carried out; with one behind it that is no excuse.
    store.verify();
    deletion::append(
        store.dir.path(),
        deletion::example(1000, 1010),
        &crate::log::signing::SigningKey::load(store.dir.path()).unwrap(),
    )
    .unwrap();
    let error = store.reader().verify().unwrap_err();
    assert!(error.to_string().contains("records tell of 1"), "{error}");
}

#[test]
fn a_copy_has_the_records_wherever_the_deletion_stands() {
    for place in ["", "retention.before_record", "retention.after_record", "segment.after_manifest"] {
        let mut store = Store::new(policy());
        store.append(&["project_destroyed", "repository_git_operation", "user_created"]);
        store.append(&["project_destroyed"; 9]);
        store.seal();
        store.wait(Span::days(1));
        fault::crash(place, 0, || store.retain());
        let target = tempfile::tempdir().unwrap();
        crate::log::copy(store.dir.path(), target.path()).unwrap();
        let verified = Reader::open(target.path()).unwrap().verify().unwrap();
        assert_eq!(verified.entries, 14);
        let records = read_deletions(target.path()).unwrap();
        assert_eq!(records, read_deletions(store.dir.path()).unwrap());
        drop(open_worker(target.path()));
        let verified = Reader::open(target.path()).unwrap().verify().unwrap();
        assert_eq!(verified.deleted, records.len() as u64, "{place}");
    }
}

#[test]
fn records_that_cannot_be_read_end_deleting_and_not_sealing() {
    let mut store = Store::new(policy());
    store.append(&["repository_git_operation"; 9]);
    store.seal();
    std::fs::write(deletion::path(store.dir.path()), "{}\n").unwrap();
    store.wait(Span::days(1));
    store.ask().unwrap();
    assert!(store.worker.retain(store.clock.now(), &mut || Ok(())).is_err());
    assert!(store.ask().unwrap_err().contains("cannot be recorded"));
    store.append(&["repository_git_operation"; 9]);
    store.wait(Span::days(3));
    store.seal();
    store.retain();
    assert_eq!(store.left().len(), 18);
    // The next start tries again.
    std::fs::remove_file(deletion::path(store.dir.path())).unwrap();
    store.reopen();
    store.retain();
    store.check();
    assert_eq!(store.left(), [0; 0]);
}

#[test]
fn the_index_tells_how_long_the_shortest_is_kept() {
    for (types, expected) in [
        (["user_created", "user_destroyed"], Some(Span::years(10))),
        (["user_created", "repository_git_operation"], Some(TO_JUDGE)),
        (["user_created", "unheard_of"], Some(Span::days(90))),
        (["user_created", "Not_Of_GitLab"], None),
    ] {
        let mut store = Store::new(policy());
        store.append(&types);
        store.append(&types[..1].repeat(9));
        store.seal();
        let terms = store.retention.lock().unwrap().clone().unwrap();
        let mut reader = store.reader();
        let found = super::glance::shortest(reader.segment(1).unwrap(), &terms).unwrap();
        assert_eq!(found, expected, "{types:?}");
    }
}

#[test]
fn what_was_imported_is_of_its_source() {
    let of_gitlab = Rule { sources: vec!["gitlab".into()], ..rule(&[], Keep::For(Span::hours(5))) };
    let terms = retention(Policy { rules: vec![of_gitlab], ..policy() });
    let event = |source: &str| {
        let raw = r#"{"id":1,"author_id":7,"event_type":"user_created"}"#;
        decode(Format::Gitlab, &source.into(), raw.into(), None, NOW).unwrap().event
    };
    for (source, expected) in
        [("gitlab", Span::hours(5)), ("past/gitlab", Span::hours(5)), ("x", Span::days(90))]
    {
        let (keep, _) = terms.keep(&event(source), None, &mut crate::engine::Hits::default());
        assert_eq!(keep, expected, "{source}");
    }
}

#[test]
fn a_check_beside_a_daemon_that_deletes_raises_no_false_alarm() {
    let mut store = Store::new(policy());
    for _ in 0..3 {
        store.append(&TYPES.repeat(3));
        store.seal();
        store.wait(Span::days(60));
    }
    // Segments with users are written anew, the one without any is removed.
    store.append(&["project_destroyed"; 12]);
    store.seal();
    let (mut reader, mut calls) = (store.reader(), 0);
    let mut meanwhile = || {
        calls += 1;
        if calls <= 3 {
            store.wait(Span::days(60));
            store.retain();
            store.append(&["project_destroyed"; 12]);
            store.seal();
        }
    };
    let deep = VerifyOptions { deep: true, ..VerifyOptions::default() };
    let verified = verify_beside(&mut reader, &deep, &mut meanwhile).unwrap();
    assert!(calls > 1, "nothing was done anew");
    assert!(verified.deleted > 0 && verified.gone > 0, "{verified:?}");
    store.check();
}

#[test]
fn a_hot_end_that_is_older_than_what_was_removed_is_refused() {
    let mut store = Store::new(policy());
    let hot = store.dir.path().join("log/hot.db");
    store.append(&["repository_git_operation"; 12]);
    let copied = hot.with_extension("copy");
    let connection = hot::open_to_read(store.dir.path()).unwrap().unwrap();
    connection.pragma_update(None, "query_only", false).unwrap();
    connection.execute("VACUUM INTO ?1", [copied.to_string_lossy()]).unwrap();
    drop(connection);
    store.append(&["repository_git_operation"; 12]);
    store.seal();
    store.wait(Span::days(2));
    store.retain();
    assert_eq!(store.reader().segments().unwrap().len(), 0);
    let Store { dir, appender, worker, .. } = store;
    drop((appender, worker));
    for extension in ["db-wal", "db-shm"] {
        drop(std::fs::remove_file(hot.with_extension(extension)));
    }
    std::fs::rename(copied, &hot).unwrap();
    let refused = Worker::open(dir.path(), OPTIONS, Arc::new(Catalogue::built_in())).map(drop).unwrap_err();
    assert!(refused.to_string().contains("hot.db"), "{refused}");
}
