//! The store as the daemon uses it.

use std::sync::Arc;

use tempfile::TempDir;

use super::rejected::Limits;
use super::*;
use crate::alert::{Alert, AlertId, Key, LedgerEntry, LedgerReason, Level, Occasion};
use crate::time::{Span, Timestamp};

const NOW: Timestamp = Timestamp(1_790_000_000_000);

fn after(seconds: i64) -> Timestamp {
    NOW.plus(Span::seconds(seconds))
}

fn deed(at: Timestamp) -> Deed {
    Deed::new(at, "alice", "test")
}

fn open() -> (TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    (dir, store)
}

fn alert(id: &str, last_at: Timestamp) -> Alert {
    Alert {
        id: AlertId(id.to_owned()),
        rule: Arc::from("mass-clone"),
        title: "Many clones".to_owned(),
        level: Level::High,
        tags: vec!["attack.exfiltration".to_owned()],
        key: Key(vec![("author_id".to_owned(), "7".to_owned())]),
        started_at: NOW,
        last_at,
        position: 12,
        findings: 2,
        value: 0.1 + 0.2,
        reason: "30 clones in 10m".to_owned(),
        evidence: vec![1, 12],
        evidence_count: 30,
        merged_into: None,
    }
}

fn row(id: &str, alert: &str, kind: DeliveryKind) -> OutboxRow {
    OutboxRow {
        occasion: Occasion::Opened,
        id: id.to_owned(),
        alert: AlertId(alert.to_owned()),
        action: if kind == DeliveryKind::Respond { "block" } else { "mail" }.to_owned(),
        kind,
        created_at: NOW,
        due_at: NOW,
        attempts: 0,
        state: OutboxState::Pending,
        last_error: None,
        outcome: None,
    }
}

fn ledger(rule: &str, count: u64, (first, last): (u64, u64), detail: Option<&str>) -> LedgerEntry {
    let detail = detail.map(str::to_owned);
    LedgerEntry { rule: Arc::from(rule), reason: LedgerReason::TooLate, count, first, last, detail }
}

const fn nothing<'a>(position: u64) -> Commit<'a> {
    Commit { position, at: NOW, alerts: &[], outbox: &[], ledger: &[], snapshot: None }
}

fn add(store: &Store, rows: &[OutboxRow]) {
    store.commit(&Commit { outbox: rows, ..nothing(1) }).unwrap();
}

fn outcome(changed: bool) -> Outcome {
    let summary = "blocked user 7 (alice); read back: blocked".to_owned();
    Outcome { changed, dry_run: false, summary, undo: Some("unblock".to_owned()), needs_human: false }
}

fn ids(rows: &[OutboxRow]) -> Vec<&str> {
    rows.iter().map(|row| row.id.as_str()).collect()
}

fn rejected(body: &[u8]) -> NewRejected {
    NewRejected {
        source: "gitlab".to_owned(),
        received_at: NOW,
        reason: "line 1, column 3: not JSON".to_owned(),
        type_hint: Some("user_created".to_owned()),
        body: body.to_owned(),
    }
}

#[test]
fn a_long_question_keeps_no_other_from_its_answer() {
    let (_dir, store) = open();
    let inner = store.read(|_| store.read(|_| Ok(store.outbox_counts()?.pending)));
    assert_eq!(inner.unwrap(), 0);
}

#[test]
fn a_commit_is_read_back_by_the_next_daemon() {
    let (dir, store) = open();
    assert_eq!(store.progress().unwrap(), Progress::default());
    let commit = Commit {
        alerts: &[alert("a", after(5))],
        outbox: &[row("1", "a", DeliveryKind::Notify)],
        ledger: &[ledger("r", 3, (4, 9), None)],
        snapshot: Some(b"state"),
        ..nothing(12)
    };
    store.commit(&commit).unwrap();
    drop(store);

    let store = Store::open(dir.path()).unwrap();
    let snapshot = Some(Snapshot { position: 12, bytes: b"state".to_vec() });
    assert_eq!(store.progress().unwrap(), Progress { position: 12, snapshot });
    let found = store.alert(&AlertId("a".to_owned())).unwrap().unwrap();
    assert_eq!(found, StoredAlert { alert: alert("a", after(5)), created_at: NOW, updated_at: NOW });
    assert_eq!(store.outbox_of(&AlertId("a".to_owned())).unwrap(), commit.outbox);
    assert_eq!(store.ledger().unwrap(), commit.ledger);
    assert_eq!(store.findings_total().unwrap(), 2);
    assert_eq!(store.alert(&AlertId("b".to_owned())).unwrap(), None);
}

