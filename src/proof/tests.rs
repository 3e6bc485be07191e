//! Who has the key rewrites everything, and is found out by what he could not reach.

use std::path::Path;

use super::{Verdict, prove};
use crate::decode::decode;
use crate::event::{Event, Format};
use crate::log::testing::SealedLog;
use crate::log::{Checkpoint, Reader, VerifyOptions};
use crate::store::{Deed, Store};
use crate::time::{Span, Timestamp};

const NOW: Timestamp = Timestamp(1_772_452_800_000);

fn events(author: u32) -> Vec<Event> {
    let event = |number: i64| {
        let time = NOW.plus(Span::seconds(number));
        let raw = format!(
            r#"{{"id":"e{number}","created_at":"{time}","event_type":"user_created","author_id":{author},"entity_id":1}}"#
        );
        decode(Format::Gitlab, &"gitlab".into(), raw.into(), None, time).unwrap().event
    };
    (0..60).map(event).collect()
}

/// A log of which half is sealed, and an audit log.
fn logs(author: u32) -> (SealedLog, Store) {
    let mut log = SealedLog::new(NOW);
    let events = events(author);
    log.append(&events[..40]);
    log.seal();
    log.append(&events[40..]);
    let store = Store::open(log.path()).unwrap();
    for number in 0..3 {
        store.record(&Deed::new(NOW, format!("soc{author}"), format!("deed {number}")), "done").unwrap();
    }
    (log, store)
}

fn checkpoint(log: &SealedLog, store: &Store) -> Checkpoint {
    let mark = store.audit_mark().unwrap();
    Reader::open(log.path()).unwrap().checkpoint(NOW, Some(mark)).unwrap()
}

fn verdict(dir: &Path, kept: &[Checkpoint]) -> Verdict {
    prove(dir, &VerifyOptions::default(), kept).unwrap()
}

#[test]
fn untouched_logs_agree_with_what_was_kept() {
    let (mut log, store) = logs(1);
    let first = checkpoint(&log, &store);
    log.append(&[]);
    store.record(&Deed::new(NOW, "soc", "later"), "done").unwrap();
    let verdict = verdict(log.path(), &[first, checkpoint(&log, &store)]);
    assert!(verdict.is_intact(), "{verdict:?}");
    assert_eq!((verdict.kept.len(), verdict.audit.rows), (2, 4));
}

#[test]
fn who_signs_another_history_is_found_out() {
    let (log, store) = logs(1);
    let kept = checkpoint(&log, &store);
    // The same key, and everything made anew with another author: each thing fits every other one.
    let forged = SealedLog::with_key(NOW, log.path());
    let (forged, store) = {
        let mut forged = forged;
        let events = events(2);
        forged.append(&events[..40]);
        forged.seal();
        forged.append(&events[40..]);
        let store = Store::open(forged.path()).unwrap();
        (0..3).for_each(|number| {
            store.record(&Deed::new(NOW, "soc1", format!("deed {number}")), "done").unwrap();
        });
        (forged, store)
    };
    assert!(verdict(forged.path(), &[]).is_intact(), "by itself it is in order");
    let found = verdict(forged.path(), std::slice::from_ref(&kept));
    assert!(found.log.is_ok() && !found.is_intact());
    let wrong = found.kept[0].wrong.as_deref().unwrap();
    assert!(wrong.contains("this entry or one before it was changed"), "{wrong}");
    drop(store);
}

#[test]
fn the_audit_log_is_compared_too() {
    let (log, store) = logs(1);
    let kept = checkpoint(&log, &store);
    drop(store);
    // Another audit log, whole in itself.
    std::fs::remove_file(log.path().join("control.db")).unwrap();
    for name in ["control.db-wal", "control.db-shm"] {
        drop(std::fs::remove_file(log.path().join(name)));
    }
    let store = Store::open(log.path()).unwrap();
    let found = verdict(log.path(), std::slice::from_ref(&kept));
    assert!(found.kept[0].wrong.as_deref().unwrap().contains("some are gone"), "{found:?}");
    for number in 0..3 {
        store.record(&Deed::new(NOW, "somebody else", format!("deed {number}")), "done").unwrap();
    }
    let found = verdict(log.path(), &[kept]);
    assert!(found.log.is_ok() && found.audit.wrong.is_none());
    assert!(found.kept[0].wrong.as_deref().unwrap().contains("row 3 of the audit log"), "{found:?}");
}

#[test]
fn the_folders_own_checkpoints_know_the_audit_log() {
    let (log, store) = logs(1);
    let line = checkpoint(&log, &store).line();
    let own = log.path().join("log/checkpoints.ndjson");
    let text = std::fs::read_to_string(&own).unwrap();
    std::fs::write(&own, format!("{text}{line}\n")).unwrap();
    assert!(verdict(log.path(), &[]).is_intact());
    drop(store);
    std::fs::remove_file(log.path().join("control.db")).unwrap();
    let found = verdict(log.path(), &[]);
    assert!(found.audit.wrong.as_deref().unwrap().contains("some are gone"), "{found:?}");
}
