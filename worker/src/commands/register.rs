use std::time::Duration;

use anyhow::Result;
use clap::Args;
use poq_client::{Any, Client, Fee, Sender};
use serde::Serialize;

use crate::program::{OutputArg, table};
use crate::{ChainConfig, WorkerHome};

/// How long the registration may wait for its block.
const INCLUSION: Duration = Duration::from_secs(60);

/// Options of both workers' `register`.
#[derive(Debug, Args)]
pub struct Register {
    /// Base units to stake from the operator's balance
    #[arg(long)]
    pub stake: u64,
    /// Account that receives the earnings; the operator unless given
    #[arg(long, default_value = "")]
    pub payout: String,
    /// Most duties that the node is assigned at once, few enough to do all of them in time; 0 means
    /// 64
    #[arg(long, default_value_t = 0, hide_default_value = true)]
    pub capacity: u32,
    /// Form of the result.
    #[command(flatten)]
    pub output: OutputArg,
}

#[derive(Serialize)]
struct Registered {
    operator: String,
    models: Vec<String>,
    stake: u64,
    height: u64,
    hash: String,
}

/// Registers the operator for these models; `message` builds the message for its address.
///
/// # Errors
/// If the chain refuses it, or no block includes it in time.
pub async fn register(
    home: &WorkerHome,
    chain: &ChainConfig,
    models: Vec<String>,
    args: &Register,
    message: impl FnOnce(String) -> Any,
) -> Result<()> {
    let (key, client) = (home.key(chain)?, Client::new(&chain.node)?);
    let sender = Sender::new(client, key, Some(&chain.id)).await?;
    let operator = sender.address().to_owned();
    let message = message(operator.clone());
    let outcome = sender
        .send_and_wait(vec![message], Fee::Auto, INCLUSION)
        .await?;
    let registered = Registered {
        operator,
        models,
        stake: args.stake,
        height: outcome.height,
        hash: outcome.hash.to_string(),
    };
    let lines = [
        ("operator", registered.operator.clone()),
        ("models", registered.models.join(" ")),
        ("stake", format!("{} {}", registered.stake, sender.denom())),
        ("height", registered.height.to_string()),
        ("transaction", registered.hash.clone()),
    ];
    args.output.output.print(&registered, table(&lines))?;
    Ok(())
}
