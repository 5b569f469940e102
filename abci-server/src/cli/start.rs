//! `poqd start`.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::runtime;
use crate::home::Home;
use crate::home::settings::AppSettings;
use crate::node::{self, AcceptedRisks};
use crate::transport::Address;

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

impl Start {
    /// Runs the node until a signal comes or a part fails.
    ///
    /// # Errors
    /// What could not start, or which part ended by itself.
    pub fn run(self, home: &Home) -> anyhow::Result<()> {
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
