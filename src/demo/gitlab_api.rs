//! A stand-in of GitLab's user moderation API: strict, small, and it really changes the account's state.
//!
//! Source of codes and rules: GitLab's user moderation API page. What it leaves open is decided here:
//! blocking a blocked account answers 201 and changes nothing, and refusals carry `{"message": …}` as elsewhere.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::{Value, json};

use super::DemoError;
use super::organisation::{AccountState, SimUser};
use super::serving::Serving;
use crate::time::Span;

/// How the stand-in misbehaves, for tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Fault {
    /// It does not.
    #[default]
    None,
    /// Answers every call with this status, and `Retry-After` in seconds where given; nothing changes.
    Status(u16, Option<u64>),
    /// Answers 201 to a change and does not make it.
    Lies,
    /// Makes the change and breaks the connection before the answer.
    Cut,
    /// Answers only after this time.
    Slow(Span),
}

/// One call that came in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiCall {
    /// `GET` or `POST`, as received.
    pub method: String,
    /// The path with its query left out.
    pub path: String,
    /// The answer's status.
    pub status: u16,
}

/// The stand-in; clones share the same accounts.
#[derive(Debug, Clone)]
pub struct GitlabApi {
    shared: Arc<Shared>,
    serving: Arc<Serving>,
}

#[derive(Debug)]
struct Shared {
    accounts: Mutex<Accounts>,
    cut: Arc<AtomicBool>,
}

#[derive(Debug)]
struct Accounts {
    users: BTreeMap<i64, SimUser>,
    /// Token and whose it is.
    tokens: Vec<(String, i64)>,
    calls: Vec<ApiCall>,
    fault: Fault,
    faults_left: u64,
}

/// More calls than this are answered and no longer listed.
const CALLS_MAX: usize = 10_000;

impl GitlabApi {
    /// Starts it on a free port of the loopback address. A token acts as its account: only an
    /// administrator's may change anybody.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn start(users: &[SimUser], tokens: &[(&str, i64)]) -> Result<Self, DemoError> {
        let accounts = Accounts {
            users: users.iter().map(|user| (user.id, user.clone())).collect(),
            tokens: tokens.iter().map(|(token, id)| ((*token).to_owned(), *id)).collect(),
            calls: Vec::new(),
            fault: Fault::None,
            faults_left: 0,
        };
        let cut = Arc::new(AtomicBool::new(false));
        let shared = Arc::new(Shared { accounts: Mutex::new(accounts), cut: Arc::clone(&cut) });
        let serving = Serving::start("GitLab stand-in", router(Arc::clone(&shared)), cut).await?;
        Ok(Self { shared, serving: Arc::new(serving) })
    }

    /// Its address as an action's `url`: without a path and without a slash at the end.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.serving.address)
    }

    /// An account's state; none if there is no such account.
    #[must_use]
    pub fn state_of(&self, id: i64) -> Option<AccountState> {
        self.shared.accounts().users.get(&id).map(|user| user.state)
    }

    /// Ids of all accounts that are blocked or banned, ascending.
    #[must_use]
    pub fn blocked(&self) -> Vec<i64> {
        let shut = |user: &&SimUser| matches!(user.state, AccountState::Blocked | AccountState::Banned);
        self.shared.accounts().users.values().filter(shut).map(|user| user.id).collect()
    }

    /// The calls so far, oldest first; at most the first 10,000.
    #[must_use]
    pub fn calls(&self) -> Vec<ApiCall> {
        self.shared.accounts().calls.clone()
    }

    /// Misbehaves for so many of the coming calls.
    pub fn fail(&self, fault: Fault, times: u64) {
        let mut accounts = self.shared.accounts();
        accounts.fault = fault;
        accounts.faults_left = times;
        self.shared.cut.store(false, Ordering::Release);
    }
}

impl Shared {
    fn accounts(&self) -> MutexGuard<'_, Accounts> {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Accounts {
    /// The fault for this call, used up by it. Lies and lost answers are about changes.
    fn fault(&mut self, method: &Method) -> Fault {
        let needs_change = matches!(self.fault, Fault::Lies | Fault::Cut);
        if self.faults_left == 0 || (needs_change && method != Method::POST) {
            return Fault::None;
        }
        self.faults_left -= 1;
        self.fault
    }
}

fn router(shared: Arc<Shared>) -> Router {
    let api = Router::new()
        .route("/user", get(own_user))
        .route("/users/{id}", get(user))
        .route("/users/{id}/{verb}", post(moderate))
        .method_not_allowed_fallback(|| async { error(StatusCode::METHOD_NOT_ALLOWED, "405 Not Allowed") });
    Router::new()
        .nest("/api/v4", api)
        .fallback(|| async { error(StatusCode::NOT_FOUND, "404 Not Found") })
        .layer(middleware::from_fn_with_state(Arc::clone(&shared), watch))
        .with_state(shared)
}

/// What every call passes: the fault, then the list of calls.
async fn watch(State(shared): State<Arc<Shared>>, mut request: Request, next: Next) -> Response {
    let method = request.method().clone();
    let path = request.uri().path().to_owned();
    let fault = shared.accounts().fault(&method);
    shared.cut.store(fault == Fault::Cut, Ordering::Release);
    let response = match fault {
        Fault::Status(code, after) => failure(code, after),
        Fault::Slow(span) => {
            tokio::time::sleep(span.to_std()).await;
            next.run(request).await
        }
        other => {
            request.extensions_mut().insert(other);
            next.run(request).await
        }
    };
    let mut accounts = shared.accounts();
    if accounts.calls.len() < CALLS_MAX {
        let status = response.status().as_u16();
        accounts.calls.push(ApiCall { method: method.to_string(), path, status });
    }
    response
}

