//! What an inference node and an evaluator have in common: a home folder with its settings and
//! keys, the way onto the chain, what tells whether it does well, and the way to stop.

mod health;
mod watch;

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use poq_proto::v1::{Node, Role};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::keyring::{Backend, Keyring, ask};
use crate::{Client, Error, Follower, Key, Result, Sender, found};

pub use health::Health;
pub use watch::Watch;

/// Pause between two looks for what a worker waits for.
const PAUSE: Duration = Duration::from_secs(1);

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
    /// Whether a node whose jail time is over is unjailed without its operator.
    #[serde(default)]
    pub auto_unjail: bool,
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
        let home = Self { path: path.into() };
        let config = home.config_path();
        if !config.is_file() {
            return Err(Error::InvalidFile {
                path: home.path,
                reason: "it has no config.toml, so it is no worker's home; check --home".into(),
            });
        }
        let data = home.data();
        fs::create_dir_all(&data).map_err(|source| Error::file("create", &data, source))?;
        Ok(home)
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
        let path = self.config_path();
        let text =
            fs::read_to_string(&path).map_err(|source| Error::file("read", &path, source))?;
        toml::from_str(&text).map_err(|error| Error::InvalidFile {
            path,
            reason: error.to_string(),
        })
    }

    /// The operator's key; may ask for the passphrase.
    pub fn key(&self, chain: &ChainConfig) -> Result<Key> {
        self.keyring(chain)?.key(&chain.key)
    }

    /// The operator's address with the prefix of the chain's addresses; needs no passphrase.
    pub fn operator(&self, chain: &ChainConfig, prefix: &str) -> Result<String> {
        let keyring = self.keyring(chain)?.with_prefix(prefix);
        Ok(keyring.show(&chain.key)?.address)
    }

    /// Keeps other processes from this home until the lock is dropped: two of them would spend the
    /// same sequences and write the same files.
    ///
    /// # Errors
    /// [`Error::Locked`] if another process has it.
    pub fn lock(&self) -> Result<HomeLock> {
        let path = self.data().join("lock");
        let file = File::create(&path).map_err(|source| Error::file("create", &path, source))?;
        match file.try_lock() {
            Ok(()) => Ok(HomeLock { _file: file }),
            Err(TryLockError::WouldBlock) => Err(Error::Locked {
                path: self.path.clone(),
            }),
            Err(TryLockError::Error(source)) => Err(Error::file("lock", &path, source)),
        }
    }

    fn keyring(&self, chain: &ChainConfig) -> Result<Keyring> {
        Keyring::open(&self.path, chain.keyring, ask)
    }

    fn config_path(&self) -> PathBuf {
        self.path.join("config.toml")
    }
}

/// The right to a home; see [`WorkerHome::lock`]. The operating system takes it back from a process
/// that ends in whatever way.
#[derive(Debug)]
pub struct HomeLock {
    _file: File,
}

/// A worker's way onto the chain.
pub struct Worker {
    /// The node.
    pub client: Client,
    /// Signs as the operator.
    pub sender: Arc<Sender>,
    /// Has its cursor in `data/cursor.json`.
    pub follower: Follower,
}

impl Worker {
    /// Opens the keyring, then waits until the node answers, is on the right chain, has caught
    /// up, and the operator is registered in `role`; says in the log and to `health` what it waits
    /// for.
    /// [`Error::Interrupted`] once `shutdown` is cancelled.
    pub async fn connect(
        home: &WorkerHome,
        config: &ChainConfig,
        role: Role,
        health: &Health,
        shutdown: &CancellationToken,
    ) -> Result<Self> {
        if config.poll_interval_ms == 0 {
            return Err(Error::InvalidFile {
                path: home.config_path(),
                reason: "chain.poll_interval_ms must be at least 1".into(),
            });
        }
        let key = home.key(config)?;
        let client = Client::new(&config.node)?;
        let joining = join(client.clone(), key, config, role, health);
        let sender = tokio::select! {
            joined = joining => joined?,
            () = shutdown.cancelled() => return Err(Error::Interrupted),
        };
        let follower = Follower::open(
            client.clone(),
            home.data().join("cursor.json"),
            sender.chain_id(),
            Duration::from_millis(config.poll_interval_ms),
        );
        Ok(Self {
            client,
            sender: Arc::new(sender),
            follower,
        })
    }
}

