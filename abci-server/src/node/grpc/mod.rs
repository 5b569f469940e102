//! The gRPC server: the application's ABCI queries under the same paths, and queries that only CometBFT
//! can answer.
//!
//! Every method of the Cosmos SDK and of `poq.v1` is unary, so one service accepts all paths and passes
//! bytes to the [`Router`]. hyper implements HTTP/2, tonic the framing and status.

// tonic's interfaces use an unboxed `Status`.
#![allow(clippy::result_large_err)]

mod codec;
mod router;

pub(super) use router::Router;

use std::convert::Infallible;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tracing::{debug, info, warn};

/// Connections served at once; further ones wait.
const MAX_CONNECTIONS: usize = 256;
/// Calls of one connection at once.
const MAX_CALLS: u32 = 32;
/// Idle time after which a connection is pinged.
const KEEP_ALIVE: Duration = Duration::from_secs(60);
/// Pause after the operating system failed to accept a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The reason why gRPC cannot be served.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot serve gRPC on `{address}`: {source}; set `grpc-address` in app.toml or --grpc-address \
     to a free HOST:PORT, or to \"\" to turn gRPC off"
)]
pub(super) struct Error {
    address: String,
    source: std::io::Error,
}

/// A bound address that is not served yet.
#[derive(Debug)]
pub(super) struct Listener {
    listener: TcpListener,
    address: SocketAddr,
}

impl Listener {
    /// Binds `HOST:PORT`.
    ///
    /// # Errors
    /// If the address is invalid or taken.
    pub(super) fn bind(address: &str) -> Result<Self, Error> {
        let bind = || {
            let listener = TcpListener::bind(address)?;
            listener.set_nonblocking(true)?;
            let address = listener.local_addr()?;
            Ok(Self { listener, address })
        };
        bind().map_err(|source| Error {
            address: address.to_owned(),
            source,
        })
    }

    /// Serves until the future is dropped.
    ///
    /// # Errors
    /// If the socket cannot be registered with the runtime.
    pub(super) async fn serve(self, router: Router) -> Result<Infallible, Error> {
        let address = self.address;
        let listener =
            tokio::net::TcpListener::from_std(self.listener).map_err(|source| Error {
                address: address.to_string(),
                source,
            })?;
        info!(%address, "serving gRPC");
        let (router, places) = (Arc::new(router), Arc::new(Semaphore::new(MAX_CONNECTIONS)));
        loop {
            // The semaphore is never closed.
            let place = Arc::clone(&places).acquire_owned().await;
            match listener.accept().await {
                Ok((stream, peer)) => {
                    let router = Arc::clone(&router);
                    tokio::spawn(async move {
                        if let Err(error) = connection(stream, router).await {
                            debug!(%peer, "gRPC connection ended: {error}");
                        }
                        drop(place);
                    });
                }
                Err(error) => {
                    warn!("cannot accept a gRPC connection: {error}");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

async fn connection(stream: TcpStream, router: Arc<Router>) -> hyper::Result<()> {
    // Send small answers without delay.
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request: http::Request<Incoming>| {
        let router = Arc::clone(&router);
        async move { Ok::<_, Infallible>(router.call(request).await) }
    });
    http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .keep_alive_interval(KEEP_ALIVE)
        .max_concurrent_streams(MAX_CALLS)
        .serve_connection(TokioIo::new(stream), service)
        .await
}
