use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use serde_json::json;

use crate::api::testing::{CONFIGURED, Setup, of};
use crate::store::Role;

const TOKENS: &str = "/api/v1/tokens";

#[tokio::test]
async fn a_token_is_made_used_and_revoked() {
    let setup = Setup::new(true);
    let (status, made) = setup.post(TOKENS, CONFIGURED, json!({"name": "ci", "role": "admin"})).await;
    assert_eq!(
        (status, &made["name"], &made["expires_at"]),
        (201, &json!("ci"), &json!("2027-03-02T12:00:00.000Z"))
    );
    let (token, path) =
        (made["token"].as_str().unwrap(), format!("{TOKENS}/{}", made["id"].as_str().unwrap()));
    let (_, me) = setup.get("/api/v1/me", token).await;
    assert_eq!((&me["id"], &me["name"], &me["role"]), (&made["id"], &json!("ci"), &json!("admin")));
    let (_, list) = setup.get(TOKENS, token).await;
    assert_eq!((list["items"].as_array().unwrap().len(), &list["next"]), (1, &json!(null)));
    assert_eq!(setup.get(&path, token).await.1, list["items"][0]);
    assert!(!list.to_string().contains(token.rsplit('_').next().unwrap()), "the secret is shown once");
    assert_eq!(setup.json(of("DELETE", &path, Some(token))).await, (204, json!(null)));
    assert_eq!(setup.get("/api/v1/me", token).await.0, 401, "at once, in the daemon that revoked it");
    assert_eq!(setup.get(&path, CONFIGURED).await.1["revoked_at"], "2026-03-02T12:00:00.000Z");
    assert_eq!(setup.get(&format!("{TOKENS}/nobody"), CONFIGURED).await.0, 404);
}

#[tokio::test]
async fn a_body_is_read_strictly() {
    let setup = Setup::new(true);
    let token = setup.token("taken", Role::Admin);
    for (body, status, code, words) in [
        (json!({"name": "a", "role": "viewer", "valid_dys": 3}), 422, "unknown_field", "valid_dys"),
        (json!({"name": "a", "role": "root"}), 422, "unprocessable", "root"),
        (json!({"name": "a"}), 422, "unprocessable", "role"),
        (json!({"name": "", "role": "viewer"}), 422, "unprocessable", "name"),
        (json!({"name": "a", "role": "viewer", "valid_days": 0}), 422, "unprocessable", "3650"),
        (json!({"name": "a", "role": "viewer", "valid_days": -1}), 422, "unprocessable", "-1"),
        (json!([]), 422, "unprocessable", "object"),
        (json!({"name": "taken", "role": "viewer"}), 409, "conflict", "already"),
    ] {
        let (found, answer) = setup.post(TOKENS, &token, body.clone()).await;
        assert_eq!((found, answer["code"].as_str()), (status, Some(code)), "{body}: {answer}");
        assert!(answer["detail"].as_str().unwrap().contains(words), "{answer}");
    }
    let (_, answer) = setup.post(TOKENS, &token, json!({"name": "a", "rol": "viewer"})).await;
    assert_eq!(
        (&answer["help"], &answer["errors"][0]["field"]),
        (&json!("did you mean `role`?"), &json!("rol"))
    );
    let raw = |kind: &'static str, body: String| {
        let mut request = of("POST", TOKENS, Some(&token));
        request.headers_mut().insert(CONTENT_TYPE, kind.parse().unwrap());
        *request.body_mut() = Body::from(body);
        request
    };
    for (kind, body, status, code) in [
        ("application/json", "{".to_owned(), 400, "bad_json"),
        ("application/json; charset=utf-8", "nonsense".to_owned(), 400, "bad_json"),
        ("text/plain", "{}".to_owned(), 415, "unsupported_media_type"),
        ("application/json", " ".repeat(70_000), 413, "body_too_large"),
    ] {
        let (found, answer) = setup.json(raw(kind, body)).await;
        assert_eq!((found, answer["code"].as_str()), (status, Some(code)), "{answer}");
    }
    assert_eq!(setup.store.tokens().unwrap().len(), 1);
}
