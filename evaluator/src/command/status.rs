use anyhow::Result;
use poq_client::Client;
use poq_client::worker::WorkerHome;
use poq_proto::v1::{Duty, Node, Role};
use serde::Serialize;

use crate::cli;
use crate::config::Config;
use crate::journal::Journal;
use crate::output;

#[derive(Serialize)]
struct Status {
    operator: String,
    chain_id: String,
    height: u64,
    catching_up: bool,
    /// Absent before the registration.
    #[serde(skip_serializing_if = "Option::is_none")]
    node: Option<Node>,
    /// Evaluator models in config.toml.
    configured_models: Vec<String>,
    duties: Vec<Duty>,
    /// Seats that the journal has scores of.
    journal: u32,
}

/// Shows what the chain says about the operator.
pub async fn status(args: cli::Status) -> Result<()> {
    let home = WorkerHome::open(&args.home.home)?;
    let config: Config = home.config()?;
    let client = Client::new(&config.chain.node)?;
    let prefix = client.params().await?.bech32_prefix;
    let operator = home.operator(&config.chain, &prefix)?;
    let chain = client.status().await?;
    let node = match client.node(Role::Evaluator, &operator).await {
        Err(error) if error.is_not_found() => None,
        node => Some(node?),
    };
    let duties = match &node {
        Some(_) => client.duties(Role::Evaluator, &operator).await?.value,
        None => Vec::new(),
    };
    let journal = Journal::open(home.data().join("journal"))?.keys()?.len();
    let status = Status {
        operator,
        chain_id: chain.chain_id,
        height: chain.latest_height,
        catching_up: chain.catching_up,
        node,
        configured_models: config.model_ids(),
        duties,
        journal: u32::try_from(journal).unwrap_or(u32::MAX),
    };
    output::print(args.output.output, &status, &lines(&status))?;
    Ok(())
}

fn lines(status: &Status) -> Vec<(&'static str, String)> {
    let mut lines = vec![
        ("operator", status.operator.clone()),
        ("chain", status.chain_id.clone()),
        ("height", status.height.to_string()),
        ("node catches up", status.catching_up.to_string()),
    ];
    match &status.node {
        None => lines.push(("registered", "no; use `poq-evaluator register`".to_owned())),
        Some(node) => lines.extend([
            ("status", node.status().as_str_name().to_owned()),
            ("registered for", node.models.join(" ")),
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
    lines.extend(status.duties.iter().map(|duty| {
        let phase = duty.phase().as_str_name();
        let (task, attempt, due) = (duty.task_id, duty.attempt, duty.due_height);
        let model = &duty.evaluator_model;
        (
            "open duty",
            format!("task {task}, attempt {attempt}, {phase}, {model}, due at height {due}"),
        )
    }));
    lines
}
