//! The poller against a strict stand-in of GitLab, a real log, and a clock that only tests move.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;
use crate::clock::Clock;
use crate::deliver::SecretRef;
use crate::demo::{AuditApi, AuditFault, Holder};
use crate::event::{Entry, Format};
use crate::log::{Log, LogOptions};
use crate::source::intake::{Context, Intake};
use crate::source::sink::Sink;
use crate::source::testing::Fixture;
use crate::store::{GapState, NewGap, Store};
use crate::time::{Span, Timestamp};
use tokio_util::sync::CancellationToken;

/// A Monday.
const START: Timestamp = Timestamp(1_767_571_200_000);

fn at(seconds: i64) -> Timestamp {
    START.plus(Span::seconds(seconds))
}

/// As GitLab streams it.
fn deed(id: i64, kind: &str, (entity, number): (&str, i64), time: Timestamp) -> Value {
    json!({
        "id": id.to_string(), "author_id": 7, "author_name": "alice", "entity_id": number, "entity_type": entity,
        "created_at": time.to_string(), "event_type": kind, "target_id": 3, "ip_address": "192.0.2.1",
        "details": {"author_name": "alice", "target_id": 3, "custom_message": "x"},
    })
}

fn created(id: i64, time: Timestamp) -> Value {
    deed(id, "user_created", ("User", 7), time)
}

/// A data folder, a forge, and what a poller between them needs.
struct Scene {
    dir: TempDir,
    clock: Clock,
    forge: AuditApi,
    log: Log,
    store: Store,
    context: Context,
    polled: Polled,
}

impl Scene {
    async fn new(change: impl FnOnce(&mut Polled)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let clock = Clock::fixed(at(0));
        let forge = AuditApi::start(&[
            ("admin-token", Holder::Administrator),
            ("owner-token", Holder::Owner),
            ("old-token", Holder::Nobody),
        ])
        .await
        .unwrap();
        std::fs::write(dir.path().join("token"), "admin-token\n").unwrap();
        let mut polled = Polled {
            url: forge.url(),
            token: (SecretRef::File("token".into()), dir.path().to_owned(), None),
            targets: vec![Target::Instance],
            every: Span::minutes(1),
            overlap: Span::minutes(10),
            since: Span::days(1),
            fills: Vec::new(),
            only_fills: false,
            ca: None,
            timeout: Span::seconds(20),
        };
        change(&mut polled);
        let (log, store, context) = open(dir.path(), &clock);
        Self { dir, clock, forge, log, store, context, polled }
    }

    fn poller(&self) -> Poller {
        let intake = Intake::named("api".into(), None, Some(Format::Gitlab), &self.context);
        Poller::new(self.polled.clone(), intake, &self.context)
    }

    /// Runs a poller until so many calls were answered in all, and the board says so.
    async fn run(&self, is_so: impl Fn(&PollReport) -> bool) {
        let stop = CancellationToken::new();
        let running = tokio::spawn(self.poller().run(stop.clone()));
        self.becomes(is_so).await;
        stop.cancel();
        running.await.unwrap().unwrap();
    }

    async fn becomes(&self, is_so: impl Fn(&PollReport) -> bool) {
        let waiting = async {
            while !self.report().is_some_and(|report| is_so(&report)) {
                tokio::task::yield_now().await;
            }
        };
        let waited = tokio::time::timeout(std::time::Duration::from_secs(60), waiting).await;
        assert!(waited.is_ok(), "{:?}\n{:#?}", self.report(), self.forge.calls());
    }

    fn report(&self) -> Option<PollReport> {
        self.context.metrics.polls().reports().remove("api")
    }

    /// A look that goes well, up to now.
    async fn look(&self) {
        let now = self.clock.now();
        self.run(|report| report.state == PollState::Good && report.complete_until == Some(now)).await;
    }

    fn stored(&self) -> Vec<(String, i64)> {
        let entries = self.log.reader().unwrap().read_after(0, 100_000).unwrap();
        let events = entries.into_iter().filter_map(|entry| match entry {
            Entry::Event(event) => Some(event),
            Entry::Tick { .. } => None,
        });
        let id = |raw: &[u8]| {
            let value: Value = serde_json::from_slice(raw).unwrap();
            value["id"].as_i64().or_else(|| value["id"].as_str()?.parse().ok()).unwrap()
        };
        events.map(|event| (event.source.to_string(), id(&event.raw))).collect()
    }

