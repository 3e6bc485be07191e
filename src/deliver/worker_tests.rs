//! The worker with a real store and log, actions that only collect, and a clock moved by hand.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tempfile::TempDir;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::action::stand_in::{action, never_answer};
use crate::action::{Action, ActionSet, Memory};
use crate::alert::AlertId;
use crate::clock::Clock;
use crate::encode::ResponseState;
use crate::encode::tests_support::alert;
use crate::event::{Catalogue, Event, Format};
use crate::log::{Log, LogOptions, NewEvent, Reader};
use crate::store::{Commit, DeliveryKind, OutboxRow, OutboxState, Store};
use crate::time::{Span, Timestamp};

const NOW: Timestamp = Timestamp(1_769_850_000_000);

struct Bench {
    dir: TempDir,
    store: Store,
    clock: Clock,
    wake: Arc<Notify>,
    shutdown: CancellationToken,
    block: Memory,
    mail: Memory,
    actions: watch::Sender<Arc<ActionSet>>,
}

impl Bench {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let clock = Clock::fixed(NOW);
        let log = Log::open(dir.path(), LogOptions::default(), clock.clone()).unwrap();
        let events = (1..=3).map(|n: u32| NewEvent {
            event: Event {
                position: 0,
                received_at: NOW,
                time: NOW.plus(Span::seconds(n.into())),
                source: "gitlab".into(),
                forge: "gitlab".into(),
                format: Format::Gitlab,
                type_hint: None,
                raw: Bytes::from(format!(r#"{{"id":{n},"author_id":7,"event_type":"user_created"}}"#)),
            },
            dedupe: n.into(),
        });
        log.append(events.collect()).await.unwrap();
        log.close().await;
        let (block, mail) = (Memory::new(DeliveryKind::Respond), Memory::new(DeliveryKind::Notify));
        let set = [Action::memory("block", block.clone()), Action::memory("mail", mail.clone())];
        Self {
            store: Store::open(dir.path()).unwrap(),
            dir,
            clock,
            wake: Arc::default(),
            shutdown: CancellationToken::new(),
            block,
            mail,
            actions: watch::Sender::new(Arc::new(set.into_iter().collect())),
        }
    }

    fn start(&self) -> JoinHandle<()> {
        let folder = self.dir.path().to_owned();
        let worker = Worker {
            store: self.store.clone(),
            open_log: Arc::new(move || Reader::open(&folder)),
            catalogue: Arc::new(|| Arc::new(Catalogue::built_in())),
            actions: self.actions.subscribe(),
            rule_text: Arc::new(|rule| RuleText {
                description: Some(format!("about {rule}")),
                ..RuleText::default()
            }),
            clock: self.clock.clone(),
            wake: Arc::clone(&self.wake),
        };
        tokio::spawn(work(worker, self.shutdown.clone()))
    }

    fn add(&self, id: &str, action: &str, kind: DeliveryKind) {
        self.add_of(&alert().id.0, id, (action, kind));
    }

    fn add_of(&self, about: &str, id: &str, (action, kind): (&str, DeliveryKind)) {
        let alert = crate::alert::Alert { id: AlertId(about.into()), evidence: vec![3, 1, 2], ..alert() };
        let row = OutboxRow {
            occasion: crate::alert::Occasion::Opened,
            id: id.into(),
            alert: alert.id.clone(),
            action: action.into(),
            kind,
            created_at: NOW,
            due_at: NOW,
            attempts: 0,
            state: OutboxState::Pending,
            last_error: None,
            outcome: None,
        };
        let commit =
            Commit { position: 3, at: NOW, alerts: &[alert], outbox: &[row], ledger: &[], snapshot: None };
        self.store.commit(&commit).unwrap();
        self.wake.notify_one();
    }

    fn row(&self, id: &str) -> OutboxRow {
        self.store.outbox_get(id).unwrap().unwrap()
    }

    async fn until(&self, what: impl Fn() -> bool) {
        let wait = async {
            while !what() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), wait).await.expect("it comes about");
    }
}

