//! Exceptions are looked for in a log and a store as the daemon leaves them.

use std::sync::Arc;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{Proof, Proposal, Proposed, TuneError, propose};
use crate::alert::{Alert, AlertId, Change, Key, Verdict};
use crate::clock::Clock;
use crate::decode::decode;
use crate::engine::{Effects, Engine, Limits, RuleSet, testing};
use crate::event::Format;
use crate::log::{Log, LogOptions, NewEvent, Reader};
use crate::store::{AlertQuery, Commit, Deed, Store};
use crate::time::{Span, Timestamp};

const NOW: Timestamp = Timestamp(1_767_603_600_000);

const CLONES: &str = "title: Many clones\nid: clones\nlevel: high\nlogsource: {product: gitlab}\n\
    detection: {a: {event_type: clone}, condition: a}\n\
    behavior: {by: author_id, distinct: entity_id, within: 10m, at_least: 3}\n";
const KEYS: &str = "title: A key\nid: keys\nlogsource: {product: gitlab}\n\
    detection: {a: {event_type: key_created}, condition: a}\n";
const BOTH: &str = "title: Both\nid: both\ncorrelation: {type: event_count, rules: [keys], group-by: [author_id], \
    timespan: 1h, condition: {gte: 2}}\ngenerate: true\n";

/// A log and a store, and what a daemon with these rules makes of events.
struct World {
    dir: TempDir,
    store: Store,
    rules: Arc<RuleSet>,
}

fn rules(texts: &[&str]) -> Arc<RuleSet> {
    testing::rules(texts, (Span::minutes(5), Timestamp(0)))
}

/// Stores events, and the alerts that the rules raise for them.
async fn world(texts: &[&str], events: Vec<Value>) -> World {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let log = Log::open(dir.path(), LogOptions::default(), Clock::fixed(NOW)).unwrap();
    let batch = events.iter().enumerate().map(|(number, event)| {
        let mut event = event.clone();
        event["id"] = json!(number + 1);
        let decoded = decode(Format::Gitlab, &"gitlab".into(), event.to_string().into(), None, NOW).unwrap();
        NewEvent { event: decoded.event, dedupe: decoded.dedupe }
    });
    log.append(batch.collect()).await.unwrap();
    let rules = rules(texts);
    let limits = Limits::default();
    let mut engine = Engine::new(Arc::clone(&rules), Arc::clone(rules.catalogue()), limits);
    let mut effects = Effects::default();
    for entry in log.reader().unwrap().read_after(0, 10_000).unwrap() {
        engine.handle(&entry, &mut effects);
    }
    let alerts: Vec<_> = effects.alerts.iter().map(|opened| opened.alert.clone()).collect();
    let commit = Commit { position: 1, at: NOW, alerts: &alerts, outbox: &[], ledger: &[], snapshot: None };
    store.commit(&commit).unwrap();
    log.close().await;
    World { dir, store, rules }
}

impl World {
    /// Resolves the alerts of these authors so.
    fn judge(&self, verdict: Verdict, authors: &[i64]) {
        for stored in self.store.alerts(&AlertQuery::default()).unwrap() {
            let author: i64 = stored.alert.key.get("author_id").unwrap().parse().unwrap();
            if authors.contains(&author) {
                let change = Change::Resolve { verdict, of: None, note: None };
                self.store.change(&stored.alert.id, &change, None, &Deed::new(NOW, "ann", "test")).unwrap();
            }
        }
    }

    fn propose(&self, rule: &str) -> Result<Proposed, TuneError> {
        let mut reader = Reader::open(self.dir.path()).unwrap();
        propose((&self.store, &mut reader), &self.rules, rule, ("ann", NOW))
    }

    fn proposal(&self, rule: &str) -> Proposal {
        match self.propose(rule).unwrap() {
            Proposed::Filter(proposal) => *proposal,
            Proposed::Nothing(why) => panic!("{why}"),
        }
    }

    fn nothing(&self, rule: &str) -> String {
        match self.propose(rule).unwrap() {
            Proposed::Nothing(why) => why,
            Proposed::Filter(proposal) => panic!("{}", proposal.yaml),
        }
    }
}

fn event(kind: &str, author: i64, (minute, entity): (i64, i64), more: &Value) -> Value {
    let mut event = json!({
        "created_at": NOW.minus(Span::days(1)).plus(Span::minutes(minute)).to_string(), "event_type": kind, "author_id": author,
        "entity_id": entity, "entity_type": "Project", "entity_path": format!("shop/p{entity}"),
        "ip_address": format!("192.0.2.{author}"),
    });
    for (name, value) in more.as_object().unwrap() {
        event[name] = value.clone();
    }
    event
}

/// Three clones make an alert.
fn clones(author: i64, minute: i64, more: &Value) -> Vec<Value> {
    (0..3).map(|n| event("clone", author, (minute + n, n), more)).collect()
}

