//! HTTP servers with limits, so that no client can block the others; used by every program.
//!
//! [`serve`] speaks plain HTTP: TLS ends at a reverse proxy. A program with TLS of its own has a
//! [`Transport`].

mod addresses;
mod cors;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use poq_client::json;
use serde::Serialize;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use addresses::Addresses;
pub use cors::share;

/// Pause before accepting connections again when the system has no resources for one.
const NO_ROOM: Duration = Duration::from_secs(1);
/// Value of `retry-after` in seconds.
const RETRY_AFTER: &str = "5";
/// Most bytes of a request's headers; larger ones get status 431.
const HEADERS: usize = 1 << 16;

/// Limits on what clients can use.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Most connections at once; further ones stay in the listener's backlog.
    pub connections: u32,
    /// Most connections at once from one address, or from one /64 of IPv6; further ones are closed.
    /// `None` has no limit, for a server behind a proxy.
    pub per_address: Option<u32>,
    /// Most requests in progress at once; further ones get status 503.
    pub requests: usize,
    /// Time limit for a request's headers, from the connection's start or the end of the previous
    /// answer.
    pub headers: Duration,
    /// Time limit from a request's headers to the answer's, including the request's body; then
    /// status 408. Streaming may take longer.
    pub request: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 512,
            per_address: None,
            requests: 256,
            headers: Duration::from_secs(15),
            request: Duration::from_secs(60),
        }
    }
}

/// The address that a connection comes from; an extension of every request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer(pub SocketAddr);

/// What HTTP runs over.
pub trait Transport: Clone + Send + 'static {
    /// A connection that is ready for HTTP.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// Prepares a new connection, within the time limit for headers.
    fn open(&self, stream: TcpStream) -> impl Future<Output = io::Result<Self::Stream>> + Send;
}

/// Plain HTTP.
#[derive(Clone, Copy, Debug)]
pub struct Plain;

impl Transport for Plain {
    type Stream = TcpStream;

    async fn open(&self, stream: TcpStream) -> io::Result<TcpStream> {
        Ok(stream)
    }
}

/// Serves `router` over plain HTTP until `shutdown`, then finishes the requests in progress.
///
/// # Errors
/// If the listener fails.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    limits: Limits,
    shutdown: CancellationToken,
) -> io::Result<()> {
    serve_over(Plain, listener, router, limits, shutdown).await
}

/// [`serve`] over another transport.
///
/// # Errors
/// If the listener fails.
pub async fn serve_over(
    transport: impl Transport,
    listener: TcpListener,
    router: Router,
    limits: Limits,
    shutdown: CancellationToken,
) -> io::Result<()> {
    let gate = Arc::new(Gate {
        places: Semaphore::new(limits.requests),
        time: limits.request,
    });
    let router = router.layer(middleware::from_fn_with_state(gate, pass));
    let places = Arc::new(Semaphore::new(limits.connections as usize));
    let addresses = Addresses::new(limits.per_address);
    while let Some(stream) = accept(&listener, &places, &shutdown).await {
        let (stream, peer, place) = stream?;
        let Some(visit) = addresses.enter(peer.ip()) else {
            debug!(%peer, "a connection was refused: its address has too many");
            continue;
        };
        let router = router.clone().layer(Extension(Peer(peer)));
        let (transport, shutdown) = (transport.clone(), shutdown.clone());
        tokio::spawn(async move {
            // Disables Nagle's algorithm for small answers; a failure only makes them slower.
            let _ = stream.set_nodelay(true);
            match timeout(limits.headers, transport.open(stream)).await {
                Ok(Ok(stream)) => connection(stream, router, limits.headers, shutdown).await,
                Ok(Err(error)) => debug!(%peer, "a connection was not opened: {error}"),
                Err(_) => debug!(%peer, "a connection was not opened in time"),
            }
            drop((place, visit));
        });
    }
    drop(listener);
    // All permits are free once the last connection has ended.
    let _ = places.acquire_many(limits.connections).await;
    Ok(())
}

/// A JSON response with 64-bit integers as strings: see [`json`].
#[derive(Debug)]
pub struct Json<T>(pub T);

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        match json::to_string(&self.0) {
            Ok(body) => ([(header::CONTENT_TYPE, "application/json")], body).into_response(),
            Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
        }
    }
}

type Accepted = (TcpStream, SocketAddr, tokio::sync::OwnedSemaphorePermit);

/// The next connection, its address and its permit, or `None` at shutdown.
async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
    shutdown: &CancellationToken,
) -> Option<io::Result<Accepted>> {
    let next = async {
        let place = places.clone().acquire_owned().await;
        let place = place.map_err(io::Error::other)?;
        loop {
            match listener.accept().await {
                Ok((stream, peer)) => return Ok((stream, peer, place)),
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) => {
                    warn!("cannot accept a connection: {error}");
                    sleep(NO_ROOM).await;
                }
            }
        }
    };
    tokio::select! {
        biased;
        () = shutdown.cancelled() => None,
        accepted = next => Some(accepted),
    }
}

fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset
    )
}

async fn connection(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    router: Router,
    headers: Duration,
    shutdown: CancellationToken,
) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(headers)
        .max_buf_size(HEADERS)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    tokio::pin!(connection);
    let result = tokio::select! {
        biased;
        result = connection.as_mut() => result,
        () = shutdown.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = result {
        debug!("a connection ended: {error}");
    }
}

struct Gate {
    places: Semaphore,
    time: Duration,
}

async fn pass(State(gate): State<Arc<Gate>>, request: Request, next: Next) -> Response {
    let Ok(_place) = gate.places.try_acquire() else {
        let message = "too many requests at once; try again later";
        let retry = [(header::RETRY_AFTER, RETRY_AFTER)];
        return (StatusCode::SERVICE_UNAVAILABLE, retry, message).into_response();
    };
    match timeout(gate.time, next.run(request)).await {
        Ok(response) => response,
        Err(_) => {
            let message = "the request took too long";
            // The unread rest of the body cannot be distinguished from the next request.
            let close = [(header::CONNECTION, "close")];
            (StatusCode::REQUEST_TIMEOUT, close, message).into_response()
        }
    }
}

#[cfg(test)]
mod tests;
