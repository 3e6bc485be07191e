//! What every action that speaks HTTP must do, whatever its kind.

use super::stand_in::{SECRET, Say, StandIn, action, hang_up, never_answer};
use super::{Action, GuardInput};
use crate::deliver::DeliveryError;
use crate::encode::tests_support::notification;
use crate::store::Outcome;
use crate::time::{Span, Timestamp};

/// A token in the path, as chat services have them.
const PATH: &str = "/services/T000-path-token";

const GUARD: GuardInput = GuardInput { recent: 0, now: Timestamp(1_769_850_000_000) };

/// Every kind with a secret, against `url`. The timeout is short only where nobody answers.
fn all(url: &str, timeout: &str) -> Vec<Action> {
    [
        format!("{{type: webhook, url: '{url}{PATH}?token=query-token-123', secret: {{env: SECRET}}, timeout: {timeout}}}"),
        format!("{{type: http, url: '{url}{PATH}?token=query-token-123', headers: {{Authorization: {{env: SECRET}}}}, timeout: {timeout}}}"),
    ]
    .iter()
    .map(|yaml| action(yaml))
    .collect()
}

async fn run(action: &Action) -> Result<Outcome, DeliveryError> {
    action.run(&notification(), &GUARD).await
}

/// Nothing a person or a log sees may hold a secret.
fn assert_silent(action: &Action, result: &Result<Outcome, DeliveryError>) {
    let shown = format!(
        "{action:?} {result:?} {}",
        result.as_ref().map_or_else(ToString::to_string, |o| o.summary.clone())
    );
    for secret in [SECRET, "path-token", "query-token"] {
        assert!(!shown.contains(secret), "{shown}");
    }
}

#[tokio::test]
async fn statuses_mean_the_same_everywhere() {
    for status in [300, 301, 307, 400, 401, 403, 408, 409, 410, 413, 422, 425, 429, 500, 502, 503, 504] {
        let echo = format!("no {SECRET} at {PATH}?token=query-token-123 Bearer {SECRET}");
        let say = Say { status, body: echo, headers: vec![("location", "http://127.0.0.1:1/".into())] };
        let server = StandIn::start(vec![say]).await;
        for action in all(&server.url(), "30s") {
            let result = run(&action).await;
            assert_silent(&action, &result);
            let may_pass = matches!(status, 408 | 425 | 429 | 500..);
            match &result {
                Err(DeliveryError::Retryable { reason, .. }) if may_pass => {
                    assert!(reason.contains(&status.to_string()))
                }
                Err(DeliveryError::Permanent { reason }) if !may_pass => {
                    assert!(reason.contains(&status.to_string()))
                }
                other => panic!("{status} {action:?}: {other:?}"),
            }
        }
        assert_eq!(server.asked().len(), 2, "one request each, and no redirect is followed");
    }
}

#[tokio::test]
async fn a_receivers_wish_for_patience_is_passed_on() {
    for (name, value) in [("retry-after", "77"), ("ratelimit-reset", "1769850077")] {
        let server = StandIn::start(vec![Say {
            status: 429,
            headers: vec![(name, value.into())],
            body: String::new(),
        }])
        .await;
        for action in all(&server.url(), "30s") {
            match run(&action).await {
                Err(DeliveryError::Retryable { after, .. }) => {
                    assert_eq!(after, Some(Span::seconds(77)), "{action:?}")
                }
                other => panic!("{action:?}: {other:?}"),
            }
        }
    }
}

#[tokio::test]
async fn trouble_on_the_way_may_pass() {
    let closed = {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap()
    };
    for address in [closed, hang_up().await, never_answer().await] {
        for action in all(&format!("http://{address}"), "300ms") {
            let result = run(&action).await;
            assert_silent(&action, &result);
            match result {
                Err(DeliveryError::Retryable { reason, after: None }) => {
                    assert!(reason.contains(&address.to_string()), "{reason}");
                }
                other => panic!("{action:?}: {other:?}"),
            }
        }
    }
}

#[tokio::test]
async fn huge_answers_are_not_swallowed() {
    let server = StandIn::start(vec![Say { status: 500, body: "x".repeat(3 << 20), ..Say::default() }]).await;
    for action in all(&server.url(), "30s") {
        let reason = run(&action).await.unwrap_err().reason().to_owned();
        assert!(reason.len() < 500, "{} bytes", reason.len());
    }
}
