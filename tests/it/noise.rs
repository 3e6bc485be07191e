//! Who is told when: groups, reminders, escalation, silences, storms, with a restart in between.

use reqwest::Method;
use serde_json::{Value, json};
use watchfire::clock::Clock;
use watchfire::store::OutboxQuery;
use watchfire::time::Timestamp;

use crate::harness::{ADMIN_TOKEN, Daemon, START, Setup, answer, at, deed, until};
use crate::receiver::Receiver;

/// Every event of one kind is an alert.
pub const RULE: &str = "title: Deleted\nid: deleted\nlevel: high\nlogsource: {product: gitlab}\n\
    detection: {any: {event_type: project_destroyed}, condition: any}\n";

/// Actions at these paths of a receiver, and what is written behind them.
fn setup(clock: &Clock, receiver: &Receiver, paths: &[&str], sections: &str) -> Setup {
    let action =
        |path: &&str| format!("  {path}: {{type: webhook, url: '{}'}}\n", receiver.url(&format!("/{path}")));
    let actions: String = paths.iter().map(action).collect();
    let setup = Setup::new(clock.clone(), &format!("actions:\n{actions}{sections}"));
    setup.rule("deleted.yml", RULE);
    setup
}

/// Lets time pass, each time up to what is due next and not while anything is due, until so much came to a path; says
/// how long that took, in seconds.
async fn passes(daemon: &Daemon, receiver: &Receiver, path: &str, count: usize) -> i64 {
    let since = daemon.clock.now();
    let is_there = || {
        let is_there = receiver.taken(path).len() >= count;
        if !is_there {
            advance(daemon);
        }
        is_there
    };
    until(is_there, || format!("{path} has {}", receiver.taken(path).len())).await;
    let is_idle = || daemon.app.store().outbox_due(daemon.clock.now(), 1).unwrap().is_empty();
    until(is_idle, || "something is due and not delivered".to_owned()).await;
    assert_eq!(receiver.taken(path).len(), count, "{path}");
    daemon.clock.now().since(since).0 / 1000
}

/// Lets time pass up to what is due next, unless something is due already.
pub fn advance(daemon: &Daemon) {
    let store = daemon.app.store();
    let due = [store.followup_next_due().unwrap(), store.outbox_next_due().unwrap()];
    if let Some(due) = due.into_iter().flatten().min().filter(|due| *due > daemon.clock.now()) {
        daemon.clock.set(due);
    }
}

/// A project of the shop is destroyed.
pub fn project(author: i64, number: i64) -> Value {
    let mut event = deed("project_destroyed", author, at(number));
    event["entity_path"] = json!(format!("shop/project-{number}"));
    event["id"] = json!(format!("{author}-{number}"));
    event
}

fn bodies(receiver: &Receiver, path: &str) -> Vec<Value> {
    receiver.taken(path).iter().map(|taken| taken.json()).collect()
}

