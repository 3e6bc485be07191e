//! Stand-ins for every kind of receiver. All of them can be away in the same way, and keep what they were told.
//!
//! HTTP services answer what their documentation calls success and keep the state that they are said to keep; the mail
//! server is that of [`crate::smtp`]; the program is a script, which finds out from a file how it is to behave.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, Response, Uri};
use serde_json::Value;
use tokio::net::TcpSocket;
use tokio::task::AbortHandle;
use watchfire::time::{Span, Timestamp};

use crate::smtp::{DOMAIN, MailServer, Trouble};
use crate::tickets::Issue;

/// How everybody is away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    Well,
    /// Nobody listens; a program ends badly.
    Down,
    /// Answers with this status; a mail server puts off (451), a program has a passing problem (75).
    Status(u16),
    /// 429, and wants so many seconds of patience; a mail server says 421.
    Patience(u32),
    /// Takes what comes and says nothing until it is well again.
    Silent,
    /// Does what it is told, but of each message the first answer is lost.
    Flapping,
}

/// By what a message that comes twice does no harm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guarantee {
    /// The receiver is given the message's key where its kind has a place for one.
    Key,
    /// The service keeps one thing for each alert, and being told its state twice changes nothing.
    State,
    /// We look for what is there before we make it.
    Look,
    /// By nothing: people see it twice, with the same foot.
    Foot,
}

/// Every kind of action that tells somebody: what it needs beside its address, and what holds for it.
pub const KINDS: [(&str, &str, Guarantee); 16] = [
    ("email", "", Guarantee::Key),
    ("webhook", "", Guarantee::Key),
    ("http", ", content_type: text/plain, body: '{{ alert.id }} ({{ occasion }})'", Guarantee::Key),
    ("command", "", Guarantee::Key),
    ("slack", "", Guarantee::Foot),
    ("teams", "", Guarantee::Foot),
    ("discord", "", Guarantee::Foot),
    ("mattermost", "", Guarantee::Foot),
    ("telegram", ", token: {env: TOKEN}, chat: 1", Guarantee::Foot),
    ("pagerduty", ", routing_key: {env: TOKEN}", Guarantee::State),
    ("opsgenie", ", api_key: {env: TOKEN}", Guarantee::State),
    ("jira", ", token: {env: TOKEN}, project: SEC", Guarantee::Look),
    ("gitlab_issue", ", token: {env: TOKEN}, project: soc/alerts", Guarantee::Look),
    ("gitlab_alert", ", key: {env: TOKEN}", Guarantee::State),
    ("alertmanager", "", Guarantee::State),
    ("ntfy", ", topic: t", Guarantee::Foot),
];

/// The ids of the alerts begin with this and are as long as every alert's.
pub const ALERT: &str = "a1e57";
/// So far Jira's search is behind, but where answers are lost: then it would have to be quicker than a second try.
const LAG: u64 = 25;

/// Something that a receiver has done because it was told to.
#[derive(Debug, Clone)]
pub struct Taken {
    pub kind: String,
    /// The delivery's key.
    pub key: String,
    /// All that was said, with where it was said.
    pub text: String,
}

pub(super) struct Inner {
    mood: Mood,
    pub(super) asked: BTreeMap<String, u64>,
    taken: Vec<Taken>,
    /// Keys of which an answer was lost.
    lost: BTreeSet<String>,
    /// By kind and alert: where it stands for services that keep that.
    states: BTreeMap<(String, String), String>,
    pub(super) issues: BTreeMap<String, Vec<Issue>>,
    /// Jira's search knows an issue only after so many further requests.
    pub(super) lag: u64,
}

struct Shared {
    inner: Mutex<Inner>,
    well: tokio::sync::Notify,
}

/// All of them; they end with their handle.
pub struct Services {
    url: String,
    shared: Arc<Shared>,
    socket: Mutex<Option<TcpSocket>>,
    task: Mutex<Option<AbortHandle>>,
    mails: MailServer,
    folder: tempfile::TempDir,
}

const SCRIPT: &str = r#"
cd "${0%/*}" && read mood < mood && echo "$WATCHFIRE_KEY" >> asked
case $mood in down) exit 1;; away) exit 75;; silent) sleep 600;; esac
echo "$WATCHFIRE_KEY $1 ($2)" >> taken
if [ $mood = flapping ] && [ ! -e "lost-$WATCHFIRE_KEY" ]; then : > "lost-$WATCHFIRE_KEY"; exit 1; fi
"#;

