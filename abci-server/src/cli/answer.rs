//! Finds the answer to a task in its block. The state keeps the text only while the task is open, but
//! the digest forever.

use anyhow::{Context, bail};
use poq_client::{Client, Order, tx};
use poq_proto::v1::{MsgSubmitAnswers, Task};
use prost::{Message, Name};
use sha2::{Digest, Sha256};

/// A found answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// Text of the answer.
    pub text: String,
    /// Height of its block.
    pub height: u64,
}

/// Finds the answer whose digest is in a task's record.
///
/// # Errors
/// If there is no answer yet, if the node no longer has its block, or if the record is compact and the
/// node does not index transactions.
pub(super) async fn find(client: &Client, task: &Task) -> anyhow::Result<Found> {
    let id = task.id;
    let Some(answer) = &task.answer else {
        bail!("task {id} has no answer; `poqd query poq task {id}` shows why");
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
        "the node's blocks do not contain the answer to task {id} with the SHA-256 {}; ask another node with --node",
        hex::encode(&answer.sha256)
    )
}

/// Heights of the blocks with an answer to a task, from the node's index.
async fn heights_of(client: &Client, id: u64) -> anyhow::Result<Vec<u64>> {
    let query = format!("poq_task_answered.task='{id}'");
    let found = client.tx_search(&query, 1, 100, Order::Ascending).await;
    let page = found.with_context(|| {
        format!(
            "the record of task {id} is compact, so finding its answer needs an index of transactions; \
             ask a node that has one with --node"
        )
    })?;
    Ok(page.txs.into_iter().map(|tx| tx.height).collect())
}

/// The answers to a task in an entry of a block; none if the entry is not a transaction.
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
