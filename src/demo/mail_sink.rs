//! A mail server that keeps what it is given: each mail becomes a file that opens in a mail program, and its
//! HTML part one that opens in a browser.
//!
//! Plain SMTP on the loopback address (RFC 5321): EHLO, HELO, MAIL, RCPT, DATA, RSET, NOOP, QUIT.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;

use super::DemoError;
use super::mail_text::Part;

/// A mail that came in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SinkMail {
    /// The envelope's sender.
    pub from: String,
    /// The envelope's recipients.
    pub to: Vec<String>,
    /// The subject, decoded.
    pub subject: String,
    /// The mail as it came.
    pub eml: PathBuf,
    /// Its HTML part, if it has one.
    pub html: Option<PathBuf>,
}

/// The running sink; clones share the mails, and it ends with the last of them.
#[derive(Debug, Clone)]
pub struct MailSink {
    address: SocketAddr,
    shared: Arc<Shared>,
    _task: Arc<Task>,
}

#[derive(Debug)]
struct Shared {
    folder: PathBuf,
    mails: Mutex<Vec<SinkMail>>,
    /// Numbers given to files: taken before the file is written, so that two mails never share one.
    numbers: AtomicUsize,
    notify: Option<mpsc::Sender<SinkMail>>,
}

#[derive(Debug)]
struct Task(JoinHandle<()>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

const CONNECTIONS_MAX: usize = 32;
const MAILS_MAX: usize = 1000;
const RECIPIENTS_MAX: usize = 100;
const MAIL_MAX: usize = 10 << 20;
/// Longer than RFC 5321 allows a line of text to be, shorter than what would hurt.
const LINE_MAX: u64 = 64 << 10;

impl MailSink {
    /// Starts it on a free port of the loopback address; mails are written into `folder`, which is made, and
    /// announced on `notify`. A full channel loses the announcement, never the mail.
    ///
    /// # Errors
    /// When the folder cannot be made or no port can be had.
    pub async fn start(folder: &Path, notify: Option<mpsc::Sender<SinkMail>>) -> Result<Self, DemoError> {
        let file = |source| DemoError::File { path: folder.to_owned(), source };
        tokio::fs::create_dir_all(folder).await.map_err(file)?;
        let listen = |source| DemoError::Listen { what: "mail sink", source };
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        let shared = Arc::new(Shared {
            folder: folder.to_owned(),
            mails: Mutex::default(),
            numbers: AtomicUsize::new(1),
            notify,
        });
        let task = Arc::new(Task(tokio::spawn(accept(listener, Arc::clone(&shared)))));
        Ok(Self { address, shared, _task: task })
    }

    /// Host and port for an email action.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The mails so far, oldest first; after a thousand no more are taken.
    #[must_use]
    pub fn mails(&self) -> Vec<SinkMail> {
        self.shared.mails().clone()
    }
}

impl Shared {
    fn mails(&self) -> MutexGuard<'_, Vec<SinkMail>> {
        self.mails.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let permits = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok(permit) = Arc::clone(&permits).acquire_owned().await else { return };
        let Ok((stream, _)) = listener.accept().await else { continue };
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            // A client that hangs up early has said all it wanted to.
            drop(Session::new(stream, shared).run().await);
            drop(permit);
        });
    }
}

struct Session {
    reader: BufReader<OwnedReadHalf>,
    writer: OwnedWriteHalf,
    shared: Arc<Shared>,
    from: Option<String>,
    to: Vec<String>,
}

impl Session {
    fn new(stream: TcpStream, shared: Arc<Shared>) -> Self {
        let (reader, writer) = stream.into_split();
        Self { reader: BufReader::new(reader), writer, shared, from: None, to: Vec::new() }
    }

    async fn run(mut self) -> std::io::Result<()> {
        self.say("220 watchfire demo mail sink").await?;
        while let Some(line) = self.line().await? {
            let text = String::from_utf8_lossy(&line).trim().to_owned();
            let verb = text.split([' ', ':']).next().unwrap_or("").to_ascii_uppercase();
            match verb.as_str() {
                "EHLO" => self.say("250-watchfire demo\r\n250-8BITMIME\r\n250 SMTPUTF8").await?,
                "HELO" => self.say("250 watchfire demo").await?,
                "MAIL" => self.mail(&text).await?,
                "RCPT" => self.recipient(&text).await?,
                "DATA" => self.data().await?,
                "RSET" => {
                    self.reset();
                    self.say("250 forgotten").await?;
                }
                "NOOP" => self.say("250 fine").await?,
                "QUIT" => return self.say("221 bye").await,
                _ => self.say("502 not known here").await?,
            }
        }
        Ok(())
    }

