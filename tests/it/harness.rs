//! A daemon inside the test, on a free port, with its data, rules and configuration in a folder of its own.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};
use tempfile::TempDir;
use watchfire::alert::Alert;
use watchfire::api::Detection;
use watchfire::clock::Clock;
use watchfire::config;
use watchfire::daemon::{App, Options};
use watchfire::demo::{AccountState, GitlabApi, SimUser};
use watchfire::event::{Catalogue, Entry, Event, canonical};
use watchfire::log::Reader;
use watchfire::store::{AlertQuery, OutboxRow, OutboxState};
use watchfire::time::{Span, Timestamp};

/// The longest that anything may take.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// What senders to `/ingest/gitlab` and `/ingest/generic` show.
pub const TOKEN: &str = "sender-token";
/// What the administrator shows.
pub const ADMIN_TOKEN: &str = "admin-token";
/// Signs webhooks: base64 of 24 bytes.
pub const HOOK_SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// Where every event and every fixed clock of these tests begins: 2026-01-05, a Monday.
pub const START: Timestamp = Timestamp(1_767_571_200_000);

/// The sources and secrets of most tests; a test's own sections are put behind it.
const BASE: &str = r#"
data_dir: data
listen: 127.0.0.1:0
sources:
  - {name: gitlab, type: gitlab, path: /ingest/gitlab, token: {env: TOKEN}}
  - {name: generic, type: http, path: /ingest/generic, format: gitlab, forge: gitlab, token: {env: TOKEN}}
rules: [rules]
api: {token: {env: ADMIN_TOKEN}}
"#;

/// What outlives a daemon: its folder, its clock, its environment.
pub struct Setup {
    dir: TempDir,
    pub clock: Clock,
    env: Arc<BTreeMap<String, String>>,
}

/// A running daemon.
pub struct Daemon {
    pub app: App,
    pub clock: Clock,
    client: reqwest::Client,
    data: PathBuf,
}

impl Setup {
    /// With the base configuration and these sections behind it.
    pub fn new(clock: Clock, sections: &str) -> Self {
        Self::with_config(clock, &format!("{BASE}{sections}"))
    }

    /// With this whole configuration.
    pub fn with_config(clock: Clock, text: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("rules")).unwrap();
        std::fs::write(dir.path().join("watchfire.yaml"), text).unwrap();
        let secrets = [
            ("TOKEN", TOKEN),
            ("ADMIN_TOKEN", ADMIN_TOKEN),
            ("HOOK_SECRET", HOOK_SECRET),
            ("GITLAB_TOKEN", GITLAB_TOKEN),
        ];
        let env = secrets.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        Self { dir, clock, env: Arc::new(env) }
    }

    /// Where a file of the folder is.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes a rule, in one step, as an editor does that writes beside and renames.
    pub fn rule(&self, name: &str, text: &str) {
        let beside = self.path(name);
        std::fs::write(&beside, text).unwrap();
        std::fs::rename(beside, self.path("rules").join(name)).unwrap();
    }

    /// A shipped rule.
    pub fn shipped_rule(&self, name: &str) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("rules/gitlab").join(name);
        self.rule(name, &std::fs::read_to_string(path).unwrap());
    }

    /// Starts a daemon; after its [`Daemon::stop`], another one on the same data.
    pub async fn start(&self) -> Daemon {
        drop(rustls::crypto::ring::default_provider().install_default());
        let known = Arc::clone(&self.env);
        let env = Arc::new(move |name: &str| known.get(name).cloned());
        let config_path = self.path("watchfire.yaml");
        let config = config::load(&config_path, &*env).unwrap_or_else(|error| panic!("{error}"));
        let data = config.data_dir.clone();
        let options = Options { config_path, clock: self.clock.clone(), env, listener: None };
        let app = App::start(config, options).await.unwrap();
        Daemon { app, clock: self.clock.clone(), client: client(), data }
    }
}

