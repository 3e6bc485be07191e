//! Sealing and merging against a plain list of entries, with crashes at every named place.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use proptest::prelude::*;
use tempfile::TempDir;

use super::{SealOptions, Worker};
use crate::clock::Clock;
use crate::event::{Catalogue, Entry, Event, Position};
use crate::log::appender::{Appender, Work};
use crate::log::segment::{Manifest, PAGES_MAX, digest, folder};
use crate::log::signing::SigningKey;
use crate::log::tests::{ALWAYS, NOW, at, event, events, read_all, stored};
use crate::log::verify::verify_beside;
use crate::log::{
    Hex, LogError, LogOptions, NewEvent, Reader, TimeRange, VerifyOptions, checkpoint, fault, hot,
    read_checkpoints,
};
use crate::time::{Span, Timestamp};

const SMALL: SealOptions = SealOptions { seal_entries: 8, seal_after: Span::days(1), segment_entries: 700 };

/// A log without threads, and what it should have.
struct Store {
    dir: TempDir,
    appender: Appender,
    worker: Worker,
    clock: Clock,
    options: SealOptions,
    model: Vec<Entry>,
}

fn open_worker(dir: &Path, options: &SealOptions) -> Worker {
    Worker::open(dir, options.clone(), Arc::new(Catalogue::built_in())).unwrap()
}

impl Store {
    fn new() -> Self {
        Self::with(SMALL)
    }

    fn with(options: SealOptions) -> Self {
        let dir = tempfile::tempdir().unwrap();
        hot::make_folder(dir.path()).unwrap();
        let clock = Clock::fixed(NOW);
        let appender = Appender::open(dir.path(), LogOptions::default(), clock.clone()).unwrap();
        let worker = open_worker(dir.path(), &options);
        Self { dir, appender, worker, clock, options, model: Vec::new() }
    }

    fn append(&mut self, batch: Vec<NewEvent>) {
        for new in &batch {
            self.model.push(stored(new, self.model.len() as u64 + 1));
        }
        let receipts = self.appender.commit(&[Work::Batch(batch)]).unwrap();
        assert_eq!(receipts[0].duplicates, 0);
    }

    fn tick(&mut self) {
        self.model.push(Entry::Tick { position: self.model.len() as u64 + 1, at: NOW });
        self.appender.commit(&[Work::Tick(NOW)]).unwrap();
    }

    /// Seals if it is due; true if it was.
    fn seal(&mut self) -> bool {
        let now = self.clock.now();
        let Some(upto) = self.worker.seal(now, &mut || Ok(())).unwrap() else { return false };
        while self.appender.forget(upto).unwrap() {}
        true
    }

    /// Merges if there is anything to merge; what was merged before is removed.
    fn merge(&mut self) -> bool {
        self.worker.remove_replaced(NOW.minus(Span::days(9999))).unwrap();
        self.worker.merge(self.clock.now(), &mut || Ok(())).unwrap()
    }

    /// As after a crash.
    fn reopen(&mut self) {
        self.appender = Appender::open(self.dir.path(), LogOptions::default(), self.clock.clone()).unwrap();
        self.worker = open_worker(self.dir.path(), &self.options);
    }

    fn reader(&self) -> Reader {
        Reader::open(self.dir.path()).unwrap()
    }

    /// What every reader must see, and the proof of it.
    fn check(&self, reader: &mut Reader, step: usize) {
        assert_eq!(read_all(reader, step), self.model);
        assert_eq!(reader.last_position().unwrap(), self.model.len() as u64);
        let newest: Vec<Position> =
            self.model.iter().rev().filter(|entry| is_event(entry)).map(Entry::position).collect();
        assert_eq!(newest_first(reader, ALWAYS), newest);
        assert_eq!(reader.verify().unwrap().entries, self.model.len() as u64);
        for entry in self.model.iter().step_by(7) {
            let found = reader.get(entry.position()).unwrap();
            assert_eq!(
                found.as_ref(),
                match entry {
                    Entry::Event(event) => Some(event),
                    _ => None,
                }
            );
        }
        let mut next = 1;
        for info in reader.segments().unwrap() {
            assert_eq!((info.first, info.damage), (next, None));
            next = info.last + 1;
        }
        assert_eq!(reader.first_unsealed(), next);
    }
}

