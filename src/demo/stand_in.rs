//! What the stand-ins of APIs have in common: a world that answers requests, served over HTTP, and scripted misbehaviour.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Method, Response, Uri};
use serde_json::{Value, json};

use super::DemoError;
use super::serving::{Cut, CutAt, Serving};
use crate::time::Span;

/// How a stand-in misbehaves, for tests.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Fault {
    /// It does not.
    #[default]
    None,
    /// Answers with this status, and `Retry-After` in seconds where given; nothing changes.
    Status(u16, Option<u64>),
    /// Answers that the rate limit is reached, as this forge does; it ends at this moment (seconds since 1970).
    Limited(u64),
    /// Answers 403 with the words of GitHub's secondary rate limit, and no time.
    Secondary,
    /// Answers a change with success and does not make it.
    Lies,
    /// Makes the change and breaks the connection before the answer.
    Cut,
    /// Breaks the connection before the end of the answer's body.
    CutInside,
    /// Answers only after this time.
    Slow(Span),
    /// Answers 200 with a page of a proxy.
    Html,
    /// Answers about something with another id.
    WrongId,
}

impl Fault {
    /// Whether it is about changes alone.
    const fn needs_change(&self) -> bool {
        matches!(self, Self::Lies | Self::Cut)
    }
}

/// One call that came in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiCall {
    /// As received.
    pub method: String,
    /// The path with its query left out.
    pub path: String,
    /// The answer's status.
    pub status: u16,
}

/// One request as a world sees it.
pub struct Asked {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) headers: HeaderMap,
    query: BTreeMap<String, String>,
    body: Value,
}

impl Asked {
    /// The parts of the path.
    pub(super) fn parts(&self) -> Vec<&str> {
        self.path.split('/').filter(|part| !part.is_empty()).collect()
    }

    /// A parameter of the body or, failing that, of the query.
    pub(super) fn parameter(&self, name: &str) -> Option<Value> {
        let query = || self.query.get(name).map(|text| Value::from(text.as_str()));
        self.body.get(name).cloned().or_else(query)
    }

    /// A number among the parameters.
    pub(super) fn number(&self, name: &str) -> Option<u64> {
        let value = self.parameter(name)?;
        value.as_u64().or_else(|| value.as_str()?.parse().ok())
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// One answer.
pub struct Reply {
    pub(super) status: u16,
    /// Absent: no body.
    pub(super) body: Option<Value>,
    pub(super) headers: Vec<(&'static str, String)>,
}

impl Reply {
    pub(super) const fn json(status: u16, body: Value) -> Self {
        Self { status, body: Some(body), headers: Vec::new() }
    }

    /// 204.
    pub(super) const fn empty() -> Self {
        Self { status: 204, body: None, headers: Vec::new() }
    }
}

/// What a stand-in pretends to be.
pub trait World: Clone + Send + 'static {
    /// For the log.
    const NAME: &'static str;
    /// Answers, and changes itself.
    fn answer(&mut self, asked: &Asked) -> Reply;
    /// That the rate limit is reached, until then.
    fn limited(&self, until: u64) -> Reply;
    /// Given with every answer while the rate limit is not reached.
    fn usual_headers(&self) -> Vec<(&'static str, String)>;
    /// What a status looks like there.
    fn failure(&self, status: u16) -> Reply;
}

/// A stand-in of a system's API; clones share the same world.
#[derive(Debug)]
pub struct StandIn<W> {
    shared: Arc<Shared<W>>,
    serving: Arc<Serving>,
}

impl<W> Clone for StandIn<W> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), serving: Arc::clone(&self.serving) }
    }
}

#[derive(Debug)]
struct Shared<W> {
    inner: Mutex<Inner<W>>,
    cut: Cut,
}

#[derive(Debug)]
struct Inner<W> {
    world: W,
    calls: Vec<ApiCall>,
    fault: Fault,
    faults_left: u64,
    at_changes_only: bool,
}

/// More calls than this are answered and no longer listed.
const CALLS_MAX: usize = 10_000;

