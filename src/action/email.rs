//! `type: email`: a mail over SMTP.

use std::path::PathBuf;
use std::time::{Duration, UNIX_EPOCH};

use lettre::address::Envelope;
use lettre::message::header::ContentType;
use lettre::message::{Attachment, Mailbox, MessageBuilder, MultiPart, SinglePart};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
use lettre::{AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};
use serde::Deserialize;

use crate::alert::Occasion;
use crate::deliver::{
    BuildContext, ConfigError, DeliveryError, Secret, SecretRef, TIMEOUT, causes, chain, is_loopback_host,
    one_line, quoted, redact, span,
};
use crate::encode::{CheckpointNote, Notice, Notification, mail};
use crate::report::render::ReportMail;
use crate::store::Outcome;
use crate::time::{Span, Timestamp};

use super::GuardInput;
use super::begun::{Begun, Told};
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
    /// When an alert is told; absent: always but when it is acknowledged.
    #[serde(default, deserialize_with = "super::occasions::named")]
    pub occasions: Option<Vec<Occasion>>,
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
    /// For the whole conversation.
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

/// What a server says of a mailbox that it will not have, or not now (RFC 5321, 4.2.3), but also of a whole mail.
const MAILBOX: [u16; 8] = [450, 451, 452, 501, 550, 551, 553, 554];

/// Why a mail was not taken.
struct Refused {
    error: DeliveryError,
    /// It may be for one of the recipients only.
    is_mailbox: bool,
}

/// Of what is said of one mail.
const SUMMARY_BYTES_MAX: usize = 2_000;

const fn timeout() -> Span {
    TIMEOUT
}

