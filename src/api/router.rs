//! Every path, on one screen.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::HeaderValue;
use axum::http::header::CONTENT_TYPE;
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post};
use prometheus_client::registry::Registry;

use super::health::{Health, healthz, readyz};
use super::rejected::{self, RejectedApi};
use crate::source::{Endpoint, ImportEndpoint, Refusal, not_found};

/// What the paths lead to.
#[derive(Debug)]
pub struct Api {
    /// The sources that are posted to, each at its own path.
    pub endpoints: Vec<Endpoint>,
    /// Read by `/readyz`.
    pub health: Health,
    /// Shown at `/metrics`.
    pub registry: Arc<Registry>,
    /// The administration of rejected bodies; none without `api.token`.
    pub rejected: Option<RejectedApi>,
    /// Takes events of the past; none without `api.token`.
    pub import: Option<ImportEndpoint>,
}

/// Leads every path to what answers it.
pub fn router(api: Api) -> Router {
    let mut router = Router::new()
        .route("/healthz", only_get(get(healthz)))
        .route("/readyz", only_get(get(readyz)).with_state(Arc::new(api.health)))
        .route("/metrics", only_get(get(metrics)).with_state(api.registry));
    for (path, endpoint) in api.endpoints.into_iter().map(Endpoint::route) {
        router = router.route(&path, endpoint);
    }
    if let Some(rejected) = api.rejected {
        router = router.merge(administration(Arc::new(rejected)));
    }
    if let Some(import) = api.import {
        router = router.route(ImportEndpoint::PATH, import.route());
    }
    router.fallback(not_found)
}

fn administration(api: Arc<RejectedApi>) -> Router {
    Router::new()
        .route("/api/v1/rejected", only_get(get(rejected::list)))
        .route("/api/v1/rejected/{id}", only_get(get(rejected::show)))
        .route("/api/v1/rejected/{id}/replay", post(rejected::replay).fallback(|| answer_405("POST")))
        .layer(from_fn_with_state(Arc::clone(&api), rejected::admit))
        .with_state(api)
}

fn only_get<S: Clone + Send + Sync + 'static>(route: MethodRouter<S>) -> MethodRouter<S> {
    route.fallback(|| answer_405("GET"))
}

async fn answer_405(allow: &'static str) -> Refusal {
    Refusal::method(allow)
}

// github.com/prometheus/OpenMetrics, "Overall Structure": the media type, and `# EOF` at the end.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

async fn metrics(State(registry): State<Arc<Registry>>) -> Response {
    let mut text = String::new();
    if let Err(error) = prometheus_client::encoding::text::encode(&mut text, &registry) {
        tracing::error!(%error, "the metrics cannot be written");
        let status = axum::http::StatusCode::INTERNAL_SERVER_ERROR;
        return Refusal::new(status, "metrics_failed", "the metrics cannot be written").into_response();
    }
    ([(CONTENT_TYPE, HeaderValue::from_static(OPEN_METRICS))], text).into_response()
}

#[cfg(test)]
mod tests;
