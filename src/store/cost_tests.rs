//! A commit of many alerts beside many others. What it costs:
//! `MEASURE=1 cargo test --lib store::cost_tests -- --nocapture`.

use std::time::Instant;

use super::*;
use crate::alert::{Alert, AlertId, Key, Level, Occasion};
use crate::route::{Condition, Field, Group, Inhibition, Manner, Policy, Scene, Storm, Told};
use crate::time::{Span, Timestamp};

const NOW: Timestamp = Timestamp(1_767_614_400_000);

/// How many are open, and how many come: few, unless it is to be measured.
fn sizes() -> (usize, usize) {
    if std::env::var_os("MEASURE").is_some() { (10_000, 1_000) } else { (500, 50) }
}

fn candidate(number: usize, rule: &str, level: Level) -> Candidate {
    let author = (number % 500).to_string();
    let alert = Alert {
        id: AlertId(format!("{number:032x}")),
        rule: rule.into(),
        title: "An alert whose title is as long as most".into(),
        level,
        tags: vec!["attack.t1078".into()],
        key: Key(vec![("author_id".into(), author)]),
        started_at: NOW,
        last_at: NOW,
        position: number as u64,
        findings: 1,
        value: 1.0,
        reason: "17 within 10 minutes, at least 5 were asked for".into(),
        evidence: (0..20).collect(),
        evidence_count: 20,
        merged_into: None,
    };
    let scene = Scene {
        source: Some("gitlab".into()),
        sources: ["gitlab".into()].into(),
        ..Scene::of_key(&alert.key)
    };
    let group = Group {
        by: vec![Field::Rule],
        wait: Span::seconds(30),
        interval: Span::minutes(5),
        repeat: Some(Span::hours(4)),
    };
    let manner = Manner { group: Some(group), repeat: None };
    let told = vec![(DeliveryKind::Notify, Told { action: "mail".into(), manner })];
    Candidate { alert, scene, told, escalate: Vec::new(), rehearses: false }
}

fn commit(store: &Store, candidates: &[Candidate], policy: &Policy, at: Timestamp) {
    let alerts: Vec<Alert> = candidates.iter().map(|candidate| candidate.alert.clone()).collect();
    let commit = Commit { position: 1, at, alerts: &alerts, outbox: &[], ledger: &[], snapshot: None };
    let routing = Routing { candidates, policy, suppressed: 0 };
    store.commit_routed(&commit, &routing, &|_| None).unwrap();
}

#[test]
fn many_alerts_of_one_group_beside_many_open_ones() {
    let (open, new) = sizes();
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let inhibition = |number: usize| Inhibition {
        when: Condition { rules: vec![format!("cause-{number}").parse().unwrap()], ..Condition::default() },
        hold: Condition { levels: vec![Level::Low], ..Condition::default() },
        equal: vec![Field::Key("author_id".into())],
        within: Span::days(1),
    };
    let storm = Storm { per_hour: 1_000_000, ..Storm::default() };
    let policy = Policy { inhibit: (0..20).map(inhibition).collect(), storm, ..Policy::default() };
    for chunk in (0..open).collect::<Vec<_>>().chunks(1_000) {
        let open: Vec<Candidate> = chunk.iter().map(|n| candidate(*n, "open", Level::High)).collect();
        commit(&store, &open, &policy, NOW);
    }
    let many: Vec<Candidate> = (open..open + new).map(|n| candidate(n, "new", Level::Low)).collect();
    let begun = Instant::now();
    commit(&store, &many, &policy, NOW.plus(Span::seconds(5)));
    eprintln!("a commit of {new}: {:?}", begun.elapsed());
    let begun = Instant::now();
    for n in 0..20 {
        let one = candidate(open + new + n, "new", Level::Low);
        commit(&store, &[one], &policy, NOW.plus(Span::seconds(6)));
    }
    eprintln!("a commit of 1, the middle of 20: {:?}", begun.elapsed() / 20);
    for row in store.outbox(&OutboxQuery::default()).unwrap() {
        let settlement = Settlement::Dead { error: "x".into() };
        store.outbox_settle(&row.id, &settlement, NOW.plus(Span::minutes(9))).unwrap();
    }
    let begun = Instant::now();
    let taken = store.followups_take(NOW.plus(Span::hours(9)), &policy, 64).unwrap();
    eprintln!("{taken} reminders of groups: {:?}", begun.elapsed());
    assert_eq!(taken, 2, "one for each group");
    let again = OutboxQuery { state: Some(OutboxState::Pending), ..OutboxQuery::default() };
    let told: Vec<usize> = store
        .outbox(&again)
        .unwrap()
        .iter()
        .filter(|row| row.occasion == Occasion::Reminder)
        .map(|row| store.told_together(&row.id).unwrap().len())
        .collect();
    let mut expected = [open.min(200), (new + 20).min(200)];
    expected.sort_unstable();
    let mut sorted = told;
    sorted.sort_unstable();
    assert_eq!(sorted, expected, "the newest of each group");
}
