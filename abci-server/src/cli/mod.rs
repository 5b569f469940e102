//! The command line, with a file or folder for each command.

mod answer;
mod ask;
mod coin;
mod completions;
mod config;
mod explain;
mod export;
mod faucet;
mod flags;
mod genesis;
mod init;
mod input;
mod keys;
mod models;
pub(crate) mod output;
mod query;
mod receipt;
mod role;
mod start;
mod status;
mod testnet;
mod tx;
mod version;
mod vrf_key;

use std::path::PathBuf;

use anyhow::Context;
use clap::{CommandFactory, Parser, Subcommand};
use poq_worker::program::logging;
use tokio::runtime::{Builder, Runtime};

use crate::home::settings::ClientSettings;
use crate::home::settings::Format;
use crate::home::{Home, default_home};

/// Node daemon and command line of the Proof of Quality chain.
#[derive(Debug, Parser)]
#[command(name = "poqd", version, max_term_width = 100)]
pub(crate) struct Cli {
    /// Folder of settings, keys and data.
    #[arg(long, global = true, env = "POQD_HOME", default_value_os_t = default_home())]
    home: PathBuf,
    /// Format of the log on standard error: text or json. RUST_LOG filters it.
    #[arg(long, global = true, default_value_t)]
    pub log_format: logging::Format,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Create a node's home: keys, settings and genesis.
    Init(init::Init),
    /// Run the node: serve the application, with CometBFT if requested.
    Start(start::Start),
    /// Edit and check the genesis of a new chain.
    Genesis(genesis::Genesis),
    /// Print the state of a stopped node as the genesis of a new chain.
    Export(export::Export),
    /// Read and change the settings of a home.
    Config(config::Config),
    /// Check the files of the chain's evaluator models.
    Models(models::Models),
    /// Manage keys.
    Keys(keys::Keys),
    /// Show or create the validator's VRF keys.
    VrfKey(vrf_key::VrfKey),
    /// Show the status of a node.
    Status(status::Status),
    /// Ask a question and print its answer, quality and cost.
    Ask(Box<ask::Ask>),
    /// Send a transaction and wait for its result.
    Tx(Box<tx::Tx>),
    /// Query a node.
    #[command(visible_alias = "q")]
    Query(query::Query),
    /// Fetch receipts of tasks and answers, and verify them offline.
    Receipt(receipt::Receipt),
    /// Create test networks.
    Testnet(testnet::Testnet),
    /// Serve coins to anyone, on a test network.
    Faucet(faucet::Faucet),
    /// Print a shell completion script.
    Completions(completions::Completions),
    /// Show the versions of this program and its protocols.
    Version(version::Version),
}

impl Cli {
    /// Runs the command.
    ///
    /// # Errors
    /// The command's failure.
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let home = Home::new(self.home);
        match self.command {
            Command::Init(command) => command.run(&home),
            Command::Start(command) => command.run(&home),
            Command::Genesis(command) => command.run(&home),
            Command::Export(command) => command.run(&home),
            Command::Config(command) => command.run(&home),
            Command::Keys(command) => command.run(&home),
            Command::VrfKey(command) => command.run(&home),
            Command::Models(command) => command.run(&home),
            Command::Status(command) => command.run(&home),
            Command::Ask(command) => command.run(&home),
            Command::Tx(command) => command.run(&home),
            Command::Query(command) => command.run(&home),
            Command::Receipt(command) => command.run(&home),
            Command::Testnet(command) => command.run(),
            Command::Faucet(command) => command.run(&home),
            Command::Completions(command) => {
                command.run(Self::command());
                Ok(())
            }
            Command::Version(command) => command.run(),
        }
    }

    /// Format of a failure, the same as that of results.
    pub(crate) fn error_format(&self) -> Format {
        let flag = match &self.command {
            Command::Init(command) => command.output,
            Command::Start(_)
            | Command::Faucet(_)
            | Command::Completions(_)
            | Command::Export(_) => None,
            Command::Genesis(command) => command.output,
            Command::Config(command) => command.output,
            Command::Keys(command) => command.output(),
            Command::VrfKey(command) => command.output,
            Command::Ask(command) => command.output(),
            Command::Models(command) => command.output(),
            Command::Status(command) => command.node.output,
            Command::Tx(command) => command.output(),
            Command::Query(command) => command.output(),
            Command::Receipt(command) => command.output(),
            Command::Testnet(command) => command.output(),
            Command::Version(command) => command.output,
        };
        flag.or_else(|| {
            let settings = ClientSettings::load(&Home::new(&self.home));
            settings.map(|settings| settings.output).ok()
        })
        .unwrap_or_default()
    }
}

