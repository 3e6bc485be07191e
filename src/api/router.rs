//! Every path, on one screen.

use std::sync::Arc;

use axum::Router;
use axum::routing::{MethodRouter, get};
use prometheus_client::registry::Registry;

use super::Control;
use super::approvals::pages;
use super::figures::{Figures, metrics};
use super::health::{Health, healthz, readyz};
use super::routes::{api, nowhere};
use crate::source::{Endpoint, Refusal};

/// What the paths lead to.
#[derive(Debug)]
pub struct Api {
    /// The sources that are posted to, each at its own path.
    pub endpoints: Vec<Endpoint>,
    /// Read by `/readyz`.
    pub health: Health,
    /// Shown at `/metrics`.
    pub registry: Arc<Registry>,
    /// Behind `/api/v1`.
    pub control: Control,
}

/// Leads every path to what answers it.
pub fn router(parts: Api) -> Router {
    let mut router = Router::new()
        .route("/healthz", only_get(get(healthz)))
        .route("/readyz", only_get(get(readyz)).with_state(Arc::new(parts.health)))
        .route("/metrics", only_get(get(metrics)).with_state(Arc::new(Figures::new(parts.registry))));
    for (path, endpoint) in parts.endpoints.into_iter().map(Endpoint::route) {
        router = router.route(&path, endpoint);
    }
    let control = Arc::new(parts.control);
    router.merge(pages(Arc::clone(&control))).merge(api(control)).fallback_service(nowhere())
}

fn only_get<S: Clone + Send + Sync + 'static>(route: MethodRouter<S>) -> MethodRouter<S> {
    route.fallback(async || Refusal::method("GET"))
}

#[cfg(test)]
mod tests;
