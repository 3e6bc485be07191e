//! `type: email`: a mail over SMTP.

use std::path::PathBuf;
use std::time::{Duration, UNIX_EPOCH};

use lettre::message::{Mailbox, MultiPart};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
use lettre::{AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};
use serde::Deserialize;

use crate::deliver::{
    BuildContext, ConfigError, DeliveryError, Secret, SecretRef, TIMEOUT, causes, is_loopback_host, one_line,
    redact, span,
};
use crate::encode::{Notification, mail};
use crate::store::Outcome;
use crate::time::{Span, Timestamp};

use super::GuardInput;
use super::config::Problem;

/// The settings of an email action.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EmailConfig {
    /// The mail server.
    pub smtp: SmtpConfig,
    /// Sender: `Watchfire <watchfire@example.com>`.
    pub from: String,
    /// Recipients, at least one; all get one mail.
    pub to: Vec<String>,
}

/// A mail server.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SmtpConfig {
    /// Its name, as in its certificate.
    pub host: String,
    /// 587 for `starttls`, 465 for `tls`, 25 for `none`.
    #[serde(default)]
    pub port: Option<u16>,
    /// How the connection is kept private.
    #[serde(default)]
    pub security: Security,
    /// With `password`, for servers that want it.
    #[serde(default)]
    pub username: Option<String>,
    /// With `username`.
    #[serde(default)]
    pub password: Option<SecretRef>,
    /// A PEM file with the root certificate of a private authority.
    #[serde(default)]
    pub ca: Option<PathBuf>,
    /// For each step of the conversation.
    #[serde(default = "timeout", deserialize_with = "span")]
    pub timeout: Span,
}

/// How the connection to a mail server is kept private.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Security {
    /// Begins in the clear and must turn to TLS before anything is said.
    #[default]
    Starttls,
    /// TLS from the start.
    Tls,
    /// In the clear; only to this machine.
    None,
}

const fn timeout() -> Span {
    TIMEOUT
}

/// A mail server and the people to write to.
pub(super) struct Email {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
    to: Vec<Mailbox>,
    server: String,
    secrets: Vec<Secret>,
}

impl Email {
    pub(super) fn build(config: &EmailConfig, context: &BuildContext<'_>) -> Result<Self, Problem> {
        let smtp = &config.smtp;
        if smtp.security == Security::None && !is_loopback_host(&smtp.host) {
            let reason = "smtp.security: `none` is only for a server on this machine; use starttls or tls";
            return Err(Problem::Setting(reason.to_owned()));
        }
        if config.to.is_empty() {
            return Err(Problem::Setting("to: expected at least one address".to_owned()));
        }
        let port = smtp.port.unwrap_or(match smtp.security {
            Security::Starttls => 587,
            Security::Tls => 465,
            Security::None => 25,
        });
        let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(smtp.host.as_str())
            .port(port)
            .timeout(Some(smtp.timeout.to_std()))
            .tls(tls(smtp, context)?);
        let mut secrets = Vec::new();
        match (&smtp.username, &smtp.password) {
            (Some(username), Some(password)) => {
                let password = password.resolve(context.env, context.base)?;
                let credentials = Credentials::new(username.clone(), password.expose().to_owned());
                builder = builder.credentials(credentials);
                secrets.push(password);
            }
            (None, None) => {}
            _ => return Err(Problem::Setting("smtp: `username` and `password` go together".to_owned())),
        }
        let to = config.to.iter().map(|text| mailbox("to", text)).collect::<Result<_, _>>()?;
        let server = format!("{}:{port}", smtp.host);
        Ok(Self { transport: builder.build(), from: mailbox("from", &config.from)?, to, server, secrets })
    }

    pub(super) async fn run(&self, notification: &Notification, guard: &GuardInput) -> Result<Outcome, DeliveryError> {
        let message = self.message(notification, guard.now)?;
        let answer = self.transport.send(message).await.map_err(|error| self.failure(&error))?;
        let said = answer.message().next().map(|line| one_line(line, 100)).unwrap_or_default();
        let count = self.to.len();
        let people = if count == 1 { "1 person" } else { "people" };
        let people = if count == 1 { people.to_owned() } else { format!("{count} {people}") };
        let summary = format!("mail to {people} accepted by {}: {} {said}", self.server, answer.code());
        Ok(Outcome { changed: false, dry_run: false, summary, undo: None, needs_human: false })
    }

    /// The mail itself. Its id is the idempotency key, so that a mail sent twice shows once; it answers a mail
    /// that was never sent but is named after the alert, so that all mails of an alert form one thread.
    fn message(&self, notification: &Notification, now: Timestamp) -> Result<Message, DeliveryError> {
        let broken = |error: &dyn std::error::Error| DeliveryError::permanent(format!("mail: {}", causes(error)));
        let written = mail(notification).map_err(|error| broken(&error))?;
        let domain = self.from.email.domain();
        let thread = format!("<alert.{}@{domain}>", notification.alert.id);
        let since = Duration::from_millis(u64::try_from(now.0).unwrap_or_default());
        let mut builder = Message::builder()
            .from(self.from.clone())
            .subject(written.subject)
            .date(UNIX_EPOCH + since)
            .message_id(Some(format!("<{}@{domain}>", notification.idempotency_key)))
            .in_reply_to(thread.clone())
            .references(thread);
        for mailbox in &self.to {
            builder = builder.to(mailbox.clone());
        }
        builder
            .multipart(MultiPart::alternative_plain_html(written.text, written.html))
            .map_err(|error| broken(&error))
    }

    /// 5xx stays; everything else may pass.
    fn failure(&self, error: &lettre::transport::smtp::Error) -> DeliveryError {
        let reason = redact(&format!("{}: {}", self.server, causes(error)), &self.secrets);
        if error.is_permanent() { DeliveryError::permanent(reason) } else { DeliveryError::retryable(reason) }
    }
}

fn tls(smtp: &SmtpConfig, context: &BuildContext<'_>) -> Result<Tls, Problem> {
    if smtp.security == Security::None {
        return Ok(Tls::None);
    }
    let mut builder = TlsParameters::builder(smtp.host.clone());
    if let Some(path) = &smtp.ca {
        let path = context.base.join(path);
        let error = |reason: String| ConfigError::Ca { path: path.display().to_string(), reason };
        let pem = std::fs::read(&path).map_err(|cause| error(cause.to_string()))?;
        let certificate = Certificate::from_pem(&pem).map_err(|cause| error(causes(&cause)))?;
        builder = builder.add_root_certificate(certificate);
    }
    let parameters = builder.build().map_err(|error| ConfigError::Tls(causes(&error)))?;
    Ok(if smtp.security == Security::Tls { Tls::Wrapper(parameters) } else { Tls::Required(parameters) })
}

fn mailbox(key: &str, text: &str) -> Result<Mailbox, Problem> {
    let hint = "expected name@example.com or `Name <name@example.com>`";
    text.parse().map_err(|error| Problem::Setting(format!("{key}: `{text}`: {error}; {hint}")))
}