fn is_event(entry: &Entry) -> bool {
    matches!(entry, Entry::Event(_))
}

fn newest_first(reader: &mut Reader, range: TimeRange) -> Vec<Position> {
    let mut found = Vec::new();
    let mut visit = |event: Event| {
        found.push(event.position);
        ControlFlow::Continue(())
    };
    reader.newest_first(range, &mut visit).unwrap();
    found
}

const PLACES: [&str; 10] = [
    "segment.before_index",
    "segment.before_rename",
    "segment.after_rename",
    "segment.after_manifest",
    "seal.after_checkpoint",
    "log.before_forget",
    "log.after_forget",
    "merge.between_removes",
    "merge.after_remove",
    "log.after_commit",
];

#[derive(Debug, Clone)]
enum Step {
    Append(u64),
    Tick,
    Seal,
    Merge,
    Reopen,
    Crash(usize, u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1_u64..40).prop_map(Step::Append),
        1 => (250_u64..600).prop_map(Step::Append),
        1 => Just(Step::Tick),
        4 => Just(Step::Seal),
        2 => Just(Step::Merge),
        1 => Just(Step::Reopen),
        4 => (0..PLACES.len() - 1, 0_u64..3).prop_map(|(place, passes)| Step::Crash(place, passes)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn whatever_happens_every_entry_is_there_once(
        steps in prop::collection::vec(step(), 1..40),
        read in 1_usize..300,
    ) {
        let mut store = Store::new();
        let mut early = store.reader();
        for step in steps {
            match step {
                Step::Append(count) => {
                    let start = store.model.len() as u64;
                    store.append(events(start..start + count));
                }
                Step::Tick => store.tick(),
                Step::Seal => drop(store.seal()),
                Step::Merge => drop(store.merge()),
                Step::Reopen => store.reopen(),
                Step::Crash(place, passes) => {
                    let done = fault::crash(PLACES[place], passes, || {
                        store.seal();
                        while store.merge() {}
                    });
                    if done.is_none() {
                        store.check(&mut store.reader(), read);
                        store.reopen();
                    }
                }
            }
        }
        store.check(&mut early, read);
        store.check(&mut store.reader(), read);
    }
}

#[test]
fn a_crash_at_each_place_leaves_everything_and_the_next_start_clears_up() {
    for place in &PLACES[..9] {
        let mut store = Store::new();
        for start in 0..7 {
            store.append(events(start * 10..start * 10 + 10));
            store.seal();
        }
        store.append(events(70..80));
        let done = fault::crash(place, 0, || {
            store.seal();
            while store.merge() {}
        });
        assert!(done.is_none(), "{place} is never reached");
        store.check(&mut store.reader(), 9);
        store.reopen();
        store.check(&mut store.reader(), 9);
        store.seal();
        while store.merge() {}
        store.check(&mut store.reader(), 9);
        let mut left: Vec<String> = std::fs::read_dir(folder(store.dir.path()))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        left.sort();
        assert_eq!(left.len(), 2, "{place}: {left:?}");
        assert_eq!(store.worker.hot_entries().unwrap(), 0, "{place}");
    }
}

#[test]
fn readers_that_were_there_before_go_on() {
    let mut store = Store::new();
    store.append(events(0..20));
    let mut reader = store.reader();
    assert_eq!(reader.read_after(0, 5).unwrap().len(), 5);
    assert!(store.seal());
    assert_eq!(reader.read_after(5, 1000).unwrap().len(), 15);
    for start in 2..10 {
        store.append(events(start * 10..start * 10 + 10));
        assert!(store.seal());
        assert_eq!(reader.read_after(start * 10, 1000).unwrap().len(), 10);
    }
    // An old segment is open; then it is merged away.
    assert_eq!(reader.segment(1).unwrap().info().last, 20);
    assert!(store.merge());
    store.check(&mut reader, 7);
    assert_eq!(reader.segments().unwrap().len(), 1);
    assert_eq!(reader.segment(33).unwrap().info().last, 100);
}

#[test]
fn what_is_old_is_sealed_however_little_it_is() {
    let mut store = Store::new();
    store.append(events(0..3));
    assert!(!store.seal());
    // A clock that stepped back seals nothing, one that stepped on does.
    store.clock.set(NOW.minus(Span::days(400)));
    assert!(!store.seal());
    store.clock.set(NOW.plus(Span::days(1)));
    assert!(!store.seal());
    store.clock.set(NOW.plus(Span::days(1)).plus(Span::millis(1)));
    assert!(store.seal());
    store.check(&mut store.reader(), 2);
    // The log goes on from its base, also when all of it is sealed.
    store.reopen();
    store.clock.set(NOW);
    store.append(events(3..5));
    store.check(&mut store.reader(), 2);
    store.tick();
    assert!(!store.seal());
}

#[test]
fn old_events_count_once_and_recent_ones_too() {
    let mut store = Store::new();
    let year = Span::days(365);
    let old = |number: u64| {
        let mut new = event(number);
        new.event.time = NOW.minus(year).plus(Span::millis(number.cast_signed()));
        new
    };
    store.append((0..50).map(old).collect());
    store.append(events(100..150));
    while store.seal() {}
    let again = |appender: &mut Appender, batch: Vec<NewEvent>| {
        let receipts = appender.commit(&[Work::Batch(batch)]).unwrap();
        (receipts[0].stored, receipts[0].duplicates)
    };
    // Within the horizon: from memory, and after a restart from the segments' keys.
    assert_eq!(again(&mut store.appender, events(100..150)), (0, 50));
    store.reopen();
    assert_eq!(again(&mut store.appender, events(100..150)), (0, 50));
    // Long after: what was old then is looked up, few and many.
    for days in [2, 3] {
        store.clock.set(NOW.plus(Span::days(days)));
        let received = store.clock.now();
        let mut batch: Vec<NewEvent> = (0..50).map(old).collect();
        batch.iter_mut().for_each(|new| new.event.received_at = received);
        assert_eq!(again(&mut store.appender, batch[..3].to_vec()), (0, 3));
        assert_eq!(again(&mut store.appender, batch), (0, 50));
        let mut other = old(60);
        other.event.received_at = received;
        other.dedupe = (u128::from(u64::MAX) << 64) | (60 + u128::from(days.cast_unsigned()));
        assert_eq!(again(&mut store.appender, vec![other]), (1, 0));
        // A fresh event whose key was forgotten is a new one.
        let mut fresh = at(received, 100 + days.cast_unsigned());
        fresh.event.time = received;
        assert_eq!(again(&mut store.appender, vec![fresh]), (1, 0), "{days}");
    }
    assert_eq!(store.reader().verify().unwrap().entries, 104);
}

#[test]
fn keys_stay_known_while_no_segment_has_them() {
    let mut store = Store::new();
    store.append(events(0..5));
    store.clock.set(NOW.plus(Span::days(30)));
    let mut batch = events(0..5);
    batch.iter_mut().for_each(|new| new.event.received_at = store.clock.now());
    let receipts = store.appender.commit(&[Work::Batch(batch)]).unwrap();
    assert_eq!((receipts[0].stored, receipts[0].duplicates), (0, 5));
}

#[test]
fn a_full_disk_while_sealing_changes_nothing() {
    let mut store = Store::new();
    let mut batch = events(0..500);
    for (number, new) in (0_u32..).zip(&mut batch) {
        new.event.raw = blake3::hash(&number.to_le_bytes()).as_bytes().repeat(2).into();
    }
    store.append(batch);
    for pages in [8, 12, 20] {
        PAGES_MAX.set(Some(pages));
        let error = store.worker.seal(NOW, &mut || Ok(())).unwrap_err();
        assert!(error.to_string().contains("the disk is full"), "{error}");
        assert_eq!(std::fs::read_dir(folder(store.dir.path())).unwrap().count(), 0);
        store.check(&mut store.reader(), 100);
    }
    PAGES_MAX.set(None);
    assert!(store.seal());
    store.check(&mut store.reader(), 100);
}

#[test]
fn stopping_in_the_middle_leaves_nothing_behind() {
    let mut store = Store::new();
    store.append(events(0..3000));
    for limit in 0..4 {
        let mut calls = 0;
        let mut pace = || {
            calls += 1;
            if calls > limit { Err(LogError::Stopped) } else { Ok(()) }
        };
        if let Err(error) = store.worker.seal(NOW, &mut pace) {
            assert!(matches!(error, LogError::Stopped), "{error}");
            assert_eq!(std::fs::read_dir(folder(store.dir.path())).unwrap().count(), 0);
        }
    }
    store.seal();
    store.check(&mut store.reader(), 1000);
}

#[test]
fn a_damaged_segment_is_named_and_the_rest_serves() {
    let mut store = Store::new();
    for start in 0..3 {
        store.append(events(start * 300..start * 300 + 300));
        assert!(store.seal());
    }
    let paths = |store: &Store| {
        let infos = store.reader().segments().unwrap();
        infos
            .iter()
            .map(|info| folder(store.dir.path()).join(format!("{:020}-{:020}.db", info.first, info.last)))
            .collect::<Vec<_>>()
    };
    let middle = paths(&store)[1].clone();
    let whole = std::fs::read(&middle).unwrap();
    let rewrite = |bytes: &[u8]| {
        std::fs::remove_file(&middle).unwrap();
        std::fs::write(&middle, bytes).unwrap();
    };
    // The blocks' pages: whatever is hit, the neighbours serve.
    for offset in (0..whole.len()).step_by(997) {
        let mut bytes = whole.clone();
        let end = (offset + 64).min(bytes.len());
        bytes[offset..end].fill(0xa5);
        rewrite(&bytes);
        let mut reader = store.reader();
        assert_eq!(reader.read_after(0, 300).unwrap().len(), 300);
        assert_eq!(reader.read_after(600, 1000).unwrap().len(), 300);
        let found = newest_first(&mut reader, ALWAYS);
        assert!(found.iter().filter(|position| !(301..=600).contains(*position)).count() == 600);
        let is_named =
            |error: &LogError| matches!(error, LogError::Corrupt { first: 301.., last: ..=600, .. });
        if found.len() < 900 {
            assert!(reader.segments().unwrap()[1].damage.is_some());
        }
        let error = reader.verify_with(&Default::default()).unwrap_err();
        assert!(is_named(&error), "{offset}: {error}");
    }
    std::fs::remove_file(&middle).unwrap();
    let mut reader = store.reader();
    assert!(matches!(
        reader.read_after(300, 10).unwrap_err(),
        LogError::Corrupt { first: 301, last: 600, .. }
    ));
    assert_eq!(newest_first(&mut reader, ALWAYS).len(), 600);
    assert!(reader.segments().unwrap()[1].damage.as_ref().unwrap().contains("No such file"));
    std::fs::remove_file(middle.with_extension("json")).unwrap();
    let mut reader = store.reader();
    assert!(matches!(
        reader.read_after(300, 10).unwrap_err(),
        LogError::Corrupt { first: 301, last: 600, .. }
    ));
    // It is neither merged nor forgotten.
    store.reopen();
    assert!(!store.merge());
    assert_eq!(store.reader().segments().unwrap().len(), 3);
}

#[test]
fn every_seal_has_its_checkpoint_whatever_came_between() {
    let positions = |store: &Store| -> Vec<Position> {
        let found = read_checkpoints(&checkpoint::path(store.dir.path())).unwrap();
        found.iter().map(|checkpoint| checkpoint.position).collect()
    };
    let mut store = Store::new();
    store.append(events(0..20));
    assert!(fault::crash("segment.after_manifest", 0, || store.seal()).is_none());
    store.reopen();
    assert!(store.seal());
    assert_eq!(positions(&store), [20]);
    // A full disk: where the file was to be, none can be made.
    store.append(events(20..40));
    let path = checkpoint::path(store.dir.path());
    let kept = path.with_extension("kept");
    std::fs::rename(&path, &kept).unwrap();
    std::fs::create_dir(&path).unwrap();
    assert!(store.worker.seal(NOW, &mut || Ok(())).is_err());
    std::fs::remove_dir(&path).unwrap();
    std::fs::rename(&kept, &path).unwrap();
    assert!(store.seal());
    assert_eq!(positions(&store), [20, 40]);
    store.check(&mut store.reader(), 9);
    // Half a line.
    let mut file = std::fs::OpenOptions::new().append(true).open(&path).unwrap();
    std::io::Write::write_all(&mut file, b"{\"position\":5").unwrap();
    assert!(store.reader().verify().unwrap_err().to_string().contains("next start"));
    store.reopen();
    assert_eq!(store.reader().verify().unwrap().checkpoints, 2);
}

#[test]
fn one_segment_that_cannot_be_read_hides_no_duplicates_of_the_others() {
    let mut store = Store::new();
    let old = |number: u64| {
        let mut new = event(number);
        new.event.time = NOW.minus(Span::days(365)).plus(Span::millis(number.cast_signed()));
        new
    };
    for start in [0, 50, 100] {
        store.append((start..start + 50).map(old).collect());
        assert!(store.seal());
    }
    store.clock.set(NOW.plus(Span::days(9)));
    let path = folder(store.dir.path()).join(format!("{:020}-{:020}.db", 51, 100));
    let length = std::fs::metadata(&path).unwrap().len();
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, vec![0xa5; usize::try_from(length).unwrap()]).unwrap();
    store.reopen();
    // One from each segment, then all of them: looked up in the file, and in keys that are loaded.
    for numbers in [vec![3, 53, 103], (0..150).collect()] {
        let mut batch: Vec<NewEvent> = numbers.iter().map(|number| old(*number)).collect();
        batch.iter_mut().for_each(|new| new.event.received_at = store.clock.now());
        let unread = numbers.iter().filter(|number| (50..100).contains(*number)).count() as u64;
        let receipts = store.appender.commit(&[Work::Batch(batch)]).unwrap();
        let stored = receipts[0].stored;
        assert_eq!(receipts[0].duplicates + stored, numbers.len() as u64);
        assert!(stored <= unread && stored > 0, "{stored} of {unread}");
    }
}

