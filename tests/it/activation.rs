//! Restarted again and again while clients send, with the listening socket held by somebody else, as systemd does:
//! nobody is refused, and no event is missing.

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use serde_json::json;
use watchfire::log::Reader;

use crate::harness::{PATIENCE, as_gitlab, at, deed, stored, until};
use crate::process::{Place, Program};
use crate::stream::deleted_rule;

const CONFIG: &str = "
sources: [{name: gitlab, type: gitlab, path: /ingest/gitlab, token: {env: TOKEN}}]
rules: [rules]
logging: {format: json}
";

/// The socket comes as descriptor 3, and the program is told that it is meant.
const HAND_OVER: &str = "exec 3<&0 0</dev/null; export LISTEN_PID=$$ LISTEN_FDS=1; exec \"$@\"";

const CLIENTS: u64 = 4;

struct Load {
    url: String,
    is_over: AtomicBool,
    answered: AtomicU64,
    /// Requests whose connection broke before an answer came: sent again.
    broken: AtomicU64,
}

impl Load {
    /// Sends one event after another, each over a connection of its own; how many.
    async fn send(self: Arc<Self>, client: u64) -> u64 {
        // Without a connection that is kept, each request must be let in anew.
        let http = reqwest::Client::builder().no_proxy().timeout(PATIENCE).pool_max_idle_per_host(0);
        let http = http.build().unwrap();
        for number in 0.. {
            if self.is_over.load(Ordering::SeqCst) {
                return number;
            }
            let mut event = deed("member_created", 4, at(number.cast_signed()));
            event["id"] = json!(number * CLIENTS + client);
            let body = event.to_string();
            loop {
                match as_gitlab(&http, &self.url, &body, None).send().await {
                    Ok(response) if response.status() == 200 => break,
                    // Accepted, but the log was closed already: the answer says to come again.
                    Ok(response) => assert_eq!(response.status(), 503),
                    Err(error) => {
                        assert!(!error.is_connect(), "refused: {error:?}");
                        self.broken.fetch_add(1, Ordering::SeqCst);
                    }
                }
            }
            self.answered.fetch_add(1, Ordering::SeqCst);
        }
        0
    }

    async fn more_answers(&self, program: &Program) {
        let before = self.answered.load(Ordering::SeqCst);
        until(|| self.answered.load(Ordering::SeqCst) > before + 100, || program.log()).await;
    }
}

fn start(place: &Place, socket: &TcpListener) -> Program {
    let mut command = place.command_after(HAND_OVER);
    command.stdin(OwnedFd::from(socket.try_clone().unwrap()));
    place.spawn(command)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_under_load_refuses_nobody() {
    drop(rustls::crypto::ring::default_provider().install_default());
    let place = Place::new(CONFIG, &[deleted_rule()]);
    let socket = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let url = format!("http://{}/ingest/gitlab", socket.local_addr().unwrap());
    let load = Arc::new(Load {
        url,
        is_over: AtomicBool::new(false),
        answered: AtomicU64::new(0),
        broken: AtomicU64::new(0),
    });
    let mut program = start(&place, &socket);
    assert!(program.ready().await, "{}", program.log());
    assert_eq!(
        program.url(""),
        load.url.trim_end_matches("/ingest/gitlab"),
        "it listens on the socket it was given"
    );
    let clients: Vec<_> = (0..CLIENTS).map(|client| tokio::spawn(Arc::clone(&load).send(client))).collect();
    for _ in 0..5 {
        load.more_answers(&program).await;
        program.stop().await;
        program = start(&place, &socket);
    }
    load.more_answers(&program).await;
    assert_eq!(load.broken.load(Ordering::SeqCst), 0, "an ordinary restart breaks no connection");
    for _ in 0..3 {
        program.killer().kill();
        program = start(&place, &socket);
        load.more_answers(&program).await;
    }
    load.is_over.store(true, Ordering::SeqCst);
    let mut sent = BTreeSet::new();
    for (client, task) in (0..).zip(clients) {
        let count = task.await.unwrap();
        sent.extend((0..count).map(|number| number * CLIENTS + client));
    }
    assert!(program.ready().await);
    program.stop().await;
    eprintln!(
        "{} events over 8 restarts, 3 of them kills; {} connections broke in those",
        sent.len(),
        load.broken.load(Ordering::SeqCst)
    );
    let kept = stored(&place.data());
    let id = |raw: &[u8]| serde_json::from_slice::<serde_json::Value>(raw).unwrap()["id"].as_u64().unwrap();
    assert_eq!(kept.iter().map(|event| id(&event.raw)).collect::<BTreeSet<_>>(), sent);
    assert_eq!(kept.len(), sent.len(), "an event is stored twice");
    Reader::open(&place.data()).unwrap().verify().unwrap();
}
