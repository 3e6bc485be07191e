//! The log as its users see it, and what happens when the file or the disk is not as it should be.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;
use tempfile::TempDir;

use super::appender::{Appender, Work};
use super::{AppendError, Log, LogError, LogOptions, NewEvent, Reader, Receipt, TimeRange, hot};
use crate::clock::Clock;
use crate::event::{Entry, Event, Format, Position};
use crate::time::{Span, Timestamp};

pub(in crate::log) const NOW: Timestamp = Timestamp(1_790_000_000_000);
pub(in crate::log) const ALWAYS: TimeRange = TimeRange { from: Timestamp::MIN, to: Timestamp::MAX };

pub(in crate::log) fn event(number: u64) -> NewEvent {
    let time = Timestamp(NOW.0 + number.cast_signed());
    let event = Event {
        position: 0,
        received_at: NOW,
        time,
        source: Arc::from("gitlab"),
        forge: Arc::from("gitlab"),
        format: Format::Gitlab,
        type_hint: (number.is_multiple_of(3)).then(|| Box::from("user_created")),
        raw: Bytes::from(format!(r#"{{"id":{number},"author_id":7,"entity_type":"Project"}}"#)),
    };
    NewEvent { event, dedupe: u128::from(number) }
}

pub(in crate::log) fn at(received_at: Timestamp, number: u64) -> NewEvent {
    let mut new = event(number);
    new.event.received_at = received_at;
    new
}

pub(in crate::log) fn events(numbers: std::ops::Range<u64>) -> Vec<NewEvent> {
    numbers.map(event).collect()
}

/// What the log should give back.
pub(in crate::log) fn stored(new: &NewEvent, position: Position) -> Entry {
    Entry::Event(Event { position, ..new.event.clone() })
}

fn open(dir: &TempDir) -> Log {
    Log::open(dir.path(), LogOptions::default(), Clock::fixed(NOW)).unwrap()
}

pub(in crate::log) fn appender(dir: &Path) -> Appender {
    hot::make_folder(dir).unwrap();
    Appender::open(dir, LogOptions::default(), Clock::fixed(NOW)).unwrap()
}

pub(in crate::log) fn read_all(reader: &mut Reader, step: usize) -> Vec<Entry> {
    let mut all: Vec<Entry> = Vec::new();
    loop {
        let entries = reader.read_after(all.last().map_or(0, Entry::position), step).unwrap();
        if entries.is_empty() {
            return all;
        }
        assert!(entries.len() <= step);
        all.extend(entries);
    }
}

/// Changes the database behind the log's back.
pub(in crate::log) fn meddle(dir: &TempDir, sql: &str) {
    let connection = rusqlite::Connection::open(hot::path(dir.path())).unwrap();
    connection.execute_batch(sql).unwrap();
}

pub(in crate::log) fn any_event() -> impl Strategy<Value = NewEvent> {
    let raw = prop_oneof![
        4 => prop::collection::vec(any::<u8>(), 0..200),
        1 => (0_usize..400_000).prop_map(|length| vec![b'x'; length]),
    ];
    let format = prop::sample::select(Format::ALL.to_vec());
    let hint = prop::option::of("[a-z_]{0,20}");
    (any::<i64>(), any::<i64>(), "\\PC{0,10}", format, hint, raw, any::<u128>()).prop_map(
        |(received_at, time, source, format, type_hint, raw, dedupe)| NewEvent {
            event: Event {
                position: 0,
                received_at: Timestamp(received_at),
                time: Timestamp(time),
                forge: source.chars().rev().collect::<String>().into(),
                source: source.into(),
                format,
                type_hint: type_hint.map(Into::into),
                raw: raw.into(),
            },
            dedupe,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn what_goes_in_comes_out(
        batches in prop::collection::vec(prop::collection::vec(any_event(), 1..20), 1..6),
        step in 1_usize..30,
    ) {
        let dir = tempfile::tempdir().unwrap();
        let mut appender = appender(dir.path());
        let mut expected = Vec::new();
        for (number, batch) in batches.into_iter().enumerate() {
            for new in &batch {
                expected.push(stored(new, expected.len() as u64 + 1));
            }
            let tick = Timestamp(number as i64);
            expected.push(Entry::Tick { position: expected.len() as u64 + 1, at: tick });
            appender.commit(&[Work::Batch(batch), Work::Tick(tick)]).unwrap();
        }
        let mut reader = Reader::open(dir.path()).unwrap();
        prop_assert_eq!(&read_all(&mut reader, step), &expected);
        prop_assert_eq!(reader.verify().unwrap().entries, expected.len() as u64);
        for entry in &expected {
            let found = reader.get(entry.position()).unwrap();
            prop_assert_eq!(found.as_ref(), match entry { Entry::Event(event) => Some(event), _ => None });
        }
    }
}

#[tokio::test]
async fn an_answered_batch_is_there_for_every_reader() {
    let dir = tempfile::tempdir().unwrap();
    let mut early = Reader::open(dir.path()).unwrap();
    assert_eq!(early.last_position().unwrap(), 0);
    assert_eq!(early.read_after(0, 10).unwrap(), []);

    let log = open(&dir);
    let watch = log.watch();
    let receipt = log.append(events(1..4)).await.unwrap();
    assert_eq!(receipt, Receipt { stored: 3, duplicates: 0, last: 3 });
    assert_eq!((log.position(), *watch.borrow()), (3, 3));
    assert_eq!(log.tick(NOW).await.unwrap(), 4);

    // One that was opened before the log was made, and one of its own.
    for reader in [&mut early, &mut log.reader().unwrap()] {
        assert_eq!(reader.last_position().unwrap(), 4);
        let entries = reader.read_after(1, 10).unwrap();
        let tick = Entry::Tick { position: 4, at: NOW };
        assert_eq!(entries, [stored(&event(2), 2), stored(&event(3), 3), tick]);
        assert_eq!(reader.get(4).unwrap(), None);
        assert_eq!(reader.get(5).unwrap(), None);
        assert_eq!(reader.read_after(u64::MAX, 10).unwrap(), []);
    }
    log.close().await;
    assert_eq!(early.last_position().unwrap(), 4);
    assert_eq!(Reader::open(dir.path()).unwrap().read_after(3, 1).unwrap().len(), 1);
}

#[tokio::test]
async fn duplicates_count_once() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(&dir);
    let receipt = log.append(vec![event(1), event(1), event(2)]).await.unwrap();
    assert_eq!(receipt, Receipt { stored: 2, duplicates: 1, last: 2 });
    let receipt = log.append(vec![event(2), event(3)]).await.unwrap();
    assert_eq!(receipt, Receipt { stored: 1, duplicates: 1, last: 3 });
    log.close().await;

    let log = open(&dir);
    let receipt = log.append(vec![event(1), event(2), event(3)]).await.unwrap();
    assert_eq!(receipt, Receipt { stored: 0, duplicates: 3, last: 3 });
    assert_eq!(log.append(vec![event(4)]).await.unwrap().last, 4);
    let mut reader = log.reader().unwrap();
    assert_eq!(reader.verify().unwrap().entries, 4);
}

#[test]
fn duplicates_within_one_commit_of_several_senders_count_once() {
    let dir = tempfile::tempdir().unwrap();
    let work = [Work::Batch(events(1..3)), Work::Tick(NOW), Work::Batch(events(2..4))];
    let receipts = appender(dir.path()).commit(&work).unwrap();
    let expected = [(2, 0, 2), (1, 0, 3), (1, 1, 4)].map(|(stored, duplicates, last)| Receipt {
        stored,
        duplicates,
        last,
    });
    assert_eq!(receipts, expected);
}

#[test]
fn only_so_many_keys_are_read_back() {
    let dir = tempfile::tempdir().unwrap();
    let mut first = appender(dir.path());
    for number in 1..=10 {
        first.commit(&[Work::Batch(vec![event(number)])]).unwrap();
    }
    drop(first);
    let options = LogOptions { dedupe_max: 3, ..LogOptions::default() };
    let mut second = Appender::open(dir.path(), options, Clock::fixed(NOW)).unwrap();
    let receipts = second.commit(&[Work::Batch(vec![event(8), event(9), event(10), event(7)])]).unwrap();
    assert_eq!(receipts, [Receipt { stored: 1, duplicates: 3, last: 11 }]);
}

#[tokio::test]
async fn many_senders_at_once_all_get_their_own_receipt() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(&dir);
    let senders: Vec<_> = (0..50_u64)
        .map(|sender| {
            let log = log.clone();
            tokio::spawn(async move { log.append(events(sender * 10..sender * 10 + 10)).await.unwrap() })
        })
        .collect();
    let mut lasts = Vec::new();
    for sender in senders {
        let receipt = sender.await.unwrap();
        assert_eq!((receipt.stored, receipt.duplicates), (10, 0));
        lasts.push(receipt.last);
    }
    lasts.sort_unstable();
    assert_eq!(lasts, (1..=50).map(|batch| batch * 10).collect::<Vec<_>>());
    assert_eq!(log.reader().unwrap().verify().unwrap().entries, 500);
}

#[test]
fn the_chain_does_not_depend_on_how_entries_were_grouped() {
    let (one, many) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    appender(one.path()).commit(&[Work::Batch(events(0..40_000))]).unwrap();
    let mut appender = appender(many.path());
    appender.commit(&[Work::Batch(events(0..1))]).unwrap();
    appender.commit(&[Work::Batch(events(1..40_000))]).unwrap();
    let heads = [one, many].map(|dir| Reader::open(dir.path()).unwrap().verify().unwrap());
    assert_eq!(heads[0].head, heads[1].head);
    assert_eq!([heads[0].entries, heads[1].entries], [40_000, 40_000]);
}

#[tokio::test]
async fn a_full_queue_refuses_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let options = LogOptions { queue_bytes_max: 4096, ..LogOptions::default() };
    let log = Log::open(dir.path(), options, Clock::fixed(NOW)).unwrap();
    // The database is held, so that the first batch stays in the queue.
    let holder = rusqlite::Connection::open(hot::path(dir.path())).unwrap();
    holder.execute_batch("BEGIN IMMEDIATE").unwrap();
    // Larger than the queue, but nothing else waits.
    let (first, second) = tokio::join!(log.append(events(0..100)), async {
        let second = log.append(events(100..101)).await;
        holder.execute_batch("ROLLBACK").unwrap();
        second
    });
    assert_eq!(second, Err(AppendError::Overloaded));
    assert_eq!(first.unwrap().stored, 100);
    assert_eq!(log.append(events(100..101)).await.unwrap().stored, 1);
}

#[tokio::test]
async fn closing_stores_what_was_accepted_and_refuses_the_rest() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(&dir);
    let (appended, ()) = tokio::join!(log.append(events(0..10)), log.close());
    assert_eq!(appended.unwrap().stored, 10);
    assert_eq!(log.append(events(10..11)).await, Err(AppendError::Closed));
    assert_eq!(log.tick(NOW).await, Err(AppendError::Closed));
    log.close().await;
    assert_eq!(log.reader().unwrap().last_position().unwrap(), 10);
    // The folder is free again.
    open(&dir).close().await;
}

