//! The server loop: accepts within limits, and stops without dropping what it accepted.

use std::convert::Infallible;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::admit::Peer;
use super::places::{Place, Places};
use super::stall::Hurried;
use crate::time::Span;

/// How long a connection without a request is waited for when stopping.
const FIRST_REQUEST_MAX: Span = Span::millis(500);

/// How long an answer may lie there without any of it being taken.
const STALLED_MAX: Span = Span::seconds(30);

/// What connections may cost. A request has at most 100 header lines, hyper's own limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServerLimits {
    /// Connections at once; the next one waits in the kernel's queue until one ends.
    pub connections: usize,
    /// Connections at once from one address (of IPv6 a network of 64 bits) that is not this machine's; the next one is
    /// closed.
    pub connections_per_address: usize,
    /// Bytes of a request's header.
    pub header: usize,
    /// How long a header may take, and how long a connection may be idle between two requests.
    pub header_time: Span,
    /// How long requests in flight are waited for when stopping.
    pub stop_time: Span,
}

/// The server's own metrics.
#[derive(Debug, Clone, Default)]
pub struct ServerMetrics {
    open: Gauge,
    accepted: Counter,
    failed: Counter,
    crowded: Counter,
}

impl ServerMetrics {
    /// Makes the metrics and shows them in `registry`.
    #[must_use]
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let registry = registry.sub_registry_with_prefix("http");
        registry.register("connections_open", "Connections now", metrics.open.clone());
        registry.register("connections_accepted", "Connections so far", metrics.accepted.clone());
        let help = "Connections that ended in an error, such as a header that took too long";
        registry.register("connections_failed", help, metrics.failed.clone());
        let help = "Connections that were closed because their address has too many";
        registry.register("connections_crowded", help, metrics.crowded.clone());
        metrics
    }
}

/// Why the server ended.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// It was told to stop, but these many connections had not finished in time.
    #[error("{0} connections were cut off when stopping")]
    CutOff(usize),
}

/// Serves until told to stop; then accepts no more, finishes the requests in flight, and returns. Each request is
/// answered by the newest router, so a reload takes effect at once, also on connections that stay open.
pub async fn serve(
    listener: TcpListener,
    routers: watch::Receiver<Router>,
    limits: ServerLimits,
    metrics: ServerMetrics,
    shutdown: CancellationToken,
) -> Result<(), ServeError> {
    let slots = Arc::new(Semaphore::new(limits.connections.clamp(1, Semaphore::MAX_PERMITS)));
    let connection = Connection { builder: builder(&limits), routers, metrics, shutdown: shutdown.clone() };
    let (mut open, places) = (JoinSet::new(), Places::default());
    loop {
        let accepted = tokio::select! {
            biased;
            () = shutdown.cancelled() => break,
            accepted = accept(&listener, &slots) => accepted,
            // Finished ones are taken out as we go, or the set would grow without end.
            Some(_) = open.join_next() => continue,
        };
        let Some((accepted, slot)) = accepted else { continue };
        match places.take(accepted.1.0, limits.connections_per_address) {
            Some(place) => drop(open.spawn(connection.clone().run(accepted, (slot, place)))),
            None => {
                connection.metrics.crowded.inc();
                tracing::debug!(address = %accepted.1.0, "closed a connection: its address has too many");
            }
        }
    }
    drop(listener);
    finish(open, limits.stop_time).await
}

/// A connection, and where it comes from.
type Accepted = (TcpStream, Peer);

/// A free slot first, then a connection: what exceeds the limit waits outside.
async fn accept(listener: &TcpListener, slots: &Arc<Semaphore>) -> Option<(Accepted, OwnedSemaphorePermit)> {
    let slot = Arc::clone(slots).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, address)) => Some(((stream, Peer(address.ip())), slot)),
        Err(error) => {
            // Out of file handles, or the peer is gone already. A moment's pause, or this would spin.
            tracing::warn!(%error, "cannot accept a connection");
            tokio::time::sleep(Span::millis(100).to_std()).await;
            None
        }
    }
}

fn builder(limits: &ServerLimits) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_time.to_std())
        .max_header_size(limits.header)
        .keep_alive(true);
    builder
}

#[derive(Clone)]
struct Connection {
    builder: http1::Builder,
    routers: watch::Receiver<Router>,
    metrics: ServerMetrics,
    shutdown: CancellationToken,
}

impl Connection {
    async fn run(self, (stream, peer): Accepted, places: (OwnedSemaphorePermit, Place)) {
        self.metrics.open.inc();
        self.metrics.accepted.inc();
        // Answers are small and complete: waiting to fill a packet only delays them.
        drop(stream.set_nodelay(true));
        let routers = self.routers;
        // Cancelled by the first request.
        let asked = CancellationToken::new();
        let is_asked = asked.clone();
        let service = service_fn(move |request: Request<Incoming>| {
            asked.cancel();
            let router = routers.borrow().clone();
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(peer);
            let answer = TowerToHyperService::new(router).call(request);
            async move { Ok::<_, Infallible>(answer.await.unwrap_or_else(|never| match never {})) }
        });
        let stream = Hurried::new(stream, STALLED_MAX.to_std());
        let connection = self.builder.serve_connection(TokioIo::new(stream), service);
        let mut connection = std::pin::pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = self.shutdown.cancelled() => tokio::select! {
                ended = connection.as_mut() => ended,
                () = first_request(&is_asked) => {
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
            },
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "a connection ended early");
            self.metrics.failed.inc();
        }
        self.metrics.open.dec();
        drop(places);
    }
}

/// Until the first request has come, or none came for a moment. A connection that was let in last may have sent its
/// request already: hyper, told to shut down, would close it unread.
async fn first_request(is_asked: &CancellationToken) {
    tokio::select! {
        () = is_asked.cancelled() => {}
        () = tokio::time::sleep(FIRST_REQUEST_MAX.to_std()) => {}
    }
}

async fn finish(mut open: JoinSet<()>, stop_time: Span) -> Result<(), ServeError> {
    let all = async { while open.join_next().await.is_some() {} };
    if tokio::time::timeout(stop_time.to_std(), all).await.is_ok() {
        return Ok(());
    }
    let left = open.len();
    open.shutdown().await;
    Err(ServeError::CutOff(left))
}

#[cfg(test)]
mod tests;