/// A mail server and the people to write to.
pub(super) struct Email {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
    to: Vec<Mailbox>,
    server: String,
    timeout: Span,
    secrets: Vec<Secret>,
    occasions: Option<Vec<Occasion>>,
    begun: Begun,
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
        Ok(Self {
            transport: builder.build(),
            from: mailbox("from", &config.from)?,
            to,
            server: format!("{}:{port}", smtp.host),
            timeout: smtp.timeout,
            secrets,
            occasions: config.occasions.clone(),
            begun: Begun::default(),
        })
    }

    pub(super) fn wants(&self, occasion: Occasion) -> bool {
        match &self.occasions {
            Some(occasions) => occasions.contains(&occasion),
            None => !matches!(occasion, Occasion::Acknowledged | Occasion::Undo),
        }
    }

    /// The mail's text part and its head.
    pub(super) fn preview(
        &self,
        notification: &Notification,
        now: Timestamp,
    ) -> Result<String, DeliveryError> {
        let written = mail(notification).map_err(|error| broken(&error))?;
        let to = self.to.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let head = format!("To: {to}\nFrom: {}\nSubject: {}\nDate: {now}\n", self.from, written.subject);
        Ok(redact(&format!("SMTP {}\n{head}\n{}\n", self.server, written.text), &self.secrets))
    }

    pub(super) async fn run(
        &self,
        notification: &Notification,
        guard: &GuardInput,
    ) -> Result<Outcome, DeliveryError> {
        self.send(self.message(notification, guard.now)?, &notification.idempotency_key).await
    }

    /// Sends a report, with its tables attached.
    pub(super) async fn report(
        &self,
        mail: &ReportMail,
        (key, now): (&str, Timestamp),
    ) -> Result<Outcome, DeliveryError> {
        self.send(self.report_message(mail, key, now)?, key).await
    }

    /// The same for a checkpoint; all of them form one thread.
    pub(super) async fn keep(&self, note: &CheckpointNote, now: Timestamp) -> Result<Outcome, DeliveryError> {
        let (subject, text) = note.mail();
        let builder = self.head("checkpoints", &note.idempotency_key, now).subject(subject);
        let message = builder.singlepart(SinglePart::plain(text)).map_err(|error| broken(&error))?;
        self.send(message, &note.idempotency_key).await
    }

    /// The same for what is no alert.
    pub(super) async fn tell(
        &self,
        notice: &Notice,
        (key, now): (&str, Timestamp),
    ) -> Result<Outcome, DeliveryError> {
        let written = notice.mail().map_err(|error| broken(&error))?;
        let thread = notice.alert.as_ref().map_or_else(|| "notices".to_owned(), |id| format!("alert.{id}"));
        let builder = self.head(&thread, key, now).subject(written.subject);
        let parts = MultiPart::alternative_plain_html(written.text, written.html);
        self.send(builder.multipart(parts).map_err(|error| broken(&error))?, key).await
    }

    /// To all in one conversation; if somebody is refused there, to each in one of their own, so that a mailbox that is
    /// gone or full keeps no alert from the others. Who is refused for now is tried again, and who has it is left alone.
    async fn send(&self, message: Message, key: &str) -> Result<Outcome, DeliveryError> {
        let mail = message.formatted();
        let mut said = match self.begun.take(key) {
            Some(told) => self.one_by_one(&mail, key, told).await?,
            None => match self.hand_over(message.envelope(), &mail).await {
                Err(Refused { is_mailbox: true, .. }) if self.to.len() > 1 => {
                    self.one_by_one(&mail, key, Told::new()).await?
                }
                together => together.map_err(|refused| refused.error).map(|answer| {
                    let people = if self.to.len() == 1 { "person" } else { "people" };
                    format!("mail to {} {people} accepted by {answer}", self.to.len())
                })?,
            },
        };
        shorten(&mut said);
        Ok(Outcome { changed: false, dry_run: false, summary: said, undo: None, needs_human: false })
    }

    /// To all who do not have it.
    async fn one_by_one(&self, mail: &[u8], key: &str, mut told: Told) -> Result<String, DeliveryError> {
        let (mut waiting, mut refused) = (String::new(), String::new());
        for person in &self.to {
            let address = person.email.to_string();
            if told.contains_key(&address) {
                continue;
            }
            let envelope = Envelope::new(Some(self.from.email.clone()), vec![person.email.clone()]);
            let envelope = envelope.map_err(|error| broken(&error))?;
            match self.hand_over(&envelope, mail).await.map_err(|refused| refused.error) {
                Ok(answer) => drop(told.insert(address, answer)),
                Err(DeliveryError::Retryable { reason, .. }) => {
                    waiting.push_str(&format!("; not yet to {address}: {reason}"));
                }
                Err(DeliveryError::Permanent { reason, .. }) => {
                    tracing::warn!(%address, error = reason, "a recipient of an alert's mail is refused");
                    refused.push_str(&format!("; not to {address}: {reason}"));
                }
            }
        }
        let count = self.to.iter().filter(|person| told.contains_key(person.email.as_ref() as &str)).count();
        let by = told.values().next().map_or_else(|| self.server.clone(), Clone::clone);
        let mut said =
            format!("mail to {count} of {} people accepted by {by}{waiting}{refused}", self.to.len());
        if waiting.is_empty() && count > 0 {
            return Ok(said);
        }
        shorten(&mut said);
        if waiting.is_empty() {
            return Err(DeliveryError::permanent(said));
        }
        self.begun.keep(key, told);
        Err(DeliveryError::retryable(said))
    }

    /// One conversation; the server and what it answered.
    async fn hand_over(&self, envelope: &Envelope, mail: &[u8]) -> Result<String, Refused> {
        // The transport's own timeout is only for connecting.
        let sent = tokio::time::timeout(self.timeout.to_std(), self.transport.send_raw(envelope, mail)).await;
        let sent = sent.map_err(|_| {
            let reason = format!("{}: the mail server took longer than {}", self.server, self.timeout);
            Refused { error: DeliveryError::retryable(reason), is_mailbox: false }
        })?;
        let answer = sent.map_err(|error| {
            let code = error.status().map(u16::from);
            Refused {
                error: self.failure(&error),
                is_mailbox: code.is_some_and(|code| MAILBOX.contains(&code)),
            }
        })?;
        let said = answer
            .message()
            .next()
            .map(|line| one_line(&redact(line, &self.secrets), 100))
            .unwrap_or_default();
        Ok(format!("{}: {} {said}", self.server, answer.code()))
    }

    /// The mail itself. Its id is the idempotency key, so that a mail sent twice shows once; it answers a mail
    /// that was never sent but is named after the alert, so that all mails of an alert form one thread.
    fn message(&self, notification: &Notification, now: Timestamp) -> Result<Message, DeliveryError> {
        let written = mail(notification).map_err(|error| broken(&error))?;
        let thread = format!("alert.{}", notification.alert.id);
        self.head(&thread, &notification.idempotency_key, now)
            .subject(written.subject)
            .multipart(MultiPart::alternative_plain_html(written.text, written.html))
            .map_err(|error| broken(&error))
    }

    /// All mails of one report form a thread, as those of one alert do.
    fn report_message(&self, mail: &ReportMail, key: &str, now: Timestamp) -> Result<Message, DeliveryError> {
        let csv = ContentType::parse("text/csv; charset=utf-8").map_err(|error| broken(&error))?;
        let parts = MultiPart::alternative_plain_html(mail.text.clone(), mail.html.clone());
        let builder = self.head(&format!("report.{}", mail.thread), key, now).subject(mail.subject.clone());
        if mail.attachments.is_empty() {
            return builder.multipart(parts).map_err(|error| broken(&error));
        }
        let attach = |whole: MultiPart, file: &crate::report::render::Attachment| {
            // Bytes: a text's line ends would be made those of a mail.
            let body = file.text.clone().into_bytes();
            whole.singlepart(Attachment::new(file.name.clone()).body(body, csv.clone()))
        };
        let whole = mail.attachments.iter().fold(MultiPart::mixed().multipart(parts), attach);
        builder.multipart(whole).map_err(|error| broken(&error))
    }

    fn head(&self, thread: &str, key: &str, now: Timestamp) -> MessageBuilder {
        let domain = self.from.email.domain();
        let thread = format!("<{thread}@{domain}>");
        let since = Duration::from_millis(u64::try_from(now.0).unwrap_or_default());
        let builder = Message::builder()
            .from(self.from.clone())
            .date(UNIX_EPOCH + since)
            .message_id(Some(format!("<{key}@{domain}>")))
            .in_reply_to(thread.clone())
            .references(thread);
        self.to.iter().fold(builder, |builder, mailbox| builder.to(mailbox.clone()))
    }

    /// 5xx stays; everything else may pass.
    fn failure(&self, error: &lettre::transport::smtp::Error) -> DeliveryError {
        let reason = quoted(&format!("{}: {}", self.server, chain(error)), &self.secrets);
        if error.is_permanent() { DeliveryError::permanent(reason) } else { DeliveryError::retryable(reason) }
    }
}

