use serde_json::json;

use crate::alert::{AlertId, Occasion};
use crate::api::testing::{Setup, of};
use crate::respond::{Link, Signer};
use crate::store::{
    AlertTerms, Decision, DeliveryKind, OutboxRow, OutboxState, Parked, Response, ResponseStatus, Role,
};
use crate::time::Span;

const RESPONSES: &str = "/api/v1/responses";

/// A response that waits for so many.
fn waits(setup: &Setup, unique: &str, needed: u32) -> Response {
    let now = setup.clock.now();
    let about = (AlertId("0123".into()), "block");
    let row = OutboxRow::owed(DeliveryKind::Respond, about, unique, now);
    setup.store.note_with_deliveries("test", b"", std::slice::from_ref(&row)).unwrap();
    let mut response = Response::new(row.id, "block", "block", now);
    (response.who, response.approvals_needed) = (Some("user 7 (<b>alice</b>)".into()), needed);
    setup.store.response_begin(&response, now).unwrap();
    let until = now.plus(Span::hours(4));
    setup.store.response_park(&response, &Parked { until, notices: Vec::new(), limit: None }, now).unwrap();
    setup.store.response(&response.id).unwrap().unwrap()
}

fn link(setup: &Setup, response: &Response, decision: Decision) -> String {
    let until = response.expires_at.unwrap();
    let link = Link { response: response.id.clone(), decision, until, recipient: "mail-secops".into() };
    format!("/approve/{}", Signer::of(&setup.store).unwrap().sign(&link))
}

fn status(setup: &Setup, id: &str) -> ResponseStatus {
    setup.store.response(id).unwrap().unwrap().status
}

#[tokio::test]
async fn a_token_approves_by_its_role_and_not_twice() {
    let setup = Setup::new(true);
    let (viewer, ann, bob) = (
        setup.token("v", Role::Viewer),
        setup.token("ann", Role::Responder),
        setup.token("bob", Role::Responder),
    );
    let response = waits(&setup, "a", 2);
    let path = format!("{RESPONSES}/{}", response.id);
    let approve = format!("{path}/approve");
    assert_eq!(setup.post(&approve, &viewer, json!({})).await.0, 403);
    let (code, shown) = setup.post(&approve, &ann, json!({})).await;
    assert_eq!((code, &shown["response"]["status"]), (200, &json!("waiting")));
    assert_eq!(setup.post(&approve, &ann, json!({})).await.0, 409);
    let (code, shown) = setup.post(&approve, &bob, json!({})).await;
    assert_eq!((code, &shown["response"]["status"]), (200, &json!("begun")));
    assert_eq!(shown["response"]["approvals"].as_array().unwrap().len(), 2);
    let row = setup.store.outbox_get(&response.id).unwrap().unwrap();
    assert_eq!((row.state, row.due_at), (OutboxState::Pending, setup.clock.now()));
    let (_, list) = setup.get(&format!("{RESPONSES}?action=block"), &viewer).await;
    assert_eq!(list["items"].as_array().unwrap().len(), 1);
    assert_eq!(setup.post(&format!("{RESPONSES}/none/approve"), &ann, json!({})).await.0, 404);
    let other = waits(&setup, "b", 1);
    let refuse = format!("{RESPONSES}/{}/refuse", other.id);
    assert_eq!(setup.post(&refuse, &ann, json!({})).await.0, 200);
    assert_eq!(status(&setup, &other.id), ResponseStatus::Declined);
}

#[tokio::test]
async fn a_link_that_is_opened_changes_nothing_and_its_button_serves_once() {
    let setup = Setup::new(true);
    let response = waits(&setup, "a", 1);
    let approve = link(&setup, &response, Decision::Approve);
    for _ in 0..20 {
        let (code, headers, body) = setup.send(of("GET", &approve, None)).await;
        assert_eq!((code, headers["cache-control"].to_str().unwrap()), (200, "no-store"));
        assert!(body.contains("<form method=\"post\">") && body.contains("&lt;b&gt;alice"), "{body}");
    }
    assert_eq!(status(&setup, &response.id), ResponseStatus::Waiting, "mail scanners open every link");
    let (code, _, body) = setup.send(of("POST", &approve, None)).await;
    assert!(code == 200 && body.contains("It is being done now"), "{body}");
    assert_eq!(status(&setup, &response.id), ResponseStatus::Begun);
    let (code, _, body) = setup.send(of("POST", &approve, None)).await;
    assert!(code == 409 && body.contains("waits for nobody"), "{body}");
    let admin = setup.token("a", Role::Admin);
    let (_, audit) = setup.get("/api/v1/audit", &admin).await;
    let audit = audit.to_string();
    assert!(
        audit.contains("mail-secops (link)") && audit.contains("refused: it waits for nobody"),
        "{audit}"
    );
}