#[test]
fn a_clock_that_was_ahead_for_a_while_makes_no_duplicates() {
    for restarts in [false, true] {
        let mut store = Store::new();
        store.append(events(0..20));
        assert!(store.seal());
        // Two days ahead, further than the horizon; something arrives then.
        store.clock.set(NOW.plus(Span::days(2)));
        if restarts {
            store.reopen();
        }
        store.append(vec![at(store.clock.now(), 500)]);
        store.clock.set(NOW.plus(Span::hours(1)));
        let mut batch = events(0..20);
        batch.iter_mut().for_each(|new| new.event.received_at = store.clock.now());
        let receipts = store.appender.commit(&[Work::Batch(batch)]).unwrap();
        assert_eq!((receipts[0].stored, receipts[0].duplicates), (0, 20), "{restarts}");
        store.append(vec![at(store.clock.now(), 501)]);
    }
}

#[test]
fn a_check_beside_a_running_daemon_raises_no_false_alarm() {
    let mut store = Store::new();
    for start in 0..3 {
        store.append(events(start * 10..start * 10 + 10));
        assert!(store.seal());
    }
    store.append(events(30..40));
    let (mut reader, mut number, mut calls) = (store.reader(), 40, 0);
    let mut meanwhile = || {
        calls += 1;
        if calls <= 3 {
            // What was the hot end is sealed, all is merged and the parts are gone; checkpoints are appended.
            for _ in 0..8 {
                store.append(events(number..number + 10));
                number += 10;
                assert!(store.seal());
            }
            assert!(store.merge());
            while store.merge() {}
            store.append(events(number..number + 5));
            number += 5;
        }
    };
    let verified = verify_beside(&mut reader, &VerifyOptions::default(), &mut meanwhile).unwrap();
    assert!(calls > 1, "nothing was done anew");
    // As it was when the last try began.
    assert_eq!((verified.entries, verified.hot), (40 + 85 * (calls - 1), 5));
    // What is wrong is found all the same.
    let last = store.reader().segments().unwrap()[0].last;
    let path = folder(store.dir.path()).join(format!("{:020}-{:020}.db", 1, last));
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, b"x").unwrap();
    assert!(verify_beside(&mut store.reader(), &VerifyOptions::default(), &mut || ()).is_err());
}