/// Creates a runtime that runs on the calling thread.
fn runtime() -> anyhow::Result<Runtime> {
    Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn flags_may_stand_anywhere() {
        for line in [
            "poqd --home h tx bank send poq1x 1upoq --from a",
            "poqd tx --from a bank send poq1x 1upoq --home h --output json",
            "poqd q poq task 7 --node tcp://n:1 --height 3",
            "poqd query block",
            "poqd query poq draw 7",
            "poqd query poq draw 7 --role evaluator --attempt 1 --verify",
            "poqd query --output json block 5",
            "poqd keys show a -a --keyring-backend test",
            "poqd tx poq submit-task hello --from a --wait final --temperature 0.7",
            "poqd tx poq register-evaluator --evaluator-models a,b --stake 5upoq --from a",
            "poqd start --abci unix:///tmp/a.sock --with-comet",
            "poqd init n --chain-id c",
            "poqd tx poq cancel-task 7 --from a --generate-only",
            "poqd tx poq add-stake validator 5upoq --from a --broadcast-mode sync",
            "poqd tx poq update-params --set answer_window=9 --set jail_window=5 --from a",
            "poqd tx bank multi-send poq1x=1upoq poq1y=2upoq --from a --dry-run",
            "poqd tx sign f --from a --offline --account-number 1 --sequence 2",
            "poqd genesis add-validator a --stake 5upoq --power 3",
            "poqd vrf-key show --output json",
            "poqd vrf-key add --home h",
            "poqd tx poq set-vrf-key --from a",
            "poqd tx poq enable-vote-extensions 90 --from a",
            "poqd config set client.node http://n:1",
            "poqd completions zsh",
            "poqd version --long",
            "poqd ask hello --from a --max-answer-bytes 64",
            "poqd query poq answer 7",
            "poqd models check --evaluator-models d",
            "poqd tx poq close-sessions 7 8 --from a",
            "poqd tx poq settle-sessions f --from a",
            "poqd tx poq reveal-leaves - --from a",
            "poqd tx poq update-node inference --no-stream --from a",
            "poqd query poq session 7",
            "poqd query poq sessions --user poq1x --after 7 --limit 5",
            "poqd query poq sessions --operator poq1x",
            "poqd query poq draw --session 7 --verify",
            "poqd receipt get task 7 --out f --node http://n:1",
            "poqd receipt get answer -",
            "poqd receipt verify f --answer a --output json",
        ] {
            Cli::try_parse_from(line.split(' ')).unwrap_or_else(|error| panic!("{line}: {error}"));
        }
    }

    /// A compressed secp256k1 key.
    const KEY: &str = "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798";

    #[test]
    fn keys_of_sessions_are_hex() {
        let open = format!(
            "poqd tx poq open-sessions --model m --nodes 2 --escrow 5upoq --blocks 9 --session-key {KEY}"
        );
        let update = format!("poqd tx poq update-node inference --stream-key {KEY} --from a");
        for line in [
            &open,
            &format!("{open} --scoring all --from a"),
            &update,
            &format!(
                "{update} --stream-url https://a --stream-tls-spki {}",
                "07".repeat(32)
            ),
        ] {
            Cli::try_parse_from(line.split(' ')).unwrap_or_else(|error| panic!("{line}: {error}"));
        }
        for line in [
            open.replace(KEY, &KEY[2..]),
            open.replace(" --escrow 5upoq", ""),
            open.replace(" --blocks 9", ""),
            format!("{open} --scoring some"),
            format!("{update} --no-stream"),
            format!("{update} --stream-tls-spki 07"),
        ] {
            assert!(Cli::try_parse_from(line.split(' ')).is_err(), "{line}");
        }
    }

    #[test]
    fn a_text_may_begin_with_a_hyphen() {
        for words in [
            ["poqd", "ask", "-5 + 3 = ?", "--from", "a"].as_slice(),
            &[
                "poqd",
                "tx",
                "poq",
                "submit-task",
                "--help me",
                "--from",
                "a",
            ],
            &[
                "poqd",
                "tx",
                "poq",
                "cancel-task",
                "7",
                "--memo",
                "- a",
                "--from",
                "a",
            ],
        ] {
            Cli::try_parse_from(words).unwrap_or_else(|error| panic!("{words:?}: {error}"));
        }
    }

    #[test]
    fn wrong_values_are_refused() {
        for line in [
            "poqd",
            "poqd start --abci 127.0.0.1:1",
            "poqd init n --chain-id a/b",
            "poqd init n",
            "poqd tx bank send poq1x upoq",
            "poqd tx bank send poq1x 1upoq --fees 1upoq --gas-prices 1upoq",
            "poqd tx bank send poq1x 1upoq --gas much",
            "poqd tx poq submit-task",
            "poqd tx poq submit-task hello --prompt-file f",
            "poqd tx poq submit-task hello --top-p 1.5",
            "poqd query poq task seven",
            "poqd query poq draw 7 --attempt 1",
            "poqd query poq draw",
            "poqd query poq draw 7 --session 7",
            "poqd query poq draw --session 7 --role inference",
            "poqd query poq sessions --user poq1x --operator poq1y",
            "poqd tx poq close-sessions --from a",
            "poqd query block 0",
            "poqd receipt verify f --trusted-hash 1234",
            "poqd receipt get answer",
            "poqd query tx 1234",
            "poqd query poq nodes validator",
            "poqd keys list --keyring-backend os",
            "poqd status --output xml",
            "poqd testnet init-files --output-dir d",
            "poqd tx bank send poq1x 1upoq --dry-run --generate-only",
            "poqd tx bank multi-send poq1x",
            "poqd tx poq update-params",
            "poqd tx poq update-params f --set a=b",
            "poqd tx poq unjail judge",
            "poqd tx sign f --from a --offline",
            "poqd keys export a --unarmored-hex",
            "poqd genesis add-node validator a --models m --stake 1upoq",
            "poqd config get node",
            "poqd tx poq set-vrf-key --vrf-key AAAA --from a",
            "poqd tx poq set-vrf-key --vrf-key AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA= --from a",
        ] {
            assert!(Cli::try_parse_from(line.split(' ')).is_err(), "{line}");
        }
    }
}
