//! The clock is set, forward and back, while the daemon runs: nothing is lost, nothing is taken twice, windows count on.

use serde_json::json;
use watchfire::clock::Clock;
use watchfire::store::OutboxState;
use watchfire::time::Span;

use crate::harness::{START, Setup, at, clone, deed, is_done, until};
use crate::receiver::Receiver;

const COUNT: &str = "title: Many\nid: many\nlogsource: {product: gitlab}\n\
    detection: {any: {event_type: repository_git_operation}, condition: any}\n\
    behavior: {by: author_id, within: 10m, at_least: 6}\n";

const ABSENCE: &str = "title: Left open\nid: left-open\nlogsource: {product: gitlab}\n\
    detection: {opened: {event_type: protected_branch_removed}, closed: {event_type: protected_branch_created}, \
    condition: opened or closed}\nbehavior: {by: author_id, absence: {of: closed, after: opened}, within: 30m}\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn windows_and_duplicates_know_nothing_of_the_clock() {
    // Put back and forward again in the middle of a window, by more and less than what is taken for the future.
    for steps in [[-4, 4], [-120, 120], [120, -120], [1200, -1200], [2880, -2880]] {
        let clock = Clock::fixed(at(0));
        let setup = Setup::new(clock.clone(), "");
        setup.rule("many.yml", COUNT);
        let daemon = setup.start().await;
        let event = |number: i64| clone(7, 100 + number, at(number * 20));
        for number in 0..6 {
            clock.set(clock.now().plus(Span::seconds(20)));
            if number == 2 {
                clock.step(Span::minutes(steps[0]));
            }
            if number == 4 {
                clock.step(Span::minutes(steps[1]));
            }
            daemon.post(&event(number)).await;
            for earlier in 0..=number {
                let (status, answer) = daemon.gitlab(&event(earlier).to_string()).await;
                assert_eq!((status, &answer["duplicates"]), (200, &json!(1)), "{steps:?}: {answer}");
            }
        }
        daemon.judged().await;
        assert_eq!(daemon.stored().len(), 6);
        let ledger = daemon.app.store().ledger().unwrap();
        let unjudged: u64 = ledger.iter().map(|entry| entry.count).sum();
        let alerts = daemon.alerts();
        // A clock that lags by two hours makes events look as if they came from the future: judged at their arrival,
        // they are too late for a window that has seen later ones, and the ledger says so.
        if steps[0] == -120 {
            assert_eq!((alerts.len(), unjudged), (0, 2), "{steps:?}: {ledger:?}");
        } else {
            assert_eq!((alerts.len(), unjudged), (1, 0), "{steps:?}: {ledger:?}");
            assert!((alerts[0].value - 6.0).abs() < f64::EPSILON, "{steps:?}");
        }
        // A restart comes to the same.
        let before = daemon.alerts();
        daemon.stop().await;
        let daemon = setup.start().await;
        assert_eq!(daemon.alerts(), before);
        daemon.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_put_forward_is_no_time_that_passed() {
    let clock = Clock::fixed(START);
    let setup = Setup::new(clock.clone(), "");
    setup.rule("left-open.yml", ABSENCE);
    let daemon = setup.start().await;
    daemon.post_all(&[deed("protected_branch_removed", 4, at(0))]).await;
    clock.set(at(6 * 60));
    // A day forward, and soon after back again: nothing was left open for half an hour.
    clock.step(Span::days(1));
    clock.set(clock.now().plus(Span::seconds(2)));
    clock.set(clock.now().plus(Span::seconds(2)));
    daemon.post_all(&[deed("user_created", 9, at(6 * 60 + 4))]).await;
    clock.step(Span::days(-1));
    clock.set(clock.now().plus(Span::seconds(2)));
    daemon.post_all(&[deed("protected_branch_created", 4, at(7 * 60))]).await;
    clock.set(at(80 * 60));
    daemon.post_all(&[deed("user_created", 9, at(80 * 60))]).await;
    assert!(daemon.alerts().is_empty(), "{:#?}", daemon.alerts());
    // And time that does pass still counts.
    daemon.post_all(&[deed("protected_branch_removed", 5, at(80 * 60))]).await;
    until(
        || {
            clock.set(clock.now().plus(Span::minutes(1)));
            !daemon.alerts().is_empty()
        },
        || "the clock brings no alert any more".to_owned(),
    )
    .await;
    assert_eq!(daemon.only_alert().key.get("author_id"), Some("5"));
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delivery_does_not_wait_for_a_clock_that_was_put_back() {
    let receiver = Receiver::start().await;
    receiver.always(Some(503));
    let clock = Clock::fixed(START);
    let sections = format!(
        "actions:\n  hook: {{type: webhook, url: '{}'}}\nroutes: [{{actions: [hook]}}]\n",
        receiver.url("/hook")
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
    receiver.always(None);
    clock.step(Span::days(-30));
    // The ladder's first rung is a second and a bit; a minute later at the latest the worker looks around anyway.
    until(
        || {
            clock.set(clock.now().plus(Span::seconds(1)));
            daemon.deliveries(&alert).iter().any(is_done)
        },
        || format!("{:#?}", daemon.deliveries(&alert)),
    )
    .await;
    assert!(clock.now() < START.minus(Span::days(29)), "within a day of waiting");
    assert_eq!(receiver.taken("/hook").len(), 1);
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delivery_put_off_by_a_clock_that_was_years_ahead_is_made() {
    let receiver = Receiver::start().await;
    receiver.always(Some(503));
    let clock = Clock::fixed(START.plus(Span::days(3 * 365)));
    let sections = format!(
        "actions:\n  hook: {{type: webhook, url: '{}'}}\nroutes: [{{actions: [hook]}}]\n",
        receiver.url("/hook")
    );
    let setup = Setup::new(clock.clone(), &sections);
    setup.rule(
        "deleted.yml",
        "title: Deleted\nid: deleted\nlogsource: {product: gitlab}\n\
         detection: {any: {event_type: project_destroyed}, condition: any}\n",
    );
    let daemon = setup.start().await;
    daemon.post_all(&[deed("project_destroyed", 4, at(0))]).await;
    let alert = daemon.only_alert();
    daemon.delivery(&alert, "hook", |row| row.attempts == 1).await;
    daemon.stop().await;
    receiver.always(None);
    clock.step(Span::days(-3 * 365));
    let daemon = setup.start().await;
    clock.set(START.plus(Span::hours(10)));
    daemon.delivery(&alert, "hook", is_done).await;
    daemon.stop().await;
}