/// Who pressed was not told what it waits for now, as a limit that is reached meanwhile.
#[tokio::test]
async fn a_link_of_an_earlier_message_decides_nothing_that_is_asked_later() {
    let setup = Setup::new(true);
    let response = waits(&setup, "a", 1);
    let early = link(&setup, &response, Decision::Approve);
    let (ann, now) = (setup.token("ann", Role::Responder), setup.clock.now());
    assert_eq!(setup.post(&format!("{RESPONSES}/{}/approve", response.id), &ann, json!({})).await.0, 200);
    let mut again = setup.store.response_begin(&response, now).unwrap();
    (again.limit, again.beyond) = (Some("1 per 1h".into()), Some("the limit is reached".into()));
    let until = now.plus(Span::hours(5));
    setup.store.response_park(&again, &Parked { until, notices: Vec::new(), limit: None }, now).unwrap();
    let (code, _, body) = setup.send(of("GET", &early, None)).await;
    assert!(code == 200 && body.contains("asked for anew") && !body.contains("<form"), "{body}");
    assert_eq!(setup.send(of("POST", &early, None)).await.0, 409);
    assert_eq!(status(&setup, &response.id), ResponseStatus::Waiting);
    let late = link(&setup, &setup.store.response(&response.id).unwrap().unwrap(), Decision::Approve);
    assert_eq!(setup.send(of("POST", &late, None)).await.0, 200);
    let limits = &setup.store.response(&response.id).unwrap().unwrap().approvals[1].limits;
    assert_eq!(limits, &["1 per 1h"], "what the page said");
}

#[tokio::test]
async fn wrong_and_late_links_open_nothing_and_are_not_tried_for_long() {
    let setup = Setup::new(true);
    let response = waits(&setup, "a", 1);
    let good = link(&setup, &response, Decision::Refuse);
    let mut forged = good.clone();
    forged.replace_range(12..13, if &good[12..13] == "A" { "B" } else { "A" });
    assert_eq!(setup.send(of("POST", &forged, None)).await.0, 404);
    setup.wait(Span::hours(4));
    assert_eq!(setup.send(of("POST", &good, None)).await.0, 410);
    assert_eq!(status(&setup, &response.id), ResponseStatus::Waiting);
    let mut last = 0;
    for _ in 0..200 {
        last = setup.send(of("GET", "/approve/x.y", None)).await.0;
    }
    assert_eq!(last, 429);
}

/// A daemon has run with these actions.
fn configured(setup: &Setup) {
    let wants = [
        ("block", Occasion::Opened),
        ("block", Occasion::Undo),
        ("unblock", Occasion::Undo),
        ("mail", Occasion::Opened),
    ];
    let wants = wants.map(|(action, occasion)| (action.to_owned(), occasion)).to_vec();
    setup.store.set_alert_terms(&AlertTerms { wants, ..AlertTerms::default() }).unwrap();
}

#[tokio::test]
async fn only_an_action_that_responds_is_asked() {
    let setup = Setup::new(true);
    let ann = setup.token("ann", Role::Responder);
    let wanted = |action: &str| json!({"action": action, "user": "7", "reason": "case"});
    let (code, problem) = setup.post(RESPONSES, &ann, wanted("block")).await;
    assert_eq!((code, &problem["help"]), (404, &json!("no action that responds is configured")));
    configured(&setup);
    for (action, code, detail, help) in [
        ("blokc", 404, "there is no action `blokc`", "did you mean `block`?"),
        ("x", 404, "there is no action `x`", "those that respond are `block`, `unblock`"),
        ("mail", 422, "`action`: the action `mail` tells people or programs, and does not respond", "block"),
    ] {
        let (found, problem) = setup.post(RESPONSES, &ann, wanted(action)).await;
        assert_eq!((found, &problem["detail"]), (code, &json!(detail)), "{problem}");
        assert!(problem["help"].as_str().unwrap().contains(help), "{problem}");
    }
    assert_eq!(setup.store.outbox_counts().unwrap().pending, 0);
}

