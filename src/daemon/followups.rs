//! Tells what is due later: reminders, escalations, groups again, how storms go on, which silences end.

use std::sync::Arc;

use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use crate::clock::{Clock, Steps};
use crate::route::Policy;
use crate::store::{Store, StoreError};
use crate::time::{Span, Timestamp};

/// Rows taken in one transaction.
const ROWS_MAX: usize = 64;
/// No sleep is longer: rows are added without a word, and the clock may be set.
const LOOK: Span = Span::seconds(5);

/// All that following up needs.
#[derive(Clone)]
pub(super) struct Follower {
    pub(super) store: Store,
    pub(super) clock: Clock,
    /// A reload sends a new one.
    pub(super) policy: watch::Receiver<Arc<Policy>>,
    /// Wakes the deliveries.
    pub(super) wake: Arc<Notify>,
}

impl Follower {
    /// Follows up until it is to stop.
    pub(super) async fn run(self, stop: CancellationToken) {
        let mut steps = Steps::new(self.clock.clone());
        let mut back = Some(Span(0));
        while !stop.is_cancelled() {
            if let Some(step) = steps.taken() {
                back = Some(Span(step.0.saturating_neg().max(0)));
            }
            let now = self.clock.now();
            let wait = match self.look(back, now).await {
                Ok(next) => {
                    back = None;
                    next.map_or(LOOK, |next| next.since(now).min(LOOK)).max(Span(0))
                }
                Err(error) => {
                    tracing::error!(%error, "what is due later cannot be told; it will be tried again");
                    LOOK
                }
            };
            tokio::select! {
                () = self.clock.sleep(wait.max(Span::millis(1))) => {}
                () = stop.cancelled() => {}
            }
        }
    }

    /// Tells what is due; when the next is.
    async fn look(&self, back: Option<Span>, now: Timestamp) -> Result<Option<Timestamp>, StoreError> {
        let (store, policy) = (self.store.clone(), Arc::clone(&self.policy.borrow()));
        let work = move || {
            if let Some(back) = back {
                store.followups_set_back(back, now)?;
            }
            let mut taken = 0;
            if store.followup_next_due()?.is_some_and(|due| due <= now) {
                taken = store.followups_take(now, &policy, ROWS_MAX)?;
            }
            Ok::<_, StoreError>((taken, store.followup_next_due()?))
        };
        let (taken, next) = match tokio::task::spawn_blocking(work).await {
            Ok(result) => result?,
            Err(error) => return Err(StoreError::Database(error.to_string())),
        };
        if taken > 0 {
            self.wake.notify_one();
        }
        Ok(next)
    }
}
