//! The answer to a task, out of the block that carries it: the state keeps its text only while the
//! task is open, and its digest for ever.

use anyhow::{Context, bail};
use poq_client::{Client, Order, tx};
use poq_proto::v1::{MsgSubmitAnswers, Task};
use prost::{Message, Name};
use sha2::{Digest, Sha256};

/// An answer that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// What the node said.
    pub text: String,
    /// Of the block that carries it.
    pub height: u64,
}

/// The answer that a task's record has the digest of.
///
/// # Errors
/// If there is none yet, or if the node has no longer the block or, for a compact record, no index of
/// transactions.
pub async fn find(client: &Client, task: &Task) -> anyhow::Result<Found> {
    let id = task.id;
    let Some(answer) = &task.answer else {
        bail!("task {id} has no answer; `poqd query poq task {id}` says why");
    };
    let heights = match answer.height {
        // The record is compact.
        0 => heights_of(client, id).await?,
        height => vec![height],
    };
    for height in heights {
        let block = client.block(Some(height)).await.with_context(|| {
            format!("the answer to task {id} is in block {height}, which the node does not have")
        })?;
        let mut texts = block.block.data.iter().flat_map(|tx| answers(tx, id));
        if let Some(text) = texts.find(|text| Sha256::digest(text).as_slice() == answer.sha256) {
            return Ok(Found { text, height });
        }
    }
    bail!(
        "the node's blocks have no answer to task {id} with the SHA-256 {}; ask another node with --node",
        hex::encode(&answer.sha256)
    )
}

/// Heights of the blocks with an answer to a task, by the node's index.
async fn heights_of(client: &Client, id: u64) -> anyhow::Result<Vec<u64>> {
    let query = format!("poq_task_answered.task='{id}'");
    let found = client.tx_search(&query, 1, 100, Order::Ascending).await;
    let page = found.with_context(|| {
        format!(
            "the record of task {id} is compact, so that the block of its answer must be searched for; \
             ask a node that indexes transactions with --node"
        )
    })?;
    Ok(page.txs.into_iter().map(|tx| tx.height).collect())
}

/// The texts that a block's entry hands in for a task; other entries are none.
fn answers(bytes: &[u8], id: u64) -> Vec<String> {
    let messages = tx::decode(bytes).ok().and_then(|tx| tx.body);
    let messages = messages.map_or_else(Vec::new, |body| body.messages);
    let of_message = |message: &poq_client::Any| {
        let is_answer = message.type_url.trim_start_matches('/') == MsgSubmitAnswers::full_name();
        let decoded = is_answer.then(|| MsgSubmitAnswers::decode(message.value.as_slice()).ok());
        decoded
            .flatten()
            .map_or_else(Vec::new, |message| message.items)
    };
    let items = messages.iter().flat_map(of_message);
    let of_task = items.filter(|item| item.task_id == id);
    of_task.map(|item| item.answer).collect()
}
