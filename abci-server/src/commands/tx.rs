//! `poqd tx`: what all transactions have in common.

use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context, ensure};
use poq_client::tx::{Signer, Unsigned, sign};
use poq_client::{Any, Client, Error, Fee, Key, Sender, TxOptions, TxOutcome, found};
use poq_proto::PPM;

use super::keys::confirm;
use super::node::{KeyringFlags, NodeFlags};
use super::{runtime, tx_bank, tx_poq};
use crate::coin::{Coin, GasPrice};
use crate::home::Home;
use crate::output::Format;
use crate::settings::ClientSettings;

/// Commands of `tx`.
#[derive(Debug, clap::Args)]
pub struct Tx {
    #[command(flatten)]
    flags: TxFlags,
    #[command(subcommand)]
    command: TxCommand,
}

#[derive(Debug, clap::Subcommand)]
enum TxCommand {
    /// Money.
    #[command(subcommand)]
    Bank(tx_bank::Bank),
    /// Tasks and nodes.
    #[command(subcommand)]
    Poq(tx_poq::Poq),
}

/// Flags of every transaction.
#[derive(Debug, clap::Args)]
pub(super) struct TxFlags {
    #[command(flatten)]
    node: NodeFlags,
    #[command(flatten)]
    keyring: KeyringFlags,
    /// Key that signs and pays: its name or its address.
    #[arg(long, global = true, value_name = "KEY")]
    from: Option<String>,
    /// Chain that the transaction is for; default: as in client.toml.
    #[arg(long, global = true, value_name = "ID")]
    chain_id: Option<String>,
    /// Gas limit: a number, or auto to simulate the transaction first.
    #[arg(long, global = true, default_value = "auto")]
    gas: Gas,
    /// Gas limit over the simulated gas, 1 to 100; default: as in client.toml.
    #[arg(long, global = true, value_name = "FACTOR")]
    gas_adjustment: Option<f64>,
    /// Fee, for example 1000upoq; default: the gas limit at the chain's price.
    #[arg(
        long,
        global = true,
        value_name = "COIN",
        conflicts_with = "gas_prices"
    )]
    fees: Option<Coin>,
    /// Price of a unit of gas, for example 0.025upoq; default: the chain's.
    #[arg(long, global = true, value_name = "PRICE")]
    gas_prices: Option<GasPrice>,
    /// A note in the transaction.
    #[arg(long, global = true, default_value = "", alias = "note")]
    memo: String,
    /// Last height whose block may have the transaction; 0 is no limit.
    #[arg(long, global = true, default_value_t = 0, value_name = "HEIGHT")]
    timeout_height: u64,
    /// How long to wait for the block, seconds.
    #[arg(long, global = true, default_value_t = 60, value_name = "SECONDS")]
    timeout: u64,
    /// Do not ask before signing.
    #[arg(long, short, global = true)]
    yes: bool,
}

/// Value of `--gas`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Gas {
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
    /// Why there is no transaction, or how it failed.
    pub fn run(self, home: &Home) -> anyhow::Result<()> {
        runtime()?.block_on(async {
            let account = self.flags.open(home).await?;
            match self.command {
                TxCommand::Bank(command) => command.run(&account).await,
                TxCommand::Poq(command) => command.run(&account).await,
            }
        })
    }

    /// Value of `--output`.
    pub fn output(&self) -> Option<Format> {
        self.flags.node.output
    }
}

/// The signer of a transaction and everything that the flags say about it.
pub(super) struct Account {
    pub(super) client: Client,
    pub(super) format: Format,
    sender: Sender,
    key: Key,
    flags: TxFlags,
    gas_adjustment: f64,
}

