//! `poqd query poq answer`: prints the answer to a task, even after the task is over.

use serde::Serialize;

use super::{Node, task};
use crate::cli::answer;

#[derive(Serialize)]
struct Answered {
    /// Id of the task, decimal, as in proto3 JSON.
    task_id: String,
    answer_text: String,
    sha256: String,
    /// Height of the answer's block, decimal.
    height: String,
}

/// Finds the answer, checks it against the record and prints it.
pub(super) async fn run(node: &Node, id: u64) -> anyhow::Result<()> {
    let task = task::read(node, id).await?;
    let found = answer::find(&node.client, &task).await?;
    let text = format!("{}\n", found.text);
    let sha256 = task.answer.unwrap_or_default().sha256;
    node.print_told(
        &Answered {
            task_id: id.to_string(),
            answer_text: found.text,
            sha256: hex::encode(sha256),
            height: found.height.to_string(),
        },
        &text,
    )
}
