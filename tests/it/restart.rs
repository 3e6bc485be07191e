//! Stopped and started again: what was known is known, what was owed is delivered, nothing twice.

use std::io::{Read, Write};
use std::net::TcpStream;

use watchfire::clock::Clock;
use watchfire::store::OutboxState;
use watchfire::time::Span;

use crate::harness::{START, Setup, TOKEN, at, clone, deed, is_done, until};
use crate::process::Place;
use crate::receiver::Receiver;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_window_goes_on_where_it_was() {
    let setup = Setup::new(Clock::system(), "");
    setup.shipped_rule("mass-clone.yml");
    let mut daemon = setup.start().await;
    for number in 0..25 {
        if number % 5 == 3 {
            daemon.stop().await;
            daemon = setup.start().await;
        }
        daemon.post_all(&[clone(7, 100 + number, at(number * 20))]).await;
    }
    let alert = daemon.only_alert();
    assert_eq!((alert.findings, alert.value, alert.started_at), (6, 25.0, at(19 * 20)));
    daemon.stop().await;
    let daemon = setup.start().await;
    assert_eq!(daemon.only_alert(), alert, "a start alone changes nothing");
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_owed_is_delivered_after_the_restart() {
    let receiver = Receiver::start().await;
    receiver.always(Some(503));
    let clock = Clock::fixed(START);
    let sections = format!(
        "actions:\n  hook: {{type: webhook, url: '{}'}}\nroutes: [{{actions: [hook]}}]\n\
         forward: [{{name: siem, type: http, url: '{}', batch: 2}}]\n",
        receiver.url("/hook"),
        receiver.url("/siem")
    );
    let setup = Setup::new(clock.clone(), &sections);
    let rule = "title: Deleted\nid: deleted\nlogsource: {product: gitlab}\n\
                detection: {any: {event_type: project_destroyed}, condition: any}\n";
    setup.rule("deleted.yml", rule);
    let daemon = setup.start().await;
    daemon.post_all(&[deed("project_destroyed", 4, at(0))]).await;
    let alert = daemon.only_alert();
    let refused = daemon.delivery(&alert, "hook", |row| row.attempts == 1).await;
    assert_eq!(refused.state, OutboxState::Pending);
    until(|| !receiver.at("/siem").is_empty(), || "the forwarder does not try".to_owned()).await;
    daemon.post_all(&[deed("project_destroyed", 5, at(1)), deed("user_created", 5, at(2))]).await;
    daemon.stop().await;
    assert!(receiver.taken("/hook").is_empty() && receiver.taken("/siem").is_empty());

    receiver.always(None);
    let tried = receiver.at("/hook").len();
    clock.set(at(600));
    let daemon = setup.start().await;
    daemon.delivered().await;
    let hooks = receiver.taken("/hook");
    let ids: Vec<&str> = hooks.iter().map(|hook| hook.header("webhook-id")).collect();
    assert_eq!(ids.len(), 2, "{tried} were refused");
    assert!(ids.contains(&refused.id.as_str()), "the key stays the same over the restart");
    for alert in daemon.alerts() {
        daemon.delivery(&alert, "hook", is_done).await;
    }
    until(|| receiver.lines("/siem").len() >= 3, || format!("{:?}", receiver.lines("/siem"))).await;
    daemon.post_all(&[deed("user_created", 6, at(3))]).await;
    until(|| receiver.lines("/siem").len() >= 4, || format!("{:?}", receiver.lines("/siem"))).await;
    daemon.stop().await;
    let daemon = setup.start().await;
    daemon.post_all(&[deed("user_created", 7, at(4))]).await;
    until(|| receiver.lines("/siem").len() >= 5, || format!("{:?}", receiver.lines("/siem"))).await;
    let authors: Vec<i64> =
        receiver.lines("/siem").iter().filter_map(|event| event["author_id"].as_i64()).collect();
    assert_eq!(authors, [4, 5, 5, 6, 7], "each once, in order");
    assert_eq!(receiver.taken("/hook").len(), 2);
    daemon.stop().await;
}

const ABSENCE: &str = "title: Left open\nid: left-open\nlogsource: {product: gitlab}\n\
    detection: {opened: {event_type: protected_branch_removed}, closed: {event_type: protected_branch_created}, \
    condition: opened or closed}\nbehavior: {by: author_id, absence: {of: closed, after: opened}, within: 30m}\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_does_not_happen_is_noticed_by_the_clock_alone() {
    let clock = Clock::fixed(START);
    let setup = Setup::new(clock.clone(), "");
    setup.rule("left-open.yml", ABSENCE);
    let daemon = setup.start().await;
    let opened = |author, time| deed("protected_branch_removed", author, time);
    daemon.post_all(&[opened(4, at(0)), opened(5, at(1)), deed("protected_branch_created", 5, at(60))]).await;
    clock.set(at(30 * 60));
    clock.set(at(34 * 60));
    daemon.stop().await;
    let daemon = setup.start().await;
    assert!(daemon.alerts().is_empty(), "an answer could still be under way");
    // Being down is not being idle: the clock counts once sources had time to read what they missed.
    clock.set(at(40 * 60));
    until(|| !daemon.alerts().is_empty(), || "the clock brings no alert".to_owned()).await;
    let alert = daemon.only_alert();
    assert_eq!((alert.key.get("author_id"), alert.started_at), (Some("4"), at(30 * 60)));
    // The tick is in the log: a restart judges the same.
    daemon.stop().await;
    let daemon = setup.start().await;
    clock.set(START.plus(Span::days(1)));
    daemon.post_all(&[deed("user_created", 9, START.plus(Span::days(1)))]).await;
    assert_eq!(daemon.only_alert(), alert);
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pipe_that_stays_open_does_not_hold_up_the_end() {
    let config = "logging: {format: json}\nsources: [{name: pipe, type: stdin, format: gitlab}]\n";
    let place = Place::new(config, &[]);
    let mut command = place.command();
    command.stdin(std::process::Stdio::piped());
    let program = place.spawn(command);
    assert!(program.ready().await, "{}", program.log());
    program.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_refused_while_it_stops_belongs_to_the_gap() {
    let clock = Clock::fixed(START);
    let setup = Setup::new(clock.clone(), "");
    let daemon = setup.start().await;
    let address = daemon.app.address();
    let mut slow = TcpStream::connect(address).unwrap();
    write!(
        slow,
        "POST /ingest/gitlab HTTP/1.1\r\nHost: h\r\nX-Gitlab-Event-Streaming-Token: {TOKEN}\r\n\
         Expect: 100-continue\r\nContent-Length: 10\r\n\r\n"
    )
    .unwrap();
    let mut begun = [0; 12];
    slow.read_exact(&mut begun).unwrap();
    assert_eq!(&begun, b"HTTP/1.1 100");
    let stopping = tokio::spawn(daemon.stop());
    until(|| TcpStream::connect(address).is_err(), || "it still listens".into()).await;
    clock.set(at(60));
    drop(slow);
    stopping.await.unwrap();
    let daemon = setup.start().await;
    let gaps = daemon.app.store().gaps(0).unwrap();
    assert_eq!(gaps.len(), 2, "one for each source");
    assert!(gaps.iter().all(|gap| (gap.from, gap.to) == (START, at(60))), "{gaps:?}");
    daemon.stop().await;
}
