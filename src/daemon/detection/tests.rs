use super::super::inbox::Teller;
use super::super::rulebook::{Rulebook, RulebookConfig};
use super::*;
use crate::event::{Catalogue, Event, Format};
use crate::log::{Log, LogOptions, NewEvent};

const NOW: Timestamp = Timestamp(1_770_000_000_000);
/// The longest that anything may take.
const PATIENCE: Duration = Duration::from_secs(60);

struct Setup {
    dir: tempfile::TempDir,
    log: Log,
    store: Store,
    teller: Teller,
    stage: watch::Receiver<Stage>,
    metrics: DetectionMetrics,
}

fn no_rules() -> Arc<RuleSet> {
    Rulebook::new(RulebookConfig::default(), Arc::new(Catalogue::built_in())).read(Timestamp(0)).rules
}

/// A detection that has recovered over a log with so many entries, of which it has judged none.
async fn recovered(entries: u64) -> (Setup, Detection) {
    let dir = tempfile::tempdir().unwrap();
    let clock = Clock::fixed(NOW);
    let log = Log::open(dir.path(), LogOptions::default(), clock.clone()).unwrap();
    let store = Store::open(dir.path()).unwrap();
    for number in 0..entries {
        log.tick(Timestamp(i64::try_from(number).unwrap())).await.unwrap();
    }
    let (teller, inbox) = Inbox::new();
    let (stage_out, stage) = watch::channel(Stage::Starting);
    let rules = no_rules();
    let metrics = DetectionMetrics::default();
    let context = Context {
        reader: log.reader().unwrap(),
        store: store.clone(),
        sink: Sink::new(log.clone(), store.clone()),
        clock,
        limits: Limits::default(),
        plan: Plan::empty(),
        inbox,
        metrics: metrics.clone(),
        stage: stage_out,
        wake_deliveries: Arc::new(Notify::new()),
        runtime: tokio::runtime::Handle::current(),
    };
    let detection = Detection::recover(context, rules).unwrap();
    (Setup { dir, log, store, teller, stage, metrics }, detection)
}

impl Setup {
    async fn becomes(&self, is_so: impl FnMut(&Stage) -> bool) {
        let mut stage = self.stage.clone();
        let reached = tokio::time::timeout(PATIENCE, stage.wait_for(is_so)).await;
        assert!(reached.is_ok_and(|reached| reached.is_ok()), "{:?}", self.stage.borrow());
    }
}

async fn ends(running: std::thread::JoinHandle<Result<(), DetectionError>>) -> Result<(), DetectionError> {
    tokio::task::spawn_blocking(|| running.join()).await.unwrap().unwrap()
}

#[tokio::test]
async fn readiness_hears_of_entries_that_are_left() {
    let (setup, mut detection) = recovered(3).await;
    detection.show();
    assert_eq!(*setup.stage.borrow(), Stage::CatchingUp { position: 0 });
    detection.catch_up().unwrap();
    assert_eq!(*setup.stage.borrow(), Stage::Running { position: 3 });
    setup.log.tick(NOW).await.unwrap();
    detection.show();
    assert_eq!(*setup.stage.borrow(), Stage::Running { position: 3 }, "one that just came is no backlog");
}

#[tokio::test]
async fn what_it_is_told_counts_from_the_next_batch_on() {
    let (setup, mut detection) = recovered(1).await;
    let rules = no_rules();
    setup.teller.rules(Arc::clone(&rules));
    setup.teller.plan(Plan::empty());
    detection.catch_up().unwrap();
    assert!(
        Arc::ptr_eq(detection.engine.rules(), &rules),
        "a long way to the end of the log is no reason to wait"
    );
    assert!(setup.store.progress().unwrap().snapshot.is_some(), "a restart comes to the same");
}

#[tokio::test]
async fn a_log_that_cannot_be_read_for_a_while_ends_nothing() {
    let (setup, detection) = recovered(3).await;
    let hot = rusqlite::Connection::open(setup.dir.path().join("log/hot.db")).unwrap();
    hot.execute("ALTER TABLE block RENAME TO away", []).unwrap();
    let running = std::thread::spawn(move || detection.run());
    setup.becomes(|stage| matches!(stage, Stage::CatchingUp { .. })).await;
    while setup.metrics.read_failures.get() == 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(*setup.stage.borrow(), Stage::CatchingUp { position: 0 }, "it is not ready");
    hot.execute("ALTER TABLE away RENAME TO block", []).unwrap();
    setup.becomes(|stage| *stage == Stage::Running { position: 3 }).await;
    setup.teller.stop();
    ends(running).await.unwrap();
}

#[tokio::test]
async fn while_it_cannot_read_it_can_be_stopped() {
    let (setup, detection) = recovered(1).await;
    let hot = rusqlite::Connection::open(setup.dir.path().join("log/hot.db")).unwrap();
    hot.execute("ALTER TABLE block RENAME TO away", []).unwrap();
    let running = std::thread::spawn(move || detection.run());
    setup.becomes(|stage| matches!(stage, Stage::CatchingUp { .. })).await;
    drop(setup.teller);
    assert!(matches!(ends(running).await, Err(DetectionError::Log(_))));
    assert!(matches!(&*setup.stage.borrow(), Stage::Stopped { .. }));
}

#[tokio::test]
async fn new_rules_that_learn_do_not_hold_up_the_stop() {
    let (setup, mut detection) = recovered(1).await;
    detection.catch_up().unwrap();
    let event = Event {
        position: 0,
        received_at: NOW,
        time: NOW,
        source: "s".into(),
        forge: "s".into(),
        format: Format::Gitlab,
        type_hint: None,
        raw: bytes::Bytes::from_static(b"{}"),
    };
    setup.log.append(vec![NewEvent { event, dedupe: 1 }]).await.unwrap();
    std::fs::write(
        setup.dir.path().join("r.yml"),
        "title: R\nid: r\nlogsource: {}\ndetection: {a: {x: 1}, condition: a}\nbehavior: {by: x, first_seen: y, learn: 1d}\n",
    )
    .unwrap();
    let config = RulebookConfig { rules: vec![setup.dir.path().join("r.yml")], ..RulebookConfig::default() };
    let reading = Rulebook::new(config, Arc::new(Catalogue::built_in())).read(NOW);
    assert!(!reading.has_errors(), "{}", reading.render(false));
    setup.teller.rules(reading.rules);
    setup.teller.stop();
    let before = setup.store.progress().unwrap().snapshot.map(|snapshot| snapshot.bytes);
    detection.run().unwrap();
    let after = setup.store.progress().unwrap().snapshot.map(|snapshot| snapshot.bytes);
    assert!(before == after, "what had not learnt is not in a snapshot, so it learns after the next start");
}
