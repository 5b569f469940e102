//! Finds the answer to a task in its block. The state keeps the text only while the task is open, but
//! the digest forever.

use anyhow::{Context, bail};
use poq_client::{Any, Client, Order, tx};
use poq_proto::v1::{MsgRevealLeaves, MsgSubmitAnswers, Task};
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
        let mut texts = block.block.data.iter().flat_map(|tx| answers(tx, task));
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
fn answers(bytes: &[u8], task: &Task) -> Vec<String> {
    let messages = tx::decode(bytes).ok().and_then(|tx| tx.body);
    let messages = messages.map_or_else(Vec::new, |body| body.messages);
    let of_message = |message: &Any| match task.leaf {
        None => {
            let items = read::<MsgSubmitAnswers>(message).items.into_iter();
            let of_task = items.filter(|item| item.task_id == task.id);
            of_task.map(|item| item.answer).collect::<Vec<_>>()
        }
        Some(leaf) => {
            let items = read::<MsgRevealLeaves>(message).items.into_iter();
            let of_leaf = items.filter(|item| {
                let number = item.leaf.as_ref().map(|leaf| leaf.number);
                (item.session, number) == (leaf.session, Some(leaf.number))
            });
            of_leaf.map(|item| item.answer).collect()
        }
    };
    messages.iter().flat_map(of_message).collect()
}

/// The message, or an empty one if it has another type or does not decode.
pub(super) fn read<M: Message + Name + Default>(message: &Any) -> M {
    let is_of_type = message.type_url.trim_start_matches('/') == M::full_name();
    let decoded = is_of_type.then(|| M::decode(message.value.as_slice()).ok());
    decoded.flatten().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use poq_client::tx::{Unsigned, any, encode};
    use poq_proto::v1::{AnswerItem, Leaf, LeafItem, LeafOfSession};

    use super::*;

    fn transaction(messages: Vec<Any>) -> Vec<u8> {
        let unsigned = Unsigned {
            messages,
            gas_limit: 0,
            fee: None,
            memo: String::new(),
            timeout_height: 0,
        };
        encode(&unsigned.to_tx().unwrap())
    }

    #[test]
    fn answers_are_found_in_the_messages_of_tasks_and_of_sessions() {
        let answer = |task_id, answer: &str| AnswerItem {
            task_id,
            answer: answer.into(),
            ..AnswerItem::default()
        };
        let leaf = |session, number, answer: &str| LeafItem {
            session,
            leaf: Some(Leaf {
                number,
                ..Leaf::default()
            }),
            answer: answer.into(),
            ..LeafItem::default()
        };
        let bytes = transaction(vec![
            any(&MsgSubmitAnswers {
                items: vec![answer(7, "a"), answer(8, "b")],
                ..MsgSubmitAnswers::default()
            }),
            any(&MsgRevealLeaves {
                items: vec![leaf(3, 7, "c"), leaf(3, 5, "d"), leaf(4, 5, "e")],
                ..MsgRevealLeaves::default()
            }),
        ]);
        let mut task = Task {
            id: 7,
            ..Task::default()
        };
        assert_eq!(answers(&bytes, &task), ["a"]);
        task.leaf = Some(LeafOfSession {
            session: 3,
            number: 5,
            ..LeafOfSession::default()
        });
        assert_eq!(answers(&bytes, &task), ["d"]);
        assert!(answers(b"?", &task).is_empty());
    }
}
