//! `/metrics`: written on a thread that may wait for the disk, by one caller at a time, and never for each of many.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use prometheus_client::registry::Registry;
use tokio::sync::Mutex;

use crate::source::Refusal;

// github.com/prometheus/OpenMetrics, "Overall Structure": the media type, and `# EOF` at the end.
pub(super) const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The metrics as text.
#[derive(Debug)]
pub(super) struct Figures {
    registry: Arc<Registry>,
    /// How often they were written, begun ones included.
    begun: AtomicU64,
    /// What was written last, and as the how manieth.
    last: Mutex<(u64, Bytes)>,
}

impl Figures {
    pub(super) fn new(registry: Arc<Registry>) -> Self {
        Self { registry, begun: AtomicU64::new(0), last: Mutex::default() }
    }

    /// The text: what was begun after this was called, by this caller or by another who came meanwhile. None if it
    /// cannot be written.
    async fn text(&self) -> Option<Bytes> {
        let before = self.begun.load(Ordering::Acquire);
        let mut last = self.last.lock().await;
        if last.0 > before {
            return Some(last.1.clone());
        }
        let number = self.begun.fetch_add(1, Ordering::AcqRel) + 1;
        let registry = Arc::clone(&self.registry);
        let written = tokio::task::spawn_blocking(move || {
            let mut text = String::new();
            prometheus_client::encoding::text::encode(&mut text, &registry).map(|()| text)
        });
        match written.await {
            Ok(Ok(text)) => {
                *last = (number, text.into());
                Some(last.1.clone())
            }
            Ok(Err(error)) => {
                tracing::error!(%error, "the metrics cannot be written");
                None
            }
            Err(error) => {
                tracing::error!(%error, "writing the metrics ended early");
                None
            }
        }
    }
}

pub(super) async fn metrics(State(figures): State<Arc<Figures>>) -> Response {
    match figures.text().await {
        Some(text) => ([(CONTENT_TYPE, HeaderValue::from_static(OPEN_METRICS))], text).into_response(),
        None => {
            let status = StatusCode::INTERNAL_SERVER_ERROR;
            Refusal::new(status, "metrics_failed", "the metrics cannot be written").into_response()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use prometheus_client::collector::Collector;
    use prometheus_client::encoding::DescriptorEncoder;

    use super::*;

    /// Takes as long as the test says, and counts.
    #[derive(Debug)]
    struct Slow(Arc<AtomicU64>, std::sync::Mutex<mpsc::Receiver<()>>);

    impl Collector for Slow {
        fn encode(&self, _: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
            self.0.fetch_add(1, Ordering::Relaxed);
            self.1.lock().unwrap().recv().map_err(|_| std::fmt::Error)
        }
    }

    /// On one thread: were it kept, nothing would ever let go of it.
    #[tokio::test]
    async fn a_slow_store_keeps_no_thread_of_the_runtime_and_is_asked_once_for_many() {
        let (count, (go, wait)) = (Arc::new(AtomicU64::new(0)), mpsc::channel());
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Slow(Arc::clone(&count), std::sync::Mutex::new(wait))));
        let figures = Arc::new(Figures::new(Arc::new(registry)));
        let ask = || {
            let figures = Arc::clone(&figures);
            tokio::spawn(async move { figures.text().await })
        };
        let first = ask();
        while count.load(Ordering::Relaxed) == 0 {
            tokio::task::yield_now().await;
        }
        let others: Vec<_> = (0..20).map(|_| ask()).collect();
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        go.send(()).unwrap();
        go.send(()).unwrap();
        assert!(first.await.unwrap().is_some());
        for other in others {
            assert!(other.await.unwrap().is_some());
        }
        assert_eq!(count.load(Ordering::Relaxed), 2, "one for the first, one for all who came meanwhile");
    }
}
