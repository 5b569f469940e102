use std::time::Duration;

use prost::Message;
use tendermint::block::Height;
use tendermint_rpc::endpoint::{abci_query::AbciQuery, block, validators};
use tendermint_rpc::query::Query;
use tendermint_rpc::{Client as _, Order, Paging};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use crate::inclusion::Inclusion;
use crate::rpc::Rpc;
use crate::{BlockOutcome, Error, Result, Status, TxHash, TxOutcome, TxPage};

/// First and longest pause between two lookups of a transaction.
const WAIT_PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_millis(500));

/// One node's RPC endpoint. Clones share their connections; every request has a timeout.
#[derive(Clone, Debug)]
pub struct Client {
    rpc: Rpc,
}

/// The result of a query and the height of the state that it was read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer<T> {
    /// The result.
    pub value: T,
    /// The block whose execution produced the state.
    pub height: u64,
}

impl Client {
    /// A client for the node at `url` (`http://`, `https://` or `tcp://`). Nothing is sent yet.
    pub fn new(url: &str) -> Result<Self> {
        Rpc::new(url).map(|rpc| Self { rpc })
    }

    /// The node's address.
    pub fn url(&self) -> &str {
        self.rpc.url()
    }

    /// The node's status.
    pub async fn status(&self) -> Result<Status> {
        let status = self.rpc.check("status", self.rpc.http().status().await)?;
        Ok(status.into())
    }

    /// Height of the newest state that queries see. [`Status::latest_height`] can briefly be one
    /// block ahead.
    pub async fn height(&self) -> Result<u64> {
        let info = self
            .rpc
            .check("abci_info", self.rpc.http().abci_info().await)?;
        Ok(info.last_block_height.value())
    }

    /// Queries the application by gRPC path, for example `/poq.v1.Query/Task`, at `height` or in
    /// the newest state. A refusal is [`Error::Query`].
    pub async fn query<Q, R>(
        &self,
        path: &str,
        request: &Q,
        height: Option<u64>,
    ) -> Result<Answer<R>>
    where
        Q: Message,
        R: Message + Default,
    {
        let answer = self
            .abci_query(path, request.encode_to_vec(), height, false)
            .await?;
        let value = R::decode(answer.value.as_slice()).map_err(|error| Error::Decode {
            what: path.into(),
            reason: error.to_string(),
        })?;
        Ok(Answer {
            value,
            height: answer.height.value(),
        })
    }

    /// An ABCI query as CometBFT relays it; a code other than 0 is [`Error::Query`].
    pub(crate) async fn abci_query(
        &self,
        path: &str,
        data: Vec<u8>,
        height: Option<u64>,
        prove: bool,
    ) -> Result<AbciQuery> {
        let height = height.map(block_height).transpose()?;
        let request = self
            .rpc
            .http()
            .abci_query(Some(path.into()), data, height, prove);
        let answer = self.rpc.check("abci_query", request.await)?;
        if answer.code.is_err() {
            return Err(refusal(path, answer));
        }
        Ok(answer)
    }

    /// Broadcasts a transaction to the node's mempool. A refusal by CheckTx is [`Error::Tx`]; a
    /// transaction that is already in the mempool is accepted.
    pub async fn broadcast(&self, tx: Vec<u8>) -> Result<TxHash> {
        let hash = TxHash::of(&tx);
        let sent = self.rpc.http().broadcast_tx_sync(tx).await;
        let answer = match self.rpc.check("broadcast_tx_sync", sent) {
            Err(Error::Rpc { reason, .. }) if reason.contains("tx already exists in cache") => {
                return Ok(hash);
            }
            Err(Error::Rpc { url, reason, .. }) if reason.contains("mempool is full") => {
                return Err(Error::MempoolFull { url, reason });
            }
            other => other?,
        };
        if answer.code.is_err() {
            return Err(Error::Tx {
                code: answer.code.value(),
                codespace: answer.codespace,
                log: answer.log,
                hash,
            });
        }
        Ok(hash)
    }

