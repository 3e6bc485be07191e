//! Removes what is known of alerts after its time.

use std::sync::Arc;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::retention::Policy;
use crate::store::{Store, StoreError, Sweep};
use crate::time::Span;

/// So long after the start it looks first: to start has to be quick.
const FIRST: Span = Span::minutes(1);
/// So often it looks again.
const EVERY: Span = Span::hours(1);
/// Rows of one transaction, and the pause behind it: detection writes to the same store.
const ROWS_MAX: usize = 100;
const PAUSE: Span = Span::millis(20);

/// All that forgetting needs.
pub(super) struct Forgetter {
    pub(super) store: Store,
    pub(super) clock: Clock,
    /// A reload sends a new one.
    pub(super) policy: watch::Receiver<Arc<Policy>>,
}

impl Forgetter {
    /// Forgets until it is to stop.
    pub(super) async fn run(self, stop: CancellationToken) {
        let mut wait = FIRST;
        loop {
            tokio::select! {
                () = self.clock.sleep(wait) => {}
                () = stop.cancelled() => return,
            }
            wait = EVERY;
            match self.sweep(&stop).await {
                Ok(0) => {}
                Ok(removed) => tracing::info!(removed, "alerts were removed after their time"),
                Err(error) => tracing::error!(%error, "old alerts cannot be removed; it will be tried again"),
            }
        }
    }

    /// Removes what is old now; how many alerts. What is old is asked for each transaction: a policy that a reload brings
    /// counts for the next one.
    async fn sweep(&self, stop: &CancellationToken) -> Result<u64, StoreError> {
        let mut sweep = Sweep::default();
        while !sweep.is_over() && !stop.is_cancelled() {
            let now = self.clock.now();
            let before = now.minus(self.policy.borrow().alerts);
            let store = self.store.clone();
            let work = move || store.forget(&sweep, (before, now), ROWS_MAX);
            let done = tokio::task::spawn_blocking(work).await;
            sweep = done.map_err(|error| StoreError::Database(error.to_string()))??;
            if !sweep.is_over() {
                tokio::select! {
                    () = self.clock.sleep(PAUSE) => {}
                    () = stop.cancelled() => {}
                }
            }
        }
        Ok(sweep.removed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{NewNotice, OutboxQuery};
    use crate::time::Timestamp;

    /// A store with one message that was given up then.
    fn store(at: Timestamp) -> (tempfile::TempDir, Store) {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let notice = crate::encode::Notice {
            kind: "test".to_owned(),
            title: "t".to_owned(),
            level: crate::alert::Level::Low,
            lines: Vec::new(),
            links: Vec::new(),
            alert: None,
            at,
        };
        store.notice_owe(&NewNotice { unique: "u".into(), notice, actions: vec!["mail".into()] }).unwrap();
        let row = store.outbox(&OutboxQuery::default()).unwrap().remove(0);
        store.outbox_settle(&row.id, &crate::store::Settlement::Dead { error: "x".into() }, at).unwrap();
        (dir, store)
    }

    fn at() -> Timestamp {
        Timestamp::parse("2026-01-05T12:00:00Z").unwrap()
    }

    #[tokio::test]
    async fn a_reload_counts_for_a_sweep_that_runs() {
        let (_dir, store) = store(at());
        let policy_of = |days| Arc::new(Policy { alerts: Span::days(days), ..Policy::default() });
        let (sender, policy) = watch::channel(policy_of(30));
        let clock = Clock::fixed(at().plus(Span::days(35)));
        let forgetter = Forgetter { store: store.clone(), clock: clock.clone(), policy };
        let stop = CancellationToken::new();
        // It looks for alerts first, and for deliveries afterwards: by then they are to be kept longer.
        let moved = async {
            loop {
                sender.send_replace(policy_of(40));
                clock.set(clock.now().plus(PAUSE));
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            biased;
            result = forgetter.sweep(&stop) => { result.unwrap(); }
            () = moved => {}
        }
        assert_eq!(store.outbox(&OutboxQuery::default()).unwrap().len(), 1);
    }

    #[tokio::test]
    async fn what_is_older_than_the_policy_says_goes() {
        let at = at();
        let (_dir, store) = store(at);
        let left = |days: i64, keep: i64| {
            let clock = Clock::fixed(at.plus(Span::days(days)));
            let policy = Policy { alerts: Span::days(keep), ..Policy::default() };
            let (_sender, policy) = watch::channel(Arc::new(policy));
            let forgetter = Forgetter { store: store.clone(), clock, policy };
            let store = store.clone();
            async move {
                // A clock that stands still has to be moved on for the pauses to end.
                let (clock, stop) = (forgetter.clock.clone(), CancellationToken::new());
                let moved = async {
                    loop {
                        clock.set(clock.now().plus(PAUSE));
                        tokio::task::yield_now().await;
                    }
                };
                tokio::select! {
                    result = forgetter.sweep(&stop) => { result.unwrap(); }
                    () = moved => {}
                }
                store.outbox(&OutboxQuery::default()).unwrap().len()
            }
        };
        assert_eq!((left(39, 40).await, left(41, 40).await), (1, 0));
    }
}
