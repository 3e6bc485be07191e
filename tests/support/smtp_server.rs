//! `smtp_server.py` beside this file, a real mail server with TLS and authentication, ended when its handle goes.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use serde_json::Value;

/// Who may send: the user, and the password.
pub const LOGIN: (&str, &str) = ("watchfire", "correct horse");

/// The running server.
pub struct SmtpServer {
    child: Child,
    input: Option<ChildStdin>,
    reader: Option<JoinHandle<()>>,
    mails: Arc<Mutex<Vec<Value>>>,
    about: Value,
}

impl SmtpServer {
    /// On free ports.
    pub fn start() -> Self {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/smtp_server.py");
        let mut child = Command::new("python3")
            .arg(script)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3 starts; run tests/run, which installs what the tests need");
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        let about = serde_json::from_str(&line)
            .expect("no mail server: run tests/run, which installs aiosmtpd for python3");
        let mails: Arc<Mutex<Vec<Value>>> = Arc::default();
        let kept = Arc::clone(&mails);
        let reader = std::thread::spawn(move || {
            for line in output.by_ref().lines().map_while(Result::ok) {
                kept.lock().unwrap().push(serde_json::from_str(&line).unwrap());
            }
        });
        let input = child.stdin.take();
        Self { child, input, reader: Some(reader), mails, about }
    }

    /// The port that speaks `starttls`, `tls` or `none`.
    pub fn port(&self, security: &str) -> u64 {
        self.about[security].as_u64().unwrap()
    }

    /// The file with the root certificate.
    pub fn ca(&self) -> &str {
        self.about["ca"].as_str().unwrap()
    }

    /// All mails taken so far, as the script writes them.
    pub fn mails(&self) -> Vec<Value> {
        self.mails.lock().unwrap().clone()
    }

    /// All mails taken, and the end of the server.
    pub fn stop(mut self) -> Vec<Value> {
        self.end();
        self.mails()
    }

    fn end(&mut self) {
        drop(self.input.take());
        if let Some(reader) = self.reader.take() {
            drop(reader.join());
        }
        drop(self.child.wait());
    }
}

impl Drop for SmtpServer {
    fn drop(&mut self) {
        self.end();
    }
}
