//! What Watchfire does about an alert: tell people, call a program, or change an account.
//!
//! One file per kind. A kind has its configuration, is built from it with its secrets, and runs one
//! notification at a time; it says only whether a failure may pass. To add one: its file, a line in
//! [`ActionConfig`], a line in [`Action`], and the conformance tests.

mod config;
mod set;
mod guard;
mod target;
mod occasions;
mod begun;
mod email;
mod webhook;
mod response;
mod habits;
mod notifier;
mod targets;
mod command;
mod http;
mod memory;
mod foresee;
#[cfg(test)]
mod conformance;
#[cfg(test)]
pub(crate) mod stand_in;

pub use crate::respond::{AtMost, Name};
pub use command::CommandConfig;
pub use config::{ActionConfig, ActionError};
pub use email::{EmailConfig, Security, SmtpConfig};
pub use foresee::{Foreseen, Foresight, SoFar};
pub use guard::GuardInput;
pub use http::HttpConfig;
pub use memory::Memory;
pub use response::{RespondConfig, Responding};
pub use set::{Action, ActionSet};
pub use targets::TargetConfig;
pub use webhook::WebhookConfig;
