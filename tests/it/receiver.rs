//! A receiver of webhooks and forwarded events that keeps everything, and can be told to refuse.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use serde_json::Value;
use tokio::task::AbortHandle;

/// One request as it came.
#[derive(Clone)]
pub struct Received {
    pub path: String,
    pub headers: HeaderMap,
    pub body: Bytes,
    /// What it was answered.
    pub status: u16,
}

/// Takes any `POST`; ends with its handle.
pub struct Receiver {
    url: String,
    shared: Arc<Mutex<Shared>>,
    task: AbortHandle,
}

#[derive(Default)]
struct Shared {
    received: Vec<Received>,
    always: Option<u16>,
}

impl Receiver {
    /// On a free port.
    pub async fn start() -> Self {
        let shared = Arc::new(Mutex::new(Shared::default()));
        let router = Router::new()
            .fallback(take)
            .layer(DefaultBodyLimit::max(64 << 20))
            .with_state(Arc::clone(&shared));
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, shared, task: task.abort_handle() }
    }

    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }

    /// Answers everything with this status from now on; none: as each service does.
    pub fn always(&self, status: Option<u16>) {
        self.shared.lock().unwrap().always = status;
    }

    /// Everything at this path, oldest first.
    pub fn at(&self, path: &str) -> Vec<Received> {
        let all = self.shared.lock().unwrap().received.clone();
        all.into_iter().filter(|received| received.path == path).collect()
    }

    /// What was taken at this path: refused requests do not count.
    pub fn taken(&self, path: &str) -> Vec<Received> {
        let mut all = self.at(path);
        all.retain(|received| received.status < 300);
        all
    }

    /// The lines of all taken bodies at this path, as JSON.
    pub fn lines(&self, path: &str) -> Vec<Value> {
        let mut lines = Vec::new();
        for received in self.taken(path) {
            let text = std::str::from_utf8(&received.body).unwrap();
            lines.extend(text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()));
        }
        lines
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Received {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

async fn take(
    State(shared): State<Arc<Mutex<Shared>>>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> (StatusCode, &'static str) {
    let mut shared = shared.lock().unwrap();
    // Slack, PagerDuty and Alertmanager answer as their documentation says, everything else as a webhook.
    let (usual, said) = match uri.path() {
        "/slack" => (200, "ok"),
        "/pagerduty" => (202, r#"{"status":"success","message":"Event processed"}"#),
        "/manager/api/v2/alerts" => (200, ""),
        _ => (204, ""),
    };
    let status = shared.always.unwrap_or(usual);
    shared.received.push(Received { path: uri.path().to_owned(), headers, body, status });
    let said = if status == usual { said } else { "" };
    (StatusCode::from_u16(status).unwrap(), said)
}
