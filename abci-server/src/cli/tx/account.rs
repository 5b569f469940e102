//! The account that signs a transaction, and the submission of its messages.

use std::time::Duration;

use anyhow::{Context, ensure};
use poq_client::keyring::{KeyInfo, Keyring};
use poq_client::tx::{Unsigned, adjusted, simulated, to_json};
use poq_client::{
    Any, Client, Error, Fee, Sender, TxHash, TxOptions, TxOutcome, address_of, found, parse_address,
};
use poq_proto::PPM;
use poq_proto::v1::Params;
use serde::Serialize;

use super::{BroadcastMode, Gas, TxFlags, chain_of};
use crate::cli::coin::Coin;
use crate::cli::input::confirm;
use crate::home::Home;
use crate::home::settings::ClientSettings;
use crate::home::settings::Format;

/// The signer of a transaction and the transaction's flags.
pub(in crate::cli) struct Account {
    pub(super) client: Client,
    pub(super) format: Format,
    pub(super) params: Params,
    address: String,
    /// Public key; empty if neither the keyring nor the chain knows it.
    public_key: Vec<u8>,
    keyring: Keyring,
    /// Name of the key; `None` if only an address is given.
    key: Option<String>,
    chain_id: String,
    gas_adjustment: f64,
    flags: TxFlags,
}

/// The fee of a transaction.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Price {
    /// Duties are free.
    Free,
    /// Gas limit, and fee in base units.
    Fee { gas: u64, amount: u128 },
}

/// Result of `--broadcast-mode sync`.
#[derive(Serialize)]
pub(super) struct Accepted {
    pub(super) hash: TxHash,
}

/// Result of `--dry-run`.
#[derive(Serialize)]
struct DryRun {
    gas_used: u64,
    /// The gas limit that results from `--gas`.
    gas_limit: u64,
    fee: String,
}

impl Account {
    /// Finds the key, and queries the chain's id and parameters.
    pub(in crate::cli) async fn open(
        flags: TxFlags,
        home: &Home,
        settings: &ClientSettings,
    ) -> anyhow::Result<Self> {
        let (client, format) = flags.node.open(settings)?;
        let keyring = flags.keyring.open(home, settings)?;
        let from = flags.from.as_deref().context(
            "choose the key that signs with --from NAME; `poqd keys list` shows the keys of this home",
        )?;
        let key = find(&keyring, from)?;
        let chain_id = chain_of(&client, flags.chain_id(settings)).await?;
        let params = client.params().await?;
        let prefix = &params.bech32_prefix;
        let (address, public_key, key) = match key {
            Some(key) => {
                let address = address_of(&key.public_key, prefix)?;
                (address, key.public_key, Some(key.name))
            }
            None if flags.generate_only || flags.dry_run => {
                parse_address(from, prefix)?;
                let account = found(client.account(from).await)?;
                let public_key = account.map(|account| account.public_key);
                (from.to_owned(), public_key.unwrap_or_default(), None)
            }
            // This error says where the keyring is.
            None => return Err(missing(&keyring, from)),
        };
        Ok(Self {
            client,
            format,
            params,
            address,
            public_key,
            keyring,
            key,
            chain_id,
            gas_adjustment: flags.gas_adjustment.unwrap_or(settings.gas_adjustment),
            flags,
        })
    }

    /// The signer's address.
    pub(super) fn address(&self) -> &str {
        &self.address
    }

    /// Converts an amount in the chain's denom of fees and stakes to base units.
    pub(super) fn base_units(&self, coin: &Coin) -> anyhow::Result<u64> {
        ensure!(
            coin.denom == self.params.denom,
            "the chain takes {}, not {}",
            self.params.denom,
            coin.denom
        );
        u64::try_from(coin.amount).with_context(|| format!("{} is too much", coin.amount))
    }

    /// Sends a message as the flags request and prints the result.
    pub(super) async fn execute(&self, message: Any) -> anyhow::Result<()> {
        match self.send(message).await? {
            Some(outcome) => Ok(self.format.print(&outcome)?),
            None => Ok(()),
        }
    }

    /// Like [`Self::execute`], for a duty, which pays no fee.
    pub(super) async fn execute_duty(&self, message: Any) -> anyhow::Result<()> {
        match self.submit(message, Price::Free).await? {
            Some(outcome) => Ok(self.format.print(&outcome)?),
            None => Ok(()),
        }
    }

    /// Signs a message after confirmation and waits until it is executed. Returns `None` if the flags
    /// request another action, whose result is printed.
    pub(super) async fn send(&self, message: Any) -> anyhow::Result<Option<TxOutcome>> {
        if self.flags.dry_run {
            return self.dry_run(message).await;
        }
        let gas = match self.flags.gas {
            Gas::Limit(gas) => gas,
            Gas::Auto => adjusted(self.simulate(&message).await?, self.gas_adjustment)?,
        };
        let amount = self.fee(gas)?;
        self.submit(message, Price::Fee { gas, amount }).await
    }

