//! A Splunk HTTP Event Collector, raw endpoint: strict about token, channel and body, and with Splunk's answers.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use serde_json::{Value, json};
use tokio::task::AbortHandle;

/// What senders show after `Splunk `.
pub const HEC_TOKEN: &str = "f4b3b8a2-0000-4000-8000-1f2e3d4c5b6a";

/// The running collector; ends with its handle.
pub struct Collector {
    url: String,
    shared: Arc<Mutex<Shared>>,
    task: AbortHandle,
}

#[derive(Default)]
struct Shared {
    events: Vec<Value>,
    refusals: Vec<String>,
}

impl Collector {
    /// On a free port.
    pub async fn start() -> Self {
        let shared = Arc::new(Mutex::new(Shared::default()));
        let router = Router::new()
            .route("/services/collector/raw", post(take))
            .layer(DefaultBodyLimit::max(64 << 20))
            .with_state(Arc::clone(&shared));
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let url = format!("http://{}/services/collector/raw", listener.local_addr().unwrap());
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, shared, task: task.abort_handle() }
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    /// All events it took, in the order in which they came, repeats included.
    pub fn events(&self) -> Vec<Value> {
        self.shared.lock().unwrap().events.clone()
    }

    pub fn refusals(&self) -> Vec<String> {
        self.shared.lock().unwrap().refusals.clone()
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn take(
    State(shared): State<Arc<Mutex<Shared>>>,
    headers: HeaderMap,
    body: Bytes,
) -> (StatusCode, axum::Json<Value>) {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let token = header("authorization").strip_prefix("Splunk ");
    let is_channel = header("x-splunk-request-channel").split('-').map(str::len).eq([8, 4, 4, 4, 12]);
    let events: Option<Vec<Value>> =
        body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(read).collect();
    let (status, text, code) = match (token, events) {
        (None, _) => (401, "Token is required", 2),
        (Some(token), _) if token != HEC_TOKEN => (403, "Invalid token", 4),
        _ if !is_channel => (400, "Data channel is missing", 10),
        (_, None) => (400, "Invalid data format", 6),
        (_, Some(events)) if events.is_empty() => (400, "No data", 5),
        (_, Some(events)) => {
            shared.lock().unwrap().events.extend(events);
            (200, "Success", 0)
        }
    };
    if status != 200 {
        shared.lock().unwrap().refusals.push(text.to_owned());
    }
    (StatusCode::from_u16(status).unwrap(), axum::Json(json!({"text": text, "code": code})))
}

fn read(line: &[u8]) -> Option<Value> {
    serde_json::from_slice(line).ok()
}