#[tokio::test]
async fn a_failed_commit_stores_nothing_and_the_next_one_works() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(&dir);
    log.append(events(0..5)).await.unwrap();
    meddle(&dir, "CREATE TRIGGER broken BEFORE INSERT ON block BEGIN SELECT RAISE(FAIL, 'no luck'); END");
    let Err(AppendError::Unavailable(reason)) = log.append(events(3..8)).await else { panic!("stored") };
    assert!(reason.contains("no luck") && reason.contains("hot.db"), "{reason}");
    assert_eq!(log.position(), 5);
    assert!(matches!(log.tick(NOW).await, Err(AppendError::Unavailable(_))));
    meddle(&dir, "DROP TRIGGER broken");
    let receipt = log.append(events(3..8)).await.unwrap();
    assert_eq!(receipt, Receipt { stored: 3, duplicates: 2, last: 8 });
    assert_eq!(log.reader().unwrap().verify().unwrap().entries, 8);
}

#[test]
fn a_full_disk_stores_nothing_and_is_survived() {
    let dir = tempfile::tempdir().unwrap();
    let mut appender = appender(dir.path());
    appender.commit(&[Work::Batch(events(0..5))]).unwrap();
    appender.limit_pages(6);
    let mut large = event(5);
    large.event.raw = (0_u32..100_000).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    let error = appender.commit(&[Work::Batch(vec![event(6), large.clone()])]).unwrap_err();
    assert!(error.to_string().contains("the disk is full"), "{error}");
    assert_eq!(appender.position(), 5);
    // There is room again: the limit was the connection's, and a new one is opened.
    let receipts = appender.commit(&[Work::Batch(vec![event(6), large])]).unwrap();
    assert_eq!(receipts, [Receipt { stored: 2, duplicates: 0, last: 7 }]);
    assert_eq!(Reader::open(dir.path()).unwrap().verify().unwrap().entries, 7);
}

