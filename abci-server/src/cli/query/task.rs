//! `poqd query poq task`: prints a task and its explanation.

use anyhow::Context;
use poq_proto::v1::{
    Params, QueryParamsRequest, QueryParamsResponse, QueryTaskRequest, QueryTaskResponse, Task,
};
use serde::Serialize;

use super::Node;
use crate::cli::explain::{Explanation, audit_result, explain, render, slash_heights, slashes};

/// The chain's record and its explanation.
#[derive(Serialize)]
struct Explained {
    task: Task,
    explanation: Explanation,
}

/// The record of a task at the requested height.
pub(super) async fn read(node: &Node, id: u64) -> anyhow::Result<Task> {
    let request = QueryTaskRequest { id };
    let answer = node
        .client
        .query::<_, QueryTaskResponse>("/poq.v1.Query/Task", &request, node.height)
        .await?;
    answer.value.task.context("the node's answer has no task")
}

/// Reads, explains and prints a task.
pub(super) async fn run(node: &Node, id: u64) -> anyhow::Result<()> {
    let task = read(node, id).await?;
    let params = params(node, &task).await?;
    let mut explanation = explain(&task, &params);
    for height in slash_heights(&task) {
        match node.client.block_results(Some(height)).await {
            Ok(block) => explanation
                .slashed
                .extend(slashes(id, height, &block.events)),
            Err(error) => explanation.notes.push(format!(
                "the slashes at height {height} are unknown: {error}"
            )),
        }
    }
    let text = render(&task, &explanation);
    node.print_told(&Explained { task, explanation }, &text)
}

/// The parameters of the task's settlement, or of its correction by an audit. If the node no longer has
/// them, the newest ones, which may not result in the recorded amounts.
async fn params(node: &Node, task: &Task) -> anyhow::Result<Params> {
    let path = "/poq.v1.Query/Params";
    let corrected = audit_result(task).filter(|result| !result.penalties.is_empty());
    let settled = match corrected {
        Some(result) => Some(result.height),
        None => task.settlement.as_ref().map(|settlement| settlement.height),
    };
    let ask = |height| {
        node.client
            .query::<_, QueryParamsResponse>(path, &QueryParamsRequest {}, height)
    };
    let answer = match ask(settled.or(node.height)).await {
        Err(poq_client::Error::Query { .. }) => ask(node.height).await?,
        answer => answer?,
    };
    answer
        .value
        .params
        .context("the node's answer has no parameters")
}
