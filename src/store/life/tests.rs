//! The lives of alerts, as the daemon and people make them.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use tempfile::TempDir;

use crate::alert::{
    Alert, AlertId, AlertState, Change, Happening, Key, Level, Moment, Occasion, Stance, Verdict,
};
use crate::route::Policy;
use crate::store::Routing;
use crate::store::{
    AlertQuery, AlertTerms, AuditQuery, Commit, Deed, DeliveryKind, IncidentQuery, OutboxRow, OutboxState,
    Outcome, Settlement, Store, StoreError,
};
use crate::time::{Span, Timestamp};

const NOW: Timestamp = Timestamp(1_790_000_000_000);

fn open() -> (TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    (dir, store)
}

fn hours(count: i64) -> Timestamp {
    NOW.plus(Span::hours(count))
}

fn alert(id: &str, author: &str, (from, to): (Timestamp, Timestamp), findings: u64) -> Alert {
    Alert {
        id: AlertId(id.to_owned()),
        rule: Arc::from("mass-clone"),
        title: "Many clones".to_owned(),
        level: Level::High,
        tags: Vec::new(),
        key: Key(vec![("author_id".to_owned(), author.to_owned())]),
        started_at: from,
        last_at: to,
        position: 12,
        findings,
        value: 1.0,
        reason: "30 clones in 10m".to_owned(),
        evidence: vec![1, 12],
        evidence_count: 30,
        merged_into: None,
    }
}

fn into(alert: Alert, other: &str) -> Alert {
    Alert { merged_into: Some(AlertId(other.to_owned())), ..alert }
}

fn commit(store: &Store, alerts: &[Alert], outbox: &[OutboxRow]) {
    let commit = Commit { position: 1, at: NOW, alerts, outbox, ledger: &[], snapshot: None };
    let routing = Routing { candidates: &[], policy: &Policy::default(), suppressed: 0 };
    store.commit_routed(&commit, &routing, &|_| Some("gitlab".into())).unwrap();
}

fn told(alert: &str, action: &str) -> OutboxRow {
    let unique = format!("{alert}\0{action}");
    OutboxRow::owed(DeliveryKind::Notify, (AlertId(alert.to_owned()), action), &unique, NOW)
}

fn deed(by: &str, minutes: i64) -> Deed {
    Deed::new(NOW.plus(Span::minutes(minutes)), by, "test")
}

fn resolve(verdict: Verdict) -> Change {
    Change::Resolve { verdict, of: None, note: None }
}

fn duplicate(of: &str) -> Change {
    Change::Resolve { verdict: Verdict::Duplicate, of: Some(AlertId(of.to_owned())), note: None }
}

const ACK: Change = Change::Acknowledge { note: None };

fn id(name: &str) -> AlertId {
    AlertId(name.to_owned())
}

fn words(store: &Store, alert: &str) -> Vec<String> {
    let timeline = store.timeline(&id(alert)).unwrap();
    timeline.iter().map(|moment| format!("{}: {}", moment.by(), moment.words())).collect()
}

