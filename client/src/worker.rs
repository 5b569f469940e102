//! What an inference node and an evaluator have in common: a home folder with its settings and
//! keys, the way onto the chain, and the way to stop.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use poq_proto::v1::Role;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::keyring::{Backend, Keyring, ask};
use crate::{Client, Error, Follower, Key, Result, Sender, found};

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

    /// The operator's address, which needs no passphrase.
    pub fn operator(&self, chain: &ChainConfig) -> Result<String> {
        Ok(self.keyring(chain)?.show(&chain.key)?.address)
    }

    fn keyring(&self, chain: &ChainConfig) -> Result<Keyring> {
        Keyring::open(&self.path, chain.keyring, ask)
    }

    fn config_path(&self) -> PathBuf {
        self.path.join("config.toml")
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
    /// [`Error::Interrupted`] once `shutdown` is cancelled.
    pub async fn connect(
        home: &WorkerHome,
        config: &ChainConfig,
        role: Role,
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
        let follower = Follower::open(
            client.clone(),
            home.data().join("cursor.json"),
            Duration::from_millis(config.poll_interval_ms),
        )?;
        let joining = join(client.clone(), key, config, role);
        let sender = tokio::select! {
            joined = joining => joined?,
            () = shutdown.cancelled() => return Err(Error::Interrupted),
        };
        Ok(Self {
            client,
            sender,
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
async fn join(client: Client, key: Key, config: &ChainConfig, role: Role) -> Result<Sender> {
    let mut waiting = Waiting::default();
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
struct Waiting {
    reason: String,
}

impl Waiting {
    async fn pause(&mut self, reason: String) {
        if reason != self.reason {
            warn!("{reason}");
            self.reason = reason;
        }
        sleep(PAUSE).await;
    }
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
        let connected = Worker::connect(&home, &config.chain, Role::Evaluator, &shutdown).await;
        assert!(matches!(connected, Err(Error::Interrupted)));
    }
}