    fn ids(&self) -> Vec<i64> {
        self.stored().into_iter().map(|(_, id)| id).collect()
    }

    /// As a stream brings it to the log.
    async fn stream(&self, event: &Value) {
        let intake = Intake::named("gitlab".into(), None, Some(Format::Gitlab), &self.context);
        let event = intake.decode(event.to_string().into(), None, self.clock.now()).unwrap();
        intake.append(vec![event]).await.unwrap();
    }
}

fn open(dir: &Path, clock: &Clock) -> (Log, Store, Context) {
    let log = Log::open(dir, LogOptions::default(), clock.clone()).unwrap();
    let store = Store::open(dir).unwrap();
    let sink = Sink::new(log.clone(), store.clone());
    let context = Context { sink, clock: clock.clone(), ..Fixture::new().context };
    (log, store, context)
}

#[tokio::test]
async fn events_come_in_order_once_and_go_on_after_a_restart() {
    let scene = Scene::new(|_| {}).await;
    for id in 1..=250 {
        scene.forge.happen(&created(id, at(id * 10 - 4_000)));
    }
    scene.look().await;
    assert_eq!(scene.ids(), (1..=250).collect::<Vec<_>>(), "three pages, the oldest first");
    let pages = scene.forge.calls();
    assert_eq!(pages.len(), 3, "{pages:#?}");
    assert!(pages[0].contains("per_page=100") && pages[0].contains("created_after=2026-01-04T00:00:00Z"));
    assert!(pages.iter().all(|call| call.starts_with("200 ")), "{pages:#?}");

    // One that appears late, although its time was looked at already; and a new one.
    scene.forge.happen(&created(251, at(-300)));
    scene.forge.happen(&created(252, at(30)));
    scene.clock.set(at(60));
    scene.look().await;
    assert_eq!(scene.ids()[250..], [251, 252]);
    let last = scene.forge.calls().pop().unwrap();
    assert!(last.contains("created_after=2026-01-04T23:50:00Z"), "{last}");
    assert!(last.contains("created_before=2026-01-05T00:01:00Z"), "{last}");
    scene.log.close().await;
}

#[tokio::test]
async fn a_running_poller_looks_again_and_again() {
    let scene = Scene::new(|_| {}).await;
    let stop = CancellationToken::new();
    let running = tokio::spawn(scene.poller().run(stop.clone()));
    for minute in 0..3 {
        scene.forge.happen(&created(minute + 1, at(minute * 60 - 5)));
        scene.clock.set(at(minute * 60));
        scene.becomes(|report| report.complete_until == Some(at(minute * 60))).await;
    }
    stop.cancel();
    running.await.unwrap().unwrap();
    assert_eq!(scene.ids(), [1, 2, 3]);
}

#[tokio::test]
async fn what_the_stream_brought_is_not_stored_again() {
    let scene = Scene::new(|_| {}).await;
    for id in 1..=4 {
        let event = created(id, at(id - 10));
        scene.forge.happen(&event);
        if id % 2 == 0 {
            scene.stream(&event).await;
        }
    }
    scene.forge.happen(&deed(5, "repository_git_operation", ("Project", 1), at(-3)));
    scene.look().await;
    let expected = [("gitlab", 2), ("gitlab", 4), ("api", 1), ("api", 3)];
    assert_eq!(scene.stored(), expected.map(|(source, id)| (source.to_owned(), id)));
}

#[tokio::test]
async fn a_crowded_time_is_taken_in_pieces() {
    let scene = Scene::new(|polled| polled.since = Span::days(60)).await;
    // 5,000 events within ten minutes, a month ago, and a few since.
    let begin = START.minus(Span::days(30));
    for id in 1..=5_000 {
        scene.forge.happen(&created(id, begin.plus(Span::millis(id * 120))));
    }
    scene.forge.happen(&created(6_000, at(-60)));
    scene.look().await;
    let mut expected: Vec<(String, i64)> = (1..=5_000).map(|id| ("past/api".to_owned(), id)).collect();
    expected.push(("api".to_owned(), 6_000));
    assert_eq!(scene.stored(), expected, "of what is old rules only learn");
    let calls = scene.forge.calls().len();
    assert!(calls < 120, "{calls} calls for 51 pages");
}

