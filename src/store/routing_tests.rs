//! Deciding about alerts: what is told, held back and told again, against the store.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use proptest::prelude::*;

use super::*;
use crate::alert::{Alert, AlertId, Change, Key, Level, Occasion, Verdict};
use crate::route::{
    Escalation, Field, Group, HeldBy, Inhibition, Manner, Matchers, Notices, Policy, Scene, Storm,
    StormResponses, Told,
};
use crate::time::{Span, Timestamp};

const NOW: Timestamp = Timestamp(1_767_614_400_000);

fn alert(id: &str, rule: &str) -> Alert {
    Alert {
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
    }
}

fn plain(action: &str) -> (DeliveryKind, Told) {
    (DeliveryKind::Notify, Told { action: action.into(), manner: Manner::default() })
}

fn candidate(id: &str, rule: &str, told: Vec<(DeliveryKind, Told)>) -> Candidate {
    let alert = alert(id, rule);
    let scene = Scene {
        source: Some("gitlab".into()),
        sources: ["gitlab".into()].into(),
        ..Scene::of_key(&alert.key)
    };
    Candidate { alert, scene, told, escalate: Vec::new(), rehearses: false }
}

fn commit(store: &Store, candidates: &[Candidate], policy: &Policy, at: Timestamp) {
    let alerts: Vec<Alert> = candidates.iter().map(|candidate| candidate.alert.clone()).collect();
    let commit = Commit { position: 1, at, alerts: &alerts, outbox: &[], ledger: &[], snapshot: None };
    let routing = Routing { candidates, policy, suppressed: 0 };
    store.commit_routed(&commit, &routing, &|_| None).unwrap();
}

fn open() -> (tempfile::TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    (dir, store)
}

/// The rows of an action: alert, occasion, due after [`NOW`] in seconds; oldest first.
fn rows(store: &Store, action: &str) -> Vec<(String, Occasion, i64)> {
    let query = OutboxQuery { action: Some(action.into()), ..OutboxQuery::default() };
    let mut rows = store.outbox(&query).unwrap();
    rows.sort_by(|a, b| (a.due_at, &a.id).cmp(&(b.due_at, &b.id)));
    rows.iter().map(|row| (row.alert.0.clone(), row.occasion, row.due_at.since(NOW).0 / 1000)).collect()
}

fn held(store: &Store, alert: &str) -> Vec<HeldBy> {
    store.held_of(&AlertId(alert.into())).unwrap().into_iter().map(|held| held.by).collect()
}

/// Somebody brings an alert into a state.
fn triage(dir: &Path, alert: &str, state: &str) {
    let connection = rusqlite::Connection::open(dir.join("control.db")).unwrap();
    let sql =
        "INSERT OR REPLACE INTO triage (alert, state, changed_at, changed_by) VALUES (?1, ?2, 0, 'test')";
    connection.execute(sql, [alert, state]).unwrap();
}

fn silence(matchers: &[&str], from: i64, until: i64) -> NewSilence {
    NewSilence {
        matchers: Matchers::parse(matchers).unwrap(),
        reason: "known".into(),
        owner: "ops".into(),
        starts_at: NOW.plus(Span::seconds(from)),
        ends_at: NOW.plus(Span::seconds(until)),
    }
}

fn deed(at: i64) -> Deed {
    Deed::new(NOW.plus(Span::seconds(at)), "ann", "test")
}

/// Whatever an action was to tell is told.
fn deliver(store: &Store, action: &str) {
    let query = OutboxQuery { action: Some(action.into()), ..OutboxQuery::default() };
    for row in store.outbox(&query).unwrap() {
        let outcome = Outcome {
            changed: false,
            dry_run: false,
            summary: String::new(),
            undo: None,
            needs_human: false,
        };
        store.outbox_settle(&row.id, &Settlement::Done(outcome), NOW).unwrap();
    }
}

fn resolve(store: &Store, alert: &str, seconds: i64) {
    let change = Change::Resolve { verdict: Verdict::Benign, of: None, note: None };
    store.change(&AlertId(alert.into()), &change, None, &deed(seconds)).unwrap();
}

fn want(store: &Store, wants: &[(&str, Occasion)]) {
    let wants = wants.iter().map(|(action, occasion)| ((*action).to_owned(), *occasion)).collect();
    store.set_alert_terms(&AlertTerms { wants, ..AlertTerms::default() }).unwrap();
}

