//! Killed with SIGKILL again and again while events come in, the daemon ends up where an undisturbed one does.
//!
//! * The moments are drawn from a seed and counted in answered requests, so a failure can be repeated closely.
//! * `WATCHFIRE_CRASH_EVENTS` (3000), `WATCHFIRE_CRASH_KILLS` (8) and `WATCHFIRE_CRASH_SEED` (1) make longer runs:
//!   `WATCHFIRE_CRASH_EVENTS=50000 WATCHFIRE_CRASH_KILLS=20 cargo test --release --test it crash -- --nocapture`
//! * With `--features fault-points` the program also ends itself at named places, such as between a transaction's last
//!   write and its commit, and the last test below goes through them one by one:
//!   `cargo test --features fault-points --test it ends_at_every_named_place`.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::Value;
use watchfire::alert::Alert;
use watchfire::demo::GitlabApi;
use watchfire::store::{AlertQuery, OutboxState, Store};
use watchfire::time::Timestamp;

use crate::harness::{PATIENCE, TOKEN, as_gitlab, client, gitlab_with, stored, until, until_within};
use crate::process::{Killer, Place, Program};
use crate::receiver::Receiver;
use crate::stream::{AUTHORS, Dice, closing, deleted_rule, prompt_rules, stream, waiting_rules};

