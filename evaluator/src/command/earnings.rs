use anyhow::{Context, Result};
use poq_client::worker::WorkerHome;
use poq_client::{Client, Earnings};
use poq_proto::v1::Role;

use crate::cli;
use crate::config::Config;
use crate::output;

/// Shows what the chain says about the operator's money.
pub async fn earnings(args: cli::Earnings) -> Result<()> {
    let home = WorkerHome::open(&args.home.home)?;
    let config: Config = home.config()?;
    let client = Client::new(&config.chain.node)?;
    let prefix = client.params().await?.bech32_prefix;
    let operator = home.operator(&config.chain, &prefix)?;
    let earnings = Earnings::read(&client, Role::Evaluator, &operator, args.recent)
        .await?
        .with_context(|| format!("{operator} is not registered; use `poq-evaluator register`"))?;
    output::print(args.output.output, &earnings, &earnings.lines())?;
    Ok(())
}