fn shorten(said: &mut String) {
    said.truncate(said.floor_char_boundary(SUMMARY_BYTES_MAX));
}

fn broken(error: &dyn std::error::Error) -> DeliveryError {
    DeliveryError::permanent(format!("mail: {}", causes(error)))
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

#[cfg(test)]
#[path = "../../tests/support/smtp_server.rs"]
mod smtp_server;

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::super::stand_in::{hang_up, never_answer, try_action};
    use super::smtp_server::{LOGIN, SmtpServer};
    use super::*;
    use crate::action::Action;
    use crate::encode::tests_support::notification;

    const GUARD: GuardInput = GuardInput { recent: 0, now: Timestamp(1_769_850_000_000) };

    fn action(server: &SmtpServer, security: &str, settings: &str, (to, password): (&str, &str)) -> Action {
        let secret = server.ca().replace("ca.pem", "password");
        std::fs::write(&secret, password).unwrap();
        let login = if security == "none" {
            String::new()
        } else {
            format!(", username: {}, password: {{file: '{secret}'}}", LOGIN.0)
        };
        try_action(&format!(
            "{{type: email, smtp: {{host: localhost, port: {}, security: {security}{settings}{login}}}, \
             from: 'Watchfire <watchfire@example.com>', to: [{to}]}}",
            server.port(security)
        ))
        .unwrap()
    }

    fn ca(server: &SmtpServer) -> String {
        format!(", ca: '{}'", server.ca())
    }

    #[tokio::test]
    async fn a_mail_arrives_over_starttls_with_authentication() {
        let server = SmtpServer::start();
        let to = "'Sec Ops <secops@example.com>', second@example.com";
        for security in ["starttls", "tls"] {
            let action = action(&server, security, &ca(&server), (to, "correct horse"));
            let outcome = action.run(&notification(), &GUARD).await.unwrap();
            assert!(
                outcome.summary.starts_with("mail to 2 people accepted by localhost:"),
                "{}",
                outcome.summary
            );
        }
        let mails = server.stop();
        assert_eq!(mails.len(), 2);
        for (mail, port) in mails.iter().zip(["starttls", "tls"]) {
            assert_eq!(
                (&mail["port"], &mail["tls"], &mail["user"]),
                (&port.into(), &true.into(), &"watchfire".into())
            );
            assert_eq!(mail["from"], "watchfire@example.com");
            assert_eq!(mail["to"], serde_json::json!(["secops@example.com", "second@example.com"]));
            let data = mail["data"].as_str().unwrap();
            for part in [
                "Subject: [Watchfire] HIGH One account clones...: alice <alice@example.com>\r\n",
                "Message-ID: <fedcba9876543210@example.com>\r\n",
                "References: <alert.0123456789abcdef0123456789abcdef@example.com>\r\n",
                "Date: Sat, 31 Jan 2026 09:00:00 +0000\r\n",
                "multipart/alternative",
                "text/plain; charset=utf-8",
                "text/html; charset=utf-8",
                "blocked user 7 (alice)",
            ] {
                assert!(data.contains(part), "{part}\n{data}");
            }
        }
    }

    #[tokio::test]
    async fn a_report_arrives_with_its_files() {
        use crate::report::render::Attachment;
        let server = SmtpServer::start();
        let action = action(&server, "tls", &ca(&server), ("a@example.com", "correct horse"));
        let file = |name: &str, text: &str| Attachment { name: name.to_owned(), text: text.to_owned() };
        let mut mail = ReportMail {
            thread: "weekly".to_owned(),
            subject: "[Watchfire] Weekly report".to_owned(),
            text: "nichts Böses".to_owned(),
            html: "<p>nichts</p>".to_owned(),
            attachments: vec![file("a.csv", "x,y\r\n1,ä\r\n"), file("b.csv", "z\r\n")],
        };
        let outcome = action.report(&mail, "0123", GUARD.now).await.unwrap();
        assert!(
            !outcome.changed && outcome.summary.starts_with("mail to 1 person accepted"),
            "{}",
            outcome.summary
        );
        mail.attachments.clear();
        action.report(&mail, "4567", GUARD.now).await.unwrap();
        let memory = Action::memory("it", crate::action::Memory::new(crate::store::DeliveryKind::Notify));
        let error = memory.report(&mail, "1", GUARD.now).await.unwrap_err();
        assert!(error.reason().contains("is no email action"), "{error:?}");
        let mails = server.stop();
        let [with, without] = mails.as_slice() else { panic!("{mails:?}") };
        let (with, without) = (with["data"].as_str().unwrap(), without["data"].as_str().unwrap());
        for part in [
            "multipart/mixed",
            "multipart/alternative",
            "Message-ID: <0123@example.com>\r\n",
            "References: <report.weekly@example.com>\r\n",
            "Content-Disposition: attachment; filename=\"a.csv\"",
            "text/csv; charset=utf-8",
            // `x,y`, CRLF, `1,ä`, CRLF: the line ends are those of the file.
            "eCx5DQoxLMOkDQo=",
        ] {
            assert!(with.contains(part), "{part}\n{with}");
        }
        assert!(!without.contains("multipart/mixed") && !without.contains("attachment"), "{without}");
    }

    #[tokio::test]
    async fn refusals_for_good_and_for_now_are_told_apart() {
        let server = SmtpServer::start();
        let ca = ca(&server);
        let run = async |action: Action| action.run(&notification(), &GUARD).await.unwrap_err();
        let wrong = run(action(&server, "starttls", &ca, ("a@example.com", "wrong horse"))).await;
        assert!(
            matches!(&wrong, DeliveryError::Permanent { reason, .. } if reason.contains("535")),
            "{wrong:?}"
        );
        assert!(!format!("{wrong:?}").contains("wrong horse"));
        let nobody = run(action(&server, "starttls", &ca, ("nobody@example.com", "correct horse"))).await;
        assert!(
            matches!(&nobody, DeliveryError::Permanent { reason, .. } if reason.contains("no such mailbox")),
            "{nobody:?}"
        );
        let busy = run(action(&server, "starttls", &ca, ("busy@example.com", "correct horse"))).await;
        assert!(
            matches!(&busy, DeliveryError::Retryable { reason, .. } if reason.contains("come back later")),
            "{busy:?}"
        );
        let unknown = run(action(&server, "starttls", "", ("a@example.com", "correct horse"))).await;
        assert!(
            matches!(&unknown, DeliveryError::Retryable { reason, .. } if reason.contains("certificate")),
            "{unknown:?}"
        );
        assert_eq!(server.stop(), Vec::<Value>::new());
    }

    #[tokio::test]
    async fn a_mailbox_that_is_gone_keeps_no_mail_from_the_others() {
        let server = SmtpServer::start();
        let ca = ca(&server);
        let to = "nobody@example.com, a@example.com, busy@example.com, b@example.com";
        let all = action(&server, "starttls", &ca, (to, "correct horse"));
        // Twice: who is refused for now is tried again, and nobody gets it twice.
        for _ in 0..2 {
            let reason = match all.run(&notification(), &GUARD).await {
                Err(DeliveryError::Retryable { reason, .. }) => reason,
                other => panic!("{other:?}"),
            };
            assert!(reason.starts_with("mail to 2 of 4 people accepted"), "{reason}");
            for part in
                ["; not to nobody@example.com: ", "no such mailbox", "; not yet to busy@example.com: "]
            {
                assert!(reason.contains(part), "{reason}");
            }
        }
        let to = "nobody@example.com, c@example.com";
        let done = action(&server, "starttls", &ca, (to, "correct horse")).run(&notification(), &GUARD).await;
        let summary = done.unwrap().summary;
        assert!(summary.starts_with("mail to 1 of 2 people accepted"), "{summary}");
        assert!(summary.contains("; not to nobody@example.com: "), "{summary}");
        let full = action(&server, "starttls", &ca, ("busy@example.com, d@example.com", "correct horse"));
        let told = full.run(&notification(), &GUARD).await;
        assert!(matches!(told, Err(DeliveryError::Retryable { .. })), "{told:?}");
        let gone = "nobody@example.com, nobody@example.com";
        let told =
            action(&server, "starttls", &ca, (gone, "correct horse")).run(&notification(), &GUARD).await;
        assert!(matches!(told, Err(DeliveryError::Permanent { .. })), "{told:?}");
        let later = "nobody@example.com, busy@example.com";
        let told =
            action(&server, "starttls", &ca, (later, "correct horse")).run(&notification(), &GUARD).await;
        assert!(matches!(told, Err(DeliveryError::Retryable { .. })), "{told:?}");
        let mails = server.stop();
        let taken: Vec<&Value> = mails.iter().map(|mail| &mail["to"][0]).collect();
        assert_eq!(taken, ["a@example.com", "b@example.com", "c@example.com", "d@example.com"]);
        let id = "Message-ID: <fedcba9876543210@example.com>\r\n";
        assert!(mails.iter().all(|mail| mail["data"].as_str().unwrap().contains(id)), "one mail by its id");
    }

    #[tokio::test]
    async fn nothing_is_said_in_the_clear_unless_told_so() {
        let server = SmtpServer::start();
        let plain = action(&server, "none", "", ("a@example.com", ""));
        assert!(plain.run(&notification(), &GUARD).await.is_ok());
        let port = server.port("none");
        let action = try_action(&format!(
            "{{type: email, smtp: {{host: localhost, port: {port}{}}}, from: a@b.example, to: [c@d.example]}}",
            ca(&server)
        ));
        let error = action.unwrap().run(&notification(), &GUARD).await.unwrap_err();
        assert!(error.reason().contains("STARTTLS"), "{error:?}");
        assert_eq!(server.stop().len(), 1);
    }

    #[tokio::test]
    async fn trouble_on_the_way_may_pass() {
        for address in [hang_up().await, never_answer().await] {
            let port = address.port();
            let action = try_action(&format!(
                "{{type: email, smtp: {{host: 127.0.0.1, port: {port}, security: none, timeout: 300ms}}, \
                 from: a@b.example, to: [c@d.example]}}"
            ));
            let error = action.unwrap().run(&notification(), &GUARD).await.unwrap_err();
            assert!(matches!(&error, DeliveryError::Retryable { .. }), "{error:?}");
        }
    }

    #[test]
    fn settings_that_make_no_sense_are_refused() {
        let smtp = |smtp: &str, rest: &str| try_action(&format!("{{type: email, smtp: {{{smtp}}}, {rest}}}"));
        let rest = "from: a@b.example, to: [c@d.example]";
        for (settings, rest, part) in [
            ("host: mail.example.com, security: none", rest, "only for a server on this machine"),
            ("host: localhost, username: u", rest, "go together"),
            ("host: localhost, username: u, password: {env: NOPE}", rest, "NOPE is not set"),
            ("host: localhost, ca: nowhere.pem", rest, "nowhere.pem"),
            ("host: localhost", "from: nonsense, to: [c@d.example]", "from: `nonsense`"),
            ("host: localhost", "from: a@b.example, to: ['@']", "to: `@`"),
            ("host: localhost", "from: a@b.example, to: []", "at least one"),
        ] {
            let error = smtp(settings, rest).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
        assert!(smtp("host: '::1', security: none", rest).is_ok());
    }
}
