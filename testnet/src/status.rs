//! The status of a network's processes.

use std::fs;
use std::path::Path;

use poq_client::Client;
use poq_proto::v1::{NodeStatus, Role};
use serde::{Deserialize, Serialize};
use tokio::net::TcpStream;

use crate::health::HEALTHY_HEIGHT;
use crate::{Gateway, Network, Result, Worker};

/// The status of a process.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ProcessStatus {
    /// Name, for example `node1`.
    pub name: String,
    /// Process id; absent if it does not run.
    pub pid: Option<i32>,
    /// Whether a validator has blocks, or a worker has loaded its model and follows the chain.
    pub healthy: bool,
    /// Height of a validator's newest block, or of the last block that a worker has seen.
    pub height: Option<u64>,
    /// Height until which a worker is jailed; absent if it is not jailed, or if no node answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jailed_until: Option<u64>,
    /// RPC of a validator, HTTP server of an inference node or gateway, or the RPC that an evaluator uses.
    pub address: String,
}

/// A worker's file with its position on the chain.
#[derive(Deserialize)]
struct Cursor {
    height: u64,
}

impl Network {
    /// The status of every process, validators first.
    pub async fn status(&self) -> Result<Vec<ProcessStatus>> {
        let mut all = Vec::new();
        for node in &self.description().validators {
            let pid = self.pid(&node.name);
            // The address of a stopped process is not queried.
            let status = match pid {
                Some(_) => Client::new(&node.rpc)?.status().await.ok(),
                None => None,
            };
            let height = status.as_ref().map(|status| status.latest_height);
            all.push(ProcessStatus {
                name: node.name.clone(),
                pid,
                healthy: status.is_some_and(|status| {
                    !status.catching_up && status.latest_height >= HEALTHY_HEIGHT
                }),
                height,
                jailed_until: None,
                address: node.rpc.clone(),
            });
        }
        for worker in &self.description().inference_nodes {
            let address = format!("http://{}", worker.http);
            all.push(self.worker_status(Role::Inference, worker, address).await?);
        }
        for worker in &self.description().evaluators {
            let address = worker.rpc.clone();
            all.push(self.worker_status(Role::Evaluator, worker, address).await?);
        }
        if let Some(gateway) = &self.description().gateway {
            all.push(self.gateway_status(gateway).await);
        }
        Ok(all)
    }

    async fn worker_status(
        &self,
        role: Role,
        worker: &Worker,
        address: String,
    ) -> Result<ProcessStatus> {
        let pid = self.pid(&worker.name);
        let jailed_until = match pid {
            Some(_) => jailed_until(&Client::new(&worker.rpc)?, role, worker).await,
            None => None,
        };
        let height = seen_height(&self.root().join(&worker.account.home));
        Ok(ProcessStatus {
            name: worker.name.clone(),
            pid,
            healthy: pid.is_some() && height.is_some(),
            height,
            jailed_until,
            address,
        })
    }

    /// A gateway counts as healthy while it accepts connections.
    async fn gateway_status(&self, gateway: &Gateway) -> ProcessStatus {
        let pid = self.pid(&gateway.name);
        let healthy = pid.is_some() && TcpStream::connect(&gateway.http).await.is_ok();
        ProcessStatus {
            name: gateway.name.clone(),
            pid,
            healthy,
            height: None,
            jailed_until: None,
            address: format!("http://{}", gateway.http),
        }
    }

    fn pid(&self, name: &str) -> Option<i32> {
        self.pids(name).ok()?.first().copied()
    }
}

async fn jailed_until(client: &Client, role: Role, worker: &Worker) -> Option<u64> {
    let node = client.node(role, &worker.account.address).await.ok()?;
    (node.status() == NodeStatus::Jailed).then_some(node.jailed_until)
}

/// The height of a worker's cursor, which it writes once its model is loaded and it has seen a block.
pub(crate) fn seen_height(home: &Path) -> Option<u64> {
    let json = fs::read(home.join("data/cursor.json")).ok()?;
    let cursor: Cursor = serde_json::from_slice(&json).ok()?;
    Some(cursor.height)
}
