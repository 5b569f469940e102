//! A worker's connection to the chain, and what it waits for before it starts.

use std::sync::Arc;
use std::time::Duration;

use poq_client::{Client, Follower, Key, Sender, found};
use poq_proto::v1::{Node, Role};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::{ChainConfig, Error, Health, Result, WorkerHome};

/// Pause between two checks of a start condition.
const PAUSE: Duration = Duration::from_secs(1);

/// A worker's connection to the chain.
pub struct Chain {
    /// Signs as the operator and holds the client.
    pub sender: Arc<Sender>,
    /// Its cursor is in `data/cursor.json`.
    pub follower: Follower,
}

impl Chain {
    /// Opens the keyring, then waits until the node answers, is on the right chain and has caught
    /// up, and the operator is registered in `role`. Reports to the log and to `health` what it
    /// waits for. Returns [`Error::Interrupted`] once `shutdown` is cancelled.
    pub async fn connect(
        home: &WorkerHome,
        config: &ChainConfig,
        role: Role,
        health: &Health,
        shutdown: &CancellationToken,
    ) -> Result<Self> {
        if config.poll_interval_ms == 0 {
            return Err(home.invalid("chain.poll_interval_ms must be at least 1"));
        }
        let key = home.key(config)?;
        let client = Client::new(&config.node)?;
        let joining = join(client.clone(), key, config, role, health);
        let sender = tokio::select! {
            joined = joining => joined?,
            () = shutdown.cancelled() => return Err(Error::Interrupted),
        };
        let follower = Follower::open(
            client,
            home.data().join("cursor.json"),
            sender.chain_id(),
            Duration::from_millis(config.poll_interval_ms),
        );
        Ok(Self {
            sender: Arc::new(sender),
            follower,
        })
    }

    /// Retries a query until the node answers, for what a worker must know before it can follow the
    /// chain. Returns [`Error::Interrupted`] once `shutdown` is cancelled.
    pub async fn insist<T>(
        &self,
        shutdown: &CancellationToken,
        ask: impl AsyncFn(&Client) -> poq_client::Result<T>,
    ) -> Result<T> {
        let mut waiting = Waiting::default();
        loop {
            let answer = tokio::select! {
                answer = ask(self.sender.client()) => answer,
                () = shutdown.cancelled() => return Err(Error::Interrupted),
            };
            match answer {
                Err(error) if error.is_retryable() => {
                    waiting
                        .pause(format!("waiting for the node: {error}"))
                        .await;
                }
                answer => return Ok(answer?),
            }
        }
    }
}

/// Waits until the worker can start, and returns its sender.
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
            Err(error) if error.is_retryable() => {
                waiting
                    .pause(format!("waiting for the node: {error}"))
                    .await;
            }
            Err(error) => return Err(error.into()),
        }
    };
    loop {
        let reason = match readiness(&client, sender.address(), role).await {
            Ok(None) => break,
            Ok(Some(reason)) => reason,
            Err(error) if error.is_retryable() => format!("waiting for the node: {error}"),
            Err(error) => return Err(error.into()),
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
async fn readiness(
    client: &Client,
    operator: &str,
    role: Role,
) -> poq_client::Result<Option<String>> {
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

/// Logs each reason once, not every second.
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

/// An operator is drawn for every model that it is registered for, and slashed for missed duties.
///
/// # Errors
/// [`Error::Unserved`] if `served` has none of the node's models, or if one is missing without
/// `allow_unserved`.
pub(crate) fn check_served(node: &Node, served: &[String], allow_unserved: bool) -> Result<()> {
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

/// The node's models that are not in `served`.
pub(crate) fn unserved(node: &Node, served: &[String]) -> Vec<String> {
    let models = node.models.iter();
    models
        .filter(|model| !served.contains(model))
        .cloned()
        .collect()
}

#[cfg(test)]
mod tests {
    use poq_client::keyring::{Backend, Keyring, ask};
    use poq_proto::code::{self, Code};
    use tokio::time::timeout;

    use super::*;
    use crate::fake_node::{self, FakeNode};
    use crate::home::tests::{CONFIG, Config, home};

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
            Chain::connect(&home, &config.chain, Role::Evaluator, &health, &shutdown).await;
        assert!(matches!(connected, Err(Error::Interrupted)));
        let problem = &health.problems()["node"];
        assert!(problem.contains("waiting for the node"), "{problem}");
    }

    /// Connects to a node that refuses every query with a code, for at most half a second.
    async fn refused_with(code: Code) -> Option<Result<Chain>> {
        let node = FakeNode::start(move |method, _| {
            Ok(match method {
                "status" => fake_node::status("poq-test-1", 0),
                _ => fake_node::query_failure(code.number, code.codespace, "refused"),
            })
        })
        .await;
        let (folder, home) = home(CONFIG);
        Keyring::open(folder.path(), Backend::Test, ask)
            .unwrap()
            .add("evaluator-0")
            .unwrap();
        let mut chain = home.config::<Config>().unwrap().chain;
        chain.node = node.url.clone();
        chain.id = "poq-test-1".into();
        let (health, shutdown) = (Health::default(), CancellationToken::new());
        let connecting = Chain::connect(&home, &chain, Role::Evaluator, &health, &shutdown);
        timeout(Duration::from_millis(500), connecting).await.ok()
    }

    #[tokio::test]
    async fn only_a_node_without_blocks_is_waited_for_when_it_refuses() {
        assert!(refused_with(code::NO_BLOCK).await.is_none());
        let Some(Err(error)) = refused_with(code::UNKNOWN_REQUEST).await else {
            panic!("a node of another chain's application was waited for");
        };
        assert!(error.to_string().contains("refused"), "{error}");
    }
}
