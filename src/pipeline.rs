//! Work on several threads, with the results in the order of the jobs.
//!
//! Jobs go to the workers in turn, and results are taken from them in turn: so the order is kept without a number
//! on anything. Each worker has few jobs at a time, so memory is bounded.

use std::collections::VecDeque;
use std::io;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

/// How many jobs a worker has at most, the one at hand included.
const DEPTH: usize = 3;

/// Threads that do one kind of work; with one thread, nobody but the caller's.
pub struct Pipeline<J, R> {
    crew: Crew<J, R>,
    sent: usize,
    received: usize,
}

enum Crew<J, R> {
    Caller(Box<dyn FnMut(J) -> R + Send>, VecDeque<R>),
    Workers(Vec<Worker<J, R>>),
}

struct Worker<J, R> {
    /// None once no more jobs come.
    jobs: Option<SyncSender<J>>,
    results: Receiver<R>,
    thread: Option<JoinHandle<()>>,
}

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
pub enum PipelineError {
    /// The system gives no thread.
    #[error("no thread could be started: {0}")]
    Spawn(#[from] io::Error),
    /// It panicked.
    #[error("a worker thread has ended; what it said stands above")]
    Gone,
}

impl<J: Send + 'static, R: Send + 'static> Pipeline<J, R> {
    /// So many threads, each with work of its own making; one (or none): the caller's thread does it all.
    pub fn new<W>(threads: usize, mut work: impl FnMut() -> W) -> Result<Self, PipelineError>
    where
        W: FnMut(J) -> R + Send + 'static,
    {
        let crew = if threads <= 1 {
            Crew::Caller(Box::new(work()), VecDeque::new())
        } else {
            let workers = (0..threads).map(|number| Worker::start(number, work()));
            Crew::Workers(workers.collect::<Result<_, _>>()?)
        };
        Ok(Self { crew, sent: 0, received: 0 })
    }

    /// Whether a result must be received before the next job.
    #[must_use]
    pub fn is_full(&self) -> bool {
        let room = match &self.crew {
            Crew::Caller(..) => 1,
            Crew::Workers(workers) => workers.len() * DEPTH,
        };
        self.sent - self.received >= room
    }

    /// Hands out a job; waits for room if it is full.
    pub fn send(&mut self, job: J) -> Result<(), PipelineError> {
        match &mut self.crew {
            Crew::Caller(work, results) => results.push_back(work(job)),
            Crew::Workers(workers) => {
                let next = self.sent % workers.len();
                let jobs = workers.get(next).and_then(|worker| worker.jobs.as_ref());
                jobs.and_then(|jobs| jobs.send(job).ok()).ok_or(PipelineError::Gone)?;
            }
        }
        self.sent += 1;
        Ok(())
    }

    /// The result of the oldest job that has none yet; none if there is no such job.
    pub fn receive(&mut self) -> Result<Option<R>, PipelineError> {
        if self.sent == self.received {
            return Ok(None);
        }
        let result = match &mut self.crew {
            Crew::Caller(_, results) => results.pop_front(),
            Crew::Workers(workers) => {
                let next = self.received % workers.len();
                workers.get(next).and_then(|worker| worker.results.recv().ok())
            }
        };
        self.received += 1;
        result.map(Some).ok_or(PipelineError::Gone)
    }
}

impl<J: Send + 'static, R: Send + 'static> Worker<J, R> {
    fn start(number: usize, mut work: impl FnMut(J) -> R + Send + 'static) -> io::Result<Self> {
        let (jobs, queue) = sync_channel::<J>(DEPTH);
        let (finished, results) = sync_channel(DEPTH);
        let thread = std::thread::Builder::new().name(format!("match-{number}")).spawn(move || {
            for job in queue {
                // Nobody waits for it any more: the pipeline is gone.
                if finished.send(work(job)).is_err() {
                    return;
                }
            }
        })?;
        Ok(Self { jobs: Some(jobs), results, thread: Some(thread) })
    }
}

impl<J, R> Drop for Worker<J, R> {
    /// Waits until its thread has ended.
    fn drop(&mut self) {
        self.jobs = None;
        // Makes room, so that the thread can put down what it has and end.
        while self.results.recv().is_ok() {}
        if let Some(thread) = self.thread.take() {
            // That it panicked was told when its result was missing.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_the_order_of_the_jobs() {
        for threads in [0, 1, 2, 5] {
            let mut pipeline =
                Pipeline::new(threads, || |job: u64| (0..job % 7 * 1000).sum::<u64>() + job).unwrap();
            let (mut next, mut results) = (0, Vec::new());
            while results.len() < 500 {
                while next < 500 && !pipeline.is_full() {
                    pipeline.send(next).unwrap();
                    next += 1;
                }
                results.extend(pipeline.receive().unwrap());
            }
            let expected: Vec<u64> = (0..500).map(|job| (0..job % 7 * 1000).sum::<u64>() + job).collect();
            assert_eq!(results, expected);
            assert_eq!(pipeline.receive().unwrap(), None);
        }
    }

    #[test]
    fn a_worker_that_panics_is_told_and_does_not_hang() {
        let mut pipeline =
            Pipeline::new(2, || |job: u64| if job == 1 { panic!("on purpose") } else { job }).unwrap();
        pipeline.send(0).unwrap();
        pipeline.send(1).unwrap();
        assert_eq!(pipeline.receive().unwrap(), Some(0));
        assert!(matches!(pipeline.receive(), Err(PipelineError::Gone)));
    }

    #[test]
    fn work_under_way_is_let_go() {
        let mut pipeline = Pipeline::new(3, || |job: u64| job).unwrap();
        for job in 0..9 {
            pipeline.send(job).unwrap();
        }
        drop(pipeline);
    }
}
