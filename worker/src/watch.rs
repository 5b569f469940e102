//! Watches for what keeps a worker from its duties on the chain: its node, its registration, a
//! jail.

use std::sync::Arc;
use std::time::Duration;

use metrics::gauge;
use poq_client::{Client, Fee, Result, Sender, any, found};
use poq_proto::v1::{MsgUnjail, Node, NodeStatus, Role};
use tokio::time::interval;
use tracing::{error, info, warn};

use crate::Health;

/// Pause between two checks of the node and the registration.
const PAUSE: Duration = Duration::from_secs(5);
/// Checks between two reminders of a jail, and between two attempts to unjail.
const REMINDER: u32 = 12;
/// Longest wait for the block that unjails.
const INCLUSION: Duration = Duration::from_secs(60);

/// A watched worker.
pub(crate) struct Watch {
    /// Signs as the operator.
    pub sender: Arc<Sender>,
    /// The operator's role.
    pub role: Role,
    /// Ids of the models that the worker serves.
    pub served: Vec<String>,
    /// Where problems are reported.
    pub health: Health,
    /// Whether to unjail the node automatically once its jail time is over.
    pub auto_unjail: bool,
}

impl Watch {
    /// Checks forever that the node has caught up, and that the operator is registered, is not
    /// jailed, and has no model that is not served.
    pub(crate) async fn run(self) {
        let mut ticks = interval(PAUSE);
        let mut jail = Jail::default();
        loop {
            ticks.tick().await;
            let (height, problem) = match state(self.sender.client()).await {
                Ok(state) => state,
                Err(error) => (0, Some(error.to_string())),
            };
            self.health.set("node", problem);
            // A node that does not answer gives no news of the registration.
            let (client, operator) = (self.sender.client(), self.sender.address());
            let Ok(node) = found(client.node(self.role, operator).await) else {
                continue;
            };
            jail.warn(operator, self.role, node.as_ref());
            let problem = unfit(node.as_ref(), &self.served);
            self.health.set("registration", problem);
            if let Some(node) = node.filter(|_| self.auto_unjail) {
                self.unjail(&mut jail, &node, height).await;
            }
        }
    }

    /// Unjails after the jail time, unless a local problem would soon lead back.
    async fn unjail(&self, jail: &mut Jail, node: &Node, height: u64) {
        let is_due = node.status() == NodeStatus::Jailed && height >= node.jailed_until;
        if !is_due || !jail.may_try() {
            return;
        }
        let mut problems = self.health.problems();
        problems.remove("registration");
        if !problems.is_empty() {
            error!(
                ?problems,
                "AUTO-UNJAIL waits: the jail time is over, but this worker could not do duties"
            );
            return;
        }
        let operator = self.sender.address();
        let message = any(&MsgUnjail {
            operator: operator.to_owned(),
            role: self.role.into(),
        });
        let sent = self
            .sender
            .send_and_wait(vec![message], Fee::Auto, INCLUSION);
        match sent.await {
            Ok(outcome) => warn!(
                operator,
                hash = %outcome.hash,
                height = outcome.height,
                missed = node.duties_missed,
                slashed = node.slashed,
                "AUTO-UNJAIL: the node is out of jail and gets duties again; find out what it missed, or \
                 it is slashed again (auto_unjail in config.toml)"
            ),
            Err(error) => error!(operator, %error, "AUTO-UNJAIL failed; retrying in a minute"),
        }
    }
}

/// The node's height, and why it is not up to date, if so.
async fn state(client: &Client) -> Result<(u64, Option<String>)> {
    let status = client.status().await?;
    let height = status.latest_height;
    let behind = || format!("it is catching up and at height {height}");
    Ok((height, status.catching_up.then(behind)))
}

/// What in the registration keeps the node from some of its duties.
fn unfit(node: Option<&Node>, served: &[String]) -> Option<String> {
    let Some(node) = node else {
        return Some("the operator is not registered".into());
    };
    if node.status() == NodeStatus::Jailed {
        let until = node.jailed_until;
        return Some(format!("jailed until height {until}; then unjail it"));
    }
    let missing = crate::chain::unserved(node, served);
    (!missing.is_empty()).then(|| format!("registered for {}, not served here", missing.join(", ")))
}

/// Notices and attempts for the current jail.
#[derive(Default)]
struct Jail {
    looks: u32,
    looks_to_next_try: u32,
}