#[test]
fn nothing_is_sealed_behind_a_manifest_that_cannot_be_read() {
    let mut store = Store::new();
    store.append(events(0..20));
    assert!(store.seal());
    let manifest = folder(store.dir.path()).join(format!("{:020}-{:020}.json", 1, 20));
    let text = std::fs::read(&manifest).unwrap();
    std::fs::write(&manifest, "{}").unwrap();
    store.reopen();
    store.append(events(20..40));
    let error = store.worker.seal(NOW, &mut || Ok(())).unwrap_err();
    assert!(matches!(error, LogError::Corrupt { first: 1, last: 20, .. }), "{error}");
    std::fs::write(&manifest, text).unwrap();
    assert!(store.seal());
    store.check(&mut store.reader(), 9);
}

#[test]
fn a_segment_gives_its_events_times_and_terms() {
    use crate::index::{Terms as _, Timed as _};
    let mut store = Store::with(SealOptions { seal_entries: 600, ..SMALL });
    store.append(events(0..300));
    store.tick();
    store.append(events(300..600));
    assert!(store.seal());
    let mut reader = store.reader();
    let segment = reader.segment(17).unwrap();
    let numbers = [599, 5, 4, 300, 256, 255];
    let mut found: Vec<Position> = Vec::new();
    let mut visit = |event: Event| {
        found.push(event.position);
        ControlFlow::Continue(())
    };
    segment.events(&numbers, &mut visit).unwrap();
    // Number 300 is the tick.
    assert_eq!(found, [600, 6, 5, 257, 256]);
    let times = segment.times_of(250..303).unwrap();
    let expected: Vec<Option<Timestamp>> = (250..303_i64)
        .map(|number| match number {
            300 => None,
            _ => Some(Timestamp(NOW.0 + number - i64::from(number > 300))),
        })
        .collect();
    assert_eq!(times, expected);
    assert_eq!(segment.times_of(600..1000).unwrap().len(), 1);
    let mut all = Vec::new();
    segment.times(&mut |number, time| all.push((number, time))).unwrap();
    assert_eq!(all.len(), 600);
    assert_eq!((all[0], all[300]), ((0, NOW), (301, Timestamp(NOW.0 + 300))));
    let some = segment.between(Timestamp(NOW.0 + 299), Timestamp(NOW.0 + 301)).unwrap();
    assert_eq!(some.into_iter().collect::<Vec<_>>(), [299, 301, 302]);
    let mut count = 0;
    let mut visit = |_: &[u8], _: u32, _: &[u8]| {
        count += 1;
        ControlFlow::Continue(())
    };
    for field in 0..=255 {
        segment.scan(field, b"", &mut visit).unwrap();
    }
    assert!(count > 0);
    assert_eq!(segment.postings(200, b"nobody").unwrap(), None);
    assert!(reader.segment(602).is_err());
}

