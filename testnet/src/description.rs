//! `network.json`: what `poqd testnet init-files` made.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// Every process, port and key of a network. Homes are relative to the network's folder.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Description {
    /// The chain's id.
    pub chain_id: String,
    /// Of fees, stakes and prices.
    pub denom: String,
    /// In the order of their numbers.
    pub validators: Vec<Validator>,
    /// In the order of their numbers.
    pub inference_nodes: Vec<Worker>,
    /// In the order of their numbers.
    pub evaluators: Vec<Worker>,
    /// Has money and asks.
    pub user: Account,
    /// May change models and parameters.
    pub authority: Account,
}

/// A validator: a home of `poqd`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Validator {
    /// For example `node1`.
    pub name: String,
    /// Its home and its operator's key.
    #[serde(flatten)]
    pub account: Account,
    /// URL of CometBFT's RPC.
    pub rpc: String,
    /// Where CometBFT listens for its peers.
    pub p2p: String,
    /// Where the application listens for CometBFT.
    pub abci: String,
    /// Where the daemon serves gRPC.
    pub grpc: String,
}

/// An inference node or an evaluator.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Worker {
    /// For example `evaluator-1`.
    pub name: String,
    /// Its home and its operator's key.
    #[serde(flatten)]
    pub account: Account,
    /// RPC of the validator that it uses.
    pub rpc: String,
    /// Where its HTTP server listens.
    pub http: String,
}

/// A key and where it is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Account {
    /// Folder with its keyring.
    pub home: PathBuf,
    /// Name in the keyring.
    pub key: String,
    /// Bech32.
    pub address: String,
}

impl Description {
    /// Reads `network.json` in `root`.
    pub fn read(root: &Path) -> Result<Self> {
        let path = root.join("network.json");
        let text = fs::read(&path).map_err(Error::file(&path))?;
        serde_json::from_slice(&text).map_err(|error| Error::Contents {
            path,
            reason: error.to_string(),
        })
    }

    /// The name of the operator with this address, or the address if it is nobody's here.
    pub fn name<'a>(&'a self, address: &'a str) -> &'a str {
        let workers = self.inference_nodes.iter().chain(&self.evaluators);
        workers
            .filter(|worker| worker.account.address == address)
            .map(|worker| worker.name.as_str())
            .next()
            .unwrap_or(address)
    }

    /// Every port that a process will listen on, and for what.
    pub(crate) fn ports(&self) -> Vec<(u16, String)> {
        let validators = self.validators.iter().flat_map(|node| {
            [
                ("RPC", &node.rpc),
                ("P2P", &node.p2p),
                ("ABCI", &node.abci),
                ("gRPC", &node.grpc),
            ]
            .map(|(what, address)| (address, format!("{what} of {}", node.name)))
        });
        let workers = self.inference_nodes.iter().chain(&self.evaluators);
        let workers = workers.map(|worker| (&worker.http, format!("HTTP of {}", worker.name)));
        validators
            .chain(workers)
            .filter_map(|(address, user)| Some((port(address)?, user)))
            .collect()
    }
}

/// The port of a URL or of `host:port`.
fn port(address: &str) -> Option<u16> {
    address
        .trim_end_matches('/')
        .rsplit(':')
        .next()?
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::port;

    #[test]
    fn ports_are_found_in_urls_and_addresses() {
        assert_eq!(port("http://127.0.0.1:26657"), Some(26657));
        assert_eq!(port("tcp://127.0.0.1:26658/"), Some(26658));
        assert_eq!(port("127.0.0.1:8080"), Some(8080));
        assert_eq!(port("unix:///tmp/socket"), None);
    }
}
