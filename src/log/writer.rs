//! The thread that writes: takes all that waits, commits it, answers.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};

use tokio::sync::{oneshot, watch};

use super::appender::{Appender, Work};
use super::backfill::Backfill;
use super::pidfile::PidFile;
use super::{AppendError, LogError, Receipt};
use crate::event::Position;

/// One commit takes no more once it has this many events or bytes.
const COMMIT_EVENTS: usize = 16_384;
const COMMIT_BYTES: usize = 8 << 20;

/// What is sent to the thread.
#[derive(Debug)]
pub(super) enum Request {
    Append(Pending),
    /// Remove from the hot end what a segment has, up to a position: a little of it. Answers whether more is left.
    Forget(Position, oneshot::Sender<Result<bool, LogError>>),
    /// Finish what was accepted, then stop.
    Close,
}

/// Work that waits, and who waits for it.
#[derive(Debug)]
pub(super) struct Pending {
    pub work: Work,
    /// What it counts for in the queue.
    pub bytes: usize,
    pub answer: oneshot::Sender<Result<Receipt, AppendError>>,
}

/// What the thread owns.
pub(super) struct Writer {
    pub appender: Appender,
    pub backfill: Backfill,
    pub requests: mpsc::Receiver<Request>,
    /// Bytes in the queue or being written.
    pub queued: Arc<AtomicUsize>,
    pub position: watch::Sender<Position>,
    pub pidfile: PidFile,
    pub done: watch::Sender<()>,
    /// Whether the last commit failed: said once, not for every sender.
    pub is_failing: bool,
}

impl Writer {
    /// Works until it is told to close, or every handle is gone.
    pub(super) fn run(mut self) {
        let mut closing = false;
        loop {
            let first = if closing { self.requests.try_recv().ok() } else { self.requests.recv().ok() };
            match first {
                None => break,
                Some(Request::Close) => closing = true,
                Some(Request::Forget(upto, answer)) => drop(answer.send(self.appender.forget(upto))),
                Some(Request::Append(pending)) => {
                    let (group, next) = self.gather(pending);
                    self.commit(group);
                    match next {
                        Some(Request::Forget(upto, answer)) => drop(answer.send(self.appender.forget(upto))),
                        Some(_) => closing = true,
                        None => {}
                    }
                }
            }
        }
        self.stop();
    }

    /// The database is closed before the folder is given free, and `done` tells only then.
    fn stop(self) {
        drop(self.requests);
        self.backfill.stop();
        drop(self.appender);
        drop(self.pidfile);
        drop(self.done);
    }

    /// All that waits behind the first one, up to what one commit takes; and the request that is something else.
    fn gather(&self, first: Pending) -> (Vec<Pending>, Option<Request>) {
        let (mut events, mut bytes) = (first.work.events(), first.bytes);
        let mut group = vec![first];
        while events < COMMIT_EVENTS && bytes < COMMIT_BYTES {
            match self.requests.try_recv() {
                Ok(Request::Append(next)) => {
                    events += next.work.events();
                    bytes += next.bytes;
                    group.push(next);
                }
                Ok(other) => return (group, Some(other)),
                Err(_) => break,
            }
        }
        (group, None)
    }

    fn commit(&mut self, group: Vec<Pending>) {
        let bytes: usize = group.iter().map(|pending| pending.bytes).sum();
        let (work, answers): (Vec<_>, Vec<_>) =
            group.into_iter().map(|pending| (pending.work, pending.answer)).unzip();
        let result = self.appender.commit(&work);
        drop(work);
        self.backfill.note(self.appender.written());
        self.queued.fetch_sub(bytes, Ordering::Relaxed);
        let now_at = self.appender.position();
        self.position.send_if_modified(|position| std::mem::replace(position, now_at) != now_at);
        // An answer nobody waits for any more is dropped: its sender hung up, its events are stored.
        match result {
            Ok(receipts) => {
                if std::mem::take(&mut self.is_failing) {
                    tracing::info!("the event log can be written again");
                }
                for (answer, receipt) in answers.into_iter().zip(receipts) {
                    drop(answer.send(Ok(receipt)));
                }
            }
            Err(error) => {
                if !std::mem::replace(&mut self.is_failing, true) {
                    tracing::error!(%error, "the event log cannot be written; senders are told to try later");
                }
                for answer in answers {
                    drop(answer.send(Err(AppendError::Unavailable(error.to_string()))));
                }
            }
        }
    }
}

impl Work {
    const fn events(&self) -> usize {
        match self {
            Self::Batch(batch) => batch.len(),
            Self::Tick(_) => 1,
        }
    }
}
