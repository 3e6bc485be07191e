//! A small HTTP server on the loopback address that ends with its handle, and that can cut connections.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use axum::Router;
use axum::serve::Listener;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::DemoError;

/// A running server; dropping it ends it.
#[derive(Debug)]
pub(super) struct Serving {
    pub(super) address: SocketAddr,
    task: JoinHandle<()>,
}

impl Serving {
    /// Serves on a free port of 127.0.0.1. While `cut` is true, answers are lost: the connection breaks
    /// instead.
    pub(super) async fn start(
        what: &'static str,
        router: Router,
        cut: Arc<AtomicBool>,
    ) -> Result<Self, DemoError> {
        let listen = |source| DemoError::Listen { what, source };
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        let listener = CuttableListener { listener, cut };
        let task = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, router).await {
                tracing::warn!(%error, what, "a stand-in of the demo has stopped");
            }
        });
        Ok(Self { address, task })
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct CuttableListener {
    listener: TcpListener,
    cut: Arc<AtomicBool>,
}

impl Listener for CuttableListener {
    type Io = Cuttable;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Cuttable, SocketAddr) {
        let (stream, address) = Listener::accept(&mut self.listener).await;
        (Cuttable { stream, cut: Arc::clone(&self.cut) }, address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

struct Cuttable {
    stream: TcpStream,
    cut: Arc<AtomicBool>,
}

impl AsyncRead for Cuttable {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Cuttable {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.cut.load(Ordering::Acquire) {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
