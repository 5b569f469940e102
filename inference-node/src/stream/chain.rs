//! What the stream API reads from the chain and hands in to it.

use std::sync::Arc;

use async_trait::async_trait;
use poq_client::{Any, Error, Fee, Result, Sender, TxOptions, found, tx};
use poq_proto::code;
use poq_proto::v1::{
    MsgRevealLeavesResponse, MsgSettleSessionsResponse, Params, Session, SessionResult,
};
use prost::Message;
use tokio::sync::watch;

/// Blocks that a transaction may wait for before its session is looked at again. Sending an item again
/// is harmless: the chain accepts it once.
const PATIENCE: u64 = 4;

/// A batch for the chain.
#[derive(Clone, Debug)]
pub(super) enum Batch {
    /// A `MsgSettleSessions`.
    Settle(Any),
    /// A `MsgRevealLeaves`.
    Reveal(Any),
}

/// The newest state of the chain, and the way into the next.
#[async_trait]
pub(super) trait Chain: Send + Sync {
    /// A session, if there is one with this id.
    ///
    /// # Errors
    /// Those of the node.
    async fn session(&self, id: u64) -> Result<Option<Session>>;

    /// The open sessions of this node.
    ///
    /// # Errors
    /// Those of the node.
    async fn sessions(&self) -> Result<Vec<Session>>;

    /// The parameters.
    ///
    /// # Errors
    /// Those of the node.
    async fn params(&self) -> Result<Params>;

    /// Hands in a batch that is useful up to `due_height`, waits for its block, and returns the results
    /// of its items.
    ///
    /// # Errors
    /// Those of the node and of the chain.
    async fn hand_in(&self, batch: Batch, due_height: u64) -> Result<Vec<SessionResult>>;
}

/// The chain behind the operator's sender.
pub(super) struct LiveChain {
    /// The operator's.
    pub sender: Arc<Sender>,
    /// The newest height.
    pub heights: watch::Receiver<u64>,
}

#[async_trait]
impl Chain for LiveChain {
    async fn session(&self, id: u64) -> Result<Option<Session>> {
        found(self.sender.client().session(id).await)
    }

    async fn sessions(&self) -> Result<Vec<Session>> {
        let (client, operator) = (self.sender.client(), self.sender.address());
        match client.sessions_of_node(operator).await {
            Ok(answer) => Ok(answer.value),
            Err(error) if error.is(code::SESSIONS_DISABLED) => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    async fn params(&self) -> Result<Params> {
        self.sender.client().params().await
    }

    async fn hand_in(&self, batch: Batch, due_height: u64) -> Result<Vec<SessionResult>> {
        let options = TxOptions {
            timeout_height: due_height,
            ..TxOptions::from(Fee::Free)
        };
        let (Batch::Settle(message) | Batch::Reveal(message)) = &batch;
        let heights = self.heights.clone();
        let outcome = self
            .sender
            .send_and_wait_blocks(vec![message.clone()], options, PATIENCE, heights)
            .await?;
        let response = tx::responses(&outcome.data)?.into_iter().next();
        let value = response.map(|response| response.value).unwrap_or_default();
        let results = match batch {
            Batch::Settle(_) => {
                MsgSettleSessionsResponse::decode(value.as_slice()).map(|all| all.results)
            }
            Batch::Reveal(_) => {
                MsgRevealLeavesResponse::decode(value.as_slice()).map(|all| all.results)
            }
        };
        results.map_err(|error| Error::Decode {
            what: "a batch of sessions".to_owned(),
            reason: error.to_string(),
        })
    }
}