#[test]
fn a_commit_that_fails_at_its_end_changes_nothing() {
    let (dir, store) = open();
    store.commit(&nothing(5)).unwrap();
    let meddle = rusqlite::Connection::open(dir.path().join("control.db")).unwrap();
    meddle
        .execute_batch(
            "CREATE TRIGGER broken BEFORE UPDATE ON progress BEGIN SELECT RAISE(FAIL, 'no luck'); END",
        )
        .unwrap();
    let commit = Commit {
        alerts: &[alert("a", NOW)],
        outbox: &[row("1", "a", DeliveryKind::Notify)],
        ledger: &[ledger("r", 3, (4, 9), None)],
        snapshot: Some(b"state"),
        ..nothing(12)
    };
    assert!(store.commit(&commit).is_err());
    assert_eq!(store.progress().unwrap(), Progress { position: 5, snapshot: None });
    assert_eq!(store.alerts(&AlertQuery::default()).unwrap(), []);
    assert_eq!(store.outbox_counts().unwrap(), OutboxCounts::default());
    assert_eq!(store.ledger().unwrap(), []);
    meddle.execute_batch("DROP TRIGGER broken").unwrap();
    store.commit(&commit).unwrap();
    assert_eq!(store.progress().unwrap().position, 12);
}

#[test]
fn the_newest_readable_snapshot_of_two_is_used() {
    let (dir, store) = open();
    for position in [10, 20, 30] {
        let bytes = vec![u8::try_from(position).unwrap(); 10_000];
        store.commit(&Commit { snapshot: Some(&bytes), ..nothing(position) }).unwrap();
    }
    store.commit(&nothing(31)).unwrap();
    let progress = store.progress().unwrap();
    let snapshot = progress.snapshot.unwrap();
    assert_eq!((progress.position, snapshot.position, snapshot.bytes), (31, 30, vec![30; 10_000]));

    let meddle = rusqlite::Connection::open(dir.path().join("control.db")).unwrap();
    let kept: i64 = meddle.query_row("SELECT count(*) FROM snapshot", [], |row| row.get(0)).unwrap();
    assert_eq!(kept, 2);
    let mut bytes: Vec<u8> =
        meddle.query_row("SELECT bytes FROM snapshot WHERE position = 30", [], |row| row.get(0)).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    meddle.execute("UPDATE snapshot SET bytes = ?1 WHERE position = 30", [bytes]).unwrap();
    assert_eq!(store.progress().unwrap().snapshot.unwrap().position, 20);
    meddle.execute_batch("UPDATE snapshot SET bytes = x''").unwrap();
    assert_eq!(store.progress().unwrap().snapshot, None);
}

#[test]
fn alerts_are_replaced_by_id_and_listed_newest_first() {
    let (_dir, store) = open();
    let mut low = alert("low", after(3));
    low.level = Level::Low;
    low.rule = Arc::from("other");
    let first = [alert("a", after(1)), alert("b", after(2)), low];
    store.commit(&Commit { alerts: &first, ..nothing(1) }).unwrap();
    let mut grown = alert("a", after(9));
    grown.findings = 7;
    store.commit(&Commit { alerts: &[grown.clone()], at: after(60), ..nothing(2) }).unwrap();

    let list = |query: &AlertQuery| -> Vec<String> {
        store.alerts(query).unwrap().into_iter().map(|stored| stored.alert.id.0).collect()
    };
    assert_eq!(list(&AlertQuery::default()), ["a", "low", "b"]);
    assert_eq!(list(&AlertQuery { limit: 2, ..AlertQuery::default() }), ["a", "low"]);
    assert_eq!(list(&AlertQuery { level: Some(Level::Medium), ..AlertQuery::default() }), ["a", "b"]);
    assert_eq!(list(&AlertQuery { rule: Some("other".to_owned()), ..AlertQuery::default() }), ["low"]);
    assert_eq!(list(&AlertQuery { since: Some(after(2)), ..AlertQuery::default() }), ["a", "low"]);
    let found = store.alert(&grown.id).unwrap().unwrap();
    assert_eq!(found, StoredAlert { alert: grown.clone(), created_at: NOW, updated_at: after(60) });
    assert_eq!(store.findings_total().unwrap(), 7 + 2 + 2);
    grown.merged_into = Some(AlertId("b".to_owned()));
    store.commit(&Commit { alerts: &[grown], ..nothing(3) }).unwrap();
    assert_eq!(store.findings_total().unwrap(), 2 + 2);
}

