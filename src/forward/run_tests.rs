//! Forwarders with a real log and store; receivers that fail, crashes in between.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::file::FileMark;
use super::*;
use crate::action::stand_in::{Say, StandIn};
use crate::clock::Clock;
use crate::deliver::{BuildContext, Egress};
use crate::event::{Catalogue, Event, Format};
use crate::log::{Log, LogOptions, NewEvent};
use crate::store::Store;
use crate::time::Timestamp;

struct Bench {
    dir: TempDir,
    store: Store,
    log: Log,
    clock: Clock,
}

impl Bench {
    async fn new(events: u32) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let clock = Clock::fixed(Timestamp(1_769_850_000_000));
        let log = Log::open(dir.path(), LogOptions::default(), clock.clone()).unwrap();
        let bench = Self { store: Store::open(dir.path()).unwrap(), dir, log, clock };
        bench.append(1..events + 1).await;
        bench
    }

    async fn append(&self, ids: std::ops::Range<u32>) {
        let event = |n: u32| Event {
            position: 0,
            received_at: self.clock.now(),
            time: self.clock.now(),
            source: "gitlab".into(),
            forge: "gitlab".into(),
            format: Format::Gitlab,
            type_hint: None,
            raw: Bytes::from(format!(r#"{{"id":{n},"author_id":7,"event_type":"user_created"}}"#)),
        };
        let batch = ids.map(|n| NewEvent { event: event(n), dedupe: n.into() }).collect();
        self.log.append(batch).await.unwrap();
    }

    fn start(
        &self,
        yaml: &str,
        filter: Option<EventFilter>,
    ) -> (Arc<ForwardStatus>, CancellationToken, JoinHandle<()>) {
        let config = serde_yaml::from_str(yaml).unwrap();
        let context = BuildContext { env: &|_| None, base: self.dir.path(), egress: &Egress::default() };
        let catalogue = Arc::new(Catalogue::built_in());
        let forwarder = Forwarder::build(&config, filter, catalogue, self.clock.clone(), &context).unwrap();
        let (status, stop) = (forwarder.status(), CancellationToken::new());
        let (reader, watch) = (self.log.reader().unwrap(), self.log.watch());
        let task = tokio::spawn(run(forwarder, reader, watch, self.store.clone(), stop.clone()));
        (status, stop, task)
    }
}

async fn until(what: impl Fn() -> bool) {
    let wait = async {
        while !what() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), wait).await.expect("it comes about");
}

fn ids(text: &str) -> Vec<u64> {
    text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["id"].as_u64().unwrap()).collect()
}

fn file_ids(path: &Path) -> Vec<u64> {
    ids(&std::fs::read_to_string(path).unwrap_or_default())
}

#[tokio::test]
async fn a_receiver_that_was_away_gets_everything_once_in_order() {
    let bench = Bench::new(25).await;
    let server =
        StandIn::start(vec![Say::status(200), Say::status(503), Say::status(400), Say::status(200)]).await;
    let yaml = format!("{{name: siem, type: http, url: '{}', batch: 10}}", server.url());
    let (status, stop, task) = bench.start(&yaml, None);
    until(|| status.failures() == 1).await;
    assert_eq!((status.position(), status.lag()), (10, 15));
    assert!(status.last_error().unwrap().contains("503"));
    bench.clock.set(bench.clock.now().plus(crate::time::Span::seconds(2)));
    until(|| status.failures() == 2).await;
    assert!(status.last_error().unwrap().contains("400"), "a refusal is seen, and skips nothing");
    bench.clock.set(bench.clock.now().plus(crate::time::Span::minutes(7)));
    until(|| status.lag() == 0).await;
    bench.append(26..28).await;
    until(|| status.position() == 27).await;
    assert_eq!((status.events(), status.last_error()), (27, None));
    let bodies: Vec<_> =
        server.asked().iter().map(|asked| ids(std::str::from_utf8(&asked.body).unwrap())).collect();
    let batch = |from: u64, to: u64| (from..=to).collect::<Vec<_>>();
    let expected = [batch(1, 10), batch(11, 20), batch(11, 20), batch(11, 20), batch(21, 25), batch(26, 27)];
    assert_eq!(bodies, expected);
    stop.cancel();
    task.await.unwrap();
    // The position outlives the process.
    assert_eq!(bench.store.checkpoint("forward/siem").unwrap().unwrap(), 27_u64.to_le_bytes());
    bench.append(28..29).await;
    let (status, stop, task) = bench.start(&yaml, None);
    until(|| status.position() == 28).await;
    assert_eq!(ids(std::str::from_utf8(&server.asked().last().unwrap().body).unwrap()), [28]);
    stop.cancel();
    task.await.unwrap();
}

#[tokio::test]
async fn a_batch_that_is_too_long_is_halved() {
    let bench = Bench::new(4).await;
    let server = StandIn::start(vec![Say::status(413), Say::status(200)]).await;
    let yaml = format!("{{name: siem, type: http, url: '{}', batch: 4}}", server.url());
    let (status, stop, task) = bench.start(&yaml, None);
    until(|| status.failures() == 1).await;
    bench.clock.set(bench.clock.now().plus(crate::time::Span::seconds(2)));
    until(|| status.lag() == 0).await;
    let sizes: Vec<_> =
        server.asked().iter().map(|a| std::str::from_utf8(&a.body).unwrap().lines().count()).collect();
    assert_eq!(sizes, [4, 2, 2]);
    stop.cancel();
    task.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_selection_is_forwarded_and_the_rest_is_passed() {
    let bench = Bench::new(10).await;
    let even: EventFilter = Arc::new(|event| event.position % 2 == 0);
    let (status, stop, task) = bench.start("{name: a, type: file, path: out/a.ndjson}", Some(even));
    until(|| status.position() == 10).await;
    assert_eq!(file_ids(&bench.dir.path().join("out/a.ndjson")), [2, 4, 6, 8, 10]);
    stop.cancel();
    task.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_between_append_and_checkpoint_doubles_no_line() {
    let bench = Bench::new(10).await;
    for (name, size) in [("whole", "1GiB"), ("rotated", "1B")] {
        let yaml =
            format!("{{name: {name}, type: file, path: {name}.ndjson, rotate: {{size: {size}, keep: 9}}}}");
        let checkpoint = format!("forward/{name}");
        let path = bench.dir.path().join(format!("{name}.ndjson"));
        let older = bench.dir.path().join(format!("{name}.ndjson.1"));
        let (status, stop, task) = bench.start(&yaml, None);
        until(|| status.position() >= 10).await;
        let before = status.position();
        let mut mark = FileMark::from_bytes(&bench.store.checkpoint(&checkpoint).unwrap().unwrap()).unwrap();
        let next = u32::try_from(before).unwrap() + 1;
        bench.append(next..next + 3).await;
        until(|| status.position() == before + 3).await;
        stop.cancel();
        task.await.unwrap();
        // The checkpoint that the last append found, as if the process had died before the next one.
        if name == "rotated" {
            mark.length = 0;
        }
        bench.store.set_checkpoint(&checkpoint, &mark.to_bytes()).unwrap();
        let (status, stop, task) = bench.start(&yaml, None);
        until(|| status.position() == before + 3).await;
        let all = [file_ids(&older), file_ids(&path)].concat();
        assert_eq!(all, (1..=before + 3).collect::<Vec<_>>(), "{name}");
        stop.cancel();
        task.await.unwrap();
    }
}
