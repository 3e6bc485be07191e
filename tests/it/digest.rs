//! Alerts that are told together, as one mail over a real mail server with STARTTLS and authentication.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use watchfire::clock::Clock;

use crate::harness::{ADMIN_TOKEN, Daemon, START, Setup, answer, until};
use crate::noise::{RULE, advance, project};
use crate::smtp_server::{LOGIN, SmtpServer};

/// A mail's headers, unfolded, with names in lower case; and its text part.
struct Read {
    headers: BTreeMap<String, String>,
    text: String,
}

fn read(mail: &Value) -> Read {
    let data = mail["data"].as_str().unwrap().replace("\r\n", "\n");
    let (head, body) = data.split_once("\n\n").unwrap();
    let head = head.replace("\n ", " ").replace("\n\t", " ");
    let headers = head.lines().filter_map(|line| line.split_once(": "));
    let headers = headers.map(|(name, value)| (name.to_lowercase(), value.to_owned())).collect();
    // Quoted-printable breaks long lines and writes some signs in hex; none of the texts below has any of these.
    Read { headers, text: body.replace("=\n", "") }
}

impl Read {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).unwrap_or_else(|| panic!("no {name} in {:?}", self.headers))
    }
}

fn setup(server: &SmtpServer) -> Setup {
    let (user, password) = LOGIN;
    let sections = format!(
        "actions:\n  mail:\n    type: email\n    smtp: {{host: localhost, port: {}, security: starttls, ca: '{}', \
         username: {user}, password: {{file: password}}}}\n    from: Watchfire <watchfire@example.com>\n    \
         to: [soc@example.com, lead@example.com]\n\
         routes:\n  - {{actions: [mail], group: {{by: [rule, author], wait: 30s, interval: 5m, repeat: 4h}}}}\n",
        server.port("starttls"),
        server.ca(),
    );
    let setup = Setup::new(Clock::fixed(START), &sections);
    std::fs::write(setup.path("password"), password).unwrap();
    setup.rule("deleted.yml", RULE);
    setup
}

/// Lets time pass until so many mails came.
async fn come(daemon: &Daemon, server: &SmtpServer, count: usize) {
    let is_there = || {
        let is_there = server.mails().len() >= count;
        if !is_there {
            advance(daemon);
        }
        is_there
    };
    until(is_there, || format!("{:?}", daemon.app.store().outbox_list(None, 0))).await;
    daemon.delivered().await;
    assert_eq!(server.mails().len(), count);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_digest_is_one_mail_and_what_follows_is_in_its_thread() {
    let server = SmtpServer::start();
    let setup = setup(&server);
    let daemon = setup.start().await;
    daemon.post_all(&[project(4, 1), project(4, 2), project(4, 3), project(9, 4)]).await;
    come(&daemon, &server, 2).await;
    let alerts = daemon.alerts();
    assert_eq!(alerts.len(), 4);

    // One mail for three alerts of one author; the other author's is another mail.
    let mails: Vec<Read> = server.mails().iter().map(read).collect();
    let digest = mails.iter().position(|mail| mail.text.contains("ALSO IN THIS MAIL")).unwrap();
    let (raw, mail, other) = (server.mails()[digest].clone(), &mails[digest], &mails[1 - digest]);
    assert_eq!((&raw["tls"], &raw["user"]), (&json!(true), &json!(LOGIN.0)));
    assert_eq!(raw["to"], json!(["soc@example.com", "lead@example.com"]));
    for alert in &alerts[..3] {
        assert!(mail.text.contains(&alert.id.0) && !other.text.contains(&alert.id.0), "{}", mail.text);
    }
    assert!(other.text.contains(&alerts[3].id.0) && !mail.text.contains(&alerts[3].id.0));
    assert_eq!(mail.header("subject"), "[Watchfire] HIGH Deleted: user4 and 2 more");

    // Its id is the delivery's key, and it answers what is named after the first of them.
    let rows = daemon.app.store().outbox_of(&alerts[0].id).unwrap();
    assert_eq!(mail.header("message-id"), format!("<{}@example.com>", rows[0].id));
    let thread = format!("<alert.{}@example.com>", alerts[0].id);
    for name in ["in-reply-to", "references"] {
        assert_eq!(mail.header(name), thread);
        assert_ne!(other.header(name), thread);
    }

    // Who has it once does not get it again, also after a restart; what comes of it is in the same thread.
    daemon.stop().await;
    let daemon = setup.start().await;
    let path = format!("/api/v1/alerts/{}/resolve", alerts[0].id);
    let request = daemon.request(reqwest::Method::POST, &path).bearer_auth(ADMIN_TOKEN);
    let (status, said) = answer(request.json(&json!({"verdict": "benign", "note": "agreed"}))).await;
    assert_eq!(status, 200, "{said}");
    come(&daemon, &server, 3).await;
    let last = read(&server.mails()[2]);
    assert_eq!((last.header("in-reply-to"), last.header("references")), (thread.as_str(), thread.as_str()));
    assert_ne!(last.header("message-id"), mail.header("message-id"));
    assert!(last.header("subject").contains("(resolved)"), "{}", last.header("subject"));
    daemon.stop().await;
    assert_eq!(server.stop().len(), 3, "nothing was sent twice");
}
