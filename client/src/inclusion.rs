//! Finds the block of a transaction that was just broadcast.

use tendermint_rpc::Client as _;
use tracing::debug;

use crate::client::block_height;
use crate::{Client, Error, Result, TxHash, TxOutcome};

/// How far behind the newest block the transaction may already be at the first lookup.
const LOOK_BACK: u64 = 10;

/// Looks for one transaction: in the node's index, or in its blocks if it has none, as many
/// validators do. Each block is read once.
pub(crate) struct Inclusion<'a> {
    client: &'a Client,
    hash: TxHash,
    /// The next block to read; `None` while the index is used.
    next: Option<u64>,
}

impl<'a> Inclusion<'a> {
    pub(crate) fn new(client: &'a Client, hash: TxHash) -> Self {
        Self {
            client,
            hash,
            next: None,
        }
    }

    /// The transaction, if it is in a block by now.
    pub(crate) async fn look(&mut self) -> Result<Option<TxOutcome>> {
        if self.next.is_none() {
            match self.client.tx(self.hash).await {
                Err(error) if error.is_without_index() => {
                    debug!("the node has no transaction index: reading its blocks");
                }
                answer => return answer,
            }
        }
        self.read_blocks().await
    }

    async fn read_blocks(&mut self) -> Result<Option<TxOutcome>> {
        let newest = self.client.status().await?.latest_height;
        let first = newest.saturating_sub(LOOK_BACK).max(1);
        let mut height = *self.next.get_or_insert(first);
        while height <= newest {
            let found = match self.position(height).await? {
                Some(index) => Some(self.outcome(height, index).await?),
                None => None,
            };
            if found.is_some() {
                return Ok(found);
            }
            height += 1;
            self.next = Some(height);
        }
        Ok(None)
    }

    /// The transaction's position in the block.
    async fn position(&self, height: u64) -> Result<Option<usize>> {
        let block = self.client.block(Some(height)).await?.block;
        let mut txs = block.data.iter();
        Ok(txs.position(|tx| TxHash::of(tx) == self.hash))
    }

    /// Its result. While the block is being executed, the error is retryable.
    async fn outcome(&self, height: u64, index: usize) -> Result<TxOutcome> {
        let rpc = self.client.rpc();
        let results = rpc.http().block_results(block_height(height)?).await;
        let results = rpc.check("block_results", results)?.txs_results;
        let result = results.into_iter().flatten().nth(index);
        let result = result.ok_or_else(|| Error::Decode {
            what: format!("block_results of height {height}"),
            reason: format!("it has no result of transaction {index}"),
        })?;
        let index = u32::try_from(index).unwrap_or(u32::MAX);
        TxOutcome::new(self.hash, height, index, result)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::Duration;

    use base64::Engine;
    use base64::engine::general_purpose::STANDARD as BASE64;
    use serde_json::{Value, json};
    use tokio::sync::watch;

    use super::*;
    use crate::fake_node::{self, FakeNode};

    const TX: &[u8] = b"the transaction";

    fn block(height: u64, txs: &[&[u8]]) -> Value {
        let txs: Vec<_> = txs.iter().map(|tx| BASE64.encode(tx)).collect();
        let id = json!({"hash": "", "parts": {"total": 0, "hash": ""}});
        json!({
            "block_id": id,
            "block": {
                "header": {
                    "version": {"block": "11", "app": "1"},
                    "chain_id": "poq-local-1",
                    "height": height.to_string(),
                    "time": "2026-01-01T00:00:00Z",
                    "last_block_id": null,
                    "last_commit_hash": null,
                    "data_hash": null,
                    "validators_hash": "00".repeat(32),
                    "next_validators_hash": "00".repeat(32),
                    "consensus_hash": "00".repeat(32),
                    "app_hash": "",
                    "last_results_hash": null,
                    "evidence_hash": null,
                    "proposer_address": "22".repeat(20)
                },
                "data": {"txs": txs},
                "evidence": {"evidence": null},
                "last_commit": null
            }
        })
    }

    fn results(height: u64) -> Value {
        let result = |log: &str| {
            json!({"code": 7, "data": "", "log": log, "info": "", "gas_wanted": "2",
                "gas_used": "1", "events": [], "codespace": "poq"})
        };
        json!({
            "height": height.to_string(),
            "txs_results": [result("votes"), result("refused")],
            "finalize_block_events": [],
            "validator_updates": [],
            "consensus_param_updates": null,
            "app_hash": ""
        })
    }

    /// A node at `newest` without an index. Block 12 has the transaction in second place; its
    /// results are there at the second request.
    async fn node(newest: Arc<AtomicU64>, refusal: &'static str) -> FakeNode {
        let asked = AtomicU64::new(0);
        FakeNode::start(move |method, params| {
            let height = || params["height"].as_str().unwrap().parse().unwrap();
            Ok(match method {
                "status" => fake_node::status("poq-local-1", newest.load(Ordering::Relaxed)),
                "tx" => return Err(refusal.into()),
                "block" => match height() {
                    12 => block(12, &[b"votes", TX]),
                    other => block(other, &[b"votes"]),
                },
                "block_results" if asked.fetch_add(1, Ordering::Relaxed) == 0 => {
                    return Err("could not find results for height #12".into());
                }
                "block_results" => results(height()),
                other => panic!("{other}"),
            })
        })
        .await
    }

    fn assert_found(outcome: &TxOutcome) {
        assert_eq!((outcome.height, outcome.index, outcome.code), (12, 1, 7));
        assert_eq!(outcome.log, "refused");
    }

    #[tokio::test]
    async fn a_transaction_is_found_in_the_blocks_of_a_node_without_an_index() {
        for refusal in [
            "transaction indexing is disabled",
            "the TxIndexer.Get method is not supported",
        ] {
            // The transaction was in a block before the first lookup.
            let node = node(Arc::new(AtomicU64::new(15)), refusal).await;
            let client = Client::new(&node.url).unwrap();
            let hash = TxHash::of(TX);
            let outcome = client.wait(hash, Duration::from_secs(30)).await.unwrap();
            assert_found(&outcome);
        }
    }

    #[tokio::test]
    async fn blocks_are_read_as_they_come() {
        let newest = Arc::new(AtomicU64::new(9));
        let node = node(newest.clone(), "transaction indexing is disabled").await;
        let client = Client::new(&node.url).unwrap();
        let (heights, receiver) = watch::channel(9);
        let height = newest.clone();
        tokio::spawn(async move {
            for next in 10..=14 {
                tokio::time::sleep(Duration::from_millis(50)).await;
                height.store(next, Ordering::Relaxed);
                heights.send_replace(next);
            }
            std::future::pending::<()>().await;
        });
        let hash = TxHash::of(TX);
        let outcome = client.wait_blocks(hash, 9, 0, receiver).await.unwrap();
        assert_found(&outcome);
        let late = TxHash::of(b"another");
        let (_heights, receiver) = watch::channel(14);
        let wait = client.wait_blocks(late, 0, 13, receiver).await;
        assert!(matches!(wait, Err(Error::NotInBlocks { .. })), "{wait:?}");
    }

    #[tokio::test]
    async fn another_failure_of_the_node_is_none_of_the_index() {
        let error = |reason: &str| Error::Rpc {
            url: String::new(),
            method: "tx",
            reason: reason.into(),
        };
        assert!(error("transaction indexing is disabled").is_without_index());
        assert!(!error("tx (AB) not found").is_without_index());
        assert!(!error("timeout").is_without_index());
    }
}
