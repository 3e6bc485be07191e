use axum::http::header::{RETRY_AFTER, WWW_AUTHENTICATE};
use serde_json::json;

use super::*;
use crate::api::testing::{CONFIGURED, Setup, from, of};
use crate::time::Span;

const ME: &str = "/api/v1/me";

#[tokio::test]
async fn a_token_opens_what_its_role_reaches() {
    let setup = Setup::new(true);
    let paths = [
        (Role::Viewer, ME),
        (Role::Viewer, "/api/v1/alerts"),
        (Role::Analyst, "/api/v1/events"),
        (Role::Admin, "/api/v1/audit"),
    ];
    for role in Role::ALL {
        let token = setup.token(role.name(), role);
        for (needed, path) in paths {
            let (status, body) = setup.get(path, &token).await;
            assert_eq!(status, if role >= needed { 200 } else { 403 }, "{role:?} {path} {body}");
        }
        let (status, body) = setup.post("/api/v1/outbox/x/redrive", &token, json!({})).await;
        let code = if role >= Role::Responder { (404, "not_found") } else { (403, "forbidden") };
        assert_eq!((status, body["code"].as_str()), (code.0, Some(code.1)), "{role:?}");
    }
    let (_, me) = setup.get(ME, CONFIGURED).await;
    assert_eq!(me, json!({"id": null, "name": "api.token", "role": "admin", "expires_at": null}));
}

#[tokio::test]
async fn without_the_token_nobody_gets_in() {
    let setup = Setup::new(true);
    let good = setup.token("good", Role::Admin);
    let (id, _) = key::parts(good.as_bytes()).unwrap();
    let other_secret = format!("wf_{id}_{}", "0".repeat(64));
    let unknown = format!("wf_{}_{}", "0".repeat(12), "0".repeat(64));
    let (status, headers, _) = setup.send(of("GET", ME, None)).await;
    assert_eq!((status, headers[WWW_AUTHENTICATE].as_bytes()), (401, &b"Bearer"[..]));
    for wrong in ["", "t", "configured-admin-toke", &other_secret, &unknown, &good[..good.len() - 1]] {
        let (status, headers, body) = setup.send(of("GET", ME, Some(wrong))).await;
        assert_eq!(status, 401, "{wrong}: {body}");
        assert!(headers.contains_key(WWW_AUTHENTICATE), "{wrong}");
    }
    for method in ["GET", "POST", "DELETE", "PUT"] {
        assert_eq!(setup.json(of(method, "/api/v1/tokens", None)).await.0, 401);
    }
    assert_eq!(setup.get(ME, &good).await.0, 200);
    let bare = Setup::new(false);
    assert_eq!(bare.get(ME, CONFIGURED).await.0, 401, "no token is configured there");
}

#[tokio::test]
async fn an_expired_or_revoked_token_says_so_to_who_knows_its_secret() {
    let setup = Setup::new(false);
    let soon = setup.clock.now().plus(Span::minutes(5));
    let (short, long) =
        (setup.token_until("short", Role::Viewer, Some(soon)), setup.token("long", Role::Viewer));
    assert_eq!(setup.get(ME, &short).await.1["expires_at"], soon.to_string());
    setup.wait(Span::minutes(5));
    let (status, body) = setup.get(ME, &short).await;
    assert_eq!(
        (status, body["detail"].as_str()),
        (401, Some(format!("the token expired at {soon}").as_str()))
    );

    assert_eq!(setup.get(ME, &long).await.0, 200);
    let (id, _) = key::parts(long.as_bytes()).unwrap();
    let deed = crate::store::Deed::new(setup.clock.now(), "test", "test");
    assert!(setup.store.token_revoke(id, &deed).unwrap());
    // Another process did it: for a second the token is taken for what it was.
    assert_eq!(setup.get(ME, &long).await.0, 200);
    setup.wait(Span::seconds(1));
    let (status, body) = setup.get(ME, &long).await;
    assert!(status == 401 && body["detail"].as_str().unwrap().contains("revoked"), "{body}");
}

#[tokio::test]
async fn a_token_that_expires_within_its_minute_is_refused() {
    let setup = Setup::new(false);
    let soon = setup.clock.now().plus(Span::millis(500));
    let token = setup.token_until("short", Role::Viewer, Some(soon));
    assert_eq!(setup.get(ME, &token).await.0, 200);
    setup.wait(Span::millis(500));
    assert_eq!(setup.get(ME, &token).await.0, 401);
}

#[tokio::test]
async fn when_it_was_used_last_is_known_to_the_minute() {
    let setup = Setup::new(false);
    let token = setup.token("ci", Role::Viewer);
    let (id, _) = key::parts(token.as_bytes()).unwrap();
    let used = || setup.store.token(id).unwrap().unwrap().last_used_at;
    assert_eq!(used(), None);
    let start = setup.clock.now();
    for (seconds, expected) in [(0, start), (59, start), (1, start.plus(Span::minutes(1)))] {
        setup.wait(Span::seconds(seconds));
        assert_eq!(setup.get(ME, &token).await.0, 200);
        assert_eq!(used(), Some(expected), "after {seconds}");
    }
}