fn failure(code: u16, after: Option<u64>) -> Response {
    let status = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let text = format!("{code} {}", status.canonical_reason().unwrap_or("Error"));
    let mut response = refuse(status, &text);
    if let Some(after) = after {
        response.headers_mut().insert(header::RETRY_AFTER, after.into());
    }
    response
}

fn refuse(status: StatusCode, message: &str) -> Response {
    (status, axum::Json(json!({ "message": message }))).into_response()
}

fn error(status: StatusCode, text: &str) -> Response {
    (status, axum::Json(json!({ "error": text }))).into_response()
}

/// Whose token it is: `PRIVATE-TOKEN`, or `Authorization: Bearer`.
fn caller(accounts: &Accounts, headers: &HeaderMap) -> Option<SimUser> {
    let private = headers.get("private-token").and_then(|value| value.to_str().ok());
    let bearer = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let given = private.or_else(|| bearer.and_then(|value| value.strip_prefix("Bearer ")))?;
    let (_, id) = accounts.tokens.iter().find(|(token, _)| token == given)?;
    accounts.users.get(id).filter(|user| user.state == AccountState::Active).cloned()
}

fn unauthorized() -> Response {
    refuse(StatusCode::UNAUTHORIZED, "401 Unauthorized")
}

async fn own_user(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> Response {
    match caller(&shared.accounts(), &headers) {
        Some(me) => axum::Json(shown(&me, me.is_admin)).into_response(),
        None => unauthorized(),
    }
}

async fn user(State(shared): State<Arc<Shared>>, Path(id): Path<String>, headers: HeaderMap) -> Response {
    let accounts = shared.accounts();
    let Some(me) = caller(&accounts, &headers) else { return unauthorized() };
    match id.parse::<i64>() {
        Err(_) => error(StatusCode::BAD_REQUEST, "id is invalid"),
        Ok(id) => match accounts.users.get(&id) {
            Some(user) => axum::Json(shown(user, me.is_admin)).into_response(),
            None => refuse(StatusCode::NOT_FOUND, "404 User Not Found"),
        },
    }
}

/// The user as the API shows it; some keys only to administrators.
fn shown(user: &SimUser, to_admin: bool) -> Value {
    let page = format!("https://gitlab.example.com/{}", user.username);
    let mut object = json!({
        "id": user.id, "username": user.username, "name": user.name, "state": user.state.name(),
        "locked": false, "avatar_url": null, "web_url": page, "bot": user.bot,
    });
    if to_admin {
        object["is_admin"] = user.is_admin.into();
        object["email"] = format!("{}@example.com", user.username).into();
    }
    object
}

async fn moderate(
    State(shared): State<Arc<Shared>>,
    Path((id, verb)): Path<(String, String)>,
    request: Request,
) -> Response {
    let lies = request.extensions().get::<Fault>() == Some(&Fault::Lies);
    let mut accounts = shared.accounts();
    let Some(me) = caller(&accounts, request.headers()) else { return unauthorized() };
    if !["block", "unblock", "ban", "unban", "activate", "deactivate"].contains(&verb.as_str()) {
        return error(StatusCode::NOT_FOUND, "404 Not Found");
    }
    if !me.is_admin {
        return refuse(StatusCode::FORBIDDEN, "403 Forbidden");
    }
    let Ok(id) = id.parse::<i64>() else { return error(StatusCode::BAD_REQUEST, "id is invalid") };
    let Some(user) = accounts.users.get_mut(&id) else {
        return refuse(StatusCode::NOT_FOUND, "404 User Not Found");
    };
    match changed(user, &verb) {
        Ok(state) => {
            if !lies {
                user.state = state;
            }
            (StatusCode::CREATED, axum::Json(true)).into_response()
        }
        Err(reason) => refuse(StatusCode::FORBIDDEN, &format!("403 Forbidden - {reason}")),
    }
}

/// The state after the verb, or why it may not be.
fn changed(user: &SimUser, verb: &str) -> Result<AccountState, &'static str> {
    use AccountState::{Active, Banned, Blocked, Deactivated, LdapBlocked};
    match (verb, user.state) {
        (_, _) if user.bot => Err("An internal user cannot be changed"),
        (_, LdapBlocked) => Err("LDAP blocked users cannot be modified by the API"),
        ("block", Active | Deactivated | Blocked) => Ok(Blocked),
        ("block", Banned) => Ok(Banned),
        ("unblock", Blocked) | ("unban", Banned) | ("activate", Active | Deactivated) => Ok(Active),
        ("unblock", _) => Err("The user is not blocked"),
        ("unban", _) => Err("The user is not banned"),
        ("ban", Active) => Ok(Banned),
        ("ban", _) => Err("Only active users can be banned"),
        ("activate", _) => Err("A blocked user must be unblocked to be activated"),
        ("deactivate", Deactivated) => Ok(Deactivated),
        ("deactivate", Active) => {
            Err("The user has been active in the past 90 days and cannot be deactivated")
        }
        _ => Err("A blocked user cannot be deactivated by the API"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
            (7, "unblock", 403, Active),
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
}
