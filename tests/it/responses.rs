//! Responses with a real daemon and a strict GitLab: how many they hit, who lets them, how they end.

use reqwest::Method;
use serde_json::{Value, json};
use watchfire::alert::{Alert, AlertState, Change, Verdict};
use watchfire::clock::Clock;
use watchfire::demo::{AccountState, Fault, GitlabApi};
use watchfire::respond::{Link, Signer};
use watchfire::store::{
    Decision, Deed, Incident, IncidentQuery, OutboxRow, OutboxState, Response, ResponseQuery, ResponseStatus,
    UndoStatus,
};
use watchfire::time::Span;

use crate::harness::{ADMIN_TOKEN, Daemon, START, Setup, deed, gitlab_with, is_done, until};

const RULE: &str = "title: Everybody\nid: everybody\nlevel: high\nlogsource: {product: gitlab}\n\
                    detection: {any: {event_type: project_destroyed}, condition: any}\nrespond: [block]\n";

async fn setup(clock: Clock, gitlab: &GitlabApi, more: &str, responses: &str) -> Setup {
    let sections = format!(
        "actions:\n  block: {{type: gitlab, url: '{}', token: {{env: GITLAB_TOKEN}}, do: block, dry_run: false{more}}}\n  \
         hook: {{type: webhook, url: 'http://127.0.0.1:1/'}}\nresponses: {{{responses}}}\n",
        gitlab.url()
    );
    let setup = Setup::new(clock, &sections);
    setup.rule("everybody.yml", RULE);
    setup
}

async fn offend(daemon: &Daemon, authors: impl IntoIterator<Item = i64>) {
    let events: Vec<Value> =
        authors.into_iter().map(|author| deed("project_destroyed", author, daemon.clock.now())).collect();
    daemon.post_all(&events).await;
}

fn responses(daemon: &Daemon) -> Vec<Response> {
    daemon.app.store().responses(&ResponseQuery::default()).unwrap()
}

fn count(daemon: &Daemon, status: ResponseStatus) -> usize {
    responses(daemon).iter().filter(|response| response.status == status).count()
}

async fn stands(daemon: &Daemon, status: ResponseStatus, wanted: usize) {
    until(|| count(daemon, status) == wanted, || format!("{:#?}", responses(daemon))).await;
}

fn notices(daemon: &Daemon) -> Vec<String> {
    let store = daemon.app.store();
    let rows = store.outbox_list(None, 0).unwrap();
    let ids = rows.iter().filter_map(|row| watchfire::store::notice_named(&row.alert.0));
    ids.map(|id| store.notice(id).unwrap().unwrap().kind).collect()
}

async fn post(daemon: &Daemon, path: &str, body: Value) -> (u16, Value) {
    let request = daemon.request(Method::POST, path).bearer_auth(ADMIN_TOKEN).json(&body);
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    (status, response.json().await.unwrap_or_default())
}