/// As after `kill -9` between a block and the record of it.
#[tokio::test]
async fn a_response_whose_end_nobody_heard_of_was_tried() {
    let bench = Bench::new().await;
    bench.add("b", "block", DeliveryKind::Respond);
    bench.store.outbox_begin("b", NOW).unwrap();
    assert_eq!((bench.row("b").attempts, bench.row("b").state), (1, OutboxState::Pending));
    let worker = bench.start();
    bench.until(|| bench.row("b").state == OutboxState::Done).await;
    assert_eq!(bench.block.seen().remove(0).attempt, 2);
    assert_eq!(bench.row("b").attempts, 2, "counted before it began, and not again at its end");
    assert!(bench.store.outbox_begin("b", NOW).is_err(), "it is done");
    bench.shutdown.cancel();
    worker.await.unwrap();
}

#[tokio::test]
async fn a_response_is_counted_before_it_begins() {
    let bench = Bench::new().await;
    let url = format!("http://{}", never_answer().await);
    let hook = action(&format!("{{type: http, url: '{url}', kind: respond, dry_run: false}}"));
    bench.actions.send_replace(Arc::new([hook].into_iter().collect()));
    bench.add("b", "it", DeliveryKind::Respond);
    let worker = bench.start();
    bench.until(|| bench.row("b").attempts == 1).await;
    assert_eq!((bench.row("b").state, bench.row("b").last_error), (OutboxState::Pending, None), "under way");
    worker.abort();
}

#[tokio::test]
async fn responses_go_first_and_the_notification_tells_of_them() {
    let bench = Bench::new().await;
    bench.add("m", "mail", DeliveryKind::Notify);
    bench.add("b", "block", DeliveryKind::Respond);
    let worker = bench.start();
    bench.until(|| bench.row("m").state == OutboxState::Done).await;
    let told = bench.mail.seen().remove(0);
    assert_eq!((told.idempotency_key.as_str(), told.attempt), ("m", 1));
    assert_eq!(told.rule.description.as_deref(), Some("about gitlab-mass-clone"));
    assert_eq!(
        told.events.iter().map(|event| event["position"].as_u64().unwrap()).collect::<Vec<_>>(),
        [1, 2, 3]
    );
    assert_eq!(told.responses.len(), 1);
    assert_eq!((told.responses[0].action.as_str(), told.responses[0].state), ("block", ResponseState::Done));
    assert!(bench.block.seen()[0].responses.is_empty());
    bench.shutdown.cancel();
    worker.await.unwrap();
    assert_eq!(bench.store.responses_since("block", NOW).unwrap(), 1);
}

#[tokio::test]
async fn a_failure_that_may_pass_is_tried_again_when_it_is_time() {
    let bench = Bench::new().await;
    let after = Some(Span::seconds(30));
    bench.mail.fail_next(DeliveryError::Retryable { reason: "away".into(), after, answered: None });
    bench.add("m", "mail", DeliveryKind::Notify);
    let worker = bench.start();
    bench.until(|| bench.row("m").attempts == 1).await;
    let row = bench.row("m");
    assert_eq!((row.state, row.due_at), (OutboxState::Pending, NOW.plus(Span::seconds(30))));
    assert_eq!(row.last_error.as_deref(), Some("away"));
    // While the receiver rests, another alert's mail waits too.
    bench.add("n", "mail", DeliveryKind::Notify);
    bench.clock.set(NOW.plus(Span::seconds(29)));
    bench.clock.set(NOW.plus(Span::seconds(30)));
    bench
        .until(|| bench.row("m").state == OutboxState::Done && bench.row("n").state == OutboxState::Done)
        .await;
    let keys: Vec<_> = bench.mail.seen().into_iter().map(|n| (n.idempotency_key, n.attempt)).collect();
    assert_eq!(keys[0], ("m".into(), 1));
    assert!(keys[1..].contains(&("m".into(), 2)) && keys[1..].contains(&("n".into(), 1)) && keys.len() == 3);
    bench.shutdown.cancel();
    worker.await.unwrap();
}

#[tokio::test]
async fn what_is_given_up_can_be_redriven() {
    let bench = Bench::new().await;
    bench.mail.fail_next(DeliveryError::permanent("no such mailbox"));
    bench.add("m", "mail", DeliveryKind::Notify);
    let worker = bench.start();
    bench.until(|| bench.row("m").state == OutboxState::Dead).await;
    assert_eq!(bench.row("m").last_error.as_deref(), Some("no such mailbox"));
    assert!(bench.store.redrive("m", &crate::store::Deed::new(NOW, "alice", "test")).unwrap());
    bench.wake.notify_one();
    bench.until(|| bench.row("m").state == OutboxState::Done).await;
    bench.shutdown.cancel();
    worker.await.unwrap();
}