#[test]
fn a_delivery_that_is_there_is_left_as_it_is() {
    let (_dir, store) = open();
    let delivery = row("1", "a", DeliveryKind::Notify);
    add(&store, std::slice::from_ref(&delivery));
    store.outbox_settle("1", &Settlement::Done(outcome(false)), NOW).unwrap();
    add(&store, &[delivery]);
    assert_eq!(store.outbox_counts().unwrap(), OutboxCounts { pending: 0, done: 1, dead: 0, waiting: 0 });
    assert_eq!(store.outbox_due(after(999), 10).unwrap(), []);
}

#[test]
fn what_is_due_comes_in_order_and_every_action_gets_a_share() {
    let (_dir, store) = open();
    let mut rows: Vec<_> = (0..20)
        .map(|number| {
            let mut row = row(&format!("m{number:02}"), &format!("a{number}"), DeliveryKind::Notify);
            row.due_at = after(number);
            row
        })
        .collect();
    let mut late = row("hook", "a", DeliveryKind::Notify);
    (late.action, late.due_at) = ("hook".to_owned(), after(30));
    let mut block = row("block", "other", DeliveryKind::Respond);
    block.due_at = after(40);
    rows.extend([late, block]);
    add(&store, &rows);

    assert_eq!(ids(&store.outbox_due(after(2), 10).unwrap()), ["m00", "m01", "m02"]);
    assert_eq!(ids(&store.outbox_due(after(99), 4).unwrap()), ["block", "m00", "m01", "hook"]);
    assert_eq!(store.outbox_due(after(99), 100).unwrap().len(), 22);
    assert_eq!(store.outbox_due(after(-1), 10).unwrap(), []);
    assert_eq!(store.outbox_next_due().unwrap(), Some(NOW));
}

#[test]
fn what_is_owed_later_of_one_alert_waits_for_what_was_owed_before() {
    let (_dir, store) = open();
    let of = |id: &str, alert: &str, action: &str| OutboxRow {
        action: action.into(),
        ..row(id, alert, DeliveryKind::Notify)
    };
    let mut early = of("1", "a", "chat");
    // Whatever the clock showed when it was written.
    (early.created_at, early.due_at) = (after(50), after(60));
    add(&store, &[early, of("2", "a", "chat"), of("3", "b", "chat"), of("4", "a", "mail")]);
    assert_eq!(ids(&store.outbox_due(NOW, 10).unwrap()), ["3", "4"]);
    for id in ["3", "4"] {
        store.outbox_settle(id, &Settlement::Done(outcome(false)), NOW).unwrap();
    }
    assert_eq!(store.outbox_next_due().unwrap(), Some(after(60)), "not when the one behind it is due");
    assert_eq!(ids(&store.outbox_due(after(60), 10).unwrap()), ["1"]);
    store.outbox_settle("1", &Settlement::Dead { error: "no".to_owned() }, after(60)).unwrap();
    assert_eq!(ids(&store.outbox_due(after(60), 10).unwrap()), ["2"]);
}

#[test]
fn what_a_receiver_put_off_is_due_once_it_is_back() {
    let (_dir, store) = open();
    add(
        &store,
        &[
            row("1", "a", DeliveryKind::Notify),
            OutboxRow { due_at: after(900), ..row("2", "b", DeliveryKind::Notify) },
        ],
    );
    let retry = Settlement::Retry { at: after(600), error: "503".to_owned() };
    store.outbox_settle("1", &retry, NOW).unwrap();
    assert_eq!(store.outbox_hasten("chat", NOW).unwrap(), 0);
    assert_eq!(store.outbox_hasten("mail", after(5)).unwrap(), 1, "what was never tried keeps its time");
    assert_eq!(ids(&store.outbox_due(after(5), 10).unwrap()), ["1"]);
}

