use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use poq_client::{Client, Key, Sender};
use poq_proto::v1::Role;
use serde_json::{Value, json};
use tokio::process::Command;

use crate::process::{self, Process};
use crate::programs::genesis_template;
use crate::{Error, Programs, Result, ports};
use poq_client::network::{Account, Description, FILE, Worker};

/// Time that a process has to stop before it is killed.
const STOP_GRACE: Duration = Duration::from_secs(10);
/// Committee size of a network with enough evaluators.
const COMMITTEE_SIZE: usize = 5;
/// Chain id of local networks.
const CHAIN_ID: &str = "poq-local-1";

/// The size and settings of a new network.
#[derive(Clone, Debug)]
pub struct Spec {
    /// Validators, each with CometBFT and the application; at least 1.
    pub validators: usize,
    /// Inference nodes.
    pub inference_nodes: usize,
    /// Evaluators.
    pub evaluators: usize,
    /// First port; the others come after it.
    pub base_port: u16,
    /// The chain's id.
    pub chain_id: String,
    /// `GenesisState` as proto3 JSON; accounts and nodes are added to it.
    pub genesis: Value,
    /// Duties that each worker takes at once; 0 means the chain's default.
    pub capacity: u32,
}

impl Spec {
    /// Creates a spec with these numbers of processes, on the ports from `base_port`, with the parameters
    /// and models of local networks. Committees have five seats, or fewer if there are fewer evaluators.
    pub fn new(
        validators: usize,
        inference_nodes: usize,
        evaluators: usize,
        base_port: u16,
    ) -> Result<Self> {
        let mut genesis = genesis_template()?;
        genesis["params"]["committee_size"] = json!(evaluators.clamp(1, COMMITTEE_SIZE));
        Ok(Self {
            validators,
            inference_nodes,
            evaluators,
            base_port,
            chain_id: CHAIN_ID.into(),
            genesis,
            capacity: 0,
        })
    }
}

/// A local network: its homes under one folder, and its processes.
#[derive(Debug)]
pub struct Network {
    root: PathBuf,
    programs: Programs,
    description: Description,
    processes: BTreeMap<String, Process>,
    /// Lock that keeps other networks out of the folder.
    _lock: File,
}

impl Network {
    /// Creates the homes of a new network in `root`. An earlier network there is removed.
    pub async fn create(root: &Path, programs: Programs, spec: &Spec) -> Result<Self> {
        refuse_foreign(root)?;
        let lock = lock(root)?;
        // An absolute path does not depend on a process's working directory.
        let root = fs::canonicalize(root).map_err(Error::file(root))?;
        clear(&root)?;
        fs::create_dir(root.join("logs")).map_err(Error::file(&root))?;
        let description = init_files(&root, &programs, spec).await?;
        ports::check(spec.base_port, ports::of(&description))?;
        let network = Self {
            root,
            programs,
            description,
            processes: BTreeMap::new(),
            _lock: lock,
        };
        network.init_workers().await?;
        Ok(network)
    }

    /// The folder with the homes and logs.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The programs that it runs.
    pub fn programs(&self) -> &Programs {
        &self.programs
    }

    /// The folder with one log per process.
    pub fn logs(&self) -> PathBuf {
        self.root.join("logs")
    }

    /// The contents of `network.json`.
    pub fn description(&self) -> &Description {
        &self.description
    }

    /// Starts every process that is not running.
    pub fn start_all(&mut self) -> Result<()> {
        let names: Vec<String> = self.description.names().map(Into::into).collect();
        for name in names {
            if !self.processes.contains_key(&name) {
                self.start(&name)?;
            }
        }
        Ok(())
    }

    /// Starts one process by its name.
    pub fn start(&mut self, name: &str) -> Result<()> {
        let command = self.command(name)?;
        let log = self.logs().join(format!("{name}.log"));
        let process = Process::start(name, command, &log)?;
        self.processes.insert(name.into(), process);
        Ok(())
    }

