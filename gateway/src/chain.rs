//! What the gateway needs of the chain.

mod several;
mod transfers;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use poq_client::receipt::SignedState;
use poq_client::{Client, Error, Fee, Key, Result, Sender, any, found, tx};
use poq_judge::Panel;
use poq_proto::v1::{
    Model, MsgCloseSessions, MsgOpenSessions, MsgOpenSessionsResponse, Node, Params, Role, Session,
};
use prost::{Message, Name};
use tokio::sync::OnceCell;

pub(crate) use several::Several;

pub(crate) use transfers::Transfer;

/// How long a transaction may wait for its block.
const INCLUSION: Duration = Duration::from_secs(60);
/// Models in one query; more than a registry has.
const MODELS: u32 = 1000;

/// The chain, and the account that pays for sessions.
#[async_trait]
pub(crate) trait Chain: Send + Sync {
    /// The chain's id.
    fn id(&self) -> Arc<str>;
    /// The account's address.
    async fn address(&self) -> Result<Arc<str>>;
    /// Height of the newest block.
    async fn height(&self) -> Result<u64>;
    /// The parameters.
    async fn params(&self) -> Result<Params>;
    /// The registry.
    async fn models(&self) -> Result<Vec<Model>>;
    /// The evaluator models that judge a model's answers.
    async fn panel(&self, model: &str) -> Result<Panel>;
    /// A session; None if there is none with this id.
    async fn session(&self, id: u64) -> Result<Option<Session>>;
    /// A session's record with its proof and a signed header; None if there is none with this id.
    async fn signed_session(&self, id: u64) -> Result<Option<SignedState>>;
    /// The account's sessions.
    async fn sessions(&self) -> Result<Vec<Session>>;
    /// An inference node; None if it is not registered any more.
    async fn node(&self, operator: &str) -> Result<Option<Node>>;
    /// Transfers of a denom to the account by successful transactions of the block at `height`. An error
    /// if the node does not have this block.
    async fn transfers(&self, height: u64, denom: &str) -> Result<Vec<Transfer>>;
    /// Opens sessions; fills in the user. Returns the first id; the others follow it.
    async fn open(&self, message: MsgOpenSessions) -> Result<u64>;
    /// Ends the ordering in sessions.
    async fn close(&self, sessions: Vec<u64>) -> Result<()>;
}

/// The chain by the RPC of one of its nodes.
struct Rpc {
    client: Client,
    key: Key,
    chain_id: Arc<str>,
    /// Set once the node has answered and is on the right chain.
    sender: OnceCell<Sender>,
}

impl Rpc {
    /// The chain at `url`, which must have the id `chain_id`. Nothing is sent yet.
    ///
    /// # Errors
    /// [`Error::Url`].
    fn new(url: &str, key: Key, chain_id: &str) -> Result<Self> {
        Ok(Self {
            client: Client::new(url)?,
            key,
            chain_id: chain_id.into(),
            sender: OnceCell::new(),
        })
    }

    async fn sender(&self) -> Result<&Sender> {
        let connect = || Sender::new(self.client.clone(), self.key.clone(), Some(&self.chain_id));
        self.sender.get_or_try_init(connect).await
    }

    async fn client(&self) -> Result<&Client> {
        self.sender().await.map(Sender::client)
    }
}

#[async_trait]
impl Chain for Rpc {
    fn id(&self) -> Arc<str> {
        self.chain_id.clone()
    }

    async fn address(&self) -> Result<Arc<str>> {
        Ok(self.sender().await?.address().into())
    }

    async fn height(&self) -> Result<u64> {
        let client = self.client().await?;
        if client.status().await?.catching_up {
            return Err(Error::Rpc {
                url: client.url().into(),
                method: "status",
                reason: "it is catching up with the chain".into(),
            });
        }
        client.height().await
    }

    async fn params(&self) -> Result<Params> {
        self.client().await?.params().await
    }

    async fn models(&self) -> Result<Vec<Model>> {
        self.client().await?.models("", MODELS).await
    }

    async fn panel(&self, model: &str) -> Result<Panel> {
        Panel::read(self.client().await?, model).await
    }

    async fn session(&self, id: u64) -> Result<Option<Session>> {
        found(self.client().await?.session(id).await)
    }

    async fn signed_session(&self, id: u64) -> Result<Option<SignedState>> {
        self.client().await?.signed_session(id).await
    }

    async fn sessions(&self) -> Result<Vec<Session>> {
        let sender = self.sender().await?;
        sender.client().sessions_of_user(sender.address()).await
    }

    async fn node(&self, operator: &str) -> Result<Option<Node>> {
        found(self.client().await?.node(Role::Inference, operator).await)
    }

    async fn transfers(&self, height: u64, denom: &str) -> Result<Vec<Transfer>> {
        let sender = self.sender().await?;
        let block = sender.client().block(Some(height)).await?.block;
        let sent = transfers::of_block(&block.data, sender.address(), denom)?;
        if sent.is_empty() {
            return Ok(sent);
        }
        let codes = sender.client().block_results(Some(height)).await?.tx_codes;
        transfers::successful(sent, &codes, height)
    }

    async fn open(&self, message: MsgOpenSessions) -> Result<u64> {
        let sender = self.sender().await?;
        let message = MsgOpenSessions {
            user: sender.address().into(),
            ..message
        };
        let sent = sender.send_and_wait(vec![any(&message)], Fee::Auto, INCLUSION);
        first_session(&sent.await?.data)
    }

    async fn close(&self, sessions: Vec<u64>) -> Result<()> {
        let sender = self.sender().await?;
        let message = MsgCloseSessions {
            user: sender.address().into(),
            sessions,
        };
        let sent = sender.send_and_wait(vec![any(&message)], Fee::Auto, INCLUSION);
        sent.await.map(drop)
    }
}

/// The id in the response to a transaction that opens sessions.
fn first_session(data: &[u8]) -> Result<u64> {
    let undecodable = |reason: String| Error::Decode {
        what: MsgOpenSessionsResponse::type_url(),
        reason,
    };
    let responses = tx::responses(data)?;
    let response = responses
        .first()
        .ok_or_else(|| undecodable("it is missing".into()))?;
    let response = MsgOpenSessionsResponse::decode(response.value.as_slice());
    let response = response.map_err(|error| undecodable(error.to_string()))?;
    Ok(response.first_session)
}