#[tokio::test]
async fn an_interrupted_catching_up_goes_on_where_it_was() {
    let scene = Scene::new(|polled| polled.since = Span::days(10)).await;
    for day in 1..=9 {
        scene.forge.happen(&created(10 - day, START.minus(Span::days(day)).plus(Span::hours(1))));
    }
    scene.forge.fail([AuditFault::Body("[]".to_owned()), AuditFault::Status(500, vec![])]);
    scene.run(|report| report.state == PollState::Failing).await;
    let before = scene.forge.calls().len();
    scene.look().await;
    let again = &scene.forge.calls()[before];
    assert!(again.contains("created_after=2025-12-26T23:50:00Z"), "the first day is done: {again}");
    assert_eq!(scene.ids(), (1..=9).collect::<Vec<_>>());
}

#[tokio::test]
async fn who_may_not_is_told_what_to_do_and_a_new_token_needs_no_restart() {
    for (token, status) in [("old-token", "401"), ("nonsense", "401"), ("owner-token", "403")] {
        let scene = Scene::new(|_| {}).await;
        let path = scene.dir.path().join("token");
        std::fs::write(&path, token).unwrap();
        scene.forge.happen(&created(1, at(-5)));
        let stop = CancellationToken::new();
        let running = tokio::spawn(scene.poller().run(stop.clone()));
        scene.becomes(|report| report.state == PollState::Refused).await;
        let message = scene.report().unwrap().message.unwrap();
        assert!(message.contains(status) && message.contains("token"), "{message}");
        assert!(!message.contains(token), "{message}");
        std::fs::write(&path, "admin-token").unwrap();
        scene.clock.set(at(301));
        scene.becomes(|report| report.state == PollState::Good).await;
        stop.cancel();
        running.await.unwrap().unwrap();
        assert_eq!(scene.ids(), [1]);
    }
}

#[tokio::test]
async fn a_missing_token_is_told() {
    let scene = Scene::new(|polled| polled.token.0 = SecretRef::File(PathBuf::from("nowhere"))).await;
    scene.run(|report| report.state == PollState::Refused).await;
    assert!(scene.report().unwrap().message.unwrap().contains("nowhere"));
    assert!(scene.forge.calls().is_empty());
}

#[tokio::test]
async fn a_group_is_asked_with_all_that_is_in_it() {
    let scene = Scene::new(|polled| {
        polled.targets = vec![Target::Group("7".into()), Target::Project("900".into())];
    })
    .await;
    std::fs::write(scene.dir.path().join("token"), "owner-token").unwrap();
    scene.forge.group(7, &[1, 2]);
    scene.forge.group(71, &[3]);
    scene.forge.group(8, &[900, 901]);
    for (id, entity) in [("Group", 7), ("Group", 71), ("Project", 1), ("Project", 2), ("Project", 900)]
        .into_iter()
        .enumerate()
    {
        scene.forge.happen(&deed(id as i64 + 1, "project_created", entity, at(-60)));
    }
    scene.forge.happen(&deed(8, "project_created", ("Project", 901), at(-60)));
    scene.look().await;
    let mut ids = scene.ids();
    ids.sort_unstable();
    assert_eq!(ids, [1, 2, 3, 4, 5], "of group 8 only the one project");
    let calls = scene.forge.calls();
    assert!(calls.iter().any(|call| call.contains("include_subgroups=true")), "{calls:#?}");
}

#[tokio::test]
async fn one_project_that_is_gone_does_not_hold_up_the_others() {
    let scene = Scene::new(|polled| {
        polled.targets = vec![Target::Project("5".into()), Target::Project("1".into())];
    })
    .await;
    scene.forge.group(7, &[1]);
    scene.forge.happen(&deed(1, "project_created", ("Project", 1), at(-60)));
    scene.run(|report| report.state == PollState::Refused).await;
    assert_eq!(scene.ids(), [1]);
    let message = scene.report().unwrap().message.unwrap();
    assert!(message.contains("project 5") && message.contains("404"), "{message}");
}