    /// Asks one process to stop and waits for it.
    pub async fn stop(&mut self, name: &str) -> Result<()> {
        match self.processes.remove(name) {
            Some(mut process) => process.stop(STOP_GRACE).await,
            None => Err(Error::NoProcess(name.into())),
        }
    }

    /// Kills one process, and those that it started, with SIGKILL.
    pub async fn kill(&mut self, name: &str) -> Result<()> {
        match self.processes.remove(name) {
            Some(mut process) => process.kill().await,
            None => Err(Error::NoProcess(name.into())),
        }
    }

    /// Ids of a process and of those that it started.
    pub fn pids(&self, name: &str) -> Result<Vec<i32>> {
        let process = self.processes.get(name);
        Ok(process.ok_or_else(|| Error::NoProcess(name.into()))?.pids())
    }

    /// The running processes.
    pub fn processes(&self) -> impl Iterator<Item = &Process> {
        self.processes.values()
    }

    /// Returns [`Error::Crashed`] for the first process that ended by itself.
    pub fn check(&mut self) -> Result<()> {
        self.processes.values_mut().try_for_each(Process::check)
    }

    /// Forgets the processes that ended by themselves.
    pub fn forget_crashed(&mut self) {
        self.processes.retain(|_, process| process.check().is_ok());
    }

    /// Stops every process, workers first, so that none logs errors about a missing chain.
    pub async fn shut_down(mut self) -> Result<()> {
        let validators: Vec<String> = self.validator_names();
        let (validators, workers): (Vec<_>, Vec<_>) = std::mem::take(&mut self.processes)
            .into_values()
            .partition(|process| validators.iter().any(|name| name == process.name()));
        for mut group in [workers, validators] {
            for process in &mut group {
                process.terminate()?;
            }
            for process in &mut group {
                process.stop(STOP_GRACE).await?;
            }
        }
        Ok(())
    }

    /// A client of the validator at this position.
    pub fn client(&self, validator: usize) -> Result<Client> {
        let node = self
            .description
            .validators
            .get(validator)
            .ok_or_else(|| Error::NoProcess(format!("node{}", validator + 1)))?;
        Ok(Client::new(&node.rpc)?)
    }

    /// A sender for an account, through the first validator.
    pub async fn sender(&self, account: &Account) -> Result<Sender> {
        let chain_id = Some(self.description.chain_id.as_str());
        Ok(Sender::new(self.client(0)?, self.key(account)?, chain_id).await?)
    }

    /// The signing key of an account.
    pub fn key(&self, account: &Account) -> Result<Key> {
        Ok(self.description.key(&self.root, account)?)
    }

    fn validator_names(&self) -> Vec<String> {
        let validators = self.description.validators.iter();
        validators.map(|node| node.name.clone()).collect()
    }

    fn command(&self, name: &str) -> Result<Command> {
        let Description {
            validators,
            inference_nodes,
            evaluators,
            gateway,
            ..
        } = &self.description;
        let (root, programs) = (&self.root, &self.programs);
        let named = |worker: &&crate::Worker| worker.name == name;
        if let Some(node) = validators.iter().find(|node| node.name == name) {
            return Ok(programs.start_validator(root, node));
        }
        if let Some(worker) = inference_nodes.iter().find(named) {
            return Ok(programs.start_inference_node(root, worker));
        }
        if let Some(worker) = evaluators.iter().find(named) {
            return Ok(programs.start_evaluator(root, worker));
        }
        if let Some(gateway) = gateway.iter().find(|gateway| gateway.name == name) {
            return Ok(programs.start_gateway(root, gateway));
        }
        Err(Error::NoProcess(name.into()))
    }

    /// Adds a worker to the network and to its `network.json`.
    pub(crate) fn insert(&mut self, role: Role, worker: Worker) -> Result<()> {
        match role {
            Role::Inference => self.description.inference_nodes.push(worker),
            _ => self.description.evaluators.push(worker),
        }
        Ok(self.description.write(&self.root)?)
    }

