//! What the stand-in answers, against what GitLab's documentation says.

use axum::http::Method;
use serde_json::{Value, json};

use super::*;
use crate::demo::{AccountState, Fault, SimUser};

async fn api() -> (GitlabApi, reqwest::Client) {
    let user = |id, is_admin, bot, state| SimUser {
        id,
        username: format!("u{id}"),
        name: format!("U {id}"),
        is_admin,
        bot,
        state,
    };
    let users = [
        user(2, true, false, AccountState::Active),
        user(7, false, false, AccountState::Active),
        user(8, false, false, AccountState::Blocked),
        user(9, false, false, AccountState::Banned),
        user(10, false, false, AccountState::Deactivated),
        user(11, false, false, AccountState::LdapBlocked),
        user(12, false, true, AccountState::Active),
    ];
    drop(rustls::crypto::ring::default_provider().install_default());
    let api = GitlabApi::start(&users, &[("admin-token", 2), ("user-token", 7)]).await.unwrap();
    (api, reqwest::Client::builder().no_proxy().build().unwrap())
}

async fn call(api: &GitlabApi, client: &reqwest::Client, method: &str, path: &str) -> (u16, Value) {
    let url = format!("{}{path}", api.url());
    let method = Method::from_bytes(method.as_bytes()).unwrap();
    let request = client.request(method, url).header("PRIVATE-TOKEN", "admin-token");
    let response = request.send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap())
}

#[tokio::test]
async fn each_state_allows_its_own_changes() {
    use AccountState::{Active, Banned, Blocked, Deactivated, LdapBlocked};
    let table = [
        (7, "block", 201, Blocked),
        (7, "block", 201, Blocked),
        (7, "ban", 403, Blocked),
        (7, "unban", 403, Blocked),
        (7, "activate", 403, Blocked),
        (7, "deactivate", 403, Blocked),
        (7, "unblock", 201, Active),
        (7, "unblock", 201, Active),
        (7, "deactivate", 403, Active),
        (7, "ban", 201, Banned),
        (7, "unblock", 403, Banned),
        (7, "unban", 201, Active),
        (8, "ban", 403, Blocked),
        (9, "block", 201, Banned),
        (9, "unban", 201, Active),
        (10, "ban", 403, Deactivated),
        (10, "activate", 201, Active),
        (11, "block", 403, LdapBlocked),
        (11, "unblock", 403, LdapBlocked),
        (12, "block", 403, Active),
    ];
    let (api, client) = api().await;
    for (row, (id, verb, status, after)) in table.into_iter().enumerate() {
        let (answer, _) = call(&api, &client, "POST", &format!("/api/v4/users/{id}/{verb}")).await;
        assert_eq!((answer, api.state_of(id)), (status, Some(after)), "row {row}: {verb} {id}");
    }
    assert_eq!(api.calls().len(), 20);
    assert_eq!(api.blocked(), [8]);
}

#[tokio::test]
async fn wrong_calls_are_refused_in_gitlabs_words() {
    let (api, client) = api().await;
    let not_found = (404, json!({ "message": "404 User Not Found" }));
    assert_eq!(call(&api, &client, "POST", "/api/v4/users/99/block").await, not_found);
    assert_eq!(call(&api, &client, "GET", "/api/v4/users/99").await, not_found);
    assert_eq!(call(&api, &client, "GET", "/api/v4/users/seven").await.0, 400);
    assert_eq!(call(&api, &client, "POST", "/api/v4/users/7/explode").await.0, 404);
    assert_eq!(call(&api, &client, "GET", "/api/v4/users/7/block").await.0, 405);
    assert_eq!(call(&api, &client, "DELETE", "/api/v4/users/7").await.0, 405);
    assert_eq!(call(&api, &client, "GET", "/api/v3/user").await.0, 404);
    let bare = client.get(format!("{}/api/v4/user", api.url())).send().await.unwrap();
    assert_eq!(bare.status(), 401);
    assert_eq!(bare.json::<Value>().await.unwrap(), json!({ "message": "401 Unauthorized" }));
    let url = format!("{}/api/v4/users/8/unblock", api.url());
    let weak = client.post(url).bearer_auth("user-token").send().await.unwrap();
    assert_eq!((weak.status().as_u16(), api.state_of(8)), (403, Some(AccountState::Blocked)));
    let (status, me) = call(&api, &client, "GET", "/api/v4/user").await;
    assert_eq!((status, &me["id"], &me["is_admin"]), (200, &json!(2), &json!(true)));
}

#[tokio::test]
async fn faults_do_what_they_say_and_then_end() {
    let (api, client) = api().await;
    let block = "/api/v4/users/7/block";
    api.fail(Fault::Status(429, Some(3)), 1);
    let url = format!("{}{block}", api.url());
    let limited = client.post(&url).header("PRIVATE-TOKEN", "admin-token").send().await.unwrap();
    assert_eq!(limited.status(), 429);
    assert_eq!(limited.headers()["retry-after"], "3");
    api.fail(Fault::Lies, 1);
    assert_eq!(call(&api, &client, "GET", "/api/v4/users/7").await.1["state"], "active");
    assert_eq!(call(&api, &client, "POST", block).await.0, 201);
    assert_eq!(api.state_of(7), Some(AccountState::Active), "it lied");
    api.fail(Fault::Cut, 1);
    let cut = client.post(&url).header("PRIVATE-TOKEN", "admin-token").send().await;
    assert!(cut.is_err(), "no answer");
    assert_eq!(api.state_of(7), Some(AccountState::Blocked), "but the change was made");
    let (status, user) = call(&api, &client, "GET", "/api/v4/users/7").await;
    assert_eq!((status, &user["state"]), (200, &json!("blocked")));
}

