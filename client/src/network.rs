//! `network.json`: how to run and use a local network.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::keyring::{self, Backend, Keyring};
use crate::{Error, Key, Result, durable, json};

/// Name of the file.
pub const FILE: &str = "network.json";

/// The processes, ports and keys of a network. Homes are relative to the file's folder.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Description {
    /// Chain id.
    pub chain_id: String,
    /// Denom of fees and stakes.
    pub denom: String,
    /// Keyring backend of every home.
    pub keyring_backend: Backend,
    /// Run with `poqd start --with-comet --home HOME`.
    pub validators: Vec<Validator>,
    /// Run with `poq-inference-node start --home HOME`.
    pub inference_nodes: Vec<Worker>,
    /// Run with `poq-evaluator start --home HOME`.
    pub evaluators: Vec<Worker>,
    /// Run with `poq-gateway start --home HOME`; absent if the chain has no sessions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<Gateway>,
    /// A funded account; its home also has client.toml.
    pub user: Account,
    /// The account that may register models and change parameters.
    pub authority: Account,
}

/// A key and its location.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Account {
    /// Folder with the keyring.
    pub home: String,
    /// Name in the keyring.
    pub key: String,
    /// Bech32.
    pub address: String,
}

/// One node: the application and CometBFT.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Validator {
    /// Display name, for example `node1`; the node's moniker.
    pub name: String,
    /// Its home and its operator's key.
    #[serde(flatten)]
    pub account: Account,
    /// Base URL of CometBFT's RPC.
    pub rpc: String,
    /// Host and port of peer-to-peer connections.
    pub p2p: String,
    /// Host and port where the daemon serves gRPC.
    pub grpc: String,
    /// Peer-to-peer id.
    pub node_id: String,
    /// Address of the consensus key, 40 hex digits, as in block headers.
    pub consensus_address: String,
}

/// One inference node or evaluator.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Worker {
    /// Display name, for example `evaluator-1`.
    pub name: String,
    /// Its home and its operator's key.
    #[serde(flatten)]
    pub account: Account,
    /// Base URL of the RPC of the node that it uses.
    pub rpc: String,
    /// Host and port of its own server.
    pub http: String,
    /// Host and port of an inference node's stream API; empty for evaluators.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub stream: String,
    /// Ids of the models that it is registered for.
    pub models: Vec<String>,
    /// Stake in base units.
    #[serde(deserialize_with = "json::integer")]
    pub stake: u64,
}

/// The gateway.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Gateway {
    /// Display name: `gateway`.
    pub name: String,
    /// Its home and the key that pays for sessions.
    #[serde(flatten)]
    pub account: Account,
    /// Base URL of the RPC of the node that it uses.
    pub rpc: String,
    /// Host and port of its API.
    pub http: String,
    /// Ids of the models whose sessions it opens ahead of requests.
    pub models: Vec<String>,
}

impl Description {
    /// Reads the file in the folder `root`.
    ///
    /// # Errors
    /// [`Error::File`] if it cannot be read, [`Error::InvalidFile`] if it cannot be parsed.
    pub fn read(root: &Path) -> Result<Self> {
        let path = root.join(FILE);
        let json = std::fs::read(&path).map_err(|source| Error::file("read", &path, source))?;
        serde_json::from_slice(&json).map_err(|error| invalid(path, &error))
    }

    /// Writes the file in the folder `root` atomically.
    ///
    /// # Errors
    /// [`Error::File`] with the operating system's error.
    pub fn write(&self, root: &Path) -> Result<()> {
        let path = root.join(FILE);
        let json = json::to_string_pretty(self);
        let json = json.map_err(|error| invalid(path.clone(), &error))?;
        durable::replace(&path, (json + "\n").as_bytes())
    }

    /// Inference nodes, then evaluators.
    pub fn workers(&self) -> impl Iterator<Item = &Worker> {
        self.inference_nodes.iter().chain(&self.evaluators)
    }

    /// The names of all processes, validators first.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let validators = self.validators.iter().map(|node| node.name.as_str());
        let gateway = self.gateway.iter().map(|gateway| gateway.name.as_str());
        validators
            .chain(self.workers().map(|worker| worker.name.as_str()))
            .chain(gateway)
    }

    /// Every home; repeated for accounts that share one.
    pub fn homes(&self) -> impl Iterator<Item = &str> {
        let validators = self.validators.iter().map(|node| &node.account);
        validators
            .chain(self.workers().map(|worker| &worker.account))
            .chain(self.gateway.iter().map(|gateway| &gateway.account))
            .chain([&self.user, &self.authority])
            .map(|account| account.home.as_str())
    }

    /// The name of the worker with this operator, or the address if there is none.
    pub fn name<'a>(&'a self, address: &'a str) -> &'a str {
        self.workers()
            .find(|worker| worker.account.address == address)
            .map_or(address, |worker| &worker.name)
    }

    /// The signing key of an account of the network in `root`.
    ///
    /// # Errors
    /// Those of the keyring.
    pub fn key(&self, root: &Path, account: &Account) -> Result<Key> {
        let home = root.join(&account.home);
        let keyring = Keyring::open(&home, self.keyring_backend, keyring::ask)?;
        keyring.key(&account.key)
    }
}

fn invalid(path: PathBuf, error: &serde_json::Error) -> Error {
    Error::InvalidFile {
        path,
        reason: error.to_string(),
    }
}