/// As a person does who looks into it.
fn acknowledge(setup: &Setup, alert: &str) {
    let connection = rusqlite::Connection::open(setup.path("data/control.db")).unwrap();
    let sql = "INSERT OR REPLACE INTO triage (alert, state, changed_at, changed_by) VALUES (?1, 'acknowledged', 0, 'ann')";
    connection.execute(sql, [alert]).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn alerts_of_a_group_are_told_together() {
    let receiver = Receiver::start().await;
    let clock = Clock::fixed(START);
    let sections = "routes:\n  - {entities: [shop/*], actions: [hook], group: {by: [rule, author], wait: 30s, \
                    interval: 5m, repeat: 4h}}\n";
    let setup = setup(&clock, &receiver, &["hook"], sections);
    let daemon = setup.start().await;
    daemon.post_all(&[project(4, 1), project(4, 2)]).await;
    daemon.post_all(&[project(4, 3)]).await;
    assert_eq!(receiver.taken("/hook").len(), 0);
    daemon.stop().await;
    let daemon = setup.start().await;
    let waited = passes(&daemon, &receiver, "/hook", 1).await;
    assert_eq!(waited, 30);
    let first = &bodies(&receiver, "/hook")[0];
    assert_eq!(
        (first["others"].as_array().unwrap().len(), &first["occasion"]),
        (2, &json!("opened")),
        "{first}"
    );
    daemon.post_all(&[project(4, 4)]).await;
    let waited = passes(&daemon, &receiver, "/hook", 2).await;
    assert_eq!(waited, 300);
    assert_eq!(bodies(&receiver, "/hook")[1]["others"], json!([]));
    assert_eq!(passes(&daemon, &receiver, "/hook", 3).await, 4 * 3600);
    let again = &bodies(&receiver, "/hook")[2];
    assert_eq!(
        (&again["occasion"], again["others"].as_array().unwrap().len()),
        (&json!("reminder"), 3),
        "{again}"
    );
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_told_later_is_not_once_somebody_looks_into_it() {
    let receiver = Receiver::start().await;
    let clock = Clock::fixed(START);
    let sections = "routes:\n  - {actions: [hook], repeat: 10m, escalate: [{after: 15m, actions: [lead]}, \
                    {after: 1h, actions: [boss]}]}\n";
    let setup = setup(&clock, &receiver, &["hook", "lead", "boss"], sections);
    let daemon = setup.start().await;
    daemon.post_all(&[project(4, 1)]).await;
    passes(&daemon, &receiver, "/hook", 1).await;
    let waited = passes(&daemon, &receiver, "/hook", 2).await;
    assert_eq!(waited, 600);
    daemon.stop().await;
    let daemon = setup.start().await;
    assert_eq!(passes(&daemon, &receiver, "/lead", 1).await, 300);
    let occasions: Vec<Value> = bodies(&receiver, "/hook")
        .iter()
        .chain(&bodies(&receiver, "/lead"))
        .map(|body| body["occasion"].clone())
        .collect();
    assert_eq!(occasions, ["opened", "reminder", "escalated"]);
    acknowledge(&setup, &daemon.only_alert().id.0);
    let store = daemon.app.store();
    let nothing_is_left = || {
        advance(&daemon);
        store.followup_next_due().unwrap().is_none()
    };
    until(nothing_is_left, || "something is still to come".to_owned()).await;
    let counts = ["/hook", "/lead", "/boss"].map(|path| receiver.taken(path).len());
    assert_eq!(counts, [2, 1, 0]);
    daemon.stop().await;
}

async fn silence(daemon: &Daemon, matchers: &[&str], until: Timestamp) -> Value {
    let body =
        json!({"matchers": matchers, "reason": "a move", "owner": "ops", "ends_at": until.to_string()});
    let (status, made) =
        answer(daemon.request(Method::POST, "/api/v1/silences").bearer_auth(ADMIN_TOKEN).json(&body)).await;
    assert_eq!(status, 201, "{made}");
    made
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silence_is_shown_and_its_end_is_told_before_it_comes() {
    let receiver = Receiver::start().await;
    let clock = Clock::fixed(START);
    let sections = "routes: [{actions: [hook]}]\nnotices: {actions: [people]}\n";
    let setup = setup(&clock, &receiver, &["hook", "people"], sections);
    let daemon = setup.start().await;
    let made = silence(&daemon, &["rule=deleted", "entity=shop/*", "author=user4"], at(2 * 3600)).await;
    daemon.post_all(&[project(4, 1), project(5, 2)]).await;
    passes(&daemon, &receiver, "/hook", 1).await;
    assert_eq!(bodies(&receiver, "/hook")[0]["events"][0]["author_id"], json!(5));
    let (_, list) = daemon.admin(Method::GET, "/api/v1/alerts").await;
    assert_eq!(list["items"].as_array().unwrap().len(), 2, "both are listed");
    let mut held = Vec::new();
    for item in list["items"].as_array().unwrap() {
        let (_, whole) =
            daemon.admin(Method::GET, &format!("/api/v1/alerts/{}", item["id"].as_str().unwrap())).await;
        held.extend(whole["held"].as_array().unwrap().clone());
    }
    assert_eq!(held.len(), 1, "{held:?}");
    assert_eq!(
        (&held[0]["by"], &held[0]["action"], &held[0]["which"]),
        (&json!("silence"), &json!("hook"), &json!("1"))
    );
    let metrics = daemon.request(Method::GET, "/metrics").send().await.unwrap().text().await.unwrap();
    assert!(metrics.contains("watchfire_held_total{by=\"silence\"} 1"), "{metrics}");
    let (_, tried) = answer(
        daemon
            .request(Method::POST, "/api/v1/silences/preview")
            .bearer_auth(ADMIN_TOKEN)
            .json(&json!({"matchers": ["author=user4"]})),
    )
    .await;
    assert_eq!((&tried["silenced"], &tried["alerts"]), (&json!(1), &json!(2)), "{tried}");
    daemon.stop().await;
    let daemon = setup.start().await;
    let waited = passes(&daemon, &receiver, "/people", 1).await;
    assert_eq!(waited, 3_600);
    let notice = &bodies(&receiver, "/people")[0]["notice"];
    assert_eq!(notice["kind"], json!("silence_ends"));
    assert!(notice["title"].as_str().unwrap().contains(made["ends_at"].as_str().unwrap()), "{notice}");
    clock.set(at(2 * 3600));
    assert_eq!(receiver.taken("/hook").len(), 1, "its end tells nothing that it held back");
    let mut late = project(4, 7_150);
    late["id"] = json!("late");
    daemon.post_all(&[late]).await;
    passes(&daemon, &receiver, "/hook", 2).await;
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storm_is_one_summary_and_nothing_is_hidden() {
    let receiver = Receiver::start().await;
    let clock = Clock::fixed(START);
    let setup = setup(&clock, &receiver, &["hook"], "routes: [{actions: [hook]}]\nstorm: {per_hour: 3}\n");
    let mut daemon = setup.start().await;
    let told = || -> Vec<String> {
        let is_notice = |body: &Value| body["type"] == json!("notice");
        let word = |body: &Value| {
            if is_notice(body) {
                body["notice"]["title"].as_str().unwrap().to_owned()
            } else {
                "alert".to_owned()
            }
        };
        bodies(&receiver, "/hook").iter().map(word).collect()
    };
    for number in 1..=8 {
        daemon.post_all(&[project(4, number)]).await;
        if number == 5 {
            daemon.stop().await;
            daemon = setup.start().await;
        }
    }
    passes(&daemon, &receiver, "/hook", 4).await;
    let mut first = told();
    first.sort();
    assert_eq!(first, ["Storm: deleted raised more than 3 alerts within an hour", "alert", "alert", "alert"]);
    assert_eq!(daemon.alerts().len(), 8);
    let waited = passes(&daemon, &receiver, "/hook", 5).await;
    assert_eq!(waited, 3_600);
    assert_eq!(told()[4], "Storm: deleted raised 4 further alerts");
    passes(&daemon, &receiver, "/hook", 6).await;
    assert_eq!(told()[5], "The storm of deleted is over: 5 alerts were not told one by one");
    let rows = daemon.app.store().outbox(&OutboxQuery::default()).unwrap();
    assert_eq!(rows.len(), 6);
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn suppression_counts_from_the_findings_and_survives_a_restart() {
    let receiver = Receiver::start().await;
    // The events are hours old: what counts is when they happened.
    let clock = Clock::fixed(at(5 * 3600));
    let setup = setup(&clock, &receiver, &["hook"], "routes: [{actions: [hook]}]\n");
    setup.rule("deleted.yml", &format!("{RULE}suppress: 1h\n"));
    let daemon = setup.start().await;
    daemon.post_all(&[project(4, 0)]).await;
    daemon.stop().await;
    let daemon = setup.start().await;
    daemon.post_all(&[project(4, 3_600), project(4, 3_600 + 3_601)]).await;
    let alerts = daemon.alerts();
    let seen: Vec<(u64, Timestamp)> = alerts.iter().map(|alert| (alert.findings, alert.started_at)).collect();
    assert_eq!(seen, [(2, at(0)), (1, at(7_201))]);
    passes(&daemon, &receiver, "/hook", 2).await;
    let totals = daemon.app.store().held_totals().unwrap();
    assert_eq!(totals, [("suppressed".to_owned(), 1)]);
    daemon.stop().await;
}
