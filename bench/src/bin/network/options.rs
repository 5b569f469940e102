//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;

/// Ports reserved for each node.
const PORTS_PER_NODE: u16 = 10;

/// Measures a network of poqd under load, beside CometBFT's kvstore in the same CometBFT.
#[derive(Parser)]
pub(crate) struct Options {
    /// Validators of each network
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=40))]
    pub validators: u16,
    /// Inference nodes without a model
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=100))]
    pub inference_nodes: u16,
    /// Evaluators without a model
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=200))]
    pub evaluators: u16,
    /// Sending accounts
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub accounts: u32,
    /// Transfers offered per second, one load after the other; "" for none
    #[arg(long, value_delimiter = ',', default_value = "100,300,1000,3000")]
    pub transfers: Vec<Rate>,
    /// Tasks offered per second, one load after the other; "" for none
    #[arg(long, value_delimiter = ',', default_value = "20,60,120")]
    pub tasks: Vec<Rate>,
    /// Length of each load, seconds
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    pub seconds: u64,
    /// Skip kvstore
    #[arg(long)]
    pub no_kvstore: bool,
    /// First port; each node has ten, and each worker one after them; default: free ports
    #[arg(long, value_parser = clap::value_parser!(u16).range(1_024..=60_000))]
    pub base_port: Option<u16>,
    /// Folder for homes and logs, which is kept; default: a temporary folder
    #[arg(long, value_name = "DIR")]
    pub root: Option<PathBuf>,
    /// Format of the result
    #[arg(long, value_enum, default_value = "text")]
    pub output: Output,
}

/// Format of the result.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Output {
    /// Tables in Markdown.
    Text,
    /// A JSON object.
    Json,
}

/// A number per second; an empty text means none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rate(Option<u32>);

impl std::str::FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse() {
            _ if text.is_empty() => Ok(Self(None)),
            Ok(rate @ 1..=100_000) => Ok(Self(Some(rate))),
            _ => Err("expected a whole number from 1 to 100000".into()),
        }
    }
}

impl Options {
    /// The given first port, or the first of enough consecutive free ports.
    ///
    /// # Errors
    /// If there are not enough consecutive free ports.
    pub(crate) fn first_port(&self) -> poq_testnet::Result<u16> {
        let count = self.validators * PORTS_PER_NODE + self.inference_nodes + self.evaluators;
        self.base_port
            .map_or_else(|| poq_testnet::free_range(count), Ok)
    }

    /// Loads of transfers, per second.
    pub(crate) fn transfers(&self) -> Vec<u32> {
        self.transfers.iter().filter_map(|rate| rate.0).collect()
    }

    /// Loads of tasks, per second.
    pub(crate) fn tasks(&self) -> Vec<u32> {
        self.tasks.iter().filter_map(|rate| rate.0).collect()
    }

    /// The length of each load.
    pub(crate) fn duration(&self) -> Duration {
        Duration::from_secs(self.seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_lists_and_may_be_empty() {
        let options = Options::parse_from(["bench", "--transfers", "1,20", "--tasks", ""]);
        assert_eq!(options.transfers(), [1, 20]);
        assert!(options.tasks().is_empty());
        for bad in ["0", "x", "100001"] {
            assert!(Options::try_parse_from(["bench", "--tasks", bad]).is_err());
        }
    }
}
