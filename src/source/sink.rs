//! The one place where sources touch the log and the store.

#[cfg(test)]
pub mod memory;

use std::sync::{Arc, Mutex, PoisonError};

use super::SourceError;
use crate::event::Position;
use crate::log::{AppendError, Log, NewEvent, Receipt};
use crate::store::{NewRejected, Store, StoreError};
use crate::time::Timestamp;

/// Takes what the sources bring. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Sink {
    kept: Kept,
    trouble: Arc<Mutex<Option<String>>>,
}

#[derive(Debug, Clone)]
enum Kept {
    Durable(Log, Store),
    #[cfg(test)]
    Memory(memory::Memory),
}

impl Sink {
    /// Appends to this log and keeps rejected bodies and positions in this store.
    #[must_use]
    pub fn new(log: Log, store: Store) -> Self {
        Self { kept: Kept::Durable(log, store), trouble: Arc::default() }
    }

    /// A sink that forgets everything at the end of the test.
    #[cfg(test)]
    pub fn memory(memory: &memory::Memory) -> Self {
        Self { kept: Kept::Memory(memory.clone()), trouble: Arc::default() }
    }

    /// Appends all or nothing; returns when it is on disk.
    pub async fn append(&self, batch: Vec<NewEvent>) -> Result<Receipt, AppendError> {
        let result = match &self.kept {
            Kept::Durable(log, _) => log.append(batch).await,
            #[cfg(test)]
            Kept::Memory(memory) => memory.append(batch),
        };
        self.note(result.as_ref().err());
        result
    }

    /// Appends a tick of the clock.
    pub async fn tick(&self, at: Timestamp) -> Result<Position, AppendError> {
        let result = match &self.kept {
            Kept::Durable(log, _) => log.tick(at).await,
            #[cfg(test)]
            Kept::Memory(memory) => memory.tick(),
        };
        self.note(result.as_ref().err());
        result
    }

    /// Finds out whether a log that took no events takes them again: appends a tick of a time long past, which moves no
    /// clock.
    pub async fn probe(&self) -> Result<Position, AppendError> {
        self.tick(Timestamp(0)).await
    }

    /// Why the last append or tick failed, unless the log was only busy; none while it takes events.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The position of the last entry on disk.
    #[must_use]
    pub fn position(&self) -> Position {
        match &self.kept {
            Kept::Durable(log, _) => log.position(),
            #[cfg(test)]
            Kept::Memory(memory) => memory.position(),
        }
    }

    /// Keeps what could not be decoded; its number.
    pub async fn reject(&self, rejected: NewRejected) -> Result<i64, SourceError> {
        match &self.kept {
            Kept::Durable(_, store) => blocking(store, move |store| store.reject(&rejected)).await,
            #[cfg(test)]
            Kept::Memory(memory) => memory.reject(rejected),
        }
    }

    /// What a source remembered of where it was.
    pub async fn checkpoint(&self, name: String) -> Result<Option<Vec<u8>>, SourceError> {
        match &self.kept {
            Kept::Durable(_, store) => blocking(store, move |store| store.checkpoint(&name)).await,
            #[cfg(test)]
            Kept::Memory(memory) => Ok(memory.checkpoint(&name)),
        }
    }

    /// Remembers where a source is.
    pub async fn set_checkpoint(&self, name: String, bytes: Vec<u8>) -> Result<(), SourceError> {
        match &self.kept {
            Kept::Durable(_, store) => {
                blocking(store, move |store| store.set_checkpoint(&name, &bytes)).await
            }
            #[cfg(test)]
            Kept::Memory(memory) => memory.set_checkpoint(name, bytes),
        }
    }

    /// Only the first failure and the first success after it are worth a line.
    fn note(&self, error: Option<&AppendError>) {
        // Overload passes by itself; the log is as writable as before.
        if matches!(error, Some(AppendError::Overloaded)) {
            return;
        }
        let mut trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        match (error, trouble.is_some()) {
            (Some(error), false) => tracing::error!(%error, "the event log takes no events"),
            (None, true) => tracing::info!("the event log takes events again"),
            _ => {}
        }
        *trouble = error.map(ToString::to_string);
    }
}

/// The store is synchronous and waits for the disk: its calls go to the threads meant for that.
async fn blocking<T: Send + 'static>(
    store: &Store,
    call: impl FnOnce(&Store) -> Result<T, StoreError> + Send + 'static,
) -> Result<T, SourceError> {
    let store = store.clone();
    match tokio::task::spawn_blocking(move || call(&store)).await {
        Ok(result) => Ok(result?),
        Err(join) => Err(SourceError::Task(join.to_string())),
    }
}
