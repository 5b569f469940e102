//! `poqd start`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, bail};
use poq_abci::reference::Reference;
use poq_app::{App, Options};
use poq_client::Client;
use poq_worker::program::{metrics, shutdown_on_signals};
use tokio_util::sync::CancellationToken;

use super::runtime;
use crate::abci_address::AbciAddress;
use crate::comet::{Binary, Comet, CometConfig, Log};
use crate::evaluator_files;
use crate::genesis::Genesis;
use crate::grpc;
use crate::home::Home;
use crate::settings::AppSettings;
use crate::validator;
use poq_abci::transport::{Address, Listener, Server};

/// Flags of `start`; what is not given is as in app.toml.
#[derive(Debug, clap::Args)]
pub struct Start {
    /// Where to serve ABCI: unix:///PATH or tcp://HOST:PORT; default: the socket abci.sock in the
    /// home for --with-comet, else tcp://127.0.0.1:26658.
    #[arg(long, value_name = "ADDRESS")]
    abci: Option<Address>,
    /// Serve ABCI, which has no authentication, where other machines may reach it.
    #[arg(long)]
    allow_remote_abci: bool,
    /// Where to serve gRPC: HOST:PORT, or "" for nowhere.
    #[arg(long, value_name = "ADDRESS")]
    grpc_address: Option<String>,
    /// Run CometBFT too: when one of the two ends, the other one is stopped.
    #[arg(long)]
    with_comet: bool,
    /// The program `cometbft` 0.38; default: in $PATH, else in the cache.
    #[arg(long, value_name = "PATH", alias = "comet-binary")]
    cometbft: Option<PathBuf>,
    /// File to append CometBFT's log to; default: the standard error output.
    #[arg(long, value_name = "FILE")]
    comet_log: Option<PathBuf>,
    /// Versions of the state that queries can reach back to; 0 keeps all.
    #[arg(long, value_name = "NUMBER")]
    keep_versions: Option<u64>,
    /// Folder with the files of the chain's evaluator models, found by their digests; default:
    /// evaluator-models in the home if it exists, else the cache's models.
    #[arg(long, value_name = "DIR")]
    evaluator_models: Option<PathBuf>,
    /// Start although the validator's VRF key is not in this home: its votes do not count then.
    #[arg(long)]
    without_vrf_key: bool,
    /// Where to serve Prometheus metrics, at /metrics; default: nowhere.
    #[arg(long, value_name = "HOST:PORT")]
    metrics_address: Option<SocketAddr>,
}

/// What CometBFT is started with.
struct CometPlan {
    binary: Binary,
    log: Log,
}

impl Start {
    /// Runs until a signal comes or a part fails.
    ///
    /// # Errors
    /// What could not start, or who ended by itself.
    pub fn run(self, home: &Home) -> anyhow::Result<()> {
        let settings = self.settings(home)?;
        // Everything that can be wrong is found before anything runs.
        let comet = plan(home, &settings)?;
        let abci = AbciAddress::choose(home, &settings, self.allow_remote_abci)?;
        let listener = Listener::bind(abci.get())
            .context("set `abci` in app.toml or --abci to a free address")?;
        let data = home.app_data();
        std::fs::create_dir_all(&data)
            .with_context(|| format!("cannot create {}", data.display()))?;
        let options = Options {
            keep_versions: settings.keep_versions,
        };
        let reference = Arc::new(Reference::new(settings.evaluator_models_folder(home)));
        let app = App::open(&data, options, reference.clone())
            .with_context(|| format!("cannot open the application's data in {}", data.display()))?;
        check_genesis(home, &app)?;
        evaluator_files::load(home, &app, &reference)?;
        let (app, voting) = validator::vote(app, home, self.without_vrf_key)?;
        let grpc = match settings.grpc_address.as_str() {
            "" => None,
            address => Some(grpc::Listener::bind(address)?),
        };
        let rpc = CometConfig::open(home.comet_toml())
            .ok()
            .and_then(|config| config.rpc_url());
        let node = grpc::Node::new(rpc.as_deref());
        let rpc = rpc.and_then(|url| Client::new(&url).ok());
        let runtime = runtime()?;
        let served = grpc::WithNode::new(app.clone(), node.clone(), runtime.handle().clone());
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
                error = serve(grpc, grpc::Router::new(app, node)) => Err(error),
                error = voting.watch(rpc) => Err(error),
            }
        });
        // Ends queries that wait for CometBFT.
        drop(runtime);
        // Whatever happened to CometBFT, a request in progress ends in order.
        server.stop()?;
        outcome
    }

    fn settings(&self, home: &Home) -> anyhow::Result<AppSettings> {
        let mut settings = AppSettings::load(home)?;
        if let Some(abci) = &self.abci {
            settings.abci = Some(abci.clone());
        }
        if let Some(address) = &self.grpc_address {
            settings.grpc_address.clone_from(address);
        }
        if let Some(keep_versions) = self.keep_versions {
            settings.keep_versions = keep_versions;
        }
        settings.evaluator_models = self.evaluator_models.clone().or(settings.evaluator_models);
        settings.metrics_address = self.metrics_address.or(settings.metrics_address);
        settings.comet.supervise |= self.with_comet;
        settings.comet.binary = self.cometbft.clone().or(settings.comet.binary);
        settings.comet.log = self.comet_log.clone().or(settings.comet.log);
        Ok(settings)
    }
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