fn at(seconds: i64) -> Timestamp {
    NOW.plus(Span::seconds(seconds))
}

#[test]
fn a_silence_holds_back_from_its_first_moment_to_before_its_last() {
    let (_dir, store) = open();
    let policy = Policy::default();
    let id = store.silence_add(&silence(&["rule=noisy", "source=gitlab"], 10, 20), &deed(0)).unwrap();
    for (name, seconds, is_held) in [("a", 9, false), ("b", 10, true), ("c", 19, true), ("d", 20, false)] {
        commit(&store, &[candidate(name, "noisy", vec![plain("mail")])], &policy, at(seconds));
        assert_eq!(held(&store, name), if is_held { vec![HeldBy::Silence] } else { vec![] }, "{name}");
    }
    commit(&store, &[candidate("e", "other", vec![plain("mail")])], &policy, at(15));
    let told: Vec<String> = rows(&store, "mail").into_iter().map(|row| row.0).collect();
    assert_eq!(told, ["a", "e", "d"]);
    let why = &store.held_of(&AlertId("b".into())).unwrap()[0];
    assert_eq!((why.which.as_str(), why.action.as_str()), (id.to_string().as_str(), "mail"));
    assert!(why.why.contains("silence 1 of ops") && why.why.ends_with("known"), "{}", why.why);
    assert_eq!(store.alerts(&AlertQuery::default()).unwrap().len(), 5, "all are stored");
    assert_eq!(store.held_totals().unwrap(), [("silence".to_owned(), 2)]);
    let mut seen = (0, 0);
    let matchers = Matchers::parse(&["rule=noisy"]).unwrap();
    store
        .scenes_since(NOW, |alert, scene| {
            seen.0 += 1;
            seen.1 += u64::from(matchers.hold(&crate::route::Case { alert, scene }));
        })
        .unwrap();
    assert_eq!(seen, (5, 4));
}

#[test]
fn the_end_of_a_silence_tells_nothing_that_it_held_back() {
    let (_dir, store) = open();
    let policy = Policy::default();
    let id = store.silence_add(&silence(&["rule=noisy"], 0, 3600), &deed(0)).unwrap();
    let mut one = candidate("a", "noisy", vec![plain("mail"), (DeliveryKind::Respond, plain("block").1)]);
    one.told[0].1.manner.repeat = Some(Span::minutes(1));
    one.escalate = vec![Escalation { after: Span::minutes(2), actions: vec!["page".into()] }];
    commit(&store, &[one], &policy, at(1));
    assert!(store.silence_end(id, "over", &deed(5)).unwrap());
    assert!(!store.silence_end(id, "again", &deed(6)).unwrap());
    assert_eq!(store.followups_take(at(9_000), &policy, 10).unwrap(), 0);
    assert_eq!(store.outbox(&OutboxQuery::default()).unwrap(), []);
    assert_eq!(held(&store, "a"), [HeldBy::Silence; 3], "message, response and escalation");
    commit(&store, &[candidate("b", "noisy", vec![plain("mail")])], &policy, at(7));
    assert_eq!(rows(&store, "mail").len(), 1, "the next one is told");
}

#[test]
fn people_hear_before_a_silence_ends_and_once() {
    let (_dir, store) = open();
    let policy = Policy { notices: Notices { actions: vec!["mail".into()] }, ..Policy::default() };
    let day = 86_400;
    let id = store.silence_add(&silence(&["rule=noisy"], 0, 3 * day), &deed(0)).unwrap();
    let told = |now: i64| {
        while store.followups_take(at(now), &policy, 1).unwrap() > 0 {}
        rows(&store, "mail").len()
    };
    assert_eq!((told(2 * day - 1), told(2 * day), told(2 * day + 1)), (0, 1, 1));
    // Longer: it is told anew, before the new end.
    assert!(store.silence_extend(id, (at(9 * day), false), &deed(2 * day + 5)).unwrap());
    assert_eq!((told(3 * day), told(8 * day), told(9 * day - 3_600)), (1, 2, 3));
    let notice = store.outbox(&OutboxQuery::default()).unwrap().pop().unwrap();
    let notice = store.notice(notice_named(&notice.alert.0).unwrap()).unwrap().unwrap();
    assert!(
        notice.title.starts_with("Silence 1 ends at") && notice.lines[0] == "matchers: rule=noisy",
        "{notice:?}"
    );
    assert!(!store.silence_extend(id, (at(20 * day), false), &deed(9 * day)).unwrap(), "it has ended");
    // The clock does not move an end that is a date.
    store.silence_add(&silence(&["rule=x"], 0, 3 * day), &deed(0)).unwrap();
    let due = store.followup_next_due().unwrap();
    store.followups_set_back(Span::days(30), NOW.minus(Span::days(30))).unwrap();
    assert_eq!(store.followup_next_due().unwrap(), due);
}

