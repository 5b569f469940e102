//! A node's home: the paths of its files and their contents.

pub(crate) mod comet_config;
pub(crate) mod genesis;
pub(crate) mod settings;
pub(crate) mod validator_keys;
pub(crate) mod vrf_keys;

use std::path::{Path, PathBuf};

/// A node's home, `--home`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Home(PathBuf);

impl Home {
    /// The home at `path`, which need not exist.
    pub(crate) fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// The folder itself, which contains the keyrings.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// The folder of settings, genesis and CometBFT's keys.
    pub(crate) fn config(&self) -> PathBuf {
        self.0.join("config")
    }

    /// The genesis document.
    pub(crate) fn genesis(&self) -> PathBuf {
        self.config().join("genesis.json")
    }

    /// The node's consensus key.
    pub(crate) fn validator_key(&self) -> PathBuf {
        self.config().join("priv_validator_key.json")
    }

    /// The validator's VRF keys.
    pub(crate) fn vrf_key(&self) -> PathBuf {
        self.config().join("priv_vrf_key.json")
    }

    /// CometBFT's settings.
    pub(crate) fn comet_toml(&self) -> PathBuf {
        self.config().join("config.toml")
    }

    /// The daemon's settings.
    pub(crate) fn app_toml(&self) -> PathBuf {
        self.config().join("app.toml")
    }

    /// Defaults of the commands that connect to a node.
    pub(crate) fn client_toml(&self) -> PathBuf {
        self.config().join("client.toml")
    }

    /// Settings of a worker, if the home is an inference node's or an evaluator's.
    pub(crate) fn worker_toml(&self) -> PathBuf {
        self.0.join("config.toml")
    }

    /// Default folder of the evaluator models' files.
    pub(crate) fn evaluator_models(&self) -> PathBuf {
        self.0.join("evaluator-models")
    }

    /// The ABCI socket for a supervised CometBFT.
    pub(crate) fn abci_socket(&self) -> PathBuf {
        self.0.join("abci.sock")
    }

    /// The application's database; CometBFT's are beside it.
    pub(crate) fn app_data(&self) -> PathBuf {
        self.0.join("data").join("app")
    }
}

/// `~/.poqd`, or `.poqd` in the working directory for a user without a home.
pub(crate) fn default_home() -> PathBuf {
    std::env::home_dir().unwrap_or_default().join(".poqd")
}
