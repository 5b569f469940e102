//! Starts and stops everything that `poqd start` runs.

use std::sync::Arc;

use anyhow::{Context, bail};
use poq_app::{App, Options};
use poq_client::Client;
use poq_judge::Judge;
use poq_worker::program::{metrics, shutdown_on_signals};
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

/// Risks that an operator accepts explicitly.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AcceptedRisks {
    /// Other machines may reach ABCI, which has no authentication.
    pub remote_abci: bool,
    /// The validator's VRF key may be missing in this home, so that its votes do not count.
    pub missing_vrf_key: bool,
}

/// The arguments of [`Comet::start`].
struct CometPlan {
    binary: Binary,
    log: Log,
}

/// Runs a node on `runtime` until a signal arrives or a part fails.
///
/// # Errors
/// The part that could not start or that ended by itself.
pub(crate) fn start(
    home: &Home,
    settings: &AppSettings,
    risks: AcceptedRisks,
    runtime: Runtime,
) -> anyhow::Result<()> {
    // All checks come before anything runs.
    let comet = plan(home, settings)?;
    let abci = AbciAddress::choose(home, settings, risks.remote_abci)?;
    let listener =
        Listener::bind(abci.get()).context("set `abci` in app.toml or --abci to a free address")?;
    let judge = Arc::new(Judge::new(settings.evaluator_models_folder(home)));
    let app = open(home, settings, &judge)?;
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
    // This thread lives as long as the process, as `Comet::start` requires.
    let outcome = runtime.block_on(async {
        let shutdown = shutdown_on_signals()?;
        if let Some(address) = settings.metrics_address {
            metrics::serve(address, shutdown.clone()).await?;
        }
        tokio::spawn(evaluator_files::watch(app.clone(), judge));
        tokio::select! {
            outcome = supervise(home, comet, server.address(), shutdown) => outcome,
            error = serve(grpc, grpc::Router::new(app, comet_queries)) => Err(error),
            error = voting.watch(rpc) => Err(error),
        }
    });
    // Cancels queries that wait for CometBFT.
    drop(runtime);
    // Requests in progress finish, even if CometBFT failed.
    server.stop()?;
    outcome
}

/// Opens the application's database and checks that its chain can start or continue here.
fn open(home: &Home, settings: &AppSettings, judge: &Arc<Judge>) -> anyhow::Result<App> {
    let data = home.app_data();
    std::fs::create_dir_all(&data).with_context(|| format!("cannot create {}", data.display()))?;
    let options = Options {
        keep_versions: settings.keep_versions,
    };
    let app = App::open(&data, options, Arc::new(Reference(judge.clone())))
        .with_context(|| format!("cannot open the application's data in {}", data.display()))?;
    check_genesis(home, &app)?;
    evaluator_files::load(home, &app, judge)?;
    Ok(app)
}

/// Checks a new chain's genesis; otherwise CometBFT would fail in the middle of its start.
fn check_genesis(home: &Home, app: &App) -> anyhow::Result<()> {
    let path = home.genesis();
    if app.head().height > 0 || !path.is_file() {
        return Ok(());
    }
    Genesis::read(&path)?.check().with_context(|| {
        format!(
            "a chain cannot start with {}; `poqd genesis --help` shows how to complete it",
            path.display()
        )
    })
}

/// Serves gRPC, if it is enabled, until it fails.
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

/// Runs CometBFT, if it is supervised, until a signal arrives, and then stops it.
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
