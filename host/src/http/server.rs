//! Accepts connections and shuts down without dropping what was accepted.

use super::Body;
use super::patience::Patience;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{Semaphore, watch};

/// A client that takes nothing of its answer for this long is gone, or means harm. Phones lose the network for less.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// How a listener treats connections.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionLimits {
    /// Connections open at the same time; further ones wait in the operating system's queue.
    pub max_connections: usize,
    /// The headers of a request must come within this time, and a kept-alive connection may idle this long.
    pub header_timeout: Duration,
    /// On shutdown, what was accepted may take this long.
    pub grace: Duration,
}

/// Where connections come from.
#[derive(Debug)]
pub enum Listener {
    /// A TCP port.
    Tcp(TcpListener),
    /// A Unix socket.
    Unix(UnixListener),
}

/// A connection of either kind.
trait Connection: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Connection for T {}

impl Listener {
    async fn accept(&self) -> io::Result<Box<dyn Connection>> {
        match self {
            Self::Tcp(listener) => {
                let (stream, _) = listener.accept().await?;
                // Answers are written whole; waiting to fill a packet would only delay them. It fails on a connection that
                // is gone already, which must not look like a failure to accept.
                stream.set_nodelay(true).ok();
                Ok(Box::new(stream))
            }
            Self::Unix(listener) => Ok(Box::new(listener.accept().await?.0)),
        }
    }
}

/// Serves until `stop` turns true, then finishes the requests it has accepted, within the grace period.
pub async fn serve<H, F>(listener: Listener, limits: ConnectionLimits, mut stop: watch::Receiver<bool>, handler: H)
where
    H: Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<Body>> + Send + 'static,
{
    let graceful = GracefulShutdown::new();
    let room = Arc::new(Semaphore::new(limits.max_connections));
    let mut builder = hyper::server::conn::http1::Builder::new();
    // Not `pipeline_flush`: with it hyper keeps an answer back while there is anything unread, and the 400 to a request that
    // is no HTTP for ever.
    builder.timer(TokioTimer::new()).header_read_timeout(limits.header_timeout);
    loop {
        let permit = tokio::select! {
            // Unwrap safety: the semaphore is never closed.
            permit = room.clone().acquire_owned() => permit.unwrap(),
            _ = stop.wait_for(|stop| *stop) => break,
        };
        let stream = tokio::select! {
            stream = listener.accept() => stream,
            _ = stop.wait_for(|stop| *stop) => break,
        };
        let stream = match stream {
            Ok(stream) => stream,
            Err(error) => {
                // Out of file descriptors, most likely: waiting a little lets connections end.
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let handler = handler.clone();
        let service = service_fn(move |request| {
            let answer = handler(request);
            async move { Ok::<_, Infallible>(answer.await) }
        });
        let connection =
            graceful.watch(builder.serve_connection(TokioIo::new(Patience::new(stream, WRITE_TIMEOUT)), service));
        tokio::spawn(async move {
            // A client that broke off is not worth a line, and its address must not be in one.
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection ended early");
            }
            drop(permit);
        });
    }
    drop(listener);
    if tokio::time::timeout(limits.grace, graceful.shutdown()).await.is_err() {
        tracing::warn!("some requests did not finish in time and were dropped");
    }
}
