use axum::routing::get;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Notify;

use super::*;

const LIMITS: ServerLimits = ServerLimits {
    connections: 8,
    connections_per_address: 8,
    header: 4096,
    header_time: Span::seconds(60),
    stop_time: Span::seconds(60),
};

struct Running {
    address: std::net::SocketAddr,
    routers: watch::Sender<Router>,
    metrics: ServerMetrics,
    shutdown: CancellationToken,
    task: tokio::task::JoinHandle<Result<(), ServeError>>,
}

async fn start(router: Router, limits: ServerLimits) -> Running {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (routers, receiver) = watch::channel(router);
    let (metrics, shutdown) = (ServerMetrics::default(), CancellationToken::new());
    let task = tokio::spawn(serve(listener, receiver, limits, metrics.clone(), shutdown.clone()));
    Running { address, routers, metrics, shutdown, task }
}

impl Running {
    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    async fn stop(self) -> Result<(), ServeError> {
        self.shutdown.cancel();
        self.task.await.unwrap()
    }
}

async fn ask(stream: &mut TcpStream) {
    stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
}

/// Reads up to `end`, which ends the answer's body.
async fn answer(stream: &mut TcpStream, end: &str) -> String {
    let mut text = Vec::new();
    while !text.ends_with(end.as_bytes()) {
        let byte = stream.read_u8().await;
        let so_far = String::from_utf8_lossy(&text).into_owned();
        text.push(byte.unwrap_or_else(|error| panic!("{error} after {so_far:?}")));
    }
    String::from_utf8(text).unwrap()
}

/// Reads until the server closes.
async fn rest(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    drop(stream.read_to_end(&mut text).await);
    String::from_utf8_lossy(&text).into_owned()
}

#[tokio::test]
async fn a_request_in_flight_is_finished_when_stopping() {
    let (arrived, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (told, wait) = (Arc::clone(&arrived), Arc::clone(&go));
    let handler = get(move || async move {
        told.notify_one();
        wait.notified().await;
        "finished"
    });
    let running = start(Router::new().route("/", handler), LIMITS).await;
    let (mut busy, mut idle) = (running.connect().await, running.connect().await);
    ask(&mut busy).await;
    arrived.notified().await;
    running.shutdown.cancel();
    // The idle connection is closed soon, the busy one is waited for.
    assert_eq!(rest(&mut idle).await, "");
    go.notify_one();
    assert!(rest(&mut busy).await.ends_with("finished"));
    running.stop().await.unwrap();
}

#[tokio::test]
async fn a_request_on_its_way_is_answered_when_stopping() {
    let running = start(Router::new().route("/", get(|| async { "came in" })), LIMITS).await;
    let mut late = running.connect().await;
    while running.metrics.open.get() == 0 {
        tokio::task::yield_now().await;
    }
    running.shutdown.cancel();
    ask(&mut late).await;
    let answer = rest(&mut late).await;
    assert!(answer.ends_with("came in"), "{answer}");
    running.stop().await.unwrap();
}

#[tokio::test]
async fn waiting_for_requests_has_an_end() {
    let arrived = Arc::new(Notify::new());
    let told = Arc::clone(&arrived);
    let handler = get(move || async move {
        told.notify_one();
        std::future::pending::<&str>().await
    });
    let limits = ServerLimits { stop_time: Span::millis(1), ..LIMITS };
    let running = start(Router::new().route("/", handler), limits).await;
    let mut stuck = running.connect().await;
    ask(&mut stuck).await;
    arrived.notified().await;
    assert!(matches!(running.stop().await, Err(ServeError::CutOff(1))));
}

#[tokio::test]
async fn a_new_router_answers_on_an_open_connection() {
    let running = start(Router::new().route("/", get(|| async { "old" })), LIMITS).await;
    let mut stream = running.connect().await;
    ask(&mut stream).await;
    answer(&mut stream, "old").await;
    let _ = running.routers.send_replace(Router::new().route("/", get(|| async { "new" })));
    ask(&mut stream).await;
    answer(&mut stream, "new").await;
    running.stop().await.unwrap();
}

#[tokio::test]
async fn a_header_that_does_not_end_is_not_waited_for() {
    let limits = ServerLimits { header_time: Span::millis(20), ..LIMITS };
    let running = start(Router::new(), limits).await;
    let mut slow = running.connect().await;
    slow.write_all(b"GET / HTTP/1.1\r\nHo").await.unwrap();
    rest(&mut slow).await;
    running.stop().await.unwrap();
}

#[tokio::test]
async fn a_header_that_is_too_large_is_refused() {
    let running = start(Router::new(), LIMITS).await;
    let mut stream = running.connect().await;
    let header = format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "y".repeat(5_000));
    stream.write_all(header.as_bytes()).await.unwrap();
    assert!(rest(&mut stream).await.starts_with("HTTP/1.1 431"));
    running.stop().await.unwrap();
}

#[tokio::test]
async fn connections_beyond_the_limit_wait_outside() {
    let router = |metrics: ServerMetrics| {
        Router::new().route("/", get(move || async move { format!("open {}!", metrics.open.get()) }))
    };
    let limits = ServerLimits { connections: 1, ..LIMITS };
    let running = start(Router::new(), limits).await;
    let _ = running.routers.send_replace(router(running.metrics.clone()));
    let (mut first, mut second) = (running.connect().await, running.connect().await);
    ask(&mut first).await;
    ask(&mut second).await;
    assert!(answer(&mut first, "!").await.ends_with("open 1!"));
    assert_eq!(running.metrics.accepted.get(), 1);
    drop(first);
    assert!(answer(&mut second, "!").await.ends_with("open 1!"));
    running.stop().await.unwrap();
}
