//! What may be deleted, as the sealer asks: the policy, the holds, and how far detection and the forwarders are.

use std::sync::Arc;

use tokio::sync::watch;

use crate::clock::Clock;
use crate::config::Config;
use crate::engine::{Needs, RuleSet};
use crate::forward::ForwardStatus;
use crate::log::{Ask, HeldBack, Retention};
use crate::query::Query;
use crate::retention::Policy;
use crate::store::{Hold, Store, StoreError};
use crate::time::{Span, Timestamp};

/// Events that are only judged are kept so long at least.
const TO_JUDGE_MIN: Span = Span::hours(1);

/// Answers the sealer.
pub(super) struct Keeper {
    store: Store,
    clock: Clock,
    policy: watch::Receiver<Arc<Policy>>,
    rules: watch::Receiver<Arc<RuleSet>>,
    forwarders: Vec<Arc<ForwardStatus>>,
    /// Of the configuration at the start.
    lateness: Span,
    /// For so long duplicates are recognised: what was deleted sooner would be stored anew when it comes again.
    horizon: Span,
}

impl Keeper {
    pub(super) fn new(
        (store, clock): (Store, Clock),
        config: &Config,
        policy: watch::Receiver<Arc<Policy>>,
        rules: watch::Receiver<Arc<RuleSet>>,
        forwarders: Vec<Arc<ForwardStatus>>,
    ) -> Self {
        let (lateness, horizon) = (config.lateness, config.limits.log().dedupe_horizon);
        Self { store, clock, policy, rules, forwarders, lateness, horizon }
    }

    /// Answers from now on. What rules need is worked out once for each set of rules.
    pub(super) fn ask(self) -> Ask {
        let known: std::sync::Mutex<Option<Arc<Needs>>> = std::sync::Mutex::new(None);
        Arc::new(move || {
            let rules = Arc::clone(&self.rules.borrow());
            let mut known = known.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            let needs = match known.take().filter(|needs| Arc::ptr_eq(needs.rules(), &rules)) {
                Some(needs) => needs,
                None => Arc::new(Needs::new(rules)),
            };
            self.answer(Arc::clone(known.insert(needs)))
        })
    }

    fn answer(&self, needs: Arc<Needs>) -> Result<Retention, String> {
        let failed = |error: StoreError| error.to_string();
        let forwarded = self.forwarders.iter().map(|forwarder| forwarder.position());
        let settled = forwarded.fold(self.store.settled().map_err(failed)?, u64::min);
        let holds = active(&self.store.holds().map_err(failed)?, self.clock.now())?;
        let policy = Arc::clone(&self.policy.borrow());
        Ok(retention(policy, (self.lateness, self.horizon), settled, holds, needs))
    }
}

/// The holds that are in force, or which one cannot be read.
fn active(holds: &[Hold], now: Timestamp) -> Result<Vec<HeldBack>, String> {
    let active = holds.iter().filter(|hold| hold.is_active(now));
    active
        .map(|hold| {
            let query = Query::parse(&hold.hold.query, hold.created_at)
                .map_err(|error| format!("hold {} cannot be read: {error}", hold.id))?;
            Ok(HeldBack { id: hold.id, query })
        })
        .collect()
}

/// What a configuration and the holds of a store would have deleted, for a look beside the daemon.
pub fn retention_of(
    config: &Config,
    rules: &Arc<RuleSet>,
    holds: &[Hold],
    now: Timestamp,
) -> Result<Retention, String> {
    let horizon = config.limits.log().dedupe_horizon;
    let policy = Arc::new(config.retention.clone());
    let needs = Arc::new(Needs::new(Arc::clone(rules)));
    Ok(retention(policy, (config.lateness, horizon), u64::MAX, active(holds, now)?, needs))
}

fn retention(
    policy: Arc<Policy>,
    (lateness, horizon): (Span, Span),
    settled: u64,
    holds: Vec<HeldBack>,
    needs: Arc<Needs>,
) -> Retention {
    Retention {
        policy,
        to_judge: TO_JUDGE_MIN.max(horizon),
        lateness,
        at_least: horizon,
        settled,
        holds,
        catalogue: Arc::clone(needs.rules().catalogue()),
        needs: Some(needs),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Deed, NewHold};

    #[test]
    fn a_hold_that_cannot_be_read_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let add = |query: &str| {
            let (reason, owner) = ("r".to_owned(), "o".to_owned());
            let hold = NewHold { query: query.to_owned(), reason, owner, until: None };
            store.hold_add(&hold, &Deed::new(Timestamp(5), "a", "w")).unwrap()
        };
        add("author:alice");
        assert_eq!(active(&store.holds().unwrap(), Timestamp(9)).unwrap().len(), 1);
        let broken = add("created_at:>");
        let error = active(&store.holds().unwrap(), Timestamp(9)).unwrap_err();
        assert!(error.contains(&format!("hold {broken} cannot be read")), "{error}");
    }
}
