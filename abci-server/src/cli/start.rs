//! `poqd start`.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::runtime;
use crate::home::Home;
use crate::home::settings::AppSettings;
use crate::node::{self, AcceptedRisks};
use crate::transport::Address;

/// Flags of `start`; the defaults are in app.toml.
#[derive(Debug, clap::Args)]
pub(super) struct Start {
    /// Address to serve ABCI on: unix:///PATH or tcp://HOST:PORT; default: the socket abci.sock in the
    /// home with --with-comet, else tcp://127.0.0.1:26658.
    #[arg(long, value_name = "ADDRESS")]
    abci: Option<Address>,
    /// Allow an ABCI address that other machines may reach, although ABCI has no authentication.
    #[arg(long)]
    allow_remote_abci: bool,
    /// Address to serve gRPC on: HOST:PORT, or "" to turn it off.
    #[arg(long, value_name = "ADDRESS")]
    grpc_address: Option<String>,
    /// Also run CometBFT. If one of the two ends, the other is stopped.
    #[arg(long)]
    with_comet: bool,
    /// The program `cometbft` 0.38; default: in $PATH, else in the cache.
    #[arg(long, value_name = "PATH", alias = "comet-binary")]
    cometbft: Option<PathBuf>,
    /// File to append CometBFT's log to; default: standard error.
    #[arg(long, value_name = "FILE")]
    comet_log: Option<PathBuf>,
    /// Number of versions of the state to keep for queries; 0 keeps all.
    #[arg(long, value_name = "NUMBER")]
    keep_versions: Option<u64>,
    /// Folder with the files of the chain's evaluator models, found by their digests; default:
    /// evaluator-models in the home if it exists, else the cache's models.
    #[arg(long, value_name = "DIR")]
    evaluator_models: Option<PathBuf>,
    /// Start without the validator's VRF key in this home; its votes then do not count.
    #[arg(long)]
    without_vrf_key: bool,
    /// Address to serve Prometheus metrics on, at /metrics; default: off.
    #[arg(long, value_name = "HOST:PORT")]
    metrics_address: Option<SocketAddr>,
}

impl Start {
    /// Runs the node until a signal arrives or a part fails.
    ///
    /// # Errors
    /// The part that could not start or that ended by itself.
    pub(super) fn run(self, home: &Home) -> anyhow::Result<()> {
        let settings = self.settings(home)?;
        let risks = AcceptedRisks {
            remote_abci: self.allow_remote_abci,
            missing_vrf_key: self.without_vrf_key,
        };
        node::start(home, &settings, risks, runtime()?)
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
