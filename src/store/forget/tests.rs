//! What goes with alerts, what stays, and that it is found by indexes.

use std::collections::BTreeMap;
use std::path::Path;

use super::*;
use crate::alert::{Alert, AlertId, Change, Key, Level, Verdict};
use crate::route::{Escalation, Field, Group, HeldBy, Manner, Matchers, Policy, Scene, Storm, Told};
use crate::store::{
    AuditQuery, Candidate, Commit, Deed, DeliveryKind, NewHold, NewSilence, OutboxQuery, OutboxRow, Routing,
    Settlement,
};
use crate::time::Span;

const NOW: Timestamp = Timestamp(1_767_614_400_000);
/// Nothing happens any more a week later.
const LATER: Timestamp = NOW.plus(Span::days(7));

fn candidate(id: &str, rule: &str) -> Candidate {
    let alert = Alert {
        id: AlertId(id.into()),
        rule: rule.into(),
        title: "T".into(),
        level: Level::High,
        tags: Vec::new(),
        key: Key(vec![("author_id".into(), "7".into())]),
        started_at: NOW,
        last_at: NOW,
        position: 1,
        findings: 1,
        value: 1.0,
        reason: "r".into(),
        evidence: vec![1],
        evidence_count: 1,
        merged_into: None,
    };
    let group = Group {
        by: vec![Field::Rule],
        wait: Span::seconds(30),
        interval: Span::minutes(5),
        repeat: Some(Span::hours(4)),
    };
    let told = |action: &str, manner| (DeliveryKind::Notify, Told { action: action.into(), manner });
    let grouped = told("mail", Manner { group: Some(group), repeat: None });
    let plain = told("page", Manner { group: None, repeat: Some(Span::hours(1)) });
    let block = (DeliveryKind::Respond, Told { action: "block".into(), manner: Manner::default() });
    let escalate = vec![Escalation { after: Span::days(30), actions: vec!["boss".into()] }];
    let scene = Scene::of_key(&alert.key);
    Candidate { alert, scene, told: vec![grouped, plain, block], escalate, rehearses: false }
}

fn commit(store: &Store, candidates: &[Candidate], policy: &Policy, at: Timestamp) {
    let alerts: Vec<Alert> = candidates.iter().map(|candidate| candidate.alert.clone()).collect();
    let commit = Commit { position: 1, at, alerts: &alerts, outbox: &[], ledger: &[], snapshot: None };
    let routing = Routing { candidates, policy, suppressed: 0 };
    store.commit_routed(&commit, &routing, &|_| None).unwrap();
}

fn settle(store: &Store) {
    for row in store.outbox(&OutboxQuery::default()).unwrap() {
        store.outbox_settle(&row.id, &Settlement::Dead { error: "x".into() }, NOW).unwrap();
    }
}

fn sql(dir: &Path, sql: &str) {
    Connection::open(dir.join("control.db")).unwrap().execute_batch(sql).unwrap();
}

/// Everything that ever happens to alerts, with nothing left to do.
fn store() -> (tempfile::TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let storm = Storm { per_hour: 3, ..Storm::default() };
    let policy = Policy { storm, ..Policy::default() };
    let silence = NewSilence {
        matchers: Matchers::parse(&["rule=quiet"]).unwrap(),
        reason: "known".into(),
        owner: "ops".into(),
        starts_at: NOW,
        ends_at: NOW.plus(Span::hours(9)),
    };
    store.silence_add(&silence, &Deed::new(NOW, "ann", "test")).unwrap();
    for (number, id) in ["a1", "a2", "a3", "a4", "a5"].iter().enumerate() {
        let at = NOW.plus(Span::seconds(i64::try_from(number).unwrap()));
        commit(&store, &[candidate(id, "r")], &policy, at);
    }
    commit(&store, &[candidate("q1", "quiet")], &policy, NOW);
    assert_eq!(store.held_of(&AlertId("a5".into())).unwrap()[0].by, HeldBy::Storm);
    let mut merged = candidate("a2", "r");
    merged.alert.merged_into = Some(AlertId("a1".into()));
    commit(&store, &[merged], &policy, NOW.plus(Span::seconds(9)));
    let change = Change::Resolve { verdict: Verdict::Benign, of: None, note: Some("known".into()) };
    store.change(&AlertId("a1".into()), &change, None, &Deed::new(NOW, "ann", "test")).unwrap();
    settle(&store);
    let report = (DeliveryKind::Report, AlertId("report/weekly".into()));
    let row = OutboxRow::owed(report.0, (report.1, "mail"), "report", NOW);
    assert!(store.report_owe(&row, b"mail", ("reports", b"x")).unwrap());
    store.followups_take(NOW.plus(Span::hours(5)), &policy, 100).unwrap();
    settle(&store);
    resolve(&store, &["a3", "a4", "a5", "q1"]);
    sql(
        dir.path(),
        "INSERT INTO response (id, alert, action, status, dry_run, undo, undoing, created_at, body) \
         VALUES ('r1', 'a1', 'block', 'done', 1, 'none', 'u1', 0, '{}'); \
         INSERT INTO response_step (response, at, status, author, summary) VALUES ('r1', 0, 'done', 'w', 's');",
    );
    (dir, store)
}