#[tokio::test]
async fn the_same_request_is_the_same_response() {
    let setup = Setup::new(true);
    configured(&setup);
    let (ann, bob) = (setup.token("ann", Role::Responder), setup.token("bob", Role::Responder));
    let ask = |token: &str, user: &str, key: Option<&str>| {
        let mut request = of("POST", RESPONSES, Some(token));
        let body = json!({"action": "block", "user": user, "reason": "case"});
        *request.body_mut() = body.to_string().into();
        request.headers_mut().insert("content-type", "application/json".parse().unwrap());
        if let Some(key) = key {
            request.headers_mut().insert("idempotency-key", key.parse().unwrap());
        }
        setup.json(request)
    };
    let (code, first) = ask(&ann, "7", Some("case-1")).await;
    assert_eq!(code, 202);
    setup.wait(Span::minutes(5));
    let (code, again) = ask(&ann, "7", Some("case-1")).await;
    assert_eq!((code, &again["id"]), (202, &first["id"]));
    assert_eq!(ask(&ann, "8", Some("case-1")).await.0, 409, "something else under the same key");
    assert_eq!(ask(&ann, "8", Some("a b")).await.0, 400);
    let (_, others) = ask(&bob, "7", Some("case-1")).await;
    assert_ne!(others["id"], first["id"], "a key is its caller's");
    let (_, plain) = ask(&ann, "7", None).await;
    let (code, at_once) = ask(&ann, "7", None).await;
    assert_eq!((code, &at_once["id"]), (202, &plain["id"]), "in the same millisecond");
    setup.wait(Span::millis(1));
    let (_, later) = ask(&ann, "7", None).await;
    assert_ne!(later["id"], plain["id"]);
    assert_eq!(setup.store.outbox_counts().unwrap().pending, 4);
    let audit = setup.get("/api/v1/audit", &setup.token("a", Role::Admin)).await.1.to_string();
    assert!(audit.contains("was asked for already"), "{audit}");
}

#[tokio::test]
async fn responses_are_asked_for_stopped_and_undone_by_responders() {
    let setup = Setup::new(true);
    configured(&setup);
    let (analyst, responder) = (setup.token("a", Role::Analyst), setup.token("r", Role::Responder));
    let wanted = json!({"action": "block", "user": "7", "reason": "case"});
    assert_eq!(setup.post(RESPONSES, &analyst, wanted.clone()).await.0, 403);
    let (code, made) = setup.post(RESPONSES, &responder, wanted.clone()).await;
    assert_eq!((code, &made["status"]), (202, &json!("begun")));
    assert!(made["requested_by"].as_str().unwrap().starts_with("r (wf_"));
    for wrong in [
        json!({"action": "block", "reason": "r"}),
        json!({"action": "", "user": "7", "reason": "r"}),
        json!({"action": "block", "user": "7", "reason": " "}),
    ] {
        assert_eq!(setup.post(RESPONSES, &responder, wrong).await.0, 422);
    }
    let unknown = json!({"action": "block", "alert": "none", "reason": "r"});
    assert_eq!(setup.post(RESPONSES, &responder, unknown).await.0, 404);
    let stop = json!({"reason": "wrong rule"});
    assert_eq!(setup.post("/api/v1/respond/stop", &analyst, stop.clone()).await.0, 403);
    assert_eq!(setup.post("/api/v1/respond/stop", &responder, stop.clone()).await.0, 204);
    assert_eq!(setup.post("/api/v1/respond/stop", &responder, stop.clone()).await.0, 409);
    // Another one than the one before: that is another moment.
    setup.wait(Span::millis(1));
    assert_eq!(setup.post(RESPONSES, &responder, wanted).await.0, 409);
    let (_, state) = setup.get("/api/v1/respond", &analyst).await;
    assert_eq!((&state["stopped"], &state["reason"]), (&json!(true), &json!("wrong rule")));
    assert_eq!(setup.post("/api/v1/respond/resume", &responder, stop).await.0, 204);
    let undo = format!("{RESPONSES}/undo");
    assert_eq!(setup.post(&undo, &responder, json!({"reason": "r"})).await.0, 422, "it must be said which");
    let both = json!({"ids": [made["id"]], "all": true, "reason": "r"});
    assert_eq!(setup.post(&undo, &responder, both).await.0, 422, "it is not said which");
    let (code, asked) = setup.post(&undo, &responder, json!({"ids": [made["id"]], "reason": "r"})).await;
    assert_eq!(code, 200);
    assert!(asked["items"][0]["refused"].as_str().unwrap().contains("changed nothing"), "{asked}");
    let (_, shown) = setup.get(&format!("{RESPONSES}/{}", made["id"].as_str().unwrap()), &analyst).await;
    assert_eq!(shown["steps"][0]["status"], "asked");
}
