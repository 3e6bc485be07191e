//! `type: github`: organisation memberships and blocks, suspensions of an Enterprise Server, single sign-on credentials.
//!
//! One file for each family of changes; [`people`] has what they ask about accounts. Accounts are looked up by their number,
//! for a login may have changed hands; what is changed is named by the login that GitHub gives for that number.

mod config;
mod people;
mod subject;
mod membership;
mod switch;
mod credential;
#[expect(clippy::module_inception, reason = "what the folder is about; the other files are its parts")]
mod github;

pub use config::{GithubConfig, GithubDo};
pub(super) use github::Github;
pub(super) use subject::foreseen;
