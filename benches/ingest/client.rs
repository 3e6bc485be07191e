//! A load client that costs little: one thread and one kept connection each, requests written as they are.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::Result;

/// What is to be sent.
pub(super) struct Load<'a> {
    pub bodies: &'a [&'a [u8]],
    /// Events of each body.
    pub size: usize,
    /// Requests a second; none: as fast as they are answered.
    pub rate: Option<u32>,
}

/// What came of it.
pub(super) struct Taken {
    pub events: u64,
    pub took: Duration,
    /// Sorted; with a rate, from when each request was due.
    pub latencies: Vec<Duration>,
}

impl Taken {
    pub(super) fn at(&self, percent: usize) -> Duration {
        self.latencies.get((self.latencies.len().max(1) - 1) * percent / 100).copied().unwrap_or_default()
    }
}

pub(super) fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

/// Sends all bodies; any answer but 200 is an error.
pub(super) fn run(
    load: &Load<'_>,
    connections: usize,
    head: impl Fn(&[u8]) -> String + Sync,
    address: SocketAddr,
) -> Result<Taken> {
    let next = AtomicUsize::new(0);
    let began = Instant::now();
    let send = || -> Result<Vec<Duration>> {
        let mut connection = Connection::open(address)?;
        let mut latencies = Vec::new();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let Some(body) = load.bodies.get(number) else { return Ok(latencies) };
            let from = match load.rate {
                Some(rate) => {
                    let due = began + Duration::from_secs(1) / rate * u32::try_from(number)?;
                    thread::sleep(due.saturating_duration_since(Instant::now()));
                    due
                }
                None => Instant::now(),
            };
            let status = connection.ask(&head(body), body)?.0;
            if status != 200 {
                return Err(format!("answered {status}").into());
            }
            latencies.push(from.elapsed());
        }
    };
    let mut latencies = thread::scope(|scope| -> Result<Vec<Duration>> {
        let threads: Vec<_> = (0..connections).map(|_| scope.spawn(send)).collect();
        let mut all = Vec::new();
        for thread in threads {
            all.extend(thread.join().map_err(|_| "a thread of the client failed")??);
        }
        Ok(all)
    })?;
    let took = began.elapsed();
    latencies.sort_unstable();
    Ok(Taken { events: (latencies.len() * load.size) as u64, took, latencies })
}

/// One connection that is kept.
pub(super) struct Connection(BufReader<TcpStream>);

impl Connection {
    pub(super) fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        Ok(Self(BufReader::new(stream)))
    }

    /// Status and body of the answer, whose length must be given.
    pub(super) fn ask(&mut self, head: &str, body: &[u8]) -> Result<(u16, Vec<u8>)> {
        let stream = self.0.get_mut();
        stream.write_all(&[head.as_bytes(), body].concat())?;
        let mut line = String::new();
        self.0.read_line(&mut line)?;
        let status = line.split(' ').nth(1).ok_or("no answer")?.parse()?;
        let mut length = 0;
        loop {
            line.clear();
            self.0.read_line(&mut line)?;
            match line.trim_end().split_once(':') {
                Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                    length = value.trim().parse()?
                }
                Some(_) => {}
                None => break,
            }
        }
        let mut answer = vec![0; length];
        self.0.read_exact(&mut answer)?;
        Ok((status, answer))
    }
}