#[tokio::test]
async fn a_token_may_call_only_so_often() {
    let setup = Setup::with_rate(true, 2);
    let (one, other) = (setup.token("one", Role::Viewer), setup.token("other", Role::Viewer));
    for _ in 0..8 {
        assert_eq!(setup.get(ME, &one).await.0, 200);
    }
    let (status, headers, body) = setup.send(of("GET", ME, Some(&one))).await;
    assert_eq!((status, headers[RETRY_AFTER].as_bytes()), (429, &b"1"[..]), "{body}");
    assert_eq!(setup.get(ME, &other).await.0, 200, "others may");
    setup.wait(Span::millis(500));
    assert_eq!(setup.get(ME, &one).await.0, 200);
    assert_eq!(setup.get(ME, &one).await.0, 429);
}

#[tokio::test]
async fn an_address_may_be_wrong_only_so_often() {
    let setup = Setup::new(false);
    let good = setup.token("good", Role::Viewer);
    assert_eq!(setup.json(from("192.0.2.1", of("GET", ME, Some(&good)))).await.0, 200);
    for _ in 0..10 {
        assert_eq!(setup.json(from("192.0.2.1", of("GET", ME, Some("guess")))).await.0, 401);
    }
    let (status, headers, _) = setup.send(from("192.0.2.1", of("GET", ME, Some("guess")))).await;
    assert_eq!((status, headers[RETRY_AFTER].as_bytes()), (429, &b"6"[..]));
    assert_eq!(setup.json(from("192.0.2.2", of("GET", ME, Some("guess")))).await.0, 401);
    assert_eq!(
        setup.json(from("192.0.2.1", of("GET", ME, Some(&good)))).await.0,
        200,
        "who is known still gets in"
    );
    assert_eq!(setup.json(from("192.0.2.1", of("GET", ME, None))).await.0, 401, "no token is no guess");
    setup.wait(Span::seconds(6));
    assert_eq!(setup.json(from("192.0.2.1", of("GET", ME, Some("guess")))).await.0, 401);
}

/// Behind a proxy everybody has one address, and there are tokens that nobody renews: a wrong one every few seconds must
/// not lock the right ones out.
#[tokio::test]
async fn a_token_in_use_gets_in_although_wrong_ones_keep_coming() {
    let setup = Setup::new(false);
    let good = setup.token("good", Role::Viewer);
    assert_eq!(setup.json(from("192.0.2.1", of("GET", ME, Some(&good)))).await.0, 200);
    for _ in 0..11 {
        setup.json(from("192.0.2.1", of("GET", ME, Some("guess")))).await;
    }
    for second in (0..180).step_by(6) {
        setup.wait(Span::seconds(6));
        assert_eq!(setup.json(from("192.0.2.1", of("GET", ME, Some("guess")))).await.0, 401);
        let (status, body) = setup.json(from("192.0.2.1", of("GET", ME, Some(&good)))).await;
        assert_eq!(status, 200, "after {second} seconds: {body}");
    }
}

/// All of them ask before the first one is known to be wrong.
#[tokio::test]
async fn wrong_tokens_at_the_same_time_are_no_way_around_the_limit() {
    let setup = Setup::new(false);
    let good = setup.token("good", Role::Viewer);
    let (id, _) = key::parts(good.as_bytes()).unwrap();
    let wrong = format!("wf_{id}_{}", "0".repeat(64));
    let calls = (0..30).map(|_| setup.json(from("192.0.2.1", of("GET", ME, Some(&wrong)))));
    let answers = futures_all(calls).await;
    let checked = answers.iter().filter(|(status, _)| *status == 401).count();
    assert!((10..=11).contains(&checked), "{checked} of them were checked");
}

/// All of these at once, on one task.
async fn futures_all<F: Future>(futures: impl Iterator<Item = F>) -> Vec<F::Output> {
    let mut open: Vec<_> = futures.map(|future| (Box::pin(future), None)).collect();
    std::future::poll_fn(|context| {
        for (future, output) in &mut open {
            if output.is_none()
                && let std::task::Poll::Ready(found) = future.as_mut().poll(context)
            {
                *output = Some(found);
            }
        }
        let is_done = open.iter().all(|(_, output)| output.is_some());
        if is_done { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    open.into_iter().map(|(_, output)| output.unwrap()).collect()
}

/// What waits for a search is bounded, and what nobody waits for any more makes room.
#[tokio::test]
async fn searches_beyond_the_queue_are_refused() {
    let setup = Setup::new(true);
    let guard = Arc::clone(&setup.guard);
    let all = guard.searches.available_permits();
    let turns = Arc::clone(&guard.searches).acquire_many_owned(u32::try_from(all).unwrap()).await;
    let ask = || setup.json(of("GET", "/api/v1/events", Some(CONFIGURED)));
    let mut waiting: Vec<_> = (0..guard.waiting.available_permits()).map(|_| Box::pin(ask())).collect();
    while guard.waiting.available_permits() > 0 {
        for call in &mut waiting {
            tokio::select! { biased; _ = call => panic!("answered"), () = tokio::task::yield_now() => {} }
        }
    }
    let (status, headers, body) = setup.send(of("GET", "/api/v1/events", Some(CONFIGURED))).await;
    assert_eq!(status, 503, "{body}");
    assert!(headers.contains_key(RETRY_AFTER), "{headers:?}");
    drop(waiting);
    while guard.waiting.available_permits() == 0 {
        tokio::task::yield_now().await;
    }
    drop(turns);
    assert_eq!(ask().await.0, 200);
}
