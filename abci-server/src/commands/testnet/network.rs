//! `network.json`: all that a program needs to know to run and use the network.

use serde::{Deserialize, Serialize};

/// The network. Homes are relative to the folder of the file.
#[derive(Debug, Serialize, Deserialize)]
pub struct Network {
    /// Id of the chain.
    pub chain_id: String,
    /// Denom of fees and stakes.
    pub denom: String,
    /// `test` or `file`.
    pub keyring_backend: String,
    /// Run with `poqd start --with-comet --home HOME`.
    pub validators: Vec<Validator>,
    /// Run with `poq-inference-node start --home HOME`.
    pub inference_nodes: Vec<Worker>,
    /// Run with `poq-evaluator start --home HOME`.
    pub evaluators: Vec<Worker>,
    /// A rich account; its home has client.toml too.
    pub user: Account,
    /// The account that may register models.
    pub authority: Account,
}

impl Network {
    /// Every home; the same one for accounts that share it.
    pub fn homes(&self) -> impl Iterator<Item = &str> {
        let validators = self.validators.iter().map(|node| &node.account);
        let workers = self.inference_nodes.iter().chain(&self.evaluators);
        validators
            .chain(workers.map(|worker| &worker.account))
            .chain([&self.user, &self.authority])
            .map(|account| account.home.as_str())
    }
}

/// A key and where it is.
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
#[derive(Debug, Serialize, Deserialize)]
pub struct Validator {
    /// For people; the node's moniker.
    pub name: String,
    /// Account of the validator's operator.
    #[serde(flatten)]
    pub account: Account,
    /// Base URL of CometBFT's RPC.
    pub rpc: String,
    /// Host and port of peer-to-peer connections.
    pub p2p: String,
    /// Host and port where the application serves ABCI.
    pub abci: String,
    /// Host and port where the daemon serves gRPC.
    pub grpc: String,
    /// Peer-to-peer id.
    pub node_id: String,
    /// Of the consensus key, 40 hex digits, as in block headers.
    pub consensus_address: String,
}

/// One inference node or evaluator, registered in the genesis.
#[derive(Debug, Serialize, Deserialize)]
pub struct Worker {
    /// For people.
    pub name: String,
    /// The operator's account.
    #[serde(flatten)]
    pub account: Account,
    /// Base URL of the RPC of the node that it uses.
    pub rpc: String,
    /// Host and port for its own server.
    pub http: String,
    /// Ids of the models that it is registered for.
    pub models: Vec<String>,
    /// Base units.
    pub stake: u64,
}