#[test]
fn a_notification_waits_for_the_responses_of_its_alert() {
    let (_dir, store) = open();
    add(
        &store,
        &[
            row("block", "a", DeliveryKind::Respond),
            row("mail", "a", DeliveryKind::Notify),
            row("other", "b", DeliveryKind::Notify),
        ],
    );
    assert_eq!(ids(&store.outbox_due(NOW, 10).unwrap()), ["block", "other"]);
    store.outbox_settle("other", &Settlement::Done(outcome(false)), NOW).unwrap();

    // The response is tried again in a while: the mail is held, for 60 seconds at most.
    let retry = Settlement::Retry { at: after(600), error: "503".to_owned() };
    store.outbox_settle("block", &retry, NOW).unwrap();
    assert_eq!(store.outbox_due(after(59), 10).unwrap(), []);
    assert_eq!(store.outbox_next_due().unwrap(), Some(after(60)));
    assert_eq!(ids(&store.outbox_due(after(60), 10).unwrap()), ["mail"]);

    // Settled earlier, it is let go earlier.
    store.outbox_settle("block", &Settlement::Done(outcome(true)), after(5)).unwrap();
    assert_eq!(ids(&store.outbox_due(after(5), 10).unwrap()), ["mail"]);
    assert_eq!(store.outbox_next_due().unwrap(), Some(NOW));
    store.outbox_settle("mail", &Settlement::Done(outcome(false)), after(5)).unwrap();
    assert_eq!(store.outbox_next_due().unwrap(), None);
}

#[test]
fn a_delivery_is_retried_given_up_and_redriven() {
    let (_dir, store) = open();
    add(&store, &[row("1", "a", DeliveryKind::Notify)]);
    let of_alert = || store.outbox_of(&AlertId("a".to_owned())).unwrap().remove(0);

    let retry = Settlement::Retry { at: after(30), error: "503".to_owned() };
    store.outbox_settle("1", &retry, NOW).unwrap();
    let found = of_alert();
    assert_eq!((found.attempts, found.due_at, found.state), (1, after(30), OutboxState::Pending));
    assert_eq!(found.last_error.as_deref(), Some("503"));
    assert_eq!(store.outbox_due(after(29), 10).unwrap(), []);
    assert!(!store.redrive("1", &deed(NOW)).unwrap());

    store.outbox_settle("1", &Settlement::Dead { error: "404".to_owned() }, after(30)).unwrap();
    let found = of_alert();
    assert_eq!(
        (found.attempts, found.state, found.last_error.as_deref()),
        (2, OutboxState::Dead, Some("404"))
    );
    assert_eq!(store.outbox_counts().unwrap(), OutboxCounts { pending: 0, done: 0, dead: 1, waiting: 0 });
    assert_eq!(store.outbox_next_due().unwrap(), None);
    // What comes too late does not bring it back.
    store.outbox_settle("1", &retry, after(31)).unwrap();
    assert_eq!(of_alert().state, OutboxState::Dead);

    let dead = store.outbox_list(Some(OutboxState::Dead), 0).unwrap();
    assert_eq!(dead.iter().map(|row| row.id.as_str()).collect::<Vec<_>>(), ["1"]);
    assert!(store.outbox_list(Some(OutboxState::Done), 0).unwrap().is_empty());
    assert_eq!(store.outbox_list(None, 1).unwrap().len(), 1);
    assert!(store.redrive("1", &deed(after(40))).unwrap());
    let found = store.outbox_due(after(40), 10).unwrap().remove(0);
    assert_eq!((found.attempts, found.due_at), (0, after(40)));
    store.outbox_settle("1", &Settlement::Done(outcome(true)), after(41)).unwrap();
    let found = of_alert();
    assert_eq!((found.outcome, found.last_error), (Some(outcome(true)), None));
    assert!(!store.redrive("1", &deed(NOW)).unwrap());
    let unknown = store.outbox_settle("2", &retry, NOW).unwrap_err();
    assert!(matches!(unknown, StoreError::Unknown { .. }), "{unknown}");
}

