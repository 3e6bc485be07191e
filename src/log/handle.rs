//! The handle that the rest of the daemon has on the log.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};

use tokio::sync::{oneshot, watch};

use super::appender::{Appender, Work};
use super::backfill::Backfill;
use super::checkpoint::{self, AskAudit, AuditMark, Auditor};
use super::pidfile::PidFile;
use super::writer::{Pending, Request, Writer};
use super::{AppendError, Checkpoint, LogError, Reader, hot, seam, signing};
use crate::clock::Clock;
use crate::event::{Event, Position};
use crate::time::{Span, Timestamp};

/// What an event counts for in the queue beside its bytes: the struct and its place in lists.
const EVENT_OVERHEAD: usize = 256;

/// An event to be appended, and the key by which its duplicates are known.
#[derive(Debug, Clone)]
pub struct NewEvent {
    /// The event; its position is given by the log.
    pub event: Event,
    /// Equal for equal events, different for different ones: a hash.
    pub dedupe: u128,
}

/// What became of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipt {
    /// How many events were new, and are on disk now.
    pub stored: u64,
    /// How many had been stored before, or stood in the batch twice.
    pub duplicates: u64,
    /// The position of the batch's last new event; where it had none, the last entry before it.
    pub last: Position,
}

/// Limits of the log.
#[derive(Debug, Clone)]
pub struct LogOptions {
    /// How long a duplicate is recognised.
    pub dedupe_horizon: Span,
    /// How many recent keys are kept at most (about 60 bytes each); beyond it the oldest are forgotten.
    pub dedupe_max: usize,
    /// How many bytes may wait to be written; beyond it [`AppendError::Overloaded`].
    pub queue_bytes_max: usize,
}

impl Default for LogOptions {
    fn default() -> Self {
        Self { dedupe_horizon: Span::days(1), dedupe_max: 4_000_000, queue_bytes_max: 64 << 20 }
    }
}

/// A handle to the thread that writes; clones share it. When the last one is dropped, the thread finishes
/// what it accepted and ends by itself; [`Log::close`] waits for that.
#[derive(Debug, Clone)]
pub struct Log {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    dir: PathBuf,
    queue_bytes_max: usize,
    queued: Arc<AtomicUsize>,
    is_closed: AtomicBool,
    auditor: Auditor,
    requests: mpsc::Sender<Request>,
    position: watch::Receiver<Position>,
    /// Its other end is dropped last when the thread ends.
    done: watch::Receiver<()>,
}

impl Log {
    /// Opens the log in this data folder, making both where there are none, and starts the thread that
    /// writes. Refused with [`LogError::Locked`] while another daemon works on the folder, with [`LogError::Broken`]
    /// where the hot end does not belong to the sealed segments.
    pub fn open(dir: &Path, options: LogOptions, clock: Clock) -> Result<Self, LogError> {
        hot::make_folder(dir)?;
        let pidfile = PidFile::take(dir)?;
        signing::SigningKey::load_or_make(dir)?;
        // Before anything is stored: what stands at positions that are sealed already would be taken for sealed.
        seam::check(dir)?;
        let queue_bytes_max = options.queue_bytes_max;
        let appender = Appender::open(dir, options, clock)?;
        let (requests, requested) = mpsc::channel();
        let (position_sender, position) = watch::channel(appender.position());
        let (done_sender, done) = watch::channel(());
        let queued = Arc::new(AtomicUsize::new(0));
        let writer = Writer {
            appender,
            backfill: Backfill::start(dir)?,
            requests: requested,
            queued: Arc::clone(&queued),
            position: position_sender,
            pidfile,
            done: done_sender,
            is_failing: false,
        };
        let thread = std::thread::Builder::new().name("log-writer".to_owned());
        thread.spawn(|| writer.run()).map_err(LogError::file(dir))?;
        let is_closed = AtomicBool::new(false);
        let dir = dir.to_owned();
        let auditor = Auditor::default();
        let shared = Shared { dir, queue_bytes_max, queued, is_closed, auditor, requests, position, done };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Stores a batch: all of it or nothing, and it is synced to disk when this returns.
    ///
    /// Never waits for room: with too much waiting already it is [`AppendError::Overloaded`]. Only a batch
    /// that is larger than the whole queue is let in, when nothing else waits, as it could never go otherwise.
    /// A caller that stops waiting does not take its batch back.
    pub async fn append(&self, batch: Vec<NewEvent>) -> Result<Receipt, AppendError> {
        if batch.is_empty() {
            return Ok(Receipt { stored: 0, duplicates: 0, last: self.position() });
        }
        let bytes = batch.iter().map(|new| new.event.raw.len() + EVENT_OVERHEAD).sum();
        self.send(Work::Batch(batch), bytes).await
    }

    /// Stores that the clock has come to `at`, so that a replay hears of it at the same place.
    pub async fn tick(&self, at: Timestamp) -> Result<Position, AppendError> {
        Ok(self.send(Work::Tick(at), EVENT_OVERHEAD).await?.last)
    }

    /// The last durable entry; 0 while there is none.
    #[must_use]
    pub fn position(&self) -> Position {
        *self.shared.position.borrow()
    }

    /// Tells the last durable entry whenever it moves on.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Position> {
        self.shared.position.clone()
    }

