//! A stand-in of GitHub's REST API for members, blocks, suspensions and authorised credentials: strict, small, stateful.
//!
//! Sources of codes and rules: docs.github.com/rest (orgs/members, orgs/blocking, orgs/orgs, users), of suspensions
//! docs.github.com/enterprise-server, rest/enterprise-admin/users. What they leave open is decided here in favour of
//! refusing: a member cannot be blocked (422), nor the last owner be removed (403).

mod world;
mod answer;
#[cfg(test)]
mod tests;

pub use world::{
    GithubApi, GithubToken, GithubWorld, SimAccount, SimCredential, SimMembership, SimOrganization,
};
