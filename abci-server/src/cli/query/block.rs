//! `poqd query tx|txs|block|store`.

use std::time::Duration;

use anyhow::{Context, bail, ensure};
use poq_client::proof::Proven;
use poq_client::{Client, Error, Order, TxHash};
use serde::Serialize;
use tokio::time::{Instant, sleep};

use super::Node;

/// Time limit for the header that has the hash of the newest state.
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);
const HEADER_PAUSE: Duration = Duration::from_millis(200);

/// Flags of `query tx`.
#[derive(Debug, clap::Args)]
pub(super) struct Tx {
    /// Hash of the transaction, 64 hex digits.
    hash: TxHash,
}

/// Flags of `query txs`.
#[derive(Debug, clap::Args)]
pub(super) struct Txs {
    /// Conditions on events, for example "poq_task_submitted.task='7'".
    #[arg(long, alias = "events")]
    query: String,
    /// Page, from 1.
    #[arg(long, default_value_t = 1)]
    page: u32,
    /// Transactions per page, 1 to 100.
    #[arg(long, default_value_t = 30)]
    limit: u8,
}

/// Flags of `query block`.
#[derive(Debug, clap::Args)]
pub(super) struct Block {
    /// Height of the block; default: the newest.
    #[arg(value_parser = clap::value_parser!(u64).range(1..))]
    block: Option<u64>,
}

/// Flags of `query block-results` and `query validator-set`.
#[derive(Debug, clap::Args)]
pub(super) struct AtBlock {
    /// Height of the block; default: the newest.
    #[arg(value_parser = clap::value_parser!(u64).range(1..))]
    block: Option<u64>,
}

/// Flags of `query store`.
#[derive(Debug, clap::Args)]
pub(super) struct Store {
    /// Raw key, as text or as hex digits after 0x.
    key: String,
    /// Check the value's proof against the header of the next block.
    #[arg(long)]
    prove: bool,
}

/// A raw value of the state.
#[derive(Serialize)]
struct StoreValue {
    key: String,
    /// Value, hex; absent if the state does not have the key.
    value: Option<String>,
    /// The state was read after the execution of this block.
    height: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    proof: Option<Checked>,
}

/// A checked proof.
#[derive(Serialize)]
struct Checked {
    /// Always true: an invalid proof is an error.
    valid: bool,
    /// Application hash of the header against which the proof was checked, hex.
    app_hash: String,
    /// Height of that header.
    header_height: u64,
    /// Encoded `ics23.CommitmentProof`, hex.
    commitment_proof: String,
}

impl Tx {
    pub(super) async fn run(self, node: &Node) -> anyhow::Result<()> {
        node.refuse_height()?;
        let outcome = node.client.tx(self.hash).await.map_err(explained)?;
        let outcome = outcome.with_context(|| {
            format!("{} is not in a block that the node has indexed", self.hash)
        })?;
        node.print(&outcome)
    }
}

impl Txs {
    pub(super) async fn run(self, node: &Node) -> anyhow::Result<()> {
        node.refuse_height()?;
        let order = Order::Ascending;
        let found = node
            .client
            .tx_search(&self.query, self.page, self.limit, order);
        node.print(&found.await.map_err(explained)?)
    }
}

/// Adds the remedy if the node cannot find transactions.
fn explained(error: Error) -> anyhow::Error {
    let is_without_index = error.is_without_index();
    let error = anyhow::Error::from(error);
    match is_without_index {
        true => error.context(
            "the node does not index transactions: ask another one with --node, or turn its index on with \
             `poqd config set comet.tx_index.indexer kv`, which covers new transactions only",
        ),
        false => error,
    }
}

impl Block {
    pub(super) async fn run(self, node: &Node) -> anyhow::Result<()> {
        node.print(&node.client.block(self.block.or(node.height)).await?)
    }
}

impl AtBlock {
    pub(super) async fn results(self, node: &Node) -> anyhow::Result<()> {
        let block = self.block.or(node.height);
        node.print(&node.client.block_results(block).await?)
    }

    pub(super) async fn validators(self, node: &Node) -> anyhow::Result<()> {
        let block = match self.block.or(node.height) {
            Some(block) => block,
            None => node.client.status().await?.latest_height,
        };
        node.print(&node.client.validators(block).await?)
    }
}

impl Store {
    pub(super) async fn run(self, node: &Node) -> anyhow::Result<()> {
        let key = match self.key.strip_prefix("0x") {
            Some(digits) => hex::decode(digits).context("KEY is not hex")?,
            None => self.key.clone().into_bytes(),
        };
        let proven = node.client.proven(&key, node.height).await?;
        let proof = match self.prove {
            true => Some(check(&node.client, &proven).await?),
            false => None,
        };
        node.print(&StoreValue {
            key: self.key,
            value: proven.value.as_ref().map(hex::encode),
            height: proven.height,
            proof,
        })
    }
}

/// Checks a proof against the next block's header, which has the state's hash.
async fn check(client: &Client, proven: &Proven) -> anyhow::Result<Checked> {
    let header_height = proven.height + 1;
    let app_hash = app_hash(client, proven.height).await?;
    if let Err(error) = proven.verify(&app_hash) {
        bail!("the node's answer is not proven by the header of block {header_height}: {error}");
    }
    Ok(Checked {
        valid: true,
        app_hash: hex::encode_upper(&app_hash),
        header_height,
        commitment_proof: hex::encode(&proven.proof),
    })
}

/// Waits for the next block and returns the hash of the state at `height` from its header.
pub(super) async fn app_hash(client: &Client, height: u64) -> anyhow::Result<Vec<u8>> {
    let header_height = height + 1;
    let started = Instant::now();
    while client.status().await?.latest_height < header_height {
        ensure!(
            started.elapsed() < HEADER_TIMEOUT,
            "block {header_height}, whose header has the state's hash, does not exist yet; try again \
             later or with a smaller --height"
        );
        sleep(HEADER_PAUSE).await;
    }
    Ok(client.app_hash(height).await?)
}
