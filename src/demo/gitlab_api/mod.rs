//! A stand-in of GitLab's API for accounts, tokens, keys and members: strict, small, and it really changes its world.
//!
//! Sources of codes and rules: doc/api/{users,user_moderation,personal_access_tokens,project_access_tokens,
//! group_access_tokens,user_keys,keys,deploy_keys,members}.md and lib/api/{users,members,resource_access_tokens}.rb. What
//! they leave open is decided here in favour of refusing: a revoked token cannot be revoked again (400).

mod world;
mod answer;
mod accounts;
mod credentials;
mod members;
mod api;
#[cfg(test)]
mod tests;

pub use api::GitlabApi;
pub use world::{ApiToken, GitlabWorld, SimKey, SimMember, SimPlace, SimToken};
