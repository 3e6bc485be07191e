//! A mail server that is as strict as those of large providers: what they refuse, it refuses.
//!
//! RFC 5321 for the conversation (order, sender and recipient, line length, CRLF, dots, nothing sent before its turn),
//! RFC 5322 for the mail (`From`, `Date` and `Message-ID` once each). No TLS: it listens on this machine only. It can be told
//! to have the troubles that mail servers have.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::AbortHandle;

/// The domain it takes mail for.
pub const DOMAIN: &str = "example.com";
/// A line of text, CRLF included (RFC 5321, 4.5.3.1.6).
const LINE_MAX: usize = 1000;
const MAIL_MAX: usize = 10 << 20;

/// A mail that was taken: it stands here before its sender hears of it.
#[derive(Debug, Clone)]
pub struct Mail {
    /// What stands in `Message-ID`, without the brackets.
    pub id: String,
    /// As it came, folded and encoded.
    pub subject: String,
    pub to: Vec<String>,
    /// Headers and body as they came, without the dots of the conversation.
    pub text: String,
}

/// What goes wrong with every mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Trouble {
    #[default]
    None,
    /// 421 in place of a greeting.
    Busy,
    /// 451 to each recipient.
    Greylist,
    /// Nothing is said after a connection is taken.
    Silent,
    /// The mail is taken, and the connection cut before that is said: once for each.
    CutAfterData,
    /// 550 to each recipient.
    Refuse,
}

/// The running server; ends with its handle.
pub struct MailServer {
    address: SocketAddr,
    shared: Arc<Mutex<Shared>>,
    /// Before it listens.
    socket: Mutex<Option<TcpSocket>>,
    task: Mutex<Option<AbortHandle>>,
}

#[derive(Default)]
struct Shared {
    mails: Vec<Mail>,
    refusals: Vec<String>,
    trouble: Trouble,
    connections: u64,
    /// Of which the answer was cut off.
    cut: BTreeSet<String>,
}

impl MailServer {
    /// On a free port.
    pub async fn start() -> Self {
        let server = Self::reserve();
        server.listen();
        server
    }

    /// With a port of its own on which nobody listens yet: who comes is refused.
    pub fn reserve() -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = socket.local_addr().unwrap();
        Self { address, shared: Arc::default(), socket: Mutex::new(Some(socket)), task: Mutex::default() }
    }

    /// From now on, if it did not yet.
    pub fn listen(&self) {
        let Some(socket) = self.socket.lock().unwrap().take() else { return };
        let listener: TcpListener = socket.listen(1024).unwrap();
        let kept = Arc::clone(&self.shared);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                // A client that was killed hangs up anywhere.
                let session = Session::new(stream, Arc::clone(&kept));
                tokio::spawn(async move { drop(session.run().await) });
            }
        });
        *self.task.lock().unwrap() = Some(task.abort_handle());
    }

    /// What goes wrong from now on.
    pub fn feel(&self, trouble: Trouble) {
        self.shared.lock().unwrap().trouble = trouble;
    }

    /// How many connections were made.
    pub fn asked(&self) -> u64 {
        self.shared.lock().unwrap().connections
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// All mails that were taken, oldest first.
    pub fn mails(&self) -> Vec<Mail> {
        self.shared.lock().unwrap().mails.clone()
    }

    /// What was refused, and why.
    pub fn refusals(&self) -> Vec<String> {
        self.shared.lock().unwrap().refusals.clone()
    }
}

impl Drop for MailServer {
    fn drop(&mut self) {
        if let Some(task) = self.task.lock().unwrap().take() {
            task.abort();
        }
    }
}

struct Session {
    input: BufReader<OwnedReadHalf>,
    output: OwnedWriteHalf,
    shared: Arc<Mutex<Shared>>,
    is_greeted: bool,
    /// Given by MAIL; whether it may hold bytes above 127.
    from: Option<(String, bool)>,
    to: Vec<String>,
}

impl Session {
    fn new(stream: TcpStream, shared: Arc<Mutex<Shared>>) -> Self {
        let (input, output) = stream.into_split();
        Self { input: BufReader::new(input), output, shared, is_greeted: false, from: None, to: Vec::new() }
    }