    /// The transaction with this hash, if it is in a block that the node has indexed.
    pub async fn tx(&self, hash: TxHash) -> Result<Option<TxOutcome>> {
        let found = self.rpc.http().tx(hash.into(), false).await;
        match self.rpc.check("tx", found) {
            Ok(tx) => TxOutcome::new(hash, tx.height.value(), tx.index, tx.tx_result).map(Some),
            Err(Error::Rpc { reason, .. }) if reason.contains("not found") => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Waits until the transaction is in a block, even if it failed there; see
    /// [`TxOutcome::success`]. An RPC outage shorter than `timeout` does not end the wait. If the
    /// node has no transaction index, its blocks are read instead.
    pub async fn wait(&self, hash: TxHash, timeout: Duration) -> Result<TxOutcome> {
        let deadline = Instant::now() + timeout;
        let (mut pause, longest) = WAIT_PAUSE;
        let mut inclusion = Inclusion::new(self, hash);
        loop {
            let missing = match inclusion.look().await {
                Ok(Some(outcome)) => return Ok(outcome),
                Ok(None) => Error::NotIncluded { hash, timeout },
                Err(error) if error.is_retryable() => error,
                Err(error) => return Err(error),
            };
            if Instant::now() + pause > deadline {
                return Err(missing);
            }
            sleep(pause).await;
            pause = (pause * 2).min(longest);
        }
    }

    /// Waits until a block includes the transaction, even if it failed there. Gives up after
    /// `blocks` more blocks or after the block at `timeout_height` (0 means none). Checks at each
    /// of the `heights`, however long the next one takes; an RPC outage does not end the wait.
    pub async fn wait_blocks(
        &self,
        hash: TxHash,
        blocks: u64,
        timeout_height: u64,
        mut heights: watch::Receiver<u64>,
    ) -> Result<TxOutcome> {
        let mut height = *heights.borrow_and_update();
        let last = match timeout_height {
            0 => height.saturating_add(blocks),
            limit => height.saturating_add(blocks).min(limit),
        };
        let mut inclusion = Inclusion::new(self, hash);
        loop {
            match inclusion.look().await {
                Ok(Some(outcome)) => return Ok(outcome),
                Err(error) if !error.is_retryable() => return Err(error),
                Ok(None) | Err(_) => {}
            }
            // One block beyond the last possible one: a node announces a block before it indexes
            // it.
            if height > last || heights.changed().await.is_err() {
                return Err(Error::NotInBlocks { hash, height });
            }
            height = *heights.borrow_and_update();
        }
    }

    /// Transactions whose events match `query`, for example `poq_task_submitted.task='7'`.
    /// Pages count from 1 and hold up to `per_page` (1..=100) transactions.
    pub async fn tx_search(
        &self,
        query: &str,
        page: u32,
        per_page: u8,
        order: Order,
    ) -> Result<TxPage> {
        let request = self
            .rpc
            .http()
            .tx_search(parse_query(query)?, false, page, per_page, order);
        let found = self.rpc.check("tx_search", request.await)?;
        let outcome = |tx: tendermint_rpc::endpoint::tx::Response| {
            let hash = TxHash::of(&tx.tx);
            TxOutcome::new(hash, tx.height.value(), tx.index, tx.tx_result)
        };
        Ok(TxPage {
            total: found.total_count,
            txs: found.txs.into_iter().map(outcome).collect::<Result<_>>()?,
        })
    }

    /// Heights of blocks whose own events match `query`, for example `poq_node_paid.node='…'`.
    /// Pages count from 1 and hold up to `per_page` (1..=100) blocks.
    pub async fn block_search(
        &self,
        query: &str,
        page: u32,
        per_page: u8,
        order: Order,
    ) -> Result<Vec<u64>> {
        let request = self
            .rpc
            .http()
            .block_search(parse_query(query)?, page, per_page, order);
        let found = self.rpc.check("block_search", request.await)?;
        let heights = found
            .blocks
            .iter()
            .map(|block| block.block.header.height.value());
        Ok(heights.collect())
    }

    /// The block at `height`, or the newest one.
    pub async fn block(&self, height: Option<u64>) -> Result<block::Response> {
        let found = match height {
            Some(height) => self.rpc.http().block(block_height(height)?).await,
            None => self.rpc.http().latest_block().await,
        };
        self.rpc.check("block", found)
    }

    /// The results of executing the block at `height`, or the newest one.
    pub async fn block_results(&self, height: Option<u64>) -> Result<BlockOutcome> {
        let found = match height {
            Some(height) => self.rpc.http().block_results(block_height(height)?).await,
            None => self.rpc.http().latest_block_results().await,
        };
        self.rpc.check("block_results", found).map(Into::into)
    }

    /// The validators of the block at `height`.
    pub async fn validators(&self, height: u64) -> Result<validators::Response> {
        let height = block_height(height)?;
        let found = self.rpc.http().validators(height, Paging::All).await;
        self.rpc.check("validators", found)
    }

    /// Application hash of the state after the block at `height`. It is in the next block's header,
    /// so that block must exist.
    pub async fn app_hash(&self, height: u64) -> Result<Vec<u8>> {
        let next = self.block(Some(height.saturating_add(1))).await?;
        Ok(next.block.header.app_hash.as_bytes().to_vec())
    }

    pub(crate) fn rpc(&self) -> &Rpc {
        &self.rpc
    }
}

fn parse_query(query: &str) -> Result<Query> {
    query
        .parse()
        .map_err(|error| Error::InvalidQuery(crate::rpc::message(&error)))
}

pub(crate) fn block_height(height: u64) -> Result<Height> {
    Height::try_from(height)
        .map_err(|_| Error::InvalidQuery(format!("{height} is not a block height")))
}
/// The error of a refused query. Some are in the Cosmos SDK's wording, with the chain's own code in
/// `info`.
fn refusal(path: &str, answer: AbciQuery) -> Error {
    let own = answer.info.split_once('/');
    let own = own.and_then(|(codespace, code)| Some((codespace.to_owned(), code.parse().ok()?)));
    let (codespace, code) = own.unwrap_or((answer.codespace, answer.code.value()));
    let text = answer.log.strip_prefix("rpc error: code = ");
    let text = text.and_then(|text| Some(text.split_once(" desc = ")?.1));
    Error::Query {
        path: path.into(),
        code,
        codespace,
        log: text.unwrap_or(&answer.log).to_owned(),
    }
}
