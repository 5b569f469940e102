//! Opens sets of sessions and connects to their nodes.

use std::sync::Arc;

use poq_client::Key;
use poq_proto::code;
use poq_proto::v1::{self, MsgOpenSessions};
use rand::RngCore;
use rand::rngs::OsRng;
use tokio::spawn;

use super::acknowledge::acknowledge_always;
use super::keeper::Keeper;
use super::live::{Live, limits};
use super::roster::PoolId;
use crate::money::{Book, Fault};
use crate::store::sessions::{self, Set, State, Stored};
use crate::store::{self, orders};
use crate::upstream::{self, Endpoint, Identity, Node};

/// Purpose of the HMAC that gives a session key.
const PURPOSE: &[u8] = b"poq/gateway-session-key/v1";
/// Bytes of a set's nonce.
const NONCE: usize = 16;

/// Why a set cannot be opened, or a session not be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Chain(#[from] poq_client::Error),
    #[error(transparent)]
    Store(#[from] store::Error),
    #[error(transparent)]
    Node(#[from] upstream::Error),
    #[error("the stored answers contradict each other: {0}")]
    Account(#[from] Fault),
    #[error("{0}")]
    Unusable(String),
}

impl Error {
    /// Whether the account has too little money.
    pub(super) fn is_poverty(&self) -> bool {
        // An account that never had money does not exist.
        let is_empty = |error: &poq_client::Error| {
            error.is(code::INSUFFICIENT_FUNDS)
                || matches!(error, poq_client::Error::NoAccount { .. })
        };
        matches!(self, Self::Chain(error) if is_empty(error))
    }

    /// Whether the session can never be used.
    pub(super) fn is_lasting(&self) -> bool {
        matches!(self, Self::Account(_) | Self::Unusable(_) | Self::Node(_))
    }
}

/// The key of a set's sessions: whoever has only the database cannot sign with it.
pub(crate) fn session_key(account: &Key, chain_id: &str, nonce: &[u8]) -> poq_client::Result<Key> {
    let message = [
        PURPOSE,
        &(chain_id.len() as u64).to_be_bytes(),
        chain_id.as_bytes(),
        nonce,
    ];
    Key::from_bytes(&account.mac(&message.concat()))
}

/// The pool of a stored session.
pub(super) fn pool_of(set: &Set) -> Result<PoolId, Error> {
    let tier = set.tier.parse().map_err(Error::Unusable)?;
    Ok(PoolId {
        model: set.model.clone(),
        tier,
    })
}

impl Keeper {
    /// Opens a set of sessions: stored before it is sent, so that a crash in between loses none.
    pub(super) async fn open_set(&self, pool: &PoolId) -> Result<Vec<Stored>, Error> {
        let mut nonce = vec![0; NONCE];
        OsRng.fill_bytes(&mut nonce);
        let key = session_key(&self.account, &self.chain.id(), &nonce)?;
        let mut set = Set {
            id: 0,
            nonce,
            public_key: key.public_key(),
            model: pool.model.clone(),
            tier: pool.tier.name().into(),
            created: store::now(),
        };
        let message = self.message(pool, key.public_key())?;
        let added = set.clone();
        set.id = self
            .store
            .write(move |db| sessions::add_set(db, &added))
            .await?;
        let nodes = u64::from(message.nodes);
        let first = match self.chain.open(message).await {
            Ok(first) => first,
            Err(error) if error.is_retryable() => return Err(error.into()),
            Err(error) => {
                let id = set.id;
                self.store
                    .write(move |db| sessions::resolve_set(db, id))
                    .await?;
                return Err(error.into());
            }
        };
        // All of them or none: a set whose sessions are not all known is looked for later.
        let mut records = Vec::new();
        for id in first..first + nodes {
            let unknown = || Error::Unusable(format!("the chain does not show session {id} yet"));
            records.push(self.chain.session(id).await?.ok_or_else(unknown)?);
        }
        let mut opened = Vec::new();
        for record in records {
            opened.push(self.adopt(&set, record).await?);
        }
        Ok(opened)
    }

    fn message(&self, pool: &PoolId, session_key: Vec<u8>) -> Result<MsgOpenSessions, Error> {
        let snapshot = self.catalog.get();
        let params = snapshot.params.sessions;
        let params = params.ok_or_else(|| Error::Unusable("the chain has no sessions".into()))?;
        let most = params
            .sample_value
            .saturating_mul(params.max_samples.into());
        Ok(MsgOpenSessions {
            user: String::new(),
            model: pool.model.clone(),
            nodes: self
                .settings
                .nodes
                .clamp(1, params.max_session_nodes.max(1)),
            escrow: self.settings.escrow.min(most),
            session_key,
            blocks: self.settings.blocks.min(params.max_session_blocks),
            scoring: pool.tier.scoring().into(),
        })
    }

    /// Stores a session of the chain that belongs to a set.
    pub(super) async fn adopt(&self, set: &Set, record: v1::Session) -> Result<Stored, Error> {
        let (id, stored) = (set.id, record.clone());
        let change = move |db: &rusqlite::Connection| {
            sessions::put(db, id, &stored, State::Opening)?;
            sessions::resolve_set(db, id)
        };
        self.store.write(change).await?;
        Ok(Stored {
            set: set.clone(),
            record,
            state: State::Opening,
        })
    }

    /// Makes a session usable: reads its account, and where its node is.
    pub(super) async fn connect(&self, stored: Stored) -> Result<Arc<Live>, Error> {
        let pool = pool_of(&stored.set)?;
        let record = &stored.record;
        let unusable = |reason: &str| Error::Unusable(format!("session {}: {reason}", record.id));
        let drawn = record
            .node
            .as_ref()
            .ok_or_else(|| unusable("it has no node"))?;
        let node = self.chain.node(&drawn.operator).await?;
        let stream = node.and_then(|node| node.stream);
        let stream = stream.ok_or_else(|| unusable("its node offers no sessions any more"))?;
        let endpoint = Endpoint::new(&stream, self.settings.allow_private).map_err(|error| {
            let reason = error.to_string();
            self.roster
                .quarantine(&drawn.operator, &reason, &self.store);
            unusable(&reason)
        })?;
        let identity = Identity {
            chain_id: self.chain.id(),
            session: record.id,
            session_key: session_key(&self.account, &self.chain.id(), &stored.set.nonce)?,
            node_key: drawn.key.clone(),
        };
        let node = Node::new(endpoint, identity, self.settings.allow_private)?;
        let id = record.id;
        let (leaves, orders) = self
            .store
            .read(|db| Ok((orders::leaves(db, id)?, orders::orders(db, id)?)))?;
        let terms = record.terms.unwrap_or_default();
        let book = Book::restore(id, terms, limits(record), leaves, orders)?;
        let live = Arc::new(Live::new(stored, pool, node, book));
        spawn(acknowledge_always(live.clone(), self.store.clone()));
        live.answered.notify_one();
        Ok(live)
    }
}
