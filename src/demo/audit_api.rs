//! A stand-in of GitLab's audit events API: strict, and able to misbehave in the ways in which real ones do.
//!
//! Source: GitLab's doc/api/audit_events.md and doc/api/rest/_index.md: who may see what, keyset pages, rate limits.
//! What they leave open is decided here: an unknown parameter is 400, so is more than 30 days of the instance.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::{Map, Value, json};

use super::DemoError;
use super::serving::{Cut, CutAt, Serving};
use crate::event::{Catalogue, Format};
use crate::time::{Span, Timestamp};

/// Who a token belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holder {
    /// An administrator: sees everything.
    Administrator,
    /// An owner of all groups and projects: does not see the instance.
    Owner,
    /// Revoked or expired.
    Nobody,
}

/// How the stand-in misbehaves, for tests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AuditFault {
    /// Answers with this status, and these headers.
    Status(u16, Vec<(&'static str, String)>),
    /// Breaks the connection in place of an answer.
    Cut,
    /// Answers 200 with this body.
    Body(String),
    /// Links to the same page again and again.
    Circle,
    /// Gives events of any time.
    NoFilter,
    /// Links to pages on another host.
    ForeignLink,
}

/// The stand-in; clones share the same events.
#[derive(Debug, Clone)]
pub struct AuditApi {
    shared: Arc<Shared>,
    serving: Arc<Serving>,
}

#[derive(Debug)]
struct Shared {
    forge: Mutex<Forge>,
    cut: Cut,
}

#[derive(Debug)]
struct Forge {
    /// What GitLab keeps, by id.
    events: BTreeMap<i64, Value>,
    tokens: BTreeMap<String, Holder>,
    /// The projects of each group.
    groups: BTreeMap<i64, BTreeSet<i64>>,
    faults: Vec<AuditFault>,
    /// What begins with this path is always answered with this status; 0: nothing is.
    always: (String, u16),
    calls: Vec<String>,
    /// How many more calls are allowed; none: no limit. And when there are more again.
    limit: Option<(u64, Timestamp)>,
    /// What its answers have as `Date`; what cannot be read keeps the server from giving the machine's own.
    date: String,
    catalogue: Catalogue,
}

/// More calls than this are answered and no longer listed.
const CALLS_MAX: usize = 10_000;

impl AuditApi {
    /// Starts it on a free port of the loopback address.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn start(tokens: &[(&str, Holder)]) -> Result<Self, DemoError> {
        let forge = Forge {
            events: BTreeMap::new(),
            tokens: tokens.iter().map(|(token, holder)| ((*token).to_owned(), *holder)).collect(),
            groups: BTreeMap::new(),
            faults: Vec::new(),
            always: (String::new(), 0),
            calls: Vec::new(),
            limit: None,
            date: "unknown".to_owned(),
            catalogue: Catalogue::built_in(),
        };
        let cut = Cut::default();
        let shared = Arc::new(Shared { forge: Mutex::new(forge), cut: cut.clone() });
        let serving = Serving::start("audit events stand-in", router(Arc::clone(&shared)), cut).await?;
        Ok(Self { shared, serving: Arc::new(serving) })
    }

    /// Its address as a source's `url`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.serving.address)
    }

    /// Something happens, written as GitLab streams it. Kept is what GitLab keeps, as its API gives it: without what
    /// only the stream has at the top, and not at all where the type is only streamed.
    pub fn happen(&self, streamed: &Value) {
        let mut forge = self.shared.forge();
        let kind = streamed["event_type"].as_str().unwrap_or_default();
        if forge.catalogue.get(Format::Gitlab, kind).is_some_and(|known| !known.is_stored_by_forge) {
            return;
        }
        let mut kept = Map::new();
        for key in ["id", "author_id", "entity_id", "entity_type", "created_at"] {
            kept.insert(key.to_owned(), streamed[key].clone());
        }
        let mut details = streamed["details"].as_object().cloned().unwrap_or_default();
        details.insert("event_name".to_owned(), kind.into());
        kept.insert("details".to_owned(), details.into());
        let text = streamed["id"].as_str().and_then(|text| text.parse().ok());
        let id = streamed["id"].as_i64().or(text).unwrap_or_default();
        kept.insert("id".to_owned(), id.into());
        forge.events.insert(id, kept.into());
    }

    /// A group with these projects.
    pub fn group(&self, id: i64, projects: &[i64]) {
        self.shared.forge().groups.insert(id, projects.iter().copied().collect());
    }

    /// Whose a token is from now on.
    pub fn token(&self, token: &str, holder: Holder) {
        self.shared.forge().tokens.insert(token.to_owned(), holder);
    }

    /// Misbehaves in the coming calls, one for each, in this order.
    pub fn fail(&self, faults: impl IntoIterator<Item = AuditFault>) {
        let mut forge = self.shared.forge();
        forge.faults = faults.into_iter().collect();
        forge.faults.reverse();
    }

    /// Answers all calls below this path, from behind `/api/v4` on, with this status from now on; 0 ends that.
    pub fn always(&self, path: &str, status: u16) {
        self.shared.forge().always = (format!("/api/v4{path}"), status);
    }

    /// Allows so many calls, then none until a moment; there is no limit afterwards.
    pub fn limit(&self, calls: u64, until: Timestamp) {
        self.shared.forge().limit = Some((calls, until));
    }

    /// Sets its clock. Before, its answers say nothing of the time.
    pub fn date(&self, now: Timestamp) {
        let since = now.since(Timestamp(0)).to_std();
        self.shared.forge().date = httpdate::fmt_http_date(std::time::UNIX_EPOCH + since);
    }

    /// Ends the limit, as time does.
    pub fn relax(&self) {
        self.shared.forge().limit = None;
    }

    /// Path and query of the calls so far, with the status each was answered with.
    #[must_use]
    pub fn calls(&self) -> Vec<String> {
        self.shared.forge().calls.clone()
    }
}

