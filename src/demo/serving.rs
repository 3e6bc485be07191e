//! A small HTTP server on the loopback address that ends with its handle, and that can cut connections.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll};

use axum::Router;
use axum::serve::Listener;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::DemoError;

/// Where answers break off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CutAt {
    Never,
    /// Before their first byte.
    Start,
    /// Some bytes before their end.
    End,
}

/// The bytes that are kept back at [`CutAt::End`].
const KEPT_BACK: usize = 4;

/// The knife: says where the answers from now on break off.
#[derive(Debug, Clone, Default)]
pub(super) struct Cut(Arc<AtomicU8>);

impl Cut {
    pub(super) fn set(&self, at: CutAt) {
        let number = match at {
            CutAt::Never => 0,
            CutAt::Start => 1,
            CutAt::End => 2,
        };
        self.0.store(number, Ordering::Release);
    }

    fn get(&self) -> CutAt {
        match self.0.load(Ordering::Acquire) {
            0 => CutAt::Never,
            1 => CutAt::Start,
            _ => CutAt::End,
        }
    }
}

/// A running server; dropping it ends it.
#[derive(Debug)]
pub(super) struct Serving {
    pub(super) address: SocketAddr,
    task: JoinHandle<()>,
}

impl Serving {
    /// Serves on a free port of 127.0.0.1. Where `cut` says so, the connection breaks.
    pub(super) async fn start(what: &'static str, router: Router, cut: Cut) -> Result<Self, DemoError> {
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
    cut: Cut,
}

impl Listener for CuttableListener {
    type Io = Cuttable;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Cuttable, SocketAddr) {
        let (stream, address) = Listener::accept(&mut self.listener).await;
        (Cuttable { stream, cut: self.cut.clone() }, address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

struct Cuttable {
    stream: TcpStream,
    cut: Cut,
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
        let broken = Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        match self.cut.get() {
            CutAt::Never => Pin::new(&mut self.stream).poll_write(context, bytes),
            CutAt::Start => broken,
            CutAt::End => {
                let Some(part) = bytes.get(..bytes.len().saturating_sub(KEPT_BACK)) else { return broken };
                let written = Pin::new(&mut self.stream).poll_write(context, part);
                if matches!(&written, Poll::Ready(Ok(count)) if *count == part.len()) {
                    self.cut.set(CutAt::Start);
                }
                written
            }
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
