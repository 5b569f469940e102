use anyhow::Result;
use poq_client::found;
use poq_proto::v1::{Duty, Node, Role};
use serde::Serialize;

use super::{operator, program};
use crate::program::{Output, table};
use crate::{ChainConfig, Journal, WorkerHome};

#[derive(Serialize)]
struct Status {
    operator: String,
    chain_id: String,
    height: u64,
    catching_up: bool,
    /// Absent before the registration.
    #[serde(skip_serializing_if = "Option::is_none")]
    node: Option<Node>,
    /// Models in config.toml.
    configured_models: Vec<String>,
    duties: Vec<Duty>,
    /// Number of seats with an entry in the journal.
    journal: u32,
}

/// Shows the operator's registration on the chain, its duties and its journal.
///
/// # Errors
/// If the node does not answer, or the journal cannot be read.
pub async fn status(
    home: &WorkerHome,
    chain: &ChainConfig,
    role: Role,
    configured_models: Vec<String>,
    output: Output,
) -> Result<()> {
    let (client, operator) = operator(home, chain).await?;
    let node_status = client.status().await?;
    let node = found(client.node(role, &operator).await)?;
    let duties = match &node {
        Some(_) => client.duties(role, &operator).await?.value,
        None => Vec::new(),
    };
    let journal = Journal::<serde_json::Value>::open(home.journal())?;
    let status = Status {
        operator,
        chain_id: node_status.chain_id,
        height: node_status.latest_height,
        catching_up: node_status.catching_up,
        node,
        configured_models,
        duties,
        journal: u32::try_from(journal.seats()?.len()).unwrap_or(u32::MAX),
    };
    output.print(&status, table(&lines(&status, role)))?;
    Ok(())
}

fn lines(status: &Status, role: Role) -> Vec<(&'static str, String)> {
    let mut lines = vec![
        ("operator", status.operator.clone()),
        ("chain", status.chain_id.clone()),
        ("height", status.height.to_string()),
        ("node catches up", status.catching_up.to_string()),
    ];
    match &status.node {
        None => lines.push((
            "registered",
            format!("no; use `{} register`", program(role)),
        )),
        Some(node) => lines.extend([
            ("status", node.status().as_str_name().to_owned()),
            ("registered for", node.models.join(" ")),
            ("registered since", node.registered_height.to_string()),
            ("stake", node.stake.to_string()),
            ("reputation", format!("{} ppm", node.reputation)),
            ("duties done", node.duties_done.to_string()),
            ("duties missed", node.duties_missed.to_string()),
            ("earned", node.earned.to_string()),
            ("slashed", node.slashed.to_string()),
        ]),
    }
    lines.push(("configured models", status.configured_models.join(" ")));
    lines.push(("journal entries", status.journal.to_string()));
    lines.extend(status.duties.iter().map(|duty| ("open duty", told(duty))));
    lines
}

fn told(duty: &Duty) -> String {
    let (task, attempt, due) = (duty.task_id, duty.attempt, duty.due_height);
    let (phase, model) = (duty.phase().as_str_name(), &duty.model);
    format!("task {task} of {model}, attempt {attempt}, {phase}, due at height {due}")
}