    async fn run(mut self) -> std::io::Result<()> {
        let trouble = {
            let mut shared = self.shared.lock().unwrap();
            shared.connections += 1;
            shared.trouble
        };
        match trouble {
            Trouble::Busy => return self.say("421 too much to do").await,
            // Until the client has enough of it.
            Trouble::Silent => return self.line().await.map(|_| ()),
            _ => self.say("220 mail.example.com ESMTP").await?,
        }
        while let Some(line) = self.line().await? {
            let Some(text) = line.strip_suffix(b"\r\n").and_then(|text| std::str::from_utf8(text).ok())
            else {
                return self.say("500 a command is ASCII and ends with CRLF").await;
            };
            // PIPELINING is not offered: whoever talks on before the answer is not listening.
            if !self.input.buffer().is_empty() {
                return self.say("554 talked before the answer").await;
            }
            let (verb, rest) = text.split_once(' ').unwrap_or((text, ""));
            match verb.to_ascii_uppercase().as_str() {
                "EHLO" if !rest.is_empty() => {
                    self.is_greeted = true;
                    self.say("250-mail.example.com\r\n250-8BITMIME\r\n250 SIZE 10485760").await?;
                }
                "HELO" if !rest.is_empty() => {
                    self.is_greeted = true;
                    self.say("250 mail.example.com").await?;
                }
                "MAIL" => self.sender(rest).await?,
                "RCPT" => self.recipient(rest).await?,
                "DATA" if rest.is_empty() => self.data().await?,
                "RSET" => {
                    self.reset();
                    self.say("250 forgotten").await?;
                }
                "NOOP" => self.say("250 nothing done").await?,
                "QUIT" => return self.say("221 good bye").await,
                _ => self.say("500 not understood").await?,
            }
        }
        Ok(())
    }

    async fn sender(&mut self, rest: &str) -> std::io::Result<()> {
        let mut words = rest.split(' ');
        let address = words.next().and_then(|word| path(word, "FROM:"));
        let words: Vec<String> = words.map(str::to_ascii_uppercase).collect();
        let is_known = |word: &String| word.starts_with("SIZE=") || word.starts_with("BODY=");
        let refused = match address {
            _ if !self.is_greeted => "503 first EHLO",
            _ if self.from.is_some() => "503 one mail at a time",
            None => "501 expected MAIL FROM:<address>",
            Some(_) if !words.iter().all(is_known) => "555 a parameter that was not offered",
            Some(address) => {
                self.from = Some((address, words.iter().any(|word| word == "BODY=8BITMIME")));
                "250 from whom, noted"
            }
        };
        self.say(refused).await
    }

    async fn recipient(&mut self, rest: &str) -> std::io::Result<()> {
        let trouble = self.shared.lock().unwrap().trouble;
        let answer = match path(rest, "TO:") {
            _ if trouble == Trouble::Greylist => "451 come back later",
            _ if trouble == Trouble::Refuse => "550 no such mailbox",
            _ if self.from.is_none() => "503 first MAIL",
            None => "501 expected RCPT TO:<address>",
            Some(address) if !address.ends_with(&format!("@{DOMAIN}")) => "550 not a mailbox of mine",
            Some(address) => {
                self.to.push(address);
                "250 to whom, noted"
            }
        };
        self.say(answer).await
    }

    async fn data(&mut self) -> std::io::Result<()> {
        if self.to.is_empty() {
            return self.say("503 first RCPT").await;
        }
        self.say("354 go on; a dot alone ends it").await?;
        let (mut lines, mut size, mut problem) = (Vec::new(), 0, None);
        loop {
            let Some(line) = self.line().await? else { return Ok(()) };
            if line == b".\r\n" {
                break;
            }
            size += line.len();
            problem =
                problem.or_else(|| self.wrong_line(&line)).or((size > MAIL_MAX).then_some("552 too large"));
            let text = line.strip_prefix(b".").unwrap_or(&line).trim_ascii_end();
            lines.push(String::from_utf8_lossy(text).into_owned());
        }
        let answer = match problem {
            Some(problem) => Err(problem.to_owned()),
            None => read(&lines, self.to.clone()),
        };
        self.reset();
        let said = {
            let mut shared = self.shared.lock().unwrap();
            match answer {
                Ok(mail) => {
                    let is_cut =
                        shared.trouble == Trouble::CutAfterData && shared.cut.insert(mail.id.clone());
                    shared.mails.push(mail);
                    if is_cut {
                        return Err(std::io::ErrorKind::ConnectionReset.into());
                    }
                    "250 taken".to_owned()
                }
                Err(problem) => {
                    shared.refusals.push(problem.clone());
                    problem
                }
            }
        };
        self.say(&said).await
    }

    fn wrong_line(&self, line: &[u8]) -> Option<&'static str> {
        let text = line.strip_suffix(b"\r\n");
        let is_wide = self.from.as_ref().is_some_and(|(_, is_wide)| *is_wide);
        match text {
            None => Some("550 a line that does not end with CRLF"),
            Some(text) if text.contains(&b'\r') || text.contains(&0) => Some("550 a bare CR or a null"),
            Some(_) if line.len() > LINE_MAX => Some("550 a line is too long"),
            Some(text) if !is_wide && !text.is_ascii() => Some("550 bytes above 127 were not announced"),
            Some(_) => None,
        }
    }

    fn reset(&mut self) {
        self.from = None;
        self.to.clear();
    }

    /// A line with its end; none: hung up, also in the middle of one.
    async fn line(&mut self) -> std::io::Result<Option<Vec<u8>>> {
        let mut line = Vec::new();
        self.input.read_until(b'\n', &mut line).await?;
        Ok(line.ends_with(b"\n").then_some(line))
    }

    async fn say(&mut self, text: &str) -> std::io::Result<()> {
        self.output.write_all(format!("{text}\r\n").as_bytes()).await
    }
}