/// Events as a forge sends them, with keys as they are recomputed.
fn generated(count: u64, seed: u64) -> Vec<NewEvent> {
    let mut text = Vec::new();
    crate::demo::generate(count, seed, &mut text).unwrap();
    let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    lines
        .map(|line| {
            let raw = bytes::Bytes::copy_from_slice(line);
            let decoded =
                crate::decode::decode(crate::event::Format::Gitlab, &"gitlab".into(), raw, None, NOW)
                    .unwrap();
            NewEvent { event: decoded.event, dedupe: decoded.dedupe }
        })
        .collect()
}

fn table(store: &Store, segment: usize, sql: &str) -> i64 {
    let info = store.reader().segments().unwrap().remove(segment);
    let path = folder(store.dir.path()).join(format!("{:020}-{:020}.db", info.first, info.last));
    rusqlite::Connection::open(path).unwrap().query_row(sql, [], |row| row.get(0)).unwrap()
}

#[test]
fn merging_keeps_blocks_and_a_dictionary_serves_several_segments() {
    let options = SealOptions { seal_entries: 2000, segment_entries: 16_500, ..SMALL };
    let mut store = Store::with(options);
    let mut all = generated(18_100, 5);
    all.truncate(18_100);
    let tail = all.split_off(18_000);
    for batch in all.chunks(2000) {
        store.append(batch.to_vec());
        assert!(store.seal());
    }
    // How well it compressed where it was made, so equal only where it is the same one.
    let dictionaries = |store: &Store| {
        (0..store.reader().segments().unwrap().len())
            .map(|segment| table(store, segment, "SELECT sum(packed) FROM dictionary"))
            .collect::<Vec<_>>()
    };
    assert_eq!(dictionaries(&store).len(), 9);
    assert!(dictionaries(&store).windows(2).all(|pair| pair[0] == pair[1]), "{:?}", dictionaries(&store));
    assert!(store.merge());
    let segments = store.reader().segments().unwrap();
    assert_eq!((segments.len(), segments[0].last), (2, 16_000));
    // The dictionary of 2,000 entries is too small for 16,000: there is a new one, and one only.
    assert_eq!(table(&store, 0, "SELECT count(*) FROM dictionary"), 1);
    assert_eq!(table(&store, 0, "SELECT entries FROM dictionary"), 16_000);
    // Blocks of 256 and the rest of 2,000 are not put together again, smaller ones are.
    assert!(table(&store, 0, "SELECT max(last - first) FROM block") < 384);
    assert!(table(&store, 0, "SELECT count(*) FROM block") <= 64);
    store.append(tail);
    store.clock.set(NOW.plus(Span::days(9)));
    assert!(store.seal());
    store.clock.set(NOW);
    store.check(&mut store.reader(), 1000);
    let deep = VerifyOptions { deep: true, keys: true, ..Default::default() };
    let verified = store.reader().verify_with(&deep).unwrap();
    assert_eq!((verified.entries, verified.other_indexes), (18_100, 0));
    // The hundred at the end have none, the merged ones one that is large enough.
    assert_eq!(table(&store, 2, "SELECT count(*) FROM dictionary"), 0);
    store.options.segment_entries = 40_000;
    store.reopen();
    store.clock.set(NOW.plus(Span::days(40)));
    assert!(store.merge());
    assert_eq!(store.reader().segments().unwrap().len(), 1);
    assert_eq!(table(&store, 0, "SELECT entries FROM dictionary"), 16_000);
    store.check(&mut store.reader(), 1000);
    assert_eq!(store.reader().verify_with(&deep).unwrap().other_indexes, 0);
}