#[tokio::test]
async fn a_second_daemon_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(&dir);
    let error = Log::open(dir.path(), LogOptions::default(), Clock::fixed(NOW)).unwrap_err();
    assert!(matches!(error, LogError::Locked { pid, .. } if pid == std::process::id()), "{error}");
    assert_eq!(log.append(events(0..1)).await.unwrap().stored, 1);
}

#[test]
fn the_newest_come_first_within_the_range() {
    let dir = tempfile::tempdir().unwrap();
    let mut appender = appender(dir.path());
    for start in [0, 10, 20, 30] {
        appender.commit(&[Work::Batch(events(start..start + 10)), Work::Tick(NOW)]).unwrap();
    }
    let mut reader = Reader::open(dir.path()).unwrap();
    let mut visit = |range, max: usize| {
        let mut found = Vec::new();
        let mut visitor = |event: Event| {
            found.push(event.time.0 - NOW.0);
            if found.len() == max { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        reader.newest_first(range, &mut visitor).unwrap();
        found
    };
    assert_eq!(visit(ALWAYS, 1000), (0..40).rev().collect::<Vec<_>>());
    assert_eq!(visit(ALWAYS, 3), [39, 38, 37]);
    let range = TimeRange { from: NOW.plus(Span::millis(8)), to: NOW.plus(Span::millis(12)) };
    assert_eq!(visit(range, 1000), [11, 10, 9, 8]);
    // A block outside the range is not even looked into.
    meddle(&dir, "UPDATE block SET bytes = x'00' WHERE first > 30");
    assert_eq!(visit(range, 1000), [11, 10, 9, 8]);
}

#[test]
fn any_flipped_bit_is_reported_with_its_positions() {
    let dir = tempfile::tempdir().unwrap();
    let mut appender = appender(dir.path());
    for start in [0, 5, 10] {
        appender.commit(&[Work::Batch(events(start..start + 5))]).unwrap();
    }
    let connection = rusqlite::Connection::open(hot::path(dir.path())).unwrap();
    let bytes: Vec<u8> =
        connection.query_row("SELECT bytes FROM block WHERE first = 6", [], |row| row.get(0)).unwrap();
    for index in 0..bytes.len() {
        let mut flipped = bytes.clone();
        flipped[index] ^= 1 << (index % 8);
        connection.execute("UPDATE block SET bytes = ?1 WHERE first = 6", [&flipped]).unwrap();
        let mut reader = Reader::open(dir.path()).unwrap();
        let is_named = |error: LogError| matches!(error, LogError::Corrupt { first: 6, last: 10, .. });
        assert_eq!(reader.read_after(2, 100).unwrap().len(), 3);
        assert!(is_named(reader.read_after(5, 100).unwrap_err()), "byte {index}");
        assert!(is_named(reader.get(7).unwrap_err()), "byte {index}");
        assert!(is_named(reader.verify().unwrap_err()), "byte {index}");
        assert_eq!(reader.read_after(10, 100).unwrap().len(), 5);
    }
}

#[test]
fn a_rewritten_past_breaks_the_chain() {
    let (dir, forged) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut honest = appender(dir.path());
    let mut forger = appender(forged.path());
    for start in [0, 5, 10] {
        honest.commit(&[Work::Batch(events(start..start + 5))]).unwrap();
        forger.commit(&[Work::Batch(events(start + 100..start + 105))]).unwrap();
    }
    let other = hot::path(forged.path()).display().to_string();
    // A well-formed block of other events, and a block taken out.
    meddle(
        &dir,
        &format!(
            "ATTACH '{other}' AS forged; UPDATE block SET bytes = (SELECT bytes FROM forged.block WHERE first = 6) \
         WHERE first = 6"
        ),
    );
    let mut reader = Reader::open(dir.path()).unwrap();
    assert_eq!(reader.read_after(5, 5).unwrap().len(), 5);
    let error = reader.verify().unwrap_err();
    assert!(matches!(error, LogError::Corrupt { first: 6, last: 6, .. }), "{error}");
    meddle(&dir, "DELETE FROM block WHERE first = 6");
    let error = reader.verify().unwrap_err();
    assert!(matches!(error, LogError::Corrupt { first: 6, last: 10, .. }), "{error}");
}

#[test]
fn a_log_of_a_newer_program_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    drop(appender(dir.path()));
    meddle(&dir, "PRAGMA user_version = 99");
    for error in [
        Log::open(dir.path(), LogOptions::default(), Clock::fixed(NOW)).unwrap_err(),
        Reader::open(dir.path()).unwrap_err(),
    ] {
        assert!(matches!(error, LogError::Version { found: 99, .. }), "{error}");
    }
}

#[test]
fn a_log_of_an_older_program_is_refused_and_says_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    drop(appender(dir.path()));
    meddle(&dir, "PRAGMA user_version = 1");
    for error in [
        Log::open(dir.path(), LogOptions::default(), Clock::fixed(NOW)).unwrap_err(),
        Reader::open(dir.path()).unwrap_err(),
    ] {
        assert!(matches!(error, LogError::Old { found: 1, .. }), "{error}");
        assert!(error.to_string().contains("move the data folder"), "{error}");
    }
}