#[tokio::test]
async fn the_smallest_exception_that_spares_the_true_ones_is_offered_with_its_proof() {
    let (runner, person) = (json!({"user_agent": "runner/1.4"}), json!({"user_agent": "git/2.4"}));
    let mut events = clones(7, 0, &runner);
    events.extend(clones(7, 60, &runner));
    // The same account from elsewhere was no runner.
    events.extend(clones(7, 120, &person));
    events.extend(clones(8, 180, &person));
    let world = world(&[CLONES], events).await;
    let alerts = world.store.alerts(&AlertQuery::default()).unwrap();
    assert_eq!(alerts.len(), 4);
    assert!(world.nothing("clones").contains("nothing to learn from"));
    let judge = |id: &AlertId, verdict| {
        let change = Change::Resolve { verdict, of: None, note: None };
        world.store.change(id, &change, None, &Deed::new(NOW, "ann", "test")).unwrap();
    };
    // Newest first.
    judge(&alerts[3].alert.id, Verdict::FalsePositive);
    judge(&alerts[2].alert.id, Verdict::Benign);
    judge(&alerts[1].alert.id, Verdict::TruePositive);
    let proposal = world.proposal("clones");
    let proof = Proof { wrong: 2, gone: 2, right: 1, kept: 1, ..Proof::default() };
    assert_eq!(proposal.proof, proof);
    insta::assert_snapshot!(proposal.yaml, @r#"
    title: "Not for clones: user_agent runner/1.4"
    logsource: {product: gitlab}
    owner: ann
    expires: 2026-04-05
    filter:
      rules: [clones]
      known:
        user_agent: runner/1.4
      condition: known
    "#);
    // What is offered is what the rule files take.
    let with = rules(&[CLONES, &proposal.yaml]);
    assert_eq!(with.units().len(), 1);
}

#[tokio::test]
async fn nothing_is_offered_that_would_hide_a_true_positive() {
    let same = json!({"user_agent": "git/2.4", "ip_address": "192.0.2.1"});
    let mut events = clones(7, 0, &same);
    events.extend(clones(7, 60, &same));
    let world = world(&[CLONES], events).await;
    let alerts = world.store.alerts(&AlertQuery::default()).unwrap();
    for (stored, verdict) in alerts.iter().zip([Verdict::TruePositive, Verdict::FalsePositive]) {
        let change = Change::Resolve { verdict, of: None, note: None };
        world.store.change(&stored.alert.id, &change, None, &Deed::new(NOW, "ann", "test")).unwrap();
    }
    assert!(world.nothing("clones").contains("spare every known true positive"));
}

#[tokio::test]
async fn false_positives_of_many_are_told_by_what_they_share() {
    let mut events: Vec<Value> = Vec::new();
    for author in 1..9_i64 {
        let address = json!({"ip_address": format!("10.4.{author}.9")});
        events.push(event("key_created", author, (author, author), &address));
    }
    events.push(event("key_created", 20, (30, 20), &json!({})));
    events.push(event("key_created", 21, (31, 21), &json!({"ip_address": "10.4.1.77"})));
    let world = world(&[KEYS, BOTH], events).await;
    world.judge(Verdict::FalsePositive, &[1, 2, 3, 4, 5, 6, 7, 8]);
    world.judge(Verdict::TruePositive, &[20]);
    let proposal = world.proposal("keys");
    assert_eq!(proposal.conditions, ["ip_address in 10.4.0.0/20"]);
    assert_eq!((proposal.proof.gone, proposal.proof.kept, proposal.proof.open), (8, 1, 1));
    assert!(world.nothing("both").contains("`keys`"));
    assert!(matches!(world.propose("none"), Err(TuneError::Unknown(_))));
}

/// True positives whose events are not in the log, or not all of them, are told as what they are.
#[tokio::test]
async fn what_true_positives_lost_is_not_told_as_spared() {
    let events = [clones(7, 0, &json!({})), clones(7, 60, &json!({})), clones(8, 120, &json!({}))].concat();
    let world = world(&[CLONES], events).await;
    world.judge(Verdict::FalsePositive, &[7]);
    let mut known = world.store.alerts(&AlertQuery::default()).unwrap().remove(0).alert;
    // The rule does not raise it again.
    known.key = Key(vec![("author_id".to_owned(), "9".to_owned())]);
    // As one is after retention took its events, and one that had more than its alert keeps the places of.
    let gone = Alert { id: AlertId("gone".into()), evidence: vec![9_001, 9_002], ..known.clone() };
    let cut = Alert { id: AlertId("cut".into()), evidence_count: 5_000, ..known };
    let alerts = [gone, cut];
    let commit = Commit { position: 1, at: NOW, alerts: &alerts, outbox: &[], ledger: &[], snapshot: None };
    world.store.commit(&commit).unwrap();
    let judge = |id: &str| {
        let change = Change::Resolve { verdict: Verdict::TruePositive, of: None, note: None };
        world.store.change(&AlertId(id.into()), &change, None, &Deed::new(NOW, "ann", "test")).unwrap();
    };
    judge("gone");
    assert!(world.nothing("clones").contains("no longer have all their events"));
    judge("cut");
    assert!(world.nothing("clones").contains("no longer have all their events"));
    world.judge(Verdict::TruePositive, &[8]);
    let proof = world.proposal("clones").proof;
    assert_eq!((proof.right, proof.kept, proof.untouched, proof.unseen), (3, 1, 0, 2));
    assert!(proof.lines().iter().any(|line| line.starts_with("2 more true positives no longer have all")));
}