#[tokio::test]
async fn one_target_that_always_fails_does_not_stop_the_others_or_their_fills() {
    let scene = Scene::new(|polled| {
        polled.targets =
            vec![Target::Group("7".into()), Target::Project("2".into()), Target::Group("9".into())];
        polled.fills = vec!["gitlab".into()];
    })
    .await;
    scene.forge.group(7, &[1]);
    scene.forge.group(8, &[2, 3]);
    // Group 9 was renamed, project 1 answers nothing but errors.
    scene.forge.always("/projects/1/audit_events", 500);
    scene.forge.happen(&deed(1, "project_created", ("Project", 1), at(-60)));
    scene.forge.happen(&deed(2, "project_created", ("Project", 2), at(-60)));
    scene.forge.happen(&deed(3, "project_created", ("Group", 7), at(-60)));
    scene.forge.happen(&deed(4, "project_created", ("Project", 2), at(-90_000)));
    let gap = NewGap {
        source: "gitlab".to_owned(),
        from: at(-90_600),
        to: at(-86_500),
        asked: false,
        state: GapState::Open,
        why: None,
    };
    scene.store.gap_add(&gap, at(0)).unwrap();
    scene.run(|report| report.state == PollState::Refused).await;
    let mut ids = scene.ids();
    ids.sort_unstable();
    assert_eq!(ids, [2, 3, 4]);
    let message = scene.report().unwrap().message.unwrap();
    assert!(
        message.starts_with("group 9: ") && message.ends_with("1 more targets are in trouble"),
        "{message}"
    );
    // Healed, it is asked for what it has.
    scene.forge.always("", 0);
    scene.clock.set(at(60));
    scene.run(|report| report.message.as_ref().is_some_and(|text| !text.contains("more targets"))).await;
    assert!(scene.ids().contains(&1));
}

#[tokio::test]
async fn a_forge_that_is_down_is_not_asked_for_every_target() {
    let scene = Scene::new(|polled| {
        polled.targets = (1..=50).map(|id| Target::Project(id.to_string())).collect();
    })
    .await;
    scene.forge.group(7, &(1..=50).collect::<Vec<_>>());
    scene.forge.happen(&deed(1, "project_created", ("Project", 50), at(-60)));
    scene.forge.always("", 502);
    scene.run(|report| report.state == PollState::Failing).await;
    assert_eq!(scene.forge.calls().len(), 3, "{:#?}", scene.forge.calls());
    scene.forge.always("", 0);
    scene.look().await;
    assert_eq!(scene.ids(), [1]);
}

#[tokio::test]
async fn a_wish_for_patience_is_granted() {
    let scene = Scene::new(|_| {}).await;
    scene.forge.happen(&created(1, at(-5)));
    scene.forge.fail([AuditFault::Status(429, vec![("retry-after", "90".to_owned())])]);
    let stop = CancellationToken::new();
    let running = tokio::spawn(scene.poller().run(stop.clone()));
    scene.becomes(|report| report.state == PollState::Limited).await;
    scene.clock.set(at(89));
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert_eq!(scene.forge.calls().len(), 1, "not before its time");
    scene.clock.set(at(91));
    scene.becomes(|report| report.state == PollState::Good).await;
    stop.cancel();
    running.await.unwrap().unwrap();
    assert_eq!(scene.ids(), [1]);
}

#[tokio::test]
async fn the_last_allowed_request_is_followed_by_a_rest() {
    let scene = Scene::new(|_| {}).await;
    for id in 1..=150 {
        scene.forge.happen(&created(id, at(id - 200)));
    }
    scene.forge.limit(1, at(40));
    let stop = CancellationToken::new();
    let running = tokio::spawn(scene.poller().run(stop.clone()));
    while scene.forge.calls().is_empty() {
        tokio::task::yield_now().await;
    }
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert_eq!(scene.forge.calls().len(), 1);
    scene.forge.relax();
    scene.clock.set(at(41));
    scene.becomes(|report| report.state == PollState::Good).await;
    stop.cancel();
    running.await.unwrap().unwrap();
    assert_eq!(scene.ids().len(), 150);
    assert!(scene.forge.calls().iter().all(|call| call.starts_with("200 ")), "429 was never earned");
}

#[tokio::test]
async fn a_clock_that_is_ahead_of_the_forge_misses_nothing() {
    let scene = Scene::new(|_| {}).await;
    scene.clock.set(at(7_200));
    scene.forge.date(at(0));
    scene.run(|report| report.complete_until == Some(at(0))).await;
    scene.forge.happen(&created(1, at(30)));
    scene.clock.set(at(7_260));
    scene.forge.date(at(60));
    scene.run(|report| report.complete_until == Some(at(60))).await;
    assert_eq!(scene.ids(), [1]);
    // Set right, it goes on.
    scene.forge.happen(&created(2, at(70)));
    scene.clock.set(at(120));
    scene.forge.date(at(120));
    scene.look().await;
    assert_eq!(scene.ids(), [1, 2]);
}