/// The rows of each table that has any.
fn rows(store: &Store) -> BTreeMap<String, i64> {
    store
        .read(|connection| {
            let sql = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'";
            let names: Vec<String> =
                connection.prepare(sql)?.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
            let mut rows = BTreeMap::new();
            for name in names {
                let sql = format!("SELECT count(*) FROM {name}");
                let count: i64 = connection.query_row(&sql, [], |row| row.get(0))?;
                rows.insert(name, count);
            }
            rows.retain(|_, count| *count > 0);
            Ok(rows)
        })
        .unwrap()
}

/// Removes what is old in steps of two; how many alerts went.
fn forget(store: &Store, before: Timestamp) -> u64 {
    let mut removed = 0;
    // What went up in others goes with them, or in the next sweep.
    for _ in 0..2 {
        let mut sweep = Sweep::default();
        while !sweep.is_over() {
            sweep = store.forget(&sweep, (before, LATER), 2).unwrap();
        }
        removed += sweep.removed;
    }
    removed
}

#[test]
fn after_its_time_nothing_is_left_of_an_alert() {
    let (_dir, store) = store();
    let all = rows(&store);
    for table in [
        "alert",
        "alert_group",
        "alert_history",
        "delivery_alert",
        "followup",
        "group_alert",
        "held",
        "incident",
        "notice",
        "outbox",
        "report_mail",
        "response",
        "response_step",
        "scene",
        "silence",
        "storm",
        "triage",
    ] {
        assert!(all.contains_key(table), "{table} has nothing to lose: {all:?}");
    }
    assert_eq!(forget(&store, NOW.minus(Span::days(1))), 0, "nothing is old");
    assert_eq!(rows(&store), all);
    // The storm ends by itself.
    store.followups_take(LATER, &Policy::default(), 100).unwrap();
    settle(&store);
    store.followups_take(LATER.plus(Span::hours(2)), &Policy::default(), 100).unwrap();
    settle(&store);
    let end = LATER.plus(Span::days(9));
    assert_eq!(forget(&store, end), 6);
    // A group that has no alerts left is not told again.
    store.followups_take(end, &Policy::default(), 100).unwrap();
    // These have one row, or are bounded by their number; the audit log is never cut.
    let kept = [
        "alert_sequence",
        "alert_terms",
        "audit",
        "audit_head",
        "checkpoint",
        "held_total",
        "progress",
        "rejected_total",
    ];
    let left: Vec<String> =
        rows(&store).into_keys().filter(|table| !kept.contains(&table.as_str())).collect();
    assert_eq!(left, [""; 0]);
}

