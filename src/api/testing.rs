//! The API without the daemon, for tests: a log, a store and a router, asked without a socket.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
use axum::http::{HeaderMap, Request};
use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::{Notify, watch};
use tower::ServiceExt as _;

use super::admit::Peer;
use super::{
    Api, Control, ControlParts, Detection, Events, Guard, Health, Keeping, NewToken, RulesStatus, router,
};
use crate::clock::Clock;
use crate::decode::decode;
use crate::engine::{Environment, RuleSet, compile};
use crate::enrich::Enrichment;
use crate::event::{Catalogue, Format};
use crate::log::{Board, Log, LogOptions, NewEvent};
use crate::rule::{Lists, RuleFile, load};
use crate::script::{Cage, ListTable};
use crate::source::testing::{Fixture, source};
use crate::source::{Input, Polled, Sink, Source, Target, Tokens, endpoints};
use crate::store::{Deed, Role, Store};
use crate::time::{Span, Timestamp};

/// The token of the configuration.
pub const CONFIGURED: &str = "configured-admin-token";

pub struct Setup {
    pub dir: TempDir,
    pub fixture: Fixture,
    pub memory_sink: Sink,
    pub store: Store,
    pub log: Log,
    pub clock: Clock,
    pub router: Router,
    pub detection: watch::Sender<Detection>,
    pub rules: watch::Sender<Arc<RulesStatus>>,
    pub wake: Arc<Notify>,
    pub guard: Arc<Guard>,
    parts: ControlParts,
    health: Health,
}

