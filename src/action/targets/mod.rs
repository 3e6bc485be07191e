//! The services, one file each, and the one list of them.
//!
//! Limits are those of the services' own documentation, which each file names. To add one: its file with a line here, and a
//! line in `registry`.

mod registry;
mod slack;
mod teams;
mod discord;
mod mattermost;
mod telegram;
mod pagerduty;
mod opsgenie;
mod jira;
mod gitlab_issue;
mod gitlab_alert;
mod alertmanager;
mod ntfy;

pub use registry::*;
