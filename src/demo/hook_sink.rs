//! Where the demo's webhooks and forwarded events arrive: counted, and the newest kept for looking at.

use std::collections::VecDeque;
use std::io::Read;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::routing::post;

use super::DemoError;
use super::serving::{Cut, Serving};

/// One webhook as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hook {
    /// The `webhook-id` header: the same for every try of one delivery.
    pub id: Option<String>,
    /// The body.
    pub body: Bytes,
}

/// Takes webhooks at `/webhook` and forwarded NDJSON at `/forward`; clones share the counts.
#[derive(Debug, Clone)]
pub struct HookSink {
    kept: Arc<Mutex<Kept>>,
    serving: Arc<Serving>,
}

#[derive(Debug, Default)]
struct Kept {
    hooks: VecDeque<Hook>,
    webhooks: u64,
    forwarded: u64,
}

const HOOKS_MAX: usize = 1000;
const BODY_MAX: usize = 32 << 20;
/// A forwarded batch may be compressed; it is never larger than this in truth.
const INFLATED_MAX: u64 = 256 << 20;

impl HookSink {
    /// Starts it on a free port of the loopback address.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn start() -> Result<Self, DemoError> {
        let kept = Arc::new(Mutex::new(Kept::default()));
        let router = Router::new()
            .route("/webhook", post(webhook))
            .route("/forward", post(forward))
            .layer(DefaultBodyLimit::max(BODY_MAX))
            .with_state(Arc::clone(&kept));
        let serving = Serving::start("webhook sink", router, Cut::default()).await?;
        Ok(Self { kept, serving: Arc::new(serving) })
    }

    /// For a webhook action.
    #[must_use]
    pub fn webhook_url(&self) -> String {
        format!("http://{}/webhook", self.serving.address)
    }

    /// For a forwarder.
    #[must_use]
    pub fn forward_url(&self) -> String {
        format!("http://{}/forward", self.serving.address)
    }

    /// How many webhooks came.
    #[must_use]
    pub fn webhooks(&self) -> u64 {
        lock(&self.kept).webhooks
    }

    /// How many events came, one a line.
    #[must_use]
    pub fn forwarded(&self) -> u64 {
        lock(&self.kept).forwarded
    }

    /// The newest thousand webhooks, oldest first.
    #[must_use]
    pub fn hooks(&self) -> Vec<Hook> {
        lock(&self.kept).hooks.iter().cloned().collect()
    }
}

fn lock(kept: &Mutex<Kept>) -> MutexGuard<'_, Kept> {
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn webhook(State(kept): State<Arc<Mutex<Kept>>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let id = headers.get("webhook-id").and_then(|value| value.to_str().ok()).map(str::to_owned);
    let mut kept = lock(&kept);
    kept.webhooks += 1;
    if kept.hooks.len() == HOOKS_MAX {
        kept.hooks.pop_front();
    }
    kept.hooks.push_back(Hook { id, body });
    StatusCode::NO_CONTENT
}

async fn forward(State(kept): State<Arc<Mutex<Kept>>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let compressed = headers.get(header::CONTENT_ENCODING).is_some_and(|value| value == "gzip");
    let lines = if compressed {
        let mut plain = Vec::new();
        let mut reader = flate2::read::GzDecoder::new(&body[..]).take(INFLATED_MAX);
        match reader.read_to_end(&mut plain) {
            Ok(_) => count_lines(&plain),
            Err(_) => return StatusCode::BAD_REQUEST,
        }
    } else {
        count_lines(&body)
    };
    lock(&kept).forwarded += lines;
    StatusCode::NO_CONTENT
}

/// Lines that are not blank; the last needs no line end.
fn count_lines(body: &[u8]) -> u64 {
    let blank = |line: &&[u8]| line.iter().all(u8::is_ascii_whitespace);
    body.split(|byte| *byte == b'\n').filter(|line| !blank(line)).count() as u64
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[tokio::test]
    async fn hooks_are_kept_and_lines_counted() {
        drop(rustls::crypto::ring::default_provider().install_default());
        let sink = HookSink::start().await.unwrap();
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let hook = client.post(sink.webhook_url()).header("webhook-id", "a1").body("{}");
        assert_eq!(hook.send().await.unwrap().status(), 204);
        let lines = client.post(sink.forward_url()).body("{\"a\":1}\n{\"a\":2}\n\n{\"a\":3}");
        assert_eq!(lines.send().await.unwrap().status(), 204);
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(b"{}\n{}\n").unwrap();
        let gzip =
            client.post(sink.forward_url()).header("content-encoding", "gzip").body(gzip.finish().unwrap());
        assert_eq!(gzip.send().await.unwrap().status(), 204);
        assert_eq!((sink.webhooks(), sink.forwarded()), (1, 5));
        assert_eq!(sink.hooks(), [Hook { id: Some("a1".into()), body: Bytes::from_static(b"{}") }]);
    }
}
