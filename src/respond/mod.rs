//! Responses: what Watchfire changes in another system because of an alert, and what keeps it from harm.
//!
//! A *responder* knows one system: it says whom an alert is about, looks without touching, changes, looks again, and puts
//! back exactly what it found. Whether it may is not its business: the guards decide that, for all responders alike.
//! `run.rs` is the way of one response from being due to being done; `undo.rs` the way back.

mod sight;
mod problem;
mod client;
mod holder;
mod target;
mod gitlab;
mod github;
mod http_call;
mod http;
mod responder;
mod memory;
mod guards;
mod guarded;
mod link;
mod policy;
mod notices;
mod job;
mod run;
mod act;
mod undo;
mod abandoned;
mod foresee;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod forge_tests;

pub use abandoned::abandoned;
pub use github::{GithubConfig, GithubDo};
pub use gitlab::{GitlabConfig, GitlabDo, Role};
pub use guarded::Guarded;
pub use guards::{AtMost, Guards, Ladder, Name};
pub use http::{HttpConfig, LookConfig, RequestConfig};
pub use job::{Ended, Job};
pub use link::{Link, Signer};
pub use memory::{Account, Memory, Script};
pub use notices::expired;
pub use policy::{
    ApprovalConfig, Bound, IsOwn, Known, Percent, Policy, Protected, Radius, Rehearse, ResponsesConfig,
};
pub use problem::Problem;
pub use responder::{Responder, ResponderConfig, Verb};
pub use run::run;
pub use sight::{Identity, Receipt, Sight, Standing, Subject, SubjectKind};
pub use target::{elsewhere, foreign, target, text};
pub use undo::{stranded, undo};