#[tokio::test]
async fn a_position_from_the_future_does_not_hold() {
    let scene = Scene::new(|_| {}).await;
    let saved = json!({"until": {"instance": at(7_200)}, "judged_from": at(-100_000)});
    scene.store.set_checkpoint("source/api", saved.to_string().as_bytes()).unwrap();
    scene.forge.happen(&created(1, at(-30)));
    scene.look().await;
    assert_eq!(scene.ids(), [1]);
}

#[tokio::test]
async fn the_rest_after_the_last_request_ends_with_a_clock_that_is_behind() {
    let scene = Scene::new(|_| {}).await;
    scene.forge.happen(&created(1, at(-30)));
    scene.forge.limit(1, at(400 * 86_400));
    let stop = CancellationToken::new();
    let running = tokio::spawn(scene.poller().run(stop.clone()));
    while scene.forge.calls().is_empty() {
        tokio::task::yield_now().await;
    }
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    scene.forge.relax();
    scene.clock.set(at(3_601));
    scene.becomes(|report| report.state == PollState::Good).await;
    stop.cancel();
    running.await.unwrap().unwrap();
    assert_eq!(scene.ids(), [1]);
}

#[tokio::test]
async fn lies_and_cuts_lose_nothing() {
    let html = "<html>please sign in</html>";
    let many = "{\"id\":1}";
    for (fault, said) in [
        (AuditFault::Cut, "127.0.0.1"),
        (AuditFault::Body(html.to_owned()), "without a list"),
        (AuditFault::Body(many.to_owned()), "without a list"),
        (AuditFault::Body("[{\"id\":1}]".to_owned()), "without `created_at`"),
        (AuditFault::Circle, "gave already"),
        (AuditFault::NoFilter, "although it was asked for"),
        (AuditFault::Status(502, vec![]), "502"),
        (AuditFault::Status(503, vec![]), "503"),
    ] {
        let scene = Scene::new(|_| {}).await;
        scene.forge.happen(&created(1, START.minus(Span::days(3))));
        for id in 2..=120 {
            scene.forge.happen(&created(id, at(id - 200)));
        }
        // A circle shows on the second page, and that is where the old event is.
        let times = if matches!(fault, AuditFault::Circle | AuditFault::NoFilter) { 2 } else { 1 };
        scene.forge.fail(std::iter::repeat_n(fault.clone(), times));
        let stop = CancellationToken::new();
        let running = tokio::spawn(scene.poller().run(stop.clone()));
        scene.becomes(|report| report.state == PollState::Failing).await;
        let message = scene.report().unwrap().message.unwrap();
        assert!(message.contains(said), "{fault:?}: {message}");
        assert!(scene.ids().is_empty(), "{fault:?}");
        scene.clock.set(at(100));
        scene.becomes(|report| report.state == PollState::Good).await;
        stop.cancel();
        running.await.unwrap().unwrap();
        assert_eq!(scene.ids(), (2..=120).collect::<Vec<_>>(), "{fault:?}");
    }
}

#[tokio::test]
async fn the_token_goes_to_the_configured_address_only() {
    let scene = Scene::new(|_| {}).await;
    for id in 1..=150 {
        scene.forge.happen(&created(id, at(id - 200)));
    }
    scene.forge.fail([AuditFault::ForeignLink]);
    scene.look().await;
    assert_eq!(scene.ids().len(), 150, "the link's cursor was asked for at the configured address");
}

#[tokio::test]
async fn an_old_gitlab_and_a_moved_one_are_told_apart() {
    for (fault, said) in [
        (AuditFault::Status(405, vec![]), "15.11"),
        (AuditFault::Status(301, vec![("location", "https://elsewhere.example".to_owned())]), "redirects"),
        (AuditFault::Status(404, vec![]), "edition"),
    ] {
        let scene = Scene::new(|_| {}).await;
        scene.forge.fail([fault]);
        scene.run(|report| report.state == PollState::Refused).await;
        let message = scene.report().unwrap().message.unwrap();
        assert!(message.contains(said), "{message}");
    }
}