#[test]
fn only_responses_that_changed_something_are_counted() {
    let (_dir, store) = open();
    let settle = |id: &str, kind, changed, at| {
        add(&store, &[OutboxRow { action: "block".to_owned(), ..row(id, id, kind) }]);
        store.outbox_settle(id, &Settlement::Done(outcome(changed)), at).unwrap();
    };
    settle("1", DeliveryKind::Respond, true, after(10));
    settle("2", DeliveryKind::Respond, true, after(20));
    settle("3", DeliveryKind::Respond, false, after(20));
    settle("4", DeliveryKind::Notify, true, after(20));
    add(&store, &[row("5", "5", DeliveryKind::Respond)]);
    for (since, count) in [(0, 2), (10, 2), (11, 1), (21, 0)] {
        assert_eq!(store.responses_since("block", after(since)).unwrap(), count, "{since}");
    }
    assert_eq!(store.responses_since("unblock", NOW).unwrap(), 0);
}

#[test]
fn the_ledger_is_summed() {
    let (_dir, store) = open();
    let script = LedgerEntry { reason: LedgerReason::ScriptFailed, ..ledger("r", 1, (1, 1), None) };
    for entries in [
        vec![ledger("r", 3, (4, 9), Some("first")), script.clone()],
        vec![ledger("r", 2, (2, 8), None), ledger("a", 1, (7, 7), None)],
        vec![ledger("r", 1, (20, 20), Some("last"))],
    ] {
        store.commit(&Commit { ledger: &entries, ..nothing(1) }).unwrap();
    }
    let expected = [ledger("a", 1, (7, 7), None), script, ledger("r", 6, (2, 20), Some("last"))];
    assert_eq!(store.ledger().unwrap(), expected);
}

#[test]
fn every_ledger_reason_is_stored() {
    let (_dir, store) = open();
    for reason in [
        LedgerReason::TooLate,
        LedgerReason::Evicted,
        LedgerReason::MissingKey,
        LedgerReason::ScriptFailed,
        LedgerReason::WindowFull,
    ] {
        let entry = LedgerEntry { reason, ..ledger(&format!("{reason:?}"), 1, (1, 1), None) };
        store.commit(&Commit { ledger: std::slice::from_ref(&entry), ..nothing(1) }).unwrap();
        assert!(store.ledger().unwrap().contains(&entry));
    }
}

#[test]
fn checkpoints_are_kept_by_name() {
    let (_dir, store) = open();
    assert_eq!(store.checkpoint("forward/siem").unwrap(), None);
    store.set_checkpoint("forward/siem", b"1").unwrap();
    store.set_checkpoint("forward/siem", b"2").unwrap();
    store.set_checkpoint("file/rails", b"3").unwrap();
    assert_eq!(store.checkpoint("forward/siem").unwrap(), Some(b"2".to_vec()));
}

#[test]
fn rejected_bodies_are_kept_looked_at_and_replayed() {
    let (_dir, store) = open();
    let first = store.reject(&rejected(b"{oops")).unwrap();
    let second = store.reject(&rejected(b"\xff\x00")).unwrap();
    assert_eq!(store.rejected_count().unwrap(), 2);
    store.rejected_settle(first, &deed(after(5)), "done").unwrap();
    assert_eq!(store.rejected_count().unwrap(), 1);
    let found = store.rejected_get(first).unwrap().unwrap();
    assert_eq!((found.replayed_at, found.rejected.body), (Some(after(5)), b"{oops".to_vec()));
    let listed: Vec<_> = store.rejected(None, 10).unwrap().into_iter().map(|rejected| rejected.id).collect();
    assert_eq!(listed, [second, first]);
    assert_eq!(store.rejected(None, 1).unwrap().len(), 1);
    assert!(store.rejected_get(99).unwrap().is_none());
    assert!(matches!(store.rejected_settle(99, &deed(NOW), "done"), Err(StoreError::Unknown { .. })));
}

