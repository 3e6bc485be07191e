//! The real program in a process of its own, to be killed.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use serde_json::Value;

use crate::harness::{ADMIN_TOKEN, GITLAB_TOKEN, HOOK_SECRET, PATIENCE, TOKEN, figure, until};

/// A folder with a configuration, rules and data.
pub struct Place {
    dir: tempfile::TempDir,
    starts: Mutex<usize>,
}

/// A program that was started; killed when dropped.
pub struct Program {
    child: Arc<Mutex<Child>>,
    url: OnceLock<String>,
    log: PathBuf,
}

/// Ends a program from anywhere.
#[derive(Clone)]
pub struct Killer(Arc<Mutex<Child>>);

impl Killer {
    /// SIGKILL: nothing is finished, nothing written out.
    pub fn kill(&self) {
        let mut child = self.0.lock().unwrap();
        // It may have been killed already.
        drop(child.kill());
        child.wait().unwrap();
    }

    /// SIGTERM: please stop.
    pub fn terminate(&self) {
        let id = self.0.lock().unwrap().id();
        let sent = Command::new("kill").args(["-TERM", &id.to_string()]).status().unwrap();
        assert!(sent.success());
    }
}

impl Place {
    /// With this configuration (`data_dir` and `listen` are given on the command line) and these rules.
    pub fn new(config: &str, rules: &[(String, String)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("rules")).unwrap();
        std::fs::write(dir.path().join("watchfire.yaml"), config).unwrap();
        for (name, text) in rules {
            std::fs::write(dir.path().join("rules").join(name), text).unwrap();
        }
        Self { dir, starts: Mutex::new(0) }
    }

    pub fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// What runs the program: to be changed before it is given to [`Place::spawn`].
    pub fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_watchfire"));
        command.args(self.arguments());
        self.surround(&mut command);
        command
    }

    /// The same through a shell: `script` prepares something and ends with `exec "$@"`.
    pub fn command_after(&self, script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script, "sh", env!("CARGO_BIN_EXE_watchfire")]).args(self.arguments());
        self.surround(&mut command);
        command
    }

    fn arguments(&self) -> Vec<String> {
        let path = |path: PathBuf| path.to_str().unwrap().to_owned();
        let (config, data) = (path(self.dir.path().join("watchfire.yaml")), path(self.data()));
        ["serve", "--listen", "127.0.0.1:0", "--config", &config, "--data-dir", &data]
            .map(str::to_owned)
            .into()
    }

    fn surround(&self, command: &mut Command) {
        command
            .envs([("TOKEN", TOKEN), ("ADMIN_TOKEN", ADMIN_TOKEN), ("HOOK_SECRET", HOOK_SECRET)])
            .envs([("GITLAB_TOKEN", GITLAB_TOKEN)])
            .stdin(Stdio::null());
    }

    /// Starts it, with a log of its own.
    pub fn spawn(&self, mut command: Command) -> Program {
        let number = {
            let mut starts = self.starts.lock().unwrap();
            *starts += 1;
            *starts
        };
        let log = self.dir.path().join(format!("log-{number}"));
        command.stdout(File::create(&log).unwrap()).stderr(File::options().append(true).open(&log).unwrap());
        let child = Arc::new(Mutex::new(command.spawn().unwrap()));
        Program { child, url: OnceLock::new(), log }
    }

    /// Starts it and waits until it takes events and has caught up.
    pub async fn start(&self) -> Program {
        let program = self.spawn(self.command());
        assert!(program.ready().await, "the program does not start:\n{}", program.log());
        program
    }

    /// Starts it where it cannot run: how it ended, and what it said.
    pub async fn refuse(&self) -> (ExitStatus, String) {
        let program = self.spawn(self.command());
        assert!(!program.ready().await, "it starts all the same:\n{}", program.log());
        (program.status(), program.log())
    }
}

/// Where the program says it listens.
fn address(log: &str) -> Option<String> {
    let mut lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let ready = lines.find(|line| line["message"] == "watchfire accepts events")?;
    Some(ready["address"].as_str()?.to_owned())
}

impl Program {
    /// Waits until it takes events and has caught up; false: it ended before.
    pub async fn ready(&self) -> bool {
        until(|| address(&self.log()).is_some() || self.has_ended(), || self.log()).await;
        let address = address(&self.log());
        if let Some(address) = &address {
            drop(self.url.set(format!("http://{address}")));
        }
        address.is_some()
    }

    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.url.get().unwrap())
    }

    pub fn killer(&self) -> Killer {
        Killer(Arc::clone(&self.child))
    }

    pub fn id(&self) -> u32 {
        self.child.lock().unwrap().id()
    }

    pub fn has_ended(&self) -> bool {
        self.child.lock().unwrap().try_wait().unwrap().is_some()
    }

    /// How it ended; waits for that.
    pub fn status(&self) -> ExitStatus {
        self.child.lock().unwrap().wait().unwrap()
    }

    /// What it logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Waits until everything is judged and forwarded, or it ends.
    pub async fn rested(&self, client: &reqwest::Client, forwarders: &[&str]) {
        let waiting = async {
            while !self.has_ended() && !self.is_settled(client, forwarders).await {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let waited = tokio::time::timeout(5 * PATIENCE, waiting).await;
        assert!(waited.is_ok(), "it does not come to rest:\n{}", self.log());
    }

    /// The same for one that must not end.
    pub async fn settled(&self, client: &reqwest::Client, forwarders: &[&str]) {
        self.rested(client, forwarders).await;
        assert!(!self.has_ended(), "the program has ended:\n{}", self.log());
    }

    async fn is_settled(&self, client: &reqwest::Client, forwarders: &[&str]) -> bool {
        let Some(ready) = self.get(client, "/readyz").await else { return false };
        let Some(metrics) = self.get(client, "/metrics").await else { return false };
        let ready: Value = serde_json::from_str(&ready).unwrap();
        let lag = |name: &&str| figure(&metrics, &format!("watchfire_forward_lag{{forward=\"{name}\"}}"));
        ready["lag"] == 0 && forwarders.iter().all(|name| lag(name) == Some(0.0))
    }

    /// None: it does not answer any more.
    async fn get(&self, client: &reqwest::Client, path: &str) -> Option<String> {
        client.get(self.url(path)).send().await.ok()?.text().await.ok()
    }

    /// SIGTERM, and waits for the end, which must be a good one.
    pub async fn stop(self) {
        let (status, log) = self.end().await;
        assert!(status.success(), "{status}:\n{log}");
    }

    /// SIGTERM, and waits for the end.
    pub async fn end(self) -> (ExitStatus, String) {
        self.killer().terminate();
        until(|| self.has_ended(), || self.log()).await;
        (self.status(), self.log())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let mut child = self.child.lock().unwrap();
        // It may have ended already.
        drop(child.kill());
        drop(child.wait());
    }
}
