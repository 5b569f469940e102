//! A running node: everything that `poqd start` runs, in the order in which it starts and stops.

use std::sync::Arc;

use anyhow::{Context, bail};
use poq_app::{App, Options};
use poq_client::worker::shutdown_on_signals;
use poq_client::{Client, metrics};
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

use super::abci::ServedApp;
use super::abci_address::AbciAddress;
use super::comet::{Binary, Comet, Log};
use super::comet_queries::CometQueries;
use super::reference::Reference;
use super::{evaluator_files, grpc, validator};
use crate::home::Home;
use crate::home::comet_config::CometConfig;
use crate::home::genesis::Genesis;
use crate::home::settings::AppSettings;
use crate::transport::{Address, Listener, Server};

/// What an operator accepts that a node refuses otherwise.
#[derive(Clone, Copy, Debug)]
pub struct AcceptedRisks {
    /// ABCI, which has no authentication, is served where other machines may reach it.
    pub remote_abci: bool,
    /// The validator's VRF key is not in this home, so that its votes do not count.
    pub missing_vrf_key: bool,
}

/// What CometBFT is started with.
struct CometPlan {
    binary: Binary,
    log: Log,
}

/// Runs a node on `runtime` until a signal comes or a part fails.
///
/// # Errors
/// What could not start, or which part ended by itself.
pub fn start(
    home: &Home,
    settings: &AppSettings,
    risks: AcceptedRisks,
    runtime: Runtime,
) -> anyhow::Result<()> {
    // Everything that can be wrong is found before anything runs.
    let comet = plan(home, settings)?;
    let abci = AbciAddress::choose(home, settings, risks.remote_abci)?;
    let listener =
        Listener::bind(abci.get()).context("set `abci` in app.toml or --abci to a free address")?;
    let reference = Arc::new(Reference::new(settings.evaluator_models_folder(home)));
    let app = open(home, settings, &reference)?;
    let (app, voting) = validator::vote(app, home, risks.missing_vrf_key)?;
    let grpc = match settings.grpc_address.as_str() {
        "" => None,
        address => Some(grpc::Listener::bind(address)?),
    };
    let rpc = CometConfig::open(home.comet_toml())
        .ok()
        .and_then(|config| config.rpc_url());
    let comet_queries = CometQueries::new(rpc.as_deref());
    let rpc = rpc.and_then(|url| Client::new(&url).ok());
    let served = ServedApp::new(app.clone(), comet_queries.clone(), runtime.handle().clone());
    let server = Server::start(listener, served)?;
    // On this thread, which lives as long as the process: see `Comet::start`.
    let outcome = runtime.block_on(async {
        let shutdown = shutdown_on_signals()?;
        if let Some(address) = settings.metrics_address {
            metrics::serve(address, shutdown.clone()).await?;
        }
        tokio::spawn(evaluator_files::watch(app.clone(), reference));
        tokio::select! {
            outcome = supervise(home, comet, server.address(), shutdown) => outcome,
            error = serve(grpc, grpc::Router::new(app, comet_queries)) => Err(error),
            error = voting.watch(rpc) => Err(error),
        }
    });
    // Ends queries that wait for CometBFT.
    drop(runtime);
    // Whatever happened to CometBFT, a request in progress ends in order.
    server.stop()?;
    outcome
}

/// Opens the application's database and checks that its chain can begin or go on here.
fn open(home: &Home, settings: &AppSettings, reference: &Arc<Reference>) -> anyhow::Result<App> {
    let data = home.app_data();
    std::fs::create_dir_all(&data).with_context(|| format!("cannot create {}", data.display()))?;
    let options = Options {
        keep_versions: settings.keep_versions,
    };
    let app = App::open(&data, options, reference.clone())
        .with_context(|| format!("cannot open the application's data in {}", data.display()))?;
    check_genesis(home, &app)?;
    evaluator_files::load(home, &app, reference)?;
    Ok(app)
}

/// A chain that begins must be able to: CometBFT would find out in the middle of its start.
fn check_genesis(home: &Home, app: &App) -> anyhow::Result<()> {
    let path = home.genesis();
    if app.head().height > 0 || !path.is_file() {
        return Ok(());
    }
    Genesis::read(&path)?.check().with_context(|| {
        format!(
            "no chain can begin with {}; `poqd genesis --help` shows how to complete it",
            path.display()
        )
    })
}

/// Serves gRPC, if it is to be served, for ever.
async fn serve(listener: Option<grpc::Listener>, router: grpc::Router) -> anyhow::Error {
    match listener {
        None => std::future::pending().await,
        Some(listener) => match listener.serve(router).await {
            Err(error) => error.into(),
        },
    }
}

fn plan(home: &Home, settings: &AppSettings) -> anyhow::Result<Option<CometPlan>> {
    if !settings.comet.supervise {
        return Ok(None);
    }
    if !home.genesis().is_file() {
        bail!(
            "{} is not a node's home: it has no config/genesis.json; create one with `poqd init`, or \
             check --home",
            home.path().display()
        );
    }
    let binary = Binary::find(settings.comet.binary.as_deref())?;
    CometConfig::open(home.comet_toml())?.check_addresses()?;
    let log = settings.comet.log.clone().map_or(Log::Stderr, Log::File);
    Ok(Some(CometPlan { binary, log }))
}

/// Runs CometBFT, if it is planned, until a signal comes; then stops it.
async fn supervise(
    home: &Home,
    comet: Option<CometPlan>,
    address: &Address,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let Some(plan) = comet else {
        shutdown.cancelled().await;
        return Ok(());
    };
    let mut comet = Comet::start(&plan.binary, home, address, &plan.log)?;
    let ended = tokio::select! {
        () = shutdown.cancelled() => None,
        end = comet.ended() => Some(end?),
    };
    match ended {
        None => Ok(comet.stop().await?),
        Some(end) => {
            comet.stop().await?;
            bail!(
                "{end}; the node is stopped. The last lines of CometBFT's log:\n{}",
                comet.last_lines().await
            )
        }
    }
}
