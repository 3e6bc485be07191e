//! `type: gitlab`: accounts, access tokens, keys and memberships, through GitLab's REST API.
//!
//! One file for each family of changes; [`api`] has the calls they share, [`config`] the settings. It looks before and
//! after, touches nobody who cannot be looked up, and takes no answer for success but the documented one.

mod config;
mod api;
mod people;
mod subject;
mod account;
mod token;
mod key;
mod member;
mod gitlab;

pub(super) use account::foresee;
pub use config::{GitlabConfig, GitlabDo, Role};
pub(super) use gitlab::Gitlab;
pub(super) use subject::foreseen;
