//! The HTTP side of the daemon: one server for the sources' endpoints, health, metrics and administration.

mod health;
mod rejected;
mod router;
mod server;

pub use health::{Detection, Health};
pub use rejected::RejectedApi;
pub use router::{Api, router};
pub use server::{ServeError, ServerLimits, ServerMetrics, serve};

use serde::Deserialize;

use crate::deliver::SecretRef;

/// The `api` section.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApiConfig {
    /// Opens `/api/v1`; without it, nothing there exists.
    pub token: Option<SecretRef>,
}