    async fn init_workers(&self) -> Result<()> {
        let (root, chain_id) = (&self.root, &self.description.chain_id);
        for worker in &self.description.inference_nodes {
            let mut command = self.programs.init_inference_node(root, chain_id, worker);
            process::output("poq-inference-node init", &mut command).await?;
        }
        for worker in &self.description.evaluators {
            let mut command = self.programs.init_evaluator(root, chain_id, worker);
            process::output("poq-evaluator init", &mut command).await?;
        }
        if let Some(gateway) = &self.description.gateway {
            let mut command = self.programs.init_gateway(root, chain_id, gateway);
            process::output("poq-gateway init", &mut command).await?;
        }
        Ok(())
    }
}

fn lock(root: &Path) -> Result<File> {
    fs::create_dir_all(root).map_err(Error::file(root))?;
    let path = root.join("lock");
    let file = File::create(&path).map_err(Error::file(&path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => Err(Error::Running(root.into())),
        Err(fs::TryLockError::Error(error)) => Err(Error::file(&path)(error)),
    }
}

/// Refuses a folder that contains other files than a network's.
fn refuse_foreign(root: &Path) -> Result<()> {
    let is_network = root.join(FILE).exists() || root.join("logs").exists();
    let is_empty = match fs::read_dir(root) {
        Ok(entries) => entries.flatten().all(|entry| entry.file_name() == "lock"),
        Err(error) if error.kind() == ErrorKind::NotFound => true,
        Err(error) => return Err(Error::file(root)(error)),
    };
    match is_network || is_empty {
        true => Ok(()),
        false => Err(Error::NotEmpty(root.into())),
    }
}

/// Removes an earlier network.
fn clear(root: &Path) -> Result<()> {
    for entry in fs::read_dir(root).map_err(Error::file(root))? {
        let entry = entry.map_err(Error::file(root))?;
        let path = entry.path();
        if entry.file_name() == "lock" {
            continue;
        }
        let removed = match path.is_dir() {
            true => fs::remove_dir_all(&path),
            false => fs::remove_file(&path),
        };
        removed.map_err(Error::file(&path))?;
    }
    Ok(())
}

async fn init_files(root: &Path, programs: &Programs, spec: &Spec) -> Result<Description> {
    let template = root.join("genesis-template.json");
    fs::write(&template, spec.genesis.to_string()).map_err(Error::file(&template))?;
    let mut command = Command::new(programs.poqd());
    command
        .args(["testnet", "init-files", "--output-dir"])
        .arg(root)
        .arg("--genesis-template")
        .arg(&template)
        .arg("--cometbft")
        .arg(programs.cometbft())
        .args(["--chain-id", &spec.chain_id])
        .args(["--validators", &spec.validators.to_string()])
        .args(["--inference-nodes", &spec.inference_nodes.to_string()])
        .args(["--evaluators", &spec.evaluators.to_string()])
        .args(["--base-port", &spec.base_port.to_string()])
        .args(["--capacity", &spec.capacity.to_string()]);
    process::output("poqd testnet init-files", &mut command).await?;
    Ok(Description::read(root)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_used_by_one_network_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let held = lock(folder.path()).unwrap();
        assert!(matches!(lock(folder.path()), Err(Error::Running(_))));
        drop(held);
        lock(folder.path()).unwrap();
    }

    #[test]
    fn only_networks_are_removed() {
        let folder = tempfile::tempdir().unwrap();
        refuse_foreign(folder.path()).unwrap();
        fs::write(folder.path().join("thesis.tex"), "").unwrap();
        let refused = refuse_foreign(folder.path());
        assert!(matches!(refused, Err(Error::NotEmpty(_))));
        let _lock = lock(folder.path()).unwrap();
        let refused = refuse_foreign(folder.path());
        assert!(matches!(refused, Err(Error::NotEmpty(_))));
        fs::write(folder.path().join(FILE), "{}").unwrap();
        fs::create_dir(folder.path().join("node1")).unwrap();
        refuse_foreign(folder.path()).unwrap();
        clear(folder.path()).unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
