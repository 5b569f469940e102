use anyhow::{Context, Result};
use clap::Args;
use poq_proto::v1::Role;

use super::{operator, program};
use crate::program::{OutputArg, table};
use crate::{ChainConfig, WorkerHome, earnings};

/// Options of `earnings`.
#[derive(Debug, Args)]
pub struct Earnings {
    /// Newest payments to show, up to 100
    #[arg(long, default_value_t = 10, value_name = "NUMBER", value_parser = clap::value_parser!(u8).range(..=100))]
    pub recent: u8,
    /// Form of the result.
    #[command(flatten)]
    pub output: OutputArg,
}

/// Shows the operator's earnings, its losses and its newest payments.
///
/// # Errors
/// If the operator is not registered, or the node does not answer.
pub async fn earnings(
    home: &WorkerHome,
    chain: &ChainConfig,
    role: Role,
    args: &Earnings,
) -> Result<()> {
    let (client, operator) = operator(home, chain).await?;
    let earnings = earnings::Earnings::read(&client, role, &operator, args.recent)
        .await?
        .with_context(|| {
            let program = program(role);
            format!("{operator} is not registered; use `{program} register`")
        })?;
    let text = table(&earnings.lines());
    args.output.output.print(&earnings, text)?;
    Ok(())
}
