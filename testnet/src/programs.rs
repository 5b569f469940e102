use std::path::{Path, PathBuf};

use serde_json::Value;
use tokio::process::Command;

use crate::{Error, Result};
use poq_client::cache;
use poq_client::network::{Account, Gateway, Validator, Worker};

/// The programs that a network runs.
#[derive(Clone, Debug)]
pub struct Programs {
    poqd: PathBuf,
    inference_node: PathBuf,
    evaluator: PathBuf,
    gateway: PathBuf,
    cometbft: PathBuf,
}

impl Programs {
    /// Finds this project's programs in the folder of `program`, which is one of them, and CometBFT in the
    /// cache filled by setup.
    pub fn beside(program: &Path) -> Result<Self> {
        let folder = program.parent().unwrap_or(Path::new("."));
        let programs = Self {
            poqd: folder.join("poqd"),
            inference_node: folder.join("poq-inference-node"),
            evaluator: folder.join("poq-evaluator"),
            gateway: folder.join("poq-gateway"),
            cometbft: poq_client::cache().join("bin/cometbft"),
        };
        let all = [
            &programs.poqd,
            &programs.inference_node,
            &programs.evaluator,
            &programs.gateway,
            &programs.cometbft,
        ];
        if let Some(missing) = all.into_iter().find(|path| !path.is_file()) {
            return Err(Error::Missing(missing.clone()));
        }
        Ok(programs)
    }

    /// The node daemon and command line.
    pub fn poqd(&self) -> &Path {
        &self.poqd
    }

    pub(crate) fn cometbft(&self) -> &Path {
        &self.cometbft
    }

    pub(crate) fn start_validator(&self, root: &Path, node: &Validator) -> Command {
        let mut command = Command::new(&self.poqd);
        command
            .arg("start")
            .arg("--home")
            .arg(root.join(&node.account.home))
            .arg("--with-comet")
            .arg("--cometbft")
            .arg(&self.cometbft);
        command
    }

    pub(crate) fn init_inference_node(
        &self,
        root: &Path,
        chain_id: &str,
        worker: &Worker,
    ) -> Command {
        let mut command = init_worker(&self.inference_node, root, chain_id, worker);
        command.args(["--stream-listen", &worker.stream]);
        // Processes of a local network share few cores, so a second engine would only slow the first down.
        command.args(["--listen", &worker.http, "--open", "--concurrency", "1"]);
        command
    }

    pub(crate) fn init_evaluator(&self, root: &Path, chain_id: &str, worker: &Worker) -> Command {
        let mut command = init_worker(&self.evaluator, root, chain_id, worker);
        for model in &worker.models {
            command.args(["--model", model]);
        }
        command
    }

    pub(crate) fn init_gateway(&self, root: &Path, chain_id: &str, gateway: &Gateway) -> Command {
        let Gateway {
            account, rpc, http, ..
        } = gateway;
        let mut command = init(&self.gateway, root, chain_id, account, rpc);
        // The nodes of a local network are on this machine.
        command.args(["--listen", http, "--allow-private-endpoints"]);
        let models = cache().join("models");
        command.arg("--evaluator-models").arg(models);
        for model in &gateway.models {
            command.args(["--model", model]);
        }
        command
    }

    pub(crate) fn create_api_key(&self, root: &Path, gateway: &Gateway, name: &str) -> Command {
        let mut command = Command::new(&self.gateway);
        command
            .args([
                "keys", "create", "--name", name, "--output", "json", "--home",
            ])
            .arg(root.join(&gateway.account.home));
        command
    }

    /// Prints what the chain must know about a node's sessions.
    pub(crate) fn show_stream(&self, root: &Path, worker: &Worker) -> Command {
        let mut command = Command::new(&self.inference_node);
        command
            .args(["stream", "--output", "json", "--home"])
            .arg(root.join(&worker.account.home));
        command
    }

    pub(crate) fn register_inference_node(&self, root: &Path, worker: &Worker) -> Command {
        register(&self.inference_node, root, worker)
    }

    pub(crate) fn register_evaluator(&self, root: &Path, worker: &Worker) -> Command {
        register(&self.evaluator, root, worker)
    }

    pub(crate) fn start_inference_node(&self, root: &Path, worker: &Worker) -> Command {
        start(&self.inference_node, root, &worker.account)
    }

    pub(crate) fn start_evaluator(&self, root: &Path, worker: &Worker) -> Command {
        start(&self.evaluator, root, &worker.account)
    }

    pub(crate) fn start_gateway(&self, root: &Path, gateway: &Gateway) -> Command {
        start(&self.gateway, root, &gateway.account)
    }
}

fn init_worker(program: &Path, root: &Path, chain_id: &str, worker: &Worker) -> Command {
    init(program, root, chain_id, &worker.account, &worker.rpc)
}

fn init(program: &Path, root: &Path, chain_id: &str, account: &Account, rpc: &str) -> Command {
    let mut command = Command::new(program);
    command
        .arg("init")
        .arg("--home")
        .arg(root.join(&account.home))
        .args(["--chain-id", chain_id, "--node", rpc])
        .args(["--key", &account.key, "--keyring-backend", "test"]);
    command
}

fn register(program: &Path, root: &Path, worker: &Worker) -> Command {
    let mut command = Command::new(program);
    command
        .arg("register")
        .arg("--home")
        .arg(root.join(&worker.account.home))
        .args(["--stake", &worker.stake.to_string()]);
    command
}

fn start(program: &Path, root: &Path, account: &Account) -> Command {
    let mut command = Command::new(program);
    command
        .arg("start")
        .arg("--home")
        .arg(root.join(&account.home));
    command
}

/// The `GenesisState` of local networks, to which accounts and operators are added.
pub(crate) fn genesis_template() -> Result<Value> {
    let path = "testnet/config/genesis-template.json";
    serde_json::from_str(include_str!("../config/genesis-template.json")).map_err(|error| {
        Error::Contents {
            path: path.into(),
            reason: error.to_string(),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_have_the_registry_entries_of_the_judges() {
        let entries = [
            include_str!("../../evaluator/registry/judge-minilm-nc-2.json"),
            include_str!("../../evaluator/registry/judge-bge-nc-2.json"),
        ];
        let entries = entries.map(|entry| serde_json::from_str::<Value>(entry).unwrap());
        assert_eq!(
            genesis_template().unwrap()["evaluator_models"],
            Value::from(entries.to_vec())
        );
    }
}