#[test]
fn an_alert_is_told_again_until_somebody_takes_it() {
    let (dir, store) = open();
    let policy = Policy::default();
    let mut one = candidate("a", "r", vec![plain("mail")]);
    one.told[0].1.manner.repeat = Some(Span::minutes(10));
    one.escalate = vec![
        Escalation { after: Span::minutes(15), actions: vec!["lead".into()] },
        Escalation { after: Span::hours(1), actions: vec!["boss".into()] },
    ];
    commit(&store, &[one.clone()], &policy, NOW);
    commit(&store, &[one], &policy, at(30));
    assert_eq!(rows(&store, "mail").len(), 1, "a step done again tells nothing again");
    let settle = |action: &str| deliver(&store, action);
    // Its first message is not through yet: nobody needs a second one.
    assert_eq!(store.followups_take(at(600), &policy, 10).unwrap(), 1);
    assert_eq!(rows(&store, "mail").len(), 1);
    settle("mail");
    assert_eq!(store.followups_take(at(1_200), &policy, 10).unwrap(), 2);
    assert_eq!(rows(&store, "mail")[1], ("a".into(), Occasion::Reminder, 1_200));
    assert_eq!(rows(&store, "lead"), [("a".into(), Occasion::Escalated, 1_200)]);
    assert_eq!(store.followups_of(&AlertId("a".into())).unwrap().len(), 2);
    // A silence that came later stops reminders, not for ever.
    settle("mail");
    let quiet = store.silence_add(&silence(&["rule=r"], 1_201, 1_900), &deed(1_201)).unwrap();
    assert_eq!(store.followups_take(at(1_800), &policy, 10).unwrap(), 1);
    assert_eq!((rows(&store, "mail").len(), held(&store, "a")), (2, vec![HeldBy::Silence]));
    store.silence_end(quiet, "x", &deed(1_850)).unwrap();
    assert_eq!(store.followups_take(at(2_400), &policy, 10).unwrap(), 1);
    assert_eq!(rows(&store, "mail").len(), 3);
    triage(dir.path(), "a", "acknowledged");
    assert_eq!(store.followups_of(&AlertId("a".into())).unwrap(), [], "nothing is to come");
    store.followups_take(at(90_000), &policy, 10).unwrap();
    assert_eq!((rows(&store, "mail").len(), rows(&store, "boss").len()), (3, 0));
    assert_eq!(store.followup_next_due().unwrap(), None);
}

#[test]
fn what_is_due_later_follows_a_clock_that_is_set_back() {
    let (_dir, store) = open();
    let mut one = candidate("a", "r", Vec::new());
    one.escalate = vec![Escalation { after: Span::minutes(15), actions: vec!["lead".into()] }];
    commit(&store, &[one], &Policy::default(), NOW);
    let now = NOW.minus(Span::days(30)).plus(Span::minutes(5));
    store.followups_set_back(Span::days(30), now).unwrap();
    assert_eq!(store.followup_next_due().unwrap(), Some(now.plus(Span::minutes(10))));
    // Nobody saw the step: at the next start it is not years away.
    store.followups_set_back(Span(0), now.minus(Span::days(900))).unwrap();
    assert_eq!(store.followup_next_due().unwrap(), Some(now.minus(Span::days(900)).plus(Span::minutes(30))));
}