impl Worker {
    /// Asks the node until it answers, however long it is away; [`Error::Interrupted`] once
    /// `shutdown` is cancelled. For what a worker must know before it can follow the chain.
    pub async fn insist<T>(
        &self,
        shutdown: &CancellationToken,
        ask: impl AsyncFn(&Client) -> Result<T>,
    ) -> Result<T> {
        let mut waiting = Waiting::default();
        loop {
            let answer = tokio::select! {
                answer = ask(&self.client) => answer,
                () = shutdown.cancelled() => return Err(Error::Interrupted),
            };
            match answer {
                Err(error) if error.is_retryable() => {
                    waiting
                        .pause(format!("waiting for the node: {error}"))
                        .await;
                }
                answer => return answer,
            }
        }
    }
}

/// Waits until a worker can start, and returns its sender.
async fn join(
    client: Client,
    key: Key,
    config: &ChainConfig,
    role: Role,
    health: &Health,
) -> Result<Sender> {
    let mut waiting = Waiting {
        health: Some(health),
        ..Waiting::default()
    };
    let sender = loop {
        match Sender::new(client.clone(), key.clone(), Some(&config.id)).await {
            Ok(sender) => break sender,
            // Before its first block the node refuses queries.
            Err(error @ (Error::Unreachable { .. } | Error::Rpc { .. } | Error::Query { .. })) => {
                waiting
                    .pause(format!("waiting for the node: {error}"))
                    .await;
            }
            Err(error) => return Err(error),
        }
    };
    loop {
        let reason = match readiness(&client, sender.address(), role).await {
            Ok(None) => break,
            Ok(Some(reason)) => reason,
            Err(error) if error.is_retryable() => format!("waiting for the node: {error}"),
            Err(error) => return Err(error),
        };
        waiting.pause(reason).await;
    }
    health.set("node", None);
    info!(
        chain = sender.chain_id(),
        node = client.url(),
        operator = sender.address(),
        "on the chain"
    );
    Ok(sender)
}

/// What a worker still has to wait for.
async fn readiness(client: &Client, operator: &str, role: Role) -> Result<Option<String>> {
    let status = client.status().await?;
    if status.catching_up {
        return Ok(Some(format!(
            "waiting for the node to catch up; it is at height {}",
            status.latest_height
        )));
    }
    if found(client.node(role, operator).await)?.is_none() {
        let name = match role {
            Role::Inference => "inference-node",
            Role::Evaluator => "evaluator",
            Role::Validator => "validator",
            Role::Unspecified => "node",
        };
        return Ok(Some(format!(
            "waiting until {operator} is registered; register it with \
             `poqd tx poq register-{name}`"
        )));
    }
    Ok(None)
}

/// Says each reason once, not every second.
#[derive(Default)]
struct Waiting<'a> {
    reason: String,
    health: Option<&'a Health>,
}

impl Waiting<'_> {
    async fn pause(&mut self, reason: String) {
        if reason != self.reason {
            warn!("{reason}");
            if let Some(health) = self.health {
                health.set("node", Some(reason.clone()));
            }
            self.reason = reason;
        }
        sleep(PAUSE).await;
    }
}

/// An operator is drawn for every model of its registration, and slashed where it is silent.
///
/// # Errors
/// [`Error::Unserved`] if `served` has none of the node's models, or unless `allow_unserved` if one
/// of them is missing.
pub fn check_served(node: &Node, served: &[String], allow_unserved: bool) -> Result<()> {
    let missing = unserved(node, served);
    let refusal = |registered: &[String], advice| Error::Unserved {
        operator: node.operator.clone(),
        registered: registered.join(", "),
        served: served.join(", "),
        advice,
    };
    if missing.len() == node.models.len() {
        let advice = "change the models in config.toml or those of the registration";
        return Err(refusal(&node.models, advice));
    }
    if !missing.is_empty() && !allow_unserved {
        let advice = "their duties would be missed and slashed; serve them, take them out of the \
            registration with `poqd tx poq update-node`, or start with --allow-unserved";
        return Err(refusal(&missing, advice));
    }
    for model in &missing {
        warn!(
            model,
            "registered for a model that is not served: its duties will be missed and slashed"
        );
    }
    for model in served.iter().filter(|model| !node.models.contains(model)) {
        warn!(model, "not registered for this model: no duties will come");
    }
    Ok(())
}

/// The node's models that are not `served`.
fn unserved(node: &Node, served: &[String]) -> Vec<String> {
    let models = node.models.iter();
    models
        .filter(|model| !served.contains(model))
        .cloned()
        .collect()
}

