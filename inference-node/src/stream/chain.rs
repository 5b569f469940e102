//! What the stream API reads from the chain and hands in to it.

use std::sync::Arc;

use async_trait::async_trait;
use poq_client::{Any, Error, Fee, Result, Sender, TxOptions, found, tx};
use poq_judge::Panel;
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

    /// The evaluator models that judge a model's answers.
    ///
    /// # Errors
    /// Those of the node.
    async fn panel(&self, model: &str) -> Result<Panel>;

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

    async fn panel(&self, model: &str) -> Result<Panel> {
        Panel::read(self.sender.client(), model).await
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

#[cfg(test)]
mod tests {
    use poq_client::{Client, Key};
    use poq_proto::v1::{
        QueryParamsResponse, QuerySessionRequest, QuerySessionResponse, QuerySessionsRequest,
        QuerySessionsResponse,
    };

    use super::*;
    use crate::fake_node::{self, FakeNode, RpcResult};

    /// A node whose chain answers queries of sessions like this.
    async fn chain(
        answer: impl Fn(&str, Vec<u8>) -> RpcResult + Send + Sync + 'static,
    ) -> (FakeNode, LiveChain) {
        let node = FakeNode::start(move |method, params| {
            if method == "status" {
                return Ok(fake_node::status("poq-test-1", 5));
            }
            let path = params["path"].as_str().unwrap_or_default().to_owned();
            let data = hex::decode(params["data"].as_str().unwrap_or_default());
            match path.as_str() {
                "/poq.v1.Query/Params" => Ok(fake_node::found(&QueryParamsResponse {
                    params: Some(Params {
                        bech32_prefix: "poq".into(),
                        ..Params::default()
                    }),
                })),
                path => answer(path, data.unwrap()),
            }
        })
        .await;
        let client = Client::new(&node.url).unwrap();
        let key = Key::from_bytes(&[1; 32]).unwrap();
        let sender = Sender::new(client, key, None).await.unwrap();
        let heights = watch::Sender::new(0).subscribe();
        let sender = Arc::new(sender);
        (node, LiveChain { sender, heights })
    }

    fn refusal(code: code::Code) -> RpcResult {
        Ok(fake_node::query_failure(code.number, code.codespace, "no"))
    }

    #[tokio::test]
    async fn all_pages_of_this_node_s_sessions_are_read() {
        let (_node, chain) = chain(|path, data| {
            assert_eq!(path, "/poq.v1.Query/Sessions");
            let request = QuerySessionsRequest::decode(data.as_slice()).unwrap();
            assert!(request.node.starts_with("poq1") && request.user.is_empty());
            let ids = request.after + 1..=(request.after + u64::from(request.limit)).min(1_500);
            let session = |id| Session {
                id,
                ..Session::default()
            };
            let sessions = ids.map(session).collect();
            Ok(fake_node::found(&QuerySessionsResponse { sessions }))
        })
        .await;
        let ids: Vec<u64> = chain
            .sessions()
            .await
            .unwrap()
            .iter()
            .map(|one| one.id)
            .collect();
        assert_eq!(ids, (1..=1_500).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn no_session_and_no_sessions_are_not_failures() {
        let (_node, chain) = chain(|path, data| match path {
            "/poq.v1.Query/Sessions" => refusal(code::SESSIONS_DISABLED),
            _ => match QuerySessionRequest::decode(data.as_slice()).unwrap().id {
                7 => Ok(fake_node::found(&QuerySessionResponse {
                    session: Some(Session {
                        id: 7,
                        ..Session::default()
                    }),
                })),
                8 => refusal(code::UNKNOWN_SESSION),
                _ => refusal(code::INVALID_REQUEST),
            },
        })
        .await;
        assert!(chain.sessions().await.unwrap().is_empty());
        assert_eq!(chain.session(7).await.unwrap().unwrap().id, 7);
        assert!(chain.session(8).await.unwrap().is_none());
        assert!(chain.session(9).await.is_err());
    }
}