pub fn tokens(value: &str) -> Tokens {
    let reference: crate::deliver::SecretRef = serde_json::from_str(r#"{"env":"T"}"#).unwrap();
    Tokens::new(&[reference.resolve(&|_| Some(value.to_owned()), std::path::Path::new("")).unwrap()])
}

/// Rules of these texts.
pub fn status(texts: &[&str]) -> RulesStatus {
    let catalogue = Catalogue::built_in().with(Enrichment::default());
    let environment = Environment {
        catalogue: Arc::new(catalogue),
        cage: Arc::new(Cage::new(Arc::new(ListTable::default()))),
        lateness: Span::minutes(5),
        today: Timestamp(0),
    };
    let file = |(number, text): (usize, &&str)| RuleFile {
        path: format!("rules/{number}.yml").into(),
        text: (*text).to_owned(),
    };
    let files: Vec<RuleFile> = texts.iter().enumerate().map(file).collect();
    let loaded = load(&files, &Lists::default());
    let compiled = compile(loaded.rules, &loaded.filters, &environment);
    let rules: RuleSet = compiled.rules;
    let diagnostics = loaded.diagnostics.into_iter().chain(compiled.diagnostics).collect();
    RulesStatus { rules: Arc::new(rules), diagnostics, kept: Vec::new(), read_at: Timestamp(0) }
}

impl Setup {
    /// A daemon with an empty log, with or without a token in its configuration.
    pub fn new(configured: bool) -> Self {
        Self::with_rate(configured, 1_000)
    }

    pub fn with_rate(configured: bool, rate: u32) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let clock = Clock::fixed(Timestamp::parse("2026-03-02T12:00:00Z").unwrap());
        let store = Store::open(dir.path()).unwrap();
        let log = Log::open(dir.path(), LogOptions::default(), clock.clone()).unwrap();
        let mut fixture = Fixture::new();
        fixture.context.clock = clock.clone();
        let memory_sink = fixture.context.sink.clone();
        fixture.context.sink = Sink::new(log.clone(), store.clone());
        let polled = Polled {
            url: "http://127.0.0.1:1".into(),
            token: (crate::deliver::SecretRef::Env("T".into()), "".into(), None),
            targets: vec![Target::Instance],
            every: Span::minutes(1),
            overlap: Span::minutes(10),
            since: Span::days(1),
            fills: vec!["gitlab".into()],
            only_fills: true,
            ca: None,
            timeout: Span::seconds(1),
        };
        let sources = [
            source("gitlab", Input::Gitlab { path: "/in".into(), tokens: tokens("t") }),
            source("tools", Input::Http { path: "/tools".into(), tokens: tokens("t") }),
            source("api", Input::Api(Box::new(polled))),
        ];
        let (detection, detection_in) = watch::channel(Detection::Starting);
        let (rules, rules_in) = watch::channel(Arc::new(status(&[])));
        let wake = Arc::new(Notify::new());
        let guard = Arc::new(Guard::default());
        let parts = ControlParts {
            store: store.clone(),
            events: Arc::new(Events::new(dir.path(), rules_in.clone())),
            rules: rules_in,
            wake: Arc::clone(&wake),
            guard: Arc::clone(&guard),
            keeping: Keeping {
                dir: dir.path().to_owned(),
                policy: watch::channel(Arc::default()).1,
                board: Board::default(),
            },
            verifications: Arc::default(),
        };
        // The tests of readiness make this one fail.
        let polls = fixture.context.metrics.polls().clone();
        let health =
            Health { sink: memory_sink.clone(), detection: detection_in, polls, store: store.clone() };
        let access = (configured.then(|| tokens(CONFIGURED)), rate);
        let control = Control::new(&parts, health.clone(), access, (&sources, &fixture.context));
        let router = Self::route(&sources, &mut fixture, health.clone(), control);
        Self {
            dir,
            fixture,
            memory_sink,
            store,
            log,
            clock,
            router,
            detection,
            rules,
            wake,
            guard,
            parts,
            health,
        }
    }

    /// What the calls are answered from, for what is no call of its own.
    pub fn control(&self) -> Arc<Control> {
        let context = (&[] as &[Source], &self.fixture.context);
        Arc::new(Control::new(&self.parts, self.health.clone(), (None, 1_000), context))
    }

    fn route(sources: &[Source], fixture: &mut Fixture, health: Health, control: Control) -> Router {
        router(Api {
            endpoints: endpoints(sources, &fixture.context),
            health,
            registry: Arc::new(std::mem::take(&mut fixture.registry)),
            control,
        })
    }

    /// A token with this role, without end.
    pub fn token(&self, name: &str, role: Role) -> String {
        self.token_until(name, role, None)
    }

    pub fn token_until(&self, name: &str, role: Role, expires_at: Option<Timestamp>) -> String {
        let now = self.clock.now();
        let made = NewToken::make(name, role, (now, "test".to_owned()), expires_at).unwrap();
        self.store.token_add(&made.row, &Deed::new(now, "test", "test")).unwrap();
        made.text
    }

    /// Moves the clock on.
    pub fn wait(&self, span: Span) {
        self.clock.set(self.clock.now().plus(span));
    }

    /// Appends GitLab events.
    pub async fn append(&self, events: &[String]) {
        let batch = events.iter().map(|text| {
            let at = self.clock.now();
            let decoded = decode(Format::Gitlab, &"gitlab".into(), text.clone().into(), None, at).unwrap();
            NewEvent { event: decoded.event, dedupe: decoded.dedupe }
        });
        self.log.append(batch.collect()).await.unwrap();
    }

    pub async fn send(&self, request: Request<Body>) -> (u16, HeaderMap, String) {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = axum::body::to_bytes(body, 1 << 24).await.unwrap();
        (parts.status.as_u16(), parts.headers, String::from_utf8(bytes.to_vec()).unwrap())
    }

    /// Status and body, which must be JSON or empty.
    pub async fn json(&self, request: Request<Body>) -> (u16, Value) {
        let (status, _, body) = self.send(request).await;
        (status, if body.is_empty() { Value::Null } else { serde_json::from_str(&body).unwrap() })
    }

    pub async fn get(&self, path: &str, token: &str) -> (u16, Value) {
        self.json(of("GET", path, Some(token))).await
    }

    pub async fn post(&self, path: &str, token: &str, body: Value) -> (u16, Value) {
        let mut request = of("POST", path, Some(token));
        request.headers_mut().insert(CONTENT_TYPE, "application/json".parse().unwrap());
        *request.body_mut() = Body::from(body.to_string());
        self.json(request).await
    }
}

pub fn of(method: &str, path: &str, token: Option<&str>) -> Request<Body> {
    let mut request = Request::builder().method(method).uri(path);
    if let Some(token) = token {
        request = request.header(AUTHORIZATION, format!("Bearer {token}"));
    }
    request.body(Body::empty()).unwrap()
}

/// The same from this address.
pub fn from(address: &str, mut request: Request<Body>) -> Request<Body> {
    request.extensions_mut().insert(Peer(address.parse().unwrap()));
    request
}