#[test]
fn an_alert_lives_and_all_of_it_is_in_its_timeline() {
    let (_dir, store) = open();
    let terms = AlertTerms {
        wants: vec![("pager".into(), Occasion::Acknowledged), ("pager".into(), Occasion::Resolved)],
        ..AlertTerms::default()
    };
    store.set_alert_terms(&terms).unwrap();
    let first = alert("a", "7", (NOW, NOW), 1);
    commit(&store, std::slice::from_ref(&first), &[told("a", "pager"), told("a", "mail")]);
    let outcome =
        Outcome { changed: false, dry_run: false, summary: "sent".into(), undo: None, needs_human: false };
    for row in store.outbox_of(&id("a")).unwrap() {
        store.outbox_settle(&row.id, &Settlement::Done(outcome.clone()), NOW.plus(Span::seconds(1))).unwrap();
    }
    let seen = store.standing(&id("a")).unwrap().revision;
    store.change(&id("a"), &ACK, Some(seen), &deed("ann", 1)).unwrap();
    // Once more is no error, however often it was done, and whatever was seen.
    let again = store.change(&id("a"), &ACK, Some(seen), &deed("bob", 2)).unwrap();
    assert_eq!(again.record, None);
    let comment = Change::Comment { text: "looks bad".into() };
    assert!(store.change(&id("a"), &comment, None, &deed("ann", 3)).unwrap().record.is_some());
    assert!(store.change(&id("a"), &comment, None, &deed("ann", 4)).unwrap().record.is_none());
    let late = store.change(&id("a"), &resolve(Verdict::Benign), Some(seen), &deed("bob", 5)).unwrap_err();
    assert!(matches!(late, StoreError::Outdated { .. }), "{late}");
    assert!(late.to_string().contains("ann commented it at"), "{late}");
    store.change(&id("a"), &resolve(Verdict::TruePositive), None, &deed("ann", 6)).unwrap();
    let refused = store.change(&id("a"), &ACK, None, &deed("ann", 7)).unwrap_err();
    assert!(matches!(refused, StoreError::Conflict { .. }), "{refused}");
    // A late event that fills in what was known opens nothing; one after it does.
    commit(&store, &[alert("a", "7", (NOW.minus(Span::hours(1)), NOW), 2)], &[]);
    assert_eq!(store.standing(&id("a")).unwrap().findings_since, 1);
    commit(&store, &[alert("a", "7", (NOW, hours(2)), 4)], &[]);
    assert_eq!(store.triage(&id("a")).unwrap().state, AlertState::Open);
    insta::assert_snapshot!(words(&store, "a").join("\n"), @r"
    watchfire: opened
    watchfire: reopened (was true_positive): it goes on: 3 findings since
    watchfire: told `mail`: sent
    watchfire: told `pager`: sent
    ann: acknowledged
    ann: wrote: looks bad
    ann: resolved as true_positive
    watchfire: will try `pager` (acknowledged)
    watchfire: will try `pager` (resolved)
    ");
    let audit = store.audit(&AuditQuery::default()).unwrap();
    assert_eq!(audit.len(), 5, "refusals are recorded by those who refuse");
    assert_eq!(audit[0].deed.request, "alert a: acknowledged -> resolved as true_positive");
    assert_eq!(audit[1].outcome, "nothing to do: it is so already");
}

#[test]
fn only_what_was_harmful_opens_again() {
    let (_dir, store) = open();
    for verdict in [Verdict::Benign, Verdict::FalsePositive, Verdict::Test] {
        let name = verdict.name();
        commit(&store, &[alert(name, name, (NOW, NOW), 1)], &[]);
        store.change(&id(name), &resolve(verdict), None, &deed("ann", 1)).unwrap();
        commit(&store, &[alert(name, name, (NOW, hours(1)), 6)], &[]);
        let standing = store.standing(&id(name)).unwrap();
        assert_eq!((standing.triage.verdict, standing.findings_since), (Some(verdict), 5));
    }
}

#[test]
fn a_duplicate_leads_to_one_that_is_none_of_it() {
    let (_dir, store) = open();
    let all = ["a", "b", "c"].map(|name| alert(name, name, (NOW, NOW), 1));
    commit(&store, &all, &[]);
    let change = |alert: &str, of: &str| store.change(&id(alert), &duplicate(of), None, &deed("ann", 1));
    assert!(change("a", "nobody").is_err() && change("a", "a").is_err());
    change("a", "b").unwrap();
    change("b", "c").unwrap();
    assert!(change("c", "a").unwrap_err().to_string().contains("duplicate of it"));
    assert_eq!(store.standing(&id("a")).unwrap().duplicate_of, Some(id("b")));
    assert!(matches!(change("x", "a"), Err(StoreError::Unknown { .. })));
}

#[test]
fn alerts_that_become_one_keep_who_looks_into_them() {
    let (_dir, store) = open();
    store
        .set_alert_terms(&AlertTerms {
            wants: vec![("pager".into(), Occasion::Acknowledged), ("pager".into(), Occasion::Resolved)],
            ..AlertTerms::default()
        })
        .unwrap();
    let (a, b) = (alert("a", "7", (NOW, NOW), 1), alert("b", "7", (hours(30), hours(30)), 1));
    commit(&store, &[a.clone(), b.clone()], &[told("a", "pager"), told("b", "pager")]);
    let incidents = |store: &Store| store.incidents(&IncidentQuery::default()).unwrap();
    assert_eq!(incidents(&store).len(), 2, "more than a day lies between them");
    store.change(&id("b"), &Change::Assign { to: Some("ann".into()) }, None, &deed("ann", 1)).unwrap();
    store.change(&id("b"), &ACK, None, &deed("ann", 1)).unwrap();
    let grown = alert("a", "7", (NOW, hours(30)), 3);
    commit(&store, &[into(b, "a"), grown], &[]);
    let triage = store.triage(&id("a")).unwrap();
    assert_eq!((triage.state, triage.assignee.as_deref()), (AlertState::Acknowledged, Some("ann")));
    assert_eq!(store.triage(&id("b")).unwrap(), triage, "the one stands where the other does");
    let changed = store.change(&id("b"), &resolve(Verdict::Test), None, &deed("ann", 2)).unwrap();
    assert_eq!(changed.alert, id("a"));
    let found = incidents(&store);
    assert_eq!((found.len(), found[0].alerts, found[0].last_at), (1, 1, hours(30)));
    assert_eq!(found[0].state, AlertState::Resolved);
    assert_eq!(words(&store, "b").iter().filter(|line| line.contains("went up in a")).count(), 1);
    // Whoever was told of either hears that it is resolved.
    let rows = store.outbox_list(Some(OutboxState::Pending), 0).unwrap();
    let mut of: Vec<_> = rows
        .iter()
        .filter(|row| row.occasion == Occasion::Resolved)
        .map(|row| row.alert.0.as_str())
        .collect();
    of.sort_unstable();
    assert_eq!(of, ["a", "b"]);
}

#[test]
fn an_incident_is_dealt_with_as_a_whole() {
    let (_dir, store) = open();
    let mut critical = alert("b", "7", (hours(20), hours(20)), 1);
    (critical.level, critical.title, critical.rule) =
        (Level::Critical, "A key was made".into(), "key".into());
    commit(&store, &[alert("a", "7", (NOW, NOW), 1), critical, alert("c", "8", (NOW, NOW), 1)], &[]);
    let list = store.incidents(&IncidentQuery::default()).unwrap();
    assert_eq!(list.len(), 2);
    let own = &list[0];
    assert_eq!((own.title.as_str(), own.level), ("A key was made, and one rule more", Level::Critical));
    assert_eq!((own.about.as_str(), own.alerts), ("author_id = 7 at gitlab", 2));
    store.change(&id("a"), &resolve(Verdict::Test), None, &deed("ann", 1)).unwrap();
    let changed = store.change_incident(&own.id, &ACK, &deed("ann", 2)).unwrap();
    assert_eq!(changed.iter().map(|one| one.alert.0.as_str()).collect::<Vec<_>>(), ["b"]);
    let state = |state| {
        let query = IncidentQuery { state: Some(state), ..IncidentQuery::default() };
        store.incidents(&query).unwrap().into_iter().map(|incident| incident.about).collect::<Vec<_>>()
    };
    assert_eq!(state(AlertState::Acknowledged), ["author_id = 7 at gitlab"]);
    assert_eq!(state(AlertState::Open), ["author_id = 8 at gitlab"]);
    store.change_incident(&own.id, &resolve(Verdict::Benign), &deed("ann", 3)).unwrap();
    assert_eq!(store.incident(&own.id).unwrap().unwrap().states, [0, 0, 2]);
    assert_eq!(store.triage(&id("a")).unwrap().verdict, Some(Verdict::Test), "it keeps its verdict");
    // What is resolved takes no more.
    commit(&store, &[alert("d", "7", (hours(21), hours(21)), 1)], &[]);
    assert_ne!(store.standing(&id("d")).unwrap().incident.unwrap(), own.id);
    assert_eq!(store.incident_history(&own.id, 2).unwrap().len(), 2);
    assert_eq!(store.incidents_named(&own.id[..8]).unwrap(), std::slice::from_ref(&own.id));
    assert!(store.change_incident("none", &ACK, &deed("ann", 3)).is_err());
    let graver = IncidentQuery { level: Some(Level::Critical), limit: 5, ..IncidentQuery::default() };
    assert_eq!(store.incidents(&graver).unwrap().len(), 1);
}

#[test]
fn alerts_are_found_by_where_they_stand() {
    let (_dir, store) = open();
    let all: Vec<Alert> =
        (0..4).map(|n| alert(&format!("{n}a"), &n.to_string(), (hours(n), hours(n)), 1)).collect();
    commit(&store, &all, &[]);
    store.change(&id("3a"), &resolve(Verdict::Benign), None, &deed("ann", 1)).unwrap();
    store.change(&id("2a"), &ACK, None, &deed("ann", 1)).unwrap();
    store.change(&id("1a"), &Change::Assign { to: Some("bob".into()) }, None, &deed("ann", 1)).unwrap();
    let list = |query: AlertQuery| -> Vec<String> {
        store.alerts(&query).unwrap().into_iter().map(|stored| stored.alert.id.0).collect()
    };
    let base = AlertQuery::default;
    assert_eq!(list(AlertQuery { open_first: true, ..base() }), ["1a", "0a", "2a", "3a"]);
    assert_eq!(list(AlertQuery { state: Some(AlertState::Open), ..base() }), ["1a", "0a"]);
    assert_eq!(list(AlertQuery { verdict: Some(Verdict::Benign), ..base() }), ["3a"]);
    assert_eq!(list(AlertQuery { assignee: Some("bob".into()), ..base() }), ["1a"]);
    assert_eq!(list(AlertQuery { assignee: Some(String::new()), ..base() }), ["3a", "2a", "0a"]);
    let incident = store.standing(&id("1a")).unwrap().incident;
    assert_eq!(list(AlertQuery { incident, ..base() }), ["1a"]);
    assert_eq!(store.alerts_named("1").unwrap(), [id("1a")]);
    // A stream that ended anywhere goes on with the last change of each.
    let changed = store.alerts_changed_after(0, 10).unwrap();
    let order: Vec<&str> = changed.iter().map(|(_, alert)| alert.0.as_str()).collect();
    assert_eq!(order, ["0a", "3a", "2a", "1a"]);
    assert_eq!(store.alerts_changed_after(changed[1].0, 1).unwrap(), changed[2..3]);
    assert_eq!(store.alerts_changed().unwrap(), changed[3].0);
}

#[test]
fn the_quality_of_a_rule_is_what_was_said_of_its_alerts() {
    let (_dir, store) = open();
    let all: Vec<Alert> = (0..9).map(|n| alert(&format!("{n}"), "7", (NOW, NOW), 1)).collect();
    commit(&store, &all, &[told("0", "mail")]);
    for n in 0..8 {
        let verdict = if n == 0 { Verdict::TruePositive } else { Verdict::FalsePositive };
        store.change(&id(&n.to_string()), &ACK, None, &deed("ann", n)).unwrap();
        store.change(&id(&n.to_string()), &resolve(verdict), None, &deed("ann", 2 * n)).unwrap();
    }
    let found = store.quality(None, NOW).unwrap();
    let [quality] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!((quality.alerts, quality.unresolved, quality.judged()), (9, 1, 8));
    assert_eq!(quality.verdicts, [1, 0, 7, 0, 0]);
    assert_eq!(quality.acknowledge_time, Some(Span::minutes(3)));
    assert_eq!(quality.resolve_time, Some(Span::minutes(6)));
    assert_eq!(quality.notifications, 0, "it is not delivered yet");
    assert!(quality.is_noisy(), "{}", quality.words());
    assert_eq!(store.quality(Some("other"), NOW).unwrap(), []);
    assert_eq!(store.quality(None, hours(1)).unwrap(), []);
}

/// What a person, or the log, does next to one of four alerts.
#[derive(Debug, Clone)]
enum Act {
    Person(usize, Change),
    Grow(usize),
    Merge(usize, usize),
}

fn act() -> impl Strategy<Value = Act> {
    let note = || prop::option::of("[a-c]{1,2}");
    let change = prop_oneof![
        note().prop_map(|note| Change::Acknowledge { note }),
        note().prop_map(|note| Change::Reopen { note }),
        (0..4_usize, note()).prop_map(|(n, note)| Change::Resolve {
            verdict: Verdict::ALL[n],
            of: None,
            note
        }),
        (0..4_usize).prop_map(|n| duplicate(&n.to_string())),
        prop::option::of("[xy]").prop_map(|to| Change::Assign { to }),
        "[p-r]".prop_map(|text| Change::Comment { text }),
    ];
    prop_oneof![
        6 => (0..4_usize, change).prop_map(|(n, change)| Act::Person(n, change)),
        2 => (0..4_usize).prop_map(Act::Grow),
        1 => (0..4_usize, 0..4_usize).prop_map(|(from, to)| Act::Merge(from, to)),
    ]
}

/// Each line of history begins where the one before ended, and the last ends where the alert stands.
fn replay(store: &Store, name: &str) -> Stance {
    let mut stance = Stance::default();
    let mut number = 0;
    for record in store.history(&id(name)).unwrap() {
        assert_eq!(record.from, stance, "{name}: {record:?}");
        assert!(record.number > number);
        (stance, number) = (record.to, record.number);
        if record.what == Happening::Merged {
            break;
        }
    }
    stance
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn the_history_leads_to_where_alerts_stand(acts in prop::collection::vec(act(), 1..25)) {
        let (dir, store) = open();
        let mut alerts: Vec<Alert> =
            (0..4).map(|n| alert(&n.to_string(), "7", (NOW, NOW), 1)).collect();
        commit(&store, &alerts, &[]);
        for (minute, act) in (0_i64..).zip(acts) {
            match act {
                Act::Person(n, change) => {
                    drop(store.change(&id(&n.to_string()), &change, None, &deed("ann", minute)));
                }
                Act::Grow(n) if alerts[n].merged_into.is_none() => {
                    alerts[n].findings += 1;
                    alerts[n].last_at = NOW.plus(Span::minutes(minute));
                    commit(&store, &alerts[n..=n], &[]);
                }
                Act::Merge(from, to) if from != to => {
                    if alerts[from].merged_into.is_none() && alerts[to].merged_into.is_none() {
                        alerts[from].merged_into = Some(alerts[to].id.clone());
                        commit(&store, &alerts[from..=from], &[]);
                    }
                }
                Act::Grow(_) | Act::Merge(..) => {}
            }
        }
        drop(store);
        let store = Store::open(dir.path()).unwrap();
        for alert in &alerts {
            let stance = replay(&store, &alert.id.0);
            if alert.merged_into.is_none() {
                prop_assert_eq!(stance, store.standing(&alert.id).unwrap().stance());
            }
            let is_resolved = store.triage(&alert.id).unwrap().state == AlertState::Resolved;
            prop_assert_eq!(is_resolved, store.triage(&alert.id).unwrap().verdict.is_some());
        }
        let verified = store.audit_verify().unwrap();
        prop_assert!(verified.wrong.is_none(), "{:?}", verified);
        let marks = store.alerts_changed_after(0, 10).unwrap();
        prop_assert_eq!(marks.len(), 4);
        prop_assert_eq!(marks.last().unwrap().0, store.alerts_changed().unwrap());
    }

    /// Batches of alerts about two authors, an hour apart at the least; each batch in any order, the store opened anew
    /// between two. After each batch one alert may go up in another about the same author.
    #[test]
    fn incidents_are_what_a_naive_count_says(
        batches in prop::collection::vec(
            (prop::collection::vec((0..2_usize, 0..200_i64), 1..6), any::<[prop::sample::Index; 2]>()), 1..5),
        reversed in any::<bool>(),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let mut naive: Vec<Naive> = Vec::new();
        for (batch, [from, to]) in &batches {
            let mut new: Vec<Naive> = Vec::new();
            for (author, hour) in batch {
                let name = format!("{:03}", naive.len() + new.len() + 1);
                new.push(Naive { name, author: *author, reach: (*hour, *hour), incident: String::new(), is_merged: false });
            }
            let mut found: Vec<Alert> = new.iter().map(Naive::alert).collect();
            if reversed {
                found.reverse();
            }
            commit(&Store::open(dir.path()).unwrap(), &found, &[]);
            new.sort_by_key(|one| (one.reach, one.name.clone()));
            for mut one in new {
                one.incident = naive_incident(&naive, &one);
                naive.push(one);
            }
            let (from, to) = (from.index(naive.len()), to.index(naive.len()));
            let (gone, other) = (naive[from].clone(), naive[to].clone());
            if from != to && gone.author == other.author && !gone.is_merged && !other.is_merged {
                let reach = (gone.reach.0.min(other.reach.0), gone.reach.1.max(other.reach.1));
                naive[to].reach = reach;
                (naive[from].is_merged, naive[from].incident) = (true, other.incident);
                let mut grown = naive[to].alert();
                // So many that it always has more than before.
                grown.findings = 2 + naive.iter().filter(|one| one.is_merged).count() as u64;
                commit(&Store::open(dir.path()).unwrap(), &[grown, into(gone.alert(), &other.name)], &[]);
            }
        }
        let store = Store::open(dir.path()).unwrap();
        for one in naive.iter().filter(|one| !one.is_merged) {
            let stands = store.standing(&id(&one.name)).unwrap().incident.unwrap();
            prop_assert_eq!(&stands, &one.incident, "{}", one.name);
        }
        let listed = store.incidents(&IncidentQuery::default()).unwrap();
        let expected = naive_reaches(&naive);
        prop_assert_eq!(listed.len(), expected.len());
        for shown in listed {
            let (author, count, first, last) = expected[&shown.id];
            prop_assert_eq!(&shown.about, &format!("author_id = {author} at gitlab"));
            prop_assert_eq!((shown.alerts, shown.first_at, shown.last_at), (count, hours(first), hours(last)));
        }
    }
}

/// An alert as the naive count knows it; hours.
#[derive(Debug, Clone)]
struct Naive {
    name: String,
    author: usize,
    reach: (i64, i64),
    incident: String,
    is_merged: bool,
}

impl Naive {
    fn alert(&self) -> Alert {
        let (first, last) = self.reach;
        alert(&self.name, &self.author.to_string(), (hours(first), hours(last)), 1)
    }
}

/// Each incident's author, how many alerts are its own, and its first and last hour.
fn naive_reaches(all: &[Naive]) -> BTreeMap<String, (usize, u64, i64, i64)> {
    let mut found = BTreeMap::new();
    for Naive { author, reach: (first, last), incident, .. } in all.iter().filter(|one| !one.is_merged) {
        let reach = found.entry(incident.clone()).or_insert((*author, 0, *first, *last));
        *reach = (*author, reach.1 + 1, reach.2.min(*first), reach.3.max(*last));
    }
    found
}

/// The newest that a new alert is no more than a day away from; ends that are the same are told apart by the id.
fn naive_incident(all: &[Naive], new: &Naive) -> String {
    let hour = new.reach.0;
    let fits = naive_reaches(all)
        .into_iter()
        .filter(|(_, (of, _, first, last))| *of == new.author && hour - 24 <= *last && *first <= hour + 24);
    let newest = fits.max_by_key(|(incident, (.., last))| (*last, incident.clone()));
    newest.map_or_else(|| incident_id(&new.name), |(incident, _)| incident)
}

fn incident_id(first: &str) -> String {
    blake3::hash(format!("incident\0{first}").as_bytes()).to_hex().chars().take(32).collect()
}

#[test]
fn a_commit_that_is_made_again_changes_nothing() {
    let (_dir, store) = open();
    let first = alert("a", "7", (NOW, NOW), 1);
    commit(&store, std::slice::from_ref(&first), &[]);
    let before = (store.alerts_changed().unwrap(), store.history(&id("a")).unwrap());
    commit(&store, &[first], &[]);
    assert_eq!((store.alerts_changed().unwrap(), store.history(&id("a")).unwrap()), before);
    assert!(matches!(store.timeline(&id("a")).unwrap().as_slice(), [Moment::Record(_)]));
}
