use std::path::{Path, PathBuf};

use serde_json::Value;
use tokio::process::Command;

use crate::{Error, Result};
use poq_client::network::{Validator, Worker};

/// The programs that a network runs.
#[derive(Clone, Debug)]
pub struct Programs {
    poqd: PathBuf,
    inference_node: PathBuf,
    evaluator: PathBuf,
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
            cometbft: poq_client::cache().join("bin/cometbft"),
        };
        let all = [
            &programs.poqd,
            &programs.inference_node,
            &programs.evaluator,
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
        let mut command = init(&self.inference_node, root, chain_id, worker);
        // Processes of a local network share few cores, so a second engine would only slow the first down.
        command.args(["--listen", &worker.http, "--open", "--concurrency", "1"]);
        command
    }

    pub(crate) fn init_evaluator(&self, root: &Path, chain_id: &str, worker: &Worker) -> Command {
        let mut command = init(&self.evaluator, root, chain_id, worker);
        for model in &worker.models {
            command.args(["--model", model]);
        }
        command
    }

    pub(crate) fn register_inference_node(&self, root: &Path, worker: &Worker) -> Command {
        register(&self.inference_node, root, worker)
    }

    pub(crate) fn register_evaluator(&self, root: &Path, worker: &Worker) -> Command {
        register(&self.evaluator, root, worker)
    }

    pub(crate) fn start_inference_node(&self, root: &Path, worker: &Worker) -> Command {
        start(&self.inference_node, root, worker)
    }

    pub(crate) fn start_evaluator(&self, root: &Path, worker: &Worker) -> Command {
        start(&self.evaluator, root, worker)
    }
}

fn init(program: &Path, root: &Path, chain_id: &str, worker: &Worker) -> Command {
    let mut command = Command::new(program);
    command
        .arg("init")
        .arg("--home")
        .arg(root.join(&worker.account.home))
        .args(["--chain-id", chain_id, "--node", &worker.rpc])
        .args(["--key", &worker.account.key, "--keyring-backend", "test"]);
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

fn start(program: &Path, root: &Path, worker: &Worker) -> Command {
    let mut command = Command::new(program);
    command
        .arg("start")
        .arg("--home")
        .arg(root.join(&worker.account.home));
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
