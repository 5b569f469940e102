//! `poqd tx`: the commands and the flags of all transactions.

pub(in crate::cli) mod account;
pub(in crate::cli) mod authority;
mod bank;
mod duties;
pub(in crate::cli) mod file;
mod multisig;
pub(in crate::cli) mod poq;
mod sessions;
mod signers;
mod stream;
pub(in crate::cli) mod submit;

use std::str::FromStr;

use poq_client::Client;

use self::account::Account;
use super::flags::{KeyringFlags, NodeFlags};
use super::runtime;
use crate::cli::coin::{Coin, GasPrice};
use crate::home::Home;
use crate::home::settings::ClientSettings;
use crate::home::settings::Format;

/// Commands of `tx`.
#[derive(Debug, clap::Args)]
pub(super) struct Tx {
    #[command(flatten)]
    flags: TxFlags,
    #[command(subcommand)]
    command: TxCommand,
}

#[derive(Debug, clap::Subcommand)]
enum TxCommand {
    /// Transfers of coins.
    #[command(subcommand)]
    Bank(bank::Bank),
    /// Tasks, nodes, validators, and commands of the authority.
    #[command(subcommand)]
    Poq(Box<poq::Poq>),
    /// Sign a transaction from --generate-only.
    Sign(file::Sign),
    /// Combine the signatures of a multisignature account, printed by `tx sign --multisig`.
    Multisign(multisig::Multisign),
    /// Send a signed transaction.
    Broadcast(file::Broadcast),
    /// Print a transaction's bytes in base64, as a node's RPC accepts them.
    Encode(file::Encode),
    /// Print the JSON of a transaction's bytes.
    Decode(file::Decode),
}

/// Flags of every transaction.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct TxFlags {
    #[command(flatten)]
    pub(in crate::cli) node: NodeFlags,
    #[command(flatten)]
    pub(super) keyring: KeyringFlags,
    /// Name or address of the key that signs and pays. --generate-only and --dry-run accept the address
    /// of any account.
    #[arg(long, global = true, value_name = "KEY")]
    pub(super) from: Option<String>,
    /// Chain id of the transaction; default: as in client.toml.
    #[arg(long, global = true, value_name = "ID")]
    pub(super) chain_id: Option<String>,
    /// Gas limit: a number, or auto to simulate the transaction.
    #[arg(long, global = true, default_value = "auto")]
    pub(super) gas: Gas,
    /// Factor from simulated gas to the gas limit, 1 to 100; default: as in client.toml.
    #[arg(long, global = true, value_name = "FACTOR")]
    pub(super) gas_adjustment: Option<f64>,
    /// Fee, for example 1000upoq; default: the gas limit at the chain's price.
    #[arg(
        long,
        global = true,
        value_name = "COIN",
        conflicts_with = "gas_prices"
    )]
    pub(super) fees: Option<Coin>,
    /// Price of a unit of gas, for example 0.025upoq; default: the chain's.
    #[arg(long, global = true, value_name = "PRICE")]
    pub(super) gas_prices: Option<GasPrice>,
    /// A note in the transaction.
    #[arg(
        long,
        global = true,
        default_value = "",
        alias = "note",
        allow_hyphen_values = true
    )]
    pub(super) memo: String,
    /// Last height at which the transaction is valid; 0 means no limit.
    #[arg(long, global = true, default_value_t = 0, value_name = "HEIGHT")]
    pub(super) timeout_height: u64,
    /// Time limit of the wait for the block, seconds.
    #[arg(long, global = true, default_value_t = 60, value_name = "SECONDS")]
    pub(super) timeout: u64,
    /// Print the unsigned transaction and send nothing.
    #[arg(long, global = true, conflicts_with = "dry_run")]
    pub(super) generate_only: bool,
    /// Simulate the transaction, print its gas and fee, and send nothing.
    #[arg(long, global = true)]
    pub(super) dry_run: bool,
    /// Event to wait for.
    #[arg(long, global = true, value_enum, default_value_t = BroadcastMode::Block, value_name = "MODE")]
    pub(super) broadcast_mode: BroadcastMode,
    /// Do not ask before signing.
    #[arg(long, short, global = true)]
    pub(super) yes: bool,
}

/// Value of `--broadcast-mode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum BroadcastMode {
    /// Print the hash when the node's mempool has the transaction.
    Sync,
    /// Print the result when a block has the transaction.
    Block,
}

/// Value of `--gas`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gas {
    Auto,
    Limit(u64),
}

impl FromStr for Gas {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            _ => text
                .parse()
                .map(Self::Limit)
                .map_err(|_| "expected `auto` or a whole number".into()),
        }
    }
}

impl Tx {
    /// Runs the command.
    ///
    /// # Errors
    /// The reason why the transaction was not sent or failed.
    pub(super) fn run(self, home: &Home) -> anyhow::Result<()> {
        let settings = ClientSettings::load(home)?;
        let flags = self.flags;
        runtime()?.block_on(async {
            match self.command {
                TxCommand::Bank(command) => {
                    let account = Account::open(flags, home, &settings).await?;
                    command.run(&account).await
                }
                TxCommand::Poq(command) => {
                    let account = Account::open(flags, home, &settings).await?;
                    command.run(&account, home).await
                }
                TxCommand::Sign(command) => command.run(&flags, home, &settings).await,
                TxCommand::Multisign(command) => command.run(&flags, home, &settings).await,
                TxCommand::Broadcast(command) => command.run(&flags, &settings).await,
                TxCommand::Encode(command) => command.run(flags.format(&settings)),
                TxCommand::Decode(command) => command.run(),
            }
        })
    }

    /// Value of `--output`.
    pub(super) fn output(&self) -> Option<Format> {
        self.flags.node.output
    }
}

impl TxFlags {
    /// The chain id of the flag or the settings, if set.
    pub(super) fn chain_id<'a>(&'a self, settings: &'a ClientSettings) -> Option<&'a str> {
        let id = self.chain_id.as_deref().unwrap_or(&settings.chain_id);
        Some(id).filter(|id| !id.is_empty())
    }

    pub(super) fn format(&self, settings: &ClientSettings) -> Format {
        self.node.output.unwrap_or(settings.output)
    }
}

/// The chain id of the node, which must be the expected one.
pub(super) async fn chain_of(client: &Client, expected: Option<&str>) -> anyhow::Result<String> {
    let actual = client.status().await?.chain_id;
    match expected.filter(|expected| *expected != actual) {
        None => Ok(actual),
        Some(expected) => Err(poq_client::Error::ChainId {
            url: client.url().into(),
            expected: expected.into(),
            actual,
        }
        .into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gas() {
        assert_eq!("auto".parse(), Ok(Gas::Auto));
        assert_eq!("200000".parse(), Ok(Gas::Limit(200_000)));
        assert!("-1".parse::<Gas>().is_err());
    }
}
