//! Receivers that are away for an hour: nothing is lost, nothing overtakes, nothing comes twice.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Response, StatusCode};
use serde_json::Value;
use tokio::task::AbortHandle;
use watchfire::alert::{Alert, AlertId, Occasion};
use watchfire::clock::Clock;
use watchfire::store::{Commit, DeliveryKind, OutboxRow, OutboxState, Store};
use watchfire::time::{Span, Timestamp};

use crate::harness::{Daemon, START, Setup, deed, until};

/// How a service is away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mood {
    Well,
    /// Answers with this status.
    Status(u16),
    /// 429, and wants this many seconds of patience.
    Patience(u32),
    /// Takes the request and says nothing until it is well again.
    Silent,
    /// Takes it and does what it says, but the answer is lost: every second request.
    Flapping,
}

#[derive(Clone)]
struct Taken {
    key: String,
    alert: String,
    occasion: String,
}

struct Shared {
    mood: Mutex<Mood>,
    asked: Mutex<u64>,
    taken: Mutex<Vec<Taken>>,
    well: tokio::sync::Notify,
}

/// Stands in for every service at once: it answers what each of them takes for success.
struct Service {
    url: String,
    shared: Arc<Shared>,
    task: AbortHandle,
}

impl Service {
    async fn start() -> Self {
        let shared = Arc::new(Shared {
            mood: Mutex::new(Mood::Well),
            asked: Mutex::new(0),
            taken: Mutex::new(Vec::new()),
            well: tokio::sync::Notify::new(),
        });
        let router = Router::new().fallback(answer).with_state(Arc::clone(&shared));
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, shared, task: task.abort_handle() }
    }

    fn feels(&self, mood: Mood) {
        *self.shared.mood.lock().unwrap() = mood;
        self.shared.well.notify_waiters();
    }

    fn asked(&self) -> u64 {
        *self.shared.asked.lock().unwrap()
    }

    fn taken(&self) -> Vec<Taken> {
        self.shared.taken.lock().unwrap().clone()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn answer(
    State(shared): State<Arc<Shared>>,
    uri: axum::http::Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response<String> {
    let said = |status: u16, body: &str| {
        Response::builder().status(StatusCode::from_u16(status).unwrap()).body(body.to_owned()).unwrap()
    };
    let asked = {
        let mut asked = shared.asked.lock().unwrap();
        *asked += 1;
        *asked
    };
    let mood = *shared.mood.lock().unwrap();
    match mood {
        Mood::Status(status) => return said(status, "away"),
        Mood::Patience(seconds) => {
            let answer = Response::builder().status(429).header("retry-after", seconds.to_string());
            return answer.body("slowly".to_owned()).unwrap();
        }
        Mood::Silent => {
            shared.well.notified().await;
            return said(503, "too late");
        }
        Mood::Well | Mood::Flapping => {}
    }
    let text = String::from_utf8_lossy(&body).into_owned();
    let kind = uri.path().trim_start_matches('/').split('/').next().unwrap_or_default().to_owned();
    // The ids of these alerts end in a number that no other text has.
    let found = |from: &str| text.find(from).map(|at| text[at..at + 32].to_owned()).unwrap_or_default();
    let occasion = ["(opened)", "(reminder)", "(resolved)"].into_iter().find(|word| text.contains(word));
    let occasion = occasion.map(str::to_owned).unwrap_or_else(|| {
        let parsed: Value = serde_json::from_slice(&body).unwrap_or_default();
        let action = parsed["event_action"].as_str().or(parsed["occasion"].as_str()).unwrap_or_default();
        format!("({action})")
    });
    let key = headers.get("idempotency-key").or(headers.get("webhook-id"));
    let key = key.and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    shared.taken.lock().unwrap().push(Taken { key, alert: found("a1e57"), occasion });
    if mood == Mood::Flapping && asked % 2 == 0 {
        return said(502, "the answer was lost");
    }
    match kind.as_str() {
        "slack" | "mattermost" => said(200, "ok"),
        "pagerduty" | "teams" => said(202, ""),
        "discord" | "ntfy" => said(200, r#"{"id": "1"}"#),
        "telegram" => said(200, r#"{"ok": true}"#),
        _ => said(200, ""),
    }
}

const KINDS: [(&str, &str); 9] = [
    ("slack", ""),
    ("teams", ""),
    ("discord", ""),
    ("mattermost", ""),
    ("telegram", ", token: {env: TOKEN}, chat: 1"),
    ("pagerduty", ", routing_key: {env: TOKEN}"),
    ("alertmanager", ""),
    ("ntfy", ", topic: t"),
    ("webhook", ""),
];

fn alert_id(number: usize) -> AlertId {
    AlertId(format!("a1e57{number:027x}"))
}

/// What is owed: of each alert that it was opened, that nobody came, and that it is over, to each action.
fn owe(store: &Store, template: &Alert, alerts: usize, now: Timestamp) {
    let alerts: Vec<Alert> = (0..alerts).map(|n| Alert { id: alert_id(n), ..template.clone() }).collect();
    let mut rows = Vec::new();
    for alert in &alerts {
        for (kind, _) in KINDS {
            for (place, occasion) in
                [Occasion::Opened, Occasion::Reminder, Occasion::Resolved].into_iter().enumerate()
            {
                let unique = format!("{}/{kind}/{place}", alert.id);
                let row = OutboxRow::owed(DeliveryKind::Notify, (alert.id.clone(), kind), &unique, now);
                rows.push(OutboxRow { occasion, ..row });
            }
        }
    }
    store
        .commit(&Commit { position: 0, at: now, alerts: &alerts, outbox: &rows, ledger: &[], snapshot: None })
        .unwrap();
}

/// A daemon that knows all kinds, and an alert to take after.
async fn begin(service: &Service, clock: &Clock) -> (Setup, Daemon, Alert) {
    let mut sections = "actions:\n".to_owned();
    for (kind, more) in KINDS {
        sections.push_str(&format!(
            "  {kind}: {{type: {kind}, url: '{}/{kind}', timeout: 100ms{more}}}\n",
            service.url
        ));
    }
    let setup = Setup::new(clock.clone(), &sections);
    let rule = "title: Deleted\nid: deleted\nlevel: high\nlogsource: {product: gitlab}\n\
                detection: {any: {event_type: project_destroyed}, condition: any}\n";
    setup.rule("deleted.yml", rule);
    let daemon = setup.start().await;
    daemon.post_all(&[deed("project_destroyed", 7, START)]).await;
    let alert = daemon.only_alert();
    (setup, daemon, alert)
}

/// Lets time pass, ten seconds in each of these moments, until it is so.
async fn pass_until(clock: &Clock, moment: Duration, is_so: impl Fn() -> bool, what: impl Fn() -> String) {
    let ticking = {
        let clock = clock.clone();
        tokio::spawn(async move {
            loop {
                clock.set(clock.now().plus(Span::seconds(10)));
                tokio::time::sleep(moment).await;
            }
        })
    };
    until(is_so, what).await;
    ticking.abort();
    // Only once it has ended it sets the clock no more.
    drop(ticking.await);
}

/// Lets everything be told, and nothing be given up.
async fn settle(daemon: &Daemon, clock: &Clock) {
    let counts = || daemon.app.store().outbox_counts().unwrap();
    pass_until(clock, MOMENT, || counts().pending == 0, || format!("{:?}", counts())).await;
    assert_eq!(counts().dead, 0);
}

/// Everything came, in the order of each alert; what came again has a key that came before.
fn assert_all_told(service: &Service, alerts: usize) -> usize {
    let mut order: BTreeMap<(String, String), Vec<String>> = BTreeMap::new();
    let mut keys: Vec<String> = Vec::new();
    let mut repeats = 0;
    for taken in service.taken() {
        if keys.contains(&taken.key) {
            repeats += 1;
            continue;
        }
        keys.push(taken.key.clone());
        order.entry((taken.alert.clone(), String::new())).or_default().push(taken.occasion);
    }
    assert_eq!(keys.len(), alerts * KINDS.len() * 3, "each once by its key");
    repeats
}

/// Per action and alert, the order of the occasions as they were first taken.
fn assert_in_order(service: &Service, store: &Store) {
    let rows = store.outbox_list(None, 0).unwrap();
    let of: BTreeMap<&str, &OutboxRow> = rows.iter().map(|row| (row.id.as_str(), row)).collect();
    let rank = |occasion: Occasion| match occasion {
        Occasion::Opened => 0,
        Occasion::Reminder => 1,
        _ => 2,
    };
    let mut last: BTreeMap<(String, String), i32> = BTreeMap::new();
    for taken in service.taken() {
        let row = of.get(taken.key.as_str()).unwrap_or_else(|| panic!("no delivery {}", taken.key));
        assert_eq!(row.state, OutboxState::Done);
        let place = last.entry((row.alert.0.clone(), row.action.clone())).or_insert(-1);
        assert!(
            rank(row.occasion) >= *place,
            "{} overtook in {} of {}",
            row.occasion.name(),
            row.action,
            row.alert
        );
        *place = rank(row.occasion);
    }
}

/// The requests of an hour in which all were known to be away, and how often something came again.
async fn outage(mood: Mood, alerts: usize) -> (u64, usize) {
    let service = Service::start().await;
    service.feels(mood);
    let clock = Clock::fixed(START);
    let (_setup, daemon, alert) = begin(&service, &clock).await;
    let store = daemon.app.store().clone();
    owe(&store, &alert, alerts, clock.now());
    let open = || store.breakers().unwrap();
    let mut asked = 0;
    if mood != Mood::Flapping {
        let what = || format!("{:?}", open());
        pass_until(&clock, MOMENT, || open().len() == KINDS.len(), what).await;
        assert_eq!(daemon.metric("watchfire_outbox_breakers_open").await, Some(KINDS.len() as f64));
        let (before, over) = (service.asked(), clock.now().plus(Span::minutes(60)));
        pass_until(&clock, MOMENT, || clock.now() >= over, || clock.now().to_string()).await;
        asked = service.asked() - before;
        assert!(service.taken().is_empty());
        assert_eq!(store.outbox_counts().unwrap().dead, 0, "nothing is given up");
    }
    if mood == Mood::Flapping {
        pass_until(&clock, MOMENT, || service.asked() > 100, || service.asked().to_string()).await;
    }
    service.feels(Mood::Well);
    settle(&daemon, &clock).await;
    until(|| open().is_empty(), || format!("{:?}", open())).await;
    let repeats = assert_all_told(&service, alerts);
    assert_in_order(&service, &store);
    daemon.stop().await;
    (asked, repeats)
}

const ALERTS: usize = 12;
/// In which ten seconds pass.
const MOMENT: Duration = Duration::from_millis(5);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_while_all_answer_500_for_an_hour() {
    let (asked, repeats) = outage(Mood::Status(500), ALERTS).await;
    assert_eq!(repeats, 0);
    assert!(asked <= 9 * 63, "probed, not hammered: {asked} requests in an hour");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_while_all_ask_for_patience_for_an_hour() {
    let (asked, repeats) = outage(Mood::Patience(600), ALERTS).await;
    assert_eq!(repeats, 0);
    assert!(asked <= 9 * 7, "as they asked: {asked} requests in an hour");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_while_nobody_answers_for_an_hour() {
    assert_eq!(outage(Mood::Silent, 4).await.1, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_repeated_because_an_answer_was_lost_has_the_same_key() {
    let (_, repeats) = outage(Mood::Flapping, ALERTS).await;
    assert!(repeats > 0, "answers were lost");
}