    /// One line with its end; none when the client is gone or the line is too long.
    async fn line(&mut self) -> std::io::Result<Option<Vec<u8>>> {
        let mut line = Vec::new();
        (&mut self.reader).take(LINE_MAX).read_until(b'\n', &mut line).await?;
        if line.last() == Some(&b'\n') {
            return Ok(Some(line));
        }
        if !line.is_empty() {
            self.say("500 the line is too long").await?;
        }
        Ok(None)
    }

    async fn say(&mut self, reply: &str) -> std::io::Result<()> {
        self.writer.write_all(format!("{reply}\r\n").as_bytes()).await
    }

    fn reset(&mut self) {
        self.from = None;
        self.to.clear();
    }

    async fn mail(&mut self, text: &str) -> std::io::Result<()> {
        match address(text) {
            Some(from) => {
                self.reset();
                self.from = Some(from);
                self.say("250 from whom, noted").await
            }
            None => self.say("501 expected MAIL FROM:<address>").await,
        }
    }

    async fn recipient(&mut self, text: &str) -> std::io::Result<()> {
        match address(text).filter(|to| !to.is_empty()) {
            _ if self.from.is_none() => self.say("503 first MAIL FROM").await,
            _ if self.to.len() >= RECIPIENTS_MAX => self.say("452 too many recipients").await,
            Some(to) => {
                self.to.push(to);
                self.say("250 to whom, noted").await
            }
            None => self.say("501 expected RCPT TO:<address>").await,
        }
    }

    async fn data(&mut self) -> std::io::Result<()> {
        if self.to.is_empty() {
            return self.say("503 first RCPT TO").await;
        }
        self.say("354 go on; end with a dot alone on a line").await?;
        let mut mail = Vec::new();
        let mut too_large = false;
        loop {
            let Some(line) = self.line().await? else { return Ok(()) };
            let text = match line.as_slice() {
                b".\r\n" | b".\n" => break,
                // A dot at a line's beginning was doubled for the way.
                [b'.', rest @ ..] => rest,
                rest => rest,
            };
            too_large |= mail.len() + text.len() > MAIL_MAX;
            if !too_large {
                mail.extend_from_slice(text);
            }
        }
        let reply = if too_large { "552 too large" } else { self.keep(&mail).await };
        self.reset();
        self.say(reply).await
    }

    async fn keep(&mut self, bytes: &[u8]) -> &'static str {
        let number = self.shared.numbers.fetch_add(1, Ordering::Relaxed);
        if number > MAILS_MAX {
            return "452 no room for more mails";
        }
        let part = Part::parse(bytes);
        let subject = part.header("subject");
        let name = format!("{number:03}-{}", slug(&subject));
        let eml = self.shared.folder.join(format!("{name}.eml"));
        let mut written = tokio::fs::write(&eml, bytes).await;
        let mut html = None;
        if let Some(text) = part.text("text/html") {
            let path = self.shared.folder.join(format!("{name}.html"));
            written = written.and(tokio::fs::write(&path, text).await);
            html = Some(path);
        }
        if let Err(error) = written {
            tracing::warn!(%error, path = %eml.display(), "the demo cannot write a mail");
            return "451 cannot write the mail";
        }
        let from = self.from.clone().unwrap_or_default();
        let mail = SinkMail { from, to: self.to.clone(), subject, eml, html };
        self.shared.mails().push(mail.clone());
        if let Some(notify) = &self.shared.notify {
            drop(notify.try_send(mail));
        }
        "250 kept"
    }
}

/// What stands between `<` and `>`; empty for the null sender.
fn address(line: &str) -> Option<String> {
    let (_, rest) = line.split_once(":")?;
    let (_, rest) = rest.split_once('<')?;
    rest.split_once('>').map(|(address, _)| address.to_owned())
}