impl Jail {
    fn warn(&mut self, operator: &str, role: Role, node: Option<&Node>) {
        let jailed = node.filter(|node| node.status() == NodeStatus::Jailed);
        gauge!("poq_worker_jailed").set(f64::from(u8::from(jailed.is_some())));
        self.looks_to_next_try = self.looks_to_next_try.saturating_sub(1);
        match jailed {
            Some(node) => {
                if self.looks.is_multiple_of(REMINDER) {
                    let role = match role {
                        Role::Inference => "inference",
                        _ => "evaluator",
                    };
                    error!(
                        operator,
                        until = node.jailed_until,
                        missed = node.duties_missed,
                        slashed = node.slashed,
                        "JAILED: the node gets no duties and earns nothing; find out what it missed, \
                         then `poqd tx poq unjail {role} --from KEY` from that height on"
                    );
                }
                self.looks = self.looks.wrapping_add(1);
            }
            None => {
                if self.looks > 0 {
                    info!(operator, "out of jail");
                }
                *self = Self::default();
            }
        }
    }

    /// Whether to try now; the next attempt is a while later.
    fn may_try(&mut self) -> bool {
        let is_time = self.looks_to_next_try == 0;
        if is_time {
            self.looks_to_next_try = REMINDER;
        }
        is_time
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use cosmos_sdk_proto::cosmos::auth::v1beta1::{BaseAccount, QueryAccountResponse};
    use cosmos_sdk_proto::cosmos::base::abci::v1beta1::GasInfo;
    use cosmos_sdk_proto::cosmos::tx::v1beta1::SimulateResponse;
    use poq_client::{Key, tx};
    use poq_proto::v1::{Params, QueryNodeResponse, QueryParamsResponse};
    use prost::Message;
    use serde_json::{Value, json};
    use tendermint_rpc::endpoint::abci_query;
    use tokio::time::{sleep, timeout};

    use super::*;
    use crate::fake_node::{self, FakeNode, RpcResult};

    const PATIENCE: Duration = Duration::from_secs(30);
    /// The node's height.
    const HEIGHT: u64 = 70;

    /// A node with one registered operator, which MsgUnjail makes active.
    struct Chain {
        node: Node,
        /// Codes for the next transactions; later ones succeed.
        refusals: Vec<u32>,
        unjailed: Vec<MsgUnjail>,
    }

    type Shared = Arc<Mutex<Chain>>;

    impl Chain {
        fn jailed_until(height: u64) -> Shared {
            Arc::new(Mutex::new(Self {
                node: Node {
                    models: vec!["m".into()],
                    status: NodeStatus::Jailed.into(),
                    jailed_until: height,
                    ..Node::default()
                },
                refusals: Vec::new(),
                unjailed: Vec::new(),
            }))
        }

        fn handle(&mut self, method: &str, params: Value) -> RpcResult {
            Ok(match method {
                "status" => fake_node::status("poq-local-1", HEIGHT),
                "abci_query" => self.query(params),
                "broadcast_tx_sync" => self.broadcast(params),
                "tx" => json!({
                    "hash": "00".repeat(32), "height": "71", "index": 0, "tx": "",
                    "tx_result": {
                        "code": 0, "data": "", "log": "", "info": "", "gas_wanted": "2",
                        "gas_used": "1", "events": [], "codespace": ""
                    }
                }),
                other => return Err(format!("unexpected {other}")),
            })
        }

        fn query(&self, params: Value) -> Value {
            let request: abci_query::Request = serde_json::from_value(params).unwrap();
            match request.path.as_deref().unwrap() {
                "/poq.v1.Query/Node" => fake_node::found(&QueryNodeResponse {
                    node: Some(self.node.clone()),
                }),
                "/poq.v1.Query/Params" => fake_node::found(&QueryParamsResponse {
                    params: Some(Params {
                        bech32_prefix: "poq".into(),
                        denom: "upoq".into(),
                        ..Params::default()
                    }),
                }),
                "/cosmos.auth.v1beta1.Query/Account" => fake_node::found(&QueryAccountResponse {
                    account: Some(any(&BaseAccount::default())),
                }),
                _ => fake_node::found(&SimulateResponse {
                    gas_info: Some(GasInfo::default()),
                    result: None,
                }),
            }
        }

        fn broadcast(&mut self, params: Value) -> Value {
            let code = self.refusals.pop().unwrap_or(0);
            let (bytes, answer) = fake_node::checked(params, code, "poq", "");
            let body = tx::decode(&bytes).unwrap().body.unwrap();
            let message = MsgUnjail::decode(body.messages[0].value.as_slice()).unwrap();
            self.unjailed.push(message);
            if code == 0 {
                self.node.set_status(NodeStatus::Active);
            }
            answer
        }
    }

    /// Watches this chain until `holds`, and a moment longer.
    async fn watched(chain: &Shared, health: &Health, auto_unjail: bool, holds: impl Fn() -> bool) {
        let shared = chain.clone();
        let node =
            FakeNode::start(move |method, params| shared.lock().unwrap().handle(method, params));
        let node = node.await;
        let client = Client::new(&node.url).unwrap();
        let key = Key::from_bytes(&[1; 32]).unwrap();
        let watch = Watch {
            sender: Arc::new(Sender::new(client, key, None).await.unwrap()),
            role: Role::Evaluator,
            served: vec!["m".into()],
            health: health.clone(),
            auto_unjail,
        };
        let until = async {
            while !holds() {
                sleep(Duration::from_millis(1)).await;
            }
            // Time for things that must not happen.
            sleep(Duration::from_millis(100)).await;
        };
        let found = async {
            tokio::select! {
                () = watch.run() => {}
                () = until => {}
            }
        };
        timeout(PATIENCE, found).await.unwrap();
    }

    fn ready() -> Health {
        let health = Health::default();
        health.started();
        health
    }

    #[tokio::test]
    async fn the_node_and_the_registration_are_watched() {
        let (chain, health) = (Chain::jailed_until(HEIGHT), ready());
        let is = |expected: &'static str| {
            let health = health.clone();
            move || format!("{:?}", health.problems()).contains(expected)
        };
        watched(&chain, &health, false, is("jailed until")).await;
        assert!(!health.problems().contains_key("node"));
        // Its operator did not enable that.
        assert!(chain.lock().unwrap().unjailed.is_empty());
        chain.lock().unwrap().node.set_status(NodeStatus::Active);
        watched(&chain, &health, false, is("{}")).await;
        let client = Client::new("http://127.0.0.1:1").unwrap();
        assert!(state(&client).await.is_err());
    }

