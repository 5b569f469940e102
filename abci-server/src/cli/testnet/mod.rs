//! `poqd testnet`.

mod files;
mod folder;

use std::path::PathBuf;

use poq_client::keyring::Backend;

use crate::home::genesis;
use crate::home::settings::Format;

/// Commands of `testnet`.
#[derive(Debug, clap::Args)]
pub(super) struct Testnet {
    #[command(subcommand)]
    command: TestnetCommand,
}

#[derive(Debug, clap::Subcommand)]
enum TestnetCommand {
    /// Create the homes of a whole network on this machine, and network.json, which describes it.
    InitFiles(InitFiles),
}

/// Flags of `testnet init-files`.
#[derive(Debug, clap::Args)]
struct InitFiles {
    /// Folder of the network; its network.json lists every home, key, address and port.
    #[arg(long, value_name = "DIR")]
    output_dir: PathBuf,
    /// Replace an existing network.
    #[arg(long)]
    overwrite: bool,
    /// Validators, each with its node.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=40))]
    validators: u16,
    /// Inference nodes, registered for every model of the template.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(0..=1000))]
    inference_nodes: u16,
    /// Evaluators, registered for every evaluator model of the template.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(0..=1000))]
    evaluators: u16,
    /// Id of the chain.
    #[arg(long, default_value = "poq-local-1", value_parser = genesis::parse_chain_id)]
    chain_id: String,
    /// JSON file with the application's genesis: parameters and models.
    #[arg(long, value_name = "FILE")]
    genesis_template: PathBuf,
    /// First port. With p = base + 10 (i - 1), node i uses p for peer-to-peer, p + 1 for RPC and p + 3 for
    /// gRPC. Each inference node and evaluator has one port after those of the nodes, then each inference
    /// node one for sessions, then the gateway.
    #[arg(long, default_value_t = 26656, value_parser = clap::value_parser!(u16).range(1024..))]
    base_port: u16,
    /// Duties that each inference node and evaluator takes at once; 0 means the chain's default.
    #[arg(long, default_value_t = 0)]
    capacity: u32,
    /// Backend of the keyrings: test or file.
    #[arg(long, default_value_t = Backend::Test)]
    keyring_backend: Backend,
    /// Pause of CometBFT after each block, for example 500ms or 1s.
    #[arg(long, default_value = "500ms", value_parser = parse_duration)]
    timeout_commit: String,
    /// Balance of every account, base units.
    #[arg(long, default_value_t = 1_000_000_000_000)]
    balance: u64,
    /// Stake of every inference node, evaluator and validator, base units; default: twice the
    /// minimum.
    #[arg(long)]
    stake: Option<u64>,
    /// The program `cometbft` 0.38; default: in $PATH, else in the cache.
    #[arg(long, value_name = "PATH", alias = "comet-binary")]
    cometbft: Option<PathBuf>,
    /// Format of the result.
    #[arg(long, value_enum)]
    output: Option<Format>,
}

impl Testnet {
    /// Runs the command.
    ///
    /// # Errors
    /// If the files cannot be created.
    pub(super) fn run(self) -> anyhow::Result<()> {
        match self.command {
            TestnetCommand::InitFiles(command) => {
                let network = files::create(&command)?;
                Ok(command.output.unwrap_or_default().print(&network)?)
            }
        }
    }

    /// Value of `--output`.
    pub(super) fn output(&self) -> Option<Format> {
        match &self.command {
            TestnetCommand::InitFiles(command) => command.output,
        }
    }
}

/// Parses a duration in the form of CometBFT's settings, in seconds or milliseconds.
fn parse_duration(text: &str) -> Result<String, String> {
    let number = text.strip_suffix("ms").or_else(|| text.strip_suffix('s'));
    match number.map(str::parse::<u32>) {
        Some(Ok(_)) => Ok(text.to_owned()),
        _ => Err("expected a whole number and `ms` or `s`, for example 500ms".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::parse_duration;

    #[test]
    fn durations() {
        assert_eq!(parse_duration("500ms").unwrap(), "500ms");
        assert_eq!(parse_duration("1s").unwrap(), "1s");
        for bad in ["", "s", "1", "1m", "-1s", "1.5s"] {
            assert!(parse_duration(bad).is_err(), "{bad}");
        }
    }
}
