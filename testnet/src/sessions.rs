//! What a network needs for sessions once it has blocks: nodes that offer them, and a key for the
//! gateway.

use poq_client::{Fee, any};
use poq_proto::v1::{MsgUpdateNode, Role, Stream};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::{Error, INCLUSION, Network, Result, Worker, process};

/// The output of `poq-inference-node stream`, of which this is a part.
#[derive(Deserialize)]
struct Shown {
    /// Hex.
    key: String,
    /// Hex.
    tls_spki_sha256: String,
}

/// The output of `poq-gateway keys create`.
#[derive(Deserialize)]
struct Created {
    key: String,
}

impl Network {
    /// Has every inference node offer sessions, unless the chain has none.
    pub async fn offer_sessions(&self) -> Result<()> {
        for worker in &self.description().inference_nodes {
            self.offer_sessions_of(worker).await?;
        }
        Ok(())
    }

    /// Has an inference node offer sessions, unless the chain has none.
    pub(crate) async fn offer_sessions_of(&self, worker: &Worker) -> Result<()> {
        if self.description().gateway.is_none() {
            return Ok(());
        }
        let mut command = self.programs().show_stream(self.root(), worker);
        let name = "poq-inference-node stream";
        let shown: Shown = parse(name, &process::output(name, &mut command).await?)?;
        let bytes = |hex: &str| {
            hex::decode(hex).map_err(|error| Error::Contents {
                path: name.into(),
                reason: error.to_string(),
            })
        };
        let sender = self.sender(&worker.account).await?;
        let node = sender.client().node(Role::Inference, sender.address());
        let node = node.await?;
        let message = MsgUpdateNode {
            operator: node.operator,
            role: node.role,
            payout: node.payout,
            endpoint: node.endpoint,
            models: node.models,
            capacity: node.capacity,
            stream: Some(Stream {
                url: format!("https://{}", worker.stream),
                key: bytes(&shown.key)?,
                tls_spki_sha256: bytes(&shown.tls_spki_sha256)?,
            }),
        };
        let messages = vec![any(&message)];
        sender.send_and_wait(messages, Fee::Auto, INCLUSION).await?;
        Ok(())
    }

    /// Creates a key of the gateway's API, which exists only in the result; none without a gateway.
    pub async fn create_api_key(&self, name: &str) -> Result<Option<String>> {
        let Some(gateway) = &self.description().gateway else {
            return Ok(None);
        };
        let mut command = self.programs().create_api_key(self.root(), gateway, name);
        let program = "poq-gateway keys create";
        let created: Created = parse(program, &process::output(program, &mut command).await?)?;
        Ok(Some(created.key))
    }
}

fn parse<T: DeserializeOwned>(program: &str, json: &[u8]) -> Result<T> {
    serde_json::from_slice(json).map_err(|error| Error::Contents {
        path: program.into(),
        reason: error.to_string(),
    })
}
