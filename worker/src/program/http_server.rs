//! HTTP servers with limits, so that no client can block the others; used by every program.
//!
//! [`serve`] speaks plain HTTP: TLS ends at a reverse proxy. A program with TLS of its own has a
//! [`Transport`].

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

pub use cors::share;

/// Pause before accepting connections again when the system has no resources for one.
const NO_ROOM: Duration = Duration::from_secs(1);
/// Value of `retry-after` in seconds.
const RETRY_AFTER: &str = "5";

/// Limits on what clients can use.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Most connections at once; further ones stay in the listener's backlog.
    pub connections: u32,
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
    while let Some(stream) = accept(&listener, &places, &shutdown).await {
        let (stream, peer, place) = stream?;
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
            drop(place);
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
mod tests {
    use axum::body::{Body, Bytes};
    use axum::routing::{get, post};
    use futures::StreamExt;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::task::JoinHandle;

    use super::*;

    const SOON: Duration = Duration::from_millis(100);
    const NEVER: Duration = Duration::from_secs(600);

    struct Running {
        address: SocketAddr,
        shutdown: CancellationToken,
        server: JoinHandle<io::Result<()>>,
    }

    async fn start(limits: Limits) -> Running {
        let slow = async || {
            sleep(SOON * 3).await;
            "slow"
        };
        let parts = async || {
            let parts = futures::stream::iter(["a", "b", "c"]).then(async |part| {
                sleep(SOON).await;
                Ok::<_, io::Error>(part)
            });
            Body::from_stream(parts)
        };
        let router = Router::new()
            .route("/", get(async || "here"))
            .route("/slow", get(slow))
            .route("/parts", get(parts))
            .route("/json", get(async || Json(u64::MAX)))
            .route("/body", post(async |body: Bytes| body))
            .route(
                "/peer",
                get(async |Extension(Peer(peer)): Extension<Peer>| peer.ip().to_string()),
            );
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let shutdown = CancellationToken::new();
        let server = tokio::spawn(serve(listener, router, limits, shutdown.clone()));
        Running {
            address,
            shutdown,
            server,
        }
    }

    /// Everything the server answers to `request` until it closes the connection.
    async fn said(address: SocketAddr, text: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(text.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    fn asked(path: &str) -> String {
        format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
    }

    fn limits() -> Limits {
        Limits {
            headers: NEVER,
            request: NEVER,
            ..Limits::default()
        }
    }

    #[tokio::test]
    async fn who_says_nothing_is_cut_off() {
        let server = start(Limits {
            headers: SOON,
            ..limits()
        })
        .await;
        for beginning in ["", "GET / HT", "GET / HTTP/1.1\r\nhost: x\r\n"] {
            let answer = timeout(NEVER, said(server.address, beginning))
                .await
                .unwrap();
            assert!(!answer.contains("here"), "{answer}");
        }
        assert!(said(server.address, &asked("/")).await.ends_with("here"));
    }

    #[tokio::test]
    async fn a_request_has_its_time_and_a_stream_more() {
        let server = start(Limits {
            request: SOON * 2,
            ..limits()
        })
        .await;
        let half = "POST /body HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\nhalf";
        for late in [asked("/slow"), half.to_owned()] {
            let answer = said(server.address, &late).await;
            assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
        }
        let answer = said(server.address, &asked("/parts")).await;
        assert!(
            answer.starts_with("HTTP/1.1 200") && answer.contains("c\r\n"),
            "{answer}"
        );
    }

    #[tokio::test]
    async fn more_requests_than_there_are_places_are_told_to_come_back() {
        let server = start(Limits {
            requests: 1,
            ..limits()
        })
        .await;
        let (slow, here) = (asked("/slow"), asked("/"));
        let beside = async {
            sleep(SOON).await;
            said(server.address, &here).await
        };
        let (slow, refused) = tokio::join!(said(server.address, &slow), beside);
        assert!(slow.ends_with("slow"), "{slow}");
        assert!(refused.starts_with("HTTP/1.1 503"), "{refused}");
        assert!(refused.contains("retry-after: 5"), "{refused}");
        assert!(said(server.address, &here).await.ends_with("here"));
    }

    #[tokio::test]
    async fn integers_of_64_bits_are_text_in_json() {
        let server = start(limits()).await;
        let answer = said(server.address, &asked("/json")).await;
        assert!(
            answer.contains("content-type: application/json"),
            "{answer}"
        );
        assert!(answer.ends_with("\"18446744073709551615\""), "{answer}");
    }

    #[tokio::test]
    async fn a_request_knows_where_it_comes_from() {
        let server = start(limits()).await;
        let answer = said(server.address, &asked("/peer")).await;
        assert!(answer.ends_with("127.0.0.1"), "{answer}");
    }

    /// A transport whose first byte is not HTTP.
    #[derive(Clone)]
    struct Greeting;

    impl Transport for Greeting {
        type Stream = TcpStream;

        async fn open(&self, mut stream: TcpStream) -> io::Result<TcpStream> {
            match stream.read_u8().await? {
                b'!' => Ok(stream),
                _ => Err(io::ErrorKind::InvalidData.into()),
            }
        }
    }

    #[tokio::test]
    async fn a_transport_opens_every_connection_or_is_cut_off() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().route("/", get(async || "here"));
        let limits = Limits {
            headers: SOON,
            ..limits()
        };
        let shutdown = CancellationToken::new();
        tokio::spawn(serve_over(Greeting, listener, router, limits, shutdown));
        let greeted = format!("!{}", asked("/"));
        assert!(said(address, &greeted).await.ends_with("here"));
        assert!(!said(address, "?").await.contains("here"));
        assert_eq!(timeout(NEVER, said(address, "")).await.unwrap(), "");
    }

    #[tokio::test]
    async fn a_connection_waits_for_its_place() {
        let server = start(Limits {
            connections: 1,
            ..limits()
        })
        .await;
        let silent = TcpStream::connect(server.address).await.unwrap();
        let here = asked("/");
        let waiting = said(server.address, &here);
        tokio::pin!(waiting);
        assert!(timeout(SOON * 2, waiting.as_mut()).await.is_err());
        drop(silent);
        assert!(waiting.await.ends_with("here"));
    }

    #[tokio::test]
    async fn what_was_asked_before_the_end_is_answered() {
        let server = start(limits()).await;
        let slow = asked("/slow");
        let stop = async {
            sleep(SOON).await;
            server.shutdown.cancel();
        };
        let (answer, ()) = tokio::join!(said(server.address, &slow), stop);
        assert!(answer.ends_with("slow"), "{answer}");
        server.server.await.unwrap().unwrap();
        assert!(TcpStream::connect(server.address).await.is_err());
    }
}