#[test]
fn an_open_alert_that_was_told_holds_others_back() {
    let (dir, store) = open();
    let inhibit: Inhibition =
        serde_yaml::from_str("{when: {rules: [cause]}, hold: {rules: [noise]}, equal: [author_id]}").unwrap();
    let policy = Policy { inhibit: vec![inhibit], ..Policy::default() };
    let noise =
        |id: &str| candidate(id, "noise", vec![plain("mail"), (DeliveryKind::Respond, plain("block").1)]);
    commit(&store, &[noise("n1"), candidate("c", "cause", Vec::new()), noise("n2")], &policy, NOW);
    assert_eq!((held(&store, "n1"), held(&store, "n2")), (vec![], vec![HeldBy::Inhibition]));
    assert_eq!(store.held_of(&AlertId("n2".into())).unwrap()[0].which, "c");
    assert_eq!(rows(&store, "block").len(), 2, "responses are made all the same");
    triage(dir.path(), "c", "resolved");
    commit(&store, &[noise("n3")], &policy, at(60));
    assert_eq!(held(&store, "n3"), []);
    // A cause that nobody heard of explains nothing.
    store.silence_add(&silence(&["rule=cause"], 60, 600), &deed(60)).unwrap();
    commit(&store, &[candidate("c2", "cause", Vec::new()), noise("n4")], &policy, at(70));
    assert_eq!((held(&store, "c2"), held(&store, "n4")), (vec![HeldBy::Silence], vec![]));
}

#[test]
fn what_was_held_back_by_another_holds_nothing_back() {
    let (dir, store) = open();
    let inhibit: Vec<Inhibition> = serde_yaml::from_str(
        "[{when: {rules: [a]}, hold: {rules: [b]}, equal: [author_id]}, \
          {when: {rules: [b]}, hold: {rules: [a]}, equal: [author_id]}]",
    )
    .unwrap();
    let policy = Policy { inhibit, ..Policy::default() };
    let new = |id: &str, rule: &str| candidate(id, rule, vec![plain("mail")]);
    // Within one commit, and from one to the next.
    commit(&store, &[new("a1", "a"), new("b1", "b")], &policy, NOW);
    assert_eq!((held(&store, "a1"), held(&store, "b1")), (vec![], vec![HeldBy::Inhibition]));
    triage(dir.path(), "a1", "resolved");
    commit(&store, &[new("a2", "a")], &policy, at(60));
    assert_eq!(held(&store, "a2"), [], "nobody heard of b1");
    commit(&store, &[new("b2", "b")], &policy, at(70));
    assert_eq!(store.held_of(&AlertId("b2".into())).unwrap()[0].which, "a2");
    commit(&store, &[new("b3", "b"), new("a3", "a")], &policy, at(80));
    assert_eq!((held(&store, "b3"), held(&store, "a3")), (vec![HeldBy::Inhibition], vec![]));
}

#[test]
fn a_storm_is_told_in_summaries_and_ends() {
    let (_dir, store) = open();
    let storm = Storm { per_hour: 2, ..Storm::default() };
    let policy = Policy { storm: storm.clone(), ..Policy::default() };
    let told = || vec![plain("mail"), (DeliveryKind::Respond, plain("block").1)];
    let batch: Vec<Candidate> = (0..5).map(|n| candidate(&format!("a{n}"), "r", told())).collect();
    commit(&store, &batch, &policy, NOW);
    commit(&store, &batch, &policy, NOW);
    let notices = || -> Vec<String> {
        let mut all = store.outbox(&OutboxQuery::default()).unwrap();
        all.reverse();
        let ids = all.iter().filter_map(|row| notice_named(&row.alert.0));
        ids.map(|id| store.notice(id).unwrap().unwrap().title).collect()
    };
    assert_eq!(rows(&store, "block").len(), 2, "responses wait for a person");
    assert_eq!(rows(&store, "mail").len(), 3, "two alerts and one summary");
    assert_eq!(notices(), ["Storm: r raised more than 2 alerts within an hour"]);
    commit(&store, &[candidate("b", "r", told())], &policy, at(1_800));
    assert_eq!(notices().len(), 1);
    store.followups_take(at(3_600), &policy, 10).unwrap();
    assert_eq!(notices()[1], "Storm: r raised 3 further alerts");
    // Alerts from elsewhere are told: the guard is of a rule and a source.
    let mut elsewhere = candidate("e", "r", told());
    elsewhere.scene.source = Some("github".into());
    commit(&store, &[elsewhere], &policy, at(3_700));
    assert_eq!(held(&store, "e"), []);
    store.followups_take(at(7_200), &policy, 10).unwrap();
    assert_eq!(notices()[2], "The storm of r is over: 4 alerts were not told one by one");
    assert_eq!(store.followups_take(at(90_000), &policy, 10).unwrap(), 0);
    commit(&store, &[candidate("z", "r", told())], &policy, at(9_000));
    assert_eq!(held(&store, "z"), [], "it is calm again");
    assert_eq!(store.held_totals().unwrap(), [("storm".to_owned(), 8)]);
    // Where it is configured so, responses go on.
    let policy = Policy { storm: Storm { responses: StormResponses::Send, ..storm }, ..Policy::default() };
    let batch: Vec<Candidate> = (0..4).map(|n| candidate(&format!("s{n}"), "s", told())).collect();
    commit(&store, &batch, &policy, at(9_000));
    assert_eq!(rows(&store, "block").len(), 2 + 1 + 1 + 4);
}

