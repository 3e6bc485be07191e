//! Signatures only; the real store replaces this file.
#![allow(clippy::all, clippy::unimplemented, clippy::allow_attributes, unused, missing_docs)]
use std::path::Path;

use super::row::*;
use crate::alert::{AlertId, LedgerEntry};
use crate::time::Timestamp;

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("{0}")]
    Database(String),
}

#[derive(Debug, Clone)]
pub struct Store;

type R<T> = Result<T, StoreError>;

impl Store {
    pub fn open(dir: &Path) -> R<Self> {
        unimplemented!()
    }
    pub fn open_read_only(dir: &Path) -> R<Self> {
        unimplemented!()
    }
    pub fn progress(&self) -> R<Progress> {
        unimplemented!()
    }
    pub fn commit(&self, commit: &Commit<'_>) -> R<()> {
        unimplemented!()
    }
    pub fn alerts(&self, query: &AlertQuery) -> R<Vec<StoredAlert>> {
        unimplemented!()
    }
    pub fn alert(&self, id: &AlertId) -> R<Option<StoredAlert>> {
        unimplemented!()
    }
    pub fn ledger(&self) -> R<Vec<LedgerEntry>> {
        unimplemented!()
    }
    pub fn outbox_due(&self, now: Timestamp, max: usize) -> R<Vec<OutboxRow>> {
        unimplemented!()
    }
    pub fn outbox_next_due(&self) -> R<Option<Timestamp>> {
        unimplemented!()
    }
    pub fn outbox_settle(&self, id: &str, settlement: &Settlement, now: Timestamp) -> R<()> {
        unimplemented!()
    }
    pub fn outbox_of(&self, alert: &AlertId) -> R<Vec<OutboxRow>> {
        unimplemented!()
    }
    pub fn outbox_counts(&self) -> R<OutboxCounts> {
        unimplemented!()
    }
    pub fn redrive(&self, id: &str, now: Timestamp) -> R<bool> {
        unimplemented!()
    }
    pub fn responses_since(&self, action: &str, since: Timestamp) -> R<u64> {
        unimplemented!()
    }
    pub fn checkpoint(&self, name: &str) -> R<Option<Vec<u8>>> {
        unimplemented!()
    }
    pub fn set_checkpoint(&self, name: &str, bytes: &[u8]) -> R<()> {
        unimplemented!()
    }
    pub fn reject(&self, rejected: &NewRejected) -> R<i64> {
        unimplemented!()
    }
    pub fn rejected(&self, limit: usize) -> R<Vec<Rejected>> {
        unimplemented!()
    }
    pub fn rejected_get(&self, id: i64) -> R<Option<Rejected>> {
        unimplemented!()
    }
    pub fn rejected_settle(&self, id: i64, now: Timestamp) -> R<()> {
        unimplemented!()
    }
    pub fn rejected_count(&self) -> R<u64> {
        unimplemented!()
    }
}