#[test]
fn what_still_matters_stays() {
    let left = |prepare: &dyn Fn(&Path, &Store)| {
        let (dir, store) = store();
        prepare(dir.path(), &store);
        forget(&store, NOW.plus(Span::days(1)));
        ["a1", "a2", "a3"].map(|id| store.alert(&AlertId(id.into())).unwrap().is_some())
    };
    assert_eq!(left(&|_, _| {}), [false; 3]);
    let comment = Change::Comment { text: "look".into() };
    let deed = Deed::new(LATER, "ann", "test");
    let commented = |_: &Path, store: &Store| {
        store.change(&AlertId("a1".into()), &comment, None, &deed).unwrap();
    };
    assert_eq!(left(&commented), [true, true, false], "with what went up in it");
    let acted = |dir: &Path, _: &Store| {
        sql(dir, "UPDATE response SET alert = 'a2', dry_run = 0, acted_at = 1");
    };
    assert_eq!(left(&acted), [true, true, false], "the ledger of responses is whole");
    let pending = |dir: &Path, _: &Store| sql(dir, "UPDATE outbox SET state = 0 WHERE alert = 'a3'");
    assert_eq!(left(&pending), [false, false, true]);
    let told = |dir: &Path, _: &Store| {
        sql(dir, "UPDATE outbox SET state = 0 WHERE action = 'mail' AND grouped IS NOT NULL");
    };
    assert_eq!(left(&told), [true; 3], "it is still told with others");
    let unresolved = |store: &Store| reopen(store, "a3");
    assert_eq!(left(&|_, store| unresolved(store)), [false, false, true], "it is told again");
    let reminded = |what: &'static str| {
        move |dir: &Path, store: &Store| {
            unresolved(store);
            sql(dir, &format!("DELETE FROM followup WHERE kind NOT LIKE '{what}'"));
        }
    };
    assert_eq!(left(&reminded("reminder")), [false, false, true]);
    assert_eq!(left(&reminded("escalation")), [false, false, true]);
    assert_eq!(left(&reminded("group%")), [false, false, true]);
    assert_eq!(left(&reminded("storm")), [false; 3], "open or not");
    let late = |column: &'static str, which: &'static str| {
        move |dir: &Path, _: &Store| {
            sql(dir, &format!("UPDATE outbox SET {column} = {} WHERE {which}", LATER.0));
        }
    };
    assert_eq!(left(&late("created_at", "alert = 'a3' AND grouped IS NULL")), [false, false, true]);
    assert_eq!(left(&late("settled_at", "alert = 'a3' AND grouped IS NULL")), [false, false, true]);
    assert_eq!(left(&late("settled_at", "grouped IS NOT NULL")), [true; 3], "with others");
    let hold = |_: &Path, store: &Store| {
        let (query, reason, owner) = ("author:x".into(), "r".into(), "o".into());
        store.hold_add(&NewHold { query, reason, owner, until: None }, &deed).unwrap();
    };
    assert_eq!(left(&hold), [true; 3]);
    let ended = |dir: &Path, store: &Store| {
        hold(dir, store);
        store.hold_end(1, "over", &deed).unwrap();
    };
    assert_eq!(left(&ended), [false; 3]);
}

#[test]
fn a_message_stays_while_one_of_its_alerts_does() {
    let (_dir, store) = store();
    let comment = Change::Comment { text: "look".into() };
    store.change(&AlertId("a3".into()), &comment, None, &Deed::new(LATER, "ann", "test")).unwrap();
    forget(&store, NOW.plus(Span::days(1)));
    let told = store.outbox_of(&AlertId("a3".into())).unwrap();
    assert!(told.iter().any(|row| row.action == "mail" && row.alert.0 == "a1"), "{told:?}");
}

/// Resolves what of these is there: nothing is told of it any more.
fn resolve(store: &Store, alerts: &[&str]) {
    let change = Change::Resolve { verdict: Verdict::Benign, of: None, note: None };
    for id in alerts {
        store.change(&AlertId((*id).into()), &change, None, &Deed::new(NOW, "ann", "test")).unwrap();
    }
}

fn reopen(store: &Store, id: &str) {
    let again = Change::Reopen { note: None };
    store.change(&AlertId(id.into()), &again, None, &Deed::new(NOW, "ann", "test")).unwrap();
}

fn incident_of(store: &Store, id: &str) -> Option<String> {
    store.standing(&AlertId(id.into())).unwrap().incident
}

fn listed(store: &Store) -> Vec<(String, u64)> {
    let found = store.incidents(&crate::store::IncidentQuery::default()).unwrap();
    found.into_iter().map(|incident| (incident.id, incident.alerts)).collect()
}

/// Two alerts of one incident, the second of which is spoken of later.
fn pair() -> (tempfile::TempDir, Store, String) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    for id in ["a", "b"] {
        let candidate = Candidate { told: Vec::new(), escalate: Vec::new(), ..candidate(id, "r") };
        commit(&store, &[candidate], &Policy::default(), NOW);
    }
    let incident = incident_of(&store, "a").unwrap();
    assert_eq!(incident_of(&store, "b").as_ref(), Some(&incident));
    resolve(&store, &["a", "b"]);
    (dir, store, incident)
}

fn comment(store: &Store, id: &str) {
    let comment = Change::Comment { text: "look".into() };
    store.change(&AlertId(id.into()), &comment, None, &Deed::new(LATER, "ann", "test")).unwrap();
}