    #[tokio::test]
    async fn a_node_leaves_its_jail_when_the_time_is_over() {
        let (chain, health) = (Chain::jailed_until(HEIGHT), ready());
        let is_active = || chain.lock().unwrap().node.status() == NodeStatus::Active;
        watched(&chain, &health, true, is_active).await;
        let unjailed = chain.lock().unwrap().unjailed.clone();
        assert_eq!(unjailed.len(), 1);
        assert_eq!(unjailed[0].role(), Role::Evaluator);
        assert!(unjailed[0].operator.starts_with("poq1"));
    }

    #[tokio::test]
    async fn a_node_stays_in_jail_while_it_must_or_could_do_no_duties() {
        let looked = |health: &Health| health.problems().contains_key("registration");
        let (chain, health) = (Chain::jailed_until(HEIGHT + 1), ready());
        watched(&chain, &health, true, || looked(&health)).await;
        assert!(chain.lock().unwrap().unjailed.is_empty());

        let (chain, health) = (Chain::jailed_until(HEIGHT), ready());
        health.set("journal", Some("no space".into()));
        watched(&chain, &health, true, || looked(&health)).await;
        assert!(chain.lock().unwrap().unjailed.is_empty());
    }

    #[test]
    fn a_try_that_failed_is_not_repeated_at_once() {
        let node = Node {
            status: NodeStatus::Jailed.into(),
            ..Node::default()
        };
        let mut jail = Jail::default();
        let mut tries = 0;
        for _ in 0..2 * REMINDER {
            jail.warn("poq1", Role::Evaluator, Some(&node));
            tries += u32::from(jail.may_try());
        }
        assert_eq!(tries, 2);
    }

    #[test]
    fn a_registration_is_fit_for_duties_or_says_why_not() {
        let mut node = Node {
            models: vec!["a".into(), "b".into()],
            status: NodeStatus::Active.into(),
            ..Node::default()
        };
        let served = ["a".to_owned(), "b".to_owned()];
        assert_eq!(unfit(Some(&node), &served), None);
        assert!(unfit(Some(&node), &served[..1]).unwrap().contains("for b,"));
        assert!(unfit(None, &served).unwrap().contains("not registered"));
        node.set_status(NodeStatus::Jailed);
        node.jailed_until = 70;
        assert!(unfit(Some(&node), &served).unwrap().contains("height 70"));
    }

    #[test]
    fn a_jail_is_told_again_and_again_until_it_is_over() {
        let node = |status: NodeStatus| Node {
            status: status.into(),
            ..Node::default()
        };
        let mut jail = Jail::default();
        for looks in 1..=3 {
            jail.warn("poq1", Role::Inference, Some(&node(NodeStatus::Jailed)));
            assert_eq!(jail.looks, looks);
        }
        jail.warn("poq1", Role::Inference, Some(&node(NodeStatus::Active)));
        assert_eq!(jail.looks, 0);
    }
}