/// A token that is cancelled by the first SIGINT or SIGTERM; a second one ends the process at
/// once, with the exit status that shells know for the signal. Call inside the Tokio runtime.
pub fn shutdown_on_signals() -> Result<CancellationToken> {
    let listen = |kind| signal(kind).map_err(|source| Error::Signals { source });
    let mut interrupt = listen(SignalKind::interrupt())?;
    let mut terminate = listen(SignalKind::terminate())?;
    let token = CancellationToken::new();
    let shutdown = token.clone();
    tokio::spawn(async move {
        let name = first(&mut interrupt, &mut terminate).await.0;
        info!("stopping after {name}; a second signal stops at once");
        shutdown.cancel();
        let (name, status) = first(&mut interrupt, &mut terminate).await;
        warn!("stopped at once by a second signal, {name}");
        std::process::exit(status);
    });
    Ok(token)
}

/// The next signal's name, and the exit status of a process that it ends.
async fn first(interrupt: &mut Signal, terminate: &mut Signal) -> (&'static str, i32) {
    tokio::select! {
        _ = interrupt.recv() => ("SIGINT", 130),
        _ = terminate.recv() => ("SIGTERM", 143),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    struct Config {
        chain: ChainConfig,
        threads: u32,
    }

    fn home(config: &str) -> (tempfile::TempDir, WorkerHome) {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("config.toml"), config).unwrap();
        let home = WorkerHome::open(folder.path()).unwrap();
        (folder, home)
    }

    const CONFIG: &str = "threads = 2\n[chain]\nid = \"poq-local-1\"\nnode = \
        \"http://127.0.0.1:26657\"\nkey = \"evaluator-0\"\nkeyring = \"test\"\n";

    #[test]
    fn reads_the_settings() {
        let (folder, home) = home(CONFIG);
        let config: Config = home.config().unwrap();
        assert_eq!(config.threads, 2);
        assert_eq!(config.chain.keyring, Backend::Test);
        assert_eq!(config.chain.poll_interval_ms, 1000);
        assert!(!config.chain.auto_unjail);
        assert!(folder.path().join("data").is_dir());
    }

    #[test]
    fn wrong_settings_name_the_file_and_the_line() {
        for wrong in [
            CONFIG.replace("\"test\"", "\"os\""),
            CONFIG.replace("node =", "nod ="),
            format!("{CONFIG}[["),
        ] {
            let (folder, home) = home(&wrong);
            let error = home.config::<Config>().unwrap_err();
            assert!(matches!(
                &error,
                Error::InvalidFile { path, .. } if *path == folder.path().join("config.toml")
            ));
            assert!(error.to_string().contains("line"), "{error}");
        }
    }

    #[test]
    fn an_empty_folder_is_no_home() {
        let folder = tempfile::tempdir().unwrap();
        let error = WorkerHome::open(folder.path()).unwrap_err();
        assert!(error.to_string().contains("config.toml"), "{error}");
    }

    #[test]
    fn a_home_is_for_one_process() {
        let (folder, home) = home(CONFIG);
        let first = home.lock().unwrap();
        let error = home.lock().unwrap_err();
        assert!(
            matches!(&error, Error::Locked { path } if path == folder.path()),
            "{error}"
        );
        drop(first);
        home.lock().unwrap();
    }

    #[test]
    fn all_of_the_registered_models_must_be_served_unless_allowed() {
        let node = Node {
            models: vec!["a".into(), "b".into()],
            ..Node::default()
        };
        let served = |models: &[&str]| -> Vec<String> {
            models.iter().map(|model| (*model).to_owned()).collect()
        };
        check_served(&node, &served(&["a", "b", "c"]), false).unwrap();
        check_served(&node, &served(&["b", "c"]), true).unwrap();
        let error = check_served(&node, &served(&["b"]), false).unwrap_err();
        let error = error.to_string();
        assert!(error.contains("registered for a, not for b"), "{error}");
        assert!(error.contains("--allow-unserved"), "{error}");
        let error = check_served(&node, &served(&["c"]), true).unwrap_err();
        let error = error.to_string();
        assert!(error.contains("registered for a, b, not for c"), "{error}");
    }

    #[tokio::test]
    async fn waiting_for_the_node_ends_with_the_shutdown() {
        let (folder, home) = home(&CONFIG.replace(":26657", ":1"));
        Keyring::open(folder.path(), Backend::Test, ask)
            .unwrap()
            .add("evaluator-0")
            .unwrap();
        let config: Config = home.config().unwrap();
        let shutdown = CancellationToken::new();
        let stop = shutdown.clone();
        tokio::spawn(async move {
            sleep(Duration::from_millis(50)).await;
            stop.cancel();
        });
        let health = Health::default();
        let connected =
            Worker::connect(&home, &config.chain, Role::Evaluator, &health, &shutdown).await;
        assert!(matches!(connected, Err(Error::Interrupted)));
        let problem = &health.problems()["node"];
        assert!(problem.contains("waiting for the node"), "{problem}");
    }
}
