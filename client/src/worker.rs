//! What an inference node and an evaluator have in common: a home folder with its settings and
//! keys, the way onto the chain, what tells whether it does well, and the way to stop.

mod health;
mod home;
mod watch;

use std::sync::Arc;
use std::time::Duration;

use poq_proto::v1::{Node, Role};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::keyring::ADDRESS_PREFIX;
use crate::{Client, Error, Follower, Key, Result, Sender, found};

pub use health::Health;
pub use home::{ChainConfig, HomeLock, WorkerHome};
pub use watch::Watch;

/// Pause between two looks for what a worker waits for.
const PAUSE: Duration = Duration::from_secs(1);
/// How long a new home waits for its node's word.
const PREFIX_TIMEOUT: Duration = Duration::from_secs(2);

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

/// What addresses begin with on the chain of the node at `url`, or on most chains if the node does not
/// answer soon: for a home that is made before its node runs.
pub async fn address_prefix(url: &str) -> String {
    let ask = async { Client::new(url).ok()?.params().await.ok() };
    let params = timeout(PREFIX_TIMEOUT, ask).await.ok().flatten();
    params.map_or_else(|| ADDRESS_PREFIX.into(), |params| params.bech32_prefix)
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
    use super::home::tests::{CONFIG, Config, home};
    use super::*;
    use crate::fake_node::{self, FakeNode};
    use crate::keyring::{Backend, Keyring, ask};

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
    async fn a_new_home_has_the_addresses_of_its_chain() {
        let params = poq_proto::v1::QueryParamsResponse {
            params: Some(poq_proto::v1::Params {
                bech32_prefix: "other".into(),
                ..Default::default()
            }),
        };
        let node = FakeNode::start(move |_, _| Ok(fake_node::found(&params))).await;
        assert_eq!(address_prefix(&node.url).await, "other");
        for away in ["http://127.0.0.1:1", "nowhere"] {
            assert_eq!(address_prefix(away).await, "poq");
        }
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
