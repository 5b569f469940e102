//! A node's home: the paths of its files and their contents.

pub mod comet_config;
pub mod genesis;
pub mod settings;
pub mod validator_keys;
pub mod vrf_keys;

use std::path::{Path, PathBuf};

/// A node's home, `--home`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Home(PathBuf);

impl Home {
    /// The home at `path`, which need not exist.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// The folder itself, which contains the keyrings.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The folder of settings, genesis and CometBFT's keys.
    pub fn config(&self) -> PathBuf {
        self.0.join("config")
    }

    /// The genesis document.
    pub fn genesis(&self) -> PathBuf {
        self.config().join("genesis.json")
    }

    /// The node's consensus key.
    pub fn validator_key(&self) -> PathBuf {
        self.config().join("priv_validator_key.json")
    }

    /// The validator's VRF keys.
    pub fn vrf_key(&self) -> PathBuf {
        self.config().join("priv_vrf_key.json")
    }

    /// CometBFT's settings.
    pub fn comet_toml(&self) -> PathBuf {
        self.config().join("config.toml")
    }

    /// The daemon's settings.
    pub fn app_toml(&self) -> PathBuf {
        self.config().join("app.toml")
    }

    /// Defaults of the commands that connect to a node.
    pub fn client_toml(&self) -> PathBuf {
        self.config().join("client.toml")
    }

    /// Settings of a worker, if the home is an inference node's or an evaluator's.
    pub fn worker_toml(&self) -> PathBuf {
        self.0.join("config.toml")
    }

    /// Default folder of the evaluator models' files.
    pub fn evaluator_models(&self) -> PathBuf {
        self.0.join("evaluator-models")
    }

    /// The ABCI socket for a supervised CometBFT.
    pub fn abci_socket(&self) -> PathBuf {
        self.0.join("abci.sock")
    }

    /// The application's database; CometBFT's are beside it.
    pub fn app_data(&self) -> PathBuf {
        self.0.join("data").join("app")
    }
}

/// `~/.poqd`, or `.poqd` in the working directory for a user without a home.
pub fn default_home() -> PathBuf {
    std::env::home_dir().unwrap_or_default().join(".poqd")
}
