use serde_json::{Value, json};

use crate::api::testing::{CONFIGURED, Setup, from, of};
use crate::store::Role;

async fn rows(setup: &Setup) -> Vec<Value> {
    let (status, body) = setup.get("/api/v1/audit", CONFIGURED).await;
    assert_eq!(status, 200);
    body["items"].as_array().unwrap().clone()
}

#[tokio::test]
async fn what_was_changed_and_what_was_refused_is_recorded_once() {
    let setup = Setup::new(true);
    let wanted = json!({"name": "soc", "role": "viewer", "valid_days": 30});
    let (status, made) = setup.post("/api/v1/tokens", CONFIGURED, wanted.clone()).await;
    assert_eq!(status, 201);
    let (token, id) = (made["token"].as_str().unwrap(), made["id"].as_str().unwrap());
    assert_eq!(setup.post("/api/v1/tokens", CONFIGURED, wanted).await.0, 409);
    assert_eq!(setup.post("/api/v1/tokens", token, json!({})).await.0, 403);
    let path = format!("/api/v1/tokens/{id}");
    assert_eq!(setup.json(from("192.0.2.9", of("DELETE", &path, Some(CONFIGURED)))).await.0, 204);
    assert_eq!(setup.json(of("DELETE", &path, Some(CONFIGURED))).await.0, 404);
    // None of these would have changed anything.
    setup.get("/api/v1/alerts", CONFIGURED).await;
    setup.json(of("DELETE", "/api/v1/alerts", Some(CONFIGURED))).await;
    setup.json(of("DELETE", "/api/v1/nowhere", Some(CONFIGURED))).await;
    setup.json(of("DELETE", &path, Some("wrong"))).await;

    let rows = rows(&setup).await;
    let told: Vec<(&str, &str, &str)> = rows
        .iter()
        .rev()
        .map(|row| {
            (row["author"].as_str().unwrap(), row["what"].as_str().unwrap(), row["outcome"].as_str().unwrap())
        })
        .collect();
    let (admin, soc) = ("api.token (configuration)", format!("soc (wf_{id})"));
    let delete = format!("DELETE {path}");
    assert_eq!(
        told,
        [
            (admin, "POST /api/v1/tokens", "done"),
            (admin, "POST /api/v1/tokens", "refused: 409 conflict"),
            (&soc, "POST /api/v1/tokens", "refused: 403 forbidden"),
            (admin, &delete, "done"),
            (admin, &delete, "refused: 404 not_found"),
        ]
    );
    assert_eq!(rows[1]["address"], "192.0.2.9");
    let request = rows[4]["request"].as_str().unwrap();
    assert_eq!(request, format!("name \"soc\", role viewer, valid for 30 days, id {id}"));
    let secret = token.rsplit('_').next().unwrap();
    assert!(!serde_json::to_string(&rows).unwrap().contains(secret));
    let (_, verified) = setup.get("/api/v1/audit/verify", CONFIGURED).await;
    assert_eq!(
        (&verified["intact"], &verified["rows"], &verified["head"]),
        (&json!(true), &json!(5), &rows[0]["hash"])
    );
}

#[tokio::test]
async fn a_wrong_row_is_named() {
    let setup = Setup::new(true);
    for name in ["a", "b", "c"] {
        setup.token(name, Role::Viewer);
    }
    let meddle = rusqlite::Connection::open(setup.dir.path().join("control.db")).unwrap();
    meddle.execute_batch("DROP TRIGGER audit_stays; UPDATE audit SET author = 'x' WHERE number = 2").unwrap();
    let (status, body) = setup.get("/api/v1/audit/verify", CONFIGURED).await;
    assert_eq!((status, &body["intact"], &body["first_wrong"]), (200, &json!(false), &json!(2)), "{body}");
}

#[tokio::test]
async fn refusals_without_end_are_two_rows_a_minute() {
    let setup = Setup::new(true);
    let viewer = setup.token("soc", Role::Viewer);
    let path = format!("/api/v1/outbox/{}/redrive", "x".repeat(3_000));
    for _ in 0..40 {
        assert_eq!(setup.post(&path, &viewer, json!({})).await.0, 403);
        setup.wait(crate::time::Span::millis(100));
    }
    let before = rows(&setup).await;
    assert_eq!(before.len(), 2, "the token, and the first refusal");
    assert!(before[0]["what"].as_str().unwrap().len() <= 200, "{}", before[0]);
    let mut now = before;
    while now.len() < 3 {
        setup.wait(crate::time::Span::minutes(1));
        tokio::task::yield_now().await;
        now = rows(&setup).await;
    }
    let outcome = now[0]["outcome"].as_str().unwrap();
    assert!(outcome.starts_with("refused: 403 forbidden; 39 in all like this one since "), "{outcome}");
    let (_, verified) = setup.get("/api/v1/audit/verify", CONFIGURED).await;
    assert_eq!((&verified["intact"], &verified["rows"]), (&json!(true), &json!(3)));
}
