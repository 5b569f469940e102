use std::path::Path;

use anyhow::Context;
use poq_client::{Client, Earnings};
use poq_proto::v1::Role;

use super::{print_typed, settings};
use crate::cli::Earnings as Options;

/// Shows what the operator earned and lost.
pub async fn earnings(home: &Path, options: &Options) -> anyhow::Result<()> {
    let (home, config) = settings(home)?;
    let client = Client::new(&config.chain.node)?;
    let prefix = client.params().await?.bech32_prefix;
    let operator = home.operator(&config.chain, &prefix)?;
    let earnings = Earnings::read(&client, Role::Inference, &operator, options.recent)
        .await?
        .with_context(|| {
            format!("{operator} is not registered; use `poq-inference-node register`")
        })?;
    print_typed(options.output.output, &earnings, || {
        let lines = earnings.lines().into_iter();
        let lines = lines.map(|(name, value)| format!("{:15} {value}", format!("{name}:")));
        lines.collect::<Vec<_>>().join("\n")
    })
}
