//! The stand-in itself.

use super::{ApiToken, GitlabWorld};
use crate::demo::stand_in::StandIn;
use crate::demo::{AccountState, DemoError, SimUser};

/// The stand-in; clones share the same accounts.
pub type GitlabApi = StandIn<GitlabWorld>;

impl StandIn<GitlabWorld> {
    /// Starts it on a free port of the loopback address. A token acts as its account: only an
    /// administrator's may change anybody.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn start(users: &[SimUser], tokens: &[(&str, i64)]) -> Result<Self, DemoError> {
        let token = |(secret, user): &(&str, i64)| ApiToken {
            secret: (*secret).to_owned(),
            user: *user,
            scope: "api",
        };
        let world = GitlabWorld {
            users: users.iter().map(|user| (user.id, user.clone())).collect(),
            tokens: tokens.iter().map(token).collect(),
            ..GitlabWorld::default()
        };
        Self::of(world).await
    }

    /// An account's state; none if there is no such account.
    #[must_use]
    pub fn state_of(&self, id: i64) -> Option<AccountState> {
        self.with(|world| world.users.get(&id).map(|user| user.state))
    }

    /// Ids of all accounts that are blocked or banned, ascending.
    #[must_use]
    pub fn blocked(&self) -> Vec<i64> {
        let shut = |user: &&SimUser| matches!(user.state, AccountState::Blocked | AccountState::Banned);
        self.with(|world| world.users.values().filter(shut).map(|user| user.id).collect())
    }
}
