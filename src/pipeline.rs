//! Work on several threads, with the results in the order of the jobs.
//!
//! The workers take jobs from one queue, so that none waits while another has two; what they give back is put in the
//! order of the jobs again. There are few jobs at a time, so memory is bounded.

use std::collections::VecDeque;
use std::io;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

/// How many jobs there are at most for each worker, the one at hand included.
const DEPTH: usize = 4;

/// Threads that do one kind of work; with one thread, nobody but the caller's.
pub struct Pipeline<J, R> {
    crew: Crew<J, R>,
    sent: u64,
    received: u64,
    room: u64,
}

enum Crew<J, R> {
    Caller(Box<dyn FnMut(J) -> R + Send>, VecDeque<R>),
    Workers(Workers<J, R>),
}

struct Workers<J, R> {
    /// None once no more jobs come.
    jobs: Option<SyncSender<(u64, J)>>,
    /// None: the worker panicked.
    results: Receiver<(u64, Option<R>)>,
    /// What came before its turn: from the next result on.
    early: VecDeque<Option<R>>,
    threads: Vec<JoinHandle<()>>,
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
        let (crew, room) = if threads <= 1 {
            (Crew::Caller(Box::new(work()), VecDeque::new()), 1)
        } else {
            (Crew::Workers(Workers::start(threads, work)?), threads * DEPTH)
        };
        Ok(Self { crew, sent: 0, received: 0, room: room as u64 })
    }

    /// Whether a result must be received before the next job.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.sent - self.received >= self.room
    }

    /// Hands out a job; waits for room if it is full.
    pub fn send(&mut self, job: J) -> Result<(), PipelineError> {
        match &mut self.crew {
            Crew::Caller(work, results) => results.push_back(work(job)),
            Crew::Workers(workers) => {
                let jobs = workers.jobs.as_ref();
                jobs.and_then(|jobs| jobs.send((self.sent, job)).ok()).ok_or(PipelineError::Gone)?;
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
            Crew::Caller(_, results) => results.pop_front().ok_or(PipelineError::Gone),
            Crew::Workers(workers) => workers.receive(self.received),
        };
        self.received += 1;
        result.map(Some)
    }
}

impl<J: Send + 'static, R: Send + 'static> Workers<J, R> {
    fn start<W>(count: usize, mut work: impl FnMut() -> W) -> io::Result<Self>
    where
        W: FnMut(J) -> R + Send + 'static,
    {
        let (jobs, queue) = sync_channel(count * DEPTH);
        let (finished, results) = channel();
        let queue = Arc::new(Mutex::new(queue));
        let mut threads = Vec::with_capacity(count);
        for number in 0..count {
            let (queue, finished, work) = (Arc::clone(&queue), finished.clone(), work());
            let thread = std::thread::Builder::new().name(format!("match-{number}"));
            threads.push(thread.spawn(move || run(&queue, &finished, work))?);
        }
        Ok(Self { jobs: Some(jobs), results, early: VecDeque::new(), threads })
    }

    /// Waits for the result of this job, which is the next one.
    fn receive(&mut self, next: u64) -> Result<R, PipelineError> {
        loop {
            if let Some(result) = self.early.pop_front_if(|early| early.is_some()).flatten() {
                return Ok(result);
            }
            let (number, result) = self.results.recv().map_err(|_| PipelineError::Gone)?;
            let place = usize::try_from(number - next).map_err(|_| PipelineError::Gone)?;
            if self.early.len() <= place {
                self.early.resize_with(place + 1, || None);
            }
            if let Some(slot) = self.early.get_mut(place) {
                *slot = Some(result.ok_or(PipelineError::Gone)?);
            }
        }
    }
}

/// What a worker does until no more jobs come, or nobody waits for results any more.
fn run<J, R>(
    queue: &Mutex<Receiver<(u64, J)>>,
    finished: &Sender<(u64, Option<R>)>,
    mut work: impl FnMut(J) -> R,
) {
    loop {
        // The lock is held while waiting: the others would wait for the same.
        let job = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok((number, job)) = job else { return };
        let mut alarm = Alarm { number, finished, is_armed: true };
        let result = work(job);
        alarm.is_armed = false;
        if finished.send((number, Some(result))).is_err() {
            return;
        }
    }
}

/// Tells when a worker panics: nobody shall wait for what never comes.
struct Alarm<'a, R> {
    number: u64,
    finished: &'a Sender<(u64, Option<R>)>,
    is_armed: bool,
}

impl<R> Drop for Alarm<'_, R> {
    fn drop(&mut self) {
        if self.is_armed {
            // If nobody waits any more, nobody need know.
            drop(self.finished.send((self.number, None)));
        }
    }
}

impl<J, R> Drop for Workers<J, R> {
    /// Waits until its threads have ended; they finish what was handed out.
    fn drop(&mut self) {
        self.jobs = None;
        for thread in self.threads.drain(..) {
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
