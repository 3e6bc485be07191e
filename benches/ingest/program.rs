//! The programs that take the load.

use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::Result;
use super::client::Connection;

const TOKEN: &str = "a-token-of-20-chars-";
/// The default of `log.seal_entries`.
const SEAL_ENTRIES: u64 = 32_768;
/// How often is searched, and what for.
const SEARCH_EVERY: Duration = Duration::from_millis(500);
const QUERIES: [&str; 3] = ["author_id%3A7", "type%3Aproject_destroyed%20author_id%3A9", "example-project"];

/// A program that runs, and how it is talked to.
pub(super) struct Program {
    child: Child,
    address: SocketAddr,
    /// Paths for single events and for batches.
    paths: [&'static str; 2],
    stores: bool,
}

fn free_port() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

impl Program {
    pub(super) fn watchfire(program: &Path, folder: &Path) -> Result<Self> {
        Self::watchfire_with(program, folder, "")
    }

    /// With more of a configuration.
    pub(super) fn watchfire_with(program: &Path, folder: &Path, more: &str) -> Result<Self> {
        let address = free_port()?;
        let config = folder.join("watchfire.yaml");
        let text = format!(
            "data_dir: data\nlisten: {address}\nrules: [rules]\napi: {{token: {{env: TOKEN}}}}\nsources:\n  \
             - {{name: gitlab, type: gitlab, path: /one, token: {{env: TOKEN}}}}\n  \
             - {{name: many, type: http, format: gitlab, path: /many, token: {{env: TOKEN}}}}\n{more}"
        );
        fs::write(&config, text)?;
        let mut command = Command::new(program);
        command.args(["serve", "--config"]).arg(&config);
        Self::start(command, folder, address, (["/one", "/many"], true))
    }

    pub(super) fn rsigma(program: &Path, folder: &Path) -> Result<Self> {
        let address = free_port()?;
        let mut command = Command::new(program);
        command.args(["engine", "daemon", "--input", "http", "--rules"]).arg(folder.join("rules"));
        command.args(["--timestamp-field", "created_at", "--api-addr", &address.to_string()]);
        command.args(["--output", &format!("file://{}", folder.join("found.ndjson").display())]);
        Self::start(command, folder, address, (["/api/v1/events"; 2], false))
    }

    fn start(
        mut command: Command,
        folder: &Path,
        address: SocketAddr,
        (paths, stores): ([&'static str; 2], bool),
    ) -> Result<Self> {
        let log = File::create(folder.join("log"))?;
        let child = command.env("TOKEN", TOKEN).stdout(log.try_clone()?).stderr(log).spawn()?;
        let mut own = Self { child, address, paths, stores };
        let deadline = Instant::now() + Duration::from_secs(60);
        while Instant::now() < deadline {
            if let Some(status) = own.child.try_wait()? {
                let told = fs::read_to_string(folder.join("log"))?;
                return Err(format!("{} ended, {status}: {told}", command.get_program().display()).into());
            }
            if matches!(own.get("/readyz"), Ok((200, _))) {
                return Ok(own);
            }
            thread::sleep(Duration::from_millis(5));
        }
        Err("it is not ready after a minute".into())
    }

    pub(super) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The head of a request with this body.
    pub(super) fn request(&self, is_batch: bool, body: &[u8]) -> String {
        let path = self.paths[usize::from(is_batch)];
        let length = body.len();
        format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\
             Content-Type: application/x-ndjson\r\nAuthorization: Bearer {TOKEN}\r\n\
             X-Gitlab-Event-Streaming-Token: {TOKEN}\r\n\r\n"
        )
    }

    fn get(&self, path: &str) -> Result<(u16, Vec<u8>)> {
        get(&mut Connection::open(self.address)?, path)
    }

    /// Until everything is judged, and sealed but for what is less than a seal.
    pub(super) fn settle(&self) -> Result<()> {
        let is_done = || -> Result<bool> {
            let ready: serde_json::Value = serde_json::from_slice(&self.get("/readyz")?.1)?;
            Ok(ready["lag"] == 0 && self.metric("watchfire_log_hot_entries")? < SEAL_ENTRIES)
        };
        while self.stores && !is_done()? {
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// How many events are on disk, as its metrics say.
    pub(super) fn stored(&self) -> Result<u64> {
        self.metric("watchfire_source_stored_events_total")
    }

    /// The sum of a metric over its labels.
    fn metric(&self, name: &str) -> Result<u64> {
        let metrics = String::from_utf8(self.get("/metrics")?.1)?;
        let lines = metrics
            .lines()
            .filter(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' '])));
        lines.map(|line| Ok(line.rsplit(' ').next().unwrap_or_default().parse::<u64>()?)).sum()
    }

    pub(super) fn stop(mut self, within: Duration) -> Result<()> {
        Command::new("kill").arg(self.child.id().to_string()).status()?;
        let deadline = Instant::now() + within;
        while self.child.try_wait()?.is_none() {
            if Instant::now() > deadline {
                self.child.kill()?;
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }
}

fn get(connection: &mut Connection, path: &str) -> Result<(u16, Vec<u8>)> {
    let head = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n\r\n");
    connection.ask(&head, b"")
}

/// Somebody who searches while events come in.
pub(super) struct Searches {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Vec<Duration>>>,
}

impl Searches {
    pub(super) fn start(program: &Program, is_calm: bool) -> Self {
        let (stop, address) = (Arc::new(AtomicBool::new(false)), program.address);
        let is_stopped = Arc::clone(&stop);
        let search = move || {
            let mut took = Vec::new();
            let Ok(mut connection) = Connection::open(address) else { return took };
            for query in QUERIES.iter().cycle() {
                if is_stopped.load(Ordering::Relaxed) {
                    break;
                }
                let began = Instant::now();
                match get(&mut connection, &format!("/api/v1/events?limit=50&q={query}")) {
                    Ok((200, _)) => took.push(began.elapsed()),
                    _ => break,
                }
                thread::sleep(SEARCH_EVERY);
            }
            took.sort_unstable();
            took
        };
        Self { stop, thread: (program.stores && !is_calm).then(|| thread::spawn(search)) }
    }

    /// How long each took, sorted.
    pub(super) fn stop(self) -> Vec<Duration> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.and_then(|thread| thread.join().ok()).unwrap_or_default()
    }
}
