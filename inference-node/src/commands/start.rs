use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow};
use axum::Router;
use poq_client::http_server::{self, Limits};
use poq_client::worker::{Health, Watch, Worker, check_served, shutdown_on_signals};
use poq_client::{Client, found, metrics};
use poq_proto::v1::Role;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::model::Located;
use super::settings;
use crate::cli::Start;
use crate::compute::{Compute, GuestLimits};
use crate::config::HttpConfig;
use crate::http;
use crate::journal::Journal;
use crate::worker::{InferenceWorker, Setup};

/// How long open HTTP answers may go on after a stop.
const DRAIN: Duration = Duration::from_secs(5);

/// What a request may take beside its answer: its body, its headers and its way through the queue.
const OVERHEAD: Duration = Duration::from_secs(15);

/// Answers tasks until it is asked to stop.
pub async fn start(home: &Path, options: &Start) -> anyhow::Result<()> {
    let shutdown = shutdown_on_signals()?;
    match serve(home, options, &shutdown).await {
        // Asked to stop before it was ready: that is a clean end.
        Err(error) if matches!(error.downcast_ref(), Some(poq_client::Error::Interrupted)) => {
            Ok(())
        }
        result => result,
    }
}

async fn serve(home: &Path, options: &Start, shutdown: &CancellationToken) -> anyhow::Result<()> {
    let (home, config) = settings(home)?;
    // Two nodes on one home would spend the same sequences.
    let _lock = home.lock()?;
    let health = Health::default();
    let guests = guests(&config.http)?;
    // Before the wait for the chain: a wrong or missing file should show at once.
    let located = Located::find(&config.model).await?;
    let listener = match config.http.enabled {
        true => Some(TcpListener::bind(config.http.listen).await.with_context(|| {
            format!(
                "cannot listen on {}: change http.listen in config.toml, or stop what listens there",
                config.http.listen
            )
        })?),
        false => None,
    };
    if let Some(address) = options.metrics_address.or(config.metrics.listen) {
        metrics::serve_with(address, health.routes(), shutdown.clone()).await?;
    }
    let chain = Worker::connect(&home, &config.chain, Role::Inference, &health, shutdown).await?;
    let registered = chain
        .insist(shutdown, async |client| {
            found(client.model(&config.model.id).await)
        })
        .await?;
    let digest = located
        .expect_registered(registered, &config.model.id)
        .await?;
    let operator = chain.sender.address().to_owned();
    let node = chain
        .insist(shutdown, async |client| {
            client.node(Role::Inference, &operator).await
        })
        .await?;
    let served = vec![config.model.id.clone()];
    check_served(&node, &served, options.allow_unserved)?;
    let params = chain.insist(shutdown, Client::params).await?;
    let generator = located.load(&config.model, digest).await?;
    let generator =
        Arc::new(generator.with_patience(Duration::from_secs(config.model.stall_seconds)));
    let limits_of_guests = GuestLimits {
        queue: config.http.queue,
        deadline: Duration::from_secs(config.http.deadline_seconds),
    };
    let compute = Compute::new(generator, limits_of_guests);
    let journal = Journal::open(home.data().join("journal"))?;
    let watch = Watch {
        sender: chain.sender.clone(),
        role: Role::Inference,
        served,
        health: health.clone(),
        auto_unjail: config.chain.auto_unjail,
    };
    let watch = tokio::spawn(watch.run());
    let setup = Setup {
        chain,
        params,
        model: config.model.id.clone(),
        settings: config.duties.clone(),
        compute: compute.clone(),
        journal,
        health: health.clone(),
    };
    let service = http::Service {
        model: config.model.id.clone(),
        max_tokens: config.http.max_tokens,
        guests: guests.clone(),
        origins: config.http.cors_origins.clone(),
        pauses: http::Pauses::default(),
    };
    let limits = Limits {
        request: Duration::from_secs(config.http.deadline_seconds) + OVERHEAD,
        ..Limits::default()
    };
    let router = http::router(compute, &health, service);
    let server = tokio::spawn(serve_http(
        listener,
        router,
        limits,
        guests,
        shutdown.clone(),
    ));
    InferenceWorker::run(setup, shutdown.clone()).await?;
    watch.abort();
    shutdown.cancel();
    match tokio::time::timeout(DRAIN, server).await {
        Ok(result) => result?,
        // Whoever still reads an answer has had time.
        Err(_) => Ok(()),
    }
}

/// Whom the HTTP server answers.
fn guests(config: &HttpConfig) -> anyhow::Result<http::Guests> {
    let keys = config.keys().map_err(|reason| anyhow!(reason))?;
    Ok(match config.open {
        true => http::Guests::Everybody,
        false => http::Guests::with(&keys),
    })
}

async fn serve_http(
    listener: Option<TcpListener>,
    router: Router,
    limits: Limits,
    guests: http::Guests,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let Some(listener) = listener else {
        return Ok(());
    };
    let address = listener.local_addr()?;
    match guests {
        http::Guests::Everybody if !address.ip().is_loopback() => {
            warn!("everybody who reaches {address} may ask: set http.api_key in config.toml");
        }
        http::Guests::WithKey(keys) if keys.is_empty() => {
            info!("http://{address} answers nobody: set http.api_key or http.open in config.toml");
        }
        _ => info!("serving http://{address}/v1/chat/completions"),
    }
    Ok(http_server::serve(listener, router, limits, shutdown).await?)
}
