//! `type: command`: a program of the user's own, for each alert.
//!
//! No shell reads its arguments. Its environment is empty but for what is configured, its standard input is the alert's JSON,
//! its working folder `/`, and it leads a process group of its own, all of which ends with it. Exit 0 is success; 2, 64 to 78
//! but for 75, 126 and 127 are final, as sysexits(3) and the shell use them; everything else, a signal or no end in time may
//! pass. A crash of Watchfire at the wrong moment runs it twice: `WATCHFIRE_KEY` is then the same.

use std::collections::BTreeMap;
use std::process::{ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process_group};
use serde::Deserialize;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, Command as Process};

use super::config::Problem;
use crate::alert::Occasion;
use crate::deliver::{BuildContext, DeliveryError, Secret, TIMEOUT, TextOrSecret, quoted, redact, span};
use crate::encode::{CheckpointNote, Escape, Notice, Notification, Template, notification_json};
use crate::store::Outcome;
use crate::time::Span;

/// How much of what it writes is kept of each stream; the rest is read and let go.
const OUTPUT_BYTES_MAX: usize = 16 * 1024;
const ARGUMENT_BYTES_MAX: usize = 32 * 1024;
const ARGUMENTS_MAX: usize = 64;
const KEY: &str = "WATCHFIRE_KEY";

/// The settings of a command action.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CommandConfig {
    /// The program's absolute path, then its arguments, each minijinja over the alert's JSON.
    pub command: Vec<String>,
    /// Its whole environment, beside `WATCHFIRE_KEY`.
    #[serde(default)]
    pub env: BTreeMap<String, TextOrSecret>,
    /// So long it may take.
    #[serde(default = "timeout", deserialize_with = "span")]
    pub timeout: Span,
    /// When an alert is told; absent: when it is opened, not acknowledged, or escalated.
    #[serde(default, deserialize_with = "super::occasions::named")]
    pub occasions: Option<Vec<Occasion>>,
}

impl CommandConfig {
    /// Whether its arguments are made of what it is told.
    pub(super) fn has_templates(&self) -> bool {
        self.command.iter().any(|word| word.contains("{{") || word.contains("{%"))
    }
}

const fn timeout() -> Span {
    TIMEOUT
}

/// A program to run.
pub(super) struct Command {
    program: String,
    arguments: Vec<Argument>,
    env: Vec<(String, Secret)>,
    secrets: Vec<Secret>,
    timeout: Span,
    occasions: Option<Vec<Occasion>>,
}

struct Argument {
    template: Template,
    /// Written so in the configuration: an option that was meant as one.
    is_option: bool,
}

impl Command {
    pub(super) fn build(config: &CommandConfig, context: &BuildContext<'_>) -> Result<Self, Problem> {
        let [program, arguments @ ..] = config.command.as_slice() else {
            return Err(Problem::Setting("command: expected a program and its arguments".to_owned()));
        };
        if !program.starts_with('/') || program.contains('\0') {
            let reason = "command: the program is an absolute path, such as /usr/local/bin/page; no shell looks for it";
            return Err(Problem::Setting(reason.to_owned()));
        }
        if arguments.len() > ARGUMENTS_MAX {
            return Err(Problem::Setting(format!("command: at most {ARGUMENTS_MAX} arguments")));
        }
        let compile = |(index, text): (usize, &String)| {
            let template = Template::new(text, Escape::Plain)
                .map_err(|error| Problem::Template { key: format!("command[{}]", index + 1), error })?;
            Ok::<_, Problem>(Argument { template, is_option: text.starts_with('-') })
        };
        let mut env = Vec::new();
        let mut secrets = Vec::new();
        for (name, value) in &config.env {
            if name.is_empty() || name.contains(['=', '\0']) || name == KEY {
                return Err(Problem::Setting(format!("env: `{name}` cannot be set")));
            }
            let text = value.resolve(context)?;
            if matches!(value, TextOrSecret::Secret(_)) {
                secrets.push(text.clone());
            }
            env.push((name.clone(), text));
        }
        Ok(Self {
            program: program.clone(),
            arguments: arguments.iter().enumerate().map(compile).collect::<Result<_, _>>()?,
            env,
            secrets,
            timeout: config.timeout,
            occasions: config.occasions.clone(),
        })
    }

    pub(super) fn wants(&self, occasion: Occasion) -> bool {
        match &self.occasions {
            Some(occasions) => occasions.contains(&occasion),
            None => matches!(occasion, Occasion::Opened | Occasion::Reminder | Occasion::Escalated),
        }
    }

    pub(super) async fn run(&self, notification: &Notification) -> Result<Outcome, DeliveryError> {
        let told = notification_json(notification);
        self.start(&told, &notification.idempotency_key).await
    }

    pub(super) async fn tell(&self, notice: &Notice, key: &str) -> Result<Outcome, DeliveryError> {
        let told = notice.json(key);
        if self.arguments.iter().any(|argument| argument.template.render(&told).is_err()) {
            let reason = "its arguments ask for an alert, and this is a notice: let them do without, or send notices elsewhere";
            return Err(DeliveryError::permanent(format!("{}: {reason}", self.program)));
        }
        self.start(&told, key).await
    }

    /// Hands it the checkpoint's JSON. Arguments that ask for an alert are refused with the configuration.
    pub(super) async fn keep(&self, note: &CheckpointNote) -> Result<Outcome, DeliveryError> {
        self.start(&note.json(), &note.idempotency_key).await
    }

