use std::path::Path;

use poq_client::{Client, found};
use poq_proto::v1::Role;
use serde_json::json;

use super::{print, settings};
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
    let answers = Journal::open(home.data().join("journal"))?.keys()?.len();
    let value = json!({
        "operator": operator,
        "chain_id": chain.chain_id,
        "latest_height": chain.latest_height,
        "model": config.model.id,
        "node": node,
        "open_duties": open,
        "journal_answers": answers,
    });
    print(output, &value, || {
        let registered = node.map_or("not registered".to_owned(), |node| {
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
        });
        format!(
            "operator: {operator}\nchain:    {} at height {}\nmodel:    {}\nnode:     {registered}\n\
             duties:   {open} open\njournal:  {answers} answers",
            chain.chain_id, chain.latest_height, config.model.id,
        )
    });
    Ok(())
}