    async fn submit(&self, message: Any, price: Price) -> anyhow::Result<Option<TxOutcome>> {
        if self.flags.generate_only {
            let tx = self.unsigned(message, price).to_tx()?;
            Format::Json.print_json(&to_json(&tx)?)?;
            return Ok(None);
        }
        let key = self
            .key
            .as_deref()
            .context("the keyring does not have the key that must sign")?;
        let (what, fee) = (message.type_url.clone(), self.words(price));
        if !self.flags.yes {
            confirm(&format!("sign {what} as {} {fee}", self.address))?;
        }
        let options = TxOptions {
            fee: match price {
                Price::Free => Fee::Free,
                Price::Fee { gas, amount } => Fee::Fixed { gas, amount },
            },
            memo: self.flags.memo.clone(),
            timeout_height: self.flags.timeout_height,
        };
        let key = self.keyring.key(key)?;
        let sender = Sender::new(self.client.clone(), key, Some(&self.chain_id)).await?;
        let messages = vec![message];
        match self.flags.broadcast_mode {
            BroadcastMode::Sync => {
                let hash = sender.send(messages, options).await?;
                self.format.print(&Accepted { hash })?;
                Ok(None)
            }
            BroadcastMode::Block => {
                let timeout = Duration::from_secs(self.flags.timeout);
                let outcome = sender.send_and_wait(messages, options, timeout).await?;
                Ok(Some(outcome))
            }
        }
    }

    async fn dry_run(&self, message: Any) -> anyhow::Result<Option<TxOutcome>> {
        let gas_used = self.simulate(&message).await?;
        let gas_limit = match self.flags.gas {
            Gas::Limit(gas) => gas,
            Gas::Auto => adjusted(gas_used, self.gas_adjustment)?,
        };
        let amount = self.fee(gas_limit)?;
        self.format.print(&DryRun {
            gas_used,
            gas_limit,
            fee: format!("{amount}{}", self.params.denom),
        })?;
        Ok(None)
    }

    fn unsigned(&self, message: Any, price: Price) -> Unsigned {
        let (gas_limit, amount) = match price {
            Price::Free => (0, 0),
            Price::Fee { gas, amount } => (gas, amount),
        };
        Unsigned {
            messages: vec![message],
            gas_limit,
            fee: (amount > 0).then(|| (self.params.denom.clone(), amount)),
            memo: self.flags.memo.clone(),
            timeout_height: self.flags.timeout_height,
        }
    }

    /// Simulates the message and returns the gas that it would use.
    async fn simulate(&self, message: &Any) -> anyhow::Result<u64> {
        let account = found(self.client.account(&self.address).await)?;
        let account = account.ok_or_else(|| Error::NoAccount {
            address: self.address.clone(),
        })?;
        let unsigned = self.unsigned(message.clone(), Price::Free);
        let public_key = self.public_key.clone();
        let tx = simulated(&unsigned, &self.params.denom, public_key, account.sequence)?;
        Ok(self.client.simulate(tx).await?)
    }

    /// The fee for a gas limit, base units.
    fn fee(&self, gas: u64) -> anyhow::Result<u128> {
        let denom = &self.params.denom;
        let (amount, given) = match (&self.flags.fees, &self.flags.gas_prices) {
            (Some(fees), _) => (Some(fees.amount), &fees.denom),
            (None, Some(price)) => (price.of(gas), &price.denom),
            (None, None) => {
                let fee = u128::from(gas) * u128::from(self.params.gas_price);
                return Ok(fee.div_ceil(PPM.into()));
            }
        };
        ensure!(
            given == denom,
            "the chain takes fees in {denom}, not in {given}"
        );
        amount.context("the fee for this gas limit and price exceeds 128 bits")
    }

    /// The price in words, for the confirmation prompt.
    fn words(&self, price: Price) -> String {
        match price {
            Price::Free => "free of fees".into(),
            Price::Fee { gas, amount } => {
                format!("with {gas} gas for {amount}{}", self.params.denom)
            }
        }
    }
}

/// The key with this name or address.
pub(in crate::cli) fn find(keyring: &Keyring, from: &str) -> anyhow::Result<Option<KeyInfo>> {
    let keys = keyring.list()?;
    Ok(keys
        .into_iter()
        .find(|key| key.name == from || key.address == from))
}

/// The keyring's error for a missing key.
pub(in crate::cli) fn missing(keyring: &Keyring, from: &str) -> anyhow::Error {
    match keyring.show(from) {
        Err(error) => error.into(),
        Ok(_) => anyhow::anyhow!("the key `{from}` has just been added; try again"),
    }
}