#[tokio::test]
async fn an_action_that_comes_with_a_reload_gets_what_waited_for_it() {
    let bench = Bench::new().await;
    bench.add("h", "hook", DeliveryKind::Notify);
    let worker = bench.start();
    bench.until(|| bench.row("h").attempts == 1).await;
    assert!(bench.row("h").last_error.unwrap().contains("no action `hook`"));
    let hook = Memory::new(DeliveryKind::Notify);
    bench.actions.send_replace(Arc::new([Action::memory("hook", hook.clone())].into_iter().collect()));
    bench.clock.set(NOW.plus(Span::seconds(5)));
    bench.until(|| bench.row("h").state == OutboxState::Done).await;
    assert_eq!(hook.seen().len(), 1);
    bench.shutdown.cancel();
    worker.await.unwrap();
}

#[tokio::test]
async fn a_stop_leaves_what_was_not_begun() {
    let bench = Bench::new().await;
    bench.shutdown.cancel();
    bench.add("m", "mail", DeliveryKind::Notify);
    bench.start().await.unwrap();
    assert_eq!(bench.row("m").state, OutboxState::Pending);
    assert!(bench.mail.seen().is_empty());
}

#[tokio::test]
async fn many_alerts_are_told_once_each() {
    let bench = Bench::new().await;
    for n in 0..300 {
        bench.add(&format!("m{n}"), "mail", DeliveryKind::Notify);
    }
    let worker = bench.start();
    bench.until(|| bench.store.outbox_counts().unwrap().done == 300).await;
    let mut keys: Vec<_> = bench.mail.seen().into_iter().map(|n| n.idempotency_key).collect();
    keys.sort_unstable();
    keys.dedup();
    assert_eq!((keys.len(), bench.mail.seen().len()), (300, 300));
    bench.shutdown.cancel();
    worker.await.unwrap();
}

#[tokio::test]
async fn what_is_told_of_one_alert_goes_in_order_and_other_alerts_go_on() {
    let bench = Bench::new().await;
    bench.mail.fail_next(DeliveryError::retryable("away"));
    let mail = ("mail", DeliveryKind::Notify);
    bench.add_of("a", "a1", mail);
    bench.add_of("a", "a2", mail);
    bench.add_of("b", "b1", mail);
    let worker = bench.start();
    bench.until(|| bench.row("b1").state == OutboxState::Done).await;
    assert_eq!((bench.row("a1").attempts, bench.row("a2").attempts), (1, 0), "a2 waits for a1");
    assert!(bench.row("a1").due_at > NOW);
    bench.clock.set(NOW.plus(Span::seconds(5)));
    bench.until(|| bench.row("a2").state == OutboxState::Done).await;
    let keys: Vec<_> = bench.mail.seen().into_iter().map(|told| told.idempotency_key).collect();
    assert_eq!(keys, ["a1", "b1", "a1", "a2"]);
    bench.shutdown.cancel();
    worker.await.unwrap();
}

#[tokio::test]
async fn what_was_given_up_holds_nothing_up() {
    let bench = Bench::new().await;
    bench.mail.fail_next(DeliveryError::permanent("no such mailbox"));
    bench.add("m1", "mail", DeliveryKind::Notify);
    bench.add("m2", "mail", DeliveryKind::Notify);
    let worker = bench.start();
    bench.until(|| bench.row("m2").state == OutboxState::Done).await;
    assert_eq!(bench.row("m1").state, OutboxState::Dead);
    let deed = crate::store::Deed::new(NOW, "alice", "test");
    assert_eq!(bench.store.redrive_action("chat", &deed).unwrap(), 0);
    assert_eq!(bench.store.redrive_action("mail", &deed).unwrap(), 1);
    bench.wake.notify_one();
    bench.until(|| bench.row("m1").state == OutboxState::Done).await;
    bench.shutdown.cancel();
    worker.await.unwrap();
}

