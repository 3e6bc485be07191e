//! The HTTP side of the daemon: one server for the sources' endpoints, health, metrics and the API.
//!
//! The API lies under `/api/v1`. A call passes, from the outside in: `finish` (request id, headers, panics, errors as
//! RFC 9457), `conditional` (ETags), `admit` (who it is, how often it may call), `record` (the audit log), and what
//! `routes` puts before each path (its role, the names of its parameters); then a handler that asks the store or the log.
//! Paths, parameters and answers are described by the handlers themselves; `document` completes that to OpenAPI.

mod config;
mod problem;
mod rate;
mod repeats;
mod key;
mod guard;
mod holds;
mod silences;
mod responses;
mod respond;
mod approvals;
mod retention;
mod places;
mod stall;
mod control;
mod page;
mod ask;
mod finish;
mod conditional;
mod admit;
mod record;
mod health;
mod alerts;
mod timeline;
mod triage;
mod incidents;
mod stream;
mod quality;
mod ledger;
mod outbox;
mod rejected;
mod rules;
mod gaps;
mod lookup;
mod events;
mod trace;
mod proof;
mod verify;
mod counts;
mod exports;
mod reports;
mod coverage;
mod import;
mod tokens;
mod audit;
mod document;
mod routes;
mod figures;
mod router;
mod server;
#[cfg(test)]
mod testing;

pub use config::ApiConfig;
pub use control::{Control, ControlParts};
pub use document::document;
pub use guard::Guard;
pub use health::{Detection, Health};
pub use import::IMPORT_PATH;
pub use key::{KeyError, NewToken, check_name, token_text};
pub use lookup::Events;
pub use retention::Keeping;
pub use router::{Api, router};
pub use rules::RulesStatus;
pub use server::{ServeError, ServerLimits, ServerMetrics, serve};
pub use verify::Verifications;
