//! The stand-in itself.

use super::{ApiToken, GitlabWorld};
use crate::demo::stand_in::StandIn;
use crate::demo::{AccountState, ApiCall, DemoError, Fault, SimUser};

/// The stand-in; clones share the same accounts.
#[derive(Debug, Clone)]
pub struct GitlabApi {
    served: StandIn<GitlabWorld>,
}

impl GitlabApi {
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

    /// Starts it with a world of one's own.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn of(world: GitlabWorld) -> Result<Self, DemoError> {
        StandIn::start(world).await.map(|served| Self { served })
    }

    /// Its address as an action's `url`: without a path and without a slash at the end.
    #[must_use]
    pub fn url(&self) -> String {
        self.served.url()
    }

    /// An account's state; none if there is no such account.
    #[must_use]
    pub fn state_of(&self, id: i64) -> Option<AccountState> {
        self.served.with(|world| world.users.get(&id).map(|user| user.state))
    }

    /// Ids of all accounts that are blocked or banned, ascending.
    #[must_use]
    pub fn blocked(&self) -> Vec<i64> {
        let shut = |user: &&SimUser| matches!(user.state, AccountState::Blocked | AccountState::Banned);
        self.served.with(|world| world.users.values().filter(shut).map(|user| user.id).collect())
    }

    /// The world as it is now.
    #[must_use]
    pub fn world(&self) -> GitlabWorld {
        self.served.with(|world| world.clone())
    }

    /// Somebody changes the world without a call.
    pub fn edit(&self, change: impl FnOnce(&mut GitlabWorld)) {
        self.served.with(change);
    }

    /// The calls so far, oldest first; at most the first 10,000.
    #[must_use]
    pub fn calls(&self) -> Vec<ApiCall> {
        self.served.calls()
    }

    /// Misbehaves for so many of the coming calls.
    pub fn fail(&self, fault: Fault, times: u64) {
        self.served.fail(fault, times, false);
    }

    /// Misbehaves for so many of the coming calls that change something.
    pub fn fail_changes(&self, fault: Fault, times: u64) {
        self.served.fail(fault, times, true);
    }
}
