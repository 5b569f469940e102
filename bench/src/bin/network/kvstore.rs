//! CometBFT's built-in application `persistent_kvstore`, in the same CometBFT with the same settings as
//! the nodes of our network.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use poq_testnet::{Description, Process};
use serde_json::{Value, json};
use tokio::process::Command;

use crate::load::Lanes;

/// Time that a node has to stop.
const GRACE: Duration = Duration::from_secs(10);
/// The files of a node's home that define the node.
const FILES: [&str; 5] = [
    "config/config.toml",
    "config/genesis.json",
    "config/node_key.json",
    "config/priv_validator_key.json",
    "data/priv_validator_state.json",
];

/// Running nodes.
pub(crate) struct Kvstore(Vec<Process>);

impl Kvstore {
    /// Copies the homes of the validators of `network`, which must not have run yet, from `from` to `to`.
    ///
    /// # Errors
    /// I/O errors.
    pub(crate) fn copy(network: &Description, from: &Path, to: &Path) -> anyhow::Result<()> {
        for node in &network.validators {
            let (from, to) = (from.join(&node.account.home), to.join(&node.name));
            for folder in ["config", "data"] {
                fs::create_dir_all(to.join(folder))?;
            }
            for file in FILES {
                fs::copy(from.join(file), to.join(file))
                    .with_context(|| format!("cannot copy {}", from.join(file).display()))?;
            }
            let genesis = to.join("config/genesis.json");
            let mut document: Value = serde_json::from_slice(&fs::read(&genesis)?)?;
            document["app_state"] = json!({});
            // kvstore does not extend votes.
            document["consensus_params"]["abci"]["vote_extensions_enable_height"] = json!("0");
            fs::write(&genesis, document.to_string())?;
        }
        Ok(())
    }

    /// Starts the nodes whose homes are in `root`.
    ///
    /// # Errors
    /// If one cannot be started.
    pub(crate) fn start(network: &Description, root: &Path) -> anyhow::Result<Self> {
        let start = |name: &str| {
            let mut command = Command::new(poq_client::cache().join("bin/cometbft"));
            command.arg("start").arg("--home").arg(root.join(name));
            command.args(["--proxy_app", "persistent_kvstore"]);
            Process::start(name, command, &root.join(format!("{name}.log")))
        };
        let nodes = network.validators.iter();
        let processes: Result<_, _> = nodes.map(|node| start(&node.name)).collect();
        Ok(Self(processes?))
    }

    /// Ids of the processes.
    pub(crate) fn pids(&self) -> impl Iterator<Item = i32> {
        self.0.iter().flat_map(Process::pids)
    }

    /// Checks that all nodes run.
    ///
    /// # Errors
    /// If a node has stopped; the error has the end of its log.
    pub(crate) fn check(&mut self) -> anyhow::Result<()> {
        Ok(self.0.iter_mut().try_for_each(Process::check)?)
    }

    /// Stops the nodes.
    ///
    /// # Errors
    /// If one cannot be stopped.
    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        for process in &mut self.0 {
            process.terminate()?;
        }
        for process in &mut self.0 {
            process.stop(GRACE).await?;
        }
        Ok(())
    }
}

/// Transactions of `bytes` bytes in lanes; each sets a new key.
pub(crate) fn transactions(lanes: usize, count: usize, bytes: usize, run: usize) -> Lanes {
    let tx = |lane: usize, index: usize| {
        let mut tx = format!("{run}.{lane}.{index}=").into_bytes();
        tx.resize(bytes.max(tx.len() + 1), b'v');
        tx
    };
    (0..lanes)
        .map(|lane| (0..count).map(|index| tx(lane, index)).collect())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_transaction_sets_another_key_and_has_the_size() {
        let mut txs = transactions(3, 4, 50, 1).concat();
        txs.extend(transactions(3, 4, 50, 2).concat());
        assert!(txs.iter().all(|tx| tx.len() == 50));
        txs.sort();
        txs.dedup();
        assert_eq!(txs.len(), 24);
    }
}
