//! Is the process alive, and can it do its work?

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use tokio::sync::watch;
use utoipa::ToSchema;

use super::control::Control;
use crate::event::Position;
use crate::source::{Board, PollReport, Sink, json};
use crate::store::{Stop, Store};

/// What detection is doing. Told by the daemon.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Detection {
    /// Not yet begun.
    Starting,
    /// Judging what was stored before the start.
    CatchingUp {
        /// Judged up to here.
        #[schema(value_type = u64)]
        position: Position,
    },
    /// Judging what comes in.
    Running {
        /// Judged up to here.
        #[schema(value_type = u64)]
        position: Position,
    },
    /// Ended.
    Stopped {
        /// Why.
        reason: String,
    },
}

/// What readiness is read from.
#[derive(Debug, Clone)]
pub struct Health {
    /// Knows whether the log takes events.
    pub sink: Sink,
    /// What detection is doing.
    pub detection: watch::Receiver<Detection>,
    /// How the APIs that are asked for events are doing. Trouble there makes nothing unready: it is only shown.
    pub polls: Board,
    /// Knows whether responses are stopped, which makes nothing unready either.
    pub store: Store,
}

/// How the daemon is.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Health)]
pub(super) struct Report {
    /// Whether events are taken and judged.
    ready: bool,
    log: LogReport,
    detection: Detection,
    /// How many entries of the log are not yet judged.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    lag: Option<u64>,
    /// By the source's name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    polls: BTreeMap<String, PollReport>,
    /// All responses are stopped: by whom, since when and why. Events are taken and judged all the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    responses_stopped: Option<StopReport>,
}

/// What everybody is told, without a token: whether responses are stopped, but not who stopped them and why.
#[derive(Debug, Serialize)]
struct Open {
    #[serde(flatten)]
    report: Report,
    /// Missing when the store does not say it.
    #[serde(skip_serializing_if = "Option::is_none")]
    responses_stopped: Option<bool>,
}

/// That all responses are stopped.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = HealthOfResponses)]
struct StopReport {
    /// By whom.
    by: String,
    /// Since when.
    #[schema(format = DateTime)]
    since: String,
    /// Why.
    reason: String,
}

/// How the log is.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = HealthOfLog)]
struct LogReport {
    writable: bool,
    /// The last entry.
    #[schema(value_type = u64)]
    position: Position,
    /// Why it takes no events.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    error: Option<String>,
}

impl Health {
    /// How it is, all but the responses.
    fn report(&self) -> Report {
        let detection = self.detection.borrow().clone();
        let error = self.sink.trouble();
        let last = self.sink.position();
        let lag = match &detection {
            Detection::CatchingUp { position } | Detection::Running { position } => {
                Some(last.saturating_sub(*position))
            }
            Detection::Starting | Detection::Stopped { .. } => None,
        };
        let ready = error.is_none() && matches!(detection, Detection::Running { .. });
        let log = LogReport { writable: error.is_none(), position: last, error };
        Report { ready, log, detection, lag, polls: self.polls.reports(), responses_stopped: None }
    }

    /// Who stopped all responses; the outer none: the store does not answer, which shows elsewhere.
    async fn stopped(&self) -> Option<Option<Stop>> {
        let store = self.store.clone();
        tokio::task::spawn_blocking(move || store.responses_stopped().ok()).await.ok().flatten()
    }
}

/// Show how the daemon is
///
/// As `/readyz`, which needs no token and only says whether all responses are stopped; here it is told by whom, since when
/// and why. The status is 200 as long as it can be told.
#[utoipa::path(get, path = "/api/v1/health", tag = "health",
    responses((status = 200, description = "How it is", body = Report)))]
pub(super) async fn health(State(control): State<Arc<Control>>) -> Json<Report> {
    let stopped = control.health.stopped().await.flatten();
    let responses_stopped =
        stopped.map(|Stop { at, by, reason }| StopReport { by, since: at.to_string(), reason });
    Json(Report { responses_stopped, ..control.health.report() })
}

/// 200 as long as anything is answered at all.
pub(super) async fn healthz() -> Response {
    json(StatusCode::OK, &serde_json::json!({"alive": true}))
}

/// 200 if events are taken and judged, 503 if not; the body says which.
pub(super) async fn readyz(State(health): State<Arc<Health>>) -> Response {
    let responses_stopped = health.stopped().await.map(|stop| stop.is_some());
    let report = health.report();
    let status = if report.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    json(status, &Open { report, responses_stopped })
}
