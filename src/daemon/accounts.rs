//! Which accounts are Watchfire's own: asked of the forges with the tokens of its responses, kept in the store, and told to
//! whoever must know: no response touches them, and what they do leads to no further finding.

use std::sync::{Arc, PoisonError, RwLock};

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::action::{Action, ActionSet};
use crate::clock::Clock;
use crate::deliver::DeliveryError;
use crate::enrich::{Account, Own};
use crate::log::fault;
use crate::respond::{Identity, IsOwn};
use crate::store::{Deed, Store, StoreError};
use crate::time::Span;

/// How soon those that gave no answer are asked again: each time later, and at last always after the same time.
const AGAIN: [Span; 4] = [Span::seconds(10), Span::minutes(1), Span::minutes(10), Span::hours(1)];
/// How soon all are asked again that did: accounts are renamed.
const ANEW: Span = Span::days(1);
/// How often it is looked whether a forge has refused a token meanwhile.
const LOOK: Span = Span::seconds(5);

/// What the tokens told, as it is known now; clones share it.
#[derive(Debug, Clone, Default)]
pub struct Learnt(Arc<RwLock<Arc<[Account]>>>);

impl Learnt {
    /// What was kept.
    ///
    /// # Errors
    /// When the store fails.
    pub fn of(store: &Store) -> Result<Self, StoreError> {
        let learnt = Self::default();
        learnt.renew(store)?;
        Ok(learnt)
    }

    /// The accounts, in the order of their actions.
    #[must_use]
    pub fn get(&self) -> Arc<[Account]> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn renew(&self, store: &Store) -> Result<(), StoreError> {
        let known = store.own_accounts()?.into_iter().map(|known| known.account).collect();
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = known;
        Ok(())
    }

    /// Whether somebody is one of these, or of those that are configured.
    pub(super) fn is_own(&self, configured: Option<Arc<Own>>) -> IsOwn {
        let learnt = self.clone();
        Arc::new(move |identity: &Identity| {
            let Identity { forge, id, name } = identity;
            let own = Own::joined(configured.as_ref(), &learnt.get());
            own.is_some_and(|own| own.is(forge, Some(id), name.as_deref()))
        })
    }
}

/// Asks, keeps and tells.
pub(super) struct Learner {
    pub(super) store: Store,
    pub(super) clock: Clock,
    pub(super) actions: watch::Receiver<Arc<ActionSet>>,
    pub(super) learnt: Learnt,
    /// Asks for a reading of the rules, which then know the accounts.
    pub(super) reload: mpsc::Sender<()>,
    /// Whether each token was asked once.
    pub(super) asked: watch::Sender<bool>,
}

impl Learner {
    /// Works until it is to stop.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        let mut failures = 0;
        loop {
            let actions = Arc::clone(&self.actions.borrow_and_update());
            let is_known = tokio::select! {
                is_known = self.ask(&actions) => is_known,
                () = stop.cancelled() => return,
            };
            self.asked.send_replace(true);
            actions.policy().accounts_asked();
            let wait = if is_known { ANEW } else { AGAIN[failures] };
            failures = if is_known { 0 } else { (failures + 1).min(AGAIN.len() - 1) };
            if !self.wait(&actions, wait, &stop).await {
                return;
            }
        }
    }

    /// Waits for so long, for other actions, or until a token is refused; false: it is to stop.
    async fn wait(&mut self, actions: &ActionSet, wait: Span, stop: &CancellationToken) -> bool {
        let (due, refusals) = (self.clock.now().plus(wait), refusals(actions));
        while self.clock.now() < due && self::refusals(actions) == refusals {
            tokio::select! {
                () = self.clock.sleep(LOOK) => {}
                changed = self.actions.changed() => return changed.is_ok(),
                () = stop.cancelled() => return false,
            }
        }
        true
    }

    /// Asks all at once, so that nobody waits for a forge that is away; whether all are known now.
    async fn ask(&self, actions: &ActionSet) -> bool {
        let now = self.clock.now();
        let (mut asking, mut names) = (JoinSet::new(), Vec::new());
        for action in with_token(actions) {
            names.push(action.name().to_owned());
            asking.spawn(async move {
                let told = match action.response() {
                    Some(response) => response.responder.account(now).await,
                    None => Ok(None),
                };
                (action.name().to_owned(), told)
            });
        }
        let (mut told, mut is_known) = (Vec::new(), true);
        while let Some(answer) = asking.join_next().await {
            match answer {
                Ok((name, Ok(account))) => told.extend(account.map(|account| (name, account))),
                Ok((name, Err(error))) => {
                    is_known = false;
                    tell(&name, &error);
                }
                Err(error) => {
                    is_known = false;
                    tracing::error!(%error, "asking whose a token is ended early");
                }
            }
        }
        self.keep(told, names).await && is_known
    }

    /// Keeps what was told, and has the rules know it; false: that failed.
    async fn keep(&self, told: Vec<(String, Account)>, asked: Vec<String>) -> bool {
        let (store, learnt) = (self.store.clone(), self.learnt.clone());
        let deed = Deed::new(self.clock.now(), "watchfire", "own accounts");
        let keep = move || -> Result<bool, StoreError> {
            let is_changed = store.own_accounts_learn(&told, &asked, &deed)?;
            fault::point("responses.accounts_learnt");
            learnt.renew(&store)?;
            Ok(is_changed)
        };
        match tokio::task::spawn_blocking(keep).await {
            Ok(Ok(is_changed)) => {
                if is_changed {
                    for Account { forge, id, name, .. } in &*self.learnt.get() {
                        let why = "what this account does is Watchfire's own, and judged only by rules that ask for `self`";
                        tracing::info!(forge, id, name, "{why}");
                    }
                    // A full queue has a request waiting already.
                    self.reload.try_send(()).ok();
                }
                true
            }
            Ok(Err(error)) => {
                tracing::error!(%error, "Watchfire's own accounts cannot be kept");
                false
            }
            Err(error) => {
                tracing::error!(%error, "keeping Watchfire's own accounts ended early");
                false
            }
        }
    }
}

fn tell(action: &str, error: &DeliveryError) {
    let reason = error.reason();
    tracing::warn!(
        action,
        reason,
        "whose account the token of this action is of is not known; it is asked again"
    );
}

/// The actions whose token has an account.
fn with_token(actions: &ActionSet) -> impl Iterator<Item = Arc<Action>> {
    let has_one = |action: &Arc<Action>| {
        action.response().is_some_and(|response| response.responder.refusals().is_some())
    };
    actions.names().filter_map(|name| actions.get(name)).filter(has_one)
}

/// How often tokens were refused, all together.
fn refusals(actions: &ActionSet) -> u64 {
    let of = |action: Arc<Action>| action.response().and_then(|response| response.responder.refusals());
    with_token(actions).filter_map(of).sum()
}