impl Daemon {
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.app.address())
    }

    pub async fn stop(self) {
        tokio::time::timeout(PATIENCE, self.app.stop()).await.expect("it stops").unwrap();
    }

    /// Posts one event exactly as GitLab does; status and answer.
    pub async fn gitlab(&self, body: &str) -> (u16, Value) {
        let event: Value = serde_json::from_str(body).unwrap_or_default();
        let request =
            as_gitlab(&self.client, &self.url("/ingest/gitlab"), body, event["event_type"].as_str());
        answer(request).await
    }

    /// Posts one event that must be new.
    pub async fn post(&self, event: &Value) {
        let (status, answer) = self.gitlab(&event.to_string()).await;
        assert_eq!((status, &answer["stored"]), (200, &Value::from(1)), "{event}: {answer}");
    }

    /// Posts events that must be new, one after another, and waits until they are judged.
    pub async fn post_all(&self, events: &[Value]) {
        for event in events {
            self.post(event).await;
        }
        self.judged().await;
    }

    /// Sends a request with the administrator's token.
    pub async fn admin(&self, method: reqwest::Method, path: &str) -> (u16, Value) {
        answer(self.client.request(method, self.url(path)).bearer_auth(ADMIN_TOKEN)).await
    }

    /// A request to a path of this daemon.
    pub fn request(&self, method: reqwest::Method, path: &str) -> reqwest::RequestBuilder {
        self.client.request(method, self.url(path))
    }

    /// Waits until everything that is in the log now has been judged and committed.
    pub async fn judged(&self) {
        let last = self.app.log().position();
        let mut stage = self.app.stage();
        let reached =
            stage.wait_for(|stage| matches!(stage, Detection::Running { position } if *position >= last));
        tokio::time::timeout(PATIENCE, reached).await.expect("detection catches up").unwrap();
    }

    /// All alerts that are not part of another one, in the order of the log.
    pub fn alerts(&self) -> Vec<Alert> {
        let found = self.app.store().alerts(&AlertQuery::default()).unwrap();
        let mut alerts: Vec<Alert> = found.into_iter().map(|stored| stored.alert).collect();
        alerts.retain(|alert| alert.merged_into.is_none());
        alerts.sort_by(|a, b| (a.position, &a.rule).cmp(&(b.position, &b.rule)));
        alerts
    }

    /// The only alert there is.
    pub fn only_alert(&self) -> Alert {
        let mut alerts = self.alerts();
        assert_eq!(alerts.len(), 1, "{alerts:#?}");
        alerts.remove(0)
    }

    /// Rule and author of each alert.
    pub fn raised(&self) -> Vec<(String, String)> {
        let pair = |alert: &Alert| {
            (alert.rule.to_string(), alert.key.get("author_id").unwrap_or_default().to_owned())
        };
        self.alerts().iter().map(pair).collect()
    }

    /// The deliveries of an alert.
    pub fn deliveries(&self, alert: &Alert) -> Vec<OutboxRow> {
        self.app.store().outbox_of(&alert.id).unwrap()
    }

    /// The delivery of an alert by an action, once `is_so`.
    pub async fn delivery(
        &self,
        alert: &Alert,
        action: &str,
        is_so: impl Fn(&OutboxRow) -> bool,
    ) -> OutboxRow {
        let find = || {
            let rows = self.deliveries(alert);
            rows.into_iter().find(|row| row.action == action && is_so(row))
        };
        until(|| find().is_some(), || format!("{action}: {:#?}", self.deliveries(alert))).await;
        find().unwrap()
    }

    /// Waits until no delivery is pending.
    pub async fn delivered(&self) {
        let counts = || self.app.store().outbox_counts().unwrap();
        until(|| counts().pending == 0, || format!("{:?}", counts())).await;
    }

    /// One figure of `/metrics`.
    pub async fn metric(&self, name: &str) -> Option<f64> {
        let response = self.client.get(self.url("/metrics")).send().await.unwrap();
        figure(&response.text().await.unwrap(), name)
    }

    /// Waits until a figure has this value.
    pub async fn metric_becomes(&self, name: &str, value: f64) {
        let waiting = async {
            while self.metric(name).await != Some(value) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let waited = tokio::time::timeout(PATIENCE, waiting).await;
        assert!(waited.is_ok(), "{name} is {:?}, not {value}", self.metric(name).await);
    }

    /// Waits until a path answers as is wanted; that answer.
    pub async fn answers(&self, path: &str, is_so: impl Fn(&Value) -> bool) -> (u16, Value) {
        let waiting = async {
            loop {
                let (status, said) = answer(self.request(reqwest::Method::GET, path)).await;
                if is_so(&said) {
                    return (status, said);
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let waited = tokio::time::timeout(PATIENCE, waiting).await;
        waited.unwrap_or_else(|_| panic!("{path} does not answer so"))
    }

    /// All stored events, in the order of the log.
    pub fn stored(&self) -> Vec<Event> {
        stored(&self.data)
    }

    /// All stored events as receivers see them.
    pub fn canonical(&self) -> Vec<Map<String, Value>> {
        let catalogue = Catalogue::built_in();
        self.stored().iter().map(|event| canonical(event, &catalogue)).collect()
    }
}

/// Where a delivery is to be.
pub fn is_done(row: &OutboxRow) -> bool {
    row.state == OutboxState::Done
}

/// All events of a data folder.
pub fn stored(data: &Path) -> Vec<Event> {
    let mut reader = Reader::open(data).unwrap();
    let mut events = Vec::new();
    let mut position = 0;
    loop {
        let entries = reader.read_after(position, 1000).unwrap();
        let Some(last) = entries.last() else { return events };
        position = last.position();
        events.extend(entries.into_iter().filter_map(|entry| match entry {
            Entry::Event(event) => Some(event),
            Entry::Tick { .. } => None,
        }));
    }
}

/// The value of the first line that begins with this name (and labels).
pub fn figure(metrics: &str, name: &str) -> Option<f64> {
    let line = metrics.lines().find(|line| {
        line.strip_prefix(name).is_some_and(|rest| rest.starts_with(' ') || rest.starts_with('{'))
    })?;
    line.rsplit(' ').next()?.parse().ok()
}

/// Waits until something is so that nobody announces.
pub async fn until(is_so: impl Fn() -> bool, what: impl Fn() -> String) {
    until_within(PATIENCE, is_so, what).await;
}

/// The same with another patience.
pub async fn until_within(patience: Duration, is_so: impl Fn() -> bool, what: impl Fn() -> String) {
    let waiting = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let waited = tokio::time::timeout(patience, waiting).await;
    assert!(waited.is_ok(), "waited in vain; {}", what());
}

/// A client that knows no proxy.
pub fn client() -> reqwest::Client {
    drop(rustls::crypto::ring::default_provider().install_default());
    reqwest::Client::builder().no_proxy().timeout(PATIENCE).build().unwrap()
}

/// One event as GitLab posts it: JSON that is called a form, the token and the type in headers.
pub fn as_gitlab(
    client: &reqwest::Client,
    url: &str,
    body: &str,
    event_type: Option<&str>,
) -> reqwest::RequestBuilder {
    let request = client
        .post(url)
        .header("Content-Type", "application/x-www-form-urlencoded")
        .header("X-Gitlab-Event-Streaming-Token", TOKEN)
        .body(body.to_owned());
    match event_type {
        Some(name) => request.header("X-Gitlab-Audit-Event-Type", name),
        None => request,
    }
}

/// Status and JSON of an answer.
pub async fn answer(request: reqwest::RequestBuilder) -> (u16, Value) {
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    (status, response.json().await.unwrap_or_default())
}

/// The moment so many seconds after [`START`].
pub fn at(seconds: i64) -> Timestamp {
    START.plus(Span::seconds(seconds))
}

/// A project is cloned.
pub fn clone(author: i64, project: i64, time: Timestamp) -> Value {
    serde_json::json!({
        "id": format!("{author}-{project}-{time}"), "author_id": author, "author_name": format!("user{author}"),
        "entity_id": project, "entity_type": "Project", "entity_path": format!("group/project-{project}"),
        "ip_address": "192.0.2.7", "created_at": time.to_string(), "event_type": "repository_git_operation",
        "details": {"author_class": "User", "custom_message": {"protocol": "ssh", "action": "git-upload-pack"}},
    })
}

/// Anything else happens.
pub fn deed(event_type: &str, author: i64, time: Timestamp) -> Value {
    serde_json::json!({
        "id": time.0, "author_id": author, "author_name": format!("user{author}"), "entity_id": 5,
        "entity_type": "Group", "entity_path": "group", "ip_address": "192.0.2.7", "target_id": author,
        "created_at": time.to_string(), "event_type": event_type, "details": {"author_class": "User"},
    })
}

/// The stand-in's token; its owner is user 2.
pub const GITLAB_TOKEN: &str = "stand-in-token";

/// A GitLab with user 1, an administrator; 2, Watchfire's own; 3, a bot; and these others.
pub async fn gitlab_with(users: impl IntoIterator<Item = i64>) -> GitlabApi {
    let user = |id: i64, is_admin, bot| SimUser {
        id,
        username: format!("user{id}"),
        name: format!("User {id}"),
        is_admin,
        bot,
        state: AccountState::Active,
    };
    let mut all = vec![user(1, true, false), user(2, true, false), user(3, false, true)];
    all.extend(users.into_iter().map(|id| user(id, false, false)));
    GitlabApi::start(&all, &[(GITLAB_TOKEN, 2)]).await.unwrap()
}
