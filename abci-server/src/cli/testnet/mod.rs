//! `poqd testnet`.

mod files;
mod folder;

use std::path::PathBuf;

use poq_client::keyring::Backend;

use crate::home::genesis;
use crate::home::settings::Format;

/// Commands of `testnet`.
#[derive(Debug, clap::Args)]
pub struct Testnet {
    #[command(subcommand)]
    command: TestnetCommand,
}

#[derive(Debug, clap::Subcommand)]
enum TestnetCommand {
    /// Make the homes of a whole network on this machine, and network.json that describes it.
    InitFiles(InitFiles),
}

/// Flags of `testnet init-files`.
#[derive(Debug, clap::Args)]
struct InitFiles {
    /// Folder to make them in; its network.json lists every home, key, address and port.
    #[arg(long, value_name = "DIR")]
    output_dir: PathBuf,
    /// Replace a network that is there.
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
    /// First port. Node i has base + 10 (i - 1) for peer-to-peer, the next one for RPC and the third
    /// after it for gRPC; the inference nodes and evaluators have one each after the last node's ten.
    #[arg(long, default_value_t = 26656, value_parser = clap::value_parser!(u16).range(1024..))]
    base_port: u16,
    /// Duties that each inference node and evaluator takes at once; 0 is the chain's default.
    #[arg(long, default_value_t = 0)]
    capacity: u32,
    /// Where keys are kept: test or file.
    #[arg(long, default_value_t = Backend::Test)]
    keyring_backend: Backend,
    /// Pause of CometBFT after each block, for example 500ms or 1s.
    #[arg(long, default_value = "500ms", value_parser = parse_duration)]
    timeout_commit: String,
    /// Balance of every account, base units.
    #[arg(long, default_value_t = 1_000_000_000_000)]
    balance: u64,
    /// Stake of every inference node, evaluator and validator, base units; default: twice the
    /// least.
    #[arg(long)]
    stake: Option<u64>,
    /// The program `cometbft` 0.38; default: in $PATH, else in the cache.
    #[arg(long, value_name = "PATH", alias = "comet-binary")]
    cometbft: Option<PathBuf>,
    /// How the result is printed.
    #[arg(long, value_enum)]
    output: Option<Format>,
}

impl Testnet {
    /// Runs the command.
    ///
    /// # Errors
    /// What is in the way.
    pub fn run(self) -> anyhow::Result<()> {
        match self.command {
            TestnetCommand::InitFiles(command) => {
                let network = files::create(&command)?;
                Ok(command.output.unwrap_or_default().print(&network)?)
            }
        }
    }

    /// Value of `--output`.
    pub fn output(&self) -> Option<Format> {
        match &self.command {
            TestnetCommand::InitFiles(command) => command.output,
        }
    }
}

/// A duration as CometBFT's settings have it, in seconds or milliseconds.
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
