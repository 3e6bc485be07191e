//! Carries what was committed from the write-ahead log over into the database, beside the thread that commits: otherwise
//! every thousandth page has somebody wait for two more syncs.
//!
//! A log that is written without a pause never begins anew this way, since it is never carried over to its end. The writing
//! connection does that itself, every [`super::hot::WAL_PAGES_MAX`] pages: then little is left to carry.

use std::path::Path;
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::thread::JoinHandle;

use rusqlite::Connection;

use super::{LogError, hot};

/// After so many bytes of blocks; what SQLite itself would wait for by default, in pages of 4 KiB.
const BYTES: usize = 4 << 20;
/// A commit writes so much beside its blocks: the other half of pages, and those above them.
const COMMIT_BYTES: usize = 8 << 10;

/// The running thread.
#[derive(Debug)]
pub(super) struct Backfill {
    wanted: SyncSender<()>,
    thread: JoinHandle<()>,
    bytes: usize,
}

impl Backfill {
    /// Starts it for the log in this data folder.
    pub(super) fn start(dir: &Path) -> Result<Self, LogError> {
        let (wanted, asked) = mpsc::sync_channel(1);
        let own = dir.to_owned();
        let thread = std::thread::Builder::new().name("log-backfill".to_owned());
        let thread = thread.spawn(move || run(&own, &asked)).map_err(LogError::file(dir))?;
        Ok(Self { wanted, thread, bytes: 0 })
    }

    /// A commit stored so many bytes of blocks.
    pub(super) fn note(&mut self, bytes: usize) {
        self.bytes = self.bytes.saturating_add(bytes).saturating_add(COMMIT_BYTES);
        if self.bytes >= BYTES {
            self.bytes = 0;
            // One that waits is enough.
            self.wanted.try_send(()).ok();
        }
    }

    /// Ends it, once it is done with what it does: its connection is closed then.
    pub(super) fn stop(self) {
        drop(self.wanted);
        if self.thread.join().is_err() {
            tracing::error!("the thread that empties the write-ahead log ended in a panic");
        }
    }
}

fn run(dir: &Path, asked: &Receiver<()>) {
    let mut connection: Option<Connection> = None;
    while asked.recv().is_ok() {
        let own = match connection.take() {
            Some(own) => Ok(own),
            None => hot::open_to_write(dir),
        };
        let carried = own.and_then(|own| {
            let carried = own.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()));
            carried.map_err(|error| LogError::database(&hot::path(dir), &error))?;
            Ok(own)
        });
        match carried {
            Ok(own) => connection = Some(own),
            // What cannot be carried over stays in the write-ahead log, which is as durable. Whoever commits meets the same
            // trouble, and says so.
            Err(error) => tracing::debug!(%error, "the write-ahead log cannot be emptied now"),
        }
    }
}