#[tokio::test]
async fn filling_a_gap_goes_on_where_it_broke_off_and_counts_all_of_it() {
    let scene = Scene::new(|polled| {
        polled.fills = vec!["gitlab".into()];
        polled.only_fills = true;
    })
    .await;
    for day in 1..=5 {
        scene.forge.happen(&created(10 - day, START.minus(Span::days(day))));
    }
    let gap = NewGap {
        source: "gitlab".to_owned(),
        from: START.minus(Span::days(5)),
        to: START.minus(Span::hours(12)),
        asked: true,
        state: GapState::Open,
        why: None,
    };
    let id = scene.store.gap_add(&gap, at(0)).unwrap();
    let body = |id: i64, day: i64| {
        let event = created(id, START.minus(Span::days(day)));
        AuditFault::Body(
            json!([{"id": id, "author_id": 7, "entity_id": 7, "entity_type": "User",
            "created_at": event["created_at"], "details": {"event_name": "user_created"}}])
            .to_string(),
        )
    };
    scene.forge.fail([body(5, 5), AuditFault::Status(500, vec![])]);
    scene.run(|report| report.state == PollState::Failing).await;
    let open = scene.store.gaps_open().unwrap();
    assert_eq!((open[0].id, open[0].filled), (id, 1), "{open:?}");
    let before = scene.forge.calls().len();
    // A restart: another poller.
    scene.run(|report| report.state == PollState::Good).await;
    let again = &scene.forge.calls()[before];
    assert!(
        again.contains("created_after=2026-01-00") || again.contains("created_after=2025-12-31"),
        "{again}"
    );
    let filled = scene.store.gaps(0).unwrap();
    assert_eq!((filled[0].filled, scene.ids()), (5, vec![5, 6, 7, 8, 9]));
}

#[tokio::test]
async fn the_position_is_that_of_the_whole_look_and_has_no_target_that_is_gone() {
    let scene = Scene::new(|polled| polled.targets = vec![Target::Group("7".into())]).await;
    scene.forge.group(7, &[1, 2, 3]);
    let saved = json!({"until": {"group 7": at(-60), "project 44": at(-60)}, "judged_from": at(-100_000)});
    scene.store.set_checkpoint("source/api", saved.to_string().as_bytes()).unwrap();
    scene.look().await;
    let stop = CancellationToken::new();
    let running = tokio::spawn(scene.poller().run(stop.clone()));
    scene.clock.set(at(60));
    scene.becomes(|report| report.complete_until == Some(at(60))).await;
    stop.cancel();
    running.await.unwrap().unwrap();
    let saved: Value =
        serde_json::from_slice(&scene.store.checkpoint("source/api").unwrap().unwrap()).unwrap();
    let names: Vec<&String> = saved["until"].as_object().unwrap().keys().collect();
    assert_eq!(names, ["group 7", "project 1", "project 2", "project 3"]);
    assert!(saved["until"].as_object().unwrap().values().all(|until| *until == json!(at(60))), "{saved}");
}

#[tokio::test]
async fn gaps_are_filled_and_what_cannot_be_is_named() {
    let scene = Scene::new(|polled| {
        polled.fills = vec!["gitlab".into()];
        polled.only_fills = true;
    })
    .await;
    for event in [created(1, at(-9_000)), created(2, at(-8_000))] {
        scene.forge.happen(&event);
        scene.stream(&event).await;
    }
    for id in 20..23 {
        scene.stream(&deed(id, "merge_request_create", ("Project", 1), at(-8_500 + id))).await;
    }
    for id in 3..=5 {
        scene.forge.happen(&created(id, at(-7_000 + id)));
    }
    scene.forge.happen(&created(6, at(-100)));
    let gap = |source: &str| NewGap {
        source: source.to_owned(),
        from: at(-7_900),
        to: at(-3_600),
        asked: false,
        state: GapState::Open,
        why: None,
    };
    scene.store.gap_add(&gap("gitlab"), at(0)).unwrap();
    scene.store.gap_add(&gap("other"), at(0)).unwrap();
    scene.forge.fail([AuditFault::Status(500, vec![])]);
    scene.run(|report| report.state == PollState::Failing).await;
    let open = scene.store.gaps_open().unwrap();
    assert!(open[0].why.as_deref().unwrap().starts_with("not yet: "), "{open:?}");

    scene.run(|report| report.state == PollState::Good).await;
    let gaps = scene.store.gaps(0).unwrap();
    let filled = gaps.iter().find(|gap| gap.source == "gitlab").unwrap();
    assert_eq!((filled.state, filled.filled), (GapState::Partly, 3));
    let why = filled.why.as_deref().unwrap();
    assert!(why.contains("instance") && why.contains("merge_request_create (3)"), "{why}");
    assert_eq!(scene.store.gaps_open().unwrap().len(), 1, "another source's gap is nobody's here");
    let api: Vec<i64> =
        scene.stored().into_iter().filter(|(source, _)| source == "api").map(|(_, id)| id).collect();
    assert_eq!(api, [3, 4, 5], "nothing of outside the gap, nothing twice");
}