impl<W> Shared<W> {
    fn inner(&self) -> MutexGuard<'_, Inner<W>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<W: World> StandIn<W> {
    /// Starts it with this world on a free port of the loopback address.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn of(world: W) -> Result<Self, DemoError> {
        let cut = Cut::default();
        let inner =
            Inner { world, calls: Vec::new(), fault: Fault::None, faults_left: 0, at_changes_only: false };
        let shared = Arc::new(Shared { inner: Mutex::new(inner), cut: cut.clone() });
        let router = Router::new().fallback(serve::<W>).with_state(Arc::clone(&shared));
        let serving = Serving::start(W::NAME, router, cut).await?;
        Ok(Self { shared, serving: Arc::new(serving) })
    }

    /// Its address, without a path and without a slash at the end.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.serving.address)
    }

    /// The world as it is now.
    #[must_use]
    pub fn world(&self) -> W {
        self.with(|world| world.clone())
    }

    /// Somebody changes the world without a call.
    pub fn edit(&self, change: impl FnOnce(&mut W)) {
        self.with(change);
    }

    /// The calls so far, oldest first; at most the first 10,000.
    #[must_use]
    pub fn calls(&self) -> Vec<ApiCall> {
        self.shared.inner().calls.clone()
    }

    /// Misbehaves for so many of the coming calls.
    pub fn fail(&self, fault: Fault, times: u64) {
        self.misbehave(fault, times, false);
    }

    /// Misbehaves for so many of the coming calls that change something.
    pub fn fail_changes(&self, fault: Fault, times: u64) {
        self.misbehave(fault, times, true);
    }

    fn misbehave(&self, fault: Fault, times: u64, at_changes_only: bool) {
        let mut inner = self.shared.inner();
        inner.at_changes_only = at_changes_only || fault.needs_change();
        inner.fault = fault;
        inner.faults_left = times;
        self.shared.cut.set(CutAt::Never);
    }

    /// Looks at the world, or changes it.
    pub(super) fn with<T>(&self, use_it: impl FnOnce(&mut W) -> T) -> T {
        use_it(&mut self.shared.inner().world)
    }
}

impl<W: World> Inner<W> {
    /// The fault for this call, used up by it.
    fn fault(&mut self, method: &Method) -> Fault {
        if self.faults_left == 0 || (self.at_changes_only && method == Method::GET) {
            return Fault::None;
        }
        self.faults_left -= 1;
        self.fault.clone()
    }

    fn answer(&mut self, asked: &Asked, fault: &Fault) -> Reply {
        match fault {
            Fault::Status(status, after) => {
                let mut reply = self.world.failure(*status);
                reply.headers.extend(after.map(|after| ("retry-after", after.to_string())));
                reply
            }
            Fault::Limited(until) => self.world.limited(*until),
            Fault::Secondary => {
                let text = "You have exceeded a secondary rate limit. Please wait a few minutes before you try again.";
                Reply::json(403, json!({ "message": text }))
            }
            Fault::Lies => self.world.clone().answer(asked),
            Fault::WrongId => {
                let mut reply = self.world.answer(asked);
                let id = reply.body.as_mut().and_then(|body| body.get_mut("id"));
                // Who the token belongs to is asked once only, before anything that is looked at.
                if let Some(id) = id.filter(|_| !asked.path.ends_with("/user")) {
                    *id = id.as_u64().map_or(Value::Null, |number| Value::from(number + 1000));
                }
                reply
            }
            // It never came through.
            Fault::Html => Reply::empty(),
            Fault::None | Fault::Cut | Fault::CutInside | Fault::Slow(_) => self.world.answer(asked),
        }
    }
}

async fn serve<W: World>(
    State(shared): State<Arc<Shared<W>>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    let fault = shared.inner().fault(&method);
    shared.cut.set(match fault {
        Fault::Cut => CutAt::Start,
        Fault::CutInside => CutAt::End,
        _ => CutAt::Never,
    });
    if let Fault::Slow(span) = &fault {
        tokio::time::sleep(span.to_std()).await;
    }
    let query = url_query(&uri);
    let body = serde_json::from_slice(&body).unwrap_or_default();
    let asked = Asked { method, path: uri.path().to_owned(), headers, query, body };
    let mut inner = shared.inner();
    let mut reply = inner.answer(&asked, &fault);
    if !matches!(fault, Fault::Limited(_)) {
        reply.headers.extend(inner.world.usual_headers());
    }
    if inner.calls.len() < CALLS_MAX {
        let method = asked.method.to_string();
        inner.calls.push(ApiCall { method, path: asked.path, status: reply.status });
    }
    written(reply, &fault)
}

fn url_query(uri: &Uri) -> BTreeMap<String, String> {
    let pairs = uri.query().unwrap_or_default().split('&');
    pairs.filter_map(|pair| pair.split_once('=')).map(|(name, value)| (name.into(), value.into())).collect()
}

fn written(reply: Reply, fault: &Fault) -> Response<Body> {
    let is_html = *fault == Fault::Html;
    let mut response = Response::builder().status(if is_html { 200 } else { reply.status });
    for (name, value) in reply.headers {
        response = response.header(name, value);
    }
    let body = match reply.body {
        _ if is_html => "<html><body>Sign in to the proxy</body></html>".to_owned(),
        Some(body) => {
            response = response.header("content-type", "application/json");
            body.to_string()
        }
        None => String::new(),
    };
    response.body(Body::from(body)).unwrap_or_default()
}