/// A subject as a file name: small letters, digits and dashes, at most 48. Every mail is Watchfire's: that is left out.
fn slug(subject: &str) -> String {
    let plain: String = subject
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { ' ' })
        .collect();
    let joined = plain.split_whitespace().filter(|word| *word != "watchfire").collect::<Vec<_>>().join("-");
    let cut: String = joined.chars().take(48).collect();
    if cut.is_empty() { "mail".to_owned() } else { cut.trim_end_matches('-').to_owned() }
}

#[cfg(test)]
mod tests {
    use lettre::message::MultiPart;
    use lettre::{AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};

    use super::*;

    #[tokio::test]
    async fn a_mail_arrives_whole_and_can_be_opened() {
        let folder = tempfile::tempdir().unwrap();
        let (sender, mut announced) = mpsc::channel(4);
        let sink = MailSink::start(&folder.path().join("mails"), Some(sender)).await.unwrap();
        let text = "first\n.dot first\n..two dots\n.\nlast";
        let html = "<p>Gr\u{fc}\u{df}e \u{2013} blocked</p>\n.\n<p>end</p>";
        let mail = Message::builder()
            .from("Watchfire <w@example.com>".parse().unwrap())
            .to("a@example.com".parse().unwrap())
            .cc("b@example.com".parse().unwrap())
            .subject("[high] Viele Pr\u{fc}fungen: 40 projects")
            .multipart(MultiPart::alternative_plain_html(text.to_owned(), html.to_owned()))
            .unwrap();
        let smtp = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous("127.0.0.1")
            .port(sink.address().port())
            .build();
        smtp.send(mail.clone()).await.unwrap();
        smtp.send(mail).await.unwrap();
        let mails = sink.mails();
        assert_eq!(mails.len(), 2);
        assert_eq!((mails[0].from.as_str(), mails[0].to.len()), ("w@example.com", 2));
        assert_eq!(mails[0].subject, "[high] Viele Pr\u{fc}fungen: 40 projects");
        assert_eq!(announced.recv().await.as_ref(), Some(&mails[0]));
        let page = std::fs::read_to_string(mails[0].html.as_ref().unwrap()).unwrap();
        assert_eq!(page.replace("\r\n", "\n").trim_end(), html);
        let eml = std::fs::read(&mails[1].eml).unwrap();
        let plain = Part::parse(&eml).text("text/plain").unwrap();
        assert_eq!(plain.replace("\r\n", "\n").trim_end(), text);
        assert!(mails[1].eml.file_name().unwrap().to_str().unwrap().starts_with("002-high-viele-pr"));
    }

    async fn talk(sink: &MailSink, lines: &str) -> Vec<String> {
        let mut stream = TcpStream::connect(sink.address()).await.unwrap();
        stream.write_all(lines.as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut replies = String::new();
        stream.read_to_string(&mut replies).await.unwrap();
        replies.lines().map(|line| line[..3].to_owned()).collect()
    }

    #[tokio::test]
    async fn commands_out_of_order_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let sink = MailSink::start(folder.path(), None).await.unwrap();
        let replies = talk(&sink, "DATA\r\nRCPT TO:<a@b>\r\nMAIL nobody\r\nVRFY x\r\nNOOP\r\nQUIT\r\n").await;
        assert_eq!(replies, ["220", "503", "503", "501", "502", "250", "221"]);
        let replies =
            talk(&sink, "HELO x\r\nMAIL FROM:<>\r\nRCPT TO:<a@b>\r\nRSET\r\nDATA\r\nQUIT\r\n").await;
        assert_eq!(replies, ["220", "250", "250", "250", "250", "503", "221"]);
        let unfinished = talk(&sink, "MAIL FROM:<>\r\nRCPT TO:<a@b>\r\nDATA\r\nhalf a mail").await;
        assert_eq!(unfinished[..4], ["220", "250", "250", "354"]);
        assert!(sink.mails().is_empty(), "what was not ended with a dot was not sent");
    }

    #[tokio::test]
    async fn a_line_without_end_is_not_taken() {
        let folder = tempfile::tempdir().unwrap();
        let sink = MailSink::start(folder.path(), None).await.unwrap();
        let replies = talk(&sink, &"x".repeat(65_536)).await;
        assert_eq!(replies, ["220", "500"]);
    }
}