async fn delivery(daemon: &Daemon, alert: &Alert, is_so: impl Fn(&OutboxRow) -> bool) -> OutboxRow {
    daemon.delivery(alert, "block", is_so).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rule_that_matches_everybody_hits_few_tells_once_and_is_undone_by_one_call() {
    let gitlab = gitlab_with(4..=23).await;
    let responses_section = "at_most: [{accounts: 3, per: 1h}], approval: {actions: [hook]}";
    let more = ", at_most: {count: 100, per: 1h}";
    let setup = setup(Clock::fixed(START), &gitlab, more, responses_section).await;
    let daemon = setup.start().await;
    offend(&daemon, 4..=23).await;
    stands(&daemon, ResponseStatus::Waiting, 17).await;
    assert_eq!(gitlab.blocked().len(), 3);
    assert_eq!(notices(&daemon), ["blast_radius"]);
    let incident = limit_incident(&daemon, 3, 17);
    assert_eq!(incident.title, "Responses have reached a limit: 3 accounts per 1h");
    let rows = daemon.app.store().outbox_list(None, 0).unwrap();
    let notice = rows.iter().find_map(|row| watchfire::store::notice_named(&row.alert.0)).unwrap();
    let lines = daemon.app.store().notice(notice).unwrap().unwrap().lines;
    assert!(lines.contains(&format!("incident: {}", incident.id)), "{lines:?}");
    daemon.stop().await;
    // A restart changes nothing of it.
    let daemon = setup.start().await;
    assert_eq!(limit_incident(&daemon, 3, 17), incident);
    let undo = json!({"rule": "everybody", "reason": "a wrong rule"});
    let (status, asked) = post(&daemon, "/api/v1/responses/undo", undo).await;
    assert_eq!((status, asked["items"].as_array().unwrap().len()), (200, 3), "{asked}");
    until(|| gitlab.blocked().is_empty(), || format!("{:?}", gitlab.blocked())).await;
    let undone = || responses(&daemon).iter().filter(|r| r.undo == UndoStatus::Undone).count();
    until(|| undone() == 3, || format!("{:#?}", responses(&daemon))).await;
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_kill_switch_holds_at_once() {
    let gitlab = gitlab_with(4..=9).await;
    let setup = setup(Clock::fixed(START), &gitlab, ", approvals: 1", "").await;
    let daemon = setup.start().await;
    offend(&daemon, [4, 5]).await;
    stands(&daemon, ResponseStatus::Waiting, 2).await;
    let stop = json!({"reason": "wrong"});
    assert_eq!(post(&daemon, "/api/v1/respond/stop", stop.clone()).await.0, 204);
    let id = responses(&daemon)[0].id.clone();
    assert_eq!(post(&daemon, &format!("/api/v1/responses/{id}/approve"), json!({})).await.0, 409);
    offend(&daemon, [6]).await;
    stands(&daemon, ResponseStatus::Stopped, 1).await;
    assert_eq!(daemon.metric("watchfire_responses_stopped").await, Some(1.0));
    assert!(gitlab.blocked().is_empty());
    assert_eq!(post(&daemon, "/api/v1/respond/resume", stop).await.0, 204);
    assert_eq!(post(&daemon, &format!("/api/v1/responses/{id}/approve"), json!({})).await.0, 200);
    stands(&daemon, ResponseStatus::Acted, 1).await;
    assert_eq!(gitlab.blocked().len(), 1);
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_of_a_message_lets_it_and_it_ends_by_itself_after_a_restart() {
    let gitlab = gitlab_with([4]).await;
    let clock = Clock::fixed(START);
    let section = "approval: {actions: [hook]}, url: 'https://watchfire.example.com'";
    let setup = setup(clock.clone(), &gitlab, ", approvals: 1, for: 24h", section).await;
    let daemon = setup.start().await;
    offend(&daemon, [4]).await;
    let alert = daemon.only_alert();
    delivery(&daemon, &alert, |row| row.state == OutboxState::Waiting).await;
    assert_eq!(notices(&daemon), ["approval"]);
    let waiting = responses(&daemon).remove(0);
    let link = Link {
        response: waiting.id.clone(),
        decision: Decision::Approve,
        until: waiting.expires_at.unwrap(),
        recipient: "hook".into(),
    };
    let path = format!("/approve/{}", Signer::of(daemon.app.store()).unwrap().sign(&link));
    let page = daemon.request(Method::GET, &path).send().await.unwrap();
    assert!(page.status() == 200 && page.text().await.unwrap().contains("block user 4"));
    assert_eq!(gitlab.state_of(4), Some(AccountState::Active));
    assert_eq!(daemon.request(Method::POST, &path).send().await.unwrap().status(), 200);
    let row = delivery(&daemon, &alert, is_done).await;
    assert!(row.outcome.unwrap().changed);
    assert_eq!(gitlab.blocked(), [4]);
    assert_eq!(daemon.request(Method::POST, &path).send().await.unwrap().status(), 409);
    daemon.stop().await;
    clock.set(START.plus(Span::hours(23)));
    let daemon = setup.start().await;
    assert_eq!(gitlab.blocked(), [4]);
    clock.set(START.plus(Span::hours(25)));
    until(|| gitlab.blocked().is_empty(), || format!("{:#?}", responses(&daemon))).await;
    until(|| responses(&daemon)[0].undo == UndoStatus::Undone, || format!("{:#?}", responses(&daemon))).await;
    daemon.stop().await;
}

/// The one incident about a limit, with so many alerts; each of the others has one.
fn limit_incident(daemon: &Daemon, others: usize, alerts: u64) -> Incident {
    let mut incidents = daemon.app.store().incidents(&IncidentQuery::default()).unwrap();
    let at = incidents.iter().position(|incident| incident.about.starts_with("limit of responses")).unwrap();
    let found = incidents.remove(at);
    assert_eq!(incidents.len(), others, "{incidents:#?}");
    assert!(incidents.iter().all(|incident| incident.alerts == 1), "{incidents:#?}");
    assert_eq!((found.alerts, found.state), (alerts, AlertState::Open), "{found:#?}");
    found
}

/// Of two actions with the same limit each has its own incident, and each time of a limit has one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_limit_and_each_time_of_it_is_an_incident() {
    let gitlab = gitlab_with(4..=12).await;
    let clock = Clock::fixed(START);
    let setup = setup(clock.clone(), &gitlab, ", at_most: {count: 1, per: 1h}", "").await;
    let daemon = setup.start().await;
    offend(&daemon, [4]).await;
    stands(&daemon, ResponseStatus::Acted, 1).await;
    offend(&daemon, [5, 6]).await;
    stands(&daemon, ResponseStatus::Waiting, 2).await;
    let first = limit_incident(&daemon, 1, 2);
    assert!(first.title.ends_with("block: 1 by this action per 1h"), "{first:?}");
    // Somebody has dealt with it, and another one follows within the hour.
    let store = daemon.app.store();
    let deed = Deed::new(START, "ann", "test");
    let change = Change::Resolve { verdict: Verdict::Benign, of: None, note: None };
    store.change_incident(&first.id, &change, &deed).unwrap();
    clock.set(START.plus(Span::minutes(59)));
    offend(&daemon, [7]).await;
    stands(&daemon, ResponseStatus::Waiting, 3).await;
    let again = limit_incident(&daemon, 1, 3);
    assert_eq!((again.id, again.states), (first.id.clone(), [1, 0, 2]));
    clock.set(START.plus(Span::minutes(61)));
    offend(&daemon, [8]).await;
    stands(&daemon, ResponseStatus::Acted, 2).await;
    offend(&daemon, [9]).await;
    stands(&daemon, ResponseStatus::Waiting, 4).await;
    let incidents = daemon.app.store().incidents(&IncidentQuery::default()).unwrap();
    let about_limit = incidents.iter().filter(|incident| incident.about.starts_with("limit of responses"));
    let mut sizes: Vec<u64> = about_limit.map(|incident| incident.alerts).collect();
    sizes.sort_unstable();
    assert_eq!(sizes, [1, 3], "{incidents:#?}");
    daemon.stop().await;
}

/// Either may say it: the rule as it was when the alert was committed, and as it is when the response is due.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rule_has_the_responses_to_its_alerts_rehearse() {
    let gitlab = gitlab_with(4..=6).await;
    let clock = Clock::fixed(START);
    let setup = setup(clock.clone(), &gitlab, ", at_most: {count: 9, per: 1h}", "").await;
    let dry = format!("{RULE}dry_run: true\n");
    setup.rule("everybody.yml", &dry);
    let daemon = setup.start().await;
    daemon.metric_becomes("watchfire_rule_reloads_total", 1.0).await;
    // It is tried while GitLab is away, and again when the rule says something else.
    let meanwhile = async |author: i64, rule: &str, readings: f64| {
        gitlab.fail(Fault::Status(503, None), 1);
        offend(&daemon, [author]).await;
        let alert = daemon.alerts().pop().unwrap();
        let is_put_off = |row: &OutboxRow| row.attempts == 1 && row.due_at > clock.now();
        let row = delivery(&daemon, &alert, is_put_off).await;
        setup.rule("everybody.yml", rule);
        daemon.metric_becomes("watchfire_rule_reloads_total", readings).await;
        clock.set(row.due_at);
        delivery(&daemon, &alert, is_done).await
    };
    let row = meanwhile(4, RULE, 2.0).await;
    let outcome = row.outcome.unwrap();
    assert!(
        outcome.dry_run && !outcome.changed && outcome.summary.contains("would block user 4"),
        "{outcome:?}"
    );
    offend(&daemon, [5]).await;
    stands(&daemon, ResponseStatus::Acted, 1).await;
    assert!(meanwhile(6, &dry, 3.0).await.outcome.unwrap().dry_run);
    assert_eq!(gitlab.blocked(), [5]);
    let rehearsed: Vec<bool> = responses(&daemon).iter().rev().map(|response| response.dry_run).collect();
    assert_eq!((rehearsed.len(), rehearsed.iter().filter(|dry| **dry).count()), (3, 2));
    let (_, shown) = daemon.admin(Method::GET, "/api/v1/rules/everybody").await;
    assert_eq!(shown["dry_run"], true);
    // A person who asks for it is held to it as well.
    let alert = daemon.alerts().remove(0);
    let asked = json!({"action": "block", "alert": alert.id.0, "reason": "by hand"});
    let (status, answer) = post(&daemon, "/api/v1/responses", asked).await;
    assert!(status < 300, "{status} {answer}");
    stands(&daemon, ResponseStatus::Rehearsed, 3).await;
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_done_is_in_the_log_and_triggers_nothing() {
    let gitlab = gitlab_with([4]).await;
    let clock = Clock::fixed(START);
    let setup = setup(clock.clone(), &gitlab, "", "").await;
    setup.rule(
        "own.yml",
        "title: Own\nid: own\nlevel: low\n\
         detection: {any: {event_type: response_acted}, condition: any}\n",
    );
    setup.rule(
        "asked.yml",
        "title: Asked\nid: asked\nlevel: low\n\
         detection: {any: {event_type: response_acted, self: true}, condition: any}\n",
    );
    let daemon = setup.start().await;
    // Whose its token is is known: then `self` is worked out, and no longer what the event says.
    daemon.metric_becomes("watchfire_rule_reloads_total", 1.0).await;
    offend(&daemon, [4]).await;
    stands(&daemon, ResponseStatus::Acted, 1).await;
    // Its steps are told when the clock moves on.
    clock.set(START.plus(Span::seconds(30)));
    until(|| daemon.alerts().len() >= 2, || format!("{:#?}", daemon.alerts())).await;
    daemon.judged().await;
    let rules: Vec<String> = daemon.raised().into_iter().map(|(rule, _)| rule).collect();
    assert_eq!(rules, ["everybody", "asked"], "the rule that asks for `self` and no other");
    let (status, found) = daemon.admin(Method::GET, "/api/v1/events?q=source:watchfire").await;
    assert_eq!(status, 200);
    let types: Vec<&str> = found["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| event["event_type"].as_str().unwrap())
        .collect();
    assert!(types.contains(&"response_acted") && types.contains(&"response_acting"), "{found}");
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_to_end_stays_in_force_while_its_action_tells_and_ends_when_it_is_back() {
    let gitlab = gitlab_with([4]).await;
    let clock = Clock::fixed(START);
    let setup = setup(clock.clone(), &gitlab, ", for: 1h", "approval: {actions: [hook]}").await;
    let daemon = setup.start().await;
    offend(&daemon, [4]).await;
    stands(&daemon, ResponseStatus::Acted, 1).await;
    daemon.stop().await;
    // Somebody gives its name to something else.
    let path = setup.path("watchfire.yaml");
    let as_it_was = std::fs::read_to_string(&path).unwrap();
    let responds = as_it_was.lines().find(|line| line.starts_with("  block:")).unwrap();
    let tells = "  block: {type: webhook, url: 'http://127.0.0.1:1/'}";
    std::fs::write(&path, as_it_was.replace(responds, tells)).unwrap();
    clock.set(START.plus(Span::hours(2)));
    let daemon = setup.start().await;
    until(|| responses(&daemon)[0].undo == UndoStatus::Failed, || format!("{:#?}", responses(&daemon))).await;
    let response = responses(&daemon).remove(0);
    let why = response.undo_summary.unwrap();
    assert!(why.contains("`block` does not respond any more, so this response stays in force"), "{why}");
    assert_eq!((notices(&daemon), gitlab.blocked()), (vec!["undo_failed".to_owned()], vec![4]));
    let asked = json!({"action": "block", "user": "4", "reason": "by hand"});
    assert_eq!(post(&daemon, "/api/v1/responses", asked.clone()).await.0, 422, "it cannot be asked, either");
    daemon.stop().await;
    std::fs::write(&path, as_it_was).unwrap();
    let daemon = setup.start().await;
    assert_eq!(gitlab.blocked(), [4]);
    let undo = json!({"ids": [response.id], "reason": "its time is over"});
    assert_eq!(post(&daemon, "/api/v1/responses/undo", undo).await.0, 200);
    until(|| gitlab.blocked().is_empty(), || format!("{:#?}", responses(&daemon))).await;
    until(|| responses(&daemon)[0].undo == UndoStatus::Undone, || format!("{:#?}", responses(&daemon))).await;
    assert_eq!(post(&daemon, "/api/v1/responses", asked).await.0, 202);
    until(|| gitlab.blocked() == [4], || format!("{:#?}", responses(&daemon))).await;
    daemon.stop().await;
}