#[test]
fn what_was_changed_after_it_was_sealed_is_not_merged() {
    let mut store = Store::new();
    for start in 0..8 {
        store.append(events(start * 10..start * 10 + 10));
        assert!(store.seal());
    }
    let info = store.reader().segments().unwrap().remove(3);
    let path = folder(store.dir.path()).join(format!("{:020}-{:020}.db", info.first, info.last));
    let mut bytes = std::fs::read(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let error = store.worker.merge(NOW, &mut || Ok(())).unwrap_err();
    assert!(matches!(error, LogError::Corrupt { first: 31, last: 40, .. }), "{error}");
    // It is set aside, and the others are no longer enough.
    assert!(!store.merge());
    assert_eq!(store.reader().segments().unwrap().len(), 8);
}

#[test]
fn an_index_of_another_version_or_catalogue_is_made_anew() {
    for change in [
        "UPDATE meta SET value = 77 WHERE key = 'index'; DELETE FROM term",
        "UPDATE meta SET value = zeroblob(32) WHERE key = 'catalogue'; DELETE FROM term",
        "DELETE FROM meta WHERE key = 'catalogue'; DELETE FROM term",
    ] {
        let mut store = Store::new();
        for start in 0..8 {
            store.append(events(start * 10..start * 10 + 10));
            assert!(store.seal());
        }
        let info = store.reader().segments().unwrap().remove(3);
        let path = folder(store.dir.path()).join(format!("{:020}-{:020}.db", info.first, info.last));
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        let connection = rusqlite::Connection::open(&path).unwrap();
        connection.execute_batch(change).unwrap();
        drop(connection);
        // Made by another program with the same key.
        let manifest = path.with_extension("json");
        let old = Manifest::read(&manifest, (info.first, info.last)).unwrap();
        let (bytes, digest) = digest(&std::fs::File::open(&path).unwrap()).unwrap();
        let key = SigningKey::load(store.dir.path()).unwrap();
        let signed = Manifest { bytes, digest: Hex(digest), ..old }.signed(&key);
        std::fs::write(&manifest, signed.text()).unwrap();
        store.reopen();
        assert!(store.merge());
        store.check(&mut store.reader(), 10);
        let deep = VerifyOptions { deep: true, ..Default::default() };
        assert_eq!(store.reader().verify_with(&deep).unwrap().other_indexes, 0, "{change}");
    }
}
