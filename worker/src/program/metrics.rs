//! Prometheus metrics over HTTP.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use serde::Deserialize;
use tokio::net::TcpListener;
use tokio::time::interval;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::http_server::{self, Limits};
use crate::{Error, Result};

/// Media type of the text format.
const TEXT_FORMAT: &str = "text/plain; version=0.0.4";
/// Upper bounds of the buckets of duration histograms, in seconds.
const SECONDS: [f64; 13] = [
    0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 2.0, 5.0, 10.0, 20.0, 40.0, 80.0,
];
/// Upper bounds of the buckets of histograms of qualities, which are 0 to 1.
const QUALITIES: [f64; 10] = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0];
/// How often samples are moved into the histograms between scrapes.
const UPKEEP: Duration = Duration::from_secs(5);

/// The table `[metrics]` of a worker's `config.toml`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MetricsConfig {
    /// Address of `GET /metrics`; `None` disables it.
    pub listen: Option<SocketAddr>,
}

/// Starts to collect the process's metrics, until `shutdown`, and returns routes that serve them at
/// `GET /metrics`. Call it inside the Tokio runtime, once per process.
///
/// # Errors
/// [`Error::Recorder`] if metrics are collected already.
pub fn routes(shutdown: CancellationToken) -> Result<Router> {
    let handle = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".into()), &SECONDS)
        .and_then(|builder| {
            builder.set_buckets_for_metric(Matcher::Suffix("_quality".into()), &QUALITIES)
        })
        .and_then(PrometheusBuilder::install_recorder)
        .map_err(|error| Error::Recorder {
            reason: error.to_string(),
        })?;
    tokio::spawn(keep_up(handle.clone(), shutdown));
    Ok(Router::new().route(
        "/metrics",
        get(move || async move { ([(CONTENT_TYPE, TEXT_FORMAT)], handle.render()) }),
    ))
}

/// Serves [`routes`] on a separate address until `shutdown`. Returns the address, whose port the
/// operating system chose if it was 0.
///
/// # Errors
/// [`Error::Metrics`] if the address is taken, [`Error::Recorder`] as in [`routes`].
pub async fn serve(address: SocketAddr, shutdown: CancellationToken) -> Result<SocketAddr> {
    serve_with(address, Router::new(), shutdown).await
}

/// Like [`serve`], with additional routes on the same address.
///
/// # Errors
/// As [`serve`].
pub async fn serve_with(
    address: SocketAddr,
    others: Router,
    shutdown: CancellationToken,
) -> Result<SocketAddr> {
    let failed = |error: std::io::Error| Error::Metrics {
        address,
        reason: error.to_string(),
    };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    let router = routes(shutdown.clone())?.merge(others);
    info!("serving http://{address}/metrics");
    tokio::spawn(async move {
        if let Err(error) = http_server::serve(listener, router, Limits::default(), shutdown).await
        {
            warn!("metrics are no longer served: {error}");
        }
    });
    Ok(address)
}

async fn keep_up(handle: PrometheusHandle, shutdown: CancellationToken) {
    let mut ticks = interval(UPKEEP);
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            _ = ticks.tick() => handle.run_upkeep(),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    use super::*;

    #[tokio::test]
    async fn metrics_are_served_as_text() {
        let shutdown = CancellationToken::new();
        let any_port = SocketAddr::from(([127, 0, 0, 1], 0));
        let address = serve(any_port, shutdown.clone()).await.unwrap();
        metrics::counter!("poq_test_total", "outcome" => "done").increment(2);
        metrics::histogram!("poq_test_seconds").record(0.2);
        metrics::histogram!("poq_test_quality").record(0.75);

        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = b"GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
        stream.write_all(request).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.contains("text/plain"), "{answer}");
        assert!(
            answer.contains("poq_test_total{outcome=\"done\"} 2"),
            "{answer}"
        );
        assert!(
            answer.contains("poq_test_seconds_bucket{le=\"0.3\"} 1"),
            "{answer}"
        );
        assert!(
            answer.contains("poq_test_quality_bucket{le=\"0.8\"} 1"),
            "{answer}"
        );

        let taken = serve(address, shutdown.clone()).await.unwrap_err();
        assert!(taken.to_string().contains(&address.to_string()), "{taken}");
        shutdown.cancel();
    }
}