impl Services {
    pub async fn start(mood: Mood) -> Self {
        let inner = Inner {
            mood,
            asked: BTreeMap::new(),
            taken: Vec::new(),
            lost: BTreeSet::new(),
            states: BTreeMap::new(),
            issues: BTreeMap::new(),
            lag: if mood == Mood::Flapping { 0 } else { LAG },
        };
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("tell"), SCRIPT).unwrap();
        let services = Self {
            url: format!("http://{}", socket.local_addr().unwrap()),
            shared: Arc::new(Shared { inner: Mutex::new(inner), well: tokio::sync::Notify::new() }),
            socket: Mutex::new(Some(socket)),
            task: Mutex::new(None),
            mails: MailServer::reserve(),
            folder,
        };
        services.feel(mood);
        services
    }

    /// From now on. Whoever listens does not stop to do so.
    pub fn feel(&self, mood: Mood) {
        self.shared.inner.lock().unwrap().mood = mood;
        let (word, trouble) = match mood {
            Mood::Well => ("well", Trouble::None),
            Mood::Down => ("down", Trouble::None),
            Mood::Status(_) => ("away", Trouble::Greylist),
            Mood::Patience(_) => ("away", Trouble::Busy),
            Mood::Silent => ("silent", Trouble::Silent),
            Mood::Flapping => ("flapping", Trouble::CutAfterData),
        };
        std::fs::write(self.file("mood"), format!("{word}\n")).unwrap();
        self.mails.feel(trouble);
        if mood != Mood::Down {
            self.mails.listen();
            self.listen();
        }
        self.shared.well.notify_waiters();
    }

    fn listen(&self) {
        let Some(socket) = self.socket.lock().unwrap().take() else { return };
        let router = Router::new().fallback(answer).with_state(Arc::clone(&self.shared));
        let listener = socket.listen(1024).unwrap();
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        *self.task.lock().unwrap() = Some(task.abort_handle());
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The `actions` of the configuration: each kind under its own name.
    pub fn actions(&self, timeout: &str) -> String {
        let mut text = "actions:\n".to_owned();
        for (kind, more, _) in KINDS {
            let settings = match kind {
                "email" => format!(
                    "smtp: {{host: 127.0.0.1, port: {}, security: none, timeout: {timeout}}}, \
                     from: w@{DOMAIN}, to: [soc@{DOMAIN}]",
                    self.mails.port()
                ),
                "command" => format!(
                    "command: [/bin/sh, '{}', '{{{{ alert.id }}}}', '{{{{ occasion }}}}'], timeout: {timeout}",
                    self.file("tell").display()
                ),
                _ => format!("url: '{}/{kind}', timeout: {timeout}{more}", self.url),
            };
            text.push_str(&format!("  {kind}: {{type: {kind}, {settings}}}\n"));
        }
        text
    }

    fn lines(&self, name: &str) -> Vec<String> {
        let text = std::fs::read_to_string(self.file(name)).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// How often each kind was asked anything.
    pub fn asked(&self) -> BTreeMap<String, u64> {
        let mut asked = self.shared.inner.lock().unwrap().asked.clone();
        asked.insert("email".to_owned(), self.mails.asked());
        asked.insert("command".to_owned(), self.lines("asked").len() as u64);
        asked
    }

    /// All that was done, of each kind in its order.
    pub fn taken(&self) -> Vec<Taken> {
        let mut all = self.shared.inner.lock().unwrap().taken.clone();
        let of =
            |kind: &str, key: &str, text: String| Taken { kind: kind.to_owned(), key: key.to_owned(), text };
        for mail in self.mails.mails() {
            let key = mail.id.split('@').next().unwrap();
            all.push(of("email", key, mail.text.clone()));
        }
        for line in self.lines("taken") {
            all.push(of("command", line.split(' ').next().unwrap(), line.clone()));
        }
        all
    }

    /// What the mail server would not have.
    pub fn refusals(&self) -> Vec<String> {
        self.mails.refusals()
    }

    /// Where each alert stands at services that keep that: by kind, then by alert.
    pub fn states(&self) -> BTreeMap<(String, String), String> {
        self.shared.inner.lock().unwrap().states.clone()
    }

    /// The issues of a ticket system: what each is about, how many comments it has, where it stands.
    pub fn issues(&self, kind: &str) -> Vec<(String, usize, String)> {
        let inner = self.shared.inner.lock().unwrap();
        let issues = inner.issues.get(kind).into_iter().flatten();
        issues.map(|issue| (alert_in(&issue.about), issue.comments.len(), issue.state.clone())).collect()
    }
}

impl Drop for Services {
    fn drop(&mut self) {
        if let Some(task) = self.task.lock().unwrap().take() {
            task.abort();
        }
    }
}

/// The alert that a text names by its whole id.
pub fn alert_in(text: &str) -> String {
    let is_whole = |id: &&str| id.bytes().all(|byte| byte.is_ascii_hexdigit());
    let ids = text.match_indices(ALERT).filter_map(|(at, _)| text.get(at..at + 32));
    ids.filter(is_whole).map(str::to_owned).next().unwrap_or_default()
}

pub(super) fn say(status: u16, body: impl Into<String>) -> Response<String> {
    Response::builder().status(status).body(body.into()).unwrap()
}

async fn answer(
    State(shared): State<Arc<Shared>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response<String> {
    let path = uri.path().trim_start_matches('/');
    let (kind, path) = path.split_once('/').unwrap_or((path, ""));
    let woken = shared.well.notified();
    let mood = {
        let mut inner = shared.inner.lock().unwrap();
        *inner.asked.entry(kind.to_owned()).or_default() += 1;
        inner.mood
    };
    match mood {
        Mood::Status(status) => return say(status, "away"),
        Mood::Patience(seconds) => {
            let answer = Response::builder().status(429).header("retry-after", seconds.to_string());
            return answer.body("slowly".to_owned()).unwrap();
        }
        Mood::Silent => {
            woken.await;
            return say(503, "too late");
        }
        Mood::Well | Mood::Flapping | Mood::Down => {}
    }
    let key = headers.get("idempotency-key").or(headers.get("webhook-id"));
    let key = key.and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    let text = String::from_utf8_lossy(&body).into_owned();
    let call = Call { kind, path, query: uri.query().unwrap_or_default(), text: &text, key: &key };
    shared.inner.lock().unwrap().take(&method, &call)
}

/// A request to one of them.
pub(super) struct Call<'a> {
    kind: &'a str,
    pub(super) path: &'a str,
    pub(super) query: &'a str,
    pub(super) text: &'a str,
    key: &'a str,
}

impl Inner {
    fn take(&mut self, method: &Method, call: &Call<'_>) -> Response<String> {
        let json: Value = serde_json::from_str(call.text).unwrap_or_default();
        let text =
            |pointer: &str| json.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
        let (done, answer) = match call.kind {
            "jira" => return self.jira(call, &json),
            "gitlab_issue" => return self.gitlab_issue(method, call, &json),
            "pagerduty" => (Some((text("/dedup_key"), text("/event_action"))), say(202, "")),
            "opsgenie" => {
                let rest = call.path.trim_start_matches("v2/alerts");
                let verb = rest.trim_start_matches('/').split_once('/');
                let (id, state) = verb.map_or((text("/alias"), "create"), |(id, verb)| (id.to_owned(), verb));
                (Some((id, state.to_owned())), say(202, ""))
            }
            "gitlab_alert" => {
                let state = if json.get("end_time").is_some() { "over" } else { "triggered" };
                (Some((text("/fingerprint"), state.to_owned())), say(200, "[]"))
            }
            "alertmanager" => {
                let time = |pointer: &str| Timestamp::parse(&text(pointer)).unwrap();
                // One that fires does so for a day.
                let is_over = time("/0/endsAt").since(time("/0/startsAt")) < Span::days(1);
                let state = if is_over { "over" } else { "firing" };
                (Some((text("/0/labels/alert"), state.to_owned())), say(200, ""))
            }
            "slack" | "mattermost" => (None, say(200, "ok")),
            "teams" => (None, say(202, "")),
            "discord" | "ntfy" => (None, say(200, r#"{"id": "1"}"#)),
            "telegram" => (None, say(200, r#"{"ok": true}"#)),
            _ => (None, say(200, "")),
        };
        if let Some((id, state)) = done {
            self.states.insert((call.kind.to_owned(), id), state);
        }
        self.did(call, answer)
    }

    /// It is done; the answer may be lost all the same.
    pub(super) fn did(&mut self, call: &Call<'_>, answer: Response<String>) -> Response<String> {
        // Some services are told in the path whom it is about.
        let text = format!("{} {}", call.path, call.text);
        let (kind, key) = (call.kind.to_owned(), call.key.to_owned());
        self.taken.push(Taken { kind, key, text });
        self.lose(call, answer)
    }

    fn lose(&mut self, call: &Call<'_>, answer: Response<String>) -> Response<String> {
        let is_lost = self.mood == Mood::Flapping && self.lost.insert(call.key.to_owned());
        if is_lost { say(502, "the answer was lost") } else { answer }
    }
}