impl TxFlags {
    async fn open(self, home: &Home) -> anyhow::Result<Account> {
        let settings = ClientSettings::load(home)?;
        let (client, format) = self.node.open(&settings)?;
        let keyring = self.keyring.open(home, &settings)?;
        let from = self
            .from
            .as_deref()
            .context("say which key signs: --from NAME; `poqd keys list` shows them")?;
        let keys = keyring.list()?;
        let name = keys
            .iter()
            .find(|key| key.address == from)
            .map_or(from, |key| key.name.as_str());
        let key = keyring.key(name)?;
        let chain_id = self.chain_id.as_deref().unwrap_or(&settings.chain_id);
        let chain_id = Some(chain_id).filter(|id| !id.is_empty());
        Ok(Account {
            sender: Sender::new(client.clone(), key.clone(), chain_id).await?,
            client,
            format,
            key,
            gas_adjustment: self.gas_adjustment.unwrap_or(settings.gas_adjustment),
            flags: self,
        })
    }
}

impl Account {
    /// The signer's address.
    pub(super) fn address(&self) -> &str {
        self.sender.address()
    }

    /// An amount in the chain's denom of fees and stakes, as messages carry it.
    pub(super) fn base_units(&self, coin: &Coin) -> anyhow::Result<u64> {
        ensure!(
            coin.denom == self.sender.denom(),
            "the chain takes {}, not {}",
            self.sender.denom(),
            coin.denom
        );
        u64::try_from(coin.amount).with_context(|| format!("{} is too much", coin.amount))
    }

    /// Signs one message, after asking, and waits until it is executed.
    pub(super) async fn send(&self, message: Any) -> anyhow::Result<TxOutcome> {
        let messages = vec![message];
        let gas = match self.flags.gas {
            Gas::Limit(gas) => gas,
            Gas::Auto => self.simulate(&messages).await?,
        };
        let amount = self.fee(gas).await?;
        if !self.flags.yes {
            let denom = self.sender.denom();
            let what = &messages[0].type_url;
            confirm(&format!(
                "sign {what} as {} with {gas} gas for {amount}{denom}",
                self.address()
            ))?;
        }
        let options = TxOptions {
            fee: Fee::Fixed { gas, amount },
            memo: self.flags.memo.clone(),
            timeout_height: self.flags.timeout_height,
        };
        let timeout = Duration::from_secs(self.flags.timeout);
        Ok(self
            .sender
            .send_and_wait(messages, options, timeout)
            .await?)
    }

    /// The gas limit from a simulation.
    async fn simulate(&self, messages: &[Any]) -> anyhow::Result<u64> {
        let factor = self.gas_adjustment;
        ensure!(
            (1.0..=100.0).contains(&factor),
            "the gas adjustment {factor} is not between 1 and 100"
        );
        let account = found(self.client.account(self.address()).await)?;
        let account = account.ok_or_else(|| Error::NoAccount {
            address: self.address().to_owned(),
        })?;
        let signer = Signer {
            chain_id: self.sender.chain_id().to_owned(),
            account_number: account.account_number,
            sequence: account.sequence,
        };
        let unsigned = Unsigned {
            messages: messages.to_vec(),
            gas_limit: 0,
            fee: None,
            memo: self.flags.memo.clone(),
            timeout_height: self.flags.timeout_height,
        };
        let used = self
            .client
            .simulate(sign(&unsigned, &signer, &self.key)?)
            .await?;
        Ok((used as f64 * factor).ceil() as u64)
    }

    /// The fee in base units for a gas limit.
    async fn fee(&self, gas: u64) -> anyhow::Result<u128> {
        let denom = self.sender.denom();
        let (amount, given) = match (&self.flags.fees, &self.flags.gas_prices) {
            (Some(fees), _) => (Some(fees.amount), &fees.denom),
            (None, Some(price)) => (price.of(gas), &price.denom),
            (None, None) => {
                let price = self.client.params().await?.gas_price;
                let fee = u128::from(gas) * u128::from(price);
                return Ok(fee.div_ceil(PPM.into()));
            }
        };
        ensure!(
            given == denom,
            "the chain takes fees in {denom}, not in {given}"
        );
        amount.context("the gas limit at this price is more than there can be")
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