fn grouped(wait: i64, interval: i64, repeat: Option<Span>) -> (DeliveryKind, Told) {
    let group =
        Group { by: vec![Field::Rule], wait: Span::seconds(wait), interval: Span::seconds(interval), repeat };
    (
        DeliveryKind::Notify,
        Told { action: "mail".into(), manner: Manner { group: Some(group), repeat: None } },
    )
}

#[test]
fn a_group_is_told_together_and_again_while_unresolved() {
    let (dir, store) = open();
    let policy = Policy::default();
    let told = || vec![grouped(30, 300, Some(Span::hours(4)))];
    for (id, rule, seconds) in [("a", "r", 0), ("b", "r", 10), ("x", "other", 11), ("c", "r", 29)] {
        commit(&store, &[candidate(id, rule, told())], &policy, at(seconds));
    }
    assert_eq!(
        rows(&store, "mail"),
        [("a".into(), Occasion::Opened, 30), ("x".into(), Occasion::Opened, 41)]
    );
    let row = store.outbox_of(&AlertId("b".into())).unwrap().remove(0);
    assert_eq!(row.alert.0, "a", "the others say which message they are in");
    let others = |row: &OutboxRow| -> Vec<String> {
        store.told_with(row).unwrap().into_iter().map(|alert| alert.id.0).collect()
    };
    assert_eq!(others(&row), ["b", "c"]);
    commit(&store, &[candidate("d", "r", told())], &policy, at(31));
    assert_eq!(others(&row), ["b", "c"], "every try says the same");
    assert_eq!(rows(&store, "mail")[2], ("d".into(), Occasion::Opened, 330));
    let next = store.outbox_of(&AlertId("d".into())).unwrap().remove(0);
    assert_eq!(others(&next), [""; 0]);
    assert_eq!(others(&store.outbox_of(&AlertId("x".into())).unwrap()[0]), [""; 0]);
    // Four hours after the last message of the group, for what is left of it.
    triage(dir.path(), "a", "resolved");
    triage(dir.path(), "b", "acknowledged");
    deliver(&store, "mail");
    store.followups_take(at(330 + 4 * 3_600), &policy, 10).unwrap();
    let again: Vec<_> = rows(&store, "mail").into_iter().filter(|row| row.1 == Occasion::Reminder).collect();
    assert_eq!(again.len(), 2, "{again:?}");
    let again = store.outbox_of(&AlertId("c".into())).unwrap();
    let again = again.iter().find(|row| row.occasion == Occasion::Reminder).unwrap();
    let mut told: Vec<String> = others(again).into_iter().chain([again.alert.0.clone()]).collect();
    told.sort();
    assert_eq!(told, ["b", "c", "d"]);
    // A silence that came later holds what it matches back, and tells of the others.
    store.silence_add(&silence(&["rule=r"], 0, 30_000), &deed(0)).unwrap();
    deliver(&store, "mail");
    store.followups_take(at(330 + 8 * 3_600), &policy, 10).unwrap();
    assert_eq!(held(&store, "c").last(), Some(&HeldBy::Silence));
    for alert in ["b", "c", "d", "x"] {
        triage(dir.path(), alert, "resolved");
    }
    store.followups_take(at(100_000), &policy, 10).unwrap();
    assert_eq!(store.followup_next_due().unwrap(), None);
}