    pub(super) fn preview(&self, notification: &Notification) -> Result<String, DeliveryError> {
        let told = notification_json(notification);
        let words = [self.program.clone()].into_iter().chain(self.rendered(&told)?);
        let command = words.map(|word| format!("{word:?}")).collect::<Vec<_>>().join(" ");
        let names = self.env.iter().map(|(name, _)| format!("{name}=…\n")).collect::<String>();
        Ok(redact(
            &format!("{command}\n{names}{KEY}={}\n\n{told:#}\n", notification.idempotency_key),
            &self.secrets,
        ))
    }

    /// What an event's author typed must not become an option of the program.
    fn rendered(&self, told: &Value) -> Result<Vec<String>, DeliveryError> {
        let render = |(index, argument): (usize, &Argument)| {
            let wrong = |reason: String| {
                DeliveryError::permanent(format!("{}: argument {}: {reason}", self.program, index + 1))
            };
            let text = argument.template.render(told).map_err(|error| wrong(error.to_string()))?;
            if text.contains('\0') || text.len() > ARGUMENT_BYTES_MAX {
                return Err(wrong(format!("it has a zero byte, or more than {ARGUMENT_BYTES_MAX} bytes")));
            }
            if text.starts_with('-') && !argument.is_option {
                return Err(wrong(
                    "an event would make it an option; write something before the template".to_owned(),
                ));
            }
            Ok(text)
        };
        self.arguments.iter().enumerate().map(render).collect()
    }

    async fn start(&self, told: &Value, key: &str) -> Result<Outcome, DeliveryError> {
        let mut process = Process::new(&self.program);
        process
            .args(self.rendered(told)?)
            .env_clear()
            .envs(self.env.iter().map(|(name, value)| (name, value.expose())))
            .env(KEY, key)
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0);
        let mut child = process.spawn().map_err(|error| self.not_started(&error))?;
        let group = Group(child.id().and_then(|id| Pid::from_raw(id.cast_signed())));
        let done = converse(&mut child, told.to_string(), group);
        let done = tokio::time::timeout(self.timeout.to_std(), done).await;
        match done {
            Ok(Ok((status, said))) => self.judge(status, &said),
            Ok(Err(error)) => Err(DeliveryError::retryable(format!("{}: {error}", self.program))),
            Err(_) => {
                // Reaps it.
                drop(child.wait().await);
                let reason = format!("{} took longer than {} and was ended", self.program, self.timeout);
                Err(DeliveryError::retryable(reason))
            }
        }
    }

    fn not_started(&self, error: &std::io::Error) -> DeliveryError {
        use std::io::ErrorKind::{NotFound, PermissionDenied};
        let reason = format!("{} cannot be started: {error}", self.program);
        match error.kind() {
            NotFound | PermissionDenied => DeliveryError::permanent(reason),
            _ => DeliveryError::retryable(reason),
        }
    }

    fn judge(&self, status: ExitStatus, said: &[u8]) -> Result<Outcome, DeliveryError> {
        let said = quoted(&String::from_utf8_lossy(said), &self.secrets);
        let said = if said.is_empty() { said } else { format!(": {said}") };
        match status.code() {
            Some(0) => {
                let summary = format!("{} ended well{said}", self.program);
                Ok(Outcome { changed: false, dry_run: false, summary, undo: None, needs_human: false })
            }
            Some(code @ (2 | 64..=74 | 76..=78 | 126 | 127)) => {
                Err(DeliveryError::permanent(format!("{} ended with {code}{said}", self.program)))
            }
            Some(code) => Err(DeliveryError::retryable(format!("{} ended with {code}{said}", self.program))),
            None => Err(DeliveryError::retryable(format!("{} was ended by a signal{said}", self.program))),
        }
    }
}

/// Gives it its input, takes what it says, and waits for its end; what it leaves running ends then too.
async fn converse(child: &mut Child, input: String, group: Group) -> std::io::Result<(ExitStatus, Vec<u8>)> {
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let write = async {
        if let Some(mut stdin) = stdin {
            // A program need not read what it is given.
            stdin.write_all(input.as_bytes()).await.ok();
        }
    };
    let status = {
        let talk = async { tokio::join!(write, bounded(stdout, &mut out), bounded(stderr, &mut err)) };
        tokio::pin!(talk);
        let mut is_over = false;
        let status = tokio::select! {
            status = child.wait() => status?,
            _ = &mut talk => {
                is_over = true;
                child.wait().await?
            }
        };
        // Whoever still holds its output would hold it for ever.
        drop(group);
        if !is_over {
            talk.await;
        }
        status
    };
    // Errors are the more telling.
    Ok((status, if err.is_empty() { out } else { err }))
}

async fn bounded(stream: Option<impl AsyncRead + Unpin>, kept: &mut Vec<u8>) {
    let Some(mut stream) = stream else { return };
    let mut buffer = vec![0; 4096];
    while let Ok(count @ 1..) = stream.read(&mut buffer).await {
        let room = OUTPUT_BYTES_MAX.saturating_sub(kept.len());
        kept.extend_from_slice(buffer.get(..count.min(room)).unwrap_or_default());
    }
}

/// All processes that the program started, unless they left its group; ended when this goes.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(leader) = self.0 {
            // None is left: that is what is wanted.
            kill_process_group(leader, Signal::KILL).ok();
        }
    }
}

#[cfg(test)]
mod tests;
