use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Result;
use clap::Args;
use poq_client::Client;
use tokio_util::sync::CancellationToken;

use crate::chain::check_served;
use crate::program::metrics;
use crate::watch::Watch;
use crate::{Chain, ChainConfig, Error, Health, Journal, Settings, Worker, WorkerHome, run};

/// Options of `start`.
#[derive(Debug, Args)]
pub struct Start {
    /// Where to serve Prometheus metrics, /health and /ready; as in config.toml unless given
    #[arg(long, value_name = "HOST:PORT")]
    pub metrics_address: Option<SocketAddr>,
    /// Start even if the operator is registered for models that are not in config.toml; their
    /// duties will be missed and slashed
    #[arg(long)]
    pub allow_unserved: bool,
}

/// The parts of a running worker.
pub struct Setup<'a> {
    /// Locked while the worker runs: two processes would use the same sequences.
    pub home: &'a WorkerHome,
    /// The connection to the chain.
    pub chain: &'a ChainConfig,
    /// Where metrics are served.
    pub metrics: Option<SocketAddr>,
    /// Whether models of the registration may be missing.
    pub allow_unserved: bool,
    /// Which duties are done.
    pub settings: Settings,
    /// Reports the worker's health.
    pub health: Health,
    /// Stops the worker.
    pub shutdown: CancellationToken,
}

/// Runs the worker that `load` returns, once the operator is registered, until `shutdown`.
///
/// # Errors
/// Errors that need a restart or an operator.
pub async fn start<W: Worker>(
    setup: Setup<'_>,
    load: impl AsyncFnOnce(&Chain) -> Result<W>,
) -> Result<()> {
    match serve(setup, load).await {
        // A stop before the worker was ready is a clean exit.
        Err(error) if matches!(error.downcast_ref(), Some(Error::Interrupted)) => Ok(()),
        result => result,
    }
}

async fn serve<W: Worker>(
    setup: Setup<'_>,
    load: impl AsyncFnOnce(&Chain) -> Result<W>,
) -> Result<()> {
    let Setup {
        home,
        chain: config,
        settings,
        health,
        shutdown,
        ..
    } = setup;
    let _lock = home.lock()?;
    if let Some(address) = setup.metrics {
        metrics::serve_with(address, health.routes(), shutdown.clone()).await?;
    }
    let journal = Journal::open(home.journal())?;
    let chain = Chain::connect(home, config, settings.role, &health, &shutdown).await?;
    let operator = chain.sender.address().to_owned();
    let ask = async |client: &Client| client.node(settings.role, &operator).await;
    let node = chain.insist(&shutdown, ask).await?;
    check_served(&node, &settings.models, setup.allow_unserved)?;
    let worker = Arc::new(load(&chain).await?);
    let watch = Watch {
        sender: chain.sender.clone(),
        role: settings.role,
        served: settings.models.clone(),
        health: health.clone(),
        auto_unjail: config.auto_unjail,
    };
    let watch = tokio::spawn(watch.run());
    let ended = run(worker, chain, journal, settings, health, shutdown).await;
    watch.abort();
    Ok(ended?)
}