impl Shared {
    fn forge(&self) -> MutexGuard<'_, Forge> {
        self.forge.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn router(shared: Arc<Shared>) -> Router {
    let api = Router::new()
        .route("/audit_events", get(instance))
        .route("/groups/{id}/audit_events", get(of_group))
        .route("/projects/{id}/audit_events", get(of_project))
        .route("/groups/{id}/projects", get(projects))
        .route("/groups/{id}/descendant_groups", get(subgroups))
        .method_not_allowed_fallback(|| async { refuse(405, "405 Method Not Allowed") });
    Router::new()
        .nest("/api/v4", api)
        .fallback(|| async { refuse(404, "404 Not Found") })
        .layer(middleware::from_fn_with_state(Arc::clone(&shared), watch))
        .with_state(shared)
}

/// What every call passes: the fault, the limit, the token, then the list of calls.
async fn watch(State(shared): State<Arc<Shared>>, mut request: Request, next: Next) -> Response {
    let called = request.uri().to_string();
    let early = {
        let mut forge = shared.forge();
        let fault = forge.faults.pop();
        shared.cut.set(if fault == Some(AuditFault::Cut) { CutAt::Start } else { CutAt::Never });
        match fault {
            Some(AuditFault::Status(status, headers)) => Some(with(refuse(status, "no"), &headers)),
            Some(AuditFault::Body(body)) => Some((StatusCode::OK, body).into_response()),
            None if forge.always.1 > 0 && called.starts_with(&forge.always.0) => {
                Some(refuse(forge.always.1, "no"))
            }
            other => {
                request.extensions_mut().insert(other);
                forge.limited().or_else(|| forge.admit(request.headers(), &called).err())
            }
        }
    };
    let mut response = match early {
        Some(response) => response,
        None => next.run(request).await,
    };
    let mut forge = shared.forge();
    if let Some((left, until)) = forge.limit {
        let headers =
            [("ratelimit-remaining", left.to_string()), ("ratelimit-reset", (until.0 / 1000).to_string())];
        response = with(response, &headers);
    }
    response = with(response, &[("date", forge.date.clone())]);
    if forge.calls.len() < CALLS_MAX {
        let status = response.status().as_u16();
        forge.calls.push(format!("{status} {}", called.replace("%3A", ":")));
    }
    response
}

fn with(mut response: Response, headers: &[(&'static str, String)]) -> Response {
    for (name, value) in headers {
        if let Ok(value) = value.parse() {
            response.headers_mut().insert(*name, value);
        }
    }
    response
}

fn refuse(status: u16, message: &str) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (status, axum::Json(json!({ "message": message }))).into_response()
}

impl Forge {
    /// 429 when no more calls are allowed.
    fn limited(&mut self) -> Option<Response> {
        let (left, _) = self.limit.as_mut()?;
        if *left == 0 {
            return Some(refuse(429, "Retry later"));
        }
        *left -= 1;
        None
    }

    /// 401 without a token that holds, 403 for the instance unless it is an administrator's.
    #[expect(clippy::result_large_err, reason = "an answer is an answer")]
    fn admit(&self, headers: &HeaderMap, called: &str) -> Result<(), Response> {
        let given = headers.get("private-token").and_then(|value| value.to_str().ok());
        match given.and_then(|token| self.tokens.get(token)) {
            None | Some(Holder::Nobody) => Err(refuse(401, "401 Unauthorized")),
            Some(Holder::Owner) if called.starts_with("/api/v4/audit_events") => {
                Err(refuse(403, "403 Forbidden"))
            }
            Some(_) => Ok(()),
        }
    }

    /// One page of the events that belong to this.
    fn page(
        &self,
        (query, uri): (&BTreeMap<String, String>, &Uri),
        fault: Option<&AuditFault>,
        belongs: impl Fn(&Value) -> bool,
    ) -> Response {
        const KNOWN: [&str; 7] =
            ["pagination", "order_by", "sort", "per_page", "created_after", "created_before", "cursor"];
        if let Some(odd) = query.keys().find(|key| !KNOWN.contains(&key.as_str())) {
            return refuse(400, &format!("400 (Bad request) \"{odd}\" is not known"));
        }
        let text = |key: &str| query.get(key).map(String::as_str);
        if (text("pagination"), text("order_by"), text("sort")) != (Some("keyset"), Some("id"), Some("desc"))
        {
            return refuse(405, "Keyset pagination is not yet available for this type of request");
        }
        let range = match (moment(text("created_after")), moment(text("created_before"))) {
            (Ok(after), Ok(before)) => (after.unwrap_or(Timestamp::MIN), before.unwrap_or(Timestamp::MAX)),
            _ => return refuse(400, "created_after is invalid"),
        };
        let is_instance = uri.path().ends_with("/v4/audit_events");
        if is_instance && range.1.since(range.0) > Span::days(30) {
            return refuse(400, "the instance answers for 30 days at most");
        }
        let per_page = text("per_page").and_then(|text| text.parse().ok()).unwrap_or(20).clamp(1, 100);
        let below = text("cursor").and_then(|cursor| cursor.parse().ok()).unwrap_or(i64::MAX);
        let fits = |event: &Value| {
            let time = Timestamp::parse(event["created_at"].as_str().unwrap_or_default());
            let is_asked = time.is_ok_and(|time| range.0 <= time && time <= range.1);
            (is_asked || fault == Some(&AuditFault::NoFilter)) && belongs(event)
        };
        let mut found = self.events.range(..below).rev().filter(|(_, event)| fits(event));
        let page: Vec<(i64, &Value)> =
            found.by_ref().take(per_page).map(|(id, event)| (*id, event)).collect();
        let last = page.last().filter(|_| found.next().is_some()).map(|(id, _)| *id);
        let cursor = if fault == Some(&AuditFault::Circle) { Some(i64::MAX) } else { last };
        let body: Vec<&Value> = page.iter().map(|(_, event)| *event).collect();
        let response = axum::Json(body).into_response();
        let Some(cursor) = cursor else { return response };
        let host =
            if fault == Some(&AuditFault::ForeignLink) { "evil.example" } else { "gitlab.example.com" };
        let others: Vec<String> = query
            .iter()
            .filter(|(key, _)| *key != "cursor")
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        let link =
            format!("<https://{host}{}?{}&cursor={cursor}>; rel=\"next\"", uri.path(), others.join("&"));
        with(response, &[("link", link)])
    }
}

/// `YYYY-MM-DDTHH:MM:SSZ`.
fn moment(text: Option<&str>) -> Result<Option<Timestamp>, ()> {
    let Some(text) = text else { return Ok(None) };
    if text.len() != 20 {
        return Err(());
    }
    Timestamp::parse(text).map(Some).map_err(|_| ())
}

type Asked = Query<BTreeMap<String, String>>;

async fn instance(State(shared): State<Arc<Shared>>, Query(query): Asked, request: Request) -> Response {
    let fault = request.extensions().get::<Option<AuditFault>>().cloned().flatten();
    shared.forge().page((&query, request.uri()), fault.as_ref(), |_| true)
}

async fn of_group(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    Query(query): Asked,
    request: Request,
) -> Response {
    of(&shared, ("Group", &id), &query, &request)
}

async fn of_project(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    Query(query): Asked,
    request: Request,
) -> Response {
    of(&shared, ("Project", &id), &query, &request)
}

fn of(
    shared: &Shared,
    (kind, id): (&str, &str),
    query: &BTreeMap<String, String>,
    request: &Request,
) -> Response {
    let forge = shared.forge();
    let id: i64 = id.parse().unwrap_or_default();
    let is_known = match kind {
        "Group" => forge.groups.contains_key(&id),
        _ => forge.groups.values().any(|projects| projects.contains(&id)),
    };
    if !is_known {
        return refuse(404, &format!("404 {kind} Not Found"));
    }
    let fault = request.extensions().get::<Option<AuditFault>>().cloned().flatten();
    forge.page((query, request.uri()), fault.as_ref(), |event| {
        event["entity_type"] == kind && event["entity_id"] == id
    })
}

async fn projects(State(shared): State<Arc<Shared>>, Path(id): Path<i64>) -> Response {
    let forge = shared.forge();
    let Some(projects) = forge.groups.get(&id) else { return refuse(404, "404 Group Not Found") };
    axum::Json(projects.iter().map(|id| json!({ "id": id })).collect::<Vec<_>>()).into_response()
}

async fn subgroups(State(shared): State<Arc<Shared>>, Path(id): Path<i64>) -> Response {
    let forge = shared.forge();
    if !forge.groups.contains_key(&id) {
        return refuse(404, "404 Group Not Found");
    }
    // Of group 7: 70 to 79.
    let below: Vec<Value> =
        forge.groups.keys().filter(|other| **other / 10 == id).map(|id| json!({ "id": id })).collect();
    axum::Json(below).into_response()
}
