//! The only clock. Edges are handed one; the core is handed times.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::sync::watch;

use crate::time::{Span, Timestamp};

/// Tells the time: the machine's, or one that a test or the demo moves by hand.
#[derive(Debug, Clone)]
pub struct Clock(Hand);

#[derive(Debug, Clone)]
enum Hand {
    System,
    Set(Arc<watch::Sender<Timestamp>>),
}

impl Clock {
    /// The machine's clock.
    #[must_use]
    pub const fn system() -> Self {
        Self(Hand::System)
    }

    /// A clock that stands at `at` until it is [`Clock::set`].
    #[must_use]
    pub fn fixed(at: Timestamp) -> Self {
        Self(Hand::Set(Arc::new(watch::Sender::new(at))))
    }

    /// What time it is.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        match &self.0 {
            Hand::System => {
                let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
            }
            Hand::Set(time) => *time.borrow(),
        }
    }

    /// Moves a fixed clock and wakes its sleepers; the machine's clock is not moved.
    pub fn set(&self, at: Timestamp) {
        if let Hand::Set(time) = &self.0 {
            time.send_replace(at);
        }
    }

    /// Waits until this clock has gone on by `span`.
    pub async fn sleep(&self, span: Span) {
        match &self.0 {
            Hand::System => tokio::time::sleep(span.to_std()).await,
            Hand::Set(time) => {
                let until = self.now().plus(span);
                let mut changes = time.subscribe();
                // The sender lives as long as `self`, so waiting cannot fail while somebody waits.
                drop(changes.wait_for(|now| *now >= until).await);
            }
        }
    }
}