fn setting(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

/// One request: an event as GitLab posts it, or a batch.
#[derive(Clone)]
enum Request {
    Gitlab(String),
    Batch(String),
}

/// Everything around one program.
struct World {
    place: Place,
    gitlab: GitlabApi,
    receiver: Receiver,
}

impl World {
    async fn new(rules: &[(String, String)]) -> Self {
        let receiver = Receiver::start().await;
        let gitlab = gitlab_with(10..10 + AUTHORS.cast_signed()).await;
        let config = format!(
            r#"
sources:
  - {{name: gitlab, type: gitlab, path: /ingest/gitlab, token: {{env: TOKEN}}}}
  - {{name: generic, type: http, path: /ingest/generic, format: gitlab, token: {{env: TOKEN}}}}
rules: [rules]
actions:
  block:
    type: gitlab
    url: '{}'
    token: {{env: GITLAB_TOKEN}}
    do: block
    dry_run: false
    at_most: {{count: 1000, per: 1h}}
  hook: {{type: webhook, url: '{}', secret: {{env: HOOK_SECRET}}}}
routes: [{{actions: [hook]}}]
forward:
  - {{name: siem, type: http, url: '{}', batch: 100}}
  - {{name: archive, type: file, path: archive.ndjson}}
logging: {{format: json}}
"#,
            gitlab.url(),
            receiver.url("/hook"),
            receiver.url("/siem"),
        );
        Self { place: Place::new(&config, rules), gitlab, receiver }
    }

    async fn start(&self) -> Program {
        self.place.start(None).await.unwrap()
    }

    /// Lets the program finish its work, stops it, and looks at what there is.
    async fn finish(self, program: Program) -> Outcome {
        program.settled(&client(), &["siem", "archive"]).await;
        let store = Store::open_read_only(&self.place.data()).unwrap();
        // A long run has thousands of deliveries, and an action makes one at a time.
        let counts = || store.outbox_counts().unwrap();
        until_within(10 * PATIENCE, || counts().pending == 0, || format!("{:?}", counts())).await;
        program.stop().await;
        Outcome::of(&self, &store)
    }
}

/// What is left in the end.
struct Outcome {
    /// The bytes of the stored events, in the order of the log.
    raw: Vec<String>,
    alerts: Vec<Alert>,
    /// By webhook id: the alert it told of.
    hooks: BTreeMap<String, String>,
    blocked: Vec<i64>,
}

impl Outcome {
    /// Checks what must hold of every run, and takes in what is compared between runs.
    fn of(world: &World, store: &Store) -> Self {
        let events = stored(&world.place.data());
        let raw: Vec<String> =
            events.iter().map(|event| String::from_utf8(event.raw.to_vec()).unwrap()).collect();
        assert_eq!(raw.iter().collect::<BTreeSet<_>>().len(), raw.len(), "an event is stored twice");
        let mut alerts: Vec<Alert> =
            store.alerts(&AlertQuery::default()).unwrap().into_iter().map(|stored| stored.alert).collect();
        alerts.sort_by(|a, b| (a.position, &a.rule).cmp(&(b.position, &b.rule)));
        let mut hooks = BTreeMap::new();
        for hook in world.receiver.at("/hook") {
            let alert = hook.json()["alert"]["id"].as_str().unwrap().to_owned();
            let told = hooks.insert(hook.header("webhook-id").to_owned(), alert.clone());
            assert!(told.is_none_or(|told| told == alert), "one key, two alerts");
        }
        for alert in &alerts {
            for row in store.outbox_of(&alert.id).unwrap() {
                assert_eq!(row.state, OutboxState::Done, "{row:?}");
            }
        }
        let outcome = Self { raw, alerts, hooks, blocked: world.gitlab.blocked() };
        outcome.check_forwarded(world);
        outcome.check_blocks(world);
        outcome
    }

    /// Over HTTP each event at least once; in the file exactly once, in order.
    fn check_forwarded(&self, world: &World) {
        let ids = |events: &[Value]| -> Vec<(u64, String)> {
            let id = |event: &Value| (event["position"].as_u64().unwrap(), event["id"].to_string());
            events.iter().map(id).collect()
        };
        let events = stored(&world.place.data());
        let expected: Vec<(u64, String)> = events
            .iter()
            .map(|event| {
                let body: Value = serde_json::from_slice(&event.raw).unwrap();
                (event.position, body["id"].to_string())
            })
            .collect();
        let siem: BTreeSet<(u64, String)> = ids(&world.receiver.lines("/siem")).into_iter().collect();
        assert_eq!(siem, expected.iter().cloned().collect(), "forwarded over HTTP");
        let archive = std::fs::read_to_string(world.place.path().join("archive.ndjson")).unwrap();
        let lines: Vec<Value> = archive.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(ids(&lines), expected, "forwarded to a file");
    }

    /// Who was to be blocked is, by one change.
    fn check_blocks(&self, world: &World) {
        let of_rule = self.alerts.iter().filter(|alert| &*alert.rule == "it-deleted");
        let authors: BTreeSet<i64> =
            of_rule.map(|alert| alert.key.get("author_id").unwrap().parse().unwrap()).collect();
        assert_eq!(self.blocked, authors.into_iter().collect::<Vec<_>>());
        for author in &self.blocked {
            let path = format!("/api/v4/users/{author}/block");
            let changes = world.gitlab.calls().iter().filter(|call| call.path == path).count();
            assert_eq!(changes, 1, "user {author}");
        }
    }

    /// One distinct webhook for each alert.
    fn check_hooks(&self) {
        let told: Vec<&String> = self.hooks.values().collect();
        let distinct: BTreeSet<&String> = told.iter().copied().collect();
        let alerts: BTreeSet<&String> = self.alerts.iter().map(|alert| &alert.id.0).collect();
        assert_eq!((told.len(), distinct), (alerts.len(), alerts));
    }

    /// What does not depend on the order in which events of the same moment came in.
    fn episodes(&self) -> BTreeSet<(String, String, Timestamp, Timestamp)> {
        let whole = self.alerts.iter().filter(|alert| alert.merged_into.is_none());
        whole
            .map(|alert| (alert.rule.to_string(), alert.key.to_string(), alert.started_at, alert.last_at))
            .collect()
    }
}

/// What the senders share.
struct Feed {
    waiting: Mutex<VecDeque<Request>>,
    unanswered: Mutex<Vec<Request>>,
    answered: AtomicU64,
    kill_at: Option<u64>,
    killer: Killer,
    url: String,
}

impl Feed {
    /// Sends until everything is answered, or nothing any more.
    async fn send(self: Arc<Self>) {
        let client = client();
        loop {
            let Some(request) = self.waiting.lock().unwrap().pop_front() else { return };
            let sent = match &request {
                Request::Gitlab(body) => {
                    as_gitlab(&client, &format!("{}/ingest/gitlab", self.url), body, None).send().await
                }
                Request::Batch(body) => {
                    let post = client.post(format!("{}/ingest/generic", self.url));
                    post.bearer_auth(TOKEN).body(body.clone()).send().await
                }
            };
            let Ok(response) = sent else {
                self.unanswered.lock().unwrap().push(request);
                return;
            };
            assert_eq!(response.status(), 200, "{:?}", response.text().await);
            if Some(self.answered.fetch_add(1, Ordering::SeqCst) + 1) == self.kill_at {
                let killer = self.killer.clone();
                // Beside the next request, so that it may be hit in the middle.
                tokio::task::spawn_blocking(move || killer.kill());
            }
        }
    }
}

/// Sends over so many connections, in order. With `kill_at` the program is killed after so many answers, and what was
/// not answered by then comes back.
async fn feed(
    program: &Program,
    requests: VecDeque<Request>,
    connections: usize,
    kill_at: Option<u64>,
) -> VecDeque<Request> {
    let feed = Arc::new(Feed {
        waiting: Mutex::new(requests),
        unanswered: Mutex::default(),
        answered: AtomicU64::new(0),
        kill_at,
        killer: program.killer(),
        url: program.url(""),
    });
    let senders: Vec<_> = (0..connections).map(|_| tokio::spawn(Arc::clone(&feed).send())).collect();
    for sender in senders {
        sender.await.unwrap();
    }
    let mut left = std::mem::take(&mut *feed.waiting.lock().unwrap());
    for request in feed.unanswered.lock().unwrap().drain(..) {
        left.push_front(request);
    }
    left
}

/// After how many answered requests the program is killed.
fn kills(requests: usize, kills: u64, dice: &mut Dice) -> Vec<u64> {
    let mut moments: Vec<u64> = (0..kills).map(|_| 1 + dice.roll(requests as u64 - 1)).collect();
    moments.sort_unstable();
    moments
}

/// Runs a world to its end, killing the program after each of these numbers of answers.
async fn run(rules: &[(String, String)], requests: &[Request], connections: usize, kills: &[u64]) -> Outcome {
    let world = World::new(rules).await;
    let mut left: VecDeque<Request> = requests.iter().cloned().collect();
    // What comes a day before and a day after may not overtake, nor be overtaken: it moves the watermark that far.
    let last: Vec<Request> = left.split_off(left.len() - 2).into();
    let rest = left.split_off(AUTHORS as usize);
    let program = world.start().await;
    assert!(feed(&program, left, 1, None).await.is_empty(), "{}", program.log());
    program.stop().await;
    left = rest;
    let count = left.len() as u64;
    for moment in kills {
        let program = world.start().await;
        // Some answers come between the one that is counted and the kill.
        let answered = count - left.len() as u64;
        left = feed(&program, left, connections, Some(moment.saturating_sub(answered).max(1))).await;
        if left.is_empty() {
            program.killer().kill();
        }
        until(|| program.has_ended(), || "the kill does not come".to_owned()).await;
    }
    let program = world.start().await;
    left = feed(&program, left, connections, None).await;
    assert!(left.is_empty(), "{}", program.log());
    for request in last {
        let left = feed(&program, [request].into(), 1, None).await;
        assert!(left.is_empty(), "{}", program.log());
    }
    world.finish(program).await
}

/// Single events, and with `batches` now and then some together.
fn requests(events: &[(Timestamp, Value)], batches: Option<&mut Dice>) -> Vec<Request> {
    let texts: Vec<String> = events.iter().map(|(_, event)| event.to_string()).collect();
    let (first_day, mut rest) = texts.split_at(AUTHORS as usize);
    let mut requests: Vec<Request> = first_day.iter().cloned().map(Request::Gitlab).collect();
    let mut dice = batches;
    while let Some((first, others)) = rest.split_first() {
        let size =
            dice.as_mut().map_or(0, |dice| if dice.roll(10) == 0 { 1 + dice.roll(20) } else { 0 }) as usize;
        if size > 1 && size <= rest.len() {
            requests.push(Request::Batch(rest[..size].join("\n")));
            rest = &rest[size..];
        } else {
            requests.push(Request::Gitlab(first.clone()));
            rest = others;
        }
    }
    let (time, last) = closing(events);
    let mut other = last.clone();
    (other["id"], other["created_at"]) = ("other".into(), time.to_string().into());
    requests.push(Request::Gitlab(last.to_string()));
    requests.push(Request::Batch(other.to_string()));
    requests
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_sender_finds_everything_as_if_nothing_had_happened() {
    let mut dice = Dice::new(setting("WATCHFIRE_CRASH_SEED", 1));
    let events = stream(dice.roll(1 << 32), setting("WATCHFIRE_CRASH_EVENTS", 3000) as usize / 2);
    let requests = requests(&events, None);
    let kills = kills(requests.len() - AUTHORS as usize - 2, setting("WATCHFIRE_CRASH_KILLS", 8), &mut dice);
    // Without rules that wait for the clock there are no ticks: every position is the same.
    let rules = [prompt_rules(), vec![deleted_rule()]].concat();
    let calm = run(&rules, &requests, 1, &[]).await;
    let killed = run(&rules, &requests, 1, &kills).await;
    assert!(calm.alerts.len() > 30, "only {} alerts", calm.alerts.len());
    calm.check_hooks();
    assert_eq!(killed.raw, calm.raw);
    assert_eq!(killed.alerts, calm.alerts);
    assert_eq!(killed.hooks, calm.hooks);
    assert_eq!(killed.blocked, calm.blocked);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_senders_lose_nothing_and_double_nothing() {
    let mut dice = Dice::new(setting("WATCHFIRE_CRASH_SEED", 1) + 1000);
    let events = stream(dice.roll(1 << 32), setting("WATCHFIRE_CRASH_EVENTS", 3000) as usize);
    let requests = requests(&events, Some(&mut dice));
    let kills = kills(requests.len() - AUTHORS as usize - 2, setting("WATCHFIRE_CRASH_KILLS", 8), &mut dice);
    let rules = [prompt_rules(), waiting_rules(), vec![deleted_rule()]].concat();
    let calm = run(&rules, &requests, 8, &[]).await;
    let killed = run(&rules, &requests, 8, &kills).await;
    let sorted = |outcome: &Outcome| outcome.raw.iter().cloned().collect::<BTreeSet<_>>();
    assert_eq!(sorted(&killed), sorted(&calm));
    assert_eq!(killed.raw.len(), events.len() + 2);
    let (found, expected) = (killed.episodes(), calm.episodes());
    let missing: Vec<_> = expected.difference(&found).collect();
    let surplus: Vec<_> = found.difference(&expected).collect();
    assert!(missing.is_empty() && surplus.is_empty(), "missing {missing:#?}\nsurplus {surplus:#?}");
    assert_eq!(killed.blocked, calm.blocked);
    for outcome in [&calm, &killed] {
        if outcome.alerts.iter().all(|alert| alert.merged_into.is_none()) {
            outcome.check_hooks();
        }
    }
}

/// Goes through the places at which the program can end itself: at each, once early and once later.
#[cfg(feature = "fault-points")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ends_at_every_named_place_are_survived() {
    let events = stream(7, 150);
    let requests = requests(&events, None);
    let rules = [prompt_rules(), vec![deleted_rule()]].concat();
    let calm = run(&rules, &requests, 1, &[]).await;
    for place in ["log.before_commit", "log.after_commit", "store.before_commit", "store.after_commit"] {
        for count in [1, 3, 10] {
            let world = World::new(&rules).await;
            let mut left: VecDeque<Request> = requests.iter().cloned().collect();
            let fault = format!("{place}:{count}");
            if let Some(program) = world.place.start(Some(&fault)).await {
                left = feed(&program, left, 1, None).await;
                // Not every run comes to the tenth commit of the store before the last answer.
                if left.is_empty() {
                    program.killer().kill();
                }
                until(|| program.has_ended(), || format!("{fault} is never reached")).await;
            }
            assert!(count > 1 || place.starts_with("store") || !left.is_empty(), "{fault} is never reached");
            let program = world.start().await;
            assert!(feed(&program, left, 1, None).await.is_empty());
            let survived = world.finish(program).await;
            assert_eq!(survived.raw, calm.raw, "{fault}");
            assert_eq!(survived.alerts, calm.alerts, "{fault}");
            assert_eq!(survived.hooks, calm.hooks, "{fault}");
        }
    }
}