#[test]
fn of_rejected_bodies_the_oldest_replayed_go_first() {
    let (_dir, store) = open();
    let limits = Limits { rows: 3, bytes: 100 };
    let reject = |size: usize| store.reject_within(&rejected(&vec![b'x'; size]), limits).unwrap();
    let kept = || -> Vec<i64> { store.rejected(None, 99).unwrap().into_iter().map(|kept| kept.id).collect() };
    let (first, second, third) = (reject(10), reject(10), reject(10));
    store.rejected_settle(second, &deed(NOW), "done").unwrap();
    let fourth = reject(10);
    assert_eq!(kept(), [fourth, third, first]);
    let fifth = reject(10);
    assert_eq!(kept(), [fifth, fourth, third]);
    let large = reject(85);
    assert_eq!(kept(), [large, fifth]);
    let larger = reject(500);
    assert_eq!(kept(), [larger]);
    assert_eq!(kept(), [larger]);
    let small = reject(1);
    assert_eq!(kept(), [small]);
}

#[test]
fn a_second_process_may_look_but_not_write() {
    let dir = tempfile::tempdir().unwrap();
    let before = Store::open_read_only(dir.path()).unwrap();
    assert_eq!(before.progress().unwrap(), Progress::default());

    let store = Store::open(dir.path()).unwrap();
    store.commit(&nothing(5)).unwrap();
    let beside = Store::open_read_only(dir.path()).unwrap();
    assert_eq!(beside.progress().unwrap().position, 5);
    store.commit(&nothing(6)).unwrap();
    assert_eq!(beside.progress().unwrap().position, 6);
    let error = beside.commit(&nothing(7)).unwrap_err();
    assert!(error.to_string().starts_with("control.db is not writable: "), "{error}");
    drop((store, beside));
    assert_eq!(Store::open_read_only(dir.path()).unwrap().progress().unwrap().position, 6);
}

#[test]
fn a_store_of_a_newer_program_is_refused() {
    let (dir, store) = open();
    drop(store);
    let meddle = rusqlite::Connection::open(dir.path().join("control.db")).unwrap();
    meddle.execute_batch("PRAGMA user_version = 99").unwrap();
    for error in [Store::open(dir.path()).unwrap_err(), Store::open_read_only(dir.path()).unwrap_err()] {
        assert!(error.to_string().contains("use a newer program"), "{error}");
    }
}

#[test]
fn a_damaged_row_is_named() {
    let (dir, store) = open();
    store.commit(&Commit { alerts: &[alert("a", NOW)], ..nothing(1) }).unwrap();
    let meddle = rusqlite::Connection::open(dir.path().join("control.db")).unwrap();
    meddle.execute_batch("UPDATE alert SET body = '{'").unwrap();
    let error = store.alerts(&AlertQuery::default()).unwrap_err();
    assert!(matches!(&error, StoreError::Corrupt { what, .. } if what == "alert a"), "{error}");
}

#[test]
fn what_was_put_off_follows_a_clock_that_is_set_back() {
    let (_dir, store) = open();
    let rows = ["soon", "late", "done"].map(|id| row(id, id, DeliveryKind::Notify));
    add(&store, &rows);
    let retry = |seconds| Settlement::Retry { at: after(seconds), error: "503".to_owned() };
    store.outbox_settle("soon", &retry(30), NOW).unwrap();
    store.outbox_settle("late", &retry(9000), NOW).unwrap();
    store.outbox_settle("done", &Settlement::Done(outcome(false)), NOW).unwrap();
    let longest = Span::hours(1);
    let due = |id: &str| {
        let found = store.outbox_list(None, 0).unwrap().into_iter().find(|row| row.id == id).unwrap();
        (found.created_at, found.due_at)
    };
    // Nothing was set back: only what nobody would have put off that far moves.
    store.outbox_set_back(Span(0), NOW, longest).unwrap();
    assert_eq!((due("soon"), due("late")), ((NOW, after(30)), (NOW, after(3600))));
    store.outbox_set_back(Span::seconds(1000), after(-1000), longest).unwrap();
    assert_eq!((due("soon"), due("late")), ((after(-1000), after(-970)), (after(-1000), after(2600))));
    assert_eq!(due("done"), (NOW, NOW), "what is settled stays as it is");
}
