use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use poq_client::worker::{Health, Worker, shutdown_on_signals};
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
use crate::worker::InferenceWorker;

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
        metrics::serve(address, shutdown.clone()).await?;
    }
    let health = Health::default();
    let chain =
        Worker::connect(&home, &config.chain, Role::Inference, &health, shutdown).await?;
    let registered = chain
        .insist(shutdown, async |client| {
            found(client.model(&config.model.id).await)
        })
        .await?;
    let digest = located
        .expect_registered(registered, &config.model.id)
        .await?;
    let operator = chain.sender.address();
    let node = chain
        .insist(shutdown, async |client| {
            client.node(Role::Inference, operator).await
        })
        .await?;
    if !node.models.contains(&config.model.id) {
        bail!(
            "the node is registered for {}, not for `{}`: change model.id in config.toml",
            node.models.join(", "),
            config.model.id
        );
    }
    let params = chain.insist(shutdown, Client::params).await?;
    let generator = Arc::new(located.load(&config.model, digest).await?);
    let guests = GuestLimits {
        queue: config.http.queue,
        deadline: Duration::from_secs(config.http.deadline_seconds),
    };
    let compute = Compute::new(generator, guests);
    let journal = Journal::open(home.data().join("journal"))?;
    let worker = InferenceWorker::new(
        chain,
        params,
        &config.model.id,
        &config.duties,
        compute.clone(),
        journal,
    );

    let server = tokio::spawn(serve_http(
        listener,
        compute,
        config.clone(),
        shutdown.clone(),
    ));
    worker.run(shutdown.clone()).await?;
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
    let router = http::router(compute, &config.model.id, config.http.max_tokens);
    Ok(axum::serve(listener, router)
        .with_graceful_shutdown(shutdown.cancelled_owned())
        .await?)
}