#[test]
fn an_alert_that_goes_on_after_it_was_removed_is_in_its_incident_again() {
    let (_dir, store, incident) = pair();
    comment(&store, "b");
    assert_eq!(forget(&store, NOW.plus(Span::days(1))), 1);
    assert_eq!(listed(&store), [(incident.clone(), 1)]);
    let mut again = Candidate { told: Vec::new(), escalate: Vec::new(), ..candidate("a", "r") };
    again.alert.last_at = LATER;
    commit(&store, &[again], &Policy::default(), LATER);
    assert_eq!(incident_of(&store, "a").as_ref(), Some(&incident));
    let found = store.incident(&incident).unwrap().unwrap();
    assert_eq!((found.alerts, found.first_at, found.last_at), (2, NOW, LATER));
}

/// Puts an alert into the incident of a limit; its id.
fn reach(store: &Store, alert: &str, limit: &str) -> String {
    let id = AlertId(alert.into());
    let beyond =
        |transaction: &Transaction<'_>| crate::store::incident::beyond(transaction, &id, (limit, NOW), NOW);
    store.write(beyond).unwrap().unwrap()
}

#[test]
fn an_incident_that_went_up_in_another_comes_back_with_an_alert() {
    let (_dir, store, incident) = pair();
    let limit = reach(&store, "a", "block per hour");
    assert_eq!(reach(&store, "b", "block per hour"), limit);
    assert_eq!(listed(&store), [(limit.clone(), 2)], "nothing is left of the first");
    comment(&store, "b");
    assert_eq!(forget(&store, NOW.plus(Span::days(1))), 1);
    let again = Candidate { told: Vec::new(), escalate: Vec::new(), ..candidate("a", "r") };
    commit(&store, &[again], &Policy::default(), LATER);
    assert_eq!(incident_of(&store, "a").as_ref(), Some(&incident));
    let mut seen = listed(&store);
    seen.sort_by_key(|(id, _)| *id != incident);
    assert_eq!(seen, [(incident, 1), (limit, 1)]);
}

#[test]
fn an_incident_of_a_limit_that_all_left_is_seen_when_another_comes() {
    let (_dir, store, _) = pair();
    let first = reach(&store, "a", "first");
    let second = reach(&store, "a", "second");
    assert_eq!(reach(&store, "b", "first"), first);
    let mut seen = listed(&store);
    seen.sort_by_key(|(id, _)| *id != first);
    assert_eq!(seen, [(first.clone(), 1), (second.clone(), 1)]);
    // And back again: neither went up in the other.
    assert_eq!(reach(&store, "a", "first"), first);
    assert_eq!(listed(&store), [(first.clone(), 2)]);
    reach(&store, "a", "second");
    comment(&store, "b");
    assert_eq!(forget(&store, NOW.plus(Span::days(1))), 1);
    assert_eq!(listed(&store), [(first, 1)], "what has an alert stays, whatever went with the other");
}

#[test]
fn an_incident_with_alerts_never_goes() {
    let (dir, store, incident) = pair();
    let limit = reach(&store, "a", "first");
    // As earlier versions left it.
    sql(dir.path(), &format!("UPDATE incident SET merged_into = '{limit}' WHERE id = '{incident}'"));
    comment(&store, "b");
    assert_eq!(forget(&store, NOW.plus(Span::days(1))), 1);
    assert!(store.incident(&incident).unwrap().is_some());
    assert!(store.incident(&limit).unwrap().is_none());
}

#[test]
fn what_was_removed_stands_in_the_audit_log() {
    let (_dir, store) = store();
    let of = || {
        let author = Some("watchfire".to_owned());
        store.audit(&AuditQuery { author, ..AuditQuery::default() }).unwrap()
    };
    assert_eq!((forget(&store, NOW.minus(Span::days(1))), of().len()), (0, 0), "nothing went");
    let before = NOW.plus(Span::days(1));
    let removed = forget(&store, before);
    let counts = of().into_iter().map(|row| {
        let asked = format!("alerts to which nothing has happened since {before}");
        assert_eq!((row.deed.at, row.deed.request), (LATER, asked));
        row.outcome.split_once(" alert").unwrap().0.parse::<u64>().unwrap()
    });
    assert_eq!((removed, counts.sum::<u64>()), (6, 6));
    assert_eq!(store.audit_verify().unwrap().wrong, None);
}

