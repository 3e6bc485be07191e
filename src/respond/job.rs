//! What the run of one response works with, and how it asks the store.

use std::sync::Arc;

use super::guards::Guards;
use super::policy::Policy;
use super::responder::Responder;
use crate::clock::Clock;
use crate::deliver::{ATTEMPTS_MAX, DeliveryError};
use crate::encode::{Notification, Template};
use crate::store::{OutboxRow, Response, Store, StoreError};

/// One try of one response.
#[derive(Debug, Clone, Copy)]
pub struct Job<'a> {
    /// Keeps it.
    pub store: &'a Store,
    /// Tells the time.
    pub clock: &'a Clock,
    /// What holds for all.
    pub policy: &'a Arc<Policy>,
    /// What guards this one.
    pub guards: &'a Guards,
    /// Does it.
    pub responder: &'a Responder,
    /// Its delivery.
    pub row: &'a OutboxRow,
    /// The alert it answers; none where a person asked for it without one.
    pub told: Option<&'a Notification>,
    /// How a person undoes it, over the alert.
    pub by_hand: Option<&'a Template>,
}

/// How a try ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// It is recorded; nothing more is to be done about this delivery now.
    Settled,
    /// It is to be tried again.
    Again(DeliveryError),
}

impl Job<'_> {
    /// Asks the store beside the async threads.
    pub(super) async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Store) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        ask(self.store, question).await
    }

    /// Whether no try comes after this one.
    pub(super) const fn is_last(&self) -> bool {
        self.row.attempts.saturating_add(1) >= ATTEMPTS_MAX
    }

    /// `block user 7 (alice)`.
    pub(super) fn words(&self, response: &Response) -> String {
        format!("{} {}", self.responder.verb().plain, response.who.as_deref().unwrap_or("anybody"))
    }
}

/// What a response does to whom, by what is kept of it alone: its action may be gone.
pub(super) fn words(response: &Response) -> String {
    format!("{} {}", response.verb, response.who.as_deref().unwrap_or("anybody"))
}

/// Asks the store beside the async threads.
pub(super) async fn ask<T: Send + 'static>(
    store: &Store,
    question: impl FnOnce(&Store) -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    let store = store.clone();
    match tokio::task::spawn_blocking(move || question(&store)).await {
        Ok(answer) => answer,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime is going down; nothing after this matters.
            Err(_) => std::future::pending().await,
        },
    }
}