#[test]
fn a_message_that_was_given_up_takes_no_further_alerts() {
    let (_dir, store) = open();
    let policy = Policy::default();
    let dead = Settlement::Dead { error: "x".into() };
    for (n, end) in
        [dead, Settlement::Retry { at: at(90), error: "no such action".into() }].iter().enumerate()
    {
        let (rule, first, second) = (format!("r{n}"), format!("a{n}"), format!("b{n}"));
        commit(&store, &[candidate(&first, &rule, vec![grouped(30, 300, None)])], &policy, NOW);
        let row = store.outbox_of(&AlertId(first)).unwrap().remove(0);
        store.outbox_settle(&row.id, end, at(30)).unwrap();
        commit(&store, &[candidate(&second, &rule, vec![grouped(30, 300, None)])], &policy, at(40));
        let next = store.outbox_of(&AlertId(second)).unwrap().remove(0);
        assert_ne!(next.id, row.id, "{end:?}");
        assert_eq!(next.due_at, at(330), "{end:?}");
    }
}

#[test]
fn that_it_is_over_waits_for_the_message_with_others() {
    let (_dir, store) = open();
    want(&store, &[("mail", Occasion::Opened), ("mail", Occasion::Resolved)]);
    for id in ["a", "b"] {
        commit(&store, &[candidate(id, "r", vec![grouped(30, 300, None)])], &Policy::default(), NOW);
    }
    resolve(&store, "b", 5);
    let due = |seconds: i64| -> Vec<(String, Occasion)> {
        let due = store.outbox_due(at(seconds), 10).unwrap();
        due.into_iter().map(|row| (row.alert.0, row.occasion)).collect()
    };
    assert_eq!((due(10), store.outbox_next_due().unwrap()), (vec![], Some(at(30))));
    assert_eq!(due(31), [("a".into(), Occasion::Opened)], "which tells of both");
    let row = store.outbox_due(at(31), 10).unwrap().remove(0);
    store.outbox_settle(&row.id, &Settlement::Dead { error: "x".into() }, at(31)).unwrap();
    assert_eq!(due(32), [("b".into(), Occasion::Resolved)]);
}

#[test]
fn a_group_is_not_told_again_before_it_was_told() {
    let (_dir, store) = open();
    let policy = Policy::default();
    let told = || vec![grouped(30, 300, Some(Span::hours(4)))];
    commit(&store, &[candidate("a", "r", told())], &policy, NOW);
    let row = store.outbox_of(&AlertId("a".into())).unwrap().remove(0);
    let retry = Settlement::Retry { at: at(90_000), error: "away".into() };
    store.outbox_settle(&row.id, &retry, at(31)).unwrap();
    store.followups_take(at(20_000), &policy, 10).unwrap();
    assert_eq!(rows(&store, "mail").len(), 1);
    deliver(&store, "mail");
    store.followups_take(at(40_000), &policy, 10).unwrap();
    assert_eq!(rows(&store, "mail").len(), 2);
}