#[test]
fn what_would_be_removed_is_counted_beforehand() {
    let (_dir, store) = store();
    let all = rows(&store);
    let count = |before, max| {
        let found = store.forgettable((before, LATER), max).unwrap();
        (found.alerts, found.is_cut, found.is_held)
    };
    let before = NOW.plus(Span::days(1));
    assert_eq!(count(NOW.minus(Span::days(1)), 9), (0, false, false));
    assert_eq!(count(before, 6), (6, false, false));
    assert!(matches!(count(before, 3), (1..6, true, false)));
    comment(&store, "a1");
    assert_eq!(count(before, 9), (4, false, false), "with what went up in it");
    let (query, reason, owner) = ("author:x".into(), "r".into(), "o".into());
    let hold = NewHold { query, reason, owner, until: None };
    let id = store.hold_add(&hold, &Deed::new(LATER, "ann", "test")).unwrap();
    assert!(count(before, 9).2);
    store.hold_end(id, "over", &Deed::new(LATER, "ann", "test")).unwrap();
    assert_eq!(rows(&store)["alert"], all["alert"], "nothing was removed");
    assert_eq!(forget(&store, before), 4);
}

#[test]
fn a_message_tells_of_an_incident_at_a_bounded_cost() {
    let (_dir, store, incident) = pair();
    let mut graver = Candidate { told: Vec::new(), escalate: Vec::new(), ..candidate("c", "other") };
    graver.alert.level = Level::Critical;
    graver.alert.title = "Graver".into();
    reopen(&store, "a");
    commit(&store, &[graver], &Policy::default(), NOW);
    let found = store.incident(&incident).unwrap().unwrap();
    let around = store.around(&incident).unwrap().unwrap();
    assert_eq!(around.title, "Graver, and one rule more");
    assert_eq!((around.alerts, around.level), (3, Level::Critical));
    assert_eq!((around.about, around.alerts, around.title), (found.about, found.alerts, found.title));
    let mut rows = Vec::new();
    for number in 0..crate::encode::Around::ALERTS_MAX + 9 {
        let name = format!("n{number}");
        rows.push(Candidate { told: Vec::new(), escalate: Vec::new(), ..candidate(&name, "r") });
    }
    commit(&store, &rows, &Policy::default(), NOW);
    let around = store.around(&incident).unwrap().unwrap();
    assert_eq!((around.alerts, around.level), (crate::encode::Around::ALERTS_MAX + 1, Level::Critical));
    assert_eq!(store.around("none").unwrap(), None);
}

/// The steps of a query's plan.
fn plan(store: &Store, sql: &str) -> Vec<String> {
    store
        .read(|connection| {
            let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}"))?;
            let mut rows = statement.raw_query();
            let mut steps = Vec::new();
            while let Some(row) = rows.next()? {
                steps.push(row.get(3)?);
            }
            Ok(steps)
        })
        .unwrap()
}

#[test]
fn what_is_asked_often_is_found_by_indexes() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let mut asked: Vec<String> = vec![
        ALERTS.to_owned(),
        format!("{OWN}{IS_KEPT}"),
        DELIVERIES.to_owned(),
        OLD_DELIVERIES.to_owned(),
        crate::store::group::LEFT.to_owned(),
        crate::store::group::PENDING.to_owned(),
        crate::store::scene::OPEN.to_owned(),
        crate::store::incident::GATHERS.to_owned(),
        crate::store::incident::COUNTED.to_owned(),
        crate::store::incident::GRAVEST.to_owned(),
        EMPTY.to_owned(),
    ];
    asked.extend(OF_ALERT.map(str::to_owned));
    asked.extend(REST.map(str::to_owned));
    for sql in asked {
        let steps = plan(&store, &sql);
        let is_walked = |step: &&String| {
            let walks = step.starts_with("SCAN ")
                && !["SCAN own", "SCAN CONSTANT ROW"].iter().any(|harmless| step.starts_with(harmless));
            let is_by_index = step.contains("USING COVERING INDEX") && sql.contains("LIMIT");
            step.contains("AUTOMATIC") || step.contains("TEMP B-TREE FOR ORDER BY") || walks && !is_by_index
        };
        assert_eq!(steps.iter().find(is_walked), None, "{sql}\n{steps:#?}");
    }
    let open = plan(&store, crate::store::scene::OPEN);
    assert!(open[0].contains("USING COVERING INDEX alert_told"), "{open:?}");
}
