//! Lines of Watchfire's own between the events of a forwarder: checkpoints. The newest one is sent, at least once; one that
//! was never sent because a newer one came is not missed, as that covers it.

use std::sync::Arc;

use tokio::sync::watch;

use super::batch::Batch;
use crate::event::Position;
use crate::store::{Store, StoreError};
use crate::time::Timestamp;

/// A line that is no event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamLine {
    /// When it was made, by which it is known.
    pub at: Timestamp,
    /// One object of JSON, without its end.
    pub text: Arc<str>,
}

impl StreamLine {
    /// As a batch that moves no position.
    pub(super) fn batch(&self, position: Position) -> Batch {
        let bytes = format!("{}\n", self.text).into_bytes();
        Batch { bytes, events: 1, first: position, upto: position, line: Some(self.at) }
    }
}

/// The lines of one forwarder.
#[derive(Debug, Default)]
pub(super) struct Lines {
    newest: Option<watch::Receiver<Option<StreamLine>>>,
    /// The last one that arrived, once the store was asked.
    sent: Option<Timestamp>,
}

impl Lines {
    pub(super) fn of(newest: watch::Receiver<Option<StreamLine>>) -> Self {
        Self { newest: Some(newest), sent: None }
    }

    /// The newest line, if it has not arrived.
    pub(super) fn pending(&mut self, name: &str, store: &Store) -> Result<Option<StreamLine>, StoreError> {
        let Some(newest) = self.newest.as_mut() else { return Ok(None) };
        let Some(line) = newest.borrow_and_update().clone() else { return Ok(None) };
        if self.sent.is_none() {
            let bytes = store.checkpoint(&mark(name))?.unwrap_or_default();
            self.sent = <[u8; 8]>::try_from(bytes.as_slice()).ok().map(i64::from_le_bytes).map(Timestamp);
        }
        Ok((self.sent != Some(line.at)).then_some(line))
    }

    /// It has arrived.
    pub(super) fn arrived(&mut self, name: &str, line: &StreamLine, store: &Store) -> Result<(), StoreError> {
        store.set_checkpoint(&mark(name), &line.at.0.to_le_bytes())?;
        self.sent = Some(line.at);
        Ok(())
    }

    /// Returns when there is another one; never, where there are none.
    pub(super) async fn changed(&mut self) {
        let is_over = match self.newest.as_mut() {
            Some(newest) => newest.changed().await.is_err(),
            None => true,
        };
        if is_over {
            std::future::pending().await
        }
    }
}

fn mark(name: &str) -> String {
    format!("forward/{name}/checkpoint")
}
