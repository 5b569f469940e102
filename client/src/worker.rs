//! What an inference node and an evaluator have in common: a home folder with its settings and
//! keys, and the way onto the chain.

use std::path::{Path, PathBuf};
use std::time::Duration;

use poq_proto::v1::Role;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio_util::sync::CancellationToken;

use crate::keyring::Backend;
use crate::{Client, Follower, Result, Sender};

/// The table `[chain]` of a worker's `config.toml`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChainConfig {
    /// The chain's id; the node must be on it.
    pub id: String,
    /// The node's RPC address.
    pub node: String,
    /// Name of the operator's key.
    pub key: String,
    /// `test` or `file`.
    pub keyring: Backend,
    /// Pause between two looks for new blocks, in milliseconds; new blocks are noticed at once
    /// while the node's WebSocket works.
    #[serde(default = "default_poll_interval_ms")]
    pub poll_interval_ms: u64,
}

fn default_poll_interval_ms() -> u64 {
    1000
}

/// A worker's home: `config.toml`, `keyring-test` or `keyring-file`, and `data/`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerHome {
    path: PathBuf,
}

impl WorkerHome {
    /// The home at `path`, which must have a `config.toml`; creates `data/`.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self> {
        Ok(Self { path: path.into() })
    }

    /// The home itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the worker keeps its cursor, its journal and its files.
    pub fn data(&self) -> PathBuf {
        self.path.join("data")
    }

    /// Reads `config.toml`. `C` has a field `chain: ChainConfig` and the worker's own settings.
    pub fn config<C: DeserializeOwned>(&self) -> Result<C> {
        todo!()
    }
}

/// A worker's way onto the chain.
pub struct Worker {
    /// The node.
    pub client: Client,
    /// Signs as the operator.
    pub sender: Sender,
    /// Has its cursor in `data/cursor.json`.
    pub follower: Follower,
}

impl Worker {
    /// Opens the keyring, then waits until the node answers, is on the right chain, has caught
    /// up, and the operator is registered in `role`; says in the log what it waits for.
    /// [`crate::Error::Interrupted`] once `shutdown` is cancelled.
    pub async fn connect(
        home: &WorkerHome,
        config: &ChainConfig,
        role: Role,
        shutdown: &CancellationToken,
    ) -> Result<Self> {
        let _ = (home, config, role, shutdown, Duration::ZERO);
        todo!()
    }
}

/// A token that is cancelled by the first SIGINT or SIGTERM; a second one ends the process at
/// once. Call inside the Tokio runtime.
pub fn shutdown_on_signals() -> Result<CancellationToken> {
    todo!()
}
