//! The stand-in itself.

use super::GithubWorld;
use crate::demo::stand_in::StandIn;
use crate::demo::{ApiCall, DemoError, Fault};

/// The stand-in; clones share the same world.
#[derive(Debug, Clone)]
pub struct GithubApi {
    served: StandIn<GithubWorld>,
}

impl GithubApi {
    /// Starts it on a free port of the loopback address.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn of(world: GithubWorld) -> Result<Self, DemoError> {
        StandIn::start(world).await.map(|served| Self { served })
    }

    /// Its address as an action's `url`.
    #[must_use]
    pub fn url(&self) -> String {
        self.served.url()
    }

    /// The world as it is now.
    #[must_use]
    pub fn world(&self) -> GithubWorld {
        self.served.with(|world| world.clone())
    }

    /// Somebody changes the world without a call.
    pub fn edit(&self, change: impl FnOnce(&mut GithubWorld)) {
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