#[test]
fn an_action_is_told_on_its_occasions_only() {
    let (_dir, store) = open();
    let policy = Policy::default();
    want(&store, &[("mail", Occasion::Resolved), ("page", Occasion::Opened), ("ticket", Occasion::Opened)]);
    let repeated = |action: &str| {
        let (kind, mut told) = plain(action);
        told.manner.repeat = Some(Span::minutes(10));
        (kind, told)
    };
    let mut one = candidate("a", "r", vec![repeated("ticket"), grouped(30, 300, None), plain("other")]);
    one.told.push((DeliveryKind::Respond, plain("block").1));
    one.escalate = vec![Escalation { after: Span::minutes(15), actions: vec!["page".into(), "boss".into()] }];
    commit(&store, &[one], &policy, NOW);
    let count = |action: &str| rows(&store, action).len();
    assert_eq!((count("mail"), count("ticket"), count("other"), count("block")), (0, 1, 1, 1));
    let noted = || -> Vec<(String, String)> {
        let held = store.held_of(&AlertId("a".into())).unwrap();
        let held = held.into_iter().filter(|held| held.by == HeldBy::Unwanted);
        held.map(|held| (held.action, held.which)).collect()
    };
    assert_eq!(noted(), [("mail".into(), "opened".into())]);
    deliver(&store, "ticket");
    store.followups_take(at(3_600), &policy, 10).unwrap();
    assert_eq!((count("ticket"), count("page"), count("boss")), (1, 0, 1), "who is not known is told");
    assert_eq!(noted()[1..], [("page".into(), "escalated".into()), ("ticket".into(), "reminder".into())]);
    // Whoever wants to hear of the end only hears of it.
    resolve(&store, "a", 4_000);
    assert_eq!(rows(&store, "mail"), [("a".into(), Occasion::Resolved, 4_000)]);
    assert_eq!((count("ticket"), count("page")), (1, 0));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// The guard's counts against a recount from nothing, with commits of any size, some of them done again.
    #[test]
    fn the_storm_guard_counts_like_a_naive_recount(
        steps in proptest::collection::vec((0..1_500_i64, 0..2_u8, 0..2_u8, 0..4_usize, any::<bool>()), 1..25)
    ) {
        let (_dir, store) = open();
        let policy = Policy { storm: Storm { per_hour: 3, ..Storm::default() }, ..Policy::default() };
        let mut seen: Vec<(String, u8, Timestamp)> = Vec::new();
        let (mut expected, mut number, mut now) = (BTreeMap::new(), 0, NOW);
        for (pause, rule, source, count, is_twice) in steps {
            now = now.plus(Span::seconds(pause));
            let mut batch = Vec::new();
            for _ in 0..count {
                number += 1;
                let (id, rule) = (format!("a{number}"), format!("r{rule}"));
                let mut one = candidate(&id, &rule, vec![plain("mail")]);
                one.scene.source = Some(format!("s{source}"));
                batch.push(one);
                let hour = now.minus(Span::hours(1));
                let before = seen.iter().filter(|(r, s, at)| *r == rule && *s == source && *at > hour);
                expected.insert(id, before.count() >= 3);
                seen.push((rule, source, now));
            }
            for _ in 0..=u8::from(is_twice) {
                commit(&store, &batch, &policy, now);
            }
        }
        let found: BTreeMap<String, bool> =
            expected.keys().map(|id| (id.clone(), held(&store, id) == [HeldBy::Storm])).collect();
        let told: BTreeSet<String> = rows(&store, "mail").into_iter().map(|row| row.0).filter(|id| !id.starts_with("notice")).collect();
        let free: BTreeSet<String> = expected.iter().filter(|(_, held)| !**held).map(|(id, _)| id.clone()).collect();
        prop_assert_eq!(found, expected);
        prop_assert_eq!(told, free);
    }

    /// Whatever comes when, whichever messages are tried, and whichever steps are done again after a stop: every alert is
    /// in exactly one first message, and every try of a message says the same.
    #[test]
    fn every_alert_of_a_group_is_in_one_first_message(
        steps in proptest::collection::vec((0..90_i64, 0..3_usize, any::<bool>(), any::<bool>()), 1..25)
    ) {
        let (dir, mut store) = open();
        let policy = Policy::default();
        let (mut now, mut number) = (NOW, 0);
        let mut said: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (pause, count, is_twice, is_restarted) in steps {
            now = now.plus(Span::seconds(pause));
            let batch: Vec<Candidate> = (0..count).map(|_| {
                number += 1;
                candidate(&format!("a{number}"), &format!("r{}", number % 2), vec![grouped(30, 100, None)])
            }).collect();
            for _ in 0..=u8::from(is_twice) {
                commit(&store, &batch, &policy, now);
            }
            if is_restarted {
                drop(store);
                store = Store::open(dir.path()).unwrap();
            }
            // Some of what is due is tried, never with success.
            for row in store.outbox_due(now, 10).unwrap().iter().filter(|_| !is_restarted || pause % 2 == 0) {
                let mut told = vec![row.alert.0.clone()];
                told.extend(store.told_with(row).unwrap().into_iter().map(|alert| alert.id.0));
                prop_assert_eq!(said.entry(row.id.clone()).or_insert_with(|| told.clone()), &told);
            }
        }
        let mut all: Vec<String> = Vec::new();
        for row in store.outbox(&OutboxQuery::default()).unwrap() {
            all.push(row.alert.0.clone());
            all.extend(store.told_with(&row).unwrap().into_iter().map(|alert| alert.id.0));
        }
        all.sort();
        let mut expected: Vec<String> = (1..=number).map(|number| format!("a{number}")).collect();
        expected.sort();
        prop_assert_eq!(all, expected);
    }
}