/// `FROM:<address>`, without a blank (RFC 5321, 3.3).
fn path(word: &str, before: &str) -> Option<String> {
    let (start, rest) = word.split_at_checked(before.len())?;
    let address = rest.strip_prefix('<')?.strip_suffix('>')?;
    let (name, domain) = address.rsplit_once('@')?;
    let is_plain = !name.is_empty() && !domain.is_empty() && !address.contains([' ', '<', '>']);
    (start.eq_ignore_ascii_case(before) && is_plain).then(|| address.to_owned())
}

/// Reads the headers as far as they matter; or says why the mail is refused.
fn read(lines: &[String], to: Vec<String>) -> Result<Mail, String> {
    let mut headers: Vec<(String, String)> = Vec::new();
    for line in lines.iter().take_while(|line| !line.is_empty()) {
        if line.starts_with([' ', '\t']) {
            let (_, value) = headers.last_mut().ok_or("550 begins with a folded line")?;
            value.push(' ');
            value.push_str(line.trim());
        } else {
            let (name, value) = line.split_once(':').ok_or_else(|| format!("550 not a header: {line}"))?;
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
    }
    let only = |name: &str| {
        let found: Vec<&String> =
            headers.iter().filter(|(known, _)| known == name).map(|(_, value)| value).collect();
        match found.as_slice() {
            [value] => Ok((*value).clone()),
            _ => Err(format!("550 {} times the header {name}", found.len())),
        }
    };
    for name in ["from", "date", "to", "mime-version", "content-type"] {
        only(name)?;
    }
    let (id, subject) = (only("message-id")?, only("subject")?);
    let inner = id.strip_prefix('<').and_then(|id| id.strip_suffix('>')).filter(|id| id.contains('@'));
    let id = inner.ok_or_else(|| format!("550 not a message id: {id}"))?.to_owned();
    Ok(Mail { id, subject, to, text: lines.join("\n") })
}

mod tests {
    use tokio::io::AsyncReadExt as _;

    use super::*;

    const MAIL: &str = "From: w@example.com\r\nTo: a@example.com\r\nDate: Mon, 5 Jan 2026 00:00:00 +0000\r\n\
        Message-ID: <k@example.com>\r\nMIME-Version: 1.0\r\nContent-Type: text/plain\r\nSubject: s\r\n\r\n..text\r\n.\r\n";

    /// Says one thing after the other, each after the answer; the codes of all answers.
    async fn talk(server: &MailServer, said: &[&str]) -> Vec<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", server.port())).await.unwrap();
        let mut codes = Vec::new();
        let mut buffer = vec![0; 4096];
        for text in [""].iter().chain(said) {
            stream.write_all(text.as_bytes()).await.unwrap();
            let count = stream.read(&mut buffer).await.unwrap();
            codes.push(String::from_utf8_lossy(&buffer[..count.min(3)]).into_owned());
        }
        codes
    }

    #[tokio::test]
    async fn it_takes_a_mail_and_refuses_what_is_none() {
        let server = MailServer::start().await;
        let (from, to) = ("MAIL FROM:<w@example.com>\r\n", "RCPT TO:<a@example.com>\r\n");
        let codes = talk(&server, &["EHLO me\r\n", from, to, "DATA\r\n", MAIL]).await;
        assert_eq!(codes, ["220", "250", "250", "250", "354", "250"]);
        assert_eq!((server.mails().len(), server.mails()[0].id.as_str()), (1, "k@example.com"));
        let codes =
            talk(&server, &[from, "EHLO me\r\n", to, from, "RCPT TO:<a@example.org>\r\n", "DATA\r\n"]).await;
        assert_eq!(codes, ["220", "503", "250", "503", "250", "550", "503"]);
        let broken = [
            MAIL.replace("Message-ID", "X-ID"),
            MAIL.replace("Date: M", "Date: Mon\r\nDate: M"),
            MAIL.replace("..text", "text\ntext"),
            MAIL.replace("text\r\n", "\u{fc}\r\n"),
            MAIL.replace("..text", &"x".repeat(999)),
        ];
        for mail in broken {
            let codes = talk(&server, &["EHLO me\r\n", from, to, "DATA\r\n", &mail]).await;
            assert_eq!(codes.last().unwrap(), "550", "{mail}");
        }
        assert_eq!(talk(&server, &["EHLO me\r\nNOOP\r\n"]).await, ["220", "554"]);
        assert_eq!((server.mails().len(), server.refusals().len()), (1, 5));
    }
}