/// A world with a group of two owners, a project in it, tokens and keys.
fn world() -> GitlabWorld {
    let user = |id, is_admin, bot| SimUser {
        id,
        username: format!("u{id}"),
        name: format!("U {id}"),
        is_admin,
        bot,
        state: AccountState::Active,
    };
    let member = |level| SimMember { level, expires_at: None, role: None };
    let users = [user(2, true, false), user(7, false, false), user(8, false, false), user(31, false, true)];
    let token = |secret: &str, user, scope| ApiToken { secret: secret.into(), user, scope };
    let group = SimPlace { above: None, members: [(7, member(50)), (8, member(30))].into() };
    let project = SimPlace { above: Some("groups/5".into()), members: [(31, member(40))].into() };
    let access = |user, place: Option<&str>| SimToken {
        name: "t".into(),
        user,
        place: place.map(str::to_owned),
        revoked: false,
    };
    GitlabWorld {
        users: users.into_iter().map(|user| (user.id, user)).collect(),
        tokens: vec![token("admin-token", 2, "api"), token("reader", 2, "read_api"), token("dev", 8, "api")],
        access_tokens: [(12, access(7, None)), (13, access(31, Some("projects/9")))].into(),
        keys: [
            (4, SimKey { title: "laptop".into(), user: Some(7), places: [].into() }),
            (5, SimKey { title: "ci".into(), user: None, places: ["projects/9".to_owned()].into() }),
        ]
        .into(),
        places: [("groups/5".to_owned(), group), ("projects/9".to_owned(), project)].into(),
        ..GitlabWorld::default()
    }
}

/// `METHOD path body -> status` with that token.
async fn asked(api: &GitlabApi, token: &str, line: &str) -> u16 {
    drop(rustls::crypto::ring::default_provider().install_default());
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let mut words = line.splitn(3, ' ');
    let method = Method::from_bytes(words.next().unwrap().as_bytes()).unwrap();
    let url = format!("{}/api/v4/{}", api.url(), words.next().unwrap());
    let body = words.next().unwrap_or_default().to_owned();
    let request = client.request(method, url).header("PRIVATE-TOKEN", token).body(body);
    request.send().await.unwrap().status().as_u16()
}

#[tokio::test]
async fn tokens_keys_and_members_are_kept_as_gitlab_keeps_them() {
    let api = GitlabApi::of(world()).await.unwrap();
    for (token, line, status) in [
        ("admin-token", "GET personal_access_tokens/12", 200),
        ("dev", "GET personal_access_tokens/12", 401),
        ("admin-token", "GET personal_access_tokens/99", 404),
        ("dev", "DELETE personal_access_tokens/12", 401),
        ("reader", "DELETE personal_access_tokens/12", 403),
        ("admin-token", "DELETE personal_access_tokens/12", 204),
        ("admin-token", "DELETE personal_access_tokens/12", 400),
        ("dev", "GET projects/9/access_tokens/13", 401),
        ("admin-token", "GET projects/9/access_tokens/12", 404),
        ("admin-token", "DELETE projects/9/access_tokens/13", 204),
        ("admin-token", "GET projects/9/access_tokens/13", 404),
        ("admin-token", "GET users/31", 404),
        ("dev", "GET keys/4", 403),
        ("admin-token", "GET keys/4", 200),
        ("admin-token", "DELETE users/8/keys/4", 404),
        ("admin-token", "DELETE users/7/keys/4", 204),
        ("admin-token", "DELETE users/7/keys/4", 404),
        ("dev", "DELETE projects/9/deploy_keys/5", 403),
        ("admin-token", "DELETE projects/9/deploy_keys/5", 204),
        ("admin-token", "GET projects/9/deploy_keys/5", 404),
        ("admin-token", "GET projects/9/members/8", 404),
        ("admin-token", "GET projects/9/members/all/8", 200),
        ("dev", "DELETE groups/5/members/8", 403),
        ("admin-token", "DELETE groups/5/members/7", 403),
        ("admin-token", "PUT groups/5/members/7 {\"access_level\": 10}", 403),
        ("admin-token", "PUT groups/5/members/8 {\"access_level\": 11}", 400),
        ("admin-token", "PUT groups/5/members/8 {\"access_level\": 50}", 200),
        ("admin-token", "DELETE groups/5/members/7", 204),
        ("admin-token", "DELETE groups/5/members/7", 404),
        ("admin-token", "POST groups/5/members {\"user_id\": 8, \"access_level\": 10}", 409),
        ("admin-token", "POST groups/5/members {\"user_id\": 99, \"access_level\": 10}", 404),
        ("admin-token", "POST groups/5/members {\"user_id\": 7, \"access_level\": 10}", 201),
        ("admin-token", "GET groups/6", 404),
        ("nobody", "GET groups/5", 401),
    ] {
        assert_eq!(asked(&api, token, line).await, status, "{token}: {line}");
    }
    assert_eq!(api.world().places["groups/5"].members[&7].level, 10);
}
