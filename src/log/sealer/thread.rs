//! The thread that seals: in the background, and only while nobody waits for the log.

use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError, TryRecvError};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::process::setpriority_process;
use rustix::thread::gettid;

use super::worker::Worker;
use super::{Board, SealOptions, SealerMetrics};
use crate::clock::Clock;
use crate::event::Catalogue;
use crate::log::{Log, LogError};

/// How often it is looked whether something is due.
const PAUSE: Duration = Duration::from_secs(1);
/// The priority of the thread: 0 is that of the others, 19 the lowest.
const NICENESS: i32 = 10;
/// After a failure.
const RETRY: Duration = Duration::from_secs(15);
/// While batches wait to be written.
const BUSY_PAUSE: Duration = Duration::from_millis(20);
/// With so many entries in the hot end it is sealed however busy the log is: nothing of it is indexed, and the file
/// grows.
const HOT_ENTRIES_MAX: u64 = 4_000_000;

/// The running thread. It ends when this is stopped or dropped, in the middle of its work if need be: what is half made
/// is removed.
#[derive(Debug)]
pub struct Sealer {
    stop: mpsc::Sender<()>,
    thread: JoinHandle<()>,
    board: Board,
}

impl Sealer {
    /// Starts it for an open log. Fails where the folder of the segments or the key cannot be made or read.
    pub fn start(
        log: &Log,
        options: SealOptions,
        clock: Clock,
        catalogue: Arc<Catalogue>,
        metrics: SealerMetrics,
    ) -> Result<Self, LogError> {
        let worker = Worker::open(log.dir(), options, catalogue)?;
        let (stop, stopped) = mpsc::channel();
        let board = Board::default();
        let running = Running {
            worker,
            log: log.clone(),
            clock,
            metrics,
            stopped,
            board: board.clone(),
            is_failing: false,
            is_refused: false,
        };
        let thread = std::thread::Builder::new().name("log-sealer".to_owned());
        let thread = thread.spawn(|| running.run()).map_err(LogError::file(log.dir()))?;
        Ok(Self { stop, thread, board })
    }

    /// Where it is told what may be deleted; before that, nothing is.
    #[must_use]
    pub fn board(&self) -> Board {
        self.board.clone()
    }

    /// Ends it, and waits until it has; never to be called from a task.
    pub fn stop(self) {
        drop(self.stop);
        if self.thread.join().is_err() {
            tracing::error!("the thread that seals ended in a panic; the next start clears up");
        }
    }
}

struct Running {
    worker: Worker,
    log: Log,
    clock: Clock,
    metrics: SealerMetrics,
    stopped: mpsc::Receiver<()>,
    board: Board,
    is_failing: bool,
    /// Nobody could say what may be deleted; told once.
    is_refused: bool,
}

impl Running {
    fn run(mut self) {
        yield_to_others();
        loop {
            let pause = match self.step() {
                Ok(true) => Duration::ZERO,
                Ok(false) => PAUSE,
                Err(LogError::Stopped) => return,
                Err(error) => {
                    self.metrics.failures.inc();
                    if !std::mem::replace(&mut self.is_failing, true) {
                        tracing::error!(%error, "entries cannot be sealed; it is tried again and again");
                    }
                    RETRY
                }
            };
            if self.stopped.recv_timeout(pause) != Err(RecvTimeoutError::Timeout) {
                return;
            }
        }
    }

    /// One seal or merge; false if there was nothing to do.
    fn step(&mut self) -> Result<bool, LogError> {
        let hot = self.worker.hot_entries()?;
        let (log, stopped, metrics) = (&self.log, &self.stopped, &self.metrics);
        let base = log.position().saturating_sub(hot);
        let mut pace = || {
            // Also while it waits: what is not sealed grows meanwhile.
            metrics.hot_entries.set(log.position().saturating_sub(base));
            give_way(log, stopped, hot)
        };
        pace()?;
        let start = self.clock.now();
        let mut trouble = self.worker.ask(self.board.ask()).err();
        self.worker.remove_replaced(start)?;
        self.worker.audit = log.audit();
        let sealed = self.worker.seal(start, &mut pace)?;
        let done = match sealed {
            Some(upto) => {
                while self.log.forget(upto)? {
                    pace()?;
                }
                self.metrics.seals.inc();
                true
            }
            None => {
                let merged = self.worker.merge(start, &mut pace)?;
                self.metrics.merges.inc_by(u64::from(merged));
                // Sealing goes on whatever keeps events from being deleted.
                match if merged { Ok(true) } else { self.worker.retain(start, &mut pace) } {
                    Err(LogError::Stopped) => return Err(LogError::Stopped),
                    Err(error) => {
                        trouble = Some(error.to_string());
                        false
                    }
                    Ok(retained) => retained,
                }
            }
        };
        if done {
            let spent = self.clock.now().since(start).to_std();
            self.metrics.seconds.inc_by(spent.as_secs_f64());
        }
        if std::mem::take(&mut self.is_failing) {
            tracing::info!("entries can be sealed again");
        }
        self.worker.report(&self.metrics)?;
        self.tell(trouble);
        Ok(done)
    }

    /// Says how deleting goes, and once why nothing is deleted.
    fn tell(&mut self, trouble: Option<String>) {
        match &trouble {
            Some(reason) => {
                self.metrics.refusals.inc();
                if !std::mem::replace(&mut self.is_refused, true) {
                    tracing::error!(reason, "nothing is deleted");
                }
            }
            None => self.is_refused = false,
        }
        self.board.tell(self.worker.retention(trouble));
    }
}

/// Returns when nobody waits for the log, or when the hot end has grown too far to wait.
/// Whoever waits for an answer goes first. Where the system does not let us, we go on as equals.
fn yield_to_others() {
    if let Err(error) = setpriority_process(Some(gettid()), NICENESS) {
        tracing::debug!(%error, "the sealer works at the priority of the others");
    }
}

fn give_way(log: &Log, stopped: &mpsc::Receiver<()>, hot: u64) -> Result<(), LogError> {
    if stopped.try_recv() != Err(TryRecvError::Empty) {
        return Err(LogError::Stopped);
    }
    while hot < HOT_ENTRIES_MAX && log.is_busy() {
        if stopped.recv_timeout(BUSY_PAUSE) != Err(RecvTimeoutError::Timeout) {
            return Err(LogError::Stopped);
        }
    }
    Ok(())
}