#[tokio::test]
async fn a_receiver_that_is_away_is_only_probed_and_gets_everything_when_it_is_back() {
    let bench = Bench::new().await;
    for _ in 0..7 {
        bench.mail.fail_next(DeliveryError::retryable("away"));
    }
    for n in 0..20 {
        bench.add_of(&format!("alert{n}"), &format!("m{n}"), ("mail", DeliveryKind::Notify));
    }
    let worker = bench.start();
    bench.until(|| bench.store.breakers().unwrap().len() == 1).await;
    assert_eq!(bench.mail.seen().len(), 5, "the others are not tried");
    let open = bench.store.breakers().unwrap().remove(0);
    assert_eq!((open.action.as_str(), open.since, open.error.as_str()), ("mail", NOW, "away"));
    // Two more probes fail and the next one succeeds; what would have waited for its own next try goes at once.
    bench
        .until(|| {
            bench.clock.set(bench.clock.now().plus(Span::seconds(1)));
            bench.store.outbox_counts().unwrap().done == 20
        })
        .await;
    assert!(bench.store.breakers().unwrap().is_empty());
    assert_eq!(bench.mail.seen().len(), 27);
    bench.shutdown.cancel();
    worker.await.unwrap();
}

#[tokio::test]
async fn a_letter_about_several_tells_of_those_that_are_left() {
    let bench = Bench::new().await;
    let mail = ("mail", DeliveryKind::Notify);
    bench.mail.fail_next(DeliveryError::permanent("no such mailbox"));
    bench.add_of("a", "g", mail);
    bench.add_of("b", "b1", mail);
    bench.add_of("c", "c1", mail);
    let sql = |sql: &str| {
        rusqlite::Connection::open(bench.dir.path().join("control.db")).unwrap().execute_batch(sql).unwrap();
    };
    sql("INSERT INTO delivery_alert (delivery, number, alert, grouped) \
         VALUES ('g', 0, 'a', 'x'), ('g', 1, 'b', 'x'), ('g', 2, 'c', 'x')");
    let worker = bench.start();
    bench.until(|| bench.store.outbox_counts().unwrap().pending == 0).await;
    assert_eq!(bench.row("g").state, OutboxState::Dead);
    sql("DELETE FROM alert WHERE id = 'a'; DELETE FROM delivery_alert WHERE alert = 'a'");
    assert!(bench.store.redrive("g", &crate::store::Deed::new(NOW, "alice", "test")).unwrap());
    bench.wake.notify_one();
    bench.until(|| bench.row("g").state != OutboxState::Pending).await;
    assert_eq!((bench.row("g").state, bench.row("g").last_error), (OutboxState::Done, None));
    let told = bench.mail.seen().pop().unwrap();
    let others: Vec<_> = told.others.iter().map(|other| other.alert.id.0.as_str()).collect();
    assert_eq!((told.idempotency_key.as_str(), told.alert.id.0.as_str(), others), ("g", "b", vec!["c"]));
    bench.shutdown.cancel();
    worker.await.unwrap();
}

#[tokio::test]
async fn people_are_told_of_the_incident_and_responses_do_not_ask() {
    let bench = Bench::new().await;
    bench.add_of("a", "m", ("mail", DeliveryKind::Notify));
    bench.add_of("b", "b1", ("block", DeliveryKind::Respond));
    let worker = bench.start();
    bench.until(|| bench.store.outbox_counts().unwrap().pending == 0).await;
    assert_eq!(bench.mail.seen()[0].incident.as_ref().map(|around| around.alerts), Some(2));
    assert_eq!(bench.block.seen()[0].incident, None);
    bench.shutdown.cancel();
    worker.await.unwrap();
}

#[tokio::test]
async fn a_response_whose_action_is_gone_ends_with_its_last_try() {
    use crate::store::{Deed, Response, ResponseStatus};
    for is_there in [false, true] {
        let bench = Bench::new().await;
        let action = if is_there { "mail" } else { "gone" };
        let mut wanted = Response::new("r", action, "do", NOW);
        (wanted.user, wanted.reason) = (Some("7".into()), Some("case".into()));
        bench.store.response_ask(&wanted, &Deed::new(NOW, "ann", "test")).unwrap();
        let worker = bench.start();
        bench
            .until(|| {
                bench.clock.set(bench.clock.now().plus(Span::hours(1)));
                bench.row("r").state == OutboxState::Dead
            })
            .await;
        let ended = bench.store.response("r").unwrap().unwrap();
        assert_eq!(ended.status, ResponseStatus::Failed);
        let why = if is_there { "does not respond" } else { "is configured" };
        assert!(
            ended.summary.starts_with("gave up after 11 tries") && ended.summary.contains(why),
            "{ended:?}"
        );
        bench.shutdown.cancel();
        worker.await.unwrap();
    }
}
