//! Responses: what Watchfire changes in another system because of an alert, and what keeps it from harm.
//!
//! A *responder* knows one system: it says whom an alert is about, looks without touching, changes, looks again, and puts
//! back exactly what it found. Whether it may is not its business: the guards decide that, for all responders alike.

mod sight;
mod problem;
mod client;
mod target;
mod gitlab;
mod github;
mod http_call;
mod http;
mod responder;
#[cfg(test)]
mod forge_tests;

pub use github::{GithubConfig, GithubDo};
pub use gitlab::{GitlabConfig, GitlabDo, Role};
pub use http::{HttpConfig, LookConfig, RequestConfig};
pub use problem::Problem;
pub use responder::{Responder, ResponderConfig, Verb};
pub use sight::{Identity, Receipt, Sight, Standing, Subject, SubjectKind};
pub use target::{elsewhere, foreign, target};
