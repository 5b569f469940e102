use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use poq_client::worker::{self, Health, Worker, check_served, shutdown_on_signals};
use poq_client::{Client, found, metrics};
use poq_proto::v1::Role;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tracing::info;

use super::model::Located;
use super::settings;
use crate::cli::Start;
use crate::compute::{Compute, GuestLimits};
use crate::config::Config;
use crate::http;
use crate::journal::Journal;
use crate::worker::{InferenceWorker, Setup};

/// How long open HTTP answers may go on after a stop.
const DRAIN: Duration = Duration::from_secs(5);

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
    let guests = GuestLimits {
        queue: config.http.queue,
        deadline: Duration::from_secs(config.http.deadline_seconds),
    };
    let compute = Compute::new(generator, guests);
    let journal = Journal::open(home.data().join("journal"))?;
    let watch = tokio::spawn(worker::watch(
        chain.client.clone(),
        Role::Inference,
        operator,
        served,
        health.clone(),
    ));
    let setup = Setup {
        chain,
        params,
        model: config.model.id.clone(),
        settings: config.duties.clone(),
        compute: compute.clone(),
        journal,
        health: health.clone(),
    };
    let server = tokio::spawn(serve_http(
        listener,
        compute,
        health,
        config.clone(),
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

async fn serve_http(
    listener: Option<TcpListener>,
    compute: Compute,
    health: Health,
    config: Config,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let Some(listener) = listener else {
        return Ok(());
    };
    info!(
        "serving http://{}/v1/chat/completions",
        listener.local_addr()?
    );
    let router = http::router(compute, &health, &config.model.id, config.http.max_tokens);
    Ok(axum::serve(listener, router)
        .with_graceful_shutdown(shutdown.cancelled_owned())
        .await?)
}
