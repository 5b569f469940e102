use std::path::Path;

use poq_client::{Client, found};
use poq_proto::v1::{Node, Role};
use serde::Serialize;

use super::{print_typed, settings};
use crate::cli::Output;
use crate::journal::Journal;

/// Shows the node as the chain sees it, and its journal.
pub async fn status(home: &Path, output: Output) -> anyhow::Result<()> {
    let (home, config) = settings(home)?;
    let client = Client::new(&config.chain.node)?;
    let prefix = client.params().await?.bech32_prefix;
    let operator = home.operator(&config.chain, &prefix)?;
    let chain = client.status().await?;
    let node = found(client.node(Role::Inference, &operator).await)?;
    let open = match node {
        Some(_) => client.duties(Role::Inference, &operator).await?.value.len(),
        None => 0,
    };
    let open = u32::try_from(open).unwrap_or(u32::MAX);
    let answers = Journal::open(home.data().join("journal"))?.keys()?.len();
    let answers = u32::try_from(answers).unwrap_or(u32::MAX);
    let status = Status {
        operator,
        chain_id: chain.chain_id,
        latest_height: chain.latest_height,
        model: config.model.id,
        node,
        open_duties: open,
        journal_answers: answers,
    };
    print_typed(output, &status, || status.text())
}

/// The node as the chain sees it.
#[derive(Serialize)]
struct Status {
    operator: String,
    chain_id: String,
    latest_height: u64,
    model: String,
    node: Option<Node>,
    open_duties: u32,
    journal_answers: u32,
}

impl Status {
    fn text(&self) -> String {
        let registered = self.node.as_ref().map_or_else(
            || "not registered".to_owned(),
            |node| {
                format!(
                    "{} since block {}, stake {}, reputation {} ppm, {} duties done, {} missed, \
                     earned {}, slashed {}",
                    node.status().as_str_name(),
                    node.registered_height,
                    node.stake,
                    node.reputation,
                    node.duties_done,
                    node.duties_missed,
                    node.earned,
                    node.slashed,
                )
            },
        );
        format!(
            "operator: {}\nchain:    {} at height {}\nmodel:    {}\nnode:     {registered}\n\
             duties:   {} open\njournal:  {} answers",
            self.operator,
            self.chain_id,
            self.latest_height,
            self.model,
            self.open_duties,
            self.journal_answers,
        )
    }
}
