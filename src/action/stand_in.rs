//! A stand-in for the servers that actions talk to: answers as told and remembers what it was asked.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Method, Response, Uri};
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;

/// One request as it arrived.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// One answer to give.
#[derive(Debug, Clone, Default)]
pub(crate) struct Say {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: String,
}

impl Say {
    pub(crate) fn status(status: u16) -> Self {
        Self { status, ..Self::default() }
    }
}

#[derive(Clone, Default)]
struct Script {
    asked: Arc<Mutex<Vec<Asked>>>,
    answers: Arc<Mutex<VecDeque<Say>>>,
}

/// A server on this machine. Answers come in order; the last one is given again and again.
pub(crate) struct StandIn {
    pub(crate) address: SocketAddr,
    script: Script,
}

impl StandIn {
    pub(crate) async fn start(answers: Vec<Say>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let script = Script { answers: Arc::new(Mutex::new(answers.into())), ..Script::default() };
        let app = Router::new().fallback(answer).with_state(script.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { address, script }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.script.asked.lock().unwrap().clone()
    }

    /// Method and path of each request, one a line.
    pub(crate) fn calls(&self) -> Vec<String> {
        self.asked().iter().map(|asked| format!("{} {}", asked.method, asked.path)).collect()
    }
}

async fn answer(
    State(script): State<Script>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    script.asked.lock().unwrap().push(Asked { method, path: uri.to_string(), headers, body });
    let say = {
        let mut answers = script.answers.lock().unwrap();
        if answers.len() > 1 { answers.pop_front() } else { answers.front().cloned() }
            .unwrap_or(Say::status(200))
    };
    let mut response = Response::builder().status(say.status);
    for (name, value) in say.headers {
        response = response.header(name, value);
    }
    response.body(Body::from(say.body)).unwrap()
}

/// A server that takes a request and hangs up without a word.
pub(crate) async fn hang_up() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut buffer = [0; 64];
            drop(stream.read(&mut buffer).await);
        }
    });
    address
}

/// A server that takes a request and never answers.
pub(crate) async fn never_answer() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let mut kept = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            kept.push(stream);
        }
    });
    address
}

/// The secret that every action of the tests is given, under the environment's name `SECRET`.
pub(crate) const SECRET: &str = "c2VjcmV0LW9mLXRoZS10ZXN0cw==";

/// Builds an action from YAML.
pub(crate) fn action(yaml: &str) -> super::Action {
    try_action(yaml).unwrap()
}

pub(crate) fn try_action(yaml: &str) -> Result<super::Action, super::ActionError> {
    let config = serde_yaml::from_str(yaml).unwrap_or_else(|error| panic!("{yaml}\n{error}"));
    let env = |name: &str| (name == "SECRET").then(|| SECRET.to_owned());
    let base = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let egress = crate::deliver::Egress::default();
    let context = crate::deliver::BuildContext { env: &env, base: &base, egress: &egress };
    super::Action::build("it", &config, &context)
}