    /// A new reader of this log.
    pub fn reader(&self) -> Result<Reader, LogError> {
        Reader::open(&self.shared.dir)
    }

    /// From now on checkpoints also say where the audit log stands, as this answers it.
    pub fn audited_by(&self, ask: Box<AskAudit>) {
        self.shared.auditor.set(ask);
    }

    /// Where the audit log stands.
    pub(super) fn audit(&self) -> Option<AuditMark> {
        self.shared.auditor.mark()
    }

    /// Where the chains stand now, signed with the folder's key.
    pub fn checkpoint(&self, at: Timestamp) -> Result<Checkpoint, LogError> {
        self.reader()?.checkpoint(at, self.audit())
    }

    /// The same, kept in the folder's own file of checkpoints.
    pub fn keep_checkpoint(&self, at: Timestamp) -> Result<Checkpoint, LogError> {
        let checkpoint = self.checkpoint(at)?;
        checkpoint::append(self.dir(), &checkpoint)?;
        Ok(checkpoint)
    }

    /// The data folder.
    pub(super) fn dir(&self) -> &Path {
        &self.shared.dir
    }

    /// Whether batches wait to be written at this moment.
    pub(super) fn is_busy(&self) -> bool {
        self.shared.queued.load(Ordering::Relaxed) > 0
    }

    /// Removes from the hot end some of what a sealed segment has, up to `upto`; whether more is left. Waits for the
    /// writing thread, so never to be called from a task.
    pub(super) fn forget(&self, upto: Position) -> Result<bool, LogError> {
        let (answer, answered) = oneshot::channel();
        self.shared.requests.send(Request::Forget(upto, answer)).map_err(|_| LogError::Stopped)?;
        answered.blocking_recv().unwrap_or(Err(LogError::Stopped))
    }

    /// Takes nothing more, stores what was accepted, closes the database and gives the folder free; returns
    /// when all that is done. Appends that come later are [`AppendError::Closed`].
    pub async fn close(&self) {
        self.shared.is_closed.store(true, Ordering::Release);
        // If the thread is gone already, there is nothing left to close.
        drop(self.shared.requests.send(Request::Close));
        let mut done = self.shared.done.clone();
        while done.changed().await.is_ok() {}
    }

    async fn send(&self, work: Work, bytes: usize) -> Result<Receipt, AppendError> {
        let shared = &self.shared;
        if shared.is_closed.load(Ordering::Acquire) {
            return Err(AppendError::Closed);
        }
        let waiting = shared.queued.fetch_add(bytes, Ordering::Relaxed);
        if waiting > 0 && waiting.saturating_add(bytes) > shared.queue_bytes_max {
            shared.queued.fetch_sub(bytes, Ordering::Relaxed);
            return Err(AppendError::Overloaded);
        }
        let (answer, answered) = oneshot::channel();
        let request = Request::Append(Pending { work, bytes, answer });
        shared.requests.send(request).map_err(|_| AppendError::Closed)?;
        answered.await.unwrap_or(Err(AppendError::Closed))
    }
}
