//! The real program in a process of its own, to be killed.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use serde_json::Value;

use crate::harness::{ADMIN_TOKEN, GITLAB_TOKEN, HOOK_SECRET, PATIENCE, TOKEN, figure, until};

/// A folder with a configuration, rules and data.
pub struct Place {
    dir: tempfile::TempDir,
    starts: Mutex<usize>,
}

/// A running program; killed when dropped.
pub struct Program {
    child: Arc<Mutex<Child>>,
    url: String,
    log: PathBuf,
}

/// Kills a program from anywhere.
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

    /// Starts the program and waits until it takes events and has caught up. `fault` is for programs built with the
    /// feature `fault-points`; with one, it may end before that.
    pub async fn start(&self, fault: Option<&str>) -> Option<Program> {
        let number = {
            let mut starts = self.starts.lock().unwrap();
            *starts += 1;
            *starts
        };
        let log = self.dir.path().join(format!("log-{number}"));
        let mut command = Command::new(env!("CARGO_BIN_EXE_watchfire"));
        command
            .args(["serve", "--listen", "127.0.0.1:0", "--config"])
            .arg(self.dir.path().join("watchfire.yaml"))
            .arg("--data-dir")
            .arg(self.data())
            .envs([("TOKEN", TOKEN), ("ADMIN_TOKEN", ADMIN_TOKEN), ("HOOK_SECRET", HOOK_SECRET)])
            .envs([("GITLAB_TOKEN", GITLAB_TOKEN)])
            .stdin(Stdio::null())
            .stdout(File::create(&log).unwrap())
            .stderr(File::options().append(true).open(&log).unwrap());
        if let Some(fault) = fault {
            command.env("WATCHFIRE_FAULT", fault);
        }
        let child = Arc::new(Mutex::new(command.spawn().unwrap()));
        let ended = || child.lock().unwrap().try_wait().unwrap().is_some();
        let told = || std::fs::read_to_string(&log).unwrap_or_default();
        until(|| address(&told()).is_some() || ended(), told).await;
        let Some(address) = address(&told()) else {
            assert!(fault.is_some(), "the program does not start:\n{}", told());
            return None;
        };
        Some(Program { child, url: format!("http://{address}"), log })
    }
}

/// Where the program says it listens.
fn address(log: &str) -> Option<String> {
    let mut lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let ready = lines.find(|line| line["message"] == "watchfire accepts events")?;
    Some(ready["address"].as_str()?.to_owned())
}

impl Program {
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }

    pub fn killer(&self) -> Killer {
        Killer(Arc::clone(&self.child))
    }

    pub fn has_ended(&self) -> bool {
        self.child.lock().unwrap().try_wait().unwrap().is_some()
    }

    /// What it logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Waits until everything is judged and forwarded.
    pub async fn settled(&self, client: &reqwest::Client, forwarders: &[&str]) {
        let waiting = async {
            while !self.is_settled(client, forwarders).await {
                assert!(!self.has_ended(), "the program has ended:\n{}", self.log());
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        };
        let waited = tokio::time::timeout(5 * PATIENCE, waiting).await;
        assert!(waited.is_ok(), "it does not come to rest:\n{}", self.log());
    }

    async fn is_settled(&self, client: &reqwest::Client, forwarders: &[&str]) -> bool {
        let ready: Value = client.get(self.url("/readyz")).send().await.unwrap().json().await.unwrap();
        let metrics = client.get(self.url("/metrics")).send().await.unwrap().text().await.unwrap();
        let lag = |name: &&str| figure(&metrics, &format!("watchfire_forward_lag{{forward=\"{name}\"}}"));
        ready["lag"] == 0 && forwarders.iter().all(|name| lag(name) == Some(0.0))
    }

    /// SIGTERM, and waits for the end.
    pub async fn stop(self) {
        let id = self.child.lock().unwrap().id();
        let sent = Command::new("kill").args(["-TERM", &id.to_string()]).status().unwrap();
        assert!(sent.success());
        until(|| self.has_ended(), || self.log()).await;
        let status = self.child.lock().unwrap().wait().unwrap();
        assert!(status.success(), "{status}:\n{}", self.log());
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
